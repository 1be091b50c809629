# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Pairs of an image and its measured data."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant.data.slices.base import index_and_epoch
from odl_equivariant.elements import as_element, as_tensor

__all__ = ('MeasuredPairs',)


class MeasuredPairs(Dataset):
    """Pairs from measured k-space, retrospectively subsampled.

    Columns that a scanner filled with zeros, see `FastMRIKspace`, are never
    sampled, and the acceleration refers to the measured columns. Each pair
    then has its own mask.

    Parameters
    ----------
    slices : FastMRIKspace
        Slices with fully sampled k-space and coil maps.
    acquisition : CartesianMRI
        Acquisition that makes the pairs, see `CartesianMRI.from_kspace`. It
        has the shape of k-space.
    seed : int, optional
        Seed of random masks.
    fresh_noise : bool, optional
        Whether each epoch draws new masks. Otherwise every epoch is like
        epoch 0. The noise is always that of the measurement.
    normalise : bool, optional
        Whether data and image are divided by the largest magnitude of the
        zero-filled image, which does not require the image. Divide data for
        the trained network in the same way. Data that are zero stay zero.

    Raises
    ------
    TypeError
        If the slices have no k-space, or the acquisition takes no k-space.
    IndexError
        On access, if an index is negative, or not below the number of pairs.
    ValueError
        If k-space is not fully sampled, according to its mask. On access, if
        k-space has another shape than the acquisition.

    Notes
    -----
    Keys and pairs are those of `SimulatedPairs`. If they are normalised, there
    is one more key, ``'scale'``: a tensor with the number by which data and
    truth were divided. An image times this number is in the unit of the
    scanner again.
    """

    def __init__(
        self,
        slices: Any,
        acquisition: Any,
        seed: int = 0,
        fresh_noise: bool = True,
        normalise: bool = True,
    ) -> None:
        if not callable(getattr(slices, 'kspace', None)):
            raise TypeError(
                'slices with measured k-space are needed, such as '
                f'`FastMRIKspace`, got {slices!r}'
            )
        if not callable(getattr(acquisition, 'from_kspace', None)):
            raise TypeError(
                'the acquisition must have a method `from_kspace`, as '
                f'`CartesianMRI` has, got {acquisition!r}'
            )
        full = getattr(slices, 'fully_sampled', None) or [True]
        if not all(full):
            name = slices.names[full.index(False)]
            raise ValueError(
                f'{full.count(False)} of {len(full)} slices, such as {name}, '
                'are not fully sampled, according to the dataset `mask` of '
                'their files, and have no ground truth: take fully sampled '
                'volumes'
            )
        self.slices = slices
        self.acquisition = acquisition
        self.seed = whole_number('seed', seed, 0)
        self.fresh_noise = boolean('fresh_noise', fresh_noise)
        self.normalise = boolean('normalise', normalise)
        # Either all pairs have a mask or none, so that they can be stacked.
        self._padded = any(
            columns != (0, acquisition.shape[0])
            for columns in getattr(slices, 'measured_columns', ())
        )

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, epoch = index_and_epoch(key, len(self), 'pairs')
        if not self.fresh_noise:
            epoch = 0
        rng = np.random.default_rng([self.seed, epoch, index])
        kspace = self.slices.kspace(index)
        name = self.slices.names[index]
        options = {}
        if self._padded:
            measured = np.zeros((kspace.shape[1], 1), dtype=bool)
            measured[slice(*self.slices.measured_columns[index])] = True
            options['measured'] = measured
        try:
            pair = self.acquisition.from_kspace(
                kspace, self.slices.coil_maps(index), rng=rng, **options
            )
        except (TypeError, ValueError) as error:
            error.add_note(f'This happened in pair {index}, {name}.')
            raise
        if self.normalise:
            space = self.acquisition.operator.range
            own = {k: pair[k] for k in ('coil_maps',) if k in pair}
            image = self.acquisition.baseline(
                as_element(pair['data'], space), **own
            )
            # the largest magnitude of a complex image, in two channels
            scale = as_tensor(image).square().sum(1).max().sqrt().cpu()
            if scale > 0:
                pair |= {key: pair[key] / scale for key in ('data', 'truth')}
            else:
                scale = torch.ones_like(scale)
            pair['scale'] = scale
        return {**pair, 'name': name, 'index': index}
