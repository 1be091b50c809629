# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Slices of the volumes in NIfTI files."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np

from odl_equivariant._checks import one_of, whole_number
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant.data._checks import grid
from odl_equivariant.data.slices.folders import FolderSlices
from odl_equivariant.data.slices.geometry import SliceGeometry
from odl_equivariant.data.slices.nifti.files import (
    group_of,
    nifti_index,
    placed,
)
from odl_equivariant.data.slices.values import Values

__all__ = ('NiftiSlices',)


CONVENTIONS = ('radiological', 'neurological')


class NiftiSlices(FolderSlices):
    """Slices of NIfTI volumes, turned to the closest anatomical planes.

    The axes of a volume are permuted and reversed according to its affine map.
    Then they point approximately to the patient's right, front and head. There
    is no interpolation. ``scl_slope`` and ``scl_inter`` of the file are
    applied to its values. As in the standard, a slope of 0 means that there is
    none.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file. Files end with
        ``.nii`` or ``.nii.gz``.
    axis : {0, 1, 2}, optional
        Axis along which slices are numbered: 0 for sagittal slices, from left
        to right; 1 for coronal slices, from back to front; 2 for axial slices,
        from feet to head.
    convention : {'radiological', 'neurological'}, optional
        The side from which slices are seen. ``'radiological'`` is the view of
        DICOM files: axial slices from the feet, coronal slices from the
        front, with the patient's left at the viewer's right; sagittal slices
        with the face at the viewer's left. ``'neurological'`` is the view
        from the opposite side.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled, see `Slices`.
    cache, progress : optional
        See `DicomSlices`.
    spacing : float or tuple of 2 floats, optional
        Size of the pixels, in millimetres, to which slices are resampled, see
        `Slices`. Only within slices: their distance stays as it is.
    unit : {'HU', '1/m', 'relative'}, optional
        For volumes of computed tomography, whose values are Hounsfield units.
        NIfTI does not say so; a volume whose middle slice has no negative
        value is refused. See `DicomSlices`.
    scale : {'max', 'percentile'} or float, optional
        For other volumes, see `DicomSlices`. All slices of a volume have one
        factor, for which the volume is read once.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``, ``#`` and the number of the
        slice, from 0. If the file has several volumes, ``#volume.slice``.
    groups : list of str
        The subject, if the path contains one as in BIDS, such as ``sub-01``;
        otherwise the file.
    volumes : list of str
        The file of each slice. If it has several volumes, ``#`` and the
        number of the volume follow.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no volume; if a file states no valid size of its voxels
        and ``spacing`` is given; if values are no Hounsfield units and
        ``unit`` is given. The message names the file and the field. On
        access, if a file is damaged.
    ImportError
        If nibabel is not installed.

    Notes
    -----
    A slice of a ``.nii`` file is read without the rest of the file. In a
    compressed file, everything before the slice is decompressed first, which
    takes long.

    Sizes, positions and directions of voxels are those of the affine map,
    which ``geometry`` gives in the coordinates of DICOM. ``xyzt_units`` is
    applied, and an unknown unit is the millimetre. The map is that of the
    ``sform``, then of the ``qform``, then of ``pixdim``.

    Examples
    --------
    >>> import os, tempfile
    >>> import nibabel
    >>> volume = nibabel.Nifti1Image(np.ones((4, 5, 6), 'float32'), np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nibabel.save(volume, os.path.join(folder, 'sub-01.nii.gz'))
    ...     slices = NiftiSlices(folder, axis=1)
    ...     len(slices), slices[0].shape, slices.groups[0]
    (5, (4, 6), 'sub-01')
    """

    def __init__(
        self,
        folder: PathLike,
        axis: int = 2,
        convention: Literal['radiological', 'neurological'] = 'radiological',
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: Spacing | None = None,
        unit: Literal['HU', '1/m', 'relative'] | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
    ) -> None:
        values = Values(unit, scale)
        self.axis = whole_number('axis', axis, 0, 2)
        self.convention = one_of('convention', convention, CONVENTIONS)
        shape = grid(shape)
        index = nifti_index(folder, unit, cache, progress)
        items, names, volumes = [], [], []
        for name, volume in index.entries:
            counts = range(volume['shape'][volume['axes'][self.axis]])
            for *others, i in itertools.product(
                *map(range, volume['shape'][3:]), counts
            ):
                items.append((name, {**volume, 'slice': i, 'volume': others}))
                names.append(name + '#' + '.'.join(map(str, [*others, i])))
                volumes.append('#'.join([name, *_numbers(others)]))
        super().__init__(
            index,
            items,
            names,
            [group_of(name) for name, _ in items],
            shape,
            spacing,
            volumes,
            values,
        )

    def _read(self, path, name, entry):
        import nibabel

        proxy = nibabel.load(path).dataobj
        # for each axis of the body, the axis of the file and its direction
        axes, signs = entry['axes'], entry['signs']
        where = [slice(None)] * 3 + entry['volume']
        n = proxy.shape[axes[self.axis]]
        i = entry['slice']
        where[axes[self.axis]] = i if signs[self.axis] > 0 else n - 1 - i
        image = np.asarray(proxy[tuple(where)])
        across, up = (k for k in range(3) if k != self.axis)
        if axes[across] > axes[up]:
            image = image.T
        if signs[across] < 0:
            image = image[::-1]
        if signs[up] < 0:
            image = image[:, ::-1]
        return image[::-1] if self.convention == 'radiological' else image

    def _all_of(self, items):
        import nibabel

        # In a compressed file, one slice takes as long as all before it.
        (name, entry), *_ = items

        def read(path, name, entry):
            proxy = nibabel.load(path).dataobj
            return np.asarray(proxy[(..., *entry['volume'])])

        return [self._values.in_unit(self._from_item((name, entry), read))]

    def _in_plane(self, entry):
        """Return the axes of the file along a slice, and their directions."""
        across, up = (k for k in range(3) if k != self.axis)
        sign = -1 if self.convention == 'radiological' else 1
        return (
            (entry['axes'][across], sign * entry['signs'][across]),
            (entry['axes'][up], entry['signs'][up]),
        )

    def _pixel(self, entry):
        if entry['fault']:
            return None
        return [entry['sides'][k] for k, _ in self._in_plane(entry)]

    def _fault(self, entry):
        return entry['fault']

    def _located(self, entry):
        across = entry['axes'][self.axis]
        n, i = entry['shape'][across], entry['slice']
        where = i if entry['signs'][self.axis] > 0 else n - 1 - i
        shape, position, directions = placed(
            entry, self._in_plane(entry), {across: where}
        )
        return SliceGeometry(
            shape, tuple(self._pixel(entry)), position, directions
        )


def _numbers(others):
    """Return the number of a volume of a file, if there are several."""
    return ['.'.join(map(str, others))] if others else []
