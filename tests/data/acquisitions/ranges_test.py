# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the check that images are in the unit of an acquisition."""

import pickle
import re
import warnings

import nibabel
import numpy as np
import pytest

from odl_equivariant.data import (
    CartesianMRI,
    CompressedSensing,
    Deblurring,
    Denoising,
    Inpainting,
    NiftiSlices,
    Phantoms,
    SimulatedPairs,
    SparseViewCT,
    SuperResolution,
    ellipse_phantom,
    mr_phantom,
    sample_ct_slice,
)
from odl_equivariant.data.acquisitions.ranges import named

SHAPE = (32, 32)
CT = {'n_views': 12}
NOISY = [
    Denoising,
    Deblurring,
    SuperResolution,
    CompressedSensing,
    lambda shape: Inpainting(shape, sigma=0.01),
]


def _body(shape=(64, 64)):
    return ellipse_phantom(shape, 0)


def _head():
    """Return Hounsfield units of a head."""
    return sample_ct_slice().asarray()[::8, ::8]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('factor', [81.35858, 255, 519, 4096])
def test_images_that_no_photon_goes_through(dtype, backend, factor):
    """Images in 1 / m or bytes give a warning with numbers and advice."""
    acquisition = SparseViewCT(SHAPE, dtype=dtype, backend=backend, **CT)
    with pytest.warns(UserWarning, match='of these rays carry less') as found:
        acquisition.simulate(factor * _body(), rng=0)
    message = str(found[0].message)
    assert f'reaches {factor * _body().max():.3g}' in message
    assert 'Divide attenuation in 1 / m by 81.3586' in message
    assert found[0].filename == __file__


@pytest.mark.parametrize('image', ['shifted', 'negative'])
def test_hounsfield_units(image):
    """Shifted Hounsfield units give a warning; negative ones are refused."""
    acquisition = SparseViewCT(SHAPE, **CT)
    units = _head()
    if image == 'shifted':
        with pytest.warns(UserWarning, match='Hounsfield units h become max'):
            acquisition.simulate(np.maximum(units + 1024, 0), rng=0)
    else:
        with pytest.raises(ValueError, match='Hounsfield units h become max'):
            acquisition.simulate(units)


def test_images_converted_as_it_is_said_are_right():
    """After the conversion that the warning advises there is no warning."""
    acquisition = SparseViewCT(SHAPE, **CT)
    image = np.maximum(20 + 0.01998 * _head(), 0) / 81.3586
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        acquisition.simulate(image, rng=0)
    expected = sample_ct_slice('relative').asarray()[::8, ::8]
    assert np.allclose(np.clip(image, 0, 1), expected, atol=1e-5)


@pytest.mark.parametrize('factor', [1e-4, 1e-6])
def test_images_that_are_below_the_noise(factor):
    """An image whose exponents are below the noise gives a warning."""
    acquisition = SparseViewCT(SHAPE, **CT)
    with pytest.warns(UserWarning, match='only noise'):
        acquisition.simulate(factor * _body(), rng=0)


def test_images_without_noise():
    """Without noise, the mean exponent alone decides."""
    acquisition = SparseViewCT(SHAPE, n_photons=None, **CT)
    with pytest.warns(UserWarning, match='the exponent of the rays'):
        acquisition.simulate(255 * _body())
    assert acquisition.simulate(1e-4 * _body()).norm() > 0


def test_no_photon_at_all():
    """If no ray carries a photon, there is an error."""
    acquisition = SparseViewCT(SHAPE, n_detectors=1, **CT)
    with pytest.raises(ValueError, match='100 % of these rays carry less'):
        acquisition.simulate(255 * _body(), rng=0)


@pytest.mark.parametrize('n_photons', [100.0, 1e4, 1e6])
@pytest.mark.parametrize('side', [0.2, 0.36, 0.5])
def test_bodies_are_in_range(n_photons, side):
    """Phantoms, a head and blank images give no warning at any dose."""
    acquisition = SparseViewCT(SHAPE, n_photons=n_photons, side=side, **CT)
    images = [ellipse_phantom((64, 64), seed) for seed in range(4)]
    images += [np.zeros((64, 64))]
    images += [sample_ct_slice('relative').asarray()[::8, ::8]]
    for image in images:
        # a warning is an error
        data = acquisition.simulate(image, rng=0).asarray()
        assert np.isfinite(data).all()


