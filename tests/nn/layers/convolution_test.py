# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the convolutions between declared fields, and of networks."""

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.nn import layers, to_convolutional
from odl_equivariant.nn.layers import (
    AveragePooling,
    Fields,
    GatedNonlinearity,
    GroupPooling,
    Layer,
    NormNonlinearity,
    PointwiseNonlinearity,
    ResidualBlock,
    SteerableConvolution,
    Upsampling,
)
from odl_equivariant.nn.steerable.grid import acts_exactly
from tests.nn.layers.fields_test import all_kinds, regular

# whose bases escnn takes seconds to compute
SLOW = ('D2', 'D4', 'C8', 'SO2', 'O2')
BASES = [
    pytest.param(
        group,
        basis,
        marks=[pytest.mark.slow] * (group in SLOW and basis != 'grid'),
    )
    for group in ('C2', 'C4', 'D1', 'D2', 'D4', 'C8', 'SO2', 'O2')
    for basis in ('escnn', 'grid', 'mixed')
    if basis == 'escnn' or acts_exactly(group)
]
each_basis = pytest.mark.parametrize('group, basis', BASES)
padding_mode = simple_fixture(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)


def randomised(layer):
    """Return a layer in float64 with weights other than at its start."""
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += torch.randn(parameter.shape).double()
    return layer


def random(fields, *size):
    """Return random fields in float64."""
    return torch.randn(2, fields.channels, *size, dtype=torch.float64)


def largest_error(layer, source=None, target=None, size=(6, 7)):
    """Return how far a layer is from equivariant, relative to its values."""
    source, target = source or layer.in_fields, target or layer.out_fields
    x = random(source, *size)
    y = layer(x)
    assert y.shape[1] == target.channels
    return max(
        (
            (layer(source.transform(x, e)) - target.transform(y, e)).abs()
            / y.abs().max()
        )
        .max()
        .item()
        for e in source.elements
    )


def u_shaped(group):
    """Return a network of two scales from images to images."""
    image = Fields(group, trivial=1, standard=1)
    hidden = Fields(group, [(regular(group), 1), ('trivial', 1)])

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = SteerableConvolution(image, hidden, basis=BASIS)
            self.block = ResidualBlock(hidden, basis=BASIS)
            self.project = SteerableConvolution(hidden, image, basis=BASIS)
            self.pool, self.refine = AveragePooling(), Upsampling()

        def forward(self, x):
            y = self.lift(x)
            coarse = self.block(self.pool(y))
            return self.project(y + self.refine(coarse, tuple(x.shape[2:])))

    BASIS = 'grid' if acts_exactly(group) else 'escnn'
    return Network(), image


# --- Equivariance --- #


@each_basis
def test_convolutions_are_equivariant(group, basis):
    """Between fields of all kinds, a layer commutes with the group."""
    fields = all_kinds(group)
    layer = SteerableConvolution(fields, fields, basis=basis)
    assert largest_error(randomised(layer)) < 1e-10


def test_equivariance_does_not_depend_on_the_padding(padding_mode):
    """Turns are exact whatever lies past the boundary."""
    fields = Fields('D4', regular=1, standard=1, trivial=1)
    layer = SteerableConvolution(fields, fields, 5, padding_mode, basis='grid')
    assert largest_error(randomised(layer)) < 1e-10


@pytest.mark.parametrize('group', ['C4', 'D4', 'C8', 'SO2', 'O2'])
def test_residual_blocks_are_equivariant(group):
    """Also those of fields that the group does not permute."""
    fields = Fields(group, [(regular(group), 1), ('standard', 1)])
    assert largest_error(randomised(ResidualBlock(fields))) < 1e-10
    block = ResidualBlock(fields, NormNonlinearity(fields, torch.tanh))
    assert largest_error(randomised(block)) < 1e-10


@pytest.mark.parametrize('group', ['C4', 'D4', 'C8', 'O2'])
@pytest.mark.parametrize('size', [(6, 8), (7, 7), (6, 7)])
def test_networks_of_two_scales_are_equivariant(group, size):
    """With pooling and up-sampling, on even and on odd grids."""
    network, image = u_shaped(group)
    network = randomised(network)
    assert largest_error(network, image, image, size) < 1e-10


