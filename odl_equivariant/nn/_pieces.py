# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Convolutions of a network, computed piece by piece.

On a processor this is the fastest way, since the results of each layer stay in
the cache for the next one. Also, the memory does not grow with the image.
"""

import functools
import math

import torch
from torch.nn import functional

from odl_equivariant.nn._convolution import check_image_size
from odl_equivariant.operators.batching.autograd import LinearMap

__all__ = ('evaluate', 'layers', 'side_for_cache', 'side_for_memory')

# Bytes for the channels of a piece, per thread: about a thread's share of
# the caches.
_CACHE_PER_THREAD = 4 * 2**20

# Arrays of the size of a piece that are alive at once, with those of oneDNN
# and cuDNN; measured are 3 to 4.
_ARRAYS = 6

_SMALLEST_SIDE = 8

_PAD_BACKWARD = {
    'replicate': torch.ops.aten.replication_pad2d_backward,
    'reflect': torch.ops.aten.reflection_pad2d_backward,
}


def side_for_cache(channels, dtype):
    """Return the side of pieces that stay in the cache of a processor."""
    size = _CACHE_PER_THREAD * torch.get_num_threads()
    return _side(size, channels, dtype)


def side_for_memory(channels, dtype, device):
    """Return the side of pieces that take a quarter of what is free."""
    return _side(_free_memory(device) / (4 * _ARRAYS), channels, dtype)


def _side(size, channels, dtype):
    side = math.isqrt(int(size / (channels * dtype.itemsize)))
    return max(side, _SMALLEST_SIDE)


def _free_memory(device):
    """Return how many bytes can be had without swapping."""
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open('/proc/meminfo', encoding='ascii') as file:
            lines = dict(line.split(':') for line in file)
        return 1024 * int(lines['MemAvailable'].split()[0])
    except (KeyError, OSError, ValueError):
        # Not Linux. Enough for pieces of some hundred cells.
        return 2**30


def evaluate(x, kernels, padding_mode, slope, side=None, run=None):
    """Apply a residual network of convolutions, piece by piece.

    Parameters
    ----------
    x : torch.Tensor
        Inputs of shape ``(N, C, n, m)``.
    kernels : list of torch.Tensor
        Weight and bias of the first convolution, of those of the residual
        blocks and of the last one. The pieces are computed in their
        precision.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}
        How each layer continues the image beyond its boundary.
    slope : float or tuple of callable
        Slope of the LeakyReLU for negative values, or the maps that replace
        it after each convolution but the last. They act on each pixel
        separately, and map zero to zero.
    side : int, optional
        Pieces have at most this many cells along each axis, and as many
        cells as its square. Default: everything in one piece.
    run : callable, optional
        Function to use instead of `layers`.

    Returns
    -------
    y : torch.Tensor
        Outputs of shape ``(N, C', n, m)``, of the dtype of ``x``.

    Notes
    -----
    Each piece has a halo as wide as the reach of all kernels together. Each
    layer narrows the halo by the reach of its kernel. At the boundary of the
    image a piece has no halo: there, each layer pads its input, as it does
    for the whole image. A periodic image has no boundary, so each piece has a
    halo all around. The result equals that for the whole image, up to
    rounding.
    """
    check_image_size(x, max(kernel.shape[-1] for kernel in kernels[::2]))
    run = layers if run is None else run
    shape = x.shape[2:]
    halo = sum(kernel.shape[-1] // 2 for kernel in kernels[::2])
    periodic = padding_mode == 'circular'
    side = max(shape) if side is None else side
    n_samples = max(1, side**2 // shape.numel())
    if x.shape[0] <= n_samples or min(x.shape) == 0:
        samples = [x]
    else:
        samples = x.split(n_samples)
    rows, columns = (_spans(n, side, halo, periodic) for n in shape)

    def piece(images, row, column):
        part = _take(_take(images, 2, row, periodic), 3, column, periodic)
        part = part.to(kernels[0].dtype, memory_format=torch.channels_last)
        sides = (*column.at_boundary, *row.at_boundary)
        part = run(part, kernels, sides, padding_mode, slope)
        return part[:, :, row.keep, column.keep].to(x.dtype)

    return _joined(
        [
            _joined(
                [
                    _joined([piece(images, row, c) for c in columns], 3)
                    for row in rows
                ],
                2,
            )
            for images in samples
        ],
        0,
    )


def _joined(parts, dim):
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


class _Span:
    """Where a piece lies along one axis.

    Parameters
    ----------
    start, stop, n : int
        The cells ``start``, ..., ``stop - 1`` of an axis with ``n``.
    halo : int
        Cells that are needed on both sides.
    periodic : bool
        Whether there are cells past the ends.
    """

    def __init__(self, start, stop, n, halo, periodic):
        self.first, self.last = start - halo, stop + halo
        if not periodic:
            self.first, self.last = max(self.first, 0), min(self.last, n)
        self.at_boundary = (
            not periodic and self.first == 0,
            not periodic and self.last == n,
        )
        # where the result begins; at a boundary nothing is lost
        begins = self.first + (0 if self.at_boundary[0] else halo)
        self.keep = slice(start - begins, stop - begins)


def _spans(n, side, halo, periodic):
    """Return pieces of nearly equal size, none larger than ``side``."""
    count = -(-n // side)
    ends = [i * n // count for i in range(count + 1)]
    return [
        _Span(start, stop, n, halo, periodic)
        for start, stop in zip(ends, ends[1:], strict=False)
    ]


def _take(x, dim, span, periodic):
    if not periodic:
        return x.narrow(dim, span.first, span.last - span.first)
    index = torch.arange(span.first, span.last, device=x.device)
    return x.index_select(dim, index % x.shape[dim])


def layers(x, kernels, sides, padding_mode, slope):
    """Apply the layers to one piece.

    Parameters
    ----------
    x : torch.Tensor
        Piece of shape ``(N, C, n, m)``.
    kernels : list of torch.Tensor
        Weights and biases, by turns.
    sides : tuple of bool
        Whether the left, right, upper and lower side of the piece are of the
        boundary. What a kernel reaches past the others is lost.
    padding_mode, slope
        As for `evaluate`.

    Returns
    -------
    y : torch.Tensor
        Piece of the result.
    """
    in_place = not any(tensor.requires_grad for tensor in (x, *kernels))

    def pad(x, weight):
        reach = weight.shape[-1] // 2
        widths = [reach if side else 0 for side in sides]
        if not any(widths):
            return x
        if padding_mode in _PAD_BACKWARD and x.requires_grad:
            return _padded(x, widths, padding_mode)
        mode = 'constant' if padding_mode == 'zeros' else padding_mode
        return functional.pad(x, widths, mode)

    def activate(x, i):
        if isinstance(slope, tuple):
            return slope[i](x)
        # the gradient needs only the result
        return functional.leaky_relu(x, slope, inplace=slope > 0)

    x = functional.conv2d(pad(x, kernels[0]), *kernels[:2])
    # padded before it is activated, as these commute: so what the gradients
    # of activation and convolution need is the same array
    x = activate(pad(x, kernels[2]), 0)
    for i in range(2, len(kernels) - 2, 2):
        inner = _inner(x, kernels[i].shape[-1] // 2)
        x = activate(functional.conv2d(x, *kernels[i : i + 2]), i // 2)
        x = x.add_(inner) if in_place else x + inner
        x = pad(x, kernels[i + 2])
    return functional.conv2d(x, *kernels[-2:])


def _padded(x, widths, mode):
    """Pad an image, without saving it for the gradient.

    torch would save the image itself, although it needs only the shape.
    """
    shape, backward = x.shape[1:], _PAD_BACKWARD[mode]

    def transpose(y):
        last = y.is_contiguous(memory_format=torch.channels_last)
        like = torch.empty(
            (len(y), *shape),
            dtype=y.dtype,
            device=y.device,
            memory_format=[torch.contiguous_format, torch.channels_last][last],
        )
        return backward(y, like, widths)

    apply = functools.partial(functional.pad, pad=widths, mode=mode)
    return LinearMap(apply, transpose)(x)


def _inner(x, reach):
    """Return the part of a piece that is left after a convolution."""
    n, m = x.shape[2:]
    return x[:, :, reach : n - reach, reach : m - reach]
