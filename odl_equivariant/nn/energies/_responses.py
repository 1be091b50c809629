# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What profiles make of responses, each alone or as norms of pairs.

Each function takes the tables of `Splines.prepared` and responses of shape
``(N, F, n, m)`` or, of volumes, ``(N, F, n, m, l)``; those of pairs of shape
``(N, 2 F, n, m)``: the first of all pairs, then the second of all.
"""

import torch

__all__ = (
    'curvature',
    'derivative',
    'quick_derivative',
    'quick_values',
    'quick_values_and_derivative',
    'residual',
    'values',
)


def values(tables, responses, pairs):
    """Return the sum of the profiles for each image."""
    if pairs:
        responses = _norms(_split(responses))
    return tables.value(_as_images(responses)).flatten(1).sum(1)


def derivative(tables, responses, pairs):
    """Return the derivative of `values`."""
    if not pairs:
        value = tables.derivative(_as_images(responses))
        return value.reshape(responses.shape)
    both = _split(responses)
    return (tables.ratio(_norms(both))[:, None] * both).flatten(1, 2)


def quick_derivative(tables, responses, pairs):
    """Return the same without a graph, and overwrite the responses."""
    if pairs:
        return derivative(tables, responses, True)
    value = tables.quick_derivative(_as_images(responses))
    return value.view(responses.shape)


def quick_values(tables, responses, pairs):
    """Return `values` without a graph."""
    if pairs:
        return values(tables, responses, True)
    return tables.quick_value(_as_images(responses))


def quick_values_and_derivative(tables, responses, pairs):
    """Return both without a graph, and overwrite the responses."""
    if pairs:
        return values(tables, responses, True), derivative(
            tables, responses, True
        )
    sums, value = tables.quick_value_and_derivative(_as_images(responses))
    return sums, value.view(responses.shape)


def residual(tables, responses, pairs):
    """Return the derivative of `values` at the proximals of the profiles."""
    if not pairs:
        value = tables.residual(_as_images(responses))
        return value.reshape(responses.shape)
    both = _split(responses)
    norms = _norms(both)
    tiny = torch.finfo(norms.dtype).tiny
    share = tables.residual(norms) / norms.clamp(min=tiny)
    return (share[:, None] * both).flatten(1, 2)


def curvature(tables, responses, pairs):
    """Return the second derivative of `values`, as a function.

    It may overwrite what it is applied to.
    """
    if not pairs:
        slopes = tables.slope(_as_images(responses))
        slopes = slopes.view(responses.shape)
        return lambda r: r.mul_(slopes)
    both = _split(responses)
    norms = _norms(both)
    across = tables.ratio(norms)[:, None]
    unit = both / norms.clamp(min=torch.finfo(norms.dtype).tiny)[:, None]
    along = tables.slope(norms)[:, None] - across

    def product(r):
        r = _split(r)
        radial = (unit * r).sum(1, keepdim=True)
        return (across * r + along * radial * unit).flatten(1, 2)

    return product


def _as_images(responses):
    """Return responses of volumes as images of the same values."""
    return responses.flatten(3)


def _split(responses):
    return responses.unflatten(1, (2, -1))


def _norms(both):
    # its derivative is zero where both responses are
    square = both.square().sum(1)
    return torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
