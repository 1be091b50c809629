# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Total generalized variation, invariant under the symmetries of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import odl
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import positive_number
from odl_equivariant._types import Operator, PadMode, Space
from odl_equivariant._warnings import warn_user
from odl_equivariant.elements import describe_space
from odl_equivariant.functionals._generalized_dual import denoise, evaluate
from odl_equivariant.functionals._inner_proximal import (
    ConvergenceWarning,
    Variation,
)
from odl_equivariant.functionals._second_stencils import SecondStencils
from odl_equivariant.functionals._stencil_norm import StencilNormSum
from odl_equivariant.functionals._tensors import (
    to_element,
    to_tensor,
)
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)

__all__ = ('InvariantTotalGeneralizedVariation', 'LiftedGradients')


class LiftedGradients(CheckedOperator):
    r"""Gradients minus fields, and the derivatives of the fields.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space of any dimension :math:`d`, real or complex,
        backed by numpy or pytorch, or a product of equal ones.
    pad_mode : {'symmetric', 'periodic'}, optional
        Values beyond the boundary. With 'symmetric', differences across the
        boundary do not count; with 'periodic', the image repeats.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        See `OneSidedGradients`.

    Notes
    -----
    With the smallest side :math:`h` of a cell and :math:`S = 2^d` stencils,
    the operator maps an image and one field for each stencil,
    :math:`(u, v)`, to

    .. math::
        A u - v = \big(h S^{-1/2} D^s u - v_s\big)_s, \qquad
        E v = \big(\tfrac{h}{2} (D_j^{-s_j} v_{s, i} + D_i^{-s_i} v_{s, j})
        \big)_{s, i, j},

    in which all norms are of the order 1. The fields are
    :math:`v_s = h S^{-1/2} w_s`, where :math:`w_s` has the unit of a
    gradient. The domain is ``space x (space ** d) ** (2 ** d)``. A symmetric
    matrix is stored by its entries :math:`i \le j`, and those with
    :math:`i < j` are multiplied by :math:`\sqrt 2`. So the second part of the
    range is ``(space ** (d (d + 1) / 2)) ** (2 ** d)``.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> lifted = LiftedGradients(space)
    >>> image, fields = lifted.domain
    >>> len(fields), len(fields[0]), len(lifted.range[1][0])
    (4, 2, 3)
    """

    def __init__(self, space: Space, pad_mode: PadMode = 'symmetric') -> None:
        self._second = second = SecondStencils(space, pad_mode)
        self.pad_mode = pad_mode
        n = second.n_stencils
        fields = (space**second.first.ndim) ** n
        matrices = (space ** len(second.pairs)) ** n
        super().__init__(
            odl.ProductSpace(space, fields),
            odl.ProductSpace(fields, matrices),
            linear=True,
        )

    def _call(self, x):
        return to_element(self._apply(to_tensor(x)), self.range)

    def _apply(self, x):
        second = self._second
        n_parts = second.first.n_parts
        image, field = x[:, :n_parts], x[:, n_parts:]
        field = second.first.unflatten(field)
        field = second.mask_(field.clone())
        first = second.gradients(image).sub_(field)
        bend = second.derivatives(field)
        return torch.cat([first.flatten(1, 3), bend.flatten(1, 3)], 1)

    def _transpose(self, y):
        second = self._second
        n = second.n_stencils * second.first.ndim * second.first.n_parts
        slope, dual = y[:, :n], y[:, n:]
        slope = second.first.unflatten(slope)
        image = second.gradients_transpose(slope)
        field = second.derivatives_transpose(second.first.unflatten(dual))
        field.sub_(second.mask_(slope.clone()))
        return torch.cat([image, field.flatten(1, 3)], 1)

    @property
    def adjoint(self) -> Operator:
        """Adjoint in the weighted inner products."""
        return AdjointOperator(self)

    @property
    def norm_bound(self) -> float:
        """Upper bound of the operator norm, close to it on large grids."""
        return self._second.combined_norm_bound()

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'{type(self).__name__}({self.domain[0]!r}, {self.pad_mode!r})'


@register_batched(LiftedGradients)
def _lifted_gradients(operator):
    return operator._apply, operator._transpose


