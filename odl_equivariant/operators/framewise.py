# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Operators that are another one for each frame of a film."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import odl
import torch
from odl.core.space.weightings.weighting import ConstWeighting

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import positive_number
from odl_equivariant._types import Operator
from odl_equivariant.elements import describe_space
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    linear_maps,
    register_batched,
)

__all__ = ('FramewiseOperator',)


def _film_space(space, n_frames, frame_time):
    """Return the space of films whose frames are elements of a space."""
    time = odl.uniform_partition(0, n_frames * frame_time, n_frames)
    return odl.uniform_discr_frompartition(
        space.partition.append(time),
        dtype=space.dtype,
        impl=space.impl,
        device=space.device,
        weighting=float(space.weighting.const) * frame_time,
    )


def _checked_space(space):
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'a film has an axis of time beside those of a grid, and an '
            f'operator has the space {describe_space(space)} without a grid: '
            'take operators between spaces made by `odl.uniform_discr`'
        )
    if not (space.is_uniform and isinstance(space.weighting, ConstWeighting)):
        raise ValueError(
            'the cells of frames and of their data must be equal and have '
            f'one weight, got {describe_space(space)}: give '
            '`data_space`, in which '
            'all data of a frame have one weight'
        )
    return space


class FramewiseOperator(CheckedOperator):
    r"""A linear operator of films, which may be another one for each frame.

    In dynamic imaging a frame is measured while the next views or lines are
    prepared, so that each frame has its own.

    Parameters
    ----------
    operators : sequence of `odl.Operator`
        Linear operator of each frame, in the order of time. All have the same
        domain, and data of one shape.
    frame_time : float, optional
        Time from one frame to the next, in any unit.
    data_space : `odl.DiscretizedSpace`, optional
        Space of the data of a frame, with one weight. Default: the range of
        the first operator.

    Raises
    ------
    TypeError
        If an operator is not linear, or not between spaces on grids.
    ValueError
        If there is none, their domains or the shapes of their data differ, or
        weights are not constant.

    Notes
    -----
    Films have time along their last axis, and so have the data:

    .. math::
        (A u)(\cdot, t) = A_t\, u(\cdot, t), \qquad
        (A^* y)(\cdot, t) = A_t^*\, y(\cdot, t) .

    The adjoint refers to the weights of the two spaces of films, also where
    the ranges of the operators have other ones. The weights are those of a
    frame times ``frame_time``.

    Examples
    --------
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype='float32')
    >>> frames = [k * odl.IdentityOperator(space) for k in (1, 2, 3)]
    >>> operator = FramewiseOperator(frames, frame_time=0.5)
    >>> operator.domain.shape
    (4, 4, 3)
    >>> operator(operator.domain.one()).asarray()[0, 0].tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        operators: Sequence[Operator],
        frame_time: float = 1.0,
        data_space: odl.DiscretizedSpace | None = None,
    ) -> None:
        self._operators = tuple(operators)
        if not self._operators:
            raise ValueError('a film has at least one frame, got no operator')
        self._frame_time = positive_number('frame_time', frame_time)
        first = self._operators[0]
        for k, operator in enumerate(self._operators):
            if not (isinstance(operator, odl.Operator) and operator.is_linear):
                raise TypeError(
                    'expected linear `odl.Operator` for all frames, got '
                    f'{operator!r} for frame {k}'
                )
            if operator.domain != first.domain:
                raise ValueError(
                    'all frames are of one space, got '
                    f'{describe_space(operator.domain)} for frame {k} and '
                    f'{describe_space(first.domain)} for frame 0'
                )
        self._data_space = data_space
        data = first.range if data_space is None else data_space
        domain, data = map(_checked_space, (first.domain, data))
        for k, operator in enumerate(self._operators):
            if getattr(operator.range, 'shape', None) != data.shape:
                raise ValueError(
                    f'the data of all frames have one shape, {data.shape}, '
                    f'got {describe_space(operator.range)} for frame {k}; '
                    'take as many views or samples in each frame'
                )
        n_frames = len(self._operators)
        super().__init__(
            _film_space(domain, n_frames, self._frame_time),
            _film_space(data, n_frames, self._frame_time),
            linear=True,
        )

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators of the frames."""
        return self._operators

    @property
    def frame_time(self) -> float:
        """Time from one frame to the next."""
        return self._frame_time

    @functools.cached_property
    def _maps(self):
        # frames with the same operator share its maps
        maps = {id(o): linear_maps(o) for o in self._operators}
        pairs = [maps[id(o)] for o in self._operators]
        return tuple(
            _over_frames(functions) for functions in zip(*pairs, strict=True)
        )

    def _call(self, x):
        domain, range = layouts(self)
        return range.element(self._maps[0](domain.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint: that of the operator of a frame, on each frame."""
        return AdjointOperator(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments only."""
        arguments = self._operators, self._frame_time, self._data_space
        return type(self), arguments


def _over_frames(functions):
    """Return the map of batches of films, given those of their frames."""

    def apply(x):
        frames = x.movedim(-1, 0)
        return torch.stack(
            [
                function(frame.contiguous())
                for function, frame in zip(functions, frames, strict=True)
            ],
            -1,
        )

    return apply


@register_batched(FramewiseOperator)
def _batched(operator):
    return operator._maps
