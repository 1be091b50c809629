# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""What an evaluation says of itself."""

import logging

from odl_equivariant.training._lightning import is_no_advertisement


def test_weights_are_named(run, tmp_path):
    """It says which weights were scored: the best, the last, or a file."""
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
    """Of what Lightning logs, its hints at products are left out."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_info

    with caplog.at_level(logging.INFO, 'lightning.pytorch'):
        rank_zero_info('\N{ELECTRIC LIGHT BULB} Tip: try our cloud')
        rank_zero_info('GPU available: False')
    assert caplog.messages == ['GPU available: False']
    assert not is_no_advertisement(
        logging.makeLogRecord({'msg': '\N{ELECTRIC LIGHT BULB} Tip: %s'})
    )


def test_trainer_advertises_nothing(tmp_path, caplog):
    """Neither does a trainer that is made without the command."""
    from odl_equivariant.training import Trainer

    with caplog.at_level(logging.INFO, 'lightning.pytorch'):
        Trainer(tmp_path, accelerator='cpu', enable_progress_bar=False)
    assert caplog.messages
    assert not [m for m in caplog.messages if 'Tip' in m or 'litlog' in m]
