# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Equivariant torch modules, on escnn, and their ordinary counterparts."""

from odl_equivariant.nn import layers
from odl_equivariant.nn.blocks.averaged import AveragedProximal
from odl_equivariant.nn.blocks.contract import Block
from odl_equivariant.nn.blocks.multiscale import (
    MultiscaleDenoiser,
    MultiscaleProximal,
)
from odl_equivariant.nn.blocks.space_time import SpaceTimeProximal
from odl_equivariant.nn.convolution_norm import convolution_norm
from odl_equivariant.nn.dual.proximal import DualProximal
from odl_equivariant.nn.energies.base import Energy
from odl_equivariant.nn.energies.denoiser import EnergyDenoiser
from odl_equivariant.nn.energies.gradient_step import (
    GradientStepDenoiser,
    GradientStepEnergy,
)
from odl_equivariant.nn.energies.proximal_denoiser import (
    ProximalDenoiser,
    hessian_norm,
)
from odl_equivariant.nn.energies.ridge import RidgeEnergy
from odl_equivariant.nn.export import to_convolutional
from odl_equivariant.nn.inference import for_inference
from odl_equivariant.nn.normalised import Normalised
from odl_equivariant.nn.proximal import EquivariantProximal, OrdinaryProximal
from odl_equivariant.nn.scaling.at_scales import AtScales
from odl_equivariant.nn.unrolled.base import UnrolledMethod
from odl_equivariant.nn.unrolled.half_quadratic_splitting import (
    LearnedHalfQuadraticSplitting,
)
from odl_equivariant.nn.unrolled.primal_dual import LearnedPrimalDual
from odl_equivariant.nn.unrolled.proximal_gradient import (
    LearnedProximalGradient,
)

__all__ = (
    'AtScales',
    'AveragedProximal',
    'layers',
    'Block',
    'Energy',
    'EnergyDenoiser',
    'EquivariantProximal',
    'GradientStepDenoiser',
    'GradientStepEnergy',
    'OrdinaryProximal',
    'MultiscaleDenoiser',
    'MultiscaleProximal',
    'ProximalDenoiser',
    'RidgeEnergy',
    'SpaceTimeProximal',
    'DualProximal',
    'LearnedHalfQuadraticSplitting',
    'LearnedProximalGradient',
    'LearnedPrimalDual',
    'UnrolledMethod',
    'Normalised',
    'to_convolutional',
    'for_inference',
    'convolution_norm',
    'hessian_norm',
)
