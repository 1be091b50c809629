# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Lines of the plane that a tomographic geometry measures."""

import dataclasses

import numpy as np
from odl.applications.tomo.geometry import ParallelBeamGeometry

__all__ = (
    'Rays',
    'detector_offset',
    'explain_mismatch',
    'match_rays',
    'misses_domain',
    'parallel_offsets',
)

# Relative to the detector elements and to an angle of 1.
_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True, eq=False)
class Rays:
    """Oriented lines, sorted by view.

    Attributes
    ----------
    directions : numpy.ndarray, shape (n_views, n_detectors, 2)
        Unit vectors from the source to the detector.
    offsets : numpy.ndarray, shape (n_views, n_detectors)
        Signed distances from the origin to the left of the direction.
    width : float
        Side of a detector element.
    """

    directions: np.ndarray
    offsets: np.ndarray
    width: float

    @classmethod
    def of(cls, geometry):
        """Return the rays of a geometry of the plane."""
        angles = np.atleast_1d(np.asarray(geometry.angles, dtype=float))
        places = np.asarray(
            geometry.det_partition.coord_vectors[0], dtype=float
        )
        width = float(geometry.det_partition.cell_sides[0])
        if isinstance(geometry, ParallelBeamGeometry):
            return cls(*_parallel_lines(geometry, angles, places), width)
        points = np.stack(
            [
                np.reshape(geometry.det_point_position(a, places), (-1, 2))
                for a in angles
            ]
        )
        backwards = np.stack(
            [
                np.broadcast_to(
                    np.reshape(geometry.det_to_src(a, places), (-1, 2)),
                    (len(places), 2),
                )
                for a in angles
            ]
        )
        lengths = np.linalg.norm(backwards, axis=-1, keepdims=True)
        directions = -backwards / lengths
        return cls(directions, _offsets(directions, points), width)

    @property
    def normals(self):
        """Unit vectors to the left of the directions."""
        x, y = np.moveaxis(self.directions, -1, 0)
        return np.stack([-y, x], -1)

    def moved(self, matrix, shift):
        """Return the rays after ``x -> matrix x + shift``."""
        points = self.offsets[..., None] * self.normals
        directions = self.directions @ matrix.T
        offsets = _offsets(directions, points @ matrix.T + shift)
        return Rays(directions, offsets, self.width)

    def detectors(self, indices):
        """Return the rays to some of the detector elements."""
        return Rays(
            self.directions[:, indices], self.offsets[:, indices], self.width
        )

    def gaps(self, other, views, detectors):
        """Return the largest distances between two lists of lines.

        Parameters
        ----------
        other : Rays
            The other rays.
        views, detectors : numpy.ndarray of int
            Which of them belong to these rays, of shapes that broadcast to
            that of the offsets.

        Returns
        -------
        angle, distance : float
            Largest angle between two lines, whichever way they run, and
            largest difference between their distances from the origin.
        """
        x, y = np.moveaxis(self.directions, -1, 0)
        u, v = np.moveaxis(other.directions[views, detectors], -1, 0)
        sides = np.sign(x * u + y * v)
        offsets = sides * other.offsets[views, detectors]
        return (
            float(np.abs(x * v - y * u).max()),
            float(np.abs(self.offsets - offsets).max()),
        )

    def places(self, oriented):
        """Return one point for each line: equal lines have equal points."""
        length = self.width * _TOLERANCE
        x, y = np.moveaxis(self.directions, -1, 0)
        if oriented:
            angle, offsets = [x, y], [self.offsets]
        else:
            # the same for a direction and its opposite
            angle = [x * x - y * y, 2 * x * y]
            offsets = np.moveaxis(self.normals, -1, 0) * self.offsets
        columns = [c / _TOLERANCE for c in angle]
        columns += [c / length for c in offsets]
        return np.stack(columns, -1).reshape(-1, len(columns))


def detector_offset(geometry):
    """Return how far from the centre of rotation parameter 0 is measured.

    ODL places the detector at a distance of 1 from the origin, whatever the
    unit of length. The component of its position along the rays does not
    affect the rays, but would cost digits of all lengths that are much
    smaller.

    Parameters
    ----------
    geometry : odl.applications.tomo.Parallel2dGeometry
        Parallel beams.

    Returns
    -------
    offset : float
        Signed distance along the axis of the detector, the same for each
        view, in the unit of the geometry.
    """
    position = geometry.det_pos_init - geometry.translation
    # both turn with the view, so that their product does not
    return float(position @ geometry.det_axis_init)


def parallel_offsets(geometry):
    """Return how far from the origin the rays of detector parameter 0 pass.

    Parameters
    ----------
    geometry : odl.applications.tomo.Parallel2dGeometry
        Parallel beams.

    Returns
    -------
    offsets : numpy.ndarray, shape (n_views,)
        Signed distances from the origin, along the axis of the detector, to
        the rays that hit the detector at its parameter 0, in the unit of the
        geometry.
    """
    angles = np.atleast_1d(np.asarray(geometry.angles, dtype=float))
    axes = np.reshape(geometry.det_axis(angles), (-1, 2))
    return detector_offset(geometry) + axes @ geometry.translation


