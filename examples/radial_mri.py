# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
r"""Radial MRI: gridding, total variation and a denoiser, plugged in
================================================================

A scanner measures spokes through the centre of k-space, each turned by the
golden angle against the one before. `NonUniformFourierTransform` maps an image
to these samples. The spokes are denser at the centre. Gridding weighs each
sample by the area that it stands for, and applies the adjoint,

.. math::
    u = A^* (w\, y).

With a quarter of the spokes that the grid needs, gridding shows streaks. Total
variation and a learned denoiser in half-quadratic splitting remove them. The
denoiser was trained on phantoms; the slice is a real one. The weight of total
variation is the better of two for this slice.
"""

import argparse
import pathlib

import numpy as np
import odl
import torch
from torch import nn

from odl_equivariant import models, plotting
from odl_equivariant.data import sample_mr_slice
from odl_equivariant.functionals import LeastSquares
from odl_equivariant.operators import (
    NonUniformFourierTransform,
    gridding,
    operator_norm,
    radial_trajectory,
    radial_weights,
)
from odl_equivariant.solvers import half_quadratic_splitting

SIZE = 256
N_SPOKES = 100
SIGMA = 0.03
TV_WEIGHT = 0.02
TV_ITERATIONS = 60
STEPS = 8


class OnParts(nn.Module):
    """A denoiser of real images, for real and imaginary part."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x, sigma):
        """Denoise a batch of complex images."""
        parts = x.flatten(0, 1)[:, None]
        return self.denoiser(parts, sigma=sigma).reshape(x.shape)


def complex_slice(size):
    """Return the middle of the slice, with a smooth phase."""
    values = sample_mr_slice().asarray()
    first = [(n - size) // 2 for n in values.shape]
    values = values[first[0] : first[0] + size, first[1] : first[1] + size]
    side = size * 0.35 / 484
    space = odl.uniform_discr(
        [-side / 2] * 2, [side / 2] * 2, (size, size), dtype='complex64'
    )
    x, y = (axis / side for axis in np.meshgrid(*space.grid.coord_vectors))
    return space.element(values / values.max() * np.exp(1j * (x + 2 * y**2).T))


def psnr(image, truth):
    """Return the peak signal-to-noise ratio of the magnitudes."""
    error = np.abs(image.asarray()) - np.abs(truth.asarray())
    return -10 * np.log10(np.mean(error**2))


def total_variation(A, data, start):
    """Minimise the least-squares fit with total variation, by PDHG."""
    gradient = odl.Gradient(A.domain)
    scaling = operator_norm(A) / operator_norm(gradient)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(A.range).translated(data),
        # The weight refers to differences of neighbours, not to derivatives.
        TV_WEIGHT
        * float(A.domain.cell_sides[0])
        / scaling
        * odl.functionals.GroupL1Norm(gradient.range),
    )
    step = 0.99 / (2**0.5 * operator_norm(A))
    u = start.copy()
    odl.solvers.pdhg(
        u,
        odl.functionals.ZeroFunctional(A.domain),
        g,
        odl.BroadcastOperator(A, scaling * gradient),
        TV_ITERATIONS,
        tau=step,
        sigma=step,
    )
    return u


def output_of(description, default):
    """Return the path of the figure, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--output', type=pathlib.Path, default=default)
    return parser.parse_args().output


def compared(images, truth, output):
    """Print and draw images beside the truth, and return their PSNR."""
    values = {name: psnr(image, truth) for name, image in images.items()}
    row = {'ground truth': truth}
    for name, image in images.items():
        print(f'{name:20}{values[name]:6.2f} dB')
        row[f'{name}\n{values[name]:.2f} dB'] = image
    figure = plotting.compare([row], (0, 0.7))
    plotting.save_figure(figure, output, dpi=90)
    print(f'Figure: {output}')
    return values


def main():
    """Reconstruct the slice in three ways."""
    output = output_of(main.__doc__, 'radial_mri.png')

    # --- Measure --- #

    truth = complex_slice(SIZE)
    points = radial_trajectory(truth.space, N_SPOKES, golden_angle=True)
    A = NonUniformFourierTransform(truth.space, points)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *A.range.shape)) * SIGMA
    data = A(truth) + A.range.element(noise[0] + 1j * noise[1])

    # --- Reconstruct --- #

    gridded = gridding(A, radial_weights(A))(data)
    variation = total_variation(A, data, gridded)
    plugged = gridded.copy()
    with torch.no_grad():
        half_quadratic_splitting(
            plugged,
            OnParts(models.load('multiscale_denoiser_c4')),
            LeastSquares(A, data, tol=1e-3, warm_start=True),
            0.1,
            0.015,
            STEPS,
            0.5 * SIGMA**2,
        )

    # --- Compare --- #

    images = {
        'gridding': gridded,
        'TV (pdhg)': variation,
        'plug-and-play': plugged,
    }
    return compared(images, truth, output)


if __name__ == '__main__':
    main()
