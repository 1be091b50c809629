# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of plug-and-play by half-quadratic splitting."""

import math

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from odl.functionals import L1Norm, L2NormSquared
from torch import nn

from odl_equivariant.actions import Rotation
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, tensor_dtype
from odl_equivariant.functionals import (
    ConvergenceWarning,
    LearnedProximal,
    LearnedRegularizer,
    LeastSquares,
)
from odl_equivariant.nn import Energy, EquivariantProximal, OrdinaryProximal
from odl_equivariant.solvers import half_quadratic_splitting
from tests.solvers.functionals import Quadratic, Wiggly, spaces

ONLY_IMAGE = {'gradient': False, 'memory': 0}

space_name = simple_fixture('space_name', list(spaces()))


@pytest.fixture
def space(space_name, backend):
    """Return a space of one of the kinds."""
    return spaces(backend)[space_name]


class Shrink(nn.Module):
    """The exact denoiser of the prior of half the squared norm."""

    def __init__(self):
        super().__init__()
        self.levels = []

    def forward(self, x, sigma):
        self.levels.append(float(sigma))
        return x / (1 + sigma**2)


class HalfSquare(Energy):
    """The energy of the same prior, and of a noise level."""

    noise_level = True

    def forward(self, x, sigma=None):
        return 0.5 * sigma**2 * x.square().flatten(1).sum(1)

    def gradient_lipschitz(self, sigma=None):
        return sigma**2

    def weak_convexity(self, sigma=None):
        return 0.0


def split(f, g, *args, **kwargs):
    """Return the result from zero as a tensor, and the report."""
    x = g.domain.zero()
    report = half_quadratic_splitting(x, f, g, *args, **kwargs)
    return as_tensor(x), report


# --- The iteration --- #


def test_iteration_is_that_of_the_docstring(space, rng):
    """The data fit at sigma^2 / weight, then the denoiser at sigma."""
    g = Quadratic(space, rng)
    z = g.domain.zero()
    for level in (1.0, 0.5, 0.25):
        u = g.proximal(level**2 / 0.3)(z)
        z = u / (1 + level**2)
    arguments = (Shrink(), g, 1.0, 0.25, 3, 0.3)
    ours, report = split(*arguments)
    torch.testing.assert_close(ours, as_tensor(z))
    fitted, _ = split(*arguments, result='fitted')
    torch.testing.assert_close(fitted, as_tensor(u))
    np.testing.assert_allclose(
        report.steps, [1 / 0.3, 0.25 / 0.3, 0.0625 / 0.3]
    )
    gap = as_tensor(z - u).square().sum() * g.cell
    assert report.residuals[-1] == pytest.approx(float(gap) ** 0.5, rel=1e-4)


def test_all_denoisers_of_one_prior_are_equal(rng):
    """Module, learned proximals, energy and functional: one result."""
    space = odl.uniform_discr([0, 0], [1, 2], (3, 2))
    g = Quadratic(space, rng)
    energy = HalfSquare()
    found = [
        split(f, g, 0.8, 0.1, 5, 0.3)[0]
        for f in (
            Shrink(),
            LearnedProximal(space, Shrink()),
            LearnedProximal(space, Shrink(), parameter='variance'),
            1.0 * LearnedProximal(space, Shrink()),
            LearnedRegularizer(space, energy, sigma=3.0, tol=1e-10),
            0.5 * L2NormSquared(space),
        )
    ]
    assert found[0].norm() > 0.1
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-6, atol=1e-8)


def test_multiples_and_translations_keep_the_meaning(rng):
    """A multiple of a learned proximal has a multiple of the level."""
    space = odl.rn(4)
    g = Quadratic(space, rng)
    plain, _ = split(Shrink(), g, 0.8, 0.2, 3)
    for parameter, factor in (('deviation', 0.5), ('variance', 0.25)):
        f = LearnedProximal(space, Shrink(), parameter=parameter)
        f = factor * f.translated(space.zero())
        other, _ = split(f, g, 1.6, 0.4, 3, 4.0)
        torch.testing.assert_close(other, plain)


def test_levels_are_in_the_unit_of_the_images(rng):
    """In another unit, with the scale, images are multiplied by it."""
    network = OrdinaryProximal(channels=4, noise_level=True, **ONLY_IMAGE)
    space = odl.rn((4, 4))
    data = space.element(rng.normal(size=(4, 4)))
    one, other = (
        split(
            network.double(),
            L2NormSquared(space).translated(unit * data),
            0.5 * unit,
            0.1 * unit,
            3,
            # a weight has the unit of a squared image
            0.2 * unit**2,
            scale=unit,
        )[0]
        for unit in (1.0, 255.0)
    )
    assert one.norm() > 0.1
    torch.testing.assert_close(other / 255, one)


def test_levels_are_geometric(rng):
    """They lie evenly on a logarithmic scale, both ends among them."""
    module = Shrink()
    g = Quadratic(odl.rn(2), rng)
    split(module, g, 1.0, 0.01, 5)
    np.testing.assert_allclose(
        module.levels, [1, 10**-0.5, 0.1, 10**-1.5, 0.01], rtol=1e-6
    )


