# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the snapshots for quick reconstruction."""

import copy
import statistics
import time

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    inference,
)
from odl_equivariant.nn._precision import VARIABLE
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.operators import PerformanceWarning

padding_mode = simple_fixture(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
kernel_size = simple_fixture('kernel_size', [1, 3, 5])
has_bfloat16 = pytest.mark.skipif(
    not inference.has_bfloat16(torch.device('cpu')),
    reason='needs arithmetic in bfloat16',
)


def randomise(module):
    """Draw all weights anew, also those that start at zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * torch.randn_like(parameter))
    return module


def proximal(kind=OrdinaryProximal, **kwargs):
    """Return a proximal with random weights."""
    return randomise(kind(**{'channels': 8, 'memory': 2, **kwargs}))


def network_for(space, n_iterations=3, **kwargs):
    """Return an unrolled network with random weights."""
    return LearnedProximalGradient(
        0.5 * odl.IdentityOperator(space),
        lambda: proximal(EquivariantProximal, **kwargs),
        n_iterations,
    )


def space(n=12, dtype='float32'):
    """Return a space of small images."""
    return odl.uniform_discr([0, 0], [1, 1], (n, n), dtype=dtype)


def inputs(shape=(9, 11), n_images=2, dtype=torch.float32):
    """Return an image and a gradient."""
    return torch.randn(2, n_images, 1, *shape, dtype=dtype).unbind()


@torch.no_grad()
def error(ours, theirs, x):
    """Return the relative distance of the results of two modules."""
    ours, theirs = ours(*x), theirs(*x)
    if isinstance(ours, tuple):
        ours, theirs = torch.cat(ours, 1), torch.cat(theirs, 1)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    return ((ours - theirs).norm() / theirs.norm()).item()


# --- Pieces --- #


@pytest.mark.parametrize('n_residual_blocks', [0, 1, 2])
@pytest.mark.parametrize('shape', [(5, 5), (17, 8), (23, 31)])
def test_pieces_give_the_whole(
    padding_mode, kernel_size, n_residual_blocks, shape
):
    """Computing in pieces gives the result for the whole image."""
    block = proximal(
        padding_mode=padding_mode,
        kernel_size=kernel_size,
        n_residual_blocks=n_residual_blocks,
        skip=True,
    )
    x = inputs(shape, 2)
    for tile in (None, min(shape) // 5, 7, 16, np.int64(100), 'auto'):
        assert error(for_inference(block, tile=tile), block, x) < 1e-6


def test_pieces_are_no_larger_than_the_tile(monkeypatch):
    """A piece is at most the tile with the halo on both sides."""
    shapes = []
    layers = pieces.layers

    def spy(x, *arguments):
        shapes.append(tuple(x.shape))
        return layers(x, *arguments)

    monkeypatch.setattr(pieces, 'layers', spy)
    quick = for_inference(proximal(n_residual_blocks=2), tile=10)
    quick(*inputs((40, 33), 2))
    assert len(shapes) == 2 * 4 * 4
    assert max(max(shape[2:]) for shape in shapes) == 10 + 2 * 4
    assert {shape[0] for shape in shapes} == {1}
    shapes.clear()
    quick(*inputs((5, 5), 9))
    # as many images at once as have no more cells than a tile
    assert [shape[0] for shape in shapes] == [4, 4, 1]


def test_pieces_fit_into_the_memory(monkeypatch):
    """With 'auto', less memory gives smaller pieces."""
    sides = []
    for free in (2**20, 2**30):
        monkeypatch.setattr(pieces, '_free_memory', lambda device, f=free: f)
        block = for_inference(OrdinaryProximal(), tile='auto')
        sides.append(block._side(torch.device('cpu'), torch.float32))
    assert sides[0] < sides[1]
    assert 4 * 96 * sides[0] ** 2 < 2**20
    largest = pieces.side_for_cache(96, torch.float32)
    assert sides[1] == largest
    assert pieces._free_memory(torch.device('cpu')) > 2**20


def test_no_images():
    """An empty batch gives an empty batch."""
    quick = for_inference(proximal(), tile=4)
    u, s = quick(*inputs((9, 9), 0))
    assert u.shape == (0, 1, 9, 9) and s.shape == (0, 2, 9, 9)


# --- What a snapshot is --- #


@pytest.mark.parametrize('kind', [EquivariantProximal, OrdinaryProximal])
def test_snapshot_of_a_proximal(kind):
    """A snapshot computes the same, is frozen, and is a copy."""
    block = proximal(kind)
    expected = copy.deepcopy(block.state_dict())
    quick = for_inference(block)
    x = inputs()
    assert error(quick, block, x) < 1e-6
    assert block.training and not quick.training
    assert all(p.requires_grad for p in block.parameters())
    assert not any(p.requires_grad for p in quick.parameters())
    assert not quick(*x)[0].requires_grad
    with torch.no_grad():
        before = quick(*x)[0]
        for parameter in block.parameters():
            parameter.fill_(1)
        assert torch.equal(quick(*x)[0], before)
    quick.load_state_dict(for_inference(randomise(block)).state_dict())
    assert error(quick, block, x) < 1e-6
    assert expected.keys() == block.state_dict().keys()


def test_snapshot_of_a_denoiser():
    """A snapshot takes noise levels as the denoiser does."""
    block = proximal(memory=0, gradient=False, noise_level=True, in_channels=2)
    x = (torch.randn(2, 2, 9, 9), None, None, torch.tensor([0.1, 0.4]))
    assert error(for_inference(block, tile=4), block, x) < 1e-6


def test_checks_stay():
    """A snapshot refuses the same inputs as the proximal."""
    quick = for_inference(proximal())
    x, gradient = inputs()
    with pytest.raises(TypeError, match='needs `gradient`'):
        quick(x)
    with pytest.raises(TypeError, match='weights are in torch.float32'):
        quick(x.double(), gradient.double())
    with pytest.raises(ValueError, match='smaller than the kernel'):
        quick(*inputs((2, 9)))


def test_snapshot_of_an_unrolled_network():
    """A snapshot computes the same, and shared blocks stay shared."""
    network = network_for(space())
    y = torch.randn(2, 1, 12, 12)
    quick = for_inference(network, tile=5)
    assert type(quick) is LearnedProximalGradient
    assert quick.forward_operator is network.forward_operator
    assert error(quick, network, (y,)) < 1e-6
    shared = LearnedProximalGradient(
        network.forward_operator, network.blocks[0], 4
    )
    quick = for_inference(shared)
    assert len(quick.blocks) == 1
    assert error(quick, shared, (y,)) < 1e-6


def test_blocks_that_are_one_module():
    """A block that is given several times stays one module."""
    block = proximal()
    network = LearnedProximalGradient(
        odl.IdentityOperator(space()), lambda: block, 3
    )
    quick = for_inference(network)
    assert len(set(quick.blocks)) == 1
    assert error(quick, network, (torch.randn(1, 1, 12, 12),)) < 1e-6


class Derived(OrdinaryProximal):
    """A class that may do anything."""


@pytest.mark.parametrize(
    'make',
    [
        lambda: nn.Conv2d(1, 1, 3),
        lambda: None,
        lambda: Derived(channels=4),
        lambda: LearnedProximalGradient(
            odl.IdentityOperator(space()), lambda: Derived(channels=4), 1
        ),
    ],
)
def test_other_networks_are_refused(make):
    """Classes of users are refused, since they may compute anything."""
    with pytest.raises(TypeError, match='expected an `EquivariantProximal`'):
        for_inference(make())


# --- As an operator --- #


def test_operator_without_arguments_is_live():
    """Only without arguments, the operator follows the weights."""
    network = network_for(space())
    live = network.as_operator()
    quick = network.as_operator(precision='float32')
    y = live.domain.element(np.random.default_rng(0).random((12, 12)))
    before = live(y)
    scale = float(before.norm())
    assert float((quick(y) - before).norm()) < 1e-5 * scale
    with torch.no_grad():
        network.blocks[0].project.weight.mul_(2)
    assert float((live(y) - before).norm()) > 1e-3 * scale
    assert float((quick(y) - before).norm()) < 1e-5 * scale


@pytest.mark.parametrize(
    'arguments',
    [
        {'precision': 'float32'},
        {'tile': 5},
        {'precision': 'float64', 'tile': 'auto'},
    ],
)
def test_derivative_of_an_operator(arguments):
    """A snapshot has a derivative, and its adjoint."""
    network = network_for(space(), skip=True, negative_slope=0.3)
    live = network.as_operator()
    quick = network.as_operator(**arguments)
    rng = np.random.default_rng(0)
    point, h = (live.domain.element(rng.random((12, 12))) for _ in range(2))
    derivative = quick.derivative(point)
    expected = live.derivative(point)(h)
    gap = derivative(h) - expected
    assert float(gap.norm()) < 1e-4 * float(expected.norm())
    assert_adjoint(derivative, tol=1e-4)


# --- Precision --- #


def test_double_on_a_space_in_float32():
    """Only the convolutions are in float64; the result is in float32."""
    block = proximal()
    x = inputs()
    quick = for_inference(block, 'float64')
    assert error(quick, block, x) < 1e-6
    exact = copy.deepcopy(block).double()
    doubled = tuple(part.double() for part in x)
    with torch.no_grad():
        expected = torch.cat(exact(*doubled), 1)
        gaps = [
            (torch.cat(module(*x), 1) - expected).norm()
            for module in (quick, block)
        ]
    assert gaps[0] < 0.6 * gaps[1]


def test_single_on_a_space_in_float64():
    """Only the convolutions are in float32; the result is in float64."""
    block = proximal().double()
    x = inputs(dtype=torch.float64)
    assert 1e-9 < error(for_inference(block, 'float32'), block, x) < 1e-6
    assert error(for_inference(block), block, x) < 1e-13


@has_bfloat16
def test_bfloat16(padding_mode):
    """In bfloat16 the result has two to three digits."""
    block = proximal(EquivariantProximal, padding_mode=padding_mode)
    x = inputs()
    gaps = {
        precision: error(for_inference(block, precision, tile=4), block, x)
        for precision in ('bfloat16', 'auto')
    }
    assert gaps['bfloat16'] == gaps['auto']
    assert 1e-4 < gaps['bfloat16'] < 1e-2


def without_arithmetic(monkeypatch):
    """Let the processor emulate lower precisions."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2'
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('kind', [EquivariantProximal, OrdinaryProximal])
@pytest.mark.parametrize('shape', [(9, 11), (48, 48)])
def test_autocast_on_machines_without_it(kind, dtype, shape, monkeypatch):
    """Without bfloat16 arithmetic, autocast is refused."""
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *args: 20)
    block, x = proximal(kind), inputs(shape)
    without_arithmetic(monkeypatch)
    exact = block(*x)
    with torch.autocast('cpu', dtype):
        with pytest.raises(ValueError, match='arithmetic in .*float16 on cpu'):
            block(*x)
        # which computes in the precision that it was made for
        for_inference(block)(*x)
        # autocast leaves double precision as it is
        copy.deepcopy(block).double()(*(part.double() for part in x))
    with pytest.raises(ValueError, match=f'float32.*auto.*{VARIABLE}=1'):
        copy.deepcopy(block).to(dtype)(*(part.to(dtype) for part in x))
    assert torch.equal(block(*x)[0], exact[0])
    monkeypatch.setenv(VARIABLE, '1')
    with torch.autocast('cpu', dtype):
        gap = block(*x)[0] - exact[0]
    assert 0 < gap.norm() < 0.02 * exact[0].norm()


