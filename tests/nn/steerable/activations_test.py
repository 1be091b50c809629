# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the non-linearities of band-limited and of complex fields."""

import math

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.nn import OrdinaryProximal
from odl_equivariant.nn.steerable.activations import (
    fourier_matrix,
    make_activation,
    n_inputs_of,
)
from odl_equivariant.nn.steerable.groups import group_order
from odl_equivariant.nn.steerable.representations import (
    band_limited,
    fibre_matrix,
)

group = simple_fixture('group', ['SO2', 'O2'])
max_frequency = simple_fixture('max_frequency', [1, 3])
name = simple_fixture('name', ['fourier', 'norm', 'gated'])

ANGLES = [0.3, 1.0, 2.5, 4.4]


def described(name, group, max_frequency, n_samples=None):
    """Return the description of a non-linearity."""
    description = {
        'name': name,
        'group': group,
        'max_frequency': max_frequency,
    }
    if name == 'fourier':
        description['n_samples'] = n_samples or 4 * (max_frequency + 1)
    return description


def activation(description, n_fields=3, slope=0.1):
    """Return a non-linearity with random weights, and its number of inputs."""
    size = len(
        fibre_matrix(
            band_limited(description['group'], description['max_frequency']), 0
        )
    )
    module = make_activation(description, n_fields * size, slope).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module, n_inputs_of(description, n_fields * size)


def turned(x, description, angle, flipped=False, n_fields=3):
    """Turn the fields at each pixel, but not what comes after them."""
    name = band_limited(description['group'], description['max_frequency'])
    matrix = fibre_matrix(name, angle, flipped).to(x)
    channels = n_fields * len(matrix)
    fields, rest = x[:, :channels], x[:, channels:]
    fields = fields.unflatten(1, (n_fields, -1))
    fields = torch.einsum('ab,nfbij->nfaij', matrix, fields).flatten(1, 2)
    return torch.cat([fields, rest], 1)


