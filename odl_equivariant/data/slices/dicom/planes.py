# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Where the images of a DICOM file lie, and how large their pixels are."""

import math

import numpy as np

from odl_equivariant._warnings import quiet
from odl_equivariant.data.slices.dicom.files import nested
from odl_equivariant.data.slices.geometry import SliceGeometry

__all__ = ('corner_and_sides', 'located', 'plane')

# Unit vectors have this length, and a right angle, up to so much.
EXACT = 1e-2


def _found(dataset, frame, sequence, keyword):
    """Return an attribute of an image, which enhanced files nest."""
    item = nested(dataset, frame, sequence)
    if item is not None and keyword in item:
        return item.get(keyword)
    return dataset.get(keyword)


def plane(dataset, frame):
    """Return size, position and directions of the pixels of an image.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int
        Number of the image in the file.

    Returns
    -------
    plane : dict
        ``'pixel'``, the distances of columns and of rows in millimetres, or
        ``None``; then ``'fault'`` says why. ``'corner'`` and ``'sides'``, the
        centre of the upper left pixel and the directions of rows and
        columns, or ``None``.
    """
    with quiet():
        pixel, fault = _pixel(dataset, frame)
    corner, sides = corner_and_sides(dataset, frame)
    if sides is not None and not _is_frame(sides):
        sides = None
    return {'pixel': pixel, 'fault': fault, 'corner': corner, 'sides': sides}


def corner_and_sides(dataset, frame):
    """Return where an image of a file lies, as the file states it.

    Returns
    -------
    corner : list of 3 floats or None
        Centre of the upper left pixel, in millimetres. ``None`` if it is
        missing, or not finite.
    sides : list of 6 floats or None
        Directions of rows and of columns, not checked any further.
    """
    with quiet():
        corner, sides = (
            _numbers(dataset, frame, f'{kind}Sequence', keyword, n)
            for kind, keyword, n in (
                ('PlanePosition', 'ImagePositionPatient', 3),
                ('PlaneOrientation', 'ImageOrientationPatient', 6),
            )
        )
        offsets = dataset.get('GridFrameOffsetVector')
        if offsets is not None and corner is not None and sides is not None:
            # frames of doses, of which the file places the first one
            corner = _shifted(corner, sides, offsets, frame)
        return corner, sides


def _shifted(corner, sides, offsets, frame):
    """Return where a frame lies along the normal, or None."""
    try:
        along = float(offsets[frame])
        first = float(offsets[0])
    except (IndexError, TypeError, ValueError):
        return None
    normal = np.cross(*np.reshape(sides, (2, 3)))
    if first:
        # these are heights of frames, and not distances from the first one
        along -= float(np.dot(corner, normal))
    return np.add(corner, along * normal).tolist()


def located(plane, size):
    """Return the geometry of an image, of which axis 1 points upwards.

    Parameters
    ----------
    plane : dict
        See `plane`. The size of the pixels is known.
    size : list of 2 ints
        Numbers of columns and rows.

    Returns
    -------
    geometry : SliceGeometry
    """
    shape, pixel = tuple(size), tuple(plane['pixel'])
    if plane['corner'] is None or plane['sides'] is None:
        return SliceGeometry(shape, pixel)
    right, down = np.reshape(plane['sides'], (2, 3))
    lowest = np.add(plane['corner'], (shape[1] - 1) * pixel[1] * down)
    return SliceGeometry(
        shape,
        pixel,
        tuple(lowest.tolist()),
        (tuple(right.tolist()), tuple((-down).tolist())),
    )


def _pixel(dataset, frame):
    """Return distances of columns and rows, or why they are not known."""
    place = 'PixelMeasuresSequence', 'PixelSpacing'
    try:
        value = _found(dataset, frame, *place)
    except (TypeError, ValueError) as error:
        return None, f'its PixelSpacing cannot be read: {error}'
    if value is None or value == '':
        other = ''
        if 'ImagerPixelSpacing' in dataset:
            other = (
                '; its ImagerPixelSpacing is that of the detector, not of '
                'the body'
            )
        return None, f'it has no PixelSpacing{other}'
    numbers = _numbers(dataset, frame, *place, 2)
    if numbers is None or min(numbers) <= 0:
        return None, (
            'its PixelSpacing must be two positive numbers of millimetres, '
            f'and is {value}'
        )
    # The distance of rows comes first.
    return numbers[::-1], None


def _numbers(dataset, frame, sequence, keyword, n):
    """Return an attribute as finite numbers, or None."""
    try:
        values = [float(x) for x in _found(dataset, frame, sequence, keyword)]
    except (TypeError, ValueError, OverflowError):
        return None
    return (
        values
        if len(values) == n and all(map(math.isfinite, values))
        else None
    )


def _is_frame(sides):
    """Return whether two directions are perpendicular unit vectors."""
    sides = np.reshape(sides, (2, 3))
    return np.allclose(sides @ sides.T, np.eye(2), rtol=0, atol=EXACT)
