# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of turns and shifts by the Fourier transform."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import (
    GridAction,
    Reflection,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.actions._fourier import shift_lines
from odl_equivariant.diagnostics import adjoint_error

EPS = {
    'float32': 3e-6,
    'complex64': 3e-6,
    'float64': 1e-13,
    'complex128': 1e-13,
}


@pytest.fixture(
    params=[
        ('numpy', 'float32', (9, 9)),
        ('numpy', 'float64', (8, 8)),
        ('numpy', 'complex64', (8, 8)),
        ('numpy', 'complex128', (7, 10)),
        ('pytorch', 'float32', (8, 8)),
        ('pytorch', 'float64', (10, 7)),
        ('pytorch', 'complex64', (9, 9)),
        ('pytorch', 'complex128', (8, 8)),
    ],
    ids=lambda params: '-'.join(map(str, params)),
)
def space(request):
    """Real or complex functions on squares and rectangles."""
    impl, dtype, shape = request.param
    return odl.uniform_discr(
        [-1, 0], [1, 0.2 * shape[1]], shape, dtype=dtype, impl=impl
    )


def noise(space, seed=0):
    """Return standard normal noise."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(space.shape)
    if space.is_complex:
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(str(space.dtype_identifier)))


def array(element):
    """Return the values as a numpy array."""
    return np.asarray(element.data).copy()


def tolerance(space):
    """Return the rounding error to expect."""
    return EPS[str(space.dtype_identifier)]


def actions_on(space):
    """Return unitary actions that are not exact, by a short name."""
    turn = Rotation(space, 0.4, 'fourier')
    shift = Translation(space, (0.05, -0.31), 'fourier')
    return {
        'turn': turn,
        'turn_far': Rotation(space, -2.7, 'fourier'),
        'shift': shift,
        'mirror': turn @ Reflection(space, 0),
        'roto_translation': shift @ turn,
        'glide': shift @ turn @ Reflection(space, 1),
    }


def test_unitary(space):
    """|g.u| = |u| for white noise, to rounding."""
    x = noise(space)
    for name, action in actions_on(space).items():
        assert action.is_isometry and not action.is_exact, name
        assert action.norm() == 1.0
        length = np.linalg.norm(array(action(x)))
        assert length == pytest.approx(
            np.linalg.norm(array(x)), rel=tolerance(space)
        ), name


def test_inverse(space):
    """g^-1.(g.u) = u and g.(g^-1.u) = u to rounding, for white noise."""
    x = noise(space)
    for name, action in actions_on(space).items():
        inverse = action.inverse
        for result in (inverse(action(x)), action(inverse(x))):
            np.testing.assert_allclose(
                array(result),
                array(x),
                rtol=0,
                atol=10 * tolerance(space),
                err_msg=name,
            )


def test_adjoint(space):
    """<g.u, v> = <u, g*.v> in the weighted inner product."""
    for name, action in actions_on(space).items():
        assert adjoint_error(action) < 10 * tolerance(space), name


def test_result_is_in_the_space(space):
    """Back-end, dtype and grid of the result are those of the input."""
    x = noise(space)
    before = array(x)
    for action in actions_on(space).values():
        result = action(x)
        assert result in space
        result.set_zero()
    np.testing.assert_array_equal(array(x), before)


def test_shift_by_cells_is_roll(space):
    """A Fourier shift by whole cells is ``roll``."""
    x = noise(space)
    sides = space.cell_sides
    namespace = space.array_namespace
    for cells in (1, -2, 3):
        shifted = shift_lines(
            x.data, np.full((1, 1), float(cells)), 0, namespace
        )
        np.testing.assert_allclose(
            np.asarray(shifted),
            np.roll(array(x), cells, axis=0),
            rtol=0,
            atol=10 * tolerance(space),
        )
        action = Translation(space, (cells * sides[0], 0), 'fourier')
        assert action.is_exact


def test_real_and_imaginary_part_are_moved_alike():
    """The action on a complex function acts on both its parts."""
    real = odl.uniform_discr([-1, -1], [1, 1], (8, 9))
    space = real.complex_space
    x = noise(space)
    for name, action in actions_on(space).items():
        on_real = actions_on(real)[name]
        expected = array(on_real(real.element(array(x).real))) + 1j * array(
            on_real(real.element(array(x).imag))
        )
        np.testing.assert_allclose(array(action(x)), expected, atol=1e-13)


def test_shifts_add_up_on_odd_grids():
    """T_s T_t = T_(s+t) to rounding where there is no Nyquist frequency."""
    space = odl.uniform_discr([0, 0], [1, 1], (7, 9))
    x = noise(space)
    first = Translation(space, (0.03, 0.22), 'fourier')
    second = Translation(space, (0.31, -0.4), 'fourier')
    np.testing.assert_allclose(
        array(first(second(x))), array((first @ second)(x)), atol=1e-13
    )


def test_shifts_add_up_below_the_nyquist_frequency():
    """T_s T_t = T_(s+t) on even grids for all other frequencies."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    spectrum = np.fft.fft2(array(noise(space)))
    spectrum[4] = spectrum[:, 4] = 0
    x = space.element(np.fft.ifft2(spectrum).real)
    first = Translation(space, (0.03, 0.22), 'fourier')
    second = Translation(space, (0.31, -0.4), 'fourier')
    np.testing.assert_allclose(
        array(first(second(x))), array((first @ second)(x)), atol=1e-13
    )


