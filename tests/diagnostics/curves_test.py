# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the equivariance under rotations by any angle."""

import numpy as np
import odl
import pytest

from odl_equivariant.diagnostics import equivariance_curve

ANGLES = np.deg2rad([0, 10, 45, 90, 200])


def square(size=32, **kwargs):
    """Return a space on a square grid that is not centred at the origin."""
    return odl.uniform_discr([0, 1], [3, 4], (size, size), **kwargs)


@pytest.mark.parametrize(
    'dtype, backend', [('float32', 'pytorch'), ('complex128', 'numpy')]
)
def test_the_identity_has_the_error_of_the_splines(dtype, backend):
    """It falls with the fourth power of the cell side."""
    errors = [
        equivariance_curve(
            odl.IdentityOperator(square(n, dtype=dtype, impl=backend)), ANGLES
        )
        for n in (32, 64)
    ]
    assert errors[1].shape == (5,)
    assert errors[1].max() < 1e-4
    assert errors[1].max() < errors[0].max() / 8
    assert errors[1][0] < 1e-6


def test_pointwise_functions_commute_with_all_angles():
    """Nothing but the splines is left."""
    errors = equivariance_curve(odl.PowerOperator(square(64), 2), ANGLES)
    assert errors.max() < 1e-2


def test_a_slope_commutes_with_none():
    """An operator with a direction fails, and the more it is turned."""
    op = odl.PartialDerivative(square(), 0, method='central')
    errors = equivariance_curve(op, ANGLES)
    assert errors[0] < 1e-6
    assert 0.1 < errors[1] < errors[2] < errors[3]


def test_a_stencil_of_the_square_fails_between_its_angles():
    """The fourth differences along the axes see the grid's diagonals."""
    space = square(48)
    op = odl.ZeroOperator(space)
    for i in (0, 1):
        slope = odl.PartialDerivative(space, i, method='central')
        op = op + slope @ slope @ slope @ slope
    errors = equivariance_curve(op, np.deg2rad([0, 45, 90]), radius=0.6)
    assert errors[1] > 0.1
    assert errors[2] < 1e-6


def test_the_users_function_is_turned():
    """A round function is its own turn, so that only the operator counts."""
    space = square()
    op = odl.PartialDerivative(space, 1, method='central')

    def round_function(points):
        return np.exp(-4 * (points**2).sum(0))[None]

    errors = equivariance_curve(op, [np.pi], function=round_function)
    assert errors[0] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize('angles', [[], [np.nan], 0.5])
def test_impossible_angles_are_refused(angles):
    """A curve has at least one point."""
    with pytest.raises(ValueError, match='at least one finite angle'):
        equivariance_curve(odl.IdentityOperator(square()), angles)


@pytest.mark.parametrize('radius', [0, 1.5, -1])
def test_impossible_discs_are_refused(radius):
    """The disc must lie in the domain."""
    with pytest.raises(ValueError, match='`radius` must be .* of at most 1'):
        equivariance_curve(
            odl.IdentityOperator(square()), [0.0], radius=radius
        )


def test_two_spaces_are_refused():
    """Rotations of the range are not known."""
    with pytest.raises(ValueError, match='to itself'):
        equivariance_curve(odl.Gradient(square()), [0.0])


# --- Vector fields --- #


@pytest.mark.parametrize(
    'dtype, backend',
    [('float32', 'pytorch'), ('float64', 'numpy'), ('complex128', 'numpy')],
)
@pytest.mark.parametrize('size', [64, 65])
@pytest.mark.slow
def test_the_gradient_of_the_divergence_turns_vectors(dtype, backend, size):
    """It commutes if the arrows turn too, and only then."""
    space = square(size, dtype=dtype, impl=backend)
    slopes = [
        odl.PartialDerivative(space, i, method='central') for i in (0, 1)
    ]
    op = odl.ProductSpaceOperator(
        [[a @ b for b in slopes] for a in slopes],
        domain=space**2,
        range=space**2,
    )
    options = {'angles': ANGLES, 'radius': 0.6}
    turned = equivariance_curve(op, representation='standard', **options)
    moved = equivariance_curve(op, **options)
    assert turned[0] < 1e-5 and turned[3] < 1e-4
    assert turned.max() < 0.05
    assert moved[1:].min() > 0.1


def test_the_identity_on_vector_fields_has_the_error_of_the_splines():
    """Turning the values adds no error."""
    op = odl.IdentityOperator(square(64) ** 2)
    errors = equivariance_curve(op, ANGLES, representation='standard')
    assert errors.max() < 1e-4


def test_constant_fields_tell_the_sense_of_the_turn():
    """The projection on one axis: at a quarter turn the other is left."""
    fields = square() ** 2
    identity = odl.IdentityOperator(fields[0])
    op = odl.ProductSpaceOperator(
        [[identity, 0], [0, 0 * identity]], domain=fields, range=fields
    )

    def constant(points):
        return np.stack([np.ones(points.shape[1:]), 0 * points[0]])

    # Phi(R e_1) = cos e_1 against R Phi(e_1) = (cos, sin)
    errors = equivariance_curve(
        op, ANGLES, function=constant, representation='standard'
    )
    assert errors == pytest.approx(np.abs(np.sin(ANGLES)), abs=1e-9)


def test_representations_of_escnn():
    """Those of SO(2) have all angles; those of C4 are refused at others."""
    from odl_equivariant.nn.escnn.library import group

    so2, c4 = group.so2_group(), group.cyclic_group(4)
    op = odl.functionals.GroupL1Norm(square() ** 2).proximal(0.1)
    errors = [
        equivariance_curve(op, ANGLES, representation=representation)
        for representation in ('standard', so2.irrep(1))
    ]
    np.testing.assert_allclose(errors[1], errors[0], atol=1e-12)
    with pytest.raises(ValueError, match='is not in the group C4'):
        equivariance_curve(op, [0.3], representation=c4.irrep(1))


def test_a_representation_that_does_not_fit_is_refused():
    """Images have no arrows to turn."""
    with pytest.raises(ValueError, match='`ProductSpace` of 2'):
        equivariance_curve(
            odl.IdentityOperator(square()), [0.3], representation='standard'
        )


def test_degrees_are_asked_for():
    """Angles of more than a turn in round numbers give a warning."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    with pytest.warns(UserWarning, match='are these degrees'):
        equivariance_curve(odl.IdentityOperator(space), [90, 0, 180])
