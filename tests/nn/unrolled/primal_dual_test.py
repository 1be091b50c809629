# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of the learned primal-dual method."""

import concurrent.futures
import copy
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant import models
from odl_equivariant.elements import as_element, as_tensor, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.nn import (
    DualProximal,
    EquivariantProximal,
    LearnedPrimalDual,
    OrdinaryProximal,
    for_inference,
    to_convolutional,
)
from odl_equivariant.operators import (
    SubsampledFourierTransform,
    operator_norm,
)

backend = simple_fixture('backend', ['numpy', 'pytorch'])
dtype = simple_fixture('dtype', ['float32', 'float64'])
shared = simple_fixture('shared', [False, True])


def ray_transform(dtype='float32', backend='numpy', size=7, side=1.0):
    """Return a small ray transform between spaces of unequal weights."""
    space = odl.uniform_discr(
        [-side, -side], [side, side], (size, size), dtype=dtype, impl=backend
    )
    geometry = parallel_beam_geometry(space, 6, 2 * size)
    return RayTransform(space, geometry, impl='astra_matrix')


def fourier(mask=None, size=6, dtype='complex64'):
    """Return a subsampled Fourier transform."""
    space = odl.uniform_discr([-1, -1], [1, 1], (size, size), dtype=dtype)
    if mask is None:
        mask = np.random.default_rng(0).random((size, size)) < 0.6
    return SubsampledFourierTransform(space, mask)


def network_for(operator, shared=False, memory=2, n=1, **kwargs):
    """Return a small network with random weights."""
    torch.manual_seed(0)
    side = 1 if n > 1 else 3

    def primal():
        return EquivariantProximal(n, 8, memory=memory, skip=True)

    def dual():
        return DualProximal(n, 4, memory=3, kernel_size=side)

    kwargs = {'n_iterations': 3, **kwargs}
    if shared:
        primal, dual = primal(), dual()
    network = LearnedPrimalDual(operator, primal, dual, **kwargs)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.to(tensor_dtype(operator.domain))


def data_for(operator, n=2):
    """Return a batch of random data."""
    torch.manual_seed(1)
    tensor = as_tensor(operator.range.zero())
    return torch.randn(n, *tensor.shape[1:], dtype=tensor.dtype)


def gap(found, expected):
    """Return a relative difference."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).norm() / expected.norm())


def rounding(dtype):
    """Return a tolerance for a precision."""
    return 1e-5 if dtype in ('float32', 'complex64') else 1e-12


# --- The iteration --- #


@pytest.mark.parametrize('memory', [0, 2])
def test_the_formula(backend, dtype, shared, memory):
    """Each iteration is that of the class, with the operators of ODL."""
    A = ray_transform(dtype, backend)
    network = network_for(A, shared, memory)
    y = data_for(A)
    norm = float(operator_norm(A))
    c = float(A.range.one().norm() / A.domain.one().norm())

    def mapped(operator, x, factor):
        parts = [
            as_tensor(operator(as_element(part, operator.domain)))
            for part in x.detach()
        ]
        return factor * torch.cat(parts)

    u = torch.zeros(2, 1, *A.domain.shape, dtype=y.dtype)
    h = torch.zeros(2, 4, *A.range.shape, dtype=y.dtype)
    s = torch.zeros(2, memory, *A.domain.shape, dtype=y.dtype)
    for k in range(3):
        at = u + s[:, :1] if memory else u
        evaluation = mapped(A, at, c / norm)
        h = network.dual(k)(h, evaluation, c / norm * y)
        gradient = mapped(A.adjoint, h[:, :1], 1 / (c * norm))
        if memory:
            u, s = network.block(k)(u, gradient, s)
        else:
            u = network.block(k)(u, gradient)
    assert gap(network(y), u) <= rounding(dtype)


def test_the_operator_has_norm_one_for_mean_squares(dtype):
    """It is scaled by its norm, and by those of the function one."""
    A = ray_transform(dtype)
    to_data, to_image = network_for(A).scales
    assert to_data * to_image == pytest.approx(operator_norm(A) ** -2)
    volumes = [
        float(inner_product_weights(space).sum()) * space.size
        for space in (A.range, A.domain)
    ]
    expected = np.sqrt(volumes[0] / volumes[1]) / operator_norm(A)
    assert to_data == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('initial', ['zero', 'adjoint', 'fbp'])
@pytest.mark.parametrize('side', [1e-3, 3.5, 1e3])
def test_the_unit_of_length_does_not_matter(initial, side):
    """Trained weights fit in any unit, cells of side 1 included."""
    network = network_for(ray_transform(), initial=initial)
    other = network.with_operator(ray_transform(side=side))
    y = data_for(network.forward_operator)
    assert gap(other(side * y), network(y)) <= 1e-5


def test_a_multiple_of_the_operator_does_not_matter():
    """The same for data in another unit, if the operator is in it, too."""
    network = network_for(ray_transform('float64'))
    other = network.with_operator(5.0 * network.forward_operator)
    y = data_for(network.forward_operator)
    assert gap(other(5 * y), network(y)) <= 1e-12


@pytest.mark.parametrize('initial', ['adjoint', 'fbp', 'operator'])
def test_where_it_starts(initial):
    """Blocks that change nothing return the initial images."""
    A = ray_transform('float64')
    given = A.adjoint if initial == 'operator' else initial
    network = network_for(A, initial=given, n_iterations=1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    y = data_for(A)
    assert gap(network(y), network._layers.initial(y)) <= 1e-12


# --- Operators of samples, complex spaces, odd sizes --- #


@pytest.mark.parametrize('size', [6, 7])
def test_a_mask_for_each_sample(size):
    """A batch with an operator each is that of its samples."""
    rng = np.random.default_rng(3)
    masks = [rng.random((size, size)) < p for p in (0.3, 0.6, 0.9)]
    operators = [fourier(mask, size, 'complex128') for mask in masks]
    network = network_for(operators[0], n=2)
    y = data_for(operators[0], 3)
    found = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network.with_operator(operator)(y[i : i + 1])
        assert gap(found[i : i + 1], alone) <= 1e-12
    assert gap(network(y), found) > 1e-2


def test_other_operators_for_each_sample():
    """The same for operators that are applied one after another."""
    A = ray_transform('float64')
    operators = [A, 2.0 * A, A]
    network = network_for(A, initial='adjoint')
    y = data_for(A, 3)
    found = network(y, operators)
    for i, operator in enumerate(operators):
        alone = network.with_operator(operator)(y[i : i + 1])
        assert gap(found[i : i + 1], alone) <= 1e-12


def test_complex_images_and_several_coils():
    """Data may have other channels than the images, and any weights."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype='complex128')
    A = odl.BroadcastOperator(
        odl.IdentityOperator(space), 2 * odl.IdentityOperator(space)
    )
    network = LearnedPrimalDual(
        A,
        lambda: OrdinaryProximal(2, 4),
        lambda: DualProximal(4, 4, kernel_size=1),
        n_iterations=2,
    ).double()
    assert network(data_for(A)).shape == (2, 2, 6, 6)


