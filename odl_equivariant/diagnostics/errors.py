# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Relative errors in the laws that operators and functionals should obey."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

import numpy as np
import odl

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import ElementLike, Operator
from odl_equivariant._warnings import probing
from odl_equivariant.diagnostics._spaces import (
    check_action,
    check_operator,
    difference,
    dtypes,
    inner,
    name,
    norm,
    point,
    random_element,
    ratio,
)

__all__ = (
    'adjoint_error',
    'derivative_error',
    'equivariance_error',
    'invariance_error',
)


def adjoint_error(
    op: Operator, seed: int = 0, n_samples: int = 3, real_linear: bool = False
) -> float:
    r"""Return by how much an operator's adjoint misses the definition.

    Parameters
    ----------
    op : `odl.Operator`
        Linear operator with an adjoint, between spaces with an inner
        product.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random elements of the domain; the largest error counts.
    real_linear : bool, optional
        ``True`` compares real parts only, for operators between complex
        spaces that are linear over the real numbers only, like the
        derivative of a network. Always done if only one space is complex.

    Returns
    -------
    error : float
        Largest relative error found.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``op`` is not linear, or its adjoint does not map its range to
        its domain.

    Notes
    -----
    For random :math:`x` the error is

    .. math::
        \frac{|\langle A x, y \rangle_Y - \langle x, A^* y \rangle_X|}
             {\|A x\|_Y \, \|y\|_Y},

    in the weighted inner products of the spaces, for a random :math:`y`
    and for :math:`y = A x`. For the second one the two inner products do
    not nearly cancel, so that a wrong factor shows undiminished.

    It is measured in the inner products that the spaces have, and says
    nothing about whether those are the ones that are meant: ODL takes cells
    of volume 1 for no weights at all, and gives the range of a ray transform
    the weight 1 then. So take no scale from an adjoint.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> adjoint_error(odl.Gradient(space)) < 1e-14
    True
    """
    check_operator(op)
    if not op.is_linear:
        raise ValueError(
            f'{name(op)} is not linear and has no adjoint; test that of '
            '`op.derivative(x)`'
        )
    n_samples = whole_number('n_samples', n_samples, 1)
    adjoint = op.adjoint
    if adjoint.domain != op.range or adjoint.range != op.domain:
        raise ValueError(
            f'the adjoint of {name(op)} must map its range to its domain, '
            f'got {name(adjoint)}'
        )
    real_linear = real_linear or op.domain.field != op.range.field
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(n_samples):
        x = random_element(op.domain, rng)
        image = op(x)
        for y in (random_element(op.range, rng), image):
            gap = inner(op.range, image, y)
            gap -= inner(op.domain, x, adjoint(y))
            scale = norm(op.range, image) * norm(op.range, y)
            errors.append(ratio(gap.real if real_linear else gap, scale))
    return max(errors)


@probing
def derivative_error(
    op: Operator,
    x: ElementLike | None = None,
    seed: int = 0,
    steps: Sequence[float] | None = None,
) -> float:
    r"""Return by how much a derivative misses the finite differences.

    Parameters
    ----------
    op : `odl.Operator`
        Operator with a derivative.
    x : ``op.domain`` element, optional
        Point at which to test. Default: white noise.
    seed : int, optional
        Seed of the random elements.
    steps : sequence of float, optional
        Sizes of the differences relative to ``x``. Default: three powers
        of the machine precision of the spaces.

    Returns
    -------
    error : float
        Relative error for the step that gives the smallest one.

    Raises
    ------
    TypeError
        If ``op`` is not an `odl.Operator`.
    ValueError
        If ``x`` is not in the domain, or ``steps`` are not positive.

    Notes
    -----
    For a random direction :math:`d` with the norm of :math:`x` the error is

    .. math::
        \min_h \frac{\|D_h - \Phi'(x) d\|}
                    {\max(\|D_h\|, \|\Phi'(x) d\|)}, \qquad
        D_h = \frac{\Phi(x + h d) - \Phi(x - h d)}{2 h}.

    Large steps feel the curvature and small ones the rounding; a wrong
    derivative is wrong for all of them. Where :math:`\Phi` has kinks, like
    a network with rectifiers, the error falls only as fast as the number
    of kinks between the two points, so take float64 there. The derivative
    of a functional on a complex space is compared by its real part.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> derivative_error(odl.functionals.L2NormSquared(space)) < 1e-6
    True
    """
    check_operator(op)
    rng = np.random.default_rng(seed)
    x = point(op.domain, x, rng)
    if steps is None:
        names = dtypes(op.domain, op.range) or {'float64'}
        precision = max(np.finfo(dtype).eps for dtype in names)
        steps = [float(precision) ** power for power in (0.25, 1 / 3, 0.5)]
    steps = [positive_number('each of `steps`', step) for step in steps]
    if not steps:
        raise ValueError('expected at least one step, got none')
    direction = random_element(op.domain, rng)
    length = norm(op.domain, x) or 1.0
    direction = (length / norm(op.domain, direction)) * direction
    slope = op.derivative(x)(direction)
    errors = []
    for step in steps:
        secant = (0.5 / step) * difference(
            op(x + step * direction), op(x - step * direction)
        )
        gap = difference(secant, slope)
        if isinstance(op, odl.functionals.Functional):
            gap, slope = np.real(gap), np.real(slope)
        size = norm(op.range, gap)
        if not isfinite(size):
            return inf
        scale = max(norm(op.range, secant), norm(op.range, slope))
        errors.append(ratio(size, scale))
    return min(errors)


