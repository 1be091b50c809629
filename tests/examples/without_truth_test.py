# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the experiments without ground truth."""

import functools
import json

import numpy as np
import pytest
import torch

from examples.experiments.without_truth import (
    comparison,
    coverage,
    covered,
    gap,
    given,
    own_scan,
)
from examples.experiments.without_truth.arms import Measured
from examples.experiments.without_truth.gap_losses import FromPart
from examples.experiments.without_truth.pose import FromCrossings
from examples.experiments.without_truth.results import write_results
from examples.experiments.without_truth.slices import slices_of
from examples.experiments.without_truth.verdicts import verdicts
from odl_equivariant import models
from odl_equivariant.data import (
    CartesianMRI,
    mr_phantom,
    simulated_coil_maps,
)
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient


@pytest.mark.slow
def test_trial_of_the_comparison(tmp_path, monkeypatch, capsys):
    """Networks are trained once by each loss, scored and compared."""
    slices = tmp_path / 'slices'
    slices.mkdir()
    np.save(slices / 'own.npy', np.eye(20, 30, dtype='float32'))
    arguments = ['--scale', 'tiny', '--tasks', 'ct_25/without']
    arguments += ['--output', str(tmp_path), '--slices', f'ct={slices}']
    arguments += ['--results', str(tmp_path / 'found.json'), '--losses']
    arguments += ['supervised', 'equivariant splitting', 'splitting']
    rows = comparison.main(arguments)
    # of the variants, the first seed
    assert len(rows) == 2 * 7 + 4
    assert all(np.isfinite(row['test']) for row in rows)
    assert all(np.isfinite(row['slices']) for row in rows)
    assert 'by design is within 0.5 dB' in capsys.readouterr().out
    stored = json.loads((tmp_path / 'found.json').read_text())
    assert stored['rows'] == rows
    assert stored['slices'] == {'ct_25': ['own', 'sample_ct_slice0']}
    costs = stored['costs']['ct_25/without']
    assert costs['splitting, ordinary'] == 1
    assert costs['equivariant splitting, averaging'] > 1.5

    # another budget has a table of its own
    other = [*arguments[:-3], 'supervised: by design', '--seeds', '1']
    (longer,) = comparison.main([*other, '--steps', '3', '--images', '4'])
    assert longer['steps'] == 3
    # and there is none of what the time did not suffice for
    assert comparison.main([*other, '--steps', '5', '--seconds', '0']) == []

    def fails(*arguments):
        raise AssertionError('trained again')

    monkeypatch.setattr(comparison.Study, '_train', fails)
    page = tmp_path / 'page.md'
    write_results(
        tmp_path / 'found.json', {'coverage': {'lines': ['covered']}}
    )
    assert comparison.main([*arguments, '--report', str(page)]) == rows
    text = page.read_text()
    assert '2 steps of 1 image of 16 x 16 pixels, of 2 phantoms' in text
    assert '## With 3 steps and 4 phantoms' in text
    assert '## With 5 steps' not in text
    assert 'for ct_25: `own`, `sample_ct_slice0`' in text
    # a part that another script wrote
    assert text.endswith('covered\n')
    assert (page.parent / 'images' / 'page_ct_25_without.png').is_file()


def test_slices_that_are_no_images(tmp_path):
    """They are refused by the name of their file, or of their folder."""
    path = tmp_path / 'it.npy'
    np.save(path, np.zeros((3, 4, 5)))
    settings = {
        'acquisition': {'class': 'SparseViewCT', 'shape': [16, 16]},
        'slices': [str(path)],
    }
    with pytest.raises(ValueError, match=r'it\.npy must hold a real image'):
        slices_of(settings)
    np.save(path, np.full((4, 5), np.nan))
    with pytest.raises(ValueError, match='not finite'):
        slices_of(settings)
    with pytest.raises(SystemExit):
        comparison.main(['--slices', f'ct={tmp_path / "none"}'])
    with pytest.raises(SystemExit):
        comparison.main(['--slices', str(tmp_path)])


