# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Matrices have the symmetries that the rays share with the grid."""

import dataclasses

import numpy as np
import odl
import pytest
from odl.applications.tomo import (
    FanBeamGeometry,
    Parallel2dGeometry,
    RayTransform,
)

from odl_equivariant.actions import group_actions, induced_action
from odl_equivariant.diagnostics import equivariance_error
from odl_equivariant.operators.ray.geometry import ray_geometry
from odl_equivariant.operators.ray.matrix_building import MatrixBuilder
from odl_equivariant.operators.ray.symmetry import ray_symmetry


def images(shape=(12, 12), centre=(0, 0), dtype='float64', unit=1.0):
    """Return functions on a rectangle with square cells."""
    half = np.array(shape) / max(shape)
    low, high = unit * (centre - half), unit * (centre + half)
    return odl.uniform_discr(low, high, shape, dtype=dtype)


def parallel(views=(0, np.pi, 8), n_detectors=18, unit=1.0, shift=(0, 0)):
    """Return parallel beams about a point."""
    return Parallel2dGeometry(
        odl.uniform_partition(*views),
        odl.uniform_partition(-1.5 * unit, 1.5 * unit, n_detectors),
        translation=unit * np.array(shift),
    )


def fan(n_views=8, n_detectors=19, half=3.0, unit=1.0):
    """Return fan beams all around."""
    return FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, n_views),
        odl.uniform_partition(-half * unit, half * unit, n_detectors),
        src_radius=4 * unit,
        det_radius=4 * unit,
    )


TURN = 2 * np.pi
CASES = {
    'even': (parallel(), images(), 8),
    'odd grid': (parallel((0, np.pi, 6), 19), images((13, 13)), 8),
    'odd views': (parallel((0, np.pi, 7)), images((13, 13)), 4),
    'full circle': (parallel((0, TURN, 12)), images(), 8),
    'full circle, odd': (parallel((0, TURN, 7)), images(), 4),
    'between': (parallel((0.1, 0.1 + np.pi, 8)), images(), 4),
    'rectangle': (parallel(), images((12, 8)), 4),
    'far': (parallel(shift=(3, -2)), images(centre=(3, -2)), 8),
    'limited': (parallel((0.2, 1.2, 5)), images(), 2),
    'nanometres': (parallel(unit=1e-9), images(unit=1e-9), 8),
    'one detector': (parallel(n_detectors=1), images(), 8),
    'one view': (parallel((0, 1, 1)), images(), 2),
    'fan': (fan(), images(), 8),
    'fan, odd': (fan(7, 18), images((13, 13)), 2),
    'fan, nanometres': (fan(12, unit=1e-9), images(unit=1e-9), 8),
}
cases = pytest.mark.parametrize('name', CASES)


@cases
def test_order_of_the_group(name):
    """All turns and reflections that fit the rays are found, no others."""
    geometry, space, order = CASES[name]
    symmetry = ray_symmetry(geometry, space)
    assert symmetry.order == order
    assert symmetry.is_group


@cases
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('model', ['', '_line'])
def test_projections_intertwine_the_actions(name, dtype, model):
    """A T_g = S_g A to rounding for each element of the group."""
    geometry, space, order = CASES[name]
    operator = RayTransform(
        space.astype(dtype), geometry, impl=f'astra_matrix{model}'
    )
    group = 'D4' if space.shape[0] == space.shape[1] else 'D2'
    found, tolerance = 0, 1e-12 if dtype == 'float64' else 1e-6
    for action in group_actions(operator.domain, group):
        try:
            induced = induced_action(operator, action)
        except ValueError:
            continue
        found += 1
        error = equivariance_error(operator, action, induced)
        assert error < tolerance
    assert found == order


@pytest.mark.parametrize('beam', ['parallel', 'fan'])
def test_strips_intertwine_the_actions(beam):
    """A T_g = S_g A to rounding for areas of strips too."""
    geometry = parallel() if beam == 'parallel' else fan(8, 61)
    operator = RayTransform(images(), geometry, impl='astra_matrix_strip')
    for action in group_actions(operator.domain, 'D4'):
        induced = induced_action(operator, action)
        assert equivariance_error(operator, action, induced) < 1e-12


@cases
def test_average_is_near_the_projector(name):
    """The average changes ASTRA's weights by their rounding errors only."""
    geometry, space, _ = CASES[name]
    # a line along the border of pixels is given to one of them by ASTRA
    model = 'line' if name.startswith('fan') else 'strip'
    rays = ray_geometry(geometry, space, model)
    symmetry = ray_symmetry(geometry, space)
    plain = dataclasses.replace(
        symmetry,
        movers=symmetry.movers[:1],
        views=symmetry.views[:1],
        reversed=symmetry.reversed[:1],
    )
    expected = MatrixBuilder(rays, np.float64, plain)
    matrix = MatrixBuilder(rays, np.float64, symmetry).build(np.inf)
    gap = abs(matrix - expected.build(np.inf)).max()
    assert gap < 1e-4 * abs(matrix).max()


def test_views_that_are_measured_twice():
    """Where a view comes from is not unique: the matrix stays as it is."""
    symmetry = ray_symmetry(parallel((0, 3 * np.pi, 12)), images())
    assert symmetry.is_group


@pytest.mark.parametrize('angle, order', [(1e-9, 8), (1e-5, 4)])
def test_views_that_are_a_little_off(angle, order):
    """Angles that move the rim of an image are others."""
    symmetry = ray_symmetry(parallel((angle, angle + np.pi, 8)), images())
    assert symmetry.order == order


def test_few_views_are_projected():
    """One view of each orbit is built, the others are its images."""
    symmetry = ray_symmetry(parallel((0, np.pi, 48)), images())
    built, sources = symmetry.orbits()
    assert len(built) == 12 and len(sources) == 48
    for view, (source, element) in enumerate(sources):
        assert symmetry.views[element, source] == view
