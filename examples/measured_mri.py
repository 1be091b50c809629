# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""MRI from a file of measured k-space
===================================

A scanner measured some samples of k-space with several coils, and there is no
image to compare with. From the file alone, we

- compress the coils to as many as keep 99 % of the energy, and estimate their
  sensitivities from the middle of k-space, by ESPIRiT;
- give the phase of the zero-filled image to the coil maps, so that the image
  is nearly real, and not negative;
- divide k-space by one number, so that the image has the range of the images
  in training;
- reconstruct the image: zero-filled, by total variation, by a denoiser in
  half-quadratic splitting, by a learned ridge energy, and by two unrolled
  networks, of which one takes all units.

Parameters are chosen without an image: a tenth of the samples (or of the
lines, where lines were measured) is left out, and the reconstruction from the
others must predict it,

.. math::
    \frac{\|(1 - m) (A u_m - y)\|}{\|(1 - m)\, y\|},

where :math:`m` is the mask of the samples that were kept. Half of the samples
that were left out choose the parameter, and the table shows the error of the
other half. Noise is a part of this error for every method, as no image
predicts it. The command line is

.. code-block:: text

    python examples/measured_mri.py scan.h5 --output scan.png
"""

import argparse
import json
import time

import numpy as np
import odl
import torch

from odl_equivariant import models, plotting
from odl_equivariant._files import write_atomically
from odl_equivariant.data import read_kspace
from odl_equivariant.functionals import LearnedRegularizer
from odl_equivariant.operators import operator_norm
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    half_quadratic_splitting,
)

TV_ITERATIONS = 100
TV_WEIGHTS = (0.001, 0.002, 0.004, 0.008)
LEVELS = (0.005, 0.01, 0.02, 0.04)
RIDGE_LEVEL, RIDGE_ITERATIONS = 0.05, 40
RIDGE_WEIGHTS = (0.00005, 0.0001, 0.0002, 0.0004)
SCALES = (0.5, 1.0, 2.0, 4.0)
HELD_OUT = 0.1
SEED = 0


class PartByPart(torch.nn.Module):
    """A denoiser of images from 0 to 1, for real and imaginary parts.

    Real parts are from 0 to 1, as the phase of the image is in the coil maps.
    Imaginary parts are around 0, and are moved to the middle of the range.
    """

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x, sigma=None):
        """Return the denoised parts of complex images."""
        middle = torch.tensor([0, 0.5]).to(x).reshape(1, 2, 1, 1)
        parts = (x + middle).flatten(0, 1)[:, None]
        parts = self.denoiser(parts, sigma=sigma)
        return parts.reshape(x.shape) - middle


def split_mask(scan):
    """Return the samples to reconstruct from, and those to predict."""
    # whole lines are left out where lines were measured
    parts = scan.mask
    if parts.size == 1:
        parts = np.broadcast_to(parts, scan.shape)
    rng = np.random.default_rng(SEED)
    held = parts & (rng.random(parts.shape) < HELD_OUT)
    # the middle is never left out
    for axis, n in enumerate(parts.shape):
        if n > 1:
            near = np.abs(np.arange(n) - n // 2) <= n // 16
            held &= ~near.reshape(-1, *(1 - axis) * [1])
    return parts & ~held, held


def halves(held):
    """Return two masks, of about half of the samples or lines each."""
    first = np.zeros(held.shape, dtype=bool)
    first[tuple(np.argwhere(held)[::2].T)] = True
    return first, held & ~first


def prediction_error(scan, y, mask):
    """Return a function from an image to its error at some samples."""
    predict = scan.acquisition(mask=mask)
    wanted = predict.data_fit(y).data
    return lambda u: float(
        (predict.operator(u) - wanted).norm() / wanted.norm()
    )


def total_variation(acquisition, data, weight):
    """Minimise the least-squares fit with total variation, by PDHG."""
    A = acquisition.operator
    gradient = odl.Gradient(acquisition.space)
    # the norm of A is at most 1: the squares of the maps add up to 1
    scaling = 1 / operator_norm(gradient)
    f = odl.functionals.ZeroFunctional(acquisition.space)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(A.range).translated(data),
        # the weight refers to differences of neighbours, not to derivatives
        weight
        * float(acquisition.space.cell_sides[0])
        / scaling
        * odl.functionals.GroupL1Norm(gradient.range),
    )
    both = odl.BroadcastOperator(A, scaling * gradient)
    step = 0.99 / 2**0.5
    u = acquisition.zero_filled(data)
    odl.solvers.pdhg(u, f, g, both, TV_ITERATIONS, tau=step, sigma=step)
    return u


def splitting(acquisition, data, level, denoiser):
    """Alternate a denoiser and the data, at decreasing noise levels."""
    u = acquisition.zero_filled(data)
    half_quadratic_splitting(
        u,
        denoiser,
        acquisition.data_fit(data, tol=2e-3, maxiter=400, warm_start=True),
        sigma_start=0.1,
        sigma_end=level,
        niter=6,
        weight=level**2,
    )
    return u


def ridge(acquisition, data, weight, energy):
    """Minimise the least-squares fit with a learned energy of the parts."""
    regularizer = LearnedRegularizer(
        acquisition.space, energy, RIDGE_LEVEL, complex_values='parts'
    )
    u = acquisition.zero_filled(data)
    accelerated_proximal_gradient(
        u,
        odl.functionals.ZeroFunctional(acquisition.space),
        acquisition.data_fit(data) + weight / RIDGE_LEVEL**2 * regularizer,
        maxiter=RIDGE_ITERATIONS,
        objective=False,
    )
    return u


def unrolled(acquisition, data, scale, name):
    """Apply a shipped network to data times a number."""
    network = models.load(name, acquisition.operator).as_operator()
    return network(scale * data) / scale


def main():
    """Reconstruct the image of a file by all methods."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('file', help='.npy, fastMRI or ISMRMRD')
    parser.add_argument('--slice', type=int)
    parser.add_argument('--output', default='measured_mri.png')
    parser.add_argument('--json', help='where to write the errors')
    options = parser.parse_args()

    scan = read_kspace(options.file, options.slice)
    print(
        f'{scan.n_coils} coils, {scan.shape[0]} x {scan.shape[1]}, '
        f'acceleration {scan.acceleration:.2f}'
    )
    if scan.noise is not None:
        scan = scan.prewhitened()
    root_sum_of_squares = scan.zero_filled()
    if scan.n_coils > 1:
        scan = scan.compressed(energy=0.99)
    scan = scan.with_coil_maps().normalised()
    # the maps take over the smooth phase of the image
    phase = np.exp(1j * np.angle(scan.zero_filled()))
    scan = scan.with_coil_maps(scan.coil_maps * phase)
    root_sum_of_squares = root_sum_of_squares / scan.scale
    print(f'{scan.n_coils} virtual coils, k-space divided by {scan.scale:.4g}')

    kept, held = split_mask(scan)
    whole, part = scan.acquisition(), scan.acquisition(mask=kept)
    y = scan.data(whole)
    y_kept = part.data_fit(y).data
    choose, judge = (prediction_error(scan, y, mask) for mask in halves(held))
    denoiser = PartByPart(models.load('multiscale_denoiser_c4'))
    energy = models.load('ridge_weakly_convex_c4')
    methods = {
        'zero-filled': (lambda a, y, _: a.zero_filled(y), [None]),
        'total variation': (total_variation, TV_WEIGHTS),
        'splitting, C4 denoiser': (
            lambda a, y, level: splitting(a, y, level, denoiser),
            LEVELS,
        ),
        'ridge energy, C4': (
            lambda a, y, weight: ridge(a, y, weight, energy),
            RIDGE_WEIGHTS,
        ),
        'unrolled, C4 network': (
            lambda a, y, scale: unrolled(a, y, scale, 'cartesian_mri_c4'),
            SCALES,
        ),
        # to a homogeneous network, a factor of the data is no parameter
        'unrolled splitting, C4 network': (
            lambda a, y, _: unrolled(a, y, 1, 'splitting_mri_c4'),
            [None],
        ),
    }
    images = {'root of sum of squares': root_sum_of_squares}
    print(f'\n{"method":31}{"error":>8}{"parameter":>11}{"seconds":>9}')
    scores = {}
    for name, (method, candidates) in methods.items():
        found = {c: method(part, y_kept, c) for c in candidates}
        best = min(found, key=lambda c: choose(found[c]))
        start = time.perf_counter()
        images[name] = method(whole, y, best).asarray()
        error = float(judge(found[best]))
        scores[name] = {'error': round(error, 4), 'parameter': best}
        print(
            f'{name:31}{error:8.4f}{best or "":>11}'
            f'{time.perf_counter() - start:9.1f}'
        )

    if options.json:
        text = json.dumps(scores, indent=1) + '\n'
        write_atomically(options.json, text.encode())

    largest = float(np.percentile(np.abs(images['total variation']), 99.8))
    # files have their first row at the top, and figures y upwards
    rows = [
        {
            name: np.rot90(scan.cropped(image), -1)
            for name, image in images.items()
        }
    ]
    n, m = rows[0]['zero-filled'].shape
    close_up = (
        slice(n // 3, n // 3 + n // 4),
        slice(m // 3, m // 3 + m // 4),
    )
    figure = plotting.compare(rows, (0, largest), close_up)
    plotting.save_figure(figure, options.output, dpi=80)
    print(f'Figure: {options.output}')


if __name__ == '__main__':
    main()
