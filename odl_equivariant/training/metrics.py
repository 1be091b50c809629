# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Scores of reconstructions, as the reference computes them."""

import torch

from odl_equivariant.elements import merge_complex

__all__ = ('magnitude', 'scores')

_SSIM_WINDOW = 11


def magnitude(image):
    """Return the magnitude of images in the layout of `elements`.

    Parameters
    ----------
    image : torch.Tensor
        Shape ``(N, 1, n, m)``, real, or ``(N, 2, n, m)``, complex.

    Returns
    -------
    magnitude : torch.Tensor
        Shape ``(N, 1, n, m)``; real images are returned as they are.
    """
    return image if image.shape[1] == 1 else merge_complex(image).abs()


def scores(image, truth):
    """Return peak signal-to-noise ratio and structural similarity.

    Parameters
    ----------
    image, truth : torch.Tensor
        Reconstructions and ground truth, of one shape ``(N, 1 or 2, n, m)``.

    Returns
    -------
    scores : dict
        ``'psnr'`` in decibel, with the maximum of the truth's magnitude as
        peak, and ``'ssim'``, with the range of the truth's magnitude as data
        range; each a tensor of shape ``(N,)``. Both are scores of magnitudes.

    Raises
    ------
    ValueError
        If a ground truth is zero or constant, so that it has no range, or an
        image is smaller than the window of the similarity, 11 x 11.
    """
    from torchmetrics.functional.image import (
        peak_signal_noise_ratio,
        structural_similarity_index_measure,
    )

    if min(truth.shape[-2:]) < _SSIM_WINDOW:
        raise ValueError(
            f'the structural similarity needs images of at least '
            f'{_SSIM_WINDOW} x {_SSIM_WINDOW} pixels, got '
            f'{tuple(truth.shape[-2:])}'
        )
    result = {'psnr': [], 'ssim': []}
    pairs = zip(
        magnitude(image.detach().float()),
        magnitude(truth.detach().float()),
        strict=True,
    )
    for x, reference in pairs:
        peak = float(reference.max())
        span = peak - float(reference.min())
        if not (peak > 0 and span > 0):
            raise ValueError(
                'a ground truth is constant, and scores relative to its '
                f'range are undefined: its maximum is {peak}'
            )
        result['psnr'].append(
            peak_signal_noise_ratio(x, reference, data_range=peak)
        )
        result['ssim'].append(
            structural_similarity_index_measure(
                x[None], reference[None], data_range=span
            )
        )
    return {name: torch.stack(values) for name, values in result.items()}
