# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Convolutions and their gradients, as is fast on the processor."""

import torch
from torch.nn import functional

from odl_equivariant.nn import _slices, _winograd
from odl_equivariant.nn._precision import followed_path, is_older_processor

__all__ = ('convolution', 'convolution_backward', 'takes_products')

# Without AVX-512, oneDNN computes the gradient by the kernel, of images whose
# channels are last, several times more slowly than their products: at 96
# channels and 130 x 130 cells 20 instead of 83 GFLOP/s on one core, and the
# larger the image the more slowly. For fewer channels than these it is not.
_MANY = 32
# Below as many cells, it is as fast.
_FEW_CELLS = 1600
# Channels and cells above which filtering by Winograd is faster, by 1.3 to 2.
_MANY_FOR_TILES = 64
_CELLS_FOR_TILES = 4000
# Images are taken one by one, which does not pay for smaller ones.
_CELLS_OF_IMAGE = 1000
# Cells of a block of rows, so that its products stay in the cache.
_BLOCK = 2048

# stride, padding and dilation, none of them transposed or in groups
_ORDINARY = {n: (n * [1], n * [0], n * [1], False, n * [0], 1) for n in (2, 3)}


def convolution_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    wanted: tuple[bool, bool, bool],
) -> tuple[torch.Tensor | None, ...]:
    """Return the gradients of a convolution without padding.

    Parameters
    ----------
    gradient : torch.Tensor
        Gradient of the result, of shape ``(N, C', n, m)`` or, of volumes,
        ``(N, C', n, m, l)``.
    x : torch.Tensor
        Images or volumes that were convolved.
    weight : torch.Tensor
        Kernel of shape ``(C', C, k, k)`` or ``(C', C, k, k, k)``.
    wanted : tuple of bool
        Whether the gradients by ``x``, by the kernel and by the bias are
        wanted.

    Returns
    -------
    gradients : tuple
        The gradients, None where they are not wanted.
    """
    if _slices.are_faster(x):
        return _slices.convolution_backward(gradient, x, weight, wanted)
    backward = torch.ops.aten.convolution_backward
    bias, ordinary = [weight.shape[0]], _ORDINARY[x.ndim - 2]
    in_tiles = _prefers_tiles(x, weight)
    if not in_tiles and not (wanted[1] and _prefers_products(x)):
        return backward(gradient, x, weight, bias, *ordinary, wanted)
    by_x = by_weight = None
    if wanted[0] and in_tiles:
        by_x = _winograd.by_image(gradient, weight)
    elif wanted[0]:
        by_x = backward(
            gradient, x, weight, bias, *ordinary, (True, False, False)
        )[0]
    if wanted[1] and in_tiles:
        by_weight = _winograd.by_kernel(gradient, x)
    elif wanted[1]:
        by_weight = _by_products(gradient, x, weight.shape[-1])
    by_bias = gradient.sum((0, 2, 3)) if wanted[2] else None
    return by_x, by_weight, by_bias


def _by_products(gradient, x, size):
    """Return the gradient by the kernel as a sum of products of matrices.

    Where cells and channels are the rows and columns of a matrix, shifted
    images are parts of the same matrix. Gradients get columns of zeros, so
    that their rows match those of the images.
    """
    (n_out, n, m), (_, n_in, _, width) = gradient.shape[1:], x.shape
    n_rows, margin = max(1, _BLOCK // width), width - m
    block = gradient.new_zeros(n_rows, width, n_out)
    result = gradient.new_zeros(size, size, n_out, n_in)
    for image, one in zip(
        x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1), strict=True
    ):
        cells = image.reshape(-1, n_in)
        for first in range(0, n, n_rows):
            rows = one[first : first + n_rows]
            block[: len(rows), :m] = rows
            count = len(rows) * width - margin
            left = block.view(-1, n_out)[:count].t()
            for i in range(size):
                for j in range(size):
                    start = (first + i) * width + j
                    result[i, j].addmm_(left, cells[start : start + count])
    return result.permute(2, 3, 0, 1)


def _prefers_products(x):
    return (
        x.ndim == 4
        and x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.shape[1] >= _MANY
        and len(x) * x.shape[2:].numel() > _FEW_CELLS
        and x.is_contiguous(memory_format=torch.channels_last)
        and takes_products()
    )


def _prefers_tiles(x, weight):
    return (
        weight.shape[2:] == (3, 3)
        and weight.dtype == x.dtype
        and min(weight.shape[:2]) >= _MANY_FOR_TILES
        and len(x) * x.shape[2:].numel() >= _CELLS_FOR_TILES
        and x.shape[2:].numel() >= _CELLS_OF_IMAGE
        and _prefers_products(x)
        and not _is_lowered(x)
    )


def _is_lowered(x):
    """Return whether autocast lowers the precision of convolutions."""
    kind = x.device.type
    return torch.is_autocast_enabled(kind) and x.dtype == torch.float32


def takes_products() -> bool:
    """Return whether large convolutions are products of matrices."""
    path = followed_path()
    return is_older_processor() if path is None else path.products


class _Convolution(torch.autograd.Function):
    """A convolution with a gradient that is faster than that of torch.

    The one by the kernel is a sum of products; or, of volumes, both are
    computed slice by slice.
    """

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        if x.ndim == 5:
            return _slices.convolution(x, weight, bias)
        if _prefers_tiles(x, weight):
            return _winograd.convolution(x, weight, bias)
        return functional.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            # torch has the derivatives of this one
            return torch.ops.aten.convolution_backward(
                gradient,
                x,
                weight,
                [len(weight)],
                *_ORDINARY[x.ndim - 2],
                ctx.needs_input_grad,
            )
        if x.ndim == 4:
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        return convolution_backward(gradient, x, weight, ctx.needs_input_grad)


def convolution(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Return a convolution without padding, with a fast gradient."""
    by_slices = _slices.are_faster(x)
    if (
        bias is not None
        and torch.is_grad_enabled()
        and is_plain_autograd()
        and (
            (
                by_slices
                and (weight.requires_grad or x.requires_grad)
                and not _is_lowered(x)
            )
            or (
                weight.requires_grad
                and _prefers_products(x)
                and not _is_lowered(x)
            )
        )
    ):
        return _Convolution.apply(x, weight, bias)
    if by_slices:
        return _slices.convolution(x, weight, bias)
    # first, since transforms of torch know no order of the axes
    if not _is_differentiated(x, weight, bias) and _prefers_tiles(x, weight):
        return _winograd.convolution(x, weight, bias)
    convolve = functional.conv3d if x.ndim == 5 else functional.conv2d
    return convolve(x, weight, bias)


def _is_differentiated(*tensors):
    """Return whether torch must know how a result was computed."""
    return not is_plain_autograd() or (
        torch.is_grad_enabled()
        and any(part is not None and part.requires_grad for part in tensors)
    )


def is_plain_autograd() -> bool:
    """Return whether there is nothing but reverse mode at work."""
    return (
        torch._C._functorch.maybe_current_level() is None
        and torch.autograd.forward_ad._current_level < 0
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )
