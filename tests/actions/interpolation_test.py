# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of moves by interpolation."""

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
from odl_equivariant.diagnostics import adjoint_error, derivative_error

EPS = {'float32': 1e-6, 'complex64': 1e-6}
each_method = pytest.mark.parametrize('method', ['linear', 'cubic'])


@pytest.fixture(
    params=[
        ('numpy', 'float32', (9, 9), False),
        ('numpy', 'float64', (8, 6), True),
        ('numpy', 'complex64', (8, 8), False),
        ('numpy', 'complex128', (7, 7), True),
        ('pytorch', 'float32', (8, 8), True),
        ('pytorch', 'float64', (7, 9), False),
        ('pytorch', 'complex64', (9, 9), True),
        ('pytorch', 'complex128', (8, 8), False),
    ],
    ids=lambda params: '-'.join(map(str, params)),
)
def space(request):
    """Functions on squares and rectangles, with whole and half cells."""
    impl, dtype, shape, nodes_on_bdry = request.param
    return odl.uniform_discr(
        [-1, 0],
        [1, 2],
        shape,
        dtype=dtype,
        impl=impl,
        nodes_on_bdry=nodes_on_bdry,
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
    return EPS.get(str(space.dtype_identifier), 1e-14)


@each_method
def test_adjoint(space, method):
    """<g.u, v> = <u, g*.v> in inner products with half cells too."""
    for action in (
        Rotation(space, 0.4, method),
        Rotation(space, -2.0, method) @ Reflection(space, 0),
        Translation(space, (0.3, -0.17), method, fill=0),
    ):
        assert not action.is_isometry and not action.is_exact
        assert adjoint_error(action) < 10 * tolerance(space)
        assert action.adjoint.adjoint == action


@each_method
def test_result_is_in_the_space(space, method):
    """Back-end, dtype and grid of the results are those of the input."""
    x = noise(space)
    before = array(x)
    action = Rotation(space, 0.4, method, fill=0.5)
    for result in (action(x), action.derivative(x).adjoint(x)):
        assert result in space
        result.set_zero()
    np.testing.assert_array_equal(array(x), before)


@each_method
def test_both_back_ends_agree(method):
    """The same numbers come from numpy and from pytorch."""
    results = []
    for impl in ('numpy', 'pytorch'):
        space = odl.uniform_discr([0, 0], [1, 1], (7, 7), impl=impl)
        action = Rotation(space, 0.4, method)
        x = noise(space)
        results.append((array(action(x)), array(action.adjoint(x))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)


@each_method
def test_periodic_adjoint(method):
    """Without fill the translation is periodic, and so is its adjoint."""
    space = odl.uniform_discr([0, 0], [1, 1], (7, 8))
    action = Translation(space, (0.3, -0.03), method)
    assert adjoint_error(action) < 1e-14
    constant = space.one()
    np.testing.assert_allclose(array(action(constant)), 1, atol=1e-14)


@each_method
@pytest.mark.parametrize('fill', [2.5, -1.0])
def test_constants_are_kept(method, fill):
    """A constant function with the same fill is mapped to itself."""
    space = odl.uniform_discr([0, 0], [1, 1], (7, 7))
    for action in (
        Rotation(space, 0.7, method, fill=fill),
        Translation(space, (0.3, -0.03), method, fill=fill),
    ):
        assert not action.is_linear
        moved = action(fill * space.one())
        np.testing.assert_allclose(array(moved), fill, atol=1e-14)


@each_method
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_adjoint_with_half_cells_on_one_side(impl, method):
    """The adjoint is right with a half cell at one end only."""
    space = odl.uniform_discr(
        [0, 0],
        [1, 1],
        (6, 7),
        impl=impl,
        nodes_on_bdry=[(True, False), (False, True)],
    )
    assert adjoint_error(Rotation(space, 0.4, method)) < 1e-14


def test_different_fills_are_composed():
    """The product of actions with two fills is a composition."""
    space = odl.uniform_discr([0, 0], [1, 1], (6, 6))
    left = Rotation(space, 0.4, 'linear', fill=1.0)
    right = Rotation(space, 0.3, 'linear', fill=2.0)
    assert left != Rotation(space, 0.4, 'linear', fill=2.0)
    both, x = left @ right, noise(space)
    assert isinstance(both, odl.OperatorComp)
    np.testing.assert_array_equal(array(both(x)), array(left(right(x))))


def test_fill_makes_an_affine_action():
    """The derivative is the action with 0, and its adjoint exact."""
    space = odl.uniform_discr([0, 0], [1, 1], (7, 7))
    action = Rotation(space, 0.7, 'linear', fill=2.0)
    assert derivative_error(action) < 1e-8
    derivative = action.derivative(space.zero())
    assert derivative == Rotation(space, 0.7, 'linear')
    assert adjoint_error(derivative) < 1e-14
    with pytest.raises(NotImplementedError, match='derivative'):
        action.adjoint  # noqa: B018


def test_whole_cells_with_fill():
    """Shifts by whole cells are exact, and values that leave are lost."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 5))
    x = noise(space)
    moved = array(Translation(space, (0.25, 0), fill=9.0)(x))
    np.testing.assert_array_equal(moved[0], 9.0)
    np.testing.assert_allclose(moved[1:], array(x)[:-1], atol=1e-15)
    action = Translation(space, (0.25, 0), fill=0)
    assert not action.is_isometry and not action.is_exact
    assert adjoint_error(action) < 1e-15
    there_and_back = array(action.inverse(action(x)))
    np.testing.assert_array_equal(there_and_back[-1], 0)


def polynomial(x, y, degree):
    """Return a polynomial of full degree in both variables."""
    return (1 + x - 0.5 * x**degree) * (2 - y + 0.7 * y**degree)


@pytest.mark.parametrize('method, degree', [('linear', 1), ('cubic', 2)])
def test_polynomials_are_kept(method, degree):
    """Linear kernels reproduce degree 1, and Keys' cubic ones degree 2."""
    space = odl.uniform_discr([-1, -1], [1, 1], (20, 20))
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')
    action = Translation(space, (0.033, -0.021), method, fill=0)
    moved = array(action(space.element(polynomial(x, y, degree))))
    expected = polynomial(x - 0.033, y + 0.021, degree)
    inside = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(moved[inside], expected[inside], atol=1e-13)


def bump_on(space, matrix):
    """Return a smooth function off the centre, turned by a matrix."""
    points = np.stack(
        np.meshgrid(*space.grid.coord_vectors, indexing='ij'), -1
    )
    x = np.moveaxis(points @ np.linalg.inv(matrix).T, -1, 0)
    radius = sum((c - s) ** 2 for c, s in zip(x, (0.2, -0.1, 0.1)))  # noqa: B905
    return space.element(np.exp(-radius / 0.06))


@pytest.mark.parametrize('method, order', [('linear', 2), ('cubic', 3)])
def test_order_of_convergence(method, order):
    """The error falls like h^2 for linear and h^3 for cubic kernels."""
    errors = []
    for size in (40, 80):
        space = odl.uniform_discr([-1, -1], [1, 1], (size, size))
        action = Rotation(space, 0.5, method)
        expected = bump_on(space, action.matrix)
        gap = action(bump_on(space, np.eye(2))) - expected
        errors.append(gap.norm() / expected.norm())
    assert np.log2(errors[0] / errors[1]) > order - 0.15


def test_documented_errors():
    """The errors are those of the table in the docstring of `Rotation`."""
    space = odl.uniform_discr([-1, -1], [1, 1], (64, 64))
    points = np.meshgrid(*space.grid.coord_vectors, indexing='ij')
    x, y = np.moveaxis(np.array(points), 0, 0)
    width = 5 * 2 / 64

    def gauss(x, y):
        radius = (x - 0.2) ** 2 + (y + 0.1) ** 2
        return space.element(np.exp(-radius / (2 * width**2)))

    u = gauss(x, y)
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    expected = gauss(cosine * x + sine * y, cosine * y - sine * x)
    for method, norm, image, inverse in (
        ('linear', 3.4e-3, 5.1e-3, 9.7e-3),
        ('cubic', 3.1e-5, 2.1e-4, 2.3e-4),
        ('fourier', 1e-14, 3.5e-6, 1e-14),
    ):
        action = Rotation(space, np.pi / 6, method)
        moved = action(u)
        assert abs(moved.norm() / u.norm() - 1) < norm
        assert (moved - expected).norm() < image * u.norm()
        assert (action.inverse(moved) - u).norm() < inverse * u.norm()


@each_method
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_turn_in_space(impl, method, axis):
    """(g.u)(x) = u(R^-1 x) in 3D, with R about any axis."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (20, 22, 21), impl=impl)
    action = Rotation(space, 0.5, method, axis=axis)
    unit = np.eye(3)[axis]
    np.testing.assert_allclose(action.matrix @ unit, unit)
    expected = bump_on(space, action.matrix)
    gap = array(action(bump_on(space, np.eye(3)))) - array(expected)
    allowed = {'linear': 0.06, 'cubic': 0.02}[method]
    assert np.linalg.norm(gap) < allowed * np.linalg.norm(array(expected))
    assert adjoint_error(action, n_samples=1) < 1e-14


def test_turns_about_different_axes_are_one_turn():
    """In 3D products of interpolating turns interpolate once."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8))
    first = Rotation(space, 0.5, 'cubic', axis=0)
    second = Rotation(space, -0.8, 'cubic', axis=2)
    product = first @ second
    np.testing.assert_allclose(product.matrix, first.matrix @ second.matrix)
    assert product.mover.method == 'cubic'
    assert (product @ product.inverse) == Rotation(space, 0, axis=1)


@each_method
def test_groups_are_closed(method):
    """Products and inverses of elements are elements, all different."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    actions = group_actions(space, 'D8', method)
    for index, left in enumerate(actions):
        assert actions.index(left) == index
        assert left.inverse in actions
        for right in actions:
            assert left @ right in actions
    assert sum(isinstance(action, GridAction) for action in actions) >= 4


def test_homomorphism_on_smooth_functions():
    """(g h).u is g.(h.u) up to the errors of the interpolation."""
    space = odl.uniform_discr([-1, -1], [1, 1], (48, 48))
    x = bump_on(space, np.eye(2))
    for method, allowed in (('linear', 0.04), ('cubic', 4e-3)):
        actions = group_actions(space, 'D8', method)
        for left in actions[1::3]:
            for right in actions[1::2]:
                gap = ((left @ right)(x) - left(right(x))).norm()
                assert gap < allowed * x.norm()


def test_products_of_different_methods_are_compositions():
    """There is no group element that uses two methods."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    turns = [Rotation(space, 0.3, m) for m in ('linear', 'cubic', 'fourier')]
    x = noise(space)
    for left in turns:
        for right in turns:
            if left is right:
                continue
            both = left @ right
            assert isinstance(both, odl.OperatorComp)
            assert adjoint_error(both) < 1e-14
            np.testing.assert_array_equal(
                array(both(x)), array(left(right(x)))
            )


def test_a_periodic_shift_does_not_mix_with_fill():
    """The product of a periodic shift and a fill is a composition."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    turn = Rotation(space, 0.3, 'linear')
    assert isinstance(turn @ Translation(space, (1 / 8, 0)), odl.OperatorComp)
    filled = Translation(space, (1 / 8, 0), 'linear', fill=0.0)
    both = turn @ filled
    assert not isinstance(both, odl.OperatorComp)
    np.testing.assert_allclose(
        both.translation - both.matrix @ [1 / 8, 0], turn.translation
    )


@pytest.mark.parametrize('method', ['nearest', 'Fourier', 1, ''])
def test_an_unknown_method_is_refused(method):
    """The error lists the methods."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    for make in (
        lambda: Rotation(space, 0.3, method),
        lambda: Translation(space, (0.1, 0), method),
    ):
        error = TypeError if method == 1 else ValueError
        with pytest.raises(error, match="'linear', 'cubic', 'fourier'"):
            make()


def test_fill_of_a_periodic_method_is_refused():
    """The Fourier shift is periodic."""
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8))
    with pytest.raises(ValueError, match='periodic and takes no `fill`'):
        Translation(space, (0.1, 0), 'fourier', fill=0)
    with pytest.raises(TypeError, match='`fill` must be a finite number'):
        Translation(space, (0.1, 0), 'linear', fill='zero')


@pytest.mark.parametrize('axis', [None, 3, -1, 'z', 1.0])
def test_a_turn_in_space_takes_an_axis(axis):
    """In 3D the axis is 0, 1 or 2, and in 2D there is none."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4))
    error = TypeError if axis in ('z', 1.0) else ValueError
    with pytest.raises(error, match='axis 0, 1 or 2|axis.*from 0 to 2'):
        Rotation(space, np.pi, axis=axis)


def test_a_turn_of_the_plane_takes_no_axis():
    """In 2D there is no axis to choose."""
    space = odl.uniform_discr([0] * 2, [1] * 2, (4, 4))
    with pytest.raises(ValueError, match='has no axis, got 2'):
        Rotation(space, np.pi, axis=2)
