# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A registry of batched maps, by the type of the operator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import odl

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._types import Operator, TensorMap
from odl_equivariant.operators.batching.autograd import LinearMap
from odl_equivariant.operators.batching.layout import Weights, layouts
from odl_equivariant.operators.batching.loop import linear_loop, nonlinear_loop

__all__ = ('register_batched', 'batched_map', 'AdjointOperator')

_Function = TypeVar('_Function', bound=Callable[..., Any])

_REGISTRY: dict[type[Operator], Callable[..., Any]] = {}
_COMPOSED = tuple(
    getattr(odl.core.operator.operator, f'Operator{kind}')
    for kind in (
        'Comp',
        'Sum',
        'LeftScalarMult',
        'RightScalarMult',
        'LeftVectorMult',
        'RightVectorMult',
    )
)


def register_batched(
    *operator_types: type[Operator],
) -> Callable[[_Function], _Function]:
    r"""Return a decorator that registers the batched map of an operator.

    Parameters
    ----------
    *operator_types : type
        Classes of operators. Derived classes are not registered, since they
        may compute something else.

    Returns
    -------
    decorator : callable
        Decorator of a function that takes an operator of one of the types.
        For a linear operator the function returns a pair
        ``(apply, transpose)``. For a non-linear one it returns a callable or
        a `torch.nn.Module` of differentiable torch functions. If it returns
        ``None``, the operator is applied to one sample at a time.

    Raises
    ------
    TypeError
        If one of the types is no class of operators.

    Notes
    -----
    All these map tensors in the complex layout of
    `odl_equivariant.elements`: ``(N, P, *domain.shape)`` to ``(N, P',
    *range.shape)``, with one channel for each part of a product space, of a
    complex dtype if the space is complex. ``transpose`` is the conjugate
    transpose :math:`A^H` with regard to the Euclidean inner product of
    tensors, without the weights of the spaces (for real spaces
    :math:`A^T`; from real to complex, its real part). It must return new
    memory, on the device of its argument.

    Examples
    --------
    >>> class Double(odl.Operator):
    ...     def __init__(self, space):
    ...         super().__init__(space, space, linear=True)
    ...
    ...     def _call(self, x):
    ...         return 2 * x
    ...
    ...     @property
    ...     def adjoint(self):
    ...         return self
    >>> @register_batched(Double)
    ... def double(operator):
    ...     return lambda x: 2 * x, lambda y: 2 * y
    """
    for operator_type in operator_types:
        if not (
            isinstance(operator_type, type)
            and issubclass(operator_type, odl.Operator)
        ):
            raise TypeError(
                'expected classes derived from `odl.Operator`, got '
                f'{operator_type!r}'
            )

    def decorate(function):
        for operator_type in operator_types:
            _REGISTRY[operator_type] = function
        return function

    return decorate


def is_registered(operator):
    """Return whether there is a function for operators of this type."""
    return type(operator) in _REGISTRY


def _registered(operator):
    function = _REGISTRY.get(type(operator))
    return None if function is None else function(operator)


def _linear_maps(operator):
    """Return the maps of a linear operator without registered ones."""
    adjoint = operator.adjoint
    # The other way round: the back-projection of ODL has no type to register.
    # Not so for compositions, which would lead back here, as for the gradient
    # and its adjoint. Nor for a class derived from a registered one: it may
    # compute something else, and ODL's Fourier transforms have no adjoints.
    if not isinstance(operator, tuple(_REGISTRY)) and not isinstance(
        adjoint, _COMPOSED
    ):
        maps = _registered(adjoint)
        if maps is not None:
            return _weighted_adjoint(adjoint, *maps)
    return linear_loop(operator)


def linear_maps(operator):
    """Return a linear operator and its transpose as maps of batches.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator.

    Returns
    -------
    apply, transpose : callable
        See `register_batched`.

    Raises
    ------
    TypeError
        If the operator is not linear.
    """
    linear = batched_map(operator)
    if not isinstance(linear, LinearMap):
        raise TypeError(f'expected a linear operator, got {operator!r}')
    return linear.apply, linear.transpose


def _weighted_adjoint(operator, apply, transpose):
    w_domain, w_range = map(Weights, layouts(operator))
    if w_domain.number is not None and w_range.number is not None:
        ratio = w_range.number / w_domain.number
        if ratio == 1:
            return transpose, apply
        return lambda y: transpose(y) * ratio, lambda x: apply(x) * ratio

    def apply_adjoint(y):
        return w_domain.divide(transpose(w_range.times(y)))

    def transpose_adjoint(x):
        return w_range.times(apply(w_domain.divide(x)))

    return apply_adjoint, transpose_adjoint


def batched_map(operator):
    """Return an operator as a differentiable map of batches.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator, linear or not.

    Returns
    -------
    batched_map : callable or torch.nn.Module
        Map of tensors in the complex layout, see `register_batched`.
    """
    batched = _registered(operator)
    if batched is None:
        if not operator.is_linear:
            return nonlinear_loop(operator, linear_maps)
        batched = _linear_maps(operator)
    if isinstance(batched, tuple) and len(batched) == 2:
        return LinearMap(*batched)
    if not callable(batched):
        raise TypeError(
            f'what is registered for `{type(operator).__name__}` must return '
            f'a pair of callables, a callable or None, got {batched!r}'
        )
    return batched


class AdjointOperator(CheckedOperator):
    r"""The adjoint of an operator, from its transpose as a batched map.

    Parameters
    ----------
    operator : `odl.Operator`
        Linear operator of a registered type.
    maps : tuple of callable, optional
        Its map of batches and the transpose, where they were made already.

    Notes
    -----
    This is :math:`A^* = w_X^{-1} A^H w_Y` with the weights of the inner
    products, also where ``operator.adjoint`` is something else, like the
    inverse for ODL's Fourier transforms.
    """

    def __init__(
        self,
        operator: Operator,
        maps: tuple[TensorMap, TensorMap] | None = None,
    ) -> None:
        self.operator = operator
        self._operator_maps = maps
        super().__init__(operator.range, operator.domain, linear=True)

    @functools.cached_property
    def maps(self) -> tuple[TensorMap, TensorMap]:
        """The adjoint and its transpose as maps of batches."""
        maps = self._operator_maps or linear_maps(self.operator)
        return _weighted_adjoint(self.operator, *maps)

    def _call(self, y):
        domain, range = layouts(self)
        return range.element(self.maps[0](domain.tensor(y)[None])[0])

    @property
    def adjoint(self) -> Operator:
        """The operator itself."""
        return self.operator

    def __reduce__(self):
        """Pickle without the maps, which are made anew."""
        return type(self), (self.operator,)


@register_batched(AdjointOperator)
def _adjoint_maps(operator):
    return operator.maps
