# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of devices: on a GPU the results are those of the processor.

Each runs on the processor too, by the same lines, against double precision.
"""

import copy

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry

from odl_equivariant import models, nn
from odl_equivariant.actions import group_actions
from odl_equivariant.data import (
    CartesianMRI,
    SparseViewCT,
    VolumeMRI,
    ellipse_phantom,
)
from odl_equivariant.diagnostics import equivariance_error
from odl_equivariant.elements import as_tensor, element_from_array, n_channels
from odl_equivariant.functionals import (
    InvariantTotalVariation,
    LearnedProximal,
    LearnedRegularizer,
)
from odl_equivariant.operators import NetworkOperator, OperatorLayer
from odl_equivariant.training import losses
from odl_equivariant.uncertainty import GaussianNoise, bootstrap

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)
BLOCKS = (nn.EquivariantProximal, nn.OrdinaryProximal)


@pytest.fixture(params=['cpu', pytest.param('cuda:0', marks=pytest.mark.cuda)])
def device(request):
    """Return each device that there is."""
    return torch.device(request.param)


def backends(device):
    """Return the back-ends of ray transforms for a device."""
    on_gpu = ['astra_cuda'] if device.type == 'cuda' else []
    return ['astra_matrix', *on_gpu]


def ray_transform(size=16, n_views=8, impl='astra_matrix', **kwargs):
    """Return a small ray transform."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype='float32', **kwargs
    )
    geometry = parallel_beam_geometry(space, n_views, 2 * size)
    return RayTransform(space, geometry, impl=impl)


def unrolled(operator, block=nn.EquivariantProximal, **kwargs):
    """Return an unrolled network of random weights."""
    torch.manual_seed(0)
    return nn.LearnedProximalGradient(
        operator,
        lambda: block(channels=8, memory=2, skip=True),
        n_iterations=2,
        initial='adjoint',
        **kwargs,
    ).eval()


def close(found, expected, tol=1e-4):
    """Compare relative to the largest value."""
    found, expected = found.detach().cpu(), expected.detach().cpu()
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error < tol, error


def gradients(network, y):
    """Return the result, and gradients by data and weights."""
    y = y.detach().clone().requires_grad_()
    result = network(y)
    weights = [w for w in network.parameters() if w.requires_grad]
    found = torch.autograd.grad(result.square().sum(), [y, *weights])
    return [result, *found]


# --- Networks --- #


@pytest.mark.parametrize('checkpointing', [False, True])
@pytest.mark.parametrize('block', BLOCKS)
def test_unrolled_networks(device, block, checkpointing):
    """Results and gradients are those of the processor."""
    network = unrolled(ray_transform(), block, checkpointing=checkpointing)
    y = torch.rand(2, 1, *network.forward_operator.range.shape)
    moved = copy.deepcopy(network).to(device)
    for found, expected in zip(
        gradients(moved, y.to(device)), gradients(network, y), strict=True
    ):
        assert found.device.type == device.type
        close(found, expected)


@pytest.mark.cuda
@pytest.mark.parametrize('block', BLOCKS)
def test_unrolled_networks_on_rays_of_the_gpu(block):
    """Results are those of the exact matrix, up to the model of a ray."""
    network = unrolled(ray_transform(64, 20, 'astra_cuda'), block)
    exact = unrolled(ray_transform(64, 20), block)
    exact.load_state_dict(network.state_dict())
    phantom = ellipse_phantom(exact.forward_operator.domain)
    y = exact.forward_operator(phantom)
    y = as_tensor(y)
    with torch.no_grad():
        found, expected = network.cuda()(y.cuda()).cpu(), exact(y)
    error = (found - expected).norm() / expected.norm()
    assert error < 0.05, error


