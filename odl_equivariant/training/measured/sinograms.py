# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Data of tomography in plain files, with a header that says how they were."""

import json
import math

import numpy as np

from odl_equivariant.data import MeasuredCT, SparseViewCT
from odl_equivariant.training._headers import header_path
from odl_equivariant.training.configuration.yaml_files import read_yaml
from odl_equivariant.training.measured.arguments import cell_in

__all__ = ('loaded_array', 'measured_array', 'with_axis')

_KINDS = ('counts', 'line integrals')
# Exponents of Beer's law above this leave one photon of e^30.
_LARGEST_EXPONENT = 30.0
_OF_GEOMETRY = (
    'geometry',
    'length_unit',
    'space',
    'n_photons',
    'dark',
    'white',
    'kind',
)
# A grid with more cells than this along a side is not chosen by itself.
_LARGEST_SIDE = 512
EXAMPLE = (
    '{"acquisition": {"geometry": {"kind": "fan", "source_radius": 410.66, '
    '"detector_radius": 143.08, "n_detectors": 560, "detector_width": 0.2, '
    '"angles": {"first": 0, "step": 0.5, "n": 181}, "angle_unit": "degrees"}'
    ', "length_unit": "mm", "kind": "line integrals"}}'
)


def loaded_array(path):
    """Return the array in a file, of real numbers, memory-mapped.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds something else.
    """
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f'{path} holds several arrays, one is expected')
    return array


def _description(path, geometry_file):
    """Return what says how a file was measured, and where it says so."""
    header, found = header_path(path), {}
    if geometry_file is not None:
        content = read_yaml(geometry_file)
        content = content.get('acquisition', content)
        # the description of a geometry alone
        if isinstance(content.get('kind'), str) and 'geometry' not in content:
            if content['kind'] not in _KINDS:
                content = {'geometry': content}
        found[geometry_file] = content
    if header is not None:
        content = json.loads(header.read_text('utf-8'))
        if isinstance(content, dict) and 'acquisition' in content:
            found[header] = content['acquisition']
    if not found:
        raise ValueError(
            f'nothing says how the data in {path} were measured: an array of '
            'the right shape may belong to any geometry. Put '
            f'{path.stem}.json or acquisition.json beside it, such as '
            f'{EXAMPLE}, or pass --geometry FILE.yaml'
        )
    for place, content in found.items():
        if isinstance(content, str):
            raise ValueError(
                f'{place} has the fingerprint {content!r} of an acquisition, '
                'from which it cannot be made: write its arguments, '
                '`acquisition.settings()`'
            )
        if not isinstance(content, dict):
            raise ValueError(
                f'"acquisition" in {place} must hold arguments of an '
                f'acquisition and their values, such as {EXAMPLE}'
            )
    return found


def measured_array(path, options):
    """Return the acquisition of an array of a sinogram, and its data.

    Parameters
    ----------
    path : pathlib.Path
        File ``.npy`` of shape ``(views, detectors)``, or of several images
        with one more axis in front.
    options : argparse.Namespace
        Options of the command.

    Returns
    -------
    acquisition : MeasuredCT or SparseViewCT
        Acquisition.
    arrays : list of numpy.ndarray
        Data of each image, as the acquisition has them.
    single : bool
        Whether there is no additional axis.
    source : str
        What said how the data were measured.

    Raises
    ------
    ValueError
        If nothing says how the data were measured, what does contradicts
        itself or the data, or the data cannot be read.
    """
    array = loaded_array(path)
    if array.dtype.kind not in 'fiu':
        raise ValueError(
            f'the data in {path} are of dtype {array.dtype}, and readings of '
            'tomography are real numbers'
        )
    made = {}
    for place, content in _description(path, options.geometry).items():
        try:
            made[place] = _acquisition(dict(content), array, options)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{place}: {error}') from error
    (source, (acquisition, kind)), *others = made.items()
    for place, (other, other_kind) in others:
        if (kind, acquisition.fingerprint()) != (
            other_kind,
            other.fingerprint(),
        ):
            raise ValueError(
                f'{source} and {place} say different things of the data in '
                f'{path}: {acquisition!r:.300} and {other!r:.300}'
            )
    shape = tuple(acquisition.operator.range.shape)
    single = array.shape == shape
    if not single and (array.shape[1:] != shape or not len(array)):
        raise ValueError(
            f'the data in {path} have the shape {array.shape}, but '
            f'{source} describes {shape[0]} views and {shape[1]} detector '
            'elements, possibly with one more axis in front for several '
            'images'
        )
    arrays = [array] if single else list(array)
    return acquisition, [
        _line_integrals(acquisition, each, kind, path, source)
        for each in arrays
    ], single, str(source)


