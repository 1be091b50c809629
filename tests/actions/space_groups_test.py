# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the finite groups of the space."""

import itertools

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Reflection, Rotation, group_actions
from odl_equivariant.nn.escnn.library import group as escnn_group

ORDERS = {'T': 12, 'Td': 24, 'Th': 24, 'O': 24, 'Oh': 48}
AXIAL_ORDERS = {'C1': 1, 'C4': 4, 'D2': 4, 'D4': 8, 'C4h': 8, 'D4h': 16}
CASES = [(name, None, order) for name, order in ORDERS.items()] + [
    (name, axis, order)
    for name, order in AXIAL_ORDERS.items()
    for axis in range(3)
]
each_group = pytest.mark.parametrize('group, axis, order', CASES)


def cube(size=3, **options):
    """Return a space on a cubic grid."""
    return odl.uniform_discr([-1] * 3, [1] * 3, (size,) * 3, **options)


def key(matrix):
    """Return what equal matrices have in common."""
    return tuple((np.round(matrix, 6) + 0.0).ravel())


@each_group
def test_elements(group, axis, order):
    """The elements are different, and the identity is the first."""
    actions = group_actions(cube(), group, axis=axis)
    assert len({key(action.matrix) for action in actions}) == order
    assert len(actions) == order
    np.testing.assert_array_equal(actions[0].matrix, np.eye(3))
    assert all(action.is_exact and action.is_isometry for action in actions)


@each_group
def test_closed_under_product_and_inverse(group, axis, order):
    """Products and inverses of elements are elements."""
    actions = set(group_actions(cube(), group, axis=axis))
    assert {action.inverse for action in actions} == actions
    few = sorted(actions, key=lambda action: key(action.matrix))[::5]
    for left, right in itertools.product(actions, few):
        assert left @ right in actions


