# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of networks for volumes."""

import json
import re

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    assert_adjoint,
    assert_equivariant,
    equivariance_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    AveragedProximal,
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.inference import channels_last_of
from odl_equivariant.operators import (
    NetworkOperator,
    SubsampledFourierTransform,
)

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
n_cells = simple_fixture('n_cells', [6, 7])

SINGLE = ('float32', 'complex64')

GROUPS = [
    {'group': 'O', 'channels': 24},
    {'group': 'Oh', 'channels': 48},
    {'group': 'Td', 'channels': 24},
    {'group': 'C4', 'axis': 0, 'channels': 8},
    {'group': 'D4h', 'axis': 2, 'channels': 16},
]


def randomise(module, seed=1):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def cube(dtype='float64', impl='numpy', n=6):
    """Return a space of volumes on a cubic grid."""
    return odl.uniform_discr([-1] * 3, [1] * 3, 3 * (n,), dtype, impl=impl)


def block(in_channels=1, cls=EquivariantProximal, dtype='float64', **kwargs):
    """Return a block with random weights."""
    if cls is EquivariantProximal:
        kwargs = {'group': 'O', **kwargs}
    else:
        kwargs = {'dimension': 3, **kwargs}
    arguments = {'channels': 24, 'memory': 2, **kwargs}
    module = randomise(cls(in_channels, **arguments))
    return module.to(torch.float32 if dtype in SINGLE else torch.float64)


def denoiser(in_channels=1, **kwargs):
    """Return a denoiser with random weights."""
    return block(in_channels, memory=0, gradient=False, **kwargs)


