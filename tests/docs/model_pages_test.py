# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The pages of shipped models in the documentation."""

import importlib
import json
import pathlib
import re
import sys

import pytest

from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, SparseViewCT, VolumeMRI
from odl_equivariant.models.shipped import shipped_path

ROOT = pathlib.Path(__file__).parents[2]
SCORES = ROOT / 'docs' / 'results' / 'shipped_models.json'
KINDS = (
    'splitting_ct_c4',
    'primal_dual_ct_c4',
    'sparse_view_ct_c4',
    'cartesian_mri_ordinary',
    'denoiser_c4',
    'ridge_convex_c4',
    'volume_denoiser_o',
    'volume_mri_o',
)


@pytest.fixture
def pages(monkeypatch):
    """Return the extension that makes the pages."""
    folder = ROOT / 'docs' / '_extensions'
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    return importlib.import_module('model_pages')


@pytest.fixture(scope='module')
def measured():
    """Return the scores in the documentation."""
    return json.loads(SCORES.read_text('utf-8'))['models']


def digest_of_weights(path):
    """Return what the script of the scores says of a file of weights."""
    text = (ROOT / 'examples' / 'scores' / 'shipped_models.py').read_text()
    (code,) = re.findall(
        r'^def digest_of_weights.*?(?=\n\n\n)', text, re.M | re.S
    )
    names = {'pathlib': pathlib, 'hashlib': importlib.import_module('hashlib')}
    exec(code, names)
    return names['digest_of_weights'](path)


@pytest.mark.parametrize('name', models.available())
def test_scores_are_those_of_the_weights_that_ship(name, measured):
    """Weights that change are measured again, by `make scores`."""
    found = digest_of_weights(shipped_path(name))
    assert measured[name]['weights'] == found, 'call `make scores`'


@pytest.mark.parametrize('name', models.available())
def test_equivariant_models_score_the_same_for_turned_objects(name, measured):
    """A quarter turn moves no score of theirs by 0.01 dB."""
    if not name.endswith(('_c4', '_o')):
        pytest.skip('an ordinary network')
    for row in measured[name]['scores']:
        assert abs(row['turned'] - row['psnr']) <= 0.011, row
        assert row['equivariance_error'] < 1e-4, row


@pytest.mark.parametrize('name', models.available())
def test_scores_are_inside_where_the_card_says_so(name, measured):
    """Each page has settings of the training, and marks all others."""
    assert any(row['inside'] for row in measured[name]['scores'])
    assert all(row['n'] >= 1 for row in measured[name]['scores'])


@pytest.mark.parametrize('name', models.available())
def test_a_page_says_what_card_and_scores_say(name, pages, measured):
    """Nothing of the card, and no score, is left out."""
    page = pages.page(name)
    for key, text in models.describe(name).rows().items():
        assert f'| {key} | {text} |' in page
    for row in measured[name]['scores']:
        assert f'| {row["psnr"]:.2f} | {row["turned"]:.2f} |' in page
    assert page.count('†') == sum(
        not row['inside'] for row in measured[name]['scores']
    ) + any(not row['inside'] for row in measured[name]['scores'])
    assert pages.uses_of(name)


@pytest.mark.parametrize('name', models.available())
def test_only_models_with_a_parameter_are_said_to_be_tuned(name, pages):
    """Unrolled networks have none, denoisers and energies have."""
    page = pages.page(name)
    if '## Measured scores' not in page or 'regularisers' not in page:
        return
    is_image_model = models.describe(name).card.modality == 'images'
    assert ('parameters of both were tuned' in page) == is_image_model
    assert ('this model has no parameter' in page) == (not is_image_model)


@pytest.mark.parametrize('name', models.available())
def test_only_networks_with_a_unit_are_said_to_have_one(name, pages):
    """A homogeneous network takes values of any size."""
    words = ('largest magnitude of an image', 'Values far from those')
    card = models.describe(name).card
    if card.modality == 'images':
        pytest.skip('no unrolled network')
    if card.modality == 'tomography':
        operator = SparseViewCT((16, 16), n_views=4).operator
    elif name.startswith('volume'):
        operator = VolumeMRI((8, 8, 8)).operator
    else:
        operator = CartesianMRI((16, 16)).operator
    network = models.load(name, operator)
    homogeneous = all(
        getattr(block, 'homogeneous', False) for block in network.blocks
    )
    page = pages.page(name)
    assert any(text in page for text in words) != homogeneous


@pytest.mark.slow
@pytest.mark.parametrize('name', KINDS)
def test_code_of_a_page_runs(name, pages):
    """The lines by which a model is used are complete."""
    (code,) = re.findall(r'```python\n(.*?)```', pages.page(name), re.S)
    names = {}
    exec(code, names)
    assert any(key in names for key in ('image', 'slope'))


def test_the_page_of_volumes_counts_weights():
    """The numbers of weights in its text are those of the files."""
    text = (ROOT / 'docs' / 'how-to' / 'volumes.md').read_text('utf-8')
    for name in ('volume_mri_o', 'volume_mri_ordinary'):
        weights = int(models.describe(name).rows()['weights'])
        assert f'{weights:,}'.replace(',', ' ') in text
