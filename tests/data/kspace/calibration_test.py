# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the sensitivities that are estimated from k-space."""

import numpy as np
import pytest

from odl_equivariant.data import (
    estimate_coil_maps,
    mr_phantom,
    simulated_coil_maps,
)
from odl_equivariant.data.kspace.calibration import calibration_block


def fourier(images):
    """Return the unitary transform, the zero frequency in the middle."""
    axes = (-2, -1)
    shifted = np.fft.ifftshift(images, axes)
    return np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'), axes)


def scan(shape, n_coils=4, seed=0):
    """Return where the object is, the true maps, and k-space."""
    image = mr_phantom(shape, seed)
    maps = simulated_coil_maps(shape, n_coils, seed).astype('complex128')
    return np.abs(image) > 0.1, maps, fourier(maps * image)


def error(found, maps, where):
    """Return the relative error, with the best phase at each pixel."""
    phase = np.exp(1j * np.angle((maps.conj() * found).sum(0)))
    difference = (found - phase * maps)[:, where]
    return np.linalg.norm(difference) / np.linalg.norm(maps[:, where])


@pytest.mark.parametrize('shape', [(64, 64), (61, 72)])
@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_maps_are_those_of_the_coils(shape, dtype):
    """Inside the object, maps agree to 2 %, up to a phase at each pixel."""
    inside, maps, kspace = scan(shape)
    found = estimate_coil_maps(kspace.astype(dtype))
    assert found.dtype == dtype and found.shape == maps.shape
    assert found.any(0)[inside].all()
    assert error(found, maps, inside) < 0.02


def test_maps_of_a_noisy_scan():
    """With noise of 3 % of the largest magnitude, they agree to 6 %."""
    inside, maps, kspace = scan((64, 64))
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *kspace.shape))
    found = estimate_coil_maps(kspace + 0.03 * (noise[0] + 1j * noise[1]))
    assert error(found, maps, inside) < 0.06


def test_maps_of_few_samples():
    """Only the middle of k-space counts."""
    inside, maps, kspace = scan((64, 64))
    mask = np.random.default_rng(0).random((64, 64)) < 0.1
    mask[20:45, 20:45] = True
    found = estimate_coil_maps(mask * kspace, calibration=25)
    expected = estimate_coil_maps(kspace, calibration=25)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_squares_of_maps_add_up_to_one(rng):
    """At each pixel the squares add up to 1, or all maps are zero."""
    _, _, kspace = scan((48, 40))
    squares = (np.abs(estimate_coil_maps(kspace)) ** 2).sum(0)
    assert np.all((np.abs(squares - 1) < 1e-6) | (squares == 0))
    assert (squares == 0).any()
    everywhere = estimate_coil_maps(kspace, crop=0)
    np.testing.assert_allclose((np.abs(everywhere) ** 2).sum(0), 1)


@pytest.mark.parametrize('n', [40, 41])
def test_estimation_turns_with_k_space(n):
    """The maps of turned k-space are the turned maps, on any grid."""
    _, _, kspace = scan((n, n), n_coils=3)
    # frequencies and pixels are periodic, with the middle at n // 2
    mirrored = (2 * (n // 2) - np.arange(n)) % n

    def turned(array):
        return array.swapaxes(1, 2)[:, mirrored]

    np.testing.assert_allclose(
        estimate_coil_maps(turned(kspace)),
        turned(estimate_coil_maps(kspace)),
        atol=1e-8,
    )


def test_estimation_does_not_depend_on_the_scale():
    """k-space times a positive number has the same maps."""
    _, _, kspace = scan((40, 40))
    np.testing.assert_allclose(
        estimate_coil_maps(1e-5 * kspace),
        estimate_coil_maps(kspace),
        atol=1e-8,
    )


def test_unitary_mixtures_of_coils_mix_the_maps(rng):
    """Virtual coils have the same mixtures of maps, up to a phase."""
    inside, _, kspace = scan((40, 40), n_coils=3)
    matrix, _ = np.linalg.qr(
        rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))
    )
    mixed = np.tensordot(matrix, estimate_coil_maps(kspace), 1)
    found = estimate_coil_maps(np.tensordot(matrix, kspace, 1))
    assert error(found, mixed, inside) < 1e-6


def test_block_is_the_sampled_middle():
    """The block is odd, centred, sampled, and at most as wide as asked."""
    sampled = np.zeros((20, 31), dtype=bool)
    sampled[6:16] = True
    assert calibration_block(sampled, 24) == (slice(6, 15), slice(4, 27))
    assert calibration_block(sampled, 6) == (slice(8, 13), slice(13, 18))
    sampled[9, 15] = False
    assert calibration_block(sampled, 24) == (slice(10, 11), slice(4, 27))
    sampled[10, 15] = False
    assert calibration_block(sampled, 24) is None


@pytest.mark.parametrize(
    'change, kind, match',
    [
        (lambda k: k.real, TypeError, 'complex'),
        (lambda k: k[0], ValueError, r'\(n_coils, nx, ny\)'),
        (lambda k: 0 * k, ValueError, 'zero everywhere'),
        (lambda k: k * np.nan, ValueError, 'infinite or not a number'),
        (lambda k: np.where(k == k[:, 20:21], 0, k), ValueError, 'middle'),
        (lambda k: k.transpose(1, 2, 0), ValueError, 'last axis'),
        (lambda k: k[:, :6], ValueError, '5 x 23 frequencies'),
    ],
)
def test_k_space_without_maps(change, kind, match):
    """What gives no maps is an error that says why."""
    _, _, kspace = scan((40, 40))
    with pytest.raises(kind, match=match):
        estimate_coil_maps(change(kspace))


@pytest.mark.parametrize(
    'threshold, match', [(0.02, 'more than one set'), (0.9, 'only noise')]
)
def test_noise_has_no_maps(rng, threshold, match):
    """In k-space of noise alone, any maps would do, or none."""
    noise = rng.standard_normal((2, 4, 64, 64))
    with pytest.raises(ValueError, match=match):
        estimate_coil_maps(noise[0] + 1j * noise[1], threshold=threshold)


@pytest.mark.parametrize(
    'options',
    [
        {'calibration': 1},
        {'kernel': 1},
        {'threshold': 2},
        {'crop': -1},
        {'sampled': np.zeros((40, 40))},
        {'sampled': np.ones((40, 4))},
        {'sampled': np.full((40, 40), 2)},
    ],
)
def test_wrong_options(options):
    """An option out of its range is an error that names it."""
    _, _, kspace = scan((40, 40))
    with pytest.raises(ValueError, match=next(iter(options))):
        estimate_coil_maps(kspace, **options)
