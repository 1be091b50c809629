# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of tomography in the geometry of a scanner."""

import pickle
import warnings

import numpy as np
import odl
import pytest
from odl.applications import tomo

from odl_equivariant.data import (
    MeasuredCT,
    SparseViewCT,
    ct_geometry,
    ellipse_phantom,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    describe_geometry,
)
from odl_equivariant.functionals import InvariantTotalVariation
from odl_equivariant.operators import filtered_backprojection

N = 48
# the middle and the radius of a disc, in cells of 1 mm
MIDDLE, RADIUS, VALUE = np.array([4.0, -3.0]), 13.0, 0.02

DESCRIPTIONS = {
    'parallel': {'kind': 'parallel', 'detector_width': 1.0},
    'parallel, offset': {
        'kind': 'parallel',
        'detector_width': 1.0,
        'detector_offset': 5.3,
    },
    'fan': {
        'kind': 'fan',
        'detector_width': 1.4,
        'source_radius': 200.0,
        'detector_radius': 80.0,
    },
    'fan, short': {
        'kind': 'fan',
        'detector_width': 1.4,
        'source_radius': 200.0,
        'detector_radius': 80.0,
        'detector_offset': -2.0,
        'angles': {'first': 10, 'step': 2, 'n': 110},
    },
    'curved': {
        'kind': 'fan',
        'detector_width': 1.4,
        'source_radius': 200.0,
        'detector_radius': 80.0,
        'curvature_radius': 280.0,
    },
}
# how many of a unit a millimetre is, where cells are of 1 mm
UNITS = {'m': 1e-3, 'mm': 1.0, 'cell': 1.0}


def described(name, unit='mm', n=75):
    """Return a description with lengths in a unit."""
    angles = {'first': 0, 'step': 2, 'n': 180}
    description = {
        'angles': angles,
        'angle_unit': 'degrees',
        'n_detectors': n,
        **DESCRIPTIONS[name],
    }
    for key, value in description.items():
        if key.endswith(('width', 'radius', 'offset')):
            description[key] = value * UNITS[unit]
    return description


def acquisition(name, unit='mm', **options):
    """Return an acquisition with cells of 1 mm."""
    space = {'shape': (N, N), 'cell': UNITS[unit]}
    return MeasuredCT(described(name, unit), space, unit, **options)


def exact_data(geometry, unit='mm', radius=RADIUS):
    """Return the exponents of the disc."""
    nodes = np.asarray(geometry.det_partition.coord_vectors[0], dtype=float)
    rows = []
    for angle in np.asarray(geometry.angles, dtype=float):
        angles = np.full(len(nodes), angle)
        rays = geometry.det_to_src(angles, nodes)
        ends = MIDDLE * UNITS[unit]
        ends = ends - geometry.det_point_position(angles, nodes)
        distance = rays[:, 0] * ends[:, 1] - rays[:, 1] * ends[:, 0]
        square = radius**2 - (distance / UNITS[unit]) ** 2
        rows.append(2 * VALUE * np.sqrt(np.maximum(square, 0)))
    return np.array(rows)


def inside(image):
    """Return the mean in the middle of the disc."""
    x = np.arange(N) - (N - 1) / 2
    distance = np.hypot(x[:, None] - MIDDLE[0], x[None, :] - MIDDLE[1])
    return float(np.asarray(image)[distance < 0.7 * RADIUS].mean())


@pytest.mark.parametrize('name', DESCRIPTIONS)
@pytest.mark.parametrize('unit', UNITS)
def test_attenuation_of_a_disc(name, unit):
    """From exact data, a disc has its attenuation in every unit."""
    measured = acquisition(name, unit)
    image = measured.fbp(exact_data(measured.geometry, unit))
    value = measured.attenuation_in(image, '1/mm', cell=1e-3)
    assert inside(value) == pytest.approx(VALUE, rel=5e-3)


