# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about denoising of turned images."""

import math

import pytest


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example with one initial value and one learning rate."""
    return run_example(
        'rotated_denoising.py',
        tmp_path_factory.mktemp('example'),
        [
            ('SEEDS = (0, 1, 2)', 'SEEDS = (0,)'),
            ('LEARNING_RATES = (3e-3, 1e-2)', 'LEARNING_RATES = (3e-3,)'),
        ],
    )


def test_only_the_equivariant_network_commutes(example):
    """Rounding of float32 against percents, for both kinds of images."""
    errors = example['equivariance_errors']
    for kind in ('layers', 'heads'):
        assert errors[kind, 'C4'] < 1e-5
        assert errors[kind, 'ordinary'] > 0.02


def test_on_layers_the_ordinary_network_loses_by_the_turn(example):
    """More than one dB, where the equivariant one loses nothing."""
    table = example['table']
    loss = {
        arm: table['layers', arm, 'upright'][0]
        - table['layers', arm, '90 degrees'][0]
        for arm in ('ordinary', 'C4')
    }
    assert loss['ordinary'] > 1
    # other noise meets the image, no more
    assert abs(loss['C4']) < 0.15


def test_on_heads_the_turn_does_no_harm(example):
    """Where all directions occur, neither loses, and both do alike."""
    table = example['table']
    for arm in ('ordinary', 'C4'):
        upright = table['heads', arm, 'upright'][0]
        assert abs(upright - table['heads', arm, '90 degrees'][0]) < 0.3
    for pose in ('upright', '90 degrees', '45 degrees'):
        ordinary, ours = (
            table['heads', arm, pose][0] for arm in ('ordinary', 'C4')
        )
        assert abs(ordinary - ours) < 1


def test_all_networks_denoise(example):
    """Each gains more than 2 dB over the noisy image."""
    noisy = -20 * math.log10(example['SIGMA'])
    for values in example['table'].values():
        assert values[0] > noisy + 2
