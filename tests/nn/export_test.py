# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the networks with plain convolutions."""

import copy

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    to_convolutional,
)
from odl_equivariant.nn.escnn.export import is_escnn
from odl_equivariant.nn.escnn.library import enn, gspaces
from odl_equivariant.nn.steerable.convolutions import (
    PaddedConvolution,
    SteerableConvolution,
)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

padding_mode = simple_fixture(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
dtype = simple_fixture('dtype', [torch.float32, torch.float64])
training = simple_fixture('training', [True, False])


def randomise(module):
    """Draw all weights anew, also those that start at zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * torch.randn_like(parameter))
    return module


def proximal(**kwargs):
    """Return an equivariant proximal with random weights."""
    return randomise(
        EquivariantProximal(**{'channels': 8, 'memory': 2, **kwargs})
    )


def relative_gap(ours, theirs):
    """Return the relative distance of two results."""
    if isinstance(ours, tuple):
        ours, theirs = torch.cat(ours, 1), torch.cat(theirs, 1)
    assert ours.dtype == theirs.dtype
    return ((ours - theirs).norm() / theirs.norm()).item()


def inputs(dtype=torch.float32, shape=(9, 11)):
    """Return an image and a gradient."""
    return torch.randn(2, 2, 1, *shape, dtype=dtype).unbind()


def has_no_escnn(module):
    """Return whether a module contains nothing of escnn."""
    return not any(
        is_escnn(part) or isinstance(part, SteerableConvolution)
        for part in module.modules()
    )


# --- The networks of this package --- #


@torch.no_grad()
def test_proximal_has_the_same_output(padding_mode, dtype, training):
    """With plain convolutions, a proximal computes the same."""
    block = proximal(
        padding_mode=padding_mode, group='D4', skip=True, kernel_size=5
    )
    block = block.to(dtype).train(training)
    plain = to_convolutional(block)
    assert type(plain) is OrdinaryProximal
    assert not plain.training and block.training == training
    assert has_no_escnn(plain)
    x = inputs(dtype)
    assert relative_gap(plain(*x), block(*x)) < TOLERANCE[dtype]


def test_arguments_stay():
    """Except for the group, the arguments are those of the original."""
    block = EquivariantProximal(
        2, 12, 'C6', 0, False, True, 3, True, 5, 'reflect', 0.2
    )
    arguments = dict(block.architecture['arguments'])
    arguments.pop('group')
    plain = to_convolutional(block)
    assert plain.architecture['arguments'] == arguments
    x = torch.randn(1, 2, 8, 8)
    assert relative_gap(plain(x, sigma=0.1), block(x, sigma=0.1)) < 1e-5


def test_slope_that_was_changed():
    """A slope that was changed after construction is copied too."""
    block = proximal(memory=0)
    block.negative_slope = 0.7
    x = inputs()
    assert relative_gap(to_convolutional(block)(*x), block(*x)) < 1e-5


def test_original_goes_on_training():
    """Training the original changes new copies, but not old ones."""
    block = proximal(memory=0)
    optimiser = torch.optim.SGD(block.parameters(), 0.1)
    before = to_convolutional(block)
    x = inputs()
    expected = block(*x).detach()
    block(*x).square().mean().backward()
    optimiser.step()
    with torch.no_grad():
        assert relative_gap(before(*x), expected) < 1e-5
        assert relative_gap(block(*x), expected) > 1e-3
        assert relative_gap(to_convolutional(block)(*x), block(*x)) < 1e-5
    assert block.training


def test_copy_shares_no_memory():
    """Changing the copy does not change the original."""
    for block in (proximal(kernel_size=1), OrdinaryProximal(channels=4)):
        expected = copy.deepcopy(block.state_dict())
        with torch.no_grad():
            for tensor in to_convolutional(block).parameters():
                tensor.fill_(7)
        for name, value in block.state_dict().items():
            assert torch.equal(value, expected[name])


def test_frozen_weights_stay_frozen():
    """Frozen weights are frozen in the copy too."""
    block = proximal()
    block.lift.requires_grad_(False)
    plain = to_convolutional(block)
    assert not plain.lift.weight.requires_grad
    assert plain.project.weight.requires_grad


def test_kernels_are_not_lowered_by_autocast():
    """Within autocast, kernels keep their precision."""
    block = proximal()
    with torch.autocast('cpu', torch.bfloat16):
        plain = to_convolutional(block)
    x = inputs()
    assert plain.lift.weight.dtype == torch.float32
    assert relative_gap(plain(*x), block(*x)) < 1e-5


@pytest.mark.parametrize('shared', [False, True])
def test_unrolled_network(shared, dtype):
    """The copy has the same operators, steps and shared blocks."""
    name = str(dtype).removeprefix('torch.')
    space = odl.uniform_discr([0, 0], [1, 1], (8, 8), dtype=name)
    operator = 0.5 * odl.IdentityOperator(space)
    block = proximal().to(dtype)
    network = LearnedProximalGradient(
        operator, block if shared else lambda: proximal().to(dtype), 3
    )
    with torch.no_grad():
        network.relative_steps.copy_(torch.tensor([0.5, 1.0, 1.5]))
    plain = to_convolutional(network)
    assert type(plain) is LearnedProximalGradient
    assert has_no_escnn(plain)
    assert plain.forward_operator is operator
    assert len(plain.blocks) == (1 if shared else 3)
    assert plain.relative_steps is not network.relative_steps
    y = torch.randn(2, 1, 8, 8, dtype=dtype)
    assert relative_gap(plain(y), network(y)) < TOLERANCE[dtype]
    data = space.element(np.random.default_rng(0).random((8, 8)))
    gap = plain.as_operator()(data) - network.as_operator()(data)
    assert float(gap.norm()) < 1e-4 * float(network.as_operator()(data).norm())


class Own(nn.Module):
    """A network of a user, in which one layer is used twice."""

    def __init__(self):
        super().__init__()
        self.first = SteerableConvolution(2, 2, 'regular', 'regular', 'C4')
        self.again = self.first
        self.rest = nn.Sequential(nn.BatchNorm2d(8), proximal(in_channels=8))

    def forward(self, x):
        """Apply the layers."""
        x = self.rest[0](self.again(self.first(x).relu()))
        return self.rest[1](x, x)


def test_other_modules(training):
    """In any module, steerable convolutions become ordinary ones."""
    module = Own().train(training)
    plain = to_convolutional(module)
    assert type(plain) is Own and module.training == training
    assert type(plain.first) is PaddedConvolution
    assert plain.again is plain.first
    assert has_no_escnn(plain)
    x = torch.randn(2, 8, 6, 7)
    assert relative_gap(plain(x), module.eval()(x)) < 1e-5


@pytest.mark.parametrize('other', [None, 3, np.ones(3), torch.ones(3)])
def test_what_is_no_module_is_refused(other):
    """Only modules can be converted."""
    with pytest.raises(TypeError, match='expected a `torch.nn.Module`'):
        to_convolutional(other)


# --- Modules of escnn --- #

SPACE = gspaces.rot2dOnR2(4)
IMAGE = enn.FieldType(SPACE, [SPACE.trivial_repr])
FIELDS = enn.FieldType(SPACE, 3 * [SPACE.regular_repr])
TWO_SIZES = enn.FieldType(SPACE, [SPACE.regular_repr, SPACE.trivial_repr])

ESCNN = {
    'convolution': lambda: enn.R2Conv(
        FIELDS, FIELDS, 3, padding=2, stride=2, dilation=2, bias=False
    ),
    'groups': lambda: enn.R2Conv(FIELDS, FIELDS, 3, padding=1, groups=3),
    'transposed': lambda: enn.R2ConvTransposed(FIELDS, IMAGE, 3, padding=1),
    'inner batch norm': lambda: enn.InnerBatchNorm(FIELDS),
    'batch norm': lambda: enn.IIDBatchNorm2d(FIELDS),
    'ReLU': lambda: enn.ReLU(FIELDS, inplace=True),
    'LeakyReLU': lambda: enn.LeakyReLU(FIELDS, 0.3),
    'ELU': lambda: enn.ELU(FIELDS, 0.4),
    'p_relu': lambda: enn.PointwiseNonLinearity(FIELDS, 'p_relu'),
    'p_elu': lambda: enn.PointwiseNonLinearity(FIELDS, 'p_elu'),
    'p_sigmoid': lambda: enn.PointwiseNonLinearity(FIELDS, 'p_sigmoid'),
    'p_tanh': lambda: enn.PointwiseNonLinearity(FIELDS, 'p_tanh'),
    'dropout': lambda: enn.PointwiseDropout(FIELDS),
    'maximum': lambda: enn.PointwiseMaxPool2D(FIELDS, 3, 2, ceil_mode=True),
    'group pooling': lambda: enn.GroupPooling(FIELDS),
    'identity': lambda: enn.IdentityModule(FIELDS),
}
kind = simple_fixture('kind', list(ESCNN))


def compare(module, training):
    """Compare a trained module of escnn with its conversion."""
    dtype = torch.float64
    module = module.to(dtype).train()
    for _ in range(3):
        x = 1 + 2 * torch.randn(2, module.in_type.size, 12, 10, dtype=dtype)
        with torch.no_grad():
            module(enn.GeometricTensor(x, module.in_type))
    module.train(training)
    modes = [part.training for part in module.modules()]
    plain = to_convolutional(module)
    assert [part.training for part in module.modules()] == modes
    assert has_no_escnn(plain) and not plain.training
    with torch.no_grad():
        result = plain(x.clone())
        expected = module.eval()(enn.GeometricTensor(x, module.in_type)).tensor
    assert result.dtype == dtype
    # escnn's group pooling returns float32 in any case
    tolerance = 1e-12 if 'GroupPooling' not in str(module) else 1e-6
    assert relative_gap(result, expected.to(dtype)) < tolerance
    for tensor in (*plain.parameters(), *plain.buffers()):
        assert tensor.dtype in (dtype, torch.int64)
    # escnn's layers share their bases, and convert those of each other
    module.float()


def test_escnn_modules(kind, training):
    """Each module of escnn has its counterpart, batch statistics included."""
    compare(randomise(ESCNN[kind]()), training)


def test_padding_of_escnn(padding_mode, training):
    """The mode of padding is kept, unlike in escnn's export."""
    module = enn.R2Conv(IMAGE, FIELDS, 5, padding=2, padding_mode=padding_mode)
    compare(randomise(module), training)


def test_sequences_of_escnn(training):
    """A whole network of escnn becomes one of torch, names included."""
    module = enn.SequentialModule(
        enn.R2Conv(IMAGE, FIELDS, 3, padding=1, padding_mode='reflect'),
        enn.InnerBatchNorm(FIELDS),
        enn.SequentialModule(
            enn.ReLU(FIELDS),
            enn.R2Conv(FIELDS, FIELDS, 3, padding_mode='circular', padding=1),
        ),
        enn.GroupPooling(FIELDS),
    )
    compare(randomise(module), training)
    names = [name for name, _ in module.named_children()]
    plain = to_convolutional(module)
    assert [name for name, _ in plain.named_children()] == names
    assert type(plain) is nn.Sequential


def test_containers_of_torch():
    """In torch's own containers, escnn's modules are converted one by one."""
    layer = randomise(enn.R2Conv(FIELDS, FIELDS, 3))
    parts = nn.ModuleDict({'a': layer, 'b': nn.ModuleList([layer])})
    plain = to_convolutional(parts)
    assert plain['a'] is plain['b'][0]
    assert type(plain['a']) is nn.Conv2d


class Wrapped(nn.Module):
    """A network of a user that makes escnn's tensors itself."""

    def __init__(self):
        super().__init__()
        self.layer = enn.R2Conv(IMAGE, FIELDS, 3)


class Changed(enn.R2Conv):
    """A convolution that does something else."""

    def forward(self, x):
        """Return nothing of use."""
        return x


@pytest.mark.parametrize(
    'make, match',
    [
        (lambda: enn.NormNonLinearity(IMAGE), '^NormNonLinearity cannot'),
        (lambda: enn.PointwiseAvgPool2D(FIELDS, 2), '^PointwiseAvgPool2D '),
        (
            lambda: enn.InnerBatchNorm(FIELDS, track_running_stats=False),
            '^InnerBatchNorm cannot',
        ),
        (lambda: enn.GroupPooling(TWO_SIZES), r'different sizes, \[1, 4\]'),
        (lambda: Changed(IMAGE, FIELDS, 3), '^Changed is a R2Conv with'),
        (Wrapped, '^Wrapped has modules of escnn'),
        (lambda: nn.Sequential(Wrapped()), '^Wrapped has modules of escnn'),
        (
            lambda: enn.SequentialModule(enn.NormNonLinearity(IMAGE)),
            '^NormNonLinearity cannot',
        ),
    ],
)
def test_what_cannot_be_converted(make, match, training):
    """The error names the layer, which is left unchanged."""
    module = make().train(training)
    with pytest.raises(TypeError, match=match):
        to_convolutional(module)
    assert all(part.training == training for part in module.modules())
