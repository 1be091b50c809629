# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of sets of volumes: files, series of DICOM, patches and phantoms."""

import mmap

import numpy as np
import pytest

from odl_equivariant.data import (
    DicomSlices,
    NiftiSlices,
    NiftiVolumes,
    NumpyVolumes,
    PhantomVolumes,
    StackedSlices,
    VolumePatches,
    ellipsoid_phantom,
    split,
)

nibabel = pytest.importorskip('nibabel')
# an oblique map whose axes are permuted and reversed: front, head, left
# rows: to the right, to the front, to the head
TURN, _ = np.linalg.qr(np.array([[0, 0, 1.0], [1, 0, 0.1], [0.1, 1, 0]]))
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * (1, 3, 2)
AFFINE[:3, 3] = 30, -7, 5


def saved(path, array, affine=AFFINE):
    """Write a file of NIfTI."""
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def array():
    """Return an array without symmetry."""
    return np.random.default_rng(0).normal(size=(6, 7, 8)).astype('float32')


@pytest.mark.parametrize('ending', ['nii', 'nii.gz'])
def test_nifti_as_nibabel(array, tmp_path, ending):
    """A volume, and its map, are those of nibabel's closest canonical one."""
    path = saved(tmp_path / f'it.{ending}', array)
    volume = NiftiVolumes(path).volume()
    expected = nibabel.as_closest_canonical(nibabel.load(path))
    assert np.array_equal(volume.values, expected.get_fdata())
    assert np.allclose(volume.affine, expected.affine, atol=1e-5)


def test_scaled_integers_and_several_volumes(tmp_path):
    """Slope and intercept apply, and each volume of a file is one."""
    image = nibabel.Nifti1Image(np.arange(48.0).reshape(2, 3, 4, 2), np.eye(4))
    image.header.set_data_dtype('int16')
    nibabel.save(image, tmp_path / 'it.nii')
    volumes = NiftiVolumes(tmp_path)
    assert volumes.names == ['it.nii#0', 'it.nii#1']
    expected = nibabel.load(tmp_path / 'it.nii').get_fdata()
    assert np.allclose(volumes[1], expected[..., 1], rtol=1e-6)
    part = volumes.region(1, (0, 1, 1), (2, 2, 3))
    assert np.array_equal(part, volumes[1][:, 1:, 1:])


def dicom_series(folder, array, sides):
    """Write the slices ``array[..., k]``, with oblique directions."""
    pydicom = pytest.importorskip('pydicom')
    from pydicom.uid import ExplicitVRLittleEndian

    turn, _ = np.linalg.qr(np.array([[1, 0.1, 0], [-0.1, 1, 0], [0, 0, 1.0]]))
    turn *= np.sign(np.diag(turn))
    series = pydicom.uid.generate_uid()
    folder.mkdir()
    for k in np.random.default_rng(1).permutation(array.shape[2]):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = pydicom.uid.MRImageStorage
        dataset.SOPInstanceUID = pydicom.uid.generate_uid()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        # rows go down, and columns to the right
        dataset.PixelData = array[:, ::-1, k].T.astype('uint16').tobytes()
        dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = 'MONOCHROME2'
        dataset.Modality, dataset.SeriesInstanceUID = 'MR', series
        dataset.PatientID, dataset.SeriesNumber = 'someone', 3
        dataset.PixelSpacing = [sides[1], sides[0]]
        dataset.SliceThickness = 9.0
        dataset.ImageOrientationPatient = [
            *turn[:, 0].round(8), *turn[:, 1].round(8)
        ]  # fmt: skip
        place = turn @ [0, 0, k * sides[2]] + [1.0, 2, 3]
        dataset.ImagePositionPatient = place.round(6).tolist()
        dataset.InstanceNumber = int(k)
        dataset.save_as(folder / f'{k}.dcm', enforce_file_format=True)
    # rightwards columns are to the left of the patient, rows to the back
    affine = np.eye(4)
    affine[:3, :3] = turn * sides
    affine[:3, 3] = 1, 2, 3
    affine[:2] *= -1
    return affine


def test_dicom_series_and_nifti_are_the_same_volume(tmp_path):
    """One volume in both formats has the same values at the same places."""
    array = np.random.default_rng(0).integers(0, 99, (7, 6, 5))
    affine = dicom_series(tmp_path / 'dicom', array, (1.5, 1.5, 2.0))
    # NIfTI counts rows from the top
    saved(tmp_path / 'it.nii', array[:, ::-1].astype('float32'), affine)
    ours = StackedSlices(DicomSlices(tmp_path / 'dicom')).volume()
    other = NiftiVolumes(tmp_path / 'it.nii').volume()
    assert np.array_equal(ours.values, other.values)
    assert np.allclose(ours.affine, other.affine, atol=1e-4)
    assert np.allclose(ours.spacing, (1.5, 1.5, 2.0), atol=1e-5)


