# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Blocks of an unrolled network as proximals of ODL elements."""

import torch

from odl_equivariant.elements import as_element, as_tensor

__all__ = ('ElementProximal',)


class ElementProximal:
    """One block, with its step, on ODL elements."""

    def __init__(self, network, iteration):
        self.network = network
        self.iteration = iteration

    def __call__(self, x, gradient, memory=None):
        block = self.network.block(self.iteration)
        device = self.network.relative_steps.device
        with torch.no_grad():
            tensors = [
                as_tensor(element, copy=True, device=device)
                for element in (x, gradient)
            ]
            tensors[1] = self.network.step(self.iteration) * tensors[1]
            if not self.network.memory:
                return as_element(block(*tensors), x.space)
            if memory is not None:
                memory = as_tensor(memory, copy=True, device=device)
            u, s = block(*tensors, memory)
            return (
                as_element(u, x.space, copy=True),
                as_element(s, self.network.memory_space, copy=True),
            )
