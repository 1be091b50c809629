# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images in arrays of NumPy."""

from __future__ import annotations

from typing import Literal

import numpy as np

from odl_equivariant._array_files import read_array
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant.data._checks import grid
from odl_equivariant.data.slices.base import checked_spacing
from odl_equivariant.data.slices.folders import SlicesOfGivenPixels
from odl_equivariant.data.slices.geometry import SliceGeometry
from odl_equivariant.data.slices.grids import float_dtype
from odl_equivariant.data.slices.index import FolderIndex, NoImage
from odl_equivariant.data.slices.values import Values, check_air

__all__ = ('NumpySlices',)


_MOST_COLOURS = 4


class NumpySlices(SlicesOfGivenPixels):
    """Images in ``.npy`` files of two or three dimensions.

    Arrays are not reordered: axis 0 is x, to the viewer's right, axis 1 is y,
    upwards. If there are three dimensions, the first one counts images. Files
    whose last of three axes seems to be colour, as in the shape (64, 64, 3),
    are skipped.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled, see `Slices`.
    cache, progress : optional
        See `DicomSlices`.
    spacing : float or tuple of 2 floats, optional
        Size of the pixels, in millimetres, to which images are resampled, see
        `Slices`. Needs ``pixel_size``.
    unit : {'HU', '1/m', 'relative'}, optional
        For arrays of Hounsfield units, see `DicomSlices`. A file whose middle
        image has no negative value, or whose values differ by less than 100
        and are not near those of air, is refused. Default: values stay as they
        are, in whatever unit, which the format does not state.
    scale : {'max', 'percentile'} or float, optional
        For other arrays, see `DicomSlices`. All images of a file have one
        factor.
    pixel_size : float or tuple of 2 floats, optional
        Size of the pixels of all files, in millimetres, along both axes,
        which the format does not state.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``. If the array has three
        dimensions, ``#`` and the number of the image, from 0, follow.
    groups : list of str
        The file of each image.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no array, if ``spacing`` is given and ``pixel_size`` is
        not, if values are no Hounsfield units and ``unit`` is given, or, on
        access, if a file is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, 'three.npy'), np.ones((3, 8, 9)))
    ...     slices = NumpySlices(folder)
    ...     slices.names, slices[2].shape
    (['three.npy#0', 'three.npy#1', 'three.npy#2'], (8, 9))

    Pixels of 2 x 1 mm become squares of 1 mm:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, 'one.npy'), np.ones((8, 9)))
    ...     slices = NumpySlices(folder, spacing=1, pixel_size=(2, 1))
    ...     slices[0].shape, slices.geometry(0).extent
    ((16, 9), (16.0, 9.0))
    """

    def __init__(
        self,
        folder: PathLike,
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: Spacing | None = None,
        unit: Literal['HU', '1/m', 'relative'] | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
        pixel_size: Spacing | None = None,
    ) -> None:
        values = Values(unit, scale)
        self.pixel_size = checked_spacing(pixel_size, 'pixel_size')
        shape = grid(shape)
        index = FolderIndex(
            folder,
            'numpy',
            _describe_numpy,
            suffixes=('.npy',),
            cache=cache,
            progress=progress,
            is_entry=_is_numpy_entry,
        )
        items = [
            (name, {'slice': i})
            for name, entry in index.entries
            for i in ([None] if entry['n'] is None else range(entry['n']))
        ]
        names = [
            name if entry['slice'] is None else f'{name}#{entry["slice"]}'
            for name, entry in items
        ]
        files = [name for name, _ in items]
        super().__init__(
            index, items, names, files, shape, spacing, files, values
        )
        if unit is not None:
            for name, entry in index.entries:
                n = entry['n']
                middle = (name, {'slice': None if n is None else n // 2})
                check_air(
                    index.path(name), self._from_item(middle, self._read), unit
                )

    def _geometry(self, place):
        if self.pixel_size is None:
            return None
        array = self._from_item(
            self._items[place],
            lambda path, name, entry: read_array(path, mapped=True),
        )
        return SliceGeometry(array.shape[-2:], self.pixel_size)

    def _read(self, path, name, entry):
        array = read_array(path, mapped=True)
        if array.ndim != (2 if entry['slice'] is None else 3):
            raise ValueError(f'it has the shape {array.shape} now')
        return np.array(
            array if entry['slice'] is None else array[entry['slice']]
        )


def _describe_numpy(path):
    """Return the index entry of an array, in a list."""
    array = read_array(path, mapped=True)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise NoImage(f'it has the shape {array.shape}')
    if array.ndim == 3 and array.shape[2] <= _MOST_COLOURS < min(
        array.shape[:2]
    ):
        raise NoImage(
            f'it has the shape {array.shape}: its last axis seems to be '
            'colour, but axis 0 must count images, and axes 1 and 2 must be '
            'x and y'
        )
    float_dtype(array.dtype)
    return [{'n': len(array) if array.ndim == 3 else None}]


def _is_numpy_entry(entry):
    if entry.keys() != {'n'}:
        return False
    n = entry['n']
    return n is None or type(n) is int and n > 0
