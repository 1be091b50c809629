# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps of our own operators, and of ODL's with our back-end."""

from odl.applications.tomo import RayTransform
from odl.applications.tomo.backends.astra_cuda import AstraCudaImpl
from torch import nn

from odl_equivariant.elements import merge_complex, split_complex
from odl_equivariant.operators._astra_cuda import CudaRays
from odl_equivariant.operators._astra_matrix import AstraMatrixImpl
from odl_equivariant.operators._layout import layouts
from odl_equivariant.operators.batched import register_batched
from odl_equivariant.operators.network import NetworkOperator

__all__ = ()


@register_batched(RayTransform)
def _ray_transform(operator):
    implementation = operator.get_impl(operator.use_cache)
    if isinstance(implementation, AstraCudaImpl):
        if not all(isinstance(w.weights(), float) for w in layouts(operator)):
            return None
        rays = CudaRays(operator)
        return rays.apply, rays.transpose
    if not isinstance(implementation, AstraMatrixImpl):
        return None
    return implementation.forward, implementation.transpose


class _Network(nn.Module):
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
                f'the range {self.range.space!r}, got {tuple(y.shape)}'
            )
        # under autocast, modules return less than the precision of the space
        y = y.to(self.range.real_dtype)
        return merge_complex(y) if self.range.is_complex else y


@register_batched(NetworkOperator)
def _network(operator):
    return _Network(operator)