@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_rectangular_cells(backend, dtype):
    """A disc has its attenuation in cells of 1 x 2."""
    measured = MeasuredCT(
        described('fan'),
        {'shape': (N, N // 2), 'cell': (1.0, 2.0)},
        'mm',
        dtype=dtype,
        backend=backend,
    )
    image = measured.fbp(exact_data(measured.geometry))
    values = np.repeat(measured.attenuation_in(image, '1/mm'), 2, axis=1)
    assert inside(values) == pytest.approx(VALUE, rel=1e-2)
    assert str(image.space.dtype_identifier) == dtype


def test_unit_does_not_matter_for_total_variation():
    """The image of TV is the same in metres, millimetres and cells."""
    images = []
    for unit, scale in UNITS.items():
        measured = acquisition('parallel', unit, dtype='float64')
        fit = measured.data_fit(exact_data(measured.geometry, unit))
        variation = InvariantTotalVariation(measured.space)
        # the integral over the detector has the unit of length
        weight = 0.02 * scale
        x = measured.space.zero()
        odl.solvers.proximal_gradient(
            x,
            weight * variation,
            fit,
            gamma=1 / float(fit.grad_lipschitz),
            niter=5,
        )
        images.append(measured.attenuation_in(x, '1/m', cell=1e-3))
    for image in images[1:]:
        error = np.linalg.norm(image - images[0])
        assert error < 1e-4 * np.linalg.norm(images[0])


@pytest.mark.parametrize('name', ['parallel, offset', 'fan', 'fan, short'])
def test_axis_is_found(name):
    """The offset of the detector is found to a fifth of an element."""
    true = acquisition(name)
    data = exact_data(true.geometry)
    data += 0.01 * np.random.default_rng(0).standard_normal(data.shape)
    offset = described(name).get('detector_offset', 0.0)
    guess = true.with_detector_offset(offset + 3.7)
    assert guess.find_axis(data) == pytest.approx(offset, abs=0.2)


def test_axis_without_opposite_lines():
    """On a short range without opposite lines, the error says so."""
    description = described('parallel') | {
        'angles': {'first': 0, 'step': 1, 'n': 20}
    }
    measured = MeasuredCT(description, (N, N), 'mm')
    with pytest.raises(ValueError, match='half a turn apart'):
        measured.find_axis(exact_data(measured.geometry))


def test_pickle_settings_and_shape():
    """A copy, and one on another grid, have the same rays."""
    geometry = tomo.FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, 12),
        odl.uniform_partition(-40, 42, 30),
        200.0,
        80.0,
    )
    space = odl.uniform_discr([-20, -10], [20, 10], (20, 10), dtype='float64')
    measured = MeasuredCT(geometry, space, 'mm', n_photons=1e4)
    clone = pickle.loads(pickle.dumps(measured))
    assert repr(clone) == repr(measured)
    assert clone.fingerprint() == measured.fingerprint()
    assert clone.space == space
    x = space.one()
    difference = clone.operator(x).asarray() - measured.operator(x).asarray()
    assert np.abs(difference).max() < 1e-10
    finer = measured.with_shape((40, 20))
    assert np.allclose(finer.space.max_pt, space.max_pt)
    other = measured.with_detector_offset(0.5)
    assert other.fingerprint() != measured.fingerprint()


def test_counts():
    """Readings between dark and white field have their line integrals."""
    measured = acquisition('parallel', dark=10.0, white=np.full(75, 1010.0))
    exact = exact_data(measured.geometry)
    data = measured.line_integrals(10 + 1000 * np.exp(-exact))
    assert np.allclose(data.asarray(), exact, atol=1e-6)


@pytest.mark.parametrize(
    'value, words', [(10.0, 'not above the dark'), (1510.0, '1.5 times')]
)
def test_odd_counts_are_said(value, words):
    """No count, and more than the white field, give a word and are finite."""
    measured = acquisition('parallel', dark=10.0, white=1010.0)
    counts = np.full((180, 75), 900.0)
    counts[3, 4] = value
    with pytest.warns(UserWarning, match=f'1 of 13500.*{words}'):
        data = measured.line_integrals(counts)
    assert np.isfinite(data.asarray()).all()


def test_dead_elements_are_interpolated():
    """An element without white field takes the mean of its neighbours."""
    white = np.full(75, 1000.0)
    white[7] = 0.0
    measured = acquisition('parallel', white=white)
    with pytest.warns(UserWarning, match=r'1 of 75 detector elements \(7\)'):
        data = measured.line_integrals(np.full((180, 75), 500.0))
    assert np.allclose(data.asarray(), np.log(2), atol=1e-6)


@pytest.mark.parametrize(
    'counts, fields, words',
    [
        (np.ones((75, 180)), {}, 'transpose them'),
        (np.full((180, 75), np.nan), {}, '13500 of 13500 values'),
        (np.zeros((180, 75)), {}, '100 % of the readings'),
        (np.full((180, 75), 9.0), {}, 'above the white field'),
        (np.ones((180, 75)), {'dark': 3.0}, 'swapped'),
        (np.ones((180, 75)), {'white': np.ones(74)}, r'\(75,\) of the detec'),
    ],
)
def test_impossible_counts(counts, fields, words):
    """Readings that cannot be are refused with their numbers."""
    measured = acquisition('parallel', white=2.0)
    with pytest.raises(ValueError, match=words):
        measured.line_integrals(counts, **fields)


