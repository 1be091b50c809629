# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned regularisers that have a value."""

import numpy as np
import odl
import pytest
import torch
from odl.functionals import L2Norm, L2NormSquared

from odl_equivariant.actions import group_actions
from odl_equivariant.data import SparseViewCT
from odl_equivariant.diagnostics import (
    assert_equivariant,
    equivariance_error,
    invariance_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.elements import tensor_dtype
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedRegularizer,
)
from odl_equivariant.nn import (
    Energy,
    EquivariantProximal,
    GradientStepEnergy,
    MultiscaleDenoiser,
    RidgeEnergy,
)
from odl_equivariant.nn.steerable.convolutions import (
    PaddedConvolution,
    SteerableConvolution,
)
from odl_equivariant.solvers import accelerated_proximal_gradient

# Of values, relative to the value.
ROUNDING = {'float32': 1e-6, 'complex64': 1e-6}
ROUNDING |= {'float64': 1e-12, 'complex128': 1e-12}


def square(size=8, dtype='float64', impl='numpy'):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=impl
    )


def randomise(module):
    """Draw anew what starts at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(0.1 * noise)
    return module.eval()


def gradient_step(space, group='C4', **kwargs):
    """Return the regulariser of a small denoiser of several scales."""
    torch.manual_seed(0)
    denoiser = MultiscaleDenoiser(
        group,
        in_channels=2 if space.is_complex else 1,
        channels=8,
        n_scales=2,
        n_blocks=1,
        **kwargs,
    )
    energy = GradientStepEnergy(randomise(denoiser).to(tensor_dtype(space)))
    return LearnedRegularizer(space, energy, sigma=0.3)


def of_one_scale(space, group):
    """Return the regulariser of a small denoiser of one scale."""
    torch.manual_seed(0)
    fields = {'channels': 8} if group.startswith(('C', 'D')) else {}
    if group in ('C8', 'D8'):
        fields = {'channels': 16}
    denoiser = EquivariantProximal(
        in_channels=2 if space.is_complex else 1,
        group=group,
        memory=0,
        gradient=False,
        noise_level=True,
        n_residual_blocks=1,
        **fields,
    )
    energy = GradientStepEnergy(randomise(denoiser).to(tensor_dtype(space)))
    return LearnedRegularizer(space, energy, sigma=0.3)


def ridge(space, group, convex=False):
    """Return the regulariser of a small ridge energy."""
    torch.manual_seed(0)
    energy = RidgeEnergy(
        group,
        kernel_size=3,
        n_filters=8,
        convex=convex,
        in_channels=2 if space.is_complex else 1,
    )
    return LearnedRegularizer(space, energy.to(tensor_dtype(space)), sigma=0.1)


# Energies by their groups, and the elements of these that keep the grid.
INVARIANT = {
    'several scales, C4': (gradient_step, 'C4', 'C4'),
    'several scales, D4': (gradient_step, 'D4', 'D4'),
    'one scale, C4': (of_one_scale, 'C4', 'C4'),
    'one scale, D4': (of_one_scale, 'D4', 'D4'),
    'one scale, C8': (of_one_scale, 'C8', 'C4'),
    'one scale, D8': (of_one_scale, 'D8', 'D4'),
    'one scale, SO2': (of_one_scale, 'SO2', 'C4'),
    'one scale, O2': (of_one_scale, 'O2', 'D4'),
    'ridge, C4': (ridge, 'C4', 'C4'),
    'ridge, D4': (ridge, 'D4', 'D4'),
}
WHERE = [
    ('float64', 'numpy'),
    ('float32', 'pytorch'),
    ('complex64', 'numpy'),
    ('complex128', 'pytorch'),
]


@pytest.mark.parametrize('where', WHERE, ids=' '.join)
@pytest.mark.parametrize('size', [8, 9])
@pytest.mark.parametrize('name', INVARIANT)
def test_energies_of_equivariant_networks_are_invariant(
    law, name, size, where
):
    """J(g . u) = J(u) for |u - N(u)|^2 / 2 and ridges, to rounding."""
    make, group, exact = INVARIANT[name]
    space = square(size, *where)
    J, u = make(space, group), random_element(space, np.random.default_rng(3))
    error = max(
        abs(J(g(u)) - J(u)) / J(u) for g in group_actions(space, exact)[1:]
    )
    law.holds(error, ROUNDING[where[0]])


@pytest.mark.parametrize('where', WHERE[:2], ids=' '.join)
@pytest.mark.parametrize('name', ['several scales, D4', 'one scale, C8'])
def test_their_gradients_are_equivariant(law, name, where):
    """The gradient at g . u is g . (gradient at u)."""
    make, group, exact = INVARIANT[name]
    space = square(8, *where)
    J, actions = make(space, group), group_actions(space, exact)[1:]
    law.holds(assert_equivariant(J.gradient, actions), 1e-5)


def test_energies_of_ordinary_denoisers_are_not(law):
    """An ordinary N makes a J that turns change, and its gradient, too."""
    space = square()
    J, g = gradient_step(space, None), group_actions(space, 'C4')[1]
    law.fails(invariance_error(J, g), 1e-3)
    law.fails(equivariance_error(J.gradient, g), 1e-2, 'Its gradient.')


def test_equivariant_gradients_have_invariant_energies(law):
    """J(u) is J(0) plus the integral of <grad J(t u), u>, turned or not."""
    space = square()
    J, g = gradient_step(space), group_actions(space, 'C4')[1]
    u = random_element(space, np.random.default_rng(3))
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def integral(u):
        return sum(
            float(w) / 2 * float(J.gradient(float(t + 1) / 2 * u).inner(u))
            for t, w in zip(nodes, weights, strict=True)
        )

    law.holds(abs(integral(g(u)) - integral(u)) / J(u), 1e-12)
    law.holds(
        abs(J(space.zero()) + integral(u) - J(u)) / J(u),
        1e-2,
        'The integral is the energy.',
    )


# --- Proximals with several values --- #


def turn(angle):
    """Return a turn of the plane, as a matrix."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


