# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The same iterations by deepinv."""

import torch
from ways.regularised import (
    PENALTY,
    SIGMA,
    TOLERANCE,
    VARIATION,
    WEIGHT,
    split,
)

from odl_equivariant.elements import as_tensor

__all__ = (
    'denoised',
    'descent_with_variation',
    'distance',
    'gradient_descent',
    'split_as_exactly',
    'split_by_deepinv',
    'theirs',
)

# How often a tolerance of deepinv is lowered, by the factor 10.
MOST = 6


def theirs(problem, deepinv, solver, prior, linear=(), **options):
    """Return a call of one of deepinv's solvers.

    ``linear`` has options of the solver of linear systems.
    """
    model = solver(
        data_fidelity=deepinv.optim.L2(),
        prior=prior,
        max_iter=problem.n_iterations,
        **options,
    )
    physics = problem.physics(deepinv, **dict(linear))
    start = as_tensor(problem.start)

    def call():
        with torch.no_grad():
            data = problem.unit * problem.data
            return model(data, physics, init=start.clone())

    return call


def gradient_descent(problem, deepinv):
    """Return a call of deepinv's gradient descent on the same energy."""

    class Ridge(deepinv.optim.Prior):
        def grad(self, x, sigma, *args, **kwargs):
            return problem.energy.gradient(x, SIGMA)

    return theirs(
        problem,
        deepinv,
        deepinv.optim.GD,
        Ridge(),
        stepsize=problem.step,
        lambda_reg=WEIGHT,
        g_param=SIGMA,
    )


def descent_with_variation(problem, deepinv, n_inner):
    """Return a call of deepinv's proximal gradients with its variation."""

    def call():
        # its dual variables outlive a call
        prior = deepinv.optim.TVPrior(n_it_max=n_inner)
        return theirs(
            problem,
            deepinv,
            deepinv.optim.PGD,
            prior,
            stepsize=1 / problem.fit.grad_lipschitz,
            lambda_reg=VARIATION,
        )()

    return call


def denoised(problem, deepinv):
    """Return deepinv's prior with the denoiser."""
    return deepinv.optim.PnP(lambda x, sigma: problem.denoiser(x, sigma=sigma))


def split_by_deepinv(problem, deepinv, **linear):
    """Return a call of deepinv's half-quadratic splitting."""
    return theirs(
        problem,
        deepinv,
        deepinv.optim.HQS,
        denoised(problem, deepinv),
        linear,
        stepsize=[float(s**2 / PENALTY) for s in problem.levels],
        g_param=[float(s) for s in problem.levels],
    )


def split_as_exactly(problem, deepinv, exact):
    """Return the same with a tolerance that is small enough, if one is."""
    most = distance(split(problem)(), exact)
    best, least = None, float('inf')
    for i in range(MOST):
        tolerance = TOLERANCE / 10**i
        call = split_by_deepinv(problem, deepinv, tol=tolerance, max_iter=1000)
        error = distance(call(), exact)
        # nothing is left but rounding
        if error > 0.9 * least:
            break
        best, least = call, error
        if error <= most:
            break
    return best


def distance(image, reference):
    """Return the distance of two images, relative to the second."""
    return float((image - reference).norm() / reference.norm())
