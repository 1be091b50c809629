# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of slices of volumes of NIfTI."""

import gzip

import numpy as np
import pytest

from odl_equivariant.data import NiftiSlices


@pytest.fixture
def nibabel():
    return pytest.importorskip('nibabel')


def _volume(shape=(4, 5, 6)):
    """Return a volume in the axes right, front, head."""
    return np.random.default_rng(0).normal(size=shape).astype('float32')


def _permuted(volume, axes, signs):
    """Return how a file holds a volume, and the affine map it has then."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    stored = volume.transpose(axes)
    for k, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, k] = 2.0 * sign
        if sign < 0:
            stored = np.flip(stored, k)
            affine[axis, 3] = 2.0 * (stored.shape[k] - 1)
    # a tilt of some degrees
    angle = 0.1
    tilt = np.eye(4)
    tilt[:2, :2] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    return stored, tilt @ affine


ORDERS = [
    ((0, 1, 2), (1, 1, 1)),
    ((0, 1, 2), (-1, -1, 1)),
    ((2, 0, 1), (1, -1, 1)),
    ((1, 2, 0), (-1, 1, -1)),
    ((2, 1, 0), (-1, -1, -1)),
]


@pytest.mark.parametrize(('axes', 'signs'), ORDERS)
@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_slices_are_anatomical(tmp_path, nibabel, axes, signs, axis, suffix):
    """However a file holds the volume, its slices are the same."""
    volume = _volume()
    stored, affine = _permuted(volume, axes, signs)
    image = nibabel.Nifti1Image(stored, affine)
    nibabel.save(image, tmp_path / f'a{suffix}')
    slices = NiftiSlices(tmp_path, axis=axis, convention='neurological')
    assert len(slices) == volume.shape[axis]
    for i, image in enumerate(slices):
        assert np.array_equal(image, np.take(volume, i, axis))


def test_orientation_agrees_with_nibabel(tmp_path, nibabel):
    """Slices are those of nibabel's closest canonical image."""
    stored, affine = _permuted(_volume(), (2, 0, 1), (1, -1, 1))
    image = nibabel.Nifti1Image(stored, affine)
    nibabel.save(image, tmp_path / 'a.nii')
    canonical = nibabel.as_closest_canonical(image).get_fdata()
    slices = NiftiSlices(tmp_path, convention='neurological')
    assert np.allclose(slices[2], canonical[:, :, 2])


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_convention_mirrors(tmp_path, nibabel, axis):
    """By default the patient's left is at the viewer's right."""
    volume = _volume()
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, axis)
    expected = np.take(volume, 1, axis)[::-1]
    assert np.array_equal(slices[1], expected)


def test_scaled_integers(tmp_path, nibabel):
    """Stored integers are scaled as the header says."""
    image = nibabel.Nifti1Image(
        np.arange(24, dtype='int16').reshape(2, 3, 4), np.eye(4)
    )
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / 'a.nii')
    expected = nibabel.load(tmp_path / 'a.nii').get_fdata()[::-1, :, 3]
    assert expected.max() > 3
    assert np.array_equal(NiftiSlices(tmp_path)[3], expected)


def test_several_volumes(tmp_path, nibabel):
    """Slices of all volumes of a file are there, with both numbers."""
    series = np.random.default_rng(0).normal(size=(3, 4, 2, 2))
    series = series.astype('complex64')
    nibabel.save(nibabel.Nifti1Image(series, np.eye(4)), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, convention='neurological')
    assert slices.names == ['a.nii#0.0', 'a.nii#0.1', 'a.nii#1.0', 'a.nii#1.1']
    assert slices[1].dtype == 'complex64'
    assert np.array_equal(slices[1], series[:, :, 1, 0])
    assert np.array_equal(slices[2], series[:, :, 0, 1])


