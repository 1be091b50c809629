# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of reading the files of scanners, which they write themselves."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy import io

from odl_equivariant.data import MeasuredCT, TomographyScan, read_scan

RNG = np.random.default_rng(0)
FAN = {
    'kind': 'fan',
    'unit': 'mm',
    'source_radius': 410.66,
    'detector_radius': 143.08,
    'n_detectors': 12,
    'detector_width': 0.2,
    'angle_unit': 'degrees',
    'angles': {'first': 75, 'step': 0.5, 'n': 7},
}
PARALLEL = {
    'kind': 'parallel',
    'unit': 'mm',
    'n_detectors': 12,
    'detector_width': 0.2,
    'angle_unit': 'degrees',
    'angles': {'first': 0, 'step': 30, 'n': 6},
}


def challenge(**changes):
    """Return the structure in a file of the challenge, with changes."""
    parameters = {
        'distanceSourceOrigin': 410.66,
        'distanceSourceDetector': 553.74,
        'distanceUnit': 'mm',
        'angles': np.arange(7) * 0.5 + 75,
        'pixelSizePost': 0.2,
        'effectivePixelSizePost': 0.2 * 410.66 / 553.74,
        'numDetectorsPost': 12,
        'scanner': 'a scanner',
    }
    parameters.update(changes)
    parameters = {k: v for k, v in parameters.items() if v is not None}
    return {'type': '2d', 'sinogram': SINOGRAM, 'parameters': parameters}


SINOGRAM = RNG.random((7, 12))


def write_version_5(path, structure):
    """Write a file of MATLAB, version 5."""
    io.savemat(path, {'CtDataLimited': structure})


def write_version_7_3(path, structure):
    """Write a file as MATLAB does in version 7.3."""

    def write(group, name, value):
        if isinstance(value, dict):
            node = group.create_group(name)
            node.attrs['MATLAB_class'] = np.bytes_('struct')
            for key, item in value.items():
                write(node, key, item)
            return
        if isinstance(value, str):
            array = np.array([[ord(c)] for c in value], dtype='u2')
            kind = 'char'
        else:
            array, kind = np.atleast_2d(np.asarray(value, float)).T, 'double'
        node = group.create_dataset(name, data=array)
        node.attrs['MATLAB_class'] = np.bytes_(kind)

    with h5py.File(path, 'w', userblock_size=512) as file:
        write(file, 'CtDataLimited', structure)
    with open(path, 'r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')


WRITERS = {'5': write_version_5, '7.3': write_version_7_3}


@pytest.mark.parametrize('version', WRITERS)
def test_challenge_values(tmp_path, version):
    """A file of the challenge gives its readings, geometry and texts."""
    path = tmp_path / 'scan.mat'
    WRITERS[version](path, challenge())
    scan = read_scan(path)
    assert np.array_equal(scan.readings, SINOGRAM)
    assert scan.kind == 'line integrals' and scan.length_unit == 'mm'
    assert np.allclose(scan.geometry.angles, np.deg2rad(75 + np.arange(7) / 2))
    assert np.isclose(scan.geometry.src_radius, 410.66)
    assert np.isclose(scan.geometry.det_radius, 553.74 - 410.66)
    assert np.allclose(scan.geometry.det_partition.cell_sides, 0.2)
    assert scan.attributes['scanner'] == 'a scanner'


