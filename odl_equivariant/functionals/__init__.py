# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Functionals: learned ones, invariant ones, and data fits."""

from odl_equivariant.functionals.data_fits.least_squares import LeastSquares
from odl_equivariant.functionals.data_fits.transmission import (
    TransmissionLikelihood,
)
from odl_equivariant.functionals.films.frequencies import TemporalFourierNorm
from odl_equivariant.functionals.films.low_rank import CasoratiNuclearNorm
from odl_equivariant.functionals.generalized_variation import (
    InvariantTotalGeneralizedVariation,
    LiftedGradients,
)
from odl_equivariant.functionals.learned import LearnedProximal
from odl_equivariant.functionals.regularizer import LearnedRegularizer
from odl_equivariant.functionals.variation import (
    ConvergenceWarning,
    InvariantTotalVariation,
    OneSidedGradients,
)

__all__ = (
    'CasoratiNuclearNorm',
    'ConvergenceWarning',
    'InvariantTotalGeneralizedVariation',
    'InvariantTotalVariation',
    'LearnedProximal',
    'LearnedRegularizer',
    'LeastSquares',
    'LiftedGradients',
    'OneSidedGradients',
    'TemporalFourierNorm',
    'TransmissionLikelihood',
)