def test_each_kind_is_said_once():
    """A second image of the same kind gives no warning, another kind does."""
    acquisition = SparseViewCT(SHAPE, **CT)
    with pytest.warns(UserWarning) as found:
        for factor in (255, 255, 1e-4, 300, 1e-4, 1):
            acquisition.simulate(factor * _body(), rng=0)
    assert len(found) == 2
    copy = pickle.loads(pickle.dumps(acquisition))
    with pytest.warns(UserWarning, match='carry less'):
        copy.simulate(255 * _body(), rng=0)


def test_pairs_name_the_file(tmp_path):
    """In training, the warning names the image: the file and the slice."""
    volume = np.stack([519 * _body(), 400 * _body()], axis=2)
    path = tmp_path / 'sub-01.nii'
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    slices = NiftiSlices(path)
    for acquisition in (SparseViewCT(SHAPE, **CT), CartesianMRI((64, 64))):
        pairs = SimulatedPairs(slices, acquisition)
        with pytest.warns(UserWarning, match=r'sub-01\.nii#1') as found:
            pairs[1]
            pairs[0]
        assert len(found) == 1
    # the name is that of the pair alone
    with pytest.warns(UserWarning, match='^the image reaches'):
        SparseViewCT(SHAPE, **CT).simulate(519 * _body(), rng=0)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('phase', [1, 1j])
def test_noise_above_the_image(dtype, backend, phase):
    """Values of 1e-5 give a warning with the noise and advice."""
    acquisition = CartesianMRI((33, 32), dtype=dtype, backend=backend)
    image = 1e-5 * phase * mr_phantom((33, 32), 0)
    times = re.escape(f'{0.03 / abs(image).max():.3g} times as much')
    with pytest.raises(ValueError, match=f'{times}.*Divide images by one'):
        acquisition.simulate(image, rng=0)
    # one of a data set may be nearly empty, and ends no training
    with pytest.warns(UserWarning, match=f'a.npy.*{times}.*Divide images'):
        with named('a.npy'):
            acquisition.simulate(image, rng=0)


def test_noise_of_the_size_of_the_image():
    """Noise above the image gives one warning, at the user's line."""
    acquisition = CartesianMRI(SHAPE)
    with pytest.warns(UserWarning, match='times as much') as found:
        acquisition.simulate(1e-2 * mr_phantom(SHAPE, 0), rng=0)
    assert found[0].filename == __file__
    acquisition.simulate(1e-2 * mr_phantom(SHAPE, 0), rng=0)


@pytest.mark.parametrize('factor', [255, 4096])
@pytest.mark.parametrize('make', [CartesianMRI, *NOISY])
def test_noise_that_is_no_noise(factor, make):
    """Images as bytes, or in units of scanners, give a warning."""
    acquisition = make(SHAPE)
    with pytest.warns(UserWarning, match='only .*Divide images by one number'):
        acquisition.simulate(factor * mr_phantom(SHAPE, 0), rng=0)


@pytest.mark.parametrize('make', NOISY)
def test_image_in_the_noise(make):
    """An image far below the noise is refused, and a usual one silent."""
    image = mr_phantom(SHAPE, 0)
    make(SHAPE).simulate(image, rng=0)
    with pytest.raises(ValueError, match='times as much. Divide images'):
        make(SHAPE).simulate(1e-6 * image, rng=0)


@pytest.mark.parametrize(
    ('factor', 'sigma'),
    [(1, 0.03), (1, 1e-6), (0.05, 0.03), (255, 8), (1e-5, 0), (0, 0.03)],
)
def test_noise_in_range(factor, sigma):
    """Usual noise, no noise and blank images give no warning."""
    acquisition = CartesianMRI(SHAPE, sigma=sigma)
    image = factor * mr_phantom(SHAPE, 0)
    truth = SimulatedPairs([image], acquisition)[0]['truth']
    assert np.allclose(truth[0], image.real, atol=1e-6)


def test_data_do_not_depend_on_the_check():
    """The check does not change the data."""
    acquisition = CartesianMRI(SHAPE, acceleration=1, center_fraction=0)
    image = mr_phantom(SHAPE, 0)
    image /= image.max()
    clean = CartesianMRI(SHAPE, 1, 0, sigma=0).simulate(image)
    noise = np.random.default_rng(5).standard_normal((2, *SHAPE))
    expected = clean.asarray() + 0.03 * (noise[0] + 1j * noise[1])
    data = acquisition.simulate(image, rng=5).asarray()
    assert np.allclose(data, expected, atol=1e-6)


def test_pairs_of_phantoms_are_silent():
    """The default phantoms of training give no warning."""
    pairs = SimulatedPairs(Phantoms(3, (64, 64)), SparseViewCT(SHAPE, **CT))
    assert all(pairs[i]['truth'].max() > 0 for i in range(3))
