# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What all equivariant layers have in common."""

from __future__ import annotations

import torch
from torch import nn

from odl_equivariant.nn.layers.fields import Fields
from odl_equivariant.nn.steerable.plain import plain_copy

__all__ = ('Layer',)


class Layer(nn.Module):
    """Base class of the equivariant layers.

    Attributes
    ----------
    in_fields, out_fields : Fields or None
        What the layer takes and returns; None if it takes any fields, and
        returns fields of the same kind.
    """

    in_fields: Fields | None = None
    out_fields: Fields | None = None

    def __init__(self) -> None:
        super().__init__()

    def to_convolutional(self) -> nn.Module:
        """Return the same layer with plain convolutions.

        Returns
        -------
        layer : torch.nn.Module
            Copy in evaluation mode, of the same output up to rounding, as
            `odl_equivariant.nn.to_convolutional` makes it.
        """
        return plain_copy(self).eval()

    def extra_repr(self) -> str:
        """Return the fields, for ``repr``."""
        if self.in_fields is None:
            return ''
        if self.in_fields == self.out_fields:
            return repr(self.in_fields)
        return f'{self.in_fields!r}, {self.out_fields!r}'

    def _check(self, x: torch.Tensor) -> None:
        if self.in_fields is not None:
            self.in_fields.check(x)
