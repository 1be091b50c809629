# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of ODL operators as torch modules."""

import copy

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.util.testutils import simple_fixture
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators import NetworkOperator, OperatorLayer
from odl_equivariant.operators.ray.astra_matrix import AstraMatrixImpl

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['float32', 'float64'])


class Matrix(odl.Operator):
    """Real-linear operator given by its matrix on the tensors.

    The adjoint is the right one for all weights, unlike ODL's own for
    matrices.
    """

    def __init__(self, matrix, domain, range):
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x):
        y = self.matrix @ as_tensor(x).flatten()
        shape = (1, n_channels(self.range), *grid_shape(self.range))
        return as_element(y.reshape(shape), self.range)

    @property
    def adjoint(self):
        w_domain, w_range = map(_flat_weights, (self.domain, self.range))
        matrix = self.matrix.T * w_range.to(self.matrix)
        matrix = matrix / w_domain.to(self.matrix)[:, None]
        return Matrix(matrix, self.range, self.domain)


def _flat_weights(space):
    shape = (n_channels(space), *grid_shape(space))
    return inner_product_weights(space).expand(shape).flatten()


def random_matrix(domain, range):
    """Return a random operator between two spaces."""
    size = [
        n_channels(space) * int(np.prod(grid_shape(space)))
        for space in (range, domain)
    ]
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(size, generator=generator, dtype=torch.float64)
    return Matrix(matrix.to(tensor_dtype(domain)), domain, range)


def image_space(dtype, backend, size=4, weighting=None):
    """Return a space of images with square cells of area 0.36."""
    side = 0.3 * size
    keywords = {} if weighting is None else {'weighting': weighting}
    return odl.uniform_discr(
        [-side, -side],
        [side, side],
        (size, size),
        dtype=dtype,
        impl=backend,
        **keywords,
    )


def ray_transform(dtype, backend, impl='astra_matrix', size=4):
    """Return a small ray transform."""
    space = image_space(dtype, backend, size)
    geometry = parallel_beam_geometry(space, 3, 5)
    return RayTransform(space, geometry, impl=impl)


def _matrix_operator(dtype, backend):
    matrix = np.arange(1.0, 7.0).reshape(2, 3).astype(dtype)
    if backend == 'pytorch':
        matrix = torch.from_numpy(matrix)
    return odl.MatrixOperator(matrix)


def _array_weights(dtype, backend):
    weights = np.arange(1.0, 7.0)
    if backend == 'pytorch':
        weights = torch.from_numpy(weights)
    return random_matrix(
        odl.rn(6, dtype=dtype, impl=backend, weighting=weights),
        odl.rn(6, dtype=dtype, impl=backend, weighting=1 / weights),
    )


def _product(dtype, backend):
    domain = odl.rn((2, 2), dtype=dtype, impl=backend, weighting=0.25)
    return random_matrix(
        odl.ProductSpace(domain, 2, weighting=[2.0, 3.0]),
        odl.ProductSpace(domain, 3, weighting=[5.0, 7.0, 11.0]),
    )


def _complex_matrix(dtype, backend):
    dtype = {'float32': 'complex64', 'float64': 'complex128'}[dtype]
    return random_matrix(
        odl.cn(3, dtype=dtype, impl=backend, weighting=0.25),
        odl.cn(2, dtype=dtype, impl=backend, weighting=3.0),
    )


def _complex_ray_transform(dtype, backend):
    dtype = {'float32': 'complex64', 'float64': 'complex128'}[dtype]
    return ray_transform(dtype, backend)


def _multiplication(dtype, backend):
    dtype = {'float32': 'complex64', 'float64': 'complex128'}[dtype]
    space = image_space(dtype, backend, 2)
    return odl.MultiplyOperator(space.element(np.full((2, 2), 2 - 3j, dtype)))


