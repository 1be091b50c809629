# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the transforms at lengths with large prime factors."""

import numpy as np
import pyfftw
import pytest
import scipy.fft

from odl_equivariant.operators.fourier import fft
from odl_equivariant.operators.fourier.fft import centred_fft, get_plan
from odl_equivariant.operators.fourier.pocketfft import (
    PocketfftPlan,
    is_better,
)

inverse = pytest.mark.parametrize('inverse', [False, True])


def centred_matrix(n, inverse):
    """Return the orthonormal matrix with centred indices."""
    k = np.arange(n) - n // 2
    sign = 1 if inverse else -1
    return np.exp(sign * 2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)


def random_array(shape, dtype, rng):
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


@pytest.mark.parametrize(
    'n, expected',
    [(1, False), (13, False), (17, True), (320, False), (368, True)],
)
def test_large_prime_factors_decide(n, expected):
    """What has a prime factor above 13 is left to pocketfft."""
    assert is_better((4, n), (1,)) is expected


def test_only_transformed_axes_count():
    """The length of the other axes is no matter."""
    assert not is_better((17, 4), (1,))
    assert is_better((17, 4), (0, 1))


@inverse
@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
@pytest.mark.parametrize('shape', [(17, 4), (5, 34), (19, 23)])
def test_definition(shape, dtype, inverse, rng):
    """The result is that of the matrix with centred indices."""
    x = random_array(shape, dtype, rng)
    left, right = (centred_matrix(n, inverse) for n in shape)
    tolerance = 1e-5 if dtype == 'complex64' else 1e-12
    result = centred_fft([x, 2 * x], (0, 1), inverse)
    assert result.dtype == dtype
    expected = left @ x @ right.T
    np.testing.assert_allclose(result[0], expected, atol=tolerance)
    np.testing.assert_allclose(result[1], 2 * expected, atol=2 * tolerance)


@inverse
def test_plan_equals_that_of_fftw(inverse, rng):
    """Both kinds of plans transform their memory by the same sums."""
    key = ((2, 17, 4), (1, 2), np.dtype('complex128'), inverse, 1)
    plans = [PocketfftPlan(*key), fft._Plan(*key)]
    x = random_array(key[0], 'complex128', rng)
    for plan in plans:
        plan.memory[...] = x
        plan.execute()
    np.testing.assert_allclose(plans[0].memory, plans[1].memory, atol=1e-12)
    assert np.shares_memory(plans[0].pairs, plans[0].memory)


@inverse
def test_result_elsewhere_is_copied(inverse, rng, monkeypatch):
    """SciPy need not work in place."""
    key = ((1, 17), (1,), np.dtype('complex128'), inverse, 1)
    plan = PocketfftPlan(*key)
    x = random_array(key[0], 'complex128', rng)
    name = 'ifftn' if inverse else 'fftn'
    transform = getattr(scipy.fft, name)
    monkeypatch.setattr(
        scipy.fft, name, lambda x, **keywords: transform(x.copy(), **keywords)
    )
    plan.memory[...] = x
    plan.execute()
    scale = {'norm': 'forward'} if inverse else {}
    np.testing.assert_allclose(
        plan.memory, transform(x, axes=(1,), **scale), atol=1e-12
    )


def test_fftw_does_not_plan(monkeypatch):
    """Such lengths take no plan of FFTW."""
    monkeypatch.setattr(pyfftw, 'FFTW', None)
    fft._LOCAL.__dict__.clear()
    plan = get_plan((1, 17), (1,), np.dtype('complex64'), False)
    assert isinstance(plan, PocketfftPlan)
