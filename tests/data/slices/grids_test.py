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

from odl_equivariant.data.slices.grids import crop_center, fit


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
