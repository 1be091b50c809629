# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the functionals that compare an image with data."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.data import CartesianMRI, SparseViewCT
from odl_equivariant.diagnostics import _spaces, assert_adjoint
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, element_from_array
from odl_equivariant.functionals import (
    ConvergenceWarning,
    LeastSquares,
    TransmissionLikelihood,
)
from odl_equivariant.functionals.data_fits.base import _circulant_inverse
from odl_equivariant.operators import operator_norm

kind = simple_fixture('kind', ['least squares', 'weighted', 'likelihood'])
precision = simple_fixture('precision', ['float32', 'float64'])
shape = simple_fixture('shape', [(8, 8), (7, 9)])

MU = 20.0
PHOTONS = 500.0


def inner(x, y):
    """Return the inner product of two elements, in double precision."""
    return _spaces.inner(x.space, x, y)


def norm(x):
    """Return the norm of an element, in double precision."""
    return _spaces.norm(x.space, x)


def ray_transform(shape=(8, 8), precision='float64', backend='numpy'):
    """Return a small ray transform of a field of 0.36 metres."""
    return SparseViewCT(
        shape, n_views=6, dtype=precision, backend=backend
    ).operator


def image_of(space, rng):
    """Return a random image of attenuations."""
    return element_from_array(rng.uniform(0, 1, space.shape), space)


def fit_of(kind, operator, rng, **options):
    """Return a data fit of each kind, to the data of a random image."""
    y = operator(image_of(operator.domain, rng))
    y = as_tensor(y)[0, 0].double().numpy()
    counts = rng.poisson(PHOTONS * np.exp(-MU * y)).astype('float64')
    if kind == 'likelihood':
        return TransmissionLikelihood(operator, counts, PHOTONS, MU, **options)
    y = y + 0.01 * rng.standard_normal(y.shape)
    weights = counts / PHOTONS if kind == 'weighted' else 2.0
    return LeastSquares(operator, y, weights, **options)


def samples(backend='numpy', precision='float64', coils=2):
    """Return samples of the Fourier transforms of the images of coils."""
    rng = np.random.default_rng(0)
    maps = None
    if coils:
        maps = rng.standard_normal((2, coils, 7, 8))
        maps = maps[0] + 1j * maps[1]
    return CartesianMRI(
        (7, 8), 2, coil_maps=maps, backend=backend, dtype=precision
    ).operator


# --- Values --- #


def test_least_squares_are_those_of_odl(backend, precision, shape, rng):
    """With the weight 1, value and gradient are those of ODL."""
    A = ray_transform(shape, precision, backend)
    y, u = A(image_of(A.domain, rng)), image_of(A.domain, rng)
    f = LeastSquares(A, y)
    g = 0.5 * odl.functionals.L2NormSquared(A.range).translated(y) * A
    rtol = 1e-4 if precision == 'float32' else 1e-12
    assert f(u) == pytest.approx(float(g(u)), rel=rtol)
    difference = f.gradient(u) - g.gradient(u)
    assert norm(difference) <= rtol * norm(g.gradient(u))


def test_value_of_the_likelihood_is_the_divergence_of_the_counts(rng):
    """The value is c times the sum of w (N log(N / m) - N + m)."""
    A = ray_transform()
    f = fit_of('likelihood', A, rng, scale=3.0)
    u = image_of(A.domain, rng)
    N, m = f.counts.asarray(), PHOTONS * np.exp(-MU * A(u).asarray())
    assert (N == 0).any()
    terms = np.where(N > 0, N * np.log(np.maximum(N, 1) / m), 0) - N + m
    expected = 3.0 * terms.sum() * float(A.range.weighting.const)
    assert f(u) == pytest.approx(expected, rel=1e-12)


