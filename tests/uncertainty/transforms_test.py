# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the default transforms."""

import numpy as np
import odl
import pytest
from odl.core.util.testutils import simple_fixture

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.uncertainty import declared_group, default_actions

dtype = simple_fixture('dtype', ['float32', 'complex128'])


def grid(shape=(6, 6), **options):
    """Return a space with square cells."""
    half = [n / 2 for n in shape]
    return odl.uniform_discr([-h for h in half], half, shape, **options)


def angle(action):
    """Return the angle of a turn, or after a reflection of x, in degrees."""
    return np.degrees(np.arctan2(-action.matrix[0, 1], action.matrix[1, 1]))


@pytest.mark.parametrize('shape', [(6, 6), (5, 5), (4, 7)])
def test_default_actions_are_isometries(backend, dtype, shape):
    """Inverses undo the actions to rounding on all grids."""
    space = grid(shape, dtype=dtype, impl=backend)
    for action in default_actions(space, 'C4', n=4):
        assert action.is_isometry
        image = space.one()
        image[0, 1] = 3
        gap = (action.inverse(action(image)) - image).norm()
        assert float(gap) < 1e-5 * float(image.norm())


@pytest.mark.parametrize('group', ['C1', 'C2', 'C4', 'C8', 'D4', 'D1'])
def test_default_actions_are_outside_the_group(group):
    """No angle is near a multiple of 360 / N degrees."""
    order = int(group[1:])
    for action in default_actions(grid(), group, n=40):
        turned = angle(action) % (360 / order) * order / 360
        assert 0.05 < turned < 0.95


@pytest.mark.parametrize('group', ['C4', 'D4', 'SO(2)', 'O(2)'])
def test_default_actions_reflect_where_the_group_does_not(group):
    """Half of the actions are reflections, unless these are built in."""
    actions = default_actions(grid(), group, n=10)
    signs = [np.linalg.det(action.matrix) for action in actions]
    expected = 0 if group in ('D4', 'O(2)') else 5
    assert sum(sign < 0 for sign in signs) == expected


def test_default_actions_do_not_turn_where_all_turns_are_known():
    """For O(2) there are only shifts."""
    for action in default_actions(grid(), 'O(2)', n=4):
        assert np.allclose(action.matrix, np.eye(2))
        assert np.any(action.translation)


def test_default_actions_are_reproducible():
    """The same seed gives the same actions."""
    space = grid()
    one, same, other = (
        default_actions(space, n=3, seed=seed) for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


def test_default_actions_refuse():
    """Unknown groups, other spaces and wrong types are errors."""
    with pytest.raises(ValueError, match='expected .CN.'):
        default_actions(grid(), 'Q8')
    with pytest.raises(TypeError, match='name of a group'):
        default_actions(grid(), 4)
    volume = odl.uniform_discr([0] * 3, [1] * 3, (2, 2, 2))
    with pytest.raises(ValueError, match='pass a list of `actions`'):
        default_actions(volume)
    with pytest.raises(TypeError, match='uniform_discr'):
        default_actions(odl.rn((4, 4)))


def test_declared_group():
    """The group is that of all blocks, C1 where one declares none."""
    identity = odl.IdentityOperator(odl.rn((4, 4), dtype='float32'))

    def unrolled(*blocks):
        blocks = iter(blocks)
        return LearnedProximalGradient(identity, lambda: next(blocks), 2)

    def c4():
        return EquivariantProximal(channels=4, group='C4')

    assert declared_group(c4()) == 'C4'
    assert declared_group(unrolled(c4(), c4())) == 'C4'
    assert declared_group(unrolled(c4(), c4()).as_operator()) == 'C4'
    plain = OrdinaryProximal(channels=4)
    assert declared_group(unrolled(plain, plain)) == 'C1'
    assert declared_group(unrolled(c4(), plain)) == 'C1'
    assert declared_group(identity) == 'C1'
