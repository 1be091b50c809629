# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of the groups of space-time."""

import itertools

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import (
    group_actions,
    space_time_actions,
    time_reversal,
    time_shift,
)
from odl_equivariant.functionals import InvariantTotalVariation

CASES = [
    ('numpy', 'float32', (5, 5, 4)),
    ('pytorch', 'float64', (4, 4, 3)),
    ('numpy', 'complex128', (4, 4, 6)),
    ('pytorch', 'complex64', (5, 5, 3)),
]


@pytest.fixture(params=CASES, ids=lambda case: '-'.join(map(str, case)))
def space(request):
    """Films whose frames have another length than the pixels."""
    impl, dtype, shape = request.param
    return odl.uniform_discr(
        [-1, -1, 0], [1, 1, 0.7 * shape[2]], shape, dtype=dtype, impl=impl
    )


def random(space, seed=0):
    """Return a random film."""
    rng = np.random.default_rng(seed)
    array = rng.normal(size=space.shape)
    if space.is_complex:
        array = array + 1j * rng.normal(size=space.shape)
    array = array.astype(space.dtype_identifier)
    if space.impl == 'pytorch':
        array = torch.from_numpy(array)
    return space.element(array)


def array_of(film):
    """Return the numbers of a film."""
    return np.asarray(film.data)


@pytest.mark.parametrize('group, order', [('C4', 4), ('D4', 8), ('C1', 1)])
def test_order(space, group, order):
    """There are |H| times twice the number of frames, all different."""
    actions = space_time_actions(space, group)
    assert len(set(actions)) == len(actions) == 2 * order * space.shape[2]
    identity = actions[0]
    np.testing.assert_array_equal(
        array_of(identity(random(space))), array_of(random(space))
    )


def test_closed_under_product_and_inverse(space):
    """Products and inverses of elements are elements."""
    actions = set(space_time_actions(space, 'C4'))
    assert {action.inverse for action in actions} == actions
    few = sorted(actions, key=str)[::7]
    for left, right in itertools.product(actions, few):
        assert left @ right in actions


def test_homomorphism(space):
    """The product acts as one element after the other, exactly."""
    x = random(space)
    actions = space_time_actions(space, 'D4')[1::5]
    for left, right in itertools.product(actions[::2], actions[::3]):
        np.testing.assert_array_equal(
            array_of((left @ right)(x)), array_of(left(right(x)))
        )


def test_inverse_is_exact(space):
    """The inverse undoes an element to the last bit."""
    x = random(space)
    for action in space_time_actions(space, 'D4'):
        assert action.is_exact
        np.testing.assert_array_equal(
            array_of(action.inverse(action(x))), array_of(x)
        )


def test_isometry_with_adjoint(space):
    """Elements keep inner products, and the adjoint is the inverse."""
    x, y = random(space), random(space, 1)
    for action in space_time_actions(space, 'C4')[::3]:
        assert action.is_isometry and action.norm() == 1
        assert action.adjoint == action.inverse
        gap = complex(action(x).inner(y)) - complex(x.inner(action.adjoint(y)))
        assert abs(gap) < 1e-5 * float(x.norm()) * float(y.norm())


def test_frames_move_as_in_the_plane(space):
    """A turn acts on each frame as it does on an image."""
    x = random(space)
    axes = {'impl': space.impl, 'dtype': space.dtype_identifier}
    plane = odl.uniform_discr([-1, -1], [1, 1], space.shape[:2], **axes)
    films = space_time_actions(space, 'D4', None, reversal=False)
    for film, image in zip(films, group_actions(plane, 'D4'), strict=True):
        moved = array_of(film(x))
        for t in range(space.shape[2]):
            frame = image(plane.element(x.data[..., t] + 0))
            np.testing.assert_array_equal(moved[..., t], array_of(frame))


def test_shift_and_reversal_of_frames(space):
    """A shift rolls the frames, and the reversal flips them."""
    x = random(space)
    np.testing.assert_array_equal(
        array_of(time_shift(space, 2)(x)), np.roll(array_of(x), 2, -1)
    )
    np.testing.assert_array_equal(
        array_of(time_reversal(space)(x)), array_of(x)[..., ::-1]
    )


def test_reversal_turns_shifts_around(space):
    """With r the reversal and s a shift, r s r is the opposite shift."""
    r, s = time_reversal(space), time_shift(space, 1)
    assert r @ s @ r == s.inverse


def test_a_shift_that_loses_frames_is_no_isometry(space):
    """It has zeros where nothing comes in, says so, and has no adjoint."""
    x, lossy = random(space), time_shift(space, 1, fill=0)
    moved = array_of(lossy(x))
    np.testing.assert_array_equal(moved[..., 1:], array_of(x)[..., :-1])
    assert not moved[..., 0].any()
    assert not lossy.is_isometry and time_shift(space, 1).is_isometry


