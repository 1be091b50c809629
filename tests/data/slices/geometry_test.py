# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of where the pixels of slices lie."""

import contextlib

import numpy as np
import pytest

from odl_equivariant.data import NiftiSlices, Slices
from odl_equivariant.data.slices.geometry import SliceGeometry, stacked

nibabel = pytest.importorskip('nibabel')

# from right, front and head to left, back and head
LPS = np.diag([-1, -1, 1, 1])


def _ball(shape, sides, radius, at):
    """Return a ball, and the affine map of NIfTI of its grid."""
    affine = np.diag([*sides, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * sides
    grid = np.einsum('ij,j...->i...', affine[:3, :3], np.indices(shape))
    grid += (affine[:3, 3] - at)[:, None, None, None]
    return ((grid**2).sum(axis=0) < radius**2).astype('float32'), affine


def _moments(volume):
    """Return the mass in mm^3 and the centre of a volume, in mm."""
    values = volume.values.astype(float)
    mass = values.sum()
    index = np.array(
        [np.average(i, weights=values) for i in np.indices(values.shape)]
    )
    centre = volume.affine[:3] @ [*index, 1]
    return mass * np.prod(volume.spacing), centre


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('shape', [(60, 60, 16), (61, 57, 15)])
@pytest.mark.parametrize('spacing', [1.0, 1.7])
def test_ball_of_long_voxels_stays_a_ball(tmp_path, shape, axis, spacing):
    """A ball of 1 x 1 x 5 mm voxels keeps its mass, place and roundness."""
    at = np.array([4.0, -3.0, 6.0])
    ball, affine = _ball(shape, (1, 1, 5), 20.0, at)
    nibabel.save(nibabel.Nifti1Image(ball, affine), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, axis=axis, spacing=spacing)
    volume = slices.volume()
    assert np.allclose(volume.spacing[:2], spacing)
    mass, centre = _moments(volume)
    before = ball.sum() * 5.0
    assert abs(mass - before) < 1e-5 * before
    index = [np.average(i, weights=ball) for i in np.indices(shape)]
    assert np.abs(centre - affine[:3] @ [*index, 1]).max() < 0.02
    assert np.abs(centre - at).max() < 0.2
    # the slice through the middle is as wide as high, up to a voxel
    middle = volume.values[..., int(volume.values.sum((0, 1)).argmax())]
    widths = [spacing * (middle > 0.5).any(k).sum() for k in (0, 1)]
    assert np.abs(np.subtract(widths, 40)).max() <= 5


def test_field_of_long_voxels_is_kept(tmp_path):
    """With a shape, a coronal slice shows all 100 mm, not 20 of them."""
    ball, affine = _ball((100, 100, 20), (1, 1, 5), 40.0, np.zeros(3))
    nibabel.save(nibabel.Nifti1Image(ball, affine), tmp_path / 'a.nii')
    slices = NiftiSlices(tmp_path, axis=1, shape=(64, 64))
    assert np.allclose(slices.geometry(0).extent, 100)
    share = np.mean([image.mean() for image in slices])
    assert abs(share - ball.mean()) < 1e-3 * ball.mean()


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('convention', ['radiological', 'neurological'])
@pytest.mark.parametrize(
    'options', [{}, {'shape': (7, 6)}, {'spacing': (0.7, 1.9)}]
)
@pytest.mark.filterwarnings('ignore:.*not square')
def test_points_are_those_of_the_file(tmp_path, axis, convention, options):
    """An index of a slice and its point in the body belong together."""
    sides, shape = np.array([2.0, 1.5, 3.0]), (6, 7, 8)
    angle = 0.2
    turn = np.array(
        [
            [np.cos(angle), -np.sin(angle), 0],
            [np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn[:, [1, 2, 0]] * [-1, 1, 1] * sides
    affine[:3, 3] = [11, -5, 70]
    # the value of a voxel is where it lies in each coordinate
    where = np.einsum('ij,j...->i...', affine[:3, :3], np.indices(shape))
    where += affine[:3, 3, None, None, None]
    for k, sign in enumerate((-1, -1, 1)):
        image = nibabel.Nifti1Image(
            (sign * where[k]).astype('float32'), affine
        )
        nibabel.save(image, tmp_path / f'{k}.nii')
    sets = [
        NiftiSlices(tmp_path / f'{k}.nii', axis, convention, **options)
        for k in range(3)
    ]
    for n in (0, len(sets[0]) - 1):
        geometry = sets[0].geometry(n)
        assert geometry.shape == sets[0][n].shape
        # away from the border, where values are not linear
        i, j = (side // 2 for side in geometry.shape)
        point = [slices[n][i, j] for slices in sets]
        assert np.allclose(geometry.point(i, j), point, atol=1e-3)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_volume_is_that_of_the_file(tmp_path, axis):
    """Stacked slices, with their affine map, are the volume of the file."""
    stored = np.random.default_rng(0).normal(size=(4, 5, 6))
    affine = np.array(
        [[0, 0, -2, 5], [2, 0, 0, -3], [0, 2.5, 0, 7], [0, 0, 0, 1.0]]
    )
    image = nibabel.Nifti1Image(stored.astype('float32'), affine)
    nibabel.save(image, tmp_path / 'a.nii')
    with (
        pytest.warns(UserWarning, match='not square')
        if axis != 2
        else (contextlib.nullcontext())
    ):
        slices = NiftiSlices(tmp_path, axis)
    volume = slices.volume('a.nii')
    again = nibabel.Nifti1Image(volume.values, volume.affine)
    expected = nibabel.as_closest_canonical(image)
    found = nibabel.as_closest_canonical(again)
    assert np.allclose(found.affine, expected.affine)
    assert np.allclose(found.get_fdata(), expected.get_fdata())


@pytest.mark.parametrize(
    ('code', 'factor'), [('mm', 1), ('meter', 1000), ('micron', 1e-3)]
)
def test_unit_of_length_of_nifti(tmp_path, code, factor):
    """Metres and micrometres of a file become millimetres."""
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), 'float32'), np.eye(4))
    image.header.set_xyzt_units(code)
    nibabel.save(image, tmp_path / 'a.nii')
    geometry = NiftiSlices(tmp_path).geometry(1)
    assert np.allclose(geometry.spacing, factor)
    assert np.allclose(geometry.position, [-2 * factor, 0, factor])


@pytest.mark.parametrize('side', [0.0, -1.0])
def test_wrong_pixdim_is_named(tmp_path, side):
    """Without a map, sides that are not positive are an error on request."""
    path = tmp_path / 'a.nii'
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), 'float32'), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    content[80:84] = np.array([side], '<f4').tobytes()
    path.write_bytes(content)
    slices = NiftiSlices(path)
    assert slices[0].shape == (3, 4)
    assert slices.geometry(0) is None
    with pytest.raises(ValueError, match=r'a\.nii: .*pixdim'):
        NiftiSlices(path, spacing=1)


def test_skew_map_is_named(tmp_path):
    """Voxels that are no boxes cannot be resampled."""
    affine = np.eye(4)
    affine[0, 1] = 0.3
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), 'float32'), affine)
    nibabel.save(image, tmp_path / 'a.nii')
    with pytest.raises(ValueError, match=r'a\.nii: .*skew'):
        NiftiSlices(tmp_path, spacing=1)


