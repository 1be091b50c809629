# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about inpainting by total variation."""

import pytest


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example with fewer iterations."""
    return run_example(
        'tv_inpainting_is_not.py',
        tmp_path_factory.mktemp('example'),
        [('n_iterations = 100', 'n_iterations = 40')],
    )


def test_the_functional_is_invariant_and_the_method_is_not(example):
    """Neither the mask nor the method commutes with the turn."""
    functional, mask, method, _ = example['errors'].values()
    assert functional < 1e-12
    assert mask > 0.3
    assert method > 0.3


def test_with_the_operator_turned_too_the_law_holds(example):
    """As a map of data and operator, to rounding."""
    *_, law = example['errors'].values()
    assert law < 1e-10


def test_with_the_mask_turned_the_pictures_are_equal(example):
    """The same, for turned data and the conjugated mask."""
    upright, turn = example['upright'], example['turn']
    gap = turn.inverse(example['turned']['the turned mask']) - upright
    assert gap.norm() < 1e-10 * upright.norm()
    gap = turn.inverse(example['turned']['the old mask']) - upright
    assert gap.norm() > 0.3 * upright.norm()


def test_the_method_inpaints(example):
    """The counterexample is made with a method that does its work."""
    truth, y = example['truth'], example['y']
    assert (example['upright'] - truth).norm() < 0.2 * (y - truth).norm()
