# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Asserts for the laws that operators and functionals should obey."""

from collections.abc import Iterable

import odl

from odl_equivariant.diagnostics._spaces import check_operator, dtypes, name
from odl_equivariant.diagnostics.errors import (
    adjoint_error,
    derivative_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics.maps import (
    isometry_error,
    linearity_error,
    unitarity_error,
)
from odl_equivariant.diagnostics.stability import firm_nonexpansiveness_error

__all__ = (
    'TOLERANCES',
    'DERIVATIVE_TOLERANCES',
    'assert_adjoint',
    'assert_derivative',
    'assert_equivariant',
    'assert_invariant',
    'assert_linear',
    'assert_isometry',
    'assert_unitary',
    'assert_firmly_nonexpansive',
)

#: Largest relative error that passes, for the coarsest dtype of the spaces.
TOLERANCES = {
    'float32': 1e-5,
    'complex64': 1e-5,
    'float64': 1e-10,
    'complex128': 1e-10,
}

#: The same for `assert_derivative`, which is limited by finite differences.
DERIVATIVE_TOLERANCES = {
    'float32': 1e-2,
    'complex64': 1e-2,
    'float64': 1e-6,
    'complex128': 1e-6,
}


def _tolerance(op, tol, table):
    if tol is not None:
        return float(tol)
    names = dtypes(op.domain, op.range) or {'float64'}
    unknown = sorted(names - set(table))
    if unknown:
        raise ValueError(
            f'no tolerance is known for the dtype {", ".join(unknown)} of '
            f'{name(op)}; give `tol`'
        )
    return max(table[dtype] for dtype in names)


def _as_list(actions):
    if isinstance(actions, odl.Operator) or not isinstance(actions, Iterable):
        return [actions]
    actions = list(actions)
    if not actions:
        raise ValueError('expected at least one action, got none')
    return actions


def assert_adjoint(op, seed=0, n_samples=3, real_linear=False, tol=None):
    """Raise an `AssertionError` if an operator's adjoint is wrong.

    Parameters
    ----------
    op : `odl.Operator`
        Linear operator with an adjoint.
    seed, n_samples, real_linear :
        See `adjoint_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_adjoint(odl.Gradient(space))
    """
    __tracebackhide__ = True
    error = adjoint_error(op, seed, n_samples, real_linear)
    tol = _tolerance(op, tol, TOLERANCES)
    if not error <= tol:
        raise AssertionError(
            f'the adjoint of {name(op)} has the relative error {error:.3g}, '
            f'above the tolerance {tol:.3g}'
        )


def assert_derivative(op, x=None, seed=0, steps=None, tol=None):
    """Raise an `AssertionError` if an operator's derivative is wrong.

    Parameters
    ----------
    op : `odl.Operator`
        Operator with a derivative.
    x, seed, steps :
        See `derivative_error`.
    tol : float, optional
        Largest relative error that passes. Default: from
        `DERIVATIVE_TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_derivative(odl.functionals.L2NormSquared(space))
    """
    __tracebackhide__ = True
    error = derivative_error(op, x, seed, steps)
    tol = _tolerance(op, tol, DERIVATIVE_TOLERANCES)
    if not error <= tol:
        raise AssertionError(
            f'the derivative of {name(op)} has the relative error '
            f'{error:.3g}, above the tolerance {tol:.3g}'
        )


def assert_equivariant(
    op, actions, range_actions=None, x=None, seed=0, tol=None
):
    """Raise an `AssertionError` if an operator is not equivariant.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on the domain, for example from
        `group_actions`.
    range_actions : `odl.Operator` or sequence of `odl.Operator`, optional
        The same group elements acting on the range, in the same order.
        Default: ``actions``, if domain and range are equal.
    x, seed :
        See `equivariance_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all elements that fail.
    ValueError
        If there are no actions, or not as many on the range.

    Examples
    --------
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> op = odl.Laplacian(space, pad_mode='symmetric')
    >>> assert_equivariant(op, group_actions(space, 'D4'))
    """
    __tracebackhide__ = True
    check_operator(op)
    actions = _as_list(actions)
    if range_actions is None:
        range_actions = [None] * len(actions)
    range_actions = _as_list(range_actions)
    if len(range_actions) != len(actions):
        raise ValueError(
            f'expected one action on the range for each of the {len(actions)} '
            f'on the domain, got {len(range_actions)}'
        )
    tol = _tolerance(op, tol, TOLERANCES)
    failures = []
    for action, range_action in zip(actions, range_actions, strict=True):
        error = equivariance_error(op, action, range_action, x, seed)
        if not error <= tol:
            failures.append(f'{action}: {error:.3g}')
    if failures:
        raise AssertionError(
            f'{name(op)} is not equivariant, its relative errors are above '
            f'the tolerance {tol:.3g} under {"; ".join(failures)}'
        )


def assert_invariant(functional, actions, x=None, seed=0, tol=None):
    """Raise an `AssertionError` if a functional is not invariant.

    Parameters
    ----------
    functional : `odl.functionals.Functional` or `odl.Operator`
        Operator whose range is a field.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on the domain, for example from
        `group_actions`.
    x, seed :
        See `invariance_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all elements that fail.
    ValueError
        If there are no actions.

    Examples
    --------
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> functional = odl.functionals.L1Norm(space)
    >>> assert_invariant(functional, group_actions(space, 'D4'))
    """
    __tracebackhide__ = True
    check_operator(functional)
    actions = _as_list(actions)
    tol = _tolerance(functional, tol, TOLERANCES)
    failures = []
    for action in actions:
        error = invariance_error(functional, action, x, seed)
        if not error <= tol:
            failures.append(f'{action}: {error:.3g}')
    if failures:
        raise AssertionError(
            f'{name(functional)} is not invariant, its relative errors are '
            f'above the tolerance {tol:.3g} under {"; ".join(failures)}'
        )


def _check(op, law, error, tol):
    __tracebackhide__ = True
    tol = _tolerance(op, tol, TOLERANCES)
    if not error <= tol:
        raise AssertionError(
            f'{name(op)} is not {law}: its relative error {error:.3g} is '
            f'above the tolerance {tol:.3g}'
        )


def assert_linear(op, seed=0, n_samples=3, real_linear=False, tol=None):
    """Raise an `AssertionError` if an operator is not linear.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, whether or not it says that it is linear.
    seed, n_samples, real_linear :
        See `linearity_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_linear(odl.Laplacian(space, pad_mode='symmetric'))
    """
    __tracebackhide__ = True
    error = linearity_error(op, seed, n_samples, real_linear)
    _check(op, 'linear', error, tol)


def assert_isometry(op, seed=0, n_samples=3, tol=None):
    """Raise an `AssertionError` if an operator is not an isometry.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not, for example an action.
    seed, n_samples :
        See `isometry_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_isometry(-odl.IdentityOperator(space))
    """
    __tracebackhide__ = True
    _check(op, 'an isometry', isometry_error(op, seed, n_samples), tol)


def assert_unitary(op, seed=0, n_samples=3, tol=None):
    """Raise an `AssertionError` if an operator is not unitary.

    Parameters
    ----------
    op : `odl.Operator`
        Linear operator with an adjoint.
    seed, n_samples :
        See `unitarity_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_unitary(-odl.IdentityOperator(space))
    """
    __tracebackhide__ = True
    _check(op, 'unitary', unitarity_error(op, seed, n_samples), tol)


def assert_firmly_nonexpansive(op, seed=0, n_samples=9, tol=None):
    """Raise an `AssertionError` if an operator is not firmly non-expansive.

    Parameters
    ----------
    op : `odl.Operator`
        Operator on one space, for example a proximal.
    seed, n_samples :
        See `firm_nonexpansiveness_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_firmly_nonexpansive(odl.functionals.L1Norm(space).proximal(0.5))
    """
    __tracebackhide__ = True
    error = firm_nonexpansiveness_error(op, seed, n_samples)
    _check(op, 'firmly non-expansive', error, tol)
