# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the folder of a run: one run, none of its steps lost."""

import copy
import errno
import os
import shutil

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from odl_equivariant.data import NumpySlices, Phantoms, SparseViewCT
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.training import (
    CheckpointFiles,
    ReconstructionData,
    ReconstructionTask,
    Trainer,
)
from odl_equivariant.training.runs.checkpoints import (
    checkpoint_path,
    checkpoints,
)
from odl_equivariant.training.runs.identity import check_same, decisive
from odl_equivariant.training.runs.wholeness import check_whole


def task_for(n_views=8, **kwargs):
    """Return a task with a small network."""
    return ReconstructionTask(
        SparseViewCT((16, 16), n_views=n_views),
        lambda: EquivariantProximal(channels=8),
        n_iterations=1,
        **kwargs,
    )


def data_for(n_views=8, validation=None, n=4, **kwargs):
    """Return data of phantoms."""
    return ReconstructionData(
        SparseViewCT((16, 16), n_views=n_views),
        train=lambda: Phantoms(n, (32, 32)),
        validation=validation or (lambda: Phantoms(2, (32, 32), seed=1)),
        **kwargs,
    )


def train(folder='run', max_steps=2, task=None, data=None, **kwargs):
    """Train a network, and return it."""
    torch.manual_seed(0)
    task = task or task_for()
    settings = {'val_check_interval': 2, 'checkpoint_every': 1, **kwargs}
    trainer = Trainer(
        folder,
        max_steps=max_steps,
        logger=False,
        accelerator='cpu',
        enable_progress_bar=False,
        **settings,
    )
    trainer.train(task, data or data_for())
    return task


