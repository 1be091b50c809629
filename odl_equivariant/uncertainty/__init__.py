# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How far a reconstruction is from the truth, without knowing the truth."""

from odl_equivariant.uncertainty.conformal import Calibration, calibrate
from odl_equivariant.uncertainty.ensembles import Ensemble, ensemble
from odl_equivariant.uncertainty.noise import GaussianNoise, PoissonNoise
from odl_equivariant.uncertainty.resampling import Bootstrap, bootstrap
from odl_equivariant.uncertainty.result import Uncertainty
from odl_equivariant.uncertainty.transforms import (
    declared_group,
    default_actions,
)

__all__ = (
    'bootstrap',
    'Bootstrap',
    'ensemble',
    'Ensemble',
    'Uncertainty',
    'calibrate',
    'Calibration',
    'default_actions',
    'declared_group',
    'GaussianNoise',
    'PoissonNoise',
)
