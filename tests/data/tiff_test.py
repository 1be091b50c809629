# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Numbers in TIFF files are those that were stored."""

import struct
import warnings
import zlib

import numpy as np
import pytest

from odl_equivariant.data import ImageSlices, read_scan
from odl_equivariant.data.scans.pictures import read_picture

PARALLEL = {
    'kind': 'parallel',
    'n_detectors': 4,
    'detector_width': 1.0,
    'angles': {'first': 0, 'step': 60, 'n': 3},
    'angle_unit': 'degrees',
}
DTYPES = ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f4']


def write_tiff(path, rows, order, is_compressed=False, photometric=1):
    """Write numbers in an order of bytes, by hand."""
    n, m = rows.shape
    data = rows.astype(rows.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if is_compressed else data
    data += bytes(len(data) % 2)
    values = {
        256: m, 257: n, 258: 8 * rows.itemsize,
        259: 8 if is_compressed else 1, 262: photometric, 273: 8, 277: 1,
        278: n, 279: len(data), 339: {'u': 1, 'i': 2, 'f': 3}[rows.dtype.kind],
    }  # fmt: skip
    content = {'<': b'II*\0', '>': b'MM\0*'}[order]
    content += struct.pack(order + 'I', 8 + len(data)) + data
    content += struct.pack(order + 'H', len(values))
    for tag, value in values.items():
        # fields that pillow compares are short numbers
        is_short = tag not in (273, 279)
        content += struct.pack(order + 'HHI', tag, 3 if is_short else 4, 1)
        content += (
            struct.pack(order + 'HH', value, 0)
            if is_short
            else struct.pack(order + 'I', value)
        )
    path.write_bytes(content + bytes(4))


def extreme(dtype):
    """Return numbers of which each byte counts, to both ends of a dtype."""
    rows = np.arange(12).reshape(3, 4)
    if dtype[0] == 'f':
        return (1000.5 * (rows - 6) / 7).astype(dtype)
    ends = np.iinfo(dtype)
    rows = (5 * rows + ends.min // 8).astype(dtype)
    rows[0, :2] = ends.min, ends.max
    return rows


@pytest.mark.parametrize('is_compressed', [False, True])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_numbers_are_those_of_the_file(dtype, order, is_compressed, tmp_path):
    """Signs, the order of bytes and compression change no number."""
    rows = extreme(dtype)
    write_tiff(tmp_path / 'a.tif', rows, order, is_compressed)
    if (dtype, order) == ('u4', '>'):
        # pillow does not read them
        with pytest.raises(ValueError, match=r'a\.tif .*a kind that pillow'):
            read_picture(tmp_path / 'a.tif')
        return
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.tif'), rows)


@pytest.mark.parametrize('is_compressed', [False, True])
@pytest.mark.parametrize('dtype', ['u1', 'u2', 'f4'])
def test_readings_are_not_inverted(dtype, is_compressed, tmp_path):
    """What a file says about its display does not change readings."""
    rows = extreme(dtype)
    write_tiff(tmp_path / 'a.tif', rows, '<', is_compressed, photometric=0)
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.tif'), rows)


@pytest.mark.parametrize('dtype', ['i2', 'f4'])
def test_scans_have_these_numbers(dtype, tmp_path):
    """Compressed line integrals below zero are read as they are."""
    rows = extreme(dtype) / (1 if dtype == 'f4' else 4)
    write_tiff(tmp_path / 'a.tif', rows.astype(dtype), '>', True)
    scan = read_scan(tmp_path / 'a.tif', PARALLEL)
    np.testing.assert_array_equal(scan.readings, rows.astype(dtype))


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('dtype', ['i1', 'i2', 'i4', 'u4'])
def test_pictures_without_white_are_skipped(dtype, order, tmp_path):
    """The reason names the bits and the sign of their numbers."""
    write_tiff(tmp_path / 'a.tif', extreme(dtype), order)
    write_tiff(tmp_path / 'b.tif', extreme('u2'), order)
    slices = ImageSlices(tmp_path, progress=False)
    assert slices.names == ['b.tif']
    ((name, reason),) = slices.index.skipped
    assert name == 'a.tif'
    if (dtype, order) != ('u4', '>'):
        assert f'of {8 * int(dtype[1])} bits' in reason
        assert ('with a sign of' in reason) == (dtype[0] == 'i')


@pytest.mark.parametrize('order', ['<', '>'])
def test_compressed_pictures_keep_floating_point_numbers(order, tmp_path):
    """The order of bytes does not matter."""
    write_tiff(tmp_path / 'a.tif', extreme('f4'), order, True)
    image = ImageSlices(tmp_path, progress=False)[0]
    np.testing.assert_array_equal(image, extreme('f4')[::-1].T)


@pytest.mark.parametrize('is_compressed', [False, True])
@pytest.mark.parametrize('dtype', ['i2', 'f4'])
def test_each_file_that_ends_early_is_refused(dtype, is_compressed, tmp_path):
    """Wherever it ends, no numbers are read, and the error names the file."""
    path = tmp_path / 'a.tif'
    write_tiff(path, extreme(dtype), '<', is_compressed)
    content = path.read_bytes()
    # the last four bytes say that there is no other page
    for n in range(len(content) - 4):
        path.write_bytes(content[:n])
        with (
            warnings.catch_warnings(),
            pytest.raises(ValueError, match=r'a\.tif cannot be read'),
        ):
            # those of pillow are not left to the filters of the user
            warnings.simplefilter('ignore')
            read_picture(path)


def test_a_file_with_a_wrong_byte_is_named(tmp_path):
    """Whatever pillow says of it, the error names the file."""
    path = tmp_path / 'a.tif'
    write_tiff(path, extreme('u2'), '<')
    content = path.read_bytes()
    n_refused = 0
    for place in range(len(content)):
        for value in (0, 0xFF):
            wrong = bytearray(content)
            wrong[place] = value
            path.write_bytes(wrong)
            try:
                read_picture(path)
            except ValueError as error:
                assert 'a.tif' in str(error)
                n_refused += 1
    assert n_refused > 50
