# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of k-space: NumPy arrays, fastMRI and ISMRMRD."""

from __future__ import annotations

import pathlib

import numpy as np

from odl_equivariant._array_files import read_array
from odl_equivariant._checks import whole_number
from odl_equivariant._packages import import_package
from odl_equivariant._types import PathLike
from odl_equivariant.data.kspace.checks import checked_kspace, warn_of_image
from odl_equivariant.data.kspace.fastmri import fastmri_scan
from odl_equivariant.data.kspace.ismrmrd import ismrmrd_group, ismrmrd_scan
from odl_equivariant.data.kspace.scan import KspaceScan

__all__ = ('read_kspace',)

HDF5_SUFFIXES = ('.h5', '.hdf5', '.mrd')


def read_kspace(
    path: PathLike,
    slice: int | None = None,
    coil_axis: int | None = None,
    centred: bool = True,
    **counters: int,
) -> KspaceScan:
    """Read the measured k-space of a slice from a file.

    Parameters
    ----------
    path : path-like
        One of these:

        - ``.npy``: a complex array of shape ``(n_coils, nx, ny)``, or ``(nx,
          ny)`` for one coil, with zeros where it was not measured;
        - ``.h5`` of fastMRI, see `FastMRIKspace`. Axis 0 is the axis of
          phase encoding;
        - ``.h5`` or ``.mrd`` of ISMRMRD, Cartesian and two-dimensional. Axis
          0 is the axis of readout, and samples of noise are read too.
    slice : int, optional
        Which slice, from 0. It must be given if the file has several.
    coil_axis : int, optional
        Axis of an array in a ``.npy`` file that counts coils. Default: 0,
        which must be the shortest one.
    centred : bool, optional
        Whether the zero frequency of a ``.npy`` file is at index ``n // 2``.
        Otherwise it is at index 0, as `numpy.fft.fft2` has it.
    **counters
        Which ``contrast``, ``phase``, ``repetition`` or ``set`` of an
        ISMRMRD file, from 0, if it has several.

    Returns
    -------
    scan : KspaceScan
        k-space of complex64, its mask, and what the file says.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, damaged, or not complete; k-space is
        zero or not finite; its axes seem to be in another order; or it has
        several slices and none is named. The message names the file.
    TypeError
        If it does not contain complex numbers.
    ImportError
        If an HDF5 file is read, and h5py is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> rng = np.random.default_rng(0)
    >>> kspace = rng.normal(size=(2, 3, 8, 6))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, 'scan.npy')
    ...     np.save(path, kspace[0] + 1j * kspace[1])
    ...     scan = read_kspace(path)
    >>> scan.kspace.shape, scan.kspace.dtype, scan.acceleration
    ((3, 8, 6), dtype('complex64'), 1.0)
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    if slice is not None:
        slice = whole_number('slice', slice, 0)
    suffix = path.suffix.lower()
    if suffix == '.npy':
        _no_counters(path, slice=slice, **counters)
        return _from_numpy(path, coil_axis, centred)
    if suffix not in HDF5_SUFFIXES:
        raise ValueError(
            f'{path} is no file of k-space that can be read: expected .npy, '
            f'or {", ".join(HDF5_SUFFIXES)} of fastMRI or ISMRMRD; save other '
            'arrays by `numpy.save`'
        )
    h5py = import_package('h5py', 'reading HDF5 files')
    try:
        file = h5py.File(path, 'r')
    except OSError as error:
        raise ValueError(
            f'{path} is no HDF5 file, or it ends early: {error}'
        ) from error
    with file:
        if 'kspace' in file:
            _no_counters(path, **counters)
            return fastmri_scan(path, slice)
        group = ismrmrd_group(file)
        if group is None:
            raise ValueError(
                f'{path} has neither a dataset `kspace`, like fastMRI, nor a '
                'group with `xml` and `data`, like ISMRMRD; it has '
                f'{sorted(file)}'
            )
        try:
            return ismrmrd_scan(group, path, slice, counters)
        except OSError as error:
            raise ValueError(f'{path} is damaged: {error}') from error


def _no_counters(path, **counters):
    given = [name for name, value in counters.items() if value is not None]
    if given:
        raise ValueError(
            f'{path} has no {" or ".join(given)} to choose: leave it out'
        )


def _from_numpy(path, coil_axis, centred):
    kspace = read_array(path, 'is no array of numbers, or it ends early')
    if kspace.ndim == 2:
        kspace, coil_axis = kspace[None], 0
    if kspace.ndim != 3:
        raise ValueError(
            f'{path} has an array of shape {kspace.shape}, and (n_coils, nx, '
            'ny) was expected: save one slice'
        )
    if coil_axis is None:
        coil_axis = 0
        if len(kspace) > min(kspace.shape[1:]):
            raise ValueError(
                f'{path} has the shape {kspace.shape}, whose first axis is '
                'not the shortest one, and should count the coils: pass '
                '`coil_axis`, 0 if it does'
            )
    coil_axis = whole_number('coil_axis', coil_axis, -3, 2)
    kspace = checked_kspace(np.moveaxis(kspace, coil_axis, 0), str(path))
    if not centred:
        kspace = np.fft.fftshift(kspace, axes=(1, 2))
    kspace = np.ascontiguousarray(kspace.astype(np.complex64))
    scan = KspaceScan(kspace, source=str(path))
    warn_of_image(kspace, str(path))
    return scan
