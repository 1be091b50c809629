# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of reconstructions of test pairs: nothing is computed twice."""

import collections

import pytest

from odl_equivariant.data import SparseViewCT


@pytest.fixture
def simulations(monkeypatch):
    """Return a counter of the pairs that are simulated."""
    counts = collections.Counter()
    pair = SparseViewCT.pair

    def count(self, image, rng=None):
        """Simulate a pair, and count it."""
        counts['pairs'] += 1
        return pair(self, image, rng)

    monkeypatch.setattr(SparseViewCT, 'pair', count)
    return counts


@pytest.mark.parametrize(
    'command', [['evaluate'], ['reconstruct', '--output', 'images']]
)
def test_each_pair_is_simulated_once(run, simulations, command):
    """Scores, images and checksums of a test pair are of one simulation."""
    assert run('train', '--trainer.max_steps', '1')[0] == 0
    simulations.clear()
    assert run(*command)[0] == 0
    assert simulations['pairs'] == 3
