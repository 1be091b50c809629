# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Operators and functionals made equivariant by averaging over a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import odl

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import whole_number
from odl_equivariant._types import ElementLike, Operator
from odl_equivariant.elements import describe_space
from odl_equivariant.operators._group_check import check_group
from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.registry import (
    batched_map,
    register_batched,
)
from odl_equivariant.operators.batching.structures import Structure

__all__ = ('GroupAverage',)


def _check_actions(actions, space, what):
    actions = list(actions)
    if not actions:
        raise ValueError('expected at least one action, got none')
    for action in actions:
        if not isinstance(action, odl.Operator):
            raise TypeError(
                'expected actions that are of type `odl.Operator`, got '
                f'{type(action).__name__}'
            )
        if action.domain != space or action.range != space:
            raise ValueError(
                f'expected actions on the {what} '
                f'{describe_space(space)}, got one on '
                f'{describe_space(action.domain)}'
            )
    return actions


class _Mean(CheckedOperator):
    """Mean of linear operators."""

    def __init__(self, terms):
        self._terms = terms
        super().__init__(terms[0].domain, terms[0].range, linear=True)

    def _call(self, x):
        return _mean(self._terms, x)

    @property
    def adjoint(self):
        """Mean of the adjoints."""
        return _Mean([term.adjoint for term in self._terms])


def _mean(terms, x):
    total = terms[0](x)
    for term in terms[1:]:
        total = total + term(x)
    return (1 / len(terms)) * total


class GroupAverage(CheckedOperator):
    r"""An operator averaged over a group, which makes it equivariant.

    Parameters
    ----------
    operator : `odl.Operator` or `odl.functionals.Functional`
        Operator :math:`\Phi`, linear or not. The average of a functional
        is a functional.
    actions : sequence of `odl.Operator`
        All elements of a finite group, acting on ``operator.domain``, for
        example from `group_actions`; each has an ``inverse``.
    range_actions : sequence of `odl.Operator`, optional
        The same elements acting on ``operator.range``, in the same order.
        Default: ``actions``, if domain and range are equal. Not used for
        functionals.
    n_samples : int, optional
        Average over that many different elements only, drawn at random. The
        operator stays the same until `redraw` is called. Default: all.
    seed : int, optional
        Seed of the draws.
    check : bool, optional
        Whether to check that the actions form a group. The products of up to
        8 elements with all elements must be among the elements, on the domain
        and on the range, and the action of a product must be the product of
        the actions. If that follows from the elements, as for exact ones of
        `group_actions`, nothing is evaluated. With ``False``, the mean over
        any set is taken.

    Raises
    ------
    TypeError
        If ``operator`` or an action is not an `odl.Operator`, or
        ``n_samples`` no whole number.
    ValueError
        If there are no actions, they act on other spaces, there are not as
        many on the range, or not as many as ``n_samples``; if they are not
        all elements of a group, each equally often, or not the same ones on
        the range.

    Warns
    -----
    RuntimeWarning
        If the elements form a group but their actions on the grid do not, as
        with interpolation. The warning says by how much.

    Notes
    -----
    The average (Reynolds operator) of an operator and of a functional over a
    group :math:`G` is

    .. math::
        \bar\Phi(u) = \frac{1}{|G|} \sum_{g \in G}
        g^{-1} \cdot \Phi(g \cdot u), \qquad
        \bar J(u) = \frac{1}{|G|} \sum_{g \in G} J(g \cdot u).

    The average is equivariant (invariant), and an operator that already is
    stays unchanged: averaging is a projection. This needs a group, and
    actions with :math:`g \cdot (h \cdot u) = (g h) \cdot u` on the grid.
    Rotations that interpolate satisfy this only approximately, and only for
    smooth functions.

    For *isometric* actions the projection is orthogonal, and the average of
    (firmly) non-expansive operators is (firmly) non-expansive, as

    .. math::
        \|g^{-1} \Phi(g u) - g^{-1} \Phi(g v)\| = \|\Phi(g u) - \Phi(g v)\|,
        \qquad \langle g^{-1} a, u - v \rangle = \langle a, g u - g v \rangle.

    This fails for other actions, such as turns of vector fields whose
    components have different weights: see `Action.is_isometry`, or measure it
    with `isometry_error`.

    The average costs :math:`|G|` evaluations. With ``n_samples``, the mean
    over all draws is the average over the group, but the operator of a single
    draw is in general not equivariant.

    Examples
    --------
    >>> from odl_equivariant.actions import group_actions
    >>> from odl_equivariant.diagnostics import equivariance_error
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    >>> actions = group_actions(space, 'C4')
    >>> slope = odl.PartialDerivative(space, 0, pad_mode='periodic')
    >>> equivariance_error(slope @ slope, actions[1]) > 0.1
    True
    >>> average = GroupAverage(slope @ slope, actions)
    >>> equivariance_error(average, actions[1]) < 1e-14
    True
    """

    def __new__(
        cls, operator: Operator | None = None, *args: Any, **kwargs: Any
    ) -> GroupAverage:
        """Return a `FunctionalAverage` for a functional."""
        if cls is GroupAverage and isinstance(
            operator, odl.functionals.Functional
        ):
            cls = FunctionalAverage
        return super().__new__(cls)

    def __init__(
        self,
        operator: Operator,
        actions: Sequence[Operator],
        range_actions: Sequence[Operator] | None = None,
        n_samples: int | None = None,
        seed: int = 0,
        check: bool = True,
    ) -> None:
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                f'expected an `odl.Operator`, got {type(operator).__name__}; '
                'wrap a torch module as `NetworkOperator(module, domain)`'
            )
        self.operator = operator
        actions = _check_actions(actions, operator.domain, 'domain')
        if range_actions is not None:
            range_actions = list(range_actions)
        #: Each group element with its inverse on the range, ``None`` for a
        #: functional.
        self.elements = self._with_inverses(actions, range_actions)
        if n_samples is not None:
            name = f'`n_samples`, of {len(actions)} actions,'
            n_samples = whole_number(name, n_samples, 1, len(actions))
        if check:
            is_functional = isinstance(operator, odl.functionals.Functional)
            check_group(actions, None if is_functional else range_actions)
        self.n_samples = n_samples
        self._rng = np.random.default_rng(seed)
        self._initialize()
        self.redraw()

    def _initialize(self):
        operator = self.operator
        super().__init__(
            operator.domain, operator.range, linear=operator.is_linear
        )

    def _with_inverses(self, actions, range_actions):
        operator = self.operator
        if range_actions is None:
            if operator.range != operator.domain:
                raise ValueError(
                    f'the range of {operator!r} is not its domain; give '
                    '`range_actions`, the group acting on the range'
                )
            range_actions = actions
        range_actions = _check_actions(range_actions, operator.range, 'range')
        if len(range_actions) != len(actions):
            raise ValueError(
                f'expected one action on the range for each of the '
                f'{len(actions)} on the domain, got {len(range_actions)}'
            )
        return [
            (action, other.inverse)
            for action, other in zip(actions, range_actions, strict=True)
        ]

    def redraw(self) -> None:
        """Draw other group elements, where not all of them are used."""
        n = len(self.elements)
        #: Indices of the group elements now in use.
        self.drawn = list(range(n))
        if self.n_samples is not None:
            chosen = self._rng.choice(n, self.n_samples, replace=False)
            self.drawn = chosen.tolist()
        self._terms = [self._term(*self.elements[i]) for i in self.drawn]

    def _term(self, action, inverse):
        return inverse @ self.operator @ action

    def _call(self, x):
        return _mean(self._terms, x)

    def derivative(self, x: ElementLike) -> Operator:
        """Return the derivative at a point.

        Parameters
        ----------
        x : element of ``domain``
            Point of linearisation.

        Returns
        -------
        derivative : `odl.Operator`
            Mean of the derivatives, for the group elements now in use.
        """
        if self.is_linear:
            return self
        x = self.domain.element(x)
        return _Mean([term.derivative(x) for term in self._terms])

    @property
    def adjoint(self) -> Operator:
        """Mean of the adjoints, for the group elements now in use."""
        if not self.is_linear:
            raise NotImplementedError(
                'the average of an operator that is not linear has no '
                'adjoint; take that of `derivative(x)`'
            )
        return _Mean([term.adjoint for term in self._terms])

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'GroupAverage({self.operator!r}, '
            f'<{len(self._terms)} of {len(self.elements)} group elements>)'
        )


