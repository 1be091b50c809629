# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of filtered back-projection."""

import copy
import pathlib
import pickle
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_equivariant.data import SparseViewCT
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.operators import (
    LimitedAngleWarning,
    OperatorLayer,
    filtered_backprojection,
)
from odl_equivariant.operators.ray import fan_backprojection
from odl_equivariant.operators.ray.filtered_backprojection import (
    _n_directions,
)
from odl_equivariant.operators.ray.ramp_filter import WINDOWS, RampFilter

RADIUS = 0.1


def _disc(space, value=0.25):
    x, y = (np.asarray(axis) for axis in space.grid.coord_vectors)
    distance = np.hypot(x[:, None] - 0.02, y[None, :])
    return value * (distance < RADIUS), distance


def _random(space, seed):
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(1, 1, *space.shape, generator=generator)
    return as_element(tensor.to(as_tensor(space.zero()).dtype), space)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('shape', [(96, 96), (80, 97)])
@pytest.mark.parametrize('filter_type', sorted(WINDOWS))
def test_disc_has_its_value_and_air_is_zero(backend, shape, filter_type):
    """The reconstruction of a disc has its value, and zero outside."""
    acquisition = SparseViewCT(
        shape, n_views=120, n_photons=None, impl='astra_cpu', backend=backend
    )
    fine, _ = _disc(acquisition.fine_space)
    _, distance = _disc(acquisition.space)
    data = acquisition.simulate(fine)
    image = np.asarray(acquisition.fbp(data, filter_type, 1.0).data)
    assert image[distance < 0.8 * RADIUS].mean() == pytest.approx(
        0.25, rel=2e-3
    )
    outside = (distance > 1.2 * RADIUS) & (distance < 1.4 * RADIUS)
    assert image[outside].mean() == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_adjoint(backend):
    """The adjoint is right in the spaces' inner products."""
    acquisition = SparseViewCT(
        (24, 31), n_views=10, impl='astra_cpu', backend=backend
    )
    operator = acquisition.fbp_operator
    y, x = _random(operator.domain, 0), _random(operator.range, 1)
    left = float(operator(y).inner(x))
    right = float(y.inner(operator.adjoint(x)))
    assert left == pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('n_detectors', [1, 16, 33])
def test_ramp_is_a_convolution_that_does_not_wrap(backend, n_detectors):
    """The filter is the sum with the band-limited ramp, edges included."""
    operator = SparseViewCT(
        (16, 16),
        n_views=3,
        n_detectors=n_detectors,
        impl='astra_cpu',
        backend=backend,
    ).operator
    width = float(operator.range.cell_sides[1])
    index = np.arange(n_detectors)
    lag = index[:, None] - index[None, :]
    kernel = np.zeros(lag.shape)
    kernel[lag == 0] = 1 / (4 * width**2)
    odd = lag % 2 == 1
    kernel[odd] = -1 / (np.pi * lag[odd] * width) ** 2
    data = _random(operator.range, 0)
    filtered = RampFilter(operator.range, 'Ram-Lak')(data)
    expected = width * np.asarray(data.data) @ kernel
    error = np.linalg.norm(np.asarray(filtered.data) - expected)
    assert error < 1e-5 * np.linalg.norm(expected)


def test_lower_cutoff_gives_less_noise():
    """Noise in air falls with the cutoff."""
    acquisition = SparseViewCT((48, 48), impl='astra_cpu')
    data = acquisition.simulate(np.zeros((96, 96)), rng=0)
    deviation = [
        np.std(acquisition.fbp(data, 'Hann', cutoff).data)
        for cutoff in (0.3, 0.6, 1.0)
    ]
    assert deviation[0] < 0.7 * deviation[1] < 0.5 * deviation[2]


