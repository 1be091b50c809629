# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files of measured data, with the acquisitions that their headers name."""

import dataclasses
import json
import logging
import math
from typing import Any

import numpy as np
from odl.applications import tomo

from odl_equivariant._array_files import read_array
from odl_equivariant._warnings import quiet
from odl_equivariant.data import (
    SparseViewCT,
    read_scan,
)
from odl_equivariant.elements import element_from_array
from odl_equivariant.training.measured.arguments import (
    cell_in,
    cell_in_metres,
    unit_of_any_cells,
)
from odl_equivariant.training.measured.volumes import acquisition_of_volume
from odl_equivariant.training.reconstruction.headers import HEADER, header_path

__all__ = ('Measured', 'SCANS', 'measured_tomography')

# Endings of the files of scans.
SCANS = ('.npy', '.mat', '.h5', '.hdf5', '.hdf', '.xtekct', '.tif', '.tiff')
# Exponents of Beer's law above this leave one photon of e^30.
_LARGEST_EXPONENT = 30.0
# A grid with more cells along a side is not chosen by itself.
_LARGEST_SIDE = 512
# A side of a cell that makes others is taken for a mistake of its unit.
_FEWEST_CELLS, _MOST_CELLS = 8, 8192
EXAMPLE = (
    '{"acquisition": {"geometry": {"kind": "fan", "source_radius": 410.66, '
    '"detector_radius": 143.08, "n_detectors": 560, "detector_width": 0.2, '
    '"angles": {"first": 0, "step": 0.5, "n": 181}, "angle_unit": "degrees"}'
    ', "length_unit": "mm", "kind": "line integrals"}}'
)
_log = logging.getLogger(__name__)


@dataclasses.dataclass
class Measured:
    """Data of one file, and their acquisition.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition of all images.
    data : list of elements
        Data of each image.
    single : bool
        Whether there is one image, without an axis for several.
    source : str
        What said how the data were measured.
    scale : float
        What the data were divided by.
    axis : float or None
        Where the axis is projected, in elements from the middle of the
        detector, if it was looked for.
    scan : KspaceScan or None
        The scan of magnetic resonance.
    covered : float
        Share of what the detector sees that the image covers, along its
        shorter side; 1 if all or unknown.
    """

    acquisition: Any
    data: list
    single: bool
    source: str
    scale: float = 1.0
    axis: float | None = None
    scan: Any = None
    covered: float = 1.0


def measured_tomography(path, options):
    """Return a scan of a file, and its acquisition.

    Parameters
    ----------
    path : pathlib.Path
        File or folder, see `odl_equivariant.data.read_scan`. A file ``.npy``
        may also have ``a.json`` or ``acquisition.json`` beside it, with the
        arguments of `SparseViewCT`, and then hold several images.
    options : argparse.Namespace
        Options of the command: ``geometry``, ``shape``, ``cell``, ``axis``.

    Returns
    -------
    measured : Measured
        Line integrals of each row of the detector.

    Raises
    ------
    FileNotFoundError, ValueError
        If nothing says how the data were measured, what does contradicts
        itself or the data, or the data cannot be read.
    """
    _refuse_complex(path)
    header = _header(path)
    if header is not None and not _is_geometry(header[1]):
        if options.geometry is not None:
            raise ValueError(
                f'{header[0]} says already how {path} was measured: leave '
                '--geometry out, or move the header away'
            )
        return _simulated(path, *header, options)
    place = options.geometry
    if header is not None:
        place = _agreed(path, header, options.geometry)
    try:
        scan = read_scan(path, geometry=place)
    except FileNotFoundError as error:
        if not path.exists() or place is not None:
            raise
        raise FileNotFoundError(
            f'{error}. An array of the right shape may belong to any '
            f'geometry: write {path.stem}.json or {HEADER} beside it, such '
            f'as {EXAMPLE}, or pass --geometry FILE.yaml'
        ) from error
    return _of_scan(scan, str(place or path), path, options)


def _refuse_complex(path):
    """Raise an error for k-space, and leave damaged files to readers."""
    if path.suffix.lower() != '.npy':
        return
    try:
        array = read_array(path, mapped=True)
    except (OSError, ValueError):
        return
    if np.iscomplexobj(array):
        raise ValueError(
            f'{path} holds complex numbers of shape {array.shape}, and data '
            'of tomography are real. For k-space, take a model of magnetic '
            'resonance, such as --model splitting_mri_c4'
        )


