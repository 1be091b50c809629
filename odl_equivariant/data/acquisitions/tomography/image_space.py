# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Spaces of images, and whether a back-end fits them and the views."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import odl
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant._checks import array_shape, one_of, positive_number
from odl_equivariant._warnings import warn_user
from odl_equivariant.data.acquisitions.base import check_names
from odl_equivariant.data.acquisitions.tomography.geometries import (
    detector_reach,
)
from odl_equivariant.data.acquisitions.tomography.ray_transforms import (
    check_plain,
)
from odl_equivariant.data.units import metres

__all__ = ('check_back_end', 'space_of', 'warn_of_lengths')

_IN_3D = ('astra_cuda', 'volume_matrix')
# Between a detail and its surroundings; units differ by 1000, or by 10.
_LARGEST_RATIO = 30
# No object of this many metres is scanned.
_LARGEST_OBJECT = 20.0


def space_of(space, geometry, dtype, backend):
    """Return the space of the images.

    Parameters
    ----------
    space : odl.DiscretizedSpace, dict or tuple of int
        Space, or a description of it, see `MeasuredCT`.
    geometry : odl.applications.tomo.Geometry
        Views and detector, which say how large the image is if ``space`` does
        not.
    dtype, backend : str or None
        Precision and array back-end. Default: those of ``space``, or
        ``'float32'`` and ``'numpy'``.

    Returns
    -------
    space : odl.DiscretizedSpace
        Real space of the images.

    Raises
    ------
    ValueError
        If the space is complex, has another number of axes than the geometry,
        or its description has unknown or wrong values.
    TypeError
        If a value has another type.
    """
    if isinstance(space, odl.DiscretizedSpace):
        if not space.is_real:
            raise ValueError(
                'attenuation is real, got the space of dtype '
                f'{space.dtype_identifier!r}'
            )
        dtype = dtype or str(space.dtype_identifier)
        backend = backend or space.impl
        check_names(dtype, backend)
        if dtype == str(space.dtype_identifier) and backend == space.impl:
            return space
        return odl.uniform_discr(
            space.min_pt, space.max_pt, space.shape, dtype=dtype, impl=backend
        )
    dtype, backend = dtype or 'float32', backend or 'numpy'
    check_names(dtype, backend)
    ndim = geometry.ndim
    if isinstance(space, Mapping):
        unknown = sorted(set(space) - {'shape', 'cell', 'centre'})
        if unknown or 'shape' not in space:
            raise ValueError(
                'a space has the keys shape, cell and centre, got '
                f'{", ".join(map(str, space))}'
            )
        shape, cell = space['shape'], space.get('cell')
        centre = space.get('centre') or [0.0] * ndim
    else:
        shape, cell, centre = space, None, [0.0] * ndim
    shape = array_shape('space.shape', shape, ndim)
    if cell is None:
        cell = 2 * _seen_radius(geometry) / max(shape)
    cells = np.broadcast_to(np.asarray(cell), (ndim,))
    cells = np.array([positive_number('space.cell', c) for c in cells])
    centre = np.asarray(centre, dtype=float).reshape(ndim)
    half = cells * shape / 2
    return odl.uniform_discr(
        centre - half, centre + half, shape, dtype=dtype, impl=backend
    )


def _seen_radius(geometry):
    """Return the radius of the circle about the axis that views see."""
    edges = detector_reach(geometry)
    full_turn = np.ptp(geometry.angles) > 1.9 * math.pi
    near, far = sorted(abs(edge) for edge in edges)
    both = edges[0] < 0 < edges[1]
    return near if both and near > 0 and not full_turn else far


def warn_of_lengths(space, geometry, unit):
    """Give a warning if lengths of an image or of views are unlikely.

    That is if an image is far from as large as what views see, or if this is
    larger than anything that is scanned.
    """
    seen = 2 * _seen_radius(geometry)
    side = float(max(space.partition.extent[:2]))
    if not side / _LARGEST_RATIO <= seen <= side * _LARGEST_RATIO:
        warn_user(
            f'the longer side of the image is {side:.3g}, and the circle '
            f'that views see has the diameter {seen:.3g}: are the lengths of '
            'the space and of the geometry in the same unit?',
            UserWarning,
        )
    if unit != 'cell' and seen * metres(unit) > _LARGEST_OBJECT:
        warn_user(
            f'the circle that views see has the diameter {seen:.3g} {unit}: '
            'are the lengths of the geometry in another unit? Then name it, '
            "such as `length_unit='mm'`",
            UserWarning,
        )


def check_back_end(geometry, space, impl):
    """Raise an error if a back-end cannot compute, or would do so wrongly."""
    if geometry.ndim != space.ndim:
        raise ValueError(
            f'the geometry is in {geometry.ndim}D, and the space has '
            f'{space.ndim} axes'
        )
    if geometry.ndim == 3 and impl not in _IN_3D:
        raise ValueError(
            f'the back-end {impl!r} computes in 2D, on the CPU; in 3D take '
            "impl='volume_matrix' for a small geometry on the CPU, or "
            "impl='astra_cuda', on a GPU. Or reconstruct "
            'row by row with a geometry in 2D: parallel beams have one for '
            'each row, a cone beam for the row opposite the source only'
        )
    if geometry.ndim == 2 and impl == 'volume_matrix':
        raise ValueError(
            "the back-end 'volume_matrix' computes in 3D; in 2D take "
            "impl='astra_matrix'"
        )
    one_of('impl', impl, RAY_TRAFO_IMPLS)
    if geometry.ndim == 2:
        check_plain(geometry, space, impl)
    if str(space.dtype_identifier) == 'float64' and not impl.startswith(
        ('astra_matrix', 'volume_matrix')
    ):
        raise ValueError(
            f'the back-end {impl!r} is limited to float32; pass '
            "dtype='float32' or impl='astra_matrix'"
        )