def acquisition(space):
    """Return a Fourier transform, sampled along two axes."""
    n, m = space.shape[1:]
    mask = np.random.default_rng(0).random((1, n, m)) < 0.4
    mask[0, n // 2, m // 2] = True
    return SubsampledFourierTransform(space, mask)


def network(space, cls=EquivariantProximal, checkpointing=False, **kwargs):
    """Return an unrolled network of two iterations."""
    n_channels = 2 if space.is_complex else 1
    dtype = str(space.dtype)
    return LearnedProximalGradient(
        acquisition(space),
        lambda: block(n_channels, cls, dtype.split('.')[-1], **kwargs),
        2,
        checkpointing=checkpointing,
    )


# --- Equivariance --- #


def turned_reconstructions(space, name, cls, **kwargs):
    """Return the errors for all elements of a group but the identity."""
    net = network(space, cls, **kwargs)

    def method(operator, y):
        return net.with_operator(operator).as_operator()(y)

    actions = group_actions(space, name)[1:]
    return [
        reconstruction_equivariance_error(method, net.forward_operator, action)
        for action in actions
    ]


def test_reconstructions_turn_with_the_volume(dtype, impl, n_cells):
    """A whole reconstruction commutes with the 24 turns of a cube."""
    errors = turned_reconstructions(
        cube(dtype, impl, n_cells), 'O', EquivariantProximal
    )
    assert len(errors) == 23
    assert max(errors) < (1e-5 if dtype in SINGLE else 1e-12)


def test_reconstructions_with_reflections():
    """A whole reconstruction commutes with the 48 symmetries of a cube."""
    errors = turned_reconstructions(
        cube(), 'Oh', EquivariantProximal, group='Oh', channels=48
    )
    assert len(errors) == 47
    assert max(errors) < 1e-12


def test_ordinary_reconstructions_do_not():
    """The ordinary twin misses it by more than a percent for all turns."""
    errors = turned_reconstructions(cube(), 'O', OrdinaryProximal)
    assert min(errors) > 1e-2


@pytest.mark.parametrize('arguments', GROUPS, ids=lambda a: a['group'])
def test_blocks_are_equivariant(arguments):
    """A denoiser commutes with each element of its group."""
    space = cube()
    operator = NetworkOperator(denoiser(**arguments), space)
    group, axis = arguments['group'], arguments.get('axis')
    for action in group_actions(space, group, axis=axis)[1::5]:
        assert_equivariant(operator, action, tol=1e-12)


@pytest.mark.parametrize(
    'arguments',
    [
        {'padding_mode': 'zeros', 'kernel_size': 5},
        {'padding_mode': 'reflect', 'n_residual_blocks': 2},
        {'padding_mode': 'circular', 'skip': True},
        {'homogeneous': True, 'shift_equivariant': True, 'channels': 48},
    ],
    ids=lambda a: '-'.join(a),
)
def test_options_are_equivariant(arguments):
    """So it is with each padding, and with laws for values."""
    space = cube()
    operator = NetworkOperator(denoiser(**arguments), space)
    for action in group_actions(space, 'O')[1::5]:
        assert_equivariant(operator, action, tol=1e-12)


def test_laws_of_values():
    """It commutes with a positive factor and with a shift of all values."""
    module = denoiser(homogeneous=True, shift_equivariant=True, channels=48)
    x = torch.randn(1, 1, 6, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(module(3 * x + 5), 3 * module(x) + 5)


def test_complex_volumes_with_phase():
    """A complex network commutes with turns, and with phases."""
    space = cube('complex128')
    module = denoiser(2, phase=True, channels=48, noise_level=True)
    operator = LearnedProximal(space, module).proximal(0.1)
    for action in group_actions(space, 'O')[1::7]:
        assert_equivariant(operator, action, tol=1e-12)
    x = space.element(np.random.default_rng(0).standard_normal(space.shape))
    gap = operator(1j * x) - 1j * operator(x)
    assert gap.norm() < 1e-12 * x.norm()


@pytest.mark.parametrize('n_fields', [1, 2])
def test_vector_fields(n_fields):
    """The components of vectors turn with the volume."""
    part = cube() if n_fields == 1 else cube() ** n_fields
    space = part**3
    module = denoiser(3 * n_fields, representation='standard')
    operator = NetworkOperator(module, space)
    for action in group_actions(space, 'O', representation='standard')[1::6]:
        assert_equivariant(operator, action, tol=1e-12)


def test_cells_that_are_longer_along_an_axis():
    """A group about an axis fits volumes of thick slices."""
    space = odl.uniform_discr([-1, -1, -2], [1, 1, 2], (6, 6, 5))
    module = denoiser(group='D4h', axis=2, channels=16)
    operator = NetworkOperator(module, space)
    for action in group_actions(space, 'D4h', axis=2)[1:]:
        assert_equivariant(operator, action, tol=1e-12)
    actions = group_actions(space, 'D4h', axis=2)[1:]
    twin = NetworkOperator(denoiser(cls=OrdinaryProximal), space)
    assert min(equivariance_error(twin, action) for action in actions) > 1e-2


def test_volumes_that_are_no_cubes():
    """A turned volume of another shape has the turned result."""
    module = denoiser()
    x = torch.randn(1, 1, 5, 6, 8, dtype=torch.float64)
    turned = module(x.transpose(2, 4).flip(4))
    torch.testing.assert_close(turned, module(x).transpose(2, 4).flip(4))


# --- Copies, derivatives, files --- #


def inputs(n=10, n_volumes=1):
    """Return a volume, a gradient and a memory."""
    torch.manual_seed(3)
    return [
        torch.randn(n_volumes, c, n, n - 1, n, dtype=torch.float64)
        for c in (1, 1, 2)
    ]


@pytest.mark.parametrize('tile', [None, 4, 'auto'])
def test_copies_compute_the_same(tile):
    """Plain convolutions, and pieces with halos, change rounding only."""
    module = block(group='D4', axis=1, channels=8)
    expected = module(*inputs())
    plain = to_convolutional(module)
    assert type(plain) is OrdinaryProximal
    assert plain.dimension == 3
    torch.testing.assert_close(plain(*inputs()), expected)
    quick = for_inference(module, tile=tile)
    torch.testing.assert_close(quick(*inputs()), expected)


def test_derivative_in_pieces(monkeypatch):
    """Gradients piece by piece are those of the whole volume."""
    module = block(cls=OrdinaryProximal, channels=3)

    def gradients():
        arguments = [x.requires_grad_() for x in inputs(n_volumes=2)]
        new, memory = module(*arguments)
        loss = new.square().sum() + memory.square().sum()
        return torch.autograd.grad(loss, [*arguments, *module.parameters()])

    expected = gradients()
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *_: 4)
    torch.testing.assert_close(gradients(), expected)


def test_gradcheck_of_a_block():
    """Derivatives are those of finite differences."""
    module = block(group='C2', axis=0, channels=2)
    arguments = [
        torch.randn(1, c, 3, 4, 3, dtype=torch.float64, requires_grad=True)
        for c in (1, 1, 2)
    ]
    assert torch.autograd.gradcheck(module, arguments)


def test_derivative_of_the_operator(impl):
    """The derivative of a denoiser has its adjoint in the space."""
    space = cube(impl=impl)
    operator = NetworkOperator(denoiser(), space)
    x = space.element(np.random.default_rng(0).standard_normal(space.shape))
    assert_adjoint(operator.derivative(x))


def test_checkpointing_keeps_gradients(monkeypatch):
    """Gradients are the same bits with and without recomputation."""
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *_: 4)
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = network(cube(), checkpointing=checkpointing)
        y = as_tensor(net.forward_operator(cube().one()))
        net(y + 0.1).square().sum().backward()
        results.append([p.grad for p in net.parameters()])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


