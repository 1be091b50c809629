# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pairs of several acquisitions, to train one network with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from odl_equivariant._checks import boolean
from odl_equivariant._types import ImageShape
from odl_equivariant.data._checks import grid
from odl_equivariant.data.acquisitions.base import Acquisition
from odl_equivariant.data.pairs.simulated import SimulatedPairs
from odl_equivariant.data.slices.base import Slices, index_and_epoch

__all__ = ('PairsOfShapes', 'PairsOfVariants')

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x736861706573


class PairsOfVariants(Dataset):
    """Images and their data, each by an acquisition that is drawn at random.

    Parameters
    ----------
    slices : Slices
        Images. They are brought to the ``image_shape`` of each acquisition by
        their method ``with_shape``; `Phantoms` are drawn anew.
    acquisition : Acquisition
        What makes pairs.
    variants : sequence of dict
        Settings in which an acquisition differs from this one, such as
        ``{'n_views': 100}``. All variants are equally probable. One that is
        given twice is drawn twice as often.
    seed, fresh_noise, augment : optional
        As for `SimulatedPairs`.

    Raises
    ------
    ValueError
        If there is no variant, or its settings do not fit.
    TypeError
        If ``slices`` are not `Slices`, a variant is no dict of values that
        JSON can hold, or the acquisition has no such setting.

    Notes
    -----
    Keys and pairs are those of `SimulatedPairs`. A pair also has
    ``'settings'``, the variant as JSON, by which a network knows the
    acquisition.

    Examples
    --------
    >>> from odl_equivariant.data import Phantoms, SparseViewCT
    >>> pairs = PairsOfVariants(
    ...     Phantoms(9, (32, 32)),
    ...     SparseViewCT((16, 16), n_views=4),
    ...     [{'n_views': 6}, {'n_views': 8, 'n_photons': 1e5}],
    ... )
    >>> pairs[7]['settings'], pairs[7]['data'].shape
    ('{"n_photons": 100000.0, "n_views": 8}', torch.Size([1, 8, 23]))
    """

    def __init__(
        self,
        slices: Slices,
        acquisition: Acquisition,
        variants: Sequence[Mapping[str, Any]],
        seed: int = 0,
        fresh_noise: bool = True,
        augment: Callable | None = None,
    ) -> None:
        if not isinstance(slices, Slices):
            raise TypeError(
                f'images of several shapes must be `Slices`, got {slices!r}'
            )
        if isinstance(variants, (str, Mapping)) or not len(variants):
            raise ValueError(
                '`variants` must be a list of one dict of settings or more, '
                f'got {variants!r}'
            )
        self.slices = slices
        self.variants = [_as_json(variant) for variant in variants]
        self._pairs = {}
        for variant, text in zip(variants, self.variants, strict=True):
            own = acquisition.with_settings(**variant)
            images = slices.with_shape(own.image_shape)
            self._pairs[text] = SimulatedPairs(
                images, own, seed, fresh_noise, augment
            )
        self.seed = self._pairs[self.variants[0]].seed
        self.fresh_noise = boolean('fresh_noise', fresh_noise)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, epoch = index_and_epoch(key, len(self), 'pairs')
        if not self.fresh_noise:
            epoch = 0
        rng = np.random.default_rng([self.seed, epoch, index, _PURPOSE])
        text = self.variants[int(rng.integers(len(self.variants)))]
        return {**self._pairs[text][index, epoch], 'settings': text}


def _as_json(variant):
    """Return the settings of a variant as text."""
    if not isinstance(variant, Mapping):
        raise TypeError(f'a variant is a dict of settings, got {variant!r}')
    try:
        return json.dumps(
            dict(variant), sort_keys=True, allow_nan=False, default=_plain
        )
    except (TypeError, ValueError) as error:
        raise TypeError(
            'the settings of a variant are numbers, texts and lists of them, '
            f'got {variant!r}'
        ) from error


def _plain(value):
    """Return numbers of NumPy as those of Python."""
    if isinstance(value, np.number | np.bool_):
        return value.item()
    raise TypeError(f'{type(value).__name__} is none of these')


class PairsOfShapes(PairsOfVariants):
    """Images and their data, each on a grid that is drawn at random.

    Parameters
    ----------
    slices : Slices
        Images, see `PairsOfVariants`.
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
    a tensor of two integers, and ``'settings'``, see `PairsOfVariants`.

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
        shapes = [grid(shape, 'shapes') for shape in shapes]
        if not shapes or None in shapes:
            raise ValueError(
                f'`shapes` must be one shape or more, got {shapes!r}'
            )
        self.shapes = shapes
        variants = [{'shape': list(shape)} for shape in shapes]
        super().__init__(
            slices, acquisition, variants, seed, fresh_noise, augment
        )

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        pair = super().__getitem__(key)
        shape = json.loads(pair['settings'])['shape']
        return {**pair, 'shape': torch.tensor(shape)}
