# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Second-order variations and their proximals, by primal-dual iterations."""

import torch

__all__ = ('evaluate', 'denoise')

# Between two looks at the gap, which costs about as much as an iteration.
_EVERY = 10
# The relaxation must be below 2; the ratio of the primal step to the dual one
# has been found by experiment, and enters the speed alone.
_RELAXATION = 1.9
_RATIO = 0.3


def _squared_norm(stencils, x):
    parts = stencils.parts.to(x.device)
    return stencils.integral((parts * (x * x.conj()).real).sum(1))


def _inner(stencils, x, y):
    parts = stencils.parts.to(x.device)
    return stencils.integral((parts * (x * y.conj()).real).sum(1))


def _over_batch(values, like):
    return values.reshape(-1, *(1,) * (like.ndim - 1))


class _Fields:
    r"""Fields and dual variables, with the memory of an iteration.

    Memory is allocated once: new arrays cost more than the computation.
    """

    def __init__(self, second, weights, field, slope, dual):
        self.second, self.weights = second, weights
        self.field, self.slope, self.dual = field, slope, dual
        self._moved, self._ahead = field.clone(), field.clone()
        self._bend, self._lengths = dual.clone(), second.first.moduli(dual)

    def step(self, gradients, tau, sigma):
        """Do one iteration, given the gradients of the image ahead."""
        second, shorten_ = self.second, self.second.first.shorten_
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

    def feasible(self):
        r"""Return :math:`\theta E^* q`, not longer than the first weight."""
        field = self.second.derivatives_adjoint(self.dual, self._moved)
        longest = self.second.first.moduli(field, self._lengths)
        longest = longest.flatten(1).amax(1) / self.weights[0]
        return field.div_(_over_batch(longest.clamp_min(1), field))


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
        gradients.clone(),
        torch.zeros_like(gradients),
        torch.zeros_like(second.derivatives(gradients)),
    )
    value = torch.minimum(scale, fields.energy(gradients))
    area = first.integral(torch.ones_like(first.moduli(gradients)))
    size = (scale / weights[0] / area).clamp_min(
        torch.finfo(torch.double).tiny
    )
    norm = (1 + second.squared_norm_bound()) ** 0.5
    ratio = _over_batch(_RATIO * size / weights[0], gradients)
    tau, sigma = ratio / norm, 1 / (ratio * norm)
    lower = torch.zeros_like(value)
    n_iter = 0
    while True:
        if n_iter % _EVERY == 0 or n_iter == maxiter:
            value = torch.minimum(value, fields.energy(gradients))
            product = first.products(gradients, fields.feasible())
            lower = torch.maximum(lower, first.integral(product))
            gaps = (value - lower).clamp_min(0)
            bound = float(torch.where(gaps > 0, gaps / scale, 0.0).max())
            if bound <= tol or n_iter == maxiter:
                return value, bound, n_iter
        fields.step(gradients, tau, sigma)
        n_iter += 1


def denoise(second, noisy, weights, tol, maxiter, state=None):
    r"""Minimise the sum of :math:`\tfrac12 \|u - f\|^2` and the energy.

    Parameters
    ----------
    second : SecondStencils
        The operators :math:`A` and :math:`E`.
    noisy : torch.Tensor
        :math:`f`, of shape ``(N, P, *shape)``, float64 or complex128.
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
        The minimiser.
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
    J. Math. Imaging Vis. 40 (2011), 120-145; Condat 2013). With
    :math:`q` shortened by one number, so that :math:`|q| \le \alpha_0` and
    :math:`|E^* q| \le \alpha_1`, the dual image :math:`f - A^* E^* q` and the
    dual value are feasible. Both objectives are strongly convex, so that
    with the gap :math:`G` between the values

    .. math::
        \|u - u^*\|^2 + \|f - A^* E^* q - u^*\|^2 \le 2 G,

    from which, with the distance :math:`\delta` of the two images,
    :math:`\|u - u^*\| \le \sqrt{G - \delta^2 / 4} + \delta / 2`.
    """
    first = second.first
    scale = _squared_norm(first, noisy).clamp_min(
        torch.finfo(noisy.real.dtype).tiny
    )
    gradients = second.gradients(noisy)
    if state is None:
        zero = torch.zeros_like(gradients)
        state = zero, zero, second.derivatives(zero)
    fields = _Fields(second, weights, *(each.clone() for each in state))
    image = noisy - second.gradients_adjoint(fields.slope)
    norm = second.combined_norm_bound()
    tau, sigma = _RATIO / norm, 1 / (_RATIO * norm)
    n_iter = 0
    while True:
        if n_iter % _EVERY == 0 or n_iter == maxiter:
            energy = fields.energy(second.gradients(image, gradients))
            change = second.gradients_adjoint(fields.feasible())
            # primal value minus dual value, in terms that are not negative
            distance = _squared_norm(first, image - noisy + change)
            gaps = energy - _inner(first, image, change) + distance / 2
            half = distance.sqrt() / 2
            radius = (gaps - half**2).clamp_min(0).sqrt() + half
            bound = float((radius / scale.sqrt()).max())
            if bound <= tol or n_iter == maxiter:
                state = fields.field, fields.slope, fields.dual
                return image, state, bound, n_iter
        moved = second.gradients_adjoint(fields.slope).neg_().add_(noisy)
        moved.mul_(tau).add_(image).div_(1 + tau)
        second.gradients(torch.lerp(image, moved, 2.0), gradients)
        fields.step(gradients, tau, sigma)
        image.lerp_(moved, _RELAXATION)
        n_iter += 1
