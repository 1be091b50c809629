# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Coarser and finer grids that the symmetries of square and cube keep.

Along an axis of n cells the coarse grid has :math:`\lceil n / 2 \rceil` cells.
Their centres lie symmetrically about the centre of the axis, whether n is even
or odd. So pooling and up-sampling commute with the eight symmetries of the
square, and with the 48 of the cube, on all grids. A plain stride of two does
so on those of odd size only.
"""

import torch
from torch.nn import functional

from odl_equivariant._checks import array_shape
from odl_equivariant.nn.layers.base import Layer

__all__ = (
    'AveragePooling',
    'Upsampling',
    'cells_around',
    'check_images',
    'coarse_size',
    'is_exported',
)


def coarse_size(size: int) -> int:
    """Return the number of coarse cells along an axis of ``size`` cells.

    Examples
    --------
    >>> [coarse_size(n) for n in (1, 4, 5, 6)]
    [1, 2, 3, 3]
    """
    return (size + 1) // 2


class Upsampling(Layer):
    r"""Interpolation of images from a coarse grid to a grid twice as fine.

    Along an axis of an even number of cells each coarse value is repeated.
    Along one of an odd number, every second cell has a coarse value, and
    those between have the mean of their neighbours. The layer is linear,
    positive, keeps constants, and has no weights. It commutes with the
    symmetries of the square, or of the cube, and acts on each channel alike:
    it takes fields of any kind.

    Parameters
    ----------
    size : tuple of int, optional
        Shape of the fine grid, where a call does not say another one.
        Default: ``(2 n, 2 m)`` for a coarse grid of shape ``(n, m)``, and so
        for volumes.

    Raises
    ------
    TypeError
        If the lengths are no whole numbers.
    ValueError
        If there are not two or three of them, or one is not positive.

    Notes
    -----
    Both cases are one formula. Let the fine cell i lie at i, and the coarse
    cell j at :math:`2 j + \tfrac12` if n is even and at :math:`2 j` if n is
    odd. With the distance d of both, the matrix of one axis is

    .. math::
        U_{ij} = \min(1, \max(0, \tfrac32 - d)) .

    On a periodic axis of even n, it commutes with translations by one coarse
    cell, which are two fine cells. On the other axes it does so away from the
    boundary.

    Examples
    --------
    >>> x = torch.tensor([[[[0.0, 2.0, 4.0]]]])
    >>> Upsampling()(x, (1, 6)).tolist()
    [[[[0.0, 0.0, 2.0, 2.0, 4.0, 4.0]]]]
    >>> Upsampling()(x, (1, 5)).tolist()
    [[[[0.0, 1.0, 2.0, 3.0, 4.0]]]]
    """

    def __init__(self, size: tuple[int, ...] | None = None) -> None:
        super().__init__()
        if size is not None:
            of_volumes = isinstance(size, tuple | list) and len(size) == 3
            size = array_shape('size', size, 3 if of_volumes else 2)
        self.size = size

    def extra_repr(self) -> str:
        """Return the size, for ``repr``."""
        return '' if self.size is None else f'{self.size}'

    def forward(
        self, x: torch.Tensor, size: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        """Return images on a finer grid.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, n, m)``, or volumes of shape
            ``(N, C, n, m, l)``.
        size : tuple of int, optional
            Shape of the fine grid. Half of it, rounded up, is the shape of
            ``x``. Default: that of the layer.

        Returns
        -------
        y : torch.Tensor
            Images of shape ``(N, C, *size)``.

        Raises
        ------
        ValueError
            If ``x`` is no batch of images, or ``size`` has not its coarse
            grid.
        """
        check_images(x, volumes=True)
        coarse = tuple(x.shape[2:])
        size = self.size if size is None else size
        size = tuple(2 * n for n in coarse) if size is None else tuple(size)
        if tuple(map(coarse_size, size)) != coarse:
            choices = ' x '.join(f'{2 * n - 1} or {2 * n}' for n in coarse)
            raise ValueError(
                f'images on the grid {coarse} go to a fine grid of {choices} '
                f'cells, got size={size}'
            )
        exported = is_exported()
        if not exported and _is_fast(x, size):
            return functional.interpolate(x, scale_factor=2, mode='nearest')
        refined = _interpolated if exported else _refined
        for axis, n in enumerate(size, 2):
            x = refined(x, axis, n)
        return x


class AveragePooling(Layer):
    r"""Weighted means of images on a grid half as fine.

    Along an axis of an even number of cells these are the means of pairs.
    Along one of an odd number, they lie at every second cell, from the first
    to the last, with the weights 1/4, 1/2 and 1/4 on a cell and its
    neighbours, and 2/3 and 1/3 at the two ends. The layer keeps constants and
    has no weights. It commutes with the symmetries of the square, or of the
    cube, and acts on each channel alike: it takes fields of any kind.

    Notes
    -----
    With the matrix U of `Upsampling` and the widths :math:`w_j = \sum_i
    U_{ij}` of the coarse cells, the matrix of one axis is

    .. math::
        P = \operatorname{diag}(w)^{-1} U^T ,

    the adjoint of U where coarse cells are weighted by their widths. So it
    keeps the weighted mean, and its norm is at most 1.

    On a periodic axis of even n, it commutes with translations by two cells.
    On the other axes it does so away from the boundary.

    Examples
    --------
    >>> AveragePooling()(torch.tensor([[[[1.0, 3.0, 5.0, 7.0]]]])).tolist()
    [[[[2.0, 6.0]]]]
    >>> AveragePooling()(torch.tensor([[[[3.0, 0.0, 2.0]]]])).tolist()
    [[[[2.0, 1.3333333730697632]]]]
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the means, of shape ``(N, C, ceil(n / 2), ceil(m / 2))``.

        Parameters
        ----------
        x : torch.Tensor
            Images of shape ``(N, C, n, m)``, or volumes of shape
            ``(N, C, n, m, l)``, whose last axis is halved as well.

        Raises
        ------
        ValueError
            If ``x`` is no batch of images.
        """
        check_images(x, volumes=True)
        exported = is_exported()
        if not exported and _is_fast(x, x.shape[2:]):
            return _averaged_by_torch(x)
        coarsened = _averaged if exported else _coarsened
        for axis in range(2, x.ndim):
            x = coarsened(x, axis)
        return x


def is_exported() -> bool:
    """Return whether a graph is made, which must be for all sizes."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def check_images(x: torch.Tensor, volumes: bool = False) -> None:
    """Raise a ValueError unless a tensor is a batch of images, or volumes."""
    if x.ndim not in ((4, 5) if volumes else (4,)) or min(x.shape[2:]) == 0:
        also = ', or volumes of shape (N, C, n, m, l),' if volumes else ''
        raise ValueError(
            f'expected images of shape (N, C, n, m){also} with at least one '
            f'cell, got {tuple(x.shape)}'
        )


