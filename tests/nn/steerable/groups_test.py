# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the names of groups."""

import pytest

from odl_equivariant.nn.escnn.fields import gspace
from odl_equivariant.nn.escnn.library import gspaces
from odl_equivariant.nn.steerable.groups import (
    checked_group,
    group_elements,
    group_order,
    is_subgroup,
    nearest_channels,
    parse_group,
    subgroups_of,
)
from odl_equivariant.nn.steerable.representations import elements_in_order


@pytest.mark.parametrize(
    'name, kind, n_rotations, order',
    [
        ('C1', 'C', 1, 1),
        ('C4', 'C', 4, 4),
        ('C12', 'C', 12, 12),
        ('D1', 'D', 1, 2),
        ('D4', 'D', 4, 8),
    ],
)
def test_names(name, kind, n_rotations, order):
    """The name tells the kind, the number of rotations and the order."""
    assert parse_group(name) == (kind, n_rotations)
    assert group_order(name) == order


@pytest.mark.parametrize(
    'name',
    ['SO3', 'o2', 'c4', 'C0', 'C', 'C04', 'C-4', ' C4', 'C4\n', 'C٤', '', 4]
    + [None, 4.0, ('C', 4)],
)
def test_unknown_names_are_refused(name):
    """An unknown group is refused, and the message lists the known ones."""
    with pytest.raises(ValueError, match=r'unknown group .*C1, .*D1, '):
        parse_group(name)
    with pytest.raises(ValueError, match=r'.*C1, .*D1, .*SO2 and O2'):
        checked_group(name)


@pytest.mark.parametrize('name', ['SO2', 'SO(2)', 'O2', 'O(2)'])
def test_infinite_groups(name):
    """Infinite groups are refused if a finite group is needed."""
    assert checked_group(name) == name.replace('(2)', '2')
    for function in (parse_group, group_order):
        with pytest.raises(ValueError, match=r'infinite.* C1, .* D1, '):
            function(name)


def trivial_field():
    """Return the type of a field, as escnn has it."""
    space = gspaces.rot2dOnR2(4)
    return space.type(space.trivial_repr)


@pytest.mark.parametrize(
    'make, match',
    [
        (lambda: gspaces.rot2dOnR2(4), 'Pass the name'),
        (lambda: gspaces.flip2dOnR2(0.0), 'Pass the name'),
        (lambda: gspaces.rot2dOnR2(4).fibergroup, 'Pass the name'),
        (trivial_field, 'A `FieldType` is none'),
    ],
)
def test_groups_of_escnn_are_refused(make, match):
    """Objects of escnn are refused, and the message names the type."""
    for function in (parse_group, checked_group):
        with pytest.raises(ValueError, match=f'(?s)unknown group .*{match}'):
            function(make())


FINITE = ['C1', 'C2', 'C3', 'C4', 'C6', 'C8', 'D1', 'D2', 'D3', 'D4', 'D6']


@pytest.mark.parametrize('name', [n for n in FINITE if n != 'D1'])
def test_elements_are_those_of_escnn(name):
    """The order of the elements is escnn's."""
    group = gspace(name).fibergroup
    expected = []
    for element in group.elements:
        value = element.to('int')
        flip, turns = value if isinstance(value, tuple) else (0, value)
        start = 0.5 if flip and group.order() % 4 == 2 else 0
        n_rotations = parse_group(name)[1]
        expected.append(((turns / n_rotations + start) % 1, bool(flip)))
    found = [(float(turn), flip) for turn, flip in group_elements(name)]
    assert [flip for _, flip in found] == [flip for _, flip in expected]
    turns = [turn for turn, _ in expected]
    assert [turn for turn, _ in found] == pytest.approx(turns)


@pytest.mark.parametrize('group', FINITE)
@pytest.mark.parametrize('name', FINITE)
def test_subgroups(name, group):
    """A group is a subgroup if all its elements are in the other group."""
    contained = set(group_elements(name)) <= set(group_elements(group))
    assert is_subgroup(name, group) == contained
    assert (name in subgroups_of(group).split(', ')) == contained
    assert is_subgroup(name, 'O2')
    assert is_subgroup(name, 'SO2') == (name[0] == 'C')
    assert not is_subgroup('SO2', name)
    assert not is_subgroup('O2', name)


def multiplied(left, right):
    """Return the product of two elements."""
    sign = -1 if left[1] else 1
    return (left[0] + sign * right[0]) % 1, left[1] != right[1]


@pytest.mark.parametrize(
    'group, subgroup',
    [(g, h) for g in FINITE for h in FINITE if is_subgroup(h, g)],
)
def test_cosets(group, subgroup):
    """In the new order, the subgroup permutes each coset as it does itself."""
    elements, inner = group_elements(group), group_elements(subgroup)
    order = elements_in_order(group, subgroup)
    assert sorted(order) == list(range(len(elements)))
    for h in inner:
        own = [inner.index(multiplied(h, g)) for g in inner]
        for i, element in enumerate(elements):
            coset, place = divmod(order[i], len(inner))
            moved = order[elements.index(multiplied(h, element))]
            assert moved == coset * len(inner) + own[place]


@pytest.mark.parametrize('order', [1, 2, 3, 4, 8])
def test_nearest_channels(order):
    """The nearest numbers of channels are the multiples on both sides."""
    for channels in range(1, 30):
        nearest = nearest_channels(channels, order)
        assert nearest
        for n in nearest:
            assert n > 0
            assert n % order == 0
            assert abs(n - channels) <= order
