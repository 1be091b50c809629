# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Coordinates of k-space: their unit, their range, and trajectories."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import odl
import torch

from odl_equivariant import _checks
from odl_equivariant._types import Samples, Space
from odl_equivariant._warnings import quiet, warn_user
from odl_equivariant.elements import describe_space, first_part, grid_shape

__all__ = (
    'angular_frequencies',
    'radial_trajectory',
    'spiral_trajectory',
)

Unit = Literal[
    'radians/length',
    'cycles/length',
    'radians/cell',
    'cycles/cell',
    'cycles/field',
]

_UNITS = (
    'radians/length',
    'cycles/length',
    'radians/cell',
    'cycles/cell',
    'cycles/field',
)
# of rounding: coordinates may be of single precision, and come by a quotient
_MARGIN = 1e-5
# Trajectories fill the grid. In cycles per cell they seem to fill 1 / (2 pi)
# of it, where a cell has the side 1.
_LEAST_COVERAGE = 0.25
_GOLDEN_RATIO = (1 + math.sqrt(5)) / 2


def cell_sides(space):
    """Return the sides of the cells, 1 where the space has no lengths."""
    part = first_part(space)
    if isinstance(part, odl.DiscretizedSpace):
        return np.array(part.cell_sides, dtype=float)
    return np.ones(len(part.shape))


# --- Coordinates that are given --- #


