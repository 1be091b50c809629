# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of the layers of linear operators, for all kinds of these."""

import functools

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.core.operator.operator import (
    OperatorRightScalarMult,
    OperatorRightVectorMult,
)
from scipy import sparse
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.actions import Rotation, Translation, group_actions
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import merge_complex, split_complex
from odl_equivariant.operators import (
    AdjointOperator,
    GroupAverage,
    OperatorLayer,
    filtered_backprojection,
)
from odl_equivariant.operators.batching.layout import Weights, layouts

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

# --- Spaces --- #


class World:
    """Array library and field of the spaces of an operator."""

    def __init__(self, backend, dtype, shape, weights):
        self.backend, self.dtype, self.shape = backend, dtype, shape
        self.weights, self.is_complex = weights, dtype.startswith('complex')

    def array(self, shape):
        """Return random numbers, real ones if the world is real."""
        rng = np.random.default_rng(3)
        numbers = rng.standard_normal(shape)
        if self.is_complex:
            numbers = numbers + 1j * rng.standard_normal(shape)
        array = numbers.astype(self.dtype)
        return array if self.backend == 'numpy' else torch.from_numpy(array)

    def element(self, space=None):
        """Return a random element of a space."""
        space = self.space() if space is None else space
        return space.element(self.array(space.shape))

    @property
    def scalar(self):
        """A number, complex if the world is complex."""
        return 2 - 3j if self.is_complex else -2.0

    def space(self, shape=None, factor=1.0):
        """Return a space; another factor gives it other weights."""
        shape = self.shape if shape is None else shape
        keywords = {'dtype': self.dtype, 'impl': self.backend}
        if self.weights == 'half cells':
            sides = [0.5 * factor * (n - 1) for n in shape]
            return odl.uniform_discr(
                [0] * len(shape), sides, shape, nodes_on_bdry=True, **keywords
            )
        weighting = None
        if self.weights == 'constant':
            weighting = 0.3 * factor
        if self.weights == 'array':
            weighting = factor * (1 + np.arange(np.prod(shape))).reshape(shape)
            weighting = weighting.astype('float32')
            if self.backend == 'pytorch':
                weighting = torch.from_numpy(weighting)
        return odl.tensor_space(shape, weighting=weighting, **keywords)

    def squares(self):
        """Return a space of images with square cells."""
        n = max(self.shape)
        nodes = self.weights == 'half cells'
        return odl.uniform_discr(
            [-0.3 * n] * 2,
            [0.3 * n] * 2,
            (n, n),
            dtype=self.dtype,
            impl=self.backend,
            nodes_on_bdry=nodes,
        )

    def product(self, n):
        """Return a product space with weights of its own, if any."""
        weights = None
        if self.weights != 'none':
            weights = [1.0 + 0.5 * i for i in range(n)]
        return odl.ProductSpace(self.space(), n, weighting=weights)


WORLDS = {
    'numpy real': ('numpy', 'float64', (4, 4), 'none'),
    'numpy single': ('numpy', 'float32', (3, 5), 'array'),
    'numpy complex': ('numpy', 'complex128', (4, 3), 'half cells'),
    'pytorch real': ('pytorch', 'float64', (5, 3), 'half cells'),
    'pytorch complex': ('pytorch', 'complex128', (2, 4), 'constant'),
}

# --- Operators --- #


def _matrix(w, axis=0, factor=1):
    shape = list(w.shape)
    shape[axis] = 2
    matrix = factor * w.array((2, w.shape[axis]))
    return odl.MatrixOperator(
        matrix, w.space(), w.space(shape, 1.5), axis=axis
    )


def _sparse(w):
    matrix = w.array((3, 4))
    matrix[0, 1:3] = 0
    if w.backend == 'numpy':
        matrix = sparse.coo_matrix(matrix)
    else:
        matrix = matrix.to_sparse()
    return odl.MatrixOperator(matrix, w.space((4,)), w.space((3,), 1.5))


def _diagonal(w, same):
    one = _matrix(w)
    two = one if same else _matrix(w, factor=2)
    return odl.DiagonalOperator(one, two)


def _projection(w, index):
    return odl.ComponentProjection(w.product(3), index)


