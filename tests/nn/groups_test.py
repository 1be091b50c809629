# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the names of groups."""

import pytest

from odl_equivariant.nn._groups import (
    group_order,
    nearest_channels,
    parse_group,
)


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
    """A name tells the kind, the rotations and the number of elements."""
    assert parse_group(name) == (kind, n_rotations)
    assert group_order(name) == order


@pytest.mark.parametrize(
    'name',
    ['SO2', 'O2', 'c4', 'C0', 'C', 'C04', 'C-4', ' C4', 'C4\n', 'C٤', '', 4]
    + [None, 4.0, ('C', 4)],
)
def test_unknown_names_are_refused(name):
    """An unknown group is refused, and the message lists the known ones."""
    with pytest.raises(ValueError, match=r'unknown group .*C1, .*D1, '):
        parse_group(name)


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
