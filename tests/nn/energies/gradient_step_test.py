# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the energy of a denoiser, and of the step down on it."""

import math

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant._warnings import quiet
from odl_equivariant.nn import (
    AveragedProximal,
    Energy,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    MultiscaleDenoiser,
)

dtype = simple_fixture('dtype', [torch.float32, torch.float64])
group = simple_fixture('group', ['C4', 'D4'])
shape = simple_fixture('shape', [(16, 16), (17, 14)])
channels = simple_fixture('channels', [1, 2])
TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}


def randomise(module, dtype=torch.float64):
    """Draw anew what starts at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(0.05 * noise)
    return module.to(dtype).eval()


def energy(group='C4', dtype=torch.float64, **kwargs):
    """Return the energy of a small denoiser, all of whose weights work."""
    sizes = {'channels': 8, 'n_scales': 2, 'n_blocks': 1}
    torch.manual_seed(0)
    denoiser = MultiscaleDenoiser(group, **{**sizes, **kwargs})
    return GradientStepEnergy(randomise(denoiser, dtype))


def images(shape=(17, 14), channels=1, dtype=torch.float64, seed=0):
    """Return two random images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *shape, generator=generator).to(dtype)


def turned(x, group):
    """Yield an image, moved by generators of a group that keep the grid."""
    yield x.rot90(2, (2, 3))
    if x.shape[2] == x.shape[3]:
        yield x.rot90(1, (2, 3))
    if group == 'D4':
        yield x.flip(2)


def test_the_value_is_half_the_squared_distance(dtype):
    """J(u) = |u - N(u)|^2 / 2, one number for each image."""
    J, x = energy(dtype=dtype), images(dtype=dtype)
    levels = torch.tensor([0.1, 0.4], dtype=dtype)
    distance = x - J.denoiser(x, sigma=levels)
    torch.testing.assert_close(
        J(x, levels), 0.5 * distance.square().sum((1, 2, 3))
    )


def test_the_energy_is_invariant(group, shape, channels, dtype):
    """J(g . u) = J(u), up to rounding."""
    J = energy(group, dtype, in_channels=channels)
    x = images(shape, channels, dtype)
    value = J(x, 0.2)
    for y in turned(x, group):
        error = (J(y, 0.2) - value).abs() / value
        assert error.max() <= TOLERANCES[dtype]


def test_gradient_and_denoiser_are_equivariant(group, shape, channels):
    """The gradient of an invariant J commutes with the group."""
    J = energy(group, in_channels=channels)
    x = images(shape, channels)
    for map_ in (J.gradient, GradientStepDenoiser(J)):
        moved = zip(turned(x, group), turned(map_(x, 0.2), group), strict=True)
        for y, expected in moved:
            torch.testing.assert_close(map_(y, 0.2), expected)


def test_the_energy_of_an_ordinary_denoiser_is_not_invariant():
    """Counterexample: without an equivariant N, J has no symmetry."""
    J, x = energy(None), images((16, 16))
    value = J(x, 0.2)
    assert ((J(x.rot90(1, (2, 3)), 0.2) - value).abs() > 1e-3 * value).all()


def test_the_gradient_is_that_of_finite_differences(dtype):
    """The slope of J is lim (J(u + t h) - J(u - t h)) / 2 t."""
    J = energy(dtype=torch.float64)
    x, h, t = images(), images(seed=1), 1e-6
    slope = (J(x + t * h, 0.3) - J(x - t * h, 0.3)) / (2 * t)
    gradient = J.to(dtype).gradient(x.to(dtype), 0.3)
    found = (gradient.double() * h).sum((1, 2, 3))
    tolerance = 1e-7 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, slope, rtol=tolerance, atol=0)


def test_the_hessian_is_that_of_finite_differences(homogeneous):
    """J''(u) h = lim (grad J(u + t h) - grad J(u - t h)) / 2 t."""
    J = energy(homogeneous=homogeneous)
    x, h, t = images(), images(seed=1), 1e-6
    with torch.no_grad():
        expected = J.gradient(x + t * h, 0.3) - J.gradient(x - t * h, 0.3)
        found = J.hessian_product(x, h, 0.3)
    torch.testing.assert_close(found, expected / (2 * t), rtol=1e-6, atol=1e-6)


