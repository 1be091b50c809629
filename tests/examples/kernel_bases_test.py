# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the comparison of bases of kernels."""

import json

import numpy as np
import pytest
import torch

from examples.experiments import kernel_bases


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Train on less than a trial does, from images in a folder."""
    monkeypatch.setitem(kernel_bases.QUICK, 'steps', [2])
    monkeypatch.setitem(kernel_bases.QUICK, 'search_steps', 1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (11, 40, 36), dtype=np.uint8)
    np.save('images.npy', images)


def run(task='denoising', *arguments):
    """Run the comparison, and return what it wrote."""
    kernel_bases.main(
        ['--quick', '--task', task, '--images', '.', '--output', 'results']
        + list(arguments)
    )
    with open(f'results/{task}.json', encoding='utf-8') as file:
        return json.load(file)


@pytest.mark.parametrize(
    'task', ['denoising', pytest.param('ct', marks=pytest.mark.slow)]
)
def test_a_trial(task, capsys):
    """All networks are trained, scored and put into the table."""
    rows = run(task)['rows']
    assert len(rows) == 2 * len(kernel_bases.KERNELS)
    for row in rows:
        assert len(row['psnr']) == 2
        assert np.isfinite(row['psnr']).all()
    widths = {row['channels'] for row in rows[:5]}
    assert widths == {8}
    table = capsys.readouterr().out
    assert table.count('| same width |') == 5


def test_stopped_runs_go_on(monkeypatch):
    """What is done is not done again, and the rest from its checkpoint."""
    expected = run()
    arm = kernel_bases.Arm('mixed', 8)
    monkeypatch.setattr(kernel_bases, 'CHECKPOINT_EVERY', 1)
    settings = kernel_bases.SETTINGS['denoising'] | kernel_bases.QUICK
    images = kernel_bases.parts('.', True)
    study = kernel_bases.Study('denoising', settings, images, 'again')
    steps, pairs = [], study.task.pairs

    def stopped(*args):
        steps.append(args)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return pairs(*args)

    monkeypatch.setattr(study.task, 'pairs', stopped)
    with pytest.raises(KeyboardInterrupt):
        study.trained(arm, 1e-3, 1, 2)
    found = study.trained(arm, 1e-3, 1, 2)
    assert len(steps) == 3
    (row,) = (row for row in expected['rows'][:5] if row['kernels'] == 'mixed')
    assert found['test'] == row['psnr'][0]
    assert study.trained(arm, 1e-3, 1, 2) == found
    assert len(steps) == 3


def test_images_are_apart():
    """None to test or to choose with is trained on."""
    parts = kernel_bases.parts('.', True)
    assert [len(parts[name]) for name in parts] == [8, 2, 1]
    seen = torch.stack(sum(parts.values(), []))
    assert len(torch.unique(seen, dim=0)) == 11
    assert seen.max() == 1


def test_other_images_are_other_runs():
    """Results of other images or settings are not taken over."""
    settings = kernel_bases.SETTINGS['denoising'] | kernel_bases.QUICK
    images = kernel_bases.parts('.', True)
    others = {name: part[::-1] for name, part in images.items()}
    names = {
        kernel_bases._digest(settings, images),
        kernel_bases._digest(settings, others),
        kernel_bases._digest(settings | {'noise': 0.2}, images),
    }
    assert len(names) == 3


def test_the_search_goes_on_at_an_end(monkeypatch):
    """The best rate has one that is worse on either side."""
    images = kernel_bases.parts('.', True)
    settings = kernel_bases.SETTINGS['denoising'] | {'rates': [1e-3, 1e-2]}
    study = kernel_bases.Study('denoising', settings, images, 'search')

    def trained(arm, rate, seed, steps):
        assert seed == kernel_bases.SEARCH_SEED
        return {'validation': -abs(np.log10(rate) - 0.1)}

    monkeypatch.setattr(study, 'trained', trained)
    assert study.best_rate(None) == pytest.approx(1)