def _nested(w):
    """Return an operator from a power space to a power of power spaces."""
    one = _projection(w, slice(0, 2))
    return odl.DiagonalOperator(one, one) * odl.BroadcastOperator(
        odl.IdentityOperator(w.product(3)),
        odl.ScalingOperator(w.product(3), w.scalar),
    )


def _ray_transform(w, impl='astra_matrix'):
    space = w.squares()
    return RayTransform(space, parallel_beam_geometry(space, 3, 5), impl=impl)


def _sampling(w, variant):
    points = [[0, 1, 1], [2, 0, 0]]
    return odl.SamplingOperator(w.squares(), points, variant)


def _vectors(w):
    """Return a space of vector fields with weights of one half."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (4, 4), dtype=w.dtype, impl=w.backend
    )
    return odl.ProductSpace(space, 2, weighting=[0.5, 0.5])


def _roto_translation(w):
    """Return a quarter turn of vector fields, then a shift by a cell."""
    turn = Rotation(_vectors(w), np.pi / 2, representation='standard')
    return Translation(_vectors(w), [0.5, 1.0]) @ turn


def _group_average(w):
    space = _vectors(w)[0]
    slope = odl.PartialDerivative(space, 0, pad_mode='symmetric')
    return GroupAverage(slope, group_actions(space, 'D4'), n_samples=3)


class Unknown(odl.Operator):
    """Operator of an unregistered type between spaces of other weights."""

    def __init__(self, domain, range, factor):
        super().__init__(domain, range, linear=True)
        self.factor = factor

    def _call(self, x):
        return self.range.element(self.factor * x.data)

    @property
    def adjoint(self):
        one, other = self.range.one(), self.domain.one()
        ratio = complex(one.inner(one) / other.inner(other)).real
        factor = ratio * self.factor.conjugate()
        return Unknown(self.range, self.domain, factor)


OPERATORS = {
    'Matrix': _matrix,
    'Matrix, axis -1': lambda w: _matrix(w, -1),
    'Matrix, sparse': _sparse,
    'Scaling': lambda w: odl.ScalingOperator(w.space(), w.scalar),
    'Identity': lambda w: odl.IdentityOperator(w.product(2)),
    'Zero': lambda w: odl.ZeroOperator(w.product(2), w.squares()),
    'Constant': lambda w: odl.ConstantOperator(w.space().zero()),
    'element': lambda w: odl.MultiplyOperator(w.element()),
    'element of a product': lambda w: odl.MultiplyOperator(
        w.product(2).element([w.element(), 2 * w.element()])
    ),
    'number': lambda w: odl.MultiplyOperator(w.scalar, w.space()),
    'to complex': lambda w: odl.MultiplyOperator(
        (2 - 3j) * w.space().complex_space.one(),
        domain=w.space().real_space,
        range=w.space().complex_space,
    ),
    'line': lambda w: odl.MultiplyOperator(w.element(), w.space().field),
    'InnerProduct': lambda w: odl.InnerProductOperator(w.element()),
    'dyad': lambda w: w.element() @ odl.InnerProductOperator(w.element()),
    'composition': lambda w: _matrix(w) * odl.MultiplyOperator(w.element()),
    'sum': lambda w: _matrix(w) + w.scalar * _matrix(w),
    'left scalar': lambda w: w.scalar * _matrix(w),
    'right scalar': lambda w: OperatorRightScalarMult(_matrix(w), w.scalar),
    'left vector': lambda w: w.element(_matrix(w).range) @ _matrix(w),
    'right vector': lambda w: OperatorRightVectorMult(_matrix(w), w.element()),
    'Broadcast': lambda w: odl.BroadcastOperator(_matrix(w), -1 * _matrix(w)),
    'Reduction': lambda w: odl.ReductionOperator(_matrix(w), -2 * _matrix(w)),
    'Diagonal': lambda w: _diagonal(w, False),
    'Diagonal of one': lambda w: _diagonal(w, True),
    'ProductSpaceOperator': lambda w: odl.ProductSpaceOperator(
        [[_matrix(w), None], [2 * _matrix(w), _matrix(w)]]
    ),
    'projection, int': lambda w: _projection(w, -1),
    'projection, slice': lambda w: _projection(w, slice(1, None)),
    'projection, list': lambda w: _projection(w, [2, 0]),
    'projection, twice': lambda w: _projection(w, [1, 1]),
    'embedding, int': lambda w: _projection(w, 1).adjoint,
    'embedding, list': lambda w: _projection(w, [2, 0]).adjoint,
    'nested': _nested,
    'RealPart': lambda w: odl.RealPart(w.space()),
    'ImagPart': lambda w: odl.ImagPart(w.space()),
    'ComplexEmbedding': lambda w: odl.ComplexEmbedding(w.space(), 2 - 1j),
    'PartialDerivative': lambda w: odl.PartialDerivative(w.squares(), 1),
    'Gradient': lambda w: odl.Gradient(w.squares(), pad_mode='symmetric'),
    'Gradient, central': lambda w: odl.Gradient(w.squares(), None, 'central'),
    'Divergence': lambda w: odl.Divergence(
        range=w.squares(), method='backward', pad_mode='periodic'
    ),
    'Laplacian': lambda w: odl.Laplacian(w.squares(), pad_mode='order0'),
    'Sampling': lambda w: _sampling(w, 'point_eval'),
    'Sampling, integrals': lambda w: _sampling(w, 'integrate'),
    'Sampling, adjoint': lambda w: _sampling(w, 'point_eval').adjoint,
    'Flattening': lambda w: odl.FlatteningOperator(w.space()),
    'RayTransform': _ray_transform,
    'RayBackProjection': lambda w: _ray_transform(w).adjoint,
    'FBP': lambda w: filtered_backprojection(_ray_transform(w)),
    'rotation': lambda w: Rotation(_vectors(w), np.pi / 2),
    'roto-translation': _roto_translation,
    'GroupAverage': _group_average,
    'Adjoint': lambda w: AdjointOperator(_matrix(w)),
    'unknown': lambda w: Unknown(w.space(), w.space(factor=1.5), w.scalar),
}

# what ODL cannot do: flatten torch tensors, and insert or choose complex ones
CASES = [
    (name, world)
    for name in OPERATORS
    for world in WORLDS
    if not (name == 'Flattening' and 'pytorch' in world)
    and not (name == 'Sampling, adjoint' and 'complex' in world)
]
every_case = pytest.mark.parametrize(
    'name, world', CASES, ids=[', '.join(case) for case in CASES]
)
double_cases = pytest.mark.parametrize(
    'name, world', [case for case in CASES if case[1] != 'numpy single']
)


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
    """Compute with one thread, as others would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def make(name, world, layout=None):
    """Return the layer of an operator of this name."""
    if layout is None:
        layout = 'complex' if world == 'pytorch complex' else 'channels'
    return OperatorLayer(OPERATORS[name](World(*WORLDS[world])), layout)


