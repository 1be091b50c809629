# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Registers ray transforms with ODL, batched maps and pickle.

ODL stores anonymous functions in geometries of fan and cone beams, and makes
a local class for the adjoint of each ray transform. `pickle` finds neither in
another process. `copyreg`, and for adjoints a method of their class, tell it
what to use instead. What ODL alone can pickle has the same pickle as before.
"""

import copyreg

import numpy as np
from odl.applications.tomo import (
    ConeBeamGeometry,
    FanBeamGeometry,
    RayTransform,
)
from odl.applications.tomo.backends.astra_cuda import AstraCudaImpl
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.ray.astra_cuda import CudaRays
from odl_equivariant.operators.ray.astra_matrix import (
    AstraMatrixImpl,
    AstraMatrixLinearImpl,
    AstraMatrixLineImpl,
    AstraMatrixStripImpl,
)
from odl_equivariant.operators.ray.cone.backend import VolumeMatrixImpl

__all__ = ('register',)

_SHIFTS = ('src_shift_func', 'det_shift_func')
_NO_SHIFT = '.__init__.<locals>.<lambda>'


def _no_shift(angle):
    """Return the shift of source and detector that ODL takes by default."""
    return np.array([0.0, 0.0], dtype=float, ndmin=2)


def _no_shift_of_cone(angle):
    """Return the same for a cone beam."""
    return np.array([0.0, 0.0, 0.0], dtype=float, ndmin=2)


def _reduced(obj, replaced):
    function, arguments, state, *_ = object.__reduce_ex__(obj, 4)
    return function, arguments, {**state, **replaced}


def _reduce_fan(geometry):
    return _without_lambdas(geometry, FanBeamGeometry, _no_shift)


def _reduce_cone(geometry):
    return _without_lambdas(geometry, ConeBeamGeometry, _no_shift_of_cone)


def _without_lambdas(geometry, kind, no_shift):
    # as the class that defines them names them
    name = kind.__name__
    functions = {
        f'_{name}__{shift}': getattr(geometry, f'_{name}__{shift}')
        for shift in _SHIFTS
    }
    return _reduced(
        geometry,
        {
            attribute: no_shift
            for attribute, function in functions.items()
            if getattr(function, '__qualname__', None) == name + _NO_SHIFT
        },
    )


def _reduce_ray_transform(operator):
    # it is made anew when it is asked for
    return _reduced(operator, {'_adjoint': None})


def _adjoint(operator):
    return operator.adjoint


def _reduce_back_projection(operator):
    return _adjoint, (operator.adjoint,)


_odl_adjoint = RayTransform.adjoint


def _adjoint_for_pickle(operator):
    """Return ODL's own adjoint in a class that can be pickled."""
    adjoint = _odl_adjoint.fget(operator)
    # kept by the class, which goes with the ray transform, and not in
    # `copyreg`, which would keep both for ever
    type(adjoint).__reduce__ = _reduce_back_projection
    return adjoint


def _register_pickles():
    """Let `pickle` take ray transforms, their adjoints, and beams."""
    copyreg.pickle(FanBeamGeometry, _reduce_fan)
    copyreg.pickle(ConeBeamGeometry, _reduce_cone)
    copyreg.pickle(RayTransform, _reduce_ray_transform)
    RayTransform.adjoint = property(
        _adjoint_for_pickle, doc=_odl_adjoint.__doc__
    )


def register():
    """Make our back-ends known to `odl.applications.tomo`.

    If a script names no back-end, ODL takes the last one of its registry. Ours
    come first, so that such a script computes the same as before. This
    function also lets `pickle` take ray transforms.
    """
    for implementation in (
        AstraMatrixImpl,
        AstraMatrixLineImpl,
        AstraMatrixStripImpl,
        AstraMatrixLinearImpl,
    ):
        model = implementation.model
        name = 'astra_matrix' if model is None else f'astra_matrix_{model}'
        RAY_TRAFO_IMPLS[name] = implementation
        RAY_TRAFO_IMPLS.move_to_end(name, last=False)
    RAY_TRAFO_IMPLS['volume_matrix'] = VolumeMatrixImpl
    RAY_TRAFO_IMPLS.move_to_end('volume_matrix', last=False)
    _register_pickles()


@register_batched(RayTransform)
def _ray_transform(operator):
    implementation = operator.get_impl(operator.use_cache)
    if isinstance(implementation, AstraCudaImpl):
        if not all(isinstance(w.weights(), float) for w in layouts(operator)):
            return None
        rays = CudaRays(operator)
        return rays.apply, rays.transpose
    if not isinstance(implementation, AstraMatrixImpl):
        return None
    return implementation.forward, implementation.transpose
