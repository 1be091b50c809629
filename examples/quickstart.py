# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Sparse-view CT of a real head
=============================

From low-dose data :math:`y` of 50 views we look for the image :math:`u` with
:math:`A u = y`. The classical way is total variation,

.. math::
    \min_{u \ge 0} \tfrac12 \|A u - y\|^2 + \lambda \|\nabla u\|_1,

solved by the primal-dual hybrid gradient method. Half-quadratic splitting
plugs in a denoiser instead, at noise levels that decrease,

.. math::
    u \leftarrow \mathrm{arg\,min}_v \tfrac12 \|A v - y\|^2
    + \tfrac{\lambda}{2 \sigma_k^2} \|v - u\|^2, \qquad
    u \leftarrow \Phi_\theta(u; \sigma_k),

and an unrolled network is a proximal gradient method with its own block for
each step, or such a splitting whose denoiser, steps and noise levels are
trained together. The equivariant networks commute with quarter turns by
design. We compare them with ordinary ones of the same width and the same
training data: photographs, MR slices and phantoms. No network has seen the
slice that is reconstructed here.
"""

import argparse
import json
import pathlib
import time

import numpy as np
import odl
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from tqdm import tqdm

from odl_equivariant import models, plotting
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import Rotation
from odl_equivariant.data import SparseViewCT, sample_ct_slice
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import operator_norm
from odl_equivariant.solvers import half_quadratic_splitting

TV_ITERATIONS = 250
TV_WEIGHTS = (1e-6, 1.5e-6, 1.75e-6, 2e-6, 3e-6)
SPLITTING_ITERATIONS = 8
NOISE_LEVELS = 0.1, 0.01
# See `half_quadratic_splitting`: the variance of the data, that of rays with
# an exponent of 4 to 5, times the weight of a reading over that of a pixel.
PRIOR_WEIGHTS = (2e-5, 4e-5, 8e-5)
UNROLLED = {'unrolled': 'sparse_view_ct', 'splitting': 'splitting_ct'}
SEED = 0


def real(u):
    """Return a real image as it is, and the magnitude of a complex one."""
    if u.space.is_real:
        return u
    return u.space.real_space.element(np.abs(u.asarray()))


def psnr(u, truth):
    """Return the peak signal-to-noise ratio in dB."""
    u, truth = real(u), real(truth)
    return peak_signal_noise_ratio(
        as_tensor(u),
        as_tensor(truth),
        data_range=float(truth.asarray().max()),
    ).item()


def ssim(u, truth):
    """Return the structural similarity, at the data range of the truth."""
    u, truth = real(u), real(truth)
    data_range = float(truth.asarray().max() - truth.asarray().min())
    return structural_similarity_index_measure(
        as_tensor(u), as_tensor(truth), data_range=data_range
    ).item()


def turn_data(data):
    """Return the data of the image turned by 90 degrees, noise included.

    Turning the image moves each view on by a quarter turn; a view that
    passes 180 degrees comes back from the other side, with its detector
    reversed.
    """
    views = data.asarray()
    half = len(views) // 2
    turned = np.concatenate([views[half:, ::-1], views[:half]])
    return data.space.element(turned.copy())


# --- The methods; each maps data to an image --- #


def total_variation(acquisition, data, weight, callback=None):
    """Minimise the least-squares fit with total variation, by PDHG."""
    A = acquisition.operator
    gradient = odl.Gradient(acquisition.space)
    # With equal norms, no part converges too slowly.
    scaling = operator_norm(A) / operator_norm(gradient)
    L = odl.BroadcastOperator(A, scaling * gradient)
    f = odl.functionals.IndicatorNonnegativity(acquisition.space)
    g = odl.functionals.SeparableSum(
        0.5 * odl.functionals.L2NormSquared(A.range).translated(data),
        weight / scaling * odl.functionals.GroupL1Norm(gradient.range),
    )
    step = 0.99 / operator_norm(L)
    u = acquisition.fbp(data)
    odl.solvers.pdhg(
        u, f, g, L, TV_ITERATIONS, tau=step, sigma=step, callback=callback
    )
    return u


def plug_and_play(acquisition, data, denoiser, weight, callback=None):
    """Plug a denoiser in, at noise levels that decrease."""
    u = acquisition.fbp(data)
    half_quadratic_splitting(
        u,
        denoiser,
        acquisition.data_fit(data, tol=1e-3, warm_start=True),
        *NOISE_LEVELS,
        SPLITTING_ITERATIONS,
        weight,
        callback,
    )
    return u


def best(method, candidates, truth):
    """Return the result with the highest PSNR, its setting and seconds."""
    results = []
    for candidate in candidates:
        start = time.perf_counter()
        u = method(candidate)
        seconds = time.perf_counter() - start
        results.append((psnr(u, truth), u, candidate, seconds))
    _, u, candidate, seconds = max(results, key=lambda r: r[0])
    return u, candidate, seconds


def main():
    """Reconstruct the slice by all methods, upright and turned."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        '--output', type=pathlib.Path, default='quickstart.png'
    )
    parser.add_argument(
        '--json', type=pathlib.Path, help='where to write the scores'
    )
    arguments = parser.parse_args()
    output = arguments.output
    torch.manual_seed(SEED)

    # --- Set up the slice, the forward operator and the data --- #

    acquisition = SparseViewCT(shape=(256, 256), n_views=50)
    space = acquisition.space
    # The slice fills the field of view of the acquisition.
    image = sample_ct_slice('relative').asarray()
    data = {'upright': acquisition.simulate(image, SEED)}
    data['turned'] = turn_data(data['upright'])
    turn = Rotation(space, np.pi / 2)
    truth = {'upright': acquisition.ground_truth(image)}
    truth['turned'] = turn(truth['upright'])

    # --- Load the networks --- #

    unrolled = {
        f'{label}, {name}': models.load(
            f'{model}_{name}', acquisition.operator
        ).as_operator()
        for label, model in UNROLLED.items()
        for name in ('ordinary', 'c4')
    }
    denoisers = {
        name: models.load(f'multiscale_denoiser_{name}')
        for name in ('ordinary', 'c4')
    }

    # --- Reconstruct --- #

    progress = tqdm(
        total=2
        + len(TV_WEIGHTS) * TV_ITERATIONS
        + TV_ITERATIONS
        + 2 * (len(PRIOR_WEIGHTS) + 1) * SPLITTING_ITERATIONS
        + 2 * len(unrolled) * 8,
        unit='iteration',
        bar_format='{desc:24}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}',
    )
    results = {'upright': {}, 'turned': {}}

    def run(label, method, candidates, n_steps):
        progress.set_description(label)

        def step(*_):
            if n_steps is None:
                progress.update()

        u, setting, seconds = best(
            lambda c: method(data['upright'], c, step),
            candidates,
            truth['upright'],
        )
        results['upright'][label] = (u, seconds)
        start = time.perf_counter()
        u = method(data['turned'], setting, step)
        seconds = time.perf_counter() - start
        results['turned'][label] = (u, seconds)
        if n_steps is not None:
            progress.update(2 * n_steps)
        return setting

    run('FBP', lambda y, c, step: acquisition.fbp(y), [None], 1)
    weight = run(
        'TV (pdhg)',
        lambda y, c, step: total_variation(acquisition, y, c, step),
        TV_WEIGHTS,
        None,
    )
    weights = {}
    for name, denoiser in denoisers.items():
        weights[name] = run(
            f'plug and play, {name}',
            lambda y, c, step, d=denoiser: plug_and_play(
                acquisition, y, d, c, step
            ),
            PRIOR_WEIGHTS,
            None,
        )
    for label, operator in unrolled.items():
        run(label, lambda y, c, step, op=operator: op(y), [0], 8)
    progress.set_description('done')
    progress.close()

    # --- Report --- #

    print(
        f'\n{"":24}{"upright":^24}{"turned by 90 degrees":^34}\n'
        f'{"method":24}{"PSNR":>7}{"SSIM":>7}{"seconds":>9}'
        f'{"PSNR":>11}{"SSIM":>7}{"equivariance error":>20}'
    )
    scores = {}
    for label, (u, seconds) in results['upright'].items():
        v, _ = results['turned'][label]
        error = float((v - turn(u)).norm()) / float(u.norm())
        scores[label] = {
            'psnr': psnr(u, truth['upright']),
            'turned_psnr': psnr(v, truth['turned']),
            'equivariance_error': error,
        }
        print(
            f'{label:24}{psnr(u, truth["upright"]):7.2f}'
            f'{ssim(u, truth["upright"]):7.3f}{seconds:9.2f}'
            f'{psnr(v, truth["turned"]):11.2f}{ssim(v, truth["turned"]):7.3f}'
            f'{error:20.1e}'
        )
    print(
        f'\nTuned on this slice: weights {weight:g} (TV), '
        + ', '.join(f'{w:g} (plug and play, {n})' for n, w in weights.items())
    )

    if arguments.json:
        text = json.dumps(scores, indent=1) + '\n'
        write_atomically(arguments.json, text.encode())

    rows = [
        {
            'ground truth': truth[pose],
            **{
                f'{label}\n{psnr(u, truth[pose]):.2f} dB': u
                for label, (u, _) in results[pose].items()
                # each method once
                if not label.endswith('ordinary')
            },
        }
        for pose in ('upright', 'turned')
    ]
    close_up = (slice(90, 170), slice(150, 230))
    # The turn takes (i, j) to (255 - j, i).
    turned_close_up = (
        slice(256 - close_up[1].stop, 256 - close_up[1].start),
        close_up[0],
    )
    figure = plotting.compare(
        rows, (0.15, 0.4), [close_up, turned_close_up], ('upright', 'turned')
    )
    plotting.save_figure(figure, output, dpi=110)
    print(f'Figure: {output}')


if __name__ == '__main__':
    main()
