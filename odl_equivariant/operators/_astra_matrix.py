# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ray transform by the sparse matrix of ASTRA's own projector."""

import hashlib
import warnings
import weakref

import numpy as np
import torch
from odl.applications.tomo.backends.astra_cpu import default_astra_proj_type
from odl.applications.tomo.backends.astra_setup import (
    astra_projection_geometry,
    astra_projector,
    astra_volume_geometry,
)

from odl_equivariant.elements import as_element, as_tensor, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators._quarter_turns import (
    has_quarter_turns,
    with_quarter_turns,
)

__all__ = ('AstraMatrixImpl', 'RayMatrix')

# Matrices are shared by all transforms of one geometry for as long as one of
# them is alive: at 512 x 512 a matrix takes longer to build than to use.
_MATRICES = weakref.WeakValueDictionary()


def _csr_tensor(matrix, dtype):
    with warnings.catch_warnings():
        warnings.filterwarnings(
            'ignore', message='Sparse CSR tensor support is in beta'
        )
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data).to(dtype),
            size=matrix.shape,
            check_invariants=False,
        )


class RayMatrix:
    """A projector's matrix and its transpose, for batches of images.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix
        Matrix of shape ``(range size, domain size)``.
    dtype : torch.dtype
        Precision of the products.
    """

    def __init__(self, matrix, dtype):
        self.matrix = _csr_tensor(matrix, dtype)
        self.transposed = _csr_tensor(matrix.T.tocsr(), dtype)

    @staticmethod
    def _multiply(matrix, x, shape):
        columns = x.reshape(-1, matrix.shape[1])
        if columns.shape[0] == 1:
            return (matrix @ columns[0]).reshape(*x.shape[:-2], *shape)
        result = matrix @ columns.T.contiguous()
        return result.T.reshape(*x.shape[:-2], *shape)

    def forward(self, x, shape):
        """Apply the matrix to a ``(..., n, m)`` tensor."""
        return self._multiply(self.matrix, x, shape)

    def transpose(self, y, shape):
        """Apply the transposed matrix to a ``(..., n, m)`` tensor."""
        return self._multiply(self.transposed, y, shape)


def _projector_matrix(vol_geom, proj_geom, proj_type):
    import astra

    projector = astra_projector(proj_type, vol_geom, proj_geom, 2)
    matrix = astra.projector.matrix(projector)
    try:
        return astra.matrix.get(matrix)
    finally:
        astra.matrix.delete(matrix)
        astra.projector.delete(projector)


def _digest(*geometries):
    digest = hashlib.sha256()
    for geometry in geometries:
        for key in sorted(geometry):
            value = geometry[key]
            digest.update(key.encode())
            if isinstance(value, np.ndarray):
                digest.update(str(value.shape).encode() + value.tobytes())
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()


def _matrix(geometry, vol_space):
    vol_geom = astra_volume_geometry(vol_space, 'cpu')
    proj_geom = astra_projection_geometry(geometry, 'cpu')
    proj_type = default_astra_proj_type(geometry)
    dtype = tensor_dtype(vol_space)
    symmetric = has_quarter_turns(geometry, vol_space)
    key = (_digest(vol_geom, proj_geom), proj_type, dtype, symmetric)
    ray_matrix = _MATRICES.get(key)
    if ray_matrix is None:
        csr = _projector_matrix(vol_geom, proj_geom, proj_type)
        if symmetric:
            csr = with_quarter_turns(
                csr, len(geometry.angles), vol_space.shape[0]
            )
        ray_matrix = _MATRICES[key] = RayMatrix(csr, dtype)
    return ray_matrix


class AstraMatrixImpl:
    """Back-end ``'astra_matrix'`` of `odl.applications.tomo.RayTransform`.

    The matrix of the projector that ``'astra_cpu'`` applies on the fly is
    built once and kept, together with its transpose, as a sparse tensor.
    The result is the same to rounding, the adjoint exact, and both are
    several times faster, in particular for batches (see `OperatorLayer`).
    Where the geometry allows it, a quarter turn of the image permutes the
    data exactly, which ASTRA's single precision misses in the fifth digit.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Parallel- or fan-beam geometry in 2D.
    vol_space : `DiscretizedSpace`
        Images, real or complex, of dtype float32, float64, complex64 or
        complex128, backed by numpy or by pytorch on the CPU.
    proj_space : `DiscretizedSpace`
        Data.

    Raises
    ------
    ValueError
        If the geometry is not two-dimensional, the spaces not on the CPU, or
        the cells of the images not square.
    NotImplementedError
        If the weights of a space are neither constant nor an array.
    """

    def __init__(self, geometry, vol_space, proj_space):
        if geometry.ndim != 2:
            raise ValueError(
                "`impl` 'astra_matrix' only works in 2D, got a geometry with "
                f"ndim {geometry.ndim}; take 'astra_cuda' in 3D"
            )
        if str(vol_space.device) != 'cpu':
            raise ValueError(
                "`impl` 'astra_matrix' only works on the CPU, got a space on "
                f"{vol_space.device}; take 'astra_cuda' there"
            )
        if not vol_space.is_uniform or not (
            vol_space.partition.has_isotropic_cells
        ):
            raise ValueError(
                'ASTRA needs a uniform grid of square cells, got the space '
                f'{vol_space!r}'
            )
        self.geometry = geometry
        self.vol_space = vol_space
        self.proj_space = proj_space
        self.matrix = _matrix(geometry, vol_space)
        # A^* = w_X^{-1} A^T w_Y, with the weights of the inner products
        dtype = tensor_dtype(vol_space)
        self._vol_weights = inner_product_weights(vol_space)[0].to(dtype)
        self._proj_weights = inner_product_weights(proj_space)[0].to(dtype)

    def forward(self, x):
        """Project a batch of images ``(..., n, m)``."""
        return self.matrix.forward(x, self.proj_space.shape)

    def transpose(self, y):
        """Apply the transposed matrix to a batch of data."""
        return self.matrix.transpose(y, self.vol_space.shape)

    def call_forward(self, x, out=None, **kwargs):
        """Return the projection of an element of ``vol_space``."""
        return self._call(self.forward, x, self.proj_space, out)

    def call_backward(self, x, out=None, **kwargs):
        """Return the (weighted) adjoint of an element of ``proj_space``."""
        return self._call(self._weighted_transpose, x, self.vol_space, out)

    def _weighted_transpose(self, y):
        result = self.transpose(self._proj_weights * y)
        return result.div_(self._vol_weights)

    @staticmethod
    def _call(function, x, space, out):
        result = as_element(function(as_tensor(x)), space)
        if out is None:
            return result
        out.assign(result)
        return out
