# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Volumes to train with
=====================

The shipped networks for volumes are trained on two heads, at several sizes of
a voxel, and on phantoms of ellipsoids. This script writes both as arrays, from
which `VolumePatches` takes boxes without reading the rest::

    python examples/training_volumes.py volumes \
        --heads T1.nii.gz ch2.nii.gz ch2bet.nii.gz

A head becomes one file for each side in ``--spacing``, in millimetres. It is
cut to the box around what is not air, and its values go from 0 to 1, at the
quantile 0.998.

The heads are templates that come with other packages: the MNI152 T1 template
with `nilearn <https://nilearn.github.io>`_, and ``ch2.nii.gz`` with Debian's
``mricron-data``, where ``ch2bet.nii.gz`` is its brain alone. Only weights are
shipped, and none of these volumes.
"""

import argparse
import io
import pathlib
import sys

import numpy as np

from odl_equivariant._files import write_atomically
from odl_equivariant.data import NiftiVolumes, ellipsoid_phantom

AIR, WHITE = 0.03, 0.998
# Around a head, and least side of a file, in voxels.
MARGIN, LEAST = 2, 48


def prepared(volume):
    """Return a volume with values from 0 to 1, without the air around it."""
    white = np.quantile(volume, WHITE)
    if not white > 0:
        raise ValueError(
            'a head has positive values, and those of this volume are up to '
            f'{white:g} at the quantile {WHITE:g}: is it a mask, or empty?'
        )
    values = np.clip(volume / white, 0, 1)
    inside = np.argwhere(values > AIR)
    low, high = inside.min(0) - MARGIN, inside.max(0) + MARGIN + 1
    # both sides alike, where a small head needs more air
    missing = np.maximum(0, LEAST - (high - low))
    low, high = low - missing // 2, high + missing - missing // 2
    before = np.maximum(0, -low)
    after = np.maximum(0, high - values.shape)
    padded = np.pad(values, np.stack([before, after], 1))
    box = tuple(map(slice, low + before, high + before))
    return padded[box].astype('float32')


def save(array, path):
    """Write an array to a file, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def main(arguments=None):
    """Write the volumes that the command line asks for.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        0.
    """
    parser = argparse.ArgumentParser(
        description='Write volumes that networks can be trained with.'
    )
    parser.add_argument('output', type=pathlib.Path, help='folder to write to')
    parser.add_argument('--heads', nargs='*', default=[], metavar='NIFTI')
    parser.add_argument(
        '--spacing',
        nargs='+',
        type=float,
        default=[1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
        metavar='MM',
    )
    parser.add_argument('--phantoms', type=int, default=8, metavar='N')
    options = parser.parse_args(arguments)
    stems = [
        pathlib.Path(file).name.partition('.')[0] for file in options.heads
    ]
    if len(set(stems)) < len(stems):
        parser.error(
            f'--heads have the names {", ".join(stems)}, by which the files '
            'of arrays are named: rename those that are equal'
        )
    if options.phantoms < 0:
        parser.error(f'--phantoms must be at least 0, got {options.phantoms}')
    for stem, file in zip(stems, options.heads, strict=True):
        for side in options.spacing:
            volume = NiftiVolumes(file, spacing=side, progress=False)[0]
            save(prepared(volume), options.output / f'{stem}-{side:g}mm.npy')
    for i in range(options.phantoms):
        phantom = ellipsoid_phantom((64, 64, 64), rng=2021 + i)
        save(phantom, options.output / f'phantom-{i}.npy')
    print(
        f'{len(list(options.output.glob("*.npy")))} volumes are in '
        f'{options.output}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