def row(loss, network, seed, test, slices=0.0):
    """Return a row of the table."""
    return {
        'problem': 'ct',
        'noise': 'with',
        'loss': loss,
        'network': network,
        'seed': seed,
        'test': test,
        'slices': slices,
    }


def test_verdicts_are_those_of_the_rows():
    """A statement holds if it holds for each seed that both have."""
    rows = [
        row('supervised', 'by design', seed, score)
        for seed, score in ((1, 30.0), (2, 31.0), (3, 0.0))
    ]
    rows += [
        row('equivariant splitting', 'by design', seed, score, -1.0)
        for seed, score in ((1, 29.8), (2, 30.0))
    ]
    rows += [row('splitting', 'ordinary', seed, 29.0) for seed in (1, 2)]
    rows.append({**row('equivariant imaging', 'ordinary', None, 0)})
    rows[-1] = {**rows[-1], 'refused': 'symmetric'}
    costs = {'ct/with': {'equivariant splitting, by design': 1.05}}
    found = {sentence: rest for sentence, *rest in verdicts(rows, costs)}
    (near,) = (v for k, v in found.items() if '0.5 dB' in k)
    assert near[:2] == ['-0.20, -1.00 dB', 'Holds in part']
    assert near[2:] == ['-1.00, -1.00 dB', 'Does not hold']
    (above,) = (v for k, v in found.items() if 'with an ordinary' in k)
    assert above[:2] == ['+0.80, +1.00 dB', 'Holds']
    (cost,) = (v for k, v in found.items() if 'by design, costs' in k)
    assert cost[:2] == ['1.05 times', 'Holds']


def test_taken_samples_are_apart():
    """What is predicted was measured, and is not in the scan any more."""
    rng = np.random.default_rng(0)
    kspace = rng.normal(size=(3, 32, 24)) + 1j
    kspace *= rng.random((32, 24)) < 0.5
    kept, taken = own_scan.without_some(kspace)
    assert taken.any()
    assert (kspace[:, taken] != 0).all()
    assert not kept[:, taken].any()
    assert np.array_equal(kept[:, ~taken], kspace[:, ~taken])
    # of the middle, coil maps are estimated
    kspace[:, 8:25, 4:21] = 1
    assert not own_scan.without_some(kspace)[1][8:25, 4:21].any()
    with pytest.raises(ValueError, match='no sample could be taken away'):
        own_scan.without_some(np.zeros((3, 8, 8)))


@pytest.mark.slow
def test_own_scan_by_the_command(tmp_path):
    """A file of k-space is fine-tuned once, scored and shown."""
    images = simulated_coil_maps((32, 32), 4, rng=0)
    images = images * mr_phantom((32, 32), rng=0)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(images, (1, 2))), (1, 2)
    )
    measured = np.random.default_rng(0).random((32, 32)) < 0.7
    # coil maps are estimated from the middle
    measured[10:23, 10:23] = True
    kspace *= measured
    np.save(tmp_path / 'scan.npy', kspace)
    acquisition = CartesianMRI((32, 32), n_coils=4)
    block = functools.partial(
        EquivariantProximal, in_channels=2, channels=4, skip=True
    )
    network = LearnedProximalGradient(
        acquisition.operator, block, 2, 'adjoint'
    )
    models.save(network, tmp_path / 'small.safetensors')
    arguments = [str(tmp_path / 'scan.npy'), '--steps', '2', '--models']
    arguments += [str(tmp_path / 'small.safetensors')]
    arguments += ['--output', str(tmp_path / 'run')]
    arguments += ['--results', str(tmp_path / 'found.json')]
    arguments += ['--picture', str(tmp_path / 'it.png')]
    (found,) = own_scan.main(arguments).values()
    assert 0 < found['after'] < 1
    lines = json.loads((tmp_path / 'found.json').read_text())['own_scan']
    assert f'{found["after"]:.4f}' in '\n'.join(lines['lines'])
    assert (tmp_path / 'it.png').is_file()
    # another scan is learned from again, the same one is not
    own_scan.main(arguments)
    assert len(list((tmp_path / 'run').iterdir())) == 1
    np.save(tmp_path / 'scan.npy', kspace[::-1])
    own_scan.main(arguments)
    assert len(list((tmp_path / 'run').glob('*/finished'))) == 2


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
    settings = {'n_calibration': 2, 'level': 0.5}
    found = covered.summary(row, settings)
    assert found['region'] == 0.5
    assert found['pixels'] == 0.5
    assert found['calibrated region'] == 0.5
    assert found['calibrated pixels'] == 0.75


