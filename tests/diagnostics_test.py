# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests that the diagnostics pass what is right and catch what is wrong."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import (
    Reflection,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.diagnostics import (
    DERIVATIVE_TOLERANCES,
    TOLERANCES,
    adjoint_error,
    assert_adjoint,
    assert_derivative,
    assert_equivariant,
    assert_invariant,
    derivative_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import inner, norm, random_element

each_impl = pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
each_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
each_real_dtype = pytest.mark.parametrize('dtype', ['float32', 'float64'])


def square(size=6, **kwargs):
    """Return a space on a square grid with cells of area 0.25."""
    side = 0.5 * size
    return odl.uniform_discr([0, 0], [side, side], (size, size), **kwargs)


class Pointwise(odl.Operator):
    """Operator that maps the data of an element by a function."""

    def __init__(self, space, function, slope=None, linear=False):
        """Initialize a new instance."""
        super().__init__(space, space, linear=linear)
        self.function, self.slope = function, slope

    def _call(self, x):
        return self.range.element(self.function(x.data))

    def derivative(self, x):
        """Return the pointwise product with the slope at ``x``."""
        slope = self.slope(x.data)
        return Pointwise(self.domain, lambda h: slope * h, linear=True)


class WithAdjoint(odl.Operator):
    """Linear operator with the adjoint that it is given."""

    def __init__(self, forward, backward):
        """Initialize a new instance."""
        super().__init__(forward.domain, forward.range, linear=True)
        self.forward, self.backward = forward, backward

    def _call(self, x):
        return self.forward(x)

    @property
    def adjoint(self):
        """Adjoint, right or wrong."""
        return self.backward


class Copy(odl.Operator):
    """Operator that keeps the values and changes the space."""

    def __init__(self, domain, range):
        """Initialize a new instance."""
        super().__init__(domain, range, linear=True)

    def _call(self, x):
        return self.range.element(x.data.astype(self.range.dtype))


class Stencil(Pointwise):
    """Sum of the four neighbours, with periodic boundary values."""

    def __init__(self, space):
        """Initialize a new instance."""
        roll = space.array_namespace.roll
        super().__init__(
            space,
            lambda x: sum(
                roll(x, shift, axis=axis)
                for shift in (1, -1)
                for axis in (0, 1)
            ),
            linear=True,
        )


class OneSidedStencil(Pointwise):
    """Difference to the next value in x, with periodic boundary values."""

    def __init__(self, space):
        """Initialize a new instance."""
        roll = space.array_namespace.roll
        super().__init__(space, lambda x: roll(x, -1, axis=0) - x, linear=True)


def gradient_norm(space, **kwargs):
    """Return the isotropic total variation for a difference scheme."""
    gradient = odl.Gradient(space, **kwargs)
    return odl.functionals.GroupL1Norm(gradient.range) @ gradient


# --- Adjoint --- #


@each_impl
@each_dtype
def test_adjoint_error_of_a_gradient_is_rounding(impl, dtype):
    """The gradient maps to a product space and has an exact adjoint."""
    gradient = odl.Gradient(square(impl=impl, dtype=dtype))
    error = adjoint_error(gradient)
    assert isinstance(error, float)
    assert error < TOLERANCES[dtype]
    assert_adjoint(gradient)


@each_impl
@each_dtype
def test_a_wrong_factor_in_the_adjoint_is_measured(impl, dtype):
    """An adjoint that is 1 percent too large has the error 0.01."""
    space = square(impl=impl, dtype=dtype)
    identity = odl.IdentityOperator(space)
    wrong = WithAdjoint(identity, 1.01 * identity)
    assert adjoint_error(wrong) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(AssertionError, match='WithAdjoint.*error 0.01'):
        assert_adjoint(wrong)


def test_a_small_wrong_factor_is_seen_on_a_large_grid():
    """The error does not drown in the many entries of random elements."""
    identity = odl.IdentityOperator(square(200))
    wrong = WithAdjoint(identity, (1 + 1e-8) * identity)
    assert adjoint_error(wrong) == pytest.approx(1e-8, rel=1e-3)


def test_a_transpose_is_not_the_adjoint_between_unequal_weights():
    """Weights of domain and range enter the adjoint."""
    light, heavy = square(weighting=1.0), square(weighting=3.0)
    forward, backward = Copy(light, heavy), Copy(heavy, light)
    assert adjoint_error(WithAdjoint(forward, 3.0 * backward)) < 1e-14
    assert adjoint_error(WithAdjoint(forward, backward)) > 0.1


@each_impl
def test_boundary_nodes_have_half_weights(impl):
    """Half cells at the boundary make a shift differ from its transpose."""
    space = square(nodes_on_bdry=True, impl=impl)
    roll = space.array_namespace.roll
    forward = Pointwise(space, lambda x: roll(x, 1, axis=0), linear=True)
    backward = Pointwise(space, lambda x: roll(x, -1, axis=0), linear=True)
    assert adjoint_error(WithAdjoint(forward, backward)) > 1e-2
    whole = square(impl=impl)
    forward = Pointwise(whole, lambda x: roll(x, 1, axis=0), linear=True)
    backward = Pointwise(whole, lambda x: roll(x, -1, axis=0), linear=True)
    assert adjoint_error(WithAdjoint(forward, backward)) < 1e-14


@each_impl
def test_a_forgotten_conjugate_is_caught(impl):
    """The adjoint of the product with i is the product with -i."""
    identity = odl.IdentityOperator(square(dtype='complex128', impl=impl))
    right = WithAdjoint(1j * identity, -1j * identity)
    wrong = WithAdjoint(1j * identity, 1j * identity)
    assert adjoint_error(right) < 1e-14
    assert adjoint_error(wrong) > 0.1


@each_impl
def test_real_linear_compares_real_parts(impl):
    """Conjugation is its own adjoint over the real numbers only."""
    space = square(dtype='complex128', impl=impl)

    def conjugate(x):
        return x.real - 1j * x.imag

    operator = Pointwise(space, conjugate, linear=True)
    operator = WithAdjoint(operator, operator)
    assert adjoint_error(operator, real_linear=True) < 1e-14
    assert_adjoint(operator, real_linear=True)
    assert adjoint_error(operator) > 0.1


def test_real_parts_count_between_a_real_and_a_complex_space():
    """The embedding of real functions has the real part as its adjoint."""
    real, complexes = square(), square(dtype='complex128')

    class RealPart(odl.Operator):
        def _call(self, x):
            return x.real

    forward = Copy(real, complexes)
    backward = RealPart(complexes, real, linear=True)
    assert adjoint_error(WithAdjoint(forward, backward)) < 1e-14
    assert adjoint_error(WithAdjoint(backward, forward)) < 1e-14


def test_the_inverse_of_odls_fourier_transform_is_not_its_adjoint():
    """An adjoint known to be wrong is caught."""
    transform = odl.trafos.DiscreteFourierTransform(
        square(dtype='complex128'), impl='numpy'
    )
    with pytest.raises(AssertionError, match='adjoint of DiscreteFourier'):
        assert_adjoint(transform)


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_adjoint_of_a_linear_functional(dtype):
    """Functionals map to a field, whose elements are numbers."""
    space = square(dtype=dtype)
    vector = random_element(space, np.random.default_rng(0))
    functional = odl.core.operator.default_ops.InnerProductOperator(vector)
    assert adjoint_error(functional) < 1e-14


def test_zero_operators_have_no_adjoint_error():
    """0 / 0 counts as 0."""
    space = square()
    zero = odl.ZeroOperator(space)
    assert adjoint_error(zero) == 0.0
    assert_adjoint(zero)


def test_a_zero_operator_with_another_adjoint_is_caught():
    """A difference that is not zero over zero is infinite."""
    space = square()
    wrong = WithAdjoint(odl.ZeroOperator(space), odl.IdentityOperator(space))
    assert adjoint_error(wrong) == math.inf
    with pytest.raises(AssertionError, match='error inf'):
        assert_adjoint(wrong)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_adjoint_that_is_not_finite_is_caught(value):
    """NaN and infinity never pass."""
    space = square()
    bad = Pointwise(space, lambda x: np.full_like(x, value), linear=True)
    wrong = WithAdjoint(odl.IdentityOperator(space), bad)
    assert adjoint_error(wrong) == math.inf
    with pytest.raises(AssertionError, match='error inf'):
        assert_adjoint(wrong)


def test_nonlinear_operators_have_no_adjoint():
    """The error points to the derivative."""
    operator = Pointwise(square(), np.sin)
    with pytest.raises(ValueError, match=r'op\.derivative\(x\)'):
        adjoint_error(operator)


def test_an_adjoint_between_the_wrong_spaces_is_refused():
    """The adjoint maps the range to the domain."""
    gradient = odl.Gradient(square())
    with pytest.raises(ValueError, match='must map its range to its domain'):
        adjoint_error(WithAdjoint(gradient, gradient))


def test_no_samples_are_refused():
    """A test without samples would always pass."""
    with pytest.raises(ValueError, match='`n_samples` must be .*, got 0'):
        adjoint_error(odl.IdentityOperator(square()), n_samples=0)


def test_inner_products_of_torch_spaces_are_odls_own():
    """The quick inner product and norm agree with those of the space."""
    rng = np.random.default_rng(0)
    weights = np.arange(1.0, 17.0).reshape(4, 4)
    for part in (
        square(4, impl='pytorch', dtype='complex128', nodes_on_bdry=True),
        odl.cn((4, 4), impl='pytorch', weighting=torch.from_numpy(weights)),
    ):
        space = odl.ProductSpace(part, 2, weighting=[1.0, 3.0])
        x, y = (random_element(space, rng) for _ in range(2))
        assert inner(space, x, y) == pytest.approx(space.inner(x, y))
        assert norm(space, x) == pytest.approx(float(space.norm(x)))


# --- Derivative --- #


@each_impl
@each_dtype
def test_derivative_of_a_polynomial(impl, dtype):
    """The derivative of x^3 + x is 3 x^2 + 1, on any space."""
    operator = Pointwise(
        square(impl=impl, dtype=dtype),
        lambda x: x**3 + x,
        lambda x: 3 * x**2 + 1,
    )
    error = derivative_error(operator)
    assert isinstance(error, float)
    assert error < 0.1 * DERIVATIVE_TOLERANCES[dtype]
    assert_derivative(operator)


@each_impl
@each_dtype
def test_a_wrong_derivative_is_caught(impl, dtype):
    """A slope that is 5 percent too large has the error 0.05 / 1.05."""
    operator = Pointwise(
        square(impl=impl, dtype=dtype),
        lambda x: x**2,
        lambda x: 2.1 * x,
    )
    assert derivative_error(operator) == pytest.approx(0.05 / 1.05, rel=1e-2)
    with pytest.raises(AssertionError, match='derivative of Pointwise.*0.04'):
        assert_derivative(operator)


def test_derivative_on_a_product_space():
    """Points and directions are taken in product spaces too."""
    space = square()
    operator = odl.DiagonalOperator(
        Pointwise(space, np.sin, np.cos), Pointwise(space, np.exp, np.exp)
    )
    assert derivative_error(operator) < 1e-8


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_derivative_of_a_functional(dtype):
    """The derivative of |x|^2 is 2 Re<x, .>, also on a complex space."""
    functional = odl.functionals.L2NormSquared(square(dtype=dtype))
    assert derivative_error(functional) < 1e-8
    assert_derivative(functional)


def test_derivative_at_the_users_point():
    """A derivative that is right at zero only passes there."""
    space = square()
    operator = Pointwise(space, np.sin, np.ones_like)
    assert derivative_error(operator, space.zero()) < 1e-6
    assert derivative_error(operator, space.one()) > 0.1


def test_a_constant_operator_has_the_derivative_zero():
    """0 / 0 counts as 0."""
    operator = Pointwise(square(), np.ones_like, np.zeros_like)
    assert derivative_error(operator) == 0.0


@pytest.mark.parametrize('where', ['value', 'slope'])
def test_a_derivative_that_is_not_finite_is_caught(where):
    """NaN in the operator or in its derivative never passes."""

    def nan(x):
        return np.full_like(x, np.nan)

    operator = Pointwise(
        square(),
        nan if where == 'value' else np.sin,
        nan if where == 'slope' else np.cos,
    )
    assert derivative_error(operator) == math.inf
    with pytest.raises(AssertionError, match='error inf'):
        assert_derivative(operator)


def test_operators_that_fail_for_large_steps_fail():
    """One value that is not finite is enough."""
    space = square()

    def log_near_one(x):
        return np.where(np.abs(x - 1) < 1e-3, np.log(np.abs(x)), np.nan)

    operator = Pointwise(space, log_near_one, lambda x: 1 / x)
    assert derivative_error(operator, space.one()) < 1e-6
    steps = [1e-5, 1e-2]
    assert derivative_error(operator, space.one(), steps=steps) == math.inf


@pytest.mark.parametrize('steps', [[], [0.0], [-1e-3], [np.nan]])
def test_steps_that_are_not_positive_are_refused(steps):
    """Differences have a positive finite size."""
    with pytest.raises(ValueError, match='positive|at least one step'):
        derivative_error(odl.IdentityOperator(square()), steps=steps)


# --- Equivariance --- #


@each_impl
@each_dtype
@pytest.mark.parametrize('size', [6, 7])
def test_a_symmetric_stencil_is_equivariant(impl, dtype, size):
    """The sum of neighbours commutes with the symmetries of the square."""
    space = square(size, impl=impl, dtype=dtype)
    actions = group_actions(space, 'D4')
    error = equivariance_error(Stencil(space), actions[1])
    assert isinstance(error, float)
    assert error < 0.1 * TOLERANCES[dtype]
    assert_equivariant(Stencil(space), actions)


@each_impl
@each_dtype
def test_a_one_sided_stencil_is_not_equivariant(impl, dtype):
    """A forward difference commutes with no rotation."""
    space = square(impl=impl, dtype=dtype)
    for action in group_actions(space, 'C4')[1:]:
        assert equivariance_error(OneSidedStencil(space), action) > 0.1


def test_the_laplacian_is_equivariant():
    """ODL's Laplacian commutes with the symmetries of the square."""
    space = square()
    laplacian = odl.Laplacian(space, pad_mode='symmetric')
    assert_equivariant(laplacian, group_actions(space, 'D4'))


def test_a_periodic_convolution_is_equivariant_under_translations():
    """Periodic stencils commute with periodic translations."""
    space = square()
    periodic = odl.PartialDerivative(space, axis=0, pad_mode='periodic')
    padded = odl.PartialDerivative(space, axis=0, pad_mode='constant')
    shift = Translation(space, (0.5, -1.0))
    assert_equivariant(periodic, shift)
    assert equivariance_error(padded, shift) > 1e-2


def test_nonlinear_operators_are_tested_as_they_are():
    """Pointwise functions commute with every action of the grid."""
    space = square()
    operator = Pointwise(space, lambda x: np.maximum(x, 0) + 1)
    assert_equivariant(operator, group_actions(space, 'D4'))


def test_equivariance_on_a_product_space():
    """Operators that act alike on all components are equivariant."""
    space = square()
    laplacian = odl.Laplacian(space, pad_mode='symmetric')
    operator = odl.DiagonalOperator(laplacian, laplacian)
    assert_equivariant(operator, group_actions(space**2, 'D4'))


def test_the_action_on_the_range_can_be_another():
    """The mirrored derivative in x changes its sign."""
    space = square()
    derivative = odl.PartialDerivative(
        space, axis=0, method='central', pad_mode='symmetric'
    )
    mirror = Reflection(space, 0)
    assert equivariance_error(derivative, mirror, -1.0 * mirror) < 1e-14
    assert equivariance_error(derivative, mirror) > 0.1
    assert_equivariant(derivative, [mirror], [-1.0 * mirror])
    assert_equivariant(derivative, mirror, -1.0 * mirror)


def test_an_assert_names_all_failing_elements():
    """The message has operator, elements, errors and tolerance."""
    space = square()
    derivative = odl.PartialDerivative(
        space, axis=0, method='central', pad_mode='symmetric'
    )
    with pytest.raises(AssertionError) as caught:
        assert_equivariant(derivative, group_actions(space, 'D2'))
    message = str(caught.value)
    assert message.startswith('PartialDerivative: uniform_discr(')
    assert 'tolerance 1e-10' in message
    assert 'rotation by 180 degrees: 2;' in message
    assert 'reflection in the line at 90 degrees: 2' in message
    assert 'at 0 degrees' not in message
    assert 'identity' not in message


def test_equivariance_at_the_users_point():
    """The error is measured at the given element or array."""
    space = square()
    derivative = odl.PartialDerivative(space, axis=0, pad_mode='symmetric')
    turn = Rotation(space, np.pi / 2)
    assert equivariance_error(derivative, turn, x=space.one()) == 0.0
    assert equivariance_error(derivative, turn, x=np.eye(6)) > 0.1
    with pytest.raises(ValueError, match='expected `x` to be an element'):
        equivariance_error(derivative, turn, x=np.eye(7))


def test_zero_operators_are_equivariant():
    """0 / 0 counts as 0."""
    space = square()
    assert_equivariant(odl.ZeroOperator(space), group_actions(space, 'C4'))


@each_impl
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_caught(impl, value):
    """NaN and infinity never pass, even where both sides agree."""
    space = square(impl=impl)
    operator = Pointwise(space, lambda x: x * value)
    turn = Rotation(space, np.pi / 2)
    assert equivariance_error(operator, turn) == math.inf
    with pytest.raises(AssertionError, match='rotation by 90 degrees: inf'):
        assert_equivariant(operator, turn)


def test_a_range_without_an_action_is_refused():
    """What acts on another range has to be given."""
    space = square()
    with pytest.raises(ValueError, match='give `range_action`'):
        equivariance_error(odl.Gradient(space), Rotation(space, np.pi))


def test_an_action_on_another_space_is_refused():
    """The error names both spaces."""
    small, large = square(6), square(8)
    identity = odl.IdentityOperator(small)
    with pytest.raises(ValueError, match=r'\(6, 6\).*got.*\(8, 8\)'):
        equivariance_error(identity, Rotation(large, np.pi))
    with pytest.raises(ValueError, match=r'the range.*\(6, 6\).*\(8, 8\)'):
        equivariance_error(
            identity, Rotation(small, np.pi), Rotation(large, np.pi)
        )


def test_functionals_are_refused_by_equivariance():
    """Functionals are invariant, not equivariant."""
    space = square()
    with pytest.raises(ValueError, match='invariance_error'):
        equivariance_error(
            odl.functionals.L1Norm(space), Rotation(space, np.pi)
        )


@pytest.mark.parametrize('check', [assert_equivariant, assert_invariant])
def test_an_empty_list_of_actions_is_refused(check):
    """A test without actions would always pass."""
    with pytest.raises(ValueError, match='at least one action'):
        check(odl.functionals.L1Norm(square()), [])


def test_unequal_numbers_of_actions_are_refused():
    """Each action on the domain needs one on the range."""
    space = square()
    actions = group_actions(space, 'C4')
    with pytest.raises(ValueError, match='each of the 4 .* got 2'):
        assert_equivariant(odl.IdentityOperator(space), actions, actions[:2])


# --- Invariance --- #


@each_real_dtype
def test_central_total_variation_is_invariant(dtype):
    """Central differences with symmetric padding treat all axes alike."""
    space = square(dtype=dtype)
    variation = gradient_norm(space, method='central', pad_mode='symmetric')
    actions = group_actions(space, 'D4')
    error = invariance_error(variation, actions[1])
    assert isinstance(error, float)
    assert error < 0.1 * TOLERANCES[dtype]
    assert_invariant(variation, actions)


@each_real_dtype
def test_forward_total_variation_is_not_invariant(dtype):
    """Forward differences change their value under a quarter turn."""
    space = square(dtype=dtype)
    variation = gradient_norm(space, method='forward', pad_mode='symmetric')
    assert invariance_error(variation, Rotation(space, np.pi / 2)) > 1e-4
    with pytest.raises(
        AssertionError, match='is not invariant.*rotation by 90 degrees: 0'
    ):
        assert_invariant(variation, group_actions(space, 'C4'))


@each_impl
@each_dtype
def test_norms_are_invariant(impl, dtype):
    """Norms on complex and torch spaces do not change."""
    space = square(impl=impl, dtype=dtype)
    squares = odl.functionals.L2NormSquared(space)
    assert_invariant(squares, Translation(space, (0.5, 1.0)))


def test_zero_functionals_are_invariant():
    """0 / 0 counts as 0."""
    space = square()
    zero = odl.functionals.ZeroFunctional(space)
    assert invariance_error(zero, Rotation(space, np.pi)) == 0.0


def test_invariance_of_infinite_values():
    """Equal infinite values are invariant, an infinity and a number not."""
    space = square()
    indicator = odl.functionals.IndicatorBox(space, 0, space.one())
    turn = Rotation(space, np.pi / 2)
    assert invariance_error(indicator, turn, x=-space.one()) == 0.0
    lopsided = odl.functionals.IndicatorBox(space, 0, np.eye(6)[::-1] + 1)
    assert invariance_error(lopsided, turn, x=2 * np.eye(6)[::-1]) == math.inf


def test_a_value_that_is_nan_is_caught():
    """NaN never passes."""
    space = square()
    operator = odl.functionals.L1Norm(space) @ Pointwise(
        space, lambda x: x * np.nan
    )
    assert invariance_error(operator, Rotation(space, np.pi)) == math.inf
    with pytest.raises(AssertionError, match='180 degrees: inf'):
        assert_invariant(operator, Rotation(space, np.pi))


def test_operators_are_refused_by_invariance():
    """Operators are equivariant, not invariant."""
    space = square()
    with pytest.raises(ValueError, match='equivariance_error'):
        invariance_error(odl.IdentityOperator(space), Rotation(space, np.pi))


def test_invariance_under_an_action_on_another_space_is_refused():
    """The error names both spaces."""
    with pytest.raises(ValueError, match=r'\(6, 6\).*got.*\(8, 8\)'):
        invariance_error(
            odl.functionals.L1Norm(square(6)), Rotation(square(8), np.pi)
        )


# --- All of them --- #


@pytest.mark.parametrize(
    'check',
    [
        adjoint_error,
        derivative_error,
        assert_adjoint,
        assert_derivative,
        lambda op: equivariance_error(op, Rotation(square(), np.pi)),
        lambda op: invariance_error(op, Rotation(square(), np.pi)),
        lambda op: assert_equivariant(op, Rotation(square(), np.pi)),
        lambda op: assert_invariant(op, Rotation(square(), np.pi)),
    ],
)
def test_what_is_no_operator_is_refused(check):
    """The error says how to make an operator of a torch module."""
    with pytest.raises(TypeError, match=r'got ReLU; wrap .*NetworkOperator'):
        check(torch.nn.ReLU())


@pytest.mark.parametrize('check', [assert_equivariant, equivariance_error])
def test_what_is_no_action_is_refused(check):
    """Actions are operators."""
    with pytest.raises(TypeError, match='action that is an `odl.Operator`'):
        check(odl.IdentityOperator(square()), np.pi)


@each_impl
def test_seeds_decide_the_random_input(impl):
    """Equal seeds give equal errors, other seeds other ones."""
    space = square(impl=impl)
    operator = OneSidedStencil(space)
    turn = Rotation(space, np.pi / 2)
    errors = [equivariance_error(operator, turn, seed=s) for s in (1, 1, 2)]
    assert errors[0] == errors[1] != errors[2]


def test_random_inputs_are_the_same_on_both_back_ends():
    """The same seed gives the same numbers on numpy and pytorch."""
    errors = []
    for impl in ('numpy', 'pytorch'):
        space = square(impl=impl)
        operator = odl.PartialDerivative(space, axis=0, method='forward')
        errors.append(equivariance_error(operator, Rotation(space, np.pi / 2)))
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)


