# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Rows of scores of shipped models, each a mean over some images."""

import math

import numpy as np
import torch
from comparison.problems import Problem, turned

from odl_equivariant import models
from odl_equivariant.nn import (
    Energy,
    EnergyDenoiser,
    GradientStepDenoiser,
    GradientStepEnergy,
)

__all__ = ('of_images', 'psnr', 'relative', 'row_of', 'unrolled', 'within')


def unrolled(name, setting, inside, problems):
    """Yield scores of an unrolled network on problems, by their images."""

    def reconstruct(problem):
        operator = problem.acquisition.operator
        return models.load(name, operator).as_operator()(problem.data)

    for label, each in problems.items():
        rows = []
        for problem in each:
            image, other = reconstruct(problem), turned(problem)
            again = reconstruct(other)
            rows.append(
                (
                    problem.scores(problem.start())['psnr'],
                    problem.scores(image)['psnr'],
                    problem.scores(image)['ssim'],
                    Problem.scores(other, again)['psnr'],
                    relative(again.asarray(), np.rot90(image.asarray())),
                )
            )
        yield row_of(setting, label, inside, rows)


def of_images(name, card, images, levels):
    """Yield scores for white noise on images, or volumes, of some kinds."""
    model = models.load(name).eval()
    if isinstance(model, GradientStepEnergy):
        model = GradientStepDenoiser(model)
    elif isinstance(model, Energy):
        model = EnergyDenoiser(model)

    def denoise(noisy, sigma):
        tensor = torch.from_numpy(np.ascontiguousarray(noisy))[None, None]
        return model(tensor.float(), sigma=sigma)[0, 0].numpy()

    for sigma in levels:
        for label, found in images.items():
            rows = []
            for seed, truth in enumerate(found):
                noise = np.random.default_rng(seed).normal(size=truth.shape)
                noisy = (truth + sigma * noise).astype('float32')
                image = denoise(noisy, sigma)
                again = denoise(np.rot90(noisy), sigma)
                rows.append(
                    (
                        psnr(noisy, truth),
                        psnr(image, truth),
                        None,
                        psnr(again, np.rot90(truth)),
                        relative(again, np.rot90(image)),
                    )
                )
            yield row_of(
                f'white noise of {sigma:g}',
                label,
                within(card.noise, sigma),
                rows,
            )


def within(ends, value):
    """Return whether a value lies in an interval of the model card."""
    return ends is None or ends[0] <= value <= ends[1]


def relative(image, other):
    """Return the relative distance of two arrays."""
    return float(np.linalg.norm(image - other) / np.linalg.norm(other))


def psnr(image, truth):
    """Return the peak signal-to-noise ratio, at the peak of the truth."""
    error = float(np.mean((image - truth) ** 2))
    return 10 * math.log10(float(truth.max()) ** 2 / error)


def row_of(setting, images, inside, rows):
    """Return the means over some images as a row of the report."""
    baseline, score, ssim, turned_score, error = zip(*rows, strict=True)
    row = {
        'setting': setting,
        'images': images,
        'n': len(rows),
        'inside': bool(inside),
        'baseline': round(float(np.mean(baseline)), 2),
        'psnr': round(float(np.mean(score)), 2),
        'turned': round(float(np.mean(turned_score)), 2),
        'equivariance_error': float(f'{max(error):.1e}'),
    }
    if images == 'heads':
        row['each'] = [round(one, 2) for one in score]
    if None not in ssim:
        row['ssim'] = round(float(np.mean(ssim)), 3)
    return row
