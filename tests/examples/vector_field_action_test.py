# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about turned vector fields."""

import numpy as np
import pytest

from odl_equivariant.diagnostics import assert_equivariant


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example as it is."""
    return run_example(
        'vector_field_action.py', tmp_path_factory.mktemp('example')
    )


def test_the_invariant_gradient_turns_with_the_image(example):
    """Rounding for it, percents for forward differences."""
    errors = example['gradient_errors']
    assert errors['invariant gradient', 'turned'] < 1e-12
    assert errors['forward differences', 'turned'] > 0.01


def test_moving_the_components_is_not_enough(example):
    """Arrows at right angles miss each other by sqrt(2) times the length."""
    errors = example['gradient_errors']
    for name in example['gradients']:
        assert errors[name, 'moved'] == pytest.approx(np.sqrt(2), rel=0.1)


def test_the_invariant_gradient_commutes_on_noise_as_well(example):
    """The smooth image of the example is no special case."""
    gradient = example['gradients']['invariant gradient']
    assert_equivariant(gradient, example['turn'], example['turn_field'])


def test_the_gradient_is_the_gradient(example):
    """The mean of the stencils approximates the derivatives."""
    space, u, v = example['space'], example['u'], example['v']
    x, _ = space.meshgrid
    slope = -24 * (x - 0.4) * u.asarray()
    interior = (slice(2, -2), slice(2, -2))
    gap = (v[0].asarray() - slope)[interior]
    assert np.abs(gap).max() < 0.02 * np.abs(slope).max()


def test_rectifiers(example):
    """Of the length: equivariant. Of the components: not."""
    errors = example['rectifier_errors']
    assert errors['of the length'] < 1e-12
    assert errors['of the components'] > 0.3
    shortened = example['rectifiers']['of the length'](example['v'])
    assert 0.1 < float(shortened.norm() / example['v'].norm()) < 0.99
