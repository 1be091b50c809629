# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The sum of the lengths of vectors over all stencils and points."""

import odl

from odl_equivariant._checks import positive_number
from odl_equivariant.functionals._tensors import (
    doubled,
    to_element,
    to_tensor,
)

__all__ = ('StencilNorm', 'StencilNormSum')


class StencilNorm(odl.functionals.Functional):
    r"""Sum over stencils and points of the lengths of vectors.

    Parameters
    ----------
    space : `ProductSpace`
        Domain: for each stencil the entries of a vector, in each part.
    stencils : Stencils
        Stencils with the weights of points and parts.

    Notes
    -----
    With the weights :math:`w_x` of points and :math:`\omega_c` of parts,

    .. math::
        F(y) = \sum_{s, x} w_x |y_s(x)|, \qquad
        |y_s(x)|^2 = \sum_{i, c} \omega_c |y_{s, i, c}(x)|^2.

    The proximal shortens each vector by the parameter.
    """

    def __init__(self, space, stencils):
        self._stencils = stencils
        super().__init__(space, linear=False)

    def _call(self, y):
        stencils = self._stencils
        y = stencils.unflatten(doubled(to_tensor(y)))
        return float(stencils.integral(stencils.moduli(y)))

    @property
    def proximal(self):
        """Factory of the proximal operators, given a positive number."""
        return lambda sigma=1.0: _Shortening(
            self, positive_number('sigma', sigma)
        )


class _Shortening(odl.Operator):
    """Proximal of `StencilNorm`."""

    def __init__(self, functional, sigma):
        self._stencils, self.sigma = functional._stencils, sigma
        space = functional.domain
        super().__init__(space, space, linear=False)

    def _call(self, y):
        y = self._stencils.unflatten(to_tensor(y))
        moduli = self._stencils.moduli(y)
        # no division by zero: a vector as short as sigma becomes zero
        factor = 1 - self.sigma / moduli.clamp_min(self.sigma)
        return to_element((factor * y).flatten(1, 3), self.range)


class StencilNormSum(odl.functionals.Functional):
    r"""Weighted sum of the norms of the parts of a product space.

    Parameters
    ----------
    space : `ProductSpace`
        Domain; each part is the domain of a `StencilNorm`.
    stencils : Stencils
        Stencils with the weights of points and parts.
    weights : sequence of float
        One positive number for each part.

    Notes
    -----
    This is not a `SeparableSum`: in ODL 1.0, the conjugate of a multiple of a
    `SeparableSum` ignores the scalar.
    """

    def __init__(self, space, stencils, weights):
        self._norms = [StencilNorm(part, stencils) for part in space]
        self.weights = tuple(weights)
        super().__init__(space, linear=False)

    def _call(self, y):
        terms = zip(self.weights, self._norms, y, strict=True)
        return sum(weight * norm(part) for weight, norm, part in terms)

    @property
    def proximal(self):
        """Factory of the proximal operators, given a positive number."""
        return self._proximal

    def _proximal(self, sigma=1.0):
        sigma = positive_number('sigma', sigma)
        parts = zip(self.weights, self._norms, strict=True)
        return odl.DiagonalOperator(
            *(norm.proximal(sigma * weight) for weight, norm in parts),
            domain=self.domain,
            range=self.domain,
        )
