# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""A configuration names what it may, and runs nothing else."""

import sys

import pytest

from odl_equivariant.training.configuration import permissions

WITNESS = """\
import pathlib
import torch
pathlib.Path(r'{0}').touch()
def run(*args, **kwargs):
    pathlib.Path(r'{1}').touch()
class Block(torch.nn.Module):
    in_channels, memory, takes_gradient = 1, 0, True
    def __init__(self, **kwargs):
        super().__init__()
        run()
"""


@pytest.fixture
def witness(tmp_path, monkeypatch):
    """Make a module that leaves files when imported, and when called."""
    imported, called = tmp_path / 'imported', tmp_path / 'called'
    (tmp_path / 'witness.py').write_text(WITNESS.format(imported, called))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, 'witness', raising=False)
    yield imported, called
    sys.modules.pop('witness', None)


def refused(run, capsys, *options):
    """Return the error of a refused configuration."""
    with pytest.raises(SystemExit) as ended:
        run('train', *options)
    assert ended.value.code == 2
    return capsys.readouterr().err


COMMAND = 'class_path: witness.run\ninit_args: {command: x}\n'
KEYS = {
    'proximal': 'model:\n  proximal: {}',
    'block': 'model:\n  proximal: {{class_path: witness.Block}}',
    'acquisition': 'data:\n  acquisition: {}',
    'train': 'data:\n  train: {}',
    'draw': (
        'data:\n  train:\n    class_path: odl_equivariant.data.Phantoms\n'
        '    init_args: {{n: 1, shape: [8, 8], draw: witness.run}}'
    ),
    'callbacks': 'trainer:\n  callbacks:\n  - {}',
    'callback': (
        'trainer:\n  callbacks:\n'
        '  - class_path: lightning.pytorch.callbacks.LambdaCallback\n'
        '    init_args: {{on_train_start: witness.run}}'
    ),
    'logger': 'trainer:\n  logger: {}',
    'plugins': 'trainer:\n  plugins: {}',
    'strategy': 'trainer:\n  strategy: {}',
}


@pytest.mark.parametrize('key', KEYS)
def test_foreign_code_is_not_imported(run, tmp_path, witness, key, capsys):
    """Foreign code is neither imported nor called, by any key."""
    flow = '{class_path: witness.run, init_args: {command: x}}'
    (tmp_path / 'evil.yaml').write_text(KEYS[key].format(flow))
    sys.path.append(str(tmp_path))
    try:
        status = run('train', '--config', 'evil.yaml')[0]
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.path.remove(str(tmp_path))
    assert status in (1, 2)
    assert not any(path.exists() for path in witness)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'options',
    [
        ['--model.proximal', 'witness.run'],
        ['--model.proximal.class_path=witness.run'],
        ['--model.proximal', '{class_path: witness.run}'],
        ['--model.proximal', 'nested.yaml'],
        ['--model.proximal.help', 'witness.Block'],
        ['--data.train.class_path=witness.run'],
        ['--data.train.init_args.draw', 'witness.run'],
        ['--trainer.callbacks+=witness.run'],
        ['--config', '{model: {proximal: witness.run}}'],
        ['--config', 'chain.yaml'],
    ],
    ids=lambda options: ' '.join(options),
)
def test_no_way_around(run, tmp_path, witness, options, capsys, monkeypatch):
    """Options and files within files cannot name foreign code."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'nested.yaml').write_text(COMMAND)
    (tmp_path / 'chain.yaml').write_text('model: {proximal: nested.yaml}')
    refused(run, capsys, *options)
    assert not any(path.exists() for path in witness)


def test_environment_names_nothing_else(
    run, tmp_path, witness, monkeypatch, capsys
):
    """Environment variables cannot name foreign code."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('JSONARGPARSE_DEFAULT_ENV', 'true')
    monkeypatch.setenv('PL_TRAIN__MODEL__PROXIMAL', 'witness.run')
    monkeypatch.setenv('PL_MODEL__PROXIMAL', 'witness.run')
    refused(run, capsys)
    assert not any(path.exists() for path in witness)


@pytest.mark.parametrize(
    'name',
    [
        'os.system',
        'posix.system',
        'builtins.exec',
        'odl_equivariant.data.phantoms.ellipses.np.save',
        'odl_equivariant.training.cli.os.system',
        'odl_equivariant.models.save',
        'odl_equivariant.nn.LearnedProximalGradient',
        'torch.load',
        'torch.nn.Conv2d',
        'jsonargparse.set_parsing_settings',
    ],
)
def test_other_names_are_refused(run, name, capsys):
    """Imports of our own modules cannot be named."""
    error = refused(run, capsys, '--data.train.init_args.draw', name)
    assert f'`{name}` may not be named' in error
    assert f'--import {name.rpartition(".")[0]}' in error


