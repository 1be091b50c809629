# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The forward pass of a block, on a whole image or on a piece of one."""

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch.nn import functional

from odl_equivariant.nn._convolution import convolve

__all__ = (
    'Extent',
    'Kernel',
    'Nonlinearities',
    'SMOOTH',
    'WholeImage',
    'activated',
    'is_exported',
    'is_transformed',
    'residual_network',
)

# Weight and bias, as `torch.nn.Conv2d` has them.
Kernel = tuple[torch.Tensor, torch.Tensor]


def _centred_softplus(x):
    return functional.softplus(x) - math.log(2)


#: Maps with a Lipschitz derivative that map zero to zero, by their names.
SMOOTH = {'elu': functional.elu, 'softplus': _centred_softplus}

# The slope of a LeakyReLU, or a map for each convolution but the last.
Nonlinearities = float | tuple[Callable[[torch.Tensor], torch.Tensor], ...]


class Extent(Protocol):
    """How convolutions see the part of an image that they are given."""

    def pad(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return what `convolve` takes for this kernel."""

    def convolve(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return the convolution of a padded image."""

    def inner(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return the part of a padded image that its convolution covers."""


class WholeImage:
    """An image from boundary to boundary, which each convolution pads."""

    def __init__(self, padding_mode: str) -> None:
        self.padding_mode = padding_mode

    def pad(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return the image: `convolve` pads it."""
        return x

    def convolve(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return a convolution of the shape of the image."""
        return convolve(x, *kernel, self.padding_mode)

    def inner(self, x: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return the image, all of which the convolution covers."""
        return x


def residual_network(
    x: torch.Tensor,
    kernels: list[Kernel],
    nonlinearities: Nonlinearities,
    extent: Extent,
) -> torch.Tensor:
    r"""Apply the residual network of a block.

    Training, inference and export all compute this function. They differ in
    the kernels and the ``extent`` that they hand to it.

    Parameters
    ----------
    x : torch.Tensor
        Inputs of shape ``(N, C, n, m)``.
    kernels : list of tuple of torch.Tensor
        Weight and bias of the first convolution, of those of the residual
        blocks and of the last one.
    nonlinearities : float or tuple of callable
        Slope of the LeakyReLU for negative values, or the maps that replace
        it after each convolution but the last. They act on each pixel
        separately, and map zero to zero.
    extent : Extent
        How the convolutions see the image.

    Returns
    -------
    y : torch.Tensor
        Outputs of shape ``(N, C', n, m)``, of a piece without its halo.

    Notes
    -----
    With the kernels :math:`k_0, \dots, k_{B+1}` and non-linearities
    :math:`\phi_i`,

    .. math::
        x_0 = \phi_0(k_0 * x), \quad
        x_i = x_{i-1} + \phi_i(k_i * x_{i-1}), \quad
        y = k_{B+1} * x_B.
    """
    tensors = (x, *(tensor for kernel in kernels for tensor in kernel))
    in_place = not (
        any(tensor.requires_grad for tensor in tensors)
        or getattr(extent, 'keeps_results', False)
    )
    x = extent.convolve(extent.pad(x, kernels[0]), kernels[0])
    # padded before it is activated, as these commute: so what the gradients
    # of activation and convolution need is the same array
    x = activated(extent.pad(x, kernels[1]), 0, nonlinearities)
    for i in range(1, len(kernels) - 1):
        inner = extent.inner(x, kernels[i])
        x = activated(extent.convolve(x, kernels[i]), i, nonlinearities)
        x = x.add_(inner) if in_place else x + inner
        x = extent.pad(x, kernels[i + 1])
    return extent.convolve(x, kernels[-1])


def activated(
    x: torch.Tensor, place: int, nonlinearities: Nonlinearities
) -> torch.Tensor:
    """Apply the non-linearity that follows a convolution, maybe in place."""
    if isinstance(nonlinearities, tuple):
        return nonlinearities[place](x)
    # the gradient needs only the result, a forward-mode derivative also what
    # went in
    in_place = nonlinearities > 0 and (is_exported() or not is_transformed())
    return functional.leaky_relu(x, nonlinearities, inplace=in_place)


def is_exported() -> bool:
    """Return whether the computation is traced or exported."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def is_transformed() -> bool:
    """Return whether a transform of `torch.func` is at work."""
    return torch._C._functorch.maybe_current_level() is not None