def _header(path):
    """Return the file that says how an array was measured, and its text."""
    if path.suffix.lower() != '.npy':
        return None
    header = header_path(path)
    if header is None:
        return None
    try:
        content = json.loads(header.read_text('utf-8'))
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f'{header} cannot be read: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{header} must hold an object, such as {EXAMPLE}')
    if 'acquisition' not in content:
        # a description of the geometry alone, or a file for another purpose
        known = {'geometry', 'angles'} & content.keys()
        return (header, {'geometry': content}) if known else None
    values = content['acquisition']
    if isinstance(values, str):
        raise ValueError(
            f'{header} has the fingerprint {values!r:.100} of an acquisition, '
            'from which it cannot be made: write its arguments, '
            '`acquisition.settings()`'
        )
    if not isinstance(values, dict):
        raise ValueError(
            f'"acquisition" in {header} must hold arguments and their '
            f'values, such as {EXAMPLE}'
        )
    return header, values


def _is_geometry(values):
    return isinstance(values.get('geometry'), dict) or 'kind' in values


def _agreed(path, header, geometry):
    """Return the file with the geometry; both say the same if there are two.

    What is compared is the geometry that they make of the same file.
    """
    if geometry is None:
        return header[0]
    one, other = (read_scan(path, geometry=p) for p in (header[0], geometry))
    spaces = [scan.acquisition((2, 2)).fingerprint() for scan in (one, other)]
    if spaces[0] != spaces[1] or one.kind != other.kind:
        raise ValueError(
            f'{header[0]} and {geometry} say different things of {path}: '
            f'{one.geometry!r:.200} in {one.length_unit}, {one.kind}, and '
            f'{other.geometry!r:.200} in {other.length_unit}, {other.kind}'
        )
    return geometry


