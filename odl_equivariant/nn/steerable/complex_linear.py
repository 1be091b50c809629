# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Convolutions of complex fields with complex kernels."""

import math

import torch
from torch import nn

from odl_equivariant.nn._convolution import convolve

__all__ = ('ComplexLinearConvolution',)


class ComplexLinearConvolution(nn.Module):
    r"""A convolution that commutes with multiplication by complex numbers.

    Parameters
    ----------
    make : callable
        Makes a real convolution of a given gain, without a bias and with a
        ``kernel()``. It is called twice, and if what it makes commutes with
        an action of a group, so does this convolution.
    gain : float, optional
        Standard deviation of the output for an input of unit variance at
        the start; 0 starts the weights at zero.
    parts_first : tuple of bool, optional
        Whether in the input, and in the output, all real parts come before
        all imaginary ones. Default: they take turns, as in
        `odl_equivariant.elements`.

    Notes
    -----
    With the real kernels a and b, a complex field z is convolved with
    :math:`a + i b`. In its real and imaginary parts this is one ordinary
    convolution, which needs no complex arithmetic:

    .. math::
        \begin{pmatrix} \operatorname{Re} \\ \operatorname{Im} \end{pmatrix}
        \big( (a + i b) * z \big) =
        \begin{pmatrix} a & -b \\ b & a \end{pmatrix} *
        \begin{pmatrix} \operatorname{Re} z \\ \operatorname{Im} z
        \end{pmatrix} .

    These are all the kernels that commute with :math:`e^{i \varphi}`. There is
    no bias: no number but zero stays where it is under all phases.
    """

    def __init__(self, make, gain=1.0, parts_first=(False, False)):
        super().__init__()
        self._parts_first = parts_first
        # the variances of the two add up
        self.real, self.imaginary = (make(gain / math.sqrt(2)) for _ in 'ab')
        self.padding_mode = self.real.padding_mode

    @property
    def weight(self):
        """Coefficients of the real part, of whose precision all are."""
        return self.real.weight

    def kernel(self):
        """Return the convolution kernel and bias, as `torch.nn.Conv2d` has."""
        a, bias = self.real.kernel()
        b, _ = self.imaginary.kernel()
        columns_first, rows_first = self._parts_first
        columns, rows = 1 if columns_first else 2, 0 if rows_first else 1
        kernel = torch.stack(
            [torch.stack([a, -b], columns), torch.stack([b, a], columns)], rows
        )
        kernel = kernel.flatten(2, 3).flatten(0, 1)
        return kernel, bias.repeat_interleave(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in channels, n, m)`` to ``(N, out channels, n, m)``."""
        return convolve(x, *self.kernel(), self.padding_mode)
