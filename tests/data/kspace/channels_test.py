# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of prewhitening and of the compression of coils."""

import numpy as np
import pytest

from odl_equivariant.data import (
    coil_compression_matrix,
    mr_phantom,
    prewhitening_matrix,
    simulated_coil_maps,
)
from odl_equivariant.data.kspace.channels import mixed


def correlated(rng, n_coils=5, n=400):
    """Return noise whose channels depend on each other."""
    samples = rng.standard_normal((2, n_coils, n))
    mix = rng.standard_normal((2, n_coils, n_coils))
    return (mix[0] + 1j * mix[1]) @ (samples[0] + 1j * samples[1])


def covariance(noise):
    """Return the covariance of samples of several channels."""
    return noise @ noise.conj().T / noise.shape[1]


@pytest.mark.parametrize('scale', [1e-6, 1, 1e6])
@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_covariance_of_white_noise_is_the_identity(rng, scale, dtype):
    """After prewhitening, the noise has the covariance I."""
    noise = (scale * correlated(rng)).astype(dtype)
    white = prewhitening_matrix(noise) @ noise
    tol = 1e-4 if dtype == 'complex64' else 1e-10
    np.testing.assert_allclose(covariance(white), np.eye(5), atol=tol)


def test_prewhitening_of_white_noise_is_the_identity(rng):
    """What is white already stays as it is."""
    noise = correlated(rng)
    white = prewhitening_matrix(noise) @ noise
    np.testing.assert_allclose(
        prewhitening_matrix(white), np.eye(5), atol=1e-10
    )


def kspace_of(n_coils=6):
    """Return k-space of a phantom."""
    images = simulated_coil_maps((32, 32), n_coils, 0) * mr_phantom((32, 32))
    return np.fft.fft2(images, norm='ortho')


@pytest.mark.parametrize('energy', [0.5, 0.9, 0.999, 1])
def test_compression_keeps_the_energy_stated(energy):
    """The fewest virtual coils that keep the energy are taken."""
    kspace = kspace_of()
    matrix = coil_compression_matrix(kspace, energy=energy)

    def kept(matrix):
        return np.linalg.norm(mixed(matrix, kspace)) ** 2

    whole = np.linalg.norm(kspace) ** 2
    assert kept(matrix) >= (energy - 1e-6) * whole
    if len(matrix) > 1:
        assert kept(matrix[:-1]) < energy * whole


@pytest.mark.parametrize('n_coils', [1, 3, 6])
def test_rows_of_the_compression_are_orthonormal(n_coils):
    """White noise stays white, and all coils keep the energy."""
    matrix = coil_compression_matrix(kspace_of(), n_coils)
    assert matrix.shape == (n_coils, 6)
    np.testing.assert_allclose(
        matrix @ matrix.conj().T, np.eye(n_coils), atol=1e-10
    )


def test_compression_is_the_best_one(rng):
    """No other orthonormal rows keep more of the energy."""
    kspace = kspace_of()
    best = np.linalg.norm(mixed(coil_compression_matrix(kspace, 2), kspace))
    for _ in range(20):
        other = rng.standard_normal((2, 6, 2))
        other, _ = np.linalg.qr(other[0] + 1j * other[1])
        assert np.linalg.norm(mixed(other.conj().T, kspace)) <= best


@pytest.mark.parametrize(
    'noise, kind, match',
    [
        (np.ones((2, 9)), TypeError, 'complex'),
        (np.ones(9) + 0j, ValueError, r'\(n_coils, n_samples\)'),
        (np.ones((9, 2)) + 0j, ValueError, 'the first axis counts coils'),
        (np.full((2, 9), np.inf + 0j), ValueError, 'infinite'),
        (np.eye(2, 9) * [[1], [0]] + 0j, ValueError, 'coil 1 has no noise'),
        (np.ones((2, 9)) + 0j, ValueError, 'a combination'),
    ],
)
def test_noise_without_a_covariance(noise, kind, match):
    """What does not determine an invertible covariance is an error."""
    with pytest.raises(kind, match=match):
        prewhitening_matrix(noise)


@pytest.mark.parametrize(
    'options', [{}, {'n_coils': 2, 'energy': 0.9}, {'n_coils': 7}]
)
def test_wrong_numbers_of_virtual_coils(options):
    """Either a number or an energy is given, in its range."""
    with pytest.raises(ValueError, match='n_coils'):
        coil_compression_matrix(kspace_of(), **options)