def shift_error(layer, x, shift, margin):
    """Return the error under a shift, at a distance from the boundary."""
    inner = (
        ...,
        slice(margin, -margin or None),
        slice(margin, -margin or None),
    )
    expected = layer(x).roll((shift, -shift), (2, 3))
    error = layer(x.roll((shift, -shift), (2, 3))) - expected
    return (error[inner].abs().max() / expected.abs().max()).item()


def test_translations_are_exact_away_from_the_boundary(padding_mode):
    """They are exact everywhere on periodic images, else they are not."""
    fields = Fields('C4', regular=1)
    x = random(fields, 12, 13)
    block = ResidualBlock(fields, None, 3, padding_mode, basis='grid')
    for layer, reach in (
        (SteerableConvolution(fields, fields, 5, padding_mode), 2),
        (block, 2),
    ):
        layer = randomised(layer)
        # rolled images continue differently within the shift, too
        assert shift_error(layer, x, 1, 1 + reach) < 1e-10
        at_boundary = shift_error(layer, x, 1, 0)
        if padding_mode == 'circular':
            assert at_boundary < 1e-10
        else:
            assert at_boundary > 1e-2


def test_translations_of_two_scales_are_by_coarse_cells():
    """On even periodic images, a network of two scales has even shifts."""
    fields = Fields('C4', regular=1)
    network = nn.Sequential(
        SteerableConvolution(fields, fields, 3, 'circular'),
        AveragePooling(),
        SteerableConvolution(fields, fields, 3, 'circular'),
        Upsampling(),
    )
    x = random(fields, 8, 10)
    network = randomised(network)
    assert shift_error(network, x, 2, 0) < 1e-10
    assert shift_error(network, x, 1, 0) > 1e-2


# --- Kernels --- #


@pytest.mark.parametrize('group', ['C4', 'O2'])
def test_variance_at_the_start(group):
    """Outputs start with the variance of the inputs, times the gain."""
    torch.manual_seed(0)
    source = Fields(group, [(regular(group), 20), (3, 10), ('trivial', 30)])
    target = Fields(group, [(regular(group), 20), (3, 10), ('trivial', 30)])
    layer = SteerableConvolution(source, target, 3, 'circular', gain=2.0)
    y = layer(torch.randn(4, source.channels, 16, 16))
    for piece in target.split(y):
        assert 1.7 < piece.std() < 2.3


def test_variance_where_some_fields_do_not_connect():
    """Fields that the basis does not connect take no share of the gain."""
    torch.manual_seed(0)
    source = Fields('O2', [('regular(O2,1)', 10), (3, 60)])
    target = Fields('O2', trivial=60)
    layer = SteerableConvolution(source, target, 3, 'circular')
    y = layer(torch.randn(4, source.channels, 16, 16))
    assert 0.85 < y.std() < 1.15


def test_blocks_without_kernels_are_zero():
    """What the basis does not connect does not contribute."""
    source, target = (
        Fields('C4', trivial=1, standard=1),
        Fields('C4', trivial=1),
    )
    layer = SteerableConvolution(source, target, 1, basis='grid')
    kernel, _ = layer.kernel()
    assert kernel[0, 0].abs() > 0
    assert torch.equal(kernel[0, 1:], torch.zeros(2, 1, 1))


def test_layers_without_bias():
    """Without a bias, zero becomes zero and nothing is trained for it."""
    fields = Fields('C4', regular=1, trivial=1)
    block = ResidualBlock(fields, bias=False, basis='grid')
    assert not any('bias' in name for name, _ in block.named_parameters())
    block = randomised(block)
    assert torch.equal(
        block(0 * random(fields, 5, 5)), 0 * random(fields, 5, 5)
    )


# --- Plain modules --- #


def every_layer(group='C4'):
    """Return one layer of each class."""
    fields = Fields(group, regular=1, trivial=1)
    mixed = fields + Fields(group, standard=1)
    return [
        SteerableConvolution(mixed, fields),
        PointwiseNonlinearity(fields, nn.PReLU()),
        NormNonlinearity(mixed),
        GatedNonlinearity(mixed),
        ResidualBlock(mixed),
        AveragePooling(),
        layers.MaxPooling(fields),
        Upsampling(),
        GroupPooling(mixed, 'norm'),
    ]


