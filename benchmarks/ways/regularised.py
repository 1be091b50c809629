# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Iterations with regularisers, by ODL and this package."""

import numpy as np
import odl

from odl_equivariant.data import SparseViewCT, ellipse_phantom
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedProximal,
    LearnedRegularizer,
    LeastSquares,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn import MultiscaleDenoiser, RidgeEnergy
from odl_equivariant.operators import OperatorLayer, operator_norm
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)

__all__ = (
    'PENALTY',
    'SIGMA',
    'TOLERANCE',
    'VARIATION',
    'WEIGHT',
    'Problem',
    'accelerated',
    'accelerated_fixed',
    'plain',
    'plugged',
    'split',
    'varied',
    'varied_primal_dual',
)

SIGMA = 0.05
# of the energy, relative to the data fit
WEIGHT = 0.1
# of total variation, in pixels
VARIATION = 6e-4
# of the prior in the splitting
PENALTY = 1e-4
TOLERANCE = 1e-4


class Problem:
    """Data, and what both sides make of them.

    Parameters
    ----------
    size : int
        Pixels along a side.
    n_iterations : int
        Iterations of a call.
    """

    def __init__(self, size, n_iterations):
        self.n_iterations = n_iterations
        ct = SparseViewCT((size, size), n_views=50)
        y = ct.simulate(ellipse_phantom((2 * size, 2 * size), rng=0), rng=0)
        self.space, self.start = ct.space, ct.fbp(y)
        self.fit = LeastSquares(ct.operator, y, tol=TOLERANCE)
        self.data = as_tensor(y)
        layer = OperatorLayer(ct.operator)
        self.forward, self.adjoint = layer, layer.adjoint
        # The adjoint is that of the spaces. Solvers that know no weights of
        # spaces take this multiple of operator and data, whose adjoint is the
        # transpose.
        weights = [
            float(inner_product_weights(space).flatten()[0])
            for space in (ct.operator.range, ct.operator.domain)
        ]
        self.unit = (weights[0] / weights[1]) ** 0.5
        self.energy = RidgeEnergy('C4').eval()
        self.denoiser = MultiscaleDenoiser().eval()
        regulariser = LearnedRegularizer(
            self.space, self.energy, SIGMA, weight=WEIGHT
        )
        self.smooth = self.fit + regulariser
        self.step = 1 / self.smooth.grad_lipschitz
        self.levels = np.geomspace(0.2, 0.01, n_iterations)

    def physics(self, deepinv, **options):
        """Return the operator as deepinv takes it."""
        return deepinv.physics.LinearPhysics(
            A=lambda x, **kwargs: self.unit * self.forward(x),
            A_adjoint=lambda y, **kwargs: self.adjoint(y) / self.unit,
            **{'tol': TOLERANCE, **options},
        )


def accelerated(problem, **options):
    """Return a call of the accelerated method."""

    def call():
        x = problem.start.copy()
        accelerated_proximal_gradient(
            x,
            odl.functionals.ZeroFunctional(problem.space),
            problem.smooth,
            problem.step,
            problem.n_iterations,
            objective=False,
            **options,
        )
        return as_tensor(x)

    return call


def plain(problem):
    """Return a call of ODL's proximal gradients, without momentum."""
    nothing = odl.functionals.ZeroFunctional(problem.space)

    def call():
        x = problem.start.copy()
        odl.solvers.proximal_gradient(
            x, nothing, problem.smooth, problem.step, problem.n_iterations
        )
        return as_tensor(x)

    return call


def varied(problem, solver):
    """Return a call of a solver with total variation."""
    weight = VARIATION * float(min(problem.space.cell_sides))
    step = 1 / problem.fit.grad_lipschitz

    def call():
        x = problem.start.copy()
        f = weight * InvariantTotalVariation(problem.space, warm_start=True)
        solver(x, f, problem.fit, step, problem.n_iterations)
        return as_tensor(x)

    return call


def varied_primal_dual(problem):
    """Return a call of the primal-dual method with total variation."""
    weight = VARIATION * float(min(problem.space.cell_sides))
    variation = InvariantTotalVariation(problem.space)
    size = operator_norm(problem.fit.operator)
    scaling = size / variation.operator.norm_bound
    both = odl.BroadcastOperator(
        problem.fit.operator, scaling * variation.operator
    )
    g = odl.functionals.SeparableSum(
        problem.fit.data_functional,
        (weight / scaling) * variation.norm_functional,
    )
    nothing = odl.functionals.ZeroFunctional(problem.space)
    step = 0.99 / (2**0.5 * size)

    def call():
        x = problem.start.copy()
        odl.solvers.pdhg(
            x,
            nothing,
            g,
            both,
            problem.n_iterations,
            tau=10 * step,
            sigma=step / 10,
        )
        return as_tensor(x)

    return call


def accelerated_fixed(x, f, g, step, n_iterations):
    """Minimise by accelerated proximal gradients with a fixed step."""
    accelerated_proximal_gradient(
        x, f, g, step, n_iterations, line_search=False, objective=False
    )


def plugged(problem):
    """Return a call of ODL's proximal gradients with a denoiser."""
    f = LearnedProximal(problem.space, problem.denoiser)
    step = 1 / problem.fit.grad_lipschitz

    def call():
        x = problem.start.copy()
        odl.solvers.proximal_gradient(
            x, SIGMA / step * f, problem.fit, step, problem.n_iterations
        )
        return as_tensor(x)

    return call


def split(problem, tolerance=TOLERANCE):
    """Return a call of half-quadratic splitting."""
    fit = LeastSquares(problem.fit.operator, problem.fit.data, tol=tolerance)

    def call():
        x = problem.start.copy()
        half_quadratic_splitting(
            x,
            problem.denoiser,
            fit,
            problem.levels[0],
            problem.levels[-1],
            problem.n_iterations,
            PENALTY,
        )
        return as_tensor(x)

    return call
