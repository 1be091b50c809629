# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about equivariance between the angles."""

import numpy as np
import pytest


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example with two initial values instead of three."""
    return run_example(
        'equivariance_over_angles.py',
        tmp_path_factory.mktemp('example'),
        [('SEEDS = (0, 1, 2)', 'SEEDS = (0, 1)')],
    )


@pytest.fixture(scope='module')
def equivariant(example):
    """Return the names of the equivariant networks."""
    names = [name for name in example['NETWORKS'] if name[0] == 'C']
    assert len(names) == len(example['NETWORKS']) - 1 > 1
    return names


@pytest.mark.parametrize('when', ['before', 'after'])
def test_quarter_turns_are_exact(example, equivariant, when):
    """To the rounding of float32, for each initial value."""
    for name in equivariant:
        assert example['summary'][name, when]['90'].max() < 1e-5


@pytest.mark.parametrize('when', ['before', 'after'])
def test_the_ordinary_network_is_worst_at_each_angle(
    example, equivariant, when
):
    """The median of each other network is below its, at all angles."""
    curves = example['curves']
    moved = example['angles'] > 0
    ordinary = np.median(curves['ordinary 3x3', when], axis=0)[moved]
    assert ordinary.min() > 0.02
    for name in equivariant:
        curve = np.median(curves[name, when], axis=0)[moved]
        assert (curve < ordinary).all()


def test_more_angles_in_the_group_start_lower(example):
    """C8 and C16 start at half of C4's error between the angles."""
    summary = example['summary']
    c4 = np.median(summary['C4 3x3', 'before']['between'])
    for name in ('C8 3x3', 'C16 3x3', 'C8 5x5', 'C16 5x5'):
        assert np.median(summary[name, 'before']['between']) < 0.5 * c4


def test_larger_kernels_hold_the_angle_of_c8(example):
    """At 45 degrees the error is below that at 22.5 degrees."""
    for side in ('5x5', '7x7'):
        row = example['summary'][f'C8 {side}', 'before']
        assert np.median(row['45']) < 0.9 * np.median(row['22.5'])


def test_the_training_has_taught_something(example):
    """Each network is better than the answer zero, of the loss one."""
    for losses in example['losses'].values():
        assert max(losses) < 0.8
