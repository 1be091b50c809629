# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Norms of data that weigh errors as they count in images."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from odl_equivariant.training.losses.parts import Parts
from odl_equivariant.training.losses.parts.lines import drawn_mask

__all__ = (
    'WEIGHTINGS',
    'check_weighting',
    'density_weights',
    'weighted_residual',
)

WEIGHTINGS = ('none', 'ramp', 'density')
_N_MASKS = 2000
_DENSITIES: weakref.WeakKeyDictionary[Any, dict[Any, torch.Tensor]] = (
    weakref.WeakKeyDictionary()
)


def check_weighting(weighting: str, acquisition: Any) -> None:
    """Raise a ValueError if errors in data cannot be weighted.

    Parameters
    ----------
    weighting : {'none', 'ramp', 'density'}
        How errors in data count, see `MeasurementSplitting`.
    acquisition : Acquisition
        Acquisition of the data.
    """
    if weighting == 'density':
        if not getattr(acquisition, 'random_masks', False):
            raise ValueError(
                '`weighting: density` divides by the probability that a mask, '
                'drawn for each scan, measures a frequency, and '
                f'{type(acquisition).__name__} draws none: take '
                '`random_masks: true`, if the masks of your scans are like '
                'those it draws, or `weighting: none`'
            )
        if acquisition.pattern == 'poisson_disc':
            raise ValueError(
                '`weighting: density` is for masks of lines: take another '
                '`pattern`, or `weighting: none`'
            )
    if weighting == 'ramp' and not hasattr(acquisition, 'geometry'):
        raise ValueError(
            '`weighting: ramp` is for tomography, whose views a ramp filter '
            f'sharpens, got {type(acquisition).__name__}: take `weighting: '
            'none`'
        )


def weighted_residual(residual: torch.Tensor) -> torch.Tensor:
    r"""Return the residual of views, filtered by the root of a ramp.

    Parameters
    ----------
    residual : torch.Tensor
        Errors in data, of shape ``(N, C, n_views, n, ...)``. Each row of a
        detector in 3D, across the axis of rotation, is filtered by itself.

    Returns
    -------
    filtered : torch.Tensor
        Tensor of the same shape.

    Notes
    -----
    The normal operator of parallel beams is a convolution that divides
    frequencies by their size, :math:`A^* A \sim |\omega|^{-1}`. With the
    filter :math:`R = |\omega|`, :math:`A^* R A` is about a multiple of the
    identity, and so :math:`\|R^{1/2} A e\|` of :math:`\|e\|`. The ramp starts
    at half the lowest frequency, since a mean counts too, and its mean over
    all frequencies is one.
    """
    rows = residual.movedim(3, -1)
    n = rows.shape[-1]
    # as many zeros, so that the ends do not meet
    ramp = torch.fft.rfftfreq(2 * n, device=residual.device)
    ramp = (ramp + 0.25 / n) / (0.25 + 0.25 / n)
    spectrum = torch.fft.rfft(rows, n=2 * n) * ramp.sqrt().to(residual)
    return torch.fft.irfft(spectrum, n=2 * n)[..., :n].movedim(-1, 3)


def density_weights(acquisition: Any, parts: Parts) -> torch.Tensor:
    r"""Return how much an error counts that the network was not told.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition that draws a mask for each scan.
    parts : Parts
        How the part is chosen that the network is given.

    Returns
    -------
    weights : torch.Tensor
        For each frequency :math:`k`, :math:`1 / P(k \text{ is measured} \mid
        k \text{ is not given})`, of the shape of k-space; 0 where it is never
        measured and not given.

    Notes
    -----
    The probabilities are shares of 2000 masks and parts, always the same.
    They are kept for each acquisition. They are those of whole scans: where a
    share of each is held out, for a validation, the weights are too small by
    about that share.
    """
    known = _DENSITIES.setdefault(acquisition, {})
    key = (parts.fraction, parts.over, parts.density, parts.keep)
    if key not in known:
        known[key] = _density_weights(acquisition, parts)
    return known[key]


def _density_weights(acquisition, parts):
    shape = tuple(acquisition.space.shape)
    measured, given = torch.zeros(shape), torch.zeros(shape)
    generator = torch.Generator().manual_seed(0)
    for i in range(_N_MASKS):
        mask = torch.from_numpy(drawn_mask(acquisition, i).copy())
        part = parts.choose(mask, acquisition, generator)
        measured += mask
        given += part
    others = measured - given
    return torch.where(others > 0, (_N_MASKS - given) / others, 0.0)
