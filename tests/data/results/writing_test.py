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
import torch

from odl_equivariant.data import (
    DicomSlices,
    NiftiSlices,
    SparseViewCT,
    provenance,
    write_result,
)
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


@pytest.mark.parametrize('ending', ['.nii', '.dcm'])
def test_nodes_on_the_border(tmp_path, ending):
    """The place of a cell is that of its node, also on the border."""
    space = odl.uniform_discr([0, 1], [4, 4], (5, 4), nodes_on_bdry=True)
    written = write_result(tmp_path / f'image{ending}', space.one())
    assert np.allclose(written['spacing'], (1, 1))
    assert np.allclose(written['origin'], (0, 1))


def test_cells_of_several_sizes(tmp_path):
    """A grid that is not uniform is an error, not a wrong file."""
    partition = odl.nonuniform_partition([0, 1, 3], [0, 2, 3])
    space = odl.DiscretizedSpace(partition, odl.rn(partition.shape))
    with pytest.raises(ValueError, match='several sizes'):
        write_result(tmp_path / 'image.nii', space.one())


@pytest.mark.parametrize(
    ('dtype', 'kept'), [('f2', 'f4'), ('g', 'f8'), ('G', 'c16')]
)
def test_precisions_that_nifti_has_not(tmp_path, dtype, kept):
    """Half and extended precision are written in the closest one."""
    image = (RNG.normal(size=(4, 5)) + 0j).astype('c16')
    image = image.astype(dtype) if kept == 'c16' else image.real.astype(dtype)
    write_result(tmp_path / 'image.nii', image, spacing=1)
    back = np.asarray(nibabel.load(tmp_path / 'image.nii').dataobj)
    assert back.dtype == kept and np.array_equal(back[..., 0], image)


def test_bfloat16(tmp_path):
    """A tensor of bfloat16 keeps its values."""
    image = torch.arange(20).reshape(5, 4).bfloat16()
    write_result(tmp_path / 'image.npy', image)
    back = np.load(tmp_path / 'image.npy', allow_pickle=False)
    assert np.array_equal(back, np.arange(20).reshape(5, 4))


def test_lengths_in_metres_are_said(tmp_path):
    """Cells of a micrometre are no millimetres by default."""
    image = SparseViewCT((64, 64), n_views=4).space.one()
    with pytest.warns(UserWarning, match="length_unit='m'"):
        write_result(tmp_path / 'image.nii', image)
    written = write_result(tmp_path / 'image.nii', image, length_unit='m')
    assert written['spacing'][0] > 1
    write_result(tmp_path / 'image.nii', image, length_unit='mm')


def test_image_too_large_for_dicom(tmp_path):
    """More rows than 65535 are an error that names the file."""
    with pytest.raises(ValueError, match=r'long\.dcm.*65535'):
        write_result(tmp_path / 'long.dcm', np.ones((70000, 2)), spacing=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings('ignore:.* not square:UserWarning')
@pytest.mark.parametrize('seed', range(3))
def test_marker_is_where_readers_find_it(tmp_path, seed):
    """A bright cell lies at one place for nibabel, pydicom and readers."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(6), rng.integers(5)
    image = np.zeros((6, 5), 'f4')
    image[i, j] = 1
    element = SPACE.element(image)
    x, y = (float(SPACE.grid.coord_vectors[k][n]) for k, n in ((0, i), (1, j)))
    for ending in ('.nii.gz', '.dcm'):
        (tmp_path / ending[1:]).mkdir()
        write_result(tmp_path / ending[1:] / f'image{ending}', element)
    back = nibabel.load(tmp_path / 'nii.gz' / 'image.nii.gz')
    index = np.argwhere(np.asarray(back.dataobj) == 1)[0]
    assert np.allclose((back.affine @ [*index, 1])[:2], (x, y))
    back = pydicom.dcmread(tmp_path / 'dcm' / 'image.dcm')
    row, column = np.argwhere(back.pixel_array == back.pixel_array.max())[0]
    right, down = np.reshape(back.ImageOrientationPatient, (2, 3)).astype(
        float
    )
    step = np.array(back.PixelSpacing, float)
    place = np.array(back.ImagePositionPatient, float)
    place += column * step[1] * right + row * step[0] * down
    # from left and back to right and front
    assert np.allclose(-place[:2], (x, y))
    for slices in (
        DicomSlices(tmp_path / 'dcm', progress=False),
        NiftiSlices(tmp_path / 'nii.gz', progress=False),
    ):
        found = np.argwhere(slices[0] == slices[0].max())[0]
        place = slices.geometry(0).point(*found)
        assert np.allclose(np.negative(place[:2]), (x, y), atol=1e-6)
