# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the learned proximal gradient method as an ODL solver."""

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from odl.functionals import L1Norm, L2NormSquared

from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, n_channels, tensor_dtype
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.solvers import learned_proximal_gradient

dtype = simple_fixture('dtype', ['float32', 'complex128'])


def forward_operator(dtype='float32', backend='numpy', size=6):
    """Return a small ray transform."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, 4, 9)
    return RayTransform(space, geometry, impl='astra_matrix')


def gradient_of_fit(operator, data):
    """Return the gradient of half the squared distance to data."""
    fit = L2NormSquared(operator.range).translated(data)
    return 0.5 * (fit @ operator).gradient


def network_for(operator, block=OrdinaryProximal, **kwargs):
    """Return an untrained unrolled network with steps that differ."""
    arguments = {'channels': 4, **kwargs}
    space = operator.domain
    network = LearnedProximalGradient(
        operator,
        lambda: block(in_channels=n_channels(space), **arguments).to(
            tensor_dtype(space)
        ),
        n_iterations=3,
    )
    with torch.no_grad():
        network.relative_steps.copy_(torch.tensor([0.8, 1.0, 1.3]))
    return network


def close(ours, theirs, tol=1e-5):
    """Assert that two elements or tensors are equal to rounding."""
    ours, theirs = (
        x if isinstance(x, torch.Tensor) else as_tensor(x)
        for x in (ours, theirs)
    )
    if ours.dtype == torch.float64:
        tol = 1e-12
    torch.testing.assert_close(ours, theirs, rtol=tol, atol=tol)


# --- The unrolled network --- #


@pytest.mark.parametrize('memory', [0, 5])
def test_solver_equals_the_unrolled_network(memory, dtype, backend, rng):
    """The iteration on elements is that of the network on tensors."""
    operator = forward_operator(dtype, backend)
    network = network_for(operator, memory=memory)
    y = random_element(operator.range, rng)
    x = operator.domain.zero()
    learned_proximal_gradient(
        x, network.proximals, gradient_of_fit(operator, y)
    )
    with torch.no_grad():
        expected = network(as_tensor(y))
    assert float(expected.norm()) > 0.1
    close(x, expected)
    close(x, network.as_operator()(y))


def test_equivariant_network_is_no_exception(backend, rng):
    """The blocks may be equivariant, and one block all of them."""
    operator = forward_operator('float32', backend)
    network = LearnedProximalGradient(
        operator, EquivariantProximal(channels=4, memory=2), n_iterations=3
    )
    y = random_element(operator.range, rng)
    x = operator.domain.zero()
    learned_proximal_gradient(
        x, network.proximals, gradient_of_fit(operator, y)
    )
    close(x, network.as_operator()(y))


def test_memory_carries_an_interrupted_iteration_on(dtype, backend, rng):
    """With the memory, some iterations and then the others are all of them."""
    operator = forward_operator(dtype, backend)
    network = network_for(operator)
    y = random_element(operator.range, rng)
    gradient = gradient_of_fit(operator, y)
    x, memory = operator.domain.zero(), network.memory_space.zero()
    proximals = network.proximals
    learned_proximal_gradient(x, proximals[:1], gradient, memory)
    assert float(as_tensor(memory).norm()) > 0
    learned_proximal_gradient(x, proximals[1:], gradient, memory)
    close(x, network.as_operator()(y))


def test_memory_makes_a_difference(rng):
    """Another memory at the start is another result."""
    operator = forward_operator()
    network = network_for(operator)
    gradient = gradient_of_fit(operator, random_element(operator.range, rng))
    results = []
    for memory in (network.memory_space.zero(), network.memory_space.one()):
        x = operator.domain.zero()
        learned_proximal_gradient(x, network.proximals, gradient, memory)
        results.append(as_tensor(x))
    assert float((results[0] - results[1]).norm()) > 0.1


# --- Proximals of ODL --- #


def test_solver_with_operators_is_the_proximal_gradient_method(
    dtype, backend, rng
):
    """One proximal of ODL for all iterations makes it ODL's own solver."""
    operator = forward_operator(dtype, backend)
    fit = L2NormSquared(operator.range).translated(
        random_element(operator.range, rng)
    )
    norm = 0.05 * L1Norm(operator.domain)
    x, expected = operator.domain.zero(), operator.domain.zero()
    odl.solvers.proximal_gradient(expected, norm, fit @ operator, 0.1, 4)
    learned_proximal_gradient(
        x, [norm.proximal(0.1)] * 4, 0.1 * (fit @ operator).gradient
    )
    assert float(expected.norm()) > 0.01
    close(x, expected)


def test_proximals_are_applied_in_their_order(backend):
    """The k-th proximal belongs to the k-th iteration."""
    space = odl.rn(3, impl=backend)
    x = space.zero()
    proximals = (
        odl.ConstantOperator(space.one(), space),
        odl.ScalingOperator(space, 3.0),
        lambda x, gradient: x + gradient,
    )
    learned_proximal_gradient(
        x, iter(proximals), odl.ScalingOperator(space, 0.5)
    )
    # 0 -> 1 -> 3 (1 - 1/2) -> 1.5 + 0.75
    close(x, 2.25 * space.one())


