# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of denoisers that minimise an energy."""

import pytest
import torch

from odl_equivariant import models
from odl_equivariant.functionals import ConvergenceWarning
from odl_equivariant.nn import Energy, EnergyDenoiser, RidgeEnergy


class Quadratic(Energy):
    """Energy whose minimiser is known: c / 2 |u|^2."""

    def __init__(self, factor=3.0):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor).double())

    def forward(self, x, sigma=None):
        return 0.5 * self.factor * x.square().flatten(1).sum(1)

    def gradient_lipschitz(self, sigma=None):
        return abs(self.factor.item())

    def weak_convexity(self, sigma=None):
        return max(0.0, -self.factor.item())


def make(convex=False, group='C4', **arguments):
    energy = RidgeEnergy(group, 5, 8, convex).double()
    arguments.setdefault('tolerance', 1e-10)
    arguments.setdefault('maxiter', 5000)
    return EnergyDenoiser(energy, **arguments).eval()


def images(n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 12, 13, generator=generator).double()


SIGMA = torch.tensor([0.1, 0.04], dtype=torch.float64)


def objective(denoiser, u, x, sigma):
    square = (u - x).square().flatten(1).sum(1)
    return 0.5 * square + denoiser.weight * denoiser.energy(u, sigma)


@pytest.mark.parametrize('convex', [False, True])
def test_result_is_stationary(convex):
    """The gradient of the objective is zero, to the tolerance."""
    denoiser, x = make(convex), images()
    u = denoiser(x, sigma=SIGMA)
    rest = u - x + denoiser.energy.gradient(u, SIGMA)
    limit = 1e-10 * SIGMA * (12 * 13) ** 0.5
    assert (rest.flatten(1).norm(dim=1) <= 1.01 * limit).all()


@pytest.mark.parametrize('convex', [False, True])
def test_result_is_a_minimiser(convex):
    """No other image near or far has a smaller objective."""
    denoiser, x = make(convex), images()
    with torch.no_grad():
        u = denoiser(x, sigma=SIGMA)
        least = objective(denoiser, u, x, SIGMA)
        for size in (1e-3, 0.1, 1.0):
            for seed in range(3):
                other = u + size * (images(seed=seed + 1) - 0.5)
                assert (objective(denoiser, other, x, SIGMA) >= least).all()


def test_denoiser_is_equivariant():
    """D(g x) = g D(x), to twice the tolerance of the solver."""
    denoiser, x = make(True, tolerance=1e-6), images()
    with torch.no_grad():
        expected = denoiser(x, sigma=0.1).rot90(1, (2, 3))
        turned = denoiser(x.rot90(1, (2, 3)), sigma=0.1)
    error = (turned - expected).flatten(1).norm(dim=1)
    assert (error <= 2e-6 * 0.1 * (12 * 13) ** 0.5).all()


def test_convex_denoiser_is_firmly_non_expansive():
    """|D x - D y|^2 <= <D x - D y, x - y>, as for every proximal."""
    denoiser, x, y = make(True), images(), images(seed=1)
    with torch.no_grad():
        change = denoiser(x, sigma=0.1) - denoiser(y, sigma=0.1)
    assert change.square().sum() <= (change * (x - y)).sum() + 1e-10


def test_known_minimiser_is_found():
    """For J = c / 2 |u|^2 and the weight w, D(x) = x / (1 + w c)."""
    denoiser = EnergyDenoiser(Quadratic(), 0.5, tolerance=1e-12).eval()
    x = images()
    assert torch.allclose(denoiser(x), x / 2.5)


@pytest.mark.parametrize('convex', [False, True])
def test_derivative_is_that_of_differences(convex):
    """Implicit derivatives by x and by the weights are right."""
    denoiser, x, v = make(convex), images(), images(seed=1) - 0.5
    x.requires_grad_()
    weights = list(denoiser.parameters())
    total = (denoiser(x, sigma=SIGMA) * v).sum()
    given = torch.autograd.grad(total, [x, *weights])
    generator = torch.Generator().manual_seed(0)
    for value, slope in zip([x, *weights], given, strict=True):
        change = torch.randn(value.shape, generator=generator).double()
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                value += sign * 1e-7 * change
                ends.append((denoiser(x, sigma=SIGMA) * v).sum())
                value -= sign * 1e-7 * change
        expected = (ends[0] - ends[1]) / 2e-7
        error = abs((slope * change).sum() - expected)
        assert error <= 1e-3 * abs(expected) + 1e-6


def test_derivative_is_that_of_many_steps():
    """Autograd through steps to convergence has the same derivatives."""
    implicit = make(True)
    unrolled = EnergyDenoiser(implicit.energy, steps=60)
    x, v = images(), images(seed=1) - 0.5
    assert torch.allclose(implicit(x, SIGMA), unrolled(x, SIGMA), atol=1e-8)
    weights = list(implicit.parameters())
    one, other = (
        torch.autograd.grad((denoiser(x, SIGMA) * v).sum(), weights)
        for denoiser in (implicit, unrolled)
    )
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


