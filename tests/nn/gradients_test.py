# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the gradients of convolutions."""

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.nn import functional

from odl_equivariant.nn import MultiscaleDenoiser, _gradients

size = simple_fixture('size', [1, 3, 5])
shape = simple_fixture('shape', [(1, 50, 41), (3, 30, 37), (1, 3, 2100)])


@pytest.fixture(autouse=True)
def older(monkeypatch):
    """A processor without AVX-512."""
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: True)


def tensors(size, shape, dtype=torch.float32):
    """Return images with channels last, kernel and bias."""
    n, *sides = shape
    x = torch.randn(n, 40, *(side + size - 1 for side in sides), dtype=dtype)
    weight = torch.randn(33, 40, size, size, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    return [
        t.requires_grad_() for t in (x, weight, torch.randn(33, dtype=dtype))
    ]


def test_gradients_as_products(size, shape):
    """Sums of products are the gradients of torch, to rounding."""
    given = tensors(size, shape)
    y = _gradients.convolution(*given)
    assert isinstance(y.grad_fn, _gradients._Convolution._backward_cls)
    exact = [t.detach().double().requires_grad_() for t in given]
    expected = functional.conv2d(*exact)
    direction = torch.randn_like(y)
    for one, other in zip(
        torch.autograd.grad(y, given, direction),
        torch.autograd.grad(expected, exact, direction.double()),
        strict=True,
    ):
        assert (one - other).norm() < 2e-6 * other.norm()


def test_second_derivatives():
    """Derivatives of second order are those of torch."""
    given = tensors(3, (1, 42, 40))
    found = []
    for convolve in (_gradients.convolution, functional.conv2d):
        y = convolve(*given).square().sum() / 1e3
        first = torch.autograd.grad(y, given, create_graph=True)
        total = sum(g.square().sum() for g in first)
        found.append(torch.autograd.grad(total, given))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 1e-5 * other.norm()


def test_newer_processors_and_few_channels(monkeypatch):
    """Where oneDNN is fast, torch computes the gradient."""
    given = tensors(3, (1, 42, 40))
    narrow = [t.detach()[:, :8].requires_grad_() for t in given[:2]]
    y = _gradients.convolution(*narrow, given[2])
    assert not isinstance(y.grad_fn, _gradients._Convolution._backward_cls)
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: False)
    y = _gradients.convolution(*given)
    assert not isinstance(y.grad_fn, _gradients._Convolution._backward_cls)


def test_networks_of_several_scales(monkeypatch):
    """They have the same gradients with either way."""
    module = MultiscaleDenoiser(None, channels=32, n_scales=2, n_blocks=1)
    x = torch.randn(1, 1, 48, 44)
    weights = list(module.parameters())
    found = []
    for way in (True, False):
        monkeypatch.setattr(
            _gradients, 'is_older_processor', lambda way=way: way
        )
        loss = module(x, sigma=0.1).square().sum()
        found.append(torch.autograd.grad(loss, weights))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()
    assert any(not torch.equal(*pair) for pair in zip(*found, strict=True))
