# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Elements as tensors in the complex layout, and in double precision."""

import math

import torch

from odl_equivariant.elements import (
    as_element,
    as_tensor,
    is_complex,
    merge_complex,
    split_complex,
)

__all__ = ('doubled', 'power_of_size', 'to_element', 'to_tensor')


def to_tensor(x):
    """Return an element in the complex layout, in its own precision."""
    tensor = as_tensor(x)
    return merge_complex(tensor) if is_complex(x.space) else tensor


def to_element(tensor, space):
    """Return a tensor in the complex layout as an element of a space."""
    if tensor.is_complex():
        tensor = split_complex(tensor)
    return as_element(tensor, space)


def doubled(tensor):
    """Return a tensor in double precision, complex if it was complex."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.double)


def power_of_size(tensor):
    """Return the power of two by which to divide a tensor of extreme size.

    The squares of extreme values leave the range of double precision. For
    other tensors the power is 1, so that no digit of the result changes.
    """
    size = float(tensor.abs().max()) if tensor.numel() else 0.0
    if size == 0 or not math.isfinite(size) or 1e-100 < size < 1e100:
        return 1.0
    return 2.0 ** math.frexp(size)[1]
