# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the steerable convolutions and of their kernels."""

import copy

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.nn.escnn.fields import gspace
from odl_equivariant.nn.escnn.library import enn
from odl_equivariant.nn.steerable import convolutions
from odl_equivariant.nn.steerable.convolutions import (
    PaddedConvolution,
    SteerableConvolution,
    _kernel_basis,
    _scaled_basis,
)
from odl_equivariant.nn.steerable.groups import group_order

PLACES = [
    ('trivial', 'regular'),
    ('regular', 'regular'),
    ('regular', 'trivial'),
]

# Generators of the part of each group that maps pixels to pixels.
EXACT = {
    'C1': [],
    'C2': ['half turn'],
    'C3': [],
    'C4': ['quarter turn'],
    'C6': ['half turn'],
    'C8': ['quarter turn'],
    'D1': ['mirror'],
    'D2': ['half turn', 'mirror'],
    'D3': ['mirror'],
    'D4': ['quarter turn', 'mirror'],
}
MOVES = {
    'quarter turn': lambda x: x.rot90(1, (-2, -1)),
    'half turn': lambda x: x.rot90(2, (-2, -1)),
    # x -> -x, the reflection of `odl_equivariant.actions` in all its groups
    'mirror': lambda x: x.flip(-2),
}

group = simple_fixture('group', list(EXACT))
padding_mode = simple_fixture(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
kernel_size = simple_fixture('kernel_size', [1, 3, 5])


def convolution(source='regular', target='regular', group='C4', **kwargs):
    """Return a convolution between 2 and 3 fields with a random bias."""
    layer = SteerableConvolution(2, 3, source, target, group, **kwargs)
    nn.init.normal_(layer.bias)
    return layer


# --- The bases --- #


def test_basis_has_the_size_and_the_span_of_escnn(group):
    """Our basis has the size and the span of escnn's basis."""
    space = gspace(group)
    fields = {
        'trivial': enn.FieldType(space, 2 * [space.trivial_repr]),
        'regular': enn.FieldType(space, 3 * [space.regular_repr]),
    }
    for source, target in PLACES:
        theirs = enn.R2Conv(fields[source], fields[target], 3, bias=False)
        nn.init.normal_(theirs.weights)
        filters, _ = theirs.expand_parameters()
        basis = _scaled_basis(group, source, target, 3)
        n, rows, columns = basis.shape[:3]
        n_pairs = len(fields[source]) * len(fields[target])
        assert theirs.weights.numel() == n_pairs * n
        filters = filters.detach().double()
        n_in = len(fields[source])
        filters = filters.reshape(-1, rows, n_in, columns, 3, 3)
        filters = filters.transpose(1, 2).flatten(2).flatten(0, 1).T
        span = basis.flatten(1).T
        found = torch.linalg.lstsq(span, filters).solution
        assert torch.linalg.matrix_rank(span) == n
        torch.testing.assert_close(span @ found, filters, rtol=0, atol=1e-5)


@pytest.mark.parametrize('move', MOVES)
def test_kernels_are_equivariant(group, move):
    """Quarter turns and reflections of the kernels permute the channels.

    The permutation is read off the kernels that map an image to a field, of
    which each channel has a kernel of its own.
    """
    lift = _scaled_basis(group, 'trivial', 'regular', 3)[:, :, 0]
    moved = MOVES[move](lift)
    distance = (moved[:, :, None] - lift[:, None]).abs().amax((0, 3, 4))
    closest, permutation = distance.min(1)
    in_group = move in EXACT[group] or (
        move == 'half turn' and 'quarter turn' in EXACT[group]
    )
    assert (closest.max() < 1e-14) == in_group
    if not in_group:
        return
    assert sorted(permutation.tolist()) == list(range(lift.shape[1]))
    hidden = _scaled_basis(group, 'regular', 'regular', 3)
    permuted = hidden[:, permutation][:, :, permutation]
    torch.testing.assert_close(
        MOVES[move](hidden), permuted, rtol=0, atol=1e-14
    )
    project = _scaled_basis(group, 'regular', 'trivial', 3)
    torch.testing.assert_close(
        MOVES[move](project), project[:, :, permutation], rtol=0, atol=1e-14
    )


def test_basis_is_the_same_in_any_context():
    """The default dtype and device do not change the basis."""
    arguments = ('C4', 'regular', 'regular', 3)
    expected = _kernel_basis(*arguments)
    state = torch.get_rng_state()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device('meta'), torch.inference_mode():
            basis = _kernel_basis.__wrapped__(*arguments)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(basis, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_projection_changes_rounding_errors_alone(
    group, kernel_size, monkeypatch
):
    """The projection changes escnn's kernels by rounding only."""
    exact = _kernel_basis(group, 'trivial', 'regular', kernel_size)
    monkeypatch.setattr(convolutions, '_make_exact', lambda basis, *_: basis)
    rounded = _kernel_basis.__wrapped__(
        group, 'trivial', 'regular', kernel_size
    )
    torch.testing.assert_close(exact, rounded, rtol=0, atol=3e-7)


# --- The layers --- #


@pytest.mark.parametrize('source, target', PLACES)
def test_forward_is_the_convolution_with_the_kernel(
    source, target, padding_mode
):
    """A steerable layer is a `torch.nn.Conv2d` with its kernel and bias."""
    layer = convolution(source, target, padding_mode=padding_mode)
    kernel, bias = layer.kernel()
    out_channels, in_channels = kernel.shape[:2]
    reference = nn.Conv2d(
        in_channels, out_channels, 3, padding=1, padding_mode=padding_mode
    )
    x = torch.randn(2, in_channels, 6, 7)
    with torch.no_grad():
        reference.weight.copy_(kernel)
        reference.bias.copy_(bias)
    torch.testing.assert_close(layer(x), reference(x))


def test_padded_convolution_is_a_convolution(padding_mode, kernel_size):
    """An ordinary layer is a `torch.nn.Conv2d` that keeps the shape."""
    layer = PaddedConvolution(2, 3, kernel_size, padding_mode)
    nn.init.normal_(layer.bias)
    reference = nn.Conv2d(
        2,
        3,
        kernel_size,
        padding=kernel_size // 2,
        padding_mode=padding_mode,
    )
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(2, 2, 6, 7)
    assert layer(x).shape == (2, 3, 6, 7)
    torch.testing.assert_close(layer(x), reference(x))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_kernel_of_lowered_weights_is_made_in_float32(dtype):
    """It is the rounded kernel of the same weights in float32."""
    layer = convolution('regular', 'regular', 'C4').to(dtype)
    kernel, bias = layer.kernel()
    assert kernel.dtype == bias.dtype == dtype
    exact, _ = copy.deepcopy(layer).float().kernel()
    assert torch.equal(kernel, exact.to(dtype))


def test_kernel_is_the_sum_over_the_basis():
    """Each block of the kernel is a combination of the basis."""
    layer = convolution('regular', 'regular', 'C4')
    kernel, bias = layer.kernel()
    for o in range(3):
        assert torch.equal(bias[4 * o : 4 * o + 4], layer.bias[o].expand(4))
        for i in range(2):
            expected = torch.einsum(
                'n,nabij->abij', layer.weight[o, i], layer.basis
            )
            block = kernel[4 * o : 4 * o + 4, 4 * i : 4 * i + 4]
            torch.testing.assert_close(block, expected)


@pytest.mark.parametrize('source, target', PLACES)
@pytest.mark.parametrize('gain', [1.0, 0.3])
def test_white_noise_keeps_its_variance(group, source, target, gain):
    """New layers of both kinds keep the variance of white noise."""
    rows = 1 if target == 'trivial' else group_order(group)
    columns = 1 if source == 'trivial' else group_order(group)
    steerable = SteerableConvolution(40, 40, source, target, group, gain=gain)
    ordinary = PaddedConvolution(40 * columns, 40 * rows, gain=gain)
    for layer, kernel in (
        (steerable, steerable.kernel()[0]),
        (ordinary, ordinary.weight),
    ):
        variance = kernel.square().sum((1, 2, 3)).mean().item()
        assert variance == pytest.approx(gain**2, rel=0.1)
        std = ordinary.weight.std().item()
        assert layer.weight.std().item() == pytest.approx(std, rel=0.1)


def test_double_has_the_exact_basis():
    """Conversion to double gives the same basis as construction in float64."""
    layer = convolution().double()
    expected = _scaled_basis('C4', 'regular', 'regular', 3)
    assert layer.basis.dtype == torch.float64
    assert torch.equal(layer.basis, expected)
    assert torch.equal(layer.float().basis, expected.float())


def test_basis_comes_back_from_the_meta_device():
    """After the meta device, a layer has its basis on the right device."""
    with torch.device('meta'):
        layer = SteerableConvolution(2, 3, 'regular', 'regular', 'C4')
    assert layer.basis.is_meta
    layer = layer.to_empty(device='cpu')
    assert torch.equal(layer.basis, convolution().basis)


def test_basis_is_not_shared():
    """Changing the basis of one layer does not change other layers."""
    layer, other = convolution().double(), convolution().double()
    expected = other.basis.clone()
    with torch.no_grad():
        layer.basis.zero_()
    assert torch.equal(other.basis, expected)
    assert torch.equal(copy.deepcopy(other).basis, expected)
    assert torch.equal(convolution().double().basis, expected)


def test_basis_is_no_state():
    """The state of a layer is its coefficients and its bias."""
    assert set(convolution().state_dict()) == {'weight', 'bias'}


@pytest.mark.parametrize('shape', [(4, 9), (9, 4), (1, 1)])
def test_images_smaller_than_the_kernel_are_refused(shape, padding_mode):
    """An image on which the kernel does not fit is refused."""
    for layer in (
        convolution('trivial', kernel_size=5, padding_mode=padding_mode),
        PaddedConvolution(2, 3, 5, padding_mode),
    ):
        with pytest.raises(ValueError, match='smaller than the kernel'):
            layer(torch.zeros(1, 2, *shape))
