# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Scores of films, frame by frame."""

import torch

from odl_equivariant.training.scores.metrics import scores

__all__ = ('film_scores',)


def film_scores(
    film: torch.Tensor, truth: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the means of the scores of all frames.

    Parameters
    ----------
    film, truth : torch.Tensor
        Reconstructions and ground truth, of one shape ``(N, 1 or 2, n, m, T)``
        with time along the last axis.

    Returns
    -------
    scores : dict
        As `scores` returns them. Frames without scores are left out of the
        means; a film of such frames has NaN.

    Raises
    ------
    ValueError
        If a frame is smaller than the window of the structural similarity.
    """
    frames = [u.movedim(-1, 1).flatten(0, 1) for u in (film, truth)]
    n_frames = truth.shape[-1]
    return {
        name: values.unflatten(0, (-1, n_frames)).nanmean(1)
        for name, values in scores(*frames).items()
    }
