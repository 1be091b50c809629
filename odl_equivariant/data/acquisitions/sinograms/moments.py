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
    """Return the radius of a circle that all lines with an object meet.

    Parameters
    ----------
    s : numpy.ndarray
        Signed distances of the lines from the axis.
    mass : numpy.ndarray
        Sums of the data of these lines over all views, not negative.

    Returns
    -------
    radius : float
        All but a thousandth of the mass is inside; 1 for a line through the
        axis.
    """
    order = np.argsort(-np.abs(s))
    outside = np.cumsum(mass[order]) / mass.sum()
    return abs(s[order[np.searchsorted(outside, _OUTSIDE)]]) or 1.0


def chebyshev(x):
    """Return Chebyshev's polynomials of the second kind, order by order.

    Parameters
    ----------
    x : numpy.ndarray
        Places, from -1 to 1 within the circle.

    Returns
    -------
    values : numpy.ndarray
        Array of shape ``(N_ORDERS, *x.shape)``.

    Examples
    --------
    >>> chebyshev(np.array([0.5]))[:3, 0].tolist()
    [1.0, 1.0, 0.0]
    """
    found = [np.ones_like(x), 2 * x]
    while len(found) < N_ORDERS:
        found.append(2 * x * found[-1] - found[-2])
    return np.stack(found)


def intervals(angles, turns):
    """Return intervals of angles that all elements of a detector see.

    Parameters
    ----------
    angles : numpy.ndarray
        Increasing angles of the views, in radians.
    turns : numpy.ndarray
        What is added to the angle of the view, for each element.

    Returns
    -------
    middles : numpy.ndarray
        Middles of the intervals, in radians, equally far apart.
    half : float
        Half of their width. Both are ``None`` if there are too few, as one
        result.
    """
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
    """Return means of the moments, and their covariances for unit noise.

    Parameters
    ----------
    angles, turns : numpy.ndarray
        See `intervals`.
    data : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.
    weights : numpy.ndarray
        Polynomials times the widths of the elements, of shape ``(N_ORDERS,
        n_elements)``.
    middles : numpy.ndarray
        Middles of the intervals.
    half : float
        Half of the width of an interval.

    Returns
    -------
    moments : numpy.ndarray
        Means of shape ``(N_ORDERS, n_intervals)``.
    covariances : numpy.ndarray
        Covariances of shape ``(N_ORDERS, n_intervals, n_intervals)`` if
        readings have white noise of variance one. Only neighbours overlap.
    """
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
    """Return trigonometric polynomials, and other smooth functions.

    Parameters
    ----------
    order : int
        Order of the moments.
    angles : numpy.ndarray
        Angles of the moments, in radians.
    half : float
        Half of the width of the intervals over which they are means.

    Returns
    -------
    allowed : numpy.ndarray
        What moments of this order may be, of shape ``(n_angles, order + 1)``.
    smooth : numpy.ndarray
        Waves with few periods, of shape ``(n_angles, n_smooth)``, which show
        systematic errors.
    """
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
    """Return the residual of a moment, as white noise where it is noise.

    Parameters
    ----------
    moment : numpy.ndarray
        Moment of each angle.
    root : float or numpy.ndarray
        Root of the covariance of its noise, a lower triangular matrix; a
        number if the noise is white.
    allowed, smooth : numpy.ndarray
        See `smooth_functions`.

    Returns
    -------
    residual : numpy.ndarray
        What no allowed function explains, in units of the noise.
    basis : numpy.ndarray
        Orthonormal basis of the smooth residuals, one in each column.
    freedom : int
        Number of degrees of freedom of the rest. All three are ``None`` if
        there are too few, as one result.
    """
    columns = np.column_stack([moment, allowed, smooth])
    # a matrix of a thousand views would cost seconds
    is_white = np.ndim(root) == 0
    columns = columns / root if is_white else np.linalg.solve(root, columns)
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
