# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Norms of data that weigh errors as they count in images."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ('check_weighting', 'weighted_residual')


def check_weighting(acquisition: Any) -> None:
    """Raise a ValueError if data of an acquisition have no ramp.

    Parameters
    ----------
    acquisition : Acquisition
        Acquisition of the data.
    """
    if not hasattr(acquisition, 'geometry'):
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
