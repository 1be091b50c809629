# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Which regulariser is best?
===========================

Reconstructions of the same data by all the ways that the package knows: the
simplest one, total variation and total generalised variation, learned ridge
energies, a gradient step denoiser, denoisers plugged in, and unrolled
networks::

    python examples/compare_regularisers.py --modality ct
    python examples/compare_regularisers.py --modality ct \
        --images a.npy b.npy --json scores.json --output images.png

But for the first and the last, they look for an image :math:`u` that fits the
data, :math:`D(u) = \tfrac12 \|A u - y\|^2`, and has a small regulariser,

.. math::
    \min_u D(u) + \lambda J(u),

with :math:`u \geq 0` in tomography, for all of them. The one or two parameters
of each method are chosen for each image, on the truth, by the same number of
evaluations. With these, the image is reconstructed again, turned by 90
degrees with its noise. For an equivariant method nothing changes but rounding
and what its iterations have not finished. A note says where a best value is at
an end of the range that was tried, or iterations did not converge.

The scores of several runs, of other images or methods, make one page::

    python examples/compare_regularisers.py \
        --scores a.json b.json --page scores.md

Images are arrays of two axes, the first to the right and the second upwards,
in the unit of `SparseViewCT`, or with a largest magnitude of about 1. The
default is the sample slice of pydicom. Weights that are not shipped are read
from a folder, and methods without weights are left out.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from comparison.methods import NAMES, methods
from comparison.problems import problem_of, sample, turned
from comparison.report import doubts, merged, page, table
from comparison.search import Parameter, search  # noqa: F401

from odl_equivariant import plotting
from odl_equivariant._files import write_atomically


def arguments_of(argv=None):
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Compare regularisers on images whose truth is known.'
    )
    add = parser.add_argument
    add('--modality', choices=('ct', 'mri'), default='ct')
    add('--images', nargs='+', type=pathlib.Path, help='arrays, as .npy')
    add('--shape', nargs=2, type=int, help='of the reconstructions')
    add('--methods', nargs='+', choices=tuple(NAMES), default=tuple(NAMES))
    add('--weights', type=pathlib.Path, help='folder of .safetensors')
    add('--views', type=int, default=50, help='of tomography')
    add('--photons', type=float, default=1e4, help='of a ray through air')
    add(
        '--fit',
        choices=('least-squares', 'weighted', 'poisson'),
        default='least-squares',
        help='what the data fit of tomography knows of the photons',
    )
    add('--acceleration', type=float, default=4, help='of MRI')
    add('--sigma', type=float, default=0.03, help='noise of MRI')
    add('--seed', type=int, default=0, help='of the noise')
    add('--evaluations', type=int, default=9, help='for each method')
    add('--variation-iterations', type=int, default=600)
    add('--energy-iterations', type=int, default=200)
    add(
        '--plug-and-play-iterations',
        type=int,
        help='number of noise levels [8 in tomography, 24 in MRI]',
    )
    add('--json', type=pathlib.Path, help='where to write the scores')
    add('--output', type=pathlib.Path, default='compare_regularisers.png')
    add('--scores', nargs='+', type=pathlib.Path, help='show these only')
    add('--page', type=pathlib.Path, help='where to write tables as Markdown')
    arguments = parser.parse_args(argv)
    if arguments.evaluations < 1:
        parser.error('--evaluations must be at least 1')
    if arguments.modality == 'ct' and arguments.views % 2:
        parser.error('--views must be even, so that quarter turns are exact')
    if arguments.plug_and_play_iterations is None:
        # lines that were not measured are filled in slowly
        arguments.plug_and_play_iterations = {'ct': 8, 'mri': 24}[
            arguments.modality
        ]
    return arguments


def images_of(arguments):
    """Return the images by their names."""
    if not arguments.images:
        image, shape = sample(arguments.modality)
        arguments.shape = arguments.shape or shape
        return {f'sample_{arguments.modality}_slice': image}
    images = {}
    for path in arguments.images:
        image = np.load(path, allow_pickle=False)
        if image.ndim != 2:
            raise ValueError(
                f'{path} must have two axes, got the shape {image.shape}'
            )
        images[path.stem if path.stem not in images else str(path)] = image
    return images


