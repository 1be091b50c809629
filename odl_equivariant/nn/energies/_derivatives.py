# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Transposed derivatives of maps of images, within any mode of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from odl_equivariant.nn.blocks.network import is_transformed

__all__ = ('is_differentiated', 'out_of_inference', 'transposed')


def transposed(
    function: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    cotangent: Callable[[torch.Tensor], torch.Tensor],
    graph: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a value, and the transposed derivative at a cotangent.

    Parameters
    ----------
    function : callable
        Map of tensors.
    x : torch.Tensor
        Where to evaluate and to differentiate it.
    cotangent : callable
        Maps the value to what the transposed derivative is applied to.
    graph : bool
        Whether the results can be differentiated again.

    Returns
    -------
    value : torch.Tensor
        ``function(x)``.
    result : torch.Tensor
        Of the shape of ``x``.
    """
    if is_transformed():
        value, pull, *_ = torch.func.vjp(function, x)
        return value, pull(cotangent(value))[0]
    # tensors of the inference mode can never be differentiated
    with torch.inference_mode(False), torch.enable_grad():
        if not (graph and x.requires_grad):
            x = out_of_inference(x).detach().requires_grad_()
        value = function(x)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        direction = cotangent(value)
        (result,) = torch.autograd.grad(
            value,
            x,
            direction if graph else direction.detach(),
            create_graph=graph,
            materialize_grads=True,
        )
    return value if graph else value.detach(), result


def is_differentiated(module: nn.Module, *inputs: Any) -> bool:
    """Return whether autograd follows a weight of a module, or an input."""
    return torch.is_grad_enabled() and (
        any(isinstance(x, torch.Tensor) and x.requires_grad for x in inputs)
        or any(parameter.requires_grad for parameter in module.parameters())
    )


def out_of_inference(value: Any) -> Any:
    """Return a value that autograd may save; tensors of inference are not."""
    if isinstance(value, torch.Tensor) and value.is_inference():
        with torch.inference_mode(False):
            return value.clone()
    return value
