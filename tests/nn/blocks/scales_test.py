# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the grids of several scales, and of the pieces of their images."""

import pytest
import torch

from odl_equivariant.nn.blocks import scales


def image(shape, dtype=torch.float64, channels=2):
    """Return a random image."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, *shape, generator=generator)
    return x.to(dtype)


@pytest.mark.parametrize('n_scales', [1, 2, 3])
@pytest.mark.parametrize('kernel_size', [1, 3, 5])
@pytest.mark.parametrize('shape', [(64, 37), (55, 42), (26, 63)])
def test_pieces_are_parts_of_the_whole(n_scales, kernel_size, shape):
    """Pieces have the result for the whole image, on even and odd sides."""
    generator = torch.Generator().manual_seed(1)
    kernels = []
    for _ in range(scales.n_convolutions(n_scales, 1)):
        size = (2, 2, kernel_size, kernel_size)
        weight = torch.randn(size, generator=generator).double()
        kernels.append((weight / weight[0].norm(), torch.ones(2).double()))

    def run(x):
        return scales.on_whole_image(x, kernels, 'replicate', 0.1, n_scales)

    x = image(shape)
    whole = run(x)
    for side in (1, 8, 20):
        parts = scales.evaluate(x, run, n_scales, 1, kernel_size, side)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)


def test_halo_is_not_wider_than_needed():
    """Within the halo the result does depend on what is beyond."""
    kernels = [
        (torch.ones(1, 1, 3, 3).double() / 9, torch.zeros(1).double())
        for _ in range(scales.n_convolutions(3, 1))
    ]
    x = torch.zeros(1, 1, 160, 12).double()
    x[:, :, 80:] = 1
    y = scales.on_whole_image(x, kernels, 'replicate', 0.1, 3)
    # the step at 80 is seen as far as the halo reaches
    first = int(y[0, 0, :, 0].nonzero()[0])
    halo = scales._reach(3, 1, 1)
    assert 80 - halo <= first <= 80 - halo + 8
