# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the errors of linear maps, isometries and reconstructions."""

import math

import numpy as np
import odl
import pytest
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import Rotation, group_actions
from odl_equivariant.diagnostics import (
    assert_isometry,
    assert_linear,
    assert_unitary,
    isometry_error,
    linearity_error,
    reconstruction_equivariance_error,
    unitarity_error,
)
from odl_equivariant.operators import UnitaryFourierTransform

dtype = simple_fixture('dtype', ['float32', 'float64', 'complex128'])
size = simple_fixture('size', [5, 6])


def square(size=6, dtype='float64', backend='numpy', **kwargs):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend, **kwargs
    )


class Pointwise(odl.Operator):
    """Operator that maps the data of an element by a function."""

    def __init__(self, space, function, range=None, linear=False):
        """Initialize a new instance."""
        super().__init__(space, range or space, linear=linear)
        self.function = function

    def _call(self, x):
        return self.range.element(self.function(x.data))


# --- Linearity --- #


def test_a_linear_operator_is_linear(dtype, backend, size):
    """Rounding is all that is left."""
    gradient = odl.Gradient(square(size, dtype, backend))
    assert_linear(gradient)


def test_a_constant_makes_an_operator_affine(backend):
    """Adding c misses linearity by c."""
    space = square(backend=backend)
    shifted = Pointwise(space, lambda x: x + 1e-3)
    assert 1e-4 < linearity_error(shifted) < 1e-2
    with pytest.raises(AssertionError, match='Pointwise.*not linear.*error'):
        assert_linear(shifted)


def test_real_parts_are_linear_over_the_real_numbers_only():
    """Complex factors do not pass, real ones do."""
    space = square(dtype='complex128')
    op = Pointwise(space, lambda x: x.real + 0j)
    assert linearity_error(op) > 0.1
    assert linearity_error(op, real_linear=True) < 1e-14


def test_functionals_can_be_linear():
    """The mean is linear and a norm is not."""
    space = square()
    assert_linear(odl.functionals.ConstantFunctional(space, 0))
    assert_linear(odl.InnerProductOperator(space.one()))
    assert linearity_error(odl.functionals.L1Norm(space)) > 0.1


def test_values_that_are_not_finite_are_infinite_errors():
    """NaN is not 0."""
    op = Pointwise(square(), lambda x: x * np.nan)
    assert linearity_error(op) == isometry_error(op) == math.inf


# --- Isometries --- #


def test_actions_are_isometries(dtype, backend, size):
    """They move weights that are equal."""
    space = square(size, dtype, backend)
    for action in group_actions(space, 'D4')[1::3]:
        assert_isometry(action)


def test_a_factor_is_no_isometry():
    """A factor of 1.01 is measured as 0.01."""
    identity = odl.IdentityOperator(square())
    assert isometry_error(1.01 * identity) == pytest.approx(0.01)
    with pytest.raises(AssertionError, match='not an isometry'):
        assert_isometry(1.01 * identity)


def test_weights_count():
    """The same numbers in a space of other weights have another norm."""
    light, heavy = square(weighting=1.0), square(weighting=4.0)
    copy = Pointwise(light, lambda x: x, heavy, linear=True)
    assert isometry_error(copy) == pytest.approx(1.0)
    half = Pointwise(light, lambda x: x / 2, heavy, linear=True)
    assert_isometry(half)


def test_translations_of_values_are_isometries():
    """Distances count, not norms."""
    assert_isometry(Pointwise(square(), lambda x: x + 3.0))


# --- Unitary operators --- #


def test_the_unitary_fourier_transform_is_unitary(backend, size):
    """Its adjoint is its inverse."""
    space = square(size, 'complex128', backend)
    assert_unitary(UnitaryFourierTransform(space))


def test_an_isometry_that_is_not_onto_is_not_unitary():
    """Filling up with zeros keeps norms and loses what is beyond."""
    space = odl.rn(2)
    larger = odl.rn(3)
    matrix = np.array([[1.0, 0], [0, 1], [0, 0]])
    embedding = odl.MatrixOperator(matrix, space, larger)
    assert_isometry(embedding)
    assert unitarity_error(embedding) > 0.1


def test_a_factor_is_not_unitary():
    """A factor of 1.01 counts twice."""
    identity = odl.IdentityOperator(square())
    assert unitarity_error(1.01 * identity) == pytest.approx(0.0201)
    with pytest.raises(AssertionError, match='not unitary'):
        assert_unitary(1.01 * identity)


def test_nonlinear_operators_are_not_unitary():
    """The message names what measures them."""
    with pytest.raises(ValueError, match='isometry_error'):
        unitarity_error(Pointwise(square(), np.tanh))


# --- Reconstructions --- #


def back_project(operator, y):
    """Return the adjoint at the data."""
    return operator.adjoint(y)


def test_the_adjoint_follows_the_object(dtype, backend):
    """(A g)* = g^-1 A*, whatever A is."""
    space = square(dtype=dtype, backend=backend)
    slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    for g in group_actions(space, 'D4')[1::3]:
        error = reconstruction_equivariance_error(back_project, slope, g)
        assert error < 1e-6


def test_a_method_that_prefers_a_direction_is_caught():
    """A slope after the adjoint does not turn."""
    space = square()
    slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    error = reconstruction_equivariance_error(
        lambda operator, y: slope(operator.adjoint(y)),
        odl.IdentityOperator(space),
        Rotation(space, np.pi / 2),
    )
    assert error > 0.1


def test_what_is_no_image_is_refused():
    """A method has to return an element of the domain."""
    space = square()
    with pytest.raises(ValueError, match='element of the domain.*float'):
        reconstruction_equivariance_error(
            lambda operator, y: 1.0,
            odl.IdentityOperator(space),
            Rotation(space, np.pi),
        )


@pytest.mark.parametrize(
    'measure', [linearity_error, isometry_error, unitarity_error]
)
def test_no_samples_are_refused(measure):
    """At least one pair has to be tried."""
    with pytest.raises(ValueError, match='`n_samples` must be .*, got 0'):
        measure(odl.IdentityOperator(square()), n_samples=0)
