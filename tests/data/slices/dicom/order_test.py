# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the order of the images of a DICOM series."""

import numpy as np
import pytest

from odl_equivariant.data import DicomSlices

pydicom = pytest.importorskip('pydicom')

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def _order(folder, write, numbers, positions, sides=AXIAL, extra=None):
    """Write a series, and return the places at which its images are read."""
    normal = np.cross(sides[:3], sides[3:])
    for k, (number, position) in enumerate(
        zip(numbers, positions, strict=True)
    ):
        attributes = {'InstanceNumber': number, 'SeriesInstanceUID': '1.2'}
        if position is not None:
            corner = position * normal + np.array(sides[:3]) * 7.5
            attributes |= {
                'ImagePositionPatient': [float(x) for x in corner],
                'ImageOrientationPatient': (extra or {}).get(k, sides),
            }
        pixels = np.full((4, 4), k, 'int16')
        # names that sort the other way round
        write(folder / f'{9 - k}.dcm', pixels, **attributes)
    return [int(image[0, 0]) for image in DicomSlices(folder)]


@pytest.mark.parametrize('sides', [AXIAL, SAGITTAL])
def test_positions_order_slices_without_numbers(tmp_path, write_dicom, sides):
    """Without numbers, slices go along their normal, whatever their names."""
    order = _order(
        tmp_path, write_dicom, [None] * 4, [5.0, -2.5, 0.0, 2.5], sides
    )
    assert order == [1, 2, 3, 0]


@pytest.mark.parametrize('sign', [1, -1])
def test_numbers_give_the_direction(tmp_path, write_dicom, sign):
    """A volume begins where its numbers do."""
    positions = [sign * z for z in (0.0, 1.0, 2.0, 3.0)]
    order = _order(tmp_path, write_dicom, [1, 2, 3, 4], positions)
    assert order == [0, 1, 2, 3]


def test_positions_are_right_where_numbers_are_not(tmp_path, write_dicom):
    """Neighbours in the body are neighbours in the set."""
    positions = [0.0, 2.0, 1.0, 3.0]
    order = _order(tmp_path / 'a', write_dicom, [1, 2, 3, 4], positions)
    assert order == [0, 2, 1, 3]
    order = _order(tmp_path / 'b', write_dicom, [1, 1, 1, 1], positions)
    assert order == [0, 2, 1, 3]


def test_numbers_order_what_is_no_volume(tmp_path, write_dicom):
    """If positions are missing or equal, or normals differ, numbers count."""
    numbers = [3, 1, 4, 2]
    by_number = [1, 3, 0, 2]
    order = _order(
        tmp_path / 'time', write_dicom, numbers, [0.0, 1.0, 1.0, 0.0]
    )
    assert order == by_number
    order = _order(
        tmp_path / 'gap', write_dicom, numbers, [0.0, 1.0, None, 2.0]
    )
    assert order == by_number
    order = _order(
        tmp_path / 'turned',
        write_dicom,
        numbers,
        [0.0, 1.0, 2.0, 3.0],
        extra={2: SAGITTAL},
    )
    assert order == by_number


def test_images_without_a_number_come_last(tmp_path, write_dicom):
    """Without some of the numbers, positions or the other numbers count."""
    order = _order(tmp_path / 'a', write_dicom, [2, None, 1], [None] * 3)
    assert order == [2, 0, 1]
    order = _order(
        tmp_path / 'b', write_dicom, [3, 2, 1, None], [0.0, 1.0, 2.0, -1.0]
    )
    assert order == [3, 0, 1, 2]


def test_number_zero_is_a_number(tmp_path, write_dicom):
    """A series that is numbered from 0 begins with 0."""
    order = _order(tmp_path, write_dicom, [0, 1, 2], [None] * 3)
    assert order == [0, 1, 2]


def test_positions_that_are_none(tmp_path, write_dicom):
    """Positions that are not valid are not used."""
    with pydicom.config.disable_value_validation():
        for k, corner in enumerate(([0, 0], ['nan', 'nan', 'nan'], [0, 0, 1])):
            write_dicom(
                tmp_path / str(k),
                np.full((4, 4), k, 'int16'),
                InstanceNumber=3 - k,
                ImagePositionPatient=corner,
                ImageOrientationPatient=AXIAL,
            )
    images = DicomSlices(tmp_path)
    assert [int(image[0, 0]) for image in images] == [2, 1, 0]


def test_frames_go_by_their_positions(tmp_path, write_dicom):
    """Enhanced files have a position for each frame."""

    def group(position):
        corner, sides = pydicom.Dataset(), pydicom.Dataset()
        corner.ImagePositionPatient = [0, 0, position]
        sides.ImageOrientationPatient = AXIAL
        frame = pydicom.Dataset()
        frame.PlanePositionSequence = [corner]
        frame.PlaneOrientationSequence = [sides]
        return frame

    write_dicom(
        tmp_path / 'a',
        np.arange(4, dtype='int16').repeat(16).reshape(4, 4, 4),
        PerFrameFunctionalGroupsSequence=[group(z) for z in (0, 2, 1, 3)],
    )
    slices = DicomSlices(tmp_path)
    assert slices.names == ['a#0', 'a#2', 'a#1', 'a#3']
    assert [int(image[0, 0]) for image in slices] == [0, 2, 1, 3]


def test_files_without_a_series_go_by_their_folder(tmp_path, write_dicom):
    """Without names of series, volumes of different folders are not mixed."""
    for k, (folder, position) in enumerate(
        [('a', 0.0), ('b', 0.5), ('a', 1.0), ('b', 1.5)]
    ):
        write_dicom(
            tmp_path / folder / f'{9 - k}',
            np.full((4, 4), k, 'int16'),
            SeriesInstanceUID='',
            InstanceNumber=None,
            ImagePositionPatient=[0.0, 0.0, position],
            ImageOrientationPatient=AXIAL,
        )
    images = DicomSlices(tmp_path)
    assert [int(image[0, 0]) for image in images] == [0, 2, 1, 3]
