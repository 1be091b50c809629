# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of how operators get their maps of batches, and of what is composed.

The laws of linear operators are in `laws_test.py`.
"""

import copy

import numpy as np
import odl
import pytest
import torch
from odl.core.operator.operator import OperatorPointwiseProduct
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.operators import (
    AdjointOperator,
    NetworkOperator,
    OperatorLayer,
    register_batched,
)
from odl_equivariant.operators.batching import registry as module
from odl_equivariant.operators.batching.layout import Constant, layouts

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

every_layout = pytest.mark.parametrize('layout', ['channels', 'complex'])


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
    """Compute with one thread, as others would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch(layer, n=2):
    """Return a random batch of what a layer takes."""
    return torch.randn(n, *layer._shape, dtype=layer._dtype)


# --- Registration --- #


class Double(odl.Operator):
    """Operator that says so when it is called."""

    called = False

    def __init__(self, space, linear=True):
        super().__init__(space, space, linear=linear)

    def _call(self, x):
        self.called = True
        return 2 * x

    @property
    def adjoint(self):
        return self


class Derived(Double):
    """Operator that may compute something else."""


@pytest.fixture
def registry(monkeypatch):
    """Forget after the test what was registered in it."""
    monkeypatch.setattr(module, '_REGISTRY', dict(module._REGISTRY))


def test_registered_maps_are_used(registry):
    """A registered map is used instead of the operator."""
    register_batched(Double)(lambda operator: (lambda x: x * 2,) * 2)
    layer = OperatorLayer(Double(odl.rn(3)))
    x = batch(layer).requires_grad_()
    layer.adjoint(layer(x)).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 4))
    assert not layer.operator.called


def test_decorator_returns_the_function(registry):
    """The decorator returns the function."""

    def function(operator):
        return None

    assert register_batched(Double, Derived)(function) is function
    assert module._REGISTRY[Derived] is module._REGISTRY[Double] is function


def test_derived_types_do_not_count(registry):
    """A map is not used for derived types."""
    register_batched(Double)(lambda operator: (lambda x: x * 7,) * 2)
    layer = OperatorLayer(Derived(odl.rn(3)))
    x = batch(layer)
    torch.testing.assert_close(layer(x), 2 * x)
    assert layer.operator.called


def test_none_means_one_sample_after_the_other(registry):
    """If the function returns None, samples are mapped one by one."""
    register_batched(Double)(lambda operator: None)
    layer = OperatorLayer(Double(odl.rn(3)))
    x = batch(layer)
    torch.testing.assert_close(layer(x), 2 * x)
    assert layer.operator.called


def test_callable_is_differentiated_by_torch(registry):
    """A single callable is differentiated by torch."""
    register_batched(Double)(lambda operator: torch.sin)
    layer = OperatorLayer(Double(odl.rn(3), linear=False))
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True)
    assert gradgradcheck(layer, x)


@pytest.mark.parametrize('given', [torch.zeros(3), (torch.sin,), [1, 2]])
def test_wrong_maps_are_refused(registry, given):
    """The error names the type of the operator, and what was given."""
    register_batched(Double)(lambda operator: given)
    with pytest.raises(TypeError, match='`Double` must return .*got'):
        OperatorLayer(Double(odl.rn(3)))


@pytest.mark.parametrize('given', [odl.rn(3), int, 'RayTransform', None])
def test_only_classes_of_operators_are_registered(given):
    """The error names what was given."""
    with pytest.raises(TypeError, match='classes derived from `odl.Operator'):
        register_batched(given)


def test_back_projection_has_the_maps_of_its_adjoint():
    """ODL's back-projection uses the maps of its ray transform."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype='float32')
    geometry = odl.applications.tomo.parallel_beam_geometry(space, 4)
    operator = odl.applications.tomo.RayTransform(
        space, geometry, impl='astra_matrix'
    )
    y = batch(OperatorLayer(operator.adjoint))
    result = OperatorLayer(operator.adjoint)(y)
    torch.testing.assert_close(result, OperatorLayer(operator).adjoint(y))


# --- AdjointOperator --- #


def test_adjoint_operator_of_array_weights(backend):
    """`AdjointOperator` is right where ODL's adjoint is not."""
    weights = np.array([1.0, 2.0, 5.0])
    matrix = np.arange(6.0).reshape(2, 3)
    if backend == 'pytorch':
        weights, matrix = torch.tensor(weights), torch.tensor(matrix)
    operator = odl.MatrixOperator(
        matrix,
        odl.rn(3, weighting=weights, impl=backend),
        odl.rn(2, weighting=3.0, impl=backend),
    )
    assert adjoint_error(operator, n_samples=1) > 0.1
    assert adjoint_error(AdjointOperator(operator), n_samples=1) < 1e-12