def _averaged_by_torch(x):
    if x.ndim == 4:
        return functional.avg_pool2d(x, 2)
    if x.device.type == 'cpu' and x.dtype != torch.float64:
        # torch has no means of volumes in half precision on a processor
        return functional.avg_pool3d(x.float(), 2).to(x.dtype)
    return functional.avg_pool3d(x, 2)


def _is_fast(x, size):
    """Return whether torch has a function of its own, of real numbers."""
    return not x.is_complex() and all(n % 2 == 0 for n in size)


def cells_around(
    x: torch.Tensor, axis: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the cells of each coarse cell of an axis, without a branch.

    Returns
    -------
    cells : list of tuple
        Three tensors of cells, the images being continued by their last
        cells, and the weights of `AveragePooling`, which sum to one.
    """
    n = x.shape[axis]
    odd = n % 2
    centre = 2 * torch.arange((n + 1) // 2, device=x.device)
    weights = [
        odd * (centre > 0).to(x.dtype),
        (1 + odd) * torch.ones_like(centre, dtype=x.dtype),
        (centre + 1 < n).to(x.dtype),
    ]
    total = weights[0] + weights[1] + weights[2]
    shape = (-1, *(x.ndim - 1 - axis) * (1,))
    places = (centre - odd).clamp(min=0), centre, (centre + 1).clamp(max=n - 1)
    return [
        (x.index_select(axis, place), (weight / total).reshape(shape))
        for place, weight in zip(places, weights, strict=True)
    ]


def _averaged(x, axis):
    """Apply the matrix P along an axis, without a branch."""
    first, second, third = (
        cells * weight for cells, weight in cells_around(x, axis)
    )
    return first + second + third


def _interpolated(x, axis, n):
    """Apply the matrix U along an axis, to n cells, without a branch."""
    cells = torch.arange(n, device=x.device)
    left = x.index_select(axis, cells // 2)
    right = x.index_select(axis, (cells + n % 2) // 2)
    return (left + right) / 2


def _every_second(x, axis, start):
    index = (slice(None),) * axis + (slice(start, None, 2),)
    return x[index]


def _padded(x, axis, left, right):
    """Pad an axis with zeros."""
    sides = (0, 0) * (x.ndim - 1 - axis) + (left, right)
    return functional.pad(x, sides)


def _coarsened(x, axis):
    """Apply the matrix P along an axis."""
    n = x.shape[axis]
    if n == 1:
        return x
    first, second = (_every_second(x, axis, start) for start in (0, 1))
    if n % 2 == 0:
        return (first + second) / 2
    # of the mean of the neighbours, where both are there
    near = _padded(second, axis, 0, 1) + _padded(second, axis, 1, 0)
    widths = x.new_full((coarse_size(n),), 2.0)
    widths[0] = widths[-1] = 1.5
    widths = widths.reshape(-1, *(x.ndim - 1 - axis) * (1,))
    return (first + near / 2) / widths


def _refined(x, axis, n):
    """Apply the matrix U along an axis, to n cells."""
    if n % 2 == 0:
        return x.repeat_interleave(2, axis)
    if n == 1:
        return x
    coarse = coarse_size(n)
    left, right = x.narrow(axis, 0, coarse - 1), x.narrow(axis, 1, coarse - 1)
    pairs = torch.stack([left, (left + right) / 2], axis + 1)
    last = x.narrow(axis, coarse - 1, 1)
    return torch.cat([pairs.flatten(axis, axis + 1), last], axis)
