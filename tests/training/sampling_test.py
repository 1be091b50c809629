# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the order in which a run sees its samples."""

import itertools

import pytest
from odl.core.util.testutils import simple_fixture

from odl_equivariant.training._sampling import SampleStream, share_of

n_processes = simple_fixture('n_processes', [1, 2, 3])


@pytest.mark.parametrize('start', [0, 1, 7, 12])
def test_run_begins_anywhere(start):
    """What follows a step does not depend on where the run began."""
    whole = list(SampleStream(5, 2, 12, seed=3))
    rest = SampleStream(5, 2, 12, seed=3, start=lambda: start)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole) == 12


def test_each_pass_sees_every_sample_once():
    """A pass over the data is a permutation, another one each time."""
    keys = list(itertools.chain(*SampleStream(6, 2, 9)))
    orders = [[i for i, a_pass in keys if a_pass == n] for n in range(3)]
    for order in orders:
        assert sorted(order) == list(range(6))
    assert orders[0] != orders[1] != orders[2]


def test_seed_changes_the_order():
    """Another seed gives another order."""
    assert list(SampleStream(20, 1, 20)) != list(SampleStream(20, 1, 20, 1))


def test_processes_share_a_batch(n_processes):
    """Together they see what one process with a larger batch sees."""
    one = SampleStream(7, 2 * n_processes, 10)
    many = [
        SampleStream(7, 2, 10, rank=rank, n_processes=n_processes)
        for rank in range(n_processes)
    ]
    for batch, *parts in zip(one, *many, strict=True):
        assert sum(parts, []) == batch


def test_evaluation_is_shared(n_processes):
    """Each sample is looked after by one process."""
    shares = [share_of(8, rank, n_processes) for rank in range(n_processes)]
    assert sorted(sum(shares, [])) == list(range(8))
