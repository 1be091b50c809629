# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the lists of finite groups."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Reflection, Rotation, group_actions

each_group = pytest.mark.parametrize(
    'group, order',
    [('C1', 1), ('C2', 2), ('C4', 4), ('D1', 2), ('D2', 4), ('D4', 8)],
)


@pytest.fixture(params=['numpy', 'pytorch'])
def space(request):
    """Real functions on a square grid."""
    return odl.uniform_discr([0, 0], [1, 1], (5, 5), impl=request.param)


@each_group
def test_identity_comes_first(space, group, order):
    """The first element is the identity."""
    assert group_actions(space, group)[0] == Rotation(space, 0)


@each_group
def test_order(space, group, order):
    """The group has N or 2 N elements, all different."""
    actions = group_actions(space, group)
    assert len(actions) == order
    assert len(set(actions)) == order


@each_group
def test_elements_act_differently(space, group, order):
    """Elements differ in their action on a function without symmetry."""
    x = space.element(np.arange(25.0).reshape(5, 5))
    images = {
        np.asarray(action(x).data).tobytes()
        for action in group_actions(space, group)
    }
    assert len(images) == order


@each_group
def test_closed_under_product_and_inverse(space, group, order):
    """Products and inverses of elements are elements."""
    actions = group_actions(space, group)
    for left in actions:
        assert left.inverse in actions
        for right in actions:
            assert left @ right in actions


def test_d1_mirrors_x(space):
    """The reflection in D1 is the reflection of axis 0."""
    assert group_actions(space, 'D1')[1] == Reflection(space, 0)


def test_product_space(space):
    """A group acts on all components of a product space."""
    actions = group_actions(space**2, 'D4')
    x = (space**2).element([np.arange(25.0).reshape(5, 5), np.eye(5)])
    moved = actions[1](x)
    for part, moved_part in zip(x, moved, strict=True):
        np.testing.assert_array_equal(
            np.asarray(moved_part.data), np.rot90(np.asarray(part.data))
        )


@pytest.mark.parametrize('group', ['C8', 'C3', 'D6', 'C16'])
def test_a_group_off_the_grid_is_refused(space, group):
    """The error names the groups that are exact on the grid."""
    with pytest.raises(ValueError, match='method.*C1, C2, C4, D1, D2, D4$'):
        group_actions(space, group)


@pytest.mark.parametrize('group', ['C4', 'D4', 'C8'])
def test_quarter_turns_are_refused_on_a_rectangle(group):
    """On a grid that is not square the error leaves out C4 and D4."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 6))
    with pytest.raises(ValueError, match='one that is, C1, C2, D1, D2$'):
        group_actions(space, group)


@pytest.mark.parametrize('group', ['SO(2)', 'c4', 'C0', 'C', '4', ''])
def test_an_unknown_group_is_refused(space, group):
    """The error lists the known groups."""
    with pytest.raises(ValueError, match='C1, C2, C4, D1, D2, D4'):
        group_actions(space, group)


def test_a_group_that_is_no_name_is_refused(space):
    """The group is given by its name."""
    with pytest.raises(TypeError, match='name of a group'):
        group_actions(space, 4)


@pytest.mark.parametrize('group', ['SO(2)', 'O(2)'])
def test_an_infinite_group_is_refused(space, group):
    """The error names finite groups of the same kind."""
    with pytest.raises(ValueError, match="infinite .* like 'C8' or 'D8'"):
        group_actions(space, group)


@pytest.mark.parametrize('method', ['linear', 'cubic', 'fourier'])
def test_a_method_takes_any_order(space, method):
    """With a method there are all N rotations, and N reflections."""
    assert len(group_actions(space, 'C5', method)) == 5
    actions = group_actions(space, 'D3', method)
    angles = [np.arctan2(a.matrix[1, 0], a.matrix[0, 0]) for a in actions[:3]]
    np.testing.assert_allclose(angles, np.deg2rad([0, 120, -120]))
    for action in actions[3:]:
        assert np.linalg.det(action.matrix) == pytest.approx(-1)


def test_a_method_keeps_exact_elements_exact(space):
    """The quarter turns in C8 are those of C4."""
    actions = group_actions(space, 'C8', 'linear')
    assert actions[::2] == group_actions(space, 'C4')
    assert [action.is_exact for action in actions] == [True, False] * 4


def test_a_representation_turns_all_elements(space):
    """The representation is passed on to rotations and reflections."""
    for action in group_actions(space**2, 'D4', representation='standard'):
        x = (space**2).element([space.one(), space.zero()])
        moved = [np.asarray(part.data)[0, 0] for part in action(x)]
        np.testing.assert_array_equal(moved, action.matrix[:, 0])
