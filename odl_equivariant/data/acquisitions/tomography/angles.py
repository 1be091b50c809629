# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Angles of views, and whether they are in radians."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import odl

from odl_equivariant._degrees import are_round, ask_for_degrees

__all__ = (
    'checked_angles',
    'partition_of_angles',
    'seem_degrees',
    'warn_of_degrees',
)

_MOST_TURNS = 1 + 1e-6
_SAME = 1e-9
# The golden angles of a half and of a full turn in degrees, and what is left.
_GOLDEN_SECTION = (math.sqrt(5) - 1) / 2
_GOLDEN = tuple(
    turn * part
    for turn in (180.0, 360.0)
    for part in (_GOLDEN_SECTION, 1 - _GOLDEN_SECTION)
)
_NEAR_GOLDEN = 0.01
_UNEQUAL = 1.2


def checked_angles(array):
    """Return angles as floats, or raise an error unless they increase.

    Parameters
    ----------
    array : array-like
        Angles, in any unit.

    Returns
    -------
    angles : numpy.ndarray
        Array of shape ``(n,)`` of dtype float64.

    Raises
    ------
    ValueError
        If they are no list of finite numbers, or do not increase.
    """
    array = np.atleast_1d(np.asarray(array, dtype=float))
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f'angles must be a list of numbers, got the shape {array.shape}'
        )
    if not np.isfinite(array).all():
        raise ValueError('angles must be finite numbers')
    steps = np.diff(array)
    if (steps <= 0).any():
        place = int(np.flatnonzero(steps <= 0)[0])
        raise ValueError(
            f'angles must increase, got {array[place + 1]:g} after '
            f'{array[place]:g}, view {place + 1}; sort the views, `order = '
            'numpy.argsort(angles)`, and their data alike, `data[order]`, and '
            'leave out views that repeat'
        )
    return array


def partition_of_angles(angles: Any) -> odl.core.discr.RectPartition:
    """Return the partition with one cell around each of increasing angles.

    Parameters
    ----------
    angles : array-like
        Increasing angles in radians.

    Returns
    -------
    partition : odl.core.discr.RectPartition
        Uniform if the angles are equally far apart.
    """
    angles = checked_angles(angles)
    n = len(angles)
    if n == 1:
        # the view counts for a half turn
        half = math.pi / 2
        return odl.uniform_partition(angles[0] - half, angles[0] + half, 1)
    step = (angles[-1] - angles[0]) / (n - 1)
    equal = angles[0] + step * np.arange(n)
    if np.abs(angles - equal).max() <= _SAME * step * n:
        return odl.uniform_partition(
            angles[0] - step / 2, angles[-1] + step / 2, n
        )
    return odl.nonuniform_partition(angles)


def seem_degrees(angles):
    """Return whether angles of more than a turn look like degrees.

    They do if they are round numbers or golden angles.

    Parameters
    ----------
    angles : numpy.ndarray
        Increasing angles.

    Returns
    -------
    degrees : bool
        False for angles within a turn in radians.
    """
    if are_round(angles):
        return True
    steps = np.diff(angles)
    if np.abs(angles).max() <= _MOST_TURNS * 2 * math.pi or not steps.size:
        return False
    # golden angles, one after the other
    step = float(np.median(steps))
    if any(abs(step - golden) < _NEAR_GOLDEN for golden in _GOLDEN):
        return np.ptp(steps) < 2 * _NEAR_GOLDEN
    # ... or sorted into one turn, with steps of two or three widths; views of
    # many turns in radians have equal steps
    return bool(
        np.ptp(angles) <= 360 and steps.max() > _UNEQUAL * max(steps.min(), 0)
    )


def warn_of_degrees(geometry: Any) -> None:
    """Give a warning if the angles of a geometry could be degrees.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry whose angles count as radians. It is warned of once, here
        and in `filtered_backprojection`.
    """
    angles = np.asarray(geometry.angles, dtype=float).ravel()
    if seem_degrees(angles):
        ask_for_degrees(angles, geometry)