def test_unknown_window_is_refused():
    """The error of an unknown window lists the known ones."""
    operator = SparseViewCT((16, 16), n_views=4, impl='astra_cpu').operator
    with pytest.raises(ValueError, match="'Ram-Lak'.*'Hann'.*got 'box'"):
        filtered_backprojection(operator, 'box')


@pytest.mark.parametrize('cutoff', [0, -0.5, 1.1, float('nan')])
def test_cutoff_out_of_range_is_refused(cutoff):
    """The cutoff must lie in (0, 1]."""
    operator = SparseViewCT((16, 16), n_views=4, impl='astra_cpu').operator
    with pytest.raises(ValueError, match='frequency_scaling'):
        filtered_backprojection(operator, 'Hann', cutoff)


# --- Geometries --- #

SIDE = 64
# middle and radius of the disc, as parts of the side of the image
MIDDLE, DISC = np.array([0.1, -0.05]), 0.3
pi = np.pi
partition = odl.uniform_partition
HALF_FAN = float(np.arctan(1.4 / 3.5))


def _space(unit=1.0, shape=(SIDE, SIDE), **keywords):
    corner = np.array(shape) * unit / (2 * SIDE)
    keywords = {'dtype': 'float32', **keywords}
    return odl.uniform_discr(-corner, corner, shape, **keywords)


def _views(angles, **keywords):
    return odl.nonuniform_partition(np.asarray(angles), **keywords)


def _parallel(views, low=-0.72, high=0.72, unit=1.0, n=92, **keywords):
    return tomo.Parallel2dGeometry(
        views, partition(low * unit, high * unit, n), **keywords
    )


def _fan(views, low=-1.4, high=1.4, unit=1.0, n=128, **keywords):
    return tomo.FanBeamGeometry(
        views,
        partition(low * unit, high * unit, n),
        2.0 * unit,
        1.5 * unit,
        **keywords,
    )


def _wide(views, limit=1.1, **keywords):
    """Return a fan of nearly 90 degrees."""
    return tomo.FanBeamGeometry(
        views, partition(-limit, limit, 128), 0.8, 0.4, **keywords
    )


def _curved(views, low=-0.4, high=0.4, radius=3.5, n=128):
    return tomo.FanBeamGeometry(
        views, partition(low, high, n), 2.0, 1.5, det_curvature_radius=radius
    )


def _chords(geometry, unit=1.0):
    """Return the exact line integrals of the disc."""
    nodes = np.asarray(geometry.det_partition.coord_vectors[0], float)
    middle, rows = unit * MIDDLE, []
    for angle in np.asarray(geometry.angles, float):
        angles = np.full(len(nodes), angle)
        rays = geometry.det_to_src(angles, nodes)
        ends = middle - geometry.det_point_position(angles, nodes)
        distance = rays[:, 0] * ends[:, 1] - rays[:, 1] * ends[:, 0]
        square = (unit * DISC) ** 2 - distance**2
        rows.append(2 * np.sqrt(np.maximum(square, 0)))
    return np.array(rows)


def _distance(space, unit=1.0):
    """Return the distance of each pixel to the middle of the disc."""
    x, y = (np.asarray(axis) for axis in space.grid.coord_vectors)
    x, y = x[:, None] - unit * MIDDLE[0], y[None, :] - unit * MIDDLE[1]
    return np.hypot(x, y) / unit


def _inside_and_air(image, unit=1.0):
    """Return the means in the disc's middle and rim, and around it."""
    distance = _distance(image.space, unit)
    x, y = (np.asarray(axis) for axis in image.space.grid.coord_vectors)
    seen = np.hypot(x[:, None], y[None, :]) < 0.48 * unit
    image = as_tensor(image)[0, 0].numpy()
    return (
        image[distance < 0.4 * DISC].mean(),
        image[(distance > 0.5 * DISC) & (distance < 0.8 * DISC)].mean(),
        image[(distance > 1.3 * DISC) & seen].mean(),
    )


def _operator(geometry, space=None, impl='astra_matrix'):
    space = _space() if space is None else space
    return tomo.RayTransform(space, geometry, impl=impl)


