# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of proximals of vector fields."""

import json

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant, equivariance_error
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.inference import has_bfloat16
from odl_equivariant.operators import NetworkOperator, UnitaryFourierTransform
from odl_equivariant.solvers import learned_proximal_gradient

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)

TOLERANCE = {'float32': 1e-5, 'complex64': 1e-5}


def randomise(module, seed=1):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def plane(dtype='float64', impl='numpy', n=8):
    """Return a space of images."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype, impl=impl)


def precision(dtype):
    """Return the real precision of a space."""
    single = dtype in ('float32', 'complex64')
    return torch.float32 if single else torch.float64


def denoiser(group='C4', in_channels=2, **kwargs):
    """Return a denoiser of vector fields with random weights."""
    arguments = {
        'channels': 16,
        'memory': 0,
        'gradient': False,
        'noise_level': True,
        'representation': 'standard',
        **kwargs,
    }
    return randomise(
        EquivariantProximal(in_channels, group=group, **arguments)
    )


def step(**kwargs):
    """Return a block of an unrolled network for vector fields."""
    return randomise(
        EquivariantProximal(
            **{
                'in_channels': 2,
                'channels': 8,
                'memory': 3,
                'representation': 'standard',
                **kwargs,
            }
        )
    )


def vector_actions(space, group='C4'):
    """Return the exact elements of a group, acting on vector fields."""
    return group_actions(space, group, representation='standard')


def images(module, shape=(9, 8), n_images=2, seed=3):
    """Return random inputs for a block of an unrolled network."""
    generator = torch.Generator().manual_seed(seed)
    like = next(module.parameters())
    return [
        torch.randn((n_images, n, *shape), generator=generator).to(like)
        for n in (module.in_channels, module.in_channels, module.memory)
    ]


# --- Equivariance --- #


@pytest.mark.parametrize('n', [7, 8])
@pytest.mark.parametrize('group', ['C4', 'D4', 'C8'])
def test_learned_proximals_of_vector_fields(group, n, dtype, impl):
    """Learned proximals map vector fields equivariantly in all spaces."""
    space = plane(dtype, impl, n) ** 2
    n_channels = 4 if 'complex' in dtype else 2
    module = denoiser(group, n_channels).to(precision(dtype))
    op = LearnedProximal(space, module).proximal(0.3)
    exact = group if group[1] == '4' else 'C4'
    tol = TOLERANCE.get(dtype, 1e-12)
    assert_equivariant(op, vector_actions(space, exact), tol=tol)


@pytest.mark.parametrize('group', ['C2', 'D1', 'D2'])
def test_grids_that_are_not_square(group):
    """Half turns and reflections of rectangles are exact too."""
    space = odl.uniform_discr([0, 0], [8, 9], (8, 9)) ** 2
    module = denoiser(group).double()
    op = NetworkOperator(module_without_sigma(module), space)
    assert_equivariant(op, vector_actions(space, group), tol=1e-12)


def module_without_sigma(module):
    """Return a denoiser for one noise level."""

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, x):
            return self.module(x, sigma=0.3)

    return One()


def test_several_vector_fields():
    """The components of the first field come before those of the second."""
    space = (plane() ** 3) ** 2
    module = denoiser('D4', 6).double()
    op = LearnedProximal(space, module).proximal(0.3)
    assert_equivariant(op, vector_actions(space, 'D4'), tol=1e-12)


def test_vector_fields_are_no_pairs_of_images():
    """If vectors are not turned, the network is not equivariant."""
    space = plane() ** 2
    vectors = LearnedProximal(space, denoiser().double()).proximal(0.3)
    scalars = LearnedProximal(
        space, denoiser(representation='trivial').double()
    ).proximal(0.3)
    quarter = vector_actions(space)[1]
    moved = group_actions(space, 'C4')[1]
    assert equivariance_error(vectors, quarter) < 1e-12
    assert equivariance_error(vectors, moved) > 0.1
    assert equivariance_error(scalars, quarter) > 0.1
    assert equivariance_error(scalars, moved) < 1e-12


def test_mirrors_are_not_in_the_rotations():
    """A network for C4 does not commute with reflections."""
    space = plane() ** 2
    op = LearnedProximal(space, denoiser('C4').double()).proximal(0.3)
    mirror = vector_actions(space, 'D4')[-1]
    assert equivariance_error(op, mirror) > 0.05


def test_memory_does_not_turn():
    """The memory consists of scalar fields."""
    module = step(group='D4', skip=True).double()
    space = plane()
    x, gradient, memory = images(module, (8, 8))
    with torch.no_grad():
        new_x, new_memory = module(x, gradient, memory)
        matrix = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double()

        def turned(x):
            return torch.einsum('ab,nbij->naij', matrix, moved(x))

        def moved(x):
            return x.rot90(1, (2, 3))

        turned_x, turned_memory = module(
            turned(x), turned(gradient), moved(memory)
        )
    torch.testing.assert_close(turned_x, turned(new_x))
    torch.testing.assert_close(turned_memory, moved(new_memory))
    # that this is what the actions do
    action = vector_actions(space**2)[1]
    field = (space**2).element([x[0, 0].numpy(), x[0, 1].numpy()])
    expected = np.stack([part.asarray() for part in action(field)])
    np.testing.assert_allclose(turned(x)[0].numpy(), expected)


@pytest.mark.parametrize('name', ['float32', 'complex128'])
def test_unrolled_networks(name, impl):
    """With an equivariant operator, the reconstruction turns with the data.

    Also its blocks one by one, in the hands of an ODL solver.
    """
    space = plane(name, impl) ** 2
    if name == 'float32':
        operator = odl.ScalingOperator(space, 0.5)
        n_channels = 2
    else:
        transform = UnitaryFourierTransform(space[0])
        operator = odl.DiagonalOperator(transform, transform)
        n_channels = 4
    network = LearnedProximalGradient(
        operator, lambda: step(in_channels=n_channels, group='D4'), 2
    ).to(precision(name))
    op = network.as_operator()
    tol = TOLERANCE.get(name, 1e-12)
    if name == 'float32':
        assert_equivariant(op, vector_actions(space, 'D4'), tol=tol)
    y = odl.core.phantom.noise.uniform_noise(op.domain, seed=1)
    x = space.zero()
    assert len(network.memory_space) == 3
    learned_proximal_gradient(
        x,
        network.proximals,
        operator.adjoint * (operator - odl.ConstantOperator(y, space)),
        network.memory_space.zero(),
    )
    gap = float((x - op(y)).norm()) / float(op(y).norm())
    assert gap < 1e-5


# --- Everything that is done with a network --- #


def test_start():
    """A new network has outputs with a mean square of one."""
    squares = []
    for seed in range(4):
        torch.manual_seed(seed)
        module = EquivariantProximal(
            2, 32, memory=2, representation='standard', n_residual_blocks=2
        )
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((16, 6, 40, 40), generator=generator)
        f = torch.fft.fftfreq(40)
        f = torch.hypot(f[:, None], f).clamp_min(1 / 40)
        x = torch.fft.ifft2(torch.fft.fft2(noise) / f).real
        x = x / x.square().mean((2, 3), keepdim=True).sqrt()
        with torch.no_grad():
            result = torch.cat(module(*x.split([2, 2, 2], 1)), 1)
        squares.append(result.square().mean().item())
    assert np.mean(squares) == pytest.approx(1, rel=0.2)


def test_bias_is_in_the_memory_alone():
    """No vector but zero is invariant, so vector fields have no bias."""
    module = step(memory=3).double()
    x = torch.zeros(1, 2, 6, 6).double()
    with torch.no_grad():
        for layer in (module.lift, *module.residual):
            for name, parameter in layer.named_parameters():
                if name.endswith('bias'):
                    parameter.zero_()
        u, memory = module(x, x)
    assert not u.any()
    assert memory.any()


def test_export_and_snapshot():
    """Plain convolutions, pieces and copies compute the same."""
    module = step(group='D4', noise_level=True, skip=True)
    inputs = images(module)
    with torch.no_grad():
        expected = torch.cat(module(*inputs, sigma=0.2), 1)
        for other in (
            to_convolutional(module),
            for_inference(module, tile=4),
            for_inference(module, 'float64'),
        ):
            found = torch.cat(other(*inputs, sigma=0.2), 1)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16():
    """Autocast and snapshots in bfloat16 have the precision of bfloat16."""
    module = step(group='C4')
    inputs = images(module)
    with torch.no_grad():
        expected = torch.cat(module(*inputs), 1)
        with torch.autocast('cpu', torch.bfloat16):
            found = [torch.cat(module(*inputs), 1)]
        if has_bfloat16(torch.device('cpu')):
            quick = for_inference(module, 'bfloat16')
            found.append(torch.cat(quick(*inputs), 1))
    for result in found:
        assert (result - expected).norm() < 0.05 * expected.norm()


def test_training_in_pieces(monkeypatch):
    """The gradients of all weights are the same as for the whole image."""
    module = step()
    inputs = images(module, (13, 9))

    def gradients():
        module.zero_grad()
        torch.cat(module(*inputs), 1).square().sum().backward()
        return [parameter.grad.clone() for parameter in module.parameters()]

    expected = gradients()
    monkeypatch.setattr(pieces, '_SMALLEST_SIDE', 4)
    monkeypatch.setattr(pieces, '_CACHE_PER_THREAD', 0)
    for found, gradient in zip(gradients(), expected, strict=True):
        assert gradient.any()
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-4)


def test_round_trip(tmp_path):
    """Saved networks are loaded, and each basis is stored once."""
    module = step(in_channels=4, group='D4')
    path = tmp_path / 'network.safetensors'
    models.save(module, path)
    other = models.load(path)
    assert other.architecture == module.architecture
    arguments = json.loads(json.dumps(module.architecture))['arguments']
    assert arguments['representation'] == 'standard'
    inputs = images(module)
    with torch.no_grad():
        for found, expected in zip(
            other(*inputs), module(*inputs), strict=True
        ):
            assert torch.equal(found, expected)
    space = plane('float32') ** 2
    network = LearnedProximalGradient(
        odl.IdentityOperator(space), lambda: step(), 2
    )
    models.save(network, path)
    loaded = models.load(path, odl.IdentityOperator(space))
    y = torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(y), network(y))


@pytest.mark.slow
def test_onnx(tmp_path):
    """The ONNX file computes the same."""
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    models.export_onnx(step(), tmp_path / 'network.onnx')
    assert (tmp_path / 'network.onnx').stat().st_size > 0


# --- Errors --- #


@pytest.mark.parametrize(
    'space, match',
    [
        (odl.rn((8, 8)), 'in_channels=2; make it with in_channels=1'),
        (odl.cn((8, 8)), r'no vector fields: take `space \*\* 2`'),
        (odl.rn((8, 8)) ** 4, 'in_channels=2; make it with in_channels=4'),
    ],
)
def test_spaces_that_do_not_fit(space, match):
    """The error says that the space of a vector field has two parts."""
    with pytest.raises(ValueError, match=match):
        LearnedProximal(space, denoiser())


def test_parts_that_are_no_components():
    """Four images are not two vector fields."""
    with pytest.raises(ValueError, match=r'not 4.*\(space \*\* n\) \*\* 2'):
        LearnedProximal(odl.rn((8, 8)) ** 4, denoiser(in_channels=4))


@pytest.mark.parametrize('in_channels, fit', [(1, '2'), (3, '2 or 4')])
def test_odd_numbers_of_channels(in_channels, fit):
    """A vector field has two channels."""
    with pytest.raises(ValueError, match=f'in_channels={fit}, got'):
        denoiser(in_channels=in_channels)


def test_unknown_representations():
    """Unknown representations, and those of escnn, are refused."""
    from odl_equivariant.nn.escnn.library import gspaces

    space = gspaces.rot2dOnR2(4)
    for other, match in (
        ('regular', "'trivial', .* or 'standard'"),
        (space.trivial_repr, 'nothing of escnn: pass the name'),
        (space.type(space.trivial_repr), 'nothing of escnn: pass the name'),
    ):
        with pytest.raises(ValueError, match=f'(?s){match}'):
            denoiser(representation=other)


def test_spellings():
    """Representations have the names that `actions` uses, too."""
    for name in ('vector', 'standard'):
        assert denoiser(representation=name).representation == 'standard'
    for name in (None, 'trivial'):
        module = denoiser(representation=name)
        assert module.representation == 'trivial'
        assert 'representation' not in module.architecture['arguments']
