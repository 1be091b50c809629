# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Directional derivatives of reconstructions, for estimates of the risk."""

from collections.abc import Callable
from typing import Literal

import torch

__all__ = ('derivative',)

Method = Literal['auto', 'jvp', 'difference']
METHODS = ('auto', 'jvp', 'difference')
_STEP = 1e-2
_NOT_AVAILABLE = (NotImplementedError, RuntimeError, TypeError)


def derivative(
    function: Callable[[torch.Tensor], torch.Tensor],
    point: torch.Tensor,
    direction: torch.Tensor,
    method: Method = 'auto',
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the value of a function and its derivative in a direction.

    Parameters
    ----------
    function : callable
        Map of tensors, which may have weights with gradients.
    point, direction : torch.Tensor
        Where, and in which direction.
    method : {'auto', 'jvp', 'difference'}, optional
        Forward-mode derivative (`torch.func.jvp`), exact and at once with
        the value; or :math:`(f(y + \tau b) - f(y)) / \tau`, with
        :math:`\tau` such that :math:`\tau b` is a hundredth of :math:`y`,
        which takes a second evaluation. ``'auto'`` takes the first where
        all of the function has a forward mode.

    Returns
    -------
    value, derivative : torch.Tensor
        Both may be differentiated with respect to the weights.
    """
    if method != 'difference':
        try:
            return torch.func.jvp(function, (point,), (direction,))
        except _NOT_AVAILABLE:
            if method == 'jvp':
                raise
    value = function(point)
    size = float(direction.norm())
    if size == 0:
        return value, torch.zeros_like(value)
    step = _STEP * (float(point.norm()) or 1.0) / size
    return value, (function(point + step * direction) - value) / step
