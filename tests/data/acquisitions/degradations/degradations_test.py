# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the inverse problems of image processing."""

import pickle

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.data import (
    CompressedSensing,
    Deblurring,
    Inpainting,
    SuperResolution,
    ellipse_phantom,
    gaussian_kernel,
)
from odl_equivariant.elements import is_complex
from odl_equivariant.uncertainty import bootstrap

DTYPES = ('float32', 'float64', 'complex64', 'complex128')
KINDS = {
    'inpainting': Inpainting,
    'deblurring': Deblurring,
    'super-resolution': SuperResolution,
    'compressed sensing': CompressedSensing,
}
each_kind = pytest.mark.parametrize('kind', KINDS)


def image_of(shape, dtype):
    """Return a random image, complex if the dtype is."""
    rng = np.random.default_rng(7)
    image = rng.normal(size=shape)
    if dtype.startswith('complex'):
        image = image + 1j * rng.normal(size=shape)
    return image


@each_kind
@pytest.mark.parametrize('dtype', DTYPES)
def test_data_are_those_of_the_operator_with_noise(kind, dtype, backend):
    """The data are A u + sigma e, with white noise in each measured part."""
    exact = KINDS[kind]((64, 32), sigma=0.0, dtype=dtype, backend=backend)
    noisy = KINDS[kind]((64, 32), sigma=0.2, dtype=dtype, backend=backend)
    image = image_of((64, 32), dtype)
    clean, data = exact.simulate(image, 0), noisy.simulate(image, 0)
    expected = exact.operator(exact.ground_truth(image))
    assert (clean - expected).norm() <= 1e-6 * expected.norm()
    noise = np.asarray((data - clean).asarray())
    if kind == 'inpainting':
        assert not noise[~noisy.mask].any()
        noise = noise[noisy.mask]
    parts = [noise.real]
    if is_complex(data.space):
        parts.append(noise.imag)
    for part in parts:
        assert abs(part.mean()) < 5 * 0.2 / np.sqrt(part.size)
        assert abs(part.std() / 0.2 - 1) < 5 / np.sqrt(2 * part.size)


@each_kind
@pytest.mark.parametrize('dtype', DTYPES)
def test_noise_is_that_of_simulated_data(kind, dtype, backend):
    """simulate(u) is A u with `add_noise`, for the same seed, to the bit."""
    acquisition = KINDS[kind](
        (32, 16), sigma=0.2, dtype=dtype, backend=backend
    )
    image = image_of((32, 16), dtype)
    clean = acquisition.operator(acquisition.ground_truth(image))
    before = clean.copy()
    noisy = acquisition.add_noise(clean, 5)
    assert noisy == acquisition.simulate(image, 5)
    assert clean == before and noisy != clean
    array = np.asarray(clean.asarray())
    assert acquisition.add_noise(array, 5) == noisy


@each_kind
def test_data_that_do_not_fit(kind):
    """Noise and baselines need finite data of the shape of the range."""
    acquisition = KINDS[kind]((16, 16))
    shape = acquisition.operator.range.shape
    for wrong, match in (
        (np.full(shape, np.nan), 'infinite or not a number'),
        (np.zeros((3, 3)), 'must have shape'),
        (np.zeros(shape, complex), 'real|complex'),
    ):
        with pytest.raises(ValueError, match=match):
            acquisition.add_noise(wrong)
        with pytest.raises(ValueError, match=match):
            acquisition.baseline(wrong)


@each_kind
def test_bootstrap(kind):
    """The noise of an acquisition is what the bootstrap asks it for."""
    acquisition = KINDS[kind]((16, 16), sigma=0.1)
    image = ellipse_phantom((16, 16), rng=0)
    method = bootstrap(
        acquisition.baseline, acquisition.operator, acquisition, n=8
    )
    first, other, *_ = method(acquisition.simulate(image, 0)).samples
    assert first in acquisition.space and first != other


