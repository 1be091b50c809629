# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Steerable convolutions between fields of several kinds."""

import math

import torch
from torch import nn

from odl_equivariant.nn._convolution import convolve
from odl_equivariant.nn.steerable.orbits import (
    are_connected,
    checked_kind,
    steerable_convolution,
)
from odl_equivariant.nn.steerable.space import size_of_field

__all__ = ('MixedConvolution',)


class MixedConvolution(nn.Module):
    r"""An equivariant convolution between fields of several kinds.

    Parameters
    ----------
    sources, targets : sequence of tuple
        Representations of the input and of the output, each with the number
        of its fields, such as ``[('standard', 1), ('trivial', 5)]``.
    group : str
        ``'C<N>'``, ``'D<N>'``, ``'SO2'`` or ``'O2'``, or of the space, as
        `space.group_in_space` names it.
    kernel_size : int, optional
        Odd side of the kernel in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How the image goes on past its boundary.
    gain : float, optional
        Standard deviation of the output for an input of unit variance at
        the start; 0 starts weights and bias at zero.
    source_order, target_order : sequence of int, optional
        For each channel its place if the fields lay one after the other,
        in the order of ``sources`` and ``targets``. Default: so they lie.
    basis : {'escnn', 'grid', 'mixed', 'fourier'}, optional
        As for `SteerableConvolution`.
    bias : bool, optional
        As for `SteerableConvolution`.

    Raises
    ------
    ValueError
        If there is no kernel from any source to one of the targets.

    Notes
    -----
    Each pair of a source and a target has a `SteerableConvolution`. Only its
    kernels are used, as the blocks of one larger kernel. A block is zero
    where the basis has no kernel.
    """

    def __init__(
        self,
        sources,
        targets,
        group,
        kernel_size=3,
        padding_mode='replicate',
        gain=1.0,
        source_order=None,
        target_order=None,
        basis='escnn',
        bias=True,
    ):
        super().__init__()
        self.padding_mode = padding_mode
        self._n_sources = len(sources)
        self._source_order = _checked_order(sources, group, source_order)
        self._target_order = _checked_order(targets, group, target_order)
        kind = checked_kind(basis, group)
        self.blocks = nn.ModuleList()
        for target, n_out in targets:
            connected = [
                (source, n_in)
                for source, n_in in sources
                if are_connected(group, source, target, kernel_size, kind)
            ]
            if not connected:
                raise ValueError(
                    f'the {kind} basis has no {kernel_size} x {kernel_size} '
                    f'kernels from {" or ".join(name for name, _ in sources)} '
                    f'to {target} fields of {group}: take a larger '
                    'kernel_size or other fields'
                )
            n_inputs = _n_channels(connected, group)
            self.blocks.extend(
                steerable_convolution(
                    n_in,
                    n_out,
                    source,
                    target,
                    group,
                    kernel_size,
                    padding_mode,
                    gain
                    * math.sqrt(
                        n_in * size_of_field(group, source) / n_inputs
                    ),
                    bias=bias and i == 0,
                    basis=kind,
                    may_be_zero=True,
                )
                for i, (source, n_in) in enumerate(sources)
            )

    @property
    def weight(self):
        """Coefficients of the first block, of whose precision all are."""
        return self.blocks[0].weight

    def kernel(self):
        """Return the convolution kernel and bias, as `torch.nn.Conv2d` has."""
        rows, biases = [], []
        for i in range(0, len(self.blocks), self._n_sources):
            row = self.blocks[i : i + self._n_sources]
            parts = [block.kernel() for block in row]
            rows.append(torch.cat([kernel for kernel, _ in parts], 1))
            biases.append(parts[0][1])
        kernel, bias = torch.cat(rows), torch.cat(biases)
        if self._source_order is not None:
            kernel = kernel[:, self._source_order]
        if self._target_order is not None:
            kernel = kernel[self._target_order]
            bias = bias[self._target_order]
        return kernel, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in channels, ...)`` to ``(N, out channels, ...)``."""
        return convolve(x, *self.kernel(), self.padding_mode)


def _n_channels(fields, group):
    return sum(n * size_of_field(group, name) for name, n in fields)


def _checked_order(fields, group, order):
    if order is None:
        return None
    order = list(order)
    expected = range(_n_channels(fields, group))
    if sorted(order) != list(expected):
        raise ValueError(
            f'the order of {len(expected)} channels must be one of the '
            f'numbers 0, ..., {len(expected) - 1}, got {order}'
        )
    return None if order == list(expected) else order
