# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Volumes in NIfTI files and in arrays of NumPy, mapped to memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from odl_equivariant._array_files import read_array
from odl_equivariant._types import PathLike, VolumeShape, VoxelSpacing
from odl_equivariant.data.slices.base import checked_spacing
from odl_equivariant.data.slices.folders import FolderSlices
from odl_equivariant.data.slices.grids import float_dtype
from odl_equivariant.data.slices.index import FolderIndex, NoImage
from odl_equivariant.data.slices.nifti.files import (
    group_of,
    nifti_index,
    placed,
)
from odl_equivariant.data.slices.values import (
    AIR_HU,
    LOWEST_HU,
    Values,
    check_air,
)
from odl_equivariant.data.volumes.base import Volumes
from odl_equivariant.data.volumes.geometry import VolumeGeometry

__all__ = ('NiftiVolumes', 'NumpyVolumes')


class _FolderVolumes(Volumes, FolderSlices):
    """Volumes in the files of a folder.

    Subclasses define ``_mapped(path, name, entry)``: an array, mapped to
    memory if possible, with the axes of the volume, and a function that makes
    values of a part of it.
    """

    def __init__(
        self,
        index: FolderIndex,
        items: Sequence[tuple[str, dict[str, Any]]],
        names: Sequence[str],
        groups: Sequence[str],
        shape: VolumeShape | None,
        spacing: VoxelSpacing | None,
        values: Values,
    ) -> None:
        grid: dict[str, Any] = {'shape': shape, 'spacing': spacing}
        FolderSlices.__init__(
            self,
            index,
            items,
            names,
            groups,
            **grid,
            volumes=names,
            values=values,
        )
        self._check_spacings()

    def _check_pixels(self):
        if self.spacing is None:
            return
        for name, entry in self._items:
            if self._fault(entry):
                raise ValueError(
                    f'{self.index.path(name)} cannot be resampled to '
                    f'`spacing`: {self._fault(entry)}; leave out `spacing`, '
                    'or this file'
                )

    def _read(self, path, name, entry):
        array, made = self._mapped(path, name, entry)
        return made(array)

    def _part(self, index, window, epoch):
        if self.shape is not None or self.spacing is not None:
            return super()._part(index, window, epoch)
        place = self._places[index]

        def read(path, name, entry):
            array, made = self._mapped(path, name, entry)
            return made(array[window])

        part = self._from_item(self._items[place], read)
        if self._values.unit is not None:
            # a box may lie outside of the field of view entirely
            part = np.where(part < LOWEST_HU, AIR_HU, part)
        part = self._values.in_unit(part)
        scale = self._values.scale
        if scale is not None:
            own = self._factor(place) if isinstance(scale, str) else scale
            part = part * own
        if not np.isfinite(part).all():
            raise ValueError(
                f'{self.names[index]} has values that are infinite or not a '
                'number'
            )
        return part.astype(float_dtype(part.dtype), copy=False)


class NiftiVolumes(_FolderVolumes):
    """Volumes of NIfTI files, with the axes of the body.

    The axes of a volume are permuted and reversed according to its affine
    map. Then they point approximately to the patient's right, front and head.
    There is no interpolation, unless ``spacing`` asks for it.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file. Files end with
        ``.nii`` or ``.nii.gz``.
    shape : tuple of 3 ints, optional
        Shape to which volumes are cut or filled, see `Volumes`.
    cache, progress : optional
        See `DicomSlices`.
    spacing : float or tuple of 3 floats, optional
        Size of the voxels, in millimetres, to which volumes are resampled,
        see `Volumes`.
    unit : {'HU', '1/m', 'relative'}, optional
        For volumes of computed tomography in Hounsfield units, see
        `NiftiSlices`.
    scale : {'max', 'percentile'} or float, optional
        For other volumes, see `DicomSlices`. Each volume has its factor, for
        which it is read once.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``. If the file has several
        volumes, ``#`` and the number of the volume follow.
    groups : list of str
        The subject, if the path contains one as in BIDS, such as ``sub-01``;
        otherwise the file.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no volume; if volumes have voxels of different sizes, and
        no ``spacing`` is given; if it is given and a file states no valid
        size of its voxels; if values are no Hounsfield units and ``unit`` is
        given. On access, if a file is damaged.
    ImportError
        If nibabel is not installed.

    Notes
    -----
    Files ``.nii`` are mapped to memory: `VolumePatches` and ``region`` read
    what they need. A compressed file is decompressed as a whole each time.

    Examples
    --------
    >>> import os, tempfile
    >>> import nibabel
    >>> volume = nibabel.Nifti1Image(np.ones((4, 5, 6), 'float32'), np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nibabel.save(volume, os.path.join(folder, 'sub-01.nii'))
    ...     volumes = NiftiVolumes(folder, spacing=2)
    ...     volumes[0].shape, volumes.groups, volumes.geometry(0).spacing
    ((2, 2, 3), ['sub-01'], (2.0, 2.0, 2.0))
    """

    def __init__(
        self,
        folder: PathLike,
        shape: VolumeShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: VoxelSpacing | None = None,
        unit: Literal['HU', '1/m', 'relative'] | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
    ) -> None:
        values = Values(unit, scale)
        index = nifti_index(folder, unit, cache, progress)
        items, names, groups = [], [], []
        for name, entry in index.entries:
            for others in itertools.product(*map(range, entry['shape'][3:])):
                number = '.'.join(map(str, others))
                items.append((name, {**entry, 'volume': list(others)}))
                names.append(f'{name}#{number}' if number else name)
                groups.append(group_of(name))
        super().__init__(index, items, names, groups, shape, spacing, values)

    def _mapped(self, path, name, entry):
        import nibabel
        from nibabel.volumeutils import apply_read_scaling

        proxy = nibabel.load(path).dataobj
        array = proxy.get_unscaled()[(..., *entry['volume'])]
        array = array.transpose(entry['axes'])
        array = array[tuple(slice(None, None, s) for s in entry['signs'])]

        def made(part):
            return apply_read_scaling(
                np.asarray(part), proxy.slope, proxy.inter
            )

        return array, made

    def _fault(self, entry):
        return entry['fault']

    def _located(self, entry):
        axes = list(zip(entry['axes'], entry['signs'], strict=True))
        shape, position, directions = placed(entry, axes)
        sides = tuple(entry['sides'][k] for k in entry['axes'])
        return VolumeGeometry(shape, sides, position, directions)


