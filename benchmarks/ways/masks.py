# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Steps of training in which each sample has a mask of its own."""

from unittest import mock

import numpy as np
import torch

from odl_equivariant.data import CartesianMRI
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.nn.unrolled import layers

__all__ = ('MASKED_SHAPE', 'ways_with_masks')

# pixels, channels and iterations
MASKED_SHAPE = (128, 48, 6)
MASKS = 8


def step_with_masks(size, channels, n_iterations):
    """Return a call that makes a step with a new mask for each sample."""
    acquisition = CartesianMRI((size, size), acceleration=4)
    network = LearnedProximalGradient(
        acquisition.operator,
        lambda: EquivariantProximal(2, channels=channels, skip=True),
        n_iterations,
        'adjoint',
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    y, truth = torch.rand(2, MASKS, 2, size, size)
    rng = np.random.default_rng(0)

    def step():
        masks = [acquisition.draw_mask(rng) for _ in range(MASKS)]
        operators = [acquisition.forward_operator(mask) for mask in masks]
        loss = 0.5 * (network(y, operators) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ways_with_masks(size, channels, n_iterations):
    """Return the makers of steps with masks, sample by sample first."""

    def at_once():
        return step_with_masks(size, channels, n_iterations)

    def one_by_one():
        step = at_once()

        def call():
            with mock.patch.object(
                layers, 'per_sample_operator', return_value=None
            ):
                step()

        return call

    return {'sample by sample': one_by_one, 'at once': at_once}
