# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Errors of a configuration name the file, the line and the key."""

import os
import re
import threading

import pytest
import yaml


@pytest.fixture
def refused(run, tmp_path, capsys):
    """Return a function that returns the error of a configuration."""

    def call(content, *options):
        path = tmp_path / 'more.yaml'
        path.write_text(content, 'utf-8')
        with pytest.raises(SystemExit) as ended:
            run('train', '--config', str(path), *options)
        assert ended.value.code == 2
        assert not (tmp_path / 'run').exists()
        error = capsys.readouterr().err
        assert 'Traceback' not in error and len(error.splitlines()) == 2
        return error

    return call


@pytest.mark.parametrize(
    'content, line, message',
    [
        ('model: 3', 1, '`model` must consist of keys'),
        ('data:\n- 1', 1, '`data` must consist of keys'),
        ('trainer: {max_steps: abc}', 1, '"trainer.max_steps"'),
        ('seed_everything: -1', 1, '"seed_everything" .* got -1'),
        ('seed_everything: 4294967296', 1, '"seed_everything"'),
        ('data:\n  seed: -2', 2, '"data.seed" .* got -2'),
        (
            'data:\n  train:\n    init_args:\n      seed: -3',
            4,
            '"data.train.init_args.seed" .* got -3',
        ),
        (
            'data:\n  acquisition:\n    init_args:\n      dtype: float16',
            4,
            '"data.acquisition.init_args.dtype": expected one of '
            "'float32', 'float64', got float16 ",
        ),
        (
            'data:\n  train:\n    init_args:\n      kind: foot',
            4,
            '"data.train.init_args.kind": expected one of '
            "'head', 'body', 'abstract' or null, got foot ",
        ),
        (
            'data:\n  train:\n    init_args:\n      n: 2.5',
            4,
            '"data.train.init_args.n": expected int, got 2.5 ',
        ),
        ('model:\n  shedule: cosine', 2, 'did you mean `model.schedule`'),
        (
            'data:\n  acquisition:\n    init_args: {n_vews: 8}',
            3,
            'did you mean `n_views`',
        ),
        ('model:\n  loss: a\n  loss: b', 3, 'the key `loss` of `model`'),
    ],
)
def test_errors_name_the_line(refused, content, line, message):
    """The error of a wrong value names its line."""
    error = refused(content)
    assert re.search(message, error), error
    assert f'more.yaml, line {line}' in error


@pytest.mark.parametrize(
    'content',
    [
        'model:\n  acquisition:\n    class_path: '
        'odl_equivariant.data.SparseViewCT\n    init_args: {n_views: 9}',
        'model:\n  acquisition: nonsense',
        '\nmodel.acquisition: 3',
    ],
)
def test_second_acquisition_is_refused(refused, content):
    """A second acquisition is an error that says where it belongs."""
    error = refused(content)
    assert '"model.acquisition" has no effect' in error
    assert '`data.acquisition`' in error and 'more.yaml, line 2' in error


def test_second_acquisition_by_an_option_or_a_part(refused, tmp_path):
    """The same holds for options and files within files."""
    part = tmp_path / 'part.yaml'
    part.write_text('acquisition: nonsense\n', 'utf-8')
    for options in (
        ['--model.acquisition', 'odl_equivariant.data.SparseViewCT'],
        ['--model.acquisition.class_path=x'],
        ['--model', '{acquisition: 3}'],
        ['--model', str(part)],
    ):
        error = refused('{}', *options)
        assert '"model.acquisition" has no effect' in error
    assert 'more.yaml, line 1' in refused(f'model: {part}')


def test_options_have_no_line(refused):
    """The error of an option names no line of the file."""
    error = refused('trainer: {max_steps: 3}', '--trainer.max_steps', 'abc')
    assert '"trainer.max_steps"' in error and 'more.yaml' not in error
    assert 'NUL' in refused('{a: 1}', '--trainer.default_root_dir', 'a\0b')


def test_files_within_files(refused, run, tmp_path, monkeypatch, capsys):
    """A part may be in its own file; its errors name that file."""
    monkeypatch.chdir(tmp_path)
    part = tmp_path / 'part.yaml'
    part.write_text(
        'class_path: odl_equivariant.nn.OrdinaryProximal\n'
        'init_args: {channels: 5}\n'
    )
    with pytest.raises(SystemExit) as ended:
        run('train', '--model.proximal', 'part.yaml', '--print_config')
    assert ended.value.code == 0
    assert 'channels: 5' in capsys.readouterr().out
    part.write_text(part.read_text() + 'class_path: a.B\n')
    error = refused('model: {proximal: part.yaml}')
    assert 'part.yaml' in error and 'is set twice' in error


@pytest.mark.parametrize('value', ['a: 1', '[1', '1e-3', 'x.yaml', '-'])
def test_texts_stay_texts(run, tmp_path, value, capsys):
    """Values that look like other types of YAML stay texts."""
    options = [f'--trainer.default_root_dir={value}', '--print_config']
    with pytest.raises(SystemExit) as ended:
        run('train', *options)
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed['trainer']['default_root_dir'] == value


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs named pipes')
def test_configuration_from_a_pipe(configuration, tmp_path, capsys):
    """A configuration may come from a pipe, as from `<(...)`."""
    from odl_equivariant.training.cli import main

    os.mkfifo(tmp_path / 'pipe')
    content = configuration.read_text('utf-8')
    writer = threading.Thread(
        target=(tmp_path / 'pipe').write_text, args=[content], daemon=True
    )
    writer.start()
    with pytest.raises(SystemExit) as ended:
        main(['train', '--config', str(tmp_path / 'pipe'), '--print_config'])
    writer.join(5)
    assert ended.value.code == 0
    assert 'learning_rate: 0.001' in capsys.readouterr().out
