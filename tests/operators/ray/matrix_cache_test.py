# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the matrices that are kept in memory and on disk."""

import contextlib
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import odl
import pytest
import safetensors
import safetensors.torch
import torch
from odl.applications.tomo import (
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from odl.core.util.testutils import simple_fixture

from odl_equivariant.operators.ray import (
    matrices,
    matrix_building,
    matrix_cache,
    matrix_files,
)
from odl_equivariant.operators.ray.geometry import ray_geometry
from odl_equivariant.operators.ray.matrices import (
    CACHE_VARIABLE,
    LIMIT_VARIABLE,
    RayMatrixMemoryWarning,
    configure_ray_matrices,
)
from odl_equivariant.operators.ray.matrix_building import MatrixBuilder
from odl_equivariant.operators.ray.matrix_files import (
    MatrixKey,
    load_matrix,
    save_matrix,
)
from odl_equivariant.operators.ray.symmetry import ray_symmetry

dtype = simple_fixture('dtype', ['float32', 'float64'])
beam = simple_fixture('beam', ['parallel', 'fan'])

posix = pytest.mark.skipif(
    not hasattr(os, 'fork'), reason='needs processes that fork'
)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Store matrices in a folder of this test."""
    for name in (CACHE_VARIABLE, LIMIT_VARIABLE):
        # set and delete: it is restored whatever the test does
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setattr(matrix_cache, '_TOO_LARGE', {})
    folder = tmp_path / 'rays'
    configure_ray_matrices(cache_folder=folder)
    return folder


def ray_transform(dtype='float32', beam='parallel', n_views=6):
    """Return a ray transform without a matrix."""
    space = odl.uniform_discr([-1, -1], [1, 1], (12, 12), dtype=dtype)
    if beam == 'parallel':
        geometry = parallel_beam_geometry(space, n_views, 19)
    else:
        geometry = cone_beam_geometry(
            space, 2.0, 3.0, num_angles=n_views, det_shape=19
        )
    return RayTransform(space, geometry, impl='astra_matrix')


def forget_matrices():
    """Make all transforms look up their matrices again."""
    matrix_cache._MATRICES.clear()


def data(**kwargs):
    """Return data of an image, with the matrix not in memory."""
    forget_matrices()
    transform = ray_transform(**kwargs)
    image = np.random.default_rng(3).standard_normal((12, 12))
    return transform(transform.domain.element(image)).data


def files(folder):
    """Return the names of the files in a folder."""
    return sorted(path.name for path in pathlib.Path(folder).iterdir())


def the_file(folder):
    """Return the one file in a folder."""
    (name,) = files(folder)
    return pathlib.Path(folder, name)


@contextlib.contextmanager
def nothing_is_built():
    """Fail where a matrix is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MatrixBuilder, 'build', None)
        yield


def example():
    """Return a key and its matrix."""
    transform = ray_transform()
    rays = ray_geometry(transform.geometry, transform.domain)
    symmetry = ray_symmetry(transform.geometry, transform.domain)
    key = MatrixKey(rays, 'float32')
    return key, MatrixBuilder(rays, 'float32', symmetry).build(np.inf)


def equal(x, y):
    """Return whether two matrices have the same arrays."""
    return x.shape == y.shape and all(
        np.array_equal(getattr(x, name), getattr(y, name))
        for name in ('data', 'indices', 'indptr')
    )


# --- Files --- #


def test_matrix_comes_back_from_disk(folder, dtype, beam):
    """The next process takes the same numbers from the folder."""
    expected = data(dtype=dtype, beam=beam)
    with nothing_is_built():
        assert np.array_equal(data(dtype=dtype, beam=beam), expected)
    assert the_file(folder).match('ray_matrix_*.safetensors')


def test_file_is_one_of_safetensors(folder):
    """Any reader of the format finds the arrays and what they are."""
    data()
    with safetensors.safe_open(the_file(folder), 'np') as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert sorted(arrays) == ['data', 'indices', 'indptr']
    assert metadata['version'] == '2'
    assert json.loads(metadata['shape']) == [6 * 19, 144]
    key = json.loads(metadata['key'])
    assert key['projector'] == 'linear' and key['dtype'] == 'float32'


@posix
def test_others_may_read_the_file(folder):
    """A folder is shared: a file has the permissions of any new file."""
    data()
    plain = folder / 'plain'
    plain.touch()
    expected = plain.stat().st_mode
    plain.unlink()
    assert the_file(folder).stat().st_mode == expected


def test_geometries_have_files_of_their_own(folder):
    """Precision, beam and number of views are not mixed up."""
    changes = [{}, {'dtype': 'float64'}, {'beam': 'fan'}, {'n_views': 7}]
    expected = [data(**change) for change in changes]
    assert len(files(folder)) == len(changes)
    with nothing_is_built():
        for change, values in zip(changes, expected, strict=True):
            assert np.array_equal(data(**change), values)