MIRROR = np.diag([1.0, -1.0])
PLANE = odl.rn(2)
ANGLES = 2 * np.pi * np.arange(24) / 24
RADII = np.linspace(0, 2, 41)


def minimisers(J, x, parameter=1.0):
    """Return all points of a grid that minimise |v - x|^2 / 2 + t J(v)."""
    objective = parameter * J + 0.5 * L2NormSquared(PLANE).translated(x)
    points = [
        r * np.array([np.cos(a), np.sin(a)])
        for r in RADII
        for a in (ANGLES if r > 0 else ANGLES[:1])
    ]
    values = np.array([objective(PLANE.element(v)) for v in points])
    return np.array(points)[values <= values.min() + 1e-12]


def errors_of_selections(selections, group):
    """Return, for each choice of a value at zero, how far it is moved."""
    return [max(np.linalg.norm(g @ v - v) for g in group) for v in selections]


NEGATIVE_NORM = -1.0 * L2Norm(PLANE)


@pytest.fixture(scope='module')
def circle():
    """Return the proximal of -|u| at zero, on a grid."""
    return minimisers(NEGATIVE_NORM, PLANE.zero())


def test_the_proximal_of_the_negative_norm_at_zero_is_a_circle(law, circle):
    """J = -|u| on R^2 is invariant, and prox_J(0) is the unit circle."""
    law.holds(
        max(
            abs(NEGATIVE_NORM(PLANE.element(turn(a) @ [1.2, 0.5])) + 1.3)
            for a in ANGLES
        ),
        1e-14,
        'J(g . u) = J(u).',
    )
    assert len(circle) == len(ANGLES)
    law.holds(np.abs(np.linalg.norm(circle, axis=1) - 1).max(), 1e-14)


@pytest.mark.parametrize('order', [2, 3, 4, 24])
def test_no_selection_of_it_is_equivariant(law, circle, order):
    """Whatever value is chosen at zero, some turn moves it, but not zero."""
    group = [turn(2 * np.pi * k / order) for k in range(order)]
    errors = errors_of_selections(circle, group)
    law.fails(min(errors), 1.0)


