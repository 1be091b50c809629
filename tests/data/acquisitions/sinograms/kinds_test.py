# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Data that are no line integrals, on exact data of discs."""

import math
import time
import warnings

import numpy as np
import pytest

from odl_equivariant.data import MeasuredCT, TomographyScan
from odl_equivariant.data.acquisitions.sinograms.consistency import (
    Lines,
    find_inconsistency,
    find_wrong_kind,
)
from odl_equivariant.data.acquisitions.sinograms.kinds import (
    are_counts,
    growth_of_noise,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    normalised_description,
)

# middles, radii and values of discs
DISCS = [((5.0, -8.0), 18.0, 0.03), ((-14.0, 10.0), 9.0, 0.05)]
FAN = {'kind': 'fan', 'source_radius': 200.0, 'detector_radius': 60.0}
SCANS = [('parallel', 180, 10), ('parallel', 90, 60), ('parallel', 180, 1000)]
SCANS += [('fan', 360, 90), ('fan', 60, 121)]


def described(kind='parallel', turn=180, n_views=60, n=120, **changes):
    """Return a description in its normal form."""
    return normalised_description(
        {
            **(FAN if kind == 'fan' else {'kind': kind}),
            'unit': 'mm',
            'angles': {'first': 10, 'step': turn / n_views, 'n': n_views},
            'angle_unit': 'degrees',
            'n_detectors': n,
            'detector_width': 120 / n,
            **changes,
        }
    )


def exact(values):
    """Return the line integrals of the discs."""
    lines = Lines.of_description(values)
    t = lines.angles[:, None] + (0 if lines.turns is None else lines.turns)
    data = 0
    for (x, y), radius, value in DISCS:
        s = lines.distances - x * np.cos(t) - y * np.sin(t)
        data = data + 2 * value * np.sqrt(np.maximum(radius**2 - s**2, 0))
    return data


def counted(data, n_photons, rng, electronics=0.0):
    """Return counts of photons, with noise of electronics."""
    counts = rng.poisson(n_photons * np.exp(-data)).astype(float)
    counts += electronics * rng.standard_normal(counts.shape)
    return np.maximum(counts, 1.0)


def scans():
    """Return line integrals of many scans, with noise and in air."""
    rng = np.random.default_rng(0)
    for scan in SCANS:
        data = exact(described(*scan))
        yield data
        for n_photons in (1e6, 1e5, 1e4, 2e3):
            for electronics in (0, 10):
                counts = counted(data, n_photons, rng, electronics)
                yield -np.log(counts / n_photons)


def test_line_integrals_are_what_they_are():
    """Line integrals are not taken for anything else, whole or truncated."""
    for data in scans():
        for part in (data, data[:, 40:], data[:, 35:85], data[:, 60:62]):
            assert find_wrong_kind(part).cause is None, find_wrong_kind(part)


def test_negated_data_are_found():
    """Line integrals with the other sign are found."""
    for data in scans():
        assert find_wrong_kind(-data).cause == 'sign'
        assert find_wrong_kind(-data[:, 30:90]).cause == 'sign'


@pytest.mark.parametrize('white', [1.0, 255.0, 4e4])
def test_counts_are_found(white):
    """Counts, and transmissions from 0 to 1, are found where air is seen."""
    for scan in SCANS:
        data = exact(described(*scan))
        rng = np.random.default_rng(1)
        for n_photons in (1e6, 1e5):
            counts = counted(data, n_photons, rng) * (white / n_photons)
            assert find_wrong_kind(counts).cause == 'counts'
            assert 'line_integrals' in str(find_wrong_kind(counts))


def test_the_inside_of_a_tube_is_not_taken_for_counts():
    """A tube whose walls are beyond the detector is dark in the middle."""
    s = np.linspace(-0.9, 0.9, 100)
    profile = 2 * (np.sqrt(1.5**2 - s**2) - np.sqrt(1 - s**2))
    data = np.tile(profile, (60, 1))
    data += 1e-3 * np.random.default_rng(2).standard_normal(data.shape)
    assert not are_counts(data)


@pytest.mark.parametrize('n_photons', [None, 1e4])
@pytest.mark.parametrize('kind', ['parallel', 'fan'])
def test_transposed_squares_are_found(kind, n_photons):
    """A square sinogram with swapped axes is found, and not the right one."""
    data = exact(described(kind, 360, 120))
    if n_photons:
        counts = counted(data, n_photons, np.random.default_rng(3))
        data = -np.log(counts / n_photons)
    assert find_wrong_kind(data.T).cause == 'transposed'
    assert find_wrong_kind(data).cause is None


