# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the total variation that is invariant, and of its proximal."""

import itertools

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from odl.functionals import GroupL1Norm, L2NormSquared

from odl_equivariant.actions import Translation, group_actions
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
    OneSidedGradients,
)
from odl_equivariant.operators import OperatorLayer

dtype = simple_fixture('dtype', ['float32', 'float64', 'complex64'])
size = simple_fixture('size', [6, 7])
pad_mode = simple_fixture('pad_mode', ['symmetric', 'periodic'])


def square(size=6, dtype='float64', backend='numpy', **kwargs):
    """Return a space on a square grid with cells of side 0.5."""
    side = 0.5 * size
    return odl.uniform_discr(
        [0, 0], [side, side], (size, size), dtype=dtype, impl=backend, **kwargs
    )


def weighted_pair(dtype='complex128', backend='numpy', size=6):
    """Return two copies of a space, weighted by 2 and 3."""
    space = square(size, dtype, backend)
    return odl.ProductSpace(space, 2, weighting=[2.0, 3.0])


def spaces():
    """Return one space of each kind."""
    return {
        'real': square(),
        'float32': square(7, 'float32'),
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


def checkerboard(space):
    """Return a checkerboard of ones and minus ones."""
    i, j = np.indices(space.shape)
    return space.element((1.0 - 2 * ((i + j) % 2)).astype(space.dtype))


# --- The value --- #


def test_value_by_the_definition(dtype, backend, size, rng):
    """The value is the mean over the stencils of the lengths of gradients."""
    space = square(size, dtype, backend)
    x = random_element(space, rng)
    u = as_tensor(x).double().numpy()[0]
    total = 0.0
    for signs in itertools.product((1, -1), repeat=2):
        for i, j in np.ndindex(size, size):
            squares = 0.0
            for axis, sign in enumerate(signs):
                k = [i, j]
                k[axis] += sign
                if 0 <= k[axis] < size:
                    squares += np.sum((u[:, *k] - u[:, i, j]) ** 2) / 0.5**2
            total += 0.25 * np.sqrt(squares) / 4
    assert InvariantTotalVariation(space)(x) == pytest.approx(total, rel=1e-6)


def test_invariance_under_the_symmetries_of_the_square(
    dtype, backend, size, pad_mode
):
    """Rotating and mirroring changes the value by rounding only."""
    space = square(size, dtype, backend)
    J = InvariantTotalVariation(space, pad_mode)
    assert_invariant(J, group_actions(space, 'D4'), tol=1e-13)


@each_space
def test_invariance_in_all_kinds_of_spaces(space):
    """Invariance holds with weights, half cells and channels."""
    J = InvariantTotalVariation(space)
    assert_invariant(J, group_actions(space, 'D4'), tol=1e-13)


def test_invariance_under_periodic_translations():
    """A periodic variation is invariant under periodic shifts."""
    space = square()
    moves = [Translation(space, shift) for shift in ((0.5, 0), (-1, 1.5))]
    assert_invariant(InvariantTotalVariation(space, 'periodic'), moves)
    assert invariance_error(InvariantTotalVariation(space), moves[0]) > 1e-3


def test_forward_differences_are_not_invariant():
    """ODL's total variation changes by more than 0.1 percent."""
    space = square(16)
    gradient = odl.Gradient(space, method='forward', pad_mode='symmetric')
    variation = GroupL1Norm(gradient.range) @ gradient
    errors = [
        invariance_error(variation, g) for g in group_actions(space, 'D4')[1:]
    ]
    assert max(errors) > 1e-3


def test_a_checkerboard_has_a_value(size):
    """No checkerboard is invisible, as it is to central differences."""
    space = square(size)
    board = checkerboard(space)
    gradient = odl.Gradient(space, method='central', pad_mode='symmetric')
    inside = gradient(board)[0].asarray()[1:-1]
    assert np.abs(inside).max() == 0
    # the slope is 2 / 0.5 along both axes at all inner points
    least = 4 * np.sqrt(2) * 0.25 * (size - 2) ** 2
    assert InvariantTotalVariation(space)(board) > least


@pytest.mark.parametrize('shape', [(9,), (2, 5), (3, 4, 5), (1, 4)])
def test_only_constants_have_the_value_zero(shape, pad_mode, rng):
    """In any dimension, only constants have the value zero."""
    n = len(shape)
    space = odl.uniform_discr([0] * n, [1] * n, shape)
    gradients = OneSidedGradients(space, pad_mode)
    basis = [space.element(e.reshape(shape)) for e in np.eye(space.size)]
    matrix = [as_tensor(gradients(e)).flatten().numpy() for e in basis]
    assert np.linalg.matrix_rank(matrix) == space.size - 1
    J = InvariantTotalVariation(space, pad_mode)
    assert J(space.one()) == 0
    assert J(random_element(space, rng)) > 0


@each_space
def test_seminorm(space, rng):
    """The value is homogeneous and obeys the triangle inequality."""
    J = InvariantTotalVariation(space)
    x, y = random_element(space, rng), random_element(space, rng)
    assert J(-2.5 * x) == pytest.approx(2.5 * J(x), rel=1e-6)
    assert J(x + y) <= J(x) + J(y)


def test_an_edge_has_its_length_times_its_height():
    """A half plane of height 3 in a square of side 2 has the value 6."""
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    edge = space.element(lambda x: 3.0 * (x[0] > 0))
    assert InvariantTotalVariation(space)(edge) == pytest.approx(6.0)


# --- The operator and the norm --- #


@each_space
def test_adjoint_of_the_gradients(space):
    """The adjoint is that of the weighted inner products."""
    gradients = OneSidedGradients(space)
    assert_adjoint(gradients)
    assert_adjoint(gradients.adjoint)
    assert gradients.adjoint.adjoint is gradients


def test_adjoint_of_the_periodic_gradients(dtype, backend, size):
    """The same with the image continued periodically."""
    assert_adjoint(OneSidedGradients(square(size, dtype, backend), 'periodic'))


@each_space
def test_norm_bound(space):
    """The bound is above the norm, and not far above it."""
    gradients = OneSidedGradients(space)
    x = random_element(space, np.random.default_rng(0))
    for _ in range(100):
        x = gradients.adjoint(gradients(x))
        x = (1 / norm(space, x)) * x
    largest = norm(gradients.range, gradients(x))
    assert 0.85 * gradients.norm_bound < largest
    assert largest < 1.0001 * gradients.norm_bound


@each_space
def test_norm_after_the_operator_is_the_functional(space, rng):
    """The functional is split for solvers that take an operator."""
    J = InvariantTotalVariation(space)
    x = random_element(space, rng)
    split = J.norm_functional(J.operator(x))
    assert split == pytest.approx(J(x), rel=1e-6)


def test_a_batch_of_gradients(dtype, backend, rng):
    """The operator is a fast layer for batches, with the same values."""
    space = weighted_pair('complex64') if dtype == 'complex64' else square()
    gradients = OneSidedGradients(space)
    x = [random_element(space, rng) for _ in range(3)]
    batch = torch.cat([as_tensor(each) for each in x])
    expected = torch.cat([as_tensor(gradients(each)) for each in x])
    torch.testing.assert_close(OperatorLayer(gradients)(batch), expected)


# --- The proximal --- #


@pytest.mark.parametrize('sigma', [0.1, 0.4, 2.0])
def test_proximal_of_two_points(sigma, backend):
    """Between two points the difference shrinks by 2 sigma / h."""
    space = odl.uniform_discr(0, 1, 2, impl=backend)
    prox = InvariantTotalVariation(space, tol=1e-9).proximal(sigma)
    difference = 3.0 - 2 * min(sigma / 0.5, 1.5)
    expected = [2.5 - difference / 2, 2.5 + difference / 2]
    result = prox(space.element([1.0, 4.0]))
    assert as_tensor(result).flatten().tolist() == pytest.approx(expected)


@each_space
def test_proximal_minimises(space, rng):
    """Every other element has a larger objective, by half a square."""
    J = InvariantTotalVariation(space, tol=1e-5, maxiter=5000)
    f = random_element(space, rng)
    u = J.proximal(0.1)(f)

    def objective(x):
        return norm(space, x - f) ** 2 / 2 + 0.1 * J(x)

    for size in (1e-3, 1e-1, 1.0):
        for _ in range(3):
            d = size * random_element(space, rng)
            gain = objective(u + d) - objective(u)
            slack = 1e-4 * norm(space, f) * norm(space, d)
            assert gain > norm(space, d) ** 2 / 2 - slack


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['half cells', 'pair'])
def test_proximal_agrees_with_a_solver_of_odl(kind, rng):
    """``pdhg`` with operator and norm comes to the same minimiser."""
    space = spaces()[kind]
    J = InvariantTotalVariation(space)
    f = random_element(space, rng)
    u = accurate(space, f, 0.2)
    fit = 0.5 * L2NormSquared(space).translated(f)
    x = space.zero()
    step = 1 / J.operator.norm_bound
    odl.solvers.pdhg(
        x, fit, 0.2 * J.norm_functional, J.operator, 250, tau=step, sigma=step
    )
    assert norm(space, x - u) < 1e-3 * norm(space, u)


