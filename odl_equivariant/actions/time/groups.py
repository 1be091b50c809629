# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Groups that act on films: on each frame, and on the order of the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant._time import checked_time_axis
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.groups import group_actions
from odl_equivariant.actions.isometries import Reflection
from odl_equivariant.actions.space_groups import is_axial
from odl_equivariant.actions.translations import Translation
from odl_equivariant.elements import describe_space

if TYPE_CHECKING:
    from odl_equivariant._types import Interpolation, Representation, Space
    from odl_equivariant.actions.geometric import GeometricAction

__all__ = ('space_time_actions', 'time_reversal', 'time_shift')


def _film_space(space, time_axis):
    """Return the space of a component, and the axis of time."""
    component = component_space(space)
    if component.ndim != 3:
        raise ValueError(
            'films are functions of two variables and of time, got '
            f'{component.ndim} axes in {describe_space(space)}'
        )
    return component, checked_time_axis(time_axis)


def time_shift(
    space: Space,
    frames: int,
    *,
    time_axis: int = -1,
    fill: complex | None = None,
    representation: Representation | None = None,
) -> Translation:
    r"""Return a shift of all frames in time.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform 3D space, one axis of which is time, or a product of equal
        ones.
    frames : int
        By how many frames, later if positive.
    time_axis : int, optional
        Axis of time.
    fill : float or complex, optional
        Value of the frames that come in. Default: periodic, so that those
        which leave come in on the other side.
    representation : optional
        Representation of the group that the shift is to be multiplied with.

    Returns
    -------
    shift : `Translation`
        The action :math:`(g \cdot u)(x, t) = u(x, t - s)`. It is an isometry
        only if it is periodic: with ``fill``, frames are lost, and
        `Action.is_isometry` is false.

    Raises
    ------
    TypeError
        If ``frames`` is not a whole number.
    ValueError
        If the space does not have three axes, or no frame stays with
        ``fill``.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0] * 3, [1, 1, 4], (1, 1, 4))
    >>> film = space.element([[[1, 2, 3, 4]]])
    >>> time_shift(space, 1)(film).asarray().ravel().tolist()
    [4.0, 1.0, 2.0, 3.0]
    >>> lossy = time_shift(space, 1, fill=0)
    >>> lossy(film).asarray().ravel().tolist(), lossy.is_isometry
    ([0.0, 1.0, 2.0, 3.0], False)
    """
    component, axis = _film_space(space, time_axis)
    frames = whole_number('frames', frames)
    shift = np.zeros(3)
    shift[axis] = frames * component.cell_sides[axis]
    return Translation(space, shift, fill=fill, representation=representation)


def time_reversal(
    space: Space,
    *,
    time_axis: int = -1,
    representation: Representation | None = None,
) -> Reflection:
    r"""Return the reversal of time: the last frame becomes the first.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform 3D space, one axis of which is time, or a product of equal
        ones.
    time_axis : int, optional
        Axis of time.
    representation : optional
        How the values turn, see `GeometricAction`. Default: not at all.

    Returns
    -------
    reversal : `Reflection`
        The action :math:`(g \cdot u)(x, t) = u(x, 2 c - t)` with the middle
        c of the interval of time, an isometry.

    Raises
    ------
    ValueError
        If the space does not have three axes.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0] * 3, [1, 1, 3], (1, 1, 3))
    >>> reversal = time_reversal(space)
    >>> reversal(space.element([[[1, 2, 3]]])).asarray().ravel().tolist()
    [3.0, 2.0, 1.0]
    """
    _, axis = _film_space(space, time_axis)
    return Reflection(space, axis, representation=representation)


def space_time_actions(
    space: Space,
    group: str = 'C4',
    shifts: int | None = 1,
    reversal: bool = True,
    *,
    time_axis: int = -1,
    method: Interpolation | None = None,
    representation: Representation | None = None,
) -> list[GeometricAction]:
    r"""Return a group of the plane times shifts and reversal of time.

    Parameters
    ----------
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Uniform 3D space, one axis of which is time, real or complex, or a
        product of equal ones.
    group : str, optional
        Group H that acts on each frame, ``'CN'`` or ``'DN'``, see
        `group_actions`.
    shifts : int or None, optional
        By how many frames the least periodic shift is: a divisor of their
        number. ``None`` for no shifts.
    reversal : bool, optional
        Whether time is reversed too.
    time_axis : int, optional
        Axis of time.
    method : {'linear', 'cubic', 'fourier'}, optional
        How to turn by angles that are not exact on the grid of a frame.
    representation : optional
        How the values turn, see `GeometricAction`. Default: not at all.

    Returns
    -------
    actions : list of `GeometricAction`
        The identity first. For each shift, without and then with reversal,
        the elements of H in their order.

    Raises
    ------
    TypeError
        If ``shifts`` is neither a whole number nor None, or ``reversal`` is
        no bool.
    ValueError
        If the space does not have three axes, ``shifts`` does not divide the
        number of frames, or ``group`` is not one of the plane.

    Notes
    -----
    For :math:`h \in H`, a shift by :math:`s` and :math:`\epsilon = \pm 1`,

    .. math::
        (g \cdot u)(x, t) = u\big(h^{-1} x, \epsilon (t - s - c) + c\big)

    with :math:`u` continued periodically in time, and the middle :math:`c`
    of the interval of time. These are :math:`|H| \cdot D_n`, with the
    dihedral group of n shifts. No element exchanges space and time, so the
    cells of time may have any length. A shift that is not periodic loses
    frames: it has no inverse, belongs to no group and is no isometry, see
    `time_shift`.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1, 0], [1, 1, 6], (4, 4, 6))
    >>> len(space_time_actions(space, 'C4'))
    48
    >>> len(space_time_actions(space, 'D4', shifts=3, reversal=False))
    16
    """
    component, axis = _film_space(space, time_axis)
    boolean('reversal', reversal)
    if isinstance(group, str) and not (is_axial(group) and group[-1] != 'h'):
        raise ValueError(
            "expected a group of the plane, 'CN' or 'DN', which turns each "
            f'frame, got {group!r}; time is reversed with `reversal=True`'
        )
    n_frames = component.shape[axis]
    steps = [0]
    if shifts is not None:
        step = whole_number('shifts', shifts, 1, n_frames)
        if n_frames % step:
            raise ValueError(
                f'the shifts by {step} frames are no group of {n_frames} '
                'periodic frames: take a divisor of their number, or None'
            )
        steps = list(range(0, n_frames, step))
    turns = group_actions(
        space, group, method, axis=axis, representation=representation
    )
    if reversal:
        back = time_reversal(
            space, time_axis=axis, representation=representation
        )
        turns = [*turns, *(back @ turn for turn in turns)]
    moves = [
        time_shift(
            space, frames, time_axis=axis, representation=representation
        )
        for frames in steps
    ]
    return turns + [move @ turn for move in moves[1:] for turn in turns]
