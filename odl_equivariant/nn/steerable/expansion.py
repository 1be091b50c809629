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

    A derived class has a parameter ``bias`` too, which may be None. Within
    `expanded_together` kernels are parts of one array, which torch lets
    nobody change in place where gradients are needed.
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
        found = None
        # torch compiles no variables of a context
        if not _is_traced():
            group = (_joint.get() or {}).get(self)
            found = None if group is None else group.taken(self)
        return _expanded([self])[0] if found is None else found


class _Group:
    """Layers of one kind, expanded once any of them is asked for."""

    def __init__(self):
        self.layers, self._kernels = [], None
        self._has_gradients = torch.is_grad_enabled()

    def taken(self, layer):
        """Return the kernel of a layer once, so that no change of it leaks.

        None where it was taken, or where gradients are not as they were when
        the context began.
        """
        if torch.is_grad_enabled() != self._has_gradients:
            return None
        if self._kernels is None:
            kernels = _expanded(self.layers)
            self._kernels = dict(zip(self.layers, kernels, strict=True))
        return self._kernels.pop(layer, None)


@contextlib.contextmanager
def expanded_together(modules):
    """Context in which layers of the same kind are expanded in one go.

    The results are those of the layers alone, up to rounding. The weights must
    not change in the context. Layers of a kind that are not asked for have
    gradients of zero, not None. Within another such context, and where torch
    compiles or exports, it has no effect.

    Parameters
    ----------
    modules : iterable of torch.nn.Module
        Modules whose layers are meant, those inside of them included.
    """
    if _is_traced() or _joint.get() is not None:
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


def _is_traced():
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


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
    if len(layers) == 1:
        return [(kernels.squeeze(0), biases.squeeze(0))]
    return list(zip(kernels.unbind(), biases.unbind(), strict=True))
