# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of losses without ground truth: what each of them estimates."""

import math

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_equivariant.actions import InducedAction
from odl_equivariant.data import (
    CartesianMRI,
    Denoising,
    Inpainting,
    SparseViewCT,
)
from odl_equivariant.elements import (
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.nn import (
    EquivariantProximal,
    LearnedProximalGradient,
    OrdinaryProximal,
)
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.training import losses
from odl_equivariant.training.losses.divergence import derivative
from odl_equivariant.training.losses.parts import (
    Parts,
    factors_of_views,
    of_views,
)
from odl_equivariant.training.losses.problem import applied, data_gain
from odl_equivariant.training.losses.weighting import (
    density_weights,
    weighted_residual,
)

N = 40_000
ERRORS = 4.5  # standard errors that a mean may be off


class Linear:
    """An acquisition with a small matrix between weighted spaces."""

    def __init__(self, kind='real', weighted=True, backend='numpy'):
        rng = np.random.default_rng(1)
        make = {'real': odl.rn, 'complex': odl.cn}[kind]
        dtype = {'real': 'float64', 'complex': 'complex128'}[kind]
        weights = rng.uniform(0.3, 3.0, 6)
        own = {'weighting': weights} if weighted else {}
        if backend == 'pytorch':
            own = {'impl': backend}
        options = {'impl': backend} if backend == 'pytorch' else {}
        self.space = make(4, dtype=dtype, **options)
        matrix = rng.normal(size=(6, 4))
        if kind == 'complex':
            matrix = matrix + 1j * rng.normal(size=(6, 4))
        if backend == 'pytorch':
            matrix = torch.from_numpy(matrix)
        self.operator = odl.MatrixOperator(
            matrix, self.space, make(6, dtype=dtype, **own)
        )
        self.sigma = 0.4

    def exact(self, n=N, positive=False):
        """Return an image, and its data, as often as asked for."""
        generator = torch.Generator().manual_seed(5)
        space = self.space
        x = torch.randn(
            (1, n_channels(space), *grid_shape(space)),
            generator=generator,
            dtype=tensor_dtype(space),
        )
        y = applied(self.operator, x)
        if positive:
            y = y.abs() + 3
        return x, y.expand(n, *y.shape[1:])


class Estimator(nn.Module):
    """A linear reconstruction, that is no multiple of the adjoint."""

    def __init__(self, acquisition):
        super().__init__()
        self.adjoint = OperatorLayer(acquisition.operator).adjoint
        self.factor = nn.Parameter(torch.tensor(0.15, dtype=torch.float64))

    def forward(self, y, operators=None):
        """Return images."""
        channels = torch.arange(1, y.shape[1] + 1).reshape(1, -1, 1)
        places = torch.arange(y.shape[2]) / 6 + 0.5
        return self.factor * self.adjoint(y * places * channels)


def assert_mean(values, expected):
    """Assert that a mean is within its standard errors."""
    values = values.detach()
    error = float(values.std()) / math.sqrt(len(values))
    expected = expected.detach()
    assert abs(float(values.mean()) - float(expected)) < ERRORS * error
    # and that the test could see a difference
    assert error < 0.05 * abs(float(expected))


def risk(problem, y, variance, extra=1.0):
    """Return the error in the data of a linear estimator, in closed form.

    It is the error for exact data, and that of the noise alone.
    """

    def predicted(data):
        return problem.project(problem.reconstruct(data))

    one = y[:1]
    bias = (predicted(one) - one).square()
    n = one[0].numel()
    unit = torch.eye(n, dtype=one.dtype).reshape(n, *one.shape[1:])
    response = predicted(unit)
    variance = (extra * variance).expand(one.shape).reshape(n)
    spread = (variance.reshape(n, 1, 1) * response.square()).sum(0)
    return problem.mean_data(bias + spread)[0]


kinds = pytest.mark.parametrize(
    'kind, backend',
    [('real', 'numpy'), ('complex', 'numpy'), ('real', 'pytorch')],
)


@kinds
@pytest.mark.parametrize('divergence', ['jvp', 'difference'])
def test_sure_is_the_error_in_the_data(kind, backend, divergence):
    """Gaussian noise: its expectation is that error, in weighted norms."""
    acquisition = Linear(kind, backend=backend)
    _, y = acquisition.exact()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    problem = losses.Problem(
        Estimator(acquisition),
        y + acquisition.sigma * noise,
        acquisition,
        generator=generator,
    )
    loss = losses.SURE(divergence=divergence)
    expected = risk(problem, y, torch.tensor(acquisition.sigma**2))
    assert_mean(loss(problem), expected)


@pytest.mark.parametrize('mixed', [False, True])
def test_sure_of_counts(mixed):
    """Poisson noise and its mixture: exact for linear estimators."""
    acquisition = Linear()
    _, y = acquisition.exact(positive=True)
    gain, sigma = 0.5, 0.4
    generator = torch.Generator().manual_seed(0)
    data = gain * torch.poisson(y / gain, generator=generator)
    variance = gain * y[:1]
    noise = losses.PoissonNoise(gain)
    if mixed:
        more = torch.randn(y.shape, generator=generator, dtype=y.dtype)
        data, variance = data + sigma * more, variance + sigma**2
        noise = losses.PoissonGaussianNoise(gain, sigma)
    problem = losses.Problem(
        Estimator(acquisition), data, acquisition, generator=generator
    )
    assert_mean(losses.SURE(noise)(problem), risk(problem, y, variance))


def test_sure_of_counts_sees_curvature():
    """The mixture needs second derivatives: here h_i = y_i^2 / 2."""
    acquisition = Linear(weighted=False)
    acquisition.operator = odl.IdentityOperator(odl.rn(4))
    acquisition.space = acquisition.operator.domain
    gain, sigma = 0.1, 1.0
    y = torch.full((N, 1, 4), 2.0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    data = gain * torch.poisson(y / gain, generator=generator)
    data = data + sigma * torch.randn(
        y.shape, generator=generator, dtype=y.dtype
    )
    problem = losses.Problem(
        lambda data, operators: data.square() / 2,
        data,
        acquisition,
        generator=generator,
    )
    gap = (data.square() / 2 - y).square().mean((1, 2))
    noise = losses.PoissonGaussianNoise(gain, sigma)
    difference = losses.SURE(noise)(problem) - gap
    error = float(difference.std()) / math.sqrt(N)
    # up to the square of the gain
    assert abs(float(difference.mean())) < ERRORS * error + 5 * gain**2
    assert 2 * gain * sigma**2 > ERRORS * error + 5 * gain**2


@kinds
def test_recorrupted_data_have_the_error_at_more_noise(kind, backend):
    """R2R: the error at data with the variance 1 + alpha^2 times theirs."""
    acquisition = Linear(kind, backend=backend)
    _, y = acquisition.exact()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    problem = losses.Problem(
        Estimator(acquisition),
        y + acquisition.sigma * noise,
        acquisition,
        generator=generator,
    )
    variance = torch.tensor(acquisition.sigma**2)
    expected = risk(problem, y, variance, 1 + 0.5**2)
    assert_mean(losses.RecorruptedData(alpha=0.5)(problem), expected)


# --- Splitting --- #


class Scaled(LearnedProximalGradient):
    """A network that is linear in data: a multiple of its start."""

    def forward(self, y, forward_operator=None):
        """Return images."""
        return self.relative_steps[0] * super().forward(y, forward_operator)


class Identity(nn.Module):
    """A block that keeps the image."""

    noise_level, memory, scaled_gradient = False, 0, True
    architecture = {'class': 'Identity', 'arguments': {}}

    def forward(self, u, gradient):
        """Return a step of the iteration."""
        return u - gradient


def views(n_photons=None, shape=16, n=9):
    """Return tomography with few views."""
    return SparseViewCT((shape, shape), n_views=n, n_photons=n_photons)


def linear_network(acquisition):
    """Return one step of gradient descent."""
    return LearnedProximalGradient(
        acquisition.operator, Identity, n_iterations=1, initial='adjoint'
    )


def noisy(acquisition, n, sigma):
    """Return data of one image with new noise, and without."""
    generator = torch.Generator().manual_seed(3)
    space = acquisition.space
    x = torch.rand((1, n_channels(space), *space.shape), generator=generator)
    y = applied(acquisition.operator, x)
    level = sigma * float(y.square().mean().sqrt())
    noise = torch.randn((n, *y.shape[1:]), generator=generator)
    measured = torch.ones(())
    if hasattr(acquisition, 'mask'):
        measured = torch.as_tensor(acquisition.mask.copy())
    return x, y, y + level * measured * noise, level


@pytest.mark.parametrize('target', ['others', 'all'])
@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_splitting_is_the_error_in_what_is_predicted(modality, target):
    """Up to the noise of the target: so it has the minimiser of the error."""
    acquisition = views()
    if modality == 'mri':
        acquisition = CartesianMRI((16, 16), acceleration=2, sigma=0.1)
    x, y, data, level = noisy(acquisition, 600, 0.2)
    network = linear_network(acquisition)
    noise = losses.GaussianNoise(level) if target == 'all' else None
    loss = losses.MeasurementSplitting(0.6, target=target, noise=noise)
    found, expected = [], []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        problem = losses.Problem(
            network, data[200 * seed :][:200], acquisition, generator=generator
        )
        values = loss(problem)
        # the same part, for each sample
        generator.manual_seed(seed)
        part = loss.parts.draw(problem)
        where = problem.measured
        if target == 'others':
            where = where & ~part.chosen
        with torch.no_grad():
            predicted = problem.project(loss.parts.reconstruct(problem, part))
        error = problem.mean_data((predicted - y).square(), where)
        if target == 'others':
            error = error + level**2 / data_gain(acquisition)
        found.append(values.detach())
        expected.append(error)
    gap = torch.cat(found) - torch.cat(expected)
    error = float(gap.std()) / math.sqrt(len(gap))
    assert abs(float(gap.mean())) < ERRORS * error
    assert error < 0.05 * float(torch.cat(expected).mean())


@pytest.mark.parametrize(
    'pattern, level',
    [('random', 0), ('random', 0.05), ('variable_density', 0)],
)
def test_errors_by_density_are_those_of_images(pattern, level):
    """In the mean over masks and their parts, also where data are noisy."""
    n = 300
    acquisition = CartesianMRI(
        (16, 16),
        acceleration=2,
        pattern=pattern,
        sigma=level,
        random_masks=True,
    )
    x = torch.randn((1, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    image = x[0, 0].numpy() + 1j * x[0, 1].numpy()
    # apart from those of which the densities are made
    masks = [acquisition.draw_mask([1, i]).array for i in range(n)]
    data = [
        acquisition.simulate(image, [2, i], mask)
        for i, mask in enumerate(masks)
    ]
    problem = losses.Problem(
        linear_network(acquisition),
        torch.cat([as_tensor(one) for one in data]),
        acquisition,
        [acquisition.forward_operator(mask=mask) for mask in masks],
        torch.from_numpy(np.stack(masks))[:, None],
        own=[{'mask': mask} for mask in masks],
    )
    noise = losses.GaussianNoise() if level else None
    loss = losses.MeasurementSplitting(
        target='all', weighting='density', noise=noise
    )
    loss.check(acquisition, problem.network)
    problem.generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        values = loss(problem)
        problem.generator.manual_seed(4)
        part = loss.parts.draw(problem)
        images = loss.parts.reconstruct(problem, part)
        plain = losses.MeasurementSplitting(target='all', noise=noise)
        unweighted = plain(problem)
    mean = float(problem.mean_images((images - x).square()).mean())
    assert float(values.mean()) == pytest.approx(mean, rel=0.06)
    # where all that was measured counts alike, much of the error is missing
    assert float(unweighted.mean()) < 0.8 * mean


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('pattern', ['random', 'equispaced'])
@pytest.mark.parametrize('n', [32, 47])
def test_a_split_can_keep_what_all_masks_measure(n, pattern, axis):
    """And no more: all other frequencies have a weight."""
    acquisition = CartesianMRI(
        (n, n),
        center_fraction=0.1,
        pattern=pattern,
        axis=axis,
        random_masks=True,
    )
    masks = np.stack([acquisition.draw_mask([3, i]).array for i in range(99)])
    always = torch.from_numpy(masks.all(0))
    assert always.sum() == n * round(0.1 * n)
    loss = losses.MeasurementSplitting(0.4, keep=None, weighting='density')
    generator = torch.Generator().manual_seed(0)
    given = [
        loss.parts.choose(torch.from_numpy(one), acquisition, generator)
        for one in masks
    ]
    given = torch.stack(given).expand(-1, n, n)
    assert bool((given.all(0) == always).all())
    weights = density_weights(acquisition, loss.parts)
    assert bool(((weights == 0) == always).all())
    if pattern == 'random':
        # the same for each part: of the other lines, some are held out
        n_given, n_measured = int(given[0, 0].sum()), int(masks[0, 0].sum())
        if axis == 0:
            n_given = int(given[0, :, 0].sum())
            n_measured = int(masks[0, :, 0].sum())
        expected = torch.tensor((n - n_given) / (n_measured - n_given))
        found = weights[~always]
        torch.testing.assert_close(
            found, expected.expand_as(found), rtol=0.35, atol=0
        )
        torch.testing.assert_close(found.mean(), expected, rtol=0.03, atol=0)


def test_noise2inverse_is_the_error_from_the_exact_target():
    """Up to the noise of the target, since that of the input is another."""
    acquisition = views(n=16)
    x, y, data, level = noisy(acquisition, 400, 0.3)
    network = linear_network(acquisition)
    loss = losses.Noise2Inverse(4)
    problem = losses.Problem(network, data, acquisition)
    exact = losses.Problem(network, y, acquisition)
    torch.manual_seed(0)
    number = int(torch.randint(4, ()))
    torch.manual_seed(0)
    values = loss(problem).detach()
    chosen = (torch.arange(16) % 4 != number).reshape(1, 1, 16, 1)
    from odl_equivariant.training.losses.parts import Part

    part = Part(chosen)
    with torch.no_grad():
        result = loss.parts.reconstruct(problem, part)
        target, clean = loss.target(problem, part), loss.target(exact, part)
    error = (result - clean).square().flatten(1).mean(1)
    spread = (target - clean).square().flatten(1).mean(1)
    gap = values - error - spread
    standard = float(gap.std()) / 20
    assert abs(float(gap.mean())) < ERRORS * standard
    assert standard < 0.05 * float(error.mean())


def proximal(cls=EquivariantProximal, n=1):
    """Return a block with random weights."""
    return lambda: cls(n, channels=8, memory=2, skip=True)


@pytest.mark.parametrize('modality', ['ct', 'mri'])
@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
def test_splitting_by_design_is_that_over_the_group(modality, initial):
    """The theorem: T Phi(M y; M A T) = Phi(M y; M A), for each part."""
    if modality == 'mri' and initial == 'fbp':
        pytest.skip('k-space has no filtered back-projection')
    acquisition, n = views(n=7), 1
    if modality == 'mri':
        acquisition, n = CartesianMRI((16, 16), acceleration=2), 2
    torch.manual_seed(0)
    network = LearnedProximalGradient(
        acquisition.operator, proximal(n=n), 2, initial
    )
    _, _, data, _ = noisy(acquisition, 2, 0.1)
    values = []
    for actions in (None, 'C4'):
        loss = losses.EquivariantSplitting(actions=actions)
        loss.check(acquisition, network)
        problem = losses.Problem(network, data, acquisition)
        problem.generator = torch.Generator().manual_seed(1)
        values.append(loss(problem).detach())
    torch.testing.assert_close(*values, rtol=1e-4, atol=0)


def test_splitting_moves_data_where_an_action_is_induced():
    """A T = S A: the loss is that of the operator A T, for all data."""
    acquisition = views(n=8)
    network = linear_network(acquisition)
    _, _, data, _ = noisy(acquisition, 1, 0.1)
    loss = losses.EquivariantSplitting(actions='C4')
    with pytest.warns(UserWarning, match='learns nothing about its null'):
        loss.check(acquisition, network)
    moved = [moving for _, moving in loss._made]
    assert len(moved) == 3 and None not in moved
    problem = losses.Problem(network, data, acquisition)
    for action, moving in loss._made:
        back = applied(moving, data)
        one = problem.project(network(back)) - back
        operator = odl.OperatorComp(acquisition.operator, action)
        images = network.with_operator(operator)(data)
        other = applied(operator, images) - data
        torch.testing.assert_close(
            one.square().mean(), other.square().mean(), rtol=1e-4, atol=0
        )


def test_what_moves_data_is_made_once(monkeypatch):
    """A step makes no inverse, and no layer of one: that took half of it."""
    acquisition = views(n=8)
    network = linear_network(acquisition)
    _, _, data, _ = noisy(acquisition, 1, 0.1)
    loss = losses.EquivariantSplitting(actions='C4')
    with pytest.warns(UserWarning, match='learns nothing about its null'):
        loss.check(acquisition, network)

    def fails(self):
        raise AssertionError('made again')

    monkeypatch.setattr(InducedAction, 'inverse', property(fails))
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        problem = losses.Problem(
            network, data, acquisition, generator=generator
        )
        assert float(loss(problem).detach()) > 0


def test_parts_are_parts_of_what_was_measured():
    """The centre is always in the input, and each sample has its own part."""
    acquisition = CartesianMRI((16, 32), acceleration=2, random_masks=True)
    mask = torch.rand(3, 1, 1, 32) < 0.6
    mask[..., 16] = True
    data = torch.zeros(3, 2, 16, 32)
    problem = losses.Problem(None, data, acquisition, measured=mask)
    parts = Parts(0.5, keep=0.05)
    part = parts.draw(problem)
    assert part.chosen.shape == (3, 1, 1, 32)
    assert not (part.chosen & ~mask).any()
    assert part.chosen[..., 16].all()
    assert ((part.chosen.sum(-1) - 1) * 2 - (mask.sum(-1) - 1)).abs().max() < 2
    dense = Parts(0.5, density='centre', keep=0.0)
    full = torch.ones(1, 1, 1, 32, dtype=torch.bool)
    problem = losses.Problem(None, data[:1], acquisition, measured=full)
    counts = sum(dense.draw(problem).chosen[0, 0, 0].int() for _ in range(200))
    assert (
        counts[12:20].sum() > 1.5 * counts[[*range(4), *range(28, 32)]].sum()
    )


@pytest.mark.parametrize('geometry', ['parallel', 'fan'])
def test_a_split_starts_at_the_backprojection_of_its_views(geometry):
    """Each view has the weight of the gaps beside it, as in its own scan."""
    acquisition = SparseViewCT((16, 16), n_views=24, geometry=geometry)
    network = LearnedProximalGradient(
        acquisition.operator, proximal(), 1, initial='fbp'
    )
    y = torch.randn(1, 1, *acquisition.operator.range.shape)
    problem = losses.Problem(network, y, acquisition)
    # gaps of one, two and three views
    kept = torch.arange(24) % 6 < 4
    kept[1::6] = False
    found = Parts(0.5)._network(problem, of_views(problem, kept), None)
    angles = np.asarray(acquisition.geometry.angles)[kept.numpy()]
    few = SparseViewCT((16, 16), angles=angles, geometry=geometry)
    expected = network.with_operator(few.operator)
    torch.testing.assert_close(
        found._layers.initial(y),
        expected._layers.initial(y[:, :, kept]),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_split_of_several_turns_has_positive_factors():
    """Parallel beams over a full circle see each line twice."""
    angles = np.arange(20) * 2 * np.pi / 20
    acquisition = SparseViewCT((16, 16), angles=angles)
    network = LearnedProximalGradient(
        acquisition.operator, proximal(), 1, initial='fbp'
    )
    y = torch.randn(1, 1, *acquisition.operator.range.shape)
    problem = losses.Problem(network, y, acquisition)
    kept = torch.arange(20) % 2 == 0
    factors = factors_of_views(problem, of_views(problem, kept))
    np.testing.assert_allclose(factors, 2.0 * kept.numpy(), rtol=1e-6)


@pytest.mark.filterwarnings('ignore:the views cover')
@pytest.mark.parametrize('geometry', ['parallel', 'fan'])
@pytest.mark.parametrize('covered', [1 / 4, 3 / 5])
def test_a_split_of_a_short_scan_does_not_count_what_it_lacks(
    geometry, covered
):
    """The views of a part stand for the angles of the scan, no more."""
    turn = np.pi if geometry == 'parallel' else 2 * np.pi
    step = covered * turn / 40
    angles = step * np.arange(40)
    acquisition = SparseViewCT((16, 16), angles=angles, geometry=geometry)
    network = LearnedProximalGradient(
        acquisition.operator, proximal(), 1, initial='fbp'
    )
    y = torch.randn(1, 1, *acquisition.operator.range.shape)
    problem = losses.Problem(network, y, acquisition)
    kept = torch.ones(40, dtype=torch.bool)
    factors = factors_of_views(problem, of_views(problem, kept))
    np.testing.assert_allclose(factors, 1.0, rtol=1e-6)
    kept[[0, 7, 8, 39]] = False
    factors = factors_of_views(problem, of_views(problem, kept))
    assert factors.sum() == pytest.approx(40)
    assert factors.max() == pytest.approx(2.0)
    assert (factors[~kept.numpy()] == 0).all()


@pytest.mark.parametrize(
    'n_photons, scale, target',
    [(None, None, 'all'), (1e4, None, 'others'), (None, 2.0, 'others')],
)
def test_exact_data_are_all_a_target(n_photons, scale, target):
    """Of noisy and of measured data, the input must not be predicted."""
    acquisition = views(n_photons)
    y = torch.rand(1, 1, *acquisition.operator.range.shape)
    if scale is not None:
        scale = torch.tensor([scale])
    values = []
    for chosen in ('auto', target):
        problem = losses.Problem(
            linear_network(acquisition),
            y,
            acquisition,
            scale=scale,
            generator=torch.Generator().manual_seed(0),
        )
        values.append(losses.MeasurementSplitting(target=chosen)(problem))
    assert torch.equal(*values)


def test_weighted_errors_count_as_they_do_in_images():
    """For images of all sizes of detail, where those of data do not."""
    acquisition = SparseViewCT((48, 48), n_views=60)
    layer = OperatorLayer(acquisition.operator)
    generator = torch.Generator().manual_seed(0)
    at = torch.linspace(-1, 1, 48)
    inside = (at[:, None].square() + at.square() < 0.6).float()
    plain, weighted = [], []
    for width in (0.5, 1.0, 2.0, 4.0):
        x = torch.randn(1, 1, 48, 48, generator=generator)
        axis = torch.fft.fftfreq(48)
        low = axis.square()[:, None] + axis.square()
        low = torch.exp(-20 * width**2 * low)
        x = inside * torch.fft.ifft2(torch.fft.fft2(x) * low).real
        errors = layer(x)
        size = x.norm()
        plain.append(float(errors.norm() / size))
        weighted.append(float(weighted_residual(errors).norm() / size))
    assert max(plain) > 1.7 * min(plain)
    assert max(weighted) < 1.3 * min(weighted)


def test_rows_of_a_volume_are_filtered_by_themselves():
    """In 3D, the ramp is across the axis of rotation, and not along it."""
    residual = torch.randn(2, 1, 5, 16, 7, dtype=torch.float64)
    found = weighted_residual(residual)
    assert found.shape == residual.shape
    for row in range(7):
        torch.testing.assert_close(
            found[..., row], weighted_residual(residual[..., row])
        )


def test_filters_keep_what_is_not_there():
    """Exact data have no residual, of any type, and views stay apart."""
    r = torch.zeros(2, 1, 3, 11, dtype=torch.float64)
    assert not weighted_residual(r).any()
    r[:, :, 1] = torch.randn(11, dtype=torch.float64)
    found = weighted_residual(r)
    assert found.dtype == r.dtype and found.shape == r.shape
    assert not found[:, :, 0].any() and found[:, :, 1].any()


# --- Equivariant imaging --- #


def test_imaging_is_the_same_for_each_pose_of_the_operator():
    """The second term at (A T_h, h^-1 g h) is that at (A, g), by design."""
    acquisition = views(n=7)
    torch.manual_seed(0)
    operator = acquisition.operator
    network = LearnedProximalGradient(operator, proximal(), 2, 'fbp')
    loss = losses.EquivariantImaging('C4')
    loss.check(acquisition, network)
    _, _, data, _ = noisy(acquisition, 2, 0.1)
    here = losses.Problem(network, data, acquisition)
    turn = loss._made[0]
    posed = odl.OperatorComp(operator, turn)
    there = losses.Problem(
        network.with_operator(posed), data, acquisition, posed
    )
    for action in loss._made:
        torch.testing.assert_close(
            loss.equivariance(here, action),
            loss.equivariance(there, action),
            rtol=1e-3,
            atol=0,
        )


def test_imaging_of_a_symmetric_system_says_nothing():
    """Where A T = S A, the second term of a network by design has no T."""
    acquisition = views(n=8)
    network = LearnedProximalGradient(acquisition.operator, proximal(), 2)
    loss = losses.EquivariantImaging('C4')
    _, _, data, _ = noisy(acquisition, 1, 0.1)
    problem = losses.Problem(network, data, acquisition)
    loss(problem)
    u = problem.reconstruct()
    expected = (u - network(problem.project(u))).square().mean()
    for action in loss._made:
        torch.testing.assert_close(
            loss.equivariance(problem, action)[0], expected, rtol=1e-3, atol=0
        )


@pytest.mark.parametrize(
    'acquisition, actions, hint',
    [
        (views(n=8), 'C4', '`C32`'),
        (views(n=8), 'C8', 'shifts'),
        (views(n=9), 'D1', '`C4`'),
        (CartesianMRI((16, 16), acceleration=1), 'C4', 'SURE'),
    ],
    ids=['turns', 'views', 'mirror', 'full Fourier'],
)
def test_imaging_refuses_groups_of_the_operator(acquisition, actions, hint):
    """A group under which A is equivariant, with groups that would do."""
    with pytest.raises(ValueError, match='cannot see it') as error:
        losses.EquivariantImaging(actions).check(acquisition, None)
    assert hint in str(error.value)


@pytest.mark.parametrize('n', [8, 9])
def test_commutation_error(n):
    """Zero to rounding for quarter turns and an even number of views."""
    from odl_equivariant.actions import Rotation

    acquisition = views(n=n)
    turn = Rotation(acquisition.space, np.pi / 2)
    error = losses.commutation_error(acquisition.operator, turn)
    assert error < 1e-5 if n == 8 else error > 0.02


# --- Derivatives, sums, noise --- #


def test_derivatives_have_the_right_gradient():
    """Of a network: forward mode within reverse mode, as by two of these."""
    acquisition = views()
    torch.manual_seed(0)
    network = LearnedProximalGradient(
        acquisition.operator, proximal(OrdinaryProximal), 2, 'fbp'
    )
    _, _, y, _ = noisy(acquisition, 2, 0.1)
    direction = torch.randn(y.shape)
    co = torch.randn(2, 1, 16, 16)
    _, along = derivative(network, y, direction, 'jvp')
    first = torch.autograd.grad(
        (co * along).sum(), network.parameters(), allow_unused=True
    )
    y.requires_grad_()
    (pulled,) = torch.autograd.grad(
        (co * network(y)).sum(), y, create_graph=True
    )
    second = torch.autograd.grad(
        (pulled * direction).sum(), network.parameters(), allow_unused=True
    )
    for one, other in zip(first, second, strict=True):
        if one is None or other is None:  # the last bias has no slope
            assert all(g is None or not g.any() for g in (one, other))
            continue
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-5)


def test_sums_are_weighted():
    """The terms share one reconstruction of the data."""
    acquisition = views()
    network = linear_network(acquisition)
    _, _, data, _ = noisy(acquisition, 2, 0.1)
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    problem = losses.Problem(network, data, acquisition)
    term = losses.MeasurementConsistency()
    total = losses.SumOfLosses([term, term], [0.5, 2.0])(problem)
    torch.testing.assert_close(total, 2.5 * term(problem))
    assert len(calls) == 1
    with pytest.raises(ValueError, match='one number for each of the 1'):
        losses.SumOfLosses([term], [1, 2])
    assert repr(losses.SumOfLosses([term])) == (
        'SumOfLosses(losses=[MeasurementConsistency()], weights=[1.0])'
    )


def test_losses_do_not_depend_on_the_unit_of_lengths():
    """Data and images in one unit have the losses of another."""
    values = []
    for side in (0.5, 500.0):
        acquisition = SparseViewCT((16, 16), 9, n_photons=None, side=side)
        network = linear_network(acquisition)
        _, _, data, _ = noisy(acquisition, 2, 0.1)
        problem = losses.Problem(network, data, acquisition)
        values.append(losses.MeasurementConsistency()(problem).detach())
    torch.testing.assert_close(*values, rtol=1e-3, atol=0)


@pytest.mark.parametrize('modality', ['ct', 'mri'])
def test_noise_levels_are_estimated(modality):
    """Within a fifth, for smooth sinograms and weak high frequencies."""
    acquisition = views(shape=64)
    if modality == 'mri':
        acquisition = CartesianMRI((64, 64), acceleration=2)
    space = acquisition.space
    squares = np.add(*(axis**2 for axis in space.meshgrid))
    image = np.exp(-squares / (2 * (0.1 * acquisition.side) ** 2))
    y = acquisition.operator(space.element(image.astype(space.dtype)))
    from odl_equivariant.elements import as_tensor

    y = as_tensor(y)
    level = 0.02 * float(y.abs().max())
    generator = torch.Generator().manual_seed(0)
    noise = level * torch.randn(y.shape, generator=generator)
    problem = losses.Problem(None, y, acquisition)
    problem.data = y + problem.measured * noise
    found = losses.GaussianNoise('estimate').variance(problem).sqrt()
    assert float(found) == pytest.approx(level, rel=0.2)


@pytest.mark.parametrize(
    'make, words',
    [
        (lambda: losses.GaussianNoise(0.0), 'noise level `sigma` is 0'),
        (lambda: losses.PoissonNoise(0), 'noise level `gain` is 0'),
        (
            lambda: losses.SURE().check(views(None), None),
            '`n_photons` of SparseViewCT',
        ),
        (
            lambda: losses.RecorruptedData().check(
                CartesianMRI((16, 16), sigma=0), None
            ),
            '`sigma` of CartesianMRI is',
        ),
        (
            lambda: losses.SURE(losses.PoissonNoise(1.0)).check(views(), None),
            'logarithms of counts',
        ),
        (
            lambda: losses.MeasurementSplitting(0.9).check(views(n=3), None),
            '3 views cannot be split',
        ),
        (
            lambda: losses.Noise2Inverse(4).check(views(n=3), None),
            '3 views cannot be split into 4 parts',
        ),
        (
            lambda: losses.MeasurementSplitting(keep=1.0).check(
                CartesianMRI((16, 16)), None
            ),
            'nothing is left to hold out|measurements|lines',
        ),
        (
            lambda: losses.MeasurementSplitting().check(
                Denoising((16, 16)), None
            ),
            'a denoiser is given whole images',
        ),
        (
            lambda: losses.EquivariantSplitting().check(
                views(),
                LearnedProximalGradient(
                    views().operator, proximal(OrdinaryProximal), 1
                ),
            ),
            'must be equivariant by design',
        ),
        (
            lambda: losses.EquivariantImaging('C1').check(views(), None),
            'no element but the identity',
        ),
        (lambda: losses.MeasurementSplitting(1.0), 'between 0 and 1'),
        (
            lambda: losses.MeasurementSplitting(weighting='ramp').check(
                CartesianMRI((16, 16)),
                LearnedProximalGradient(
                    CartesianMRI((16, 16)).operator, Identity, 1
                ),
            ),
            '`weighting: ramp` is for tomography',
        ),
        (
            lambda: losses.MeasurementSplitting(weighting='density').check(
                CartesianMRI((16, 16)),
                LearnedProximalGradient(
                    CartesianMRI((16, 16)).operator, Identity, 1
                ),
            ),
            '`weighting: density` divides by the probability',
        ),
        (
            lambda: losses.MeasurementSplitting(weighting='density').check(
                Inpainting((8, 8)), None
            ),
            'Inpainting draws none',
        ),
        (
            lambda: losses.MeasurementSplitting(keep=None).check(
                Inpainting((8, 8)), None
            ),
            'what all masks measure',
        ),
        (
            lambda: losses.MeasurementSplitting(weighting='density').check(
                CartesianMRI(
                    (16, 16), pattern='poisson_disc', random_masks=True
                ),
                LearnedProximalGradient(
                    CartesianMRI((16, 16)).operator, Identity, 1
                ),
            ),
            '`weighting: density` is for masks of lines',
        ),
        (
            lambda: losses.MeasurementSplitting(
                weighting='ramp', noise=losses.GaussianNoise(0.1)
            ),
            '`noise` corrects for readings that are not filtered',
        ),
    ],
)
def test_errors_say_what_is_needed(make, words):
    """Of noise, groups, networks and numbers of measurements."""
    with pytest.raises(ValueError, match=words):
        make()
