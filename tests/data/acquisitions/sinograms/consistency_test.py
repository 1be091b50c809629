# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Data that cannot belong to their geometry, on exact data of ellipses."""

import math
import pickle
import warnings

import numpy as np
import pytest

from odl_equivariant.actions._rays import Rays
from odl_equivariant.data import MeasuredCT, SparseViewCT, ct_geometry
from odl_equivariant.data.acquisitions.sinograms.consistency import (
    Lines,
    find_inconsistency,
)
from odl_equivariant.data.acquisitions.tomography.angles import seem_degrees
from odl_equivariant.data.acquisitions.tomography.geometries import (
    normalised_description,
)

GEOMETRIES = {
    'parallel': {'kind': 'parallel'},
    'fan': {'kind': 'fan', 'source_radius': 100.0, 'detector_radius': 50.0},
    'far fan': {'kind': 'fan', 'source_radius': 410.0, 'detector_radius': 140},
    'curved': {
        'kind': 'fan',
        'source_radius': 100.0,
        'detector_radius': 50.0,
        'curvature_radius': 120.0,
    },
}
# name of the geometry, step in degrees, and number of views
SCANS = [
    ('parallel', 3, 60),
    ('parallel', 2, 45),
    ('fan', 4, 90),
    ('fan', 2, 110),
    ('far fan', 1, 90),
    ('curved', 4, 90),
]


def described(name, step, n_views, offset=0.0, n=150, width=1.0):
    """Return a description in its normal form."""
    return normalised_description(
        {
            **GEOMETRIES[name],
            'unit': 'mm',
            'angles': {'first': 10, 'step': step, 'n': n_views},
            'angle_unit': 'degrees',
            'n_detectors': n,
            'detector_width': width,
            'detector_offset': offset,
        }
    )


def ellipses(rng):
    """Return values, middles, half axes and angles of some ellipses."""
    n = rng.integers(1, 6)
    middles = rng.uniform(-18, 18, (n, 2))
    axes = rng.uniform(2, 12, (n, 2))
    return rng.uniform(0.01, 0.05, n), middles, axes, rng.uniform(0, 3, n)


def line_integrals(values, objects):
    """Return the exact data of ellipses."""
    lines = Lines.of_description(values)
    turns = 0 if lines.turns is None else lines.turns
    t = lines.angles[:, None] + turns
    data = 0
    for value, middle, (a, b), angle in zip(*objects, strict=True):
        s = lines.distances - middle[0] * np.cos(t) - middle[1] * np.sin(t)
        square = (a * np.cos(t - angle)) ** 2 + (b * np.sin(t - angle)) ** 2
        chord = np.sqrt(np.maximum(square - s**2, 0))
        data = data + 2 * value * a * b * chord / square
    return data


def with_noise(data, n_photons, rng):
    """Return the data of counts."""
    if n_photons is None:
        return data
    return -np.log(rng.poisson(n_photons * np.exp(-data)) / n_photons)