def test_as_a_set_it_is_equivariant(law, circle):
    """The set of minimisers at g . x is g times that at x."""
    moved = circle @ turn(0.5 * np.pi).T
    distances = np.linalg.norm(moved[:, None] - circle[None], axis=2)
    law.holds(distances.min(0).max(), 1e-12, 'At zero.')
    for x in ([0.5, 0.0], [0.0, 0.5]):
        values = minimisers(NEGATIVE_NORM, PLANE.element(x))
        assert len(values) == 1
        law.holds(np.linalg.norm(values[0] - 3 * np.array(x)), 1e-12, 'At x.')


def test_a_group_that_fixes_a_minimiser_has_a_selection(law, circle):
    """A reflection leaves two points of the circle in place."""
    errors = np.array(errors_of_selections(circle, [MIRROR]))
    assert (errors < 1e-12).sum() == 2
    law.holds(errors.min(), 1e-14)


class Bump(odl.functionals.Functional):
    """The function 1 - (1 + |u|^2)^(1/2), which is 1-weakly convex."""

    def __init__(self):
        super().__init__(PLANE)

    def _call(self, x):
        return 1 - np.sqrt(1 + float(x.inner(x)))


@pytest.mark.parametrize('x', [(0.0, 0.0), (0.3, 0.0), (0.0, -0.5)])
def test_below_the_inverse_modulus_there_is_one_minimiser(law, x):
    """With t < 1 / r the proximal has one value, and fixes what g fixes."""
    single = minimisers(Bump(), PLANE.element(x), 0.75)
    assert len(single) == 1
    radius = np.linalg.norm(single[0])
    slope = radius - 0.75 * radius / np.sqrt(1 + radius**2)
    law.holds(abs(slope - np.linalg.norm(x)), 0.03)


def test_beyond_it_there_may_be_several(law):
    """With t = 1.5 > 1 / r, prox(0) is a circle of radius (t^2 - 1)^(1/2)."""
    several = minimisers(Bump(), PLANE.zero(), 1.5)
    assert len(several) == len(ANGLES)
    radius = np.linalg.norm(several, axis=1)
    law.holds(np.abs(radius - np.sqrt(1.5**2 - 1)).max(), 0.03)


class WeaklyConvex(Energy):
    r"""Sum of 1 - (1 + |w * u|^2)^(1/2) over the filters w of an orbit.

    With filters of a convolution of norm n, it is n^2-weakly convex.
    """

    def __init__(self, equivariant=True):
        super().__init__()
        torch.manual_seed(4)
        if equivariant:
            layer = SteerableConvolution(
                1, 2, 'trivial', 'regular', 'C4', padding_mode='circular'
            )
        else:
            layer = PaddedConvolution(1, 8, padding_mode='circular')
        self.layer = layer.double().requires_grad_(False)
        kernel, _ = self.layer.kernel()
        # the squared norm of the periodic convolution of 8 x 8 cells
        symbols = torch.fft.fft2(kernel, s=(8, 8)).abs()
        self.modulus = float(symbols.square().sum((0, 1)).max())

    def forward(self, x, sigma=None):
        """Return the value."""
        y = self.layer(x)
        return (1 - (1 + y.square()).sqrt()).flatten(1).sum(1) / self.modulus

    def gradient_lipschitz(self, sigma=None):
        """Return the bound one."""
        return 1.0

    def weak_convexity(self, sigma=None):
        """Return the modulus one."""
        return 1.0


