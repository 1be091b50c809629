# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Minimisers of an energy near an image, and their derivatives."""

from typing import NamedTuple

import torch

# Iterations between two looks at the residual on an accelerator, as each look
# waits until it has caught up.
_EVERY = 5

__all__ = ('Progress', 'conjugate_gradient', 'implicit', 'minimiser')


class Progress(NamedTuple):
    """Where Nesterov's method is, for each image, so that it can go on.

    Parameters
    ----------
    point, iterate : torch.Tensor
        Next point, with momentum, and last iterate, without, of shape ``(N,
        C, *shape)``.
    momentum : torch.Tensor
        The number t of the method, of shape ``(N, 1, ...)``.
    """

    point: torch.Tensor
    iterate: torch.Tensor
    momentum: torch.Tensor


def minimiser(x, gradient, lipschitz, tolerance, maxiter, strong, start=None):
    r"""Return the minimiser of 1/2 ||u - x||^2 + J(u), image by image.

    Nesterov's method with steps of 1 / (1 + L). It starts anew where its
    momentum points uphill (O'Donoghue and Candes, 2015).

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, C, *shape)``.
    gradient : callable
        Gradient of J.
    lipschitz : torch.Tensor
        Lipschitz constants L of it, of shape ``(N, 1, ...)``.
    tolerance : torch.Tensor
        Norms of the gradient of the sum below which an image is done, of
        shape ``(N,)``.
    maxiter : int
        Largest number of gradients. On an accelerator, up to four more are
        made than needed.
    strong : bool
        Whether J is convex, so that the sum is 1-strongly convex.
    start : Progress or torch.Tensor, optional
        Where to go on, or the first iterate. Default: ``x``.

    Returns
    -------
    progress : Progress
        The minimiser is its point.
    residual : torch.Tensor
        Norms of the gradient there, of shape ``(N,)``.
    n_iterations : int
        Number of gradients.
    """
    step = 1 / (1 + lipschitz)
    root = (1 + lipschitz).sqrt()
    constant = (root - 1) / (root + 1)
    if not isinstance(start, Progress):
        start = x if start is None else start
        start = Progress(start, start, torch.ones_like(step))
    y, u, t = start
    for n in range(1, maxiter + 1):
        g = y - x + gradient(y)
        residual = g.flatten(1).norm(dim=1)
        if n == maxiter or (
            _looks(n, x) and bool((residual <= tolerance).all())
        ):
            break
        new = y - step * g
        change = new - u
        uphill = (g * change).flatten(1).sum(1).view(t.shape) > 0
        if strong:
            momentum = constant
        else:
            t = torch.where(uphill, torch.ones_like(t), t)
            following = (1 + (1 + 4 * t * t).sqrt()) / 2
            momentum = (t - 1) / following
            t = following
        y = new + torch.where(uphill, torch.zeros_like(t), momentum) * change
        u = new
    return Progress(y, u, t), residual, n


def conjugate_gradient(matrix, right, tolerance, maxiter, start=None):
    """Solve a symmetric positive system for each image.

    It starts from the multiple of ``start`` that is nearest to the solution
    in the norm of the system, so never farther off than from zero.
    """
    solution, residual = torch.zeros_like(right), right
    if start is not None:
        product = matrix(start)
        curvature = _inner(start, product)
        share = torch.where(curvature > 0, _inner(start, right) / curvature, 0)
        share = torch.nan_to_num(share, posinf=0.0, neginf=0.0)
        solution, residual = share * start, right - share * product
    direction = residual
    square = _inner(residual, residual)
    goal = tolerance**2 * _inner(right, right)
    for n in range(maxiter):
        if _looks(n, right) and bool((square <= goal).all()):
            break
        product = matrix(direction)
        curvature = _inner(direction, product)
        # a direction of no curvature has done its work, or is rounding
        step = torch.where(curvature > 0, square / curvature, 0.0)
        step = torch.nan_to_num(step, posinf=0.0)
        solution = solution + step * direction
        residual = residual - step * product
        following = _inner(residual, residual)
        ratio = torch.where(square > 0, following / square, 0.0)
        direction = residual + ratio * direction
        square = following
    return solution


def _looks(n, x):
    return n % _EVERY == 0 or x.device.type == 'cpu'


def _inner(one, other):
    total = (one * other).flatten(1).sum(1)
    return total.view(-1, *[1] * (one.ndim - 1))


def implicit(residual, u, solve):
    """Return u, with the derivative of the point where a residual is zero.

    Parameters
    ----------
    residual : torch.Tensor
        Minus the gradient at u, with the graph of image and weights, u held
        fixed.
    u : torch.Tensor
        Solution, without a graph.
    solve : callable
        Applies the inverse of the derivative of the gradient.
    """
    return _Implicit.apply(residual, u, solve)


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(ctx, residual, u, solve):
        ctx.solve = solve
        return u.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return ctx.solve(grad), None, None
