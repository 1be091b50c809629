# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the path of a run, which is the same wherever it resumes."""

import logging
import pathlib
import re

import pytest
import torch
from lightning.pytorch import Callback

from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.nn import EquivariantProximal, _gradients, inference
from odl_equivariant.nn._precision import VARIABLE
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.training import (
    CheckpointFiles,
    ReconstructionData,
    ReconstructionTask,
    Trainer,
)
from odl_equivariant.training.runs import path as paths
from odl_equivariant.training.runs.checkpoints import checkpoints
from odl_equivariant.training.runs.run_folder import RunFolder

_SHAPE = (24, 24)


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    """Let small images be cut into pieces, and have large kernels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pieces, '_CACHE_PER_THREAD', 8 * 4 * 12**2)
    monkeypatch.setattr(_gradients, '_MANY', 8)
    monkeypatch.setattr(_gradients, '_FEW_CELLS', 0)


def another_processor(monkeypatch):
    """Let this processor prefer other paths than `_small` does."""
    monkeypatch.setattr(pieces, '_CACHE_PER_THREAD', 8 * 4 * 9**2)
    older = not _gradients.is_older_processor()
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: older)


def train(folder, max_steps, channels_last=True, **options):
    """Train a network, and return trainer and weights."""
    torch.manual_seed(0)
    acquisition = SparseViewCT(_SHAPE, n_views=6)
    task = ReconstructionTask(
        acquisition,
        lambda: EquivariantProximal(channels=8),
        n_iterations=1,
        channels_last=channels_last,
    )
    data = ReconstructionData(
        acquisition,
        train=lambda: Phantoms(4, (48, 48)),
        validation=lambda: Phantoms(1, (48, 48), seed=1),
    )
    trainer = Trainer(
        folder,
        max_steps=max_steps,
        logger=False,
        accelerator='cpu',
        enable_progress_bar=False,
        **options,
    )
    trainer.train(task, data)
    return trainer, task.network.state_dict()


def assert_same_bits(one, other):
    """Assert that weights agree to the last bit."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def stored(folder):
    """Return the path that the last checkpoint of a folder holds."""
    file = checkpoints(pathlib.Path(folder) / 'checkpoints')[0]
    state = CheckpointFiles().load_checkpoint(file)
    (own,) = (
        part for part in state['callbacks'].values() if 'rng_states' in part
    )
    return own['path']


def test_another_processor_resumes_to_the_same_bits(monkeypatch):
    """The path is that of the checkpoint, not the fast one of a processor."""
    _, expected = train('whole', 4)
    train('run', 2)
    another_processor(monkeypatch)
    _, resumed = train('run', 4)
    assert_same_bits(resumed, expected)


def test_paths_differ_in_bits(monkeypatch):
    """Without a checkpoint, another processor takes another path."""
    _, one = train('one', 2)
    another_processor(monkeypatch)
    _, other = train('other', 2)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=1e-3, atol=1e-5
        )


def test_checkpoint_holds_the_path():
    """It says how, and on what machine, convolutions were computed."""
    train('run', 1)
    assert stored('run') == {
        'precision': '32-true',
        'cache': 8 * 4 * 12**2 * torch.get_num_threads(),
        'products': _gradients.is_older_processor(),
        'threads': torch.get_num_threads(),
        'capability': torch.backends.cpu.get_cpu_capability(),
    }


def test_path_of_a_run_is_fixed(monkeypatch):
    """A change of what is fast, during a run, does not change the run."""

    class Change(Callback):
        def on_train_batch_end(self, *args):
            another_processor(monkeypatch)

    _, expected = train('as_it_was', 3)
    _, changed = train('changed', 3, callbacks=Change())
    assert_same_bits(changed, expected)


