# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Relative errors in the laws of linear maps, isometries, reconstructions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import odl

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Element, ElementLike, Operator
from odl_equivariant._warnings import probing
from odl_equivariant.diagnostics._spaces import (
    check_action,
    check_operator,
    difference,
    name,
    norm,
    point,
    random_element,
    ratio,
)

__all__ = (
    'linearity_error',
    'isometry_error',
    'unitarity_error',
    'reconstruction_equivariance_error',
)


@probing
def linearity_error(
    op: Operator, seed: int = 0, n_samples: int = 3, real_linear: bool = False
) -> float:
    r"""Return by how much an operator fails to be linear.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, whether or not it says that it is linear.
    seed : int, optional
        Seed of the random elements and factors.
    n_samples : int, optional
        Number of random pairs; the largest error counts.
    real_linear : bool, optional
        ``True`` takes real factors only, also on complex spaces. Always
        done if only one space is complex.

    Returns
    -------
    error : float
        Largest relative error found.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``n_samples`` is less than 1.

    Notes
    -----
    For random :math:`x, y, a` the error is

    .. math::
        \frac{\|\Phi(a x + y) - a \Phi(x) - \Phi(y)\|}
             {\|a \Phi(x)\| + \|\Phi(y)\|}.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> linearity_error(odl.Laplacian(space, pad_mode='symmetric')) < 1e-14
    True
    >>> linearity_error(odl.PowerOperator(space, 2)) > 0.1
    True
    """
    check_operator(op)
    n_samples = whole_number('n_samples', n_samples, 1)
    rng = np.random.default_rng(seed)
    is_complex = op.domain.field == odl.ComplexNumbers()
    is_complex = is_complex and op.range.field == op.domain.field
    errors = []
    for _ in range(n_samples):
        x, y = random_element(op.domain, rng), random_element(op.domain, rng)
        factor = float(rng.standard_normal())
        if is_complex and not real_linear:
            factor = complex(factor, rng.standard_normal())
        scaled, other = factor * op(x), op(y)
        gap = difference(op(factor * x + y), scaled + other)
        scale = norm(op.range, scaled) + norm(op.range, other)
        errors.append(ratio(norm(op.range, gap), scale))
    return max(errors)


@probing
def isometry_error(op: Operator, seed: int = 0, n_samples: int = 3) -> float:
    r"""Return by how much an operator changes distances.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not, for example an action.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random pairs; the largest error counts.

    Returns
    -------
    error : float
        Largest relative error found.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``n_samples`` is less than 1.

    Notes
    -----
    For random :math:`x, y` the error is

    .. math::
        \left| \frac{\|\Phi(x) - \Phi(y)\|_Y}{\|x - y\|_X} - 1 \right|,

    in the weighted norms of the spaces.

    Examples
    --------
    >>> from odl_equivariant.actions import Rotation
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> isometry_error(Rotation(space, np.pi / 2)) < 1e-14
    True
    """
    check_operator(op)
    n_samples = whole_number('n_samples', n_samples, 1)
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(n_samples):
        x, y = random_element(op.domain, rng), random_element(op.domain, rng)
        before = norm(op.domain, x - y)
        after = norm(op.range, difference(op(x), op(y)))
        errors.append(ratio(after - before, before))
    return max(errors)


def unitarity_error(op: Operator, seed: int = 0, n_samples: int = 3) -> float:
    r"""Return by how much an adjoint fails to be the inverse.

    Parameters
    ----------
    op : `odl.Operator`
        Linear operator with an adjoint, which is not itself tested: see
        `adjoint_error`.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random elements; the largest error counts.

    Returns
    -------
    error : float
        Largest relative error found.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``op`` is not linear or ``n_samples`` is less than 1.

    Notes
    -----
    For random :math:`x \in X, y \in Y` the error is the larger one of

    .. math::
        \frac{\|A^* A x - x\|_X}{\|x\|_X}, \qquad
        \frac{\|A A^* y - y\|_Y}{\|y\|_Y}.

    Examples
    --------
    >>> from odl_equivariant.operators import UnitaryFourierTransform
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='complex128')
    >>> unitarity_error(UnitaryFourierTransform(space)) < 1e-14
    True
    """
    check_operator(op)
    n_samples = whole_number('n_samples', n_samples, 1)
    if not op.is_linear:
        raise ValueError(
            f'{name(op)} is not linear and cannot be unitary; use '
            '`isometry_error`'
        )
    rng = np.random.default_rng(seed)
    adjoint = op.adjoint
    errors = []
    for _ in range(n_samples):
        for first, then in ((op, adjoint), (adjoint, op)):
            x = random_element(first.domain, rng)
            gap = difference(then(first(x)), x)
            errors.append(
                ratio(norm(first.domain, gap), norm(first.domain, x))
            )
    return max(errors)


def reconstruction_equivariance_error(
    method: Callable[[Operator, Element], Element],
    operator: Operator,
    action: Operator,
    y: ElementLike | None = None,
    seed: int = 0,
) -> float:
    r"""Return by how much a reconstruction fails to follow its object.

    Parameters
    ----------
    method : callable
        Reconstruction: ``method(operator, y)`` returns an element of
        ``operator.domain``.
    operator : `odl.Operator`
        Forward operator :math:`A`.
    action : `odl.Operator`
        Group element acting on ``operator.domain``, with an ``inverse``.
    y : ``operator.range`` element, optional
        Data. Default: white noise.
    seed : int, optional
        Seed of the random data.

    Returns
    -------
    error : float
        Relative error.

    Raises
    ------
    TypeError
        If ``operator`` or ``action`` is not an `odl.Operator`.
    ValueError
        If the action does not act on the domain, ``y`` is not in the range,
        or ``method`` returns something else than an element of the domain.

    Notes
    -----
    As a map of the data and of the forward operator, the error is

    .. math::
        \frac{\|\Phi(y; A T_g) - T_g^{-1} \Phi(y; A)\|}{\|\Phi(y; A)\|}.

    It is rounding for a variational method with an invariant functional, and
    for an unrolled method with equivariant proximals, whatever :math:`A` is.

    Examples
    --------
    >>> from odl_equivariant.actions import Rotation
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    >>> quarter = Rotation(space, np.pi / 2)
    >>> reconstruction_equivariance_error(
    ...     lambda operator, y: operator.adjoint(y), slope, quarter
    ... ) < 1e-14
    True
    """
    check_operator(operator)
    check_action(action, operator.domain, f'the domain of {name(operator)}')
    y = point(operator.range, y, np.random.default_rng(seed))
    images = [method(operator, y), method(operator @ action, y)]
    for image in images:
        if image not in operator.domain:
            raise ValueError(
                'expected `method(operator, y)` to return an element of the '
                f'domain of {name(operator)}, got {type(image).__name__}'
            )
    upright, turned = images
    gap = difference(turned, action.inverse(upright))
    return ratio(norm(operator.domain, gap), norm(operator.domain, upright))