def accurate(space, f, sigma=0.3):
    """Return a proximal to eight digits."""
    J = InvariantTotalVariation(space, tol=1e-8, maxiter=10**5)
    return J.proximal(sigma)(f)


@pytest.mark.parametrize('kind', ['real', 'pair', 'half cells'])
def test_the_tolerance_is_kept(kind, rng):
    """The error is below the bound, which is below the tolerance."""
    space = spaces()[kind]
    f = random_element(space, rng)
    exact = accurate(space, f)
    errors = []
    for tol in (1e-1, 1e-2, 1e-3, 1e-4):
        prox = InvariantTotalVariation(space, tol=tol).proximal(0.3)
        errors.append(norm(space, prox(f) - exact) / norm(space, f))
        assert errors[-1] <= prox.error_bound + 1e-8
        assert prox.error_bound <= tol
    assert errors[-1] < 0.1 * errors[0]


def test_proximal_of_float32_reaches_double_tolerances(backend, rng):
    """The inner iteration is in double precision."""
    space = square(dtype='float32', backend=backend)
    f = random_element(space, rng)
    prox = InvariantTotalVariation(space, tol=1e-6, maxiter=9999)
    result = as_tensor(prox.proximal(0.3)(f)).double()
    twin = square(backend=backend)
    exact = as_tensor(accurate(twin, twin.element(f.data)))
    assert (result - exact).norm() < 1e-5 * exact.norm()


