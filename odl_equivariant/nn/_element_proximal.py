# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Iterations of an unrolled network as proximals of ODL elements."""

import torch

from odl_equivariant.elements import as_element, as_tensor

__all__ = ('ElementProximal',)


class ElementProximal:
    """One iteration of an unrolled network, on ODL elements.

    It takes the gradient of the data fit as a solver computes it, and the
    network multiplies it by the step of the iteration.
    """

    def __init__(self, network, iteration):
        self.network = network
        self.iteration = iteration

    def __call__(self, x, gradient, memory=None):
        device = self.network.relative_steps.device
        with torch.no_grad():
            tensors = [
                as_tensor(element, copy=True, device=device)
                for element in (x, gradient)
            ]
            if self.network.memory and memory is not None:
                memory = as_tensor(memory, copy=True, device=device)
            u, s = self.network._iterate(self.iteration, *tensors, memory)
            if s is None:
                return as_element(u, x.space)
            return (
                as_element(u, x.space, copy=True),
                as_element(s, self.network.memory_space, copy=True),
            )