def test_no_folder_no_files(folder):
    """Without a folder, no file is written."""
    configure_ray_matrices(cache_folder=None)
    data()
    assert not folder.exists()


def test_folder_is_made(folder):
    """A folder that is missing is made, with those above it."""
    below = folder / 'a' / 'b'
    configure_ray_matrices(cache_folder=below)
    data()
    assert len(files(below)) == 1


def test_file_larger_than_the_limit_is_not_loaded():
    """The limit holds for files too, before their arrays are read."""
    expected = data()
    configure_ray_matrices(memory_limit=1000)
    with nothing_is_built():
        with pytest.warns(RayMatrixMemoryWarning):
            result = data()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_matrix_without_entries_is_kept(folder):
    """Rays that all miss the image are a matrix as well."""
    key, matrix = example()
    matrix = matrix * np.float32(0)
    matrix.eliminate_zeros()
    save_matrix(folder, key, matrix)
    assert load_matrix(folder, key, np.inf).nnz == 0


# --- Damaged files --- #


def rewrite(path, changed_arrays=(), changed_metadata=()):
    """Change arrays or metadata, with the right checksum for the former."""
    with safetensors.safe_open(path, 'pt') as file:
        metadata = file.metadata()
        names = ('data', 'indices', 'indptr')
        tensors = {name: file.get_tensor(name).clone() for name in names}
    for name, change in dict(changed_arrays).items():
        tensors[name] = change(tensors[name])
        arrays = (tensors[name].numpy() for name in names)
        metadata['checksum'] = matrix_files._checksum(arrays)
    metadata.update(changed_metadata)
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def with_value(index, value):
    """Return a function that changes one value of a tensor."""

    def change(tensor):
        tensor[index] = value
        return tensor

    return change


def flip_a_bit(path):
    """Change one bit in the middle of the arrays."""
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)


