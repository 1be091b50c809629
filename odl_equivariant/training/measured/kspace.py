# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Files of k-space, with the coil maps that the options name."""

import math

from odl_equivariant._array_files import read_array
from odl_equivariant.data import read_kspace
from odl_equivariant.elements import as_tensor
from odl_equivariant.training.measured.inputs import Measured

__all__ = ('KSPACE', 'doubt_of_kspace', 'measured_kspace')

# Endings of the files of k-space.
KSPACE = ('.npy', '.h5', '.hdf5', '.mrd')
# Right maps leave up to 5 % of the samples and less than the noise
# unexplained, wrong ones 75 % or more.
_MOST_UNEXPLAINED = 0.3


def measured_kspace(path, slice=None, coil_maps=None, **estimate):
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
    **estimate
        ``kernel`` and ``threshold`` of their estimate, ``None`` for the
        default, see `odl_equivariant.data.estimate_coil_maps`.

    Returns
    -------
    measured : Measured
        k-space whose zero-filled image has the largest magnitude 1.
    """
    scan = _with_coil_maps(read_kspace(path, slice), coil_maps, estimate)
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


def _with_coil_maps(scan, path, estimate):
    """Return a scan with coil maps, by the options of the command."""
    given = {name: v for name, v in estimate.items() if v is not None}
    named = ', '.join(f'--{name} {value:g}' for name, value in given.items())
    if path is not None and given:
        raise ValueError(
            f'{named}: for maps that are estimated, and --coil-maps {path} '
            'has them: leave one of them out'
        )
    if given and scan.n_coils == 1:
        raise ValueError(
            f'{named}: for the maps of several coils, and '
            f'{scan.source or "the scan"} has one, whose map is constant: '
            'leave it out'
        )
    if path is not None:
        maps = read_array(path, 'is no array of numbers, or it ends early')
        try:
            return scan.with_coil_maps(maps)
        except (TypeError, ValueError) as error:
            error.add_note(f'(--coil-maps {path})')
            raise
    try:
        return scan.with_coil_maps(**given)
    except ValueError as error:
        error.add_note(
            '(as options: --coil-maps FILE.npy, --kernel N, --threshold X)'
        )
        raise


def doubt_of_kspace(residual, y, coil_maps=None):
    """Return in words that an image does not explain k-space, or nothing.

    Parameters
    ----------
    residual : float
        Which part of the samples the image leaves unexplained.
    y : element
        k-space.
    coil_maps : pathlib.Path, optional
        File of the coil maps, if they are not estimated.

    Returns
    -------
    doubt : str
        What to check; empty if noise may explain the residual.
    """
    magnitudes = as_tensor(y).double().square().sum(dim=1).sqrt()
    measured = magnitudes[magnitudes > 0]
    if not measured.numel():
        return ''
    # most samples of an object are small, and of noise they are Rayleigh's
    noise = float(measured.median()) / math.sqrt(math.log(2))
    noise /= float(measured.square().mean().sqrt())
    most = max(_MOST_UNEXPLAINED, noise)
    if residual <= most:
        return ''
    found = (
        f'the image leaves {100 * residual:.0f} % of k-space unexplained, '
        f'where less than {100 * most:.0f} % was expected: '
    )
    if coil_maps is not None:
        return (
            f'{found}the maps of --coil-maps {coil_maps} may be of another '
            'scan, in another order of the coils, or shifted. Check them, or '
            'leave --coil-maps out to estimate maps'
        )
    return (
        f'{found}the mask, the order of the axes, or the coil maps that were '
        'estimated may be wrong. Check the file, or pass maps by --coil-maps '
        'FILE.npy'
    )
