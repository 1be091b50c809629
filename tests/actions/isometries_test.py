# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the rotations and reflections of a grid."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Reflection, Rotation, Translation

each_impl = pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
each_size = pytest.mark.parametrize('size', [6, 7])


def bump(x):
    """Return a smooth function without any symmetry about the origin."""
    return np.exp(-((x[0] - 0.3) ** 2) - 2 * (x[1] + 0.1) ** 2 + x[0] * x[1])


def array(element):
    """Return the values as a numpy array."""
    return np.asarray(element.data).copy()


def sample(space, function):
    """Return the values of a function of [x, y] at the grid points."""
    x, y = space.grid.coord_vectors
    return space.element(function([x[:, None], y[None, :]]))


@each_impl
@each_size
@pytest.mark.parametrize('turns', [-1, 0, 1, 2, 3, 5])
def test_rotation_is_counter_clockwise(impl, size, turns):
    """(g.u)(x) = u(R^-1 x) for a function sampled on the grid."""
    space = odl.uniform_discr([-1, -1], [1, 1], (size, size), impl=impl)
    cosine, sine = np.cos(turns * np.pi / 2), np.sin(turns * np.pi / 2)

    def turned(x):
        return bump(
            [cosine * x[0] + sine * x[1], -sine * x[0] + cosine * x[1]]
        )

    action = Rotation(space, turns * np.pi / 2)
    np.testing.assert_allclose(
        array(action(sample(space, bump))),
        array(sample(space, turned)),
        rtol=1e-12,
    )


@each_impl
@each_size
def test_quarter_turn_is_rot90(impl, size):
    """On the data a quarter turn is ``rot90(data, 1)``."""
    space = odl.uniform_discr([-1, -1], [1, 1], (size, size), impl=impl)
    x = sample(space, bump)
    np.testing.assert_array_equal(
        array(Rotation(space, np.pi / 2)(x)), np.rot90(array(x), 1)
    )


@each_impl
def test_half_turn_of_a_rectangle(impl):
    """A half turn is exact on a grid that is not square."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 7), impl=impl)
    x = sample(space, bump)
    np.testing.assert_array_equal(
        array(Rotation(space, np.pi)(x)), np.rot90(array(x), 2)
    )


def test_rotation_about_the_centre_of_the_domain():
    """On a domain away from the origin the centre stays in place."""
    space = odl.uniform_discr([2, 5], [4, 7], (6, 6))

    def turned(x):
        return bump([x[1] - 6, -(x[0] - 3)])

    def centred(x):
        return bump([x[0] - 3, x[1] - 6])

    action = Rotation(space, np.pi / 2)
    np.testing.assert_allclose(
        array(action(sample(space, centred))),
        array(sample(space, turned)),
        rtol=1e-12,
    )
    np.testing.assert_allclose(action.translation, [3 + 6, 6 - 3])


@each_impl
@pytest.mark.parametrize('shape', [(6, 6), (5, 8)])
@pytest.mark.parametrize('axis', [0, 1])
def test_reflection_changes_the_sign_of_one_coordinate(impl, shape, axis):
    """(g.u)(x) = u(M x) with M = diag(-1, 1) or diag(1, -1)."""
    space = odl.uniform_discr([-1, -1], [1, 1], shape, impl=impl)

    def mirrored(x):
        return bump([-x[0], x[1]] if axis == 0 else [x[0], -x[1]])

    np.testing.assert_allclose(
        array(Reflection(space, axis)(sample(space, bump))),
        array(sample(space, mirrored)),
        rtol=1e-12,
    )


def test_attributes_describe_the_element():
    """Angle, axis and shift come back in their own units."""
    space = odl.uniform_discr([0, 0], [2, 2], (4, 4))
    assert Rotation(space, -np.pi / 2).angle == pytest.approx(3 * np.pi / 2)
    assert Reflection(space, 1).axis == 1
    assert Translation(space, (0.5, -0.5)).shift.tolist() == [0.5, -0.5]
    assert Translation(space, (1.5, 0)).shift.tolist() == [-0.5, 0.0]


def test_inverses_are_of_the_same_kind():
    """The inverse of a rotation is a rotation, and so on."""
    space = odl.uniform_discr([0, 0], [2, 2], (4, 4))
    inverse = Rotation(space, np.pi / 2).inverse
    assert inverse.angle == pytest.approx(3 * np.pi / 2)
    assert Reflection(space, 1).inverse.axis == 1
    assert Translation(space, (0.5, 0)).inverse.shift.tolist() == [-0.5, 0.0]


def test_an_angle_in_single_precision_is_accepted():
    """Rounding of the angle does not make a quarter turn inexact."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    assert Rotation(space, np.float32(np.pi / 2)) == Rotation(space, np.pi / 2)


@pytest.mark.parametrize('angle', [0.5, np.pi / 4])
def test_an_angle_off_the_grid_is_refused(angle):
    """The error names the angles that are exact on the grid."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match=r'angles 0, pi / 2, pi, 3 \* pi / 2'):
        Rotation(space, angle)


def test_an_angle_in_degrees_is_refused():
    """The error shows how to convert an angle in degrees."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match=r'numpy\.deg2rad\(90\)'):
        Rotation(space, 90)


