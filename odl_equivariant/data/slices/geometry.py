# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Where images lie in the body: sizes, positions and directions of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ('SliceGeometry', 'Volume', 'in_line', 'stacked')

# Distances of slices are equal if they differ by less, as fractions: the
# second one for files whose positions are rounded to a tenth of a millimetre.
EQUAL, EQUAL_IF_ROUNDED = 0.05, 0.25
ROUNDED = 0.1
# Largest difference of directions, and of positions across the slices as a
# fraction of their distance.
ALIGNED = 1e-2

Point = tuple[float, float, float]


@dataclass(frozen=True)
class SliceGeometry:
    """The grid of a slice in the body, in millimetres.

    Coordinates are those of DICOM: the first one increases to the patient's
    left, the second one to the back, the third one to the head.

    Parameters
    ----------
    shape : tuple of 2 ints
        Number of pixels along both axes of the image.
    spacing : tuple of 2 floats
        Distance of the centres of neighbours along both axes, in millimetres.
    position : tuple of 3 floats or None
        Centre of the pixel ``[0, 0]``, in millimetres. ``None`` if the file
        does not state it.
    directions : tuple of 2 tuples of 3 floats or None
        Unit vectors along both axes of the image. ``None`` if the file does
        not state them.

    Examples
    --------
    >>> geometry = SliceGeometry((4, 8), (2.0, 1.0))
    >>> geometry.extent, geometry.is_square
    ((8.0, 8.0), False)
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    position: Point | None = None
    directions: tuple[Point, Point] | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """Lengths of the sides of the image, a tuple of 2 floats."""
        (n, m), (a, b) = self.shape, self.spacing
        return (n * a, m * b)

    @property
    def is_square(self) -> bool:
        """Whether pixels are square, a bool."""
        return bool(np.isclose(*self.spacing, rtol=1e-4, atol=0))

    def point(self, i: float, j: float) -> Point:
        """Return where an index of the image lies.

        Parameters
        ----------
        i, j : float
            Index along each axis; halves lie between pixels.

        Returns
        -------
        point : tuple of 3 floats
            Place in the body, in millimetres.

        Raises
        ------
        ValueError
            If the position or the directions are not known.
        """
        if self.position is None or self.directions is None:
            raise ValueError(
                'the file of this slice does not state where it lies: its '
                f'position is {self.position}, its directions are '
                f'{self.directions}'
            )
        steps = np.multiply([i, j], self.spacing)
        return _point(np.add(self.position, steps @ np.array(self.directions)))

    def on(
        self,
        shape: tuple[int, int],
        start: Sequence[float],
        step: Sequence[float],
    ) -> SliceGeometry:
        """Return the grid whose pixel ``k`` is at the index start + k step."""
        located = None not in (self.position, self.directions)
        a, b = (float(s * h) for s, h in zip(step, self.spacing, strict=True))
        return SliceGeometry(
            (int(shape[0]), int(shape[1])),
            (a, b),
            self.point(*start) if located else None,
            self.directions,
        )


@dataclass(frozen=True, eq=False)
class Volume:
    """Parallel slices of equal distance, as one array.

    Parameters
    ----------
    values : numpy.ndarray
        Of shape ``(n, m, slices)``: ``values[..., k]`` is a slice.
    spacing : tuple of 3 floats
        Distance of neighbours along each axis, in millimetres.
    position : tuple of 3 floats
        Centre of the voxel ``[0, 0, 0]``, see `SliceGeometry`.
    directions : tuple of 3 tuples of 3 floats
        Unit vectors along the axes.
    names : tuple of str
        Name of each slice.
    """

    values: np.ndarray
    spacing: Point
    position: Point
    directions: tuple[Point, Point, Point]
    names: tuple[str, ...]

    @property
    def affine(self) -> np.ndarray:
        """The map from indices to millimetres as in NIfTI, of shape (4, 4).

        The coordinates of NIfTI increase to the patient's right, front and
        head. So ``nibabel.Nifti1Image(volume.values, volume.affine)`` is this
        volume.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = np.transpose(self.directions) * self.spacing
        matrix[:3, 3] = self.position
        matrix[:2] *= -1
        return matrix


