# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files ``.npy`` that are written item by item."""

import io
import math

import numpy as np

__all__ = ('ArrayLayout',)


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
