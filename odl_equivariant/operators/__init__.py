# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Bridges between ODL operators and torch modules, and forward models."""

from odl_equivariant.operators.batching.loop import PerformanceWarning
from odl_equivariant.operators.batching.registry import (
    AdjointOperator,
    register_batched,
)
from odl_equivariant.operators.degradations.convolution import Convolution
from odl_equivariant.operators.degradations.downsampling import Downsampling
from odl_equivariant.operators.degradations.hadamard import HadamardTransform
from odl_equivariant.operators.degradations.masking import Masking
from odl_equivariant.operators.degradations.measurements import (
    RandomMeasurements,
)
from odl_equivariant.operators.fourier.coils import SensitivityEncoding
from odl_equivariant.operators.fourier.coordinates import (
    angular_frequencies,
    radial_trajectory,
    spiral_trajectory,
)
from odl_equivariant.operators.fourier.density import (
    gridding,
    pipe_menon_weights,
    radial_weights,
)
from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.non_uniform import (
    NonUniformFourierTransform,
)
from odl_equivariant.operators.fourier.non_uniform_normal import (
    NonUniformNormalOperator,
)
from odl_equivariant.operators.fourier.poisson_disc import PoissonDiscMask
from odl_equivariant.operators.fourier.subsampled import (
    SubsampledFourierTransform,
)
from odl_equivariant.operators.fourier.unitary import UnitaryFourierTransform
from odl_equivariant.operators.framewise import FramewiseOperator
from odl_equivariant.operators.group_average import GroupAverage
from odl_equivariant.operators.layer import OperatorLayer
from odl_equivariant.operators.network import NetworkOperator
from odl_equivariant.operators.operator_norm import operator_norm
from odl_equivariant.operators.ray.filtered_backprojection import (
    LimitedAngleWarning,
    filtered_backprojection,
)
from odl_equivariant.operators.ray.matrices import (
    RayMatrixMemoryWarning,
    configure_ray_matrices,
)
from odl_equivariant.operators.slicewise import SlicewiseOperator

__all__ = (
    'AdjointOperator',
    'CartesianMask',
    'Convolution',
    'Downsampling',
    'FramewiseOperator',
    'GroupAverage',
    'HadamardTransform',
    'LimitedAngleWarning',
    'Masking',
    'NetworkOperator',
    'NonUniformFourierTransform',
    'NonUniformNormalOperator',
    'OperatorLayer',
    'PerformanceWarning',
    'PoissonDiscMask',
    'RandomMeasurements',
    'RayMatrixMemoryWarning',
    'SensitivityEncoding',
    'SlicewiseOperator',
    'SubsampledFourierTransform',
    'UnitaryFourierTransform',
    'angular_frequencies',
    'configure_ray_matrices',
    'filtered_backprojection',
    'gridding',
    'operator_norm',
    'pipe_menon_weights',
    'radial_trajectory',
    'radial_weights',
    'register_batched',
    'spiral_trajectory',
)
