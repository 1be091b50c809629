# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the normal operator of a non-uniform transform."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import (
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.operators import (
    NonUniformFourierTransform,
    NonUniformNormalOperator,
    OperatorLayer,
    operator_norm,
)

pytest.importorskip('finufft')

dtype = simple_fixture('dtype', ['complex128', 'complex64', 'float64'])
case = simple_fixture('case', [(6, 5), (7,), (8,), (3, 4, 5), 'coils'])


def operators(case, dtype, backend, weighted=True):
    """Return a transform, its weights, and its normal operator."""
    shape = (6, 5) if case == 'coils' else case
    n = len(shape)
    space = odl.uniform_discr(
        [-1, 0, 2][:n], [1, 0.3, 5][:n], shape, dtype=dtype, impl=backend
    )
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (4, 3, n)) * np.pi / space.cell_sides
    if case == 'coils':
        space = odl.ProductSpace(space, 2, weighting=[1.0, 3.0])
    transform = NonUniformFourierTransform(space, points)
    weights = rng.random((4, 3)) if weighted else None
    return transform, weights, NonUniformNormalOperator(transform, weights)


@pytest.mark.parametrize('weighted', [True, False])
def test_it_is_the_normal_operator(case, dtype, backend, weighted, rng):
    """It is the transform, the weights and the adjoint after each other."""
    transform, weights, normal = operators(case, dtype, backend, weighted)
    x = random_element(transform.domain, rng)
    y = as_tensor(transform(x))
    if weighted:
        y = y * torch.from_numpy(weights).to(y.dtype)
    expected = OperatorLayer(transform).adjoint(y)
    result = as_tensor(normal(x))
    tol = 5e-5 if dtype == 'complex64' else 1e-10
    torch.testing.assert_close(result, expected, rtol=0, atol=tol)


def test_it_is_self_adjoint(case, dtype, backend):
    """The adjoint is the operator itself."""
    _, _, normal = operators(case, dtype, backend)
    assert normal.adjoint is normal
    assert_adjoint(normal, tol=1e-5 if dtype == 'complex64' else 1e-12)


def test_batches_and_pickles(case, dtype, rng):
    """A batch is mapped sample by sample, also by a pickled operator."""
    _, _, normal = operators(case, dtype, 'numpy')
    space = normal.domain
    size = (3, n_channels(space), *grid_shape(space))
    x = torch.randn(size, dtype=tensor_dtype(space))
    layer = OperatorLayer(normal)
    result = layer(x)
    tol = 1e-5 if dtype == 'complex64' else 1e-12
    for i in range(3):
        torch.testing.assert_close(
            result[i], layer(x[i : i + 1])[0], rtol=0, atol=tol
        )
    other = OperatorLayer(pickle.loads(pickle.dumps(normal)))
    torch.testing.assert_close(other(x), result, rtol=0, atol=tol)
    assert layer(x[:0]).shape == x[:0].shape


def test_norm(dtype):
    """Its norm is the square of the transform's."""
    transform, _, normal = operators((6, 5), dtype, 'numpy', weighted=False)
    assert operator_norm(normal) == pytest.approx(
        operator_norm(transform) ** 2, rel=1e-5
    )


def test_wrong_weights():
    """Weights have the shape of the samples."""
    transform, _, _ = operators((6, 5), 'complex64', 'numpy')
    with pytest.raises(ValueError, match=r'shape \(4, 3\)'):
        NonUniformNormalOperator(transform, np.ones(4))
