# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Pictures: PNG, JPEG and TIFF files."""

from __future__ import annotations

import pathlib
from typing import Literal

import numpy as np

from odl_equivariant._packages import import_package
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant.data._checks import grid
from odl_equivariant.data.slices.base import checked_spacing
from odl_equivariant.data.slices.folders import SlicesOfGivenPixels
from odl_equivariant.data.slices.geometry import SliceGeometry
from odl_equivariant.data.slices.index import FolderIndex, NoImage
from odl_equivariant.data.slices.values import Values

__all__ = ('ImageSlices',)

_SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp')
# Modes of pillow whose values are grey, and the value of white.
_WHITE = {'1': 1, 'L': 255, 'I;16': 65535, 'I;16B': 65535, 'I;16L': 65535}
_FLOATS = 'F'


class ImageSlices(SlicesOfGivenPixels):
    """Pictures in a folder, as grey values from 0 for black to 1 for white.

    Colours become the luminance of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.
    Transparency is ignored. Pictures of floating-point numbers keep their
    values. The orientation in the EXIF data of a photograph is applied.

    Parameters
    ----------
    folder : path-like
        Folder, including folders below it, or a single file. Files end with
        ``.png``, ``.jpg``, ``.jpeg``, ``.tif``, ``.tiff``, ``.bmp`` or
        ``.webp``.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled, see `Slices`.
    cache, progress : optional
        See `DicomSlices`.
    spacing : float or tuple of 2 floats, optional
        Size of the pixels, in millimetres, to which images are resampled, see
        `Slices`. Needs ``pixel_size``.
    scale : {'max', 'percentile'} or float, optional
        Factor of the values, or the magnitude of each picture that becomes
        1, see `DicomSlices`.
    pixel_size : float or tuple of 2 floats, optional
        Size of the pixels of all pictures, in millimetres, along both axes.
        What files say about their resolution is that of a print, and is not
        used.

    Attributes
    ----------
    names : list of str
        Path of each file relative to ``folder``.
    groups : list of str
        The same: each picture is a group of its own.
    index : object
        ``index.skipped`` has the name of each file that could not be used,
        and the reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or, on access, if a file has vanished.
    ValueError
        If there is no picture, if ``spacing`` is given and ``pixel_size`` is
        not, or, on access, if a file is damaged.
    ImportError
        If pillow is not installed.

    Notes
    -----
    Axis 0 is x, to the viewer's right, axis 1 is y, upwards: of a picture
    with n columns and m rows, the image has the shape ``(n, m)``, and
    ``image[0, 0]`` is its lower left pixel. Of a file with several pictures,
    the first one is taken.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> picture = np.array([[0, 51], [102, 255]], 'uint8')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(picture).save(os.path.join(folder, 'four.png'))
    ...     slices = ImageSlices(folder)
    ...     slices.names, np.allclose(slices[0], [[0.4, 0], [1, 0.2]])
    (['four.png'], True)
    """

    def __init__(
        self,
        folder: PathLike,
        shape: ImageShape | None = None,
        cache: PathLike | None = None,
        progress: bool = True,
        spacing: Spacing | None = None,
        scale: Literal['max', 'percentile'] | float | None = None,
        pixel_size: Spacing | None = None,
    ) -> None:
        values = Values(None, scale)
        self.pixel_size = checked_spacing(pixel_size, 'pixel_size')
        import_package('PIL.Image', 'reading pictures')
        shape = grid(shape)
        index = FolderIndex(
            folder,
            'pictures',
            _describe,
            suffixes=_SUFFIXES,
            cache=cache,
            progress=progress,
        )
        names = [name for name, _ in index.entries]
        super().__init__(
            index, index.entries, names, names, shape, spacing, names, values
        )

    def _located(self, entry):
        return SliceGeometry(tuple(entry['shape']), self.pixel_size)

    def _read(self, path, name, entry):
        return _grey_values(path)


def _describe(path):
    """Return the index entry of a picture, in a list."""
    return [{'shape': list(_grey_values(path).shape)}]


def _grey_values(path: pathlib.Path) -> np.ndarray:
    """Return the first picture of a file, with axis 0 to the right."""
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)
        if picture.mode == 'I':
            raise NoImage(
                'it has integers of 32 bits, of which white is not known: '
                'convert it to 16 bits or to floating-point numbers'
            )
        if picture.mode != _FLOATS and picture.mode not in _WHITE:
            picture = picture.convert('L')
        white = _WHITE.get(picture.mode, 1)
        values = np.asarray(picture, 'float32') / np.float32(white)
    return np.ascontiguousarray(values[::-1].T)
