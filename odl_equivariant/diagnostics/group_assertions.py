# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Asserts that operators, functionals and reconstructions follow a group.

Each function returns the largest measured error if all errors pass.
"""

from collections.abc import Iterable

import numpy as np
import odl

from odl_equivariant.diagnostics._spaces import check_operator, name
from odl_equivariant.diagnostics._tolerances import tolerance
from odl_equivariant.diagnostics.curves import equivariance_curve
from odl_equivariant.diagnostics.errors import (
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics.maps import reconstruction_equivariance_error

__all__ = (
    'assert_equivariant',
    'assert_equivariant_at_angles',
    'assert_invariant',
    'assert_reconstruction_equivariant',
)


def _as_list(actions):
    if isinstance(actions, odl.Operator) or not isinstance(actions, Iterable):
        return [actions]
    actions = list(actions)
    if not actions:
        raise ValueError('expected at least one action, got none')
    return actions


def _check_all(errors, tol, failure):
    """Return the largest error, or name all errors that fail."""
    __tracebackhide__ = True
    failures = [
        f'{element}: {error:.3g}'
        for element, error in errors
        if not error <= tol
    ]
    if failures:
        raise AssertionError(
            f'{failure}, its relative errors are above the tolerance '
            f'{tol:.3g} under {"; ".join(failures)}'
        )
    return max(error for _, error in errors)


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

    Returns
    -------
    error : float
        The largest relative error, where all pass.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all elements that fail.
    ValueError
        If there are no actions, or not as many on the range.

    Examples
    --------
    >>> import odl
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> op = odl.Laplacian(space, pad_mode='symmetric')
    >>> assert_equivariant(op, group_actions(space, 'D4')) < 1e-14
    True
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
    errors = [
        (action, equivariance_error(op, action, range_action, x, seed))
        for action, range_action in zip(actions, range_actions, strict=True)
    ]
    failure = f'{name(op)} is not equivariant'
    return _check_all(errors, tolerance(op, tol), failure)


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

    Returns
    -------
    error : float
        The largest relative error, where all pass.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all elements that fail.
    ValueError
        If there are no actions.

    Examples
    --------
    >>> import odl
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> functional = odl.functionals.L1Norm(space)
    >>> assert_invariant(functional, group_actions(space, 'D4')) < 1e-14
    True
    """
    __tracebackhide__ = True
    check_operator(functional)
    actions = _as_list(actions)
    errors = [
        (action, invariance_error(functional, action, x, seed))
        for action in actions
    ]
    failure = f'{name(functional)} is not invariant'
    return _check_all(errors, tolerance(functional, tol), failure)


def assert_reconstruction_equivariant(
    method, operator, actions, y=None, seed=0, tol=None
):
    r"""Raise an `AssertionError` if a reconstruction is not equivariant.

    Parameters
    ----------
    method : callable
        Reconstruction: ``method(operator, y)`` returns an element of
        ``operator.domain``.
    operator : `odl.Operator`
        Forward operator.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on ``operator.domain``, for example from
        `group_actions`.
    y, seed :
        See `reconstruction_equivariance_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.

    Returns
    -------
    error : float
        The largest relative error, where all pass.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all elements that fail.
    ValueError
        If there are no actions.

    Notes
    -----
    The law is :math:`\Phi(y; A T_g) = T_g^{-1} \Phi(y; A)`, with the
    object and the forward operator turned as one.

    Examples
    --------
    >>> import odl
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    >>> assert_reconstruction_equivariant(
    ...     lambda operator, y: operator.adjoint(y),
    ...     slope,
    ...     group_actions(space, 'D4'),
    ... ) < 1e-14
    True
    """
    __tracebackhide__ = True
    check_operator(operator)
    errors = [
        (
            action,
            reconstruction_equivariance_error(
                method, operator, action, y, seed
            ),
        )
        for action in _as_list(actions)
    ]
    failure = f'the reconstruction from {name(operator)} is not equivariant'
    return _check_all(errors, tolerance(operator, tol), failure)


def assert_equivariant_at_angles(op, angles, tol, **options):
    """Raise an `AssertionError` if rotations by some angles do not commute.

    Parameters
    ----------
    op : `odl.Operator`
        Operator from a space on a 2D grid to itself.
    angles : array-like of float, shape (n,)
        Angles in radians, counter-clockwise.
    tol : float
        Largest relative error that passes. What is right depends on the
        grid: see `equivariance_curve`.
    **options :
        ``function``, ``seed``, ``radius``, ``representation`` of
        `equivariance_curve`.

    Returns
    -------
    error : float
        The largest relative error, where all pass.

    Raises
    ------
    AssertionError
        If an error is above the tolerance or not finite; the message lists
        all angles that fail.
    TypeError, ValueError
        See `equivariance_curve`.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (48, 48))
    >>> op = odl.PowerOperator(space, 2)
    >>> assert_equivariant_at_angles(op, [0.3, np.pi / 4], 0.01) < 0.01
    True
    """
    __tracebackhide__ = True
    curve = equivariance_curve(op, angles, **options)
    errors = [
        (f'{np.degrees(angle):.6g} degrees', float(error))
        for angle, error in zip(angles, curve, strict=True)
    ]
    failure = f'{name(op)} is not equivariant under rotations'
    return _check_all(errors, float(tol), failure)
