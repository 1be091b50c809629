# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ray transforms, and which back-ends compute them as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from odl.applications import tomo

import odl_equivariant.operators  # noqa: F401  (registers 'astra_matrix')
from odl_equivariant._types import RayTransform
from odl_equivariant._warnings import quiet
from odl_equivariant.actions._rays import detector_offset
from odl_equivariant.operators.ray.geometry import full_cells, has_square_cells

__all__ = ('check_plain', 'is_plain', 'ray_transform')


def is_plain(geometry: Any) -> bool:
    """Return whether ODL's own back-ends take a geometry as it is.

    They centre the detector of parallel beams, and take one that is curved
    for a flat one.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Views and detector.

    Returns
    -------
    plain : bool
        False for a detector that is curved, or off the middle.
    """
    if isinstance(geometry, tomo.FanBeamGeometry):
        return not hasattr(geometry.detector, 'radius')
    if not isinstance(geometry, tomo.Parallel2dGeometry):
        return True
    low, high = (float(end[0]) for end in full_cells(geometry.det_partition))
    middle = detector_offset(geometry) + (low + high) / 2
    tolerance = 1e-6 * (high - low)
    return abs(middle) < tolerance and not np.any(geometry.translation)


def check_plain(geometry: Any, space: Any, impl: str) -> None:
    """Raise an error where a back-end in 2D would compute something else.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Views and detector.
    space : odl.DiscretizedSpace
        Space of the images.
    impl : str
        Name of the back-end.

    Raises
    ------
    ValueError
        If the back-end would change the detector or the cells.
    """
    if not impl.startswith('astra_matrix') and not is_plain(geometry):
        raise ValueError(
            f'the back-end {impl!r} takes a shifted detector of parallel '
            'beams for a centred one, and a curved detector for a flat one; '
            "take impl='astra_matrix'"
        )
    if not impl.startswith('astra_matrix') and not has_square_cells(
        space.partition
    ):
        raise ValueError(
            f'the back-end {impl!r} takes square cells only, got cells of '
            f'{" x ".join(f"{side:g}" for side in space.cell_sides)}; take '
            "impl='astra_matrix'"
        )


def ray_transform(space: Any, geometry: Any, impl: str) -> RayTransform:
    """Return a ray transform that has found its back-end.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Space of the images.
    geometry : odl.applications.tomo.Geometry
        Views and detector.
    impl : str
        Name of the back-end.

    Returns
    -------
    operator : odl.applications.tomo.RayTransform
        Ray transform from the images to the data.
    """
    operator = tomo.RayTransform(space, geometry, impl=impl)
    if impl == 'astra_cpu':
        # On large grids, ODL recommends a GPU, which may be missing.
        with quiet(".*'astra_cpu' backend", category=RuntimeWarning):
            operator.get_impl(impl)
    return operator
