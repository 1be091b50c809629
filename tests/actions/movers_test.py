# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the words for turns of the plane and of space."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import GridAction
from odl_equivariant.actions._movers import Mover, describe_matrix


@pytest.mark.parametrize(
    'matrix, words',
    [
        (np.eye(2), ''),
        ([[0, -1], [1, 0]], 'rotation by 90 degrees'),
        ([[0, 1], [1, 0]], 'reflection in the line at 45 degrees'),
        (2 * np.eye(2), 'scaling by 2'),
        ([[1, 1], [0, 1]], 'the matrix [[1.0, 1.0], [0.0, 1.0]]'),
        (np.diag([1, 1, -1]), 'reflection of the axes [2]'),
        (-np.eye(3), 'reflection of the axes [0, 1, 2]'),
        (np.diag([1, -1, -1]), 'rotation about axis 0 by 180 degrees'),
        (
            [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
            'the turn [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]',
        ),
    ],
)
def test_words(matrix, words):
    """Each matrix is named by what it does."""
    assert describe_matrix(np.asarray(matrix, dtype=float)) == words


def test_translation_of_a_turn_about_the_centre():
    """(g.u)(x) = u(M^-1 (x - t)) with t = c - M c + s."""
    space = odl.uniform_discr([1, 2], [3, 4], (4, 4))
    mover = Mover(space, [[0, -1], [1, 0]], [0.5, 0])
    centre = np.array([2.0, 3.0])
    turned = np.array([[0, -1], [1, 0]]) @ centre + mover.translation
    np.testing.assert_allclose(turned, centre + [0.5, 0])


def test_all_symmetries_of_the_cube():
    """The 48 signed permutations of the axes multiply as matrices do."""
    from itertools import permutations, product

    space = odl.uniform_discr([0] * 3, [1] * 3, (3, 3, 3))
    x = space.element(np.arange(27.0).reshape(3, 3, 3))
    turns = [
        np.diag(signs) @ np.eye(3, dtype=int)[list(order)]
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]
    actions = [GridAction(space, turn) for turn in turns]
    assert len({action(x).asarray().tobytes() for action in actions}) == 48
    for left in actions[::7]:
        for right in actions[::5]:
            both = left @ right
            np.testing.assert_array_equal(
                both.matrix, left.matrix @ right.matrix
            )
            np.testing.assert_array_equal(
                both(x).asarray(), left(right(x)).asarray()
            )
        np.testing.assert_array_equal(
            left.inverse(left(x)).asarray(), x.asarray()
        )
