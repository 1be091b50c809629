# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of proximals for all rotations, and for restrictions of a group."""

import copy
import json
import pickle
import subprocess
import sys
import time

import numpy as np
import odl
import pytest
import safetensors.torch
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant import models
from odl_equivariant._files import split_seal
from odl_equivariant.actions import group_actions
from odl_equivariant.diagnostics import assert_equivariant, equivariance_error
from odl_equivariant.functionals import LearnedProximal
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.nn.blocks import pieces
from odl_equivariant.nn.inference import has_bfloat16

group = simple_fixture('group', ['SO2', 'O2'])
nonlinearity = simple_fixture('nonlinearity', ['fourier', 'norm', 'gated'])


def randomise(module, seed=1):
    """Draw all weights anew, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(scale * noise)
    return module


def size_of_field(group, max_frequency):
    """Return the number of channels of a field."""
    return (2 * max_frequency + 1) * (2 if group == 'O2' else 1)


def block(group='SO2', max_frequency=1, **kwargs):
    """Return a block of an unrolled network with random weights."""
    channels = 2 * size_of_field(group, max_frequency)
    arguments = {'channels': channels, 'memory': 2, **kwargs}
    return randomise(
        EquivariantProximal(
            group=group, max_frequency=max_frequency, **arguments
        )
    )


def inputs_of(module, shape=(9, 8), n_images=2, seed=3):
    """Return random inputs for a block of an unrolled network."""
    generator = torch.Generator().manual_seed(seed)
    like = next(module.parameters())
    return [
        torch.randn((n_images, n, *shape), generator=generator).to(like)
        for n in (module.in_channels, module.in_channels, module.memory)
    ]


def outputs_of(module, *inputs):
    """Return all that a block returns in one tensor."""
    with torch.no_grad():
        return torch.cat(module(*inputs), 1)


def without_jumps(module):
    """Make the biases of norms negative, so that outputs are continuous."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith('activations'):
                parameter.copy_(-parameter.abs())
    return module


