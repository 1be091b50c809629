# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Kernels that are expanded from coefficients, those of many layers at once.

An expansion is a small product with many small steps around it. On a GPU, and
for small images, the steps of one layer after the other take longer than what
they compute, so that layers of the same kind are expanded in one go.
"""

import contextlib
import contextvars

import torch

__all__ = ('ExpandedKernel', 'expanded_together')

# The results of each layer's group; None outside of `expanded_together`.
_joint = contextvars.ContextVar('joint', default=None)


class ExpandedKernel:
    """Mix-in of convolutions with a parameter ``weight`` of coefficients.

    A derived class has a parameter ``bias`` too, which may be None.
    """

    def _kind(self):
        """Return what is the same for all layers with the same `_expand`."""
        raise NotImplementedError

    def _expand(self, weights, biases):
        """Return kernels and biases of n layers of this kind.

        Parameters
        ----------
        weights : torch.Tensor
            Coefficients of shape ``(n, *weight.shape)``.
        biases : torch.Tensor or None
            Biases of shape ``(n, *bias.shape)``.

        Returns
        -------
        kernels, biases : torch.Tensor
            Arrays of shape ``(n, ...)``.
        """
        raise NotImplementedError

    def kernel(self):
        """Return the convolution kernel and bias, as `torch.nn.Conv2d` has."""
        group = (_joint.get() or {}).get(self)
        if group is not None:
            return group.kernel(self)
        return _expanded([self])[0]


class _Group:
    """Layers of one kind, expanded once any of them is asked for."""

    def __init__(self):
        self.layers, self._kernels = [], None

    def kernel(self, layer):
        if self._kernels is None:
            kernels = _expanded(self.layers)
            self._kernels = dict(zip(self.layers, kernels, strict=True))
        return self._kernels[layer]


@contextlib.contextmanager
def expanded_together(modules):
    """Context in which layers of the same kind are expanded in one go.

    The results are those of the layers alone, up to rounding. The weights must
    not change in the context. Within another such context, and where torch
    compiles or exports, it has no effect.

    Parameters
    ----------
    modules : iterable of torch.nn.Module
        Modules whose layers are meant, those inside of them included.
    """
    if (
        _joint.get() is not None
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    ):
        yield
        return
    groups, joint = {}, {}
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, ExpandedKernel) and layer not in joint:
                group = groups.setdefault(_key(layer), _Group())
                group.layers.append(layer)
                joint[layer] = group
    token = _joint.set(joint)
    try:
        yield
    finally:
        _joint.reset(token)


def _key(layer):
    """Return what layers must share to be expanded in one go."""
    weight, bias = layer.weight, layer.bias
    has_gradient = weight.requires_grad, bias is None or bias.requires_grad
    place = weight.shape, weight.dtype, weight.device
    return type(layer), layer._kind(), bias is None, *place, has_gradient


def _expanded(layers):
    """Return the kernel and bias of each of some layers of one kind."""
    weights = torch.stack([layer.weight for layer in layers])
    biases = None
    if layers[0].bias is not None:
        biases = torch.stack([layer.bias for layer in layers])
    kernels, biases = layers[0]._expand(weights, biases)
    return list(zip(kernels.unbind(), biases.unbind(), strict=True))
