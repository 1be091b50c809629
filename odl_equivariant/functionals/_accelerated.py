# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Accelerated gradients for the proximal of a smooth function, on tensors."""

import math
from typing import NamedTuple

import torch

__all__ = ('Minimum', 'minimise')

# Rounding of the relative residual, in units of the precision: none is smaller
# than the first, and below the second none becomes smaller once so many
# iterations have made none.
_LEAST, _SMALL, _MOST_IDLE = 1.0, 100.0, 50


class Minimum(NamedTuple):
    """What `minimise` has reached."""

    u: torch.Tensor
    #: Relative size of the gradient.
    residual: float
    n_iter: int
    #: Whether no further iteration would have made the residual smaller.
    is_stalled: bool


def _norm(x):
    return float(torch.linalg.vector_norm(x, dtype=torch.double))


def _dot(x, y):
    return float((x * y).sum(dtype=torch.double))


class _Problem:
    """The objective, through its gradient, and what has been seen of it."""

    def __init__(self, gradient, noisy, nonnegative):
        self._gradient, self.noisy = gradient, noisy
        self.nonnegative = nonnegative
        self.size = _norm(noisy)
        self.best = None

    def project(self, u):
        return u.clamp_min(0) if self.nonnegative else u

    def gradient(self, u):
        return self._gradient(u) + (u - self.noisy)

    def residual(self, u, gradient):
        """Return the relative size of the least subgradient, and keep u."""
        if self.nonnegative:
            gradient = torch.where(u > 0, gradient, gradient.clamp_max(0))
        size = max(self.size, _norm(u))
        norm = _norm(gradient)
        residual = norm / size if size > 0 else norm and math.inf
        # a NaN is not better than anything
        is_better = self.best is None or residual < self.best[0]
        if is_better:
            self.best = (residual, u, gradient)
        return residual, is_better


def minimise(
    gradient,
    noisy,
    curvatures,
    tol,
    maxiter,
    start=None,
    nonnegative=False,
):
    r"""Minimise :math:`\varphi(u) = h(u) + \tfrac12 \|u - x\|^2`.

    Parameters
    ----------
    gradient : callable
        :math:`\nabla h`, on tensors.
    noisy : torch.Tensor
        :math:`x`.
    curvatures : tuple of float
        Modulus :math:`\mu \geq 0` of strong convexity of :math:`\varphi`, and
        a Lipschitz constant of its gradient, or infinity.
    tol : float
        Bound of the residual: the least norm of a subgradient of
        :math:`\varphi` (and of the constraint), over the larger one of
        :math:`\|x\|` and :math:`\|u\|`.
    maxiter : int
        Largest number of iterations, each with one gradient.
    start : torch.Tensor, optional
        Where to start, if it is better than ``noisy``.
    nonnegative : bool, optional
        Whether all values of :math:`u` have to be at least 0.

    Returns
    -------
    minimum : Minimum
        The iterate with the least residual.

    Notes
    -----
    Accelerated (projected) gradients, restarted where they turn uphill
    (O'Donoghue and Candès, *Adaptive restart for accelerated gradient
    schemes*, Found. Comput. Math. 15 (2015), 715-732). The momentum never
    exceeds the best one for :math:`\mu`. A step is shortened, and the
    iterate given up, where two gradients show that it was too long: if
    :math:`\|\nabla\varphi(v) - \nabla\varphi(u)\| > \|v - u\| / \text{step}`.
    With a Lipschitz constant, it is never shorter than its inverse. Only
    gradients are compared, since differences of values are lost to rounding
    near a minimum.
    """
    modulus, lipschitz = curvatures
    problem = _Problem(gradient, noisy, nonnegative)
    least_step = 1 / lipschitz if lipschitz > 0 else 0.0
    step = 1.0 if math.isinf(lipschitz) else least_step
    precision = torch.finfo(noisy.dtype).eps

    ahead = problem.project(noisy)
    slope = problem.gradient(ahead)
    residual, _ = problem.residual(ahead, slope)
    n_iter = 1
    if start is not None and not residual <= tol:
        other = problem.project(start)
        other_slope = problem.gradient(other)
        other_residual, is_better = problem.residual(other, other_slope)
        n_iter += 1
        if is_better:
            ahead, slope, residual = other, other_slope, other_residual
    u, momentum, idle = ahead, 1.0, 0
    while not residual <= tol and n_iter < maxiter:
        least = problem.best[0] / precision
        if least <= (_LEAST if idle < _MOST_IDLE else _SMALL):
            return Minimum(problem.best[1], problem.best[0], n_iter, True)
        moved = problem.project(ahead - step * slope)
        motion = moved - u
        if _dot(ahead - moved, motion) > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        root = math.sqrt(min(1.0, step * modulus))
        weight = min((momentum - 1) / following, (1 - root) / (1 + root))
        following_ahead = problem.project(moved + weight * motion)
        following_slope = problem.gradient(following_ahead)
        n_iter += 1
        residual, is_better = problem.residual(
            following_ahead, following_slope
        )
        idle = 0 if is_better else idle + 1
        change = _norm(following_slope - slope)
        distance = _norm(following_ahead - ahead)
        too_long = not change * step <= 1.001 * distance
        if too_long and step > least_step and not residual <= tol:
            step = max(least_step, step / 2)
            momentum, u = 1.0, ahead
            continue
        ahead, slope = following_ahead, following_slope
        u, momentum = moved, following
    return Minimum(problem.best[1], problem.best[0], n_iter, False)