@pytest.mark.parametrize('version', WRITERS)
@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'angles': None}, r'`CtDataLimited.parameters.angles` is missing'),
        ({'angles': np.arange(6.0)}, 'angles. has 6 values.* 7 views'),
        ({'distanceSourceOrigin': -1.0}, 'distanceSourceOrigin. must be .*-1'),
        ({'distanceSourceDetector': 1.0}, 'distanceSourceDetector. is 1'),
        ({'distanceUnit': 'inch'}, "distanceUnit. must be .*'inch'"),
        ({'numDetectorsPost': 13}, 'numDetectorsPost. is 13'),
        ({'pixelSizePost': 0.3}, 'pixelSizePost. is 0.3'),
        (
            {'pixelSizePost': None, 'effectivePixelSizePost': None},
            'pixelSizePost. is missing',
        ),
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, dict) else '',
)
def test_challenge_wrong_fields(tmp_path, version, changes, message):
    """An error names the file of the challenge and the field."""
    path = tmp_path / 'scan.mat'
    WRITERS[version](path, challenge(**changes))
    with pytest.raises(ValueError, match=f'scan.mat.*{message}'):
        read_scan(path)


@pytest.mark.parametrize('version', WRITERS)
def test_challenge_ends_early(tmp_path, version):
    """A file of MATLAB that ends early is an error with its name."""
    path = tmp_path / 'scan.mat'
    WRITERS[version](path, challenge())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='scan.mat cannot be read.*complete'):
        read_scan(path)


def test_challenge_other_variables(tmp_path):
    """A file of MATLAB without a scan names the variables that it has."""
    path = tmp_path / 'scan.mat'
    io.savemat(path, {'walnut': np.eye(3)})
    with pytest.raises(ValueError, match='scan.mat.*sinogram.*walnut'):
        read_scan(path)


def write_exchange(path, angles=None, units='degrees', skip=(), **sizes):
    """Write a file of Data Exchange with 6 views, 3 rows and 12 columns."""
    if angles is None:
        angles = np.arange(6) * 30.0
    values = {
        'data': 500 + 300 * RNG.random((6, 3, 12)).astype('f4'),
        'data_dark': np.full((4, 3, 12), 100, 'u2'),
        'data_white': np.full((5, 3, 12), 1000, 'u2'),
        'theta': angles,
    }
    values.update(sizes)
    with h5py.File(path, 'w') as file:
        for name, value in values.items():
            if name not in skip:
                file[f'exchange/{name}'] = value
        if units is not None and 'theta' not in skip:
            file['exchange/theta'].attrs['units'] = units
    return values


def test_exchange_values(tmp_path):
    """Counts of a row become the logarithms of what two fields say."""
    path = tmp_path / 'scan.h5'
    values = write_exchange(path)
    scan = read_scan(path, pixel_size=0.01, length_unit='mm')
    assert scan.readings.shape == (6, 3, 12) and scan.n_rows == 3
    row = scan.row(2)
    acquisition = row.acquisition((8, 8))
    expected = -np.log((values['data'][:, 2] - 100.0) / 900)
    data = row.data(acquisition).asarray()
    assert np.allclose(data, expected, atol=1e-6)
    assert np.isclose(acquisition.geometry.det_partition.cell_sides[0], 0.01)
    only = read_scan(path, rows=2)
    assert np.array_equal(only.readings[:, 0], row.readings)


def test_exchange_sorts_views(tmp_path):
    """Views are in the order of their angles, with their readings."""
    path = tmp_path / 'scan.h5'
    values = write_exchange(path, angles=np.arange(6)[::-1] * 30.0)
    scan = read_scan(path)
    assert (np.diff(scan.geometry.angles) > 0).all()
    assert np.array_equal(scan.readings, values['data'][::-1])


