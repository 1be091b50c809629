# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The proximal of a total variation by splitting, on grids of equal weights.

The dual problem of `_variation_dual` needs no linear solver, so it takes any
weights. Where all points have the same weight, trigonometric transforms solve
the linear systems of the splitting, which needs far fewer iterations.
"""

import torch

from odl_equivariant.functionals._tensors import doubled
from odl_equivariant.functionals._variation_dual import (
    gap_parts,
    in_enough_precision,
    over_batch,
    squared_norm,
)
from odl_equivariant.functionals.splitting.trigonometric import Laplacian

__all__ = ('denoise',)

# Between two looks at the gap, which costs more than an iteration.
_EVERY = 5
_RELAXATION = 1.8
# All these enter the speed alone, and have been found by experiment: lengths
# that the first projection leaves, over the mean one, and between which shares
# of the gap the penalty stays.
_FIRST_LENGTH, _LOW, _HIGH, _FACTOR = 0.15, 0.1, 0.5, 1.5
# With so many changes of the penalty, the iteration need not converge.
_MOST_CHANGES = 12
# Below this tolerance, or where the bound is hardly less than at the last
# look, single precision is not enough.
_SINGLE_TOL, _STALLED = 3e-4, 0.9


class _Splitting:
    r"""Douglas-Rachford iterations for :math:`\tfrac12 |u - f|^2 + \gamma J`.

    Notes
    -----
    With the penalty :math:`\rho` and the projection :math:`P` onto vectors
    not longer than :math:`\gamma / \rho`, an iteration is

    .. math::
        b = P v, \qquad
        (1 + \rho K^* K) u = f + \rho K^* (v - 2 b), \qquad
        v \leftarrow v + \alpha (K u + b - v),

    where :math:`p = \rho b / \gamma` is feasible in the dual problem. Beside
    :math:`v`, :math:`K^* v` is known from the iteration before.
    """

    def __init__(self, stencils, noisy, gamma, v, length):
        self.stencils, self.noisy, self.gamma = stencils, noisy, gamma
        self.laplacian = Laplacian(stencils, noisy)
        self.v, self.length = v, length
        self.image = stencils.transpose(v)
        self.lengths = stencils.moduli(v)
        self.u, self._scratch = noisy, None

    def step(self):
        """Do one iteration."""
        stencils, v, alpha = self.stencils, self.v, _RELAXATION
        length = over_batch(self.length, self.noisy)
        rho = self.gamma / length
        lengths = stencils.moduli(v, self.lengths)
        factor = lengths.div_(over_batch(self.length, lengths)).clamp_min_(1)
        v.mul_(factor.reciprocal_().mul_(alpha).add_(1 - alpha))
        mixed = stencils.transpose(v)
        # of the projection
        shrunk = (mixed - (1 - alpha) * self.image) / alpha
        right = shrunk.mul_(-2).add_(self.image).mul_(rho).add_(self.noisy)
        self.u = self.laplacian.solve(right, rho)
        stencils.add_differences_(v, self.u, alpha)
        self.image = mixed.add_(right.sub_(self.u).mul_(alpha / rho))

    def gap(self, enough, exact=None):
        """Return an image, its gap, and the share of the distance in it.

        The image is the mean of that of the dual variable and of the one with
        the smaller gap. The gap is computed in double precision if the noisy
        image is given so. Gaps not above ``enough`` need no better image.
        """
        stencils, gamma = self.stencils, self.gamma
        noisy = self.noisy if exact is None else exact
        v = self.v.to(noisy.dtype)
        dual = v / over_batch(self.length, v)
        lengths = self.lengths if v is self.v else None
        stencils.shorten_(dual, 1.0, lengths)
        u = noisy - gamma * stencils.adjoint(dual)
        other = self.u.to(noisy.dtype)
        if self._scratch is None or self._scratch.dtype != v.dtype:
            self._scratch = torch.zeros_like(v)
        settings = (dual, self._scratch)
        excess, distance = gap_parts(stencils, gamma, u, other, *settings)
        gaps = (excess + distance).clamp_min(0)
        share = distance / gaps
        if not (gaps <= enough).all():
            last, _ = gap_parts(stencils, gamma, u, u, *settings)
            other = torch.where(over_batch(last < gaps, u), u, other)
            gaps = torch.minimum(gaps, last.clamp_min(0))
        return (u + other) / 2, gaps, share

    def scale_length(self, factor):
        """Change the penalty without a change of the dual variable."""
        stencils, v = self.stencils, self.v
        length = over_batch(self.length, v)
        shares = stencils.moduli(v, self.lengths).div_(length).clamp_min_(1)
        shares.reciprocal_().mul_(over_batch(factor, v) - 1).add_(1)
        v.mul_(shares)
        self.length = self.length * factor
        self.image = stencils.transpose(v)


def denoise(stencils, noisy, gamma, tol, maxiter, state=None):
    r"""Minimise :math:`\tfrac12 \|u - f\|^2 + \gamma J(u)`.

    Parameters
    ----------
    stencils : Stencils
        Differences of which :math:`J` is the sum of the norms, on a grid
        where all points have the same weight.
    noisy : torch.Tensor
        :math:`f`, of shape ``(N, P, *shape)``. Iterations in single precision
        are for such tensors and tolerances that allow it. The gap is
        computed in double precision.
    gamma : float
        Positive weight.
    tol : float
        Largest :math:`\|u - u^*\| / \|f\|` for each image of the batch.
    maxiter : int
        Largest number of iterations.
    state : tuple of torch.Tensor, optional
        State of an earlier call to start from.

    Returns
    -------
    u : torch.Tensor
        The minimiser, in double precision.
    state : tuple of torch.Tensor
        Variables from which a similar problem starts.
    bound : float
        Guaranteed bound of the relative error.
    n_iter : int
        Number of iterations that were done.
    """
    exact = doubled(noisy)
    noisy = in_enough_precision(noisy, gamma, tol, _SINGLE_TOL)
    scale = squared_norm(stencils, exact).clamp_min(
        torch.finfo(exact.real.dtype).tiny
    )
    v = stencils.differences(noisy)
    if state is None:
        moduli = stencils.moduli(v)
        bound = float((gamma * stencils.integral(moduli) / scale).max().sqrt())
        mean = moduli.flatten(1).mean(1)
        # a constant image is its own proximal, with any length
        length = torch.where(mean > 0, _FIRST_LENGTH * mean, 1.0)
        v.zero_()
        if bound <= tol:
            return exact, (v, length), bound, 0
    else:
        v, length = v.copy_(state[0]), state[1].to(v.real.dtype)
    run, enough = _Splitting(stencils, noisy, gamma, v, length), tol**2 * scale
    before, n_changes = torch.inf, 0
    for n_iter in range(maxiter + 1):
        if n_iter == maxiter or (
            n_iter % _EVERY == 0 and (n_iter or state is not None)
        ):
            is_exact = noisy.dtype == exact.dtype
            u, gaps, share = run.gap(enough if is_exact else torch.inf)
            if not is_exact and ((gaps <= enough).all() or n_iter == maxiter):
                u, gaps, share = run.gap(enough, exact)
            bound = float((gaps / scale).max().sqrt())
            if bound <= tol or n_iter == maxiter:
                break
            if not is_exact and bound > _STALLED * before:
                noisy, v = exact, doubled(run.v)
                run = _Splitting(
                    stencils, noisy, gamma, v, doubled(run.length)
                )
            before = bound
            if n_iter and n_changes < _MOST_CHANGES:
                factor = torch.ones_like(run.length)
                factor[share < _LOW] = 1 / _FACTOR
                factor[share > _HIGH] = _FACTOR
                if (factor != 1).any():
                    n_changes += 1
                    run.scale_length(factor)
        run.step()
    return u, (run.v, run.length), bound, n_iter