def _parallel_lines(geometry, angles, places):
    """Return the directions and the offsets of parallel rays."""
    axes = np.reshape(geometry.det_axis(angles), (-1, 2))
    backwards = np.reshape(geometry.det_to_src(angles, places[0]), (-1, 2))
    directions = -backwards / np.linalg.norm(backwards, axis=1, keepdims=True)
    # the axis runs to the left of the rays, or to their right
    sides = np.sign(
        directions[:, 0] * axes[:, 1] - directions[:, 1] * axes[:, 0]
    )
    along = parallel_offsets(geometry)[:, None] + places
    shape = (len(angles), len(places), 2)
    directions = np.broadcast_to(directions[:, None], shape)
    return directions, sides[:, None] * along


def _offsets(directions, points):
    x, y = np.moveaxis(directions, -1, 0)
    return x * points[..., 1] - y * points[..., 0]


def match_rays(sources, rays):
    """Return the index of each given ray among the measured rays.

    Parameters
    ----------
    sources, rays : Rays
        What to look for, and where. Rays with the same orientation are
        preferred, so that views from both sides change places in pairs.

    Returns
    -------
    indices : numpy.ndarray of int, shape (n_rays,)
        Indices into the flat data, 0 where there is none.
    is_measured : numpy.ndarray of bool, shape (n_rays,)
        Whether there is one.
    """
    from scipy.spatial import cKDTree

    candidates = []
    for oriented in (True, False):
        tree = cKDTree(rays.places(oriented))
        distances, indices = tree.query(
            sources.places(oriented), distance_upper_bound=2.0
        )
        found = np.isfinite(distances)
        # views that are measured twice may give two rays the same source
        different = len(np.unique(indices[found]))
        score = (int(found.sum()), different, oriented)
        candidates.append((score, np.where(found, indices, 0), found))
    return max(candidates, key=lambda candidate: candidate[0])[1:]


def misses_domain(rays, space):
    """Return which rays do not meet a cell of a space, with a cell's margin.

    Parameters
    ----------
    rays : Rays
        The rays.
    space : `odl.DiscretizedSpace`
        Space of the images.

    Returns
    -------
    misses : numpy.ndarray of bool, shape (n_rays,)
        ``True`` for a ray whose data are 0 for every image.
    """
    low = np.asarray(space.partition.min_pt) - space.cell_sides
    high = np.asarray(space.partition.max_pt) + space.cell_sides
    middle, half = (low + high) / 2, (high - low) / 2
    distances = np.abs(rays.offsets - rays.normals @ middle)
    return (distances > np.abs(rays.normals) @ half).ravel()


def explain_mismatch(rays, sources, is_lost, geometry):
    """Return why some rays have no source, and what would fit.

    Parameters
    ----------
    rays, sources : Rays
        The measured rays, and those that would be needed.
    is_lost : numpy.ndarray of bool, shape (n_rays,)
        Which rays have no source.
    geometry : odl.applications.tomo.Geometry
        The geometry of the rays.

    Returns
    -------
    reason : str
        Part of an error message.
    """
    n_views, n_detectors = rays.offsets.shape
    view, place = divmod(int(np.flatnonzero(is_lost)[0]), n_detectors)
    angles = np.degrees(np.atleast_1d(geometry.angles))
    measured = rays.directions.reshape(-1, 2)
    wanted = sources.directions[view, place]
    cross = measured[:, 0] * wanted[1] - measured[:, 1] * wanted[0]
    if np.abs(cross).min() > 10 * _TOLERANCE:
        return (
            f'the view at {angles[view]:.6g} degrees would come from one in '
            'a direction that is not measured; the rotations that fit the '
            f'views are those by {_fitting_rotations(angles, rays)} degrees'
        )
    nearest = np.flatnonzero(np.abs(cross) <= 10 * _TOLERANCE)
    lines = (
        rays.offsets.ravel()[nearest][:, None]
        * rays.normals.reshape(-1, 2)[nearest]
    )
    line = sources.offsets[view, place] * sources.normals[view, place]
    gap = np.linalg.norm(lines - line, axis=1).min() / rays.width
    return (
        f'detector element {place} of the view at {angles[view]:.6g} degrees '
        'would come from a ray in a direction that is measured, but '
        f'{gap:.3g} detector elements from the nearest one; the rays of each '
        'view must be symmetric about the centre of the domain, and cover it'
    )


def _fitting_rotations(angles, rays):
    """Return the rotations in degrees that permute the directions."""
    parallel = np.allclose(rays.directions, rays.directions[:, :1])
    period = 180.0 if parallel else 360.0
    fits = []
    for step in np.unique(np.round((angles - angles[0]) % period, 9)):
        gaps = (angles[:, None] + step - angles + period / 2) % period
        if (np.abs(gaps - period / 2).min(axis=1) < 1e-3).all():
            fits.append(step)
    shown = ', '.join(f'{step:.6g}' for step in fits[:8])
    if len(fits) > 8:
        shown += ', ...'
    return f'{shown} (plus multiples of {period:g})'
