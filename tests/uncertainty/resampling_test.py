# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the bootstrap."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.actions import Rotation, Translation, group_actions
from odl_equivariant.data import CartesianMRI, SparseViewCT, ellipse_phantom
from odl_equivariant.elements import as_tensor, element_from_array
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.uncertainty import GaussianNoise, bootstrap

dtype = simple_fixture('dtype', ['float32', 'float64', 'complex64'])
size = simple_fixture('size', [5, 6])


def square(size=6, dtype='float64', backend='numpy'):
    """Return a space on a square grid."""
    return odl.uniform_discr(
        [-1, -1], [1, 1], (size, size), dtype=dtype, impl=backend
    )


def random_image(space, seed=0):
    """Return an element of random values."""
    values = np.random.default_rng(seed).standard_normal((2, *space.shape))
    array = values[0] if space.is_real else values[0] + 1j * values[1]
    return element_from_array(array, space)


def unrolled(operator, equivariant, in_channels=1):
    """Return an unrolled network of random weights."""
    torch.manual_seed(0)
    block = EquivariantProximal if equivariant else OrdinaryProximal
    network = LearnedProximalGradient(
        operator,
        lambda: block(channels=4, in_channels=in_channels),
        n_iterations=2,
        initial='adjoint',
    )
    return network.eval()


def spread(result):
    """Return the standard deviation relative to the mean."""
    return float(result.standard_deviation.norm() / result.mean.norm())


def values(element):
    """Return an element as an array."""
    return as_tensor(element)[0].numpy()


# --- What is estimated --- #


def test_bootstrap_covariance_of_linear():
    """For linear Phi, A and T, x_i has the covariance Phi Sigma Phi^T."""
    rng = np.random.default_rng(1)
    forward = odl.MatrixOperator(rng.standard_normal((4, 3)))
    inverse = odl.MatrixOperator(np.linalg.pinv(forward.matrix))
    sigma = np.array([0.1, 0.2, 0.3, 0.4])
    n = 1000
    result = bootstrap(inverse, forward, GaussianNoise(sigma), [], n)(
        forward(forward.domain.element([1, 2, 3]))
    )
    samples = np.stack([x.asarray() for x in result.samples])
    expected = inverse.matrix @ np.diag(sigma**2) @ inverse.matrix.T
    # each entry of a sample covariance has an error of sqrt(2 / n) or less
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    gap = np.abs(np.cov(samples.T) - expected) / scale
    assert gap.max() < 4 * np.sqrt(2 / n)


def test_bootstrap_mean_squared_error():
    """The estimated squared error is the mean of the squared distances."""
    space = square()
    identity = odl.IdentityOperator(space)
    result = bootstrap(identity, identity, GaussianNoise(0.1), [], 50)(
        space.one()
    )
    distances = [float((x - space.one()).norm()) for x in result.samples]
    assert np.allclose(result.norms, distances, rtol=1e-10)
    mean = np.mean(np.square(distances))
    assert np.isclose(result.mean_squared_error, mean)
    pixels = values(result.squared_error).sum() * space.cell_volume
    assert np.isclose(pixels, mean)


def test_bootstrap_moments(backend, dtype, size):
    """Mean and deviation, computed on the way, are those of the samples."""
    space = square(size, dtype, backend)
    identity = odl.IdentityOperator(space)
    result = bootstrap(identity, identity, GaussianNoise(0.1), n=7)(
        random_image(space)
    )
    samples = np.stack([values(x) for x in result.samples])
    tol = 1e-5 if '32' in dtype or '64' == dtype[-2:] else 1e-12
    assert np.allclose(values(result.mean), samples.mean(0), atol=tol)
    variance = samples.var(0, ddof=1)
    if space.is_complex:
        variance = variance.sum(0, keepdims=True)
    found = values(result.standard_deviation)
    assert np.allclose(found, np.sqrt(variance), atol=tol)
    assert result.standard_deviation.space == space.real_space


# --- The theorem --- #


def test_bootstrap_of_equivariant_shows_nothing():
    """If Phi and A are equivariant, only the noise varies."""
    acquisition = SparseViewCT((16, 16), n_views=12, n_photons=None)
    network = unrolled(acquisition.operator, equivariant=True)
    data = acquisition.simulate(ellipse_phantom((32, 32), rng=0))
    actions = group_actions(acquisition.space, 'C4')
    result = bootstrap(network, acquisition.operator, None, actions, 8)(data)
    assert spread(result) < 1e-5


def test_bootstrap_of_ordinary_shows_something():
    """Symmetries of A alone let an ordinary network vary."""
    acquisition = SparseViewCT((16, 16), n_views=12, n_photons=None)
    network = unrolled(acquisition.operator, equivariant=False)
    data = acquisition.simulate(ellipse_phantom((32, 32), rng=0))
    actions = group_actions(acquisition.space, 'C4')
    result = bootstrap(network, acquisition.operator, None, actions, 8)(data)
    assert spread(result) > 1e-2


