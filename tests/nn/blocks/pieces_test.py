# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of networks that are computed, and differentiated, piece by piece."""

import copy

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.nn import EquivariantProximal, OrdinaryProximal
from odl_equivariant.nn.blocks import derivative
from odl_equivariant.nn.blocks import pieces as _pieces
from odl_equivariant.operators.network import _load_forward_mode

block = simple_fixture('block', [EquivariantProximal, OrdinaryProximal])
mode = simple_fixture('mode', ['replicate', 'reflect', 'zeros', 'circular'])
pieces = simple_fixture('pieces', [False, True])


def network(block, mode='replicate', **kwargs):
    """Return a proximal with random weights in float64."""
    module = block(
        channels=8, memory=2, padding_mode=mode, n_residual_blocks=2, **kwargs
    ).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def inputs(n=2, shape=(23, 17)):
    """Return an image, a gradient and a memory."""
    return [
        torch.randn(n, c, *shape, dtype=torch.float64, requires_grad=True)
        for c in (1, 1, 2)
    ]


def results(module, tensors):
    """Return outputs, and gradients of inputs and weights."""
    outputs = module(*tensors)
    loss = sum(output.square().sum() for output in outputs)
    return [
        *outputs,
        *torch.autograd.grad(loss, [*tensors, *module.parameters()]),
    ]


def test_training_in_pieces(block, mode, monkeypatch):
    """Outputs and gradients are the same as for the whole image."""
    module, tensors = network(block, mode), inputs()
    sides = []
    evaluate = derivative.evaluate

    def counted(*args):
        sides.append(args[4])
        return evaluate(*args)

    monkeypatch.setattr(derivative, 'evaluate', counted)
    expected = results(module, tensors)
    assert not sides
    monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 8)
    for one, other in zip(results(module, tensors), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert sides == [8]


def test_frozen_layers_in_pieces(block, monkeypatch):
    """If some weights are frozen, the gradients of the others are the same."""
    module, tensors = network(block), [x.detach() for x in inputs()]
    for parameter in module.lift.parameters():
        parameter.requires_grad_(False)
    module.residual[0].requires_grad_(False)
    trained = [p for p in module.parameters() if p.requires_grad]

    def gradients():
        loss = sum(output.square().sum() for output in module(*tensors))
        return torch.autograd.grad(loss, trained)

    expected = gradients()
    monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 8)
    for one, other in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_inputs_are_left_alone(block, pieces, monkeypatch):
    """No input is changed, with and without gradients."""
    if pieces:
        monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 8)
    module, tensors = network(block), inputs()
    before, weights = copy.deepcopy(tensors), copy.deepcopy(module)
    with torch.no_grad():
        module(*tensors)
    results(module, tensors)
    for one, other in zip(tensors, before, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(
        module.parameters(), weights.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_autocast_in_pieces(block, monkeypatch):
    """Under autocast, the result is in float32, and close."""
    module = network(block).float()
    tensors = [x.detach().float().requires_grad_() for x in inputs()]
    expected = results(module, tensors)
    monkeypatch.setattr(_pieces, 'side_for_cache', lambda *args: 8)
    with torch.autocast('cpu', torch.bfloat16):
        lowered = module(*tensors)
    loss = sum(output.square().sum() for output in lowered)
    weights = list(module.parameters())
    lowered = [*lowered, *torch.autograd.grad(loss, [*tensors, *weights])]
    for one, other in zip(lowered, expected, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() < 0.1 * other.norm()


@pytest.mark.parametrize('mode', ['replicate', 'reflect'])
@pytest.mark.parametrize('widths', [[1, 0, 2, 1], [0, 0, 0, 2], [1, 1, 1, 1]])
@pytest.mark.parametrize('last', [False, True])
def test_padding(mode, widths, last):
    """Padding is torch's, with derivatives of any order in both modes."""
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    if last:
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_()

    def padded(x):
        return _pieces._padded(x, widths, mode)

    _load_forward_mode()
    expected = torch.nn.functional.pad(x, widths, mode=mode)
    assert torch.equal(padded(x), expected)
    assert padded(x).is_contiguous(memory_format=torch.channels_last) == last
    assert gradcheck(padded, x, check_forward_ad=True)
    assert gradgradcheck(padded, x)


@pytest.mark.parametrize(
    'size, sharing, expected',
    [
        ('32768K', '3', 8),  # two processors share it
        ('24M', '00000000,000000ff', 4),
        ('12M', '1', 6),
        ('', '1', 4),
        ('many', 'all', 4),
    ],
)
def test_pieces_fill_half_of_the_cache(
    tmp_path, monkeypatch, size, sharing, expected
):
    """They take 4 to 8 MiB of a thread's share, and 4 where it is unknown."""
    for n, content in ((0, ('32K', '1')), (3, (size, sharing))):
        folder = tmp_path / f'index{n}'
        folder.mkdir()
        for name, text in zip(
            ('size', 'shared_cpu_map'), content, strict=True
        ):
            (folder / name).write_text(text + '\n', 'ascii')
    monkeypatch.setattr(_pieces, '_CACHES', tmp_path)
    assert _pieces._cache_per_thread() == expected * 2**20
    monkeypatch.setattr(_pieces, '_CACHES', tmp_path / 'missing')
    assert _pieces._cache_per_thread() == 4 * 2**20
