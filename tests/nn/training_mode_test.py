# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Laws of unrolled networks in training: operators, memory, precision."""

import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import Rotation
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.nn.steerable import convolutions
from odl_equivariant.operators import (
    CartesianMask,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
)

block = simple_fixture('block', [EquivariantProximal, OrdinaryProximal])
shared = simple_fixture('shared', [False, True])
initial = simple_fixture('initial', ['zero', 'adjoint'])

SHAPE = (9, 8)


def space(dtype='complex64'):
    """Return a space of complex images with square cells."""
    extent = [n / 8 for n in SHAPE]
    return odl.uniform_discr([0, 0], extent, SHAPE, dtype=dtype)


def transform(seed, dtype='complex64', scale=None):
    """Return a Fourier transform with a mask of its own."""
    mask = CartesianMask(SHAPE, 2, seed=seed)
    operator = SubsampledFourierTransform(space(dtype), mask)
    return operator if scale is None else scale * operator


def network_for(operator, block=EquivariantProximal, shared=False, **kwargs):
    """Return an unrolled network with weights that are all at work."""
    torch.manual_seed(3)
    double = 'complex128' in str(operator.domain.dtype_identifier)

    def make():
        module = block(2, channels=8, memory=3)
        return module.double() if double else module

    network = LearnedProximalGradient(
        operator, make() if shared else make, 3, **kwargs
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def data_for(operators):
    """Return data of random images, one for each operator."""
    layers = [OperatorLayer(operator) for operator in operators]
    dtype = layers[0]._dtype
    x = torch.randn(len(operators), 2, *SHAPE, dtype=dtype)
    return torch.cat(
        [layer(image[None]) for layer, image in zip(layers, x, strict=True)]
    )


# --- Several operators --- #


def test_operators_of_a_batch(initial, block):
    """Each sample is reconstructed with its own operator."""
    operators = [transform(seed, 'complex128') for seed in (1, 2, 1, 3)]
    operators[2] = operators[0]
    network = network_for(operators[3], block, initial=initial)
    y = data_for(operators)
    together = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network.with_operator(operator)(y[i : i + 1])
        torch.testing.assert_close(
            together[i : i + 1], alone, rtol=1e-12, atol=1e-12
        )
    wrong = network(y)
    assert not torch.allclose(wrong[0], together[0], rtol=0.01)
    torch.testing.assert_close(wrong[3], together[3])


def test_operators_of_a_batch_have_steps_of_their_own():
    """Steps are relative to the norm of each sample's operator."""
    small, large = (transform(1, 'complex128', s) for s in (1.0, 3.0))
    network = network_for(small)
    y = data_for([small])
    together = network(torch.cat([y, 3 * y]), [small, large])
    torch.testing.assert_close(*together, rtol=1e-10, atol=1e-10)


def test_one_other_operator():
    """One operator applies to all samples, and gradients pass through it."""
    own, other = transform(1), transform(2)
    network = network_for(own)
    y = data_for([other, other])
    result = network(y, other)
    assert torch.equal(result, network(y, [other, other]))
    torch.testing.assert_close(result, network.with_operator(other)(y))
    (gradient,) = torch.autograd.grad(
        result.square().sum(), network.relative_steps
    )
    assert (gradient != 0).all()


def test_operators_of_several_coils():
    """Coil sensitivities may differ from sample to sample, too."""
    operators = []
    for seed in (1, 2):
        maps = torch.randn(3, *SHAPE, dtype=torch.complex64)
        encoding = SensitivityEncoding(space(), maps).normalised()
        mask = CartesianMask(SHAPE, 2, seed=seed)
        operators.append(
            SubsampledFourierTransform(encoding.range, mask) * encoding
        )
    network = network_for(operators[0])
    y = torch.randn(2, 6, *SHAPE)
    together = network(y, operators)
    alone = network.with_operator(operators[1])(y[1:])
    torch.testing.assert_close(together[1:], alone)


def test_reconstruction_equivariance_with_operators_of_a_batch():
    """For any data, ``Phi(y; A_i T) = T^-1 Phi(y; A_i)`` in one batch."""
    square = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype='complex128')
    turn = Rotation(square, np.pi / 2)
    operators = [
        SubsampledFourierTransform(square, CartesianMask((8, 8), 2, seed=s))
        for s in (1, 2)
    ]
    network = network_for(operators[0], initial='adjoint')
    y = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    turned = network(y, [operator * turn for operator in operators])
    expected = OperatorLayer(turn.inverse)(network(y, operators))
    torch.testing.assert_close(turned, expected, rtol=1e-10, atol=1e-10)


def test_operators_are_forgotten():
    """Networks keep a bounded number of operators, and pickle none."""
    network = network_for(transform(0))
    for seed in range(40):
        other = transform(seed)
        network(data_for([other]), other)
    assert len(network._operators) == 32
    assert not len(pickle.loads(pickle.dumps(network))._operators)
    assert not len(copy.deepcopy(network)._operators)


@pytest.mark.parametrize(
    'operators, error, match',
    [
        ('fourier', TypeError, 'one for each sample, got str'),
        ([None, None], TypeError, 'one for each sample, got NoneType'),
        ([transform(1)], ValueError, 'each of 2 samples, got 1'),
        (
            transform(1, 'complex128'),
            ValueError,
            'for other spaces, take `network.with_operator',
        ),
        (
            [transform(1), odl.IdentityOperator(odl.rn(SHAPE))],
            ValueError,
            'must map between the spaces',
        ),
    ],
)
def test_operators_that_do_not_fit(operators, error, match):
    """Operators must fit the samples and the spaces of the network."""
    network = network_for(transform(0))
    if operators == 'fourier':
        operators = 'ab'
    with pytest.raises(error, match=match):
        network(torch.zeros(2, 2, *SHAPE), operators)


