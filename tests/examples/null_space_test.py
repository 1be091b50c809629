# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The comparison of networks by the size of the null space."""

import json
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from examples.experiments.null_space import comparison, report, scales
from examples.experiments.null_space.counterexample import (
    counterexample,
    statements,
)
from examples.experiments.null_space.images import pictures, sources
from examples.experiments.null_space.verdicts import gains, table, verdicts


def test_quarter_turns_of_images_are_exact():
    """Turned by 90 degrees, an image is its rot90, to the last bit."""
    source = sources('layers', dict(train=1, validation=1, test=2), 16)['test']
    np.testing.assert_array_equal(
        source.shown(1, angle=180), np.rot90(source.shown(1), 2)
    )


def test_a_scaled_image_shows_the_middle_of_an_image():
    """At half of the scale the image is in the middle, and air around it."""
    source = sources('layers', dict(train=1, validation=1, test=1), 16)['test']
    half = source.shown(0, scale=0.5)
    assert half[:3].max() == half[:, -3:].max() == 0
    finer = sources('layers', dict(train=1, validation=1, test=1), 8)['test']
    np.testing.assert_allclose(half[4:12, 4:12], finer.shown(0), atol=1e-9)


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    """The rows of a comparison of tiny networks, and their folder."""
    folder = tmp_path_factory.mktemp('null_space')
    photographs = folder / 'pictures'
    photographs.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        values = rng.integers(0, 255, (24, 30 + i), dtype=np.uint8)
        Image.fromarray(values).save(photographs / f'{i}.png')
    arguments = ['--scale', 'tiny', '--device', 'cpu', '--phantoms']
    arguments += ['--images', str(photographs), '--problems', 'ct 10 views']
    arguments += ['denoising 0.1']
    arguments += ['inpainting 70 %', 'inpainting 90 %', 'sensing 25 %']
    arguments += ['--output', str(folder / 'out')]
    return arguments, comparison.main(arguments), folder / 'out'


@pytest.mark.slow
def test_each_problem_has_both_networks_for_each_seed(result):
    """A row for each network, with a score for each condition."""
    _, rows, folder = result
    by_kind = {kind: 0 for kind in ('layers', 'phantoms', 'photographs')}
    for row in rows:
        by_kind[row['images']] += 1
        assert all(np.isfinite(row[name]) for name in ('upright', 'scale 2'))
    assert by_kind == {'layers': 20, 'phantoms': 12, 'photographs': 12}
    written = json.loads((folder / 'comparison.json').read_text())
    assert written['rows'] == rows


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(result):
    """The same command returns the same rows without a training step."""
    arguments, rows, _ = result
    assert comparison.main(arguments) == rows


@pytest.mark.slow
def test_report_has_what_was_measured(result, tmp_path, monkeypatch):
    """A page with statements and gains, figures, and the rows it is from."""
    errors = dict.fromkeys(('functional', 'mask stays', 'mask turns'), 0.0)
    monkeypatch.setattr(report, 'counterexample', lambda: {0.3: errors})
    report.main([result[2], tmp_path])
    page = (tmp_path / 'results_null_space.md').read_text('utf-8')
    assert '| layers, upright: the equivariant network is above' in page
    assert '| photographs | inpainting 90 % |' in page
    assert '\nNot run: denoising 0.05 of layers, denoising 0.2 of' in page
    assert '| 30 % missing: 0.0e+00 | Does not hold |' in page
    for path in re.findall(r'\]\((\S+\.png)\)', page):
        assert (tmp_path / path).stat().st_size > 1000
    assert page.count('.png)') == 4
    kept = json.loads((tmp_path / 'results/null_space.json').read_text())
    assert kept['rows'] == result[1]


