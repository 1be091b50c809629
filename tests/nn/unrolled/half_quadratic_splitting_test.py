# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of learned half-quadratic splitting."""

import concurrent.futures
import copy
import math
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.actions import group_actions
from odl_equivariant.elements import as_element, as_tensor, tensor_dtype
from odl_equivariant.functionals import LeastSquares
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn import (
    EnergyDenoiser,
    EquivariantProximal,
    GradientStepDenoiser,
    GradientStepEnergy,
    LearnedHalfQuadraticSplitting,
    LearnedProximalGradient,
    MultiscaleDenoiser,
    Normalised,
    OrdinaryProximal,
    RidgeEnergy,
    for_inference,
    to_convolutional,
)
from odl_equivariant.operators import (
    SubsampledFourierTransform,
    operator_norm,
)
from odl_equivariant.solvers import half_quadratic_splitting
from odl_equivariant.uncertainty import GaussianNoise, bootstrap

backend = simple_fixture('backend', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', ['float32', 'float64'])
shared = simple_fixture('shared', [False, True])


def ray_transform(dtype='float64', backend='numpy', size=7, side=1.0):
    """Return a small ray transform between spaces of unequal weights."""
    space = odl.uniform_discr(
        [-side, -side], [side, side], (size, size), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, 5, 2 * size)
    return RayTransform(space, geometry, impl='astra_matrix')


def fourier(mask=None, size=6, dtype='complex128'):
    """Return a subsampled Fourier transform."""
    space = odl.uniform_discr([-1, -1], [1, 1], (size, size), dtype=dtype)
    if mask is None:
        mask = np.random.default_rng(0).random((size, size)) < 0.6
    return SubsampledFourierTransform(space, mask)


class Dense(odl.Operator):
    """A matrix between spaces with any weights of their inner products."""

    def __init__(self, domain, range, matrix):
        """Initialize a new instance."""
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x):
        product = self.matrix @ x.asarray().ravel()
        return self.range.element(product.reshape(self.range.shape))

    @property
    def adjoint(self):
        """The adjoint in the inner products of the spaces."""
        ours, theirs = (
            inner_product_weights(space).expand(1, *space.shape).numpy()
            for space in (self.domain, self.range)
        )
        transposed = self.matrix.T * theirs.ravel()
        return Dense(self.range, self.domain, transposed / ours.reshape(-1, 1))


def dense(domain, range):
    """Return a random matrix between two spaces."""
    rng = np.random.default_rng(0)
    return Dense(domain, range, rng.random((range.size, domain.size)) / 6)


def denoiser(group='C4', n=1, std=0.2, **kwargs):
    """Return a small denoiser with random weights."""
    arguments = {'channels': 4, 'n_scales': 1, 'n_blocks': 1, **kwargs}
    block = MultiscaleDenoiser(group, n, **arguments)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=std)
    return block


def network_for(operator, shared=True, make=denoiser, **kwargs):
    """Return a small network with random weights."""
    torch.manual_seed(0)
    network = LearnedHalfQuadraticSplitting(
        operator,
        make() if shared else make,
        **{'n_iterations': 3, 'inner_iterations': 3, **kwargs},
    )
    return network.to(tensor_dtype(operator.domain))


def data_for(operator, n=2, seed=1):
    """Return a batch of random data."""
    torch.manual_seed(seed)
    tensor = as_tensor(operator.range.zero())
    return torch.randn(n, *tensor.shape[1:], dtype=tensor.dtype)


