# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the learned proximals."""

import copy
import json
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import group_actions
from odl_equivariant.elements import as_element, as_tensor, tensor_dtype
from odl_equivariant.nn import (
    EquivariantProximal,
    OrdinaryProximal,
    _convolution,
)
from odl_equivariant.nn.blocks import network

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

proximal_class = simple_fixture(
    'proximal_class', [EquivariantProximal, OrdinaryProximal]
)
padding_mode = simple_fixture(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
dtype = simple_fixture('dtype', [torch.float32, torch.float64])


def randomise(module, seed=1):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def inputs_of(module, shape=(9, 9), n_images=2, seed=2):
    """Return random inputs that a proximal takes, by name."""
    generator = torch.Generator().manual_seed(seed)
    weight = next(module.parameters())

    def draw(channels):
        size = (n_images, channels, *shape)
        return torch.randn(size, generator=generator).to(weight)

    inputs = {'x': draw(module.in_channels)}
    if module.gradient:
        inputs['gradient'] = draw(module.in_channels)
    if module.memory:
        inputs['memory'] = draw(module.memory)
    if module.noise_level:
        inputs['sigma'] = torch.tensor([0.1, 0.7]).to(weight)[:n_images]
    return inputs


def outputs_of(module, **inputs):
    """Return all that a proximal returns in one tensor."""
    with torch.no_grad():
        result = module(**inputs)
    return torch.cat(result, 1) if isinstance(result, tuple) else result


def moved(action, tensor):
    """Apply an action to every channel of a batch."""
    space = action.domain
    channels = [
        as_tensor(action(as_element(channel[None], space, copy=True)))[0]
        for channel in tensor.flatten(0, 1)
    ]
    return torch.stack(channels).reshape(tensor.shape)


def equivariance_errors(module, group, shape):
    """Return the relative error for each element of a group."""
    inputs = inputs_of(module, shape)
    dtype = str(inputs['x'].dtype).removeprefix('torch.')
    space = odl.uniform_discr(
        [0, 0], list(map(float, shape)), shape, dtype=dtype
    )
    assert tensor_dtype(space) == inputs['x'].dtype
    expected = outputs_of(module, **inputs)
    errors = []
    for action in group_actions(space, group):
        images = {
            name: value if name == 'sigma' else moved(action, value)
            for name, value in inputs.items()
        }
        gap = outputs_of(module, **images) - moved(action, expected)
        errors.append((gap.norm() / expected.norm()).item())
    return errors


# --- The architecture of the reference --- #


@pytest.mark.parametrize(
    'proximal_class, in_channels, expected',
    [
        (OrdinaryProximal, 1, 754992),
        (EquivariantProximal, 1, 126000),
        (OrdinaryProximal, 2, 775736),
        (EquivariantProximal, 2, 129464),
    ],
)
def test_parameter_counts_are_those_of_the_paper(
    proximal_class, in_channels, expected
):
    """Eight blocks have the number of parameters of the publication."""
    block = proximal_class(in_channels=in_channels)
    count = sum(p.numel() for p in block.parameters())
    assert 8 * count == expected


def test_forward_is_the_composition_of_its_layers(proximal_class):
    """The output is that of the layers, one after the other."""
    module = randomise(
        proximal_class(channels=8, memory=2, n_residual_blocks=2)
    )
    inputs = inputs_of(module)
    leaky = torch.nn.LeakyReLU(0.01)
    y = leaky(module.lift(torch.cat(list(inputs.values()), 1)))
    for layer in module.residual:
        y = y + leaky(layer(y))
    expected = module.project(y)
    assert expected.shape[1] == 3
    torch.testing.assert_close(outputs_of(module, **inputs), expected)


def test_negative_slope(proximal_class):
    """The argument is the slope of the rectifier: 1 makes a block affine."""
    module = randomise(
        proximal_class(
            channels=4, memory=0, gradient=False, negative_slope=1
        ).double()
    )
    x = inputs_of(module)['x']
    middle = outputs_of(module, x=x.mean(0, keepdim=True))
    mean = outputs_of(module, x=x).mean(0, keepdim=True)
    torch.testing.assert_close(middle, mean)
    module.negative_slope = 0.5
    assert not torch.allclose(
        outputs_of(module, x=x.mean(0, keepdim=True)),
        outputs_of(module, x=x).mean(0, keepdim=True),
    )


# --- Equivariance --- #


@pytest.mark.parametrize(
    'group, exact, shape',
    [
        ('C4', 'C4', (8, 8)),
        ('C4', 'C4', (9, 9)),
        ('D4', 'D4', (8, 8)),
        ('D4', 'D4', (9, 9)),
        ('C8', 'C4', (9, 9)),
        ('C2', 'C2', (8, 9)),
        ('C6', 'C2', (9, 8)),
        ('D2', 'D2', (9, 8)),
        ('D1', 'D1', (8, 9)),
        ('D3', 'D1', (8, 9)),
        ('C4', 'C2', (7, 10)),
    ],
)
def test_equivariance(group, exact, shape, dtype):
    """A proximal commutes with the actions that are exact on the grid.

    All its inputs move: the image, the gradient and the memory.
    """
    module = EquivariantProximal(channels=24, group=group, memory=2)
    module = randomise(module.to(dtype))
    assert max(equivariance_errors(module, exact, shape)) < TOLERANCE[dtype]


@pytest.mark.parametrize('kernel_size', [1, 3, 5])
def test_equivariance_for_any_boundary(padding_mode, kernel_size, dtype):
    """A proximal is equivariant with every kind of padding."""
    module = randomise(
        EquivariantProximal(
            channels=8,
            group='D4',
            memory=1,
            padding_mode=padding_mode,
            kernel_size=kernel_size,
        ).to(dtype)
    )
    assert max(equivariance_errors(module, 'D4', (7, 7))) < TOLERANCE[dtype]


@pytest.mark.parametrize('skip', [False, True])
@pytest.mark.parametrize('in_channels', [1, 2])
def test_equivariance_of_a_denoiser(skip, in_channels, dtype):
    """A denoiser with a noise level is equivariant."""
    module = randomise(
        EquivariantProximal(
            in_channels,
            channels=8,
            memory=0,
            gradient=False,
            noise_level=True,
            n_residual_blocks=3,
            skip=skip,
        ).to(dtype)
    )
    assert max(equivariance_errors(module, 'C4', (8, 8))) < TOLERANCE[dtype]


@pytest.mark.parametrize(
    'make',
    [
        lambda: OrdinaryProximal(channels=16),
        # reflections are not in the group, quarter turns not in this one
        lambda: EquivariantProximal(channels=16, group='C4'),
        lambda: EquivariantProximal(channels=16, group='D2'),
    ],
)
def test_no_equivariance_beyond_the_group(make):
    """A proximal does not commute with actions outside of its group."""
    errors = equivariance_errors(randomise(make()), 'D4', (8, 8))
    assert max(errors) > 0.1


@pytest.mark.parametrize('shift', [(0, 3), (-2, 1)])
def test_periodic_translations(proximal_class, shift):
    """With circular padding, both kinds commute with translations."""
    module = randomise(
        proximal_class(channels=8, memory=1, padding_mode='circular')
    )
    inputs = inputs_of(module, (7, 8))
    rolled = {
        name: value.roll(shift, (2, 3)) for name, value in inputs.items()
    }
    expected = outputs_of(module, **inputs).roll(shift, (2, 3))
    torch.testing.assert_close(
        outputs_of(module, **rolled), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('padding_mode', ['replicate', 'zeros', 'reflect'])
@pytest.mark.parametrize('shape', [(21, 24), (24, 21)])
def test_translations_hold_away_from_the_boundary(
    proximal_class, padding_mode, shape, dtype
):
    """Translations commute exactly, except near the boundary."""
    module = randomise(
        proximal_class(
            channels=8,
            memory=1,
            kernel_size=3,
            n_residual_blocks=1,
            padding_mode=padding_mode,
        )
    ).to(dtype)
    shift, reach = (0, 3), 3  # of three convolutions, one cell each
    inputs = inputs_of(module, shape)
    rolled = {
        name: value.roll(shift, (2, 3)) for name, value in inputs.items()
    }
    expected = outputs_of(module, **inputs).roll(shift, (2, 3))
    gap = (outputs_of(module, **rolled) - expected).abs()
    scale = float(expected.square().mean().sqrt())
    # a shift along one axis leaves the boundary of the other where it is
    start = shift[1] + reach
    interior = gap[..., start : shape[1] - reach]
    assert float(interior.max()) < TOLERANCE[dtype] * scale
    assert float(gap[..., shape[1] - 1].max()) > 0.05 * scale
    assert float(gap[..., :start].max()) > 0.05 * scale


# --- The start --- #


def test_residual_blocks_start_as_the_identity(proximal_class):
    """New residual blocks do not change the output."""
    module = proximal_class(channels=8, n_residual_blocks=3)
    inputs = inputs_of(module)
    expected = outputs_of(module, **inputs)
    module.residual = torch.nn.ModuleList()
    assert torch.equal(outputs_of(module, **inputs), expected)


def images(n_channels, n_images=8, size=40, seed=7):
    """Return random images, smooth at random scales."""
    rng = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    noise = rng.standard_normal((n_images, n_channels, size, size))
    spectrum = np.fft.fft2(noise) / np.maximum(f, 1 / size)
    result = torch.from_numpy(np.fft.ifft2(spectrum).real).float()
    return result / result.square().mean((2, 3), keepdim=True).sqrt()


@pytest.mark.parametrize('n_residual_blocks', [0, 2])
@pytest.mark.parametrize(
    'make',
    [
        OrdinaryProximal,
        EquivariantProximal,
        lambda **kwargs: EquivariantProximal(group='D4', **kwargs),
    ],
)
def test_every_kind_starts_with_the_same_variance(make, n_residual_blocks):
    """New networks of all kinds have outputs with a mean square of one."""
    squares = []
    for seed in range(6):
        torch.manual_seed(seed)
        module = make(channels=16, n_residual_blocks=n_residual_blocks)
        x, gradient, memory = images(7, seed=seed).split([1, 1, 5], 1)
        result = outputs_of(module, x=x, gradient=gradient, memory=memory)
        squares.append(result.square().mean().item())
    assert np.mean(squares) == pytest.approx(1, rel=0.1)


def test_skip_starts_close_to_a_gradient_step(proximal_class):
    """A new network with ``skip`` returns about ``x - gradient``."""
    for seed in range(4):
        torch.manual_seed(seed)
        module = proximal_class(channels=16, memory=2, skip=True)
        batch = images(4, seed=seed)
        x, gradient, memory = batch.split([1, 1, 2], 1)
        result = outputs_of(module, x=x, gradient=gradient, memory=memory)
        rest = torch.cat([x - gradient, torch.zeros_like(memory)], 1)
        size = (result - rest).square().mean().sqrt().item()
        assert size == pytest.approx(0.1, rel=0.3)


def test_skip_adds_to_the_network(proximal_class):
    """``skip`` adds the gradient step, or the image if there is none."""
    for gradient in (False, True):
        make = dict(channels=8, memory=0, gradient=gradient)
        module = randomise(proximal_class(skip=True, **make))
        plain = proximal_class(skip=False, **make)
        plain.load_state_dict(module.state_dict())
        inputs = inputs_of(module)
        step = inputs['x'] - inputs.get('gradient', 0)
        torch.testing.assert_close(
            outputs_of(module, **inputs), outputs_of(plain, **inputs) + step
        )


def test_a_seed_gives_the_weights(proximal_class):
    """The weights depend only on the seed."""
    weights, states = [], []
    for _ in range(2):
        torch.manual_seed(5)
        module = proximal_class(channels=8)
        weights.append(module.state_dict())
        states.append(torch.rand(1))
    assert torch.equal(*states)
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


def test_weights_are_all_that_is_drawn(proximal_class):
    """Bases and scales do not use the global random state."""
    torch.manual_seed(5)
    module = proximal_class(channels=8)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    for layer in (module.lift, *module.residual, module.project):
        drawn = torch.randn(layer.weight.shape)
        if layer.weight.any():
            ratio = layer.weight / drawn
            torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
    assert torch.equal(torch.get_rng_state(), state)


# --- Inputs --- #


@pytest.mark.parametrize('shape', [(3, 3), (8, 5), (5, 8)])
@pytest.mark.parametrize('memory', [0, 3])
@pytest.mark.parametrize('in_channels', [1, 2])
def test_shapes(proximal_class, shape, memory, in_channels):
    """Image and memory keep their shapes, whatever the grid."""
    module = proximal_class(in_channels, channels=4, memory=memory)
    inputs = inputs_of(module, shape)
    result = module(**inputs)
    if not memory:
        assert result.shape == inputs['x'].shape
        return
    assert [r.shape for r in result] == [
        inputs['x'].shape,
        inputs['memory'].shape,
    ]


def test_memory_starts_at_zero(proximal_class):
    """Without a memory, a zero one is used."""
    module = randomise(proximal_class(channels=4, memory=2))
    inputs = inputs_of(module)
    inputs['memory'].zero_()
    expected = outputs_of(module, **inputs)
    del inputs['memory']
    assert torch.equal(outputs_of(module, **inputs), expected)


def test_every_input_counts(proximal_class):
    """The output depends on image, gradient, memory and noise level."""
    module = randomise(proximal_class(channels=8, memory=2, noise_level=True))
    inputs = inputs_of(module)
    expected = outputs_of(module, **inputs)
    for name, value in inputs.items():
        changed = outputs_of(module, **{**inputs, name: value + 0.5})
        assert (changed - expected).norm() > 1e-3 * expected.norm()


@pytest.mark.parametrize(
    'convert', [float, np.float64, torch.tensor, lambda s: torch.tensor([s])]
)
def test_noise_level_of_each_image(proximal_class, convert):
    """Each image may have its own noise level, or all have the same."""
    module = randomise(
        proximal_class(channels=4, memory=0, gradient=False, noise_level=True)
    )
    x = inputs_of(module)['x']
    both = outputs_of(module, x=x, sigma=torch.tensor([0.1, 0.7]))
    for i, sigma in enumerate((0.1, 0.7)):
        one = outputs_of(module, x=x[i : i + 1], sigma=convert(sigma))
        torch.testing.assert_close(one, both[i : i + 1])


def test_images_of_a_batch_are_apart(proximal_class):
    """The output for an image does not depend on the rest of the batch."""
    module = randomise(proximal_class(channels=4, memory=2))
    inputs = inputs_of(module, n_images=3)
    expected = outputs_of(module, **inputs)
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in inputs.items()}
        torch.testing.assert_close(
            outputs_of(module, **one), expected[i : i + 1]
        )
    none = {name: value[:0] for name, value in inputs.items()}
    assert outputs_of(module, **none).shape == (0, 3, 9, 9)


def test_inputs_are_left_alone(proximal_class):
    """No input is written to."""
    module = proximal_class(channels=4, memory=2, skip=True)
    inputs = inputs_of(module)
    before = copy.deepcopy(inputs)
    outputs_of(module, **inputs)
    for name, value in inputs.items():
        assert torch.equal(value, before[name])


# --- As a torch module --- #


def test_gradients_reach_every_weight(proximal_class):
    """In a new network, each weight and each input has a gradient."""
    module = proximal_class(channels=8, memory=2)
    inputs = inputs_of(module)
    for value in inputs.values():
        value.requires_grad_()
    u, memory = module(**inputs)
    (u.square().sum() + memory.square().sum()).backward()
    for tensor in (*module.parameters(), *inputs.values()):
        assert tensor.grad.abs().amax() > 0


def test_training_and_evaluation_are_the_same(proximal_class):
    """Neither the state nor the output depends on the mode."""
    module = randomise(proximal_class(channels=8))
    inputs = inputs_of(module)
    names, expected = list(module.state_dict()), outputs_of(module, **inputs)
    module.eval()
    assert list(module.state_dict()) == names
    assert torch.equal(outputs_of(module, **inputs), expected)
    other = proximal_class(channels=8)
    other.load_state_dict(module.state_dict())
    assert torch.equal(outputs_of(other, **inputs), expected)


@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize(
    'duplicate', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies(proximal_class, duplicate, train):
    """Copies compute the same, with weights of their own."""
    module = randomise(proximal_class(channels=8)).train(train)
    inputs = inputs_of(module)
    expected = outputs_of(module, **inputs)
    other = duplicate(module)
    assert other.training == train
    assert torch.equal(outputs_of(other, **inputs), expected)
    randomise(other, seed=3)
    assert torch.equal(outputs_of(module, **inputs), expected)
    assert not torch.equal(outputs_of(other, **inputs), expected)


@pytest.mark.filterwarnings(
    'ignore:.*torch.jit.* is deprecated', 'ignore::torch.jit.TracerWarning'
)
def test_trace(proximal_class):
    """A traced network computes the same, also on other shapes."""
    module = randomise(proximal_class(channels=4, memory=1)).eval()
    traced = torch.jit.trace(
        module, tuple(inputs_of(module).values()), check_trace=False
    )
    inputs = tuple(inputs_of(module, (6, 7), n_images=3).values())
    for result, expected in zip(traced(*inputs), module(*inputs), strict=True):
        assert torch.equal(result, expected)


def test_export(proximal_class):
    """An exported network computes the same, also on other shapes."""
    module = randomise(proximal_class(channels=4, memory=1)).eval()
    dynamic = {
        0: torch.export.Dim('n_images'),
        2: torch.export.Dim('n_x'),
        3: torch.export.Dim('n_y'),
    }
    exported = torch.export.export(
        module,
        tuple(inputs_of(module).values()),
        dynamic_shapes=(dynamic, dynamic, dynamic),
    ).module()
    inputs = tuple(inputs_of(module, (6, 7), n_images=3).values())
    for result, expected in zip(
        exported(*inputs), module(*inputs), strict=True
    ):
        torch.testing.assert_close(result, expected)


def test_autocast(proximal_class):
    """Under autocast, a proximal computes in bfloat16."""
    module = randomise(proximal_class(channels=4, memory=0))
    inputs = inputs_of(module)
    with torch.autocast('cpu', torch.bfloat16):
        result = outputs_of(module, **inputs)
        half = outputs_of(
            module, **{k: v.bfloat16() for k, v in inputs.items()}
        )
    expected = outputs_of(module, **inputs)
    assert result.dtype == half.dtype == torch.bfloat16
    for y in (result, half):
        assert (y - expected).norm() < 0.05 * expected.norm()


def test_architecture_rebuilds_the_module(proximal_class):
    """The architecture as JSON has all arguments of the module."""
    module = proximal_class(
        np.int64(2),
        channels=8,
        memory=1,
        noise_level=True,
        n_residual_blocks=2,
        skip=True,
        kernel_size=5,
        padding_mode='circular',
        negative_slope=0.2,
    )
    architecture = json.loads(json.dumps(module.architecture))
    assert architecture['class'] == proximal_class.__name__
    other = proximal_class(**architecture['arguments'])
    other.load_state_dict(module.state_dict())
    inputs = inputs_of(module)
    assert torch.equal(
        outputs_of(other, **inputs), outputs_of(module, **inputs)
    )


# --- Bad input --- #


@pytest.mark.parametrize(
    'channels, group, nearest',
    [(94, 'C4', '92 or 96'), (97, 'D4', '96 or 104'), (3, 'C8', 'are 8')],
)
def test_channels_that_the_group_does_not_divide(channels, group, nearest):
    """The error names the nearest valid numbers of channels."""
    with pytest.raises(ValueError, match=nearest):
        EquivariantProximal(channels=channels, group=group)


@pytest.mark.parametrize('group', ['SO3', 'o2', 'c4', 'E8', None])
def test_unknown_groups(group):
    """An unknown group is refused, and the known ones are listed."""
    with pytest.raises(ValueError, match='unknown group .* C4, .* D4, .* SO2'):
        EquivariantProximal(group=group)


@pytest.mark.parametrize(
    'group, kernel_size',
    [('C100000', 3), ('C4', 9999), ('D32', 7), ('D50', 1), (f'C{10**400}', 1)],
)
def test_groups_and_kernels_too_large(group, kernel_size):
    """A basis that is too large for the memory is refused at once."""
    with pytest.raises(ValueError, match='take a smaller group or kernel'):
        EquivariantProximal(
            channels=10**6, group=group, kernel_size=kernel_size
        )


@pytest.mark.parametrize(
    'arguments, match',
    [
        ({'in_channels': 0}, 'in_channels.* positive whole .*got 0'),
        ({'channels': 0}, 'channels.* positive whole number, got 0'),
        ({'memory': -1}, 'memory.* at least 0, got -1'),
        ({'n_residual_blocks': -1}, 'n_residual_blocks.* at least 0'),
        ({'kernel_size': 4}, 'odd.*got 4'),
        ({'kernel_size': 0}, 'kernel_size.* positive whole'),
        ({'padding_mode': 'same'}, "replicate.*got 'same'"),
        ({'negative_slope': float('nan')}, 'negative_slope.*got nan'),
    ],
)
def test_arguments_out_of_range(proximal_class, arguments, match):
    """An argument out of its range is refused by name."""
    with pytest.raises(ValueError, match=match):
        proximal_class(**{'channels': 8, **arguments})


@pytest.mark.parametrize(
    'arguments, match',
    [
        ({'channels': 8.0}, 'channels.* whole number'),
        ({'channels': True}, 'channels.* whole number'),
        ({'channels': '8'}, "positive whole number, got '8'"),
        ({'padding_mode': 1}, 'replicate.*got 1'),
        ({'gradient': 'yes'}, "`gradient` must be True or False.*'yes'"),
        ({'noise_level': 0.1}, '`noise_level` must be True or False'),
        ({'skip': None}, '`skip` must be True or False'),
        ({'negative_slope': None}, 'negative_slope.*finite number'),
    ],
)
def test_arguments_of_another_type(proximal_class, arguments, match):
    """An argument of another type is refused by name."""
    with pytest.raises(TypeError, match=match):
        proximal_class(**{'channels': 8, **arguments})


@pytest.mark.parametrize(
    'change, error, match',
    [
        ({'x': None}, TypeError, 'needs `x`'),
        ({'gradient': None}, TypeError, 'needs `gradient`, .*1, n, m'),
        ({'sigma': None}, TypeError, 'noise level: pass `sigma`'),
        ({'x': np.zeros((2, 1, 9, 9))}, TypeError, 'x.*got ndarray'),
        ({'x': torch.zeros(1, 9, 9)}, ValueError, r'1, n, m\), got \(1, 9'),
        ({'x': torch.zeros(2, 2, 9, 9)}, ValueError, r'x.*got \(2, 2, 9, 9'),
        ({'x': torch.zeros(2, 1, 9, 9).double()}, TypeError, 'float32'),
        ({'x': torch.zeros(2, 1, 9, 9).cfloat()}, TypeError, 'complex64'),
        ({'gradient': torch.zeros(2, 1, 9, 8)}, ValueError, 'gradient.*grid'),
        ({'memory': torch.zeros(2, 3, 9, 9)}, ValueError, 'memory.*2, n, m'),
        ({'memory': torch.zeros(2, 2, 8, 9)}, ValueError, 'memory.*grid'),
        ({'sigma': torch.ones(3)}, ValueError, r'sigma.*\(2,\), got.*3'),
        ({'sigma': torch.ones(2, 1)}, ValueError, 'sigma.*got shape'),
        ({'sigma': 0.0}, ValueError, 'sigma.*positive'),
        ({'sigma': -1}, ValueError, 'sigma.*positive, got -1'),
        ({'sigma': float('nan')}, ValueError, 'sigma.*positive'),
        ({'sigma': torch.tensor(-1.0)}, ValueError, 'positive, got -1.0'),
        ({'sigma': torch.tensor([0.1, 0.0])}, ValueError, 'positive, got 0'),
        ({'sigma': torch.tensor([np.nan, 1])}, ValueError, 'positive.* nan'),
        ({'sigma': torch.tensor([np.inf, 1])}, ValueError, 'positive.* inf'),
        ({'sigma': [0.1, -2.0]}, ValueError, 'got -2.0 among 2 noise levels'),
        ({'gradient': torch.zeros(1, 1, 9, 9)}, ValueError, 'grad.* 2 of `x`'),
        ({'memory': torch.zeros(3, 2, 9, 9)}, ValueError, 'memory.* got 3'),
        (
            {'gradient': torch.zeros(2, 1, 9, 9).double()},
            TypeError,
            'so must `gradient` be, got torch.float64',
        ),
    ],
)
def test_inputs_that_do_not_fit(proximal_class, change, error, match):
    """An input that is missing or does not fit is refused by name."""
    module = proximal_class(channels=4, memory=2, noise_level=True)
    with pytest.raises(error, match=match):
        module(**{**inputs_of(module), **change})


@pytest.mark.parametrize('given', ['gradient', 'memory'])
def test_inputs_that_would_be_lost(proximal_class, given):
    """A denoiser takes neither a gradient nor a memory."""
    module = proximal_class(channels=4, memory=0, gradient=False)
    x = inputs_of(module)['x']
    with pytest.raises(ValueError, match=f'`{given}` was given'):
        module(x, **{given: x})


def test_images_smaller_than_the_kernel(proximal_class, padding_mode):
    """An image on which the kernel does not fit is refused."""
    module = proximal_class(
        channels=4, memory=0, kernel_size=5, padding_mode=padding_mode
    )
    with pytest.raises(ValueError, match='smaller than the kernel of side 5'):
        module(**inputs_of(module, (4, 12)))


@pytest.mark.parametrize(
    'space, match',
    [
        (odl.rn((9, 9, 9)), '2 axes'),
        (odl.rn(9), '2 axes'),
        (odl.rn((9, 2)), 'smaller than the kernels of side 3'),
        (odl.cn((9, 9)), '2 channel.*in_channels=1'),
        (odl.rn((9, 9)) ** 2, '2 channel'),
        (
            odl.DiscretizedSpace(
                odl.nonuniform_partition([0.1, 0.2, 0.7], [0.1, 0.5, 0.7]),
                odl.rn((3, 3)),
            ),
            'uniform grid',
        ),
    ],
)
def test_spaces_that_do_not_fit(proximal_class, space, match):
    """A space whose elements the network cannot take is refused."""
    with pytest.raises(ValueError, match=match):
        proximal_class(channels=4).check_space(space)


def test_cells_that_are_not_square():
    """Only an ordinary network works on cells that are not square."""
    space = odl.uniform_discr([0, 0], [1, 2], (8, 8))
    OrdinaryProximal(channels=4).check_space(space)
    with pytest.raises(ValueError, match='square cells'):
        EquivariantProximal(channels=4).check_space(space)


# --- Order of channels --- #


@pytest.mark.parametrize('more', [-1, 0, 1])
def test_border_between_orders_of_channels(
    proximal_class, dtype, more, monkeypatch
):
    """Where the channels become last, nothing but rounding changes."""
    block = randomise(proximal_class(channels=8, memory=2).to(dtype))
    width = _convolution._LEAST_IN_ORDER // (8 * 64) + more
    inputs = [torch.randn(1, n, 64, width, dtype=dtype) for n in (1, 1, 2)]

    def results():
        outputs = block(*(x.requires_grad_() for x in inputs))
        loss = sum(y.square().sum() for y in outputs)
        return *outputs, *torch.autograd.grad(
            loss, [*inputs, *block.parameters()]
        )

    found = results()
    for limit in (1, 10**9):
        monkeypatch.setattr(_convolution, '_LEAST_IN_ORDER', limit)
        for one, other in zip(results(), found, strict=True):
            assert (one - other).norm() <= TOLERANCE[dtype] * other.norm()


def test_order_of_channels_needs_no_setting(monkeypatch):
    """Large images are convolved with the channels last, small ones not."""
    orders = []

    def seen(x, *args):
        orders.append(x.is_contiguous(memory_format=torch.channels_last))
        return convolve(x, *args)

    convolve = network.convolve
    monkeypatch.setattr(network, 'convolve', seen)
    block = OrdinaryProximal(channels=8, memory=2)
    for n in (16, 64):
        x = torch.randn(1, 1, n, n, requires_grad=True)
        block(x, x)
    assert orders == 3 * [False] + 3 * [True]