@pytest.mark.parametrize('scan', SCANS)
@pytest.mark.parametrize('start', [0, 1])
def test_a_detector_that_goes_to_and_fro_is_found(scan, start):
    """If each second view is reversed, it is found."""
    data = exact(described(*scan))
    data[start::2] = data[start::2, ::-1]
    found = find_wrong_kind(data)
    assert found.cause == 'zigzag' and found.value > 0.6


def test_noise_grows_like_photons():
    """The variance of line integrals grows like their exponential."""
    rng = np.random.default_rng(4)
    wide = np.repeat(np.linspace(0, 2, 40), 40)[None] + np.zeros((90, 1))
    counts = counted(wide, 1e4, rng)
    data = -np.log(counts / 1e4)
    for order in (2, 4):
        growth, error = growth_of_noise(data, order)
        assert growth == pytest.approx(1, abs=4 * error) and error < 0.05
    assert find_wrong_kind(data).cause is None
    decimal = find_wrong_kind(data / np.log(10))
    assert decimal.cause == 'logarithm' and '2.303' in str(decimal)
    noisy = -np.log(counted(wide, 1e4, rng, 100.0) / 1e4)
    assert find_wrong_kind(noisy).cause is None


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
def test_a_reversed_detector_shows_by_its_offset(kind):
    """Reversed elements are found if the axis is not in the middle."""
    for offset, cause in (4.0, 'detector'), (0.0, None):
        if kind == 'fan' and not offset:
            continue
        values = described(kind, 180, 90, detector_offset=offset)
        found = find_inconsistency(values, exact(values)[:, ::-1])
        assert found.cause == cause
    # with the axis in the middle it is the object, turned by 180 degrees
    values = described('parallel', 360, 90)
    data = exact(values)
    np.testing.assert_allclose(np.roll(data, 45, 0), data[:, ::-1], atol=1e-9)


def test_small_and_empty_data_are_nothing():
    """Zeros, noise and single readings are no other kind of data."""
    rng = np.random.default_rng(5)
    for shape in ((0, 0), (1, 1), (3, 2), (60, 60)):
        assert not find_wrong_kind(np.zeros(shape))
        assert not find_wrong_kind(0.01 * rng.standard_normal(shape))
    assert not find_wrong_kind(np.ones((60, 60)))


def acquisition(n=120, n_views=120):
    """Return an acquisition of the scan of 360 degrees."""
    geometry = described('parallel', 360, n_views, n)
    return MeasuredCT(geometry, {'shape': (30, 30), 'cell': 3.0}, 'mm')


WRONG = {
    'sign': (lambda y: -y, 'negative'),
    'counts': (lambda y: 5e4 * np.exp(-y), 'readings of a detector'),
    'transposed': (lambda y: y.T, 'data.T'),
}


@pytest.mark.parametrize('cause', WRONG)
def test_one_warning_says_what_data_are(cause):
    """Filtered back-projection says it once, and nothing of truncation."""
    ct = acquisition()
    change, words = WRONG[cause]
    data = change(exact(described('parallel', 360, 120)))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter('always')
        ct.fbp(data)
        ct.fbp(data)
    messages = [str(w.message) for w in record]
    assert len(messages) == 1 and words in messages[0]
    assert ct.inconsistency(data).cause == cause


@pytest.mark.parametrize('cause', WRONG)
def test_a_file_with_other_data_is_refused(cause):
    """A scan of line integrals is refused if it holds something else."""
    change, words = WRONG[cause]
    values = described('parallel', 360, 120)
    for is_right in (True, False):
        data = exact(values)
        scan = TomographyScan(
            data if is_right else change(data),
            values,
            'line integrals',
            source='my scan.npy',
        )
        ct = scan.acquisition({'shape': (30, 30), 'cell': 3.0})
        if is_right:
            assert scan.data(ct) in ct.operator.range
            continue
        with pytest.raises(ValueError, match=f'my scan.npy: .*{words}'):
            scan.data(ct)


@pytest.mark.parametrize('bits', [8, 12, 16])
@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
def test_saturated_readings_are_said(bits, dtype):
    """A plateau at the largest number of a detector is said, with numbers."""
    ct = acquisition()
    data = exact(described('parallel', 360, 120))
    largest = 2**bits - 1
    rng = np.random.default_rng(6)
    for white in (0.8 * largest, 1.05 * largest):
        counts = white * np.exp(-data)
        counts += 0.02 * largest * rng.standard_normal(counts.shape)
        counts = np.clip(counts.round(), 1, largest).astype(dtype)
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter('always')
            ct.line_integrals(counts, white=white)
        said = [str(w.message) for w in record if 'bits' in str(w.message)]
        assert len(said) == (white > largest)
        assert all(f'{bits} bits' in message for message in said)


