# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Torch modules as ODL operators."""

from __future__ import annotations

import functools
import itertools
import math

import torch
from torch import nn

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._locks import Lock
from odl_equivariant._types import ElementLike, Operator, Space
from odl_equivariant._warnings import quiet, warn_user
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    describe_space,
    first_part,
    grid_shape,
    merge_complex,
    n_channels,
    split_complex,
    tensor_device,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.batching.layout import layouts
from odl_equivariant.operators.batching.registry import register_batched

__all__ = ('NetworkOperator',)

# of the parts of a module in `repr`
_MOST_NAMES = 4

# Layers whose results in training mode are random, or depend on the batch.
_FOR_TRAINING = (
    nn.modules.dropout._DropoutNd,
    nn.modules.batchnorm._BatchNorm,
    nn.RReLU,
)

# torch has one forward mode for all threads
_FORWARD_MODE = Lock()


def _space_layout(space):
    return (n_channels(space), *grid_shape(space))


def _module_tensors(module):
    """Yield parameters and buffers, without their names.

    At each call of an operator, torch would put the names together again.
    """
    if isinstance(module, torch.jit.ScriptModule):
        yield from itertools.chain(module.parameters(), module.buffers())
        return
    found, parts = {module}, [module]
    while parts:
        part = parts.pop()
        for tensors in (part._parameters, part._buffers):
            for tensor in tensors.values():
                if tensor is not None:
                    yield tensor
        for child in part._modules.values():
            if child is not None and child not in found:
                found.add(child)
                parts.append(child)


@functools.cache
def _load_forward_mode():
    """Let torch load its forward mode, which warns about torch's own code."""
    with quiet(category=DeprecationWarning):
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))


