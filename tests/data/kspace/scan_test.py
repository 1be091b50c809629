# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of measured scans: k-space, coils, scales."""

import warnings

import numpy as np
import pytest

from odl_equivariant.data import (
    CartesianMRI,
    KspaceScan,
    mr_phantom,
    simulated_coil_maps,
)
from odl_equivariant.data.kspace.checks import split_axes

SHAPE = (48, 40)


def parts(n_coils=4, dtype='complex64'):
    """Return image, maps and k-space of a slice."""
    image = mr_phantom(SHAPE, 0, phase=True)
    maps = simulated_coil_maps(SHAPE, n_coils, 0)
    shifted = np.fft.ifftshift(maps * image, (1, 2))
    kspace = np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'), (1, 2))
    return image, maps, kspace.astype(dtype)


def few(kspace):
    """Return k-space with the middle and every third line, and its mask."""
    mask = np.arange(SHAPE[1]) % 3 == 0
    mask[12:29] = True
    return mask * kspace, mask[None]


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_acquisition_measures_like_the_scan(dtype):
    """The acquisition has the mask, the maps and the data of the scan."""
    image, maps, kspace = parts(dtype=dtype)
    kspace, mask = few(kspace)
    scan = KspaceScan(kspace, coil_maps=maps, field_of_view=(0.24, 0.2))
    acquisition = scan.acquisition()
    assert np.array_equal(acquisition.mask, mask)
    assert acquisition.side == 0.24
    y = scan.data(acquisition)
    difference = acquisition.operator(acquisition.ground_truth(image)) - y
    assert float(difference.norm()) < 1e-5 * float(y.norm())
    np.testing.assert_allclose(
        scan.zero_filled(), acquisition.zero_filled(y).asarray()
    )


def test_scale_can_be_undone():
    """Normalised images have the largest magnitude 1, times the scale."""
    _, maps, kspace = parts()
    raw = KspaceScan(3e-5 * kspace, coil_maps=maps, sigma=1e-6)
    scan = raw.normalised()
    image = raw.zero_filled()
    assert scan.scale == pytest.approx(np.abs(image).max(), rel=1e-6)
    assert np.abs(scan.zero_filled()).max() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(
        scan.scale * scan.zero_filled(), image, rtol=1e-4, atol=1e-11
    )
    assert scan.sigma * scan.scale == pytest.approx(1e-6)
    assert scan.normalised().scale == pytest.approx(scan.scale, rel=1e-5)
    assert scan.acquisition().sigma == scan.sigma


def test_scale_of_coils_without_maps():
    """Without maps, it is that of the root of the sum of squares."""
    _, _, kspace = parts()
    scan = KspaceScan(7 * kspace).normalised()
    assert np.abs(scan.zero_filled()).max() == pytest.approx(1, rel=1e-5)


def test_prewhitened_scan(rng):
    """Its noise is white, and its maps still fit its k-space."""
    image, maps, kspace = parts()
    mix = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    noise = rng.standard_normal((2, 4, 999))
    noise = (mix @ (noise[0] + 1j * noise[1])).astype('complex64')
    scan = KspaceScan(kspace, noise=noise, coil_maps=maps).prewhitened()
    np.testing.assert_allclose(
        scan.noise @ scan.noise.conj().T / 999, np.eye(4), atol=1e-4
    )
    assert scan.sigma == pytest.approx(0.5**0.5)
    np.testing.assert_allclose(scan.zero_filled(), image, atol=1e-3)
    same = KspaceScan(kspace, coil_maps=maps).prewhitened(noise)
    np.testing.assert_allclose(same.kspace, scan.kspace)


def test_compressed_scan():
    """Virtual coils of all energy have maps that fit their k-space."""
    image, maps, kspace = parts()
    scan = KspaceScan(kspace, coil_maps=maps).compressed(energy=0.99999)
    assert scan.n_coils <= 4
    np.testing.assert_allclose(scan.zero_filled(), image, atol=0.02)
    assert KspaceScan(kspace).compressed(2).n_coils == 2


