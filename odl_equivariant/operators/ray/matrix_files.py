# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of ray transforms' matrices, shared by processes and runs."""

import hashlib
import json
import os
import pathlib
import time

import numpy as np
import safetensors

from odl_equivariant._files import digest, write_atomically
from odl_equivariant._warnings import warn_user
from odl_equivariant.operators.ray.matrix_building import MatrixTooLarge

__all__ = ('MatrixKey', 'load_matrix', 'save_matrix')

_FORMAT = 'odl_equivariant ray matrix'
# 1 had the symmetry of quarter turns alone
_VERSION = '2'
_SUFFIX = '.safetensors'
_TEMPORARY = '.tmp'
_ARRAYS = ('data', 'indices', 'indptr')
_DTYPES = {'float32': 'F32', 'float64': 'F64', 'int32': 'I32'}
_STEM = 'ray_matrix_'
_DAY = 24 * 3600.0


class MatrixKey:
    """All that a matrix depends on, and the name of its file.

    Parameters
    ----------
    rays : RayGeometry
        Grid, rays and projector.
    dtype : numpy.dtype
        Dtype of the weights.
    """

    def __init__(self, rays, dtype):
        self.text = json.dumps(
            {
                'geometry': rays.digest,
                'projector': rays.projector,
                'dtype': np.dtype(dtype).name,
            }
        )
        self.dtype = np.dtype(dtype)
        self.shape = (
            rays.data_shape[0] * rays.data_shape[1],
            rays.image_shape[0] * rays.image_shape[1],
        )
        name = hashlib.sha256(self.text.encode()).hexdigest()[:32]
        self.file_name = f'{_STEM}{name}{_SUFFIX}'

    def __eq__(self, other):
        return isinstance(other, MatrixKey) and self.text == other.text

    def __hash__(self):
        return hash(self.text)

    def metadata(self, checksum):
        """Return the metadata of a file."""
        import astra

        return {
            'format': _FORMAT,
            'version': _VERSION,
            'astra': astra.__version__,
            'key': self.text,
            'shape': json.dumps(self.shape),
            'checksum': checksum,
        }


class _Unusable(Exception):
    """A file is damaged, or holds another matrix."""


def _checksum(arrays):
    return digest(arrays, hashlib.sha256())


def _parts(arrays, metadata):
    """Return the parts of a safetensors file, without copies of the arrays."""
    # `safetensors` copies the arrays in `save`. Its `save_file` writes files
    # that only their owner may read, and if the process is killed, it leaves a
    # file with a random name.
    header, end = {'__metadata__': metadata}, 0
    for name, array in zip(_ARRAYS, arrays, strict=True):
        start, end = end, end + array.nbytes
        header[name] = {
            'dtype': _DTYPES[array.dtype.name],
            'shape': list(array.shape),
            'data_offsets': [start, end],
        }
    text = json.dumps(header).encode()
    # the arrays begin at a multiple of eight bytes
    text += b' ' * (-len(text) % 8)
    length = len(text).to_bytes(8, 'little')
    return [length, text, *(array.view(np.uint8) for array in arrays)]


def _checked_header(file, key):
    """Check a header; return the checksum and the number of entries."""
    found = file.metadata() or {}
    expected = key.metadata(found.get('checksum'))
    for name, value in expected.items():
        if found.get(name) != value:
            raise _Unusable(
                f'its {name} is {found.get(name)!r} instead of {value!r}'
            )
    shapes = {n: file.get_slice(n).get_shape() for n in file.keys()}  # noqa: SIM118
    count = shapes.get('data', [])
    if len(count) != 1 or shapes != {
        'data': count,
        'indices': count,
        'indptr': [key.shape[0] + 1],
    }:
        raise _Unusable(f'it has arrays of the shapes {shapes}')
    return found['checksum'], count[0]


def _check_arrays(data, indices, indptr, key):
    """Raise an error unless the arrays are a matrix of this kind."""
    dtypes = [str(array.dtype) for array in (data, indices, indptr)]
    if dtypes != [key.dtype.name, 'int32', 'int32']:
        raise _Unusable(f'it has arrays of the dtypes {dtypes}')
    ends = indptr[0], indptr[-1]
    if ends != (0, len(data)) or np.any(np.diff(indptr) < 0):
        raise _Unusable('its rows do not follow each other')
    if len(data) == 0:
        return
    if indices.min() < 0 or indices.max() >= key.shape[1]:
        raise _Unusable('it has entries outside of the matrix')
    # cheaper than a mask of all entries, and as strict for finite sums
    if not np.isfinite(data.min()) or not np.isfinite(data.max()):
        raise _Unusable('it has entries that are not finite')


def load_matrix(folder, key, max_nonzeros):
    """Return a matrix from a folder.

    Parameters
    ----------
    folder : str
        Folder of the files.
    key : MatrixKey
        What the matrix depends on.
    max_nonzeros : float
        Largest number of entries of a matrix that is read.

    Returns
    -------
    matrix : scipy.sparse.csr_matrix or None
        The checked matrix, or ``None`` if there is none. There is a
        `RuntimeWarning` if the file is damaged or of another version.

    Raises
    ------
    MatrixTooLarge
        If the matrix has more entries.
    """
    from scipy import sparse

    path = pathlib.Path(folder, key.file_name)
    try:
        with safetensors.safe_open(path, 'pt') as file:
            checksum, nonzeros = _checked_header(file, key)
            if nonzeros > max_nonzeros:
                raise MatrixTooLarge(nonzeros)
            arrays = [file.get_tensor(name).numpy() for name in _ARRAYS]
        if _checksum(arrays) != checksum:
            raise _Unusable('its checksum is wrong')
        _check_arrays(*arrays, key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, safetensors.SafetensorError, _Unusable) as error:
        warn_user(
            f'the file {path} cannot be used, {error}; the matrix is built '
            'anew',
            RuntimeWarning,
        )
        return None
    return sparse.csr_matrix(tuple(arrays), shape=key.shape)


def _remove_stale(folder):
    """Remove unfinished files of processes that have ended."""
    # earlier versions wrote without the dot
    for begin in (f'.{_STEM}', _STEM):
        for path in pathlib.Path(folder).glob(f'{begin}*{_TEMPORARY}'):
            try:
                if time.time() - path.stat().st_mtime > _DAY:
                    path.unlink()
            except OSError:
                # another process was faster, or the file is not ours
                continue


def save_matrix(folder, key, matrix):
    """Write a matrix to a folder, for `load_matrix`.

    Other processes see the complete file or none. If it cannot be written,
    there is a `RuntimeWarning` and no file.

    Parameters
    ----------
    folder : str
        Folder of the files. It is created if it is missing.
    key : MatrixKey
        What the matrix depends on.
    matrix : scipy.sparse.csr_matrix
        The matrix, with int32 indices.
    """
    arrays = [getattr(matrix, name) for name in _ARRAYS]
    path = pathlib.Path(folder, key.file_name)
    try:
        os.makedirs(folder, exist_ok=True)
        _remove_stale(folder)
        metadata = key.metadata(_checksum(arrays))
        write_atomically(path, _parts(arrays, metadata))
    except OSError as error:
        warn_user(
            f'the matrix of a ray transform cannot be kept as {path}: '
            f'{error}; make room, or choose another folder by '
            '`configure_ray_matrices(cache_folder=...)`',
            RuntimeWarning,
        )
