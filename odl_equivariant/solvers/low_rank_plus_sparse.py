# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Films as the sum of a background and of sparse changes."""

from __future__ import annotations

from collections.abc import Callable

import odl

from odl_equivariant._checks import positive_number
from odl_equivariant._types import Element, Operator
from odl_equivariant.functionals.data_fits.least_squares import LeastSquares
from odl_equivariant.functionals.films.frequencies import TemporalFourierNorm
from odl_equivariant.functionals.films.low_rank import CasoratiNuclearNorm
from odl_equivariant.operators.operator_norm import norm_for_steps
from odl_equivariant.solvers._result import SolverResult
from odl_equivariant.solvers.accelerated_proximal_gradient import (
    accelerated_proximal_gradient,
)

__all__ = ('low_rank_plus_sparse',)


def low_rank_plus_sparse(
    x: Element,
    operator: Operator,
    data: Element,
    low_rank: float,
    sparse: float,
    maxiter: int = 100,
    callback: Callable[[Element], object] | None = None,
    *,
    time_axis: int = -1,
    sparsity: odl.functionals.Functional | None = None,
    tol: float | None = None,
) -> SolverResult:
    r"""Reconstruct a film as the sum of one of low rank and a sparse one.

    Parameters
    ----------
    x : element of a space X x X
        Starting point, :math:`L` and :math:`S`; overwritten by the solution.
        Their sum is the film.
    operator : odl.Operator
        Linear forward operator on X, such as that of
        `odl_equivariant.data.DynamicMRI`.
    data : element of ``operator.range``
        Measured data.
    low_rank, sparse : float
        Positive weights :math:`\lambda_L` and :math:`\lambda_S`.
    maxiter : int, optional
        Largest number of iterations.
    callback : callable, optional
        Called with ``x`` after each iteration.
    time_axis : int, optional
        Axis of time.
    sparsity : odl.functionals.Functional, optional
        What is small for the changes, with a proximal on X. Default:
        `odl_equivariant.functionals.TemporalFourierNorm`. The variation in
        time is `odl_equivariant.functionals.InvariantTotalVariation` with
        ``axis_weights=(0, 0, 1)``.
    tol : float, optional
        Relative residual at which to stop. Default: make all iterations.

    Returns
    -------
    result : SolverResult
        As of `accelerated_proximal_gradient`, which is at work.

    Raises
    ------
    TypeError
        If ``x`` is not in the square of the domain of the operator.
    ValueError
        If a weight is not positive.

    Notes
    -----
    With the Casorati nuclear norm, see
    `odl_equivariant.functionals.CasoratiNuclearNorm`,

    .. math::
        \min_{L, S}\; \tfrac12 \|A (L + S) - y\|^2
        + \lambda_L \|L\|_* + \lambda_S R(S),

    after Otazo, Candès and Sodickson, *Low-rank plus sparse matrix
    decomposition for accelerated dynamic MRI with separation of background
    and dynamic components*, Magnetic Resonance in Medicine 73 (2015),
    1125-1136. All norms are those of the spaces.

    Examples
    --------
    >>> space = odl.uniform_discr([0] * 3, [1, 1, 6], (4, 4, 6))
    >>> y = space.one()
    >>> x = (space**2).zero()
    >>> A = odl.IdentityOperator(space)
    >>> result = low_rank_plus_sparse(x, A, y, 0.1, 1.0, tol=1e-6)
    >>> abs((x[0] + x[1]).norm() - (y.norm() - 0.1)) < 1e-3
    True
    """
    low_rank = positive_number('low_rank', low_rank)
    sparse = positive_number('sparse', sparse)
    space = operator.domain
    if getattr(x, 'space', None) != space**2:
        raise TypeError(
            'expected `x` in the square of the space of films, such as '
            f'`(operator.domain**2).zero()`, got {type(x).__name__}'
        )
    nuclear = CasoratiNuclearNorm(space, time_axis)
    if sparsity is None:
        sparsity = TemporalFourierNorm(space, time_axis)
    f = _SeparateSum(nuclear, sparsity, low_rank, sparse)
    add = odl.ReductionOperator(odl.IdentityOperator(space), 2)
    g = LeastSquares(operator * add, data)
    norm = norm_for_steps(operator)
    if norm == 0:
        raise ValueError('the operator is zero, and sees nothing of a film')
    # adding two films has the norm of the root of two
    step = 1 / (2 * norm**2)
    return accelerated_proximal_gradient(
        x, f, g, step, maxiter, callback, tol=tol, line_search=False
    )


class _SeparateSum(odl.functionals.Functional):
    """The weighted sum of a functional of each of two films."""

    def __init__(self, first, second, *weights):
        self._parts = first, second
        self._factors = weights
        super().__init__(first.domain**2, linear=False)

    def _call(self, x):
        return sum(
            factor * float(part(film))
            for factor, part, film in zip(
                self._factors, self._parts, x, strict=True
            )
        )

    @property
    def proximal(self):
        return lambda sigma: odl.DiagonalOperator(
            *(
                part.proximal(float(sigma) * factor)
                for factor, part in zip(
                    self._factors, self._parts, strict=True
                )
            )
        )
