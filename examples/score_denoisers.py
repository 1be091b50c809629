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
in units of the noise level. Each image is also turned by 90 degrees, together
with its noise: an equivariant denoiser then has the same score.

Some photographs are harder to denoise than others. On the 68 that are common
in the literature, BM3D has 28.57 dB at the level 25/255, and total variation
by one-sided differences has 27.48 dB. To compare with what is published for
these::

    python examples/score_denoisers.py FOLDER multiscale_denoiser_c4 --bm3d \
        --one-sided-variation 0.65 0.7 0.75 --as-hard-as 68 28.57 27.48

adds, for each denoiser, the mean to expect on 68 images where the two have
these means. The scores of the images are fitted by a linear function of those
of BM3D and of total variation with the best of the weights. The standard error
is that of the fit, and of the scatter about it of as many images.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import sys
import time

import numpy as np
import odl
import torch
from tqdm import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from comparison.other_images import expected

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

VARIATION_ITERATIONS = 400


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


def by_one_sided_variation(weight):
    """Return the proximal of total variation by forward differences alone.

    That is the usual one. A turn of the image by 90 degrees changes it.
    """

    def denoise(noisy, sigma):
        space = odl.uniform_discr([0, 0], noisy.shape, noisy.shape)
        gradient = odl.Gradient(space, method='forward', pad_mode='symmetric')
        norm = odl.functionals.GroupL1Norm(gradient.range)
        y = space.element(noisy)
        data = 0.5 * odl.functionals.L2NormSquared(space).translated(y)
        # a copy: an element may share the memory of its array
        u = y.copy()
        odl.solvers.pdhg(
            u,
            data,
            weight * sigma * norm,
            gradient,
            VARIATION_ITERATIONS,
            # their product is 1 / 8, and 8 ** 0.5 bounds the gradient's norm
            tau=4,
            sigma=1 / 32,
            gamma_primal=1,
        )
        return u.asarray()

    return denoise


def one_sided(weight):
    """Return the name of one-sided total variation in the scores."""
    return f'one-sided variation {weight:g}'


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


def add_expected(scores, weights, n, means):
    """Add the means to expect on other images to the scores, in place.

    Parameters
    ----------
    scores : dict
        What `scores_of` returned. Each of its dicts gets the item
        ``expected``, the mean and its standard error.
    weights : sequence of float
        Weights of one-sided total variation that were scored.
    n : int
        Number of images to compare with.
    means : sequence of 2 floats
        Means of BM3D and of one-sided total variation on them.
    """
    best = max(
        map(one_sided, weights), key=lambda name: np.mean(scores[name]['psnr'])
    )
    references = [scores[name]['psnr'] for name in ('bm3d', best)]
    for own in scores.values():
        own['expected'] = expected(own['psnr'], references, n, means)


def table(scores):
    """Return the lines of a table of the scores."""
    lines = [f'{"":30} {"PSNR":>7} {"turned":>7} {"seconds":>8}']
    for name, own in scores.items():
        columns = [np.mean(own[key]) for key in ('psnr', 'turned_psnr')]
        shown = ' '.join(f'{value:7.2f}' for value in columns)
        line = f'{name:30} {shown} {np.median(own["seconds"]):8.3f}'
        if 'expected' in own:
            mean, error = own['expected']
            line += f' {mean:7.2f} ± {error:.2f}'
        lines.append(line)
    if any('expected' in own for own in scores.values()):
        lines[0] += f' {"expected":>14}'
    return lines


def parsed(arguments):
    """Return the options of the command line, or exit with the reason."""
    parser = argparse.ArgumentParser(
        description='Score denoisers on a folder of pictures.'
    )
    parser.add_argument('folder', help='folder of pictures')
    parser.add_argument('models', nargs='*', help='names or files of models')
    parser.add_argument('--bm3d', action='store_true', help='BM3D as well')
    for option, which in (
        ('--variation', 'total variation as well, with these weights in '
         'noise levels'),
        ('--one-sided-variation', 'the same by forward differences alone'),
    ):  # fmt: skip
        parser.add_argument(
            option,
            nargs='+',
            type=float,
            default=[],
            metavar='WEIGHT',
            help=which,
        )
    parser.add_argument(
        '--as-hard-as',
        nargs=3,
        type=float,
        metavar=('N', 'BM3D', 'VARIATION'),
        help='also the means to expect on N images where BM3D and the best '
        'one-sided variation have these',
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
    for option, weights in (
        ('--variation', options.variation),
        ('--one-sided-variation', options.one_sided_variation),
    ):
        for weight in weights:
            if not 0 < weight < math.inf:
                parser.error(f'{option} must be positive, got {weight:g}')
    if not (
        options.models
        or options.bm3d
        or options.variation
        or options.one_sided_variation
    ):
        parser.error(
            'name a model, or pass --bm3d, --variation or '
            '--one-sided-variation'
        )
    if options.as_hard_as:
        if not (options.bm3d and options.one_sided_variation):
            parser.error('--as-hard-as needs --bm3d and --one-sided-variation')
        n = options.as_hard_as[0]
        if not all(map(math.isfinite, options.as_hard_as)) or not (
            n > 0 and n == round(n)
        ):
            parser.error(
                '--as-hard-as takes a number of images and two means, got '
                f'{options.as_hard_as}'
            )
    if options.bm3d and not importlib.util.find_spec('bm3d'):
        parser.error('--bm3d needs its package: pip install bm3d')
    if options.json and not pathlib.Path(options.json).parent.is_dir():
        parser.error(
            f'--json is in a folder that is not there: {options.json}'
        )
    if not 0 < options.sigma < math.inf:
        parser.error(f'--sigma must be positive, got {options.sigma}')
    options.images = ImageSlices(options.folder)
    if options.as_hard_as and len(options.images) < 4:
        parser.error(
            f'--as-hard-as needs 4 images or more, got {len(options.images)}'
        )
    return options


def main(arguments=None):
    """Score the denoisers that the command line names.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. Default: those of the process.

    Returns
    -------
    status : int
        0, or 1 if no mean to expect could be fitted.
    """
    options = parsed(arguments)
    denoisers = {
        name: by_model(name, options.device) for name in options.models
    }
    if options.bm3d:
        denoisers['bm3d'] = by_bm3d
    for weight in options.variation:
        denoisers[f'total variation {weight:g}'] = by_variation(weight)
    for weight in options.one_sided_variation:
        denoisers[one_sided(weight)] = by_one_sided_variation(weight)
    scores = scores_of(denoisers, options.images, options.sigma, options.seed)
    reason = None
    if options.as_hard_as:
        n, *means = options.as_hard_as
        try:
            add_expected(scores, options.one_sided_variation, n, means)
        except ValueError as error:
            reason = error
    # what was scored is kept, whatever the images are
    if options.json:
        write_atomically(options.json, json.dumps(scores, indent=1).encode())
    print('\n'.join(table(scores)))
    if reason is not None:
        print(f'--as-hard-as: {reason}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
