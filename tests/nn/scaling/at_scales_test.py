# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Modules at several scales of what an image shows."""

import odl
import pytest
import torch

from odl_equivariant.actions import Rotation
from odl_equivariant.diagnostics import equivariance_error
from odl_equivariant.nn import (
    AtScales,
    EquivariantProximal,
    OrdinaryProximal,
    SpaceTimeProximal,
)
from odl_equivariant.nn.scaling.zooming import zoomed_in
from odl_equivariant.operators import NetworkOperator


def denoiser(kind=EquivariantProximal, **options):
    """Return a small denoiser with random weights."""
    torch.manual_seed(0)
    arguments = {
        'channels': 4,
        'gradient': False,
        'memory': 0,
        'noise_level': True,
        **options,
    }
    return kind(**arguments).double()


def larger(u, s):
    """Return an image with s x s cells for each cell."""
    for axis in range(2, u.ndim):
        u = u.repeat_interleave(s, axis)
    return u


@pytest.mark.parametrize('s', [2, 3])
@pytest.mark.parametrize('kind', [EquivariantProximal, OrdinaryProximal])
@pytest.mark.parametrize('padding', ['replicate', 'circular', 'zeros'])
@pytest.mark.parametrize('shape', [(8, 8), (9, 7)])
def test_scaled_images_have_scaled_results(s, kind, padding, shape):
    """Phi_s(U_s u) = U_s Phi(u), also at the boundary."""
    module = denoiser(kind, padding_mode=padding)
    u = torch.rand(2, 1, *shape, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.2], dtype=torch.float64)
    with torch.no_grad():
        left = AtScales(module, [s])(larger(u, s), sigma=sigma)
        right = larger(module(u, sigma=sigma), s)
        without = module(larger(u, s), sigma=sigma)
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)
    assert float((without - right).norm() / right.norm()) > 1e-3


def bump(n):
    """Return a smooth image of n x n cells."""
    x = (2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1
    return torch.exp(-(x[:, None] ** 2 + (x - 0.1) ** 2) / 0.08)[None, None]


@pytest.mark.parametrize('kind', [EquivariantProximal, OrdinaryProximal])
def test_other_scales_move_along(kind):
    """Phi_s(Z u) = Z Phi(u) for s = 64 / 45, the better the smoother u is."""
    module = denoiser(kind, noise_level=False)
    with torch.no_grad():
        # the residual blocks start at zero
        for weights in module.parameters():
            weights.copy_(0.3 * torch.randn_like(weights))
    errors = {}
    for n, larger_n in ((45, 64), (90, 128)):
        u = bump(n)
        zoomed = zoomed_in(u, (larger_n, larger_n))
        with torch.no_grad():
            right = zoomed_in(module(u), (larger_n, larger_n))
            for scale in (1, 64 / 45, 2):
                gap = AtScales(module, [scale])(zoomed) - right
                errors[n, scale] = float(gap.norm() / right.norm())
    assert 2 * errors[90, 64 / 45] < errors[45, 64 / 45] < 0.01
    for n in (45, 90):
        assert 8 * errors[n, 64 / 45] < min(errors[n, 1], errors[n, 2])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('shape', [(9,), (8, 7), (5, 6, 4)])
@pytest.mark.parametrize('scale', [1, 2**0.5, 2, 2.7])
def test_the_identity_at_any_scale(dtype, shape, scale):
    """Z* Z = id, on all grids: no detail is added or lost."""
    u = torch.rand(2, 1, *shape, dtype=dtype)
    v = AtScales(torch.nn.Identity(), [scale])(u)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(u, v, rtol=0, atol=tolerance)


def test_white_noise_keeps_its_level():
    """The variance of a cell is that of white noise, also on finer grids."""
    noise = torch.randn(1, 200, 40, 40, dtype=torch.float64)
    finer = zoomed_in(noise, (56, 58))
    assert abs(float(finer.std() / noise.std()) - 1) < 0.02


def test_means_over_scales_move_along():
    """The mean over 2 and 4 is that over 1 and 2 of the image before."""
    module = denoiser()
    u = torch.rand(1, 1, 8, 6, dtype=torch.float64)
    with torch.no_grad():
        left = AtScales(module, (2, 4))(larger(u, 2), sigma=0.1)
        right = larger(AtScales(module, (1, 2))(u, sigma=0.1), 2)
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


def test_volumes_and_further_images():
    """Any number of axes, and each image that the module takes is split."""

    class Mixed(torch.nn.Module):
        def forward(self, u, gradient):
            return u.roll(1, 2) - 2 * gradient.roll(1, 4)

    u, g = torch.rand(2, 2, 3, 2, 3, 4)
    left = AtScales(Mixed(), [2])(larger(u, 2), larger(g, 2))
    torch.testing.assert_close(left, larger(Mixed()(u, g), 2))


def test_equivariance_under_turns_is_kept():
    """Quarter turns of images, with the means over scales."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    module = denoiser(group='C4', noise_level=False)
    network = NetworkOperator(AtScales(module, (1, 2**0.5, 2)), space)
    assert equivariance_error(network, Rotation(space, torch.pi / 2)) < 1e-10


def test_weights_are_shared_by_the_scales():
    """There are those of the module, and the gradient is of all scales."""
    module = denoiser()
    network = AtScales(module, (1, 2))
    assert [id(p) for p in network.parameters()] == [
        id(p) for p in module.parameters()
    ]
    u = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    gradients = []
    for scales in ((1, 2), (1,), (2,)):
        module.zero_grad()
        AtScales(module, scales)(u, sigma=0.1).square().sum().backward()
        gradients.append(next(module.parameters()).grad.clone())
    assert float(gradients[0].norm()) > 0
    assert not torch.allclose(gradients[1], gradients[2])


def test_bad_input():
    """Other modules and scales, and sides that are no multiples."""
    with pytest.raises(TypeError, match='torch module'):
        AtScales('module')
    for scales in ((1, '2'), 2, '12', (1, 2j)):
        with pytest.raises(TypeError, match='scales'):
            AtScales(denoiser(), scales)
    for scales in ((), (2, 2), (2, 2.0), (0,), (0.5,), (1, float('nan'))):
        with pytest.raises(ValueError, match='scales'):
            AtScales(denoiser(), scales)
    u = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match=r'\(2, 2\) cells at the scale 4'):
        AtScales(denoiser(), (4,))(u, sigma=0.1)


def test_images_without_a_batch():
    """The error says what shape is expected."""
    network = AtScales(torch.nn.Identity(), [1, 2])
    with pytest.raises(ValueError, match=r'shape \(N, C, \*shape\)'):
        network(torch.rand(8, 8))


def test_films_are_refused():
    """A film is not stretched in time by a scale of space."""
    with pytest.raises(ValueError, match='for films'):
        AtScales(SpaceTimeProximal(channels=4, gradient=False), (1, 2))


def test_one_noise_level_for_all_samples():
    """A tensor of one number is that number, as for the module itself."""
    module = AtScales(denoiser(), (1, 2))
    u = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = module(u, sigma=0.1)
        for shape in ((), (1,)):
            assert torch.equal(
                module(u, sigma=u.new_full(shape, 0.1)), expected
            )
