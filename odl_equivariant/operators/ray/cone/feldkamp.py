# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The reconstruction of Feldkamp, Davis and Kress from cone beams."""

import dataclasses

import numpy as np
import torch

from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.ray.geometry import full_cells
from odl_equivariant.operators.ray.ramp_filter import DataOperator, by_parts

__all__ = ('ConeRays', 'Feldkamp')

# Directions that are to be at right angles are so up to this cosine.
_RIGHT = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class ConeRays:
    """The rays of a cone beam on a flat detector, seen from the sources.

    Attributes
    ----------
    sources : numpy.ndarray
        Places of the sources, relative to the axis, of shape ``(n_views, 3)``.
    normals, axes, heights : numpy.ndarray
        Unit vectors of shape ``(n_views, 3)``: from the source to the
        detector, and along both its axes.
    distances : numpy.ndarray
        Distances of the sources to the detector.
    first : numpy.ndarray
        Coordinates of the first detector element, relative to the foot of
        the normal, of shape ``(n_views, 2)``.
    nodes : tuple of 2 numpy.ndarray
        Coordinates of the elements along both axes, relative to the first.
    step : tuple of 2 floats
        Sides of an element.
    radius : float
        Distance of the sources to the axis of rotation.
    fan_angles : numpy.ndarray
        Angles between the rays in the middle plane and those through the
        axis, of shape ``(n_views, n_columns)``, counter-clockwise.
    edges : tuple of 2 floats
        The same at the ends of the detector.
    """

    sources: np.ndarray
    normals: np.ndarray
    axes: np.ndarray
    heights: np.ndarray
    distances: np.ndarray
    first: np.ndarray
    nodes: tuple
    step: tuple
    radius: float
    fan_angles: np.ndarray
    edges: tuple

    @classmethod
    def of_geometry(cls, geometry):
        """Return the rays of a `odl.applications.tomo.ConeBeamGeometry`.

        Raises
        ------
        ValueError
            If the detector is curved or tilted against the axis of rotation,
            or the sources do not move on one circle about it.
        """
        partition = geometry.det_partition
        angles = np.asarray(geometry.angles, float)
        axis = np.asarray(geometry.axis, float)
        centre = np.asarray(geometry.translation, float)
        sources = np.array([geometry.src_position(a) for a in angles]) - centre
        nodes = [np.asarray(c, float) for c in partition.coord_vectors]
        corner = tuple(n[0] for n in nodes)
        first = (
            np.array([geometry.det_point_position(a, corner) for a in angles])
            - centre
            - sources
        )
        axes, heights = np.moveaxis(
            np.array([geometry.det_axes(a) for a in angles], float), 1, 0
        )
        normals = np.cross(axes, heights)
        distances = np.einsum('vi,vi->v', first, normals)
        normals *= np.sign(distances)[:, None]
        across = sources - np.outer(sources @ axis, axis)
        radii = np.linalg.norm(across, axis=1)
        curved = getattr(geometry, 'det_curvature_radius', None) is not None
        if (
            curved
            or np.abs(np.abs(heights @ axis) - 1).max() > _RIGHT
            or np.ptp(sources @ axis) > _RIGHT * radii.max()
            or np.ptp(radii) > _RIGHT * radii.max()
        ):
            raise ValueError(
                'the reconstruction of Feldkamp needs sources on one circle '
                'about the axis, and a flat detector whose second axis is '
                f'parallel to it, got {geometry!r:.300}; start at '
                "initial='adjoint' instead"
            )
        low, high = (float(end[0]) for end in full_cells(partition))
        ends = np.array([low, *nodes[0], high]) - nodes[0][0]
        rays = first[:, None] + ends[None, :, None] * axes[:, None]
        inwards = -across[:, None]
        turned = np.cross(inwards, rays) @ axis
        flat = rays - (rays @ axis)[..., None] * axis
        gamma = np.arctan2(turned, (inwards * flat).sum(-1))
        bounds = np.sort(gamma[:, [0, -1]], axis=1)
        lows, highs = full_cells(partition)
        step = (np.asarray(highs) - np.asarray(lows)) / partition.shape
        return cls(
            sources,
            normals,
            axes,
            heights,
            np.abs(distances),
            np.stack(
                [
                    np.einsum('vi,vi->v', first, axes),
                    np.einsum('vi,vi->v', first, heights),
                ],
                axis=1,
            ),
            tuple(n - n[0] for n in nodes),
            tuple(step.tolist()),
            float(radii.mean()),
            gamma[:, 1:-1],
            (float(bounds[:, 0].max()), float(bounds[:, 1].min())),
        )

    def cosines(self):
        """Return the cosines of rays and those through the axis.

        They are the products of the cosines of the fan angles and of the
        angles to the middle plane, of the shape of the data. The detector may
        be turned about its second axis.
        """
        u, v = (self.first[:, i, None] + self.nodes[i][None] for i in range(2))
        flat = np.hypot(self.distances[:, None], u)[..., None]
        fan = np.cos(self.fan_angles)[..., None]
        return fan * flat / np.hypot(flat, v[:, None, :])


