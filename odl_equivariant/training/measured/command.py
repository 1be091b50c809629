# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Reconstruction of measured data by a model, without a configuration."""

import hashlib
import importlib.metadata
import json
import logging
import shlex
import sys

import numpy as np
from tqdm import tqdm

import odl_equivariant
from odl_equivariant.data.units import metres
from odl_equivariant.models.shipped import weights_path
from odl_equivariant.training.measured.arguments import cell_in, parsed
from odl_equivariant.training.measured.methods import (
    Method,
    relative_residual,
)
from odl_equivariant.training.measured.outputs import ending_of, write_image
from odl_equivariant.training.measured.sinograms import (
    measured_array,
    with_axis,
)

__all__ = ('reconstruct',)

# Results that leave more of the data unexplained are worth a warning.
_LARGEST_RESIDUAL = 0.15
_ENDINGS = ('.npy',)
# What a file may fail with, without ending those that come after it.
_ERRORS = (ArithmeticError, ImportError, OSError, TypeError, ValueError)
_log = logging.getLogger(__name__)


def reconstruct(arguments):
    """Reconstruct the files that the command line names.

    Parameters
    ----------
    arguments : list of str
        Arguments, of which one is ``'reconstruct'``.

    Returns
    -------
    status : int
        0, or 1 if a file failed. The others are reconstructed, and a list of
        those that failed is printed.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or nothing in a folder.
    ValueError
        If the model or the output is none.
    """
    options = parsed(arguments)
    method = Method(
        options.model, options.unit, options.cell, options.strength
    )
    if method.modality == 'magnetic resonance':
        raise ValueError(
            f'{options.model} reconstructs magnetic resonance, for which a '
            'configuration is needed: `odl-equivariant reconstruct --config '
            'FILE.yaml --input ... --output ...`'
        )
    files, several = _files(options.inputs)
    targets = _targets(files, several, options)
    failed = {}
    weights = _digest(weights_path(options.model))
    for path, target in tqdm(
        targets.items(), desc='reconstruction', disable=len(files) == 1
    ):
        try:
            _reconstruct_file(path, target, method, options, weights)
        except _ERRORS as error:
            if len(files) == 1:
                raise
            failed[path] = ' '.join(str(error).split())
            _log.warning('%s failed: %s', path, failed[path])
    if failed:
        lines = ''.join(f'\n  {path}: {e}' for path, e in failed.items())
        print(
            f'odl-equivariant: error: {len(failed)} of {len(files)} files '
            f'failed, the others are in {options.output}:{lines}',
            file=sys.stderr,
        )
    return 1 if failed else 0


def _files(inputs):
    """Return all files of data, and whether there may be several."""
    files, several = [], len(inputs) > 1
    for path in inputs:
        if path.is_dir():
            several = True
            found = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in _ENDINGS
                and file.name[0] != '.'
                and not file.match('*.mask.npy')
            )
            if not found:
                raise FileNotFoundError(
                    f'there are no data in {path}: expected files that end '
                    f'in {", ".join(_ENDINGS)}'
                )
            files += found
        elif not path.exists():
            raise FileNotFoundError(f'there is no file or folder {path}')
        elif path.suffix.lower() not in _ENDINGS:
            raise ValueError(
                f'{path} is of no known format, which are '
                f'{", ".join(_ENDINGS)}'
            )
        else:
            files.append(path)
    return files, several


def _targets(files, several, options):
    """Return the file of results of each file of data."""
    ending = ending_of(options.output)
    if ending is not None and options.format not in (None, ending[1:]):
        raise ValueError(
            f'--output {options.output} has another format than --format '
            f'{options.format}: leave one of them out'
        )
    if ending is not None:
        if several:
            raise ValueError(
                f'--output {options.output} is one file, and there are '
                f'{len(files)} files of data: name a folder'
            )
        targets = {files[0]: options.output}
    else:
        ending = f'.{options.format or "npy"}'
        targets = {
            path: options.output / f'{path.name.split(".")[0]}{ending}'
            for path in files
        }
    names = list(targets.values())
    for path, target in targets.items():
        if names.count(target) > 1:
            raise ValueError(
                f'the results of several files, of which {path} is one, would '
                f'be {target}: reconstruct them one by one'
            )
        beside = target.parent / f'{target.name.split(".")[0]}.json'
        if target.resolve() == path.resolve() or (
            target.parent.resolve() == path.parent.resolve()
            and beside.exists()
            and _is_header(beside)
        ):
            raise ValueError(
                f'the results of {path} would overwrite the data or their '
                f'header {beside.name}: take another folder for the output'
            )
    return targets


def _is_header(path):
    try:
        return 'weights' not in json.loads(path.read_text('utf-8'))
    except (OSError, TypeError, ValueError):
        return True


def _digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()[:16]


def _reconstruct_file(path, target, method, options, weights):
    acquisition, arrays, single, source = measured_array(path, options)
    axis = None
    if options.axis is not None:
        acquisition, axis = with_axis(acquisition, arrays, options.axis, path)
        _log.info(
            '%s: the axis is projected %.2f elements from the middle of the '
            'detector',
            path,
            axis,
        )
    images, worst = [], 0.0
    space = acquisition.operator.range
    for array in arrays:
        y = space.element(np.ascontiguousarray(array, space.dtype_identifier))
        scale = method.scale(acquisition, y)
        image, element = method(acquisition, y)
        images.append(image)
        worst = max(
            worst, relative_residual(acquisition.operator, element, y)
        )
    if worst > _LARGEST_RESIDUAL:
        _log.warning(
            '%s: the image leaves %.0f %% of the data unexplained, '
            '||A u - y|| / ||y||. Geometry, units or axis may be others than '
            '%s says%s',
            path,
            100 * worst,
            source,
            '' if axis is not None else '; --axis auto searches the axis',
        )
    unit = method.result_unit(acquisition)
    sides = _sides(acquisition, options.cell)
    provenance = {
        'command': shlex.join(['odl-equivariant', *sys.argv[1:]]),
        'model': str(options.model),
        'weights': weights,
        'data': path.name,
        'data_digest': _digest(path),
        'geometry_from': source,
        'acquisition': repr(acquisition),
        'image_unit': unit,
        'cell_sides_in_metres': sides and list(sides),
        'relative_residual': round(worst, 6),
        'axis_in_elements': axis,
        'value_of_one': scale,
        'versions': _versions(),
    }
    low = np.asarray(acquisition.space.min_pt, float)
    cells = np.asarray(acquisition.space.cell_sides, float)
    row = sides and (*sides, sides[0])
    write_image(
        target,
        images,
        single,
        row,
        tuple(low / cells + 0.5),
        provenance,
        options.pictures,
    )
    _log.info('%s: in %s, %s', path, target, unit)


def _sides(acquisition, cell):
    """Return the sides of a cell in metres, or None."""
    unit = getattr(acquisition, 'length_unit', 'm')
    if unit == 'cell':
        if cell is None:
            return None
        return 2 * (cell_in(cell, 'm'),)
    return tuple(
        float(side) * metres(unit) for side in acquisition.space.cell_sides
    )


def _versions():
    names = ('odl', 'torch', 'numpy')
    versions = {name: importlib.metadata.version(name) for name in names}
    return {'odl_equivariant': odl_equivariant.__version__, **versions}