def test_exchange_pixel_size_of_file(tmp_path):
    """The size of an element and its unit are those of the file."""
    path = tmp_path / 'scan.h5'
    write_exchange(path)
    with h5py.File(path, 'a') as file:
        node = file.create_dataset(
            'measurement/instrument/detector/pixel_size_x', data=[0.65]
        )
        node.attrs['units'] = 'micron'
    scan = read_scan(path)
    assert scan.length_unit == 'um'
    assert np.allclose(scan.geometry.det_partition.cell_sides, 0.65)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'skip': ['data']}, 'exchange/data` is missing'),
        ({'skip': ['theta']}, 'exchange/theta` is missing'),
        ({'skip': ['data_white']}, 'exchange/data_white` is missing'),
        ({'angles': np.arange(5.0)}, 'exchange/theta` has 5 angles.* 6 views'),
        ({'units': 'turns'}, "exchange/theta` has the units 'turns'"),
        ({'data': np.ones((6, 12))}, 'exchange/data` must have 3 axes'),
        ({'data_white': np.ones((3, 11))}, 'data_white` has the shape'),
        ({'data': np.full((6, 3, 12), np.nan)}, 'data` has 216 of 216 val'),
    ],
)
def test_exchange_wrong_fields(tmp_path, options, message):
    """An error names the file of Data Exchange and the dataset."""
    path = tmp_path / 'scan.h5'
    write_exchange(path, **options)
    with pytest.raises(ValueError, match=f'scan.h5.*{message}'):
        read_scan(path)


def test_exchange_ends_early(tmp_path):
    """An HDF5 file that ends early is an error with its name."""
    path = tmp_path / 'scan.h5'
    write_exchange(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match='scan.h5 cannot be read.*complete'):
        read_scan(path)


def test_exchange_links_out(tmp_path):
    """Numbers that lie in another file are not read."""
    write_exchange(tmp_path / 'other.h5')
    path = tmp_path / 'scan.h5'
    write_exchange(path, skip=['data'])
    with h5py.File(path, 'a') as file:
        file['exchange/data'] = h5py.ExternalLink('other.h5', 'exchange/data')
    with pytest.raises(ValueError, match='scan.h5.*other.h5'):
        read_scan(path)


def write_nikon(folder, skip=(), n_files=5, shape=(3, 12), **changes):
    """Write a file of Nikon and its projections."""
    values = {
        'Name': 'part',
        'DetectorPixelsX': 12,
        'DetectorPixelsY': 3,
        'DetectorPixelSizeX': 0.2,
        'DetectorPixelSizeY': 0.2,
        'SrcToObject': 100.0,
        'SrcToDetector': 400.0,
        'Projections': 5,
        'InitialAngle': 30.0,
        'AngularStep': 72.0,
        'WhiteLevel': 60000,
        'CentreOfRotationTop': 0.1,
        'CentreOfRotationBottom': 0.1,
    }
    values.update(changes)
    lines = [f'{k}={v}' for k, v in values.items() if k not in skip]
    path = folder / 'part.xtekct'
    path.write_text('\n'.join(['[XTekCT]', *lines, '[CTPro]', 'Version=2']))
    views = RNG.integers(1000, 50000, (n_files, *shape), dtype=np.uint16)
    for i, view in enumerate(views):
        # without leading zeros, in the order of numbers
        Image.fromarray(view).save(folder / f'part_{i + 7}.tif')
    return path, views


def test_nikon_values(tmp_path):
    """A file of Nikon gives a cone beam, with the axis where it says."""
    path, views = write_nikon(tmp_path)
    scan = read_scan(path)
    assert np.array_equal(scan.readings, views[:, ::-1, ::-1])
    angles = np.deg2rad(30 - 180 + 72 * np.arange(5))
    assert np.allclose(scan.geometry.angles, angles)
    assert np.isclose(scan.geometry.src_radius, 100)
    assert np.isclose(scan.geometry.det_radius, 300)
    assert scan.kind == 'counts' and scan.white == 60000
    middle = scan.geometry.det_partition.mid_pt
    assert np.allclose(middle, [0.1, 0])
    row = scan.row()
    assert np.array_equal(row.readings, views[:, 1, ::-1])
    data = row.data(row.acquisition((8, 8))).asarray()
    assert np.allclose(data, -np.log(row.readings / 60000), atol=1e-6)
    lowest = read_scan(path, row=0)
    assert np.array_equal(lowest.readings[:, 0], scan.readings[:, 0])
    assert np.isclose(lowest.geometry.det_partition.mid_pt[1], -0.2)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'skip': ['SrcToObject']}, ValueError, 'SrcToObject` is missing'),
        ({'SrcToDetector': 4}, ValueError, 'SrcToDetector` is 4'),
        ({'AngularStep': 'x'}, ValueError, "AngularStep` must .*'x'"),
        ({'n_files': 4}, FileNotFoundError, 'Projections = 5.* 4 TIFF'),
        ({'shape': (3, 11)}, ValueError, '11 columns.*DetectorPixelsX = 12'),
        ({'InputFolderName': 'raw'}, FileNotFoundError, 'no folder .*raw'),
    ],
)
def test_nikon_wrong_fields(tmp_path, options, error, message):
    """An error names the file of Nikon and the field."""
    path, _ = write_nikon(tmp_path, **options)
    with pytest.raises(error, match=f'part.xtekct.*{message}|{message}'):
        read_scan(path)