def operator(group, dtype='float64', impl='numpy', n=8, **kwargs):
    """Return a denoiser as an operator on a space of images."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype, impl=impl)
    module = EquivariantProximal(
        group=group,
        **{'memory': 0, 'gradient': False, 'noise_level': True, **kwargs},
    )
    module = without_jumps(randomise(module))
    if kwargs.get('representation') == 'standard':
        space = space**2
    if dtype == 'float64':
        module = module.double()
    return LearnedProximal(space, module).proximal(0.2)


# --- Equivariance --- #


@pytest.mark.parametrize('max_frequency, n', [(1, 8), (1, 9), (2, 9)])
def test_quarter_turns_are_exact(group, nonlinearity, max_frequency, n):
    """Quarter turns are exact up to rounding in float64."""
    op = operator(
        group,
        n=n,
        channels=2 * size_of_field(group, max_frequency),
        nonlinearity=nonlinearity,
        max_frequency=max_frequency,
    )
    exact = 'C4' if group == 'SO2' else 'D4'
    assert_equivariant(op, group_actions(op.domain, exact), tol=1e-12)
    if group == 'SO2':
        mirror = group_actions(op.domain, 'D1')[1]
        assert equivariance_error(op, mirror) > 0.01


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_single_precision(group, nonlinearity, impl):
    """Quarter turns are exact in float32, on both back-ends."""
    op = operator(group, 'float32', impl, channels=12, n_residual_blocks=2)
    exact = 'C4' if group == 'SO2' else 'D4'
    assert_equivariant(op, group_actions(op.domain, exact), tol=1e-5)


def test_vector_fields(group, nonlinearity):
    """Networks for vector fields are equivariant under an infinite group."""
    op = operator(
        group,
        in_channels=2,
        channels=12,
        representation='standard',
        nonlinearity=nonlinearity,
    )
    exact = group_actions(
        op.domain,
        'C4' if group == 'SO2' else 'D4',
        representation='standard',
    )
    assert_equivariant(op, exact, tol=1e-12)


@pytest.mark.parametrize('kernel_size', [1, 3, 5])
@pytest.mark.parametrize(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
def test_any_boundary(padding_mode, kernel_size):
    """Networks are equivariant with every kind of padding."""
    op = operator(
        'O2', channels=12, padding_mode=padding_mode, kernel_size=kernel_size
    )
    assert_equivariant(op, group_actions(op.domain, 'D4'), tol=1e-12)


def smooth_image(space):
    """Return an image without fine detail, zero at the boundary."""
    return space.element(
        lambda x: (
            np.exp(-8 * ((x[0] - 0.15) ** 2 + 2 * (x[1] + 0.1) ** 2))
            + 0.5 * np.exp(-20 * ((x[0] + 0.2) ** 2 + (x[1] - 0.25) ** 2))
        )
    )


def test_other_angles(nonlinearity):
    """Between the quarter turns, the discretisation alone is left.

    The error is far below that of a network for quarter turns.
    """
    arguments = {'n': 33, 'channels': 24, 'kernel_size': 5}
    ours = operator('SO2', nonlinearity=nonlinearity, **arguments)
    quarter = operator('C4', **arguments)
    turn = group_actions(ours.domain, 'C8', method='fourier')[1]
    x = smooth_image(ours.domain)
    error = equivariance_error(ours, turn, x=x)
    assert error < 0.02
    assert error < equivariance_error(quarter, turn, x=x) / 2


# --- Restriction --- #


@pytest.mark.parametrize('restrict_after', [None, 0])
@pytest.mark.parametrize(
    'group, subgroup, other, channels',
    [
        ('D4', 'C4', 'D4', 16),
        ('D4', 'D2', 'C4', 16),
        ('D4', 'D1', 'C2', 16),
        ('C4', 'C2', 'C4', 16),
        ('C8', 'C4', None, 16),
        ('D8', 'D4', None, 16),
        ('D2', 'D1', 'C2', 16),
        ('D6', 'D1', 'C2', 24),
        ('SO2', 'C4', None, 12),
        ('SO2', 'C2', 'C4', 12),
        ('O2', 'SO2', 'D4', 12),
        ('O2', 'D4', None, 12),
        ('O2', 'C4', 'D4', 12),
        ('O2', 'D2', 'C4', 12),
    ],
)
def test_restriction(group, subgroup, other, channels, restrict_after):
    """After a restriction, the subgroup is kept and the group is not."""
    op = operator(
        group,
        channels=channels,
        restrict_to=subgroup,
        restrict_after=restrict_after,
        n_residual_blocks=2,
    )
    exact = 'C4' if subgroup == 'SO2' else subgroup
    actions = group_actions(op.domain, exact)
    assert_equivariant(op, actions, tol=1e-12)
    if other is None:
        return
    rest = [g for g in group_actions(op.domain, other) if g not in actions]
    assert rest
    for action in rest:
        assert equivariance_error(op, action) > 1e-3


@pytest.mark.parametrize('nonlinearity', ['norm', 'gated'])
def test_restriction_of_vector_fields(nonlinearity):
    """The same holds for vector fields."""
    op = operator(
        'O2',
        in_channels=2,
        channels=12,
        representation='standard',
        nonlinearity=nonlinearity,
        restrict_to='D2',
        restrict_after=0,
    )
    actions = group_actions(op.domain, 'D2', representation='standard')
    assert_equivariant(op, actions, tol=1e-12)
    quarter = group_actions(op.domain, 'C4', representation='standard')[1]
    assert equivariance_error(op, quarter) > 1e-3


def test_before_the_restriction_nothing_changes():
    """Layers before the restriction are those of the whole group."""
    module = block('O2', restrict_to='C4', n_residual_blocks=2)
    whole = block('O2', n_residual_blocks=2)
    groups = [
        layer.basis_key[0]
        for layer in (module.lift, *module.residual, module.project)
    ]
    assert groups == ['O2', 'O2', 'O2', 'C4']
    later = block(
        'O2', restrict_to='C4', restrict_after=1, n_residual_blocks=2
    )
    assert later.residual[0].basis_key == whole.residual[0].basis_key
    assert later.residual[1].basis_key[0] == 'C4'
    assert later.residual[1].weight.numel() > whole.residual[1].weight.numel()


def test_fields_of_the_subgroup():
    """A network restricted at once has the kernels of the subgroup."""
    module = EquivariantProximal(
        channels=16, group='D4', restrict_to='C4', restrict_after=0
    )
    count = sum(p.numel() for p in module.residual.parameters())
    plain = EquivariantProximal(channels=16, group='C4')
    assert count == sum(p.numel() for p in plain.residual.parameters())


# --- Everything that is done with a network --- #

NETWORKS = {
    'fourier': lambda: block('SO2', 2, nonlinearity='fourier'),
    'more samples': lambda: block('O2', 1, n_samples=16, skip=True),
    'norm': lambda: block('O2', 1, nonlinearity='norm'),
    'gated': lambda: block('SO2', 3, nonlinearity='gated'),
    'restricted': lambda: block('O2', 1, restrict_to='C4', restrict_after=0),
    'finite': lambda: randomise(
        EquivariantProximal(
            channels=16, group='D4', memory=2, restrict_to='C4'
        )
    ),
    'vectors': lambda: block(
        'SO2',
        1,
        nonlinearity='gated',
        representation='standard',
        in_channels=4,
    ),
}

kind = simple_fixture('kind', list(NETWORKS))


def test_start(nonlinearity, group):
    """A new network has outputs with a mean square of one."""
    squares = []
    for seed in range(6):
        torch.manual_seed(seed)
        module = EquivariantProximal(
            channels=24, group=group, nonlinearity=nonlinearity, memory=2
        )
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((16, 4, 40, 40), generator=generator)
        f = torch.fft.fftfreq(40)
        f = torch.hypot(f[:, None], f).clamp_min(1 / 40)
        x = torch.fft.ifft2(torch.fft.fft2(noise) / f).real
        x = x / x.square().mean((2, 3), keepdim=True).sqrt()
        result = outputs_of(module, *x.split([1, 1, 2], 1))
        squares.append(result.square().mean().item())
    assert np.mean(squares) == pytest.approx(1, rel=0.2)


def test_residual_blocks_start_as_the_identity(nonlinearity):
    """New residual blocks do not change the output."""
    module = EquivariantProximal(
        channels=12, group='O2', nonlinearity=nonlinearity, memory=2
    )
    inputs = inputs_of(module)
    expected = outputs_of(module, *inputs)
    module.residual = torch.nn.ModuleList()
    torch.testing.assert_close(outputs_of(module, *inputs), expected)


def test_gradients_reach_every_weight(kind):
    """Each weight has a gradient, also the biases of norms."""
    module = NETWORKS[kind]()
    torch.cat(module(*inputs_of(module)), 1).square().sum().backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any()


def test_training(nonlinearity):
    """A few steps of descent fit a small batch."""
    torch.manual_seed(0)
    module = EquivariantProximal(
        channels=12,
        group='O2',
        nonlinearity=nonlinearity,
        memory=0,
        gradient=False,
    )
    truth = torch.randn(4, 1, 12, 12)
    truth = torch.nn.functional.avg_pool2d(truth, 5, 1, 2)
    noisy = truth + 0.1 * torch.randn(truth.shape)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (module(noisy) - truth).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # the mean square of the noise is what the identity would leave
    assert losses[-1] < min(0.1 * losses[0], 0.01)


def test_plain_convolutions(kind):
    """They compute the same, without escnn, and can be saved."""
    module = NETWORKS[kind]()
    inputs = inputs_of(module)
    expected = outputs_of(module, *inputs)
    plain = to_convolutional(module)
    assert type(plain) is OrdinaryProximal
    found = outputs_of(plain, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    models.save(plain, 'plain.safetensors')
    again = models.load('plain.safetensors')
    assert again.architecture == plain.architecture
    assert torch.equal(outputs_of(again, *inputs), found)


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """Run each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_snapshots(kind):
    """A snapshot computes the same, in pieces or at once."""
    module = NETWORKS[kind]()
    inputs = inputs_of(module, (13, 10))
    expected = outputs_of(module, *inputs)
    for quick in (
        for_inference(module),
        for_inference(module, tile=4),
        for_inference(module, 'float64', tile=5),
    ):
        found = outputs_of(quick, *inputs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert not any(p.requires_grad for p in quick.parameters())


@pytest.mark.parametrize(
    'padding_mode', ['replicate', 'zeros', 'reflect', 'circular']
)
def test_pieces(nonlinearity, padding_mode, monkeypatch):
    """Pieces give the whole image, and the whole gradients."""
    module = block(
        'SO2', 2, nonlinearity=nonlinearity, padding_mode=padding_mode
    ).double()
    inputs = inputs_of(module, (13, 11))

    def results():
        module.zero_grad()
        result = torch.cat(module(*inputs), 1)
        result.square().sum().backward()
        return result.detach(), [p.grad.clone() for p in module.parameters()]

    expected, expected_gradients = results()
    monkeypatch.setattr(pieces, '_SMALLEST_SIDE', 4)
    monkeypatch.setattr(pieces, '_CACHE_PER_THREAD', 0)
    found, gradients = results()
    torch.testing.assert_close(found, expected)
    for gradient, one in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, one)