def _of_scan(scan, source, path, options):
    """Return the rows of a scan, on the grid of the options."""
    _check_axis(options.axis, scan.readings.shape[-1], path)
    if options.shape is not None and len(options.shape) == 3:
        acquisition, axis, covered = acquisition_of_volume(scan, path, options)
        if scan.kind == 'line integrals':
            _check_exponents(scan.readings, 1.0, path, source)
        return Measured(
            acquisition,
            [scan.data(acquisition)],
            True,
            source,
            axis=axis,
            covered=covered,
        )
    rows = [None]
    if scan.n_rows > 1 and isinstance(
        scan.geometry, tomo.geometry.ParallelBeamGeometry
    ):
        rows = list(range(scan.n_rows))
    elif scan.n_rows > 1:
        _log.warning(
            '%s: of %d rows of a cone beam, the one opposite the source is '
            'reconstructed: the others are not in one plane; --shape with '
            'three numbers asks for the whole volume',
            path,
            scan.n_rows,
        )
    scans = [scan.row(i) for i in rows]
    middle = scans[len(scans) // 2]
    space, covered = _grid(middle, options, path)
    acquisition = middle.acquisition(space)
    axis = None
    if options.axis is not None:
        width = acquisition.geometry.det_partition
        width = float(width.extent[0]) / width.shape[0]
        if options.axis == 'auto':
            # what is said of the readings is said of the data below
            with quiet():
                y = middle.data(acquisition)
            offset = acquisition.find_axis(y)
        else:
            offset = -options.axis * width
        axis = -offset / width
        acquisition = acquisition.with_detector_offset(offset)
        _log.info(
            '%s: the axis is projected %.2f elements from the middle of the '
            'detector',
            path,
            axis,
        )
    if scan.kind == 'line integrals':
        _check_exponents(scan.readings, 1.0, path, source)
    return Measured(
        acquisition,
        [row.data(acquisition) for row in scans],
        scan.readings.ndim == 2 or rows == [None],
        source,
        axis=axis,
        covered=covered,
    )


def _check_axis(axis, n_detectors, path):
    """Raise an error if the axis is not projected onto the detector."""
    if isinstance(axis, float) and not abs(axis) < n_detectors / 2:
        raise ValueError(
            f'--axis {axis:g}: the detector of {path} has {n_detectors} '
            'elements, and the axis of rotation is counted from the middle: '
            f'expected a number between {-n_detectors / 2:g} and '
            f'{n_detectors / 2:g}'
        )


def _grid(scan, options, path):
    """Return the space of the images of a scan, and `Measured.covered`."""
    cell, unit = None, scan.length_unit
    if unit == 'cell':
        cell = 1.0
        if options.cell is not None:
            cell_in_metres(options.cell)
    elif options.cell is not None:
        cell = cell_in(options.cell, unit)
    n = scan.readings.shape[-1]
    shape = options.shape
    if cell is None:
        shape = 2 * (min(n, _LARGEST_SIDE),) if shape is None else shape
        return {'shape': shape}, 1.0
    # cells of the side 1 are not known yet
    seen = scan.acquisition((2, 2), length_unit=unit_of_any_cells(unit)).space
    side = 2 * float(seen.cell_sides[0])
    n = math.ceil(side / cell - 1e-6)
    if shape is not None:
        return {'shape': shape, 'cell': cell}, min(1.0, min(shape) / n)
    if options.cell is not None and not _FEWEST_CELLS <= n <= _MOST_CELLS:
        raise ValueError(
            f'--cell-size {cell:g} {unit}: the detector of {path} sees '
            f'{side:.4g} {unit}, which are {n} cells along a side, and '
            f'{_FEWEST_CELLS} to {_MOST_CELLS} are expected. Check the '
            'unit of the length, or choose a part by --shape'
        )
    return {'shape': (n, n), 'cell': cell}, 1.0


def _check_exponents(array, mu, path, source):
    """Raise an error if data cannot be line integrals."""
    most = mu * float(np.max(array))
    if most > _LARGEST_EXPONENT:
        advice = (
            'if they are readings of the detector, say `kind: counts` and '
            'the reading without an object as `white`'
            if mu == 1
            else 'they must be lengths in metres, exponents divided by mu_max'
        )
        raise ValueError(
            f'the data in {path} reach {float(np.max(array)):.4g}. As line '
            f'integrals, as {source} has them, they would be exponents of '
            f"Beer's law of up to {most:.4g}: {advice}"
        )


def _simulated(path, header, values, options):
    """Return data whose header has the arguments of `SparseViewCT`."""
    array = read_array(path, 'is no array of numbers, or it ends early')
    missing = [
        names[0]
        for names in (('n_views', 'angles'), ('side',))
        if not set(names) & values.keys()
    ]
    if missing:
        raise ValueError(
            f'{header}: {" and ".join(missing)} must be there, of the '
            'arguments of `SparseViewCT`; or "geometry" describes a scanner, '
            f'such as in {EXAMPLE}'
        )
    if options.cell is not None or options.axis is not None:
        raise ValueError(
            f'{header} has the arguments of `SparseViewCT`, whose cells '
            'follow from `side` and `shape`, and whose axis is '
            '`detector_offset`: leave --cell-size and --axis out'
        )
    values = {key: v for key, v in values.items() if key != 'backend'}
    try:
        acquisition = SparseViewCT(**values)
        if options.shape not in (None, acquisition.shape):
            # the detector stays as it was
            own = acquisition.settings()
            acquisition = SparseViewCT(**{**own, 'shape': options.shape})
    except (TypeError, ValueError) as error:
        raise ValueError(f'{header}: {error}') from error
    space = acquisition.operator.range
    shape = tuple(space.shape)
    single = array.shape == shape
    if array.dtype.kind not in 'fiu' or not (
        single or (array.shape[1:] == shape and len(array))
    ):
        raise ValueError(
            f'the data in {path} are of dtype {array.dtype} and shape '
            f'{array.shape}, but {header} describes {shape[0]} views and '
            f'{shape[1]} detector elements of real numbers, possibly with '
            'one more axis in front for several images'
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f'the data in {path} have values that are infinite or not a number'
        )
    _check_exponents(array, acquisition.mu_max, path, header)
    arrays = [array] if single else list(array)
    data = [element_from_array(each, space) for each in arrays]
    return Measured(acquisition, data, single, str(header))