def _two_focal_spots(angles):
    """Return shifts of the source, away from the centre every other view."""
    number = np.rint(np.atleast_1d(angles) * 90 / pi - 0.5)
    return np.stack([0.3 * (number % 2), 0 * number], axis=1)


_DENSE = np.linspace(0, pi / 2, 100, endpoint=False) + pi / 400
_SPARSE = np.linspace(pi / 2, pi, 30, endpoint=False) + pi / 120
_FAN_DENSE = np.linspace(0, pi, 60, endpoint=False)
_FAN_SPARSE = np.linspace(pi, 2 * pi, 150, endpoint=False)
_RANDOM = np.sort(np.random.default_rng(0).uniform(0, pi, 150))

GEOMETRIES = {
    'pi': lambda: _parallel(partition(0, pi, 90)),
    'pi, odd': lambda: _parallel(partition(0, pi, 91)),
    'pi, from 1': lambda: _parallel(partition(1, 1 + pi, 90)),
    '2 pi': lambda: _parallel(partition(0, 2 * pi, 180)),
    '2 pi, odd': lambda: _parallel(partition(0, 2 * pi, 181)),
    '3 pi': lambda: _parallel(partition(0, 3 * pi, 270)),
    '1.2 pi': lambda: _parallel(partition(0, 1.2 * pi, 109)),
    '1.9 pi': lambda: _parallel(partition(-1, 1.9 * pi - 1, 171)),
    '2.4 pi': lambda: _parallel(partition(0, 2.4 * pi, 217)),
    'both ends': lambda: _parallel(_views(np.linspace(0, pi, 91))),
    'on the ends': lambda: _parallel(partition(0, pi, 91, nodes_on_bdry=True)),
    'one end': lambda: _parallel(
        _views(np.linspace(0, pi, 90, endpoint=False), nodes_on_bdry=True)
    ),
    '100 + 30 views': lambda: _parallel(
        _views(np.append(_DENSE, _SPARSE), min_pt=0, max_pt=pi)
    ),
    'random views': lambda: _parallel(_views(_RANDOM)),
    'golden angle': lambda: _parallel(
        _views(np.arange(120) * pi * (np.sqrt(5) - 1) / 2)
    ),
    'shifted': lambda: _parallel(partition(0, pi, 90), -0.6, 0.84),
    'half a detector': lambda: _parallel(
        partition(0, 2 * pi, 180), -0.15, 0.72, n=56
    ),
    'half a detector, 3 pi': lambda: _parallel(
        partition(0, 3 * pi, 270), -0.15, 0.72, n=56
    ),
    'beside the axis': lambda: _parallel(
        partition(0, 1.3 * pi, 120), -0.9, 0.9, n=115, det_pos_init=(0.2, 1)
    ),
    'other centre': lambda: _parallel(
        partition(0, 1.3 * pi, 120), -0.9, 0.9, n=115, translation=(0.1, 0.05)
    ),
    'fan': lambda: _fan(partition(0, 2 * pi, 180)),
    'fan, odd': lambda: _fan(partition(0.3, 0.3 + 2 * pi, 181)),
    'fan, 3 pi': lambda: _fan(partition(0, 3 * pi, 270)),
    'fan, short': lambda: _fan(partition(0, pi + 2 * HALF_FAN, 110)),
    'fan, 1.5 pi': lambda: _fan(partition(0, 1.5 * pi, 135)),
    'fan, views': lambda: _fan(_views(np.append(_FAN_DENSE, _FAN_SPARSE))),
    'fan, short, shifted': lambda: _fan(
        partition(0, 1.3 * pi, 120), -1.3, 1.5
    ),
    'fan, half a detector': lambda: _fan(
        partition(0, 2 * pi, 180), -0.3, 1.4, n=78
    ),
    'fan, mirrored': lambda: _fan(
        partition(0, 1.3 * pi, 120), -1.2, 1.5, det_axis_init=(-1, 0)
    ),
    'fan, tilted': lambda: _fan(
        partition(0, 2 * pi, 180), det_axis_init=(1, 0.3)
    ),
    'fan, moved parts': lambda: _fan(
        partition(0, 2 * pi, 180),
        src_shift_func=lambda a: np.full((np.size(a), 2), 0.1),
        det_shift_func=lambda a: np.array([[0.0, 0.1]]),
    ),
    'fan, other centre': lambda: _fan(
        partition(0, 2 * pi, 180), translation=(0.05, 0.1)
    ),
    'curved': lambda: _curved(partition(0, 2 * pi, 180)),
    'curved, short': lambda: _curved(partition(0, pi + 0.8, 115)),
    'curved, half': lambda: _curved(partition(0, 2 * pi, 180), -0.1, n=80),
    'curved otherwise': lambda: _curved(
        partition(0, 2 * pi, 180), -0.7, 0.7, radius=2.0
    ),
    'fan, wide': lambda: _wide(partition(0, 2 * pi, 180)),
    'fan, wide, short': lambda: _wide(partition(0, 1.55 * pi, 180)),
    'fan, two focal spots': lambda: _wide(
        partition(0, 2 * pi, 180), src_shift_func=_two_focal_spots
    ),
    'curved, wide': lambda: _wide(
        partition(0, 2 * pi, 180), 0.75, det_curvature_radius=1.2
    ),
    'curved otherwise, wide': lambda: _wide(
        partition(0, 2 * pi, 180), 1.1, det_curvature_radius=0.9
    ),
}


