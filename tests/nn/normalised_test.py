# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of modules on images in the unit of their own statistics."""

import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.diagnostics import derivative_error
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    Normalised,
    OrdinaryProximal,
    to_convolutional,
)
from odl_equivariant.operators import NetworkOperator

ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-13}

dtype = simple_fixture('dtype', [torch.float32, torch.float64])
statistic = simple_fixture('statistic', ['std', 'rms', 'max'])
shift = simple_fixture('shift', [None, 'mean', 'min'])
n_channels = simple_fixture('n_channels', [1, 2])


def block_of(dtype=torch.float64, **arguments):
    """Return a block with random weights and biases."""
    arguments = {
        'channels': 8,
        'memory': 2,
        'noise_level': True,
        **arguments,
    }
    torch.manual_seed(0)
    block = EquivariantProximal(**arguments).to(dtype)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block


def denoiser_of(dtype=torch.float64, **arguments):
    """Return a block that takes image and noise level alone."""
    return block_of(dtype, memory=0, gradient=False, **arguments)


def images(dtype=torch.float64, n_channels=1, shape=(9, 8)):
    """Return two random images that are no multiples of each other."""
    torch.manual_seed(1)
    return torch.rand(2, n_channels, *shape, dtype=dtype)


def relative(x, y):
    """Return the norm of the difference over that of the second."""
    return float((x - y).norm() / y.norm())


class Outlier(nn.Module):
    """A module with a range of values, which returns what it is given."""

    value_range = (-1.0, 3.0)

    def forward(self, x):
        return x.clone()


@pytest.mark.parametrize('factor', [1e-3, 0.3, 1e3])
@torch.no_grad()
def test_any_module_is_homogeneous(
    statistic, shift, n_channels, factor, dtype
):
    """Psi(a u; a sigma) is a Psi(u; sigma), for every statistic."""
    module = denoiser_of(dtype, in_channels=n_channels)
    module = Normalised(module, statistic, shift)
    u = images(dtype, n_channels)
    expected = factor * module(u, sigma=0.1)
    found = module(factor * u, sigma=factor * 0.1)
    assert relative(found, expected) < ROUNDING[dtype]


@torch.no_grad()
def test_powers_of_two_are_exact(statistic, shift, dtype):
    """For a power of two the law holds bit by bit."""
    module = Normalised(denoiser_of(dtype), statistic, shift)
    u = images(dtype)
    expected = 1024 * module(u, sigma=0.1)
    assert torch.equal(module(1024 * u, sigma=1024 * 0.1), expected)


@pytest.mark.parametrize('factor', [1e-30, 1e30])
@torch.no_grad()
def test_extreme_units(statistic, factor):
    """Squares of values do not overflow in single precision."""
    module = Normalised(denoiser_of(torch.float32), statistic)
    u = images(torch.float32)
    expected = factor * module(u, sigma=0.1)
    found = module(factor * u, sigma=factor * 0.1)
    assert torch.allclose(found, expected, 1e-4, 0)


@torch.no_grad()
def test_shifts_of_each_channel(statistic, n_channels, dtype):
    """With a shift, Psi(a u + b) is a Psi(u) + b, b one for each channel."""
    for name in ('mean', 'min'):
        module = denoiser_of(dtype, in_channels=n_channels)
        module = Normalised(module, statistic, name)
        u = images(dtype, n_channels)
        b = torch.tensor([-3.0, 7.0], dtype=dtype)[:n_channels, None, None]
        expected = 0.5 * module(u, sigma=0.1) + b
        found = module(0.5 * u + b, sigma=0.05)
        assert relative(found, expected) < ROUNDING[dtype]


@torch.no_grad()
def test_all_inputs_are_scaled(dtype):
    """Gradient, memory and noise level have the unit of the image."""
    module = Normalised(block_of(dtype))
    u, v = images(dtype), images(dtype).flip(2) - 0.4
    s = images(dtype, 2)
    sigma = torch.tensor([0.1, 0.7], dtype=dtype)
    expected = torch.cat(module(u, v, s, sigma), 1)
    expected = 50 * expected
    expected[:, :1] += 3
    found = module(50 * u + 3, 50 * v, 50 * s, 50 * sigma)
    assert relative(torch.cat(found, 1), expected) < ROUNDING[dtype]


@torch.no_grad()
def test_images_of_a_batch_have_units_of_their_own():
    """An image is treated as it would be alone."""
    module = Normalised(denoiser_of())
    u = images() * torch.tensor([1e-3, 1e3])[:, None, None, None]
    sigma = torch.tensor([1e-4, 1e2]).to(u)
    together = module(u, sigma=sigma)
    alone = [module(u[:1], sigma=sigma[:1]), module(u[1:], sigma=sigma[1:])]
    for i in range(2):
        assert relative(together[i], alone[i][0]) < 1e-13


@torch.no_grad()
def test_the_group_is_kept(statistic, shift):
    """Around an equivariant module, the whole is equivariant."""
    module = Normalised(denoiser_of(), statistic, shift)
    u = images(shape=(9, 9))
    expected = torch.rot90(module(u, sigma=0.1), 1, (2, 3))
    turned = torch.rot90(u, 1, (2, 3))
    assert relative(module(turned, sigma=0.1), expected) < 1e-13