def test_shift_moves_trigonometric_polynomials_exactly():
    """(g.u)(x) = u(x - t) for a band-limited periodic u."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 9))
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')

    def wave(x, y):
        return np.sin(2 * np.pi * x + 0.2) * np.cos(4 * np.pi * y - np.pi * x)

    action = Translation(space, (0.123, -0.456), 'fourier')
    np.testing.assert_allclose(
        array(action(space.element(wave(x, y)))),
        wave(x - 0.123, y + 0.456),
        atol=1e-13,
    )


def bump_on(space, matrix=None):
    """Return a Gaussian off the centre, or its image under a matrix."""
    inverse = np.linalg.inv(np.eye(2) if matrix is None else matrix)
    points = np.stack(
        np.meshgrid(*space.grid.coord_vectors, indexing='ij'), -1
    )
    centre = np.asarray(space.partition.mid_pt)
    x, y = np.moveaxis((points - centre) @ inverse.T, -1, 0)
    values = np.exp(-((x - 0.15) ** 2 + 1.5 * (y + 0.1) ** 2) / 0.06)
    return space.element(values)


@pytest.mark.parametrize('angle', [0.3, np.pi / 4, -1.2, 2.0, -3.0])
@pytest.mark.parametrize('shape', [(32, 32), (33, 33), (40, 30)])
def test_turn_of_a_smooth_function(shape, angle):
    """(g.u)(x) = u(R^-1 x) to spectral accuracy, in the right direction."""
    space = odl.uniform_discr([0, 0], [2.4, 2.4], shape)
    action = Rotation(space, angle, 'fourier')
    expected = bump_on(space, action.matrix)
    gap = (action(bump_on(space)) - expected).norm()
    assert gap < 2e-5 * expected.norm()


def test_mirror_in_any_line_is_its_own_inverse():
    """The reflection in a line at any angle squares to the identity."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    for angle in (0.3, 1.5, -2.0, 3.0):
        mirror = Rotation(space, angle, 'fourier') @ Reflection(space, 0)
        x = noise(space)
        np.testing.assert_allclose(
            array(mirror(mirror(x))), array(x), atol=1e-13
        )
        assert mirror.inverse == mirror
        assert mirror @ mirror == Rotation(space, 0)


@pytest.mark.parametrize('group, order', [('C8', 8), ('C3', 3), ('D8', 16)])
def test_groups_are_closed(group, order):
    """Products and inverses of elements are elements, all different."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    actions = group_actions(space, group, 'fourier')
    assert len(actions) == order
    for index, left in enumerate(actions):
        assert actions.index(left) == index
        assert left.inverse in actions
        for right in actions:
            assert left @ right in actions


def test_homomorphism_on_smooth_functions():
    """(g h).u = g.(h.u) in D8 and C3, up to the decay of the spectrum."""
    space = odl.uniform_discr([0, 0], [2.4, 2.4], (32, 32))
    x = bump_on(space)
    for group in ('C3', 'D8'):
        actions = group_actions(space, group, 'fourier')
        for left in actions[1::2]:
            for right in actions[1::3]:
                gap = ((left @ right)(x) - left(right(x))).norm()
                assert gap < 5e-5 * x.norm()


def test_products_that_are_exact_are_on_the_grid():
    """Two turns by 45 degrees are the quarter turn, as a permutation."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    eighth = Rotation(space, np.pi / 4, 'fourier')
    assert isinstance(eighth @ eighth, GridAction)
    assert eighth**2 == Rotation(space, np.pi / 2)
    assert eighth**8 == Rotation(space, 0)
    half_cell = Translation(space, (1 / 16, 0), 'fourier')
    assert half_cell**2 == Translation(space, (1 / 8, 0))


