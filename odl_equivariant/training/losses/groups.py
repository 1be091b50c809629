# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Groups of a loss, and the symmetries of its forward operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import odl

from odl_equivariant.actions import Action, InducedAction, group_actions
from odl_equivariant.diagnostics.symmetries import (
    Symmetries,
    commutation_error,
    induced,
    smooth_images,
)
from odl_equivariant.elements import describe_space
from odl_equivariant.training.losses.problem import applied, mean_square

__all__ = (
    'Actions',
    'commutation_error',
    'induced',
    'made_actions',
    'symmetries_of',
)

Actions = str | list[Callable[[odl.DiscretizedSpace], Action]]

_SAME = 1e-5


def made_actions(actions: Any, space: odl.DiscretizedSpace) -> list[Action]:
    """Return the actions of a loss on a space, without the identity.

    Parameters
    ----------
    actions : str or list
        Name of a group, see `group_actions`; elements that are not exact on
        the grid interpolate by ``'fourier'``. Or a list of actions, or of
        callables that make one on a space.
    space : odl.DiscretizedSpace
        Space of the images.

    Returns
    -------
    actions : list of Action
        Linear actions on ``space``.

    Raises
    ------
    ValueError
        If there are none, or one acts on another space.
    TypeError
        If one is no action, or not linear.
    """
    if isinstance(actions, str):
        try:
            made = group_actions(space, actions)
        except ValueError:
            made = group_actions(space, actions, method='fourier')
    elif isinstance(actions, Sequence):
        made = [
            action if isinstance(action, odl.Operator) else action(space)
            for action in actions
        ]
    else:
        raise TypeError(
            '`actions` must be the name of a group, such as `C8`, or a list '
            f'of actions, got {actions!r:.80}'
        )
    for action in made:
        if not isinstance(action, Action) or not action.is_linear:
            raise TypeError(
                '`actions` must be linear actions of '
                f'`odl_equivariant.actions`, got {action!r:.200}'
            )
        if isinstance(action, InducedAction):
            raise ValueError(
                f'{action} acts on data. Give the action on the images that '
                'induces it: where it does, the loss moves the data instead'
            )
        if action.domain != space:
            raise ValueError(
                f'{action} acts on {describe_space(action.domain)}, and the '
                f'images are in {describe_space(space)}'
            )
    images = smooth_images(space)
    size = float(mean_square(images, space).sum())
    made = [
        action
        for action in made
        if float(mean_square(applied(action, images) - images, space).sum())
        > _SAME**2 * size
    ]
    if not made:
        raise ValueError(
            f'`actions` has no element but the identity, got {actions!r:.80}'
        )
    return made


def symmetries_of(acquisition: Any) -> Symmetries:
    """Return the symmetries of the operator of an acquisition.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition, or anything with an ``operator``.

    Returns
    -------
    symmetries : Symmetries
        Those that the acquisition knows, if it does.
    """
    known = getattr(acquisition, 'symmetries', None)
    return Symmetries(acquisition.operator) if known is None else known
