# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Affine maps of arrays, with a mean over cells where images shrink."""

import math
from functools import cached_property

import numpy as np

from odl_equivariant.actions._interpolation import InterpolatingMover
from odl_equivariant.actions.grid import GridMover, grid_mover

__all__ = ('AveragingMover', 'averaging_mover')

# points that are computed at once
_POINTS = 2**20
# points of all cells together, a minute or two
_LARGEST = 2**28
# entries of the matrix, and the bytes of one: two indices and a value
_MOST_ENTRIES, _ENTRY = 2**27, 16


class AveragingMover(InterpolatingMover):
    r"""Any invertible matrix and shift, by a mean over each new cell.

    Notes
    -----
    The value of a cell is the mean of the interpolated function at
    :math:`k_1 \times \dots \times k_d` points in that cell. There are as many
    along an axis as it crosses old cells. So a cell that covers many old
    ones sees all of them: this is the low-pass filter before sampling. Where
    lengths shrink by a whole number, it is the mean of whole blocks. Values
    are multiplied by :math:`|\det M|^{-1/2}` if the mover is unitary.
    """

    def __init__(
        self,
        space,
        matrix,
        shift,
        method,
        fill=0.0,
        smooth=True,
        unitary=False,
    ):
        """Initialize a new instance.

        Parameters
        ----------
        space, matrix, shift, method, fill :
            See `InterpolatingMover`.
        smooth : bool
            Whether to take means, and not single points.
        unitary : bool
            Whether to multiply by ``abs(det(matrix)) ** -0.5``.
        """
        super().__init__(space, matrix, shift, method, fill)
        self.smooth, self.unitary = smooth, unitary

    @property
    def n_points(self):
        """Number of points in a cell along each axis, a tuple of ints."""
        if not self.smooth:
            return len(self.space.shape) * (1,)
        crossed = np.linalg.norm(self._steps, axis=0)
        # at least one, however much lengths grow
        return tuple(max(1, int(np.ceil(n - 1e-9))) for n in crossed)

    @property
    def _steps(self):
        """The vectors along a cell, in cells of the old image, as columns."""
        sides = np.asarray(self.space.cell_sides)
        return np.linalg.inv(self.matrix) * sides / sides[:, None]

    @cached_property
    def _entries(self):
        numbers = self.n_points
        factor = 1 / self._n_per_cell
        if self.unitary:
            factor /= abs(np.linalg.det(self.matrix)) ** 0.5
        if self._n_per_cell == 1:
            rows, columns, values = self._entries_at(np.zeros(len(numbers)))
            return rows, columns, [factor * value for value in values]
        self.check_size()
        offsets = np.stack(
            [
                (index.ravel() + 0.5) / n - 0.5
                for index, n in zip(np.indices(numbers), numbers, strict=True)
            ]
        )
        cells = self._cells_on_the_image()
        step = max(1, _POINTS // self._n_per_cell)
        found = ([], [], [])
        for first in range(0, len(cells), step):
            part = cells[first : first + step]
            summed = self._summed(
                *self._entries_at(
                    np.tile(offsets, len(part)),
                    np.repeat(part, self._n_per_cell),
                )
            )
            for entries, new in zip(found, summed, strict=True):
                entries.append(new)
        found[2][:] = [factor * value for value in found[2]]
        return found

    @property
    def _n_per_cell(self):
        return math.prod(self.n_points)

    def _cells_on_the_image(self):
        """Return the flat indices of the cells that are no fill alone."""
        shape = self.space.shape
        cells = np.arange(math.prod(shape))
        if self.fill is None:
            return cells
        source = self._sources(np.zeros(len(shape)), cells)
        # where the corners of a cell come from, and how far the kernel sees
        margin = np.abs(self._steps).sum(1) / 2 + self._reach
        last = np.array(shape) - 1
        apart = np.abs(source - last[:, None] / 2)
        return cells[(apart <= (last / 2 + margin)[:, None]).all(0)]

    def _summed(self, rows, columns, values):
        """Return entries, those of the same place added up."""
        from scipy import sparse

        rows, columns, values = map(np.concatenate, (rows, columns, values))
        size = math.prod(self.space.shape)
        matrix = sparse.coo_matrix((values, (rows, columns)), (size, size))
        matrix = matrix.tocsr().tocoo()
        return matrix.row, matrix.col, matrix.data

    def check_size(self):
        """Raise a ValueError if the matrix takes too much memory or time."""
        n_points = self._n_per_cell
        if n_points > 1 and n_points <= _LARGEST:
            # those beside the image see the fill alone
            n_points *= len(self._cells_on_the_image())
        shape = np.array(self.space.shape)
        crossed = np.abs(self._steps).sum(1) + 2 * self._reach
        n_entries = math.prod(np.minimum(crossed, shape).tolist())
        n_entries = min(n_points, n_entries * math.prod(shape.tolist()))
        if n_points <= _LARGEST and n_entries <= _MOST_ENTRIES:
            return
        periodic = ', or `fill=0`' if self.fill is None else ''
        raise ValueError(
            f'the matrix {self.matrix.tolist()} shrinks an image of '
            f'{list(self.space.shape)} so far that the means over its cells '
            f'need {n_points:.2g} points and about '
            f'{n_entries * _ENTRY / 2**30:.2g} GiB: take one whose inverse '
            f'is smaller, `smooth=False`{periodic}'
        )

    def lift(self, mover):
        """Return a `GridMover` as one that can be multiplied with this."""
        if self.fill is not None and any(mover.cells):
            return None
        return AveragingMover(
            self.space, mover.matrix, mover.shift, *self._arguments
        )

    def multiply(self, other):
        """Return the mover of the product, which interpolates once."""
        if isinstance(other, GridMover):
            other = self.lift(other)
        if (
            not isinstance(other, AveragingMover)
            or other._arguments != self._arguments
        ):
            return NotImplemented
        return super().multiply(other)

    def derivative(self):
        """Return the mover that fills with 0."""
        return AveragingMover(
            self.space,
            self.matrix,
            self.shift,
            self.method,
            0.0,
            self.smooth,
            self.unitary,
        )

    @property
    def _arguments(self):
        return self.method, self.fill, self.smooth, self.unitary

    def _like(self, matrix, shift):
        return averaging_mover(self.space, matrix, shift, *self._arguments)

    def __eq__(self, other):
        """Return whether both move arrays in the same way."""
        if not isinstance(other, AveragingMover):
            return NotImplemented
        return (
            super().__eq__(other) is True
            and self._arguments == other._arguments
        )

    __hash__ = InterpolatingMover.__hash__


def averaging_mover(space, matrix, shift, method, fill, smooth, unitary):
    """Return the mover of an element, a `GridMover` where that is the same.

    Parameters
    ----------
    space, matrix, shift, method, fill, smooth, unitary :
        See `AveragingMover`.

    Returns
    -------
    mover : `GridMover` or `AveragingMover`
        What moves the arrays.
    """
    mover = grid_mover(space, matrix, shift)
    if mover is None or (any(mover.cells) and fill is not None):
        return AveragingMover(
            space, matrix, shift, method, fill, smooth, unitary
        )
    return mover
