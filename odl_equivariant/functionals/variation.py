# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Total variation that is invariant under the symmetries of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import odl

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, PadMode, Space
from odl_equivariant.elements import describe_space
from odl_equivariant.functionals import _variation_dual
from odl_equivariant.functionals._inner_proximal import (
    ConvergenceWarning,
    Variation,
)
from odl_equivariant.functionals._stencil_norm import StencilNorm
from odl_equivariant.functionals._stencils import Stencils
from odl_equivariant.functionals._tensors import (
    to_element,
    to_tensor,
)
from odl_equivariant.functionals.splitting import variation as splitting
from odl_equivariant.operators.batching.registry import register_batched

__all__ = (
    'ConvergenceWarning',
    'InvariantTotalVariation',
    'OneSidedGradients',
)

_LEAST_SPLIT = 1e-6


class OneSidedGradients(CheckedOperator):
    r"""The gradients by all one-sided stencils, divided by their number.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space of any dimension :math:`d`, real or complex,
        backed by numpy or pytorch, or a product of equal ones.
    pad_mode : {'symmetric', 'periodic'}, optional
        What lies beyond the boundary: the image mirrored, so that
        differences over the boundary are zero, or the image again.
    axis_weights : sequence of float, optional
        Factors of the differences along the axes, at least one of them
        positive. Default: 1.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces.
    ValueError
        If its parts or their weights differ from point to point in another
        way than by one number per part, the grid is not uniform, or the
        boundary cells of a periodic one are not whole.
    NotImplementedError
        If the inner product of the space is not a weighted sum.

    Notes
    -----
    With the forward and backward differences :math:`D_i^\pm`, the operator
    maps :math:`u` to

    .. math::
        K u = 2^{-d} \big(D_1^{s_1} u, \dots, D_d^{s_d} u\big)_s, \qquad
        s \in \{+, -\}^d.

    A rotation or reflection of the grid permutes the stencils. The range is
    ``(space ** d) ** (2 ** d)``.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> gradients = OneSidedGradients(space)
    >>> len(gradients.range), len(gradients.range[0])
    (4, 2)
    """

    def __init__(
        self,
        space: Space,
        pad_mode: PadMode = 'symmetric',
        axis_weights: Sequence[float] | None = None,
    ) -> None:
        self._stencils = stencils = Stencils(space, pad_mode, axis_weights)
        self.pad_mode = pad_mode
        self.axis_weights = axis_weights
        range = (space**stencils.ndim) ** len(stencils.signs)
        super().__init__(space, range, linear=True)

    def _call(self, x):
        y = self._stencils.differences(to_tensor(x))
        return to_element(y.flatten(1, 3), self.range)

    @property
    def adjoint(self) -> Operator:
        """Adjoint in the weighted inner products: minus a divergence."""
        return _OneSidedDivergence(self)

    @property
    def norm_bound(self) -> float:
        """Upper bound of the operator norm, close to it on large grids."""
        return self._stencils.squared_norm_bound() ** 0.5

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}('
            f'{describe_space(self.domain)}, {self.pad_mode!r}'
            f'{_weights_argument(self.axis_weights)})'
        )


def _weights_argument(axis_weights):
    if axis_weights is None:
        return ''
    return f', axis_weights={list(map(float, axis_weights))}'


class _OneSidedDivergence(CheckedOperator):
    """Adjoint of `OneSidedGradients`."""

    def __init__(self, gradients):
        self._gradients = gradients
        super().__init__(gradients.range, gradients.domain, linear=True)

    def _call(self, y):
        stencils = self._gradients._stencils
        y = stencils.unflatten(to_tensor(y))
        return to_element(stencils.adjoint(y), self.range)

    @property
    def adjoint(self):
        """The gradients themselves."""
        return self._gradients


@register_batched(OneSidedGradients)
def _one_sided_gradients(operator):
    stencils = operator._stencils
    return (
        lambda x: stencils.differences(x).flatten(1, 3),
        lambda y: stencils.transpose(stencils.unflatten(y)),
    )


