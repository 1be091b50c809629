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

import odl

from odl_equivariant._checks import real_number
from odl_equivariant.elements import describe_space

__all__ = ('METHODS', 'checked_number')

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
