# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of scalings of the domain by sampling."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import Dilation, Rotation
from odl_equivariant.diagnostics import adjoint_error
from tests.actions.intensity_test import each_space, noise, plane


@each_space
@pytest.mark.parametrize('method', ['linear', 'cubic'])
def test_dilation_adjoint(impl, dtype, method):
    """<g.u, v> = <u, g*.v> for growing and shrinking images."""
    space = plane(impl, dtype)
    for factor in (0.6, 1.7):
        action = Dilation(space, factor, method)
        assert not action.is_isometry and not action.is_exact
        assert adjoint_error(action) < 1e-6
        assert action(noise(space)) in space


@pytest.mark.parametrize(
    'method, allowed', [('linear', 2e-2), ('cubic', 1e-3)]
)
def test_dilation_of_a_smooth_function(method, allowed):
    """(g.u)(x) = u((x - c) / a + c), with a > 1 for larger images."""
    space = plane(shape=(64, 96))
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')

    def bump(factor):
        u, v = (x - 1) / factor + 1, (y - 1.5) / factor + 1.5
        radius = (u - 1.2) ** 2 + (v - 1.4) ** 2
        return space.element(np.exp(-radius / 0.05))

    for factor in (0.8, 1.25):
        gap = Dilation(space, factor, method)(bump(1)) - bump(factor)
        assert gap.norm() < allowed * bump(factor).norm()


def test_dilations_multiply():
    """The product scales by the product, and turns interpolate with it."""
    space = plane()
    product = Dilation(space, 2.0) @ Dilation(space, 0.75)
    assert product == Dilation(space, 1.5)
    assert Dilation(space, 2.0) @ Dilation(space, 0.5) == Rotation(space, 0)
    both = Dilation(space, 1.5) @ Rotation(space, 0.4, 'linear')
    np.testing.assert_allclose(
        both.matrix, 1.5 * Rotation(space, 0.4, 'linear').matrix
    )
    assert str(both) == 'scaling by 1.5 and rotation by 22.9183 degrees'
    assert Dilation(space, 4.0).inverse.factor == 0.25


@pytest.mark.parametrize('factor', [0, -1.0, np.inf, np.nan])
def test_a_factor_that_is_not_positive_is_refused(factor):
    """A scaling has an inverse and no mirror image."""
    with pytest.raises(
        ValueError, match='`factor` must be a (positive|finite)'
    ):
        Dilation(plane(), factor)


def test_other_bad_dilations_are_refused():
    """A factor that is no number and an unknown method are refused."""
    with pytest.raises(TypeError, match="`factor` must be .*, got '2'"):
        Dilation(plane(), '2')
    for method in (None, 'fourier'):
        error = TypeError if method is None else ValueError
        with pytest.raises(error, match="`method` .*'linear', 'cubic', got"):
            Dilation(plane(), 2, method)


def test_dilations_that_leave_nothing():
    """The error says how much is left; the inverse may leave less."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 20))
    with pytest.raises(ValueError, match='0.8.*at least 1.25 times the fact'):
        Dilation(space, 0.1)
    assert Dilation(space, 0.125)(space.one()).norm() > 0
    back = Dilation(space, 100.0).inverse
    assert back.factor == 0.01 and back.inverse.factor == 100.0
    assert back(space.one()) in space
