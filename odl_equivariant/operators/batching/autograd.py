# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps with derivatives for autograd."""

import contextlib

import torch

__all__ = ('LinearMap', 'NonlinearMap')


def _full_precision(x):
    """Return a context in which autocast leaves the precision as it is."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)


class _LinearFunction(torch.autograd.Function):
    """A linear map whose derivatives are linear maps again."""

    @staticmethod
    def forward(x, apply, transpose):
        with _full_precision(x):
            return apply(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.apply_batch, ctx.transpose_batch = inputs

    @staticmethod
    def backward(ctx, gradient):
        result = _LinearFunction.apply(
            gradient, ctx.transpose_batch, ctx.apply_batch
        )
        return result, None, None

    @staticmethod
    def vmap(info, in_dims, x, apply, transpose):
        x = x.movedim(in_dims[0], 0)
        result = _LinearFunction.apply(x.flatten(0, 1), apply, transpose)
        return result.unflatten(0, x.shape[:2]), 0

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _LinearFunction.apply(
            tangent, ctx.apply_batch, ctx.transpose_batch
        )


class LinearMap:
    """A linear map of batches, with derivatives of any order.

    Parameters
    ----------
    apply, transpose : callable
        The map and its (Hermitian) transpose, of tensors without a graph.
    """

    def __init__(self, apply, transpose):
        self.apply, self.transpose = apply, transpose

    def __call__(self, x):
        """Apply the map to a batch."""
        return _LinearFunction.apply(x, self.apply, self.transpose)


class NonlinearMap:
    """A map of batches with derivatives of first order.

    Parameters
    ----------
    call : callable
        The map, of a tensor without a graph.
    derivative, transpose : callable
        Map a point and a direction to the derivative there in this direction,
        and to its transpose.
    probe : callable
        Raises for a point at which there is no derivative, or a wrong one.
    name : str
        What it is, for errors.
    """

    def __init__(self, call, derivative, transpose, probe, name):
        self.call = call
        self.derivative, self.transpose = derivative, transpose
        self.probe, self.name = probe, name

    def __call__(self, x):
        """Apply the map to a batch."""
        needs_gradient = torch.is_grad_enabled() and x.requires_grad
        return _NonlinearFunction.apply(x, self, needs_gradient)


class _NonlinearFunction(torch.autograd.Function):
    """A map of batches with a derivative of its own."""

    @staticmethod
    def forward(x, nonlinear, needs_gradient):
        with _full_precision(x):
            if needs_gradient:
                nonlinear.probe(x)
            return nonlinear.call(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.nonlinear, _ = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        nonlinear = ctx.nonlinear
        result = _Derivative.apply(
            x, gradient, nonlinear.transpose, nonlinear.derivative, nonlinear
        )
        return result, None, None

    @staticmethod
    def vmap(info, in_dims, x, nonlinear, needs_gradient):
        x = x.movedim(in_dims[0], 0)
        result = _NonlinearFunction.apply(
            x.flatten(0, 1), nonlinear, needs_gradient
        )
        return result.unflatten(0, x.shape[:2]), 0

    @staticmethod
    def jvp(ctx, tangent, *_):
        (x,) = ctx.saved_tensors
        nonlinear = ctx.nonlinear
        return _Derivative.apply(
            x, tangent, nonlinear.derivative, nonlinear.transpose, nonlinear
        )


class _Derivative(torch.autograd.Function):
    """The derivative at a point: linear in the direction, and the last."""

    @staticmethod
    def forward(x, direction, apply, transpose, nonlinear):
        with _full_precision(x):
            return apply(x, direction)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, ctx.apply_batch, ctx.transpose_batch, ctx.nonlinear = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        # None, and not zeros, says that the point is constant
        ctx.set_materialize_grads(False)

    @staticmethod
    def _refuse(nonlinear):
        raise NotImplementedError(
            f'{nonlinear.name} has derivatives of first order only, and a '
            'second one was asked for'
        )

    @staticmethod
    def backward(ctx, gradient):
        if gradient is None:
            return (None,) * 5
        if ctx.needs_input_grad[0]:
            _Derivative._refuse(ctx.nonlinear)
        (x,) = ctx.saved_tensors
        result = _Derivative.apply(
            x, gradient, ctx.transpose_batch, ctx.apply_batch, ctx.nonlinear
        )
        return None, result, None, None, None

    @staticmethod
    def vmap(info, in_dims, x, direction, *rest):
        size = info.batch_size
        x, direction = (
            tensor.expand(size, *tensor.shape)
            if axis is None
            else tensor.movedim(axis, 0)
            for tensor, axis in zip((x, direction), in_dims[:2], strict=True)
        )
        result = _Derivative.apply(
            x.flatten(0, 1), direction.flatten(0, 1), *rest
        )
        return result.unflatten(0, x.shape[:2]), 0

    @staticmethod
    def jvp(ctx, x_tangent, tangent, *_):
        if x_tangent is not None:
            _Derivative._refuse(ctx.nonlinear)
        (x,) = ctx.saved_tensors
        return _Derivative.apply(
            x, tangent, ctx.apply_batch, ctx.transpose_batch, ctx.nonlinear
        )
