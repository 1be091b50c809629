# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of pairs that are simulated when they are asked for."""

import pickle
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from odl_equivariant.data import (
    Augmentation,
    Augmented,
    CartesianMRI,
    Phantoms,
    SimulatedPairs,
    SparseViewCT,
)
from odl_equivariant.elements import as_tensor

# In a file of its own: a worker under spawn has to import it.
ACQUISITION = """
import torch

class Denoising:
    def pair(self, image, rng):
        noise = rng.normal(0, 0.1, image.shape)
        return {
            'data': torch.tensor(image + noise, dtype=torch.float32)[None],
            'truth': torch.tensor(image, dtype=torch.float32)[None],
        }
"""


@pytest.fixture
def denoising(tmp_path, monkeypatch):
    (tmp_path / 'denoising_pairs.py').write_text(ACQUISITION, 'utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    from denoising_pairs import Denoising

    yield Denoising()
    del sys.modules['denoising_pairs']


class _Tomography:
    """Pairs of an acquisition that simulates elements of ODL spaces."""

    def __init__(self, acquisition):
        self.acquisition = acquisition

    def pair(self, image, rng):
        return {
            'data': as_tensor(self.acquisition.simulate(image, rng))[0],
            'truth': as_tensor(self.acquisition.ground_truth(image))[0],
        }


def _equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key])
        if isinstance(value, torch.Tensor)
        else value == second[key]
        for key, value in first.items()
    )


def test_pair_has_what_the_acquisition_gives(denoising):
    """A pair has the acquisition's tensors, and its name and index."""
    phantoms = Phantoms(3, (12, 16))
    pair = SimulatedPairs(phantoms, denoising, seed=5)[2, 3]
    rng = np.random.default_rng([5, 3, 2])
    expected = denoising.pair(phantoms[2], rng)
    expected.update(name='phantom-2', index=2)
    assert _equal(pair, expected)


def test_pair_depends_on_its_key_alone(denoising):
    """A pair depends only on seed, epoch and index."""
    pairs = SimulatedPairs(
        Phantoms(4, (12, 12)), denoising, augment=Augmentation(0, 'any', True)
    )
    first = pairs[1, 2]
    pairs[0], pairs[3, 1]
    assert _equal(pairs[1, 2], first)
    assert _equal(pickle.loads(pickle.dumps(pairs))[1, 2], first)
    assert not torch.equal(pairs[1, 3]['data'], first['data'])
    assert _equal(pairs[1], pairs[1, 0])
    other = SimulatedPairs(pairs.slices, denoising, 1, augment=pairs.augment)
    assert not torch.equal(other[1, 2]['truth'], first['truth'])


def test_noise_and_augmentation_differ_among_images(denoising):
    """Two equal images have different noise."""
    image = np.ones((8, 8), 'float32')
    pairs = SimulatedPairs([image, image], denoising)
    assert not torch.equal(pairs[0]['data'], pairs[1]['data'])
    assert pairs[1]['name'] == '1'


@pytest.mark.parametrize('slices', ['plain', 'augmented'])
def test_fixed_noise_ignores_the_epoch(denoising, slices):
    """Without fresh noise, all epochs are equal to the first one."""
    images = Phantoms(2, (12, 12))
    if slices == 'augmented':
        images = Augmented(images, rotation='any')
    fixed = SimulatedPairs(images, denoising, fresh_noise=False)
    fresh = SimulatedPairs(images, denoising)
    assert _equal(fixed[1, 7], fresh[1, 0])
    assert not torch.equal(fresh[1, 7]['data'], fresh[1, 0]['data'])


def test_augmented_slices_follow_the_epoch(denoising):
    """Augmented slices use the epoch of the key."""
    images = Augmented(Phantoms(2, (12, 12)), rotation='any')
    truth = SimulatedPairs(images, denoising)[1, 7]['truth']
    assert np.array_equal(truth[0], images[1, 7])


