# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Equivariant layers from which a network can be built."""

from odl_equivariant.nn.layers.base import Layer
from odl_equivariant.nn.layers.convolution import SteerableConvolution
from odl_equivariant.nn.layers.fields import Fields
from odl_equivariant.nn.layers.group_pooling import GroupPooling, MaxPooling
from odl_equivariant.nn.layers.nonlinearities import (
    GatedNonlinearity,
    NormNonlinearity,
    PointwiseNonlinearity,
)
from odl_equivariant.nn.layers.pooling import AveragePooling, Upsampling
from odl_equivariant.nn.layers.residual import ResidualBlock

__all__ = (
    'Fields',
    'Layer',
    'SteerableConvolution',
    'PointwiseNonlinearity',
    'NormNonlinearity',
    'GatedNonlinearity',
    'ResidualBlock',
    'AveragePooling',
    'MaxPooling',
    'Upsampling',
    'GroupPooling',
)
