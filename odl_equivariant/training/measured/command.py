# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Reconstruction of measured data by a model, without a configuration."""

import contextlib
import logging
import shlex
import sys
import warnings

from tqdm import tqdm

from odl_equivariant.data import provenance
from odl_equivariant.data.acquisitions.sinograms.consistency import (
    IMPOSSIBLE,
)
from odl_equivariant.data.units import metres
from odl_equivariant.models.shipped import weights_path
from odl_equivariant.training.measured.arguments import (
    cell_in_metres,
    parsed,
    refuse_options_of_kspace,
    refuse_options_of_tomography,
)
from odl_equivariant.training.measured.classical import (
    CLASSICAL,
    Classical,
)
from odl_equivariant.training.measured.files import (
    data_files,
    result_files,
)
from odl_equivariant.training.measured.inputs import (
    SCANS,
    measured_tomography,
)
from odl_equivariant.training.measured.kspace import (
    KSPACE,
    doubt_of_kspace,
    measured_kspace,
)
from odl_equivariant.training.measured.methods import Method
from odl_equivariant.training.measured.outputs import (
    check_writable,
    write_images,
)
from odl_equivariant.training.measured.volumes import memory_for_volume
from odl_equivariant.training.reconstruction.residuals import (
    is_unexplained,
    residual_and_noise,
)

__all__ = ('reconstruct',)

# What errors of a file are, whose message says all.
_EXPECTED = (ArithmeticError, ImportError, OSError, TypeError, ValueError)
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
    method = _method(options)
    options.line = arguments
    endings = SCANS
    if method.modality == 'magnetic resonance':
        endings = KSPACE
        refuse_options_of_tomography(options)
    else:
        refuse_options_of_kspace(options)
    files = data_files(options, endings)
    targets = result_files(files, options)
    check_writable(options.output, {t.parent for t in targets.values()})
    failed = {}
    for path, target in tqdm(
        targets.items(), desc='reconstruction', disable=len(files) == 1
    ):
        try:
            with _warnings_of(path):
                _reconstruct_file(path, target, method, options)
        # a library may raise anything for a damaged file, and the others go on
        except Exception as error:
            if len(files) == 1:
                notes = getattr(error, '__notes__', ())
                if not any(str(path) in one for one in (str(error), *notes)):
                    error.add_note(f'(file {path})')
                raise
            text = _text_of(error, path)
            if not isinstance(error, _EXPECTED):
                text = f'{type(error).__name__}: {text}'
            failed[path] = text if str(path) in text else f'{path}: {text}'
            _log.warning('failed: %s', failed[path])
    if failed:
        lines = ''.join(f'\n  {text}' for text in failed.values())
        print(
            f'odl-equivariant: error: {len(failed)} of {len(files)} files '
            f'failed, the others are in {options.output}:{lines}',
            file=sys.stderr,
        )
    return 1 if failed else 0


def _method(options):
    """Return what reconstructs, by its name or its file."""
    make = Method
    if options.model in CLASSICAL:
        make = Classical
    else:
        try:
            weights_path(options.model)
        except ValueError as error:
            error.add_note(f'(without a model: {", ".join(CLASSICAL)})')
            raise
    return make(
        options.model,
        options.unit,
        options.cell,
        options.strength,
        options.maxiter,
    )


def _text_of(error, path):
    """Return an error and its notes in one line, without that of its file."""
    notes = getattr(error, '__notes__', ())
    others = [note for note in notes if note != f'(file {path})']
    return ' '.join(' '.join((str(error), *others)).split())


@contextlib.contextmanager
def _warnings_of(path):
    """Print warnings with their file, not with a line of this package."""
    before = warnings.formatwarning

    def text(message, *_, **__):
        named = '' if str(path) in str(message) else f'{path}: '
        return f'warning: {named}{message}\n'

    warnings.formatwarning = text
    try:
        # forgets what earlier files were warned of
        with warnings.catch_warnings():
            yield
    finally:
        warnings.formatwarning = before


def _reconstruct_file(path, target, method, options):
    is_magnetic = method.modality == 'magnetic resonance'
    if is_magnetic:
        measured = measured_kspace(
            path,
            options.slice,
            options.coil_maps,
            kernel=options.kernel,
            threshold=options.threshold,
        )
    else:
        measured = measured_tomography(path, options)
    acquisition = measured.acquisition
    images, residuals, scale = [], [], None
    doubt = None
    for y in measured.data:
        if not is_magnetic and not doubt:
            doubt = acquisition.inconsistency(y)
            if doubt.cause in IMPOSSIBLE:
                raise ValueError(f'{path}: {doubt}')
        with memory_for_volume(path, acquisition.space):
            image, element, scale = method(acquisition, y)
        images.append(image)
        try:
            residuals.append(
                residual_and_noise(acquisition.operator, element, y)
            )
        except MemoryError as error:
            # Feldkamp's reconstruction needs no operator
            _log.info('%s: the residual is not computed: %s', path, error)
    worst, noise = max(residuals, default=(None, 0.0))
    if is_magnetic:
        images = [measured.scan.cropped(measured.scale * u) for u in images]
        (y,) = measured.data
        unlikely = doubt_of_kspace(worst or 0.0, y, options.coil_maps)
        if unlikely:
            _log.warning('%s: %s', path, unlikely)
    elif doubt:
        _log.warning(
            '%s: the image leaves %s of the data unexplained, as '
            'geometry or axis are others than %s says: %s%s',
            path,
            'a part' if worst is None else f'{100 * worst:.1f} %',
            measured.source,
            doubt,
            ''
            if measured.axis is not None
            else '; --axis auto finds the axis',
        )
    elif worst is not None and is_unexplained(worst, noise):
        _log.warning(
            '%s: the image leaves %.1f %% of the data unexplained, and noise '
            'is about %.1f %%. %s%s: the model may not fit views, noise or '
            'unit of these data',
            path,
            100 * worst,
            100 * noise,
            ''
            if measured.covered == 1
            else f'It covers {100 * measured.covered:.0f} % of what the '
            'detector sees, and without --shape it covers all. ',
            'The data are consistent with the geometry'
            if doubt is not None and doubt.errors
            else f'Geometry, axis or units may be others than '
            f'{measured.source} says, or',
        )
    unit = method.result_unit(acquisition)
    made = provenance(
        None if options.model in CLASSICAL else weights_path(options.model),
        None if path.is_dir() else path,
        model=str(options.model),
        geometry_from=measured.source,
        acquisition=repr(acquisition),
        relative_residual=None if worst is None else round(worst, 6),
        axis_in_elements=measured.axis,
        value_of_one=measured.scale if is_magnetic else scale,
    )
    made['command'] = shlex.join(['odl-equivariant', *options.line])
    write_images(
        target,
        images,
        measured.single,
        _sides(measured, options.cell),
        unit,
        made,
        options.pictures,
    )
    _log.info('%s: in %s, unit %s', path, target, unit)


def _sides(measured, cell):
    """Return the sides of a cell in metres, or ``None`` if nothing says."""
    acquisition, scan = measured.acquisition, measured.scan
    if scan is not None:
        return scan.pixel
    unit = getattr(acquisition, 'length_unit', 'm')
    if unit == 'cell':
        length = None if cell is None else cell_in_metres(cell)
        return None if cell is None else acquisition.space.ndim * (length,)
    return tuple(
        float(side) * metres(unit) for side in acquisition.space.cell_sides
    )