def gap(found, expected):
    """Return a relative difference."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).norm() / expected.norm())


def rounding(dtype):
    """Return a tolerance for a precision."""
    return 1e-4 if dtype == 'float32' else 1e-11


class Recorder(nn.Module):
    """A denoiser that keeps what it is given, and halves it."""

    noise_level = True

    def __init__(self):
        """Initialize a new instance."""
        super().__init__()
        self.images, self.levels = [], []

    def forward(self, x, sigma):
        """Return half of the images."""
        self.images.append(x)
        self.levels.append(sigma)
        return 0.5 * x


# --- The iteration --- #


def weighted_operators():
    """Return operators between spaces of many kinds by their names."""
    half = odl.uniform_discr([0, 0], [6, 8], (4, 5), nodes_on_bdry=True)
    rng = np.random.default_rng(1)
    weights = rng.random((4, 5)) + 0.1
    weighted = odl.rn((4, 5), weighting=weights)
    rows = odl.rn((3, 4), weighting=rng.random((3, 4)) + 0.1)
    return {
        'rays': ray_transform(),
        'complex': fourier(),
        'half cells': dense(half, rows),
        'array': dense(weighted, rows),
        'other axes': dense(weighted, odl.rn(7)),
    }


@pytest.mark.parametrize('kind', list(weighted_operators()))
def test_the_data_fit_is_a_proximal(kind):
    """Images are those of the proximal in the inner products of ODL."""
    A = weighted_operators()[kind]
    record = Recorder()
    network = network_for(
        A, make=lambda: record, inner_iterations=60, initial='adjoint'
    )
    y = data_for(A, 1)
    z = network(y)
    fit = LeastSquares(A, as_element(y, A.range), tol=1e-12)
    before = network._layers.initial(y)
    steps = network.relative_steps.tolist()
    for u, step in zip(record.images, steps, strict=True):
        point = as_element(before.detach(), A.domain)
        sigma = step / operator_norm(A) ** 2
        expected = as_tensor(fit.proximal(sigma)(point))
        assert gap(u, expected) <= 1e-8
        before = 0.5 * u
    assert torch.equal(z, before)


def test_the_data_fit_on_both_back_ends(backend, dtype):
    """The same for each back-end and precision."""
    A = ray_transform(dtype, backend)
    record = Recorder()
    network = network_for(A, make=lambda: record, inner_iterations=40)
    y = data_for(A, 1)
    network(y)
    fit = LeastSquares(A, as_element(y, A.range))
    step = network.relative_steps.tolist()[0] / operator_norm(A) ** 2
    expected = as_tensor(fit.proximal(step)(A.domain.zero()))
    assert gap(record.images[0], expected) <= 1e-3


def test_levels_are_those_of_the_changes():
    """Each is a factor times the root mean square of the change."""
    A = fourier()
    record = Recorder()
    network = network_for(A, make=lambda: record, relative_levels=(2.0, 0.5))
    network(data_for(A, 3))
    before = torch.zeros_like(record.images[0])
    for u, level, factor in zip(
        record.images, record.levels, (2.0, 1.0, 0.5), strict=True
    ):
        change = (u - before).square().flatten(1).mean(1).sqrt()
        assert level.shape == (3,)
        assert gap(level, factor * change) <= 1e-12
        before = 0.5 * u


def test_steps_and_levels_lie_on_a_logarithmic_scale(dtype):
    """They start between the given ends, to the last bits."""
    network = network_for(
        ray_transform(dtype),
        relative_steps=(10, 1000),
        relative_levels=(4.0, 1.0),
    )
    for found, expected in (
        (network.relative_steps, [10.0, 100.0, 1000.0]),
        (network.relative_levels, [4.0, 2.0, 1.0]),
    ):
        expected = torch.tensor(expected, dtype=getattr(torch, dtype))
        assert found.dtype == expected.dtype
        tolerance = 1e-6 if dtype == 'float32' else 1e-14
        assert gap(found, expected) <= tolerance


def test_steps_and_levels_of_all_iterations():
    """They may be given one by one."""
    values = [3.0, 7.0, 1.0]
    network = network_for(
        ray_transform(), relative_steps=values, relative_levels=np.ones(3)
    )
    expected = torch.tensor(values, dtype=torch.float64)
    assert gap(network.relative_steps, expected) <= 1e-14
    assert not network.log_levels.detach().any()


def test_the_solver():
    """It is the plug-and-play method with the same steps and levels."""
    A = ray_transform()
    block = denoiser().double()
    y = data_for(A, 1)
    fit = LeastSquares(A, as_element(y, A.range), tol=1e-13)
    network = network_for(A, make=lambda: block, inner_iterations=60)
    z, iterates = A.domain.zero(), [A.domain.zero()]
    reached = half_quadratic_splitting(
        z,
        block,
        fit,
        0.3,
        0.1,
        niter=3,
        weight=0.02,
        callback=lambda x: iterates.append(x.copy()),
    )
    levels = np.geomspace(0.3, 0.1, 3)
    with torch.no_grad():
        for k, (step, level) in enumerate(
            zip(reached.steps, levels, strict=True)
        ):
            u = fit.proximal(step)(iterates[k])
            change = as_tensor(u - iterates[k])
            size = float(change.square().mean().sqrt())
            network.log_steps[k] = math.log(step * operator_norm(A) ** 2)
            network.log_levels[k] = math.log(level / size)
    assert gap(network(y), as_tensor(z)) <= 1e-8


def test_denoisers_without_a_level():
    """They are given images alone, and the network has no levels."""
    A = ray_transform()

    class Half(nn.Module):
        def forward(self, x):
            return 0.5 * x

    network = network_for(A, make=Half)
    assert network.relative_levels is None
    assert [name for name, _ in network.named_parameters()] == ['log_steps']
    record = Recorder()
    other = network_for(A, make=lambda: record)
    y = data_for(A)
    assert torch.equal(network(y), other(y))
    assert network.with_operator(A).relative_levels is None


# --- Laws --- #


@pytest.mark.parametrize('factor', [1e-25, 1e-9, 3.0, 1e9, 1e25])
def test_homogeneity(factor, dtype):
    """With homogeneous denoisers, data a y lead to a times the images."""
    A = ray_transform(dtype)
    network = network_for(A)
    y = data_for(A)
    assert gap(network(factor * y) / factor, network(y)) <= rounding(dtype)


def test_biases_are_not_homogeneous():
    """With biases, it is no law."""
    A = ray_transform()
    network = network_for(A, make=lambda: denoiser(homogeneous=False))
    y = data_for(A)
    assert gap(network(9 * y) / 9, network(y)) > 1e-2


@pytest.mark.parametrize('kind', ['rays', 'complex', 'channels'])
@pytest.mark.parametrize('group', ['C4', None])
def test_equivariance(kind, group):
    """Phi(y; A T) = T^-1 Phi(y; A), for quarter turns and C4 alone."""
    A = ray_transform() if kind == 'rays' else fourier()
    n = 2 if kind == 'complex' else 1
    network = network_for(A, make=lambda: denoiser(group, n))
    y = data_for(A, 1)
    image = as_element(network(y).detach(), A.domain)
    errors = []
    for turn in group_actions(A.domain, 'C4')[1:]:
        moved = network.with_operator(A @ turn)
        expected = as_tensor(turn.inverse(image))
        errors.append(gap(moved(y), expected))
        assert gap(network(y, A @ turn), moved(y)) <= 1e-12
    if group is None:
        assert min(errors) > 1e-3
    else:
        assert max(errors) <= 1e-11


@pytest.mark.parametrize('side', [1e-6, 3.5, 1e6])
def test_the_unit_of_length_does_not_matter(side):
    """Steps are relative to the norm of the operator, in any unit."""
    network = network_for(ray_transform('float32'))
    other = network.with_operator(ray_transform('float32', side=side))
    y = data_for(network.forward_operator)
    assert gap(other(side * y), network(y)) <= 1e-3


def test_zero_data(dtype):
    """They lead to images of nearly zeros, with finite derivatives."""
    A = ray_transform(dtype)
    network = network_for(A, inner_iterations=5)
    y = data_for(A)
    y[0] = 0
    u = network(y)
    # the smallest level is not zero
    assert float(u[0].detach().abs().max()) <= 1e-15
    assert float(u[1].detach().abs().max()) > 1e-2
    u.square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()


def test_data_that_are_fitted_at_once(dtype):
    """Derivatives are finite after more inner iterations than needed."""
    A = odl.IdentityOperator(odl.rn((6, 6), dtype=dtype))
    network = network_for(A, inner_iterations=30)
    y = (1e-12 * data_for(A)).requires_grad_()
    network(y).sum().backward()
    assert y.grad.isfinite().all() and network.log_steps.grad.isfinite().all()


def test_data_that_are_not_finite():
    """They make their own images so, and no others."""
    A = ray_transform()
    network = network_for(A)
    y = data_for(A)
    expected = network(y)
    y[0, 0, 1, 2] = torch.nan
    u = network(y)
    assert u[0].isnan().all()
    assert gap(u[1], expected[1]) <= 1e-12


# --- Operators of samples, complex spaces --- #


@pytest.mark.parametrize('size', [6, 7])
def test_a_mask_for_each_sample(size):
    """A batch with an operator each is that of its samples."""
    rng = np.random.default_rng(3)
    masks = [rng.random((size, size)) < p for p in (0.3, 0.6, 0.9)]
    operators = [fourier(mask, size) for mask in masks]
    network = network_for(operators[0])
    y = data_for(operators[0], 3)
    found = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network.with_operator(operator)(y[i : i + 1])
        assert gap(found[i : i + 1], alone) <= 1e-12
    assert gap(network(y), found) > 1e-2


@pytest.mark.parametrize('method', ['splitting', 'gradient'])
@pytest.mark.parametrize('kind', ['rays', 'other axes'])
def test_other_operators_for_each_sample(kind, method):
    """The same for others, whose data may have another number of axes."""
    A = weighted_operators()[kind]
    operators = [A, 2.0 * A, A]
    network = network_for(A, initial='adjoint')
    if method == 'gradient':
        network = LearnedProximalGradient(
            A, lambda: OrdinaryProximal(channels=4), 2
        ).double()
    y = data_for(A, 3)
    found = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network.with_operator(operator)(y[i : i + 1])
        assert gap(found[i : i + 1], alone) <= 1e-12


def test_channels_of_complex_images():
    """A denoiser of one channel is that of both parts, at one level."""
    A = fourier()
    block = denoiser().double()

    class Both(nn.Module):
        noise_level = True

        def forward(self, x, sigma):
            parts = [block(x[:, i : i + 1], sigma=sigma) for i in (0, 1)]
            return torch.cat(parts, 1)

    network = network_for(A, make=lambda: block)
    other = network_for(A, make=Both)
    y = data_for(A, 3)
    assert gap(network(y), other(y)) <= 1e-12


def test_an_empty_batch():
    """No data have no images."""
    for A in (ray_transform(), fourier()):
        n = as_tensor(A.domain.zero()).shape[1:]
        empty = data_for(A, 0)
        assert network_for(A)(empty).shape == (0, *n)


def test_denoisers_of_other_classes():
    """Any denoiser will do, such as the step along an energy's gradient."""
    A = ray_transform()
    inner = denoiser(activation='softplus')
    network = network_for(
        A, make=lambda: GradientStepDenoiser(GradientStepEnergy(inner))
    )
    y = data_for(A)
    assert network(y).shape == (2, 1, 7, 7)
    network(y).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any()
    plain = network_for(
        A,
        make=lambda: EquivariantProximal(channels=4, gradient=False, memory=0),
    )
    assert plain.relative_levels is None
    assert plain(y).isfinite().all()


