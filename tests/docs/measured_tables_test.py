# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The tables of scores that pages show."""

import csv
import importlib
import json
import pathlib
import re
import sys

import pytest

DOCS = pathlib.Path(__file__).parents[2] / 'docs'


@pytest.fixture
def tables(monkeypatch):
    """Return the functions that make the tables."""
    folder = str(DOCS / '_extensions')
    monkeypatch.setattr(sys, 'path', [folder, *sys.path])
    return importlib.import_module('measured_tables').TABLES


def test_tables_are_rectangular_and_named_on_pages(tables):
    """Each table has rows of one length, and each named table is one."""
    for name, lines in tables.items():
        rows = lines()
        assert len(rows) > 3, name
        assert len({row.count('|') for row in rows}) == 1, name
    text = ''.join(p.read_text('utf-8') for p in DOCS.rglob('*.md'))
    assert set(re.findall(r'\{measured-table\} (\w+)', text)) == set(tables)


def test_normalised_denoisers_do_not_know_the_unit(tables):
    """What the page says of units is what was measured."""
    stored = (DOCS / 'results' / 'units.json').read_text('utf-8')
    scores = json.loads(stored)
    own, normalised, scaled = zip(
        *(s.values() for s in scores.values()), strict=True
    )
    assert max(normalised) - min(normalised) < 0.1
    # the zero of Hounsfield units is another one
    assert max(scaled[:-1]) - min(scaled[:-1]) < 0.1 < own[0] - own[1]
    assert own[0] - scaled[-1] > 10


def test_networks_of_volumes_are_as_the_page_says():
    """Ordinary ones are above equivariant ones, but in one row of noise."""
    stored = (DOCS / 'results' / 'shipped_models.json').read_text('utf-8')
    models = json.loads(stored)['models']
    above = {
        kind: [
            theirs['psnr'] > own['psnr']
            for own, theirs in zip(
                models[f'volume_{kind}_o']['scores'],
                models[f'volume_{kind}_ordinary']['scores'],
                strict=True,
            )
        ]
        for kind in ('mri', 'denoiser')
    }
    assert all(above['mri'])
    assert (sum(above['denoiser']), len(above['denoiser'])) == (5, 6)


def test_the_page_of_results_names_the_commits_of_its_tables():
    """Those of the networks, of the scores and of the searched rates."""
    head = (DOCS / 'results.md').read_text('utf-8').splitlines()[2]
    found = set()
    for path in (DOCS / 'results').glob('*.csv'):
        with path.open(encoding='utf-8', newline='') as file:
            found |= {row.get('commit') for row in csv.DictReader(file)}
    found -= {None, ''}
    assert found and all(f'`{commit}`' in head for commit in found)