def test_an_empty_batch():
    """No data have no images."""
    network = network_for(ray_transform())
    assert network(torch.zeros(0, 1, 6, 14)).shape == (0, 1, 7, 7)


# --- Derivatives, memory, threads --- #


def test_gradients(shared):
    """Derivatives agree with difference quotients."""
    A = ray_transform('float64', size=4)
    network = network_for(A, shared, n_iterations=2)
    y = data_for(A, 1).requires_grad_()
    assert torch.autograd.gradcheck(network, y, fast_mode=True)
    names, values = zip(*network.named_parameters(), strict=True)

    def result(*values):
        return torch.func.functional_call(
            network, dict(zip(names, values, strict=True)), y.detach()
        )

    assert torch.autograd.gradcheck(result, values, fast_mode=True)


def test_checkpointing_changes_no_gradient():
    """It takes less memory, with the same result and derivatives."""
    A = ray_transform('float64')
    results = []
    for checkpointing in (False, True):
        network = network_for(A, checkpointing=checkpointing)
        u = network(data_for(A))
        u.square().sum().backward()
        gradients = [p.grad.flatten() for p in network.parameters()]
        results.append([u.detach(), torch.cat(gradients)])
    assert torch.equal(results[0][0], results[1][0])
    assert gap(results[1][1], results[0][1]) <= 1e-12


def test_threads():
    """Several threads may use a network, with other operators each."""
    A = ray_transform()
    network = network_for(A)
    y = data_for(A)
    operators = [factor * A for factor in (0.5, 1.0, 2.0, 4.0)]
    with torch.no_grad():
        expected = [network(y, operator) for operator in operators]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda B: network(y, B), 3 * operators))
    for one, other in zip(found, 3 * expected, strict=True):
        assert torch.equal(one, other)


# --- As an operator, for another operator, in a file --- #


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


def test_the_network_of_another_operator_shares_the_weights():
    """So that both can be trained at once."""
    network = network_for(ray_transform()).eval()
    other = network.with_operator(ray_transform(size=9))
    assert {*map(id, other.parameters())} == {*map(id, network.parameters())}
    assert other(torch.zeros(1, 1, 6, 18)).shape == (1, 1, 9, 9)
    assert not other.training
    with pytest.raises(TypeError, match='float32.* computes in .*float64'):
        network.with_operator(ray_transform('float64'))


@pytest.mark.parametrize('convert', [to_convolutional, for_inference])
def test_conversions_keep_the_result(convert, dtype):
    """Plain and faster copies compute the same."""
    A = ray_transform(dtype)
    network = network_for(A)
    y = data_for(A)
    assert gap(convert(network)(y), network(y)) <= rounding(dtype)


