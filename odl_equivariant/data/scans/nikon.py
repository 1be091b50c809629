# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scans of Nikon: a file ``.xtekct`` and the projections that belong to it."""

from __future__ import annotations

import configparser
import math
import pathlib

import numpy as np

from odl_equivariant._files import path_inside
from odl_equivariant._warnings import warn_user
from odl_equivariant.data.scans.fields import Fields, sorted_views
from odl_equivariant.data.scans.pictures import read_pictures, tiff_files
from odl_equivariant.data.scans.scan import TomographyScan

__all__ = ('read_nikon',)

_SECTION = 'XTekCT'
_HALF_TURN = 180.0


def read_nikon(
    path: pathlib.Path,
    folder: str | None = None,
    row: int | None = None,
) -> TomographyScan:
    """Return the scan that a Nikon file describes.

    Parameters
    ----------
    path : pathlib.Path
        File ``.xtekct``. The projections are TIFF files in the same folder,
        or in ``InputFolderName``. Angles follow from ``InitialAngle`` and
        ``AngularStep``, and the axis of rotation from ``ObjectOffsetX`` or
        ``CentreOfRotationTop`` and ``CentreOfRotationBottom``.
    folder : str, optional
        Folder of the projections, beside the file. Default: what the file
        says.
    row : int, optional
        Read this row of the detector only, counted from 0 at the bottom of
        the pictures. Default: all.

    Returns
    -------
    scan : TomographyScan
        Counts of a cone beam, in millimetres. Rows and columns of the
        pictures are reversed: rows are counted from below, along the axis of
        rotation, and columns along the detector of ODL's geometry.

    Raises
    ------
    FileNotFoundError
        If projections are missing.
    ValueError
        If a field is missing or wrong, or pictures do not fit.

    Warns
    -----
    UserWarning
        If readings reach the largest value of their dtype, which lies above
        the white level. If the axis of rotation is tilted by more than an
        element of the detector: the geometry has an upright axis.

    Notes
    -----
    The axis of rotation becomes an offset of the detector. So the detector
    is perpendicular to the line from the source to the axis, not to that to
    its middle. The angle between them is the offset over the distance to the
    source, usually a thousandth.
    """
    general = _general(path)
    n_columns = general.whole('DetectorPixelsX')
    n_rows = general.whole('DetectorPixelsY')
    n_views = general.whole('Projections')
    width = general.number('DetectorPixelSizeX', positive=True)
    height = general.number('DetectorPixelSizeY', positive=True)
    source = general.number('SrcToObject', positive=True)
    length = general.number('SrcToDetector', positive=True)
    if length < source:
        raise general.error(
            'SrcToDetector', f'is {length:g}, less than SrcToObject {source:g}'
        )
    files = _projections(path, general, folder, n_views)
    if row is not None and not 0 <= row < n_rows:
        raise ValueError(
            f'{path}: the detector has {n_rows} rows, got `row={row}`'
        )
    readings = read_pictures(files, None if row is None else n_rows - 1 - row)
    expected = (n_views, n_rows if row is None else 1, n_columns)
    if readings.shape != expected:
        raise ValueError(
            f'{files[0]} has {readings.shape[1]} rows and {readings.shape[2]} '
            f'columns, but {path} says DetectorPixelsY = {n_rows} and '
            f'DetectorPixelsX = {n_columns}'
        )
    white = general.number('WhiteLevel', positive=True)
    _check_saturation(path, readings, white)
    angles, readings = sorted_views(path, _angles(general, n_views), readings)
    description = {
        'kind': 'cone',
        'unit': 'mm',
        'angles': angles,
        'angle_unit': 'degrees',
        'n_detectors': n_columns,
        'detector_width': width,
        'detector_offset': _offset(general, length / source, (width, height)),
        'n_rows': expected[1],
        'row_height': height,
        'row_offset': 0.0,
        'source_radius': source,
        'detector_radius': length - source,
    }
    if row is not None:
        description['row_offset'] = (row - (n_rows - 1) / 2) * height
    return TomographyScan(
        readings=readings[:, ::-1, ::-1],
        geometry=description,
        kind='counts',
        dark=general.number('BlackLevel', 0.0),
        white=white,
        length_unit='mm',
        source=str(path),
        attributes=dict(general.values),
    )


def _general(path):
    """Return the fields of the file's section."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, allow_no_value=True
    )
    parser.optionxform = str
    try:
        text = path.read_text('utf-8-sig')
    except UnicodeDecodeError:
        text = path.read_text('latin-1')
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(
            f'{path} cannot be read as a file of Nikon: {error}'
        ) from error
    if _SECTION not in parser:
        raise ValueError(
            f'{path}: the section [{_SECTION}] is missing; there are '
            f'{", ".join(parser.sections()) or "none"}'
        )
    values = {name: value for name, value in parser[_SECTION].items() if value}
    return Fields(path, values, f'{_SECTION}.')


def _projections(path, general, folder, n_views):
    """Return the files of the projections, in their order."""
    name = folder or general.text('InputFolderName', '')
    place = path.parent
    if name:
        # may be written on Windows
        for part in name.replace('\\', '/').strip('/').split('/'):
            place = place / part if folder else path_inside(place, part)
        if not place.is_dir():
            raise FileNotFoundError(
                f'{path}: there is no folder {place} of projections; pass '
                '`folder`'
            )
    files = tiff_files(place)
    stem = general.text('Name', path.stem) + '_'
    own = [file for file in files if file.name.startswith(stem)] or files
    if len(own) != n_views:
        raise FileNotFoundError(
            f'{path} says Projections = {n_views}, but {place} has '
            f'{len(own)} TIFF files'
        )
    return own


def _check_saturation(path, readings, white):
    """Give a warning if the detector seems to be saturated."""
    if readings.dtype.kind == 'f':
        return
    most = np.iinfo(readings.dtype).max
    full = np.count_nonzero(readings == most)
    if full and white < most:
        warn_user(
            f'{path}: {full} of {readings.size} readings are {most}, the '
            'largest value that the files can hold: the detector was '
            'saturated there',
            UserWarning,
        )


def _angles(general, n_views):
    """Return the angles of the views in degrees."""
    first = general.number('InitialAngle', 0.0) - _HALF_TURN
    step = general.number('AngularStep')
    if not step:
        raise general.error('AngularStep', 'is zero')
    return first + step * np.arange(n_views)


def _offset(general, magnification, sizes):
    """Return the offset of the detector, with a word about tilts."""
    top = general.number('CentreOfRotationTop', 0.0)
    bottom = general.number('CentreOfRotationBottom', 0.0)
    n_rows, n_columns = (
        general.whole(f'DetectorPixels{axis}') for axis in 'YX'
    )
    roll = math.atan2(top - bottom, n_rows * sizes[1])
    roll = math.radians(general.number('ObjectRoll', math.degrees(roll)))
    tilt = math.radians(general.number('ObjectTilt', 0.0))
    # by how many elements the axis, or a plane, is off at the edge
    off = {
        'ObjectRoll': abs(roll) * n_rows * sizes[1] / 2 / sizes[0],
        'ObjectTilt': abs(tilt) * n_columns * sizes[0] / 2 / sizes[1],
    }
    for name, elements in off.items():
        if elements > 1:
            warn_user(
                f'{general.path}: the axis of rotation is tilted '
                f'({name}), by {elements:.1f} detector elements at the edge '
                'of the detector. It counts as upright, and images far from '
                'the middle are wrong by that',
                UserWarning,
            )
    middle = general.number(
        'ObjectOffsetX', (top + bottom) / 2 / magnification
    )
    return middle * magnification
