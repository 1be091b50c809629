# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the script that makes the shipped models."""

import importlib.util
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture
def script(monkeypatch):
    """Return the script, made small."""
    spec = importlib.util.spec_from_file_location(
        'train_models', EXAMPLES / 'train_models.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'CHANNELS', 4)
    monkeypatch.setattr(module, 'N_VALIDATION', 1)
    monkeypatch.setattr(
        module.Tomography,
        'stages',
        (
            ({'shape': (16, 16), 'n_views': 4, 'n_photons': 1e4}, 3),
            ({'shape': (32, 32), 'n_views': 6, 'n_photons': 1e4}, 2),
            ({'shape': (32, 32), 'n_views': 6, 'n_photons': 1e4}, 2),
        ),
    )
    monkeypatch.setattr(
        module.Denoising,
        'stages',
        (({'shape': (32, 32), 'patch': 16, 'batch': 2}, 6),),
    )
    return module


@pytest.mark.parametrize('name', ['sparse_view_ct_c4', 'denoiser_ordinary'])
@pytest.mark.parametrize('last_step', [2, 4])
def test_stopped_run_goes_on_to_the_same_weights(
    script, tmp_path, monkeypatch, name, last_step
):
    """A run that was stopped ends as one that never was, to the last bit."""
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    whole.mkdir()
    parts.mkdir()
    script.train(name, whole)

    task = type(script.MODELS[name])
    loss = task.loss
    made = []

    def stop(*args):
        if len(made) == last_step:
            raise KeyboardInterrupt
        made.append(None)
        return loss(*args)

    with monkeypatch.context() as patch:
        patch.setattr(script, 'CHECKPOINT_EVERY', 1)
        patch.setattr(
            task, 'loss', staticmethod(stop) if 'ct' in name else stop
        )
        with pytest.raises(KeyboardInterrupt):
            script.train(name, parts)
    assert len(made) == last_step
    assert not (parts / f'{name}.safetensors').exists()
    report = script.train(name, parts)
    assert report['steps of this run'] == report['steps'] - last_step

    expected = load_file(whole / f'{name}.safetensors')
    result = load_file(parts / f'{name}.safetensors')
    assert expected.keys() == result.keys()
    for key, value in expected.items():
        assert torch.equal(result[key], value), key


def test_twins_see_the_same_data(script):
    """Equivariant and ordinary networks get the same data in one order."""
    batches = []
    for name in ('sparse_view_ct_c4', 'sparse_view_ct_ordinary'):
        task = script.MODELS[name]
        task.set_stage(task.stages[0][0])
        (data,), truth = task.batch(np.random.default_rng([script.SEED, 5]))
        batches.append((data, truth))
    assert torch.equal(batches[0][0], batches[1][0])
    assert torch.equal(batches[0][1], batches[1][1])