def test_autocast_around_a_network_on_such_machines(monkeypatch):
    """Autocast around an unrolled network or its operator is refused too."""
    network = network_for(space())
    without_arithmetic(monkeypatch)
    y = torch.randn(1, 1, 12, 12)
    with torch.autocast('cpu', torch.bfloat16):
        with pytest.raises(ValueError, match='no arithmetic in bfloat16'):
            network(y)
        with pytest.raises(ValueError, match='no arithmetic in bfloat16'):
            network.as_operator()(space().one())
    network(y)


def test_pieces_in_double_under_autocast(monkeypatch):
    """Autocast does not lower double precision, whole or in pieces."""
    block = proximal().double()
    x = inputs((40, 40), dtype=torch.float64)
    expected = block(*x)[0]
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *args: 16)
    with torch.autocast('cpu', torch.bfloat16):
        found = block(*x)[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_machines_without_bfloat16(monkeypatch):
    """Without bfloat16 arithmetic it is refused, and 'auto' stays exact."""
    without_arithmetic(monkeypatch)
    block = proximal()
    with pytest.raises(ValueError, match='no arithmetic in bfloat16 on cpu'):
        for_inference(block, 'bfloat16')
    assert error(for_inference(block, 'auto'), block, inputs()) < 1e-6


def test_regions_of_autocast_do_not_count():
    """A snapshot has its own precision, also within autocast."""
    quick = for_inference(proximal(), 'float32')
    x = inputs()
    expected = quick(*x)
    with torch.autocast('cpu', torch.bfloat16):
        result = quick(*x)
    assert torch.equal(result[0], expected[0])


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'precision': 'float16'}, ValueError, "`precision`.* got 'float16'"),
        ({'precision': torch.float32}, TypeError, '`precision` must be'),
        ({'precision': ['float32']}, TypeError, '`precision` must be'),
        ({'compile': 1}, TypeError, '`compile` must be True or False, got 1'),
        ({'compile': 'yes'}, TypeError, "got 'yes'"),
        ({'tile': 0}, ValueError, '`tile`.* a positive whole number.*got 0'),
        ({'tile': -3}, ValueError, '`tile`.* must be'),
        ({'tile': 2.5}, TypeError, '`tile`.* must be'),
        ({'tile': True}, TypeError, '`tile`.* must be'),
        ({'tile': 'all'}, ValueError, "`tile`.* 'auto' or None.*got 'all'"),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """Wrong arguments are refused, by the operator too."""
    with pytest.raises(error, match=match):
        for_inference(proximal(), **arguments)
    network = network_for(space(), 1)
    with pytest.raises(error, match=match):
        network.as_operator(**arguments)


