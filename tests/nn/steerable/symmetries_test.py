# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the symmetries of the grid."""

import math

import numpy as np
import pytest
import torch

from odl_equivariant.nn.escnn.fields import gspace
from odl_equivariant.nn.steerable.convolutions import _scaled_basis
from odl_equivariant.nn.steerable.symmetries import (
    equivariance_gap,
    exact_symmetries,
    moved,
)


@pytest.mark.parametrize(
    'group',
    ['C1', 'C2', 'C3', 'C4', 'C6', 'C8', 'D1', 'D2', 'D3', 'D4', 'D6', 'D8'],
)
def test_symmetries_are_those_of_escnn(group):
    """Matrices and permutations of exact elements are those of escnn."""
    space = gspace(group)
    expected = []
    for element in space.fibergroup.elements:
        matrix = np.array(space.basespace_action(element))
        if np.allclose(matrix, matrix.round(), atol=1e-6):
            columns = np.rint(space.regular_repr(element)).argmax(0)
            expected.append((matrix.round().tolist(), columns.tolist()))
    found = [
        (np.array(matrix, dtype=float).tolist(), permutation)
        for matrix, permutation in exact_symmetries(group)
    ]
    assert found == expected


def test_moves_compose():
    """Four quarter turns are the identity."""
    kernels = torch.randn(2, 4, 4, 5, 5)
    turn = exact_symmetries('C4')[1]
    result = kernels
    for i in range(4):
        result = moved(result, turn, 'regular', 'regular')
        assert torch.equal(result, kernels) == (i == 3)


def test_gap_of_equivariant_kernels():
    """The gap is zero for equivariant kernels, and not for others."""
    basis = _scaled_basis('D4', 'regular', 'regular', 3)
    assert equivariance_gap(basis, 'D4', 'regular', 'regular') < 1e-14
    wrong = basis.clone()
    wrong[3, 2, 1, 0, 0] += 1e-6
    assert equivariance_gap(wrong, 'D4', 'regular', 'regular') > 1e-7


@pytest.mark.parametrize('value', [0.0, math.nan, math.inf])
def test_gap_of_kernels_that_are_none(value):
    """The gap of kernels that are zero or not finite is infinite."""
    kernels = torch.full((1, 4, 1, 3, 3), value)
    assert equivariance_gap(kernels, 'C4', 'trivial', 'regular') == math.inf


@pytest.mark.parametrize(
    'shape, match',
    [
        ((1, 3, 1, 3, 3), '4 channels, the kernels have 3 rows'),
        ((1, 4, 2, 3, 3), '1 channels, the kernels have 2 columns'),
    ],
)
def test_fields_of_another_group(shape, match):
    """The numbers of rows and columns are those of the fields."""
    with pytest.raises(ValueError, match=match):
        equivariance_gap(torch.ones(shape), 'C4', 'trivial', 'regular')
