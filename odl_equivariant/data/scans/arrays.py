# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scans in plain arrays and pictures, with a geometry in YAML or JSON."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from odl_equivariant._array_files import read_array
from odl_equivariant._files import path_inside
from odl_equivariant._packages import import_package
from odl_equivariant._types import PathLike
from odl_equivariant.data.scans.pictures import (
    read_picture,
    read_pictures,
    tiff_files,
)
from odl_equivariant.data.scans.scan import KINDS, TomographyScan

__all__ = ('read_array_scan',)

_KEYS = (
    'geometry',
    'kind',
    'length_unit',
    'dark',
    'white',
    'n_photons',
    'attributes',
)
_ENDINGS = ('.yaml', '.yml', '.json')


def read_array_scan(
    path: pathlib.Path, geometry: Mapping[str, Any] | PathLike | None = None
) -> TomographyScan:
    """Return the scan in an array or in pictures, with its geometry.

    Parameters
    ----------
    path : pathlib.Path
        ``.npy``, a TIFF file, or a folder of TIFF files. Readings have the
        shape ``(views, detectors)``, or ``(views, rows, columns)``: the
        pages of a file, or the files of a folder in the order of their
        numbers, are views. If each has one row, the scan is in 2D.
    geometry : dict or path-like, optional
        A description as for `ct_geometry`; or a dict with the keys

        - ``geometry``: such a description, in its ``unit``;
        - ``kind``: ``'line integrals'`` (default) or ``'counts'``;
        - ``length_unit``: unit of the lengths, default that of the geometry;
        - ``dark``, ``white``: a number, or the name of a file beside the
          geometry, ``.npy`` or TIFF, or a list of names;
        - ``n_photons``, ``attributes``.

        Or a YAML or JSON file with one of the two. Default: the file beside
        ``path`` with the same name and the ending ``.yaml``, ``.yml`` or
        ``.json``; for a folder also ``geometry.yaml`` and so on in it.

    Returns
    -------
    scan : TomographyScan
        Readings with this geometry.

    Raises
    ------
    FileNotFoundError
        If there is no geometry.
    ValueError
        If a file is damaged or ends early, a key is unknown, or the geometry
        does not have the shape of the readings.
    """
    if geometry is None:
        geometry = _beside(path)
    place, folder = str(path), path if path.is_dir() else path.parent
    if not isinstance(geometry, Mapping):
        place, folder = str(geometry), pathlib.Path(geometry).parent
        geometry = _read_description(pathlib.Path(geometry))
    values: dict[str, Any] = {
        key: v for key, v in geometry.items() if v is not None
    }
    if isinstance(values.get('acquisition'), Mapping):
        values = dict(values['acquisition'])
    # a description of the geometry alone
    if 'geometry' not in values and values.get('kind') not in KINDS:
        values = {'geometry': values}
    unknown = sorted(map(str, set(values) - set(_KEYS)))
    description = values.get('geometry')
    if unknown or not isinstance(description, Mapping):
        raise ValueError(
            f'{place}: '
            + (
                f'unknown {", ".join(unknown)}; the keys are '
                if unknown
                else '`geometry` is missing, or has no keys of its own; the '
                'keys are '
            )
            + ', '.join(_KEYS)
        )
    unit: Any = values.get('length_unit', description.get('unit', 'm'))
    readings = _readings(path, str(description.get('kind')))
    try:
        return TomographyScan(
            readings=readings,
            geometry=dict(description),
            kind=values.get('kind', 'line integrals'),
            dark=_field('dark', values.get('dark'), place, folder),
            white=_field('white', values.get('white'), place, folder),
            n_photons=values.get('n_photons'),
            length_unit=unit,
            source=str(path),
            attributes=dict(values.get('attributes', {})),
        )
    except (TypeError, ValueError) as error:
        if place in str(error):
            raise
        raise type(error)(f'{place}: {error}') from error


def _readings(path, kind):
    """Return readings with the axes of the kind of geometry."""
    if path.is_dir():
        readings = read_pictures(tiff_files(path))
    else:
        readings = _array(path)
    if kind in ('fan', 'parallel') and readings.ndim == 3:
        if readings.shape[1] == 1:
            return readings[:, 0]
    if kind in ('cone', 'parallel3d') and readings.ndim == 2:
        return readings[:, None]
    return readings


def _array(path):
    """Return the array in a file ``.npy`` or TIFF."""
    if path.suffix.lower() != '.npy':
        return read_picture(path)
    return read_array(path, 'cannot be read as .npy (is it complete?)')


def _field(name, value, place, folder):
    """Return a dark or white field: a number, or what files hold."""
    if value is None or isinstance(value, int | float):
        return value
    names = value if isinstance(value, list) else [value]
    if all(isinstance(v, int | float) for v in names):
        return np.asarray(names, dtype=float)
    if not all(isinstance(v, str) for v in names):
        raise ValueError(
            f'{place}: `{name}` is a number or names of files, got '
            f'{value!r:.80}'
        )
    arrays = []
    for file in names:
        parts = file.replace('\\', '/').split('/')
        arrays.append(_array(path_inside(folder, *parts)))
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(
            f'{place}: the files of `{name}` have the shapes '
            f'{", ".join(str(array.shape) for array in arrays)}'
        )
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def _beside(path):
    """Return the file that says in which geometry readings were taken."""
    places = [path.with_name(path.stem + ending) for ending in _ENDINGS]
    if path.is_dir():
        places = [path.with_name(path.name + ending) for ending in _ENDINGS]
        places += [path / f'geometry{ending}' for ending in _ENDINGS]
    found = [place for place in places if place.is_file()]
    if len(found) != 1:
        raise FileNotFoundError(
            f'{path} says nothing about its geometry: '
            + (
                f'there are {" and ".join(map(str, found))}; pass one of them'
                if found
                else f'pass `geometry`, or write it to {places[0]}'
            )
        )
    return found[0]


def _read_description(path):
    """Return the values in a YAML or JSON file."""
    try:
        text = path.read_text('utf-8')
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no file {path}') from None
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8: {error}') from error
    if path.suffix.lower() == '.json':
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path} is no JSON: {error}') from error
    else:
        yaml = import_package('yaml', 'a geometry in YAML')
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f'{path} is no YAML: {error}') from error
    if not isinstance(values, dict):
        raise ValueError(
            f'{path} must have keys and values, got {type(values).__name__}'
        )
    return values
