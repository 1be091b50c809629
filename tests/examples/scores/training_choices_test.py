# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The script that measures averages of weights and a robust loss."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('pydicom')
pytest.importorskip('lightning')
PATH = pathlib.Path(__file__).parents[3] / 'examples' / 'scores'
KINDS = 'photographs', 'head'


@pytest.fixture
def script():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(
        'training_choices', PATH / 'training_choices.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def report(script):
    """Return scores in which averages help, and the loss only by half."""
    runs = []
    for schedule in script.SCHEDULES:
        for seed in (1, 2):
            for loss in script.LOSSES:
                own = 20 + (loss == 'charbonnier') * (-1) ** seed
                runs.append(
                    {
                        'loss': loss,
                        'schedule': schedule,
                        'seed': seed,
                        'scores': {
                            'last': dict.fromkeys(KINDS, own),
                            'averaged': dict.fromkeys(KINDS, own + 0.5),
                        },
                    }
                )
    return {'steps': 7, 'runs': runs}


def test_table_says_what_all_seeds_share(script, report):
    """And of what they do not share that there is no sign."""
    text = '\n'.join(script.table(report))
    assert 'of 2 seeds after 7 steps' in text
    assert '| cosine | `relative` | last | 20.00 | 20.00 |' in text
    assert '20.50 (+0.50, +0.50 to +0.50)' in text
    assert '20.00 (+0.00, -1.00 to +1.00)' in text
    assert (
        'Averages, constant rate: better in all seeds (+0.50 dB) on photog'
    ) in text
    assert '`charbonnier`, cosine rate: no sign that all seeds share' in text


def test_page_keeps_what_is_not_the_table(script, report, tmp_path):
    """Written twice, it is the same page."""
    page = tmp_path / 'page.md'
    begin, end = script.MARKS
    page.write_text(f'before\n\n{begin}\nold\n{end}\n\nafter\n')
    script.write_page(report, page)
    text = page.read_text()
    assert text.startswith('before\n\n') and text.endswith('\n\nafter\n')
    assert 'old' not in text and '| cosine |' in text
    script.write_page(report, page)
    assert page.read_text() == text
    page.write_text('without marks')
    with pytest.raises(ValueError, match='has no line'):
        script.write_page(report, page)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*does not have many workers')
@pytest.mark.filterwarnings('ignore:.*LeafSpec.*:FutureWarning')
@pytest.mark.filterwarnings('ignore:.*Checkpoint directory')
@pytest.mark.filterwarnings('ignore:.*is applied to one sample')
@pytest.mark.filterwarnings('ignore:.*carry less than one')
def test_runs_are_trained_and_scored_once(script, tmp_path, monkeypatch):
    """The second call only writes the page."""
    for name, value in {
        'SEEDS': (1,),
        'SCHEDULES': ('cosine',),
        'SIDE': 16,
        'FINE': (32, 32),
        'VIEWS': (4, 6),
    }.items():
        monkeypatch.setattr(script, name, value)
    rng = np.random.default_rng(0)
    for name in ('natural', 'mr', 'natural_held_back'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 255, (40, 40), dtype='uint8')
            path = tmp_path / 'images' / name / f'{i}.png'
            Image.fromarray(pixels).save(path)
    page = tmp_path / 'page.md'
    page.write_text('\n'.join(script.MARKS))
    arguments = [
        f'--images={tmp_path / "images"}',
        f'--output={tmp_path / "runs"}',
        '--steps=2',
        f'--json={tmp_path / "choices.json"}',
        f'--docs={page}',
    ]
    script.main(arguments)
    runs = json.loads((tmp_path / 'choices.json').read_text())['runs']
    assert [run['loss'] for run in runs] == ['relative', 'charbonnier']
    scores = [
        run['scores'][w][k]
        for run in runs
        for w in ('last', 'averaged')
        for k in KINDS
    ]
    assert np.isfinite(scores).all() and len(set(scores)) == 8
    monkeypatch.setattr(script, 'trained', None)
    script.main(arguments)
