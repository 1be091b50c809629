# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""How far an image is from explaining its data."""

from odl_equivariant.elements import as_tensor

__all__ = ('is_unexplained', 'residual_and_noise')

_LEAST_ELEMENTS = 3
# Images that leave more of the data unexplained, in parts of the data and
# relative to noise, are worth a warning.
_MOST_UNEXPLAINED, _MOST_NOISES = 0.03, 2.0


def residual_and_noise(operator, image, y):
    r"""Return how far an image is from explaining its data, and noise.

    Returns
    -------
    residual, noise : float
        :math:`\|A u - y\| / \|y\|`, and the same for noise like that of the
        data, estimated from their differences along the detector; 0 for data
        that are zero.
    """
    projected, y = as_tensor(operator(image)).double(), as_tensor(y).double()
    size = float(y.square().mean().sqrt())
    if size == 0:
        return 0.0, 0.0
    noise = 0.0
    if y.shape[-1] >= _LEAST_ELEMENTS:
        noise = float((y.diff(n=2, dim=-1).square().mean() / 6).sqrt())
    return float((projected - y).square().mean().sqrt()) / size, noise / size


def is_unexplained(residual, noise):
    """Return whether a residual is more than noise, and than a grid loses."""
    return residual > max(_MOST_UNEXPLAINED, _MOST_NOISES * noise)
