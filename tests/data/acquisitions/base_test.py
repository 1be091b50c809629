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


class _Counted:
    """An image that counts how often it is read."""

    def __init__(self, array):
        self.array, self.n_readings = array, 0

    def __array__(self, dtype=None, copy=None):
        self.n_readings += 1
        return np.array(self.array, dtype)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize(
    'make',
    [
        lambda backend: SparseViewCT((17, 16), n_views=5, backend=backend),
        lambda backend: CartesianMRI((34, 32), backend=backend),
        lambda backend: CartesianMRI(
            (34, 32), backend=backend, random_masks=True
        ),
    ],
)
def test_pair_is_that_of_its_parts_and_reads_the_image_once(make, backend):
    """Data and truth are those of the methods, from one preparation."""
    acquisition = make(backend)
    array = 0.2 * np.random.default_rng(0).random((34, 32))
    image = _Counted(array)
    pair = acquisition.pair(image, rng=3)
    assert image.n_readings == 1
    rng = np.random.default_rng(3)
    mask = (acquisition.draw_mask(rng),) if 'mask' in pair else ()
    data = acquisition.simulate(array, rng, *mask)
    assert torch.equal(pair['data'], as_tensor(data)[0])
    truth = acquisition.ground_truth(array)
    assert torch.equal(pair['truth'], as_tensor(truth)[0])


@pytest.mark.parametrize('name', ['simulate', 'ground_truth'])
@pytest.mark.parametrize('base', [SparseViewCT, CartesianMRI])
def test_pair_takes_the_methods_of_a_subclass(base, name):
    """A class of one's own may change how it simulates, or the truth."""

    def zero(self, *arguments):
        return 0 * getattr(base, name)(self, *arguments)

    changed = type('Changed', (base,), {name: zero})((32, 32))
    pair = changed.pair(np.full((32, 32), 0.1), rng=0)
    key = {'simulate': 'data', 'ground_truth': 'truth'}[name]
    assert not pair[key].any()