def test_adjoint_operator_keeps_its_argument():
    """The argument is unchanged, and the result is new."""
    space = odl.rn(3)
    operator = AdjointOperator(odl.IdentityOperator(space))
    y = space.one()
    x = operator(y)
    x *= 2
    assert y == space.one() and operator(y) == space.one()


def test_adjoint_operator_in_place():
    """The result may be an element, even the argument."""
    operator = AdjointOperator(odl.ScalingOperator(odl.rn(3), 2.0))
    y = odl.rn(3).one()
    operator(y, out=y)
    assert y == 2 * odl.rn(3).one()


def test_adjoint_of_the_adjoint_operator():
    """The adjoint of the adjoint is the operator."""
    operator = odl.ScalingOperator(odl.rn(3), 2.0)
    assert AdjointOperator(operator).adjoint is operator


# --- Functionals --- #

_SPACES = {
    'none': odl.rn(3),
    'array': odl.rn((2, 2), weighting=np.array([[1.0, 2.0], [3.0, 4.0]])),
    'half cells': odl.uniform_discr(0, 1, 4, nodes_on_bdry=True),
    'complex': odl.cn(3, weighting=0.25),
    'product': odl.ProductSpace(
        odl.cn(3, weighting=0.25), 2, weighting=[2.0, 3.0]
    ),
    'pytorch': odl.cn(3, impl='pytorch', weighting=0.25),
}
every_space = pytest.mark.parametrize(
    'space', _SPACES.values(), ids=_SPACES.keys()
)


def _scalar(space):
    return -2.0 if space.field == odl.RealNumbers() else 1 - 2j


def _part(space):
    return space[0] if isinstance(space, odl.ProductSpace) else space


def _point(space):
    return _scalar(space) * space.one()


_FUNCTIONALS = {
    'L2NormSquared': odl.functionals.L2NormSquared,
    'L2Norm': odl.functionals.L2Norm,
    'L1Norm': odl.functionals.L1Norm,
    'Huber': lambda X: odl.functionals.Huber(_part(X), 0.7),
    'Huber of fields': lambda X: odl.functionals.Huber(_part(X) ** 2, 0.7),
    'Huber, no smoothing': lambda X: odl.functionals.Huber(_part(X), 0.0),
    'GroupL1Norm': lambda X: odl.functionals.GroupL1Norm(_part(X) ** 2),
    'GroupL1Norm, 1': lambda X: odl.functionals.GroupL1Norm(_part(X) ** 2, 1),
    'PointwiseNorm': lambda X: odl.PointwiseNorm(_part(X) ** 3),
    'constant': lambda X: odl.functionals.ConstantFunctional(X, 3.0),
    'zero': odl.functionals.ZeroFunctional,
    'multiple': lambda X: 3.0 * odl.functionals.L2NormSquared(X),
    'of a multiple': lambda X: odl.functionals.L2NormSquared(X) * _scalar(X),
    'of a product': lambda X: odl.functionals.L2NormSquared(X) * _point(X),
    'sum': lambda X: (
        odl.functionals.L2Norm(X) + odl.functionals.L2NormSquared(X)
    ),
    'plus a number': lambda X: odl.functionals.L2NormSquared(X) + 2.0,
    'translated': lambda X: odl.functionals.L2Norm(X).translated(_point(X)),
    'product': lambda X: odl.functionals.FunctionalProduct(
        odl.functionals.L2Norm(X), odl.functionals.L2NormSquared(X)
    ),
    'separable': lambda X: odl.functionals.SeparableSum(
        odl.functionals.L2Norm(X), odl.functionals.L2NormSquared(X)
    ),
    'of an operator': lambda X: (
        odl.functionals.L2Norm(X) * odl.ScalingOperator(X, _scalar(X))
    ),
    'data term': lambda X: (
        0.5
        * odl.functionals.L2NormSquared(X).translated(_point(X))
        * odl.ScalingOperator(X, _scalar(X))
    ),
    'times an element': lambda X: _point(X) @ odl.functionals.L2NormSquared(X),
    'pointwise product': lambda X: OperatorPointwiseProduct(
        odl.IdentityOperator(X), odl.ScalingOperator(X, _scalar(X))
    ),
    'constant element': lambda X: odl.ConstantOperator(_point(X)),
}
every_functional = pytest.mark.parametrize('name', _FUNCTIONALS)