@pytest.mark.slow
def test_means_over_scales_are_compared(capsys, tmp_path):
    """Denoisers of one scale, at others, beside those of the others."""
    arguments = ['--steps', '2', '--side', '16', '--seeds', '1', '--images']
    arguments += ['phantoms', '--output', str(tmp_path / 'runs')]
    arguments += ['--docs', str(tmp_path)]
    rows = scales.main(arguments)
    assert '| mean of 1 and 2 |' in capsys.readouterr().out
    assert len(rows) == 1 + len(scales.MEANS)
    for row in rows:
        assert np.isfinite(row['scores']).all()
        assert len(row['reference']) == len(scales.SCALES)
    assert rows[0]['scores'] != rows[1]['scores']
    page = (tmp_path / 'results_scales.md').read_text('utf-8')
    assert '| phantoms, scale 1.4: "mean of 1 and 2" loses' in page
    kept = json.loads((tmp_path / 'results/scales.json').read_text())
    assert kept['rows'] == rows
    # nothing is trained twice
    assert scales.main(arguments) == rows


def test_losses_at_other_scales():
    """They are what is missing to a denoiser of the scale, by seed."""
    rows = [
        {
            'images': 'layers',
            'denoiser': name,
            'seed': seed,
            'scores': [30 - loss - seed] * 5,
            'reference': [30 - seed] * 5,
        }
        for seed in (1, 2)
        for name, loss in (('as trained', 1.0), ('half', 0.4), ('more', 0.6))
    ]
    lost = scales.losses(rows, 'layers')
    np.testing.assert_allclose(lost['half'], 0.4)
    said = [verdict for _, _, verdict in scales.verdicts(rows)]
    assert said[:8] == 4 * ['Holds'] + 4 * ['Does not hold']
    # beyond the loss at scale 1, none of them loses
    assert said[8:] == 8 * ['Holds']


def test_pictures_of_a_folder(tmp_path):
    """Each is in one part, as the square in its middle."""
    for i in range(8):
        values = np.full((30, 40), 30 * i, dtype=np.uint8)
        values[:, :5] = 255
        Image.fromarray(values).save(tmp_path / f'{i}.png')
    numbers = {'train': 8, 'validation': 1, 'test': 3}
    parts = pictures(tmp_path, numbers)
    assert {name: len(images) for name, images in parts.items()} == {
        'train': 5,
        'validation': 1,
        'test': 2,
    }
    images = [image for part in parts.values() for image in part]
    assert all(image.shape == (30, 30) for image in images)
    found = sorted(round(255 * float(image.mean())) for image in images)
    assert found == [30 * i for i in range(8)]
    with pytest.raises(ValueError, match='at least 3 pictures'):
        (tmp_path / 'two').mkdir()
        for i in range(2):
            path = tmp_path / 'two' / f'{i}.png'
            Image.fromarray(values).save(path)
        pictures(tmp_path / 'two', numbers)


@pytest.mark.slow
def test_earlier_rows_are_kept(result, tmp_path):
    """Rows of an earlier run stay, but for those that are new."""
    rows = result[1]
    kept = tmp_path / 'kept.json'
    earlier = [{**rows[0], 'upright': 1.0}, {**rows[0], 'problem': 'blur'}]
    rates = {'equivariant': 1e-3, 'ordinary': 1e-3}
    content = {'scale': 'tiny', 'rates': rates, 'rows': earlier}
    kept.write_text(json.dumps(content), 'utf-8')
    arguments = ['--scale', 'tiny', '--device', 'cpu', '--keep', str(kept)]
    arguments += ['--problems', rows[0]['problem'], '--seeds', '1']
    arguments += ['--output', str(result[2])]
    found = comparison.main(arguments)
    assert [row['problem'] for row in found] == 2 * ['denoising 0.1'] + [
        'blur'
    ]
    assert found[0]['upright'] == rows[0]['upright']


def test_rows_of_several_runs_are_in_the_order_of_the_null_space():
    """Whatever ran first, the problems follow each other as in the file."""
    settings = yaml.safe_load(comparison.SETTINGS.read_text('utf-8'))

    def rows(missing, **scores):
        return [
            {
                'images': 'layers',
                'problem': f'inpainting {missing} %',
                'network': network,
                'seed': 1,
                'upright': 20.0,
                'unseen angles': 20.0,
                'quarter turns': scores.get(network, 20.0),
            }
            for network in comparison.NETWORKS
        ]

    earlier = rows(30, equivariant=22.0) + rows(90, equivariant=24.0)
    earlier += rows(50, equivariant=10.0)
    new = rows(50, equivariant=23.0) + rows(10, equivariant=21.0)
    found = comparison.together(earlier, new, settings)
    assert list(gains(found, 'quarter turns').items()) == [
        (('layers', f'inpainting {missing} %'), [gain])
        for missing, gain in ((10, 1.0), (30, 2.0), (50, 3.0), (90, 4.0))
    ]
    for name, settings_of in (('problem', 'problems'), ('images', 'images')):
        fewer = {**settings, settings_of: {'others': None}}
        with pytest.raises(ValueError, match=f'rows of the {name} .*remove'):
            comparison.together(earlier, [], fewer)
    said = {words: verdict for words, _, verdict in verdicts(found)}
    grows = 'layers, turned: the gain in inpainting grows with the null space'
    assert said[grows] == 'Holds'