@each_space
def test_proximal_is_equivariant(space):
    """The proximal is equivariant up to rounding, at any tolerance."""
    prox = InvariantTotalVariation(space, tol=1e-2).proximal(0.2)
    is_single = prox.domain in (spaces()['float32'], spaces()['torch'])
    is_single = is_single or space == spaces()['torch pair']
    tol = 1e-6 if is_single else 1e-12
    assert_equivariant(prox, group_actions(space, 'D4'), tol=tol)


@each_space
def test_proximal_keeps_the_mean(space, rng):
    """The proximal keeps the mean, and tends to it for large parameters."""
    f = random_element(space, rng)
    J = InvariantTotalVariation(space, tol=1e-6, maxiter=9999)
    for sigma in (0.1, 1e3):
        u = J.proximal(sigma)(f)
        mean = inner(space, u - f, space.one())
        assert abs(mean) < 1e-5 * norm(space, f) * norm(space, space.one())
    assert J(u) < 1e-4 * J(f)


def test_proximal_is_firmly_nonexpansive(rng):
    """Two results are no further apart than the inputs, and more."""
    space = weighted_pair()
    prox = InvariantTotalVariation(space, tol=1e-6, maxiter=9999)
    prox = prox.proximal(0.2)
    x, y = random_element(space, rng), random_element(space, rng)
    moved = prox(x) - prox(y)
    product = inner(space, moved, x - y).real
    assert norm(space, moved) ** 2 <= product + 1e-5


def test_scaled_functional_has_the_scaled_parameter(rng):
    """``(2 J).proximal(0.1)`` is ``J.proximal(0.2)``."""
    space = square()
    J = InvariantTotalVariation(space)
    f = random_element(space, rng)
    assert (2 * J).proximal(0.1)(f) == J.proximal(0.2)(f)


@pytest.mark.slow
def test_conjugate_has_a_proximal(rng):
    """Moreau: the proximals of J and its conjugate add up."""
    space = square()
    J = InvariantTotalVariation(space, tol=1e-6, maxiter=9999)
    f = random_element(space, rng)
    total = J.proximal(0.5)(f) + 0.5 * J.convex_conj.proximal(2.0)(2.0 * f)
    assert norm(space, total - f) < 1e-5 * norm(space, f)


def test_proximal_gradient_with_the_functional(backend, rng):
    """A solver that takes the proximal finds the minimiser of a sum."""
    space = square(backend=backend)
    f = random_element(space, rng)
    J = InvariantTotalVariation(space, tol=1e-6, maxiter=9999, warm_start=True)
    fit = 0.5 * L2NormSquared(space).translated(f)
    x = space.zero()
    odl.solvers.proximal_gradient(x, 0.3 * J, fit, 0.5, 60)
    assert norm(space, x - accurate(space, f)) < 1e-4 * norm(space, f)


@pytest.mark.slow
def test_warm_start_saves_iterations(rng):
    """A second call nearby starts where the first has ended."""
    space = square(16)
    f = random_element(space, rng)
    nearby = f + 1e-3 * random_element(space, rng)
    counts, results = [], []
    for warm_start in (False, True):
        J = InvariantTotalVariation(space, tol=1e-4, warm_start=warm_start)
        J.proximal(0.2)(f)
        prox = J.proximal(0.2)
        results.append(prox(nearby))
        counts.append(prox.n_iter)
    assert counts[1] < 0.7 * counts[0]
    assert norm(space, results[0] - results[1]) < 2e-4 * norm(space, f)


def test_without_warm_start_nothing_is_remembered(rng):
    """The same input has the same result, to the last bit."""
    space = square()
    f = random_element(space, rng)
    prox = InvariantTotalVariation(space).proximal(0.2)
    first = prox(f)
    prox(random_element(space, rng))
    assert prox(f) == first