def compared(problem, found, n_evaluations, update, scores, store):
    """Return reconstructions of an image by each method.

    Parameters
    ----------
    problem : Problem
        Data and truth.
    found : dict of Method
        The methods by their names.
    n_evaluations : int
        Number of evaluations for each.
    update : callable
        Called with the name of a method before, and after, each of its
        reconstructions.
    scores : dict
        Where to put what is written as JSON.
    store : callable
        Called without arguments after each method.

    Returns
    -------
    images : dict
        The best reconstructions, upright and turned.
    """
    images = {}
    other = turned(problem)
    for name, method in found.items():
        best = {}

        def evaluate(setting, name=name, method=method, best=best):
            update(name, 0)
            start = time.perf_counter()
            image, converged = method.run(problem, setting)
            seconds = time.perf_counter() - start
            found = problem.scores(image)
            update(name, 1)
            if not best or found['psnr'] > best['psnr']:
                best.update(
                    found, seconds=seconds, converged=converged, image=image
                )
            return found['psnr']

        parameters = method.parameters(problem)
        setting, report = search(evaluate, parameters, n_evaluations)
        update(name, 0)
        image, again = best.pop('image'), method.run(other, setting).image
        update(name, 1)
        found_again = other.scores(again)
        difference = again.asarray() - np.rot90(image.asarray())
        scores[name] = {
            **best,
            'turned_psnr': found_again['psnr'],
            'turned_ssim': found_again['ssim'],
            'equivariance_error': float(
                np.linalg.norm(difference) / np.linalg.norm(image.asarray())
            ),
            'setting': setting,
            **report,
        }
        images[name] = image, again
        store()
    return images


def figure(problem, scores, images):
    """Return a figure of all reconstructions of an image."""
    window = (0.15, 0.4) if problem.modality == 'ct' else None
    rows = [
        {
            'truth': truth,
            **{
                f'{NAMES[name]}\n{scores[name][key]:.2f} dB': pair[i]
                for name, pair in images.items()
            },
        }
        for i, (truth, key) in enumerate(
            [
                (problem.truth, 'psnr'),
                (np.rot90(problem.truth.asarray()), 'turned_psnr'),
            ]
        )
    ]
    return plotting.compare(rows, window, row_labels=('upright', 'turned'))


def show(results, target=None):
    """Print the scores, and write them to a page."""
    print(table(results))
    for doubt in doubts(results):
        print(f'Note: {doubt}.')
    if target:
        write_atomically(target, page(results).encode())


def main(argv=None):
    """Compare all methods on all images."""
    arguments = arguments_of(argv)
    if arguments.scores:
        results = merged(arguments.scores)
        show(results, arguments.page)
        return results
    torch.manual_seed(arguments.seed)
    iterations = {
        'variations': arguments.variation_iterations,
        'energies': arguments.energy_iterations,
        'plug_and_play': arguments.plug_and_play_iterations,
    }
    found, missing = methods(
        arguments.methods, arguments.modality, iterations, arguments.weights
    )
    for name, reason in missing.items():
        print(f'Left out: {NAMES[name]}: {reason}.')
    if not found:
        sys.exit('No method is left.')
    images, results = images_of(arguments), {}
    n_each = sum(
        1 + (arguments.evaluations if method.has_parameters else 1)
        for method in found.values()
    )
    progress = tqdm(total=len(images) * n_each, unit='image')

    def update(name, n):
        progress.set_description(NAMES[name])
        # ranges may have to be extended
        progress.total = max(progress.total, progress.n + n)
        progress.update(n)

    def store():
        if arguments.json:
            text = json.dumps(results, indent=2) + '\n'
            write_atomically(arguments.json, text.encode())

    for i, (name, image) in enumerate(images.items()):
        problem = problem_of(
            arguments.modality, image, arguments, arguments.seed + i
        )
        results[name] = {}
        last = compared(
            problem,
            found,
            arguments.evaluations,
            update,
            results[name],
            store,
        )
    progress.close()
    show(results, arguments.page)
    shown = figure(problem, results[name], last)
    plotting.save_figure(shown, arguments.output, dpi=110)
    print(f'Figure: {arguments.output}')
    return results


if __name__ == '__main__':
    main()
