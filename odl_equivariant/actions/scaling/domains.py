# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Functions on a larger or smaller domain, with the same values."""

from __future__ import annotations

import math

import numpy as np
import odl

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import boolean, positive_number
from odl_equivariant._types import Operator
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.grid import has_whole_cells
from odl_equivariant.elements import describe_space

__all__ = ('DomainScaling',)

# powers of ten of lengths and weights, well inside of what float64 has
_MOST_DIGITS = 150


class DomainScaling(CheckedOperator):
    r"""Scaling of functions together with their domain, exact on the grid.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Uniform space of functions of one to three variables, with whole cells
        at the boundary.
    factor : float
        Positive number :math:`s` by which lengths are multiplied.
    unitary : bool, optional
        Whether values are multiplied by :math:`s^{-d/2}`.

    Raises
    ------
    TypeError
        If the space is another one, or the factor no number.
    ValueError
        If the factor is not positive, so small or large that lengths or
        weights cannot be told from 0 or infinity, or cells at the boundary
        are cut.

    Notes
    -----
    With the centre :math:`c` of the domain :math:`\Omega`, it maps functions
    on :math:`\Omega` to functions on :math:`c + s (\Omega - c)`,

    .. math::
        (T_s u)(x) = u\big(c + s^{-1} (x - c)\big), \qquad
        \|T_s u\|^2 = s^d \|u\|^2 .

    The grid is scaled as well, so that the values stay the same, and nothing
    is interpolated. The adjoint is :math:`T_s^* = s^d\, T_s^{-1}`.

    Examples
    --------
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    >>> double = DomainScaling(space, 2)
    >>> double.range.max_pt.tolist()
    [2.0, 2.0]
    >>> u = space.one()
    >>> double(u).norm() ** 2 / u.norm() ** 2
    4.0
    """

    def __init__(
        self,
        space: odl.DiscretizedSpace,
        factor: float,
        unitary: bool = False,
    ) -> None:
        if isinstance(space, odl.ProductSpace):
            raise TypeError(
                'expected a space from `odl.uniform_discr`, got the product '
                f'{describe_space(space)}: take one for each component'
            )
        space = component_space(space)
        if not has_whole_cells(space):
            raise ValueError(
                'expected whole cells at the boundary, got the fractions '
                f'{space.partition.boundary_cell_fractions} in '
                f'{describe_space(space)}: make the space with '
                '`nodes_on_bdry=False`'
            )
        self.__factor = positive_number('factor', factor)
        self.__unitary = boolean('unitary', unitary)
        _check_finite(space, self.__factor)
        super().__init__(space, _scaled(space, self.__factor), linear=True)

    @property
    def factor(self) -> float:
        """Number by which lengths are multiplied."""
        return self.__factor

    @property
    def unitary(self) -> bool:
        """Whether norms stay as they are."""
        return self.__unitary

    @property
    def squared_norm(self) -> float:
        r"""The number :math:`\|T_s u\|^2 / \|u\|^2`."""
        return 1.0 if self.unitary else self.factor**self.domain.ndim

    @property
    def inverse(self) -> Operator:
        """Scaling back to the domain before."""
        return _Inverse(self)

    @property
    def adjoint(self) -> Operator:
        """The inverse, times `squared_norm`."""
        return self.squared_norm * self.inverse

    @property
    def _value(self):
        return self.factor ** (-self.domain.ndim / 2) if self.unitary else 1.0

    def _call(self, x):
        return self.range.element(self._value * x.data)

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'DomainScaling({describe_space(self.domain)}, {self.factor!r}, '
            f'unitary={self.unitary})'
        )


class _Inverse(CheckedOperator):
    """Inverse of a scaling of the domain."""

    def __init__(self, scaling):
        super().__init__(scaling.range, scaling.domain, linear=True)
        self.__scaling = scaling

    def _call(self, y):
        return self.range.element(y.data / self.__scaling._value)

    @property
    def inverse(self):
        """The scaling."""
        return self.__scaling

    @property
    def adjoint(self):
        """The scaling, divided by its squared norm."""
        return (1 / self.__scaling.squared_norm) * self.__scaling


def _check_finite(space, factor):
    """Raise a ValueError unless scaled lengths and weights are numbers."""
    extent = np.asarray(space.partition.extent, dtype=float)
    # as powers of ten, which do not overflow
    power = space.ndim * math.log10(factor)
    digits = [
        math.log10(float(space.weighting.const)) + power,
        math.log10(extent.min() * min(factor, 1.0)),
        math.log10(extent.max()) + max(0.0, math.log10(factor)),
    ]
    # domains that are too small beside their distance to the origin
    offset = np.abs(np.asarray(space.partition.mid_pt, dtype=float))
    lost = factor * extent / space.shape <= 1e-12 * offset
    if max(map(abs, digits)) > _MOST_DIGITS or lost.any():
        raise ValueError(
            f'`factor` {factor:g} makes a domain of the extent '
            f'{(factor * extent).tolist()} and cells of weight '
            f'1e{digits[0]:.0f}: such numbers lose their digits. Take a '
            'factor nearer to 1'
        )


def _scaled(space, factor):
    centre = space.partition.mid_pt
    return odl.uniform_discr(
        centre + factor * (space.min_pt - centre),
        centre + factor * (space.max_pt - centre),
        space.shape,
        dtype=str(space.dtype_identifier),
        impl=space.impl,
        device=space.device,
        weighting=float(space.weighting.const) * factor**space.ndim,
    )
