# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Denoising of volumes as an acquisition."""

from __future__ import annotations

from typing import Any

from odl_equivariant._types import Backend, VolumeShape
from odl_equivariant.data.acquisitions.degradations.base import Dtype
from odl_equivariant.data.acquisitions.denoising import Denoising, Levels

__all__ = ('VolumeDenoising',)


class VolumeDenoising(Denoising):
    """Volumes with white Gaussian noise, at a random level.

    In everything but the number of axes it is `Denoising`.

    Parameters
    ----------
    shape : tuple of 3 ints, optional
        Shape of the volumes. From a larger volume, `pair` takes a random box
        of this shape.
    sigma : float or tuple of 2 floats, optional
        Standard deviation of the noise, in the unit of the volumes: one
        number, or the least and the greatest one.
    side : float, optional
        Length of the longest side of a volume of cubic voxels. Only
        ``space`` depends on it.
    dtype, backend, levels : optional
        As for `Denoising`.

    Attributes
    ----------
    space, operator, sigma
        As for `Denoising`.

    Raises
    ------
    ValueError
        If a size, a length or a noise level is not positive, the least level
        is above the greatest, or a name is unknown.
    TypeError
        If a number is none.

    Examples
    --------
    >>> from odl_equivariant.data import VolumeDenoising, ellipsoid_phantom
    >>> denoising = VolumeDenoising((8, 8, 8), sigma=(0.01, 0.1))
    >>> pair = denoising.pair(ellipsoid_phantom((12, 12, 12), rng=0), rng=0)
    >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
    {'data': (1, 8, 8, 8), 'truth': (1, 8, 8, 8), 'sigma': ()}
    """

    _n_axes = 3

    def __init__(
        self,
        shape: VolumeShape = (32, 32, 32),
        sigma: float | tuple[float, float] = (0.003, 0.1),
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
        levels: Levels = 'logarithmic',
    ) -> None:
        box: Any = shape
        super().__init__(box, sigma, side, dtype, backend, levels)
