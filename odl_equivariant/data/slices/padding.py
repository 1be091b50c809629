# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the columns of k-space that a scanner filled with zeros."""

import operator
import xml.etree.ElementTree

import numpy as np

from odl_equivariant.data.slices.hdf5 import own_dataset
from odl_equivariant.data.slices.index import NoImage

__all__ = ('has_all_columns', 'measured_columns')

ATTRIBUTES = ('padding_left', 'padding_right')
HEADER = 'ismrmrd_header'
_SPACE = '{http://www.ismrm.org/ISMRMRD}'


def measured_columns(file, kspace):
    r"""Return the range of columns of k-space that were measured.

    The attributes or the header of the file decide. Without them, columns of
    zeros at both ends count as not measured. A column with a nonzero value
    always counts as measured.

    Parameters
    ----------
    file : h5py.File
        Volume, in the format of fastMRI.
    kspace : numpy.ndarray
        One slice of the volume, with the columns along the last axis.

    Returns
    -------
    columns : list of 2 ints
        The first measured column, and the one after the last.

    Raises
    ------
    NoImage
        If the attributes are not a range of columns.

    Notes
    -----
    The header gives the size :math:`n` of the encoded space along the phase,
    and the centre :math:`c` and the maximum :math:`m` of the encoding step.
    Then :math:`m + 1` columns were measured, the first of them is
    :math:`\lfloor n / 2 \rfloor - c`. The code of fastMRI computes the same
    (Zbontar et al., arXiv:1811.08839).
    """
    n = kspace.shape[-1]
    there = np.flatnonzero(kspace.reshape(-1, n).any(axis=0))
    found = [int(there[0]), int(there[-1]) + 1] if len(there) else None
    said = _from_attributes(file, n) or _from_header(file, n)
    if said is None:
        return found or [0, n]
    if found is None:
        return said
    return [min(said[0], found[0]), max(said[1], found[1])]


def has_all_columns(file, columns):
    """Return whether the mask of a volume, if any, has these columns."""
    mask = _array(file, 'mask')
    if mask is None or mask.ndim != 1:
        return True
    return bool(mask[slice(*columns)].all())


def _from_attributes(file, n):
    values = [file.attrs.get(name) for name in ATTRIBUTES]
    if all(value is None for value in values):
        return None
    try:
        # some files have arrays of one number
        left, right = (
            default if value is None else operator.index(np.asarray(value)[()])
            for value, default in zip(values, (0, n), strict=True)
        )
    except TypeError:
        left, right = -1, -1
    if not 0 <= left < right <= n:
        raise NoImage(
            f'its attributes {ATTRIBUTES} are {tuple(values)}, which is no '
            f'range of its {n} columns'
        )
    return [left, right]


def _from_header(file, n):
    """Return the columns in the header, None if they do not fit k-space."""
    header = _array(file, HEADER)
    if header is None:
        return None
    try:
        root = xml.etree.ElementTree.fromstring(header[()])
    except (xml.etree.ElementTree.ParseError, TypeError, ValueError):
        return None
    limits = ('encodingLimits', 'kspace_encoding_step_1')
    size = _number(root, 'encodedSpace', 'matrixSize', 'y')
    center = _number(root, *limits, 'center')
    maximum = _number(root, *limits, 'maximum')
    if size != n or center is None or maximum is None:
        return None
    left = size // 2 - center
    right = left + maximum + 1
    return [left, right] if 0 <= left < right <= n else None


def _number(root, *names):
    path = '/'.join(_SPACE + name for name in ('encoding', *names))
    try:
        return int(root.findtext(path))
    except (TypeError, ValueError):
        return None


def _array(file, name):
    """Return a small dataset that lies in the file itself, or None."""
    try:
        dataset = own_dataset(file, name)
    except NoImage:
        return None
    return None if dataset is None else np.asarray(dataset[()])
