# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Matrices of ASTRA's projectors, built view by view.

ASTRA's own matrices have double precision and explicit zeros, and are up to
three times as large as necessary. So only one view at a time is held in that
form.
"""

import math

import numpy as np

__all__ = ('MatrixBuilder', 'MatrixTooLarge')

# Eight views at equal steps meet the main directions of the grid and those
# between them alike.
_N_PROBES = 8


class MatrixTooLarge(Exception):
    """A matrix has more non-zero entries than it may have."""

    def __init__(self, nonzeros):
        super().__init__(nonzeros)
        self.nonzeros = nonzeros


class MatrixBuilder:
    """Make the matrix of a projector.

    Parameters
    ----------
    rays : RayGeometry
        Grid, rays and projector.
    dtype : numpy.dtype
        Dtype of the weights.
    symmetry : RaySymmetry
        Symmetries that the matrix is to have exactly.
    """

    def __init__(self, rays, dtype, symmetry):
        self.rays, self.dtype = rays, np.dtype(dtype)
        self.symmetry = symmetry
        self.n_views, self.n_detectors = rays.data_shape
        self.size = math.prod(rays.image_shape)
        # all other views are these, turned or reflected
        self._built, self._sources = symmetry.orbits()
        self._views = {}

    @property
    def nonzeros_bound(self):
        """Number of non-zero weights that the matrix cannot exceed."""
        averaged = max(len(self.symmetry.stabilizer(v)) for v in self._built)
        return self.rays.nonzeros_bound * averaged

    def _view(self, index):
        import astra

        projector = astra.create_projector(
            self.rays.projector, self.rays.view(index), self.rays.volume
        )
        matrix = astra.projector.matrix(projector)
        try:
            view = astra.matrix.get(matrix)
        finally:
            astra.matrix.delete(matrix)
            astra.projector.delete(projector)
        view.sum_duplicates()
        view.eliminate_zeros()
        view = self.rays.scaled(view, index)
        return self.symmetry.averaged(view.astype(self.dtype), index)

    def estimate(self):
        """Return the expected number of non-zero entries.

        Some views are built, and kept for `build`.
        """
        n_probes = min(_N_PROBES, len(self._built))
        for probe in range(n_probes):
            place = math.floor((probe + 0.5) * len(self._built) / n_probes)
            index = self._built[place]
            self._views[index] = self._view(index)
        found = sum(view.nnz for view in self._views.values())
        return math.ceil(found * self.n_views / n_probes)

    def build(self, max_nonzeros):
        """Return the matrix.

        Parameters
        ----------
        max_nonzeros : float
            Number of entries past which the work is given up.

        Returns
        -------
        matrix : scipy.sparse.csr_matrix
            Matrix of shape ``(data size, image size)`` with int32 indices.

        Raises
        ------
        MatrixTooLarge
            If the matrix is larger.
        """
        entries = _Entries(self.dtype, self.size)
        for index, (source, element) in enumerate(self._sources):
            if index == source:
                view = self._views.pop(index, None)
                view = self._view(index) if view is None else view
            else:
                view = entries.rows(
                    source * self.n_detectors, (source + 1) * self.n_detectors
                )
                view = self.symmetry.moved(view, element, source)
            nonzeros = entries.size + view.nnz
            if nonzeros > max_nonzeros:
                expected = nonzeros * self.n_views / (index + 1)
                raise MatrixTooLarge(math.ceil(expected))
            entries.append(view)
        return entries.matrix()


class _Entries:
    """Arrays of a sparse matrix that grow at their end.

    A list of matrices, to be joined in the end, would take twice the memory.
    """

    def __init__(self, dtype, n_columns):
        self.data = np.empty(0, dtype=dtype)
        self.indices = np.empty(0, dtype=np.int32)
        self.ends = [np.zeros(1, dtype=np.int32)]
        self.n_columns, self.size = n_columns, 0

    def _resize(self, size):
        # large arrays are mapped to another place, and not copied
        for array in (self.data, self.indices):
            array.resize(size, refcheck=False)

    def append(self, matrix):
        """Append the rows of a matrix."""
        start, self.size = self.size, self.size + matrix.nnz
        if self.size > len(self.data):
            self._resize(max(self.size, len(self.data) * 9 // 8))
        self.data[start : self.size] = matrix.data
        self.indices[start : self.size] = matrix.indices
        # one row after the other, up to 2**31 - 1 entries
        self.ends.append((matrix.indptr[1:] + np.int64(start)).astype('i4'))

    def rows(self, first, last):
        """Return a copy of some of the rows."""
        from scipy import sparse

        self.ends = [np.concatenate(self.ends)]
        ends = self.ends[0][first : last + 1]
        part = slice(ends[0], ends[-1])
        return sparse.csr_matrix(
            (self.data[part], self.indices[part], ends - ends[0]),
            shape=(last - first, self.n_columns),
            copy=True,
        )

    def matrix(self):
        """Return the matrix of all rows."""
        from scipy import sparse

        self._resize(self.size)
        indptr = np.concatenate(self.ends)
        return sparse.csr_matrix(
            (self.data, self.indices, indptr),
            shape=(len(indptr) - 1, self.n_columns),
        )