class InvariantTotalVariation(Variation):
    r"""Isotropic total variation, invariant under the grid's symmetries.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space of any dimension, real or complex, backed by
        numpy or pytorch, or a product of equal ones.
    pad_mode : {'symmetric', 'periodic'}, optional
        Values beyond the boundary. With 'periodic', the functional is
        also invariant under periodic translations.
    tol : float, optional
        Largest relative error :math:`\|u - u^*\| / \|f\|` of a proximal
        :math:`u` at :math:`f`, guaranteed by the duality gap.
    maxiter : int, optional
        Largest number of inner iterations. Where they do not reach the
        tolerance, a `ConvergenceWarning` says how far they came.
    warm_start : bool, optional
        Whether a proximal starts from the dual variable of the one before,
        which makes it faster inside of a solver. Its values then depend on
        what came before, within the tolerance.
    max_iter : int, optional
        Former name of ``maxiter``. It gives a DeprecationWarning.
    axis_weights : sequence of float, optional
        Factors of the differences along the axes, at least one of them
        positive, see the notes. Default: 1.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        See `OneSidedGradients`; also if ``tol`` is not a positive number
        or ``maxiter`` not a positive integer.

    Notes
    -----
    The functional is the mean over the :math:`2^d` one-sided stencils,

    .. math::
        J(u) = 2^{-d} \sum_{s \in \{+, -\}^d} \sum_x w_x
        \Big(\sum_{i, c} \omega_c |D_i^{s_i} u_c(x)|^2\Big)^{1/2},

    with the weights :math:`w_x` of the points and :math:`\omega_c` of the
    parts, which are coupled (real and imaginary part of a complex space
    too). A rotation or reflection that maps the grid to itself permutes the
    stencils and the points, so that :math:`J(g \cdot u) = J(u)` up to
    rounding; hence :math:`\mathrm{prox}_{\sigma J}(g \cdot u) = g \cdot
    \mathrm{prox}_{\sigma J}(u)`. Forward differences alone are not
    invariant, and central ones do not see a checkerboard.

    In space-time, where one axis is time, ``axis_weights`` says how much a
    change in time counts: with :math:`(1, 1, \lambda)`, :math:`\lambda D_3`
    stands for :math:`D_3`. :math:`J` is then invariant under all elements of
    `space_time_actions`, whatever the length of a frame. With
    :math:`(0, 0, 1)` it is the variation in time alone.

    Where all points have the same weight, the proximal is computed by
    Douglas-Rachford splitting (Eckstein and Bertsekas, *On the
    Douglas-Rachford splitting method and the proximal point algorithm for
    maximal monotone operators*, Math. Program. 55 (1992), 293-318), whose
    linear systems cosine or Fourier transforms solve. Otherwise, or below
    ``tol=1e-6``, it is computed by accelerated projected gradients on the
    dual problem (Beck and Teboulle, *Fast gradient-based algorithms for
    constrained total variation image denoising and deblurring problems*,
    IEEE Trans. Image Process. 18 (2009), 2419-2434). Images in single
    precision are iterated so if the tolerance allows it, and rounding may then
    change the proximal by some 1e-5. The duality gap is always confirmed in
    double precision.

    For `odl.solvers.pdhg` and its like, which need no inner iterations,
    :math:`J` is `norm_functional` after ``operator``.

    Examples
    --------
    Central differences do not see a checkerboard. This functional does, and
    its proximal removes the checkerboard for large parameters:

    >>> space = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> J = InvariantTotalVariation(space)
    >>> board = space.element(lambda x: (-1) ** (x[0] // 1 + x[1] // 1))
    >>> J(board) > 36
    True
    >>> J.proximal(100.0)(board).norm() < 1e-3 * board.norm()
    True
    """

    def __init__(
        self,
        space: Space,
        pad_mode: PadMode = 'symmetric',
        tol: float = 1e-3,
        maxiter: int = 2000,
        warm_start: bool = False,
        max_iter: int | None = None,
        axis_weights: Sequence[float] | None = None,
    ) -> None:
        self.operator = OneSidedGradients(space, pad_mode, axis_weights)
        super().__init__(space, tol, maxiter, warm_start, max_iter)

    @property
    def norm_functional(self) -> odl.functionals.Functional:
        """Norm on the stencils, which after ``operator`` is the functional."""
        return StencilNorm(self.operator.range, self.operator._stencils)

    def _value(self, tensor):
        stencils = self.operator._stencils
        y = stencils.differences(tensor)
        return float(stencils.integral(stencils.moduli(y)))

    def _denoise(self, noisy, sigma, start):
        stencils = self.operator._stencils
        # the splitting is the first to meet rounding in the gap
        splits = stencils.uniform and self.tol >= _LEAST_SPLIT
        solver = splitting if splits else _variation_dual
        return solver.denoise(
            stencils,
            noisy,
            sigma,
            self.tol,
            self.maxiter,
            start,
        )

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}({describe_space(self.domain)}, '
            f'{self.operator.pad_mode!r}, tol={self.tol:g}'
            f'{_weights_argument(self.operator.axis_weights)})'
        )
