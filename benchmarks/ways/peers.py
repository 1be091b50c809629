# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Packages that do the same, where they are installed."""

import functools
import importlib.util
import sys

__all__ = ('deepinv_if_there',)


@functools.cache
def deepinv_if_there():
    """Return the package deepinv, or nothing; say why it is left out."""
    if importlib.util.find_spec('deepinv') is None:
        return None
    # torchvision, which it needs, may not fit the torch that is installed
    try:
        import deepinv
    except (ImportError, RuntimeError) as error:
        print(f'deepinv is left out: {error}', file=sys.stderr)
        return None
    return deepinv