def test_nikon_tilt_is_said(tmp_path):
    """An axis that is not upright is not dropped without a word."""
    path, _ = write_nikon(tmp_path, ObjectTilt=20.0)
    with pytest.warns(UserWarning, match='part.xtekct.*ObjectTilt'):
        read_scan(path)


@pytest.mark.parametrize('dtype', ['f4', 'f8', 'u2', 'i4'])
@pytest.mark.parametrize('ending', ['.yaml', '.json'])
def test_array_with_geometry(tmp_path, dtype, ending):
    """An array has the geometry that lies beside it."""
    readings = (100 * RNG.random((6, 12))).astype(dtype)
    np.save(tmp_path / 'scan.npy', readings)
    # JSON is YAML, too
    (tmp_path / f'scan{ending}').write_text(json.dumps(PARALLEL))
    scan = read_scan(tmp_path / 'scan.npy')
    assert np.array_equal(scan.readings, readings)
    assert scan.kind == 'line integrals' and scan.length_unit == 'mm'
    assert np.allclose(scan.geometry.angles, np.deg2rad(30 * np.arange(6)))


def test_array_of_counts(tmp_path):
    """Fields in files beside the geometry turn counts into exponents."""
    np.save(tmp_path / 'scan.npy', np.full((6, 12), 350.0))
    np.save(tmp_path / 'white.npy', np.full((3, 12), 600.0))
    geometry = {
        'geometry': PARALLEL,
        'kind': 'counts',
        'dark': 100,
        'white': 'white.npy',
        'length_unit': 'm',
    }
    (tmp_path / 'scan.yaml').write_text(json.dumps(geometry))
    scan = read_scan(tmp_path / 'scan.npy')
    assert np.isclose(scan.geometry.det_partition.cell_sides[0], 2e-4)
    data = scan.data(scan.acquisition((8, 8))).asarray()
    assert np.allclose(data, np.log(2), atol=1e-6)


@pytest.mark.parametrize('pages', [False, True])
def test_pictures(tmp_path, pages):
    """Files of a folder, or pages of a file, are views with rows."""
    views = RNG.random((7, 2, 12)).astype('f4')
    geometry = {**FAN, 'kind': 'cone', 'n_rows': 2, 'row_height': 0.2}
    images = [Image.fromarray(view) for view in views]
    path = tmp_path / 'views'
    if pages:
        path = path.with_suffix('.tif')
        images[0].save(path, save_all=True, append_images=images[1:])
    else:
        path.mkdir()
        for i, image in enumerate(images):
            image.save(path / f'view{i + 5}.tiff')
    scan = read_scan(path, geometry)
    assert np.array_equal(scan.readings, views)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'n_detectors': 13}, r'\(6, 13\).*\(6, 12\)'),
        ({'kind': 'helix'}, "geometry.kind.*'helix'"),
        ({'detector_width': -1}, 'geometry.detector_width.*-1'),
        ({'angle_unit': None}, 'set `angle_unit: degrees`'),
        ({'colour': 'red'}, 'does not know colour'),
    ],
)
def test_array_wrong_geometry(tmp_path, changes, message):
    """An error names the file of the geometry, and the key."""
    np.save(tmp_path / 'scan.npy', np.ones((6, 12)))
    (tmp_path / 'scan.yaml').write_text(json.dumps({**PARALLEL, **changes}))
    with pytest.raises(ValueError, match=f'scan.yaml.*{message}'):
        read_scan(tmp_path / 'scan.npy')


