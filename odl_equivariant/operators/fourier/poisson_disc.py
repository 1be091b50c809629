# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Masks of samples that keep a distance from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from odl_equivariant import _checks
from odl_equivariant.operators.fourier.masks import Mask

__all__ = ('PoissonDiscMask',)

_SYMMETRIES = ('C1', 'C2', 'D2', 'C4', 'D4')
# The radius is found by halving: its last change moves hardly a sample.
_HALVINGS = 10
_ORBITS_AT_ONCE = 1024


class PoissonDiscMask(Mask):
    r"""A choice of samples of k-space that keep a distance from each other.

    Samples are dense around the zero frequency, and sparse far away from it.
    No line is sampled as a whole: both axes are axes of phase encoding, as in
    a slice across the readout of a 3D scan.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of k-space, with the zero frequency at index ``n // 2`` of each
        axis.
    acceleration : float, optional
        Number of all samples over the number of measured ones, from 1 to the
        number of all samples. With a symmetry, samples are chosen by orbits,
        so that there may be more of them, by less than the order of the
        group.
    center_fraction : float, optional
        Fraction of each axis, between 0 and 1, that the fully sampled block
        around the zero frequency covers. Its lengths are rounded to odd
        numbers. Its samples count as measured ones.
    slope : float, optional
        Distances at the edge are ``1 + slope`` times those in the middle.
    symmetry : {'C1', 'C2', 'D2', 'C4', 'D4'}, optional
        Group under which the mask does not change. ``'C2'``: a turn by 180
        degrees, ``'D2'``: both mirrorings, ``'C4'`` and ``'D4'``: the turns
        by 90 degrees, without and with mirrorings; these two need a square.
        Frequencies are periodic: on an even axis, index 0 is its own mirror
        image.
    seed : int, optional
        Seed of the random numbers.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the shape is no square where it
        has to be, or the block alone has more samples than the acceleration
        allows.
    TypeError
        If a number is expected, and something else is given.

    Notes
    -----
    Outside of the block, two samples :math:`p` and :math:`q` have at least
    the distance :math:`\min(r(p), r(q))`, where

    .. math::
        r(p) = r_0 (1 + s\, |p|),

    with the slope :math:`s`, frequencies :math:`p` that are 1 at the edges of
    k-space, and the distance in samples. Candidates are visited in random
    order, and :math:`r_0` is the largest number found with enough samples, of
    which surplus ones are removed. A mask of 320 x 320 takes some seconds.
    See Bridson, *Fast Poisson disk sampling in arbitrary dimensions* (2007),
    and Lustig and Pauly, Magnetic Resonance in Medicine 64 (2010), 457-471,
    for their use with coils.

    Examples
    --------
    >>> mask = PoissonDiscMask((33, 33), acceleration=4, symmetry='C4')
    >>> round(mask.acceleration, 1)
    4.0
    >>> bool((np.rot90(mask.array) == mask.array).all())
    True
    """

    def __init__(
        self,
        shape: Sequence[int],
        acceleration: float = 4,
        center_fraction: float = 0.08,
        slope: float = 2.0,
        symmetry: Literal['C1', 'C2', 'D2', 'C4', 'D4'] = 'C1',
        seed: int = 0,
    ) -> None:
        self._shape = _checks.array_shape('shape', shape, 2)
        self._parameters = (
            _checks.real_number('acceleration', acceleration, 1),
            _checks.real_number('center_fraction', center_fraction, 0, 1),
            _checks.real_number('slope', slope, 0),
            _checks.one_of('symmetry', symmetry, _SYMMETRIES),
            _checks.whole_number('seed', seed, 0),
        )
        if symmetry in ('C4', 'D4') and self._shape[0] != self._shape[1]:
            raise ValueError(
                f'a turn by 90 degrees maps a square to itself, and `shape` '
                f'is {self._shape}: take the `symmetry` C2 or D2'
            )
        self._array = self._choose()
        self._array.flags.writeable = False

    def _choose(self):
        acceleration, center_fraction, slope, symmetry, seed = self._parameters
        n_all = math.prod(self._shape)
        if acceleration > n_all:
            raise ValueError(
                f'an acceleration of {acceleration:g} leaves less than one of '
                f'the {n_all} samples: choose a smaller one, at most {n_all}'
            )
        n_wanted = round(n_all / acceleration)
        block = np.zeros(self._shape, dtype=bool)
        # the zero frequency alone, or as far on both sides
        reach = [int(n * center_fraction) // 2 for n in self._shape]
        if center_fraction:
            block[
                tuple(
                    slice(max(n // 2 - r, 0), n // 2 + r + 1)
                    for n, r in zip(self._shape, reach, strict=True)
                )
            ] = True
        if block.sum() > n_wanted:
            raise ValueError(
                f'the fully sampled block has {block.sum()} of {block.size} '
                f'samples, but an acceleration of {acceleration:g} allows '
                f'{n_wanted}: choose a smaller `center_fraction` or '
                '`acceleration`'
            )
        rng = np.random.default_rng(seed)
        orbits = rng.permutation(_orbits(self._shape, symmetry, block))
        sizes = 1 + (np.diff(orbits, axis=1) > 0).sum(1)
        closest = _closest(orbits, self._shape[1])
        relative = 1 + slope * _distance_from_middle(self._shape)
        n_needed = n_wanted - block.sum()

        def enough(radius):
            found = _apart(orbits, closest, radius * relative)
            return found if sizes[found].sum() >= n_needed else None

        low, high = 0.0, float(np.sqrt(acceleration))
        chosen = np.arange(len(orbits))
        while high < 2 * max(self._shape):
            found = enough(high)
            if found is None:
                break
            low, high, chosen = high, 2 * high, found
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            found = enough(middle)
            if found is None:
                high = middle
            else:
                low, chosen = middle, found
        surplus = sizes[chosen].sum() - n_needed
        array = block.copy()
        for i in rng.permutation(chosen):
            if sizes[i] <= surplus:
                surplus -= sizes[i]
            else:
                array.flat[orbits[i]] = True
        return array

    @property
    def acceleration(self) -> float:
        """Number of all samples divided by number of measured ones."""
        return self._array.size / int(self._array.sum())

    def __reduce__(self):
        """Pickle the parameters, so that the array stays read-only."""
        return type(self), (self._shape, *self._parameters)

    def __repr__(self):
        acceleration, center_fraction, slope, symmetry, seed = self._parameters
        return (
            f'PoissonDiscMask({self._shape}, acceleration={acceleration:g}, '
            f'center_fraction={center_fraction:g}, slope={slope:g}, '
            f'symmetry={symmetry!r}, seed={seed})'
        )


def _distance_from_middle(shape):
    """Return the length of the frequencies, which are 1 at the edges."""
    parts = [np.abs(np.arange(n) - n // 2) / max(n // 2, 1) for n in shape]
    return np.hypot(parts[0][:, None], parts[1])


def _orbits(shape, symmetry, block):
    """Return the sorted flat indices of each orbit outside of the block."""
    indices = np.arange(block.size).reshape(shape)
    mirrors = [(2 * (n // 2) - np.arange(n)) % n for n in shape]
    images = [indices]
    if symmetry == 'C2':
        images.append(indices[np.ix_(*mirrors)])
    if symmetry == 'C4':
        for _ in range(3):
            images.append(images[-1].T[mirrors[0]])
    if symmetry in ('D2', 'D4'):
        images += [image[mirrors[0]] for image in images]
        images += [image[:, mirrors[1]] for image in images]
    if symmetry == 'D4':
        images += [image.T for image in images]
    images = np.stack([image.ravel() for image in images], 1)
    images.sort(1)
    return images[(images[:, 0] == indices.ravel()) & ~block.ravel()]


def _closest(orbits, width):
    """Return the smallest distance between different samples of an orbit."""
    x, y = np.divmod(orbits, width)
    squares = (x[:, :, None] - x[:, None]) ** 2
    squares = squares + (y[:, :, None] - y[:, None]) ** 2
    squares = np.where(squares > 0, squares, np.inf)
    return np.sqrt(squares.min((1, 2), initial=np.inf))


def _apart(orbits, closest, radii):
    """Return which orbits keep their distance from earlier ones.

    Two samples are apart if their distance is not below the radius of the
    earlier one.
    """
    width = radii.shape[1]
    free = np.ones(radii.shape, dtype=bool)
    flat = free.ravel()
    own = radii.ravel()[orbits[:, 0]]
    # of equal radii the disc is the same
    discs = {}
    chosen = []
    for first in range(0, len(orbits), _ORBITS_AT_ONCE):
        part = slice(first, first + _ORBITS_AT_ONCE)
        able = flat[orbits[part]].all(1) & (closest[part] >= own[part])
        for i in first + np.flatnonzero(able):
            samples = set(orbits[i].tolist())
            if not all(flat[sample] for sample in samples):
                continue
            chosen.append(i)
            radius = float(own[i])
            if radius <= 1:
                continue
            disc = discs.get(radius)
            if disc is None:
                disc = discs[radius] = _far(radius)
            for sample in samples:
                _exclude(free, disc, *divmod(sample, width))
    return np.array(chosen, dtype=int)


def _far(radius):
    """Return which samples around one are not below a distance from it."""
    reach = int(np.ceil(radius)) - 1
    squares = np.arange(-reach, reach + 1) ** 2
    return squares[:, None] + squares >= radius**2


def _exclude(free, far, i, j):
    """Mark the samples below a distance from a sample as not free."""
    reach = len(far) // 2
    top, left = max(i - reach, 0), max(j - reach, 0)
    part = free[top : i + reach + 1, left : j + reach + 1]
    top, left = top - i + reach, left - j + reach
    part &= far[top : top + part.shape[0], left : left + part.shape[1]]
