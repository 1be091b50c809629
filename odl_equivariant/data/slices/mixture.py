# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Images that are drawn from several sets."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from odl_equivariant._checks import real_number, whole_number
from odl_equivariant._types import ImageShape
from odl_equivariant.data._checks import grid
from odl_equivariant.data.slices.base import Slices

__all__ = ('Mixture',)

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x6D697874


class Mixture(Slices):
    """Images that are drawn at random from several sets.

    Each image is drawn in two steps: first a set, with a given probability,
    then an image of this set, all equally probable. So a small set can have a
    large share. The random numbers depend only on the seed, the epoch and the
    index: ``m[i, epoch]`` is the same in every process.

    Parameters
    ----------
    parts : list of Slices
        The sets.
    shares : list of float, optional
        Probability of each set, up to a common factor. Default: proportional
        to the numbers of their images.
    n : int, optional
        Number of images. Default: as many as all sets have.
    seed : int, optional
        Seed of the random numbers.
    shape : tuple of 2 ints, optional
        Shape to which all images are resampled, see `Slices`. Default: images
        keep their shapes.

    Raises
    ------
    ValueError
        If there is no set, one is empty, there are not as many shares as
        sets, or a share is not positive.
    TypeError
        If a part is no `Slices`, or a number is none.

    Examples
    --------
    >>> from odl_equivariant.data import Phantoms
    >>> heads, bodies = (Phantoms(3, (8, 8), kind=k) for k in ('head', 'body'))
    >>> mixture = Mixture([heads, bodies], shares=[0.75, 0.25], n=100)
    >>> len(mixture), mixture[4].shape
    (100, (8, 8))
    """

    def __init__(
        self,
        parts: list[Slices],
        shares: list[float] | None = None,
        n: int | None = None,
        seed: int = 0,
        shape: ImageShape | None = None,
    ) -> None:
        parts = list(parts)
        for part in parts:
            if not isinstance(part, Slices):
                raise TypeError(f'a part must be `Slices`, got {part!r}')
        if not parts or not all(map(len, parts)):
            raise ValueError(
                'a mixture needs one set or more, each with an image, got '
                f'sets of {[len(part) for part in parts]} images'
            )
        self.parts = parts
        self.probabilities = _checked_shares(shares, parts)
        self.seed = whole_number('seed', seed, 0)
        n = sum(map(len, parts)) if n is None else n
        n = whole_number('n', n, 1)
        names = [f'mixture-{i}' for i in range(n)]
        super().__init__(names, names, grid(shape))

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, epoch, place, _PURPOSE])
        part = self.parts[rng.choice(len(self.parts), p=self.probabilities)]
        return part[int(rng.integers(len(part))), epoch]

    def with_shape(self, shape: ImageShape) -> Mixture:
        """Return the same images on another grid, see `Slices.with_shape`."""
        other = copy.copy(self)
        other.shape = grid(shape)
        other.parts = [part.with_shape(shape) for part in self.parts]
        return other


def _checked_shares(
    shares: Sequence[float] | None, parts: Sequence[Slices]
) -> list[float]:
    """Return the probabilities of the sets."""
    if shares is None:
        shares = [len(part) for part in parts]
    shares = [real_number('shares', share) for share in shares]
    if len(shares) != len(parts):
        raise ValueError(
            f'each set needs a share, got {len(parts)} sets and '
            f'{len(shares)} shares'
        )
    if not all(share > 0 for share in shares):
        raise ValueError(
            f'the shares must be positive, got {shares}: leave out the sets '
            'that are not to be drawn from'
        )
    return [share / sum(shares) for share in shares]
