# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sets of volumes, on one grid or on their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from odl_equivariant._checks import array_shape
from odl_equivariant._types import VolumeShape, VoxelSpacing
from odl_equivariant.data._checks import position
from odl_equivariant.data.slices.base import Slices
from odl_equivariant.data.slices.geometry import Volume
from odl_equivariant.data.slices.grids import axis_weights
from odl_equivariant.data.volumes.geometry import VolumeGeometry

__all__ = ('Volumes',)

# Spacings are equal if they differ by less, as a part of one: files state
# them in single precision, or rounded.
SAME = 1e-3
# More are those of a unit that was mistaken: 4 GiB in single precision.
MOST_VOXELS = 2**30


class Volumes(Slices):
    """A sequence of volumes, each with a name and a group.

    ``v[i]`` is volume ``i``, a numpy array with three axes of dtype float32
    or complex64. If volumes are random, as in `VolumePatches`, ``v[i,
    epoch]`` is the volume of that epoch. Sets of volumes are split, taken as
    training data, and derived from as `Slices` are.

    Parameters
    ----------
    names, groups : sequence of str
        Name of each volume, and where it comes from, such as a patient.
    shape : tuple of 3 ints, optional
        Shape of all volumes. They are cut, or filled with their least value,
        or 0 if they are complex, around their centre. Voxels stay as they
        are. Default: volumes keep their shape.
    spacing : float or tuple of 3 floats, optional
        Size of the voxels, in millimetres, to which all volumes are
        resampled: of cubes, or along each axis. The centre of a volume stays
        its centre, and each new voxel is the mean, over its box, of what
        linear interpolation gives.

    Raises
    ------
    ValueError
        On access, if a volume does not have three dimensions, or has values
        that are infinite or not a number.

    Examples
    --------
    >>> class Cubes(Volumes):
    ...     def _image(self, i, epoch):
    ...         return np.full((4, 4, 6), i**2)
    >>> volumes = Cubes(['one', 'two'], ['a', 'b'], shape=(4, 4, 4))
    >>> len(volumes), volumes[1].shape, volumes[1].dtype
    (2, (4, 4, 4), dtype('float32'))
    """

    _n_axes = 3

    def __init__(
        self,
        names: Sequence[str],
        groups: Sequence[str],
        shape: VolumeShape | None = None,
        spacing: VoxelSpacing | None = None,
    ) -> None:
        grid: dict[str, Any] = {'shape': shape, 'spacing': spacing}
        super().__init__(names, groups, **grid, volumes=names)

    def geometry(  # type: ignore[override]
        self, index: int
    ) -> VolumeGeometry | None:
        """Return where the voxels of a volume lie in the body.

        Parameters
        ----------
        index : int
            Which volume.

        Returns
        -------
        geometry : VolumeGeometry or None
            Spacing, position and directions of ``v[index]``. ``None`` if the
            size of its voxels is not known.
        """
        own: Any = super().geometry(index)
        return own

    def volume(self, name: str | None = None) -> Volume:
        """Return a volume with its place in the body.

        Parameters
        ----------
        name : str, optional
            One of ``names``. Default: the only one.

        Returns
        -------
        volume : Volume
            Values, spacing, position and directions.

        Raises
        ------
        ValueError
            If there is no such volume, or nothing says where it lies.
        """
        if name is None and len(self) == 1:
            name = self.names[0]
        if name not in self.names:
            raise ValueError(
                f'there is no volume {name!r}: give one of '
                f'{", ".join(map(repr, self.names[:5]))}'
            )
        index = self.names.index(name)
        own = self.geometry(index)
        if own is None or own.position is None or own.directions is None:
            raise ValueError(
                f'{name} has no place in the body: '
                f'{self._no_geometry(self._places[index])}'
            )
        return Volume(
            self[index], own.spacing, own.position, own.directions, (name,)
        )

    def region(
        self,
        index: int,
        corner: Sequence[int],
        shape: VolumeShape,
        epoch: int = 0,
    ) -> np.ndarray:
        """Return a box of a volume.

        Of a file that can be mapped to memory, only the box is read.

        Parameters
        ----------
        index : int
            Which volume.
        corner : sequence of 3 ints
            Index of its first voxel.
        shape : tuple of 3 ints
            Its shape.
        epoch : int, optional
            Which one, if volumes are random.

        Returns
        -------
        part : numpy.ndarray
            ``v[index, epoch][i : i + n, j : j + m, k : k + l]``, a new array.

        Raises
        ------
        ValueError
            If the box is not inside of the volume.
        """
        index = position(index, len(self), 'volumes')
        shape = array_shape('shape', shape, 3)
        corner = array_shape('corner', corner, 3, least=0)
        whole = self.shape_of(index)
        if any(
            i + n > m for i, n, m in zip(corner, shape, whole, strict=True)
        ):
            raise ValueError(
                f'{self.names[index]} has the shape {whole}, and the box of '
                f'the shape {shape} at {corner} is not inside of it'
            )
        window = tuple(
            slice(i, i + n) for i, n in zip(corner, shape, strict=True)
        )
        return np.array(self._part(index, window, epoch))

    def shape_of(self, index: int) -> VolumeShape:
        """Return the shape of a volume, if possible without reading it.

        Parameters
        ----------
        index : int
            Which volume.

        Returns
        -------
        shape : tuple of 3 ints
            Shape of ``v[index]``.
        """
        if self.shape is not None:
            return self.shape
        own = self.geometry(index)
        n, m, k = self[index].shape if own is None else own.shape
        return (n, m, k)

    def _part(self, index, window, epoch):
        """Return a box of a volume; it may be a view."""
        return self[index, epoch][window]

    def _change(self, index, shape):
        """Return how a volume of some shape gets to the grid of the set."""
        if self.spacing is None:
            start = tuple(
                n // 2 - m // 2 for n, m in zip(shape, self.shape, strict=True)
            )
            return _GridChange(self.shape, start, (1.0, 1.0, 1.0))
        name, place = self.names[index], self._places[index]
        own = self._geometry(place)
        if own is None:
            raise ValueError(
                f'{name} cannot be resampled to `spacing`: '
                f'{self._no_geometry(place)}'
            )
        step = tuple(
            1.0 if abs(new / old - 1) < SAME else new / old
            for new, old in zip(self.spacing, own.spacing, strict=True)
        )
        new = self.shape or tuple(
            max(1, round(n / s)) for n, s in zip(shape, step, strict=True)
        )
        # two voxels of the one in the other, unless there are fewer
        if math.prod(new) > MOST_VOXELS or any(
            n > 1 and (n < 2 * s or 2 > m * s)
            for n, m, s in zip(shape, new, step, strict=True)
        ):
            raise ValueError(
                f'{name} has {_times(shape)} voxels of {_times(own.spacing)} '
                f'mm, and `spacing` {_times(self.spacing)} makes '
                f'{_times(new)} of them: `spacing` is the side of a voxel in '
                'millimetres'
            )
        start = tuple(
            (n - 1) / 2 - s * (m - 1) / 2
            for n, m, s in zip(shape, new, step, strict=True)
        )
        return _GridChange(new, start, step)

    def _check_spacings(self):
        """Raise a ValueError for voxels of several sizes in one set."""
        if self.spacing is not None:
            return
        known = [
            (name, own.spacing)
            for name, own in zip(
                self.names, map(self._geometry, self._places), strict=True
            )
            if own is not None
        ]
        for name, spacing in known:
            if not np.allclose(spacing, known[0][1], rtol=SAME, atol=0):
                finest = min(min(sides) for _, sides in known)
                raise ValueError(
                    f'volumes of one set must have one spacing: {known[0][0]} '
                    f'has voxels of {_times(known[0][1])} mm, and {name} of '
                    f'{_times(spacing)} mm. Pass `spacing`, for example '
                    f'{finest:g}, to resample them, or leave some out'
                )


