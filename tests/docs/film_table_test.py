# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The table of methods for films."""

import importlib
import json
import pathlib
import sys

import pytest

pytest.importorskip('sphinx')
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def films(monkeypatch):
    """Return the extension that makes the table."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('film_table')


def test_methods_are_listed_from_the_worst_to_the_best(films, tmp_path):
    """Scores increase, and networks have an error of equivariance."""
    stored = {
        'shape': [8, 9, 4],
        'steps': 3,
        'n_test': 2,
        'psnr': {'good': 20.0, 'bad': 10.126},
        'equivariance_error': {'good': 1.4e-7},
    }
    path = tmp_path / 'films.json'
    path.write_text(json.dumps(stored))
    text, _, _, _, *rows = films.table(path)
    assert '3 steps' in text and '8 x 9 x 4' in text
    assert rows == [
        '| bad | 10.13 dB |  |', '| good | 20.00 dB | 1e-07 |'
    ]  # fmt: skip


def test_what_is_stored_has_all_networks(films):
    """Of each network that was measured, it is known how it turns."""
    stored = json.loads(films.STORED.read_text('utf-8'))
    assert stored['equivariance_error'].keys() <= stored['psnr'].keys()
    assert stored['equivariance_error']['space-time C4'] < 1e-5
    assert stored['equivariance_error']['space-time ordinary'] > 1e-2


def test_what_the_page_says_of_networks_was_measured(films):
    """Those in time are above single frames and low rank plus sparse."""
    scores = json.loads(films.STORED.read_text('utf-8'))['psnr']
    ours, ordinary = (
        scores[f'space-time {name}'] for name in ('C4', 'ordinary')
    )
    assert ours > ordinary
    assert ordinary > scores['frame by frame C4']
    assert ordinary > scores['low rank plus sparse']
