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


def test_the_proximal_of_total_variation_is_firmly_nonexpansive():
    """Up to the tolerance of its inner solver."""
    J = InvariantTotalVariation(square(), tol=1e-8, max_iter=10**5)
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