def test_any_axis_is_time():
    """The first axis may be time."""
    space = odl.uniform_discr([0, -1, -1], [4, 1, 1], (4, 5, 5))
    x = random(space)
    quarter = space_time_actions(space, 'C4', time_axis=0)[1]
    np.testing.assert_array_equal(
        array_of(quarter(x)), np.rot90(array_of(x), axes=(1, 2))
    )
    np.testing.assert_array_equal(
        array_of(time_shift(space, 1, time_axis=0)(x)),
        np.roll(array_of(x), 1, 0),
    )


def test_products_and_methods():
    """Components move alike, and a method turns by any angle."""
    space = odl.uniform_discr([-1, -1, 0], [1, 1, 3], (6, 6, 3))
    actions = space_time_actions(space, 'C8', method='fourier')
    assert len(actions) == 48 and all(a.is_isometry for a in actions)
    x = space.element(np.ones(space.shape))
    back = actions[1].inverse(actions[1](x))
    assert float((back - x).norm()) < 1e-12 * float(x.norm())
    pairs = space_time_actions(space**2, 'C4', 3)
    moved = pairs[-1]((space**2).element([x, 2 * x]))
    np.testing.assert_array_equal(array_of(moved[1]), 2 * array_of(x))


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'group': 'C4h'}, ValueError, 'reversal=True'),
        ({'group': 'O'}, ValueError, 'group of the plane'),
        ({'group': 'C8'}, ValueError, 'method'),
        ({'shifts': 4}, ValueError, 'divisor'),
        ({'shifts': 0.5}, TypeError, 'shifts'),
        ({'reversal': 1}, TypeError, 'reversal'),
        ({'time_axis': 3}, ValueError, 'time_axis'),
        ({'time_axis': 0}, ValueError, 'exact'),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """An error names what fits instead."""
    space = odl.uniform_discr([0] * 3, [4, 4, 6], (4, 4, 6))
    with pytest.raises(error, match=match):
        space_time_actions(space, **arguments)


def test_an_image_is_no_film():
    """A space without time is refused."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='got 2 axes'):
        space_time_actions(space)


@pytest.mark.parametrize('weight', [0.0, 0.3, 2.0])
def test_total_variation_is_invariant(space, weight):
    """TV in space-time with weighted time has the same value, moved."""
    variation = InvariantTotalVariation(
        space, 'periodic', axis_weights=(1, 1, weight)
    )
    x = random(space)
    expected = float(variation(x))
    for action in space_time_actions(space, 'D4')[::5]:
        assert float(variation(action(x))) == pytest.approx(expected, 1e-5)


def test_proximal_of_total_variation_is_equivariant():
    """Its proximal commutes with the elements that the padding allows."""
    space = odl.uniform_discr([-1, -1, 0], [1, 1, 3], (4, 4, 3))
    variation = InvariantTotalVariation(space, axis_weights=(1, 1, 0.5))
    x = random(space)
    proximal = variation.proximal(0.1)
    for action in space_time_actions(space, 'D4', None)[::3]:
        gap = (action(proximal(x)) - proximal(action(x))).norm()
        assert float(gap) < 1e-6 * float(x.norm())


def test_weighted_time_is_another_length_of_time():
    """A factor of the differences in time is one of the length of a frame."""
    shape = (4, 5, 3)
    space = odl.uniform_discr([0] * 3, shape, shape, weighting=1.0)
    longer = odl.uniform_discr([0] * 3, [4, 5, 6], shape, weighting=1.0)
    x = random(space)
    weighted = InvariantTotalVariation(space, axis_weights=(1, 1, 0.5))
    plain = InvariantTotalVariation(longer)
    assert float(weighted(x)) == pytest.approx(
        float(plain(longer.element(x.asarray()))), 1e-12
    )
    gap = (
        weighted.proximal(0.1)(x).asarray()
        - plain.proximal(0.1)(longer.element(x.asarray())).asarray()
    )
    assert np.abs(gap).max() < 1e-10


def test_variation_in_time_alone():
    """With weights 0, a still film has no variation, whatever it shows."""
    space = odl.uniform_discr([0] * 3, [1, 1, 2], (4, 4, 5))
    still = space.element(
        np.random.default_rng(0).random((4, 4, 1)).repeat(5, 2)
    )
    variation = InvariantTotalVariation(space, axis_weights=(0, 0, 1))
    assert float(variation(still)) == 0
    kept = variation.proximal(1.0)(still)
    assert float((kept - still).norm()) < 1e-6
    flat = variation.proximal(100.0)(random(space)).asarray()
    np.testing.assert_allclose(
        flat,
        random(space).asarray().mean(2, keepdims=True).repeat(5, 2),
        atol=5e-3,
    )


@pytest.mark.parametrize('weights', [(1, 1), (0, 0, 0), (1, 1, -1)])
def test_wrong_weights_of_axes(weights):
    """There is one weight for each axis, not all 0."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4))
    with pytest.raises(ValueError, match='axis_weights'):
        InvariantTotalVariation(space, axis_weights=weights)
