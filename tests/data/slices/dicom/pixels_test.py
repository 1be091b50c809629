# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the values of DICOM files: padding, and headers that are wrong."""

import shutil

import numpy as np
import pytest

from odl_equivariant.data import DicomSlices, LIDCSlices

pydicom = pytest.importorskip('pydicom')

SHAPE = (24, 32)


def _body(dtype='int16'):
    """Return stored values of a disc in air, and a mask of the padding."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - 11.5
    body, outside = x**2 + y**2 < 36, x**2 + y**2 > 120
    return np.where(body, 1064, 24).astype(dtype), outside


def _expected(pixels, outside, air=-1000.0):
    return np.where(outside, air, pixels.astype(float) - 1024)[::-1].T


def _reason(folder, name):
    with pytest.raises(ValueError, match='no image could be used'):
        DicomSlices(folder)
    return dict(_index(folder).skipped)[name]


def _index(folder):
    # a good file beside it, so that the set is there to be asked
    good = folder / 'good.dcm'
    shutil.copy(_index.good, good)
    return DicomSlices(folder).index


@pytest.fixture(autouse=True)
def _good(tmp_path_factory, write_dicom):
    path = tmp_path_factory.mktemp('good') / 'good.dcm'
    write_dicom(path, np.ones((4, 4), 'int16'))
    _index.good = path


@pytest.mark.parametrize(
    ('dtype', 'stored', 'said'),
    [
        ('int16', -2000, -2000),
        ('uint16', 63536, 63536),
        # the same bits with the other sign in the header
        ('int16', -2000, 63536),
        ('uint16', 63536, -2000),
    ],
)
@pytest.mark.parametrize('compress', [False, True])
def test_padding_is_air(tmp_path, write_dicom, dtype, stored, said, compress):
    """Pixels with the padding value are at -1000 HU, and no others."""
    pixels, outside = _body(dtype)
    pixels[outside] = stored
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        compress,
        RescaleSlope=1,
        RescaleIntercept=-1024,
    )
    dataset = pydicom.dcmread(tmp_path / 'a.dcm')
    dataset.add_new('PixelPaddingValue', 'SS' if said < 0 else 'US', said)
    dataset.save_as(tmp_path / 'a.dcm')
    image = DicomSlices(tmp_path)[0]
    assert np.array_equal(image, _expected(pixels, outside))


@pytest.mark.parametrize('ends', [(2000, 2002), (2002, 2000)])
def test_a_range_of_padding_is_air(tmp_path, write_dicom, ends):
    """All values between the padding value and its limit are padding."""
    pixels, outside = _body('uint16')
    pixels[outside] = 2000 + np.arange(outside.sum()) % 3
    pixels[12, 16] = 1999
    pixels[12, 17] = 2003
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        PixelPaddingValue=ends[0],
        PixelPaddingRangeLimit=ends[1],
    )
    image = DicomSlices(tmp_path)[0]
    assert np.array_equal(image, _expected(pixels, outside))


def test_padding_beyond_the_stored_bits(tmp_path, write_dicom):
    """Padding may use bits that pixels do not use."""
    pixels, outside = _body('uint16')
    # 12 bits of 63536 are 2096, which is bone here
    pixels[12, 16] = 63536 % 2**12
    pixels[outside] = 63536
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        BitsStored=12,
        HighBit=11,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        PixelPaddingValue=63536,
    )
    image = DicomSlices(tmp_path)[0]
    assert np.array_equal(image, _expected(pixels, outside))


def test_padding_does_not_reach_its_neighbours(tmp_path, write_dicom):
    """On another grid, no value is below air or above the body."""
    pixels, outside = _body('uint16')
    pixels[outside] = 63536
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        PixelPaddingValue=63536,
    )
    image = DicomSlices(tmp_path, shape=(20, 15))[0]
    assert -1000.01 < image.min() and image.max() < 40.01


@pytest.mark.parametrize(
    'attributes',
    [
        {'Modality': 'MR'},
        {'Modality': 'CT'},
        {'Modality': 'CT', 'RescaleIntercept': 3, 'RescaleType': 'US'},
        {'Modality': 'MR', 'PhotometricInterpretation': 'MONOCHROME1'},
    ],
)
def test_padding_without_hounsfield_units(tmp_path, write_dicom, attributes):
    """Without Hounsfield units, padding becomes the least measured value."""
    pixels, outside = _body('uint16')
    pixels[outside] = 65535
    write_dicom(
        tmp_path / 'a.dcm', pixels, PixelPaddingValue=65535, **attributes
    )
    image = DicomSlices(tmp_path)[0]
    inside = image[~outside[::-1].T]
    assert set(image[outside[::-1].T]) == {inside.min()}
    assert len(set(inside)) == 2


@pytest.mark.parametrize(
    ('dtype', 'value'), [('int16', -2000), ('uint16', 63536)]
)
def test_padding_is_outside_of_a_circular_field(
    tmp_path, write_dicom, dtype, value
):
    """Padding counts as outside of the circular field of view."""
    pixels, outside = _body(dtype)
    pixels[outside] = value
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        PixelPaddingValue=value,
    )
    slices = LIDCSlices(tmp_path, select=False, seed=None)
    assert slices.statistics[0]['circle']
    expected = np.where(outside, 0, pixels)[::-1].T / 4096
    assert np.allclose(slices[0], expected)


@pytest.mark.parametrize(
    ('attributes', 'said'),
    [
        ({'RescaleSlope': 0, 'RescaleIntercept': 5}, 'RescaleSlope is 0'),
        ({'RescaleSlope': '1e-320'}, 'RescaleSlope is 1e-320'),
        ({'RescaleSlope': '1e-9', 'RescaleIntercept': 9999}, 'is 1e-9'),
        ({'RescaleSlope': '1e400'}, 'RescaleSlope is 1e400'),
        ({'RescaleSlope': 'nan'}, 'RescaleSlope is nan'),
        ({'RescaleIntercept': '-inf'}, 'RescaleIntercept is -inf'),
        (
            {'RescaleSlope': 1, 'RescaleIntercept': 'inf'},
            'RescaleIntercept is inf',
        ),
        ({'DoseGridScaling': 0.0}, 'DoseGridScaling is 0'),
        ({'RescaleSlope': '1e39'}, 'not finite in float32'),
    ],
)
def test_rescaling_that_destroys_values(
    tmp_path, write_dicom, attributes, said
):
    """A file whose slope is zero or not finite is skipped."""
    with pydicom.config.disable_value_validation():
        write_dicom(tmp_path / 'a.dcm', _body()[0], **attributes)
    assert said in _reason(tmp_path, 'a.dcm')


@pytest.mark.parametrize('slope', [1e-9, -1.0, 1e30])
def test_slopes_that_are_unusual(tmp_path, write_dicom, slope):
    """Small, negative and large slopes are valid."""
    pixels = np.arange(12, dtype='int16').reshape(3, 4)
    write_dicom(tmp_path / 'a.dcm', pixels, RescaleSlope=slope)
    image = DicomSlices(tmp_path)[0]
    assert np.allclose(image, (slope * pixels)[::-1].T, rtol=1e-6, atol=0)


def test_rescaling_of_a_frame(tmp_path, write_dicom):
    """A file is skipped if the slope of one frame is zero."""

    def group(slope):
        values = pydicom.Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        sequence = pydicom.Dataset()
        sequence.PixelValueTransformationSequence = [values]
        return sequence

    write_dicom(
        tmp_path / 'a.dcm',
        np.ones((3, 4, 4), 'int16'),
        PerFrameFunctionalGroupsSequence=[group(1), group(0), group(1)],
    )
    assert 'RescaleSlope is 0' in _reason(tmp_path, 'a.dcm')


@pytest.mark.parametrize('rows', [12, 23, 25, 48])
def test_pixels_of_another_number(tmp_path, write_dicom, rows):
    """A file with more or fewer pixels than its header says is skipped."""
    write_dicom(tmp_path / 'a.dcm', _body()[0], Rows=rows)
    reason = _reason(tmp_path, 'a.dcm')
    assert f'1536 bytes, and its header says {rows * 64}' in reason


@pytest.mark.parametrize('rows', [12, 22, 26])
def test_compressed_pixels_of_another_number(tmp_path, write_dicom, rows):
    """The same holds for compressed files."""
    write_dicom(tmp_path / 'a.dcm', _body()[0], True)
    dataset = pydicom.dcmread(tmp_path / 'a.dcm')
    dataset.Rows = rows
    dataset.save_as(tmp_path / 'a.dcm')
    assert str(rows * 32) in _reason(tmp_path, 'a.dcm')


def test_frames_of_another_number(tmp_path, write_dicom):
    """The same holds for the number of frames."""
    frames = np.ones((3, 6, 8), 'int16')
    write_dicom(tmp_path / 'a.dcm', frames, NumberOfFrames=2)
    write_dicom(tmp_path / 'b.dcm', frames, True)
    dataset = pydicom.dcmread(tmp_path / 'b.dcm')
    dataset.NumberOfFrames = 1
    dataset.save_as(tmp_path / 'b.dcm')
    assert 'header says 192' in _reason(tmp_path, 'a.dcm')
    reason = dict(DicomSlices(tmp_path).index.skipped)['b.dcm']
    assert '3 compressed frames, and its header says 1' in reason


def test_zeros_that_fill_a_file(tmp_path):
    """Up to a row of zeros may follow the pixels."""
    files = pydicom.data.get_testdata_file
    shutil.copy(files('MR_small_padded.dcm'), tmp_path)
    shutil.copy(files('MR_small.dcm'), tmp_path)
    slices = DicomSlices(tmp_path)
    assert len(slices) == 2
    assert np.array_equal(slices[0], slices[1])


def test_rows_of_zeros_fill_no_file(tmp_path, write_dicom):
    """More than a row of zeros counts as pixels."""
    pixels = _body()[0]
    pixels[12:] = 0
    write_dicom(tmp_path / 'a.dcm', pixels, Rows=12)
    assert 'header says 768' in _reason(tmp_path, 'a.dcm')


def _write_floats(path, write_dicom, pixels, **attributes):
    write_dicom(path, np.zeros(pixels.shape, 'int16'), **attributes)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData, dataset.PixelRepresentation
    del dataset.BitsStored, dataset.HighBit
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = pixels.astype('float32').tobytes()
    dataset.save_as(path)


def test_values_that_are_floats(tmp_path, write_dicom):
    """Padding values of floating-point pixels are used, also NaN."""
    pixels = np.arange(24.0).reshape(4, 6)
    pixels[0, 0] = -999.5
    _write_floats(
        tmp_path / 'a.dcm', write_dicom, pixels, FloatPixelPaddingValue=-999.5
    )
    pixels[0, 0] = np.nan
    _write_floats(tmp_path / 'b.dcm', write_dicom, pixels)
    slices = DicomSlices(tmp_path)
    pixels[0, 0] = 1.0
    assert np.array_equal(slices[0], pixels[::-1].T)
    [(name, reason)] = slices.index.skipped
    assert name == 'b.dcm' and 'not finite' in reason


def test_padding_and_a_table(tmp_path, write_dicom):
    """Values from a lookup table are not in Hounsfield units."""
    table = pydicom.Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTData = [50, 60, 70, 80]
    table.ModalityLUTType = 'US'
    table['LUTDescriptor'].VR = table['LUTData'].VR = 'US'
    pixels = np.array([[0, 1], [2, 3]], 'uint16')
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        ModalityLUTSequence=[table],
        RescaleIntercept=0,
        PixelPaddingValue=3,
    )
    image = DicomSlices(tmp_path)[0]
    assert np.array_equal(image, np.array([[50, 60], [70, 50]])[::-1].T)


def _without(path, preamble=True, syntax=True, implicit=True, little=True):
    dataset = pydicom.dcmread(path)
    if not little:
        # swapped here: pydicom writes pixels as they are
        swapped = np.frombuffer(dataset.PixelData, '<i2').astype('>i2')
        dataset.PixelData = swapped.tobytes()
    if not preamble:
        dataset.preamble = None
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    elif not syntax:
        del dataset.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(
        path,
        dataset,
        implicit_vr=implicit,
        little_endian=little,
        force_encoding=True,
        enforce_file_format=False,
    )


@pytest.mark.parametrize('frames', [1, 3])
@pytest.mark.parametrize(
    'options',
    [
        {'preamble': False},
        {'preamble': False, 'implicit': False},
        {'preamble': False, 'implicit': False, 'little': False},
        {'syntax': False},
        {'syntax': False, 'implicit': False},
    ],
)
def test_files_without_their_beginning(tmp_path, write_dicom, options, frames):
    """Files without preamble or transfer syntax are read."""
    pixels = np.arange(frames * 6 * 9, dtype='int16').reshape(frames, 6, 9)
    write_dicom(
        tmp_path / 'a.dcm',
        pixels if frames > 1 else pixels[0],
        RescaleSlope=2,
        RescaleIntercept=-1024,
        PixelPaddingValue=7,
    )
    _without(tmp_path / 'a.dcm', **options)
    slices = DicomSlices(tmp_path)
    assert len(slices) == frames
    expected = np.where(pixels == 7, -1000, 2.0 * pixels - 1024)
    for image, frame in zip(slices, expected, strict=True):
        assert np.array_equal(image, frame[::-1].T)


def test_compressed_files_without_their_syntax(tmp_path, write_dicom):
    """Compressed files without a transfer syntax are skipped."""
    write_dicom(tmp_path / 'a.dcm', _body()[0], True)
    _without(tmp_path / 'a.dcm', syntax=False, implicit=False)
    assert 'no TransferSyntaxUID' in _reason(tmp_path, 'a.dcm')


def test_what_only_begins_like_a_file_without_preamble(tmp_path):
    """Files that only begin like DICOM are skipped."""
    (tmp_path / 'a').write_bytes(b'\x08\x00 some text that goes on and on')
    (tmp_path / 'b').write_bytes(b'\x02\x00\x00\x00')
    (tmp_path / 'c').write_bytes(b'\x08\x00' + bytes(1000))
    reasons = dict(_index(tmp_path).skipped)
    assert reasons.keys() == {'a', 'b', 'c'}
    assert reasons['c'] == 'it is no DICOM file'


def test_localisers_are_left_out(tmp_path, write_dicom):
    """Localisers are skipped, and named."""
    for name, value in (
        ('a.dcm', ['ORIGINAL', 'PRIMARY', 'LOCALIZER']),
        ('b.dcm', ['ORIGINAL', 'PRIMARY', 'AXIAL']),
        ('c.dcm', 'ORIGINAL'),
    ):
        write_dicom(tmp_path / name, _body()[0], ImageType=value)
    slices = DicomSlices(tmp_path)
    assert slices.names == ['b.dcm', 'c.dcm']
    [(name, reason)] = slices.index.skipped
    assert name == 'a.dcm' and 'localiser' in reason
