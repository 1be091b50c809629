# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Search for the axis of rotation, as the offset of the detector."""

from __future__ import annotations

import math

import numpy as np

__all__ = ('RotatedRays', 'minimum', 'offset_by_opposite_rays')

# At most so many views are compared in a first search.
_COARSE_VIEWS = 60
# Opposite rays decide if there are so many, relative to a detector row.
_ENOUGH = 0.3
# Elements over which data are smoothed before they are compared.
_BLUR = 1.5
_GOLDEN = (math.sqrt(5) - 1) / 2


class RotatedRays:
    """Rays of a scanner in the plane, for any offset of its detector.

    Parameters
    ----------
    angles : numpy.ndarray
        Increasing angles of the views, in radians.
    n_detectors : int
        Number of detector elements.
    radii : tuple of float, optional
        Distances of the source and of a flat detector of a fan to the axis,
        in detector elements. Default: parallel beams.
    """

    def __init__(self, angles, n_detectors, radii=None):
        self.angles = np.asarray(angles, dtype=float)
        self.n_detectors = n_detectors
        self.radii = radii
        steps = np.diff(self.angles)
        self.step = float(np.median(steps)) if steps.size else math.pi

    def views(self, angles):
        """Return places among the views, not a number outside of the scan."""
        first, last = self.angles[0], self.angles[-1]
        slack = 1.01 * self.step
        full = 2 * math.pi
        # the turn of the circle that comes after the beginning of the scan
        angles = first + (angles - first + slack) % full - slack
        places = np.interp(angles, self.angles, np.arange(len(self.angles)))
        return np.where(angles > last + slack, np.nan, places)

    def opposite(self, angles, s):
        """Return view angles from where the same lines are seen, at -s."""
        if self.radii is None:
            return angles + math.pi + 0 * s
        return angles + math.pi - 2 * np.arctan2(s, sum(self.radii))


def offset_by_opposite_rays(data, rays, start, reach):
    """Return the offset for which lines have the same data from both sides.

    Parameters
    ----------
    data : numpy.ndarray
        Line integrals, of shape ``(views, elements)``.
    rays : RotatedRays
        Rays of the data.
    start, reach : float
        Where to search, in detector elements.

    Returns
    -------
    offset : float or None
        Offset of the detector in elements; ``None`` if too few lines are
        seen from both sides.
    """
    from scipy import ndimage

    # so that interpolation does not change the noise, wherever it is
    smooth = ndimage.gaussian_filter1d(data.astype(float), _BLUR, axis=1)
    spline = ndimage.spline_filter(smooth, order=3)
    middle = (rays.n_detectors - 1) / 2
    s = np.arange(0.5, rays.n_detectors)[None, :]
    enough = _ENOUGH * rays.n_detectors

    def mismatch(offset, views):
        """Return one minus the correlation, infinite for too few rays."""
        angles = rays.angles[views][:, None]
        own, other = middle + s - offset, middle - s - offset
        places = rays.views(rays.opposite(angles, s))
        seen = (own <= rays.n_detectors - 1) & (own >= 0) & (other >= 0)
        seen = seen & (other <= rays.n_detectors - 1) & ~np.isnan(places)
        if seen.sum() < enough:
            return math.inf
        rows = np.broadcast_to(views[:, None], seen.shape)
        own, other = (np.broadcast_to(u, seen.shape) for u in (own, other))
        one, two = (
            ndimage.map_coordinates(
                spline,
                np.stack([v[seen], u[seen]]),
                order=3,
                prefilter=False,
                mode='nearest',
            )
            for v, u in ((rows, own), (places, other))
        )
        one, two = one - one.mean(), two - two.mean()
        size = math.sqrt(float((one**2).sum() * (two**2).sum()))
        if size <= 1e-12 * max(1.0, float(np.abs(data).max()) ** 2):
            return math.inf
        return 1 - float((one * two).sum()) / size

    every = np.arange(len(rays.angles))
    known = ~np.isnan(rays.views(rays.opposite(rays.angles[:, None], s)))
    useful = every[known.any(axis=1)]
    if not useful.size:
        return None
    few = useful[:: max(1, len(useful) // _COARSE_VIEWS)]
    offsets = start + np.arange(-math.floor(reach), math.floor(reach) + 1)
    costs = np.array([mismatch(offset, few) for offset in offsets])
    if not np.isfinite(costs).any():
        return None
    best = offsets[int(np.argmin(costs))]
    return minimum(lambda o: mismatch(o, useful), best - 1, best + 1, 1e-3)


def minimum(function, low, high, tolerance):
    """Return where a function of one number is least, by golden sections.

    Parameters
    ----------
    function : callable
        Function of a float, with one minimum between the ends.
    low, high : float
        Ends of the interval.
    tolerance : float
        Length of the interval at which the search ends.

    Returns
    -------
    place : float
        Middle of the last interval.

    Examples
    --------
    >>> round(minimum(lambda x: (x - 0.3) ** 2, 0.0, 1.0, 1e-4), 3)
    0.3
    """
    places = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    values = [function(place) for place in places]
    while high - low > tolerance:
        if values[0] <= values[1]:
            high = places[1]
            places = [high - _GOLDEN * (high - low), places[0]]
            values = [function(places[0]), values[0]]
        else:
            low = places[0]
            places = [places[1], low + _GOLDEN * (high - low)]
            values = [values[1], function(places[1])]
    return (low + high) / 2
