# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Shapes, dtypes and weights of the tensors for a space."""

import odl
import torch

from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    is_complex,
    merge_complex,
    n_parts,
    split_complex,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights

__all__ = ('Constant', 'Layout', 'Weights', 'layouts')

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class Constant:
    """A constant tensor, with a copy on each device that uses it.

    Parameters
    ----------
    tensor : torch.Tensor
        Its value.
    """

    def __init__(self, tensor):
        self._original = self._outside_inference(tensor, tensor.device)
        self._tensors = {tensor.device: self._original}

    def like(self, x):
        """Return the constant on the device of ``x``."""
        tensor = self._tensors.get(x.device)
        if tensor is None:
            tensor = self._outside_inference(self._original, x.device)
            self._tensors[x.device] = tensor
        return tensor

    @staticmethod
    def _outside_inference(tensor, device):
        """Return a tensor that autograd may save in later training."""
        with torch.inference_mode(False):
            if tensor.is_inference():
                tensor = tensor.clone()
            return tensor.to(device)


class Layout:
    """How a batch of elements lies in a tensor, in the complex layout.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace`, `ProductSpace` or `Field`
        Space of the elements; those of a field are numbers, and lie in a
        tensor of shape ``(N, 1)``.
    real_dtype : torch.dtype, optional
        Precision of a field, which knows none itself.
    """

    def __init__(self, space, real_dtype=None):
        self.space = space
        self.is_field = isinstance(space, odl.Field)
        if self.is_field:
            self.shape = (1,)
            self.is_complex = isinstance(space, odl.ComplexNumbers)
            self.real_dtype = real_dtype or torch.float64
        else:
            self.shape = (n_parts(space), *grid_shape(space))
            self.is_complex = is_complex(space)
            self.real_dtype = tensor_dtype(space)
        self.dtype = (
            _COMPLEX[self.real_dtype] if self.is_complex else self.real_dtype
        )
        channels = self.shape[0] * (2 if self.is_complex else 1)
        self.channels_shape = (channels, *self.shape[1:])

    def element(self, sample):
        """Return one sample as a new element."""
        if self.is_field:
            return sample.item()
        sample = sample.detach()[None]
        if self.is_complex:
            sample = split_complex(sample)
        return as_element(sample, self.space, copy=True)

    def tensor(self, element):
        """Return an element as one sample, which may share its memory."""
        if self.is_field:
            number = complex(element)
            number = number if self.is_complex else number.real
            return torch.tensor([number], dtype=self.dtype)
        sample = as_tensor(element)
        return (merge_complex(sample) if self.is_complex else sample)[0]

    def cast(self, x):
        """Return a tensor as one of the space's field, by its real part."""
        if x.is_complex() and not self.is_complex:
            x = x.real
        return x.to(self.dtype)

    def zeros(self, x):
        """Return as many zeros as ``x`` has samples, on its device."""
        return x.new_zeros((len(x), *self.shape), dtype=self.dtype)

    def weights(self):
        """Return the weights of the inner product, a number or a tensor.

        Returns
        -------
        weights : float or torch.Tensor
            One number if all weights are equal, else a real tensor that is
            broadcastable to ``(P, *shape)``, of the precision of the space.
        """
        if self.is_field:
            return 1.0
        weights = inner_product_weights(self.space)
        if (weights == weights.flatten()[0]).all():
            return float(weights.flatten()[0])
        # both parts of a complex number have the same weight
        return weights[:: 2 if self.is_complex else 1].to(self.real_dtype)


def layouts(operator):
    """Return the layouts of an operator's domain and range."""
    spaces = (operator.domain, operator.range)
    dtypes = [tensor_dtype(s) for s in spaces if not isinstance(s, odl.Field)]
    real_dtype = dtypes[0] if dtypes else None
    return tuple(Layout(space, real_dtype) for space in spaces)


class Weights:
    """The weights of a space's inner product, to multiply batches with.

    Parameters
    ----------
    layout : Layout
        Layout of the space.
    """

    def __init__(self, layout):
        weights = layout.weights()
        self.number = weights if isinstance(weights, float) else None
        if self.number is None:
            self._weights = Constant(weights)
            self._inverse = Constant(1 / weights)

    def times(self, x):
        """Return a batch times the weights."""
        if self.number is not None:
            return x if self.number == 1 else x * self.number
        return x * self._weights.like(x)

    def divide(self, x):
        """Return a batch divided by the weights."""
        if self.number is not None:
            return x if self.number == 1 else x * (1 / self.number)
        return x * self._inverse.like(x)
