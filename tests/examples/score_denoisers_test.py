# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the script that scores denoisers."""

import importlib.util
import json
import math
import pathlib

import numpy as np
import pytest

picture = pytest.importorskip('PIL.Image')
EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def script():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(
        'score_denoisers', EXAMPLES / 'score_denoisers.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scores_of_known_errors(script):
    """The identity has the noise level itself, and turns change nothing."""
    images = [np.full((64, 48), 0.5, 'float32')] * 3
    denoisers = {
        'identity': lambda noisy, sigma: noisy,
        'shifted': lambda noisy, sigma: np.full_like(noisy, 0.5 + sigma),
        'one-sided': lambda noisy, sigma: noisy * (len(noisy) == 48),
    }
    scores = script.scores_of(denoisers, images, 0.1, 0)
    assert np.allclose(scores['identity']['psnr'], 20, atol=0.3)
    assert np.allclose(scores['shifted']['psnr'], 20, atol=1e-4)
    for name in ('identity', 'shifted'):
        own = scores[name]
        assert np.allclose(own['psnr'], own['turned_psnr'], atol=1e-5)
    assert np.mean(scores['one-sided']['turned_psnr']) > 19
    zero = -10 * math.log10(0.25)
    assert np.allclose(scores['one-sided']['psnr'], zero)


def test_command(script, tmp_path, capsys):
    """A shipped denoiser is scored; all scores are in the file."""
    rows = np.tile(np.arange(32, dtype='uint8'), (32, 1))
    picture.fromarray(rows).save(tmp_path / 'a.png')
    path = tmp_path / 'scores.json'
    arguments = [str(tmp_path), 'denoiser_c4', '--json', str(path)]
    assert script.main(arguments) == 0
    own = json.loads(path.read_text())['denoiser_c4']
    assert abs(own['psnr'][0] - own['turned_psnr'][0]) < 1e-3
    assert f'{own["psnr"][0]:.2f}' in capsys.readouterr().out


def test_total_variation_has_a_best_weight(script):
    """Of an edge, a weight between two others is best; nothing turns it."""
    image = np.full((40, 31), 0.2, 'float32')
    image[:17] = 0.8
    weights = (0.1, 1.0, 60.0)
    denoisers = {w: script.by_variation(w) for w in weights}
    scores = script.scores_of(denoisers, [image], 0.1, 0)
    small, good, large = (scores[w]['psnr'][0] for w in weights)
    assert good > small + 3
    assert good > large + 3
    assert abs(good - scores[1.0]['turned_psnr'][0]) < 0.05


def test_one_sided_variation_is_the_minimiser(script):
    """Of an edge it is known; no other image near it has a lower value."""
    shape, weight, sigma = (12, 9), 0.5, 0.2
    step = np.zeros(shape, 'float32')
    step[4:] = 1
    denoise = script.by_one_sided_variation(weight)
    # each side moves towards the other by the weight for each of its rows
    known = np.where(step > 0, 1 - weight * sigma / 8, weight * sigma / 4)
    assert np.allclose(denoise(step, sigma), known, atol=1e-4)
    rng = np.random.default_rng(0)
    noisy = step + sigma * rng.standard_normal(shape)
    before = noisy.copy()
    u = denoise(noisy, sigma)
    assert np.array_equal(noisy, before)

    def value(u):
        down = np.diff(u, axis=0, append=u[-1:])
        right = np.diff(u, axis=1, append=u[:, -1:])
        total = np.sum(np.hypot(down, right))
        return 0.5 * np.sum((u - noisy) ** 2) + weight * sigma * total

    def backward(noisy):
        return np.rot90(denoise(np.rot90(noisy, 2).copy(), sigma), 2)

    others = [
        backward(noisy),
        *(
            script.by_one_sided_variation(other)(noisy, sigma)
            for other in (0.8 * weight, 1.2 * weight)
        ),
        noisy,
    ]
    for other in others:
        # at a minimiser of what is 1-strongly convex, the value grows so
        least = 0.5 * np.sum((other - u) ** 2)
        assert least > 1e-3
        assert value(other) - value(u) > 0.99 * least


def test_expected_on_other_images(script):
    """Linear scores are met exactly, and noisy ones within their error."""
    rng = np.random.default_rng(0)
    references = 28 + rng.standard_normal((2, 8))
    others = 28 + rng.standard_normal((2, 10))

    def truth(references):
        return 0.5 + 0.75 * references[0] + 0.25 * references[1]

    means = np.mean(others, axis=1)
    exact, error = script.expected(truth(references), references, 10, means)
    assert abs(exact - np.mean(truth(others))) < 1e-9
    assert error < 1e-9
    values, errors = [], []
    for _ in range(2000):
        noise = 0.2 * rng.standard_normal((2, 10))
        value, error = script.expected(
            truth(references) + noise[0, :8], references, 10, means
        )
        values.append(value - np.mean(truth(others) + noise[1]))
        errors.append(error**2)
    assert abs(np.mean(values)) < 0.02
    assert abs(np.var(values) / np.mean(errors) - 1) < 0.1


@pytest.mark.parametrize('size', [0, 1e-8])
def test_expected_of_images_that_say_too_little(script, size):
    """The error says how many there must be, or that they must differ."""
    with pytest.raises(ValueError, match='at least 4 images .* got 3'):
        script.expected([1, 2, 3], [[1, 2, 3], [2, 1, 2]], 68, (1, 2))
    rng = np.random.default_rng(0)
    scores = rng.uniform(20, 22, (3, 9))
    with pytest.raises(ValueError, match='mean 28.5 is beyond .* 2[0-2]'):
        script.expected(scores[0], scores[1:], 68, (21, 28.5))
    own = np.arange(5.0)
    also = 2 * own + 1 + size * np.array([0, 1, 0, 0, 1])
    with pytest.raises(ValueError, match='differ more'):
        script.expected(own, [own, also], 68, (1, 2))


def test_table_of_means_to_expect(script):
    """The references have the given means, with the best of the weights."""
    rng = np.random.default_rng(0)

    def own(mean):
        values = list(mean + rng.standard_normal(6))
        return {'psnr': values, 'turned_psnr': values, 'seconds': [1.0]}

    scores = {
        'model': own(29),
        'bm3d': own(28),
        'one-sided variation 0.1': own(20),
        'one-sided variation 0.7': own(27),
    }
    assert not any('±' in line for line in script.table(scores))
    script.add_expected(scores, (0.1, 0.7), 68, (28.57, 27.48))
    header, model, bm3d, worse, best = script.table(scores)
    assert header.split()[-1] == 'expected'
    references = [
        scores[name]['psnr'] for name in ('bm3d', 'one-sided variation 0.7')
    ]
    mean, error = script.expected(
        scores['model']['psnr'], references, 68, (28.57, 27.48)
    )
    assert model.endswith(f' {mean:.2f} ± {error:.2f}')
    assert bm3d.endswith(' 28.57 ± 0.00')
    assert best.endswith(' 27.48 ± 0.00')
    assert not worse.endswith(' 27.48 ± 0.00')


def test_command_with_means_to_expect(script, tmp_path, monkeypatch, capsys):
    """They are in the file; if they cannot be fitted, the scores are."""
    monkeypatch.setattr(script, 'by_bm3d', lambda noisy, sigma: noisy)
    monkeypatch.setattr(
        script.importlib.util, 'find_spec', lambda name: 'found'
    )
    rng = np.random.default_rng(0)
    path = tmp_path / 'scores.json'
    arguments = [
        str(tmp_path), '--bm3d', '--one-sided-variation', '0.5', '0.7',
        '--as-hard-as', '68', '20', '19', '--json', str(path),
    ]  # fmt: skip
    for i in range(5):
        rows = rng.integers(0, 255, (8, 8), dtype='uint8')
        picture.fromarray(rows).save(tmp_path / f'{i}.png')
    assert script.main(arguments) == 0
    scores = json.loads(path.read_text())
    assert scores['bm3d']['expected'][0] == pytest.approx(20)
    assert '20.00 ± 0.00' in capsys.readouterr().out

    def refuse(*_):
        raise ValueError('alike')

    monkeypatch.setattr(script, 'expected', refuse)
    path.unlink()
    assert script.main(arguments) == 1
    assert len(json.loads(path.read_text())['bm3d']['psnr']) == 5
    assert '--as-hard-as: alike' in capsys.readouterr().err


def test_options_that_cannot_work(script, tmp_path, capsys, monkeypatch):
    """The command says so before it scores anything."""
    ends = ['--as-hard-as', '68', '28.57', '27.48']
    one_sided = ['--one-sided-variation', '0.7']

    def refused(*given):
        with pytest.raises(SystemExit):
            script.main([str(tmp_path), *given])
        return capsys.readouterr().err

    monkeypatch.setattr(script.importlib.util, 'find_spec', lambda name: None)
    assert 'pip install bm3d' in refused('--bm3d')
    monkeypatch.setattr(
        script.importlib.util, 'find_spec', lambda name: 'found'
    )
    for given in (['--bm3d'], one_sided):
        assert 'needs --bm3d and' in refused(*given, *ends)
    for i in range(3):
        rows = np.full((8, 8), i, dtype='uint8')
        picture.fromarray(rows).save(tmp_path / f'{i}.png')
    both = ['--bm3d', *one_sided]
    assert 'needs 4 images or more, got 3' in refused(*both, *ends)
    for wrong in (['68', '28', 'nan'], ['0', '1', '1'], ['1.5', '1', '1']):
        error = refused(*both, '--as-hard-as', *wrong)
        assert 'a number of images and two means' in error
    nowhere = str(tmp_path / 'none' / 'a.json')
    assert 'not there' in refused(*one_sided, '--json', nowhere)
    assert 'must be positive' in refused(*one_sided, '--sigma', 'inf')


@pytest.mark.parametrize('weight', ['0', '-1', 'nan', 'inf'])
@pytest.mark.parametrize('option', ['--variation', '--one-sided-variation'])
def test_weights_that_are_not_positive(
    script, tmp_path, capsys, option, weight
):
    """They are refused by their option."""
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), f'{option}={weight}'])
    assert f'{option} must be positive' in capsys.readouterr().err


def test_command_without_denoisers(script, tmp_path):
    """It says what is missing."""
    with pytest.raises(SystemExit):
        script.main([str(tmp_path)])
