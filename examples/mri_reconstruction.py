# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""MRI of a real abdomen from a quarter of the lines
=================================================

From noisy samples :math:`y` of a quarter of the lines of k-space we look for
the complex image :math:`u` with :math:`A u = m \mathcal{F} u = y`, with the
unitary Fourier transform :math:`\mathcal{F}` and the mask :math:`m`. The
classical way is total variation,

.. math::
    \min_u \tfrac12 \|A u - y\|^2 + \lambda \|\nabla u\|_1,

solved by the primal-dual hybrid gradient method. An unrolled network makes
eight steps of the proximal gradient method, each with a learned proximal,

.. math::
    (u, s) \leftarrow \mathrm{prox}_k(u, \tau_k A^*(A u - y), s).

We reconstruct the slice twice: upright, and turned by 90 degrees together with
the mask and the noise. A quarter turn :math:`T` of both keeps the data,
:math:`y = A T^{-1} (T u)`, and the reconstruction should turn with the image,

.. math::
    \Phi(y; A T^{-1}) = T \Phi(y; A).

The equivariant network does so by design. The ordinary one has the same width
and saw the same training data: phantoms, with all lines along one axis. The
slice is not in the training data, but the phantoms were designed to resemble
it. The weight of total variation is the best of four for this slice.
"""

import argparse
import pathlib
import time

import numpy as np
import odl
import torch
from quickstart import best, psnr, ssim
from tqdm import tqdm

from odl_equivariant import models, plotting
from odl_equivariant.data import CartesianMRI, sample_mr_slice
from odl_equivariant.operators import operator_norm

TV_ITERATIONS = 100
TV_WEIGHTS = (0.01, 0.015, 0.0175, 0.02)
SEED = 0


# --- A quarter turn, which takes one grid to another --- #


def turned(u, space):
    """Return the image turned counter-clockwise by 90 degrees."""
    return space.element(np.rot90(u.asarray()).copy())


def turned_acquisition(acquisition):
    """Return the acquisition with the mask turned by 90 degrees."""
    # (k_x, k_y) goes to (-k_y, k_x). Index i of n is the frequency i - n // 2.
    mask = np.broadcast_to(acquisition.mask, acquisition.shape)
    n = mask.shape[1]
    mirrored = mask[:, (2 * (n // 2) - np.arange(n)) % n]
    return CartesianMRI(
        acquisition.shape[::-1],
        side=acquisition.side,
        sigma=acquisition.sigma,
        mask=mirrored.T,
    )


# --- Total variation --- #


def total_variation(acquisition, data, weight, callback=None):
    """Minimise the least-squares fit with total variation, by PDHG."""
    A = acquisition.operator
    gradient = odl.Gradient(acquisition.space)
    # With equal norms, no part converges too slowly.
    scaling = operator_norm(A) / operator_norm(gradient)
    L = odl.BroadcastOperator(A, scaling * gradient)
    f = odl.functionals.ZeroFunctional(acquisition.space)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(A.range).translated(data),
        # The weight refers to differences of neighbours, not to derivatives.
        weight
        * float(acquisition.space.cell_sides[0])
        / scaling
        * odl.functionals.GroupL1Norm(gradient.range),
    )
    # The norm of both parts together is at most sqrt(2) times that of one.
    step = 0.99 / (2**0.5 * operator_norm(A))
    u = acquisition.zero_filled(data)
    odl.solvers.pdhg(
        u, f, g, L, TV_ITERATIONS, tau=step, sigma=step, callback=callback
    )
    return u


def main():
    """Reconstruct the slice by all methods, upright and turned."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        '--output', type=pathlib.Path, default='mri_reconstruction.png'
    )
    output = parser.parse_args().output
    torch.manual_seed(SEED)

    # --- Set up the slice, the forward operator and the data --- #

    image = sample_mr_slice()
    extent = image.space.max_pt - image.space.min_pt
    image = image / float(image.asarray().max())
    upright = CartesianMRI(
        image.shape, acceleration=4, sigma=0.03, side=float(max(extent))
    )
    acquisition = {
        'upright': upright,
        'turned': turned_acquisition(upright),
    }
    truth = {'upright': upright.ground_truth(image)}
    data = {'upright': upright.simulate(image, SEED)}
    space, A = acquisition['turned'].space, acquisition['turned'].operator
    truth['turned'] = turned(truth['upright'], space)
    # The zero-filled image holds all data: A A^* y = y.
    data['turned'] = A(turned(upright.zero_filled(data['upright']), space))

    # --- Load the networks, trained on phantoms --- #

    unrolled = {
        name: {
            pose: models.load(
                f'cartesian_mri_{name}', acquisition[pose].operator
            ).as_operator()
            for pose in acquisition
        }
        for name in ('ordinary', 'c4')
    }

    # --- Reconstruct --- #

    progress = tqdm(
        total=(len(TV_WEIGHTS) + 1) * TV_ITERATIONS + 2 * (1 + 2 * 40),
        unit='iteration',
        bar_format='{desc:24}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}',
    )
    results = {'upright': {}, 'turned': {}}

    def run(label, method, candidates, n_steps):
        progress.set_description(label)
        u, setting, seconds = best(
            lambda c: method('upright', c), candidates, truth['upright']
        )
        results['upright'][label] = (u, seconds)
        progress.update(n_steps)
        start = time.perf_counter()
        u = method('turned', setting)
        results['turned'][label] = (u, time.perf_counter() - start)
        progress.update(n_steps)
        return setting

    run(
        'zero-filled',
        lambda pose, _: acquisition[pose].zero_filled(data[pose]),
        [None],
        1,
    )
    weight = run(
        'TV (pdhg)',
        lambda pose, c: total_variation(
            acquisition[pose], data[pose], c, lambda _: progress.update()
        ),
        TV_WEIGHTS,
        0,
    )
    for name, operators in unrolled.items():
        run(
            f'unrolled, {name}',
            lambda pose, _, ops=operators: ops[pose](data[pose]),
            [None],
            40,
        )
    progress.set_description('done')
    progress.close()

    # --- Report, of the magnitudes --- #

    print(
        f'\n{"":24}{"upright":^24}{"turned by 90 degrees":^34}\n'
        f'{"method":24}{"PSNR":>7}{"SSIM":>7}{"seconds":>9}'
        f'{"PSNR":>11}{"SSIM":>7}{"equivariance error":>20}'
    )
    for label, (u, seconds) in results['upright'].items():
        v, _ = results['turned'][label]
        error = float((v - turned(u, v.space)).norm()) / float(u.norm())
        print(
            f'{label:24}{psnr(u, truth["upright"]):7.2f}'
            f'{ssim(u, truth["upright"]):7.3f}{seconds:9.2f}'
            f'{psnr(v, truth["turned"]):11.2f}{ssim(v, truth["turned"]):7.3f}'
            f'{error:20.1e}'
        )
    print(f'\nTuned on this slice: TV weight {weight:g}')

    rows = [
        {
            'ground truth': truth[pose],
            **{
                f'{label}\n{psnr(u, truth[pose]):.2f} dB': u
                for label, (u, _) in results[pose].items()
            },
        }
        for pose in ('upright', 'turned')
    ]
    close_up = (slice(170, 290), slice(90, 210))
    # The turn takes (i, j) to (299 - j, i).
    turned_close_up = (
        slice(300 - close_up[1].stop, 300 - close_up[1].start),
        close_up[0],
    )
    figure = plotting.compare(
        rows, (0, 0.7), [close_up, turned_close_up], ('upright', 'turned')
    )
    plotting.save_figure(figure, output, dpi=70)
    print(f'Figure: {output}')


if __name__ == '__main__':
    main()
