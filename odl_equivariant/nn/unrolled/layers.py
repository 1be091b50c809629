# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The operators of an unrolled method as maps of batches."""

import collections
import math

import odl
import torch
from torch import nn

from odl_equivariant._checks import one_of
from odl_equivariant._locks import Lock
from odl_equivariant._types import Initial
from odl_equivariant.elements import describe_space, grid_shape, n_channels
from odl_equivariant.operators.batching.per_sample import (
    PerSampleOperator,
    per_sample_operator,
)
from odl_equivariant.operators.factors import (
    composed,
    factorised,
    is_isometric_action,
    split,
)
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.operators.operator_norm import norm_for_steps
from odl_equivariant.operators.ray.filtered_backprojection import (
    filtered_backprojection,
)
from odl_equivariant.operators.slicewise import SlicewiseOperator

__all__ = ('INITIALS', 'Layers', 'OperatorCache', 'per_sample')

# More than for the best image: the blocks remove noise, but cannot bring back
# the details that the start has lost.
FBP_CUTOFF = 0.7

INITIALS = ('zero', 'adjoint', 'fbp')

# Number of operators to keep, besides the network's own.
_MOST_OPERATORS = 32


def _squared_norm(operator):
    """Return ``||A||^2``, or that of the operator of each sample."""
    if isinstance(operator, PerSampleOperator):
        return _of_samples([_squared_norm(own) for own in operator.operators])
    squared_norm = norm_for_steps(operator) ** 2
    if squared_norm == 0 or not math.isfinite(squared_norm):
        raise ValueError(
            'the forward operator must be non-zero and finite, got the '
            f'squared norm {squared_norm}'
        )
    return squared_norm


def _of_samples(numbers):
    """Return a tensor of shape ``(N,)``, or a float if all are equal."""
    if len(set(numbers)) == 1:
        return numbers[0]
    return torch.tensor(numbers, dtype=torch.float64)


def _start(operator):
    """Return the filtered back-projection of a ray transform.

    The operator may also be ``c S A T``, with a ray transform ``A`` and
    actions ``S`` and ``T`` that keep lengths. If ``B`` is the filtered
    back-projection of ``A``, the result is ``T^-1 B S^-1 / c``.
    """
    scalar, factors = factorised(operator)
    moves = split(factors, is_isometric_action, is_isometric_action)
    if scalar == 0 or not moves[1]:
        scalar, moves = 1.0, ([], [operator], [])
    left, middle, right = moves
    start = _backprojection(composed(middle))
    for action in reversed(left):
        start = start @ action.inverse
    for action in right:
        start = action.inverse @ start
    return start if scalar == 1 else (1 / scalar) * start


def _backprojection(transform):
    """Return the filtered back-projection, of slices if it is of slices."""
    if isinstance(transform, SlicewiseOperator):
        return transform.with_operator(_backprojection(transform.operator))
    return filtered_backprojection(transform, frequency_scaling=FBP_CUTOFF)


def per_sample(
    numbers: float | torch.Tensor, y: torch.Tensor
) -> float | torch.Tensor:
    """Return the divisor of a batch: a number, or one for each sample.

    Parameters
    ----------
    numbers : float or torch.Tensor
        Number, or tensor of shape ``(N,)``.
    y : torch.Tensor
        Batch. The result has its precision, device and number of axes.

    Returns
    -------
    numbers : float or torch.Tensor
        Number, or tensor of shape ``(N, 1, ..., 1)``.
    """
    if not torch.is_tensor(numbers):
        return numbers
    return numbers.to(y).reshape(-1, *(y.ndim - 1) * [1])


