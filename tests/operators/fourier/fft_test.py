# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of centred FFTs, their plans and their wisdom."""

import concurrent.futures
import json
import multiprocessing
import os
import threading

import numpy as np
import pyfftw
import pytest
import torch

from odl_equivariant.operators.fourier import fft, fft_torch
from odl_equivariant.operators.fourier.fft import (
    centred_fft,
    get_plan,
    pair_weights,
)
from odl_equivariant.operators.fourier.fft_torch import centred_fft_torch

_CASES = [
    ((8,), (0,)),
    ((7,), (0,)),
    ((1,), (0,)),
    ((4, 5), (0, 1)),
    ((4, 5), (1, 0)),
    ((5, 4), (1,)),
    ((3, 4, 2), (0, 2)),
    ((2, 3, 5), (0, 1, 2)),
]
case = pytest.mark.parametrize('shape, axes', _CASES)
inverse = pytest.mark.parametrize('inverse', [False, True])
every_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)


def random_array(shape, dtype, rng):
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == 'c':
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def reference(x, axes, inverse):
    """Return the sums of the definition, in double precision."""
    for axis in axes:
        n = x.shape[axis]
        k = np.arange(n) - n // 2
        sign = 1 if inverse else -1
        matrix = np.exp(sign * 2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def close(ours, theirs, dtype):
    single = np.dtype(dtype).name in ('float32', 'complex64')
    np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=1e-5 if single else 1e-12
    )


@pytest.fixture
def no_plans():
    """Start without plans in this thread."""
    fft._LOCAL.__dict__.clear()


@pytest.fixture
def forgotten(no_plans):
    """Start without plans and wisdom, and leave none behind."""
    pyfftw.forget_wisdom()
    fft._STATE['folders'].clear()
    yield
    pyfftw.forget_wisdom()
    fft._STATE['folders'].clear()
    fft._LOCAL.__dict__.clear()


# --- Values --- #


@case
@inverse
@every_dtype
def test_numpy_follows_the_definition(shape, axes, inverse, dtype, rng):
    """The result is that of the matrix with centred indices."""
    parts = [random_array(shape, dtype, rng) for _ in range(2)]
    result = centred_fft(parts, axes, inverse)
    assert result.dtype == np.result_type(dtype, 'complex64')
    for part, ours in zip(parts, result, strict=True):
        close(ours, reference(part, axes, inverse), dtype)


@case
@inverse
@every_dtype
def test_torch_follows_the_definition(shape, axes, inverse, dtype, rng):
    """The result is that of the matrix with centred indices."""
    x = random_array(shape, dtype, rng)
    negative = tuple(axis - len(shape) for axis in axes)
    result = centred_fft_torch(torch.from_numpy(x)[None], negative, inverse)
    close(result[0].numpy(), reference(x, axes, inverse), dtype)


@case
@inverse
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('short', [False, True])
def test_blocks_equal_shifts(shape, axes, inverse, weighted, short, rng):
    """What the processor does is what other devices do, with and without
    weights, also such that do not depend on the first axis.
    """
    x = torch.from_numpy(random_array((3, *shape), 'complex128', rng))
    x = x.conj()  # not yet carried out
    weights = torch.from_numpy(rng.random(shape) < 0.5)
    weights = (weights[:1] if short else weights) if weighted else None
    negative = tuple(axis - len(shape) for axis in axes)
    before = x.clone()
    ours = centred_fft_torch(x, negative, inverse, weights)
    theirs = fft_torch._by_shifts(
        x,
        negative,
        torch.fft.ifftn if inverse else torch.fft.fftn,
        *((weights, None) if inverse else (None, weights)),
    )
    close(ours.numpy(), theirs.numpy(), 'complex128')
    assert torch.equal(x, before)


@case
def test_real_part(shape, axes, rng):
    """With ``real``, the result is the real part, in a real array."""
    x = random_array(shape, 'complex128', rng)
    result = centred_fft([x], axes, inverse=True, real=True)
    assert result.dtype == np.float64
    close(result[0], reference(x, axes, True).real, 'float64')


@case
@pytest.mark.parametrize('real', [False, True])
def test_weights_come_after_or_before(shape, axes, real, rng):
    """The transform is multiplied by weights, its inverse's argument is."""
    x = random_array(shape, 'complex128', rng)
    mask = rng.random(shape[:-1] + (1,)) < 0.5
    weights = pair_weights(mask, shape, axes, 'complex128')
    ours = centred_fft([x], axes, False, weights)[0]
    close(ours, mask * reference(x, axes, False), 'complex128')
    ours = centred_fft([x], axes, True, weights, real)[0]
    expected = reference(mask * x, axes, True)
    close(ours, expected.real if real else expected, 'complex128')


