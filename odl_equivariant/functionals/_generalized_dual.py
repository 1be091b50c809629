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


def _shorten_(stencils, y, radius):
    """Project onto the vectors not longer than ``radius``, in place."""
    return y.div_((stencils.moduli(y) / radius).clamp_min_(1))


def _relaxed_(x, moved):
    return x.lerp_(moved, _RELAXATION)


def _feasible(second, dual, radius):
    r"""Return :math:`\theta E^* q`, not longer than ``radius`` anywhere."""
    field = second.derivatives_adjoint(dual)
    longest = second.first.moduli(field).flatten(1).amax(1)
    return field.div_(_over_batch((longest / radius).clamp_min(1), field))


def _energy(second, gradients, field, weights):
    """Return the sum of both terms for a field, ``(N,)``."""
    first = second.first
    distance = first.integral(first.moduli(gradients - field))
    bend = first.integral(first.moduli(second.derivatives(field)))
    return weights[0] * distance + weights[1] * bend


def evaluate(second, image, weights, tol, max_iter):
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
    max_iter : int
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
    field = gradients.clone()
    value = torch.minimum(scale, _energy(second, gradients, field, weights))
    area = first.integral(torch.ones_like(first.moduli(gradients)))
    size = (scale / weights[0] / area).clamp_min(
        torch.finfo(torch.double).tiny
    )
    norm = (1 + second.squared_norm_bound()) ** 0.5
    ratio = _over_batch(_RATIO * size / weights[0], field)
    tau, sigma = ratio / norm, 1 / (ratio * norm)
    slope = torch.zeros_like(field)
    dual = torch.zeros_like(second.derivatives(field))
    lower = torch.zeros_like(value)
    n_iter = 0
    while True:
        if n_iter % _EVERY == 0 or n_iter == max_iter:
            if n_iter > 0:
                energy = _energy(second, gradients, field, weights)
                value = torch.minimum(value, energy)
            feasible = _feasible(second, dual, weights[0])
            product = (gradients * feasible.conj()).real.sum((1, 2))
            parts = first.parts.to(product)
            product = first.integral((parts * product).sum(1))
            lower = torch.maximum(lower, product)
            gaps = (value - lower).clamp_min(0)
            bound = float(torch.where(gaps > 0, gaps / scale, 0.0).max())
            if not bound > tol or n_iter == max_iter:
                return value, bound, n_iter
        moved = field + tau * (slope - second.derivatives_adjoint(dual))
        ahead = 2 * moved - field
        raised = slope + sigma * (gradients - ahead)
        _relaxed_(slope, _shorten_(first, raised, weights[0]))
        raised = dual + sigma * second.derivatives(ahead)
        _relaxed_(dual, _shorten_(first, raised, weights[1]))
        _relaxed_(field, moved)
        n_iter += 1


def denoise(second, noisy, weights, tol, max_iter, state=None):
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
    max_iter : int
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
    if state is None:
        field = torch.zeros_like(second.gradients(noisy))
        state = field, field.clone(), second.derivatives(field)
    field, slope, dual = (each.clone() for each in state)
    image = noisy - second.gradients_adjoint(slope)
    norm = second.combined_norm_bound()
    tau, sigma = _RATIO / norm, 1 / (_RATIO * norm)
    n_iter = 0
    while True:
        if n_iter % _EVERY == 0 or n_iter == max_iter:
            feasible = _feasible(second, dual, weights[0])
            change = second.gradients_adjoint(feasible)
            energy = _energy(second, second.gradients(image), field, weights)
            # primal value minus dual value, in terms that are not negative
            other = noisy - change
            distance = _squared_norm(first, image - other)
            gaps = energy - _inner(first, image, change) + distance / 2
            half = distance.sqrt() / 2
            radius = (gaps - half**2).clamp_min(0).sqrt() + half
            bound = float((radius / scale.sqrt()).max())
            if not bound > tol or n_iter == max_iter:
                return image, (field, slope, dual), bound, n_iter
        moved = (image + tau * (noisy - second.gradients_adjoint(slope))) / (
            1 + tau
        )
        shifted = field + tau * (slope - second.derivatives_adjoint(dual))
        ahead = 2 * shifted - field
        raised = second.gradients(2 * moved - image).sub_(ahead)
        _shorten_(first, raised.mul_(sigma).add_(slope), weights[0])
        _relaxed_(slope, raised)
        raised = second.derivatives(ahead).mul_(sigma).add_(dual)
        _relaxed_(dual, _shorten_(first, raised, weights[1]))
        _relaxed_(image, moved)
        _relaxed_(field, shifted)
        n_iter += 1
