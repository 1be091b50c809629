# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of operators that are applied to one sample after the other."""

import warnings

import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from torch import nn
from torch.autograd import gradcheck

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.operators import OperatorLayer, PerformanceWarning
from odl_equivariant.operators.batching import loop

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)


class Double(odl.Operator):
    """Operator with only the methods that ODL asks for."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        return 2 * x

    @property
    def adjoint(self):
        return self


def ray_transform(backend='numpy', size=6, nodes_on_bdry=False):
    """Return ODL's own ray transform, in single precision."""
    space = odl.uniform_discr(
        [-1, -1],
        [1, 1],
        (size, size),
        dtype='float32',
        impl=backend,
        nodes_on_bdry=nodes_on_bdry,
    )
    geometry = parallel_beam_geometry(space, 4, 9)
    return RayTransform(space, geometry, impl='astra_cpu')


def batch(layer, n=2):
    """Return a random batch of what a layer takes."""
    return torch.randn(n, *layer._shape, dtype=layer._dtype)


# --- Warning --- #


@pytest.fixture
def nothing_said(monkeypatch):
    """Forget all warnings that were given."""
    monkeypatch.setattr(loop, '_SAID', set())


def test_loop_is_said(nothing_said):
    """The warning names the operator and says what to do."""
    layer = OperatorLayer(Double(odl.rn(3)))
    with pytest.warns(
        PerformanceWarning, match='`Double` is applied to .*register_batched'
    ):
        layer(batch(layer))


def test_loop_is_said_once(nothing_said):
    """Further batches and operators of the type give no warning."""
    layer = OperatorLayer(Double(odl.rn(3)))
    with pytest.warns(PerformanceWarning):
        layer(batch(layer))
    with warnings.catch_warnings(action='error'):
        layer(batch(layer))
        layer.adjoint(batch(layer))
        other = OperatorLayer(Double(odl.rn(4)))
        other(batch(other))


@pytest.mark.parametrize('n', [0, 1])
def test_one_sample_is_no_loop(nothing_said, n):
    """A batch of one sample gives no warning."""
    layer = OperatorLayer(Double(odl.rn(3)))
    with warnings.catch_warnings(action='error'):
        assert len(layer(batch(layer, n))) == n


def test_no_loop_for_what_is_registered(nothing_said):
    """Compositions of registered operators give no warning."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 5))
    layer = OperatorLayer(
        odl.functionals.L1Norm(space**2)
        * odl.Gradient(space)
        * odl.MultiplyOperator(space.one())
    )
    with warnings.catch_warnings(action='error'):
        x = batch(layer).requires_grad_()
        layer(x).sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize('name', ['RayTransform', 'RayBackProjection'])
def test_ray_transforms_get_advice(nothing_said, name):
    """The warning names the back-end that takes a batch."""
    layer = OperatorLayer(ray_transform())
    layer = layer if name == 'RayTransform' else layer.adjoint
    with pytest.warns(PerformanceWarning, match="impl='astra_matrix'"):
        layer(batch(layer))


def test_derivatives_of_a_loop_are_said(nothing_said):
    """Gradients that need a loop give the warning, too."""
    layer = OperatorLayer(odl.PowerOperator(odl.rn(3), 3))
    x = batch(layer).requires_grad_()
    with pytest.warns(PerformanceWarning, match='`PowerOperator`'):
        layer(x).sum().backward()


def gradient_of(layer, x):
    """Return a gradient, so that the backward pass may warn."""
    loop._SAID.add('Double')
    y = layer(x.requires_grad_())
    loop._SAID.clear()
    return torch.autograd.grad(y.sum(), x)


@pytest.mark.parametrize(
    'use',
    [
        lambda layer, x: layer(x),
        lambda layer, x: nn.Sequential(nn.Sequential(layer))(x),
        gradient_of,
        lambda layer, x: torch.func.vmap(layer)(x[:, None]),
    ],
    ids=['layer', 'modules', 'backward', 'vmap'],
)
def test_warning_points_to_the_line_of_the_user(nothing_said, use):
    """The warning points to the user's line."""
    layer = OperatorLayer(Double(odl.rn(3)))
    with pytest.warns(PerformanceWarning) as said:
        use(layer, batch(layer))
    assert {warning.filename for warning in said} == {__file__}


# --- ODL's ray transforms --- #


@pytest.mark.parametrize('halves', [False, True])
def test_ray_transform_equals_its_operator(backend, halves):
    """Each sample is projected as ODL does."""
    operator = ray_transform(backend, nodes_on_bdry=halves)
    layer = OperatorLayer(operator)
    x = batch(layer)
    for sample, result in zip(x, layer(x), strict=True):
        expected = as_tensor(operator(as_element(sample, operator.domain)))
        torch.testing.assert_close(result[None], expected)


