# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of networks within `torch.export`, `torch.jit` and `torch.compile`."""

import warnings

import odl
import pytest
import torch
from odl.applications import tomo

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
)

ADVICE = 'no place in an exported graph.*export_onnx.*block.*for_inference'

BLOCKS = {
    'C4': lambda: EquivariantProximal(channels=8, memory=2),
    'SO2': lambda: EquivariantProximal(channels=6, group='SO2', memory=2),
    'snapshot': lambda: for_inference(
        OrdinaryProximal(channels=8, memory=2), tile=9
    ),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    """Return what makes a block."""
    return BLOCKS[request.param]


def randomised(module):
    """Return a module in evaluation mode with random weights."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def inputs(n, shape):
    """Return an image, a gradient and a memory."""
    return tuple(torch.randn(n, c, *shape) for c in (1, 1, 2))


def any_grid():
    """Return axes of any length, for the exporter."""
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    return {
        axis: torch.export.Dim(name, min=3 if axis else 1, max=2**16)
        for axis, name in axes.items()
    }


def network_for(operator, n_iterations=1):
    """Return an unrolled network."""
    return randomised(
        LearnedProximalGradient(
            operator, lambda: EquivariantProximal(channels=8), n_iterations
        )
    )


def space(n=12):
    """Return a space of images."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype='float32')


def ray_transform(impl='astra_matrix'):
    """Return a ray transform."""
    geometry = tomo.parallel_beam_geometry(space(), num_angles=6)
    return tomo.RayTransform(space(), geometry, impl=impl)


def test_export_of_a_block(block):
    """The exported graph computes the same, on every grid."""
    module = randomised(block())
    program = torch.export.export(
        module,
        inputs(2, (14, 15)),
        dynamic_shapes=dict.fromkeys(('x', 'gradient', 'memory'), any_grid()),
    )
    for n, shape in ((2, (14, 15)), (1, (40, 9)), (3, (7, 33))):
        tensors = inputs(n, shape)
        for ours, theirs in zip(
            program.module()(*tensors), module(*tensors), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_strict_export_of_a_denoiser_with_noise_levels():
    """The levels are inputs of the graph."""
    module = randomised(
        EquivariantProximal(
            channels=8, memory=0, gradient=False, noise_level=True
        )
    )
    x = torch.randn(2, 1, 12, 12)
    program = torch.export.export(
        module, (x,), {'sigma': torch.tensor([0.1, 0.2])}, strict=True
    )
    sigma = torch.tensor([0.7, 0.05])
    torch.testing.assert_close(
        program.module()(x, sigma=sigma), module(x, sigma=sigma)
    )


def test_network_with_an_operator_of_torch():
    """If the operator consists of torch modules, the network is exported."""
    network = network_for(0.5 * odl.IdentityOperator(space()))
    y = torch.randn(2, 1, 12, 12)
    program = torch.export.export(network, (y,))
    y = torch.randn(2, 1, 12, 12)
    torch.testing.assert_close(program.module()(y), network(y))


def test_network_over_a_sparse_matrix():
    """The error says what to do instead."""
    network = network_for(ray_transform())
    y = torch.randn(1, 1, *network.forward_operator.range.shape)
    for module in (network, for_inference(network)):
        with pytest.raises(NotImplementedError, match='ray.*' + ADVICE):
            torch.export.export(module, (y,), strict=False)
        with warnings.catch_warnings():
            # torch advises against it, and so do we
            warnings.simplefilter('ignore')
            with pytest.raises(NotImplementedError, match=ADVICE):
                torch.jit.trace(module, (y,))
        with pytest.raises(Exception, match=ADVICE):
            torch.export.export(module, (y,), strict=True)


def test_network_over_an_operator_of_odl():
    """An operator that ODL computes cannot be exported either."""
    network = network_for(ray_transform('astra_cpu'))
    y = torch.randn(1, 1, *network.forward_operator.range.shape)
    with pytest.raises(NotImplementedError, match='RayTransform.*' + ADVICE):
        torch.export.export(network, (y,), strict=False)


@pytest.mark.slow
def test_compiled_network():
    """A compiled network has the same values and gradients."""
    network = network_for(ray_transform())
    y = torch.randn(2, 1, *network.forward_operator.range.shape)
    weights = list(network.parameters())
    expected = [network(y)]
    expected += torch.autograd.grad(expected[0].square().sum(), weights)
    with warnings.catch_warnings():
        # of torch's own code
        warnings.simplefilter('ignore')
        torch._dynamo.reset()
        found = [torch.compile(network, backend='eager')(y)]
    found += torch.autograd.grad(found[0].square().sum(), weights)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
