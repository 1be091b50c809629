# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of blocks that commute with changes of the unit of values."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks.values import SortPooling, with_unit_sums
from odl_equivariant.operators import NetworkOperator

C4 = {'group': 'C4', 'channels': 16}
BLOCKS = {
    'C4': C4,
    'C4, grid': {**C4, 'basis': 'grid'},
    'C8, Fourier': {'group': 'C8', 'channels': 16, 'basis': 'fourier'},
    'C4, skip': {**C4, 'skip': True},
    'C4, periodic': {**C4, 'padding_mode': 'circular'},
    'C4, deep': {**C4, 'n_residual_blocks': 3, 'kernel_size': 5},
    'C4, two images': {**C4, 'in_channels': 2},
    'D4': {'group': 'D4', 'channels': 16, 'padding_mode': 'reflect'},
    'D4 to C2': {'group': 'D4', 'channels': 16, 'restrict_to': 'C2'},
    'C6': {'group': 'C6', 'channels': 24},
    'ordinary': {'channels': 6},
}
HOMOGENEOUS_ONLY = {
    'C4, zeros': {**C4, 'padding_mode': 'zeros'},
    'C4, vectors': {**C4, 'in_channels': 2, 'representation': 'standard'},
    'SO2': {'group': 'SO2', 'channels': 12},
    'O2, vectors': {
        'group': 'O2',
        'channels': 12,
        'in_channels': 2,
        'representation': 'standard',
    },
}
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-14}

dtype = simple_fixture('dtype', [torch.float32, torch.float64])


def block_of(kind, dtype=torch.float32, **arguments):
    """Return a block with random weights, those of its parts included."""
    arguments = {
        **{**BLOCKS, **HOMOGENEOUS_ONLY}[kind],
        'memory': 2,
        'noise_level': True,
        **arguments,
    }
    torch.manual_seed(0)
    cls = EquivariantProximal if 'group' in arguments else OrdinaryProximal
    block = cls(**arguments).to(dtype)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block


def inputs_for(block, shape=(13, 12)):
    """Return random image, gradient, memory and noise level."""
    torch.manual_seed(1)
    dtype = block.lift.weight.dtype
    n = block.in_channels
    u, v = torch.randn(2, 2, n, *shape, dtype=dtype)
    s = torch.randn(2, block.memory, *shape, dtype=dtype)
    return {
        'x': u,
        'gradient': v,
        'memory': s,
        'sigma': torch.tensor([0.1, 0.7], dtype=dtype),
    }


@torch.no_grad()
def outputs(block, inputs, factor=1.0, shift=0.0):
    """Return image and memory in one tensor, for inputs in a unit."""
    inputs = {name: factor * value for name, value in inputs.items()}
    inputs['x'] = inputs['x'] + shift
    result = block(**inputs)
    return torch.cat(result, 1) if isinstance(result, tuple) else result


def in_unit(block, result, factor, shift=0.0):
    """Return outputs in another unit."""
    result = factor * result
    result[:, : block.in_channels] += shift
    return result


def relative(x, y):
    """Return the norm of the difference over that of the second."""
    return float((x - y).norm() / y.norm())


@pytest.mark.parametrize('kind', [*BLOCKS, *HOMOGENEOUS_ONLY])
@pytest.mark.parametrize('factor', [1e-3, 0.3, 1e3])
def test_homogeneous_blocks_commute_with_factors(kind, factor, dtype):
    """Phi(a u, a v, a s; a sigma) is a Phi(u, v, s; sigma)."""
    block = block_of(kind, dtype, homogeneous=True)
    inputs = inputs_for(block)
    expected = factor * outputs(block, inputs)
    found = outputs(block, inputs, factor)
    assert relative(found, expected) < ROUNDING[dtype]


@pytest.mark.parametrize('factor', [2.0**-10, 2.0**10])
def test_powers_of_two_are_exact(factor, dtype):
    """For a power of two the law holds bit by bit."""
    block = block_of('C4', dtype, homogeneous=True)
    inputs = inputs_for(block)
    expected = factor * outputs(block, inputs)
    assert torch.equal(outputs(block, inputs, factor), expected)


