# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The comparison of networks that were trained on few volumes."""

import json

import numpy as np
import pytest

from examples.experiments.volumes import comparison


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """The command line of a comparison of tiny networks, and its result."""
    folder = tmp_path_factory.mktemp('few_volumes')
    arguments = ['--scale', 'tiny', '--output', str(folder / 'out')]
    arguments += ['--json', str(folder / 'it.json')]
    return arguments, comparison.main(arguments), folder


@pytest.mark.slow
def test_each_training_has_a_row_for_each_network_and_seed(written):
    """All networks are scored, and written with what they are compared to."""
    _, result, folder = written
    rows = result['rows']
    assert len({(r['arm'], r['n_volumes'], r['seed']) for r in rows}) == 12
    assert all(np.isfinite(row['phantoms']) for row in rows)
    assert result['total_variation'].keys() == {'phantoms'}
    # written with strings for keys
    found = json.loads((folder / 'it.json').read_text('utf-8'))
    assert found['rows'] == rows


@pytest.mark.slow
def test_only_networks_of_the_cube_turn_with_the_scan(written):
    """Over all 24 rotations, by rounding, and for ordinary ones by much."""
    rows = [row for row in written[1]['rows'] if 'missed' in row]
    assert len(rows) == 6
    for row in rows:
        if row['arm'] == 'O':
            assert row['missed'] < 1e-5
        else:
            assert row['missed'] > 1e-3


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(written, monkeypatch):
    """The same command returns the same rows without a training step."""
    arguments, result, _ = written
    monkeypatch.setattr(comparison, 'rate_at', None)
    monkeypatch.setattr(comparison, 'total_variation', None)
    assert comparison.main(arguments) == result


@pytest.mark.slow
def test_lost_networks_are_trained_to_the_same_weights(written):
    """A network depends on its seed alone, not on what ran before it."""
    arguments, result, folder = written
    lost = list((folder / 'out').glob('ordinary-2-*-1-3-*'))
    assert len(lost) == 2
    for path in lost:
        path.unlink()
    assert comparison.main(arguments) == result


def test_too_few_heads_are_an_error(tmp_path, capsys):
    """The message says how many heads the settings need."""
    nibabel = pytest.importorskip('nibabel')
    array = np.random.default_rng(0).random((6, 9, 8), np.float32)
    path = tmp_path / 'head.nii'
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    arguments = ['--scale', 'tiny', '--heads', str(path)]
    with pytest.raises(SystemExit):
        comparison.main([*arguments, '--output', str(tmp_path / 'out')])
    assert 'up to 2 volumes, got 1' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        comparison.main(
            ['--scale', 'tiny', '--heads', str(tmp_path / 'no.nii')]
        )
    assert 'no.nii' in capsys.readouterr().err
