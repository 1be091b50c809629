# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A ray transform of volumes as a sparse matrix, built without ASTRA."""

import hashlib
import math
import weakref

import numpy as np

from odl_equivariant._locks import Lock
from odl_equivariant.elements import tensor_dtype
from odl_equivariant.operators.ray.astra_matrix import AstraMatrixImpl
from odl_equivariant.operators.ray.cone.tracing import RayTracer
from odl_equivariant.operators.ray.geometry import full_cells
from odl_equivariant.operators.ray.matrices import (
    RayMatrix,
    matrix_bytes,
    ray_matrix_settings,
)

__all__ = ('VolumeMatrixImpl',)

_N_PROBES = 4
_MOST_ENTRIES = 2**31 - 1
_LOCK = Lock()
# matrices of living transforms
_MATRICES: 'weakref.WeakValueDictionary[str, RayMatrix]' = (
    weakref.WeakValueDictionary()
)


class VolumeMatrixImpl(AstraMatrixImpl):
    r"""Back-end ``'volume_matrix'`` of `odl.applications.tomo.RayTransform`.

    The lengths of the rays in the voxels are computed once, in double
    precision, and kept as a sparse matrix with its transpose. So the adjoint
    is exact, batches are multiplied at once, and no GPU is needed. It is for
    small geometries: a matrix for 32 x 32 x 32 voxels, 48 views and 48 x 48
    detector elements takes 35 MiB, and 16 times as much with all sides and
    the number of views doubled.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry in 3D, with cone beams on a flat or a curved detector, or
        with parallel beams.
    vol_space : `DiscretizedSpace`
        Volumes on the CPU, real or complex, with cells of equal size.
    proj_space : `DiscretizedSpace`
        Data.

    Attributes
    ----------
    matrix : RayMatrix
        The matrix, shared with all living transforms of the same geometry.

    Raises
    ------
    ValueError
        If the geometry is not in 3D or has several angles for a view, the
        spaces are not on the CPU, the cells are not of equal size, or a
        source is inside of the volume.
    MemoryError
        If the matrix would be larger than the limit that
        `configure_ray_matrices` sets. It says how large it would be.

    Notes
    -----
    The entry of a ray and a voxel is the length of their intersection, see
    Siddon, *Fast calculation of the exact radiological path for a
    three-dimensional CT array*, Medical Physics 12 (1985), 252-255. A ray
    that lies between two voxels belongs half to each. So turns and
    reflections that permute the rays permute the data, up to rounding.
    """

    def __init__(self, geometry, vol_space, proj_space):
        if geometry.ndim != 3:
            raise ValueError(
                "`impl` 'volume_matrix' is for volumes, got a geometry with "
                f"ndim {geometry.ndim}; take 'astra_matrix' in 2D"
            )
        if geometry.motion_partition.ndim != 1:
            raise ValueError(
                "`impl` 'volume_matrix' needs one angle for each view, got "
                f'{geometry.motion_partition.ndim} in a '
                f'{type(geometry).__name__}'
            )
        if str(vol_space.device) != 'cpu':
            raise ValueError(
                "`impl` 'volume_matrix' only works on the CPU, got a space on "
                f"{vol_space.device}; take 'astra_cuda' there"
            )
        if not vol_space.is_uniform:
            raise ValueError(
                "`impl` 'volume_matrix' needs cells of equal size, got "
                f'{vol_space!r:.200}'
            )
        self.geometry = geometry
        self.vol_space = vol_space
        self.proj_space = proj_space
        dtype = tensor_dtype(vol_space)
        self._set_weights(dtype)
        tracer = RayTracer(geometry, vol_space)
        inside = tracer.source_inside()
        if inside is not None:
            raise ValueError(
                "`impl` 'volume_matrix' needs sources outside of the volume, "
                f'as lines behind them would count, got one at {inside}, and '
                f'the volume from {tracer.low.tolist()} to '
                f'{tracer.high.tolist()}; are all lengths of the geometry '
                'and of the space in the same unit?'
            )
        self.matrix = _matrix(
            tracer,
            len(np.asarray(geometry.angles)),
            np.dtype(str(dtype).removeprefix('torch.')),
            (math.prod(proj_space.shape), math.prod(vol_space.shape)),
            [full_cells(vol_space.partition), vol_space.shape],
        )

    def forward(self, x):
        """Project a batch of volumes, see `AstraMatrixImpl.forward`."""
        return self.matrix.forward(x.flatten(-3, -2), self.proj_space.shape)

    def transpose(self, y):
        """Apply the transposed matrix to a batch of data."""
        return self.matrix.transpose(y.flatten(-3, -2), self.vol_space.shape)


def _matrix(tracer, n_views, dtype, shape, grid):
    """Return the matrix of a geometry, made once while it is in use."""
    digest = hashlib.blake2b(f'{grid!r} {dtype} {shape}'.encode())
    for view in range(n_views):
        for array in tracer.rays(view):
            digest.update(np.ascontiguousarray(array).tobytes())
    key = digest.hexdigest()
    with _LOCK:
        matrix = _MATRICES.get(key)
        if matrix is None:
            matrix = RayMatrix(_built(tracer, n_views, dtype, shape))
            _MATRICES[key] = matrix
        return matrix


def _built(tracer, n_views, dtype, shape):
    """Return the matrix of all views, in scipy's CSR format."""
    from scipy import sparse

    n_probes = min(_N_PROBES, n_views)
    probes = [(2 * i + 1) * n_views // (2 * n_probes) for i in range(n_probes)]
    found = {view: tracer.entries(view) for view in probes}
    mean = sum(len(entries[0]) for entries in found.values()) / n_probes
    _check_size(math.ceil(mean * n_views), dtype, shape, tracer.shape)
    n_rays = shape[0] // n_views
    parts = []
    for view in range(n_views):
        rows, columns, values = found.pop(view, None) or tracer.entries(view)
        part = sparse.csr_matrix(
            (values.astype(dtype), (rows, columns)), shape=(n_rays, shape[1])
        )
        part.indices = part.indices.astype(np.int32, copy=False)
        parts.append(part)
    return sparse.vstack(parts, format='csr')


def _check_size(entries, dtype, shape, grid):
    """Raise a MemoryError if a matrix would be too large."""
    size = matrix_bytes(entries, shape, dtype.itemsize)
    limit = ray_matrix_settings().memory_limit
    if size <= limit and entries <= _MOST_ENTRIES:
        return
    # with all sides and the number of views
    share = (min(limit, 2**34) / size) ** 0.25
    smaller = ' x '.join(str(max(1, int(share * n))) for n in grid)
    raise MemoryError(
        f'the matrix of the ray transform has about {entries:.3g} entries, '
        f'and takes {size / 2**30:.3g} GiB with its transpose, more than the '
        f'limit of {limit / 2**30:.3g} GiB, or than can be indexed. Take '
        f'about {smaller} voxels, with views and detector in proportion, '
        "impl='astra_cuda' on a GPU, or raise the limit by "
        '`odl_equivariant.operators.configure_ray_matrices(memory_limit='
        f'{1.05 * size:.3g})`'
    )
