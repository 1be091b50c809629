# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sparse matrices of ray transforms, and the settings of their caches."""

import os
from typing import Any, NamedTuple

import numpy as np
import torch

from odl_equivariant._checks import real_number
from odl_equivariant._locks import Lock
from odl_equivariant._types import PathLike
from odl_equivariant._warnings import quiet
from odl_equivariant.operators.batching.exporting import check_not_exported

__all__ = (
    'RayMatrix',
    'RayMatrixMemoryWarning',
    'RayMatrixSettings',
    'configure_ray_matrices',
)

CACHE_VARIABLE = 'ODL_EQUIVARIANT_CACHE'
LIMIT_VARIABLE = 'ODL_EQUIVARIANT_MEMORY_LIMIT'
DEFAULT_MEMORY_LIMIT = 2 * 2**30

_KEEP: Any = object()
_LOCK = Lock()

# Rays read a stack of images in many places: with 64 images of 256 x 256
# pixels at once, products take 2.5 times as long as with 8 at a time.
_FEW_COLUMNS = 8
_CACHE = 2 * 2**20


class RayMatrixMemoryWarning(RuntimeWarning):
    """The matrix of a ray transform is larger than the limit."""


class RayMatrixSettings(NamedTuple):
    """Settings that `configure_ray_matrices` returns."""

    memory_limit: float
    cache_folder: str | None


def _checked_limit(value, name):
    return real_number(f'{name}, in bytes,', value, 0, infinite=True)


def _limit_of_environment():
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return float(DEFAULT_MEMORY_LIMIT)
    name = f'the environment variable {LIMIT_VARIABLE}'
    try:
        limit = float(text)
    except ValueError as error:
        raise ValueError(
            f'{name} must be a number of bytes, got {text!r}'
        ) from error
    return _checked_limit(limit, name)


def ray_matrix_settings():
    """Return the settings in force, as a `RayMatrixSettings`."""
    folder = os.environ.get(CACHE_VARIABLE) or None
    return RayMatrixSettings(
        memory_limit=_limit_of_environment(),
        cache_folder=folder and os.path.abspath(os.path.expanduser(folder)),
    )


def configure_ray_matrices(
    memory_limit: float = _KEEP, cache_folder: PathLike | None = _KEEP
) -> RayMatrixSettings:
    """Set the memory limit and the caches of ``'astra_matrix'``.

    Arguments that are not given stay unchanged. Existing transforms keep
    their matrix.

    Parameters
    ----------
    memory_limit : float, optional
        Number of bytes that the matrix of one ray transform and its
        transpose may take together. A transform that needs more gives a
        `RayMatrixMemoryWarning` and projects on the fly. Initially 2 GiB;
        ``math.inf`` for no bound.
    cache_folder : path-like or None, optional
        Folder in which matrices are stored for other processes and later
        runs, created when it is first needed. ``None``, the initial value,
        for no folder.

    Returns
    -------
    settings : RayMatrixSettings
        The settings now in force: ``memory_limit`` and ``cache_folder``.

    Raises
    ------
    ValueError
        If the limit is negative.
    TypeError
        If the limit is no number, or the folder no path.

    Notes
    -----
    The settings are kept in the environment variables
    ``ODL_EQUIVARIANT_MEMORY_LIMIT`` and ``ODL_EQUIVARIANT_CACHE``, so that
    they can also be set outside of Python, and processes started later, such
    as the workers of a data loader, inherit them.

    The memory is checked before the matrix is built, by building up to eight
    of the views, spread evenly over all of them. For views at equal steps on
    a full or half circle this estimate is accurate to 3 %. If a matrix exceeds
    the limit while it is built, it is discarded. Building needs no more memory
    than the matrix, its transpose and a single view.

    Nothing deletes the files in the folder; each can be deleted at any time.

    Examples
    --------
    >>> before = configure_ray_matrices()
    >>> configure_ray_matrices(memory_limit=2**32).memory_limit
    4294967296.0
    >>> configure_ray_matrices(*before) == before
    True
    """
    # all checks before any change
    if memory_limit is not _KEEP:
        memory_limit = _checked_limit(memory_limit, '`memory_limit`')
    if cache_folder is not _KEEP and cache_folder is not None:
        cache_folder = os.path.abspath(
            os.path.expanduser(os.fsdecode(cache_folder))
        )
    if memory_limit is not _KEEP:
        os.environ[LIMIT_VARIABLE] = repr(memory_limit)
    if cache_folder is None:
        os.environ.pop(CACHE_VARIABLE, None)
    elif cache_folder is not _KEEP:
        os.environ[CACHE_VARIABLE] = str(cache_folder)
    return ray_matrix_settings()


