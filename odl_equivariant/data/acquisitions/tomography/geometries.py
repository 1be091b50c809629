# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Geometries of scanners, described by plain values as in YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import odl
from odl.applications import tomo

from odl_equivariant._checks import (
    one_of,
    positive_number,
    real_number,
    whole_number,
)
from odl_equivariant.actions._rays import detector_offset
from odl_equivariant.data.acquisitions.tomography.angles import (
    checked_angles,
    partition_of_angles,
    seem_degrees,
)
from odl_equivariant.data.units import (
    LENGTH_UNITS,
    LengthUnit,
    convert_length,
)
from odl_equivariant.operators.ray.fan_rays import FanRays
from odl_equivariant.operators.ray.geometry import full_cells

__all__ = (
    'ct_geometry',
    'describe_geometry',
    'detector_reach',
    'normalised_description',
)

_COMMON = {
    'kind': True,
    'angles': True,
    'angle_unit': False,
    'n_detectors': True,
    'detector_width': True,
    'detector_offset': False,
    'unit': False,
}
_RADII = {'source_radius': True, 'detector_radius': True}
_ROWS = {'n_rows': True, 'row_height': True, 'row_offset': False}
# the keys of each kind, and whether they are necessary
KEYS = {
    'parallel': _COMMON,
    'fan': {**_COMMON, **_RADII, 'curvature_radius': False},
    'parallel3d': {**_COMMON, **_ROWS},
    'cone': {**_COMMON, **_RADII, **_ROWS},
}
_LENGTHS = (
    'detector_width',
    'detector_offset',
    'source_radius',
    'detector_radius',
    'curvature_radius',
    'row_height',
    'row_offset',
)
_SAME = 1e-9


def ct_geometry(
    description: Mapping[str, Any], length_unit: LengthUnit | None = None
) -> tomo.Geometry:
    """Return the geometry of a scanner that plain values describe.

    Parameters
    ----------
    description : dict
        Values by name; lengths are in ``unit``.

        - ``kind``: ``'parallel'``, ``'fan'``, ``'parallel3d'`` or
          ``'cone'``;
        - ``angles``: increasing numbers, or a dict with ``first``, ``step``
          and ``n``;
        - ``angle_unit``: ``'radians'`` (default) or ``'degrees'``;
        - ``n_detectors``: number of elements of a detector row;
        - ``detector_width``: width of one element, on a curved detector
          along the arc;
        - ``detector_offset``: how far the middle of the detector is shifted
          along it, default 0. Without a shift, the axis of rotation is
          projected to the middle;
        - ``source_radius``, ``detector_radius``: distances from the axis of
          rotation to the source and to the detector (fan and cone);
        - ``curvature_radius``: radius of a curved detector (fan), which is
          the sum of the two distances if the source is its centre;
        - ``n_rows``, ``row_height``, ``row_offset``: rows of the detector,
          as for its elements (parallel3d and cone);
        - ``unit``: unit of all lengths, default ``length_unit``.
    length_unit : {'m', 'cm', 'mm', 'um', 'cell'}, optional
        Unit of the lengths of the result. Default: that of the description.

    Returns
    -------
    geometry : odl.applications.tomo.Geometry
        With angle 0, rays run along +y, and the elements of the detector are
        counted along +x. Views turn counter-clockwise. In 3D, the axis of
        rotation is z. Data have the shape ``(views, elements)``, in 3D
        ``(views, elements, rows)``, as in ODL.

    Raises
    ------
    ValueError
        If a value is missing, unknown, or out of range, or if angles do not
        increase, or look like degrees and no ``angle_unit`` says that they
        are not.
    TypeError
        If a value has another type.

    Examples
    --------
    >>> geometry = ct_geometry({
    ...     'kind': 'fan', 'unit': 'mm', 'source_radius': 410.66,
    ...     'detector_radius': 143.08, 'n_detectors': 560,
    ...     'detector_width': 0.2, 'angle_unit': 'degrees',
    ...     'angles': {'first': 0, 'step': 0.5, 'n': 181}})
    >>> geometry.partition.shape
    (181, 560)
    """
    values = normalised_description(description, length_unit)
    kind = values['kind']
    angles = partition_of_angles(_angles(values['angles']))
    detector = _detector(
        values['n_detectors'],
        values['detector_width'],
        values['detector_offset'],
    )
    if kind in ('parallel3d', 'cone'):
        rows = _detector(
            values['n_rows'], values['row_height'], values['row_offset']
        )
        detector = detector.append(rows)
    if kind == 'parallel':
        return tomo.Parallel2dGeometry(angles, detector)
    if kind == 'parallel3d':
        return tomo.Parallel3dAxisGeometry(angles, detector)
    radii = values['source_radius'], values['detector_radius']
    if kind == 'cone':
        return tomo.ConeBeamGeometry(angles, detector, *radii)
    curvature = values.get('curvature_radius')
    if curvature is not None:
        detector = _detector(
            values['n_detectors'],
            values['detector_width'] / curvature,
            values['detector_offset'] / curvature,
        )
    return tomo.FanBeamGeometry(
        angles, detector, *radii, det_curvature_radius=curvature
    )


