# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Operators whose errors explain what is wrong with an argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import odl
from odl.core.operator import OpDomainError, OpRangeError

from odl_equivariant._types import Element, ElementLike
from odl_equivariant.elements import (
    descend,
    describe_space,
    grid_shape,
    is_complex,
)

__all__ = ('CheckedComposition', 'CheckedOperator')

# of a list that an error describes
_MOST_PARTS = 4


def _described(x):
    """Describe an argument without its values."""
    name = type(x).__name__
    shape, dtype = (getattr(x, key, None) for key in ('shape', 'dtype'))
    if shape is None:
        is_sequence = isinstance(x, list | tuple) and 0 < len(x) <= _MOST_PARTS
        parts = ', '.join(map(_described, x)) if is_sequence else ''
        return 'None' if x is None else f'{name} of {parts}' if parts else name
    dtype = '' if dtype is None else f' and dtype {dtype}'
    graph = ''
    if getattr(x, 'requires_grad', False):
        graph = ', with a gradient: pass `x.detach()`, or take `OperatorLayer`'
    return f'{name} of shape {tuple(shape)}{dtype}{graph}'


class CheckedOperator(odl.Operator):
    """An operator whose errors explain what is wrong with an argument.

    ODL's own errors print all numbers. ODL takes None for an element whose
    values are whatever lies in memory, also as a part of one, and no array
    with the bytes in the order of another machine.
    """

    def __call__(
        self, x: ElementLike, out: Element | None = None, **kwargs: Any
    ) -> Element:
        """Return the value at ``x``, see `odl.Operator`."""
        x = self._element(x)
        if out is not None and out not in self.range:
            raise OpRangeError(
                f'`out` must be an element of the range, {_name(self.range)}, '
                f'which an array is not, got {_described(out)}'
            )
        return super().__call__(x, out, **kwargs)

    def _element(self, x):
        if x in self.domain:
            return x
        error = None
        if x is not None:
            try:
                return self.domain.element(_readable(x, self.domain))
            except (BufferError, TypeError, ValueError) as refused:
                error = refused
        raise OpDomainError(
            f'expected {_expected(self.domain)}, got {_described(x)}'
        ) from error


class CheckedComposition(CheckedOperator, odl.OperatorComp):
    """A composition of two operators that is itself checked.

    In a composition of ODL, an argument becomes an element before the first
    operator sees it.
    """

    @property
    def adjoint(self) -> CheckedComposition:
        """The composition of the adjoints, checked as well."""
        adjoint = super().adjoint
        return CheckedComposition(adjoint.left, adjoint.right)


def _has_grid(space):
    return isinstance(space, odl.core.set.space.LinearSpace) and not (
        isinstance(space, odl.Field)
    )


def _name(space):
    """Describe a space, or the numbers."""
    return describe_space(space) if _has_grid(space) else repr(space)


def _expected(space):
    """Describe what a space takes."""
    if not _has_grid(space):
        return f'an element of {describe_space(space)}'
    *products, _ = descend(space)
    shape = (*map(len, products), *grid_shape(space))
    numbers = 'complex' if is_complex(space) else 'real'
    return (
        f'an element of {_name(space)}, or an array of shape {shape} '
        f'of {numbers} numbers'
    )


def _readable(x, space):
    """Return an argument with its arrays as ODL can take them.

    Arrays from files may have the bytes in the order of another machine, and
    mirrored ones have steps backwards, which torch cannot take; nor does it
    take booleans for numbers.
    """
    if isinstance(space, odl.ProductSpace) and isinstance(x, (list, tuple)):
        if any(part is None for part in x):
            raise TypeError('None is no part of an element')
        parts = (space[min(i, len(space) - 1)] for i in range(len(x)))
        return [_readable(*pair) for pair in zip(x, parts, strict=True)]
    if not isinstance(x, np.ndarray):
        return x
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder('='))
    if x.dtype == bool:
        x = x.astype(np.uint8)
    return np.ascontiguousarray(x) if min(x.strides, default=0) < 0 else x