class NumpyVolumes(_FolderVolumes):
    """Volumes in ``.npy`` files of three or four dimensions.

    Axes are not reordered. If there are four dimensions, the first one counts
    volumes.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file.
    shape : tuple of 3 ints, optional
        Shape to which volumes are cut or filled, see `Volumes`.
    cache, progress : optional
        See `DicomSlices`.
    spacing : float or tuple of 3 floats, optional
        Size of the voxels, in millimetres, to which volumes are resampled.
        Needs ``voxel_size``.
    unit : {'HU', '1/m', 'relative'}, optional
        For arrays of Hounsfield units, see `NumpySlices`.
    scale : {'max', 'percentile'} or float, optional
        For other arrays, see `DicomSlices`. Each volume has its factor.
    voxel_size : float or tuple of 3 floats, optional
        Size of the voxels of all files, in millimetres, which the format
        does not state.

    Attributes
    ----------
    names, groups : list of str
        Path of each file relative to ``folder``; in names, ``#`` and the
        number of the volume follow if there are four dimensions.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no volume, if ``spacing`` is given and ``voxel_size`` is
        not, if values are no Hounsfield units and ``unit`` is given, or, on
        access, if a file is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, 'two.npy'), np.ones((2, 8, 9, 7)))
    ...     volumes = NumpyVolumes(folder)
    ...     volumes.names, volumes.region(1, (0, 0, 2), (4, 4, 4)).shape
    (['two.npy#0', 'two.npy#1'], (4, 4, 4))
    """

    def __init__(
        self,
        folder: PathLike,
        shape: VolumeShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: VoxelSpacing | None = None,
        unit: Literal['HU', '1/m', 'relative'] | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
        voxel_size: VoxelSpacing | None = None,
    ) -> None:
        values = Values(unit, scale)
        self.voxel_size = checked_spacing(voxel_size, 'voxel_size', 3)
        index = FolderIndex(
            folder,
            'numpy_volumes',
            _describe,
            suffixes=('.npy',),
            cache=cache,
            progress=progress,
            is_entry=_is_entry,
        )
        items, names = [], []
        for name, entry in index.entries:
            *leading, _, _, _ = entry['shape']
            for number in range(leading[0]) if leading else [None]:
                items.append((name, {**entry, 'volume': number}))
                names.append(name if number is None else f'{name}#{number}')
        files = [name for name, _ in items]
        super().__init__(index, items, names, files, shape, spacing, values)
        if unit is not None:
            for name, entry in self._items:
                array, _ = self._from_item((name, entry), self._mapped)
                middle = array[..., array.shape[-1] // 2]
                check_air(index.path(name), middle, unit)

    def _mapped(self, path, name, entry):
        array = read_array(path, mapped=True)
        if list(array.shape) != entry['shape']:
            raise ValueError(f'it has the shape {array.shape} now')
        if entry['volume'] is not None:
            array = array[entry['volume']]
        return array, np.array

    def shape_of(self, index: int) -> VolumeShape:
        """Return the shape of a volume without reading it."""
        if self.shape is None and self.spacing is None:
            entry = self._items[self._places[index]][1]
            n, m, k = entry['shape'][-3:]
            return (n, m, k)
        return super().shape_of(index)

    def _fault(self, entry):
        if self.voxel_size is not None:
            return None
        return (
            'its format does not state the size of voxels; pass '
            '`voxel_size`, in millimetres'
        )

    def _located(self, entry):
        n, m, k = entry['shape'][-3:]
        return VolumeGeometry((n, m, k), self.voxel_size)


def _describe(path):
    """Return the index entry of an array, in a list."""
    array = read_array(path, mapped=True)
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise NoImage(f'it has the shape {array.shape}')
    float_dtype(array.dtype)
    return [{'shape': list(array.shape)}]


def _is_entry(entry):
    shape = entry.get('shape')
    return (
        entry.keys() == {'shape'}
        and isinstance(shape, list)
        and len(shape) in (3, 4)
        and all(type(n) is int and n > 0 for n in shape)
    )
