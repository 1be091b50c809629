# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Where the axis of rotation is projected to, in a geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from odl_equivariant.data.acquisitions.sinograms.consistency import (
    shift_by_moments,
)
from odl_equivariant.data.acquisitions.sinograms.rotation_axis import (
    RotatedRays,
    offset_by_opposite_rays,
)
from odl_equivariant.data.acquisitions.sinograms.truncation import (
    find_truncation,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    detector_reach,
)

__all__ = ('offset_of_axis',)

# An axis that is less certain, in detector elements, is none.
_MOST_UNCERTAIN = 2.0


def offset_of_axis(
    geometry: Any,
    values: dict[str, Any],
    array: np.ndarray,
    reach: float | None,
) -> float:
    """Return the offset of the detector that fits the data.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Views and detector.
    values : dict
        The same as a description in its normal form, with a flat detector.
    array : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.
    reach : float or None
        How far to search to both sides of the present offset, in the unit of
        the geometry. ``None`` for a quarter of the detector.

    Returns
    -------
    offset : float
        Offset of the detector, in the unit of the geometry.

    Raises
    ------
    ValueError
        If the data do not tell it, see `MeasuredCT.find_axis`.
    """
    width = values['detector_width']
    radii = None
    if 'source_radius' in values:
        radii = tuple(
            values[name] / width
            for name in ('source_radius', 'detector_radius')
        )
    rays = RotatedRays(geometry.angles, array.shape[1], radii)
    start = values['detector_offset'] / width
    if reach is None:
        reach = array.shape[1] / 4
    else:
        reach = reach / width
    found = offset_by_opposite_rays(array, rays, start, reach)
    if found is not None:
        return float(found) * width
    reason = 'the detector cuts the object'
    if not find_truncation(array, detector_reach(geometry), False):
        reason = 'there are too few views'
        by_moments = shift_by_moments(values, array, reach * width)
        if by_moments is not None:
            shift, uncertainty = by_moments
            if uncertainty <= _MOST_UNCERTAIN * width:
                return values['detector_offset'] + shift
            reason = (
                f'moments leave it uncertain by {uncertainty / width:.2g} '
                'detector elements'
            )
    raise ValueError(
        'too few lines are seen from both sides, which needs views half a '
        f'turn apart, to find the axis, and {reason}; compare images for '
        'several offsets, see `with_detector_offset`'
    )
