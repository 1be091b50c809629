# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of ODL's operators between product spaces."""

import numpy as np
import odl
import torch
from odl.core.operator import pspace_ops

from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.layout import Constant, Layout, layouts
from odl_equivariant.operators.batching.registry import (
    batched_map,
    register_batched,
)
from odl_equivariant.operators.batching.structures import blocks

__all__ = ()


def _slices(spaces):
    """Return the channels of the parts of a product space."""
    ends = np.cumsum([0, *(Layout(space).shape[0] for space in spaces)])
    return [
        slice(int(start), int(end))
        for start, end in zip(ends[:-1], ends[1:], strict=True)
    ]


def _block_maps(operator, entries, domains, ranges):
    places = [(int(i), int(j)) for i, j, _ in entries]
    maps = [batched_map(entry) for _, _, entry in entries]
    parts = (_slices(domains), _slices(ranges))
    return blocks(places, maps, *parts, *layouts(operator))


@register_batched(pspace_ops.ProductSpaceOperator)
def _matrix(operator):
    ops = operator.ops
    entries = list(zip(ops.row, ops.col, ops.data, strict=True))
    return _block_maps(operator, entries, operator.domain, operator.range)


@register_batched(pspace_ops.BroadcastOperator)
def _broadcast(operator):
    entries = [(i, 0, op) for i, op in enumerate(operator.operators)]
    return _block_maps(operator, entries, [operator.domain], operator.range)


@register_batched(pspace_ops.ReductionOperator)
def _reduction(operator):
    entries = [(0, j, op) for j, op in enumerate(operator.operators)]
    return _block_maps(operator, entries, operator.domain, [operator.range])


@register_batched(odl.functionals.SeparableSum)
def _separable_sum(functional):
    entries = [(0, j, f) for j, f in enumerate(functional.functionals)]
    parts = (functional.domain, [functional.range])
    return _block_maps(functional, entries, *parts)


@register_batched(pspace_ops.DiagonalOperator)
def _diagonal(operator):
    operators = operator.operators
    n, first = len(operators), operators[0]
    one = batched_map(first) if all(op is first for op in operators) else None
    if n == 1 or not isinstance(one, LinearMap):
        return _matrix(operator)

    def on_parts(function):
        # one operator for all parts takes them as a larger batch
        def parts(x):
            y = function(x.unflatten(1, (n, -1)).flatten(0, 1))
            return y.unflatten(0, (len(x), n)).flatten(1, 2)

        return parts

    return on_parts(one.apply), on_parts(one.transpose)


def _projection_maps(space, index):
    if isinstance(index, tuple):  # a part of a part
        return None
    slices = _slices(space)
    chosen = [slices[i] for i in np.atleast_1d(np.arange(len(space))[index])]
    channels = [c for part in chosen for c in range(part.start, part.stop)]
    index, layout = Constant(torch.tensor(channels)), Layout(space)

    def project(x):
        return x.index_select(1, index.like(x))

    def embed(y):
        # adds up what was chosen twice
        return layout.zeros(y).index_add_(1, index.like(y), y)

    return project, embed


@register_batched(pspace_ops.ComponentProjection)
def _projection(operator):
    return _projection_maps(operator.domain, operator.index)


@register_batched(pspace_ops.ComponentProjectionAdjoint)
def _embedding(operator):
    maps = _projection_maps(operator.range, operator.index)
    return None if maps is None else maps[::-1]
