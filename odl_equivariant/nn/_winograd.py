# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Convolutions with kernels of 3 x 3 by the minimal filtering of Winograd.

Of a tile :math:`d` of 6 x 6 cells, a kernel :math:`g` gives 4 x 4 cells

.. math::
    y = A^T \left( (G g G^T) \odot (B^T d B) \right) A,

with 36 products instead of 144. The sums over the channels turn the 36
products into products of matrices, which all processors are good at. Rounding
errors are four to nine times those of the sum over nine cells. What is not
finite spreads to the other cells of its tile. See Winograd,
"Arithmetic Complexity of Computations", 1980, and Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", 2016, for the matrices.
"""

import torch

__all__ = ('by_image', 'by_kernel', 'convolution')

# Cells of the result of a tile, and cells that it is computed from.
_STEP, _TILE = 4, 6

# Tiles of a band, whose transforms stay in the cache of a processor.
_BAND = 150

_OF_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def convolution(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Return a convolution without padding.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, C, n + 2, m + 2)``, float32.
    weight : torch.Tensor
        Kernel of shape ``(C', C, 3, 3)``.
    bias : torch.Tensor or None
        Bias of shape ``(C',)``.

    Returns
    -------
    y : torch.Tensor
        Images of shape ``(N, C', n, m)``, their channels last.
    """
    return _convolved(x, weight, bias, 0)


