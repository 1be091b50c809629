# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Actions that move functions and turn their values."""

from __future__ import annotations

import functools

import numpy as np
import odl
from odl.core.operator.operator import OpNotImplementedError

from odl_equivariant._types import ElementLike, Operator, Representation, Space
from odl_equivariant.actions._movers import Mover
from odl_equivariant.actions.action import Action, AdjointAction
from odl_equivariant.actions.representations import (
    canonical,
    component_weights,
    representation_matrix,
)
from odl_equivariant.elements import describe_space

__all__ = ('GeometricAction',)


class GeometricAction(Action):
    r"""A group element that moves a function and turns its values.

    Make one with `Rotation`, `Reflection`, `Translation`, `Dilation` or
    `GridAction`. If two of them use the same method and the same
    representation, their product ``g @ h`` is taken in the group, so that a
    roto-translation interpolates only once. Otherwise it is an ordinary
    composition of operators.

    Notes
    -----
    For :math:`g = (t, R)` and a representation :math:`\pi` of the group of
    the turns,

    .. math::
        (g \cdot u)(x) = \pi(R)\, u\big(R^{-1} (x - t)\big).

    The argument ``representation`` of the subclasses is one of

    - ``None`` or ``'trivial'``: the components are moved one by one;
    - ``'standard'`` or ``'vector'``, for vector fields: :math:`\pi(R) = R`,
      in the order of the axes;
    - an escnn ``Representation`` with as many rows as there are components.
      The element of its group is the one whose matrix is R: the reflection
      ``f`` of escnn's dihedral groups is that of axis 1, ``diag(1, -1)``.
      For tensors in ODL's layout, with x along the rows, that is what
      escnn's ``rot2dOnR2(N)`` and ``flipRot2dOnR2(N)`` do.

    The moved function and the turned values are two commuting factors, and
    the adjoint is :math:`w^{-1} \pi(R)^T w` with the weights :math:`w` of
    the components, after the adjoint of the first factor.
    """

    def __init__(
        self,
        space: Space,
        mover: Mover,
        representation: Representation | None = None,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Space on which the group acts.
        mover : Mover
            What moves the components, on the component space.
        representation : optional
            How the turn acts on the components.
        """
        self.__turn = representation_matrix(
            representation, mover.matrix, space
        )
        super().__init__(space, linear=mover.is_linear)
        self.__mover = mover
        self.__representation = canonical(representation)

    @property
    def mover(self) -> Mover:
        """What moves the components."""
        return self.__mover

    @property
    def representation(self) -> Representation | None:
        """How the turn acts on the components; `None` if it does not."""
        return self.__representation

    @property
    def turn(self) -> np.ndarray | None:
        """Matrix pi(R) that mixes the components, `None` for none."""
        return None if self.__turn is None else self.__turn.copy()

    @property
    def matrix(self) -> np.ndarray:
        """Matrix R of the action as an array of shape (d, d)."""
        return self.__mover.matrix.copy()

    @property
    def translation(self) -> np.ndarray:
        """Vector t of the action, an array of shape (d,) in length units.

        For periodic actions it holds up to whole periods. It is not zero
        for a turn about a centre that is not the origin.
        """
        return self.__mover.translation

    @property
    def is_isometry(self) -> bool:
        """``True`` if the action keeps all distances in the space."""
        if not self.__mover.is_isometry:
            return False
        return self.__turn is None or np.allclose(
            self._adjoint_turn() @ self.__turn,
            np.eye(len(self.__turn)),
            rtol=0,
            atol=1e-12,
        )

    @property
    def is_exact(self) -> bool:
        """``True`` if grid points are mapped to grid points."""
        return self.__mover.is_exact

    @property
    def inverse(self) -> GeometricAction:
        """Action of the inverse element.

        It undoes the action to rounding if that is an isometry, and up to
        twice the error of the interpolation otherwise.
        """
        return self._same_kind(self.__mover.inverse())

    @property
    def adjoint(self) -> Operator:
        """Adjoint in the space's inner product, to rounding."""
        if not self.is_linear:
            raise OpNotImplementedError(
                f'{self} is not linear and has no adjoint; take that of '
                '`derivative(x)`, which fills with 0'
            )
        if self.is_isometry:
            return self.inverse
        return AdjointAction(self)

    def derivative(self, x: ElementLike) -> GeometricAction:
        """Return the linear part of the action, which fills with 0.

        Parameters
        ----------
        x : ``domain`` element-like
            Any point.

        Returns
        -------
        derivative : `GeometricAction`
            The action itself if it is linear.
        """
        if self.is_linear:
            return self
        return self._same_kind(self.__mover.derivative())

    def _call(self, x):
        return _apply(x, self.__mover.move, self.__turn)

    def _call_adjoint(self, y):
        turn = None if self.__turn is None else self._adjoint_turn()
        return _apply(y, self.__mover.move_back, turn)

    def _adjoint_turn(self):
        weights = component_weights(self.domain)
        return self.__turn.T * (weights / weights[:, None])

    def _same_kind(self, mover):
        """Return another element of the group on the same space."""
        return action_of(mover, self.domain, self.__representation)

    def _compose(self, other):
        """Return ``self other`` in the group of the moves and turns."""
        if (
            not isinstance(other, GeometricAction)
            or other.domain != self.domain
        ):
            return NotImplemented
        kind = self
        if other.representation != self.__representation:
            # a shift turns no values, whatever its representation
            if self.__mover.has_turn and other.mover.has_turn:
                return NotImplemented
            kind = self if self.__mover.has_turn else other
        product = self.__mover.multiply(other.mover)
        if product is NotImplemented:
            return NotImplemented
        return kind._same_kind(product)

    def _representation_argument(self):
        if self.__representation is None:
            return ''
        return f', representation={self.__representation!r}'

    def __eq__(self, other):
        """Return whether both are the same element of the same group."""
        if not isinstance(other, GeometricAction):
            return NotImplemented
        return (
            self.__mover == other.mover
            and self.__representation == other.representation
            and self.domain == other.domain
        )

    def __hash__(self):
        """Return ``hash(self)``."""
        return hash(self.__mover)

    def __str__(self):
        """Return what the action does, in words."""
        return str(self.__mover)

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'<{self} on {describe_space(self.domain)}>'


def _apply(x, move, turn):
    if turn is None:
        return _map(x, move)
    moved = [_map(part, move) for part in x]
    return x.space.element([_combine(row, moved) for row in turn])


def _map(x, move):
    if isinstance(x.space, odl.ProductSpace):
        return x.space.element([_map(part, move) for part in x])
    return x.space.element(move(x.data))


def _combine(row, elements):
    """Return the combination of elements, without those of weight 0."""
    space = elements[0].space
    if isinstance(space, odl.ProductSpace):
        return space.element(
            [_combine(row, parts) for parts in zip(*elements, strict=True)]
        )
    terms = [
        float(weight) * element.data
        for weight, element in zip(row, elements, strict=True)
        if weight
    ]
    if not terms:
        return space.zero()
    return space.element(sum(terms[1:], terms[0]))


@functools.singledispatch
def action_of(mover, space, representation):
    """Return the action of a mover; kinds of movers register their own."""
    return GeometricAction(space, mover, representation)
