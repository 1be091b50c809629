# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the files of scanners, each by the module of its format."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable
from typing import Any

from odl_equivariant._types import PathLike
from odl_equivariant.data.scans.arrays import read_array_scan
from odl_equivariant.data.scans.data_exchange import read_data_exchange
from odl_equivariant.data.scans.matlab import read_matlab_scan
from odl_equivariant.data.scans.nikon import read_nikon
from odl_equivariant.data.scans.scan import TomographyScan

__all__ = ('read_scan',)

_READERS: dict[str, Callable[..., TomographyScan]] = {
    '.mat': read_matlab_scan,
    '.h5': read_data_exchange,
    '.hdf5': read_data_exchange,
    '.hdf': read_data_exchange,
    '.xtekct': read_nikon,
    '.npy': read_array_scan,
    '.tif': read_array_scan,
    '.tiff': read_array_scan,
}


def read_scan(
    path: PathLike, geometry: Any = None, **options: Any
) -> TomographyScan:
    """Return the scan that a file of a scanner holds.

    Parameters
    ----------
    path : path-like
        File or folder:

        - ``.mat``: a scan of the Helsinki Tomography Challenge 2022, or of
          the open data of the same laboratory, of any version of MATLAB;
        - ``.h5``, ``.hdf5``, ``.hdf``: Data Exchange, as of synchrotrons;
        - ``.xtekct``: Nikon, with its projections as TIFF files;
        - ``.npy``, ``.tif``, ``.tiff`` or a folder of TIFF files, with a
          geometry: readings of shape ``(views, detectors)`` or ``(views,
          rows, columns)``.
    geometry : dict or path-like, optional
        Geometry by plain values, see `ct_geometry`, or a YAML or JSON file
        with them. Or these under the key ``geometry``, beside ``kind``,
        ``length_unit``, ``dark``, ``white``, ``n_photons`` and ``attributes``
        of `TomographyScan`. Only for formats that have none of their own.
        Default: the file beside ``path`` with the same name and the ending
        ``.yaml``, ``.yml`` or ``.json``; for a folder also the one in it.
    **options
        Further arguments of the reader of this format.

    Returns
    -------
    scan : TomographyScan
        Readings, geometry, and what else the file says.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is no scan of its format, is damaged or ends early, its
        parts do not fit each other, or all readings are zero; with its name
        and the field.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f'there is no file or folder {path}')
    ending = path.suffix.lower()
    if path.is_dir():
        reader = read_array_scan
    elif ending in _READERS:
        reader = _READERS[ending]
    else:
        raise ValueError(
            f'{path}: scans are read from folders of TIFF files and from '
            f'files {", ".join(_READERS)}, got the ending {ending!r}'
        )
    known = set(inspect.signature(reader).parameters) - {'path'}
    if geometry is not None:
        options['geometry'] = geometry
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f'{path}: {", ".join(unknown)} cannot be given for files '
            f'{ending}'
            + (
                ', which say their geometry themselves'
                if 'geometry' in unknown
                else ''
            )
            + f'; the options are {", ".join(sorted(known)) or "none"}'
        )
    scan = reader(path, **options)
    if not scan.readings.any():
        raise ValueError(
            f'{path}: all readings are zero: nothing was measured, or the '
            'file was not written to its end'
        )
    return scan