# --- Theorems --- #


@pytest.mark.parametrize('denoiser', [Shrink(), None])
def test_steps_are_summable(denoiser, rng):
    """Chan, Wang and Elgendy: with decreasing levels iterates converge.

    For any denoiser with |denoised - x| <= C sigma, no steps are longer
    than a multiple of the level.
    """

    class Kick(nn.Module):
        def forward(self, x, sigma):
            # discontinuous, not a proximal of anything, but bounded
            return x + sigma * torch.sign((40 * x).sin())

    g = Quadratic(odl.rn(6), rng)
    iterates = []
    split(
        denoiser or Kick(), g, 1.0, 1e-4, 40, 0.5,
        lambda x: iterates.append(as_tensor(x, copy=True)),
    )  # fmt: skip
    levels = np.geomspace(1.0, 1e-4, 40)
    moves = [
        float((b - a).norm())
        for a, b in zip(iterates, iterates[1:], strict=False)
    ]
    assert all(m <= 20 * s for m, s in zip(moves, levels[:-1], strict=True))
    assert sum(moves[30:]) < 0.02


def test_equal_levels_are_alternating_minimisation(rng):
    """With a convex functional, the penalised objective has a minimum."""
    space = odl.uniform_discr([0, 0], [1, 2], (3, 2))
    g, f = Quadratic(space, rng), L1Norm(space)
    weight, level = 0.4, 0.7
    x = space.zero()
    half_quadratic_splitting(
        x, f, g, level, level, 400, weight, result='fitted'
    )
    # the gradient of the envelope of f, with the penalty weight / level^2
    envelope = (weight / level**2) * (x - f.proximal(level**2)(x))
    assert (g.gradient(x) + envelope).norm() < 1e-6
    assert x.norm() > 0.01


def test_objective_is_reported(rng):
    """For a functional with values, it is g + weight * f."""
    space = odl.rn(3)
    g, f = Quadratic(space, rng), L1Norm(space)
    x = space.zero()
    report = half_quadratic_splitting(x, f, g, 1.0, 0.1, 5, 0.5)
    assert len(report.objective) == 6
    assert report.objective[-1] == pytest.approx(g(x) + 0.5 * f(x))
    assert split(Shrink(), g, 1.0, 0.1, 5)[1].objective == []
    assert split(LearnedProximal(space, Shrink()), g, 1, 1)[1].objective == []


def forward_operator(size, backend='numpy', dtype='float64'):
    """Return a ray transform that quarter turns only reorder."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, 6, 2 * size + 1)
    return RayTransform(space, geometry, impl='astra_matrix')


@pytest.mark.parametrize('size', [8, 9])
@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_reconstruction_is_equivariant(size, quarters, backend, rng):
    """Phi(y; A T_g) = T_g^-1 Phi(y; A) for tomography and quarter turns."""
    operator = forward_operator(size, backend)
    turn = Rotation(operator.domain, quarters * math.pi / 2)
    torch.manual_seed(1)
    denoiser = EquivariantProximal(
        channels=8, noise_level=True, **ONLY_IMAGE
    ).double()
    y = random_element(operator.range, rng)
    start = random_element(operator.domain, rng)
    results = []
    for A, x in (
        (operator, start.copy()),
        (operator @ turn, turn.inverse(start)),
    ):
        fit = LeastSquares(A, y, tol=1e-13)
        half_quadratic_splitting(x, denoiser, fit, 0.5, 0.05, 3, 0.1)
        results.append(x)
    straight, turned = results
    size = as_tensor(straight).norm()
    error = as_tensor(turn(turned) - straight).norm() / size
    assert error < 1e-11
    assert as_tensor(turned - straight).norm() > 0.1 * size


def test_ordinary_denoiser_is_not_equivariant(rng):
    """The test above can fail."""
    operator = forward_operator(8)
    turn = Rotation(operator.domain, math.pi / 2)
    denoiser = OrdinaryProximal(
        channels=8, noise_level=True, **ONLY_IMAGE
    ).double()
    y = random_element(operator.range, rng)
    results = []
    for A in (operator, operator @ turn):
        x = operator.domain.zero()
        fit = LeastSquares(A, y, tol=1e-13)
        half_quadratic_splitting(x, denoiser, fit, 0.5, 0.05, 3, 0.1)
        results.append(x)
    straight, turned = results
    assert (turn(turned) - straight).norm() > 1e-4 * straight.norm()


# --- Behaviour as a solver --- #


def test_result_is_in_x_and_callbacks_see_it(backend, rng):
    """``x`` is overwritten in place, iterate by iterate."""
    g = Quadratic(spaces(backend)['float64'], rng)
    x = g.domain.zero()
    data, seen = x.data, []
    half_quadratic_splitting(
        x, Shrink(), g, 1, 0.1, 3, 1.0,
        lambda x: seen.append(as_tensor(x, copy=True)),
    )  # fmt: skip
    assert x.data is data and len(seen) == 3
    torch.testing.assert_close(seen[-1], as_tensor(x))


def test_no_iteration_leaves_x(rng):
    """With niter=0 nothing happens."""
    g = Quadratic(odl.rn(3), rng)
    x = g.domain.one()
    report = half_quadratic_splitting(x, Shrink(), g, 1, 0.1, 0)
    assert report.n_iter == 0 and (x - g.domain.one()).norm() == 0


def test_results_carry_no_graph(rng):
    """The weights of a denoiser are not differentiated."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), impl='pytorch')
    network = OrdinaryProximal(channels=4, noise_level=True, **ONLY_IMAGE)
    network = network.to(tensor_dtype(space))
    x = space.zero()
    half_quadratic_splitting(x, network, Quadratic(space, rng), 0.5, 0.1, 2)
    assert not x.data.requires_grad


