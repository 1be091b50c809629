# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of mixtures of sets of images."""

import math
import pickle

import numpy as np
import pytest

from odl_equivariant.data import Augmented, Mixture, Phantoms, Slices


class Constant(Slices):
    """Images that tell their set, their number and the epoch."""

    def __init__(self, value, n):
        names = [f'{value}-{i}' for i in range(n)]
        super().__init__(names, names)
        self.value = value

    def _image(self, place, epoch):
        return np.array([[self.value, place], [epoch, 0]])


def drawn(mixture, epoch=0):
    """Return which set each image is of, and which number it has there."""
    images = np.array([mixture[i, epoch] for i in range(len(mixture))])
    return images[:, 0, 0], images[:, 0, 1]


def test_shares_are_probabilities():
    """However many images a set has, it is drawn as often as its share."""
    mixture = Mixture([Constant(0, 3), Constant(1, 500)], [3, 1], n=4000)
    sets, numbers = drawn(mixture)
    deviation = math.sqrt(0.25 * 0.75 / 4000)
    assert abs((sets == 1).mean() - 0.25) < 5 * deviation
    counts = np.bincount(numbers[sets == 0].astype(int), minlength=3)
    assert abs(counts / counts.sum() - 1 / 3).max() < 0.05


def test_sizes_are_the_default_shares():
    """Then all images of all sets are equally probable."""
    mixture = Mixture([Constant(0, 30), Constant(1, 10)])
    assert len(mixture) == 40
    assert np.allclose(mixture.probabilities, [0.75, 0.25])


def test_key_decides():
    """Seed, epoch and index decide; epochs and seeds differ."""
    parts = [Constant(0, 50), Constant(1, 50)]
    mixture = Mixture(parts, n=200)
    again = pickle.loads(pickle.dumps(mixture))
    assert np.array_equal(drawn(mixture), drawn(again))
    assert np.array_equal(drawn(mixture.subset([7]))[1], [drawn(again)[1][7]])
    assert not np.array_equal(drawn(mixture), drawn(mixture, 1))
    assert not np.array_equal(
        drawn(mixture), drawn(Mixture(parts, n=200, seed=1))
    )


def test_epoch_is_handed_on():
    """Sets whose images are random draw new ones in each epoch."""
    assert Mixture([Constant(0, 1)])[0, 6][1, 0] == 6
    phantoms = Augmented(Phantoms(1, (8, 8)), rotation='any')
    mixture = Mixture([phantoms])
    assert not np.array_equal(mixture[0, 1], mixture[0, 2])


def test_with_shape_reaches_the_sets():
    """Phantoms are drawn anew on the grid, not resampled."""
    phantoms = Phantoms(1, (16, 16))
    mixture = Mixture([phantoms]).with_shape((8, 12))
    assert np.array_equal(mixture[0], phantoms.with_shape((8, 12))[0])
    assert Mixture([phantoms], shape=(5, 5))[0].shape == (5, 5)


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (([],), ValueError, 'one set or more'),
        (([Constant(0, 1), Constant(0, 0)],), ValueError, r'\[1, 0\] images'),
        (([np.ones((2, 2))],), TypeError, 'must be `Slices`'),
        (([Constant(0, 1)], [1, 2]), ValueError, '1 sets and 2 shares'),
        (([Constant(0, 1)], [0]), ValueError, 'must be positive'),
        (([Constant(0, 1)], ['a']), TypeError, 'shares'),
        (([Constant(0, 1)], None, 0), ValueError, '`n`'),
    ],
)
def test_bad_mixtures(arguments, error, message):
    """An error says what was expected and what came."""
    with pytest.raises(error, match=message):
        Mixture(*arguments)
