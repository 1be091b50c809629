# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Equivariant convolutions of volumes, from the orbits of their entries.

Each element of a group of a cubic grid permutes the entries of kernels, up to
signs. So a kernel is equivariant if and only if it is constant, up to these
signs, on each orbit, and zero on those that an element maps to their
negative. One coefficient for each other orbit gives all equivariant kernels.
They are gathered: a basis as a tensor would take half a gigabyte for 'Oh'.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from odl_equivariant.nn._convolution import convolve, normal
from odl_equivariant.nn.steerable.convolutions import (
    SteerableConvolution,
    has_kernels,
)
from odl_equivariant.nn.steerable.expansion import ExpandedKernel
from odl_equivariant.nn.steerable.grid import checked_basis
from odl_equivariant.nn.steerable.space import (
    dimension_of,
    elements_of,
    signed_permutation,
)

__all__ = (
    'Orbits',
    'OrbitConvolution',
    'are_connected',
    'checked_kind',
    'kernel_orbits',
    'steerable_convolution',
)


@dataclass(frozen=True)
class Orbits:
    """The orbits of the entries of a kernel between two fields.

    Parameters
    ----------
    number : int
        How many are not zero, in the order of their first entries.
    index : numpy.ndarray of int, shape (rows, columns, k, k, k)
        Orbit of each entry, 0 where the kernel is zero.
    value : numpy.ndarray of float
        Entries of the kernel whose coefficients are all one.
    """

    number: int
    index: np.ndarray
    value: np.ndarray


@functools.cache
def kernel_orbits(group, source, target, kernel_size):
    """Return the orbits of the entries of equivariant kernels.

    Parameters
    ----------
    group : str
        Name of a group of the space, see `space.group_in_space`.
    source, target : str
        Representations of an input and of an output field, see
        `space.signed_permutation`.
    kernel_size : int
        Odd side of the kernel in cells.

    Returns
    -------
    orbits : Orbits
        Values are scaled for `OrbitConvolution`.

    Examples
    --------
    The cells of a kernel of 27 are a centre, 6 faces, 12 edges, 8 corners:

    >>> kernel_orbits('O', 'trivial', 'trivial', 3).number
    4
    >>> kernel_orbits('O', 'trivial', 'regular', 3).number
    27
    """
    cells = _moved_cells(elements_of(group), kernel_size)
    rows, row_signs = signed_permutation(group, target)
    columns, column_signs = signed_permutation(group, source)
    shape = rows.shape[1], columns.shape[1], cells.shape[1]
    moved = (
        (rows[:, :, None] * shape[1] + columns[:, None])[..., None] * shape[2]
        + cells[:, None, None]
    ).reshape(len(rows), -1)
    signs = (row_signs[:, :, None] * column_signs[:, None])[..., None]
    signs = np.broadcast_to(signs, (len(rows), *shape)).reshape(moved.shape)
    first = np.flatnonzero(moved.min(0) == np.arange(moved.shape[1]))
    moved, signs = moved[:, first], signs[:, first]
    is_zero = ((moved == first) & (signs < 0)).any(0)
    moved, signs = moved[:, ~is_zero], signs[:, ~is_zero]
    n = moved.shape[1]
    index = np.zeros(math.prod(shape), dtype=np.int64)
    value = np.zeros(math.prod(shape))
    index[moved] = np.arange(n)
    value[moved] = signs
    if n:
        # mean square norm of a row of each kernel: columns * k^3 / n
        sizes = np.bincount(index[value != 0], minlength=n)
        value *= np.sqrt(math.prod(shape) / n / sizes)[index]
    sides = (*shape[:2], *3 * (kernel_size,))
    for array in (index, value):
        array.flags.writeable = False
    return Orbits(n, index.reshape(sides), value.reshape(sides))


