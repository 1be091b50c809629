# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of the functionals of films."""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.actions import space_time_actions
from odl_equivariant.functionals import (
    CasoratiNuclearNorm,
    TemporalFourierNorm,
)

CASES = [
    ('numpy', 'float32', (5, 5, 4)),
    ('pytorch', 'float64', (4, 4, 3)),
    ('numpy', 'complex128', (4, 4, 6)),
    ('pytorch', 'complex64', (5, 5, 3)),
]
each_functional = pytest.mark.parametrize(
    'functional', [CasoratiNuclearNorm, TemporalFourierNorm]
)


@pytest.fixture(params=CASES, ids=lambda case: '-'.join(map(str, case)))
def space(request):
    """Films whose cells have a weight of their own."""
    impl, dtype, shape = request.param
    ends = [1, 1, 0.7 * shape[2]]
    return odl.uniform_discr([0] * 3, ends, shape, dtype=dtype, impl=impl)


def element(space, array):
    """Return an array as an element."""
    array = np.asarray(array, dtype=space.dtype_identifier)
    if space.impl == 'pytorch':
        array = torch.from_numpy(array)
    return space.element(array)


def random(space, seed=0):
    """Return a random film."""
    rng = np.random.default_rng(seed)
    array = rng.normal(size=space.shape)
    if space.is_complex:
        array = array + 1j * rng.normal(size=space.shape)
    return element(space, array)


def array_of(film):
    """Return the numbers of a film."""
    return np.asarray(film.data)


def tolerance(space):
    """Return the relative error that rounding explains."""
    single = space.dtype_identifier in ('float32', 'complex64')
    return 1e-5 if single else 1e-12


def test_nuclear_norm_is_the_sum_of_weighted_singular_values(space):
    """The value is that of the singular values of the Casorati matrix."""
    x = random(space)
    matrix = array_of(x).reshape(-1, space.shape[2])
    weight = float(space.weighting.const)
    expected = np.linalg.svd(matrix, compute_uv=False).sum() * weight**0.5
    assert CasoratiNuclearNorm(space)(x) == pytest.approx(expected, 1e-5)


def test_fourier_norm_is_the_integral_of_moduli(space):
    """The value is the weighted sum of the moduli of the transform."""
    x = random(space)
    moduli = np.abs(np.fft.fft(array_of(x), norm='ortho'))
    expected = moduli.sum() * float(space.weighting.const)
    assert TemporalFourierNorm(space)(x) == pytest.approx(expected, 1e-5)


@each_functional
def test_proximal_minimises(space, functional):
    """No other film has a smaller sum of value and weighted distance."""
    f, x, sigma = functional(space), random(space), 0.2
    p = f.proximal(sigma)(x)

    def objective(u):
        return f(u) + float((u - x).norm()) ** 2 / (2 * sigma)

    least = objective(p)
    for seed in range(1, 6):
        for size in (1e-2, 0.3):
            other = p + size * random(space, seed)
            assert objective(other) > least * (1 - 1e-6)


@each_functional
def test_proximal_is_firmly_nonexpansive(space, functional):
    """Distances do not grow, and the proximal is monotone."""
    f = functional(space)
    x, y = random(space), random(space, 1)
    gap = f.proximal(0.3)(x) - f.proximal(0.3)(y)
    inner = complex(gap.inner(x - y)).real
    assert float(gap.norm()) ** 2 <= inner * (1 + 1e-5)


@each_functional
def test_invariant_under_space_time(space, functional):
    """Value and proximal go with all elements of the group."""
    f, x = functional(space), random(space)
    moved = f.proximal(0.1)(x)
    for action in space_time_actions(space, 'D4')[::7]:
        assert f(action(x)) == pytest.approx(f(x), tolerance(space) * 10)
        gap = action(moved) - f.proximal(0.1)(action(x))
        assert float(gap.norm()) < tolerance(space) * 10 * float(x.norm())


