# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Weighted least squares."""

from __future__ import annotations

import odl

from odl_equivariant._types import ElementLike, Operator
from odl_equivariant.elements import as_element, as_tensor, is_complex
from odl_equivariant.functionals.data_fits.base import (
    SmoothFit,
    checked_data,
    checked_weights,
)
from odl_equivariant.operators.operator_norm import operator_norm

__all__ = ('LeastSquares',)


class LeastSquares(SmoothFit):
    r"""Weighted least squares, :math:`\tfrac12 \|A u - y\|_W^2`.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A` between spaces that
        `odl_equivariant.elements` can lay out as tensors, real or complex,
        backed by numpy or pytorch.
    data : element of ``operator.range`` or array-like
        Data :math:`y`, of which a copy is kept.
    weights : float or array-like or element, optional
        Weights :math:`w \ge 0`: one number, or one for each value of the
        data, as an element of the range or a real array of its shape. For
        Gaussian noise, they are proportional to 1 / variance.
    tol : float, optional
        Largest relative error of a proximal :math:`u` at :math:`x`:
        :math:`\|u - u^*\| \le \mathrm{tol} \max(\|u\|, \|x\|)`, up to
        rounding. Default: 1e-4 in single and 1e-8 in double precision.
    maxiter : int, optional
        Largest number of inner iterations of a proximal. Where they do not
        reach the tolerance, a `ConvergenceWarning` says how far they came.
    warm_start : bool, optional
        Whether a proximal starts from the result of the one before, which
        makes it faster inside of a solver. Its values then depend on what
        came before, within the tolerance.

    Raises
    ------
    TypeError
        If ``operator`` is not linear, its spaces have no tensor layout, or
        data or weights are no numbers.
    ValueError
        If data or weights have another shape, are not finite, or weights are
        negative, or all zero.

    Notes
    -----
    With the weights :math:`\omega` of the inner product of the range,

    .. math::
        f(u) = \frac12 \sum_i \omega_i w_i\, |(A u - y)_i|^2, \quad
        \nabla f(u) = A^* W (A u - y), \quad
        \nabla^2 f = A^* W A.

    So for ``weights=1`` this is ODL's ``0.5 * L2NormSquared(A.range)
    .translated(y) * A``. That has no proximal.

    The proximal :math:`(I + \sigma A^* W A)^{-1} (x + \sigma A^* W y)` is
    computed by conjugate gradients. The preconditioner is the circulant
    matrix with the response of :math:`A^* W A` to the point in the middle. As
    the operator is not below the identity, its residual bounds the error.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> y = space.one()
    >>> f = LeastSquares(odl.IdentityOperator(space), y, weights=3.0)
    >>> round(f(space.zero()), 12), f.grad_lipschitz
    (1.5, 3.0)
    >>> bool((f.proximal(1.0)(space.zero()) - 0.75 * y).norm() < 1e-8)
    True
    """

    _affine = True

    def __init__(
        self,
        operator: Operator,
        data: ElementLike,
        weights: float | ElementLike = 1.0,
        tol: float | None = None,
        maxiter: int = 200,
        warm_start: bool = False,
    ) -> None:
        super().__init__(operator, tol, maxiter, warm_start)
        self.data = checked_data('data', data, operator.range)
        self._data = as_tensor(self.data)
        self._weights = checked_weights(weights, operator.range)
        self._lipschitz: float | None = None

    @property
    def weights(self) -> float | ElementLike:
        """The number, or an element of the range."""
        if isinstance(self._weights, float):
            return self._weights
        return _real_element(self._weights, self.operator.range)

    @property
    def grad_lipschitz(self) -> float:
        r"""Lipschitz constant of the gradient, :math:`\|W^{1/2} A\|^2`.

        It is computed by `operator_norm` when it is first asked for.
        """
        if self._lipschitz is None:
            if isinstance(self._weights, float):
                norm = operator_norm(self.operator)
                self._lipschitz = self._weights * norm**2
            else:
                range = self.operator.range
                roots = _real_element(self._weights.sqrt(), range)
                roots = odl.MultiplyOperator(roots, range, range)
                self._lipschitz = operator_norm(roots * self.operator) ** 2
        return self._lipschitz

    def _of(self, operator):
        weights = self.weights
        return LeastSquares(
            operator, self.data, weights, self.tol, self.maxiter
        )

    def _value(self, t):
        squares = (t - self._data).double().square()
        return 0.5 * float(
            (self._range_volumes * self._weights * squares).sum()
        )

    def _slopes(self, t):
        return self._weights * (t - self._data)

    def _curvatures(self, t):
        return self._weights

    def __repr__(self):
        """Return ``repr(self)``."""
        weights = self._weights
        given = f'{weights:g}' if isinstance(weights, float) else '...'
        return (
            f'{type(self).__name__}({type(self.operator).__name__}(...), '
            f'..., weights={given})'
        )


def _real_element(tensor, range):
    """Return numbers, given for each channel, as an element of the range."""
    if is_complex(range):
        tensor = tensor.clone()
        tensor[:, 1::2] = 0
    return as_element(tensor, range, copy=True)
