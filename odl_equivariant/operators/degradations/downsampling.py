# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images of a lower resolution."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import odl

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import whole_number
from odl_equivariant._types import Operator, Space, TensorMap
from odl_equivariant.elements import describe_space, tensor_dtype
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)

__all__ = ('Downsampling',)


class Downsampling(CheckedOperator):
    r"""The means of an image over blocks of cells: a coarser grid.

    Parameters
    ----------
    space : `DiscretizedSpace`
        Uniform space of real or complex images, backed by numpy or pytorch,
        whose cells are whole at the boundary and weighted by their volume.
    factor : int or sequence of int
        Cells of a block, along all axes or along each. They divide the shape.

    Raises
    ------
    ValueError
        If the factor does not divide the shape, nothing is left along an
        axis, or the grid or the weights do not fit.
    TypeError
        If ``space`` is something else, or the factor is not whole.

    Notes
    -----
    The range is the space on the same domain with larger cells, weighted by
    their volume. With a block :math:`B` of :math:`|B|` cells,

    .. math::
        (A u)_B = \frac{1}{|B|} \sum_{i \in B} u_i, \qquad
        (A^* v)_i = v_B \quad (i \in B).

    So :math:`A A^*` is the identity, and :math:`A^* A` the projection onto
    images that are constant on blocks: as detectors with larger elements see
    them.

    Examples
    --------
    >>> coarse = Downsampling(odl.uniform_discr(0, 1, 4), 2)
    >>> coarse([1, 3, 5, 5]).asarray()
    array([ 2.,  5.])
    >>> coarse.adjoint([2, 5]).asarray()
    array([ 2.,  2.,  5.,  5.])
    """

    def __init__(self, space: Space, factor: int | Sequence[int]) -> None:
        if not isinstance(space, odl.DiscretizedSpace):
            raise TypeError(
                'expected a `DiscretizedSpace`, whose grid can be coarser, '
                f'got {describe_space(space)}'
            )
        tensor_dtype(space)
        if not space.is_uniform or not all(
            math.isclose(fraction, 1.0, rel_tol=1e-6)
            for pair in space.partition.boundary_cell_fractions
            for fraction in pair
        ):
            raise ValueError(
                'the grid must be uniform, with whole cells at the boundary '
                f'(`nodes_on_bdry=False`), got {describe_space(space)}'
            )
        factors = _checked_factors(factor, space.shape)
        self._factors = factors
        coarse = odl.uniform_discr(
            space.min_pt,
            space.max_pt,
            [n // m for n, m in zip(space.shape, factors, strict=True)],
            dtype=str(space.dtype_identifier),
            impl=space.impl,
            device=space.device,
        )
        const = getattr(space.weighting, 'const', None)
        if const is None or not math.isclose(
            float(const), space.cell_volume, rel_tol=1e-6
        ):
            raise ValueError(
                'the space must be weighted by the volume of its cells, '
                f'{space.cell_volume:g}, as `odl.uniform_discr` makes it, got '
                f'{space.weighting!r}'
            )
        super().__init__(space, coarse, linear=True)

    @property
    def factors(self) -> tuple[int, ...]:
        """Cells of a block along each axis."""
        return self._factors

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The means over blocks and their transpose, as maps of batches."""
        _, coarse = layouts(self)
        split = [
            side
            for n, m in zip(coarse.shape[1:], self._factors, strict=True)
            for side in (n, m)
        ]
        within = tuple(range(-2 * len(self._factors) + 1, 0, 2))
        size = math.prod(self._factors)

        def apply(x):
            blocks = x.reshape(*x.shape[: -len(self._factors)], *split)
            return blocks.sum(within) / size

        def transpose(y):
            y = y / size
            for axis, m in enumerate(self._factors, -len(self._factors)):
                y = y.repeat_interleave(m, axis)
            return y

        return apply, transpose

    def _call(self, x):
        fine, coarse = layouts(self)
        return coarse.element(self.maps[0](fine.tensor(x)[None])[0])

    @functools.cached_property
    def adjoint(self) -> Operator:
        """The adjoint in the weighted inner products."""
        return AdjointOperator(self)

    def norm(self, estimate: bool = False, **kwargs: object) -> float:
        """Return 1, the norm of a projection.

        Parameters
        ----------
        estimate, **kwargs :
            Not used: nothing has to be estimated.
        """
        return 1.0

    def __reduce__(self):
        """Pickle the arguments only."""
        return type(self), (self.domain, self._factors)


@register_batched(Downsampling)
def _batched(operator):
    return operator.maps


def _checked_factors(factor, shape):
    try:
        factors = [whole_number('factor', factor, 1)] * len(shape)
    except TypeError:
        is_array = isinstance(factor, np.ndarray) and factor.ndim == 1
        if isinstance(factor, str) or not (
            is_array or isinstance(factor, Sequence)
        ):
            raise
        factors = [whole_number('factor', m, 1) for m in factor]
    if len(factors) != len(shape) or any(
        n % m for n, m in zip(shape, factors, strict=True)
    ):
        raise ValueError(
            f'`factor` must divide the shape {tuple(shape)} of the images, '
            f'along each axis, got {factor!r}'
        )
    return tuple(factors)
