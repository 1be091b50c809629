# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps that are built from other maps.

A combination of linear maps is a pair of functions, as for a registered linear
operator, so that autograd sees one linear map. Any other combination is a
module that contains the weights of the maps. The maps decide which, not the
flag ``is_linear`` of the operators, which ODL also sets for sums of norms.
"""

import torch
from torch import nn

from odl_equivariant.operators.batching.autograd import LinearMap

__all__ = ('Structure', 'blocks', 'chain', 'product', 'total')


class Structure(nn.Module):
    """A map that consists of other maps, some with weights."""

    def __init__(self, *maps):
        super().__init__()
        self._maps = []
        for i, function in enumerate(maps):
            if isinstance(function, nn.Module):
                self.add_module(str(i), function)
                function = None
            self._maps.append(function)

    @property
    def maps(self):
        """The maps, in the order in which they were given."""
        return [
            self._modules[str(i)] if function is None else function
            for i, function in enumerate(self._maps)
        ]


def _are_linear(maps):
    return all(isinstance(function, LinearMap) for function in maps)


class _Chain(Structure):
    def forward(self, x):
        for function in self.maps:
            x = function(x)
        return x


def chain(*maps):
    """Return the composition of maps; the first is applied first."""
    if not _are_linear(maps):
        return _Chain(*maps)

    def apply(x):
        for linear in maps:
            x = linear.apply(x)
        return x

    def transpose(y):
        for linear in reversed(maps):
            y = linear.transpose(y)
        return y

    return apply, transpose


class _Sum(Structure):
    def forward(self, x):
        first, *others = self.maps
        return sum((function(x) for function in others), start=first(x))


def total(left, right):
    """Return the sum of two maps."""
    if not _are_linear((left, right)):
        return _Sum(left, right)
    return (
        lambda x: left.apply(x) + right.apply(x),
        lambda y: left.transpose(y) + right.transpose(y),
    )


class _Product(Structure):
    def forward(self, x):
        left, right = self.maps
        return left(x) * right(x)


def product(left, right):
    """Return the pointwise product of two maps."""
    return _Product(left, right)


class _Blocks(Structure):
    def __init__(self, places, maps, domain_parts, range_parts, range):
        super().__init__(*maps)
        self._places, self._range = places, range
        self._domain_parts, self._range_parts = domain_parts, range_parts

    def forward(self, x):
        rows = {}
        for (i, j), function in zip(self._places, self.maps, strict=True):
            part = function(x[:, self._domain_parts[j]])
            rows[i] = rows[i] + part if i in rows else part
        zeros = self._range.zeros(x)
        return torch.cat(
            [
                rows[i] if i in rows else zeros[:, part]
                for i, part in enumerate(self._range_parts)
            ],
            1,
        )


def blocks(places, maps, domain_parts, range_parts, domain, range):
    """Return a matrix of maps.

    Parameters
    ----------
    places : list of tuple of int
        Row and column of each map.
    maps : list of callable
        The entries that are not zero.
    domain_parts, range_parts : list of slice
        The channels that belong to each column and each row.
    domain, range : Layout
        Layouts of the whole domain and range.
    """
    if not _are_linear(maps):
        return _Blocks(places, maps, domain_parts, range_parts, range)

    def apply(x):
        result = range.zeros(x)
        for (i, j), linear in zip(places, maps, strict=True):
            result[:, range_parts[i]] += linear.apply(x[:, domain_parts[j]])
        return result

    def transpose(y):
        result = domain.zeros(y)
        for (i, j), linear in zip(places, maps, strict=True):
            part = linear.transpose(y[:, range_parts[i]])
            result[:, domain_parts[j]] += part
        return result

    return apply, transpose