class InvariantTotalGeneralizedVariation(Variation):
    r"""Second-order total generalized variation, invariant under symmetries.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space of any dimension, real or complex, backed by
        numpy or pytorch, or a product of equal ones.
    alpha : pair of float, optional
        :math:`(\alpha_1, \alpha_0)`: first the weight of
        :math:`|\nabla u - w|`, a number, then the weight of :math:`|E w|`,
        a length in the unit of the space. The second is the first times
        the length over which slopes may change, often one or two cells.
        Default: 1, and twice the smallest side of a cell.
    pad_mode : {'symmetric', 'periodic'}, optional
        Values beyond the boundary. With 'symmetric', differences across the
        boundary do not count, and affine images have the value zero. With
        'periodic', the image repeats: the functional is then also invariant
        under periodic translations, and only constants have the value zero.
    tol : float, optional
        Largest relative error :math:`\|u - u^*\| / \|f\|` of a proximal
        :math:`u` at :math:`f`, and largest error of a value over
        :math:`\alpha_1` times the total variation, both guaranteed by the
        duality gap. Proximals are often much closer than is guaranteed.
    maxiter : int, optional
        Largest number of inner iterations. Where they do not reach the
        tolerance, a `ConvergenceWarning` says how far they came.
    warm_start : bool, optional
        Whether a proximal starts from the fields and dual variables of the
        one before, which makes it faster inside of a solver. Its values
        then depend on what came before, within the tolerance.
    max_iter : int, optional
        Former name of ``maxiter``. It gives a DeprecationWarning.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        See `OneSidedGradients`; also if ``alpha`` is not a pair of positive
        numbers, ``tol`` not a positive number or ``maxiter`` not a positive
        integer.

    Notes
    -----
    The functional is the mean over the :math:`2^d` one-sided stencils of
    the functional of Bredies, Kunisch and Pock (*Total generalized
    variation*, SIAM J. Imaging Sci. 3 (2010), 492-526),

    .. math::
        J(u) = 2^{-d} \sum_{s \in \{+, -\}^d} \min_{w} \sum_x w_x \big(
        \alpha_1 |D^s u - w|(x) + \alpha_0 |E^{-s} w|(x) \big), \qquad
        (E^{-s} w)_{ij} = \tfrac12 (D_j^{-s_j} w_i + D_i^{-s_i} w_j),

    with the weights :math:`w_x` of the points and Frobenius norms in which
    the parts of the space are coupled as in `InvariantTotalVariation`. The
    opposite stencils turn first differences into second differences of three
    neighbours. A rotation or reflection that maps the grid to itself
    permutes the stencils, and with them their minimisers :math:`w`, so that
    :math:`J(g \cdot u) = J(u)` and :math:`\mathrm{prox}_{\sigma J}(g \cdot u)
    = g \cdot \mathrm{prox}_{\sigma J}(u)` up to rounding. One :math:`w` for
    all stencils would be invariant too. But it could not be close to both
    the forward and the backward gradient of a smooth image, since these
    differ by a second derivative times the side of a cell.

    The functional is a seminorm, not above :math:`\alpha_1` times the
    invariant total variation. A component of :math:`w` lives on the edges
    of the grid. Terms that need points beyond a symmetric boundary are left
    out, so that exactly the affine images have the value zero, on grids of
    any size.

    Values are upper bounds, from primal-dual iterations over :math:`w` in
    double precision, and so are proximals. For `odl.solvers.pdhg` and its
    like, which need no inner iterations, :math:`J(u)` is the minimum over
    :math:`v` of ``norm_functional`` after ``operator`` at :math:`(u, v)`,
    an element of ``lifted_space``.

    Examples
    --------
    A ramp costs nothing, a bend in it does:

    >>> space = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> J = InvariantTotalGeneralizedVariation(space, alpha=(1, 2))
    >>> ramp = space.element(lambda x: x[0] + 2 * x[1])
    >>> roof = space.element(lambda x: abs(x[0] - 4))
    >>> J(ramp) < 1e-12 < 1 < J(roof)
    True
    """

    def __init__(
        self,
        space: Space,
        alpha: Sequence[float] | None = None,
        pad_mode: PadMode = 'symmetric',
        tol: float = 1e-2,
        maxiter: int = 5000,
        warm_start: bool = False,
        max_iter: int | None = None,
    ) -> None:
        self.operator = LiftedGradients(space, pad_mode)
        if alpha is None:
            alpha = 1.0, 2 * self.operator._second.unit
        if not isinstance(alpha, Sequence | np.ndarray) or len(alpha) != 2:
            raise ValueError(
                'expected `alpha` to be the two weights of the gradient minus '
                f'the field and of the derivative of the field, got {alpha!r}'
            )
        names = ('first', 'second')
        self.alpha = tuple(
            positive_number(f'the {name} weight of `alpha`', weight)
            for weight, name in zip(alpha, names, strict=True)
        )
        super().__init__(space, tol, maxiter, warm_start, max_iter)

    @property
    def lifted_space(self) -> odl.ProductSpace:
        """Space of the pairs of an image and its fields."""
        return self.operator.domain

    def _weights(self, sigma=1.0):
        """Return the weights in units of a cell."""
        second = self.operator._second
        weight = sigma / (second.unit * second.n_stencils**0.5)
        return weight * self.alpha[0], weight * self.alpha[1] / second.unit

    @property
    def norm_functional(self) -> odl.functionals.Functional:
        """Weighted sum of norms, to be taken after ``operator``."""
        stencils = self.operator._second.first
        return StencilNormSum(self.operator.range, stencils, self._weights())

    def _value(self, tensor):
        value, bound, n_iter = evaluate(
            self.operator._second,
            tensor,
            self._weights(),
            self.tol,
            self.maxiter,
        )
        if not bound <= self.tol:
            warn_user(
                f'the value of {self} has a relative error of up to '
                f'{bound:.2g} after {n_iter} iterations, above the tolerance '
                f'{self.tol:.2g}; raise `maxiter` or `tol`',
                ConvergenceWarning,
            )
        return float(value)

    def _denoise(self, noisy, sigma, start):
        return denoise(
            self.operator._second,
            noisy,
            self._weights(sigma),
            self.tol,
            self.maxiter,
            start,
        )

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}('
            f'{describe_space(self.domain)}, {self.alpha!r}, '
            f'{self.operator.pad_mode!r}, tol={self.tol:g})'
        )