@inverse
def test_any_memory_layout_is_accepted(inverse, rng):
    """Strided, reversed, transposed and read-only arrays are transformed."""
    base = random_array((6, 10), 'complex128', rng)
    weights = {
        shape: pair_weights(np.ones(shape), shape, (0, 1), 'complex128')
        for shape in ((3, 10), (6, 10), (10, 6), (6, 5))
    }
    base.flags.writeable = False
    for x in (base, base[::2], base[::-1], base.T, base[:, 5:]):
        expected = reference(x, (0, 1), inverse)
        for factors in (None, weights[x.shape]):
            ours = centred_fft([x], (0, 1), inverse, factors)[0]
            close(ours, expected, 'complex128')


@inverse
def test_planning_leaves_the_input_alone(inverse, rng, no_plans):
    """Neither planning nor a transform writes to the array."""
    x = random_array((9, 10), 'complex64', rng)
    before = x.copy()
    for _ in range(2):
        centred_fft([x], (0, 1), inverse)
        np.testing.assert_array_equal(x, before)


def test_results_share_no_memory(rng):
    """A later transform leaves an earlier result as it is."""
    x = random_array((4, 4), 'complex128', rng)
    first = centred_fft([x], (0, 1))
    before = first.copy()
    centred_fft([2 * x], (0, 1))
    np.testing.assert_array_equal(first, before)


def test_two_threads_agree_with_one(rng, monkeypatch, no_plans):
    """The number of FFTW's threads is no matter of the result."""
    x = random_array((8, 6), 'complex128', rng)
    results = []
    for threads in (1, 2):
        monkeypatch.setattr(fft, 'n_threads', lambda size, n=threads: n)
        results.append(centred_fft([x], (0, 1)))
    close(*results, 'complex128')


def test_empty_batch():
    """No samples give no transforms."""
    x = torch.zeros(0, 1, 4, 4)
    assert centred_fft_torch(x, (-2, -1)).shape == x.shape
    assert centred_fft_torch(x, (-2, -1)).dtype == torch.complex64


# --- Plans --- #


def test_plans_are_used_again(no_plans):
    """The same transform has one plan, every other one its own."""
    key = ((1, 4, 6), (1, 2), np.dtype('complex64'), False)
    plan = get_plan(*key)
    assert get_plan(*key) is plan
    for other in (
        ((2, 4, 6), *key[1:]),
        (key[0], (1,), *key[2:]),
        (*key[:2], np.dtype('complex128'), False),
        (*key[:3], True),
    ):
        assert get_plan(*other) is not plan
    assert get_plan(*key) is plan


def test_plans_are_bounded(no_plans, monkeypatch):
    """Old plans are dropped for new ones, the one in use never."""
    dtype = np.dtype('complex64')

    def sizes():
        return [key[0][1] for key in fft._LOCAL.plans]

    for n in range(2, 30):
        get_plan((1, n), (1,), dtype, False)
    assert sizes() == list(range(14, 30))
    get_plan((1, 14), (1,), dtype, False)
    get_plan((1, 31), (1,), dtype, False)
    assert sizes()[-2:] == [14, 31]
    monkeypatch.setattr(fft, '_MAX_BYTES', 10)
    get_plan((1, 32), (1,), dtype, False)
    assert sizes() == [32]


def test_small_arrays_take_one_thread(monkeypatch):
    """Threads are as many as there are processors, if that is worth it."""
    if hasattr(os, 'sched_getaffinity'):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: range(4))
    monkeypatch.setattr(os, 'cpu_count', lambda: 4)
    assert [fft.n_threads(2**p) for p in (4, 17, 18, 24)] == [1, 1, 2, 4]


def test_python_threads_do_not_disturb_each_other(rng):
    """Many transforms at once have the results of one after the other."""
    arrays = [
        random_array((16, 16 + n % 3), 'complex128', rng) for n in range(40)
    ]
    expected = [centred_fft([x], (0, 1)) for x in arrays]
    start = threading.Barrier(4)

    def work(offset):
        start.wait()
        return [centred_fft([x], (0, 1)) for x in arrays[offset::4]]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    for offset, ours in enumerate(results):
        for mine, theirs in zip(ours, expected[offset::4], strict=True):
            close(mine, theirs, 'complex128')


