# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of slices from DICOM files."""

import pathlib
import pickle
import shutil

import numpy as np
import pytest

from odl_equivariant.data import (
    DicomSlices,
    sample_ct_slice,
    sample_mr_slice,
)

pydicom = pytest.importorskip('pydicom')

FILES = pathlib.Path(pydicom.__file__).parent / 'data' / 'test_files'


def _pixels(seed=0, shape=(6, 9), low=0, high=1000, dtype='int16'):
    return np.random.default_rng(seed).integers(low, high, shape, dtype)


def _upright(pixels):
    return pixels[::-1].T


@pytest.mark.parametrize(
    ('name', 'sample'),
    [
        ('J2K_pixelrep_mismatch.dcm', sample_ct_slice),
        ('examples_overlay.dcm', sample_mr_slice),
    ],
)
def test_orientation_is_that_of_the_samples(tmp_path, name, sample):
    """The sample slice read as a file has the same orientation."""
    shutil.copy(FILES / name, tmp_path)
    image = DicomSlices(tmp_path)[0]
    expected = sample().data
    if sample is sample_ct_slice:
        # the sample has air outside of the scanner's field of view
        image[image < -1100] = -1000
    assert image.dtype == 'float32'
    assert np.array_equal(image, expected)


@pytest.mark.parametrize(
    'name',
    [
        'CT_small.dcm',
        'MR_small.dcm',
        'MR_small_RLE.dcm',
        'MR_small_bigendian.dcm',
        'MR_small_jp2klossless.dcm',
    ],
)
def test_real_files(tmp_path, name):
    """Files of several scanners and encodings have pydicom's values."""
    shutil.copy(FILES / name, tmp_path)
    dataset = pydicom.dcmread(FILES / name)
    slices = DicomSlices(tmp_path)
    assert slices.groups == [dataset.PatientID]
    expected = dataset.pixel_array * float(dataset.get('RescaleSlope', 1))
    expected = expected + float(dataset.get('RescaleIntercept', 0))
    assert np.array_equal(slices[0], _upright(expected))


@pytest.mark.parametrize('compress', [False, True])
@pytest.mark.parametrize('dtype', ['int16', 'uint16', 'uint8'])
def test_pixels_are_rescaled(tmp_path, write_dicom, compress, dtype):
    """Slope and intercept are applied, to compressed files as well."""
    pixels = _pixels(high=120, dtype=dtype)
    write_dicom(
        tmp_path / 'a.dcm',
        pixels,
        compress,
        RescaleSlope=2,
        RescaleIntercept=-100,
    )
    image = DicomSlices(tmp_path)[0]
    assert np.array_equal(image, _upright(2.0 * pixels - 100))


def test_slices_are_sorted(tmp_path, write_dicom):
    """Slices are sorted by patient, series and number."""
    for k, (patient, series, number) in enumerate(
        [
            ('b', '1.9', 1),
            ('a', '1.2', 10),
            ('a', '1.1', 2),
            ('a', '1.2', 9),
            ('a', '1.1', 1),
        ]
    ):
        write_dicom(
            tmp_path / f'x{k}' / f'{k}.dcm',
            _pixels(k),
            PatientID=patient,
            SeriesInstanceUID=series,
            InstanceNumber=number,
        )
    slices = DicomSlices(tmp_path)
    order = [4, 2, 3, 1, 0]
    assert slices.names == [f'x{k}/{k}.dcm' for k in order]
    assert slices.groups == ['a'] * 4 + ['b']
    for image, k in zip(slices, order, strict=True):
        assert np.array_equal(image, _upright(_pixels(k)))


@pytest.mark.parametrize('compress', [False, True])
def test_frames_are_slices(tmp_path, write_dicom, compress):
    """Each frame of a file is a slice."""
    frames = _pixels(shape=(3, 6, 8))
    write_dicom(tmp_path / 'many', frames, compress, RescaleSlope=3)
    slices = DicomSlices(tmp_path)
    assert slices.names == ['many#0', 'many#1', 'many#2']
    assert len(set(slices.groups)) == 1
    for image, frame in zip(slices, frames, strict=True):
        assert np.array_equal(image, 3 * _upright(frame))


