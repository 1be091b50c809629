# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of torch modules as ODL operators."""

import re
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.operator import OpDomainError, OpRangeError
from odl.core.util.testutils import simple_fixture
from torch import nn

from odl_equivariant.diagnostics import assert_adjoint, assert_derivative
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor, n_channels, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators import (
    GroupAverage,
    NetworkOperator,
    OperatorLayer,
    SensitivityEncoding,
)
from odl_equivariant.operators.network import _module_tensors

dtype = simple_fixture('dtype', ['float32', 'complex128'])


def space_of(dtype='float32', backend='numpy', shape=(4, 5), weighting=0.25):
    """Return a space of images; an array as weights goes to the backend."""
    if backend == 'pytorch' and isinstance(weighting, np.ndarray):
        weighting = torch.from_numpy(weighting)
    return odl.uniform_discr(
        [0, 0], [1, 1], shape, dtype=dtype, impl=backend, weighting=weighting
    )


def smooth_network(domain, range):
    """Return a network without kinks between two spaces on one grid."""
    return nn.Sequential(
        nn.Conv2d(n_channels(domain), 3, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(3, n_channels(range), 3, padding=1),
    ).to(tensor_dtype(domain))


_ARRAY = np.arange(1.0, 21.0).reshape(4, 5)

# Pairs of spaces with unequal weights, all of them smaller than one torch
# thread is worth.
_PAIRS = {
    'real': lambda make: (make(), make(weighting=3.0)),
    'array weights': lambda make: (
        make(weighting=_ARRAY),
        make(weighting=1 / _ARRAY),
    ),
    'product': lambda make: (
        make(),
        odl.ProductSpace(make(weighting=3.0), 3, weighting=[2.0, 5.0, 7.0]),
    ),
    'from a product': lambda make: (
        odl.ProductSpace(
            odl.ProductSpace(make(weighting=3.0), 2, weighting=[2.0, 5.0]),
            2,
            weighting=7.0,
        ),
        make(),
    ),
}
pair = simple_fixture('pair', list(_PAIRS))


def pair_of(pair, dtype, backend):
    """Return a domain and a range of a dtype on a back-end."""
    return _PAIRS[pair](lambda **kwargs: space_of(dtype, backend, **kwargs))


def relative(operator, reference, **kwargs):
    """Assert that two tensors are equal to rounding."""
    tol = 1e-5 if reference.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(operator, reference, rtol=tol, atol=tol)


class InPlace(nn.Module):
    """Module that writes into its input and returns it."""

    def forward(self, x):
        return x.square_()


class Constant(nn.Module):
    """Module that returns a buffer of its own."""

    def __init__(self, shape=(1, 1, 4, 5)):
        super().__init__()
        self.register_buffer('value', torch.ones(shape))

    def forward(self, x):
        return self.value


class Function(nn.Module):
    """Module that applies a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# --- Evaluation --- #


def test_operator_equals_its_module(pair, dtype, backend, rng):
    """The operator's values are those of the module on the tensors."""
    domain, range = pair_of(pair, dtype, backend)
    network = smooth_network(domain, range)
    x = random_element(domain, rng)
    y = NetworkOperator(network, domain, range)(x)
    assert y in range
    with torch.no_grad():
        expected = network(as_tensor(x))
    relative(as_tensor(y), expected)


def test_range_is_the_domain_by_default(backend, rng):
    """Without a range, an operator maps a space to itself."""
    domain = space_of(backend=backend)
    assert NetworkOperator(nn.Identity(), domain).range == domain


@pytest.mark.parametrize('aliased', [False, True])
def test_out_receives_the_result(dtype, backend, aliased, rng):
    """``op(x, out=y)`` and ``op(x, out=x)`` give the values of ``op(x)``."""
    domain = space_of(dtype, backend)
    operator = NetworkOperator(smooth_network(domain, domain), domain)
    x = random_element(domain, rng)
    before = as_tensor(x, copy=True)
    expected = as_tensor(operator(x))
    out = x if aliased else random_element(domain, rng)
    assert operator(x, out=out) is out
    relative(as_tensor(out), expected)
    if not aliased:
        relative(as_tensor(x), before)


def test_module_that_writes_in_place_leaves_x(dtype, backend, rng):
    """If the module writes to its input, the argument is unchanged."""
    domain = space_of(dtype, backend)
    operator = NetworkOperator(InPlace(), domain)
    x = random_element(domain, rng)
    before = as_tensor(x, copy=True)
    relative(as_tensor(operator(x)), before**2)
    relative(as_tensor(x), before)
    derivative = operator.derivative(x)
    for linear in (derivative, derivative.adjoint, derivative):
        relative(as_tensor(linear(x)), 2 * before**2)
    relative(as_tensor(x), before)


def test_module_that_returns_its_input_shares_nothing(dtype, backend, rng):
    """Writing to the result does not change the argument."""
    domain = space_of(dtype, backend)
    x = random_element(domain, rng)
    before = as_tensor(x, copy=True)
    for module in (nn.Identity(), Function(lambda x: x.view_as(x))):
        y = NetworkOperator(module, domain)(x)
        y.data[...] = 0
        relative(as_tensor(x), before)


def test_module_that_returns_a_buffer_keeps_it(backend):
    """Writing to the result does not change the module's buffer."""
    domain = space_of(backend=backend)
    operator = NetworkOperator(Constant(), domain)
    y = operator(domain.zero())
    y.data[...] = 7
    assert float(as_tensor(operator(domain.zero())).max()) == 1


def test_module_that_reuses_its_memory_keeps_results(backend):
    """A result is not overwritten by the next evaluation."""
    domain = space_of(backend=backend)
    memory = torch.empty(1, 1, 4, 5)
    operator = NetworkOperator(Function(memory.copy_), domain)
    first = operator(domain.one())
    operator(domain.zero())
    assert float(as_tensor(first).min()) == 1


def test_no_graph_is_recorded(backend, rng):
    """Results and weights get no gradients."""
    domain = space_of(backend=backend)
    network = smooth_network(domain, domain)
    operator = NetworkOperator(network, domain)
    x = random_element(domain, rng)
    derivative = operator.derivative(x)
    with torch.enable_grad():
        results = [operator(x), derivative(x), derivative.adjoint(x)]
    assert not any(
        isinstance(y.data, torch.Tensor) and y.data.requires_grad
        for y in results
    )
    assert all(weight.grad is None for weight in network.parameters())


def test_module_runs_without_recording(backend):
    """No memory is spent on a graph that nobody asked for."""
    domain = space_of(backend=backend)
    recording = []

    def watch(x):
        recording.append(torch.is_grad_enabled())
        return x

    NetworkOperator(Function(watch), domain)(domain.one())
    assert recording == [False]


def test_operator_works_where_gradients_are_off(backend, rng):
    """The derivative works under `torch.no_grad`."""
    domain = space_of('float64', backend)
    operator = NetworkOperator(smooth_network(domain, domain), domain)
    with torch.no_grad():
        derivative = operator.derivative(domain.one())
        assert_adjoint(derivative, n_samples=1, tol=1e-12)


def test_operator_follows_its_weights(backend):
    """Changing the module changes the operator."""
    domain = space_of(backend=backend)
    module = nn.Conv2d(1, 1, 1)
    operator = NetworkOperator(module, domain)
    nn.init.zeros_(module.weight)
    nn.init.constant_(module.bias, 3.0)
    assert float(as_tensor(operator(domain.one())).mean()) == 3


# --- Derivative and adjoint --- #


@pytest.mark.parametrize('double', ['float64', 'complex128'])
def test_derivative_agrees_with_finite_differences(pair, double):
    """The derivative agrees with finite differences."""
    domain, range = pair_of(pair, double, 'numpy')
    operator = NetworkOperator(smooth_network(domain, range), domain, range)
    assert_derivative(operator, tol=1e-7)


def test_derivative_agrees_with_autograd(dtype, backend, rng):
    """The derivative is the Jacobian, its adjoint the weighted transpose."""
    domain, range = pair_of('product', dtype, backend)
    network = smooth_network(domain, range)
    x = random_element(domain, rng)
    h, k = random_element(domain, rng), random_element(range, rng)
    derivative = NetworkOperator(network, domain, range).derivative(x)
    _, forward = torch.autograd.functional.jvp(
        network, as_tensor(x), as_tensor(h)
    )
    relative(as_tensor(derivative(h)), forward)
    w_domain = inner_product_weights(domain).to(tensor_dtype(domain))
    w_range = inner_product_weights(range).to(tensor_dtype(range))
    _, backward = torch.autograd.functional.vjp(
        network, as_tensor(x), w_range * as_tensor(k)
    )
    relative(as_tensor(derivative.adjoint(k)), backward / w_domain)


def test_adjoint_is_that_of_the_weighted_inner_products(pair, dtype, backend):
    """``Re <D h, k> = Re <h, D* k>`` for unequal weights."""
    domain, range = pair_of(pair, dtype, backend)
    operator = NetworkOperator(smooth_network(domain, range), domain, range)
    derivative = operator.derivative(domain.one())
    tol = 1e-12 if tensor_dtype(domain) == torch.float64 else 1e-5
    assert_adjoint(derivative, n_samples=1, real_linear=True, tol=tol)


def test_adjoint_of_the_adjoint_is_the_derivative(backend):
    """Taking the adjoint twice leads back."""
    domain = space_of(backend=backend)
    operator = NetworkOperator(nn.Tanh(), domain)
    derivative = operator.derivative(domain.one())
    assert derivative.adjoint.adjoint is derivative
    assert derivative.is_linear and derivative.adjoint.is_linear
    assert derivative.derivative(domain.zero()) is derivative


def test_derivative_is_linear_over_the_reals(dtype, backend, rng):
    """``D(a h + k) = a D h + D k`` for a real factor, and so for ``D*``."""
    domain = space_of(dtype, backend)
    operator = NetworkOperator(smooth_network(domain, domain), domain)
    derivative = operator.derivative(random_element(domain, rng))
    h, k = random_element(domain, rng), random_element(domain, rng)
    for linear in (derivative, derivative.adjoint):
        sum_ = -2.5 * linear(h) + linear(k)
        relative(as_tensor(linear(-2.5 * h + k)), as_tensor(sum_))


def test_derivative_keeps_its_point(backend, rng):
    """Changing the point later does not change the derivative."""
    domain = space_of('float64', backend)
    x, h = random_element(domain, rng), random_element(domain, rng)
    derivative = NetworkOperator(nn.Tanh(), domain).derivative(x)
    before = as_tensor(derivative(h))
    x.data[...] = 0
    relative(as_tensor(derivative(h)), before)
    relative(as_tensor(derivative.adjoint(h)), before)


def test_constant_module_has_the_derivative_zero(backend, rng):
    """A module that ignores its input has a derivative, too."""
    domain = space_of(backend=backend)
    operator = NetworkOperator(Constant(), domain)
    derivative = operator.derivative(domain.one())
    assert float(derivative(domain.one()).norm()) == 0
    assert float(derivative.adjoint(domain.one()).norm()) == 0


def test_gradient_of_a_data_fit():
    """ODL's chain rule gives the gradient of a functional of a network."""
    domain, range = pair_of('product', 'float64', 'numpy')
    operator = NetworkOperator(smooth_network(domain, range), domain, range)
    fit = odl.functionals.L2NormSquared(range).translated(range.one())
    assert_derivative(fit @ operator, tol=1e-7)


# --- Bad input --- #


def raises(error, *texts):
    """Expect an error whose message has all of the texts."""
    pattern = '(?s)' + ''.join(f'(?=.*{text})' for text in texts)
    return pytest.raises(error, match=pattern)


def test_what_is_no_module_is_refused():
    """A function is an error that names its type."""
    with raises(TypeError, '`torch.nn.Module`, got builtin_function'):
        NetworkOperator(torch.tanh, space_of())


@pytest.mark.parametrize('spaces', [1, 2])
def test_known_channel_counts_are_checked_at_once(backend, dtype, spaces):
    """``in_channels`` and ``out_channels`` must be those of the spaces."""
    space = space_of(dtype, backend) ** spaces
    count = n_channels(space)
    real = tensor_dtype(space)
    with raises(ValueError, f'{count} channel', 'in_channels=3', 'domain'):
        NetworkOperator(nn.Conv2d(3, count, 1, dtype=real), space)
    with raises(ValueError, f'{count} channel', 'out_channels=3', 'range'):
        NetworkOperator(nn.Conv2d(count, 3, 1, dtype=real), space)
    module = nn.Conv2d(count, 2 * count, 1, dtype=real)
    y = NetworkOperator(module, space, space**2)(space.one())
    assert y in space**2


class OnSquares(nn.Module):
    """Module that checks its space."""

    def check_space(self, space):
        if space.shape[0] != space.shape[1]:
            raise ValueError(f'expected a square image, got {space.shape}')

    def forward(self, x):
        return x


def test_module_may_refuse_the_domain(backend):
    """``check_space`` of a module is called at once."""
    with raises(ValueError, r'square image, got \(4, 5\)'):
        NetworkOperator(OnSquares(), space_of(backend=backend))
    NetworkOperator(OnSquares(), space_of(backend=backend, shape=(4, 4)))


def test_unknown_channel_counts_are_reported_by_the_call(backend):
    """An error inside the module names the tensor and the space."""
    space = space_of('complex64', backend)
    module = nn.Sequential(nn.Conv2d(1, 2, 1))
    operator = NetworkOperator(module, space)
    expected = (r'\(1, 2, 4, 5\)', 'uniform_discr', '1 channels')
    with raises(ValueError, *expected) as error:
        operator(space.one())
    assert type(error.value.__cause__) is RuntimeError
    derivative = operator.derivative(space.one())
    with raises(ValueError, *expected):
        derivative(space.one())
    with raises(ValueError, *expected):
        derivative.adjoint(space.one())


@pytest.mark.parametrize(
    'error', [NotImplementedError, torch.OutOfMemoryError]
)
def test_errors_that_are_not_about_the_shape_pass(error):
    """Other errors of the module are not changed."""

    def fail(x):
        raise error('reason')

    space = space_of()
    with pytest.raises(error, match='^reason$'):
        NetworkOperator(Function(fail), space)(space.one())


def test_result_of_another_shape_is_refused(backend):
    """The error names the expected and the given shape."""
    space = space_of(backend=backend)
    operator = NetworkOperator(nn.Conv2d(1, 1, 3), space)
    expected = (r'to \(1, 1, 4, 5\)', r'got \(1, 1, 2, 3\)')
    with raises(ValueError, *expected):
        operator(space.one())
    with raises(ValueError, *expected):
        operator.derivative(space.one())(space.one())


def test_result_of_another_dtype_is_refused(backend):
    """The error names the expected and the given dtype."""
    space = space_of(backend=backend)
    operator = NetworkOperator(Function(torch.Tensor.double), space)
    derivative = operator.derivative(space.one())
    for function in (operator, derivative, derivative.adjoint):
        with raises(TypeError, 'torch.float32', 'got torch.float64'):
            function(space.one())


def test_result_that_is_no_tensor_is_refused(backend):
    """A module with two results is an error that names what it returned."""
    space = space_of(backend=backend)
    operator = NetworkOperator(Function(lambda x: (x, x)), space)
    with raises(TypeError, 'must return a `torch.Tensor`, got tuple'):
        operator(space.one())


@pytest.mark.parametrize('given', ['float64', 'bfloat16'])
def test_weights_of_another_precision_are_refused(backend, given):
    """The error names both dtypes and how to convert the module."""
    module = nn.Conv2d(1, 1, 1).to(getattr(torch, given))
    expected = (f'torch.{given} weights', r'`module.to\(torch.float32\)`')
    with raises(TypeError, *expected):
        NetworkOperator(module, space_of(backend=backend))


def test_weights_that_change_their_precision_are_refused(backend):
    """A module may be converted after the operator was made."""
    space = space_of('float64', backend)
    module = nn.Conv2d(1, 1, 1).double()
    operator = NetworkOperator(module, space)
    module.float()
    with raises(TypeError, 'torch.float32 weights', 'needs torch.float64'):
        operator(space.one())


def test_domain_and_range_need_one_precision():
    """Domain and range must have the same precision."""
    with raises(TypeError, 'same precision', 'torch.float32', 'torch.float64'):
        NetworkOperator(nn.Identity(), space_of(), space_of('float64'))


@pytest.mark.parametrize('parts', [0, 2])
def test_module_on_another_device_is_refused(backend, parts):
    """The error names both devices and how to move the module."""
    space = space_of(backend=backend)
    space = odl.ProductSpace(space, parts) if parts else space
    count = n_channels(space)
    module = nn.Conv2d(count, count, 1)
    operator = NetworkOperator(module, space)
    module.to('meta')
    expected = ('meta', 'cpu', r"`module.to\('cpu'\)`")
    with raises(ValueError, *expected):
        operator(space.one())
    with raises(ValueError, *expected):
        NetworkOperator(module, space)


@pytest.mark.parametrize('device', ['cuda:0', 'xpu:1'])
def test_module_stays_on_the_device_of_a_pytorch_space(device, monkeypatch):
    """The module must be on the device of a pytorch space."""
    space = space_of(backend='pytorch')
    operator = NetworkOperator(nn.Conv2d(1, 1, 1), space)
    # a space that would be somewhere else
    monkeypatch.setattr(
        'odl_equivariant.operators.network.tensor_device',
        lambda space: torch.device(device),
    )
    with raises(ValueError, 'on cpu', f'space on {device}', 'move it'):
        operator(space.one())


def test_module_on_two_devices_is_refused(backend):
    """The error lists the devices."""
    module = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1, device='meta')
    )
    with raises(ValueError, 'one device', 'cpu', 'meta'):
        NetworkOperator(module, space_of(backend=backend))