def test_layers_are_all_here():
    """There is a law for each public layer."""
    public = [getattr(layers, name) for name in layers.__all__]
    classes = {cls for cls in public if issubclass(cls, Layer)} - {Layer}
    assert {type(layer) for layer in every_layer()} == classes


@pytest.mark.parametrize('i', range(len(every_layer())))
def test_plain_layers_are_the_same(i):
    """The convolutional copy of a layer is the same map, without bases."""
    layer = randomised(every_layer()[i])
    n = 5 if layer.in_fields is None else layer.in_fields.channels
    x = torch.randn(2, n, 6, 7).double()
    for plain in (layer.to_convolutional(), to_convolutional(layer)):
        torch.testing.assert_close(plain(x), layer(x))
        assert not plain.training
        assert not any('basis' in name for name, _ in plain.named_buffers())
    assert layer.training


@pytest.mark.parametrize('i', range(len(every_layer())))
def test_states_are_loaded(i):
    """The state of a layer makes another one the same."""
    layer, other = randomised(every_layer()[i]), every_layer()[i].double()
    other.load_state_dict(layer.state_dict())
    n = 5 if layer.in_fields is None else layer.in_fields.channels
    x = torch.randn(2, n, 6, 7).double()
    torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)


@pytest.mark.parametrize('i', range(len(every_layer())))
def test_gradients_are_those_of_the_layer(i):
    """The derivatives of inputs and weights agree with differences."""
    layer = randomised(every_layer()[i])
    n = 5 if layer.in_fields is None else layer.in_fields.channels
    x = torch.randn(1, n, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, [x], fast_mode=True)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


# --- Errors --- #


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        ({'in_fields': 4}, TypeError, r'Fields\(.C4., regular=8\)'),
        ({'out_fields': Fields('D4', trivial=1)}, ValueError, 'one group'),
        ({'kernel_size': 4}, ValueError, 'must be odd'),
        ({'kernel_size': 3.0}, TypeError, 'kernel_size'),
        ({'padding_mode': 'same'}, ValueError, "one of 'replicate'"),
        ({'basis': 'all'}, ValueError, "'escnn', smooth kernels, 'grid'"),
        ({'bias': 1}, TypeError, 'True or False'),
        ({'gain': -1}, ValueError, 'gain'),
        ({'gain': float('nan')}, ValueError, 'gain'),
        ({'kernel_size': 1}, ValueError, 'no 1 x 1 kernels from trivial'),
        ({'kernel_size': 99}, ValueError, 'take a smaller field'),
    ],
)
def test_convolutions_that_are_refused(arguments, error, message):
    """A wrong argument is refused at construction."""
    defaults = {
        'in_fields': Fields('C4', trivial=1),
        'out_fields': Fields('C4', regular=1, standard=1),
    }
    with pytest.raises(error, match=message):
        SteerableConvolution(**{**defaults, **arguments})


@pytest.mark.parametrize('group', ['C8', 'C3', 'D3', 'SO2'])
@pytest.mark.parametrize('basis', ['grid', 'mixed'])
def test_groups_that_do_not_act_on_the_grid(group, basis):
    """Their grid has no such kernels, and the error names the choices."""
    fields = Fields(group, trivial=1)
    with pytest.raises(ValueError, match='C1, C2, C4, D1, D2 and D4'):
        SteerableConvolution(fields, fields, basis=basis)


def test_fields_that_do_not_fit():
    """A tensor of other fields is refused, and the fields are named."""
    for layer in every_layer():
        if layer.in_fields is not None:
            with pytest.raises(ValueError, match='of Fields'):
                layer(torch.zeros(1, 3, 6, 6))


@pytest.mark.parametrize(
    'nonlinearity', [nn.ReLU(), torch.relu, AveragePooling()]
)
def test_blocks_need_fields(nonlinearity):
    """A non-linearity that does not say its fields is refused."""
    with pytest.raises(TypeError, match='must be a layer with fields'):
        ResidualBlock(Fields('C4', regular=1), nonlinearity)
