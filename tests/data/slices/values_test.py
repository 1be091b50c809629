# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of units and scales of images."""

import pickle

import numpy as np
import pytest

from odl_equivariant.data import (
    DicomSlices,
    ImageSlices,
    NiftiSlices,
    NumpySlices,
    sample_ct_slice,
)
from odl_equivariant.data.slices.values import Values
from odl_equivariant.data.units import MU_MAX, convert_attenuation

HU = [-1000.0, 0.0, 40.0, 3071.0]


@pytest.fixture
def nibabel():
    return pytest.importorskip('nibabel')


def _save(nibabel, path, values, shape=(5, 5, 7)):
    volume = np.resize(np.asarray(values), shape)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    return volume


@pytest.mark.parametrize('dtype', ['int16', 'float32', 'float64'])
@pytest.mark.parametrize(
    ('unit', 'expected'),
    [
        ('HU', HU),
        ('1/m', [0.02, 20, 20 + 0.04 * 19.98, 20 + 3.071 * 19.98]),
        (
            'relative',
            np.divide(
                [0.02, 20, 20 + 0.04 * 19.98, 20 + 3.071 * 19.98], MU_MAX
            ),
        ),
    ],
)
def test_hounsfield_units_become_attenuation(
    tmp_path, nibabel, write_dicom, unit, dtype, expected
):
    """Both readers give the attenuation of water, air and bone."""
    volume = _save(nibabel, tmp_path / 'a.nii', np.array(HU, dtype))
    slices = NiftiSlices(tmp_path / 'a.nii', unit=unit)
    order = {h: e for h, e in zip(HU, expected, strict=True)}
    wanted = np.vectorize(order.get)(volume[::-1, :, 2].astype(float))
    assert slices[2].dtype == 'float32'
    assert np.allclose(slices[2], wanted, rtol=1e-5)
    if dtype == 'int16':
        pixels = volume[:, ::-1, 2].T.astype('int16')
        write_dicom(tmp_path / 'a.dcm', pixels, RescaleIntercept=0)
        slices = DicomSlices(tmp_path / 'a.dcm', unit=unit)
        assert np.allclose(slices[0], wanted[::-1], rtol=1e-5)


@pytest.mark.parametrize('unit', ['HU', '1/m', 'relative'])
def test_unit_is_that_of_the_sample(tmp_path, unit):
    """The file of the sample slice, read in a unit, is the sample."""
    pydicom = pytest.importorskip('pydicom')
    folder = f'{pydicom.__path__[0]}/data/test_files'
    file = f'{folder}/J2K_pixelrep_mismatch.dcm'
    slices = DicomSlices(file, unit=unit, cache=tmp_path)
    assert np.allclose(slices[0], sample_ct_slice(unit).data, atol=1e-6)


def test_outside_of_the_field_is_air():
    """Values far below air are air, and no attenuation is negative."""
    image = np.array([[-3024.0, -1050.0, 3072.0]])
    air = convert_attenuation(-1000.0, 'HU', '1/m')
    assert Values('HU', None).in_unit(image).tolist() == [[-1000, -1050, 3072]]
    inside = Values('1/m', None).in_unit(image)[0]
    assert np.allclose(inside[:2], [air, 0])
    assert Values('relative', None).in_unit(image)[0, 2] > 1


@pytest.mark.parametrize(
    'values',
    [[0, 1, 800], [24, 1024, 2000], np.array([-5, 1j], 'complex64')],
)
def test_other_values_are_no_hounsfield_units(tmp_path, nibabel, values):
    """MR, PET and shifted CT in NIfTI are refused under a unit."""
    values = np.asarray(values)
    values = values if values.dtype.kind == 'c' else values.astype('int16')
    _save(nibabel, tmp_path / 'pet.nii', values)
    with pytest.raises(ValueError, match=r'pet\.nii has .*Hounsfield'):
        NiftiSlices(tmp_path, unit='relative')


@pytest.mark.parametrize(
    ('attributes', 'field'),
    [
        ({'Modality': 'PT', 'RescaleIntercept': 0}, 'Modality is PT'),
        ({'Modality': 'MR'}, 'Modality is MR'),
        ({}, 'no RescaleIntercept'),
        ({'RescaleIntercept': 0, 'RescaleType': 'US'}, 'RescaleType is US'),
        (
            {
                'RescaleIntercept': 0,
                'PhotometricInterpretation': 'MONOCHROME1',
            },
            'MONOCHROME1',
        ),
    ],
)
@pytest.mark.parametrize('unit', ['HU', '1/m', 'relative'])
def test_file_without_hounsfield_units_is_named(
    tmp_path, write_dicom, attributes, field, unit
):
    """The error names the file and the attribute that decides."""
    pixels = np.ones((4, 4), 'int16')
    write_dicom(tmp_path / 'good.dcm', pixels, RescaleIntercept=0)
    write_dicom(tmp_path / 'other.dcm', pixels, RescaleSlope=1, **attributes)
    message = rf'1 of 2 .*unit=.{unit}.*other\.dcm: .*{field}'
    with pytest.raises(ValueError, match=message):
        DicomSlices(tmp_path, unit=unit)
    assert len(DicomSlices(tmp_path)) == 2


