# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of films as sums of low rank and sparse ones."""

import numpy as np
import odl
import pytest

from odl_equivariant.data import DynamicMRI, moving_phantom
from odl_equivariant.functionals import (
    CasoratiNuclearNorm,
    InvariantTotalVariation,
    TemporalFourierNorm,
)
from odl_equivariant.solvers import low_rank_plus_sparse


def problem(backend='numpy', dtype='float64'):
    """Return an operator, data and the film."""
    acquisition = DynamicMRI(
        (12, 12), 6, 2, 0.1, sigma=0.01, dtype=dtype, backend=backend
    )
    truth = acquisition.ground_truth(moving_phantom((12, 12), 6, rng=0))
    data = acquisition.simulate(truth, 0)
    return acquisition.operator, data, truth


def test_the_solution_is_optimal():
    """Both films solve the conditions of first order."""
    A, y, _ = problem()
    x = (A.domain**2).zero()
    low, sparse = 0.01, 0.002
    result = low_rank_plus_sparse(x, A, y, low, sparse, 80)
    gradient = A.adjoint(A(x[0] + x[1]) - y)
    step = 0.5
    fixed = CasoratiNuclearNorm(A.domain).proximal(step * low)(
        x[0] - step * gradient
    )
    other = TemporalFourierNorm(A.domain).proximal(step * sparse)(
        x[1] - step * gradient
    )
    size = float(x[0].norm() + x[1].norm())
    assert float(fixed.dist(x[0])) < 2e-3 * size
    assert float(other.dist(x[1])) < 2e-3 * size
    values = np.array(result.objective)
    assert values[-1] < values[1] < values[0]


def test_both_backends_agree():
    """With tensors of single precision, the iterates are the same."""
    results = []
    for case in (('numpy', 'float64'), ('pytorch', 'float32')):
        A, y, _ = problem(*case)
        x = (A.domain**2).zero()
        low_rank_plus_sparse(x, A, y, 0.01, 0.002, 2)
        results.append([np.asarray(part.data) for part in x])
    np.testing.assert_allclose(*results, atol=1e-5)


def test_better_than_zero_filled():
    """The sum is closer to the film than the zero-filled one."""
    A, y, truth = problem()
    x = (A.domain**2).zero()
    low_rank_plus_sparse(x, A, y, 0.003, 0.01, 25)
    error = float((x[0] + x[1] - truth).norm())
    assert error < 0.7 * float((A.adjoint(y) - truth).norm())


def test_a_still_film_has_no_sparse_part():
    """Where nothing moves, all of the film is of low rank."""
    space = odl.uniform_discr([0] * 3, [1, 1, 6], (5, 5, 6))
    still = space.element(
        np.random.default_rng(0).random((5, 5, 1)).repeat(6, 2)
    )
    x = (space**2).zero()
    low_rank_plus_sparse(x, odl.IdentityOperator(space), still, 0.01, 1.0, 30)
    assert float(x[1].norm()) == 0
    assert float((x[0] - still).norm()) == pytest.approx(0.01, rel=1e-3)


def test_variation_in_time_as_sparsity():
    """The variation in time may take the place of the frequencies."""
    A, y, truth = problem()
    variation = InvariantTotalVariation(A.domain, axis_weights=(0, 0, 1))
    x = (A.domain**2).zero()
    low_rank_plus_sparse(x, A, y, 0.01, 1e-4, 8, sparsity=variation)
    error = float((x[0] + x[1] - truth).norm())
    assert error < float((A.adjoint(y) - truth).norm())


def test_starting_points_that_do_not_fit():
    """It starts from two films, and weights are positive."""
    A, y, _ = problem()
    with pytest.raises(TypeError, match='square of the space'):
        low_rank_plus_sparse(A.domain.zero(), A, y, 1, 1)
    for weights in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match='positive'):
            low_rank_plus_sparse((A.domain**2).zero(), A, y, *weights)