class NetworkOperator(CheckedOperator):
    r"""A torch module as an ODL operator.

    Parameters
    ----------
    module : torch.nn.Module
        Module that maps tensors of shape ``(1, C, *domain.shape)`` to
        ``(1, C', *range.shape)``, in the layout of
        `odl_equivariant.elements`: one channel for a real space, two for a
        complex one, and those of its parts for a product space. Its training
        or evaluation mode is kept: call ``module.eval()`` first if it has
        dropout or batch normalisation.
    domain : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the inputs, backed by numpy or pytorch, of the precision of
        the module's parameters.
    range : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`, optional
        Space of the outputs. Default: ``domain``.

    Raises
    ------
    TypeError
        If ``module`` is no module, a space cannot be laid out as a tensor, or
        the module's parameters have another precision than the spaces.
    ValueError
        If the module's ``in_channels`` or ``out_channels`` do not fit the
        spaces, its method ``check_space``, if it has one, refuses the domain,
        or the module lies on another device than a pytorch space. When the
        operator is applied: if the module fails for the shape of the domain,
        the input or the result is not finite, or the result has the wrong
        shape.

    Warns
    -----
    UserWarning
        Once, if the operator is applied while the module is in training mode
        and has dropout or batch normalisation.

    Notes
    -----
    With :math:`J` the Jacobian of the module at :math:`x` in the tensors'
    real coordinates and :math:`w_X, w_Y` the weights of the inner products,
    ``derivative(x)`` is :math:`h \mapsto J h` (forward mode) and its adjoint

    .. math::
        k \mapsto w_X^{-1} J^T (w_Y\, k)

    (reverse mode). On complex spaces a network is differentiable as a map of
    real and imaginary parts only: the derivative is real-linear, and the
    adjoint satisfies :math:`\mathrm{Re} \langle D h, k \rangle = \mathrm{Re}
    \langle h, D^* k \rangle`.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    >>> operator = NetworkOperator(nn.LeakyReLU(0.5), space)
    >>> float(operator(-space.one())[0, 0])
    -0.5
    >>> adjoint = operator.derivative(-space.one()).adjoint
    >>> float(adjoint(space.one())[0, 0])
    0.5
    """

    def __init__(
        self,
        module: torch.nn.Module,
        domain: Space,
        range: Space | None = None,
    ) -> None:
        range = domain if range is None else range
        if not isinstance(module, nn.Module):
            raise TypeError(
                '`module` must be a `torch.nn.Module`, got '
                f'{type(module).__name__}'
            )
        if hasattr(module, 'check_space'):
            module.check_space(domain)  # type: ignore[operator]
        self._check_channels(module, domain, 'in_channels', 'domain')
        self._check_channels(module, range, 'out_channels', 'range')
        if tensor_dtype(domain) != tensor_dtype(range):
            raise TypeError(
                'domain and range must have the same precision, got '
                f'{tensor_dtype(domain)} and {tensor_dtype(range)}'
            )
        inner_product_weights(domain), inner_product_weights(range)
        self.module = module
        self._is_mode_checked = False
        super().__init__(domain=domain, range=range, linear=False)
        self._module_device()

    @staticmethod
    def _check_channels(module, space, attribute, name):
        expected = _space_layout(space)[0]
        given = getattr(module, attribute, None)
        if isinstance(given, int) and given != expected:
            raise ValueError(
                f'the {name} {describe_space(space)} has {expected} '
                'channel(s) (two for a '
                f'complex space), the module has {attribute}={given}'
            )

    def _module_device(self):
        """Return the device to compute on, once everything agrees on it.

        Checked at each call, since modules may be moved at any time.
        """
        dtype = tensor_dtype(self.domain)
        device = tensor_device(self.domain)
        devices = set()
        for tensor in _module_tensors(self.module):
            devices.add(tensor.device)
            if tensor.is_floating_point() and tensor.dtype != dtype:
                kind = 'float32' if dtype == torch.float32 else 'float64'
                raise TypeError(
                    f'the module has {tensor.dtype} weights, the space '
                    f'{describe_space(self.domain)} needs {dtype}: make '
                    'the space of the '
                    "weights' precision, or the module with "
                    f'`module.to(torch.{kind})`'
                )
        if not devices:
            return device
        if len(devices) > 1:
            raise ValueError(
                'the module must lie on one device, got '
                f'{sorted(map(str, devices))}'
            )
        found = devices.pop()
        elsewhere = found.type != device.type or (
            device.index is not None and found.index != device.index
        )
        # numpy arrays can be copied to any device that has a memory
        if found.type == 'meta' or (
            elsewhere and first_part(self.domain).impl == 'pytorch'
        ):
            raise ValueError(
                f'the module lies on {found}, the space on {device}: move it '
                f"with `module.to('{device}')`"
            )
        return found

    def _check_mode(self):
        """Give a warning, once, of layers that are for training."""
        if self._is_mode_checked or not self.module.training:
            return
        self._is_mode_checked = True
        names = {
            type(part).__name__
            for part in self.module.modules()
            if part.training
            and isinstance(part, _FOR_TRAINING)
            # dropout of nothing is the identity
            and getattr(part, 'p', None) != 0
        }
        if names:
            warn_user(
                'the module is in training mode, in which its parts '
                f'{", ".join(sorted(names))} give random results, or results '
                'that depend on the other images: call `module.eval()`',
                UserWarning,
            )

    def _evaluate(self, x):
        """Apply the module to a tensor and check what comes out."""
        self._check_mode()
        try:
            y = self.module(x)
        except RuntimeError as error:
            # its subclasses (out of memory, ...) are about something else
            if type(error) is not RuntimeError:
                raise
            raise ValueError(
                f'the module fails for a tensor of shape {tuple(x.shape)}, '
                'the layout of an element of '
                f'{describe_space(self.domain)}: {error}'
            ) from error
        expected = (1, *_space_layout(self.range))
        if not isinstance(y, torch.Tensor):
            raise TypeError(
                'the module must return a `torch.Tensor`, got '
                f'{type(y).__name__}'
            )
        if tuple(y.shape) != expected:
            raise ValueError(
                f'the module must map {tuple(x.shape)} to {expected} for the '
                f'range {describe_space(self.range)}, got {tuple(y.shape)}'
            )
        if y.dtype != tensor_dtype(self.range):
            raise TypeError(
                f'the module must return {tensor_dtype(self.range)} for the '
                f'range {describe_space(self.range)}, got {y.dtype}'
            )
        return y

    @staticmethod
    def _check_finite(tensor, what):
        # The sum of all is finite only if each of them is, and takes a tenth
        # of the time. It may overflow.
        if not (math.isfinite(tensor.sum()) or torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f'{what} must be finite, got {count} NaN or infinite of '
                f'{tensor.numel()} values'
            )

    def _input(self, x, what):
        # A copy: a module may change its input in place, or return it.
        tensor = as_tensor(x, copy=True, device=self._module_device())
        self._check_finite(tensor, what)
        return tensor

    def _call(self, x):
        with torch.no_grad():
            y = self._evaluate(self._input(x, 'the input'))
        self._check_finite(y, "the module's result")
        # Again a copy: the result may be a view of the module's own memory.
        return as_element(y, self.range, copy=True)

    def derivative(self, x: ElementLike) -> Operator:
        """Return the derivative at a point.

        Parameters
        ----------
        x : element of ``domain``
            Point of linearisation. Later changes of it, or of the module's
            parameters, do not and do change the derivative, respectively.

        Returns
        -------
        derivative : `odl.Operator`
            Linear operator from ``domain`` to ``range`` with an adjoint.
        """
        return _NetworkDerivative(self, self._element(x))

    def __repr__(self):
        """Return the module, without its parts, and the spaces."""
        module = self.module
        parts = module.extra_repr()
        if not parts:
            names = [type(child).__name__ for child in module.children()]
            names[_MOST_NAMES:] = ['...'][: len(names) > _MOST_NAMES]
            parts = ', '.join(names)
        spaces = [self.domain]
        if self.range != self.domain:
            spaces.append(self.range)
        shown = ', '.join(map(describe_space, spaces))
        name = type(module).__name__
        return f'{type(self).__name__}({name}({parts}), {shown})'


