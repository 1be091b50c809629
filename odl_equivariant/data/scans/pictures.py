# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reads pictures of readings: TIFF files, alone or one for each view."""

from __future__ import annotations

import pathlib
import re

import numpy as np

from odl_equivariant._packages import import_package
from odl_equivariant._warnings import strict
from odl_equivariant.data._tiff import stored_values

__all__ = ('read_picture', 'read_pictures', 'tiff_files')

_ENDINGS = ('.tif', '.tiff')
# How pillow warns of a file that ends within its tags.
_CUT_OFF = '(Possibly c|C)orrupt EXIF data'
_KINDS = ('I;16', 'I;16L', 'I;16B', 'I', 'F', 'L')


def tiff_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the TIFF files of a folder, in the order of their numbers.

    Parameters
    ----------
    folder : pathlib.Path
        Folder; those below it do not count.

    Returns
    -------
    files : list of pathlib.Path
        ``view_2.tif`` comes before ``view_10.tif``. Hidden files are left
        out.

    Raises
    ------
    ValueError
        If there is none.
    """
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _ENDINGS and not path.name.startswith('.')
    ]
    if not files:
        raise ValueError(f'{folder} has no files {" or ".join(_ENDINGS)}')
    return sorted(files, key=_numbers)


def _numbers(path):
    parts = re.split(r'(\d+)', path.name)
    return [int(p) if i % 2 else p for i, p in enumerate(parts)]


def read_picture(path: pathlib.Path) -> np.ndarray:
    """Return the readings in a TIFF file.

    Parameters
    ----------
    path : pathlib.Path
        File of one page or more, each with one channel of integers or
        floats.

    Returns
    -------
    readings : numpy.ndarray
        Array of shape ``(rows, columns)``, or ``(pages, rows, columns)``.
        The numbers are those of the file, also where it says that 0 is white.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, ends early, has colours, or pages of several shapes.
    """
    image = import_package('PIL.Image', 'a TIFF file')
    pages, mode = [], ''
    try:
        # tags that are cut off may say what the numbers are
        with strict(_CUT_OFF), image.open(path) as file:
            for number in range(getattr(file, 'n_frames', 1)):
                file.seek(number)
                mode = file.mode
                if mode not in _KINDS:
                    break
                pages.append(stored_values(file))
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no file {path}') from None
    except image.UnidentifiedImageError as error:
        raise ValueError(
            f'{path} cannot be read as TIFF. Is it complete? Or are its '
            'pixels of a kind that pillow does not know, such as numbers of '
            'double precision? Then save single precision, or an array by '
            '`numpy.save`'
        ) from error
    except (
        EOFError,
        OSError,
        SyntaxError,
        TypeError,
        UserWarning,
        ValueError,
        image.DecompressionBombError,
    ) as error:
        raise ValueError(
            f'{path} cannot be read as TIFF; is it complete? {error}'
        ) from error
    if mode not in _KINDS:
        raise ValueError(
            f'{path}: pixels are of the kind {mode!r}; readings have one '
            'channel of integers or floats'
        )
    shapes = {page.shape for page in pages}
    if len(shapes) != 1:
        raise ValueError(
            f'{path}: all pages must have one shape, got '
            f'{", ".join(map(str, sorted(shapes)))}'
        )
    return pages[0] if len(pages) == 1 else np.stack(pages)


def read_pictures(
    paths: list[pathlib.Path], row: int | None = None
) -> np.ndarray:
    """Return the readings in TIFF files, one for each view.

    Parameters
    ----------
    paths : list of pathlib.Path
        Files in the order of the views.
    row : int, optional
        Read this row only, counted from 0. Default: all.

    Returns
    -------
    readings : numpy.ndarray
        Array of shape ``(views, rows, columns)``.

    Raises
    ------
    ValueError
        If files have several shapes.
    """
    readings = None
    for number, path in enumerate(paths):
        picture = read_picture(path)
        if picture.ndim != 2:
            raise ValueError(
                f'{path} has {len(picture)} pages, expected one view'
            )
        if row is not None:
            if not 0 <= row < len(picture):
                raise ValueError(
                    f'{path} has {len(picture)} rows, got `row={row}`'
                )
            picture = picture[row : row + 1]
        if readings is None:
            readings = np.empty((len(paths), *picture.shape), picture.dtype)
        if picture.shape != readings.shape[1:]:
            raise ValueError(
                f'{path} has the shape {picture.shape}, but {paths[0]} has '
                f'{readings.shape[1:]}'
            )
        if picture.dtype != readings.dtype:
            raise ValueError(
                f'{path} has the dtype {picture.dtype}, but {paths[0]} has '
                f'{readings.dtype}'
            )
        readings[number] = picture
    if readings is None:
        raise ValueError('there are no files of views')
    return readings
