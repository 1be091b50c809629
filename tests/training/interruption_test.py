# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Runs that are really killed, stopped, short of disk, or several at once."""

import csv
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.torch import load_file

import odl_equivariant_command
from odl_equivariant.training import (
    ReconstructionData,
    ReconstructionTask,
    cli,
)
from odl_equivariant.training.runs.checkpoints import checkpoints, last_whole

ROOT = pathlib.Path(odl_equivariant_command.__file__).parents[1]
MESSAGES = {
    signal.SIGINT: 'odl-equivariant: error: interrupted',
    signal.SIGTERM: 'odl-equivariant: error: stopped by SIGTERM',
}
pytestmark = pytest.mark.slow
_PATIENCE = 300


def wait_for(condition, process):
    """Wait until a condition holds, while a process is running."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, 'it took too long'
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def finished(process):
    """Return status, output and errors of a process."""
    output, error = process.communicate(timeout=_PATIENCE)
    return process.returncode, output, error


def without_our_warnings():
    """Return an environment, with one thread, for a process of its own."""
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'MASTER_ADDR': '127.0.0.1'}


def leftovers(folder):
    """Return the names of files that a command writes on its way."""
    return [
        path.name
        for path in folder.rglob('.*')
        if path.suffix in ('.tmp', '.lock')
    ]


def limit_file_size():
    """Let no file of this process grow beyond 20 kilobytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_killed_run_ends_as_one_that_never_was(command_line, tmp_path):
    """SIGKILL at any moment: the same weights in the end, to the last bit."""
    environment = without_our_warnings()
    options = ('--trainer.max_steps', '40', '--trainer.checkpoint_every', '3')
    whole = command_line(
        'train', *options, '--trainer.default_root_dir', 'whole',
        env=environment,
    )  # fmt: skip
    parts = command_line(
        'train', *options, '--trainer.default_root_dir', 'parts',
        env=environment,
    )  # fmt: skip
    folder = tmp_path / 'parts' / 'checkpoints'
    wait_for(lambda: len(checkpoints(folder)) >= 2, parts)
    parts.send_signal(signal.SIGKILL)
    assert finished(parts)[0] == -signal.SIGKILL
    assert finished(whole)[0] == 0
    assert not (tmp_path / 'parts' / 'final.safetensors').exists()
    reached = last_whole(folder)
    status, _, error = finished(
        command_line(
            'train',
            *options,
            '--trainer.default_root_dir',
            'parts',
            env=environment,
        )  # fmt: skip
    )
    assert status == 0, error
    assert f'resuming from parts/checkpoints/{reached.name}' in error
    for name in ('final', 'best'):
        one, other = (
            (tmp_path / run / f'{name}.safetensors').read_bytes()
            for run in ('whole', 'parts')
        )
        assert one == other
    # what a killed writer leaves is no checkpoint
    assert len(checkpoints(folder)) == 2


