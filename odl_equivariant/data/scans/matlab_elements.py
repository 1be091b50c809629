# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Whether the elements of a MATLAB file fit each other.

SciPy trusts the lengths, types and shapes in a file, and a damaged one may end
the process. So they are compared first.
"""

from __future__ import annotations

import math
import pathlib
import struct
import zlib
from typing import NamedTuple

__all__ = ('check_elements',)

# Bytes before the first element, and where the order of bytes is written.
_HEADER, _ORDER = 128, slice(126, 128)
_ORDERS = {b'IM': '<', b'MI': '>'}
# Sizes of the types of numbers and letters, by their codes.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_SIZES |= {16: 1, 17: 2, 18: 4}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
# Classes of arrays.
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = range(1, 6)
_NUMBERS = range(6, 16)
_COMPLEX = 8
_MOST_LEVELS = 50


class _Element(NamedTuple):
    kind: int
    content: memoryview


def check_elements(path: pathlib.Path) -> None:
    """Raise an error unless the elements of a file fit each other.

    Parameters
    ----------
    path : pathlib.Path
        File of MATLAB, version 5 to 7. Files of version 4 are not checked.

    Raises
    ------
    ValueError
        If an element ends after the one that holds it, or has an unknown
        type, or another number of values than its shape.
    """
    data = memoryview(path.read_bytes())
    if 0 in bytes(data[:4]):
        # a small number, with which files of version 4 begin
        return
    order = _ORDERS.get(bytes(data[_ORDER]))
    if order is None:
        raise ValueError('its header does not say the order of bytes')
    for element in _elements(data[_HEADER:], order):
        if element.kind == _COMPRESSED:
            try:
                inside = memoryview(zlib.decompress(element.content))
            except zlib.error as error:
                raise ValueError(f'it is not compressed: {error}') from error
            (element,) = _elements(inside, order)
        if element.kind == _MATRIX:
            _check_array(element.content, order, 0)


def _elements(data, order):
    """Yield the elements of some bytes."""
    place = 0
    while place < len(data):
        if len(data) - place < 8:
            raise ValueError('it ends within an element')
        first, size = struct.unpack_from(f'{order}II', data, place)
        if first >> 16:
            # of at most four bytes, which follow the tag
            kind, size, start, step = first & 0xFFFF, first >> 16, 4, 8
            if size > 4:
                raise ValueError(f'a short element has {size} bytes')
        else:
            kind, start = first, 8
            step = 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        content = data[place + start : place + start + size]
        if len(content) < size:
            raise ValueError(
                f'an element has {len(content)} bytes, and states {size}'
            )
        if kind not in (_MATRIX, _COMPRESSED) and kind not in _SIZES:
            raise ValueError(f'an element is of the unknown type {kind}')
        yield _Element(kind, content)
        place += step


def _check_array(data, order, level):
    """Check an array, and what it holds."""
    if not len(data):
        return
    if level > _MOST_LEVELS:
        raise ValueError(f'arrays are nested in more than {level} levels')
    flags, *parts = _elements(data, order)
    if flags.kind != _UINT32 or len(flags.content) != 8:
        raise ValueError('an array has no flags')
    word = struct.unpack_from(f'{order}I', flags.content)[0]
    kind, is_complex = word & 0xFF, bool((word >> 8) & _COMPLEX)
    if kind not in range(_CELL, _NUMBERS.stop):
        return
    if len(parts) < 2 or parts[0].kind != _INT32 or parts[1].kind != _INT8:
        raise ValueError('an array has no shape or no name')
    n_axes = len(parts[0].content) // 4
    shape = struct.unpack_from(f'{order}{n_axes}i', parts[0].content)
    if n_axes < 2 or min(shape) < 0:
        raise ValueError(f'an array has the shape {shape}')
    n, parts = math.prod(shape), parts[2:]
    if kind in (_STRUCT, _OBJECT):
        n, parts = (
            n * _number_of_fields(parts[kind - 2 :], order),
            parts[kind:],
        )
    if kind in (_CELL, _STRUCT, _OBJECT):
        if len(parts) != n or any(part.kind != _MATRIX for part in parts):
            raise ValueError(f'an array has {len(parts)} members for {n}')
        for part in parts:
            _check_array(part.content, order, level + 1)
    elif kind in _NUMBERS:
        if len(parts) != 1 + is_complex:
            raise ValueError(f'an array has {len(parts)} parts')
        for part in parts:
            if len(part.content) != n * _SIZES.get(part.kind, -1):
                raise ValueError(
                    f'an array of the shape {shape} has '
                    f'{len(part.content)} bytes of the type {part.kind}'
                )
    elif len(parts) > (4 if kind == _SPARSE else 1) or any(
        part.kind not in _SIZES for part in parts
    ):
        raise ValueError('a text or a sparse array has other parts')


def _number_of_fields(parts, order):
    """Return how many fields a structure has."""
    if len(parts) < 2 or parts[0].kind != _INT32 or parts[1].kind != _INT8:
        raise ValueError('a structure has no names of its fields')
    if len(parts[0].content) != 4:
        raise ValueError('the length of the names of fields is no number')
    (length,) = struct.unpack(f'{order}i', parts[0].content)
    if length <= 0 or len(parts[1].content) % length:
        raise ValueError(f'the names of fields have the length {length}')
    return len(parts[1].content) // length
