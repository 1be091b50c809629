# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the arguments that several actions take."""

from numbers import Number, Real

import numpy as np

from odl_equivariant.actions.action import describe_space

__all__ = ('METHODS', 'check_method', 'check_fill')

METHODS = ('linear', 'cubic', 'fourier')


def check_method(method, known=METHODS, optional=True):
    """Raise a `ValueError` if ``method`` is not a known one."""
    if method in known or (optional and method is None):
        return
    message = f'expected the method {", ".join(map(repr, known))}'
    if optional:
        message += ' or, for what is exact on the grid, None'
    raise ValueError(f'{message}, got {method!r}')


def check_fill(fill, space):
    """Raise an error if ``fill`` is not a finite number of a space."""
    if not isinstance(fill, Number):
        raise TypeError(
            'expected a number to fill the outside with, got '
            f'{type(fill).__name__}'
        )
    if not np.isfinite(fill):
        raise ValueError(
            f'expected a finite number to fill the outside with, got {fill}'
        )
    if not isinstance(fill, Real) and not space.is_complex:
        raise ValueError(
            'expected a real number to fill the outside of the real space '
            f'{describe_space(space)} with, got {fill}'
        )
