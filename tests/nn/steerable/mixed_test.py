# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the fields, and of the convolutions between several kinds."""

import math

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_equivariant.actions import group_actions
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn.escnn.fields import escnn_representation, gspace
from odl_equivariant.nn.escnn.library import enn
from odl_equivariant.nn.steerable.convolutions import (
    SteerableConvolution,
    _scaled_basis,
)
from odl_equivariant.nn.steerable.layout import components_first
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.representations import (
    fibre_matrix,
    field_size,
    irreps_of,
)
from odl_equivariant.nn.steerable.symmetries import equivariance_gap

FINITE = ['C1', 'C2', 'C3', 'C4', 'C6', 'C8', 'D1', 'D2', 'D3', 'D4', 'D8']
GROUPS = [*FINITE, 'SO2', 'O2']
BAND_LIMITED = ['regular(SO2,3)', 'regular(O2,2)']


def has_reflections(group):
    """Return whether a group has reflections."""
    return group[0] in 'DO'


def hidden(group):
    """Return the representations of hidden fields of a group."""
    names = [] if group in ('SO2', 'O2') else ['regular']
    if not has_reflections(group):
        names.append('regular(SO2,3)')
    return [*names, 'regular(O2,2)']


# --- Representations --- #


@pytest.mark.parametrize(
    'name', ['trivial', 'sign', 'standard', 'irrep(3)', *BAND_LIMITED]
)
def test_matrices_are_a_representation(name):
    """The matrix of a product is the product of the matrices."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        (a, b), (s, t) = rng.uniform(-7, 7, 2), rng.integers(0, 2, 2)
        if 'SO2' in name:
            s = t = 0
        left, right = fibre_matrix(name, a, s), fibre_matrix(name, b, t)
        product = fibre_matrix(name, a + (-1) ** s * b, s != t)
        torch.testing.assert_close(left @ right, product)
        identity = torch.eye(len(left), dtype=left.dtype)
        torch.testing.assert_close(left @ left.T, identity)
        assert len(left) == field_size('C4', name)


def test_standard_representation_is_the_matrix():
    """The standard representation of R is the matrix R."""
    angle = 0.7
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]]).double()
    torch.testing.assert_close(fibre_matrix('standard', angle), turn)
    mirror = torch.tensor([[1.0, 0.0], [0.0, -1.0]]).double()
    torch.testing.assert_close(
        fibre_matrix('standard', angle, True), turn @ mirror
    )


@pytest.mark.parametrize('name', ['vector', 'regular(C4,3)', 'irrep(-1)', ''])
def test_unknown_representations(name):
    """An unknown representation is refused, and the known ones listed."""
    with pytest.raises(ValueError, match='unknown repr.* standard, irrep'):
        irreps_of(name)


@pytest.mark.parametrize('group', GROUPS)
def test_representations_of_escnn_have_our_matrices(group):
    """Our representation of R is escnn's for the element R."""
    space = gspace(group)
    axes = np.array([[0.0, -1.0], [1.0, 0.0]])
    elements = (
        space.fibergroup.testing_elements()
        if space.fibergroup.continuous
        else space.fibergroup.elements
    )
    names = ['standard', 'irrep(2)', 'irrep(5)', 'regular(O2,2)']
    for name in names + ['regular(SO2,3)'] * (not has_reflections(group)):
        theirs = escnn_representation(space, name)
        for element in elements:
            turn = axes @ np.array(space.basespace_action(element)) @ axes.T
            angle = math.atan2(turn[1, 0], turn[0, 0])
            ours = fibre_matrix(name, angle, np.linalg.det(turn) < 0)
            np.testing.assert_allclose(theirs(element), ours, atol=1e-7)


# --- Bases --- #


@pytest.mark.parametrize('group', GROUPS)
def test_bases_are_equivariant(group):
    """Kernels between all kinds of fields are equivariant up to rounding."""
    for name in hidden(group):
        for other in ('trivial', 'standard', name):
            for pair in {(other, name), (name, other)}:
                basis = _scaled_basis(group, *pair, 3)
                assert torch.linalg.matrix_rank(basis.flatten(1)) == len(basis)
                assert equivariance_gap(basis, group, *pair) < 1e-14


@pytest.mark.parametrize('group', ['C4', 'C8', 'D3', 'D4', 'SO2', 'O2'])
def test_bases_of_vector_fields_are_those_of_escnn(group):
    """Our basis has the size and the span of escnn's basis."""
    space = gspace(group)
    name = hidden(group)[0]
    fields = {
        key: enn.FieldType(space, 2 * [escnn_representation(space, key)])
        for key in ('standard', name)
    }
    for source, target in (('standard', name), (name, 'standard')):
        theirs = enn.R2Conv(
            fields[source], fields[target], 5, bias=False, initialize=False
        )
        nn.init.normal_(theirs.weights)
        filters, _ = theirs.expand_parameters()
        basis = _scaled_basis(group, source, target, 5)
        rows, columns = basis.shape[1:3]
        assert theirs.weights.numel() == 4 * len(basis)
        filters = filters.detach().double()[:rows, :columns].reshape(-1, 1)
        span = basis.flatten(1).T
        found = torch.linalg.lstsq(span, filters).solution
        torch.testing.assert_close(span @ found, filters, rtol=0, atol=1e-5)


