# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Files of scanners that are damaged, replaced, or read by many at once."""

import concurrent.futures
import json
import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy import io

from odl_equivariant.data import read_scan
from odl_equivariant.data.scans.matlab_elements import check_elements

RNG = np.random.default_rng(0)
READINGS = RNG.random((6, 12))
PARALLEL = {
    'kind': 'parallel',
    'unit': 'mm',
    'n_detectors': 12,
    'detector_width': 0.2,
    'angle_unit': 'degrees',
    'angles': {'first': 0, 'step': 30, 'n': 6},
}


def write_challenge(path, compress=False):
    """Write a file of MATLAB, version 5."""
    parameters = {
        'distanceSourceOrigin': 410.66,
        'distanceSourceDetector': 553.74,
        'angles': np.arange(6) * 0.5,
        'pixelSizePost': 0.2,
        'scanner': 'one in Kümpula',
    }
    content = {'sinogram': READINGS, 'parameters': parameters}
    io.savemat(path, {'Ct': content}, do_compression=compress)


def write_hdf(path):
    """Write a file of MATLAB, version 7.3."""
    values = {
        'distanceSourceOrigin': 410.66,
        'distanceSourceDetector': 553.74,
        'angles': np.arange(6) * 0.5,
        'pixelSizePost': 0.2,
    }
    with h5py.File(path, 'w', userblock_size=512) as file:
        file['Ct/sinogram'] = READINGS.T
        for key, value in values.items():
            file[f'Ct/parameters/{key}'] = np.atleast_2d(value).T
            node = file[f'Ct/parameters/{key}']
            node.attrs['MATLAB_class'] = np.bytes_('double')


def write_exchange(path):
    """Write a file of Data Exchange."""
    with h5py.File(path, 'w') as file:
        file['exchange/data'] = READINGS[:, None]
        file['exchange/theta'] = np.arange(6) * 30.0
        file['exchange/theta'].attrs['units'] = 'degrees'


def write_array(path):
    """Write an array, and its geometry beside it."""
    np.save(path, READINGS)
    path.with_suffix('.json').write_text(json.dumps(PARALLEL))


def write_tiff(path):
    """Write a picture, and its geometry beside it."""
    Image.fromarray(READINGS.astype('f4')).save(path)
    path.with_suffix('.yaml').write_text(json.dumps(PARALLEL))


def write_nikon(path):
    """Write a file of Nikon and its projections."""
    values = {
        'DetectorPixelsX': 12,
        'DetectorPixelsY': 1,
        'DetectorPixelSizeX': 0.2,
        'DetectorPixelSizeY': 0.2,
        'SrcToObject': 100.0,
        'SrcToDetector': 400.0,
        'Projections': 6,
        'AngularStep': 60.0,
        'WhiteLevel': 60000,
    }
    lines = [f'{key}={value}' for key, value in values.items()]
    path.write_text('\n'.join(['[XTekCT]', *lines]))
    for i, view in enumerate((50000 * READINGS).astype('uint16')):
        picture = path.with_name(f'{path.stem}_{i}.tif')
        Image.fromarray(view[None]).save(picture)


WRITERS = {
    'five.mat': write_challenge,
    'seven.mat': write_hdf,
    'exchange.h5': write_exchange,
    'array.npy': write_array,
    'picture.tif': write_tiff,
    'nikon.xtekct': write_nikon,
}


@pytest.fixture(params=WRITERS)
def path(request, tmp_path):
    """Return a scan of each format, in a folder with another alphabet."""
    folder = tmp_path / 'Müller 影像 знімок'
    folder.mkdir()
    path = folder / f'ß {request.param}'
    WRITERS[request.param](path)
    return path


def damaged(content):
    """Yield what may become of a file: parts of it, and other bytes."""
    rng = np.random.default_rng(1)
    yield b''
    yield b'<html>404 not found</html>'
    yield rng.bytes(300)
    yield b'XXXX' + content[4:]
    for n in np.linspace(1, len(content) - 1, 12).astype(int):
        yield content[:n]
    for _ in range(40):
        changed = bytearray(content)
        changed[rng.integers(0, min(len(content), 2500))] = rng.integers(256)
        yield bytes(changed)


@pytest.mark.filterwarnings('ignore')
def test_damage_is_an_error_with_the_name_of_the_file(path):
    """Whatever becomes of a file, the error names it, or there is none."""
    content = path.read_bytes()
    n_errors = 0
    for changed in damaged(content):
        path.write_bytes(changed)
        try:
            read_scan(path)
        except (FileNotFoundError, TypeError, ValueError) as error:
            assert path.name in str(error), error
            n_errors += 1
    assert n_errors >= 4
    path.write_bytes(content)
    assert read_scan(path).n_views == 6


def test_elements_of_matlab_fit_each_other(tmp_path):
    """What SciPy writes is whole, whatever it holds."""
    from scipy import sparse

    values = {
        'complex': np.eye(3) + 1j,
        'text': 'Kümpula',
        'cells': np.array([{'x': 1}, 'y', np.zeros(0)], dtype=object),
        'truth': np.array([True]),
        'bytes': np.arange(3, dtype='u1'),
        'sparse': sparse.csc_array(np.eye(4)),
        'structure': {'a': {'b': [1.0, 2.0]}, 'empty': []},
    }
    for version, compress in (('5', False), ('5', True), ('4', False)):
        own = {'a': np.eye(3)} if version == '4' else values
        path = tmp_path / 'a.mat'
        io.savemat(path, own, do_compression=compress, format=version)
        check_elements(path)


