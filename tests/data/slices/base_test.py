# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of sets of images, and of their parts."""

import pickle

import numpy as np
import pytest

from odl_equivariant.data import Phantoms, Slices, split


class _Numbers(Slices):
    """Images whose values are their index, in groups of given sizes."""

    def __init__(self, sizes, dtype='float64', **options):
        groups = np.repeat([f'g{i}' for i in range(len(sizes))], sizes)
        names = [f'image {i}' for i in range(len(groups))]
        super().__init__(names, groups, **options)
        self._dtype = dtype

    def _image(self, place, epoch):
        return np.full((4, 6), place, dtype=self._dtype)


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [
        ('float64', 'float32'),
        ('int16', 'float32'),
        ('bool', 'float32'),
        ('complex128', 'complex64'),
    ],
)
def test_images_have_single_precision(dtype, expected):
    """Whatever a source gives, images are float32 or complex64."""
    image = _Numbers([2], dtype)[1]
    assert image.dtype == expected
    assert image.flags.c_contiguous


def test_subset_keeps_order_names_and_groups():
    """A subset has the chosen images in the chosen order."""
    whole = _Numbers([2, 3])
    part = whole.subset(np.array([4, 0, 3]))
    assert part.names == ['image 4', 'image 0', 'image 3']
    assert part.groups == ['g1', 'g0', 'g1']
    assert [float(image[0, 0]) for image in part] == [4, 0, 3]
    nested = part.subset([2, 1])
    assert [float(image[0, 0]) for image in nested] == [3, 0]
    assert len(whole) == 5


def test_iteration_ends():
    """A set is a sequence: a loop over it ends after the last image."""
    assert len(list(_Numbers([3]))) == 3


@pytest.mark.parametrize('index', [-1, 3, (3, 0), (-1, 2)])
def test_index_out_of_range_is_refused(index):
    """The error of a wrong index names how many there are."""
    with pytest.raises(IndexError, match='there are 3 slices'):
        _Numbers([3])[index]
    if not isinstance(index, tuple):
        with pytest.raises(IndexError, match='there are 3 slices'):
            _Numbers([3]).subset([index])


@pytest.mark.parametrize('index', ['0', 1.0, None, True, (1, 2, 3)])
def test_what_is_no_index_is_refused(index):
    """Anything but an integer, or an integer and an epoch, is an error."""
    with pytest.raises(TypeError, match='index of slices'):
        _Numbers([3])[index]


def test_shape_brings_images_to_one_grid():
    """With a shape, every image has it."""
    assert _Numbers([2], shape=(2, 3))[0].shape == (2, 3)


@pytest.mark.parametrize('shape', [(3,), 3, (0, 4), (2, -1)])
def test_wrong_shape_is_refused(shape):
    """A shape is two positive sizes."""
    error = TypeError if shape == 3 else ValueError
    with pytest.raises(error, match='`shape` must'):
        _Numbers([2], shape=shape)


def _places(part):
    return {int(image[0, 0]) for image in part}


