# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of gradients that are right, or refused at their first use."""

import gc

import numpy as np
import odl
import pytest
import torch
from odl import functionals as F

from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.operators.batching import derivative_check

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

WRONG = 'the derivative of `{}` is wrong'


def space_of(dtype, weights='array', backend='numpy', shape=(2, 3)):
    """Return a small space, weighted or not."""
    if weights == 'cells':
        ends = [1.0] * len(shape)
        return odl.uniform_discr(
            [0.0] * len(shape), ends, shape, dtype=dtype, impl=backend
        )
    values = {}
    if weights == 'array':
        real = dtype.replace('complex64', 'float32')
        real = real.replace('complex128', 'float64')
        array = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
        array = array.astype(real)
        if backend == 'pytorch':
            array = torch.from_numpy(array)
        values['weighting'] = array
    return odl.tensor_space(shape, dtype=dtype, impl=backend, **values)


def positive(space, seed=0):
    """Return an element on which logarithms are smooth."""
    rng = np.random.default_rng(seed)
    data = rng.uniform(0.5, 1.5, space.shape)
    if space.is_complex:
        data = data + 1j * rng.uniform(-0.5, 0.5, space.shape)
    return space.element(data.astype(str(space.dtype_identifier)))


def gradient_and_differences(operator):
    """Return a derivative by autograd, and by differences."""
    layer = OperatorLayer(operator)
    generator = torch.Generator().manual_seed(0)
    x = as_tensor(positive(operator.domain, 1)).clone().requires_grad_()
    y = layer(x)
    k = torch.randn(y.shape, generator=generator, dtype=torch.double).to(y)
    h = torch.randn(x.shape, generator=generator, dtype=torch.double).to(x)
    (gradient,) = torch.autograd.grad(y, x, k)
    step = 1e-2 if x.dtype == torch.float32 else 1e-5
    with torch.no_grad():
        change = layer(x + step * h) - layer(x - step * h)
    difference = float((change * k).sum()) / (2 * step)
    return float((gradient * h).sum()), difference


def first_gradient(operator, x=None):
    """Ask for the gradient of an operator once."""
    x = positive(operator.domain, 1) if x is None else x
    x = as_tensor(x).clone().requires_grad_()
    OperatorLayer(operator)(x).sum().backward()
    return x.grad


# --- ODL's functionals on complex spaces --- #


def _quadratic_forms(space):
    b = positive(space, 2)
    A = odl.MultiplyOperator(positive(space, 3))
    yield F.QuadraticForm(A)
    yield F.QuadraticForm(A, vector=b, constant=2)
    yield F.QuadraticForm(vector=b)
    yield F.QuadraticForm(vector=b, constant=2)
    if not isinstance(space, odl.DiscretizedSpace):
        # of which ODL's adjoint ignores the weights
        real_dtype = str(space.real_space.dtype_identifier)
        matrix = np.arange(4.0).reshape(2, 2).astype(real_dtype)
        if space.impl == 'pytorch':
            matrix = torch.from_numpy(matrix)
        yield F.QuadraticForm(odl.MatrixOperator(matrix, space, space, axis=0))


@pytest.mark.parametrize('weights', ['none', 'array', 'cells'])
@pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
def test_gradients_of_quadratic_forms(dtype, weights):
    """Gradients agree with differences, for both parts."""
    for form in _quadratic_forms(space_of(dtype, weights)):
        ours, difference = gradient_and_differences(form)
        tol = 1e-2 if dtype in ('float32', 'complex64') else 1e-7
        assert ours == pytest.approx(difference, rel=tol)


def test_values_of_quadratic_forms(backend):
    """A layer has ODL's values on real and complex spaces."""
    for dtype in ('float64', 'complex128'):
        for form in _quadratic_forms(space_of(dtype, backend=backend)):
            x = positive(form.domain, 1)
            value = OperatorLayer(form, 'complex')
            tensor = torch.as_tensor(x.data)[None, None]
            assert complex(value(tensor)) == pytest.approx(complex(form(x)))


_WRONG = {
    'KullbackLeibler': lambda s: F.KullbackLeibler(s, prior=positive(s)),
    'KullbackLeiblerConvexConj': lambda s: (
        F.KullbackLeibler(s, prior=positive(s)).convex_conj * 0.3
    ),
    'KullbackLeiblerCrossEntropy': lambda s: F.KullbackLeiblerCrossEntropy(
        s, prior=positive(s)
    ),
    'KullbackLeiblerCrossEntropyConvexConj': lambda s: (
        F.KullbackLeiblerCrossEntropy(s, prior=positive(s)).convex_conj
    ),
    'L1Gradient': lambda s: F.L1Norm(s).gradient,
    'BregmanDistance': lambda s: F.L2NormSquared(s).bregman(
        positive(s), F.L2NormSquared(s).gradient(positive(s))
    ),
    'RosenbrockFunctional': lambda s: F.RosenbrockFunctional(
        odl.tensor_space(5, dtype=str(s.dtype_identifier))
    ),
}