def test_noise_of_another_mask():
    """Only seen cells get noise, and hidden ones must be zero."""
    inpainting = Inpainting((16, 16), random_masks=True, sigma=0.1)
    mask = inpainting.draw_mask(4)
    clean = inpainting.forward_operator(mask)(inpainting.space.one())
    noisy = inpainting.add_noise(clean, 3, mask)
    assert noisy == inpainting.simulate(np.ones((16, 16)), 3, mask)
    assert not noisy.asarray()[~mask].any()
    hidden = np.count_nonzero(mask & ~inpainting.mask)
    with pytest.raises(ValueError, match=f'not zero in {hidden} cells'):
        inpainting.add_noise(clean, 3)


@each_kind
def test_pairs(kind):
    """Pairs are tensors of data and truth, and a seed decides them."""
    acquisition = KINDS[kind]((32, 32))
    image = ellipse_phantom((32, 32), rng=0)
    pair, again = acquisition.pair(image, 3), acquisition.pair(image, 3)
    assert pair['truth'].shape == (1, 32, 32)
    assert pair['data'].shape[1:] == acquisition.operator.range.shape
    assert all(torch.equal(pair[key], again[key]) for key in pair)


@each_kind
def test_copies(kind):
    """Pickles and representations make the same acquisition again."""
    acquisition = KINDS[kind]((32, 16), sigma=0.03, side=0.5)
    copy = pickle.loads(pickle.dumps(acquisition))
    assert copy.fingerprint() == acquisition.fingerprint()
    assert repr(copy) == repr(acquisition)
    image = ellipse_phantom((32, 16), rng=0)
    assert copy.simulate(image, 1) == acquisition.simulate(image, 1)
    assert KINDS[kind]((32, 16)).fingerprint() != acquisition.fingerprint()


@each_kind
def test_other_grids(kind):
    """The same problem on another grid keeps its settings."""
    acquisition = KINDS[kind]((32, 32), sigma=0.03).with_shape((64, 64))
    assert acquisition.shape == (64, 64) and acquisition.sigma == 0.03


@each_kind
def test_baseline_is_an_image(kind, backend):
    """The simplest reconstruction is in the space of images."""
    acquisition = KINDS[kind]((32, 32), backend=backend)
    image = ellipse_phantom((32, 32), rng=0)
    data = acquisition.simulate(image, 0)
    assert acquisition.baseline(data) in acquisition.space
    assert acquisition.baseline_name
    fit = acquisition.data_fit(data)
    assert fit(acquisition.ground_truth(image)) < fit(acquisition.space.zero())


@each_kind
def test_wrong_images(kind):
    """Images that do not fit, or are not finite, are refused."""
    acquisition = KINDS[kind]((32, 32))
    larger = odl.uniform_discr([0, 0], [2, 2], (32, 32))
    for image, message in (
        (np.ones((32, 31)), 'must have shape'),
        (np.full((32, 32), np.nan), 'infinite or not a number'),
        (np.ones((32, 32), complex), 'the image is complex'),
        (larger.one(), 'field of view'),
    ):
        with pytest.raises(ValueError, match=message):
            acquisition.pair(image, 0)