@pytest.mark.parametrize('angle', [0.3, 2.0])
@torch.no_grad()
def test_phases_do_not_change_statistics(statistic, angle):
    """The phase of a complex image, or a frame, changes no statistic."""
    u = images(n_channels=2)
    phase = torch.polar(
        torch.ones((), dtype=u.dtype), torch.tensor(angle, dtype=u.dtype)
    )
    turned = torch.view_as_real(
        phase * torch.view_as_complex(u.movedim(1, -1).contiguous())
    ).movedim(-1, 1)
    for name in (None, 'mean'):
        module = Normalised(nn.Identity(), statistic, name)
        sizes = [module._size(x) for x in (u, turned)]
        assert torch.allclose(*sizes)


@torch.no_grad()
def test_the_module_is_given_target_and_center():
    """Mean and deviation of what the module sees are those asked for."""
    seen = []

    class Seeing(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    module = Normalised(Seeing(), target=0.2, center=0.7)
    u = 40 * images() - 9
    assert relative(module(u), u) < 1e-14
    (x,) = seen
    assert torch.allclose(x.mean((1, 2, 3)), x.new_tensor(0.7))
    assert torch.allclose(x.std((1, 2, 3), correction=0), x.new_tensor(0.2))


@pytest.mark.parametrize(
    ('statistic', 'shift', 'expected'),
    [
        ('std', 'mean', (1, 1)),
        ('max', 'min', (4, -1)),
        ('max', None, (3, 0)),
        ('max', 'mean', (2, 1)),
        ('rms', None, (1, 0)),
    ],
)
def test_defaults_fit_the_range_of_the_module(statistic, shift, expected):
    """Target and center follow the range of the training, (-1, 3)."""
    module = Normalised(Outlier(), statistic, shift)
    assert (module.target, module.center) == expected


@torch.no_grad()
def test_statistics_of_your_own(dtype):
    """A function of images is a statistic, too."""

    def quantile(x):
        return x.abs().flatten(1).quantile(0.9, 1)

    module = Normalised(denoiser_of(dtype), quantile, None)
    u = images(dtype)
    expected = 30 * module(u, sigma=0.1)
    assert relative(module(30 * u, sigma=3.0), expected) < ROUNDING[dtype]


@pytest.mark.parametrize('value', [0.0, 0.1, -1000.1])
@torch.no_grad()
def test_constant_images_stay(statistic, value, dtype):
    """A constant image has no unit, and is returned as it is."""
    module = Normalised(denoiser_of(dtype), statistic, 'mean')
    # the mean of some of them is rounded
    for n in range(4, 14):
        u = torch.full((1, 1, n, n - 1), value, dtype=dtype)
        assert torch.equal(module(u, sigma=0.1), u)


@torch.no_grad()
def test_zero_stays_zero(statistic):
    """Without a shift, zero is what has no unit."""
    module = Normalised(denoiser_of(), statistic, None)
    u = torch.cat([images()[:1], torch.zeros(1, 1, 9, 8)])
    result = module(u, sigma=0.1)
    assert result[0].norm() > 0 and result[1].norm() == 0


@torch.no_grad()
def test_a_constant_image_has_no_deviation_as_unit():
    """Without a shift, the deviation of a constant image is an error."""
    module = Normalised(denoiser_of(), 'std', None)
    with pytest.raises(ValueError, match="zero, but `x` is not .*'rms'"):
        module(torch.ones(1, 1, 9, 8, dtype=torch.float64), sigma=0.1)


@torch.no_grad()
def test_memory_without_an_image_is_an_error():
    """A memory that has contrast where the image has none has no unit."""
    module = Normalised(block_of())
    u = torch.zeros(2, 1, 9, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match='but `memory` is not'):
        module(u, u, images(n_channels=2), 0.1)


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
@torch.no_grad()
def test_values_that_are_not_finite_are_an_error(statistic, shift, value):
    """NaN and infinity are an error that names the statistic."""
    module = Normalised(denoiser_of(), statistic, shift)
    u = images()
    u[1, 0, 3, 4] = value
    with pytest.raises(ValueError, match=f"'{statistic}' must be positive"):
        module(u, sigma=0.1)


@pytest.mark.parametrize(
    ('function', 'message'),
    [
        (lambda x: -x.abs().amax((1, 2, 3)), 'must be positive and finite'),
        (lambda x: x.abs().amax(), r'shape \(2,\), .* of shape \(\)'),
        (lambda x: 1.0, r'shape \(2,\), .* got float'),
        (lambda x: 0 * x.amax((1, 2, 3)), 'is zero, but `x` is not'),
    ],
)
def test_wrong_statistics_of_your_own(function, message):
    """A statistic is one positive number for each image."""
    module = Normalised(denoiser_of(), function, None)
    with pytest.raises(ValueError, match=message):
        module(images(), sigma=0.1)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'statistic': 'mean'}, ValueError, "std.*rms.*max.*'mean'"),
        ({'shift': 'max'}, ValueError, "mean.*min.*'max'"),
        ({'statistic': 2.0}, TypeError, 'statistic'),
        ({'target': 0}, ValueError, 'target'),
        ({'target': -1.0}, ValueError, 'target'),
        ({'target': float('inf')}, ValueError, 'target'),
        ({'center': float('nan')}, ValueError, 'center'),
        ({'shift': None, 'center': 1.0}, ValueError, 'pass shift='),
    ],
)
def test_wrong_arguments(arguments, error, message):
    """Wrong names and numbers are errors at construction."""
    with pytest.raises(error, match=message):
        Normalised(nn.Identity(), **arguments)


