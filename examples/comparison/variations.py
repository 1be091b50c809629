# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Minimisation with total variations, until the objective settles."""

import math

import odl

from odl_equivariant.elements import n_channels
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators import operator_norm

__all__ = ('minimise_variation',)

# The start is about that far from the solution, relative to its norm.
_DISTANCE = 0.2
# How often the objective is computed, and its relative decrease over so many
# iterations at which they end.
_EVERY, _DECREASE = 25, 3e-4


class _Settled(Exception):
    """The objective hardly decreases any more."""


def minimise_variation(
    x,
    problem,
    forward,
    constraint,
    norm,
    derivatives,
    n_iterations,
    balance=1.0,
):
    r"""Minimise the sum of a data fit, a constraint and a variation, by PDHG.

    Parameters
    ----------
    x : element
        Start, overwritten by the solution.
    problem : Problem
        Where the data fit comes from.
    forward : odl.Operator
        The operator of the data fit, on the space of ``x``.
    constraint : odl.functionals.Functional
        Constraint on ``x``.
    norm : odl.functionals.Functional
        The variation, after ``derivatives``.
    derivatives : odl.Operator
        Derivatives, with a ``norm_bound``.
    n_iterations : int
        Largest number of iterations.
    balance : float, optional
        Norm of the derivatives, relative to the operator, after scaling.

    Returns
    -------
    converged : bool
        Whether the objective has settled.

    Notes
    -----
    The bound of the error after so many iterations,
    :math:`\|x^0 - x^*\|^2 / \tau + \|p^0 - p^*\|^2 / \sigma`, is least for
    steps in proportion to the two distances. The dual variable of the data
    fit tends to its residual, which is the noise. With equal steps, 250
    iterations were not enough in tomography.
    """
    fit = problem.data_fit()
    size = operator_norm(problem.acquisition.operator)
    # With norms of one order, no part converges too slowly.
    scaling = balance * size / derivatives.norm_bound
    both = odl.BroadcastOperator(forward, scaling * derivatives)
    data = fit.data_functional
    g = odl.functionals.SeparableSum(data, (1 / scaling) * norm)
    ratio = _DISTANCE * float(problem.start().norm()) / _noise_norm(problem)
    step = 0.99 / (size * math.hypot(1, balance))
    value, n_done = math.inf, 0

    def settle(x):
        nonlocal value, n_done
        n_done += 1
        if n_done % _EVERY:
            return
        last, value = value, data(forward(x)) + norm(derivatives(x))
        if abs(last - value) <= _DECREASE * value:
            raise _Settled

    try:
        odl.solvers.pdhg(
            x,
            constraint,
            g,
            both,
            n_iterations,
            tau=step * ratio,
            sigma=step / ratio,
            callback=settle,
        )
    except _Settled:
        return True
    return False


def _noise_norm(problem):
    """Return the norm that noise has in the space of the data."""
    space = problem.acquisition.operator.range
    n = math.prod(space.shape) * n_channels(space)
    weight = float(inner_product_weights(problem.space).flatten()[0])
    return math.sqrt(n * problem.noise_weight * weight)
