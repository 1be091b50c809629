# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of operators that are applied to each slice of a volume."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    adjoint_error,
    reconstruction_equivariance_error,
)
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators import (
    OperatorLayer,
    SlicewiseOperator,
    SubsampledFourierTransform,
    filtered_backprojection,
    operator_norm,
)

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', ['float32', 'float64', 'complex128'])
n_cells = simple_fixture('n_cells', [6, 7])


def rays(dtype='float64', impl='numpy', n=8, n_views=6):
    """Return the ray transform of a slice."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype, impl=impl)
    geometry = parallel_beam_geometry(space, n_views, 13)
    return RayTransform(space, geometry, impl='astra_matrix')


def stack(*args, n_slices=5, **kwargs):
    """Return the ray transform of a volume."""
    return SlicewiseOperator(rays(*args, **kwargs), n_slices, 0.5)


def random(space, seed=0):
    """Return a random element."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(space.shape)
    if space.is_complex:
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values)


def numbers(x):
    """Return the values of an element as an array."""
    return np.asarray(torch.as_tensor(x.asarray()))


def test_slices_are_projected(dtype, impl, n_cells):
    """A slice of the data is the projection of that of the volume."""
    operator = stack(dtype, impl, n_cells)
    flat = operator.operator
    x = random(operator.domain)
    y = operator(x)
    tol = 1e-5 if dtype == 'float32' else 1e-12
    for i in (0, 3, 4):
        expected = flat(flat.domain.element(numbers(x)[..., i]))
        gap = numbers(y)[..., i] - numbers(expected)
        assert np.abs(gap).max() < tol


def test_adjoint_is_exact(dtype, impl, n_cells):
    """The adjoint is one in the weighted inner products."""
    operator = stack(dtype, impl, n_cells)
    tol = 1e-6 if dtype == 'float32' else 1e-14
    assert adjoint_error(operator) < tol
    assert operator.adjoint.adjoint is operator


def test_norm_is_that_of_a_slice():
    """The norm of the stack is that of the operator of a slice."""
    operator = stack()
    assert operator_norm(operator) == operator_norm(operator.operator)
    x = random(operator.domain)
    for _ in range(300):
        x = operator.adjoint(operator(x))
        x = x / x.norm()
    assert operator(x).norm() == pytest.approx(operator.norm(), rel=1e-3)


def test_many_slices_are_few_at_a_time(monkeypatch):
    """Slices in blocks that fit into the cache have the same data."""
    from odl_equivariant.operators.ray import matrices

    operator = stack(n_slices=20)
    x = torch.randn(2, 1, *operator.domain.shape, dtype=torch.float64)
    layer = OperatorLayer(operator)
    expected = layer(x), layer.adjoint(layer(x))
    monkeypatch.setattr(matrices, '_CACHE', 1)
    torch.testing.assert_close((layer(x), layer.adjoint(layer(x))), expected)


def test_gradient_of_the_layer():
    """Autograd has the transposed map."""
    layer = OperatorLayer(stack(n=4, n_slices=2))
    x = torch.randn(2, 1, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_other_operators(impl):
    """Fourier transforms of all slices are those along two axes."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 5), 'complex64', impl=impl)
    mask = np.arange(5)[None] % 2 == 0
    operator = SlicewiseOperator(SubsampledFourierTransform(space, mask), 4)
    x = random(operator.domain)
    volume = SubsampledFourierTransform(
        operator.domain, mask[..., None], axes=(0, 1)
    )
    gap = numbers(operator(x)) - numbers(volume(x))
    assert np.abs(gap).max() < 1e-5


def test_backprojection_of_a_stack_is_a_start():
    """A network for volumes starts at the back-projection of each slice."""
    operator = stack('float32')
    start = SlicewiseOperator(filtered_backprojection(rays('float32')), 5, 0.5)
    assert start.domain == operator.range
    assert start.range == operator.domain
    network = LearnedProximalGradient(
        operator,
        lambda: EquivariantProximal(1, 8, 'D4', axis=2),
        1,
        initial=start,
    )
    assert network(torch.ones(1, 1, 6, 13, 5)).shape == (1, 1, 8, 8, 5)


def test_reconstructions_turn_with_the_volume():
    """Tomography of a turned volume gives the turned reconstruction."""
    operator = stack(n=6, n_slices=4)
    torch.manual_seed(0)
    network = LearnedProximalGradient(
        operator,
        lambda: EquivariantProximal(1, 16, 'D4h', axis=2).double(),
        2,
    )

    def method(operator, y):
        return network.with_operator(operator).as_operator()(y)

    for action in group_actions(operator.domain, 'D4h', axis=2)[1:]:
        error = reconstruction_equivariance_error(method, operator, action)
        assert error < 1e-12


def test_pickled():
    """A pickled operator is made anew from its arguments."""
    operator = stack()
    other = pickle.loads(pickle.dumps(operator))
    assert (other.n_slices, other.thickness) == (5, 0.5)
    assert other.domain == operator.domain
    x = random(operator.domain)
    assert other(x) == operator(x)


@pytest.mark.parametrize(
    'operator, arguments, error, words',
    [
        (None, (3,), TypeError, 'odl.Operator'),
        (odl.rn(3).zero().inner, (3,), TypeError, 'odl.Operator'),
        (odl.PowerOperator(odl.rn(3), 2), (3,), TypeError, 'linear'),
        (odl.IdentityOperator(odl.rn((3, 3))), (3,), TypeError, 'grid'),
        (rays(), (0,), ValueError, 'n_slices'),
        (rays(), (3, 0.0), ValueError, 'thickness'),
        (rays(), (3, -1.0), ValueError, 'thickness'),
        (rays(), (2.5,), TypeError, 'n_slices'),
    ],
)
def test_bad_input(operator, arguments, error, words):
    """What is no stack says what is expected."""
    with pytest.raises(error, match=words):
        SlicewiseOperator(operator, *arguments)


def test_half_cells():
    """Where the boundary cuts cells, the adjoint is exact too."""
    space = odl.uniform_discr([-1, -1], [1, 1], (5, 5), nodes_on_bdry=True)
    geometry = parallel_beam_geometry(space, 4, 9)
    flat = RayTransform(space, geometry, impl='astra_matrix')
    assert adjoint_error(SlicewiseOperator(flat, 3)) < 1e-14


def test_weights_that_differ():
    """A range with a weight for each cell has no stack."""
    space = rays().domain
    angles = odl.nonuniform_partition([0.1, 0.2, 0.7, 1.5])
    geometry = odl.applications.tomo.Parallel2dGeometry(
        angles, odl.uniform_partition(-2, 2, 9)
    )
    flat = RayTransform(space, geometry, impl='astra_matrix')
    with pytest.raises(ValueError, match='one weight'):
        SlicewiseOperator(flat, 3)
