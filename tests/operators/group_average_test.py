# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of operators and functionals averaged over a group."""

import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.actions import (
    Dilation,
    Intensity,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.diagnostics import (
    assert_adjoint,
    assert_derivative,
    assert_equivariant,
    assert_invariant,
    equivariance_error,
    firm_nonexpansiveness_error,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import inner, norm, random_element
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.operators import (
    GroupAverage,
    NetworkOperator,
    OperatorLayer,
    PerformanceWarning,
)

dtype = simple_fixture('dtype', ['float32', 'float64', 'complex128'])
group = simple_fixture('group', ['C2', 'C4', 'D4'])


def square(dtype='float64', backend='numpy', size=5):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )


def forward_gradient(space):
    """Return a linear operator to another space, not equivariant."""
    return odl.Gradient(space, method='forward', pad_mode='symmetric')


def generators(actions):
    """Return the least turn of a group of the square, and a reflection.

    What commutes with these does so with all elements.
    """
    return [actions[1], *actions[4:5]]


def slope(space):
    """Return a linear operator that is not equivariant."""
    return odl.PartialDerivative(space, 0, pad_mode='symmetric')


class Bend(nn.Module):
    """A network that is not equivariant."""

    def __init__(self, space):
        super().__init__()
        channels = 1 if space.is_real else 2
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.double()

    def forward(self, x):
        return x + self.convolution(x).tanh()


def bend(space):
    """Return a non-linear operator that is not equivariant."""
    return NetworkOperator(Bend(space), space)


# --- Operators --- #


def test_average_is_equivariant(dtype, backend, group):
    """The average of a linear operator is equivariant."""
    space = square(dtype, backend)
    actions = group_actions(space, group)
    assert equivariance_error(slope(space), actions[1]) > 0.1
    assert_equivariant(
        GroupAverage(slope(space), actions), generators(actions)
    )


def test_average_of_a_network_is_equivariant(group):
    """The average of an operator that is not linear is equivariant."""
    for dtype in ('float64', 'complex128'):
        space = square(dtype)
        actions = group_actions(space, group)
        assert equivariance_error(bend(space), actions[1]) > 0.01
        assert_equivariant(GroupAverage(bend(space), actions), actions)


def test_average_between_two_spaces(group):
    """The group may act differently on the range."""
    space = square()
    op = forward_gradient(space)
    actions = group_actions(space, group)
    range_actions = group_actions(op.range, group)
    average = GroupAverage(op, actions, range_actions)
    assert average.range == op.range
    assert_equivariant(average, actions, range_actions)


def test_average_by_the_definition(rng):
    """The value is the mean of g^-1 . Phi(g . u)."""
    space = square()
    u = random_element(space, rng)
    data = u.asarray()
    total = np.zeros_like(data)
    op = bend(space)
    for k in range(4):
        image = op(space.element(np.rot90(data, k).copy())).asarray()
        total += np.rot90(image, -k) / 4
    average = GroupAverage(op, group_actions(space, 'C4'))
    np.testing.assert_allclose(average(u).asarray(), total, rtol=1e-12)


def test_what_is_equivariant_stays(rng):
    """The average of an equivariant operator is the operator."""
    space = square()
    actions = group_actions(space, 'D4')
    once = GroupAverage(slope(space) @ slope(space), actions)
    twice = GroupAverage(once, actions)
    u = random_element(space, rng)
    assert norm(space, once(u)) > 0.1
    assert norm(space, twice(u) - once(u)) < 1e-12 * norm(space, once(u))


def test_the_slope_along_one_axis_averages_to_nothing(rng):
    """The average of a derivative along one axis is zero."""
    space = square()
    op = odl.PartialDerivative(
        space, 0, method='central', pad_mode='symmetric'
    )
    u = random_element(space, rng)
    average = GroupAverage(op, group_actions(space, 'C2'))
    assert norm(space, average(u)) < 1e-14 * norm(space, op(u))


def test_average_over_translations():
    """The average of a multiplication is multiplication by the mean."""
    space = square()
    rng = np.random.default_rng(0)
    factor = random_element(space, rng)
    side = space.cell_sides[0]
    moves = [
        Translation(space, (i * side, j * side)) for i, j in np.ndindex(5, 5)
    ]
    average = GroupAverage(odl.MultiplyOperator(factor), moves)
    u = random_element(space, rng)
    expected = float(factor.asarray().mean()) * u
    assert norm(space, average(u) - expected) < 1e-13


@pytest.mark.slow
def test_adjoint(dtype, backend):
    """The adjoint of an average is right."""
    space = square(dtype, backend)
    average = GroupAverage(slope(space), group_actions(space, 'D4'))
    assert average.is_linear
    assert_adjoint(average, n_samples=1)
    assert_adjoint(average.adjoint, n_samples=1)


def test_adjoint_of_a_sample():
    """The adjoint uses the elements that were drawn."""
    space = square()
    average = GroupAverage(
        slope(space), group_actions(space, 'D4'), n_samples=3
    )
    assert_adjoint(average)


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_derivative(dtype):
    """The derivative is the mean of the derivatives, and has an adjoint."""
    space = square(dtype)
    average = GroupAverage(bend(space), group_actions(space, 'C4'))
    assert_derivative(average)
    x = random_element(space, np.random.default_rng(0))
    assert_adjoint(average.derivative(x), real_linear=True)


def test_average_is_orthogonal(rng):
    """The average is an orthogonal projection (Frobenius norm)."""
    space = square(size=3)
    actions = group_actions(space, 'D4')
    matrix = rng.standard_normal((9, 9))

    class Matrix(odl.Operator):
        def _call(self, x):
            data = matrix @ x.asarray().ravel()
            return self.range.element(data.reshape(3, 3))

    average = GroupAverage(Matrix(space, space, linear=True), actions)
    basis = np.eye(9).reshape(9, 3, 3)
    columns = [average(space.element(e)).asarray().ravel() for e in basis]
    mean = np.stack(columns, 1)
    assert np.abs(mean).max() > 0.1
    assert abs(np.sum(mean * (matrix - mean))) < 1e-13


def test_average_of_proximals_is_firmly_nonexpansive(rng):
    """The average of firmly non-expansive operators is one, too."""
    space = square()
    gradient = forward_gradient(space)
    # a proximal of a quadratic functional, as a linear solve
    basis = [space.element(e.reshape(5, 5)) for e in np.eye(25)]
    energy = (
        np.array(
            [
                [
                    inner(space, gradient.adjoint(gradient(a)), b).real
                    for a in basis
                ]
                for b in basis
            ]
        )
        / space.cell_volume
    )
    solve = np.linalg.inv(np.eye(25) + 0.1 * energy)

    class Prox(odl.Operator):
        def _call(self, x):
            return space.element(
                (solve @ x.asarray().ravel() + 1.0).reshape(5, 5)
            )

    average = GroupAverage(Prox(space, space), group_actions(space, 'D4'))
    for _ in range(5):
        x, y = random_element(space, rng), random_element(space, rng)
        moved = average(x) - average(y)
        product = inner(space, moved, x - y).real
        assert norm(space, moved) ** 2 <= product * (1 + 1e-12)


class Onto(odl.Operator):
    """Projection onto the multiples of an element."""

    def __init__(self, element):
        super().__init__(element.space, element.space, linear=True)
        self.element = element

    def _call(self, x):
        space, b = self.domain, self.element
        return (inner(space, x, b).real / inner(space, b, b).real) * b


@pytest.mark.parametrize('weight, is_firm', [(1.0, True), (100.0, False)])
def test_firm_nonexpansiveness_needs_isometries(weight, is_firm):
    """Actions that are no isometries break firm non-expansiveness."""
    space = odl.ProductSpace(square(), 2, weighting=[1.0, weight])
    actions = group_actions(space, 'C4', representation='standard')
    assert all(action.is_isometry for action in actions) == is_firm
    parts = random_element(space, np.random.default_rng(0))
    prox = Onto(space.element([parts[0], 0.1 * parts[1]]))
    assert firm_nonexpansiveness_error(prox) < 1e-13
    average = GroupAverage(prox, actions)
    assert_equivariant(average, actions)
    error = firm_nonexpansiveness_error(average)
    assert error < 1e-13 if is_firm else error > 0.05


# --- Groups --- #


def _no_groups(space):
    side = space.cell_sides[0]
    return {
        'one is missing': group_actions(space, 'C4')[:3],
        'no identity': group_actions(space, 'C4')[1:],
        'one is there twice': [
            *group_actions(space, 'C2'),
            Rotation(space, np.pi),
        ],
        'things are lost': [
            Translation(space, (k * side, 0), fill=0) for k in range(-1, 2)
        ],
        'infinite': [Dilation(space, a) for a in (0.5, 1.0, 2.0)],
    }


@pytest.mark.parametrize('kind', _no_groups(square()))
@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_sets_that_are_no_group_are_refused(kind, dtype, backend):
    """The error says what is missing, and `check=False` forces it."""
    space = square(dtype, backend)
    actions = _no_groups(space)[kind]
    match = 'not those of all elements of a group|of a group equally often'
    with pytest.raises(ValueError, match=match):
        GroupAverage(slope(space), actions)
    J = odl.functionals.L2Norm(space)
    with pytest.raises(ValueError, match=match):
        GroupAverage(J, actions)
    assert len(GroupAverage(J, actions, check=False).elements) == len(actions)


class Opaque(odl.Operator):
    """An action that only its values describe."""

    def __init__(self, action):
        super().__init__(action.domain, action.range, linear=True)
        self.action = action

    def _call(self, x):
        return self.action(x)

    @property
    def inverse(self):
        return Opaque(self.action.inverse)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex128'])
def test_groups_of_a_user_are_compared_by_their_values(dtype, backend):
    """A user's D4 passes, and three quarter turns do not."""
    space = square(dtype, backend, 4)
    actions = [Opaque(action) for action in group_actions(space, 'D4')]
    average = GroupAverage(slope(space), actions)
    assert_equivariant(average, generators(actions))
    with pytest.raises(ValueError, match='all elements of a group'):
        GroupAverage(slope(space), actions[:3])


def test_groups_that_are_right_pass():
    """Sign changes, repeated groups and vector fields pass."""
    space = square()
    op = slope(space)
    for actions in (
        group_actions(space, 'C1'),
        [Intensity(space, 1.0), Intensity(space, -1.0)],
        2 * group_actions(space, 'C2'),
    ):
        assert GroupAverage(op, actions).domain == space
    fields = [
        group_actions(space**2, 'D4', representation=name)
        for name in (None, 'standard')
    ]
    for range_actions in fields:
        average = GroupAverage(
            forward_gradient(space),
            group_actions(space, 'D4'),
            range_actions,
        )
        assert average.range == space**2


@pytest.mark.parametrize('order', [(0, 2, 1, 3), (3, 2, 1, 0), (0, 0, 0, 1)])
def test_other_elements_on_the_range_are_refused(order):
    """The elements must be the same on domain and range, in order."""
    space = square()
    op = forward_gradient(space)
    turned = group_actions(op.range, 'C4')
    with pytest.raises(ValueError, match='actions on the range'):
        GroupAverage(
            op, group_actions(space, 'C4'), [turned[i] for i in order]
        )


@pytest.mark.parametrize('method', ['linear', 'cubic', 'fourier'])
def test_groups_that_are_none_on_the_grid_are_said(method):
    """The warning has the measured error, which the average has too."""
    space = square(size=16)
    actions = group_actions(space, 'C8', method)
    with pytest.warns(RuntimeWarning, match=r'misses .* by [01]\.\d') as said:
        average = GroupAverage(slope(space), actions)
    assert said[0].filename == __file__
    assert equivariance_error(average, actions[1]) > 0.1
    # with warnings as errors
    GroupAverage(slope(space), actions, check=False)


def test_exact_groups_are_checked_without_evaluations(monkeypatch):
    """Groups of `group_actions` are checked without evaluations."""
    space = square()
    actions = group_actions(space, 'D4')
    monkeypatch.setattr(Rotation, '_call', None)
    monkeypatch.setattr(type(actions[-1]), '_call', None)
    assert GroupAverage(slope(space), actions).domain == space


def test_large_groups_are_checked_by_samples():
    """In a large group, wrong elements are found by samples."""
    space = square()
    side = space.cell_sides[0]
    moves = [
        Opaque(Translation(space, (i * side, j * side)))
        for i, j in np.ndindex(5, 5)
    ]
    GroupAverage(slope(space), moves)
    with pytest.raises(ValueError, match='all elements of a group'):
        GroupAverage(slope(space), moves[:24])


# --- Functionals --- #


@pytest.mark.parametrize(
    'dtype, backend', [('float32', 'pytorch'), ('float64', 'numpy')]
)
def test_average_of_a_functional_is_an_invariant_functional(dtype, backend):
    """The average of a functional is an invariant functional of ODL."""
    space = square(dtype, backend)
    actions = group_actions(space, 'C4')
    x = random_element(space, np.random.default_rng(0))
    J = odl.functionals.L2Norm(space).translated(x)
    assert invariance_error(J, actions[1]) > 1e-3
    average = GroupAverage(J, actions)
    assert isinstance(average, odl.functionals.Functional)
    assert_invariant(average, actions)


def test_gradient_of_an_average_is_equivariant():
    """The gradient of an average is equivariant."""
    space = square()
    actions = group_actions(space, 'D4')
    shift = random_element(space, np.random.default_rng(1))
    J = odl.functionals.L2NormSquared(space).translated(shift)
    average = GroupAverage(J @ slope(space), actions)
    assert_derivative(average)
    assert_equivariant(average.gradient, actions)


def test_average_in_a_solver(rng):
    """Gradient descent on the average gives an invariant minimiser."""
    space = square()
    actions = group_actions(space, 'D4')
    shift = random_element(space, rng)
    J = odl.functionals.L2NormSquared(space).translated(shift)
    x = space.zero()
    odl.solvers.steepest_descent(
        GroupAverage(J, actions), x, line_search=0.25, maxiter=60
    )
    expected = sum((g(shift) for g in actions), space.zero()) / len(actions)
    assert norm(space, x - expected) < 1e-7
    assert norm(space, actions[1](x) - x) < 1e-14
    assert norm(space, x - shift) > 0.1


# --- Samples --- #


def test_a_sample_is_not_equivariant():
    """The mean over a few elements is not equivariant."""
    space = square()
    actions = group_actions(space, 'D4')
    average = GroupAverage(slope(space), actions, n_samples=3)
    assert equivariance_error(average, actions[1]) > 0.1


def test_a_sample_of_all_elements_is_the_average(rng):
    """A sample of all elements, without replacement, is the group."""
    space = square()
    actions = group_actions(space, 'D4')
    sampled = GroupAverage(slope(space), actions, n_samples=8, seed=3)
    u = random_element(space, rng)
    difference = sampled(u) - GroupAverage(slope(space), actions)(u)
    assert norm(space, difference) < 1e-13


def test_samples_follow_from_the_seed(rng):
    """Equal seeds draw equal elements."""
    space = square()
    actions = group_actions(space, 'D4')
    u = random_element(space, rng)
    first, second, other = (
        GroupAverage(slope(space), actions, n_samples=2, seed=seed)
        for seed in (1, 1, 2)
    )
    before = first(u)
    assert before == first(u) == second(u) != other(u)
    first.redraw(), second.redraw()
    assert before != first(u) == second(u)


def test_the_mean_over_samples_is_the_average(rng):
    """The mean over many samples is the average."""
    space = square()
    actions = group_actions(space, 'D4')
    u = random_element(space, rng)
    sampled = GroupAverage(slope(space), actions, n_samples=2)
    total = space.zero()
    for _ in range(1500):
        sampled.redraw()
        total += sampled(u)
    expected = GroupAverage(slope(space), actions)(u)
    scale = norm(space, slope(space)(u))
    assert norm(space, total / 1500 - expected) < 0.04 * scale
    assert norm(space, sampled(u) - expected) > 0.1 * scale


# --- Batches --- #


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
@pytest.mark.parametrize('make', [slope, bend])
def test_batches_are_averaged_as_their_samples(make, dtype, recwarn):
    """A layer gives what the operator gives for each sample."""
    space = square(dtype)
    layer = OperatorLayer(
        GroupAverage(make(space), group_actions(space, 'D4'))
    )
    rng = np.random.default_rng(0)
    samples = [random_element(space, rng) for _ in range(3)]
    batch = torch.cat([as_tensor(x) for x in samples])
    expected = torch.cat([as_tensor(layer.operator(x)) for x in samples])
    torch.testing.assert_close(layer(batch), expected)
    assert not [w for w in recwarn if w.category is PerformanceWarning]


def test_gradients_reach_the_weights_of_an_averaged_network():
    """Gradients of the weights are means over the group."""
    space = square()
    actions = group_actions(space, 'D4')
    operator = bend(space)
    layer = OperatorLayer(GroupAverage(operator, actions))
    weights = list(operator.module.parameters())
    assert list(layer.parameters()) == weights
    x = as_tensor(random_element(space, np.random.default_rng(0)))
    gradients = torch.autograd.grad(layer(x).square().sum(), weights)
    total = 0
    for k in range(4):
        for flipped in (False, True):
            turned = torch.rot90(x.flip(2) if flipped else x, k, (2, 3))
            y = torch.rot90(operator.module(turned), -k, (2, 3))
            total = total + (y.flip(2) if flipped else y) / 8
    expected = torch.autograd.grad(total.square().sum(), weights)
    torch.testing.assert_close(gradients, expected)


def test_layers_follow_what_is_drawn():
    """After another draw, the layer uses the new elements."""
    space = square()
    average = GroupAverage(
        slope(space), group_actions(space, 'D4'), n_samples=2
    )
    layer = OperatorLayer(average)
    u = random_element(space, np.random.default_rng(0))
    before = layer(as_tensor(u))
    average.redraw()
    torch.testing.assert_close(layer(as_tensor(u)), as_tensor(average(u)))
    assert not torch.equal(layer(as_tensor(u)), before)


def test_functionals_are_averaged_in_batches():
    """Averaged functionals are evaluated in batches, and invariant."""
    space = square()
    x = random_element(space, np.random.default_rng(0))
    J = odl.functionals.L2NormSquared(space).translated(x)
    layer = OperatorLayer(GroupAverage(J, group_actions(space, 'C4')))
    u = as_tensor(random_element(space, np.random.default_rng(1)))
    turned = torch.cat([torch.rot90(u, k, (2, 3)) for k in range(4)])
    values = layer(turned).flatten()
    torch.testing.assert_close(values, values[:1].expand(4))
    assert float(values[0]) == pytest.approx(
        layer.operator(as_element(u, space))
    )


# --- Copies --- #


@pytest.mark.parametrize(
    'copied',
    [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],  # noqa: S301
)
@pytest.mark.parametrize('is_functional', [False, True])
def test_copies_average_over_the_same_elements(copied, is_functional, rng):
    """Copies of operators and functionals use the same elements."""
    space = square()
    operator = slope(space)
    if is_functional:
        shift = random_element(space, rng)
        operator = odl.functionals.L2NormSquared(space).translated(shift)
    average = GroupAverage(operator, group_actions(space, 'D4'), n_samples=3)
    other = copied(average)
    u = random_element(space, rng)
    assert other(u) == average(u)
    average.redraw(), other.redraw()
    assert other(u) == average(u)
    layer = OperatorLayer(other)
    expected = [average(u)]
    if not is_functional:
        expected = as_tensor(average(u)).flatten().tolist()
    assert layer(as_tensor(u)).flatten().tolist() == pytest.approx(expected)


# --- What is refused --- #


def test_a_range_without_actions_is_refused():
    """The message asks for the actions on the range."""
    space = square()
    with pytest.raises(ValueError, match='range_actions'):
        GroupAverage(forward_gradient(space), group_actions(space, 'C4'))


def test_actions_on_other_spaces_are_refused():
    """The message names both spaces."""
    with pytest.raises(ValueError, match='actions on the domain'):
        GroupAverage(slope(square()), group_actions(square(size=4), 'C4'))


def test_unequal_numbers_of_actions_are_refused():
    """Each element acts on the domain and on the range."""
    space = square()
    actions = group_actions(space, 'C4')
    with pytest.raises(ValueError, match='each of the 4.*got 2'):
        GroupAverage(slope(space), actions, actions[:2])


@pytest.mark.parametrize('n_samples', [0, 5, 1.5])
def test_impossible_numbers_of_samples_are_refused(n_samples):
    """There are as many different elements as in the group."""
    space = square()
    error = TypeError if n_samples == 1.5 else ValueError
    with pytest.raises(error, match=f'n_samples.*4, got {n_samples}'):
        GroupAverage(
            slope(space), group_actions(space, 'C4'), n_samples=n_samples
        )


def test_no_actions_are_refused():
    """A group has at least one element."""
    with pytest.raises(ValueError, match='at least one'):
        GroupAverage(slope(square()), [])


def test_what_is_no_operator_is_refused():
    """The message says how to wrap a module."""
    space = square()
    with pytest.raises(TypeError, match='NetworkOperator'):
        GroupAverage(nn.Identity(), group_actions(space, 'C4'))
    with pytest.raises(TypeError, match='got Identity'):
        GroupAverage(slope(space), [nn.Identity()])


def test_nonlinear_averages_have_no_adjoint():
    """The message names the derivative."""
    space = square()
    average = GroupAverage(bend(space), group_actions(space, 'C4'))
    with pytest.raises(NotImplementedError, match='derivative'):
        average.adjoint  # noqa: B018
