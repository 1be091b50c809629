# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Centred, orthonormal FFTs of torch tensors."""

import torch

from odl_equivariant.operators.fourier.fft import centred_blocks

__all__ = ('centred_fft_torch',)


def centred_fft_torch(x, axes, inverse=False, weights=None):
    """Transform a tensor along some axes, see `centred_fft`.

    Parameters
    ----------
    x : torch.Tensor
        Real or complex tensor on any device, without a graph. It is not
        changed.
    axes : tuple of int
        Negative axes without duplicates.
    inverse : bool, optional
        Direction of the transform.
    weights : torch.Tensor, optional
        Factors of the transform's result, or, if ``inverse``, of ``x``, for
        its last axes. Booleans count as zeros and ones.

    Returns
    -------
    result : torch.Tensor
        New complex tensor.
    """
    dtype = torch.promote_types(x.dtype, torch.complex64)
    if x.numel() == 0:
        return torch.zeros(x.shape, dtype=dtype, device=x.device)
    before, after = (weights, None) if inverse else (None, weights)
    transform = torch.fft.ifftn if inverse else torch.fft.fftn
    # on other devices, many small copies take longer than a few large ones
    if x.device.type == 'cpu':
        return _by_blocks(x, axes, dtype, transform, before, after)
    return _by_shifts(x, axes, transform, before, after)


def _by_shifts(x, axes, transform, before, after):
    x = x if before is None else x * before
    y = transform(torch.fft.ifftshift(x, dim=axes), dim=axes, norm='ortho')
    y = torch.fft.fftshift(y, dim=axes)
    return y if after is None else y.mul_(after)


def _by_blocks(x, axes, dtype, transform, before, after):
    # One pass shifts and multiplies, and only the result and the transform
    # need memory. On a processor, new memory takes longer than the transform.
    blocks = centred_blocks(x.shape, [axis % x.ndim for axis in axes])
    result = torch.empty(x.shape, dtype=dtype, device=x.device)
    for centred, plain in blocks:
        _multiply(x[centred], before, centred, result[plain])
    y = transform(result, dim=axes, norm='ortho')
    for centred, plain in blocks:
        _multiply(y[plain], after, centred, result[centred])
    return result


def _multiply(block, weights, where, out):
    if weights is None:
        out.copy_(block)
        return
    # slices of an axis of length one would miss its only weight
    where = tuple(
        slice(None) if n == 1 else part
        for n, part in zip(weights.shape, where[-weights.ndim :], strict=True)
    )
    torch.mul(block, weights[where], out=out)
