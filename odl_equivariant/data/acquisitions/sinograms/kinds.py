# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""What data are if they are no line integrals, by their values.

An attenuation :math:`u \geq 0` has line integrals :math:`p \geq 0`, whose
sum over a view is the same for all views,

.. math:: \int p(\theta, s) \,\mathrm{d}s = \int u(x) \,\mathrm{d}x,

and which vanish beside the object. Negated data violate the first of these,
a transposed sinogram the second, counts the third. A logarithm to another
base is a factor, which violates none of them. But photons show it: the
variance of :math:`-\log(N / N_0)` is :math:`1 / N = e^p / N_0`, so that its
logarithm grows by :math:`p`, and by :math:`2.3\,p` if :math:`p` was divided
by :math:`\log 10`.
"""

from __future__ import annotations

import math

import numpy as np

from odl_equivariant.data.acquisitions.sinograms.truncation import (
    find_truncation,
)

__all__ = (
    'are_counts',
    'are_negated',
    'are_transposed',
    'growth_of_noise',
    'is_log10',
    'noise_of',
    'swapping_views',
)

# Share of the views that must agree.
_NEARLY_ALL = 0.9
# Fewer views or elements tell nothing.
_FEWEST = 8
# Negative readings make up so much of a view, and stand out of the noise.
_NEGATIVE, _DEVIATIONS = 0.5, 6.0
# A source that became brighter makes air negative: by less than this, and
# nearly the same everywhere.
_DRIFT, _CONSTANT = 0.2, 0.3
# Readings of air are as flat as this, relative to the depth of the shadow,
# over so many elements at both ends.
_FLAT, _AIR = 0.03, 0.02
# Masses of views vary by less in real scans, and by more in a transposed one.
_STEADY, _UNSTEADY = 0.1, 0.3
# Readings of a transposed sinogram that see no object, relative to the mean.
_EMPTY = 0.05
# Growth of the noise, its largest error, and how much two estimates differ.
# Noise of electronics adds to photons, and grows at most twice as fast.
_GROWTH, _ERROR, _DIFFERENCE = (2.05, 2.6), 0.1, 0.2
_CLASSES, _FEWEST_READINGS = 10, 300
# The median magnitude of normal numbers of variance one.
_MEDIAN = 0.6745
# Variances of differences of this order, of white noise of variance one.
_DIFFERENCES = {2: 6.0, 4: 70.0}
# Views are reversed if they fit their neighbours so much better that way, in
# so many of the steps that are clear.
_BETTER, _OFTEN = 0.5, 0.8
# Views that are so far apart are no neighbours: those half a turn apart are
# mirror images.
_WIDEST_STEP = math.pi / 4
# Two estimates of the deviation of white noise differ by less, and fewer
# neighbours are equal, unless medians were taken of them. Less of the data is
# at their smallest or largest value unless they were cut there.
_WHITE, _EQUAL, _CUT = 0.1, 0.15, 0.01


def noise_of(data):
    """Return the standard deviation of white noise along the detector.

    Parameters
    ----------
    data : numpy.ndarray
        Data of shape ``(..., n_elements)``.

    Returns
    -------
    deviation : float
        From the median of second differences; 0 for fewer than three
        elements.
    """
    if data.shape[-1] < 3:
        return 0.0
    return _deviation(data, 2) / _MEDIAN


def _deviation(data, order):
    """Return the median magnitude of differences, for unit differences."""
    change = float(np.median(np.abs(np.diff(data, n=order, axis=-1))))
    return change / math.sqrt(_DIFFERENCES[order])


def are_negated(data):
    """Return whether data are those of an object, but for their sign.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.

    Returns
    -------
    negated : bool
        Whether nearly all views have a sum that is clearly negative, and the
        largest magnitudes are negative.
    """
    if not len(data) or data.shape[1] < _FEWEST:
        return False
    low, high = np.quantile(data, [0.001, 0.999])
    if low + high >= 0:
        return False
    sums, sizes = data.sum(axis=1), np.abs(data).sum(axis=1)
    noise = noise_of(data)
    least = low + 4 * noise
    if least > -_DRIFT and high - low < -_CONSTANT * low + 8 * noise:
        return False
    noise *= math.sqrt(data.shape[1])
    least = np.maximum(_NEGATIVE * sizes, _DEVIATIONS * noise)
    # air that lies between them is noise, and not a part of the mass
    clear = (sums < -least) | (
        (sums < -_DEVIATIONS * noise) & (low < -4 * max(high, 0))
    )
    return bool(clear.mean() >= _NEARLY_ALL)


def are_counts(data):
    """Return whether data are readings of a detector, without logarithm.

    Parameters
    ----------
    data : numpy.ndarray
        Data of shape ``(n_views, n_elements)``.

    Returns
    -------
    counts : bool
        Whether both ends of nearly all views are equally bright, the object
        is darker, and the logarithms vanish at the ends and have about the
        same sum in all views.
    """
    n = max(3, round(_AIR * data.shape[1]))
    if data.shape[1] < 4 * n or (data <= 0).mean() > 1e-3:
        return False
    ends = np.concatenate([data[:, :n], data[:, -n:]], axis=1)
    air = float(np.median(ends))
    depth = air - float(np.quantile(data, 0.01))
    if depth <= 4 * noise_of(data):
        return False
    middles = data[:, n:-n].mean(axis=1)
    if (middles < ends.mean(axis=1)).mean() < _NEARLY_ALL:
        return False
    # a slope along the detector is an object, and not air
    parts = [
        end.mean(axis=1)
        for end in np.split(ends, [n // 2, n, -(n // 2)], axis=1)
    ]
    spread = np.ptp(np.array(parts), axis=0)
    least = 4 * noise_of(ends[:, :n]) / math.sqrt(max(1, n // 2))
    if np.median(spread) > max(_FLAT * depth, least):
        return False
    exponents = -np.log(np.maximum(data, 1e-6 * air) / air)
    return not find_truncation(exponents, (-1.0, 1.0), False) and (
        _unsteadiness(exponents) < _STEADY
    )


def are_transposed(data):
    """Return whether the axes of views and of elements are swapped.

    Parameters
    ----------
    data : numpy.ndarray
        Data of shape ``(n_views, n_elements)``.

    Returns
    -------
    transposed : bool
        Whether a square array has views without an object, and its columns
        have neither: their sums are equal, and they vanish at both ends.
    """
    if data.shape[0] != data.shape[1] or len(data) < _FEWEST:
        return False
    masses = data.sum(axis=1)
    if masses.mean() <= 0 or masses.min() > _EMPTY * masses.mean():
        return False
    return (
        _unsteadiness(data) > _UNSTEADY
        and _unsteadiness(data.T) < _STEADY
        and not find_truncation(data.T, (-1.0, 1.0), False)
    )


def _unsteadiness(data):
    """Return the relative spread of the sums of the views."""
    masses = data.sum(axis=1)
    mean = float(masses.mean())
    return float(masses.std()) / mean if mean > 0 else math.inf


def swapping_views(data, angles=None):
    """Return how many views are reversed, relative to their neighbours.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.
    angles : numpy.ndarray, optional
        Angles of the views, in radians. Steps of an eighth of a turn or more
        tell nothing. Default: all steps are smaller.

    Returns
    -------
    share : float
        Share of the steps between neighbouring views at which one is
        clearly the mirror image of the other rather than alike; 0 unless
        these are four fifths of all clear steps.
    """
    if min(data.shape) < _FEWEST:
        return 0.0
    near = np.ones(len(data) - 1, dtype=bool)
    if angles is not None:
        steps = np.remainder(np.diff(angles) + math.pi, 2 * math.pi) - math.pi
        near = np.abs(steps) < 0.999 * _WIDEST_STEP
        if not near.any():
            return 0.0
    before, after = data[:-1], data[1:]
    noise = 2 * data.shape[1] * noise_of(data) ** 2
    alike = np.square(after - before).sum(axis=1)
    mirrored = np.square(after[:, ::-1] - before).sum(axis=1)
    least = _DEVIATIONS * noise / math.sqrt(data.shape[1])
    better = near & (mirrored < _BETTER * alike) & (alike - mirrored > least)
    worse = near & (alike < _BETTER * mirrored) & (mirrored - alike > least)
    # a symmetric object that trembles is its mirror image now and then
    if better.sum() < max(3, _OFTEN * (better.sum() + worse.sum())):
        return 0.0
    return float(better[near].mean())


def growth_of_noise(data, order=2):
    r"""Return by how much the logarithm of the variance grows with data.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.
    order : {2, 4}, optional
        Order of the differences along the detector, which are taken for
        noise.

    Returns
    -------
    growth, error : float
        Slope of :math:`\log \mathrm{var}` over the data, which is 1 for
        photons, and its standard deviation; ``nan`` for too few data.
    """
    n = data.shape[1]
    if n <= 2 * order or len(data) < 2:
        return math.nan, math.nan
    changes = np.abs(np.diff(data, n=order, axis=1))
    kernel = np.ones(order + 1) / (order + 1)
    level = sum(w * data[:, i : n - order + i] for i, w in enumerate(kernel))
    low, high = np.quantile(level, [0.02, 0.99])
    ends = np.linspace(low, high, _CLASSES + 1)
    places, logarithms, weights = [], [], []
    for start, stop in zip(ends, ends[1:], strict=False):
        inside = changes[(level >= start) & (level < stop)]
        middle = float(np.median(inside)) if inside.size else 0.0
        if inside.size >= _FEWEST_READINGS and middle > 0:
            places.append((start + stop) / 2)
            logarithms.append(2 * math.log(middle))
            weights.append(inside.size)
    if len(places) < _CLASSES // 2:
        return math.nan, math.nan
    x, y, w = map(np.array, (places, logarithms, weights))
    x = x - np.average(x, weights=w)
    size = float((w * x**2).sum())
    growth = float((w * x * (y - np.average(y, weights=w))).sum()) / size
    # the variance of the logarithm of a median, and neighbours that overlap
    return growth, math.sqrt(5.5 * (order + 1) / 3 / size)


def is_log10(data):
    """Return whether the noise is that of logarithms to the base of ten.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals of shape ``(n_views, n_elements)``.

    Returns
    -------
    decimal : bool
        Whether two estimates of the growth of the noise agree, and both are
        clearly above 2, as photons and electronics never are together. False
        for data that were cut at one end, or whose noise was filtered.
    """
    # both make noise in air smaller, which is growth
    if not data.size or not _is_white(data):
        return False
    # and starved readings, which have one largest value, are no better
    for end in (data.min(), data.max()):
        if (data == end).mean() > _CUT:
            return False
    found = [growth_of_noise(data, order) for order in _DIFFERENCES]
    if not all(error < _ERROR for _, error in found):
        return False
    (one, _), (two, _) = found
    low, high = _GROWTH
    return abs(one - two) < _DIFFERENCE and all(
        low + error < growth < high for growth, error in found
    )


def _is_white(data):
    """Return whether the noise along the detector was not filtered."""
    if data.shape[1] <= max(_DIFFERENCES):
        return False
    if (np.diff(data, axis=1) == 0).mean() > _EQUAL:
        return False
    deviations = [_deviation(data, order) for order in _DIFFERENCES]
    low, high = sorted(deviations)
    return low > (1 - _WHITE) * high