def batch(layer, *leading):
    """Return a random batch of what a layer takes."""
    return torch.randn(*leading, *layer._shape, dtype=layer._dtype)


def close(ours, theirs):
    """Assert that two tensors are equal to rounding."""
    tol = 1e-5 if ours.dtype in (torch.float32, torch.complex64) else 1e-12
    tol *= 1 + float(theirs.detach().abs().sum())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tol)


# --- Values --- #


@every_case
def test_batch_equals_loop(name, world):
    """A batch is mapped as the operator maps its samples."""
    layer = make(name, world, 'complex')
    domain, range = layouts(layer.operator)
    x = batch(layer, 3)
    y = layer(x)
    assert y.dtype == range.dtype
    for sample, result in zip(x, y, strict=True):
        close(result, range.tensor(layer.operator(domain.element(sample))))


@pytest.mark.parametrize(
    'name, world', [case for case in CASES if 'complex' in case[1]]
)
def test_channels_are_real_and_imaginary_parts(name, world):
    """Both layouts give the same numbers."""
    layer = make(name, world, 'channels')
    domain, range = layouts(layer.operator)
    x = batch(layer, 2)
    y = merge_complex(x) if domain.is_complex else x
    y = make(name, world, 'complex')(y)
    close(layer(x), split_complex(y) if range.is_complex else y)


@every_case
def test_any_leading_axes(name, world):
    """Further leading axes are axes of a larger batch."""
    layer = make(name, world)
    x = batch(layer, 3, 2)
    y = layer(x)
    close(y.flatten(0, 1), layer(x.flatten(0, 1)))
    assert layer(x[:0]).shape == (0, 2, *y.shape[2:])


@every_case
def test_linearity(name, world):
    """A layer is linear over the real numbers."""
    layer = make(name, world)
    x, h = batch(layer, 2), batch(layer, 2)
    close(layer(x - 3 * h), layer(x) - 3 * layer(h))


