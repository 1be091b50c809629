# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the rays that ASTRA is given for ODL's geometries."""

import functools
import pickle

import numpy as np
import odl
import pytest
from odl.applications.tomo import (
    FanBeamGeometry,
    Parallel2dGeometry,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from odl.applications.tomo.backends.astra_cpu import astra_cpu_projector
from odl.core.util.testutils import simple_fixture

from odl_equivariant.operators.ray.geometry import ray_geometry
from odl_equivariant.operators.ray.matrix_building import MatrixBuilder
from odl_equivariant.operators.ray.symmetry import ray_symmetry

MODELS = [
    ('parallel', 'line'),
    ('parallel', 'strip'),
    ('parallel', 'linear'),
    ('fan', 'line'),
    ('fan', 'strip'),
]
each_model = pytest.mark.parametrize('beam, model', MODELS)
shape = simple_fixture('shape', [(64, 64), (65, 51)])

CENTRE = np.array([-0.2, 0.1])
RADIUS = 0.4


def disk_space(shape=(64, 64), **kwargs):
    """Return a space of images that are not centred at the origin."""
    low = np.array([-1.0, -0.8])
    high = low + 1.6 / 64 * np.array(shape)
    return odl.uniform_discr(low, high, shape, dtype='float64', **kwargs)


def disk(space):
    """Return the part of each cell that a disk covers."""
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')
    steps = (np.arange(8) - 3.5)[:, None] / 8 * space.cell_sides
    inside = [
        (x + dx - CENTRE[0]) ** 2 + (y + dy - CENTRE[1]) ** 2 < RADIUS**2
        for dx in steps[:, 0]
        for dy in steps[:, 1]
    ]
    return np.mean(inside, axis=0)


def chords(geometry):
    """Return the lengths of the rays in the disk, from ODL's geometry."""
    points = np.asarray(geometry.det_partition.coord_vectors[0])
    rows = []
    for angle in np.atleast_1d(geometry.angles):
        position = geometry.det_point_position(angle, points)
        direction = geometry.det_to_src(angle, points)
        to_centre = CENTRE - position
        distance = (
            to_centre[..., 0] * direction[..., 1]
            - to_centre[..., 1] * direction[..., 0]
        )
        rows.append(2 * np.sqrt(np.maximum(RADIUS**2 - distance**2, 0)))
    return np.array(rows)


def matrix_of(geometry, space, model=None):
    """Return the matrix that ASTRA makes for a geometry."""
    rays = ray_geometry(geometry, space, model)
    symmetry = ray_symmetry(geometry, space)
    return MatrixBuilder(rays, np.float64, symmetry).build(np.inf)


def line_integrals(geometry, space, model):
    """Return the data of the disk."""
    data = matrix_of(geometry, space, model) @ disk(space).ravel()
    return data.reshape(geometry.partition.shape)


def error(data, geometry):
    """Return the distance of data from the chords of the disk."""
    expected = chords(geometry)
    return np.linalg.norm(data - expected) / np.linalg.norm(expected)


ANGLES = odl.uniform_partition(0, 2 * np.pi, 7)
DETECTOR = odl.uniform_partition(-1.5, 1.5, 80)


@pytest.mark.parametrize('model', ['line', 'strip', 'linear'])
@pytest.mark.parametrize(
    'change',
    [
        {},
        {'dpart': odl.uniform_partition(-0.9, 1.7, 80)},
        {'det_pos_init': (1, 0.5)},
        {'det_axis_init': (-1, 0)},
        {'translation': (0.2, -0.1)},
        {'apart': odl.nonuniform_partition([0.0, 0.1, 0.7, 2.0, 2.1])},
    ],
    ids=lambda change: next(iter(change), 'standard'),
)
def test_parallel_rays_are_those_of_the_geometry(change, model, shape):
    """The data of a disk are its chords, wherever the detector is."""
    geometry = Parallel2dGeometry(
        **{'apart': ANGLES, 'dpart': DETECTOR, **change}
    )
    data = line_integrals(geometry, disk_space(shape), model)
    assert error(data, geometry) < 0.04


@pytest.mark.parametrize('radii', [(2, 2), (3, 0), (40, 1), (1.6, 5)])
@pytest.mark.parametrize('model', ['line', 'strip'])
def test_fan_rays_are_those_of_the_geometry(radii, model, shape):
    """The data of a disk are its chords, wherever source and detector are."""
    scale = sum(radii) / radii[0]
    geometry = FanBeamGeometry(
        ANGLES, odl.uniform_partition(-1.5 * scale, 1.5 * scale, 80), *radii
    )
    data = line_integrals(geometry, disk_space(shape), model)
    assert error(data, geometry) < 0.04


def test_fan_with_a_detector_beside_the_middle():
    """The detector of a fan need not be centred."""
    geometry = FanBeamGeometry(
        ANGLES, odl.uniform_partition(-2, 3.5, 100), 2, 2, translation=(0.1, 0)
    )
    data = line_integrals(geometry, disk_space(), 'line')
    assert error(data, geometry) < 0.04


def test_fan_with_a_source_that_moves():
    """Shifts of source and detector in each view are used."""
    geometry = FanBeamGeometry(
        ANGLES,
        odl.uniform_partition(-3, 3, 100),
        2,
        2,
        src_shift_func=functools.partial(
            odl.applications.tomo.flying_focal_spot,
            apart=ANGLES,
            shifts=[[0.1, 0.3], [-0.1, -0.2]],
        ),
        det_shift_func=lambda angle: np.multiply.outer(angle, [0.0, 0.2]),
    )
    data = line_integrals(geometry, disk_space(), 'line')
    assert error(data, geometry) < 0.04


@each_model
def test_rays_are_those_of_odl(beam, model, shape):
    """Rays agree with ODL's where ODL's are right."""
    space = disk_space(shape).astype('float32')
    if beam == 'fan':
        geometry = FanBeamGeometry(ANGLES, DETECTOR, 3, 2)
        name = 'line_fanflat'
    else:
        geometry = Parallel2dGeometry(ANGLES, DETECTOR)
        name = model
    x = space.element(disk(space))
    range = odl.uniform_discr_frompartition(
        geometry.partition, dtype='float32'
    )
    expected = astra_cpu_projector(
        'forward', x, geometry, range, astra_proj_type=name
    ).data
    data = line_integrals(geometry, space, model)
    # ASTRA rounds other numbers in ODL's unit of length than in cells; ODL's
    # description of a fan has no strips, but lines are close
    tolerance = 0.05 if (beam, model) == ('fan', 'strip') else 5e-5
    assert np.abs(data - expected).max() < tolerance * expected.max()


def test_boundary_nodes_are_centres_of_whole_cells():
    """Half cells at the boundary do not move the nodes."""
    cut = odl.uniform_discr(
        [-1, -1], [1, 1], (8, 8), nodes_on_bdry=True, dtype='float64'
    )
    half = float(cut.cell_sides[0]) / 2
    whole = odl.uniform_discr(
        [-1 - half] * 2, [1 + half] * 2, (8, 8), dtype='float64'
    )
    # the middle of what is cut at one end is not the middle of the nodes
    detector = odl.uniform_partition(-2, 2, 15, nodes_on_bdry=(True, False))
    half = float(detector.cell_sides[0]) / 2
    wide = odl.uniform_partition(-2 - half, 2, 15)
    expected = matrix_of(Parallel2dGeometry(ANGLES, wide), whole)
    matrix = matrix_of(Parallel2dGeometry(ANGLES, detector), cut)
    assert abs(matrix - expected).max() < 1e-6


@each_model
@pytest.mark.parametrize('n_views, n_detectors', [(1, 9), (5, 1), (1, 1)])
def test_smallest_geometries(beam, model, n_views, n_detectors):
    """One view and one detector element suffice."""
    angles = odl.uniform_partition(0, 1, n_views)
    half = 0.02 * n_detectors
    detector = odl.uniform_partition(-half, half, n_detectors)
    if beam == 'fan':
        geometry = FanBeamGeometry(angles, detector, 30, 0)
    else:
        geometry = Parallel2dGeometry(angles, detector)
    matrix = matrix_of(geometry, disk_space(), model)
    assert matrix.shape == (n_views * n_detectors, 64**2)
    # every ray meets at least the shorter side of the image
    assert matrix.sum(axis=1).min() > 1.5


@each_model
@pytest.mark.parametrize('centre', [0.0, 0.3])
def test_estimate_of_the_size(beam, model, centre):
    """A few views give the number of entries, with a bound."""
    space = odl.uniform_discr([centre - 1, -1], [centre + 1, 1], (40, 40))
    for n_views, n_detectors in ((30, 61), (52, 25)):
        if beam == 'parallel':
            geometry = parallel_beam_geometry(space, n_views, n_detectors)
        elif (model, centre) == ('strip', 0.3):
            return
        else:
            geometry = cone_beam_geometry(
                space, 2.0, 3.0, num_angles=n_views, det_shape=n_detectors
            )
        symmetry = ray_symmetry(geometry, space)
        rays = ray_geometry(geometry, space, model)
        builder = MatrixBuilder(rays, np.float32, symmetry)
        expected = builder.estimate()
        matrix = builder.build(np.inf)
        assert matrix.nnz == np.count_nonzero(matrix.data)
        assert expected == pytest.approx(matrix.nnz, rel=0.03)
        assert matrix.nnz <= builder.nonzeros_bound


# --- Units of length --- #

UNITS = [1e-9, 1e-8, 1e-6, 1e-5, 1e-3, 1e3, 1e6]


def scaled_geometry(beam, model, unit, change):
    """Return a geometry and a grid with all lengths in another unit."""
    half = unit * np.array([0.4, 0.5])
    middle = unit * np.array([0.1, -0.2])
    if (beam, model) == ('fan', 'strip'):
        middle = 0 * middle
    space = odl.uniform_discr(middle - half, middle + half, (32, 40))
    if beam == 'parallel':
        detector = odl.uniform_partition(-unit, unit, 61)
        return Parallel2dGeometry(ANGLES, detector, **change), space
    detector = odl.uniform_partition(-2 * unit, 2 * unit, 301)
    return FanBeamGeometry(ANGLES, detector, 3 * unit, 2 * unit), space


@each_model
@pytest.mark.parametrize('unit', UNITS)
def test_unit_of_length_does_not_matter(beam, model, unit):
    """Scaling all lengths scales the matrix."""
    expected = matrix_of(*scaled_geometry(beam, model, 1.0, {}), model)
    matrix = matrix_of(*scaled_geometry(beam, model, unit, {}), model) / unit
    assert abs(matrix - expected).max() < 1e-5 * abs(expected).max()


@pytest.mark.parametrize('unit', UNITS)
def test_unit_of_length_of_a_shifted_detector(unit):
    """The distance of ODL's detector costs no digits."""
    expected, matrix = (
        matrix_of(
            *scaled_geometry(
                'parallel',
                'linear',
                u,
                {'translation': (0.13 * u, 0.02 * u)},
            )
        )
        / u
        for u in (1.0, unit)
    )
    assert abs(matrix - expected).max() < 1e-5 * abs(expected).max()


def test_grids_far_from_the_origin():
    """Shifting grid and detector does not change the matrix."""
    detector = odl.uniform_partition(-1.5, 1.5, 37)
    expected = matrix_of(
        Parallel2dGeometry(ANGLES, detector),
        odl.uniform_discr([-1, -1], [1, 1], (16, 16)),
    )
    shift = np.array([1e4, -3e3])
    matrix = matrix_of(
        Parallel2dGeometry(ANGLES, detector, translation=shift),
        odl.uniform_discr(shift - 1, shift + 1, (16, 16)),
    )
    assert abs(matrix - expected).max() < 1e-5


@pytest.mark.parametrize('unit', [1e-9, 1.0])
def test_strips_in_rectangular_cells_are_refused(unit):
    """Areas of strips are for square cells; the error names the model."""
    space = odl.uniform_discr([-unit, -unit], [unit, unit], (8, 12))
    detector = odl.uniform_partition(-unit, unit, 9)
    geometry = Parallel2dGeometry(ANGLES, detector)
    with pytest.raises(ValueError, match='square cells.*matrix_line'):
        ray_geometry(geometry, space, 'strip')


@pytest.mark.parametrize('unit', [1e-9, 1.0])
def test_uneven_detectors_are_refused(unit):
    """Detector elements of unequal widths are refused, also tiny ones."""
    space = odl.uniform_discr([-unit, -unit], [unit, unit], (8, 8))
    detector = odl.nonuniform_partition(unit * np.array([-1, -0.4, 0.3, 1]))
    geometry = Parallel2dGeometry(ANGLES, detector)
    with pytest.raises(ValueError, match='equal size'):
        ray_geometry(geometry, space)


# --- Rectangular cells and curved detectors --- #


def _fan(detector, **kwargs):
    return FanBeamGeometry(ANGLES, detector, 3, 2, **kwargs)


BEAMS = {
    'parallel': lambda: Parallel2dGeometry(
        ANGLES, odl.uniform_partition(-1.4, 1.5, 75)
    ),
    'fan': lambda: _fan(odl.uniform_partition(-2.6, 2.4, 75)),
    'curved': lambda: _fan(
        odl.uniform_partition(-0.6, 0.55, 75), det_curvature_radius=4.0
    ),
}


@pytest.mark.parametrize('beam', BEAMS)
@pytest.mark.parametrize('cells', [(128, 64), (50, 111), (64, 64)])
def test_chords_in_any_cells(beam, cells):
    """A disk has its chords, in square and in rectangular cells."""
    geometry = BEAMS[beam]()
    space = odl.uniform_discr([-1.0, -0.8], [0.6, 0.8], cells)
    data = line_integrals(geometry, space, None)
    exact = chords(geometry)
    assert np.linalg.norm(data - exact) < 0.02 * np.linalg.norm(exact)
    assert data.sum() == pytest.approx(exact.sum(), rel=5e-3)


@pytest.mark.parametrize('beam', ['parallel', 'fan'])
def test_square_cells_are_rectangles(beam):
    """Cells that are nearly square have nearly the data of square ones."""
    geometry = BEAMS[beam]()
    square = odl.uniform_discr([-1.0, -0.8], [0.6, 0.8], (64, 64))
    nearly = odl.uniform_discr([-1.0, -0.8], [0.6, 0.8001], (64, 64))
    one, other = (line_integrals(geometry, s, None) for s in (square, nearly))
    assert np.linalg.norm(one - other) < 2e-3 * np.linalg.norm(one)


# --- Pickles --- #


def test_pickle_of_a_fan():
    """An unpickled fan beam geometry has the functions of the original."""
    shift = functools.partial(
        odl.applications.tomo.flying_focal_spot,
        apart=ANGLES,
        shifts=[[0.1, 0.3], [-0.1, -0.2]],
    )
    for kwargs in ({}, {'src_shift_func': shift}):
        geometry = FanBeamGeometry(ANGLES, DETECTOR, 3, 2, **kwargs)
        other = pickle.loads(pickle.dumps(geometry))
        angles = geometry.angles
        for name in ('src_position', 'det_refpoint'):
            np.testing.assert_array_equal(
                getattr(other, name)(angles), getattr(geometry, name)(angles)
            )


# --- Bad input --- #


def test_linear_model_of_a_fan_is_refused():
    """The error names the models for fan beams."""
    geometry = FanBeamGeometry(ANGLES, DETECTOR, 3, 2)
    with pytest.raises(
        ValueError, match="'linear' for fan.*astra_matrix_line.*_strip"
    ):
        ray_geometry(geometry, disk_space(), 'linear')


def test_strips_to_a_curved_detector_are_refused():
    """The error names the model to take."""
    geometry = FanBeamGeometry(
        ANGLES,
        odl.uniform_partition(-0.5, 0.5, 9),
        3,
        2,
        det_curvature_radius=4,
    )
    with pytest.raises(ValueError, match='flat.*Circular.*matrix_line'):
        ray_geometry(geometry, disk_space(), 'strip')


def test_strips_of_a_shifted_fan_are_refused():
    """The error names the model to take."""
    geometry = FanBeamGeometry(ANGLES, odl.uniform_partition(-1, 2, 9), 3, 2)
    with pytest.raises(ValueError, match='strip.*opposite.*matrix_line.*got'):
        ray_geometry(geometry, disk_space(), 'strip')


@pytest.mark.parametrize('radii', [(30, 0), (3, 2)])
def test_wide_strips_of_a_fan_are_refused(radii):
    """Strips that are too wide for ASTRA are refused."""
    space = disk_space()
    scale = sum(radii) / radii[0]
    for n_detectors, is_right in ((14, True), (4, False)):
        detector = odl.uniform_partition(
            -0.7 * scale, 0.7 * scale, n_detectors
        )
        geometry = FanBeamGeometry(ANGLES, detector, *radii)
        if not is_right:
            with pytest.raises(ValueError, match='8 pixels wide, got'):
                ray_geometry(geometry, space, 'strip')
            continue
        fine = odl.uniform_partition(
            -0.7 * scale, 0.7 * scale, 64 * n_detectors
        )
        expected = chords(FanBeamGeometry(ANGLES, fine, *radii))
        expected = expected.reshape(*geometry.partition.shape, 64).mean(-1)
        data = line_integrals(geometry, space, 'strip')
        assert np.linalg.norm(data - expected) < 0.01 * np.linalg.norm(
            expected
        )


def test_detector_elements_of_different_sizes_are_refused():
    """The error shows the partition."""
    geometry = Parallel2dGeometry(
        ANGLES, odl.nonuniform_partition([0.0, 0.1, 0.3])
    )
    with pytest.raises(ValueError, match='equal size, got .*nonuniform'):
        ray_geometry(geometry, disk_space())