def test_too_few_iterations_are_announced(rng):
    """A result that misses the tolerance gives a warning."""
    space = square()
    prox = InvariantTotalVariation(space, tol=1e-9, maxiter=3).proximal(1.0)
    with pytest.warns(ConvergenceWarning, match='after 3 iterations'):
        prox(random_element(space, rng))


def test_proximal_of_zero():
    """Zero stays zero, and takes no iteration."""
    space = square()
    prox = InvariantTotalVariation(space).proximal(1.0)
    assert prox(space.zero()) == space.zero()
    assert prox.n_iter == 0


@pytest.mark.parametrize(
    'shape', [(1, 1), (1,), (1, 1, 1)], ids=['pixel', 'point', 'voxel']
)
def test_one_pixel_has_no_variation(shape, dtype, backend, pad_mode):
    """The value is zero, the proximal the identity, its dual part zero."""
    n = len(shape)
    space = odl.uniform_discr(n * [0], n * [1], shape, dtype, impl=backend)
    functional = InvariantTotalVariation(space, pad_mode=pad_mode)
    x = 2 * space.one()
    assert functional(x) == 0
    assert functional.proximal(0.1)(x) == x
    assert functional.convex_conj.proximal(0.1)(x).norm() < 1e-6


def test_proximal_may_overwrite_its_argument(rng):
    """``prox(x, out=x)`` gives the values of ``prox(x)``."""
    space = square()
    x = random_element(space, rng)
    prox = InvariantTotalVariation(space).proximal(0.1)
    expected = prox(x)
    prox(x, out=x)
    assert x == expected


# --- What is refused --- #


def test_what_is_no_grid_is_refused():
    """A space without a grid is refused."""
    with pytest.raises(TypeError, match='uniform_discr'):
        InvariantTotalVariation(odl.rn((4, 4)))


def test_grids_that_are_not_uniform_are_refused():
    """All cells must have the same sides."""
    partition = odl.nonuniform_partition([0.2, 1.0, 2.5])
    space = odl.DiscretizedSpace(partition, odl.rn(3))
    with pytest.raises(ValueError, match='uniform grid'):
        InvariantTotalVariation(space)


def test_unequal_parts_are_refused():
    """All parts must live on the same grid."""
    space = odl.ProductSpace(square(4), square(5))
    with pytest.raises(ValueError, match='equal components'):
        InvariantTotalVariation(space)


def test_half_cells_are_not_periodic():
    """Continuing half a cell by half a cell gives no grid."""
    with pytest.raises(ValueError, match='nodes_on_bdry'):
        InvariantTotalVariation(square(nodes_on_bdry=True), 'periodic')


@pytest.mark.parametrize(
    'kwargs, error, match',
    [
        ({'pad_mode': 'wrap'}, ValueError, 'pad_mode.*wrap'),
        ({'tol': 0}, ValueError, 'tol.*positive.*0'),
        ({'tol': [1, 2]}, TypeError, r'tol.*\[1, 2\]'),
        ({'maxiter': 0}, ValueError, 'maxiter.*0'),
    ],
)
def test_wrong_parameters_are_refused(kwargs, error, match):
    """The message names the parameter and what came."""
    with pytest.raises(error, match=match):
        InvariantTotalVariation(square(), **kwargs)


@pytest.mark.parametrize(
    'functional',
    [InvariantTotalVariation, InvariantTotalGeneralizedVariation],
)
def test_former_name_of_maxiter(functional):
    """`max_iter` does what `maxiter` does, with a warning at the caller."""
    with pytest.warns(DeprecationWarning, match='`maxiter`') as given:
        J = functional(square(), max_iter=7)
    assert J.maxiter == 7 and given[0].filename == __file__
    with pytest.warns(DeprecationWarning, match='`maxiter`') as given:
        assert J.max_iter == 7
    assert given[0].filename == __file__


@pytest.mark.parametrize('sigma', [0, -1.0, float('nan'), 'large'])
def test_parameters_that_are_not_positive_are_refused(sigma):
    """A proximal needs a positive parameter."""
    error = TypeError if sigma == 'large' else ValueError
    with pytest.raises(error, match='sigma.*positive number'):
        InvariantTotalVariation(square()).proximal(sigma)


def test_values_that_are_not_finite_are_refused():
    """The proximal refuses infinite values and NaN."""
    space = square()
    with pytest.raises(ValueError, match='finite'):
        InvariantTotalVariation(space).proximal(1.0)(np.nan * space.one())


def test_there_is_no_gradient():
    """The message says what to use instead."""
    with pytest.raises(NotImplementedError, match='proximal'):
        InvariantTotalVariation(square()).gradient  # noqa: B018
