# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of kernels that are expanded in one go."""

import copy
import threading

import pytest
import torch
from torch import nn

from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal
from odl_equivariant.nn.blocks.contract import (
    precomputed_of,
    precomputed_of_all,
)
from odl_equivariant.nn.layers import Fields
from odl_equivariant.nn.layers import SteerableConvolution as PublicConvolution
from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.expansion import expanded_together
from odl_equivariant.nn.steerable.orbits import OrbitConvolution


def plane(**named):
    """Return a convolution between regular fields of C4."""
    named = {'basis': 'grid', **named}
    return SteerableConvolution(2, 3, 'regular', 'regular', 'C4', **named)


def space(**named):
    """Return a convolution between regular fields of O."""
    return OrbitConvolution(1, 2, 'regular', 'regular', 'O', **named)


def mixed():
    """Return a convolution between fields of two kinds."""
    fields = Fields('D4', trivial=2, regular=1)
    return PublicConvolution(fields, fields)


def randomised(layers, dtype=torch.float64):
    """Return modules with random parameters, also where they start at 0."""
    torch.manual_seed(0)
    layers = nn.ModuleList(layers).to(dtype)
    for parameter in layers.parameters():
        nn.init.normal_(parameter)
    return layers


def kernels_of(layers):
    """Return all kernels and biases."""
    return [part for layer in layers for part in layer.kernel()]


@pytest.fixture
def counted(monkeypatch):
    """Note for how many layers each expansion is."""
    sizes = []
    for kind in (SteerableConvolution, OrbitConvolution):
        expand = kind._expand

        def noted(self, weights, biases, expand=expand):
            sizes.append(len(weights))
            return expand(self, weights, biases)

        monkeypatch.setattr(kind, '_expand', noted)
    return sizes


@pytest.mark.parametrize('make', [plane, space, mixed])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_together_is_one_by_one(make, dtype, counted):
    """Values and gradients are those of the layers alone."""
    layers = randomised([make() for _ in range(3)], dtype)
    alone = kernels_of(layers)
    counted.clear()
    with expanded_together(layers):
        together = kernels_of(layers)
    assert set(counted) == {3}
    weights = [torch.randn_like(kernel) for kernel in alone]
    parameters = list(layers.parameters())
    gradients = [
        torch.autograd.grad(kernels, parameters, weights, allow_unused=True)
        for kernels in (alone, together)
    ]
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(
        (together, gradients[1]),
        (alone, gradients[0]),
        rtol=tolerance,
        atol=tolerance,
    )


def test_kinds_are_kept_apart(counted):
    """Layers that differ in anything that matters are expanded apart."""
    frozen = plane()
    frozen.weight.requires_grad_(False)
    pairs = [
        (plane(), plane(padding_mode='zeros')),
        (plane(basis='mixed'),),
        (plane(basis='fourier'), plane(basis='fourier')),
        (plane(bias=False),),
        (plane(kernel_size=5),),
        (frozen,),
        (space(), space()),
        (SteerableConvolution(3, 2, 'regular', 'regular', 'C4'),),
    ]
    layers = randomised([layer for pair in pairs for layer in pair])
    frozen.weight.requires_grad_(False)
    alone = kernels_of(layers)
    counted.clear()
    with expanded_together(layers):
        together = kernels_of(layers)
    assert sorted(counted) == [1] * 5 + [2] * 3
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    assert [k.requires_grad for k in together] == [
        k.requires_grad for k in alone
    ]


def test_a_layer_that_comes_twice(counted):
    """Shared layers are expanded once, and copies give the same."""
    layer, other = plane(), plane()
    copied = copy.deepcopy(layer)
    with expanded_together([layer, nn.Sequential(layer, copied), other]):
        kernels = layer.kernel()[0], copied.kernel()[0]
        other.kernel()
    assert sorted(counted) == [1, 2]
    torch.testing.assert_close(*kernels)


def test_kernels_without_gradients():
    """What is asked for without gradients takes none from the others."""
    layers = randomised([plane(), plane()])
    with expanded_together(layers):
        with torch.no_grad():
            norm = layers[0].kernel()[0].norm()
        kernels = kernels_of(layers)
    assert all(kernel.requires_grad for kernel in kernels)
    assert norm == kernels[0].norm()


@torch.no_grad()
def test_changes_do_not_leak():
    """A kernel that is changed in place is that of its taker only."""
    layers = randomised([plane(), plane()])
    expected = layers[0].kernel()[0].clone()
    with expanded_together(layers):
        layers[0].kernel()[0].zero_()
        torch.testing.assert_close(layers[0].kernel()[0], expected)


def test_kernels_alone_can_be_changed():
    """Outside of the context, kernels are arrays of their own."""
    layer = plane()
    for part in layer.kernel():
        part.mul_(2).sum().backward(retain_graph=True)
    assert layer.weight.grad is not None


def test_compiled_in_one_graph():
    """Torch can compile and export blocks as a whole."""
    block = EquivariantProximal(channels=8, memory=0).eval()
    x = torch.randn(1, 1, 12, 12)
    compiled = torch.compile(block, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(x, x), block(x, x))
    exported = torch.export.export(block, (x, x), strict=True)
    torch.testing.assert_close(exported.module()(x, x), block(x, x))


def test_context_ends(counted):
    """After the context, also after an error, layers are on their own."""
    layers = [plane(), plane()]
    with (
        pytest.raises(RuntimeError, match='stop'),
        expanded_together(layers),
    ):
        kernels_of(layers)
        raise RuntimeError('stop')
    with torch.no_grad():
        layers[0].weight.add_(1)
    counted.clear()
    changed = layers[0].kernel()[0]
    assert counted == [1]
    with expanded_together(layers):
        torch.testing.assert_close(layers[0].kernel()[0], changed)


def test_other_threads_are_not_concerned(counted):
    """A context is that of its thread."""
    layers = [plane(), plane()]
    with expanded_together(layers):
        thread = threading.Thread(target=layers[0].kernel)
        thread.start()
        thread.join()
    assert counted == [1]


@pytest.mark.parametrize(
    'kwargs',
    [
        {'group': 'C4'},
        {'group': 'C8'},
        {'group': 'O'},
        {'group': 'C4', 'shift_equivariant': True},
    ],
)
def test_blocks(kwargs, counted):
    """The blocks of a network are expanded together."""
    blocks = randomised(
        [
            EquivariantProximal(channels=24, n_residual_blocks=3, **kwargs)
            for _ in range(4)
        ]
    )
    expected = {block: precomputed_of(block) for block in blocks}
    counted.clear()
    result = precomputed_of_all(blocks)
    # the first, the three in the middle, and the last of all blocks
    assert sorted(counted) == [4, 4, 12]
    assert list(result) == list(blocks)
    for block in blocks:
        torch.testing.assert_close(
            result[block], expected[block], rtol=1e-12, atol=1e-12
        )


def test_ordinary_blocks():
    """Blocks without coefficients have their own kernels."""
    block = OrdinaryProximal(channels=4)
    (arguments,) = precomputed_of_all([block, block]).values()
    assert arguments['kernels'][0][0] is block.lift.weight
