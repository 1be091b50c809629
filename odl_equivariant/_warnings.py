# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Warnings that point at the code of the user."""

import os
import sys
import warnings

import odl

__all__ = ('warn_user',)

# Operators and solvers call each other through both packages.
_PACKAGES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (__file__, odl.__file__)
)


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
