# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""
MRI of a volume, however the head lies
======================================

A 3D scan reads k-space along one axis, and phase encoding along both others
leaves out three of four samples. Two networks that are shipped reconstruct a
head, upright and lying: ``volume_mri_o``, which commutes with the 24 rotations
of the cube, and ``volume_mri_ordinary``, of the same width and trained alike.
The scanner turns with the head, so a turned reconstruction,

.. math::
    \Phi(y; A T_g) = T_g^{-1} \Phi(y; A),

is what one would expect. It holds for the first network up to rounding.

The figure shows slices across the three axes. The reconstruction is also
written as NIfTI, for any viewer. The command line is

.. code-block:: text

    python examples/volumes/volume_mri.py --volume head.nii.gz --size 64

A volume that is given is resampled to cubes of which as many as ``--size`` lie
along its longest axis. Without one, the head is a phantom.
"""

import argparse
import pathlib

import numpy as np
import odl

from odl_equivariant import models, plotting
from odl_equivariant.actions import group_actions
from odl_equivariant.data import NiftiVolumes, VolumeMRI, write_result
from odl_equivariant.diagnostics import reconstruction_equivariance_error

SIZE = 32
ACCELERATION = 4
SIGMA = 0.03
# the side of the volume in metres, without a file that says so
SIDE = 0.2


def read_volume(path, size):
    """Return a volume of a NIfTI file, from 0 to 1, and its side in metres."""
    own = NiftiVolumes(path, progress=False).geometry(0)
    extent = max(n * h for n, h in zip(own.shape, own.spacing, strict=True))
    volume = NiftiVolumes(
        path, shape=3 * (size,), spacing=extent / size, progress=False
    )[0]
    white = np.quantile(volume, 0.998)
    return np.clip(volume / white, 0, 1), extent / 1000


def phantom(size):
    """Return the phantom of Shepp and Logan, with values from 0 to 1."""
    cube = odl.uniform_discr([-1] * 3, [1] * 3, 3 * [size], dtype='float32')
    head = odl.phantom.shepp_logan(cube, modified=True)
    return np.clip(head.asarray(), 0, 1)


def psnr(volume, truth):
    """Return the peak signal-to-noise ratio, at the peak of the truth."""
    gap = np.abs(volume.asarray() - truth.asarray())
    return -10 * np.log10(np.mean(gap**2) / np.abs(truth.asarray()).max() ** 2)


def slices_of(volume):
    """Return the slices through the middle, across each axis."""
    array = np.abs(volume.asarray())
    i, j, k = (n // 2 for n in array.shape)
    return {
        'across x': array[i],
        'across y': array[:, j],
        'across z': array[:, :, k],
    }


def main(arguments=None):
    """Reconstruct a volume with both networks."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--volume', type=pathlib.Path, help='a NIfTI file')
    parser.add_argument('--size', type=int, default=SIZE)
    parser.add_argument('--acceleration', type=float, default=ACCELERATION)
    parser.add_argument('--output', type=pathlib.Path, default='volume.nii.gz')
    options = parser.parse_args(arguments)

    # --- Measure --- #

    if options.volume is None:
        array, side = phantom(options.size), SIDE
    else:
        array, side = read_volume(options.volume, options.size)
    mri = VolumeMRI(
        array.shape, options.acceleration, sigma=SIGMA, side=side, seed=0
    )
    A = mri.operator
    y, truth = mri.simulate(array, rng=1), mri.ground_truth(array)

    # --- Reconstruct --- #

    volumes = {'truth': truth, 'zero-filled': A.adjoint(y)}
    turns = group_actions(A.domain, 'O')[1::6]
    errors = {}
    for name, model in (
        ('O', 'volume_mri_o'),
        ('ordinary', 'volume_mri_ordinary'),
    ):
        network = models.load(model, A)

        def method(operator, y, network=network):
            return network.with_operator(operator).as_operator()(y)

        volumes[name] = method(A, y)
        errors[name] = max(
            reconstruction_equivariance_error(method, A, turn, y)
            for turn in turns
        )
        print(f'{name}: missed by {errors[name]:.1e} in turned scans')
    scores = {
        name: float(psnr(volume, truth))
        for name, volume in volumes.items()
        if name != 'truth'
    }
    for name, score in scores.items():
        print(f'{name}: {score:.2f} dB')

    # --- Look at it --- #

    figure = plotting.compare(
        [slices_of(volume) for volume in volumes.values()],
        window=(0, 1),
        row_labels=list(volumes),
    )
    name = options.output.name.partition('.')[0]
    plotting.save_figure(figure, options.output.with_name(f'{name}.png'))
    magnitude = A.domain.real_space.element(np.abs(volumes['O'].asarray()))
    write_result(options.output, magnitude, length_unit='m')
    return scores, errors


if __name__ == '__main__':
    main()
