# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of sizes, positions and directions in DICOM files."""

import copy

import numpy as np
import pytest

from odl_equivariant.data import DicomSlices

pydicom = pytest.importorskip('pydicom')

SIDES = [0.8, 0.6, 0, 0, 0, -1]
CORNER = [5.0, -7.0, 90.0]


def _write_series(folder, write, heights, **options):
    """Write parallel images, and what the first ones have otherwise."""
    normal = np.cross(SIDES[:3], SIDES[3:])
    for k, height in enumerate(heights):
        attributes = {
            'RescaleIntercept': 0,
            'InstanceNumber': k,
            'PixelSpacing': [1.5, 0.75],
            'ImageOrientationPatient': SIDES,
            'ImagePositionPatient': list(np.add(CORNER, height * normal)),
        }
        for name, values in options.items():
            if k < len(values):
                attributes[name] = values[k]
        pixels = np.full((5, 8), k, 'int16')
        write(folder / f'{k}.dcm', pixels, **attributes)


@pytest.mark.filterwarnings('ignore:.*not square')
def test_points_are_those_of_the_standard(tmp_path, write_dicom):
    """Column c and row r lie at corner + c b row + r a column."""
    _write_series(tmp_path, write_dicom, [0])
    geometry = DicomSlices(tmp_path).geometry(0)
    assert geometry.shape == (8, 5) and geometry.spacing == (0.75, 1.5)
    for column, row in ((0, 0), (7, 0), (3, 4)):
        expected = np.add(CORNER, 0.75 * column * np.array(SIDES[:3]))
        expected = expected + 1.5 * row * np.array(SIDES[3:])
        # the last row is at the bottom, and axis 1 points upwards
        assert np.allclose(geometry.point(column, 4 - row), expected)


def test_disc_of_oblong_pixels_is_round(tmp_path, write_dicom):
    """A disc of 2 x 1 mm pixels is round by `shape` and by `spacing`."""
    y, x = np.mgrid[:96, :48] - np.array([47.5, 23.5])[:, None, None]
    disc = (2 * x) ** 2 + y**2 < 32**2
    write_dicom(
        tmp_path / 'a.dcm',
        np.where(disc, 40, -1000).astype('int16'),
        RescaleIntercept=0,
        PixelSpacing=[1, 2],
    )
    for options in ({'shape': (48, 48)}, {'spacing': 2}, {'spacing': 1}):
        image = DicomSlices(tmp_path, **options)[0] > -480
        width, height = image.any(axis=1).sum(), image.any(axis=0).sum()
        assert width == height
        side = DicomSlices(tmp_path, **options).geometry(0).spacing[0]
        assert abs(width * side - 64) <= 2 * side
    with pytest.warns(UserWarning, match=r'1 of 1 .* a\.dcm with 2 x 1 mm'):
        assert DicomSlices(tmp_path)[0].shape == (48, 96)


def test_frames_have_nested_geometry(tmp_path, write_dicom):
    """Files with several frames state sizes and positions in sequences."""
    path = tmp_path / 'a.dcm'
    write_dicom(path, np.ones((3, 4, 6), 'int16'), RescaleIntercept=0)
    dataset = pydicom.dcmread(path)
    measures, orientation = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = [2, 2]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(3):
        place, frame = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 4 * k]
        frame.PlanePositionSequence = [copy.deepcopy(place)]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.save_as(path, enforce_file_format=True)
    volume = DicomSlices(tmp_path).volume()
    assert volume.spacing == (2, 2, 4)
    assert volume.position == (0, 6, 0)


@pytest.mark.parametrize(
    ('value', 'said'),
    [
        (None, 'it has no PixelSpacing'),
        ([0, 0], r'must be two positive numbers .* is \[0(.0)?, 0(.0)?\]'),
        ([-1, 1], 'must be two positive numbers'),
        ([1, 1, 1], 'must be two positive numbers'),
        ('', 'it has no PixelSpacing'),
    ],
)
def test_wrong_spacing_is_named(tmp_path, write_dicom, value, said):
    """Without a valid spacing a file is read, but not resampled."""
    attributes = {} if value is None else {'PixelSpacing': value}
    pixels = np.ones((4, 4), 'int16')
    write_dicom(tmp_path / 'good.dcm', pixels, PixelSpacing=[1, 1])
    write_dicom(tmp_path / 'bad.dcm', pixels, **attributes)
    slices = DicomSlices(tmp_path)
    assert slices[0].shape == (4, 4) and slices.geometry(0) is None
    message = rf'1 of 2 images .*`spacing`.* bad\.dcm: .*{said}'
    with pytest.raises(ValueError, match=message):
        DicomSlices(tmp_path, spacing=1)


def test_spacing_of_the_detector_is_none_of_the_body(tmp_path, write_dicom):
    """A radiograph has the spacing of its detector only."""
    pixels = np.ones((4, 4), 'int16')
    write_dicom(tmp_path / 'a.dcm', pixels, ImagerPixelSpacing=[1, 1])
    with pytest.raises(ValueError, match='ImagerPixelSpacing .* detector'):
        DicomSlices(tmp_path, spacing=1)