@each_group
def test_rotations_come_first(group, axis, order):
    """All rotations come before the first reflection."""
    signs = [
        np.linalg.det(action.matrix)
        for action in group_actions(cube(), group, axis=axis)
    ]
    assert signs == sorted(signs, reverse=True)
    n_rotations = sum(sign > 0 for sign in signs)
    assert n_rotations in (order, order // 2)


def test_rotations_of_the_cube_are_all_there_are():
    """O has all signed permutations of determinant 1, and Oh all."""
    matrices = {
        key(np.array(signs)[:, None] * np.eye(3)[list(axes)])
        for axes in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    }
    full = {key(action.matrix) for action in group_actions(cube(), 'Oh')}
    assert full == matrices
    proper = {
        key(action.matrix)
        for action in group_actions(cube(), 'Oh')
        if np.linalg.det(action.matrix) > 0
    }
    assert {key(a.matrix) for a in group_actions(cube(), 'O')} == proper


def test_tetrahedron_is_kept():
    """Elements of Td keep the corners of a tetrahedron, others do not."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])

    def keeps(action):
        moved = (action.matrix @ corners.T).T
        return {key(c) for c in moved} == {key(c) for c in corners}

    kept = [action for action in group_actions(cube(), 'Oh') if keeps(action)]
    assert set(kept) == set(group_actions(cube(), 'Td'))
    rotations = [a for a in kept if np.linalg.det(a.matrix) > 0]
    assert set(rotations) == set(group_actions(cube(), 'T'))


@pytest.mark.parametrize('group, order', [('I', 60), ('Ih', 120)])
def test_icosahedron_is_kept(group, order):
    """The elements permute the twelve vertices of an icosahedron."""
    golden = (1 + 5**0.5) / 2
    vertices = {
        key(np.roll([0, first, second * golden], shift))
        for first, second in itertools.product((1, -1), repeat=2)
        for shift in range(3)
    }
    actions = group_actions(cube(), group, 'linear')
    assert len({key(action.matrix) for action in actions}) == order
    for action in actions:
        matrix = action.matrix
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-15)
        moved = {key(matrix @ np.array(vertex)) for vertex in vertices}
        assert moved == vertices


@pytest.mark.parametrize('axis', range(3))
def test_about_an_axis_slices_turn_as_in_the_plane(axis):
    """Each slice across the axis is moved as by the group of the plane."""
    space, plane = cube(4), odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    values = np.random.default_rng(0).random((4, 4, 4))
    # with the other two axes in cyclic order
    order = [axis, (axis + 1) % 3, (axis + 2) % 3]
    in_space = group_actions(space, 'D4', axis=axis)
    in_plane = group_actions(plane, 'D4')
    u = space.element(values)
    for g, h in zip(in_space, in_plane, strict=True):
        moved = g(u).asarray().transpose(order)
        for slice_, old in zip(moved, values.transpose(order), strict=True):
            expected = h(plane.element(old.copy())).asarray()
            np.testing.assert_array_equal(slice_, expected)


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_elements_are_those_of_rotation_and_reflection(impl):
    """The lists contain what the single classes make, on each back-end."""
    space = cube(impl=impl)
    assert Rotation(space, np.pi / 2, axis=1) in group_actions(space, 'O')
    assert Reflection(space, 2) in group_actions(space, 'C4h', axis=2)
    fifth = Rotation(space, 2 * np.pi / 5, 'linear', axis=0)
    u = space.element(np.arange(27.0).reshape(3, 3, 3))
    listed = group_actions(space, 'C5', 'linear', axis=0)[1]
    np.testing.assert_allclose(
        np.asarray(listed(u).data), np.asarray(fifth(u).data), atol=1e-12
    )


def test_fourier_turns_about_an_axis():
    """With 'fourier', any order about an axis is unitary."""
    actions = group_actions(cube(4), 'D3', 'fourier', axis=2)
    assert len(actions) == 6
    assert all(action.is_isometry for action in actions)


def test_slab():
    """A volume whose third axis differs has the group D4h, but not O."""
    slab = odl.uniform_discr([-1] * 3, [1, 1, 3], (4, 4, 3))
    assert len(group_actions(slab, 'D4h', axis=2)) == 16
    for group in ('O', 'Oh', 'T'):
        with pytest.raises(ValueError, match="'D4h' with axis=2 or one of"):
            group_actions(slab, group)
    with pytest.raises(ValueError, match='C4 is not exact'):
        group_actions(slab, 'C4', axis=0)


def test_box():
    """The error on a box names its own group."""
    box = odl.uniform_discr([-1] * 3, [1] * 3, (4, 5, 6))
    with pytest.raises(ValueError, match=r"shape \(4, 5, 6\).*'D2h' with"):
        group_actions(box, 'O')
    assert len(group_actions(box, 'D2h', axis=0)) == 8


def test_vector_fields_turn():
    """With the standard representation, gradients turn with functions."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4), dtype='float64')
    gradient = odl.Gradient(space, method='central', pad_mode='periodic')
    u = space.element(np.random.default_rng(0).random((4, 4, 4)))
    scalars = group_actions(space, 'Oh')
    vectors = group_actions(space**3, 'Oh', representation='standard')
    for g, h in zip(scalars, vectors, strict=True):
        gap = gradient(g(u)) - h(gradient(u))
        assert gap.norm() <= 1e-12 * gradient(u).norm()


@pytest.mark.slow
def test_representations_of_escnn():
    """Representations of escnn's group with reflections turn values."""
    full = escnn_group.full_octa_group()
    standard = full.irrep((1,), (1,))
    actions = group_actions(cube() ** 3, 'Oh', representation=standard)
    for action in actions:
        np.testing.assert_allclose(
            abs(np.linalg.det(action.turn)), 1, atol=1e-12
        )
    g, h = actions[7], actions[40]
    turn = (g @ h).turn
    np.testing.assert_allclose(turn, g.turn @ h.turn, atol=1e-6)


@pytest.mark.parametrize(
    'group, options, message',
    [
        ('C4', {}, 'give `axis`'),
        ('O', {'axis': 2}, 'no axis'),
        ('I', {}, 'I is not exact'),
        ('I', {'method': 'fourier'}, "take 'linear' or 'cubic'"),
        ('SO(3)', {}, 'infinite'),
        ('Q8', {}, "got 'Q8'"),
        ('C4', {'axis': 3}, 'axis'),
        ('C8', {'axis': 0}, 'C8 is not exact'),
    ],
)
def test_refusals(group, options, message):
    """The error says what fits."""
    with pytest.raises(ValueError, match=message):
        group_actions(cube(), group, **options)


def test_groups_of_the_space_are_refused_in_the_plane():
    """In the plane there are neither cubes nor axes."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    with pytest.raises(ValueError, match="take 'C4' or 'D4'"):
        group_actions(space, 'O')
    with pytest.raises(ValueError, match='has no axis'):
        group_actions(space, 'C4', axis=0)
