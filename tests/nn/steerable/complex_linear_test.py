# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of convolutions with complex kernels."""

import pytest
import torch

from odl_equivariant.nn import to_convolutional
from odl_equivariant.nn._convolution import PaddedConvolution
from odl_equivariant.nn.steerable.complex_linear import (
    ComplexLinearConvolution,
)


def convolution(parts_first=(False, False), n_inputs=3, gain=1.0):
    """Return a convolution to two complex channels, without symmetry."""
    torch.manual_seed(0)
    return ComplexLinearConvolution(
        lambda gain: PaddedConvolution(n_inputs, 2, 3, 'zeros', gain),
        gain,
        parts_first,
    )


def real(z, parts_first):
    """Return the parts of complex channels as real channels."""
    return torch.stack([z.real, z.imag], 1 if parts_first else 2).flatten(1, 2)


@pytest.mark.parametrize('before', [False, True])
@pytest.mark.parametrize('after', [False, True])
def test_it_is_the_complex_convolution(before, after):
    """In either order of channels it is the convolution with a + i b."""
    layer = convolution((before, after)).double()
    z = torch.randn(2, 3, 6, 5, dtype=torch.complex128)
    (a, _), (b, _) = layer.real.kernel(), layer.imaginary.kernel()
    expected = torch.nn.functional.conv2d(z, torch.complex(a, b), padding=1)
    torch.testing.assert_close(layer(real(z, before)), real(expected, after))


@pytest.mark.parametrize('gain', [0.0, 1.0, 0.5])
def test_gain_is_the_deviation_at_the_start(gain):
    """White noise of unit variance has outputs of this deviation."""
    layer = convolution(n_inputs=40, gain=gain)
    with torch.no_grad():
        y = layer(torch.randn(4, 80, 40, 40))
    assert y.std().item() == pytest.approx(gain, rel=0.1)


def test_ordinary_convolution():
    """`to_convolutional` gives one ordinary convolution, frozen alike."""
    layer = convolution()
    layer.requires_grad_(False)
    plain = to_convolutional(layer)
    x = torch.randn(1, 6, 5, 5)
    assert type(plain) is PaddedConvolution
    assert not plain.weight.requires_grad
    torch.testing.assert_close(plain(x), layer(x))
