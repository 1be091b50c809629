# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scalings of functions together with their domain."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import DomainScaling
from odl_equivariant.diagnostics import assert_adjoint, unitarity_error


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
@pytest.mark.parametrize('shape', [(5,), (4, 3), (2, 3, 4)])
@pytest.mark.parametrize('unitary', [False, True])
def test_laws(impl, dtype, shape, unitary):
    """The adjoint is exact, the inverse undoes it, the centre stays."""
    n = len(shape)
    space = odl.uniform_discr([1] * n, [3] * n, shape, dtype=dtype, impl=impl)
    double = DomainScaling(space, 1.5, unitary)
    assert_adjoint(double)
    assert_adjoint(double.inverse)
    u = space.one()
    assert float((double.inverse(double(u)) - u).norm()) < 1e-5
    assert double.range.partition.mid_pt.tolist() == n * [2.0]
    assert double.range.partition.extent.tolist() == n * [3.0]
    assert double.inverse.inverse is double
    if unitary:
        assert unitarity_error(double) < 1e-5


def test_values_stay_as_they_are():
    """Nothing is interpolated."""
    space = odl.uniform_discr([-1, -1], [1, 1], (3, 4))
    values = np.random.default_rng(0).standard_normal((3, 4))
    scaled = DomainScaling(space, 7.0)(space.element(values))
    np.testing.assert_array_equal(scaled.asarray(), values)


def test_weights_of_the_space_scale_along():
    """Also those that the space was given."""
    space = odl.uniform_discr([-1, -1], [1, 1], (3, 4), weighting=5.0)
    assert DomainScaling(space, 2).range.weighting.const == 20.0


def test_bad_input():
    """Products, half cells, factors that are not positive."""
    space = odl.uniform_discr(-1, 1, 4)
    with pytest.raises(TypeError, match='one for each component'):
        DomainScaling(space**2, 2)
    with pytest.raises(ValueError, match='positive'):
        DomainScaling(space, 0)
    half = odl.uniform_discr(-1, 1, 4, nodes_on_bdry=True)
    with pytest.raises(ValueError, match='whole cells'):
        DomainScaling(half, 2)


@pytest.mark.parametrize('factor', [1e-300, 1e-80, 1e80, 1e200])
def test_factors_that_numbers_cannot_hold(factor):
    """Lengths and weights of the new domain are told in the error."""
    space = odl.uniform_discr([-1, -1], [1, 1], (3, 4))
    with pytest.raises(ValueError, match='extent.*weight 1e.*nearer to 1'):
        DomainScaling(space, factor)
    far = odl.uniform_discr([1e6, 0], [1e6 + 1, 1], (3, 4))
    with pytest.raises(ValueError, match='lose their digits'):
        DomainScaling(far, 1e-12)
