# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of learned proximals inside the solvers of ODL.

A learned proximal that is the exact proximal of a functional has to lead
every solver to what ODL's own functional leads it to.
"""

import functools

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from odl.functionals import L1Norm, L2NormSquared
from torch import nn

from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import EquivariantProximal

dtype = simple_fixture('dtype', ['float64', 'complex128'])

WEIGHT = 0.2
# The squared norm of the forward operators below, rounded up.
SQUARED_NORM = 6.2


class SoftThreshold(nn.Module):
    """Proximal of a multiple of the L1 norm, of moduli if complex."""

    def forward(self, x, sigma):
        modulus = x.square().sum(1, keepdim=True).sqrt()
        scale = modulus.clamp_min(torch.finfo(x.dtype).tiny)
        return x * (modulus - WEIGHT * sigma).clamp_min(0) / scale


def forward_operator(dtype, backend):
    """Return a small ray transform, which couples all pixels."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (7, 7), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, 6, 11)
    return RayTransform(space, geometry, impl='astra_matrix')


# --- Solvers that minimise f + g(A .), from zero --- #


def proximal_gradient(x, f, g, operator, n_iterations):
    odl.solvers.proximal_gradient(
        x, f, g @ operator, 0.4 / SQUARED_NORM, n_iterations
    )


def pdhg(x, f, g, operator, n_iterations):
    step = SQUARED_NORM**-0.5
    odl.solvers.pdhg(x, f, g, operator, n_iterations, tau=step, sigma=step)


def admm_linearized(x, f, g, operator, n_iterations):
    odl.solvers.admm_linearized(
        x, f, g, operator, 1 / SQUARED_NORM, 1.0, n_iterations
    )


def douglas_rachford_pd(x, f, g, operator, n_iterations):
    step = SQUARED_NORM**-0.5
    odl.solvers.douglas_rachford_pd(
        x, f, [g], [operator], n_iterations, tau=step, sigma=[step]
    )


def forward_backward_pd(x, f, g, operator, n_iterations):
    step = 0.9 * SQUARED_NORM**-0.5
    nothing = odl.functionals.ZeroFunctional(operator.domain)
    odl.solvers.forward_backward_pd(
        x, f, [g], [operator], nothing, step, [step], n_iterations
    )


def forward_backward_pd_by_gradient(x, f, g, operator, n_iterations):
    nothing = odl.functionals.ZeroFunctional(operator.domain)
    odl.solvers.forward_backward_pd(
        x,
        f,
        [nothing],
        [odl.IdentityOperator(operator.domain)],
        g @ operator,
        0.4 / SQUARED_NORM,
        [1.0],
        n_iterations,
    )


SOLVERS = {
    solver.__name__: solver
    for solver in (
        proximal_gradient,
        pdhg,
        admm_linearized,
        douglas_rachford_pd,
        forward_backward_pd,
        forward_backward_pd_by_gradient,
    )
}
WITH_PROXIMALS_ONLY = [
    name
    for name in SOLVERS
    if name not in ('proximal_gradient', 'forward_backward_pd_by_gradient')
]
each_solver = pytest.mark.parametrize('solver', SOLVERS)
each_solver_for_g = pytest.mark.parametrize('solver', WITH_PROXIMALS_ONLY)


def run(solver, f, g, operator, n_iterations=3):
    """Return the result of a solver that starts at zero, as a tensor."""
    x = operator.domain.zero()
    SOLVERS[solver](x, f, g, operator, n_iterations)
    return as_tensor(x)


def distance_to(data, space):
    """Return the squared distance to data, given as a numpy array."""
    return L2NormSquared(space).translated(space.element(data))


def noise(space, rng):
    """Return random values for the elements of a numpy space."""
    return random_element(space, rng).data


def assert_same(ours, theirs, without, tol=1e-12):
    """Assert that two results are equal, and not equal to a third.

    The third is what comes without the learned proximal, which should
    make a difference.
    """
    scale = float(theirs.norm())
    assert float((ours - theirs).norm()) < tol * scale
    assert float((without - theirs).norm()) > 0.02 * scale


# --- The learned proximal of a known functional --- #


class Unaliased(odl.functionals.Functional):
    """Functional the proximals of which are given a copy of their input.

    ODL's proximal of the L1 norm returns zero if ``out`` is ``x``, as it is
    in `admm_linearized`.
    """

    def __init__(self, functional):
        super().__init__(functional.domain)
        self.functional = functional

    @property
    def proximal(self):
        def make(sigma):
            proximal = self.functional.proximal(sigma)
            return proximal * odl.IdentityOperator(self.domain)

        return make


@functools.cache
def reference_with_f(solver, dtype):
    """Return data and ODL's results, with the L1 norm as f and without."""
    operator = forward_operator(dtype, 'numpy')
    rng = np.random.default_rng(1)
    data = operator(random_element(operator.domain, rng)).data
    g = distance_to(data, operator.range)
    norm = Unaliased(WEIGHT * L1Norm(operator.domain))
    nothing = odl.functionals.ZeroFunctional(operator.domain)
    return data, *(run(solver, f, g, operator) for f in (norm, nothing))


