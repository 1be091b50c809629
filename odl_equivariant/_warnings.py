# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Warnings about what users pass in, which point at their code."""

import contextvars
import functools
import os
import sys
import warnings

import odl

__all__ = ('is_probing', 'probing', 'warn_user')

# Operators and solvers call each other through both packages.
_PACKAGES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (__file__, odl.__file__)
)

_IS_PROBING = contextvars.ContextVar('is_probing', default=False)


def is_probing():
    """Return whether operators are applied to elements drawn at random."""
    return _IS_PROBING.get()


def probing(function):
    """Decorate what applies operators to random elements, to measure them.

    Nobody is told then that these are no images.
    """

    @functools.wraps(function)
    def probe(*args, **kwargs):
        token = _IS_PROBING.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _IS_PROBING.reset(token)

    return probe


def warn_user(message, category=UserWarning):
    """Warn with the line outside of this package and ODL that led here.

    Parameters
    ----------
    message : str
        What is the matter, with numbers, and what to do.
    category : type, optional
        Class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(
        _PACKAGES
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