def test_volume_of_a_series(tmp_path, write_dicom):
    """A series is a volume, in the order and direction of its slices."""
    _write_series(tmp_path, write_dicom, [0, 5, 10])
    volume = DicomSlices(tmp_path, spacing=0.75).volume()
    assert volume.values.shape == (8, 10, 3)
    assert np.allclose(volume.spacing, [0.75, 0.75, 5])
    assert np.allclose(volume.directions[2], np.cross(SIDES[:3], SIDES[3:]))
    assert np.allclose(volume.values.mean(axis=(0, 1)), [0, 1, 2])
    assert volume.names == ('0.dcm', '1.dcm', '2.dcm')


def test_volume_of_shuffled_slices(tmp_path, write_dicom):
    """Slices in random order, as `split` gives them, are the same volume."""
    _write_series(tmp_path, write_dicom, [0, 5, 10, 15])
    slices = DicomSlices(tmp_path, spacing=0.75)
    shuffled = slices.subset([2, 0, 3, 1]).volume()
    volume = slices.volume()
    assert np.array_equal(shuffled.values, volume.values)
    assert np.array_equal(shuffled.affine, volume.affine)


@pytest.mark.parametrize(
    ('heights', 'options', 'said'),
    [
        ([0, 5, 10, 20, 25], {}, r'2\.dcm and 3\.dcm .* 10 mm.* 5 mm'),
        ([0, 5, 5, 10], {}, 'there are 0 mm'),
        ([0, 5], {'PixelSpacing': [[1, 1]]}, 'PixelSpacing'),
        (
            [0, 5],
            {'ImageOrientationPatient': [[1, 0, 0, 0, 1, 0]]},
            'ImageOrientationPatient',
        ),
        ([0, 5], {'ImagePositionPatient': [[1, 0]]}, 'ImagePositionPatient'),
        (
            [0, 5],
            {'ImageOrientationPatient': [[1, 0, 0, 1, 0, 0]]},
            'ImageOrientationPatient',
        ),
        ([0, 5], {'PixelSpacing': [[1, 0]]}, r'0\.dcm.*PixelSpacing'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*not square')
def test_series_that_is_no_volume(
    tmp_path, write_dicom, heights, options, said
):
    """Gaps, other spacings and directions are named with their field."""
    _write_series(tmp_path, write_dicom, heights, **options)
    slices = DicomSlices(tmp_path)
    assert len(slices) == len(heights)
    with pytest.raises(ValueError, match=said):
        slices.volume()


def test_one_spacing_for_different_files(tmp_path, write_dicom):
    """Files of different pixels have the same ones after resampling."""
    for k, side in enumerate((0.5, 0.7, 1.0)):
        n = round(40 / side)
        write_dicom(
            tmp_path / f'{k}.dcm',
            np.full((n, n), 7, 'int16'),
            RescaleIntercept=0,
            PixelSpacing=[side, side],
            InstanceNumber=k,
        )
    slices = DicomSlices(tmp_path, spacing=0.8)
    for i, image in enumerate(slices):
        assert np.allclose(slices.geometry(i).spacing, 0.8)
        assert image.shape == (50, 50) and np.allclose(image, 7)


def test_volumes_have_short_names(tmp_path, write_dicom):
    """A series is named by its folder, if it is alone there."""
    pixels = np.ones((4, 4), 'int16')
    for name, series in (
        ('a/0.dcm', '1.1'),
        ('a/1.dcm', '1.1'),
        ('b/0.dcm', '1.2'),
        ('b/1.dcm', '1.3'),
        ('c/0.dcm', ''),
    ):
        write_dicom(tmp_path / name, pixels, SeriesInstanceUID=series)
    slices = DicomSlices(tmp_path)
    found = dict(zip(slices.names, slices.volumes, strict=True))
    assert found == {
        'a/0.dcm': 'a',
        'a/1.dcm': 'a',
        'b/0.dcm': '1.2',
        'b/1.dcm': '1.3',
        'c/0.dcm': 'c',
    }


def test_images_of_one_type(tmp_path, write_dicom):
    """Only images whose ImageType has all values; localisers never."""
    pixels = np.ones((4, 4), 'int16')
    for name, kind in (
        ('axial', ['ORIGINAL', 'PRIMARY', 'AXIAL']),
        ('derived', ['DERIVED', 'SECONDARY', 'AXIAL']),
        ('scout', ['ORIGINAL', 'PRIMARY', 'LOCALIZER']),
        ('none', None),
    ):
        attributes = {} if kind is None else {'ImageType': kind}
        write_dicom(tmp_path / f'{name}.dcm', pixels, **attributes)

    def names(image_type):
        return DicomSlices(tmp_path, image_type=image_type).names

    assert names(None) == ['axial.dcm', 'derived.dcm', 'none.dcm']
    assert names(['original', 'Axial']) == ['axial.dcm']
    assert names('AXIAL') == ['axial.dcm', 'derived.dcm']
    with pytest.raises(ValueError, match=r"LOCALIZER.*'SECONDARY'"):
        names('LOCALIZER')
    with pytest.raises(TypeError, match='`image_type`'):
        names([1])
