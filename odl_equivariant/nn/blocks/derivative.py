# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A block in pieces with a derivative that keeps little.

torch would keep each array of all channels for the derivative, and fill arrays
with zeros to add pieces to them. Here, one array is kept for each residual
block, or none, and the others are computed again, which costs one convolution
of few channels.
"""

import contextlib
import contextvars

import torch

from odl_equivariant.nn._convolution import channels_last
from odl_equivariant.nn._gradients import (
    convolution_backward,
    is_plain_autograd,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.blocks.network import (
    Kernel,
    Nonlinearities,
    activated,
    residual_network,
)

__all__ = ('evaluate', 'fits', 'is_for', 'recomputing', 'replaying')

# Whether results are kept, or not, or not even computed.
_KEPT, _RECOMPUTED, _REPLAYED = range(3)
_mode = contextvars.ContextVar('mode', default=_KEPT)


@contextlib.contextmanager
def recomputing():
    """Context in which blocks keep only their inputs for the derivative."""
    with _within(_RECOMPUTED):
        yield


@contextlib.contextmanager
def replaying():
    """Context in which blocks keep their inputs, and compute nothing.

    `torch.utils.checkpoint.checkpoint` runs an iteration again for the arrays
    that its derivative needs. The result of a block is none of them: it is
    added to others, and cut. So the result consists of NaN here.
    """
    with _within(_REPLAYED):
        yield


@contextlib.contextmanager
def _within(mode):
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)


def is_for(
    x: torch.Tensor, kernels: list[Kernel], nonlinearities: Nonlinearities
) -> bool:
    """Return whether `evaluate` can compute, and has something to keep."""
    tensors = (x, *(tensor for kernel in kernels for tensor in kernel))
    return any(tensor.requires_grad for tensor in tensors) and fits(
        nonlinearities
    )


def fits(nonlinearities: Nonlinearities) -> bool:
    """Return whether `evaluate` can compute where gradients are needed."""
    return (
        isinstance(nonlinearities, float | int)
        # the derivative is known from the result
        and nonlinearities > 0
        and torch.is_grad_enabled()
        and is_plain_autograd()
    )


def evaluate(
    x: torch.Tensor,
    kernels: list[Kernel],
    padding_mode: str,
    slope: float,
    side: int | None = None,
) -> torch.Tensor:
    """Apply the residual network of a block, piece by piece.

    Parameters
    ----------
    x, kernels, padding_mode, side
        As for `pieces.evaluate`.
    slope : float
        Positive slope of the LeakyReLU for negative values.

    Returns
    -------
    y : torch.Tensor
        As `pieces.evaluate` returns it, with derivatives of any order. Those
        of higher order need as much memory as torch takes.

    Notes
    -----
    The result of each residual convolution is kept. Inside `recomputing` it
    is not, and is computed again, piece by piece. Inside `replaying` there is
    no result.
    """
    flat = [tensor for kernel in kernels for tensor in kernel]
    settings = (padding_mode, slope, side, _mode.get())
    return _InPieces.apply(x, settings, *flat)


class _Recording(pieces.Piece):
    """A piece that records the results of its convolutions."""

    keeps_results = True

    def __init__(self, sides, padding_mode):
        super().__init__(sides, padding_mode)
        self.results = []

    def convolve(self, x, kernel):
        """Return the convolution, which is activated in place."""
        self.results.append(super().convolve(x, kernel))
        return self.results[-1]


class _InPieces(torch.autograd.Function):
    """The residual network of a block, and its derivative."""

    @staticmethod
    def forward(ctx, x, settings, *flat):
        padding_mode, slope, side, mode = settings
        kernels, keep = _pairs(flat), mode == _KEPT
        y = x.new_empty(len(x), len(flat[-1]), *x.shape[2:])
        kept = []
        grid = pieces.Pieces(x, kernels, padding_mode, side)
        samples = _samples(grid, y)
        if mode == _REPLAYED:
            # what reads it all the same does not go wrong without a word
            y.fill_(torch.nan)
            samples = []
        for images, result in samples:
            for place in grid.places():
                extent = _extent(place, padding_mode, keep)
                part = residual_network(
                    grid.taken(images, place), kernels, slope, extent
                )
                part = part[pieces.kept_cells(place)]
                result[pieces.inside_cells(place)] = part
                if keep:
                    kept += extent.results[1:-1]
        ctx.settings, ctx.n_flat = settings, len(flat)
        ctx.save_for_backward(x, *flat, *kept)
        return y

    @staticmethod
    def backward(ctx, gradient):
        x, *rest = ctx.saved_tensors
        flat, kept = rest[: ctx.n_flat], iter(rest[ctx.n_flat :])
        # one for `settings`
        wanted = ctx.needs_input_grad[:1] + ctx.needs_input_grad[2:]
        with torch.autocast(x.device.type, enabled=False):
            if torch.is_grad_enabled():
                by_x, *by_flat = _differentiable(
                    x, flat, ctx.settings, gradient, wanted
                )
            else:
                by_x, *by_flat = _gradients(
                    x, flat, ctx.settings, gradient, wanted, kept
                )
        return by_x, None, *by_flat


def _pairs(flat):
    return list(zip(flat[::2], flat[1::2], strict=True))


def _samples(grid, y):
    """Return pairs of images and their part of a batch of results."""
    sizes = [len(images) for images in grid.samples]
    return zip(grid.samples, y.split(sizes), strict=True)


def _extent(place, padding_mode, keep):
    sides = pieces.sides_at_boundary(place)
    return (_Recording if keep else pieces.Piece)(sides, padding_mode)


def _differentiable(x, flat, settings, gradient, wanted):
    """Return the gradients with a graph of their own, as torch makes it."""
    padding_mode, slope, side, _ = settings
    tensors = [
        tensor
        for tensor, needed in zip((x, *flat), wanted, strict=True)
        if needed
    ]
    y = pieces.evaluate(x, _pairs(flat), padding_mode, slope, side)
    found = iter(torch.autograd.grad(y, tensors, gradient, create_graph=True))
    return [next(found) if needed else None for needed in wanted]


def _gradients(x, flat, settings, gradient, wanted, kept):
    """Return the gradients, piece by piece."""
    padding_mode, slope, side, mode = settings
    kernels, keep = _pairs(flat), mode == _KEPT
    grid = pieces.Pieces(x, kernels, padding_mode, side)
    by_x = torch.zeros_like(x) if wanted[0] else None
    by_flat = [
        # many pieces are added up
        torch.zeros_like(tensor, dtype=_precision(tensor)) if needed else None
        for tensor, needed in zip(flat, wanted[1:], strict=True)
    ]
    places = list(grid.places())
    sizes = [len(images) for images in grid.samples]
    targets = [None] * len(sizes) if by_x is None else by_x.split(sizes)
    for images, incoming, target in zip(
        grid.samples, gradient.split(sizes), targets, strict=True
    ):
        for place in places:
            extent = _extent(place, padding_mode, False)
            image = grid.taken(images, place)
            sizes_of_piece = (span.size for span in place)
            result = image.new_zeros(
                len(image), incoming.shape[1], *sizes_of_piece
            ).contiguous(memory_format=grid.order)
            part = incoming[pieces.inside_cells(place)]
            result[pieces.kept_cells(place)] = part
            hidden = None
            if keep:
                hidden = [next(kept) for _ in kernels[1:-1]]
            part = _of_piece(
                image, kernels, slope, extent, result, hidden, wanted, by_flat
            )
            if by_x is not None:
                grid.add(target, part, place)
    return by_x, *by_flat


def _precision(tensor):
    return torch.promote_types(tensor.dtype, torch.float32)


def _of_piece(x, kernels, slope, extent, gradient, hidden, wanted, by_flat):
    """Return the gradient by a piece, and add those by the kernels."""
    first = extent.pad(x, kernels[0])
    start = extent.convolve(first, kernels[0])
    start = activated(extent.pad(start, kernels[1]), 0, slope)
    # the inputs of all convolutions but the first, and where the results,
    # which are added to them, are positive
    inputs, positive = [start], []
    for i in range(1, len(kernels) - 1):
        inner = extent.inner(inputs[-1], kernels[i])
        if hidden is None:
            result = extent.convolve(inputs[-1], kernels[i])
            result = activated(result, i, slope)
            positive.append(result > 0)
            result += inner
        else:
            positive.append(hidden[i - 1] > 0)
            result = hidden[i - 1] + inner
        inputs.append(extent.pad(result, kernels[i + 1]))
    result = inner = None

    def backward(i, gradient, x, by_x=True):
        mask = (by_x, *wanted[1 + 2 * i : 3 + 2 * i])
        by_x, *others = convolution_backward(gradient, x, kernels[i][0], mask)
        for total, more in zip(by_flat[2 * i :], others, strict=False):
            if more is not None:
                total += more
        return by_x

    last = len(kernels) - 1
    gradient = backward(last, gradient, inputs.pop())
    for i in range(last - 1, 0, -1):
        gradient = extent.unpad(gradient, kernels[i + 1])
        through = torch.where(positive.pop(), gradient, slope * gradient)
        more = backward(i, through, inputs.pop())
        extent.inner(more, kernels[i]).add_(gradient)
        gradient = more
    gradient = torch.ops.aten.leaky_relu_backward(gradient, start, slope, True)
    start, gradient = None, extent.unpad(gradient, kernels[1])
    earlier = any(wanted[:3])
    if not earlier:
        return None
    order = channels_last(gradient.ndim - 2)
    gradient = gradient.contiguous(memory_format=order)
    gradient = backward(0, gradient, first, wanted[0])
    return extent.unpad(gradient, kernels[0]) if wanted[0] else None
