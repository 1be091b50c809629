# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of denoisers that are firmly non-expansive by construction."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.data import SparseViewCT, ellipse_phantom
from odl_equivariant.diagnostics import equivariance_error
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    AveragedProximal,
    convolution_norm,
    to_convolutional,
)
from odl_equivariant.operators import operator_norm

GROUPS = {'C4': 8, 'D4': 8, 'C8': 8, 'C1': 3, None: 5}
each_group = pytest.mark.parametrize('group', GROUPS)


def denoiser(group='C4', dtype=torch.float64, **arguments):
    """Return a denoiser with weights that are far from those of the start."""
    torch.manual_seed(0)
    arguments = {'channels': GROUPS[group], 'kernel_size': 3, **arguments}
    module = AveragedProximal(group=group, **arguments).to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    return module


def trained(group='C4', steps=20):
    """Return a denoiser after some steps of training."""
    torch.manual_seed(0)
    module = AveragedProximal(channels=8, group=group, kernel_size=3).double()
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    clean = torch.rand(4, 1, 6, 6, dtype=torch.float64).repeat_interleave(2, 3)
    losses = []
    for _ in range(steps):
        noisy = clean + 0.2 * torch.randn_like(clean)
        loss = (module(noisy, sigma=0.2) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-5:]) < losses[0]
    return module


def firmness(module, n_pairs=1000, sigma=0.3):
    """Return the largest excess of the inequality over pairs of images."""
    generator = torch.Generator().manual_seed(0)
    shape = (n_pairs, module.in_channels, 8, 7)
    u = torch.randn(shape, dtype=torch.float64, generator=generator)
    # pairs that are close, and pairs that are far apart
    scale = 10 ** torch.linspace(-6, 1, n_pairs, dtype=torch.float64)
    v = u + scale[:, None, None, None] * torch.randn(
        shape, dtype=torch.float64, generator=generator
    )
    with torch.no_grad():
        d = module(u, sigma=sigma) - module(v, sigma=sigma)
    excess = d.square().flatten(1).sum(1) - (d * (u - v)).flatten(1).sum(1)
    return float((excess / (u - v).square().flatten(1).sum(1)).max())


@each_group
def test_firmly_nonexpansive(group):
    """|Phi u - Phi v|^2 <= <Phi u - Phi v, u - v> for any weights."""
    assert firmness(denoiser(group)) < 1e-9


@pytest.mark.parametrize('group', ['C4', None])
def test_firmly_nonexpansive_after_training(group):
    """Training does not leave the firmly non-expansive maps."""
    assert firmness(trained(group)) < 1e-9


def test_inequality_is_sharp():
    """With a larger step, the inequality fails: the test can see it."""
    module = denoiser(n_layers=1)
    steps = torch.tensor([40.0], dtype=torch.float64)
    assert firmness(module) < 1e-9
    with torch.no_grad():
        module.step_logits.copy_(steps)
        module.log_thresholds[0].fill_(5.0)
    kernels = module.kernels()
    larger = [(2 * kernel, most) for kernel, most in kernels]
    module.kernels = lambda: larger
    assert firmness(module) > 0.1


@each_group
def test_filters_are_normalised(group):
    """Filters have mean zero, and a norm of at most 1 on every grid."""
    with torch.no_grad():
        kernels = denoiser(group).kernels()
    for kernel, _ in kernels:
        assert float(kernel.mean((2, 3)).abs().max()) < 1e-15
        for shape in ((3, 3), (16, 17), (64, 64)):
            assert float(convolution_norm(kernel, shape)) <= 1
        assert float(convolution_norm(kernel)) > 0.95


@pytest.mark.parametrize('group', ['C4', 'D4', 'C8'])
@pytest.mark.parametrize('shape', [(8, 8), (9, 9)])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float64', 'complex128', 'float32'])
def test_equivariant(group, shape, impl, dtype):
    """Phi(g.u) = g.Phi(u) for the elements that map the grid to itself."""
    space = odl.uniform_discr([-1, -1], [1, 1], shape, dtype=dtype, impl=impl)
    precision = torch.float32 if dtype == 'float32' else torch.float64
    module = denoiser(group, precision, in_channels=1 + space.is_complex)
    proximal = LearnedProximal(space, module).proximal(0.1)
    tolerance = 1e-6 if precision == torch.float32 else 1e-12
    for action in group_actions(space, 'D4' if group == 'D4' else 'C4'):
        assert equivariance_error(proximal, action) < tolerance


@pytest.mark.parametrize('group', ['C4', None])
@pytest.mark.parametrize('a', [1e-3, 1.0, -7.0, 1e3])
def test_unit_of_the_images(group, a):
    """Phi(a u + b; |a| sigma) = a Phi(u; sigma) + b."""
    module = denoiser(group, torch.float32)
    u = torch.rand(2, 1, 9, 8)
    b = 0.5 * abs(a)
    with torch.no_grad():
        expected = a * module(u, sigma=0.1) + b
        found = module(a * u + b, sigma=0.1 * abs(a))
    assert float((found - expected).abs().max()) < 1e-6 * max(abs(a), 1e-3) * 2


def test_level_of_each_image():
    """Each image of a batch has its own noise level."""
    module = denoiser()
    u = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    levels = torch.tensor([0.1, 0.4], dtype=torch.float64)
    both = module(u, sigma=levels)
    for i in range(2):
        one = module(u[i : i + 1], sigma=float(levels[i]))
        torch.testing.assert_close(both[i : i + 1], one)


def test_kernels_may_be_handed_on():
    """The result is the same with kernels that were made before."""
    module = denoiser()
    u = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    kernels = module.precomputed()
    assert torch.equal(module(u, sigma=0.1, **kernels), module(u, sigma=0.1))