@pytest.mark.parametrize('value', [np.nan, -np.inf])
def test_input_that_is_not_finite_is_refused(dtype, backend, value):
    """The error counts the values that are not finite."""
    space = space_of(dtype, backend)
    operator = NetworkOperator(nn.Identity(), space)
    derivative = operator.derivative(space.one())
    x = space.one()
    x.data[1, 2] = value
    for function in (
        operator,
        operator.derivative,
        derivative,
        derivative.adjoint,
    ):
        with raises(ValueError, 'must be finite', 'got [12] .* of (20|40)'):
            function(x)


def test_result_that_is_not_finite_is_refused(backend):
    """The error names the module's result, or its derivative."""
    space = space_of(backend=backend)
    operator = NetworkOperator(Function(torch.log), space)
    with raises(ValueError, "module's result must be finite", 'got 20'):
        operator(space.zero())
    operator = NetworkOperator(Function(torch.sqrt), space)
    derivative = operator.derivative(space.zero())
    for function in (derivative, derivative.adjoint):
        with raises(ValueError, 'derivative must be finite', 'got 20'):
            function(space.one())


@pytest.mark.parametrize(
    'x, got',
    [
        (np.ones((600, 4), 'float32'), 'ndarray of shape (600, 4) and dtype'),
        (torch.ones(1, 1, 4, 5), 'Tensor of shape (1, 1, 4, 5)'),
        (np.ones((4, 5), complex), 'dtype complex128'),
        (np.array(['a']), 'ndarray of shape (1,)'),
        (odl.rn((5, 4)).one(), 'of shape (5, 4) and dtype float64'),
        ([[1.0] * 500], 'got list'),
        (None, 'got None'),
    ],
    ids=['long', 'batch', 'complex', 'text', 'element', 'list', 'none'],
)
def test_wrong_arguments_are_told_by_their_shape(backend, x, got):
    """The error has the shape of a wrong argument, not its numbers.

    So it is for the operator, its derivative and the adjoint of that.
    """
    operator = NetworkOperator(nn.Identity(), space_of(backend=backend))
    derivative = operator.derivative(operator.domain.one())
    for function in (
        operator,
        operator.derivative,
        derivative,
        derivative.adjoint,
    ):
        texts = [re.escape(text) for text in ('array of shape (4, 5)', got)]
        with raises(OpDomainError, *texts) as caught:
            function(x)
        assert len(str(caught.value)) < 250