# of torch about its own code
@pytest.mark.filterwarnings('ignore:.torch.jit.script. is deprecated')
def test_transformed():
    """Transforms of torch compute the same, and derivatives."""
    module = denoiser()
    x = torch.randn(2, 1, 6, 6, 6, dtype=torch.float64)
    expected = module(x)
    mapped = torch.func.vmap(lambda u: module(u[None])[0])
    torch.testing.assert_close(mapped(x), expected)
    _, derivative = torch.func.jvp(module, (x,), (x,))
    step = 1e-6
    quotient = (module(x + step * x) - module(x - step * x)) / (2 * step)
    torch.testing.assert_close(derivative, quotient, rtol=1e-4, atol=1e-6)


def test_without_volumes():
    """A batch without volumes has no results."""
    x = torch.zeros(0, 1, 6, 6, 6, dtype=torch.float64)
    assert denoiser()(x).shape == x.shape


def test_channels_last_is_the_same():
    """The order of channels in memory changes rounding only."""
    module = block(cls=OrdinaryProximal, channels=8)
    expected = module(*inputs())
    order = channels_last_of(module)
    assert order == torch.channels_last_3d
    module.to(memory_format=order)
    torch.testing.assert_close(module(*inputs()), expected)
    assert channels_last_of(OrdinaryProximal(channels=4)) == (
        torch.channels_last
    )


@pytest.mark.parametrize('cls', [EquivariantProximal, OrdinaryProximal])
def test_saved_and_loaded(cls, tmp_path):
    """A network from a file computes the same bits."""
    space = cube('float32')
    kwargs = {'group': 'D4h', 'axis': 2, 'channels': 16}
    net = network(space, cls, **kwargs if cls is EquivariantProximal else {})
    models.save(net, tmp_path / 'volumes.safetensors')
    loaded = models.load(tmp_path / 'volumes.safetensors', acquisition(space))
    y = net.forward_operator(space.one())
    assert loaded.as_operator()(y) == net.as_operator()(y)
    assert loaded.architecture == net.architecture
    json.dumps(net.architecture)


def test_proximal_of_a_functional(impl):
    """ODL's solvers take a learned proximal of volumes."""
    space = cube('float32', impl)
    module = denoiser(dtype='float32', noise_level=True)
    x = LearnedProximal(space, module).proximal(0.1)(space.one())
    assert x in space


# --- Bad input --- #


@pytest.mark.parametrize(
    'kwargs, shape, words',
    [
        ({'group': 'O'}, (8, 8), 'on images with 3 axes.*of the plane'),
        ({'group': 'C4'}, (8, 8, 8), "group='O', or group='C4' with axis=2"),
        ({'group': 'O'}, (8, 8, 2), 'smaller than the kernels'),
    ],
)
def test_spaces_of_another_dimension(kwargs, shape, words):
    """A space of the wrong dimension says which group to take."""
    module = EquivariantProximal(1, 24, **kwargs)
    with pytest.raises(ValueError, match=words):
        module.check_space(odl.rn(shape))


def test_ordinary_blocks_of_another_dimension():
    """A block for images says with which argument it takes volumes."""
    with pytest.raises(ValueError, match='make it with dimension=3'):
        OrdinaryProximal(1, 4).check_space(odl.rn((8, 8, 8)))