def test_truth_on_random_lines_is_truth_everywhere():
    """In the mean over lines, of the same part, by their densities."""
    acquisition = CartesianMRI((16, 16), acceleration=2, random_masks=True)
    pairs = [
        acquisition.pair(mr_phantom((16, 16), rng=i), [4, i]) for i in range(3)
    ]
    known = Measured.of_pairs(pairs, acquisition, 'cpu')
    torch.manual_seed(0)
    network = LearnedProximalGradient(
        acquisition.operator,
        lambda: EquivariantProximal(in_channels=2, channels=4, skip=True),
        1,
        'adjoint',
    )
    found = []
    for n_targets in (None, 300, 1):
        problem = known.problem(
            network, acquisition, torch.Generator().manual_seed(1)
        )
        with torch.no_grad():
            found.append(FromPart(0.6, None, n_targets)(problem))
    everywhere, many, one = found
    torch.testing.assert_close(many, everywhere, rtol=0.1, atol=0)
    # of one set of lines, only in the mean
    assert bool((one / everywhere - 1).abs().max() > 0.1)


def coverages(region, pixels, scores, ratios=(1.5, 2.0, 2.0)):
    """Return the summaries of a draw, alike for all methods."""
    return {
        ('bootstrap', 'c4', kind): {
            'scores': scores,
            'calibrated region': region,
            'calibrated pixels': pixels,
            'error over its estimate': ratio,
        }
        for kind, ratio in zip(covered.KINDS, ratios, strict=True)
    }


def test_coverage_of_draws_and_of_their_mean():
    """A draw may be further from the level than the mean of all is."""
    settings = {'n_calibration': 200, 'n_test': 200, 'level': 0.9}
    draws = [
        coverages(region, 0.9, list(range(400))) for region in (0.84, 0.96)
    ]
    others, mean, each, pixels, *transforms = covered.statements(
        draws, settings
    )
    assert mean[1] == '+0.0, +0.0, +0.0 points, of which chance makes 2.1'
    assert mean[2] == 'Holds'
    assert each[1].startswith('-6.0, +6.0, -6.0, +6.0')
    assert each[1].endswith('3.0')
    assert each[2] == 'Does not hold'
    assert pixels[2] == 'Holds'
    assert [row[2] for row in transforms] == ['Holds', 'Holds']
    assert others[2] == 'Holds'
    # of one draw there is neither a mean nor another draw
    assert len(covered.statements(draws[:1], settings)) == 4


def test_regions_that_other_draws_calibrate():
    """Their factor is of the others alone, of all of their images."""
    found = [
        coverages(0, 0, scores)
        for scores in ([1.0, 2.0, 3.0], [5.0, 4.0, 6.0], [0.0, 9.0, 2.5])
    ]
    # the fourth smallest of six scores
    wanted = [1.0, 0.0, 2 / 3]
    shown = covered.by_other_draws(found, 0.5)
    assert shown.shape == (3, 3)
    assert np.allclose(shown.T, wanted)


def crossings_of(acquisition, hidden, number):
    """Return crossings that were drawn, as sets of places of k-space."""
    drawn = set()

    class Network:
        def __call__(self, data, operators):
            drawn.update(one.mask.tobytes() for one in operators)
            return torch.zeros(len(data), 2, *acquisition.space.shape)

    pair = acquisition.pair(mr_phantom(acquisition.space.shape, rng=0), 0)
    known = Measured.of_pairs([pair], acquisition, 'cpu')
    loss = FromCrossings(hidden)
    loss.check(acquisition, None)
    for seed in range(number):
        generator = torch.Generator().manual_seed(seed)
        loss(known.problem(Network(), acquisition, generator))
    return {
        np.frombuffer(one, bool).reshape(acquisition.space.shape).tobytes()
        for one in drawn
    }


