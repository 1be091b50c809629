# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of ridge energies of volumes."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_invariant
from odl_equivariant.functionals import LearnedRegularizer
from odl_equivariant.nn import EnergyDenoiser, RidgeEnergy
from odl_equivariant.nn.energies import _boundary, _sweeps
from odl_equivariant.nn.steerable.space import elements_of, group_in_space

impl = simple_fixture('impl', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', [torch.float64, torch.float32])
convex = simple_fixture('convex', [False, True])
LIMIT = {torch.float32: 1e-6, torch.float64: 1e-12}

CASES = [
    {'group': 'O', 'n_filters': 24},
    {'group': 'Oh', 'n_filters': 48},
    {'group': 'C4', 'axis': 2, 'n_filters': 4},
    {'group': 'D4h', 'axis': 0, 'n_filters': 16},
    {'group': None, 'dimension': 3, 'n_filters': 5},
]
each_group = pytest.mark.parametrize('arguments', CASES[:4], ids=str)
each_case = pytest.mark.parametrize('arguments', CASES[::2], ids=str)


def make(dtype=torch.float64, kernel_size=3, **arguments):
    """Return an energy with random weights, as no training would make it."""
    arguments = arguments or CASES[0]
    energy = RidgeEnergy(kernel_size=kernel_size, **arguments).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in energy.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += 0.1 * noise.to(parameter.dtype)
    return energy


def volumes(shape=(6, 7, 5), n=2, dtype=torch.float64, seed=0):
    """Return random volumes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, *shape, generator=generator).to(dtype)


def moved(x, element):
    """Return volumes turned by a signed permutation of their axes."""
    source = np.abs(element).argmax(1)
    signs = element[np.arange(3), source]
    x = x.permute(0, 1, *(2 + int(i) for i in source))
    return x.flip([2 + i for i in range(3) if signs[i] < 0])


def elements(energy):
    """Return all elements of the group of an energy."""
    return elements_of(group_in_space(energy.group, energy.axis))


@each_group
@pytest.mark.parametrize('shape', [(6, 6, 6), (5, 6, 7)])
@torch.no_grad()
def test_energy_is_invariant(arguments, shape, dtype):
    """J(g u) = J(u) to rounding for each element of the group."""
    energy, u = make(dtype, **arguments), volumes(shape, dtype=dtype)
    value = energy(u, 0.1)
    for element in elements(energy):
        gap = (energy(moved(u, element), 0.1) - value).abs().max()
        assert gap <= LIMIT[dtype] * value.abs().max()


@torch.no_grad()
def test_ordinary_energy_is_not_invariant():
    """The law above is one of the group, and not of the test."""
    energy, u = make(**CASES[4]), volumes()
    value = energy(u, 0.1)
    for element in elements_of('O')[1:]:
        gap = (energy(moved(u, element), 0.1) - value).abs().max()
        assert gap > 1e-3 * value.abs().max()


@each_group
@torch.no_grad()
def test_gradient_is_equivariant(arguments, dtype):
    """The gradient at g u is g applied to that at u."""
    energy, u = make(dtype, **arguments), volumes(dtype=dtype)
    gradient = energy.gradient(u, 0.1)
    for element in elements(energy):
        given = energy.gradient(moved(u, element), 0.1)
        assert (given - moved(gradient, element)).abs().max() <= LIMIT[dtype]


@each_case
def test_gradient_is_that_of_the_value(arguments, convex):
    """With and without a graph, the gradient is the one of autograd."""
    energy = make(**arguments, convex=convex)
    u, levels = volumes().requires_grad_(), torch.tensor([0.1, 0.03]).double()
    (expected,) = torch.autograd.grad(energy(u, levels).sum(), u)
    assert torch.allclose(energy.gradient(u, levels), expected)
    with torch.no_grad():
        assert torch.allclose(energy.gradient(u, levels), expected)
        value, gradient = energy.value_and_gradient(u, levels)
        assert torch.allclose(value, energy(u, levels))
        assert torch.allclose(gradient, expected)
        step, v = 1e-6, volumes(seed=1) - 0.5
        slope = energy(u + step * v, levels) - energy(u - step * v, levels)
        expected = (expected * v).flatten(1).sum(1)
        assert torch.allclose(slope / (2 * step), expected, rtol=1e-6)


@each_case
def test_hessian_is_the_derivative_of_the_gradient(arguments):
    """The Hessian's product is that of autograd, however it is computed."""
    energy, v = make(**arguments), volumes(seed=1)
    u = volumes().requires_grad_()
    (expected,) = torch.autograd.grad(energy.gradient(u, 0.1), u, v)
    u = u.detach()
    assert torch.allclose(energy.hessian_product(u, v, 0.1), expected)
    assert torch.allclose(energy.linearised(u, 0.1)(v), expected)


@each_case
def test_hessian_is_within_its_bounds(arguments, convex):
    """Eigenvalues lie from -modulus to the Lipschitz constant."""
    energy, u = make(**arguments, convex=convex), volumes((4, 5, 3), n=1)
    modulus = energy.weak_convexity(0.1)
    assert modulus <= (0 if convex else 1)
    units = torch.eye(60, dtype=u.dtype).view(60, 1, 4, 5, 3)
    hessian = energy.linearised(u.expand(60, -1, -1, -1, -1), 0.1)(units)
    hessian = hessian.view(60, 60)
    assert torch.allclose(hessian, hessian.T, rtol=0, atol=1e-12)
    values = torch.linalg.eigvalsh(hessian)
    assert values[0] >= -modulus - 1e-10
    assert values[-1] <= energy.gradient_lipschitz(0.1) + 1e-10


@each_case
def test_filters_have_norm_one_at_most(arguments):
    """The norm of all filters is certified, and the bound is sharp."""
    kernels = make(**arguments).filters()[:, 0]
    spectra = torch.fft.rfftn(kernels, 3 * [61], (1, 2, 3)).abs().square()
    assert 0.94 < spectra.sum(0).max().sqrt() <= 1
    assert kernels.mean((1, 2, 3)).abs().max() < 1e-15


@each_group
def test_an_orbit_is_closed(arguments):
    """Each element of a group permutes the filters of an orbit."""
    energy = make(**arguments)
    filters = energy.filters().detach()
    for element in elements(energy):
        image = moved(filters, element)
        gaps = (image[:, None] - filters[None]).flatten(2).norm(dim=2)
        assert gaps.min(1).values.max() < 1e-12


@pytest.mark.parametrize('shape', [(5, 5, 5), (5, 9, 6)])
@torch.no_grad()
def test_map_to_responses_has_norm_one_at_most(shape):
    """For volumes of every shape, the boundary included."""
    energy = make(kernel_size=5)
    # a profile t^2 / 2 makes the Hessian K^T K
    energy.profiles.slopes += 1e3
    energy.profiles.heights.zero_()
    hessian = energy.linearised(torch.zeros(1, 1, *shape).double(), 0.1)
    v = volumes(shape, n=1)
    for _ in range(50):
        v = hessian(v / v.norm())
    assert 0.3 < v.norm() <= 1 + 1e-12


def test_extension_is_an_isometry_up_to_its_smoothing():
    """The transpose of the extension is its transpose, and E keeps norms."""
    u = volumes((4, 6, 5))
    matrices = _boundary.extension(u.shape[2:], 1, 2, u)
    extended = _boundary.extend(u, matrices)
    y = torch.rand_like(extended)
    back = _boundary.extended_transpose(y, matrices)
    assert torch.isclose((extended * y).sum(), (u * back).sum())
    alone = [(fold, torch.zeros_like(rest)) for fold, rest in matrices]
    assert torch.isclose(_boundary.extend(u, alone).norm(), u.norm())
    assert extended.norm() <= u.norm()


def test_responses_are_correlations():
    """Filters of volumes are those of `conv3d`, and their transpose."""
    kernels = torch.randn(6, 1, 3, 3, 3).double()
    u = volumes()
    responses = _sweeps.correlate(u, kernels)
    expected = torch.nn.functional.conv3d(u, kernels)
    torch.testing.assert_close(responses, expected)
    y = torch.randn_like(responses)
    expected = torch.nn.functional.conv_transpose3d(y, kernels)
    torch.testing.assert_close(_sweeps.transposed(y, kernels), expected)


def test_derivatives_are_those_of_autograd():
    """First and second derivatives of both maps pass gradcheck."""
    kernels = torch.randn(2, 1, 3, 3, 3).double().requires_grad_()
    u = torch.rand(2, 1, 3, 4, 3).double().requires_grad_()
    y = torch.rand(2, 2, 1, 2, 1).double().requires_grad_()
    for function, x in ((_sweeps.correlate, u), (_sweeps.transposed, y)):
        assert torch.autograd.gradcheck(function, (x, kernels))
        assert torch.autograd.gradgradcheck(function, (x, kernels))


def test_large_volumes_are_swept_in_pieces(monkeypatch):
    """The result does not depend on the pieces."""
    energy, u, v = make(), volumes((9, 6, 7)), volumes((9, 6, 7), seed=1)
    with torch.no_grad():
        whole = energy.gradient(u, 0.1)
        monkeypatch.setattr(_sweeps, '_PIECE', 24 * 42 * 3)
        assert torch.allclose(energy.gradient(u, 0.1), whole)
        product = energy.linearised(u, 0.1)(v)
    assert torch.allclose(product, energy.hessian_product(u, v, 0.1))


@torch.no_grad()
def test_shrinkage_and_denoiser_turn():
    """What denoises by the energy commutes with the group."""
    energy, u = make(convex=True, **CASES[0]), volumes((5, 5, 5))
    denoiser = EnergyDenoiser(energy, tolerance=1e-10, maxiter=2000).eval()
    for element in elements(energy)[1::7]:
        for function, limit in (
            (energy.shrinkage, 1e-12),
            (denoiser, 1e-9),
        ):
            expected = moved(function(u, 0.1), element)
            given = function(moved(u, element), 0.1)
            assert (given - expected).abs().max() < limit


# --- In spaces, files, errors --- #


def cube(dtype='float64', impl='numpy', n=6, sides=(1, 1, 1)):
    """Return a space of volumes."""
    ends = [n * side / 2 for side in sides]
    return odl.uniform_discr(
        [-end for end in ends], ends, 3 * (n,), dtype, impl=impl
    )


@pytest.mark.parametrize('kind', ['float64', 'complex128'])
def test_regulariser_of_a_space_is_invariant(kind, impl):
    """As a functional of real and complex volumes it is invariant."""
    space = cube(kind, impl)
    energy = make(**CASES[0], in_channels=1 + space.is_complex)
    functional = LearnedRegularizer(space, energy, sigma=0.1)
    for action in group_actions(space, 'O')[1::7]:
        assert_invariant(functional, action, tol=1e-12)


def test_solver_of_odl_takes_the_energy(impl):
    """Steepest descent of fit and energy arrives at the minimiser."""
    space = cube(impl=impl)
    energy = make(convex=True, **CASES[0])
    functional = LearnedRegularizer(space, energy, sigma=0.1)
    u = volumes((6, 6, 6), n=1)
    y = space.element(u[0, 0].numpy())
    fit = 0.5 * odl.functionals.L2NormSquared(space).translated(y)
    objective = fit + functional
    step = 1 / (1 + energy.gradient_lipschitz(0.1))
    x = y.copy()
    odl.solvers.steepest_descent(objective, x, step, maxiter=200)
    denoiser = EnergyDenoiser(energy, tolerance=1e-10, maxiter=2000).eval()
    with torch.no_grad():
        expected = denoiser(u, 0.1)[0, 0].numpy()
    assert np.abs(np.asarray(x.asarray()) - expected).max() < 1e-4
    assert functional(x) < functional(y)


@pytest.mark.parametrize('arguments', CASES, ids=str)
def test_energy_is_saved_and_loaded(arguments, tmp_path):
    """A loaded energy has the same values and the same architecture."""
    energy, u = make(torch.float32, **arguments), volumes(dtype=torch.float32)
    models.save(energy, tmp_path / 'j.safetensors')
    loaded = models.load(tmp_path / 'j.safetensors')
    with torch.no_grad():
        assert torch.equal(loaded(u, 0.1), energy(u, 0.1))
    assert loaded.architecture == energy.architecture


def test_architectures_of_the_plane_stay_what_they_are():
    """For images, files list neither an axis nor a dimension."""
    for group in ('C4', None):
        arguments = RidgeEnergy(group).architecture['arguments']
        assert not {'axis', 'dimension'} & arguments.keys()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'group': 'O', 'n_filters': 30}, 'multiple of the 24 filters'),
        ({'group': 'O', 'axis': 0}, 'has no axis'),
        ({'group': 'I'}, 'does not map cells to cells'),
        ({'group': 'SO2', 'dimension': 3}, 'is that of the group, 2'),
        ({'group': None, 'axis': 1}, 'take dimension=3'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    """The error says what was expected."""
    with pytest.raises(ValueError, match=message):
        RidgeEnergy(**arguments)


def test_wrong_spaces_are_refused():
    """The error says which group or dimension fits."""
    energy = make()
    energy.check_space(cube())
    for space, message in (
        (odl.rn((9, 9)), '3 axes.*one of the plane'),
        (cube(sides=(1, 1, 2)), "'D4h' with reflections, with axis=2"),
        (cube(n=2), 'smaller'),
        (cube('complex64'), 'in_channels=2'),
    ):
        with pytest.raises(ValueError, match=message):
            energy.check_space(space)
    with pytest.raises(ValueError, match="group='O', or group='C4' with"):
        RidgeEnergy('C4').check_space(cube())
    with pytest.raises(ValueError, match='make it with dimension=3'):
        RidgeEnergy(None).check_space(cube())
    make(group='D4h', axis=2, n_filters=16).check_space(cube(sides=(1, 1, 2)))
    with pytest.raises(ValueError, match=r'shape \(N, 1, n, m, l\)'):
        energy(torch.zeros(1, 1, 8, 8).double(), 0.1)
