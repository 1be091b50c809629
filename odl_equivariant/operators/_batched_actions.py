# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of exact group actions, and of averages over groups."""

import torch

from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.actions.grid import GridAction, GridMover
from odl_equivariant.actions.isometries import Reflection, Rotation
from odl_equivariant.actions.translations import Translation
from odl_equivariant.operators._autograd import LinearMap
from odl_equivariant.operators._structures import Structure
from odl_equivariant.operators.batched import batched_map, register_batched
from odl_equivariant.operators.group_average import (
    FunctionalAverage,
    GroupAverage,
)

__all__ = ()


def _permutation(mover):
    """Return what a signed permutation of the grid does to a batch."""
    matrix = mover.matrix.round().astype(int)
    ndim = len(matrix)
    sources = [int(abs(row).argmax()) for row in matrix]
    flipped = [2 + axis for axis in range(ndim) if matrix[axis].sum() < 0]
    grid_axes = tuple(range(2, 2 + ndim))

    def move(x):
        moved = x.permute(0, 1, *(2 + source for source in sources))
        if flipped:
            moved = moved.flip(flipped)
        if any(mover.cells):
            moved = moved.roll(mover.cells, grid_axes)
        # new memory, also of a view
        return moved.clone(memory_format=torch.contiguous_format)

    return move


def _mixing(turn):
    """Return what a matrix does to the components of a batch."""

    def mix(x):
        matrix = torch.from_numpy(turn).to(x)
        parts = x.unflatten(1, (len(turn), -1))
        return torch.einsum('ij,nj...->ni...', matrix, parts).flatten(1, 2)

    return mix


@register_batched(
    GridAction, GeometricAction, Rotation, Reflection, Translation
)
def _exact_action(action):
    mover = action.mover
    if not isinstance(mover, GridMover):
        return None  # those that interpolate know arrays of one function
    # the matrix of the permutation is orthogonal, that of the values may not
    # be so without the weights of the components
    move, move_back = _permutation(mover), _permutation(mover.inverse())
    if action.turn is None:
        return move, move_back
    mix, mix_back = _mixing(action.turn), _mixing(action.turn.T.copy())
    return lambda x: mix(move(x)), lambda y: mix_back(move_back(y))


class _Average(Structure):
    """Mean over the group elements that an average has drawn."""

    def __init__(self, average, function):
        super().__init__(function)
        self._average, self._known = average, {}

    def terms(self):
        """Yield the maps of domain and range, as now drawn."""
        for i in self._average.drawn:
            if i not in self._known:
                self._known[i] = [
                    None if action is None else batched_map(action)
                    for action in self._average.elements[i]
                ]
            yield self._known[i]

    def forward(self, x):
        (function,) = self.maps
        total = 0
        for move, back in self.terms():
            y = function(move(x))
            total = total + (y if back is None else back(y))
        return total / len(self._average.drawn)

    def transpose(self, y):
        """Apply the transpose, where all maps are linear."""
        (function,) = self.maps
        total = 0
        for move, back in self.terms():
            x = y if back is None else back.transpose(y)
            total = total + move.transpose(function.transpose(x))
        return total / len(self._average.drawn)


@register_batched(GroupAverage, FunctionalAverage)
def _average(operator):
    average = _Average(operator, batched_map(operator.operator))
    parts = [average.maps[0]]
    for move, back in average.terms():
        parts += [move] if back is None else [move, back]
    if not all(isinstance(part, LinearMap) for part in parts):
        return average
    return average.forward, average.transpose
