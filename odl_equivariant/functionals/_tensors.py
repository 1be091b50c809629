# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Elements as tensors in the complex layout, and in double precision."""

import torch

from odl_equivariant.elements import (
    as_element,
    as_tensor,
    is_complex,
    merge_complex,
    split_complex,
)

__all__ = ('to_tensor', 'to_element', 'doubled')


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
    """Return a tensor in double precision."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.double)
