# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Moves by interpolation between grid points, with exact transposes."""

from functools import cached_property
from itertools import product

import numpy as np

from odl_equivariant.actions._movers import Mover
from odl_equivariant.actions.grid import GridMover, grid_mover

__all__ = ('InterpolatingMover', 'interpolating_mover')


def _hat(distance):
    return np.maximum(0.0, 1 - np.abs(distance))


def _keys(distance):
    """Return the cubic convolution kernel of Keys (1981) with a = -1/2."""
    r = np.abs(distance)
    near = (1.5 * r - 2.5) * r * r + 1
    far = ((-0.5 * r + 2.5) * r - 4) * r + 2
    return np.where(r <= 1, near, np.where(r < 2, far, 0.0))


_KERNELS = {'linear': (_hat, 1), 'cubic': (_keys, 2)}


class InterpolatingMover(Mover):
    r"""Any invertible matrix and shift, by a local interpolation.

    Notes
    -----
    With the points :math:`x_i`, the cell sides h and the kernel k of the
    interpolation,

    .. math::
        (g \cdot u)_i = \sum_j \prod_a k\Big(\frac{y_{i,a} - x_{j,a}}{h_a}
        \Big) u_j, \qquad y_i = M^{-1} (x_i - c - s) + c .

    The kernel is the hat function ('linear', with an error of the order
    :math:`h^2`) or the cubic convolution of R. G. Keys, *Cubic convolution
    interpolation for digital image processing*, IEEE Trans. Acoust. Speech
    Signal Process. 29 (1981), 1153-1160 ('cubic', :math:`h^3`). Outside of
    the grid the function is continued periodically, or by the number
    ``fill``. The sum is a sparse matrix A, and the adjoint is
    :math:`w^{-1} A^T w` with the weights w of the points.
    """

    def __init__(self, space, matrix, shift, method, fill=0.0):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace`
            Uniform space of functions of d variables.
        matrix : array-like of float, shape (d, d)
            Invertible matrix.
        shift : array-like of float, shape (d,)
            Shift after it, in the unit of the domain.
        method : {'linear', 'cubic'}
            Kernel of the interpolation.
        fill : float, complex or `None`
            Value outside of the grid; `None` for a periodic function.
        """
        super().__init__(space, matrix, shift)
        self.method = method
        self.fill = fill

    @property
    def is_linear(self):
        """``True`` unless what is outside is filled with a constant."""
        return not self.fill

    def move(self, data):
        """Return the moved array."""
        if not self.fill:
            return self._multiply(data)
        return self._multiply(data - self.fill) + self.fill

    def move_back(self, data):
        """Return the adjoint's array, in the inner product of the space."""
        weights = self._cell_weights
        if weights is None:
            return self._multiply(data, transpose=True)
        weights = self.space.array_namespace.asarray(
            weights, dtype=data.real.dtype, device=data.device
        )
        moved = self._multiply(data * weights, transpose=True)
        return moved / weights

    def inverse(self):
        """Return the mover of the inverse element."""
        inverse = np.linalg.inv(self.matrix)
        return self._like(inverse, -(inverse @ self.shift))

    def lift(self, mover):
        """Return a `GridMover` as one that can be multiplied with this."""
        if self.fill is not None and any(mover.cells):
            return None
        return InterpolatingMover(
            self.space, mover.matrix, mover.shift, self.method, self.fill
        )

    def multiply(self, other):
        """Return the mover of the product, which interpolates once."""
        if isinstance(other, GridMover):
            other = self.lift(other)
        if (
            type(other) is not type(self)
            or other.method != self.method
            or other.fill != self.fill
        ):
            return NotImplemented
        return self._like(
            self.matrix @ other.matrix, self.shift + self.matrix @ other.shift
        )

    def derivative(self):
        """Return the mover that fills with 0."""
        return InterpolatingMover(
            self.space, self.matrix, self.shift, self.method, 0.0
        )

    def _like(self, matrix, shift):
        return interpolating_mover(
            self.space, matrix, shift, self.method, self.fill
        )

    @property
    def _cell_weights(self):
        """Sizes of the cells relative to a whole one, `None` if all are 1."""
        if self.space.is_uniformly_weighted:
            return None
        weights = np.ones(self.space.shape)
        fractions = self.space.partition.boundary_cell_fractions
        for axis, (low, high) in enumerate(fractions):
            lines = np.moveaxis(weights, axis, 0)
            lines[0] *= low
            lines[-1] *= high
        return weights

    @cached_property
    def _entries(self):
        """Rows, columns and values of the matrix, those that are not 0."""
        return self._entries_at(np.zeros(len(self.space.shape)))

    @property
    def _reach(self):
        """How many points the kernel reaches to each side."""
        return _KERNELS[self.method][1]

    def _entries_at(self, offset, points=None):
        """Return the entries for points that are off by parts of a cell.

        Without ``points``, flat indices of cells, they are of all cells.
        """
        shape = self.space.shape
        kernel, reach = _KERNELS[self.method]
        if points is None:
            points = np.arange(int(np.prod(shape)))
        source = self._sources(offset, points)
        corner = np.floor(source).astype(np.int64)
        rows, columns, values = [], [], []
        for tap in product(range(1 - reach, 1 + reach), repeat=len(shape)):
            index = [c + t for c, t in zip(corner, tap, strict=True)]
            value = np.ones(corner[0].size)
            for i, s in zip(index, source, strict=True):
                value *= kernel(s - i)
            keep = value != 0
            if self.fill is None:
                index = [i % n for i, n in zip(index, shape, strict=True)]
            else:
                for i, n in zip(index, shape, strict=True):
                    keep &= (i >= 0) & (i < n)
            rows.append(points[keep])
            columns.append(
                np.ravel_multi_index([i[keep] for i in index], shape)
            )
            values.append(value[keep])
        return rows, columns, values

    def _sources(self, offset, points):
        """Return where the points come from, in cells from the first one."""
        shape, sides = self.space.shape, np.asarray(self.space.cell_sides)
        vectors = self.space.grid.coord_vectors
        first = np.array([float(np.asarray(v)[0]) for v in vectors])
        centre = np.asarray(self.space.partition.mid_pt, dtype=float)
        grid = np.stack(np.unravel_index(points, shape))
        offset = np.reshape(offset, (len(shape), -1))
        places = first[:, None] + sides[:, None] * (grid + offset)
        moved = places - (centre + self.shift)[:, None]
        source = np.linalg.inv(self.matrix) @ moved + centre[:, None]
        cells = (source - first[:, None]) / sides[:, None]
        # a point of the grid is not to miss the last cell by rounding
        whole = np.rint(cells)
        return np.where(np.abs(cells - whole) < 1e-9, whole, cells)

    def _multiply(self, data, transpose=False):
        if not isinstance(data, np.ndarray):
            return _multiply_torch(self._entries, data, transpose)
        matrix = self._csr.T if transpose else self._csr
        return (matrix @ data.ravel()).reshape(data.shape)

    @cached_property
    def _csr(self):
        from scipy import sparse

        rows, columns, values = map(np.concatenate, self._entries)
        size = int(np.prod(self.space.shape))
        dtype = np.empty(0, str(self.space.dtype_identifier)).real.dtype
        return sparse.csr_matrix(
            (values.astype(dtype), (rows, columns)), shape=(size, size)
        )

    def __eq__(self, other):
        """Return whether both move arrays in the same way."""
        if not isinstance(other, InterpolatingMover):
            return NotImplemented
        return (
            super().__eq__(other) is True
            and self.method == other.method
            and self.fill == other.fill
        )

    __hash__ = Mover.__hash__


def interpolating_mover(space, matrix, shift, method, fill=0.0):
    """Return the mover of an element, a `GridMover` where that is the same.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform space of functions of d variables.
    matrix : array-like of float, shape (d, d)
        Invertible matrix.
    shift : array-like of float, shape (d,)
        Shift after it, in the unit of the domain.
    method : {'linear', 'cubic'}
        Kernel of the interpolation.
    fill : float, complex or `None`
        Value outside of the grid; `None` for a periodic function.

    Returns
    -------
    mover : `GridMover` or `InterpolatingMover`
        What moves the arrays.
    """
    mover = grid_mover(space, matrix, shift)
    if mover is None or (any(mover.cells) and fill is not None):
        return InterpolatingMover(space, matrix, shift, method, fill)
    return mover


def _multiply_torch(entries, data, transpose):
    import torch

    flat = data.reshape(-1)
    result = torch.zeros_like(flat)
    for rows, columns, values in zip(*entries, strict=True):
        if transpose:
            rows, columns = columns, rows
        target, source = (
            torch.as_tensor(i, device=data.device) for i in (rows, columns)
        )
        weights = torch.as_tensor(
            values, dtype=data.real.dtype, device=data.device
        )
        result.index_add_(0, target, weights * flat[source])
    return result.reshape(data.shape)