@pytest.mark.parametrize('name', GEOMETRIES)
def test_lines_are_those_of_odl(name):
    """Lines of a description are the rays of ODL's geometry."""
    values = described(name, 7, 12, 2.5)
    lines, rays = Lines.of_description(values), Rays.of(ct_geometry(values))
    turns = 0 if lines.turns is None else lines.turns
    t = lines.angles[:, None] + turns + 0 * lines.distances
    normals = np.stack([np.cos(t), np.sin(t)], axis=-1)
    sides = np.sign((normals * rays.normals).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(sides * rays.normals, normals, atol=1e-12)
    offsets = sides[..., 0] * rays.offsets
    np.testing.assert_allclose(offsets, lines.distances + 0 * t, atol=1e-10)


@pytest.mark.parametrize('scan', SCANS)
@pytest.mark.parametrize('n_photons', [None, 1e6, 1e5, 1e4])
def test_no_object_is_inconsistent_with_its_geometry(scan, n_photons):
    """Data of any object are consistent, whatever their noise."""
    values = described(*scan)
    rng = np.random.default_rng(0)
    for _ in range(8):
        data = line_integrals(values, ellipses(rng))
        found = find_inconsistency(values, with_noise(data, n_photons, rng))
        assert not found and len(found.errors) == 5


@pytest.mark.parametrize('scan', [SCANS[0], SCANS[2], SCANS[5]])
def test_wrong_angles_are_found(scan):
    """A range of angles that is a fifth too small is found, and named."""
    name, step, n = scan
    true, wrong = described(*scan), described(name, 0.8 * step, n)
    rng = np.random.default_rng(1)
    for _ in range(2):
        data = with_noise(line_integrals(true, ellipses(rng)), 1e5, rng)
        found = find_inconsistency(wrong, data)
        assert found and found.cause == 'angles' and '1.2' in str(found)
        assert found.value == pytest.approx(1.25, abs=0.05)


@pytest.mark.parametrize('scan', [SCANS[0], SCANS[2]])
def test_shifted_axis_is_found(scan):
    """A detector that is shifted by two elements is found, and named."""
    true = described(*scan, 2.0)
    rng = np.random.default_rng(2)
    for _ in range(2):
        data = with_noise(line_integrals(true, ellipses(rng)), 1e5, rng)
        found = find_inconsistency(described(*scan), data)
        assert found and found.cause == 'axis' and 'find_axis' in str(found)
        assert found.value == pytest.approx(2.0, abs=0.6)


def test_reversed_views_of_a_fan_are_found():
    """A fan that turns the other way is found; parallel beams are a mirror."""
    rng = np.random.default_rng(3)
    for name, is_found in ('fan', True), ('parallel', False):
        values = described(name, 4, 90)
        data = line_integrals(values, ellipses(rng))[::-1]
        found = find_inconsistency(values, data)
        assert bool(found) == is_found
        assert found.cause == ('order' if is_found else None)


def test_degrees_and_drift_are_found():
    """Degrees for radians, and a source that drifts, are found."""
    true = described('parallel', 3, 60)
    degrees = {**true, 'angles': np.rad2deg(Lines.of_description(true).angles)}
    rng = np.random.default_rng(4)
    data = line_integrals(true, ellipses(rng))
    assert find_inconsistency(degrees, data)
    drifting = data * (1 + 0.05 * np.linspace(0, 1, 60))[:, None]
    assert find_inconsistency(true, drifting)


def test_a_wrong_geometry_is_said_once():
    """Filtered back-projection of data of another geometry gives a warning."""
    true = described('parallel', 3, 60)
    data = line_integrals(true, ellipses(np.random.default_rng(5)))
    wrong = MeasuredCT(
        described('parallel', 2.4, 60), {'shape': (40, 40), 'cell': 2.0}, 'mm'
    )
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter('always')
        wrong.fbp(data)
        wrong.fbp(data)
    messages = [str(w.message) for w in record]
    assert sum('moments' in message for message in messages) == 1
    assert not true_acquisition().inconsistency(data)


def true_acquisition():
    """Return the acquisition of parallel beams over a half turn."""
    space = {'shape': (40, 40), 'cell': 2.0}
    return MeasuredCT(described('parallel', 3, 60), space, 'mm')


def test_simulated_scans_and_few_views():
    """Simulated data are consistent; a few views or truncated say nothing."""
    ct = SparseViewCT((32, 32), n_views=24)
    disc = np.hypot(*np.meshgrid(*2 * [np.linspace(-1, 1, 64)])) < 0.5
    found = ct.inconsistency(ct.simulate(0.3 * disc, rng=0))
    assert not found and found.errors
    assert pickle.loads(pickle.dumps(found)) == found
    few = SparseViewCT((32, 32), n_views=6)
    assert few.inconsistency(few.simulate(0.3 * disc, rng=0)).errors == ()
    ones = np.ones(ct.operator.range.shape)
    assert ct.inconsistency(ones).errors == ()
    assert ct.inconsistency(0 * ones).errors == ()


@pytest.mark.parametrize('name', ['parallel', 'far fan'])
@pytest.mark.parametrize('offset', [0.0, 3.3])
def test_axis_without_opposite_rays(name, offset):
    """From 90 degrees, moments find the axis to two elements."""
    true = described(name, 1, 90, offset)
    rng = np.random.default_rng(6)
    data = with_noise(line_integrals(true, ellipses(rng)), 1e6, rng)
    guess = MeasuredCT(
        described(name, 1, 90), {'shape': (8, 8), 'cell': 9.0}, 'mm'
    )
    assert guess.find_axis(data) == pytest.approx(offset, abs=2)


@pytest.mark.parametrize('turn', [180.0, 360.0])
@pytest.mark.parametrize('is_sorted', [True, False])
def test_golden_angles_in_degrees(turn, is_sorted):
    """Golden angles are taken for degrees, and those in radians are not."""
    step = turn * (math.sqrt(5) - 1) / 2
    angles = step * np.arange(89)
    if is_sorted:
        angles = np.sort(angles % turn)
    assert seem_degrees(angles)
    assert not seem_degrees(np.deg2rad(angles))
