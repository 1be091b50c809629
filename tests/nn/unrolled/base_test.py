# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of all unrolled methods."""

import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry

from odl_equivariant.nn import (
    DualProximal,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    MultiscaleProximal,
    OrdinaryProximal,
)

METHODS = {
    'gradient': lambda A: LearnedProximalGradient(
        A, lambda: OrdinaryProximal(channels=4), 2
    ),
    'gradient, other blocks': lambda A: LearnedProximalGradient(
        A, lambda: MultiscaleProximal(None, 1, 4, 1, 1), 2
    ),
    'primal-dual': lambda A: LearnedPrimalDual(
        A,
        lambda: OrdinaryProximal(channels=4),
        lambda: DualProximal(channels=4),
        2,
    ),
    'splitting': lambda A: LearnedHalfQuadraticSplitting(
        A, lambda: MultiscaleDenoiser(None, 1, 4, 1, 1), 2
    ),
}


@pytest.mark.parametrize('method', list(METHODS))
@pytest.mark.parametrize('value', ['no', 'true', 1, None])
def test_checkpointing_is_a_bool(method, value):
    """A text such as `no` does not count as true."""
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype='float32')
    network = METHODS[method](
        RayTransform(
            space, parallel_beam_geometry(space, 4, 8), impl='astra_matrix'
        )
    )
    assert network.checkpointing is False
    with pytest.raises(TypeError, match='`checkpointing` must be'):
        network.checkpointing = value
    network.checkpointing = True
    assert network.checkpointing is True


# of torch's own code, which it loads with its forward mode
@pytest.mark.filterwarnings('ignore:.*torch.jit:DeprecationWarning')
@pytest.mark.parametrize('method', list(METHODS))
@pytest.mark.parametrize('transform', ['jvp', 'vjp'])
def test_checkpointing_within_transforms(method, transform):
    """Derivatives by `torch.func` have the same gradients with and without."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype='float32')
    A = RayTransform(
        space, parallel_beam_geometry(space, 4, 12), impl='astra_matrix'
    )
    torch.manual_seed(0)
    network = METHODS[method](A)
    y, direction = torch.randn(2, 3, 1, 4, 12).unbind()
    u = torch.randn(3, 1, 6, 6)
    gradients = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        if transform == 'jvp':
            value, along = torch.func.jvp(network, (y,), (direction,))
        else:
            value, pulled = torch.func.vjp(network, y)
            (along,) = pulled(u)
        (value.square().sum() + along.square().sum()).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in network.parameters()])
        )
    assert float(gradients[0].norm()) > 0
    gap = float((gradients[1] - gradients[0]).norm())
    assert gap <= 1e-5 * float(gradients[0].norm())