_OPERATORS = {
    'MatrixOperator': _matrix_operator,
    'Gradient': lambda *args: odl.Gradient(image_space(*args)),
    'MultiplyOperator, complex': _multiplication,
    'RayTransform': ray_transform,
    'RayTransform, complex': _complex_ray_transform,
    'RayBackProjection': lambda *args: ray_transform(*args).adjoint,
    'array weights': _array_weights,
    'product weights': _product,
    'complex': _complex_matrix,
}
kind = simple_fixture('kind', list(_OPERATORS))


# Gradients on pytorch spaces take ODL a tenth of a second each.
every_kind = pytest.mark.parametrize(
    'kind, backend',
    [(kind, 'numpy') for kind in _OPERATORS]
    + [
        (kind, 'pytorch')
        for kind in ('RayTransform', 'product weights', 'complex')
    ],
)


def batch(space, n_samples=3, **kwargs):
    """Return a random batch of elements of a space as a tensor."""
    shape = (n_samples, n_channels(space), *grid_shape(space))
    return torch.randn(shape, dtype=tensor_dtype(space), **kwargs)


def close(ours, theirs):
    """Assert that two tensors are equal to rounding."""
    tol = 1e-5 if ours.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(ours, theirs, rtol=tol, atol=tol)


# --- Evaluation --- #


def test_layer_equals_its_operator(kind, backend):
    """A batch is mapped as the operator maps its samples."""
    operator = _OPERATORS[kind]('float32', backend)
    x = batch(operator.domain)
    y = OperatorLayer(operator)(x)
    assert y.dtype == x.dtype
    for sample, result in zip(x, y, strict=True):
        close(
            result[None],
            as_tensor(operator(as_element(sample, operator.domain))),
        )


def test_empty_batch_has_an_empty_result(kind):
    """An empty batch has a result of the right shape."""
    operator = _OPERATORS[kind]('float32', 'numpy')
    result = OperatorLayer(operator)(batch(operator.domain, 0))
    assert result.shape == batch(operator.range, 0).shape


