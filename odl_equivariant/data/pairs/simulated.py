# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pairs of an image and its simulated data."""

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant.data.acquisitions.ranges import named
from odl_equivariant.data.slices.base import Slices, index_and_epoch

__all__ = ('SimulatedPairs',)


class SimulatedPairs(Dataset):
    """Images and their data, simulated on access.

    A pair depends only on its key, not on the process or on earlier pairs.
    All random numbers come from
    ``np.random.default_rng([seed, epoch, index])``.

    Parameters
    ----------
    slices : Slices or sequence of array-like
        Images in the units of the acquisition.
    acquisition : object
        Acquisition, such as `SparseViewCT`: an object with a method
        ``pair(image, rng)``, which returns a dict of tensors with the keys
        ``data`` and ``truth``, and possibly others.
    seed : int, optional
        Seed of all random numbers.
    fresh_noise : bool, optional
        Whether each epoch draws new noise and a new augmentation. Otherwise
        every epoch is like epoch 0.
    augment : callable, optional
        Called as ``augment(image, rng)`` before the simulation, for example
        an `Augmentation`. Default: no augmentation.

    Raises
    ------
    TypeError
        If the acquisition has no method ``pair``, or ``augment`` cannot be
        called.
    IndexError
        On access, if an index is negative, or not below the number of pairs.

    Notes
    -----
    A key is an index, or ``(index, epoch)``. An index alone means epoch 0. A
    pair is the dict that ``acquisition.pair`` returns, with ``data`` of shape
    ``(channels, *data shape)``, ``truth`` of shape ``(channels, *image
    shape)``, and possibly others such as ``mask``. It also has ``name``, a
    str, and ``index``, an int.

    Examples
    --------
    >>> import torch
    >>> from odl_equivariant.data import Phantoms
    >>> class Denoising:
    ...     def pair(self, image, rng):
    ...         noise = rng.normal(0, 0.1, image.shape)
    ...         data = torch.tensor(image + noise, dtype=torch.float32)
    ...         return {'data': data[None], 'truth': torch.tensor(image)[None]}
    >>> pairs = SimulatedPairs(Phantoms(2, (16, 16)), Denoising())
    >>> pair = pairs[1, 7]
    >>> pair['data'].shape, pair['name'], pair['index']
    (torch.Size([1, 16, 16]), 'phantom-1', 1)
    >>> bool((pair['data'] == pairs[1, 7]['data']).all())
    True
    >>> bool((pair['data'] == pairs[1, 8]['data']).any())
    False
    """

    def __init__(
        self,
        slices: Any,
        acquisition: Any,
        seed: int = 0,
        fresh_noise: bool = True,
        augment: Any = None,
    ) -> None:
        if not callable(getattr(acquisition, 'pair', None)):
            raise TypeError(
                'the acquisition must have a method `pair(image, rng)`, got '
                f'{acquisition!r}'
            )
        if augment is not None and not callable(augment):
            raise TypeError(
                f'`augment` is called as augment(image, rng), got {augment!r}'
            )
        self.slices = slices
        self.acquisition = acquisition
        self.seed = whole_number('seed', seed, 0)
        self.fresh_noise = boolean('fresh_noise', fresh_noise)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, epoch = index_and_epoch(key, len(self), 'pairs')
        if not self.fresh_noise:
            epoch = 0
        rng = np.random.default_rng([self.seed, epoch, index])
        if isinstance(self.slices, Slices):
            image = self.slices[index, epoch]
            name = self.slices.names[index]
        else:
            image, name = self.slices[index], str(index)
        if self.augment is not None:
            image = self.augment(image, rng)
        try:
            with named(name):
                pair = self.acquisition.pair(image, rng)
        except (TypeError, ValueError) as error:
            error.add_note(f'This happened in pair {index}, {name}.')
            raise
        if not isinstance(pair, dict) or not {'data', 'truth'} <= pair.keys():
            raise TypeError(
                '`acquisition.pair` must return a dict with `data` and '
                f'`truth`, got {str(pair):.80}'
            )
        return {**pair, 'name': name, 'index': index}