@probing
def equivariance_error(
    op: Operator,
    action: Operator,
    range_action: Operator | None = None,
    x: ElementLike | None = None,
    seed: int = 0,
) -> float:
    r"""Return by how much an operator fails to commute with an action.

    Parameters
    ----------
    op : `odl.Operator`
        Operator, linear or not.
    action : `odl.Operator`
        Group element acting on ``op.domain``, for example a `Rotation`.
    range_action : `odl.Operator`, optional
        The same group element acting on ``op.range``. Default: ``action``,
        if domain and range are equal.
    x : ``op.domain`` element, optional
        Point at which to test. Default: white noise.
    seed : int, optional
        Seed of the random element.

    Returns
    -------
    error : float
        Relative error.

    Raises
    ------
    TypeError
        If ``op`` or an action is not an `odl.Operator`.
    ValueError
        If an action does not act on the operator's spaces, or ``x`` is not
        in the domain.

    Notes
    -----
    The error is

    .. math::
        \frac{\|\Phi(g \cdot u) - g \cdot \Phi(u)\|}{\|\Phi(u)\|}

    in the norm of the range.

    Examples
    --------
    >>> from odl_equivariant.actions import Rotation
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> op = odl.Laplacian(space, pad_mode='symmetric')
    >>> equivariance_error(op, Rotation(space, np.pi / 2)) < 1e-14
    True
    """
    check_operator(op)
    check_action(action, op.domain, f'the domain of {name(op)}')
    if isinstance(op.range, odl.Field):
        raise ValueError(f'{name(op)} is a functional; use `invariance_error`')
    if range_action is None:
        if op.range != op.domain:
            raise ValueError(
                f'{name(op)} has a range that is not its domain; give '
                '`range_action`, the group element acting on the range'
            )
        range_action = action
    check_action(range_action, op.range, f'the range of {name(op)}')
    x = point(op.domain, x, np.random.default_rng(seed))
    image = op(x)
    gap = difference(op(action(x)), range_action(image))
    return ratio(norm(op.range, gap), norm(op.range, image))


def invariance_error(
    functional: Operator,
    action: Operator,
    x: ElementLike | None = None,
    seed: int = 0,
) -> float:
    r"""Return by how much an action changes the value of a functional.

    Parameters
    ----------
    functional : `odl.functionals.Functional` or `odl.Operator`
        Operator whose range is a field.
    action : `odl.Operator`
        Group element acting on the domain, for example a `Rotation`.
    x : ``functional.domain`` element, optional
        Point at which to test. Default: white noise.
    seed : int, optional
        Seed of the random element.

    Returns
    -------
    error : float
        Relative error; 0 for two equal infinite values.

    Raises
    ------
    TypeError
        If ``functional`` or ``action`` is not an `odl.Operator`.
    ValueError
        If ``functional`` does not map to a field, the action does not act
        on its domain, or ``x`` is not in it.

    Notes
    -----
    The error is

    .. math::
        \frac{|J(g \cdot u) - J(u)|}{|J(u)|}.

    Examples
    --------
    >>> from odl_equivariant.actions import Rotation
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> functional = odl.functionals.L1Norm(space)
    >>> invariance_error(functional, Rotation(space, np.pi / 2)) < 1e-14
    True
    """
    check_operator(functional)
    check_action(action, functional.domain, f'that of {name(functional)}')
    if not isinstance(functional.range, odl.Field):
        raise ValueError(
            f'{name(functional)} is not a functional; use `equivariance_error`'
        )
    x = point(functional.domain, x, np.random.default_rng(seed))
    value = complex(functional(x))
    moved = complex(functional(action(x)))
    return 0.0 if moved == value else ratio(moved - value, value)