def test_likelihood_is_zero_at_exact_data_only(backend, precision, rng):
    """The value is 0 where the counts are expected, and else positive."""
    A = ray_transform(precision=precision, backend=backend)
    u = image_of(A.domain, rng)
    counts = PHOTONS * np.exp(-MU * as_tensor(A(u))[0, 0].double().numpy())
    f = TransmissionLikelihood(A, counts, PHOTONS, MU)
    other = f(1.01 * u)
    assert other > 0
    assert 0 <= f(u) <= 1e-6 * other
    assert norm(f.gradient(u)) <= 1e-3 * norm(f.gradient(1.01 * u))


def test_likelihood_is_weighted_least_squares_near_the_data(rng):
    """At exact data, second derivatives are those with the counts."""
    A = ray_transform()
    u, h = image_of(A.domain, rng), random_element(A.domain, rng)
    counts = PHOTONS * np.exp(-MU * A(u).asarray())
    f = TransmissionLikelihood(A, counts, PHOTONS, MU)
    g = LeastSquares(A, A(u), counts / PHOTONS)
    expected = g.gradient.derivative(u)(h)
    difference = f.gradient.derivative(u)(h) - expected
    assert norm(difference) <= 1e-12 * norm(expected)


def test_readings_without_weight_do_not_count(rng):
    """Data of any value do not change a fit where their weight is zero."""
    A = ray_transform()
    y = A(image_of(A.domain, rng)).asarray()
    weights = rng.integers(0, 2, y.shape)
    other = np.where(weights > 0, y, 1e3)
    f, g = (LeastSquares(A, data, weights) for data in (y, other))
    u = image_of(A.domain, rng)
    assert f(u) == g(u)
    assert f.gradient(u) == g.gradient(u)


def test_weights_are_given_in_any_form(backend, rng):
    """A number, an array, a tensor and an element are the same weights."""
    A = ray_transform(backend=backend)
    y, u = A(image_of(A.domain, rng)), image_of(A.domain, rng)
    array = 3.0 * np.ones(A.range.shape)
    values = {
        LeastSquares(A, y, weights)(u)
        for weights in (
            array,
            torch.tensor(array),
            element_from_array(array, A.range),
            LeastSquares(A, y, array).weights,
        )
    }
    assert len(values) == 1
    assert LeastSquares(A, y, 3.0)(u) == pytest.approx(values.pop())


def test_data_are_copied(kind, rng):
    """What happens to the arrays of the caller does not change a fit."""
    A = ray_transform()
    data = A(image_of(A.domain, rng))
    if kind == 'likelihood':
        f = TransmissionLikelihood(A, data, 1.0)
    else:
        f = LeastSquares(A, data)
    before = f(A.domain.zero())
    data *= 2
    assert f(A.domain.zero()) == before


# --- Derivatives --- #


def check_gradient(f, u, h, step=1e-5, tol=1e-6):
    """Compare the gradient in a direction with differences of values."""
    difference = (f(u + step * h) - f(u - step * h)) / (2 * step)
    slope = complex(inner(f.gradient(u), h)).real
    assert slope == pytest.approx(complex(difference).real, rel=tol)


def test_gradient_by_differences(kind, backend, shape, rng):
    """The gradient is that of the value, in the product of the space."""
    A = ray_transform(shape, backend=backend)
    f = fit_of(kind, A, rng)
    u, h = image_of(A.domain, rng), random_element(A.domain, rng)
    check_gradient(f, u, h)


@pytest.mark.parametrize('coils', [0, 2])
@pytest.mark.parametrize('weights', [1.0, 'each'])
def test_gradient_of_complex_images(backend, coils, weights, rng):
    """The law holds for samples of coils, and for weights of samples."""
    A = samples(backend, coils=coils)
    y = A(random_element(A.domain, rng))
    if weights == 'each':
        weights = rng.uniform(0, 2, ((coils,) if coils else ()) + (7, 8))
    f = LeastSquares(A, y, weights)
    check_gradient(
        f, random_element(A.domain, rng), random_element(A.domain, rng)
    )
    assert_adjoint(f.gradient.derivative(f.domain.zero()))


