# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of noise that is added to data."""

import numpy as np
import odl
import pytest

from odl_equivariant.data import (
    CartesianMRI,
    Denoising,
    SparseViewCT,
    ellipse_phantom,
)
from odl_equivariant.elements import as_tensor
from odl_equivariant.uncertainty import GaussianNoise, PoissonNoise, bootstrap

SIZE = 100


def plane(dtype='float64', backend='numpy'):
    """Return a space of many pixels."""
    return odl.uniform_discr(
        [0, 0], [1, 1], (SIZE, SIZE), dtype=dtype, impl=backend
    )


@pytest.mark.parametrize('dtype', ['float32', 'complex64', 'complex128'])
def test_gaussian_noise_has_its_deviation(backend, dtype):
    """Real and imaginary part have the standard deviation sigma."""
    noisy = GaussianNoise(0.5)(plane(dtype, backend).zero(), rng=0)
    deviations = as_tensor(noisy)[0].flatten(1).std(1)
    assert np.allclose(deviations, 0.5, rtol=4 / SIZE)


def test_gaussian_noise_of_each_reading():
    """An array has a standard deviation for each reading."""
    space = odl.cn(3)
    noisy = GaussianNoise([0, 0, 1])(space.zero(), rng=0).asarray()
    assert np.all(noisy[:2] == 0)
    assert noisy[2].real != 0 != noisy[2].imag


def test_poisson_noise_has_its_variance(backend):
    """The variance of y is y times the gain, its mean is y."""
    noisy = as_tensor(
        PoissonNoise(1 / 20)(3 * plane(backend=backend).one(), rng=0)
    )
    assert np.isclose(noisy.mean(), 3, rtol=1e-2)
    assert np.isclose(noisy.var(), 3 / 20, rtol=6 / SIZE)


def test_poisson_noise_of_negative_values():
    """Values below 0 count nothing."""
    noisy = PoissonNoise(1 / 20)(-plane().one(), rng=0)
    assert np.all(noisy.asarray() == 0)


def test_noise_does_not_change_the_data():
    """Data without noise stay as they are."""
    for noise in (GaussianNoise(1), PoissonNoise(1)):
        data = plane().one()
        noise(data, rng=0)
        assert data == plane().one()


def test_noise_refuses_wrong_arguments():
    """Negative, complex and infinite levels are errors."""
    with pytest.raises(ValueError, match='sigma'):
        GaussianNoise(-1)
    with pytest.raises(ValueError, match='sigma'):
        GaussianNoise([1, np.nan])
    with pytest.raises(TypeError, match='sigma'):
        GaussianNoise([1j])
    with pytest.raises(ValueError, match='gain'):
        PoissonNoise(0)
    with pytest.raises(TypeError, match='counts are real'):
        PoissonNoise(1)(odl.cn(2).zero())


# --- That of acquisitions --- #


@pytest.mark.parametrize('n_photons', [1000, None])
def test_add_noise_of_tomography_is_that_of_simulate(backend, n_photons):
    """On data of the fine grid, the noise is that of a simulation."""
    acquisition = SparseViewCT(
        (8, 8), n_views=4, n_photons=n_photons, backend=backend
    )
    image = ellipse_phantom((16, 16), rng=0)
    fine = acquisition.fine_operator.domain.element(
        acquisition.fine_space.array_namespace.asarray(image)
    )
    clean = acquisition.operator.range.element(
        acquisition.fine_operator(fine).data
    )
    expected = as_tensor(acquisition.simulate(image, rng=3))
    found = as_tensor(acquisition.add_noise(clean, rng=3))
    assert np.array_equal(found, expected)


def test_add_noise_of_tomography_takes_negative_data():
    """Line integrals of transformed images may be negative."""
    acquisition = SparseViewCT((8, 8), n_views=4)
    data = -1e-3 * acquisition.operator.range.one()
    assert np.isfinite(acquisition.add_noise(data, rng=0).asarray()).all()


@pytest.mark.parametrize('n_coils', [None, 2])
def test_add_noise_of_mri_is_that_of_simulate(backend, n_coils):
    """Noise is added where k-space is sampled, as by a simulation."""
    maps = None if n_coils is None else np.ones((n_coils, 8, 8))
    acquisition = CartesianMRI((8, 8), coil_maps=maps, backend=backend)
    image = ellipse_phantom((8, 8), rng=0)
    clean = acquisition.operator(acquisition.ground_truth(image))
    expected = as_tensor(acquisition.simulate(image, rng=3))
    found = as_tensor(acquisition.add_noise(clean, rng=3))
    assert np.array_equal(found, expected)


def test_add_noise_of_mri_with_another_mask():
    """Samples outside of the mask need their own mask."""
    acquisition = CartesianMRI((8, 8), acceleration=4)
    mask = acquisition.draw_mask(rng=5)
    operator = acquisition.forward_operator(mask)
    clean = operator(acquisition.space.one())
    clean += operator(acquisition.ground_truth(ellipse_phantom((8, 8), rng=0)))
    with pytest.raises(ValueError, match='pass the `mask`'):
        acquisition.add_noise(clean, rng=0)
    noisy = acquisition.add_noise(clean, rng=0, mask=mask).asarray()
    sampled = np.broadcast_to(np.asarray(operator.mask, bool), (8, 8))
    assert np.all(noisy[~sampled] == 0)
    assert np.all(noisy[sampled] != 0)


def test_add_noise_of_denoising_is_that_of_simulate(backend):
    """Simulated images are the image and its noise."""
    acquisition = Denoising((8, 8), backend=backend)
    image = ellipse_phantom((8, 8), rng=0)
    expected = as_tensor(acquisition.simulate(image, rng=3))
    found = acquisition.add_noise(acquisition.ground_truth(image), rng=3)
    assert np.array_equal(as_tensor(found), expected)


def test_noise_of_a_subclass_must_be_its_own():
    """A class that simulates otherwise must say what its noise is."""

    class Blurred(SparseViewCT):
        def simulate(self, image, rng=None):
            return super().simulate(image, rng)

    acquisition = Blurred((8, 8), n_views=4)
    with pytest.raises(TypeError, match='define `add_noise'):
        bootstrap(acquisition.fbp_operator, acquisition.operator, acquisition)