def error(description, angle, flipped=False):
    """Return the error by which a non-linearity is not equivariant."""
    torch.manual_seed(0)
    module, n_inputs = activation(description)
    x = torch.randn(2, n_inputs, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        expected = turned(module(x), description, angle, flipped)
        gap = module(turned(x, description, angle, flipped)) - expected
    return float(gap.norm() / expected.norm())


# --- Equivariance --- #


@pytest.mark.parametrize('name', ['norm', 'gated'])
def test_norms_and_gates_are_equivariant_at_any_angle(
    name, group, max_frequency
):
    """They commute with all elements of the group, up to rounding."""
    description = described(name, group, max_frequency)
    for angle in ANGLES:
        assert error(description, angle) < 1e-14
        if group == 'O2':
            assert error(description, angle, True) < 1e-14


def test_samples_are_equivariant_where_they_are_moved(group, max_frequency):
    """Rotations by a whole number of samples commute exactly."""
    description = described('fourier', group, max_frequency)
    n_samples = description['n_samples']
    for i in (1, 2, n_samples // 4, n_samples - 1):
        angle = 2 * math.pi * i / n_samples
        assert error(description, angle) < 1e-14
        if group == 'O2':
            assert error(description, angle, True) < 1e-14


def test_more_samples_have_a_smaller_error(group, max_frequency):
    """For other angles, more samples have a smaller error."""
    errors = [
        max(error(described('fourier', group, max_frequency, n), 0.3), 1e-15)
        for n in (8, 16, 32, 64, 128)
    ]
    assert errors[0] > 1e-3
    assert errors == sorted(errors, reverse=True)
    # the coefficients of a function with a kink fall like 1 / n^2
    assert errors[-1] < errors[0] / 50


def test_channels_alone_are_not_equivariant():
    """A LeakyReLU of each channel is not equivariant."""
    description = described('norm', 'SO2', 2)
    x = torch.randn(2, 15, 4, 5).double()
    leaky = nn.LeakyReLU(0.1)
    gap = leaky(turned(x, description, 0.3)) - turned(
        leaky(x), description, 0.3
    )
    assert gap.norm() > 0.1 * x.norm()


# --- The Fourier transform --- #


@pytest.mark.parametrize('n_samples', [8, 12])
def test_transform_has_its_inverse(group, max_frequency, n_samples):
    """The coefficients follow from the samples."""
    matrix = fourier_matrix(group, max_frequency, n_samples)
    inverse = matrix.T / len(matrix)
    identity = torch.eye(matrix.shape[1]).double()
    torch.testing.assert_close(inverse @ matrix, identity)


def test_transform_turns_representations_into_permutations(
    group, max_frequency
):
    """A rotation of the coefficients permutes the samples."""
    n = 8
    matrix = fourier_matrix(group, max_frequency, n)
    representation = band_limited(group, max_frequency)
    for shift in range(n):
        for flipped in (False, True) if group == 'O2' else (False,):
            turn = fibre_matrix(
                representation, 2 * math.pi * shift / n, flipped
            )
            # g^-1 h, with g = r^s f^a and h = r^j f^b
            places = []
            for b in range(len(matrix) // n):
                for j in range(n):
                    angle = (shift - j) % n if flipped else (j - shift) % n
                    places.append(n * (b ^ flipped) + angle)
            torch.testing.assert_close(matrix @ turn, matrix[places])


# --- Values --- #


def test_identity_where_nothing_is_bent(group, max_frequency):
    """With the slope 1, the non-linearity is the identity."""
    description = described('fourier', group, max_frequency)
    module, n_inputs = activation(description, slope=1.0)
    x = torch.randn(2, n_inputs, 4, 5).double()
    torch.testing.assert_close(module(x), x)


def test_norm_is_the_formula(group, max_frequency):
    """The length of each part becomes relu(length + bias)."""
    description = described('norm', group, max_frequency)
    module, n_inputs = activation(description)
    x = torch.randn(2, n_inputs, 4, 5).double()
    y = module(x).unflatten(1, (3, -1))
    x = x.unflatten(1, (3, -1))
    torch.testing.assert_close(y[:, :, 0], nn.LeakyReLU(0.1)(x[:, :, 0]))
    first = 1
    sizes = [2] * max_frequency
    if group == 'O2':
        sizes = [1] + [2] * (2 * max_frequency)
    assert module.bias.shape == (3, len(sizes))
    for i, size in enumerate(sizes):
        part, found = (z[:, :, first : first + size] for z in (x, y))
        length = part.norm(dim=2)
        bias = module.bias[:, i, None, None]
        expected = (length + bias).relu()
        # near zero the length is smoothed
        far = length > 0.05
        torch.testing.assert_close(
            found.norm(dim=2)[far], expected[far], rtol=1e-3, atol=1e-3
        )
        direction = (found * part).sum(2)
        torch.testing.assert_close(direction, found.norm(dim=2) * length)
        first += size
    assert first == y.shape[2]


def test_gates_are_the_formula():
    """Each part is multiplied by the sigmoid of its gate."""
    module, n_inputs = activation(described('gated', 'SO2', 2), n_fields=2)
    assert n_inputs == 2 * 5 + 2 * 2
    x = torch.randn(2, n_inputs, 4, 5).double()
    fields, gates = x.split([10, 4], 1)
    y = module(x).unflatten(1, (2, 5))
    fields, gates = fields.unflatten(1, (2, 5)), gates.unflatten(1, (2, 2))
    expected = fields[:, :, 1:] * gates.sigmoid().repeat_interleave(2, 2)
    torch.testing.assert_close(y[:, :, 1:], expected)
    torch.testing.assert_close(y[:, :, 0], nn.LeakyReLU(0.1)(fields[:, :, 0]))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_zero_stays_zero(name, group, dtype):
    """Zero is mapped to zero, with a finite gradient that is not zero."""
    module, n_inputs = activation(described(name, group, 2))
    module = module.to(dtype)
    x = torch.zeros(1, n_inputs, 2, 3, dtype=dtype, requires_grad=True)
    y = module(x)
    assert not y.any()
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.any()


def test_matrices_are_exact_in_double(name):
    """A module that is converted to double has no errors of float32."""
    module, _ = activation(described(name, 'SO2', 3))
    again = module.bfloat16().double()
    assert torch.equal(again.matrix, again._exact)
    assert 'matrix' not in module.state_dict()


def test_derivative(name, group):
    """The derivative agrees with finite differences."""
    module, n_inputs = activation(described(name, group, 1), n_fields=3)
    x = torch.randn(1, n_inputs, 1, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(module, x)


# --- Descriptions --- #


@pytest.mark.parametrize(
    'change',
    [
        {'name': 'relu'},
        {'group': 'C4'},
        {'max_frequency': 0},
        {'max_frequency': 1.0},
        {'n_samples': None},
        {'other': 1},
    ],
)
def test_descriptions_that_are_refused(change):
    """The error lists the known non-linearities."""
    description = {**described('fourier', 'SO2', 1), **change}
    with pytest.raises(ValueError, match='name of fourier, norm, gated'):
        OrdinaryProximal(channels=6, nonlinearity=description)


@pytest.mark.parametrize('n_samples', [2, 4, 6, 10])
def test_numbers_of_samples_that_are_refused(n_samples):
    """They are multiples of four, and more than twice the frequency."""
    description = described('fourier', 'SO2', 2, n_samples)
    with pytest.raises(ValueError, match='multiple of 4.*take 8'):
        OrdinaryProximal(channels=10, nonlinearity=description)


def test_channels_that_are_no_fields():
    """The channels must belong to whole fields."""
    with pytest.raises(ValueError, match='a multiple of 5, .* got 7'):
        OrdinaryProximal(channels=7, nonlinearity=described('norm', 'SO2', 2))


# --- Moduli of complex fields --- #


def modulus(group='C4', n_fields=3, slope=0.1):
    """Return a non-linearity of complex fields with random thresholds."""
    torch.manual_seed(0)
    description = {'name': 'modulus', 'group': group}
    channels = 2 * n_fields * group_order(group)
    module = make_activation(description, channels, slope).double()
    nn.init.normal_(module.threshold)
    assert n_inputs_of(description, channels) == channels
    return module, channels


def applied(module, z):
    """Apply a non-linearity to complex channels."""
    with torch.no_grad():
        y = module(torch.cat([z.real, z.imag], 1))
    return torch.complex(*y.chunk(2, 1))


def complex_channels(channels):
    """Return random complex channels."""
    return torch.randn(2, channels // 2, 4, 5, dtype=torch.complex128)


def test_moduli_are_shrunk_below_the_threshold():
    """The factor is (|z|^2 + slope b^2) / (|z|^2 + b^2)."""
    module, channels = modulus(slope=0.2)
    z = complex_channels(channels)
    squares = module.threshold.detach().square().repeat_interleave(4)
    squares = squares[:, None, None]
    factor = (z.abs() ** 2 + 0.2 * squares) / (z.abs() ** 2 + squares)
    torch.testing.assert_close(applied(module, z), factor * z)


@pytest.mark.parametrize('slope', [0.0, 0.1])
def test_moduli_commute_with_phases_and_permutations(slope):
    """Phases, and the elements of the group, which permute channels."""
    module, channels = modulus('D2', slope=slope)
    z = complex_channels(channels)
    number = torch.polar(torch.ones(()), torch.tensor(0.7)).to(z)
    order = torch.tensor([2, 0, 3, 1])

    def moved(z):
        return number * z.unflatten(1, (-1, 4))[:, :, order].flatten(1, 2)

    torch.testing.assert_close(
        applied(module, moved(z)), moved(applied(module, z))
    )


def test_moduli_are_smooth():
    """The Lipschitz constant is 9/8, and it is attained."""
    module, _ = modulus('C1', 1, 0.0)
    nn.init.ones_(module.threshold)
    x = torch.stack([torch.linspace(0, 9, 2001), torch.zeros(2001)])
    jacobian = torch.func.vmap(
        torch.func.jacrev(lambda x: module(x[None, :, None, None]).flatten())
    )(x.T.double())
    norms = torch.linalg.matrix_norm(jacobian, 2)
    assert norms.max().item() == pytest.approx(9 / 8, rel=1e-6)


def test_moduli_of_large_numbers_in_half_precision():
    """Their squares do not overflow."""
    module = modulus()[0].half()
    x = torch.full((1, 24, 2, 2), 1000.0, dtype=torch.float16)
    y = module(x)
    assert y.dtype == x.dtype
    torch.testing.assert_close(y, x, atol=0, rtol=1e-2)


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32]
)
def test_moduli_of_zero(dtype):
    """Zero is mapped to zero, with finite gradients at any threshold."""
    module = modulus()[0].to(dtype)
    nn.init.zeros_(module.threshold)
    x = torch.zeros(1, 24, 2, 2, dtype=dtype, requires_grad=True)
    y = module(x)
    y.sum().backward()
    assert not y.any()
    assert x.grad.isfinite().all()
    assert module.threshold.grad.isfinite().all()
