# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""ODL's two-dimensional geometries in the terms of ASTRA's projectors.

ODL's own conversion ignores the offset and the orientation of the detector of
parallel beams, and treats half cells at the boundary of a grid as whole ones.
In all other cases the two conversions agree.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np
from odl.applications.tomo.geometry import (
    DivergentBeamGeometry,
    Flat1dDetector,
    ParallelBeamGeometry,
)

from odl_equivariant.actions._rays import Rays, parallel_offsets
from odl_equivariant.elements import describe_space

__all__ = (
    'RayGeometry',
    'ray_geometry',
    'has_square_cells',
    'full_cells',
)

# ASTRA's projectors on the CPU, without its distance-driven one, which
# returns zeros for some detectors.
PROJECTORS = {
    'parallel': {'linear': 'linear', 'line': 'line', 'strip': 'strip'},
    'fan': {'line': 'line_fanflat', 'strip': 'strip_fanflat'},
}
DEFAULT_MODELS = {'parallel': 'linear', 'fan': 'line'}

# ASTRA loses the rim of strips of a fan that are wider than about nine pixels.
_MAX_STRIP = 8.0

# ODL compares steps with an absolute 1e-8, so all tiny cells seem equal.
_SAME_STEP = 1e-5

# ASTRA turns its coordinates by 90 degrees against those of ODL.
_TO_ASTRA = np.array([[0.0, 1.0], [-1.0, 0.0]])


@dataclasses.dataclass(frozen=True, eq=False)
class RayGeometry:
    """A grid, the rays and the model of a projector, as ASTRA takes them.

    ASTRA computes in single precision, and compares lengths with constants of
    its own. So it gets all lengths in cells of the image, counted
    from the middle of the image, so that neither the unit of length nor a
    place far from the origin takes digits.

    Attributes
    ----------
    volume, projection : dict
        ASTRA's descriptions of the image and the data, in cells.
    projector : str
        Name of ASTRA's projector.
    unit : float
        Length of a cell, by which the weights of ASTRA's projector are to be
        multiplied; 1 if the cells are no squares.
    image_shape, data_shape : tuple of int
        Shapes of an image and of its data.
    lengths : numpy.ndarray or None
        Where cells are no squares: the length of each ray over that in
        cells, of shape ``data_shape``, by which weights are multiplied, too.
    """

    volume: dict
    projection: dict
    projector: str
    unit: float
    image_shape: tuple
    data_shape: tuple
    lengths: np.ndarray | None = None

    def view(self, index):
        """Return ASTRA's description of the rays of one view."""
        name = (
            'Vectors' if 'Vectors' in self.projection else ('ProjectionAngles')
        )
        values = self.projection[name]
        # on a curved detector, each ray has a description of its own
        size = len(values) // self.data_shape[0]
        values = values[index * size : (index + 1) * size]
        return {**self.projection, name: np.ascontiguousarray(values)}

    def scaled(self, view, index):
        """Multiply ASTRA's rows of one view, in place; return them."""
        view.data *= self.unit
        if self.lengths is not None:
            view.data *= np.repeat(self.lengths[index], np.diff(view.indptr))
        return view

    @property
    def digest(self):
        """Digest that is equal for equal rays and grids only."""
        digest = hashlib.sha256(self.projector.encode())
        digest.update(np.float64(self.unit).tobytes())
        if self.lengths is not None:
            digest.update(np.asarray(self.lengths, dtype='<f8').tobytes())
        for description in (self.volume, self.projection):
            for key in sorted(description):
                value = description[key]
                digest.update(key.encode())
                if isinstance(value, np.ndarray):
                    digest.update(str(value.shape).encode())
                    digest.update(np.asarray(value, dtype='<f8').tobytes())
                else:
                    digest.update(repr(value).encode())
        return digest.hexdigest()

    @property
    def nonzeros_bound(self):
        """Number of non-zero weights that the matrix cannot exceed."""
        rows, columns = self.image_shape
        per_ray = {
            # a line enters a new pixel wherever it crosses a grid line
            'line': rows + columns,
            'line_fanflat': rows + columns,
            # two pixels in each row, or in each column
            'linear': 2 * max(rows, columns),
        }.get(self.projector, rows * columns)
        return self.data_shape[0] * self.data_shape[1] * per_ray


def full_cells(partition):
    """Return the ends of a uniform grid, with whole cells at its boundary.

    Parameters
    ----------
    partition : `odl.core.discr.RectPartition`
        Uniform partition, whose nodes may lie on its boundary.

    Returns
    -------
    low, high : numpy.ndarray
        Ends along each axis of cells around the nodes.
    """
    fractions = np.array(partition.boundary_cell_fractions, dtype=float)
    sides = np.asarray(partition.cell_sides, dtype=float)
    low = np.asarray(partition.min_pt) - (1 - fractions[:, 0]) * sides
    high = np.asarray(partition.max_pt) + (1 - fractions[:, 1]) * sides
    return low, high


