# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of declared fields."""

from fractions import Fraction

import odl
import pytest
import torch

from odl_equivariant.actions import group_actions
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn.escnn.fields import gspace
from odl_equivariant.nn.layers import Fields
from odl_equivariant.nn.steerable.groups import group_elements

GROUPS = ['C1', 'C2', 'C3', 'C4', 'C8', 'D1', 'D2', 'D3', 'D4', 'SO2', 'O2']


def regular(group):
    """Return the name of a field with room for all irreducible ones."""
    return f'regular({group},1)' if group in ('SO2', 'O2') else 'regular'


def all_kinds(group):
    """Return fields of all kinds."""
    kinds = [regular(group), 'trivial', 'standard', 'sign', 2, 3]
    if group not in ('SO2', 'O2') and int(group[1:]) % 2 == 0:
        kinds += [f'irrep({int(group[1:]) // 2},{sign})' for sign in '+-']
    return Fields(group, [(kind, 1 + i % 2) for i, kind in enumerate(kinds)])


def product(left, right):
    """Return the product of two elements, the right one acts first."""
    (a, s), (b, t) = left, right
    return (a + (-b if s else b)) % 1, s != t


@pytest.mark.parametrize('group', GROUPS)
def test_transforms_are_an_action(group):
    """The transform of a product is the product of the transforms."""
    fields = all_kinds(group)
    x = torch.randn(1, fields.channels, 4, 5)
    for left in fields.elements:
        for right in fields.elements:
            once = fields.transform(x, product(left, right))
            twice = fields.transform(fields.transform(x, right), left)
            assert torch.equal(once, twice)


@pytest.mark.parametrize('group', GROUPS)
def test_transforms_keep_lengths(group):
    """Fields have the same norm before and after."""
    fields = all_kinds(group)
    x = torch.randn(1, fields.channels, 4, 5).double()
    for element in fields.elements:
        moved = fields.transform(x, element)
        torch.testing.assert_close(moved.norm(), x.norm())


@pytest.mark.parametrize('group', ['C2', 'C4', 'D1', 'D2', 'D4'])
@pytest.mark.parametrize('kind', ['trivial', 'standard'])
def test_transforms_are_the_actions(group, kind):
    """A transform of images or vector fields is one of `group_actions`."""
    space = odl.uniform_discr([-1, -1], [1, 1], (5, 5))
    fields = Fields(group, [(kind, 1)])
    representation = None
    if kind == 'standard':
        space, representation = space**2, 'standard'
    x = torch.randn(1, fields.channels, 5, 5).double()
    element = as_element(x, space)
    moved = [
        as_tensor(action(element))
        for action in group_actions(
            space, group, representation=representation
        )
    ]
    assert len(moved) == len(fields.elements)
    for element in fields.elements:
        ours = fields.transform(x, element)
        assert min((ours - other).abs().max() for other in moved) < 1e-14


@pytest.mark.parametrize('group', GROUPS[:-2])
def test_elements_are_those_of_the_group(group):
    """The exact elements are the elements of quarter turns."""
    exact = {e for e in group_elements(group) if (4 * e[0]).denominator == 1}
    # of odd order, reflections are named by half turns
    assert set(Fields(group, trivial=1).elements) == exact


def test_sums_of_fields_are_concatenated():
    """The fields of a sum lie one after the other, as in `torch.cat`."""
    left, right = Fields('D4', regular=1, standard=2), Fields('D4', sign=3)
    both = left + right
    assert both.channels == left.channels + right.channels == 15
    assert both.n_fields == 6
    x, y = torch.randn(1, 12, 4, 5), torch.randn(1, 3, 4, 5)
    for element in both.elements:
        parts = [left.transform(x, element), right.transform(y, element)]
        moved = both.transform(torch.cat([x, y], 1), element)
        assert torch.equal(moved, torch.cat(parts, 1))


@pytest.mark.parametrize('group', ['C2', 'C4', 'D2', 'D4'])
def test_lines_are_the_components(group):
    """The two lines together are the field that falls into them."""
    k = int(group[1:]) // 2
    lines = Fields(group, {f'irrep({k},+)': 1, f'irrep({k},-)': 1})
    both = Fields(group, {k: 1})
    x = torch.randn(1, 2, 4, 5)
    for element in both.elements:
        expected = both.transform(x, element)
        assert torch.equal(lines.transform(x, element), expected)


