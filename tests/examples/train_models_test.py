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

from odl_equivariant import models

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
    monkeypatch.setattr(
        module.MagneticResonance,
        'stages',
        (
            ({'shapes': [(16, 16), (8, 24)], 'bfloat16': True}, 3),
            ({'shapes': [(16, 24), (24, 16)], 'bfloat16': False}, 3),
        ),
    )
    return module


@pytest.mark.parametrize(
    'name', ['sparse_view_ct_c4', 'cartesian_mri_c4', 'denoiser_ordinary']
)
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
        is_static = isinstance(vars(task)['loss'], staticmethod)
        patch.setattr(task, 'loss', staticmethod(stop) if is_static else stop)
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


@pytest.mark.parametrize('prefix', ['sparse_view_ct', 'cartesian_mri'])
def test_twins_see_the_same_data(script, prefix):
    """Equivariant and ordinary networks get the same data in one order."""
    batches = []
    for name in (f'{prefix}_c4', f'{prefix}_ordinary'):
        task = script.MODELS[name]
        task.set_stage(task.stages[0][0])
        batches.append(task.batch(np.random.default_rng([script.SEED, 5])))
    (inputs, truth), (other_inputs, other_truth) = batches
    assert torch.equal(inputs[0], other_inputs[0])
    assert inputs[1:] == other_inputs[1:]
    assert torch.equal(truth, other_truth)


def test_each_mask_has_its_operator(script):
    """Data of a strip are those of the operator that the network is given."""
    task = script.MODELS['cartesian_mri_c4']
    for settings, _ in task.stages:
        task.set_stage(settings)
        network = task.network()
        seen = set()
        for seed in range(6):
            (data, lines), truth = task.batch(np.random.default_rng(seed))
            result = task.apply(network, data, lines)
            assert result.shape == truth.shape == data.shape
            operator = task._networks[lines].forward_operator
            sampled = torch.from_numpy(operator.mask.copy())
            assert torch.equal((data != 0).any(1)[0], sampled)
            seen.add(lines)
        assert len(seen) > 1


def test_steps_at_one_mask_change_the_network_of_all(script):
    """The networks of all masks share each weight and step."""
    task = script.MODELS['cartesian_mri_ordinary']
    task.set_stage(task.stages[0][0])
    network = task.network()
    for seed in range(4):
        (data, lines), truth = task.batch(np.random.default_rng(seed))
        network.zero_grad()
        task.loss(task.apply(network, data, lines), truth).backward()
        assert all(p.grad is not None for p in network.parameters())
        other = task._networks[lines]
        assert other is not network
        assert [id(p) for p in other.parameters()] == [
            id(p) for p in network.parameters()
        ]


def test_dark_strips_have_a_finite_loss(script):
    """A strip of air does not divide by zero."""
    zero = torch.zeros(1, 2, 8, 8)
    assert script.MagneticResonance.loss(zero + 0.01, zero).item() < 1


def test_files_have_the_range_of_the_phantoms(script, tmp_path):
    """A denoiser knows the values of the images that it was trained on."""
    script.train('denoiser_ordinary', tmp_path)
    network = models.load(tmp_path / 'denoiser_ordinary.safetensors')
    assert network.value_range == (0, 1)
