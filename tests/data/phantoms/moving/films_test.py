# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of the films of phantoms."""

import pickle

import numpy as np
import pytest

from odl_equivariant.data import (
    DynamicMRI,
    MovingPhantoms,
    SimulatedPairs,
    moving_phantom,
)
from odl_equivariant.data.phantoms.moving.scenes import (
    SCENES,
    Ellipse,
    draw,
)

each_motion = pytest.mark.parametrize('motion', list(SCENES))


@each_motion
@pytest.mark.parametrize('shape', [(24, 24), (20, 31)])
def test_values_and_motion(motion, shape):
    """Values are from 0 to 1, and every frame differs from the one before."""
    film = moving_phantom(shape, 6, motion, rng=3)
    assert film.shape == (*shape, 6) and film.dtype == np.float32
    assert film.min() >= 0 and 0.3 < film.max() <= 1
    assert np.abs(np.diff(film, axis=-1)).max((0, 1)).min() > 0.01


@each_motion
def test_periodic(motion):
    """The scene at the end of the period is that of its beginning."""
    scene = SCENES[motion](np.random.default_rng(1))
    first, last = (draw(scene(t), (24, 24)) for t in (0, 1))
    np.testing.assert_allclose(first, last, atol=1e-12)


@each_motion
def test_frames_do_not_depend_on_their_number(motion):
    """Twice as many frames show the same times, and those in between."""
    coarse = moving_phantom((24, 24), 5, motion, rng=2)
    fine = moving_phantom((24, 24), 10, motion, rng=2)
    np.testing.assert_array_equal(fine[..., ::2], coarse)


def test_a_quarter_of_the_period_is_a_quarter_turn():
    """The truth of the rotating film is known: it turns exactly."""
    film = moving_phantom((25, 25), 8, 'rotating', rng=0)
    for k in range(4):
        np.testing.assert_allclose(
            film[..., 2 * k], np.rot90(film[..., 0], k), atol=1e-6
        )


def test_the_wall_of_the_heart_keeps_its_area():
    """Wall and chamber are ellipses whose areas differ by a constant."""
    scene = SCENES['beating'](np.random.default_rng(0))
    walls = []
    for t in np.linspace(0, 1, 7):
        *_, outer, inner = scene(t)
        walls.append(outer.a * outer.b - inner.a * inner.b)
    np.testing.assert_allclose(walls, walls[0], rtol=1e-12)


def test_breathing_is_the_same_forward_and_backward():
    """A breath out is a breath in, reversed."""
    film = moving_phantom((24, 24), 7, 'breathing', rng=0)
    np.testing.assert_allclose(film[..., 1:], film[..., :0:-1], atol=1e-6)


def test_a_drawn_ellipse_has_its_area():
    """Pixels on the edge count in part, so that the area is right."""
    image = draw([Ellipse(1, 0.03, -0.1, 0.6, 0.4, 0.3)], (64, 64))
    area = image.sum() * (2 / 64) ** 2
    assert area == pytest.approx(np.pi * 0.6 * 0.4, rel=2e-3)


def test_phase_is_still_and_leaves_the_modulus():
    """A film with a phase has the modulus of that without."""
    real = moving_phantom((24, 24), 4, 'beating', rng=5)
    film = moving_phantom((24, 24), 4, 'beating', rng=5, phase=True)
    assert film.dtype == np.complex64
    np.testing.assert_allclose(np.abs(film), real, atol=1e-6)
    inside = real.min(-1) > 0.1
    phases = film[inside] / np.abs(film[inside])
    np.testing.assert_allclose(phases, phases[:, :1].repeat(4, 1), atol=1e-5)


def test_set_of_films():
    """A film depends on its index alone, also in a subset or a pickle."""
    films = MovingPhantoms(4, (16, 18), 3, phase=True, seed=7)
    part = pickle.loads(pickle.dumps(films)).subset([2])
    np.testing.assert_array_equal(part[0], films[2])
    assert part.names == ['film-2'] and films[2].shape == (16, 18, 3)
    assert np.abs(films[1] - films[2]).max() > 0.1
    assert films.with_shape((8, 9))[0].shape == (8, 9, 3)
    half = MovingPhantoms(4, (16, 18), 3, phase=True, seed=7, peak=0.5)
    np.testing.assert_allclose(half[2], 0.5 * films[2], rtol=1e-6)
    pairs = SimulatedPairs(films, DynamicMRI((16, 18), 3, 2, 0.1))
    assert pairs[1]['truth'].shape == (2, 16, 18, 3)


@pytest.mark.parametrize(
    'arguments, match',
    [
        (((4, 16), 3), 'at least 8'),
        (((16, 16), 0), 'n_frames'),
        (((16, 16), 3, 'jumping'), 'motion'),
        (((16, 16, 16), 3), 'shape'),
    ],
)
def test_wrong_arguments(arguments, match):
    """Sizes are positive, and motions have their names."""
    with pytest.raises(ValueError, match=match):
        moving_phantom(*arguments)
