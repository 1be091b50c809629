# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The order of the images of a DICOM series."""

import itertools
import math

import numpy as np

from odl_equivariant.data.slices.dicom.planes import corner_and_sides

__all__ = ('in_order', 'place', 'volumes_of')

# Positions are equal if they agree to this many digits of a millimetre.
DIGITS = 4
# Slices are parallel if their normals differ by less.
PARALLEL = 1e-2


def place(dataset, frame):
    """Return the position of an image along its normal, and the normal.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int
        Number of the image in the file.

    Returns
    -------
    place : list of 4 floats or None
        In millimetres. The normal is the vector product of the directions
        of rows and columns. ``None`` if the file does not state them.
    """
    corner, sides = corner_and_sides(dataset, frame)
    if corner is None or sides is None:
        return None
    normal = np.cross(*np.reshape(sides, (2, 3)))
    values = [float(np.dot(corner, normal)), *map(float, normal)]
    if not all(map(math.isfinite, values)):
        return None
    return [round(value, DIGITS) for value in values]


def in_order(items):
    """Sort images by patient and series, and the images of each series.

    The slices of a volume are sorted by position: in the direction of
    increasing image numbers, or along the normal if there are no numbers.
    Images are sorted by number if some images of the series have no position,
    the same position (as in a series over time), or different directions.

    Parameters
    ----------
    items : list of (str, dict)
        Name of the file, and index entry of the image.

    Returns
    -------
    items : list of (str, dict)
        The same images, sorted.
    """
    items = sorted(items, key=_key)
    ordered = []
    for _, series in itertools.groupby(items, key=lambda i: _key(i)[:4]):
        series = list(series)
        ordered += _along_normal(series) or series
    return ordered


def volumes_of(items):
    """Return a name for the series of each image.

    Parameters
    ----------
    items : list of (str, dict)
        Name of the file, and index entry of the image.

    Returns
    -------
    volumes : list of str
        The folder, if it holds this series only and the whole of it.
        Otherwise the SeriesInstanceUID, or the folder if there is none. The
        name of the stack of a file with several volumes follows.
    """
    folders, series = {}, {}
    pairs = [
        (name.rpartition('/')[0] or '.', (entry['patient'], entry['series']))
        for name, entry in items
    ]
    for folder, key in pairs:
        folders.setdefault(key, set()).add(folder)
        series.setdefault(folder, set()).add(key)
    names = [
        folder
        if not key[1] or len(folders[key]) == len(series[folder]) == 1
        else key[1]
        for folder, key in pairs
    ]
    return [
        '#'.join(filter(None, [name, entry.get('stack')]))
        for name, (_, entry) in zip(names, items, strict=True)
    ]


def _key(item):
    name, entry = item
    number = entry['instance']
    return (
        entry['patient'],
        entry['series'],
        # files without the name of a series are sorted by folder
        '' if entry['series'] else name.rpartition('/')[0],
        entry.get('stack', ''),
        math.inf if number is None else number,
        entry['place'][0] if entry['place'] else -math.inf,
        name,
        entry.get('frame', 0),
    )


def _along_normal(series):
    """Sort a volume by position. Return None if it is not a volume."""
    places = [entry['place'] for _, entry in series]
    if not all(places):
        return None
    if np.ptp(np.array(places)[:, 1:], axis=0).max() > PARALLEL:
        return None
    positions = [p[0] for p in places]
    if len(set(positions)) < len(positions):
        return None
    numbers = [(e['instance'], e.get('frame', 0)) for _, e in series]
    direction = 1
    numbered = all(number is not None for number, _ in numbers)
    if numbered and len(set(numbers)) == len(numbers):
        ranks = np.arange(len(series)) - (len(series) - 1) / 2
        direction = 1 if ranks @ positions >= 0 else -1
    return sorted(series, key=lambda item: direction * item[1]['place'][0])
