# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Plug-and-play reconstruction by half-quadratic splitting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import odl
import torch
from odl.functionals.functional import (
    FunctionalLeftScalarMult,
    FunctionalTranslation,
)

from odl_equivariant._checks import one_of, positive_number, whole_number
from odl_equivariant._types import Element
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.solvers._composite import (
    RealInnerProduct,
    check_start,
    factory_of,
    value_of,
)
from odl_equivariant.solvers._result import SolverResult, warn_if_short

__all__ = ('half_quadratic_splitting',)

_ENDS = ('denoised', 'fitted')


@torch.no_grad()
def half_quadratic_splitting(
    x: Element,
    f: odl.functionals.Functional | torch.nn.Module,
    g: odl.functionals.Functional,
    sigma_start: float,
    sigma_end: float,
    niter: int = 8,
    weight: float = 1.0,
    callback: Callable[[Element], object] | None = None,
    *,
    scale: float = 1.0,
    result: Literal['denoised', 'fitted'] = 'denoised',
    tol: float | None = None,
) -> SolverResult:
    r"""Reconstruct with a denoiser whose noise level decreases.

    Parameters
    ----------
    x : element of a space X
        Starting point, such as a filtered back-projection; overwritten by
        each iterate, as in `odl.solvers`.
    f : odl.functionals.Functional or torch.nn.Module
        The denoiser: a functional on X with a proximal, see below, or a
        module of ``(x, sigma)``.
    g : odl.functionals.Functional
        The data fit D on X, with a proximal.
    sigma_start, sigma_end : float
        First and last noise level of the denoiser, in the unit of the images
        of X. The levels between lie evenly on a logarithmic scale.
    niter : int, optional
        Number of iterations, which is the number of levels.
    weight : float, optional
        Weight :math:`\lambda` of the prior, see below.
    callback : callable, optional
        Called with ``x`` after each iteration.
    scale : float, optional
        Where ``f`` is a module, the value in the images of X that
        corresponds to 1 in its training, as for
        `odl_equivariant.functionals.LearnedProximal`.
    result : {'denoised', 'fitted'}, optional
        Whether the result is the last image of the denoiser or the last
        image of the data fit.
    tol : float, optional
        Largest distance of these two images, relative to their norm. Default:
        any.

    Returns
    -------
    result : SolverResult
        Its residuals are the distances of the two images, its steps the
        parameters of the proximal of the data fit, and its objectives those
        of :math:`D + \lambda R`, if ``f`` is a functional R with values.

    Raises
    ------
    TypeError
        If ``x`` is not in the domain of ``f`` and ``g``, or one of them has
        no proximal.
    ValueError
        If a level, ``niter`` or ``weight`` is not positive, or the levels
        increase. If a denoiser returns what is not finite.

    Warns
    -----
    ConvergenceWarning
        If ``tol`` is given and was not reached.

    Notes
    -----
    The objective :math:`D(u) + \lambda R(z)`, with a penalty for
    :math:`u \neq z`, is minimised over :math:`u` and :math:`z` in turn, while
    the penalty grows [Z+2022]_. From the start :math:`z^0`,

    .. math::
        u^k &= \mathrm{prox}_{D / \mu_k}(z^{k-1}) = \mathrm{arg\,min}_u\,
        D(u) + \frac{\mu_k}{2} \|u - z^{k-1}\|^2, \qquad
        \mu_k = \frac{\lambda}{\sigma_k^2}, \\
        z^k &= \mathrm{prox}_{\sigma_k^2 R}(u^k)
        = \mathrm{arg\,min}_z\, \lambda R(z) + \frac{\mu_k}{2} \|z - u^k\|^2,

    with the norm of X. The second is the most probable image, given one with
    noise of standard deviation :math:`\sigma_k`: any denoiser may take its
    place. What is done for it depends on ``f``:

    ============================================  ==========================
    ``f``                                         :math:`z^k`
    ============================================  ==========================
    module, `LearnedProximal`                     denoised at the level
                                                  :math:`\sigma_k`
    `LearnedRegularizer` with ``sigma``           its proximal at 1, with
                                                  ``sigma`` :math:`\sigma_k`
    any other functional R                        :math:`\mathrm{prox}_{
                                                  \sigma_k^2 R}(u^k)`
    ============================================  ==========================

    A multiple ``c * f`` of a `LearnedProximal` has the level :math:`c
    \sigma_k`, or :math:`\sqrt{c} \sigma_k` for a variance.

    *The weight.* For data with white noise of standard deviation :math:`s`,
    and the weights :math:`w_X` and :math:`w_Y` of a cell in the inner
    products, minus the logarithm of the likelihood is
    :math:`\|A u - y\|_Y^2 / (2 s^2 w_Y)`, and that of the probability of
    noise in an image is :math:`\|z - u\|_X^2 / (2 \sigma^2 w_X)`. So

    .. math::
        D(u) = \tfrac12 \|A u - y\|_Y^2 \quad \text{has} \quad
        \lambda = \lambda_0 \, s^2 \frac{w_Y}{w_X},

    with :math:`\lambda_0 = 1` by Bayes' rule; [Z+2022]_ take 0.19 to 0.55
    (their :math:`\alpha_k = \lambda_0 s^2 / \sigma_k^2`, without weights).
    If D is minus the logarithm of the likelihood times :math:`w_Y`, it is
    :math:`\lambda = \lambda_0 w_Y / w_X`.

    *Convergence.* If :math:`\|z^k - u^k\| \leq C \sigma_k`, as for a bounded
    denoiser [CWE2017]_, and gradients of D are bounded at the iterates,
    then

    .. math::
        \|u^k - z^{k-1}\| = \frac{\sigma_k^2}{\lambda} \|\nabla D(u^k)\|,

    so that for levels that decrease geometrically all steps are summable: the
    iterates converge, and to the same point. This says nothing of
    optimality. With equal levels and a convex functional R it is alternating
    minimisation, which converges to a minimiser of the objective with the
    penalty. Where D and R are known, prefer `accelerated_proximal_gradient`.

    *Equivariance.* With a denoiser that commutes with a group of isometries
    :math:`T_g`, :math:`\Phi(y; A T_g) = T_g^{-1} \Phi(y; A)` for the
    reconstruction that starts at the turned image: :math:`D(T_g u)` has the
    proximal :math:`T_g^{-1} \mathrm{prox}\, T_g`. No averaging over the group
    is needed.

    References
    ----------
    .. [Z+2022] Zhang K, Li Y, Zuo W, Zhang L, Van Gool L and Timofte R.
       *Plug-and-play image restoration with deep denoiser prior*. IEEE Trans.
       Pattern Anal. Mach. Intell. 44 (2022) 6360-6376.
    .. [CWE2017] Chan S H, Wang X and Elgendy O A. *Plug-and-play ADMM for
       image restoration: fixed-point convergence and applications*. IEEE
       Trans. Comput. Imaging 3 (2017) 84-98.

    Examples
    --------
    With a functional instead of a denoiser, close to the minimiser of
    D + 0.5 R if the level decreases slowly:

    >>> space = odl.rn(2)
    >>> R = odl.functionals.L1Norm(space)
    >>> D = 0.5 * odl.functionals.L2NormSquared(space).translated([2, 0.1])
    >>> x = space.zero()
    >>> _ = half_quadratic_splitting(x, R, D, 1, 0.1, niter=200, weight=0.5)
    >>> bool((x - space.element([1.5, 0])).norm() < 0.03)
    True
    """
    denoise = _denoiser(x, f, positive_number('scale', scale))
    check_start(x, {'g': g})
    fit = factory_of(
        g,
        'g',
        'take `odl_equivariant.functionals.LeastSquares` or '
        '`acquisition.data_fit(y)` as the data fit',
    )
    levels = _levels(sigma_start, sigma_end, whole_number('niter', niter, 0))
    weight = positive_number('weight', weight)
    one_of('result', result, _ENDS)
    tol = None if tol is None else positive_number('tol', tol)
    inner = RealInnerProduct(x.space)
    reached = SolverResult()
    objective = _objective(f, g, weight, x)
    if objective is not None:
        reached.objective.append(objective(x))
    relative = math.inf
    z = x.copy()
    for level in levels:
        step = level**2 / weight
        u = fit(step)(z)
        z = denoise(level)(u)
        gap, size = inner.squared_norm(z - u), inner.squared_norm(z)
        if not math.isfinite(gap):
            raise ValueError(
                f'the denoiser or the proximal of `g` at the level {level:g} '
                'has returned values that are not finite'
            )
        x.assign(z if result == 'denoised' else u)
        relative = math.sqrt(gap / size) if size else math.inf
        reached.n_iter += 1
        reached.residuals.append(math.sqrt(gap))
        reached.steps.append(step)
        if objective is not None:
            reached.objective.append(objective(x))
        if callback is not None:
            callback(x)
    reached.converged = tol is not None and (relative <= tol or gap == 0)
    warn_if_short(
        reached,
        'half_quadratic_splitting',
        relative,
        tol,
        'lower `sigma_end`, with more iterations, or raise `tol`',
    )
    return reached