@pytest.mark.parametrize(
    'moment', ['checkpoint 1', 'checkpoint 2', 'checkpoint 3', 'validation 1']
)
@pytest.mark.parametrize(
    'options', ['', 'accumulate', 'averages', 'early stop']
)
def test_killed_at_an_awkward_moment(
    run, configuration, tmp_path, monkeypatch, moment, options
):
    """At a validation, at the end, or while gradients are accumulated.

    Checkpoints and validations fall on the same steps, and the process is
    left by an error that nothing catches, right after the moment.
    """
    from odl_equivariant.training.runs.run_folder import RunFolder

    extra = ['--trainer.checkpoint_every', '2', '--trainer.max_steps', '6']
    extra += ['--trainer.val_check_interval', '2']
    if options == 'accumulate':
        extra += ['--trainer.accumulate_grad_batches', '2']
    if options == 'averages':
        extra += ['--trainer.averaging', '0.9']
    if options == 'early stop':
        text = configuration.read_text('utf-8')
        stop = (
            '  callbacks:\n'
            '  - class_path: lightning.pytorch.callbacks.EarlyStopping\n'
            '    init_args: {monitor: validation/psnr, mode: max, '
            'patience: 1, min_delta: 100}\n'
        )
        configuration.write_text(text.replace('model:', stop + 'model:', 1))
    whole = ('--trainer.default_root_dir', 'whole')
    assert run('train', *extra, *whole)[0] == 0
    kind, _, number = moment.partition(' ')
    name = {'checkpoint': 'save_checkpoint', 'validation': '_keep_best'}[kind]
    original, count = getattr(RunFolder, name), []

    class Killed(BaseException):
        pass

    def then_die(*args):
        original(*args)
        count.append(None)
        if len(count) == int(number):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, name, then_die)
        try:
            run('train', *extra)
        except Killed:
            died = True
        else:  # an early stop comes before
            died = False
    assert died or options == 'early stop'
    assert run('train', *extra)[0] == 0
    for name in ('best', 'final'):
        one, other = (
            (tmp_path / folder / f'{name}.safetensors').read_bytes()
            for folder in ('whole', 'run')
        )
        assert one == other, name


def test_leftovers_of_a_killed_writer_are_removed(run, tmp_path):
    """Half-written files go, and those of others stay."""
    assert run('train', '--trainer.max_steps', '2')[0] == 0
    folder = tmp_path / 'run' / 'checkpoints'
    (folder / '.step-000000004-abc.tmp').write_bytes(b'half')
    (folder / '.mine.tmp').write_bytes(b'mine')
    assert run('train', '--trainer.max_steps', '3')[0] == 0
    assert sorted(os.listdir(folder)) == [
        '.mine.tmp',
        'step-000000002.ckpt',
        'step-000000003.ckpt',
    ]


def test_terminated_run_says_so(command_line, tmp_path):
    """SIGTERM is no success."""
    process = command_line(
        'train', '--trainer.max_steps', '100000',
        '--trainer.checkpoint_every', '2', env=without_our_warnings(),
    )  # fmt: skip
    folder = tmp_path / 'run' / 'checkpoints'
    wait_for(lambda: len(checkpoints(folder)) >= 2, process)
    process.send_signal(signal.SIGTERM)
    status, _, error = finished(process)
    assert status == 143
    assert 'stopped by SIGTERM' in error and 'Traceback' not in error
    assert last_whole(folder) is not None