@pytest.mark.parametrize('weights', ['none', 'cells'])
@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
@pytest.mark.parametrize('name', _WRONG)
def test_wrong_gradients_on_complex_spaces_are_refused(name, dtype, weights):
    """ODL's wrong gradients on complex spaces are errors."""
    operator = _WRONG[name](space_of(dtype, weights))
    with pytest.raises(ValueError, match=WRONG.format(name)):
        first_gradient(operator)


@pytest.mark.parametrize('weights', ['none', 'array', 'cells'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', _WRONG)
def test_the_same_on_real_spaces_are_right(name, dtype, weights):
    """On real spaces, the same gradients agree with differences."""
    operator = _WRONG[name](space_of(dtype, weights))
    ours, difference = gradient_and_differences(operator)
    tol = 5e-2 if dtype == 'float32' else 1e-5
    assert ours == pytest.approx(difference, rel=tol, abs=1e-6)


@pytest.mark.parametrize(
    'make',
    [
        lambda f: f * odl.MultiplyOperator(positive(f.domain, 5)),
        lambda f: 2.0 * f,
        lambda f: f + F.L1Norm(f.domain),
        lambda f: f.translated(-positive(f.domain, 5)),
        lambda f: F.SeparableSum(f, F.L1Norm(f.domain)),
    ],
)
def test_wrong_gradients_inside_of_others_are_refused(make):
    """The error names the part of the composition that is wrong."""
    f = F.KullbackLeibler(space_of('complex128'))
    operator = make(f)
    if isinstance(operator.domain, odl.ProductSpace):
        x = operator.domain.element([positive(f.domain, i) for i in range(2)])
    else:
        x = positive(operator.domain, 1)
    with pytest.raises(ValueError, match=WRONG.format('KullbackLeibler')):
        first_gradient(operator, x)


@pytest.mark.parametrize(
    'kind', [odl.ComplexModulus, odl.ComplexModulusSquared]
)
def test_moduli_are_right(kind, backend):
    """Right derivatives of ODL on complex spaces pass."""
    operator = kind(space_of('complex128', backend=backend))
    ours, difference = gradient_and_differences(operator)
    assert ours == pytest.approx(difference, rel=1e-6)


# --- Operators of users --- #


class Pointwise(odl.Operator):
    """A function of each number, with a derivative that may be wrong."""

    def __init__(self, space, function, slope):
        super().__init__(space, space)
        self.function, self.slope = function, slope

    def _call(self, x):
        return self.range.element(self.function(x.asarray()))

    def derivative(self, point):
        slope = self.slope(self.domain.element(point).asarray())
        return odl.MultiplyOperator(self.domain.element(slope))


_RIGHT = {
    'rectifier': (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    'the other one': (lambda x: np.maximum(x, 0), lambda x: (x >= 0) * 1.0),
    'modulus': (np.abs, np.sign),
    'soft': (
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.1, 0),
        lambda x: (np.abs(x) > 0.1) * 1.0,
    ),
    'jumps': (lambda x: x * (np.abs(x) > 0.3), lambda x: (abs(x) > 0.3) * 1.0),
    'sign': (np.sign, np.zeros_like),
    'exponential': (np.exp, np.exp),
    'logarithm': (np.log, np.reciprocal),
    'root': (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    'waves': (lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x)),
    'fast waves': (lambda x: np.sin(500 * x), lambda x: 500 * np.cos(500 * x)),
    'ends': (lambda x: np.clip(x, 0, 1), lambda x: (x > 0) * (x < 1) * 1.0),
    'of small numbers': (lambda x: np.log(1 - x), lambda x: -1 / (1 - x)),
    'large offset': (lambda x: x**2 + 1e4, lambda x: 2 * x),
    'underflow': (lambda x: x**8, lambda x: 8 * x**7),
    'interval': (np.arcsin, lambda x: 1 / np.sqrt(1 - x**2)),
}
_POINTS = {
    'noise': lambda rng: rng.standard_normal((7, 7)),
    'positive': lambda rng: rng.uniform(0.1, 0.9, (7, 7)),
    'zero': lambda rng: np.zeros((7, 7)),
    'one': lambda rng: np.ones((7, 7)),
    'one pixel': lambda rng: np.eye(1, 49).reshape(7, 7),
    'small': lambda rng: 1e-6 * rng.standard_normal((7, 7)),
    'smaller': lambda rng: 1e-12 * rng.standard_normal((7, 7)),
    'not finite': lambda rng: np.full((7, 7), np.nan),
}


@pytest.mark.filterwarnings('ignore:.*:RuntimeWarning')  # of NumPy
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', _RIGHT)
def test_right_derivatives_pass(kind, dtype):
    """Kinks, jumps, rounding and bounded domains raise no error."""
    space = space_of(dtype, 'cells', shape=(7, 7))
    function, slope = _RIGHT[kind]
    for make in _POINTS.values():
        operator = Pointwise(space, function, slope)
        point = make(np.random.default_rng(0)).astype(dtype)
        gradient = first_gradient(operator, space.element(point))
        assert gradient.shape[2:] == space.shape


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('point', ['noise', 'zero', 'one pixel', 'small'])
@pytest.mark.parametrize('factor', [0.0, 0.8, -1.0, 3.0])
def test_wrong_factors_are_refused(factor, point, dtype):
    """A wrong factor is refused, also if the gradient should be zero."""
    space = space_of(dtype, 'array', shape=(7, 7))
    operator = Pointwise(space, np.square, lambda x: factor * 2 * x)
    x = _POINTS[point](np.random.default_rng(0)).astype(dtype)
    with pytest.raises(ValueError, match=WRONG.format('Pointwise')):
        first_gradient(operator, space.element(x))


def test_small_errors_are_said_and_not_refused():
    """Errors of some percent, as of discretisation, give a warning."""
    space = space_of('float64')
    operator = Pointwise(space, np.square, lambda x: 1.95 * x)
    with pytest.warns(RuntimeWarning, match=WRONG.format('Pointwise')):
        first_gradient(operator)
    first_gradient(operator)


class WrongAdjoint(odl.Operator):
    """``3 + A x`` with the right derivative, and a wrong adjoint of it."""

    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        return 3 * self.domain.one() + 2 * x

    def derivative(self, point):
        return _Twice(self.domain)


class _Twice(odl.Operator):
    def __init__(self, space, factor=2):
        super().__init__(space, space, linear=True)
        self.factor = factor

    def _call(self, x):
        return self.factor * x

    @property
    def adjoint(self):
        return _Twice(self.domain, 1)


@pytest.mark.filterwarnings('ignore:the adjoint of `_Twice`:RuntimeWarning')
def test_wrong_adjoints_of_derivatives_are_refused():
    """A derivative and its adjoint are compared."""
    with pytest.raises(ValueError, match='weighted inner products'):
        first_gradient(WrongAdjoint(space_of('float64')))


def test_forward_mode_is_checked_too():
    """Wrong derivatives are refused in forward mode, too."""
    operator = Pointwise(space_of('float64'), np.square, np.zeros_like)
    x = as_tensor(positive(operator.domain))
    with pytest.raises(ValueError, match=WRONG.format('Pointwise')):
        torch.func.jvp(OperatorLayer(operator), (x,), (x,))


def test_the_error_comes_with_the_values():
    """The error is raised when the layer is applied."""
    operator = Pointwise(space_of('float64'), np.square, np.zeros_like)
    x = as_tensor(positive(operator.domain)).clone().requires_grad_()
    with pytest.raises(ValueError, match=WRONG.format('Pointwise')):
        OperatorLayer(operator)(x)


def test_values_of_wrong_derivatives_are_right():
    """Without gradients, nothing is checked."""
    operator = Pointwise(space_of('float64'), np.square, np.zeros_like)
    x = as_tensor(positive(operator.domain)).clone().requires_grad_()
    with torch.no_grad():
        torch.testing.assert_close(OperatorLayer(operator)(x), x**2)


def test_checked_once_for_an_operator():
    """Another layer or batch of the same operator is not checked again."""
    calls = []

    def square(x):
        calls.append(1)
        return x**2

    operator = Pointwise(space_of('float64'), square, lambda x: 2 * x)
    first_gradient(operator)
    assert len(calls) > 1
    calls.clear()
    first_gradient(operator)
    assert len(calls) == 1


def test_given_up_where_nothing_can_be_told():
    """The check of a constant operator ends."""
    calls = []

    def zero(x):
        calls.append(1)
        return 0 * x

    operator = Pointwise(space_of('float64'), zero, np.zeros_like)
    for _ in range(5):
        first_gradient(operator)
    calls.clear()
    first_gradient(operator)
    assert len(calls) == 1


def test_nothing_is_kept_of_operators_that_are_gone():
    """Results are deleted with their operators."""
    operator = Pointwise(space_of('float64'), np.square, lambda x: 2 * x)
    first_gradient(operator)
    key = id(operator)
    assert key in derivative_check._TRIED
    del operator
    gc.collect()
    assert key not in derivative_check._TRIED


def test_the_random_numbers_of_the_user_stay():
    """The check does not use the global random state."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    operator = Pointwise(space_of('float64'), np.square, lambda x: 2 * x)
    first_gradient(operator)
    assert torch.equal(torch.rand(1), expected)
