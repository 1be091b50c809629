# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Converts equivariant networks to networks of plain convolutions."""

import copy
import inspect

import torch
from torch import nn

from odl_equivariant.nn.blocks.averaged import AveragedProximal
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.multiscale import (
    Multiscale,
    MultiscaleDenoiser,
    MultiscaleProximal,
)
from odl_equivariant.nn.blocks.space_time import SpaceTimeProximal
from odl_equivariant.nn.escnn.export import is_escnn, without_escnn
from odl_equivariant.nn.proximal import EquivariantProximal, OrdinaryProximal
from odl_equivariant.nn.steerable.complex_linear import (
    ComplexLinearConvolution,
)
from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.orbits import OrbitConvolution
from odl_equivariant.nn.steerable.plain import padded_convolution

__all__ = ('copy_buffers', 'to_convolutional')

_STEERABLE = (
    SteerableConvolution,
    MixedConvolution,
    OrbitConvolution,
    ComplexLinearConvolution,
)

# Classes that hold others, and do nothing to their tensors.
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def to_convolutional(module: nn.Module) -> nn.Module:
    """Return the same network with plain convolutions, and without escnn.

    Parameters
    ----------
    module : torch.nn.Module
        Network in training or evaluation mode. An `EquivariantProximal`
        becomes an `OrdinaryProximal` and an unrolled method one with such
        blocks, of the same operators; a `MultiscaleDenoiser`,
        `MultiscaleProximal`, `AveragedProximal` or `SpaceTimeProximal` becomes
        one with ``group=None``. In any other module each convolution of this
        package becomes an ordinary one. A module of escnn, alone or in a
        `torch.nn.Sequential`, `torch.nn.ModuleList` or
        `torch.nn.ModuleDict`, becomes a module of torch, from tensors to
        tensors.

    Returns
    -------
    network : torch.nn.Module
        Copy in evaluation mode. Up to rounding, its output is that of
        ``module`` in evaluation mode. It has the same device and precision.
        Modules that are shared in ``module`` are shared in the copy.

    Raises
    ------
    TypeError
        If ``module`` is no module, or holds modules of escnn that cannot be
        converted: they have no ordinary counterpart, or the ``forward`` of a
        module around them hands them escnn's tensors.

    Notes
    -----
    The kernels are the sums of the basis, weighted by the coefficients. They
    have as many numbers as those of the ordinary network, and further
    training does not keep them equivariant. The non-linearity of an infinite
    group, or of complex fields, is kept as the ``nonlinearity`` of the
    `OrdinaryProximal`.

    Examples
    --------
    >>> block = EquivariantProximal(channels=8, memory=0)
    >>> plain = to_convolutional(block)
    >>> type(plain).__name__
    'OrdinaryProximal'
    >>> u = torch.randn(1, 1, 16, 16)
    >>> torch.allclose(plain(u, u), block(u, u), atol=1e-6)
    True
    """
    if not isinstance(module, nn.Module):
        raise TypeError(
            f'expected a `torch.nn.Module`, got {type(module).__name__}'
        )
    return _convert(module, {}).eval()


def _convert(module, copies):
    """Return the copy of a module.

    ``copies`` is the memo of `copy.deepcopy`. The replacements are put into
    it first, so that `copy.deepcopy` uses them instead of copies.
    """
    _replace(module, copies)
    return copy.deepcopy(module, copies)


def _replace(module, copies):
    if id(module) in copies:
        return
    if type(module) is EquivariantProximal:
        copies[id(module)] = _ordinary_proximal(module)
    elif (
        type(module) in (MultiscaleDenoiser, MultiscaleProximal)
        and module.group is not None
    ):
        copies[id(module)] = _ordinary_twin(module)
    elif type(module) is AveragedProximal and module.group is not None:
        copies[id(module)] = _ordinary_averaged(module)
    elif type(module) is SpaceTimeProximal and module.group is not None:
        copies[id(module)] = _ordinary_in_time(module)
    elif isinstance(module, _STEERABLE):
        copies[id(module)] = padded_convolution(module)
    elif is_escnn(module):
        copies[id(module)] = without_escnn(
            module, lambda child: _convert(child, copies)
        )
    else:
        if type(module) not in _CONTAINERS and any(
            is_escnn(child) for child in module.modules()
        ):
            raise TypeError(
                f'{type(module).__name__} has modules of escnn, and hands '
                'them their tensors in a `forward` of its own, which cannot '
                'be converted: convert the modules in it one by one, and '
                'write a `forward` for plain tensors'
            )
        for child in module.children():
            _replace(child, copies)


def _ordinary_proximal(block):
    arguments = {
        name: getattr(block, name)
        for name in inspect.signature(OrdinaryProximal).parameters
    }
    arguments['nonlinearity'] = block.described_nonlinearity()
    with torch.device('meta'):
        plain = OrdinaryProximal(**arguments)
    bias = not block.homogeneous
    plain.lift = padded_convolution(block.lift, bias)
    plain.residual = nn.ModuleList(
        padded_convolution(layer, bias) for layer in block.residual
    )
    plain.project = padded_convolution(block.project, bias)
    plain.activations = copy.deepcopy(block.activations)
    copy_buffers(block, plain)
    return plain


def _ordinary_twin(block: Multiscale) -> Multiscale:
    arguments = {**block.architecture['arguments'], 'group': None}
    for name in ('basis', 'axis'):
        arguments.pop(name, None)
    with torch.device('meta'):
        plain = type(block)(**arguments, dimension=block.dimension)

    def converted(layer):
        return padded_convolution(layer, not block.homogeneous)

    plain.lift = converted(block.lift)
    plain.hidden = nn.ModuleList(map(converted, block.hidden))
    plain.project = converted(block.project)
    copy_buffers(block, plain)
    return plain


def _ordinary_averaged(block):
    arguments = {**block.architecture['arguments'], 'group': None}
    with torch.device('meta'):
        plain = AveragedProximal(**{**arguments, 'basis': None})
    plain.filters = nn.ModuleList(
        padded_convolution(layer, False) for layer in block.filters
    )
    size = block.channels // len(block.log_thresholds[0])
    plain.log_thresholds = nn.ParameterList(
        nn.Parameter(
            thresholds.detach().repeat_interleave(size),
            thresholds.requires_grad,
        )
        for thresholds in block.log_thresholds
    )
    plain.step_logits = copy.deepcopy(block.step_logits)
    copy_buffers(block, plain)
    return plain


def _ordinary_in_time(block):
    arguments = {**block.architecture['arguments'], 'group': None}
    arguments.pop('basis', None)
    with torch.device('meta'):
        plain = SpaceTimeProximal(**arguments)
    bias = not block.homogeneous
    plain.lift = padded_convolution(block.lift, bias)
    plain.residual = nn.ModuleList(
        padded_convolution(layer, bias) for layer in block.residual
    )
    plain.project = padded_convolution(block.project, bias)
    for layer, target in zip(block.temporal, plain.temporal, strict=True):
        kernel = layer.kernel()[0][..., 0].detach()
        weight = kernel[..., : target.weight.shape[2]].clone()
        target.weight = nn.Parameter(weight, layer.weight.requires_grad)
    copy_buffers(block, plain)
    return plain


def copy_buffers(module: Proximal, plain: Proximal) -> None:
    """Copy the own buffers of a proximal, without those of its layers."""
    plain.value_range = module.value_range
    for name, buffer in module.named_buffers(recurse=False):
        setattr(plain, name, copy.deepcopy(buffer))
