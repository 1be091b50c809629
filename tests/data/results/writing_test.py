# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of writing results, by reading them back."""

import hashlib
import json

import nibabel
import numpy as np
import odl
import pydicom
import pytest

from odl_equivariant.data import provenance, write_result
from odl_equivariant.data.results.writing import ENDINGS

RNG = np.random.default_rng(0)
SPACE = odl.uniform_discr([0, -1], [3, 4], (6, 5), dtype='float32')
IMAGE = RNG.normal(size=(6, 5)).astype('f4')


@pytest.mark.parametrize('dtype', ['f4', 'f8', 'c8', 'c16', 'i2', '>f4'])
@pytest.mark.parametrize('shape', [(6, 5), (4, 5, 3)])
def test_npy_values(tmp_path, dtype, shape):
    """An array is read back with the same values."""
    image = (100 * RNG.normal(size=shape)).astype(dtype)
    write_result(tmp_path / 'image.npy', image)
    back = np.load(tmp_path / 'image.npy', allow_pickle=False)
    assert back.dtype == image.dtype and np.array_equal(back, image)


@pytest.mark.parametrize('ending', ['.nii', '.nii.gz'])
@pytest.mark.parametrize('dtype', ['f4', 'f8', 'c8', '>f4'])
def test_nifti_values(tmp_path, ending, dtype):
    """NIfTI is read back with the same values."""
    image = RNG.normal(size=(4, 5, 3)).astype(dtype)
    write_result(tmp_path / f'image{ending}', image, spacing=(1, 2, 3))
    back = nibabel.load(tmp_path / f'image{ending}')
    assert np.array_equal(np.asarray(back.dataobj), image)
    assert np.allclose(back.header.get_zooms(), (1, 2, 3))


@pytest.mark.parametrize(('unit', 'factor'), [('mm', 1), ('m', 1e3)])
def test_nifti_place(tmp_path, unit, factor):
    """NIfTI says in millimetres where each cell of the space is."""
    path = tmp_path / 'image.nii'
    write_result(path, SPACE.element(IMAGE), length_unit=unit)
    back = nibabel.load(path)
    for index in [(0, 0), (5, 4), (2, 1)]:
        place = (back.affine @ [*index, 0, 1])[:2]
        expected = [SPACE.grid.coord_vectors[i][index[i]] for i in (0, 1)]
        assert np.allclose(place, factor * np.array(expected))


def test_nifti_has_provenance(tmp_path):
    """The header of NIfTI says how the image was made."""
    path = tmp_path / 'image.nii'
    write_result(path, IMAGE, 0.5, provenance={'method': 'TV'})
    (text,) = nibabel.load(path).header.extensions
    assert json.loads(text.get_content())['method'] == 'TV'


@pytest.mark.parametrize('scale', [1e-6, 1, 1e6])
@pytest.mark.parametrize('offset', [0, -1024, 3e-3])
def test_dicom_values(tmp_path, scale, offset):
    """DICOM is read back to half a step of 16 bits, as it says."""
    image = scale * RNG.normal(size=(6, 5)) + offset
    path = tmp_path / 'image.dcm'
    written = write_result(path, image, spacing=0.5, unit='HU')
    data = pydicom.dcmread(path)
    values = data.pixel_array * float(data.RescaleSlope)
    back = np.rot90(values + float(data.RescaleIntercept), -1)
    error = np.abs(back - image).max()
    assert np.isclose(error, written['largest_error'])
    # a slope and an intercept have 16 characters
    assert error <= 0.501 * np.ptp(image) / 65535 + 1e-10 * abs(offset)
    assert data.RescaleType == 'HU'


def test_dicom_constant(tmp_path):
    """A constant image is read back, too."""
    write_result(tmp_path / 'image.dcm', np.full((3, 4), 7.5), spacing=1)
    data = pydicom.dcmread(tmp_path / 'image.dcm')
    slope, intercept = float(data.RescaleSlope), float(data.RescaleIntercept)
    assert np.array_equal(
        data.pixel_array * slope + intercept, np.full((4, 3), 7.5)
    )


def test_dicom_place_is_that_of_nifti(tmp_path):
    """DICOM and NIfTI say the same place for each cell."""
    image = SPACE.element(IMAGE)
    write_result(tmp_path / 'image.dcm', image)
    write_result(tmp_path / 'image.nii', image)
    data = pydicom.dcmread(tmp_path / 'image.dcm')
    affine = nibabel.load(tmp_path / 'image.nii').affine
    between_rows, between_columns = map(float, data.PixelSpacing)
    right, down = np.reshape(data.ImageOrientationPatient, (2, 3))
    corner = np.array(data.ImagePositionPatient, dtype=float)
    for i, j in [(0, 0), (5, 0), (3, 4)]:
        row, column = 4 - j, i
        place = (
            corner
            + column * between_columns * right.astype(float)
            + row * between_rows * down.astype(float)
        )
        # from left and back to right and front
        assert np.allclose(
            place * [-1, -1, 1], (affine @ [i, j, 0, 1])[:3], atol=1e-6
        )


@pytest.mark.parametrize('ending', ENDINGS)
def test_provenance_beside(tmp_path, ending):
    """JSON beside a result has hashes, versions, unit and command."""
    weights = tmp_path / 'w.safetensors'
    weights.write_bytes(b'weights')
    made = provenance(weights=weights, method='network')
    write_result(
        tmp_path / f'image{ending}', IMAGE, 0.5, unit='1/mm', provenance=made
    )
    text = (tmp_path / 'image.provenance.json').read_text()
    content = json.loads(text)
    expected = hashlib.sha256(b'weights').hexdigest()
    assert content['weights'] == {
        'name': 'w.safetensors',
        'sha256': expected,
    }
    assert content['unit'] == '1/mm' and content['method'] == 'network'
    assert content['spacing'] == [0.5, 0.5]
    assert {'odl', 'torch', 'odl_equivariant'} <= set(content['versions'])
    assert content['command']


@pytest.mark.parametrize(
    ('name', 'image', 'spacing', 'message'),
    [
        ('image.png', IMAGE, 1, r"image.png: .*'.png'"),
        ('image.nii', IMAGE, None, 'image.nii: .*spacing'),
        ('image.nii', IMAGE, (1, 2, 3), r'2 numbers, got \(1, 2, 3\)'),
        ('image.nii', IMAGE, 0, 'spacing. must be .*got 0'),
        ('image.dcm', np.ones((2, 3, 4)), 1, 'image.dcm: .*3 axes'),
        ('image.dcm', np.ones((2, 3), 'c8'), 1, 'image.dcm: .*complex64'),
        ('image.npy', np.full((2, 3), np.nan), 1, 'image.npy: 6 of 6'),
        ('image.npy', np.ones(3), 1, r'image.npy: .*\(3,\)'),
    ],
)
def test_write_wrong(tmp_path, name, image, spacing, message):
    """An error names the file, and nothing is written."""
    with pytest.raises(ValueError, match=message):
        write_result(tmp_path / name, image, spacing)
    assert not list(tmp_path.iterdir())


def test_write_without_folder(tmp_path):
    """A missing folder is an error, and equal images have equal files."""
    with pytest.raises(FileNotFoundError, match='no folder'):
        write_result(tmp_path / 'no' / 'image.npy', IMAGE)
    for name in ('a', 'b'):
        write_result(tmp_path / f'{name}.nii.gz', IMAGE, 1)
    a, b = ((tmp_path / f'{n}.nii.gz').read_bytes() for n in 'ab')
    assert a == b
