# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of what the asserts return, and of what they say."""

import importlib
import inspect
import pickle
import re

import numpy as np
import odl
import pytest

from odl_equivariant import diagnostics
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    adjoint_error,
    assert_adjoint,
    assert_equivariant,
    assert_equivariant_at_angles,
    assert_firmly_nonexpansive,
    assert_isometry,
    assert_linear,
    assert_lipschitz,
    assert_reconstruction_equivariant,
    equivariance_curve,
    equivariance_error,
    lipschitz_estimate,
)

ASSERTS = [name for name in diagnostics.__all__ if 'assert_' in name]


def square(size=6, impl='numpy'):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size), impl=impl)


def slope(space):
    """Return an operator that no rotation commutes with."""
    return odl.PartialDerivative(space, 0, pad_mode='symmetric')


def test_asserts_return_the_measured_error():
    """The number is that of the function without an assert."""
    space = square()
    op = slope(space)
    assert assert_adjoint(op) == adjoint_error(op)
    actions = group_actions(space, 'D4')
    errors = [equivariance_error(op, g) for g in actions]
    assert max(errors) > 0.1
    assert assert_equivariant(op, actions, tol=10) == max(errors)


@pytest.mark.parametrize(
    'measure, words',
    [
        (assert_linear, 'not linear: it has the relative error'),
        (assert_isometry, 'not an isometry: it has'),
        (assert_firmly_nonexpansive, 'not firmly non-expansive: it has'),
    ],
)
def test_what_fails_is_named(measure, words):
    """The message has the operator, the law, the error, the tolerance."""
    with pytest.raises(AssertionError, match=words) as caught:
        measure(3 * odl.PowerOperator(square(), 2))
    assert 'above the tolerance 1e-10' in str(caught.value)


def test_an_element_that_comes_twice_is_tested_twice():
    """A pair that fails is not forgotten for a later one that passes."""
    space = square()
    g = group_actions(space, 'C4')
    identity = odl.IdentityOperator(space)
    with pytest.raises(AssertionError, match='rotation by 90 degrees'):
        assert_equivariant(identity, [g[1], g[1]], [g[2], g[1]])


# --- Lipschitz constants --- #


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_lipschitz_constant_of_a_multiple(impl):
    """The constant itself passes, and anything below does not."""
    op = 3 * odl.IdentityOperator(square(impl=impl))
    assert assert_lipschitz(op, 3.0) == lipschitz_estimate(op)
    with pytest.raises(AssertionError, match='at least 3, above 2.9'):
        assert_lipschitz(op, 2.9)


def test_proximals_are_nonexpansive():
    """1 is the default."""
    space = square()
    assert assert_lipschitz(odl.functionals.L1Norm(space).proximal(0.1)) <= 1
    with pytest.raises(AssertionError, match='above 1'):
        assert_lipschitz(1.1 * odl.IdentityOperator(space))


@pytest.mark.parametrize('constant', [0, -1, np.nan, np.inf])
def test_impossible_constants_are_refused(constant):
    """Nothing is measured before that is seen."""
    with pytest.raises(ValueError, match=f'positive.*got {constant}'):
        assert_lipschitz(odl.IdentityOperator(square()), constant)


# --- Reconstructions --- #


def landweber(operator, y):
    """Return some steps of gradient descent."""
    x = operator.domain.zero()
    odl.solvers.landweber(operator, x, y, 5, omega=0.01)
    return x


def one_sided(operator, y):
    """Return a back-projection, smeared along one axis."""
    x = operator.adjoint(y)
    return x + 0.1 * slope(operator.domain)(x)


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.slow
def test_landweber_follows_its_object(impl):
    """No symmetry of the operator is needed."""
    space = square(impl=impl)
    actions = group_actions(space, 'D4')
    assert equivariance_error(slope(space), actions[1]) > 0.1
    error = assert_reconstruction_equivariant(landweber, slope(space), actions)
    assert error < 1e-13


def test_a_smeared_reconstruction_does_not():
    """The message names the elements that fail, and not the identity."""
    space = square()
    with pytest.raises(AssertionError, match='the reconstruction') as caught:
        assert_reconstruction_equivariant(
            one_sided, slope(space), group_actions(space, 'C4')
        )
    assert 'rotation by 90 degrees' in str(caught.value)
    assert 'identity' not in str(caught.value)


# --- Angles --- #


def test_equivariance_at_angles():
    """Pointwise functions pass, one-sided differences do not."""
    space = square(48)
    angles = [0.0, 0.3, np.pi / 2]
    op = odl.PowerOperator(space, 2)
    error = assert_equivariant_at_angles(op, angles, 0.01, seed=3)
    assert error == equivariance_curve(op, angles, seed=3).max()
    with pytest.raises(AssertionError, match='17.1887 degrees: ') as caught:
        assert_equivariant_at_angles(slope(space), angles, 0.01)
    assert ' 90 degrees: ' in str(caught.value)
    assert ' 0 degrees' not in str(caught.value)


# --- What the factory makes --- #


def test_all_asserts_are_public():
    """Whoever looks for one finds it in the package."""
    assert len(ASSERTS) == 11


@pytest.mark.parametrize('name', ASSERTS)
def test_an_assert_is_a_function_like_any_other(name):
    """Names, pickles, signature and docstring are those of a function."""
    # doctests may have imported the module once more
    module = importlib.import_module(getattr(diagnostics, name).__module__)
    function = getattr(module, name)
    assert inspect.isfunction(function) and function.__name__ == name
    assert pickle.loads(pickle.dumps(function)) is function
    for key in inspect.signature(function).parameters:
        pattern = rf'(?m)^(\*\*|.*, )?{key}(, .*)? :'
        assert re.search(pattern, inspect.getdoc(function))


def test_parameters_are_those_of_the_error():
    """The tolerance comes last, or where it has always been."""

    def parameters(function):
        signature = inspect.signature(function)
        bare = inspect.Parameter.empty
        plain = [
            p.replace(annotation=bare) for p in signature.parameters.values()
        ]
        return str(inspect.Signature(plain))

    assert parameters(assert_linear) == (
        '(op, seed=0, n_samples=3, real_linear=False, tol=None)'
    )
    assert parameters(assert_equivariant) == (
        '(op, actions, range_actions=None, x=None, seed=0, tol=None)'
    )
    assert parameters(assert_firmly_nonexpansive) == (
        '(op, seed=0, n_samples=9, tol=None, n_iterations=20)'
    )


def test_wrong_arguments_are_refused_by_name():
    """The message has the name of the assert and of the argument."""
    with pytest.raises(TypeError, match=r"assert_linear\(\) .*'n_sample'"):
        assert_linear(odl.IdentityOperator(square()), n_sample=2)
    with pytest.raises(TypeError, match=r"assert_isometry\(\) .*'op'"):
        assert_isometry()


@pytest.mark.parametrize(
    'fail',
    [
        lambda op: assert_adjoint(op, tol=-1),
        lambda op: assert_equivariant(op, [op], tol=-1),
        lambda op: assert_equivariant_at_angles(op, [0.1], -1),
        lambda op: assert_lipschitz(op, 0.5),
    ],
)
def test_tracebacks_end_in_the_line_of_the_test(fail):
    """Pytest shows no frame of the package for a law that fails."""
    with pytest.raises(AssertionError) as caught:
        fail(odl.IdentityOperator(square(16)))
    shown = [entry for entry in caught.traceback if not entry.ishidden(caught)]
    assert str(shown[-1].path) == __file__
