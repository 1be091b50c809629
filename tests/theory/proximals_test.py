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

import re

import numpy as np
import odl
import pytest
import torch
from odl.functionals import (
    GroupL1Norm,
    Huber,
    IndicatorBox,
    L1Norm,
    L2Norm,
    L2NormSquared,
)

from odl_equivariant.actions import (
    Reflection,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.diagnostics import (
    TOLERANCES,
    assert_equivariant,
    assert_invariant,
    assert_isometry,
    equivariance_error,
    invariance_error,
    lipschitz_estimate,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
)
from odl_equivariant.nn.steerable.convolutions import (
    PaddedConvolution,
    SteerableConvolution,
)
from odl_equivariant.operators import GroupAverage, NetworkOperator


def square(size=8, dtype='float64', impl='numpy'):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=impl
    )


def rectangle(dtype, impl):
    """Return a space on a grid that quarter turns do not keep."""
    return odl.uniform_discr([-1, -1], [1, 2], (6, 9), dtype=dtype, impl=impl)


def translations(space):
    """Return periodic translations by whole cells."""
    side = space.cell_sides
    shifts = ((1, 0), (0, 1))
    return [Translation(space, np.array(shift) * side) for shift in shifts]


def cube(size, dtype, impl):
    """Return a space on a cubic grid."""
    return odl.uniform_discr([0] * 3, [1] * 3, (size,) * 3, dtype, impl=impl)


def generators_of_the_cube(space, **options):
    """Return two quarter turns and the inversion, which generate Oh."""
    turns = [
        Rotation(space, np.pi / 2, axis=axis, **options) for axis in (0, 1)
    ]
    return [*turns, group_actions(space, 'Oh', **options)[24]]


# What commutes with generators of a group does so with all of its elements.
GROUPS = {
    'rotations of the square': lambda *where: [
        Rotation(square(8, *where), np.pi / 2)
    ],
    'rotations and reflections': lambda *where: [
        Rotation(square(7, *where), np.pi / 2),
        Reflection(square(7, *where), 0),
    ],
    'half turns and mirrors of a rectangle': lambda *where: [
        Rotation(rectangle(*where), np.pi),
        Reflection(rectangle(*where), 0),
    ],
    'rotations and reflections of the cube': lambda *where: (
        generators_of_the_cube(cube(5, *where))
    ),
    'rotations and reflections of vector fields in space': lambda *where: (
        generators_of_the_cube(cube(4, *where) ** 3, representation='standard')
    ),
    'periodic translations': lambda *where: translations(square(8, *where)),
    'rotations of vector fields': lambda *where: [
        Rotation(square(6, *where) ** 2, np.pi / 2, representation='standard')
    ],
}
WHERE = [
    ('float64', 'numpy'),
    ('float32', 'pytorch'),
    ('complex64', 'numpy'),
    ('complex128', 'pytorch'),
]

_SINGLE = ('float32', 'complex64')


def vector_norm(space):
    """Return the L1 norm, of the lengths on a space of vector fields."""
    if isinstance(space, odl.ProductSpace):
        return GroupL1Norm(space)
    return L1Norm(space)


FUNCTIONALS = {
    'total variation': lambda space: InvariantTotalVariation(
        space, 'periodic'
    ),
    'total generalized variation': (
        lambda space: InvariantTotalGeneralizedVariation(
            space, (1.0, 0.3), 'periodic', tol=5e-2
        )
    ),
    'L1 norm': vector_norm,
    'L2 norm': L2Norm,
    'squared L2 norm': L2NormSquared,
    'Huber function': lambda space: Huber(space, 0.3),
    'indicator of a box': lambda space: IndicatorBox(space, -0.5, 0.5),
    'L1 norm of the distance to a constant': lambda space: L1Norm(
        space
    ).translated(0.4 * space.one()),
}

