# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which frames of an enhanced DICOM file make up a volume."""

import numpy as np

from odl_equivariant._warnings import quiet
from odl_equivariant.data.slices.dicom.files import own_groups, text
from odl_equivariant.data.slices.index import NoImage

__all__ = ('check_groups', 'frame_types', 'stacks')

# Dimensions along the normal of a volume.
ALONG = ('ImagePositionPatient', 'InStackPositionNumber', 'SliceLocation')
PARALLEL = 1e-2


def check_groups(dataset, n):
    """Raise `NoImage` unless each frame has its functional groups.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    n : int
        Number of its frames.

    Raises
    ------
    NoImage
        If there are groups for another number of frames.
    """
    groups = dataset.get('PerFrameFunctionalGroupsSequence')
    if groups is not None and len(groups) not in (0, n):
        raise NoImage(
            f'its PerFrameFunctionalGroupsSequence is for {len(groups)} '
            f'frames, and NumberOfFrames is {n}, so that nothing says which '
            'frame lies where'
        )


def frame_types(dataset, frame):
    """Return the values of FrameType of one frame, in capitals.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    frame : int
        Number of the image in the file.

    Returns
    -------
    types : list of str
        Empty if the file has none.
    """
    for group in own_groups(dataset, frame):
        for element in group:
            if element.keyword.endswith('ImageFrameTypeSequence'):
                values = (element.value or [{}])[0].get('FrameType') or ()
                values = [values] if isinstance(values, str) else values
                return [str(value).strip().upper() for value in values]
    return []


def stacks(dataset, places):
    """Return to which volume each frame of a file belongs.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Content of the file.
    places : list of (list of 4 floats or None)
        Position along the normal, and the normal, of each frame, see `place`.

    Returns
    -------
    names : list of str
        ``''`` for all frames if they make up one volume, or if nothing says
        to which they belong. Otherwise the dimensions that tell volumes
        apart, such as ``'TemporalPositionIndex=2'``.
    """
    n = len(places)
    if n < 2 or not all(places) or _is_volume(places):
        return [''] * n
    with quiet():
        found = [_dimensions(dataset, frame) for frame in range(n)]
    keywords = [
        keyword
        for keyword in dict.fromkeys(k for values in found for k in values)
        if len({values.get(keyword) for values in found}) > 1
    ]
    names = [
        ','.join(f'{keyword}={values.get(keyword)}' for keyword in keywords)
        for values in found
    ]
    for name in set(names):
        own = [
            p for p, other in zip(places, names, strict=True) if other == name
        ]
        if not _is_volume(own):
            return [''] * n
    return names


def _is_volume(places):
    """Return whether frames have one normal, and different positions."""
    array = np.array(places)
    return bool(
        np.ptp(array[:, 1:], axis=0).max() <= PARALLEL
        and len(set(array[:, 0])) == len(array)
    )


def _dimensions(dataset, frame):
    """Return the indices of a frame, but for that along the normal."""
    from pydicom.datadict import keyword_for_tag

    content = {}
    for group in own_groups(dataset, frame):
        content = (group.get('FrameContentSequence') or [{}])[0]
    pointers = [
        keyword_for_tag(item.get('DimensionIndexPointer') or 0)
        for item in dataset.get('DimensionIndexSequence') or []
    ]
    values = content.get('DimensionIndexValues')
    values = [] if values is None else np.atleast_1d(values).tolist()
    found = {}
    if len(values) == len(pointers):
        found = dict(zip(pointers, values, strict=True))
    for keyword in ('StackID', 'TemporalPositionIndex'):
        if content and keyword in content:
            found[keyword] = text(content, keyword)
    return {
        keyword: value
        for keyword, value in found.items()
        if keyword not in ALONG
    }
