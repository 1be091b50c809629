# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Energies whose properties are known, for tests of learned regularisers."""

import torch

from odl_equivariant.nn import Energy


class Tikhonov(Energy):
    """Half the squared norm; the proximal is a division."""

    def __init__(self, in_channels=1):
        super().__init__()
        self.in_channels = in_channels

    def forward(self, x, sigma=None):
        return 0.5 * x.square().flatten(1).sum(1)

    def gradient_lipschitz(self, sigma=None):
        return 1.0

    def weak_convexity(self, sigma=None):
        return 0.0


class Linear(Tikhonov):
    """A multiple of the sum, not even; of magnitudes, that of a norm."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x, sigma=None):
        return self.slope * x.flatten(1).sum(1)

    def gradient_lipschitz(self, sigma=None):
        return 0.0


class Differences(Energy):
    """Sum of profiles of the differences of neighbours, D4-invariant.

    Parameters
    ----------
    convex : bool, optional
        Whether the profile is the root of a square plus 1, or the logarithm,
        with which the energy is 1-weakly convex in two dimensions.
    knee : float, optional
        Difference beyond which the profile grows slowly, in units of sigma if
        there is a noise level.
    noise_level, in_channels
        As for all energies.
    """

    def __init__(
        self, convex=True, knee=0.5, noise_level=False, in_channels=1
    ):
        super().__init__()
        self.convex, self.knee = convex, knee
        self.noise_level, self.in_channels = noise_level, in_channels

    def forward(self, x, sigma=None):
        knee = self.knee * (sigma if self.noise_level else 1)
        total = 0
        for axis in range(2, x.ndim):
            squares = (x.diff(dim=axis) / knee).square().sum(1)
            values = (
                (1 + squares).sqrt() - 1
                if self.convex
                else 0.5 * torch.log1p(squares)
            )
            total = total + knee**2 * values.flatten(1).sum(1)
        return total

    def gradient_lipschitz(self, sigma=None):
        return 8.0

    def weak_convexity(self, sigma=None):
        # the second derivative of the logarithm is at least -1/8
        return 0.0 if self.convex else 1.0


class Quartic(Energy):
    """Convex, without a Lipschitz constant, and not even."""

    def forward(self, x, sigma=None):
        pulled = x - 0.3
        return 0.25 * pulled.pow(4).flatten(1).sum(1) + 0.1 * (
            x.diff(dim=-1).square().flatten(1).sum(1)
        )

    def weak_convexity(self, sigma=None):
        return 0.0
