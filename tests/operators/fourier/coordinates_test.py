# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of coordinates of k-space and of trajectories."""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.operators import (
    UnitaryFourierTransform,
    angular_frequencies,
    radial_trajectory,
    spiral_trajectory,
)

SPACE = odl.uniform_discr([-1, 0], [1, 0.3], (6, 5), dtype='complex64')
SQUARE = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype='complex64')


@pytest.mark.parametrize(
    'unit, factors',
    [
        ('radians/length', [1, 1]),
        ('cycles/length', [2 * np.pi, 2 * np.pi]),
        ('radians/cell', [3, 5 / 0.3]),
        ('cycles/cell', [6 * np.pi, 10 * np.pi / 0.3]),
        ('cycles/field', [np.pi, 2 * np.pi / 0.3]),
    ],
)
@pytest.mark.parametrize('kind', [np.asarray, torch.tensor])
def test_units(unit, factors, kind):
    """Each unit has its own factor along each axis."""
    points = [[[0.25, -0.5]], [[1, 0]]]
    result = angular_frequencies(SPACE, kind(points), unit)
    np.testing.assert_allclose(result, np.multiply(points, factors))


def test_periods_in_the_field_are_the_grid():
    """Whole numbers of periods in the field are the grid's frequencies."""
    grid = np.stack(
        np.meshgrid(np.arange(6) - 3, np.arange(5) - 2, indexing='ij'), -1
    )
    result = angular_frequencies(SPACE, grid, 'cycles/field')
    expected = UnitaryFourierTransform(SPACE).range.points()
    np.testing.assert_allclose(
        result.reshape(-1, 2), np.asarray(expected), atol=1e-9
    )


def test_wrong_unit():
    """A unit that is not known is refused, with those that are."""
    with pytest.raises(ValueError, match="one of 'radians/length'.*'1/m'"):
        angular_frequencies(SPACE, [[0, 0]], '1/m')


# --- Trajectories --- #


@pytest.mark.parametrize('golden', [False, True])
def test_spokes(golden):
    """Spokes pass the zero frequency and stay within the grid."""
    points = radial_trajectory(SQUARE, 7, golden_angle=golden)
    assert points.shape == (7, 32, 2)
    np.testing.assert_allclose(points[:, 16], 0, atol=1e-12)
    radii = np.hypot(*points.T)
    assert radii.max() == pytest.approx(8 * np.pi)
    step = np.pi * (2 / (1 + 5**0.5) if golden else 1 / 7)
    angles = np.arctan2(points[:, -1, 1], points[:, -1, 0])
    # lines have no direction
    np.testing.assert_allclose(np.sin(np.diff(angles) - step), 0, atol=1e-12)


def test_cells_that_are_not_square():
    """The radius is the largest that both axes have."""
    for points in (radial_trajectory(SPACE, 5), spiral_trajectory(SPACE, 5)):
        assert np.abs(points).max() <= 3 * np.pi * (1 + 1e-12)


@pytest.mark.parametrize('golden', [False, True])
def test_spirals(golden):
    """Spirals begin at zero and are dense up to the largest radius."""
    points = spiral_trajectory(SQUARE, 4, golden_angle=golden)
    radii = np.hypot(points[..., 0], points[..., 1])
    np.testing.assert_allclose(radii[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(radii[:, -1], 8 * np.pi)
    # neighbours are half as far apart as those of the grid
    steps = np.hypot(*np.diff(points[0], axis=0).T)
    np.testing.assert_allclose(steps, np.pi / 2, rtol=0.1)


def test_interleaves_are_turned():
    """Each spiral is the one before, turned by the same angle."""
    points = spiral_trajectory(SQUARE, 4)
    turned = points[:-1] @ np.array([[0, 1], [-1, 0]])
    np.testing.assert_allclose(points[1:], turned, atol=1e-12)


@pytest.mark.parametrize('function', [radial_trajectory, spiral_trajectory])
def test_wrong_arguments(function):
    """Numbers are positive and whole, and images have two axes."""
    with pytest.raises(ValueError, match='positive whole number, got 0'):
        function(SQUARE, 0)
    with pytest.raises(TypeError, match='whole number, got 1.5'):
        function(SQUARE, 1.5)
    with pytest.raises(TypeError, match='`golden_angle`'):
        function(SQUARE, 3, golden_angle=1)
    with pytest.raises(ValueError, match='two-dimensional'):
        function(odl.cn((2, 2, 2)), 3)
