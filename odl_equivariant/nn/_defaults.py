# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Contexts that fix the global states of torch and NumPy for escnn."""

import contextlib

import numpy as np
import torch

from odl_equivariant._locks import Lock

__all__ = ('fixed_random_state', 'tensor_defaults')

# Of two threads at once, one could restore the state that the other had set.
_STATES = Lock()


@contextlib.contextmanager
def tensor_defaults(dtype, device):
    """Context in which new tensors have a dtype and lie on a device.

    Parameters
    ----------
    dtype : torch.dtype
        Floating point dtype.
    device : torch.device or str
        Device.
    """
    with _STATES:
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                yield
        finally:
            torch.set_default_dtype(before)


@contextlib.contextmanager
def fixed_random_state():
    """Context in which NumPy's global generator starts from a seed."""
    with _STATES:
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
