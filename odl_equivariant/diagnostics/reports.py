# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A table of everything that the diagnostics measure of an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import odl

from odl_equivariant._types import Operator
from odl_equivariant.diagnostics._spaces import check_operator, name
from odl_equivariant.diagnostics.errors import (
    adjoint_error,
    derivative_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics.maps import isometry_error, linearity_error
from odl_equivariant.diagnostics.stability import (
    firm_nonexpansiveness_error,
    lipschitz_estimate,
)
from odl_equivariant.diagnostics.symmetries import commutation_error

__all__ = ('report',)


def _measured(measure):
    """Return a number, or `None` if the operator cannot be measured."""
    try:
        return measure()
    except NotImplementedError:
        return None


def report(
    op: Operator,
    actions: Sequence[Operator] = (),
    range_actions: Sequence[Operator] | None = None,
    seed: int = 0,
    real_linear: bool = False,
    file: TextIO | None = None,
) -> dict[str, float]:
    """Print one table of what can be measured of an operator.

    Parameters
    ----------
    op : `odl.Operator` or `odl.functionals.Functional`
        Operator to measure.
    actions : sequence of `odl.Operator`, optional
        Group elements acting on the domain, for example from
        `group_actions`. For a linear operator between different spaces, and
        without ``range_actions``, the table has their `commutation_error`.
    range_actions : sequence of `odl.Operator`, optional
        The same elements acting on the range, in the same order. Default:
        ``actions``, if domain and range are equal.
    seed : int, optional
        Seed of the random elements.
    real_linear : bool, optional
        Whether real factors and real parts only are tested, for operators on
        complex spaces that are linear over the real numbers only.
    file : file object, optional
        Where to print. Default: standard output.

    Returns
    -------
    values : dict of str to float
        The values of the table. It leaves out those that need a derivative
        or an adjoint that the operator does not have.

    Raises
    ------
    TypeError
        If ``op`` or an action is not an `odl.Operator`.
    ValueError
        If the actions do not fit the operator.

    Examples
    --------
    >>> from odl_equivariant.actions import group_actions
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> op = odl.Laplacian(space, pad_mode='symmetric')
    >>> values = report(op, group_actions(space, 'C2'))
    ... # doctest: +ELLIPSIS
    Laplacian: uniform_discr(...) -> uniform_discr(...)
      linearity                           ...
      adjoint                             ...
      ...
      equivariance, rotation by 180 degrees ...
    """
    check_operator(op)
    values = {}

    def add(key, measure):
        value = _measured(measure)
        if value is not None:
            values[key] = float(value)

    add('linearity', lambda: linearity_error(op, seed, 3, real_linear))
    if op.is_linear:
        add('adjoint', lambda: adjoint_error(op, seed, 3, real_linear))
    else:
        add('derivative', lambda: derivative_error(op, seed=seed))
    if not isinstance(op.range, odl.Field):
        add('isometry', lambda: isometry_error(op, seed))
        if op.range == op.domain:
            add(
                'firm non-expansiveness',
                lambda: firm_nonexpansiveness_error(op, seed),
            )
        add(
            'Lipschitz constant, at least',
            lambda: lipschitz_estimate(op, seed),
        )
    actions = list(actions)
    others = [None] * len(actions)
    if range_actions is not None:
        others = list(range_actions)
    if len(others) != len(actions):
        raise ValueError(
            f'expected one action on the range for each of the {len(actions)} '
            f'on the domain, got {len(others)}'
        )
    for action, other in zip(actions, others, strict=True):
        if isinstance(op.range, odl.Field):
            values[f'invariance, {action}'] = invariance_error(
                op, action, seed=seed
            )
        elif other is None and op.is_linear and op.range != op.domain:
            values[f'normal operator, {action}'] = commutation_error(
                op, action
            )
        else:
            values[f'equivariance, {action}'] = equivariance_error(
                op, action, other, seed=seed
            )
    print(name(op), file=file)
    width = max(map(len, values), default=0)
    for key, value in values.items():
        print(f'  {key:<{width}}  {value:.3g}', file=file)
    return values
