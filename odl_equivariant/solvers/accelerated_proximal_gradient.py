# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The accelerated proximal gradient method, with restart and line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import odl
import torch

from odl_equivariant._checks import (
    boolean,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant._types import Element
from odl_equivariant.solvers._composite import Composite
from odl_equivariant.solvers._line_search import LineSearch
from odl_equivariant.solvers._momentum import RESTARTS, Momentum
from odl_equivariant.solvers._result import SolverResult, warn_if_short

__all__ = ('accelerated_proximal_gradient',)


@torch.no_grad()
def accelerated_proximal_gradient(
    x: Element,
    f: odl.functionals.Functional,
    g: odl.functionals.Functional,
    gamma: float | None = None,
    maxiter: int = 100,
    callback: Callable[[Element], object] | None = None,
    *,
    tol: float | None = None,
    restart: Literal['gradient', 'function', 'monotone'] | None = 'gradient',
    line_search: bool = True,
    objective: bool = True,
) -> SolverResult:
    r"""Minimise the sum of a proximable and a smooth functional.

    Parameters
    ----------
    x : element of a space X
        Starting point; overwritten by each iterate, as in `odl.solvers`.
    f : odl.functionals.Functional
        Functional on X with a proximal, such as
        `odl_equivariant.functionals.InvariantTotalVariation`. For a smooth
        problem `odl.functionals.ZeroFunctional`.
    g : odl.functionals.Functional
        Functional on X with a gradient, and with values if steps are
        searched for.
    gamma : float, optional
        Step :math:`\tau`, the parameter of the proximal; with a line search
        the first one. Default: 1 / ``g.grad_lipschitz`` if that is known, or
        one over the change of the gradient along itself.
    maxiter : int, optional
        Largest number of iterations, 0 for none.
    callback : callable, optional
        Called with ``x`` after each iteration. It must not change ``x``.
    tol : float, optional
        Relative residual at which to stop, see below. Default: make all
        iterations.
    restart : {'gradient', 'function', 'monotone'} or None, optional
        When to drop the momentum, see below.
    line_search : bool, optional
        Whether to shorten steps that are too long, by values of ``g``. It
        costs two values an iteration, and no constant needs to be known.
        Where one is known and sharp, a fixed step is faster.
    objective : bool, optional
        Whether to evaluate :math:`f + g` in each iteration for the result.

    Returns
    -------
    result : SolverResult
        Objectives, residuals and steps, iteration by iteration, and whether
        the tolerance was reached.

    Raises
    ------
    TypeError
        If ``x`` is not in the domain of ``f`` and ``g``, ``f`` has no
        proximal or ``g`` no gradient.
    ValueError
        If ``gamma`` is not positive, or not below the inverse of the modulus
        of weak convexity of ``f``; if no step is known or can be searched
        for; if ``restart`` compares values and there are none.
    RuntimeError
        If the iteration diverges, or the line search finds no step, as for a
        gradient that does not belong to the value.

    Warns
    -----
    ConvergenceWarning
        If ``tol`` is given and was not reached.

    Notes
    -----
    An iteration is a proximal gradient step from an extrapolated point,

    .. math::
        u^{k+1} = \mathrm{prox}_{\tau f}(y^k - \tau \nabla g(y^k)), \quad
        y^{k+1} = u^{k+1} + \frac{t_k - 1}{t_{k+1}} (u^{k+1} - u^k), \quad
        t_{k+1} = \tfrac12 \Big(1 + \sqrt{1 + 4 t_k^2}\Big),

    with :math:`t_0 = 1` and :math:`y^0 = u^0` [BT2009a]_. Gradients, norms
    and steps are those of the inner product of X. The line search accepts a
    step if

    .. math::
        g(u^{k+1}) \leq g(y^k) + \mathrm{Re} \langle \nabla g(y^k), u^{k+1} -
        y^k \rangle + \frac{1}{2 \tau} \|u^{k+1} - y^k\|^2

    up to rounding, else it shortens it. Only at restarts, and at times where
    there is no momentum, it tries a longer one: in between, steps do not
    increase, as the theorem demands.

    The *residual* is :math:`\|u^{k+1} - y^k\| / \tau`, the norm of the
    gradient mapping, which is zero at solutions and at no other point. It is
    relative to the largest norm of :math:`\nabla g(y^j)`, :math:`j \leq k`.
    A proximal that is computed to a tolerance limits what it can reach.

    *Restarts.* Without them and with convex functionals,

    .. math::
        (f + g)(u^k) - \min (f + g) \leq
        \frac{2 \|u^0 - u^*\|^2}{\tau (k + 1)^2},

    where :math:`\tau` is the last step [BT2009a]_; but the objective is not
    monotone, and the method does not profit from strong convexity. So the
    momentum is dropped, :math:`t = 1`, after [OC2015]_:

    - 'gradient': when it leads uphill, :math:`\langle y^k - u^{k+1}, u^{k+1}
      - u^k \rangle > 0`. This needs no values.
    - 'function': when the objective would increase. Then the step is not
      taken, and the next is one without momentum, which always decreases it:
      the objective is monotone.
    - 'monotone': never, but a step that would increase the objective changes
      the momentum only [BT2009b]_. Objectives are monotone, with the same
      bound.

    *Functionals that are not convex.* Where a functional has a positive
    ``weak_convexity``, also as a part of sums and multiples, or the line
    search meets negative curvature of ``g``, a step with momentum is taken
    only if

    .. math::
        (f + g)(u^{k+1}) \leq (f + g)(u^k) - \frac{\delta}{2}
        \Big(\frac{1}{\tau} - \rho\Big) \|u^{k+1} - u^k\|^2,
        \quad \delta = 0.01,

    with the modulus :math:`\rho` of ``f``, for which :math:`\tau < 1 /
    \rho`. Otherwise a proximal gradient step from :math:`u^k` follows, for
    which it holds with :math:`\delta = 1` by the line search. If there is no
    value of :math:`f + g`, all steps are without momentum. So the objective
    is monotone and the steps are square summable if it is bounded below; the
    gradient of ``g`` being Lipschitz, the residual tends to zero and each
    limit point is critical. This is the principle of [LL2015]_. Without
    momentum and with the Kurdyka-Lojasiewicz property, which semi-algebraic
    functions have, bounded iterates converge to a critical point [ABS2013]_.
    Nothing is known of networks that are no proximals.

    References
    ----------
    .. [BT2009a] Beck A and Teboulle M. *A fast iterative
       shrinkage-thresholding algorithm for linear inverse problems*. SIAM J.
       Imaging Sci. 2 (2009) 183-202.
    .. [BT2009b] Beck A and Teboulle M. *Fast gradient-based algorithms for
       constrained total variation image denoising and deblurring problems*.
       IEEE Trans. Image Process. 18 (2009) 2419-2434.
    .. [OC2015] O'Donoghue B and Candès E. *Adaptive restart for accelerated
       gradient schemes*. Found. Comput. Math. 15 (2015) 715-732.
    .. [LL2015] Li H and Lin Z. *Accelerated proximal gradient methods for
       nonconvex programming*. NeurIPS (2015) 379-387.
    .. [ABS2013] Attouch H, Bolte J and Svaiter B F. *Convergence of descent
       methods for semi-algebraic and tame problems*. Math. Program. 137
       (2013) 91-129.

    Examples
    --------
    >>> space = odl.rn(2)
    >>> x = space.zero()
    >>> f = odl.functionals.L1Norm(space)
    >>> g = odl.functionals.L2NormSquared(space).translated([2, 0.1])
    >>> result = accelerated_proximal_gradient(x, f, g, tol=1e-8)
    >>> x
    rn(2).element([ 1.5,  0. ])
    >>> result.converged
    True
    """
    maxiter = whole_number('maxiter', maxiter, 0)
    tol = None if tol is None else positive_number('tol', tol)
    restart = one_of('restart', restart, RESTARTS, optional=True)
    line_search = boolean('line_search', line_search)
    objective = boolean('objective', objective)
    problem = Composite(x, f, g)
    search = LineSearch(problem, x, gamma, line_search)
    by_values = restart in ('function', 'monotone')
    valued = objective or by_values or line_search or not problem.convex
    value = problem.value(x) if valued else math.nan
    has_values = not math.isnan(value)
    if by_values and not has_values:
        raise ValueError(
            f'restart={restart!r} compares values of `f + g`, which has none '
            "at `x`; pass restart='gradient'"
        )
    result = SolverResult(convex=problem.convex)
    momentum = Momentum(problem, restart, x, value)
    if objective and has_values:
        result.objective.append(value)
    scale = relative = 0.0
    for _ in range(maxiter):
        trial = search.search(
            momentum.point, momentum.smooth if momentum.is_plain else math.nan
        )
        result.convex = problem.convex and not search.saw_negative_curvature
        value = math.nan
        if has_values and (objective or by_values or not result.convex):
            if math.isnan(momentum.value):
                momentum.value = problem.value(momentum.iterate)
            value = problem.value(trial.end, trial.smooth)
        grows = momentum.take(trial, value, result.convex)
        x.assign(momentum.iterate)
        scale = max(scale, problem.inner.squared_norm(trial.gradient) ** 0.5)
        residual = trial.squared**0.5 / trial.step
        relative = residual / scale if scale else math.inf
        result.n_iter += 1
        result.residuals.append(residual)
        result.steps.append(trial.step)
        if result.objective:
            result.objective.append(momentum.value)
        if grows:
            search.grow()
        if callback is not None:
            callback(x)
        if tol is not None and (relative <= tol or residual == 0):
            result.converged = True
            break
    result.n_restarts = momentum.n_restarts
    warn_if_short(
        result,
        'accelerated_proximal_gradient',
        relative,
        tol,
        'raise `maxiter` or `tol`',
    )
    return result