@pytest.mark.parametrize('n_views', [12, 13])
def test_bootstrap_default_actions_show_something(n_views):
    """The default transforms let a C4-equivariant network vary."""
    acquisition = SparseViewCT((16, 16), n_views=n_views, n_photons=None)
    network = unrolled(acquisition.operator, equivariant=True)
    data = acquisition.simulate(ellipse_phantom((32, 32), rng=0))
    result = bootstrap(network, acquisition.operator, n=8)(data)
    assert spread(result) > 1e-2


def test_bootstrap_where_operator_is_not_equivariant():
    """Quarter turns are enough if they turn k-space out of its mask."""
    acquisition = CartesianMRI((16, 16), sigma=0)
    network = unrolled(acquisition.operator, True, in_channels=2)
    image = ellipse_phantom((16, 16), rng=0).astype('complex64')
    data = acquisition.simulate(image)
    actions = group_actions(acquisition.space, 'C4')
    result = bootstrap(network, acquisition.operator, None, actions, 8)(data)
    assert spread(result) > 1e-2


def test_bootstrap_without_noise_and_actions():
    """Without noise and transforms, all samples are Phi(A x)."""
    space = square()
    half = 0.5 * odl.IdentityOperator(space)
    result = bootstrap(half, half, None, [], 3)(space.one())
    assert values(result.standard_deviation).max() == 0
    assert np.allclose(values(result.mean), 0.125)


# --- How it is computed --- #


def test_bootstrap_order_of_actions(backend):
    """The order of the actions does not matter without noise."""
    space = square(backend=backend)
    slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    actions = group_actions(space, 'D4')
    results = [
        bootstrap(slope, slope, None, order, 16)(random_image(space))
        for order in (actions, actions[::-1])
    ]
    one, other = results
    assert np.allclose(values(one.mean), values(other.mean), atol=1e-12)
    one, other = (values(r.standard_deviation) for r in results)
    assert np.allclose(one, other, atol=1e-12)


def test_bootstrap_uses_actions_equally_often():
    """Each action has the same number of samples, give or take one."""
    space = square()
    identity = odl.IdentityOperator(space)
    actions = group_actions(space, 'C4')
    method = bootstrap(identity, identity, None, actions, 10)
    counts = np.bincount(method._order(), minlength=4)
    assert sorted(counts) == [2, 2, 3, 3]


def test_bootstrap_inverses_undo_the_actions(backend, dtype, size):
    """With the identity for A and Phi, samples are the estimate."""
    space = square(size, dtype, backend)
    identity = odl.IdentityOperator(space)
    image = random_image(space)
    result = bootstrap(identity, identity, n=12)(image)
    tol = 1e-12 if dtype == 'float64' else 1e-5
    assert result.norms.max() < tol * float(image.norm())


@pytest.mark.parametrize('batch_size', [1, 3, 100])
def test_bootstrap_batch_equals_loop(batch_size):
    """A network in batches gives what an operator gives one by one."""
    acquisition = SparseViewCT((16, 16), n_views=12)
    network = unrolled(acquisition.operator, equivariant=True)
    data = acquisition.simulate(ellipse_phantom((32, 32), rng=0), rng=0)
    reference = network.as_operator()
    loop, batch = (
        bootstrap(
            reconstruct,
            acquisition.operator,
            acquisition,
            n=7,
            batch_size=batch_size,
            actions=group_actions(acquisition.space, 'C2'),
        )(data)
        for reconstruct in (lambda y: reference(y), network)
    )
    gap = batch.norms - loop.norms
    assert np.abs(gap).max() < 1e-5 * loop.norms.max()
    assert values(loop.mean - batch.mean).max() < 1e-5


def test_bootstrap_batch_of_complex():
    """A network of complex images is applied to batches, too."""
    acquisition = CartesianMRI((8, 8), sigma=0.1)
    network = unrolled(acquisition.operator, False, in_channels=2)
    data = acquisition.simulate(ellipse_phantom((8, 8), rng=0), rng=0)
    operator = network.as_operator()
    loop, batch = (
        bootstrap(one, acquisition.operator, acquisition, n=5)(data)
        for one in (lambda y: operator(y), network)
    )
    gap = np.abs(batch.norms - loop.norms).max()
    # a callable declares no group, but neither does an ordinary network
    assert gap < 1e-5 * loop.norms.max()


