# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The files that a reconstruction reads, and those that it writes."""

from odl_equivariant.training.measured.inputs import SCANS
from odl_equivariant.training.measured.outputs import ending_of

__all__ = ('data_files', 'result_files')

# Endings of images that are no measured data.
_IMAGES = ('.dcm', '.dicom', '.ima', '.nii', '.nii.gz')


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


def data_files(options, endings):
    """Return all files of data that the options name.

    Parameters
    ----------
    options : argparse.Namespace
        Those of the command line.
    endings : tuple of str
        Endings of data that the model takes.

    Returns
    -------
    files : list of pathlib.Path
        Files, and folders that hold the pictures of one scan.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or nothing in a folder.
    ValueError
        If a file has another ending.
    """
    files = []
    for path in options.inputs:
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


def result_files(files, options):
    """Return the file of results of each file of data.

    Parameters
    ----------
    files : list of pathlib.Path
        Files of data.
    options : argparse.Namespace
        Those of the command line.

    Returns
    -------
    targets : dict
        For each file of data that of its results.

    Raises
    ------
    ValueError
        If results would overwrite data or each other, or have a format that
        cannot hold them.
    """
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
    _check_formats(targets.values(), options)
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
