# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the arguments that several actions take."""

import cmath
from numbers import Complex, Real

import numpy as np
import odl

from odl_equivariant._checks import real_number
from odl_equivariant.elements import describe_space

__all__ = ('METHODS', 'check_left', 'checked_number')

METHODS = ('linear', 'cubic', 'fourier')


def checked_number(name, value, space):
    """Return a finite number as a float, or a complex one if it is complex.

    A complex number is a `ValueError` on a real space.
    """
    if not isinstance(value, Complex) or isinstance(value, Real):
        return real_number(name, value)
    if value.imag == 0:
        return real_number(name, value.real)
    if not cmath.isfinite(value):
        raise ValueError(f'`{name}` must be a finite number, got {value}')
    if space.field != odl.ComplexNumbers():
        raise ValueError(
            f'`{name}` must be a real number on the real space '
            f'{describe_space(space)}, got {value}'
        )
    return complex(value)


def check_left(space, matrix, shift, name='matrix'):
    """Raise a ValueError if nothing is left of the image."""
    given = np.asarray(matrix)
    matrix = given * np.eye(space.ndim) if given.ndim == 0 else given
    extent = np.asarray(space.partition.extent, dtype=float)
    sides = np.asarray(space.cell_sides)
    cells = np.abs(matrix) @ extent / sides
    if (cells < 1).any():
        raise ValueError(
            f'`{name}` {given.tolist()} leaves {cells.tolist()} cells of an '
            f'image of {list(space.shape)}: less than one along an axis is '
            f'nothing to see. Take at least {1 / cells.min():.3g} times the '
            f'{name}, or a finer grid'
        )
    reach = (np.abs(matrix) @ extent + extent) / 2
    if (np.abs(shift) >= reach).any():
        raise ValueError(
            f'`shift` {shift.tolist()} moves the image out of the domain, '
            f'whose extent is {extent.tolist()}: take less than '
            f'{reach.tolist()}'
        )