def test_blocks_with_biases_do_not_commute_with_factors():
    """Without the option the law fails, so that it is no trivial one."""
    block = block_of('C4')
    inputs = inputs_for(block)
    expected = 10 * outputs(block, inputs)
    assert relative(outputs(block, inputs, 10), expected) > 1e-2


@pytest.mark.parametrize('kind', BLOCKS)
def test_shifts_are_added_to_the_output(kind, dtype):
    """Phi(u + b, v, s; sigma) is Phi(u, v, s; sigma) + (b, 0)."""
    block = block_of(kind, dtype, shift_equivariant=True)
    inputs = inputs_for(block)
    expected = in_unit(block, outputs(block, inputs), 1, 3)
    found = outputs(block, inputs, 1, 3)
    assert relative(found, expected) < 4 * ROUNDING[dtype]


@pytest.mark.parametrize('kind', [k for k in BLOCKS if 'periodic' not in k])
def test_shifts_of_a_part_are_added_there(kind):
    """The law holds for each neighbourhood, and not by the mean alone."""
    block = block_of(kind, torch.float64, shift_equivariant=True)
    inputs = inputs_for(block, (13, 40))
    shift = torch.zeros(40, dtype=torch.float64)
    shift[:20] = 3
    expected = in_unit(block, outputs(block, inputs), 1, shift)
    found = outputs(block, inputs, 1, shift)
    reach = (2 + block.n_residual_blocks) * (block.kernel_size // 2)
    for part in (slice(20 - reach), slice(20 + reach, None)):
        assert relative(found[..., part], expected[..., part]) < 1e-13


@pytest.mark.parametrize('skip', [False, True])
def test_sums_of_kernels(skip):
    """They are 1 where a shift is handed on, and 0 elsewhere."""
    block = block_of('C4', torch.float64, shift_equivariant=True, skip=skip)
    first, inner, last = (
        kernel.sum((1, 2, 3))
        for kernel in (
            block.kernels()[0][0][:, :1],
            *(kernel for kernel, _ in block.kernels()[1:]),
        )
    )
    assert torch.allclose(first, torch.ones_like(first))
    assert torch.allclose(inner, torch.zeros_like(inner), atol=1e-14)
    image = 0.0 if skip else 1.0
    ends = torch.tensor([image, 0.0, 0.0], dtype=torch.float64)
    assert torch.allclose(last, ends, atol=1e-14)


@pytest.mark.parametrize('kind', BLOCKS)
def test_both_together(kind, dtype):
    """Phi(a u + b; a sigma) is a Phi(u; sigma) + b."""
    block = block_of(kind, dtype, shift_equivariant=True, homogeneous=True)
    inputs = inputs_for(block)
    expected = in_unit(block, outputs(block, inputs), 0.3, -5)
    found = outputs(block, inputs, 0.3, -5)
    assert relative(found, expected) < 4 * ROUNDING[dtype]


def test_hounsfield_units():
    """A thousand units of rounding are those of the shift, and no more."""
    block = block_of('C4', shift_equivariant=True, homogeneous=True)
    inputs = inputs_for(block)
    expected = in_unit(block, outputs(block, inputs), 400, -1000)
    found = outputs(block, inputs, 400, -1000)
    assert relative(found, expected) < 1e-6


@pytest.mark.parametrize('kind', ['C4', 'D4', 'D4 to C2', 'C4, grid'])
@pytest.mark.parametrize('shift_equivariant', [False, True])
def test_values_compose_with_turns(kind, shift_equivariant):
    """Blocks commute with half turns, and the group keeps its meaning."""
    block = block_of(
        kind,
        torch.float64,
        homogeneous=True,
        shift_equivariant=shift_equivariant,
    )
    inputs = inputs_for(block, (13, 13))
    turns = 2 if kind == 'D4 to C2' else 1
    turned = {
        k: v if k == 'sigma' else torch.rot90(v, turns, (2, 3))
        for k, v in inputs.items()
    }
    expected = torch.rot90(outputs(block, inputs), turns, (2, 3))
    assert relative(outputs(block, turned), expected) < 1e-13


def test_reflections():
    """Sorted pairs of regular fields of D4 commute with reflections."""
    block = block_of('D4', torch.float64, shift_equivariant=True)
    inputs = inputs_for(block)
    flipped = {k: v if k == 'sigma' else v.flip(2) for k, v in inputs.items()}
    expected = outputs(block, inputs).flip(2)
    assert relative(outputs(block, flipped), expected) < 1e-13


def test_sort_pooling_keeps_what_it_sorts():
    """Each pair has the same two values afterwards, the greater one first."""
    x = torch.randn(2, 6, 5, 4)
    y = SortPooling()(x)
    pairs, given = (z.unflatten(1, (2, 3)) for z in (y, x))
    assert torch.equal(pairs.sort(1).values, given.sort(1).values)
    assert torch.all(pairs[:, 0] >= pairs[:, 1])


def test_constant_kernels_stay():
    """Kernels of the wanted sums are changed by rounding only."""
    block = block_of('C4', torch.float64, shift_equivariant=True)
    once = block.kernels()
    twice = with_unit_sums(once, block.in_channels, block.skip)
    for (a, _), (b, _) in zip(once, twice, strict=True):
        assert torch.allclose(a, b, atol=1e-14)


@pytest.mark.parametrize('convert', [to_convolutional, for_inference])
@pytest.mark.parametrize('kind', ['C4', 'D4 to C2', 'ordinary', 'SO2'])
def test_copies_compute_the_same(convert, kind):
    """Plain convolutions and fast copies have the same values and laws."""
    options = {'homogeneous': True, 'shift_equivariant': kind != 'SO2'}
    block = block_of(kind, torch.float64, **options)
    copy = convert(block)
    inputs = inputs_for(block)
    assert relative(outputs(copy, inputs), outputs(block, inputs)) < 1e-13
    assert copy.homogeneous and copy.shift_equivariant == (kind != 'SO2')
    assert not any(name.endswith('bias') for name in copy.state_dict())


def test_pieces_commute_with_shifts():
    """Computed in pieces, an image has the same result."""
    block = block_of('C4', torch.float64, shift_equivariant=True)
    inputs = inputs_for(block, (40, 37))
    quick = for_inference(block, tile=9)
    assert relative(outputs(quick, inputs), outputs(block, inputs)) < 1e-13


@pytest.mark.parametrize('plain', [False, True])
@pytest.mark.parametrize('shift_equivariant', [False, True])
def test_files_keep_the_options(plain, shift_equivariant, tmp_path):
    """A saved block is loaded as what it was."""
    block = block_of(
        'D4', homogeneous=True, shift_equivariant=shift_equivariant
    )
    block = to_convolutional(block) if plain else block
    path = tmp_path / 'block.safetensors'
    models.save(block, path)
    loaded = models.load(path)
    inputs = inputs_for(block)
    assert loaded.homogeneous
    assert loaded.shift_equivariant == shift_equivariant
    assert torch.equal(outputs(loaded, inputs), outputs(block, inputs))


def test_files_of_homogeneous_vector_fields(tmp_path):
    """Convolutions of several weights each have no biases in a file."""
    block = block_of('C4, vectors', homogeneous=True)
    path = tmp_path / 'block.safetensors'
    models.save(block, path)
    inputs = inputs_for(block)
    found = outputs(models.load(path), inputs)
    assert torch.equal(found, outputs(block, inputs))


@pytest.mark.slow
def test_onnx_keeps_the_laws(tmp_path):
    """An exported block is homogeneous and commutes with shifts, too."""
    onnxruntime = pytest.importorskip('onnxruntime')
    block = block_of('C4', homogeneous=True, shift_equivariant=True)
    (path,) = models.export_onnx(block, tmp_path / 'block.onnx')
    session = onnxruntime.InferenceSession(path)

    def run(**inputs):
        arrays = {k: v.numpy() for k, v in inputs.items()}
        return tuple(map(torch.from_numpy, session.run(None, arrays)))

    inputs = inputs_for(block)
    expected = in_unit(block, outputs(run, inputs), 30, 7)
    assert relative(outputs(run, inputs, 30, 7), expected) < 4e-6


def test_shifts_in_bfloat16(monkeypatch):
    """A shift adds no rounding errors of lowered precision."""
    monkeypatch.setenv('ODL_EQUIVARIANT_ALLOW_EMULATION', '1')
    block = block_of('C4', shift_equivariant=True, homogeneous=True)
    inputs = inputs_for(block)
    quick = for_inference(block, precision='bfloat16')
    found = in_unit(block, outputs(quick, inputs, 1, 10), 1, -10)
    assert relative(found, outputs(quick, inputs)) < 0.01


def test_derivatives_of_shifts():
    """In the direction of ones the derivative is one, and so its adjoint."""
    space = odl.rn((9, 8), dtype='float64')
    block = block_of(
        'C4',
        torch.float64,
        shift_equivariant=True,
        memory=0,
        gradient=False,
        noise_level=False,
    )
    point = space.element(np.random.default_rng(0).standard_normal((9, 8)))
    derivative = NetworkOperator(block, space).derivative(point)
    assert (derivative(space.one()) - space.one()).norm() < 1e-12
    back = derivative.adjoint(point)
    gap = back.inner(space.one()) - point.inner(space.one())
    assert abs(gap) < 1e-12


def test_gradients_reach_all_weights():
    """All coefficients of a block that commutes with shifts are trained."""
    block = block_of('C4', shift_equivariant=True, homogeneous=True)
    result = block(**inputs_for(block))
    torch.cat(result, 1).square().sum().backward()
    for parameter in block.parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0


@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
@pytest.mark.parametrize('memory', [0, 2])
def test_unrolled_networks_are_homogeneous_in_the_data(initial, memory):
    """Of homogeneous blocks, B(a y) is a B(y)."""
    space = odl.uniform_discr([0, 0], [1, 1], (9, 8), dtype='float64')
    operator = odl.MultiplyOperator(2.0 * space.one(), domain=space)

    def proximal():
        return block_of(
            'ordinary',
            torch.float64,
            homogeneous=True,
            memory=memory,
            noise_level=False,
        )

    network = LearnedProximalGradient(operator, proximal, 3, initial)
    torch.manual_seed(0)
    y = torch.randn(2, 1, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = 1e-3 * network(y)
        assert relative(network(1e-3 * y), expected) < 1e-13


def test_architectures_name_only_what_differs():
    """Without the options, weights are stored as they were."""
    block = OrdinaryProximal(channels=4)
    names = block.architecture['arguments']
    assert not {'homogeneous', 'shift_equivariant'} & names.keys()
    assert not (block.homogeneous or block.shift_equivariant)


@pytest.mark.parametrize('name', ['norm', 'gated'])
def test_other_nonlinearities_are_refused(name):
    """Non-linearities with a unit cannot be homogeneous."""
    with pytest.raises(ValueError, match="take 'fourier'"):
        EquivariantProximal(
            group='SO2', channels=12, nonlinearity=name, homogeneous=True
        )


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        ('C4', {'padding_mode': 'zeros'}, 'zeros past the boundary'),
        ('C4', {'channels': 12}, 'multiple of 8, got 12; .* 8 and 16'),
        ('ordinary', {'channels': 5}, 'multiple of 2, got 5; .* 4 and 6'),
        ('C4, vectors', {}, 'scalar values'),
        ('SO2', {}, 'finite groups'),
    ],
)
def test_what_does_not_shift_is_refused(kind, arguments, message):
    """What cannot commute with shifts is an error at construction."""
    with pytest.raises(ValueError, match=message):
        block_of(kind, shift_equivariant=True, **arguments)


@pytest.mark.parametrize('name', ['homogeneous', 'shift_equivariant'])
def test_options_are_bools(name):
    """A number is no option."""
    with pytest.raises(TypeError, match=name):
        OrdinaryProximal(channels=4, **{name: 1})
