# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the canvas on which phantoms are drawn."""

import numpy as np
import pytest

from odl_equivariant.data._fields import random_texture
from odl_equivariant.data.phantoms.canvas import Canvas


@pytest.mark.parametrize('angle', [0.0, 0.7, -2.0])
@pytest.mark.parametrize('power', [2.0, 2.5, 4.0, 8.0])
@pytest.mark.parametrize('warp', [0.0, 0.12, 0.8])
def test_shape_is_drawn_whole_and_nothing_else(angle, power, warp):
    """A shape covers the pixels its formula holds for, in any window."""
    canvas = Canvas((64, 45))
    canvas.warp(np.random.default_rng(1), warp)
    center, axes = (0.2, -0.1), (0.5, 0.2)
    dx, dy = canvas.x - center[0], canvas.y - center[1]
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / axes[0]
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / axes[1]
    level = abs(u) ** power + abs(v) ** power
    canvas.fill(center, axes, 1.0, angle, power)
    # Rounding may decide about pixels on the very edge.
    clear = abs(level - 1) > 1e-5
    assert np.array_equal((canvas.image == 1)[clear], (level < 1)[clear])
    assert 0 < canvas.image.sum() < canvas.image.size


def test_warp_stays_within_its_amount():
    """No coordinate moves by more than the amount asked for."""
    plain, bent = Canvas((40, 40)), Canvas((40, 40))
    bent.warp(np.random.default_rng(0), 0.1)
    shift = np.maximum(abs(bent.x - plain.x), abs(bent.y - plain.y))
    assert 0.005 < shift.max() <= 0.1


def test_axes_point_right_and_up():
    """A shape at positive x and y lies at high indices of both axes."""
    canvas = Canvas((32, 32))
    canvas.fill((0.5, 0.25), (0.2, 0.2), 1.0)
    i, j = (
        (canvas.image * np.arange(32)[:, None]).sum(),
        (canvas.image * np.arange(32)).sum(),
    )
    mass = canvas.image.sum()
    assert i / mass == pytest.approx(23.5, abs=0.3)
    assert j / mass == pytest.approx(19.5, abs=0.3)


def test_mask_limits_what_is_touched():
    """With `where`, pixels outside of the mask stay as they are."""
    canvas = Canvas((32, 32))
    where = canvas.x < 0
    for options in ({}, {'soft': 0.5}, {'add': True}):
        canvas.fill((0, 0), (0.5, 0.5), 1.0, where=where, **options)
    canvas.ring((0, 0), (0.5, 0.5), 1.0, 0.2, where=where)
    canvas.line((-0.9, 0), (0.9, 0), 1.0, 0.1, where=where)
    assert canvas.image[where].sum() > 0
    assert canvas.image[~where].sum() == 0


def test_soft_edge_rises_from_the_rim_to_the_centre():
    """A soft shape is zero at its rim and full in its middle."""
    canvas = Canvas((101, 101))
    canvas.fill((0, 0), (0.8, 0.8), 1.0, soft=0.5)
    profile = canvas.image[50:, 50]
    assert profile[0] == 1
    assert np.all(np.diff(profile) <= 0)
    assert len(np.unique(profile)) > 10


def test_sector_limits_a_ring():
    """A ring with a sector is drawn between the two angles only."""
    canvas = Canvas((64, 64))
    canvas.ring((0, 0), (0.6, 0.6), 1.0, 0.1, sector=(-2.0, -1.0))
    bearing = np.arctan2(canvas.y, canvas.x)[canvas.image > 0]
    assert bearing.size > 10
    assert bearing.min() >= -2.0 and bearing.max() <= -1.0


def test_blur_keeps_constants_and_the_air():
    """Smoothing keeps constant images, and zeros that are far from all."""
    canvas = Canvas((9, 12))
    canvas.image[...] = 0.5
    canvas.blur(3)
    assert np.allclose(canvas.image, 0.5)
    canvas.image[...] = 0
    canvas.image[4, 6] = 1
    canvas.blur(1)
    assert np.count_nonzero(canvas.image) == 9
    assert canvas.image[4, 6] == pytest.approx(0.25)


@pytest.mark.parametrize('shape', [(64, 64), (63, 50), (20, 65)])
def test_texture_is_normalised(shape):
    """A texture has mean 0, standard deviation 1 and the shape asked for."""
    texture = random_texture(shape, np.random.default_rng(0), 2, 10)
    assert texture.shape == shape and texture.dtype == np.float32
    assert texture.mean() == pytest.approx(0, abs=1e-5)
    assert texture.std() == pytest.approx(1, abs=1e-4)


def test_texture_is_limited_to_its_band():
    """No frequency outside of the band is present."""
    texture = random_texture((64, 64), np.random.default_rng(0), 5, 9)
    power = abs(np.fft.fft2(texture)) ** 2
    index = np.fft.fftfreq(64, 1 / 64)
    frequency = np.hypot(index[:, None], index[None, :])
    outside = (frequency < 5) | (frequency > 9)
    assert power[outside].sum() < 1e-8 * power.sum()
