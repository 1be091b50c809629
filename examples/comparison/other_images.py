# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What to expect of a method on images that it was not scored on."""

import math

import numpy as np

__all__ = ('expected',)


def expected(scores, references, n, means):
    """Return the mean to expect on images with given means of references.

    Parameters
    ----------
    scores : sequence of float
        Scores of the images.
    references : sequence of sequences of float
        Scores of the same images by k other methods.
    n : int
        Number of images to compare with.
    means : sequence of float
        Means of these methods on them, k numbers.

    Returns
    -------
    mean, error : float
        Value at ``means`` of the linear function of the references that fits
        ``scores`` best, and the standard error of a mean of ``n`` images.

    Raises
    ------
    ValueError
        If there are fewer than k + 2 images, the references are linear
        functions of each other, or a mean is beyond all scores of its method.
    """
    scores = np.asarray(scores)
    for own, mean in zip(references, means, strict=True):
        if not min(own) <= mean <= max(own):
            raise ValueError(
                f'the mean {mean:g} is beyond the scores of these images, '
                f'{min(own):.2f} to {max(own):.2f}: it belongs to another '
                'noise level, or give other images'
            )
    # about the means to compare with, so that the constant is the answer
    columns = [
        np.asarray(own) - mean
        for own, mean in zip(references, means, strict=True)
    ]
    design = np.stack([np.ones(len(scores)), *columns], axis=1)
    n_images, k = design.shape
    if n_images <= k:
        raise ValueError(
            f'give at least {k + 1} images for {k - 1} references, got '
            f'{n_images}'
        )
    # differences that are below a thousandth of a decibel say nothing
    spread = np.linalg.svd(design - design.mean(0), compute_uv=False)
    if spread[k - 2] < 1e-3:
        raise ValueError(
            'the references rate the images alike, up to a linear function: '
            'give images that differ more'
        )
    inverse = np.linalg.pinv(design)
    solution = inverse @ scores
    variance = np.sum((scores - design @ solution) ** 2) / (n_images - k)
    error = math.sqrt(variance * (np.sum(inverse[0] ** 2) + 1 / n))
    return float(solution[0]), error