def test_array_ends_early(tmp_path):
    """An array, or a picture, that ends early is an error with its name."""
    np.save(tmp_path / 'scan.npy', np.ones((6, 12)))
    Image.fromarray(np.ones((60, 120), 'f4')).save(tmp_path / 'scan.tif')
    for name in ('scan.npy', 'scan.tif'):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:150])
        with pytest.raises(ValueError, match=f'{name} cannot be read'):
            read_scan(path, PARALLEL)


def test_array_without_geometry(tmp_path):
    """An array alone says where its geometry should be."""
    np.save(tmp_path / 'scan.npy', np.ones((6, 12)))
    with pytest.raises(FileNotFoundError, match='scan.npy.*scan.yaml'):
        read_scan(tmp_path / 'scan.npy')


def test_array_unpickles_nothing(tmp_path):
    """An array of objects is an error."""
    np.save(tmp_path / 'scan.npy', np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match='scan.npy cannot be read'):
        read_scan(tmp_path / 'scan.npy', PARALLEL)


def test_read_scan_names(tmp_path):
    """Missing files, unknown endings and wrong options are errors."""
    with pytest.raises(FileNotFoundError, match=r'scan.mat'):
        read_scan(tmp_path / 'scan.mat')
    (tmp_path / 'scan.raw').write_bytes(b'')
    with pytest.raises(ValueError, match=r"scan.raw.*'.raw'"):
        read_scan(tmp_path / 'scan.raw')
    write_version_5(tmp_path / 'scan.mat', challenge())
    with pytest.raises(TypeError, match=r'scan.mat.*geometry'):
        read_scan(tmp_path / 'scan.mat', FAN)


def test_scan_units_give_one_image():
    """Lengths in another unit give the same image, in its own unit."""
    # the detector sees all of the object
    readings = RNG.random((6, 12)) * (abs(np.arange(12) - 5.5) < 3)
    scan = TomographyScan(readings, PARALLEL, 'line integrals')
    images = []
    for unit in ('mm', 'm', 'um'):
        other = scan.in_unit(unit)
        acquisition = other.acquisition((8, 8))
        image = acquisition.fbp(other.data(acquisition))
        images.append(acquisition.attenuation_in(image, '1/mm'))
        assert isinstance(acquisition, MeasuredCT)
    for image in images[1:]:
        error = np.abs(image - images[0]).max()
        assert error < 1e-4 * np.abs(images[0]).max()


def test_scan_binned():
    """Columns in pairs keep the places of the rays in the middle."""
    scan = TomographyScan(RNG.random((6, 12)), PARALLEL, 'line integrals')
    binned = scan.binned(5)
    assert np.allclose(binned.readings[:, 1], scan.readings[:, 5:10].mean(1))
    edges = scan.geometry.det_partition.min_pt[0] + np.array([0, 2.0])
    ends = binned.geometry.det_partition
    assert np.allclose([ends.min_pt[0], ends.max_pt[0]], edges)


def test_scan_select_views():
    """Some of the views keep their angles and readings."""
    scan = TomographyScan(RNG.random((6, 12)), PARALLEL, 'line integrals')
    some = scan.select_views(slice(1, None, 2))
    assert np.allclose(some.geometry.angles, scan.geometry.angles[1::2])
    assert np.array_equal(some.readings, scan.readings[1::2])
    with pytest.raises(ValueError, match='some of 6 views'):
        scan.select_views(slice(6, 9))


