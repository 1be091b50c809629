# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Pickles of ODL's ray transforms, for other processes.

ODL keeps functions without a name in fan-beam geometries, and the adjoint of
a ray transform, once it was asked for, is of a class without a name; neither
can be pickled. `copyreg` says what to pickle instead.
"""

import copyreg

import numpy as np
from odl.applications.tomo import FanBeamGeometry, RayTransform

__all__ = ('register_pickles',)

_SHIFTS = (
    '_FanBeamGeometry__src_shift_func',
    '_FanBeamGeometry__det_shift_func',
)
_NO_SHIFT = 'FanBeamGeometry.__init__.<locals>.<lambda>'


def _no_shift(angle):
    """Return the shift of source and detector that ODL takes by default."""
    return np.array([0.0, 0.0], dtype=float, ndmin=2)


def _reduced(obj, replaced):
    function, arguments, state, *_ = object.__reduce_ex__(obj, 4)
    return function, arguments, {**state, **replaced}


def _reduce_fan(geometry):
    functions = {name: getattr(geometry, name) for name in _SHIFTS}
    return _reduced(
        geometry,
        {
            name: _no_shift
            for name, function in functions.items()
            if getattr(function, '__qualname__', None) == _NO_SHIFT
        },
    )


def _reduce_ray_transform(operator):
    # it is made anew when it is asked for
    return _reduced(operator, {'_adjoint': None})


def register_pickles():
    """Make ray transforms and fan-beam geometries fit for `pickle`."""
    copyreg.pickle(FanBeamGeometry, _reduce_fan)
    copyreg.pickle(RayTransform, _reduce_ray_transform)