# ODL's norm casts its value to a real number
@pytest.mark.filterwarnings('ignore:Casting complex values to real')
@every_functional
@every_space
def test_values_of_functionals(name, space):
    """Each sample has the value that ODL gives it."""
    if (name == 'L1Norm' and space.field != odl.RealNumbers()) or (
        name in ('Huber', 'Huber of fields') and space is _SPACES['array']
    ):
        pytest.skip('ODL fails')
    layer = OperatorLayer(_FUNCTIONALS[name](space), 'complex')
    domain, range = layouts(layer.operator)
    x = batch(layer)
    y = layer(x)
    for sample, value in zip(x, y, strict=True):
        expected = range.tensor(layer.operator(domain.element(sample)))
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@every_layout
@every_functional
@every_space
def test_derivatives_of_functionals(name, space, layout):
    """First and second derivatives are right in both modes."""
    layer = OperatorLayer(_FUNCTIONALS[name](space), layout)
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(
        layer, x, fast_mode=True, check_fwd_over_rev=True, atol=1e-4
    )


@every_space
def test_gradient_of_the_norm_at_zero(space):
    """The gradient of the norm at zero is zero, as in ODL."""
    for functional in (odl.functionals.L2Norm, odl.functionals.L1Norm):
        layer = OperatorLayer(functional(space))
        x = 0 * batch(layer).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(x).sum(), x)
        assert torch.equal(gradient, torch.zeros_like(x))


def test_gradient_of_a_data_term():
    """The gradient is ``A^T W (A x - y)``, with the weights of the data."""
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    data = odl.rn(2, weighting=[1.0, 5.0])
    operator = odl.MatrixOperator(matrix, odl.rn(3, weighting=2.0), data)
    y = data.element([7.0, 8.0])
    layer = OperatorLayer(
        0.5 * odl.functionals.L2NormSquared(data).translated(y) * operator
    )
    x = batch(layer).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    matrix, y = torch.tensor(matrix), torch.tensor(y.data)
    residual = torch.tensor([1.0, 5.0]) * (x @ matrix.T - y)
    torch.testing.assert_close(gradient, residual @ matrix)
    hessian = torch.func.hessian(lambda x: layer(x[None, None]).sum())
    expected = matrix.T @ torch.diag(torch.tensor([1.0, 5.0]).double())
    torch.testing.assert_close(hessian(x[0, 0]), expected @ matrix)


def test_functional_has_no_adjoint():
    """A functional has no adjoint, even if ODL says that it is linear."""
    space = odl.rn(3)
    functional = odl.functionals.SeparableSum(
        odl.functionals.L2Norm(space), odl.functionals.L2Norm(space)
    )
    assert functional.is_linear
    with pytest.raises(TypeError, match='is not linear'):
        OperatorLayer(functional).adjoint  # noqa: B018
    with pytest.raises(TypeError, match='linear operator, got SeparableSum'):
        module.linear_maps(functional)


def test_affine_differences():
    """Differences with a constant padding are affine."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4))
    for kind in (odl.Gradient, odl.Laplacian):
        operator = kind(space, pad_mode='constant', pad_const=2.0)
        layer = OperatorLayer(operator)
        x = batch(layer).requires_grad_()
        for sample, result in zip(x, layer(x), strict=True):
            expected = as_tensor(operator(as_element(sample, space)))
            torch.testing.assert_close(result[None], expected)
        assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)


# --- Networks in operators --- #

_IMAGES = odl.uniform_discr([0, 0], [1, 1], (3, 4))


class Softplus(nn.Sequential):
    """Small smooth network from images to images, with dropout."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Softplus(),
            nn.Dropout(0.5),
            nn.Conv2d(2, 1, 1),
        )
        self.double().eval()


def network():
    """Return a new network as an operator."""
    return NetworkOperator(Softplus(), _IMAGES)


