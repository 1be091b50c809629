# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of gradient steps that are proximals."""

import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.elements import as_element, as_tensor, tensor_dtype
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    Energy,
    GradientStepEnergy,
    MultiscaleDenoiser,
    ProximalDenoiser,
    hessian_norm,
)
from odl_equivariant.nn.blocks.network import SMOOTH

activation = simple_fixture('activation', ['leaky_relu', *SMOOTH])


def energy(activation='softplus', size=0.2, dtype=torch.float64):
    """Return the energy of a small denoiser with a moderate Hessian."""
    torch.manual_seed(0)
    denoiser = MultiscaleDenoiser(
        'C4',
        channels=8,
        n_scales=2,
        n_blocks=1,
        activation=activation,
        padding_mode='circular',
    )
    with torch.no_grad():
        for parameter in denoiser.parameters():
            if not parameter.any():
                parameter.normal_(std=size)
    return GradientStepEnergy(denoiser.to(dtype).eval())


def images(n=8, seed=0, batch=2, dtype=torch.float64):
    """Return random images."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 1, n, n, generator=generator, dtype=torch.float64)
    return x.to(dtype)


class Quadratic(Energy):
    """J(u) = <u, Q u> / 2 with a diagonal Q."""

    def __init__(self, *diagonal):
        super().__init__()
        self.register_buffer('diagonal', torch.tensor(diagonal).double())

    def forward(self, x, sigma=None):
        """Return the value."""
        return 0.5 * (self.diagonal * x.square()).flatten(1).sum(1)


def hessian_matrix(J, x, sigma):
    """Return the Hessian at one image as a matrix."""
    columns = [
        J.hessian_product(x, e.view_as(x), sigma).flatten()
        for e in torch.eye(x.numel(), dtype=x.dtype)
    ]
    return torch.stack(columns).detach()


def test_the_norm_is_that_of_the_matrix(activation):
    """Power iterations find the largest modulus of the eigenvalues."""
    J, x = energy(activation), images(6, batch=1)
    exact = torch.linalg.matrix_norm(hessian_matrix(J, x, 0.3), 2)
    with torch.no_grad():
        few, more, most = (hessian_norm(J, x, 0.3, n) for n in (1, 10, 100))
    rounding = 1 + 1e-10
    assert few <= rounding * more and more <= rounding * most
    assert 0.97 * exact < most <= rounding * exact


def test_each_image_has_its_own_norm():
    """The norms of a batch are those of its images."""
    J, x = energy(), images(8, batch=3)
    x = x * torch.tensor([0.1, 1.0, 10.0]).double()[:, None, None, None]
    together = hessian_norm(J, x, 0.3, 60)
    alone = torch.cat([hessian_norm(J, one[None], 0.3, 60) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-2, atol=0)


def test_negative_eigenvalues_count():
    """The norm is the largest modulus; zero energies have norm zero."""
    x = images(2, batch=1).flatten()[:4].reshape(1, 1, 1, 4)
    norm = hessian_norm(Quadratic(0.5, -2.0, 0.1, 1.0), x, n_iterations=40)
    torch.testing.assert_close(norm, torch.tensor([2.0]).double())
    assert not hessian_norm(Quadratic(0.0, 0.0, 0.0, 0.0), x).any()


def test_norms_have_a_gradient():
    """A penalty can be trained: the slope is that of finite differences."""
    J, x = energy('softplus'), images(6, batch=1)
    weight = J.denoiser.lift.weight
    n = 60  # the derivative of the direction vanishes in the limit
    (slope,) = torch.autograd.grad(hessian_norm(J, x, 0.3, n).sum(), weight)
    h, t, values = torch.ones_like(weight), 1e-5, []
    for step in (t, -t):
        with torch.no_grad():
            weight += step * h
            values.append(hessian_norm(J, x, 0.3, n).sum())
            weight -= step * h
    expected = (values[0] - values[1]) / (2 * t)
    torch.testing.assert_close((slope * h).sum(), expected, rtol=0.02, atol=0)


def test_the_denoiser_is_a_proximal():
    """D(y) minimises phi(z) + |z - y|^2 / 2 over the range of D."""
    J, y = energy(), images()
    prox = ProximalDenoiser(J, 0.8)
    with torch.no_grad():
        best = prox(y, 0.3)
        least = prox.values + 0.5 * (best - y).square().sum((1, 2, 3))
        assert prox.norms.max() < 1
        for seed in range(4):
            step = 10.0**-seed
            z = prox(y + step * images(seed=seed + 1), 0.3)
            value = prox.values + 0.5 * (z - y).square().sum((1, 2, 3))
            assert (value >= least - 1e-12 * least.abs()).all()


def test_the_value_has_the_gradient_of_the_inverse():
    """Grad phi(D(y)) = y - D(y), by finite differences along D."""
    J, y, h, t = energy(), images(batch=1), images(seed=1, batch=1), 1e-5
    prox = ProximalDenoiser(J, 0.8)
    ends, values = [], []
    with torch.no_grad():
        for step in (t, -t):
            ends.append(prox(y + step * h, 0.3))
            values.append(prox.values)
        residual = y - prox(y, 0.3)
    slope = (residual * (ends[0] - ends[1])).sum()
    torch.testing.assert_close(
        values[0] - values[1], slope[None], rtol=1e-6, atol=1e-12
    )


def test_violations_are_errors_that_name_the_norm():
    """A norm of at least 1 is an error, with a relaxation that would do."""
    x = images(2, batch=1).flatten()[:4].reshape(1, 1, 1, 4)
    prox = ProximalDenoiser(Quadratic(0.5, 1.6, 0.1, 1.0), n_iterations=60)
    with pytest.raises(ValueError, match='at least 1.6,.*below 0.625'):
        prox(x)
    calm = ProximalDenoiser(
        Quadratic(0.5, 1.6, 0.1, 1.0), 0.6, n_iterations=60
    )
    calm(x)
    torch.testing.assert_close(calm.norms, torch.tensor([0.96]).double())


def test_violations_are_warned_of_once():
    """With `if_violated='warn'`, the user's line is told once."""
    x = images(2, batch=1)
    prox = ProximalDenoiser(Quadratic(3.0), if_violated='warn')
    with pytest.warns(UserWarning, match='a norm of at least 3,') as seen:
        prox(x)
        prox(x)
    assert len(seen) == 1 and seen[0].filename == __file__