def _times(numbers):
    return ' x '.join(f'{number:g}' for number in numbers)


class _GridChange(NamedTuple):
    """How the voxels of a new grid lie on an old one.

    Along each axis, the centre of voxel k is at the old index
    ``start + k step``.
    """

    shape: tuple[int, ...]
    start: tuple[float, ...]
    step: tuple[float, ...]

    def __call__(self, volume, fill):
        """Return a volume on the new grid, with a value beside it."""
        if all(s == 1 and i == round(i) for i, s in self._lines()):
            return self._moved(volume, fill)
        result, inside = volume, []
        for axis, sizes in enumerate(
            zip(volume.shape, self.shape, self.step, strict=True)
        ):
            matrix, is_inside = axis_weights(*sizes)
            lines = np.moveaxis(result, axis, 0)
            moved = matrix @ lines.reshape(len(lines), -1)
            result = np.moveaxis(moved.reshape(-1, *lines.shape[1:]), 0, axis)
            inside.append(is_inside)
        result = np.ascontiguousarray(result, volume.dtype)
        for axis, is_inside in enumerate(inside):
            np.moveaxis(result, axis, 0)[~is_inside] = fill
        return result

    def _lines(self):
        return zip(self.start, self.step, strict=True)

    def _moved(self, volume, fill):
        """Return the volume, cut and filled by whole voxels."""
        result = np.full(self.shape, fill, volume.dtype)
        old, new = [], []
        for first, n, m in zip(
            map(round, self.start), volume.shape, self.shape, strict=True
        ):
            low, high = max(first, 0), min(first + m, n)
            old.append(slice(low, high))
            new.append(slice(low - first, high - first))
        result[tuple(new)] = volume[tuple(old)]
        return result
