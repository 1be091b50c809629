# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Denoising of volumes, and phases of volumes."""

import numpy as np
import pytest
import torch

from odl_equivariant.data import (
    Augmentation,
    VolumeDenoising,
    ellipsoid_phantom,
)
from odl_equivariant.nn.layers import AveragePooling


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
def test_noise_has_its_level(dtype):
    """The data are a box of the volume, and noise of the stated level."""
    denoising = VolumeDenoising((9, 10, 11), (0.01, 0.2), dtype=dtype)
    volume = ellipsoid_phantom((12, 12, 12), rng=0)
    pair = denoising.pair(volume, rng=1)
    assert pair['truth'].shape[1:] == (9, 10, 11)
    gap = (pair['data'] - pair['truth']).std()
    assert float(gap / pair['sigma']) == pytest.approx(1, abs=0.1)
    again = VolumeDenoising(**denoising.settings())
    assert again.settings() == denoising.settings()
    sides = denoising.space.cell_sides
    assert np.allclose(sides, sides[0])


def test_images_are_refused():
    """Neither a shape nor an image may have two axes."""
    with pytest.raises(ValueError, match='shape'):
        VolumeDenoising((8, 8))
    with pytest.raises(ValueError, match=r'at least the shape \(8, 8, 8\)'):
        VolumeDenoising((8, 8, 8)).pair(np.zeros((8, 8)), rng=0)


@pytest.mark.parametrize('shape', [(8, 8, 8), (5, 9, 7)])
def test_phases_of_volumes(shape):
    """A volume gets a smooth phase, and keeps its magnitude."""
    volume = ellipsoid_phantom(shape, rng=0)
    augment = Augmentation(phase=1.0)
    changed = augment(volume, np.random.default_rng(0))
    assert changed.dtype == np.complex64 and changed.shape == shape
    assert np.allclose(np.abs(changed), volume, atol=1e-6)
    assert np.angle(changed[volume > 0]).std() > 1e-3


@pytest.mark.parametrize('n', [6, 7])
def test_means_of_volumes_in_half_precision(n):
    """They are those of single precision, up to rounding."""
    x = torch.rand(1, 2, n, n, n)
    means = AveragePooling()(x.bfloat16())
    assert means.dtype == torch.bfloat16
    assert torch.allclose(means.float(), AveragePooling()(x), atol=1e-2)
