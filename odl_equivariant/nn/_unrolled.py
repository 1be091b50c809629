# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What all unrolled methods have in common."""

from typing import Any

import odl
import torch
from torch import nn

from odl_equivariant.elements import grid_shape, n_channels, tensor_dtype
from odl_equivariant.nn._layers import Layers, OperatorCache
from odl_equivariant.nn.inference import Precision, Tile, for_inference
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('UnrolledMethod',)


class UnrolledMethod(nn.Module):
    """Base class of networks from data to images that use the operator."""

    _layers: Layers
    _operators: OperatorCache

    # Least and greatest value of the training images, where known.
    value_range: tuple[float, float] | None = None
    # What the network was trained on, as `odl_equivariant.models` says it.
    card: Any = None

    @property
    def forward_operator(self) -> odl.Operator:
        """The operator :math:`A`, from images to data."""
        return self._layers.apply_operator.operator

    def _check_data(self, y):
        space = self.forward_operator.range
        expected = (n_channels(space), *grid_shape(space))
        if not isinstance(y, torch.Tensor):
            raise TypeError(
                f'expected data as a `torch.Tensor`, got {type(y).__name__}'
            )
        if tuple(y.shape[1:]) != expected:
            raise ValueError(
                f'expected data of shape (N, {str(expected)[1:]} for the '
                f'range {space!r} of the forward operator, got '
                f'{tuple(y.shape)}'
            )
        if y.dtype != tensor_dtype(space):
            raise TypeError(
                f'expected data of dtype {tensor_dtype(space)} for the range '
                f'{space!r} of the forward operator, got {y.dtype}'
            )

    def as_operator(
        self,
        precision: Precision | None = None,
        compile: bool = False,
        tile: Tile | None = None,
    ) -> NetworkOperator:
        """Return the reconstruction as an ODL operator from data to image.

        Parameters
        ----------
        precision, compile, tile
            As for `for_inference`. If one of them is given, the operator
            applies a faster copy of the network.

        Returns
        -------
        operator : `NetworkOperator`
            Operator from the range of the forward operator to its domain.
            Without arguments it follows later changes of the weights; a copy
            does not.

        Examples
        --------
        >>> from odl_equivariant.nn import (
        ...     LearnedProximalGradient,
        ...     OrdinaryProximal,
        ... )
        >>> space = odl.rn((8, 8), dtype='float32')
        >>> network = LearnedProximalGradient(
        ...     odl.IdentityOperator(space),
        ...     lambda: OrdinaryProximal(channels=4),
        ... )
        >>> live = network.as_operator()
        >>> quick = network.as_operator(precision='float32')
        >>> gap = live(space.one()) - quick(space.one())
        >>> float(gap.norm()) < 1e-4 * float(live(space.one()).norm())
        True
        """
        network = self
        if precision is not None or compile or tile is not None:
            network = for_inference(self, precision, compile, tile)
        return NetworkOperator(
            network, self.forward_operator.range, self.forward_operator.domain
        )
