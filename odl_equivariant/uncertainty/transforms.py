# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which transforms bring something that a network does not know."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import odl
import torch

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Element, Operator, Space
from odl_equivariant._warnings import warn_user
from odl_equivariant.actions import (
    GeometricAction,
    Reflection,
    Rotation,
    Translation,
)
from odl_equivariant.actions.action import component_space
from odl_equivariant.elements import describe_space
from odl_equivariant.operators import NetworkOperator

__all__ = (
    'checked_actions',
    'declared_group',
    'default_actions',
    'warn_of_inexact_inverses',
)

# Reconstructions know little about their errors if a transform changes as
# much by interpolation.
_TOLERATED = 1e-3
# shifts of the default, in cells
_SHIFT = 2


def declared_group(reconstruct: Any) -> str:
    """Return the group under which a network is equivariant by design.

    Parameters
    ----------
    reconstruct : torch.nn.Module, `NetworkOperator` or other
        Reconstruction. Only networks declare groups: their blocks have an
        attribute ``group``.

    Returns
    -------
    group : str
        Such as ``'C4'``; ``'C1'`` if none is declared, or not the same by
        all blocks.

    Examples
    --------
    >>> from odl_equivariant.nn import EquivariantProximal
    >>> declared_group(EquivariantProximal(channels=4, group='C4'))
    'C4'
    >>> declared_group(torch.nn.ReLU())
    'C1'
    """
    if isinstance(reconstruct, NetworkOperator):
        reconstruct = reconstruct.module
    if not isinstance(reconstruct, torch.nn.Module):
        return 'C1'
    blocks = getattr(reconstruct, 'blocks', [reconstruct])
    groups = {getattr(block, 'group', None) for block in blocks}
    group = groups.pop() if len(groups) == 1 else None
    return group if isinstance(group, str) else 'C1'


def default_actions(
    space: Space, group: str = 'C1', n: int = 32, seed: int = 0
) -> list[GeometricAction]:
    r"""Return transforms that no finite group of a network contains.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Space of the images, on a uniform 2D grid with whole cells at the
        boundary.
    group : str, optional
        Group under which the reconstruction is equivariant by design, see
        `declared_group`: 'CN', 'DN', 'SO(2)' or 'O(2)'.
    n : int, optional
        Number of transforms.
    seed : int, optional
        Seed of the angles and shifts.

    Returns
    -------
    actions : list of `GeometricAction`
        Rotations by angles spread over the full turn, and none a multiple of
        ``360 / N`` degrees, with shifts by up to two cells along each axis.
        Every second one is reflected first, unless the group has reflections.
        For 'SO(2)' and 'O(2)' there are no rotations. All are isometries,
        whose inverses undo them to rounding.

    Raises
    ------
    TypeError
        If ``space`` is not made from `odl.uniform_discr` spaces, or ``group``
        is no string.
    ValueError
        If the space is not two-dimensional or has cut cells at the boundary,
        or the group is unknown.

    Notes
    -----
    Let the reconstruction satisfy :math:`\Phi(y; A T_g) = T_g^{-1} \Phi(y;
    A)` for a group, and the operator :math:`A T_g = S_g A`, with
    permutations :math:`S_g` of the data. Then :math:`\Phi(S_g y; A) =
    T_g \Phi(y; A)`, and for data :math:`y_g = A T_g \hat x + \varepsilon`

    .. math::
        T_g^{-1} \Phi(y_g; A) = \Phi(A \hat x + S_g^{-1} \varepsilon; A).

    So only the noise varies, and transforms of the group show nothing of what
    the operator does not measure. Others do.

    A function is turned by its trigonometric interpolant, which is periodic:
    what an image has in its corners comes back on the other side.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    >>> actions = default_actions(space, 'C4', n=4)
    >>> all(action.is_isometry for action in actions)
    True
    """
    component = component_space(space)
    if component.ndim != 2:
        raise ValueError(
            'there are default actions on functions of 2 variables, got '
            f'{component.ndim} in {describe_space(space)}: pass a list of '
            '`actions`'
        )
    order, reflected = _order_and_reflections(group)
    n = whole_number('n', n, 1)
    rng = np.random.default_rng(whole_number('seed', seed, 0))
    sides = np.asarray(component.cell_sides)
    actions = []
    for k in range(n):
        # not near the multiples of 360 / order, which the network knows
        place = 0.1 + 0.8 * rng.random()
        sector = math.floor(k * order / n) if order else 0
        angle = 2 * math.pi * (sector + place) / order if order else 0.0
        shift = rng.uniform(-_SHIFT, _SHIFT, 2) * sides
        action = Translation(space, shift, method='fourier')
        if order:
            action = action @ Rotation(space, angle, method='fourier')
        if not reflected and k % 2:
            action = action @ Reflection(space, axis=0)
        actions.append(action)
    return actions


def _order_and_reflections(group):
    """Return the number of rotations, 0 for all, and if there are others."""
    if not isinstance(group, str):
        raise TypeError(
            f"expected the name of a group like 'C4', got {group!r}"
        )
    if group in ('SO(2)', 'O(2)'):
        return 0, group == 'O(2)'
    if group[:1] not in ('C', 'D') or not group[1:].isdecimal():
        raise ValueError(
            f"expected 'CN', 'DN', 'SO(2)' or 'O(2)', got {group!r}"
        )
    order = int(group[1:])
    if order == 0:
        raise ValueError(f'expected a group with N of at least 1, got {group}')
    return order, group[0] == 'D'


def checked_actions(actions, space):
    """Return actions on a space, at least the identity, with inverses."""
    if isinstance(actions, odl.Operator):
        raise TypeError(
            f'expected a list of actions, got one, {actions}: pass [action]'
        )
    actions = list(actions)
    for action in actions:
        if not isinstance(action, odl.Operator):
            raise TypeError(
                'expected actions that are of type `odl.Operator`, got '
                f'{type(action).__name__}'
            )
        if action.domain != space or action.range != space:
            raise ValueError(
                'expected actions on the domain of the operator, '
                f'{describe_space(space)}, got one on '
                f'{describe_space(action.domain)}'
            )
    return actions or [odl.IdentityOperator(space)]


def warn_of_inexact_inverses(
    actions: list[Operator], estimate: Element
) -> None:
    """Warn if transforms lose something that their inverses do not restore."""
    worst, size = 0.0, float(estimate.norm())
    for action in actions:
        if getattr(action, 'is_isometry', True):
            continue
        gap = action.inverse(action(estimate)) - estimate
        worst = max(worst, float(gap.norm()) / size if size else 0.0)
    if worst > _TOLERATED:
        warn_user(
            f'a transform and its inverse change the estimate by {worst:.1%} '
            'of its norm, which counts as uncertainty; take actions that are '
            "isometries, such as rotations and shifts by method='fourier'",
            RuntimeWarning,
        )