def _data_term(N):
    return odl.functionals.L2NormSquared(_IMAGES).translated(_IMAGES.one()) * N


_COMPOSED = {
    'alone': lambda N: N,
    'left': lambda N: N * odl.Laplacian(_IMAGES),
    'right': lambda N: odl.Gradient(_IMAGES) * N,
    'twice': lambda N: N * N,
    'sum': lambda N: N + odl.IdentityOperator(_IMAGES),
    'difference': lambda N: odl.IdentityOperator(_IMAGES) - N,
    'shift': lambda N: N - _IMAGES.one(),
    'multiple': lambda N: 2.0 * N * 3.0,
    'multiplied': lambda N: (_IMAGES.one() @ N) * (2 * _IMAGES.one()),
    'broadcast': lambda N: odl.BroadcastOperator(
        N, odl.IdentityOperator(_IMAGES)
    ),
    'reduction': lambda N: odl.ReductionOperator(
        odl.IdentityOperator(_IMAGES), N
    ),
    'diagonal': lambda N: odl.DiagonalOperator(N, N),
    'matrix': lambda N: odl.ProductSpaceOperator(
        [[N, N], [None, odl.IdentityOperator(_IMAGES)]]
    ),
    'empty row': lambda N: odl.ProductSpaceOperator(
        [[None], [N]], range=_IMAGES**2
    ),
    'product': lambda N: OperatorPointwiseProduct(N, N),
    'data term': _data_term,
    'separable': lambda N: odl.functionals.SeparableSum(
        _data_term(N), odl.functionals.L2Norm(_IMAGES)
    ),
}
every_composed = pytest.mark.parametrize('name', _COMPOSED)


@every_composed
def test_values_of_networks_in_operators(name):
    """Each sample is mapped to what the operator maps it to."""
    layer = OperatorLayer(_COMPOSED[name](network()))
    domain, range = layouts(layer.operator)
    x = batch(layer)
    for sample, result in zip(x, layer(x), strict=True):
        expected = range.tensor(layer.operator(domain.element(sample)))
        torch.testing.assert_close(result, expected)


@every_composed
def test_weights_get_their_gradients(name):
    """Gradients of the weights of a module agree with differences."""
    operator = network()
    layer = OperatorLayer(_COMPOSED[name](operator))
    names, weights = zip(*layer.named_parameters(), strict=True)
    assert set(map(id, weights)) == set(map(id, operator.module.parameters()))
    x = batch(layer)

    def call(*weights):
        return torch.func.functional_call(
            layer, dict(zip(names, weights, strict=True)), x
        )

    assert gradcheck(call, weights, fast_mode=True)


@every_composed
def test_derivatives_of_networks_in_operators(name):
    """Derivatives of any order pass through networks in operators."""
    layer = OperatorLayer(_COMPOSED[name](network()))
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(
        layer, x, check_fwd_over_rev=True, fast_mode=True, atol=1e-4
    )


@every_composed
def test_mode_reaches_the_module(name):
    """``train`` and ``eval`` reach the module in an operator."""
    operator = network()
    layer = OperatorLayer(_COMPOSED[name](operator))
    assert not operator.module.training
    layer.train()
    assert operator.module[2].training
    layer.eval()
    assert not operator.module[2].training


@every_composed
def test_copy_has_weights_of_its_own(name):
    """A deep copy computes the same, and is trained apart."""
    layer = OperatorLayer(_COMPOSED[name](network()))
    twin = copy.deepcopy(nn.Sequential(layer))[0]
    x = batch(layer)
    before = layer(x)
    torch.testing.assert_close(twin(x), before, rtol=0, atol=0)
    assert len(list(twin.parameters())) == len(list(layer.parameters()))
    with torch.no_grad():
        for weight in twin.parameters():
            weight += 1
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)
    assert not torch.allclose(twin(x), before)


@every_composed
def test_copy_keeps_the_modes(name):
    """A copy keeps the modes of the layer and of its modules."""
    operator = network()
    layer = OperatorLayer(_COMPOSED[name](operator))
    layer.train()
    operator.module[2].eval()
    twin = copy.deepcopy(layer)
    dropout = [m for m in twin.modules() if isinstance(m, nn.Dropout)]
    assert twin.training and not any(m.training for m in dropout)


