# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pairs of images of several shapes, to train one network with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from odl_equivariant._types import ImageShape
from odl_equivariant.data._checks import grid
from odl_equivariant.data.acquisitions.base import Acquisition
from odl_equivariant.data.pairs.simulated import SimulatedPairs
from odl_equivariant.data.slices.base import Slices, index_and_epoch

__all__ = ('PairsOfShapes',)

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x736861706573


class PairsOfShapes(Dataset):
    """Images and their data, each on a grid that is drawn at random.

    Parameters
    ----------
    slices : Slices
        Images. They are brought to the ``image_shape`` of each acquisition by
        their method ``with_shape``; `Phantoms` are drawn anew.
    acquisition : Acquisition
        What makes pairs; its ``with_shape`` is taken for each shape.
    shapes : sequence of tuple of 2 ints
        Shapes of the reconstructions, all equally probable.
    seed, fresh_noise, augment : optional
        As for `SimulatedPairs`.

    Raises
    ------
    ValueError
        If there is no shape, or one is not two positive sizes.
    TypeError
        If ``slices`` are not `Slices`.

    Notes
    -----
    Keys and pairs are those of `SimulatedPairs`. A pair also has ``'shape'``,
    a tensor of two integers, by which a network knows the acquisition.

    Examples
    --------
    >>> from odl_equivariant.data import Denoising, Phantoms
    >>> pairs = PairsOfShapes(
    ...     Phantoms(9, (16, 16)), Denoising((16, 16)), [(8, 24), (16, 16)]
    ... )
    >>> [tuple(pairs[i]['shape'].tolist()) for i in range(5, 8)]
    [(16, 16), (8, 24), (16, 16)]
    >>> pairs[1]['truth'].shape
    torch.Size([1, 8, 24])
    """

    def __init__(
        self,
        slices: Slices,
        acquisition: Acquisition,
        shapes: Sequence[ImageShape],
        seed: int = 0,
        fresh_noise: bool = True,
        augment: Callable | None = None,
    ) -> None:
        if not isinstance(slices, Slices):
            raise TypeError(
                f'images of several shapes must be `Slices`, got {slices!r}'
            )
        shapes = [grid(shape, 'shapes') for shape in shapes]
        if not shapes or None in shapes:
            raise ValueError(
                f'`shapes` must be one shape or more, got {shapes!r}'
            )
        self.slices = slices
        self.shapes = shapes
        self._pairs = []
        for shape in shapes:
            own = acquisition.with_shape(shape)
            images = slices.with_shape(own.image_shape)
            self._pairs.append(
                SimulatedPairs(images, own, seed, fresh_noise, augment)
            )
        self.seed = self._pairs[0].seed
        self.fresh_noise = bool(fresh_noise)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, epoch = index_and_epoch(key, len(self), 'pairs')
        if not self.fresh_noise:
            epoch = 0
        rng = np.random.default_rng([self.seed, epoch, index, _PURPOSE])
        number = int(rng.integers(len(self.shapes)))
        pair = self._pairs[number][index, epoch]
        return {**pair, 'shape': torch.tensor(self.shapes[number])}
