# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The table of networks that were trained on few volumes."""

import importlib
import json
import pathlib
import statistics
import sys

import pytest

pytest.importorskip('sphinx')
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def volumes(monkeypatch):
    """Return the extension that makes the table."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('volume_table')


def test_scores_are_means_of_seeds_of_a_training(volumes, tmp_path):
    """Each training and test has a row, with mean and spread of each arm."""
    rows = [
        {
            'arm': arm,
            'n_volumes': n,
            'seed': seed,
            'brain': 20.0 + n + 2 * seed,
        }
        # of the first seed alone
        | ({} if seed else {'missed': miss * n})
        for n in (1, 2)
        for seed in (0, 1)
        for arm, miss in (('O', 1e-7), ('ordinary', 0.1))
    ]
    stored = {
        'n_steps': 3,
        'n_weights': {'O': 10, 'ordinary': 1240},
        'total_variation': {'brain': 20.126},
        'rows': rows,
    }
    path = tmp_path / 'volumes.json'
    path.write_text(json.dumps(stored))
    text, _, head, _, *found, _, last = volumes.table(path)
    assert '3 steps' in text and '2 seeds' in text
    assert head.split(' | ')[2:4] == ['O', 'ordinary']
    cells = '22.00 ± 1.41 | 22.00 ± 1.41 | 20.13 |'
    assert found[0] == f'| 1 volume | brain | {cells}'
    assert found[1].startswith('| 2 volumes | brain | 23.00 ± 1.41')
    assert 'ordinary: 1 240' in last and 'O: 2e-07; ordinary: 2e-01' in last


def test_no_rate_is_at_an_end_of_those_that_were_tried(volumes):
    """Each network has the best of four rates, which has two neighbours."""
    stored = json.loads(volumes.STORED.read_text('utf-8'))
    for arm, tried in stored['tried'].items():
        best = max(tried, key=tried.get)
        assert len(tried) == 4
        assert best not in (min(tried, key=float), max(tried, key=float))
        rates = {row['rate'] for row in stored['rows'] if row['arm'] == arm}
        assert rates == {float(best)}


def test_what_the_page_says_of_few_volumes_was_measured(volumes):
    """Where the network of the cube is above others, and where it is not."""
    stored = json.loads(volumes.STORED.read_text('utf-8'))

    def scores_of(arm, n_volumes, label):
        scores = [
            row[label]
            for row in stored['rows']
            if (row['arm'], row['n_volumes']) == (arm, n_volumes)
        ]
        assert len(scores) == 3
        return scores

    def mean(*which):
        return statistics.fmean(scores_of(*which))

    def spread(*which):
        return statistics.stdev(scores_of(*which))

    variation, few = stored['total_variation'], 'ordinary, as few weights'
    for n in (1, 2, 5):
        for label, of_variation in variation.items():
            ours = mean('O', n, label)
            assert ours > mean(few, n, label)
            assert (ours > of_variation) == ('brain' in label)
            # gaps to the twin: within the spread, but for two volumes
            gap = abs(ours - mean('ordinary', n, label))
            is_large = gap > spread('O', n, label)
            assert is_large == (n == 2 and label != 'brain')
            if label == 'phantoms':
                assert mean('ordinary', n, label) < of_variation
        upright = [mean(arm, n, 'brain') for arm in ('O', 'ordinary')]
        assert (upright[0] > upright[1]) == (n == 2)
        assert upright[1] > variation['brain']
        lying = [mean(arm, n, 'brain, lying') for arm in ('O', 'ordinary')]
        assert lying[0] > lying[1]
        phantoms = [mean(arm, n, 'phantoms') for arm in ('O', 'ordinary')]
        assert (phantoms[0] > phantoms[1]) == (n < 5)
    for row in stored['rows']:
        if 'missed' in row:
            assert (row['missed'] < 1e-5) == (row['arm'] == 'O')
            assert row['arm'] == 'O' or row['missed'] > 1e-2
    assert stored['n_weights']['ordinary'] == 24 * stored['n_weights']['O']
