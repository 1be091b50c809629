# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Slices from trees of DICOM files."""

from __future__ import annotations

import re
from typing import Literal

from odl_equivariant._checks import one_of
from odl_equivariant._packages import import_package
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant._warnings import quiet
from odl_equivariant.data._checks import grid
from odl_equivariant.data.slices.dicom.files import (
    check_image,
    image_types,
    number_of_frames,
    read_dataset,
    text,
)
from odl_equivariant.data.slices.dicom.order import (
    in_order,
    place,
    volumes_of,
)
from odl_equivariant.data.slices.dicom.pixels import (
    check_rescaling,
    oriented,
    read_frame,
    read_image,
    why_not_hounsfield,
)
from odl_equivariant.data.slices.dicom.planes import located, plane
from odl_equivariant.data.slices.dicom.stacks import (
    check_groups,
    frame_types,
    stacks,
)
from odl_equivariant.data.slices.folders import FolderSlices
from odl_equivariant.data.slices.index import FolderIndex
from odl_equivariant.data.slices.values import AIR_HU, Values

__all__ = ('DicomSlices',)

GROUPINGS = ('patient', 'study', 'series', 'folder')


class DicomSlices(FolderSlices):
    """The images of all DICOM files in a folder, and in the folders below it.

    Values are in the unit of the modality, such as Hounsfield units: the
    rescale slope and intercept of each file, or its table, are applied. If
    the file shows the least value as white (MONOCHROME1), values are mirrored
    in the middle of the range that can be stored, so that larger values are
    brighter. Pixels are oriented as the image is shown: axis 0 to the
    viewer's right, axis 1 upwards. Compressed files, files with several
    frames, and files without preamble or transfer syntax are read too. Colour
    images and localisers are skipped. Padding pixels (PixelPaddingValue)
    become air: -1000 HU, or the least measured value if values are not in
    Hounsfield units.

    Slices are sorted by patient and series. The slices of a volume are sorted
    by their positions along its normal (ImagePositionPatient), in the
    direction of increasing numbers (InstanceNumber), if they have any. If
    positions are missing or occur twice, as in a series over time, slices are
    sorted by their numbers.

    The frames of a file are slices. Those of enhanced CT and MR have sizes,
    positions, directions, types and rescaling of their own
    (PerFrameFunctionalGroupsSequence), and count for more than what the file
    says in general. If they are several volumes, such as times or echoes,
    each is one of ``volumes``, if DimensionIndexValues, StackID or
    TemporalPositionIndex tell them apart.

    The size, the position and the directions of pixels are those of
    PixelSpacing, ImagePositionPatient and ImageOrientationPatient, see
    ``geometry``. Pixels stay as they are unless ``spacing`` or ``shape`` is
    given; if they are not square, a warning says so.

    A file is skipped if its rescaling is zero or not finite, or if it has
    fewer or more pixels than its header says.

    Parameters
    ----------
    folder : path-like
        Folder, or a single file. Files may have any name.
    modality : str, optional
        Only images of this modality, like ``'CT'`` or ``'MR'``.
    series : str, optional
        Only images whose series description matches this regular
        expression. The case of letters is ignored.
    size : tuple of 2 ints, optional
        Only images of these numbers of columns and rows.
    group_by : {'patient', 'study', 'series', 'folder'}, optional
        Images with the same patient, study or series, or in the same folder,
        make up a group. Files without a patient's name are grouped by study,
        and files without a study by folder. Choose ``'folder'`` if all
        patients have the same name.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled, see `Slices`.
    cache : path-like, optional
        Folder for the index, so that each file is read only once. Default:
        a hidden file in ``folder``. If that is not writable, a file in
        ``$ODL_EQUIVARIANT_CACHE`` or in the user's cache folder.
    progress : bool, optional
        Whether a bar shows the progress of looking at the files.
    image_type : str or list of str, optional
        Only images whose ImageType has all of these values, such as
        ``['ORIGINAL', 'PRIMARY', 'AXIAL']``. The case of letters is ignored.
    spacing : float or tuple of 2 floats, optional
        Size of the pixels, in millimetres, to which images are resampled, see
        `Slices`. Only within slices: their distance stays as it is.
    unit : {'HU', '1/m', 'relative'}, optional
        Only for computed tomography: Hounsfield units, linear attenuation in
        1 / metre, or as a fraction of 81.35858 / metre, which is the unit of
        `SparseViewCT`, see `sample_ct_slice`. Values below -1100 HU, outside
        of the scanner's field of view, become air, and attenuation is at
        least 0; it is not bounded from above. Default: values of the file.
    scale : {'max', 'percentile'} or float, optional
        For images whose unit means nothing, such as magnetic resonance:
        ``'max'`` divides by the largest magnitude of the series,
        ``'percentile'`` by the 99th percentile of its magnitudes, which a few
        bright pixels do not change. All images of a series have one factor,
        for which the series is read once. A number is the factor itself.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``, followed by ``#`` and the
        number of the frame, from 0, if the file has several frames.
    groups : list of str
        Patient of each image.
    volumes : list of str
        The series of each image: the folder, if the series alone is in it,
        and otherwise the SeriesInstanceUID. ``#`` and the dimensions of an
        enhanced file follow, if it has several volumes, such as
        ``#TemporalPositionIndex=2``.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no image of this kind; if images have no valid PixelSpacing
        and ``spacing`` is given; if they are no Hounsfield units and ``unit``
        is given. The message names the file and the attribute. On access, if
        a file is damaged.
    ImportError
        If pydicom is not installed.

    Examples
    --------
    >>> import shutil, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shutil.copy(get_testdata_file('CT_small.dcm'), folder)
    ...     slices = DicomSlices(folder, modality='CT')
    ...     slices.names, slices.groups, slices[0].shape
    (['CT_small.dcm'], ['1CT1'], (128, 128))
    """

    # Name of the index: its entries depend on the class.
    _kind = 'dicom'

    def __init__(
        self,
        folder: PathLike,
        modality: str | None = None,
        series: str | None = None,
        size: ImageShape | None = None,
        group_by: Literal['patient', 'study', 'series', 'folder'] = 'patient',
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        image_type: str | list[str] | None = None,
        spacing: Spacing | None = None,
        unit: Literal['HU', '1/m', 'relative'] | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
    ) -> None:
        import_package('pydicom', 'reading DICOM files')
        one_of('group_by', group_by, GROUPINGS)
        values = Values(unit, scale)
        kinds = _kinds(image_type)
        shape, size = grid(shape), grid(size, 'size')
        pattern = re.compile(series or '', re.I)
        index = FolderIndex(
            folder,
            self._kind,
            self._describe,
            cache=cache,
            progress=progress,
        )
        items = [
            item
            for item in index.entries
            if (modality is None or item[1]['modality'] == modality)
            and pattern.search(item[1]['description'])
            and (size is None or tuple(item[1]['size']) == size)
            and kinds <= set(item[1]['type'])
        ]
        if not items:
            asked = (
                '' if image_type is None else f'image_type={image_type!r}, '
            )
            raise ValueError(
                f'none of the {len(index.entries)} images in {index.root} '
                f'has modality={modality!r}, series={series!r}, {asked}'
                f'size={size!r}; there are '
                + _variety((e for _, e in index.entries), bool(kinds))
            )
        items = self._selected(items, index)
        items = in_order(items)
        if unit is not None:
            _check_hounsfield(items, index, unit)
        super().__init__(
            index,
            items,
            [_name(*item) for item in items],
            [_group(name, entry, group_by) for name, entry in items],
            shape,
            spacing,
            volumes_of(items),
            values,
        )

    @classmethod
    def _describe(cls, path):
        """Return an index entry for each frame of a file."""
        with quiet():
            return cls._entries(read_dataset(path))

    @classmethod
    def _entries(cls, dataset):
        """Return the index entries of a dataset that was read."""
        check_image(dataset)
        check_rescaling(dataset)
        n = number_of_frames(dataset)
        check_groups(dataset, n)
        places = [place(dataset, frame) for frame in range(n)]
        names = stacks(dataset, places)
        common = {
            'modality': text(dataset, 'Modality'),
            'description': text(dataset, 'SeriesDescription'),
            'patient': text(dataset, 'PatientID'),
            'study': text(dataset, 'StudyInstanceUID'),
            'series': text(dataset, 'SeriesInstanceUID'),
            'instance': _number(text(dataset, 'InstanceNumber')),
            'size': [int(dataset.Columns), int(dataset.Rows)],
            'type': image_types(dataset),
        }
        # The last frame is missing in a truncated file.
        last = read_frame(dataset, n - 1, background=cls._background)
        entries = []
        for frame in range(n):
            pixels = last
            if frame < n - 1 and cls._measure is not None:
                pixels = read_frame(dataset, frame, background=cls._background)
            entry = {
                **common,
                'place': places[frame],
                'plane': plane(dataset, frame),
                'other_unit': why_not_hounsfield(dataset, frame),
            }
            if n > 1:
                entry['frame'] = frame
                entry['stack'] = names[frame]
                entry['type'] = frame_types(dataset, frame) or entry['type']
            if cls._measure is not None:
                entry.update(cls._measure(pixels))
            entries.append(entry)
        return entries

    # Maps the pixels of an image to further items of its entry.
    _measure = None

    # Value of padding, see `read_frame`.
    _background: float | None = None

    def _selected(self, items, index):
        """Return the images that the set contains."""
        return items

    def _read(self, path, name, entry):
        frame = entry.get('frame')
        return oriented(read_image(path, frame, self._background))

    def _pixel(self, entry):
        return entry['plane']['pixel']

    def _fault(self, entry):
        return entry['plane']['fault']

    def _located(self, entry):
        return located(entry['plane'], entry['size'])

    def _fill(self, place, image):
        values, (_, entry) = self._values, self._items[place]
        if values.unit is values.scale is entry['other_unit'] is None:
            return AIR_HU
        return super()._fill(place, image)


