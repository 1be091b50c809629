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

import odl
from odl.core.operator import OpDomainError, OpRangeError

from odl_equivariant._types import Element, ElementLike
from odl_equivariant.elements import descend, grid_shape

__all__ = ('CheckedOperator',)


def _described(x):
    """Describe an argument without its values."""
    name = type(x).__name__
    shape, dtype = (getattr(x, key, None) for key in ('shape', 'dtype'))
    if shape is None:
        return 'None' if x is None else name
    dtype = '' if dtype is None else f' and dtype {dtype}'
    return f'{name} of shape {tuple(shape)}{dtype}'


class CheckedOperator(odl.Operator):
    """An operator whose errors explain what is wrong with an argument.

    ODL's own errors print all numbers, and ODL accepts None as an argument.
    """

    def __call__(
        self, x: ElementLike, out: Element | None = None, **kwargs: Any
    ) -> Element:
        """Return the value at ``x``, see `odl.Operator`."""
        x = self._element(x)
        if out is not None and out not in self.range:
            raise OpRangeError(
                f'`out` must be an element of the range {self.range!r}, got '
                f'{_described(out)}'
            )
        return super().__call__(x, out, **kwargs)

    def _element(self, x):
        if x in self.domain:
            return x
        error = None
        if x is not None:
            try:
                return self.domain.element(x)
            except (BufferError, TypeError, ValueError) as refused:
                error = refused
        *products, _ = descend(self.domain)
        shape = (*map(len, products), *grid_shape(self.domain))
        raise OpDomainError(
            f'expected an element of {self.domain!r}, or an array of shape '
            f'{shape}, got {_described(x)}'
        ) from error
