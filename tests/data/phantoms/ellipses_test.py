# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the random phantoms."""

import numpy as np
import odl
import pytest

from odl_equivariant.data import ellipse_phantom

KINDS = ('head', 'body', 'abstract')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', [(8, 8), (33, 64), (65, 31), (64, 64)])
def test_values_are_fractions_in_single_precision(kind, shape):
    """A phantom has the shape asked for and values in [0, 1]."""
    for seed in range(5):
        phantom = ellipse_phantom(shape, seed, kind)
        assert phantom.shape == shape
        assert phantom.dtype == np.float32
        assert phantom.min() >= 0 and phantom.max() <= 1


def test_seed_decides():
    """A seed, or a generator of that seed, draws one phantom."""
    first = ellipse_phantom((48, 48), 7)
    assert np.array_equal(first, ellipse_phantom((48, 48), 7))
    rng = np.random.default_rng(7)
    assert np.array_equal(first, ellipse_phantom((48, 48), rng))
    assert not np.array_equal(first, ellipse_phantom((48, 48), rng))
    assert not np.array_equal(first, ellipse_phantom((48, 48), 8))


def test_no_seed_draws_anew():
    """Without a seed, two phantoms differ."""
    assert not np.array_equal(
        ellipse_phantom((48, 48)), ellipse_phantom((48, 48))
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', [(64, 64), (95, 64), (64, 81)])
def test_body_is_surrounded_by_air(shape, kind):
    """The upper corners are exactly zero, and much of the image is not."""
    for seed in range(10):
        phantom = ellipse_phantom(shape, seed, kind)
        assert phantom[-3:, -3:].max() == 0
        assert phantom[:3, -3:].max() == 0
        assert 0.1 < np.mean(phantom > 0) < 0.95


@pytest.mark.parametrize('kind', KINDS)
def test_tissues_have_their_attenuation(kind):
    """Air, fat, soft tissue and bone each fill a part of the phantoms."""
    values = np.stack([ellipse_phantom((64, 64), s, kind) for s in range(30)])
    inside = values[values > 0]
    assert 0.2 < np.mean(values == 0) < 0.8
    assert 0.05 < np.mean((inside > 0.2) & (inside < 0.24)) < 0.6
    assert 0.25 < np.mean((inside > 0.24) & (inside < 0.29)) < 0.8
    assert 0.02 < np.mean(inside > 0.3) < 0.5


def test_same_seed_at_another_resolution():
    """A seed draws about the same phantom on a coarser grid."""
    for seed in range(5):
        fine = ellipse_phantom((256, 192), seed)
        coarse = ellipse_phantom((128, 96), seed)
        mean = fine.reshape(128, 2, 96, 2).mean(axis=(1, 3))
        assert abs(mean - coarse).mean() < 0.02


def test_bodies_stand_upright():
    """The spine of a trunk is at the back, which is down."""
    height = np.arange(64) - 31.5
    for seed in range(5):
        bone = ellipse_phantom((64, 64), seed, 'body') > 0.3
        assert (bone * height).sum() < 0


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_element_of_a_space(backend, dtype):
    """For a space, the phantom is the same as an element of it."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (31, 44), dtype=dtype, impl=backend
    )
    element = ellipse_phantom(space, 3)
    assert element in space
    assert np.array_equal(
        np.asarray(element.data), ellipse_phantom((31, 44), 3)
    )


@pytest.mark.parametrize(
    'space',
    [
        odl.uniform_discr([0, 0], [1, 1], (16, 16), dtype='complex64'),
        odl.uniform_discr(0, 1, 16),
        odl.uniform_discr([0] * 3, [1] * 3, (16, 16, 16)),
    ],
    ids=['complex', '1d', '3d'],
)
def test_other_spaces_are_refused(space):
    """Only real two-dimensional spaces hold phantoms."""
    with pytest.raises(ValueError, match='`space` must'):
        ellipse_phantom(space)


@pytest.mark.parametrize('shape', [(16,), (16, 16, 16), (7, 16), (16, 0)])
def test_other_shapes_are_refused(shape):
    """A shape that no phantom fits into is named."""
    with pytest.raises(ValueError, match='shape'):
        ellipse_phantom(shape)


@pytest.mark.parametrize('shape', [64, 'ab', None, (16.0, 16.0)])
def test_what_is_no_shape_is_refused(shape):
    """Anything but a shape or a space is a TypeError."""
    with pytest.raises(TypeError, match='`shape_or_space`.*2 whole numbers'):
        ellipse_phantom(shape)


def test_unknown_kind_is_refused():
    """The error of an unknown kind lists the known ones."""
    with pytest.raises(ValueError, match="'head', 'body', 'abstract'"):
        ellipse_phantom((16, 16), kind='foot')
