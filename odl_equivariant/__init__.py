# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Equivariant neural networks for inverse problems, as part of ODL.

Importing the package makes the ray transform back-end ``'astra_matrix'``
known to ODL. The sub-packages are loaded when they are first used.
"""

import importlib

from odl_equivariant.operators.ray.registration import register

__version__ = '0.2.0'

__all__ = (
    'actions',
    'data',
    'diagnostics',
    'elements',
    'functionals',
    'inner_products',
    'models',
    'nn',
    'operators',
    'plotting',
    'solvers',
    'testing',
    'training',
    'uncertainty',
)

register()
del register


def __getattr__(name):
    """Import a sub-package when it is first asked for."""
    if name in __all__:
        return importlib.import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__():
    """Return the names of the module, the sub-packages included."""
    return sorted({*globals(), *__all__})
