# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of images on other grids."""

import numpy as np
import pytest

from odl_equivariant.data.slices.grids import (
    crop_center,
    fit,
    grid_change,
)


def _wave(shape, phase=0.0):
    """Return a slow wave, the same on any grid."""
    x, y = ((np.arange(n) + 0.5 - n / 2) / max(shape) for n in shape)
    wave = np.cos(2 * np.pi * (x[:, None] + 0.5 * y) + phase)
    return (2 + wave).astype('float32')


def test_whole_factors_are_means():
    """If sides are divided by a whole number, pixels are averaged."""
    image = np.random.default_rng(0).normal(size=(12, 18)).astype('float32')
    expected = image.reshape(4, 3, 6, 3).mean(axis=(1, 3))
    assert np.allclose(fit(image, (4, 6)), expected, atol=1e-6)


def test_own_shape_changes_nothing():
    """An image of the right shape is returned unchanged."""
    image = _wave((8, 9))
    assert np.array_equal(fit(image, (8, 9)), image)


def test_other_proportions_are_cut_from_the_middle():
    """The middle of a longer axis is kept, and pixels stay square."""
    image = np.zeros((30, 10), 'float32')
    image[10:20] = np.arange(10)[:, None]
    expected = np.arange(10).reshape(5, 2).mean(axis=1)
    assert np.array_equal(fit(image, (5, 5))[:, 0], expected)


@pytest.mark.parametrize('shape', [(48, 48), (33, 33), (100, 100), (40, 20)])
def test_smooth_images_keep_their_values(shape):
    """A slow wave is the same wave on another grid, both ways."""
    fitted = fit(_wave((64, 64)), shape)
    inner = (slice(3, -3), slice(3, -3))
    assert fitted.shape == shape
    assert np.abs(fitted - _wave(shape))[inner].max() < 0.01


def test_fine_patterns_do_not_alias():
    """A chequerboard shrinks to its mean."""
    board = (np.indices((90, 90)).sum(axis=0) % 2).astype('float32')
    assert np.abs(fit(board, (40, 40)) - 0.5).max() < 0.06


def test_complex_images_are_two_real_ones():
    """Both parts of a complex image are resampled in the same way."""
    real, imag = _wave((32, 32)), _wave((32, 32), phase=1.0)
    image = (real + 1j * imag).astype('complex64')
    for shape in ((16, 16), (20, 20)):
        fitted = fit(image, shape)
        assert fitted.dtype == 'complex64'
        assert np.allclose(fitted.real, fit(real, shape))
        assert np.allclose(fitted.imag, fit(imag, shape))