@pytest.mark.parametrize(
    'kind, arguments, message',
    [
        ('inpainting', {'missing': 1.0}, 'leaves none of the'),
        ('inpainting', {'missing': -0.1}, '`missing` must'),
        ('inpainting', {'pattern': 'dots'}, '`pattern` must'),
        ('inpainting', {'mask': np.zeros((64, 64))}, 'none of the 4096 cells'),
        (
            'inpainting',
            {'mask': np.full((64, 64), 255, np.uint8)},
            'from 255 to 255; compare',
        ),
        (
            'inpainting',
            {'missing': 0.9999, 'pattern': 'block'},
            'leaves none of the 4096 cells',
        ),
        ('inpainting', {'missing': 1e-4}, 'rounded to no missing cells'),
        (
            'inpainting',
            {'missing': 0.02, 'pattern': 'stripes'},
            'rounded to no missing stripes of 4 cells',
        ),
        (
            'inpainting',
            {'missing': 0.9, 'pattern': 'stripes', 'shape': (4, 64)},
            'rounded to no missing stripes',
        ),
        ('inpainting', {'mask': np.ones((3, 3))}, 'must have the shape'),
        (
            'inpainting',
            {'mask': np.ones((64, 64)), 'random_masks': True},
            'one of the two',
        ),
        ('deblurring', {'kernel': np.ones((65, 3))}, 'larger than'),
        ('deblurring', {'kernel': 0}, '`kernel` must'),
        ('deblurring', {'kernel': np.zeros((3, 3))}, 'zeros only, of 9'),
        (
            'deblurring',
            {'kernel': [[1.0, np.nan, np.inf]]},
            '2 that are not finite, of 3 weights',
        ),
        ('deblurring', {'kernel': 40.0}, 'larger than.*at most 10.3'),
        ('deblurring', {'kernel': 1e9}, 'larger than.*at most 10.3'),
        ('deblurring', {'boundary': 'open'}, '`boundary` must'),
        ('deblurring', {'sigma': -1}, '`sigma` must'),
        ('super-resolution', {'factor': 3}, 'must divide'),
        ('compressed sensing', {'ratio': 1.1}, 'at most 4096'),
        ('compressed sensing', {'ratio': 1e-5}, 'leaves no measurement'),
        ('compressed sensing', {'shape': (48, 48)}, 'powers of two'),
    ],
)
def test_wrong_arguments(kind, arguments, message):
    """The error names the argument, with numbers."""
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**arguments)


# --- Inpainting --- #


@pytest.mark.parametrize('pattern', ['random', 'block', 'stripes'])
@pytest.mark.parametrize('missing', [0.1, 0.5, 0.9])
def test_fraction_that_is_missing(pattern, missing):
    """Each pattern hides the fraction of the cells that is asked for."""
    inpainting = Inpainting((64, 48), missing, pattern)
    tolerance = {'random': 1e-3, 'block': 0.03, 'stripes': 0.07}[pattern]
    assert abs((~inpainting.mask).mean() - missing) <= tolerance


def test_patterns():
    """A block is one rectangle, and stripes are along axis 1."""
    block = ~Inpainting((32, 32), 0.25, 'block', seed=3).mask
    rows, columns = block.any(1), block.any(0)
    assert (block == rows[:, None] & columns).all()
    assert rows.sum() == columns.sum() == 16
    stripes = Inpainting((32, 24), 0.5, 'stripes').mask
    assert (stripes == stripes[:, :1]).all()
    assert 0 < stripes[:, 0].sum() < 32


def test_random_masks_are_drawn_for_each_image():
    """The pair has the mask of its data, and the operator takes it."""
    inpainting = Inpainting((16, 16), 0.5, random_masks=True)
    pairs = [inpainting.pair(np.ones((16, 16)), seed) for seed in (0, 1)]
    for pair in pairs:
        assert torch.equal(pair['data'][0] != 0, pair['mask'])
        operator = inpainting.forward_operator(pair['mask'].numpy())
        np.testing.assert_array_equal(operator.mask, pair['mask'].numpy())
    assert not torch.equal(pairs[0]['mask'], pairs[1]['mask'])


def test_masks_that_broadcast():
    """A side of length 1 is repeated, and other shapes are refused."""
    inpainting = Inpainting((8, 6), random_masks=True)
    row = np.array([[1, 0, 1, 1, 0, 1]])
    mask = inpainting.forward_operator(row).mask
    np.testing.assert_array_equal(mask, np.repeat(row, 8, 0))
    for wrong in (row[0], np.ones((3, 3)), np.ones((1, 8, 6))):
        with pytest.raises(ValueError, match=r'must have the shape \(8, 6\)'):
            inpainting.forward_operator(wrong)


def test_a_given_mask_is_not_drawn_anew():
    """What would change nothing is refused, and a new mask is taken."""
    inpainting = Inpainting((8, 8), mask=np.eye(8))
    for change in ({'seed': 3}, {'missing': 0.1}, {'pattern': 'block'}):
        with pytest.raises(ValueError, match='would change nothing'):
            inpainting.with_settings(**change)
    drawn = inpainting.with_settings(mask=None, missing=0.25)
    assert drawn.mask.mean() == 0.75
    assert Inpainting((8, 8)).with_settings(seed=3).seed == 3


