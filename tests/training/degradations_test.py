# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Inverse problems of image processing are trained from a configuration."""

import pathlib
import re

import numpy as np
import pytest
import torch
import yaml

from odl_equivariant import models
from odl_equivariant.data import Inpainting
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators.batching.per_sample import per_sample_operator
from odl_equivariant.training.cli import main

PAGE = pathlib.Path(__file__).parents[2] / 'docs/how-to/degradations.md'

PROBLEMS = {
    'Inpainting': {'missing': 0.5, 'random_masks': True},
    'Deblurring': {'kernel': 1.0, 'boundary': 'periodic'},
    'SuperResolution': {'factor': 2},
    'CompressedSensing': {'ratio': 0.25, 'ensemble': 'hadamard'},
}


@pytest.mark.slow
@pytest.mark.parametrize('name', PROBLEMS)
def test_training_from_a_configuration(name, tmp_path, monkeypatch):
    """The configuration on the page trains, with each acquisition."""
    monkeypatch.chdir(tmp_path)
    text = re.search(r'```yaml\n(.*?)```', PAGE.read_text('utf-8'), re.S)[1]
    settings = yaml.safe_load(text)
    settings['trainer'] |= {'max_steps': 2, 'val_check_interval': 2}
    settings['data']['acquisition'] = {
        'class_path': f'odl_equivariant.data.{name}',
        'init_args': {'shape': [16, 16], **PROBLEMS[name]},
    }
    for part in ('train', 'validation'):
        settings['data'][part]['init_args'] |= {'n': 4, 'shape': [16, 16]}
    settings['model']['n_iterations'] = 1
    settings['model']['proximal']['init_args']['channels'] = 4
    pathlib.Path('run.yaml').write_text(yaml.safe_dump(settings), 'utf-8')
    assert main(['train', '--config', 'run.yaml']) == 0
    cards = models.describe(tmp_path / 'run' / 'final.safetensors').rows()
    assert cards


@pytest.mark.parametrize('dtype', ['float32', 'complex64'])
def test_a_batch_of_masks_is_the_loop(dtype):
    """Each sample has its own mask: batch and loop agree."""
    inpainting = Inpainting((16, 16), random_masks=True, dtype=dtype)
    channels = 2 if dtype == 'complex64' else 1
    torch.manual_seed(0)
    network = LearnedProximalGradient(
        inpainting.operator,
        lambda: EquivariantProximal(in_channels=channels, channels=4),
        2,
        'adjoint',
    )
    rng = np.random.default_rng(0)
    pairs = [inpainting.pair(rng.random((16, 16)), i) for i in range(3)]
    data = torch.stack([pair['data'] for pair in pairs])
    operators = [inpainting.forward_operator(pair['mask']) for pair in pairs]
    assert per_sample_operator(operators) is not None
    batch = network(data, operators)
    loop = [
        network(one[None], operator)
        for one, operator in zip(data, operators, strict=True)
    ]
    torch.testing.assert_close(batch, torch.cat(loop), rtol=1e-4, atol=1e-5)