def test_out_of_another_space_is_told_by_its_shape(backend):
    """A wrong ``out`` is refused; the error has its shape."""
    operator = NetworkOperator(nn.Identity(), space_of(backend=backend))
    out = odl.rn((300, 40)).zero()
    with raises(OpRangeError, r'of shape \(300, 40\)') as caught:
        operator(operator.domain.one(), out=out)
    assert len(str(caught.value)) < 250


def test_repr_shows_the_network():
    """The text has the network and the spaces."""
    space = odl.rn((9, 8), dtype='float32')
    for module, expected in (
        (nn.Conv2d(1, 1, 1), 'Conv2d(1, 1, kernel_size=(1, 1), str'),
        (nn.Sequential(nn.ReLU(), nn.Identity()), 'tial(ReLU, Identity), rn('),
        (nn.Sequential(*(nn.ReLU() for _ in range(9))), 'ReLU, ReLU, ...)'),
    ):
        text = repr(NetworkOperator(module, space))
        assert text.startswith('NetworkOperator(') and expected in text
        assert text.endswith(f', {space!r})') and '\n' not in text
    wider = odl.rn((9, 9), dtype='float32')
    text = repr(NetworkOperator(nn.Identity(), space, wider))
    assert text == f'NetworkOperator(Identity(), {space!r}, {wider!r})'