def test_hessian_by_differences(kind, backend, rng):
    """The derivative of the gradient is the limit of its differences."""
    A = ray_transform(backend=backend)
    f = fit_of(kind, A, rng)
    u, h = image_of(A.domain, rng), random_element(A.domain, rng)
    step = 1e-5
    difference = (f.gradient(u + step * h) - f.gradient(u - step * h)) / (
        2 * step
    )
    hessian = f.gradient.derivative(u)
    assert norm(hessian(h) - difference) <= 1e-6 * norm(difference)


def test_hessian_is_self_adjoint(kind, backend, precision, rng):
    """The Hessian is its own adjoint in the product of the space."""
    A = ray_transform(precision=precision, backend=backend)
    f = fit_of(kind, A, rng)
    hessian = f.gradient.derivative(image_of(A.domain, rng))
    assert hessian.adjoint is hessian
    assert_adjoint(hessian)


def test_lipschitz_constant_is_the_norm_of_the_hessian(rng):
    """It is the norm for least squares, and a bound where u >= 0."""
    A = ray_transform()
    for kind in ('least squares', 'weighted'):
        f = fit_of(kind, A, rng)
        hessian = f.gradient.derivative(A.domain.zero())
        assert f.grad_lipschitz == pytest.approx(
            operator_norm(hessian), rel=1e-9
        )
    f = fit_of('likelihood', A, rng)
    largest = operator_norm(f.gradient.derivative(A.domain.zero()))
    assert f.grad_lipschitz == pytest.approx(largest, rel=1e-9)
    at_image = operator_norm(f.gradient.derivative(image_of(A.domain, rng)))
    assert at_image < largest


def test_lipschitz_constant_with_weights_of_coils(rng):
    """The constant is right for complex data of several coils."""
    A = samples()
    y = A(random_element(A.domain, rng))
    f = LeastSquares(A, y, rng.uniform(0, 2, (2, 7, 8)))
    hessian = f.gradient.derivative(A.domain.zero())
    assert f.grad_lipschitz == pytest.approx(operator_norm(hessian), rel=1e-9)


# --- Proximals --- #


def optimality(f, sigma, x, u):
    """Return the residual of u = x - sigma grad f(u), relative to u."""
    return norm(u - x + sigma * f.gradient(u)) / norm(u)


@pytest.mark.parametrize('relative', [0.1, 10.0, 1000.0])
def test_proximal_satisfies_its_optimality_condition(
    kind, backend, shape, relative, rng
):
    """The result is x - sigma grad f(u), to the tolerance."""
    A = ray_transform(shape, backend=backend)
    f = fit_of(kind, A, rng)
    x, sigma = image_of(A.domain, rng), relative / f.grad_lipschitz
    proximal = f.proximal(sigma)
    u = proximal(x)
    assert proximal.error_bound <= f.tol == 1e-8
    assert optimality(f, sigma, x, u) <= 2 * f.tol


def test_proximal_in_single_precision(kind, backend, rng):
    """The result differs from that in double precision by the tolerance."""
    results = []
    for precision in ('float32', 'float64'):
        A = ray_transform(precision=precision, backend=backend)
        f = fit_of(kind, A, np.random.default_rng(0))
        x = image_of(A.domain, np.random.default_rng(1))
        results.append(as_tensor(f.proximal(10 / f.grad_lipschitz)(x)))
    single, double = results
    assert (single - double).norm() <= 2e-4 * double.norm()


@pytest.mark.parametrize('coils', [0, 2])
def test_proximal_of_samples(backend, precision, coils, rng):
    """The law holds for complex images, by the samples of coils."""
    A = samples(backend, precision, coils)
    f = LeastSquares(A, A(random_element(A.domain, rng)))
    x, sigma = random_element(A.domain, rng), 10 / f.grad_lipschitz
    tol = 2e-4 if precision == 'float32' else 2e-8
    assert optimality(f, sigma, x, f.proximal(sigma)(x)) <= tol


