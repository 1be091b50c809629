# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Weights of rays: the width of a view, shared by copies of a line.

A ray is a pair of the view's angle :math:`\beta` and of a signed coordinate
:math:`p` on the detector, zero for the ray through the centre of rotation.
The same line is seen from the other side by

.. math::
    (\beta, p) \sim (\beta + \pi + 2 \gamma, -p),

with the fan angle :math:`\gamma`, zero for parallel beams. The weights of all
rays along one line add up to one, and fall smoothly to zero where the scan or
the detector ends. With two of them this is, in the shortest scan of a fan,
the weight of Parker, *Optimal short scan convolution reconstruction for
fanbeam CT*, Medical Physics 9 (1982), 254-257.
"""

import dataclasses
import math

import numpy as np

__all__ = ('Scan', 'ray_weights', 'measured_share')

# The least angle over which weights fall to zero at an end of the scan.
_TAPER = math.radians(10)
# A gap between views is a hole in the scan if it exceeds all of these: so
# many gaps beside it, so many wide gaps (few of the others are wider), and
# this angle. Random views have no hole.
_HOLE = (2.0, 4.0, math.radians(5))
_WIDE = 90  # percent
# A scan is closed if the gap that is left is at most so many of those beside
# it, or of the wide ones, or as large as another one that is no hole.
_CLOSED = 2.0
_TINY = 1e-9
# A detector reaches as far to both sides but for so much of it.
_EVEN = 1e-6


def _is_hole(gap, beside, wide):
    return gap > max(_HOLE[0] * beside, _HOLE[1] * wide, _HOLE[2])


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """The angles that the views stand for.

    Attributes
    ----------
    angles, widths : numpy.ndarray
        Angle of each view, and of the cell that it stands for, in radians.
    arcs : list of tuple of float
        Ends of the intervals that the cells cover.
    turns : int or None
        Number of periods that the cells cover, exactly and without a hole;
        ``None`` if they do not.
    """

    angles: np.ndarray
    widths: np.ndarray
    arcs: list
    turns: int | None

    @classmethod
    def of_partition(cls, partition, period):
        """Return the scan of a partition of angles.

        Cells meet half-way between views. A circle with a gap no larger than
        those between the views counts as closed, whatever the ends of the
        partition. A gap that is far larger than those beside it is a hole.

        Parameters
        ----------
        partition : `odl.core.discr.RectPartition`
            Partition of one axis.
        period : float
            Angle after which the views repeat.
        """
        angles = np.asarray(partition.coord_vectors[0], dtype=float)
        start = float(angles[0] - partition.min_pt[0])
        end = float(partition.max_pt[0] - angles[-1])
        gaps = np.diff(angles)
        wide = np.percentile(gaps, _WIDE) if gaps.size else start + end
        first, last = (gaps[0], gaps[-1]) if gaps.size else (wide, wide)
        left, right = np.append(start, gaps / 2), np.append(gaps / 2, end)

        holes = []
        for i, gap in enumerate(gaps):
            before = gaps[i - 1] if i > 0 else math.inf
            after = gaps[i + 1] if i + 1 < gaps.size else math.inf
            beside = [near for near in (before, after) if near < math.inf]
            if beside and _is_hole(gap, max(beside), wide):
                holes.append(i)
                right[i] = min(before, wide) / 2
                left[i + 1] = min(after, wide) / 2

        span = float(angles[-1] - angles[0])
        turns = max(1, math.ceil((span - 1e-6 * period) / period))
        rest = turns * period - span
        widest = max(first, last)
        covered = start + end >= rest - 1e-6 * period
        if not gaps.size:
            closed = covered
        elif covered:
            closed = not _is_hole(rest, widest, wide)
        else:
            largest = np.delete(gaps, holes).max(initial=0)
            closed = rest <= max(_CLOSED * max(widest, wide), largest)
        if closed:
            left[0] = right[-1] = rest / 2
        else:
            left[0], right[-1] = min(start, first), min(end, last)

        cuts = [0, *(i + 1 for i in holes), len(angles)]
        arcs = [
            (angles[i] - left[i], angles[j - 1] + right[j - 1])
            for i, j in zip(cuts[:-1], cuts[1:], strict=True)
        ]
        return cls(
            angles, left + right, arcs, turns if closed and not holes else None
        )

    @property
    def length(self):
        """Angle that the views cover, counted as often as they do."""
        return float(sum(high - low for low, high in self.arcs))

    def depth(self, angles):
        """Return how far angles lie inside the scan, negative outside."""
        depths = [
            np.minimum(angles - low, high - angles) for low, high in self.arcs
        ]
        return np.max(depths, axis=0)

    def images(self, angles):
        """Yield the angles, turned by full circles, that may be in the scan.

        The angles themselves are not among them.
        """
        low, high = self.arcs[0][0], self.arcs[-1][1]
        first = math.floor((low - angles.max()) / (2 * math.pi))
        last = math.ceil((high - angles.min()) / (2 * math.pi))
        for k in range(first, last + 1):
            if k:
                yield angles + 2 * math.pi * k


def _sides(edges, p):
    """Return how far rays lie inside the detector, negative outside."""
    return np.minimum(p - edges[0], edges[1] - p)


def _share(own, others):
    """Return the share of each ray among all rays along its line."""
    total = own + sum(others)
    parts = [
        np.sin(math.pi / 2 * part / total) ** 2 for part in (own, *others)
    ]
    return parts[0] / sum(parts)


def ray_weights(scan, edges, p, fan_angles=None):
    """Return the weights of rays in the integral over all lines.

    Parameters
    ----------
    scan : Scan
        Views; its ``turns`` are half circles for parallel beams and full
        circles for fan beams.
    edges : tuple of float
        Values of ``p`` at the ends of the detector.
    p : numpy.ndarray
        Coordinates of the rays, of shape ``(n_views, n_detectors)`` or
        broadcastable to it.
    fan_angles : numpy.ndarray, optional
        Angles between the rays and those through the centre, with a sign.

    Returns
    -------
    weights : numpy.ndarray
        The width of the view times the part of the line, broadcastable to
        ``(n_views, n_detectors)``.
    """
    widths = scan.widths[:, None]
    reach = edges[1] - edges[0]
    is_even = abs(edges[0] + edges[1]) < _EVEN * reach
    parallel = fan_angles is None
    if is_even and scan.turns is not None:
        return widths / (scan.turns if parallel else 2 * scan.turns)
    if is_even:
        inside = opposite = np.ones((1, 1))
    else:
        inside = np.maximum(_sides(edges, p), _TINY * reach)
        opposite = np.maximum(_sides(edges, -p), 0)
    if scan.turns is not None and not (parallel and scan.turns % 2):
        full_turns = scan.turns / 2 if parallel else scan.turns
        return widths * _share(inside, [opposite]) / full_turns

    length = scan.length
    taper = max(_TAPER, min(2 * (length - math.pi), 2 * math.pi - length))

    def depth(angles):
        return np.clip(scan.depth(angles), 0, taper)

    angles = scan.angles[:, None]
    own = np.maximum(depth(angles), _TINY) * inside
    other_side = angles + math.pi + (0 if parallel else 2 * fan_angles)
    others = [inside * depth(image) for image in scan.images(angles)]
    others += [
        opposite * depth(image)
        for image in (other_side, *scan.images(other_side))
    ]
    return widths * _share(own, others)


def measured_share(scan, edges, reach, fan_angles=False, slack=0.0):
    """Return which part of the lines through the centre is measured.

    Parameters
    ----------
    scan, edges
        As for `ray_weights`.
    reach : float
        The largest ``p`` that counts.
    fan_angles : bool, optional
        Whether ``p`` is a fan angle, else that of parallel beams.
    slack : float, optional
        By how many views the scan may be too short at each end.

    Returns
    -------
    share : float
        Number between 0 and 1.
    """
    is_even = abs(edges[0] + edges[1]) < _EVEN * (edges[1] - edges[0])
    if scan.turns is not None and (is_even or fan_angles):
        return 1.0
    angles = np.linspace(0, 2 * math.pi, 360, endpoint=False)[:, None]
    p = np.linspace(-reach, reach, 33)[None, :]
    slack = slack * float(np.median(scan.widths)) + _TINY
    other_side = angles + math.pi + (2 * p if fan_angles else 0)
    measured = np.zeros((angles.size, p.size), dtype=bool)
    for rays, sign in ((angles, 1), (other_side, -1)):
        hit = _sides(edges, sign * p) >= -_TINY * (edges[1] - edges[0])
        for image in (rays, *scan.images(rays)):
            measured |= hit & (scan.depth(image) >= -slack)
    return float(measured.mean())