def test_missing_slice_is_named(tmp_path):
    """A series without one of its slices is refused, before any reading."""
    array = np.ones((6, 6, 6), int)
    dicom_series(tmp_path / 'dicom', array, (1.0, 1.0, 2.0))
    (tmp_path / 'dicom' / '3.dcm').unlink()
    with pytest.raises(ValueError, match='is no volume: .*slices are missing'):
        StackedSlices(DicomSlices(tmp_path / 'dicom'))


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('convention', ['radiological', 'neurological'])
def test_stacked_slices_are_the_volume(array, tmp_path, axis, convention):
    """Slices across any axis, seen from any side, are the same volume."""
    path = saved(tmp_path / 'it.nii', array)
    with pytest.warns(UserWarning, match='not square'):
        slices = NiftiSlices(path, axis, convention, cache=tmp_path)
    ours, expected = StackedSlices(slices), NiftiVolumes(path)
    assert np.array_equal(ours[0], expected[0])
    assert np.allclose(
        ours.volume().affine, expected.volume().affine, atol=1e-3
    )


def test_box_of_a_file_is_mapped_to_memory(array, tmp_path, monkeypatch):
    """A box of a ``.nii`` file is that of the volume, and is not all read."""
    volumes = NiftiVolumes(saved(tmp_path / 'it.nii', array))
    whole = volumes[0]
    array, _ = volumes._mapped(tmp_path / 'it.nii', '', volumes._items[0][1])
    base = array
    while not isinstance(base, mmap.mmap):
        base = base.base
    monkeypatch.setattr(NiftiVolumes, '__getitem__', None)
    part = volumes.region(0, (1, 0, 2), (3, 4, 4))
    assert part.base is None and part.flags.writeable
    assert np.array_equal(part, whole[1:4, :4, 2:6])


def test_box_of_an_array_on_disk(array, tmp_path, monkeypatch):
    """A box of an ``.npy`` file is read from its map."""
    np.save(tmp_path / 'it.npy', np.stack([array, 2 * array]))
    volumes = NumpyVolumes(tmp_path, scale=0.5)
    monkeypatch.setattr(NumpyVolumes, '__getitem__', None)
    part = volumes.region(1, (1, 0, 2), (3, 4, 4))
    assert np.array_equal(part, array[1:4, :4, 2:6])


def test_box_is_converted_as_the_volume(tmp_path):
    """A box has the unit of the volume, also where all is padding."""
    values = np.full((4, 4, 4), -2000.0)
    values[2:] = 40.0
    values[2:, 0] = -1000
    np.save(tmp_path / 'it.npy', values)
    for unit in ('HU', 'relative'):
        volumes = NumpyVolumes(tmp_path, unit=unit)
        assert np.array_equal(
            volumes.region(0, (0, 0, 0), (2, 4, 4)), volumes[0][:2]
        )
    volumes = NumpyVolumes(tmp_path, scale='max')
    assert np.array_equal(
        volumes.region(0, (1, 0, 0), (2, 4, 4)), volumes[0][1:3]
    )


def test_linear_functions_stay_linear(tmp_path):
    """Resampling keeps a linear function, at the new places of voxels."""
    i, j, k = np.indices((12, 10, 8), dtype='float32')
    array = 2 * i + 3 * j - k
    path = saved(tmp_path / 'it.nii', array, np.diag([1.0, 2, 3, 1]))
    volumes = NiftiVolumes(path, spacing=(2.0, 2.0, 2.0))
    volume = volumes.volume()
    assert volume.values.shape == (6, 10, 12)
    places = np.indices((6, 10, 12)).reshape(3, -1)
    x, y, z = volume.affine[:3, :3] @ places + volume.affine[:3, 3:]
    expected = (2 * x + 3 * y / 2 - z / 3).reshape(6, 10, 12)
    # at the border, a voxel is the mean of what is inside
    inner = (slice(1, -1), slice(None), slice(2, -2))
    assert np.allclose(volume.values[inner], expected[inner], atol=1e-4)


def test_shape_cuts_and_fills(array, tmp_path):
    """The middle of a volume stays where it is, beside the least value."""
    path = saved(tmp_path / 'it.nii', array)
    whole = NiftiVolumes(path)
    fitted = NiftiVolumes(path, shape=(4, 9, 6))
    assert fitted[0].shape == (4, 9, 6)
    assert np.array_equal(fitted[0][:, 1:7, :], whole[0][2:6, :, :6][..., :6])
    assert (fitted[0][:, 0] == whole[0].min()).all()
    centre = whole.geometry(0).on((1,) * 3, (2, -1, 0), (1,) * 3).position
    assert np.allclose(fitted.geometry(0).position, centre)


