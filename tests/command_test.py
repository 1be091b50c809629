# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The command answers at once, and says the truth about its options."""

import argparse
import configparser
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import pytest

import odl_equivariant
import odl_equivariant_command
from odl_equivariant_command import COMMANDS, main

ROOT = pathlib.Path(__file__).parents[1]
each_command = pytest.mark.parametrize('name', COMMANDS)


@pytest.fixture(scope='module')
def parsers():
    """Return the parser of each command, as the command line makes them."""
    from odl_equivariant.training import ReconstructionData, ReconstructionTask
    from odl_equivariant.training.cli import CommandLine
    from odl_equivariant.training.configuration.parser import Parser
    from odl_equivariant.training.trainer import Trainer

    line = CommandLine.__new__(CommandLine)
    line.parser_class, line.parser_kwargs = Parser, {}
    line.trainer_class, line.trainer_defaults = Trainer, {}
    line._model_class = ReconstructionTask
    line._datamodule_class = line.datamodule_class = ReconstructionData
    line.subclass_mode_model = line.subclass_mode_data = False
    line.seed_everything_default = 0
    line.auto_configure_optimizers = False
    line.setup_parser(True, {'prog': 'odl-equivariant'}, {})
    return line._subcommand_parsers


@pytest.mark.parametrize('arguments', [['--help'], ['-h'], ['--help-all']])
def test_help(arguments, capsys):
    """The help lists the commands and shows an example."""
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in text and command.summary in text
    assert 'odl-equivariant train --config examples/' in text
    assert 'Lightning' not in text
    assert max(map(len, text.splitlines())) < 80


@each_command
def test_help_of_a_command(name, capsys):
    """It fits a screen or two, and names the most important options."""
    assert main([name, '--config', 'a.yaml', '--help']) == 0
    text = capsys.readouterr().out
    for option in COMMANDS[name].options:
        assert f'--{option.name} ' in text
    assert len(text.splitlines()) < 65
    assert '--help-all' in text and '--import' in text


@each_command
def test_examples_of_the_help(name):
    """The files in the examples exist."""
    for line in COMMANDS[name].examples:
        for path in re.findall(r'--config (\S+)', line):
            assert (ROOT / path).is_file(), path


@each_command
def test_help_is_true(name, parsers):
    """Each option is one of the parser, with its default and its choices."""
    from odl_equivariant.training import task
    from odl_equivariant.training.runs.schedules import SCHEDULES

    choices = {
        'model.loss': set(task.LOSSES),
        'model.schedule': set(SCHEDULES),
    }
    actions = {
        option: action
        for action in parsers[name]._actions
        for option in action.option_strings
    }
    for option in COMMANDS[name].options:
        action = actions[f'--{option.name}']
        if option.default is not None:
            assert action.default == option.default, option.name
        if option.name in choices:
            assert set(option.choices) == choices[option.name]
        required = option.name in ('config', 'model.proximal')
        if option.default is None and not required:
            assert action.default in (None, argparse.SUPPRESS), option.name


@each_command
def test_help_of_all_options(name, capsys):
    """The long help also lists the rare options of the trainer."""
    from odl_equivariant.training.cli import main as run

    with pytest.raises(SystemExit) as ended:
        run([name, '--help-all'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert '--trainer.overfit_batches' in text
    assert len(text.splitlines()) > 200


def test_version(capsys):
    """It names this package, ODL and torch."""
    assert main(['--version']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'odl_equivariant {odl_equivariant.__version__}'
    assert f'odl {importlib.metadata.version("odl")}' in lines
    assert f'torch {importlib.metadata.version("torch")}' in lines


def test_help_is_quick():
    """Help and version import neither ODL nor torch."""
    code = (
        'import sys, odl_equivariant_command as command\n'
        'for arguments in (["--version"], ["--help"], ["train", "--help"]):\n'
        '    assert command.main(arguments) == 0\n'
        'names = {"odl", "torch", "numpy", "lightning", "odl_equivariant"}\n'
        'assert not names & set(sys.modules), names & set(sys.modules)\n'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code],
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert ended.returncode == 0


@pytest.mark.parametrize(
    'arguments, status, message',
    [
        ([], 2, 'usage: odl-equivariant'),
        (['trian'], 2, "no command 'trian': did you mean `train`?"),
        (['recontsruct', '--output', 'a'], 2, 'did you mean `reconstruct`?'),
        (['fit'], 2, "no command 'fit'; there are train, evaluate"),
    ],
)
def test_no_command(arguments, status, message, capsys):
    """An unknown command is an error that names the nearest command."""
    assert main(arguments) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'options, message',
    [
        (['--model.shedule', 'cosine'], 'did you mean `model.schedule`?'),
        (['--model.learning_rat', '1'], 'did you mean `model.learning_rate`?'),
        (['--confg', 'a.yaml'], 'did you mean `config`?'),
        (
            ['--data.acquisition.init_args.n_vews', '3'],
            'did you mean `n_views`?',
        ),
        (['--config', '{model: {shared: 3}}'], 'model.shared'),
    ],
)
def test_unknown_option(options, message, tmp_path, capsys):
    """The error names the nearest option in two lines."""
    from odl_equivariant.training.cli import main as run

    configuration = (
        '{model: {proximal: odl_equivariant.nn.OrdinaryProximal}, data: '
        '{acquisition: {class_path: odl_equivariant.data.SparseViewCT, '
        'init_args: {shape: [8, 8], n_views: 4}}}}'
    )
    with pytest.raises(SystemExit) as ended:
        run(['train', '--config', configuration, *options])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 2
    assert '`odl-equivariant train --help`' in error


@pytest.mark.parametrize('missing', [['lightning'], ['tqdm', 'lightning']])
def test_without_lightning(missing, monkeypatch, capsys):
    """The error says what to install; help and version still work."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(['train', '--config', 'a.yaml']) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "'lightning>=2.5'" in line and 'pip install' in line
    assert all(name in line for name in missing)
    assert main(['train', '--help']) == 0


def test_installed_command():
    """The entry point is this package."""
    # a source distribution has the same settings in other white space
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg', 'utf-8')
    name = odl_equivariant_command.__name__
    scripts = settings['options.entry_points']['console_scripts'].strip()
    assert scripts == f'odl-equivariant = {name}:main'
    assert name in settings['options.packages.find']['include'].split()