# --- Compilation --- #


@pytest.fixture
def compiler(monkeypatch):
    """Put a list in place of the compiled layers, and return it."""
    functions = []
    monkeypatch.setattr(inference, '_compiler', lambda function: functions)
    return functions


def test_compiled_network_is_in_one_piece(compiler, monkeypatch):
    """A compiled network takes the whole image, unless a tile is given."""
    sizes = []

    def spy(x, *arguments):
        sizes.append(tuple(x.shape[2:]))
        return pieces.layers(x, *arguments)

    compiler.append(spy)
    monkeypatch.setattr(pieces, '_CACHE_PER_THREAD', 1)
    block = proximal()
    for tile, count in ((None, 1), (10, 4)):
        quick = for_inference(block, compile=True, tile=tile)
        assert error(quick, block, inputs((19, 17), 1)) < 1e-6
        assert len(sizes) == count
        sizes.clear()


@pytest.mark.parametrize(
    'capability, bits', [('AVX2', 256), ('AVX512', 512), ('DEFAULT', None)]
)
def test_compiled_code_is_for_the_vectors(monkeypatch, capability, bits):
    """What torch keeps on disk is not taken for vectors of another length."""
    given = []
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: capability
    )
    monkeypatch.setattr(
        torch, 'compile', lambda *args, **named: given.append(named)
    )
    inference._compiler.__wrapped__(pieces.layers)
    assert given[0]['options'] == {'cpp.simdlen': bits}


