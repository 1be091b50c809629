# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""All solvers agree on problems with one solution."""

import functools
import math

import numpy as np
import odl
import pytest
import torch
from odl.functionals import (
    IndicatorNonnegativity,
    SeparableSum,
    ZeroFunctional,
)

from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedRegularizer,
    LeastSquares,
)
from odl_equivariant.nn import Energy
from odl_equivariant.solvers import accelerated_proximal_gradient
from tests.solvers.functionals import Quadratic


class Ridge(Energy):
    """A convex ridge energy of one filter and its turns."""

    def forward(self, x, sigma=None):
        total = 0.0
        for dim in (2, 3):
            slopes = x.diff(dim=dim)
            total = total + ((1 + slopes**2).sqrt() - 1).flatten(1).sum(1)
        return total

    def gradient_lipschitz(self, sigma=None):
        return 8.0

    def weak_convexity(self, sigma=None):
        return 0.0


@functools.cache
def fit():
    """Return a strongly convex data fit on a small grid."""
    space = odl.uniform_discr([0, 0], [1, 2], (3, 2))
    fit = Quadratic(space, np.random.default_rng(3), (1.0, 3.0), known=True)
    # with values of both signs
    assert as_tensor(fit.minimiser).min() < -0.1
    return fit


@functools.cache
def solution(name):
    """Return the minimiser, from the accelerated method, to rounding."""
    f, g = problem(name)
    x = g.domain.zero()
    report = accelerated_proximal_gradient(x, f, g, maxiter=300, tol=1e-9)
    assert report.converged
    return as_tensor(x)


def problem(name):
    """Return a functional with a proximal, and a smooth one."""
    space = fit().domain
    if name == 'ridge':
        smooth = fit() + 0.5 * LearnedRegularizer(space, Ridge())
        smooth.grad_lipschitz = 7.0
        return IndicatorNonnegativity(space), smooth
    return 0.3 * InvariantTotalVariation(space, tol=1e-11), fit()


def _proximal_gradient(x, f, g, step):
    odl.solvers.proximal_gradient(x, f, g, step, 60)


def _forward_backward_pd(x, f, g, step):
    nothing = ZeroFunctional(x.space)
    identity = odl.IdentityOperator(x.space)
    odl.solvers.forward_backward_pd(
        x, f, [nothing], [identity], g, step, [0.5], 60
    )


def _monotone(x, f, g, step):
    accelerated_proximal_gradient(
        x, f, g, step, 60, restart='monotone', line_search=False
    )


BY_GRADIENTS = {
    'proximal_gradient': _proximal_gradient,
    'forward_backward_pd': _forward_backward_pd,
    'monotone': _monotone,
}


@pytest.mark.parametrize('name', ['ridge', 'variation'])
@pytest.mark.parametrize('solver', BY_GRADIENTS)
def test_solvers_with_gradients_agree(solver, name):
    """What takes a proximal and a gradient finds the same minimiser."""
    f, g = problem(name)
    x = g.domain.zero()
    step = 1 / 7 if name == 'ridge' else 1 / 3
    BY_GRADIENTS[solver](x, f, g, step)
    torch.testing.assert_close(
        as_tensor(x), solution(name), rtol=1e-3, atol=1e-3
    )


# --- Solvers that take proximals only, with the stencils as an operator --- #


def _pdhg(x, f, functionals, operators):
    operator = odl.BroadcastOperator(*operators)
    step = 1 / math.sqrt(1 + operators[1].norm_bound ** 2)
    odl.solvers.pdhg(
        x, f, SeparableSum(*functionals), operator, 200, tau=step, sigma=step
    )


def _admm_linearized(x, f, functionals, operators):
    operator = odl.BroadcastOperator(*operators)
    squared = 1 + operators[1].norm_bound ** 2
    odl.solvers.admm_linearized(
        x, f, SeparableSum(*functionals), operator, 1 / squared, 1.0, 300
    )


def _douglas_rachford_pd(x, f, functionals, operators):
    bounds = [1.0, operators[1].norm_bound]
    odl.solvers.douglas_rachford_pd(
        x, f, functionals, operators, 200, tau=1.0,
        sigma=[1.5 / bound**2 for bound in bounds],
    )  # fmt: skip


BY_PROXIMALS = {
    'pdhg': _pdhg,
    'admm_linearized': _admm_linearized,
    'douglas_rachford_pd': _douglas_rachford_pd,
}


@pytest.mark.parametrize('solver', BY_PROXIMALS)
def test_solvers_with_proximals_agree(solver):
    """Total variation by its stencils has the minimiser of its proximal."""
    variation = InvariantTotalVariation(fit().domain)
    x = fit().domain.zero()
    BY_PROXIMALS[solver](
        x,
        ZeroFunctional(x.space),
        [fit(), 0.3 * variation.norm_functional],
        [odl.IdentityOperator(x.space), variation.operator],
    )
    torch.testing.assert_close(
        as_tensor(x), solution('variation'), rtol=1e-3, atol=1e-3
    )


def test_functionals_make_a_difference():
    """The minimisers are not those of the data fit alone."""
    data = as_tensor(fit().minimiser)
    for name in ('ridge', 'variation'):
        assert (solution(name) - data).norm() > 0.05 * data.norm()


def test_learned_regulariser_by_its_proximal():
    """The proximal of a learned energy leads where its gradient leads."""
    space = fit().domain
    regulariser = 0.5 * LearnedRegularizer(space, Ridge(), tol=1e-8)
    results = []
    for f, g in (
        (regulariser, fit()),
        (ZeroFunctional(space), fit() + regulariser),
        (fit(), regulariser),
    ):
        x = space.zero()
        report = accelerated_proximal_gradient(x, f, g, maxiter=200, tol=1e-6)
        assert report.converged
        results.append(as_tensor(x))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-4, atol=1e-5)


def test_least_squares_by_its_proximal_and_gradient(backend):
    """Data fits of an operator serve as either functional."""
    space = odl.uniform_discr([0, 0], [1, 2], (3, 2), impl=backend)
    operator = 2 * odl.IdentityOperator(space)
    data = space.element([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]])
    fit = LeastSquares(operator, data, tol=1e-10)
    norm = LeastSquares(odl.IdentityOperator(space), 0 * data, tol=1e-10)
    for f, g in ((fit, norm), (norm, fit)):
        x = space.zero()
        report = accelerated_proximal_gradient(x, f, g, maxiter=50, tol=1e-8)
        assert report.converged
        assert as_tensor(x - 0.4 * data).norm() < 1e-6