def test_a_higher_precision_of_the_convolutions():
    """It is that of all blocks, on both sides, and of no operator."""
    network = network_for(ray_transform())
    quick = for_inference(network, 'float64')
    y = data_for(network.forward_operator)
    assert quick(y).dtype == torch.float32
    assert 0 < gap(quick(y), network(y)) <= 1e-5
    assert not any(p.requires_grad for p in quick.parameters())
    h = torch.zeros(2, 4, 6, 14)
    block = copy.deepcopy(network.duals[0]).double()
    kernels = [
        (kernel.double(), bias.double())
        for kernel, bias in network.duals[0].kernels()
    ]
    double = block(h.double(), y.double(), y.double(), kernels)
    expected = double.float()
    assert torch.equal(quick.duals[0](h, y, y), expected)


@pytest.mark.parametrize('make_copy', [copy.deepcopy, None])
def test_copies(make_copy):
    """Copies and pickles compute the same."""
    network = network_for(ray_transform()).eval()
    y = data_for(network.forward_operator)
    make_copy = make_copy or (lambda x: pickle.loads(pickle.dumps(x)))
    assert torch.equal(make_copy(network)(y), network(y))


def test_files(tmp_path, shared, dtype):
    """A file has all but the operators."""
    A = ray_transform(dtype)
    network = network_for(A, shared, initial='fbp')
    network.value_range = (0.0, 1.0)
    path = tmp_path / 'network.safetensors'
    models.save(network, path)
    loaded = models.load(path, A)
    assert type(loaded) is LearnedPrimalDual
    assert loaded.architecture == network.architecture
    assert loaded.value_range == (0.0, 1.0)
    y = data_for(A)
    assert torch.equal(loaded(y), network.eval()(y))
    with pytest.raises(ValueError, match='holds a LearnedPrimalDual: give'):
        models.load(path)
    with pytest.raises(ValueError, match="take padding_mode='circular'"):
        turned = parallel_beam_geometry(A.domain, 8, 14)
        angles = odl.uniform_partition(0, 2 * np.pi, 8)
        geometry = type(turned)(angles, turned.det_partition)
        full = RayTransform(A.domain, geometry, impl='astra_matrix')
        models.load(path, full)


# --- What is refused --- #


class Dual(nn.Module):
    """A data-side block of one's own."""

    def __init__(self, result=None):
        """Initialize a new instance."""
        super().__init__()
        self.result = result

    def forward(self, h, evaluation, data):
        """Return the residual, or another result."""
        return evaluation - data if self.result is None else self.result


def test_a_block_of_ones_own():
    """Data-side blocks need nothing but a `forward`."""
    A = ray_transform()
    network = LearnedPrimalDual(A, lambda: OrdinaryProximal(1, 4), Dual())
    assert network(data_for(A)).shape == (2, 1, 7, 7)
    with pytest.raises(TypeError, match='DualProximal.*got Dual'):
        models.save(network, 'network.safetensors')
    with pytest.raises(TypeError, match='data-side blocks'):
        for_inference(network)
    for result, given in ((torch.zeros(1), r'\(1,\)'), (3, 'int')):
        wrong = LearnedPrimalDual(
            A, lambda: OrdinaryProximal(1, 4), Dual(result)
        )
        with pytest.raises(ValueError, match=f'dual variables.*{given}'):
            wrong(data_for(A))


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'primal': 3}, TypeError, '`primal` must be a module'),
        ({'dual': 3}, TypeError, '`dual` must be a module'),
        ({'dual': lambda: 3}, TypeError, '`dual` must make'),
        ({'dual': OrdinaryProximal}, TypeError, 'an image-side block: give'),
        ({'primal': DualProximal}, TypeError, 'is a data-side block'),
        ({'n_iterations': 0}, ValueError, 'n_iterations'),
        ({'initial': 'one'}, ValueError, 'initial'),
        ({'dual': lambda: DualProximal(2)}, ValueError, 'in_channels=1'),
        (
            {'primal': lambda: OrdinaryProximal(gradient=False)},
            ValueError,
            'gradient=True',
        ),
        (
            {'forward_operator': odl.IdentityOperator(odl.rn((6, 6)))},
            ValueError,
            'take kernel_size=1',
        ),
        (
            {
                'dual': iter(
                    [DualProximal(memory=1), DualProximal(memory=2)]
                ).__next__,
                'n_iterations': 2,
            },
            ValueError,
            r'dual blocks .* got \[1, 2\]',
        ),
    ],
)
def test_arguments_that_are_refused(change, error, message):
    """The error names the argument, and what was expected."""
    arguments = {
        'forward_operator': ray_transform(),
        'primal': OrdinaryProximal,
        'dual': DualProximal,
        **change,
    }
    with pytest.raises(error, match=message):
        LearnedPrimalDual(**arguments)


def test_data_that_are_refused():
    """Their shape and precision must be those of the range."""
    network = network_for(ray_transform())
    with pytest.raises(ValueError, match=r'\(N, 1, 6, 14\)'):
        network(torch.zeros(1, 1, 6, 13))
    with pytest.raises(TypeError, match='float32'):
        network(torch.zeros(1, 1, 6, 14).double())
