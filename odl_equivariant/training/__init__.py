# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Training, evaluation and reconstruction, also from the command line."""

from odl_equivariant.training import _lightning  # noqa: F401
from odl_equivariant.training.data import ReconstructionData
from odl_equivariant.training.display import ImagePanels
from odl_equivariant.training.runs.checkpoints import CheckpointFiles
from odl_equivariant.training.runs.run_folder import RunFolder
from odl_equivariant.training.scores.metrics import scores
from odl_equivariant.training.task import ReconstructionTask
from odl_equivariant.training.trainer import Trainer

__all__ = (
    'CheckpointFiles',
    'ImagePanels',
    'ReconstructionData',
    'ReconstructionTask',
    'RunFolder',
    'Trainer',
    'scores',
)
