# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the images of the reference experiments."""

import pathlib
import pickle
import shutil

import numpy as np
import pytest

from odl_equivariant.data import FastMRISlices, LIDCSlices

pydicom = pytest.importorskip('pydicom')

FILES = pathlib.Path(pydicom.__file__).parent / 'data' / 'test_files'
N = 96


def _disc(radius=0.9):
    x = (np.arange(N) + 0.5) * 2 / N - 1
    return np.hypot(x[:, None], x[None, :]) < radius


def _chest(body=1100, noise=0, hole=-2000, seed=0):
    """Return stored values: water at 1024, and a circle of view."""
    rng = np.random.default_rng(seed)
    pixels = np.where(_disc(0.6), body, 24)
    pixels = pixels + rng.integers(-noise, noise + 1, pixels.shape)
    pixels[N // 2, N // 2] = 1700
    return np.where(_disc(0.97), pixels, hole).astype('int16')


def _write_ct(write_dicom, path, pixels, **attributes):
    attributes.setdefault('RescaleIntercept', -1024)
    write_dicom(path, pixels, RescaleSlope=1, **attributes)


def _total_variation(image):
    total = 0.0
    n, m = image.shape
    for i in range(n):
        for j in range(m):
            down = image[i + 1, j] - image[i, j] if i + 1 < n else 0
            right = image[i, j + 1] - image[i, j] if j + 1 < m else 0
            total += np.sqrt(down**2 + right**2)
    return total / (n * m)


def test_ct_has_the_scale_of_the_reference(tmp_path, write_dicom):
    """Stored values are clipped at 0, dithered, and divided by 4096."""
    pixels = _chest()
    _write_ct(write_dicom, tmp_path / 'a', pixels)
    plain = np.maximum(pixels, 0)[::-1].T
    image = LIDCSlices(tmp_path)[0]
    dither = 4096 * image.astype('float64') - plain
    assert dither.min() >= -1e-3 and dither.max() <= 1.001
    assert dither.mean() == pytest.approx(0.5, abs=0.02)
    assert dither.std() == pytest.approx(np.sqrt(1 / 12), rel=0.05)
    exact = LIDCSlices(tmp_path, seed=None)[0]
    assert np.array_equal(exact, (plain / 4096).astype('float32'))


def test_ct_scale_does_not_depend_on_the_intercept(tmp_path, write_dicom):
    """The same Hounsfield units give the same image, however stored."""
    pixels = _chest()
    _write_ct(write_dicom, tmp_path / 'a', pixels)
    _write_ct(write_dicom, tmp_path / 'b', pixels - 1024, RescaleIntercept=0)
    slices = LIDCSlices(tmp_path, seed=None)
    assert np.array_equal(slices[0], slices[1])


def test_dither_depends_on_seed_and_name_alone(tmp_path, write_dicom):
    """The dither depends only on the seed and the name."""
    _write_ct(write_dicom, tmp_path / 'z', _chest())
    first = LIDCSlices(tmp_path)[0]
    _write_ct(write_dicom, tmp_path / 'a', _chest())
    slices = LIDCSlices(tmp_path)
    assert slices.names == ['a', 'z']
    assert np.array_equal(pickle.loads(pickle.dumps(slices))[1], first)
    assert not np.array_equal(slices[0], first)
    assert not np.array_equal(LIDCSlices(tmp_path, seed=1)[1], first)


def test_statistics_are_means_over_pixels(tmp_path, write_dicom):
    """TV, L1 and maximum are those of the definition, without dither."""
    pixels = _chest(noise=20)
    _write_ct(write_dicom, tmp_path / 'a', pixels)
    (statistics,) = LIDCSlices(tmp_path, select=False).statistics
    image = np.maximum(pixels.astype(float), 0) / 4096
    assert statistics['tv'] == pytest.approx(_total_variation(image))
    assert statistics['l1'] == pytest.approx(image.mean())
    assert statistics['max'] == 1700 / 4096
    assert statistics['circle'] is True


def test_ct_selection(tmp_path, write_dicom):
    """Each rule of the reference removes the slices that break it."""
    for name, pixels in {
        'good': _chest(),
        'dark': _chest(body=600) - (_chest() == 1700) * 1000,
        'metal': _chest() + (_chest() == 1700) * 2000,
        'noisy': _chest(noise=200),
        'square': _chest(hole=24),
        'air': _chest(hole=0),
    }.items():
        _write_ct(write_dicom, tmp_path / name, pixels.astype('int16'))
    slices = LIDCSlices(tmp_path)
    assert slices.names == ['good']
    everything = LIDCSlices(tmp_path, select=False)
    broken = {}
    for name, s in zip(everything.names, everything.statistics, strict=True):
        broken[name] = [
            s['tv'] >= 0.15 * s['l1'] or s['tv'] >= 0.01,
            not 0.25 < s['max'] < 0.75,
            not s['circle'],
        ]
    assert broken == {
        'good': [False, False, False],
        'dark': [False, True, False],
        'metal': [False, True, False],
        'noisy': [True, False, False],
        'square': [False, False, True],
        'air': [False, False, True],
    }


def test_corners_of_a_circle_are_constant(tmp_path, write_dicom):
    """Unequal corners mean that the field of view is not circular."""
    pixels = _chest()
    pixels[0, 0] += 1
    _write_ct(write_dicom, tmp_path / 'a', pixels)
    (statistics,) = LIDCSlices(tmp_path, select=False).statistics
    assert statistics['circle'] is False


def test_ct_only(tmp_path, write_dicom):
    """The radiographs of the collection are left out."""
    _write_ct(write_dicom, tmp_path / 'ct', _chest())
    _write_ct(write_dicom, tmp_path / 'dx', _chest(), Modality='DX')
    assert LIDCSlices(tmp_path, select=False).names == ['ct']


def test_real_slice_has_a_circular_field_of_view(tmp_path):
    """A head CT whose corners are below air is selected."""
    shutil.copy(FILES / 'J2K_pixelrep_mismatch.dcm', tmp_path)
    slices = LIDCSlices(tmp_path, select=False)
    (statistics,) = slices.statistics
    assert statistics['circle']
    assert slices[0].min() >= 0
    assert slices[0].max() <= 1
    assert LIDCSlices(tmp_path).statistics == [statistics]


def test_selection_of_choice(tmp_path, write_dicom):
    """The statistics select subsets, and follow them."""
    for k in range(3):
        _write_ct(write_dicom, tmp_path / str(k), _chest(body=1000 + k))
    slices = LIDCSlices(tmp_path, select=False)
    l1 = [s['l1'] for s in slices.statistics]
    bright = slices.subset([i for i in range(3) if l1[i] > l1[0]])
    assert bright.names == ['1', '2']
    assert bright.statistics == slices.statistics[1:]


def _head(noise=0, spot=600):
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, N)
    pixels = _disc(0.7) * (500 + 100 * x[:, None])
    pixels += noise * rng.random(pixels.shape)
    pixels[N // 2, N // 2] = spot
    return pixels.astype('uint16')


def test_mr_is_relative_to_its_maximum(tmp_path, write_dicom):
    """Values are in [0, 1], and the largest is 1."""
    pixels = _head()
    write_dicom(tmp_path / 'a', pixels, Modality='MR', RescaleSlope=3)
    slices = FastMRISlices(tmp_path)
    expected = (pixels / pixels.max())[::-1].T
    assert np.allclose(slices[0], expected, rtol=1e-6)
    (statistics,) = slices.statistics
    assert statistics['scale'] == 3 * pixels.max()
    assert statistics['l1'] == pytest.approx(expected.mean())
    assert statistics['tv'] == pytest.approx(
        _total_variation(pixels / pixels.max())
    )


def test_mr_selection(tmp_path, write_dicom):
    """Slices with little signal or much noise are not selected."""
    for name, pixels in {
        'good': _head(),
        'dim': _head(spot=6000),
        'noisy': _head(noise=300),
        'black': np.zeros((N, N), 'uint16'),
    }.items():
        write_dicom(tmp_path / name, pixels, Modality='MR')
    assert FastMRISlices(tmp_path).names == ['good']
    everything = FastMRISlices(tmp_path, select=False)
    rules = {
        name: (s['l1'] > 0.13, s['tv'] < 0.15 * s['l1'])
        for name, s in zip(
            everything.names, everything.statistics, strict=True
        )
    }
    assert rules == {
        'good': (True, True),
        'dim': (False, True),
        'noisy': (True, False),
        'black': (False, False),
    }
    assert not everything[everything.names.index('black')].any()


def test_mr_of_one_series(tmp_path, write_dicom):
    """Descriptions and sizes choose among the series of a patient."""
    for name, size in (('AX T1', N), ('AX T2', N), ('AX T1 POST', N - 2)):
        pixels = np.ascontiguousarray(_head()[:size])
        write_dicom(
            tmp_path / name, pixels, Modality='MR', SeriesDescription=name
        )
    assert len(FastMRISlices(tmp_path)) == 3
    assert FastMRISlices(tmp_path, series='T1', size=(N, N)).names == ['AX T1']
    with pytest.raises(ValueError, match='AX T1 POST'):
        FastMRISlices(tmp_path, series='FLAIR')


def test_nothing_selected_is_an_error(tmp_path, write_dicom):
    """The error counts the slices that fail each rule."""
    write_dicom(tmp_path / 'a', _head(noise=300), Modality='MR')
    write_dicom(tmp_path / 'b', _head(noise=300), Modality='MR')
    with pytest.raises(
        ValueError, match='none of the 2 .* 0 fail L1 .* 2 fail TV'
    ):
        FastMRISlices(tmp_path)
