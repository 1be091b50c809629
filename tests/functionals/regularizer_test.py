# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of learned energies as functionals."""

import math
import pickle
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    adjoint_error,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, describe_space
from odl_equivariant.functionals import ConvergenceWarning, LearnedRegularizer
from odl_equivariant.nn import Energy
from odl_equivariant.operators import OperatorLayer
from tests.functionals.energies import (
    Differences,
    Linear,
    Quartic,
    Tikhonov,
)

dtype = simple_fixture('dtype', ['float32', 'float64'])
complex_dtype = simple_fixture('dtype', ['complex64', 'complex128'])
shape = simple_fixture('shape', [(6, 6), (5, 7)])


def grid(shape=(6, 6), dtype='float64', backend='numpy'):
    """Return a space on a grid with cells of 1/4 x 1/4 x ..."""
    corner = [side / 4 for side in shape]
    zero = [0] * len(shape)
    return odl.uniform_discr(zero, corner, shape, dtype=dtype, impl=backend)


def distance(x, y):
    """Return the relative distance of two elements."""
    x, y = as_tensor(x).double(), as_tensor(y).double()
    return float((x - y).norm() / y.norm().clamp_min(1e-300))


def real_inner(x, y):
    """Return the real part of an inner product."""
    return complex(x.inner(y)).real


def slope(f, x, h, step):
    """Return a central difference of a functional or an operator."""
    return (0.5 / step) * (f(x + step * h) - f(x + (-step) * h))


# spaces and energies of all kinds, as (dtype, parts, energy, complex_values)
KINDS = {
    'real': ('float64', 0, Differences(), None),
    'weak': ('float64', 0, Differences(convex=False), None),
    'two channels': (
        'complex128',
        0,
        Differences(in_channels=2),
        None,
    ),
    'parts': ('complex128', 0, Differences(convex=False), 'parts'),
    'magnitude': ('complex128', 0, Differences(), 'magnitude'),
    'joint product': ('float64', 3, Differences(in_channels=3), None),
    'product': ('float64', 3, Differences(), None),
    'complex product': ('complex128', 2, Differences(in_channels=2), None),
    'product of parts': ('complex128', 3, Differences(in_channels=3), 'parts'),
    'product of magnitudes': (
        'complex128',
        2,
        Differences(),
        'magnitude',
    ),
}
each_kind = pytest.mark.parametrize('kind', KINDS)


def functional_of(kind, shape=(5, 7), backend='numpy', **kwargs):
    """Return the learned regulariser of a kind."""
    dtype, parts, energy, complex_values = KINDS[kind]
    space = grid(shape, dtype, backend)
    space = space**parts if parts else space
    return LearnedRegularizer(
        space, energy, complex_values=complex_values, **kwargs
    )


# --- The value --- #


def test_value_is_an_integral(dtype, backend):
    """The value of ``|u|^2 / 2`` does not depend on the grid."""
    for n in (4, 9):
        space = odl.uniform_discr(
            [0, 0], [2, 3], (n, n), dtype=dtype, impl=backend
        )
        value = LearnedRegularizer(space, Tikhonov())(2 * space.one())
        assert isinstance(value, float)
        assert value == pytest.approx(0.5 * 4 * 6, rel=1e-6)


@pytest.mark.parametrize('shape', [(9,), (4, 5), (3, 4, 5)])
def test_value_in_every_dimension(shape, backend):
    """Value, gradient and proximal are there in 1, 2 and 3 dimensions."""
    space = grid(shape, backend=backend)
    f = LearnedRegularizer(space, Tikhonov(), weight=3)
    x = random_element(space, np.random.default_rng(0))
    assert f(x) == pytest.approx(1.5 * float(x.norm()) ** 2)
    assert distance(f.gradient(x), 3 * x) < 1e-14
    assert distance(f.proximal(2.0)(x), (1 / 7) * x) < 1e-4


@each_kind
def test_value_on_both_backends(kind):
    """Value, gradient and proximal are the same on both back-ends."""
    results = []
    for backend in ('numpy', 'pytorch'):
        f = functional_of(kind, backend=backend)
        x = random_element(f.domain, np.random.default_rng(0))
        result = [f.gradient(x), f.proximal(0.5)(x)]
        assert all(y in f.domain for y in result)
        results.append([f(x), *map(as_tensor, result)])
    ours, theirs = results
    assert ours[0] == pytest.approx(theirs[0], rel=1e-13)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