def normalised_description(
    description: Mapping[str, Any], length_unit: LengthUnit | None = None
) -> dict[str, Any]:
    """Return a checked description in radians and one unit of length.

    Parameters
    ----------
    description, length_unit
        As for `ct_geometry`.

    Returns
    -------
    description : dict
        Description of the same geometry, which is its own normal form. All
        values are plain numbers, texts and lists.
    """
    if not isinstance(description, Mapping):
        raise TypeError(
            'a geometry is one of ODL, or a dict of plain values, see '
            f'`ct_geometry`; got {type(description).__name__}'
        )
    given = {str(k): v for k, v in description.items() if v is not None}
    if 'kind' not in given:
        raise ValueError(
            f'the geometry lacks `kind`, one of {", ".join(KEYS)}; got the '
            f'keys {", ".join(given) or "none"}'
        )
    kind = one_of('geometry.kind', given['kind'], KEYS)
    keys = KEYS[kind]
    unknown = sorted(set(given) - set(keys))
    missing = [k for k, needed in keys.items() if needed and k not in given]
    if unknown or missing:
        raise ValueError(
            f'a geometry of the kind {kind!r} '
            + (f'needs {", ".join(missing)}' if missing else '')
            + (' and ' if missing and unknown else '')
            + (f'does not know {", ".join(unknown)}' if unknown else '')
            + f'; its keys are {", ".join(keys)}'
        )
    if length_unit is not None:
        one_of('length_unit', length_unit, LENGTH_UNITS)
    unit = one_of(
        'geometry.unit', given.get('unit', length_unit or 'm'), LENGTH_UNITS
    )
    result = {'kind': kind, 'angles': _radians(given), 'angle_unit': 'radians'}
    result['n_detectors'] = whole_number(
        'geometry.n_detectors', given['n_detectors'], 1
    )
    if 'n_rows' in keys:
        result['n_rows'] = whole_number('geometry.n_rows', given['n_rows'], 1)
    for name in _LENGTHS:
        if name not in keys:
            continue
        if name.endswith('offset'):
            value = real_number(f'geometry.{name}', given.get(name, 0.0))
        elif name not in given:
            continue
        elif name == 'detector_radius':
            # a detector may stand on the axis, as in a virtual one
            value = real_number(f'geometry.{name}', given[name], 0)
        else:
            value = positive_number(f'geometry.{name}', given[name])
        result[name] = convert_length(value, unit, length_unit or unit)
    result['unit'] = length_unit or unit
    return result


def _radians(given):
    """Return the angles of a description in radians, in their form."""
    angles = given['angles']
    stated = given.get('angle_unit')
    unit = one_of(
        'geometry.angle_unit', stated or 'radians', ('radians', 'degrees')
    )
    factor = math.pi / 180 if unit == 'degrees' else 1.0
    array = _angles(angles)
    if stated is None and seem_degrees(array):
        raise ValueError(
            f'`geometry.angles` reach {np.abs(array).max():g} radians, '
            f'{np.ptp(array) / (2 * math.pi):.3g} full turns, in round '
            "numbers: set `angle_unit: degrees`, or 'radians' if that is "
            'what they are'
        )
    if isinstance(angles, Mapping):
        return {
            'first': float(angles['first']) * factor,
            'step': float(angles['step']) * factor,
            'n': int(angles['n']),
        }
    return [float(angle) * factor for angle in array]


def _angles(angles):
    """Return angles as an increasing array, in the unit that they have."""
    if isinstance(angles, Mapping):
        if set(angles) != {'first', 'step', 'n'}:
            raise ValueError(
                '`geometry.angles` are a list of numbers, or have the keys '
                f'first, step and n; got {", ".join(map(str, angles))}'
            )
        n = whole_number('geometry.angles.n', angles['n'], 1)
        first = real_number('geometry.angles.first', angles['first'])
        step = real_number('geometry.angles.step', angles['step'])
        if step < 0:
            raise ValueError(
                f'`geometry.angles.step` must be positive, got {step:g}. Of '
                'views that turn the other way, the last one is the first: '
                f'reverse them, `data[::-1]`, and take first='
                f'{first + step * (n - 1):g} and step={-step:g}'
            )
        positive_number('geometry.angles.step', step)
        return first + step * np.arange(n)
    array = np.asarray(angles)
    if array.dtype.kind not in 'fiu' or array.ndim != 1 or not array.size:
        raise TypeError(
            '`geometry.angles` must be a list of numbers, or first, step and '
            f'n, got {angles!r:.100}'
        )
    return checked_angles(array)


