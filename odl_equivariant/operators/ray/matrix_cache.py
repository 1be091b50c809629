# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The cache of ray transforms' matrices in use, by geometry."""

import weakref

import numpy as np

from odl_equivariant._locks import Lock
from odl_equivariant.operators.ray.matrices import (
    RayMatrix,
    matrix_bytes,
    ray_matrix_settings,
)
from odl_equivariant.operators.ray.matrix_building import (
    MatrixBuilder,
    MatrixTooLarge,
)
from odl_equivariant.operators.ray.matrix_files import (
    MatrixKey,
    load_matrix,
    save_matrix,
)

__all__ = ('ray_matrix',)

# Matrices are shared by all transforms of one geometry for as long as one of
# them is alive: at 512 x 512 a matrix takes longer to build than to use.
_MATRICES = weakref.WeakValueDictionary()

# Sizes of matrices that were too large: nobody has to count them twice.
_TOO_LARGE = {}

# torch's products take the indices of a matrix as signed numbers of 32 bits.
_MAX_NONZEROS = 2**31 - 1

_LOCK = Lock()


def _bytes(nonzeros, key):
    return matrix_bytes(nonzeros, key.shape, key.dtype.itemsize)


def _max_nonzeros(key, memory_limit):
    """Return how many entries a matrix may have."""
    entries = (memory_limit - _bytes(0, key)) / (2 * (key.dtype.itemsize + 4))
    return min(entries, _MAX_NONZEROS)


def _built(key, rays, find_symmetry, max_nonzeros):
    """Return a new matrix, if it is known to be or expected to be small."""
    if key in _TOO_LARGE and _TOO_LARGE[key] > max_nonzeros:
        raise MatrixTooLarge(_TOO_LARGE[key])
    builder = MatrixBuilder(rays, key.dtype, find_symmetry())
    try:
        if builder.nonzeros_bound > max_nonzeros:
            expected = builder.estimate()
            if expected > max_nonzeros:
                raise MatrixTooLarge(expected)
        return builder.build(max_nonzeros)
    except MatrixTooLarge as error:
        _TOO_LARGE[key] = error.nonzeros
        raise


def ray_matrix(rays, dtype, find_symmetry):
    """Return the matrix of a projector, from memory, from disk or new.

    Parameters
    ----------
    rays : RayGeometry
        Grid, rays and projector.
    dtype : numpy.dtype
        Dtype of the weights.
    find_symmetry : callable
        Function that returns the `RaySymmetry` of these rays on this grid.
        The matrix gets exactly this symmetry. It is called only if the matrix
        has to be built.

    Returns
    -------
    ray_matrix : RayMatrix or None
        The matrix, or ``None`` if it is too large.
    size : int
        Size in bytes of the matrix and its transpose. If it is too large,
        an estimate.
    """
    key = MatrixKey(rays, np.dtype(dtype))
    # One at a time: two threads that want the same matrix build it once, and
    # ASTRA's lists of objects belong to all threads.
    with _LOCK:
        matrix = _MATRICES.get(key)
        if matrix is not None:
            return matrix, matrix.nbytes
        memory_limit, folder = ray_matrix_settings()
        max_nonzeros = _max_nonzeros(key, memory_limit)
        csr = None
        try:
            if folder is not None:
                csr = load_matrix(folder, key, max_nonzeros)
            if csr is None:
                csr = _built(key, rays, find_symmetry, max_nonzeros)
                if folder is not None:
                    save_matrix(folder, key, csr)
        except MatrixTooLarge as error:
            return None, _bytes(error.nonzeros, key)
        matrix = _MATRICES[key] = RayMatrix(csr)
        return matrix, matrix.nbytes