def test_proximal_of_samples_of_one_coil_takes_a_step(rng):
    """A circulant operator is its own preconditioner."""
    A = samples(coils=0)
    f = LeastSquares(A, A(random_element(A.domain, rng)))
    proximal = f.proximal(10.0)
    proximal(random_element(A.domain, rng))
    assert proximal.n_iter <= 2


def test_proximal_from_zero(kind, rng):
    """An image of zeros has a proximal, and zero data have the one zero."""
    A = ray_transform()
    f = fit_of(kind, A, rng)
    sigma = 10 / f.grad_lipschitz
    u = f.proximal(sigma)(A.domain.zero())
    assert optimality(f, sigma, A.domain.zero(), u) <= 1e-7
    f = LeastSquares(A, A.range.zero())
    assert norm(f.proximal(sigma)(A.domain.zero())) == 0


def test_proximal_of_a_product_of_spaces(rng):
    """The law holds for operators between products of spaces."""
    A = ray_transform()
    both = odl.DiagonalOperator(A, A)
    f = LeastSquares(both, both(random_element(both.domain, rng)))
    x = random_element(both.domain, rng)
    assert optimality(f, 1.0, x, f.proximal(1.0)(x)) <= 1e-7


def test_proximal_on_cells_of_unequal_size(rng):
    """The law holds in the weighted product of half cells."""
    space = odl.uniform_discr([0, 0], [1, 1], (5, 6), nodes_on_bdry=True)
    f = LeastSquares(
        odl.IdentityOperator(space),
        random_element(space, rng),
        rng.uniform(0, 2, (5, 6)),
    )
    x = random_element(space, rng)
    assert optimality(f, 3.0, x, f.proximal(3.0)(x)) <= 1e-7


def test_functional_on_the_data(kind, backend, rng):
    """After the operator it is the fit; its proximal takes a few steps."""
    A = ray_transform(backend=backend)
    f = fit_of(kind, A, rng)
    F, u = f.data_functional, image_of(A.domain, rng)
    assert F(A(u)) == pytest.approx(f(u), rel=1e-12)
    proximal = F.proximal(1 / F.grad_lipschitz)
    t = proximal(A(u))
    assert optimality(F, 1 / F.grad_lipschitz, A(u), t) <= 1e-7
    assert proximal.n_iter <= (16 if kind == 'likelihood' else 1)


def test_proximal_is_not_computed_further_than_asked_for(rng):
    """Its guaranteed error is below the tolerance by less than one half."""
    A = SparseViewCT((32, 32), n_views=12, dtype='float64').operator
    f = fit_of('least squares', A, rng, tol=1e-4)
    proximal = f.proximal(1e3 / f.grad_lipschitz)
    proximal(image_of(A.domain, rng))
    assert 0.5e-4 < proximal.error_bound <= 1e-4


def _filtered(v, symbol):
    spectrum = symbol * torch.fft.fftn(v, dim=(-2, -1))
    return torch.fft.ifftn(spectrum, dim=(-2, -1)).real


@pytest.mark.parametrize('grid', [(8, 8), (7, 9), (8, 5)])
def test_inverse_of_a_circulant_operator_is_one(grid):
    """(1 + sigma C) applied to the result is the image, if C is even."""
    points = torch.rand(1, 1, *grid, dtype=torch.float64)
    axes = (-2, -1)
    even = points + points.flip(axes).roll((1, 1), axes)
    symbol = 10 + torch.fft.fftn(even, dim=axes).real
    u = torch.rand(2, 1, *grid, dtype=torch.float64)
    v = _circulant_inverse(symbol, 0.3)(u)
    back = v + 0.3 * _filtered(v, symbol)
    torch.testing.assert_close(back, u, rtol=1e-12, atol=1e-12)


