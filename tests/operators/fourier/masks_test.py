# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of masks of k-space."""

import pickle

import numpy as np
import pytest
from odl.core.util.testutils import simple_fixture

from odl_equivariant.operators.fourier.masks import CartesianMask

pattern = simple_fixture('pattern', ['random', 'equispaced'])


@pytest.mark.parametrize('n', [16, 31, 320])
@pytest.mark.parametrize('acceleration', [1, 2.5, 4, 8])
def test_number_of_lines(pattern, n, acceleration):
    """As many lines are sampled as the acceleration says, once each."""
    mask = CartesianMask((n,), acceleration, 0.04, pattern)
    assert len(np.unique(mask.lines)) == round(n / acceleration)
    assert mask.acceleration == n / len(mask.lines)


@pytest.mark.parametrize('n', [20, 21])
@pytest.mark.parametrize('fraction, n_center', [(0.05, 1), (0.2, 4)])
def test_center_is_sampled(pattern, n, fraction, n_center):
    """The lines around index ``n // 2`` are sampled, for every seed."""
    for seed in range(10):
        mask = CartesianMask((n,), 3, fraction, pattern, seed=seed)
        center = n // 2 + np.arange(-(n_center // 2), (n_center + 1) // 2)
        assert np.isin(center, mask.lines).all()
        assert n // 2 in mask.lines


def test_only_the_center(pattern):
    """A centre of as many lines as are allowed leaves no other."""
    mask = CartesianMask((20,), 4, 0.25, pattern)
    np.testing.assert_array_equal(mask.lines, np.arange(8, 13))


@pytest.mark.parametrize('axis', [0, 1, -1, -2, -3])
def test_lines_lie_across_the_axis(pattern, axis):
    """The mask depends on the index along the axis only."""
    shape = (12, 13, 14)
    mask = CartesianMask(shape, 3, pattern=pattern, axis=axis)
    array = np.moveaxis(mask.array, axis, 0)
    assert mask.array.shape == mask.shape == shape
    assert mask.axis == axis % 3
    for index, line in enumerate(array):
        assert (line == (index in mask.lines)).all()


def test_equispaced_distances():
    """Outside the centre all distances are equal, the offset is drawn."""
    offsets = set()
    for seed in range(30):
        mask = CartesianMask((120,), 4, 0, 'equispaced', seed=seed)
        assert (np.diff(mask.lines) == 4).all()
        offsets.add(int(mask.lines[0]))
    assert offsets == {0, 1, 2, 3}


def test_equispaced_distances_that_are_no_whole_number():
    """Distances differ by one line at most."""
    mask = CartesianMask((101,), 3.7, 0, 'equispaced')
    assert set(np.diff(mask.lines)) == {3, 4}


def test_random_lines_are_not_equispaced():
    """Distances are of many lengths, and all lines have their chance."""
    mask = CartesianMask((320,), 4, 0.08)
    assert len(set(np.diff(mask.lines))) > 3
    counts = sum(
        CartesianMask((20,), 4, 0, seed=seed).array.astype(int)
        for seed in range(200)
    )
    assert counts.min() > 20


def test_seed_decides(pattern):
    """The same seed gives the same mask, and others give others."""
    masks = [
        CartesianMask((320, 320), pattern=pattern, seed=s) for s in range(8)
    ]
    again = CartesianMask((320, 320), pattern=pattern, seed=3)
    assert again == masks[3] and hash(again) == hash(masks[3])
    assert len(set(masks)) > 1
    assert masks[0] != CartesianMask((320, 321), pattern=pattern)
    assert masks[0] != 'mask'


def test_global_random_state_is_left_alone():
    """Neither does the mask draw from numpy's global generator."""
    before = np.random.get_state()[2]  # noqa: NPY002
    CartesianMask((64,))
    assert np.random.get_state()[2] == before  # noqa: NPY002


def test_arrays_are_read_only():
    """Masks do not change, also not those that were pickled."""
    mask = CartesianMask((8, 8))
    for copy in (mask, pickle.loads(pickle.dumps(mask))):
        assert copy == mask
        assert repr(copy) == repr(mask)
        for array in (copy.array, copy.lines):
            with pytest.raises(ValueError, match='read-only'):
                array[0] = 1


def test_repr_makes_the_mask():
    """The text is what was called."""
    mask = CartesianMask((8, 9), 2.5, 0.1, 'equispaced', 0, 7)
    assert eval(repr(mask)) == mask


def test_numpy_takes_a_mask():
    """A mask is an array where numpy wants one, and a copy of its own."""
    mask = CartesianMask((8, 9))
    assert np.asarray(mask).dtype == bool
    np.testing.assert_array_equal(np.asarray(mask), mask.array)
    assert np.asarray(mask, dtype='float32').sum() == mask.array.sum()
    copy = np.array(mask)
    copy[:] = True
    assert not mask.array.all()


@pytest.mark.parametrize(
    'arguments, keywords, message',
    [
        (((),), {}, '`shape` must be .* of at least 1'),
        (((4, 0),), {}, '`shape` must be .* of at least 1'),
        (((8,), 0.5), {}, '`acceleration` must be .* of at least 1'),
        (((8,), float('nan')), {}, '`acceleration` must be .* of at least 1'),
        (((8,), float('inf')), {}, '`acceleration` must be .* of at least 1'),
        (((8,),), {'center_fraction': -0.1}, '`center_fraction`'),
        (((8,),), {'center_fraction': float('nan')}, '`center_fraction`'),
        (((8,),), {'center_fraction': 1.1}, '`center_fraction`'),
        (((8,),), {'center_fraction': 0.5}, '4 of 8 lines are fully sampled'),
        (((8,),), {'pattern': 'spiral'}, '`pattern` must be one of'),
        (((8,),), {'axis': 1}, '`axis` must be .* from -1 to 0'),
        (((8,),), {'seed': -1}, '`seed` must be .* of at least 0'),
    ],
)
def test_wrong_values(arguments, keywords, message):
    """Parameters out of their range are refused."""
    with pytest.raises(ValueError, match=message):
        CartesianMask(*arguments, **keywords)


