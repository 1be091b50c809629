# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Operator norms of convolutions against singular values of their matrices."""

import math

import pytest
import torch
from torch.nn import functional

from odl_equivariant.nn import convolution_norm

KERNELS = [
    ((2, 3, 3), (7,)),
    ((3, 1, 5), (8,)),
    ((3, 2, 3, 3), (6, 5)),
    ((1, 2, 5, 3), (5, 6)),
    ((2, 1, 3, 1, 3), (3, 4, 5)),
]
each_kernel = pytest.mark.parametrize('sizes, shape', KERNELS)


def random_kernel(sizes, dtype=torch.float64, seed=0):
    """Return a normally distributed kernel."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sizes, dtype=dtype, generator=generator)


def convolve(x, kernel, padding_mode):
    """Convolve as torch does, with one of its padding modes or with none."""
    conv = (functional.conv1d, functional.conv2d, functional.conv3d)
    sides = kernel.shape[2:]
    if padding_mode != 'valid':
        widths = [r for side in reversed(sides) for r in 2 * (side // 2,)]
        mode = 'constant' if padding_mode == 'zeros' else padding_mode
        x = functional.pad(x, widths, mode)
    return conv[len(sides) - 1](x, kernel)


def exact_norm(kernel, shape, padding_mode):
    """Return the largest singular value of the matrix of a convolution."""
    n = kernel.shape[1] * math.prod(shape)
    basis = torch.eye(n, dtype=kernel.dtype)
    basis = basis.reshape(n, kernel.shape[1], *shape)
    matrix = convolve(basis, kernel, padding_mode).flatten(1)
    return float(torch.linalg.matrix_norm(matrix, 2))


@each_kernel
@pytest.mark.parametrize('dtype', [torch.float64, torch.complex128])
def test_periodic_norm_is_exact(sizes, shape, dtype):
    """The largest singular value of all symbols is that of the matrix."""
    kernel = random_kernel(sizes, dtype)
    expected = exact_norm(kernel, shape, 'circular')
    norm = float(convolution_norm(kernel, shape))
    assert norm == pytest.approx(expected, rel=1e-12)


@each_kernel
@pytest.mark.parametrize(
    'padding_mode, looseness',
    [('zeros', 1.4), ('valid', 1.9), ('replicate', 2.5), ('reflect', 3)],
)
def test_other_paddings_are_bounded(sizes, shape, padding_mode, looseness):
    """The bound is above the norm, by the factor that repeated cells give."""
    for seed in range(5):
        kernel = random_kernel(sizes, seed=seed)
        exact = exact_norm(kernel, shape, padding_mode)
        bound = float(convolution_norm(kernel, shape, padding_mode))
        assert exact * (1 - 1e-12) <= bound <= exact * looseness


@pytest.mark.parametrize('padding_mode', ['replicate', 'reflect'])
def test_bound_holds_where_cells_are_repeated_most(padding_mode):
    """Kernels that sum the repeated cells come close to the bound."""
    kernel = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    exact = exact_norm(kernel, (5,), padding_mode)
    bound = float(convolution_norm(kernel, (5,), padding_mode))
    assert exact == pytest.approx(math.sqrt(2), rel=1e-12)
    assert bound == pytest.approx(exact, rel=1e-12)


@each_kernel
def test_bound_for_every_shape(sizes, shape):
    """It is above the norm on each grid, and close to it on large ones."""
    kernel = random_kernel(sizes)
    bound = float(convolution_norm(kernel))
    norms = [
        float(convolution_norm(kernel, [n + k for n in shape]))
        for k in range(20)
    ]
    assert max(norms) <= bound
    large = float(convolution_norm(kernel, [16 * n for n in sizes[2:]]))
    assert bound <= 1.03 * large
    for mode in ('zeros', 'valid', 'replicate', 'reflect'):
        exact = exact_norm(kernel, shape, mode)
        assert exact <= float(convolution_norm(kernel, None, mode))


def test_bound_for_every_shape_needs_its_factor():
    """Between the samples, a symbol is larger than at all of them."""
    r, n = 3, 2 * 64 * 3
    x = torch.arange(-r, r + 1, dtype=torch.float64)
    kernel = torch.exp(-1j * x * math.pi / n)[None, None]
    at_samples = float(convolution_norm(kernel, (n,)))
    true = float(convolution_norm(kernel, (2 * n,)))
    bound = float(convolution_norm(kernel))
    assert at_samples < true <= bound


def test_gradient():
    """The derivative is the outer product of the singular vectors."""
    kernel = random_kernel((2, 2, 3, 3)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda k: convolution_norm(k, (6, 5)), kernel
    )
    zero = torch.zeros(2, 1, 3, requires_grad=True)
    norm = convolution_norm(zero, (4,))
    norm.backward()
    assert norm == 0
    assert torch.equal(zero.grad, torch.zeros_like(zero))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_lower_precision(dtype):
    """The norm is that of the rounded kernel, in double precision."""
    kernel = random_kernel((3, 2, 3, 3)).to(dtype)
    norm = convolution_norm(kernel, (6, 6))
    assert norm.dtype == torch.float64
    assert norm == convolution_norm(kernel.double(), (6, 6))


def test_bad_arguments_are_refused():
    """Kernels are finite and odd, and fit on the image."""
    kernel = random_kernel((1, 1, 3, 3))
    with pytest.raises(TypeError, match='floating-point or complex'):
        convolution_norm(torch.ones(1, 1, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match='got list'):
        convolution_norm([[[1.0]]])
    with pytest.raises(ValueError, match='one, two or three sides'):
        convolution_norm(kernel[0, 0])
    with pytest.raises(ValueError, match='must be odd'):
        convolution_norm(kernel[..., :2])
    with pytest.raises(ValueError, match='NaN or infinity'):
        convolution_norm(kernel * math.nan)
    with pytest.raises(ValueError, match='smaller than the kernel'):
        convolution_norm(kernel, (8, 2))
    with pytest.raises(ValueError, match='must be 2 whole numbers'):
        convolution_norm(kernel, (8,))
    with pytest.raises(ValueError, match="one of 'circular', 'zeros'"):
        convolution_norm(kernel, (8, 8), 'same')
