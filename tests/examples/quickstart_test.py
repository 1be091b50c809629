# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the quick start claims of the shipped models."""

import importlib.util
import pathlib

import numpy as np
import odl
import pytest

from odl_equivariant import models
from odl_equivariant.actions import Rotation
from odl_equivariant.data import (
    SparseViewCT,
    ellipse_phantom,
    sample_ct_slice,
)
from odl_equivariant.nn import OrdinaryProximal

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def quickstart():
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location(
        'quickstart', EXAMPLES / 'quickstart.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def slice_and_data():
    """Return the acquisition, the data of the real slice and the truth."""
    acquisition = SparseViewCT()
    image = sample_ct_slice('relative').asarray()
    return (
        acquisition,
        acquisition.simulate(image, 0),
        acquisition.ground_truth(image),
    )


def reconstruction(name, acquisition):
    """Return a shipped network as an operator."""
    return models.load(
        f'sparse_view_ct_{name}', acquisition.operator
    ).as_operator()


def test_turned_data_are_the_data_of_the_turned_image(quickstart):
    """The permuted data are A applied to the turned image: A T = S A."""
    acquisition = SparseViewCT((32, 32), n_views=6)
    x = odl.phantom.white_noise(acquisition.space, seed=1)
    A = acquisition.operator
    turned = A(Rotation(acquisition.space, np.pi / 2)(x))
    error = (quickstart.turn_data(A(x)) - turned).norm()
    assert error <= 1e-6 * turned.norm()


@pytest.mark.slow
def test_equivariant_network_turns_with_the_slice(quickstart, slice_and_data):
    """The turned slice gives the turned result to 1e-4; ordinary, not."""
    acquisition, data, _ = slice_and_data
    turn = Rotation(acquisition.space, np.pi / 2)
    errors = {}
    for name in ('c4', 'ordinary'):
        operator = reconstruction(name, acquisition)
        u, v = operator(data), operator(quickstart.turn_data(data))
        errors[name] = float((v - turn(u)).norm()) / float(u.norm())
    assert errors['c4'] <= 1e-4
    assert errors['ordinary'] > 1e-2


@pytest.mark.slow
def test_plug_and_play_on_the_real_slice(quickstart, slice_and_data):
    """With C4 it turns with the slice, and is far above tuned TV."""
    acquisition, data, truth = slice_and_data
    turn = Rotation(acquisition.space, np.pi / 2)
    denoiser = models.load('multiscale_denoiser_c4')
    u, v = (
        quickstart.plug_and_play(acquisition, y, denoiser, 4e-5)
        for y in (data, quickstart.turn_data(data))
    )
    assert float((v - turn(u)).norm()) <= 1e-3 * float(u.norm())
    tv = max(
        quickstart.psnr(
            quickstart.total_variation(acquisition, data, weight), truth
        )
        for weight in (1.5e-6, 1.75e-6, 2e-6)
    )
    assert quickstart.psnr(u, truth) >= tv + 1


@pytest.mark.slow
def test_networks_on_the_real_slice(quickstart, slice_and_data):
    """Equivariant is above ordinary, and far above tuned TV."""
    acquisition, data, truth = slice_and_data
    score = {
        name: quickstart.psnr(reconstruction(name, acquisition)(data), truth)
        for name in ('c4', 'ordinary')
    }
    tv = max(
        quickstart.psnr(
            quickstart.total_variation(acquisition, data, weight), truth
        )
        for weight in (1.5e-6, 1.75e-6, 2e-6)
    )
    assert score['c4'] > score['ordinary']
    assert score['c4'] >= tv + 1.5


def test_classical_and_plug_and_play_methods_reduce_the_error(
    quickstart, monkeypatch
):
    """Both solvers come closer to a phantom than back-projection."""
    monkeypatch.setattr(quickstart, 'TV_ITERATIONS', 100)
    monkeypatch.setattr(quickstart, 'SPLITTING_ITERATIONS', 5)
    acquisition = SparseViewCT((32, 32), n_views=10)
    phantom = ellipse_phantom((64, 64), 3, kind='body')
    data, truth = (
        acquisition.simulate(phantom, 0),
        acquisition.ground_truth(phantom),
    )
    start = quickstart.psnr(acquisition.fbp(data), truth)
    tv = quickstart.total_variation(acquisition, data, 1e-5)
    assert quickstart.psnr(tv, truth) > start
    # a denoiser that does nothing leaves steps towards the data
    identity = OrdinaryProximal(
        channels=4, memory=0, gradient=False, noise_level=True, skip=True
    )
    for parameter in identity.parameters():
        parameter.data.zero_()
    u = quickstart.plug_and_play(acquisition, data, identity, 2e-5)
    fit = (acquisition.operator(u) - data).norm()
    assert fit < (acquisition.operator(acquisition.fbp(data)) - data).norm()
