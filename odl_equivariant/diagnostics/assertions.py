# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Asserts for the laws that single operators should obey.

Each function returns the measured error if it passes.
"""

from odl_equivariant._checks import positive_number
from odl_equivariant.diagnostics._spaces import name
from odl_equivariant.diagnostics._tolerances import (
    DERIVATIVE_TOLERANCES,
    check,
    tolerance,
)
from odl_equivariant.diagnostics.errors import adjoint_error, derivative_error
from odl_equivariant.diagnostics.maps import (
    isometry_error,
    linearity_error,
    unitarity_error,
)
from odl_equivariant.diagnostics.stability import (
    firm_nonexpansiveness_error,
    lipschitz_estimate,
)

__all__ = (
    'assert_adjoint',
    'assert_derivative',
    'assert_linear',
    'assert_isometry',
    'assert_unitary',
    'assert_firmly_nonexpansive',
    'assert_lipschitz',
)


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

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_adjoint(odl.Gradient(space)) < 1e-14
    True
    """
    __tracebackhide__ = True
    error = adjoint_error(op, seed, n_samples, real_linear)
    tol = tolerance(op, tol)
    return check(error, tol, f'the adjoint of {name(op)} has')


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

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_derivative(odl.functionals.L2NormSquared(space)) < 1e-6
    True
    """
    __tracebackhide__ = True
    error = derivative_error(op, x, seed, steps)
    tol = tolerance(op, tol, DERIVATIVE_TOLERANCES)
    return check(error, tol, f'the derivative of {name(op)} has')


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

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_linear(odl.Laplacian(space, pad_mode='symmetric')) < 1e-14
    True
    """
    __tracebackhide__ = True
    error = linearity_error(op, seed, n_samples, real_linear)
    tol = tolerance(op, tol)
    return check(error, tol, f'{name(op)} is not linear: it has')


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

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_isometry(-odl.IdentityOperator(space))
    0.0
    """
    __tracebackhide__ = True
    error = isometry_error(op, seed, n_samples)
    tol = tolerance(op, tol)
    return check(error, tol, f'{name(op)} is not an isometry: it has')


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

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> assert_unitary(-odl.IdentityOperator(space))
    0.0
    """
    __tracebackhide__ = True
    error = unitarity_error(op, seed, n_samples)
    tol = tolerance(op, tol)
    return check(error, tol, f'{name(op)} is not unitary: it has')


def assert_firmly_nonexpansive(
    op, seed=0, n_samples=9, tol=None, n_iterations=20
):
    """Raise an `AssertionError` if an operator is not firmly non-expansive.

    Parameters
    ----------
    op : `odl.Operator`
        Operator on one space, for example a proximal.
    seed, n_samples :
        See `firm_nonexpansiveness_error`.
    tol : float, optional
        Largest relative error that passes. Default: from `TOLERANCES`.
    n_iterations : int, optional
        See `firm_nonexpansiveness_error`.

    Returns
    -------
    error : float
        The relative error, where it passes.

    Raises
    ------
    AssertionError
        If the error is above the tolerance or not finite.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> prox = odl.functionals.L1Norm(space).proximal(0.5)
    >>> assert_firmly_nonexpansive(prox) < 1e-14
    True
    """
    __tracebackhide__ = True
    error = firm_nonexpansiveness_error(op, seed, n_samples, n_iterations)
    tol = tolerance(op, tol)
    return check(error, tol, f'{name(op)} is not firmly non-expansive: it has')


def assert_lipschitz(
    op, constant=1.0, seed=0, n_samples=9, n_iterations=20, tol=None
):
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
    tol = tolerance(op, tol)
    if not estimate <= (1 + tol) * constant:
        raise AssertionError(
            f'{name(op)} has a Lipschitz constant of at least {estimate:.6g}, '
            f'above {constant:.6g}'
        )
    return estimate