CASES = [
    pytest.param(group, functional, where, id=f'{functional}, {group}, {w}')
    for group in GROUPS
    for functional in FUNCTIONALS
    for where in WHERE
    for w in [' '.join(where)]
    # no vector but zero is kept by rotations, and no box in the plane
    if not (
        'vector' in group
        and functional
        in (
            'indicator of a box',
            'L1 norm of the distance to a constant',
            'Huber function',
        )
    )
    if not ('complex' in w and 'box' in functional)
]
each_case = pytest.mark.parametrize('group, functional, where', CASES)
# ODL's L1 norms have proximals on complex spaces, but no values there
LACKS_VALUES = re.compile('^L1.*complex')
each_case_with_a_value = pytest.mark.parametrize(
    'group, functional, where',
    [case for case in CASES if not LACKS_VALUES.search(case.id)],
)
each_group = pytest.mark.parametrize('group', GROUPS)


def forward_variation(space):
    """Return the total variation by forward differences, and its parts."""
    gradient = odl.Gradient(space, method='forward', pad_mode='symmetric')
    return GroupL1Norm(gradient.range), gradient


@pytest.mark.parametrize('where', WHERE, ids=' '.join)
@each_group
def test_the_actions_are_isometries(law, group, where):
    """|g . u - g . v| = |u - v|, the first assumption."""
    for g in GROUPS[group](*where):
        law.holds(assert_isometry(g), TOLERANCES[where[0]])


# ODL takes the real part of the inner products of complex spaces
@pytest.mark.filterwarnings('ignore:Casting complex values to real')
@each_case_with_a_value
def test_the_functionals_are_invariant(law, group, functional, where):
    """J(g . u) = J(u), the second assumption."""
    actions = GROUPS[group](*where)
    J = FUNCTIONALS[functional](actions[0].domain)
    law.holds(assert_invariant(J, actions), TOLERANCES[where[0]])


@each_case
def test_the_proximals_are_equivariant(law, group, functional, where):
    """prox_J(g . u) = g . prox_J(u)."""
    actions = GROUPS[group](*where)
    prox = FUNCTIONALS[functional](actions[0].domain).proximal(0.2)
    u = random_element(prox.domain, np.random.default_rng(1))
    assert 0.05 < norm(prox.domain, prox(u) - u) / norm(prox.domain, u)
    tolerance = TOLERANCES[where[0]]
    if functional == 'total variation' and where[0] in _SINGLE:
        # its iterations in single precision amplify rounding
        tolerance = 5e-5
    error = assert_equivariant(prox, actions, x=u, tol=tolerance)
    law.holds(error, tolerance)


@pytest.mark.parametrize('where', WHERE[:2], ids=' '.join)
@each_group
def test_gradient_steps_of_invariant_functionals_are_equivariant(
    law, group, where
):
    """The step id - t grad J commutes with g."""
    actions = GROUPS[group](*where)
    space = actions[0].domain
    scalar = actions[0].domain
    while isinstance(scalar, odl.ProductSpace):
        scalar = scalar[0]
    laplacian = odl.Laplacian(scalar, pad_mode='periodic')
    if scalar != space:
        laplacian = odl.DiagonalOperator(laplacian, len(space))
    J = L2NormSquared(laplacian.range) * laplacian
    step = odl.IdentityOperator(space) - 1e-4 * J.gradient
    law.holds(assert_invariant(J, actions), TOLERANCES[where[0]])
    law.holds(assert_equivariant(step, actions), TOLERANCES[where[0]])


@pytest.mark.slow
def test_the_error_falls_with_the_tolerance(law, rng):
    """A proximal known to a tolerance is equivariant to twice that.

    The iterations start from another dual variable each time. So they are not
    equivariant, but their limit is.
    """
    space = square()
    u, other = random_element(space, rng), random_element(space, rng)
    g = group_actions(space, 'C4')[1]
    errors = []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5):
        images = []
        for start, x in ((other, g(u)), (-3 * other, u)):
            J = InvariantTotalVariation(
                space, tol=tol, maxiter=20000, warm_start=True
            )
            J.proximal(0.1)(start)
            images.append(J.proximal(0.1)(x))
        gap = norm(space, images[0] - g(images[1]))
        errors.append(gap / norm(space, u))
        assert errors[-1] > 0
        law.holds(errors[-1], 2 * tol)
    assert errors[-1] < 1e-2 * errors[0]


