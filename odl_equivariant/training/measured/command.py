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
    ending_of,
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
# Endings of images that are no measured data.
_IMAGES = ('.dcm', '.dicom', '.ima', '.nii', '.nii.gz')
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
    make = Classical if options.model in CLASSICAL else Method
    try:
        method = make(
            options.model,
            options.unit,
            options.cell,
            options.strength,
            options.maxiter,
        )
    except ValueError as error:
        if 'unknown model' in str(error):
            error.add_note(f'(without a model: {", ".join(CLASSICAL)})')
        raise
    options.line = arguments
    endings = SCANS
    if method.modality == 'magnetic resonance':
        endings = KSPACE
        refuse_options_of_tomography(options)
    else:
        refuse_options_of_kspace(options)
    files = _files(options.inputs, endings, options)
    targets = _targets(files, options)
    _check_formats(targets.values(), options)
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


def _text_of(error, path):
    """Return an error and its notes in one line, without that of its file."""
    notes = getattr(error, '__notes__', ())
    others = [note for note in notes if note != f'(file {path})']
    return ' '.join(' '.join((str(error), *others)).split())


def _is_one_scan(folder, options):
    """Return whether a folder holds the pictures of one scan."""
    names = [path.suffix.lower() for path in folder.iterdir()]
    has_geometry = options.geometry is not None or any(
        (folder / f'geometry{ending}').is_file()
        or folder.with_name(folder.name + ending).is_file()
        for ending in ('.yaml', '.yml', '.json')
    )
    return has_geometry and bool({'.tif', '.tiff'} & set(names))


def _hint(paths):
    """Return what to do with images, which are no measured data."""
    if not any(path.name.lower().endswith(_IMAGES) for path in paths):
        return ''
    return (
        '. DICOM and NIfTI hold images, which are reconstructed already: '
        'examples/configs/own_dicom.yaml shows how to train and evaluate on '
        'them'
    )


def _files(inputs, endings, options):
    """Return all files of data."""
    files = []
    for path in inputs:
        if path.is_dir() and endings is SCANS and _is_one_scan(path, options):
            files.append(path)
        elif path.is_dir():
            found = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in endings
                and file.name[0] != '.'
                and not file.match('*.mask.npy')
            )
            if not found:
                raise FileNotFoundError(
                    f'there are no data in {path}: expected files that end '
                    f'in {", ".join(endings)}{_hint(path.iterdir())}'
                )
            # projections belong to the file that names them
            scanners = [f for f in found if f.suffix.lower() == '.xtekct']
            files += scanners or found
        elif not path.exists():
            raise FileNotFoundError(f'there is no file or folder {path}')
        elif path.suffix.lower() not in endings:
            raise ValueError(
                f'{path} is of no format that {options.model} takes, which '
                f'are {", ".join(endings)}{_hint([path])}'
            )
        else:
            files.append(path)
    return files


def _stem(path):
    """Return the name of data without its ending; folders have none."""
    return path.name if path.is_dir() else path.stem


def _targets(files, options):
    """Return the file of results of each file of data."""
    ending = ending_of(options.output)
    if ending is not None and options.format not in (None, ending[1:]):
        raise ValueError(
            f'--output {options.output} has another format than --format '
            f'{options.format}: leave one of them out'
        )
    if ending is not None:
        if len(files) > 1:
            raise ValueError(
                f'--output {options.output} is one file, and there are '
                f'{len(files)} files of data: name a folder'
            )
        targets = {files[0]: options.output}
    else:
        ending = f'.{options.format or "npy"}'
        targets = {
            path: options.output / f'{_stem(path)}{ending}' for path in files
        }
    names = list(targets.values())
    for path, target in targets.items():
        if names.count(target) > 1:
            raise ValueError(
                f'the results of several files, of which {path} is one, would '
                f'be {target}: reconstruct them one by one'
            )
        if target.resolve() == path.resolve():
            raise ValueError(
                f'the results of {path} would overwrite the data: take '
                'another folder for the output'
            )
    return targets


def _check_formats(targets, options):
    """Raise an error if a volume is asked for in a format of images."""
    if options.shape is None or len(options.shape) != 3:
        return
    for target in targets:
        if ending_of(target) == '.dcm':
            raise ValueError(
                f'{target} would be a picture in DICOM, and --shape '
                f'{"x".join(map(str, options.shape))} asks for a volume: take '
                'another ending, or --format nii.gz'
            )


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