def contents(folder):
    """Return the content of each file in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


# --- One run --- #


def test_second_training_in_a_folder_is_refused(tmp_path):
    """It is told by whom the folder is used, and changes nothing in it."""

    class Second(Callback):
        def on_train_batch_end(self, *args):
            before = contents(tmp_path / 'run')
            with pytest.raises(BlockingIOError) as refused:
                train()
            self.message = str(refused.value)
            assert contents(tmp_path / 'run') == before

    second = Second()
    train(callbacks=second)
    assert f'process {os.getpid()} on ' in second.message
    assert 'take another `trainer.default_root_dir`' in second.message
    assert '.lock' not in contents(tmp_path / 'run')


@pytest.mark.parametrize(
    'task, data, options, message',
    [
        ({}, {}, {'accumulate_grad_batches': 2}, 'accumulate_grad_batches'),
        ({}, {}, {'gradient_clip_val': 1.0}, 'gradient_clip_val: None inst'),
        ({}, {}, {'averaging': 0.9}, 'trainer.averaging: None instead of 0.9'),
        ({'n_views': 9}, {'n_views': 9}, {}, r'acquisition: .*n_views=8'),
        ({'loss': 'relative'}, {}, {}, "loss: 'squared' instead of 'relat"),
        ({'learning_rate': 1.0}, {}, {}, 'rate: 0.0001 instead of 1.0'),
        ({}, {'seed': 1}, {}, 'data.seed: 0 instead of 1'),
        ({}, {'batch_size': 2}, {}, 'batch_size: 1 instead of 2'),
    ],
)
@pytest.mark.parametrize('max_steps', [2, 3])
def test_checkpoint_of_another_run(
    tmp_path, trained, task, data, options, message, max_steps
):
    """It is refused, says what differs, and everything stays as it is."""
    before = contents(tmp_path / 'run')
    with pytest.raises(ValueError, match=message) as refused:
        train(
            max_steps=max_steps,
            task=task_for(**task),
            data=data_for(**data),
            **options,
        )
    assert 'run/checkpoints/step-000000002.ckpt holds a run of another' in str(
        refused.value
    )
    assert contents(tmp_path / 'run') == before


def test_checkpoint_of_other_images(trained):
    """Their number and their names are of the run."""
    with pytest.raises(ValueError, match='of images: 4 instead of 5'):
        train(max_steps=3, data=data_for(n=5))


def test_checkpoint_of_another_seed(tmp_path, trained, monkeypatch):
    """The seed that Lightning was given is of the run."""
    monkeypatch.setenv('PL_GLOBAL_SEED', '7')
    train('other')
    monkeypatch.setenv('PL_GLOBAL_SEED', '8')
    with pytest.raises(ValueError, match="seed_everything: '7' instead of '8"):
        train('other', 3)


def test_long_lists_of_a_configuration_are_short():
    """Maps of coils tell runs apart, and do not fill checkpoints."""
    settings = [
        decisive(
            {'trainer': {}, 'data': {'maps': [[x] * 300] * 9}, 'model': {}}
        )
        for x in (1.5, 1.5, 2.5)
    ]
    assert settings[0] == settings[1] != settings[2]
    assert len(str(settings)) < 2000
    check_same(*settings[:2], 'it')
    with pytest.raises(ValueError, match='data.maps: .*list of 9 with the ch'):
        check_same(*settings[1:], 'it')


def test_run_of_a_version_without_a_setting_is_the_same():
    """A setting that came later, as it is by default, changes no run."""
    before = {'trainer': {}, 'data': {'seed': 1}, 'model': {'shared': True}}
    now = {
        'trainer': {'averaging': None},
        'data': {'seed': 1, 'shapes': None},
        'model': {
            'shared': True,
            'hessian_penalty': 0.0,
            'inner_iterations': None,
            'loss_floor': 0.0,
            'relative_levels': None,
            'relative_steps': None,
            'schedule_steps': None,
            'steps_before': 0,
        },
    }
    assert decisive(before) == decisive(now)
    for part, key, value in (
        ('data', 'shapes', [[8, 8]]),
        ('model', 'hessian_penalty', 0.1),
        ('model', 'inner_iterations', 3),
        ('model', 'relative_levels', [2.0, 1.0]),
        ('model', 'relative_steps', [1.0, 9.0]),
        ('model', 'loss_floor', 0.1),
        ('model', 'schedule_steps', 9),
        ('model', 'steps_before', 3),
        ('trainer', 'averaging', 0.9),
    ):
        changed = {**now, part: {**now[part], key: value}}
        with pytest.raises(ValueError, match=f'{part}.{key}: None instead'):
            check_same(
                {'configuration': decisive(before)},
                {'configuration': decisive(changed)},
                'it',
            )


def test_validation_may_change(tmp_path, caplog):
    """It touches no weights; the best ones are then chosen anew."""
    train()
    data = data_for(validation=lambda: Phantoms(3, (32, 32), seed=5))
    kept = train(max_steps=4, data=data, val_check_interval=1)
    assert 'the validation pairs have changed' in caplog.text
    shutil.rmtree(tmp_path / 'run')
    whole = train(max_steps=4)
    for one, other in zip(kept.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


# --- Whole checkpoints --- #


@pytest.fixture
def trained(tmp_path, trained_once):
    """Return the checkpoint of a run that is at its end, in `run`."""
    shutil.copytree(trained_once, tmp_path / 'run')
    return CheckpointFiles().load_checkpoint(
        checkpoint_path(tmp_path / 'run' / 'checkpoints', 2)
    )


@pytest.fixture(scope='module')
def trained_once(tmp_path_factory):
    """Return the folder of a run."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv('PL_GLOBAL_SEED', raising=False)
        train(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_seed(monkeypatch):
    """Leave no seed of another test."""
    monkeypatch.delenv('PL_GLOBAL_SEED', raising=False)


def without(state, *place):
    """Return a state without an entry."""
    state = copy.deepcopy(state)
    part = state
    for key in place[:-1]:
        part = part[key]
    del part[place[-1]]
    return state


PLACES = [
    ('architecture',),
    ('callbacks',),
    ('callbacks', 'RunFolder'),
    ('callbacks', 'RunFolder', 'best_psnr'),
    ('callbacks', 'RunFolder', 'rng_states'),
    ('callbacks', 'RunFolder', 'rng_states', 'torch'),
    ('global_step',),
    ('loops',),
    ('loops', 'fit_loop'),
    ('loops', 'fit_loop', 'epoch_progress'),
    ('lr_schedulers',),
    ('lr_schedulers', 0),
    ('optimizer_states',),
    ('optimizer_states', 0, 'state', 0, 'exp_avg'),
    ('optimizer_states', 0, 'param_groups'),
    ('pytorch-lightning_version',),
    ('state_dict',),
    ('state_dict', 'network.relative_steps'),
]


@pytest.mark.parametrize('place', PLACES, ids=str)
def test_missing_entry_is_found(trained, tmp_path, place):
    """Whatever is missing, the error names the file."""
    trainer = Trainer('run', logger=False, accelerator='cpu')
    path = checkpoint_path(tmp_path, 2)
    check_whole(path, trained, trainer, task_for(), 'RunFolder')
    for state in (without(trained, *place), []):
        with pytest.raises(ValueError, match='-000000002.ckpt is incomplete'):
            check_whole(path, state, trainer, task_for(), 'RunFolder')


def test_renamed_checkpoint_is_found(trained, tmp_path):
    """The step in its name is that in the file."""
    path = checkpoint_path(tmp_path, 9)
    with pytest.raises(ValueError, match='9.ckpt is the checkpoint of step 2'):
        check_whole(path, trained, Trainer(), task_for(), 'RunFolder')


@pytest.mark.parametrize(
    'damage', ['entry', 'folder', 'full folder', 'link', 'torn']
)
def test_older_checkpoint_is_taken(tmp_path, trained, caplog, damage):
    """That is said, and the run ends as one that was never damaged."""
    expected = (tmp_path / 'run/final.safetensors').read_bytes()
    folder = tmp_path / 'run' / 'checkpoints'
    path = checkpoint_path(folder, 2)
    path.unlink()
    if damage == 'entry':
        CheckpointFiles().save_checkpoint(without(trained, 'loops'), path)
    elif damage == 'link':
        path.symlink_to(tmp_path / 'nowhere')
    elif damage == 'torn':
        path.write_bytes(b'torn')
    else:
        path.mkdir()
        if damage == 'full folder':
            (path / 'mine').write_text('mine', 'utf-8')
    for name in ('finished.json', 'final.safetensors'):
        (tmp_path / 'run' / name).unlink()
    train()
    assert 'step-000000002.ckpt' in caplog.text
    assert 'the checkpoint before it is used' in caplog.text
    assert (tmp_path / 'run/final.safetensors').read_bytes() == expected
    assert len(checkpoints(folder)) == 2
    mine = [p for p in folder.rglob('mine') if p.is_file()]
    assert len(mine) == (damage == 'full folder')


def test_checkpoints_in_a_file(tmp_path, trained):
    """What is in the place of their folder is named."""
    shutil.rmtree(tmp_path / 'run' / 'checkpoints')
    (tmp_path / 'run' / 'checkpoints').write_text('', 'utf-8')
    with pytest.raises(NotADirectoryError, match='run/checkpoints must be'):
        train(max_steps=3)


def test_checkpoint_of_an_older_version(tmp_path, trained, caplog):
    """One that does not say which run it is of is taken, with a word."""
    folder = tmp_path / 'run' / 'checkpoints'
    for name in ('run', 'validation', 'awaits_validation'):
        trained = without(trained, 'callbacks', 'RunFolder', name)
    CheckpointFiles().save_checkpoint(trained, checkpoint_path(folder, 2))
    train(max_steps=3)
    assert 'does not identify its run' in caplog.text


# --- Validations --- #


@pytest.mark.parametrize('max_steps', [2, 4])
@pytest.mark.parametrize('every', [1, 3])
def test_failing_validation_loses_no_step(
    assert_same_folders, tmp_path, monkeypatch, max_steps, every
):
    """The run goes on with the validation, and ends like any other."""

    class Draw(Callback):
        def on_validation_start(self, *args):
            torch.rand(3)

        on_train_batch_start = on_validation_start

    options = {
        'max_steps': max_steps,
        'checkpoint_every': every,
        'callbacks': Draw(),
    }
    train('whole', **options)
    with monkeypatch.context() as patch:
        patch.setattr(
            ReconstructionTask, 'validation_step', lambda *args: 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            train('run', **options)
    kept = checkpoints(tmp_path / 'run' / 'checkpoints')
    assert kept[0].name == 'step-000000002.ckpt'
    assert not (tmp_path / 'run' / 'best.safetensors').exists()
    train('run', **options)
    assert_same_folders(tmp_path / 'whole', tmp_path / 'run')


def test_blank_image_is_left_out_and_named_once(tmp_path, caplog):
    """The mean is that over the others, by the file and the index."""
    volume = np.stack([Phantoms(3, (32, 32))[i] for i in range(3)])
    np.save('others.npy', volume)
    np.save('all.npy', np.concatenate([volume, 0 * volume[:1]]))
    scores = {}

    class Keep(Callback):
        def on_validation_end(self, trainer, task):
            scores.setdefault(name, []).append(
                {key: float(v) for key, v in trainer.callback_metrics.items()}
            )

    for name in ('others', 'all'):
        path = f'{name}.npy'
        train(
            name,
            task=task_for(loss='relative'),
            data=data_for(
                validation=lambda path=path: NumpySlices(path, progress=False)
            ),
            val_check_interval=1,
            callbacks=Keep(),
        )
    for one, other in zip(scores['others'], scores['all'], strict=True):
        for key in ('psnr', 'ssim', 'loss'):
            value = one[f'validation/{key}']
            assert other[f'validation/{key}'] == pytest.approx(value, rel=1e-5)
    assert caplog.text.count('all.npy#3') == 1
    assert 'of 1 validation images is constant' in caplog.text
    assert (tmp_path / 'all' / 'best.safetensors').exists()


def test_blank_images_alone(tmp_path):
    """A run goes on, without best weights, where no image has a score."""
    np.save('air.npy', np.zeros((2, 32, 32), 'float32'))
    data = data_for(validation=lambda: NumpySlices('air.npy', progress=False))
    train(data=data)
    assert not (tmp_path / 'run' / 'best.safetensors').exists()
    assert (tmp_path / 'run' / 'final.safetensors').exists()


# --- What is in the way --- #


@pytest.mark.parametrize(
    'kept',
    [
        'best.safetensors',
        'final.safetensors',
        'finished.json',
        'config.yaml',
        'checkpoints/step-000000002.ckpt',
    ],
)
def test_run_that_must_not_go_on_stays(tmp_path, trained, kept):
    """Whatever is left of a run, a new one does not write over it."""
    folder = tmp_path / 'run'
    (folder / 'config.yaml').write_text('a: 1', 'utf-8')
    for name in contents(folder):
        if name != kept:
            (folder / name).unlink()
    before = contents(folder)
    assert list(before) == [kept]
    with pytest.raises(ValueError, match='folder run holds a run') as refused:
        train(resume=False)
    assert kept in str(refused.value)
    assert ('to true' in str(refused.value)) == kept.startswith('checkpoints')
    assert contents(folder) == before


@pytest.mark.parametrize('name', ['best.safetensors', 'final.safetensors'])
def test_weights_without_a_checkpoint_stay(tmp_path, trained, name):
    """A longer run has nothing to resume from, and overwrites no weights."""
    folder = tmp_path / 'run'
    shutil.rmtree(folder / 'checkpoints')
    train()  # is at its end
    for path in folder.glob('*.safetensors'):
        if path.name != name:
            path.unlink()
    before = contents(folder)
    with pytest.raises(ValueError, match=f'{name}, but no checkpoint') as no:
        train(max_steps=3)
    assert '`trainer.default_root_dir`' in str(no.value)
    assert '`model.pretrained`' in str(no.value)
    assert contents(folder) == before


def test_weights_that_moved_are_a_start(tmp_path, trained):
    """What the error says helps: another folder, and these weights."""
    shutil.rmtree(tmp_path / 'run' / 'checkpoints')
    task = task_for(pretrained='run/final.safetensors')
    train('other', max_steps=3, task=task)
    assert (tmp_path / 'other' / 'final.safetensors').exists()


def test_folder_without_a_run_is_free(tmp_path):
    """Other files are no run, be it one that must not go on."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'notes.txt').write_text('mine', 'utf-8')
    train(resume=False)
    assert (tmp_path / 'run' / 'final.safetensors').exists()


@pytest.mark.parametrize(
    'name', ['best.safetensors', 'final.safetensors', 'finished.json']
)
def test_folder_in_the_place_of_a_file(tmp_path, name):
    """It is named before the first step, and nothing is written."""
    (tmp_path / 'run' / name).mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=f'run/{name} is a folder.*mo'):
        train()
    assert contents(tmp_path / 'run') == {}


@pytest.mark.parametrize('name', ['logs', 'tensorboard'])
def test_file_in_the_place_of_logs(tmp_path, name):
    """It is named before the first step, where there are to be logs."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / name).write_text('mine', 'utf-8')
    trainer = Trainer('run', accelerator='cpu', enable_progress_bar=False)
    with pytest.raises(NotADirectoryError, match=f'{name} must be a folder'):
        trainer.train(task_for(), data_for())
    train()


def test_circle_of_links_is_no_note_of_the_end(tmp_path):
    """The note is written anew."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/finished.json').symlink_to('finished.json')
    train()
    assert not (tmp_path / 'run/finished.json').is_symlink()


@pytest.mark.parametrize('target', ['nowhere', 'config.yaml'])
def test_dangling_configuration_is_not_replaced(tmp_path, target):
    """The link stays as it is, and is named."""
    path = tmp_path / 'run' / 'config.yaml'
    path.parent.mkdir()
    path.symlink_to(target)
    with pytest.raises(ValueError, match=f'to {target}.*correct'):
        train()
    assert os.readlink(path) == target


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EACCES])
def test_full_disk_names_the_folder(tmp_path, code):
    """Where the system names no file; another error stays as it is."""

    class Full(Callback):
        def on_train_batch_end(self, *args):
            raise OSError(code, os.strerror(code))

    with pytest.raises(OSError) as error:
        train(callbacks=Full())
    is_full = code == errno.ENOSPC
    assert error.value.errno == code
    assert error.value.filename == ('run' if is_full else None)
    assert ('make room' in str(error.value)) == is_full
