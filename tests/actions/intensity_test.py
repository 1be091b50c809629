# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of factors and shifts of the values."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Intensity
from odl_equivariant.diagnostics import (
    adjoint_error,
    derivative_error,
    equivariance_error,
)

each_space = pytest.mark.parametrize(
    'impl, dtype',
    [
        ('numpy', 'float32'),
        ('numpy', 'complex128'),
        ('pytorch', 'float64'),
        ('pytorch', 'complex64'),
    ],
)


def plane(impl='numpy', dtype='float64', shape=(8, 9)):
    """Return functions on a rectangle that is not centred."""
    return odl.uniform_discr([0, 0], [2, 3], shape, dtype=dtype, impl=impl)


def array(element):
    """Return the values as a numpy array."""
    return np.asarray(element.data).copy()


def noise(space, seed=0):
    """Return standard normal noise."""
    if isinstance(space, odl.ProductSpace):
        parts = [noise(part, seed + i) for i, part in enumerate(space)]
        return space.element(parts)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(space.shape)
    if space.is_complex:
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(str(space.dtype_identifier)))


@each_space
def test_intensity_values(impl, dtype):
    """(g.u)(x) = a u(x) + b."""
    space = plane(impl, dtype)
    x = noise(space)
    moved = Intensity(space, -2.0, 0.5)(x)
    assert moved in space
    np.testing.assert_allclose(array(moved), -2 * array(x) + 0.5, rtol=1e-6)


@each_space
def test_intensity_group(impl, dtype):
    """(g h).u = g.(h.u), and the inverse undoes the action."""
    space = plane(impl, dtype)
    x = noise(space)
    first, second = Intensity(space, -2.0, 0.5), Intensity(space, 0.5, 3.0)
    product = first @ second
    assert isinstance(product, Intensity)
    np.testing.assert_allclose(
        array(product(x)), array(first(second(x))), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        array(first.inverse(first(x))), array(x), atol=1e-6
    )
    assert first @ first.inverse == Intensity(space)


@each_space
def test_intensity_adjoint(impl, dtype):
    """<a u, v> = <u, conj(a) v>, and |a| is the norm."""
    space = plane(impl, dtype)
    scale = 2 - 1j if space.is_complex else -2.0
    action = Intensity(space, scale)
    assert action.is_linear and action.is_exact
    assert adjoint_error(action) < 1e-6
    assert action.norm() == pytest.approx(abs(scale))
    assert not action.is_isometry
    assert Intensity(space, -1).is_isometry


def test_intensity_with_a_shift_is_affine():
    """The derivative scales, and there is no adjoint."""
    action = Intensity(plane(), 3.0, 1.0)
    assert not action.is_linear
    assert derivative_error(action) < 1e-8
    with pytest.raises(NotImplementedError, match='derivative'):
        action.adjoint  # noqa: B018


def test_intensity_on_products():
    """All components of a product are scaled and shifted."""
    space = plane() ** 2
    moved = Intensity(space, 2.0, 1.0)(space.one())
    for part in moved:
        np.testing.assert_array_equal(array(part), 3.0)


@each_space
@pytest.mark.parametrize('shift', [0.5, [0.5, -3.0]])
def test_an_isometry_keeps_distances(impl, dtype, shift):
    """|g.u - g.v| = |u - v| for |a| = 1, also with a shift."""
    space = plane(impl, dtype) ** 2
    u, v = noise(space), noise(space, seed=7)
    action = Intensity(space, -1.0, shift)
    assert action.is_isometry and not action.is_linear
    distance = float((action(u) - action(v)).norm())
    assert distance == pytest.approx(float((u - v).norm()), rel=1e-6)
    assert not Intensity(space, 2.0, shift).is_isometry


@each_space
def test_components_have_their_own_shift(impl, dtype):
    """(g.u)_i = a u_i + b_i, also where a component is a product."""
    space = plane(impl, dtype)
    nested = odl.ProductSpace(space, space**2)
    action = Intensity(nested, 2.0, [1.0, (0.5, -3.0)])
    x = noise(nested)
    moved = action(x)
    for part, old, b in [
        (moved[0], x[0], 1.0),
        (moved[1][0], x[1][0], 0.5),
        (moved[1][1], x[1][1], -3.0),
    ]:
        np.testing.assert_allclose(array(part), 2 * array(old) + b, rtol=1e-5)
    assert array(moved[0]).dtype == array(x[0]).dtype


@each_space
def test_vector_shifts_form_a_group(impl, dtype):
    """(g h).u = g.(h.u) with mixed shifts, and the inverse undoes them."""
    space = plane(impl, dtype) ** 2
    x = noise(space)
    first = Intensity(space, -2.0, np.array([1.0, 2.0]))
    for second in (Intensity(space, 0.5, [0.0, -1.0]), Intensity(space, 3, 1)):
        product, composed = (first @ second)(x), first(second(x))
        assert float((product - composed).norm()) <= 1e-5 * float(
            composed.norm()
        )
    assert first @ first.inverse == Intensity(space)
    assert first != Intensity(space, -2.0, [2.0, 1.0])
    assert derivative_error(first) < 1e-3


def test_equal_shifts_are_one_number():
    """A shift by (b, b) is the shift by b."""
    space = plane() ** 2
    assert Intensity(space, 2.0, [1.0, 1.0]) == Intensity(space, 2.0, 1.0)
    assert Intensity(space, 2.0, [1.0, 1.0]).shift == 1.0
    assert Intensity(space, 2.0, [0.0, 0.0]).is_linear


def test_bad_shifts_are_refused():
    """There is one real number for each component of a real product."""
    with pytest.raises(ValueError, match='each of the 2 components'):
        Intensity(plane() ** 2, 1.0, [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match='space is no product, got list'):
        Intensity(plane(), 1.0, [1.0])
    with pytest.raises(ValueError, match='`shift` must be a real number on'):
        Intensity(plane() ** 2, 1.0, [1.0, 1j])
    with pytest.raises(ValueError, match='`shift` must be a finite'):
        Intensity(plane() ** 2, 1.0, [1.0, np.nan])
    with pytest.raises(TypeError, match='`shift` must be a finite number'):
        Intensity(plane() ** 2, 1.0, 'ab')


def test_homogeneous_operators_are_equivariant():
    """A linear operator commutes with scalings, a gradient forgets shifts."""
    space = plane()
    gradient = odl.Gradient(space, pad_mode='symmetric')
    scaled = Intensity(gradient.range, -2.0)
    for shift in (0.0, 3.0):
        action = Intensity(space, -2.0, shift)
        assert equivariance_error(gradient, action, scaled) < 1e-13


def test_bad_intensities_are_refused():
    """The scale is not 0, and complex only on complex spaces."""
    with pytest.raises(ValueError, match='scale that is not 0'):
        Intensity(plane(), 0)
    with pytest.raises(ValueError, match='`shift` must be .* real space'):
        Intensity(plane(), 1, 1j)
    with pytest.raises(ValueError, match='`scale` must be a finite'):
        Intensity(plane(), np.inf)
    with pytest.raises(TypeError, match="`scale` must be .*, got '1'"):
        Intensity(plane(), '1')