homogeneous = simple_fixture('homogeneous', [True, False])


def test_the_hessian_is_symmetric():
    """<J''(u) h, k> = <h, J''(u) k>."""
    J, x = energy(), images()
    h, k = images(seed=1), images(seed=2)
    one = (J.hessian_product(x, h, 0.3) * k).sum()
    other = (J.hessian_product(x, k, 0.3) * h).sum()
    torch.testing.assert_close(one, other)


def test_the_energy_scales_with_image_and_noise():
    """J(a u; a s) = a^2 J(u; s), and the gradient scales by a."""
    J, x, a = energy(), images(), 7.0
    torch.testing.assert_close(J(a * x, a * 0.2), a**2 * J(x, 0.2))
    torch.testing.assert_close(
        J.gradient(a * x, a * 0.2), a * J.gradient(x, 0.2)
    )


def test_derivatives_are_the_same_in_every_mode():
    """With a graph, without, in inference mode and in torch.func."""
    J, x, h = energy(), images(), images(seed=1)
    D = GradientStepDenoiser(J)
    expected, product = J.gradient(x, 0.2), J.hessian_product(x, h, 0.2)
    assert expected.requires_grad
    with torch.no_grad():
        assert not J.gradient(x, 0.2).requires_grad
        torch.testing.assert_close(J.gradient(x, 0.2), expected)
        torch.testing.assert_close(J.hessian_product(x, h, 0.2), product)
    with torch.inference_mode():
        u, level = 1 * x, torch.tensor([0.2], dtype=x.dtype)
        torch.testing.assert_close(J.gradient(u, level), expected)
        torch.testing.assert_close(J.hessian_product(u, 1 * h, level), product)
    with quiet():  # of torch's own code, which it compiles at first use
        _, tangent = torch.func.jvp(lambda u: D(u, 0.2), (x,), (h,))
    torch.testing.assert_close(tangent, h - product)


def test_the_base_class_works_in_inference_mode():
    """Energies without derivatives of their own can be validated, too."""

    class Quartic(Energy):
        def forward(self, x, sigma=None):
            return 0.25 * (x**4).flatten(1).sum(1)

    with torch.inference_mode():
        x = 1 * images()
        torch.testing.assert_close(Quartic().gradient(x), x**3)
        torch.testing.assert_close(
            Quartic().hessian_product(x, x), 3 * x**2 * x
        )


def test_frozen_energies_keep_no_graph():
    """Nothing that can be differentiated, no graph."""
    J, x = energy().requires_grad_(False), images()
    assert not J.gradient(x, 0.2).requires_grad
    assert not J.hessian_product(x, x, 0.2).requires_grad
    u = x.clone().requires_grad_()
    (once,) = torch.autograd.grad(J(u, 0.2).sum(), u)
    torch.testing.assert_close(once, J.gradient(x, 0.2))


def test_the_graph_without_weights_keeps_less():
    """Inference saves no kernels' graph: fewer tensors than training."""
    J, x = energy(), images()

    def saved(run):
        seen = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: seen.append(t.numel()) or t, lambda t: t
        ):
            run()
        return sum(seen)

    with torch.no_grad():
        least = saved(lambda: J.gradient(x, 0.2))
    assert least < 0.6 * saved(lambda: J.gradient(x, 0.2))


def test_denoisers_are_differentiable_in_their_weights():
    """The derivative of a loss of D is that of finite differences."""
    D, x = GradientStepDenoiser(energy(), 0.7), images()
    weight = D.energy.denoiser.lift.weight
    loss = D(x, 0.2).square().sum()
    (slope,) = torch.autograd.grad(loss, weight)
    h, t = torch.ones_like(weight), 1e-6
    values = []
    for step in (t, -t):
        with torch.no_grad():
            weight += step * h
            values.append(D(x, 0.2).square().sum())
            weight -= step * h
    expected = (values[0] - values[1]) / (2 * t)
    torch.testing.assert_close((slope * h).sum(), expected, rtol=1e-6, atol=0)


