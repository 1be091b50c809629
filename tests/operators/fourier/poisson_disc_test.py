# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of masks whose samples keep a distance."""

import pickle

import numpy as np
import odl
import pytest

from odl_equivariant.operators import (
    PoissonDiscMask,
    SubsampledFourierTransform,
)

ORDERS = {'C1': 1, 'C2': 2, 'D2': 4, 'C4': 4, 'D4': 8}


def images(array, symmetry):
    """Return a mask moved by generators of a group about n // 2."""
    flips = [
        np.take(array, (2 * (n // 2) - np.arange(n)) % n, axis)
        for axis, n in enumerate(array.shape)
    ]
    both = np.take(
        flips[0],
        (2 * (array.shape[1] // 2) - np.arange(array.shape[1]))
        % array.shape[1],
        1,
    )
    return {
        'C1': lambda: [array],
        'C2': lambda: [both],
        'D2': lambda: flips,
        'C4': lambda: [flips[0].T],
        'D4': lambda: [flips[0].T, flips[1]],
    }[symmetry]()


@pytest.mark.parametrize('symmetry', ORDERS)
@pytest.mark.parametrize('shape', [(32, 32), (33, 33), (24, 35)])
@pytest.mark.parametrize('acceleration', [2, 5.5])
def test_mask_has_its_symmetry_and_acceleration(shape, symmetry, acceleration):
    """The group keeps the mask; samples are those asked for, by orbits."""
    if symmetry in ('C4', 'D4') and shape[0] != shape[1]:
        with pytest.raises(ValueError, match='C2 or D2'):
            PoissonDiscMask(shape, acceleration, symmetry=symmetry)
        return
    mask = PoissonDiscMask(shape, acceleration, symmetry=symmetry)
    surplus = mask.array.sum() - round(np.prod(shape) / acceleration)
    assert 0 <= surplus < ORDERS[symmetry]
    assert mask.acceleration == mask.array.size / mask.array.sum()
    for image in images(mask.array, symmetry):
        assert np.array_equal(image, mask.array)


@pytest.mark.parametrize('symmetry', ['C1', 'D4'])
def test_samples_keep_their_distance(symmetry):
    """Outside of the block, distances are those of uniform density or more."""
    mask = PoissonDiscMask((64, 64), 9, 0.1, slope=0, symmetry=symmetry)
    array = mask.array.copy()
    assert array[29:36, 29:36].all()
    array[29:36, 29:36] = False
    samples = np.argwhere(array)
    distances = np.linalg.norm(samples[:, None] - samples, axis=2)
    distances[distances == 0] = np.inf
    # random samples of this number have neighbours
    assert distances.min() >= 2


def test_samples_are_dense_in_the_middle():
    """The density falls with the distance from the zero frequency."""
    array = PoissonDiscMask((96, 96), 6, 0.05, slope=3).array
    radius = np.hypot(*np.meshgrid(*2 * [np.arange(96) - 48]))
    rings = [
        array[(radius >= low) & (radius < low + 12)].mean()
        for low in (4, 16, 28, 40)
    ]
    assert rings == sorted(rings, reverse=True)
    assert rings[0] > 3 * rings[-1]


def test_seed_decides():
    """Equal seeds give equal masks, also after pickling."""
    mask = PoissonDiscMask((16, 20), 3, seed=1)
    assert mask == PoissonDiscMask((16, 20), 3, seed=1)
    assert mask != PoissonDiscMask((16, 20), 3, seed=2)
    again = pickle.loads(pickle.dumps(mask))
    assert again == mask and hash(again) == hash(mask)
    assert not again.array.flags.writeable
    assert eval(repr(mask)) == mask


def test_everything_is_sampled_without_acceleration():
    """An acceleration of 1 is all of k-space."""
    assert PoissonDiscMask((9, 12), 1).array.all()


def test_mask_of_a_transform():
    """The transform takes such a mask."""
    mask = PoissonDiscMask((8, 10), 2, 0.2)
    space = odl.uniform_discr([0, 0], [1, 1], (8, 10), dtype='complex64')
    transform = SubsampledFourierTransform(space, mask)
    assert np.array_equal(transform.mask, mask.array)


@pytest.mark.parametrize(
    'options, kind, match',
    [
        ({'acceleration': 0.5}, ValueError, 'acceleration'),
        ({'acceleration': 4, 'center_fraction': 0.9}, ValueError, 'block'),
        ({'center_fraction': 1.5}, ValueError, 'center_fraction'),
        ({'slope': -1}, ValueError, 'slope'),
        ({'symmetry': 'C3'}, ValueError, 'symmetry'),
        ({'seed': 0.5}, TypeError, 'seed'),
        ({'shape': (4, 4, 4)}, ValueError, 'shape'),
    ],
)
def test_wrong_parameters(options, kind, match):
    """A parameter out of its range is an error that names it."""
    with pytest.raises(kind, match=match):
        PoissonDiscMask(**{'shape': (16, 16), **options})
