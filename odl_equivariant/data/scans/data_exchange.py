# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scans in files of the Data Exchange format, as synchrotrons write them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from odl_equivariant._checks import one_of
from odl_equivariant._packages import import_package
from odl_equivariant.data.acquisitions.tomography.angles import seem_degrees
from odl_equivariant.data.scans.fields import Fields, sorted_views
from odl_equivariant.data.scans.scan import TomographyScan
from odl_equivariant.data.slices.hdf5 import own_dataset
from odl_equivariant.data.slices.index import NoImage
from odl_equivariant.data.units import LENGTH_UNITS, LengthUnit

__all__ = ('read_data_exchange',)

_NAMES = {
    'data': 'exchange/data',
    'data_dark': 'exchange/data_dark',
    'data_white': 'exchange/data_white',
    'theta': 'exchange/theta',
}
_PIXEL_SIZES = (
    'measurement/instrument/detector/pixel_size_x',
    'measurement/instrument/detector/x_pixel_size',
)
_ANGLES = {
    'degrees': 'degrees',
    'degree': 'degrees',
    'deg': 'degrees',
    'radians': 'radians',
    'radian': 'radians',
    'rad': 'radians',
}
_LENGTHS = {
    **{unit: unit for unit in LENGTH_UNITS},
    'micron': 'um',
    'microns': 'um',
    'micrometer': 'um',
    'millimeter': 'mm',
    'meter': 'm',
}
_LENGTHS['\N{MICRO SIGN}m'] = 'um'


def read_data_exchange(
    path: pathlib.Path,
    pixel_size: float | None = None,
    length_unit: LengthUnit | None = None,
    detector_offset: float = 0.0,
    rows: int | None = None,
) -> TomographyScan:
    """Return the scan in an HDF5 file of Data Exchange.

    Parameters
    ----------
    path : pathlib.Path
        File with the datasets ``exchange/data`` of shape ``(views, rows,
        columns)`` and ``exchange/theta``. With ``data_white``, and maybe
        ``data_dark``, the readings are counts, else line integrals.
    pixel_size : float, optional
        Width and height of a detector element at the object. Default: that
        of ``measurement/instrument/detector``, or 1, in cells.
    length_unit : {'m', 'cm', 'mm', 'um', 'cell'}, optional
        Unit of lengths. Default: that of the file, or ``'cell'``.
    detector_offset : float, optional
        How far the middle of the detector is shifted along its columns. The
        format does not say where the axis of rotation is.
    rows : int, optional
        Read this row only, counted from 0. Default: all.

    Returns
    -------
    scan : TomographyScan
        Counts of parallel beams.

    Raises
    ------
    ValueError
        If a group or dataset is missing, lies in another file, has another
        shape, or the file ends early.

    Notes
    -----
    The format: De Carlo et al., *Scientific data exchange: a schema for
    HDF5-based storage of raw and analyzed data*, J. Synchrotron Rad. 21
    (2014), 1224-1230.
    """
    h5py = import_package('h5py', 'a file of Data Exchange')
    try:
        with h5py.File(path, 'r') as file:
            values, attributes = _values(path, file, rows)
    except (
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        UnicodeError,
    ) as error:
        raise ValueError(
            f'{path} cannot be read as HDF5; is it complete? {error}'
        ) from error
    fields = Fields(path, values, 'exchange/')
    readings = fields.array('data', 3)
    n_views, n_rows, n_columns = readings.shape
    angles = fields.array('theta', 1)
    if len(angles) != n_views:
        raise fields.error(
            'theta',
            f'has {len(angles)} angles, but `exchange/data` has {n_views} '
            'views',
        )
    unit = attributes['theta'].get('units')
    if unit is None:
        unit = 'degrees' if seem_degrees(np.sort(angles)) else 'radians'
        if unit == 'radians' and np.ptp(angles) > 2 * np.pi:
            raise fields.error(
                'theta', 'has no attribute `units`, and is above 2 pi'
            )
    elif unit not in _ANGLES:
        raise fields.error(
            'theta', f'has the units {unit!r}, expected degrees or radians'
        )
    angles, readings = sorted_views(path, angles, readings)
    for name in ('data_dark', 'data_white'):
        if name in fields:
            field = fields.array(name, (2, 3))
            if field.shape[-2:] != (n_rows, n_columns):
                raise fields.error(
                    name,
                    f'has the shape {field.shape}, but `exchange/data` '
                    f'{readings.shape}',
                )
    size, own_unit = values['pixel_size']
    if pixel_size is None:
        if length_unit not in (None, own_unit):
            raise ValueError(
                f'{path}: lengths are in {own_unit!r}, got `length_unit='
                f'{length_unit!r}`: pass `pixel_size` in this unit, too'
            )
        pixel_size, length_unit = size, own_unit
    one_of('length_unit', length_unit, LENGTH_UNITS)
    is_counts = 'data_white' in fields
    if not is_counts and 'data_dark' in fields:
        raise fields.error('data_white', 'is missing beside the dark field')
    return TomographyScan(
        readings=readings,
        geometry={
            'kind': 'parallel3d',
            'unit': length_unit,
            'angles': angles,
            'angle_unit': _ANGLES.get(unit, unit),
            'n_detectors': n_columns,
            'detector_width': pixel_size,
            'detector_offset': detector_offset,
            'n_rows': n_rows,
            'row_height': pixel_size,
        },
        kind='counts' if is_counts else 'line integrals',
        dark=values.get('data_dark'),
        white=values.get('data_white'),
        length_unit=one_of('length_unit', length_unit, LENGTH_UNITS),
        source=str(path),
        attributes=attributes,
    )


def _values(path, file, rows):
    """Return the datasets by their names, and their attributes."""
    values: dict[str, Any] = {}
    attributes = {}
    for name, place in _NAMES.items():
        dataset = _dataset(path, file, place)
        if dataset is None:
            continue
        attributes[name] = {
            key: _text(value) for key, value in dataset.attrs.items()
        }
        if rows is None or name == 'theta' or dataset.ndim < 2:
            values[name] = dataset[()]
            continue
        n_rows = dataset.shape[-2]
        if not 0 <= rows < n_rows:
            raise ValueError(
                f'{path}: `{place}` has {n_rows} rows, got `rows={rows}`'
            )
        values[name] = dataset[..., rows : rows + 1, :]
    values['pixel_size'] = 1.0, 'cell'
    for place in _PIXEL_SIZES:
        dataset = _dataset(path, file, place)
        if dataset is not None and dataset.size == 1:
            unit = _text(dataset.attrs.get('units', ''))
            if unit not in _LENGTHS:
                raise ValueError(
                    f'{path}: `{place}` has the units {unit!r}, expected one '
                    f'of {", ".join(_LENGTHS)}'
                )
            size = float(np.asarray(dataset[()]).reshape(()))
            values['pixel_size'] = size, _LENGTHS[unit]
            break
    return values, attributes


def _dataset(path, file, place):
    try:
        return own_dataset(file, place)
    except NoImage as error:
        raise ValueError(f'{path}: {error}') from error


def _text(value):
    """Return an attribute as plain values."""
    if isinstance(value, bytes):
        return value.decode('utf-8', 'replace')
    return value.tolist() if isinstance(value, np.ndarray) else value