def test_space_without_inner_product_is_refused():
    """A space of exponent other than 2 is an error at once."""
    space = odl.rn((4, 5), dtype='float32', exponent=1.0)
    with raises(NotImplementedError, 'exponent 2', 'got 1.0'):
        NetworkOperator(nn.Identity(), space)


def test_space_that_is_no_space_is_refused():
    """A space without a tensor layout is refused at once."""
    with raises(TypeError, 'got RealNumbers'):
        NetworkOperator(nn.Identity(), odl.RealNumbers())


# --- Cost of a call --- #


def test_tensors_of_a_module_are_those_that_torch_finds():
    """Shared parts, scripted ones and parametrisations are among them."""
    shared = nn.Linear(3, 3)
    module = nn.Sequential(
        shared,
        nn.Sequential(shared, nn.BatchNorm1d(3)),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
        nn.Linear(3, 3, bias=False),
    )
    expected = {*map(id, module.parameters()), *map(id, module.buffers())}
    assert {*map(id, _module_tensors(module))} == expected


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_one_wrong_value_among_many(value):
    """It is found, and huge values whose sum overflows are none."""
    space = odl.rn((8, 8), dtype='float32')
    operator = NetworkOperator(nn.Identity(), space)
    x = space.element(np.full((8, 8), 3e38, dtype='float32'))
    assert operator(x) == x
    x[3, 4] = value
    with pytest.raises(ValueError, match='got 1 NaN or infinite of 64'):
        operator(x)


