# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Convolutions of volumes as sums of convolutions of their slices.

On a processor, a convolution of volumes with 8 or 16 channels takes up to ten
times as long as those of all slices with the slices of the kernel: oneDNN has
fast kernels for the latter only.
"""

import itertools

import torch
from torch.nn import functional

__all__ = ('are_faster', 'convolution', 'convolution_backward')

# Slices whose parts are added up at once: of two of the three parts of a
# convolution there is never a whole volume.
_AT_ONCE = 8
_LAST = torch.channels_last
_ORDINARY = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)


def are_faster(x: torch.Tensor) -> bool:
    """Return whether to convolve slices: of volumes, on a processor."""
    return (
        x.ndim == 5
        and x.device.type == 'cpu'
        # transforms of torch know no order of the axes
        and torch._C._functorch.maybe_current_level() is None
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
        # last: asked of an exported network, it would fix its batch
        and len(x) > 0
    )


def _some(volume, first, n):
    """Return slices of a volume (C, n, m, l) as images (n, C, m, l)."""
    some = volume.narrow(1, first, n).transpose(0, 1)
    return some.contiguous(memory_format=_LAST)


def _of_kernel(weight):
    return [part.contiguous(memory_format=_LAST) for part in weight.unbind(2)]


def convolution(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Return a convolution of volumes without padding.

    Parameters
    ----------
    x : torch.Tensor
        Volumes of shape ``(N, C, n, m, l)``.
    weight : torch.Tensor
        Kernel of shape ``(C', C, k, k, k)``.
    bias : torch.Tensor or None
        One number for each channel.

    Returns
    -------
    y : torch.Tensor
        Volumes, whose channels are last in memory.
    """
    parts = _of_kernel(weight)
    shape = [n - len(parts) + 1 for n in x.shape[2:]]
    result = None
    for k, volume in enumerate(x.unbind(0)):
        for first in range(0, shape[0], _AT_ONCE):
            count = min(_AT_ONCE, shape[0] - first)
            slices = _some(volume, first, count + len(parts) - 1)
            # the bias is added by the first of them only
            some = functional.conv2d(slices[:count], parts[0], bias)
            for i, part in enumerate(parts[1:], 1):
                some += functional.conv2d(slices[i : i + count], part)
            if result is None:
                # in the precision of a region of autocast
                result = _empty(some, len(x), shape)
            result[k, :, first : first + count] = some.transpose(0, 1)
    return result


def _empty(some, n, shape):
    """Return an array of n volumes for slices, channels last in memory."""
    return torch.empty(
        (n, some.shape[1], *shape),
        dtype=some.dtype,
        device=some.device,
        memory_format=torch.channels_last_3d,
    )


def convolution_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    wanted: tuple[bool, bool, bool],
) -> tuple[torch.Tensor | None, ...]:
    """Return the gradients of `convolution`.

    Parameters
    ----------
    gradient : torch.Tensor
        Gradient of the result.
    x, weight
        As for `convolution`.
    wanted : tuple of bool
        Whether the gradients by ``x``, by the kernel and by the bias are
        wanted.

    Returns
    -------
    gradients : tuple
        The gradients, None where they are not wanted.
    """
    parts, depth = _of_kernel(weight), gradient.shape[2]
    by_x = (
        torch.zeros_like(x, memory_format=torch.channels_last_3d)
        if wanted[0]
        else None
    )
    by_parts = len(parts) * [0.0]
    for k, first in itertools.product(
        range(len(x) if any(wanted[:2]) else 0), range(0, depth, _AT_ONCE)
    ):
        count = min(_AT_ONCE, depth - first)
        some = _some(gradient[k], first, count)
        slices = _some(x[k], first, count + len(parts) - 1)
        for i, part in enumerate(parts):
            by_slices, by_part, _ = torch.ops.aten.convolution_backward(
                some,
                slices[i : i + count],
                part,
                [len(part)],
                *_ORDINARY,
                (*wanted[:2], False),
            )
            if wanted[0]:
                target = by_x[k].narrow(1, first + i, count)
                target += by_slices.transpose(0, 1)
            if wanted[1]:
                by_parts[i] = by_parts[i] + by_part
    return (
        by_x,
        torch.stack(by_parts, 2) if wanted[1] else None,
        gradient.sum((0, 2, 3, 4)) if wanted[2] else None,
    )