def test_equivariance(device):
    """The reconstruction of a turned image is turned."""
    x = torch.rand(2, 1, 16, 16, device=device)
    for impl in backends(device):
        network = unrolled(ray_transform(impl=impl)).to(device)
        layer = OperatorLayer(network.forward_operator).to(device)
        with torch.no_grad():
            found = network(layer(x.rot90(1, (-2, -1))))
            expected = network(layer(x)).rot90(1, (-2, -1))
        close(found, expected, 1e-3)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_inference(device, precision):
    """The copy for inference has the results of the network."""
    network = unrolled(ray_transform()).to(device)
    y = torch.rand(2, 1, *network.forward_operator.range.shape).to(device)
    with torch.inference_mode():
        found = nn.for_inference(network, precision)(y)
        expected = network(y)
    close(found, expected, 1e-4 if precision == 'float32' else 0.05)


@pytest.mark.parametrize('name', models.available())
def test_shipped_models(device, name):
    """Each shipped model has the same results on each device."""
    kinds = {
        'sparse_view_ct': SparseViewCT,
        'splitting_ct': SparseViewCT,
        'primal_dual_ct': SparseViewCT,
        'cartesian_mri': CartesianMRI,
        'splitting_mri': CartesianMRI,
        'volume_mri': VolumeMRI,
    }
    kind, sigma = kinds.get(name.rpartition('_')[0]), {}
    if kind is None:
        model = models.load(name)
        side = (12, 12, 12) if name.startswith('volume') else (32, 32)
        x = torch.rand(1, 1, *side)
        sigma = {'sigma': torch.tensor([0.1])}
    else:
        operator = kind((12,) * 3 if kind is VolumeMRI else (32, 32)).operator
        model = models.load(name, operator)
        domain = operator.domain
        x = torch.rand(1, n_channels(domain), *domain.shape)
        x = OperatorLayer(operator)(x)
    with torch.no_grad():
        expected = model(x, **sigma)
        sigma = {name: value.to(device) for name, value in sigma.items()}
        found = model.to(device)(x.to(device), **sigma)
    close(found, expected, 1e-3)


# --- Functionals --- #


def spaces(device, size=12):
    """Return the space on the processor, and that on the device."""
    make = {'dtype': 'float32', 'shape': (size, size)}
    box = {'min_pt': [-1, -1], 'max_pt': [1, 1]}
    return (
        odl.uniform_discr(**box, **make, impl='pytorch'),
        odl.uniform_discr(**box, **make, impl='pytorch', device=str(device)),
    )


def images(device):
    """Return the same image in both spaces."""
    values = np.random.default_rng(0).random((12, 12), 'float32')
    return [element_from_array(values, s) for s in spaces(device)]


def test_total_variation(device):
    """Value and proximal are those of the processor."""
    expected, found = [
        (
            InvariantTotalVariation(x.space)(x),
            as_tensor(InvariantTotalVariation(x.space).proximal(0.01)(x)),
        )
        for x in images(device)
    ]
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found[1].device.type == device.type
    close(found[1], expected[1], 1e-3)


@pytest.mark.parametrize('convex', [False, True])
def test_learned_regularizers(device, convex):
    """Value, gradient, derivative and proximal are those of the processor."""
    torch.manual_seed(0)
    energy = nn.RidgeEnergy(kernel_size=5, n_filters=4, convex=convex)
    results = []
    for x in images(device):
        own = copy.deepcopy(energy).to(as_tensor(x).device)
        regularizer = LearnedRegularizer(x.space, own, sigma=0.1)
        results.append(
            [
                torch.tensor(regularizer(x)),
                as_tensor(regularizer.gradient(x)),
                as_tensor(regularizer.gradient.derivative(x)(x)),
                as_tensor(regularizer.proximal(0.05)(x)),
            ]
        )
    for found, expected in zip(*reversed(results), strict=True):
        close(found, expected, 1e-3)


def test_learned_proximals_in_a_solver(device):
    """Plug-and-play with tensors on the device stays there."""
    network = models.load('multiscale_denoiser_c4')
    results = []
    for x in images(device):
        own = copy.deepcopy(network).to(as_tensor(x).device)
        prior = LearnedProximal(x.space, own)
        fit = 0.5 * odl.functionals.L2NormSquared(x.space).translated(x)
        u = x.space.zero()
        odl.solvers.proximal_gradient(u, prior, fit, gamma=0.5, niter=3)
        results.append(as_tensor(u))
    expected, found = results
    assert found.device.type == device.type
    close(found, expected, 1e-3)