def moved(action, tensor, shape):
    """Apply an action of a product space to a batch of images."""
    space = action.domain
    return torch.cat(
        [
            as_tensor(action(as_element(image[None], space, copy=True)))
            for image in tensor.reshape(-1, tensor.shape[1], *shape)
        ]
    )


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('shape', [(8, 8), (7, 7)])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex128'])
@pytest.mark.parametrize('group', ['C4', 'D4', 'C8', 'SO2', 'O2'])
def test_vector_fields_turn_as_the_actions_turn_them(
    group, dtype, shape, impl
):
    """Vectors to a hidden field and back, with the actions' own matrices."""
    space = odl.uniform_discr([-1, -1], [1, 1], shape, dtype=dtype, impl=impl)
    n_fields = 2 if dtype == 'complex128' else 1
    outer = [('standard', n_fields), ('trivial', 1)]
    inner = [(hidden(group)[0], 2)]
    order = components_first(n_fields, 2) + [2 * n_fields]
    lift = MixedConvolution(outer, inner, group, source_order=order)
    back = MixedConvolution(inner, outer, group, target_order=order)
    real = torch.float32 if dtype == 'float32' else torch.float64
    lift, back = lift.to(real), back.to(real)
    x = torch.randn(3, 2 * n_fields + 1, *shape, dtype=real)
    scalars = space.real_space
    exact = 'D4' if has_reflections(group) else 'C4'
    for vector, scalar in zip(
        group_actions(space**2, exact, representation='standard'),
        group_actions(scalars, exact),
        strict=True,
    ):

        def turned(x, vector=vector, scalar=scalar):
            vectors = moved(vector, x[:, :-1], shape)
            return torch.cat([vectors, moved(scalar, x[:, -1:], shape)], 1)

        with torch.no_grad():
            expected = turned(back(lift(x)))
            gap = (back(lift(turned(x))) - expected).norm() / expected.norm()
        assert gap < (1e-5 if real == torch.float32 else 1e-13)


def test_mirror_is_not_in_the_rotations():
    """Kernels of C4 for vector fields are not equivariant under D4."""
    basis = _scaled_basis('C4', 'standard', 'standard', 3)
    assert equivariance_gap(basis, 'C4', 'standard', 'standard') < 1e-14
    assert equivariance_gap(basis, 'D4', 'standard', 'standard') > 0.1


# --- Layers --- #


@pytest.mark.parametrize('target', ['standard', 'regular', 'regular(SO2,2)'])
def test_bias_is_what_nothing_moves(target):
    """The bias is invariant under all elements."""
    layer = SteerableConvolution(1, 2, 'regular', target, 'C4').double()
    if target == 'standard':
        assert layer.bias is None
    else:
        nn.init.normal_(layer.bias)
    _, bias = layer.kernel()
    fields = bias.reshape(2, -1)
    assert (layer.bias is None) == (not fields.any())
    if target != 'regular':
        for angle in (0.3, 2.0):
            turn = fibre_matrix(target, angle)
            torch.testing.assert_close(fields @ turn.T, fields)
    else:
        assert torch.equal(fields, fields[:, :1].expand(2, 4))
    assert (
        SteerableConvolution(1, 2, 'regular', target, 'C4', bias=False).bias
        is None
    )


def test_mixed_layer_is_a_sum_of_layers():
    """Each input adds what a convolution of its own would give."""
    sources = [('standard', 1), ('trivial', 2)]
    targets = [('regular', 2), ('standard', 3)]
    layer = MixedConvolution(sources, targets, 'C4', padding_mode='zeros')
    for block in layer.blocks:
        if block.bias is not None:
            nn.init.normal_(block.bias)
    x = torch.randn(2, 4, 6, 5)
    vectors, scalars = x.split([2, 2], 1)
    expected = [
        layer.blocks[i](vectors) + layer.blocks[i + 1](scalars) for i in (0, 2)
    ]
    assert [block.bias is None for block in layer.blocks] == [0, 1, 1, 1]
    torch.testing.assert_close(layer(x), torch.cat(expected, 1))


@pytest.mark.parametrize('gain', [1.0, 0.3])
def test_white_noise_keeps_its_variance(gain):
    """New layers with several inputs keep the variance of white noise."""
    sources = [('standard', 30), ('trivial', 20)]
    layer = MixedConvolution(sources, [('regular', 30)], 'C4', gain=gain)
    variance = layer.kernel()[0].square().sum((1, 2, 3)).mean().item()
    assert variance == pytest.approx(gain**2, rel=0.1)


def test_order_of_channels():
    """The order of the channels is the given one."""
    fields = [('standard', 2)]
    order = components_first(2, 2)
    torch.manual_seed(0)
    plain = MixedConvolution(fields, fields, 'C4')
    torch.manual_seed(0)
    ordered = MixedConvolution(
        fields, fields, 'C4', source_order=order, target_order=order
    )
    x = torch.randn(1, 4, 5, 5)
    # (field, component) to (component, field)
    other = x.reshape(1, 2, 2, 5, 5).transpose(1, 2).reshape(x.shape)
    expected = plain(x).reshape(1, 2, 2, 5, 5).transpose(1, 2)
    torch.testing.assert_close(ordered(other), expected.reshape(x.shape))
    with pytest.raises(ValueError, match='order of 4 channels'):
        MixedConvolution(fields, fields, 'C4', source_order=[0, 1, 2, 2])