def _line_integrals(acquisition, array, kind, path, source):
    """Return data of counts, or data that are data, after checks."""
    if not np.isfinite(array).all():
        raise ValueError(
            f'the data in {path} have values that are infinite or not a number'
        )
    if kind == 'counts':
        return np.asarray(acquisition.line_integrals(array))
    mu = getattr(acquisition, 'mu_max', 1.0)
    most = mu * float(np.max(array))
    if most > _LARGEST_EXPONENT:
        advice = (
            'if they are readings of the detector, say "kind": "counts" and '
            'the reading without an object as "white"'
            if mu == 1
            else 'they must be lengths in metres, exponents divided by mu_max'
        )
        raise ValueError(
            f'the data in {path} reach {float(np.max(array)):.4g}, and as '
            f'line integrals, as {source} has them, they would be exponents '
            f"of Beer's law of up to {most:.4g}: {advice}"
        )
    return np.asarray(array)


def _acquisition(values, array, options):
    """Return the acquisition that a header describes, and what data are."""
    if 'geometry' not in values or isinstance(values['geometry'], str):
        return _simulated(values, options), 'line integrals'
    unknown = sorted(values.keys() - set(_OF_GEOMETRY))
    if unknown:
        raise ValueError(
            f'unknown {", ".join(unknown)}; the keys of a measured scan are '
            f'{", ".join(_OF_GEOMETRY)}'
        )
    kind = values.pop('kind', 'line integrals')
    if kind not in _KINDS:
        raise ValueError(
            f'"kind" must be one of {", ".join(_KINDS)}, got {kind!r}'
        )
    if kind == 'counts' and not {'white', 'n_photons'} & values.keys():
        raise ValueError(
            'counts need the reading without an object, "white"'
        )
    given = values.pop('space', None) or {}
    if not isinstance(given, dict):
        given = {'shape': given}
    unit = values.setdefault('length_unit', 'm')
    n_detectors = int(array.shape[-1])
    shape = options.shape or given.get('shape')
    if options.cell is not None and unit != 'cell':
        given['cell'] = cell_in(options.cell, unit)
    elif options.shape is not None:
        given.pop('cell', None)
    if shape is None:
        shape = _shape_of_cell(values, given.get('cell'), n_detectors)
    given['shape'] = tuple(shape)
    return MeasuredCT(space=given, **values), kind


def _shape_of_cell(values, cell, n_detectors):
    """Return a square shape that has all that views see inside."""
    if cell is None:
        return 2 * (min(n_detectors, _LARGEST_SIDE),)
    trial = MeasuredCT(space=(2, 2), **values)
    side = 2 * float(trial.space.cell_sides[0])
    n = math.ceil(side / float(np.min(cell)) - 1e-6)
    return n, n


def _simulated(values, options):
    """Return the acquisition that has the arguments of `SparseViewCT`."""
    missing = [
        name
        for names in (('n_views', 'angles'), ('side',))
        if not set(names) & values.keys()
        for name in names[:1]
    ]
    if missing:
        raise ValueError(
            f'{" and ".join(missing)} must be there, of the arguments of '
            '`SparseViewCT`; or "geometry" describes a scanner, such as in '
            f'{EXAMPLE}'
        )
    acquisition = SparseViewCT(**values)
    if options.cell is not None:
        raise ValueError(
            '--cell-size: the cells of `SparseViewCT` follow from its side '
            'and its shape, pass --shape'
        )
    if options.shape is not None and options.shape != acquisition.shape:
        # the detector stays as it was
        acquisition = SparseViewCT(
            **{
                **acquisition.settings(),
                'n_detectors': acquisition.n_detectors,
                'shape': options.shape,
            }
        )
    return acquisition


def with_axis(acquisition, arrays, axis, path):
    """Return the acquisition with its axis where it was found, or is told.

    Parameters
    ----------
    acquisition : MeasuredCT
        Acquisition.
    arrays : list of numpy.ndarray
        Its data; the middle image counts.
    axis : str or float
        ``'auto'``, or the place in elements from the middle of the detector.
    path : pathlib.Path
        File of the data.

    Returns
    -------
    acquisition : MeasuredCT
        Acquisition with another detector offset.
    axis : float
        Place of the axis, in elements from the middle.
    """
    if not isinstance(acquisition, MeasuredCT):
        raise ValueError(
            f'--axis: {path} is described by the arguments of '
            '`SparseViewCT`, which has its own `detector_offset`'
        )
    partition = acquisition.geometry.det_partition
    width = float(partition.extent[0]) / partition.shape[0]
    if axis == 'auto':
        offset = acquisition.find_axis(arrays[len(arrays) // 2])
    else:
        offset = -axis * width
    return acquisition.with_detector_offset(offset), -offset / width
