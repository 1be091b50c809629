# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sensitivities of receive coils that there could be."""

from __future__ import annotations

import numpy as np

from odl_equivariant._checks import array_shape, whole_number
from odl_equivariant._types import ImageShape, Random, VolumeShape

__all__ = ('simulated_coil_maps',)


def simulated_coil_maps(
    shape: ImageShape | VolumeShape, n_coils: int, rng: Random = None
) -> np.ndarray:
    r"""Draw smooth sensitivities of coils around an object.

    Parameters
    ----------
    shape : tuple of 2 or 3 ints
        Shape of the images, or of the volumes.
    n_coils : int
        Number of coils.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness.

    Returns
    -------
    coil_maps : numpy.ndarray
        complex64, of shape ``(n_coils, *shape)``. The squares of the absolute
        values add up to 1 everywhere.

    Notes
    -----
    The coils lie on a circle around the grid, the longer side of which is 2,
    or evenly on a sphere around a grid of volumes.
    At the distance :math:`r` of a coil, the sensitivity before normalisation
    is :math:`e^{i \varphi} / (1 + (r / w)^2)`, with a phase that is linear
    in the position. Radius, width, phases and the first angle are random.

    Examples
    --------
    >>> maps = simulated_coil_maps((6, 8), 4, rng=0)
    >>> maps.shape
    (4, 6, 8)
    >>> bool(np.allclose((abs(maps) ** 2).sum(0), 1))
    True
    """
    shape = array_shape('shape', shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            f'`shape` must be that of images or of volumes, got {shape}'
        )
    n_coils = whole_number('n_coils', n_coils, 1)
    rng = np.random.default_rng(rng)
    places = [
        (2 * np.arange(n) - n + 1).reshape(-1, *after * [1]) / max(shape)
        for after, n in enumerate(reversed(shape))
    ][::-1]
    radius, width = rng.uniform(1.1, 1.5), rng.uniform(0.5, 1.0)
    directions = _directions(n_coils, len(shape), rng.random())
    maps = np.empty((n_coils, *shape), np.complex128)
    for own, *direction in zip(maps, *directions, strict=True):
        distance, (angle, *slopes) = (
            0,
            rng.uniform(-np.pi, np.pi, 1 + len(shape)),
        )
        for x, towards, slope in zip(places, direction, slopes, strict=True):
            distance = distance + (x - radius * towards) ** 2
            angle = angle + slope * x / 2
        own[:] = np.exp(1j * angle) / (1 + distance / width**2)
    maps /= np.linalg.norm(maps, axis=0)
    return maps.astype(np.complex64)


def _directions(n_coils, dimension, start):
    """Return the directions of coils, as one array for each axis.

    Those in the plane divide a turn equally. Those in space are at equal
    steps of height, each turned on by the golden section of a turn.
    """
    coils = np.arange(n_coils)
    if dimension == 2:
        angles = 2 * np.pi * (coils + start) / n_coils
        return [np.cos(angles), np.sin(angles)]
    angles = 2 * np.pi * start + np.pi * (np.sqrt(5) - 1) * coils
    height = (2 * coils + 1) / n_coils - 1
    ring = np.sqrt(1 - height**2)
    return [ring * np.cos(angles), ring * np.sin(angles), height]
