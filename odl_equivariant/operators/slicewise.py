# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""An operator of images, applied to all slices of a volume at once."""

from __future__ import annotations

import functools
from typing import Any

import odl
from odl.core.space.weightings.weighting import ConstWeighting

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import Operator
from odl_equivariant.elements import describe_space
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    linear_maps,
    register_batched,
)
from odl_equivariant.operators.operator_norm import operator_norm

__all__ = ('SlicewiseOperator',)


def _stacked(space, n_slices, thickness):
    """Return the space of stacks of elements of a space."""
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'a stack has an axis of slices beside those of a grid, and the '
            f'operator has the space {describe_space(space)} without a grid: '
            'take one between spaces made by `odl.uniform_discr`'
        )
    if not (space.is_uniform and isinstance(space.weighting, ConstWeighting)):
        raise ValueError(
            'the cells of images and of data must be equal and have one '
            'weight, got '
            f'{describe_space(space)}: take angles at equal distances'
        )
    half = n_slices * thickness / 2
    slices = odl.uniform_partition(-half, half, n_slices)
    return odl.uniform_discr_frompartition(
        space.partition.append(slices),
        dtype=space.dtype,
        impl=space.impl,
        device=space.device,
        weighting=float(space.weighting.const) * thickness,
    )


class SlicewiseOperator(CheckedOperator):
    r"""A linear operator of images, applied to each slice of a volume.

    Parallel-beam tomography of a volume is the ray transform of each of its
    slices. They all have the same matrix, which multiplies them at once.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator between spaces on grids, such as a ray transform with
        ``impl='astra_matrix'``, or its `filtered_backprojection`.
    n_slices : int
        Number of slices.
    thickness : float, optional
        Distance of slices, in the unit of length of the spaces. The stack is
        centred at the origin.

    Raises
    ------
    TypeError
        If the operator is not linear, or not between spaces on grids.
    ValueError
        If its spaces have no constant weights, or a number is not positive.

    Notes
    -----
    Volumes have the slices along their last axis, and so have the data:

    .. math::
        (A u)(\cdot, z) = A_2\, u(\cdot, z), \qquad
        (A^* y)(\cdot, z) = A_2^*\, y(\cdot, z), \qquad \|A\| = \|A_2\| .

    The weights of both spaces are those of the slices times the thickness.

    Examples
    --------
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype='float32')
    >>> geometry = odl.applications.tomo.parallel_beam_geometry(space, 5)
    >>> rays = odl.applications.tomo.RayTransform(
    ...     space, geometry, impl='astra_matrix'
    ... )
    >>> stack = SlicewiseOperator(rays, n_slices=6, thickness=0.25)
    >>> stack.domain.shape, stack.range.shape == (*rays.range.shape, 6)
    ((8, 8, 6), True)
    """

    def __init__(
        self, operator: Operator, n_slices: int, thickness: float = 1.0
    ) -> None:
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                f'expected an `odl.Operator`, got {type(operator).__name__}'
            )
        if not operator.is_linear:
            raise TypeError(f'expected a linear operator, got {operator!r}')
        n_slices = whole_number('n_slices', n_slices, 1)
        self._thickness = positive_number('thickness', thickness)
        self._operator = operator
        domain, range = (
            _stacked(space, n_slices, self._thickness)
            for space in (operator.domain, operator.range)
        )
        super().__init__(domain, range, linear=True)

    @property
    def operator(self) -> Operator:
        """The operator of a slice."""
        return self._operator

    @property
    def n_slices(self) -> int:
        """Number of slices."""
        return self.domain.shape[-1]

    @property
    def thickness(self) -> float:
        """Distance of slices."""
        return self._thickness

    def with_operator(self, operator: Operator) -> SlicewiseOperator:
        """Return another operator on the slices of the same stack.

        Parameters
        ----------
        operator : `odl.Operator`
            Linear operator between spaces on grids.

        Returns
        -------
        stack : SlicewiseOperator
            The operator, applied to as many slices of the same thickness.
        """
        return SlicewiseOperator(operator, self.n_slices, self._thickness)

    @functools.cached_property
    def _maps(self):
        return tuple(map(_over_slices, linear_maps(self._operator)))

    def _call(self, x):
        domain, range = layouts(self)
        return range.element(self._maps[0](domain.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint: that of the operator of a slice, on each slice."""
        return AdjointOperator(self)

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the norm, which is that of the operator of a slice.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: see `operator_norm`.

        Returns
        -------
        norm : float
            Norm in the spaces.
        """
        return operator_norm(self._operator)

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self._operator, self.n_slices, self._thickness)


def _over_slices(function):
    """Return a map of batches of images as one of batches of volumes."""

    def apply(x):
        n_volumes, n_slices = len(x), x.shape[-1]
        # one part for each volume, (N, 1, n, m, slices)
        y = function(x.movedim(-1, 1).flatten(0, 1))
        return y.unflatten(0, (n_volumes, n_slices)).movedim(1, -1)

    return apply


@register_batched(SlicewiseOperator)
def _batched(operator):
    return operator._maps
