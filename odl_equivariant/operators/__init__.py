# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Bridges between ODL operators and torch modules, and forward models."""

from odl_equivariant.operators import (  # noqa: F401  (they register)
    _batched_actions,
    _batched_differences,
    _batched_fourier,
    _batched_functionals,
    _batched_odl,
    _batched_own,
    _batched_products,
)
from odl_equivariant.operators._loop import PerformanceWarning
from odl_equivariant.operators.batched import (
    AdjointOperator,
    register_batched,
)
from odl_equivariant.operators.coils import SensitivityEncoding
from odl_equivariant.operators.filtered_backprojection import (
    LimitedAngleWarning,
    filtered_backprojection,
)
from odl_equivariant.operators.fourier import UnitaryFourierTransform
from odl_equivariant.operators.group_average import GroupAverage
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.operators.masks import CartesianMask
from odl_equivariant.operators.network import NetworkOperator
from odl_equivariant.operators.operator_norm import operator_norm
from odl_equivariant.operators.ray_matrices import (
    RayMatrixMemoryWarning,
    configure_ray_matrices,
)
from odl_equivariant.operators.subsampled_fourier import (
    SubsampledFourierTransform,
)

__all__ = (
    'AdjointOperator',
    'CartesianMask',
    'GroupAverage',
    'LimitedAngleWarning',
    'NetworkOperator',
    'OperatorLayer',
    'PerformanceWarning',
    'RayMatrixMemoryWarning',
    'SensitivityEncoding',
    'SubsampledFourierTransform',
    'UnitaryFourierTransform',
    'configure_ray_matrices',
    'filtered_backprojection',
    'operator_norm',
    'register_batched',
)
