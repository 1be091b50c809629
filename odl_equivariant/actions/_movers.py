# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of movers: they move arrays by a group element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ('Mover', 'TOLERANCE')

# Far below what moves a grid point by a cell, far above float32 rounding.
TOLERANCE = 1e-6


class Mover:
    r"""A group element and the matrix by which it moves an array.

    Notes
    -----
    With :math:`c` the centre of the domain, :math:`M` the matrix and
    :math:`s` the shift,

    .. math::
        (g \cdot u)(x) = u\big(M^{-1} (x - c - s) + c\big),

    and :math:`(M, s) (M', s') = (M M', s + M s')`. Subclasses give
    ``move``, the map of the arrays, ``move_back``, its adjoint in the inner
    product of the space, ``inverse`` and ``multiply``.
    """

    move: Callable[[Any], Any]
    move_back: Callable[[Any], Any]
    inverse: Callable[[], Mover]
    multiply: Callable[[Mover], Mover]
    is_isometry = False
    is_exact = False
    is_linear = True

    def __init__(self, space, matrix, shift):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace`
            Uniform space of functions of d variables.
        matrix : array-like of float, shape (d, d)
            The matrix M, in the order of the axes.
        shift : array-like of float, shape (d,)
            The shift s in the unit of the domain.
        """
        self.space = space
        self.matrix = np.array(matrix, dtype=float)
        self.shift = np.array(shift, dtype=float)

    @property
    def translation(self):
        """Vector t with ``(g.u)(x) = u(M^-1 (x - t))``."""
        centre = self.space.partition.mid_pt
        return centre - self.matrix @ centre + self.shift

    @property
    def has_turn(self):
        """``True`` if the matrix is not the identity."""
        return not np.allclose(self.matrix, np.eye(len(self.matrix)))

    def derivative(self):
        """Return the linear part of the map."""
        return self

    def __eq__(self, other):
        """Return whether both move arrays in the same way."""
        if type(other) is not type(self):
            return NotImplemented
        return (
            self.space == other.space
            and np.allclose(self.matrix, other.matrix, rtol=0, atol=1e-9)
            and np.allclose(
                self.shift / self.space.cell_sides,
                other.shift / self.space.cell_sides,
                rtol=0,
                atol=TOLERANCE,
            )
        )

    def __hash__(self):
        """Return a hash; elements that differ by rounding share it."""
        return hash((type(self), self.space.shape))

    def __str__(self):
        """Return what the element does, in words."""
        parts = []
        if self.has_turn:
            parts.append(describe_matrix(self.matrix))
        cells = self.shift / self.space.cell_sides
        if not np.allclose(cells, 0, rtol=0, atol=TOLERANCE):
            numbers = ', '.join(f'{count:.6g}' for count in cells)
            parts.append(f'translation by ({numbers}) cells')
        return ', then '.join(parts) or 'identity'


def describe_matrix(matrix):
    """Return what a matrix does to the plane or the space, in words."""
    size = len(matrix)
    factor = abs(float(np.linalg.det(matrix))) ** (1 / size)
    turn = matrix / factor
    if not np.allclose(turn @ turn.T, np.eye(size)):
        return f'the matrix {np.round(matrix, 6).tolist()}'
    parts = [] if np.isclose(factor, 1) else [f'scaling by {factor:.6g}']
    if size == 1:
        parts += ['reflection'] * bool(turn[0, 0] < 0)
    elif size == 2:
        angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0])) % 360
        if np.linalg.det(turn) < 0:
            parts.append(f'reflection in the line at {angle / 2:.6g} degrees')
        elif not np.allclose(turn, np.eye(2)):
            parts.append(f'rotation by {angle:.6g} degrees')
    elif not np.allclose(turn, np.eye(size)):
        parts.append(_describe_turn_in_space(turn))
    return ' and '.join(parts)


def _describe_turn_in_space(turn):
    if np.allclose(np.abs(turn), np.eye(3)) and np.linalg.det(turn) < 0:
        axes = [i for i in range(3) if turn[i, i] < 0]
        return f'reflection of the axes {axes}'
    for axis in range(3):
        if np.isclose(turn[axis, axis], 1):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            angle = np.degrees(np.arctan2(turn[j, i], turn[i, i])) % 360
            if np.linalg.det(turn) > 0:
                return f'rotation about axis {axis} by {angle:.6g} degrees'
    return f'the turn {np.round(turn, 6).tolist()}'
