# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the conjugate gradients in learned half-quadratic splitting."""

import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.nn.unrolled.conjugate_gradient import implicit_gradient

dtype = simple_fixture('dtype', [torch.float32, torch.float64])
SHAPE = (2, 3, 3)
SIZE = 18


def operator(dtype, weights=None, rank=SIZE, seed=0):
    """Return a matrix and a map, self-adjoint in an inner product."""
    rng = torch.Generator().manual_seed(seed)
    factor = torch.randn(rank, SIZE, generator=rng, dtype=torch.float64) / 4
    matrix = factor.T @ factor
    if weights is not None:
        matrix = matrix / weights.reshape(-1, 1)
    matrix = matrix.to(dtype)
    return matrix, lambda x: (x.flatten(1) @ matrix.T).reshape(x.shape)


def images(dtype, n=3, seed=1):
    """Return a batch of random images."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, *SHAPE, generator=rng, dtype=torch.float64).to(dtype)


def solved(matrix, right, step):
    """Return dense solutions, in double precision."""
    eye = torch.eye(SIZE, dtype=torch.float64)
    return torch.stack(
        [
            torch.linalg.solve(
                eye + float(own) * matrix.double(), one.double().flatten()
            ).reshape(SHAPE)
            for one, own in zip(right, step.flatten(), strict=True)
        ]
    )


def gap(found, expected):
    """Return a relative difference."""
    return float((found - expected).norm() / expected.norm())


def test_a_dense_solve(dtype):
    """Enough iterations solve the system, with a step for each sample."""
    matrix, normal = operator(dtype)
    right = images(dtype)
    step = torch.tensor([0.1, 1.0, 7.0], dtype=dtype).reshape(3, 1, 1, 1)
    found = implicit_gradient(normal, right, step, 2 * SIZE)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert gap(found, solved(matrix, right, step)) <= tolerance


def test_one_step_for_all():
    """A number is the step of each sample."""
    _, normal = operator(torch.float64)
    right = images(torch.float64)
    steps = torch.full((3, 1, 1, 1), 0.7, dtype=torch.float64)
    one, other = (
        implicit_gradient(normal, right, step, 4) for step in (0.7, steps)
    )
    assert gap(one, other) <= 1e-14


def test_complex_images():
    """Real and imaginary parts are channels of one system."""
    rng = torch.Generator().manual_seed(0)
    options = {'generator': rng, 'dtype': torch.complex128}
    factor = torch.randn(9, 9, **options) / 3
    matrix = factor.mH @ factor
    right = torch.randn(2, 9, **options)

    def channels(x):
        parts = torch.view_as_real(x).movedim(-1, 1)
        return parts.reshape(-1, 2, 3, 3)

    def normal(x):
        x = torch.complex(x[:, 0], x[:, 1]).flatten(1)
        return channels(x @ matrix.T)

    found = implicit_gradient(normal, channels(right), 2.0, 20)
    expected = torch.linalg.solve(
        torch.eye(9) + 2 * matrix, right.T, left=True
    ).T
    assert gap(found, channels(expected)) <= 1e-12


def test_weights_of_the_inner_product():
    """Each iterate is the best of its Krylov space, in this inner product."""
    rng = torch.Generator().manual_seed(2)
    weights = torch.rand(SHAPE, generator=rng, dtype=torch.float64) + 0.1
    matrix, normal = operator(torch.float64, weights)
    right = images(torch.float64, 1)
    step = torch.full((1,), 2.0, dtype=torch.float64)
    found = implicit_gradient(normal, right, 2.0, 3, weights)
    system = torch.eye(SIZE, dtype=torch.float64) + 2 * matrix
    powers = [right.flatten()]
    for _ in range(2):
        powers.append(system @ powers[-1])
    basis = torch.linalg.qr(torch.stack(powers, 1))[0]
    scaled = basis.T * weights.flatten()
    expected = basis @ torch.linalg.solve(
        scaled @ system @ basis, scaled @ right.flatten()
    )
    assert gap(found.flatten(), expected) <= 1e-10
    solution = implicit_gradient(normal, right, 2.0, 2 * SIZE, weights)
    assert gap(solution, solved(matrix, right, step)) <= 1e-10


def test_few_iterations_come_closer():
    """The error in the norm of the system falls with each iteration."""
    matrix, normal = operator(torch.float64)
    right = images(torch.float64, 1)
    step = torch.full((1,), 5.0, dtype=torch.float64)
    expected = solved(matrix, right, step)
    errors = []
    for n in range(1, 7):
        error = implicit_gradient(normal, right, 5.0, n) - expected
        errors.append(float((error * (error + 5 * normal(error))).sum()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize('scale', [0.0, 1e-25, 1.0, 1e25])
@pytest.mark.parametrize('rank', [1, SIZE])
def test_more_iterations_than_needed(dtype, scale, rank):
    """A solution that was found stays, and has finite derivatives."""
    matrix, normal = operator(dtype, rank=rank)
    right = images(dtype)
    # one sample is solved, or zero, and the others are not yet
    right[0] = scale * normal(right[:1])[0]
    right[1] = 0
    right = right.requires_grad_()
    step = torch.ones(3, 1, 1, 1, dtype=dtype, requires_grad=True)
    found = implicit_gradient(normal, right, step, 60)
    expected = solved(matrix, right.detach(), step.detach())
    for one, other in zip(found.detach(), expected, strict=True):
        size = float(other.norm())
        assert float((one.double() - other).norm()) <= 1e-5 * size
    assert not found[1].any()
    found.sum().backward()
    assert right.grad.isfinite().all() and step.grad.isfinite().all()


@pytest.mark.parametrize('n_iterations', [1, 2, 4])
def test_derivatives(n_iterations):
    """They agree with difference quotients, for gradient and step."""
    rng = torch.Generator().manual_seed(2)
    weights = torch.rand(SHAPE, generator=rng, dtype=torch.float64) + 0.1
    _, normal = operator(torch.float64, weights)
    right = images(torch.float64, 2).requires_grad_()
    step = torch.tensor([0.5, 2.0], dtype=torch.float64)
    step = step.reshape(2, 1, 1, 1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda right, step: implicit_gradient(
            normal, right, step, n_iterations, weights
        ),
        (right, step),
    )


def test_derivative_of_the_solution():
    """At convergence, it is the inverse, applied to the direction."""
    matrix, normal = operator(torch.float64, rank=2)
    right = images(torch.float64, 1).requires_grad_()
    direction = images(torch.float64, 1, seed=5)
    step = torch.full((1,), 3.0, dtype=torch.float64)
    found = implicit_gradient(normal, right, 3.0, 3)
    (found * direction).sum().backward()
    assert gap(right.grad, solved(matrix, direction, step)) <= 1e-10


def test_an_empty_batch():
    """No gradients have no solutions."""
    _, normal = operator(torch.float64)
    empty = torch.zeros(0, *SHAPE, dtype=torch.float64)
    assert implicit_gradient(normal, empty, 1.0, 3).shape == (0, *SHAPE)
