# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of convolutions by minimal filtering."""

import itertools

import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.nn import functional

from odl_equivariant.nn import EquivariantProximal, _gradients, _winograd
from odl_equivariant.nn.blocks import execution

shape = simple_fixture(
    'shape', [(1, 3, 3), (2, 4, 9), (1, 11, 6), (3, 18, 18), (1, 7, 700)]
)
order = simple_fixture('order', [torch.contiguous_format, torch.channels_last])


def tensors(shape, dtype=torch.float64, channels=(5, 3)):
    """Return images, a kernel, a bias, and a direction of the result."""
    torch.manual_seed(0)
    n, *sides = shape
    n_in, n_out = channels
    return (
        torch.randn(n, n_in, *sides, dtype=dtype),
        torch.randn(n_out, n_in, 3, 3, dtype=dtype),
        torch.randn(n_out, dtype=dtype),
        torch.randn(n, n_out, *(side - 2 for side in sides), dtype=dtype),
    )


def error(found, expected):
    """Return a relative error."""
    return float((found - expected).norm() / expected.norm())


def test_is_a_convolution(shape, order):
    """Results and gradients are those of torch, for sides of all kinds."""
    x, weight, bias, direction = tensors(shape)
    x = x.to(memory_format=order).requires_grad_()
    weight.requires_grad_()
    y = functional.conv2d(x, weight, bias)
    by_x, by_weight = torch.autograd.grad(y, (x, weight), direction)
    with torch.no_grad():
        assert error(_winograd.convolution(x, weight, bias), y) < 1e-12
        assert (
            error(
                _winograd.convolution(x, weight, None) - y,
                -bias[:, None, None].expand_as(y),
            )
            < 1e-12
        )
        assert error(_winograd.by_image(direction, weight), by_x) < 1e-12
        assert error(_winograd.by_kernel(direction, x), by_weight) < 1e-12


def test_is_adjoint_to_its_gradients(shape):
    """Both gradients are the adjoints of the linear maps, exactly."""
    x, weight, _, direction = tensors(shape)
    y = (_winograd.convolution(x, weight, None) * direction).sum()
    for part, gradient in (
        (x, _winograd.by_image(direction, weight)),
        (weight, _winograd.by_kernel(direction, x)),
    ):
        assert float((part * gradient).sum()) == pytest.approx(float(y))


def test_rounding():
    """In float32, the error is a few times that of the direct sum."""
    x, weight, bias, direction = tensors((1, 66, 66), torch.float32, (64, 64))
    exact = [part.double() for part in (x, weight, bias, direction)]
    expected = functional.conv2d(*exact[:3])
    assert error(_winograd.convolution(x, weight, bias), expected) < 3e-6
    by_weight = _winograd.by_kernel(exact[3], exact[0])
    assert error(_winograd.by_kernel(direction, x), by_weight) < 3e-6


def test_parts_of_arrays():
    """Arrays with gaps between their rows are read as they are."""
    x, weight, bias, direction = tensors((2, 30, 31))
    x = x.to(memory_format=torch.channels_last)[:, :, 3:-4, 5:-2]
    direction = direction[:, :, 3:-4, 5:-2]
    expected = _winograd.convolution(x.contiguous(), weight, bias)
    assert error(_winograd.convolution(x, weight, bias), expected) < 1e-14
    expected = _winograd.by_kernel(direction.contiguous(), x.contiguous())
    assert error(_winograd.by_kernel(direction, x), expected) < 1e-14


@pytest.fixture
def taken(monkeypatch):
    """A processor without AVX-512, and the ways that are taken there."""
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: True)
    calls = []
    for name in ('convolution', 'by_image', 'by_kernel'):
        function = getattr(_winograd, name)

        def noted(*args, name=name, function=function):
            calls.append(name)
            return function(*args)

        monkeypatch.setattr(_winograd, name, noted)
    return calls


def many(side=70, channels=64, dtype=torch.float32):
    """Return what is filtered on a processor without AVX-512."""
    x, weight, bias, _ = tensors((1, side, side), dtype, 2 * (channels,))
    return x.to(memory_format=torch.channels_last), weight, bias


@pytest.mark.parametrize(
    'wanted', list(itertools.product([False, True], repeat=3))
)
def test_gradients_that_are_wanted(taken, wanted):
    """No more is computed than asked for."""
    x, weight, _ = many()
    direction = torch.randn(1, 64, 68, 68)
    found = _gradients.convolution_backward(direction, x, weight, wanted)
    expected = torch.ops.aten.convolution_backward(
        direction, x, weight, [64], *_gradients._ORDINARY[2], wanted
    )
    for one, other, is_wanted in zip(found, expected, wanted, strict=True):
        assert (one is not None) == is_wanted
        if is_wanted:
            assert error(one, other) < 1e-5
    names = {'by_image': wanted[0], 'by_kernel': wanted[1]}
    assert taken == [name for name, is_wanted in names.items() if is_wanted]


def test_where_it_is_taken(taken, monkeypatch):
    """Small images, few channels and other precisions are left to torch."""
    for given in (
        many(side=60),
        many(channels=48),
        [
            torch.cat(9 * [many(side=24)[0]]).contiguous(
                memory_format=torch.channels_last
            ),
            *many()[1:],
        ],
        many(dtype=torch.float64),
        [part.contiguous() for part in many()],
    ):
        _gradients.convolution(*given)
    assert not taken
    given = many()
    with torch.autocast('cpu', torch.bfloat16):
        given[1].requires_grad_()
        y = _gradients.convolution(*given)
        assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert given[1].grad.dtype == torch.float32
    given[1].requires_grad_(False)
    with torch.autocast('cpu', torch.bfloat16):
        assert _gradients.convolution(*given).dtype == torch.bfloat16
    torch.func.vmap(lambda x: _gradients.convolution(x, *given[1:]))(
        given[0][None]
    )
    _gradients.convolution(given[0].requires_grad_(), *given[1:])
    assert not taken
    _gradients.convolution(given[0].detach(), *given[1:])
    assert taken == ['convolution']
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: False)
    _gradients.convolution(given[0].detach(), *given[1:])
    assert taken == ['convolution']


@pytest.mark.parametrize('has_gradient', [False, True])
def test_block(taken, has_gradient, monkeypatch):
    """A block gives the same, with gradients, turned too."""
    torch.manual_seed(0)
    block = EquivariantProximal(channels=64, basis='grid', memory=0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    block.requires_grad_(has_gradient)
    x = torch.randn(1, 1, 71, 80)

    def results(x):
        y = block(x, 0.1 * x)
        if not has_gradient:
            return [y]
        loss = y.square().mean()
        return [y.detach(), *torch.autograd.grad(loss, block.parameters())]

    found = results(x)
    assert set(taken) == (
        {'convolution', 'by_image', 'by_kernel'}
        if has_gradient
        else {'convolution'}
    )
    turned = results(torch.rot90(x, 1, (2, 3)))
    turned[0] = torch.rot90(turned[0], -1, (2, 3))
    monkeypatch.setattr(_gradients, 'is_older_processor', lambda: False)
    expected = results(x)
    for one, two, other in zip(found, turned, expected, strict=True):
        assert error(one, other) < 1e-5
        assert error(two, other) < 1e-5


def test_pieces_are_large_enough():
    """Images of the sizes in use have pieces that are filtered."""
    side = execution.pieces.side_for_cache(96, torch.float32)
    assert side**2 > _gradients._CELLS_FOR_TILES