@every_case
def test_memory_is_new(name, world):
    """The batch is unchanged, and the result has its own memory."""
    layer = make(name, world)
    x = batch(layer, 2)
    before = x.clone()
    y = layer(x)
    expected = y.clone()
    y.fill_(7)
    assert torch.equal(x, before)
    x.fill_(7)
    assert torch.equal(layer(before), expected)


@every_case
def test_any_strides(name, world):
    """Strides and offsets of the batch do not change the result."""
    layer = make(name, world)
    x = batch(layer, 1)
    expected = layer(x.expand(2, *x.shape[1:]).contiguous())
    close(layer(x.expand(2, *x.shape[1:])), expected)
    close(layer(x.mT.contiguous().mT), expected[:1])
    if x.is_complex():
        close(layer(x.conj().resolve_conj().conj()), expected[:1])


# --- Adjoints --- #


@every_case
def test_adjoint(name, world):
    """``<A x, y> = <x, A* y>`` in the weighted inner products."""
    layer = make(name, world)
    operator = layer.adjoint.operator
    if isinstance(layer.operator, AdjointOperator):
        operator = layer.operator
    tol = 1e-5 if world == 'numpy single' else 1e-12
    assert adjoint_error(operator, n_samples=1) < tol


@every_case
def test_adjoint_layer(name, world):
    """The adjoint layer is ``w_X^-1 A^T w_Y``, and its own adjoint ``A``."""
    layer = make(name, world, 'complex')
    w_domain, w_range = map(Weights, layouts(layer.operator))
    x = batch(layer, 2).requires_grad_()
    y = layer(x)
    adjoint = layer.adjoint
    (transposed,) = torch.autograd.grad(y, x, w_range.times(y))
    close(adjoint(y), w_domain.divide(transposed))
    close(adjoint.adjoint(x), y)


# --- Derivatives --- #


@double_cases
def test_first_derivatives(name, world):
    """Reverse and forward mode agree with finite differences."""
    layer = make(name, world)
    x = batch(layer, 2).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)


@double_cases
def test_second_derivatives(name, world):
    """Second derivatives agree with finite differences in both modes."""
    layer = make(name, world)

    def quartic(x):
        return layer(x * x).square()

    x = batch(layer, 1).requires_grad_()
    assert gradgradcheck(
        quartic, x, check_fwd_over_rev=True, fast_mode=True, atol=1e-4
    )


@every_case
def test_function_transforms(name, world):
    """`torch.func` gives products with the Jacobian and its transpose."""
    layer = make(name, world)
    x, h = batch(layer, 2), batch(layer, 2)
    close(torch.func.jvp(layer, (x,), (h,))[1], layer(h))
    y, pull = torch.func.vjp(layer, x)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(layer(x), x, y)
    close(pull(y)[0], expected)
    close(torch.vmap(layer, 1, 1)(x[:, None])[:, 0], y)
    close(torch.vmap(pull, 1, 1)(y[:, None])[0][:, 0], expected)


@every_case
def test_nested_transforms(name, world):
    """A quadratic functional has the Hessian ``A^T A``, sample by sample."""
    layer = make(name, world, 'channels')

    def fit(sample):
        return 0.5 * layer(sample[None]).square().sum()

    x, h = batch(layer, 2), batch(layer, 2)
    y, pull = torch.func.vjp(layer, x)
    gradient = torch.func.vmap(torch.func.grad(fit))
    close(gradient(x), pull(y)[0])
    close(torch.func.jvp(gradient, (x,), (h,))[1], pull(layer(h))[0])


# --- Devices --- #


@pytest.mark.cuda
@every_case
def test_device(name, world):
    """On a GPU, values and gradients are the same."""
    layer = make(name, world)
    moved = OperatorLayer(layer.operator, layer.layout).to('cuda')
    x = batch(layer, 2).requires_grad_()
    y = layer(x)
    twin = x.detach().to('cuda').requires_grad_()
    result = moved(twin)
    assert result.device.type == 'cuda'
    close(result.cpu(), y)
    y.abs().square().sum().backward()
    result.abs().square().sum().backward()
    close(twin.grad.cpu(), x.grad)
    close(moved.adjoint(result).cpu(), layer.adjoint(y))
