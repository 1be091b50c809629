# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of ridge energies."""

import copy

import numpy as np
import odl
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.nn import RidgeEnergy
from odl_equivariant.nn.energies import filters, profiles

DTYPES = (torch.float64, torch.float32)
LIMIT = {torch.float32: 1e-6, torch.float64: 1e-12}
# What of the symmetries of the square is in a group.
TURNS = {
    'C4': ['turn', 'half'],
    'D4': ['turn', 'half', 'flip', 'transpose'],
    'C8': ['turn', 'half'],
    'D8': ['turn', 'half', 'flip', 'transpose'],
    'C16': ['turn', 'half'],
    'SO2': ['turn', 'half'],
    'O2': ['turn', 'half', 'flip', 'transpose'],
    'C2': ['half'],
    'D1': ['flip'],
    'D2': ['half', 'flip'],
}
MAPS = {
    'turn': lambda u: u.rot90(1, (2, 3)),
    'half': lambda u: u.rot90(2, (2, 3)),
    'flip': lambda u: u.flip(2),
    'transpose': lambda u: u.mT,
}
CASES = [(group, name) for group, names in TURNS.items() for name in names]
FAMILIES = (None, 'C4', 'C8', 'O2')
# evenly spaced, or the first one near zero
first_knots = pytest.mark.parametrize('first_knot', [None, 0.05])


def make(group='C4', dtype=torch.float64, kernel_size=5, **arguments):
    """Return an energy with random weights, as no training would make it."""
    arguments.setdefault('n_filters', {'C16': 32, 'D8': 16}.get(group, 8))
    energy = RidgeEnergy(group, kernel_size, **arguments).to(dtype)
    return shaken(energy)


