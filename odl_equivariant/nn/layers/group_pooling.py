# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Poolings that know the fields: over pixels, and over the group."""

from __future__ import annotations

import torch
from torch.nn import functional

from odl_equivariant._checks import one_of
from odl_equivariant.nn.layers.base import Layer
from odl_equivariant.nn.layers.fields import Fields, checked_fields
from odl_equivariant.nn.layers.pooling import (
    cells_around,
    check_images,
    is_exported,
)

__all__ = ('GroupPooling', 'MaxPooling')


class MaxPooling(Layer):
    """Maxima of images on a grid half as fine.

    The grids are those of `AveragePooling`: along an axis of an even number
    of cells these are the maxima of pairs, and along one of an odd number
    those of every second cell and its neighbours.

    Parameters
    ----------
    fields : Fields
        Trivial and regular fields.

    Raises
    ------
    TypeError
        If ``fields`` are none.
    ValueError
        If there are fields whose channels the group turns.

    Examples
    --------
    >>> layer = MaxPooling(Fields('C4', trivial=1))
    >>> layer(torch.arange(5.0).reshape(1, 1, 1, 5)).tolist()
    [[[[1.0, 3.0, 4.0]]]]
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self.in_fields = self.out_fields = checked_fields('fields', fields)
        if not fields.permutes:
            raise ValueError(
                f'{fields!r} has fields whose channels {fields.group} turns, '
                'so their maxima are not equivariant: take `AveragePooling`'
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maxima, of shape ``(N, C, ceil(n / 2), ceil(m / 2))``.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, fields.channels, n, m)``.
        """
        self._check(x)
        check_images(x)
        if is_exported():
            for axis in (2, 3):
                cells = [cells for cells, _ in cells_around(x, axis)]
                x = torch.stack(cells).amax(0)
            return x
        odd = [n % 2 for n in x.shape[2:]]
        return functional.max_pool2d(x, [2 + one for one in odd], 2, odd)


class GroupPooling(Layer):
    r"""One number for each field, which the group does not change.

    Parameters
    ----------
    fields : Fields
        Fields of the input. Those of the output are trivial, one for each.
    mode : {'max', 'mean', 'norm'}, optional
        ``'max'`` and ``'mean'`` of the channels of regular fields;
        ``'mean'`` also of band-limited ones, as functions on the group; or
        ``'norm'``, the length of each field of any kind but trivial ones,
        which remain as they are in all modes.

    Raises
    ------
    TypeError
        If an argument has not its type.
    ValueError
        If there is no such mode, or there are fields that it is not for.

    Examples
    --------
    >>> layer = GroupPooling(Fields('C4', regular=2, trivial=1))
    >>> layer(torch.arange(9.0).reshape(1, 9, 1, 1)).flatten().tolist()
    [3.0, 7.0, 8.0]
    """

    in_fields: Fields

    def __init__(self, fields: Fields, mode: str = 'max') -> None:
        super().__init__()
        self.in_fields = checked_fields('fields', fields)
        self.out_fields = Fields(fields.group, trivial=fields.n_fields)
        self.mode = one_of('mode', mode, ('max', 'mean', 'norm'))
        for name, _ in fields.parts:
            if mode == 'norm' or name in ('trivial', 'regular'):
                continue
            if mode == 'mean' and name.startswith('regular('):
                continue
            raise ValueError(
                f'mode={mode!r} is not for {name} fields, whose channels '
                f"{fields.group} turns: take mode='norm'"
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the numbers, of shape ``(N, fields.n_fields, n, m)``.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, fields.channels, n, m)``.
        """
        self._check(x)
        pieces = [
            self._pooled(piece.unflatten(1, (n, size)), name)
            for piece, (name, n, size) in zip(
                self.in_fields.split(x), self.in_fields.blocks, strict=True
            )
        ]
        return torch.cat(pieces, 1)

    def _pooled(self, x, name):
        if name == 'trivial':
            return x.squeeze(2)
        if self.mode == 'norm':
            return torch.linalg.vector_norm(x, dim=2)
        if name != 'regular':
            # the constant function comes first
            return x[:, :, 0]
        return x.amax(2) if self.mode == 'max' else x.mean(2)