class _Frame(NamedTuple):
    """The origin and the units of length of ASTRA's coordinates."""

    origin: np.ndarray
    # one number, or one for each axis
    unit: float | np.ndarray

    def points(self, points):
        """Return points of ODL's plane in ASTRA's coordinates."""
        return self.vectors(points - self.origin)

    def vectors(self, vectors):
        """Return vectors of ODL's plane in ASTRA's coordinates."""
        return vectors / self.unit @ _TO_ASTRA.T


def _has_equal_steps(partition):
    """Return whether the nodes of each axis are equally far apart."""
    steps = [np.diff(vector) for vector in partition.coord_vectors]
    return all(
        np.allclose(step, step[:1], rtol=_SAME_STEP, atol=0) for step in steps
    )


def has_square_cells(partition):
    """Return whether the cells of a uniform grid are square.

    Parameters
    ----------
    partition : `odl.core.discr.RectPartition`
        Uniform grid, in any unit of length.

    Returns
    -------
    has_square_cells : bool
        ``True`` up to a relative error of 1e-5.
    """
    sides = partition.cell_sides
    return np.allclose(sides, sides[0], rtol=_SAME_STEP, atol=0)


def _volume(space, frame):
    import astra

    low, high = (
        (end - frame.origin) / frame.unit
        for end in full_cells(space.partition)
    )
    # the flip and the swap of the axes belong to `_TO_ASTRA`
    return astra.create_vol_geom(
        *space.shape, low[1], high[1], -high[0], -low[0]
    )


def _detector(geometry):
    """Return the angles, the axes, the middle and the step of a detector."""
    angles = np.atleast_1d(geometry.angles)
    axes = np.reshape(geometry.det_axis(angles), (-1, 2))
    low, high = full_cells(geometry.det_partition)
    middle = float(low[0] + high[0]) / 2
    return angles, axes, middle, float(geometry.det_partition.cell_sides[0])


def _parallel(geometry, frame):
    import astra

    angles, axes, middle, width = _detector(geometry)
    n_detectors = geometry.det_partition.shape[0]
    # of the middle of the detector, along it and in detector elements
    offsets = parallel_offsets(geometry) + middle - axes @ frame.origin
    offsets = offsets / width
    steps = frame.vectors(width * axes)
    directions = -np.reshape(geometry.det_to_src(angles, middle), (-1, 2))
    if np.ndim(frame.unit) == 0:
        width /= frame.unit
        astra_angles = angles - np.pi / 2
        standard = np.stack(
            [np.cos(astra_angles), np.sin(astra_angles)], axis=1
        )
        if np.allclose(
            steps, width * standard, rtol=0, atol=1e-9 * width
        ) and (np.abs(offsets).max() < 1e-9):
            return astra.create_proj_geom(
                'parallel', width, n_detectors, astra_angles
            )
    else:
        directions = directions / frame.unit
    # the place of a detector along its rays changes nothing
    centres = offsets[:, None] * steps
    vectors = np.hstack([directions @ _TO_ASTRA.T, centres, steps])
    return astra.create_proj_geom('parallel_vec', n_detectors, vectors)


def _fan_vectors(geometry, frame):
    """Return the sources, the middles and the steps of the detectors."""
    angles, axes, middle, width = _detector(geometry)
    sources = np.reshape(geometry.src_position(angles), (-1, 2))
    centres = geometry.det_point_position(angles, middle).reshape(-1, 2)
    return (
        frame.points(sources),
        frame.points(centres),
        frame.vectors(width * axes),
    )


def _fan(geometry, frame):
    import astra

    vectors = np.hstack(_fan_vectors(geometry, frame))
    return astra.create_proj_geom(
        'fanflat_vec', geometry.det_partition.shape[0], vectors
    )


def _curved_fan(geometry, frame):
    """Return each ray to a curved detector as a view of its own."""
    import astra

    angles, axes, _, width = _detector(geometry)
    nodes = np.asarray(geometry.det_partition.coord_vectors[0], dtype=float)
    sources = np.reshape(geometry.src_position(angles), (-1, 1, 2))
    points = np.stack(
        [
            np.reshape(geometry.det_point_position(angle, nodes), (-1, 2))
            for angle in angles
        ]
    )
    # only the direction from the source to the element counts
    axes = width * float(geometry.detector.radius) * axes[:, None]
    vectors = np.concatenate(
        [
            np.broadcast_to(part, points.shape)
            for part in (
                frame.points(sources),
                frame.points(points),
                frame.vectors(axes),
            )
        ],
        axis=-1,
    )
    return astra.create_proj_geom('fanflat_vec', 1, vectors.reshape(-1, 6))


def _lengths(geometry, frame):
    """Return the lengths of rays over those in cells that are no squares."""
    directions = Rays.of(geometry).directions
    return 1 / np.linalg.norm(directions / frame.unit, axis=-1)


