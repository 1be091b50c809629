# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
r"""
MRI of a beating heart, a few lines for each frame
==================================================

A film is measured frame by frame, each frame on one of six lines of k-space.
Other frames have other lines, so that what one frame lacks is known from its
neighbours, where nothing has moved. Networks with convolutions in space and in
time are trained to make use of this. They are compared with

- the zero-filled film, and that in which frames share their nearest samples;
- the same network without time, which takes each frame alone;
- total variation in space and time, and low rank plus sparse, both at the
  best of several weights on films of the training.

The network commutes with quarter turns of all frames and with the reversal of
time, as :math:`\Phi(y; A T_g) = T_g^{-1} \Phi(y; A)` shows for all elements
of the group. The ordinary one of the same width does not turn.

The figure shows a frame, and a line of pixels in time. Beside it the film is
written as an animation, and, where nibabel is installed, as NIfTI. The command
line is

.. code-block:: text

    python examples/volumes/dynamic_mri.py --output film.png

Networks are better after a longer training. What the documentation shows was
written by

.. code-block:: text

    python examples/volumes/dynamic_mri.py --steps 2000 \
        --networks networks --json docs/results/dynamic_mri.json

in ten minutes on one core. A network is kept in the folder once it is trained,
and the same command goes on with the next.
"""

import argparse
import itertools
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image

from odl_equivariant import models, plotting
from odl_equivariant._files import write_atomically
from odl_equivariant.actions import space_time_actions
from odl_equivariant.data import DynamicMRI, MovingPhantoms
from odl_equivariant.diagnostics import reconstruction_equivariance_error
from odl_equivariant.elements import as_element
from odl_equivariant.functionals import InvariantTotalVariation, LeastSquares
from odl_equivariant.nn import LearnedProximalGradient, SpaceTimeProximal
from odl_equivariant.solvers import (
    accelerated_proximal_gradient,
    low_rank_plus_sparse,
)

SIZE, N_FRAMES = 32, 10
STEPS = 150
RATE, WARM_UP = 2e-3, 50
N_TRAINING, N_TEST = 1000, 6
N_ITERATIONS = 5
CHANNELS = 32
# The weights to try, of which the best on some films of the training is taken.
# With the largest of a low rank, nothing of it is left.
VARIATION = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
LOW_RANK = (0.01, 0.03, 0.1, 0.3, 1.0)
N_TUNING = 2


def acquisition(size, n_frames):
    """Return an acquisition of a sixth of the lines, others in each film."""
    return DynamicMRI(
        (size, size),
        n_frames,
        acceleration=6,
        center_fraction=0.08,
        sigma=0.02,
        random_masks=True,
        periodic=True,
    )


def networks_for(A):
    """Return what makes each of the networks, of the same width."""
    blocks = {
        'space-time C4': {'group': 'C4'},
        'space-time ordinary': {'group': None},
        'frame by frame C4': {'group': 'C4', 'time_kernel_size': 1},
    }
    return {
        name: lambda options=options: LearnedProximalGradient(
            A,
            lambda: SpaceTimeProximal(
                in_channels=2,
                channels=CHANNELS,
                memory=4,
                n_residual_blocks=1,
                time_padding_mode='circular',
                **options,
            ),
            N_ITERATIONS,
        )
        for name, options in blocks.items()
    }


def train(network, scan, films, n_steps):
    """Train a network on films, each with other masks."""
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    for step in range(n_steps):
        rise = min(1, (step + 1) / WARM_UP)
        fall = 0.5 * (1 + math.cos(math.pi * step / n_steps))
        optimizer.param_groups[0]['lr'] = RATE * rise * fall
        pair = scan.pair(films[step % len(films)], rng=step)
        A = scan.forward_operator(pair['mask'])
        optimizer.zero_grad()
        result = network(pair['data'][None], A)
        loss = (result - pair['truth'][None]).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def trained(make, path, A, *arguments):
    """Return a network, trained unless it is in a file."""
    if path is not None and path.exists():
        return models.load(path, A)
    torch.manual_seed(0)
    network = make()
    train(network, *arguments)
    if path is not None:
        models.save(network, path)
    return network


def low_rank(A, y, weights):
    """Return the film of low rank plus sparse, relative to the data."""
    scale = float(A.adjoint(y).norm())
    x = (A.domain**2).zero()
    sparse = weights[1] * scale / float(A.domain.one().norm())
    low_rank_plus_sparse(x, A, y, weights[0] * scale, sparse, maxiter=40)
    return x[0] + x[1]


def variation(A, y, weight):
    """Return the film of total variation in space-time."""
    side, _, frame = A.domain.cell_sides
    # a difference to the next frame counts like that to the next pixel
    J = InvariantTotalVariation(
        A.domain,
        'periodic',
        warm_start=True,
        axis_weights=(side, side, frame),
    )
    x = A.adjoint(y)
    fit = LeastSquares(A, y)
    accelerated_proximal_gradient(
        x, weight * J, fit, 1.0, 25, line_search=False, objective=False
    )
    return x


def psnr(film, truth):
    """Return the peak signal-to-noise ratio of the moduli."""
    gap = np.abs(film) - np.abs(truth)
    return float(-10 * np.log10(np.mean(gap**2) / np.abs(truth).max() ** 2))