def _moved_cells(matrices, kernel_size):
    """Return where each matrix moves the cells of a kernel, as numbers."""
    along = np.arange(kernel_size) - kernel_size // 2
    cells = np.stack(np.meshgrid(*3 * (along,), indexing='ij'), -1)
    moved = np.einsum('hab,pb->hpa', matrices, cells.reshape(-1, 3))
    strides = kernel_size ** np.arange(2, -1, -1)
    return (moved + kernel_size // 2) @ strides


class OrbitConvolution(ExpandedKernel, nn.Module):
    r"""A convolution of volumes that is equivariant by its kernels.

    Parameters
    ----------
    in_fields, out_fields : int
        Numbers of fields.
    source, target : {'trivial', 'sign', 'standard', 'regular'}
        How the group acts on the channels of an input and an output field.
    group : str
        Name of a group of the space, see `space.group_in_space`.
    kernel_size, padding_mode, gain, bias
        As for `SteerableConvolution`.
    may_be_zero : bool, optional
        Whether the kernel is zero where there is none between such fields.
        Default: an error says so.

    Raises
    ------
    ValueError
        If there is no kernel between such fields.

    Notes
    -----
    At the same ``gain`` the coefficients start with the variance of the
    weights of a `PaddedConvolution` of the same width, and so does the
    output, as for `SteerableConvolution`.
    """

    def __init__(
        self,
        in_fields,
        out_fields,
        source,
        target,
        group,
        kernel_size=3,
        padding_mode='replicate',
        gain=1.0,
        bias=True,
        may_be_zero=False,
    ):
        super().__init__()
        self.padding_mode = padding_mode
        self.orbits = kernel_orbits(group, source, target, kernel_size)
        n, columns = self.orbits.number, self.orbits.index.shape[1]
        if not n and not may_be_zero:
            raise ValueError(
                f'there are no equivariant kernels of side {kernel_size} from '
                f'{source} to {target} fields of {group}: take a larger '
                'kernel_size or other fields'
            )
        std = gain / math.sqrt(in_fields * columns * kernel_size**3)
        self.weight = nn.Parameter(normal((out_fields, in_fields, n), std))
        self._register()
        has_bias = bias and target in ('trivial', 'regular')
        bias = nn.Parameter(torch.zeros(out_fields)) if has_bias else None
        self.register_parameter('bias', bias)

    def _register(self):
        """Put the tables where the weights are, in float32 at least."""
        device = self.weight.device
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        index = torch.tensor(self.orbits.index, device=device).flatten()
        value = torch.tensor(self.orbits.value, device=device, dtype=dtype)
        self.register_buffer('index', index, persistent=False)
        self.register_buffer('value', value.flatten(), persistent=False)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        # made anew, without the rounding errors of a lower precision
        self._register()
        return self

    def _load_from_state_dict(self, *args):
        super()._load_from_state_dict(*args)
        # `assign=True` brings weights of another device or precision
        self._register()

    def _kind(self):
        # the tables are cached, the same for all layers of a kind
        return id(self.orbits)

    def _expand(self, weights, biases):
        n, out_fields, in_fields, n_orbits = weights.shape
        rows, columns, *size = self.orbits.index.shape
        # gathering and products keep their precision inside autocast
        kernels = weights.flatten(0, 2).to(self.value.dtype)
        if n_orbits:
            kernels = kernels.index_select(1, self.index) * self.value
        else:
            kernels = self.value.expand(len(kernels), -1)
        kernels = kernels.to(weights.dtype)
        kernels = kernels.reshape(
            n, out_fields, in_fields, rows, columns, *size
        )
        kernels = kernels.transpose(2, 3).reshape(
            n, out_fields * rows, in_fields * columns, *size
        )
        if biases is None:
            return kernels, kernels.new_zeros(kernels.shape[:2])
        return kernels, biases.repeat_interleave(rows, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in channels, ...)`` to ``(N, out channels, ...)``."""
        return convolve(x, *self.kernel(), self.padding_mode)


def checked_kind(basis, group):
    """Return the kind of basis of a group of plane or space.

    Parameters
    ----------
    basis : {'escnn', 'grid', 'mixed', 'fourier'} or None
        Default: ``'escnn'`` in the plane, ``'grid'`` in space.
    group : str
        Name of the group.

    Raises
    ------
    ValueError
        If there is no such basis for the group.
    """
    if dimension_of(group) == 2:
        return checked_basis('escnn' if basis is None else basis, group)
    if basis not in (None, 'grid'):
        raise ValueError(
            f'the kernels of {group}, in space, are all that are equivariant '
            f"on the grid: take basis='grid', got {basis!r}"
        )
    return 'grid'


def steerable_convolution(
    in_fields, out_fields, source, target, group, *arguments, basis, **named
):
    """Return the equivariant convolution of images or of volumes.

    Parameters
    ----------
    in_fields, out_fields, source, target, group, *arguments, basis, **named
        As for `SteerableConvolution`; a group of the space makes an
        `OrbitConvolution`, whose basis is that of the grid.
    """
    arguments = (in_fields, out_fields, source, target, group, *arguments)
    if dimension_of(group) == 3:
        return OrbitConvolution(*arguments, **named)
    return SteerableConvolution(*arguments, basis=basis, **named)


def are_connected(group, source, target, kernel_size, kind):
    """Return whether there is any kernel between two kinds of fields."""
    if dimension_of(group) == 3:
        orbits = kernel_orbits(group, source, target, kernel_size)
        return orbits.number > 0
    return has_kernels(group, source, target, kernel_size, kind)
