# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Layers that are equivariant, and layers that are not.

Celledoni et al., *Equivariant neural networks for inverse problems*,
Inverse Problems 37 (2021), 085006; Weiler and Cesa, *General
E(2)-equivariant steerable CNNs*, NeurIPS 2019.
"""

import itertools

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import Translation, group_actions
from odl_equivariant.diagnostics import (
    TOLERANCES,
    assert_equivariant,
    equivariance_curve,
    equivariance_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.nn import EquivariantProximal
from odl_equivariant.nn.layers import AveragePooling, Upsampling
from odl_equivariant.operators import GroupAverage, NetworkOperator


def square(size=5):
    """Return a space on a square grid with a point in its centre."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size))


def translations(space):
    """Return all periodic translations by whole cells of a grid."""
    n, side = space.shape[0], space.cell_sides[0]
    return [
        Translation(space, (i * side, j * side)) for i, j in np.ndindex(n, n)
    ]


class Function(odl.Operator):
    """Operator that maps arrays by a function."""

    def __init__(self, function, domain, range=None, linear=False):
        """Initialize a new instance."""
        super().__init__(domain, range or domain, linear=linear)
        self.function = function

    def _call(self, x):
        return self.range.element(self.function(x.asarray()))


class Convolution(Function):
    """Periodic convolution with a kernel given around the centre."""

    def __init__(self, kernel):
        """Initialize a new instance."""
        spectrum = np.fft.fft2(np.fft.ifftshift(kernel.asarray()))
        super().__init__(
            lambda u: np.fft.ifft2(spectrum * np.fft.fft2(u)).real,
            kernel.space,
            linear=True,
        )


class FieldAction(odl.Operator):
    """A group element that moves the points and mixes the channels."""

    def __init__(self, space, mover, mixing):
        """Initialize a new instance."""
        super().__init__(space, space, linear=True)
        self.mover, self.mixing = mover, np.asarray(mixing)

    def _call(self, x):
        moved = [self.mover(part).asarray() for part in x]
        return self.range.element(np.tensordot(self.mixing, moved, 1))

    @property
    def inverse(self):
        """The inverse group element; the mixing is orthogonal."""
        return FieldAction(self.domain, self.mover.inverse, self.mixing.T)


def vector_actions(space, group='D4'):
    """Return a group that turns vectors along with their points."""
    fields = space**2
    return [
        FieldAction(fields, g, g.matrix) for g in group_actions(space, group)
    ]


def regular_actions(space):
    """Return C4 acting on one channel for each of its elements."""
    fields = space**4
    return [
        FieldAction(fields, g, np.roll(np.eye(4), k, axis=0))
        for k, g in enumerate(group_actions(space, 'C4'))
    ]


def invariant_kernel(kernel, group='D4'):
    """Return the projection of a kernel onto those that a group keeps."""
    actions = group_actions(kernel.space, group)
    return (1 / len(actions)) * sum(
        (g(kernel) for g in actions), kernel.space.zero()
    )


def pieces(space, seed=3):
    """Return two equivariant operators, one linear and one not."""
    rng = np.random.default_rng(seed)
    kernel = invariant_kernel(random_element(space, rng))
    return Convolution(kernel), Function(np.tanh, space)


# --- Building blocks --- #


def test_the_identity_is_equivariant(law):
    """The identity commutes with every action."""
    space = square()
    identity = odl.IdentityOperator(space)
    law.holds(assert_equivariant(identity, group_actions(space, 'D4')))


def test_compositions_are_equivariant(law):
    """If Phi and Psi are equivariant, Phi after Psi is."""
    space = square()
    linear, bend = pieces(space)
    for both in (linear @ bend, bend @ linear, bend @ linear @ bend):
        law.holds(assert_equivariant(both, group_actions(space, 'D4')))


def test_sums_are_equivariant(law):
    """If Phi and Psi are equivariant, sums and multiples are."""
    space = square()
    linear, bend = pieces(space)
    combined = 2 * linear - 0.5 * bend + odl.IdentityOperator(space)
    law.holds(assert_equivariant(combined, group_actions(space, 'D4')))


