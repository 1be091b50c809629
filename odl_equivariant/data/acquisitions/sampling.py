# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Masks of k-space, drawn with the settings of an acquisition."""

from __future__ import annotations

from typing import Literal, NamedTuple

from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.poisson_disc import PoissonDiscMask

__all__ = ('Pattern', 'Sampling')

Pattern = Literal['random', 'equispaced', 'variable_density', 'poisson_disc']


class Sampling(NamedTuple):
    """How the samples of an image are chosen, see `CartesianMRI`.

    A call draws a mask from a seed. ``measured`` are the first line that may
    be sampled and the one after the last, by default all lines.
    """

    shape: tuple[int, ...]
    acceleration: int | float
    center_fraction: float
    pattern: Pattern
    axis: int
    partial_fourier: float

    @property
    def across(self):
        """The axis of readout, on which masks of lines do not depend."""
        return 1 - self.axis % 2

    def __call__(self, seed, measured=None):
        """Return the `CartesianMask` or the `PoissonDiscMask` of a seed."""
        if self.pattern != 'poisson_disc':
            return CartesianMask(
                self.shape,
                self.acceleration,
                self.center_fraction,
                self.pattern,
                self.axis,
                seed,
                measured,
                self.partial_fourier,
            )
        if measured is not None or self.partial_fourier != 1:
            raise ValueError(
                'Poisson-disc masks choose samples of all of k-space: '
                "for a part of the lines, take `pattern='random'`, or "
                'give a `mask`'
            )
        return PoissonDiscMask(
            self.shape, self.acceleration, self.center_fraction, seed=seed
        )