def test_full_disk_ends_a_reconstruction(command_line, run, tmp_path):
    """A message and a status, and what was done is gone on with."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    data = np.random.default_rng(0).random((30, 8, 34), 'float32')
    np.save(tmp_path / 'y.npy', data)
    options = ['--input', 'y.npy', '--output', 'images', '--pictures', 'false']
    options += ['--weights', 'run/final.safetensors']
    process = command_line(
        'reconstruct', *options, env=without_our_warnings(),
        preexec_fn=limit_file_size,
    )  # fmt: skip
    status, _, error = finished(process)
    assert status == 1
    assert 'images/y.npy' in error and 'Traceback' not in error
    assert not (tmp_path / 'images' / 'y.npy').exists()
    assert run('reconstruct', *options)[0] == 0
    assert run('reconstruct', *options[:3], 'whole', *options[4:])[0] == 0
    one, other = (
        np.load(tmp_path / folder / 'y.npy') for folder in ('images', 'whole')
    )
    assert np.array_equal(one, other) and len(one) == 30
    assert sorted(os.listdir('images')) == ['reconstruction.json', 'y.npy']


def test_interrupted_run_keeps_its_checkpoints(command_line, tmp_path):
    """Ctrl-C ends a run with a status, and what was written stays."""
    # a shell lets what it starts in the background ignore the signal, and
    # processes inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = command_line(
        'train', '--trainer.max_steps', '100000',
        '--trainer.checkpoint_every', '2',
        env=without_our_warnings(),
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    folder = tmp_path / 'run' / 'checkpoints'
    wait_for(lambda: len(checkpoints(folder)) >= 2, process)
    process.send_signal(signal.SIGINT)
    status, _, error = finished(process)
    assert status == 130
    assert 'odl-equivariant: error: interrupted' in error
    assert 'Traceback' not in error
    assert last_whole(folder) is not None
    assert not (tmp_path / 'run' / '.lock').exists()


@pytest.mark.parametrize(
    'command, number, lock',
    [
        ('train', signal.SIGTERM, 'run/.lock'),
        ('evaluate', signal.SIGINT, 'run/.evaluation.lock'),
        ('reconstruct', signal.SIGTERM, 'images/.lock'),
    ],
)
def test_stopped_at_once(command_line, run, tmp_path, command, number, lock):
    """Also before the first step or image: the promised status, a message."""
    options = ['--weights', 'run/final.safetensors']
    if command == 'train':
        options = []
    else:
        assert run('train', '--trainer.max_steps', '1')[0] == 0
    if command == 'reconstruct':
        options += ['--output', 'images']
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = command_line(command, *options, env=without_our_warnings())
    signal.signal(signal.SIGINT, before)
    path = tmp_path / lock
    wait_for(lambda: path.exists() and path.stat().st_size, process)
    process.send_signal(number)
    status, _, error = finished(process)
    assert (status, MESSAGES[number] in error) == (128 + number, True), error
    assert 'Traceback' not in error
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    'command, place, number',
    [
        # the first file that is written is the configuration, before training
        ('train', 'fsync 1', signal.SIGTERM),
        ('train', 'fsync 4', signal.SIGTERM),
        ('train', 'fsync 4', signal.SIGINT),
        ('train', 'training_step 3', signal.SIGINT),
        ('train', 'validation_step 2', signal.SIGTERM),
        ('train', 'pairs 1', signal.SIGTERM),
        ('train', 'pairs 1', signal.SIGINT),
        ('evaluate', 'test_step 2', signal.SIGINT),
        ('evaluate', 'test_step 2', signal.SIGTERM),
        ('reconstruct', 'fsync 4', signal.SIGTERM),
        ('reconstruct', 'fsync 5', signal.SIGINT),
        ('reconstruct', 'pairs 1', signal.SIGTERM),
    ],
)
def test_stopped_at_a_moment(
    run, assert_same_folders, tmp_path, monkeypatch, command, place, number
):
    """The promised status, and no trace once the command is given again."""
    name, _, count = place.partition(' ')
    options, folder = [], 'run'
    if command != 'train':
        assert run('train', '--trainer.max_steps', '1')[0] == 0
        options = ['--weights', 'run/final.safetensors']
    if command == 'reconstruct':
        options += ['--output', 'images']
        folder = 'images'
    copy = shutil.copytree if command == 'evaluate' else shutil.move
    assert run(command, *options)[0] == 0
    copy(folder, 'whole')
    if command == 'evaluate':
        os.unlink('run/scores.csv')
    place = {'fsync': os, 'pairs': ReconstructionData}.get(
        name, ReconstructionTask
    )
    original, calls = getattr(place, name), []

    def then_send(*args):
        calls.append(None)
        if len(calls) == int(count):
            os.kill(os.getpid(), number)
        return original(*args)

    handlers = [signal.getsignal(n) for n in MESSAGES]
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, then_send)
        status, _, error = run(command, *options)
    assert signal.signal(signal.SIGINT, ours) is signal.default_int_handler
    assert handlers == [signal.getsignal(n) for n in MESSAGES]
    assert (status, MESSAGES[number] in error) == (128 + number, True), error
    assert leftovers(tmp_path) == []
    assert run(command, *options)[0] == 0
    assert_same_folders(tmp_path / 'whole', tmp_path / folder)


def test_full_disk_ends_a_run(command_line, run, tmp_path):
    """One message, and the checkpoints of before are whole."""
    assert run('train', '--trainer.checkpoint_every', '3')[0] == 0
    before = {
        path: path.read_bytes()
        for path in (tmp_path / 'run').rglob('*')
        if path.is_file() and 'tensorboard' not in str(path)
    }
    process = command_line(
        'train', '--trainer.max_steps', '20',
        '--trainer.checkpoint_every', '3',
        env=without_our_warnings(), preexec_fn=limit_file_size,
    )  # fmt: skip
    status, _, error = finished(process)
    assert status == 1
    (message,) = [
        line for line in error.splitlines() if 'odl-equivariant: error' in line
    ]
    assert 'File too large' in message and "'run/" in message
    assert 'Traceback' not in error
    for path, content in before.items():
        if path.name not in ('config.yaml', 'finished.json'):
            assert path.read_bytes() == content
    assert len(os.listdir(tmp_path / 'run' / 'checkpoints')) == 2


def losses(folder):
    """Return the logged losses by step."""
    path = folder / 'logs' / 'version_0' / 'metrics.csv'
    with open(path, newline='', encoding='utf-8') as file:
        return {
            (row['step'], key): float(row[key])
            for row in csv.DictReader(file)
            for key in ('train/loss', 'validation/loss', 'validation/psnr')
            if row[key]
        }


@pytest.mark.parametrize('averages', [(), ('--trainer.averaging', '0.9')])
def test_two_processes_are_as_one_with_a_doubled_batch(
    command_line, run, tmp_path, averages
):
    """The curves of loss and score are the same to 1e-4, and the weights."""
    two = command_line(
        'train', '--trainer.devices', '2', '--trainer.strategy', 'ddp',
        '--trainer.default_root_dir', 'two', *averages,
        env=without_our_warnings(),
    )  # fmt: skip
    options = ('--trainer.default_root_dir', 'one', '--data.batch_size', '4')
    assert run('train', *options, *averages)[0] == 0
    status, _, error = finished(two)
    assert status == 0, error
    expected, result = losses(tmp_path / 'one'), losses(tmp_path / 'two')
    assert expected.keys() == result.keys() and len(expected) == 11
    for key, value in expected.items():
        assert result[key] == pytest.approx(value, rel=1e-4), key
    one, other = (
        load_file(tmp_path / name / 'final.safetensors')
        for name in ('one', 'two')
    )
    for name, tensor in one.items():
        gap = (other[name] - tensor).norm()
        assert gap <= 1e-4 * tensor.norm() + 1e-7, name
    evaluation = command_line(
        'evaluate', '--trainer.devices', '2', '--trainer.strategy', 'ddp',
        '--trainer.default_root_dir', 'two', env=without_our_warnings(),
    )  # fmt: skip
    status, table, error = finished(evaluation)
    assert status == 0, error
    assert [line.split()[:2] for line in table.splitlines()[-2:]] == [
        ['learned', '3'],
        ['FBP', '3'],
    ]


@pytest.mark.parametrize('number', MESSAGES)
def test_stopped_during_the_imports(number):
    """They take seconds, in which the command ends as at any other time."""
    code = (
        'import odl_equivariant_command as command, os, signal\n'
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'with command._ended_by_signals():\n'
        f'    os.kill(os.getpid(), {int(number)})\n'
        '    print(end="it goes on")\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert result.returncode == 128 + number
    assert result.stdout == ''
    assert result.stderr.startswith(MESSAGES[number])
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_that_became_another_error(monkeypatch, capsys, number):
    """Code in C can turn what a signal raises into an error of its own."""

    def stopped(*args, **kwargs):
        try:
            os.kill(os.getpid(), number)
        except BaseException:
            raise TypeError('could not determine the shape') from None

    monkeypatch.setattr(cli, 'CommandLine', stopped)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(['train']) == 128 + number
    finally:
        assert signal.signal(signal.SIGINT, before) is (
            signal.default_int_handler
        )
    assert MESSAGES[number] in capsys.readouterr().err