def test_one_factor_that_is_not_equivariant_spoils_a_composition(law):
    """A composition with a factor that is not equivariant is not."""
    space = square()
    _, bend = pieces(space)
    kernel = random_element(space, np.random.default_rng(0))
    g = group_actions(space, 'D4')[1]
    law.fails(equivariance_error(bend @ Convolution(kernel), g), 0.1)


def test_an_invariant_bias_keeps_equivariance(law):
    """Adding an invariant bias keeps a map equivariant."""
    space = square()
    linear, _ = pieces(space)
    bias = invariant_kernel(random_element(space, np.random.default_rng(5)))
    assert norm(space, bias) > 0.1
    biased = Function(lambda u: u + bias.asarray(), space)
    law.holds(assert_equivariant(biased @ linear, group_actions(space, 'D4')))


def test_any_other_bias_breaks_equivariance(law):
    """The error is the distance by which the group moves the bias."""
    space = square()
    g = group_actions(space, 'D4')[1]
    bias = random_element(space, np.random.default_rng(5))
    biased = Function(lambda u: u + bias.asarray(), space)
    u = random_element(space, np.random.default_rng(6))
    gap = norm(space, biased(g(u)) - g(biased(u)))
    assert gap == pytest.approx(norm(space, bias - g(bias)))
    law.fails(gap, 0.1)


def test_a_constant_bias_on_a_vector_field_breaks_equivariance(law):
    """No vector but zero is invariant under rotations."""
    space = square()
    actions = vector_actions(space)
    biased = Function(lambda v: v + 1.0, space**2)
    law.fails(equivariance_error(biased, actions[1]), 0.1)


# --- Linear maps --- #


def test_convolutions_are_equivariant_under_translations(law):
    """Every kernel commutes with translations."""
    space = square()
    kernel = random_element(space, np.random.default_rng(0))
    law.holds(assert_equivariant(Convolution(kernel), translations(space)))


def test_convolutions_with_invariant_kernels_are_equivariant(law):
    """If k(R x) = k(x), the map u -> k * u commutes with R."""
    space = square()
    noise = random_element(space, np.random.default_rng(0))
    kernel = invariant_kernel(noise)
    actions = group_actions(space, 'D4')
    law.holds(assert_equivariant(Convolution(kernel), actions))
    errors = [equivariance_error(Convolution(noise), g) for g in actions[1:]]
    law.fails(min(errors), 0.1, 'A random kernel.')


def test_what_commutes_with_translations_is_a_convolution(law, rng):
    """The average of a linear map over translations is a convolution."""
    space = square(3)
    matrix = rng.standard_normal((9, 9))
    linear = Function(
        lambda u: (matrix @ u.ravel()).reshape(3, 3), space, linear=True
    )
    average = GroupAverage(linear, translations(space))
    point = space.zero()
    point[1, 1] = 1.0
    u = random_element(space, rng)
    convolved = Convolution(average(point))(u)
    law.holds(norm(space, average(u) - convolved), 1e-13)
    assert norm(space, linear(u) - convolved) > 0.1


def test_what_commutes_with_rotations_too_has_an_invariant_kernel(law, rng):
    """The kernel of the average over both is invariant."""
    space = square(3)
    matrix = rng.standard_normal((9, 9))
    linear = Function(
        lambda u: (matrix @ u.ravel()).reshape(3, 3), space, linear=True
    )
    turns = group_actions(space, 'C4')
    moves = translations(space)
    both = [turn @ move for turn in turns for move in moves]
    average = GroupAverage(linear, both)
    law.holds(assert_equivariant(average, both), case='The average itself.')
    point = space.zero()
    point[1, 1] = 1.0
    kernel = average(point)
    assert norm(space, kernel) > 0.01
    for turn in turns:
        law.holds(norm(space, turn(kernel) - kernel), 1e-14)
    u = random_element(space, rng)
    gap = norm(space, average(u) - Convolution(kernel)(u))
    law.holds(gap, 1e-13, 'The average is the convolution with it.')