def test_value_of_parts_and_magnitudes(backend):
    """Complex values enter as the user chose."""
    space = grid((4, 4), 'complex128', backend)
    x = random_element(space, np.random.default_rng(0))
    cell = 1 / 16
    values = as_tensor(x)[0]
    for complex_values, expected in (
        ('parts', values.sum()),
        ('magnitude', values.square().sum(0).sqrt().sum()),
    ):
        f = LearnedRegularizer(
            space, Linear(2.0), complex_values=complex_values
        )
        assert f(x) == pytest.approx(2 * cell * float(expected))


# --- Derivatives --- #


@each_kind
def test_gradient_is_the_derivative(kind, rng):
    """``Re <grad f(x), h>`` is the slope of f in the direction h."""
    f = functional_of(kind, weight=0.7, scale=2.0)
    x, h = (random_element(f.domain, rng) for _ in range(2))
    expected = slope(f, x, h, 1e-6)
    assert real_inner(f.gradient(x), h) == pytest.approx(expected, rel=1e-7)
    assert f.derivative(x)(h) == pytest.approx(expected, rel=1e-7)


@each_kind
def test_derivative_has_an_adjoint(kind, rng):
    """The adjoint of the derivative multiplies by the gradient."""
    f = functional_of(kind)
    x = random_element(f.domain, rng)
    derivative = f.derivative(x)
    assert distance(derivative.adjoint(2.0), 2 * f.gradient(x)) < 1e-14
    assert derivative.adjoint.adjoint is derivative
    if KINDS[kind][0] == 'float64':
        assert adjoint_error(derivative) < 1e-13


@each_kind
def test_hessian_is_the_derivative_of_the_gradient(kind, rng):
    """The Hessian is the slope of the gradient, and its own adjoint."""
    f = functional_of(kind, weight=0.7, scale=2.0)
    x, h, k = (random_element(f.domain, rng) for _ in range(3))
    hessian = f.gradient.derivative(x)
    assert hessian.is_linear and hessian.adjoint is hessian
    assert distance(hessian(h), slope(f.gradient, x, h, 1e-6)) < 1e-7
    assert real_inner(hessian(h), k) == pytest.approx(
        real_inner(h, hessian(k)), rel=1e-11
    )


def test_hessian_is_that_of_the_point(rng):
    """What happens to the point afterwards does not change the Hessian."""
    f = functional_of('real')
    x, h = (random_element(f.domain, rng) for _ in range(2))
    hessian = f.gradient.derivative(x)
    before = hessian(h)
    x.assign(0 * x)
    assert distance(hessian(h), before) == 0


def test_gradient_of_magnitudes_at_zero(backend):
    """Where the energy is even it is the gradient, and else it is 0."""
    space = grid((3, 3), 'complex128', backend)
    for energy in (Tikhonov(), Linear(1.0), Linear(-1.0)):
        f = LearnedRegularizer(space, energy, complex_values='magnitude')
        assert f.gradient(space.zero()).norm() == 0
        hessian = f.gradient.derivative(space.zero())
        assert hessian(space.one()).norm() == 0


def test_gradient_is_a_layer(rng):
    """The gradient goes into torch, and can be differentiated there."""
    f = functional_of('real', (2, 3))
    layer = OperatorLayer(f.gradient)
    x = torch.randn(2, 1, 2, 3, dtype=torch.double, requires_grad=True)
    y = layer(x)
    elements = [f.domain.element(image[0].detach().numpy()) for image in x]
    for image, element in zip(y, elements, strict=True):
        torch.testing.assert_close(image[None], as_tensor(f.gradient(element)))
    assert torch.autograd.gradcheck(layer, x)


# --- The proximal --- #


@each_kind
@pytest.mark.parametrize('parameter', [0.1, 0.9])
def test_proximal_is_within_its_tolerance(kind, parameter, rng):
    """The distance to the minimiser is at most the bound, and that ``tol``."""
    f = functional_of(kind, tol=1e-3, weight=1.1)
    exact = functional_of(kind, tol=1e-11, maxiter=10000, weight=1.1)
    x = random_element(f.domain, rng)
    rough, fine = f.proximal(parameter), exact.proximal(parameter)
    gap = float((rough(x) - fine(x)).norm() / x.norm())
    assert gap <= rough.error_bound + 1e-10
    assert 0 < rough.error_bound <= 1e-3
    assert 1 < rough.n_iter < fine.n_iter
    assert rough.residual == pytest.approx(
        rough.error_bound * (1 - 1.1 * parameter * modulus_of(f))
    )


