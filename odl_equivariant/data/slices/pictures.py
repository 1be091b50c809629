# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Pictures: PNG, JPEG and TIFF files."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from odl_equivariant._packages import import_package
from odl_equivariant._types import ImageShape, PathLike, Spacing
from odl_equivariant._warnings import warn_user
from odl_equivariant.data._checks import grid
from odl_equivariant.data._tiff import decode_in_native_order, kind_of_integers
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
# The tag NewSubfileType of TIFF, and its bit for a smaller copy.
_SUBFILE, _SMALLER = 254, 1
# The tag PhotometricInterpretation of TIFF, and its value for a negative.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
# Pictures of 16 bits whose largest value is between these are dark.
_BYTE, _DARK = 255 / 65535, 0.25


class ImageSlices(SlicesOfGivenPixels):
    """Pictures in a folder, as grey values from 0 for black to 1 for white.

    Colours become the luminance of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.
    Transparency is ignored. Pictures of floating-point numbers keep their
    values. Negatives in TIFF files, where 0 is white, are inverted. The
    orientation in the EXIF data of a photograph is applied. All pages of a
    TIFF file are images, of other formats the first picture.

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
        Path of each file relative to ``folder``, and ``#i`` for page i of
        several.
    groups : list of str
        Path of the file of each image.
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

    Warns
    -----
    UserWarning
        If no picture of 16 bits is above a quarter of white, as where 12 bits
        are stored in 16, and there is no ``scale``.

    Notes
    -----
    Axis 0 is x, to the viewer's right, axis 1 is y, upwards: of a picture
    with n columns and m rows, the image has the shape ``(n, m)``, and
    ``image[0, 0]`` is its lower left pixel. Smaller copies of a picture in a
    TIFF file are left out.

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
            {'pages': 'all'},
            suffixes=_SUFFIXES,
            cache=cache,
            progress=progress,
        )
        files = [name for name, _ in index.entries]
        names = [
            f'{name}#{entry["page"]}' if entry['several'] else name
            for name, entry in index.entries
        ]
        super().__init__(
            index, index.entries, names, files, shape, spacing, files, values
        )
        if scale is None:
            _check_white([entry['largest'] for _, entry in index.entries])

    def _located(self, entry):
        return SliceGeometry(tuple(entry['shape']), self.pixel_size)

    def _read(self, path, name, entry):
        from PIL import Image

        with Image.open(path) as file:
            file.seek(entry['page'])
            return _grey_values(file)[0]


def _describe(path):
    """Return the index entries of the pictures of a file."""
    from PIL import Image

    entries = []
    with Image.open(path) as file:
        n = getattr(file, 'n_frames', 1) if file.format == 'TIFF' else 1
        for page in range(n):
            file.seek(page)
            if getattr(file, 'tag_v2', {}).get(_SUBFILE, 0) & _SMALLER:
                continue
            values, white = _grey_values(file)
            entries.append(
                {
                    'shape': list(values.shape),
                    'page': page,
                    # of 16 bits, how much of white there is
                    'largest': float(values.max()) if white > 255 else None,
                }
            )
    if not entries:
        raise NoImage('all of its pictures are smaller copies of others')
    several = len(entries) > 1
    return [{**entry, 'several': several} for entry in entries]


def _check_white(largest):
    """Warn if pictures of 16 bits are dark, all of them."""
    known = [value for value in largest if value is not None]
    # more than a byte, as a byte in 16 bits has hardly any values
    if known and _BYTE < max(known) <= _DARK:
        warn_user(
            f'none of the {len(known)} pictures of 16 bits is brighter than '
            f'{round(65535 * max(known))} of 65535, {max(known):.3g} of '
            "white: are fewer bits stored in them? `scale='max'` makes the "
            'largest value of each file 1, and a number multiplies all, such '
            'as `scale=65535 / 4095` for 12 bits',
            UserWarning,
        )


def _grey_values(file: Any) -> tuple[np.ndarray, int]:
    """Return the picture of an open file, with axis 0 to the right.

    And the value of white.
    """
    from PIL import ImageOps

    decode_in_native_order(file)
    n_bits, is_signed = kind_of_integers(file)
    if file.mode == 'I' or (file.mode == 'L' and is_signed):
        kind = 'integers with a sign' if is_signed else 'integers'
        raise NoImage(
            f'it has {kind} of {n_bits or 32} bits, of which white is not '
            'known: convert it to floating-point numbers, or to 8 or 16 bits '
            'without a sign'
        )
    picture = ImageOps.exif_transpose(file)
    if picture.mode != _FLOATS and picture.mode not in _WHITE:
        picture = picture.convert('L')
    white = _WHITE.get(picture.mode, 1)
    values = np.asarray(picture, 'float32') / np.float32(white)
    tags = getattr(file, 'tag_v2', {})
    # pillow inverts negatives of 8 bits itself
    if white > 255 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 1 - values
    return np.ascontiguousarray(values[::-1].T), white