def test_statements_follow_from_the_rows():
    """Gains are paired by seed, and a statement fails where one is lost."""
    rows = [
        {
            'images': 'layers',
            'problem': problem,
            'network': network,
            'seed': seed,
            **dict.fromkeys(
                ('upright', 'quarter turns', 'unseen angles'), score + seed
            ),
        }
        for seed in (1, 2)
        for problem, pair in (
            ('denoising 0.1', (21.0, 20.0)),
            ('inpainting 50 %', (23.0, 20.0)),
            ('inpainting 90 %', (22.0, 20.0)),
        )
        for network, score in zip(
            ('equivariant', 'ordinary'), pair, strict=True
        )
    ]
    assert gains(rows, 'upright')['layers', 'denoising 0.1'] == [1.0, 1.0]
    said = {words: verdict for words, _, verdict in verdicts(rows)}
    above = (
        'layers, upright: the equivariant network is above the ordinary one'
    )
    assert said[above] == 'Holds'
    grows = 'layers, turned: the gain in inpainting grows with the null space'
    assert said[grows] == 'Does not hold'


def scored(**problems):
    """Return rows of one seed by score of the ordinary network and gain."""
    return [
        {
            'images': 'layers',
            'problem': problem.replace('_', ' '),
            'network': network,
            'seed': 1,
            'upright': score,
            'unseen angles': score,
            'quarter turns': score + gain * (network == 'equivariant'),
        }
        for problem, (score, gain) in problems.items()
        for network in ('equivariant', 'ordinary')
    ]


@pytest.mark.parametrize(
    'gains_of_views, expected',
    [
        ((1, 2, 3), 'Holds'),
        ((1, 3, 2), 'Holds in part'),
        ((2, 3, 1), 'Does not hold'),
        ((3, 2, 1), 'Does not hold'),
    ],
)
def test_growth_is_from_end_to_end(gains_of_views, expected):
    """A single step up is no growth if the last gain is not the larger."""
    rows = scored(
        **{
            f'ct_{n}_views': (30, gain)
            for n, gain in zip((200, 50, 10), gains_of_views, strict=True)
        }
    )
    said = {words: verdict for words, _, verdict in verdicts(rows)}
    grows = 'layers, turned: the gain in ct grows with the null space'
    assert said[grows] == expected


@pytest.mark.parametrize(
    'gains_of_problems, rank, expected',
    [
        ((1, 2, 3, 4, 5, 6), '+1.00', 'Holds'),
        ((2, 5, 1, 3, 4, 6), '+0.54', 'Holds in part'),
        ((6, 5, 4, 3, 2, 1), '-1.00', 'Does not hold'),
    ],
)
def test_gains_follow_the_quality(gains_of_problems, rank, expected):
    """The rank correlation of scores and gains, over all problems."""
    problems = {
        f'problem_{i}': (20 + i**3, gain)
        for i, gain in enumerate(gains_of_problems)
    }
    (found,) = (
        said for said in verdicts(scored(**problems)) if 'rank' in said[1]
    )
    assert found[1:] == (f'rank correlation {rank} of 6 problems', expected)


def test_one_seed_has_no_spread():
    """A mean of one number stands alone."""
    line = table(scored(blur=(30.0, 1.5))).splitlines()[-1]
    assert line == '| layers | blur | 30.00 | +0.00 | +0.00 | +1.50 |'


def test_the_counterexample():
    """Inpainting by an invariant functional follows the mask alone."""
    said = statements(counterexample((0.5,)))
    assert [verdict for _, _, verdict in said] == 3 * ['Holds']