@each_functional
def test_large_parameters_give_zero(space, functional):
    """Nothing is left for a parameter above all values."""
    f, x = functional(space), random(space)
    assert float(f.proximal(1e3)(x).norm()) == 0
    assert float(f.proximal(1e-12)(x).dist(x)) < 1e-5 * float(x.norm())
    assert float(f.proximal(0.1)(space.zero()).norm()) == 0


@each_functional
def test_convex_conjugate_in_a_solver(space, functional):
    """ODL derives the proximal of the conjugate, by Moreau's identity."""
    f, x, sigma = functional(space), random(space), 0.5
    conjugate = f.convex_conj.proximal(sigma)(x)
    expected = x - sigma * f.proximal(1 / sigma)(x / sigma)
    assert float(conjugate.dist(expected)) < 1e-5 * float(x.norm())


@pytest.mark.parametrize('n', [3, 12])
def test_nuclear_norm_does_not_depend_on_the_grid(n):
    """On a finer grid of space or time, value and proximal stay."""
    coarse = odl.uniform_discr([0] * 3, [1, 2, 3], (4, 4, 3))
    fine = odl.uniform_discr([0] * 3, [1, 2, 3], (8, 12, 12))
    x = random(coarse)
    repeated = x.asarray().repeat(2, 0).repeat(3, 1).repeat(4, 2)
    y = fine.element(repeated)
    one, other = CasoratiNuclearNorm(coarse), CasoratiNuclearNorm(fine)
    assert one(x) == pytest.approx(other(y), rel=1e-12)
    expected = one.proximal(0.5)(x).asarray()
    result = other.proximal(0.5)(y).asarray()[::2, ::3, ::4]
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize('axis', [0, 1, -1])
@each_functional
def test_any_axis_is_time(functional, axis):
    """Time may be along any axis."""
    last = odl.uniform_discr([0] * 3, [1, 1, 2], (3, 4, 5))
    shape = list(np.moveaxis(np.empty(last.shape), -1, axis).shape)
    ends = list(np.moveaxis(np.empty((1, 1, 2)), -1, axis).shape)
    other = odl.uniform_discr([0] * 3, ends, shape)
    x = random(last)
    y = other.element(np.moveaxis(x.asarray(), -1, axis))
    f, g = functional(last), functional(other, axis)
    assert f(x) == pytest.approx(g(y), rel=1e-12)
    np.testing.assert_allclose(
        np.moveaxis(g.proximal(0.2)(y).asarray(), axis, -1),
        f.proximal(0.2)(x).asarray(),
        atol=1e-12,
    )


def test_real_films_stay_real():
    """The thresholded transform of a real film is that of a real one."""
    for n in (4, 5):
        space = odl.uniform_discr([0] * 3, [1, 1, 1], (3, 3, n))
        x = random(space)
        spectrum = np.fft.fft(x.asarray(), norm='ortho')
        shrunk = np.maximum(1 - 0.5 / np.abs(spectrum), 0) * spectrum
        expected = np.fft.ifft(shrunk, norm='ortho')
        assert np.abs(expected.imag).max() < 1e-12
        result = TemporalFourierNorm(space).proximal(0.5)(x)
        np.testing.assert_allclose(result.asarray(), expected.real, atol=1e-12)


@each_functional
def test_spaces_that_do_not_fit(functional):
    """A space without time, or of different weights, is refused."""
    with pytest.raises(TypeError, match='uniform_discr'):
        functional(odl.rn(3))
    with pytest.raises(ValueError, match='axis of time'):
        functional(odl.uniform_discr(0, 1, 5))
    with pytest.raises(ValueError, match='one weight'):
        functional(
            odl.uniform_discr([0] * 3, [1] * 3, (4,) * 3, nodes_on_bdry=True)
        )
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4))
    with pytest.raises(ValueError, match='time_axis'):
        functional(space, 3)
    with pytest.raises(ValueError, match='parameter of a proximal'):
        functional(space).proximal(0)
