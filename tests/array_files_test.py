# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of reading files ``.npy``."""

import ast
import os
import pathlib

import numpy as np
import odl
import pytest

import odl_equivariant
from odl_equivariant._array_files import read_array
from odl_equivariant.data import read_kspace
from odl_equivariant.training.measured.inputs import measured_tomography
from odl_equivariant.training.reconstruction.measurements import Measurements

_ROOT = pathlib.Path(odl_equivariant.__file__).parent


def _damaged(path):
    """Write a file whose header cannot be parsed, and return it."""
    np.save(path, np.ones((4, 4), dtype='f4'))
    content = bytearray(path.read_bytes())
    place = content.index(b'}')
    content[place : place + 1] = b'('
    path.write_bytes(content)
    return path


@pytest.mark.parametrize('mapped', [False, True])
@pytest.mark.parametrize('dtype', ['f4', '>c16', 'i2', 'bool'])
def test_arrays_are_those_that_were_written(tmp_path, dtype, mapped):
    """What is read equals what was saved, in dtype, shape and values."""
    array = (np.arange(15).reshape(3, 5) % 4).astype(dtype)
    np.save(tmp_path / 'a.npy', np.asfortranarray(array))
    read = read_array(tmp_path / 'a.npy', mapped=mapped)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize('mapped', [False, True])
def test_any_damaged_header_is_a_value_error(tmp_path, mapped):
    """A header with any byte changed is read, or a ValueError names it."""
    path = tmp_path / 'a.npy'
    np.save(path, np.ones((3, 4), dtype='f4'))
    whole = path.read_bytes()
    failed = 0
    for place in range(whole.index(b'\n')):
        for byte in b'(\x00]':
            content = bytearray(whole)
            content[place] = byte
            path.write_bytes(content)
            try:
                read_array(path, mapped=mapped)
            except ValueError as error:
                assert str(path) in str(error)
                failed += 1
    assert failed > 100


@pytest.mark.parametrize('mapped', [False, True])
@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'empty'),
        (b'not an array', 'does not begin as a file of NumPy'),
        (b'\x93NUMPY\x01\x00', 'cannot be read'),
    ],
)
def test_other_files_say_what_they_are(tmp_path, content, reason, mapped):
    """A file that holds no array is refused with the reason."""
    path = tmp_path / 'a.npy'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_array(path, mapped=mapped)


def test_archives_and_objects_are_refused(tmp_path):
    """Archives are closed and refused, and objects of Python never loaded."""
    path = tmp_path / 'a.npz'
    np.savez(path, one=np.ones(2))
    with pytest.raises(ValueError, match='several arrays'):
        read_array(path.rename(tmp_path / 'a.npy'))
    np.save(tmp_path / 'b.npy', np.array([{}], dtype=object))
    with pytest.raises(ValueError, match='objects of Python'):
        read_array(tmp_path / 'b.npy')


def test_missing_files_and_closed_ones_are_no_damage(tmp_path):
    """A missing file is no ValueError, nor one that may not be read."""
    with pytest.raises(FileNotFoundError, match=r'a\.npy'):
        read_array(tmp_path / 'a.npy')
    np.save(tmp_path / 'b.npy', np.ones(2))
    os.chmod(tmp_path / 'b.npy', 0)
    if os.access(tmp_path / 'b.npy', os.R_OK):
        pytest.skip('this user may read everything')
    with pytest.raises(PermissionError):
        read_array(tmp_path / 'b.npy')


@pytest.mark.parametrize(
    'read',
    [
        read_kspace,
        lambda path: measured_tomography(path, _Options),
        lambda path: Measurements(path, odl.rn((4, 4))),
    ],
    ids=['kspace', 'tomography', 'with a configuration'],
)
def test_readers_name_the_damaged_file(tmp_path, read):
    """A header that cannot be parsed is a ValueError of every reader."""
    path = _damaged(tmp_path / 'scan.npy')
    header = '{"acquisition": {"n_views": 4, "side": 1.0, "shape": [4, 4]}}'
    (tmp_path / 'scan.json').write_text(header)
    with pytest.raises(ValueError, match=r'scan\.npy'):
        read(path)


class _Options:
    geometry = shape = cell = axis = None


def test_arrays_are_read_at_one_place():
    """`numpy.load` is called by `read_array` alone."""
    callers = {
        path.relative_to(_ROOT).as_posix()
        for path in _ROOT.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.Attribute)
        and node.attr == 'load'
        and isinstance(node.value, ast.Name)
        and node.value.id in ('np', 'numpy')
    }
    assert callers == {'_array_files.py'}