class Feldkamp(DataOperator):
    r"""Filter the rows of the detector, and project them back.

    Parameters
    ----------
    domain : `DiscretizedSpace`
        Data space, of shape ``(n_views, n_columns, n_rows)``.
    range : `DiscretizedSpace`
        Space of the volumes.
    rays : ConeRays
        Rays of the data.
    ramp : RampFilter
        Filter of the columns of one row, for all views.
    weights : numpy.ndarray
        Factors of the data before they are filtered, broadcastable to them.
    centre : numpy.ndarray
        Where the axis of rotation is.

    Notes
    -----
    A view counts with :math:`R D_i / \langle x - s_i, n_i \rangle^2` at the
    projection of each voxel. Data are interpolated linearly along both axes,
    and zero outside of the detector. The transpose is exact.
    """

    def __init__(self, domain, range, rays, ramp, weights, centre):
        super().__init__(domain, range, linear=True)
        self.rays, self.ramp = rays, ramp
        self.weights, self.centre = np.asarray(weights, float), centre

    def maps(self):
        """Return the map of batches and its transpose."""
        dtype = layouts(self)[0].real_dtype
        rays = self.rays
        weights = Constant(torch.from_numpy(self.weights).to(dtype))
        nodes = [
            np.asarray(c, float) - offset
            for c, offset in zip(
                self.range.grid.coord_vectors, self.centre, strict=True
            )
        ]
        grids = [
            Constant(torch.from_numpy(nodes[i]).reshape(
                [-1 if k == i else 1 for k in range(3)]))
            for i in range(3)
        ]  # fmt: skip
        filtered, unfiltered = self.ramp.maps()
        n_columns, n_rows = self.domain.shape[1:]
        width = n_rows + 2
        nearest = float(np.max(self.range.cell_sides))

        def coordinate(x, view, vectors):
            return sum(
                vectors[view, i]
                * (grids[i].like(x) - float(rays.sources[view, i]))
                for i in range(3)
            )

        def interpolation(x, view):
            """Return indices, parts and factor of all voxels in a view."""
            ahead = coordinate(x, view, rays.normals)
            # behind the source there is nothing
            before = ahead > nearest
            ahead = ahead.clamp(min=nearest)
            places = []
            for i, (vectors, size) in enumerate(
                ((rays.axes, n_columns), (rays.heights, n_rows))
            ):
                place = coordinate(x, view, vectors) / ahead
                place = place * float(rays.distances[view])
                place = (place - float(rays.first[view, i])) / rays.step[i] + 1
                place = place.clamp(0, size + 1)
                index = place.floor().clamp(max=size)
                places.append((index.long(), (place - index).to(dtype)))
            (i, s), (k, t) = places
            factor = rays.radius * float(rays.distances[view]) * before
            factor = (factor / ahead.square()).to(dtype)
            return (i * width + k).flatten(), s.flatten(), t.flatten(), factor

        corners = (0, 1, width, width + 1)

        def shares(s, t):
            return (1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t

        def apply(y):
            rows = filtered((y * weights.like(y)).movedim(-2, -1))
            images = torch.nn.functional.pad(rows.movedim(-1, -2), 4 * (1,))
            images = images.flatten(-2).reshape(
                -1, len(rays.sources), (n_columns + 2) * width
            )
            result = y.new_zeros(len(images), *self.range.shape)
            for view in range(len(rays.sources)):
                index, s, t, factor = interpolation(y, view)
                data = images[:, view]
                value = sum(
                    data.index_select(1, index + corner) * share
                    for corner, share in zip(
                        corners, shares(s, t), strict=True
                    )
                )
                result += value.reshape(result.shape) * factor
            return result.reshape(*y.shape[:-3], *self.range.shape)

        def transpose(x):
            volumes = x.reshape(-1, *self.range.shape)
            images = x.new_zeros(
                len(volumes), len(rays.sources), (n_columns + 2) * width
            )
            for view in range(len(rays.sources)):
                index, s, t, factor = interpolation(x, view)
                value = (volumes * factor).flatten(1)
                for corner, share in zip(corners, shares(s, t), strict=True):
                    images[:, view].index_add_(
                        1, index + corner, value * share
                    )
            images = images.unflatten(-1, (n_columns + 2, width))
            rows = images[..., 1:-1, 1:-1].movedim(-2, -1)
            rows = unfiltered(rows.contiguous()).movedim(-1, -2)
            y = rows * weights.like(x)
            return y.reshape(*x.shape[:-3], *self.domain.shape)

        return by_parts(apply), by_parts(transpose)


@register_batched(Feldkamp)
def _maps(operator):
    return operator.maps()