def _in_child(x, connection):
    connection.send((fft.n_threads(2**30), centred_fft([x], (0, 1))))


@pytest.mark.skipif(
    'fork' not in multiprocessing.get_all_start_methods(),
    reason='needs processes that are forked',
)
@pytest.mark.filterwarnings('ignore:.*multi-threaded.*:DeprecationWarning')
def test_forked_process(rng, monkeypatch, no_plans):
    """A fork after a transform in threads gets its results, in one thread."""
    x = random_array((8, 6), 'complex128', rng)
    with monkeypatch.context() as patch:
        patch.setattr(fft, 'n_threads', lambda size: 2)
        expected = centred_fft([x], (0, 1))
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_child, args=(x, theirs))
    process.start()
    try:
        assert ours.poll(30), 'the forked process does not answer'
        threads, result = ours.recv()
    finally:
        process.kill()
        process.join()
    assert threads == 1
    close(result, expected, 'complex128')


# --- Wisdom --- #


def test_nothing_is_written_by_default(forgotten, monkeypatch, tmp_path, rng):
    """Without the environment variable, there is no file."""
    monkeypatch.delenv(fft.CACHE_VARIABLE, raising=False)
    centred_fft([random_array((6, 6), 'complex64', rng)], (0, 1))
    assert list(tmp_path.iterdir()) == []


def test_wisdom_survives(forgotten, monkeypatch, tmp_path, rng):
    """What was learned is in the file, and known after loading it."""
    folder = tmp_path / 'new' / 'folder'
    monkeypatch.setenv(fft.CACHE_VARIABLE, str(folder))
    x = random_array((12, 10), 'complex128', rng)
    centred_fft([x], (0, 1))
    assert [path.name for path in folder.iterdir()] == [fft.WISDOM_FILE]
    learned = pyfftw.export_wisdom()
    pyfftw.forget_wisdom()
    assert pyfftw.export_wisdom() != learned
    fft._STATE['folders'].clear()
    fft._LOCAL.__dict__.clear()
    before = (folder / fft.WISDOM_FILE).stat().st_mtime_ns
    centred_fft([x], (0, 1))
    assert len(pyfftw.export_wisdom()[0]) == len(learned[0])
    # nothing new was learned, so nothing was written
    assert (folder / fft.WISDOM_FILE).stat().st_mtime_ns == before


def test_wisdom_of_other_processes_is_kept(
    forgotten, monkeypatch, tmp_path, rng
):
    """A file that another process has written meanwhile is added to."""
    monkeypatch.setenv(fft.CACHE_VARIABLE, str(tmp_path))
    path = str(tmp_path / fft.WISDOM_FILE)
    centred_fft([random_array((12, 10), 'complex128', rng)], (0, 1))
    alone = len(pyfftw.export_wisdom()[0])
    pyfftw.forget_wisdom()
    centred_fft([random_array((14, 15), 'complex128', rng)], (0, 1))
    pyfftw.forget_wisdom()
    assert fft.load_wisdom(path)
    assert len(pyfftw.export_wisdom()[0]) > alone


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no JSON',
        b'\xff\xfe',
        b'[]',
        b'{}',
        b'{"wisdom": 3}',
        b'{"wisdom": ["?", "", ""]}',
        b'{"wisdom": ["AAAA"]}',
        b'{"wisdom": ["AAAA", "AAAA", "AAAA"]}',
    ],
)
def test_corrupt_wisdom_is_ignored(
    forgotten, monkeypatch, tmp_path, rng, content
):
    """A file that makes no sense gives a warning, and is written anew."""
    monkeypatch.setenv(fft.CACHE_VARIABLE, str(tmp_path))
    path = tmp_path / fft.WISDOM_FILE
    path.write_bytes(content)
    x = random_array((12, 10), 'complex128', rng)
    with pytest.warns(RuntimeWarning, match='cannot be used and is ignored'):
        result = centred_fft([x], (0, 1))
    close(result[0], reference(x, (0, 1), False), 'complex128')
    assert len(json.loads(path.read_text())['wisdom']) == 3
    assert fft.load_wisdom(str(path))


def test_folder_that_cannot_be_written(forgotten, monkeypatch, tmp_path, rng):
    """Where no file can be written, there is a warning and a result."""
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv(fft.CACHE_VARIABLE, str(tmp_path / 'file'))
    x = random_array((12, 10), 'complex128', rng)
    with pytest.warns(RuntimeWarning, match='cannot be written'):
        result = centred_fft([x], (0, 1))
    close(result[0], reference(x, (0, 1), False), 'complex128')
