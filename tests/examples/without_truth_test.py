# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the experiments without ground truth."""

import json

import numpy as np
import pytest

from examples.experiments.without_truth import comparison, coverage
from examples.experiments.without_truth.verdicts import verdicts


@pytest.mark.slow
def test_trial_of_the_comparison(tmp_path, monkeypatch, capsys):
    """Networks are trained once by each loss, scored and compared."""
    arguments = ['--scale', 'tiny', '--tasks', 'ct_25/without']
    arguments += ['--output', str(tmp_path), '--losses']
    arguments += ['supervised', 'equivariant splitting', 'splitting']
    rows = comparison.main(arguments)
    # of the variants, the first seed
    assert len(rows) == 2 * 7 + 4
    assert all(np.isfinite(row['test']) for row in rows)
    assert 'by design is within 0.5 dB' in capsys.readouterr().out
    stored = json.loads((tmp_path / 'comparison.json').read_text())
    assert stored['rows'] == rows

    def fails(*arguments):
        raise AssertionError('trained again')

    monkeypatch.setattr(comparison.Study, '_train', fails)
    page = tmp_path / 'page.md'
    assert comparison.main([*arguments, '--report', str(page)]) == rows
    text = page.read_text()
    assert '2 steps of 1 image of 2 phantoms' in text
    assert (page.parent / 'images' / 'page_ct_25_without.png').is_file()


def row(loss, network, seed, test, seconds=1.0):
    """Return a row of the table."""
    return {
        'problem': 'ct',
        'noise': 'with',
        'loss': loss,
        'network': network,
        'seed': seed,
        'test': test,
        'seconds': seconds,
    }


def test_verdicts_are_those_of_the_rows():
    """A statement holds if it holds for each seed."""
    rows = [
        row('supervised', 'by design', seed, score)
        for seed, score in ((1, 30.0), (2, 31.0))
    ]
    rows += [
        row('equivariant splitting', 'by design', seed, score, 1.05)
        for seed, score in ((1, 29.8), (2, 30.0))
    ]
    rows += [row('splitting', 'ordinary', seed, 29.0) for seed in (1, 2)]
    rows.append({**row('equivariant imaging', 'ordinary', None, 0)})
    rows[-1] = {**rows[-1], 'refused': 'symmetric'}
    found = {sentence: rest for sentence, *rest in verdicts(rows)}
    (near,) = (v for k, v in found.items() if '0.5 dB' in k)
    assert near == ['-0.20, -1.00 dB for the seeds', 'Holds in part']
    (above,) = (v for k, v in found.items() if 'with an ordinary' in k)
    assert above == ['+0.80, +1.00 dB for the seeds', 'Holds']
    (cost,) = (v for k, v in found.items() if 'by design, costs' in k)
    assert cost == ['1.05', 'Holds']


@pytest.mark.slow
def test_trial_of_the_coverage(tmp_path, monkeypatch, capsys):
    """All methods are measured once, and put into the table."""
    arguments = ['--quick', '--views', '12', '--output', str(tmp_path)]
    coverage.main(arguments)
    first = capsys.readouterr().out
    assert first.count('| bootstrap, ') == len(coverage.BOOTSTRAPS)
    assert 'within 5 points' in first

    def fails(*arguments):
        raise AssertionError('measured again')

    monkeypatch.setattr(coverage, 'measure', fails)
    coverage.main(arguments)
    assert capsys.readouterr().out == first


def test_coverage_of_known_scores():
    """Coverages count the errors that are within their radii."""
    row = {
        'error': [1, 2, 3, 4],
        'estimate': [1, 1, 2, 2],
        'radius': [1, 1, 3, 3],
        'pixels': [0.5, 0.5, 0.25, 0.75],
        'calibrated pixels': [1.0, 0.5],
        'radius factor': 1.6,
        'width factor': 1.0,
    }
    settings = {'n_calibration': 2, 'level': 0.5, 'n_divisions': 5}
    found = coverage.summary(row, settings)
    assert found['region'] == 0.5
    assert found['pixels'] == 0.5
    assert found['calibrated region'] == 0.5
    assert found['calibrated pixels'] == 0.75