def test_warm_start_shortens_and_keeps_the_result(kind, rng):
    """A proximal that starts from the one before agrees to the tolerance."""
    A = ray_transform()
    cold, warm = (
        fit_of(kind, A, np.random.default_rng(0), warm_start=start)
        for start in (False, True)
    )
    x, sigma = image_of(A.domain, rng), 100 / cold.grad_lipschitz
    first, again = warm.proximal(sigma), warm.proximal(sigma)
    first(x)
    u = again(1.0001 * x)
    expected = cold.proximal(sigma)(1.0001 * x)
    assert norm(u - expected) <= 1e-7 * norm(expected)
    assert again.n_iter < first.n_iter


def test_proximal_that_stops_short_warns(kind, rng):
    """Where the steps do not suffice, a warning says how far they came."""
    A = ray_transform()
    f = fit_of(kind, A, rng, maxiter=2)
    proximal = f.proximal(1e4 / f.grad_lipschitz)
    with pytest.warns(ConvergenceWarning, match='after 2 iterations') as told:
        proximal(A.domain.one())
    assert told[0].filename == __file__
    assert f'{proximal.error_bound:.2g}' in str(told[0].message)


def test_likelihood_far_from_the_data(backend, rng):
    """Newton's steps find the proximal where exponentials are huge."""
    A = ray_transform(backend=backend)
    f = fit_of('likelihood', A, rng)
    x = -3.0 * A.domain.one()
    sigma = 1 / f.grad_lipschitz
    assert f(x) > 1e3 * f(A.domain.zero())
    assert optimality(f, sigma, x, f.proximal(sigma)(x)) <= 1e-7


# --- Units --- #


@pytest.mark.parametrize('side', [0.36, 360.0, 12.0, 8.0])
@pytest.mark.parametrize(
    'options', [{}, {'weighted': True}, {'noise': 'poisson'}], ids=str
)
def test_unit_of_length(side, options):
    """In another unit, value and proximal are those of the same image.

    With c units for one, lengths of rays have the factor c, and the measure
    of the data too: values have the factor c^3, and c^2 belongs to the
    measure of images. Cells of side 1 are no exception.
    """
    results = []
    for length, factor in ((0.36, 1.0), (side, side / 0.36)):
        acquisition = SparseViewCT(
            (12, 12),
            n_views=8,
            side=length,
            mu_max=40 / factor,
            dtype='float64',
        )
        image = np.random.default_rng(0).uniform(0, 1, (12, 12))
        # the same numbers of photons, whatever the unit
        data = factor * SparseViewCT(
            (12, 12), n_views=8, mu_max=40, dtype='float64'
        ).simulate(image, 0)
        data = element_from_array(data.asarray(), acquisition.operator.range)
        fit = acquisition.data_fit(data, **options)
        u = element_from_array(image, acquisition.space)
        sigma = 10 / factor
        results.append((fit(u) / factor**3, fit.proximal(sigma)(u).asarray()))
    (value, image), (other_value, other) = results
    assert other_value == pytest.approx(value, rel=1e-9)
    assert np.allclose(other, image, rtol=0, atol=1e-6)


# --- In solvers --- #


def test_odl_takes_multiples_sums_and_translations(kind, rng):
    """Gradients of ODL's combinations are the combinations of gradients."""
    A = ray_transform()
    f = fit_of(kind, A, rng)
    u, h = image_of(A.domain, rng), random_element(A.domain, rng)
    both = 2.0 * f + f.translated(0.1 * u)
    check_gradient(both, u, h)
    assert both.grad_lipschitz == pytest.approx(3 * f.grad_lipschitz)