DAMAGES = {
    'empty': lambda path: path.write_bytes(b''),
    'garbage': lambda path: path.write_bytes(b'garbage' * 1000),
    'half': lambda path: os.truncate(path, path.stat().st_size // 2),
    'header only': lambda path: os.truncate(path, 200),
    'longer': lambda path: path.write_bytes(path.read_bytes() + b'0'),
    'a bit': flip_a_bit,
    'no metadata': lambda path: safetensors.torch.save_file(
        {'data': torch.zeros(1)}, path
    ),
    'version': lambda path: rewrite(path, (), {'version': '0'}),
    'ASTRA': lambda path: rewrite(path, (), {'astra': '1.9'}),
    'shape': lambda path: rewrite(path, (), {'shape': '[3, 4]'}),
    'key': lambda path: rewrite(path, (), {'key': 'another'}),
    'lengths': lambda path: rewrite(path, {'data': lambda x: x[1:]}),
    'rows': lambda path: rewrite(path, {'indptr': lambda x: x[1:]}),
    'precision': lambda path: rewrite(path, {'data': lambda x: x.double()}),
    'integers': lambda path: rewrite(path, {'indices': lambda x: x.long()}),
    'column': lambda path: rewrite(path, {'indices': with_value(5, 144)}),
    'negative': lambda path: rewrite(path, {'indices': with_value(5, -1)}),
    'order': lambda path: rewrite(path, {'indptr': with_value(5, 10**6)}),
    'start': lambda path: rewrite(path, {'indptr': with_value(0, 1)}),
    'end': lambda path: rewrite(path, {'indptr': with_value(-1, 10**6)}),
    'nan': lambda path: rewrite(path, {'data': with_value(7, np.nan)}),
    'inf': lambda path: rewrite(path, {'data': with_value(7, -np.inf)}),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damaged_file_is_replaced(folder, damage):
    """A damaged file gives a message, and is written again."""
    expected = data()
    path = the_file(folder)
    content = path.read_bytes()
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    assert damaged != content
    with pytest.warns(RuntimeWarning, match=f'{path.name} cannot be used'):
        assert np.array_equal(data(), expected)
    assert the_file(folder).read_bytes() != damaged
    with nothing_is_built():
        assert np.array_equal(data(), expected)


def test_folder_in_place_of_the_file(folder):
    """If the file cannot be replaced, there are two messages, and a result."""
    expected = data()
    path = the_file(folder)
    path.unlink()
    path.mkdir()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        assert np.array_equal(data(), expected)
    assert [w.category for w in said] == [RuntimeWarning] * 2
    assert all(path.name in str(w.message) for w in said)
    assert the_file(folder).is_dir()


# --- Writing that fails --- #


def test_unwritable_folder(tmp_path):
    """If the folder is not writable, there is a warning, and a result."""
    expected = data()
    (tmp_path / 'file').write_text('no folder')
    configure_ray_matrices(cache_folder=tmp_path / 'file' / 'below')
    with pytest.warns(RuntimeWarning, match='cannot be kept.*cache_folder'):
        assert np.array_equal(data(), expected)


def test_full_disk(folder):
    """Half a file is removed, with a warning."""
    resource = pytest.importorskip('resource')
    key, matrix = example()
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the kernel refuses to let a file grow past this
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.warns(RuntimeWarning, match='cannot be kept.*too large'):
            save_matrix(folder, key, matrix)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert files(folder) == []
    save_matrix(folder, key, matrix)
    assert equal(load_matrix(folder, key, np.inf), matrix)


def forked(function):
    """Run a function in a process of its own, and return its number."""
    with warnings.catch_warnings():
        # the child only writes files, by none of the threads of torch
        warnings.simplefilter('ignore', DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return child


@posix
@pytest.mark.parametrize('before', [False, True])
def test_killed_while_it_writes(folder, before, monkeypatch):
    """Half a file is never seen, and goes when it is a day old."""
    key, matrix = example()
    if before:
        save_matrix(folder, key, matrix)
    read, write = os.pipe()

    def stop_half_way(descriptor):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.write(write, b'!')
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(matrix_files.os, 'fsync', stop_half_way)
        child = forked(lambda: save_matrix(folder, key, matrix))
    assert os.read(read, 1) == b'!'
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(read), os.close(write)
    assert os.WTERMSIG(status) == signal.SIGKILL

    (half,) = (name for name in files(folder) if name.endswith('.tmp'))
    assert (folder / half).stat().st_size > 1000
    found = load_matrix(folder, key, np.inf)
    assert equal(found, matrix) if before else found is None
    save_matrix(folder, key, matrix)
    assert files(folder) == sorted([key.file_name, half])
    yesterday = time.time() - 25 * 3600
    os.utime(folder / half, (yesterday, yesterday))
    save_matrix(folder, key, matrix)
    assert files(folder) == [key.file_name]
    assert equal(load_matrix(folder, key, np.inf), matrix)


def test_other_files_are_left_alone(folder):
    """Only what is ours and a day old is removed."""
    key, matrix = example()
    folder.mkdir()
    names = ['notes.tmp', 'ray_matrix_notes.txt', 'ray_matrix_new.tmp']
    for name in names:
        (folder / name).write_text('mine')
    for name in names[:2]:
        os.utime(folder / name, (0, 0))
    save_matrix(folder, key, matrix)
    assert files(folder) == sorted([*names, key.file_name])


@posix
def test_two_processes_write_at_once(folder):
    """A reader sees a complete file at any time, or none."""
    key, matrix = example()

    def write_often():
        for _ in range(30):
            save_matrix(folder, key, matrix)

    children = [forked(write_often) for _ in range(2)]
    statuses, seen = [], 0
    while children:
        found = load_matrix(folder, key, np.inf)
        assert found is None or equal(found, matrix)
        seen += found is not None
        child, status = os.waitpid(children[0], os.WNOHANG)
        if child:
            statuses.append(status)
            children.pop(0)
    assert statuses == [0, 0] and seen > 0
    assert files(folder) == [key.file_name]


# --- Other threads and processes --- #


def test_threads_build_once(monkeypatch):
    """Threads that want the same matrix share the one that is built."""
    configure_ray_matrices(cache_folder=None)
    forget_matrices()
    built = []
    build = MatrixBuilder.build

    def slow(self, max_nonzeros):
        built.append(self)
        time.sleep(0.05)
        return build(self, max_nonzeros)

    monkeypatch.setattr(matrix_building.MatrixBuilder, 'build', slow)
    start, matrices = threading.Barrier(4), []

    def make():
        transform = ray_transform()
        start.wait()
        matrices.append(transform.get_impl().matrix)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(matrices) == 4 and len(set(map(id, matrices))) == 1


@posix
@pytest.mark.parametrize('module', [matrix_cache, matrices])
def test_forked_process_is_not_locked_out(module):
    """A lock that another thread holds does not lock a child for ever."""

    def enter():
        signal.alarm(20)
        with module._LOCK:
            return

    held, done = threading.Event(), threading.Event()

    def hold():
        with module._LOCK:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        child = forked(enter)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        holder.join()


@pytest.mark.slow
def test_new_process_takes_the_matrix_from_the_folder():
    """A process that is started later inherits the folder."""
    transform = ray_transform(beam='fan')
    image = np.random.default_rng(3).standard_normal((12, 12))
    y = transform(transform.domain.element(image))
    transform.adjoint(y)
    script = """
import pickle, sys
import odl_equivariant
from odl_equivariant.operators.ray import matrix_building
matrix_building.MatrixBuilder.build = None
transform, image = pickle.load(sys.stdin.buffer)
assert transform.get_impl().is_matrix
sys.stdout.buffer.write(transform(transform.domain.element(image)).data)
"""
    result = subprocess.run(
        [sys.executable, '-W', 'error', '-c', script],
        input=pickle.dumps((transform, image)),
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr.decode()
    values = np.frombuffer(result.stdout, dtype=np.float32)
    assert np.array_equal(values.reshape(y.shape), y.data)
