# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Writes images with their spacing and how they were made."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import odl

import odl_equivariant
from odl_equivariant._checks import one_of, positive_number
from odl_equivariant._files import write_files
from odl_equivariant._packages import import_package
from odl_equivariant._types import Image, PathLike
from odl_equivariant._warnings import warn_user
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.results.dicom import LONGEST, dicom_content
from odl_equivariant.data.results.origin import provenance as of_process
from odl_equivariant.data.units import LengthUnit, convert_length

__all__ = ('ENDINGS', 'write_result')

ENDINGS = ('.nii.gz', '.nii', '.npy', '.dcm')
_UNITS = ('m', 'cm', 'mm', 'um')
# Codes of NIfTI: coordinates of a scanner.
_SCANNER = 1
# Cells shorter than this, in millimetres, may be in another unit.
_SHORT = 1e-2
# Precisions that NIfTI has not, and those that hold them.
_FOR_NIFTI = {'e': 'f4', 'g': 'f8', 'G': 'c16'}


def write_result(
    path: PathLike,
    image: Image,
    spacing: float | tuple[float, ...] | None = None,
    length_unit: LengthUnit | None = None,
    unit: str = '',
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an image, and beside it how it was made.

    Parameters
    ----------
    path : path-like
        File to write, in a folder that exists. Its ending is the format:

        - ``.npy``: the values as they are;
        - ``.nii``, ``.nii.gz``: NIfTI, in the precision of the image, with
          its spacing and position; whole numbers and numbers of extended
          precision in double, those of half precision in single precision;
        - ``.dcm``: a secondary capture of DICOM, for real images in 2D, with
          its spacing. Values have 16 bits, with a slope and an intercept.
    image : element of a DiscretizedSpace, array-like or torch.Tensor
        Image of shape ``(n_x, n_y)`` or ``(n_x, n_y, n_z)``.
    spacing : float or tuple of float, optional
        Sides of a cell. Default: those of the space of an element. NIfTI and
        DICOM need them.
    length_unit : {'m', 'cm', 'mm', 'um'}, optional
        Unit of the spacing, or of the lengths of the space. The spaces of
        `SparseViewCT` and `CartesianMRI` are in ``'m'``. Default: ``'mm'``.
    unit : str, optional
        Unit of the values, such as ``'1/mm'`` or ``'HU'``.
    provenance : dict, optional
        What JSON can hold, see `odl_equivariant.data.provenance`. Default:
        versions and the command.

    Returns
    -------
    written : dict
        What was written to ``<name>.provenance.json`` beside the file: the
        provenance, ``unit``, ``spacing`` and ``origin`` in millimetres (the
        middle of the first cell), and for DICOM ``largest_error``, the
        largest error of a value by rounding: half of the range over 65535.

    Raises
    ------
    ValueError
        If the ending is unknown, the image has values that are not finite
        or another number of axes, nothing says how long a cell is, or cells
        differ in size.
    FileNotFoundError
        If there is no such folder.

    Warns
    -----
    UserWarning
        If no unit is given, and the cells of a space would be shorter than a
        hundredth of a millimetre.

    Notes
    -----
    Axis 0 is x and axis 1 is y. A picture in DICOM has the rows of
    ``numpy.rot90(image)``, and both formats say that x points to the right
    and y to the front of who lies in the scanner.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / 'image.npy'
    >>> written = write_result(path, np.eye(4), spacing=0.5, unit='1/mm')
    >>> written['spacing'], sorted(p.name for p in path.parent.iterdir())
    ([0.5, 0.5], ['image.npy', 'image.provenance.json'])
    >>> folder.cleanup()
    """
    path = pathlib.Path(path)
    ending = next((e for e in ENDINGS if path.name.endswith(e)), None)
    if ending is None:
        raise ValueError(
            f'{path}: results end in {", ".join(ENDINGS)}, got '
            f'{path.suffix or "no ending"!r}'
        )
    one_of('length_unit', length_unit, (*_UNITS, 'cell'), optional=True)
    array = as_array(image)
    if array.ndim not in (2, 3) or array.dtype.kind not in 'fiuc':
        raise ValueError(
            f'{path}: an image has 2 or 3 axes of numbers, got the shape '
            f'{array.shape} and the dtype {array.dtype}'
        )
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad:
        raise ValueError(
            f'{path}: {n_bad} of {array.size} values of the image are '
            'infinite or not a number'
        )
    sides, origin = _grid(image, array, spacing, length_unit)
    made = dict(of_process() if provenance is None else provenance)
    made.update(unit=unit, shape=list(array.shape))
    if sides is not None:
        made.update(spacing=sides, origin=origin)
    elif ending != '.npy':
        raise ValueError(
            f'{path}: files {ending} say how long a cell is: pass `spacing` '
            'and `length_unit`, which must not be a cell'
        )
    if ending == '.npy':
        content = _npy(array)
    elif ending == '.dcm':
        if array.ndim != 2 or array.dtype.kind == 'c':
            raise ValueError(
                f'{path}: files of DICOM hold one real image in 2D, got '
                f'{array.ndim} axes and the dtype {array.dtype}; write each '
                'slice to a file, or the magnitude'
            )
        if max(array.shape) > LONGEST:
            raise ValueError(
                f'{path}: an image in DICOM has at most {LONGEST} rows and '
                f'columns, got the shape {array.shape}'
            )
        content, error = dicom_content(
            array,
            sides,
            origin,
            unit,
            json.dumps(made, sort_keys=True),
            f'odl_equivariant {odl_equivariant.__version__}',
        )
        made['largest_error'] = error
    else:
        content = _nifti(array, sides, origin, made)
        if ending == '.nii.gz':
            # without the time: equal images have equal files
            content = gzip.compress(content, mtime=0)
    stem = path.name.removesuffix(ending)
    text = json.dumps(made, indent=1, sort_keys=True)
    beside = path.with_name(f'{stem}.provenance.json')
    write_files({path: content, beside: text.encode()})
    return made


def _grid(image, array, spacing, length_unit):
    """Return sides of a cell, and the middle of the first, in mm."""
    space = getattr(image, 'space', None)
    if spacing is None and isinstance(space, odl.DiscretizedSpace):
        if not space.partition.is_uniform:
            raise ValueError(
                f'the cells of {space!r:.200} are of several sizes, and files '
                'of images have one: resample it, or pass `spacing`'
            )
        # not the extent by the shape, which is wrong with nodes on the border
        sides = np.asarray(space.cell_sides, dtype=float)
        origin = np.asarray(space.grid.min_pt, dtype=float)
    elif spacing is not None:
        lengths = np.ravel(np.asarray(spacing)).tolist()
        if len(lengths) not in (1, array.ndim):
            raise ValueError(
                f'`spacing` must be a number or {array.ndim} numbers, got '
                f'{spacing!r:.80}'
            )
        sides = np.array([positive_number('spacing', s) for s in lengths])
        sides = np.broadcast_to(sides, (array.ndim,))
        origin = -sides * (np.array(array.shape) - 1) / 2
    else:
        return None, None
    if length_unit == 'cell':
        return None, None
    if length_unit is None:
        length_unit = 'mm'
        if spacing is None and sides.min() < _SHORT:
            warn_user(
                f'the cells of the space are {sides.min():.3g} mm long if its '
                "lengths are in millimetres: pass `length_unit='m'` for the "
                'spaces of `SparseViewCT` and `CartesianMRI`, which are in '
                "metres, or `length_unit='mm'` if this is right",
                UserWarning,
            )
    factor = convert_length(1.0, length_unit, 'mm')
    return (factor * sides).tolist(), (factor * origin).tolist()


def _npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _nifti(array, sides, origin, made):
    """Return a file of NIfTI with the axes x, y and z."""
    nibabel = import_package('nibabel', 'a file of NIfTI')
    volume = array[..., None] if array.ndim == 2 else array
    affine = np.eye(4)
    for axis, (side, place) in enumerate(zip(sides, origin, strict=True)):
        affine[axis, axis], affine[axis, 3] = side, place
    if array.dtype.kind in 'iu':
        volume = volume.astype(float)
    elif volume.dtype.char in _FOR_NIFTI:
        volume = volume.astype(_FOR_NIFTI[volume.dtype.char])
    if volume.dtype.byteorder == '>':
        volume = volume.astype(volume.dtype.newbyteorder('='))
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units('mm')
    image.set_sform(affine, _SCANNER)
    image.set_qform(affine, _SCANNER)
    text = json.dumps(made, sort_keys=True).encode()
    image.header.extensions.append(
        nibabel.nifti1.Nifti1Extension('comment', text)
    )
    return image.to_bytes()
