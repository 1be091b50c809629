# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Grids with an array of weights, which ODL cannot print."""

import pathlib
import re

import numpy as np
import odl
import pytest

import odl_equivariant
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
    LearnedProximal,
    LearnedRegularizer,
)
from odl_equivariant.nn import OrdinaryProximal, RidgeEnergy


@pytest.fixture
def space():
    weights = np.linspace(1, 2, 56).reshape(7, 8)
    return odl.uniform_discr([0, 0], [1, 1], (7, 8), weighting=weights)


@pytest.mark.parametrize(
    'variation', [InvariantTotalVariation, InvariantTotalGeneralizedVariation]
)
def test_variations_can_be_printed(space, variation):
    assert 'of shape (7, 8)' in repr(variation(space))


def test_errors_of_functionals_are_their_own(space):
    energy = RidgeEnergy('C4', 5, n_filters=4)
    with pytest.raises(ValueError, match=r'one weight.*of shape \(7, 8\)'):
        LearnedRegularizer(space, energy, sigma=0.1)
    block = OrdinaryProximal(2, 4, memory=0, gradient=False)
    with pytest.raises(ValueError, match=r'of shape \(7, 8\)'):
        LearnedProximal(space.astype('float32'), block)


def test_no_message_leaves_the_printing_of_spaces_to_odl():
    folder = pathlib.Path(odl_equivariant.__file__).parent
    pattern = re.compile(r'\b(space|leaf|domain|range)!r\}')
    found = [
        str(file.relative_to(folder))
        for file in sorted(folder.rglob('*.py'))
        if pattern.search(file.read_text('utf-8'))
    ]
    assert not found, (
        'write `describe_space(...)` of `odl_equivariant.elements`'
    )
