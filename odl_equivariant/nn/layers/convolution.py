# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The convolution between declared fields."""

from __future__ import annotations

import torch

from odl_equivariant._checks import (
    boolean,
    one_of,
    real_number,
    whole_number,
)
from odl_equivariant.nn._convolution import convolve
from odl_equivariant.nn.layers.base import Layer
from odl_equivariant.nn.layers.fields import (
    Fields,
    check_one_group,
    checked_fields,
)
from odl_equivariant.nn.steerable.layout import check_basis_size
from odl_equivariant.nn.steerable.mixed import MixedConvolution

__all__ = ('PADDING_MODES', 'SteerableConvolution')

PADDING_MODES = ('replicate', 'zeros', 'reflect', 'circular')


class SteerableConvolution(MixedConvolution, Layer):
    r"""Equivariant convolution between declared fields.

    Parameters
    ----------
    in_fields, out_fields : Fields
        Fields of the input and of the output, of one group.
    kernel_size : int, optional
        Odd side of the kernel in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How the image goes on past its boundary.
    bias : bool, optional
        Whether there is a bias, where the output has what the group does not
        change: one number for each trivial, regular and band-limited field.
    basis : {'escnn', 'grid', 'mixed', 'fourier'}, optional
        Which kernels there are: escnn's, which are smooth, sampled and
        limited in their bands; all that are equivariant on the grid, for the
        groups C1, C2, C4, D1, D2 and D4, whose elements map pixels to pixels;
        all of these, as escnn's, with which the layer starts, and the others,
        which start at zero; or turned Fourier series, for finite groups, to
        or from regular fields. ``'grid'`` and ``'fourier'`` need no escnn.
    gain : float, optional
        Standard deviation of the output for an input of unit variance at the
        start; 0 starts at zero.

    Raises
    ------
    TypeError
        If an argument has not its type.
    ValueError
        If the fields are of two groups, the basis is not for this group or
        has no kernel that leads to one of the output fields, or another
        argument is out of its range.

    Notes
    -----
    The kernel has the blocks :math:`\sum_n w_n b_n`, one for each pair of an
    input and an output field, with the basis :math:`b_n` of the kernels with

    .. math::
        b(R x) = \rho_\text{out}(R)\, b(x)\, \rho_\text{in}(R)^{-1}

    for each element R of the group that maps pixels to pixels. So the layer
    commutes with `Fields.transform` up to rounding. The parameters are the
    coefficients w and the bias.

    Under translations by whole cells it is equivariant at all places that
    are ``kernel_size // 2`` cells or more from the boundary, and with
    ``padding_mode='circular'`` everywhere.

    Examples
    --------
    >>> image, hidden = Fields('C4', trivial=1), Fields('C4', regular=2)
    >>> layer = SteerableConvolution(image, hidden, basis='grid').double()
    >>> u = torch.randn(1, 1, 6, 7).double()
    >>> turn = (1 / 4, False)
    >>> torch.allclose(
    ...     layer(image.transform(u, turn)), hidden.transform(layer(u), turn)
    ... )
    True
    """

    in_fields: Fields
    out_fields: Fields

    def __init__(
        self,
        in_fields: Fields,
        out_fields: Fields,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        bias: bool = True,
        basis: str = 'escnn',
        gain: float = 1.0,
    ) -> None:
        in_fields = checked_fields('in_fields', in_fields)
        out_fields = checked_fields('out_fields', out_fields)
        check_one_group(in_fields, out_fields)
        kernel_size = whole_number('kernel_size', kernel_size, 1)
        if kernel_size % 2 == 0:
            raise ValueError(
                '`kernel_size` must be odd, for the output to lie on the '
                f'grid of the input, got {kernel_size}'
            )
        check_basis_size(
            max(
                size for f in (in_fields, out_fields) for *_, size in f.blocks
            ),
            kernel_size,
            f'between such fields of {in_fields.group}',
            'field',
        )
        super().__init__(
            in_fields.parts,
            out_fields.parts,
            in_fields.group,
            kernel_size,
            one_of('padding_mode', padding_mode, PADDING_MODES),
            real_number('gain', gain, 0),
            basis=basis,
            bias=boolean('bias', bias),
        )
        self.in_fields, self.out_fields = in_fields, out_fields
        self.kernel_size = kernel_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve fields.

        Parameters
        ----------
        x : torch.Tensor
            Fields of shape ``(N, in_fields.channels, n, m)``.

        Returns
        -------
        y : torch.Tensor
            Fields of shape ``(N, out_fields.channels, n, m)``.
        """
        self._check(x)
        return convolve(x, *self.kernel(), self.padding_mode)
