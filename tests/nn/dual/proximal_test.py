# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of data-side blocks."""

import odl
import pytest
import torch
from torch.nn import functional

from odl_equivariant.nn import DualProximal, to_convolutional


def block(dtype=torch.float64, **kwargs):
    """Return a small block with random weights."""
    torch.manual_seed(0)
    module = DualProximal(**{'channels': 4, 'memory': 2, **kwargs}).to(dtype)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def inputs(module, shape=(6, 7), n=2, dtype=torch.float64):
    """Return dual variables, evaluations and data."""
    own = module.in_channels
    return [
        torch.randn(n, channels, *shape, dtype=dtype)
        for channels in (own + module.memory, own, own)
    ]


@pytest.mark.parametrize('skip', [False, True])
def test_what_is_added(skip):
    """Without weights, h stays, or makes a step of the hybrid gradient."""
    module = DualProximal(2, 4, memory=1, skip=skip).double()
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    h, evaluation, data = inputs(module)
    expected = h.clone()
    if skip:
        expected[:, :2] = (h[:, :2] + evaluation - data) / 2
    assert torch.equal(module(h, evaluation, data), expected)


def test_weights_that_are_fresh_are_scaled():
    """The change of h starts at about a tenth of the inputs."""
    for channels in (4, 64):
        module = DualProximal(channels=channels).double()
        h, evaluation, data = inputs(module, (40, 40))
        change = (module(h, evaluation, data) - h).detach()
        assert 0.005 < float(change.square().mean().sqrt()) < 0.3


def test_ordinary_blocks_pad_with_zeros():
    """With 'C1' and zeros, the network is one of ordinary convolutions."""
    module = block(group='C1', padding_mode='zeros', kernel_size=5)
    arguments = inputs(module)
    layers = (module.lift, *module.residual, module.project)
    lift, hidden, project = (
        lambda x, layer=layer: functional.conv2d(
            x, layer.weight, layer.bias, padding=2
        )
        for layer in layers
    )
    x = functional.leaky_relu(lift(torch.cat(arguments, 1)), 0.01)
    x = x + functional.leaky_relu(hidden(x), 0.01)
    expected = arguments[0] + project(x)
    assert torch.allclose(module(*arguments), expected, atol=1e-12)


@pytest.mark.parametrize('shape', [(5,), (5, 4), (5, 4, 3), (1, 1)])
def test_pointwise_blocks_treat_each_ray_alike(shape):
    """With kernels of one ray, any permutation of the data commutes."""
    module = block(kernel_size=1, group='D4')
    arguments = inputs(module, shape)
    order = torch.randperm(torch.Size(shape).numel())

    def permuted(x):
        return x.flatten(2)[..., order].reshape(x.shape)

    found = module(*map(permuted, arguments))
    assert torch.allclose(found, permuted(module(*arguments)), atol=1e-13)


@pytest.mark.parametrize('padding_mode', ['twisted', 'circular'])
def test_gradients(padding_mode):
    """First and second derivatives agree with difference quotients."""
    module = block(group='D4', padding_mode=padding_mode, n_residual_blocks=2)
    arguments = inputs(module, (3, 4), 1)
    for x in arguments:
        x.requires_grad_()
    assert torch.autograd.gradcheck(module, arguments)
    assert torch.autograd.gradgradcheck(module, arguments)


def test_kernels_that_are_given():
    """They may be computed once, with the same result."""
    module = block()
    arguments = inputs(module)
    expected = module(*arguments)
    assert torch.equal(module(*arguments, **module.precomputed()), expected)


def test_conversion_keeps_the_result():
    """`to_convolutional` returns the same block: it is made of such."""
    module = block(group='D4')
    arguments = inputs(module)
    plain = to_convolutional(module)
    assert torch.equal(plain(*arguments), module(*arguments))
    assert plain is not module and not plain.training


def test_architecture_makes_the_same_block():
    """The arguments in `architecture` are all that there are."""
    module = block(skip=True, kernel_size=5, negative_slope=0.2)
    architecture = module.architecture
    assert architecture['class'] == 'DualProximal'
    again = DualProximal(**architecture['arguments']).double()
    again.load_state_dict(module.state_dict())
    arguments = inputs(module)
    assert torch.equal(again(*arguments), module(*arguments))


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'kernel_size': 2}, ValueError, 'must be odd'),
        ({'kernel_size': 0}, ValueError, 'kernel_size'),
        ({'channels': 0}, ValueError, 'channels'),
        ({'in_channels': 1.5}, TypeError, 'in_channels'),
        ({'memory': -1}, ValueError, 'memory'),
        ({'group': 'C8'}, ValueError, "'C1', 'C2', 'C4', 'D1'"),
        ({'padding_mode': 'reflect'}, ValueError, "'twisted', 'circular'"),
        ({'padding_mode': 'zeros'}, ValueError, "take 'twisted'"),
        ({'skip': 1}, TypeError, 'skip'),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    """The error names the argument, and the choices."""
    with pytest.raises(error, match=message):
        DualProximal(**arguments)


def test_inputs_that_are_refused():
    """The error names the input, and what was expected."""
    module = block()
    h, evaluation, data = inputs(module)
    for arguments, error, message in (
        ((h[:, :2], evaluation, data), ValueError, r'`h` .*\(N, 3, n, m\)'),
        ((h, evaluation[..., 1:], data), ValueError, '`evaluation`'),
        ((h, evaluation, data[:1]), ValueError, '`data`'),
        ((h, evaluation, None), TypeError, '`data`'),
        ((h.float(), evaluation, data), TypeError, '`h`.*float32'),
    ):
        with pytest.raises(error, match=message):
            module(*arguments)
    with pytest.raises(ValueError, match=r'\(2, 7\) are smaller'):
        module(*inputs(module, (2, 7)))


def test_data_that_are_refused():
    """The channels, the axes and the size of the data must fit."""
    for module, space, message in (
        (block(), odl.cn((6, 6)), 'in_channels=2'),
        (block(), odl.rn((6, 6, 6)), 'data with 2 axes'),
        (block(group='C1'), odl.rn((6, 2)), 'smaller than the kernels'),
    ):
        operator = odl.IdentityOperator(space)
        with pytest.raises(ValueError, match=message):
            module.check_operator(operator)
