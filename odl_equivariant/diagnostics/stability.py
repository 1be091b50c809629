# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Lipschitz constants and firm non-expansiveness of operators."""

from __future__ import annotations

from functools import reduce
from math import inf, isfinite
from operator import add, mul

import numpy as np
import odl

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Operator
from odl_equivariant._warnings import probing
from odl_equivariant.diagnostics._spaces import (
    check_operator,
    difference,
    inner,
    name,
    norm,
    random_element,
    ratio,
)
from odl_equivariant.operators._lanczos import lanczos

__all__ = ('firm_nonexpansiveness_error', 'lipschitz_estimate')

# The error of the eigenvalue is of the order of its square.
_RESIDUAL = 1e-7


def _pairs(space, rng, n_samples):
    """Yield random pairs, near to each other and far apart in turn."""
    for i in range(n_samples):
        x = random_element(space, rng)
        distance = 10.0 ** (-(i % 3))
        yield x, x + distance * random_element(space, rng)


@probing
def firm_nonexpansiveness_error(
    op: Operator, seed: int = 0, n_samples: int = 9, n_iterations: int = 20
) -> float:
    r"""Return by how much an operator fails to be firmly non-expansive.

    Parameters
    ----------
    op : `odl.Operator`
        Operator on one space, for example a proximal.
    seed : int, optional
        Seed of the random elements.
    n_samples : int, optional
        Number of random pairs; the largest error counts.
    n_iterations : int, optional
        Number of steps of the Lanczos method on the derivative at the first
        point of each third pair; with 0, the derivative is not used.

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

    Random pairs seldom lie in the worst direction. Where a derivative
    :math:`D = \Phi'(x)` with an adjoint is known, the error is also that of
    pairs close to :math:`x` in the directions that the Lanczos method finds
    for :math:`D` and for :math:`2 D - 1`, which is non-expansive if and only
    if :math:`D` is firmly so. Thus an operator with a `lipschitz_estimate` L
    above 1 has an error of at least :math:`L (L - 1)`, at the same points.

    An error of 0 proves nothing; a positive error is a disproof.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> prox = odl.functionals.L1Norm(space).proximal(0.5)
    >>> firm_nonexpansiveness_error(prox) < 1e-14
    True
    >>> firm_nonexpansiveness_error(-odl.IdentityOperator(space)) > 1.9
    True
    """
    check_operator(op)
    n_samples = whole_number('n_samples', n_samples, 1)
    if op.range != op.domain:
        raise ValueError(f'expected an operator on one space, got {name(op)}')
    rng, directions = np.random.default_rng(seed), _directions(seed)
    errors = [0.0]

    def measure(moved, apart):
        length = norm(op.range, moved)
        if not isfinite(length):
            errors.append(inf)
            return
        excess = length**2 - inner(op.range, moved, apart).real
        errors.append(ratio(max(excess, 0.0), norm(op.domain, apart) ** 2))

    for i, (x, y) in enumerate(_pairs(op.domain, rng, n_samples)):
        measure(difference(op(x), op(y)), x - y)
        if n_iterations > 0 and i % 3 == 0:
            try:
                derivative = op.derivative(x)
                reflected = 2.0 * derivative - odl.IdentityOperator(op.domain)
                direction = random_element(op.domain, directions)
                for linear in (derivative, reflected):
                    direction, _ = _steepest(linear, direction, n_iterations)
                    measure(derivative(direction), direction)
            except NotImplementedError:
                n_iterations = 0
    return max(errors)


def _directions(seed):
    """Return a source of directions, the same for all measures."""
    return np.random.default_rng([seed, 1])


def _steepest(linear, start, n_iterations):
    """Return where a linear operator is steepest, and how much.

    Returns
    -------
    direction : ``linear.domain`` element
        Direction, not of norm 1; ``start`` if there is none.
    slope : float
        By how much it lengthens this direction.
    """
    adjoint = linear.adjoint
    basis = []
    leading = lanczos(
        lambda direction: adjoint(linear(direction)),
        start,
        lambda x, y: inner(linear.domain, x, y).real,
        _RESIDUAL,
        n_iterations,
        basis,
    )
    if not isfinite(leading.value):
        return start, inf
    if not basis:
        return start, 0.0
    # not the root of the eigenvalue: a lower bound, also if ODL's adjoint
    # is another operator
    coordinates = map(float, leading.coordinates)
    direction = reduce(add, map(mul, coordinates, basis))
    slope = ratio(
        norm(linear.range, linear(direction)), norm(linear.domain, direction)
    )
    return direction, slope


@probing
def lipschitz_estimate(
    op: Operator, seed: int = 0, n_samples: int = 9, n_iterations: int = 20
) -> float:
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
        Number of steps of the Lanczos method on the derivative at the first
        point of each third pair; with 0, the derivative is not used.

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
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> round(lipschitz_estimate(-3.0 * odl.IdentityOperator(space)), 6)
    3.0
    """
    check_operator(op)
    n_samples = whole_number('n_samples', n_samples, 1)
    rng, directions = np.random.default_rng(seed), _directions(seed)
    estimate = 0.0
    for i, (x, y) in enumerate(_pairs(op.domain, rng, n_samples)):
        moved = norm(op.range, difference(op(x), op(y)))
        estimate = max(estimate, ratio(moved, norm(op.domain, x - y)))
        if n_iterations > 0 and i % 3 == 0:
            direction = random_element(op.domain, directions)
            try:
                derivative = op.derivative(x)
                _, slope = _steepest(derivative, direction, n_iterations)
            except NotImplementedError:
                n_iterations = 0
                continue
            estimate = max(estimate, slope if isfinite(slope) else inf)
    return estimate
