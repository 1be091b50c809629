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

from examples.experiments.null_space import comparison, report, scales
from examples.experiments.null_space.images import sources
from examples.experiments.null_space.verdicts import gains, verdicts


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
    photographs = [folder / f'{name}.npy' for name in ('train', 'test')]
    rng = np.random.default_rng(0)
    for path in photographs:
        np.save(path, rng.integers(0, 255, (6, 24, 24), dtype=np.uint8))
    arguments = ['--scale', 'tiny', '--device', 'cpu', '--photographs']
    arguments += [*map(str, photographs), '--problems', 'denoising 0.1']
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
    assert by_kind == {'layers': 16, 'phantoms': 12, 'photographs': 12}
    written = json.loads((folder / 'comparison.json').read_text())
    assert written['rows'] == rows


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(result):
    """The same command returns the same rows without a training step."""
    arguments, rows, _ = result
    assert comparison.main(arguments) == rows


@pytest.mark.slow
def test_report_has_what_was_measured(result, tmp_path):
    """A page with statements and gains, figures, and the rows it is from."""
    report.main([result[2], tmp_path])
    page = (tmp_path / 'results_null_space.md').read_text('utf-8')
    assert '| layers, upright: the equivariant network is above' in page
    assert '| photographs | inpainting 90 % |' in page
    for path in re.findall(r'\]\((\S+\.png)\)', page):
        assert (tmp_path / path).stat().st_size > 1000
    assert page.count('.png)') == 4
    kept = json.loads((tmp_path / 'results/null_space.json').read_text())
    assert kept['rows'] == result[1]


def test_means_over_scales_are_compared(capsys):
    """The same denoisers, as they were trained and at two scales."""
    found = scales.main(['--steps', '2', '--side', '16', '--seeds', '1'])
    assert '| mean of scales 1 and 2 |' in capsys.readouterr().out
    plain, mean = found.values()
    assert np.isfinite(plain).all() and np.isfinite(mean).all()
    assert plain != mean


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