def test_refusal_names_file_and_line(run, tmp_path, capsys):
    """The error names the file and the line."""
    path = tmp_path / 'evil.yaml'
    path.write_text('model:\n  loss: squared\n  proximal: os.system\n')
    error = refused(run, capsys, '--config', str(path))
    assert f'({path}, line 3)' in error
    assert 'usage' not in error and len(error.splitlines()) == 2


@pytest.mark.parametrize(
    'key, value',
    [
        ('plugins', 'os.system'),
        ('plugins', '{class_path: os.system, init_args: {command: x}}'),
        ('plugins', '[{class_path: os.system}]'),
        ('strategy', '{class_path: os.system}'),
        ('logger', '[{class_path: os.system}]'),
        ('callbacks', 'os.system'),
    ],
)
def test_refusal_names_the_key(run, tmp_path, capsys, key, value):
    """The error names the key, for each key that takes an object."""
    path = tmp_path / 'evil.yaml'
    path.write_text(f'trainer:\n  {key}: {value}\n')
    error = refused(run, capsys, '--config', str(path))
    assert f'key "trainer.{key}": `os.system` may not be named' in error
    assert f'({path}, line 2)' in error


def test_saved_configuration_is_no_exception(run, tmp_path, witness, capsys):
    """The configuration of a run is checked like any other."""
    (tmp_path / 'run').mkdir()
    saved = tmp_path / 'run/config.yaml'
    saved.write_text('model: {proximal: {class_path: witness.Block}}')
    with pytest.raises(SystemExit):
        run('evaluate', '--config', str(saved))
    assert 'may not be named' in capsys.readouterr().err
    assert not any(path.exists() for path in witness)


@pytest.mark.parametrize('by', ['option', 'equals', 'environment'])
def test_own_code_by_an_option(run, witness, by, monkeypatch, capsys):
    """An option or the environment allows a module for one call."""
    options = ['--model.proximal', 'witness.Block', '--print_config']
    allow = {'option': ['--import', 'witness'], 'equals': ['--import=witness']}
    with monkeypatch.context() as patch:
        if by == 'environment':
            patch.setenv('ODL_EQUIVARIANT_IMPORT', 'another,witness')
        with pytest.raises(SystemExit) as ended:
            run('train', *allow.get(by, []), *options)
    assert ended.value.code == 0
    assert 'class_path: witness.Block' in capsys.readouterr().out
    assert witness[0].exists() and not witness[1].exists()
    refused(run, capsys, *options)


def test_configuration_does_not_allow_itself(run, tmp_path, capsys):
    """No key of a configuration allows code."""
    (tmp_path / 'evil.yaml').write_text('import: [os]\nmodel: {loss: squared}')
    error = refused(run, capsys, '--config', str(tmp_path / 'evil.yaml'))
    assert 'import' in error


def test_option_takes_a_module(run):
    """`--import` without the name of a module is an error."""
    status, _, error = run('train', '--import', '--trainer.max_steps', '3')
    assert status == 1 and 'takes the name of a module' in error


def test_what_documentation_names_may_be_named():
    """All classes in the documentation are allowed."""
    assert {
        'odl_equivariant.nn.EquivariantProximal',
        'odl_equivariant.nn.proximal.EquivariantProximal',
        'odl_equivariant.nn.OrdinaryProximal',
        'odl_equivariant.data.SparseViewCT',
        'odl_equivariant.data.CartesianMRI',
        'odl_equivariant.data.Denoising',
        'odl_equivariant.data.DicomSlices',
        'odl_equivariant.data.FastMRIKspace',
        'odl_equivariant.data.PairStore',
        'odl_equivariant.data.Augmentation',
        'odl_equivariant.data.mr_phantom',
        'odl_equivariant.data.mr_strip',
        'odl_equivariant.training.ImagePanels',
        'lightning.pytorch.callbacks.EarlyStopping',
        'lightning.pytorch.loggers.CSVLogger',
    } <= set(permissions.nameable())
    for name in ('odl_equivariant', 'odl_equivariant.data', 'lightning'):
        assert name not in permissions.nameable()


def test_settings_of_the_process_come_back():
    """After a command, jsonargparse has its former settings."""
    from jsonargparse import _common, _optionals

    before = dict(_common.parsing_settings), _optionals._config_read_mode
    with permissions.restricted(['mine']):
        assert _optionals._config_read_mode == 'fr'
        with pytest.raises(ImportError, match='not allowed'):
            _common.check_import_path('os.system')
        _common.check_import_path('mine.own')
    after = dict(_common.parsing_settings), _optionals._config_read_mode
    assert after == before