def _kinds(image_type):
    """Return the values that ImageType must have."""
    if image_type is None:
        return set()
    kinds = [image_type] if isinstance(image_type, str) else image_type
    if not all(isinstance(kind, str) for kind in kinds):
        raise TypeError(
            '`image_type` must be values of ImageType, such as '
            f"['ORIGINAL', 'PRIMARY', 'AXIAL'], got {image_type!r}"
        )
    return {kind.strip().upper() for kind in kinds}


def _check_hounsfield(items, index, unit):
    """Raise a ValueError for the first image without Hounsfield units."""
    others = [
        (name, entry['other_unit'])
        for name, entry in items
        if entry['other_unit'] is not None
    ]
    if others:
        name, reason = others[0]
        raise ValueError(
            f'{len(others)} of {len(items)} images are not in Hounsfield '
            f'units, as `unit={unit!r}` needs, first {index.path(name)}: '
            f"{reason}; choose images by `modality='CT'` and `series`, or "
            'take `scale` instead of `unit`'
        )


def _number(value):
    try:
        return int(value)
    except ValueError:
        return None


def _name(name, entry):
    return f'{name}#{entry["frame"]}' if 'frame' in entry else name


def _group(name, entry, group_by):
    folder = name.rpartition('/')[0] or '.'
    if group_by == 'folder':
        return folder
    if group_by == 'patient':
        return entry['patient'] or entry['study'] or folder
    return entry[group_by] or folder


def _variety(entries, with_types):
    """Describe the kinds of images in words."""
    kinds = {
        (
            e['modality'],
            e['description'],
            tuple(e['type']) if with_types else (),
            tuple(e['size']),
        )
        for e in entries
    }
    shown = [
        f'modality={modality!r}, series={series!r}, '
        + (f'image_type={list(types)}, ' if with_types else '')
        + f'size={size}'
        for modality, series, types, size in sorted(kinds)[:5]
    ]
    return '; '.join(shown) + (
        f'; and {len(kinds) - 5} more kinds' if len(kinds) > 5 else ''
    )
