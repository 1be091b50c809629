# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Second-order variations and their proximals, by primal-dual iterations."""

import torch

from odl_equivariant.functionals._tensors import doubled
from odl_equivariant.functionals._variation_dual import (
    in_enough_precision,
    over_batch,
    squared_norm,
)

__all__ = ('evaluate', 'denoise')

# The first look at the gap, and the part of the iterations so far between two.
_FIRST_LOOK, _SHARE = 20, 0.15
# The relaxation must be below 2.
_RELAXATION = 1.9
# The ratio of the primal step to the dual one enters the speed alone, and all
# this has been found by experiment. It starts from a multiple of the gradients
# over their weight. It changes at some iteration and whenever their number has
# doubled, by factors up to those, and falls with a power of the number. If the
# weight is so large that gradients are less than a share of it, the ratio is
# another one, and stays.
_RATIO, _FIRST_CHANGE, _CHANGES, _POWER = 0.03, 20, (1 / 3, 10.0), 0.2
_LEAST_SHARE, _FLAT_RATIO = 0.5, 0.3
# The same for the values, which start from a good field, and do not change it.
_VALUE_RATIO = 0.3
# Below this tolerance, single precision is not enough.
_SINGLE_TOL = 1e-3
# Projected gradients that make a dual variable feasible.
_PROJECTIONS = 20


def _inner(stencils, x, y):
    parts = stencils.parts.to(x.device)
    return stencils.integral((parts * (x * y.conj()).real).sum(1))


class _Fields:
    r"""Fields and dual variables, with the memory of an iteration.

    Memory is allocated once: new arrays cost more than the computation.

    Notes
    -----
    With a bound :math:`n` of the norm, the steps are :math:`\tau = \rho / n`
    and :math:`\sigma = 1 / (\rho n)`. After some iterations the error is at
    most in proportion to :math:`\|x - x^*\|^2 / \tau + \|y - y^*\|^2 /
    \sigma`, which is least if :math:`\rho` is the ratio of the two distances.
    So it becomes that of the sizes of fields and dual variables, which start
    from zero. An image does not count, since its problem is strongly convex.
    """

    def __init__(self, second, weights, norm, field, slope, dual):
        self.second, self.weights, self.norm = second, weights, norm
        self.field, self.slope, self.dual = field, slope, dual
        self._moved, self._ahead = field.clone(), field.clone()
        self._bend, self._lengths = dual.clone(), second.first.moduli(dual)
        self._change = _FIRST_CHANGE

    def doubled(self):
        """Return the same in double precision."""
        state = map(doubled, (self.field, self.slope, self.dual))
        fields = _Fields(self.second, self.weights, self.norm, *state)
        fields._change = self._change
        fields.ratio, fields._first = self.ratio.double(), self._first.double()
        fields._is_flat = self._is_flat
        return fields

    def balance(self, gradients, factor, least=_LEAST_SHARE):
        """Choose the first ratio of the steps, for such gradients."""
        size = self.second.first.moduli(gradients, self._lengths)
        size = size.flatten(1).mean(1)
        share = size / self.weights[0]
        # any ratio serves a constant image
        self._is_flat = (share < least) | (share == 0)
        self.ratio = torch.where(self._is_flat, _FLAT_RATIO, factor * share)
        self._first = self.ratio

    def rebalance(self, n_iter):
        """Adapt the ratio, ever less often."""
        if n_iter != self._change:
            return
        self._change *= 2
        first = self.second.first
        field, slope, dual = (
            first.integral(first.products(x, x, self._lengths))
            for x in (self.field, self.slope, self.dual)
        )
        ratio = (field / (slope + dual)).sqrt()
        # also where nothing has moved
        ratio = torch.nan_to_num(ratio * (_FIRST_CHANGE / n_iter) ** _POWER)
        least, most = (factor * self._first for factor in _CHANGES)
        ratio = ratio.maximum(least).minimum(most)
        self.ratio = torch.where(self._is_flat, self._first, ratio)

    def step(self, gradients):
        """Do one iteration, given the gradients of the image ahead."""
        second, shorten_ = self.second, self.second.first.shorten_
        ratio = over_batch(self.ratio, self.field)
        tau, sigma = ratio / self.norm, 1 / (ratio * self.norm)
        moved = second.derivatives_adjoint(self.dual, self._moved)
        moved.neg_().add_(self.slope).mul_(tau).add_(self.field)
        ahead = torch.lerp(self.field, moved, 2.0, out=self._ahead)
        self.field.lerp_(moved, _RELAXATION)
        moved = torch.sub(gradients, ahead, out=self._moved)
        moved.mul_(sigma).add_(self.slope)
        shorten_(moved, self.weights[0], self._lengths)
        self.slope.lerp_(moved, _RELAXATION)
        bend = second.derivatives(ahead, self._bend)
        bend.mul_(sigma).add_(self.dual)
        shorten_(bend, self.weights[1], self._lengths)
        self.dual.lerp_(bend, _RELAXATION)

    def energy(self, gradients):
        """Return the sum of both terms for the field, ``(N,)``."""
        first = self.second.first
        distances = torch.sub(gradients, self.field, out=self._moved)
        distance = first.integral(first.moduli(distances, self._lengths))
        bends = self.second.derivatives(self.field, self._bend)
        bend = first.integral(first.moduli(bends, self._lengths))
        return self.weights[0] * distance + self.weights[1] * bend

    def nearly_feasible(self):
        r"""Return :math:`E^* q`, cut to the first weight.

        What it promises is about what `feasible` reaches, at a small part of
        the cost.
        """
        field = self.second.derivatives_adjoint(self.dual, self._moved)
        return self.second.first.shorten_(
            field, self.weights[0], self._lengths
        )

    def feasible(self):
        r"""Return :math:`E^* q` with a feasible :math:`q`."""
        dual = self.feasible_dual()
        return self.second.derivatives_adjoint(dual, self._moved)

    def feasible_dual(self):
        r"""Return :math:`q`, with :math:`E^* q`, not above their weights.

        Notes
        -----
        The dual variable is moved to feasible ones by accelerated projected
        gradients on the squared distance of :math:`E^* q` to vectors not
        longer than the first weight. What is left is shortened by one number.
        That number alone would change :math:`q` everywhere for the sake of a
        few points, and the gap would be a hundred times as large.
        """
        second, first = self.second, self.second.first
        step = 1 / (second.squared_norm_bound() or 1.0)
        q, momentum = self.dual.clone(), 1.0
        first.shorten_(q, self.weights[1], self._lengths)
        ahead = q.clone()
        for _ in range(_PROJECTIONS):
            field = second.derivatives_adjoint(ahead, self._moved)
            lengths = first.moduli(field, self._lengths)
            rest = lengths.clamp_min_(self.weights[0]).reciprocal_()
            field.mul_(rest.mul_(-self.weights[0]).add_(1))
            bend = second.derivatives(field, self._bend)
            moved = bend.mul_(-step).add_(ahead)
            first.shorten_(moved, self.weights[1], self._lengths)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            torch.lerp(q, moved, 1 + (momentum - 1) / following, out=ahead)
            q.copy_(moved)
            momentum = following
        field = second.derivatives_adjoint(q, self._moved)
        longest = first.moduli(field, self._lengths)
        longest = longest.flatten(1).amax(1) / self.weights[0]
        return q.div_(over_batch(longest.clamp_min(1), q))