# --- Behaviour as an ODL solver --- #


def test_callback_is_called_with_each_iterate(backend, rng):
    """The callback sees ``x`` after each iteration, and the last is ``x``."""
    operator = forward_operator('float32', backend)
    network = network_for(operator)
    gradient = gradient_of_fit(operator, random_element(operator.range, rng))
    x = operator.domain.zero()
    iterates = []

    def callback(iterate):
        assert iterate is x
        iterates.append(as_tensor(iterate, copy=True))

    learned_proximal_gradient(
        x, network.proximals, gradient, callback=callback
    )
    assert len(iterates) == 3
    close(iterates[-1], x)
    assert not torch.allclose(iterates[0], iterates[1])


def test_callbacks_of_odl_work():
    """`CallbackStore` stores what the iterates were."""
    space = odl.rn(3)
    x = space.one()
    store = odl.solvers.CallbackStore()
    halve = odl.ScalingOperator(space, 0.5)
    learned_proximal_gradient(
        x, [halve, halve], odl.ZeroOperator(space), callback=store
    )
    assert [float(result[0]) for result in store.results] == [0.5, 0.25]


def test_solver_returns_nothing_and_overwrites_x(backend):
    """As in `odl.solvers`, the result is in ``x``."""
    space = odl.rn(3, impl=backend)
    x = space.one()
    data = x.data
    double = odl.ScalingOperator(space, 2.0)
    zero = odl.ZeroOperator(space)
    assert learned_proximal_gradient(x, [double], zero) is None
    assert x.data is data
    close(x, 2 * space.one())


def test_elements_of_a_proximal_are_not_overwritten(backend):
    """What a proximal or a gradient returns stays as it was."""
    space = odl.rn(3, impl=backend)
    ours = space.one()
    slope = 2 * space.one()
    x, memory = space.zero(), space.zero()

    def proximal(x, gradient, memory):
        return ours, ours

    def descent(x, gradient, memory):
        return x - gradient, memory - gradient

    learned_proximal_gradient(
        x, [proximal, descent, descent], lambda x: slope, memory
    )
    close(x, -3 * space.one())
    close(memory, -3 * space.one())
    close(ours, space.one())
    close(slope, 2 * space.one())


# --- Bad input --- #


@pytest.mark.parametrize('given', [np.zeros(3), torch.zeros(3), None])
def test_starting_point_must_be_an_element(given):
    """An array is an error that names its type."""
    name = type(given).__name__
    with pytest.raises(TypeError, match=f'`x` must be an element.*{name}'):
        learned_proximal_gradient(given, [abs], abs)


def test_proximals_must_not_be_empty():
    """No proximal, no iteration: an error."""
    with pytest.raises(ValueError, match='at least one'):
        learned_proximal_gradient(odl.rn(3).one(), [], abs)


@pytest.mark.parametrize(
    'proximals, gradient', [([abs, 1.0], abs), ([abs], 1.0)]
)
def test_what_cannot_be_called_is_refused(proximals, gradient):
    """The error comes before the first iteration."""
    x = odl.rn(3).one()
    with pytest.raises(TypeError, match='must be callable, got float'):
        learned_proximal_gradient(x, proximals, gradient)
    close(x, odl.rn(3).one())


@pytest.mark.parametrize('n_proximals', [1, 2])
def test_proximal_must_return_an_element(n_proximals):
    """The error names the space and what came."""
    x = odl.rn(3).one()
    other = odl.rn(4).one()
    with pytest.raises(ValueError, match=r'element of rn\(3\), got rn\(4\)'):
        learned_proximal_gradient(
            x, [lambda x, gradient: other] * n_proximals, lambda x: x
        )


def test_memory_must_be_returned():
    """A memory that no proximal knows of is an error."""
    space = odl.rn(3)
    with pytest.raises(ValueError, match='`memory` was given'):
        learned_proximal_gradient(
            space.one(),
            [lambda x, gradient, memory: x],
            lambda x: x,
            memory=space.zero(),
        )


def test_memory_must_stay_in_its_space():
    """A new memory of another space is an error that names both."""
    space = odl.rn(3)
    with pytest.raises(ValueError, match=r'element of rn\(4\), got rn\(3\)'):
        learned_proximal_gradient(
            space.one(),
            [lambda x, gradient, memory: (x, x)],
            lambda x: x,
            memory=odl.rn(4).zero(),
        )


def test_operator_must_act_on_the_space():
    """ODL refuses a proximal of another space."""
    proximal = odl.IdentityOperator(odl.rn(4))
    with pytest.raises(odl.core.operator.OpDomainError):
        learned_proximal_gradient(odl.rn(3).one(), [proximal], lambda x: x)