@pytest.mark.parametrize('tol', [1e-2, 1e-4, 1e-6])
def test_weakly_convex_energies_have_equivariant_proximals(law, rng, tol):
    """To twice the tolerance, from whatever start they are computed."""
    space = square()
    u, other = (2 * random_element(space, rng) for _ in range(2))
    g = group_actions(space, 'C4')[1]
    images = []
    # a start that is worse than the argument would not be taken
    for start, x in ((0.05 * other, g(u)), (-0.03 * other, u)):
        J = LearnedRegularizer(space, WeaklyConvex(), tol=tol, warm_start=True)
        J.proximal(0.9)(x + start)
        images.append(J.proximal(0.9)(x))
    gap = norm(space, images[0] - g(images[1]))
    assert gap > 1e-3 * tol * norm(space, u)
    assert norm(space, images[1] - u) > 0.05 * norm(space, u)
    law.holds(gap / max(norm(space, v) for v in (u, *images)), 2 * tol)


def test_those_of_ordinary_filters_do_not(law):
    """One value, but a J that turns change."""
    space = square()
    J = LearnedRegularizer(space, WeaklyConvex(False), tol=1e-6)
    g = group_actions(space, 'C4')[1]
    u = 3 * random_element(space, np.random.default_rng(3))
    law.fails(equivariance_error(J.proximal(0.9), g, x=u), 1e-3)


# --- Convergence --- #


def test_gradient_step_plug_and_play_converges(law):
    """The objective never rises, and the residual tends to zero."""
    space = square()
    truth = space.element(lambda x: 1.0 * (x[0] ** 2 + 2 * x[1] ** 2 < 0.5))
    mask = odl.MultiplyOperator(space.element(lambda x: 1.0 * (x[0] > -0.5)))
    noise = random_element(space, np.random.default_rng(5))
    data = mask(truth + 0.1 * noise)

    class Fit(odl.functionals.Functional):
        """Half the squared distance to the data where there are some."""

        def __init__(self):
            super().__init__(space)

        def _call(self, x):
            return 0.5 * float((mask(x) - data).norm()) ** 2

        def proximal(self, sigma):
            """Return the pointwise minimiser."""
            weight = 1 / (1 + sigma * mask.multiplicand)
            shrink = odl.MultiplyOperator(weight)
            shift = odl.ConstantOperator(sigma * weight * data, space)
            return shrink + shift

    for activation in ('leaky_relu', 'softplus'):
        J = 0.5 * gradient_step(space, activation=activation)
        x = space.zero()
        result = accelerated_proximal_gradient(
            x, Fit(), J, gamma=2.0, maxiter=100, restart=None
        )
        rises = np.diff(result.objective) / result.objective[0]
        law.holds(max(rises.max(), 0), 1e-12, 'Objectives never rise.')
        law.holds(
            result.residuals[-1] / result.residuals[0],
            1e-2,
            f'Residual after 100 iterations, {activation}.',
        )


# --- The limit of little noise --- #


@pytest.mark.parametrize('name', ['total variation', 'ridge energy'])
def test_regularised_images_converge_with_the_noise(law, name):
    """Noise d to zero, weight proportional to d: the error falls to zero."""
    A = SparseViewCT((16, 16), 24, impl='astra_matrix').forward_operator()
    space, zero = A.domain, odl.functionals.ZeroFunctional(A.domain)
    truth = space.element(
        lambda x: 1.0 * (x[0] ** 2 + 2 * x[1] ** 2 < 0.5 * x[0].max() ** 2)
    )
    noise = random_element(A.range, np.random.default_rng(2))
    noise = float(A(truth).norm() / noise.norm()) * noise
    if name == 'total variation':
        J = 0.01 * InvariantTotalVariation(space, tol=1e-3, warm_start=True)
    else:
        J = 0.1 * ridge(space, 'C4', convex=True)
    errors = []
    for level in (0.1, 0.03, 0.01):
        fit = L2NormSquared(A.range).translated(A(truth) + level * noise)
        fit = 0.5 * fit * A
        f, g = level * J, fit
        if name == 'ridge energy':
            f, g = zero, fit + level * J
        x = space.zero()
        accelerated_proximal_gradient(x, f, g, maxiter=80, objective=False)
        errors.append(norm(space, x - truth) / norm(space, truth))
    assert errors == sorted(errors, reverse=True)
    law.holds(errors[-1], 0.4 * errors[0])