def test_kernels_from_images_to_vector_fields_turn_their_values(law):
    """If k(R x) = R k(x), the map u -> k * u is equivariant."""
    space = square()
    actions = group_actions(space, 'D4')
    vectors = vector_actions(space)
    noise = random_element(space**2, np.random.default_rng(0))
    kernel = (1 / 8) * sum((g(noise) for g in vectors), (space**2).zero())
    assert norm(space**2, kernel) > 0.1

    def to_field(pair):
        return odl.BroadcastOperator(*(Convolution(k) for k in pair))

    law.holds(assert_equivariant(to_field(kernel), actions, vectors))
    error = equivariance_error(to_field(noise), actions[1], vectors[1])
    law.fails(error, 0.1, 'A random pair of kernels.')


def test_gradients_map_images_to_vector_fields(law):
    """The gradient of a turned image is the turned gradient."""
    space = square()
    gradient = odl.Gradient(space, method='central', pad_mode='symmetric')
    actions, vectors = group_actions(space, 'D4'), vector_actions(space)
    law.holds(assert_equivariant(gradient, actions, vectors))
    # and not, if the vectors are not turned
    g = actions[1]
    still = FieldAction(gradient.range, g, np.eye(2))
    error = equivariance_error(gradient, g, still)
    law.fails(error, 0.1, 'Vectors are moved, but not turned.')


# --- Non-linearities --- #


def relu(x):
    """Return what is positive."""
    return np.maximum(x, 0)


def test_pointwise_functions_are_equivariant_on_images(law):
    """Any function may be applied to each value of an image."""
    space = square()
    for function in (relu, np.tanh, np.square):
        law.holds(
            assert_equivariant(
                Function(function, space), group_actions(space, 'D4')
            )
        )


def test_pointwise_functions_are_equivariant_on_regular_fields(law):
    """Any function may be applied to each channel of a regular field."""
    actions = regular_actions(square())
    for function in (relu, np.tanh, np.square):
        field = Function(function, actions[0].domain)
        law.holds(assert_equivariant(field, actions))


def test_pointwise_functions_fail_on_vector_fields(law):
    """Turning a vector changes the signs of its components."""
    actions = vector_actions(square())
    space = actions[0].domain
    for function in (relu, np.square):
        error = equivariance_error(Function(function, space), actions[1])
        law.fails(error, 0.5)


def test_odd_functions_fail_at_other_angles_only(law):
    """Quarter turns commute with tanh, but a turn by 45 degrees does not."""
    actions = vector_actions(square())
    field = Function(np.tanh, actions[0].domain)
    law.holds(assert_equivariant(field, actions))
    root = np.sqrt(0.5)
    turn = np.array([[root, -root], [root, root]])
    eighth = FieldAction(field.domain, actions[0].mover, turn)
    error = equivariance_error(field, eighth)
    law.fails(error, 0.01, 'At 45 degrees.')


def shorten(v):
    """Return vectors of which the lengths are passed through a function."""
    length = np.sqrt((v**2).sum(0, keepdims=True))
    return v * relu(length - 0.5) / length


def test_functions_of_the_length_are_equivariant_on_vector_fields(law):
    """Norm non-linearities keep the directions of vectors."""
    actions = vector_actions(square())
    field = Function(shorten, actions[0].domain)
    law.holds(assert_equivariant(field, actions))
    for angle in (0.3, np.pi / 4, 2.0):
        c, s = np.cos(angle), np.sin(angle)
        turn = FieldAction(field.domain, actions[0].mover, [[c, -s], [s, c]])
        law.holds(assert_equivariant(field, turn))


# --- Networks of these layers --- #


def network(group, dtype='float64', **arguments):
    """Return a denoiser with random weights in all of its layers."""
    torch.manual_seed(3)
    module = EquivariantProximal(
        group=group, memory=0, gradient=False, **arguments
    ).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('size', [6, 7])
