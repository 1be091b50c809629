# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Finite groups of rotations and reflections, listed element by element."""

from __future__ import annotations

import re
from math import pi

from odl_equivariant._types import Interpolation, Representation, Space
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.actions.isometries import Reflection, Rotation
from odl_equivariant.elements import describe_space

__all__ = ('group_actions',)

_EXACT_GROUPS = ('C1', 'C2', 'C4', 'D1', 'D2', 'D4')


def _list_group(space, name, **arguments):
    order = int(name[1:])
    rotations = [
        Rotation(space, 2 * pi * k / order, **arguments) for k in range(order)
    ]
    if name[0] == 'C':
        return rotations
    mirror = Reflection(
        space, axis=0, representation=arguments.get('representation')
    )
    return rotations + [rotation @ mirror for rotation in rotations]


def _exists(space, name):
    try:
        _list_group(space, name)
    except ValueError:
        return False
    return True


def group_actions(
    space: Space,
    group: str,
    method: Interpolation | None = None,
    *,
    representation: Representation | None = None,
) -> list[GeometricAction]:
    """Return the elements of a finite group as actions on a space.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform 2D space, real or complex, or a product of equal ones.
    group : str
        The rotations by multiples of ``360 / N`` degrees ('CN'), and with
        them the reflections ('DN', with ``2 N`` elements). Exact are 'C1',
        'C2', 'D1', 'D2' and, on a square grid, 'C4' and 'D4'.
    method : {'linear', 'cubic', 'fourier'}, optional
        How to turn by angles that are not exact on the grid, see
        `Rotation`. With a method any N is allowed.
    representation : optional
        How the values turn, see `GeometricAction`. Default: not at all.

    Returns
    -------
    actions : list of `GeometricAction`
        The identity first, then the rotations by increasing angle, then
        each of them after the reflection ``x -> -x``.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces, or
        ``group`` is not a string.
    ValueError
        If the group is unknown or infinite, is not exact on the grid of the
        space and there is no method, or the representation does not fit.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 6))
    >>> for action in group_actions(space, 'D2'):
    ...     print(action)
    identity
    rotation by 180 degrees
    reflection in the line at 90 degrees
    reflection in the line at 0 degrees
    >>> print(group_actions(space, 'C8', method='fourier')[1])
    rotation by 45 degrees
    """
    component = component_space(space)
    if component.ndim != 2:
        raise ValueError(
            'the groups CN and DN act on functions of 2 variables, got '
            f'{component.ndim} in {describe_space(space)}; multiply '
            '`Rotation` and `Reflection` instead'
        )
    if not isinstance(group, str):
        hint = ''
        if hasattr(group, 'fibergroup') or hasattr(group, 'representation'):
            hint = (
                ', of escnn: pass the name, and how values turn as '
                '`representation`'
            )
        raise TypeError(
            f"expected the name of a group like 'C4', got {group!r}{hint}"
        )
    if group in ('SO(2)', 'O(2)', 'SO2', 'O2'):
        raise ValueError(
            f'the group {group} is infinite and cannot be listed; take a '
            "finite one like 'C8' or 'D8' with a `method`, or, without one, "
            f'one of {", ".join(_EXACT_GROUPS)}'
        )
    if re.fullmatch(r'[CD][1-9]\d*', group) is None:
        raise ValueError(
            'expected a cyclic group CN or a dihedral group DN (the exact '
            f'ones are {", ".join(_EXACT_GROUPS)}), got {group!r}'
        )
    if method is None and (
        group not in _EXACT_GROUPS or not _exists(space, group)
    ):
        exact = [name for name in _EXACT_GROUPS if _exists(space, name)]
        raise ValueError(
            f'the group {group} is not exact on the grid of '
            f'{describe_space(space)}, of shape {component.shape}: give a '
            "`method`, 'linear', 'cubic' or 'fourier', or take one that is, "
            f'{", ".join(exact)}'
        )
    return _list_group(
        space, group, method=method, representation=representation
    )