def test_checks_follow_the_iterates():
    """Each call is checked where it is, from the last direction on."""
    prox = ProximalDenoiser(energy(), 0.8, n_iterations=2)
    x = images()
    with torch.inference_mode():
        norms = []
        for _ in range(30):
            prox(x, 0.3)
            norms.append(prox.norms.max())
    exact = 0.8 * hessian_norm(prox.energy, x, 0.3, 59).max()
    torch.testing.assert_close(norms[-1], exact.detach(), rtol=1e-2, atol=0)
    assert norms[0] < norms[-1]
    prox(images(6), 0.3)


def test_plug_and_play_has_an_objective_that_falls(backend_space):
    """Proximal gradients of ODL never raise the sum f + phi."""
    space = backend_space
    dtype = tensor_dtype(space)
    prox = ProximalDenoiser(energy(dtype=dtype), 0.8, n_iterations=2)
    phi = LearnedProximal(space, prox)
    half = odl.MultiplyOperator(space.element(lambda x: 1.0 * (x[0] > 0)))
    truth = as_element(images(8, batch=1, dtype=dtype), space)
    fit = 0.5 * odl.functionals.L2NormSquared(space).translated(half(truth))
    fit = fit * half
    x, objective, steps = space.zero(), [], []
    last = [x.copy()]

    def callback(x):
        cell = space.cell_volume
        objective.append(0.9 * fit(x) + cell * float(prox.values))
        steps.append(float((x - last[0]).norm()))
        last[0] = x.copy()

    odl.solvers.proximal_gradient(
        x, 0.3 * phi, fit, 0.9, 25, callback=callback
    )
    rises = np.diff(objective)
    assert rises.max() <= 1e-6 * abs(objective[0])
    assert steps[-1] < 0.05 * steps[0]
    assert as_tensor(x).isfinite().all()


@pytest.fixture(params=['numpy', 'pytorch'])
def backend_space(request):
    """Return a space of 8 x 8 cells, double in numpy, single in pytorch."""
    dtype = {'numpy': 'float64', 'pytorch': 'float32'}[request.param]
    return odl.uniform_discr(
        [-1, -1], [1, 1], (8, 8), dtype=dtype, impl=request.param
    )


def test_wrong_arguments_are_named():
    """Errors name the argument."""
    with pytest.raises(ValueError, match='`if_violated` must be'):
        ProximalDenoiser(Quadratic(0.1), if_violated='ignore')
    with pytest.raises(ValueError, match='`n_iterations` must be'):
        ProximalDenoiser(Quadratic(0.1), n_iterations=0)
    with warnings.catch_warnings(), pytest.raises(ValueError, match='nan'):
        ProximalDenoiser(Quadratic(float('nan')))(images(2))