# --- Slices that are no volume --- #

AXES = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))


def _stack(heights=(0, 2, 4), **changed):
    """Return slices at some heights, the second one with other values."""
    members = []
    for k, height in enumerate(heights):
        values = {
            'shape': (4, 5),
            'spacing': (1.0, 1.0),
            'position': (0.0, 0.0, float(height)),
            'directions': AXES,
        }
        if k == 1:
            values |= changed
        geometry = SliceGeometry(**values)
        members.append((f'{k}.dcm', np.full((4, 5), k), geometry))
    return members


@pytest.mark.parametrize('heights', [(0, 2, 4), (4, 2, 0), (0, 0.6, 1.3, 1.9)])
def test_distance_of_slices(heights):
    """The third side is the distance, up to positions that are rounded."""
    volume = stacked(_stack(heights))
    sides = np.abs(np.diff(heights)).mean()
    assert np.allclose(volume.spacing, [1, 1, sides])
    up = np.sign(heights[-1] - heights[0])
    assert np.allclose(volume.directions[2], [0, 0, up])
    assert volume.values.shape == (4, 5, len(heights))


@pytest.mark.parametrize(
    ('changed', 'field'),
    [
        ({'shape': (4, 6)}, 'Rows, Columns'),
        ({'spacing': (1.0, 1.1)}, 'PixelSpacing'),
        ({'directions': AXES[::-1]}, 'ImageOrientationPatient'),
        ({'position': None}, 'ImagePositionPatient'),
        ({'position': (0.0, 0.0, 0.0)}, 'ImagePositionPatient'),
        ({'position': (0.0, 0.0, 2.8)}, 'ImagePositionPatient'),
        ({'position': (3.0, 0.0, 2.0)}, 'ImagePositionPatient'),
    ],
)
def test_what_is_no_volume_is_named(changed, field):
    """The error names the slice and the field in which it differs."""
    with pytest.raises(ValueError, match=rf'1\.dcm.*{field}'):
        stacked(_stack(**changed))


def test_missing_slice_is_named():
    """A gap is an error with both lengths."""
    message = r'2\.dcm and 3\.dcm there are 4 mm.* 2 mm.*missing'
    with pytest.raises(ValueError, match=message):
        stacked(_stack((0, 2, 4, 8, 10)))


def test_single_slice_is_no_volume():
    """One slice has no thickness."""
    with pytest.raises(ValueError, match=r'0\.dcm is a single slice'):
        stacked(_stack((0,)))


def test_other_sources_have_no_geometry():
    """Images without a size of pixels say so."""

    class Ones(Slices):
        def _image(self, place, epoch):
            return np.ones((4, 4))

    slices = Ones(['a', 'b'], ['g', 'g'])
    assert slices.geometry(0) is None and slices.volumes == ['g', 'g']
    with pytest.raises(ValueError, match='a cannot be a part .* size'):
        slices.volume()
    with pytest.raises(ValueError, match="no volume 'h': give one of 'g'"):
        slices.volume('h')
    with pytest.raises(ValueError, match='a cannot be resampled'):
        Ones(['a'], ['g'], spacing=1)[0]
    for wrong in (0, -1, (1, 2, 3), 'mm', np.inf):
        with pytest.raises((TypeError, ValueError), match='`spacing`'):
            Ones(['a'], ['g'], spacing=wrong)