@pytest.mark.parametrize('name', GEOMETRIES)
def test_disc_of_value_one_is_one(name):
    """From exact line integrals, a disc has its value everywhere."""
    geometry = GEOMETRIES[name]()
    operator = _operator(geometry)
    data = _chords(geometry).astype('float32')
    image = filtered_backprojection(operator)(operator.range.element(data))
    middle, rim, air = _inside_and_air(image)
    assert middle == pytest.approx(1, abs=5e-3)
    assert rim == pytest.approx(1, abs=5e-3)
    assert air == pytest.approx(0, abs=5e-3)


IMPLEMENTATIONS = (
    'astra_cpu',
    'astra_matrix',
    'astra_matrix_line',
    'astra_matrix_strip',
    'astra_matrix_linear',
)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize(
    'beam, impl',
    [(_parallel, impl) for impl in IMPLEMENTATIONS]
    + [(_fan, 'astra_cpu'), (_fan, 'astra_matrix')],
)
def test_back_ends_agree(beam, impl, backend):
    """All projectors give the same reconstruction of a disc."""
    space = _space(float(SIDE), impl=backend)
    geometry = beam(partition(0, 2 * pi, 100), unit=float(SIDE))
    operator = _operator(geometry, space, impl)
    disc = torch.from_numpy(_distance(space, SIDE) < DISC).float()
    data = operator(as_element(disc[None], space))
    image = filtered_backprojection(operator)(data)
    middle, rim, air = _inside_and_air(image, SIDE)
    assert middle == pytest.approx(1, abs=1e-2)
    assert rim == pytest.approx(1, abs=1e-2)
    assert air == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize('unit', [1e-9, 1e-6, 1e-3, SIDE / 2, SIDE, 1e3, 1e6])
@pytest.mark.parametrize('beam', [_parallel, _fan])
def test_unit_of_length_does_not_matter(beam, unit):
    """The unit of length, also cells of 1 x 1, does not change the image."""
    images = []
    for length in (1.0, float(unit)):
        geometry = beam(partition(0, 2 * pi, 60), unit=length)
        operator = _operator(geometry, _space(length, (SIDE, SIDE - 10)))
        data = operator.range.element(_chords(geometry, length))
        image = filtered_backprojection(operator)(data)
        images.append(np.asarray(image.data))
    difference = np.linalg.norm(images[1] - images[0])
    assert difference < 1e-4 * np.linalg.norm(images[0])


