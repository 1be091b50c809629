# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of the problems of volumes, and of total variation for them."""

import importlib.util
import json
import pathlib

import pytest

from odl_equivariant.data import ellipsoid_phantom

PATH = pathlib.Path(__file__).parents[2] / 'examples' / 'comparison'


@pytest.fixture(scope='module')
def volumes():
    """Return the module."""
    spec = importlib.util.spec_from_file_location(
        'comparison_volumes', PATH / 'volumes.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def problem(volumes):
    """Return a small problem."""
    return volumes.VolumeProblem(ellipsoid_phantom(3 * (12,), 0), 3, 0.05, 0)


def test_further_weights_are_tried_until_the_best_is_inside(volumes, problem):
    """From weights that are too small, the search reaches better ones."""
    low = (0.02, 0.04)
    found, weight = volumes.total_variation(problem, low, 8)
    assert weight > max(low)
    alone, same = volumes.total_variation(
        problem, (weight / 2, weight, 2 * weight), 8
    )
    # the proximal starts where it was for the weight before
    assert same == weight and alone == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize(
    'weights, match',
    [
        ((2e-3,), 'still best with the weight'),
        ((), 'at least one'),
        ((0.1, 0), 'positive'),
    ],
)
def test_search_of_weights_ends(volumes, problem, weights, match):
    """A search that gets nowhere is an error, and so are no weights."""
    with pytest.raises(ValueError, match=match):
        volumes.total_variation(problem, weights, 5)


def test_shipped_network_of_the_cube_is_above_total_variation():
    """On all volumes and at all accelerations, by what scripts measured."""
    results = PATH.parents[1] / 'docs' / 'results'
    variation, shipped = (
        json.loads((results / f'{name}.json').read_text('utf-8'))
        for name in ('volume_variation', 'shipped_models')
    )
    own = {
        (row['setting'].partition(',')[0], row['images']): row['psnr']
        for row in shipped['models']['volume_mri_o']['scores']
    }
    assert len(variation) == len(own) == 6
    for row in variation:
        setting = f'acceleration {row["acceleration"]}'
        assert own[setting, row['images']] > row['psnr']