def _next_look(n_iter, maxiter):
    return min(maxiter, n_iter + max(_FIRST_LOOK, int(_SHARE * n_iter)))


def evaluate(second, image, weights, tol, maxiter):
    r"""Minimise :math:`\alpha_1 |A u - v|_1 + \alpha_0 |E v|_1` over v.

    Parameters
    ----------
    second : SecondStencils
        The operators :math:`A` and :math:`E`.
    image : torch.Tensor
        :math:`u`, of shape ``(N, P, *shape)``, float64 or complex128.
    weights : pair of float
        :math:`\alpha_1, \alpha_0`, in units of a cell.
    tol : float
        Largest error of the minimum over :math:`\alpha_1 |A u|_1`.
    maxiter : int
        Largest number of iterations.

    Returns
    -------
    value : torch.Tensor
        The smallest value found, ``(N,)``: an upper bound of the minimum.
    bound : float
        Guaranteed bound of the relative error.
    n_iter : int
        Number of iterations that were done.

    Notes
    -----
    Every :math:`q` with :math:`|q| \le \alpha_0` and
    :math:`|E^* q| \le \alpha_1` gives the lower bound
    :math:`\langle A u, E^* q \rangle`.
    """
    first = second.first
    gradients = second.gradients(image)
    # zero is the best field at edges, and the gradient in smooth parts
    scale = weights[0] * first.integral(first.moduli(gradients))
    fields = _Fields(
        second,
        weights,
        (1 + second.squared_norm_bound()) ** 0.5,
        gradients.clone(),
        torch.zeros_like(gradients),
        torch.zeros_like(second.derivatives(gradients)),
    )
    # values may have any unit
    fields.balance(gradients, _VALUE_RATIO, least=0.0)
    value = torch.minimum(scale, fields.energy(gradients))
    lower = torch.zeros_like(value)
    n_iter = look = 0
    while True:
        if n_iter == look:
            look = _next_look(n_iter, maxiter)
            value = torch.minimum(value, fields.energy(gradients))
            product = first.products(gradients, fields.feasible())
            lower = torch.maximum(lower, first.integral(product))
            gaps = (value - lower).clamp_min(0)
            bound = float(torch.where(gaps > 0, gaps / scale, 0.0).max())
            if bound <= tol or n_iter == maxiter:
                return value, bound, n_iter
        fields.step(gradients)
        n_iter += 1


