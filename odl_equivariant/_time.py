# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The axis of time among those of a grid."""

from odl_equivariant._checks import whole_number

__all__ = ('checked_time_axis', 'spatial_axes')


def checked_time_axis(time_axis: int, ndim: int = 3) -> int:
    """Return the axis of time, not negative.

    Parameters
    ----------
    time_axis : int
        Axis, from the end if negative.
    ndim : int, optional
        Number of axes of the grid.

    Returns
    -------
    time_axis : int
        The same axis, from 0 to ``ndim - 1``.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If there is no such axis.

    Examples
    --------
    >>> checked_time_axis(-1), checked_time_axis(0)
    (2, 0)
    """
    return whole_number('time_axis', time_axis, -ndim, ndim - 1) % ndim


def spatial_axes(time_axis: int, ndim: int = 3) -> tuple[int, ...]:
    """Return all axes but that of time, in order.

    Examples
    --------
    >>> spatial_axes(-1), spatial_axes(0)
    ((0, 1), (1, 2))
    """
    time_axis = checked_time_axis(time_axis, ndim)
    return tuple(axis for axis in range(ndim) if axis != time_axis)
