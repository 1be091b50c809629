# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Copies of modules with plain convolutions for the steerable ones."""

import copy

import torch
from torch import nn

from odl_equivariant.nn._convolution import PaddedConvolution
from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.orbits import OrbitConvolution

__all__ = ('padded_convolution', 'plain_copy')


_STEERABLE = (SteerableConvolution, MixedConvolution, OrbitConvolution)


def plain_copy(module):
    """Return a copy of a module in which no convolution has a basis."""
    if isinstance(module, _STEERABLE):
        return padded_convolution(module)
    copies = {}
    for child in module.modules():
        # parts of a mixed one are looked at as well, in vain
        if isinstance(child, _STEERABLE):
            copies[id(child)] = padded_convolution(child)
    return copy.deepcopy(module, copies)


def padded_convolution(layer, has_bias=True):
    """Return the ordinary convolution with the kernel of a steerable one.

    Without a bias only if that of the steerable one is zero or missing.
    """
    with torch.no_grad():
        kernel, bias = layer.kernel()
    with torch.device('meta'):
        plain = PaddedConvolution(
            kernel.shape[1],
            kernel.shape[0],
            kernel.shape[-1],
            layer.padding_mode,
            bias=has_bias,
            dimension=kernel.ndim - 2,
        )
    values = {'weight': kernel} | ({'bias': bias} if has_bias else {})
    for name, value in values.items():
        trained = any(
            parameter.requires_grad
            for key, parameter in layer.named_parameters()
            if key.rpartition('.')[2] == name
        )
        setattr(plain, name, nn.Parameter(value.clone(), trained))
    return plain
