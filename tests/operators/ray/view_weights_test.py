# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the weights of views and rays."""

import dataclasses

import numpy as np
import odl
import pytest

from odl_equivariant.operators.ray.view_weights import (
    Scan,
    measured_share,
    ray_weights,
)

pi = np.pi
HALF_FAN = 0.3
SCANS = {
    'short': (0, pi + 2 * HALF_FAN),
    'less than short': (0, pi),
    'longer': (-1, 0.5 * pi),
    'nearly a turn': (0, 1.98 * pi),
    'more than a turn': (0, 2.3 * pi),
}


def _scan(low, high, n=200, period=2 * pi):
    return Scan.of_partition(odl.uniform_partition(low, high, n), period)


def _weight(scan, edges, angle, p, fan_angle=None):
    """Return the weight of one ray per radian, zero if it is not measured."""
    total = 0.0
    for turn in range(-3, 4):
        image = np.array([angle + 2 * pi * turn])
        if scan.depth(image)[0] < 0 or not edges[0] <= p <= edges[1]:
            continue
        one = dataclasses.replace(scan, angles=image, widths=np.ones(1))
        p_array = np.full((1, 1), p)
        fan_angles = None if fan_angle is None else np.full((1, 1), fan_angle)
        total += float(ray_weights(one, edges, p_array, fan_angles)[0, 0])
    return total


@pytest.mark.parametrize('edges', [(-0.3, 0.3), (-0.1, 0.3), (-0.299, 0.3)])
@pytest.mark.parametrize('name', SCANS)
@pytest.mark.parametrize('beam', ['parallel', 'fan'])
def test_rays_along_a_line_add_up_to_one(beam, name, edges):
    """Each measured line counts once, from whichever sides it is seen."""
    period = pi if beam == 'parallel' else 2 * pi
    scan = _scan(*SCANS[name], period=period)
    rng, totals = np.random.default_rng(0), []
    for _ in range(100):
        angle, p = rng.uniform(0, 2 * pi), rng.uniform(-0.29, 0.29)
        fan = p if beam == 'fan' else None
        other = angle + pi + (2 * p if beam == 'fan' else 0)
        totals.append(
            _weight(scan, edges, angle, p, fan)
            + _weight(scan, edges, other, -p, None if fan is None else -fan)
        )
    totals = np.array(totals)
    measured = totals > 0
    assert measured.mean() > 0.5
    np.testing.assert_allclose(totals[measured], 1, rtol=0, atol=1e-9)


def test_shortest_scan_has_the_weights_of_parker():
    """Parker's weights in the shortest scan of a fan, in his formula."""
    scan = _scan(0, pi + 2 * HALF_FAN, 400)
    angles, fan = scan.angles[:, None], np.linspace(-0.29, 0.29, 31)[None, :]
    rest = pi + 2 * HALF_FAN - angles
    rise = np.sin(pi / 4 * angles / (HALF_FAN - fan)) ** 2
    fall = np.sin(pi / 4 * rest / (HALF_FAN + fan)) ** 2
    expected = np.where(angles < 2 * (HALF_FAN - fan), rise, 1.0)
    expected = np.where(rest < 2 * (HALF_FAN + fan), fall, expected)
    weights = ray_weights(scan, (-HALF_FAN, HALF_FAN), fan, fan)
    weights = weights / scan.widths[:, None]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize('n_views', [2, 7, 90])
@pytest.mark.parametrize('turns', [1, 2, 3])
def test_closed_scan_has_equal_weights(turns, n_views):
    """Whole half turns of parallel beams share each line equally."""
    scan = _scan(0.4, 0.4 + turns * pi, turns * n_views, pi)
    weights = ray_weights(scan, (-1.0, 1.0), np.zeros((1, 1)))
    np.testing.assert_allclose(weights, pi / n_views / turns)


@pytest.mark.parametrize('n_views', [10, 11, 180])
@pytest.mark.parametrize('both_ends', [False, True])
@pytest.mark.parametrize('nodes', [False, True])
def test_widths_of_a_closed_circle_are_those_between_neighbours(
    n_views, both_ends, nodes
):
    """However the partition ends, the cells fill the half turn once."""
    angles = np.linspace(0, pi, n_views, endpoint=both_ends)
    partition = odl.nonuniform_partition(angles, nodes_on_bdry=nodes)
    scan = Scan.of_partition(partition, pi)
    expected = np.full(n_views, angles[1])
    if both_ends:
        # the first and the last are the same view
        expected[[0, -1]] /= 2
    np.testing.assert_allclose(scan.widths, expected, rtol=1e-9)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('n_views', [30, 300])
def test_random_views_have_no_hole(n_views, seed):
    """Gaps between random views are not missing views."""
    angles = np.sort(np.random.default_rng(seed).uniform(0, pi, n_views))
    scan = Scan.of_partition(odl.nonuniform_partition(angles), pi)
    assert scan.turns == 1
    assert scan.widths.sum() == pytest.approx(pi)
    assert scan.widths.min() > 0


def test_missing_wedge_is_no_part_of_the_scan():
    """Views from -60 to 60 degrees cover 120 degrees, however it is said."""
    angles = np.radians(np.arange(-60, 60) + 0.5)
    third = 2 * pi / 3
    for ends in ({}, {'min_pt': -pi / 2, 'max_pt': pi / 2}):
        partition = odl.nonuniform_partition(angles, **ends)
        scan = Scan.of_partition(partition, pi)
        assert scan.turns is None
        assert scan.length == pytest.approx(third, rel=0.01)
        share = measured_share(scan, (-1.0, 1.0), 0.5)
        assert share == pytest.approx(2 / 3, abs=0.01)


def test_share_of_lines_needs_the_fan():
    """Half a turn of a fan leaves out lines that it takes to see all."""
    edges = (-HALF_FAN, HALF_FAN)
    half, short = _scan(0, pi), _scan(0, pi + 2 * HALF_FAN)
    assert measured_share(half, edges, 0.0, True) == 1
    assert 0.85 < measured_share(half, edges, 0.29, True) < 0.97
    assert measured_share(short, edges, 0.29, True) == 1