@pytest.mark.parametrize('dtype', ['int16', 'float32', 'complex64'])
def test_scale_is_one_of_the_volume(tmp_path, nibabel, dtype):
    """The largest magnitude of a volume becomes 1, in all its slices."""
    rng = np.random.default_rng(0)
    volumes = {}
    for name, size in (('a.nii.gz', 100), ('b.nii', 3000)):
        values = size * rng.normal(size=(4, 5, 6, 2))
        volumes[name] = _save(
            nibabel, tmp_path / name, values.astype(dtype), values.shape
        )
    slices = NiftiSlices(tmp_path, convention='neurological', scale='max')
    slices = slices.subset([0, 13, 22])
    assert slices.volumes == ['a.nii.gz#0', 'b.nii#0', 'b.nii#1']
    for i, (name, k, t) in enumerate(
        [('a.nii.gz', 0, 0), ('b.nii', 1, 0), ('b.nii', 4, 1)]
    ):
        volume = volumes[name][..., t]
        expected = volume[:, :, k] / np.abs(volume).max()
        assert np.allclose(slices[i], expected, rtol=1e-5, atol=1e-7)
    again = pickle.loads(pickle.dumps(slices))
    assert np.array_equal(again[1], slices[1])


def test_scale_of_a_series(tmp_path, write_dicom):
    """All images of a series have one factor, other series another one."""
    pixels = np.arange(24, dtype='uint16').reshape(4, 6)
    for k in range(3):
        for series in (1, 2):
            write_dicom(
                tmp_path / f'{series}-{k}.dcm',
                pixels * series + k,
                Modality='MR',
                SeriesInstanceUID=f'1.{series}',
                InstanceNumber=k,
            )
    slices = DicomSlices(tmp_path, scale='max')
    assert [float(image.max()) for image in slices] == pytest.approx(
        [23 / 25, 24 / 25, 1, 46 / 48, 47 / 48, 1]
    )
    third = DicomSlices(tmp_path, scale=0.5)[2]
    assert third.max() == 12.5


def test_percentile_is_of_the_volume(tmp_path, nibabel):
    """A bright pixel does not change the scale by the percentile."""
    values = np.arange(1, 1001, dtype='float32').reshape(10, 10, 10)
    values[3, 3, 3] = 1e6
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / 'a.nii')
    slices = NiftiSlices(
        tmp_path, convention='neurological', scale='percentile'
    )
    size = np.percentile(values, 99)
    assert np.allclose(slices[4], values[..., 4] / size, rtol=1e-6)
    assert size < 1000


def test_blank_and_infinite_volumes(tmp_path, nibabel):
    """A volume of zeros stays so; one that is not finite is named."""
    _save(nibabel, tmp_path / 'blank.nii', np.zeros(4, 'float32'))
    assert not NiftiSlices(tmp_path, scale='max')[1].any()
    _save(nibabel, tmp_path / 'inf.nii', np.array([1, np.inf], 'float32'))
    slices = NiftiSlices(tmp_path / 'inf.nii', scale='max')
    with pytest.raises(ValueError, match=r'inf\.nii has values .* infinite'):
        slices[0]


@pytest.mark.parametrize(
    ('options', 'name'),
    [
        ({'unit': 'mm'}, 'unit'),
        ({'unit': 1}, 'unit'),
        ({'scale': 'mean'}, 'scale'),
        ({'scale': 0}, 'scale'),
        ({'scale': np.nan}, 'scale'),
        ({'scale': True}, 'scale'),
        ({'unit': 'HU', 'scale': 2.0}, 'unit` or `scale'),
    ],
)
def test_wrong_units_and_scales_are_refused(tmp_path, nibabel, options, name):
    """The error names the option."""
    _save(nibabel, tmp_path / 'a.nii', np.array(HU))
    with pytest.raises((TypeError, ValueError), match=f'`{name}`'):
        NiftiSlices(tmp_path, **options)


@pytest.mark.parametrize(
    ('unit', 'beside'), [(None, -1000), ('HU', -1000), ('1/m', 0.02)]
)
def test_beside_a_ct_image_is_air(tmp_path, write_dicom, unit, beside):
    """Where a grid is larger than the image, there is air."""
    write_dicom(
        tmp_path / 'a.dcm',
        np.full((8, 8), 40, 'int16'),
        RescaleIntercept=0,
        PixelSpacing=[1, 1],
    )
    slices = DicomSlices(tmp_path, spacing=1, shape=(12, 10), unit=unit)
    image = slices[0]
    assert image.shape == (12, 10)
    assert np.allclose(image[[0, -1]], beside)
    assert (image[2:10, 1:9] > beside).all()


