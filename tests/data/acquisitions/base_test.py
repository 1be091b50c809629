# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws that all simulated acquisitions obey."""

import numpy as np
import pytest
import torch

from odl_equivariant import data
from odl_equivariant.data import CartesianMRI, SparseViewCT, mr_phantom
from odl_equivariant.elements import as_element, as_tensor


@pytest.mark.parametrize(
    'acquisition',
    [
        SparseViewCT((24, 24), n_views=6),
        CartesianMRI((24, 24)),
        CartesianMRI((24, 24), coil_maps=np.full((2, 24, 24), 0.5 + 0.5j)),
    ],
    ids=lambda acquisition: type(acquisition).__name__,
)
def test_what_training_asks_of_acquisitions(acquisition):
    """Both acquisitions make pairs, operators and baselines alike."""
    assert isinstance(acquisition, data.Acquisition)
    image = mr_phantom(acquisition.image_shape, 0)
    pair = acquisition.pair(image, 0)
    element = as_element(pair['data'], acquisition.operator.range)
    assert torch.equal(
        pair['data'], as_tensor(acquisition.simulate(image, 0))[0]
    )
    assert torch.equal(
        pair['truth'], as_tensor(acquisition.ground_truth(image))[0]
    )
    assert acquisition.forward_operator() is acquisition.operator
    result = acquisition.baseline(element)
    assert result in acquisition.space
    error = (as_tensor(result)[0] - pair['truth']).norm()
    assert error < 0.7 * pair['truth'].norm()
    assert acquisition.baseline_name in ('FBP', 'zero-filled')


def test_tomography_has_no_masks():
    """A mask for an acquisition without masks is refused."""
    with pytest.raises(ValueError, match='SparseViewCT has no masks'):
        SparseViewCT((24, 24), n_views=6).forward_operator(np.ones((1, 24)))