def test_scan_row_of_cone():
    """A row far from the source's plane is not a fan without a word."""
    geometry = {
        **FAN,
        'kind': 'cone',
        'n_rows': 201,
        'row_height': 1.0,
        'detector_width': 5.0,
    }
    scan = TomographyScan(RNG.random((7, 201, 12)), geometry, 'counts')
    assert np.array_equal(scan.row().readings, scan.readings[:, 100])
    with pytest.warns(UserWarning, match=r'row 0 .*rows within'):
        scan.row(0)


def test_scan_wrong_shape():
    """A transposed sinogram is an error that says so."""
    with pytest.raises(ValueError, match=r'\(6, 12\).*transpose'):
        TomographyScan(np.ones((12, 6)), PARALLEL, 'counts')


def test_exchange_offset_and_units(tmp_path):
    """An offset goes along the columns, and a unit needs its lengths."""
    path = tmp_path / 'scan.h5'
    write_exchange(path)
    scan = read_scan(path, pixel_size=2.0, length_unit='um')
    shifted = read_scan(
        path, pixel_size=2.0, length_unit='um', detector_offset=3.0
    )
    moved = scan.with_detector_offset(3.0)
    assert repr(shifted.row().geometry) == repr(moved.row().geometry)
    with pytest.raises(ValueError, match='pass `pixel_size` in this unit'):
        read_scan(path, length_unit='mm')


def test_challenge_without_a_unit_is_in_millimetres(tmp_path):
    """Lengths of the challenge are millimetres unless the file says more."""
    write_version_5(tmp_path / 'a.mat', challenge(distanceUnit=None))
    scan = read_scan(tmp_path / 'a.mat')
    assert scan.length_unit == 'mm'
    assert scan.geometry.src_radius == pytest.approx(410.66)


def test_challenge_numbers_in_other_files(tmp_path):
    """Numbers of a file of MATLAB that lie in another file are not read."""
    path = tmp_path / 'scan.mat'
    write_version_7_3(path, challenge())
    with h5py.File(path, 'a') as file:
        del file['CtDataLimited/sinogram']
        layout = h5py.VirtualLayout((12, 7), 'f8')
        layout[:] = h5py.VirtualSource('other.h5', 'x', (12, 7))
        file.create_virtual_dataset('CtDataLimited/sinogram', layout)
    with pytest.raises(ValueError, match='sinogram. must consist of numbers'):
        read_scan(path)


def test_nikon_fields_of_the_detector(tmp_path):
    """The black level is the dark field; a step of zero is no scan."""
    path, _ = write_nikon(tmp_path, BlackLevel=250)
    scan = read_scan(path)
    assert scan.dark == 250 and scan.white == 60000
    path, _ = write_nikon(tmp_path, AngularStep=0)
    with pytest.raises(ValueError, match='AngularStep. is zero'):
        read_scan(path)


def test_nikon_saturation_is_said(tmp_path):
    """Readings at the largest value that the files hold are said."""
    path, views = write_nikon(tmp_path)
    view = views[0].copy()
    view[1, 2:4] = 65535
    Image.fromarray(view).save(tmp_path / 'part_7.tif')
    with pytest.warns(UserWarning, match='2 of 180 readings are 65535'):
        read_scan(path)


def test_zeros_are_no_scan(tmp_path):
    """A file that was made and never filled is named."""
    path = tmp_path / 'scan.npy'
    np.save(path, np.zeros((3, 4)))
    description = {
        'kind': 'parallel',
        'n_detectors': 4,
        'detector_width': 1.0,
        'angles': {'first': 0, 'step': 1, 'n': 3},
    }
    with pytest.raises(ValueError, match=r'scan\.npy: all readings are zero'):
        read_scan(path, description)
    np.save(path, np.eye(3, 4))
    assert read_scan(path, description).n_views == 3
