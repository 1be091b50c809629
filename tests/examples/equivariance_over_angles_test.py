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
    names = [name for name in example['NETWORKS'] if name[0] != 'ordinary']
    assert len(names) == 4 * 3
    return names


@pytest.mark.parametrize('when', ['before', 'after'])
def test_quarter_turns_are_exact(example, equivariant, when):
    """To the rounding of float32, for each initial value."""
    for name in equivariant:
        assert example['summary'][*name, when]['90'].max() < 1e-5


@pytest.mark.parametrize('when', ['before', 'after'])
def test_the_ordinary_network_is_worst_at_each_angle(
    example, equivariant, when
):
    """The median of each other network is below its, at all angles."""
    curves = example['curves']
    moved = example['angles'] > 0
    for group, side in equivariant:
        ordinary = np.median(curves['ordinary', side, when], axis=0)[moved]
        assert ordinary.min() > 0.02
        curve = np.median(curves[group, side, when], axis=0)[moved]
        assert (curve < ordinary).all()


@pytest.mark.parametrize('side', [3, 5, 7])
def test_more_angles_in_the_group_start_lower(example, side):
    """So do C8, C16 and SO2, between the angles of C4."""
    summary = example['summary']
    c4 = np.median(summary['C4', side, 'before']['between'])
    for group in ('C8', 'C16', 'SO2'):
        row = summary[group, side, 'before']
        assert np.median(row['between']) < 0.7 * c4


@pytest.mark.parametrize('side', [5, 7])
def test_larger_kernels_hold_the_angle_of_c8(example, side):
    """At 45 degrees the error is below that at 22.5 degrees."""
    row = example['summary']['C8', side, 'before']
    assert np.median(row['45']) < 0.9 * np.median(row['22.5'])


@pytest.mark.parametrize('side', [3, 5, 7])
def test_after_training_all_rotations_hold_better_than_those_of_c4(
    example, side
):
    """At the angles between, where C4 promises nothing."""
    summary = example['summary']
    so2, c4 = (
        np.median(summary[group, side, 'after']['between'])
        for group in ('SO2', 'C4')
    )
    assert so2 < 0.5 * c4


def test_the_training_has_taught_something(example):
    """Each network is better than the answer zero, of the loss one."""
    for losses in example['losses'].values():
        assert max(losses) < 0.8
