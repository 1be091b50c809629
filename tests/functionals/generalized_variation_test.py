# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the total generalized variation and of its proximal."""

import itertools

import numpy as np
import odl
import pytest
import scipy.optimize
import torch
from odl.core.util.testutils import simple_fixture
from odl.functionals import L2NormSquared, SeparableSum, ZeroFunctional

from odl_equivariant.actions import Reflection, Translation, group_actions
from odl_equivariant.diagnostics import (
    assert_adjoint,
    assert_equivariant,
    assert_invariant,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import inner, norm, random_element
from odl_equivariant.elements import as_tensor
from odl_equivariant.functionals import (
    ConvergenceWarning,
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
    LiftedGradients,
    _generalized_dual,
)
from odl_equivariant.functionals._tensors import doubled, to_tensor
from odl_equivariant.operators import OperatorLayer

dtype = simple_fixture('dtype', ['float32', 'float64', 'complex64'])
size = simple_fixture('size', [4, 5])
pad_mode = simple_fixture('pad_mode', ['symmetric', 'periodic'])

ALPHA = (1.5, 0.8)


def square(size=5, dtype='float64', backend='numpy', **kwargs):
    """Return a space on a square grid with cells of side 0.5."""
    side = 0.5 * size
    return odl.uniform_discr(
        [0, 0], [side, side], (size, size), dtype=dtype, impl=backend, **kwargs
    )


def weighted_pair(dtype='complex128', backend='numpy', size=4):
    """Return two copies of a space, weighted by 2 and 3."""
    space = square(size, dtype, backend)
    return odl.ProductSpace(space, 2, weighting=[2.0, 3.0])


def spaces():
    """Return one space of each kind."""
    return {
        'real': square(),
        'float32': square(4, 'float32'),
        'complex': square(dtype='complex128'),
        'torch': square(dtype='complex64', backend='pytorch'),
        'half cells': square(nodes_on_bdry=True),
        'weighting 1': square(weighting=1.0),
        'pair': weighted_pair(),
        'torch pair': weighted_pair('float32', 'pytorch'),
    }


each_space = pytest.mark.parametrize(
    'space', spaces().values(), ids=spaces().keys()
)
SHAPES = [(9,), (2,), (1, 4), (2, 2), (3, 6), (3, 3, 4), (2, 2, 2)]


def cells(shape, sides=None, **kwargs):
    """Return a space with cells of given sides, of 1 unless given."""
    sides = np.ones(len(shape)) if sides is None else np.array(sides)
    return odl.uniform_discr(
        np.zeros(len(shape)), sides * shape, shape, **kwargs
    )


def variation(space, tol=1e-2, **kwargs):
    """Return a functional whose two terms have similar weights."""
    return InvariantTotalGeneralizedVariation(
        space, ALPHA, tol=tol, maxiter=20000, **kwargs
    )


# --- The terms --- #


def by_the_definition(u, fields, side):
    """Return both terms for arrays of P images and of S x d x P fields."""
    shape = u.shape[1:]

    def inside(k):
        return all(0 <= m < n for m, n in zip(k, shape, strict=True))

    def moved(k, axis, step):
        return tuple(m + step * (i == axis) for i, m in enumerate(k))

    def has_edge(k, axis, signs):
        return inside(k) and inside(moved(k, axis, signs[axis]))

    terms = np.zeros(2)
    n_stencils = 2 ** len(shape)
    stencils = itertools.product((1, -1), repeat=len(shape))
    axes = range(len(shape))
    for field, signs in zip(fields, stencils, strict=True):

        def component(i, k, field=field, signs=signs):
            return field[(i, slice(None), *k)] * has_edge(k, i, signs)

        def derivative(i, j, k, signs=signs, component=component):
            before = moved(k, j, -signs[j])
            if not (has_edge(k, i, signs) and has_edge(before, i, signs)):
                return 0.0
            step = component(i, k) - component(i, before)
            return signs[j] * step / side

        for k in np.ndindex(shape):
            first = second = 0.0
            for i in axes:
                if has_edge(k, i, signs):
                    after = u[(slice(None), *moved(k, i, signs[i]))]
                    slope = signs[i] * (after - u[(slice(None), *k)]) / side
                    first += np.sum(np.abs(slope - component(i, k)) ** 2)
                for j in axes:
                    entry = derivative(i, j, k) + derivative(j, i, k)
                    second += np.sum(np.abs(entry / 2) ** 2)
            terms += np.sqrt([first, second])
    return terms / n_stencils


@pytest.mark.parametrize('shape', [(5,), (4, 3), (2, 3, 3)], ids=str)
def test_norm_after_the_operator_by_the_definition(shape, dtype, rng):
    """Both terms are means over the stencils of the lengths of tensors."""
    side = 0.5
    space = cells(shape, [side] * len(shape), dtype=dtype)
    J = variation(space)
    x = random_element(J.lifted_space, rng)
    data = as_tensor(x).double().numpy()[0]
    n = 2 if 'complex' in dtype else 1
    scale = side / 2 ** (len(shape) / 2)
    fields = data[n:].reshape(2 ** len(shape), len(shape), n, *shape) / scale
    terms = by_the_definition(data[:n], fields, side)
    expected = np.dot(ALPHA, terms) * side ** len(shape)
    split = J.norm_functional(J.operator(x))
    assert split == pytest.approx(expected, rel=1e-5)


@each_space
def test_adjoint_of_the_operator(space):
    """The adjoint is that of the weighted inner products."""
    operator = LiftedGradients(space)
    assert_adjoint(operator)
    assert operator.adjoint.adjoint is operator


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_adjoint_in_any_dimension(shape, pad_mode):
    """The same on all grids, continued periodically or not."""
    assert_adjoint(LiftedGradients(cells(shape), pad_mode))


@each_space
def test_norm_bound(space, rng):
    """The bound is above the norm, and not far above it."""
    operator = LiftedGradients(space)
    x = random_element(operator.domain, rng)
    for _ in range(30):
        x = operator.adjoint(operator(x))
        x = (1 / norm(operator.domain, x)) * x
    largest = norm(operator.range, operator(x))
    assert 0.6 * operator.norm_bound < largest
    assert largest < 1.0001 * operator.norm_bound


def test_a_batch_of_lifted_images(dtype, backend, rng):
    """The operator is a fast layer for batches, with the same values."""
    operator = LiftedGradients(square(4, dtype, backend))
    x = [random_element(operator.domain, rng) for _ in range(3)]
    batch = torch.cat([as_tensor(each) for each in x])
    expected = torch.cat([as_tensor(operator(each)) for each in x])
    torch.testing.assert_close(OperatorLayer(operator)(batch), expected)


# --- The value --- #


@pytest.mark.parametrize('n', [3, 8])
def test_value_is_that_of_linear_programming(n, rng):
    """On a line the minimum over fields is a linear program."""
    space = cells((n,))
    u = rng.standard_normal(n)
    slopes = np.diff(u)
    # fields, then bounds of the two terms
    bends = np.diff(np.eye(n - 1), axis=0)
    cost = np.r_[np.zeros(n - 1), np.full(n - 1, 1.5), np.full(n - 2, 0.8)]
    near, far = np.eye(n - 1), np.zeros((n - 1, n - 2))
    no, at = np.zeros((n - 2, n - 1)), np.eye(n - 2)
    rows = [[near, -near, far], [-near, -near, far]]
    rows += [[bends, no, -at], [-bends, no, -at]]
    limits = np.r_[slopes, -slopes, np.zeros(2 * (n - 2))]
    program = scipy.optimize.linprog(
        cost, np.block(rows), limits, bounds=(None, None)
    )
    value = variation(space, tol=1e-6)(space.element(u))
    assert value == pytest.approx(program.fun, rel=1e-5)


@pytest.mark.slow
def test_value_is_the_minimum_over_fields(rng):
    """Other fields give larger values, and a solver of ODL gives the same."""
    space = odl.ProductSpace(
        cells((4,), dtype='complex128'), 2, weighting=[2.0, 3.0]
    )
    J = variation(space, tol=1e-4)
    u = random_element(space, rng)
    lift, fields = J.operator, J.lifted_space[1]
    image = odl.ComponentProjection(J.lifted_space, 0).adjoint(u)
    inject = odl.ComponentProjection(J.lifted_space, 1).adjoint
    v = fields.zero()
    energy = J.norm_functional.translated(-1 * lift(image))
    step = 1 / lift.norm_bound
    odl.solvers.pdhg(
        v, ZeroFunctional(fields), energy, lift @ inject, 150, step, step
    )
    assert energy(lift(inject(v))) == pytest.approx(J(u), rel=1e-3)


def test_invariance_under_the_symmetries_of_the_square(size, pad_mode):
    """Rotating and mirroring changes the value by rounding only."""
    space = square(size)
    J = variation(space, pad_mode=pad_mode)
    assert_invariant(J, group_actions(space, 'D4')[1::4], tol=1e-12)


@each_space
def test_invariance_in_all_kinds_of_spaces(space):
    """Invariance holds with weights, half cells and channels."""
    J = variation(space)
    assert_invariant(J, group_actions(space, 'D4')[1::4], tol=1e-12)


def test_invariance_under_the_symmetries_of_a_rectangle(pad_mode):
    """If cells are not square, reflections keep the value."""
    space = cells((4, 5), (0.5, 0.8))
    J = variation(space, pad_mode=pad_mode)
    assert_invariant(J, [Reflection(space, i) for i in (0, 1)], tol=1e-12)


def test_invariance_under_the_symmetries_of_the_cube(pad_mode, rng):
    """In 3D, permutations and reflections of the axes keep the value."""
    space = cells((3, 3, 3))
    J = variation(space, pad_mode=pad_mode)
    u = rng.standard_normal(space.shape)
    value = J(space.element(u))
    for moved in (u.transpose(1, 2, 0), u.transpose(1, 0, 2), u[:, ::-1]):
        same = J(space.element(np.ascontiguousarray(moved)))
        assert same == pytest.approx(value, rel=1e-12)


def test_invariance_under_periodic_translations():
    """A periodic variation is invariant under periodic shifts."""
    space = square()
    moves = [Translation(space, shift) for shift in ((0.5, 0), (-1, 1.5))]
    J = variation(space, pad_mode='periodic')
    assert_invariant(J, moves, tol=1e-12)
    assert invariance_error(variation(space, tol=1e-3), moves[0]) > 1e-2


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_only_affine_images_have_the_value_zero(shape, rng):
    """Affine images, and no others, have the value zero."""
    space = cells(shape)
    J = variation(space)
    basis = [space.element(e.reshape(shape)) for e in np.eye(space.size)]
    matrix = []
    for e in basis:
        pair = J.lifted_space.element([e, J.lifted_space[1].zero()])
        gradients = J.operator(pair)[0]
        pair = J.lifted_space.element([space.zero(), gradients])
        matrix.append(as_tensor(J.operator(pair)[1]).flatten().numpy())
    n_affine = 1 + sum(n > 1 for n in shape)
    assert np.linalg.matrix_rank(matrix) == space.size - n_affine
    slopes = rng.standard_normal(len(shape))
    ramp = space.element(
        lambda x: 2.0 + sum(a * t for a, t in zip(slopes, x, strict=True))
    )
    assert J(ramp) < 1e-13
    if space.size > n_affine:
        assert J(random_element(space, rng)) > 1e-2


def test_periodic_ramps_are_sawtooths(rng):
    """With periodic boundaries, only constants have the value zero."""
    space = cells((4, 5))
    J = variation(space, pad_mode='periodic')
    assert J(space.one()) == 0
    assert J(space.element(lambda x: x[0])) > 1


def test_a_checkerboard_has_a_value(size):
    """No checkerboard is invisible, as it is to central differences."""
    space = square(size)
    i, j = np.indices(space.shape)
    board = space.element((-1.0) ** (i + j))
    assert variation(space)(board) > 1


@pytest.mark.parametrize('kind', ['complex', 'half cells', 'torch pair'])
def test_seminorm_below_the_total_variation(kind, rng):
    """Homogeneous, subadditive, and not above the variation."""
    space = spaces()[kind]
    J = variation(space)
    TV = ALPHA[0] * InvariantTotalVariation(space)
    x, y = random_element(space, rng), random_element(space, rng)
    slack = 1e-2 * (TV(x) + TV(y))
    assert abs(J(-2.5 * x) - 2.5 * J(x)) < 2.5 * slack
    assert J(x + y) < J(x) + J(y) + slack
    assert J(x) < 1.000001 * TV(x)


def test_default_weights_are_those_of_two_cells():
    """The default ratio of the weights is two cells."""
    J = InvariantTotalGeneralizedVariation(cells((4, 4), (0.5, 0.5)))
    assert J.alpha == (1.0, 1.0)


def test_value_that_is_not_known_is_announced(rng):
    """A value that misses the tolerance gives a warning."""
    space = square()
    J = InvariantTotalGeneralizedVariation(space, ALPHA, tol=1e-9, maxiter=3)
    with pytest.warns(ConvergenceWarning, match='after 3 iterations'):
        J(random_element(space, rng))


# --- The proximal --- #


@pytest.mark.slow
def test_proximal_agrees_with_a_solver_of_odl(rng):
    """``pdhg`` with operator and norm comes to the same minimiser."""
    space = square(3, nodes_on_bdry=True)
    J = variation(space, tol=1e-3)
    f = random_element(space, rng)
    u = J.proximal(0.2)(f)
    fit = SeparableSum(
        0.5 * L2NormSquared(space).translated(f),
        ZeroFunctional(J.lifted_space[1]),
    )
    x = J.lifted_space.zero()
    step = 1 / J.operator.norm_bound
    odl.solvers.pdhg(
        x, fit, 0.2 * J.norm_functional, J.operator, 100, step, step
    )
    assert norm(space, x[0] - u) < 4e-3 * norm(space, f)


@each_space
def test_proximal_and_value_belong_together(space, rng):
    """A seminorm has <f - u, u> = sigma J(u) at its proximal u."""
    J = variation(space, tol=5e-3)
    f = random_element(space, rng)
    u = J.proximal(0.2)(f)
    product = inner(space, f - u, u).real
    slack = 1e-2 * norm(space, f) * max(norm(space, u), norm(space, f - u))
    slack += 0.2 * 5e-3 * ALPHA[0] * InvariantTotalVariation(space)(u)
    assert product > 2 * slack
    assert abs(product - 0.2 * J(u)) < slack


def test_scaled_norms_have_the_scaled_conjugate(rng):
    """Moreau: the proximals of a multiple and its conjugate add up."""
    J = variation(square(4))
    F = 0.2 * J.norm_functional
    y = random_element(F.domain, rng)
    total = 0.5 * F.convex_conj.proximal(2.0)(2.0 * y) + F.proximal(0.5)(y)
    assert norm(F.domain, total - y) < 1e-12 * norm(F.domain, y)


def test_proximal_minimises(backend, rng):
    """Every other element has a larger objective, by half a square."""
    space = square(4, 'complex64', backend)
    J = variation(space, tol=3e-3)
    f = random_element(space, rng)
    u = J.proximal(0.1)(f)

    def objective(x):
        return norm(space, x - f) ** 2 / 2 + 0.1 * J(x)

    least = objective(u)
    for size in (1e-1, 1.0):
        d = size * random_element(space, rng)
        slack = 3e-3 * (least + norm(space, f) * norm(space, d))
        gain = objective(u + d) - least
        assert gain > norm(space, d) ** 2 / 2 - slack


@pytest.mark.slow
def test_the_tolerance_is_kept(rng):
    """The error is below the bound, which is below the tolerance."""
    space = square(nodes_on_bdry=True)
    f = random_element(space, rng)
    exact = variation(space, tol=5e-4).proximal(0.2)(f)
    errors = []
    for tol in (3e-1, 3e-2, 3e-3):
        prox = variation(space, tol=tol).proximal(0.2)
        errors.append(norm(space, prox(f) - exact) / norm(space, f))
        assert errors[-1] <= prox.error_bound + 5e-4
        assert prox.error_bound <= tol
    assert errors[-1] < 0.1 * errors[0]


@each_space
def test_proximal_is_equivariant(space):
    """The proximal is equivariant up to rounding, at any tolerance."""
    prox = variation(space, tol=1e-1).proximal(0.2)
    single = {torch.float32: 1e-6, torch.float64: 1e-12}
    tol = single[as_tensor(space.zero()).dtype]
    assert_equivariant(prox, group_actions(space, 'D4')[1::4], tol=tol)


@pytest.mark.parametrize('shape', [(7,), (4, 5), (3, 3, 4)], ids=str)
def test_affine_images_pass_the_proximal(shape):
    """The proximal keeps affine images at any parameter."""
    space = cells(shape)
    f = space.element(lambda x: 1.0 + sum(x))
    u = variation(space, tol=1e-4).proximal(10.0)(f)
    assert norm(space, u - f) < 1e-4 * norm(space, f)


def test_ramps_are_not_made_into_stairs(rng):
    """A denoised ramp is closer to the ramp than with total variation."""
    space = cells((10, 10))
    ramp = space.element(lambda x: x[0] / 2)
    f = ramp + 0.2 * random_element(space, rng)
    u = variation(space).proximal(0.3)(f)
    stairs = InvariantTotalVariation(space).proximal(0.3 * ALPHA[0])(f)
    assert norm(space, u - ramp) < 0.5 * norm(space, stairs - ramp)


def test_scaled_functional_has_the_scaled_parameter(rng):
    """``(2 J).proximal(0.1)`` is ``J.proximal(0.2)``."""
    space = square()
    J = variation(space)
    f = random_element(space, rng)
    assert (2 * J).proximal(0.1)(f) == J.proximal(0.2)(f)


def test_warm_start_saves_iterations(rng):
    """A second call nearby starts where the first has ended."""
    space = square()
    f = random_element(space, rng)
    nearby = f + 1e-3 * random_element(space, rng)
    counts, results = [], []
    for warm_start in (False, True):
        J = variation(space, warm_start=warm_start)
        J.proximal(0.2)(f)
        prox = J.proximal(0.2)
        results.append(prox(nearby))
        counts.append(prox.n_iter)
    assert counts[1] < 0.7 * counts[0]
    assert norm(space, results[0] - results[1]) < 2e-2 * norm(space, f)


def fields_of(space, f, sigma=0.2, state=None):
    """Return a problem of the inner solver, its image and gradients."""
    J = variation(space)
    second = J.operator._second
    gradients = second.gradients(f)
    if state is None:
        zero = torch.zeros_like(gradients)
        state = zero.clone(), zero.clone(), second.derivatives(zero)
    norm = second.combined_norm_bound()
    fields = _generalized_dual._Fields(second, J._weights(sigma), norm, *state)
    fields.balance(gradients, 0.3)
    return fields, gradients


def assert_feasible(fields):
    """Neither q nor E*q is above its weight."""
    second, weights = fields.second, fields.weights
    moduli = second.first.moduli
    # with relaxation, they are not feasible on their own
    assert moduli(fields.dual).max() > weights[1]
    q = fields.feasible_dual()
    assert moduli(q).max() < (1 + 1e-9) * weights[1]
    field = second.derivatives_adjoint(q)
    assert moduli(field).max() < (1 + 1e-9) * weights[0]
    torch.testing.assert_close(fields.feasible(), field)


@each_space
def test_a_bound_rests_on_a_feasible_dual_variable(space, rng):
    """In the middle of iterations, in all kinds of spaces."""
    f = doubled(to_tensor(random_element(space, rng)))
    fields, gradients = fields_of(space, f)
    for _ in range(3):
        for _ in range(4):
            fields.step(gradients)
        assert_feasible(fields)


def test_large_images_have_feasible_dual_variables():
    """Projections have not converged there, and one factor does the rest."""
    space = cells((64, 64))
    noise = np.random.default_rng(0)
    f = doubled(to_tensor(random_element(space, noise)))
    fields, gradients = fields_of(space, f)
    for _ in range(10):
        fields.step(gradients)
    assert_feasible(fields)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('maxiter', [5, 40])
def test_the_bound_is_that_of_the_feasible_dual_variable(dtype, maxiter, rng):
    """In double precision, also after iterations in single precision."""
    space = cells((24, 25), dtype=dtype)
    f = to_tensor(random_element(space, rng))
    J = variation(space)
    u, state, bound, n_iter = _generalized_dual.denoise(
        J.operator._second, f, J._weights(0.2), 1e-3, maxiter
    )
    assert u.dtype == torch.float64 and n_iter == maxiter
    f = doubled(f)
    fields, gradients = fields_of(space, f, state=map(doubled, state))
    problem = fields, f, u, gradients
    expected = _generalized_dual._bound_of(*problem, fields.feasible())
    assert bound == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
def test_a_small_bound_takes_hundreds_of_iterations(dtype, rng):
    """1e-3 is guaranteed on noise at edges, for weak and strong parameters."""
    space = cells((24, 25), dtype=dtype)
    edge = space.element(lambda x: (x[0] > 9) * 1.0 + (x[1] > 12) * 0.02)
    f = edge + 0.1 * random_element(space, rng)
    J = InvariantTotalGeneralizedVariation(space, tol=1e-3, maxiter=2000)
    exact = InvariantTotalGeneralizedVariation(space, tol=5e-4, maxiter=20000)
    for sigma in (0.05, 0.3):
        prox = J.proximal(sigma)
        u = prox(f)
        assert prox.error_bound <= 1e-3
        gap = norm(space, u - exact.proximal(sigma)(f)) / norm(space, f)
        assert gap <= prox.error_bound + 5e-4


def test_too_few_iterations_are_announced(rng):
    """A result that misses the tolerance gives a warning."""
    space = square()
    J = InvariantTotalGeneralizedVariation(space, ALPHA, tol=1e-9, maxiter=3)
    with pytest.warns(ConvergenceWarning, match='after 3 iterations'):
        J.proximal(1.0)(random_element(space, rng))


def test_proximal_of_zero():
    """Zero stays zero, and takes no iteration."""
    space = square()
    prox = variation(space).proximal(1.0)
    assert prox(space.zero()) == space.zero()
    assert prox.n_iter == 0


# --- What is refused --- #


@pytest.mark.parametrize(
    'alpha, match',
    [
        (1.0, 'two weights.*1.0'),
        ((1.0, 2.0, 3.0), 'two weights'),
        ((0.0, 1.0), 'first weight.*0.0'),
        ((1.0, -1.0), 'second weight.*-1.0'),
    ],
)
def test_weights_that_are_no_weights_are_refused(alpha, match):
    """The error names which of the two is wrong."""
    with pytest.raises(ValueError, match=match):
        InvariantTotalGeneralizedVariation(square(), alpha)


def test_there_is_no_gradient():
    """The error says what to use instead."""
    with pytest.raises(NotImplementedError, match='norm_functional'):
        _ = variation(square()).gradient


# --- Extreme sizes, in both variations --- #


@pytest.mark.parametrize('scale', [2.0**-600, 2.0**600])
@pytest.mark.parametrize(
    'make', [InvariantTotalVariation, InvariantTotalGeneralizedVariation]
)
def test_extreme_values_scale(make, scale):
    """J(c u) = c J(u), and so for the proximal, where squares overflow."""
    space = square(4)
    J = make(space, tol=0.05)
    u = random_element(space, np.random.default_rng(0))
    assert J(scale * u) == pytest.approx(scale * J(u))
    prox, scaled = J.proximal(0.1), J.proximal(scale * 0.1)
    gap = scaled(scale * u).asarray() / scale - prox(u).asarray()
    assert np.abs(gap).max() < 0.1 * np.abs(u.asarray()).max()
    assert 0 < scaled.error_bound <= 0.05


@pytest.mark.parametrize(
    'make', [InvariantTotalVariation, InvariantTotalGeneralizedVariation]
)
def test_values_that_are_not_finite(make):
    """The value is infinite for infinite images, and NaN for NaN."""
    space = square(4)
    u = space.one()
    u[1, 2] = np.inf
    assert make(space)(u) == np.inf
    u[1, 2] = np.nan
    assert np.isnan(make(space)(u))


@pytest.mark.parametrize('maxiter', [None, np.inf, [1], np.nan, 0, True, 2.5])
def test_what_is_no_number_of_iterations_is_refused(maxiter):
    """The error names the parameter."""
    error = ValueError if maxiter == 0 else TypeError
    with pytest.raises(error, match='`maxiter`.*positive whole number'):
        InvariantTotalGeneralizedVariation(square(), maxiter=maxiter)


@pytest.mark.parametrize('alpha', [([1, 2], [3]), (1.0,), 2.0, 'ab'])
def test_what_is_no_pair_of_weights_is_refused(alpha):
    """The error names the weights."""
    error = TypeError if alpha in (([1, 2], [3]), 'ab') else ValueError
    with pytest.raises(error, match='alpha'):
        InvariantTotalGeneralizedVariation(square(), alpha=alpha)
