# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Blocks that commute with changes of the unit of values.

A unit is changed by a factor, its zero by a shift. A LeakyReLU and
convolutions without a bias commute with positive factors. Sort pooling and
convolutions whose kernels sum to one commute with shifts.
"""

import math
from typing import Any

import torch
from torch import nn

from odl_equivariant.nn._precision import in_full_precision
from odl_equivariant.nn.blocks.network import Kernel
from odl_equivariant.nn.steerable.activations import MODULUS

__all__ = ('SortPooling', 'check_values', 'with_unit_sums')

_HOMOGENEOUS = (None, 'fourier')
_REASONS = {
    'norm': 'without its bias, it would be linear',
    'gated': 'the sigmoid of a gate has a unit',
    MODULUS: 'without a noise level, its thresholds have a unit',
}


def _advice(name):
    if name == MODULUS:
        return 'noise_level=True, or `Normalised` around the module'
    return "'fourier', or a finite group"


class SortPooling(nn.Module):
    r"""The greater and the smaller of two channels.

    The pairs are the channels c and c + C / 2 of C channels. If these are
    regular fields, of even number, so the pairs are the same element of two
    fields. The map commutes with permutations of the elements, with
    :math:`x \mapsto a x + b` for :math:`a > 0` and all b, and keeps norms.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, n, m)`` to the same shape."""
        first, second = x.chunk(2, 1)
        return torch.cat(
            [torch.maximum(first, second), torch.minimum(first, second)], 1
        )


def check_values(
    block: Any, description: dict[str, Any] | None, field_size: int
) -> None:
    """Raise a ValueError unless a block can be as its arguments say.

    Parameters
    ----------
    block : Proximal
        Block with its arguments, before its layers are made.
    description : dict or None
        Description of the non-linearity, None for a pointwise one.
    field_size : int
        Number of channels of a hidden field of a finite group.
    """
    name = None if description is None else description['name']
    # its thresholds are multiples of the noise level
    scales = name == MODULUS and block.noise_level
    if block.homogeneous and name not in _HOMOGENEOUS and not scales:
        raise ValueError(
            f'the nonlinearity {name!r} cannot be homogeneous, as '
            f'{_REASONS.get(name, "it has a unit")}: take {_advice(name)}'
        )
    if not block.shift_equivariant:
        return
    if description is not None:
        raise ValueError(
            'shift_equivariant=True is for real fields of finite groups, '
            f'sorted in pairs, and not for the nonlinearity {name!r}: take '
            '`Normalised` around the module, or such as '
            f'{"phase=False" if name == MODULUS else "group=C8"}'
        )
    if getattr(block, 'representation', 'trivial') != 'trivial':
        raise ValueError(
            'shift_equivariant=True is for scalar values: vectors that are '
            'all the same turn with the image; take `Normalised` around the '
            "module, or representation='trivial'"
        )
    if block.padding_mode == 'zeros':
        raise ValueError(
            'zeros past the boundary do not shift with the image: with '
            'shift_equivariant=True, take a `padding_mode` of replicate, '
            "reflect and circular, got 'zeros'"
        )
    if block.channels % (2 * field_size):
        least = 2 * field_size * (block.channels // (2 * field_size))
        nearest = [n for n in (least, least + 2 * field_size) if n]
        raise ValueError(
            'shift_equivariant=True sorts pairs of fields, so `channels` must '
            f'be a multiple of {2 * field_size}, got {block.channels}; the '
            f'nearest are {" and ".join(map(str, nearest))}'
        )


def with_unit_sums(
    kernels: list[Kernel], n_images: int, skip: bool
) -> list[Kernel]:
    r"""Return the kernels of a block that commutes with shifts.

    Parameters
    ----------
    kernels : list of tuple of torch.Tensor
        Kernel and bias of each convolution, in their order.
    n_images : int
        Number of the first channels that shift, of inputs and outputs: the
        images. Those after them, such as the memory, do not.
    skip : bool
        Whether the image is added to the output.

    Returns
    -------
    kernels : list of tuple of torch.Tensor
        Kernels of the sums, over space and the inputs that shift: 1 for
        hidden channels and 1, or with ``skip`` 0, for images; 0 in residual
        blocks, whose sum with the identity shifts by the identity, and for
        the memory.

    Notes
    -----
    For a kernel k from n channels and the wanted sum t, it is

    .. math::
        k_{oi}(x) + \frac{q(x)}{n} \Big(
            t_o - \sum_{j, z} k_{oj}(z) \Big),

    where q is positive, radial and of the sum one. An equivariant kernel
    maps the constant image with the same number in all channels of regular
    fields to what the group leaves in place, the same number in all channels
    of each field. So the correction is one number for each pair of fields
    times q, which no element of the group moves.
    """
    first, *hidden, last = kernels
    n_outputs = len(last[0])
    ends = last[0].new_zeros(n_outputs)
    if not skip:
        ends = (torch.arange(n_outputs, device=ends.device) < n_images).to(
            ends.dtype
        )
    return [
        _with_sums(first, n_images, 1),
        *(_with_sums(kernel, kernel[0].shape[1], 0) for kernel in hidden),
        _with_sums(last, last[0].shape[1], ends),
    ]


def _with_sums(kernel, n_inputs, sums):
    """Return a kernel of given sums over its first inputs."""
    weight, bias = kernel
    with in_full_precision(weight.device):
        exact = weight.to(torch.promote_types(weight.dtype, torch.float32))
        shifting, rest = exact[:, :n_inputs], exact[:, n_inputs:]
        axes = tuple(range(1, shifting.ndim))
        missing = (sums - shifting.sum(axes)) / n_inputs
        missing = missing.reshape(-1, *[1] * len(axes))
        shifting = shifting + missing * _radial(shifting)
        exact = torch.cat([shifting, rest], 1)
    return exact.to(weight.dtype), bias


def _radial(like):
    """Return the weights q, a Gaussian as wide as smooth kernels are."""
    size = like.shape[-1]
    x = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    squares = x.square()
    for _ in range(like.ndim - 3):
        squares = squares[..., None] + x.square()
    weights = torch.exp(-squares / (2 * math.pow(size / 3, 2)))
    return weights / weights.sum()