@pytest.mark.parametrize('seed', range(5))
def test_split_by_fraction_keeps_groups_together(seed):
    """No group is in two parts, no slice is lost, sizes are close."""
    whole = _Numbers(list(range(1, 20)))
    parts = split(whole, {'train': 0.8, 'validation': 0.1, 'test': 0.1}, seed)
    groups = [set(part.groups) for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 19
    assert set.union(*map(_places, parts.values())) == set(range(len(whole)))
    for part, share in zip(parts.values(), (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) - share * len(whole)) <= 19


def test_split_by_fraction_may_leave_some_out():
    """Fractions with a sum below 1 leave the rest out."""
    parts = split(_Numbers([1] * 100), {'a': 0.2, 'b': 0.3})
    assert abs(len(parts['a']) - 20) <= 1
    assert abs(len(parts['b']) - 30) <= 1


def test_split_by_number_is_exact():
    """Numbers are met exactly, and no group is in two parts."""
    parts = split(_Numbers([7] * 20), {'train': 60, 'test': 20})
    assert len(parts['train']) == 60
    assert len(parts['test']) == 20
    assert not set(parts['train'].groups) & set(parts['test'].groups)
    assert len(_places(parts['train'])) == 60


def test_split_starts_with_many_groups():
    """The first slices of a part are not all from one group."""
    part = split(_Numbers([50] * 20), {'train': 900})['train']
    assert len(set(part.groups[:20])) > 5


def test_split_depends_on_the_seed_alone():
    """A seed gives the same parts again, also of another order of files."""
    whole = _Numbers([3] * 10)
    sizes = {'train': 0.5, 'test': 0.5}
    first, again, other = (split(whole, sizes, s) for s in (1, 1, 2))
    assert first['train'].names == again['train'].names
    assert set(first['train'].groups) != set(other['train'].groups)
    shuffled = whole.subset(np.random.default_rng(0).permutation(30))
    assert set(split(shuffled, sizes, 1)['train'].groups) == set(
        first['train'].groups
    )


def test_split_refuses_what_there_is_not():
    """If a part is too large, the error says how many slices there are."""
    with pytest.raises(ValueError, match="the 12 slices in 4 groups .*'test'"):
        split(_Numbers([3] * 4), {'train': 10, 'test': 1})
    with pytest.raises(ValueError, match='2 groups .* 3 parts'):
        split(_Numbers([9, 9]), {'a': 0.4, 'b': 0.3, 'c': 0.3})


@pytest.mark.parametrize(
    ('parts', 'error'),
    [
        ({'a': 0.8, 'b': 0.3}, ValueError),
        ({'a': 0.8, 'b': 3}, TypeError),
        ({'a': 0}, ValueError),
        ({'a': -0.1}, ValueError),
        ({'a': True}, TypeError),
        ({'a': '5'}, TypeError),
        ({}, ValueError),
        (['a', 'b'], TypeError),
    ],
)
def test_split_refuses_wrong_sizes(parts, error):
    """Sizes are fractions or numbers, all of one kind."""
    with pytest.raises(error, match='`parts`|fractions'):
        split(_Numbers([3] * 4), parts)


def test_split_refuses_what_has_no_groups():
    """Only `Slices` can be split."""
    with pytest.raises(TypeError, match='expected `Slices`'):
        split([np.ones((2, 2))], {'a': 0.5})


def test_phantoms_depend_on_seed_and_index_alone():
    """A phantom is the same in any order, and in another process."""
    phantoms = Phantoms(3, (16, 16), seed=4)
    last = phantoms[2]
    assert np.array_equal(Phantoms(9, (16, 16), seed=4)[2], last)
    assert np.array_equal(pickle.loads(pickle.dumps(phantoms))[2], last)
    assert not np.array_equal(phantoms[1], last)
    assert not np.array_equal(Phantoms(3, (16, 16), seed=5)[2], last)


def test_phantoms_drawn_on_a_finer_grid_are_averaged():
    """A pixel is the mean of those of the phantom on the finer grid."""
    fine = Phantoms(2, (36, 60), seed=4)[1]
    phantoms = Phantoms(2, (12, 20), seed=4, oversampling=3)
    expected = fine.reshape(12, 3, 20, 3).mean((1, 3))
    np.testing.assert_allclose(phantoms[1], expected, atol=1e-6)
    again = pickle.loads(pickle.dumps(phantoms.subset([1])))
    assert np.array_equal(again[0], phantoms[1])
    for wrong in (0, -1, 1.5, True):
        with pytest.raises((TypeError, ValueError), match='`oversampling`'):
            Phantoms(2, (12, 20), oversampling=wrong)


@pytest.mark.parametrize('oversampling', [1, 2])
def test_phantoms_on_another_grid(oversampling):
    """They are drawn on it, not interpolated, whichever part they are of."""
    phantoms = Phantoms(3, (16, 16), seed=4, oversampling=oversampling)
    other = Phantoms(3, (9, 24), seed=4, oversampling=oversampling)
    moved = phantoms.subset([2]).with_shape((9, 24))
    assert np.array_equal(moved[0], other[2])
    assert phantoms[0].shape == (16, 16)


def test_images_on_another_grid():
    """Any images are cut and averaged to it, and stay as they are."""
    slices = _Numbers([4])
    before = slices[0].shape
    other = slices.with_shape((2, 2))
    assert other[0].shape == (2, 2) and other.names == slices.names
    assert slices[0].shape == before
    with pytest.raises(ValueError, match='`shape` must be 2 whole numbers'):
        slices.with_shape((2, 2, 2))


def test_phantoms_of_one_kind():
    """The kind goes to `ellipse_phantom`: heads are not bodies."""
    head, body = (Phantoms(1, (32, 32), kind=k)[0] for k in ('head', 'body'))
    assert not np.array_equal(head, body)


def test_phantoms_of_another_source():
    """Any function of a shape and a generator draws phantoms."""
    phantoms = Phantoms(2, (3, 5), draw=lambda n, rng: rng.normal(size=n))
    assert phantoms[0].shape == (3, 5)
    assert np.array_equal(phantoms[0], phantoms[0])
    assert not np.array_equal(phantoms[0], phantoms[1])


def test_phantoms_refuse_another_shape():
    """The function must return an array of the given shape."""
    with pytest.raises(ValueError, match=r'\(3, 5\), got \(5, 3\)'):
        Phantoms(2, (3, 5), draw=lambda n, rng: np.ones(n[::-1]))[0]


def test_phantoms_refuse_wrong_options():
    """Kinds are known ones, and only for `ellipse_phantom`."""
    with pytest.raises(ValueError, match='`kind`'):
        Phantoms(2, (16, 16), kind='foot')
    with pytest.raises(ValueError, match='`kind`'):
        Phantoms(2, (16, 16), kind='head', draw=np.ones)
    with pytest.raises(ValueError, match='`n` must be a positive'):
        Phantoms(0, (16, 16))
    with pytest.raises(ValueError, match='`seed`'):
        Phantoms(1, (16, 16), seed=-1)


@pytest.mark.parametrize(
    'value', [np.nan, np.inf, -np.inf, 1e300, complex(0, np.nan)]
)
def test_values_that_are_no_numbers_are_named(value):
    """An image with infinite values or NaN is an error that names it."""

    class Broken(Slices):
        def _image(self, place, epoch):
            image = np.ones((4, 5), np.asarray(value).dtype)
            image[1, 2] = value
            return image

    for shape in (None, (2, 2)):
        slices = Broken(['good', 'bad'], ['a', 'b'], shape)
        with pytest.raises(ValueError, match='bad has 1 values'):
            slices[1]