class FunctionalAverage(GroupAverage, odl.functionals.Functional):
    """Average of a functional over a group, see `GroupAverage`."""

    def _initialize(self):
        odl.functionals.Functional.__init__(
            self, self.operator.domain, linear=self.operator.is_linear
        )

    def _with_inverses(self, actions, range_actions):
        return [(action, None) for action in actions]

    def _term(self, action, inverse):
        return self.operator @ action

    def derivative(self, x):
        """Return the derivative at a point, the product with the gradient.

        Parameters
        ----------
        x : element of ``domain``
            Point of linearisation.

        Returns
        -------
        derivative : `odl.Operator`
            Linear functional.
        """
        return odl.functionals.Functional.derivative(self, x)

    @property
    def gradient(self):
        """Operator that maps a point to the mean of the gradients."""
        return _MeanGradient(self)


class _MeanGradient(CheckedOperator):
    """Gradient of a `FunctionalAverage`."""

    def __init__(self, average):
        self._average = average
        super().__init__(average.domain, average.domain, linear=False)

    def _call(self, x):
        return _mean([term.gradient for term in self._average._terms], x)


class _BatchedAverage(Structure):
    """Mean over the group elements that an average has drawn."""

    def __init__(self, average, function):
        super().__init__(function)
        self._average, self._known = average, {}

    def terms(self):
        """Yield the maps of domain and range, as now drawn."""
        for i in self._average.drawn:
            if i not in self._known:
                self._known[i] = [
                    None if action is None else batched_map(action)
                    for action in self._average.elements[i]
                ]
            yield self._known[i]

    def forward(self, x):
        (function,) = self.maps
        total = 0
        for move, back in self.terms():
            y = function(move(x))
            total = total + (y if back is None else back(y))
        return total / len(self._average.drawn)

    def transpose(self, y):
        """Apply the transpose, where all maps are linear."""
        (function,) = self.maps
        total = 0
        for move, back in self.terms():
            x = y if back is None else back.transpose(y)
            total = total + move.transpose(function.transpose(x))
        return total / len(self._average.drawn)


@register_batched(GroupAverage, FunctionalAverage)
def _batched(operator):
    average = _BatchedAverage(operator, batched_map(operator.operator))
    parts = [average.maps[0]]
    for move, back in average.terms():
        parts += [move] if back is None else [move, back]
    if not all(isinstance(part, LinearMap) for part in parts):
        return average
    return average.forward, average.transpose
