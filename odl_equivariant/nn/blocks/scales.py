# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The forward pass of a block of several scales, whole or in pieces.

Halving and doubling a grid commute with its symmetries, whether a side is even
or odd, so that no image is padded to a multiple of a power of two.
"""

import math
from collections.abc import Callable

import torch

from odl_equivariant.nn.blocks.network import (
    Extent,
    Kernel,
    Nonlinearities,
    WholeImage,
    activated,
)
from odl_equivariant.nn.layers.pooling import AveragePooling, Upsampling

__all__ = (
    'evaluate',
    'least_side',
    'multiscale_network',
    'n_convolutions',
    'on_whole_image',
)

_POOLING, _UPSAMPLING = AveragePooling(), Upsampling()


def n_convolutions(n_scales: int, n_blocks: int) -> int:
    """Return how many convolutions the network has."""
    return 2 * n_scales + 2 * n_blocks * (2 * n_scales - 1)


def least_side(n_scales: int, kernel_size: int) -> int:
    """Return the smallest side whose coarsest grid a kernel fits on."""
    return (kernel_size - 1) * 2 ** (n_scales - 1) + 1


def multiscale_network(
    x: torch.Tensor,
    kernels: list[Kernel],
    nonlinearities: Nonlinearities,
    n_scales: int,
    extent: Extent,
) -> torch.Tensor:
    r"""Apply the U-shaped residual network of a block.

    Parameters
    ----------
    x : torch.Tensor
        Inputs of shape ``(N, C, n, m)`` or, of volumes, ``(N, C, n, m, l)``.
    kernels : list of tuple of torch.Tensor
        Weight and bias of each convolution, in the order of the computation.
    nonlinearities : float or tuple of callable
        Slope of the LeakyReLU for negative values, or a tuple of the one map
        that replaces it in all places, and maps zero to zero.
    n_scales : int
        Number of grids, the given one among them.
    extent : Extent
        How the convolutions see the image.

    Returns
    -------
    y : torch.Tensor
        Outputs on the same grid.

    Notes
    -----
    With residual blocks :math:`R(x) = x + k' * \phi(k * x)`, different ones in
    each place, and :math:`H` and :math:`D` for `AveragePooling` and
    `Upsampling`, the network is :math:`y = k_1 * U_0(k_0 * x)` with

    .. math::
        U_s(x) = R \cdots R\bigl(v + D (k_2 * U_{s+1}(k_1 * H v))\bigr), \quad
        v = R \cdots R(x),

    and :math:`U_s(x) = R \cdots R(x)` on the coarsest grid.
    """
    tensors = (x, *(tensor for kernel in kernels for tensor in kernel))
    in_place = not any(tensor.requires_grad for tensor in tensors)
    n_blocks = (len(kernels) - 2 * n_scales) // (4 * n_scales - 2)
    rest = iter(kernels)

    def convolved(x):
        kernel = next(rest)
        return extent.convolve(extent.pad(x, kernel), kernel)

    def added(new, x):
        return new.add_(x) if in_place else new + x

    def through_blocks(x):
        for _ in range(n_blocks):
            x = added(convolved(activated(convolved(x), 0, nonlinearities)), x)
        return x

    def through_scales(x, scale):
        x = through_blocks(x)
        if scale == n_scales - 1:
            return x
        coarse = convolved(through_scales(convolved(_POOLING(x)), scale + 1))
        return through_blocks(added(_UPSAMPLING(coarse, x.shape[2:]), x))

    return convolved(through_scales(convolved(x), 0))


def on_whole_image(
    x: torch.Tensor,
    kernels: list[Kernel],
    padding_mode: str,
    nonlinearities: Nonlinearities,
    n_scales: int,
) -> torch.Tensor:
    """Apply the network to images from boundary to boundary."""
    return multiscale_network(
        x, kernels, nonlinearities, n_scales, WholeImage(padding_mode)
    )


def evaluate(
    x: torch.Tensor,
    run: Callable[[torch.Tensor], torch.Tensor],
    n_scales: int,
    n_blocks: int,
    kernel_size: int,
    side: int,
) -> torch.Tensor:
    """Apply the network piece by piece, with the result for the whole image.

    Parameters
    ----------
    x : torch.Tensor
        Inputs of shape ``(N, C, n, m)`` or, of volumes, ``(N, C, n, m, l)``,
        not smaller than `least_side`.
    run : callable
        The network as a map of images, which continues them past their
        boundary, and not periodically.
    n_scales, n_blocks, kernel_size : int
        Its sizes.
    side : int
        Side of the pieces in cells, without their halos. It is rounded to a
        multiple of a cell of the coarsest grid.

    Returns
    -------
    y : torch.Tensor
        Outputs on the same grid.

    Notes
    -----
    A piece consists of whole cells of the coarsest grid, so that its grids
    are parts of those of the image. The halo is as wide as the border that
    depends on how a piece is continued, and is cut off.
    """
    halo = _reach(n_scales, n_blocks, kernel_size // 2)
    spans = [_spans(n, n_scales, side, halo) for n in x.shape[2:]]
    n_samples = max(1, side ** len(spans) // x.shape[2:].numel())

    def joined(images, place):
        if len(place) == len(spans):
            cells, kept = zip(*place, strict=True)
            return run(images[:, :, *cells])[:, :, *kept]
        parts = [joined(images, (*place, span)) for span in spans[len(place)]]
        return torch.cat(parts, 2 + len(place))

    return torch.cat([joined(images, ()) for images in x.split(n_samples)])


def _reach(n_scales, n_blocks, reach):
    """Return how many cells at an edge depend on what is beyond it."""
    blocks = 2 * n_blocks * reach

    def at_scale(cells, scale):
        cells += blocks
        if scale == n_scales - 1:
            return cells
        coarse = at_scale(cells // 2 + 1 + reach, scale + 1) + reach
        return max(cells, 2 * coarse) + blocks

    return at_scale(reach, 0) + reach


def _spans(n, n_scales, side, halo):
    """Return for each piece of an axis its cells, and which of them to keep.

    Each piece is a slice of the axis, and each part to keep a slice of it.
    """
    sizes = [n]
    for _ in range(n_scales - 1):
        sizes.append((sizes[-1] + 1) // 2)
    coarsest, step = sizes[-1], 2 ** (n_scales - 1)
    # the last of the coarsest cells may consist of one cell
    halo = math.ceil((halo + step - 1) / step)
    count = math.ceil(coarsest / max(1, side // step))
    ends = [i * coarsest // count for i in range(count + 1)]
    spans = []
    for start, stop in zip(ends, ends[1:], strict=False):
        first, last = max(0, start - halo), min(coarsest, stop + halo)
        for size in reversed(sizes[:-1]):
            last = 2 * last - size % 2
        keep = start * step, n if stop == coarsest else stop * step
        first *= step
        spans.append((slice(first, last), slice(*(k - first for k in keep))))
    return spans