@every_composed
def test_weights_can_be_saved(name):
    """Another layer with these weights computes the same."""
    layer, other = (OperatorLayer(_COMPOSED[name](network())) for _ in '12')
    other.load_state_dict(layer.state_dict())
    x = batch(layer)
    torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)


def test_complex_network():
    """The complex layout of a network has its channels in pairs."""
    space = odl.cn((3, 4), weighting=0.25)
    module = nn.Conv2d(2, 2, 3, padding=1).double()
    operator = NetworkOperator(module, space) * odl.ScalingOperator(space, 1j)
    layer = OperatorLayer(operator, 'complex')
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
    channels = torch.cat([-x.imag, x.real], 1)
    torch.testing.assert_close(
        torch.cat([layer(x).real, layer(x).imag], 1), module(channels)
    )


def test_network_with_the_wrong_result_is_refused():
    """The error names the expected and the given shape."""
    layer = OperatorLayer(NetworkOperator(nn.Flatten(), _IMAGES))
    with pytest.raises(ValueError, match=r'\(2, 1, 3, 4\) .*got \(2, 12\)'):
        layer(batch(layer))


# --- Precision --- #


def test_two_precisions():
    """Domain and range may have different precisions."""
    operator = odl.MatrixOperator(
        np.ones((2, 3)), odl.rn(3, dtype='float32'), odl.rn(2, weighting=3.0)
    )
    functional = odl.functionals.L2NormSquared(operator.range)
    for composed in (
        operator,
        2.0 * operator + operator,
        functional * operator,
    ):
        layer = OperatorLayer(composed)
        x = batch(layer).requires_grad_()
        y = layer(x)
        y.sum().backward()
        assert y.dtype == torch.float64
        assert x.dtype == x.grad.dtype == torch.float32


def test_autocast_lowers_no_precision():
    """Operators keep their precision under autocast."""
    matrix = torch.randn(20, 30).numpy()
    layer = OperatorLayer(odl.MatrixOperator(matrix))
    x = batch(layer).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        y = layer(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, layer(x))
    assert torch.equal(gradient, torch.autograd.grad(layer(x).sum(), x)[0])


def test_autocast_of_networks_around_a_layer():
    """Under autocast, a layer takes inputs in lower precision."""
    space = odl.uniform_discr([0, 0], [1, 1], (3, 4), dtype='float32')
    operator = NetworkOperator(nn.Conv2d(1, 1, 3, padding=1), space)
    layer = OperatorLayer(odl.Laplacian(space) * operator)
    module = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), layer)
    x = batch(layer)
    with torch.autocast('cpu', torch.bfloat16):
        assert module[0](x).dtype == torch.bfloat16
        y = module(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, module(x), rtol=0.1, atol=1.0)


@pytest.mark.parametrize('dtype', ['float32', 'complex64'])
def test_autocast_of_a_network(dtype):
    """The layer of a network returns the precision of its space."""
    space = odl.tensor_space((3, 4), dtype=dtype)
    channels = 1 if space.is_real else 2
    module = nn.Conv2d(channels, channels, 3, padding=1)
    layer = OperatorLayer(NetworkOperator(module, space), 'complex')
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(batch(layer)).dtype == getattr(torch, dtype)


def test_autocast_takes_no_other_precision():
    """Other precisions are refused under autocast, too."""
    layer = OperatorLayer(odl.IdentityOperator(odl.rn(3)))
    with torch.autocast('cpu', torch.bfloat16):
        with pytest.raises(TypeError, match='got torch.float32'):
            layer(batch(layer).float())


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_inference_before_training(device):
    """After use in inference mode, a layer can be trained."""
    space = odl.uniform_discr(0, 1, 4, nodes_on_bdry=True)
    with torch.inference_mode():
        layer = OperatorLayer(
            odl.functionals.L2NormSquared(space).translated(space.one())
            * odl.MultiplyOperator(space.one())
        ).to(device)
        layer(batch(layer).to(device))
    x = batch(layer).to(device).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.shape == x.shape


def test_constants_are_kept_for_each_device():
    """Constants are moved to each device once."""
    constant = Constant(torch.ones(3))
    x = torch.ones(3, device='meta')
    assert constant.like(x).device.type == 'meta'
    assert constant.like(x) is constant.like(x)
    assert constant.like(torch.ones(3)).device.type == 'cpu'