def test_truncation_is_said_and_padded():
    """A detector that cuts the disc is named; padding reduces the error."""
    short = MeasuredCT(
        described('parallel', n=25), {'shape': (N, N), 'cell': 1.0}, 'mm'
    )
    data = exact_data(short.geometry, radius=18.0)
    assert not acquisition('parallel').truncation(
        exact_data(acquisition('parallel').geometry)
    )
    with pytest.warns(UserWarning, match='of the views the object goes on'):
        image = short.fbp(data).asarray()
    longer, more = short.padded(data)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        padded = longer.fbp(more).asarray()
    x = np.arange(N) - (N - 1) / 2
    seen = np.hypot(x[:, None], x[None, :]) < 8
    errors = [np.abs(u[seen] - VALUE).mean() for u in (image, padded)]
    assert errors[1] < 0.4 * errors[0]


@pytest.mark.parametrize(
    'changes, words',
    [
        ({'kind': 'spiral'}, 'geometry.kind'),
        ({'source_radius': None}, 'needs source_radius'),
        ({'radius': 3}, 'does not know radius'),
        ({'source_radius': -2.0}, 'geometry.source_radius.*positive'),
        ({'detector_width': 0.0}, 'geometry.detector_width.*positive'),
        ({'angles': [0.0, 0.2, 0.1]}, r'after 0\.2.*argsort'),
        ({'angles': [0, 60, 120], 'angle_unit': None}, 'set `angle_unit'),
    ],
)
def test_impossible_geometries(changes, words):
    """The error names the value of the description."""
    with pytest.raises(ValueError, match=words):
        ct_geometry(described('fan') | changes)


def test_degrees_of_a_geometry_are_asked_for():
    """Angles of ODL that look like degrees give a word."""
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(-0.25, 59.75 + 0.5, 121),
        odl.uniform_partition(-40, 40, 80),
    )
    with pytest.warns(UserWarning, match='are these degrees'):
        ct = MeasuredCT(geometry, (N, N), 'mm')
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter('always')
        ct.fbp(ct.operator.range.zero())
        filtered_backprojection(ct.operator)
    assert not [r for r in record if 'degrees?' in str(r.message)]


@pytest.mark.parametrize('kind', ['parallel', 'fan', 'curved'])
def test_geometries_with_any_offset_are_described(kind):
    """Rounding does not make a geometry one that plain values leave out.

    Else nothing is tested: where it was, a shifted axis was not noticed.
    """
    for offset in np.arange(-9, 9, 0.1):
        values = described(kind) | {'detector_offset': float(offset)}
        found = describe_geometry(ct_geometry(values), 'mm')
        assert found is not None, offset
        assert found['detector_offset'] == pytest.approx(offset, abs=1e-12)


@pytest.mark.parametrize('offset', [-6.0, -2.0, 3.0])
def test_wrong_offsets_are_noticed(offset):
    """The data of a centred detector have no object on a shifted one."""
    centred = acquisition('fan')
    x = np.linspace(-24, 24, 96)
    disc = 0.02 * ((x[:, None] - 4) ** 2 + (x + 3) ** 2 < 100)
    data = centred.simulate(disc)
    assert not centred.inconsistency(data)
    found = centred.with_detector_offset(offset).inconsistency(data)
    assert found.cause == 'axis'
    assert found.value == pytest.approx(-offset, abs=0.1)


def test_radians_that_are_stated_are_not_asked_for():
    """A description whose unit is radians is believed."""
    values = described('parallel') | {
        'angles': {'first': 0.0, 'step': 0.5, 'n': 120},
        'angle_unit': 'radians',
    }
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*degrees?')
        ct = MeasuredCT(values, (N, N), 'mm')
        ct.fbp(ct.operator.range.zero())


@pytest.mark.parametrize('name', ['parallel, offset', 'curved'])
def test_back_ends_that_would_be_wrong_are_refused(name):
    """'astra_cpu' centres detectors, and flattens them."""
    with pytest.raises(ValueError, match="impl='astra_matrix'"):
        acquisition(name, impl='astra_cpu')


def test_three_dimensions_on_the_cpu():
    """The error says what computes in 3D, and what to do without."""
    description = described('parallel') | {
        'kind': 'parallel3d',
        'n_rows': 4,
        'row_height': 1.0,
    }
    with pytest.raises(ValueError, match="'astra_cuda', on a GPU.*row by row"):
        MeasuredCT(description, (8, 8, 4), 'mm')


def test_cells_must_have_the_side_one():
    """Lengths in cells belong to cells of side 1."""
    with pytest.raises(ValueError, match='side 1, got cells of 2 x 2'):
        MeasuredCT(
            described('parallel'), {'shape': (N, N), 'cell': 2.0}, 'cell'
        )


