# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Measure the shipped models, for their pages in the documentation.

Each model is scored on images that come with the package or with pydicom, and
that no model has seen in training: at settings of its training, and beyond
them, to show its limits. Each image is also turned by 90 degrees, together
with its noise and the scanner::

    python examples/scores/shipped_models.py

writes ``docs/results/shipped_models.json``, in about ten minutes on one core.
With names of models, only these are measured again, and the others kept; with
``--only-heads``, only these images, while the weights are the same. The
file has a digest of the weights of each model: the tests find scores of
weights that have changed since.

Some images come with neither package. Networks for tomography are also scored
on slices of a head with ``--heads Cranium.inv3``, an example of InVesalius in
Debian's ``invesalius-examples``, and models of volumes, beside phantoms, on
the brain of a macaque with ``--brain inia19-t1-brain.nii.gz``, a template of
Debian's ``mricron-data``. Volumes are turned by rotations of the cube. Without
these files, earlier scores of the same weights are kept.
"""

import argparse
import hashlib
import json
import pathlib
import sys
import time
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from comparison import volumes
from comparison.problems import problem_of, sample
from scores.heads import PHOTONS, VIEWS, head_problems
from scores.rows import of_images, relative, row_of, unrolled, within

from odl_equivariant import __version__, models
from odl_equivariant._files import write_atomically
from odl_equivariant.data import ellipse_phantom, mr_phantom
from odl_equivariant.models.shipped import shipped_path

TARGET = (
    pathlib.Path(__file__).resolve().parents[2]
    / 'docs'
    / 'results'
    / 'shipped_models.json'
)
N_PHANTOMS = 4
# even numbers of views, so that a quarter turn maps views to views, and
# photons of a ray; acceleration; noise levels
TOMOGRAPHY = ((26, 1e4), (50, 1e4), (100, 1e4), (200, 1e4), (50, 1e3))
RESONANCE = (2, 4, 8)
LEVELS = (0.01, 0.03, 0.1)
SIGMA = 0.03
SIZE = 128


def main(argv=None):
    """Measure all models, or those that the command line names."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('models', nargs='*', help='names; all, if none')
    parser.add_argument('--json', type=pathlib.Path, default=TARGET)
    parser.add_argument('--brain', type=pathlib.Path, help='a NIfTI file')
    parser.add_argument('--heads', type=pathlib.Path, help='Cranium.inv3')
    parser.add_argument(
        '--only-heads',
        action='store_true',
        help='keep the scores of all other images',
    )
    options = parser.parse_args(argv)
    if options.only_heads and options.heads is None:
        parser.error('--only-heads needs --heads FILE')
    unknown = set(options.models) - set(models.available())
    if unknown:
        parser.error(f'there are no models {", ".join(sorted(unknown))}')
    found = {}
    if options.json.is_file():
        found = json.loads(options.json.read_text('utf-8'))['models']
    found = {key: found[key] for key in models.available() if key in found}
    for name in options.models or models.available():
        weights = digest_of_weights(shipped_path(name))
        before = found.get(name, {})
        earlier = before.get('scores', [])
        if before.get('weights') != weights:
            if options.only_heads:
                parser.error(
                    f'the weights of {name} are not those that were '
                    'measured: leave out --only-heads'
                )
            earlier = []
        rows = []
        if not options.only_heads:
            rows += scores_of(name, options.brain)
        if options.heads is not None:
            rows += of_heads(name, options.heads)
        rows = together(earlier, rows, options)
        found[name] = {'weights': weights, 'scores': rows}
        print(name, *found[name]['scores'], sep='\n  ')
        report = {
            'version': __version__,
            'torch': torch.__version__,
            'date': time.strftime('%Y-%m-%d'),
            'models': dict(sorted(found.items())),
        }
        text = json.dumps(report, indent=1) + '\n'
        write_atomically(options.json, text.encode())


def digest_of_weights(path):
    """Return a digest of the tensors in a file of weights, not of its card."""
    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[:8], 'little')
    return hashlib.sha256(content[8 + length :]).hexdigest()[:32]


def together(earlier, rows, options):
    """Return new rows, and earlier ones of images that were not measured.

    Parameters
    ----------
    earlier, rows : list of dict
        Scores of the same weights.
    options : argparse.Namespace
        ``brain`` and ``heads``, files or None, and ``only_heads``.
    """
    given = {'brain': options.brain, 'heads': options.heads}

    def is_measured(images):
        if images == 'heads' or not options.only_heads:
            return given.get(images, '') is not None
        return False

    kept = [row for row in earlier if not is_measured(row['images'])]
    return kept + rows if options.only_heads else rows + kept


