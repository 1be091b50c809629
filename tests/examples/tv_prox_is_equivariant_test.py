# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What the example says about proximals of total variations."""

import pytest


@pytest.fixture(scope='module')
def example(run_example, tmp_path_factory):
    """Run the example with fewer iterations."""
    return run_example(
        'tv_prox_is_equivariant.py',
        tmp_path_factory.mktemp('example'),
        [
            ('(50, 100, 200)', '(50, 100)'),
            ('ForwardProximal(200)', 'ForwardProximal(100)'),
        ],
    )


def test_forward_differences_do_not_commute(example):
    """The error is percents, and more iterations do not reduce it."""
    few, many = example['forward_errors'].values()
    assert many > 0.01
    assert many == pytest.approx(few, rel=0.1)


def test_the_invariant_proximal_commutes(example):
    """To rounding for every tolerance, as its iterations do."""
    assert max(example['cold_errors'].values()) < 1e-13


def test_with_a_warm_start_the_error_falls_with_the_tolerance(example):
    """Each result is within the tolerance times |f| of the minimiser."""
    f, u = example['f'], example['images']['invariant']
    errors = list(example['warm_errors'].values())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 50
    for tol, error in example['warm_errors'].items():
        # 1.2: |u| depends a little on the tolerance
        assert 1e-12 < error <= 1.2 * 2 * tol * f.norm() / u.norm()


def test_the_proximal_denoises(example):
    """The comparison is made where there is something to do."""
    f, truth = example['f'], example['truth']
    for name in ('forward differences', 'invariant'):
        error = (example['images'][name] - truth).norm()
        assert error < 0.8 * (f - truth).norm()
