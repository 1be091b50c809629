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


@pytest.mark.parametrize('weight', ['0', '-1', 'nan', 'inf'])
def test_weights_that_are_not_positive(script, tmp_path, capsys, weight):
    """They are refused by their option."""
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), f'--variation={weight}'])
    assert '--variation must be positive' in capsys.readouterr().err


def test_command_without_denoisers(script, tmp_path):
    """It says what is missing."""
    with pytest.raises(SystemExit):
        script.main([str(tmp_path)])