def test_a_saturated_white_field_is_said():
    """A white field at the largest number is said."""
    ct = acquisition()
    white = np.full((5, 120), 4095)
    with pytest.warns(UserWarning, match='600 of 600 readings of `white`'):
        ct.line_integrals(np.full((120, 120), 4000.0), white=white)
    ct.line_integrals(np.full((120, 120), 4000.0), white=white - 1)


def test_air_below_zero_is_not_another_sign():
    """A small object beside which data are negative keeps its sign."""
    s = np.linspace(-1, 1, 128)
    data = np.tile(np.sqrt(np.maximum(0.01 - s**2, 0)), (60, 1)) - 0.03
    assert (data.sum(axis=1) < 0).all()
    assert find_wrong_kind(data).cause is None


def test_a_detector_that_trembles_is_not_reversed():
    """A symmetric object at random places is not taken for its mirror."""
    rng = np.random.default_rng(7)
    s = np.linspace(-1, 1, 128)
    disc = np.sqrt(np.maximum(0.6 - s**2, 0))
    for reach in (1, 2, 8):
        steps = rng.integers(-reach, reach + 1, 128)
        data = np.stack([np.roll(disc, step) for step in steps])
        assert find_wrong_kind(data).cause is None


def test_a_largest_number_by_chance_is_not_saturation():
    """Readings that become rare towards 255 are not said."""
    counts = np.full((120, 120), 200.0)
    for value, n in ((255, 20), (254, 60), (253, 150)):
        counts.flat[np.arange(n) * 7 + value] = value
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter('always')
        acquisition().line_integrals(counts, white=250.0)
    assert not record


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('step', [137.508, 180.5, 181.0])
def test_views_half_a_turn_apart_are_not_reversed(kind, step):
    """Steps of half a turn, and golden angles, mirror views as they should."""
    for n in (20, 61):
        values = described(kind, step * n, n)
        angles = math.radians(step) * np.arange(n)
        assert not find_wrong_kind(exact(values), angles)
        ct = MeasuredCT(values, {'shape': (30, 30), 'cell': 3.0}, 'mm')
        assert ct.inconsistency(exact(values)).cause != 'zigzag'
    # and in small steps, a detector that goes to and fro is still found
    values = described(kind, 360, 60)
    data = exact(values)
    data[1::2] = data[1::2, ::-1]
    assert find_wrong_kind(data, np.radians(6.0 * np.arange(60))).value > 0.6


@pytest.mark.parametrize('electronics', [0, 10, 30])
@pytest.mark.parametrize('n_photons', [1e2, 1e3, 1e4])
def test_cut_and_filtered_noise_is_no_other_logarithm(n_photons, electronics):
    """Data cut at zero, and medians of neighbours, are not decimal ones."""
    rng = np.random.default_rng(8)
    data = exact(described('fan', 360, 720))
    counts = counted(data, n_photons, rng, electronics)
    noisy = -np.log(counts / n_photons)
    three = np.lib.stride_tricks.sliding_window_view(noisy, 3, axis=1)
    five = np.lib.stride_tricks.sliding_window_view(noisy, 5, axis=1)
    for change in (
        noisy,
        np.maximum(noisy, 0),
        np.median(three, axis=-1),
        np.median(five, axis=-1),
        five.mean(axis=-1),
    ):
        assert find_wrong_kind(change).cause is None


@pytest.mark.parametrize('noise', [0, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize('level', [-0.1, -0.01, 0.01, 0.1])
def test_an_empty_scan_is_empty(level, noise):
    """Air, as a source that drifts makes it, is neither negated nor counts."""
    rng = np.random.default_rng(9)
    for shape in ((1, 512), (5, 100), (60, 60), (200, 128)):
        data = level + noise * rng.standard_normal(shape)
        assert find_wrong_kind(data).cause is None


def test_a_thousand_views_are_explained_soon():
    """An explanation of a wrong range takes no time that grows with views."""
    data = exact(described('parallel', 180, 1000))
    start = time.process_time()
    found = find_inconsistency(described('parallel', 150, 1000), data)
    assert time.process_time() - start < 5
    assert found.cause == 'angles'
    assert found.value == pytest.approx(1.2, abs=0.01)
