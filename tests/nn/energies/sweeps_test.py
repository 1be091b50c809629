# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of filters and their transpose."""

import pytest
import torch

from odl_equivariant.nn.energies import _sweeps


@pytest.mark.parametrize('shape', [(9, 9), (10, 14)])
def test_transposed_filters_are_the_adjoint(shape):
    """<K u, y> = <u, K^T y>."""
    kernels = torch.randn(6, 1, 5, 5).double()
    u = torch.rand(2, 1, *shape).double()
    responses = _sweeps.correlate(u, kernels)
    y = torch.randn_like(responses)
    back = _sweeps.transposed(y, kernels)
    assert torch.isclose((responses * y).sum(), (u * back).sum())


def test_products_of_matrices_are_the_convolutions():
    """What accelerators compute is what processors do."""
    kernels = torch.randn(6, 1, 5, 5).double()
    u, y = torch.rand(2, 1, 9, 12).double(), torch.randn(2, 6, 5, 8).double()
    for quick, usual in (
        (
            _sweeps._folded_products(y, kernels),
            _sweeps._transposed(y, kernels),
        ),
        (
            _sweeps._batched_products(u, y, kernels),
            _sweeps._products(u, y, kernels),
        ),
    ):
        torch.testing.assert_close(quick, usual, rtol=1e-12, atol=1e-12)


def test_derivatives_are_those_of_autograd():
    """First and second derivatives of both maps pass gradcheck."""
    kernels = torch.randn(3, 1, 3, 3).double().requires_grad_()
    u = torch.rand(2, 1, 5, 4).double().requires_grad_()
    y = torch.rand(2, 3, 3, 2).double().requires_grad_()
    for function, x in ((_sweeps.correlate, u), (_sweeps.transposed, y)):
        assert torch.autograd.gradcheck(function, (x, kernels))
        assert torch.autograd.gradgradcheck(function, (x, kernels))