def test_relaxation_is_a_mean_with_the_identity():
    """D_t = t D + (1 - t) id."""
    J, x = energy(), images()
    torch.testing.assert_close(
        GradientStepDenoiser(J, 0.3)(x, 0.2),
        0.3 * GradientStepDenoiser(J)(x, 0.2) + 0.7 * x,
    )


def test_every_denoiser_will_do():
    """Networks of one scale, averaged ones, and modules of one's own."""
    x = images((9, 9))
    for denoiser in (
        EquivariantProximal(
            channels=8, memory=0, gradient=False, noise_level=True
        ),
        AveragedProximal(channels=8),
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
    ):
        J = GradientStepEnergy(randomise(denoiser))
        level = 0.2 if J.noise_level else None
        h, t = images((9, 9), seed=1), 1e-6
        slope = (J(x + t * h, level) - J(x - t * h, level)) / (2 * t)
        found = (J.gradient(x, level) * h).sum((1, 2, 3))
        torch.testing.assert_close(found, slope, rtol=1e-6, atol=1e-6)


def test_no_bound_is_assumed():
    """Bounds are infinite unless they are given."""
    J = energy()
    assert J.gradient_lipschitz(0.1) == J.weak_convexity(0.1) == math.inf
    J = GradientStepEnergy(J.denoiser, lipschitz=3.0)
    assert J.gradient_lipschitz(0.1) == J.weak_convexity(0.1) == 3.0
    J = GradientStepEnergy(J.denoiser, lipschitz=3.0, modulus=0.5)
    assert (J.gradient_lipschitz(), J.weak_convexity()) == (3.0, 0.5)


class Peak(nn.Module):
    """N(u) = u - 1 + |u|, a network with LeakyReLU."""

    def forward(self, x):
        """Return N(u)."""
        return x - 1 + x.abs()


def test_piecewise_affine_networks_have_kinks():
    """J = (1 - |u|)^2 / 2 has no Lipschitz gradient, no convex J + r u^2."""
    J = GradientStepEnergy(Peak()).double()
    t = torch.tensor([1e-8]).double()[None, None, None]
    jump = (J.gradient(t) - J.gradient(-t)) / (2 * t)
    assert jump < -1e7


@pytest.mark.parametrize('wrong', [0.0, -1.0, math.nan, math.inf])
def test_noise_levels_are_positive(wrong):
    """An energy and its gradient refuse sigma <= 0."""
    J, x = energy(), images()
    for call in (J, J.gradient, GradientStepDenoiser(J)):
        with pytest.raises(ValueError, match='`sigma` must be positive'):
            call(x, wrong)


def test_wrong_arguments_are_named():
    """Errors say what was expected and what came."""
    x = images()
    with pytest.raises(TypeError, match='`denoiser` must be a `torch.nn.Mod'):
        GradientStepEnergy(torch.sin)
    with pytest.raises(ValueError, match='gradient=False and memory=0'):
        GradientStepEnergy(EquivariantProximal(channels=8))
    with pytest.raises(ValueError, match='`lipschitz` must be'):
        GradientStepEnergy(nn.Identity(), lipschitz=-1)
    with pytest.raises(ValueError, match='no noise level, and would be lost'):
        GradientStepEnergy(nn.Identity())(x, 0.1)
    with pytest.raises(TypeError, match='pass `sigma`'):
        energy()(x)
    with pytest.raises(ValueError, match='return images of the shape'):
        GradientStepEnergy(nn.AvgPool2d(2))(x)
    with pytest.raises(TypeError, match='`energy` must be'):
        GradientStepDenoiser(nn.Identity())
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match='`relaxation` must be'):
            GradientStepDenoiser(energy(), wrong)
