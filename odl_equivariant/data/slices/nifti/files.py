# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What a NIfTI file says of its voxels."""

import gzip
import math
import re

import numpy as np

from odl_equivariant._packages import import_package
from odl_equivariant.data.slices.index import FolderIndex, NoImage
from odl_equivariant.data.slices.values import check_air

__all__ = ('group_of', 'nifti_index', 'placed')

# Codes of xyzt_units: metre, millimetre, micrometre.
MILLIMETRES = {1: 1e3, 2: 1.0, 3: 1e-3}
# Columns of an affine map are perpendicular up to so much.
SKEW = 1e-2
_PIECE = 2**20
_SUBJECT = re.compile(r'(?:^|/|_)(sub-[A-Za-z0-9]+)')


def nifti_index(folder, unit, cache, progress):
    """Return the index of the files of NIfTI in a folder.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file.
    unit : str or None
        As for `NiftiSlices`. Default: values may be any.
    cache, progress
        As for `DicomSlices`.

    Returns
    -------
    index : FolderIndex
        Its entries are those of `describe`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If there is no volume, or one cannot be in Hounsfield units, and
        ``unit`` is given.
    ImportError
        If nibabel is not installed.
    """
    import_package('nibabel', 'reading NIfTI files')
    index = FolderIndex(
        folder,
        'nifti',
        describe,
        suffixes=('.nii', '.nii.gz'),
        cache=cache,
        progress=progress,
    )
    if unit is not None:
        for name, entry in index.entries:
            check_hounsfield(index.path(name), entry['shape'], unit)
    return index


def group_of(name):
    """Return the subject that the name of a file contains, or the name."""
    subject = _SUBJECT.search(name)
    return subject[1] if subject else name


def placed(entry, axes, inside=None):
    """Return where a part of a volume lies, in the coordinates of DICOM.

    Parameters
    ----------
    entry : dict
        What `describe` says of the file.
    axes : sequence of tuple
        The axes of the file along the part, and their directions, 1 or -1.
    inside : dict, optional
        The index along each of the other axes.

    Returns
    -------
    shape : tuple of int
        Number of voxels along the axes.
    position : tuple of 3 floats
        Centre of the first voxel, in millimetres.
    directions : tuple of tuples of 3 floats
        Unit vectors along the axes.
    """
    affine = np.array(entry['affine'])
    # from right and front to left and back
    affine[:2] *= -1
    corner, directions = np.zeros(3), []
    for k, i in (inside or {}).items():
        corner[k] = i
    for k, sign in axes:
        corner[k] = 0 if sign > 0 else entry['shape'][k] - 1
        step = sign * affine[:3, k] / entry['sides'][k]
        directions.append(tuple(step.tolist()))
    return (
        tuple(entry['shape'][k] for k, _ in axes),
        tuple((affine[:3, :3] @ corner + affine[:3, 3]).tolist()),
        tuple(directions),
    )


def describe(path):
    """Return the index entry of a file, in a list.

    Parameters
    ----------
    path : path-like
        File of NIfTI.

    Returns
    -------
    entries : list of one dict
        ``shape``; ``axes`` and ``signs``, for each axis of the body (to the
        right, to the front, to the head) the axis of the file and its
        direction; ``affine``, three rows, and ``sides`` of a voxel in
        millimetres; ``fault``, why these are not known, or ``None``.

    Raises
    ------
    NoImage
        If it is no volume of numbers, its values or its map are not finite,
        or the map is singular.
    OSError
        If the file ends early, or its checksum is wrong.
    """
    import nibabel

    image = nibabel.load(path)
    shape = [int(n) for n in image.shape]
    if len(shape) < 3 or 0 in shape:
        raise NoImage(f'it is not a volume: its shape is {tuple(shape)}')
    if image.get_data_dtype().kind not in 'biufc':
        raise NoImage(
            f'it does not contain numbers, but {image.get_data_dtype()}'
        )
    raw = _raw_header(path, type(image.header))
    if np.isinf(raw['scl_slope']):
        # nibabel silently ignores it
        raise NoImage(f'its scl_slope is {raw["scl_slope"]}')
    if not np.isfinite(image.affine).all():
        raise NoImage(
            'its affine map has values that are not finite (srow_x, srow_y, '
            'srow_z, or pixdim)'
        )
    orientation = nibabel.io_orientation(image.affine)
    if np.isnan(orientation).any():
        raise NoImage('its affine map is singular')
    # a truncated file has no last voxel
    np.asarray(image.dataobj[(-1,) * len(shape)])
    _check_sum(path)
    axes = [int(np.flatnonzero(orientation[:, 0] == k)[0]) for k in range(3)]
    affine = image.affine[:3].astype(float) * _millimetres(raw)
    return [
        {
            'shape': shape,
            'axes': axes,
            'signs': [int(orientation[k, 1]) for k in axes],
            'affine': affine.tolist(),
            'sides': np.linalg.norm(affine[:, :3], axis=0).tolist(),
            'fault': _fault(raw, affine),
        }
    ]


def _check_sum(path):
    """Read a compressed file to its end, where its checksum is compared.

    Reading voxels ends before it, and takes damaged values as they are.
    """
    if str(path).lower().endswith('.gz'):
        with gzip.open(path) as file:
            while file.read(_PIECE):
                pass


def _raw_header(path, kind):
    """Return the header of a file, before nibabel mends its values."""
    import nibabel

    with nibabel.openers.ImageOpener(path) as file:
        return kind.from_fileobj(file, check=False)


def _millimetres(header):
    """Return how many millimetres the unit of length of a file is."""
    return MILLIMETRES.get(int(header['xyzt_units']) & 7, 1.0)


def _fault(header, affine):
    """Return why nothing says how large voxels are, or None."""
    has_map = header['sform_code'] > 0
    sides = [float(side) for side in header['pixdim'][1:4]]
    if not has_map and not all(0 < side < math.inf for side in sides):
        return (
            'its pixdim[1:4] must be three positive numbers, and is '
            f'{sides}, and it has no sform'
        )
    columns = affine[:, :3] / np.linalg.norm(affine[:, :3], axis=0)
    if not np.allclose(columns.T @ columns, np.eye(3), rtol=0, atol=SKEW):
        return 'its affine map is skew, so that voxels are no boxes'
    return None


def check_hounsfield(path, shape, unit):
    """Raise a ValueError if a volume cannot be in Hounsfield units."""
    import nibabel

    proxy = nibabel.load(path).dataobj
    where = [slice(None)] * 2 + [n // 2 for n in shape[2:]]
    check_air(path, np.asarray(proxy[tuple(where)]), unit)
