# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batches in which each sample has an operator of its own."""

from odl.core.operator import operator as odl_operator

from odl_equivariant._checked_operator import (
    CheckedComposition,
    CheckedOperator,
)
from odl_equivariant.operators.batching.registry import (
    linear_maps,
    register_batched,
)

__all__ = ('PerSampleOperator', 'per_sample_operator', 'register_per_sample')

_REGISTRY = {}


def register_per_sample(operator_type):
    """Return a decorator that tells how to apply many operators at once.

    Parameters
    ----------
    operator_type : type
        Class of linear operators. Classes derived from it do not count, since
        they may compute something else.

    Returns
    -------
    decorator : callable
        Decorator of a function that is given a list of N operators of this
        type with equal domains. It returns a pair ``(apply, transpose)`` as
        `register_batched` has it, but of tensors with one more axis in front,
        ``(B, N, P, *shape)``, where the second axis counts the operators; or
        ``None`` if it cannot apply these operators at once.
    """

    def decorate(function):
        _REGISTRY[operator_type] = function
        return function

    return decorate


class PerSampleOperator(CheckedOperator):
    """Operators between the same spaces, one for each sample of a batch.

    It maps batches of as many samples as there are operators, or of a
    multiple of that. It does not map elements, as it is not one operator.

    Parameters
    ----------
    operators : sequence of odl.Operator
        One operator for each sample.
    maps : tuple of callable
        The map of a batch and its transpose, see `register_batched`.
    """

    def __init__(self, operators, maps):
        self.operators = tuple(operators)
        self.maps = maps
        first = self.operators[0]
        super().__init__(first.domain, first.range, linear=True)

    def _call(self, x):
        raise TypeError(
            'operators of the samples of a batch map batches only: take one '
            'of `operators`'
        )

    def __reduce__(self):
        """Pickle the operators only."""
        return per_sample_operator, (self.operators,)


@register_batched(PerSampleOperator)
def _batched(operator):
    return operator.maps


def per_sample_operator(operators):
    """Return operators of the samples of a batch as one map of the batch.

    Parameters
    ----------
    operators : sequence of odl.Operator
        At least one operator, one for each sample, between equal spaces.

    Returns
    -------
    operator : PerSampleOperator or None
        ``None`` if the operators cannot be applied at once: they must be of
        one type that is registered with `register_per_sample`, or
        compositions of such operators and of linear ones that are the same
        for all samples.
    """
    if not all(operator.is_linear for operator in operators):
        return None
    maps = _maps(operators)
    return None if maps is None else PerSampleOperator(operators, maps)


def _maps(operators):
    first = operators[0]
    if all(operator is first for operator in operators):
        return linear_maps(first)
    if any(
        type(operator) is not type(first) or operator.domain != first.domain
        for operator in operators
    ):
        return None
    if type(first) in (CheckedComposition, odl_operator.OperatorComp):
        return _composition(operators)
    function = _REGISTRY.get(type(first))
    maps = None if function is None else function(operators)
    if maps is None:
        return None
    return tuple(_by_samples(function, len(operators)) for function in maps)


def _composition(operators):
    right = _maps([operator.right for operator in operators])
    left = None
    if right is not None:
        left = _maps([operator.left for operator in operators])
    if left is None:
        return None
    return (
        lambda x: left[0](right[0](x)),
        lambda y: right[1](left[1](y)),
    )


def _by_samples(function, n_samples):
    # `torch.func.vmap` puts several batches into one
    return lambda x: function(x.unflatten(0, (-1, n_samples))).flatten(0, 1)
