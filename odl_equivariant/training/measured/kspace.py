# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files of k-space, with the coil maps that the options name."""

from odl_equivariant._array_files import read_array
from odl_equivariant.data import read_kspace
from odl_equivariant.training.measured.inputs import Measured

__all__ = ('KSPACE', 'measured_kspace')

# Endings of the files of k-space.
KSPACE = ('.npy', '.h5', '.hdf5', '.mrd')


def measured_kspace(path, slice=None, coil_maps=None, kernel=None):
    """Return k-space of a file, with coil maps, in the unit of networks.

    Parameters
    ----------
    path : pathlib.Path
        File, see `odl_equivariant.data.read_kspace`.
    slice : int, optional
        Which of several slices.
    coil_maps : pathlib.Path, optional
        File ``.npy`` with the sensitivities of the coils. Default: they are
        estimated.
    kernel : int, optional
        For their estimate, see `odl_equivariant.data.estimate_coil_maps`.

    Returns
    -------
    measured : Measured
        k-space whose zero-filled image has the largest magnitude 1.
    """
    scan = _with_coil_maps(read_kspace(path, slice), coil_maps, kernel)
    scan = scan.normalised()
    acquisition = scan.acquisition()
    return Measured(
        acquisition,
        [scan.data(acquisition)],
        True,
        str(path),
        scan.scale,
        scan=scan,
    )


def _with_coil_maps(scan, path, kernel):
    """Return a scan with coil maps, by the options of the command."""
    if path is not None and kernel is not None:
        raise ValueError(
            f'--kernel {kernel} is for maps that are estimated, and '
            f'--coil-maps {path} has them: leave one of them out'
        )
    if path is not None:
        maps = read_array(path, 'is no array of numbers, or it ends early')
        try:
            return scan.with_coil_maps(maps)
        except (TypeError, ValueError) as error:
            error.add_note(f'(--coil-maps {path})')
            raise
    try:
        return scan.with_coil_maps(
            **({} if kernel is None else {'kernel': kernel})
        )
    except ValueError as error:
        error.add_note('(as options: --coil-maps FILE.npy, --kernel N)')
        raise
