# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scans in files of MATLAB, as the Helsinki Tomography Challenge has them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from odl_equivariant._packages import import_package
from odl_equivariant.data.scans.fields import Fields, sorted_views
from odl_equivariant.data.scans.matlab_elements import check_elements
from odl_equivariant.data.scans.scan import TomographyScan

__all__ = ('read_matlab_scan',)

_SIGNATURE = 512, b'\x89HDF\r\n\x1a\n'
# Lengths in the files of the challenge are in this unit.
_UNITS = ('m', 'cm', 'mm', 'um')
_ROUND = 1e-3


def read_matlab_scan(path: pathlib.Path) -> TomographyScan:
    """Return the fan-beam scan in a file of MATLAB.

    Parameters
    ----------
    path : pathlib.Path
        File with a structure that has the fields ``sinogram``, exponents of
        Beer's law of shape ``(views, detectors)``, and ``parameters``. Both
        the format of version 5 and that of version 7.3 are read.

    Returns
    -------
    scan : TomographyScan
        Line integrals in millimetres and radians. The image has the
        orientation of the challenge's pictures after `numpy.rot90`, see
        Notes.

    Raises
    ------
    ValueError
        If the file is damaged, or a field is missing or wrong.

    Notes
    -----
    The files are those of the Helsinki Tomography Challenge 2022,
    Meaney, Silva de Moura, Juvonen and Siltanen, `Zenodo 6984868
    <https://zenodo.org/records/6984868>`_. Angles are in degrees there.

    Pictures have rows from above, whereas axis 0 of our images is x and axis
    1 is y: ``numpy.rot90(image)`` is such a picture, and ``numpy.rot90(
    picture, -1)`` is such an image.
    """
    with open(path, 'rb') as file:
        head = file.read(_SIGNATURE[0] + 8)
    is_hdf = head[_SIGNATURE[0] :] == _SIGNATURE[1]
    content = _of_hdf(path) if is_hdf else _of_version_5(path)
    found = {
        name: value
        for name, value in content.items()
        if isinstance(value, dict) and 'sinogram' in value
    }
    if len(found) != 1:
        raise ValueError(
            f'{path}: expected one structure with the field `sinogram`, such '
            f'as `CtDataLimited`, found {", ".join(found) or "none"} among '
            f'{", ".join(map(str, content)) or "no variables"}'
        )
    ((name, values),) = found.items()
    fields = Fields(path, values, f'{name}.')
    parameters = fields.value('parameters')
    if not isinstance(parameters, dict):
        raise fields.error('parameters', 'must be a structure')
    parameters = Fields(path, parameters, f'{name}.parameters.')
    readings = fields.array('sinogram', 2)
    angles = parameters.array('angles', (1, 2)).ravel()
    n_views, n_detectors = readings.shape
    if len(angles) != n_views:
        raise parameters.error(
            'angles',
            f'has {len(angles)} values, but `{name}.sinogram` has '
            f'{n_views} views (rows)',
        )
    if 'numDetectorsPost' in parameters:
        stated = parameters.whole('numDetectorsPost')
        if stated != n_detectors:
            raise parameters.error(
                'numDetectorsPost',
                f'is {stated}, but `{name}.sinogram` has {n_detectors} '
                'columns',
            )
    unit: Any = parameters.text('distanceUnit', 'mm')
    if unit not in _UNITS:
        raise parameters.error(
            'distanceUnit', f'must be one of {", ".join(_UNITS)}, got {unit!r}'
        )
    source = parameters.number('distanceSourceOrigin', positive=True)
    length = parameters.number('distanceSourceDetector', positive=True)
    if length < source:
        raise parameters.error(
            'distanceSourceDetector',
            f'is {length:g}, less than the distance {source:g} from the '
            'source to the origin',
        )
    angles, readings = sorted_views(path, angles, readings)
    geometry = {
        'kind': 'fan',
        'unit': unit,
        'angles': angles,
        'angle_unit': 'degrees',
        'n_detectors': n_detectors,
        'detector_width': _width(parameters, length / source),
        'source_radius': source,
        'detector_radius': length - source,
    }
    return TomographyScan(
        readings=readings,
        geometry=geometry,
        kind='line integrals',
        length_unit=unit,
        source=str(path),
        attributes={
            key: value
            for key, value in parameters.values.items()
            if key != 'angles'
        },
    )


def _width(parameters, magnification):
    """Return the width of a detector element, which files say twice."""
    own = parameters.number('pixelSizePost', 0.0)
    other = magnification * parameters.number('effectivePixelSizePost', 0.0)
    if own and other and abs(own / other - 1) > _ROUND:
        raise parameters.error(
            'pixelSizePost',
            f'is {own:g}, but `effectivePixelSizePost` and the distances '
            f'give {other:g}',
        )
    if not own and not other:
        return parameters.number('pixelSizePost', positive=True)
    return own or other


def _of_version_5(path):
    """Return the variables of a file of version 4 to 7."""
    io = import_package('scipy.io', 'a file of MATLAB')
    try:
        check_elements(path)
        content = io.loadmat(path, struct_as_record=False, squeeze_me=True)
    # a file that ends early shows at many places
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as a file of MATLAB; is it complete? '
            f'{type(error).__name__}: {error}'
        ) from error
    return {
        name: _plain(value)
        for name, value in content.items()
        if not name.startswith('__')
    }


def _plain(value):
    """Return structures as dicts, single numbers and texts as such."""
    if hasattr(value, '_fieldnames'):
        return {
            name: _plain(getattr(value, name)) for name in value._fieldnames
        }
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    return value.item() if isinstance(value, np.generic) else value


def _of_hdf(path):
    """Return the variables of a file of version 7.3."""
    h5py = import_package('h5py', 'a file of MATLAB, version 7.3,')
    try:
        with h5py.File(path, 'r') as file:
            return {
                name: _of_node(file[name], h5py)
                for name in file
                if not name.startswith('#') and _is_own(file, name, h5py)
            }
    # a damaged file shows at many places
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as a file of MATLAB, version 7.3; is it '
            f'complete? {error}'
        ) from error


def _is_own(group, name, h5py):
    """Return whether a member lies in this file, not behind a link."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _of_node(node: Any, h5py: Any) -> Any:
    if isinstance(node, h5py.Group):
        return {
            name: _of_node(node[name], h5py)
            for name in node
            if _is_own(node, name, h5py)
        }
    if node.is_virtual or node.external or node.dtype.kind == 'O':
        return None
    kind = node.attrs.get('MATLAB_class', b'')
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if node.attrs.get('MATLAB_empty', 0):
        return '' if kind == 'char' else np.zeros(0)
    # axes are in the order of Fortran
    array = np.asarray(node[()]).T
    if kind == 'char':
        return ''.join(map(chr, array.ravel()))
    return array.reshape(())[()].item() if array.size == 1 else array
