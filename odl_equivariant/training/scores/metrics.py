# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Peak signal-to-noise ratio and structural similarity."""

import math

import torch

from odl_equivariant.elements import merge_complex

__all__ = ('has_range', 'magnitude', 'scores')

_SSIM_WINDOW = 11


def magnitude(image: torch.Tensor) -> torch.Tensor:
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


def has_range(truth: torch.Tensor) -> torch.Tensor:
    """Return which images have a range, relative to which scores are defined.

    Parameters
    ----------
    truth : torch.Tensor
        Ground truth, of shape ``(N, 1 or 2, n, m)``.

    Returns
    -------
    has_range : torch.Tensor
        Booleans of shape ``(N,)``: whether the magnitude has a positive
        maximum and is not constant. An image with values that are not finite
        counts as having a range; its scores are not finite either.
    """
    low, high = magnitude(truth.detach().float()).flatten(1).aminmax(dim=1)
    return ~((high <= 0) | (low == high))


def scores(
    image: torch.Tensor, truth: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return peak signal-to-noise ratio and structural similarity.

    Parameters
    ----------
    image, truth : torch.Tensor
        Reconstructions and ground truth, of one shape ``(N, 1 or 2, n, m)``,
        or ``(N, 1 or 2, n, m, k)`` of volumes.

    Returns
    -------
    scores : dict
        Scores of the magnitudes, each a tensor of shape ``(N,)``: ``'psnr'``
        in decibel, whose peak is the maximum of the truth, and ``'ssim'``,
        whose data range is that of the truth. They are NaN if the truth is
        constant, such as a slice of air, or nowhere positive.

    Raises
    ------
    ValueError
        If an image is smaller than the window of the structural similarity,
        11 x 11 pixels, or 11 x 11 x 11 voxels.
    """
    from torchmetrics.functional.image import (
        peak_signal_noise_ratio,
        structural_similarity_index_measure,
    )

    shape = tuple(truth.shape[2:])
    if min(shape) < _SSIM_WINDOW:
        raise ValueError(
            f'the structural similarity needs images of at least '
            f'{" x ".join(len(shape) * [str(_SSIM_WINDOW)])} pixels, got '
            f'{shape}'
        )
    result = {'psnr': [], 'ssim': []}
    image, truth = (magnitude(u.detach().float()) for u in (image, truth))
    undefined = torch.full((), math.nan, device=truth.device)
    for x, reference, defined in zip(
        image, truth, has_range(truth).tolist(), strict=True
    ):
        if not defined:
            for values in result.values():
                values.append(undefined)
            continue
        peak = float(reference.max())
        span = peak - float(reference.min())
        result['psnr'].append(
            peak_signal_noise_ratio(x, reference, data_range=peak)
        )
        result['ssim'].append(
            structural_similarity_index_measure(
                x[None], reference[None], data_range=span
            )
        )
    return {name: torch.stack(values) for name, values in result.items()}
