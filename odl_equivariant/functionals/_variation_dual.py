# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The dual problem of the proximal of a total variation, solved on tensors."""

import torch

from odl_equivariant.functionals._tensors import doubled

__all__ = (
    'denoise',
    'gap_parts',
    'in_enough_precision',
    'over_batch',
    'squared_norm',
)


def squared_norm(stencils, x):
    """Return the squared norms of a batch of dual variables, one for each.

    Parameters
    ----------
    stencils : Stencils
        Differences of an image, with the weights of their parts.
    x : torch.Tensor
        Dual variables, real or complex, whose axis 1 counts parts.
    """
    parts = stencils.parts.to(x.device)
    return stencils.integral((parts * (x * x.conj()).real).sum(1))


def over_batch(values, like):
    """Return a number for each sample, in a shape that multiplies a batch."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def in_enough_precision(noisy, gamma, tol, least):
    """Return a noisy image in a precision that suffices for a proximal.

    Parameters
    ----------
    noisy : torch.Tensor
        The image.
    gamma : float
        Weight of the variation.
    tol : float
        Relative error of the proximal.
    least : float
        Below this tolerance, single precision is not enough. Nor is it where
        it does not hold squares and quotients of all.
    """
    size = float(noisy.abs().max()) if noisy.numel() else 0.0
    is_moderate = 1e-9 < size < 1e9 and 1e-9 < gamma / size < 1e9
    return noisy if is_moderate and tol >= least else doubled(noisy)


def gap_parts(stencils, gamma, u, other, dual, scratch):
    """Return the duality gap of an image as two terms, neither negative.

    The second one is that of the distance to ``u``, which belongs to the dual
    variable.
    """
    differences = stencils.differences(other, out=scratch)
    product = stencils.products(differences, dual)
    excess = stencils.integral(stencils.moduli(differences) - product)
    return gamma * excess, squared_norm(stencils, other - u) / 2


def _dots(x, y):
    """Return the sums of products for each image, without weights."""
    if x.is_complex():
        x, y = torch.view_as_real(x), torch.view_as_real(y)
    return torch.stack(
        [
            torch.dot(a, b)
            for a, b in zip(x.flatten(1), y.flatten(1), strict=True)
        ]
    )


def denoise(stencils, noisy, gamma, tol, maxiter, dual=None):
    r"""Minimise :math:`\tfrac12 \|u - f\|^2 + \gamma J(u)`.

    Parameters
    ----------
    stencils : Stencils
        Differences of which :math:`J` is the sum of the norms.
    noisy : torch.Tensor
        :math:`f`, of shape ``(N, P, *shape)``.
    gamma : float
        Positive weight.
    tol : float
        Largest :math:`\|u - u^*\| / \|f\|` for each image of the batch.
    maxiter : int
        Largest number of iterations.
    dual : torch.Tensor, optional
        Dual variable to start from.

    Returns
    -------
    u, dual : torch.Tensor
        The minimiser and the dual variable.
    bound : float
        Guaranteed bound of the relative error.
    n_iter : int
        Number of iterations that were done.

    Notes
    -----
    Accelerated projected gradients on the dual problem

    .. math::
        \max_{|p_s(x)| \le 1} -\tfrac12 \|f - \gamma K^* p\|^2,
        \qquad u = f - \gamma K^* p,

    restarted where they turn uphill. Either the last :math:`u` or, in the
    beginning, the weighted mean of all (Tseng, *On accelerated proximal
    gradient methods for convex-concave optimization*, 2008) has the smaller
    gap :math:`G` between primal and dual value. With that one as :math:`v`,
    and both objectives strongly convex,
    :math:`\|u - u^*\|^2 + \|v - u^*\|^2 \le 2 G`, and what is
    returned has :math:`\|\tfrac12 (u + v) - u^*\|^2 \le G`.
    """
    noisy = doubled(noisy)
    # a single pixel has no differences, and every step is right
    step = 1 / (gamma * (stencils.squared_norm_bound() or 1.0))
    scale = squared_norm(stencils, noisy).clamp_min(
        torch.finfo(noisy.real.dtype).tiny
    )
    if dual is None:
        dual = torch.zeros_like(stencils.differences(noisy))
    # memory is taken once: fresh arrays cost more than computing with them
    dual, ahead, scratch = dual.clone(), dual.clone(), dual.clone()
    lengths = stencils.moduli(dual)
    momentum = noisy.real.new_ones(len(noisy))
    total = torch.zeros_like(momentum)
    average = noisy - gamma * stencils.adjoint(dual)
    n_iter = 0
    while True:
        if n_iter % 10 == 0 or n_iter == maxiter:
            u = noisy - gamma * stencils.adjoint(dual)
            gaps = sum(gap_parts(stencils, gamma, u, average, dual, scratch))
            last, _ = gap_parts(stencils, gamma, u, u, dual, scratch)
            best = torch.where(over_batch(last < gaps, u), u, average)
            gaps = torch.minimum(gaps, last).clamp_min(0)
            bound = float((gaps / scale).max().sqrt())
            if bound <= tol or n_iter == maxiter:
                return (u + best) / 2, dual, bound, n_iter
        image = stencils.adjoint(ahead).mul_(-gamma).add_(noisy)
        total = total + momentum
        change = (image - average).mul_(over_batch(momentum / total, image))
        average.add_(change)
        moved = stencils.differences(image, out=scratch)
        moved.mul_(step).add_(ahead)
        stencils.shorten_(moved, 1.0, lengths)
        lag = ahead.sub_(moved)
        motion = dual.neg_().add_(moved)
        restart = _dots(lag, motion) > 0
        total = torch.where(restart, 0.0, total)
        momentum = torch.where(restart, 1.0, momentum)
        following = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        weight = over_batch((momentum - 1) / following, moved)
        torch.mul(motion, weight, out=ahead).add_(moved)
        dual, scratch, momentum = moved, motion, following
        n_iter += 1
