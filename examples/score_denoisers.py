# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""How well do denoisers do on photographs?
========================================

White Gaussian noise of a known level is added to photographs with values from
0 to 1, and removed by denoisers that are told the level. Each denoiser sees
the same noise. The peak signal-to-noise ratio has the peak 1::

    python examples/score_denoisers.py FOLDER multiscale_denoiser_c4 --bm3d

The names are those of shipped models, or files of weights. ``--bm3d`` adds
the classical method of that name, if its package is installed (``pip install
bm3d``), and ``--variation 0.65 0.7 0.75`` total variation with these weights,
in units of the noise level. Sets of images differ in how much of their detail
repeats, and so in what BM3D makes of them: the best of these weights is a
second scale. Each image is also turned by 90 degrees, together with its
noise: an equivariant denoiser then has the same score.
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import odl
import torch
from tqdm import tqdm

from odl_equivariant import models
from odl_equivariant._files import write_atomically
from odl_equivariant.data import ImageSlices
from odl_equivariant.functionals import InvariantTotalVariation
from odl_equivariant.nn import (
    Energy,
    EnergyDenoiser,
    GradientStepDenoiser,
    GradientStepEnergy,
)


def by_model(name, device='cpu'):
    """Return a model as a function of an image and the noise level.

    An energy is minimised, together with the distance to the image. Of a
    gradient step, one step down is taken, as it was trained.
    """
    model = models.load(name).eval().to(device)
    if isinstance(model, GradientStepEnergy):
        model = GradientStepDenoiser(model)
    elif isinstance(model, Energy):
        model = EnergyDenoiser(model)

    def denoise(noisy, sigma):
        tensor = torch.from_numpy(noisy)[None, None].to(device)
        with torch.no_grad():
            return model(tensor, sigma=sigma)[0, 0].cpu().numpy()

    return denoise


def by_bm3d(noisy, sigma):
    """Remove noise by block matching and 3D filtering."""
    import bm3d

    return bm3d.bm3d(noisy.astype('float64'), sigma)


def by_variation(weight):
    """Return the proximal of total variation, its weight in noise levels."""

    def denoise(noisy, sigma):
        # the cells have the side one
        space = odl.uniform_discr(
            [0, 0], noisy.shape, noisy.shape, dtype=noisy.dtype
        )
        variation = InvariantTotalVariation(space)
        return variation.proximal(weight * sigma)(
            space.element(noisy)
        ).asarray()

    return denoise


def psnr(image, truth):
    """Return the peak signal-to-noise ratio for the peak 1, in decibel."""
    return -10 * math.log10(float(np.mean((image - truth) ** 2)))


def scores_of(denoisers, images, sigma, seed):
    """Return the scores of each denoiser, image by image.

    Parameters
    ----------
    denoisers : dict
        Function of a noisy image and the noise level, by its name.
    images : sequence of numpy.ndarray
        Images without noise.
    sigma : float
        Standard deviation of the noise.
    seed : int
        Seed of the noise.

    Returns
    -------
    scores : dict
        For each name a dict of lists: ``psnr``, ``turned_psnr`` and
        ``seconds``.
    """
    scores = {
        name: {'psnr': [], 'turned_psnr': [], 'seconds': []}
        for name in denoisers
    }
    rng = np.random.default_rng(seed)
    for truth in tqdm(images, desc='images', leave=False):
        noise = sigma * rng.standard_normal(truth.shape)
        noisy = (truth + noise).astype('float32')
        for name, denoise in denoisers.items():
            start = time.perf_counter()
            upright = denoise(noisy, sigma)
            seconds = time.perf_counter() - start
            turned = denoise(np.ascontiguousarray(np.rot90(noisy)), sigma)
            scores[name]['psnr'].append(psnr(upright, truth))
            scores[name]['turned_psnr'].append(psnr(turned, np.rot90(truth)))
            scores[name]['seconds'].append(seconds)
    return scores


def main(arguments=None):
    """Score the denoisers that the command line names.

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
        description='Score denoisers on a folder of pictures.'
    )
    parser.add_argument('folder', help='folder of pictures')
    parser.add_argument('models', nargs='*', help='names or files of models')
    parser.add_argument('--bm3d', action='store_true', help='BM3D as well')
    parser.add_argument(
        '--variation',
        nargs='+',
        type=float,
        default=[],
        metavar='WEIGHT',
        help='total variation as well, with these weights in noise levels',
    )
    parser.add_argument(
        '--sigma', type=float, default=25 / 255, help='noise level [25/255]'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--device', default='cpu', help='device of the models, such as cuda'
    )
    parser.add_argument('--json', help='file for all scores')
    options = parser.parse_args(arguments)
    denoisers = {
        name: by_model(name, options.device) for name in options.models
    }
    if options.bm3d:
        denoisers['bm3d'] = by_bm3d
    for weight in options.variation:
        if not 0 < weight < math.inf:
            parser.error(f'--variation must be positive, got {weight:g}')
        denoisers[f'total variation {weight:g}'] = by_variation(weight)
    if not denoisers:
        parser.error('name a model, or pass --bm3d or --variation')
    if not options.sigma > 0:
        parser.error(f'--sigma must be positive, got {options.sigma}')
    images = ImageSlices(options.folder)
    scores = scores_of(denoisers, images, options.sigma, options.seed)
    print(f'{"":30} {"PSNR":>7} {"turned":>7} {"seconds":>8}')
    for name, own in scores.items():
        columns = [np.mean(own[key]) for key in ('psnr', 'turned_psnr')]
        shown = ' '.join(f'{value:7.2f}' for value in columns)
        print(f'{name:30} {shown} {np.median(own["seconds"]):8.3f}')
    if options.json:
        write_atomically(options.json, json.dumps(scores, indent=1).encode())
    return 0


if __name__ == '__main__':
    sys.exit(main())
