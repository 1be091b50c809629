# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the pairs of a training run."""

import numpy as np
import pytest
from torch.utils.data import Subset

from odl_equivariant.data import PairStore, SimulatedPairs, SparseViewCT
from odl_equivariant.training import ReconstructionData


def acquisition(**settings):
    """Return an acquisition of small images."""
    return SparseViewCT((16, 16), n_views=8, **settings)


@pytest.fixture(params=['simulated', 'stored', 'subset'])
def pairs(request, tmp_path):
    """Return pairs of an acquisition with a side of 0.3 m."""
    pairs = SimulatedPairs([np.full((16, 16), 0.1)] * 3, acquisition(side=0.3))
    if request.param == 'simulated':
        return pairs
    store = PairStore.write(pairs, tmp_path, progress=False)
    return Subset(store, [0, 2]) if request.param == 'subset' else store


def test_pairs_of_another_acquisition_are_refused(pairs):
    """They may have the same shape, and would train for a wrong geometry."""
    data = ReconstructionData(acquisition(side=0.4), lambda: pairs)
    with pytest.raises(ValueError, match='`side` 0.3, but .* 0.4: use'):
        data.pairs('train')


def test_pairs_of_the_same_acquisition_are_taken(pairs):
    """The array back-end is no matter."""
    same = acquisition(side=0.3, backend='pytorch')
    assert ReconstructionData(same, lambda: pairs).pairs('train') is pairs