def test_gradient():
    """Autograd has the derivative by image and weights."""
    module = denoiser(n_layers=2)
    u = torch.rand(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: module(x, sigma=0.3), u)
    module(u, sigma=0.02).square().sum().backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


def test_filters_of_zeros():
    """A layer whose filters are constant does nothing, and has gradients."""
    module = denoiser(None)
    with torch.no_grad():
        for layer in module.filters:
            layer.weight.fill_(1.0)
    u = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    result = module(u, sigma=0.1)
    torch.testing.assert_close(result, u)
    result.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize('group', ['C4', 'C8', None])
def test_round_trip(tmp_path, group):
    """A file gives the denoiser back, to the last bit."""
    module = denoiser(group, torch.float32, noise_level=group is not None)
    models.save(module, tmp_path / 'net.safetensors', value_range=(0, 1))
    loaded = models.load(tmp_path / 'net.safetensors')
    assert loaded.architecture == module.architecture
    u = torch.rand(1, 1, 7, 7)
    level = {} if group is None else {'sigma': 0.1}
    assert torch.equal(loaded(u, **level), module(u, **level))


@pytest.mark.parametrize('group', ['C4', 'D4'])
def test_ordinary_twin(group):
    """With ordinary filters, the network is the same."""
    module = denoiser(group)
    plain = to_convolutional(module)
    assert plain.group is None
    assert 'group' in plain.architecture['arguments']
    u = torch.rand(2, 1, 7, 8, dtype=torch.float64)
    torch.testing.assert_close(plain(u, sigma=0.1), module(u, sigma=0.1))


@pytest.mark.parametrize('relative_step', [0.5, 1.9])
def test_iteration_converges(relative_step):
    """Steps below 2 / |A|^2 give residuals that fall monotonically."""
    ct = SparseViewCT((12, 12), n_views=6, dtype='float64')
    operator = ct.operator
    module = denoiser()
    fit = odl.functionals.L2NormSquared(operator.range).translated(
        ct.simulate(ellipse_phantom((24, 24), rng=0), rng=0)
    )
    fit = 0.5 * fit * operator
    step = relative_step / float(operator.norm(estimate=True)) ** 2
    proximal = LearnedProximal(ct.space, module)
    iterates = []
    u = ct.space.zero()
    odl.solvers.proximal_gradient(
        u,
        (0.05 / step) * proximal,
        fit,
        step,
        niter=300,
        callback=lambda x: iterates.append(x.asarray().copy()),
    )
    residuals = [
        np.linalg.norm(b - a)
        for a, b in zip(iterates, iterates[1:], strict=False)
    ]
    worst = max(
        b / a
        for a, b in zip(residuals, residuals[1:], strict=False)
        if a > 1e-12
    )
    assert worst <= 1 + 1e-9
    assert residuals[-1] < 1e-2 * residuals[0]


def limit(operator, y, module):
    """Return where the iteration ends that starts at zero."""
    fit = 0.5 * odl.functionals.L2NormSquared(operator.range).translated(y)
    step = 1.5 / operator_norm(operator) ** 2
    proximal = LearnedProximal(operator.domain, module)
    u = operator.domain.zero()
    odl.solvers.proximal_gradient(
        u, (0.05 / step) * proximal, fit * operator, step, niter=200
    )
    return u


@pytest.mark.slow
def test_limit_is_equivariant():
    """The limit for A T_g is T_g^-1 of that for A, and another one for u."""
    ct = SparseViewCT((12, 12), n_views=6, dtype='float64')
    y = ct.simulate(ellipse_phantom((24, 24), rng=0), rng=0)
    module = denoiser()
    u = limit(ct.operator, y, module)
    for turn in group_actions(ct.space, 'C4')[1:]:
        turned = limit(ct.operator * turn, y, module)
        gap = float((turned - turn.inverse(u)).norm())
        assert gap < 1e-10 * float(u.norm())
        assert float((turned - u).norm()) > 0.1 * float(u.norm())


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        ({'group': 'SO2'}, ValueError, 'infinite group SO2'),
        ({'group': 'C5', 'channels': 8}, ValueError, 'channels'),
        ({'group': 'C8', 'basis': 'grid'}, ValueError, "basis='escnn'"),
        ({'group': None, 'basis': 'grid'}, ValueError, 'needs a group'),
        ({'kernel_size': 4}, ValueError, 'odd'),
        ({'kernel_size': 1}, ValueError, 'at least 3'),
        ({'n_layers': 0}, ValueError, '`n_layers` must be a positive'),
        ({'channels': 2.5}, TypeError, '`channels` must be'),
        ({'noise_level': 1}, TypeError, '`noise_level` must be'),
    ],
)
def test_wrong_arguments(arguments, error, match):
    """The error names the argument and what to take."""
    with pytest.raises(error, match=match):
        AveragedProximal(**arguments)


def test_wrong_inputs():
    """Images that are too small and levels that are not positive."""
    module = denoiser()
    u = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match='smaller than the filters'):
        module(u[:, :, :2], sigma=0.1)
    with pytest.raises(ValueError, match='`sigma` must be positive'):
        module(u, sigma=0.0)
    with pytest.raises(TypeError, match='noise level'):
        module(u)
    with pytest.raises(ValueError, match='would be lost'):
        denoiser(noise_level=False)(u, sigma=0.1)
    with pytest.raises(ValueError, match='square cells'):
        LearnedProximal(
            odl.uniform_discr([0, 0], [1, 2], (8, 8), dtype='float64'), module
        )
    assert math.isfinite(float(module(u, sigma=1e-30).detach().sum()))