def _levels(start, end, n):
    start = positive_number('sigma_start', start)
    end = positive_number('sigma_end', end)
    if end > start:
        raise ValueError(
            'the noise level must not increase, got '
            f'sigma_start={start:g} and sigma_end={end:g}'
        )
    return [float(level) for level in np.geomspace(start, end, n)]


def _denoiser(x, f, scale):
    """Return a function that maps a noise level to a denoiser."""
    if isinstance(f, torch.nn.Module):
        check_start(x, {})
        f = LearnedProximal(x.space, f, scale=scale)
    elif scale != 1:
        raise ValueError(
            '`scale` is for a module; a functional has a scale of its own'
        )
    check_start(x, {'f': f})
    if getattr(f, 'sigma', None) is not None and hasattr(f, 'with_sigma'):
        return lambda level: f.with_sigma(level).proximal(1.0)
    factory = factory_of(
        f, 'f', 'pass a functional with a proximal, or a module that denoises'
    )
    if _learned(f) is not None and _learned(f).parameter == 'deviation':
        return factory
    return lambda level: factory(level**2)


def _learned(f):
    """Return the learned proximal in a functional, or None."""
    while isinstance(f, FunctionalLeftScalarMult | FunctionalTranslation):
        f = f.functional
    return f if isinstance(f, LearnedProximal) else None


def _objective(f, g, weight, x):
    """Return the function that is minimised, or None if there is none."""
    is_functional = isinstance(f, odl.functionals.Functional)
    if not is_functional or getattr(f, 'sigma', None) is not None:
        return None
    if value_of(f, x) is None or value_of(g, x) is None:
        return None
    return lambda u: value_of(g, u) + weight * value_of(f, u)
