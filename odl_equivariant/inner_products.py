# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The weights of a space's inner product, in the layout of tensors."""

from __future__ import annotations

import odl
import torch
from odl.core.space.weightings.weighting import (
    ArrayWeighting,
    ConstWeighting,
)

from odl_equivariant._types import Space
from odl_equivariant.elements import describe_space, n_channels

__all__ = ('inner_product_weights',)


def _check_exponent(weighting, space):
    if weighting.exponent != 2.0:
        raise NotImplementedError(
            'only spaces with exponent 2 have an inner product, got '
            f'{weighting.exponent} in {describe_space(space)}'
        )


def _leaf_weights(space, factor):
    weighting = space.weighting
    _check_exponent(weighting, space)
    if isinstance(weighting, ConstWeighting):
        values = torch.full(
            (1,) * len(space.shape), float(weighting.const), dtype=torch.double
        )
    elif isinstance(weighting, ArrayWeighting):
        values = torch.as_tensor(weighting.array).double()
    else:
        raise NotImplementedError(
            'only constant and array weightings are supported, got '
            f'{weighting!r} in {describe_space(space)}'
        )
    values = factor * values.cpu()
    if isinstance(space, odl.DiscretizedSpace) and space.is_uniform:
        values = _with_half_cells(values, space)
    return values[None].expand(n_channels(space), *values.shape)


def _with_half_cells(values, space):
    """Scale the weights of cells that the boundary cuts, as ODL does."""
    if space.is_uniformly_weighted:
        return values
    for axis, ends in enumerate(space.partition.boundary_cell_fractions):
        fractions = torch.ones(space.shape[axis], dtype=torch.double)
        fractions[0] *= float(ends[0])
        fractions[-1] *= float(ends[1])
        shape = [-1 if i == axis else 1 for i in range(len(space.shape))]
        values = values * fractions.reshape(shape)
    return values


def _weights(space, factor=1.0):
    if not isinstance(space, odl.ProductSpace):
        return [_leaf_weights(space, factor)]
    weighting = space.weighting
    _check_exponent(weighting, space)
    if isinstance(weighting, ConstWeighting):
        factors = [float(weighting.const)] * len(space)
    elif isinstance(weighting, ArrayWeighting):
        factors = [float(w) for w in weighting.array]
    else:
        raise NotImplementedError(
            'only constant and array weightings of product spaces are '
            f'supported, got {weighting!r} in {describe_space(space)}'
        )
    return [
        weights
        for part, part_factor in zip(space, factors, strict=True)
        for weights in _weights(part, factor * part_factor)
    ]


def inner_product_weights(space: Space) -> torch.Tensor:
    r"""Return the weights of a space's inner product in the tensor layout.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space with constant or array weighting and exponent 2.

    Returns
    -------
    weights : torch.Tensor
        Real float64 tensor on the CPU, broadcastable to ``(C, *shape)``.

    Raises
    ------
    NotImplementedError
        If the inner product is not a weighted sum (a matrix weighting, a
        custom inner product, an exponent other than 2).

    Notes
    -----
    With :math:`w` the weights and :math:`x_c` the real channels,

    .. math::
        \mathrm{Re} \langle x, y \rangle = \sum_{c, i} w_{c, i}\,
        x_{c, i}\, y_{c, i},

    so that a linear map with matrix :math:`A` has the adjoint
    :math:`w_X^{-1} A^T w_Y`.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (2, 2))
    >>> float(inner_product_weights(space))
    0.25
    """
    weights = _weights(space)
    shape = torch.broadcast_shapes(*(w.shape[1:] for w in weights))
    return torch.cat([w.expand(w.shape[0], *shape) for w in weights])