def shaken(energy, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in energy.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += 0.1 * noise.to(parameter.dtype)
    return energy


def images(shape=(12, 15), n=2, dtype=torch.float64, seed=0, channels=1):
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(n, channels, *shape, generator=generator)
    return u.to(dtype)


def levels(u):
    return torch.tensor([0.1, 0.03], dtype=u.dtype)[: len(u)]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('shape', [(12, 15), (13, 13), (12, 12)])
@pytest.mark.parametrize('group, name', CASES)
def test_energy_is_invariant(group, name, shape, dtype):
    """J(g u) = J(u) to rounding where g maps the grid to a grid."""
    energy, u = make(group, dtype), images(shape, dtype=dtype)
    with torch.no_grad():
        value, moved = energy(u, 0.1), energy(MAPS[name](u), 0.1)
    assert (moved - value).abs().max() <= LIMIT[dtype] * value.abs().max()


def test_ordinary_energy_is_not_invariant():
    """The law above is one of the group, and not of the test."""
    energy, u = make(None), images()
    value, moved = energy(u, 0.1), energy(u.rot90(1, (2, 3)), 0.1)
    assert (moved - value).abs().max() > 1e-3 * value.abs().max()


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('group, name', [('C4', 'turn'), ('O2', 'flip')])
def test_gradient_is_equivariant(group, name, dtype):
    """The gradient at g u is g applied to that at u, without a graph, too."""
    energy, u = make(group, dtype), images(dtype=dtype)
    with torch.no_grad():
        expected = MAPS[name](energy.gradient(u, 0.1))
        given = energy.gradient(MAPS[name](u), 0.1)
    assert (given - expected).abs().max() <= LIMIT[dtype]


@first_knots
@pytest.mark.parametrize('convex', [False, True])
@pytest.mark.parametrize('group', FAMILIES)
def test_gradient_is_that_of_the_value(group, convex, first_knot):
    """With and without a graph, the gradient is the one of autograd."""
    energy = make(group, convex=convex, first_knot=first_knot)
    u = images().requires_grad_()
    (expected,) = torch.autograd.grad(energy(u, levels(u)).sum(), u)
    assert torch.allclose(energy.gradient(u, levels(u)), expected)
    with torch.no_grad():
        assert torch.allclose(energy.gradient(u, levels(u)), expected)
        value, gradient = energy.value_and_gradient(u, levels(u))
        assert torch.allclose(value, energy(u, levels(u)))
        assert torch.allclose(gradient, expected)


@first_knots
@pytest.mark.parametrize('group', FAMILIES)
def test_gradient_is_the_limit_of_differences(group, first_knot):
    """Differences of values along a direction converge to the gradient."""
    energy = make(group, first_knot=first_knot)
    u, v = images(), images(seed=1) - 0.5
    with torch.no_grad():
        step = 1e-6
        slope = energy(u + step * v, 0.1) - energy(u - step * v, 0.1)
        expected = (energy.gradient(u, 0.1) * v).sum((1, 2, 3))
        assert torch.allclose(slope / (2 * step), expected, rtol=1e-6)


@first_knots
@pytest.mark.parametrize('group', FAMILIES)
def test_gradient_function_is_the_gradient(group, first_knot):
    """It is that of other images on the same grid, to the same bits."""
    energy = make(group, first_knot=first_knot)
    u, v = images(), images(seed=1)
    gradient = energy.gradient_function(u, levels(u))
    with torch.no_grad():
        assert torch.equal(gradient(v), energy.gradient(v, levels(u)))
    assert not gradient(v).requires_grad


@pytest.mark.parametrize('convex', [True, False])
@pytest.mark.parametrize('group', FAMILIES)
def test_bounds_of_several_levels_are_those_of_each(group, convex):
    """All noise levels of a batch have their bounds by one call."""
    energy, sigma = make(group, convex=convex), levels(images())
    lipschitz, moduli = energy.bounds(sigma)
    for i, level in enumerate(sigma.tolist()):
        assert lipschitz[i] == pytest.approx(energy.gradient_lipschitz(level))
        assert moduli[i] == pytest.approx(energy.weak_convexity(level))


@first_knots
@pytest.mark.parametrize('group', FAMILIES)
def test_hessian_is_the_derivative_of_the_gradient(group, first_knot):
    """The Hessian's product is that of autograd, however it is computed."""
    energy, v = make(group, first_knot=first_knot), images(seed=1)
    u = images().requires_grad_()
    (expected,) = torch.autograd.grad(energy.gradient(u, levels(u)), u, v)
    u = u.detach()
    assert torch.allclose(energy.hessian_product(u, v, levels(u)), expected)
    with torch.no_grad():
        product = energy.hessian_product(u, v, levels(u))
    assert torch.allclose(product, expected)
    assert torch.allclose(energy.linearised(u, levels(u))(v), expected)


@pytest.mark.parametrize('group', FAMILIES)
def test_hessian_is_symmetric(group):
    """<H v, w> = <v, H w>."""
    energy = make(group)
    hessian = energy.linearised(images(), 0.1)
    v, w = images(seed=1), images(seed=2)
    one, other = (hessian(v) * w).sum(), (v * hessian(w)).sum()
    assert torch.isclose(one, other, rtol=1e-12)


@first_knots
@pytest.mark.parametrize('after_step', [False, True])
@pytest.mark.parametrize('convex', [False, True])
@pytest.mark.parametrize('group', FAMILIES)
def test_hessian_is_within_its_bounds(group, convex, after_step, first_knot):
    """Eigenvalues lie from -modulus to the Lipschitz constant, modulus <= 1.

    Whatever the weights are, also after a step of an optimiser.
    """
    energy = make(group, convex=convex, first_knot=first_knot)
    u = images((9, 10), n=1)
    if after_step:
        optimizer = torch.optim.Adam(energy.parameters(), lr=0.3)
        (-energy(u, 0.1).sum()).backward()
        optimizer.step()
    modulus = energy.weak_convexity(0.1)
    lipschitz = energy.gradient_lipschitz(0.1)
    assert modulus <= (0 if convex else 1)
    units = torch.eye(90, dtype=u.dtype).view(90, 1, 9, 10)
    hessian = energy.linearised(u.expand(90, -1, -1, -1), 0.1)(units)
    values = torch.linalg.eigvalsh(hessian.view(90, 90))
    assert values[0] >= -modulus - 1e-10
    assert values[-1] <= lipschitz + 1e-10


@pytest.mark.parametrize('group', FAMILIES)
def test_filters_have_norm_one_at_most(group):
    """The norm of all filters is certified, and the bound is sharp."""
    kernels = make(group, kernel_size=7).filters()[:, 0]
    spectra = torch.fft.rfft2(kernels, s=(397, 397)).abs().square().sum(0)
    assert 0.95 < spectra.max().sqrt() <= 1


@pytest.mark.parametrize('shape', [(7, 7), (7, 12), (30, 9)])
def test_map_to_responses_has_norm_one_at_most(shape):
    """For images of every shape, the boundary included."""
    energy = make('C4', kernel_size=7)
    with torch.no_grad():
        # a profile t^2 / 2 makes the Hessian K^T K
        energy.profiles.slopes += 1e3
        energy.profiles.heights.zero_()
        u = torch.zeros(1, 1, *shape, dtype=torch.float64)
        hessian = energy.linearised(u, 0.1)
        v = images(shape, n=1)
        for _ in range(200):
            v = hessian(v / v.norm())
    assert 0.5 < v.norm() <= 1 + 1e-12


@pytest.mark.parametrize('group', FAMILIES)
def test_constants_do_not_count(group):
    """J(u + c) = J(u)."""
    energy, u = make(group), images()
    assert torch.allclose(energy(u + 3, 0.1), energy(u, 0.1), rtol=1e-9)


def test_energy_is_positive_and_zero_at_constants():
    """Zero is the least value: no direction makes the energy fall for ever."""
    for seed in range(3):
        energy = shaken(make(), seed)
        with torch.no_grad():
            energy.profiles.slopes -= 0.5 * seed
        assert (energy(10 * images(), 0.1) >= 0).all()
        assert energy(torch.ones(1, 1, 9, 9).double(), 0.1).abs() < 1e-20


def test_energy_scales_with_the_unit():
    """With constant knots, J(c u; c sigma) = c^2 J(u; sigma)."""
    energy, u = RidgeEnergy('C4', 5, 8).double(), images()
    assert torch.allclose(energy(u / 9, 0.01), energy(u, 0.09) / 81)


def test_each_image_has_its_noise_level():
    """A batch of levels is what the images have one by one."""
    energy, u = make(), images()
    together = energy.gradient(u, levels(u))
    alone = [energy.gradient(u[i : i + 1], levels(u)[i]) for i in range(2)]
    assert torch.allclose(together, torch.cat(alone))


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('group, name', [('C4', 'turn'), ('O2', 'flip')])
def test_shrinkage_is_equivariant(group, name, dtype):
    """One shrinkage of the responses commutes with the group."""
    energy, u = make(group, dtype), images(dtype=dtype)
    with torch.no_grad():
        result = MAPS[name](energy.shrinkage(u, levels(u)))
        moved = energy.shrinkage(MAPS[name](u), levels(u))
    assert (moved - result).abs().max() <= LIMIT[dtype] * u.abs().max()


@pytest.mark.parametrize('group', [None, 'O2'])
def test_shrinkage_of_a_convex_energy_is_firmly_non_expansive(group):
    """<D u - D v, u - v> >= |D u - D v|^2, as for a proximal."""
    energy, u, v = make(group, convex=True), images(), images(seed=1)
    with torch.no_grad():
        change = energy.shrinkage(u, 0.1) - energy.shrinkage(v, 0.1)
    square = change.square().sum()
    assert (change * (u - v)).sum() >= square * (1 - 1e-9)


@first_knots
@pytest.mark.parametrize('convex', [False, True])
def test_shrinkage_is_the_proximal_at_each_response(convex, first_knot):
    """The residual r = psi'(y) of t solves y + psi'(y) = t."""
    energy = make(None, convex=convex)
    if first_knot is not None:
        # as it starts: random values make slopes of -1, and jumps
        energy = RidgeEnergy(None, 5, 8, convex, first_knot=first_knot)
        energy.double()
    tables = energy.profiles(torch.tensor([0.1, 0.03]).double()).prepared()
    t = torch.linspace(-1, 1, 800).double().view(1, 1, 20, 40)
    t = t * torch.tensor([1.0, 3.0]).double().view(2, 1, 1, 1)
    t = t.expand(2, len(energy.profiles.scales), 20, 40)
    with torch.no_grad():
        r = tables.residual(t)
        slopes = energy.profiles(torch.tensor([0.1]).double()).slopes
        assert float(slopes.min()) > -0.99, 'the proximals have no jumps'
        assert (tables.derivative(t - r) - r).abs().max() <= 1e-12


def test_shrinkage_of_small_responses_is_linear():
    """Where profiles are quadratic, responses are divided by 1 + s."""
    energy = make(None, n_filters=1, kernel_size=3)
    x = images((12, 12), n=1)
    with torch.no_grad():
        tables = energy.profiles(torch.tensor([0.1]).double()).prepared()
        small = 1e-6 * x
        # there, profiles are quadratic: psi = 1/2 s t^2
        s = tables.slope(torch.zeros(1, 1, 1, 1).double()).item()
        result = small - energy.shrinkage(small, 0.1)
        expected = energy.gradient(small, 0.1) / (1 + s)
    assert torch.allclose(result, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize('group', [None, 'O2'])
def test_shrinkage_is_differentiated(group):
    """Its derivatives by the image and by the weights are those of sums."""
    energy, u = make(group, kernel_size=3, n_filters=2), images((5, 5), n=1)

    def function(u, *weights):
        names = dict(energy.named_parameters())
        new = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(
            _Shrinkage(energy),
            {f'energy.{name}': w for name, w in new.items()},
            (u,),
        )

    weights = [w.detach().requires_grad_() for w in energy.parameters()]
    u.requires_grad_()
    assert torch.autograd.gradcheck(
        function, (u, *weights), eps=1e-7, atol=1e-4, fast_mode=True
    )


class _Shrinkage(torch.nn.Module):
    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def forward(self, u):
        return self.energy.shrinkage(u, 0.1)


@pytest.mark.parametrize('convex', [False, True])
def test_largest_slope_bounds_the_hessian(convex):
    """However steep the profiles want to be, L stays below the bound."""
    energy = make(convex=convex, largest_slope=20.0)
    free = make(convex=convex)
    with torch.no_grad():
        for one in (energy, free):
            one.profiles.heights.fill_(1.0)
            one.profiles.slopes[:, 0] = 1.0
    assert energy.gradient_lipschitz(0.1) <= 20 < free.gradient_lipschitz(0.1)
    rebuilt = RidgeEnergy(**energy.architecture['arguments'])
    assert rebuilt.largest_slope == 20


@pytest.mark.parametrize('convex', [False, True])
def test_jumping_profiles_keep_their_bounds_whatever_their_weights(convex):
    """Slopes are at least -1, or 0, and derivatives at least 0."""
    energy = make(convex=convex, first_knot=0.02)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for size in (0.1, 1.0, 30.0):
            for weight in energy.profiles.parameters():
                noise = torch.randn(weight.shape, generator=generator)
                weight += (size if weight.shape[1] == 40 else 0.3) * noise
            splines = energy.profiles(torch.tensor([0.03, 0.5]).double())
            assert splines.slopes.min() >= (0 if convex else -1)
            assert splines.prepared().values.min() >= -1e-12
            modulus = energy.weak_convexity(0.03)
            assert modulus == 0 if convex else 0.5 < modulus <= 1


def test_a_jump_leaves_the_slopes_behind_it():
    """At the start, the derivative jumps, then falls to zero."""
    energy = RidgeEnergy(None, 5, 8, first_knot=0.05).double()
    noise = 0.1 * energy.profiles.usual
    t = noise * torch.tensor([0.0, 0.05, 1.0, 3.0, 20.0]).double()
    with torch.no_grad():
        tables = energy.profiles(torch.tensor([0.1]).double()).prepared()
        values = tables.derivative(t.expand(1, 8, 1, 5))[0, 0, 0] / noise
        slopes = tables.slope(t.expand(1, 8, 1, 5))[0, 0, 0]
        assert values[0] == 0 and 1.4 < values[1] < 1.7
        assert 0.5 < values[2] < values[1] and values[3:].abs().max() < 1e-9
        assert slopes[0] > 20 and -1 < slopes[2] < -0.5
        before = slopes.clone()
        # as when a training makes the jump larger
        energy.profiles.values += 1.0
        tables = energy.profiles(torch.tensor([0.1]).double()).prepared()
        slopes = tables.slope(t.expand(1, 8, 1, 5))[0, 0, 0]
    assert slopes[0] > 2 * before[0]
    assert torch.isclose(slopes[2], before[2], rtol=1e-9)


@pytest.mark.parametrize('dtype', DTYPES)
def test_tables_interpolate_between_their_knots(dtype):
    """The derivative is linear between knots, and psi is its integral."""
    slopes = torch.tensor([[[9.0, -1.0, -0.5, 0.25, 0.0]]], dtype=dtype)
    scales = torch.tensor([[2.0]], dtype=dtype)
    tables = profiles.Splines(scales, slopes, 0.5, 0.1).prepared()
    # knots of alpha t, and those of t
    knots = np.array([0.0, 0.05, 0.55, 1.05, 1.55, 4.0]) / 2
    expected = np.array([0.0, 0.45, -0.05, -0.3, -0.175, -0.175]) / 2
    t = torch.linspace(-1.9, 1.9, 3801, dtype=dtype).view(1, 1, 1, -1)
    values = tables.derivative(t)[0, 0, 0].double().numpy()
    t64 = t[0, 0, 0].double().numpy()
    odd = np.interp(abs(t64), knots, expected)
    limit = 1e-5 if dtype == torch.float32 else 1e-12
    assert abs(values - np.sign(t64) * odd).max() < limit
    positive = t64 >= 0
    integral = np.cumsum(odd[positive]) - 0.5 * odd[positive]
    own = tables.value(t)[0, 0, 0].double().numpy()[positive]
    assert abs(own - 1e-3 * integral).max() < 1e-4 * abs(own).max()
    quick = tables.quick_value(t.clone()).double()
    assert torch.allclose(quick, tables.value(t).sum().double(), rtol=1e-4)


def test_channels_are_summed():
    """The energy of two channels is the sum of those of each."""
    u = images(channels=2)
    two, one = make(in_channels=2), make()
    parts = one(u[:, :1], levels(u)) + one(u[:, 1:], levels(u))
    assert torch.allclose(two(u, levels(u)), parts)


def test_large_images_are_swept_in_pieces(monkeypatch):
    """The result does not depend on the pieces."""
    from odl_equivariant.nn.energies import _sweeps

    energy, u = make(), images((20, 23))
    with torch.no_grad():
        whole = energy.gradient(u, levels(u))
        monkeypatch.setattr(_sweeps, '_PIECE', 8 * 23 * 3)
        pieces = energy.gradient(u, levels(u))
        v = images((20, 23), seed=1)
        product = energy.linearised(u, levels(u))(v)
    assert torch.allclose(pieces, whole)
    expected = energy.hessian_product(u, v, levels(u))
    assert torch.allclose(product, expected)


def test_gradient_can_be_differentiated_by_the_weights():
    """Derivatives of the gradient by filters and profiles are right."""
    energy, u, v = make(), images(n=1), images(n=1, seed=1)
    total = (energy.gradient(u, 0.1) * v).sum()
    slopes = torch.autograd.grad(total, list(energy.parameters()))
    generator = torch.Generator().manual_seed(0)
    for parameter, slope in zip(energy.parameters(), slopes, strict=True):
        change = torch.randn(parameter.shape, generator=generator).double()
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-7 * change
                ends.append((energy.gradient(u, 0.1) * v).sum())
                parameter -= sign * 1e-7 * change
        expected = (ends[0] - ends[1]) / 2e-7
        assert torch.isclose((slope * change).sum(), expected, rtol=1e-4)


def test_changed_weights_are_noticed():
    """Filters that were kept are not used with other weights."""
    energy, u = make(), images()
    with torch.no_grad():
        before = energy(u, 0.1)
        energy.kernels.data[0] *= 5
        after = energy(u, 0.1)
        fresh = copy.deepcopy(energy)
        fresh._normalised = filters.Normalised()
    assert not torch.allclose(before, after)
    assert torch.allclose(after, fresh(u, 0.1).detach(), rtol=1e-12)


@first_knots
@pytest.mark.parametrize('group', FAMILIES)
@pytest.mark.parametrize('dtype', DTYPES)
def test_energy_is_saved_and_loaded(group, dtype, tmp_path, first_knot):
    """A loaded energy has the same values and the same architecture."""
    energy = make(group, dtype, shared_profile=True, first_knot=first_knot)
    models.save(energy, tmp_path / 'j.safetensors', value_range=(0, 1))
    loaded = models.load(tmp_path / 'j.safetensors')
    u = images(dtype=dtype)
    with torch.no_grad():
        assert torch.equal(loaded(u, 0.1), energy(u, 0.1))
    assert loaded.architecture == energy.architecture
    assert loaded.value_range == (0.0, 1.0)


def test_shipped_sizes_have_few_weights():
    """The energies that are trained have at most 15 000 weights."""
    for group in ('C4', None):
        energy = RidgeEnergy(group)
        assert sum(p.numel() for p in energy.parameters()) <= 15_000


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'kernel_size': 4}, '`kernel_size` must be odd'),
        ({'n_filters': 10}, 'multiple of the 4 filters'),
        ({'group': 'O2', 'n_filters': 9}, 'multiple of the 2 filters'),
        ({'group': 'K4'}, 'unknown group'),
        ({'first_knot': 0.0}, '`first_knot` must be a finite'),
        ({'first_knot': 0.3}, '`first_knot` must be at most'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    """The error says what was expected."""
    with pytest.raises(ValueError, match=message):
        RidgeEnergy(**arguments)


@pytest.mark.parametrize(
    'shape, sigma, error, message',
    [
        ((1, 1, 4, 20), 0.1, ValueError, 'smaller than the filters'),
        ((1, 2, 9, 9), 0.1, ValueError, 'must have the shape'),
        ((1, 1, 9, 9), None, TypeError, 'noise level'),
        ((1, 1, 9, 9), 0.0, ValueError, '`sigma` must be positive'),
        ((1, 1, 9, 9), -1.0, ValueError, '`sigma` must be positive'),
    ],
)
def test_wrong_inputs_are_refused(shape, sigma, error, message):
    """Shapes and noise levels are checked before any work."""
    energy = make()
    for method in (energy, energy.gradient, energy.linearised):
        with pytest.raises(error, match=message):
            method(torch.zeros(shape, dtype=torch.float64), sigma)


def test_wrong_spaces_are_refused():
    """Cells of a turned image are those of the image, so they are square."""
    energy = make()
    energy.check_space(odl.uniform_discr([0, 0], [1, 1], (9, 9)))
    for space, message in (
        (odl.uniform_discr([0, 0], [2, 1], (9, 9)), 'square cells'),
        (odl.uniform_discr([0, 0], [1, 1], (4, 4)), 'smaller'),
        (odl.uniform_discr(0, 1, 9), '2 axes'),
        (odl.uniform_discr([0, 0], [1, 1], (9, 9), 'complex64'), 'channel'),
    ):
        with pytest.raises(ValueError, match=message):
            energy.check_space(space)


def test_bounds_need_a_noise_level():
    """No bound is told for no noise level."""
    with pytest.raises(TypeError, match='sigma'):
        make().weak_convexity()
    with pytest.raises(ValueError, match='sigma'):
        make().gradient_lipschitz(-1)


@pytest.fixture
def two_threads():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


def test_tables_have_the_same_gradients_each_time(two_threads):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(15, 21, generator=generator).requires_grad_()
    index = torch.randint(0, 315, (2, 250, 300), generator=generator)
    weights = torch.randn(index.shape, generator=generator)

    def gradient():
        result = (profiles._taken(table, index) * weights).sum()
        return torch.autograd.grad(result, table)[0]

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(10))
    expected = torch.zeros(315, dtype=torch.float64)
    expected.index_add_(0, index.flatten(), weights.double().flatten())
    torch.testing.assert_close(
        first.flatten().double(), expected, rtol=1e-4, atol=1e-3
    )