@pytest.mark.slow
def test_solvers_of_odl_reach_the_minimum(kind, rng):
    """Gradient steps, and PDHG on the data, go to the same image."""
    A = ray_transform()
    f = fit_of(kind, A, rng)
    quadratic = (
        0.05 * f.grad_lipschitz * odl.functionals.L2NormSquared(A.domain)
    )
    u, v = A.domain.zero(), A.domain.zero()
    step = 1 / f.grad_lipschitz
    constraint = odl.functionals.IndicatorNonnegativity(A.domain)
    odl.solvers.proximal_gradient(
        u, constraint, f + quadratic, gamma=step / 1.5, niter=60
    )
    g = odl.functionals.SeparableSum(f.data_functional, quadratic)
    L = odl.BroadcastOperator(A, odl.IdentityOperator(A.domain))
    tau = 0.9 / operator_norm(L)
    weight = f.grad_lipschitz
    odl.solvers.pdhg(
        v, constraint, g, L, 120, tau=tau / weight, sigma=tau * weight
    )
    assert norm(u - v) <= 1e-3 * norm(u)


# --- Wrong arguments --- #


@pytest.mark.parametrize(
    ('options', 'error', 'words'),
    [
        ({'weights': -1.0}, ValueError, 'positive'),
        ({'weights': np.zeros((6, 12))}, ValueError, 'not all zero'),
        ({'weights': -np.ones((6, 12))}, ValueError, 'not negative'),
        ({'weights': np.ones((3, 4))}, ValueError, 'shape'),
        ({'weights': 1j * np.ones((6, 12))}, ValueError, 'real'),
        ({'weights': 'counts'}, TypeError, 'weights'),
        ({'data': np.ones((12, 6))}, ValueError, 'shape'),
        ({'data': np.full((6, 12), np.nan)}, ValueError, 'not a number'),
        ({'data': 1j * np.ones((6, 12))}, ValueError, 'real'),
        ({'tol': 0}, ValueError, 'tol'),
        ({'maxiter': 0}, ValueError, 'maxiter'),
        ({'warm_start': 1}, TypeError, 'warm_start'),
    ],
)
def test_wrong_arguments(options, error, words):
    """Each error names what was expected."""
    options = {'data': np.ones((6, 12)), **options}
    with pytest.raises(error, match=words):
        LeastSquares(ray_transform(), **options)


@pytest.mark.parametrize(
    ('options', 'error', 'words'),
    [
        ({'counts': -np.ones((6, 12))}, ValueError, 'before the logarithm'),
        ({'n_photons': 0}, ValueError, 'positive'),
        ({'n_photons': np.eye(6, 12)}, ValueError, 'positive'),
        ({'mu': -1}, ValueError, 'mu'),
        ({'scale': 0}, ValueError, 'scale'),
    ],
)
def test_wrong_arguments_of_the_likelihood(options, error, words):
    """Each error names what was expected."""
    options = {'counts': np.ones((6, 12)), 'n_photons': 10.0, **options}
    with pytest.raises(error, match=words):
        TransmissionLikelihood(ray_transform(), **options)


def test_operators_that_do_not_fit():
    """Only linear operators make a fit, and only real ones count photons."""
    A = samples()
    with pytest.raises(TypeError, match='real'):
        TransmissionLikelihood(A, A.range.one(), 1.0)
    with pytest.raises(TypeError, match='linear'):
        LeastSquares(odl.functionals.L2NormSquared(A.domain), 1.0)
    with pytest.raises(TypeError, match=r'odl\.Operator'):
        LeastSquares(np.eye(3), np.ones(3))


@pytest.mark.parametrize('sigma', [0, -1.0, np.nan, True])
def test_parameters_of_proximals_are_positive(sigma, rng):
    """Other parameters raise an error."""
    with pytest.raises((ValueError, TypeError), match='sigma'):
        fit_of('weighted', ray_transform(), rng).proximal(sigma)


def test_proximal_of_what_is_not_finite(rng):
    """A value that is no number raises an error."""
    A = ray_transform()
    x = A.domain.one()
    x[0, 0] = np.nan
    with pytest.raises(ValueError, match='finite'):
        fit_of('weighted', A, rng).proximal(1.0)(x)
