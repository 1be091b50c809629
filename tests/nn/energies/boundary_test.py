# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the extension of images past their boundary."""

import pytest
import torch

from odl_equivariant.nn.energies import _boundary

LIKE = torch.zeros((), dtype=torch.float64)
each_side = pytest.mark.parametrize('n', [7, 12, 13, 50])


@each_side
def test_folding_is_an_isometry(n):
    """E^T E = 1."""
    ((fold, _),) = _boundary.extension((n,), 3, 2, LIKE)
    assert torch.allclose(fold.T @ fold, torch.eye(n, dtype=LIKE.dtype))


@each_side
def test_smoothing_has_eigenvalues_from_zero_to_one(n):
    """So what is left of an image has no greater norm."""
    ((fold, rest),) = _boundary.extension((n,), 3, 2, LIKE)
    smooth = fold.T @ rest
    assert torch.allclose(smooth, smooth.T)
    values = torch.linalg.eigvalsh(smooth)
    assert values[0] >= -1e-12 and values[-1] <= 1 + 1e-12


@each_side
def test_extension_commutes_with_symmetries(n):
    """A turned image is extended to the turned extension."""
    shape = (n, 9)
    u = torch.rand(1, 1, *shape, dtype=LIKE.dtype)
    there = _boundary.extension(shape, 3, 2, LIKE)
    turned = _boundary.extension(shape[::-1], 3, 2, LIKE)
    expected = _boundary.extend(u, there).rot90(1, (2, 3))
    given = _boundary.extend(u.rot90(1, (2, 3)), turned)
    assert torch.allclose(given, expected)


def test_transpose():
    """<B u, y> = <u, B^T y>."""
    matrices = _boundary.extension((8, 11), 3, 2, LIKE)
    u = torch.rand(1, 1, 8, 11, dtype=LIKE.dtype)
    extended = _boundary.extend(u, matrices)
    y = torch.rand_like(extended)
    back = _boundary.extended_transpose(y, matrices)
    assert torch.isclose((extended * y).sum(), (u * back).sum())
