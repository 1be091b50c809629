# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Filters, a function of their responses, and the transposed filters.

Filters of volumes are those of images with as many channels as filters have
slices: on a processor, these convolutions are the fast ones.
"""

import math

import torch
from torch.nn import functional

__all__ = ('correlate', 'sweep', 'transposed')

# Responses of a piece of an image that stay in the cache of a processor.
_PIECE = 2**17


class _Correlation(torch.autograd.Function):
    """Responses of filters, whose derivatives are quick on a processor."""

    @staticmethod
    def forward(x, kernels):
        return _correlated(x, kernels)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, kernels = ctx.saved_tensors
        of_x = of_kernels = None
        if ctx.needs_input_grad[0]:
            of_x = transposed(grad, kernels)
        if ctx.needs_input_grad[1]:
            of_kernels = _products(x, grad, kernels)
        return of_x, of_kernels


class _Transpose(torch.autograd.Function):
    """Sum of the transposed filters, the transpose of `_Correlation`."""

    @staticmethod
    def forward(y, kernels):
        return _transposed(y, kernels)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        y, kernels = ctx.saved_tensors
        of_y = of_kernels = None
        if ctx.needs_input_grad[0]:
            of_y = correlate(grad, kernels)
        if ctx.needs_input_grad[1]:
            of_kernels = _products(grad, y, kernels)
        return of_y, of_kernels


def correlate(x, kernels):
    """Return the responses of filters, where they lie inside the images.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, 1, n, m)``, or volumes ``(N, 1, n, m, l)``.
    kernels : torch.Tensor
        Filters of shape ``(F, 1, k, k)``, or ``(F, 1, k, k, k)``.

    Returns
    -------
    responses : torch.Tensor
        Tensor of shape ``(N, F, n - k + 1, m - k + 1)``, and so for volumes.
    """
    return _Correlation.apply(x, kernels)


def transposed(y, kernels):
    """Return the transpose of `correlate`, applied to responses."""
    return _Transpose.apply(y, kernels)


def _products(x, y, kernels):
    """Return the derivative of <correlate(x, kernels), y> by the kernels."""
    if x.ndim == 5:
        x, y, side = _slabs(x, kernels), _slices(y), kernels.shape[2]
        total = _products(x, y, kernels.new_empty(len(kernels), *3 * [side]))
        return total.view(kernels.shape)
    if x.device.type != 'cpu':
        return _batched_products(x, y, kernels)
    # image by image, as a batch takes more than twice the time in float64
    return sum(
        torch.nn.grad.conv2d_weight(image, kernels.shape, response)
        for image, response in zip(x.split(1), y.split(1), strict=True)
    )


def _batched_products(x, y, kernels):
    """Return `_products` for all images at once, as accelerators like it."""
    patches = functional.unfold(x, kernels.shape[2:])
    products = y.flatten(2) @ patches.transpose(1, 2)
    return products.sum(0).view(kernels.shape)


def _folded_products(y, kernels):
    """Return `_transposed` by products of matrices.

    A convolution to one channel leaves most of an accelerator idle.
    """
    patches = kernels.flatten(1).T @ y.flatten(2)
    shape = [
        n + k - 1 for n, k in zip(y.shape[2:], kernels.shape[2:], strict=True)
    ]
    return functional.fold(patches, shape, kernels.shape[2:])


def _slabs(x, kernels):
    """Return volumes as images, whose channels are adjacent slices."""
    return x[:, 0].unfold(1, kernels.shape[2], 1).flatten(0, 1).movedim(-1, 1)


def _slices(y):
    """Return the responses of volumes as those of their slices."""
    return y.transpose(1, 2).flatten(0, 1)


def _correlated(x, kernels):
    if x.ndim == 4:
        return functional.conv2d(x, kernels)
    y = functional.conv2d(_slabs(x, kernels), kernels[:, 0])
    return y.unflatten(0, (len(x), -1)).transpose(1, 2)


def _transposed_of_volumes(y, kernels):
    n_slices, side = y.shape[2], kernels.shape[2]
    rows = kernels[:, 0].transpose(0, 1).flip(2, 3).contiguous()
    parts = functional.conv2d(_slices(y), rows, padding=side - 1)
    parts = parts.unflatten(0, (-1, n_slices))
    shape = len(y), 1, n_slices + side - 1, *parts.shape[3:]
    total = y.new_zeros(shape)
    for i in range(side):
        total[:, 0, i : i + n_slices] += parts[:, :, i]
    return total


def _transposed(y, kernels):
    if y.ndim == 5:
        return _transposed_of_volumes(y, kernels)
    if y.device.type != 'cpu':
        return _folded_products(y, kernels)
    # A convolution to one channel uses a fraction of a processor's
    # arithmetic. So each row of the filters makes a channel of its own.
    n_rows, n_columns = kernels.shape[2:]
    rows = kernels[:, 0].flip(2).transpose(0, 1)[:, :, None].contiguous()
    parts = functional.conv2d(y, rows, padding=(0, n_columns - 1))
    height = y.shape[2]
    total = y.new_zeros(len(y), 1, height + n_rows - 1, parts.shape[3])
    for i in range(n_rows):
        total[:, 0, i : i + height] += parts[:, i]
    return total


def sweep(x, kernels, function):
    """Return the sum of transposed filters of a function of responses.

    Without a graph. Images are swept in pieces that stay in the cache, as
    the time of a processor is that of its memory otherwise.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, 1, n, m)``, or volumes ``(N, 1, n, m, l)``.
    kernels : torch.Tensor
        Filters of shape ``(F, 1, k, k)``, or ``(F, 1, k, k, k)``.
    function : callable
        Called as ``function(key, i, responses)`` for the image i (a slice),
        where ``key`` says which piece it is. It returns responses, or None
        if there is nothing to add.

    Returns
    -------
    total : torch.Tensor
        Tensor of the shape of ``x``.
    """
    total = torch.zeros_like(x)
    if x.device.type != 'cpu':
        whole = slice(0, len(x))
        values = function((0, 0), whole, _correlated(x, kernels))
        return total if values is None else _transposed(values, kernels)
    n_filters, side = kernels.shape[0], kernels.shape[2]
    height = x.shape[2] - side + 1
    width = math.prod(n - side + 1 for n in x.shape[3:])
    n_rows = max(1, _PIECE // (n_filters * width))
    n_rows = -(-height // -(-height // n_rows))
    for i in range(len(x)):
        image = slice(i, i + 1)
        for start in range(0, height, n_rows):
            stop = min(start + n_rows, height)
            piece = x[image, :, start : stop + side - 1]
            responses = _correlated(piece, kernels)
            values = function((i, start), image, responses)
            if values is not None:
                total[image, :, start : stop + side - 1] += _transposed(
                    values, kernels
                )
    return total