def _centred_fan(geometry, space, frame):
    """Return the description of a fan that ASTRA's strip projector takes."""
    import astra

    sources, centres, steps = _fan_vectors(geometry, frame)
    width = float(geometry.det_partition.cell_sides[0]) / frame.unit
    along = steps / width
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    source_radius = -np.sum(sources * across, axis=1)
    detector_radius = np.sum(centres * across, axis=1)
    scale = 1e-9 * np.abs([source_radius, detector_radius]).max()
    if not (
        np.allclose(sources, -source_radius[0] * across, rtol=0, atol=scale)
        and np.allclose(
            centres, detector_radius[0] * across, rtol=0, atol=scale
        )
        and source_radius[0] > 0
    ):
        raise ValueError(
            "ASTRA's model 'strip' takes fan beams only with the middle of "
            'the detector opposite the source, at the same distance in all '
            f"views; take impl='astra_matrix_line', got {geometry!r}"
        )
    low, high = full_cells(space.partition)
    radius = np.linalg.norm(np.maximum(np.abs(low), np.abs(high)))
    opening = width / (source_radius[0] + detector_radius[0])
    # in cells, of which one is the unit
    strip = opening * (source_radius[0] + radius / frame.unit)
    if strip > _MAX_STRIP:
        raise ValueError(
            "ASTRA's model 'strip' is right for fan beams only where a strip "
            f'is at most {_MAX_STRIP:g} pixels wide, got {strip:.3g} at the '
            "rim of the image; take impl='astra_matrix_line', or finer "
            'detector elements'
        )
    return astra.create_proj_geom(
        'fanflat',
        width,
        geometry.det_partition.shape[0],
        np.arctan2(along[:, 1], along[:, 0]),
        float(source_radius[0]),
        float(detector_radius[0]),
    )


def ray_geometry(geometry, space, model=None):
    """Return a geometry and a grid in the terms of ASTRA.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Parallel or fan beams in 2D, with a flat or a curved detector.
    space : `DiscretizedSpace`
        Space of the images, with equal cells of any size, anywhere.
    model : {'line', 'strip', 'linear'}, optional
        How a ray meets a pixel. Default: 'linear' for parallel beams,
        'line' for fan beams.

    Returns
    -------
    rays : RayGeometry
        Description for ASTRA.

    Raises
    ------
    ValueError
        If ASTRA has no such projector on the CPU, or needs other cells or
        detector elements.
    """
    if not (space.partition.is_uniform and _has_equal_steps(space.partition)):
        raise ValueError(
            'ASTRA needs a grid of equal cells, got the space '
            f'{describe_space(space)}'
        )
    if isinstance(geometry, ParallelBeamGeometry):
        beam = 'parallel'
    elif isinstance(geometry, DivergentBeamGeometry):
        beam = 'fan'
    else:
        raise ValueError(
            f'expected parallel or fan beams, got {type(geometry).__name__}'
        )
    is_flat = isinstance(geometry.detector, Flat1dDetector)
    if not is_flat and not hasattr(geometry.detector, 'radius'):
        raise ValueError(
            'expected a flat or a circular detector, got a '
            f'{type(geometry.detector).__name__}'
        )
    if not _has_equal_steps(geometry.det_partition):
        raise ValueError(
            'ASTRA needs detector elements of equal size, got the partition '
            f'{geometry.det_partition!r}'
        )
    model = DEFAULT_MODELS[beam] if model is None else model
    projectors = PROJECTORS[beam]
    if model not in projectors:
        possible = ' or '.join(f"'astra_matrix_{name}'" for name in projectors)
        raise ValueError(
            f'ASTRA has no model {model!r} for {beam} beams on the CPU; take '
            f'impl={possible}'
        )
    low, high = full_cells(space.partition)
    is_square = has_square_cells(space.partition)
    if model == 'strip' and not (is_square and is_flat):
        raise ValueError(
            "the model 'strip' needs square cells and a flat detector, got "
            f'cells of {" x ".join(f"{s:g}" for s in space.cell_sides)} and a '
            f'{type(geometry.detector).__name__}; take '
            "impl='astra_matrix_line'"
        )
    unit = float(space.cell_sides[0])
    if not is_square:
        unit = np.asarray(space.cell_sides, dtype=float)
    frame = _Frame((low + high) / 2, unit)
    if not is_flat:
        projection = _curved_fan(geometry, frame)
    elif beam == 'parallel':
        projection = _parallel(geometry, frame)
    elif model == 'strip':
        # this one turns about the origin
        frame = frame._replace(origin=np.zeros(2))
        projection = _centred_fan(geometry, space, frame)
    else:
        projection = _fan(geometry, frame)
    return RayGeometry(
        volume=_volume(space, frame),
        projection=projection,
        projector=projectors[model],
        unit=frame.unit if is_square else 1.0,
        lengths=None if is_square else _lengths(geometry, frame),
        image_shape=tuple(space.shape),
        data_shape=tuple(geometry.partition.shape),
    )
