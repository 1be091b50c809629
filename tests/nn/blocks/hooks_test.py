# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of checkpointing where users look into the blocks."""

import odl
import torch

from odl_equivariant.nn import LearnedProximalGradient, OrdinaryProximal
from odl_equivariant.nn.blocks.derivative import replaying


def test_hooks_see_results():
    """A hook that multiplies by a parameter gets the same gradient."""
    space = odl.rn((12, 11, 10), dtype='float64')
    network = LearnedProximalGradient(
        odl.ScalingOperator(space, 0.7),
        lambda: OrdinaryProximal(
            channels=128,
            memory=0,
            dimension=3,
            kernel_size=1,
            n_residual_blocks=1,
        ),
        n_iterations=2,
    ).double()
    y = torch.randn(1, 1, *space.shape, dtype=torch.float64)
    # else there is nothing to test
    assert all(block.recomputes(y) for block in network.blocks)
    factor = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    for block in network.blocks:
        block.register_forward_hook(lambda *given: factor * given[-1])
    found = []
    for network.checkpointing in (False, True):
        loss = network(y).square().sum()
        found += torch.autograd.grad(loss, factor)
    torch.testing.assert_close(*found)


def test_what_is_not_computed_again_is_no_number():
    """A result that a derivative does not need is NaN, not what memory has."""
    block = OrdinaryProximal(
        channels=128, memory=0, dimension=3, kernel_size=1, gradient=False
    )
    x = torch.randn(1, 1, 12, 11, 10, requires_grad=True)
    assert block.recomputes(x)
    with replaying():
        result = block(x)
    assert result.isnan().all()
    result.sum().backward()
    assert x.grad.isfinite().all()