@pytest.mark.parametrize(
    'options',
    [
        {'geometry': 'fan', 'n_views': 90},
        {'detector_offset': 0.02, 'detector_width': 0.01, 'n_views': 90},
        {'angles': np.linspace(0.1, 3.2, 90).tolist()},
    ],
)
def test_simulated_geometries(options):
    """The simulated scan of a disc has its value in FBP."""
    simulated = SparseViewCT((N, N), n_photons=None, **options)
    x = np.arange(2 * N) - N + 0.5
    disc = 0.3 * (np.hypot(x[:, None], x[None, :]) < 0.5 * N)
    image = simulated.fbp(simulated.simulate(disc)).asarray()
    x = np.arange(N) - (N - 1) / 2
    middle = np.hypot(x[:, None], x[None, :]) < 0.15 * N
    assert image[middle].mean() == pytest.approx(0.3, rel=0.01)
    clone = pickle.loads(pickle.dumps(simulated))
    assert clone.fingerprint() == simulated.fingerprint()


def test_later_settings_keep_the_fingerprint():
    """Stored data of the default geometry keep their fingerprint."""
    assert SparseViewCT((32, 32)).fingerprint() == (
        'SparseViewCT 251fd6d88615d9ce'
    )
    assert 'geometry' not in repr(SparseViewCT((8, 8)))


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('n_photons', [1e4, None])
def test_simulated_and_measured_scans_have_the_same_images(kind, n_photons):
    """Both classes make the same image of the same data by default."""
    simulated = SparseViewCT(
        (N, N), n_views=40, geometry=kind, n_photons=n_photons, dtype='float64'
    )
    measured = MeasuredCT(
        simulated.geometry, simulated.space, 'm', n_photons=n_photons
    )
    data = simulated.simulate(ellipse_phantom((2 * N, 2 * N), rng=0), rng=0)
    images = [ct.fbp(data).asarray() for ct in (simulated, measured)]
    size = np.abs(images[0]).max()
    assert np.abs(images[0] - images[1]).max() < 1e-6 * size
    images = [ct.fbp_operator(data).asarray() for ct in (simulated, measured)]
    assert np.abs(images[0] - images[1]).max() < 1e-6 * size


@pytest.mark.parametrize('name', ['parallel', 'fan', 'curved'])
def test_lengths_in_two_units(name):
    """Cells in metres for a scanner in millimetres give a warning."""
    for cell in (1e-3, 1e3):
        with pytest.warns(UserWarning, match='in the same unit') as found:
            MeasuredCT(described(name), {'shape': (N, N), 'cell': cell}, 'mm')
        assert found[0].filename == __file__
    # a detail, and more than the detector sees
    for cell in (0.1, 10.0):
        MeasuredCT(described(name), {'shape': (N, N), 'cell': cell}, 'mm')


@pytest.mark.parametrize('name', ['parallel', 'fan', 'curved'])
def test_nobody_scans_a_house(name):
    """Lengths of a scanner in millimetres that are given as metres."""
    with pytest.warns(UserWarning, match="such as `length_unit='mm'`") as said:
        MeasuredCT(described(name), {'shape': (N, N), 'cell': 1.0})
    assert len(said) == 1 and said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        MeasuredCT(described(name), {'shape': (N, N), 'cell': 1.0}, 'mm')
        MeasuredCT(described(name), {'shape': (N, N), 'cell': 1.0}, 'cell')


def test_clockwise_views_are_reversed():
    """A negative step is refused, and the advice has the same angles."""
    clockwise = {'first': 180, 'step': -4, 'n': 45}
    description = described('parallel')
    with pytest.raises(ValueError, match=r'first=4 and step=4$'):
        ct_geometry({**description, 'angles': clockwise})
    advised = {'first': 4, 'step': 4, 'n': 45}
    geometry = ct_geometry({**description, 'angles': advised})
    expected = np.radians(180 - 4 * np.arange(45))[::-1]
    np.testing.assert_allclose(geometry.angles, expected, atol=1e-12)


def test_fields_are_checked_at_once():
    """A field that does not fit is named before there are readings."""
    space = {'shape': (N, N), 'cell': 1.0}
    n = described('parallel')['n_detectors']
    make = lambda **fields: MeasuredCT(  # noqa: E731
        described('parallel'), space, 'mm', **fields
    )
    with pytest.raises(ValueError, match='`white` must be a number, an arr'):
        make(white=np.ones(n + 1))
    with pytest.raises(ValueError, match='Are the two swapped'):
        make(dark=np.full(n, 50), white=20.0)
    with pytest.raises(ValueError, match='`dark` has 1 of 1 values'):
        make(dark=np.nan)
    make(dark=np.zeros(n, 'uint8'), white=np.full((3, n), 9, '>i2'))
