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

import numpy as np

from odl_equivariant._checks import one_of, whole_number
from odl_equivariant._types import Interpolation, Representation, Space
from odl_equivariant.actions._checks import METHODS
from odl_equivariant.actions._fourier import fourier_mover
from odl_equivariant.actions._interpolation import interpolating_mover
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction, action_of
from odl_equivariant.actions.grid import grid_mover
from odl_equivariant.actions.isometries import Reflection, Rotation
from odl_equivariant.actions.space_groups import (
    POLYHEDRAL,
    is_axial,
    space_group,
)
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
    axis: int | None = None,
    representation: Representation | None = None,
) -> list[GeometricAction]:
    r"""Return the elements of a finite group as actions on a space.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform space of functions of one to three variables, real or
        complex, or a product of equal ones.
    group : str
        In the plane, the rotations by multiples of ``360 / N`` degrees
        ('CN'), and with them the reflections ('DN', with ``2 N`` elements).
        Exact are 'C1', 'C2', 'D1', 'D2' and, on a square grid, 'C4' and
        'D4'. On a line, 'C1' and 'D1'. The groups of the space are in the
        notes.
    method : {'linear', 'cubic', 'fourier'}, optional
        How to turn by angles that are not exact on the grid, see
        `Rotation`. With a method any N is allowed.
    axis : {0, 1, 2}, optional
        In 3D, the axis of the groups about an axis.
    representation : optional
        How the values turn, see `GeometricAction`. Default: not at all.

    Returns
    -------
    actions : list of `GeometricAction`
        The identity first, then the rotations, in the plane and about an axis
        by increasing angle, then the reflections. In the plane these are each
        of the rotations after the reflection ``x -> -x``.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces, or
        ``group`` is not a string.
    ValueError
        If the group is unknown or infinite, is not exact on the grid of the
        space and there is no method, or the axis or the representation does
        not fit.

    Notes
    -----
    In the space there are the groups of polyhedra, in the notation of
    Schoenflies: 'T', 'Td' and 'Th' (of 12, 24 and 24 elements) of the
    tetrahedron, 'O' (the 24 rotations of the cube) and 'Oh' (48, with
    reflections), all exact on a cubic grid, and 'I' (60) and 'Ih' (120) of
    the icosahedron with the vertices :math:`(0, \pm 1, \pm \varphi)` and
    their cyclic permutations, which take a method, 'linear' or 'cubic'.

    'CN' and 'DN' are the groups about ``axis`` that act on each slice across
    it as they do in the plane; in the notation of Schoenflies, the latter is
    :math:`C_{Nv}`. With 'h' after the name, the reflection along the axis is
    added: 'C4h' has 8 and 'D4h' 16 elements. They fit volumes whose third
    axis differs.

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
    >>> cube = odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4))
    >>> len(group_actions(cube, 'O')), len(group_actions(cube, 'C4h', axis=2))
    (24, 8)
    """
    component = component_space(space)
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
    if component.ndim == 1:
        return _on_a_line(space, group, representation)
    if component.ndim == 3:
        return _in_space(space, group, method, axis, representation)
    if axis is not None:
        raise ValueError(
            f'a group of the plane has no axis, got {axis!r} for '
            f'{describe_space(space)}'
        )
    return _in_plane(space, group, method, representation)


def _on_a_line(space, group, representation):
    if group not in ('C1', 'D1'):
        raise ValueError(
            "on a line there are 'C1', the identity, and 'D1', with the "
            f'reflection, got {group!r} for {describe_space(space)}'
        )
    mirror = Reflection(space, axis=0, representation=representation)
    return [mirror @ mirror] + [mirror] * (group == 'D1')


def _in_plane(space, group, method, representation):
    component = component_space(space)
    if group in POLYHEDRAL:
        raise ValueError(
            f'the group {group} acts on functions of 3 variables, got '
            f"{component.ndim} in {describe_space(space)}: take 'C4' or 'D4'"
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


def _in_space(space, group, method, axis, representation):
    component = component_space(space)
    group = group.replace('_', '')
    if group in ('SO(3)', 'O(3)', 'SO3', 'O3', 'SO(2)', 'O(2)', 'SO2', 'O2'):
        raise ValueError(
            f'the group {group} is infinite and cannot be listed; take '
            "'O' or 'Oh', or 'C4' about an axis"
        )
    if group not in POLYHEDRAL and not is_axial(group):
        raise ValueError(
            f'expected a group of the space ({", ".join(POLYHEDRAL)}), or '
            "about an axis ('CN', 'DN', 'CNh' or 'DNh'), got "
            f'{group!r}'
        )
    if is_axial(group):
        if axis is None:
            raise ValueError(
                f'the group {group} acts about an axis in space: give `axis`, '
                f'0, 1 or 2, for {describe_space(space)}'
            )
        axis = whole_number('axis', axis, 0, 2)
    elif axis is not None:
        raise ValueError(f'the group {group} has no axis, got {axis!r}')
    one_of('method', method, METHODS, optional=True)
    if method == 'fourier' and group in ('I', 'Ih'):
        raise ValueError(
            f"method='fourier' turns about an axis of the grid, and {group} "
            "has other axes: take 'linear' or 'cubic'"
        )
    movers = []
    for matrix in space_group(group, axis):
        mover = _mover(component, matrix, method)
        if mover is None:
            raise ValueError(_inexact_in_space(space, group))
        movers.append(mover)
    return [action_of(mover, space, representation) for mover in movers]


def _mover(component, matrix, method):
    zero = np.zeros(3)
    if method == 'fourier':
        return fourier_mover(component, matrix, zero)
    if method is not None:
        return interpolating_mover(component, matrix, zero, method)
    return grid_mover(component, matrix, zero)


def _inexact_in_space(space, group):
    component = component_space(space)
    candidates = [('Oh', None), *(('D4h', k) for k in (2, 1, 0)), ('D2h', 2)]
    largest = next((c for c in candidates if _is_exact(component, *c)), None)
    where = (
        f'the group {group} is not exact on the grid of '
        f'{describe_space(space)}, of shape {component.shape} and cell sides '
        f'{component.cell_sides.tolist()}: '
    )
    if largest is not None:
        name, axis = largest
        about = '' if axis is None else f' with axis={axis}'
        where += f"take '{name}'{about} or one of its subgroups, or "
    return where + "give a `method`, 'linear' or 'cubic'"


def _is_exact(component, group, axis=None):
    return all(
        grid_mover(component, matrix, np.zeros(3)) is not None
        for matrix in space_group(group, axis)
    )
