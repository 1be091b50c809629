# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Residual blocks of declared fields."""

from __future__ import annotations

import torch

from odl_equivariant.nn.layers.base import Layer
from odl_equivariant.nn.layers.convolution import SteerableConvolution
from odl_equivariant.nn.layers.fields import Fields, checked_fields
from odl_equivariant.nn.layers.nonlinearities import (
    GatedNonlinearity,
    PointwiseNonlinearity,
)

__all__ = ('ResidualBlock',)


class ResidualBlock(Layer):
    r"""Fields plus a small network of them.

    Parameters
    ----------
    fields : Fields
        Fields of the input and of the output.
    nonlinearity : torch.nn.Module, optional
        Layer of this package between the two convolutions, of which it takes
        ``in_fields`` and returns ``out_fields``. Default:
        `PointwiseNonlinearity` if the group permutes all channels, else
        `GatedNonlinearity`.
    kernel_size, padding_mode, bias, basis
        As for `SteerableConvolution`.

    Raises
    ------
    TypeError
        If an argument has not its type, or the non-linearity does not say
        what fields it takes.
    ValueError
        As for `SteerableConvolution`.

    Notes
    -----
    With the kernels :math:`k_1` and :math:`k_2`, the second of which starts
    at zero, the block is

    .. math::
        u + k_2 * \psi(k_1 * u) .

    Under translations it is equivariant at all places that are
    ``2 * (kernel_size // 2)`` cells or more from the boundary, and with
    ``padding_mode='circular'`` everywhere.

    Examples
    --------
    >>> block = ResidualBlock(Fields('C4', regular=2), basis='grid')
    >>> u = torch.randn(1, 8, 5, 5)
    >>> torch.equal(block(u), u)
    True
    """

    def __init__(
        self,
        fields: Fields,
        nonlinearity: Layer | None = None,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        bias: bool = True,
        basis: str = 'escnn',
    ) -> None:
        super().__init__()
        self.in_fields = self.out_fields = checked_fields('fields', fields)
        if nonlinearity is None:
            if fields.permutes:
                nonlinearity = PointwiseNonlinearity(fields)
            else:
                nonlinearity = GatedNonlinearity(fields)
        if not isinstance(nonlinearity, Layer) or not (
            nonlinearity.in_fields and nonlinearity.out_fields
        ):
            raise TypeError(
                '`nonlinearity` must be a layer with fields, such as '
                f'NormNonlinearity(fields), got {nonlinearity!r:.80}'
            )
        self.first = SteerableConvolution(
            fields,
            nonlinearity.in_fields,
            kernel_size,
            padding_mode,
            bias,
            basis,
        )
        self.nonlinearity = nonlinearity
        self.second = SteerableConvolution(
            nonlinearity.out_fields,
            fields,
            kernel_size,
            padding_mode,
            bias,
            basis,
            gain=0,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, fields.channels, n, m)``.
        """
        self._check(x)
        return x + self.second(self.nonlinearity(self.first(x)))
