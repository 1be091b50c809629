# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Losses of the training, with and without ground truth.

`ReconstructionTask` takes one of them, or a weighted sum. Those without ground
truth need an assumption instead, which each of them states and checks: the
noise is known (`SURE`, `RecorruptedData`), measurements have independent noise
(`MeasurementSplitting`, `Noise2Inverse`), or images are as likely as moved
ones (`EquivariantSplitting`, `EquivariantImaging`).
"""

from odl_equivariant.training.losses.base import Loss, SumOfLosses
from odl_equivariant.training.losses.groups import (
    commutation_error,
    unseen_share,
)
from odl_equivariant.training.losses.imaging import (
    EquivariantImaging,
    RobustEquivariantImaging,
)
from odl_equivariant.training.losses.noise import (
    GaussianNoise,
    Noise,
    PoissonGaussianNoise,
    PoissonNoise,
)
from odl_equivariant.training.losses.noise2inverse import Noise2Inverse
from odl_equivariant.training.losses.problem import Problem
from odl_equivariant.training.losses.recorrupted import RecorruptedData
from odl_equivariant.training.losses.risk import SURE, MeasurementConsistency
from odl_equivariant.training.losses.robust import Charbonnier
from odl_equivariant.training.losses.splitting import (
    EquivariantSplitting,
    MeasurementSplitting,
)
from odl_equivariant.training.losses.supervised import Supervised

__all__ = (
    'Charbonnier',
    'EquivariantImaging',
    'EquivariantSplitting',
    'GaussianNoise',
    'Loss',
    'MeasurementConsistency',
    'MeasurementSplitting',
    'Noise',
    'Noise2Inverse',
    'PoissonGaussianNoise',
    'PoissonNoise',
    'Problem',
    'RecorruptedData',
    'RobustEquivariantImaging',
    'SURE',
    'SumOfLosses',
    'Supervised',
    'commutation_error',
    'unseen_share',
)
