# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Proximals of data fits, by conjugate gradients on batches."""

from collections.abc import Callable

import torch

__all__ = ('implicit_gradient',)


def implicit_gradient(
    normal: Callable[[torch.Tensor], torch.Tensor],
    gradient: torch.Tensor,
    step: float | torch.Tensor,
    n_iterations: int,
) -> torch.Tensor:
    r"""Return the gradient of a data fit at the end of a step along it.

    Parameters
    ----------
    normal : callable
        :math:`A^* A`, as a map of batches.
    gradient : torch.Tensor
        Gradients :math:`\nabla D(u) = A^* (A u - y)` of shape ``(N, ...)``.
    step : float or torch.Tensor
        Step :math:`\tau`, or one for each sample, which broadcasts.
    n_iterations : int
        Number of conjugate gradient iterations. Each applies ``normal`` once.

    Returns
    -------
    gradient : torch.Tensor
        Approximation, from zero, of

        .. math::
            (I + \tau A^* A)^{-1} \nabla D(u) = \nabla D(v), \quad
            v = \mathrm{prox}_{\tau D}(u) = u - \tau \nabla D(v),

        which is also the gradient at u of the Moreau envelope of D.

    Notes
    -----
    Each sample has inner products of its own, which are those of the space up
    to a factor, which cancels. Gradients of torch flow through all of it, the
    step included.
    """
    axes = tuple(range(1, gradient.ndim))

    def squared(x):
        return x.square().sum(axes, keepdim=True)

    def ratio(a, b):
        # where the residual is zero, the solution has been found
        return a / torch.where(b > 0, b, torch.ones_like(b))

    solution = torch.zeros_like(gradient)
    residual = direction = gradient
    size = squared(residual)
    for i in range(n_iterations):
        image = direction + step * normal(direction)
        curvature = (direction * image).sum(axes, keepdim=True)
        along = ratio(size, curvature)
        solution = solution + along * direction
        if i + 1 == n_iterations:
            break
        residual = residual - along * image
        new_size = squared(residual)
        direction = residual + ratio(new_size, size) * direction
        size = new_size
    return solution
