# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the accelerated proximal gradient method."""

import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from odl.functionals import L1Norm, L2NormSquared, ZeroFunctional

from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import ConvergenceWarning, LearnedProximal
from odl_equivariant.solvers import accelerated_proximal_gradient
from tests.solvers.functionals import Quadratic, Smooth, Wiggly, spaces

RESTARTS = ('gradient', 'function', 'monotone', None)

space_name = simple_fixture('space_name', list(spaces()))
restart = simple_fixture('restart', RESTARTS)


@pytest.fixture
def space(space_name, backend):
    """Return a space of one of the kinds."""
    return spaces(backend)[space_name]


def minimised(f, g, maxiter=100, **kwargs):
    """Return the result from zero, as an element, and the report."""
    x = g.domain.zero()
    report = accelerated_proximal_gradient(x, f, g, maxiter=maxiter, **kwargs)
    return x, report


def small(rng, n=12, **kwargs):
    """Return a quadratic on a weighted grid, in double precision."""
    space = odl.uniform_discr([0, 0], [1, 2], (n // 3, 3))
    return Quadratic(space, rng, **kwargs)


def excess(report, least):
    """Return by how much the objectives exceed a value, from the first."""
    return np.array(report.objective) - least


# --- What it minimises --- #


def test_minimiser_of_a_quadratic_is_found(space, rng):
    """Without another functional, the result is the known minimiser."""
    g = Quadratic(space, rng)
    x, report = minimised(ZeroFunctional(space), g, tol=1e-5)
    assert report.converged and report.convex
    error = as_tensor(x - g.minimiser).norm() / g.solution.norm()
    assert error < 2e-3


def test_optimality_condition_holds(space, restart, rng):
    """At the solution, prox(u - gradient) is u, whatever the restarts are."""
    g = Quadratic(space, rng, (1, 10))
    f = 0.5 * L2NormSquared(space)
    x, report = minimised(f, g, tol=1e-4, restart=restart)
    assert report.converged
    other = f.proximal(0.3)(x - 0.3 * g.gradient(x))
    size = as_tensor(x).norm()
    assert as_tensor(other - x).norm() < 1e-3 * size
    assert as_tensor(g.minimiser - x).norm() > 0.01 * size


def test_step_is_that_of_the_inner_product(rng):
    """The weight of a space changes neither iterates nor steps."""
    results = []
    for extent in (1.0, 1e-3):
        space = odl.uniform_discr([0, 0], [extent, extent], (3, 2))
        g = Quadratic(space, np.random.default_rng(0))
        x, report = minimised(ZeroFunctional(space), g, 20)
        results.append((x.asarray(), report))
    (one, report), (other, other_report) = results
    np.testing.assert_allclose(one, other, rtol=1e-9)
    np.testing.assert_allclose(report.steps, other_report.steps, rtol=1e-9)


def test_space_without_a_layout(rng):
    """A product of unequal spaces has an inner product, and that suffices."""
    space = odl.ProductSpace(odl.rn(2), odl.rn(3))
    data = space.element([rng.normal(size=2), rng.normal(size=3)])
    g = L2NormSquared(space).translated(data)
    f = odl.functionals.SeparableSum(L1Norm(space[0]), L1Norm(space[1]))
    x, report = minimised(f, g, tol=1e-9)
    assert report.converged
    assert (x - f.proximal(0.5)(data)).norm() < 1e-6


def test_weights_of_an_array(rng):
    """A space with a weight for each point has its own gradients."""
    weights = np.array([1.0, 10.0, 0.1])
    space = odl.rn(3, weighting=weights)
    g = L2NormSquared(space).translated([1.0, 2.0, 3.0])
    x, report = minimised(ZeroFunctional(space), g, tol=1e-9, maxiter=3)
    assert report.converged
    np.testing.assert_allclose(x.asarray(), [1, 2, 3], rtol=1e-8)


# --- Theorems --- #


def test_rate_of_beck_and_teboulle(rng):
    """FISTA: the objective is within 2 |u0 - u*|^2 / (step (k + 1)^2)."""
    g = small(rng, 30, eigenvalues=(1e-4, 1), known=True)
    for line_search in (False, True):
        _, report = minimised(
            ZeroFunctional(g.domain),
            g,
            150,
            restart=None,
            line_search=line_search,
        )
        distance = g.minimiser.norm()
        k = np.arange(1, 151)
        bound = 2 * distance**2 / (np.array(report.steps) * (k + 1) ** 2)
        errors = excess(report, 0)[1:]
        assert (errors <= bound).all()
        # which the method without momentum does not keep to
        assert report.objective[-1] < 1e-3 * report.objective[0]


def test_momentum_is_needed_for_the_rate(rng):
    """Plain proximal gradients are behind by far on the same problem."""
    g = small(rng, 30, eigenvalues=(1e-4, 1), known=True)
    f = ZeroFunctional(g.domain)
    _, report = minimised(f, g, 150)
    x = g.domain.zero()
    odl.solvers.proximal_gradient(x, f, g, 1.0, 150)
    assert g(x) > 10 * report.objective[-1]


@pytest.mark.parametrize('how', ['gradient', 'function'])
def test_restarts_make_the_rate_linear(how, rng):
    """O'Donoghue and Candes: strong convexity, unknown, is profited from."""
    g = small(rng, 30, eigenvalues=(0.04, 1), known=True)
    f = ZeroFunctional(g.domain)
    errors = {
        name: excess(minimised(f, g, 120, restart=name)[1], 0)
        for name in (how, None)
    }
    # in 8 times the square root of the condition number, 5, each
    for k in (0, 20, 40, 60, 80):
        assert errors[how][k + 40] < 1e-3 * errors[how][k]
    assert errors[None][120] > 100 * errors[how][120]


@pytest.mark.parametrize('how', ['function', 'monotone'])
@pytest.mark.parametrize('nonsmooth', [False, True])
def test_objective_is_monotone(how, nonsmooth, rng):
    """With a scheme that compares values, no iteration increases it."""
    g = small(rng, 30, eigenvalues=(0.01, 1))
    f = 1e-3 * L1Norm(g.domain) if nonsmooth else ZeroFunctional(g.domain)
    _, report = minimised(f, g, 80, restart=how)
    steps = np.diff(report.objective)
    assert (steps <= 1e-15).all() and steps.min() < 0
    # while that without it oscillates
    _, other = minimised(f, g, 80, restart=None)
    assert np.diff(other.objective).max() > 1e-9


def test_monotone_variant_keeps_the_rate(rng):
    """Beck and Teboulle: the bound of FISTA holds for monotone objectives."""
    g = small(rng, 30, eigenvalues=(1e-4, 1), known=True)
    _, report = minimised(ZeroFunctional(g.domain), g, 150, restart='monotone')
    k = np.arange(1, 151)
    bound = (
        2 * g.minimiser.norm() ** 2 / (np.array(report.steps) * (k + 1) ** 2)
    )
    assert (excess(report, 0)[1:] <= bound).all()


def test_residual_tends_to_zero(restart, rng):
    """The norm of the gradient mapping falls to rounding."""
    g = small(rng, eigenvalues=(0.3, 1))
    f = 0.1 * L1Norm(g.domain)
    _, report = minimised(f, g, 100, restart=restart)
    assert report.residuals[-1] < 1e-5 * max(report.residuals)


# --- Functionals that are not convex --- #


def critical(x, f, g, step=1e-2):
    """Return the norm of the gradient mapping at an element."""
    other = f.proximal(step)(x - step * g.gradient(x))
    return (x - other).norm() / step


@pytest.mark.parametrize('how', RESTARTS)
@pytest.mark.parametrize('nonsmooth', [False, True])
def test_critical_point_is_reached(how, nonsmooth, rng):
    """Attouch, Bolte and Svaiter: descent leads to a critical point."""
    space = odl.uniform_discr([0, 0], [1, 2], (4, 3))
    g = Wiggly(space)
    g.weak_convexity = 17.0
    f = 0.3 * L1Norm(space) if nonsmooth else ZeroFunctional(space)
    x = space.element(2 * rng.normal(size=(4, 3)))
    report = accelerated_proximal_gradient(
        x, f, g, maxiter=500, restart=how, tol=1e-8
    )
    assert report.converged and not report.convex
    assert critical(x, f, g) < 1e-5
    assert (np.diff(report.objective) <= 1e-12).all()


def test_negative_curvature_is_seen(rng):
    """Nothing is declared, and the line search finds out."""
    g = Wiggly(odl.rn(4))
    x = g.domain.element([3.0, -2.0, 1.0, 0.2])
    report = accelerated_proximal_gradient(x, ZeroFunctional(g.domain), g)
    assert not report.convex
    assert minimised(ZeroFunctional(g.domain), Quadratic(g.domain, rng))[
        1
    ].convex


def test_declared_modulus_is_heeded(rng):
    """A functional with weak_convexity makes all objectives monotone."""
    g = small(rng, eigenvalues=(1e-2, 1))
    f = ZeroFunctional(g.domain)
    _, oscillating = minimised(f, g, 80, restart=None)
    assert np.diff(oscillating.objective).max() > 0
    g.weak_convexity = 0.1
    _, report = minimised(f, g, 80, restart=None)
    assert not report.convex and report.n_restarts > 0
    assert (np.diff(report.objective) <= 1e-15).all()


class Concave(Smooth):
    """Minus a multiple of half the squared norm, with its proximal."""

    weak_convexity = 0.5

    def density(self, u):
        """Return the concave parabola."""
        return -0.25 * u.square().sum()

    @property
    def proximal(self):
        """Multiplication, for parameters below 2."""
        return lambda sigma: odl.ScalingOperator(
            self.domain, 1 / (1 - 0.5 * sigma)
        )


def test_weakly_convex_functional_by_its_proximal(rng):
    """The sum being strongly convex, its minimiser is found."""
    g = small(rng, eigenvalues=(1, 4))
    f = Concave(g.domain)
    x, report = minimised(f, g, 300, tol=1e-9)
    assert report.converged and not report.convex
    assert (g.gradient(x) + f.gradient(x)).norm() < 1e-7
    assert (np.diff(report.objective) <= 1e-13).all()


@pytest.mark.parametrize('multiple', [1, 4])
def test_step_beyond_weak_convexity_is_an_error(multiple):
    """The error names the largest, also of a multiple of a translation."""
    space = odl.rn(3)
    f = multiple * Concave(space).translated(space.one())
    largest = 2 / multiple
    with pytest.raises(ValueError, match=f'steps below {largest:g} only'):
        accelerated_proximal_gradient(
            space.one(), f, L2NormSquared(space), gamma=largest
        )


def test_steps_stay_within_weak_convexity(rng):
    """Without a step, one is found for which the proximal exists."""
    g = small(rng, eigenvalues=(0.6, 0.7))
    _, report = minimised(Concave(g.domain), g, 100)
    assert max(report.steps) < 2


def test_without_values_steps_have_no_momentum(rng):
    """Where descent cannot be checked, it is made sure of."""
    g = Wiggly(odl.rn(3))
    f = LearnedProximal(g.domain, torch.nn.Identity())
    x, other = g.domain.element([2.0, -1.0, 0.4]), None
    other = x.copy()
    g.weak_convexity = 20.0
    report = accelerated_proximal_gradient(
        x, f, g, 0.01, 30, line_search=False
    )
    assert report.objective == []
    odl.solvers.proximal_gradient(other, ZeroFunctional(g.domain), g, 0.01, 30)
    np.testing.assert_allclose(x.asarray(), other.asarray(), rtol=1e-12)


# --- Steps --- #


def test_known_constant_is_the_first_step(rng):
    """The search starts at the inverse of the Lipschitz constant."""
    g = small(rng, eigenvalues=(1, 4), known=True)
    _, report = minimised(ZeroFunctional(g.domain), g, 5)
    assert report.steps == [0.25] * 5


@pytest.mark.parametrize('gamma', [None, 1e3, 1.0])
def test_line_search_needs_no_constant(gamma, rng):
    """From any step, it finds one that is below 1 / L, up to a factor."""
    g = small(rng, eigenvalues=(1, 40))
    x, report = minimised(
        ZeroFunctional(g.domain), g, 300, gamma=gamma, tol=1e-8
    )
    assert report.converged
    assert 0.1 / 40 < min(report.steps) <= max(report.steps) < 1
    assert (x - g.minimiser).norm() < 1e-5


def test_short_steps_grow_at_restarts(rng):
    """A first step that is too short does not stay."""
    g = small(rng, eigenvalues=(1, 2))
    _, report = minimised(ZeroFunctional(g.domain), g, 200, gamma=0.02)
    assert report.n_restarts > 1
    assert report.steps[-1] > 2 * report.steps[0]


def test_steps_do_not_grow_in_rounding(space, rng):
    """Beyond convergence, steps stay what the search can judge."""
    g = Quadratic(space, rng, (1, 3))
    x, report = minimised(ZeroFunctional(space), g, 40)
    assert max(report.steps) < 10
    assert as_tensor(x - g.minimiser).norm() < 1e-2 * g.solution.norm()


def test_fixed_step_needs_no_values(rng):
    """Without line search and objective, the gradient is all that counts."""
    g = small(rng, eigenvalues=(1, 4), known=True)
    f = ZeroFunctional(g.domain)
    expected, _ = minimised(f, g, 30, line_search=False)
    g.n_values = g.n_gradients = 0
    x, report = minimised(f, g, 30, line_search=False, objective=False)
    assert (g.n_values, g.n_gradients, report.objective) == (0, 30, [])
    assert (x - expected).norm() < 1e-12


def test_number_of_evaluations(rng):
    """An iteration with a line search costs a gradient and two values."""
    g = small(rng, eigenvalues=(1, 4), known=True)
    minimised(ZeroFunctional(g.domain), g, 30)
    assert g.n_gradients == 30
    assert g.n_values <= 63


def test_constant_gradient_is_no_obstacle():
    """A linear functional has no curvature, and any step will do."""
    space = odl.rn(2)
    g = odl.functionals.QuadraticForm(vector=space.element([1.0, -2.0]))
    f = L2NormSquared(space)
    x, report = minimised(f, g, 200, tol=1e-8)
    assert report.converged
    np.testing.assert_allclose(x.asarray(), [-0.5, 1.0], atol=1e-6)


# --- Behaviour as a solver --- #


def test_result_is_in_x_and_callbacks_see_it(backend, rng):
    """``x`` is overwritten in place, iterate by iterate."""
    g = Quadratic(spaces(backend)['float64'], rng)
    x = g.domain.zero()
    data, seen = x.data, []

    def callback(iterate):
        assert iterate is x
        seen.append(as_tensor(iterate, copy=True))

    report = accelerated_proximal_gradient(
        x, ZeroFunctional(g.domain), g, maxiter=4, callback=callback
    )
    assert x.data is data and report.n_iter == len(seen) == 4
    torch.testing.assert_close(seen[-1], as_tensor(x))
    assert not torch.allclose(seen[0], seen[-1])


def test_report_has_an_entry_for_each_iteration(rng):
    """Objectives begin with that of the start, and are those of f + g."""
    g = small(rng)
    f = L1Norm(g.domain)
    x, report = minimised(f, g, 7)
    assert len(report.objective) == 8
    assert len(report.residuals) == len(report.steps) == report.n_iter == 7
    assert report.objective[0] == pytest.approx(g(g.domain.zero()))
    assert report.objective[-1] == pytest.approx(f(x) + g(x))
    assert 'n_iter=7' in repr(report)


def test_no_iteration_leaves_x(rng):
    """With maxiter=0 nothing happens."""
    g = small(rng)
    x = g.domain.one()
    report = accelerated_proximal_gradient(
        x, ZeroFunctional(g.domain), g, maxiter=0, tol=1e-3
    )
    assert report.n_iter == 0 and not report.converged
    assert (x - g.domain.one()).norm() == 0


def test_start_at_the_solution_stops_at_once(rng):
    """A fixed point has the residual 0, to which nothing is relative."""
    space = odl.rn(3)
    g = L2NormSquared(space)
    _, report = minimised(ZeroFunctional(space), g, tol=1e-12)
    assert report.converged and report.n_iter == 1


def test_unreached_tolerance_is_a_warning(rng):
    """It names residual, iterations and tolerance, at the caller's line."""
    g = small(rng, eigenvalues=(1e-4, 1))
    with pytest.warns(ConvergenceWarning) as caught:
        _, report = minimised(ZeroFunctional(g.domain), g, 5, tol=1e-8)
    (warning,) = caught
    text = str(warning.message)
    assert '5 iterations' in text and '1e-08' in text and 'maxiter' in text
    assert warning.filename == __file__
    assert not report.converged


def test_without_a_tolerance_there_is_no_warning(rng):
    """All iterations are made, and that is what was asked for."""
    g = small(rng, eigenvalues=(1e-4, 1))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        _, report = minimised(ZeroFunctional(g.domain), g, 5)
    assert report.n_iter == 5 and not report.converged


def test_infeasible_start_is_allowed(rng):
    """The objective is infinite at first, and finite after."""
    g = small(rng)
    f = odl.functionals.IndicatorNonnegativity(g.domain)
    for how in RESTARTS:
        x = -1 * g.domain.one()
        report = accelerated_proximal_gradient(
            x, f, g, maxiter=200, tol=1e-3, restart=how
        )
        assert report.converged and np.isinf(report.objective[0])
        assert np.isfinite(report.objective[1:]).all()
        assert critical(x, f, g) < 0.1


# --- Bad input --- #


@pytest.mark.parametrize('given', [np.zeros(3), torch.zeros(3), None])
def test_start_must_be_an_element(given):
    """An array is an error that names its type."""
    g = L2NormSquared(odl.rn(3))
    with pytest.raises(TypeError, match=f'`x` must .*{type(given).__name__}'):
        accelerated_proximal_gradient(given, g, g)


@pytest.mark.parametrize('which', ['f', 'g'])
def test_start_must_be_in_the_domain(which):
    """The error names the functional and both spaces."""
    g, other = L2NormSquared(odl.rn(3)), L2NormSquared(odl.rn(4))
    pair = (other, g) if which == 'f' else (g, other)
    message = rf'domain of `{which}`, rn\(4\), got an element of rn\(3\)'
    with pytest.raises(TypeError, match=message):
        accelerated_proximal_gradient(odl.rn(3).one(), *pair)


def test_functionals_must_be_functionals():
    """A function or an operator is an error that names its type."""
    space = odl.rn(3)
    with pytest.raises(TypeError, match='`f` must be a functional.*Identity'):
        accelerated_proximal_gradient(
            space.one(), odl.IdentityOperator(space), L2NormSquared(space)
        )


def test_f_must_have_a_proximal(rng):
    """The error says where a smooth functional belongs."""
    g = Wiggly(odl.rn(3))
    with pytest.raises(TypeError, match='`f` has no proximal.*add it to `g`'):
        accelerated_proximal_gradient(g.domain.one(), g, g)


def test_g_must_have_a_gradient():
    """The error names a solver that needs none."""
    space = odl.rn(3)
    g = odl.functionals.IndicatorNonnegativity(space)
    with pytest.raises(TypeError, match='`g` has no gradient.*pdhg'):
        accelerated_proximal_gradient(space.one(), g, g)


@pytest.mark.parametrize('gamma', [0, -1.0, float('nan'), float('inf')])
def test_step_must_be_positive(gamma):
    """So is said of a step that is none."""
    g = L2NormSquared(odl.rn(3))
    with pytest.raises(ValueError, match='`gamma` must be a finite positive'):
        accelerated_proximal_gradient(odl.rn(3).one(), g, g, gamma)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        ({'maxiter': -1}, '`maxiter` must be'),
        ({'tol': 0}, '`tol` must be'),
        ({'restart': 'often'}, '`restart` must be one of'),
    ],
)
def test_other_values_are_refused(kwargs, message):
    """Each error names the argument."""
    g = L2NormSquared(odl.rn(3))
    with pytest.raises(ValueError, match=message):
        accelerated_proximal_gradient(odl.rn(3).one(), g, g, **kwargs)


