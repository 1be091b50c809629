# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of all group actions on ODL spaces."""

from __future__ import annotations

from functools import reduce
from numbers import Integral
from operator import matmul
from typing import Any

import odl
from odl.core.operator.operator import OpNotImplementedError
from odl.core.space.weightings.weighting import (
    ArrayWeighting,
    ConstWeighting,
)

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import descend, describe_space

__all__ = ('Action', 'AdjointAction', 'component_space')


def component_space(space):
    """Return the grid space whose copies make up ``space``.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniformly discretized functions of one to three variables, or a
        (nested) product of equal such spaces.

    Returns
    -------
    component : `odl.DiscretizedSpace`
        ``space`` itself if it is not a product space.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces.
    ValueError
        If it is empty, has different components, more than 3 axes, is
        not uniform, or if its weights differ from point to point.
    """
    *products, space = descend(space, equal=True)
    for product in products:
        if not isinstance(product.weighting, (ConstWeighting, ArrayWeighting)):
            raise ValueError(
                'expected a `ProductSpace` weighted by a constant or one '
                f'number per component, got {product.weighting!r}'
            )
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'expected a space from `odl.uniform_discr` or a `ProductSpace` '
            f'of equal ones, got {describe_space(space)}'
        )
    if space.ndim not in (1, 2, 3):
        raise ValueError(
            'expected a space of functions of 1, 2 or 3 variables, got '
            f'{space.ndim} in {describe_space(space)}'
        )
    if not space.is_uniform:
        raise ValueError(
            f'expected a uniform grid, got {describe_space(space)}; make one '
            'with `odl.uniform_discr`'
        )
    if not isinstance(space.weighting, ConstWeighting):
        raise ValueError(
            'expected a space weighted by a constant, in which moving the '
            f'grid is an isometry, got {type(space.weighting).__name__} in '
            f'{describe_space(space)}'
        )
    return space


class Action(CheckedOperator):
    r"""A group element acting on a space of functions.

    Notes
    -----
    The element :math:`g = (t, R)` acts on functions with values in a
    representation :math:`\pi` by

    .. math::
        (g \cdot u)(x) = \pi(R)\, u\big(R^{-1} (x - t)\big),

    see Celledoni et al., *Equivariant neural networks for inverse
    problems*, Inverse Problems 37 (2021), 085006. Subclasses give
    ``_call``, ``inverse``, `is_isometry` and `is_exact`, and ``_compose``,
    which multiplies two elements in the group.
    """

    def __init__(self, space: Space, linear: bool = True) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.LinearSpace`
            Space on which the group acts.
        linear : bool, optional
            ``False`` for actions that add a constant.
        """
        super().__init__(space, space, linear=linear)

    @property
    def is_isometry(self) -> bool:
        """``True`` if the action keeps all distances in the space."""
        raise NotImplementedError

    @property
    def is_exact(self) -> bool:
        """``True`` if the action maps grid points to grid points."""
        raise NotImplementedError

    @property
    def adjoint(self) -> Operator:
        """Adjoint in the space's inner product: the inverse, if isometric."""
        if not (self.is_linear and self.is_isometry):
            raise OpNotImplementedError(
                f'{self} is not a linear isometry and gives no adjoint of its '
                'own'
            )
        return self.inverse

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the operator norm, known to be 1 for a linear isometry.

        Parameters
        ----------
        estimate : bool, optional
            Ignored for an isometry.
        **kwargs :
            Passed on to `odl.power_method_opnorm` otherwise.

        Returns
        -------
        norm : float
            Operator norm in the space's own norm.
        """
        if self.is_linear and self.is_isometry:
            return 1.0
        return float(super().norm(estimate=estimate, **kwargs))

    def _compose(self, other):
        """Return the group element ``self other`` if there is one."""
        return NotImplemented

    def __mul__(self, other):
        """Return ``self @ other``, in the group for two group elements."""
        if isinstance(other, Action):
            product = self._compose(other)
            if product is not NotImplemented:
                return product
        return super().__mul__(other)

    def __pow__(self, n):
        """Return the ``n``-th power for a positive integer ``n``."""
        if isinstance(n, Integral) and n > 0:
            return reduce(matmul, [self] * int(n))
        return NotImplemented


class AdjointAction(CheckedOperator):
    """Adjoint of an action that is no isometry: its ``_call_adjoint``."""

    def __init__(self, action):
        super().__init__(action.range, action.domain, linear=True)
        self.__action = action

    def _call(self, y):
        return self.__action._call_adjoint(y)

    @property
    def adjoint(self):
        """The action."""
        return self.__action

    def __str__(self):
        return f'adjoint of: {self.__action}'

    def __repr__(self):
        return f'{self.__action!r}.adjoint'
