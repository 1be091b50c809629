# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files ``.npy``: written item by item, and read whatever they hold."""

import io
import math

import numpy as np

__all__ = ('ArrayLayout', 'read_array')

# First bytes of a file of one array.
_NUMPY = b'\x93NUMPY'


class ArrayLayout:
    """Where the items of an array lie in its file.

    Items are written with ordinary files, and not through
    `numpy.lib.format.open_memmap`: on a full disk, writing to a mapped file
    kills the process, and writing to a file raises an OSError.

    Parameters
    ----------
    shape : tuple of int
        Shape of the whole array.
    dtype : numpy.dtype
        Its dtype.
    n_axes : int
        Number of axes of an item, the last ones of the array.

    Attributes
    ----------
    header : bytes
        How the file begins.
    item_bytes : int
        Number of bytes of an item.
    """

    def __init__(self, shape, dtype, n_axes):
        self.dtype = np.dtype(dtype)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header,
            {
                'descr': np.lib.format.dtype_to_descr(self.dtype),
                'fortran_order': False,
                'shape': tuple(shape),
            },
        )
        self.header = header.getvalue()
        item = shape[len(shape) - n_axes :]
        self.item_bytes = self.dtype.itemsize * math.prod(item)

    def position(self, index):
        """Return the position of an item in the file, in bytes."""
        return len(self.header) + index * self.item_bytes

    def begins(self, file):
        """Return whether a binary file begins with the header."""
        file.seek(0)
        return file.read(len(self.header)) == self.header


def read_array(path, says='cannot be read', mapped=False):
    """Return the array in a file ``.npy``, without running what it holds.

    Parameters
    ----------
    path : pathlib.Path
        File.
    says : str, optional
        What the message says of a file that is damaged, after its name and
        before the reason.
    mapped : bool, optional
        Whether the array is mapped to memory, read-only, and read where it is
        used.

    Returns
    -------
    array : numpy.ndarray
        The array, of numbers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PermissionError
        If it may not be read.
    ValueError
        If it cannot be read, is damaged, or holds something else than one
        array of numbers.
    """
    try:
        array = np.load(
            path, mmap_mode='r' if mapped else None, allow_pickle=False
        )
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no file {path}') from None
    except PermissionError:
        # which may pass without a change of the file
        raise
    # a damaged header is parsed as Python, which shows at many places
    except Exception as error:
        raise ValueError(f'{path} {says}: {_reason(path, error)}') from error
    if not isinstance(array, np.ndarray):
        # of an archive, which stays open
        array.close()
        raise ValueError(
            f'{path} {says}: it holds several arrays, one is expected, as '
            '`numpy.save` writes it'
        )
    return array


def _reason(path, error):
    """Return why `numpy.load` failed.

    Of a file without NumPy's first bytes, NumPy says that it may be pickled,
    and advises to run what it holds.
    """
    try:
        with open(path, 'rb') as file:
            first = file.read(len(_NUMPY))
    except OSError:
        return str(error)
    if not first:
        return 'it is empty'
    if first != _NUMPY:
        return 'it does not begin as a file of NumPy does'
    if 'allow_pickle' in str(error):
        return 'it holds objects of Python, not numbers'
    if isinstance(error, OSError | ValueError | EOFError | MemoryError):
        return str(error)
    return f'its header is damaged, {type(error).__name__}: {error}'