class _NetworkDerivative(CheckedOperator):
    """Derivative of a `NetworkOperator`: forward mode."""

    def __init__(self, operator, x):
        self.operator = operator
        self.point = operator._input(x, 'the point of linearisation')
        super().__init__(operator.domain, operator.range, linear=True)

    def _call(self, h):
        operator = self.operator
        direction = operator._input(h, 'the direction')
        with _FORWARD_MODE, torch.no_grad():
            _load_forward_mode()
            _, tangent = torch.func.jvp(
                operator._evaluate, (self.point.clone(),), (direction,)
            )
        operator._check_finite(tangent, 'the derivative')
        return as_element(tangent, self.range, copy=True)

    @property
    def adjoint(self):
        """Adjoint in the weighted inner products: reverse mode."""
        return _NetworkDerivativeAdjoint(self)


class _NetworkDerivativeAdjoint(CheckedOperator):
    """Adjoint of the derivative of a `NetworkOperator`: reverse mode."""

    def __init__(self, derivative):
        self._derivative = derivative
        super().__init__(derivative.range, derivative.domain, linear=True)

    def _call(self, k):
        operator = self._derivative.operator
        cotangent = operator._input(k, 'the direction')
        cotangent = cotangent * inner_product_weights(self.domain).to(
            cotangent
        )
        x = self._derivative.point.clone().requires_grad_()
        with torch.enable_grad():
            y = operator._evaluate(x.clone())
            if not y.requires_grad:  # a constant module
                return self.range.zero()
            (gradient,) = torch.autograd.grad(
                y, x, cotangent, materialize_grads=True
            )
        gradient = gradient / inner_product_weights(self.range).to(gradient)
        operator._check_finite(gradient, 'the derivative')
        return as_element(gradient, self.range, copy=True)

    @property
    def adjoint(self):
        """The derivative itself."""
        return self._derivative


class _BatchedNetwork(nn.Module):
    """The module of a `NetworkOperator`, in the complex layout."""

    def __init__(self, operator):
        super().__init__()
        self.module = operator.module
        self.domain, self.range = layouts(operator)

    def forward(self, x):
        """Apply the module to a batch."""
        y = self.module(split_complex(x) if self.domain.is_complex else x)
        expected = (len(x), *self.range.channels_shape)
        if tuple(y.shape) != expected:
            raise ValueError(
                f'the module must return a tensor of shape {expected} for '
                f'the range {describe_space(self.range.space)}, got '
                f'{tuple(y.shape)}'
            )
        # under autocast, modules return less than the precision of the space
        y = y.to(self.range.real_dtype)
        return merge_complex(y) if self.range.is_complex else y


@register_batched(NetworkOperator)
def _batched(operator):
    return _BatchedNetwork(operator)
