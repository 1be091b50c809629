# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of strips of phantoms."""

import numpy as np
import pytest

from odl_equivariant.data import mr_strip


@pytest.mark.parametrize('shape', [(16, 48), (33, 20), (9, 65)])
def test_strips_have_the_shape_and_the_range(shape):
    """Real and complex strips occur, and no magnitude is above 1."""
    kinds = set()
    for seed in range(12):
        strip = mr_strip(shape, seed)
        assert strip.shape == shape
        kinds.add(str(strip.dtype))
        assert np.isfinite(strip).all()
        assert abs(strip).max() <= 1 + 1e-6
    assert kinds == {'float32', 'complex64'}


def test_seed_decides():
    """A seed draws the same strip, another seed another."""
    strip = mr_strip((16, 48), 3)
    assert np.array_equal(strip, mr_strip((16, 48), np.random.default_rng(3)))
    assert not np.array_equal(strip, mr_strip((16, 48), 4))


def test_shape_is_checked():
    """Two positive sizes are needed."""
    for shape in ((16,), (16, 0), (4, 4, 4)):
        with pytest.raises(ValueError, match='`shape`'):
            mr_strip(shape)
