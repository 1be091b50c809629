# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of blocks in pieces that keep little for their derivative."""

import contextlib
import itertools

import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.nn.blocks import derivative, network
from odl_equivariant.nn.blocks import pieces as _pieces

mode = simple_fixture('mode', ['replicate', 'reflect', 'zeros', 'circular'])
again = simple_fixture('again', [False, True])
dtype = simple_fixture('dtype', [torch.float64, torch.float32])
SIZES = {
    'one residual block': ((3, 3, 3), (23, 17), 8),
    'none': ((3, 3), (16, 16), 9),
    'wide kernels': ((5, 1, 5, 3), (25, 18), 7),
    'one piece': ((3, 3, 3, 3), (12, 21), None),
    'halos around the image': ((3, 3, 3), (4, 3), 2),
    'volumes': ((3, 3, 3), (9, 10, 8), 5),
    'one volume': ((3, 3, 3, 3), (8, 9, 8), None),
    'halos around the volume': ((3, 3, 3), (4, 3, 5), 2),
}
sizes = simple_fixture('sizes', SIZES)


def problem(sides, shape, dtype=torch.float64):
    """Return inputs, kernels, all of them in a list, and a direction."""
    generator = torch.Generator().manual_seed(5)

    def random(*size):
        numbers = torch.randn(*size, generator=generator, dtype=torch.float64)
        return numbers.to(dtype).requires_grad_()

    channels = [4, *[6] * (len(sides) - 1), 3]
    kernels = [
        (random(n_out, n_in, *len(shape) * (side,)), random(n_out))
        for side, (n_in, n_out) in zip(
            sides, itertools.pairwise(channels), strict=True
        )
    ]
    x = random(2, 4, *shape)
    flat = [x, *itertools.chain.from_iterable(kernels)]
    return x, kernels, flat, random(2, 3, *shape).detach()


def evaluated(again, *args):
    """Return the result of a block that keeps results, or inputs only."""
    context = derivative.recomputing() if again else contextlib.nullcontext()
    with context:
        return derivative.evaluate(*args)


def whole(x, kernels, mode, slope=0.1):
    """Return the same by torch, on the whole image."""
    image = network.WholeImage(mode)
    return network.residual_network(x, kernels, slope, image)


def close(ours, theirs, tol):
    """Assert that tensors are equal, relative to the norm of each."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() <= tol * other.norm()


def test_gradients(sizes, mode, again, dtype):
    """Results and gradients are those of torch for the whole image."""
    sides, shape, side = SIZES[sizes]
    if mode == 'circular' and min(shape) < 8:
        pytest.skip('torch pads by less than a period')
    x, kernels, flat, direction = problem(sides, shape, dtype)
    expected = whole(x, kernels, mode)
    found = evaluated(again, x, kernels, mode, 0.1, side)
    tol = 1e-12 if dtype == torch.float64 else 1e-5
    close([found], [expected], tol)
    close(
        torch.autograd.grad(found, flat, direction),
        torch.autograd.grad(expected, flat, direction),
        tol,
    )


@pytest.mark.parametrize('border', [-1, 0, 1])
def test_border_between_paths(border, again):
    """At the size where pieces begin, nothing but rounding changes."""
    block = EquivariantProximal(channels=48, memory=2)
    side = _pieces.side_for_cache(48, torch.float32) // 8 + border
    inputs = [
        torch.randn(64, n, side, side, requires_grad=True) for n in (1, 1, 2)
    ]

    def results(module):
        with derivative.recomputing() if again else contextlib.nullcontext():
            outputs = module(*inputs)
        loss = sum(y.square().sum() for y in outputs)
        tensors = [*inputs, *module.parameters()]
        return *outputs, *torch.autograd.grad(loss, tensors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pieces, '_CACHE_PER_THREAD', 2**40)
        expected = results(block)
    close(results(block), expected, 1e-5)


def test_second_derivatives(again):
    """Derivatives of second order are those of torch."""
    x, kernels, flat, _ = problem((3, 3, 3), (13, 9))

    def second(y):
        first = torch.autograd.grad(y.pow(3).sum(), flat, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), flat)

    close(
        second(evaluated(again, x, kernels, 'reflect', 0.1, 6)),
        second(whole(x, kernels, 'reflect')),
        1e-10,
    )


@pytest.mark.parametrize('needed', [[0], [1], [2, 4], [3], [6], [0, 5]])
def test_only_what_is_wanted(needed):
    """Whichever gradients are wanted, they are the same."""
    x, kernels, flat, direction = problem((3, 3, 3), (13, 9))
    for i, tensor in enumerate(flat):
        tensor.requires_grad_(i in needed)
    wanted = [flat[i] for i in needed]
    close(
        torch.autograd.grad(
            derivative.evaluate(x, kernels, 'zeros', 0.1, 6), wanted, direction
        ),
        torch.autograd.grad(whole(x, kernels, 'zeros'), wanted, direction),
        1e-12,
    )


def kept_bytes(compute):
    """Return how many bytes are kept for the derivative of a result."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = compute()
    assert result[0].requires_grad
    return sum(kept.values())


def test_little_is_kept(monkeypatch):
    """One array of all channels is kept, or none if it is computed again."""
    monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 64)
    module = OrdinaryProximal(channels=32, memory=2)
    x, memory = torch.randn(1, 1, 128, 96), torch.randn(1, 2, 128, 96)
    ideal = 4 * 32 * 128 * 96
    assert kept_bytes(lambda: module(x, x, memory)) < 1.35 * ideal
    with derivative.recomputing():
        assert kept_bytes(lambda: module(x, x, memory)) < 0.25 * ideal


def test_checkpointing_by_blocks(monkeypatch):
    """With checkpointing, a network keeps less, and computes the same bits."""
    monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 16)
    space = odl.rn((20, 24), dtype='float32')
    network_ = LearnedProximalGradient(
        odl.IdentityOperator(space),
        lambda: EquivariantProximal(channels=16, memory=2),
        3,
    )
    y, weights = torch.randn(2, 1, 20, 24), list(network_.parameters())
    found = []
    for network_.checkpointing in (False, True):
        loss = network_(y).square().sum()
        found.append(
            (
                kept_bytes(lambda: (network_(y),)),
                *torch.autograd.grad(loss, weights),
            )
        )
    (much, *expected), (little, *gradients) = found
    assert all(map(torch.equal, gradients, expected))
    assert little < 0.5 * much


def test_foreign_blocks_are_checkpointed():
    """Blocks that cannot compute again by themselves still keep little."""
    space = odl.rn((20, 24), dtype='float32')

    class Own(OrdinaryProximal):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)

    network_ = LearnedProximalGradient(
        odl.IdentityOperator(space),
        lambda: Own(channels=16),
        3,
        checkpointing=True,
    )
    y = torch.randn(2, 1, 20, 24)
    array = 4 * 16 * 20 * 24 * 2
    assert kept_bytes(lambda: (network_(y),)) < array
    network_(y).square().sum().backward()
    assert network_.blocks[0].lift.weight.grad.norm() > 0