def test_other_operator_needs_another_start():
    """An operator as the initial value belongs to one forward operator."""
    own, other = transform(1), transform(2)
    network = network_for(own, initial=own.adjoint)
    with pytest.raises(ValueError, match='start.* at a reconstruction'):
        network(torch.zeros(1, 2, *SHAPE), other)
    with pytest.raises(ValueError, match='start.* at a reconstruction'):
        network.with_operator(other)
    moved = network.with_operator(other, other.adjoint)
    assert moved(torch.zeros(1, 2, *SHAPE)).shape == (1, 2, *SHAPE)


def test_with_operator_shares_the_weights(shared):
    """Training a network on another grid trains the original."""
    network = network_for(transform(1), shared=shared)
    larger = odl.uniform_discr([0, 0], [1, 1], (12, 12), dtype='complex64')
    mask = CartesianMask((12, 12), 2)
    other = network.with_operator(SubsampledFourierTransform(larger, mask))
    pairs = zip(network.parameters(), other.parameters(), strict=True)
    assert all(own is shared for own, shared in pairs)


def test_with_operator_of_another_precision():
    """Weights of another precision are refused."""
    with pytest.raises(TypeError, match='weights are in torch.float32'):
        network_for(transform(1)).with_operator(transform(1, 'complex128'))


# --- Memory and speed of training --- #


def gradients(network, y):
    """Return the result of a network and the gradients of its weights."""
    network.zero_grad()
    result = network(y)
    result.square().sum().backward()
    return [result.detach(), *(p.grad.clone() for p in network.parameters())]


def test_checkpointing_changes_nothing(block, shared, initial):
    """Checkpointing gives the same bits, for result and gradients."""
    operator = transform(1)
    network = network_for(operator, block, shared, initial=initial)
    y = data_for([operator, operator])
    expected = gradients(network, y)
    network.checkpointing = True
    for one, other in zip(gradients(network, y), expected, strict=True):
        assert torch.equal(one, other)


def test_checkpointing_saves_memory():
    """With checkpointing, the memory is that of one iteration."""
    operator = transform(1)

    def saved(network):
        size = 0

        def pack(tensor):
            nonlocal size
            if tensor.ndim == 4 and tensor.shape[-1] >= SHAPE[-1]:
                size += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            network(data_for([operator]))
        return size

    network = network_for(operator)
    everything = saved(network)
    network.checkpointing = True
    assert saved(network) < 0.2 * everything


@pytest.mark.parametrize('checkpointing', [False, True])
def test_kernels_are_expanded_once(monkeypatch, checkpointing):
    """The kernels of a shared block are made once for all iterations."""
    operator = transform(1)
    network = network_for(operator, shared=True, checkpointing=checkpointing)
    made = []
    expand = convolutions.SteerableConvolution.kernel

    def counted(self):
        made.append(self)
        return expand(self)

    monkeypatch.setattr(convolutions.SteerableConvolution, 'kernel', counted)
    network(data_for([operator])).square().sum().backward()
    assert len(made) == len(set(made)) == 3


def test_kernels_follow_the_weights(shared):
    """After a step of training, kernels are made anew."""
    operator = transform(1)
    network = network_for(operator, shared=shared)
    y = data_for([operator])
    before = network(y)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    fresh = network_for(operator, shared=shared)
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(network(y), fresh(y))
    assert not torch.allclose(network(y), before)


def test_channels_last(block):
    """The memory format does not change the result."""
    operator = transform(1)
    network = network_for(operator, block)
    y = data_for([operator, operator])
    expected = gradients(network, y)
    formats = []
    network.to(memory_format=torch.channels_last)
    network.blocks[0].residual[0].register_forward_hook(
        lambda module, inputs, output: formats.extend([inputs[0], output])
    )
    for one, other in zip(gradients(network, y), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for tensor in formats:
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert copy.deepcopy(network).blocks[0]._order.stride(1) == 1


def test_autocast(block):
    """In bfloat16, iterates are in float32, and gradients are close."""
    operator = transform(1)
    network = network_for(operator, block)
    y = data_for([operator, operator])
    expected = gradients(network, y)
    with torch.autocast('cpu', torch.bfloat16):
        result = network(y)
    assert result.dtype == torch.float32
    network.zero_grad()
    result.square().sum().backward()
    lowered = [result.detach(), *(p.grad for p in network.parameters())]
    for one, other in zip(lowered, expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 0.1 * other.norm()


def test_autocast_keeps_the_symmetry_of_kernels():
    """Rounding to bfloat16 keeps the symmetry of kernels."""
    block = EquivariantProximal(2, channels=8, memory=0, gradient=False)
    x = torch.randn(1, 2, 9, 9)
    with torch.autocast('cpu', torch.bfloat16):
        kernel, _ = block.project.kernel()
        gap = block(x.rot90(1, (2, 3))) - block(x).rot90(1, (2, 3))
    assert kernel.dtype == torch.float32
    # the order of summation remains
    assert gap.abs().max() < 0.02 * block(x).abs().max()
