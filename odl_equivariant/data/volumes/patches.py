# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random boxes of volumes, to train with."""

from __future__ import annotations

import numpy as np

from odl_equivariant._checks import array_shape, whole_number
from odl_equivariant._types import VolumeShape
from odl_equivariant.data.volumes.base import Volumes

__all__ = ('VolumePatches',)

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x70617463


class VolumePatches(Volumes):
    """Boxes of volumes at random places, other ones in each epoch.

    The places depend only on the seed, the epoch and the index. So ``v[i,
    epoch]`` is the same in every process.

    Parameters
    ----------
    volumes : Volumes
        Volumes to take boxes from. Of files that can be mapped to memory,
        such as ``.nii`` without resampling, only the boxes are read.
    shape : tuple of 3 ints
        Shape of the boxes.
    n_per_volume : int, optional
        Number of boxes of each volume in an epoch.
    seed : int, optional
        Seed of the places.

    Raises
    ------
    TypeError
        If ``volumes`` are no `Volumes`.
    ValueError
        If a volume is smaller than a box.

    Examples
    --------
    >>> from odl_equivariant.data import PhantomVolumes
    >>> patches = VolumePatches(PhantomVolumes(2, (16, 16, 16)), (8, 8, 4), 3)
    >>> len(patches), patches.names[1], patches[1, 5].shape
    (6, 'phantom-0/1', (8, 8, 4))
    """

    def __init__(
        self,
        volumes: Volumes,
        shape: VolumeShape,
        n_per_volume: int = 1,
        seed: int = 0,
    ) -> None:
        if not isinstance(volumes, Volumes):
            raise TypeError(f'expected `Volumes`, got {volumes!r}')
        box = array_shape('shape', shape, 3)
        self._n = whole_number('n_per_volume', n_per_volume, 1)
        self.seed = whole_number('seed', seed, 0)
        for i, name in enumerate(volumes.names):
            whole = volumes.shape_of(i)
            if any(n < m for n, m in zip(whole, box, strict=True)):
                raise ValueError(
                    f'{name} has the shape {whole}, and is smaller than a box '
                    f'of the shape {box}: take smaller boxes, or fill the '
                    'volumes by their `shape`'
                )
        numbers = range(self._n)
        super().__init__(
            [
                name if self._n == 1 else f'{name}/{k}'
                for name in volumes.names
                for k in numbers
            ],
            [group for group in volumes.groups for _ in numbers],
        )
        self.source = volumes
        self.box = box

    def shape_of(self, index: int) -> VolumeShape:
        """Return the shape of the boxes."""
        return self.shape or self.box

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, epoch, place, _PURPOSE])
        index = place // self._n
        corner = [
            int(rng.integers(n - m + 1))
            for n, m in zip(self.source.shape_of(index), self.box, strict=True)
        ]
        return self.source.region(index, corner, self.box, epoch)
