# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scalings of the domain, which are no isometries.

If J(T u) = c J(u) and ||T u||^2 = d ||u||^2, with an invertible T, then the
proximal of T u with the parameter sigma is T of that of u with sigma c / d.
"""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import Affine, DomainScaling
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
    LearnedRegularizer,
)
from odl_equivariant.nn import RidgeEnergy

TOL = 1e-6
SHAPES = {1: (24,), 2: (12, 9), 3: (6, 5, 4)}

each_dimension = pytest.mark.parametrize('n', SHAPES)
each_factor = pytest.mark.parametrize('s', [2, 3])
each_norm = pytest.mark.parametrize('unitary', [False, True])


def spaces(n, s, unitary=False, impl='numpy'):
    """Return a scaling, and an image of white noise."""
    shape = np.array(SHAPES[n])
    # square cells
    space = odl.uniform_discr(-shape / 8, shape / 8, shape, impl=impl)
    u = np.random.default_rng(n).standard_normal(SHAPES[n])
    return DomainScaling(space, s, unitary), space.element(u)


def gap(a, b):
    """Return the relative distance of two elements."""
    return float((a - b).norm()) / float(b.norm())


@each_dimension
@each_factor
@each_norm
def test_total_variation_is_homogeneous_in_the_scale(law, n, s, unitary):
    """TV(T u) = c TV(u) with c = s^(n - 1), or s^(n / 2 - 1) if unitary."""
    T, u = spaces(n, s, unitary)
    c = s ** (n / 2 - 1 if unitary else n - 1)
    ratio = InvariantTotalVariation(T.range)(T(u)) / (
        c * InvariantTotalVariation(T.domain)(u)
    )
    law.holds(abs(ratio - 1))


@each_dimension
@each_factor
@each_norm
def test_norms_of_scaled_images(law, n, s, unitary):
    """||T u||^2 = d ||u||^2 with d = s^n, or 1 if unitary."""
    T, u = spaces(n, s, unitary)
    d = 1 if unitary else s**n
    assert T.squared_norm == d
    law.holds(abs(float(T(u).norm()) ** 2 / float(u.norm()) ** 2 / d - 1))


@each_dimension
@each_factor
@each_norm
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_proximals_of_total_variation_under_scaling(law, n, s, unitary, impl):
    """prox_{sigma TV}(T u) = T prox_{(sigma c / d) TV}(u)."""
    T, u = spaces(n, s, unitary, impl)
    c, d = (s ** (n / 2 - 1), 1) if unitary else (s ** (n - 1), s**n)
    one, other = (
        InvariantTotalVariation(space, tol=TOL)
        for space in (T.domain, T.range)
    )
    sigma = 0.05
    left = other.proximal(sigma)(T(u))
    law.holds(gap(left, T(one.proximal(sigma * c / d)(u))), 2 * TOL)


@each_factor
def test_proximals_of_generalized_variation_under_scaling(law, s):
    """The same for TGV, whose second weight is a length and scales along."""
    T, u = spaces(1, s)
    tol, sigma, length = 1e-4, 0.5, 0.5
    one = InvariantTotalGeneralizedVariation(
        T.domain, (1.0, length), tol=tol, maxiter=10000
    )
    other = InvariantTotalGeneralizedVariation(
        T.range, (1.0, s * length), tol=tol, maxiter=10000
    )
    left = other.proximal(sigma)(T(u))
    assert gap(left, T(u)) > 0.1
    law.holds(gap(left, T(one.proximal(sigma / s)(u))), 2 * tol)


@each_factor
def test_proximals_of_a_ridge_energy_under_scaling(law, s):
    """The same for an energy of filters of cells, with c = d."""
    T, u = spaces(2, s)
    torch.manual_seed(0)
    energy = RidgeEnergy(n_filters=4, kernel_size=3).double()
    tol = 1e-6
    one, other = (
        LearnedRegularizer(space, energy, sigma=0.3, tol=tol)
        for space in (T.domain, T.range)
    )
    c = float(other(T(u)) / one(u))
    assert c == pytest.approx(T.squared_norm, rel=1e-9)
    left = other.proximal(0.5)(T(u))
    assert gap(left, T(u)) > 1e-3
    law.holds(gap(left, T(one.proximal(0.5)(u))), 2 * tol)


def test_without_scaling_the_parameter_it_is_wrong(law):
    """The parameter has to be multiplied by c / d = 1 / s."""
    T, u = spaces(2, 2)
    one, other = (
        InvariantTotalVariation(space, tol=TOL)
        for space in (T.domain, T.range)
    )
    law.fails(gap(other.proximal(0.05)(T(u)), T(one.proximal(0.05)(u))), 1e-2)


@each_norm
def test_on_one_grid_both_assumptions_hold_in_the_limit(unitary):
    """With interpolation, the errors of c and d fall with the cells."""
    errors, s = [], 1.5
    for cells in (24, 48, 96):
        space = odl.uniform_discr([-1, -1], [1, 1], (cells, cells))
        u = space.element(
            lambda x: np.exp(-(x[0] ** 2 + 2 * x[1] ** 2) / (2 * 0.15**2))
        )
        T = Affine(space, s, unitary=unitary)
        c, d = (1.0, 1.0) if unitary else (s, s**2)
        J = InvariantTotalVariation(space)
        first = abs(J(T(u)) / (c * J(u)) - 1)
        second = abs(float(T(u).norm()) ** 2 / float(u.norm()) ** 2 / d - 1)
        errors.append((first, second))
    for one, finer in zip(errors, errors[1:], strict=False):
        assert all(b < a / 2.5 for a, b in zip(one, finer, strict=True))
    assert max(errors[-1]) < 1e-2


def test_the_boundary_does_not_scale():
    """Within one domain the proximals differ: the air around is not larger."""
    space = odl.uniform_discr([-1, -1], [1, 1], (48, 48))
    u = space.element(lambda x: np.exp(-(x[0] ** 2 + x[1] ** 2) / 0.08))
    T = Affine(space, 1.5)
    J = InvariantTotalVariation(space, tol=1e-3)
    gap_ = gap(J.proximal(0.01)(T(u)), T(J.proximal(0.01 / 1.5)(u)))
    assert 0.02 < gap_ < 0.1