def test_estimated_maps_combine_the_coils():
    """With estimated maps, the magnitude is that of the truth."""
    image, _, kspace = parts()
    found = KspaceScan(kspace).with_coil_maps().zero_filled()
    inside = np.abs(image) > 0.1
    difference = np.abs(found)[inside] - np.abs(image)[inside]
    assert np.linalg.norm(difference) < 0.01 * np.linalg.norm(image)


def test_one_coil_needs_no_maps():
    """k-space of one coil is that of the image."""
    image, _, _ = parts()
    shifted = np.fft.ifftshift(image)
    kspace = np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'))
    scan = KspaceScan(kspace.astype('complex64'))
    assert scan.kspace.shape == (1, *SHAPE)
    np.testing.assert_allclose(scan.zero_filled(), image, atol=1e-5)
    again = scan.with_coil_maps()
    np.testing.assert_allclose(again.zero_filled(), image, atol=1e-5)


def test_cropped_image():
    """The middle is cut out where the file says that the object is there."""
    _, _, kspace = parts()
    image = np.arange(48 * 40).reshape(SHAPE)
    scan = KspaceScan(kspace, image_shape=(24, 40))
    assert np.array_equal(scan.cropped(image), image[12:36])
    assert np.array_equal(KspaceScan(kspace).cropped(image), image)


def test_maps_that_vanish_where_the_object_is():
    """They are an error, and where they miss half of it a warning."""
    image, maps, kspace = parts()
    outside = maps * (np.abs(image) < 1e-3)
    with pytest.raises(ValueError, match='zero where 100%'):
        KspaceScan(kspace, coil_maps=outside, source='mine')
    half = maps.copy()
    half[:, :26] = 0
    with pytest.warns(UserWarning, match='of `kspace` comes from') as caught:
        KspaceScan(kspace, coil_maps=half)
    assert len(caught) == 1


@pytest.mark.parametrize(
    'change, match',
    [
        ({'mask': np.zeros(SHAPE)}, 'false everywhere'),
        ({'mask': np.eye(*SHAPE)}, 'samples where `mask` says'),
        ({'mask': np.ones((40, 48))}, r'must have the shape \(48, 40\)'),
        ({'coil_maps': np.ones((4, 40, 48))}, r'\(n_coils, 48, 40\)'),
        ({'coil_maps': np.ones((3, *SHAPE))}, '3 coils.* has 4'),
        ({'coil_maps': np.zeros((4, *SHAPE))}, 'zero everywhere'),
        ({'coil_maps': np.full((4, *SHAPE), np.nan)}, 'finite'),
        ({'noise': np.ones((3, 9))}, 'with 4 coils'),
        ({'kspace': np.zeros((4, *SHAPE)) + 0j}, 'zero everywhere'),
    ],
)
def test_parts_that_do_not_fit(change, match):
    """What does not fit k-space is an error that says so."""
    kspace = {'kspace': parts()[2]}
    with pytest.raises(ValueError, match=match):
        KspaceScan(**{**kspace, **change})


def test_maps_of_another_kind():
    """Maps of whole numbers, like a picture, are a TypeError."""
    with pytest.raises(TypeError, match='int64'):
        KspaceScan(parts()[2], coil_maps=np.ones((4, *SHAPE), dtype='int64'))


def test_what_a_scan_lacks_is_named():
    """Maps, noise and samples that are missing are errors."""
    kspace, _ = few(parts()[2])
    scan = KspaceScan(kspace, source='a.npy')
    with pytest.raises(ValueError, match='scan.with_coil_maps'):
        scan.acquisition()
    with pytest.raises(ValueError, match='a.npy has no samples of noise'):
        scan.prewhitened()
    with pytest.raises(ValueError, match='samples that `kspace` of a.npy'):
        scan.data(CartesianMRI(SHAPE, n_coils=4))
    with pytest.raises(ValueError, match=r'the shape \(48, 41\)'):
        scan.data(CartesianMRI((48, 41), n_coils=4))
    other = CartesianMRI(SHAPE, n_coils=3, mask=scan.mask)
    with pytest.raises(ValueError, match=r'\(3, 48, 40\)'):
        scan.data(other)


