# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The example of measured k-space, on a file that the test writes."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

from odl_equivariant.data import (
    KspaceScan,
    mr_phantom,
    simulated_coil_maps,
)

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def example():
    """Return the script as a module."""
    pytest.importorskip('matplotlib')
    spec = importlib.util.spec_from_file_location(
        'measured_mri', EXAMPLES / 'measured_mri.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kspace_of(shape):
    """Return k-space of four coils, with a fully sampled middle."""
    images = simulated_coil_maps(shape, 4, 0) * mr_phantom(shape, 0)
    shifted = np.fft.ifftshift(images, (1, 2))
    kspace = np.fft.fftshift(np.fft.fft2(shifted, norm='ortho'), (1, 2))
    mask = np.random.default_rng(0).random(shape) < 0.4
    mask[14:27, 10:23] = True
    return (mask * kspace).astype('complex64')


def test_samples_are_left_out_once(example):
    """Each sample is kept or left out, and the middle is kept."""
    for kspace in (kspace_of((40, 32)), np.ones((2, 40, 32), 'complex64')):
        scan = KspaceScan(kspace)
        kept, held = example.split_mask(scan)
        assert not (kept & held).any()
        assert np.array_equal(
            np.broadcast_to(kept | held, scan.shape),
            np.broadcast_to(scan.mask, scan.shape),
        )
        kept = np.broadcast_to(kept, scan.shape)
        assert kept[20, 16] and held.any()
        one, other = example.halves(held)
        assert not (one & other).any() and np.array_equal(one | other, held)
        assert abs(int(one.sum()) - int(other.sum())) <= 1


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.torch.jit.script. is deprecated')
def test_example_on_a_file(example, tmp_path, monkeypatch, capsys):
    """The variation predicts samples better than the zero-filled image."""
    np.save(tmp_path / 'scan.npy', 1e-3 * kspace_of((40, 32)))
    monkeypatch.setattr(example, 'TV_WEIGHTS', (0.001,))
    monkeypatch.setattr(example, 'LEVELS', (0.02,))
    monkeypatch.setattr(example, 'RIDGE_WEIGHTS', (0.0002,))
    monkeypatch.setattr(example, 'SCALES', (1.0,))
    figure = tmp_path / 'scan.png'
    monkeypatch.setattr(
        sys,
        'argv',
        ['example', str(tmp_path / 'scan.npy'), '--output', str(figure)],
    )
    example.main()
    errors = {}
    for line in capsys.readouterr().out.splitlines():
        for name in (
            'zero-filled',
            'total variation',
            'splitting',
            'ridge',
            'unrolled,',
            'unrolled splitting',
        ):
            if line.startswith(name):
                errors[name] = float(line[31:].split()[0])
    assert len(errors) == 6
    assert errors['unrolled splitting'] < errors['zero-filled']
    assert errors['ridge'] < errors['zero-filled']
    assert errors['total variation'] < errors['zero-filled']
    assert figure.stat().st_size > 5_000
