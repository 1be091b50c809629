# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The rays of fan-beam geometries, seen from the sources."""

import dataclasses

import numpy as np

from odl_equivariant.operators.ray.geometry import full_cells

__all__ = ('FanRays',)

# Angles of detector elements are equal to so many of them.
_EQUAL = 1e-4


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _dot(a, b):
    return np.sum(a * b, axis=-1)


@dataclasses.dataclass(frozen=True, eq=False)
class FanRays:
    """The rays of a fan-beam geometry, seen from the source of each view.

    Attributes
    ----------
    sources : numpy.ndarray
        Places of the source, of shape ``(n_views, 2)``.
    normals, axes : numpy.ndarray
        Unit vectors of shape ``(n_views, 2)``: from the source to the
        detector, at right angles to it if it is flat, and along it.
    radii : numpy.ndarray
        Distances of the sources to the centre of rotation.
    distances : numpy.ndarray or None
        Distances of the sources to a flat detector; ``None`` for a curved
        one.
    first : numpy.ndarray
        Coordinate of the first detector element in each view: the distance
        along a flat detector from the normal, or the angle to the normal.
    step : numpy.ndarray
        Width of an element in the same coordinate, in each view.
    fan_angles : numpy.ndarray
        Angles between the rays and those through the centre of rotation, of
        shape ``(n_views, n_detectors)``, counter-clockwise.
    tilts : numpy.ndarray
        The same for the normals, of shape ``(n_views,)``.
    edges : tuple of float
        The same at the ends of the detector, as far as all views reach.
    places : numpy.ndarray or None
        Where to take the data of equal angles from, in detector elements, if
        the elements of a curved detector have others.
    """

    sources: np.ndarray
    normals: np.ndarray
    axes: np.ndarray
    radii: np.ndarray
    distances: np.ndarray | None
    first: np.ndarray
    step: np.ndarray
    fan_angles: np.ndarray
    tilts: np.ndarray
    edges: tuple
    places: np.ndarray | None

    @classmethod
    def of_geometry(cls, geometry):
        """Return the rays of an `odl.applications.tomo.FanBeamGeometry`."""
        angles = np.asarray(geometry.angles, dtype=float)
        partition = geometry.det_partition
        low, high = (float(end[0]) for end in full_cells(partition))
        nodes = np.asarray(partition.coord_vectors[0], dtype=float)
        # the detector's surface has the orientation of the first view
        turns = geometry.rotation_matrix(angles).reshape(-1, 2, 2)
        reference = geometry.det_refpoint(angles).reshape(-1, 1, 2)
        centre = np.asarray(geometry.translation, dtype=float)
        sources = geometry.src_position(angles).reshape(-1, 2)

        def rays(parameters):
            surface = _surface(geometry.detector, parameters)
            points = np.einsum('vij,pj->vpi', turns, surface) + reference
            return points - sources[:, None]

        axes = turns @ np.asarray(geometry.detector.axis, dtype=float)
        is_flat = not hasattr(geometry.detector, 'radius')
        if is_flat:
            normals = np.stack([-axes[:, 1], axes[:, 0]], axis=1)
            distances = _dot(rays(nodes[:1])[:, 0], normals)
            normals *= np.sign(distances)[:, None]
            distances = np.abs(distances)
            first = _dot(rays(nodes[:1])[:, 0], axes)
            step = np.full(len(angles), (high - low) / len(nodes))
            places = None
        else:
            normals = rays(np.array([(low + high) / 2]))[:, 0]
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            across = np.stack([-normals[:, 1], normals[:, 0]], axis=1)
            axes = across * np.sign(_dot(across, axes))[:, None]
            distances = None
            first, step, places = _equal_angles(rays(nodes), normals, axes)
        to_centre = centre - sources
        k = np.arange(len(nodes)) * step[:, None] + first[:, None]
        if is_flat:
            directions = (
                distances[:, None, None] * normals[:, None]
                + k[..., None] * axes[:, None]
            )
        else:
            directions = (
                np.cos(k)[..., None] * normals[:, None]
                + np.sin(k)[..., None] * axes[:, None]
            )

        def fan_angles(directions):
            return np.arctan2(
                _cross(to_centre[:, None], directions),
                _dot(to_centre[:, None], directions),
            )

        ends = np.sort(fan_angles(rays(np.array([low, high]))), axis=1)
        return cls(
            sources=sources,
            normals=normals,
            axes=axes,
            radii=np.linalg.norm(to_centre, axis=1),
            distances=distances,
            first=first,
            step=step,
            fan_angles=fan_angles(directions),
            tilts=fan_angles(normals[:, None])[:, 0],
            edges=(float(ends[:, 0].max()), float(ends[:, 1].min())),
            places=places,
        )

    def missing(self, reach):
        """Return how many elements there are too few to see an angle.

        Parameters
        ----------
        reach : float
            Angle to the ray through the centre of rotation, to both sides.

        Returns
        -------
        before, after : float
            Numbers of elements, negative if there are more than needed.
        """
        size = self.fan_angles.shape[1]
        sense = np.sign(_cross(self.normals, self.axes))
        ends = np.array([[-reach], [reach]]) - self.tilts
        ends = np.sort(sense * ends, axis=0)
        if self.distances is not None:
            limit = np.radians(80)
            ends = self.distances * np.tan(np.clip(ends, -limit, limit))
        places = (ends - self.first) / self.step
        return -0.5 - places[0].min(), places[1].max() + 0.5 - size


def _surface(detector, parameters):
    """Return points of a detector, also just outside of its partition."""
    if hasattr(detector, 'radius'):
        circle = np.stack([np.cos(parameters), -np.sin(parameters)], axis=1)
        circle = detector.radius * circle @ detector.rotation_matrix.T
        return circle + detector.translation
    return parameters[:, None] * np.asarray(detector.axis, dtype=float)


def _equal_angles(rays, normals, axes):
    """Return equal angles for the elements of a curved detector."""
    angles = np.arctan2(
        _dot(rays, axes[:, None]), _dot(rays, normals[:, None])
    )
    n_views, size = angles.shape
    first = angles[:, 0]
    step = (angles[:, -1] - first) / max(size - 1, 1)
    if size == 1:
        return first, np.ones(n_views), None
    equal = first[:, None] + step[:, None] * np.arange(size)
    if np.abs(angles - equal).max() < _EQUAL * step.min():
        return first, step, None
    places = [
        np.interp(wanted, given, np.arange(size))
        for wanted, given in zip(equal, angles, strict=True)
    ]
    return first, step, np.array(places)