@pytest.mark.parametrize('nodes', ['image', 'detector'])
def test_nodes_on_the_boundary_do_not_matter(nodes):
    """Half cells of the image do not change the result."""
    views = partition(0, pi, 90)
    space = _space(nodes_on_bdry=nodes == 'image')
    detector = partition(-0.72, 0.72, 92, nodes_on_bdry=nodes == 'detector')
    geometry = tomo.Parallel2dGeometry(views, detector)
    operator = _operator(geometry, space)
    data = operator.range.element(_chords(geometry))
    image = filtered_backprojection(operator)(data)
    middle, rim, air = _inside_and_air(image)
    assert middle == pytest.approx(1, abs=5e-3)
    assert rim == pytest.approx(1, abs=5e-3)
    assert air == pytest.approx(0, abs=5e-3)
    constant = operator(space.one())
    edge = np.asarray(filtered_backprojection(operator)(constant).data)[0]
    assert np.all(edge[10:-10] < 1.1)


def test_half_cells_of_the_data_do_not_matter():
    """Half cells of the data do not change the image."""
    angles = np.linspace(0, 2 * pi, 61)
    images = []
    for views, half in (
        (partition(0, 2 * pi, 61, nodes_on_bdry=True), 0),
        (_views(angles, nodes_on_bdry=False), 0.01),
    ):
        # the same elements, in whole cells and in cells cut by the boundary
        detector = partition(
            -0.2 - half, 0.6 + half, 41, nodes_on_bdry=half == 0
        )
        operator = _operator(tomo.Parallel2dGeometry(views, detector))
        data = np.random.default_rng(0).standard_normal((61, 41))
        data = operator.range.element(data.astype('float32'))
        images.append(filtered_backprojection(operator)(data).asarray())
    error = np.linalg.norm(images[1] - images[0])
    assert error < 1e-5 * np.linalg.norm(images[0])


@pytest.mark.parametrize('weighting', [1.0, 7.0])
def test_weights_of_the_spaces_do_not_matter(weighting):
    """Another weight of the data space gives the same image."""
    geometry = _parallel(partition(0, pi, 60))
    usual = _operator(geometry)
    other = tomo.RayTransform(
        usual.domain,
        geometry,
        impl='astra_matrix',
        proj_space=odl.DiscretizedSpace(
            geometry.partition,
            odl.rn(geometry.partition.shape, 'float32', weighting=weighting),
        ),
    )
    data = _chords(geometry).astype('float32')
    one, two = (
        np.asarray(filtered_backprojection(op)(op.range.element(data)).data)
        for op in (usual, other)
    )
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-5)


def test_default_is_the_adjoint_of_the_filtered_data():
    """For uniform views on [0, pi), it is A^* after the filter."""
    acquisition = SparseViewCT((32, 32), n_views=20)
    operator = acquisition.operator
    data = _random(operator.range, 0)
    expected = operator.adjoint(RampFilter(operator.range, 'Hann', 0.45)(data))
    result = acquisition.fbp(data)
    difference = float((result - expected).norm())
    assert difference < 1e-6 * float(expected.norm())


def test_unit_cells_of_an_acquisition():
    """An acquisition in units of pixels has the scale of one in metres."""
    errors = []
    for side in (0.36, 64.0):
        acquisition = SparseViewCT(
            (64, 64), 60, side=side, mu_max=29.3 / side, n_photons=None
        )
        disc = (_distance(acquisition.fine_space, side) < DISC) * 0.5
        truth = acquisition.ground_truth(disc)
        image = acquisition.fbp(acquisition.simulate(disc), 'Hann', 1.0)
        errors.append(float((image - truth).norm() / truth.norm()))
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)
    assert errors[0] < 0.2


