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
import tarfile

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
    psnr = importlib.import_module('scores.rows').psnr
    assert psnr(truth + 0.2, truth) == pytest.approx(20)


def test_slices_of_a_head_stand_upright_in_relative_units(
    script, tmp_path, write_head
):
    """The first row of a slice is on top, and air is nearly nothing."""
    write_head(tmp_path / 'head.inv3')
    heads = importlib.import_module('scores.heads')
    slices = heads.head_slices(tmp_path / 'head.inv3')
    assert len(slices) == 5
    for image in slices.values():
        assert image.shape == (20, 24)
        # axis 0 is x, axis 1 is y, upwards
        assert image[3, 19] == image.max() > 1.9 * image[10, 15] > 0.5
        assert 0 <= image[0, 0] < 1e-3


def test_files_that_are_no_heads_are_named(script, tmp_path, write_head):
    """No archive, other files, and too few slices."""
    heads = importlib.import_module('scores.heads')
    path = tmp_path / 'head.inv3'
    path.write_bytes(b'no archive')
    with pytest.raises(ValueError, match='head.inv3 must be a project'):
        heads.head_slices(path)
    with tarfile.open(path, 'w'):
        pass
    with pytest.raises(ValueError, match='head.inv3 must be a project'):
        heads.head_slices(path)
    write_head(path, (10, 24, 20))
    with pytest.raises(ValueError, match='head.inv3 must be a project'):
        heads.head_slices(path)


def test_scores_of_files_that_are_not_given_are_kept(
    script, tmp_path, write_head
):
    """And those of all other images with `--only-heads`."""
    write_head(tmp_path / 'head.inv3')
    arguments = ['sparse_view_ct_c4', '--json', str(tmp_path / 'a.json')]
    heads = [*arguments, '--heads', str(tmp_path / 'head.inv3')]

    def measured():
        text = (tmp_path / 'a.json').read_text()
        return json.loads(text)['models']['sparse_view_ct_c4']['scores']

    with pytest.raises(SystemExit):
        script.main([*heads, '--only-heads'])
    script.main(arguments)
    first = measured()
    script.main([*heads, '--only-heads'])
    both = measured()
    assert both[:-1] == first and both[-1]['images'] == 'heads'
    assert np.mean(both[-1]['each']) == pytest.approx(
        both[-1]['psnr'], abs=0.011
    )
    script.main(arguments)
    assert measured() == both


def test_shipped_networks_are_above_total_variation_on_a_head():
    """C4 on each slice and above its twin, by what the scripts measured."""
    results = PATH.parents[1] / 'docs' / 'results'
    variation = json.loads((results / 'head_variation.json').read_text())
    tuned = [one['psnr'] for one in variation['slices'].values()]
    assert not any(one['at_end'] for one in variation['slices'].values())
    shipped = json.loads((results / 'shipped_models.json').read_text())
    found = {
        name: row
        for name, model in shipped['models'].items()
        for row in model['scores']
        if row['images'] == 'heads'
    }
    assert len(found) == 6
    for name, row in found.items():
        assert row['psnr'] > np.mean(tuned)
        if name.endswith('_c4'):
            pairs = zip(row['each'], tuned, strict=True)
            assert all(one > other for one, other in pairs)
            twin = found[name.removesuffix('c4') + 'ordinary']
            assert row['psnr'] > twin['psnr'] + 0.5


def test_total_variation_is_tuned_on_each_head(
    tmp_path, monkeypatch, script, write_head
):
    """Its best weight is between others."""
    heads = importlib.import_module('scores.heads')
    monkeypatch.setattr(heads, 'ITERATIONS', {'variations': 20})
    monkeypatch.setattr(heads, 'EVALUATIONS', 4)
    write_head(tmp_path / 'head.inv3')
    target = tmp_path / 'a.json'
    heads.main([str(tmp_path / 'head.inv3'), '--json', str(target)])
    slices = json.loads(target.read_text())['slices']
    assert len(slices) == 5
    for one in slices.values():
        assert one['psnr'] > 20 and one['weight'] > 0
        assert one['evaluations'] >= 4
