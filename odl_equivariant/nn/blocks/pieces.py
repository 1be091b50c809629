# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The forward pass of a block, piece by piece.

On a processor this is the fastest way, since the results of each layer stay in
the cache for the next one. Also, the memory does not grow with the image.
"""

import functools
import itertools
import math
import pathlib
from collections.abc import Callable

import torch
from torch.nn import functional

from odl_equivariant.nn._convolution import channels_last, check_image_size
from odl_equivariant.nn._gradients import convolution, takes_products
from odl_equivariant.nn._precision import Path, followed_path
from odl_equivariant.nn.blocks.network import (
    Kernel,
    Nonlinearities,
    residual_network,
)
from odl_equivariant.operators.batching.autograd import LinearMap

__all__ = (
    'Piece',
    'Pieces',
    'evaluate',
    'inside_cells',
    'kept_cells',
    'layers',
    'path_taken',
    'reach_of',
    'side_for_cache',
    'side_for_memory',
    'sides_at_boundary',
)

# What Linux tells of the caches of a processor.
_CACHES = pathlib.Path('/sys/devices/system/cpu/cpu0/cache')

# Convolutions of volumes take slice by slice, and these stay in the cache. So
# pieces are larger, and their halos small in comparison.
_OF_VOLUMES = 2

# Arrays of the size of a piece that are alive at once, with those of oneDNN
# and cuDNN; measured are 3 to 4.
_ARRAYS = 6

_SMALLEST_SIDE = 8

# By the number of axes of an image.
_PAD_BACKWARD = {
    'replicate': {
        2: torch.ops.aten.replication_pad2d_backward,
        3: torch.ops.aten.replication_pad3d_backward,
    },
    'reflect': {
        2: torch.ops.aten.reflection_pad2d_backward,
        3: torch.ops.aten.reflection_pad3d_backward,
    },
}


def _cache_per_thread():
    """Return the bytes for the channels of a piece, per thread.

    It is half of a thread's share of the last cache. Less than 4 MiB makes
    halos too wide, and more than 8 MiB gained nothing, even if there was
    more.
    """
    least, most = 4 * 2**20, 8 * 2**20
    shares = []
    for path in _CACHES.glob('index*'):
        try:
            size = (path / 'size').read_text('ascii').strip()
            sharing = (path / 'shared_cpu_map').read_text('ascii')
            n_sharing = int(sharing.replace(',', ''), 16).bit_count()
            units = {'K': 2**10, 'M': 2**20}
            shares.append(int(size[:-1]) * units[size[-1]] / n_sharing)
        except (IndexError, KeyError, OSError, ValueError, ZeroDivisionError):
            continue  # not Linux, or told nothing
    return int(min(max(max(shares, default=0) / 2, least), most))


# Read once. A run on another machine keeps that of its first one.
_CACHE_PER_THREAD = _cache_per_thread()


def path_taken() -> Path:
    """Return the path of convolutions: the one followed, or the fast one."""
    path = followed_path()
    if path is None:
        cache = _CACHE_PER_THREAD * torch.get_num_threads()
        path = Path(cache, takes_products())
    return path


def side_for_cache(channels, dtype, dimension=2):
    """Return the side of pieces that stay in the cache of a processor."""
    size = path_taken().cache
    if dimension == 3:
        size *= _OF_VOLUMES
    return _side(size, channels, dtype, dimension)


def side_for_memory(channels, dtype, device, dimension=2):
    """Return the side of pieces that take a quarter of what is free."""
    size = _free_memory(device) / (4 * _ARRAYS)
    return _side(size, channels, dtype, dimension)


def _side(size, channels, dtype, dimension):
    cells = int(size / (channels * dtype.itemsize))
    if dimension == 2:
        side = math.isqrt(cells)
    else:
        side = int(cells ** (1 / dimension) + 1e-9)
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


def evaluate(
    x: torch.Tensor,
    kernels: list[Kernel],
    padding_mode: str,
    nonlinearities: Nonlinearities,
    side: int | None = None,
    run: Callable[..., torch.Tensor] | None = None,
) -> torch.Tensor:
    """Apply the residual network of a block, piece by piece.

    Parameters
    ----------
    x : torch.Tensor
        Inputs of shape ``(N, C, n, m)`` or, of volumes, ``(N, C, n, m, l)``.
    kernels, nonlinearities
        As for `residual_network`. The pieces are computed in the precision of
        the kernels.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}
        How each layer continues the image beyond its boundary.
    side : int, optional
        Pieces have at most this many cells along each axis, and as many
        cells as its square, or as its cube. Default: everything in one piece.
    run : callable, optional
        Function to use instead of `layers`.

    Returns
    -------
    y : torch.Tensor
        Outputs on the same grid, of the dtype of ``x``.

    Notes
    -----
    Each piece has a halo as wide as the reach of all kernels together. Each
    layer narrows the halo by the reach of its kernel. At the boundary of the
    image a piece has no halo: there, each layer pads its input, as it does
    for the whole image. A periodic image has no boundary, so each piece has a
    halo all around. The result equals that for the whole image, up to
    rounding.
    """
    run = layers if run is None else run
    grid = Pieces(x, kernels, padding_mode, side)

    def piece(images, place):
        part = grid.taken(images, place)
        sides = sides_at_boundary(place)
        part = run(part, kernels, sides, padding_mode, nonlinearities)
        return part[kept_cells(place)].to(x.dtype)

    def joined(images, place):
        axis = len(place)
        if axis == len(grid.spans):
            return piece(images, place)
        parts = [joined(images, (*place, one)) for one in grid.spans[axis]]
        return _joined(parts, 2 + axis)

    return _joined([joined(images, ()) for images in grid.samples], 0)


def _joined(parts, dim):
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def kept_cells(place):
    """Return where in the result of a piece its own cells are."""
    return (..., *(span.keep for span in place))


def inside_cells(place):
    """Return where in an image the own cells of a piece are."""
    return (..., *(span.inside for span in place))


def sides_at_boundary(place):
    """Return which sides are on the boundary, the last axis first."""
    return tuple(side for span in reversed(place) for side in span.at_boundary)


class Pieces:
    """How a batch of images is cut into pieces.

    Parameters
    ----------
    x, kernels, padding_mode, side
        As for `evaluate`.
    """

    def __init__(self, x, kernels, padding_mode, side):
        check_image_size(x, max(weight.shape[-1] for weight, _ in kernels))
        shape, self.dtype = x.shape[2:], kernels[0][0].dtype
        halo = sum(map(reach_of, kernels))
        self.periodic = padding_mode == 'circular'
        side = max(shape) if side is None else side
        cells = side ** len(shape)
        n_samples = max(1, cells // max(1, shape.numel()))
        if x.shape[0] <= n_samples or min(x.shape) == 0:
            self.samples = [x]
        else:
            self.samples = x.split(n_samples)
        self.spans = [_spans(n, side, halo, self.periodic) for n in shape]
        self.order = channels_last(len(shape))

    def places(self):
        """Return the pieces, each as its spans along the axes."""
        return itertools.product(*self.spans)

    def taken(self, images, place):
        """Return a piece with its halo, in the order for convolutions."""
        part = self._part(images, place)
        return part.to(self.dtype, memory_format=self.order)

    def _part(self, images, place):
        for dim, span in enumerate(place, 2):
            images = _take(images, dim, span, self.periodic)
        return images

    def add(self, images, part, place):
        """Add a piece with its halo to images, the transpose of `taken`."""
        if not self.periodic:
            images = self._part(images, place)
            images += part
            return
        # a halo may reach around the image more than once
        *first, last = (
            span.cells(n)
            for span, n in zip(place, images.shape[2:], strict=True)
        )
        last, part = torch.tensor(last), part.to(images.dtype)
        for source, target in zip(
            itertools.product(*(range(len(cells)) for cells in first)),
            itertools.product(*first),
            strict=True,
        ):
            line = images[(slice(None), slice(None), *target)]
            line.index_add_(2, last, part[(slice(None), slice(None), *source)])


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
        self.inside = slice(start, stop)
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
        ends = self.last - (0 if self.at_boundary[1] else halo)
        self.size = ends - begins

    def cells(self, n):
        """Return the cells of a periodic axis, one after the other."""
        return [i % n for i in range(self.first, self.last)]


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
    cells = torch.tensor(span.cells(x.shape[dim]), device=x.device)
    return x.index_select(dim, cells)


def layers(
    x: torch.Tensor,
    kernels: list[Kernel],
    sides: tuple[bool, ...],
    padding_mode: str,
    nonlinearities: Nonlinearities,
) -> torch.Tensor:
    """Apply the network to one piece.

    Parameters
    ----------
    x : torch.Tensor
        Piece of shape ``(N, C, n, m)`` or ``(N, C, n, m, l)``.
    kernels, padding_mode, nonlinearities
        As for `evaluate`.
    sides : tuple of bool
        Whether the sides of the piece lie on the boundary of the image, two
        for each axis, the last axis first. Only there, layers pad the piece.
        At the other sides, each layer loses as many cells as its kernel
        reaches.

    Returns
    -------
    y : torch.Tensor
        Piece of the result.
    """
    return residual_network(
        x, kernels, nonlinearities, Piece(sides, padding_mode)
    )


class Piece:
    """A piece of an image, padded only where it touches the boundary."""

    def __init__(self, sides, padding_mode):
        self.sides, self.padding_mode = sides, padding_mode

    def widths(self, kernel):
        """Return how many cells are padded at each of the sides."""
        reach = reach_of(kernel)
        return [reach if side else 0 for side in self.sides]

    def pad(self, x, kernel):
        """Return the piece, continued past the boundary of the image."""
        widths = self.widths(kernel)
        if not any(widths):
            return x
        if self.padding_mode in _PAD_BACKWARD and x.requires_grad:
            return _padded(x, widths, self.padding_mode)
        zeros = self.padding_mode == 'zeros'
        mode = 'constant' if zeros else self.padding_mode
        return functional.pad(x, widths, mode)

    def unpad(self, gradient, kernel):
        """Return the transpose of `pad`, which may overwrite what it gets."""
        widths = self.widths(kernel)
        for i in range(len(widths) // 2):
            gradient = _folded(
                gradient,
                gradient.ndim - 1 - i,
                *widths[2 * i : 2 * i + 2],
                self.padding_mode,
            )
        return gradient

    def convolve(self, x, kernel):
        """Return the convolution, without the cells that are lost."""
        return convolution(x, *kernel)

    def inner(self, x, kernel):
        """Return the part of a piece that is left after a convolution."""
        reach = reach_of(kernel)
        inside = (slice(reach, n - reach) for n in x.shape[2:])
        return x[(..., *inside)]


def _folded(x, dim, before, after, mode):
    """Add the margins of an axis to the cells they were copied from."""
    n = x.shape[dim] - before - after
    inside = x.narrow(dim, before, n)
    for i in range(before if mode in _PAD_BACKWARD else 0):
        place = 0 if mode == 'replicate' else before - i
        inside.select(dim, place).add_(x.select(dim, i))
    for i in range(after if mode in _PAD_BACKWARD else 0):
        place = n - 1 if mode == 'replicate' else n - 2 - i
        inside.select(dim, place).add_(x.select(dim, before + n + i))
    return inside


def reach_of(kernel):
    """Return how many cells a kernel extends to each side."""
    return kernel[0].shape[-1] // 2


def _padded(x, widths, mode):
    """Pad an image, without saving it for the gradient.

    torch would save the image itself, although it needs only the shape.
    """
    shape, backward = x.shape[1:], _PAD_BACKWARD[mode][x.ndim - 2]
    order = channels_last(x.ndim - 2)

    def transpose(y):
        last = y.is_contiguous(memory_format=order)
        like = torch.empty(
            (len(y), *shape),
            dtype=y.dtype,
            device=y.device,
            memory_format=order if last else torch.contiguous_format,
        )
        return backward(y, like, widths)

    apply = functools.partial(functional.pad, pad=widths, mode=mode)
    return LinearMap(apply, transpose)(x)
