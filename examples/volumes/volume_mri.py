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
leaves out three of four samples. Two unrolled networks are trained on volumes
of random ellipsoids: one that commutes with the 24 rotations of the cube, and
an ordinary one of the same width. Then both reconstruct a head, upright and
lying. The scanner turns with the head, so a turned reconstruction,

.. math::
    \Phi(y; A T_g) = T_g^{-1} \Phi(y; A),

is what one would expect. It holds for the first network up to rounding.

The figure shows slices across the three axes. The reconstruction is also
written as NIfTI, for any viewer. The command line is

.. code-block:: text

    python examples/volumes/volume_mri.py --volume head.nii.gz --steps 500

A volume that is given is averaged to cubes of ``SIZE`` cells along its longest
axis. Without one, the head is a phantom.
"""

import argparse
import pathlib

import numpy as np
import odl
import torch

from odl_equivariant import plotting
from odl_equivariant.actions import group_actions
from odl_equivariant.data import write_result
from odl_equivariant.diagnostics import reconstruction_equivariance_error
from odl_equivariant.elements import as_tensor
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.operators import (
    PoissonDiscMask,
    SubsampledFourierTransform,
)

SIZE = 24
STEPS = 60
N_ITERATIONS = 3
SIGMA = 0.02
# the side of a cell, in millimetres
CELL = 8.0


def acquisition(size, seed):
    """Return a Fourier transform with a quarter of the samples."""
    half = size * CELL / 2
    space = odl.uniform_discr(
        [-half] * 3, [half] * 3, [size] * 3, dtype='float32'
    )
    mask = PoissonDiscMask((size, size), 4, 0.15, seed=seed)
    return SubsampledFourierTransform(space, mask.array[None])


def ellipsoids(space, rng, n=8):
    """Return a volume of random ellipsoids, with values from 0 to 1."""
    rows = [[0.5, 0.6, 0.8, 0.7, 0, 0, 0, *rng.uniform(0, np.pi, 3)]]
    for _ in range(n):
        value = rng.uniform(-0.4, 0.5)
        axes, centre = rng.uniform(0.05, 0.35, 3), rng.uniform(-0.4, 0.4, 3)
        rows.append([value, *axes, *centre, *rng.uniform(0, np.pi, 3)])
    volume = odl.phantom.ellipsoid_phantom(space, rows).asarray()
    return space.element(np.clip(volume, 0, 1))


def read_volume(path, space):
    """Return a volume of a NIfTI file on a grid, with values from 0 to 1."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    array = np.asarray(image.dataobj, dtype=np.float64)
    sides = np.array(image.header.get_zooms()[:3])
    # as many cells of the file as a cell of the longest axis has
    cell = (sides * array.shape).max() / space.shape[0]
    result = np.zeros(space.shape)
    centres = (np.indices(space.shape) - space.shape[0] / 2 + 0.5) * cell
    places = [
        np.floor(x / side + n / 2).astype(int)
        for x, side, n in zip(centres, sides, array.shape, strict=True)
    ]
    inside = np.all(
        [(0 <= i) & (i < n) for i, n in zip(places, array.shape, strict=True)],
        0,
    )
    width = np.maximum(1, np.round(cell / sides)).astype(int)
    smooth = _averages(array, width)
    result[inside] = smooth[tuple(i[inside] for i in places)]
    return space.element(np.clip(result / np.percentile(result, 99.8), 0, 1))


def _averages(array, width):
    """Return the mean of the cells around each one."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(array, width)


def measured(A, truth, rng):
    """Return noisy data of a volume."""
    y = A(truth)
    noise = rng.normal(size=(2, *y.shape)) * SIGMA * A.mask
    return y + A.range.element(noise[0] + 1j * noise[1])


def train(network, n_steps):
    """Train a network on ellipsoids, each with another mask."""
    rng = np.random.default_rng(0)
    size = network.forward_operator.domain.shape[0]
    operators = [acquisition(size, seed) for seed in range(1, 5)]
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for step in range(n_steps):
        A = operators[step % len(operators)]
        truth = ellipsoids(A.domain, rng)
        y = as_tensor(measured(A, truth, rng))
        optimizer.zero_grad()
        loss = (network(y, A) - as_tensor(truth)).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()


def psnr(volume, truth):
    """Return the peak signal-to-noise ratio of values from 0 to 1."""
    gap = np.asarray(volume.asarray()) - np.asarray(truth.asarray())
    return -10 * np.log10(np.mean(gap**2))


def slices_of(volume):
    """Return the slices through the middle, across each axis."""
    array = np.asarray(volume.asarray())
    i, j, k = (n // 2 for n in array.shape)
    return {
        'across x': array[i],
        'across y': array[:, j],
        'across z': array[:, :, k],
    }


def main(arguments=None):
    """Train two networks, and reconstruct a volume with both."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--volume', type=pathlib.Path, help='a NIfTI file')
    parser.add_argument('--steps', type=int, default=STEPS)
    parser.add_argument('--output', type=pathlib.Path, default='volume.nii.gz')
    options = parser.parse_args(arguments)

    A = acquisition(SIZE, seed=0)
    if options.volume is None:
        truth = odl.phantom.shepp_logan(A.domain, modified=True)
        truth = A.domain.element(np.clip(truth.asarray(), 0, 1))
    else:
        truth = read_volume(options.volume, A.domain)
    y = measured(A, truth, np.random.default_rng(1))

    # --- Train --- #

    blocks = {
        'O': lambda: EquivariantProximal(
            channels=24, group='O', memory=4, skip=True
        ),
        'ordinary': lambda: OrdinaryProximal(
            channels=24, memory=4, skip=True, dimension=3
        ),
    }
    networks = {}
    for name, block in blocks.items():
        torch.manual_seed(0)
        networks[name] = LearnedProximalGradient(A, block, N_ITERATIONS)
        train(networks[name], options.steps)

    # --- Reconstruct --- #

    volumes = {'truth': truth, 'zero-filled': A.adjoint(y)}
    turns = group_actions(A.domain, 'O')[1:]
    errors = {}
    for name, network in networks.items():

        def method(operator, y, network=network):
            return network.with_operator(operator).as_operator()(y)

        volumes[name] = method(A, y)
        errors[name] = max(
            reconstruction_equivariance_error(method, A, turn)
            for turn in turns[::4]
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
    write_result(options.output, volumes['O'], length_unit='mm')
    return scores, errors


if __name__ == '__main__':
    main()
