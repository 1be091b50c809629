# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of proximals of complex images that commute with phases."""

import cmath

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import Intensity, group_actions
from odl_equivariant.diagnostics import assert_equivariant, equivariance_error
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.inference import has_bfloat16
from odl_equivariant.operators import SubsampledFourierTransform
from odl_equivariant.solvers import learned_proximal_gradient

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', ['complex64', 'complex128'])

TOLERANCE = {'complex64': 1e-6, 'complex128': 1e-12}
REAL = {'complex64': torch.float32, 'complex128': torch.float64}
PHASES = [0.7, np.pi / 2, -2.0]


def randomise(module, seed=1):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def denoiser(group='C4', in_channels=2, **kwargs):
    """Return a denoiser of complex images with random weights."""
    arguments = {
        'channels': 16,
        'memory': 0,
        'gradient': False,
        'noise_level': True,
        'phase': True,
        **kwargs,
    }
    return randomise(
        EquivariantProximal(in_channels, group=group, **arguments)
    )


def step(group='C4', **kwargs):
    """Return a block of an unrolled network with random weights."""
    arguments = {
        'in_channels': 2,
        'channels': 16,
        'memory': 4,
        'phase': True,
        **kwargs,
    }
    return randomise(EquivariantProximal(group=group, **arguments))


