# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the checks of arguments."""

import decimal
import fractions
import math

import numpy as np
import pytest
import torch

import odl_equivariant as oe
from odl_equivariant._checks import (
    array_shape,
    boolean,
    one_of,
    positive_number,
    real_number,
    whole_number,
)

WHOLE = [3, np.int16(3), np.uint64(3), np.array(3), torch.tensor(3)]
BOOLS = [True, np.True_, np.array(True), torch.tensor(True)]
OTHERS = [
    None,
    '3',
    b'3',
    [3],
    (3,),
    1j,
    np.complex64(3),
    np.ones(1),
    object(),
]


@pytest.mark.parametrize('value', WHOLE)
def test_whole_numbers_become_ints(value):
    """What is a whole number is one, whoever made it."""
    number = whole_number('n', value, 3, 3)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize('value', [*BOOLS, *OTHERS, 3.0, np.float32(3)])
def test_what_is_no_whole_number_is_a_type_error(value):
    """Bools, floats and text are none, whatever their value."""
    with pytest.raises(TypeError, match='^`n` must be a whole number, got'):
        whole_number('n', value)


@pytest.mark.parametrize('value', [-1, 5, 10**400])
def test_whole_numbers_out_of_bounds_are_value_errors(value):
    """The bounds are allowed, and what is beyond them is not."""
    assert [whole_number('n', end, 0, 4) for end in (0, 4)] == [0, 4]
    with pytest.raises(ValueError, match=f'from 0 to 4, got {value}'[:80]):
        whole_number('n', value, 0, 4)


@pytest.mark.parametrize(
    'value',
    [
        *WHOLE,
        3.0,
        np.float32(3),
        np.array(3.0),
        torch.tensor(3.0, dtype=torch.bfloat16),
        fractions.Fraction(3),
        decimal.Decimal(3),
    ],
)
def test_real_numbers_become_floats(value):
    """What is a real number is one, whoever made it."""
    for number in (real_number('x', value, 3, 3), positive_number('x', value)):
        assert number == 3.0 and type(number) is float


@pytest.mark.parametrize('value', [*BOOLS, *OTHERS, torch.tensor(1j)])
@pytest.mark.parametrize('check', [real_number, positive_number])
def test_what_is_no_real_number_is_a_type_error(check, value):
    """Bools, complex numbers, text and arrays with axes are none."""
    with pytest.raises(TypeError, match='^`x` must be a finite.* number, got'):
        check('x', value)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize('check', [real_number, positive_number])
def test_numbers_are_finite(check, value):
    """NaN and infinity are value errors."""
    with pytest.raises(ValueError, match='finite'):
        check('x', value)


@pytest.mark.parametrize('check', [real_number, positive_number])
def test_infinity_where_it_is_allowed(check):
    """It is if a parameter says so, and NaN never is."""
    assert check('x', math.inf, infinite=True) == math.inf
    with pytest.raises(ValueError, match='`x` must be a (positive )?number'):
        check('x', math.nan, infinite=True)


def test_positive_numbers_are_above_zero():
    """Zero is not positive, the least float is."""
    least = 5e-324
    assert positive_number('x', least) == least
    assert real_number('x', 0, least=0) == 0
    for value in (0, -0.0, -least):
        with pytest.raises(ValueError, match='finite positive number'):
            positive_number('x', value)


def test_bounds_of_numbers():
    """The bounds are allowed, and what is beyond them is not."""
    for check in (real_number, positive_number):
        assert check('x', 2, most=2) == 2
        with pytest.raises(ValueError, match='of at most 2, got 2.5'):
            check('x', 2.5, most=2)
    with pytest.raises(ValueError, match='a number from 0 to 1, got -1'):
        real_number('x', -1, 0, 1)


def test_bools_are_bools():
    """Those of NumPy, too, and no numbers."""
    assert boolean('b', np.False_) is False and boolean('b', True) is True
    for value in (0, 1.0, None, 'yes'):
        with pytest.raises(TypeError, match='`b` must be True or False'):
            boolean('b', value)


def test_choices():
    """Another string is a value error, anything else a type error."""
    assert one_of('c', 'a', ('a', 'b')) == 'a'
    assert one_of('c', None, {'a': 1}, optional=True) is None
    with pytest.raises(ValueError, match="`c` must be one of 'a', got 'A'"):
        one_of('c', 'A', {'a': 1})
    for value in (None, 1, ['a'], np.array(['a', 'b'])):
        with pytest.raises(TypeError, match="one of 'a', 'b', got"):
            one_of('c', value, ('a', 'b'))


@pytest.mark.parametrize(
    'value', [[4, 5], np.array([4, 5]), torch.Size([4, 5]), iter([4, 5])]
)
def test_shapes_become_tuples_of_ints(value):
    """Whatever they came in."""
    shape = array_shape('shape', value, 2)
    assert shape == (4, 5) and {type(n) for n in shape} == {int}


@pytest.mark.parametrize('value', [4, None, 'ab', (4.0, 5), (True, 5), [[4]]])
def test_what_is_no_shape_is_a_type_error(value):
    """It consists of whole numbers."""
    with pytest.raises(TypeError, match='2 whole numbers of at least 1, got'):
        array_shape('shape', value, 2)


@pytest.mark.parametrize('value', [(), (4,), (4, 5, 6), (4, 0), (-1, 5)])
def test_wrong_shapes_are_value_errors(value):
    """Another number of axes, and a length that is too small."""
    with pytest.raises(ValueError, match='`s` must be 2 whole .* at least 1'):
        array_shape('s', value, 2)


def test_words_in_place_of_a_name():
    """Names, also with dots, are quoted, and words are left as they are."""
    for name, begin in (
        ('data.seed', '^`data.seed` must'),
        ('each of `steps`', '^each of `steps` must'),
    ):
        with pytest.raises(ValueError, match=begin):
            whole_number(name, -1, 0)


def test_arrays_are_told_by_their_shape():
    """A message does not hold all numbers of an array."""
    with pytest.raises(TypeError, match=r'got an array of shape \(100, 2\)$'):
        real_number('x', np.ones((100, 2)))


@pytest.mark.parametrize(
    'make',
    [
        lambda n: oe.nn.OrdinaryProximal(channels=n),
        lambda n: oe.nn.EquivariantProximal(memory=n),
        lambda n: oe.data.Phantoms(n, (16, 16)),
        lambda n: oe.data.Phantoms(2, (16, n)),
        lambda n: oe.data.SparseViewCT((16, 16), n_views=n),
        lambda n: oe.operators.CartesianMask((16,), seed=n),
        lambda n: oe.operators.CartesianMask((n,)),
    ],
)
def test_one_rule_for_all(make):
    """Everywhere a wrong type is one error, and a wrong value another."""
    for value in (2.5, True, '3', None):
        with pytest.raises(TypeError, match='whole number'):
            make(value)
    with pytest.raises(ValueError, match='whole number'):
        make(-1)