@functools.cache
def reference_with_g(solver, dtype):
    """Return data and ODL's results, with the L1 norm as g and without."""
    operator = forward_operator(dtype, 'numpy')
    data = noise(operator.domain, np.random.default_rng(1))
    f = distance_to(data, operator.domain)
    norm = WEIGHT * L1Norm(operator.range)
    nothing = odl.functionals.ZeroFunctional(operator.range)
    return data, *(run(solver, f, g, operator) for g in (norm, nothing))


@each_solver
def test_solver_with_learned_f_equals_odl(solver, dtype, backend):
    """As ``f``, the learned proximal of the L1 norm is the L1 norm."""
    data, *expected = reference_with_f(solver, dtype)
    operator = forward_operator(dtype, backend)
    f = LearnedProximal(operator.domain, SoftThreshold())
    g = distance_to(data, operator.range)
    assert_same(run(solver, f, g, operator), *expected)


@each_solver_for_g
def test_solver_with_learned_g_equals_odl(solver, dtype, backend):
    """As ``g``, it is the L1 norm, through its convex conjugate."""
    data, *expected = reference_with_g(solver, dtype)
    operator = forward_operator(dtype, backend)
    f = distance_to(data, operator.domain)
    g = LearnedProximal(operator.range, SoftThreshold())
    assert_same(run(solver, f, g, operator), *expected)


def _diagonal(rng):
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4))
    factor = rng.uniform(1.8, 2.4, space.shape)
    return odl.MultiplyOperator(space.element(factor)), factor


def _soft(x, threshold):
    modulus = np.abs(x)
    return x * np.maximum(modulus - threshold, 0) / modulus


@each_solver
def test_solver_with_learned_f_finds_the_minimiser(solver, rng):
    """``|a x - y|^2 + c |x|_1`` is minimal at a soft threshold."""
    operator, factor = _diagonal(rng)
    data = 0.2 * noise(operator.range, rng)
    expected = _soft(factor * data, WEIGHT / 2) / factor**2
    assert 0 < np.count_nonzero(expected) < expected.size
    learned = LearnedProximal(operator.domain, SoftThreshold())
    g = distance_to(data, operator.range)
    x = as_element(run(solver, learned, g, operator, 60), operator.domain)
    np.testing.assert_allclose(x.data, expected, rtol=0, atol=2e-3)


@each_solver_for_g
def test_solver_with_learned_g_finds_the_minimiser(solver, rng):
    """``|x - y|^2 + c |a x|_1`` is minimal at a soft threshold."""
    operator, factor = _diagonal(rng)
    data = 0.2 * noise(operator.range, rng)
    expected = _soft(data, factor * WEIGHT / 2)
    assert 0 < np.count_nonzero(expected) < expected.size
    learned = LearnedProximal(operator.range, SoftThreshold())
    f = distance_to(data, operator.domain)
    x = as_element(run(solver, f, learned, operator, 60), operator.domain)
    np.testing.assert_allclose(x.data, expected, rtol=0, atol=2e-3)


# --- An equivariant denoiser --- #


def denoiser(space, **kwargs):
    """Return an untrained denoiser as a functional."""
    module = EquivariantProximal(
        in_channels=n_channels(space),
        channels=4,
        memory=0,
        gradient=False,
        noise_level=True,
        **kwargs,
    )
    return LearnedProximal(space, module.to(tensor_dtype(space)))


@pytest.fixture(scope='module', params=['float32', 'complex64'])
def denoising(request):
    """Return a dtype and a denoiser for it, the same on both back-ends."""
    torch.manual_seed(0)
    space = forward_operator(request.param, 'numpy').domain
    return request.param, denoiser(space, skip=True).module


@each_solver
def test_solver_runs_with_a_denoiser_as_f(solver, denoising, rng):
    """The result is finite, not zero, and the same on both back-ends."""
    dtype, module = denoising
    data = noise(forward_operator(dtype, 'numpy').range, rng)
    results = []
    for backend in ('numpy', 'pytorch'):
        operator = forward_operator(dtype, backend)
        f = LearnedProximal(operator.domain, module)
        g = distance_to(data, operator.range)
        results.append(run(solver, f, g, operator, 2))
    assert torch.isfinite(results[0]).all() and results[0].norm() > 0.01
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@each_solver_for_g
def test_solver_runs_with_a_denoiser_as_g(solver, denoising, rng):
    """The result is finite, not zero, and the same on both back-ends."""
    dtype, module = denoising
    data = noise(forward_operator(dtype, 'numpy').domain, rng)
    results = []
    for backend in ('numpy', 'pytorch'):
        space = forward_operator(dtype, backend).domain
        f = distance_to(data, space)
        g = LearnedProximal(space, module)
        results.append(run(solver, f, g, odl.IdentityOperator(space), 2))
    assert torch.isfinite(results[0]).all() and results[0].norm() > 0.01
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_reconstruction_turns_with_the_image(rng):
    """With an equivariant denoiser, a turned image has a turned result."""
    operator = forward_operator('float64', 'numpy')
    image = noise(operator.domain, rng)
    learned = denoiser(operator.domain)
    results = []
    for turned in (image, np.rot90(image)):
        data = operator(operator.domain.element(turned)).data
        g = distance_to(data, operator.range)
        results.append(run('proximal_gradient', learned, g, operator)[0, 0])
    upright, turned = results
    assert upright.norm() > 0.01
    assert not torch.allclose(torch.rot90(upright), upright, rtol=0.1)
    torch.testing.assert_close(
        turned, torch.rot90(upright), rtol=1e-5, atol=1e-5
    )