def test_fixed_step_must_be_known(rng):
    """Without constant and line search, a step must be given."""
    g = small(rng)
    with pytest.raises(ValueError, match='pass the step `gamma`'):
        minimised(ZeroFunctional(g.domain), g, line_search=False)


def test_line_search_needs_values(rng):
    """A functional without values is refused, with what to do."""
    space = odl.rn(3)

    class Valueless(Quadratic):
        def _call(self, x):
            raise NotImplementedError

    g = Valueless(space, rng)
    with pytest.raises(ValueError, match='line_search=False'):
        minimised(ZeroFunctional(space), g)
    x, _ = minimised(
        ZeroFunctional(space), g, 200, gamma=0.1, line_search=False
    )
    assert (x - g.minimiser).norm() < 1e-3


def test_schemes_that_compare_need_values(rng):
    """A learned proximal has no value to compare."""
    g = small(rng)
    f = LearnedProximal(g.domain, torch.nn.Identity())
    with pytest.raises(ValueError, match="restart='function' compares"):
        minimised(f, g, restart='function')
    x, report = minimised(f, g, 60)
    assert report.objective == []
    assert (x - g.minimiser).norm() < 0.1


def test_divergence_is_an_error(rng):
    """A fixed step that is too long does not end in NaN without a word."""
    g = small(rng, eigenvalues=(1, 10))
    x = g.domain.one()
    with pytest.raises(RuntimeError, match='diverged.*shorter `gamma`'):
        accelerated_proximal_gradient(
            x, ZeroFunctional(g.domain), g, 1e6, 500, line_search=False,
            objective=False,
        )  # fmt: skip
    assert torch.isfinite(as_tensor(x)).all()


def test_wrong_gradient_is_an_error(rng):
    """One of the other sign leaves the line search without a step."""
    g = small(rng)

    class Wrong(Quadratic):
        def slopes(self, u):
            return -super().slopes(u)

    g = Wrong(g.domain, rng)
    with pytest.raises(RuntimeError, match='not the gradient of `g`'):
        minimised(ZeroFunctional(g.domain), g)