@pytest.mark.parametrize('kind', ['ridge', 'gradient step'])
def test_energies_are_no_denoisers(kind):
    """The error comes when the network is made, and names the remedy."""
    if kind == 'ridge':
        energy = RidgeEnergy('C4', 3, 4)
    else:
        energy = GradientStepEnergy(denoiser(activation='softplus'))
    with pytest.raises(ValueError, match=r'EnergyDenoiser\(energy\)'):
        LearnedHalfQuadraticSplitting(ray_transform(), energy)
    LearnedHalfQuadraticSplitting(
        ray_transform(), EnergyDenoiser(RidgeEnergy('C4', 3, 4))
    )


# --- Weights, derivatives, copies --- #


def test_shared_denoisers(shared):
    """One denoiser for all iterations, or one for each."""
    A = ray_transform()
    network = network_for(A, shared)
    assert len(network.blocks) == (1 if shared else 3)
    blocks = [network.block(k) for k in range(3)]
    assert len(set(map(id, blocks))) == len(network.blocks)
    network(data_for(A)).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.abs().sum() > 0


def test_gradients(shared):
    """Derivatives agree with difference quotients."""
    A = ray_transform(size=4)
    network = network_for(A, shared, n_iterations=2, inner_iterations=2)
    y = data_for(A, 1).requires_grad_()
    assert torch.autograd.gradcheck(network, y, fast_mode=True)
    names, values = zip(*network.named_parameters(), strict=True)

    def result(*values):
        return torch.func.functional_call(
            network, dict(zip(names, values, strict=True)), y.detach()
        )

    assert torch.autograd.gradcheck(result, values, fast_mode=True)