@pytest.mark.parametrize('size', [0, 2, 2**31 - 1])
def test_matlab_arrays_of_another_size_are_no_arrays(tmp_path, size):
    """A length or a shape that is not that of the values is an error."""
    path = tmp_path / 'a.mat'
    io.savemat(path, {'a': np.arange(12.0).reshape(3, 4)})
    content = bytearray(path.read_bytes())
    # the shape is the second element of the array
    place = content.index(np.array([3, 4], 'i4').tobytes())
    content[place : place + 4] = np.array(size, 'i4').tobytes()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'shape.*has 96 bytes'):
        check_elements(path)
    with pytest.raises(ValueError, match=r'a\.mat cannot be read'):
        read_scan(path)


def test_not_a_number_is_an_error(tmp_path):
    """Readings that are no numbers are counted, and the file is named."""
    bad = READINGS.copy()
    bad[2, 3], bad[4, 5] = np.nan, np.inf
    np.save(tmp_path / 'bad.npy', bad)
    with pytest.raises(ValueError, match=r'bad\.npy.* 2 of 72 readings'):
        read_scan(tmp_path / 'bad.npy', PARALLEL)


def test_eight_threads_read_at_once(path):
    """Threads read the same as one after the other."""
    expected = read_scan(path).readings
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for scan in pool.map(read_scan, [path] * 24):
            assert np.array_equal(scan.readings, expected)


def test_scans_can_be_sent_to_processes(path):
    """A copy by pickle has the same data."""
    scan = read_scan(path)
    scan = scan.row() if scan.n_rows > 1 or scan.readings.ndim == 3 else scan
    copy = pickle.loads(pickle.dumps(scan))
    space = {'shape': (4, 4), 'cell': 1.0}
    assert np.array_equal(copy.readings, scan.readings)
    assert repr(copy.acquisition(space)) == repr(scan.acquisition(space))


@pytest.mark.slow
def test_a_spawned_process_reads(tmp_path):
    """A process that is started anew reads the same."""
    path = tmp_path / 'ß.npy'
    write_array(path)
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        (scan,) = pool.map(read_scan, [path])
    assert np.array_equal(scan.readings, READINGS)


def test_a_file_that_is_replaced_is_one_of_both(tmp_path):
    """While a file is replaced by another, each reading is one of the two."""
    path = tmp_path / 'scan.npy'
    write_array(path)
    ones = np.ones((6, 12))

    def replace():
        for i in range(100):
            np.save(tmp_path / 'new.npy', ones if i % 2 else READINGS)
            os.replace(tmp_path / 'new.npy', path)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        task = pool.submit(replace)
        for _ in range(50):
            found = read_scan(path).readings
            assert any(np.array_equal(found, a) for a in (ones, READINGS))
        task.result()


def test_views_of_several_kinds_are_no_scan(tmp_path):
    """All pictures have one dtype, and all pages of one file one shape."""
    folder = tmp_path / 'views'
    folder.mkdir()
    for i, dtype in enumerate(('uint16', 'float32')):
        Image.fromarray(np.ones((1, 12), dtype)).save(folder / f'{i}.tif')
    with pytest.raises(ValueError, match=r'1\.tif has the dtype float32'):
        read_scan(folder, PARALLEL)
    pages = [Image.fromarray(np.ones((n, 12), 'f4')) for n in (6, 5)]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match='all pages must have one shape'):
        read_scan(tmp_path / 'a.tif', PARALLEL)


def test_lengths_are_positive_and_numbers_of_elements_whole(tmp_path):
    """A length of zero, or half an element, names the field."""
    path = tmp_path / 'a.xtekct'
    write_nikon(path)
    text = path.read_text()
    for change, message in (
        ('SrcToObject=0', 'SrcToObject. must be a finite positive number'),
        ('Projections=5.5', 'Projections. must be a whole number'),
    ):
        name = change.split('=')[0]
        lines = [
            change if line.startswith(name + '=') else line
            for line in text.splitlines()
        ]
        path.write_text('\n'.join(lines))
        with pytest.raises(ValueError, match=message):
            read_scan(path)


def test_hidden_pictures_and_repeated_views(tmp_path):
    """Hidden files are no views, and an angle occurs once."""
    path = tmp_path / 'a.h5'
    write_exchange(path)
    with h5py.File(path, 'a') as file:
        file['exchange/theta'][3] = 60.0
    with pytest.raises(ValueError, match='60 occurs twice'):
        read_scan(path)
    folder = tmp_path / 'views'
    folder.mkdir()
    for i in range(6):
        view = Image.fromarray(np.full((1, 12), i, 'f4'))
        view.save(folder / f'{i}.tif')
    # as some systems write them beside the files
    (folder / '._0.tif').write_bytes(b'something else')
    assert (read_scan(folder, PARALLEL).readings[:, 0] == np.arange(6)).all()
