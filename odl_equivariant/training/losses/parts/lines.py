# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Lines of k-space, and what masks of them have in common."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch

__all__ = (
    'always_measured',
    'drawn_mask',
    'full_mask',
    'line_axis',
    'radius_of',
)

# Masks that are drawn to see what all have in common.
_N_DRAWN = 64
_ALWAYS: weakref.WeakKeyDictionary[Any, torch.Tensor] = (
    weakref.WeakKeyDictionary()
)


def always_measured(acquisition):
    """Return what all masks have in common that an acquisition draws."""
    if acquisition not in _ALWAYS:
        masks = [drawn_mask(acquisition, i) for i in range(_N_DRAWN)]
        _ALWAYS[acquisition] = torch.from_numpy(np.all(masks, axis=0))
    return _ALWAYS[acquisition]


def drawn_mask(acquisition, number):
    """Return the mask of the scan of a number, as an array."""
    mask = acquisition.draw_mask(number)
    # those of volumes and films are arrays
    return np.asarray(getattr(mask, 'array', mask))


def full_mask(acquisition):
    """Return the mask of an acquisition in the shape of its images."""
    mask = np.broadcast_to(acquisition.mask, acquisition.space.shape)
    return torch.as_tensor(mask.copy())


def line_axis(mask):
    """Return the axis along which lines are counted, if there are lines."""
    if mask.ndim != 2:
        return None
    # of a full mask, those that are read out along the first axis
    for axis in (1, 0):
        if bool((mask == mask.narrow(1 - axis, 0, 1)).all()):
            return axis
    return None


def radius_of(shape, full):
    """Return the distance from the middle, 1 at the ends of an axis."""
    radius = torch.zeros((), dtype=torch.float64)
    for axis, (m, n) in enumerate(zip(shape, full, strict=True)):
        if m == 1:
            continue
        place = [-1 if i == axis else 1 for i in range(len(shape))]
        at = (torch.arange(n, dtype=torch.float64) - n // 2) / (n / 2)
        radius = radius + at.square().reshape(place)
    return radius.sqrt()
