# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the parameters of functionals."""

import math
import operator

import numpy as np

__all__ = ('positive_integer', 'positive_number')


def positive_number(value, what):
    """Return a positive number as a Python float, or raise ValueError."""
    if np.ndim(value) != 0:
        raise ValueError(
            f'{what} must be one positive number, got an array of shape '
            f'{np.shape(value)}'
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (0 < number < math.inf):
        raise ValueError(f'{what} must be a positive number, got {value!r}')
    return number


def positive_integer(value, what):
    """Return a positive integer as a Python int, or raise ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(
            f'expected {what} to be a positive integer, got {value!r}'
        )
    return number
