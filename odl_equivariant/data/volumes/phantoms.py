# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random volumes of ellipsoids."""

from __future__ import annotations

import copy

import numpy as np

from odl_equivariant._checks import array_shape, whole_number
from odl_equivariant._types import Random, VolumeShape
from odl_equivariant.data.volumes.base import Volumes

__all__ = ('PhantomVolumes', 'ellipsoid_phantom')

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x766F6C75
_FINER = 2


def ellipsoid_phantom(shape: VolumeShape, rng: Random = None) -> np.ndarray:
    """Draw a body with random ellipsoids in it.

    Parameters
    ----------
    shape : tuple of 3 ints
        Shape of the volume, whose voxels are cubes.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness.

    Returns
    -------
    volume : numpy.ndarray
        Values from 0 to 1, of dtype float32. Each voxel is the mean over
        eight points, so that edges are smooth.

    Examples
    --------
    >>> volume = ellipsoid_phantom((8, 12, 10), rng=0)
    >>> volume.shape, float(volume.min()), 0 < float(volume.max()) <= 1
    ((8, 12, 10), 0.0, True)
    """
    shape = array_shape('shape', shape, 3)
    rng = np.random.default_rng(rng)
    # the longest side is 2
    axes = [
        (2 * np.arange(_FINER * n) + 1 - _FINER * n) / (_FINER * max(shape))
        for n in shape
    ]
    points = np.stack(np.meshgrid(*axes, indexing='ij'))
    sides = np.array(shape) / max(shape)
    fine = np.zeros(points.shape[1:])
    body = _inside(points, np.zeros(3), sides * rng.uniform(0.6, 0.9, 3), rng)
    fine[body] = rng.uniform(0.3, 0.6)
    for _ in range(int(rng.integers(6, 12))):
        centre = sides * rng.uniform(-0.5, 0.5, 3)
        radii = rng.uniform(0.06, 0.4, 3) * sides.min()
        fine[body & _inside(points, centre, radii, rng)] += rng.uniform(
            -0.35, 0.45
        )
    n, m, k = shape
    blocks = np.clip(fine, 0, 1).reshape(n, _FINER, m, _FINER, k, _FINER)
    return blocks.mean(axis=(1, 3, 5)).astype('float32')


def _inside(points, centre, radii, rng):
    """Return which points lie in an ellipsoid that is turned at random."""
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    moved = points - np.reshape(centre, (3, 1, 1, 1))
    scaled = np.tensordot(turn / np.reshape(radii, (3, 1)), moved, 1)
    return np.square(scaled).sum(0) < 1


class PhantomVolumes(Volumes):
    """Random volumes of ellipsoids, see `ellipsoid_phantom`.

    Parameters
    ----------
    n : int
        Number of volumes.
    shape : tuple of 3 ints
        Shape of each.
    seed : int, optional
        Seed. A volume depends only on the seed and its index.

    Raises
    ------
    ValueError
        If a size is not positive.

    Examples
    --------
    >>> volumes = PhantomVolumes(3, (8, 8, 6))
    >>> volumes[2].shape, volumes.names[2]
    ((8, 8, 6), 'phantom-2')
    """

    def __init__(self, n: int, shape: VolumeShape, seed: int = 0) -> None:
        names = [f'phantom-{i}' for i in range(whole_number('n', n, 1))]
        super().__init__(names, names)
        self.seed = whole_number('seed', seed, 0)
        self._grid = array_shape('shape', shape, 3)

    def with_shape(  # type: ignore[override]
        self, shape: VolumeShape
    ) -> PhantomVolumes:
        """Return phantoms of the same seeds, drawn on another grid.

        Parameters
        ----------
        shape : tuple of 3 ints
            Shape of each.

        Returns
        -------
        phantoms : PhantomVolumes
            Other phantoms with the same names.
        """
        other = copy.copy(self)
        other._grid = array_shape('shape', shape, 3)
        return other

    def shape_of(self, index: int) -> VolumeShape:
        """Return the shape of all phantoms."""
        return self._grid

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, place, _PURPOSE])
        return ellipsoid_phantom(self._grid, rng)
