# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Affine maps of arrays, with a mean over cells where images shrink."""

from functools import cached_property
from itertools import product

import numpy as np

from odl_equivariant.actions._interpolation import InterpolatingMover
from odl_equivariant.actions.grid import GridMover, grid_mover

__all__ = ('AveragingMover', 'averaging_mover')


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
        sides = np.asarray(self.space.cell_sides)
        if not self.smooth:
            return len(sides) * (1,)
        steps = np.linalg.inv(self.matrix) * sides / sides[:, None]
        crossed = np.linalg.norm(steps, axis=0)
        # at least one, however much lengths grow
        return tuple(max(1, int(np.ceil(n - 1e-9))) for n in crossed)

    @cached_property
    def _entries(self):
        numbers = self.n_points
        factor = 1 / np.prod(numbers)
        if self.unitary:
            factor /= abs(np.linalg.det(self.matrix)) ** 0.5
        found = ([], [], [])
        for index in product(*map(range, numbers)):
            offset = (np.array(index) + 0.5) / numbers - 0.5
            rows, columns, values = self._entries_at(offset)
            found[0].extend(rows)
            found[1].extend(columns)
            found[2].extend(factor * value for value in values)
        return found

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