def test_product_with_a_grid_action_is_unitary():
    """The product with an exact action, on either side, is unitary."""
    space = odl.uniform_discr([0, 0], [1, 1], (9, 9))
    turn = Rotation(space, 0.5, 'fourier')
    mirror = Reflection(space, 1)
    for product in (turn @ mirror, mirror @ turn):
        assert product.is_isometry
        assert np.linalg.det(product.matrix) == pytest.approx(-1)


def test_roto_translation_moves_the_centre():
    """A product of turn and shift turns first and shifts afterwards."""
    space = odl.uniform_discr([-1.2, -1.2], [1.2, 1.2], (33, 33))
    shift = np.array([0.11, -0.07])
    turn = Rotation(space, 0.7, 'fourier')
    product = Translation(space, shift, 'fourier') @ turn
    np.testing.assert_allclose(product.translation, shift, atol=1e-15)
    np.testing.assert_allclose(product.matrix, turn.matrix)
    other = turn @ Translation(space, shift, 'fourier')
    np.testing.assert_allclose(
        other.translation, turn.matrix @ shift, atol=1e-15
    )
    x = bump_on(space)
    steps = Translation(space, shift, 'fourier')(turn(x))
    assert (product(x) - steps).norm() < 1e-12 * x.norm()
    swapped = turn(Translation(space, shift, 'fourier')(x))
    assert (other(x) - swapped).norm() < 1e-5 * x.norm()


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_turn_in_space(impl, axis):
    """In 3D each slice across the axis turns by the right-hand rule."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (6, 6, 6), impl=impl)
    action = Rotation(space, 0.6, 'fourier', axis=axis)
    assert adjoint_error(action) < 1e-13
    x = noise(space)
    np.testing.assert_allclose(
        array(action.inverse(action(x))), array(x), atol=1e-13
    )
    plane = odl.uniform_discr([-1] * 2, [1] * 2, (6, 6))
    slices = np.moveaxis(array(x), axis, 0)
    # the plane's axes are axis + 1 and axis + 2, cyclically
    if axis == 1:
        slices = slices.swapaxes(1, 2)
    moved = np.moveaxis(array(action(x)), axis, 0)
    if axis == 1:
        moved = moved.swapaxes(1, 2)
    turn = Rotation(plane, 0.6, 'fourier')
    for before, after in zip(slices, moved, strict=True):
        np.testing.assert_allclose(
            array(turn(plane.element(before.copy()))), after, atol=1e-13
        )


def test_turn_and_mirror_along_the_axis():
    """In 3D the product with the flip of the axis flips and turns."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (5, 5, 4))
    turn = Rotation(space, 0.6, 'fourier', axis=2)
    mirror = Reflection(space, 2)
    x = noise(space)
    for left, right in ((turn, mirror), (mirror, turn)):
        product = left @ right
        assert not isinstance(product, odl.OperatorComp)
        np.testing.assert_allclose(
            array(product(x)), array(left(right(x))), atol=1e-13
        )
        np.testing.assert_allclose(
            array(product.inverse(product(x))), array(x), atol=1e-13
        )


def test_turns_about_different_axes_are_composed():
    """A turn about no axis of the grid is a composition of operators."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (5, 5, 5))
    first = Rotation(space, 0.6, 'fourier', axis=0)
    second = Rotation(space, 0.4, 'fourier', axis=1)
    both = first @ second
    assert isinstance(both, odl.OperatorComp)
    assert adjoint_error(both) < 1e-13


def test_cut_cells_are_refused():
    """The Fourier transform refuses half cells at the boundary."""
    space = odl.uniform_discr([0, 0], [1, 1], (5, 5), nodes_on_bdry=True)
    with pytest.raises(ValueError, match='nodes_on_bdry=False'):
        Rotation(space, 0.3, 'fourier')
    with pytest.raises(ValueError, match='nodes_on_bdry=False'):
        Translation(space, (0.3, 0), 'fourier')


def test_names_in_words():
    """Actions print what they do."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    turn = Rotation(space, np.deg2rad(30), 'fourier')
    assert str(turn) == 'rotation by 30 degrees'
    assert "method='fourier'" in repr(turn)
    half = Translation(space, (1 / 16, 0), 'fourier')
    assert str(half @ turn) == (
        'rotation by 30 degrees, then translation by (0.5, 0) cells'
    )
