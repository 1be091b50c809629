# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of scans: their rows, views, columns and fields."""

import json
import types
import warnings

import numpy as np
import odl
import pytest

from odl_equivariant.data import TomographyScan, read_scan

CONE = {
    'kind': 'cone',
    'unit': 'mm',
    'source_radius': 100.0,
    'detector_radius': 50.0,
    'n_detectors': 12,
    'detector_width': 2.0,
    'n_rows': 4,
    'row_height': 1.0,
    'angle_unit': 'degrees',
    'angles': {'first': 0, 'step': 60, 'n': 6},
}
FLAT = {
    key: value
    for key, value in CONE.items()
    if key not in ('n_rows', 'row_height')
} | {'kind': 'fan'}
# each row has its own number
ROWS = np.broadcast_to(np.arange(4.0)[:, None], (6, 4, 12))


def cone(**changes):
    """Return a scan of four rows."""
    return TomographyScan(
        ROWS, {**CONE, **changes}, 'line integrals', source='cone.tif'
    )


@pytest.mark.parametrize(
    ('offset', 'row'), [(0.0, 2), (0.6, 1), (-0.6, 2), (-1.4, 3), (9.0, 0)]
)
def test_the_row_is_that_opposite_the_source(offset, row):
    """A detector that is shifted upwards has the central row further down."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found = cone(row_offset=offset).row()
    assert found.attributes['row'] == row
    assert (found.readings == row).all()


def test_rows_off_the_plane_are_said():
    """The warning says how many rows a ray crosses in the field of view."""
    # at the source's distance of 100, the radius of the field of view
    radius = 100 * np.sin(np.arctan2(12, 150))
    crossed = 2 * radius * 9.5 / 150 / (100 / 150)
    scan = cone(row_offset=8.0)
    with pytest.warns(UserWarning, match=f'cross {crossed:.1f} rows') as said:
        scan.row(3)
    assert len(said) == 1 and 'cone.tif' in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        cone().row(3)


def test_fields_of_a_row():
    """A row has its own fields, and numbers stay what they are."""
    white = 1000 + ROWS[0]
    scan = TomographyScan(
        500 + ROWS, CONE, 'counts', white=[white, white], dark=3.0
    )
    row = scan.row(1)
    assert (row.white == 1001).all() and row.white.shape == (2, 12)
    assert row.dark == 3.0 and (row.readings == 501).all()


def test_fields_of_columns():
    """Fields are averaged as readings are, and a number stays."""
    columns = np.arange(12.0)
    counts = np.broadcast_to(100 + columns, (6, 12))
    scan = TomographyScan(
        counts, FLAT, 'counts', dark=columns, white=1000.0, n_photons=7.0
    )
    binned = scan.binned(2)
    assert np.array_equal(binned.dark, 0.5 + np.arange(0, 12, 2))
    assert binned.white == 1000.0
    acquisition = binned.acquisition((4, 4))
    assert acquisition.n_photons == 7.0
    expected = -np.log(100 / (1000 - binned.dark))
    assert np.allclose(binned.data(acquisition).asarray(), expected)


def test_data_of_rows_have_the_axes_of_odl():
    """Data of cone beams have columns before rows, and so have fields."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (6, 12, 4))
    # no back-end of the processor has cone beams
    acquisition = types.SimpleNamespace(
        operator=types.SimpleNamespace(range=space),
        line_integrals=lambda *given: given,
    )
    data = cone().data(acquisition)
    assert np.array_equal(data.asarray(), ROWS.swapaxes(1, 2))
    white = 1000 + ROWS[0]
    scan = TomographyScan(500 + ROWS, CONE, 'counts', white=white, dark=3.0)
    counts, dark, found = scan.data(acquisition)
    assert np.array_equal(counts, 500 + ROWS.swapaxes(1, 2))
    assert np.array_equal(found, white.T) and dark == 3.0


