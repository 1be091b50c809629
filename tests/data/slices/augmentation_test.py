# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of random changes of images."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from odl_equivariant.data import Augmentation, Augmented, Phantoms, Slices
from odl_equivariant.data.slices.augmentation import rotated


@pytest.fixture
def phantoms():
    return Phantoms(4, (24, 24), seed=1)


def _orbit(image):
    turns = [np.rot90(image, k) for k in range(4)]
    return [*turns, *(turn[::-1] for turn in turns)]


def test_nothing_by_default(phantoms):
    """Without options, images stay as they are."""
    assert np.array_equal(Augmented(phantoms)[2, 3], phantoms[2])


@pytest.mark.parametrize('flip', [False, True])
def test_quarter_turns_are_exact(phantoms, flip):
    """All quarter turns, and reflections if asked for, occur, no others."""
    slices = Augmented(phantoms, rotation='quarter', flip=flip)
    met = set()
    for epoch in range(60):
        image = slices[0, epoch]
        same = [np.array_equal(image, o) for o in _orbit(phantoms[0])]
        assert sum(same) == 1
        met.add(same.index(True))
    assert met == set(range(8 if flip else 4))


def test_flip_is_left_to_right(phantoms):
    """A reflection reverses axis 0, which points to the right."""
    slices = Augmented(phantoms, flip=True)
    images = [slices[0, epoch] for epoch in range(20)]
    flipped = [np.array_equal(i, phantoms[0][::-1]) for i in images]
    assert 0 < sum(flipped) < 20
    for image, other in zip(images, flipped, strict=True):
        assert other or np.array_equal(image, phantoms[0])


@pytest.mark.parametrize('quarters', range(4))
def test_rotation_is_counter_clockwise(quarters):
    """An angle of 90 degrees is what `rot90` does."""
    image = np.random.default_rng(0).normal(size=(9, 9))
    turned = rotated(image, quarters * np.pi / 2)
    assert np.allclose(turned, np.rot90(image, quarters), atol=1e-12)


@pytest.mark.parametrize('shape', [(40, 40), (40, 30)])
def test_rotation_turns_about_the_middle(shape):
    """A blob is carried along, in images of any shape."""
    x, y = (np.arange(n) - (n - 1) / 2 for n in shape)

    def blob(x0, y0):
        square = (x[:, None] - x0) ** 2 + (y[None, :] - y0) ** 2
        return np.exp(-square / 40)

    angle = 0.6
    cos, sin = np.cos(angle), np.sin(angle)
    turned = rotated(blob(6, 2), angle)
    expected = blob(6 * cos - 2 * sin, 6 * sin + 2 * cos)
    # an eighth of the second derivative, in each of two directions
    assert np.abs(turned - expected).max() < 2 * 0.05 / 8


def test_any_rotation_stays_in_the_range(phantoms):
    """Interpolation makes nothing negative, and nothing brighter."""
    slices = Augmented(phantoms, rotation='any')
    for epoch in range(10):
        image = slices[1, epoch]
        assert image.min() >= 0
        assert image.max() <= phantoms[1].max() + 1e-6


def test_smoothing_is_gaussian(phantoms):
    """The smoothing is a convolution with a Gaussian, in pixels."""
    smooth = Augmented(phantoms, smoothing=1.5)[3]
    expected = gaussian_filter(phantoms[3], 1.5, mode='nearest')
    assert np.array_equal(smooth, expected)


def test_complex_images_are_two_real_ones():
    """Both parts of a complex image are changed in the same way."""
    real, imag = np.random.default_rng(0).normal(size=(2, 12, 12))
    change = Augmentation(0.7, 'any', True)
    result = change(real + 1j * imag, np.random.default_rng(3))
    assert np.allclose(result.real, change(real, np.random.default_rng(3)))
    assert np.allclose(result.imag, change(imag, np.random.default_rng(3)))


def test_what_is_drawn_depends_on_seed_epoch_and_index(phantoms):
    """Random numbers depend only on seed, epoch and index."""
    slices = Augmented(phantoms, rotation='any', flip=True, seed=2)
    image = slices[1, 5]
    again = pickle.loads(pickle.dumps(slices))
    assert np.array_equal(again[1, 5], image)
    assert np.array_equal(slices.subset([3, 1])[1, 5], image)
    assert not np.array_equal(slices[1, 6], image)
    other = Augmented(phantoms, rotation='any', flip=True, seed=3)
    assert not np.array_equal(other[1, 5], image)


def test_argument_is_not_changed():
    """An augmentation returns a new array."""
    image = np.random.default_rng(0).normal(size=(8, 8))
    before = image.copy()
    for change in (Augmentation(), Augmentation(1.0, 'quarter', True)):
        result = change(image, np.random.default_rng(0))
        result[...] = 0
        assert np.array_equal(image, before)


def test_quarters_need_square_images():
    """The error of another shape says what to do."""
    slices = Augmented(Phantoms(1, (16, 20)), rotation='quarter')
    with pytest.raises(ValueError, match=r'square.*\(16, 20\)'):
        slices[0]


