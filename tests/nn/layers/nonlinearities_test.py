# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the non-linearities of declared fields."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from odl_equivariant.nn.layers import (
    Fields,
    GatedNonlinearity,
    NormNonlinearity,
    PointwiseNonlinearity,
)
from odl_equivariant.nn.layers.fields import parts_of
from tests.nn.layers.convolution_test import largest_error, randomised
from tests.nn.layers.fields_test import GROUPS, all_kinds, regular

PSIS = [
    torch.relu,
    torch.tanh,
    torch.sin,
    functional.softplus,
    nn.PReLU(),
    nn.Sequential(nn.SiLU(), nn.Hardshrink()),
    lambda x: x**3 - 1,
]
each_psi = pytest.mark.parametrize('psi', PSIS, ids=range(len(PSIS)))


def permuted(group):
    """Return fields that a group permutes."""
    if group in ('SO2', 'O2'):
        return Fields(group, trivial=3)
    return Fields(group, trivial=1, regular=2)


@each_psi
@pytest.mark.parametrize('group', GROUPS)
def test_nonlinearities_are_equivariant(group, psi):
    """They commute with the group, whatever the function."""
    fields = all_kinds(group)
    for layer in (
        PointwiseNonlinearity(permuted(group), psi),
        NormNonlinearity(fields, psi),
        NormNonlinearity(fields, psi, bias=False),
        GatedNonlinearity(fields, psi),
        GatedNonlinearity(fields, psi_invariant=psi),
    ):
        assert largest_error(randomised(layer)) < 1e-10


@pytest.mark.parametrize('angle', [0.3, 2.0])
def test_parts_of_infinite_groups_turn_by_any_angle(angle):
    """Norms and gates commute with all rotations of the channels."""
    from odl_equivariant.nn.steerable.representations import fibre_matrix

    name = regular('O2')
    fields = Fields('O2', [(name, 1)])
    turn = fibre_matrix(name, angle, True)
    norm = randomised(NormNonlinearity(fields))
    x = torch.randn(2, fields.channels, 3, 3).double()
    moved = torch.einsum('ab,nbij->naij', turn, x)
    expected = torch.einsum('ab,nbij->naij', turn, norm(x))
    torch.testing.assert_close(norm(moved), expected)
    gated = GatedNonlinearity(fields)
    gates = torch.randn(2, gated.in_fields.channels - len(turn), 3, 3).double()
    expected = gated(torch.cat([x, gates], 1))
    expected = torch.einsum('ab,nbij->naij', turn, expected)
    moved = gated(torch.cat([moved, gates], 1))
    torch.testing.assert_close(moved, expected)


def test_pointwise_values():
    """Each number is mapped by the function."""
    x = torch.randn(1, 5, 3, 3)
    layer = PointwiseNonlinearity(
        Fields('C4', regular=1, trivial=1), torch.sin
    )
    assert torch.equal(layer(x), torch.sin(x))


def test_norm_values():
    """Fields have the length that the function says, and their direction."""
    layer = NormNonlinearity(
        Fields('C4', [('standard', 1), ('trivial', 1), ('regular', 1)]),
        lambda x: x**2,
        bias=False,
    ).double()
    x = torch.randn(1, 7, 3, 3).double()
    vector, scalar, regular_field = x.split([2, 1, 4], 1)
    expected = [
        vector * vector.norm(dim=1, keepdim=True),
        scalar**2,
        regular_field * regular_field.norm(dim=1, keepdim=True),
    ]
    expected = torch.cat(expected, 1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-4)


def test_gated_values():
    """Each part is multiplied by the function of its own gate."""
    layer = GatedNonlinearity(
        Fields('C4', [('standard', 2), ('trivial', 1)]), torch.exp, torch.sin
    )
    x = torch.randn(1, 7, 3, 3)
    a, b, scalar, gates = x.split([2, 2, 1, 2], 1)
    expected = [
        a * gates[:, :1].exp(),
        b * gates[:, 1:].exp(),
        scalar.sin(),
    ]
    torch.testing.assert_close(layer(x), torch.cat(expected, 1))


def channels_changed(layer, x, change):
    """Return which channels of the output a change of something moves."""
    before = layer(x)
    with torch.no_grad():
        change()
    return (layer(x) - before).abs().amax((0, 2, 3)) > 0


@pytest.mark.parametrize('group', ['C4', 'D4', 'O2'])
@pytest.mark.parametrize('make', [GatedNonlinearity, NormNonlinearity])
def test_each_part_has_a_number_of_its_own(make, group):
    """Each gate or bias changes its part, and all together each once."""
    fields = all_kinds(group) + Fields(group, [(regular(group), 2)])
    layer = make(fields, torch.tanh).double()
    x = torch.randn(1, layer.in_fields.channels, 3, 3).double()
    gates = x[0, fields.channels :]
    numbers = gates if make is GatedNonlinearity else layer.bias
    changed = [
        channels_changed(layer, x, lambda i=i: numbers[i].add_(1))
        for i in range(len(numbers))
    ]
    assert all(one.any() for one in changed)
    count = torch.stack(changed).sum(0)
    turned = channels_changed(layer, x, lambda: numbers.add_(1))
    assert torch.equal(count, turned.long())
    n_trivial = sum(
        n * sum(invariant for _, invariant in parts_of(group, name))
        for name, n in fields.parts
    )
    assert int((~turned).sum()) == n_trivial


def test_norm_has_a_gradient_at_zero():
    """The derivative is finite where a field is zero."""
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    NormNonlinearity(Fields('C4', standard=1))(x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize('kind', ['standard', 'sign', 'irrep(2)'])
def test_fields_that_are_not_permuted(kind):
    """A function of each channel is refused, and the others are named."""
    with pytest.raises(ValueError, match=f'{kind.split("(")[0]}.*Gated'):
        PointwiseNonlinearity(Fields('D4', [('regular', 1), (kind, 1)]))


@pytest.mark.parametrize(
    'psi',
    [
        nn.Softmax(1),
        nn.Softmax(-1),
        nn.PReLU(4),
        nn.BatchNorm2d(4),
        nn.InstanceNorm2d(4),
        nn.Dropout(),
        nn.Conv2d(4, 4, 1),
        lambda x: x.mean(),
        lambda x: x - x.mean(),
        lambda x: x.flip(1),
        lambda x: x.numpy(),
        lambda x: x[:, :1],
    ],
)
def test_functions_that_are_not_of_each_number(psi):
    """A function that mixes numbers, or knows channels, is refused."""
    fields = Fields('C4', regular=1)
    for make in (PointwiseNonlinearity, NormNonlinearity, GatedNonlinearity):
        with pytest.raises(ValueError, match='each number of a tensor alone'):
            make(fields, psi)


@pytest.mark.parametrize('psi', [torch.relu_, nn.LeakyReLU(inplace=True)])
def test_functions_in_place(psi):
    """A function that changes its input is refused."""
    with pytest.raises(ValueError, match='inplace=False'):
        NormNonlinearity(Fields('C4', regular=1), psi)


@pytest.mark.parametrize('psi', ['relu', None, nn.ReLU])
def test_no_functions(psi):
    """What is no function of a tensor is refused."""
    with pytest.raises(TypeError, match='must be a function of a tensor'):
        PointwiseNonlinearity(Fields('C4', regular=1), psi)