def test_groups_are_subjects(tmp_path, nibabel):
    """Files of one subject are one group, others stand for themselves."""
    image = nibabel.Nifti1Image(_volume((2, 2, 1)), np.eye(4))
    for name in ('sub-01/a.nii', 'sub-01/b.nii', 'sub-02_T1w.nii', 'c.nii'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        nibabel.save(image, tmp_path / name)
    slices = NiftiSlices(tmp_path)
    assert dict(zip(slices.names, slices.groups, strict=True)) == {
        'c.nii#0': 'c.nii',
        'sub-01/a.nii#0': 'sub-01',
        'sub-01/b.nii#0': 'sub-01',
        'sub-02_T1w.nii#0': 'sub-02',
    }


def test_single_volume_and_shape(tmp_path, nibabel):
    """A file alone is read, to a grid of choice."""
    nibabel.save(
        nibabel.Nifti1Image(_volume((8, 8, 3)), np.eye(4)), tmp_path / 'a.nii'
    )
    slices = NiftiSlices(tmp_path / 'a.nii', shape=(4, 4))
    assert len(slices) == 3
    assert slices[0].shape == (4, 4)


def test_what_is_no_volume_is_skipped(tmp_path, nibabel):
    """Truncated, flat and coloured files are skipped, with a reason."""
    image = nibabel.Nifti1Image(_volume(), np.eye(4))
    nibabel.save(image, tmp_path / 'good.nii')
    whole = (tmp_path / 'good.nii').read_bytes()
    (tmp_path / 'short.nii').write_bytes(whole[:-8])
    (tmp_path / 'text.nii').write_text('text', 'utf-8')
    (tmp_path / 'text.nii.gz').write_text('text', 'utf-8')
    flat = nibabel.Nifti1Image(np.ones((3, 4), 'float32'), np.eye(4))
    nibabel.save(flat, tmp_path / 'flat.nii')
    colours = np.zeros((2, 2, 2), [(c, 'u1') for c in 'RGB'])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / 'rgb.nii')
    slices = NiftiSlices(tmp_path)
    assert len(slices) == 6
    assert [name for name, _ in slices.index.skipped] == [
        'flat.nii',
        'rgb.nii',
        'short.nii',
        'text.nii',
        'text.nii.gz',
    ]


@pytest.mark.parametrize(
    'options', [{'axis': 3}, {'axis': True}, {'convention': 'left'}]
)
def test_wrong_options_are_refused(tmp_path, nibabel, options):
    """The error of a wrong option names it."""
    error = TypeError if True in options.values() else ValueError
    with pytest.raises(error, match=f'`{next(iter(options))}` must'):
        NiftiSlices(tmp_path, **options)


@pytest.mark.parametrize(
    ('slope', 'factor'), [(0.0, 1), (np.nan, 1), (2.0, 2), (-3.0, -3)]
)
def test_slope_of_nifti(tmp_path, nibabel, slope, factor):
    """Values are multiplied by the slope; 0 and no number stand for none."""
    volume = np.arange(60, dtype='int16').reshape(3, 4, 5)
    path = tmp_path / 'a.nii'
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, 0], '<f4').tobytes()
    path.write_bytes(content)
    image = NiftiSlices(path, convention='neurological')[1]
    assert np.array_equal(image, factor * volume[:, :, 1])


@pytest.mark.parametrize('ending', ['.nii', '.nii.gz'])
def test_infinite_slope_of_nifti(tmp_path, nibabel, ending):
    """A slope that is infinite is a reason to skip a file."""
    volume = nibabel.Nifti1Image(np.ones((3, 4, 5), 'int16'), np.eye(4))
    nibabel.save(volume, tmp_path / f'good{ending}')
    volume.header.set_slope_inter(1, 0)
    content = bytearray(volume.to_bytes())
    content[112:120] = np.array([np.inf, 0], '<f4').tobytes()
    if ending.endswith('.gz'):
        content = gzip.compress(content)
    (tmp_path / f'bad{ending}').write_bytes(content)
    slices = NiftiSlices(tmp_path)
    assert slices.index.skipped == [(f'bad{ending}', 'its scl_slope is inf')]


@pytest.mark.parametrize('name', ['b.nii.gz', 'B.NII.GZ'])
def test_damaged_compressed_file_is_skipped(tmp_path, nibabel, name):
    """Whichever bit of its data is flipped, a compressed file is skipped."""
    whole, damaged = tmp_path / 'a.nii.gz', tmp_path / name
    # more than what is read at once
    volume = _volume((40, 50, 6))
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), whole)
    content = whole.read_bytes()
    # what comes before is the name and the time, what is last the length
    for place in range(24, len(content) - 4, 3607):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        damaged.write_bytes(changed)
        slices = NiftiSlices(tmp_path, cache=tmp_path / 'index')
        assert {name for name, _ in slices.index.skipped} == {name}