def test_tolerance_is_of_the_last_distance(rng):
    """It is reached for small levels, and else a warning has the number."""
    g = Quadratic(odl.rn(3), rng)
    _, report = split(Shrink(), g, 1.0, 1e-3, 8, tol=1e-5)
    assert report.converged
    with pytest.warns(ConvergenceWarning, match='lower `sigma_end`') as found:
        _, report = split(Shrink(), g, 1.0, 0.1, 8, tol=1e-5)
    assert not report.converged and found[0].filename == __file__


# --- Bad input --- #


@pytest.mark.parametrize(
    'kwargs, message',
    [
        ({'sigma_start': 0}, '`sigma_start` must be'),
        ({'sigma_end': -1}, '`sigma_end` must be'),
        ({'sigma_end': 2.0}, 'must not increase.*sigma_end=2'),
        ({'niter': -1}, '`niter` must be'),
        ({'weight': 0}, '`weight` must be'),
        ({'scale': -1}, '`scale` must be'),
        ({'tol': 0}, '`tol` must be'),
        ({'result': 'both'}, '`result` must be one of'),
    ],
)
def test_wrong_values_are_refused(kwargs, message, rng):
    """Each error names the argument, before any iteration."""
    g = Quadratic(odl.rn(3), rng)
    arguments = {'sigma_start': 1.0, 'sigma_end': 0.1, **kwargs}
    with pytest.raises(ValueError, match=message):
        half_quadratic_splitting(g.domain.zero(), Shrink(), g, **arguments)


def test_start_must_be_in_the_domain(rng):
    """Arrays, and elements of another space, are errors that say so."""
    g = Quadratic(odl.rn(3), rng)
    with pytest.raises(TypeError, match='`x` must be an element.*ndarray'):
        half_quadratic_splitting(np.zeros(3), Shrink(), g, 1, 0.1)
    with pytest.raises(TypeError, match='domain of `g`'):
        half_quadratic_splitting(odl.rn(4).zero(), Shrink(), g, 1, 0.1)
    with pytest.raises(TypeError, match='domain of `f`'):
        half_quadratic_splitting(
            odl.rn(3).zero(), L1Norm(odl.rn(4)), g, 1, 0.1
        )


def test_data_fit_must_have_a_proximal():
    """The error names those that have one."""
    g = Wiggly(odl.rn(3))
    with pytest.raises(TypeError, match='`g` has no proximal.*LeastSquares'):
        half_quadratic_splitting(g.domain.zero(), Shrink(), g, 1, 0.1)


def test_denoiser_must_have_a_proximal(rng):
    """A function is no denoiser, and a functional needs a proximal."""
    g = Quadratic(odl.rn(3), rng)
    with pytest.raises(TypeError, match='`f` must be a functional'):
        half_quadratic_splitting(g.domain.zero(), abs, g, 1, 0.1)
    with pytest.raises(TypeError, match='`f` has no proximal'):
        half_quadratic_splitting(g.domain.zero(), Wiggly(g.domain), g, 1, 0.1)


def test_scale_is_for_modules(rng):
    """A functional has a scale of its own, so another one is refused."""
    g = Quadratic(odl.rn(3), rng)
    f = LearnedProximal(g.domain, Shrink())
    with pytest.raises(ValueError, match='scale of its own'):
        half_quadratic_splitting(g.domain.zero(), f, g, 1, 0.1, scale=2.0)


@pytest.mark.parametrize('which', ['f', 'g'])
def test_values_that_are_not_finite_are_an_error(which, rng):
    """The error says so, and ``x`` stays finite."""

    class Broken(Quadratic):
        @property
        def proximal(self):
            proximal = super().proximal
            return lambda s: (math.nan if s < 0.5 else 1.0) * proximal(s)

    space = odl.rn(3)
    f, g = L2NormSquared(space), Quadratic(space, rng)
    broken = Broken(space, rng)
    x = space.zero()
    with pytest.raises(ValueError, match=r'level 0\.1 .*not finite'):
        half_quadratic_splitting(
            x,
            *((broken, g) if which == 'f' else (f, broken)),
            1,
            0.1,
            2,
        )
    assert torch.isfinite(as_tensor(x)).all() and x.norm() > 0
