# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Groups of a loss, and whether a forward operator is equivariant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import odl
import torch

from odl_equivariant.actions import (
    Action,
    InducedAction,
    Rotation,
    Translation,
    group_actions,
    induced_action,
)
from odl_equivariant.elements import describe_space, n_channels, tensor_dtype
from odl_equivariant.training.losses.problem import applied, mean_square

__all__ = (
    'Actions',
    'commutation_error',
    'induced',
    'is_symmetric',
    'made_actions',
    'working_groups',
)

Actions = str | list[Callable[[odl.DiscretizedSpace], Action]]

_TOLERANCE = 3e-3
_SAME = 1e-5
_BAND = 0.15
_CANDIDATES = (4, 8, 12, 16, 32)


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
    images = _images(space)
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


def _images(space, n=2):
    """Return smooth random images that vanish near the boundary."""
    generator = torch.Generator().manual_seed(0)
    shape = tuple(space.shape)
    x = torch.randn(
        (n, n_channels(space), *shape),
        generator=generator,
        dtype=torch.float64,
    )
    squares, radius = 0.0, 0.0
    for axis, m in enumerate(shape):
        place = [-1 if i == axis else 1 for i in range(len(shape))]
        frequency = torch.fft.fftfreq(m, dtype=torch.float64)
        squares = squares + frequency.square().reshape(place)
        at = (2 * torch.arange(m, dtype=torch.float64) + 1) / m - 1
        radius = radius + at.square().reshape(place)
    axes = tuple(range(2, 2 + len(shape)))
    low = torch.exp(-squares / _BAND**2)
    x = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * low, dim=axes).real
    x = x * torch.sigmoid((0.7 - radius.sqrt()) * 20)
    return x.to(tensor_dtype(space))


def commutation_error(operator: odl.Operator, action: Action) -> float:
    r"""Return how far the normal operator is from commuting with an action.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A`.
    action : Action
        Linear action :math:`T` on its domain.

    Returns
    -------
    error : float
        :math:`\|A^* A T x - T A^* A x\| / \|A^* A x\|` for smooth random
        images :math:`x`, with the adjoint and the norms in the weighted inner
        products.

    Notes
    -----
    If :math:`A T = S A` with a unitary :math:`S` on the data, then :math:`A^*
    A` commutes with a unitary :math:`T`; and so the null space of :math:`A`
    is mapped to itself. Conversely, if :math:`A^* A` commutes with it, the
    polar decomposition of :math:`A` gives such an :math:`S`.
    """
    from odl_equivariant.operators.layer import OperatorLayer

    layer = OperatorLayer(operator)
    adjoint = layer.adjoint

    def normal(x):
        return adjoint(layer(x))

    with torch.no_grad():
        x = _images(operator.domain)
        plain = normal(x)
        gap = normal(applied(action, x)) - applied(action, plain)
    size = float(mean_square(plain, operator.domain).sum())
    if size == 0:
        return 0.0
    return math.sqrt(float(mean_square(gap, operator.domain).sum()) / size)


def induced(operator: odl.Operator, action: Action) -> InducedAction | None:
    """Return the action on data that one on images induces, if there is one.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator.
    action : Action
        Action on its domain.

    Returns
    -------
    induced : InducedAction or None
        See `induced_action`; ``None`` if there is none, or it loses data.
    """
    try:
        found = induced_action(operator, action)
    except (TypeError, ValueError):
        return None
    return found if found.is_isometry else None


def is_symmetric(operator: odl.Operator, action: Action) -> bool:
    """Return whether an operator is equivariant under an action.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator.
    action : Action
        Action on its domain.

    Returns
    -------
    is_symmetric : bool
        Whether there is an induced action on its data, or the measured
        `commutation_error` is below 0.003.
    """
    if induced(operator, action) is not None:
        return True
    return commutation_error(operator, action) < _TOLERANCE


def working_groups(operator: odl.Operator) -> list[str]:
    """Return groups under which an operator is not equivariant, in words.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator on functions of two variables.

    Returns
    -------
    groups : list of str
        Rotations, and shifts, that show the null space of the operator.
    """
    space = operator.domain
    found = []
    for n in _CANDIDATES:
        try:
            action = Rotation(space, 2 * math.pi / n)
        except (TypeError, ValueError):
            try:
                action = Rotation(space, 2 * math.pi / n, method='fourier')
            except (TypeError, ValueError):
                continue
        if not is_symmetric(operator, action):
            found.append(f'`C{n}` (rotations by {360 / n:g} degrees)')
    try:
        cells = [max(1, n // 8) for n in space.shape]
        shift = [
            k * float(h) for k, h in zip(cells, space.cell_sides, strict=True)
        ]
        if not is_symmetric(operator, Translation(space, shift)):
            found.append(f'shifts, such as by {cells} cells (`Translation`)')
    except (TypeError, ValueError):
        pass
    return found
