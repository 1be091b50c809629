# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Images of measured data, with a file beside each that says how."""

import gzip
import io
import json

import numpy as np

from odl_equivariant._files import write_files
from odl_equivariant._packages import import_package
from odl_equivariant.training.image_files import write_picture

__all__ = ('ENDINGS', 'ending_of', 'write_image')

# Endings of results, with the longest first.
ENDINGS = ('.nii.gz', '.nii', '.npy')
# In the text of a NIfTI header.
_LONGEST_TEXT = 79
# Codes of NIfTI: coordinates are those of a scanner.
_SCANNER = 1


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


def write_image(path, images, single, sides, origin, provenance, pictures):
    """Write images, and beside them JSON that says how they were made.

    Parameters
    ----------
    path : pathlib.Path
        File to write, with one of `ENDINGS`.
    images : list of numpy.ndarray
        Images, one for each row of a detector.
    single : bool
        Whether there is one image, without an axis for several.
    sides : tuple of 3 floats or None
        Sides of a cell in metres, the last one between images; ``None`` if
        they are unknown.
    origin : tuple of 2 floats
        Place of the middle of the first cell, in cells.
    provenance : dict
        What JSON can hold.
    pictures : bool
        Whether to write a picture of each image, as PNG.
    """
    ending = ending_of(path)
    array = images[0] if single else np.stack(images)
    if ending == '.npy':
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        content = content.getvalue()
    else:
        content = _nifti(array, sides, origin, provenance)
        if ending == '.nii.gz':
            # without the time, so that equal images have equal files
            content = gzip.compress(content, mtime=0)
    stem = path.name.removesuffix(ending)
    text = json.dumps(provenance, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_files({path: content, path.with_name(f'{stem}.json'): text.encode()})
    if not pictures:
        return
    for i, image in enumerate(images):
        number = '' if single else f'-{i:0{len(str(len(images) - 1))}d}'
        write_picture(image, path.with_name(f'{stem}{number}.png'))


def _nifti(array, sides, origin, provenance):
    """Return the content of a NIfTI file, whose axes are x, y and rows."""
    nibabel = import_package('nibabel', 'a file of NIfTI')
    volume = array[..., None] if array.ndim == 2 else np.moveaxis(array, 0, 2)
    if np.iscomplexobj(volume):
        volume = np.abs(volume)
    affine = np.eye(4)
    millimetres = (
        np.ones(3) if sides is None else 1e3 * np.asarray(sides, float)
    )
    affine[:3, :3] = np.diag(millimetres)
    affine[:2, 3] = np.asarray(origin) * millimetres[:2]
    image = nibabel.Nifti1Image(volume.astype(np.float32), affine)
    header = image.header
    header.set_xyzt_units('unknown' if sides is None else 'mm')
    header.set_sform(affine, _SCANNER)
    header.set_qform(affine, _SCANNER)
    header['descrip'] = (
        f'{provenance["model"]} {provenance["weights"]}, '
        f'{provenance["image_unit"]}'
    )[:_LONGEST_TEXT].encode()
    return image.to_bytes()
