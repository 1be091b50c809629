# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Moments of views over intervals of angles, and what they may be."""

from __future__ import annotations

import math

import numpy as np

__all__ = (
    'FEWEST',
    'N_ORDERS',
    'chebyshev',
    'intervals',
    'mass_radius',
    'means_of_moments',
    'smooth_functions',
    'whitened_residual',
)

# Orders of the moments.
N_ORDERS = 5
# Intervals of angles that are enough for moments, at most and at least.
_MOST_INTERVALS, FEWEST = 40, 8
# Half the width of an interval, in steps of the views.
_HALF_WIDTH = 1.5
# So much of the mass is outside of the circle on which moments are scaled.
_OUTSIDE = 1e-3


def mass_radius(s, mass):
    """Return the radius of a circle that all lines with an object meet."""
    order = np.argsort(-np.abs(s))
    outside = np.cumsum(mass[order]) / mass.sum()
    return abs(s[order[np.searchsorted(outside, _OUTSIDE)]]) or 1.0


def chebyshev(x):
    """Return the polynomials of the second kind, order by order."""
    found = [np.ones_like(x), 2 * x]
    while len(found) < N_ORDERS:
        found.append(2 * x * found[-1] - found[-2])
    return np.stack(found)


def intervals(angles, turns):
    """Return the middles of intervals, and half of their width."""
    step = float(np.median(np.diff(angles))) if len(angles) > 1 else math.inf
    low = angles[0] - step / 2 + turns.max()
    high = angles[-1] + step / 2 + turns.min()
    if not high - low > step:
        return None
    n = (high - low) / (_HALF_WIDTH * step) - 1
    n = min(int(n), _MOST_INTERVALS)
    if n < FEWEST:
        return None
    half = (high - low) / (n + 1)
    return low + half * np.arange(1, n + 1), half


def means_of_moments(angles, turns, data, weights, middles, half):
    """Return means of the moments, and their covariances for unit noise."""
    widths = np.gradient(angles)
    moments = np.zeros((N_ORDERS, len(middles)))
    covariances = np.zeros((N_ORDERS, len(middles), len(middles)))
    before = None
    for i, middle in enumerate(middles):
        first, last = np.searchsorted(
            angles, [middle - half - turns.max(), middle + half - turns.min()]
        )
        places = (angles[first:last, None] + turns - middle) / half
        bump = _bump(places) / half * widths[first:last, None]
        moments[:, i] = weights @ (bump * data[first:last]).sum(axis=0)
        square = (bump**2).sum(axis=0)
        covariances[:, i, i] = weights**2 @ square
        if before is not None:
            start, former = before
            common = former[first - start :]
            product = (common * bump[: len(common)]).sum(axis=0)
            value = weights**2 @ product
            covariances[:, i, i - 1] = covariances[:, i - 1, i] = value
        before = first, bump
    return moments, covariances


def _bump(x):
    return np.where(np.abs(x) < 1, 0.5 + 0.5 * np.cos(math.pi * x), 0.0)


def smooth_functions(order, angles, half):
    """Return trigonometric polynomials, and other smooth functions."""
    low, length = angles[0], angles[-1] - angles[0]
    n_smooth = math.ceil(length / math.pi * (order + 2)) + 3
    n_smooth = min(n_smooth, len(angles) // 3)
    frequencies = np.arange(order % 2, order + 1, 2)
    allowed = np.concatenate(
        [
            np.cos(np.outer(angles, frequencies)),
            np.sin(np.outer(angles, frequencies[frequencies > 0])),
        ],
        axis=1,
    )
    allowed *= _damping(
        half * np.concatenate([frequencies, frequencies[frequencies > 0]])
    )
    own = math.pi / length * np.arange(n_smooth)
    return allowed, np.cos(np.outer(angles - low, own)) * _damping(half * own)


def _damping(x):
    """Return the means of waves over an interval, relative to its middle."""
    # the Fourier transform of `_bump`, whose zeros at pi are no zeros
    near = np.abs(np.abs(x) - math.pi) < 1e-3
    x = np.where(near, 0.0, x)
    values = np.sinc(x / math.pi) / (1 - (x / math.pi) ** 2)
    return np.where(near, 0.5, values)


def whitened_residual(moment, root, allowed, smooth):
    """Return the whitened residual, its smooth part's basis and freedom."""
    columns = np.linalg.solve(root, np.column_stack([moment, allowed, smooth]))
    y, allowed, smooth = np.split(columns, [1, 1 + allowed.shape[1]], axis=1)
    known = np.linalg.qr(allowed)[0]
    size = np.linalg.norm(smooth, 2)
    y, smooth = (v - known @ (known.T @ v) for v in (y, smooth))
    basis, values, _ = np.linalg.svd(smooth, full_matrices=False)
    basis = basis[:, values > 1e-3 * size]
    freedom = len(y) - known.shape[1] - basis.shape[1]
    if freedom < FEWEST // 2 or not basis.shape[1]:
        return None
    return y[:, 0], basis, freedom
