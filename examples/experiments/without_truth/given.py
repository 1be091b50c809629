# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What is left of a scan where a network is given a part of its lines.

    python -m examples.experiments.without_truth.given

scores images of parts of k-space, zero-filled and by a shipped network, which
was trained with truth and all lines. The nearer they are to those of all
lines, the nearer is what a split trains for to what is asked of the network
at the end.
"""

import argparse
import pathlib

import torch

from examples.experiments.without_truth.arms import Measured
from examples.experiments.without_truth.results import write_results
from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, Phantoms, mr_phantom
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.training import scores
from odl_equivariant.training.losses.parts import Part, Parts

__all__ = ('main', 'scores_of_parts', 'section')

MODEL = 'cartesian_mri_c4'
SIDE, NUMBER, SEED = 96, 16, 810
FRACTIONS = (0.6, 0.8, 0.9)
# what of the middle is always given, in words
KEPT = {'4 % kept': 0.04, 'centre kept': None}


@torch.no_grad()
def scores_of_parts(side=SIDE, number=NUMBER, sigma=0.0):
    """Return the mean scores of images from parts of the lines.

    Parameters
    ----------
    side, number : int, optional
        Size and number of the phantoms.
    sigma : float, optional
        Standard deviation of the noise.

    Returns
    -------
    found : dict of dict
        For each part in words, the mean number of its lines, and the mean
        PSNR in dB, zero-filled and by the network.
    """
    acquisition = CartesianMRI((side, side), random_masks=True, sigma=sigma)
    slices = Phantoms(number, (side, side), SEED, draw=mr_phantom)
    pairs = [acquisition.pair(slices[i], [SEED, i]) for i in range(number)]
    known = Measured.of_pairs(pairs, acquisition, 'cpu')
    network = models.load(MODEL, acquisition).eval()
    problem = known.problem(network, acquisition)

    def found(parts, part):
        zero_filled = [
            OperatorLayer(operator).adjoint((chosen * data)[None])
            for operator, data, chosen in zip(
                known.operators, known.data, part.chosen, strict=True
            )
        ]
        images = {
            'zero-filled': torch.cat(zero_filled),
            MODEL: parts.reconstruct(problem, part),
        }
        return {
            'lines': float(part.chosen[:, 0, 0].sum(-1).float().mean())
        } | {
            name: float(scores(image, known.truth)['psnr'].mean())
            for name, image in images.items()
        }

    results = {'all lines': found(Parts(0.5), Part(known.measured))}
    for words, keep in KEPT.items():
        for fraction in FRACTIONS:
            # the same draws for each part
            problem.generator = torch.Generator().manual_seed(SEED)
            parts = Parts(fraction, keep=keep)
            name = f'{100 * fraction:.0f} %, {words}'
            results[name] = found(parts, parts.draw(problem))
    return results


def section(results, side, number):
    """Return the scores as lines of a page in Markdown."""
    lines = [
        '## What a part of the lines leaves',
        '',
        'Made by `python -m examples.experiments.without_truth.given`: means '
        f'over {number} phantoms of {side} x {side} pixels, a mask for each, '
        'no noise. The shipped network was trained with truth, and all lines. '
        'Below "all lines" is by how much what a split gives is harder than '
        'what is asked at the end.',
        '',
        f'| given | lines | zero-filled, dB | `{MODEL}`, dB |',
        '|---|---|---|---|',
    ]
    for name, row in results.items():
        cells = [f'{row[key]:.2f}' for key in ('zero-filled', MODEL)]
        lines.append(f'| {name} | {row["lines"]:.0f} | {" | ".join(cells)} |')
    return lines


def main(arguments=None):
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog='python -m examples.experiments.without_truth.given',
        description='Score images from parts of the lines of k-space.',
    )
    parser.add_argument('--side', type=int, default=SIDE)
    parser.add_argument('--number', type=int, default=NUMBER)
    parser.add_argument(
        '--results',
        type=pathlib.Path,
        help='JSON file of results, to which a part of the page is written',
    )
    options = parser.parse_args(arguments)
    results = scores_of_parts(options.side, options.number)
    lines = section(results, options.side, options.number)
    if options.results:
        write_results(options.results, {'given': {'lines': lines}})
    print('\n'.join(lines))
    return results


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