def modulus_of(f):
    """Return the modulus of weak convexity of the energy of a functional."""
    return f.energy.weak_convexity()


@each_kind
def test_proximal_is_a_stationary_point(kind, rng):
    """``prox(x) + tau grad f(prox(x)) = x``."""
    f = functional_of(kind, tol=1e-10, maxiter=5000, scale=3.0)
    x = random_element(f.domain, rng)
    u = f.proximal(0.3)(x)
    assert distance(u + 0.3 * f.gradient(u), x) < 1e-9


def test_proximal_in_both_precisions(dtype, backend, shape, rng):
    """The proximal of half the squared norm is a division."""
    space = grid(shape, dtype, backend)
    f = LearnedRegularizer(space, Tikhonov(), weight=2, tol=1e-5)
    x = random_element(space, rng)
    for parameter in (1e-3, 1.0, 50):
        proximal = f.proximal(parameter)
        expected = (1 / (1 + 2 * parameter)) * x
        error = float((proximal(x) - expected).norm() / x.norm())
        assert error <= 1.01e-5
        assert proximal.error_bound <= 1e-5


def test_proximal_without_a_lipschitz_constant(rng):
    """The solver finds a step itself where the energy knows none."""
    space = grid((6, 5))
    f = LearnedRegularizer(space, Quartic(), tol=1e-8)
    assert f.grad_lipschitz == math.inf and f.weak_convexity == 0
    for size in (1.0, 30.0):
        x = size * random_element(space, rng)
        u = f.proximal(5.0)(x)
        assert distance(u + 5.0 * f.gradient(u), x) < 1e-7


def test_proximal_of_a_norm_of_magnitudes(complex_dtype, backend, rng):
    """``|u|_1`` shrinks magnitudes, to 0 exactly, and keeps phases."""
    space = grid((6, 6), complex_dtype, backend)
    f = LearnedRegularizer(space, Linear(1.5), complex_values='magnitude')
    x = random_element(space, rng)
    u = as_tensor(f.proximal(0.4)(x))
    values = as_tensor(x)
    size = values.square().sum(1, keepdim=True).sqrt()
    expected = values * (1 - 0.6 / size).clamp_min(0)
    assert 0 < int((expected == 0).sum()) < expected.numel()
    torch.testing.assert_close(u, expected, rtol=1e-4, atol=1e-4)
    assert ((u == 0) == (expected == 0)).all()


def test_proximal_of_a_coupled_energy_of_magnitudes(rng):
    """It minimises over magnitudes of at least 0, with the phases of x."""
    space = grid((5, 5), 'complex128')

    class Pull(Differences):
        """Neighbours alike, and all below 0."""

        def forward(self, x, sigma=None):
            return super().forward(x) + 1.7 * x.flatten(1).sum(1)

    f = LearnedRegularizer(
        space, Pull(), complex_values='magnitude', tol=1e-9, maxiter=5000
    )
    x = random_element(space, rng)
    u = as_tensor(f.proximal(1.0)(x))
    values = as_tensor(x)
    size = values.square().sum(1, keepdim=True).sqrt()
    # phases are kept, and the conditions of the constrained minimum hold
    r = (u * values).sum(1, keepdim=True) / size
    torch.testing.assert_close(u, values / size * r)
    slope = (f.energy.gradient(r) + r - size).detach()
    assert 0 < int((r == 0).sum()) < r.numel()
    assert slope[r > 0].abs().max() < 1e-7
    assert (slope[r == 0] > 0).all() and (r >= 0).all()


def test_proximal_of_magnitudes_where_all_phases_are_minimisers(backend):
    """``-|u|`` maps 0 to a circle, of which the phase 1 is taken."""
    space = grid((3, 3), 'complex128', backend)
    f = LearnedRegularizer(space, Linear(-1.0), complex_values='magnitude')
    u = f.proximal(0.5)(space.zero())
    assert distance(u, 0.5 * space.one()) < 1e-4


