# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Asserts that raise an error unless an operator obeys a law.

Each function returns the largest measured error if it passes. One factory
makes all asserts that compare one of the errors with a tolerance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import positive_number
from odl_equivariant._types import Operator
from odl_equivariant.diagnostics import _tolerances
from odl_equivariant.diagnostics._factory import check_all, make_assertion
from odl_equivariant.diagnostics._spaces import name
from odl_equivariant.diagnostics.curves import equivariance_curve
from odl_equivariant.diagnostics.errors import (
    adjoint_error,
    derivative_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics.maps import (
    isometry_error,
    linearity_error,
    reconstruction_equivariance_error,
    unitarity_error,
)
from odl_equivariant.diagnostics.stability import (
    firm_nonexpansiveness_error,
    lipschitz_estimate,
)

__all__ = (
    'assert_adjoint',
    'assert_derivative',
    'assert_equivariant',
    'assert_equivariant_at_angles',
    'assert_firmly_nonexpansive',
    'assert_invariant',
    'assert_isometry',
    'assert_linear',
    'assert_lipschitz',
    'assert_reconstruction_equivariant',
    'assert_unitary',
)


# --- Laws of one operator --- #


assert_adjoint = make_assertion(
    __name__,
    'assert_adjoint',
    adjoint_error,
    'the adjoint of {} has',
    law="an operator's adjoint is wrong",
    parameters='op : `odl.Operator`\n    Linear operator with an adjoint.',
    example='>>> assert_adjoint(odl.Gradient(space)) < 1e-14\nTrue',
)

assert_derivative = make_assertion(
    __name__,
    'assert_derivative',
    derivative_error,
    'the derivative of {} has',
    law="an operator's derivative is wrong",
    parameters='op : `odl.Operator`\n    Operator with a derivative.',
    example="""
    >>> assert_derivative(odl.functionals.L2NormSquared(space)) < 1e-6
    True
    """,
    tolerances='DERIVATIVE_TOLERANCES',
)

assert_linear = make_assertion(
    __name__,
    'assert_linear',
    linearity_error,
    '{} is not linear: it has',
    law='an operator is not linear',
    parameters="""
    op : `odl.Operator`
        Operator, whether or not it says that it is linear.
    """,
    example="""
    >>> assert_linear(odl.Laplacian(space, pad_mode='symmetric')) < 1e-14
    True
    """,
)

assert_isometry = make_assertion(
    __name__,
    'assert_isometry',
    isometry_error,
    '{} is not an isometry: it has',
    law='an operator is not an isometry',
    parameters="""
    op : `odl.Operator`
        Operator, linear or not, for example an action.
    """,
    example='>>> assert_isometry(-odl.IdentityOperator(space))\n0.0',
)

assert_unitary = make_assertion(
    __name__,
    'assert_unitary',
    unitarity_error,
    '{} is not unitary: it has',
    law='an operator is not unitary',
    parameters='op : `odl.Operator`\n    Linear operator with an adjoint.',
    example='>>> assert_unitary(-odl.IdentityOperator(space))\n0.0',
)

assert_firmly_nonexpansive = make_assertion(
    __name__,
    'assert_firmly_nonexpansive',
    firm_nonexpansiveness_error,
    '{} is not firmly non-expansive: it has',
    law='an operator is not firmly non-expansive',
    parameters="""
    op : `odl.Operator`
        Operator on one space, for example a proximal.
    """,
    example="""
    >>> prox = odl.functionals.L1Norm(space).proximal(0.5)
    >>> assert_firmly_nonexpansive(prox) < 1e-14
    True
    """,
    tol_before='n_iterations',
)


def assert_lipschitz(
    op: Operator,
    constant: float = 1.0,
    seed: int = 0,
    n_samples: int = 9,
    n_iterations: int = 20,
    tol: float | None = None,
) -> float:
    """Raise an `AssertionError` if an operator exceeds a Lipschitz constant.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not.
    constant : float, optional
        Lipschitz constant; 1 for a non-expansive operator.
    seed, n_samples, n_iterations :
        See `lipschitz_estimate`.
    tol : float, optional
        Largest part of ``constant`` by which the estimate may exceed it.
        Default: from `TOLERANCES`.

    Returns
    -------
    estimate : float
        The estimate, a lower bound. That it passes proves nothing.

    Raises
    ------
    AssertionError
        If the estimate exceeds the constant or is not finite.
    ValueError
        If ``constant`` is not a positive number.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> prox = odl.functionals.L1Norm(space).proximal(0.5)
    >>> assert_lipschitz(prox) <= 1
    True
    """
    __tracebackhide__ = True
    constant = positive_number('constant', constant)
    estimate = lipschitz_estimate(op, seed, n_samples, n_iterations)
    tol = _tolerances.tolerance(op, tol)
    if not estimate <= (1 + tol) * constant:
        raise AssertionError(
            f'{name(op)} has a Lipschitz constant of at least {estimate:.6g}, '
            f'above {constant:.6g}'
        )
    return estimate


# --- Laws of an operator and a group --- #


assert_equivariant = make_assertion(
    __name__,
    'assert_equivariant',
    equivariance_error,
    '{} is not equivariant',
    law='an operator is not equivariant',
    parameters="""
    op : `odl.Operator`
        Operator, linear or not.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on the domain, for example from
        `group_actions`.
    range_actions : `odl.Operator` or sequence of `odl.Operator`, optional
        The same group elements acting on the range, in the same order.
        Default: ``actions``, if domain and range are equal.
    """,
    example="""
    >>> op = odl.Laplacian(space, pad_mode='symmetric')
    >>> assert_equivariant(op, group_actions(space, 'D4')) < 1e-14
    True
    """,
)

assert_invariant = make_assertion(
    __name__,
    'assert_invariant',
    invariance_error,
    '{} is not invariant',
    law='a functional is not invariant',
    parameters="""
    functional : `odl.functionals.Functional` or `odl.Operator`
        Operator whose range is a field.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on the domain, for example from
        `group_actions`.
    """,
    example="""
    >>> functional = odl.functionals.L1Norm(space)
    >>> assert_invariant(functional, group_actions(space, 'D4')) < 1e-14
    True
    """,
)

assert_reconstruction_equivariant = make_assertion(
    __name__,
    'assert_reconstruction_equivariant',
    reconstruction_equivariance_error,
    'the reconstruction from {} is not equivariant',
    law='a reconstruction is not equivariant',
    parameters="""
    method : callable
        Reconstruction: ``method(operator, y)`` returns an element of
        ``operator.domain``.
    operator : `odl.Operator`
        Forward operator.
    actions : `odl.Operator` or sequence of `odl.Operator`
        Group elements acting on ``operator.domain``, for example from
        `group_actions`.
    """,
    example="""
    >>> slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    >>> assert_reconstruction_equivariant(
    ...     lambda operator, y: operator.adjoint(y),
    ...     slope,
    ...     group_actions(space, 'D4'),
    ... ) < 1e-14
    True
    """,
)


def assert_equivariant_at_angles(
    op: Operator, angles: ArrayLike, tol: float, **options: Any
) -> float:
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
        for angle, error in zip(np.asarray(angles), curve, strict=True)
    ]
    failure = f'{name(op)} is not equivariant under rotations'
    return check_all(errors, float(tol), failure)


# doctest runs the examples of functions that a module defines, or lists here
__test__ = {
    title: value
    for title, value in list(globals().items())
    if title.startswith('assert_') and value.__globals__ is not globals()
}
