# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example of magnetic resonance imaging claims of the models."""

import importlib
import pathlib
import re
import sys

import numpy as np
import odl
import pytest

from odl_equivariant.data import CartesianMRI, mr_phantom

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'
# a row of the example's table
ROW = r'(zero-filled|TV|unrolled, \w+)[^\d]* (.*)'


@pytest.fixture
def example(monkeypatch):
    """Return the example as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    for name in ('mri_reconstruction', 'quickstart'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module('mri_reconstruction')
    yield module
    for name in ('mri_reconstruction', 'quickstart'):
        sys.modules.pop(name, None)


@pytest.mark.parametrize('shape', [(16, 24), (15, 21), (24, 16)])
def test_turned_acquisition_samples_the_turned_frequencies(example, shape):
    """A' T A^* y loses nothing: the turned data have the norm of the data."""
    acquisition = CartesianMRI(shape)
    other = example.turned_acquisition(acquisition)
    x = odl.phantom.white_noise(acquisition.space, seed=1)
    data = acquisition.operator(x)
    image = example.turned(acquisition.zero_filled(data), other.space)
    turned_data = other.operator(image)
    assert float(turned_data.norm()) == pytest.approx(
        float(data.norm()), rel=1e-5
    )
    # and A' T = S A, with the isometry S = A' T A^*
    expected = other.operator(example.turned(x, other.space))
    assert float((turned_data - expected).norm()) < 1e-5 * float(data.norm())


def test_total_variation_reduces_the_error(example, monkeypatch):
    """The solution is closer to a phantom than the zero-filled image."""
    monkeypatch.setattr(example, 'TV_ITERATIONS', 60)
    acquisition = CartesianMRI((64, 64))
    phantom = mr_phantom((64, 64), 1, 'body', phase=True)
    truth = acquisition.ground_truth(phantom)
    data = acquisition.simulate(phantom, 0)
    start = example.psnr(acquisition.zero_filled(data), truth)
    u = example.total_variation(acquisition, data, 0.02)
    assert example.psnr(u, truth) > start + 0.5


def test_scores_are_those_of_the_magnitude(example):
    """The phase of an image does not count in its scores."""
    space = CartesianMRI((32, 32)).space
    truth = space.element(mr_phantom((32, 32), 0))
    turned_phase = space.element(1j * (0.9 * truth.asarray()))
    error = 0.1 * truth.asarray().real
    expected = -10 * np.log10(np.mean(error**2))
    assert example.psnr(turned_phase, truth) == pytest.approx(
        expected, abs=1e-3
    )
    assert example.ssim(1j * truth, truth) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_example_on_the_real_slice(example, tmp_path, monkeypatch, capsys):
    """The learned methods are above tuned TV, and only C4 turns exactly."""
    figure = tmp_path / 'figure.png'
    monkeypatch.setattr(sys, 'argv', ['example', '--output', str(figure)])
    # one weight beside the best of a finer search
    monkeypatch.setattr(example, 'TV_WEIGHTS', (0.0175,))
    example.main()
    rows = {}
    for line in capsys.readouterr().out.splitlines():
        match = re.fullmatch(ROW, line)
        if match:
            rows[match[1]] = [float(x) for x in match[2].split()]
    psnr = {name: row[0] for name, row in rows.items()}
    turned_psnr = {name: row[3] for name, row in rows.items()}
    error = {name: row[5] for name, row in rows.items()}
    assert psnr['TV'] > psnr['zero-filled'] + 1
    assert psnr['unrolled, ordinary'] > psnr['TV']
    assert psnr['unrolled, c4'] > max(
        psnr['TV'] + 0.5, psnr['unrolled, ordinary']
    )
    assert error['unrolled, c4'] < 1e-4
    assert error['unrolled, ordinary'] > 1e-2
    assert turned_psnr['unrolled, c4'] == pytest.approx(
        psnr['unrolled, c4'], abs=0.02
    )
    assert figure.stat().st_size > 50_000