def test_equal_fields():
    """Names of the same matrices declare the same fields."""
    fields = Fields('C4', regular=2, standard=1, trivial=3)
    other = Fields('C4', {'regular': 2, 1: 1, 0: 1, 'irrep(0)': 2})
    assert fields == other
    assert hash(fields) == hash(other)
    assert fields != Fields('D4', regular=2, standard=1, trivial=3)
    assert eval(repr(fields)) == fields


@pytest.mark.parametrize('group', ['C4', 'D3', 'SO2', 'O2'])
def test_hidden_fields_fill_the_width(group):
    """Regular fields make up exactly the channels that were asked for."""
    fields = Fields.hidden(group, 12 if group != 'C4' else 8)
    assert fields.channels == (12 if group != 'C4' else 8)


@pytest.mark.parametrize(
    'make, error, message',
    [
        (lambda: Fields('C5x', trivial=1), ValueError, 'unknown group'),
        (lambda: Fields(gspace('C4'), trivial=1), ValueError, 'Pass the name'),
        (lambda: Fields('C4'), ValueError, 'there must be a field'),
        (lambda: Fields('C4', trivial=0), ValueError, 'must be a field'),
        (lambda: Fields('C4', trivial=-1), ValueError, 'trivial fields'),
        (lambda: Fields('C4', trivial=1.5), TypeError, 'trivial fields'),
        (lambda: Fields('C4', trivial=True), TypeError, 'trivial fields'),
        (lambda: Fields('C4', scalar=1), ValueError, 'known are trivial'),
        (lambda: Fields('C4', {-2: 1}), ValueError, 'known are trivial'),
        (lambda: Fields('C4', {'irrep(1,+)': 1}), ValueError, '2 rotations'),
        (lambda: Fields('O2', {'irrep(1,+)': 1}), ValueError, '2 rotations'),
        (lambda: Fields('SO2', {10**9: 1}), ValueError, 'at most 100'),
        (
            lambda: Fields('O2', {f'regular(O2,{10**9})': 1}),
            ValueError,
            'at most 100',
        ),
        (lambda: Fields('C4', {None: 1}), TypeError, 'a name or a frequency'),
        (lambda: Fields('C4', 'regular'), TypeError, 'must be a mapping'),
        (lambda: Fields('C4', 8), TypeError, 'must be a mapping'),
        (lambda: Fields('SO2', regular=8), ValueError, r'regular\(SO2,1\)'),
        (lambda: Fields.hidden('D4', 12), ValueError, 'nearest are 8 or 16'),
        (lambda: Fields.hidden('O2', 8), ValueError, 'nearest are 6 or 12'),
        (
            lambda: Fields('C4', trivial=1) + Fields('D4', trivial=1),
            ValueError,
            'of one group, got C4 and D4',
        ),
    ],
)
def test_fields_that_are_refused(make, error, message):
    """Fields that there are not are refused, and the choices named."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    'element', [(1 / 8, False), (0, True), (0.3, False), 1, ('x', 1), None]
)
def test_elements_that_are_refused(element):
    """An element that is not of the group or not exact is refused."""
    fields = Fields('C8', trivial=1)
    with pytest.raises(ValueError, match=r'of C8 .* are \(0, False\), \(0.25'):
        fields.transform(torch.zeros(1, 1, 4, 4), element)


@pytest.mark.parametrize('shape', [(4, 4), (1, 3, 4, 4), (1, 4, 4)])
def test_shapes_that_are_refused(shape):
    """A tensor that has not the channels of the fields is refused."""
    with pytest.raises(ValueError, match=r'shape \(N, 4, n, m\) of Fields'):
        Fields('C4', regular=1).transform(torch.zeros(shape), (0, False))


def test_turns_are_taken_modulo_one():
    """A fraction of a turn and the same plus whole turns are one element."""
    fields = Fields('C4', regular=1)
    x = torch.randn(1, 4, 4, 4)
    expected = fields.transform(x, (Fraction(3, 4), False))
    assert torch.equal(fields.transform(x, (-0.25, False)), expected)
