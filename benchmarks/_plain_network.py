# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The network that the benchmarks compare with."""

import torch
from torch import nn

from odl_equivariant.operators import operator_norm

__all__ = ('MEMORY', 'PlainNetwork')

MEMORY = 5


class PlainNetwork(nn.Module):
    """What one would write with torch and ODL's own module."""

    def __init__(self, operator, channels, n_iterations):
        super().__init__()
        from odl.contrib.torch import OperatorModule

        self.forward_layer = OperatorModule(operator)
        self.adjoint_layer = OperatorModule(operator.adjoint)
        self.squared_norm = operator_norm(operator) ** 2
        self.shape = operator.domain.shape
        self.steps = nn.Parameter(torch.ones(n_iterations))
        widths = (2 + MEMORY, channels, channels, 1 + MEMORY)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(a, b, 3, padding=1, padding_mode='replicate')
                for a, b in zip(widths[:-1], widths[1:], strict=True)
            )
            for _ in range(n_iterations)
        )

    def forward(self, y):
        """Reconstruct a batch of data."""
        u = y.new_zeros(len(y), 1, *self.shape)
        s = y.new_zeros(len(y), MEMORY, *self.shape)
        for step, (lift, hidden, project) in zip(
            self.steps, self.blocks, strict=True
        ):
            # ODL has no bfloat16
            residual = self.forward_layer(u.float()) - y
            gradient = self.adjoint_layer(residual) / self.squared_norm
            x = torch.cat([u, step * gradient, s], 1)
            x = nn.functional.leaky_relu(lift(x), 0.01)
            x = x + nn.functional.leaky_relu(hidden(x), 0.01)
            u, s = project(x).split([1, MEMORY], 1)
        return u