def test_frames_have_their_own_rescaling(tmp_path, write_dicom):
    """Enhanced files have a slope for each frame, or one for all."""
    frames = _pixels(shape=(2, 6, 8))

    def group(slope):
        values = pydicom.Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, -slope
        sequence = pydicom.Dataset()
        sequence.PixelValueTransformationSequence = [values]
        return sequence

    write_dicom(
        tmp_path / 'each',
        frames,
        PerFrameFunctionalGroupsSequence=[group(2), group(5)],
    )
    write_dicom(
        tmp_path / 'shared',
        frames,
        SharedFunctionalGroupsSequence=[group(3)],
        PatientID='zz',
    )
    slices = DicomSlices(tmp_path)
    slopes = [2, 5, 3, 3]
    for i, slope in enumerate(slopes):
        expected = slope * _upright(frames[i % 2].astype(float)) - slope
        assert np.array_equal(slices[i], expected)


@pytest.mark.parametrize('dtype', ['int16', 'uint16'])
def test_inverted_files_are_mirrored(tmp_path, write_dicom, dtype):
    """In MONOCHROME1 the least stored value is the brightest."""
    pixels = _pixels(dtype=dtype)
    write_dicom(
        tmp_path / 'a',
        pixels,
        PhotometricInterpretation='MONOCHROME1',
        RescaleSlope=2,
        RescaleIntercept=7,
    )
    # the complement: 0 and 65535 change places, or -32768 and 32767
    expected = 2.0 * np.invert(pixels) + 7
    assert np.array_equal(DicomSlices(tmp_path)[0], _upright(expected))


def test_doses_are_scaled(tmp_path):
    """The scaling of doses is applied, and their frames are slices."""
    shutil.copy(FILES / 'rtdose.dcm', tmp_path)
    dataset = pydicom.dcmread(FILES / 'rtdose.dcm')
    slices = DicomSlices(tmp_path)
    assert len(slices) == 15
    dose = dataset.pixel_array * float(dataset.DoseGridScaling)
    assert np.allclose(slices[4], _upright(dose[4]), rtol=1e-6)