def in_line(geometries: Sequence[SliceGeometry]) -> list[int]:
    """Return the order of slices along the normal of DICOM.

    It points away from the viewer, as axis 1 of an image points upwards.
    Slices that are in order already, in one direction or the other, or that
    do not state where they lie, stay as they are.
    """
    order = list(range(len(geometries)))
    if any(None in (g.position, g.directions) for g in geometries):
        return order
    normal = np.cross(*np.array(geometries[0].directions))
    heights = np.array([g.position for g in geometries]) @ normal
    if (np.diff(heights) >= 0).all() or (np.diff(heights) <= 0).all():
        return order
    return np.argsort(-heights, kind='stable').tolist()


def stacked(slices):
    """Return slices as one volume.

    Parameters
    ----------
    slices : list of (str, numpy.ndarray, SliceGeometry)
        Name, values and geometry of each slice, in order.

    Returns
    -------
    volume : Volume
        The slices along the last axis.

    Raises
    ------
    ValueError
        If two slices differ in shape, pixels or directions, their distances
        are not equal, or nothing says where they lie. The message names the
        slices and the attribute of DICOM.
    """
    names = [name for name, _, _ in slices]
    first = slices[0][2]
    for name, _, geometry in slices:
        if geometry.position is None or geometry.directions is None:
            raise ValueError(
                f'{name} does not state where it lies (ImagePositionPatient '
                'and ImageOrientationPatient), so that it cannot be a part '
                'of a volume'
            )
        for what, one, other, tolerance in (
            ('pixels (Rows, Columns)', geometry.shape, first.shape, 0),
            ('mm (PixelSpacing)', geometry.spacing, first.spacing, 1e-4),
            (
                'directions (ImageOrientationPatient)',
                geometry.directions,
                first.directions,
                ALIGNED,
            ),
        ):
            if not np.allclose(one, other, rtol=0, atol=tolerance):
                raise ValueError(
                    f'{name} and {names[0]} are no slices of one volume: '
                    f'they have {one} and {other} {what}'
                )
    across = np.cross(*np.array(first.directions))
    places = np.array([geometry.position for _, _, geometry in slices])
    steps = np.diff(places, axis=0)
    along = steps @ across
    thickness = _thickness(names, along)
    if len(steps):
        across = across * np.sign(along[0])
        aside = np.abs(steps - along[:, None] * np.cross(*first.directions))
        worst = int(aside.max(axis=1).argmax())
        if aside[worst].max() > max(ALIGNED * thickness, 1e-3):
            raise ValueError(
                f'{names[worst + 1]} lies {aside[worst].max():g} mm aside of '
                f'{names[worst]} (ImagePositionPatient): a tilted stack is '
                'no volume with perpendicular axes'
            )
    return Volume(
        np.stack([values for _, values, _ in slices], axis=-1),
        (*first.spacing, thickness),
        first.position,
        (*first.directions, _point(across)),
        tuple(names),
    )


def _thickness(names, along):
    """Return the distance of slices, given the steps along the normal."""
    if not len(along):
        raise ValueError(
            f'{names[0]} is a single slice, and a volume has two or more: '
            'nothing says how thick it is'
        )
    # the lower one of the two in the middle is that of a file
    usual = float(np.quantile(along, 0.5, method='closest_observation'))
    most = max(EQUAL * abs(usual), min(ROUNDED, EQUAL_IF_ROUNDED * abs(usual)))
    for i, step in enumerate(along):
        if abs(step - usual) > most * (1 + 1e-6) or not step:
            raise ValueError(
                f'between {names[i]} and {names[i + 1]} there are '
                f'{abs(step):g} '
                f'mm, and between most slices {abs(usual):g} mm '
                '(ImagePositionPatient): slices are missing, or there are '
                'several volumes'
            )
    return abs(float(np.mean(along)))


def _point(values):
    x, y, z = map(float, values)
    return (x, y, z)