@pytest.mark.parametrize('group', ['D4', 'O2'])
def test_networks_map_vector_fields_equivariantly(
    law, group, size, impl, dtype
):
    """Networks from vector fields to vector fields, with pi(R) = R."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=impl
    )
    module = network(
        group, dtype, in_channels=2, channels=24, representation='standard'
    )
    field = NetworkOperator(module, space**2)
    actions = group_actions(space**2, 'D4', representation='standard')
    law.holds(assert_equivariant(field, actions), TOLERANCES[dtype])


@pytest.mark.parametrize('nonlinearity', ['fourier', 'norm', 'gated'])
@pytest.mark.parametrize('group', ['SO2', 'O2'])
def test_networks_for_all_rotations_are_equivariant(law, group, nonlinearity):
    """Quarter turns, for each non-linearity of band-limited fields."""
    space = square(7)
    module = network(
        group, channels=20, max_frequency=2, nonlinearity=nonlinearity
    )
    name = {'SO2': 'C4', 'O2': 'D4'}[group]
    error = assert_equivariant(
        NetworkOperator(module, space), group_actions(space, name)
    )
    law.holds(error)


def test_networks_for_all_rotations_are_better_between_quarter_turns(law):
    """Rotation by 45 degrees, which is not in C4."""
    space = odl.uniform_discr([-1, -1], [1, 1], (48, 48))
    errors = {
        group: equivariance_curve(
            NetworkOperator(network(group, channels=24, kernel_size=5), space),
            [np.pi / 4],
        )[0]
        for group in ('C4', 'C8', 'SO2')
    }
    law.fails(errors['C4'], 1e-2, 'C4, kernels of 5 x 5 cells.')
    law.holds(errors['C8'], 1e-2, 'C8, kernels of 5 x 5 cells.')
    law.holds(errors['SO2'], 1e-2, 'SO2, kernels of 5 x 5 cells.')


def test_restricted_networks_are_equivariant_under_the_subgroup(law):
    """D4 restricted to C4: rotations commute, reflections do not."""
    space = square(7)
    module = network('D4', channels=16, restrict_to='C4', restrict_after=1)
    operator = NetworkOperator(module, space)
    law.holds(assert_equivariant(operator, group_actions(space, 'C4')))
    mirror = group_actions(space, 'D4')[4]
    error = equivariance_error(operator, mirror)
    law.fails(error, 1e-2, 'A reflection, not in the subgroup.')


def test_poolings_are_equivariant_on_even_and_odd_grids(law):
    """Cells and weights symmetric about the centre commute with turns."""
    for size in (8, 7, 5):
        space = square(size)
        coarse = square((size + 1) // 2)
        pool = NetworkOperator(AveragePooling(), space, coarse)
        refine = NetworkOperator(Upsampling((size, size)), coarse, space)
        for fine_action, coarse_action in zip(
            group_actions(space, 'D4'),
            group_actions(coarse, 'D4'),
            strict=True,
        ):
            law.holds(equivariance_error(pool, fine_action, coarse_action))
            law.holds(equivariance_error(refine, coarse_action, fine_action))


def test_plain_strides_fail_on_odd_grids(law):
    """Means of pairs that leave out the last cell do not commute."""
    space, coarse = square(7), square(3)
    pool = NetworkOperator(torch.nn.AvgPool2d(2), space, coarse)
    turn, coarse_turn = (group_actions(s, 'C4')[1] for s in (space, coarse))
    law.fails(equivariance_error(pool, turn, coarse_turn), 1e-1)


def test_regular_fields_are_a_representation():
    """The actions of these tests are groups: g and g^-1 cancel."""
    for actions in (regular_actions(square()), vector_actions(square())):
        u = random_element(actions[0].domain, np.random.default_rng(0))
        for g, h in itertools.product(actions, repeat=2):
            product = g(h(u))
            assert any(norm(u.space, product - k(u)) < 1e-12 for k in actions)
            assert norm(u.space, g.inverse(g(u)) - u) < 1e-12