def test_network_operators_and_diagnostics(device):
    """A network on the device is an equivariant operator of ODL."""
    _, space = spaces(device)
    network = nn.EquivariantProximal(channels=8, gradient=False, memory=0).to(
        device
    )
    operator = NetworkOperator(network, space)
    for action in group_actions(space, 'C4'):
        assert equivariance_error(operator, action) < 1e-4


# --- Learning --- #

CONFIGURATION = """\
seed_everything: 1
trainer: {default_root_dir: run, log_every_n_steps: 1}
model:
  proximal:
    class_path: odl_equivariant.nn.EquivariantProximal
    init_args: {channels: 8, memory: 2, skip: true}
  n_iterations: 2
  initial: fbp
data:
  acquisition:
    class_path: odl_equivariant.data.SparseViewCT
    init_args: {shape: [24, 24], n_views: 8}
  train:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 4, shape: [48, 48]}
  validation:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 2, shape: [48, 48], seed: 1}
  test:
    class_path: odl_equivariant.data.Phantoms
    init_args: {n: 2, shape: [48, 48], seed: 2}
  batch_size: 2
"""


@pytest.mark.parametrize('precision', ['32-true', 'bf16-mixed'])
@pytest.mark.parametrize('impl', ['default', 'astra_matrix'])
def test_training(device, tmp_path, impl, precision):
    """A run trains, is resumed, and its weights reconstruct."""
    from odl_equivariant.training.cli import main

    (tmp_path / 'run.yaml').write_text(CONFIGURATION, 'utf-8')
    accelerator = {'cpu': 'cpu', 'cuda': 'gpu'}[device.type]
    options = ['--config', 'run.yaml', '--trainer.accelerator', accelerator]
    options += ['--trainer.devices', '1', '--trainer.precision', precision]
    if impl != 'default':
        options += ['--data.acquisition.init_args.impl', impl]
    assert main(['train', *options, '--trainer.max_steps', '2']) == 0
    assert main(['train', *options, '--trainer.max_steps', '4']) == 0
    assert (tmp_path / 'run' / 'final.safetensors').exists()
    options += ['--trainer.max_steps', '4']
    assert main(['evaluate', *options]) == 0
    assert main(['reconstruct', *options, '--output', 'images']) == 0


@pytest.mark.parametrize(
    'loss',
    [
        losses.Supervised(),
        losses.MeasurementConsistency(),
        losses.MeasurementSplitting(0.6),
        losses.EquivariantSplitting(0.6),
        losses.SURE(losses.GaussianNoise(0.1)),
        losses.Noise2Inverse(2),
        losses.RecorruptedData(losses.GaussianNoise(0.1)),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_losses(device, loss, modality):
    """Each loss and its gradient are computed on the device."""
    n = 1
    if modality == 'ct':
        acquisition = SparseViewCT((16, 16), n_views=8)
    else:
        acquisition, n = CartesianMRI((16, 16), acceleration=2, sigma=0.1), 2
    network = nn.LearnedProximalGradient(
        acquisition.operator,
        lambda: nn.EquivariantProximal(n, channels=4),
        n_iterations=1,
        initial='adjoint',
    ).to(device)
    x = torch.rand(2, n, 16, 16, device=device)
    layer = OperatorLayer(acquisition.operator).to(device)
    y = layer(x)
    options = {'truth': x} if isinstance(loss, losses.Supervised) else {}
    problem = losses.Problem(network, y, acquisition, **options)
    value = loss(problem)
    assert value.device.type == device.type
    value.sum().backward()
    for weight in network.parameters():
        if weight.grad is not None:
            assert weight.grad.isfinite().all()


def test_bootstrap(device):
    """Reconstructions of resampled data are made on the device."""
    operator = ray_transform()
    network = unrolled(operator).to(device)
    y = operator(ellipse_phantom(operator.domain))
    actions = group_actions(operator.domain, 'C4')
    estimate = bootstrap(network, operator, GaussianNoise(0.01), actions, 4)
    result = estimate(y)
    assert float(result.standard_deviation.norm()) > 0
