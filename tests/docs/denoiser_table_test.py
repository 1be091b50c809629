# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of denoisers says what was measured."""

import importlib
import json
import pathlib
import statistics
import sys

import pytest

pytest.importorskip('sphinx')
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def denoisers(monkeypatch):
    """Return the extension that makes the table."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('denoiser_table')


def _mean(scores, name):
    return statistics.fmean(scores[name]['psnr'])


def test_denoisers_are_listed_from_the_worst_to_the_best(denoisers, tmp_path):
    """Of a total variation, the best weight has a row."""
    stored = {
        'ridge_convex_c4': {'psnr': [28.0, 29.0], 'expected': [28.3, 0.04]},
        'bm3d': {'psnr': [29.0, 30.0], 'expected': [28.57, 1e-15]},
        'total variation 0.7': {'psnr': [27, 28], 'expected': [27.6, 0.02]},
        'total variation 0.65': {'psnr': [27, 27], 'expected': [27.4, 0.02]},
    }
    path = tmp_path / 'denoisers.json'
    path.write_text(json.dumps(stored))
    header, _, *rows = denoisers.table(path)
    assert 'the 2 held back' in header
    assert rows == [
        '| total variation, weight 0.7 | 27.50 | 27.60 ± 0.02 |  |',
        '| `ridge_convex_c4` | 28.50 | 28.30 ± 0.04 | 28.10 |',
        '| BM3D | 29.50 |  | 28.57 |',
    ]


def _variations(scores, kind):
    """Return the names of a kind of total variation, by weight."""
    own = [name for name in scores if name.startswith(kind)]
    return sorted(own, key=lambda name: float(name.split()[-1]))


def test_what_is_stored_has_the_references(denoisers):
    """The best weights are between others; the fit meets its references."""
    scores = json.loads(denoisers.STORED.read_text('utf-8'))
    for kind in ('total variation', 'one-sided variation'):
        means = [_mean(scores, own) for own in _variations(scores, kind)]
        assert max(means) > max(means[0], means[-1])
    one_sided = _variations(scores, 'one-sided variation')
    best = max(one_sided, key=lambda name: _mean(scores, name))
    for name, key in (('bm3d', 'bm3d'), (best, 'one-sided variation')):
        fitted, error = scores[name]['expected']
        assert fitted == pytest.approx(denoisers.PUBLISHED[key])
        assert error < 1e-6


def test_what_is_stored_turns_as_it_must(denoisers):
    """Invariant denoisers turn with the image; others do not."""
    scores = json.loads(denoisers.STORED.read_text('utf-8'))
    networks = {
        f'{kind}_{group}'
        for kind in (
            'multiscale_denoiser', 'ridge_convex', 'ridge_weakly_convex'
        )
        for group in ('c4', 'ordinary')
    }  # fmt: skip
    assert networks <= scores.keys()
    for name, own in scores.items():
        pairs = zip(own['psnr'], own['turned_psnr'], strict=True)
        change = max(abs(upright - turned) for upright, turned in pairs)
        if name.endswith('_c4') or name.startswith('total variation'):
            assert change < 0.01, name
        else:
            assert change > 0.01, name


def test_what_the_page_says_of_total_variation_was_measured(denoisers):
    """The invariant one denoises better than the usual one."""
    scores = json.loads(denoisers.STORED.read_text('utf-8'))
    invariant, one_sided = (
        max(_mean(scores, name) for name in _variations(scores, kind))
        for kind in ('total variation', 'one-sided variation')
    )
    assert invariant > one_sided + 0.05
