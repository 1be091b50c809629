# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""When reconstructions are equivariant, and when they are not.

Celledoni et al., *Equivariant neural networks for inverse problems*,
Inverse Problems 37 (2021), 085006.
"""

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.functionals import L2NormSquared

from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import (
    assert_equivariant,
    equivariance_error,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedProximal,
)
from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal

each_element = pytest.mark.parametrize('index', range(1, 8))


def square(size=8, dtype='float64'):
    """Return a space on a square grid."""
    return odl.uniform_discr([-1, -1], [1, 1], (size, size), dtype=dtype)


class Blur(odl.Operator):
    """Periodic mean with the four neighbours, its own adjoint."""

    def __init__(self, space):
        """Initialize a new instance."""
        super().__init__(space, space, linear=True)

    def _call(self, x):
        data = x.asarray()
        shifted = [np.roll(data, s, a) for s in (1, -1) for a in (0, 1)]
        return self.range.element(data / 2 + sum(shifted) / 8)

    @property
    def adjoint(self):
        """The blur itself."""
        return self


def half_mask(space):
    """Return the projection onto images known on the left half."""
    left = space.element(lambda x: 1.0 * (x[0] < 0) + 0 * x[1])
    return odl.MultiplyOperator(left, space, space)


def reconstruct(operator, data, make_regulariser, n_iterations=40, step=0.9):
    """Return an approximate minimiser, from proximal gradient steps."""
    x = operator.domain.zero()
    regulariser = make_regulariser(operator.domain)
    fit = 0.5 * L2NormSquared(operator.range).translated(data) * operator
    odl.solvers.proximal_gradient(x, regulariser, fit, step, n_iterations)
    return x


class Reconstruction(odl.Operator):
    """The map from data to the minimiser, for one forward operator."""

    def __init__(self, operator, make_regulariser):
        """Initialize a new instance."""
        super().__init__(operator.range, operator.domain)
        self.operator = operator
        self.make_regulariser = make_regulariser

    def _call(self, data):
        return reconstruct(self.operator, data, self.make_regulariser)


def object_on(space):
    """Return an image that no symmetry keeps: an edge and a corner."""
    return space.element(
        lambda x: 1.0 * (x[0] + 0.3 > 0.4 * x[1])
        + 0.7 * ((x[1] > 0.2) & (x[0] < 0.5))
    )


def total_variation(weight=0.02):
    """Return what makes a regulariser that knows no earlier images."""
    return lambda space: weight * InvariantTotalVariation(
        space, 'periodic', warm_start=True
    )


# --- As maps of the data --- #


def test_blurring_is_equivariant():
    """Assumption: A (g . u) = g . A u."""
    space = square()
    assert_equivariant(Blur(space), group_actions(space, 'D4'))


def test_deblurring_is_equivariant():
    """Statement: with J invariant, u(g . y) = g . u(y)."""
    space = square()
    y = Blur(space)(object_on(space))
    method = Reconstruction(Blur(space), total_variation())
    assert norm(space, method(y) - y) > 0.02 * norm(space, y)
    assert_equivariant(method, group_actions(space, 'D4')[1:6:2], x=y)


def test_a_mask_is_not_equivariant():
    """The assumption fails: half an image is not known as its turn is."""
    space = square()
    g = group_actions(space, 'C4')[1]
    assert equivariance_error(half_mask(space), g) > 0.5


def test_inpainting_is_a_counterexample():
    """Total variation inpainting: J is invariant, the minimiser is not.

    The data are zero where nothing is known, and turned they are taken for
    known zeros: the reconstruction of the turned data is another image.
    """
    space = square()
    g = group_actions(space, 'C4')[1]
    mask = half_mask(space)
    y = mask(object_on(space))
    method = Reconstruction(mask, total_variation())
    inpainted = method(y)
    # it has filled in what was not known
    unknown = inpainted - mask(inpainted)
    assert norm(space, unknown) > 0.1 * norm(space, y)
    assert equivariance_error(method, g, x=y) > 0.3


def test_inpainting_of_a_mask_that_is_symmetric_is_equivariant():
    """Nothing but the mask is to blame: that of a disc does no harm."""
    space = square()
    disc = space.element(lambda x: 1.0 * (x[0] ** 2 + x[1] ** 2 > 0.3))
    mask = odl.MultiplyOperator(disc, space, space)
    y = mask(object_on(space))
    method = Reconstruction(mask, total_variation())
    assert_equivariant(method, group_actions(space, 'C4')[1:2], x=y)


# --- As maps of the data and of the forward operator --- #


@each_element
def test_inpainting_with_the_mask_turned_too(index):
    """Statement: u(y; A g) = g^-1 . u(y; A), for any A."""
    space = square()
    g = group_actions(space, 'D4')[index]
    mask = half_mask(space)
    y = mask(object_on(space))
    J = total_variation()
    turned = reconstruct(mask @ g, y, J, 15)
    expected = g.inverse(reconstruct(mask, y, J, 15))
    assert norm(space, turned - expected) < 1e-10 * norm(space, expected)


def ray_transform(size=8, dtype='float64'):
    """Return a ray transform with few views, all on one side."""
    space = square(size, dtype)
    geometry = parallel_beam_geometry(space, 3, 13)
    return RayTransform(space, geometry, impl='astra_matrix')


def test_tomography_with_the_geometry_turned_too():
    """Statement: so for a ray transform that sees the object turned."""
    operator = ray_transform()
    space = operator.domain
    g = group_actions(space, 'C4')[1]
    y = operator(object_on(space))
    J = total_variation(0.01)
    turned = reconstruct(operator @ g, y, J, 15, 0.1)
    upright = reconstruct(operator, y, J, 15, 0.1)
    assert norm(space, g(upright) - upright) > 0.1 * norm(space, upright)
    gap = norm(space, turned - g.inverse(upright))
    assert gap < 1e-8 * norm(space, upright)


@pytest.mark.parametrize(
    'block, least, most',
    [(EquivariantProximal, 0, 1e-10), (OrdinaryProximal, 1e-2, 10)],
)
def test_learned_proximals_in_place_of_exact_ones(block, least, most):
    """Statement: plugged in, an equivariant network does as well."""
    operator = ray_transform()
    space = operator.domain
    g = group_actions(space, 'C4')[1]
    torch.manual_seed(1)
    module = block(channels=8, memory=0, gradient=False).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)

    def J(space):
        return LearnedProximal(space, module)

    y = operator(object_on(space))
    turned = reconstruct(operator @ g, y, J, 4, 0.1)
    upright = reconstruct(operator, y, J, 4, 0.1)
    gap = norm(space, turned - g.inverse(upright)) / norm(space, upright)
    assert least <= gap <= most


def test_noise_need_not_be_turned(rng):
    """The statement holds for all data, also such that A cannot give."""
    operator = ray_transform()
    space = operator.domain
    g = group_actions(space, 'C4')[3]
    y = random_element(operator.range, rng)
    J = total_variation(0.01)
    turned = reconstruct(operator @ g, y, J, 10, 0.1)
    expected = g.inverse(reconstruct(operator, y, J, 10, 0.1))
    assert norm(space, turned - expected) < 1e-8 * norm(space, expected)
