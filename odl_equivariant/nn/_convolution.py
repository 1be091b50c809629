# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ordinary convolutions that keep the shape of an image."""

import math

import torch
from torch import nn
from torch.nn import functional

from odl_equivariant.nn._gradients import convolution

__all__ = (
    'PaddedConvolution',
    'channels_last',
    'check_image_size',
    'convolve',
    'in_fast_order',
    'normal',
)

# Numbers in all channels above which convolutions of images are faster with
# the channels last, by 5 to 30 %. Below, the change of order takes longer.
_LEAST_IN_ORDER = 2**15


def check_image_size(x: torch.Tensor, kernel_size: int) -> None:
    """Raise a ValueError unless a kernel fits on the images of a batch."""
    if min(x.shape[2:]) < kernel_size:
        raise ValueError(
            f'the image of shape {tuple(x.shape[2:])} is smaller than the '
            f'kernel of side {kernel_size}; take a larger image or a '
            'smaller kernel_size'
        )


def convolve(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None,
    padding_mode: str,
) -> torch.Tensor:
    """Convolve images with a kernel, and keep their shape."""
    margin = kernel.shape[-1] // 2
    check_image_size(x, kernel.shape[-1])
    dimension = kernel.ndim - 2
    if padding_mode == 'zeros' and dimension == 2:
        return functional.conv2d(x, kernel, bias, padding=margin)
    mode = 'constant' if padding_mode == 'zeros' else padding_mode
    x = functional.pad(x, 2 * dimension * (margin,), mode=mode)
    return convolution(x, kernel, bias)


def channels_last(dimension: int) -> torch.memory_format:
    """Return the order of images or volumes whose channels are last."""
    return torch.channels_last_3d if dimension == 3 else torch.channels_last


def in_fast_order(
    x: torch.Tensor, channels: int, channels_are_last: bool
) -> torch.Tensor:
    """Return inputs of convolutions in the order that is fast for them.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, C, n, m)``, or volumes.
    channels : int
        Number of channels of the convolutions.
    channels_are_last : bool
        Whether the channels of the kernels are last, so that those of the
        images must be, too.

    Returns
    -------
    x : torch.Tensor
        The same numbers.
    """
    on_processor = (
        x.ndim == 4
        and x.device.type == 'cpu'
        # transforms of torch know no order of the axes
        and torch._C._functorch.maybe_current_level() is None
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )
    if channels_are_last or (
        on_processor
        and channels * len(x) * x.shape[2:].numel() >= _LEAST_IN_ORDER
    ):
        return x.contiguous(memory_format=channels_last(x.ndim - 2))
    return x


def normal(shape, std):
    """Return normally distributed weights."""
    weight = torch.empty(shape)
    # Random numbers on the meta device make torch import much of itself.
    return weight if weight.is_meta else std * torch.randn(shape)


class PaddedConvolution(nn.Module):
    """An ordinary convolution that keeps the shape of the image.

    Parameters
    ----------
    in_channels, out_channels : int
        Numbers of channels.
    kernel_size : int, optional
        Odd side of the kernel in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How the image continues past its boundary.
    gain : float, optional
        Standard deviation of the output for an input of unit variance at
        the start; 0 starts weights and bias at zero.
    bias : bool, optional
        Whether there is a bias.
    dimension : {2, 3}, optional
        Number of axes of an image.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        padding_mode='replicate',
        gain=1.0,
        bias=True,
        dimension=2,
    ):
        super().__init__()
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels, *dimension * (kernel_size,))
        std = gain / math.sqrt(in_channels * kernel_size**dimension)
        self.weight = nn.Parameter(normal(shape, std))
        bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_parameter('bias', bias)

    def kernel(self):
        """Return the convolution kernel and bias, as `torch.nn.Conv2d` has."""
        if self.bias is None:
            return self.weight, self.weight.new_zeros(len(self.weight))
        return self.weight, self.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_channels, ...)`` to ``(N, out_channels, ...)``."""
        return convolve(x, *self.kernel(), self.padding_mode)
