# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of conformal calibration."""

import math
import re
from fractions import Fraction

import numpy as np
import odl
import pytest

from odl_equivariant.elements import as_tensor
from odl_equivariant.uncertainty import (
    Calibration,
    GaussianNoise,
    Uncertainty,
    bootstrap,
    calibrate,
)

SPACE = odl.uniform_discr([0, 0], [1, 1], (3, 4))


def method(data):
    """Return samples around zero, whose size the data say."""
    size = float(as_tensor(data).max())
    norm = size * float(SPACE.one().norm())
    # two samples, plus and minus the size
    deviation = 2**0.5 * size * SPACE.one()
    zero = SPACE.zero()
    return Uncertainty(zero, zero, deviation, np.array([norm, norm]), None)


def draw(rng, scale=3.0):
    """Return exchangeable data and truth, whose errors the size knows."""
    size = float(rng.uniform(1, 2))
    heavy = rng.standard_t(3, SPACE.shape) * float(rng.uniform(0.5, 2))
    return size * SPACE.one(), SPACE.element(scale * size * heavy)


def outcomes(level, n, n_rounds):
    """Return the coverages of one new image after each calibration."""
    rng = np.random.default_rng(0)
    contained, covered = [], []
    for _ in range(n_rounds):
        found = calibrate(method, [draw(rng) for _ in range(n)], level)
        data, truth = draw(rng)
        result = method(data)
        contained.append(found.contains(result, truth))
        covered.append(found.covered(result, truth))
    return np.array(contained), np.array(covered)


@pytest.mark.parametrize(('level', 'n'), [(0.8, 9), (0.5, 4)])
def test_calibrated_region_has_its_level(level, n):
    """A new image is within the region with the probability of the level.

    Exactly so, with k of n + 1 ranks.
    """
    n_rounds = 150
    contained, _ = outcomes(level, n, n_rounds)
    expected = math.ceil((n + 1) * level) / (n + 1)
    error = math.sqrt(expected * (1 - expected) / n_rounds)
    assert abs(contained.mean() - expected) < 3 * error
    assert expected >= level


def test_calibrated_intervals_have_their_level():
    """In the mean, at least the share of the level is covered."""
    level, n_rounds = 0.8, 150
    _, covered = outcomes(level, 9, n_rounds)
    error = covered.std() / math.sqrt(n_rounds)
    assert covered.mean() > level - 3 * error
    # and not everything: the bound is sharp up to 2 / (n + 1)
    assert covered.mean() < level + 0.2 + 3 * error


def test_factor_of_the_region_is_an_order_statistic():
    """The factor is the k-th smallest score, k = ceil((n + 1) level)."""
    pairs = [
        (SPACE.one(), float(error) * SPACE.one())
        for error in np.random.default_rng(0).permutation(np.arange(1, 11))
    ]
    for level in (0.1, 0.5, 0.7, 0.72, 0.9):
        rank = math.ceil(11 * Fraction(repr(level)))
        found = calibrate(method, pairs, level)
        assert np.isclose(found.radius_factor, rank)


def test_factor_of_the_intervals_controls_the_risk():
    """It is the smallest one with (sum of shares + 1) / (n + 1) <= 1 - a."""
    rng = np.random.default_rng(1)
    pairs = [draw(rng) for _ in range(13)]
    found = calibrate(method, pairs, 0.75)

    def risk(width):
        shares = []
        for data, truth in pairs:
            size = float(as_tensor(data).max())
            outside = np.abs(truth.asarray()) > width * size
            shares.append(outside.mean())
        return (sum(shares) + 1) / 14

    assert risk(found.width_factor * (1 + 1e-9)) <= 0.25
    assert risk(found.width_factor * (1 - 1e-9)) > 0.25


def test_calibration_of_exact_levels():
    """The digits of a level are not rounded upwards."""
    pairs = [(SPACE.one(), float(k) * SPACE.one()) for k in range(1, 100)]
    # 0.55 * 100 is 55.00000000000001 in binary
    assert np.isclose(calibrate(method, pairs, 0.55).radius_factor, 55)


@pytest.mark.parametrize(
    ('level', 'needed'), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1)]
)
def test_too_few_examples(level, needed):
    """The error says how many are needed, before anything is computed."""

    def fails(data):
        raise AssertionError

    pairs = [(SPACE.one(), SPACE.one())] * (needed - 1)
    text = f'at least {needed} examples, got {needed - 1}'
    with pytest.raises(ValueError, match=re.escape(text)):
        calibrate(fails, pairs, level)
    pairs = [(SPACE.one(), SPACE.zero())] * needed
    assert calibrate(method, pairs, level).n == needed


def test_examples_that_do_not_vary():
    """An estimated error of zero gives no scale."""
    identity = odl.IdentityOperator(SPACE)
    constant = bootstrap(identity, identity, None, [], 2)
    pairs = [(SPACE.one(), SPACE.zero())] * 9
    with pytest.raises(ValueError, match='example 0'):
        calibrate(constant, pairs)


def test_pixels_that_do_not_vary():
    """Neither do pixels that never vary."""
    identity = odl.IdentityOperator(SPACE)
    sigma = np.zeros(SPACE.shape)
    sigma[0, 0] = 1
    partly = bootstrap(identity, identity, GaussianNoise(sigma), [], 3)
    pairs = [(SPACE.one(), SPACE.zero())] * 9
    with pytest.raises(ValueError, match='do not vary there'):
        calibrate(partly, pairs)


def test_calibration_takes_generators():
    """Pairs may be computed on the way."""
    pairs = [(SPACE.one(), float(k) * SPACE.one()) for k in range(9)]
    expected = calibrate(method, pairs)
    assert calibrate(method, iter(pairs)) == expected
    assert isinstance(expected, Calibration)


def test_calibration_refuses_what_is_no_pair():
    """Images without data are an error."""
    with pytest.raises(TypeError, match='pairs'):
        calibrate(method, [SPACE.one()] * 9)


def test_widths_of_intervals(backend):
    """Intervals of complex pixels are discs with real radii."""
    space = odl.uniform_discr(
        [0, 0], [1, 1], (4, 4), dtype='complex64', impl=backend
    )
    identity = odl.IdentityOperator(space)
    noise = GaussianNoise(0.1)
    resampled = bootstrap(identity, identity, noise, [], 10)
    pairs = [(noise(space.one(), rng=j), space.one()) for j in range(9)]
    found = calibrate(resampled, pairs)
    result = resampled(pairs[0][0])
    width = found.width(result)
    assert width in space.real_space
    gap = as_tensor(result.estimate - space.one())[0].norm(dim=0)
    inside = float((gap <= as_tensor(width)[0, 0]).double().mean())
    assert np.isclose(found.covered(result, space.one()), inside)
