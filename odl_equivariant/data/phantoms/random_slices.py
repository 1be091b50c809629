# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Phantoms as a set of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from odl_equivariant._types import ImageShape, PhantomKind
from odl_equivariant.data._checks import grid, positive_int, seed_of
from odl_equivariant.data.phantoms.ellipses import KINDS, ellipse_phantom
from odl_equivariant.data.slices.base import Slices

__all__ = ('Phantoms',)

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x70686E74


class Phantoms(Slices):
    """Random phantoms, drawn when they are asked for.

    Parameters
    ----------
    n : int
        Number of phantoms.
    shape : tuple of 2 ints
        Shape of each.
    seed : int, optional
        Seed: with the index it decides the phantom.
    kind : {'head', 'body', 'abstract'}, optional
        Family, see `ellipse_phantom`. Default: all of them.
    draw : callable, optional
        What draws a phantom instead of `ellipse_phantom`: it is called as
        ``draw(shape, rng)``, with a `numpy.random.Generator`, and returns a
        real or complex array of this shape. For the workers of a DataLoader
        under spawn it must be picklable.

    Raises
    ------
    ValueError
        If a size is not positive, the kind is unknown or given along with
        ``draw``, or ``draw`` returns another shape.

    Examples
    --------
    >>> phantoms = Phantoms(3, (32, 32), kind='head')
    >>> phantoms[1].shape, phantoms.names[1]
    ((32, 32), 'phantom-1')
    >>> bool(np.array_equal(phantoms[1], phantoms[1]))
    True
    >>> noise = Phantoms(3, (8, 8), draw=lambda n, rng: rng.normal(size=n))
    >>> noise[0].dtype
    dtype('float32')
    """

    def __init__(
        self,
        n: int,
        shape: ImageShape,
        seed: int = 0,
        kind: PhantomKind | None = None,
        draw: Callable | None = None,
    ) -> None:
        if shape is None:
            raise ValueError('phantoms need a `shape`, got None')
        if kind is not None and kind not in KINDS:
            raise ValueError(
                f'`kind` must be one of {KINDS} or None, got {kind!r}'
            )
        if draw is not None:
            if kind is not None:
                raise ValueError(
                    '`kind` is for `ellipse_phantom`: give either `kind` or '
                    '`draw`'
                )
            if not callable(draw):
                raise TypeError(
                    f'`draw` must be called as draw(shape, rng), got {draw!r}'
                )
        names = [f'phantom-{i}' for i in range(positive_int(n, 'n'))]
        super().__init__(names, names)
        self.seed = seed_of(seed)
        self._grid = grid(shape)
        self._kind = kind
        self._draw = draw

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, place, _PURPOSE])
        if self._draw is None:
            return ellipse_phantom(self._grid, rng, self._kind)
        image = np.asarray(self._draw(self._grid, rng))
        if image.shape != self._grid:
            raise ValueError(
                f'`draw` must return an array of shape {self._grid}, got '
                f'{image.shape}'
            )
        return image
