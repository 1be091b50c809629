# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Reads values by name, and names file and field where they are wrong."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ('Fields', 'sorted_views')


class Fields:
    """Named values of a file.

    Parameters
    ----------
    path : pathlib.Path
        File that they come from.
    values : dict
        Values by name.
    prefix : str, optional
        What stands before each name in the file.
    """

    def __init__(
        self, path: pathlib.Path, values: Mapping[str, Any], prefix: str = ''
    ) -> None:
        self.path, self.values, self.prefix = path, values, prefix

    def error(self, name: str, text: str) -> ValueError:
        """Return an error that names the file and a field."""
        return ValueError(f'{self.path}: `{self.prefix}{name}` {text}')

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def value(self, name: str) -> Any:
        """Return the value of a field that must be there."""
        if name not in self.values:
            present = ', '.join(sorted(map(str, self.values))[:20]) or 'none'
            raise ValueError(
                f'{self.path}: the field `{self.prefix}{name}` is missing; '
                f'there are {present}'
            )
        return self.values[name]

    def array(self, name: str, ndim: int | tuple[int, ...]) -> np.ndarray:
        """Return a field as an array of real, finite numbers."""
        axes = (ndim,) if isinstance(ndim, int) else ndim
        try:
            array = np.asarray(self.value(name))
        except (OSError, RuntimeError) as error:
            raise self.error(name, f'cannot be read: {error}') from error
        if array.dtype.kind not in 'fiu':
            raise self.error(
                name, f'must consist of numbers, got the dtype {array.dtype}'
            )
        if array.ndim not in axes or not array.size:
            raise self.error(
                name,
                f'must have {" or ".join(map(str, axes))} axes, got the '
                f'shape {array.shape}',
            )
        n_bad = array.size - np.count_nonzero(np.isfinite(array))
        if n_bad:
            raise self.error(
                name,
                f'has {n_bad} of {array.size} values that are infinite or '
                'not a number',
            )
        return array

    def number(
        self, name: str, default: float | None = None, positive: bool = False
    ) -> float:
        """Return a field as a float."""
        if default is not None and name not in self.values:
            return default
        value = self.value(name)
        try:
            number = float(np.asarray(value).reshape(()))
        except (TypeError, ValueError):
            raise self.error(
                name, f'must be a number, got {value!r:.80}'
            ) from None
        if not np.isfinite(number) or (positive and number <= 0):
            what = 'finite positive' if positive else 'finite'
            raise self.error(name, f'must be a {what} number, got {number}')
        return number

    def whole(self, name: str) -> int:
        """Return a field as a positive int."""
        number = self.number(name, positive=True)
        if number != int(number):
            raise self.error(name, f'must be a whole number, got {number}')
        return int(number)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a field as a text."""
        if default is not None and name not in self.values:
            return default
        value = self.value(name)
        if isinstance(value, bytes):
            value = value.decode('utf-8', 'replace')
        if not isinstance(value, str):
            raise self.error(name, f'must be a text, got {value!r:.80}')
        return value.strip()


def sorted_views(
    path: pathlib.Path, angles: np.ndarray, readings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return increasing angles, and the readings in their order.

    Parameters
    ----------
    path : pathlib.Path
        File, for messages.
    angles : numpy.ndarray
        Angles of the views, in any order and unit.
    readings : numpy.ndarray
        Readings, of which axis 0 counts views.

    Returns
    -------
    angles, readings : numpy.ndarray
        Both in the order of increasing angles.

    Raises
    ------
    ValueError
        If there are not as many angles as views, or angles repeat.
    """
    angles = np.asarray(angles, dtype=float)
    if len(angles) != len(readings):
        raise ValueError(
            f'{path}: there are {len(angles)} angles, but {len(readings)} '
            'views'
        )
    order = np.argsort(angles, kind='stable')
    if (order != np.arange(len(order))).any():
        angles, readings = angles[order], readings[order]
    if (np.diff(angles) == 0).any():
        place = int(np.flatnonzero(np.diff(angles) == 0)[0])
        raise ValueError(
            f'{path}: the angle {angles[place]:g} occurs twice; leave out '
            'views that repeat'
        )
    return angles, readings