def test_augmentation_comes_before_the_simulation(denoising):
    """Data are simulated from the augmented image."""
    phantoms = Phantoms(2, (12, 12))
    pairs = SimulatedPairs(
        phantoms, denoising, augment=lambda image, rng: 0 * image + 4
    )
    assert torch.equal(pairs[0]['truth'], torch.full((1, 12, 12), 4.0))
    assert pairs[0]['data'].mean() == pytest.approx(4, abs=0.1)


def test_tomography():
    """Pairs of SparseViewCT are its data and its ground truth."""
    acquisition = SparseViewCT((16, 16), n_views=6, impl='astra_cpu')
    phantoms = Phantoms(2, (32, 32))
    pairs = SimulatedPairs(
        phantoms, _Tomography(acquisition), augment=Augmentation(1.0, 'any')
    )
    pair = pairs[1, 4]
    assert pair['data'].shape == (1, *acquisition.operator.range.shape)
    assert pair['truth'].shape == (1, 16, 16)
    assert _equal(pair, pickle.loads(pickle.dumps(pairs))[1, 4])


@pytest.mark.parametrize(
    'context', ['fork', pytest.param('spawn', marks=pytest.mark.slow)]
)
def test_workers_give_the_same_pairs(denoising, context):
    """Pairs from worker processes are the same as from this process."""
    pairs = SimulatedPairs(Phantoms(5, (12, 12)), denoising)
    loader = DataLoader(
        pairs,
        batch_size=2,
        sampler=[(i, 3) for i in (4, 1, 0, 2)],
        num_workers=1 if context == 'spawn' else 2,
        multiprocessing_context=context,
    )
    batches = list(loader)
    assert [list(batch['index']) for batch in batches] == [[4, 1], [0, 2]]
    assert batches[0]['name'] == ['phantom-4', 'phantom-1']
    for batch in batches:
        for k, index in enumerate(batch['index']):
            assert torch.equal(batch['data'][k], pairs[index, 3]['data'])


@pytest.mark.parametrize('key', [-1, 3, (3, 1), (-1, 1)])
def test_index_out_of_range_is_refused(denoising, key):
    """The error of a wrong index names how many there are."""
    with pytest.raises(IndexError, match='there are 3 pairs'):
        SimulatedPairs(Phantoms(3, (12, 12)), denoising)[key]


@pytest.mark.parametrize('key', ['1', (1,), (1, 2, 3), None, (1, 0.5)])
def test_what_is_no_key_is_refused(denoising, key):
    """A key must be an index, or an index and an epoch."""
    with pytest.raises(TypeError, match='index of pairs|`epoch`'):
        SimulatedPairs(Phantoms(3, (12, 12)), denoising)[key]


def test_wrong_arguments_are_refused(denoising):
    """Wrong arguments are refused at once, and named."""
    phantoms = Phantoms(3, (12, 12))
    with pytest.raises(TypeError, match=r'`pair\(image, rng\)`'):
        SimulatedPairs(phantoms, object())
    with pytest.raises(TypeError, match='`augment`'):
        SimulatedPairs(phantoms, denoising, augment='turn')
    with pytest.raises(ValueError, match='`seed`'):
        SimulatedPairs(phantoms, denoising, seed=-1)
    denoising.pair = lambda image, rng: image
    with pytest.raises(TypeError, match='`data` and `truth`'):
        SimulatedPairs(phantoms, denoising)[0]


def test_error_of_an_acquisition_names_the_image():
    """An image that does not fit is named in the error."""
    acquisition = _Tomography(SparseViewCT((8, 8), impl='astra_cpu'))
    pairs = SimulatedPairs(Phantoms(3, (12, 12)), acquisition)
    with pytest.raises(ValueError, match='shape') as error:
        pairs[2]
    assert 'phantom-2' in error.value.__notes__[0]


@pytest.mark.parametrize('word', ['no', 0, None])
def test_only_bools_are_bools(word):
    """A word or a number is no bool: 'no' would count as true."""
    with pytest.raises(TypeError, match='`fresh_noise` must be True or False'):
        SimulatedPairs(
            Phantoms(2, (8, 8)), CartesianMRI((8, 8)), fresh_noise=word
        )
