# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The script that measures the shipped models."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

pytest.importorskip('pydicom')
PATH = pathlib.Path(__file__).parents[3] / 'examples' / 'scores'


@pytest.fixture
def script(monkeypatch):
    """Return the script as a module, with few and small problems."""
    spec = importlib.util.spec_from_file_location(
        'shipped_models', PATH / 'shipped_models.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {
        'N_PHANTOMS': 1,
        'TOMOGRAPHY': ((30, 1e4), (4, 1e4)),
        'RESONANCE': (4,),
        'LEVELS': (0.05,),
        'SIZE': 32,
        'real_images': small_images,
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def small_images(modality):
    """Return an image that stands for the sample slice."""
    from odl_equivariant.data import ellipse_phantom, mr_phantom

    if modality == 'ct':
        return [ellipse_phantom((64, 64), rng=1)], (32, 32)
    return [mr_phantom((32, 32), rng=1)], (32, 32)


@pytest.mark.parametrize(
    'name, settings',
    [('sparse_view_ct_c4', 2), ('cartesian_mri_c4', 1), ('denoiser_c4', 1)],
)
def test_scores_of_equivariant_models_do_not_turn(script, name, settings):
    """Upright and turned, the score is the same, and above the baseline."""
    rows = list(script.scores_of(name))
    images = 3 if name == 'denoiser_c4' else 2
    assert len(rows) == images * settings
    for row in rows:
        assert abs(row['psnr'] - row['turned']) <= 0.011
        if row['inside']:
            assert row['psnr'] > row['baseline']
    if name == 'sparse_view_ct_c4':
        assert [row['inside'] for row in rows] == [True, True, False, False]


def test_only_named_models_are_measured_again(script, tmp_path):
    """All others in the file stay as they are."""
    path = tmp_path / 'scores.json'
    old = {'weights': 'abc', 'scores': []}
    path.write_text(json.dumps({'models': {'ridge_convex_c4': old}}))
    script.main(['denoiser_c4', '--json', str(path)])
    found = json.loads(path.read_text())['models']
    assert found['ridge_convex_c4'] == old
    assert len(found['denoiser_c4']['weights']) == 32
    with pytest.raises(SystemExit):
        script.main(['denoiser_c5', '--json', str(path)])


def test_psnr_is_that_of_its_formula(script):
    """A constant error of a tenth of the peak is 20 dB."""
    truth = np.array([[0.0, 2.0]])
    assert script.psnr(truth + 0.2, truth) == pytest.approx(20)