def animation(path, films, scale=4):
    """Write films side by side as an animation."""
    # axis 0 is x, to the right, and axis 1 is y, upwards
    rows = np.concatenate([np.abs(film) for film in films], 0)
    rows = np.clip(rows.transpose(2, 1, 0)[:, ::-1], 0, 1)
    frames = [
        Image.fromarray((255 * frame).astype(np.uint8)).resize(
            (scale * frame.shape[1], scale * frame.shape[0]), Image.NEAREST
        )
        for frame in rows
    ]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=100, loop=0
    )


def nifti(path, film, space):
    """Write the modulus of a film as NIfTI, with time as fourth axis."""
    try:
        import nibabel
    except ImportError:
        return
    x, y, seconds = space.cell_sides
    image = nibabel.Nifti1Image(
        np.abs(film)[:, :, None].astype(np.float32),
        np.diag([1e3 * x, 1e3 * y, 1, 1]),
    )
    image.header.set_zooms((1e3 * x, 1e3 * y, 1, seconds))
    image.header.set_xyzt_units('mm', 'sec')
    nibabel.save(image, path)


def cuts(film):
    """Return a frame, and two lines of pixels in time."""
    film = np.abs(film)
    n, m, n_frames = film.shape
    lines = {'x and time': film[:, m // 2], 'y and time': film[n // 2]}
    return {
        'frame': film[..., n_frames // 3],
        **{
            name: line.repeat(max(1, n // n_frames), 1)
            for name, line in lines.items()
        },
    }


def main(arguments=None):
    """Train networks for films, and compare them on others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--steps', type=int, default=STEPS)
    parser.add_argument('--quick', action='store_true', help='a small film')
    parser.add_argument('--json', type=pathlib.Path, help='file of scores')
    parser.add_argument(
        '--networks',
        type=pathlib.Path,
        metavar='FOLDER',
        help='where networks are kept, so that none is trained twice',
    )
    parser.add_argument(
        '--output', type=pathlib.Path, default='dynamic_mri.png'
    )
    options = parser.parse_args(arguments)
    size, n_frames = (16, 6) if options.quick else (SIZE, N_FRAMES)
    steps = min(options.steps, 4) if options.quick else options.steps

    scan = acquisition(size, n_frames)
    kind = {'shape': (size, size), 'n_frames': n_frames, 'phase': True}
    training = MovingPhantoms(N_TRAINING, seed=0, **kind)
    test = MovingPhantoms(N_TEST, seed=1, **kind)

    # --- Train --- #

    networks, errors = {}, {}
    turn = space_time_actions(scan.space, 'C4', None)[5]
    for name, make in networks_for(scan.operator).items():
        path = options.networks
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            stem = f'{name}-{size}-{n_frames}-{steps}'.replace(' ', '-')
            path = path / f'{stem}.safetensors'
        networks[name] = trained(
            make, path, scan.operator, scan, training, steps
        )

        def method(A, y, network=networks[name]):
            return network.with_operator(A).as_operator()(y)

        errors[name] = reconstruction_equivariance_error(
            method, scan.operator, turn
        )
        print(f'{name}: missed by {errors[name]:.1e} if turned and reversed')

    # --- Reconstruct --- #

    def measured(films, i):
        pair = scan.pair(films[i], rng=10**6 + i)
        A = scan.forward_operator(pair['mask'])
        y = as_element(pair['data'][None], A.range)
        return pair, A, y

    classical = {
        'total variation': (variation, VARIATION),
        'low rank plus sparse': (
            low_rank,
            tuple(itertools.product(LOW_RANK, LOW_RANK)),
        ),
    }
    best = {}
    for name, (solve, weights) in classical.items():
        found = np.zeros(len(weights))
        for i in range(N_TUNING):
            _, A, y = measured(training, i)
            found += [
                psnr(solve(A, y, weight).asarray(), training[i])
                for weight in weights
            ]
        best[name] = weights[int(np.argmax(found))]
        print(f'{name}: the best weight is {best[name]}')

    rows = {}
    for i in range(N_TEST):
        pair, A, y = measured(test, i)
        films = {
            'zero-filled': scan.zero_filled(y),
            'shared samples': scan.view_sharing(y, pair['mask']),
        }
        for name, (solve, _) in classical.items():
            films[name] = solve(A, y, best[name])
        for name, network in networks.items():
            films[name] = network.with_operator(A).as_operator()(y)
        for name, film in films.items():
            rows.setdefault(name, []).append(psnr(film.asarray(), test[i]))
    scores = {name: float(np.mean(row)) for name, row in rows.items()}
    for name, score in scores.items():
        print(f'{name}: {score:.2f} dB')
    if options.json is not None:
        measurements = {
            'shape': [size, size, n_frames],
            'steps': steps,
            'n_test': N_TEST,
            'weights': best,
            'psnr': {name: round(score, 2) for name, score in scores.items()},
            'equivariance_error': {
                name: float(f'{error:.2g}') for name, error in errors.items()
            },
        }
        text = json.dumps(measurements, indent=1) + '\n'
        write_atomically(options.json, text.encode())

    # --- Look at it --- #

    shown = {'truth': test[N_TEST - 1]}
    shown |= {name: film.asarray() for name, film in films.items()}
    figure = plotting.compare(
        [cuts(film) for film in shown.values()],
        window=(0, 1),
        row_labels=list(shown),
    )
    plotting.save_figure(figure, options.output.with_suffix('.png'))
    animation(options.output.with_suffix('.gif'), list(shown.values()))
    nifti(
        options.output.with_suffix('.nii.gz'),
        shown['space-time C4'],
        scan.space,
    )
    return scores, errors


if __name__ == '__main__':
    main()