def matrix_bytes(nonzeros, shape, itemsize):
    """Return the size of a matrix and its transpose with int32 indices."""
    return 2 * nonzeros * (itemsize + 4) + 4 * (shape[0] + shape[1] + 2)


def _csr_tensor(matrix):
    with quiet('Sparse CSR tensor support is in beta'):
        return torch.sparse_csr_tensor(
            # other integers than int32 would be converted in each product
            torch.from_numpy(matrix.indptr.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.indices.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        )


class RayMatrix:
    """A projector's matrix and its transpose, for batches of images.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix
        Matrix of shape ``(range size, domain size)``, float32 or float64.
        Its arrays are used without a copy and must not be changed.

    Attributes
    ----------
    matrix, transposed : torch.Tensor
        The two matrices in the sparse CSR format.
    """

    def __init__(self, matrix):
        self.matrix = _csr_tensor(matrix)
        self.transposed = _csr_tensor(matrix.T.tocsr())
        self._copies = {}

    @property
    def dtype(self):
        """Real dtype of the products."""
        return self.matrix.dtype

    @property
    def device(self):
        """Device on which the matrix lies."""
        return self.matrix.device

    @property
    def nbytes(self):
        """Size of the matrix and its transpose in bytes."""
        return matrix_bytes(
            self.matrix.values().numel(),
            self.matrix.shape,
            self.dtype.itemsize,
        )

    def to(self, device):
        """Return the matrix on a device, where it is kept from then on.

        Parameters
        ----------
        device : torch.device or str
            Device of the products.

        Returns
        -------
        ray_matrix : RayMatrix
            The same matrix on this device.
        """
        # 'cuda' is 'cuda:0' or another one
        device = torch.empty(0, device=device).device
        if device == self.device:
            return self
        with _LOCK:
            if device not in self._copies:
                copy = RayMatrix.__new__(RayMatrix)
                copy.matrix = self.matrix.to(device)
                copy.transposed = self.transposed.to(device)
                copy._copies = {}
                self._copies[device] = copy
            return self._copies[device]

    def forward(self, x, shape):
        """Project a batch of images.

        Parameters
        ----------
        x : torch.Tensor
            Tensor of shape ``(..., n, m)`` on any device, of the precision
            of the matrix, real or complex.
        shape : tuple of int
            Shape of the data of one image.

        Returns
        -------
        y : torch.Tensor
            Tensor of shape ``(..., *shape)``. With more than one image the
            data of one do not lie next to each other in memory.

        Raises
        ------
        TypeError
            If ``x`` has another precision than the matrix.
        """
        return _product(self.to(x.device).matrix, x, shape)

    def transpose(self, y, shape):
        """Apply the transposed matrix to a batch of data.

        The counterpart of `forward`; ``shape`` is that of one image.
        """
        return _product(self.to(y.device).transposed, y, shape)


def _by_columns(matrix, columns):
    """Return a product, of as many columns at once as stay in the cache."""
    size = columns.shape[0] * columns.element_size()
    at_once = max(_FEW_COLUMNS, _CACHE // size)
    if columns.device.type != 'cpu' or columns.shape[1] <= at_once:
        return matrix @ columns.contiguous()
    parts = [
        matrix @ part.contiguous() for part in columns.split(at_once, dim=1)
    ]
    return torch.cat(parts, 1)


def _product(matrix, x, shape):
    """Apply a sparse matrix to each image of a batch."""
    if x.dtype not in (matrix.dtype, matrix.dtype.to_complex()):
        raise TypeError(
            f'expected a tensor of dtype {matrix.dtype} or '
            f'{matrix.dtype.to_complex()}, got {x.dtype}'
        )
    check_not_exported('the ray transform', 'its matrix is sparse')
    batch = x.shape[: x.ndim - 2]
    if x.numel() == 0:
        return x.new_zeros(*batch, *shape)
    images = x.reshape(-1, matrix.shape[1])
    # a ray transform that is called as an operator may be within autocast
    with torch.autocast(x.device.type, enabled=False):
        if x.is_complex():
            # The two parts lie side by side, like the columns of a matrix.
            parts = torch.view_as_real(images.resolve_conj())
            columns = parts.movedim(0, 1).reshape(matrix.shape[1], -1)
            result = _by_columns(matrix, columns).unflatten(1, (-1, 2))
            result = torch.view_as_complex(result).T
        elif len(images) == 1:
            result = matrix @ images[0]
        else:
            result = _by_columns(matrix, images.T).T
    return result.reshape(*batch, *shape)