def test_bootstrap_is_reproducible():
    """The same seed gives the same samples, another one others."""
    space = square()
    identity = odl.IdentityOperator(space)
    norms = [
        bootstrap(identity, identity, GaussianNoise(1), n=4, seed=seed)(
            space.one()
        ).norms
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(norms[0], norms[1])
    assert not np.array_equal(norms[0], norms[2])


def test_bootstrap_leaves_global_random_state():
    """Nothing is drawn from the generators of NumPy and torch."""
    space = square()
    identity = odl.IdentityOperator(space)
    state = np.random.get_state  # noqa: NPY002
    before = state()[1].copy(), torch.get_rng_state()
    bootstrap(identity, identity, GaussianNoise(1), n=3)(space.one())
    assert np.array_equal(before[0], state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


def test_bootstrap_estimate_is_a_copy():
    """The result does not change with the image it was made around."""
    space = square()
    identity = odl.IdentityOperator(space)
    image = space.one()
    result = bootstrap(identity, identity, None, [], 2).around(image)
    image *= 2
    assert values(result.estimate).max() == 1


def test_bootstrap_shows_progress(capsys):
    """A progress bar counts samples."""
    space = square()
    identity = odl.IdentityOperator(space)
    bootstrap(identity, identity, n=4, progress=True)(space.one())
    assert '4/4' in capsys.readouterr().err


# --- Bad input --- #


def test_bootstrap_memory_limit():
    """An error says how many samples fit, before any is made."""
    space = square(64)
    identity = odl.IdentityOperator(space)
    size = 64 * 64 * 8
    bootstrap(identity, identity, n=10, memory_limit=10 * size)
    with pytest.raises(ValueError, match='at most n=9.*keep_samples=False'):
        bootstrap(identity, identity, n=10, memory_limit=10 * size - 1)
    bootstrap(identity, identity, n=10, keep_samples=False, memory_limit=1)


def test_bootstrap_without_samples():
    """Streamed samples give the same moments and radius, no quantiles."""
    space = square()
    identity = odl.IdentityOperator(space)
    kept, streamed = (
        bootstrap(identity, identity, GaussianNoise(1), n=9, keep_samples=k)(
            space.one()
        )
        for k in (True, False)
    )
    assert kept.mean == streamed.mean
    assert kept.standard_deviation == streamed.standard_deviation
    assert kept.radius(0.9) == streamed.radius(0.9)
    with pytest.raises(ValueError, match='keep_samples=True'):
        streamed.quantiles([0.5])


def test_bootstrap_warns_of_inexact_actions():
    """Transforms that interpolate are measured, with the user's line."""
    space = square(8)
    identity = odl.IdentityOperator(space)
    actions = [Rotation(space, 0.3, method='linear')]
    method = bootstrap(identity, identity, None, actions, 2)
    with pytest.warns(RuntimeWarning, match='of its norm') as caught:
        method(random_image(space))
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_bootstrap_refuses_other_spaces():
    """Reconstruction and actions must fit the operator."""
    space, other = square(6), square(7)
    identity = odl.IdentityOperator(space)
    with pytest.raises(ValueError, match='domain of `reconstruct`'):
        bootstrap(odl.IdentityOperator(other), identity)
    with pytest.raises(ValueError, match='on the domain of the operator'):
        bootstrap(identity, identity, actions=group_actions(other, 'C4'))
    with pytest.raises(TypeError, match=r'pass \[action\]'):
        bootstrap(identity, identity, actions=Translation(space, (0, 0)))


def test_bootstrap_refuses_wrong_types():
    """Acquisitions are no operators, and numbers no noise."""
    acquisition = SparseViewCT((8, 8), n_views=4)
    operator = acquisition.operator
    with pytest.raises(TypeError, match='pass its `operator`'):
        bootstrap(acquisition.fbp_operator, acquisition)
    with pytest.raises(TypeError, match='GaussianNoise'):
        bootstrap(acquisition.fbp_operator, operator, 0.1)
    with pytest.raises(TypeError, match='`reconstruct` must be'):
        bootstrap('fbp', operator)
    with pytest.raises(ValueError, match='`n` must be'):
        bootstrap(acquisition.fbp_operator, operator, n=1)


def test_bootstrap_refuses_wrong_data():
    """Data of another shape or with NaN are errors."""
    space = square()
    identity = odl.IdentityOperator(space)
    method = bootstrap(identity, identity, n=2)
    with pytest.raises(ValueError, match=r'shape \(6, 6\)'):
        method(np.zeros((6, 7)))
    with pytest.raises(ValueError, match='`data` must be finite'):
        method(np.full((6, 6), np.nan))


def test_bootstrap_refuses_noise_that_is_not_finite():
    """Noise with NaN is an error of the first sample."""
    space = square()
    identity = odl.IdentityOperator(space)
    method = bootstrap(
        identity, identity, lambda y, rng: float('nan') * y, n=2
    )
    with pytest.raises(ValueError, match='finite'):
        method(space.one())


def test_bootstrap_refuses_batch_statistics():
    """Batch normalisation in training mode mixes samples."""
    space = square(dtype='float32')
    network = torch.nn.BatchNorm2d(1)
    identity = odl.IdentityOperator(space)
    with pytest.raises(ValueError, match='eval'):
        bootstrap(network, identity)
    bootstrap(network.eval(), identity, n=2)(space.one())
