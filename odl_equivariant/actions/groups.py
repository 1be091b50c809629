# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Finite groups of rotations and reflections, listed element by element."""

import re
from math import pi

from odl_equivariant.actions.action import component_space, describe_space
from odl_equivariant.actions.isometries import Reflection, Rotation

__all__ = ('group_actions',)

_EXACT_GROUPS = ('C1', 'C2', 'C4', 'D1', 'D2', 'D4')


def _list_group(space, name):
    order = int(name[1:])
    rotations = [Rotation(space, 2 * pi * k / order) for k in range(order)]
    if name[0] == 'C':
        return rotations
    mirror = Reflection(space, axis=0)
    return rotations + [rotation @ mirror for rotation in rotations]


def _exists(space, name):
    try:
        _list_group(space, name)
    except ValueError:
        return False
    return True


def group_actions(space, group):
    """Return the elements of a finite group as actions on a space.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform 2D space, real or complex, or a product of equal ones.
    group : {'C1', 'C2', 'C4', 'D1', 'D2', 'D4'}
        The rotations by multiples of ``360 / N`` degrees ('CN'), and with
        them the reflections ('DN', with ``2 N`` elements). 'C4' and 'D4'
        take a square grid.

    Returns
    -------
    actions : list of `GridAction`
        The identity first, then the rotations by increasing angle, then
        each of them after the reflection ``x -> -x``.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces, or
        ``group`` is not a string.
    ValueError
        If the group is unknown, or is not exact on the grid of the space.

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
    """
    component_space(space)
    if not isinstance(group, str):
        raise TypeError(
            f"expected the name of a group like 'C4', got {group!r}"
        )
    if re.fullmatch(r'[CD][1-9]\d*', group) is None:
        raise ValueError(
            'expected a cyclic group CN or a dihedral group DN, one of '
            f'{", ".join(_EXACT_GROUPS)}, got {group!r}'
        )
    if group not in _EXACT_GROUPS or not _exists(space, group):
        exact = [name for name in _EXACT_GROUPS if _exists(space, name)]
        raise ValueError(
            f'the group {group} is not exact on the grid of '
            f'{describe_space(space)}, of shape '
            f'{component_space(space).shape}; exact on it are '
            f'{", ".join(exact)}'
        )
    return _list_group(space, group)
