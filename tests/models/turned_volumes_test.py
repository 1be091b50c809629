# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the shipped networks for volumes do with turned scans."""

import numpy as np
import pytest

from odl_equivariant import models
from odl_equivariant.actions import group_actions
from odl_equivariant.data import VolumeMRI, ellipsoid_phantom

# even and odd
SIZES = (8, 9)


def errors_of_turns(name, size):
    """Return the relative errors of all turns of a scan but the identity."""
    mri = VolumeMRI(3 * (size,), acceleration=4, seed=0)
    A = mri.operator
    y = mri.simulate(ellipsoid_phantom(3 * (size,), rng=0), rng=0)
    network = models.load(name, A)
    upright = network.as_operator()(y)
    turns = group_actions(A.domain, 'O')
    assert len(turns) == 24

    def error(turn):
        turned = network.with_operator(A @ turn).as_operator()(y)
        expected = turn.inverse(upright)
        return float((turned - expected).norm()) / float(expected.norm())

    found = [error(turn) for turn in turns]
    # the identity is one of them
    assert min(found) < 1e-6
    return np.sort(found)[1:]


@pytest.mark.slow
@pytest.mark.parametrize('size', SIZES)
def test_the_network_of_the_cube_turns_with_the_scan(size):
    """All 24 rotations: Phi(y; A T_g) = T_g^-1 Phi(y; A), up to 1e-5."""
    assert errors_of_turns('volume_mri_o', size).max() < 1e-5


@pytest.mark.slow
def test_its_ordinary_twin_does_not_turn():
    """No rotation but the identity is kept, to one per cent."""
    assert errors_of_turns('volume_mri_ordinary', SIZES[0]).min() > 1e-2
