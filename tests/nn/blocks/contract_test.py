# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of what an unrolled network asks of its blocks."""

import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import (
    Block,
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
)

BLOCKS = {
    'equivariant': lambda: EquivariantProximal(channels=4, memory=1),
    'ordinary': lambda: OrdinaryProximal(channels=3, memory=0),
    'inference': lambda: for_inference(OrdinaryProximal(channels=3)),
}
dtype = simple_fixture('dtype', ['float32', 'complex128'])


class Plain(nn.Module):
    """Gradient step without any other member."""

    def forward(self, x, gradient):
        return x - gradient


class Inherited(nn.Module, Block):
    """The same, with the members of the contract."""

    def forward(self, x, gradient):
        return x - gradient


class Recording(nn.Module):
    """Block with a memory, which records what it is given."""

    memory = 2

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, gradient, memory):
        self.calls.append((x, gradient, memory))
        return x - 0.5 * gradient, x.new_ones(len(x), 2, *x.shape[2:])


def operator(dtype='float32', shape=(4, 5), backend='numpy'):
    """Return a small operator between weighted spaces."""
    space = odl.uniform_discr([0, 0], [1, 2], shape, dtype=dtype, impl=backend)
    return 3 * odl.IdentityOperator(space)


def network_for(block, n_iterations=2, dtype='float32', backend='numpy'):
    """Return a network with steps that differ."""
    network = LearnedProximalGradient(
        operator(dtype, backend=backend), block, n_iterations
    )
    with torch.no_grad():
        network.relative_steps.copy_(torch.linspace(0.5, 1, n_iterations))
    return network


def data(network, n=2, seed=0):
    """Return random data for a network."""
    space = network.forward_operator.range
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(
        (n, 2 if space.is_complex else 1, *space.shape), generator=generator
    )
    return y.to(network.relative_steps.dtype)


# --- Which modules are blocks --- #


@pytest.mark.parametrize('name', BLOCKS)
def test_blocks_of_the_package_fulfil_the_contract(name):
    """They have all members."""
    assert isinstance(BLOCKS[name](), Block)


def test_members_that_are_left_out(dtype):
    """A module alone is one with the members of `Block`."""
    ours, theirs = (
        network_for(kind, dtype=dtype) for kind in (Plain, Inherited)
    )
    y = data(ours)
    assert isinstance(Inherited(), Block)
    assert not isinstance(Plain(), Block)
    assert ours.memory == theirs.memory == 0
    assert torch.equal(ours(y), theirs(y))
    for copied in (copy.deepcopy(theirs), pickle.loads(pickle.dumps(theirs))):
        assert torch.equal(copied(y), theirs(y))


def with_members(**members):
    """Return what makes a plain block with some members."""

    def make():
        block = Plain()
        for name, value in members.items():
            setattr(block, name, value)
        return block

    return make


class OneArgument(nn.Module):
    """Module of an image alone."""

    def forward(self, x):
        return x


class FourArguments(nn.Module):
    """Module that asks for more than there is."""

    def forward(self, x, gradient, memory, sigma):
        return x, memory


class Reversed(Block, nn.Module):
    """Block whose `forward` is that of the protocol."""


@pytest.mark.parametrize(
    'make, error, match',
    [
        (with_members(memory='2'), TypeError, '`memory`.*Plain.*got str'),
        (with_members(memory=1.5), TypeError, '`memory`.*got float'),
        (with_members(memory=-1), ValueError, '`memory`.*got -1'),
        (
            with_members(memory=nn.Linear(1, 1)),
            TypeError,
            '`memory`.*memory channels.*got Linear',
        ),
        (with_members(gradient='no'), TypeError, '`gradient`.*got str'),
        (with_members(gradient=False), ValueError, 'gradient=True'),
        (with_members(gradient=None), ValueError, 'gradient=True'),
        (with_members(gradient=np.False_), ValueError, 'gradient=True'),
        (
            with_members(noise_level=torch.ones(2)),
            TypeError,
            '`noise_level`.*True or False.*got Tensor',
        ),
        (with_members(noise_level=1), ValueError, 'noise_level=False'),
        (with_members(check_space=3), TypeError, '`check_space`.*got int'),
        (with_members(precomputed={}), TypeError, '`precomputed`.*got dict'),
        (with_members(memory=2), TypeError, r'forward\(x, gradient, memory\)'),
        (nn.Module, TypeError, r'has no `forward`.*forward\(x, gradient\)'),
        (Reversed, TypeError, 'has no `forward`'),
        (OneArgument, TypeError, r'called as.*but has `forward\(x\)`'),
        (FourArguments, TypeError, "missing.*'memory'"),
        (lambda: nn.Conv2d(1, 1, 1), TypeError, r'Conv2d.*forward\(input'),
    ],
)
def test_members_that_are_wrong(make, error, match):
    """The error comes when the network is made, and names the member."""
    with pytest.raises(error, match=match):
        LearnedProximalGradient(operator(), make, 2)