def test_checkpointing_changes_no_gradient(shared):
    """It takes less memory, with the same result and derivatives."""
    A = fourier()
    results = []
    for checkpointing in (False, True):
        network = network_for(A, shared, checkpointing=checkpointing)
        u = network(data_for(A))
        u.square().sum().backward()
        gradients = [p.grad.flatten() for p in network.parameters()]
        results.append([u.detach(), torch.cat(gradients)])
    assert torch.equal(results[0][0], results[1][0])
    assert gap(results[1][1], results[0][1]) <= 1e-12


def test_checkpointing_computes_again():
    """Each denoiser is applied once more for derivatives, and not else."""
    calls = []

    class Cubed(nn.Module):
        def forward(self, x):
            calls.append(x.shape)
            return x * x.square()

    A = ray_transform()
    for checkpointing, n in ((False, 3), (True, 6)):
        network = network_for(A, make=Cubed, checkpointing=checkpointing)
        network(data_for(A)).sum().backward()
        assert len(calls) == n
        calls.clear()


@pytest.mark.parametrize('noise_level', [True, False])
def test_the_network_of_another_operator_shares_the_weights(
    shared, noise_level
):
    """So that both can be trained at once."""
    network = network_for(
        ray_transform('float32'),
        shared,
        lambda: denoiser(noise_level=noise_level),
        initial='fbp',
        checkpointing=True,
    ).eval()
    network.value_range = (0.0, 1.0)
    other = network.with_operator(ray_transform('float32', size=9))
    assert {*map(id, other.parameters())} == {*map(id, network.parameters())}
    assert other.architecture == network.architecture
    assert other.checkpointing and not other.training
    assert other.value_range == (0.0, 1.0)
    assert other(torch.zeros(1, 1, 5, 18)).shape == (1, 1, 9, 9)
    with pytest.raises(TypeError, match='float32.* computes in .*float64'):
        network.with_operator(ray_transform('float64'))