@pytest.mark.parametrize('shape', [(8, 8), (8, 5), (3, 8), (7, 7)])
def test_crop_keeps_the_central_pixel(shape):
    """Pixel ``n // 2`` becomes pixel ``m // 2``."""
    image = np.arange(64).reshape(8, 8)
    cut = crop_center(image, shape)
    assert cut.shape == shape
    assert cut[shape[0] // 2, shape[1] // 2] == image[4, 4]


def test_crop_refuses_a_larger_shape():
    """The shape must not be larger than the image."""
    with pytest.raises(ValueError, match=r'\(8, 8\) .* \(9, 4\)'):
        crop_center(np.ones((8, 8)), (9, 4))


# --- A grid in millimetres --- #


def _moments(image, pixel):
    """Return the mass and the centre of an image, from its middle, in mm."""
    places = [
        (np.arange(n) - (n - 1) / 2) * side
        for n, side in zip(image.shape, pixel, strict=True)
    ]
    area = pixel[0] * pixel[1]
    mass = image.sum(dtype=complex) * area
    centre = [
        (image.sum(axis=1 - k, dtype=complex) @ place) * area / mass
        for k, place in enumerate(places)
    ]
    return mass, np.real(centre)


def _disc(shape, pixel, radius, at=(0, 0)):
    """Return a disc in millimetres on a grid."""
    x, y = (
        (np.arange(n) - (n - 1) / 2) * side - c
        for n, side, c in zip(shape, pixel, at, strict=True)
    )
    return (x[:, None] ** 2 + y**2 < radius**2).astype('float32')


@pytest.mark.parametrize('dtype', ['float32', 'complex64'])
@pytest.mark.parametrize('spacing', [(2, 2), (3.3, 2.7), (1, 1), (0.7, 0.4)])
@pytest.mark.parametrize('shape', [(64, 96), (65, 97), (64, 97)])
def test_mass_and_place_are_kept(shape, spacing, dtype):
    """A disc keeps its mass to 1e-5 and its place to 0.02 pixels."""
    pixel = (1.5, 0.9)
    image = _disc(shape, pixel, 25.0, (6.0, -4.0)).astype(dtype)
    if dtype == 'complex64':
        image *= 2 - 1j
    change = grid_change(shape, pixel, None, spacing)
    resampled = change(image, 0)
    assert resampled.dtype == dtype
    mass, centre = _moments(image, pixel)
    after, moved = _moments(resampled, spacing)
    assert abs(after - mass) < 1e-5 * abs(mass)
    assert np.abs(moved - centre).max() < 0.02 * max(spacing)
    assert np.abs(moved - [6, -4]).max() < 0.1


@pytest.mark.parametrize('spacing', [(3, 3), (2, 0.5), (0.9, 1.7), (5, 1)])
def test_constants_stay_constant(spacing):
    """Every row of weights has the sum 1, at the border as well."""
    image = np.full((31, 40), 2.5, 'float32')
    change = grid_change(image.shape, (1.0, 2.0), None, spacing)
    assert np.allclose(change(image, -7), 2.5, atol=1e-6)


@pytest.mark.parametrize('dtype', ['float32', 'complex64'])
def test_own_spacing_changes_nothing(dtype):
    """The grid that an image has leaves it bit by bit."""
    image = np.random.default_rng(0).normal(size=(7, 10)).astype(dtype)
    change = grid_change(image.shape, (0.7, 1.1), None, (0.7, 1.1))
    assert np.array_equal(change(image, 0), image)


@pytest.mark.parametrize('spacing', [(1.1, 2.3), (0.4, 0.9), (3.0, 0.5)])
def test_linear_functions_stay_linear(spacing):
    """A new pixel inside has the value of a linear function at its centre."""
    x, y = (np.arange(n) - (n - 1) / 2 for n in (31, 40))
    image = (2 * 0.8 * x[:, None] - 1.3 * y).astype('float32')
    change = grid_change(image.shape, (0.8, 1.3), None, spacing)
    x, y = (
        (np.arange(n) - (n - 1) / 2) * side
        for n, side in zip(change.shape, spacing, strict=True)
    )
    inner = (slice(3, -3), slice(3, -3))
    error = np.abs(change(image, 0) - (2 * x[:, None] - y))[inner]
    assert error.max() < 1e-4


@pytest.mark.parametrize('pixel', [0.7 + 1e-8, 0.70001])
def test_rounded_spacing_changes_nothing(pixel):
    """Sizes that differ by rounding are equal."""
    image = np.random.default_rng(0).normal(size=(7, 10)).astype('float32')
    change = grid_change(image.shape, (pixel, pixel), None, (0.7, 0.7))
    assert np.array_equal(change(image, 0), image)


@pytest.mark.parametrize('step', [1.3, 2.0, 2.5])
def test_fine_patterns_have_no_waves(step):
    """A chequerboard that shrinks keeps its mean, without slow waves."""
    board = (np.indices((90, 91)).sum(axis=0) % 2).astype('float32')
    change = grid_change(board.shape, (1.0, 1.0), None, (step, step))
    small = change(board, 0)
    n = len(small) // 5 * 5
    blocks = small[:n, :n].reshape(n // 5, 5, n // 5, 5).mean(axis=(1, 3))
    assert np.abs(blocks - 0.5).max() < 0.02


@pytest.mark.parametrize('shape', [(40, 40), (33, 34), (64, 96)])
def test_pixels_of_a_shape_are_square(shape):
    """A disc of 2 x 1 mm pixels is a disc on a grid of any shape."""
    old, pixel = (40, 90), (2.0, 1.0)
    image = _disc(old, pixel, 30.0)
    change = grid_change(old, pixel, shape, None)
    disc = change(image, 0)
    assert disc.shape == shape
    sides = [s * p for s, p in zip(change.step, pixel, strict=True)]
    assert np.isclose(*sides)
    widths = [(disc > 0.5).any(axis=k).sum() for k in (0, 1)]
    assert abs(widths[0] - widths[1]) <= 1
    # the field is the largest that fits
    field = [s * m for s, m in zip(sides, shape, strict=True)]
    assert np.isclose(np.divide(field, [80, 90]).max(), 1)


def test_square_pixels_are_fitted_as_ever():
    """For square pixels, a shape means what `fit` does, bit by bit."""
    image = np.random.default_rng(0).normal(size=(30, 41)).astype('float32')
    for shape in ((10, 10), (15, 20), (64, 50), (30, 41)):
        for pixel in (None, (0.7, 0.7)):
            change = grid_change(image.shape, pixel, shape, None)
            assert np.array_equal(change(image, 0), fit(image, shape))


@pytest.mark.parametrize('shape', [(20, 60), (21, 61), (64, 33)])
def test_shape_and_spacing_cut_and_fill(shape):
    """With both, pixels have the size, and the outside has the value."""
    image = np.ones((40, 40), 'float32')
    change = grid_change(image.shape, (1.0, 1.0), shape, (1.0, 1.0))
    framed = change(image, -3)
    assert framed.shape == shape
    inside = [min(40 + (n % 2), n) for n in shape]
    assert (framed == 1).sum() == inside[0] * inside[1]
    assert ((framed == 1) | (framed == -3)).all()
    assert np.array_equal(framed, framed[::-1, ::-1])


@pytest.mark.parametrize('spacing', [(0.0007, 0.0007), (700.0, 1.0)])
def test_spacing_in_another_unit_is_named(spacing):
    """Metres or micrometres instead of millimetres are an error."""
    for shape in (None, (512, 512)):
        with pytest.raises(ValueError, match='in millimetres'):
            grid_change((512, 512), (0.7, 0.7), shape, spacing)