def test_adjoint_of_the_ray_transform(backend):
    """The adjoint layer is ODL's back-projection."""
    layer = OperatorLayer(ray_transform(backend))
    assert adjoint_error(layer.adjoint.operator, n_samples=1) < 1e-5


def test_gradient_of_the_ray_transform(backend):
    """Autograd gets the transpose, and its transpose."""
    layer = OperatorLayer(ray_transform(backend))
    x = batch(layer).requires_grad_()
    y = torch.randn_like(layer(x)).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x), x, y, create_graph=True)
    inner = (layer(x) * y).sum()
    torch.testing.assert_close((gradient * x).sum(), inner, rtol=1e-4, atol=0)
    (again,) = torch.autograd.grad(gradient, y, x)
    torch.testing.assert_close(again, layer(x), rtol=1e-4, atol=1e-5)


# --- Arguments and results --- #


class InPlace(Double):
    """Operator that writes into its argument and returns it."""

    def _call(self, x):
        x *= 2
        return x


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_operator_may_write_into_its_argument(backend, dtype):
    """The batch is unchanged, in both layouts."""
    space = odl.tensor_space((2, 3), dtype=dtype, impl=backend)
    for layout in ('channels', 'complex'):
        layer = OperatorLayer(InPlace(space), layout)
        x = batch(layer)
        before = x.clone()
        torch.testing.assert_close(layer(x), 2 * before)
        assert torch.equal(x, before)


class Buffer(Double):
    """Operator that returns the same element each time."""

    def __init__(self, space):
        super().__init__(space)
        self.buffer = space.zero()

    def _call(self, x):
        self.buffer.data[:] = 2 * x.data
        return self.buffer


def test_operator_may_return_its_buffer(backend):
    """Samples and results do not share memory."""
    layer = OperatorLayer(Buffer(odl.rn(3, impl=backend)))
    x = batch(layer)
    y = layer(x)
    layer(torch.zeros_like(x))
    torch.testing.assert_close(y, 2 * x)


# --- Operators that are not linear --- #

_SPACES = {
    'none': odl.rn(3),
    'constant': odl.rn((2, 2), weighting=0.25),
    'array': odl.rn(3, weighting=[1.0, 2.0, 5.0]),
    'half cells': odl.uniform_discr(0, 1, 4, nodes_on_bdry=True),
    'complex': odl.cn(3, weighting=[1.0, 2.0, 5.0]),
    'complex product': odl.ProductSpace(
        odl.cn(3, weighting=0.25), 2, weighting=[2.0, 3.0]
    ),
    'pytorch': odl.rn(3, impl='pytorch', weighting=0.25),
    'complex pytorch': odl.cn(3, impl='pytorch', weighting=0.25),
}
every_space = pytest.mark.parametrize(
    'space', _SPACES.values(), ids=_SPACES.keys()
)
every_layout = pytest.mark.parametrize('layout', ['channels', 'complex'])


class Square(odl.Operator):
    """Operator that is not linear, with a derivative."""

    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        return x * x

    def derivative(self, point):
        return 2 * odl.MultiplyOperator(point)


@every_layout
@every_space
def test_first_derivatives(space, layout):
    """Reverse and forward mode agree with finite differences."""
    layer = OperatorLayer(Square(space), layout)
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)


class Quartic(odl.functionals.Functional):
    """``|x|^4 / 4``, of which the gradient is ``|x|^2 x``."""

    def _call(self, x):
        return 0.25 * x.inner(x) ** 2

    @property
    def gradient(self):
        functional = self

        class Gradient(odl.Operator):
            def _call(self, x):
                return 2 * float(functional(x).real) ** 0.5 * x

        return Gradient(self.domain, self.domain)


@every_layout
@every_space
@pytest.mark.slow
def test_derivatives_of_functionals(space, layout):
    """Values and derivatives are right, also on complex spaces."""
    layer = OperatorLayer(Quartic(space), layout)
    x = batch(layer).requires_grad_()
    y = layer(x)
    assert y.shape == (2, 1 if space.is_real or layout == 'complex' else 2)
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)


def test_function_transforms():
    """``torch.func`` maps over any axis, and finds the Jacobian both ways."""
    layer = OperatorLayer(Square(odl.rn(3, weighting=[1.0, 2.0, 5.0])))
    x = torch.randn(2, 1, 3, 4, dtype=torch.double)
    y = torch.vmap(layer, in_dims=-1, out_dims=1)(x)
    torch.testing.assert_close(y, x.square().movedim(-1, 1))
    x = x[..., 0]
    gradient = torch.vmap(torch.func.grad(lambda x: layer(x[None]).sum()))
    torch.testing.assert_close(gradient(x), 2 * x)
    jacobian = torch.func.jacrev(layer)(x)
    torch.testing.assert_close(jacobian, torch.func.jacfwd(layer)(x))
    torch.testing.assert_close(torch.einsum('ijkijk->ijk', jacobian), 2 * x)