def _bound_of(fields, noisy, image, gradients, field):
    """Return a bound of the relative error, for a dual variable."""
    second, first = fields.second, fields.second.first
    change = second.gradients_adjoint(field)
    energy = fields.energy(second.gradients(image, gradients))
    # primal value minus dual value, in terms that are not negative
    distance = squared_norm(first, image - noisy + change)
    gaps = energy - _inner(first, image, change) + distance / 2
    half = distance.sqrt() / 2
    radius = (gaps - half**2).clamp_min(0).sqrt() + half
    scale = squared_norm(first, noisy).clamp_min(
        torch.finfo(noisy.real.dtype).tiny
    )
    return float((radius / scale.sqrt()).max())


def denoise(second, noisy, weights, tol, maxiter, state=None):
    r"""Minimise the sum of :math:`\tfrac12 \|u - f\|^2` and the energy.

    Parameters
    ----------
    second : SecondStencils
        The operators :math:`A` and :math:`E`.
    noisy : torch.Tensor
        :math:`f`, of shape ``(N, P, *shape)``. Iterations in single precision
        are for such tensors and tolerances that allow it. The gap is
        confirmed in double precision.
    weights : pair of float
        :math:`\alpha_1, \alpha_0`, in units of a cell.
    tol : float
        Largest :math:`\|u - u^*\| / \|f\|` for each image of the batch.
    maxiter : int
        Largest number of iterations.
    state : tuple of torch.Tensor, optional
        Field and dual variables to start from.

    Returns
    -------
    u : torch.Tensor
        The minimiser, in double precision.
    state : tuple of torch.Tensor
        Field and dual variables.
    bound : float
        Guaranteed bound of the relative error.
    n_iter : int
        Number of iterations that were done.

    Notes
    -----
    Relaxed primal-dual iterations (Chambolle and Pock, *A first-order
    primal-dual algorithm for convex problems with applications to imaging*,
    J. Math. Imaging Vis. 40 (2011), 120-145; Condat 2013). With a
    :math:`q` for which :math:`|q| \le \alpha_0` and
    :math:`|E^* q| \le \alpha_1`, the dual image :math:`f - A^* E^* q` and the
    dual value are feasible. Both objectives are strongly convex, so that
    with the gap :math:`G` between the values

    .. math::
        \|u - u^*\|^2 + \|f - A^* E^* q - u^*\|^2 \le 2 G,

    from which, with the distance :math:`\delta` of the two images,
    :math:`\|u - u^*\| \le \sqrt{G - \delta^2 / 4} + \delta / 2`.
    """
    exact = doubled(noisy)
    noisy = in_enough_precision(noisy, weights[0], tol, _SINGLE_TOL)
    gradients = second.gradients(noisy)
    if state is None:
        zero = torch.zeros_like(gradients)
        state = zero, zero, second.derivatives(zero)
    fields = _Fields(
        second,
        weights,
        second.combined_norm_bound(),
        *(each.to(gradients, copy=True) for each in state),
    )
    fields.balance(gradients, _RATIO)
    image = noisy - second.gradients_adjoint(fields.slope)
    n_iter, look, before = 0, 0, torch.inf
    while True:
        if n_iter == look:
            look, is_last = _next_look(n_iter, maxiter), n_iter == maxiter
            problem = fields, noisy, image, gradients
            bound = _bound_of(*problem, fields.nearly_feasible())
            is_stalled, before = bound >= before, bound
            if noisy.dtype != exact.dtype and (
                bound <= tol or is_last or is_stalled
            ):
                fields, noisy, image = fields.doubled(), exact, doubled(image)
                gradients = doubled(gradients)
                problem = fields, noisy, image, gradients
            if bound <= tol or is_last:
                bound = _bound_of(*problem, fields.feasible())
            if bound <= tol or is_last:
                state = fields.field, fields.slope, fields.dual
                return image, state, bound, n_iter
        tau = over_batch(fields.ratio / fields.norm, image)
        moved = second.gradients_adjoint(fields.slope).neg_().add_(noisy)
        moved.mul_(tau).add_(image).div_(1 + tau)
        second.gradients(torch.lerp(image, moved, 2.0), gradients)
        fields.step(gradients)
        image.lerp_(moved, _RELAXATION)
        n_iter += 1
        fields.rebalance(n_iter)