@pytest.mark.parametrize(
    ('field', 'message'),
    [
        (np.ones(11), r'white field has the shape \(11,\), expected \(12,\)'),
        (np.ones((3, 11)), r'white field has the shape \(3, 11\)'),
        (np.full(12, np.nan), 'white field has values that are infinite'),
    ],
)
def test_wrong_fields(field, message):
    """An error names the file and the field."""
    with pytest.raises(ValueError, match=f'a.npy: the {message}'):
        TomographyScan(
            np.ones((6, 12)), FLAT, 'counts', white=field, source='a.npy'
        )


@pytest.mark.parametrize('views', [slice(None, None, -1), slice(6, 9)])
def test_views_stay_in_their_order(views):
    """Views in another order, or none, are an error."""
    scan = TomographyScan(np.ones((6, 12)), FLAT, 'line integrals')
    with pytest.raises(ValueError, match='6 views in their order'):
        scan.select_views(views)


def test_arrays_of_one_row(tmp_path):
    """An array of one row is a fan, and one without rows is a cone of one."""
    readings = np.random.default_rng(0).random((6, 12))
    np.save(tmp_path / 'three.npy', readings[:, None])
    flat = read_scan(tmp_path / 'three.npy', FLAT)
    assert np.array_equal(flat.readings, readings)
    np.save(tmp_path / 'two.npy', readings)
    scan = read_scan(tmp_path / 'two.npy', {**CONE, 'n_rows': 1})
    assert scan.readings.shape == (6, 1, 12)
    assert np.array_equal(scan.row().readings, readings)


def test_lengths_without_a_unit_are_metres(tmp_path):
    """A geometry that names no unit is in metres, of line integrals."""
    np.save(tmp_path / 'a.npy', np.ones((6, 12)))
    plain = {key: value for key, value in FLAT.items() if key != 'unit'}
    (tmp_path / 'a.json').write_text(json.dumps({'geometry': plain}))
    scan = read_scan(tmp_path / 'a.npy')
    assert scan.length_unit == 'm' and scan.kind == 'line integrals'
    assert float(scan.geometry.src_radius) == 100.0


def test_files_of_fields_have_one_shape(tmp_path):
    """Fields in several files are a stack, if they have one shape."""
    np.save(tmp_path / 'a.npy', np.full((6, 12), 500.0))
    np.save(tmp_path / 'one.npy', np.full(12, 900.0))
    np.save(tmp_path / 'two.npy', np.full(12, 1100.0))
    values = {'geometry': FLAT, 'kind': 'counts'}
    for names in (['one.npy', 'two.npy'], ['one.npy', 'a.npy']):
        values['white'] = names
        (tmp_path / 'a.json').write_text(json.dumps(values))
        if 'two.npy' in names:
            white = read_scan(tmp_path / 'a.npy').white
            assert white.shape == (2, 12) and white.mean() == 1000.0
            continue
        with pytest.raises(ValueError, match=r'`white` have the shapes'):
            read_scan(tmp_path / 'a.npy')


def test_two_geometries_are_one_too_many(tmp_path):
    """Of two files beside the data, one has to be named."""
    np.save(tmp_path / 'a.npy', np.ones((6, 12)))
    for ending in ('json', 'yaml'):
        (tmp_path / f'a.{ending}').write_text(json.dumps(FLAT))
    with pytest.raises(FileNotFoundError, match=r'a\.yaml and .*a\.json'):
        read_scan(tmp_path / 'a.npy')
    assert read_scan(tmp_path / 'a.npy', tmp_path / 'a.json').n_views == 6


def test_several_arrays_are_no_scan(tmp_path):
    """A file with several arrays is refused, whatever its name."""
    np.savez(tmp_path / 'a.npz', a=np.ones((6, 12)))
    (tmp_path / 'a.npz').rename(tmp_path / 'a.npy')
    with pytest.raises(ValueError, match='holds several arrays'):
        read_scan(tmp_path / 'a.npy', FLAT)


def test_angles_without_a_unit_are_asked_for(tmp_path):
    """Angles above a full turn that look like neither unit are an error."""
    h5py = pytest.importorskip('h5py')
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['exchange/data'] = np.ones((5, 1, 12))
        file['exchange/theta'] = 2.00314159 * np.arange(5) + 0.1234567
    with pytest.raises(ValueError, match='no attribute `units`'):
        read_scan(tmp_path / 'a.h5')