_SECOND = {
    'reverse over reverse': lambda f, x: torch.func.jacrev(
        torch.func.jacrev(f)
    )(x),
    'forward over reverse': lambda f, x: torch.func.hessian(f)(x),
    'forward over forward': lambda f, x: torch.func.jvp(
        lambda x: torch.func.jvp(f, (x,), (x,))[1], (x,), (x,)
    ),
    'reverse over forward': lambda f, x: torch.func.grad(
        lambda x: torch.func.jvp(f, (x,), (x,))[1].sum()
    )(x),
    'autograd': lambda f, x: torch.autograd.functional.hessian(
        lambda x: f(x).sum(), x
    ),
}


@pytest.mark.parametrize('second', _SECOND.values(), ids=_SECOND.keys())
def test_second_derivative_is_refused(second):
    """A second derivative is an error that names the operator."""
    layer = OperatorLayer(Square(odl.rn(3)))
    with pytest.raises(NotImplementedError, match='`Square` .*first order'):
        second(layer, batch(layer))


def test_second_derivative_by_the_direction_only():
    """The derivative has a derivative with respect to its direction."""
    layer = OperatorLayer(Square(odl.rn(3)))
    x = batch(layer)

    def slope(weight):
        return torch.func.grad(lambda x: (weight * layer(x)).sum())(x).sum()

    weight = torch.tensor(3.0, dtype=torch.double)
    torch.testing.assert_close(torch.func.grad(slope)(weight), (2 * x).sum())
    tangent = torch.func.jvp(slope, (weight,), (weight,))[1]
    torch.testing.assert_close(tangent, (6 * x).sum())


class WithoutDerivative(Square):
    derivative = odl.Operator.derivative


class WithoutAdjoint(Square):
    def derivative(self, point):
        class Derivative(odl.Operator):
            def _call(self, x):
                return 2 * point * x

        return Derivative(self.domain, self.range, linear=True)


@pytest.mark.parametrize('kind', [WithoutDerivative, WithoutAdjoint])
def test_missing_derivative_is_refused_at_once(kind):
    """The error is raised when the layer is applied."""
    layer = OperatorLayer(kind(odl.rn(3)))
    x = batch(layer)
    with pytest.raises(
        NotImplementedError, match=f'`{kind.__name__}` .*torch.no_grad'
    ):
        layer(x.clone().requires_grad_())


@pytest.mark.parametrize('kind', [WithoutDerivative, WithoutAdjoint])
def test_missing_derivative_is_not_needed_for_values(kind):
    """Without gradients, no derivative is needed."""
    layer = OperatorLayer(kind(odl.rn(3)))
    x = batch(layer)
    torch.testing.assert_close(layer(x), x.square())
    x.requires_grad_()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x.square())
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), x.square())


@pytest.mark.parametrize('name', ['RealPart', 'Gradient'])
def test_adjoint_of_a_derivative_that_odl_has_wrong(name):
    """The transpose of a known type is used, not ODL's adjoint."""
    space = odl.uniform_discr(0, 1, 4, nodes_on_bdry=True)
    if name == 'RealPart':
        linear = odl.RealPart(space.complex_space)
    else:
        linear = odl.PartialDerivative(space, 0)

    class Same(odl.Operator):
        def _call(self, x):
            return linear(x)

        def derivative(self, point):
            return linear

    layer = OperatorLayer(Same(linear.domain, linear.range))
    x = batch(layer).requires_grad_()
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)


# --- Adjoints that are wrong --- #


class WithAdjoint(odl.Operator):
    """Multiplication by 3, with an adjoint that multiplies by a factor."""

    def __init__(self, space, factor):
        super().__init__(space, space, linear=True)
        self.factor = factor

    def _call(self, x):
        return 3 * x

    @property
    def adjoint(self):
        """The multiplication by the factor."""
        return _Times(self.domain, self.factor)


class _Times(odl.Operator):
    def __init__(self, space, factor):
        super().__init__(space, space, linear=True)
        self.factor = factor

    def _call(self, x):
        return self.factor * x


@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_wrong_adjoint_is_said_once(dtype):
    """A wrong adjoint gives one warning."""
    space = odl.tensor_space(4, dtype=dtype, weighting=0.5)
    layer = OperatorLayer(WithAdjoint(space, 2.0), 'complex')
    x = torch.ones(1, 1, 4, dtype=getattr(torch, dtype), requires_grad=True)
    with pytest.warns(RuntimeWarning, match='adjoint of `WithAdjoint` is not'):
        layer(x).abs().sum().backward()
    layer(x).abs().sum().backward()


def test_right_adjoint_is_not_complained_of():
    """A right adjoint gives no warning."""
    layer = OperatorLayer(WithAdjoint(odl.rn(4, weighting=0.5), 3.0))
    x = torch.ones(1, 1, 4, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 3.0))
