# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Strips of phantoms that resemble magnetic resonance images."""

from __future__ import annotations

import numpy as np

from odl_equivariant._types import ImageShape, Random
from odl_equivariant.data._checks import grid
from odl_equivariant.data.phantoms.magnetic_resonance import mr_phantom

__all__ = ('mr_strip',)

# How much higher than the strip's length the field of view is at most.
_HIGHEST = 1.3
# The outer parts along axis 0 are mostly air.
_MARGIN = 0.15


def mr_strip(shape: ImageShape, rng: Random = None) -> np.ndarray:
    """Return a random strip of an `mr_phantom`.

    Lines of k-space that are sampled along axis 1 alone do not mix positions
    along axis 0. So networks can be trained on strips that are as long as
    an image along axis 1 and short along axis 0.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of the strip.
    rng : int, numpy.random.Generator or None, optional
        Seed or source of randomness.

    Returns
    -------
    strip : numpy.ndarray
        Array of this shape, float32 or, for every other strip, complex64
        with a random phase. Its magnitude is in [0, 1]: the strip may miss
        the phantom's maximum 1, or show nothing but air.

    Raises
    ------
    ValueError
        If the shape is not two sizes, or the phantom would be smaller than
        8 x 8.

    Examples
    --------
    >>> strip = mr_strip((24, 64), rng=1)
    >>> strip.shape, bool(abs(strip).max() <= 1)
    ((24, 64), True)
    """
    n, m = grid(shape)
    rng = np.random.default_rng(rng)
    side = max(n, round(m * rng.uniform(1, _HIGHEST)))
    phantom = mr_phantom((side, side), rng, phase=rng.uniform() < 0.5)
    start = round((side - n) * rng.uniform(_MARGIN, 1 - _MARGIN))
    below = (side - m) // 2
    return phantom[start : start + n, below : below + m]
