# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of headers that ask for networks of several scales."""

import time

import pytest

from odl_equivariant.models.architectures import loaded_blocks
from odl_equivariant.nn import MultiscaleDenoiser, MultiscaleProximal


@pytest.mark.parametrize('cls', [MultiscaleDenoiser, MultiscaleProximal])
@pytest.mark.parametrize('homogeneous', [True, False])
@pytest.mark.parametrize('n_scales, n_blocks', [(1, 1), (2, 3), (3, 1)])
def test_number_of_weights(cls, homogeneous, n_scales, n_blocks):
    """The number that a header asks for is that of the network."""
    block = cls(
        None,
        channels=4,
        n_scales=n_scales,
        n_blocks=n_blocks,
        homogeneous=homogeneous,
    )
    weights = block.state_dict()
    assert cls.n_weights(block.architecture['arguments']) == len(weights)
    (again,) = loaded_blocks(block.architecture, weights).values()
    assert again.architecture == block.architecture


@pytest.mark.parametrize(
    'change, match',
    [
        ({'n_scales': 10**9}, 'the file has 14'),
        ({'n_blocks': 10**9}, 'the file has 14'),
        ({'homogeneous': False}, 'have 28 weights and biases'),
        ({'channels': 10**6}, 'of shape'),
    ],
)
def test_headers_that_do_not_fit(change, match):
    """A header for other sizes is refused before anything is built."""
    block = MultiscaleDenoiser(None, channels=4, n_scales=1, n_blocks=6)
    architecture = block.architecture
    arguments = {**architecture['arguments'], **change}
    start = time.perf_counter()
    with pytest.raises(ValueError, match=match):
        loaded_blocks(
            {**architecture, 'arguments': arguments}, block.state_dict()
        )
    assert time.perf_counter() - start < 5
