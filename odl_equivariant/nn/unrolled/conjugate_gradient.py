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
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Return the gradient of a data fit at the end of a step along it.

    Parameters
    ----------
    normal : callable
        :math:`A^* A`, as a map of batches.
    gradient : torch.Tensor
        Gradients :math:`\nabla D(u) = A^* (A u - y)` of shape ``(N, ...)``,
        or any multiple of them: the result is that multiple, too.
    step : float or torch.Tensor
        Step :math:`\tau`, or one for each sample, which broadcasts.
    n_iterations : int
        Number of conjugate gradient iterations. Each applies ``normal`` once.
    weights : torch.Tensor, optional
        Weights of the inner product in which ``normal`` is self-adjoint, up
        to a factor, which broadcast. Default: all equal.

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
    Each sample has iterations of its own. A sample whose residual has fallen
    to rounding errors is left as it is, since further iterations, and their
    derivatives, would divide rounding errors by each other. Gradients of
    torch flow through all of it, the step included.

    The same proximal is :math:`u - \tau A^* (I + \tau A A^*)^{-1} (A u - y)`,
    whose iterations are in the space of the data and span the same spaces of
    images. They are no way to larger steps: in float32, for tomography and
    relative steps from 40 to 4000, the results after 4 to 30 iterations were
    as far from the proximal or farther, and followed turned objects less
    closely.
    """
    axes = tuple(range(1, gradient.ndim))

    def inner(x, y):
        product = x * y if weights is None else weights * x * y
        return product.sum(axes, keepdim=True)

    # the unit cancels, and squares in it neither vanish nor overflow
    unit = gradient.detach().abs().amax(axes, keepdim=True)
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))
    solution = torch.zeros_like(gradient)
    residual = direction = gradient / unit
    size = inner(residual, residual)
    rounding = torch.finfo(gradient.dtype).eps ** 2 * size.detach()
    for i in range(n_iterations):
        # not at zero either, where the rounding is zero, too
        goes_on = size > rounding
        image = direction + step * normal(direction)
        along = _ratio(size, inner(direction, image), goes_on)
        solution = solution + along * direction
        if i + 1 == n_iterations:
            break
        residual = residual - along * image
        new_size = inner(residual, residual)
        direction = residual + _ratio(new_size, size, goes_on) * direction
        size = new_size
    return unit * solution


def _ratio(a, b, where):
    """Return a / b, and zero elsewhere, where derivatives are zero, too."""
    zero, one = torch.zeros_like(a), torch.ones_like(b)
    return torch.where(where, a, zero) / torch.where(where, b, one)
