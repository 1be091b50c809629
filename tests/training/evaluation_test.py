# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What an evaluation says of itself."""

import logging
import os
import pathlib

import pytest

from odl_equivariant.training._lightning import is_no_advertisement
from odl_equivariant.training._skipped import save_skipped


@pytest.mark.slow
def test_weights_are_named(run, tmp_path):
    """The log names the scored weights: the best, the last, or a file."""
    assert run('train')[0] == 0
    best = 'weights: run/best.safetensors (the best of the run)'
    for command in (['evaluate'], ['reconstruct', '--output', 'images']):
        status, output, error = run(*command)
        assert status == 0, error
        assert best in output.splitlines()
    file = ['--weights', 'run/final.safetensors']
    _, output, _ = run('evaluate', *file)
    assert 'weights: run/final.safetensors' in output.splitlines()
    (tmp_path / 'run/best.safetensors').unlink()
    _, output, _ = run('evaluate')
    assert 'weights: run/final.safetensors (the last of the run' in output


def test_nothing_is_advertised(caplog):
    """Lightning's hints at products are not shown."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_info

    with caplog.at_level(logging.INFO, 'lightning.pytorch'):
        rank_zero_info('\N{ELECTRIC LIGHT BULB} Tip: try our cloud')
        rank_zero_info('GPU available: False')
    assert caplog.messages == ['GPU available: False']
    assert not is_no_advertisement(
        logging.makeLogRecord({'msg': '\N{ELECTRIC LIGHT BULB} Tip: %s'})
    )


def test_trainer_advertises_nothing(tmp_path, caplog):
    """A trainer without the command does not show them either."""
    from odl_equivariant.training import Trainer

    with caplog.at_level(logging.INFO, 'lightning.pytorch'):
        Trainer(tmp_path, accelerator='cpu', enable_progress_bar=False)
    assert caplog.messages
    assert not [m for m in caplog.messages if 'Tip' in m or 'litlog' in m]


@pytest.mark.slow
def test_other_acquisition_is_said(run, caplog):
    """The log says how the acquisition differs from the run."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    text = 'the acquisition is not that of the run in run: '
    same = ['--data.acquisition.init_args.backend', 'pytorch']
    other = ['--data.acquisition.init_args.n_views', '9']
    for options in ([], same, other):
        for command in (['evaluate'], ['reconstruct', '--output', 'images']):
            caplog.clear()
            command = [*command, *options]
            if command[0] == 'reconstruct':
                command[2] += str(len(options)) + str(options == other)
            status, _, error = run(*command)
            assert status == 0, error
            said = [m for m in caplog.messages if m.startswith(text)]
            expected = [text + 'n_views: 9 instead of 8']
            assert said == (expected if options == other else [])


@pytest.mark.slow
def test_damaged_configuration_is_no_matter(run, tmp_path):
    """An evaluation does not need the configuration of the run."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    for content in ('', 'data: 3', '\0', 'model: {}\ntrainer: {}\ndata: {}'):
        (tmp_path / 'run/config.yaml').write_text(content, 'utf-8')
        assert run('evaluate')[0] == 0


@pytest.mark.slow
def test_nothing_half_written_stays(run, tmp_path, monkeypatch):
    """Files with temporary names are removed."""
    names = set()
    replace = os.replace

    def remember(temporary, path):
        names.add(pathlib.Path(temporary))
        replace(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', remember)
        assert run('train')[0] == 0
        assert run('evaluate')[0] == 0
        save_skipped({'test': [('a', 'torn')]}, tmp_path / 'run/skipped.csv')
    assert len({name.name.partition('-')[0] for name in names}) == 7
    foreign = tmp_path / 'run' / '.mine-0.tmp'
    scores = {n for n in names if n.name.startswith('.scores-')}
    shared = {n for n in names if n.name.startswith('.skipped-')}
    for path in (*names, foreign):
        path.write_bytes(b'half')
    assert run('train', '--trainer.max_steps', '8')[0] == 0
    # An evaluation may be writing them at this moment.
    assert {n for n in names if n.exists()} == scores | shared
    assert run('evaluate')[0] == 0
    assert {n for n in names if n.exists()} == shared
    for path in (*names, foreign):
        path.write_bytes(b'half')
        os.utime(path, (0, 0))
    assert run('train', '--trainer.max_steps', '9')[0] == 0
    assert not [n for n in names if n.exists()]
    assert foreign.exists()
