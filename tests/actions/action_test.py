# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of what all actions share, and of the spaces they refuse."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import (
    Reflection,
    Rotation,
    Translation,
    group_actions,
)

make_action = pytest.mark.parametrize(
    'make',
    [
        lambda space: Rotation(space, np.pi),
        lambda space: Reflection(space, 0),
        lambda space: Translation(space, (0, 0)),
        lambda space: group_actions(space, 'C1'),
    ],
    ids=['rotation', 'reflection', 'translation', 'group'],
)


@make_action
def test_a_space_without_a_grid_is_refused(make):
    """Rotations need a grid of points; spaces of plain arrays are refused."""
    with pytest.raises(TypeError, match=r'odl\.uniform_discr.*got rn'):
        make(odl.rn((4, 4)))


@make_action
def test_other_dimensions_are_refused(make):
    """Functions of four variables are refused by name."""
    space = odl.uniform_discr([0] * 4, [1] * 4, [4] * 4)
    with pytest.raises(ValueError, match='1, 2 or 3 variables, got 4'):
        make(space)


def test_groups_about_an_axis_need_one():
    """In space, CN and DN turn about an axis that has to be given."""
    space = odl.uniform_discr([0] * 3, [1] * 3, [4] * 3)
    with pytest.raises(ValueError, match='give `axis`'):
        group_actions(space, 'C4')


@make_action
def test_a_non_uniform_grid_is_refused(make):
    """Moving a non-uniform grid does not map points to points."""
    partition = odl.nonuniform_partition([0, 1, 3], [0, 1, 3])
    space = odl.DiscretizedSpace(partition, odl.rn((3, 3)))
    with pytest.raises(ValueError, match='uniform grid'):
        make(space)


@make_action
def test_array_weights_are_refused(make):
    """With weights that vary in space the actions are not isometries."""
    weights = np.arange(1.0, 17.0).reshape(4, 4)
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), weighting=weights)
    with pytest.raises(ValueError, match='weighted by a constant'):
        make(space)


@make_action
def test_a_product_of_different_spaces_is_refused(make):
    """All components have to lie on the same grid."""
    parts = [odl.uniform_discr([0, 0], [1, 1], (n, n)) for n in (4, 5)]
    with pytest.raises(ValueError, match='equal components'):
        make(odl.ProductSpace(*parts))


@make_action
def test_an_empty_product_is_refused(make):
    """There is nothing to act on in an empty product."""
    with pytest.raises(ValueError, match='at least one'):
        make(odl.ProductSpace(field=odl.RealNumbers()))


@make_action
def test_a_product_with_its_own_inner_product_is_refused(make):
    """A user's own inner product is refused: isometries are not known."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    product = odl.ProductSpace(
        space, 2, inner=lambda x, y: x[0].inner(y[0]) + x[1].inner(y[0])
    )
    with pytest.raises(ValueError, match='CustomInner'):
        make(product)
