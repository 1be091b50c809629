# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Coil maps of another scan are said, and those of the scan are not."""

import warnings

import numpy as np
import pytest

from odl_equivariant.data import KspaceScan, mr_phantom, simulated_coil_maps
from odl_equivariant.data.kspace.coil_check import doubt_of_coil_maps


def scan_of(shape=(64, 56), n_coils=4, noise=0.0, dtype='complex64', seed=0):
    """Return a scan of every third line and the middle, and its maps."""
    maps = simulated_coil_maps(shape, n_coils, seed)
    images = np.fft.ifftshift(maps * mr_phantom(shape, seed), (1, 2))
    kspace = np.fft.fftshift(np.fft.fft2(images, norm='ortho'), (1, 2))
    parts = np.random.default_rng(seed).normal(size=(2, *kspace.shape))
    kspace = kspace + noise * (parts[0] + 1j * parts[1])
    lines = np.arange(shape[1])
    lines = (lines % 3 == 0) | (abs(lines - shape[1] // 2) <= 9)
    return KspaceScan((lines * kspace).astype(dtype)), maps


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
@pytest.mark.parametrize('noise', [0.0, 0.02, 0.2])
@pytest.mark.parametrize('n_coils', [1, 2, 4, 8])
@pytest.mark.parametrize('shape', [(64, 56), (65, 65), (129, 48)])
def test_right_maps_are_silent(shape, n_coils, noise, dtype):
    """Noise, a factor of all coils and a phase of pixels are no fault."""
    for seed in range(3):
        scan, maps = scan_of(shape, n_coils, noise, dtype, seed)
        rng = np.random.default_rng(seed)
        free = 1e3 * np.exp(2j * np.pi * rng.random(shape))
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            for factor in (1, free):
                scan.with_coil_maps(factor * maps).acquisition()


def test_estimated_maps_are_silent():
    """Maps that k-space itself has made explain it."""
    scan, _ = scan_of()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for options in ({}, {'kernel': 4}, {'crop': 0}):
            scan.with_coil_maps(**options).acquisition()


CHANGES = {
    'conjugated': np.conj,
    'coils are in reversed order': lambda maps: maps[::-1],
    'axis 0 of an image is reversed': lambda maps: np.roll(
        maps[:, ::-1], 1, 1
    ),
    'axis 1 of an image is reversed': lambda maps: maps[:, :, ::-1],
    'axes of an image are swapped': lambda maps: maps.swapaxes(1, 2),
    'numpy.fft.fftshift': lambda maps: np.fft.ifftshift(maps, (1, 2)),
    r'shifted by \(-5, 7\) pixels': lambda maps: np.roll(
        maps, (5, -7), (1, 2)
    ),
    'phases are missing': abs,
    'another scan': lambda maps: simulated_coil_maps((64, 64), 4, 9),
    'another order': lambda maps: maps[[1, 0, 3, 2]],
}


@pytest.mark.parametrize('name', CHANGES)
def test_wrong_maps_are_named(name):
    """A warning at the line of the user says what the maps seem to be."""
    # an even and an odd side
    shape = (64, 64) if 'axis 1' not in name else (64, 57)
    scan, maps = scan_of(shape)
    changed = CHANGES[name](maps)
    wrong = scan.with_coil_maps(changed)
    with pytest.warns(UserWarning, match=name) as record:
        wrong.acquisition()
    assert len(record) == 1 and record[0].filename == __file__
    assert 'coil maps do not fit' in str(record[0].message)


def test_a_shift_of_two_pixels_is_said():
    """Small shifts of maps change little of k-space, and are found."""
    scan, maps = scan_of((64, 64), 8)
    for shift in ((2, 0), (0, 3), (-3, 2)):
        moved = scan.with_coil_maps(np.roll(maps, shift, (1, 2)))
        with pytest.warns(UserWarning, match='if they are shifted by'):
            moved.acquisition()


def test_zero_maps_say_nothing():
    """Where there is no object, maps of zero are no fault."""
    scan, maps = scan_of()
    maps = maps * (abs(mr_phantom((64, 56), 0)) > 0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        scan.with_coil_maps(maps).acquisition()


@pytest.mark.parametrize('seed', [1, 2, 5, 7])
def test_noise_has_no_shift(seed):
    """Maps of a part of an object fit noise as well elsewhere."""
    shape = (48, 64)
    scan, maps = scan_of(shape, 2, 2.0, seed=seed)
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing='ij')
    mask = np.broadcast_to(scan.mask, shape)
    part = maps * (x**2 + y**2 < 0.09)
    assert 'shifted' not in doubt_of_coil_maps(scan.kspace, mask, part)


@pytest.mark.parametrize('unit', [1e-180, 1e150])
def test_units_do_not_matter(unit):
    """Numbers whose squares are none of double precision are compared."""
    scan, maps = scan_of(dtype='complex128')
    maps = maps.astype('complex128')
    mask = np.broadcast_to(scan.mask, scan.shape)
    for factors in ((unit, 1), (1, unit), (unit, unit)):
        kspace, other = factors[0] * scan.kspace, factors[1] * maps
        assert not doubt_of_coil_maps(kspace, mask, other)
        doubt = doubt_of_coil_maps(kspace, mask, other.conj())
        assert 'if they are conjugated' in doubt
    # nothing in the middle says nothing
    empty = np.zeros_like(scan.kspace)
    assert not doubt_of_coil_maps(empty, mask, maps)


def test_small_images():
    """A middle of a few frequencies is not judged."""
    for n in (2, 5, 8, 9, 12):
        kspace = np.random.default_rng(0).normal(size=(2, 2, n, n))
        kspace = kspace[0] + 1j * kspace[1]
        sampled = np.ones((n, n), dtype=bool)
        assert not doubt_of_coil_maps(kspace, sampled, np.ones_like(kspace))


def test_shifts_in_noise_are_not_said():
    """Where maps are not zero, noise is explained by any shift as well."""
    shape = 33, 31
    x, y = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing='ij')
    image = np.exp(-((x - 0.4) ** 2 + (y + 0.3) ** 2) / 0.1)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        maps = simulated_coil_maps(shape, 2, seed)
        images = np.fft.ifftshift(maps * image, (1, 2))
        kspace = np.fft.fftshift(np.fft.fft2(images, norm='ortho'), (1, 2))
        parts = rng.normal(size=(2, *kspace.shape))
        kspace = kspace + 2 * (parts[0] + 1j * parts[1])
        sampled = np.ones(shape, dtype=bool)
        assert not doubt_of_coil_maps(kspace, sampled, maps * (image > 0.02))
