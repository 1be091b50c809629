# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Invariant functionals have equivariant proximals.

The statements are those of Celledoni et al., *Equivariant neural networks
for inverse problems*, Inverse Problems 37 (2021), 085006.
"""

import numpy as np
import odl
import pytest
from odl.functionals import (
    GroupL1Norm,
    Huber,
    IndicatorBox,
    L1Norm,
    L2Norm,
    L2NormSquared,
)

from odl_equivariant.actions import Translation, group_actions
from odl_equivariant.diagnostics import (
    assert_equivariant,
    assert_invariant,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.functionals import InvariantTotalVariation


def square(size=8):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size))


def rectangle():
    """Return a space on a grid that quarter turns do not keep."""
    return odl.uniform_discr([-1, -1], [1, 2], (6, 9))


def translations(space):
    """Return periodic translations by whole cells."""
    side = space.cell_sides
    shifts = ((1, 0), (0, 1), (3, 2))
    return [Translation(space, np.array(shift) * side) for shift in shifts]


GROUPS = {
    'rotations of the square': lambda: group_actions(square(), 'C4'),
    'rotations and reflections': lambda: group_actions(square(), 'D4'),
    'half turns and mirrors of a rectangle': lambda: group_actions(
        rectangle(), 'D2'
    ),
    'periodic translations': lambda: translations(square()),
}
FUNCTIONALS = {
    'total variation': lambda space: InvariantTotalVariation(
        space, 'periodic'
    ),
    'L1 norm': L1Norm,
    'L2 norm': L2Norm,
    'squared L2 norm': L2NormSquared,
    'Huber function': lambda space: Huber(space, 0.3),
    'indicator of a box': lambda space: IndicatorBox(space, -0.5, 0.5),
    'L1 norm of the distance to a constant': lambda space: L1Norm(
        space
    ).translated(0.4 * space.one()),
}

each_group = pytest.mark.parametrize('group', GROUPS)
each_functional = pytest.mark.parametrize('functional', FUNCTIONALS)


def forward_variation(space):
    """Return the total variation by forward differences, and its parts."""
    gradient = odl.Gradient(space, method='forward', pad_mode='symmetric')
    return GroupL1Norm(gradient.range), gradient


@each_group
def test_the_actions_are_isometries(group, rng):
    """Assumption: moving an image keeps its norm."""
    for g in GROUPS[group]():
        u = random_element(g.domain, rng)
        assert norm(g.domain, g(u)) == pytest.approx(norm(g.domain, u))


@each_functional
@each_group
def test_the_functionals_are_invariant(group, functional):
    """Assumption: J(g . u) = J(u)."""
    actions = GROUPS[group]()
    assert_invariant(FUNCTIONALS[functional](actions[0].domain), actions)


@each_functional
@each_group
def test_the_proximals_are_equivariant(group, functional):
    """Statement: prox_J(g . u) = g . prox_J(u)."""
    actions = GROUPS[group]()
    prox = FUNCTIONALS[functional](actions[0].domain).proximal(0.2)
    u = random_element(prox.domain, np.random.default_rng(1))
    assert 0.05 < norm(prox.domain, prox(u) - u) / norm(prox.domain, u)
    assert_equivariant(prox, actions, x=u)


@each_group
def test_gradient_steps_of_invariant_functionals_are_equivariant(group):
    """Statement: id - t grad J commutes with g."""
    actions = GROUPS[group]()
    space = actions[0].domain
    J = L2NormSquared(space) * odl.Laplacian(space, pad_mode='periodic')
    step = odl.IdentityOperator(space) - 1e-4 * J.gradient
    assert_invariant(J, actions)
    assert_equivariant(step, actions)


def test_the_error_falls_with_the_tolerance(rng):
    """A proximal known to a tolerance is equivariant to twice that.

    Started from another dual variable each time, the iterations themselves
    are not equivariant; only what they tend to is.
    """
    space = square()
    u, other = random_element(space, rng), random_element(space, rng)
    g = group_actions(space, 'C4')[1]
    errors = []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5):
        images = []
        for start, x in ((other, g(u)), (-3 * other, u)):
            J = InvariantTotalVariation(
                space, tol=tol, max_iter=20000, warm_start=True
            )
            J.proximal(0.1)(start)
            images.append(J.proximal(0.1)(x))
        gap = norm(space, images[0] - g(images[1]))
        errors.append(gap / norm(space, u))
        assert 0 < errors[-1] <= 2 * tol
    assert all(b < 0.5 * a for a, b in zip(errors, errors[1:], strict=False))


def test_forward_differences_are_a_counterexample(rng):
    """Forward differences: neither J nor its proximal follow a rotation."""
    space = square(16)
    g = group_actions(space, 'C4')[1]
    length, gradient = forward_variation(space)
    assert invariance_error(length @ gradient, g) > 1e-3
    f = space.element(lambda x: 1.0 * (x[0] ** 2 + 2 * x[1] ** 2 < 0.6))
    f = f + 0.2 * random_element(space, rng)

    def prox(f):
        x = space.zero()
        fit = 0.5 * L2NormSquared(space).translated(f)
        # the norm of the gradient is below sqrt(8) / h
        step = 1 / (np.sqrt(8) * 8)
        odl.solvers.pdhg(
            x, fit, 0.03 * length, gradient, 300, tau=step, sigma=step
        )
        return x

    ordinary = norm(space, prox(g(f)) - g(prox(f))) / norm(space, f)
    invariant = equivariance_error(
        InvariantTotalVariation(space).proximal(0.03), g, x=f
    )
    assert ordinary > 5e-3
    assert invariant < 1e-13


def test_an_isometry_is_needed():
    """An invariant J does not do where the action is not an isometry.

    J(u) = |u_0| + |u_1| does not change when the two points change places,
    but in a space in which they have different weights they are shortened
    by different amounts.
    """
    weights = np.array([1.0, 4.0])
    space = odl.rn(2, weighting=weights)

    class Swap(odl.Operator):
        def _call(self, x):
            return self.range.element(x.asarray()[::-1].copy())

    class Shorten(odl.Operator):
        def _call(self, x):
            values = x.asarray()
            size = np.maximum(np.abs(values) - 0.5 / weights, 0)
            return self.range.element(np.sign(values) * size)

    swap = Swap(space, space, linear=True)
    u = space.element([1.0, 2.0])
    assert np.abs(swap(u).asarray()).sum() == np.abs(u.asarray()).sum()
    assert norm(space, swap(u)) < 0.8 * norm(space, u)
    assert equivariance_error(Shorten(space, space), swap, x=u) > 0.1