class Layers(nn.Module):
    """The operators of an unrolled method as layers.

    They have no weights, and move to a device with the network. With a
    `PerSampleOperator`, each sample of a batch has its own operator.
    """

    def __init__(
        self, forward_operator: odl.Operator, initial: Initial
    ) -> None:
        super().__init__()
        if (
            isinstance(forward_operator, odl.Operator)
            and not forward_operator.is_linear
        ):
            raise TypeError(
                f'expected a linear operator, got {forward_operator!r}'
            )
        self.apply_operator = OperatorLayer(forward_operator)
        self.apply_adjoint = self.apply_operator.adjoint
        space = forward_operator.domain
        self.squared_norm = _squared_norm(forward_operator)
        self._image_shape = (n_channels(space), *grid_shape(space))
        if isinstance(initial, odl.Operator):
            if (
                initial.domain != forward_operator.range
                or initial.range != space
            ):
                raise ValueError(
                    '`initial` must map from the range of the forward '
                    f'operator, {describe_space(forward_operator.range)}, '
                    f'to its domain, {describe_space(space)}; got an operator '
                    f'from {describe_space(initial.domain)} to '
                    f'{describe_space(initial.range)}'
                )
            self.kind = 'operator'
            self.apply_initial = OperatorLayer(initial)
            return
        one_of('`initial`, unless an `odl.Operator`,', initial, INITIALS)
        self.kind = initial
        if initial == 'fbp':
            self.apply_initial = OperatorLayer(_start(forward_operator))

    def initial(self, y: torch.Tensor) -> torch.Tensor:
        """Return the images at which the iteration starts."""
        if self.kind == 'zero':
            return y.new_zeros(y.shape[0], *self._image_shape)
        if self.kind == 'adjoint':
            return self.apply_adjoint(y) / per_sample(self.squared_norm, y)
        return self.apply_initial(y)

    def gradient(self, u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the data fit."""
        return self.apply_adjoint(self.apply_operator(u) - y)

    def initial_elsewhere(self) -> str:
        """Return the ``initial`` of this network for another operator."""
        if self.kind == 'operator':
            raise ValueError(
                'the network starts at a reconstruction that was given as '
                '`initial`, and that may not fit another forward operator: '
                'pass both, `network.with_operator(forward_operator, initial)`'
            )
        return self.kind


class _PerSampleLayers:
    """The operators of a batch in which each sample has its own.

    Parameters
    ----------
    layers : list of Layers
        One for each sample. Samples with the same one are computed together.
    """

    def __init__(self, layers):
        self._places = {}
        for i, own in enumerate(layers):
            self._places.setdefault(own, []).append(i)
        order = [i for places in self._places.values() for i in places]
        # `argsort` of a permutation is its inverse
        self._order = torch.tensor(order).argsort()
        self._norms = [own.squared_norm for own in layers]

    @property
    def squared_norm(self) -> float | torch.Tensor:
        """Tensor of shape ``(N,)``, or a float if all are equal."""
        return _of_samples(self._norms)

    def _for_each(self, method, *tensors):
        parts = [
            method(own, *(tensor[places] for tensor in tensors))
            for own, places in self._places.items()
        ]
        return torch.cat(parts)[self._order.to(parts[0].device)]

    def initial(self, y: torch.Tensor) -> torch.Tensor:
        """Return the images at which the iteration starts."""
        return self._for_each(Layers.initial, y)

    def gradient(self, u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the data fit."""
        return self._for_each(Layers.gradient, u, y)

    def apply_operator(self, u: torch.Tensor) -> torch.Tensor:
        """Return the data of the images."""
        return self._for_each(lambda own, u: own.apply_operator(u), u)

    def apply_adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return the adjoint of the data."""
        return self._for_each(lambda own, y: own.apply_adjoint(y), y)


class OperatorCache:
    """The layers of a network's operator, and of others used recently.

    Parameters
    ----------
    layers : Layers
        Layers of the network's own operator.
    """

    def __init__(self, layers):
        self._own = layers
        self._others = collections.OrderedDict()
        self._lock = Lock()

    def __len__(self):
        return len(self._others)

    def __reduce__(self):
        """Pickle the layers of the network's own operator only."""
        return type(self), (self._own,)

    def layers_for(self, forward_operator, n_samples, device):
        """Return the layers of an operator, or of one for each sample.

        Parameters
        ----------
        forward_operator : `odl.Operator`, sequence of them, or None
            Operator, or operators, between the spaces of the network's own
            operator. None is this one.
        n_samples : int
            Number of samples in the batch.
        device : torch.device
            Where the batch is.

        Raises
        ------
        TypeError
            If it is none of these.
        ValueError
            If the number of operators is not that of samples, or their spaces
            are not those of the network's own operator.
        """
        if forward_operator is None:
            return self._own
        if isinstance(forward_operator, odl.Operator):
            return self._layers_of(forward_operator, device)
        operators = list(forward_operator)
        if len(operators) != n_samples:
            raise ValueError(
                f'expected one operator for each of {n_samples} samples, got '
                f'{len(operators)}'
            )
        for operator in operators:
            self._check(operator)
        # for an empty batch, any operator will do
        first = operators[0] if operators else None
        if all(operator is first for operator in operators):
            return self.layers_for(first, n_samples, device)
        # only these two starts need nothing but the adjoint
        if self._own.kind in ('zero', 'adjoint'):
            at_once = per_sample_operator(operators)
            if at_once is not None:
                # not kept: random masks do not come again
                return Layers(at_once, self._own.kind).to(device)
        layers = [self._layers_of(own, device) for own in operators]
        return _PerSampleLayers(layers)

    def _check(self, operator):
        own = self._own.apply_operator.operator
        if not isinstance(operator, odl.Operator):
            raise TypeError(
                'expected an `odl.Operator` as `forward_operator`, or one for '
                f'each sample, got {type(operator).__name__}'
            )
        if operator.domain != own.domain or operator.range != own.range:
            raise ValueError(
                'the operators of a batch must map between the spaces of the '
                f"network's own, {describe_space(own.domain)} and "
                f'{describe_space(own.range)}, got an '
                f'operator from {describe_space(operator.domain)} to '
                f'{describe_space(operator.range)}; '
                'for other spaces, take '
                '`network.with_operator(forward_operator)`'
            )

    def _layers_of(self, operator, device):
        """Return the layers of an operator, and keep them."""
        if operator is self._own.apply_operator.operator:
            return self._own
        self._check(operator)
        key = id(operator)
        with self._lock:
            known = self._others.get(key)
        if known is None:
            layers = Layers(operator, self._own.initial_elsewhere())
            # with the operator, so that its id is not given to another one
            known = (operator, layers)
        with self._lock:
            # another thread may have been quicker
            known = self._others.setdefault(key, known)
            self._others.move_to_end(key)
            if len(self._others) > _MOST_OPERATORS:
                self._others.popitem(last=False)
        return known[1].to(device)