def test_bfloat16(nonlinearity):
    """Autocast and snapshots in bfloat16 have the precision of bfloat16."""
    module = block('O2', 1, nonlinearity=nonlinearity)
    inputs = inputs_of(module)
    expected = outputs_of(module, *inputs)
    with torch.autocast('cpu', torch.bfloat16):
        found = [outputs_of(module, *inputs)]
    if has_bfloat16(torch.device('cpu')):
        found.append(outputs_of(for_inference(module, 'bfloat16'), *inputs))
    for result in found:
        assert (result - expected).norm() < 0.05 * expected.norm()


def test_round_trip(kind):
    """A saved network is loaded in the same precision."""
    module = NETWORKS[kind]().double()
    models.save(module, 'network.safetensors')
    other = models.load('network.safetensors')
    assert other.architecture == json.loads(json.dumps(module.architecture))
    inputs = inputs_of(module)
    expected = outputs_of(module, *inputs)
    assert torch.equal(outputs_of(other, *inputs), expected)
    again = EquivariantProximal(**module.architecture['arguments']).double()
    again.load_state_dict(module.state_dict())
    assert torch.equal(outputs_of(again, *inputs), expected)


def test_unrolled_networks_are_saved(kind):
    """Unrolled networks with such blocks are saved and loaded."""
    module = NETWORKS[kind]()
    space = odl.rn((8, 8), dtype='float32')
    if kind == 'vectors':
        space = odl.cn((8, 8), dtype='complex64') ** 2
    identity = odl.IdentityOperator(space)
    network = LearnedProximalGradient(identity, NETWORKS[kind], 2)
    models.save(network, 'network.safetensors')
    loaded = models.load('network.safetensors', identity)
    y = torch.randn(2, module.in_channels, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(y), network(y))
        quick = for_inference(network, tile=5)
        torch.testing.assert_close(quick(y), network(y), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_loading_without_escnn():
    """Files of all kinds load without escnn."""
    for kind, make in NETWORKS.items():
        models.save(make(), f'{kind}.safetensors')
    script = f"""
import sys
sys.modules['escnn'] = None
from odl_equivariant import models
for kind in {list(NETWORKS)}:
    models.load(f'{{kind}}.safetensors')
assert 'escnn.nn' not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', ['fourier', 'norm', 'restricted'])
def test_damaged_bases(name):
    """A basis that is not equivariant is refused."""
    models.save(NETWORKS[name](), 'network.safetensors')
    with safetensors.safe_open('network.safetensors', 'pt') as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    key = next(key for key in tensors if key.startswith('bases.'))
    assert 'regular(' in key
    tensors[key][0] += 1e-6
    # as earlier versions wrote it, without a checksum that would be wrong
    text, _ = split_seal(metadata['odl_equivariant'])
    metadata = {'odl_equivariant': text}
    safetensors.torch.save_file(tensors, 'network.safetensors', metadata)
    with pytest.raises(ValueError, match='not equivariant'):
        models.load('network.safetensors')


def _plain():
    return to_convolutional(NETWORKS['norm']())


@pytest.mark.parametrize(
    'make, changes, match',
    [
        ('fourier', {'n_samples': 4 * 10**9}, 'at most 1024'),
        ('norm', {'max_frequency': 10**9}, 'smaller max_frequency'),
        ('fourier', {'n_residual_blocks': 10**9}, 'the file has 6'),
        ('fourier', {'nonlinearity': ['norm']}, 'one of fourier, norm'),
        ('fourier', {'representation': 'standard'}, 'in_channels=2, got 1'),
        ('fourier', {'group': 'SO2', 'channels': 15}, 'of shape'),
        ('fourier', {'restrict_to': 'C4'}, 'no basis is given of the 3 x 3'),
        ('restricted', {'restrict_to': 4}, 'unknown group 4'),
        ('restricted', {'restrict_after': 10**9}, 'at most 1'),
        ('vectors', {'representation': 'trivial'}, 'of shape'),
        (
            _plain,
            {
                'nonlinearity': {
                    'name': 'norm',
                    'group': 'O2',
                    'max_frequency': 10**9,
                }
            },
            'at most 100',
        ),
        (_plain, {'nonlinearity': {'name': 'norm'}}, 'must be None, for a'),
        (_plain, {'n_residual_blocks': 10**9}, 'the file has 8'),
    ],
)
def test_headers_that_are_refused(make, changes, match):
    """A header cannot make loading take long, or much memory."""
    module = make() if callable(make) else NETWORKS[make]()
    models.save(module, 'network.safetensors')
    with safetensors.safe_open('network.safetensors', 'pt') as file:
        header = json.loads(file.metadata()['odl_equivariant'])
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    header['architecture']['arguments'].update(changes)
    metadata = {'odl_equivariant': json.dumps(header)}
    safetensors.torch.save_file(tensors, 'network.safetensors', metadata)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f'(?s)cannot load .*{match}'):
        models.load('network.safetensors')
    assert time.perf_counter() - start < 5


@pytest.mark.slow
@pytest.mark.parametrize('name', ['gated', 'restricted'])
def test_program(name):
    """`torch.export` exports the whole network for any grid."""
    module = NETWORKS[name]().eval()
    axes = {
        0: torch.export.Dim('n_images'),
        2: torch.export.Dim('n_x'),
        3: torch.export.Dim('n_y'),
    }
    program = torch.export.export(
        module, tuple(inputs_of(module)), dynamic_shapes=(axes, axes, axes)
    ).module()
    inputs = inputs_of(module, (6, 7), 3)
    with torch.no_grad():
        found = torch.cat(program(*inputs), 1)
    torch.testing.assert_close(found, outputs_of(module, *inputs))


def test_copies(kind):
    """Copies, pickles and channels_last compute the same."""
    module = NETWORKS[kind]()
    inputs = inputs_of(module)
    expected = outputs_of(module, *inputs)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(outputs_of(other, *inputs), expected)
        other = other.to(memory_format=torch.channels_last)
        found = outputs_of(other, *inputs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['fourier', 'norm', 'gated'])
def test_onnx(name):
    """The file computes the same, on any grid."""
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    module = NETWORKS[name]()
    models.export_onnx(module, 'network.onnx')
    session = onnxruntime.InferenceSession('network.onnx')
    inputs = inputs_of(module, (12, 7), 3)
    names = ('x', 'gradient', 'memory')
    found = session.run(
        None, {k: x.numpy() for k, x in zip(names, inputs, strict=True)}
    )
    expected = outputs_of(module, *inputs).numpy()
    np.testing.assert_allclose(
        np.concatenate(found, 1), expected, rtol=1e-4, atol=1e-5
    )


# --- Errors --- #


@pytest.mark.parametrize(
    'arguments, match',
    [
        ({'group': 'SO2', 'channels': 8}, 'got 8; the nearest are 6 or 9'),
        (
            {'group': 'O2', 'channels': 7, 'max_frequency': 2},
            '10 channels of a field of O2 with max_frequency=2 .* are 10',
        ),
        (
            {'group': 'SO2', 'nonlinearity': 'pointwise'},
            "one of fourier, norm, gated, got 'pointwise'",
        ),
        (
            {'group': 'C4', 'nonlinearity': 'norm'},
            "finite group C4 takes nonlinearity='pointwise'.*SO2 and O2",
        ),
        ({'group': 'C4', 'max_frequency': 2}, '`max_frequency` is for SO2'),
        (
            {
                'group': 'SO2',
                'nonlinearity': 'gated',
                'kernel_size': 1,
                'representation': 'standard',
                'in_channels': 2,
            },
            'no gates at a single pixel: take kernel_size=3',
        ),
        ({'group': 'C4', 'n_samples': 8}, '`n_samples` is for SO2'),
        (
            {'group': 'SO2', 'max_frequency': 0},
            'max_frequency.*positive.*, got 0',
        ),
        ({'group': 'SO2', 'max_frequency': 1.5}, 'max_frequency.*whole num'),
        ({'group': 'SO2', 'n_samples': 6}, 'multiple of 4.* take 4'),
        (
            {'group': 'SO2', 'nonlinearity': 'norm', 'n_samples': 8},
            "`n_samples` is for nonlinearity='fourier'",
        ),
        (
            {'group': 'SO2', 'max_frequency': 32, 'channels': 65},
            'take a smaller max_frequency or kernel',
        ),
        (
            {'group': 'C4', 'restrict_to': 'C3'},
            'C3 is no subgroup of C4.* C1, C2, C4$',
        ),
        (
            {'group': 'SO2', 'restrict_to': 'D4'},
            r'D4 is no subgroup of SO2.* C1, C2, C3, C4, \.\.\.$',
        ),
        ({'group': 'D2', 'restrict_to': 'C4'}, 'are C1, C2, D1, D2'),
        ({'group': 'C4', 'restrict_to': 'c2'}, "unknown group 'c2'"),
        (
            {'group': 'C4', 'restrict_to': 'C2', 'restrict_after': 2},
            'restrict_after.* at most 1, got 2',
        ),
        (
            {'group': 'C4', 'restrict_to': 'C2', 'restrict_after': -1},
            'restrict_after.*at least 0, got -1',
        ),
        (
            {'group': 'D4', 'restrict_after': 1},
            'restrict_after=1 needs a group .* C1, C2, C4, D1, D2, D4',
        ),
    ],
)
def test_arguments_that_do_not_fit(arguments, match):
    """The error says which arguments would fit."""
    error = TypeError if 1.5 in arguments.values() else ValueError
    with pytest.raises(error, match=match):
        EquivariantProximal(**{'channels': 24, **arguments})


def test_spellings():
    """Both spellings of the name of a group are equal."""
    for name in ('SO2', 'O2'):
        other = f'{name[:-1]}(2)'
        module = EquivariantProximal(channels=12, group=other)
        assert module.group == name
        assert module.architecture['arguments']['group'] == name
    numbers = EquivariantProximal(
        channels=10, group='SO2', max_frequency=np.int64(2)
    )
    json.dumps(numbers.architecture)


def test_finite_groups_have_the_architecture_of_before():
    """Finite groups have no new arguments in their architecture."""
    arguments = EquivariantProximal(channels=8).architecture['arguments']
    assert list(arguments) == [
        'in_channels',
        'channels',
        'group',
        'memory',
        'gradient',
        'noise_level',
        'n_residual_blocks',
        'skip',
        'kernel_size',
        'padding_mode',
        'negative_slope',
    ]
    plain = OrdinaryProximal(channels=8).architecture['arguments']
    assert set(plain) == set(arguments) - {'group'}
