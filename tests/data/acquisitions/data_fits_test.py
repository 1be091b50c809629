# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The data fits of acquisitions."""

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.data import (
    CartesianMRI,
    Denoising,
    SparseViewCT,
    ellipse_phantom,
    mr_phantom,
)
from odl_equivariant.elements import as_tensor, element_from_array
from odl_equivariant.functionals import (
    LeastSquares,
    TransmissionLikelihood,
)
from odl_equivariant.operators import operator_norm


def tomography(**options):
    """Return a small acquisition, and data of a phantom of a head."""
    options = {'n_views': 12, 'dtype': 'float64', **options}
    acquisition = SparseViewCT((24, 24), **options)
    phantom = ellipse_phantom((48, 48), rng=0, kind='head')
    return acquisition, acquisition.simulate(phantom, 0)


def test_weights_of_tomography_are_the_counts(backend):
    """They are the counts over the geometric mean behind the object."""
    acquisition, y = tomography(backend=backend)
    fit = acquisition.data_fit(y, weighted=True)
    assert isinstance(fit, LeastSquares)
    assert fit.operator is acquisition.operator
    exponents = acquisition.mu_max * as_tensor(y)[0, 0].numpy()
    counts = 1e4 * np.exp(-exponents)
    behind = counts[exponents > 0.03]
    expected = counts / np.exp(np.log(np.maximum(behind, 0.5)).mean())
    assert np.allclose(as_tensor(fit.weights)[0, 0].numpy(), expected)


def test_readings_without_photons_tell_nothing():
    """The weight of a starved reading is below a thousandth of the mean."""
    acquisition, y = tomography(n_photons=50.0)
    starved = y.asarray() > y.asarray().max() - 1e-9
    assert 1 < starved.sum() < starved.size / 2
    fit = acquisition.data_fit(y, weighted=True)
    weights = fit.weights.asarray()
    assert weights[starved].max() < 1e-3 * weights.mean()
    u = acquisition.fbp(y)
    other = np.where(starved, 2 * y.asarray(), y.asarray())
    again = acquisition.data_fit(other, weighted=True)
    # the smallest transmission is no count
    assert (again.gradient(u) - fit.gradient(u)).norm() <= 1e-3 * (
        fit.gradient(u).norm()
    )


def test_equal_light_is_no_weight():
    """Where all readings have the same counts, weights are one."""
    acquisition, _ = tomography()
    y = 0.05 * acquisition.operator.range.one()
    u = acquisition.fbp(y)
    weighted, plain = (acquisition.data_fit(y, w) for w in (True, False))
    assert weighted(u) == pytest.approx(plain(u), rel=1e-9)
    air = acquisition.operator.range.zero()
    assert acquisition.data_fit(air, True)(u) == pytest.approx(
        acquisition.data_fit(air)(u), rel=1e-9
    )


def test_likelihood_has_the_curvature_of_the_weighted_fit():
    """At the data themselves, the second derivatives agree."""
    acquisition, _ = tomography(n_photons=1e3)
    u = acquisition.ground_truth(ellipse_phantom((48, 48), rng=0))
    y = acquisition.operator(u)
    weighted = acquisition.data_fit(y, weighted=True)
    poisson = acquisition.data_fit(y, noise='poisson')
    assert isinstance(poisson, TransmissionLikelihood)
    h = odl.phantom.white_noise(acquisition.space, seed=0)
    expected = weighted.gradient.derivative(u)(h)
    difference = poisson.gradient.derivative(u)(h) - expected
    assert difference.norm() <= 1e-9 * expected.norm()
    assert poisson(u) <= 1e-12 * poisson(0.9 * u)


def test_weights_of_photons_pay_where_readings_starve():
    """The weighted fit is far better than the other at the same prior.

    Without photons at the densest rays, the unweighted fit has streaks.
    """
    acquisition, y = tomography(n_photons=60.0, n_views=24)
    truth = acquisition.ground_truth(
        ellipse_phantom((48, 48), rng=0, kind='head')
    )
    errors = {}
    for name, options in {
        'plain': {},
        'weighted': {'weighted': True},
        'poisson': {'noise': 'poisson'},
    }.items():
        fit = acquisition.data_fit(y, **options)
        # a smooth prior: the fit and a quadratic penalty of differences
        gradient = odl.Gradient(acquisition.space)
        prior = 3e-8 * odl.functionals.L2NormSquared(gradient.range) * gradient
        u = acquisition.space.zero()
        step = 1 / (fit.grad_lipschitz + 6e-8 * operator_norm(gradient) ** 2)
        constraint = odl.functionals.IndicatorNonnegativity(acquisition.space)
        odl.solvers.proximal_gradient(u, constraint, fit + prior, step, 200)
        errors[name] = float((u - truth).norm() / truth.norm())
    assert errors['weighted'] < 0.7 * errors['plain']
    assert errors['poisson'] < 0.7 * errors['plain']