def test_pixels_that_are_not_square_are_said():
    """A warning has both sides; cells have that along the longer axis."""
    _, maps, kspace = parts()
    scan = KspaceScan(kspace, coil_maps=maps, field_of_view=(0.096, 0.16))
    assert scan.pixel == pytest.approx((0.002, 0.004))
    with pytest.warns(UserWarning, match='2 x 4 mm'):
        acquisition = scan.acquisition()
    assert np.allclose(acquisition.space.cell_sides, 0.002)


@pytest.mark.parametrize('axes', [(1,), (2,), (1, 2)])
def test_shifted_kspace_is_refused(axes):
    """Along one axis or both, the message says how to shift it back."""
    _, _, kspace = parts()
    shifted = np.fft.ifftshift(kspace, axes)
    with pytest.raises(ValueError, match='zero frequency must be at') as error:
        KspaceScan(shifted)
    assert f'np.fft.fftshift(kspace, {axes})' in str(error.value)
    assert np.array_equal(np.fft.fftshift(shifted, axes), kspace)


def test_coils_in_the_last_axis_are_refused():
    """The first axis counts coils, not the last one."""
    _, _, kspace = parts()
    with pytest.raises(ValueError, match=r'moveaxis\(kspace, -1, 0\)'):
        KspaceScan(np.moveaxis(kspace, 0, -1))


@pytest.mark.parametrize('size', [1e-25, 1e25])
@pytest.mark.parametrize('with_maps', [False, True])
def test_any_size_of_numbers(size, with_maps):
    """Numbers whose squares are 0 or infinite give the same image."""
    _, maps, kspace = parts()
    maps = maps if with_maps else None
    usual = KspaceScan(kspace, coil_maps=maps).normalised()
    scan = KspaceScan(
        (size * kspace.astype(complex)).astype('complex64'), coil_maps=maps
    ).normalised()
    np.testing.assert_allclose(
        scan.zero_filled(), usual.zero_filled(), atol=1e-5
    )
    assert scan.scale == pytest.approx(size * usual.scale, rel=1e-5)


def test_scale_in_double_precision():
    """``scale`` times k-space is what was measured, to rounding."""
    _, maps, kspace = parts(dtype='complex128')
    scan = KspaceScan(kspace, coil_maps=maps).normalised()
    np.testing.assert_allclose(scan.scale * scan.kspace, kspace, rtol=1e-14)


@pytest.mark.parametrize('shape', [(48, 40), (63, 65)])
@pytest.mark.parametrize('axes', [(), (0,), (1,), (0, 1)])
def test_images_that_are_split_are_said(axes, shape):
    """An image that was transformed without a shift, and how to undo that."""
    image = mr_phantom(shape, 0, phase=True)
    shifted = np.fft.ifftshift(image, [a for a in (0, 1) if a not in axes])
    kspace = np.fft.fftshift(np.fft.fft2(shifted))
    kspace[:, 1::2][:, abs(np.arange(1, shape[1], 2) - shape[1] // 2) > 8] = 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        KspaceScan(kspace).acquisition()
    named = ' and '.join(f'axis {axis}' for axis in axes)
    assert len(said) == bool(axes)
    if axes:
        assert f'split at its edges along {named}, as' in str(said[0].message)
        assert said[0].filename == __file__
    for axis in axes:
        sign = (-1.0) ** np.arange(shape[axis])
        kspace = kspace * np.expand_dims(sign, 1 - axis)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        KspaceScan(kspace).acquisition()


@pytest.mark.parametrize('shape', [(48, 40), (63, 65)])
@pytest.mark.parametrize('kind', ['full', 'hollow'])
def test_full_and_hollow_images_are_not_split(kind, shape):
    """The middle of one is not empty, and the edges of the other are."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing='ij')
    image = np.ones(shape)
    if kind == 'hollow':
        # two objects beside the middle of both axes
        image = 1.0 * (np.hypot(abs(x + y), abs(x - y) - 1) < 0.4)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))
    assert split_axes(kspace[None]) == ()
