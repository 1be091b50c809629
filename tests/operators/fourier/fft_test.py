# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of centred FFTs and their plans."""

import multiprocessing
import os

import numpy as np
import pytest
import torch

from odl_equivariant.operators.fourier import fft, fft_torch
from odl_equivariant.operators.fourier.fft import (
    centred_fft,
    get_plan,
    scaled_weights,
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
    # prime factors above 13
    ((17, 4), (0, 1)),
    ((5, 34), (0, 1)),
    ((19, 23), (0, 1)),
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
    weights = scaled_weights(mask, shape, axes, 'complex128')
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
        shape: scaled_weights(np.ones(shape), shape, (0, 1), 'complex128')
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


def test_two_threads_agree_with_one(rng, monkeypatch, no_plans):
    """The number of FFTW's threads is no matter of the result."""
    x = random_array((8, 6), 'complex128', rng)
    results = []
    for threads in (1, 2):
        monkeypatch.setattr(fft, 'n_threads', lambda size, n=threads: n)
        results.append(centred_fft([x], (0, 1)))
    close(*results, 'complex128')


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


@pytest.mark.parametrize(
    'n, expected',
    [(1, 'FFTW'), (13, 'FFTW'), (17, None), (320, 'FFTW'), (368, None)],
)
def test_large_prime_factors_are_left_to_scipy(n, expected, no_plans):
    """FFTW plans lengths without prime factors above 13, of these axes."""
    for shape, axes in (((n, 17), (0,)), ((17, 2, n), (2, 1))):
        plan = get_plan(shape, axes, np.dtype('complex64'), False)
        assert type(plan._fftw).__name__ == (expected or 'NoneType')


@inverse
def test_scipy_sums_as_fftw_does(inverse, rng, monkeypatch):
    """Both kinds of plans make the same unscaled sums of their memory."""
    key = ((2, 17, 4), (1, 2), np.dtype('complex128'), inverse, 1)
    plans = [fft._Plan(*key)]
    monkeypatch.setattr(fft, '_LARGEST_PRIME', 17)
    plans.append(fft._Plan(*key))
    assert [plan._fftw is None for plan in plans] == [True, False]
    x = random_array(key[0], 'complex128', rng)
    results = []
    for plan in plans:
        plan.memory[...] = x
        results.append(plan.execute())
    close(*results, 'complex128')


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