def by_image(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the gradient of `convolution` by the images.

    Parameters
    ----------
    gradient : torch.Tensor
        Gradient of the result, of shape ``(N, C', n, m)``.
    weight : torch.Tensor
        Kernel of shape ``(C', C, 3, 3)``.
    """
    return _convolved(gradient, weight.flip(2, 3).transpose(0, 1), None, 2)


def by_kernel(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the gradient of `convolution` by the kernel.

    Parameters
    ----------
    gradient : torch.Tensor
        Gradient of the result, of shape ``(N, C', n, m)``.
    x : torch.Tensor
        Images of shape ``(N, C, n + 2, m + 2)``.
    """
    n_out, n_in = gradient.shape[1], x.shape[1]
    shape = gradient.shape[2:]
    total = x.new_zeros(_TILE**2, n_in, n_out)
    for image, one in zip(_cells(x), _cells(gradient), strict=True):
        for band in _bands(*shape):
            images = _of_image(_taken(image, band, _TILE - _STEP, 0), band)
            gradients = _of_result(_taken(one, band, 0, 0), band)
            total.baddbmm_(images.transpose(1, 2), gradients)
    kernel = _squared(x).t() @ total.flatten(1)
    return kernel.view(3, 3, n_in, n_out).permute(3, 2, 0, 1)


def _convolved(x, weight, bias, margin):
    """Convolve images with zeros around them."""
    n_out, n_in = weight.shape[:2]
    n, m = (size - 2 + 2 * margin for size in x.shape[2:])
    # the numbers of a kernel by its cells, the 9 first, then the 36
    kernel = weight.permute(2, 3, 1, 0).reshape(9, -1)
    kernel = (_squared(x) @ kernel).view(_TILE**2, n_in, n_out)
    # no view, which could not be activated in place
    y = torch.empty(
        len(x),
        n_out,
        n,
        m,
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    for image, result in zip(_cells(x), _cells(y), strict=True):
        for band in _bands(n, m):
            part = _taken(image, band, _TILE - _STEP, margin)
            part = torch.bmm(_of_image(part, band), kernel)
            target = result[_STEP * band[0] : _STEP * (band[0] + band[1])]
            part = _to_result(part, band)[: len(target), :m]
            if bias is None:
                target.copy_(part)
            else:
                torch.add(part, bias, out=target)
    return y


def _cells(images):
    """Return images with their channels last."""
    return images.permute(0, 2, 3, 1)


def _squared(like):
    """Return the matrix from the cells of a kernel to those of a tile."""
    matrix = like.new_tensor(_OF_KERNEL)
    return torch.kron(matrix, matrix)


def _bands(n, m):
    """Return bands of tiles: first row of tiles, number of rows, columns."""
    rows, columns = -(-n // _STEP), -(-m // _STEP)
    step = max(1, _BAND // columns)
    return [
        (first, min(step, rows - first), columns)
        for first in range(0, rows, step)
    ]


def _taken(image, band, more, margin):
    """Return the cells of a band of tiles, zero outside of the image.

    Parameters
    ----------
    image : torch.Tensor
        Image of shape ``(n, m, C)``.
    band : tuple of int
        As `_bands` returns it.
    more : int
        Cells of a tile past its step.
    margin : int
        Cells of zeros before the image.
    """
    first, rows, columns = band
    start = _STEP * first - margin
    part = image.new_zeros(
        _STEP * rows + more, _STEP * columns + more, image.shape[2]
    )
    known = image[max(start, 0) : start + len(part)]
    before = max(-start, 0)
    part[before : before + len(known), margin : margin + image.shape[1]] = (
        known
    )
    return part


def _of_image(part, band):
    """Return the transforms of tiles, of shape ``(36, number, C)``."""
    _, rows, columns = band
    width, channels = part.shape[1:]
    step, one, _ = part.stride()
    along = part.new_empty(_TILE, rows, width, channels)
    _filtered(
        [
            part.as_strided(
                (rows, width, channels), (_STEP * step, one, 1), i * step
            )
            for i in range(_TILE)
        ],
        along,
    )
    tiles = part.new_empty(_TILE, _TILE, rows, columns, channels)
    layer, step, one, _ = along.stride()
    _filtered(
        [
            along.as_strided(
                (_TILE, rows, columns, channels),
                (layer, step, _STEP * one, 1),
                i * one,
            )
            for i in range(_TILE)
        ],
        tiles.unbind(1),
    )
    return tiles.view(_TILE**2, rows * columns, channels)


def _of_result(part, band):
    """Return what `_to_result` is the transpose of, of the same shape."""
    _, rows, columns = band
    channels = part.shape[2]
    part = part.view(rows, _STEP, columns, _STEP, channels)
    along = part.new_empty(_TILE, rows, columns, _STEP, channels)
    _spread(part.unbind(1), along)
    tiles = part.new_empty(_TILE, _TILE, rows, columns, channels)
    _spread(along.unbind(3), tiles.unbind(1))
    return tiles.view(_TILE**2, rows * columns, channels)


def _to_result(tiles, band):
    """Return the cells of tiles from their transforms."""
    _, rows, columns = band
    channels = tiles.shape[2]
    tiles = tiles.view(_TILE, _TILE, rows, columns, channels)
    along = tiles.new_empty(_TILE, _STEP, rows, columns, channels)
    _gathered(tiles.unbind(1), along.unbind(1))
    part = tiles.new_empty(rows, _STEP, columns, _STEP, channels)
    _gathered(along, [one.permute(2, 0, 1, 3) for one in part.unbind(1)])
    return part.view(_STEP * rows, _STEP * columns, channels)


def _filtered(x, out):
    """Multiply by the matrix ``B^T`` along one axis."""
    torch.add(x[4], x[2], alpha=-5, out=out[0]).add_(x[0], alpha=4)
    torch.add(x[5], x[3], alpha=-5, out=out[5]).add_(x[1], alpha=4)
    even = torch.add(x[4], x[2], alpha=-4)
    odd = torch.add(x[3], x[1], alpha=-4)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(x[4], x[2], out=even)
    torch.sub(x[3], x[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])


def _gathered(x, out):
    """Multiply by the matrix ``A^T`` along one axis."""
    even, odd = x[1] + x[2], x[1] - x[2]
    more_even, more_odd = x[3] + x[4], x[3] - x[4]
    torch.add(x[0], even, out=out[0]).add_(more_even)
    torch.add(odd, more_odd, alpha=2, out=out[1])
    torch.add(even, more_even, alpha=4, out=out[2])
    torch.add(odd, more_odd, alpha=8, out=out[3]).add_(x[5])


def _spread(x, out):
    """Multiply by the matrix ``A`` along one axis."""
    out[0].copy_(x[0])
    out[5].copy_(x[3])
    even, odd = x[0] + x[2], x[1] + x[3]
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.add(x[0], x[2], alpha=4, out=even)
    torch.add(x[1], x[3], alpha=4, out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