@pytest.mark.parametrize(
    'shape, keywords, message',
    [
        (8, {}, '`shape` must be a sequence of .*, got 8'),
        ((8.0,), {}, '`shape` must be a sequence of whole'),
        ((8,), {'axis': 0.0}, '`axis` must be a whole number.*, got 0.0'),
        ((8,), {'seed': None}, '`seed` must be a whole .*, got None'),
        ((8,), {'acceleration': '4'}, "`acceleration` must be a finite.*'4'"),
        ((8,), {'center_fraction': None}, '`center_fraction` must be a num'),
    ],
)
def test_wrong_types(shape, keywords, message):
    """The message names the parameter and what came."""
    with pytest.raises(TypeError, match=message):
        CartesianMask(shape, **keywords)


@pytest.mark.parametrize('n, ends', [(160, (24, 136)), (31, (3, 29))])
@pytest.mark.parametrize('acceleration', [1, 2.5, 4])
def test_lines_are_taken_of_those_that_were_measured(
    pattern, n, ends, acceleration
):
    """Number, centre and acceleration are those of the measured lines."""
    first, stop = ends
    for seed in range(5):
        mask = CartesianMask(
            (n,), acceleration, 0.1, pattern, seed=seed, measured=ends
        )
        assert mask.measured == ends
        assert first <= mask.lines[0] and mask.lines[-1] < stop
        assert len(mask.lines) == round((stop - first) / acceleration)
        assert mask.acceleration == (stop - first) / len(mask.lines)
        n_center = round(0.1 * (stop - first))
        center = n // 2 - n_center // 2 + np.arange(n_center)
        assert np.isin(center, mask.lines).all()


def test_all_lines_are_measured_by_default(pattern):
    """A mask of all lines is the one that knows of none that is missing."""
    mask = CartesianMask((4, 37), 3, pattern=pattern, seed=2)
    same = CartesianMask((4, 37), 3, pattern=pattern, seed=2, measured=(0, 37))
    assert mask == same and repr(mask) == repr(same)
    assert mask.measured == (0, 37)


def test_measured_lines_are_pickled():
    """A copy takes the same lines, and says of which."""
    mask = CartesianMask((40,), 3, measured=(4, 33))
    copy = pickle.loads(pickle.dumps(mask))
    assert copy == mask and copy.measured == (4, 33)
    assert 'measured=(4, 33)' in repr(copy)


@pytest.mark.parametrize(
    'measured, error, match',
    [
        ((-1, 10), ValueError, r'0 <= first < stop <= 40, got \(-1, 10\)'),
        ((10, 10), ValueError, '0 <= first < stop'),
        ((0, 41), ValueError, '0 <= first < stop'),
        (3, TypeError, '`measured` must be 2 whole numbers'),
        ((0, 1, 2), ValueError, '`measured` must be 2 whole'),
        ((0.5, 9), TypeError, '`measured` must be'),
        ((22, 40), ValueError, 'around the zero frequency, from 19'),
    ],
)
def test_measured_lines_that_are_none(measured, error, match):
    """What is no part of the lines, or lacks the centre, is refused."""
    with pytest.raises(error, match=match):
        CartesianMask((40,), 2, 0.1, measured=measured)


# --- Variable density and partial Fourier --- #


def test_variable_density_falls_with_the_frequency():
    """The mean number of lines is larger near the zero frequency."""
    lines = np.zeros(60)
    for seed in range(200):
        mask = CartesianMask(
            (60,), 4, 0.1, pattern='variable_density', seed=seed
        )
        assert mask.acceleration == 4
        lines += mask.array
    near, far = lines[15:45].sum(), lines[:15].sum() + lines[45:].sum()
    # a sixth of the lines are always in the middle
    assert near - 200 * 6 > 3 * far > 0


@pytest.mark.parametrize('pattern', ['random', 'variable_density'])
def test_partial_fourier_leaves_out_negative_frequencies(pattern):
    """The lines are in the fraction, and as many as without it."""
    mask = CartesianMask((2, 64), 2, 0.1, pattern, partial_fourier=0.625)
    assert mask.acceleration == 2
    assert mask.lines.min() >= 24 and mask.array[:, 29:35].all()
    full = CartesianMask((64,), 1.6, 0.1, partial_fourier=0.625)
    assert np.array_equal(full.lines, np.arange(24, 64))
    again = pickle.loads(pickle.dumps(mask))
    assert again == mask and 'partial_fourier=0.625' in repr(again)


def test_partial_fourier_of_the_measured_lines():
    """The fraction refers to the lines that a scanner measured."""
    mask = CartesianMask(
        (64,), 2, 0.1, measured=(12, 52), partial_fourier=0.75
    )
    assert mask.lines.min() >= 22 and mask.lines.max() < 52
    assert mask.acceleration == 2


@pytest.mark.parametrize(
    'options, match',
    [
        ({'partial_fourier': 0.4}, 'partial_fourier'),
        ({'partial_fourier': 1.1}, 'partial_fourier'),
        ({'partial_fourier': 0.6, 'acceleration': 1.2}, 'leaves 24 of 40'),
        ({'partial_fourier': 0.5, 'center_fraction': 0.2}, 'not all measured'),
    ],
)
def test_partial_fourier_that_is_too_small(options, match):
    """A fraction without the middle, or with too few lines, is refused."""
    with pytest.raises(ValueError, match=match):
        CartesianMask((40,), **{'acceleration': 2, **options})