def test_as_an_operator(backend, dtype):
    """It maps elements, with and without a faster copy."""
    A = ray_transform(dtype, backend)
    network = network_for(A)
    y = data_for(A, 1)
    for operator in (
        network.as_operator(),
        network.as_operator(precision=dtype, tile=5),
    ):
        assert operator.domain == A.range and operator.range == A.domain
        found = as_tensor(operator(as_element(y, A.range)))
        assert gap(found, network(y)) <= rounding(dtype)


@pytest.mark.parametrize('convert', [to_convolutional, for_inference])
def test_conversions_keep_the_result(convert, dtype, shared):
    """Plain and faster copies compute the same."""
    A = ray_transform(dtype)
    network = network_for(A, shared)
    y = data_for(A)
    plain = convert(network)
    assert type(plain) is LearnedHalfQuadraticSplitting
    assert len(plain.blocks) == len(network.blocks)
    assert gap(plain(y), network(y)) <= rounding(dtype)


@pytest.mark.parametrize('make_copy', [copy.deepcopy, None])
def test_copies(make_copy):
    """Copies and pickles compute the same."""
    network = network_for(weighted_operators()['array'])
    y = data_for(network.forward_operator)
    make_copy = make_copy or (lambda x: pickle.loads(pickle.dumps(x)))
    assert torch.equal(make_copy(network)(y), network(y))


def test_the_state_has_no_operator(shared):
    """It consists of the denoisers, steps and levels."""
    for A in weighted_operators().values():
        names = {name.split('.')[0] for name in network_for(A).state_dict()}
        assert names == {'blocks', 'log_steps', 'log_levels'}


def test_normalised():
    """Data may be divided by their own statistic, which denoisers see not."""
    A = ray_transform()
    network = network_for(A, make=lambda: denoiser(homogeneous=False))
    y = data_for(A)
    scaled = Normalised(network, 'rms', shift=None)
    assert gap(scaled(5 * y), 5 * scaled(y)) <= 1e-11
    unit = y[:1].square().mean().sqrt()
    assert gap(scaled(y[:1]), unit * network(y[:1] / unit)) <= 1e-11


def test_torch_export():
    """With operators of torch the network is exported, and else refused."""
    A = 0.5 * odl.IdentityOperator(odl.rn((6, 6), dtype='float32'))
    network = network_for(A).eval()
    y = data_for(A)
    program = torch.export.export(network, (torch.ones_like(y),))
    assert gap(program.module()(y), network(y)) <= 1e-5
    other = network_for(ray_transform('float32'))
    y = data_for(other.forward_operator)
    with pytest.raises(NotImplementedError, match='no place in an exported'):
        torch.export.export(other, (y,), strict=False)


def test_threads():
    """Several threads may use a network, with other operators each."""
    A = ray_transform('float32')
    network = network_for(A)
    y = data_for(A)
    operators = [factor * A for factor in (0.5, 1.0, 2.0, 4.0)]
    with torch.no_grad():
        expected = [network(y, operator) for operator in operators]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda B: network(y, B), 3 * operators))
    for one, other in zip(found, 3 * expected, strict=True):
        assert torch.equal(one, other)