def test_other_meanings_of_names():
    """A method or layer of the name of a flag is none, and None is False."""
    make = with_members(
        gradient=nn.Linear(1, 1), noise_level=None, memory=None
    )
    network = network_for(make)
    y = data(network)
    assert torch.equal(network(y), network_for(Plain)(y))


def test_space_is_checked_at_once():
    """What a block of one's own refuses is refused."""

    class Square(Plain):
        def check_space(self, space):
            if len(set(space.shape)) > 1:
                raise ValueError('no square')

    with pytest.raises(ValueError, match='no square'):
        LearnedProximalGradient(operator(), Square)
    LearnedProximalGradient(operator(shape=(4, 4)), Square)


# --- What a block is given --- #


def test_blocks_take_the_scaled_gradient(dtype):
    """Block k is given tau_k A^* (A u - y), and its memory."""
    network = network_for(Recording, 3, dtype)
    y = data(network)
    with torch.no_grad():
        network(y)
    squared = float(network.forward_operator.norm(estimate=True)) ** 2
    for k in range(3):
        ((u, gradient, memory),) = network.block(k).calls
        step = float(network.relative_steps[k].detach()) / squared
        torch.testing.assert_close(gradient, step * 3 * (3 * u - y))
        assert (memory is None) == (k == 0)
        assert k == 0 or torch.equal(memory, torch.ones_like(memory))


def test_proximals_scale_the_gradient_once(dtype, backend):
    """Those of elements take the gradient alone, and blocks its multiple."""
    network = network_for(Recording, 2, dtype, backend)
    space = network.forward_operator.domain
    x, gradient = (
        as_element(data(network, 1, seed), space) for seed in (1, 2)
    )
    network.proximals[1](x, gradient)
    ((u, scaled, memory),) = network.block(1).calls
    torch.testing.assert_close(u, as_tensor(x))
    expected = network.step(1).detach() * as_tensor(gradient)
    torch.testing.assert_close(scaled, expected)
    assert memory is None


@pytest.mark.parametrize('checkpointing', [False, True])
@pytest.mark.parametrize('shared', [False, True])
def test_precomputed_arguments(shared, checkpointing):
    """They are made once for each block and batch, and always handed on."""
    made, given = [], []

    class Doubling(Plain):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def precomputed(self):
            made.append(self)
            return {'factor': 2 * self.weight}

        def forward(self, x, gradient, factor=None):
            given.append(factor)
            return x - factor * gradient

    network = LearnedProximalGradient(
        operator(),
        Doubling() if shared else Doubling,
        4,
        checkpointing=checkpointing,
    )
    network(data(network)).square().sum().backward()
    assert len(made) == len(set(made)) == (1 if shared else 4)
    assert all(factor is not None for factor in given)
    assert all(block.weight.grad is not None for block in network.blocks)


def test_derived_class_with_a_forward_of_its_own():
    """It is called as it was written, without precomputed kernels."""

    class Derived(OrdinaryProximal):
        def forward(self, x, gradient):
            return super().forward(x, 0.5 * gradient)

    network = network_for(lambda: Derived(channels=3, memory=0))
    y = data(network)
    expected = torch.zeros_like(y)
    for k in range(2):
        gradient = 0.5 * network.step(k) * 3 * (3 * expected - y)
        expected = OrdinaryProximal.forward(
            network.block(k), expected, gradient
        )
    torch.testing.assert_close(network(y), expected)


# --- What a block returns --- #


class Returning(nn.Module):
    """Block that returns what a function makes of its image."""

    def __init__(self, function, memory=0):
        super().__init__()
        self.function, self.memory = function, memory

    def forward(self, x, gradient, memory=None):
        return self.function(x)


@pytest.mark.parametrize(
    'function, memory, error, match',
    [
        # of a batch of two, which could be taken apart
        (lambda x: x, 1, TypeError, r'tuple \(x, memory\), .*got Tensor'),
        (lambda x: (x, x, x), 1, TypeError, 'got tuple'),
        (lambda x: (x, x), 0, TypeError, 'must return a tensor.*got tuple'),
        (lambda x: None, 0, TypeError, 'got NoneType'),
        (lambda x: x[:, :1], 0, ValueError, r'shape \(2, 2, 4, 5\)'),
        (lambda x: (x[..., :1], x), 1, ValueError, r'got \(2, 2, 4, 1\)'),
    ],
)
def test_results_that_do_not_fit(function, memory, error, match):
    """What another iteration could not take is an error in each of them."""
    network = network_for(
        lambda: Returning(function, memory), 1, dtype='complex64'
    )
    y = data(network)
    with pytest.raises(error, match=match):
        network(y)
