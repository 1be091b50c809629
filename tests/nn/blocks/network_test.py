# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the forward pass of a block, which all paths share."""

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.nn import functional

from odl_equivariant.models import onnx
from odl_equivariant.nn import (
    EquivariantProximal,
    OrdinaryProximal,
    for_inference,
)
from odl_equivariant.nn.blocks import network as _network
from odl_equivariant.nn.blocks import pieces

mode = simple_fixture('mode', ['replicate', 'reflect', 'zeros', 'circular'])
dtype = simple_fixture('dtype', [torch.float32, torch.float64])

BLOCKS = {
    'equivariant': lambda mode: EquivariantProximal(
        channels=4, memory=1, n_residual_blocks=2, padding_mode=mode
    ),
    'ordinary': lambda mode: OrdinaryProximal(
        channels=3, memory=1, kernel_size=5, padding_mode=mode, skip=True
    ),
}
block = simple_fixture('block', BLOCKS)


def made(block, mode='replicate', dtype=torch.float64):
    """Return a block with weights that are all at work."""
    module = BLOCKS[block](mode).to(dtype)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.2 * noise)
    return module.eval()


def inputs(dtype=torch.float64, shape=(11, 8)):
    """Return an image, a gradient and a memory."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, 1, *shape, generator=generator).to(dtype)
        for _ in range(3)
    ]


def formula(module, x, gradient, memory, activate=None):
    """Return x_0 = phi(k_0 * x), x_i = x_{i-1} + phi(k_i * x_{i-1}), ..."""
    if activate is None:

        def activate(x):
            return functional.leaky_relu(x, module.negative_slope)

    def convolve(x, weight, bias):
        margin, mode = weight.shape[-1] // 2, module.padding_mode
        mode = 'constant' if mode == 'zeros' else mode
        return functional.conv2d(
            functional.pad(x, 4 * [margin], mode), weight, bias
        )

    first, *others, last = module.kernels()
    y = activate(convolve(torch.cat([x, gradient, memory], 1), *first))
    for kernel in others:
        y = y + activate(convolve(y, *kernel))
    y = convolve(y, *last)
    u, s = y[:, :1], y[:, 1:]
    return (u + x - gradient if module.skip else u), s


def whole(module, tensors, monkeypatch):
    """Compute the image at once."""
    return module(*tensors)


def in_pieces(module, tensors, monkeypatch):
    """Compute piece by piece, as training does on a processor."""
    monkeypatch.setattr(pieces, 'side_for_cache', lambda *args: 4)
    return module(*tensors)


def inference(module, tensors, monkeypatch):
    """Compute with the copy for inference, in pieces of a given side."""
    return for_inference(module, tile=5)(*tensors)


def exported(module, tensors, monkeypatch):
    """Compute with the graph of torch's exporter."""
    return torch.export.export(module, tuple(tensors)).module()(*tensors)


def as_onnx(module, tensors, monkeypatch):
    """Compute what is written as ONNX."""
    graph = onnx._Graph(module).to(tensors[0].dtype)
    # the kernels are rounded to float32, which is no matter here
    for layer, (weight, bias) in zip(
        (graph.block.lift, *graph.block.residual, graph.block.project),
        module.kernels(),
        strict=True,
    ):
        layer.weight, layer.bias = map(
            torch.nn.Parameter, (weight.detach(), bias.detach())
        )
    return graph(*tensors)


PATHS = {
    'whole': whole,
    'in pieces': in_pieces,
    'inference': inference,
    'exported': exported,
    'as onnx': as_onnx,
}
path = simple_fixture('path', PATHS)


def close(ours, theirs, dtype):
    """Assert that pairs of tensors are equal to rounding."""
    tol = 1e-12 if dtype == torch.float64 else 1e-5
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tol, atol=tol)


def test_paths_compute_the_formula(path, block, mode, monkeypatch):
    """Each path computes the residual network of the formula."""
    module, tensors = made(block, mode), inputs()
    with torch.no_grad():
        expected = formula(module, *tensors)
        found = PATHS[path](module, tensors, monkeypatch)
        close(found, expected, torch.float64)


def test_paths_share_one_pass(path, block, dtype, monkeypatch):
    """What is changed in the one pass is changed in each path."""
    monkeypatch.setattr(
        _network, 'activated', lambda x, place, nonlinearities: x.tanh()
    )
    module, tensors = made(block, dtype=dtype), inputs(dtype)
    with torch.no_grad():
        expected = formula(module, *tensors, torch.tanh)
        found = PATHS[path](module, tensors, monkeypatch)
        close(found, expected, dtype)


@pytest.mark.parametrize('slope', [0.01, -0.1])
def test_nothing_that_is_given_is_overwritten(slope):
    """Inputs and kernels are as before, also where no gradient is needed."""
    module = OrdinaryProximal(
        channels=3, memory=1, n_residual_blocks=2, negative_slope=slope
    )
    kernels = [
        tuple(tensor.detach() for tensor in kernel)
        for kernel in module.kernels()
    ]
    x = torch.cat([*inputs(torch.float32)], 1)
    before = [x.clone(), *(t.clone() for kernel in kernels for t in kernel)]
    image = _network.WholeImage('reflect')
    _network.residual_network(x, kernels, slope, image)
    after = [x, *(t for kernel in kernels for t in kernel)]
    assert all(map(torch.equal, before, after))


def test_kernels_of_several_sizes(mode):
    """Each convolution pads for its own kernel, whole and in pieces."""
    generator = torch.Generator().manual_seed(2)
    kernels = [
        (
            torch.randn(*channels, size, size, generator=generator).double(),
            torch.randn(channels[0], generator=generator).double(),
        )
        for channels, size in (
            ((3, 2), 1),
            ((3, 3), 5),
            ((3, 3), 3),
            ((1, 3), 7),
        )
    ]
    x = torch.randn(1, 2, 25, 18, generator=generator).double()
    image = _network.WholeImage(mode)
    expected = _network.residual_network(x, kernels, 0.1, image)
    assert expected.shape == (1, 1, 25, 18)
    for side in (25, 9):
        found = pieces.evaluate(x, kernels, mode, 0.1, side)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
