# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Detectors that do not cover the object."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ('Truncation', 'extrapolated', 'find_truncation')

# At the ends of a detector that sees all, there is only noise.
_SHARE_OF_LARGEST = 0.05
# So many of the outer elements count, as a share and at least.
_OUTER, _FEW = 0.01, 3


@dataclasses.dataclass(frozen=True)
class Truncation:
    """How much of an object a detector does not see.

    Attributes
    ----------
    views : float
        Share of the views in which the object goes on past an end of the
        detector that sees lines that are measured nowhere else.
    level : float
        Largest mean reading at such an end, relative to the largest reading
        of the scan; 0 if nothing is truncated.
    """

    views: float
    level: float

    def __bool__(self) -> bool:
        """Return whether anything is truncated."""
        return self.views > 0


def find_truncation(data, edges, closed):
    """Return how much of the object is beyond the ends of the detector.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals, of shape ``(views, elements)``.
    edges : tuple of float
        Signed distances from the axis of the two ends.
    closed : bool
        Whether the scan is a full turn, so that the end that is closer to the
        axis may cut the object: its lines are seen from the other side.

    Returns
    -------
    truncation : Truncation
        Nothing where the data are zero or negative.
    """
    largest = float(np.quantile(data, 0.999)) if data.size else 0.0
    if largest <= 0:
        return Truncation(0.0, 0.0)
    n = max(_FEW, round(_OUTER * data.shape[1]))
    ends = np.stack([data[:, :n].mean(axis=1), data[:, -n:].mean(axis=1)])
    near, far = sorted(np.abs(edges))
    if closed and near < far * (1 - 1e-3) and edges[0] < 0 < edges[1]:
        ends = ends[[int(abs(edges[1]) > abs(edges[0]))]]
    # the noise of single readings is not the object
    noise = _noise(data, n)
    cut = ends > max(_SHARE_OF_LARGEST * largest, 4 * noise)
    if not cut.any():
        return Truncation(0.0, 0.0)
    return Truncation(
        float(cut.any(axis=0).mean()), float(ends.max() / largest)
    )


def _noise(data, n):
    """Return the noise of a mean over so many readings at an end."""
    outer = np.concatenate(
        [np.diff(data[:, :n], axis=1), np.diff(data[:, -n:], axis=1)], axis=1
    )
    if not outer.size:
        return 0.0
    return float(np.median(np.abs(outer))) / 0.954 / np.sqrt(n)


def extrapolated(data, before, after):
    """Return data on a longer detector, falling smoothly to zero.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals; axis 1 is the detector.
    before, after : int
        Numbers of elements to add at both ends.

    Returns
    -------
    data : numpy.ndarray
        The data, continued by the mean reading of the end times half a period
        of a cosine.
    """
    n = max(_FEW, round(_OUTER * data.shape[1]))
    parts = []
    for size, end in ((before, data[:, :n]), (after, data[:, -n:])):
        falling = 0.5 + 0.5 * np.cos(
            np.pi * (np.arange(size) + 1) / (size + 1)
        )
        level = np.maximum(end.mean(axis=1, keepdims=True), 0)
        parts.append(
            level * np.expand_dims(falling, (0, *range(2, data.ndim)))
        )
    return np.concatenate([parts[0][:, ::-1], data, parts[1]], axis=1)
