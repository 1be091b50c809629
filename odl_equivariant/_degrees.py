# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Whether angles that count as radians could be degrees."""

import math
import weakref

import numpy as np

from odl_equivariant._warnings import warn_user

__all__ = ('are_radians', 'are_round', 'ask_for_degrees')

# Radians are parts of a turn, and degrees are round numbers.
_ROUND = 1e-6
# As they are measured, steps are not exactly whole.
_WHOLE = 2e-4
# Geometries whose angles have been asked for. A geometry that is made, and
# then used by an operator, is one question.
_ASKED: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def are_round(angles):
    """Return whether angles of more than a turn are round numbers.

    Parameters
    ----------
    angles : array-like
        Angles in increasing order.

    Returns
    -------
    round : bool
        Whether the last one, their span, or a step has at most two decimal
        places, or steps are nearly whole. False for angles within a turn in
        radians.

    Examples
    --------
    >>> are_round([90.0]), are_round([math.pi / 2]), are_round([7 * math.pi])
    (True, False, False)
    """
    angles = np.asarray(angles, dtype=float).ravel()
    if np.abs(angles).max() <= 2 * math.pi * (1 + _ROUND):
        return False
    steps = np.diff(angles)
    step = float(np.median(steps)) if steps.size else 0.0
    span = float(np.ptp(angles))
    values = span, span + step, float(angles[-1]), *steps[:1]
    if any(abs(value - round(value, 2)) < _ROUND for value in values if value):
        return True
    return bool(step and abs(step - round(step)) < _WHOLE * step)


def are_radians(geometry):
    """Note that a geometry has radians for certain, and ask no more.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry, of which the unit of the angles was stated.
    """
    _ASKED[id(geometry)] = geometry


def ask_for_degrees(angles, geometry=None):
    """Give a warning that asks whether angles are degrees.

    Parameters
    ----------
    angles : array-like
        Angles that count as radians.
    geometry : odl.applications.tomo.Geometry, optional
        What has these angles. It is asked for once.
    """
    if geometry is not None:
        if _ASKED.get(id(geometry)) is geometry:
            return
        are_radians(geometry)
    angles = np.asarray(angles, dtype=float)
    largest = float(np.abs(angles).max())
    warn_user(
        f'the angles reach {largest:g} radians, '
        f'{largest / (2 * math.pi):.3g} full turns, in round numbers: are '
        'these degrees? Angles are in radians, see `numpy.deg2rad`',
        UserWarning,
    )