def test_what_is_no_module():
    """A function is no module."""
    with pytest.raises(TypeError, match='torch.nn.Module'):
        Normalised(torch.tanh)


@pytest.mark.parametrize('x', [torch.zeros(3, 3), [[1.0]]])
def test_what_is_no_batch_of_images(x):
    """A tensor without axes for images and channels is an error."""
    with pytest.raises(TypeError, match='shape'):
        Normalised(nn.Identity())(x)


def test_spaces_are_checked_by_the_module():
    """An operator asks the module within, such as for its channels."""
    space = odl.uniform_discr([0, 0], [1, 1], (9, 8), dtype='complex128')
    with pytest.raises(ValueError, match='in_channels'):
        NetworkOperator(Normalised(denoiser_of()), space)


def test_derivatives(statistic, shift):
    """Statistics are differentiated, too."""
    space = odl.rn((6, 5), dtype='float64')
    module = Normalised(
        nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Tanh()).double(),
        statistic,
        shift,
    )
    operator = NetworkOperator(module, space)
    assert derivative_error(operator) < 1e-4


def test_gradients_of_constant_images():
    """Where there is no unit, gradients are finite."""
    module = Normalised(denoiser_of())
    u = torch.zeros(1, 1, 9, 8, dtype=torch.float64, requires_grad=True)
    module(u, sigma=0.1).sum().backward()
    assert torch.equal(u.grad, torch.ones_like(u))


@pytest.mark.parametrize('initial', ['zero', 'adjoint'])
@torch.no_grad()
def test_unrolled_networks_are_homogeneous_in_the_data(initial):
    """Of normalised blocks with biases, B(a y) is a B(y), from zero too."""
    space = odl.uniform_discr([0, 0], [1, 1], (9, 9), dtype='float64')
    network = LearnedProximalGradient(
        odl.IdentityOperator(space),
        lambda: Normalised(block_of(noise_level=False)),
        3,
        initial,
    )
    y = images(shape=(9, 9))
    expected = network(y)
    assert expected.norm() > 0
    assert relative(network(1e-3 * y), 1e-3 * expected) < 1e-12
    assert network(0 * y).norm() == 0


@torch.no_grad()
def test_copies_compute_the_same():
    """Plain convolutions, copies and pickles have the same values."""
    module = Normalised(denoiser_of())
    u = images()
    expected = module(u, sigma=0.1)
    plain = to_convolutional(module)
    assert isinstance(plain.module, OrdinaryProximal)
    assert relative(plain(u, sigma=0.1), expected) < 1e-13
    for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(same(u, sigma=0.1), expected)


def test_exported_modules_compute_the_same():
    """An exported program has the statistics of what it is given."""
    module = Normalised(nn.Tanh())
    u = images()
    program = torch.export.export(module, (u,)).module()
    assert torch.allclose(program(7 * u - 1), module(7 * u - 1))


@torch.no_grad()
def test_data_of_reconstructions_are_divided():
    """Without a shift, data and image may have different shapes."""
    domain = odl.rn((9, 8), dtype='float64')
    matrix = np.random.default_rng(0).standard_normal((5, 8))
    operator = odl.MatrixOperator(
        matrix, domain, odl.rn((9, 5), dtype='float64'), axis=1
    )
    network = LearnedProximalGradient(
        operator, lambda: block_of(noise_level=False), 2
    )
    network = Normalised(network, 'rms', None)
    y = torch.cat([images(shape=(9, 5)), torch.zeros(1, 1, 9, 5).double()])
    image = network(y)
    assert relative(network(1e-3 * y), 1e-3 * image) < 1e-12
    assert image.shape[2:] == (9, 8) and image[2].norm() == 0
    with pytest.raises(ValueError, match='take shift=None'):
        Normalised(network.module)(y)


@pytest.mark.parametrize('sigma', [0.0, -0.1, torch.tensor([0.1, -0.1])])
def test_noise_levels_are_positive(sigma):
    """The error names the level in the unit of the image."""
    with pytest.raises(
        ValueError, match=r'must be positive, got (-0\.1|0\.0)'
    ):
        Normalised(denoiser_of(torch.float32))(
            images(torch.float32), sigma=sigma
        )


@pytest.mark.parametrize('sigma', [torch.ones(3), torch.ones(2, 1)])
def test_noise_levels_are_one_for_each_image(sigma):
    """Another number of levels is an error."""
    with pytest.raises(ValueError, match='number or a tensor of shape'):
        Normalised(denoiser_of(torch.float32))(
            images(torch.float32), sigma=sigma
        )
