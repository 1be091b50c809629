# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of moving averages of weights."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file

from odl_equivariant.data import Phantoms, SparseViewCT
from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal
from odl_equivariant.training import (
    CheckpointFiles,
    ReconstructionData,
    ReconstructionTask,
    Trainer,
)
from odl_equivariant.training.runs.averaging import WeightAverage, decay_at
from odl_equivariant.training.runs.checkpoints import checkpoint_path
from odl_equivariant.training.runs.wholeness import check_whole

KEY = 'WeightAverage'


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Write to the test's own folder, with no seed of another test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('PL_GLOBAL_SEED', raising=False)


class Recorder(Callback):
    """Record the weights at the start and after each step.

    It also records those at the validations.
    """

    def __init__(self):
        self.weights, self.validated = [], []

    def on_train_start(self, trainer, task):
        self.weights.append(copied(task))

    def on_train_batch_end(self, trainer, task, *args):
        if trainer.global_step >= len(self.weights):
            self.weights.append(copied(task))

    def on_validation_batch_start(self, trainer, task, *args):
        self.validated.append((trainer.global_step, copied(task)))


def copied(task):
    """Return copies of the parameters by name."""
    return {
        name: parameter.detach().clone()
        for name, parameter in task.named_parameters()
    }


def make_task(block=EquivariantProximal, **kwargs):
    """Return a task with a small network."""
    torch.manual_seed(0)
    return ReconstructionTask(
        SparseViewCT((13, 13), n_views=8),
        lambda: block(channels=8),
        n_iterations=2,
        learning_rate=1e-2,
        **kwargs,
    )


def train(folder='run', max_steps=5, task=None, **kwargs):
    """Train a network; return the task and the weights on the way."""
    task = task or make_task()
    recorder = Recorder()
    settings = {'val_check_interval': 2, 'checkpoint_every': 1, **kwargs}
    callbacks = [recorder, *settings.pop('callbacks', [])]
    trainer = Trainer(
        folder,
        max_steps=max_steps,
        logger=False,
        accelerator='cpu',
        enable_progress_bar=False,
        callbacks=callbacks,
        **settings,
    )
    trainer.train(
        task,
        ReconstructionData(
            SparseViewCT((13, 13), n_views=8),
            train=lambda: Phantoms(6, (26, 26)),
            validation=lambda: Phantoms(1, (26, 26), seed=1),
        ),
    )
    return task, recorder


def averages(weights, decay):
    """Return the averages after each step, in float64, by the formula."""
    average = {name: value.double() for name, value in weights[0].items()}
    found = [average]
    for k, step in enumerate(weights[1:], 1):
        d = min(decay, k / (k + 9))
        average = {
            name: d * average[name] + (1 - d) * step[name].double()
            for name in step
        }
        found.append(average)
    return found