@pytest.mark.parametrize('hidden', [True, False])
@pytest.mark.parametrize('side', [24, 25])
def test_hidden_crossings_are_those_of_another_pose(hidden, side):
    """Of the mask and of the turned one; others show the pose."""
    acquisition = CartesianMRI((side, side), acceleration=3)
    own = crossings_of(acquisition, hidden, 8)
    back = (2 * (side // 2) - np.arange(side)) % side
    turned = {
        np.frombuffer(one, bool).reshape(side, side)[back].T.tobytes()
        for one in own
    }
    assert len(own) == 2 if hidden else len(own) > 4
    assert bool(own & turned) == hidden


def test_crossings_need_one_mask_of_lines():
    """Others are refused."""
    for acquisition in (
        CartesianMRI((16, 24)),
        CartesianMRI((16, 16), pattern='poisson_disc'),
        CartesianMRI((16, 16), axis=0),
    ):
        with pytest.raises(ValueError, match='one mask of lines'):
            FromCrossings().check(acquisition, None)


def test_causes_name_rows_and_compare_seeds():
    """Each change is between rows that are trained, seed by seed."""
    for problem, changes in gap.CAUSES.items():
        for _, *pair in changes:
            for name in pair:
                row = name.removesuffix(', 1600 steps')
                assert row in gap.ROWS[problem]
    one, other = 'crossings, supervised', 'crossings, pose hidden'
    rows = {
        one: [{'seed': 1, 'test': 24.0}, {'seed': 2, 'test': 25.0}],
        other: [{'seed': 2, 'test': 24.5}],
    }
    lines = gap.causes('mri_4', rows)
    assert lines[-2].endswith(f'| {one} | {other} | -0.50 |')
    assert gap.causes('mri_4', {one: rows[one]}) == []


@pytest.mark.slow
def test_trial_of_the_gap(tmp_path, monkeypatch, capsys):
    """Each row is trained once for each seed, and its errors are divided."""
    results = tmp_path / 'found.json'
    arguments = ['--scale', 'tiny', '--seeds', '1', '2', '--rows', '0', '1']
    arguments += ['--output', str(tmp_path), '--results', str(results)]
    found = gap.main(arguments)
    for rows in found.values():
        assert [len(seeds) for seeds in rows.values()] == [2, 2]
        parts = next(iter(rows.values()))[0]['parts'].values()
        assert sum(part['share'] for part in parts) == pytest.approx(1)
        assert sum(part['size'] for part in parts) == pytest.approx(1)
    lines = json.loads(results.read_text())['gap']['lines']
    assert '\n'.join(lines) in capsys.readouterr().out
    assert 'Gradients were clipped in' in '\n'.join(lines)
    # one change of one problem has both of its rows, of two seeds
    (change,) = [line for line in lines if line.startswith('| the network is')]
    assert change.split('|')[-2].count(',') == 1

    def fails(*arguments):
        raise AssertionError('trained again')

    monkeypatch.setattr(gap.Gap, '_train', fails)
    assert gap.main(arguments) == found
    # what was not trained has no row, and kept images are of the first seed
    text = ['--known', '--rows', '0', '5', '--kept', str(tmp_path)]
    shown = gap.main([*arguments[:2], *arguments[-4:], *text])
    assert [len(rows) for rows in shown.values()] == [1, 1]
    lines = json.loads(results.read_text())['gap']['lines']
    assert sum('| supervised, by design | ' in line for line in lines) == 2


def test_parts_with_the_centre_are_nearer_to_all_lines(tmp_path):
    """For a zero-filled image, of each fraction; and the page says so."""
    results = tmp_path / 'found.json'
    arguments = ['--side', '32', '--number', '2', '--results', str(results)]
    found = given.main(arguments)
    for fraction in given.FRACTIONS:
        without, kept = (
            found[f'{100 * fraction:.0f} %, {words}']['zero-filled']
            for words in given.KEPT
        )
        assert without <= kept <= found['all lines']['zero-filled']
    lines = json.loads(results.read_text())['given']['lines']
    score = found['all lines'][given.MODEL]
    assert any(f'{score:.2f}' in line for line in lines)
