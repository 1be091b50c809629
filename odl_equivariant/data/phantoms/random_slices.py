# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Phantoms as a set of images."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from odl_equivariant._checks import one_of, whole_number
from odl_equivariant._types import ImageShape, PhantomKind
from odl_equivariant.data._checks import grid
from odl_equivariant.data.phantoms.ellipses import KINDS, ellipse_phantom
from odl_equivariant.data.slices.base import Slices

__all__ = ('Phantoms',)

# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x70686E74


class Phantoms(Slices):
    """Random phantoms, drawn on access.

    Parameters
    ----------
    n : int
        Number of phantoms.
    shape : tuple of 2 ints
        Shape of each phantom.
    seed : int, optional
        Seed. A phantom depends only on the seed and its index.
    kind : {'head', 'body', 'abstract'}, optional
        Family, see `ellipse_phantom`. Default: all families.
    draw : callable, optional
        Function that draws a phantom, instead of `ellipse_phantom`. It is
        called as ``draw(shape, rng)``, with a `numpy.random.Generator`, and
        returns a real or complex array of this shape. If the workers of a
        DataLoader are spawned, it must be picklable.
    oversampling : int, optional
        Phantoms are drawn on a grid that is so many times finer along each
        axis, and averaged to ``shape``, so that their edges are smooth.

    Raises
    ------
    ValueError
        If a size is not positive, the kind is unknown, both ``kind`` and
        ``draw`` are given, or ``draw`` returns another shape.

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
        oversampling: int = 1,
    ) -> None:
        if shape is None:
            raise ValueError('phantoms need a `shape`, got None')
        one_of('kind', kind, KINDS, optional=True)
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
        names = [f'phantom-{i}' for i in range(whole_number('n', n, 1))]
        super().__init__(names, names)
        self.seed = whole_number('seed', seed, 0)
        self._oversampling = whole_number('oversampling', oversampling, 1)
        self._set_grid(shape)
        self._kind = kind
        self._draw = draw

    def _set_grid(self, shape):
        shape, factor = grid(shape), self._oversampling
        # means over the finer pixels are up to the base class
        self.shape = None if factor == 1 else shape
        self._grid = tuple(factor * n for n in shape)

    def with_shape(self, shape: ImageShape) -> Phantoms:
        """Return the same phantoms, drawn on another grid.

        Parameters
        ----------
        shape : tuple of 2 ints
            Shape of each.

        Returns
        -------
        phantoms : Phantoms
            What a phantom has in common with that of the same seed on another
            grid is up to what draws it.

        Raises
        ------
        ValueError
            If the shape is not two positive sizes.
        """
        other = copy.copy(self)
        other._set_grid(shape)
        return other

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
