# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of denoising as an acquisition."""

import math
import pickle

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.data import Denoising, mr_phantom
from odl_equivariant.elements import as_tensor

DTYPES = ('float32', 'float64', 'complex64', 'complex128')


def image_of(shape, dtype):
    """Return a random image, complex if the dtype is."""
    rng = np.random.default_rng(7)
    image = rng.normal(size=shape)
    if dtype.startswith('complex'):
        image = image + 1j * rng.normal(size=shape)
    return image


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_data_are_the_image_and_noise_of_the_level(backend, dtype):
    """The noise is white, of the level told, in each channel alike."""
    denoising = Denoising((95, 64), (0.05, 0.5), dtype=dtype, backend=backend)
    pair = denoising.pair(image_of((95, 64), dtype), 3)
    noise = (pair['data'] - pair['truth']).double()
    assert noise.shape == (1 + dtype.startswith('complex'), 95, 64)
    assert pair['sigma'].dtype == pair['data'].dtype == pair['truth'].dtype
    sigma = float(pair['sigma'])
    n = noise[0].numel()
    for channel in noise:
        assert abs(channel.mean()) < 5 * sigma / math.sqrt(n)
        assert abs(channel.std() / sigma - 1) < 5 / math.sqrt(2 * n)
    shifted = (noise[:, 1:] * noise[:, :-1]).mean()
    assert abs(shifted) < 5 * sigma**2 / math.sqrt(noise.numel())


def test_logarithm_of_the_level_is_uniform():
    """All levels are within the bounds, and each octave as probable."""
    denoising = Denoising((8, 8), sigma=(0.01, 0.16))
    rng = np.random.default_rng(0)
    drawn = np.array([denoising.draw_sigma(rng) for _ in range(4000)])
    assert drawn.min() >= 0.01 and drawn.max() <= 0.16
    counts, _ = np.histogram(np.log2(drawn / 0.01), bins=4, range=(0, 4))
    assert abs(counts / 1000 - 1).max() < 0.15


def test_one_level():
    """A single number is the level of all samples."""
    denoising = Denoising((8, 8), sigma=0.2)
    assert denoising.sigma == (0.2, 0.2)
    assert denoising.pair(np.ones((8, 8)), 5)['sigma'] == np.float32(0.2)


def test_patch_is_a_part_of_the_image():
    """From a larger image it is cut, anywhere, and not resampled."""
    denoising = Denoising((3, 4), sigma=0.1)
    image = np.arange(5 * 6, dtype='float32').reshape(5, 6)
    corners = set()
    for seed in range(100):
        patch = denoising.pair(image, seed)['truth'][0].numpy()
        i, j = divmod(int(patch[0, 0]), 6)
        assert np.array_equal(patch, image[i : i + 3, j : j + 4])
        corners.add((i, j))
    assert corners == {(i, j) for i in range(3) for j in range(3)}


def test_seed_decides():
    """A seed makes the same pair again, also after pickling."""
    denoising = Denoising((8, 9))
    image = mr_phantom((16, 16), 0)
    pair = denoising.pair(image, 3)
    again = pickle.loads(pickle.dumps(denoising)).pair(image, 3)
    other = denoising.pair(image, 4)
    assert pair.keys() == again.keys()
    assert all(torch.equal(pair[key], again[key]) for key in pair)
    assert not torch.equal(pair['data'], other['data'])


def test_operator_is_the_identity():
    """The operator and the baseline give the data back."""
    denoising = Denoising((8, 9))
    data = denoising.simulate(np.ones((8, 9)), 0)
    assert denoising.operator(data) == data
    assert denoising.baseline(data) == data
    assert denoising.forward_operator() is denoising.operator
    assert denoising.baseline_name == 'noisy'


def test_image_is_not_changed():
    """Neither is an array, nor an element."""
    denoising = Denoising((8, 8))
    for image in (np.ones((8, 8), 'float32'), denoising.space.one()):
        pair = denoising.pair(image, 0)
        pair['data'].zero_(), pair['truth'].zero_()
        array = image if isinstance(image, np.ndarray) else as_tensor(image)
        assert (array == 1).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'sigma': 0}, '`sigma` must be a finite positive'),
        ({'sigma': (0.1, -1)}, '`sigma` must be a finite positive'),
        ({'sigma': math.nan}, '`sigma` must be a finite positive'),
        ({'sigma': math.inf}, '`sigma` must be a finite positive'),
        ({'sigma': 'loud'}, '`sigma` must be a finite positive'),
        ({'sigma': (0.2, 0.1)}, 'must be the least one'),
        ({'sigma': (0.1, 0.2, 0.3)}, 'the least and the greatest'),
        ({'shape': (8, 0)}, '`shape` must be 2 whole'),
        ({'side': 0}, '`side` must be a finite positive'),
        ({'dtype': 'int32'}, '`dtype` must be one of'),
        ({'backend': 'jax'}, '`backend` must be'),
    ],
)
def test_wrong_arguments(arguments, message):
    """The error names the argument and its value."""
    with pytest.raises((TypeError, ValueError), match=message):
        Denoising(**arguments)


def test_wrong_images():
    """Of images, those that do not fit or are not finite are refused."""
    denoising = Denoising((8, 8))
    bad = np.full((8, 8), np.nan)
    larger = odl.uniform_discr([0, 0], [2, 2], (8, 8), dtype='float32')
    for image, message in (
        (np.ones((8, 7)), 'at least the shape'),
        (np.ones((8, 8, 8)), 'at least the shape'),
        (bad, 'infinite or not a number'),
        (np.ones((8, 8), complex), 'the image is complex'),
        (larger.one(), 'field of view'),
    ):
        with pytest.raises(ValueError, match=message):
            denoising.pair(image, 0)
    with pytest.raises(ValueError, match='has no masks'):
        denoising.forward_operator(np.ones((8, 8)))


@pytest.mark.parametrize(
    ('levels', 'shares'),
    [('uniform', [1, 1, 1, 1]), ('triangular', [0.5, 1.5, 1.5, 0.5])],
)
def test_levels_are_distributed_as_named(levels, shares):
    """Uniform, or with a density that falls from the middle to the ends."""
    denoising = Denoising((8, 8), sigma=(0.01, 0.21), levels=levels)
    rng = np.random.default_rng(0)
    drawn = np.array([denoising.draw_sigma(rng) for _ in range(4000)])
    counts, _ = np.histogram(drawn, bins=4, range=(0.01, 0.21))
    assert counts.sum() == 4000
    assert abs(counts / 1000 - shares).max() < 0.15
    again = pickle.loads(pickle.dumps(denoising))
    assert again.settings() == denoising.settings()
    assert again.levels == levels


def test_unknown_levels_are_refused():
    """The error names the argument."""
    with pytest.raises(ValueError, match='levels'):
        Denoising((8, 8), levels='normal')
