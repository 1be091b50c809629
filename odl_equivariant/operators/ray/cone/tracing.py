# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The lengths of rays in the voxels of a grid, as a sparse matrix."""

import numpy as np

from odl_equivariant.operators.ray.geometry import full_cells

__all__ = ('RayTracer',)

# Rays whose crossings are sorted at once.
_CHUNK = 2**11
# A ray runs along a plane if its direction is closer to it, and it lies in
# the plane if it is closer to it, as a part of a cell.
_ALONG = 1e-10
_CLOSE = 1e-6


class RayTracer:
    """Rays of a geometry of ODL, and the voxels that they meet.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry in 3D, with cone beams or parallel beams.
    space : odl.DiscretizedSpace
        Space of the volumes, with cells of equal size.
    """

    def __init__(self, geometry, space):
        self.geometry = geometry
        self.shape = tuple(space.shape)
        low, high = full_cells(space.partition)
        self.low = np.asarray(low, float)
        self.high = np.asarray(high, float)
        self.sides = (self.high - self.low) / self.shape
        vectors = [
            np.asarray(nodes, float)
            for nodes in geometry.det_partition.coord_vectors
        ]
        self._detector = tuple(
            grid.ravel() for grid in np.meshgrid(*vectors, indexing='ij')
        )

    def source_inside(self):
        """Return a source that lies in the volume, or None."""
        if not hasattr(self.geometry, 'src_position'):
            return None
        for angle in np.asarray(self.geometry.angles, float):
            source = np.asarray(self.geometry.src_position(angle), float)
            if ((self.low < source) & (source < self.high)).all():
                return source.tolist()
        return None

    def rays(self, view):
        """Return points of the rays of a view, and unit vectors along them."""
        angle = float(np.asarray(self.geometry.angles)[view])
        points = self.geometry.det_point_position(angle, self._detector)
        points = np.asarray(points, float).reshape(-1, 3)
        if hasattr(self.geometry, 'src_position'):
            source = np.asarray(self.geometry.src_position(angle), float)
            directions = points - source
        else:
            directions = np.asarray(
                self.geometry.det_to_src(angle, self._detector), float
            ).reshape(-1, 3)
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        return points, directions / lengths

    def entries(self, view):
        """Return rows, columns and lengths of the entries of a view.

        A ray that lies between two voxels belongs half to each.
        """
        points, directions = self.rays(view)
        points = (points - self.low) / self.sides
        directions = directions / self.sides
        rows = np.arange(len(points))
        weights = np.ones(len(points))
        size = np.abs(directions).max(axis=1)
        for axis in range(3):
            place = points[:, axis]
            split = (np.abs(directions[:, axis]) < _ALONG * size) & (
                np.abs(place - np.rint(place)) < _CLOSE
            )
            other = points[split].copy()
            other[:, axis] += 2 * _CLOSE
            points[split, axis] -= 2 * _CLOSE
            weights[split] /= 2
            points = np.concatenate([points, other])
            directions = np.concatenate([directions, directions[split]])
            rows = np.concatenate([rows, rows[split]])
            weights = np.concatenate([weights, weights[split]])
            size = np.abs(directions).max(axis=1)
        found = [
            self._traced(*(part[i : i + _CHUNK] for part in parts))
            for parts in [(points, directions, rows, weights)]
            for i in range(0, len(points), _CHUNK)
        ]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _traced(self, points, directions, rows, weights):
        """Return the entries of some rays, in units of cells."""
        with np.errstate(divide='ignore', invalid='ignore'):
            planes = [
                (np.arange(n + 1) - points[:, axis, None])
                / directions[:, axis, None]
                for axis, n in enumerate(self.shape)
            ]
        enter = np.full(len(points), -np.inf)
        leave = np.full(len(points), np.inf)
        for axis, (n, places) in enumerate(
            zip(self.shape, planes, strict=True)
        ):
            still = np.abs(directions[:, axis]) < _ALONG * np.abs(
                directions
            ).max(axis=1)
            inside = (0 < points[:, axis]) & (points[:, axis] < n)
            ends = places[:, [0, -1]]
            first = np.where(still, np.where(inside, -np.inf, np.inf),
                             ends.min(axis=1))  # fmt: skip
            last = np.where(still, np.inf, ends.max(axis=1))
            enter, leave = np.maximum(enter, first), np.minimum(leave, last)
            places[still] = np.inf
        hit = np.flatnonzero(enter < leave)
        crossings = np.concatenate([places[hit] for places in planes], axis=1)
        enter, leave = enter[hit, None], leave[hit, None]
        crossings = np.clip(
            np.concatenate([enter, crossings, leave], axis=1), enter, leave
        )
        crossings.sort(axis=1)
        lengths = np.diff(crossings, axis=1)
        # rounding makes cells of no size
        ray, piece = np.nonzero(lengths > 1e-9 * (leave - enter))
        middle = (crossings[ray, piece] + crossings[ray, piece + 1]) / 2
        places = points[hit][ray] + middle[:, None] * directions[hit][ray]
        voxels = np.floor(places).astype(np.int64)
        voxels = np.clip(voxels, 0, np.array(self.shape) - 1)
        columns = np.ravel_multi_index(voxels.T, self.shape)
        # the directions are of length 1 in the unit of the space
        values = lengths[ray, piece] * weights[hit][ray]
        return rows[hit][ray], columns, values
