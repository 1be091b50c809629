# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Moments of samples as they come, and the samples within a memory bound."""

from __future__ import annotations

import numpy as np
import torch

from odl_equivariant._checks import boolean, positive_number, whole_number
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.uncertainty.result import (
    Uncertainty,
    real_element,
    squared_norm,
    sum_of_parts,
)

__all__ = ('Collector', 'check_memory', 'checked_size')

_MIB = 2**20


def checked_size(n, keep_samples, memory_limit, space):
    """Check the number of samples, and what they take, before any is made."""
    n = whole_number('n', n, 2)
    keep_samples = boolean('keep_samples', keep_samples)
    memory_limit = positive_number(
        '`memory_limit`, in bytes,', memory_limit, infinite=True
    )
    if keep_samples:
        check_memory(n, space, memory_limit)
    return n, keep_samples, memory_limit


def check_memory(n, space, memory_limit):
    """Raise an error where samples take more memory than they may."""
    size = n_channels(space) * int(np.prod(grid_shape(space)))
    size *= tensor_dtype(space).itemsize
    if n * size <= memory_limit:
        return
    most = int(memory_limit // size)
    fewer = f'at most n={most}, ' if most >= 2 else ''
    raise ValueError(
        f'{n} samples of {size / _MIB:.3g} MiB take {n * size / _MIB:.4g} '
        f'MiB, and `memory_limit` is {memory_limit / _MIB:.4g} MiB: take '
        f'{fewer}a limit of {n * size} bytes, or `keep_samples=False`, which '
        'gives mean, standard deviation and radius, but no quantiles'
    )


class Collector:
    """Samples of an estimate, one after the other.

    Mean and variance are updated with each sample, in double precision
    (Welford, Technometrics 4, 1962, 419-420).
    """

    def __init__(self, space, n, keep_samples, estimate=None):
        self.space, self.estimate = space, estimate
        shape = (n_channels(space), *grid_shape(space))
        self._kept = None
        if keep_samples:
            self._kept = torch.empty((n, *shape), dtype=tensor_dtype(space))
        self._mean = torch.zeros(shape, dtype=torch.float64)
        self._squares = torch.zeros(shape, dtype=torch.float64)
        self._norms, self._count = np.zeros(n), 0
        self._center = None
        if estimate is not None:
            self._center = as_tensor(estimate)[0].cpu().double()

    def add(self, sample):
        """Take an element into account."""
        sample = as_tensor(sample)[0].cpu()
        i = self._count
        if self._kept is not None:
            self._kept[i] = sample
        sample = sample.double()
        if self._center is not None:
            gap = squared_norm(sample - self._center, self.space)
            self._norms[i] = gap**0.5
        self._count += 1
        change = sample - self._mean
        self._mean += change / self._count
        self._squares += change * (sample - self._mean)

    def result(self):
        """Return what all samples say."""
        space, n = self.space, self._count
        mean = as_element(self._mean.to(tensor_dtype(space)), space, copy=True)
        variance = sum_of_parts(self._squares / (n - 1), space)
        self._norms.flags.writeable = False
        return Uncertainty(
            mean if self.estimate is None else self.estimate,
            mean,
            real_element(variance.sqrt(), space),
            self._norms,
            self._kept,
        )