def test_precision_auto_goes_on_as_it_began(monkeypatch, caplog):
    """A run that began in float32 does not turn to bfloat16."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(paths, 'has_bfloat16', lambda device: False)
    _, expected = train('whole', 3, precision='auto')
    train('run', 2, precision='auto')
    monkeypatch.setattr(paths, 'has_bfloat16', lambda device: True)
    assert Trainer(precision='auto', accelerator='cpu').precision != '32-true'
    trainer, resumed = train('run', 3, precision='auto')
    assert trainer.precision == '32-true'
    assert_same_bits(resumed, expected)
    assert 'began in 32-true and goes on in it' in caplog.text


@pytest.mark.skipif(
    not inference.has_bfloat16(torch.device('cpu')),
    reason='no bfloat16 arithmetic',
)
def test_precision_auto_where_it_cannot_go_on(monkeypatch, caplog):
    """It says so, goes on in float32, and stays there."""
    train('run', 1, precision='auto')
    assert stored('run')['precision'] == 'bf16-mixed'
    with monkeypatch.context() as patch:
        patch.setattr(paths, 'has_bfloat16', lambda device: False)
        assert train('run', 2, precision='auto')[0].precision == '32-true'
    assert 'began in bf16-mixed, for which this machine has no' in caplog.text
    assert stored('run')['precision'] == '32-true'
    assert train('run', 3, precision='auto')[0].precision == '32-true'


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('threads', 64, 'threads=64 on .* OMP_NUM_THREADS=64 keeps'),
        ('capability', 'OTHER', 'used as OTHER, and the run goes on with'),
    ],
)
def test_other_machines_are_named(monkeypatch, caplog, name, value, message):
    """Where the last bits may change, a notice says what differs."""
    train('run', 1)
    before = stored('run')
    trainer = Trainer(accelerator='cpu', logger=False)
    now = paths.path_from({**before, name: value}, trainer)
    assert now == before
    assert re.search(message, caplog.text)
    caplog.clear()
    paths.path_from(before, trainer)
    assert not caplog.text


def test_checkpoints_of_older_versions_resume(monkeypatch):
    """They hold no path: the run takes the one that is fast here."""
    with monkeypatch.context() as patch:
        own = RunFolder.state_dict
        patch.setattr(
            RunFolder,
            'state_dict',
            lambda self: {k: v for k, v in own(self).items() if k != 'path'},
        )
        train('run', 1)
    train('run', 2)
    assert stored('run')['cache'] == pieces.path_taken().cache


@pytest.mark.parametrize(
    'wrong', [{'cache': 0}, {'products': 1}, {'threads': '2'}]
)
def test_wrong_path_in_a_checkpoint(wrong):
    """It is what no run writes, and such a checkpoint is not used."""
    train('run', 1)
    assert paths.is_path(stored('run'))
    assert not paths.is_path({**stored('run'), **wrong})
    assert not paths.is_path('fast')
    file = checkpoints(pathlib.Path('run', 'checkpoints'))[0]
    state = CheckpointFiles().load_checkpoint(file)
    key = next(k for k, v in state['callbacks'].items() if 'path' in v)
    state['callbacks'][key]['path'].update(wrong)
    CheckpointFiles().save_checkpoint(state, file)
    with pytest.raises(ValueError, match='it has no path of computation'):
        train('run', 2)


def test_order_of_channels_is_of_the_run():
    """Another order rounds differently, and is refused."""
    train('run', 1)
    with pytest.raises(ValueError, match='channels_last: True instead of Fal'):
        train('run', 2, channels_last=False)


def test_fast_precision_without_arithmetic(monkeypatch):
    """Without it, 'auto' is float32, and bfloat16 is refused unless forced."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2'
    )
    assert paths.fast_precision('cpu') == '32-true'
    options = {'accelerator': 'cpu', 'logger': False}
    assert Trainer(precision='auto', **options).precision == '32-true'
    with pytest.raises(ValueError, match='no arithmetic in bfloat16.*AVX2'):
        Trainer(precision='bf16-mixed', **options)
    monkeypatch.setenv(VARIABLE, '1')
    assert Trainer(precision='auto', **options).precision == '32-true'
    forced = Trainer(precision='bf16-mixed', **options)
    assert forced.precision == 'bf16-mixed'