def scores_of(name, brain=None):
    """Yield the scores of a model, one dict for each setting and image."""
    card = models.describe(name).card
    torch.manual_seed(0)
    with torch.no_grad():
        if len(card.shapes[0]) == 3:
            kind = (
                of_noisy_volumes if card.modality == 'images' else of_volumes
            )
            yield from kind(name, card, brain)
            return
        yield from {
            'tomography': of_tomography,
            'magnetic resonance': of_resonance,
            'images': of_denoising,
        }[card.modality](name, card)


def of_tomography(name, card):
    """Yield scores of an unrolled network for sparse views."""
    for views, photons in TOMOGRAPHY:
        problems = {
            label: [
                problem_of(
                    'ct',
                    image,
                    SimpleNamespace(
                        shape=shape,
                        views=views,
                        photons=photons,
                        fit='least-squares',
                    ),
                    seed,
                )
                for seed, image in enumerate(found)
            ]
            for label, (found, shape) in {
                'head': real_images('ct'),
                'phantoms': (
                    [
                        ellipse_phantom((2 * SIZE,) * 2, rng=900 + i)
                        for i in range(N_PHANTOMS)
                    ],
                    (SIZE, SIZE),
                ),
            }.items()
        }
        yield from unrolled(
            name,
            f'{views} views, {photons:g} photons',
            within(card.views, views) and within(card.photons, photons),
            problems,
        )


@torch.no_grad()
def of_heads(name, file):
    """Return the scores of a network for tomography on slices of a head."""
    card = models.describe(name).card
    if card.modality != 'tomography':
        return []
    return list(
        unrolled(
            name,
            f'{VIEWS} views, {PHOTONS:g} photons',
            within(card.views, VIEWS) and within(card.photons, PHOTONS),
            {'heads': list(head_problems(file).values())},
        )
    )


def of_resonance(name, card):
    """Yield scores of an unrolled network for a part of k-space."""
    for acceleration in RESONANCE:
        setting = {'acceleration': acceleration, 'sigma': SIGMA}
        problems = {
            label: [
                problem_of(
                    'mri',
                    image,
                    SimpleNamespace(shape=image.shape, **setting),
                    seed,
                )
                for seed, image in enumerate(found)
            ]
            for label, found in {
                'abdomen': real_images('mri')[0],
                'phantoms': [
                    mr_phantom((SIZE, SIZE), rng=900 + i)
                    for i in range(N_PHANTOMS)
                ],
            }.items()
        }
        yield from unrolled(
            name,
            f'acceleration {acceleration}, noise {SIGMA:g}',
            within(card.acceleration, acceleration),
            problems,
        )


def of_denoising(name, card):
    """Yield scores of a denoiser or of an energy, for white noise."""
    head, shape = real_images('ct')
    abdomen, _ = real_images('mri')
    head = head[0].reshape(shape[0], 2, shape[1], 2).mean((1, 3))
    images = {
        'head': [head],
        'abdomen': [middle(abdomen[0])],
        'phantoms': [
            ellipse_phantom((SIZE, SIZE), rng=900 + i)
            for i in range(N_PHANTOMS)
        ],
    }
    yield from of_images(name, card, images, LEVELS)


def of_volumes(name, card, brain):
    """Yield scores of an unrolled network for volumes."""
    for acceleration, label, found in volumes.problems(brain):
        rows = []
        for problem in found:
            network = models.load(name, problem.operator)
            image = network.as_operator()(problem.data)
            others, gaps = [], []
            # the object and the scanner are turned, and so the data stay
            for turn in volumes.turns(problem.space):
                own = network.with_operator(problem.operator @ turn)
                again = turn(own.as_operator()(problem.data))
                others.append(volumes.psnr(again, problem.truth))
                gaps.append(relative(again.asarray(), image.asarray()))
            rows.append(
                (
                    volumes.psnr(problem.start(), problem.truth),
                    volumes.psnr(image, problem.truth),
                    None,
                    float(np.mean(others)),
                    max(gaps),
                )
            )
        yield row_of(
            f'acceleration {acceleration}, noise {volumes.SIGMA:g}',
            label,
            within(card.acceleration, acceleration),
            rows,
        )


def of_noisy_volumes(name, card, brain):
    """Yield scores of a denoiser of volumes, for white noise."""
    yield from of_images(name, card, volumes.shown(brain), LEVELS)


def real_images(modality):
    """Return the sample slice in a list, and its shape to reconstruct."""
    image, shape = sample(modality)
    return [image], shape


def middle(image):
    """Return the middle 256 x 256 pixels, or all there are."""
    parts = (
        slice(max(0, (n - 256) // 2), (n + 256) // 2) for n in image.shape
    )
    return image[tuple(parts)]


if __name__ == '__main__':
    main()