def test_the_bootstrap():
    """Samples of the error are drawn as for other networks."""
    A = ray_transform('float32')
    network = network_for(A).eval()
    y = as_element(data_for(A, 1), A.range)
    results = [
        bootstrap(method, A, GaussianNoise(0.1), n=4)(y)
        for method in (network, network.as_operator())
    ]
    deviations = [as_tensor(result.standard_deviation) for result in results]
    assert float(deviations[0].norm()) > 0
    assert gap(*deviations) <= 1e-3


def test_autocast():
    """Denoisers may compute in a lower precision, and data fits do not."""
    A = ray_transform('float32')

    class Low(nn.Module):
        noise_level = True

        def forward(self, x, sigma):
            return (0.5 * x).bfloat16()

    u = network_for(A, make=Low)(data_for(A))
    assert u.dtype == torch.float32


def test_repr():
    """It has the numbers, and steps as they are now."""
    text = repr(network_for(ray_transform()))
    assert "inner_iterations=3, initial='zero', relative_steps=[10" in text


# --- What is refused --- #


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'denoiser': 3}, TypeError, '`denoiser` must be a module'),
        ({'denoiser': lambda: 3}, TypeError, '`denoiser` must make'),
        (
            {'denoiser': lambda: EquivariantProximal(gradient=False)},
            ValueError,
            'nor a memory: make it with memory=0',
        ),
        (
            {'denoiser': lambda: EquivariantProximal(memory=0)},
            ValueError,
            'make it with gradient=False',
        ),
        (
            {'denoiser': lambda: MultiscaleDenoiser(in_channels=2)},
            ValueError,
            'in_channels=1',
        ),
        (
            {'forward_operator': ray_transform(size=2)},
            ValueError,
            'smaller than the kernels',
        ),
        (
            {'forward_operator': odl.functionals.L1Norm(odl.rn((8, 8)))},
            TypeError,
            'linear',
        ),
        ({'n_iterations': 0}, ValueError, 'n_iterations'),
        ({'inner_iterations': 0}, ValueError, 'inner_iterations'),
        ({'inner_iterations': 2.0}, TypeError, 'inner_iterations'),
        ({'initial': 'one'}, ValueError, 'initial'),
        ({'relative_steps': (0.0, 1.0)}, ValueError, 'relative_steps.*got 0'),
        ({'relative_levels': (1, -1)}, ValueError, 'relative_levels.*got -1'),
        ({'relative_steps': (1, math.inf)}, ValueError, 'finite positive'),
        ({'relative_steps': 10.0}, TypeError, 'first and the last.*10.0'),
        ({'relative_steps': '12'}, TypeError, "first and the last.*'12'"),
        ({'relative_steps': (1, 2, 3)}, ValueError, '6 iterations, got 3'),
        ({'relative_levels': ()}, ValueError, '6 iterations, got 0'),
        ({'relative_levels': ('a', 1)}, TypeError, "relative_levels.*'a'"),
    ],
)
def test_arguments_that_are_refused(change, error, message):
    """The error names the argument, and what was expected."""
    arguments = {
        'forward_operator': ray_transform('float32'),
        'denoiser': denoiser,
        **change,
    }
    with pytest.raises(error, match=message):
        LearnedHalfQuadraticSplitting(**arguments)


def test_data_that_are_refused():
    """Their shape and precision must be those of the range."""
    network = network_for(ray_transform('float32'))
    with pytest.raises(ValueError, match=r'\(N, 1, 5, 14\)'):
        network(torch.zeros(1, 1, 5, 13))
    with pytest.raises(TypeError, match='float32'):
        network(torch.zeros(1, 1, 5, 14).double())


@pytest.mark.parametrize(
    ('result', 'given'), [(torch.zeros(1), r'\(1,\)'), ((1, 2), 'tuple')]
)
def test_results_that_are_refused(result, given):
    """A denoiser must return images."""

    class Wrong(nn.Module):
        def forward(self, x):
            return result

    A = ray_transform()
    with pytest.raises(ValueError, match=f'denoiser Wrong.*{given}'):
        network_for(A, make=Wrong)(data_for(A))


def test_architecture_needs_that_of_its_denoisers():
    """A denoiser without one has none that could be saved."""
    with pytest.raises(TypeError, match='architecture'):
        assert network_for(ray_transform(), make=Recorder).architecture


def test_unusual_members_are_no_flags():
    """A method of the name of a flag is not one."""

    class Denoiser(nn.Module):
        def gradient(self, x):
            return x

        def forward(self, x):
            return x

    A = ray_transform()
    assert network_for(A, make=Denoiser)(data_for(A)).shape == (2, 1, 7, 7)
