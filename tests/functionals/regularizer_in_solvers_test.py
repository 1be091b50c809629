# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of learned regularisers inside the solvers of ODL.

Each solver has to find the minimiser of ``|A x - y|^2 / 2 + f(x)``: the point
where the gradient is zero. For a magnitude, it is the point that a proximal
gradient step does not move.
"""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import LearnedRegularizer
from tests.functionals.energies import Differences

# of the operator below, rounded up
SQUARED_NORM = 1.5

pytestmark = pytest.mark.slow


class Problem:
    """Half a squared distance to data, and a regulariser."""

    def __init__(self, dtype='float64', backend='numpy', n=100):
        self.n = n
        space = odl.uniform_discr(
            [0, 0], [1, 1], (5, 5), dtype=dtype, impl=backend
        )
        rng = np.random.default_rng(1)
        factor = space.element(rng.uniform(0.8, 1.2, space.shape))
        self.operator = odl.MultiplyOperator(factor)
        y = random_element(space, rng)
        square = odl.functionals.L2NormSquared(space)
        self.square = 0.5 * square.translated(y)
        self.fit = self.square @ self.operator
        complex_values = 'parts' if dtype == 'complex128' else None
        self.f = LearnedRegularizer(
            space,
            Differences(),
            weight=0.3,
            complex_values=complex_values,
            tol=1e-7,
            warm_start=True,
        )
        self.objective = self.fit + self.f
        self.x = space.zero()

    def slope(self):
        """Return the size of the gradient at x, relative to that at zero."""
        at_x, at_zero = (
            self.fit.gradient(x) + self.f.gradient(x)
            for x in (self.x, 0 * self.x)
        )
        return float(at_x.norm() / at_zero.norm())


# --- Solvers that take the proximal --- #


def proximal_gradient(p):
    odl.solvers.proximal_gradient(p.x, p.f, p.fit, 1 / SQUARED_NORM, p.n)


def pdhg(p):
    odl.solvers.pdhg(p.x, p.f, p.square, p.operator, p.n, tau=0.8, sigma=0.8)


def douglas_rachford_pd(p):
    odl.solvers.douglas_rachford_pd(
        p.x,
        p.f,
        [p.square],
        [p.operator],
        p.n,
        tau=0.8,
        sigma=[0.8],
    )


def douglas_rachford_pd_as_g(p):
    nothing = odl.functionals.ZeroFunctional(p.x.space)
    one = odl.IdentityOperator(p.x.space)
    odl.solvers.douglas_rachford_pd(
        p.x,
        nothing,
        [p.square, p.f],
        [p.operator, one],
        p.n,
        tau=0.8,
        sigma=[0.8, 0.8],
    )


def admm_linearized(p):
    odl.solvers.admm_linearized(p.x, p.f, p.square, p.operator, 0.6, 1.0, p.n)


def forward_backward_pd(p):
    nothing = odl.functionals.ZeroFunctional(p.x.space)
    odl.solvers.forward_backward_pd(
        p.x, p.f, [p.square], [p.operator], nothing, 0.7, [0.7], p.n
    )


def forward_backward_pd_by_gradient(p):
    nothing = odl.functionals.ZeroFunctional(p.x.space)
    odl.solvers.forward_backward_pd(
        p.x, nothing, [p.square], [p.operator], p.f, 0.3, [0.7], p.n
    )


# --- Solvers that take the gradient --- #


def search(p):
    return odl.solvers.BacktrackingLineSearch(p.objective)


def steepest_descent(p):
    odl.solvers.steepest_descent(p.objective, p.x, 0.3, 2 * p.n)


def steepest_descent_with_line_search(p):
    odl.solvers.steepest_descent(
        p.objective, p.x, search(p), maxiter=2 * p.n, tol=1e-11
    )


def adam(p):
    odl.solvers.adam(p.objective, p.x, learning_rate=0.05, maxiter=5 * p.n)


def conjugate_gradient_nonlinear(p):
    odl.solvers.conjugate_gradient_nonlinear(
        p.objective, p.x, search(p), maxiter=p.n, tol=1e-11
    )


def bfgs_method(p):
    odl.solvers.bfgs_method(p.objective, p.x, 1.0, maxiter=p.n // 2, tol=1e-13)


def bfgs_method_with_line_search(p):
    odl.solvers.bfgs_method(
        p.objective,
        p.x,
        search(p),
        maxiter=p.n // 6 + 1,
        tol=1e-9,
        num_store=5,
    )


def broydens_method(p):
    odl.solvers.broydens_method(
        p.objective, p.x, 0.4, maxiter=p.n // 2, tol=1e-13
    )


def newtons_method(p):
    odl.solvers.newtons_method(
        p.objective, p.x, 1.0, maxiter=p.n // 12 + 1, cg_iter=12
    )


BY_PROXIMAL = (
    proximal_gradient,
    pdhg,
    douglas_rachford_pd,
    admm_linearized,
    forward_backward_pd,
    forward_backward_pd_by_gradient,
)
BY_CONJUGATE = (douglas_rachford_pd_as_g,)
BY_GRADIENT = (
    steepest_descent,
    steepest_descent_with_line_search,
    adam,
    conjugate_gradient_nonlinear,
    bfgs_method,
    bfgs_method_with_line_search,
    broydens_method,
    newtons_method,
)


def name_of(solver):
    """Return the name of a solver."""
    return solver.__name__


ALL = BY_PROXIMAL + BY_CONJUGATE + BY_GRADIENT
each_solver = pytest.mark.parametrize('solver', ALL, ids=name_of)


@each_solver
def test_solver_finds_the_minimiser(solver):
    """The gradient of the objective becomes zero."""
    p = Problem()
    solver(p)
    assert p.slope() < 1e-4


@pytest.mark.parametrize('solver', BY_PROXIMAL + BY_CONJUGATE, ids=name_of)
def test_solver_finds_the_complex_minimiser(solver):
    """The same, on the parts of complex values."""
    p = Problem('complex128')
    solver(p)
    assert p.slope() < 1e-4


@each_solver
def test_solver_on_both_backends(solver):
    """After few iterations, the result is the same on both back-ends."""
    results = []
    for backend in ('numpy', 'pytorch'):
        p = Problem(backend=backend, n=4)
        solver(p)
        results.append(as_tensor(p.x))
    assert results[0].norm() > 0.1
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)
