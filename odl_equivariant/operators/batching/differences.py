# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of ODL's finite differences.

Along each axis the differences are a banded matrix: ODL's own stencil applied
to the unit matrix. Its transpose is correct for all weights. ODL's adjoint is
wrong if the cells at the boundary are halves.
"""

import numpy as np
import odl
import torch
from odl.core.discr.diff_ops import finite_diff

from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.batching.structures import blocks, chain

__all__ = ('difference_matrix',)


def difference_matrix(space, axis, method, pad_mode, power=1):
    """Return the matrix of ODL's differences along one axis of a space."""
    unit = np.eye(space.shape[axis])
    step = float(space.cell_sides[axis]) ** power
    return finite_diff(unit, 0, step, method, pad_mode=pad_mode)


def _diagonals(matrix, dtype):
    """Return where the diagonals of a matrix begin, and their values."""
    rows, columns = matrix.nonzero()
    return [
        (
            max(0, -int(offset)),
            max(0, int(offset)),
            Constant(torch.tensor(np.diagonal(matrix, offset)).to(dtype)),
        )
        for offset in np.unique(columns - rows)
    ]


def _along(axis, ndim, matrix, dtype):
    """Return a banded matrix as a map of one axis of elements."""
    dim = axis - ndim

    def multiply(diagonals, x):
        result = torch.zeros_like(x, memory_format=torch.contiguous_format)
        for row, column, diagonal in diagonals:
            values = diagonal.like(x)
            values = values.reshape(-1, *(1 for _ in range(-dim - 1)))
            n = len(values)
            target = result.narrow(dim, row, n)
            target.addcmul_(x.narrow(dim, column, n), values)
        return result

    forward, backward = _diagonals(matrix, dtype), _diagonals(matrix.T, dtype)
    return LinearMap(
        lambda x: multiply(forward, x), lambda y: multiply(backward, y)
    )


def _difference_maps(operator, places, matrices):
    domain, range_ = layouts(operator)
    ndim = len(domain.shape) - 1
    maps = [_along(i, ndim, matrix, domain.dtype) for i, matrix in matrices]
    parts = [
        [slice(i, i + 1) for i in range(layout.shape[0])]
        for layout in (domain, range_)
    ]
    pair = blocks(places, maps, *parts, domain, range_)
    if operator.pad_const == 0:
        return pair
    # affine, also the Laplacian, which ODL declares linear
    shift = Constant(range_.tensor(operator(operator.domain.zero())).clone())
    return chain(LinearMap(*pair), lambda y: y + shift.like(y))


@register_batched(odl.PartialDerivative)
def _partial_derivative(operator):
    axis = operator.axis % operator.domain.ndim
    matrix = difference_matrix(
        operator.domain, axis, operator.method, operator.pad_mode
    )
    return _difference_maps(operator, [(0, 0)], [(axis, matrix)])


def _all_axes(operator, space):
    return [
        (
            axis,
            difference_matrix(space, axis, operator.method, operator.pad_mode),
        )
        for axis in range(space.ndim)
    ]


@register_batched(odl.Gradient)
def _gradient(operator):
    matrices = _all_axes(operator, operator.domain)
    return _difference_maps(
        operator, [(axis, 0) for axis, _ in matrices], matrices
    )


@register_batched(odl.Divergence)
def _divergence(operator):
    matrices = _all_axes(operator, operator.range)
    return _difference_maps(
        operator, [(0, axis) for axis, _ in matrices], matrices
    )


@register_batched(odl.Laplacian)
def _laplacian(operator):
    space, mode = operator.domain, operator.pad_mode
    matrices = [
        (
            axis,
            difference_matrix(space, axis, 'forward', mode, 2)
            - difference_matrix(space, axis, 'backward', mode, 2),
        )
        for axis in range(space.ndim)
    ]
    return _difference_maps(operator, [(0, 0)] * space.ndim, matrices)
