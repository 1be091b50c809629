# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Total variation, the baseline that needs no training."""

import odl

__all__ = ('total_variation',)


def _norm(operator, n_iterations=20):
    x = odl.phantom.white_noise(operator.domain, seed=0)
    for _ in range(n_iterations):
        x = x / float(x.norm())
        x = operator.adjoint(operator(x))
    return float(x.norm()) ** 0.5


def total_variation(operator, data, start, weight, n_iterations=300):
    r"""Minimise the least-squares fit with total variation, by PDHG.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator :math:`A`.
    data : element of ``operator.range``
        Data :math:`y`.
    start : element of ``operator.domain``
        First iterate, which is not changed.
    weight : float
        Weight :math:`\alpha`.
    n_iterations : int, optional
        Number of iterations.

    Returns
    -------
    image : element of ``operator.domain``
        Approximate minimiser of :math:`\frac{1}{2} \|A u - y\|^2 + \alpha
        \|\nabla u\|_1`, not negative if it is real.
    """
    space = operator.domain
    gradient = odl.Gradient(space)
    # With equal norms, no part converges too slowly.
    scaling = _norm(operator) / _norm(gradient)
    both = odl.BroadcastOperator(operator, scaling * gradient)
    f = odl.functionals.ZeroFunctional(space)
    if space.is_real:
        f = odl.functionals.IndicatorNonnegativity(space)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(operator.range).translated(data),
        weight / scaling * odl.functionals.GroupL1Norm(gradient.range),
    )
    step = 0.99 / _norm(both)
    u = start.copy()
    odl.solvers.pdhg(u, f, g, both, n_iterations, tau=step, sigma=step)
    return u
