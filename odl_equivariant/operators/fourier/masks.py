# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Masks: the samples of k-space that an acquisition measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from odl_equivariant import _checks

__all__ = ('CartesianMask', 'Mask')

_PATTERNS = ('random', 'equispaced', 'variable_density')


class Mask:
    """Where k-space is sampled, drawn from parameters.

    Subclasses draw ``_array``, read-only, of the shape ``_shape``.
    """

    _shape: tuple[int, ...]
    _array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of k-space."""
        return self._shape

    @property
    def array(self) -> np.ndarray:
        """Boolean array, true where k-space is sampled, read-only."""
        return self._array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype=dtype, copy=copy)

    def __eq__(self, other):
        if not isinstance(other, type(self)):
            return NotImplemented
        return np.array_equal(self._array, other.array)

    def __hash__(self):
        return hash((self._shape, self._array.tobytes()))


class CartesianMask(Mask):
    r"""A choice of whole lines of k-space.

    Parameters
    ----------
    shape : sequence of int
        Shape of k-space, with the zero frequency at index ``n // 2`` of each
        axis.
    acceleration : float, optional
        Number of all lines divided by the number of sampled lines, at least
        1. The number of sampled lines is ``n / acceleration``, rounded, and
        at least one.
    center_fraction : float, optional
        Fraction of all lines, between 0 and 1, that is fully sampled around
        the zero frequency. These lines count as sampled lines.
    pattern : {'random', 'equispaced', 'variable_density'}, optional
        How to choose the other lines: at random, or at equal distances from
        a random offset. If the distance is not a whole number, it varies by
        one line. Distances leave out the fully sampled lines. With a variable
        density, lines are drawn one after the other, with probabilities that
        fall to zero like :math:`(1 - |m| / M)^2` with the distance
        :math:`|m|` from the zero frequency.
    axis : int, optional
        Axis of phase encoding. All points with one index along it are a
        line.
    seed : int, optional
        Seed of the random numbers.
    measured : tuple of 2 ints, optional
        The first of the measured lines, and the line after the last, like
        ``padding_left`` and ``padding_right`` of fastMRI: scanners pad
        k-space with zeros. The acceleration and the fraction refer to these
        lines. The zero frequency stays at index ``n // 2``. Default: all.
    partial_fourier : float, optional
        Fraction of these lines, above 0.5 and at most 1, that may be sampled.
        Lines at the lower end, with negative frequencies, are left out. The
        acceleration still refers to all measured lines. Such a mask has no
        symmetry.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the fully sampled lines alone are
        more than the acceleration allows, or they are not all measured.
    TypeError
        If the axis, the seed or the shape are not integers, or the
        acceleration or the fraction is not a number.

    Examples
    --------
    >>> mask = CartesianMask((2, 16), acceleration=4, center_fraction=0.125)
    >>> mask.array.shape, int(mask.array[0].sum()), mask.acceleration
    ((2, 16), 4, 4.0)
    >>> bool(mask.array[0, 7] and mask.array[1, 8])
    True
    """

    def __init__(
        self,
        shape: Sequence[int],
        acceleration: float = 4,
        center_fraction: float = 0.08,
        pattern: Literal[
            'random', 'equispaced', 'variable_density'
        ] = 'random',
        axis: int = -1,
        seed: int = 0,
        measured: tuple[int, int] | None = None,
        partial_fourier: float = 1.0,
    ) -> None:
        self._shape = _checks.array_shape('shape', shape)
        ndim = len(self._shape)
        axis = _checks.whole_number('axis', axis, -ndim, ndim - 1)
        self._axis = axis % ndim
        self._parameters = (
            _checks.real_number('acceleration', acceleration, 1),
            _checks.real_number('center_fraction', center_fraction, 0, 1),
            _checks.one_of('pattern', pattern, _PATTERNS),
        )
        self._seed = _checks.whole_number('seed', seed, 0)
        self._measured = self._range(measured)
        self._fraction = _checks.real_number(
            'partial_fourier', partial_fourier, 0.5, 1
        )
        self._lines = self._choose()
        self._array = self._spread()

    def _range(self, measured):
        """Return the first of the measured lines, and the one after them."""
        n = self._shape[self._axis]
        if measured is None:
            return 0, n
        first, stop = _checks.array_shape('measured', measured, 2, least=None)
        if not 0 <= first < stop <= n:
            raise ValueError(
                f'`measured` must be a part of the {n} lines, as 0 <= first '
                f'< stop <= {n}, got {(first, stop)}'
            )
        return first, stop

    def _choose(self):
        acceleration, center_fraction, pattern = self._parameters
        first, stop = self._measured
        n = stop - first
        n_lines = max(1, round(n / acceleration))
        n_center = round(n * center_fraction)
        if n_center > n_lines:
            raise ValueError(
                f'{n_center} of {n} lines are fully sampled, but an '
                f'acceleration of {acceleration:g} allows {n_lines}: choose '
                'a smaller `center_fraction` or `acceleration`'
            )
        middle = self._shape[self._axis] // 2
        start = middle - n_center // 2
        # partial Fourier leaves out lines at the lower end
        first += round(n * (1 - self._fraction))
        if stop - first < n_lines:
            raise ValueError(
                f'`partial_fourier` = {self._fraction:g} leaves '
                f'{stop - first} of {n} lines, and an acceleration of '
                f'{acceleration:g} samples {n_lines}: choose a larger one of '
                'the two'
            )
        if n_center and not first <= start <= stop - n_center:
            raise ValueError(
                f'the {n_center} lines around the zero frequency, from '
                f'{start} on, are not all measured: those from {first} to '
                f'{stop - 1} are'
            )
        center = np.arange(start, start + n_center)
        outside = np.setdiff1d(np.arange(first, stop), center)
        rng = np.random.default_rng(self._seed)
        k = n_lines - n_center
        if pattern == 'random':
            chosen = rng.choice(len(outside), k, replace=False)
        elif pattern == 'variable_density':
            distance = np.abs(outside - middle) / (middle + 1)
            density = (1 - distance) ** 2
            density /= density.sum()
            chosen = rng.choice(len(outside), k, replace=False, p=density)
        else:
            distance = len(outside) / max(k, 1)
            chosen = np.floor((np.arange(k) + rng.random()) * distance)
        lines = np.sort(np.concatenate([center, outside[chosen.astype(int)]]))
        lines.flags.writeable = False
        return lines

    def _spread(self):
        array = np.zeros(self._shape, dtype=bool)
        np.moveaxis(array, self._axis, 0)[self._lines] = True
        array.flags.writeable = False
        return array

    @property
    def axis(self) -> int:
        """Axis of phase encoding, not negative."""
        return self._axis

    @property
    def lines(self) -> np.ndarray:
        """Sorted indices of the sampled lines, read-only."""
        return self._lines

    @property
    def measured(self) -> tuple[int, int]:
        """The first of the measured lines, and the line after the last."""
        return self._measured

    @property
    def acceleration(self) -> float:
        """Number of measured lines divided by number of sampled lines."""
        first, stop = self._measured
        return (stop - first) / len(self._lines)

    def __reduce__(self):
        """Pickle the parameters, so that the arrays stay read-only."""
        parameters = (*self._parameters, self._axis, self._seed)
        arguments = (self._shape, *parameters, self._measured)
        return type(self), (*arguments, self._fraction)

    def __repr__(self):
        acceleration, center_fraction, pattern = self._parameters
        part = ''
        if self._measured != (0, self._shape[self._axis]):
            part = f', measured={self._measured}'
        if self._fraction != 1:
            part += f', partial_fourier={self._fraction:g}'
        return (
            f'CartesianMask({self._shape}, acceleration={acceleration:g}, '
            f'center_fraction={center_fraction:g}, pattern={pattern!r}, '
            f'axis={self._axis}, seed={self._seed}{part})'
        )