def test_anisotropic_cells():
    """Cells that differ along an axis say which group fits."""
    space = odl.uniform_discr([-1, -1, -2], [1, 1, 2], (8, 8, 8))
    with pytest.raises(ValueError, match="'D4h' with ref.*with axis=2"):
        EquivariantProximal(1, 24, 'O').check_space(space)
    with pytest.raises(ValueError, match='C4 about axis 0 exchanges.*axis=2'):
        EquivariantProximal(1, 4, 'C4', axis=0).check_space(space)
    EquivariantProximal(1, 4, 'C4', axis=2).check_space(space)
    space = odl.uniform_discr([-1, -2, -3], [1, 2, 3], (8, 8, 8))
    with pytest.raises(ValueError, match='N <= 2'):
        EquivariantProximal(1, 24, 'O').check_space(space)


@pytest.mark.parametrize(
    'kwargs, words',
    [
        ({'channels': 16, 'group': 'O'}, 'order 24.*nearest are 24'),
        ({'basis': 'escnn', 'group': 'O'}, "basis='grid'"),
        ({'group': 'O', 'restrict_to': 'C4'}, 'names no group of the space'),
        ({'group': 'O', 'nonlinearity': 'norm'}, 'finite group O'),
        ({'group': 'O', 'representation': 'standard'}, 'in_channels=3'),
        ({'group': 'D4h'}, 'give `axis`'),
        ({'group': 'C4', 'axis': 4}, 'axis'),
    ],
)
def test_arguments_that_do_not_fit(kwargs, words):
    """Arguments that do not fit a group of the space say what does."""
    with pytest.raises(ValueError, match=words):
        EquivariantProximal(**{'channels': 24, **kwargs})


def test_networks_of_the_plane():
    """Networks that are for images alone say who takes the group."""
    with pytest.raises(ValueError, match='`EquivariantProximal` takes it'):
        AveragedProximal(group='O', channels=24)


def test_wrong_inputs():
    """An image in place of a volume says which shape is expected."""
    module = denoiser()
    with pytest.raises(ValueError, match=r'shape \(N, 1, n, m, l\)'):
        module(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match='smaller than the'):
        module(torch.zeros(1, 1, 8, 8, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    'arguments', [{'group': 'O'}, {'group': 'C4', 'axis': 1}, {'group': 'D4'}]
)
def test_made_on_the_meta_device(arguments):
    """Blocks without numbers have shapes, and take weights by assignment."""
    arguments = {'channels': 24, 'memory': 0, 'gradient': False, **arguments}
    block = EquivariantProximal(1, **arguments)
    with torch.device('meta'):
        other = EquivariantProximal(1, **arguments)
    x = torch.rand(1, 1, *block.dimension * (6,))
    assert other(x.to('meta')).shape == x.shape
    other.load_state_dict(block.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(other(x), block(x))


@pytest.mark.parametrize('tile', [None, 16])
def test_too_little_memory_names_a_tile(monkeypatch, tile):
    """The error says what was too large, and which tile would fit."""
    block = OrdinaryProximal(1, 4, memory=0, gradient=False, dimension=3)
    quick = for_inference(block.eval(), tile=tile)

    def fail(*arguments):
        return torch.empty(2**60)

    monkeypatch.setattr(type(quick), '_in_pieces', fail)
    with (
        torch.no_grad(),
        pytest.raises(MemoryError, match=r'2 of 9 x 8 x 7 cells') as error,
    ):
        quick(torch.zeros(2, 1, 9, 8, 7))
    named = int(re.search(r'pass tile=(\d+) ', str(error.value))[1])
    assert 1 <= named and (tile is None or named <= tile // 2)


def test_other_errors_stay_what_they_are(monkeypatch):
    """Only too little memory is explained by it."""
    block = OrdinaryProximal(1, 4, memory=0, gradient=False, dimension=3)
    quick = for_inference(block.eval())

    def fail(*arguments):
        raise RuntimeError('something else')

    monkeypatch.setattr(type(quick), '_in_pieces', fail)
    with torch.no_grad(), pytest.raises(RuntimeError, match='something else'):
        quick(torch.zeros(2, 1, 9, 8, 7))
