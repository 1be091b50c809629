# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files of results, one for the images of each file of data."""

import logging
import tempfile

import numpy as np

from odl_equivariant.data import write_result
from odl_equivariant.training.reconstruction.image_files import write_picture

__all__ = ('ENDINGS', 'check_writable', 'ending_of', 'write_images')

# Endings of results, with the longest first.
ENDINGS = ('.nii.gz', '.nii', '.npy', '.dcm')
_log = logging.getLogger(__name__)


def ending_of(path):
    """Return the ending of a file of results, or ``None`` for a folder.

    Raises
    ------
    ValueError
        If the ending is that of a file, and unknown.

    Examples
    --------
    >>> import pathlib
    >>> ending_of(pathlib.Path('image.nii.gz'))
    '.nii.gz'
    >>> ending_of(pathlib.Path('images'))
    """
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return ending
    if path.suffix and not path.is_dir():
        raise ValueError(
            f'--output {path}: results end in {", ".join(ENDINGS)}; anything '
            'without an ending is a folder'
        )
    return None


def check_writable(output, folders):
    """Make the folders of results, before anything is computed.

    Parameters
    ----------
    output : pathlib.Path
        What the user named.
    folders : iterable of pathlib.Path
        Folders of results.

    Raises
    ------
    OSError
        If a folder cannot be made, or nothing can be written there.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(
                f'--output {output}: results cannot be written to {folder}: '
                f'{error.strerror or error}'
            ) from error


def write_images(path, images, single, sides, unit, made, pictures):
    """Write images, and beside them how they were made.

    Parameters
    ----------
    path : pathlib.Path
        File to write, with one of `ENDINGS`.
    images : list of numpy.ndarray
        Images, one for each row of a detector, or one volume.
    single : bool
        Whether there is one image, without an axis for several.
    sides : tuple of floats or None
        Sides of a cell in metres, one for each axis of an image; ``None`` if
        nothing says how long they are.
    unit : str
        Unit of the values.
    made : dict
        Provenance, see `odl_equivariant.data.provenance`.
    pictures : bool
        Whether to write a picture of each image, as PNG.
    """
    ending = ending_of(path)
    array = images[0] if single else np.stack(images)
    spacing = sides
    if ending != '.npy':
        array = np.abs(array) if np.iscomplexobj(array) else array
        array = array if single else np.moveaxis(array, 0, 2)
        if sides is None and ending != '.dcm':
            _log.warning(
                '%s: nothing says how long a cell is, and files of NIfTI say '
                'so: 1 mm is written',
                path,
            )
            made = {**made, 'spacing_is_known': False}
            spacing = images[0].ndim * (1e-3,)
    if spacing is not None and not single:
        # rows of a detector are taken for as far apart as cells
        spacing = (spacing[0], *spacing)
        spacing = spacing if ending == '.npy' else (*spacing[1:], spacing[0])
    write_result(path, array, spacing, 'm', unit, made)
    if not pictures:
        return
    stem = path.name.removesuffix(ending)
    if single and array.ndim == 3:
        single, images = False, list(np.moveaxis(images[0], 2, 0))
    for i, image in enumerate(images):
        number = '' if single else f'-{i:0{len(str(len(images) - 1))}d}'
        write_picture(image, path.with_name(f'{stem}{number}.png'))