@pytest.mark.parametrize('kind', ['RayTransform', 'MultiplyOperator, complex'])
def test_any_strides_are_accepted(kind, backend):
    """Batches in another memory layout have the same result."""
    operator = _OPERATORS[kind]('float32', backend)
    layer = OperatorLayer(operator)
    x = batch(operator.domain)
    expected = layer(x)
    for other in (
        x.to(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
        x.flip(0).flip(0),
    ):
        close(layer(other), expected)


def test_ray_transform_is_applied_to_the_batch_at_once(backend, monkeypatch):
    """The layer of a matrix maps a batch without ODL's elements."""
    operator = ray_transform('float32', backend)
    for name in ('call_forward', 'call_backward'):
        monkeypatch.setattr(AstraMatrixImpl, name, None)
    layer = OperatorLayer(operator)
    x = batch(operator.domain, requires_grad=True)
    layer.adjoint(layer(x)).sum().backward()
    assert x.grad.shape == x.shape


class InPlace(odl.Operator):
    """Operator that overwrites its argument and returns it."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        x *= 2
        return x

    @property
    def adjoint(self):
        return self


def test_batch_is_not_written_to(backend):
    """An operator that overwrites its argument leaves the batch as it is."""
    space = image_space('float32', backend)
    layer = OperatorLayer(InPlace(space))
    x = batch(space)
    before = x.clone()
    y = layer(x)
    close(y, 2 * before)
    close(x, before)


def test_result_shares_nothing_with_the_batch(backend):
    """Writing to the result of the identity leaves the batch as it is."""
    space = image_space('float32', backend)
    x = batch(space)
    before = x.clone()
    OperatorLayer(odl.IdentityOperator(space))(x).zero_()
    close(x, before)


# --- Derivatives --- #


@every_kind
def test_first_derivatives(kind, backend):
    """Reverse and forward mode agree with finite differences."""
    operator = _OPERATORS[kind]('float64', backend)
    x = batch(operator.domain, 2, requires_grad=True)
    assert gradcheck(
        OperatorLayer(operator),
        x,
        check_forward_ad=True,
        fast_mode=True,
    )


@every_kind
def test_second_derivatives(kind, backend):
    """Second derivatives agree with finite differences."""
    layer = OperatorLayer(_OPERATORS[kind]('float64', backend))
    x = batch(layer.operator.domain, 1, requires_grad=True)
    assert gradgradcheck(
        lambda x: layer(x.sin()).square(),
        x,
        check_fwd_over_rev=True,
        fast_mode=True,
    )


@pytest.mark.parametrize(
    'kind', ['product weights', 'complex', 'RayTransform']
)
def test_function_transforms(kind, backend):
    """``torch.func`` finds the same matrix by columns and by rows."""
    layer = OperatorLayer(_OPERATORS[kind]('float64', backend))
    x = batch(layer.operator.domain, 1)
    basis = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    columns = torch.cat([layer(direction) for direction in basis])
    columns = columns.flatten(1).T
    rows = torch.func.jacrev(layer)(x).reshape(columns.shape)
    close(rows, columns)
    close(torch.func.jacfwd(layer)(x).reshape(columns.shape), columns)
    value, tangent = torch.func.jvp(layer, (x,), (basis[0],))
    close(value, layer(x))
    close(tangent.flatten(), columns[:, 0])
    x = batch(layer.operator.domain, 2)
    close(torch.vmap(layer, in_dims=1)(x[None]), layer(x)[:, None])


def test_gradients_reach_the_weights_around_a_layer():
    """A layer between two modules passes on the gradients of both."""
    operator = ray_transform('float32', 'numpy')
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1), OperatorLayer(operator), nn.Conv2d(1, 1, 1)
    )
    network(batch(operator.domain)).square().sum().backward()
    assert all(weight.grad.norm() > 0 for weight in network.parameters())
    assert len(list(network[1].parameters())) == 0


# --- Adjoint --- #


@every_kind
def test_adjoint_is_that_of_the_weighted_inner_products(kind, dtype, backend):
    """``<A x, y> = <x, A* y>`` with the weights of the spaces."""
    operator = _OPERATORS[kind](dtype, backend)
    layer = OperatorLayer(operator)
    x, y = batch(operator.domain), batch(operator.range)
    left = (inner_product_weights(operator.range) * layer(x) * y).sum()
    right = (
        inner_product_weights(operator.domain) * x * layer.adjoint(y)
    ).sum()
    tol = 1e-5 if dtype == 'float32' else 1e-12
    scale = float(
        layer(x).norm()
        * y.norm()
        * inner_product_weights(operator.range).max()
    )
    assert float(abs(left - right)) <= tol * scale


@every_kind
def test_adjoint_is_the_operators(kind, backend):
    """The adjoint layer has the values of the operator's adjoint."""
    operator = _OPERATORS[kind]('float64', backend)
    adjoint = OperatorLayer(operator).adjoint
    y = batch(operator.range, 1)
    close(
        adjoint(y), as_tensor(operator.adjoint(as_element(y, operator.range)))
    )


def test_adjoint_of_the_adjoint_is_the_layer(kind):
    """Taking the adjoint twice leads back."""
    layer = OperatorLayer(_OPERATORS[kind]('float64', 'numpy'))
    x = batch(layer.operator.domain)
    close(layer.adjoint.adjoint(x), layer(x))


def test_layer_of_another_back_end_has_the_right_gradient():
    """The gradient is right for a ray transform of ODL."""
    operator = ray_transform('float32', 'numpy', impl='astra_cpu', size=6)
    layer = OperatorLayer(operator)
    x = batch(operator.domain, requires_grad=True)
    y = batch(operator.range)
    (gradient,) = torch.autograd.grad(layer(x), x, y)
    close((gradient * x).sum(), (layer(x) * y).sum())


@every_kind
def test_layer_goes_back_to_an_operator(kind, backend):
    """The derivative of a layer, as an operator, has the adjoint ``A*``."""
    operator = _OPERATORS[kind]('float64', backend)
    layer = OperatorLayer(operator)
    network = NetworkOperator(layer, operator.domain, operator.range)
    derivative = network.derivative(operator.domain.zero())
    assert adjoint_error(derivative, n_samples=1, real_linear=True) < 1e-12
    y = as_element(batch(operator.range, 1), operator.range)
    close(as_tensor(derivative.adjoint(y)), as_tensor(operator.adjoint(y)))


# --- Modules --- #


@every_kind
def test_layer_can_be_copied(kind, backend):
    """A deep copy is a layer of the same operator, in the same mode."""
    layer = OperatorLayer(_OPERATORS[kind]('float32', backend)).eval()
    twin = copy.deepcopy(nn.Sequential(layer))[0]
    assert twin is not layer and twin.operator is layer.operator
    assert not twin.training
    x = batch(layer.operator.domain)
    close(twin(x), layer(x))


def test_layer_has_no_state():
    """The operator is not part of the saved weights."""
    layer = OperatorLayer(ray_transform('float32', 'numpy'))
    assert layer.state_dict() == {}


# --- Bad input --- #


@pytest.mark.parametrize('given', [nn.Identity(), np.eye(3), abs])
def test_what_is_no_operator_is_refused(given):
    """The error names the type."""
    name = type(given).__name__
    with pytest.raises(TypeError, match=f'`odl.Operator`, got {name}'):
        OperatorLayer(given)


def test_adjoint_of_an_operator_that_is_not_linear_is_refused():
    """The error names the operator."""
    layer = OperatorLayer(odl.PowerOperator(odl.rn(3), 2))
    with pytest.raises(TypeError, match='PowerOperator.* is not linear'):
        layer.adjoint  # noqa: B018


def test_functional_gives_numbers():
    """The value for each sample is a tensor of shape (N, 1)."""
    functional = odl.InnerProductOperator(odl.rn(3).one())
    x = batch(functional.domain, 2)
    torch.testing.assert_close(OperatorLayer(functional)(x), x.sum(-1))


def test_operator_that_is_not_linear_has_a_first_derivative():
    """Gradients are right, also on weighted spaces."""
    space = odl.rn(3, weighting=0.25)
    layer = OperatorLayer(odl.PowerOperator(space, 3))
    x = batch(space, 2).requires_grad_()
    assert gradcheck(layer, (x,))
    (gradient,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, 3 * x**2)
    with pytest.raises(NotImplementedError, match='first order only'):
        gradient.sum().backward()


def test_operator_without_derivative_loses_no_gradient():
    """Without a derivative, asking for a gradient is an error."""

    class Square(odl.Operator):
        def _call(self, x):
            return x * x

    layer = OperatorLayer(Square(odl.rn(3), odl.rn(3)))
    x = batch(odl.rn(3), 2)
    torch.testing.assert_close(layer(x), x**2)
    with pytest.raises(NotImplementedError, match='`Square` has no derivati'):
        layer(x.requires_grad_())


class WithoutAdjoint(InPlace):
    adjoint = odl.Operator.adjoint


def test_operator_without_adjoint_is_refused():
    """A linear operator without an adjoint is refused."""
    with pytest.raises(NotImplementedError, match='adjoint'):
        OperatorLayer(WithoutAdjoint(odl.rn(3)))


def test_space_without_inner_product_is_refused():
    """There is no transpose without an inner product."""
    with pytest.raises(NotImplementedError, match='exponent 2'):
        OperatorLayer(InPlace(odl.rn(3, exponent=1.0)))


@pytest.mark.parametrize(
    'shape', [(), (4,), (4, 4), (1, 4, 4), (2, 2, 4, 4), (2, 1, 4, 5)]
)
def test_batch_of_another_shape_is_refused(backend, shape):
    """The error names the expected shape, the space and the given shape."""
    layer = OperatorLayer(ray_transform('float32', backend))
    with pytest.raises(ValueError) as error:
        layer(torch.zeros(shape))
    for text in ('(N, 1, 4, 4)', 'uniform_discr', f'got {shape}'):
        assert text in str(error.value)


@pytest.mark.parametrize('given', [torch.float64, torch.bfloat16])
def test_batch_of_another_dtype_is_refused(backend, given):
    """The error names the expected and the given dtype."""
    layer = OperatorLayer(ray_transform('float32', backend))
    with pytest.raises(TypeError, match=f'(?s)torch.float32 .*got {given}'):
        layer(torch.zeros(2, 1, 4, 4, dtype=given))


def test_batch_that_is_no_tensor_is_refused():
    """The error names the type."""
    layer = OperatorLayer(ray_transform('float32', 'numpy'))
    with pytest.raises(TypeError, match='`torch.Tensor`, got ndarray'):
        layer(np.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize('given', [None, 'real', 'Channels'])
def test_unknown_layout_is_refused(given):
    """The error names the layouts that there are."""
    error = TypeError if given is None else ValueError
    with pytest.raises(error, match="'channels', 'complex'.*got"):
        OperatorLayer(odl.IdentityOperator(odl.rn(3)), given)


@pytest.mark.parametrize(
    'layout, dtype, given',
    [
        ('channels', 'float64', torch.complex128),
        ('complex', 'float64', torch.complex128),
        ('channels', 'complex128', torch.complex128),
        ('complex', 'complex128', torch.float64),
        ('complex', 'complex128', torch.complex64),
        ('channels', 'float64', torch.int64),
    ],
)
def test_batch_of_another_kind_is_refused(layout, dtype, given):
    """Real batches of a complex layer, and the reverse, are refused."""
    space = odl.tensor_space(3, dtype=dtype)
    layer = OperatorLayer(odl.IdentityOperator(space), layout)
    with pytest.raises(TypeError, match=f'(?s)layout {layout!r}, got {given}'):
        layer(torch.zeros(2, *layer._shape, dtype=given))


def test_batch_on_another_device_is_refused():
    """The error names both devices, and what to do."""
    layer = OperatorLayer(odl.IdentityOperator(odl.rn(3))).to('meta')
    with pytest.raises(ValueError, match='on cpu, the layer on meta.*`.to'):
        layer(torch.zeros(2, 1, 3).double())
    layer = OperatorLayer(odl.IdentityOperator(odl.rn(3)))
    with pytest.raises(ValueError, match='on meta, the layer on cpu'):
        layer(torch.zeros(2, 1, 3, device='meta').double())


def test_adjoint_is_where_the_layer_is():
    """The adjoint layer is on the device of the layer."""
    layer = OperatorLayer(odl.MatrixOperator(np.ones((2, 3)))).to('meta')
    x = torch.zeros(2, 1, 3, device='meta').double()
    assert layer.adjoint(layer(x)).shape == x.shape


@pytest.mark.parametrize(
    'space',
    [
        odl.ProductSpace(odl.rn(3), odl.rn(4)),
        odl.ProductSpace(odl.rn(3), odl.rn(3) ** 2, odl.rn(4)),
    ],
    ids=['flat', 'nested'],
)
def test_parts_on_different_grids_are_refused(space):
    """There is no tensor for them; the error names the grids."""
    with pytest.raises(ValueError, match=r'same shape, got .*\(3,\).*\(4,\)'):
        OperatorLayer(odl.IdentityOperator(space))


def test_parts_of_different_precision_are_refused():
    """There is no tensor for them; the error names the precisions."""
    space = odl.ProductSpace(odl.rn(3), odl.rn(3, dtype='float32'))
    with pytest.raises(ValueError, match='same precision.*float32.*float64'):
        OperatorLayer(odl.IdentityOperator(space))


def test_space_of_integers_is_refused():
    """The error lists what can be laid out."""
    space = odl.tensor_space(3, dtype='int32')
    with pytest.raises(TypeError, match="float32.*got 'int32'"):
        OperatorLayer(odl.IdentityOperator(space))


def test_layer_says_what_it_is():
    """The text names the operator and the layout."""
    layer = OperatorLayer(odl.IdentityOperator(odl.cn(3)), 'complex')
    assert "IdentityOperator, layout='complex'" in repr(nn.Sequential(layer))