@pytest.mark.parametrize(
    'max_pt, shape', [([1, 1], (4, 6)), ([1, 2], (4, 4)), ([1, 2], (4, 8))]
)
def test_a_quarter_turn_takes_a_square_grid(max_pt, shape):
    """Unequal cells or numbers of cells leave only half turns."""
    space = odl.uniform_discr([0, 0], max_pt, shape)
    with pytest.raises(ValueError, match=r'angles 0, pi \(plus.*square grid'):
        Rotation(space, np.pi / 2)


@pytest.mark.parametrize('angle', ['pi', 1j, None, [np.pi], True, np.nan])
def test_an_angle_that_is_no_number_is_refused(angle):
    """The angle is a real number."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    error = ValueError if angle is np.nan else TypeError
    with pytest.raises(error, match='`angle`, in radians, must be a finite'):
        Rotation(space, angle)


@pytest.mark.parametrize('axis', [2, -1])
def test_an_unknown_axis_is_refused(axis):
    """The axes are 0 and 1."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(ValueError, match='`axis` must be .* from 0 to 1'):
        Reflection(space, axis)


def test_an_axis_that_is_no_integer_is_refused():
    """The axis is an integer."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    with pytest.raises(TypeError, match='`axis` must be .* from 0 to 1'):
        Reflection(space, 0.5)


def test_reflections_and_shifts_in_space():
    """In 3D they are ``flip`` and ``roll`` along any axis."""
    space = odl.uniform_discr([0] * 3, [1, 2, 3], (2, 4, 6))
    values = np.random.default_rng(0).standard_normal((2, 4, 6))
    x = space.element(values)
    for axis in range(3):
        np.testing.assert_array_equal(
            array(Reflection(space, axis)(x)), np.flip(values, axis)
        )
    moved = Translation(space, (0.5, -0.5, 1.0))(x)
    np.testing.assert_array_equal(
        array(moved), np.roll(values, (1, -1, 2), axis=(0, 1, 2))
    )
    with pytest.raises(ValueError, match='from 0 to 2, got 3'):
        Reflection(space, 3)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_quarter_turns_in_space(axis):
    """In 3D a quarter turn is ``rot90`` by the right-hand rule."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4))
    values = np.random.default_rng(0).standard_normal((4, 4, 4))
    action = Rotation(space, np.pi / 2, axis=axis)
    assert action.is_exact
    np.testing.assert_array_equal(
        array(action(space.element(values))),
        np.rot90(values, 1, axes=((axis + 1) % 3, (axis + 2) % 3)),
    )
    assert action**4 == Rotation(space, 0, axis=axis)
    assert str(action) == f'rotation about axis {axis} by 90 degrees'


def test_quarter_turns_in_space_take_a_square_across_the_axis():
    """In a box, quarter turns need equal sides across the axis."""
    space = odl.uniform_discr([0] * 3, [1, 1, 2], (4, 4, 6))
    assert Rotation(space, np.pi / 2, axis=2).is_exact
    with pytest.raises(ValueError, match=r'angles 0, pi \(plus.*square grid'):
        Rotation(space, np.pi / 2, axis=0)


@pytest.mark.parametrize('method', [None, 'linear', 'cubic', 'fourier'])
def test_pickles_are_the_same_action(method):
    """Actions go to other processes, as data loaders send them."""
    import pickle

    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    angle = np.pi / 2 if method is None else 0.4
    action = Rotation(space, angle, method)
    x = space.element(np.arange(16.0).reshape(4, 4))
    again = pickle.loads(pickle.dumps(action))
    assert again == action
    np.testing.assert_array_equal(array(again(x)), array(action(x)))
    assert action.method == method


@pytest.mark.parametrize(
    'angle, method, text',
    [
        (np.pi / 2, None, '90'),
        (-np.pi / 2, None, '270'),
        (np.pi / 4, 'cubic', '45'),
        (np.deg2rad(33.3), 'fourier', '33.3'),
    ],
)
def test_angles_are_shown_in_degrees(angle, method, text):
    """The expression is the argument that the rotation was made of."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    action = Rotation(space, angle, method)
    shown = repr(action)
    assert f'numpy.deg2rad({text})' in shown
    names = {'numpy': np, 'Rotation': Rotation, **vars(odl)}
    assert eval(shown, names) == action  # noqa: S307


@pytest.mark.parametrize('angle', [90, 45.0, np.float32(22.5), -30])
def test_degrees_are_asked_for(angle):
    """An angle that is a round number of more than a turn is asked about."""
    space = odl.uniform_discr([-1, -1], [1, 1], (7, 8))
    with pytest.warns(UserWarning, match='are these degrees') as found:
        turn = Rotation(space, angle, 'linear')
    assert found[0].filename == __file__
    # neither the inverse nor many turns in radians are
    assert turn.inverse.inverse == turn
    assert Rotation(space, angle * 17 * np.pi / 180 + 4 * np.pi, 'linear')