def test_what_is_no_image_is_skipped(tmp_path, write_dicom):
    """Texts, truncated files, reports and colours are skipped, and named."""
    write_dicom(tmp_path / 'good.dcm', _pixels())
    (tmp_path / 'notes.txt').write_text('no image', 'utf-8')
    (tmp_path / 'empty.dcm').write_bytes(b'')
    whole = (tmp_path / 'good.dcm').read_bytes()
    (tmp_path / 'short.dcm').write_bytes(whole[:-20])
    (tmp_path / 'shorter.dcm').write_bytes(whole[:300])
    write_dicom(tmp_path / 'rle.dcm', _pixels(shape=(3, 9, 9)), True)
    whole = (tmp_path / 'rle.dcm').read_bytes()
    (tmp_path / 'rle.dcm').write_bytes(whole[: -len(whole) // 4])
    for name in (
        'MR_truncated.dcm',
        'rtplan.dcm',
        'test-SR.dcm',
        'SC_rgb_rle.dcm',
        'examples_palette.dcm',
        'badVR.dcm',
        'no_meta.dcm',
        'rtstruct.dcm',
    ):
        shutil.copy(FILES / name, tmp_path)
    slices = DicomSlices(tmp_path)
    assert slices.names == ['good.dcm']
    reasons = dict(slices.index.skipped)
    assert len(reasons) == 13
    assert 'PALETTE' in reasons['examples_palette.dcm']
    assert 'no image (SR)' in reasons['test-SR.dcm']
    assert reasons['notes.txt'] == 'it is no DICOM file'
    assert all(reasons.values())


def test_images_of_one_kind(tmp_path, write_dicom):
    """Modality, description and size select images."""
    write_dicom(tmp_path / 'ct', _pixels(shape=(4, 4)))
    write_dicom(
        tmp_path / 't1',
        _pixels(shape=(4, 6)),
        Modality='MR',
        SeriesDescription='AX T1 POST',
    )
    write_dicom(
        tmp_path / 't2',
        _pixels(shape=(4, 4)),
        Modality='MR',
        SeriesDescription='AX T2',
    )
    assert len(DicomSlices(tmp_path)) == 3
    assert DicomSlices(tmp_path, 'CT').names == ['ct']
    assert DicomSlices(tmp_path, series='t1').names == ['t1']
    assert DicomSlices(tmp_path, size=(6, 4)).names == ['t1']
    with pytest.raises(ValueError, match='none of the 3 .*AX T1 POST'):
        DicomSlices(tmp_path, 'CT', series='T1')


def test_groups_of_choice(tmp_path, write_dicom):
    """Images are grouped by patient, study, series or folder."""
    for folder, patient, series in (('x', 'p', '1.1'), ('y', '', '1.2')):
        write_dicom(
            tmp_path / folder / 'a',
            _pixels(),
            PatientID=patient,
            SeriesInstanceUID=series,
        )
    groups = {
        by: sorted(DicomSlices(tmp_path, group_by=by).groups)
        for by in ('patient', 'study', 'series', 'folder')
    }
    assert groups == {
        'patient': ['1.2.3', 'p'],
        'study': ['1.2.3', '1.2.3'],
        'series': ['1.1', '1.2'],
        'folder': ['x', 'y'],
    }
    with pytest.raises(ValueError, match='`group_by` must'):
        DicomSlices(tmp_path, group_by='doctor')


def test_shape_option(tmp_path, write_dicom):
    """With ``shape``, all images have this shape."""
    pixels = _pixels(shape=(8, 8))
    write_dicom(tmp_path / 'a', pixels)
    expected = _upright(pixels).reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.array_equal(DicomSlices(tmp_path, shape=(4, 4))[0], expected)


def test_files_are_not_read_again_for_the_index(
    tmp_path, write_dicom, monkeypatch
):
    """The second time, only the index is read."""
    write_dicom(tmp_path / 'a', _pixels())
    first = DicomSlices(tmp_path)

    def refuse(*args, **kwargs):
        raise AssertionError('a file was read')

    with monkeypatch.context() as patch:
        patch.setattr(pydicom, 'dcmread', refuse)
        again = DicomSlices(tmp_path)
    assert again.names == first.names
    assert np.array_equal(again[0], first[0])


def test_vanished_and_damaged_files_are_named(tmp_path, write_dicom):
    """If a file has gone or changed, the error names it."""
    write_dicom(tmp_path / 'a', _pixels())
    write_dicom(tmp_path / 'b', _pixels())
    slices = DicomSlices(tmp_path)
    (tmp_path / 'a').unlink()
    (tmp_path / 'b').write_bytes(b'nothing')
    with pytest.raises(FileNotFoundError, match=str(tmp_path / 'a')):
        slices[0]
    with pytest.raises(ValueError, match=str(tmp_path / 'b')):
        slices[1]


def test_pickled_slices_read_the_same(tmp_path, write_dicom):
    """A subset that is sent to a worker reads the same images."""
    for k in range(3):
        write_dicom(tmp_path / str(k), _pixels(k), InstanceNumber=k)
    part = pickle.loads(pickle.dumps(DicomSlices(tmp_path).subset([2, 0])))
    assert part.names == ['2', '0']
    assert np.array_equal(part[0], _upright(_pixels(2)))


def test_missing_decoder_is_named(tmp_path, monkeypatch):
    """Without a decoder, the reason says what to install."""
    from pydicom.pixels.decoders import JPEG2000LosslessDecoder

    shutil.copy(FILES / 'MR_small_jp2klossless.dcm', tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(JPEG2000LosslessDecoder, '_available', {})
        with pytest.raises(ValueError, match=r'pylibjpeg\[all\]'):
            DicomSlices(tmp_path)
    assert len(DicomSlices(tmp_path)) == 1