def test_least_whole_number_has_a_magnitude(nibabel, tmp_path):
    """The magnitude of -32768, which is no int16, becomes 1."""
    volume = np.zeros((3, 4, 5), 'int16')
    volume[1, 2] = -32768
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, scale='max', progress=False)
    assert slices[0].min() == -1


def test_values_below_air_are_no_hounsfield_units(nibabel, tmp_path):
    """An image of which nothing is left is an error that names the file."""
    volume = np.full((3, 4, 5), -3000.0)
    volume[0] = -4000
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, unit='relative', progress=False)
    with pytest.raises(ValueError, match=r'a\.nii.*-3000'):
        slices[0]


@pytest.mark.parametrize('dtype', ['int16', 'float32', 'float64'])
def test_arrays_have_the_unit_that_is_asked_for(tmp_path, dtype):
    """Arrays of Hounsfield units become attenuation."""
    np.save(tmp_path / 'a.npy', np.resize(np.array(HU, dtype), (3, 4, 5)))
    one, other = (
        NumpySlices(tmp_path, progress=False, unit=unit)
        for unit in ('1/m', 'relative')
    )
    wanted = convert_attenuation(np.resize(HU, (3, 4, 5))[2], 'HU', '1/m')
    assert np.allclose(one[2], wanted, rtol=1e-5)
    assert np.allclose(one[2], MU_MAX * other[2], rtol=1e-5)
    image = np.resize(HU, (4, 4))
    for factor in (1e-3, 0.02):
        # in 1/m or relative to it, with the noise of air
        np.save(tmp_path / 'b.npy', factor * (image + 900))
        with pytest.raises(ValueError, match=r'b\.npy has .* water is 0'):
            NumpySlices(tmp_path, progress=False, unit='1/m')
    # a slice of air alone, or of what is outside of the field of view
    for value in (-1000, -1024):
        air = np.full((4, 4), value, dtype)
        np.save(tmp_path / 'b.npy', air)
        NumpySlices(tmp_path, progress=False, unit='1/m')
    positive = np.ones((4, 4), dtype)
    np.save(tmp_path / 'b.npy', positive)
    with pytest.raises(ValueError, match='b.npy has values from 1 to 1'):
        NumpySlices(tmp_path, progress=False, unit='HU')
    with pytest.raises(ValueError, match='give `unit` or `scale`'):
        NumpySlices(tmp_path, progress=False, unit='HU', scale='max')


def test_arrays_and_pictures_are_scaled(tmp_path):
    """All images of a file have one factor, and a number is the factor."""
    from PIL import Image

    stack = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / 'a.npy', stack)
    slices = NumpySlices(tmp_path, progress=False, scale='max')
    assert np.allclose(slices[0], stack[0] / 23)
    slices = NumpySlices(tmp_path, progress=False, scale=0.5)
    assert np.allclose(slices.subset([1])[0], stack[1] / 2)
    Image.fromarray(np.full((3, 4), 51, 'uint8')).save(tmp_path / 'a.png')
    assert np.allclose(
        ImageSlices(tmp_path, progress=False, scale='max')[0], 1
    )


@pytest.mark.parametrize('kind', ['array', 'picture'])
def test_a_disc_has_its_size(tmp_path, kind):
    """In pixels of 2 x 1 mm, a disc becomes round, with its area."""
    from PIL import Image

    x, y = 2 * np.arange(32) - 31, np.arange(64) - 31.5
    disc = (np.hypot(x[:, None], y) < 20).astype('float32')
    if kind == 'array':
        np.save(tmp_path / 'a.npy', disc[None])
        reader = NumpySlices
    else:
        values = (255 * disc.T[::-1]).astype('uint8')
        Image.fromarray(values).save(tmp_path / 'a.png')
        reader = ImageSlices
    slices = reader(tmp_path, progress=False, spacing=1, pixel_size=(2, 1))
    assert slices[0].shape == (64, 64) and slices.geometry(0).is_square
    assert slices[0].sum() == pytest.approx(np.pi * 20**2, rel=0.02)
    widths = slices[0].sum(axis=0).max(), slices[0].sum(axis=1).max()
    assert widths == pytest.approx((40, 40), abs=1.5)
    again = pickle.loads(pickle.dumps(slices))
    assert np.array_equal(again[0], slices[0])
    with pytest.warns(UserWarning, match='not square'):
        reader(tmp_path, progress=False, pixel_size=(2, 1))
    with pytest.raises(ValueError, match='pass `pixel_size`'):
        reader(tmp_path, progress=False, spacing=1)
    with pytest.raises(ValueError, match='`pixel_size`'):
        reader(tmp_path, progress=False, pixel_size=0)
    assert reader(tmp_path, progress=False).geometry(0) is None