def as_coordinates(coordinates, ndim, name='coordinates'):
    """Return coordinates as a new float64 array of shape ``(..., ndim)``."""
    if isinstance(coordinates, torch.Tensor):
        coordinates = coordinates.detach().cpu().numpy()
    array = np.asarray(coordinates)
    if array.dtype.kind not in 'fiu':
        raise TypeError(
            f'`{name}` must be an array of real numbers, got dtype '
            f'{array.dtype}'
        )
    if array.ndim < 2 or array.shape[-1] != ndim:
        hint = ''
        if array.ndim > 1 and array.shape[0] == ndim:
            hint = ': move the first axis to the end'
        elif array.ndim == 1 and ndim == 1:
            hint = ': add an axis, `[:, None]`'
        raise ValueError(
            f'`{name}` must have the shape (..., {ndim}), with one frequency '
            f'for each axis of the image, got {array.shape}{hint}'
        )
    if array.size == 0:
        raise ValueError(
            f'`{name}` must contain at least one point, got shape '
            f'{array.shape}'
        )
    array = np.array(array, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(
            f'`{name}` must be finite, got '
            f'{np.count_nonzero(~np.isfinite(array))} NaN or infinite values '
            f'of {array.size}'
        )
    return array


def check_range(coordinates, space):
    """Raise if the grid has no such frequencies, warn if they are all low.

    Parameters
    ----------
    coordinates : numpy.ndarray
        Angular frequencies of shape ``(..., ndim)``.
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the images.
    """
    largest = np.pi / cell_sides(space)
    found = np.abs(coordinates.reshape(-1, len(largest))).max(0)
    ratios = found / largest
    remedy = (
        'coordinates are angular frequencies, in radians per unit of length '
        'of the space; `angular_frequencies` converts those in another unit'
    )
    axis = int(ratios.argmax())
    if ratios[axis] > 1 + _MARGIN:
        raise ValueError(
            f'`coordinates` must be from {-largest[axis]:g} to '
            f'{largest[axis]:g} along axis {axis}, which is pi divided by '
            'the side of a cell: the grid has no higher frequencies. Got up '
            f'to {found[axis]:g} in {describe_space(space)}: {remedy}'
        )
    # one cell has no frequency but zero
    if ratios[axis] < _LEAST_COVERAGE and max(grid_shape(space)) > 1:
        detail = (
            f'{1 / ratios[axis]:.3g}' if ratios[axis] else 'infinitely many'
        )
        warn_user(
            f'the coordinates reach only {ratios[axis]:.3g} of the largest '
            f'frequency of the grid, {largest[axis]:g} along axis {axis}, so '
            f'that no detail below {detail} cells is measured: {remedy}',
            UserWarning,
        )


def quiet_range():
    """Context without the warning that all coordinates are low."""
    return quiet('the coordinates reach only', category=UserWarning)


def angular_frequencies(
    space: Space, coordinates: Samples, unit: Unit
) -> np.ndarray:
    r"""Return coordinates of k-space as angular frequencies.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the images.
    coordinates : array-like or torch.Tensor
        Real array of shape ``(..., ndim)``, one frequency for each axis of
        the image, in the order of its axes.
    unit : str
        What the coordinates are: ``'cycles/length'``, the wave number, in
        the inverse of the unit of length of the space; ``'radians/cell'``,
        from :math:`-\pi` to :math:`\pi`; ``'cycles/cell'``, from -1/2 to
        1/2; ``'cycles/field'``, periods in the whole field of view, from
        ``-n / 2`` to ``n / 2`` for ``n`` cells; or ``'radians/length'``,
        which stays.

    Returns
    -------
    frequencies : numpy.ndarray
        Angular frequencies in radians per unit of length, float64, of the
        shape of the coordinates.

    Raises
    ------
    ValueError
        If the shape or the unit is another one, or a value is not finite.
    TypeError
        If the coordinates are not real numbers.

    Notes
    -----
    With the side :math:`s` of a cell and :math:`n` cells along an axis, the
    units differ by the factors :math:`2 \pi`, :math:`1 / s`,
    :math:`2 \pi / s` and :math:`2 \pi / (n s)`. Scanners and files have the
    axes of the image in different orders: the last axis of ``coordinates``
    is in the order of the axes of the space.

    Examples
    --------
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype='complex64')
    >>> angular_frequencies(space, [[0.5, -0.25]], 'cycles/cell') / np.pi
    array([[ 2., -1.]])
    """
    _checks.one_of('unit', unit, _UNITS)
    sides = cell_sides(space)
    array = as_coordinates(coordinates, len(sides))
    factors = {
        'radians/length': 1.0,
        'cycles/length': 2 * np.pi,
        'radians/cell': 1 / sides,
        'cycles/cell': 2 * np.pi / sides,
        'cycles/field': 2 * np.pi / (sides * np.array(grid_shape(space))),
    }
    return array * factors[unit]


# --- Trajectories --- #


def _plane(space):
    """Return the largest radius in a plane, and the longest side."""
    sides, shape = cell_sides(space), grid_shape(space)
    if len(shape) != 2:
        raise ValueError(
            'trajectories are for two-dimensional images, got the shape '
            f'{shape}: for stacks in space, add the third frequency'
        )
    return float(np.pi / sides.max()), float((sides * shape).max())


def _turned(curve, angles):
    """Return a complex curve turned by each of some angles, as points."""
    points = np.exp(1j * angles)[:, None] * curve
    return np.stack([points.real, points.imag], -1)


def radial_trajectory(
    space: Space,
    n_spokes: int,
    n_samples: int | None = None,
    golden_angle: bool = False,
) -> np.ndarray:
    r"""Return the coordinates of spokes through the centre of k-space.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of two-dimensional images.
    n_spokes : int
        Number of spokes. About ``n * pi / 2`` of them are as dense at their
        ends as a grid of ``n x n`` cells.
    n_samples : int, optional
        Number of samples of each spoke. Default: twice the larger number of
        cells, as scanners have it.
    golden_angle : bool, optional
        Whether a spoke follows the one before at the golden angle,
        111.246 degrees, so that any number of successive spokes covers all
        directions almost evenly (Winkelmann et al. 2007). Default: at
        ``180 / n_spokes`` degrees.

    Returns
    -------
    coordinates : numpy.ndarray
        Angular frequencies of shape ``(n_spokes, n_samples, 2)``.

    Raises
    ------
    ValueError
        If the space is not two-dimensional, or a number is not positive.
    TypeError
        If the numbers are not whole, or ``golden_angle`` is no bool.

    Notes
    -----
    The frequencies of a spoke are :math:`(j - \lfloor n / 2 \rfloor)\, 2 K /
    n` for :math:`j = 0, \dots, n - 1`, where :math:`K = \pi / s` for the
    larger side :math:`s` of a cell.

    Examples
    --------
    >>> space = odl.uniform_discr([-2, -2], [2, 2], (4, 4), dtype='complex64')
    >>> radial_trajectory(space, 2, 4)[0, :, 0] / np.pi
    array([-1. , -0.5,  0. ,  0.5])
    """
    radius, _ = _plane(space)
    n_spokes = _checks.whole_number('n_spokes', n_spokes, 1)
    if n_samples is None:
        n_samples = 2 * max(grid_shape(space))
    n_samples = _checks.whole_number('n_samples', n_samples, 1)
    golden_angle = _checks.boolean('golden_angle', golden_angle)
    step = 1 / _GOLDEN_RATIO if golden_angle else 1 / n_spokes
    spoke = (np.arange(n_samples) - n_samples // 2) * (2 * radius / n_samples)
    return _turned(spoke, np.pi * step * np.arange(n_spokes))


def spiral_trajectory(
    space: Space,
    n_interleaves: int,
    n_samples: int | None = None,
    n_turns: float | None = None,
    golden_angle: bool = False,
) -> np.ndarray:
    r"""Return the coordinates of Archimedean spirals from the centre.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of two-dimensional images.
    n_interleaves : int
        Number of spirals, each turned against the one before.
    n_samples : int, optional
        Number of samples of each spiral. Default: so many that neighbours
        are half as far apart as those of the grid.
    n_turns : float, optional
        Turns of each spiral about the centre. Default: so many that all
        spirals together are as dense as the grid. With fewer turns, k-space
        is undersampled.
    golden_angle : bool, optional
        Whether a spiral is turned by 222.492 degrees against the one before,
        the full turn divided by the golden ratio. Default: by
        ``360 / n_interleaves`` degrees.

    Returns
    -------
    coordinates : numpy.ndarray
        Angular frequencies of shape ``(n_interleaves, n_samples, 2)``.

    Raises
    ------
    ValueError
        If the space is not two-dimensional, or a number is not positive.
    TypeError
        If a number of samples or spirals is not whole.

    Notes
    -----
    The curve is :math:`\xi = K t\, (\cos 2 \pi m t, \sin 2 \pi m t)` for
    :math:`0 \le t \le 1` with :math:`m` turns, and :math:`K = \pi / s` for
    the larger side :math:`s` of a cell. Samples lie at equal distances along
    it. The limits of gradients and slew rates of a scanner are not modelled.

    Examples
    --------
    >>> space = odl.uniform_discr([-2, -2], [2, 2], (4, 4), dtype='complex64')
    >>> np.round(spiral_trajectory(space, 1, 2, n_turns=1) / np.pi, 6) + 0
    array([[[ 0.,  0.],
            [ 1.,  0.]]])
    """
    radius, field = _plane(space)
    n_interleaves = _checks.whole_number('n_interleaves', n_interleaves, 1)
    golden_angle = _checks.boolean('golden_angle', golden_angle)
    if n_turns is None:
        n_turns = radius * field / (2 * np.pi * n_interleaves)
    n_turns = _checks.positive_number('n_turns', n_turns)
    turn = 2 * np.pi * n_turns
    length = radius * _arc_length(1.0, turn)
    if n_samples is None:
        n_samples = max(2, math.ceil(2 * length * field / (2 * np.pi)))
    n_samples = _checks.whole_number('n_samples', n_samples, 2)
    step = 1 / _GOLDEN_RATIO if golden_angle else 1 / n_interleaves
    fine = np.linspace(0, 1, 16 * n_samples)
    lengths = _arc_length(fine, turn)
    t = np.interp(np.linspace(0, lengths[-1], n_samples), lengths, fine)
    spiral = radius * t * np.exp(1j * turn * t)
    return _turned(spiral, 2 * np.pi * step * np.arange(n_interleaves))


def _arc_length(t, turn):
    """Return the length of the spiral ``t exp(i turn t)`` from the centre."""
    angle = turn * t
    return (angle * np.hypot(1, angle) + np.arcsinh(angle)) / (2 * turn)