def assert_close(one, other, tolerance):
    """Compare weights by name, relative to the largest one."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        gap = (value.double() - other[name].double()).abs().max()
        assert gap <= tolerance * other[name].abs().max() + 1e-12, name


def assert_same(one, other):
    """Compare weights by name, to the last bit."""
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def state_at(step, folder='run'):
    """Return the content of a checkpoint."""
    return CheckpointFiles().load_checkpoint(
        checkpoint_path(f'{folder}/checkpoints', step)
    )


@pytest.mark.parametrize('block', [EquivariantProximal, OrdinaryProximal])
@pytest.mark.parametrize('decay', [0.0, 0.15, 0.999])
@pytest.mark.parametrize('n_batches', [1, 2])
def test_averages_are_those_of_the_formula(block, decay, n_batches):
    """Of the weights after each step, however many batches it takes."""
    task, recorder = train(
        task=make_task(block),
        averaging=decay,
        accumulate_grad_batches=n_batches,
    )
    assert len(recorder.weights) == 6
    expected = averages(recorder.weights, decay)
    state = state_at(5)
    assert_close(state['callbacks'][KEY]['weights'], expected[5], 1e-6)
    assert state['callbacks'][KEY]['n_updates'] == 5
    # the weights from which the run resumes
    own = {name: state['state_dict'][name] for name in recorder.weights[5]}
    assert_same(own, recorder.weights[5])
    assert_close(copied(task), expected[5], 1e-6)


@pytest.mark.parametrize(
    'dtype, tolerance',
    [
        (torch.float32, 1e-6),
        (torch.float64, 1e-14),
        (torch.complex64, 1e-6),
        (torch.complex128, 1e-14),
    ],
)
def test_averages_have_the_precision_of_the_weights(dtype, tolerance):
    """Also of several kinds in one network; buffers stay as they are."""
    module = torch.nn.ParameterList(
        [torch.randn(3, dtype=dtype), torch.randn(1, dtype=torch.float64)]
    )
    module.register_buffer('count', torch.tensor(3))
    trainer, average = SimpleNamespace(global_step=0), WeightAverage(0.9)
    average.on_train_start(trainer, module)
    weights = [copied(module)]
    for step in range(1, 21):
        for parameter in module:
            parameter.data += torch.randn_like(parameter)
        trainer.global_step = step
        average.on_train_batch_end(trainer, module, None, None, 0)
        weights.append(copied(module))
    expected = [{name: value for name, value in weights[0].items()}]
    for k, step in enumerate(weights[1:], 1):
        d = min(0.9, k / (k + 9))
        expected.append(
            {n: d * expected[-1][n] + (1 - d) * step[n] for n in step}
        )
    with average.taken(module):
        for name, value in copied(module).items():
            assert value.dtype == weights[0][name].dtype
            assert torch.allclose(value, expected[20][name], atol=tolerance)
    assert_same(copied(module), weights[20])
    assert module.count == 3


def test_validation_and_files_have_the_averages():
    """Training goes on with the weights meanwhile."""
    _, recorder = train(averaging=0.9)
    expected = averages(recorder.weights, 0.9)
    assert [step for step, _ in recorder.validated] == [2, 4]
    for step, weights in recorder.validated:
        assert_close(weights, expected[step], 1e-6)
    (final, best) = (
        {f'network.{name}': value for name, value in load_file(path).items()}
        for path in ('run/final.safetensors', 'run/best.safetensors')
    )
    validated = [weights for _, weights in recorder.validated]
    for name, value in expected[5].items():
        assert torch.allclose(final[name].double(), value, atol=1e-6)
        assert any(
            torch.equal(best[name], weights[name]) for weights in validated
        )
    # what `evaluate` and `reconstruct` load
    loaded = make_task()
    loaded.load_weights('run/final.safetensors')
    assert_close(copied(loaded), expected[5], 1e-6)


def test_steps_are_those_without_averages():
    """Averages change no step: all weights are the same, to the last bit."""
    _, with_averages = train('one', averaging=0.99)
    _, without = train('other')
    for one, other in zip(with_averages.weights, without.weights, strict=True):
        assert_same(one, other)
    state = state_at(5, 'other')
    assert KEY not in state['callbacks']
    assert 'averaging' not in state['callbacks']['RunFolder']['run']['trainer']


@pytest.mark.parametrize('end', [2, 3, 5])
def test_resumed_run_is_as_one_never_interrupted(tmp_path, end):
    """Also one that ended, and is told to make more steps."""
    train('whole', 6, averaging=0.9)
    train('parts', end, averaging=0.9)
    train('parts', 6, averaging=0.9)
    for name in ('best', 'final'):
        one, other = (
            (tmp_path / run / f'{name}.safetensors').read_bytes()
            for run in ('whole', 'parts')
        )
        assert one == other
    one, other = (state_at(6, run)['callbacks'] for run in ('whole', 'parts'))
    assert_same(one[KEY]['weights'], other[KEY]['weights'])


def test_killed_after_the_last_step(tmp_path):
    """The averages of the last checkpoint are what is written."""
    task, _ = train(averaging=0.9)
    before = (tmp_path / 'run/final.safetensors').read_bytes()
    (tmp_path / 'run/final.safetensors').unlink()
    again, _ = train(averaging=0.9)
    assert (tmp_path / 'run/final.safetensors').read_bytes() == before
    assert_same(copied(again), copied(task))


def test_failing_validation_leaves_the_weights():
    """They are not the averages, with which it validates."""

    class Fail(Callback):
        def on_validation_batch_end(self, trainer, task, *args):
            raise RuntimeError('no validation')

    task, recorder = make_task(), None
    with pytest.raises(RuntimeError, match='no validation'):
        train(task=task, averaging=0.9, callbacks=[Fail()])
    state = state_at(2)
    own = {name: state['state_dict'][name] for name in copied(task)}
    assert_same(copied(task), own)
    # and the run resumes with its validation
    _, recorder = train(averaging=0.9)
    assert [step for step, _ in recorder.validated] == [2, 4]
    resumed = (load_file('run/final.safetensors'),)
    shutil.rmtree('run')
    train(averaging=0.9)
    assert_same(*resumed, load_file('run/final.safetensors'))


def test_next_run_starts_from_the_weights_of_the_last_step():
    """Adam's moments, which it takes too, belong to them."""
    _, recorder = train(averaging=0.9)
    task = make_task(pretrained='run/checkpoints/step-000000005.ckpt')
    assert_same(copied(task), recorder.weights[5])


