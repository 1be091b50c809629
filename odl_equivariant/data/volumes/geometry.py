# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Where volumes lie in the body: sizes, positions and directions of voxels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ('VolumeGeometry', 'body_axes')

Point = tuple[float, float, float]


@dataclass(frozen=True)
class VolumeGeometry:
    """The grid of a volume in the body, in millimetres.

    Coordinates are those of DICOM: the first one increases to the patient's
    left, the second one to the back, the third one to the head.

    Parameters
    ----------
    shape : tuple of 3 ints
        Number of voxels along each axis.
    spacing : tuple of 3 floats
        Distance of the centres of neighbours along each axis, in millimetres.
    position : tuple of 3 floats or None
        Centre of the voxel ``[0, 0, 0]``, in millimetres. ``None`` if the
        file does not state it.
    directions : tuple of 3 tuples of 3 floats or None
        Unit vectors along the axes. ``None`` if the file does not state them.

    Examples
    --------
    >>> geometry = VolumeGeometry((4, 8, 8), (2.0, 1.0, 1.0))
    >>> geometry.extent, geometry.is_cubic
    ((8.0, 8.0, 8.0), False)
    """

    shape: tuple[int, int, int]
    spacing: Point
    position: Point | None = None
    directions: tuple[Point, Point, Point] | None = None

    @property
    def extent(self) -> Point:
        """Lengths of the sides of the volume, a tuple of 3 floats."""
        a, b, c = (
            n * h for n, h in zip(self.shape, self.spacing, strict=True)
        )
        return (a, b, c)

    @property
    def is_cubic(self) -> bool:
        """Whether voxels are cubes, a bool."""
        return bool(np.allclose(self.spacing, self.spacing[0], 1e-4, 0))

    def on(
        self,
        shape: Sequence[int],
        start: Sequence[float],
        step: Sequence[float],
    ) -> VolumeGeometry:
        """Return the grid whose voxel ``k`` is at the index start + k step.

        Parameters
        ----------
        shape : sequence of 3 ints
            Its shape.
        start : sequence of 3 floats
            Index of its first voxel.
        step : sequence of 3 floats
            Its spacing as a multiple of this one.

        Returns
        -------
        geometry : VolumeGeometry
            The other grid, in the same directions.
        """
        position = self.position
        if position is not None and self.directions is not None:
            steps = np.multiply(start, self.spacing)
            x, y, z = np.add(position, steps @ np.array(self.directions))
            position = (float(x), float(y), float(z))
        n, m, k = map(int, shape)
        a, b, c = np.multiply(step, self.spacing).tolist()
        return VolumeGeometry((n, m, k), (a, b, c), position, self.directions)


def body_axes(directions: Sequence[Point]) -> tuple[list[int], list[int]]:
    """Return which axis of a volume points to the right, front and head.

    Parameters
    ----------
    directions : sequence of 3 unit vectors
        Directions of the axes in the coordinates of DICOM.

    Returns
    -------
    axes : list of 3 ints
        For each direction of the body, the axis that is closest to it.
    signs : list of 3 ints
        1 if the axis points there, -1 if it points to the other side.

    Examples
    --------
    >>> body_axes([(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
    ([1, 2, 0], [-1, -1, 1])
    """
    # rows: to the right, to the front, to the head
    cosines = np.array([[-1.0], [-1.0], [1.0]]) * np.transpose(directions)
    axes = max(
        itertools.permutations(range(3)),
        key=lambda order: abs(cosines[range(3), order]).sum(),
    )
    signs = [1 if cosines[i, k] >= 0 else -1 for i, k in enumerate(axes)]
    return list(axes), signs