# --- Incomplete scans --- #

LIMITED = {
    '120 degrees': (_parallel, lambda: partition(0, 2 * pi / 3, 90), 2 / 3),
    'a hole': (
        _parallel,
        lambda: _views(
            np.append(np.linspace(0, 1, 40), np.linspace(2, 3.116, 45)),
            min_pt=-0.0128,
            max_pt=pi - 0.0128,
        ),
        0.68,
    ),
    'too large a cell': (
        _parallel,
        lambda: _views(np.linspace(0, 2, 90), min_pt=0, max_pt=pi),
        0.64,
    ),
    'fan': (_fan, lambda: partition(0, 5 * pi / 6, 100), 0.87),
}


@pytest.mark.parametrize('name', LIMITED)
def test_missing_views_are_said(name):
    """The warning names the missing angle, and points to the call."""
    beam, views, share = LIMITED[name]
    geometry = beam(views())
    operator = _operator(geometry)
    with pytest.warns(LimitedAngleWarning, match='degrees, where') as record:
        fbp = filtered_backprojection(operator)
    assert len(record) == 1
    assert pathlib.Path(record[0].filename) == pathlib.Path(__file__)
    data = operator.range.element(_chords(geometry))
    middle, _, _ = _inside_and_air(fbp(data))
    # the views that there are are not raised to make up for the others
    assert middle == pytest.approx(share, abs=0.02)