@pytest.mark.parametrize(
    'damage',
    [
        lambda own: own.pop('n_updates'),
        lambda own: own.pop('weights'),
        lambda own: own['weights'].popitem(),
        lambda own: own.update(n_updates=None),
        lambda own: own.update(weights=[]),
        lambda own: own['weights'].update(
            {name: torch.zeros(1) for name in own['weights']}
        ),
    ],
)
def test_damaged_averages_are_found(tmp_path, damage):
    """The checkpoint is incomplete without them."""
    train(averaging=0.9)
    trainer = Trainer('run', logger=False, accelerator='cpu', averaging=0.9)
    path, state = checkpoint_path(tmp_path, 5), state_at(5)
    check_whole(path, state, trainer, make_task(), 'RunFolder')
    damage(state['callbacks'][KEY])
    with pytest.raises(ValueError, match='it has no average'):
        check_whole(path, state, trainer, make_task(), 'RunFolder')


@pytest.mark.parametrize('averagings', [(None, 0.9), (0.9, None), (0.9, 0.8)])
def test_averages_are_of_a_run(averagings):
    """Another decay is another run."""
    train(max_steps=2, averaging=averagings[0])
    with pytest.raises(ValueError, match='trainer.averaging: '):
        train(averaging=averagings[1])


def test_share_of_the_first_weights():
    """It is the product of the decays, 9! k! / (k + 9)!, while they grow."""
    share = 1.0
    for step in range(1, 101):
        share *= decay_at(step, 0.999)
    exact = 1.0
    for i in range(1, 10):
        exact *= i / (100 + i)
    assert share == pytest.approx(exact, rel=1e-12) and share < 1e-12
    assert decay_at(10**6, 0.999) == 0.999


@pytest.mark.parametrize(
    'decay, error', [(1, ValueError), (-0.1, ValueError), ('a', TypeError),
                     (True, TypeError), (float('nan'), ValueError)]
)  # fmt: skip
def test_decay_is_below_one(decay, error):
    """The trainer says so before it begins."""
    with pytest.raises(error, match='trainer.averaging'):
        Trainer(logger=False, accelerator='cpu', averaging=decay)


def test_lowered_weights_are_refused():
    """Their averages would lose small steps."""
    task = make_task().to(torch.bfloat16)
    callback = WeightAverage(0.9)
    with pytest.raises(ValueError, match=r'is torch.bfloat16: take'):
        callback.on_train_start(None, task)
