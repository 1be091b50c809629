# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Exports modules of escnn to plain modules of torch.

escnn's own exports are used unless they change the output. They lose the
padding mode of a convolution and the rounding mode of a pooling, and put the
original into evaluation mode.
"""

import collections
import copy
import itertools

import torch
from torch import nn

from odl_equivariant.nn._defaults import tensor_defaults

__all__ = ('is_escnn', 'without_escnn')

_FUNCTIONS = {
    'relu': nn.ReLU,
    'elu': nn.ELU,
    'sigmoid': nn.Sigmoid,
    'tanh': nn.Tanh,
}


def is_escnn(module):
    """Return whether the class of a module is or extends one of escnn."""
    return any(
        cls.__module__.partition('.')[0] == 'escnn'
        for cls in type(module).__mro__
    )


def without_escnn(module, convert):
    """Convert a module of escnn to a module of torch.

    Parameters
    ----------
    module : torch.nn.Module
        Module for which `is_escnn` holds.
    convert : callable
        What to use for the modules in it.

    Returns
    -------
    plain : torch.nn.Module
        New module of the output that ``module`` has in evaluation mode.

    Raises
    ------
    TypeError
        If there is no such module of torch.
    """
    from odl_equivariant.nn.escnn.library import enn

    kinds = {
        enn.SequentialModule: lambda m: _sequential(m, convert),
        enn.R2Conv: _convolution,
        enn.PointwiseNonLinearity: _function,
        enn.GroupPooling: _group_pooling,
        enn.PointwiseMaxPool2D: _max_pooling,
    }
    for kind, make in kinds.items():
        if isinstance(module, kind):
            if type(module).forward is not kind.forward:
                raise TypeError(
                    f'{type(module).__name__} is a {kind.__name__} with a '
                    '`forward` of its own, which cannot be converted'
                )
            return make(module)
    return _exported(module)


def _sequential(module, convert):
    return nn.Sequential(
        collections.OrderedDict(
            (name, convert(child)) for name, child in module.named_children()
        )
    )


def _convolution(module):
    if module.training:
        with torch.no_grad():
            kernel, bias = module.expand_parameters()
    else:
        # What its `forward` uses: later changes of the weights do not count.
        kernel, bias = module.filter, module.expanded_bias
    with torch.device('meta'):
        plain = nn.Conv2d(
            module.in_type.size,
            module.out_type.size,
            module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=module.groups,
            bias=bias is not None,
            padding_mode=module.padding_mode,
        )
    plain.weight = nn.Parameter(kernel.detach().clone())
    if bias is not None:
        plain.bias = nn.Parameter(bias.detach().clone())
    return plain


def _function(module):
    return _FUNCTIONS[module._function.__name__]()


def _max_pooling(module):
    return nn.MaxPool2d(
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        ceil_mode=module.ceil_mode,
    )


class _MaximumOverFields(nn.Module):
    """Maximum over the channels of each field, all of one size."""

    def __init__(self, field_size):
        super().__init__()
        self.field_size = field_size

    def forward(self, x):
        """Map ``(N, fields * size, n, m)`` to ``(N, fields, n, m)``."""
        return x.unflatten(1, (-1, self.field_size)).amax(2)


def _group_pooling(module):
    sizes = {field.size for field in module.in_type.representations}
    if len(sizes) > 1:
        raise TypeError(
            'GroupPooling over fields of different sizes, '
            f'{sorted(sizes)}, has no counterpart without escnn'
        )
    return _MaximumOverFields(sizes.pop())


def _exported(module):
    """Return a module as escnn's own export converts it."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    like = next((t for t in tensors if t.is_floating_point()), None)
    like = torch.empty(0) if like is None else like
    # kernels of evaluation mode, which have a graph and cannot be copied
    kernels = {
        id(b): b.detach().clone() for b in module.buffers() if not b.is_leaf
    }
    try:
        # In which escnn makes the new module.
        with tensor_defaults(like.dtype, like.device), torch.no_grad():
            # Of a copy, as it puts into evaluation mode what it exports.
            plain = copy.deepcopy(module, kernels).export()
    except (
        AssertionError,
        AttributeError,
        NotImplementedError,
        ValueError,
    ) as error:
        reason = ' '.join(str(error).split())
        raise TypeError(
            f'{type(module).__name__} cannot be converted to a module '
            f'without escnn: {reason}'
        ) from error
    for child in plain.modules():
        if is_escnn(child):
            raise TypeError(
                f'{type(module).__name__} cannot be converted to a module '
                f'without escnn: its export still has {type(child).__name__}'
            )
    return plain
