# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of what is measured of proximals, and of Lipschitz constants."""

import math

import numpy as np
import odl
import pytest
from odl.functionals import L1Norm, L2NormSquared

from odl_equivariant.diagnostics import (
    assert_firmly_nonexpansive,
    firm_nonexpansiveness_error,
    lipschitz_estimate,
)
from odl_equivariant.functionals import InvariantTotalVariation


def square(size=6, **kwargs):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size), **kwargs)


class Pointwise(odl.Operator):
    """Operator that maps arrays by a function."""

    def __init__(self, space, function):
        """Initialize a new instance."""
        super().__init__(space, space)
        self.function = function

    def _call(self, x):
        return self.range.element(self.function(x.asarray()))


@pytest.mark.parametrize('make', [L1Norm, L2NormSquared])
def test_proximals_are_firmly_nonexpansive(make):
    """As all proximals of convex functionals are."""
    assert_firmly_nonexpansive(make(square()).proximal(0.7))


@pytest.mark.slow
def test_the_proximal_of_total_variation_is_firmly_nonexpansive():
    """Up to the tolerance of its inner solver."""
    J = InvariantTotalVariation(square(), tol=1e-8, maxiter=10**5)
    assert firm_nonexpansiveness_error(J.proximal(0.1)) < 1e-6


def test_a_rotation_is_nonexpansive_and_not_firmly_so():
    """The map to -x misses the inequality by 2."""
    op = -odl.IdentityOperator(square())
    assert firm_nonexpansiveness_error(op) == pytest.approx(2.0)
    with pytest.raises(AssertionError, match='not firmly non-expansive'):
        assert_firmly_nonexpansive(op)


def test_a_hard_threshold_is_not_a_proximal_of_a_convex_functional():
    """It jumps, which close pairs see."""
    op = Pointwise(square(), lambda x: np.where(np.abs(x) > 0.3, x, 0))
    assert firm_nonexpansiveness_error(op) > 1


class Linear(odl.Operator):
    """Linear operator on vectors, by its matrix."""

    def __init__(self, matrix, space):
        super().__init__(space, space, linear=True)
        self.matrix = matrix

    def _call(self, x):
        return self.range.element(self.matrix @ x.asarray())

    @property
    def adjoint(self):
        return Linear(self.matrix.conj().T, self.domain)


def steep(dtype, slopes):
    """Return a normal operator with few directions that are steep."""
    space = odl.tensor_space(200, dtype=dtype, weighting=0.25)
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((200, 200))
    if space.is_complex:
        basis = basis + 1j * rng.standard_normal((200, 200))
    basis = np.linalg.qr(basis)[0]
    values = np.full(200, 0.5)
    values[: len(slopes)] = slopes
    matrix = (basis * values) @ basis.conj().T
    return Linear(matrix.astype(dtype), space)


@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
@pytest.mark.parametrize('slopes', [[1.2], [-0.3], [1.1, -0.05]])
def test_steep_directions_are_found_that_random_pairs_miss(slopes, dtype):
    """For a symmetric operator the error is that of its worst slope."""
    op = steep(dtype, slopes)
    assert firm_nonexpansiveness_error(op, n_iterations=0) == 0
    expected = max(slope**2 - slope for slope in slopes)
    assert firm_nonexpansiveness_error(op) == pytest.approx(expected, rel=0.1)
    with pytest.raises(AssertionError, match='not firmly non-expansive'):
        assert_firmly_nonexpansive(op)


def test_right_slopes_pass():
    """A symmetric operator with slopes from 0 to 1 is firmly non-expansive."""
    assert_firmly_nonexpansive(steep('float64', [1.0, 0.0, 0.9]))
    assert_firmly_nonexpansive(steep('complex64', [1.0, 0.0, 0.9]))


@pytest.mark.parametrize('seed', range(3))
def test_the_two_measures_agree(seed):
    """What expands by L is not firm by L (L - 1) at least, and is found."""
    op = steep('float64', [1.3, -0.4])
    largest = lipschitz_estimate(op, seed)
    assert largest > 1.2
    error = firm_nonexpansiveness_error(op, seed)
    assert error >= largest * (largest - 1) * (1 - 1e-9)


def test_two_spaces_are_refused():
    """The inner product of input and output needs one space."""
    with pytest.raises(ValueError, match='on one space'):
        firm_nonexpansiveness_error(odl.Gradient(square()))


def test_the_norm_of_a_linear_operator_is_found():
    """The power method finds what random pairs do not."""
    laplacian = odl.Laplacian(square(), pad_mode='symmetric')
    basis = np.eye(36).reshape(36, 6, 6)
    columns = [laplacian(square().element(e)).asarray() for e in basis]
    norm = np.linalg.norm(np.reshape(columns, (36, 36)), 2)
    estimate = lipschitz_estimate(laplacian, n_iterations=100)
    assert 0.99 * norm < estimate <= norm * (1 + 1e-12)
    assert lipschitz_estimate(laplacian, n_iterations=0) < 0.9 * norm


def test_the_derivative_is_a_lower_bound_whatever_the_adjoint():
    """What ODL takes for the adjoint need not be one."""

    class Doubled(odl.MatrixOperator):
        @property
        def adjoint(self):
            """Twice the adjoint."""
            return 2 * super().adjoint

    matrix = np.diag([1.0, 2.0, 3.0])
    assert 2.9 < lipschitz_estimate(Doubled(matrix)) <= 3 * (1 + 1e-12)


def test_weights_of_the_spaces_count():
    """Weights of 4 in the range make a norm of 2."""
    op = odl.MatrixOperator(np.eye(3), odl.rn(3), odl.rn(3, weighting=4.0))
    assert lipschitz_estimate(op) == pytest.approx(2.0)


def test_pairs_are_enough_where_there_is_no_derivative():
    """The estimate is a lower bound of the constant."""
    op = Pointwise(square(), lambda x: 3 * np.abs(x))
    assert 1.0 < lipschitz_estimate(op) <= 3.0 + 1e-9


def test_values_that_are_not_finite_are_infinite():
    """NaN is not 0."""
    op = Pointwise(square(), lambda x: x * np.nan)
    assert firm_nonexpansiveness_error(op) == math.inf
    assert lipschitz_estimate(op) == math.inf
