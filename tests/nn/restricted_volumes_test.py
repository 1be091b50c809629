# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of networks for volumes that are restricted to a subgroup."""

import odl
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant, equivariance_error
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.nn.steerable.space import elements_of, order_in_cosets
from odl_equivariant.operators import NetworkOperator

RESTRICTIONS = [
    ({'group': 'O', 'channels': 24}, 'C4z', ('C4', 2)),
    ({'group': 'O', 'channels': 24}, 'T', ('T', None)),
    ({'group': 'D4h', 'axis': 2, 'channels': 16}, 'C4', ('C4', 2)),
    ({'group': 'Oh', 'channels': 48}, 'D4hx', ('D4h', 0)),
]


def restricted(arguments, subgroup, **kwargs):
    """Return a denoiser in double precision with random weights."""
    module = EquivariantProximal(
        memory=0,
        gradient=False,
        restrict_to=subgroup,
        **arguments,
        **kwargs,
    ).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize('n', [5, 6])
@pytest.mark.parametrize('restrict_after', [None, 0, 1])
@pytest.mark.parametrize(('arguments', 'subgroup', 'acting'), RESTRICTIONS)
def test_restriction(arguments, subgroup, acting, restrict_after, n):
    """After a restriction, the subgroup is kept and the group is not."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, 3 * (n,), 'float64')
    module = restricted(arguments, subgroup, restrict_after=restrict_after)
    operator = NetworkOperator(module, space)
    name, axis = acting
    for action in group_actions(space, name, axis=axis)[1::3]:
        assert_equivariant(operator, action, tol=1e-12)
    whole = group_actions(
        space, arguments['group'], axis=arguments.get('axis')
    )
    gaps = [equivariance_error(operator, action) for action in whole]
    assert max(gaps) > 1e-2


def test_a_file_keeps_the_restriction(tmp_path):
    """A network that is saved and loaded is restricted alike."""
    module = restricted({'group': 'O', 'channels': 24}, 'C4z').float()
    models.save(module, tmp_path / 'it.safetensors')
    loaded = models.load(tmp_path / 'it.safetensors')
    assert loaded.restrict_to == 'C4z'
    x = torch.rand(1, 1, 5, 5, 5)
    assert torch.equal(loaded(x), module(x))


@pytest.mark.parametrize(('group', 'other'), [('O', 'T'), ('D4hz', 'C2z')])
def test_cosets(group, other):
    """Within a coset, channels lie as the elements of the subgroup do."""
    order = order_in_cosets(group, other)
    elements, subgroup = elements_of(group), elements_of(other)
    assert sorted(order) == list(range(len(elements)))
    for place, element in zip(order, elements, strict=True):
        h = place % len(subgroup)
        first = elements[order.index(place - h)]
        assert (subgroup[h] @ first == element).all()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('D4z', 'D4z is no subgroup of O.*C4x, C4y, C4z'),
        ('C4', "'C4' names no group of the space"),
        (5, '5 names no group'),
        ('SO2', 'names no group'),
    ],
)
def test_other_restrictions_are_refused(name, message):
    """The error says which subgroups there are."""
    with pytest.raises(ValueError, match=message):
        EquivariantProximal(channels=24, group='O', restrict_to=name)
