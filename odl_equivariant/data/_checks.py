# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of what callers pass in."""

import math
import numbers

import numpy as np
import torch

from odl_equivariant.elements import as_tensor

__all__ = ('as_real_array', 'positive', 'positive_int')


def as_real_array(image):
    """Return an element, a tensor or an array-like as a real array."""
    if hasattr(image, 'space'):
        if not image.space.is_real:
            raise ValueError(
                'expected a real image, got an element of dtype '
                f'{image.space.dtype_identifier!r}'
            )
        return as_tensor(image)[0, 0].cpu().numpy()
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.dtype.kind not in 'fiu':
        raise ValueError(
            f'expected a real image, got an array of dtype {array.dtype}'
        )
    return array


def positive(value, name, infinite=False):
    """Return the value as a float, after checking that it is positive."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f'`{name}` must be a number, got {value!r}')
    value = float(value)
    if not value > 0 or (math.isinf(value) and not infinite):
        raise ValueError(f'`{name}` must be positive, got {value}')
    return value


def positive_int(value, name):
    """Return the value as an int, after checking that it is positive."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f'`{name}` must hold integers, got {value!r}')
    if value <= 0:
        raise ValueError(f'`{name}` must be positive, got {value}')
    return int(value)
