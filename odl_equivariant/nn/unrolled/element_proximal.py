# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Iterations of an unrolled network as proximals of ODL elements."""

from typing import Any

import torch
from torch import nn

from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn.blocks.contract import apply_block

__all__ = ('ElementProximal',)


class ElementProximal:
    """One iteration of an unrolled network, on ODL elements.

    It takes the gradient of the data fit without the step, as a solver
    computes it.
    """

    def __init__(self, network: nn.Module, iteration: int) -> None:
        self.network = network
        self.iteration = iteration

    def __call__(self, x: Any, gradient: Any, memory: Any = None) -> Any:
        """Return the new element and, if there is one, the new memory."""
        block = self.network.block(self.iteration)
        step = self.network.step(self.iteration)
        device = self.network.relative_steps.device
        with torch.no_grad():
            tensors = [
                as_tensor(element, copy=True, device=device)
                for element in (x, gradient)
            ]
            if self.network.memory and memory is not None:
                memory = as_tensor(memory, copy=True, device=device)
            u, gradient = tensors
            u, s = apply_block(block, u, step, gradient, memory)
            if s is None:
                return as_element(u, x.space)
            return (
                as_element(u, x.space, copy=True),
                as_element(s, self.network.memory_space, copy=True),
            )
