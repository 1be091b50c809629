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
from odl_equivariant._types import ImageShape, Random

__all__ = ('simulated_coil_maps',)


def simulated_coil_maps(
    shape: ImageShape, n_coils: int, rng: Random = None
) -> np.ndarray:
    r"""Draw smooth sensitivities of coils around an object.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of the images.
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
    The coils lie on a circle around the grid, the longer side of which is 2.
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
    shape = array_shape('shape', shape, 2)
    n_coils = whole_number('n_coils', n_coils, 1)
    rng = np.random.default_rng(rng)
    x, y = (
        (2 * np.arange(n) - n + 1).reshape(-1, *(1 - i) * [1]) / max(shape)
        for i, n in enumerate(shape)
    )
    radius, width = rng.uniform(1.1, 1.5), rng.uniform(0.5, 1.0)
    angles = 2 * np.pi * (np.arange(n_coils) + rng.random()) / n_coils
    maps = np.empty((n_coils, *shape), np.complex128)
    for own, angle in zip(maps, angles, strict=True):
        distance = (x - radius * np.cos(angle)) ** 2
        distance = distance + (y - radius * np.sin(angle)) ** 2
        phase, *slope = rng.uniform(-np.pi, np.pi, 3)
        own[:] = np.exp(1j * (phase + slope[0] * x / 2 + slope[1] * y / 2))
        own /= 1 + distance / width**2
    maps /= np.linalg.norm(maps, axis=0)
    return maps.astype(np.complex64)
