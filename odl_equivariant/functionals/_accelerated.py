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


# Without a Lipschitz constant, steps are doubled after so many in a row that
# were shorter than this part of what the gradients show to be allowed. If that
# proves too long, the next time it takes twice as many.
_MOST_SHORT, _SHORT = 8, 0.4


class Minimum(NamedTuple):
    """Where `minimise` has stopped, and how near the minimum that is."""

    #: The last iterate.
    u: torch.Tensor
    #: Relative size of the gradient.
    residual: float
    n_iter: int
    #: Least curvature that gradients have shown between two iterates.
    curvature: float
    #: Whether no further iteration would have made the residual smaller.
    is_stalled: bool


def _norm(x):
    return float(torch.linalg.vector_norm(x, dtype=torch.double))


def _dot(x, y):
    return float((x * y).sum(dtype=torch.double))


class _Point:
    """A point with the gradient there, and the size of the subgradient."""

    def __init__(self, gradient, noisy, u, nonnegative):
        self.u, self.slope = u, gradient(u) + (u - noisy)
        least = self.slope
        if nonnegative:
            least = torch.where(u > 0, least, least.clamp_max(0))
        self.norm = _norm(least)


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
    exceeds the best one for :math:`\mu`. The step is the inverse of the
    Lipschitz constant. Without one (or where it is wrong) it is shortened,
    and the iterate given up, where two gradients show that it was too long: if
    :math:`\|\nabla\varphi(v) - \nabla\varphi(u)\| > \|v - u\| / \text{step}`,
    and doubled where they allow much more for a while. Only
    gradients are compared, since differences of values are lost to rounding
    near a minimum.
    """
    modulus, lipschitz = curvatures
    is_bounded = not math.isinf(lipschitz)
    step = 1 / lipschitz if is_bounded else 1.0
    # no step is ever longer than a proven one
    longest = step if is_bounded else 1 / max(modulus, 0.1)
    curvature = math.inf
    patience, is_doubled = _MOST_SHORT, False
    precision = torch.finfo(noisy.dtype).eps
    size = _norm(noisy)

    def at(u):
        return _Point(gradient, noisy, project(u), nonnegative)

    def project(u):
        return u.clamp_min(0) if nonnegative else u

    def relative(point):
        unit = max(size, _norm(point.u))
        return point.norm / unit if unit > 0 else point.norm and math.inf

    ahead, n_iter = at(noisy), 1
    if start is not None and not relative(ahead) <= tol:
        other, n_iter = at(start), 2
        ahead = other if other.norm < ahead.norm else ahead
    best, u, momentum, idle, short = ahead, ahead.u, 1.0, 0, 0
    while True:
        residual = relative(ahead)
        if residual <= tol or not math.isfinite(ahead.norm):
            return Minimum(ahead.u, residual, n_iter, curvature, False)
        least = relative(best)
        is_stalled = least <= precision * (
            _LEAST if idle < _MOST_IDLE else _SMALL
        )
        if is_stalled or n_iter >= maxiter:
            return Minimum(best.u, least, n_iter, curvature, is_stalled)
        moved = project(ahead.u - step * ahead.slope)
        motion = moved - u
        if _dot(ahead.u - moved, motion) > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        root = math.sqrt(min(1.0, step * modulus))
        weight = min((momentum - 1) / following, (1 - root) / (1 + root))
        point = at(moved + weight * motion)
        n_iter += 1
        is_better = point.norm < best.norm
        best, idle = (point, 0) if is_better else (best, idle + 1)
        distance, change = point.u - ahead.u, point.slope - ahead.slope
        length = _norm(distance)
        # shorter ones say nothing: their changes are of rounding
        is_telling = length > 1e3 * precision * size
        if is_telling:
            curvature = min(curvature, _dot(change, distance) / length**2)
        change = step * _norm(change)
        if is_telling and not change <= 1.01 * length:
            # too long a step: the point is given up, unless it is the best
            step = step / 2
            ahead = point if is_better else ahead
            u, momentum, short = ahead.u, 1.0, 0
            patience = 2 * patience if is_doubled else patience
            is_doubled = False
            continue
        short = short + 1 if change < _SHORT * length else 0
        if short >= patience and step < longest:
            step, momentum, short = min(2 * step, longest), 1.0, 0
            is_doubled = True
        ahead, u, momentum = point, moved, following
