# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of unrolled networks with an operator for each sample."""

import collections

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.data import CartesianMRI, simulated_coil_maps
from odl_equivariant.elements import n_channels, tensor_dtype
from odl_equivariant.nn import (
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.nn.unrolled import layers as _layers
from odl_equivariant.operators import (
    OperatorLayer,
    SubsampledFourierTransform,
)
from odl_equivariant.operators.batching.per_sample import per_sample_operator

initial = simple_fixture('initial', ['zero', 'adjoint'])
precision = simple_fixture('precision', ['float32', 'float64'])
n_coils = simple_fixture('n_coils', [1, 3])

SHAPE = (9, 8)


def acquisition_for(precision='float64', n_coils=1):
    """Return an acquisition of one coil or several."""
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((n_coils, *SHAPE)) if n_coils > 1 else None
    return CartesianMRI(
        SHAPE, 2, random_masks=True, dtype=precision, coil_maps=maps
    )


def operators_of(acquisition):
    """Return operators of random masks, and one of all samples."""
    masks = [acquisition.draw_mask(seed) for seed in (1, 2, 3)]
    masks.append(np.ones((1, 1), bool))
    return [acquisition.forward_operator(mask) for mask in masks]


def network_for(operator, initial='adjoint'):
    """Return a network in the precision of an operator."""
    torch.manual_seed(0)
    dtype = tensor_dtype(operator.domain)

    def block():
        n = n_channels(operator.domain)
        return OrdinaryProximal(n, channels=8, memory=2).to(dtype)

    return LearnedProximalGradient(operator, block, 2, initial)


def data_for(operator, n):
    """Return random data."""
    torch.manual_seed(1)
    space = operator.range
    shape = (n, n_channels(space), *SHAPE)
    return torch.randn(shape, dtype=tensor_dtype(space))


def loop(monkeypatch):
    """Let the layers apply one operator after the other."""
    monkeypatch.setattr(_layers, 'per_sample_operator', lambda operators: None)


@pytest.fixture
def transforms(monkeypatch):
    """Return a counter of Fourier transforms of tensors."""
    counts = collections.Counter()

    def count(name):
        transform = getattr(torch.fft, name)

        def counted(*args, **kwargs):
            counts[name] += 1
            return transform(*args, **kwargs)

        monkeypatch.setattr(torch.fft, name, counted)

    count('fftn')
    count('ifftn')
    return counts


@pytest.mark.parametrize('order', [[0, 1, 2, 3], [3, 1, 0, 0], [1]])
def test_a_batch_is_its_samples(
    order, initial, precision, n_coils, monkeypatch
):
    """Values and gradients are the same as sample by sample."""
    operators = operators_of(acquisition_for(precision, n_coils))
    network = network_for(operators[0], initial)
    y = data_for(operators[0], len(order)).requires_grad_()
    inputs = [y, *network.parameters()]
    operators = [operators[i] for i in order]

    def results():
        result = network(y, operators)
        gradients = torch.autograd.grad(
            result.square().sum(), inputs, materialize_grads=True
        )
        return [result, *gradients]

    together = results()
    loop(monkeypatch)
    tolerance = {'float32': 1e-4, 'float64': 1e-11}[precision]
    torch.testing.assert_close(
        together, results(), rtol=tolerance, atol=tolerance
    )


def test_a_batch_is_transformed_at_once(initial, n_coils, transforms):
    """Masks for each sample need no more Fourier transforms than one mask."""
    own, *others = operators_of(acquisition_for(n_coils=n_coils))
    network = network_for(own, initial)
    y = data_for(own, 3)
    network(y, own).sum().backward()
    expected = dict(transforms)
    transforms.clear()
    network(y, others).sum().backward()
    assert transforms == expected
    # forwards twice, and backwards through the second image alone
    assert transforms['fftn'] == 3
    assert transforms['ifftn'] == 3 + (initial == 'adjoint')


@pytest.mark.parametrize('kind', ['zero', 'adjoint'])
def test_norms_of_samples(kind, monkeypatch):
    """Steps and initial values use the norm of each sample's operator."""
    space = odl.uniform_discr([0, 0], [1, 1], SHAPE)
    masks = np.ones(SHAPE), np.zeros(SHAPE)
    # a frequency, and not its negative
    masks[1][6, 5] = 1
    operators = [SubsampledFourierTransform(space, mask) for mask in masks]
    assert [own.norm() for own in operators] == [1.0, 0.5**0.5]
    network = network_for(operators[0], kind)
    y = data_for(operators[0], 2)
    together = network(y, operators)
    loop(monkeypatch)
    torch.testing.assert_close(together, network(y, operators))


def test_an_empty_batch(initial, n_coils):
    """An empty batch without operators gives no images."""
    operator = acquisition_for(n_coils=n_coils).operator
    network = network_for(operator, initial)
    result = network(data_for(operator, 0), [])
    assert result.shape == (0, 2, *SHAPE)


def test_operators_of_several_kinds(initial):
    """Operators of different types are applied sample by sample."""
    own, other, *_ = operators_of(acquisition_for())
    operators = [own, 2.0 * other, other.transform]
    network = network_for(own, initial)
    y = data_for(own, 3)
    together = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network(y[i : i + 1], operator)
        torch.testing.assert_close(together[i : i + 1], alone)


def test_drawn_operators_are_not_kept():
    """A network does not keep the operators of a batch."""
    own, *others = operators_of(acquisition_for())
    network = network_for(own)
    network(data_for(own, 3), others)
    assert len(network._operators) == 0


def test_checkpointing_with_operators_of_samples():
    """With checkpointing, gradients are the same."""
    own, *others = operators_of(acquisition_for())
    network, y = network_for(own), data_for(own, 3)
    gradients = []
    for network.checkpointing in (False, True):
        loss = network(y, others).square().sum()
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('mask_of_each', [False, True])
def test_coil_maps_of_each_sample(
    mask_of_each, initial, precision, monkeypatch
):
    """A batch with maps for each sample is its samples, with gradients."""
    acquisition = CartesianMRI(SHAPE, 2, n_coils=3, dtype=precision)
    operators = [
        acquisition.forward_operator(
            acquisition.draw_mask(seed) if mask_of_each else None,
            simulated_coil_maps(SHAPE, 3, seed),
        )
        for seed in (1, 2, 3)
    ]
    network = network_for(acquisition.operator, initial)
    y = data_for(operators[0], 3).requires_grad_()
    inputs = [y, *network.parameters()]

    def results():
        result = network(y, operators)
        gradients = torch.autograd.grad(
            result.square().sum(), inputs, materialize_grads=True
        )
        return [result, *gradients]

    at_once = results()
    loop(monkeypatch)
    tolerance = 1e-4 if precision == 'float32' else 1e-10
    for ours, theirs in zip(at_once, results(), strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=tolerance, atol=tolerance
        )


def test_adjoint_of_a_batch_with_coil_maps_of_each_sample():
    """The maps of a batch and their transpose are adjoint, with autograd."""
    acquisition = CartesianMRI(SHAPE, 2, n_coils=3, dtype='float64')
    operator = per_sample_operator(
        [
            acquisition.forward_operator(
                acquisition.draw_mask(seed),
                simulated_coil_maps(SHAPE, 3, seed),
            )
            for seed in (1, 2)
        ]
    )
    layer = OperatorLayer(operator)
    torch.manual_seed(0)
    u = torch.randn(2, 2, *SHAPE, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 6, *SHAPE, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((layer(u) * y).sum(), u)
    # the weights of both spaces are the same
    torch.testing.assert_close(gradient, layer.adjoint(y))
    torch.testing.assert_close(
        (layer(u) * y).sum(), (u * layer.adjoint(y)).sum()
    )
    assert torch.autograd.gradcheck(layer, u[:, :, :, :])