@pytest.mark.parametrize(
    'options',
    [
        {'rotation': 'half'},
        {'smoothing': -1},
        {'smoothing': float('nan')},
        {'smoothing': '1'},
    ],
)
def test_wrong_options_are_refused(options):
    """The error of a wrong option names it."""
    error = TypeError if options == {'smoothing': '1'} else ValueError
    with pytest.raises(error, match=f'`{next(iter(options))}` must'):
        Augmentation(**options)


def test_only_slices_are_augmented():
    """Anything but slices is a TypeError."""
    with pytest.raises(TypeError, match='expected `Slices`'):
        Augmented([np.ones((8, 8))])


def test_scaling_shrinks_both_sides_alike(phantoms):
    """Sizes are those of the factor, and the mean of the image remains."""
    image = np.kron(phantoms[0], np.ones((2, 3), 'float32'))
    change = Augmentation(scaling=(0.5, 0.75))
    ratios = set()
    for seed in range(30):
        small = change(image, np.random.default_rng(seed))
        n, m = small.shape
        assert 24 <= n <= 36 and abs(m / 72 - n / 48) < 0.02
        assert abs(small.mean() - image.mean()) < 0.02 * image.max()
        ratios.add(n)
    assert len(ratios) > 5


def test_scaling_by_one_changes_nothing(phantoms):
    """The largest factor keeps the image."""
    change = Augmentation(scaling=(1, 1))
    rng = np.random.default_rng(0)
    assert np.array_equal(change(phantoms[0], rng), phantoms[0])
    assert Augmented(phantoms, scaling=(0.5, 0.5))[0].shape == (12, 12)


@pytest.mark.parametrize(
    'scaling, message',
    [
        (0.5, 'the least and the greatest'),
        ((0.5, 1.5), 'at most 1'),
        ((0.9, 0.5), 'in order'),
        ((0, 1), 'positive'),
    ],
)
def test_bad_scaling(scaling, message):
    """Factors that cannot be are refused."""
    with pytest.raises(ValueError, match=message):
        Augmentation(scaling=scaling)


def test_groups_and_volumes_stay():
    """Changed images belong to the patients and volumes that they had."""

    class Ones(Slices):
        def _image(self, place, epoch):
            return np.ones((4, 4))

    slices = Augmented(Ones(['a', 'b'], ['p', 'p'], volumes=['v', 'w']))
    assert slices.groups == ['p', 'p'] and slices.volumes == ['v', 'w']
    assert slices.subset([1]).volumes == ['w']


def test_intensity_is_a_factor_with_uniform_logarithm(phantoms):
    """All values are multiplied by one factor between the two."""
    change = Augmentation(intensity=(0.25, 4.0))
    rng = np.random.default_rng(0)
    image = phantoms[0]
    logs = []
    for _ in range(400):
        changed = change(image, rng)
        assert changed.dtype == image.dtype
        factor = changed.max() / image.max()
        np.testing.assert_allclose(changed, factor * image, rtol=1e-5)
        logs.append(np.log(factor) / np.log(4))
    assert -1 <= min(logs) < -0.9 and 0.9 < max(logs) <= 1 + 1e-6
    # five standard deviations of the mean of a uniform distribution
    assert abs(np.mean(logs)) < 5 / np.sqrt(3 * 400)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_phase_keeps_the_magnitude(phantoms, dtype):
    """A real image gets a smooth phase, with the given probability."""
    image = phantoms[0].astype(dtype)
    rng = np.random.default_rng(0)
    always, sometimes = Augmentation(phase=1), Augmentation(phase=0.3)
    changed = always(image, rng)
    assert changed.dtype == np.result_type(dtype, 'complex64')
    np.testing.assert_allclose(np.abs(changed), np.abs(image), atol=1e-6)
    assert np.abs(changed.imag).max() > 0.01
    # complex images keep the phase that they have
    assert np.array_equal(always(changed, rng), changed)
    drawn = [np.iscomplexobj(sometimes(image, rng)) for _ in range(200)]
    assert 27 < sum(drawn) < 93


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'bool'])
def test_intensity_of_integers_is_no_integer(dtype):
    """A factor below 1 makes integers smaller, and not zero."""
    image = np.arange(20).reshape(4, 5).astype(dtype)
    change = Augmentation(intensity=(0.5, 0.5))
    changed = change(image, np.random.default_rng(0))
    assert changed.dtype == 'float32'
    np.testing.assert_allclose(changed, 0.5 * image.astype('float32'))


def test_intensity_and_phase_draw_after_all_else(phantoms):
    """What was drawn before they came is drawn as before."""
    old = Augmentation(rotation='any', flip=True, smoothing=0.5)
    new = Augmentation(
        rotation='any', flip=True, smoothing=0.5, intensity=(1, 1), phase=1
    )
    images = [
        change(phantoms[0], np.random.default_rng(3)) for change in (old, new)
    ]
    np.testing.assert_allclose(images[0], np.abs(images[1]), atol=1e-6)


@pytest.mark.parametrize(
    'wrong, message',
    [
        ({'intensity': 2.0}, 'least and the greatest'),
        ({'intensity': (2.0, 1.0)}, 'must be in order, got 2 and 1'),
        ({'intensity': (0.0, 1.0)}, 'intensity'),
        ({'phase': 1.5}, 'a probability, at most 1, got 1.5'),
        ({'phase': -0.5}, 'phase'),
    ],
)
def test_bad_intensity_and_phase(wrong, message):
    """The message names the parameter and its range."""
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)