@pytest.mark.parametrize('options', [{'weighted': True}, {'noise': 'poisson'}])
def test_no_photons_are_known(options):
    """Without a number of photons, readings cannot be weighted."""
    acquisition, y = tomography(n_photons=None)
    with pytest.raises(ValueError, match='n_photons'):
        acquisition.data_fit(y, **options)
    assert acquisition.data_fit(y)(acquisition.space.zero()) > 0


def test_wrong_arguments_of_tomography():
    """Names and shapes are checked before any work."""
    acquisition, y = tomography()
    with pytest.raises(ValueError, match='poisson'):
        acquisition.data_fit(y, noise='photons')
    with pytest.raises(TypeError, match='weighted'):
        acquisition.data_fit(y, weighted=1)
    with pytest.raises(ValueError, match='shape'):
        acquisition.data_fit(y.asarray().T)


def test_arrays_are_data(backend):
    """Data may be arrays, and options of the fit are handed on."""
    acquisition, y = tomography(backend=backend)
    array = as_tensor(y)[0, 0].numpy()
    fit = acquisition.data_fit(array, tol=1e-3, maxiter=7, warm_start=True)
    assert (fit.tol, fit.maxiter, fit.warm_start) == (1e-3, 7, True)
    assert (fit.data - y).norm() == 0


@pytest.mark.parametrize('coils', [None, 2])
def test_samples_of_magnetic_resonance(coils, backend):
    """What is not sampled does not count."""
    maps = None if coils is None else np.ones((coils, 12, 16)) * (1 + 0.5j)
    acquisition = CartesianMRI((12, 16), coil_maps=maps, backend=backend)
    y = acquisition.simulate(mr_phantom((12, 16), rng=0), 0)
    u = acquisition.zero_filled(y)
    fit = acquisition.data_fit(y)
    noise = odl.phantom.white_noise(acquisition.operator.range, seed=0)
    spoiled = as_tensor(noise, copy=True)
    sampled = np.broadcast_to(acquisition.mask, (12, 16)).copy()
    sampled = torch.from_numpy(sampled)
    spoiled[..., sampled] = as_tensor(y)[..., sampled]
    complete = (spoiled[0, ::2] + 1j * spoiled[0, 1::2]).numpy()
    complete = complete if coils else complete[0]
    assert acquisition.data_fit(complete)(u) == pytest.approx(fit(u))
    assert fit(u) == pytest.approx(
        0.5 * float((acquisition.operator(u) - y).norm()) ** 2, rel=1e-5
    )


def test_mask_of_magnetic_resonance():
    """With a mask, the fit is that of the samples of the mask."""
    acquisition = CartesianMRI((12, 16), dtype='float64')
    mask = acquisition.draw_mask(3)
    image = mr_phantom((12, 16), rng=0)
    y = acquisition.simulate(image, 0, mask)
    fit = acquisition.data_fit(y, mask=mask)
    A = acquisition.forward_operator(mask)
    u = element_from_array(np.asarray(image), acquisition.space)
    expected = 0.5 * float((A(u) - y).norm()) ** 2
    assert fit(u) == pytest.approx(expected, rel=1e-9)
    # one noise, all samples, equal weights: a closed formula
    v = fit.proximal(2.0)(u)
    residual = v - u + 2.0 * A.adjoint(A(v) - y)
    assert residual.norm() <= 1e-7 * v.norm()


def test_fit_of_denoising():
    """The proximal is the mean of the image and the data."""
    denoising = Denoising((8, 9), dtype='complex128')
    image = np.arange(72).reshape(8, 9) * 1j / 72
    y = denoising.simulate(image, 0)
    fit = denoising.data_fit(y, weighted=True)
    u = fit.proximal(1.0)(denoising.space.zero())
    assert (u - 0.5 * y).norm() <= 1e-7 * y.norm()