def test_several_spacings_are_refused(array, tmp_path):
    """The error names the volumes, their spacings, and what to do."""
    saved(tmp_path / 'a.nii', array, np.eye(4))
    saved(tmp_path / 'b.nii', array, np.diag([1, 1, 2.5, 1]))
    with pytest.raises(
        ValueError,
        match=r'a.nii has voxels of 1 x 1 x 1 mm, and b.nii of 1 x 1 x 2.5 '
        r'mm. Pass `spacing`, for example 1',
    ):
        NiftiVolumes(tmp_path)
    volumes = NiftiVolumes(tmp_path, spacing=1)
    assert [v.shape for v in volumes] == [(6, 7, 8), (6, 7, 20)]
    with pytest.raises(ValueError, match='side of a voxel in millimetres'):
        NiftiVolumes(tmp_path, spacing=0.001)[0]


def test_unknown_voxels(tmp_path):
    """Without a size of voxels, arrays are not resampled."""
    np.save(tmp_path / 'it.npy', np.ones((4, 4, 4)))
    with pytest.raises(ValueError, match='pass `voxel_size`'):
        NumpyVolumes(tmp_path, spacing=1)
    volumes = NumpyVolumes(tmp_path, spacing=1, voxel_size=2)
    assert volumes[0].shape == (8, 8, 8) and volumes[0].max() == 1
    with pytest.raises(ValueError, match='has no place'):
        volumes.volume()


def test_patches_are_boxes_at_random_places():
    """They belong to the volume, differ by epoch, and are reproducible."""
    volumes = PhantomVolumes(2, (12, 10, 9))
    patches = VolumePatches(volumes, (5, 4, 9), 2)
    assert len(patches) == 4
    assert patches.groups == 2 * ['phantom-0'] + 2 * ['phantom-1']
    one = patches[3, 1]
    assert np.array_equal(one, patches[3, 1])
    assert not np.array_equal(one, patches[3, 2])
    windows = np.lib.stride_tricks.sliding_window_view(volumes[1], (5, 4, 9))
    assert (windows == one).all(axis=(3, 4, 5)).any()
    with pytest.raises(ValueError, match='smaller than a box'):
        VolumePatches(volumes, (13, 4, 4))


def test_split_keeps_patches_of_a_volume_together():
    """Sets of volumes are split as slices are, by their groups."""
    patches = VolumePatches(PhantomVolumes(4, (8, 8, 8)), (4, 4, 4), 3)
    parts = split(patches, {'train': 0.75, 'test': 0.25})
    assert len(parts['train']) == 9
    assert not {*parts['train'].groups} & {*parts['test'].groups}
    assert parts['test'][0].shape == (4, 4, 4)


def test_phantoms_do_not_depend_on_order():
    """A phantom depends on seed and index; it is smooth and within [0, 1]."""
    phantoms = PhantomVolumes(3, (8, 10, 12), seed=4)
    assert np.array_equal(phantoms[2], phantoms[2])
    assert not np.array_equal(phantoms[2], phantoms[1])
    volume = ellipsoid_phantom((24, 24, 24), 0)
    assert volume.min() == 0 and 0.2 < volume.max() <= 1
    assert phantoms.with_shape((4, 4, 4))[0].shape == (4, 4, 4)


def test_box_outside_is_refused():
    """A box must be inside of the volume, and an index in range."""
    volumes = PhantomVolumes(1, (8, 8, 8))
    with pytest.raises(ValueError, match='is not inside of it'):
        volumes.region(0, (5, 0, 0), (4, 4, 4))
    with pytest.raises(IndexError):
        volumes.region(1, (0, 0, 0), (4, 4, 4))


def test_patches_of_another_shape():
    """They say which shape they have, so that boxes of them fit."""
    patches = VolumePatches(PhantomVolumes(1, (8, 8, 8)), (6, 6, 6))
    cut = patches.with_shape((4, 5, 4))
    assert cut.shape_of(0) == cut[0].shape == (4, 5, 4)
    with pytest.raises(ValueError, match='smaller than a box'):
        VolumePatches(cut, (6, 5, 4))


def test_boxes_of_random_volumes_follow_the_epoch():
    """A box belongs to the volume of its epoch."""
    patches = VolumePatches(PhantomVolumes(1, (12, 12, 12)), (6, 6, 6))
    for epoch in range(3):
        expected = patches[0, epoch][1:5, 2:6, 0:4]
        box = patches.region(0, (1, 2, 0), (4, 4, 4), epoch)
        assert np.array_equal(box, expected)
    whole = VolumePatches(patches, (6, 6, 6))
    assert np.array_equal(whole[0, 2], patches[0, 2])
    assert not np.array_equal(whole[0, 2], whole[0, 1])