@pytest.mark.slow
def test_compiled_layers_give_the_same():
    """Compiled layers compute the same, or are not used."""
    block = proximal(padding_mode='circular')
    quick = for_inference(block, compile=True)
    try:
        for shape in ((9, 11), (13, 10)):
            assert error(quick, block, inputs(shape)) < 1e-6
    except PerformanceWarning:
        pytest.skip('there is no C++ compiler')
    assert len(inference._compiler(pieces.layers)) == 1


def test_layers_that_cannot_be_compiled(compiler):
    """Without a compiler there is one warning, and the layers are used."""

    def fail(*arguments):
        raise RuntimeError('no C++ compiler found')

    compiler.append(fail)
    block = proximal()
    quick = for_inference(block, compile=True)
    with pytest.warns(
        PerformanceWarning, match='no C\\+\\+ compiler found'
    ) as said:
        assert error(quick, block, inputs()) < 1e-6
    # the line of the user
    assert said[0].filename == __file__
    assert error(quick, block, inputs()) < 1e-6


def test_derivatives_are_not_compiled(compiler):
    """Derivatives use the layers without compilation."""

    def fail(*arguments):
        raise AssertionError

    network = network_for(space(), 1)
    quick = network.as_operator(compile=True)
    compiler.append(fail)
    one = quick.domain.one()
    assert_adjoint(quick.derivative(one), tol=1e-4)
    assert len(compiler) == 1


def test_precision_auto_is_never_the_slower_one(monkeypatch):
    """Without bfloat16 arithmetic it is float32; bfloat16 must be forced."""
    block, x = proximal(), inputs((12, 12))
    without_arithmetic(monkeypatch)
    auto, plain = for_inference(block, 'auto'), for_inference(block)
    assert torch.equal(auto(*x)[0], plain(*x)[0])
    with pytest.raises(ValueError, match=f'no arithmetic.*AVX2.*{VARIABLE}=1'):
        for_inference(block, 'bfloat16')
    monkeypatch.setenv(VARIABLE, '1')
    assert torch.equal(for_inference(block, 'auto')(*x)[0], plain(*x)[0])
    forced = for_inference(block, 'bfloat16')(*x)[0]
    assert not torch.equal(forced, plain(*x)[0])


@pytest.mark.slow
@has_bfloat16
def test_precision_auto_is_faster_where_it_lowers():
    """With bfloat16 arithmetic, 'auto' takes at most as long as float32."""
    block = EquivariantProximal(channels=64, memory=0).eval()
    x = 2 * [torch.randn(1, 1, 96, 96)]
    auto, plain = for_inference(block, 'auto'), for_inference(block, 'float32')
    ratios = []
    with torch.no_grad():
        for network in (auto, plain):
            network(*x)
        for _ in range(7):
            times = []
            for network in (auto, plain):
                # other processes do not count
                before = time.process_time()
                network(*x)
                times.append(time.process_time() - before)
            ratios.append(times[0] / times[1])
    assert statistics.median(ratios) < 1.1, ratios