def plane(dtype='complex128', impl='numpy', n=8):
    """Return a space of complex images."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype, impl=impl)


def phases(space):
    """Return multiplications by numbers of modulus one."""
    return [Intensity(space, scale=cmath.exp(1j * phi)) for phi in PHASES]


def images(module, shape=(9, 8), n_images=2, seed=3):
    """Return random inputs for a block of an unrolled network."""
    generator = torch.Generator().manual_seed(seed)
    like = next(module.parameters())
    return [
        torch.randn((n_images, n, *shape), generator=generator).to(like)
        for n in (module.in_channels, module.in_channels, module.memory)
    ]


def multiplied(x, number):
    """Multiply real and imaginary parts, which take turns, by a number."""
    a, b = number.real, number.imag
    real, imaginary = x[:, ::2], x[:, 1::2]
    parts = [a * real - b * imaginary, b * real + a * imaginary]
    return torch.stack(parts, 2).flatten(1, 2)


# --- Equivariance --- #


@pytest.mark.parametrize('n', [7, 8])
@pytest.mark.parametrize('group', ['C4', 'D4'])
def test_learned_proximals_commute_with_phases_and_turns(
    group, n, dtype, impl
):
    """Learned proximals commute with both groups, in all complex spaces."""
    space = plane(dtype, impl, n)
    module = denoiser(group).to(REAL[dtype])
    op = LearnedProximal(space, module).proximal(0.3)
    actions = phases(space) + group_actions(space, group)
    assert_equivariant(op, actions, tol=TOLERANCE[dtype])


@pytest.mark.parametrize('group, channels', [('C1', 6), ('D3', 24)])
def test_other_groups(group, channels):
    """Phases need no turns, and are exact where turns are not."""
    space = plane()
    module = denoiser(group, channels=channels).double()
    op = LearnedProximal(space, module).proximal(0.3)
    assert_equivariant(op, phases(space), tol=1e-12)


def test_without_phase():
    """An ordinary and an equivariant twin do not commute with phases."""
    space = plane()
    for module in (
        denoiser(phase=False).double(),
        randomise(OrdinaryProximal(2, 16, 0, False, True)).double(),
    ):
        op = LearnedProximal(space, module).proximal(0.3)
        assert equivariance_error(op, phases(space)[0]) > 0.1


def test_conjugation_is_no_phase():
    """Networks are free to tell an image from its conjugate."""
    module = denoiser().double()
    x = images(step().double())[0]
    conjugate = torch.tensor([1.0, -1.0]).double()[:, None, None]
    with torch.no_grad():
        gap = module(conjugate * x, sigma=1) - conjugate * module(x, sigma=1)
    assert gap.abs().max() > 0.01


@pytest.mark.parametrize(
    'space, representation, in_channels',
    [
        (plane() ** 3, 'trivial', 6),
        (plane() ** 2, 'standard', 4),
        ((plane() ** 3) ** 2, 'standard', 12),
    ],
)
def test_products_of_complex_spaces(space, representation, in_channels):
    """Several images, and complex vector fields, have one phase."""
    module = denoiser('D4', in_channels, representation=representation)
    op = LearnedProximal(space, module.double()).proximal(0.3)
    turns = group_actions(space, 'D4', representation=representation)
    assert_equivariant(op, phases(space) + turns, tol=1e-12)


@pytest.mark.parametrize('basis', ['escnn', 'grid', 'mixed', 'fourier'])
@pytest.mark.parametrize(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
def test_any_basis_and_boundary(basis, padding_mode):
    """Phases and turns are exact with all kernels and paddings."""
    space = plane()
    module = denoiser('D4', basis=basis, padding_mode=padding_mode).double()
    op = LearnedProximal(space, module).proximal(0.3)
    actions = phases(space) + group_actions(space, 'D4')
    assert_equivariant(op, actions, tol=1e-12)


def test_restriction_to_a_subgroup():
    """Phases stay after a restriction, reflections do not."""
    space = plane()
    module = denoiser('D4', restrict_to='C4', restrict_after=0).double()
    op = LearnedProximal(space, module).proximal(0.3)
    assert_equivariant(
        op, phases(space) + group_actions(space, 'C4'), tol=1e-12
    )
    mirror = group_actions(space, 'D4')[-1]
    assert equivariance_error(op, mirror) > 1e-3


@pytest.mark.parametrize('skip', [False, True])
def test_memory_has_the_phase_of_the_image(skip):
    """Image, gradient and memory are multiplied alike."""
    module = step('D4', skip=skip).double()
    inputs = images(module)
    number = cmath.exp(0.7j)
    with torch.no_grad():
        expected = torch.cat(module(*inputs), 1)
        found = torch.cat(module(*(multiplied(x, number) for x in inputs)), 1)
    torch.testing.assert_close(found, multiplied(expected, number))


# --- The noise level --- #


@pytest.mark.parametrize('factor', [1e-3, 1e3, 2e2 - 5j])
def test_the_noise_level_is_the_unit(factor, dtype):
    """Phi(c u; |c| sigma) = c Phi(u; sigma) for all complex numbers c."""
    space = plane(dtype)
    functional = LearnedProximal(space, denoiser().to(REAL[dtype]))
    scaling = Intensity(space, scale=factor)
    plain = functional.proximal(0.3)
    scaled = functional.proximal(0.3 * abs(factor))
    assert relative_gap(scaled, plain, scaling) < TOLERANCE[dtype]


def relative_gap(scaled, plain, scaling):
    """Return how much an operator after a scaling differs from before it."""
    rng = np.random.default_rng(0)
    space = scaling.domain
    parts = rng.standard_normal((2, *space.shape))
    x = space.element(parts[0] + 1j * parts[1])
    expected = scaling(plain(x))
    return (scaled(scaling(x)) - expected).norm() / expected.norm()


def test_the_noise_level_matters():
    """Networks are conditioned on the noise level."""
    module = denoiser().double()
    x = images(step().double())[0]
    with torch.no_grad():
        weak, strong = module(x, sigma=0.1), module(x, sigma=1.0)
        both = module(x, sigma=torch.tensor([0.1, 1.0]).double())
    assert (weak - strong).norm() > 0.05 * weak.norm()
    torch.testing.assert_close(both[0], weak[0])
    torch.testing.assert_close(both[1], strong[1])


# --- Unrolled networks --- #


@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
@pytest.mark.parametrize('n', [7, 8])
def test_reconstructions_have_the_phase_of_the_data(n, initial, dtype, impl):
    """reconstruct(e^(i phi) y) = e^(i phi) reconstruct(y)."""
    op = fourier_samples(plane(dtype, impl, n))
    network = unrolled(op, REAL[dtype], initial).as_operator()
    for before, after in zip(phases(op.range), phases(op.domain), strict=True):
        error = equivariance_error(network, before, after)
        assert error < TOLERANCE[dtype]


def fourier_samples(space):
    """Return every other line of a Fourier transform."""
    mask = np.arange(space.shape[1]) % 2 == 0
    return SubsampledFourierTransform(space, mask[None])


def unrolled(op, dtype, initial='zero', group='D4'):
    """Return an unrolled network with random weights."""
    seeds = iter(range(2))
    return LearnedProximalGradient(
        op,
        lambda: randomise(step(group), next(seeds)).to(dtype),
        n_iterations=2,
        initial=initial,
    )


def test_iterations_of_elements():
    """The solver takes the blocks, with a memory of real components."""
    op = fourier_samples(plane())
    network = unrolled(op, torch.float64)
    y = op.range.element(op(op.domain.one()))
    x = op.domain.zero()
    learned_proximal_gradient(
        x,
        network.proximals,
        op.adjoint * (op - odl.ConstantOperator(y, op.domain)),
        network.memory_space.zero(),
    )
    assert (x - network.as_operator()(y)).norm() <= 1e-12 * x.norm()


# --- Everything that is done with a network --- #

NETWORKS = {
    'plain': lambda: step(),
    'mirrors': lambda: step('D4', n_residual_blocks=2, skip=True),
    'noise': lambda: step(noise_level=True, negative_slope=0.2),
    'restricted': lambda: step('D4', restrict_to='C4', restrict_after=0),
    'vectors': lambda: step(in_channels=4, representation='standard'),
}

kind = simple_fixture('kind', list(NETWORKS))


def outputs(module, inputs):
    """Return all that a block returns in one tensor."""
    sigma = {'sigma': 0.3} if module.noise_level else {}
    with torch.no_grad():
        return torch.cat(module(*inputs, **sigma), 1)


def test_ordinary_convolutions(kind):
    """The same network with ordinary convolutions has the same values."""
    module = NETWORKS[kind]()
    plain = to_convolutional(module)
    inputs = images(module)
    assert type(plain) is OrdinaryProximal
    assert plain.lift.weight.shape[0] == module.channels
    torch.testing.assert_close(
        outputs(plain, inputs), outputs(module, inputs), atol=1e-5, rtol=1e-5
    )


def test_saved_and_loaded(kind, tmp_path):
    """Files give back the weights, and an exactly equivariant network."""
    for module in (NETWORKS[kind](), to_convolutional(NETWORKS[kind]())):
        path = tmp_path / 'network.safetensors'
        models.save(module, path)
        loaded = models.load(path)
        inputs = images(module)
        assert loaded.architecture == module.architecture
        assert torch.equal(outputs(loaded, inputs), outputs(module, inputs))


def test_pieces(kind, monkeypatch):
    """Inference in pieces has the same values, and so has training."""
    module = NETWORKS[kind]()
    inputs = images(module, (21, 18))
    expected = outputs(module, inputs)
    quick = for_inference(module, tile=8)
    torch.testing.assert_close(
        outputs(quick, inputs), expected, atol=1e-5, rtol=1e-5
    )
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *_: 8)
    torch.testing.assert_close(
        outputs(module, inputs), expected, atol=1e-5, rtol=1e-5
    )


def test_channels_last():
    """The memory format does not change the values."""
    module = step().double()
    inputs = images(module)
    expected = outputs(module, inputs)
    module = module.to(memory_format=torch.channels_last)
    torch.testing.assert_close(outputs(module, inputs), expected)


@pytest.mark.skipif(
    not has_bfloat16(torch.device('cpu')), reason='no bfloat16 arithmetic'
)
def test_bfloat16():
    """Lowered precision changes the values by its rounding errors."""
    module = step()
    inputs = images(module)
    expected = outputs(module, inputs)
    found = outputs(for_inference(module, 'bfloat16'), inputs)
    assert (found - expected).norm() < 0.03 * expected.norm()


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_onnx(tmp_path):
    """The exporter compares the file with the network."""
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    path = tmp_path / 'network.onnx'
    assert models.export_onnx(NETWORKS['noise'](), path) == (path,)


def test_gradients():
    """Gradients are those of difference quotients."""
    module = step(channels=8, memory=2, noise_level=True).double()
    inputs = [x.requires_grad_() for x in images(module, (4, 3), 1)]
    sigma = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *x: module(*x[:-1], sigma=x[-1]), (*inputs, sigma)
    )


def test_zero():
    """Zero is mapped to zero, with finite gradients."""
    module = step()
    with torch.no_grad():
        for activation in module.activations:
            activation.threshold[0] = 0
    inputs = [torch.zeros_like(x).requires_grad_() for x in images(module)]
    result = torch.cat(module(*inputs), 1)
    assert not result.any()
    result.sum().backward()
    for tensor in (*inputs, *module.parameters()):
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize('noise_level', [False, True])
def test_start(noise_level):
    """A new network has outputs with a mean square of one."""
    squares = []
    for seed in range(6):
        torch.manual_seed(seed)
        module = EquivariantProximal(
            2, 32, memory=4, noise_level=noise_level, phase=True
        )
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((16, 8, 40, 40), generator=generator)
        f = torch.fft.fftfreq(40)
        f = torch.hypot(f[:, None], f).clamp_min(1 / 40)
        x = torch.fft.ifft2(torch.fft.fft2(noise) / f).real
        x = x / x.square().mean((2, 3), keepdim=True).sqrt()
        sigma = {'sigma': 1.0} if noise_level else {}
        with torch.no_grad():
            result = torch.cat(module(*x.split([2, 2, 4], 1), **sigma), 1)
        squares.append(result.square().mean().item())
    assert np.mean(squares) == pytest.approx(1, rel=0.25)


def test_thresholds_of_denoisers_start_at_the_noise_level():
    """Otherwise they start well below the values of the channels."""
    for noise_level, expected in ((True, 1.0), (False, 0.1)):
        module = EquivariantProximal(
            2, 16, memory=0, noise_level=noise_level, phase=True
        )
        for activation in module.activations:
            assert (activation.threshold == expected).all()


def test_half_of_the_weights():
    """The kernels have half as many numbers as those of the twin."""

    def count(**kwargs):
        module = EquivariantProximal(2, 32, memory=4, **kwargs)
        return sum(
            p.numel() for n, p in module.named_parameters() if 'weight' in n
        )

    assert count(phase=True) == count() / 2


def test_what_is_stored_is_unchanged_without_phase():
    """Networks without it have the architecture that they always had."""
    assert 'phase' not in EquivariantProximal().architecture['arguments']
    arguments = step().architecture['arguments']
    assert arguments['phase'] is True
    assert 'nonlinearity' not in arguments


# --- Bad input --- #


@pytest.mark.parametrize(
    'arguments, error, words',
    [
        ({'in_channels': 3}, ValueError, '`in_channels`.* such as 2 or 4'),
        ({'in_channels': 1}, ValueError, '`in_channels`.* such as 2, got 1'),
        ({'memory': 5}, ValueError, '`memory`.* such as 4 or 6, got 5'),
        ({'channels': 20}, ValueError, 'twice the order .* 16 or 24'),
        (
            {'in_channels': 6, 'representation': 'standard'},
            ValueError,
            '`in_channels` is a multiple of 4, such as 4 or 8, got 6',
        ),
        ({'group': 'SO2', 'channels': 12}, ValueError, 'finite groups'),
        ({'nonlinearity': 'pointwise'}, ValueError, "'modulus'"),
        ({'nonlinearity': 'norm'}, ValueError, "'modulus'"),
        ({'phase': 1}, TypeError, 'phase'),
        (
            {'phase': False, 'nonlinearity': 'modulus'},
            ValueError,
            'pass phase=True',
        ),
    ],
)
def test_bad_arguments(arguments, error, words):
    """Errors at construction name the choices."""
    with pytest.raises(error, match=words):
        step(**arguments)


def test_the_default_number_of_memory_channels_is_odd():
    """So it has to be given, and the error says so."""
    with pytest.raises(ValueError, match='4 or 6'):
        EquivariantProximal(2, 16, phase=True)


def test_real_spaces():
    """Pairs of real images are no complex images."""
    space = plane('float64') ** 2
    with pytest.raises(ValueError, match='complex'):
        LearnedProximal(space, denoiser().double())


@pytest.mark.parametrize(
    'description',
    [
        {'name': 'modulus'},
        {'name': 'modulus', 'group': 'SO2'},
        {'name': 'modulus', 'group': 'C0'},
        {'name': 'modulus', 'group': 4},
        {'name': 'modulus', 'group': 'C4', 'n_samples': 8},
    ],
)
def test_bad_descriptions(description):
    """Ordinary networks take a description as `to_convolutional` makes it."""
    with pytest.raises(ValueError, match='modulus'):
        OrdinaryProximal(2, 16, 4, nonlinearity=description)


def test_fields_of_ordinary_networks():
    """The channels of an ordinary network are whole fields too."""
    with pytest.raises(ValueError, match='multiple of 8'):
        OrdinaryProximal(
            2, 20, 4, nonlinearity={'name': 'modulus', 'group': 'C4'}
        )
