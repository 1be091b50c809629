# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Relative errors in the laws of linear maps, isometries and proximals."""

from math import inf, isfinite

import numpy as np
import odl

from odl_equivariant.diagnostics._spaces import (
    check_action,
    check_operator,
    difference,
    inner,
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
    'firm_nonexpansiveness_error',
    'lipschitz_estimate',
    'reconstruction_equivariance_error',
)


def _check_samples(n_samples):
    if n_samples < 1:
        raise ValueError(f'expected at least 1 sample, got {n_samples}')


def linearity_error(op, seed=0, n_samples=3, real_linear=False):
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
    _check_samples(n_samples)
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


def isometry_error(op, seed=0, n_samples=3):
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
    _check_samples(n_samples)
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(n_samples):
        x, y = random_element(op.domain, rng), random_element(op.domain, rng)
        before = norm(op.domain, x - y)
        after = norm(op.range, difference(op(x), op(y)))
        errors.append(ratio(after - before, before))
    return max(errors)


def unitarity_error(op, seed=0, n_samples=3):
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
    _check_samples(n_samples)
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


def _pairs(space, rng, n_samples):
    """Yield random pairs, near to each other and far apart in turn."""
    for i in range(n_samples):
        x = random_element(space, rng)
        distance = 10.0 ** (-(i % 3))
        yield x, x + distance * random_element(space, rng)


def firm_nonexpansiveness_error(op, seed=0, n_samples=9):
    r"""Return by how much an operator fails to be firmly non-expansive.

    Parameters
    ----------
    op : `odl.Operator`
        Operator on one space, for example a proximal.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random pairs; the largest error counts.

    Returns
    -------
    error : float
        Largest error found, 0 where the inequality holds.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If its range is not its domain, or ``n_samples`` is less than 1.

    Notes
    -----
    An operator is the proximal of a convex functional only if it is firmly
    non-expansive, :math:`\|\Phi(x) - \Phi(y)\|^2 \le \mathrm{Re} \langle
    \Phi(x) - \Phi(y), x - y \rangle`. For random pairs the error is the
    positive part of

    .. math::
        \frac{\|\Phi(x) - \Phi(y)\|^2 - \mathrm{Re} \langle
        \Phi(x) - \Phi(y), x - y \rangle}{\|x - y\|^2}.

    That it is 0 proves nothing; that it is positive disproves.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> prox = odl.functionals.L1Norm(space).proximal(0.5)
    >>> firm_nonexpansiveness_error(prox) < 1e-14
    True
    >>> firm_nonexpansiveness_error(-odl.IdentityOperator(space)) > 1.9
    True
    """
    check_operator(op)
    _check_samples(n_samples)
    if op.range != op.domain:
        raise ValueError(
            f'expected an operator on one space, got {name(op)}'
        )
    rng = np.random.default_rng(seed)
    errors = [0.0]
    for x, y in _pairs(op.domain, rng, n_samples):
        moved, apart = difference(op(x), op(y)), x - y
        length = norm(op.range, moved)
        if not isfinite(length):
            return inf
        excess = length**2 - inner(op.range, moved, apart).real
        errors.append(excess / norm(op.domain, apart) ** 2)
    return max(errors)


def _steepest(op, x, direction, n_iterations):
    """Return the norm of a derivative, by the power method."""
    derivative = op.derivative(x)
    adjoint = derivative.adjoint
    for _ in range(n_iterations):
        length = norm(op.domain, direction)
        if length == 0 or not isfinite(length):
            break
        direction = (1 / length) * direction
        direction = adjoint(derivative(direction))
    length = norm(op.domain, direction)
    if length == 0 or not isfinite(length):
        return length
    image = derivative((1 / length) * direction)
    return norm(op.range, image)


def lipschitz_estimate(op, seed=0, n_samples=9, n_iterations=20):
    r"""Return a lower bound of an operator's Lipschitz constant.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random pairs.
    n_iterations : int, optional
        Number of steps of the power method on the derivative at the first
        point of each third pair; 0 does without the derivative.

    Returns
    -------
    estimate : float
        Largest ratio found; infinity if a value is not finite.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``n_samples`` is less than 1.

    Notes
    -----
    The estimate is the largest of

    .. math::
        \frac{\|\Phi(x) - \Phi(y)\|_Y}{\|x - y\|_X}, \qquad \|\Phi'(x)\|

    for random :math:`x, y`, the second where a derivative with an adjoint
    is known. Random pairs alone find the norm of a linear operator badly.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> round(lipschitz_estimate(-3.0 * odl.IdentityOperator(space)), 6)
    3.0
    """
    check_operator(op)
    _check_samples(n_samples)
    rng = np.random.default_rng(seed)
    estimate = 0.0
    for i, (x, y) in enumerate(_pairs(op.domain, rng, n_samples)):
        moved = norm(op.range, difference(op(x), op(y)))
        estimate = max(estimate, ratio(moved, norm(op.domain, x - y)))
        if n_iterations > 0 and i % 3 == 0:
            direction = random_element(op.domain, rng)
            try:
                slope = _steepest(op, x, direction, n_iterations)
            except NotImplementedError:
                n_iterations = 0
                continue
            estimate = max(estimate, slope if isfinite(slope) else inf)
    return estimate


def reconstruction_equivariance_error(
    method, operator, action, y=None, seed=0
):
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