def test_proximal_of_zero_is_exact(dtype):
    """At a minimum of the energy, no iteration is needed."""
    space = grid(dtype=dtype)
    proximal = LearnedRegularizer(space, Differences()).proximal(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert proximal(space.zero()).norm() == 0
        assert proximal(space.one()).norm() == space.one().norm()
    assert proximal.error_bound == 0 and proximal.n_iter == 1


def test_proximal_at_the_largest_parameter(dtype, rng):
    """There, the residual is within the tolerance, for a nearby argument."""
    space = grid((8, 8), dtype)
    f = LearnedRegularizer(space, Differences(convex=False), weight=2)
    assert f.largest_parameter == 0.5
    x = random_element(space, rng)
    proximal = f.proximal(0.5)
    u = proximal(x)
    assert proximal.error_bound == math.inf and proximal.residual <= 1e-4
    gap = u + 0.5 * f.gradient(u) - x
    assert float(gap.norm() / x.norm()) <= 1.01e-4


def test_proximal_beyond_the_largest_parameter():
    """The error names the largest parameter, of multiples too."""
    space = grid()
    f = LearnedRegularizer(space, Differences(convex=False))
    f.proximal(1.0), f.proximal(1.0 + 1e-9)
    with pytest.raises(ValueError, match=r'the largest is 1;'):
        f.proximal(1.01)
    with pytest.raises(ValueError, match=r'the largest is 0\.25;'):
        (4 * f).proximal(0.3)
    with pytest.raises(ValueError, match=r'the largest is 0\.25;'):
        (f * 2).translated(space.one()).proximal(0.3)


def test_proximal_of_what_is_known_to_have_none():
    """An energy without a modulus has a gradient only."""

    class Unknown(Energy):
        def forward(self, x, sigma=None):
            return x.cos().flatten(1).sum(1)

    f = LearnedRegularizer(grid(), Unknown())
    assert f.weak_convexity == f.grad_lipschitz == math.inf
    with pytest.raises(ValueError, match='weak_convexity'):
        f.proximal(0.1)


@pytest.mark.parametrize('sigma', [0, -1.0, math.nan, math.inf])
def test_parameter_has_to_be_positive(sigma):
    """Other parameters are errors."""
    with pytest.raises(ValueError, match='positive'):
        functional_of('real').proximal(sigma)


def test_warning_says_how_far_the_solver_came(rng):
    """Where ``maxiter`` is too small, there is a warning with the residual."""
    f = functional_of('real', tol=1e-8, maxiter=3)
    x = random_element(f.domain, rng)
    proximal = f.proximal(5.0)
    with pytest.warns(ConvergenceWarning, match='after 3 iterations') as seen:
        proximal(x)
    assert proximal.n_iter == 3 and proximal.residual > 1e-8
    assert f'{proximal.residual:.2g}' in str(seen[0].message)
    assert seen[0].filename == __file__


def test_warning_where_the_precision_ends(rng):
    """In single precision, the solver stops where rounding takes over."""
    space = grid((16, 16), 'float32')
    f = LearnedRegularizer(space, Differences(), tol=1e-9, maxiter=5000)
    proximal = f.proximal(2.0)
    with pytest.warns(ConvergenceWarning, match=r'not possible in .*float32'):
        proximal(random_element(space, rng))
    assert proximal.n_iter < 500 and proximal.residual < 1e-5


class Wrong(Differences):
    """Energy with bounds that do not hold."""

    def __init__(self, lipschitz, modulus):
        super().__init__(convex=False)
        self.lipschitz, self.modulus = lipschitz, modulus

    def gradient_lipschitz(self, sigma=None):
        return self.lipschitz

    def weak_convexity(self, sigma=None):
        return self.modulus


def test_warning_where_the_modulus_is_wrong(rng):
    """A modulus that the gradients refute guarantees nothing."""
    space = grid((8, 8))
    f = LearnedRegularizer(space, Wrong(8.0, 0.0))
    x = 3 * random_element(space, rng)
    with pytest.warns(ConvergenceWarning, match='show at least'):
        f.proximal(5.0)(x)


def test_wrong_lipschitz_constant_does_no_harm(rng):
    """Steps that are too long are seen in the gradients."""
    space = grid((8, 8))
    x = random_element(space, rng)
    right, wrong = (
        LearnedRegularizer(space, Wrong(bound, 1.0)).proximal(0.8)
        for bound in (8.0, 0.1)
    )
    assert distance(wrong(x), right(x)) < 3e-4
    assert wrong.error_bound <= 1e-4


def test_warm_start_is_faster(rng):
    """The second time, the result before is the start, if it is better."""
    f = functional_of('real', tol=1e-6, warm_start=True)
    cold = functional_of('real', tol=1e-6)
    x = random_element(f.domain, rng)
    first = f.proximal(3.0)
    first(x)
    needed = first.n_iter
    near = x + 1e-4 * random_element(f.domain, rng)
    assert distance(first(near), cold.proximal(3.0)(near)) < 2e-5
    assert first.n_iter < 0.7 * needed
    # a start that is worse than the argument is not taken
    far = 1e-3 * random_element(f.domain, rng)
    first(far)
    other = cold.proximal(3.0)
    other(far)
    assert first.n_iter <= other.n_iter + 1
    # multiples and translations do not share it
    assert (2 * f)._state is None


# --- Multiples, translations, scales --- #


@each_kind
@pytest.mark.parametrize('make', ['multiple', 'argument', 'translation'])
def test_closed_operations_are_those_of_odl(kind, make, rng):
    """They have the value, gradient and proximal that ODL derives."""
    f = functional_of(kind, tol=1e-9, maxiter=4000, scale=1.5)
    shift = random_element(f.domain, rng)
    if make == 'multiple':
        ours = 0.5 * f
        theirs = odl.functionals.FunctionalLeftScalarMult(f, 0.5)
    elif make == 'argument':
        ours = f * 0.5
        theirs = odl.functionals.FunctionalRightScalarMult(f, 0.5)
    else:
        ours = f.translated(shift)
        theirs = odl.functionals.FunctionalTranslation(f, shift)
    assert isinstance(ours, LearnedRegularizer)
    x = random_element(f.domain, rng)
    assert complex(ours(x)) == pytest.approx(complex(theirs(x)))
    assert distance(ours.gradient(x), theirs.gradient(x)) < 1e-12
    ours, theirs = ours.proximal(0.4), theirs.proximal(0.4)
    assert distance(ours(x), theirs(x)) < 1e-7


def test_bounds_of_multiples_and_translations():
    """They follow the factors, squared where the argument has one."""
    space = grid()
    f = LearnedRegularizer(space, Differences(convex=False))
    for g, factor in (
        (f, 1),
        (3 * f, 3),
        (np.float64(3) * (2 * f), 6),
        (f * 3, 9),
        (2 * (f * 0.5).translated(space.one()), 0.5),
        (2 * f.translated(space.one()), 2),
    ):
        assert g.grad_lipschitz == pytest.approx(8 * factor)
        assert g.weak_convexity == pytest.approx(factor)
        assert g.largest_parameter == pytest.approx(1 / factor)
    assert (f * -3).grad_lipschitz == pytest.approx(72)
    assert (-2 * f).grad_lipschitz == pytest.approx(16)
    convex = LearnedRegularizer(space, Differences())
    assert (3 * convex).weak_convexity == 0
    assert (3 * convex).largest_parameter == math.inf


def test_other_multiples_are_those_of_odl(rng):
    """0 is the zero functional, and negative ones have no proximal."""
    f = functional_of('real')
    x = random_element(f.domain, rng)
    assert isinstance(0 * f, odl.functionals.ZeroFunctional)
    assert (-2 * f)(x) == pytest.approx(-2 * f(x))
    with pytest.raises(ValueError, match='negative'):
        (-2 * f).proximal  # noqa: B018
    with pytest.raises(TypeError):
        'two' * f


def test_translations_add_up(rng):
    """A translation of a translation shifts by the sum."""
    f = functional_of('real')
    a, b, x = (random_element(f.domain, rng) for _ in range(3))
    twice = (f * 2).translated(a).translated(b) * 3
    assert twice(x) == pytest.approx(f(2 * (3 * x - a - b)))
    with pytest.raises(ValueError, match='`shift` must be finite'):
        f.translated(math.nan * a)
    a.assign(0 * a)
    assert twice(x) != pytest.approx(f(2 * (3 * x - b)))


def test_sums(rng):
    """Sums have the gradients and Hessians of both."""
    f = functional_of('real')
    norm = odl.functionals.L2NormSquared(f.domain)
    x, h = (random_element(f.domain, rng) for _ in range(2))
    for total in (f + norm, norm + f):
        assert total(x) == pytest.approx(f(x) + norm(x))
        assert distance(total.gradient(x), f.gradient(x) + 2 * x) < 1e-13
        product = total.gradient.derivative(x)(h)
        expected = f.gradient.derivative(x)(h) + 2 * h
        assert distance(product, expected) < 1e-13
    assert (f + f).grad_lipschitz == 16
    proximal = (f + 3).proximal(0.5)
    assert distance(proximal(x), f.proximal(0.5)(x)) == 0


@pytest.mark.parametrize('noise_level', [False, True])
def test_scale_is_another_unit(noise_level, rng):
    """In a unit c times as large, images and proximals are c times those."""
    space = grid()
    energy = Differences(convex=False, noise_level=noise_level)
    sigma, other_sigma = (0.5, 5.0) if noise_level else (None, None)
    f = LearnedRegularizer(space, energy, sigma=sigma)
    g = LearnedRegularizer(space, energy, sigma=other_sigma, scale=10)
    x = random_element(space, rng)
    assert g(10 * x) == pytest.approx(100 * f(x))
    assert distance(g.gradient(10 * x), 10 * f.gradient(x)) < 1e-13
    ours, theirs = g.proximal(0.7)(10 * x), 10 * f.proximal(0.7)(x)
    assert distance(ours, theirs) < 1e-12
    assert g.weak_convexity == f.weak_convexity == 1


def test_convex_conjugate_has_a_proximal(rng):
    """``prox_s f*(x) = x - s prox_{f/s}(x/s)``, of multiples too."""
    f = functional_of('real', tol=1e-9)
    x = random_element(f.domain, rng)
    for g in (f, 3 * f, f.translated(x)):
        conjugate = g.convex_conj
        assert conjugate.convex_conj is g
        expected = x - 0.5 * g.proximal(2.0)(2 * x)
        assert distance(conjugate.proximal(0.5)(x), expected) < 1e-12


@pytest.mark.parametrize('kind', ['weak', 'magnitude'])
def test_convex_conjugate_needs_convexity(kind):
    """Moreau's identity does not hold for others."""
    with pytest.raises(NotImplementedError, match='weak_convexity='):
        functional_of(kind).convex_conj  # noqa: B018


# --- Symmetry --- #


@pytest.mark.parametrize('size', [5, 6])
@pytest.mark.parametrize('convex', [True, False])
def test_invariant_energies_are_invariant(dtype, convex, size, backend):
    """``J(g u) = J(u)`` up to rounding, for all of D4."""
    space = grid((size, size), dtype, backend)
    f = LearnedRegularizer(space, Differences(convex))
    tol = 1e-6 if dtype == 'float32' else 1e-12
    for action in group_actions(space, 'D4'):
        assert invariance_error(f, action) <= tol


@pytest.mark.parametrize('size', [5, 6])
@pytest.mark.parametrize(
    ('kind', 'parameter'),
    [('real', 2.0), ('weak', 0.9), ('parts', 0.5), ('magnitude', 0.5)],
)
def test_proximals_of_invariant_energies_are_equivariant(
    kind, parameter, size
):
    """``prox(g u) = g prox(u)`` up to twice the tolerance."""
    f = functional_of(kind, (size, size), warm_start=True)
    proximal = f.proximal(parameter)
    _, *moves = group_actions(f.domain, 'D4')
    x = random_element(f.domain, np.random.default_rng(0))
    room = float(x.norm() / proximal(x).norm())
    for action in moves[::3]:
        error = equivariance_error(proximal, action)
        assert error <= 2 * f.tol * room
        assert equivariance_error(f.gradient, action) < 1e-13


# --- Bad input --- #


def test_energies_are_modules_with_bounds():
    """Modules and functions that are no energies are refused."""
    space = grid()
    with pytest.raises(TypeError, match='must be an .*Energy'):
        LearnedRegularizer(space, lambda x: x)
    with pytest.raises(TypeError, match='`LearnedProximal`'):
        LearnedRegularizer(space, nn.Tanh())


class Shaped(Tikhonov):
    """Energy of a wrong shape."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, sigma=None):
        return self.function(x)


@pytest.mark.parametrize(
    'function',
    [
        lambda x: x,
        lambda x: x.sum(),
        lambda x: x.flatten(1).sum(1, keepdim=True),
        lambda x: x.flatten(1),
    ],
)
def test_energies_are_scalar(function):
    """One number for each image is wanted, when the functional is made."""
    with pytest.raises(ValueError, match='one number for each image'):
        LearnedRegularizer(grid(), Shaped(function))


def test_energies_are_tensors_of_the_precision():
    """No other type or precision is taken."""
    with pytest.raises(TypeError, match=r'torch\.Tensor'):
        LearnedRegularizer(grid(), Shaped(lambda x: 1.0))
    with pytest.raises(TypeError, match='precision'):
        LearnedRegularizer(
            grid(), Shaped(lambda x: x.float().flatten(1).sum(1))
        )
    energy = Shaped(lambda x: x.flatten(1).sum(1))
    energy.slope = nn.Parameter(torch.ones(3))
    with pytest.raises(TypeError, match='float32 weights'):
        LearnedRegularizer(grid(), energy)


def test_gradients_are_like_images():
    """An energy with a gradient of its own, of another shape, is named."""

    class Cropped(Tikhonov):
        def gradient(self, x, sigma=None):
            return x[..., :2]

    f = LearnedRegularizer(grid(), Cropped())
    for use in (f.gradient, f.proximal(1.0)):
        with pytest.raises(ValueError, match=r'Cropped\.gradient'):
            use(f.domain.one())


def test_energies_are_told_the_space_of_their_images():
    """An energy with ``check_space`` is asked whether the space fits."""

    class Even(Tikhonov):
        def check_space(self, space):
            if space != grid() ** 2:
                raise ValueError('another space')

    complex_space = grid(dtype='complex128')
    LearnedRegularizer(grid() ** 2, Even(2))
    LearnedRegularizer(complex_space**2, Even(2), complex_values='parts')
    with pytest.raises(ValueError, match='another space'):
        LearnedRegularizer(complex_space, Even(), complex_values='magnitude')


def test_energies_that_fail_are_named():
    """What torch says comes with the name and the shape."""
    energy = Shaped(lambda x: x @ torch.ones(3, dtype=x.dtype))
    with pytest.raises(ValueError, match=r'Shaped fails .* \(1, 1, 6, 6\)'):
        LearnedRegularizer(grid(), energy)


@pytest.mark.parametrize(
    ('dtype', 'parts', 'in_channels', 'complex_values', 'expected'),
    [
        ('float64', 0, 2, None, 'in_channels=1, got in_channels=2'),
        ('float64', 0, 1, 'parts', 'is for complex spaces'),
        ('float64', 3, 2, None, 'in_channels=1 or 3'),
        ('complex128', 0, 1, None, "complex_values='magnitude'"),
        ('complex128', 0, 2, 'parts', 'in_channels=1'),
        ('complex128', 2, 3, None, 'in_channels=2 or 4'),
    ],
)
def test_channels_have_to_fit(
    dtype, parts, in_channels, complex_values, expected
):
    """The error names the channels that fit, and the choices."""
    space = grid(dtype=dtype)
    space = space**parts if parts else space
    with pytest.raises(ValueError, match=expected):
        LearnedRegularizer(
            space, Tikhonov(in_channels), complex_values=complex_values
        )


def test_weights_of_a_space_have_to_be_constant():
    """Half cells and weighted parts are refused."""
    halves = odl.uniform_discr([0, 0], [1, 1], (4, 4), nodes_on_bdry=True)
    parts = odl.ProductSpace(grid(), grid(), weighting=[1.0, 2.0])
    for space in (halves, parts):
        with pytest.raises(ValueError, match='one weight'):
            LearnedRegularizer(space, Tikhonov())


@pytest.mark.parametrize('sigma', [0, -1, math.nan, math.inf])
def test_noise_level_has_to_be_positive(sigma):
    """Other noise levels are errors."""
    with pytest.raises(ValueError, match='`sigma` must be'):
        LearnedRegularizer(grid(), Differences(noise_level=True), sigma)


def test_noise_level_is_given_where_it_is_needed():
    """It is an error to leave it out, or to give one that has no effect."""
    with pytest.raises(ValueError, match='needs a noise level'):
        LearnedRegularizer(grid(), Differences(noise_level=True))
    with pytest.raises(ValueError, match='has no noise level'):
        LearnedRegularizer(grid(), Differences(), sigma=0.1)


@pytest.mark.parametrize(
    ('name', 'value', 'error'),
    [
        ('scale', 0, ValueError),
        ('scale', '1', TypeError),
        ('weight', -1, ValueError),
        ('tol', 0, ValueError),
        ('maxiter', 0, ValueError),
        ('maxiter', 1.5, TypeError),
        ('complex_values', 'both', ValueError),
    ],
)
def test_arguments_are_checked(name, value, error):
    """Wrong arguments are named."""
    with pytest.raises(error, match=name):
        LearnedRegularizer(grid(), Tikhonov(), **{name: value})


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_values_have_to_be_finite(value, backend):
    """Value, derivatives and proximal refuse what is not finite."""
    space = grid(backend=backend)
    f = LearnedRegularizer(space, Tikhonov())
    x = space.element(np.full(space.shape, value))
    good = space.one()
    for use in (
        lambda: f(x),
        lambda: f.gradient(x),
        lambda: f.gradient.derivative(x),
        lambda: f.gradient.derivative(good)(x),
        lambda: f.proximal(1.0)(x),
    ):
        with pytest.raises(ValueError, match='finite'):
            use()


def test_energies_that_are_not_finite_are_named():
    """NaN from finite images is an error, not a result."""
    space = grid()
    f = LearnedRegularizer(space, Shaped(lambda x: x.sqrt().flatten(1).sum(1)))
    bad = -1 * space.one()
    for use in (f, f.gradient, f.proximal(1.0)):
        with pytest.raises(ValueError, match=r'NaN|finite'):
            use(bad)


def test_wrong_arguments_are_described():
    """Errors name the space and the shape, not all numbers."""
    f = functional_of('real')
    for x in (None, np.zeros((3, 3)), 'image'):
        for use in (f, f.gradient):
            with pytest.raises(odl.core.operator.OpDomainError, match='shape'):
                use(x)


def test_values_far_from_the_training_give_a_warning(backend):
    """Images in another unit are warned of, once, unless scaled."""
    space = grid(backend=backend)
    energy = Tikhonov()
    energy.value_range = (0.0, 1.0)
    x = 1000 * space.element(np.random.default_rng(0).random(space.shape))
    for use in (
        lambda f: f(x),
        lambda f: f.gradient(x),
        lambda f: f.proximal(1.0)(x),
    ):
        f = LearnedRegularizer(space, energy)
        with pytest.warns(UserWarning, match='`LearnedRegularizer`') as seen:
            use(f)
        assert seen[0].filename == __file__
        use(f)
        use(LearnedRegularizer(space, energy, scale=1000))


def test_unit_of_magnitudes_is_checked():
    """A phase does not make magnitudes alien."""
    space = grid(dtype='complex128')
    energy = Tikhonov()
    energy.value_range = (0.0, 1.0)
    f = LearnedRegularizer(space, energy, complex_values='magnitude')
    values = np.random.default_rng(0).random(space.shape)
    f(-1j * space.element(values))
    with pytest.warns(UserWarning, match='trained on images'):
        f(-100j * space.element(values))


# --- As an object --- #


def test_pickle(rng):
    """A functional survives pickling, with what it is."""
    f = 2 * functional_of('weak', scale=2.0)
    again = pickle.loads(pickle.dumps(f))
    x = random_element(f.domain, rng)
    assert again(x) == f(x)
    assert distance(again.proximal(0.3)(x), f.proximal(0.3)(x)) == 0
    assert again.weak_convexity == 2


def test_repr():
    """The text names space, energy and settings, and no numbers of images."""
    f = functional_of('weak', scale=2.0)
    assert repr(3 * f) == (
        f'LearnedRegularizer({describe_space(f.domain)}, Differences(...), '
        'scale=2.0, weight=3.0, tol=0.0001)'
    )
    moved = f.translated(f.domain.one())
    assert repr(moved).endswith('.translated(...)')
    assert repr(f.gradient) == f'{f!r}.gradient'