@pytest.mark.parametrize(
    'setting', [{'missing': 0.1}, {'pattern': 'block'}, {'seed': 3}]
)
def test_a_given_mask_beside_how_it_is_drawn(setting):
    """It is refused, and a mask in place of a drawn one is taken."""
    with pytest.raises(ValueError, match='change nothing beside `mask`'):
        Inpainting((8, 8), mask=np.eye(8), **setting)
    drawn = Inpainting((8, 8), **setting)
    given = drawn.with_settings(mask=np.eye(8))
    np.testing.assert_array_equal(given.mask, np.eye(8, dtype=bool))
    with pytest.raises(ValueError, match='change nothing beside `mask`'):
        drawn.with_settings(mask=np.eye(8), **setting)
    assert drawn.with_shape((16, 16)).settings() == {
        **drawn.settings(),
        'shape': (16, 16),
    }


# --- Deblurring --- #


@pytest.mark.parametrize('kind', [list, tuple])
def test_kernels_with_rows_of_different_lengths(kind):
    """The error says what is wrong with them."""
    kernel = kind([[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match='`kernel` .* different lengths'):
        Deblurring((8, 8), kernel)
    assert Deblurring((8, 8), kind([[1.0, 2.0]])).kernel.shape == (1, 2)


def test_gaussian_kernel():
    """Its sum is 1 and its moments are those asked for, in each direction."""
    for angle in (0.0, 0.5, 2.0):
        kernel = gaussian_kernel(3.0, 1.5, angle)
        reach = len(kernel) // 2
        x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        assert kernel.sum() == pytest.approx(1)
        covariance = np.einsum('iab,jab,ab->ij', x, x, kernel)
        turn = np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        expected = turn @ np.diag([9.0, 2.25]) @ turn.T
        np.testing.assert_allclose(covariance, expected, atol=0.4)
    assert gaussian_kernel(2.0).shape == (13, 13)


@pytest.mark.parametrize(
    ('arguments', 'error', 'match'),
    [
        ((1e5,), ValueError, '600001 weights.*widths are in cells'),
        ((0,), ValueError, '`width` must'),
        ((1.0, 1.0, float('nan')), ValueError, '`angle` must'),
        ((1.0, 1.0, 'up'), TypeError, '`angle` must'),
        ((3.0, 1.0, 90), ValueError, r'give `numpy.deg2rad\(90\)`'),
    ],
)
def test_wrong_gaussians(arguments, error, match):
    """No kernel of numbers that are none, or of terabytes."""
    with pytest.raises(error, match=match):
        gaussian_kernel(*arguments)


def test_trivial_kernel():
    """With one weight of 1, the operator is the identity."""
    deblurring = Deblurring((16, 16), [[1.0]], sigma=0.0)
    image = image_of((16, 16), 'float32')
    data = deblurring.simulate(image)
    assert (data - deblurring.ground_truth(image)).norm() <= 1e-6


# --- Super-resolution and compressed sensing --- #


def test_super_resolution_is_constant_on_blocks():
    """The baseline has the data as the means of its blocks."""
    resolution = SuperResolution((16, 16), 4, sigma=0.0)
    data = resolution.simulate(image_of((16, 16), 'float32'))
    image = resolution.baseline(data).asarray()
    np.testing.assert_array_equal(image[::4, ::4], data.asarray())
    assert (image == np.kron(data.asarray(), np.ones((4, 4)))).all()


def test_factors_of_an_array():
    """A factor for each axis may be any sequence, or an array."""
    resolution = SuperResolution((16, 16), np.array([2, 4]))
    assert resolution.factors == (2, 4)


def test_compressed_sensing_has_the_number_of_measurements():
    """The ratio is that of measurements and cells."""
    for ensemble in ('hadamard', 'fourier', 'gaussian'):
        sensing = CompressedSensing((16, 16), 0.3, ensemble)
        assert sensing.n_measurements == round(0.3 * 256)
    sensing = CompressedSensing(
        (8, 8), 1.5, 'gaussian', orthonormal=False, sigma=0.0
    )
    assert sensing.n_measurements == 96