@pytest.mark.parametrize(
    'part', [nn.Dropout2d(0.5), nn.BatchNorm2d(2), nn.RReLU()]
)
def test_training_mode_is_said(part):
    """Layers that are for training give one warning, at the user's line."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    module = nn.Sequential(
        nn.Conv2d(1, 2, 1), part, nn.Conv2d(2, 1, 1), nn.InstanceNorm2d(1)
    )
    operator = NetworkOperator(module.eval(), space)
    x = space.one()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        operator(x), operator.derivative(x)(x)
    module.train()
    name = type(part).__name__
    with pytest.warns(UserWarning, match=f'its parts {name} give') as said:
        operator(x), operator.derivative(x).adjoint(x)
    assert len(said) == 1 and said[0].filename == __file__


def test_layers_without_a_mode_are_silent():
    """A module in training mode that is the same in both modes is no fault."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    module = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.InstanceNorm2d(1), nn.Dropout(0.0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        NetworkOperator(module.train(), space)(space.one())


def test_tensors_with_a_gradient_are_named():
    """The error says how to leave the gradient out, or keep it."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='float32')
    operator = NetworkOperator(nn.ReLU(), space)
    x = torch.ones(4, 4, requires_grad=True)
    with pytest.raises(OpDomainError, match=r'pass `x\.detach\(\)`, or'):
        operator(x)
    assert float(operator(x.detach()).norm()) == pytest.approx(1)


REFUSED = {
    'channels': lambda space: NetworkOperator(nn.Conv2d(5, 5, 1), space),
    'precision': lambda space: NetworkOperator(
        nn.Conv2d(1, 1, 1).double(), space
    ),
    'the module fails': lambda space: NetworkOperator(nn.Linear(3, 3), space)(
        space.zero()
    ),
    'expected actions': lambda space: GroupAverage(
        NetworkOperator(nn.ReLU(), space), [odl.IdentityOperator(odl.rn(3))]
    ),
    'coil_maps': lambda space: SensitivityEncoding(space, np.ones((2, 3, 3))),
    'expected a tensor': lambda space: OperatorLayer(
        odl.IdentityOperator(space)
    )(torch.zeros(1, 1, 3, 3)),
}


@pytest.mark.parametrize('message', REFUSED)
def test_errors_on_a_grid_with_an_array_of_weights(message):
    """ODL cannot print such a space, and the error says what is wrong."""
    weights = np.linspace(1, 2, 20, dtype='float32').reshape(4, 5)
    space = odl.uniform_discr(
        [0, 0], [1, 1], (4, 5), dtype='float32', weighting=weights
    )
    with pytest.raises((TypeError, ValueError), match=message) as error:
        REFUSED[message](space)
    assert 'DiscretizedSpace of shape (4, 5)' in str(error.value)
    repr(NetworkOperator(nn.ReLU(), space))
