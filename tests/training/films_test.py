# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Training of networks for films, from a configuration."""

import pytest
import torch

from odl_equivariant import models
from odl_equivariant.data import DynamicMRI
from odl_equivariant.nn import SpaceTimeProximal
from odl_equivariant.training import scores
from odl_equivariant.training.cli import main
from odl_equivariant.training.scores.films import film_scores

CONFIGURATION = """\
seed_everything: 1
trainer:
  default_root_dir: run
  accelerator: cpu
  max_steps: 2
  val_check_interval: 1
model:
  proximal:
    class_path: odl_equivariant.nn.SpaceTimeProximal
    init_args: {{in_channels: {channels}, channels: 8, group: C4, memory: 2}}
  n_iterations: 2
  initial: {initial}
data:
  acquisition:
    class_path: odl_equivariant.data.{acquisition}
    init_args: {{{arguments}}}
  train:
    class_path: odl_equivariant.data.MovingPhantoms
    init_args: {{n: 4, shape: {shape}, n_frames: 4, peak: 0.4}}
  validation:
    class_path: odl_equivariant.data.MovingPhantoms
    init_args: {{n: 2, shape: {shape}, n_frames: 4, seed: 1, peak: 0.4}}
  test:
    class_path: odl_equivariant.data.MovingPhantoms
    init_args: {{n: 2, shape: {shape}, n_frames: 4, seed: 2, peak: 0.4}}
  batch_size: 2
"""

MRI = {
    'acquisition': 'DynamicMRI',
    'arguments': 'shape: [12, 12], n_frames: 4, acceleration: 3, '
    'random_masks: true',
    'channels': 2,
    'initial': 'zero',
    'shape': '[12, 12]',
}
CT = {
    'acquisition': 'DynamicCT',
    'arguments': 'shape: [12, 12], n_frames: 4, n_views: 6, order: golden',
    'channels': 1,
    'initial': 'adjoint',
    'shape': '[24, 24]',
}


def test_scores_are_means_over_frames():
    """A film has the mean of the scores of its frames, but empty ones."""
    truth = torch.rand(2, 1, 12, 12, 3)
    film = truth + 0.1 * torch.rand(2, 1, 12, 12, 3)
    truth[0, ..., 1] = 0
    result = film_scores(film, truth)
    for name in ('psnr', 'ssim'):
        frames = [scores(film[..., k], truth[..., k])[name] for k in range(3)]
        assert result[name][1] == pytest.approx(
            float(torch.stack(frames)[:, 1].mean()), abs=1e-6
        )
        ends = (frames[0][0] + frames[2][0]) / 2
        assert result[name][0] == pytest.approx(float(ends), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('settings', [MRI, CT], ids=['mri', 'ct'])
def test_trained_and_evaluated(tmp_path, monkeypatch, settings):
    """A configuration trains a network for films, and scores it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'run.yaml').write_text(
        CONFIGURATION.format(**settings), 'utf-8'
    )
    assert main(['train', '--config', 'run.yaml']) == 0
    path = next((tmp_path / 'run').rglob('*.safetensors'))
    assert main(['evaluate', '--config', 'run.yaml']) == 0
    if settings is MRI:
        acquisition = DynamicMRI((12, 12), 4, 3)
        network = models.load(path, acquisition.operator)
        assert isinstance(network.blocks[0], SpaceTimeProximal)
        data = torch.zeros(1, 2, 12, 12, 4)
        assert network(data).shape == (1, 2, 12, 12, 4)
