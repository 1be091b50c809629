# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The scan of an object, as the file of a scanner holds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from odl.applications import tomo

from odl_equivariant._checks import one_of, real_number, whole_number
from odl_equivariant._types import Element
from odl_equivariant._warnings import warn_user
from odl_equivariant.data._checks import position
from odl_equivariant.data.acquisitions.sinograms.consistency import (
    IMPOSSIBLE,
    find_wrong_kind,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    ct_geometry,
    describe_geometry,
)
from odl_equivariant.data.acquisitions.tomography.measured import MeasuredCT
from odl_equivariant.data.units import (
    LENGTH_UNITS,
    LengthUnit,
    convert_length,
)
from odl_equivariant.elements import element_from_array

__all__ = ('KINDS', 'TomographyScan')

KINDS = ('counts', 'line integrals')


@dataclasses.dataclass(frozen=True, eq=False)
class TomographyScan:
    """Readings of a scanner, with the geometry they were taken in.

    Parameters
    ----------
    readings : numpy.ndarray
        Readings of shape ``(views, detectors)``, or ``(views, rows,
        columns)`` of a detector with rows.
    geometry : odl.applications.tomo.Geometry or dict
        Views and detector, with lengths in ``length_unit``; a description by
        plain values becomes a geometry of ODL, see `ct_geometry`. ODL's data
        in 3D have the axes ``(views, columns, rows)``.
    kind : {'counts', 'line integrals'}
        Whether the readings are proportional to the photons that arrive, or
        exponents of Beer's law.
    dark, white : numpy.ndarray or float or None, optional
        Readings without rays, and without an object: a number, one for each
        detector element, or a stack of those.
    n_photons : float or None, optional
        Mean number of photons per detector element without an object, if it
        is known.
    length_unit : {'m', 'cm', 'mm', 'um', 'cell'}, optional
        Unit of the geometry's lengths.
    source : str, optional
        Name of the file.
    attributes : dict, optional
        What else the file says, by its own names.

    Raises
    ------
    ValueError
        If the geometry does not fit the shape of the readings, or these are
        not real and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from odl_equivariant.data import TomographyScan
    >>> scan = TomographyScan(
    ...     np.full((60, 56), 0.5),
    ...     {'kind': 'parallel', 'n_detectors': 56, 'detector_width': 2.0,
    ...      'angle_unit': 'degrees',
    ...      'angles': {'first': 0, 'step': 3, 'n': 60}},
    ...     'line integrals', length_unit='mm')
    >>> acquisition = scan.acquisition((32, 32))
    >>> scan.data(acquisition) in acquisition.operator.range
    True
    >>> scan.select_views(slice(None, None, 4)).readings.shape
    (15, 56)
    """

    readings: np.ndarray
    geometry: Any
    kind: Literal['counts', 'line integrals']
    dark: Any = None
    white: Any = None
    n_photons: float | None = None
    length_unit: LengthUnit = 'mm'
    source: str = ''
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that all parts fit each other."""
        one_of('kind', self.kind, KINDS)
        one_of('length_unit', self.length_unit, LENGTH_UNITS)
        where = f'{self.source}: ' if self.source else ''
        readings = np.asarray(self.readings)
        if readings.dtype.kind not in 'fiu':
            raise ValueError(
                f'{where}readings are real numbers, got the dtype '
                f'{readings.dtype}'
            )
        if not isinstance(self.geometry, tomo.Geometry):
            try:
                geometry = ct_geometry(self.geometry, self.length_unit)
            except (TypeError, ValueError) as error:
                raise type(error)(f'{where}{error}') from error
            object.__setattr__(self, 'geometry', geometry)
        expected = tuple(self.geometry.partition.shape)
        axes = '(views, detectors)'
        if len(expected) == 3:
            expected = (expected[0], expected[2], expected[1])
            axes = '(views, rows, columns)'
        if readings.shape != expected:
            turned = readings.shape == expected[::-1]
            raise ValueError(
                f'{where}the geometry has the shape {expected} {axes}, got '
                f'readings of shape {readings.shape}'
                + ('; transpose them' if turned else '')
            )
        n_bad = readings.size - np.count_nonzero(np.isfinite(readings))
        if n_bad:
            raise ValueError(
                f'{where}{n_bad} of {readings.size} readings are infinite or '
                'not a number'
            )
        object.__setattr__(self, 'readings', readings)
        for name in ('dark', 'white'):
            self._check_field(name, where, expected)

    def _check_field(self, name, where, expected):
        field = getattr(self, name)
        if field is None:
            return
        field = np.asarray(field)
        shape = field.shape
        if shape and expected[1:] not in (shape, shape[1:]):
            raise ValueError(
                f'{where}the {name} field has the shape {shape}, expected '
                f'{expected[1:]}, maybe with an axis for repetitions in front'
            )
        if not np.isfinite(field).all():
            raise ValueError(
                f'{where}the {name} field has values that are infinite or '
                'not a number'
            )
        object.__setattr__(self, name, field)

    @property
    def n_views(self) -> int:
        """Number of views."""
        return len(self.readings)

    @property
    def n_rows(self) -> int:
        """Number of rows of the detector."""
        return 1 if self.readings.ndim == 2 else self.readings.shape[1]

    def row(self, index: int | None = None) -> TomographyScan:
        """Return the scan of one row of the detector, in 2D.

        Parameters
        ----------
        index : int, optional
            Number of the row, counted from 0. Default: the row opposite the
            source, or that in the middle.

        Returns
        -------
        scan : TomographyScan
            Scan in 2D: parallel beams, or a fan for a cone.

        Raises
        ------
        IndexError
            If there is no such row.

        Warns
        -----
        UserWarning
            If rays to this row of a cone beam leave their plane by more than
            one row within the field of view.
        """
        if self.readings.ndim == 2:
            position(0 if index is None else index, 1, 'rows')
            return self
        description = self._description()
        height, offset = description['row_height'], description['row_offset']
        n = self.n_rows
        is_cone = description['kind'] == 'cone'
        if index is None:
            middle = (n - 1) / 2 - (offset / height if is_cone else 0)
            index = int(np.clip(math.floor(middle + 0.5), 0, n - 1))
        index = position(index, n, 'rows')
        if is_cone:
            self._check_tilt(description, index)
        flat = {
            key: value
            for key, value in description.items()
            if key not in ('n_rows', 'row_height', 'row_offset')
        }
        flat['kind'] = 'fan' if is_cone else 'parallel'

        def of_row(field):
            return field if np.ndim(field) < 2 else field[..., index, :]

        return dataclasses.replace(
            self,
            readings=self.readings[:, index],
            geometry=ct_geometry(flat, self.length_unit),
            dark=of_row(self.dark),
            white=of_row(self.white),
            attributes={**self.attributes, 'row': index},
        )

    def _check_tilt(self, description, index):
        """Give a warning if the rays of a row leave their plane."""
        place = description['row_offset'] + description['row_height'] * (
            index - (self.n_rows - 1) / 2
        )
        source = description['source_radius']
        length = source + description['detector_radius']
        half = description['n_detectors'] * description['detector_width'] / 2
        radius = source * math.sin(math.atan2(half, length))
        # heights of the ray at both ends of the field of view
        leaves = 2 * radius * abs(place) / length
        height = description['row_height'] * source / length
        if leaves > height:
            warn_user(
                f'{self.source or "scan"}: rays to row {index} of the cone '
                f'beam cross {leaves / height:.1f} rows within the field of '
                'view, and an image of one plane is wrong by that; the row '
                'opposite the source is exact',
                UserWarning,
            )

    def select_views(self, views: slice) -> TomographyScan:
        """Return the scan with some of the views.

        Parameters
        ----------
        views : slice
            Which views, such as ``slice(None, None, 4)`` for each fourth.

        Returns
        -------
        scan : TomographyScan
            Scan with these views only.
        """
        if not isinstance(views, slice):
            raise TypeError(f'`views` must be a slice, got {views!r:.100}')
        order = np.arange(self.n_views)[views]
        if not len(order) or (np.diff(order) < 0).any():
            raise ValueError(
                f'`views` must select some of {self.n_views} views in their '
                f'order, got {views!r}'
            )
        description = self._description()
        angles = np.asarray(self.geometry.angles, dtype=float)
        description['angles'] = angles[order].tolist()
        return dataclasses.replace(
            self,
            readings=self.readings[order],
            geometry=ct_geometry(description, self.length_unit),
        )

    def binned(self, factor: int) -> TomographyScan:
        """Return the scan with means of neighbouring detector columns.

        Parameters
        ----------
        factor : int
            How many columns become one. Columns that are left over at the
            end are cut off. Exponents are means of exponents, and counts are
            means of counts.

        Returns
        -------
        scan : TomographyScan
            Scan with fewer and wider columns.
        """
        factor = whole_number('factor', factor, 1)
        description = self._description()
        n = description['n_detectors']
        kept = n // factor * factor
        if not kept:
            raise ValueError(f'`factor` must be at most {n}, got {factor}')

        def means(field):
            if field is None or np.ndim(field) == 0:
                return field
            cut = np.asarray(field)[..., :kept].astype(float)
            return cut.reshape(*cut.shape[:-1], -1, factor).mean(axis=-1)

        width = description['detector_width']
        description.update(
            n_detectors=n // factor,
            detector_width=width * factor,
            detector_offset=description['detector_offset']
            - (n - kept) * width / 2,
        )
        return dataclasses.replace(
            self,
            readings=means(self.readings),
            geometry=ct_geometry(description, self.length_unit),
            dark=means(self.dark),
            white=means(self.white),
        )

    def with_detector_offset(self, offset: float) -> TomographyScan:
        """Return the scan with another place of the axis of rotation.

        Parameters
        ----------
        offset : float
            How far the middle of the detector is shifted along it, in
            ``length_unit``: minus the place on the detector, from its
            middle, to which the axis is projected.

        Returns
        -------
        scan : TomographyScan
            Scan whose geometry has this offset, instead of its own.
        """
        description = self._description()
        description['detector_offset'] = real_number('offset', offset)
        return dataclasses.replace(
            self, geometry=ct_geometry(description, self.length_unit)
        )

    def in_unit(self, length_unit: LengthUnit) -> TomographyScan:
        """Return the same scan with lengths in another unit.

        Parameters
        ----------
        length_unit : {'m', 'cm', 'mm', 'um'}
            Unit of the lengths.

        Returns
        -------
        scan : TomographyScan
            The same scan.
        """
        convert_length(1.0, self.length_unit, length_unit)
        return dataclasses.replace(
            self,
            geometry=ct_geometry(self._description(), length_unit),
            length_unit=length_unit,
        )

    def acquisition(self, space: Any, **options: Any) -> MeasuredCT:
        """Return the acquisition of this scan.

        Parameters
        ----------
        space : odl.DiscretizedSpace, dict or tuple of int
            Space of the images, their shape, or a dict with ``shape`` and
            ``cell``, see `MeasuredCT`.
        **options
            Further arguments of `MeasuredCT`, such as ``impl``.

        Returns
        -------
        acquisition : MeasuredCT
            Acquisition with the geometry, unit and fields of this scan.
        """
        own = {
            'length_unit': self.length_unit,
            'n_photons': self.n_photons,
            'dark': self._as_data(self.dark),
            'white': self._as_data(self.white),
        }
        return MeasuredCT(self.geometry, space, **{**own, **options})

    def data(self, acquisition: MeasuredCT) -> Element:
        """Return the line integrals of this scan.

        Parameters
        ----------
        acquisition : MeasuredCT
            Acquisition with the same views and detector, see `acquisition`.

        Returns
        -------
        data : element of ``acquisition.operator.range``
            Exponents of Beer's law.

        Raises
        ------
        ValueError
            If the acquisition has another shape, or there is no white field
            for counts. If ``kind`` is ``'line integrals'``, and readings are
            negated, counts or transposed.
        """
        space = acquisition.operator.range
        readings = self._as_data(self.readings)
        if readings.shape != tuple(space.shape):
            raise ValueError(
                f'{self.source or "the scan"} has data of shape '
                f'{readings.shape}, the acquisition of {tuple(space.shape)}: '
                'make it by `scan.acquisition`'
            )
        if self.kind == 'counts':
            return acquisition.line_integrals(
                readings, self._as_data(self.dark), self._as_data(self.white)
            )
        array = np.asarray(readings, dtype=float)
        if array.ndim == 3:
            array = array[:, :, array.shape[2] // 2]
        found = find_wrong_kind(array)
        if found.cause in IMPOSSIBLE:
            where = f'{self.source}: ' if self.source else ''
            raise ValueError(f'{where}{found}')
        return element_from_array(readings, space)

    def _as_data(self, field):
        """Return a field with the axes of ODL's data."""
        if self.readings.ndim == 2 or field is None or np.ndim(field) < 2:
            return field
        return np.swapaxes(field, -1, -2)

    def _description(self):
        description = describe_geometry(self.geometry, self.length_unit)
        if description is None:
            raise ValueError(
                f'{self.source or "the scan"}: the geometry has shifts, tilts '
                'or unequal elements, and cannot be changed here'
            )
        return description
