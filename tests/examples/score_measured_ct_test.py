# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The example of a measured scan, on data that the test makes."""

import importlib.util
import pathlib

import numpy as np
import pytest

from odl_equivariant.data import MeasuredCT

EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def example():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(
        'score_measured_ct', EXAMPLES / 'score_measured_ct.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scan_in(length_unit, size):
    """Return an acquisition and noisy data of a square."""
    acquisition = MeasuredCT(
        {
            'kind': 'parallel',
            'angles': np.arange(24) * np.pi / 24,
            'n_detectors': 32,
            'detector_width': size,
        },
        {'shape': (32, 32), 'cell': size},
        length_unit,
    )
    truth = acquisition.space.zero().asarray()
    truth[10:20, 12:24] = 0.05 / size
    data = acquisition.operator(acquisition.space.element(truth)).asarray()
    noise = np.random.default_rng(0).normal(size=data.shape)
    return acquisition, acquisition.operator.range.element(data + 0.01 * noise)


def test_a_weight_means_the_same_in_every_unit_of_length(example):
    """Images per micrometre are a thousandth of those per millimetre."""
    images = []
    for length_unit, size in ('mm', 0.5), ('um', 500.0):
        acquisition, data = scan_in(length_unit, size)
        scale = 0.05 / size
        start = acquisition.fbp(data)
        unit = example.units_of_weights(acquisition, data, scale)[1]
        u = example.plug_and_play(acquisition, data, start, unit, scale)
        images.append(u.asarray() / scale)
    assert np.allclose(images[0], images[1], atol=0.01)


def test_the_homogeneous_network_needs_no_unit(example):
    """Twice the readings are twice the image, without a value that is 1."""
    acquisition, data = scan_in('mm', 0.5)
    once, twice = (
        example.unrolled(acquisition, factor * data, example.SPLITTING)
        for factor in (1, 2)
    )
    assert (twice - 2 * once).norm() < 1e-4 * twice.norm()
    assert 0.05 < once.asarray().max() < 0.2


def test_a_larger_weight_fits_the_data_less(example):
    """The prior is neither without effect nor all that counts."""
    acquisition, data = scan_in('mm', 0.5)
    start = acquisition.fbp(data)
    scale = 0.1
    tv, prior = example.units_of_weights(acquisition, data, scale)
    A = acquisition.operator

    def misfits(reconstruct, unit):
        return [
            (A(reconstruct(weight * unit)) - data).norm() / data.norm()
            for weight in (0.1, 30)
        ]

    low, high = misfits(
        lambda w: example.plug_and_play(acquisition, data, start, w, scale),
        prior,
    )
    assert high > 1.1 * low
    low, high = misfits(
        lambda w: example.total_variation(
            acquisition, data, start, w, np.inf, 60
        ),
        tv,
    )
    assert high > 1.1 * low
