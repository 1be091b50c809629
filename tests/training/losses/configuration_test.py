# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Losses in configurations: by class paths, with groups and noise."""

import pytest
import yaml

from odl_equivariant.actions import Rotation, Translation
from odl_equivariant.training import ReconstructionTask, losses
from odl_equivariant.training.configuration.permissions import (
    nameable,
    restricted,
)

CONFIGURATION = """
acquisition:
  class_path: odl_equivariant.data.SparseViewCT
  init_args: {shape: [16, 16], n_views: 8}
proximal:
  class_path: odl_equivariant.nn.EquivariantProximal
  init_args: {channels: 8}
n_iterations: 1
loss:
  class_path: odl_equivariant.training.losses.SumOfLosses
  init_args:
    losses:
    - class_path: odl_equivariant.training.losses.RobustEquivariantImaging
      init_args:
        actions:
        - class_path: odl_equivariant.actions.Rotation
          init_args: {angle: 0.7, method: fourier}
        - class_path: odl_equivariant.actions.Translation
          init_args: {shift: [0.045, 0.0]}
        noise:
          class_path: odl_equivariant.training.losses.GaussianNoise
          init_args: {sigma: estimate}
    - class_path: odl_equivariant.training.losses.Supervised
    weights: [0.5, 2.0]
"""


def made(text):
    """Return the task of a configuration."""
    jsonargparse = pytest.importorskip('jsonargparse')
    with restricted():
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(ReconstructionTask, 'model')
        content = {'model': yaml.safe_load(text)}
        return parser.instantiate(parser.parse_object(content)).model


def test_losses_of_a_configuration():
    """A sum has its terms, a term its actions on the space, and its noise."""
    task = made(CONFIGURATION)
    imaging, supervised = task._loss.losses
    assert isinstance(supervised, losses.Supervised)
    turn, shift = imaging._made
    assert isinstance(turn, Rotation) and turn.angle == pytest.approx(0.7)
    assert isinstance(shift, Translation)
    assert turn.domain == task.acquisition.space
    assert imaging.noise.sigma == 'estimate'
    assert task._loss.weights == [0.5, 2.0]


def test_group_of_the_operator_is_refused_at_the_start():
    """Quarter turns, for an even number of views: before any training."""
    text = CONFIGURATION.replace('angle: 0.7, method: fourier', 'angle: 0')
    start = text.index('        - class_path: odl_equivariant.actions.Trans')
    text = text[:start] + text[text.index('        noise:') :]
    text = text.replace('angle: 0', 'angle: 1.5707963267948966')
    with pytest.raises(ValueError, match='cannot see it'):
        made(text)


def test_all_losses_may_be_named():
    """Losses, noise and actions, but no helpers."""
    names = nameable()
    assert 'odl_equivariant.training.losses.SURE' in names
    assert 'odl_equivariant.training.losses.PoissonNoise' in names
    assert 'odl_equivariant.actions.Rotation' in names
    assert 'odl_equivariant.training.losses.Problem' not in names