def test_complete_scans_are_silent():
    """Few views of a complete scan give no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for n_views in (3, 10):
            for geometry in (
                _parallel(partition(0, pi, n_views)),
                _fan(partition(0, 2 * pi, n_views)),
            ):
                operator = _operator(geometry)
                fbp = filtered_backprojection(operator)
                assert fbp.range == operator.domain


@pytest.mark.parametrize(
    'beam, turn, n_views, said',
    [
        ('parallel', pi, 1, 'one direction,'),
        ('parallel', 2 * pi, 2, 'one direction,'),
        ('parallel', pi, 2, 'two directions,'),
        ('parallel', 2 * pi, 4, 'two directions,'),
        ('fan', 2 * pi, 1, 'one direction,'),
        ('fan', 2 * pi, 2, 'one direction,'),
        ('fan', 2 * pi, 4, 'two directions,'),
    ],
)
def test_profiles_are_no_image(beam, turn, n_views, said):
    """Views of one or two directions are said, whatever they stand for."""
    make = {'parallel': _parallel, 'fan': _fan}[beam]
    operator = _operator(make(partition(0, turn, n_views)))
    with pytest.warns(LimitedAngleWarning, match=said) as record:
        filtered_backprojection(operator)
    assert len(record) == 1 and record[0].filename == __file__


@pytest.mark.parametrize('n_views', [3142, 4000])
def test_many_views_are_many_directions(n_views):
    """However near to each other, complete views are silent."""
    operator = _operator(_parallel(partition(0, pi, n_views)))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        filtered_backprojection(operator)
    # and incomplete ones are said to be that
    operator = _operator(_parallel(partition(0, pi / 2, n_views)))
    with pytest.warns(LimitedAngleWarning, match='cover 90 degrees'):
        filtered_backprojection(operator)


@pytest.mark.parametrize('n_views', [2, 3])
def test_directions_around_zero_and_half_a_turn(n_views):
    """Angles that differ by rounding, or by half a turn, are one direction."""
    angles = np.arange(n_views) * pi / n_views
    views = np.concatenate([angles + pi * k for k in range(4)])
    for error in (0, 1e-6, -1e-6):
        noise = error * (-1.0) ** np.arange(len(views))
        assert _n_directions(views + noise) == n_views
        assert _n_directions((views + noise)[::n_views]) == 1


def _of_kind(kind, views):
    make = {'parallel': _parallel, 'fan': _fan, 'curved': _curved}[kind]
    space = odl.uniform_discr([-0.5, -0.5], [0.5, 0.5], (9, 9))
    return _operator(make(views), space)


DEGREES = {
    'half turn': lambda: partition(0, 180, 180),
    'half turn, steps of 0.4': lambda: partition(0, 180, 450),
    'full turn, steps of 0.5': lambda: _views(np.arange(0, 360, 0.5)),
    'both ends': lambda: _views(np.linspace(-90, 90, 451)),
    'from 0.3': lambda: _views(0.3 + np.arange(0, 200, 0.7)),
    'single precision': lambda: _views(
        np.arange(0, 360, 0.25, dtype='float32')
    ),
    'as measured': lambda: _views(
        np.arange(180.0) + np.random.default_rng(0).normal(0, 1e-4, 180)
    ),
    'steps of 3': lambda: _views(np.arange(1.5, 360, 3)),
}
MANY_TURNS = {
    'golden angle': lambda: _views(np.arange(150) * pi * (np.sqrt(5) - 1) / 2),
    'golden angle of a turn': lambda: _views(
        np.arange(150) * pi * (3 - np.sqrt(5))
    ),
    '30 turns': lambda: partition(0, 60 * pi, 1200),
    '30 turns and a part': lambda: _views(
        0.4 + np.linspace(0, 61.3 * pi, 1500)
    ),
    # 355 / 113 is nearly pi
    '113 turns': lambda: partition(0, 226 * pi, 2260),
    'steps of a sixth': lambda: _views(np.arange(150) * pi / 3),
    'steps of a turn, and a little': lambda: _views(
        np.arange(60) * (2 * pi + 0.1)
    ),
    'random': lambda: _views(
        np.sort(np.random.default_rng(0).uniform(0, 150, 500))
    ),
}


@pytest.mark.parametrize('kind', ['parallel', 'fan', 'curved'])
@pytest.mark.parametrize('name', DEGREES)
def test_degrees_are_asked_for(kind, name):
    """Angles that look like degrees give one warning, with the numbers."""
    operator = _of_kind(kind, DEGREES[name]())
    with pytest.warns(UserWarning) as record:
        filtered_backprojection(operator)
    asked = [r for r in record if 'are these degrees?' in str(r.message)]
    assert len(asked) == 1
    assert ' full turns, ' in str(asked[0].message)
    assert pathlib.Path(asked[0].filename) == pathlib.Path(__file__)


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('name', MANY_TURNS)
def test_many_turns_are_no_degrees(kind, name):
    """Partial turns, golden angles and spirals give no warning."""
    operator = _of_kind(kind, MANY_TURNS[name]())
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*degrees?')
        warnings.simplefilter('ignore', LimitedAngleWarning)
        assert filtered_backprojection(operator).range == operator.domain


# --- Laws --- #

HARD = (
    '1.2 pi',
    '100 + 30 views',
    'half a detector',
    'fan, short',
    'fan, half a detector',
    'curved',
    'curved otherwise',
)
WORLDS = [
    ('numpy', 'float32'),
    ('numpy', 'complex128'),
    ('pytorch', 'float64'),
    ('pytorch', 'complex64'),
]


@pytest.mark.parametrize('backend, dtype', WORLDS)
@pytest.mark.parametrize('name', HARD)
def test_adjoint_is_exact(name, backend, dtype):
    """The adjoint is that of the inner products of the spaces."""
    space = _space(1.0, (24, 17), dtype=dtype, impl=backend)
    fbp = filtered_backprojection(_operator(GEOMETRIES[name](), space))
    single = dtype in ('float32', 'complex64')
    assert adjoint_error(fbp) < (3e-6 if single else 1e-13)


@pytest.mark.parametrize('name', HARD)
def test_layer_maps_batches_as_the_operator_does(name):
    """A batch has the images of its samples, and their gradients."""
    fbp = filtered_backprojection(
        _operator(GEOMETRIES[name](), _space(dtype='float64', impl='pytorch'))
    )
    layer = OperatorLayer(fbp)
    y = torch.randn(3, 1, *fbp.domain.shape, dtype=torch.float64)
    y.requires_grad_()
    images = layer(y)
    for sample, image in zip(y, images, strict=True):
        one = as_tensor(fbp(as_element(sample, fbp.domain)))
        torch.testing.assert_close(image[None], one, rtol=1e-9, atol=1e-9)
    x = torch.randn_like(images)
    (gradient,) = torch.autograd.grad(images, y, x)
    product, expected = (gradient * y).sum(), (images * x).sum()
    torch.testing.assert_close(product, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('limit', [1, 100, 10_000])
def test_parts_that_are_computed_at_once_do_not_matter(limit, monkeypatch):
    """Computing in parts gives the same image and data."""
    space = _space(1.0, (24, 17), dtype='float64')
    fbp = filtered_backprojection(_operator(GEOMETRIES['fan, short'](), space))
    y = torch.randn(2, 1, *fbp.domain.shape, dtype=torch.float64)
    x = torch.randn(2, 1, *space.shape, dtype=torch.float64)
    layer = OperatorLayer(fbp)
    expected = layer(y), layer.adjoint(x)
    monkeypatch.setitem(fan_backprojection._CHUNKS, 'cpu', limit)
    results = layer(y), layer.adjoint(x)
    for given, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('name', HARD)
def test_layer_survives_a_copy_and_a_pickle(name):
    """Copies in this and in other processes compute the same."""
    layer = OperatorLayer(
        filtered_backprojection(_operator(GEOMETRIES[name](), _space()))
    )
    y = torch.randn(2, *layer._shape)
    expected = layer(y)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(twin(y), expected, rtol=0, atol=0)


# --- Refusals --- #


def test_detector_that_the_back_end_would_centre_is_refused():
    """'astra_cpu' projects to a shifted detector as if it were centred."""
    operator = _operator(GEOMETRIES['shifted'](), impl='astra_cpu')
    with pytest.raises(ValueError, match="'astra_cpu'.*impl='astra_matrix'"):
        filtered_backprojection(operator)


@pytest.mark.parametrize('src_radius', [0.0, 0.3])
def test_sources_inside_of_the_image_are_refused(src_radius):
    """A source inside of the image is refused."""
    geometry = tomo.FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, 40),
        odl.uniform_partition(-1.4, 1.4, 64),
        src_radius=src_radius,
        det_radius=2.0,
    )
    space = odl.uniform_discr([-1, -1], [1, 1], (32, 32), dtype='float32')
    ray_transform = tomo.RayTransform(space, geometry, impl='astra_matrix')
    with pytest.raises(ValueError, match='same unit'):
        filtered_backprojection(ray_transform)


def test_back_projection_is_refused():
    """The adjoint of a ray transform is refused."""
    operator = _operator(GEOMETRIES['pi']())
    with pytest.raises(ValueError, match='needs a ray transform'):
        filtered_backprojection(operator.adjoint)


def test_unequal_detector_elements_are_refused():
    """The filter needs elements of equal size."""
    geometry = tomo.FanBeamGeometry(
        partition(0, 2 * pi, 9), _views([-1.0, -0.2, 0.1, 1.0]), 2.0, 1.5
    )
    with pytest.raises(ValueError, match='elements of equal size'):
        filtered_backprojection(_operator(geometry))


def test_a_detector_beside_the_axis_needs_a_whole_turn():
    """The warning says why half a turn is not enough, and a turn is."""
    detector = odl.uniform_partition(-0.2, 1.5, 85)
    for turn in (pi, 2 * pi):
        geometry = tomo.Parallel2dGeometry(partition(0, turn, 90), detector)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            filtered_backprojection(_operator(geometry))
        if turn > pi:
            assert not said
        else:
            assert '180 degrees, where 360 are needed, since the axis' in str(
                said[0].message
            )
