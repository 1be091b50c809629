# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the proximal of a total variation by splitting."""

import numpy as np
import odl
import pytest
import scipy.fft
import torch

from odl_equivariant.functionals import (
    InvariantTotalVariation,
    _variation_dual,
)
from odl_equivariant.functionals._stencils import Stencils
from odl_equivariant.functionals.splitting import variation as splitting
from odl_equivariant.functionals.splitting.trigonometric import (
    Laplacian,
    cosine_transform,
    inverse_cosine_transform,
)

each_pad_mode = pytest.mark.parametrize('pad_mode', ['symmetric', 'periodic'])
each_shape = pytest.mark.parametrize(
    'shape', [(6, 6), (7, 5), (9,), (3, 4, 5), (1, 4), (1,)]
)


def stencils_of(shape, pad_mode='symmetric', dtype='float64'):
    """Return the stencils of a grid with cells of side 0.5."""
    sides = [0.5 * n for n in shape]
    space = odl.uniform_discr([0] * len(shape), sides, shape, dtype=dtype)
    return Stencils(space, pad_mode)


def noisy_blocks(shape=(32, 32), batch=1, dtype=torch.double):
    """Return noisy images of a square."""
    x = torch.zeros(batch, 1, *shape)
    x[..., shape[0] // 4 : shape[0] // 2, shape[1] // 3 :] = 1
    return (x + 0.1 * torch.randn(x.shape)).to(dtype)


@each_shape
def test_cosine_transform_is_that_of_scipy(shape):
    """Half of scipy's for each axis; the inverse gives the image back."""
    x = torch.randn(2, 1, *shape, dtype=torch.double)
    axes = tuple(range(-len(shape), 0))
    y = cosine_transform(x, axes)
    expected = scipy.fft.dctn(x.numpy(), axes=axes) / 2 ** len(shape)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
    torch.testing.assert_close(inverse_cosine_transform(y, axes), x)


@each_shape
@each_pad_mode
@pytest.mark.parametrize('dtype', [torch.double, torch.complex128])
def test_the_linear_system_is_solved(shape, pad_mode, dtype):
    """``u + rho K^* K u`` is what was given, for one penalty per image."""
    stencils = stencils_of(shape, pad_mode)
    u = torch.randn(2, 1, *shape, dtype=dtype)
    rho = torch.tensor([0.3, 20.0]).double().reshape(2, 1, *[1] * len(shape))
    right = u + rho * stencils.adjoint(stencils.differences(u))
    solved = Laplacian(stencils, u).solve(right, rho)
    torch.testing.assert_close(solved, u)


def test_both_ways_of_the_cosine_transform_solve_it():
    """Without scipy, as on a GPU, the solution is the same."""
    stencils, right = stencils_of((7, 8)), torch.randn(2, 1, 7, 8)
    laplacian, axes = Laplacian(stencils, right), (-2, -1)
    values = 1 + 3.0 * laplacian.values
    other = cosine_transform(right, axes) / values
    torch.testing.assert_close(
        inverse_cosine_transform(other, axes),
        laplacian.solve(right, torch.full((2, 1, 1, 1), 3.0)),
    )


@each_pad_mode
@pytest.mark.parametrize('sigma', [0.01, 0.1, 3.0])
@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.double, torch.complex64]
)
def test_both_solvers_agree(pad_mode, sigma, dtype):
    """They come to the same minimiser, within the bound of both."""
    stencils = stencils_of((16, 17), pad_mode)
    noisy = noisy_blocks((16, 17), dtype=dtype)
    tol = 1e-3
    first, _, bound, _ = splitting.denoise(stencils, noisy, sigma, tol, 2000)
    second, *_ = _variation_dual.denoise(stencils, noisy, sigma, 1e-5, 9999)
    assert first.dtype == second.dtype
    assert bound <= tol
    assert (first - second).norm() <= (bound + 1e-5) * noisy.norm()


def test_fewer_iterations_than_accelerated_gradients():
    """At the default tolerance, a fourth of them are enough."""
    space = odl.uniform_discr([0, 0], [64, 64], (64, 64), dtype='float32')
    prox = InvariantTotalVariation(space).proximal(0.1)
    prox(space.element(noisy_blocks((64, 64))[0, 0].numpy()))
    assert prox.n_iter <= 60


def test_single_precision_that_is_not_enough_becomes_double():
    """Large parameters make large penalties, which rounding would stop."""
    stencils = stencils_of((48, 48))
    noisy = noisy_blocks((48, 48), dtype=torch.float32)
    for sigma in (1.0, 10.0, 1e3):
        _, (v, _), bound, n_iter = splitting.denoise(
            stencils, noisy, sigma, 1e-3, 1000
        )
        assert bound <= 1e-3 and n_iter < 1000
    assert v.dtype == torch.double


@pytest.mark.parametrize('size', [1e-30, 1e30])
def test_extreme_sizes_in_single_precision(size):
    """Squares that single precision lacks change nothing."""
    stencils, noisy = stencils_of((16, 16)), noisy_blocks((16, 16))
    expected, *_ = splitting.denoise(stencils, noisy, 0.1, 1e-3, 1000)
    scaled = (size * noisy).float()
    result, *_ = splitting.denoise(stencils, scaled, 0.1 * size, 1e-3, 1000)
    assert (result / size - expected).norm() < 2e-3 * noisy.norm()


def test_each_image_of_a_batch_has_its_own_penalty():
    """A batch of images of different size is as exact as each alone."""
    stencils, noisy = stencils_of((16, 16)), noisy_blocks((16, 16), 3)
    noisy[1] *= 30
    noisy[2] = 4.0
    batch, *_ = splitting.denoise(stencils, noisy, 0.1, 1e-4, 2000)
    for image, one in zip(noisy, batch, strict=True):
        alone, *_ = splitting.denoise(stencils, image[None], 0.1, 1e-4, 2000)
        assert (one - alone[0]).norm() <= 2e-4 * image.norm()


def test_a_warm_start_takes_no_iteration_at_the_same_image():
    """The state of the end is where the same problem is solved."""
    stencils, noisy = stencils_of((16, 16)), noisy_blocks((16, 16))
    u, state, _, n_iter = splitting.denoise(stencils, noisy, 0.1, 1e-3, 1000)
    assert n_iter > 0
    again, _, bound, n_iter = splitting.denoise(
        stencils, noisy, 0.1, 2e-3, 1000, state
    )
    assert bound <= 2e-3 and n_iter <= 5
    assert (again - u).norm() <= 4e-3 * noisy.norm()
