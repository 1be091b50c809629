# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What all unrolled methods have in common."""

from collections.abc import Callable
from typing import Any

import odl
import torch
from torch import nn

from odl_equivariant._checks import boolean
from odl_equivariant._types import Initial
from odl_equivariant.elements import (
    describe_space,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.nn.blocks.network import is_transformed
from odl_equivariant.nn.inference import Precision, Tile, for_inference
from odl_equivariant.nn.unrolled.layers import Layers, OperatorCache
from odl_equivariant.operators.network import NetworkOperator

__all__ = ('UnrolledMethod', 'made_blocks', 'maker_of')


class UnrolledMethod(nn.Module):
    """Base class of networks from data to images that use the operator.

    `LearnedProximalGradient`, `LearnedPrimalDual` and
    `LearnedHalfQuadraticSplitting` are derived from it.

    Attributes
    ----------
    blocks : torch.nn.ModuleList
        The block of each iteration, or the one of all.
    n_iterations : int
        Number of iterations.
    """

    blocks: nn.ModuleList
    n_iterations: int

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

    @property
    def architecture(self) -> dict[str, Any]:
        """All that the network can be rebuilt from, except its operators."""
        raise NotImplementedError

    @property
    def checkpointing(self) -> bool:
        """Whether training keeps the results of one iteration at a time.

        Within a transform of `torch.func` it keeps all.
        """
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, value: bool) -> None:
        self._checkpointing = boolean('checkpointing', value)

    def block(self, iteration: int) -> nn.Module:
        """Return the block of an iteration, counted from 0.

        Parameters
        ----------
        iteration : int
            Number of the iteration.
        """
        return self.blocks[iteration % len(self.blocks)]

    def with_operator(
        self,
        forward_operator: odl.Operator,
        initial: Initial | None = None,
    ) -> 'UnrolledMethod':
        """Return the network with the same weights for another operator.

        Parameters
        ----------
        forward_operator : `odl.Operator`
            Linear operator.
        initial : {'zero', 'adjoint', 'fbp'} or `odl.Operator`, optional
            Where the iteration starts. Default: as this network does.
        """
        raise NotImplementedError

    def _computes_again(self):
        """Return whether iterations are computed again for the gradient."""
        # not after a transform of `torch.func` has ended, whose tangents
        # would be missing
        return (
            self.checkpointing
            and torch.is_grad_enabled()
            and not is_transformed()
        )

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
                f'range {describe_space(space)} of the forward operator, got '
                f'{tuple(y.shape)}'
            )
        if y.dtype != tensor_dtype(space):
            raise TypeError(
                f'expected data of dtype {tensor_dtype(space)} for the range '
                f'{describe_space(space)} '
                f'of the forward operator, got {y.dtype}'
            )

    def _check_precision(self, forward_operator):
        """Raise a TypeError if an operator computes in another precision."""
        expected = tensor_dtype(forward_operator.domain)
        # blocks may have weights in another precision, and convert images
        for weight in self.parameters():
            if weight.dtype != expected:
                raise TypeError(
                    f'the weights are in {weight.dtype}, and the operator on '
                    f'{describe_space(forward_operator.domain)} '
                    f'computes in {expected}'
                )
            break

    def _continued(self, network):
        """Return a network of the same weights, as this one is otherwise."""
        for weight in self.parameters():
            network._layers.to(weight.device)
            break
        network.training = self.training
        network.value_range = self.value_range
        network.card = self.card
        for hook in self._forward_hooks.values():
            if getattr(hook, 'is_handed_on', False):
                network.register_forward_hook(hook, with_kwargs=True)
        return network

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


def made_blocks(
    name: str, maker: Callable[[], nn.Module] | nn.Module, n: int
) -> list[nn.Module]:
    """Return the different blocks of n iterations.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    maker : callable or torch.nn.Module
        Makes the block of an iteration, or is that of all iterations.
    n : int
        Number of iterations.

    Raises
    ------
    TypeError
        If ``maker`` is not callable.
    """
    if not callable(maker):
        raise TypeError(
            f'`{name}` must be a module, or a callable that makes one, got '
            f'{type(maker).__name__}'
        )
    if isinstance(maker, nn.Module):
        return [maker]
    return [maker() for _ in range(n)]


def maker_of(
    blocks: nn.ModuleList | list[nn.Module],
) -> Callable[[], nn.Module] | nn.Module:
    """Return what makes a network of the same blocks."""
    return blocks[0] if len(blocks) == 1 else iter(blocks).__next__