class NetworkFunctional(odl.functionals.Functional):
    r"""Sum of a convex function of the convolutions of an image.

    Its proximal minimises the strongly convex :math:`\frac{1}{2} \|x - u\|^2
    + \sigma J(x)` by accelerated gradient steps, up to a distance of ``tol``
    from the minimiser.
    """

    def __init__(self, space, convolution, tol=1e-12):
        super().__init__(space)
        self.filters = NetworkOperator(
            convolution, space, space ** len(convolution.kernel()[0])
        )
        self.potential = Huber(self.filters.range, 0.3)
        self.composed = self.potential * self.filters
        self.tol = tol

    def _call(self, x):
        return self.composed(x)

    @property
    def gradient(self):
        """The transposed filters after the derivative of the function."""
        return self.composed.gradient

    def proximal(self, sigma):
        """Return the proximal operator."""
        functional = self
        # Huber's function has a slope of Lipschitz constant 1 / 0.3
        norm_filters = lipschitz_estimate(
            self.filters.derivative(self.domain.zero()), n_iterations=50
        )
        steepest = 1 + 1.1 * sigma * norm_filters**2 / 0.3

        class Proximal(odl.Operator):
            def _call(self, u):
                x = previous = u.copy()
                root = steepest**0.5
                momentum = (root - 1) / (root + 1)
                for _ in range(2000):
                    y = x + momentum * (x - previous)
                    slope = (y - u) + sigma * functional.gradient(y)
                    previous, x = x, y - (1 / steepest) * slope
                    if norm(x.space, slope) <= functional.tol:
                        return x
                raise RuntimeError('not converged')

        return Proximal(self.domain, self.domain)


def filters(kind):
    """Return a layer with random weights, equivariant or not."""
    torch.manual_seed(4)
    if kind == 'equivariant':
        layer = SteerableConvolution(
            1, 2, 'trivial', 'regular', 'C4', padding_mode='circular'
        )
    else:
        layer = PaddedConvolution(1, 8, padding_mode='circular')
    return layer.double()


@pytest.mark.slow
def test_learned_functionals_of_regular_fields_are_invariant(law):
    """J(u) = sum of psi(K u), K a steerable convolution; and its prox."""
    space = square(6)
    g = Rotation(space, np.pi / 2)
    J = NetworkFunctional(space, filters('equivariant'))
    law.holds(invariance_error(J, g), case='J(g . u) = J(u).')
    law.holds(equivariance_error(J.gradient, g), case='The gradient of J.')
    u = random_element(space, np.random.default_rng(1))
    prox = J.proximal(0.2)
    assert norm(space, prox(u) - u) > 0.1 * norm(space, u)
    law.holds(equivariance_error(prox, g, x=u), case='The proximal of J.')


def test_learned_functionals_of_ordinary_fields_are_not(law):
    """The same with the kernels of an ordinary convolution."""
    space = square(6)
    g = Rotation(space, np.pi / 2)
    J = NetworkFunctional(space, filters('ordinary'))
    law.fails(invariance_error(J, g), 1e-3, 'J(g . u) = J(u).')
    error = equivariance_error(J.proximal(0.2), g)
    law.fails(error, 1e-2, 'The proximal of J.')


def test_averages_of_learned_functionals_are_invariant(law):
    """The mean of J(g . u) over the group is invariant for any J."""
    space = square(6)
    g = Rotation(space, np.pi / 2)
    J = NetworkFunctional(space, filters('ordinary'))
    average = GroupAverage(J, group_actions(space, 'C4'))
    law.holds(invariance_error(average, g))
    law.holds(equivariance_error(average.gradient, g), case='Its gradient.')


def test_forward_differences_are_a_counterexample(law, rng):
    """J of forward differences is not invariant."""
    space = square(16)
    g = group_actions(space, 'C4')[1]
    length, gradient = forward_variation(space)
    law.fails(invariance_error(length @ gradient, g), 1e-3)
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
    law.fails(ordinary, 5e-3, 'prox_J, forward differences.')
    law.holds(invariant, 1e-13, 'prox_J, the mean of all stencils.')


def test_an_isometry_is_needed(law):
    """If the action is not an isometry, an invariant J is not enough.

    J(u) = |u_0| + |u_1| does not change if the two points are swapped. But
    if the points have different weights, the proximal shortens them by
    different amounts.
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
    law.fails(equivariance_error(Shorten(space, space), swap, x=u), 0.1)