def test_integer_spaces_are_refused():
    """There is no white noise among the integers."""
    space = square(dtype='int32')
    with pytest.raises(ValueError, match='real or complex arrays'):
        equivariance_error(Pointwise(space, np.abs), Rotation(space, np.pi))


def test_the_tolerance_is_that_of_the_coarsest_dtype():
    """Single precision anywhere makes the test coarser."""
    single, double = square(dtype='float32'), square()
    forward = Copy(double, single)
    backward = 1.000001 * Copy(single, double)
    assert_adjoint(WithAdjoint(forward, backward))
    with pytest.raises(AssertionError, match='tolerance 1e-08'):
        assert_adjoint(WithAdjoint(forward, backward), tol=1e-8)


@pytest.mark.parametrize('law', ['adjoint', 'derivative', 'equi', 'in'])
def test_asserts_hide_their_own_frame(law):
    """A failing test shows the user's line, not that of the assert."""
    space = square()
    identity = odl.IdentityOperator(space)
    turn = Rotation(space, np.pi / 2)
    with pytest.raises(AssertionError) as caught:
        if law == 'adjoint':
            assert_adjoint(WithAdjoint(identity, 2.0 * identity))
        elif law == 'derivative':
            assert_derivative(Pointwise(space, np.sin, np.sin))
        elif law == 'equi':
            assert_equivariant(odl.PartialDerivative(space, axis=0), turn)
        else:
            assert_invariant(gradient_norm(space, method='forward'), turn)
    visible = [e for e in caught.traceback if not e.ishidden(caught)]
    assert visible[-1].path.name == 'diagnostics_test.py'


@pytest.mark.cuda
def test_diagnostics_of_operators_on_a_device():
    """Random inputs are made on the device of the operator's domain."""
    space = square(impl='pytorch', device='cuda:0')
    assert_equivariant(Stencil(space), group_actions(space, 'D4'))
    assert_adjoint(WithAdjoint(Stencil(space), Stencil(space)))
