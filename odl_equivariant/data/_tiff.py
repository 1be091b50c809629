# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The numbers of TIFF files, as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ('decode_in_native_order', 'kind_of_integers', 'stored_values')

# Tags of TIFF, and a value: bits of a number, what it is, and with a sign.
_BITS, _FORMAT, _SIGNED = 258, 339, 2
# What pillow calls numbers in an order of bytes, and in that of the machine.
_NATIVE = {
    'I;16S': 'I;16NS',
    'I;16BS': 'I;16NS',
    'I;32S': 'I;32NS',
    'I;32BS': 'I;32NS',
    'F;32F': 'F;32NF',
    'F;32BF': 'F;32NF',
}
# The same for numbers of 8 bits and less that pillow inverts, 0 being white.
_UNCHANGED = {
    f'L;{bits}I{order}': (f'L;{bits}{order}').rstrip(';')
    for bits in ('', '2', '4')
    for order in ('', 'R')
}


def decode_in_native_order(file: Any) -> None:
    """Make pillow read the compressed numbers of an open file right.

    Parameters
    ----------
    file : PIL.Image.Image
        Open file, at the page that is to be read, which is not read yet.

    Notes
    -----
    What is compressed is decoded by libtiff, into the order of bytes of the
    machine. Of integers with a sign and of floating-point numbers, pillow
    takes the result for one in the order of the file.
    """
    _replace(file, _NATIVE, ('libtiff',))


def stored_values(file: Any) -> np.ndarray:
    """Return the numbers of a grey picture in an open file.

    Parameters
    ----------
    file : PIL.Image.Image
        Open file, at the page that is to be read, which is not read yet.

    Returns
    -------
    values : numpy.ndarray
        Array of shape ``(rows, columns)``. Unlike those of pillow, numbers
        of 8 bits keep their sign, those of 32 bits without one do not get
        one, and none is inverted where 0 is white.
    """
    decode_in_native_order(file)
    _replace(file, _UNCHANGED, ('libtiff', 'raw'))
    values = np.array(file)
    n_bits, is_signed = kind_of_integers(file)
    if values.dtype == np.uint8 and n_bits == 8 and is_signed:
        return values.view(np.int8)
    if values.dtype == np.int32 and n_bits == 32 and not is_signed:
        return values.view(np.uint32)
    return values


def kind_of_integers(file: Any) -> tuple[int, bool]:
    """Return the bits of an integer of a TIFF file, and whether it is signed.

    Of other files, 0 bits.
    """
    tags = getattr(file, 'tag_v2', {})
    bits, kinds = tags.get(_BITS, (0,)), tags.get(_FORMAT, (1,))
    return int(bits[0]), kinds[0] == _SIGNED


def _replace(file, names, decoders):
    """Give other names to what the parts of a file hold, for its decoder."""
    parts = []
    for part in file.tile:
        if part.codec_name in decoders and isinstance(part.args, tuple):
            name, *others = part.args
            part = part._replace(args=(names.get(name, name), *others))
        parts.append(part)
    file.tile = parts