def _detector(n, width, offset):
    half = n * width / 2
    return odl.uniform_partition(offset - half, offset + half, n)


def describe_geometry(
    geometry: tomo.Geometry, unit: LengthUnit
) -> dict[str, Any] | None:
    """Return a geometry as plain values, if these say all of it.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry with lengths in ``unit``.
    unit : {'m', 'cm', 'mm', 'um', 'cell'}
        Unit of its lengths.

    Returns
    -------
    description : dict or None
        What `ct_geometry` makes the same geometry of, to rounding; ``None``
        if it has shifts, tilts, another axis or unequal elements.
    """
    kinds = {
        tomo.Parallel2dGeometry: 'parallel',
        tomo.FanBeamGeometry: 'fan',
        tomo.Parallel3dAxisGeometry: 'parallel3d',
        tomo.ConeBeamGeometry: 'cone',
    }
    kind = kinds.get(type(geometry))
    partition = geometry.det_partition
    if kind is None or not partition.is_uniform:
        return None
    angles = np.asarray(geometry.angles, dtype=float).ravel()
    if (np.diff(angles) <= 0).any():
        return None
    values: dict[str, Any] = {
        'kind': kind,
        'angles': angles.tolist(),
        'unit': unit,
    }
    values['angle_unit'] = 'radians'
    scale = 1.0
    if kind in ('fan', 'cone'):
        values['source_radius'] = float(geometry.src_radius)
        values['detector_radius'] = float(geometry.det_radius)
    if kind == 'fan' and hasattr(geometry.detector, 'radius'):
        scale = values['curvature_radius'] = float(geometry.detector.radius)
    names = [('n_detectors', 'detector_width', 'detector_offset')]
    if kind in ('parallel3d', 'cone'):
        names.append(('n_rows', 'row_height', 'row_offset'))
    for axis, (number, width, offset) in enumerate(names):
        low = float(partition.min_pt[axis])
        high = float(partition.max_pt[axis])
        n = int(partition.shape[axis])
        values[number] = n
        values[width] = scale * (high - low) / n
        values[offset] = scale * (low + high) / 2
    try:
        values = normalised_description(values)
        same = _are_equal(ct_geometry(values), geometry)
    except (TypeError, ValueError):
        return None
    return values if same else None


def _are_equal(one, other):
    """Return whether two geometries have the same views and rays."""
    for name in ('min_pt', 'max_pt'):
        ends = [np.asarray(getattr(g.partition, name)) for g in (one, other)]
        if not np.allclose(*ends, rtol=_SAME, atol=1e-12):
            return False
    # a few views, and the corners of the detector; each geometry at its own,
    # as those of the other one are outside of it by rounding
    views = [np.asarray(g.angles, dtype=float).ravel() for g in (one, other)]
    if len(views[0]) != len(views[1]):
        return False
    for i in range(0, len(views[0]), max(1, len(views[0]) // 7)):
        for end in ('min_pt', 'max_pt'):
            points = [
                _line(g, angles[i], getattr(g.det_partition, end))
                for g, angles in zip((one, other), views, strict=True)
            ]
            size = np.abs(points[1]).max() + np.abs(points[1][0]).max()
            if not np.allclose(*points, rtol=0, atol=1e-9 * size):
                return False
    return True


def _line(geometry, angle, corner):
    """Return a point of the detector, and the vector from it to the source."""
    place = corner if len(corner) > 1 else corner[0]
    options = {'normalized': False} if hasattr(geometry, 'src_radius') else {}
    return (
        np.ravel(geometry.det_point_position(angle, place)),
        np.ravel(geometry.det_to_src(angle, place, **options)),
    )


def detector_reach(geometry: tomo.Geometry) -> tuple[float, float]:
    """Return where the outermost rays pass the axis of rotation.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Parallel, fan or cone beams; in 3D, the plane of the source counts.

    Returns
    -------
    low, high : float
        Signed distances from the axis, along the first axis of the detector,
        that all views reach.
    """
    partition = geometry.det_partition
    low, high = (float(end[0]) for end in full_cells(partition))
    if isinstance(geometry, tomo.Parallel2dGeometry):
        offset = detector_offset(geometry)
        return low + offset, high + offset
    if isinstance(geometry, tomo.FanBeamGeometry):
        rays = FanRays.of_geometry(geometry)
        radius = float(rays.radii.min())
        ends = sorted(radius * math.sin(edge) for edge in rays.edges)
        return ends[0], ends[1]
    if isinstance(geometry, tomo.ConeBeamGeometry):
        radius = float(geometry.src_radius)
        length = radius + float(geometry.det_radius)
        low, high = (
            radius * math.sin(math.atan2(end, length)) for end in (low, high)
        )
    return low, high