def test_one_step_is_gradient_descent():
    """With steps=1, D(x) = x - grad J(x) / (1 + L)."""
    denoiser, x = make(steps=1), images()
    energy = denoiser.energy
    step = 1 / (1 + energy.gradient_lipschitz(0.1))
    expected = x - step * energy.gradient(x, 0.1)
    assert torch.allclose(denoiser(x, sigma=0.1), expected)


def test_training_lowers_the_loss():
    """Some steps of Adam on the implicit derivative denoise better."""
    torch.manual_seed(0)
    energy = RidgeEnergy('C4', 5, 8)
    denoiser = EnergyDenoiser(energy).train()
    optimizer = torch.optim.Adam(denoiser.parameters(), 1e-2)
    place = torch.linspace(0, 1, 16)
    truth = (place[:, None] + 0.5 * place > 0.6).float()[None, None]
    x = truth + 0.1 * torch.randn(2, 1, 16, 16)
    losses = []
    for _ in range(8):
        loss = (denoiser(x, sigma=0.1) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize('convex', [False, True])
def test_training_starts_from_shrunk_responses(convex):
    """That saves gradients, and ends at the same minimiser."""
    energy = RidgeEnergy('C4', 5, 8, convex, first_knot=0.05).double()
    denoiser, x = EnergyDenoiser(energy, training_maxiter=1), images()
    with torch.no_grad():
        denoiser.train()(x, sigma=SIGMA)
        near = denoiser.residual
        denoiser.eval().maxiter = 1
        with pytest.warns(ConvergenceWarning):
            denoiser(x, sigma=SIGMA)
        assert near.sum() < 0.8 * denoiser.residual.sum()
        denoiser.tolerance = denoiser.training_tolerance = 1e-9
        denoiser.maxiter = denoiser.training_maxiter = 5000
        alone = denoiser(x, sigma=SIGMA)
        assert torch.allclose(denoiser.train()(x, sigma=SIGMA), alone)


def test_training_is_no_part_of_the_architecture():
    """A later stage of a training may be more accurate than an earlier one."""
    first = make(training_memory=4, training_tolerance=0.1)
    assert first.architecture == make(training_maxiter=7).architecture


@pytest.mark.parametrize('steps', [None, 3])
def test_an_empty_batch_stays_empty(steps):
    """A batch without images is denoised to one."""
    energy = RidgeEnergy(n_filters=8, kernel_size=5)
    denoiser = EnergyDenoiser(energy, steps=steps).eval()
    empty = torch.zeros(0, 1, 12, 12)
    assert denoiser(empty, torch.zeros(0)).shape == empty.shape


def test_solver_that_stops_short_warns():
    """The warning has the residual; in training there is none."""
    denoiser, x = make(maxiter=2), images()
    with pytest.warns(ConvergenceWarning, match='relative residual 0'):
        denoiser(x, sigma=0.1)
    assert denoiser.n_iterations == 2
    assert (denoiser.residual > 1e-10).all()
    denoiser.train().training_maxiter = 2
    denoiser(x, sigma=0.1)


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused(value):
    """The error comes before any work."""
    x = images()
    x[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match='must be finite'):
        make()(x, sigma=0.1)


def test_largest_weight_is_named():
    """Beyond 1 / modulus the minimiser need not be unique: an error."""
    denoiser = EnergyDenoiser(Quadratic(-0.5), weight=2.5)
    with pytest.raises(ValueError, match='largest weight is 2'):
        denoiser(images())


def test_unknown_bounds_are_refused():
    """An energy of unknown convexity has no such denoiser."""

    class Unknown(Energy):
        def forward(self, x, sigma=None):
            return x.flatten(1).sum(1)

    with pytest.raises(ValueError, match='must be known'):
        EnergyDenoiser(Unknown())(images())


def test_wrong_arguments_are_refused():
    """Errors name the argument."""
    with pytest.raises(TypeError, match='`energy`'):
        EnergyDenoiser(torch.nn.Identity())
    for name in ('weight', 'tolerance', 'maxiter', 'steps'):
        with pytest.raises(ValueError, match=name):
            make(**{name: 0})
    with pytest.raises(TypeError, match='sigma'):
        make()(images())
    with pytest.raises(ValueError, match='would be lost'):
        EnergyDenoiser(Quadratic())(images(), sigma=0.1)


def test_denoiser_is_saved_and_loaded(tmp_path):
    """A loaded denoiser has the same results and architecture."""
    denoiser = make(weight=0.5, tolerance=1e-4, steps=3)
    models.save(denoiser, tmp_path / 'd.safetensors')
    loaded = models.load(tmp_path / 'd.safetensors')
    with torch.no_grad():
        assert torch.equal(
            loaded(images(), sigma=0.1), denoiser(images(), sigma=0.1)
        )
    assert loaded.architecture == denoiser.architecture
    assert (loaded.weight, loaded.steps) == (0.5, 3)
