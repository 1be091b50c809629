# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of exact group actions."""

import torch

from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.actions.grid import GridAction, GridMover
from odl_equivariant.actions.isometries import Reflection, Rotation
from odl_equivariant.actions.translations import Translation
from odl_equivariant.operators.batching.registry import register_batched

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
