# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of coil sensitivities."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    is_complex,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.operators.fourier.coils import SensitivityEncoding

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['float32', 'complex128'])
every_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)


def maps_of(shape, n_coils=3):
    rng = np.random.default_rng(3)
    shape = (n_coils, *shape)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def discr(dtype, backend, **keywords):
    return odl.uniform_discr(
        [0, 0], [1, 2], (4, 5), dtype=dtype, impl=backend, **keywords
    )


def _array_weights(dtype, backend):
    weights = np.arange(1.0, 21.0).reshape(4, 5)
    if backend == 'pytorch':
        weights = torch.from_numpy(weights)
    return discr(dtype, backend, weighting=weights)


def _tensors(dtype, backend):
    make = odl.cn if dtype.startswith('complex') else odl.rn
    return make((3, 2, 4), dtype=dtype, impl=backend, weighting=0.3)


_SPACES = {
    'grid': discr,
    'array weights': _array_weights,
    'half cells': lambda *args: discr(*args, nodes_on_bdry=True),
    'tensors': _tensors,
}
kind = simple_fixture('kind', list(_SPACES))


def encoding_of(kind, dtype, backend):
    space = _SPACES[kind](dtype, backend)
    return SensitivityEncoding(space, maps_of(space.shape))


def array(element):
    """Return an element as a complex array of shape ``(P, *shape)``."""
    channels = as_tensor(element).numpy()[0]
    if is_complex(element.space):
        return channels[::2] + 1j * channels[1::2]
    return channels + 0j


def close(ours, theirs):
    """Assert that two elements are equal to rounding."""
    assert ours.space == theirs.space
    single = tensor_dtype(ours.space) == torch.float32
    np.testing.assert_allclose(
        array(ours), array(theirs), rtol=0, atol=1e-5 if single else 1e-12
    )


# --- Values --- #


@every_dtype
def test_each_coil_sees_the_image_times_its_map(kind, dtype, backend, rng):
    """The parts of the result are the products, in complex spaces."""
    encoding = encoding_of(kind, dtype, backend)
    x = random_element(encoding.domain, rng)
    y = encoding(x)
    assert y in encoding.range and is_complex(encoding.range)
    assert len(encoding.range) == encoding.n_coils == 3
    single = tensor_dtype(encoding.domain) == torch.float32
    np.testing.assert_allclose(
        array(y),
        array(x) * maps_of(encoding.domain.shape),
        rtol=0,
        atol=1e-5 if single else 1e-12,
    )


@every_dtype
def test_adjoint(kind, dtype, backend):
    """The adjoint is that of the weighted inner products, there and back."""
    encoding = encoding_of(kind, dtype, backend)
    real_linear = not is_complex(encoding.domain)
    assert_adjoint(encoding, real_linear=real_linear)
    assert_adjoint(encoding.adjoint, real_linear=real_linear)
    assert encoding.adjoint.adjoint is encoding


def test_normalized_maps_are_an_isometry(dtype, backend, rng):
    """Where the squares of the maps add up to one, norms are kept."""
    space = discr(dtype, backend)
    maps = maps_of(space.shape)
    maps /= np.linalg.norm(maps, axis=0)
    encoding = SensitivityEncoding(space, maps)
    x = random_element(space, rng)
    assert norm(encoding.range, encoding(x)) == pytest.approx(
        norm(space, x), rel=1e-5
    )
    close(encoding.adjoint(encoding(x)), x)


def test_real_maps_and_tensors(backend, rng):
    """Real maps are maps without a phase, and tensors are arrays."""
    space = discr('complex128', backend)
    maps = maps_of(space.shape)
    x = random_element(space, rng)
    expected = SensitivityEncoding(space, maps.real + 0j)(x)
    close(SensitivityEncoding(space, maps.real)(x), expected)
    close(SensitivityEncoding(space, torch.from_numpy(maps).real)(x), expected)
    conjugate = torch.from_numpy(maps).conj()
    close(
        SensitivityEncoding(space, conjugate)(x),
        SensitivityEncoding(space, maps.conj())(x),
    )


@every_dtype
def test_maps_are_copied(dtype, backend):
    """The maps are those that were given, in the precision of the space."""
    space = discr(dtype, backend)
    maps = maps_of(space.shape)
    encoding = SensitivityEncoding(space, maps)
    single = tensor_dtype(space) == torch.float32
    expected = maps.astype('complex64' if single else 'complex128')
    maps[:] = 0
    assert encoding.coil_maps.dtype == expected.dtype
    np.testing.assert_array_equal(encoding.coil_maps, expected)
    with pytest.raises(ValueError, match='read-only'):
        encoding.coil_maps[0] = 0


def test_norm(kind, dtype, backend):
    """The norm is attained at the pixel that the coils see best."""
    encoding = encoding_of(kind, dtype, backend)
    space = encoding.domain
    seen = (np.abs(encoding.coil_maps) ** 2).sum(0)
    peak = (seen == seen.max()).astype(str(space.dtype_identifier))
    peak = space.element(peak)
    ratio = norm(encoding.range, encoding(peak)) / norm(space, peak)
    assert encoding.norm() == pytest.approx(ratio, rel=1e-5)
    assert encoding.adjoint.norm(estimate=True) == encoding.norm()


@pytest.mark.parametrize('scale', [1.0, 1e-30, 1e30])
def test_normalised(kind, dtype, backend, scale):
    """The squares sum to one where a coil sees something, else to zero."""
    space = _SPACES[kind](dtype, backend)
    maps = maps_of(space.shape)
    maps[:, 1] = 0
    encoding = SensitivityEncoding(space, scale * maps).normalised()
    squares = (np.abs(encoding.coil_maps) ** 2).sum(0)
    np.testing.assert_allclose(squares[1], 0)
    np.testing.assert_allclose(np.delete(squares, 1, 0), 1, rtol=1e-5)
    assert encoding.norm() == pytest.approx(1.0, rel=1e-5)
    ratio = (
        encoding.coil_maps[:, 0]
        * np.abs(maps[0, 0])
        / np.abs(encoding.coil_maps[0, 0])
    )
    np.testing.assert_allclose(ratio, maps[:, 0], rtol=1e-4)


# --- How it is called --- #


def test_out_and_arguments(kind, dtype, backend, rng):
    """``op(x, out=y)`` gives the value of ``op(x)`` and leaves ``x``."""
    encoding = encoding_of(kind, dtype, backend)
    for operator in (encoding, encoding.adjoint):
        x = random_element(operator.domain, rng)
        before = array(x).copy()
        expected = operator(x)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        close(out, expected)
        np.testing.assert_array_equal(array(x), before)


def test_results_have_memory_of_their_own(kind, dtype, backend, rng):
    """Writing to a result changes neither argument nor maps."""
    encoding = encoding_of(kind, dtype, backend)
    for operator in (encoding, encoding.adjoint):
        x = random_element(operator.domain, rng)
        before = array(x).copy()
        expected = array(operator(x)).copy()
        operator(x).set_zero()
        np.testing.assert_array_equal(array(x), before)
        np.testing.assert_array_equal(array(operator(x)), expected)


def test_one_coil(backend, rng):
    """With one coil of sensitivity one, nothing happens."""
    space = discr('complex64', backend)
    encoding = SensitivityEncoding(space, np.ones((1, *space.shape)))
    x = random_element(space, rng)
    y = encoding(x)
    close(y[0], x)
    result = encoding.adjoint(y)
    close(result, x)
    result.set_zero()
    close(y[0], x)


def test_pickles(kind, dtype, backend, rng):
    """Pickled operators do the same, used before or not."""
    encoding = encoding_of(kind, dtype, backend)
    for operator in (encoding, encoding.adjoint):
        before = pickle.loads(pickle.dumps(operator))
        x = random_element(operator.domain, rng)
        expected = operator(x)
        close(before(x), expected)
        close(pickle.loads(pickle.dumps(operator))(x), expected)


# --- Layers --- #


def batch(space, n_samples=3, **keywords):
    shape = (n_samples, n_channels(space), *grid_shape(space))
    return torch.randn(shape, dtype=tensor_dtype(space), **keywords)


@every_dtype
def test_layer_equals_its_operator(kind, dtype, backend):
    """A batch is mapped to what the operator maps its samples to."""
    encoding = encoding_of(kind, dtype, backend)
    forward = OperatorLayer(encoding)
    backward = OperatorLayer(encoding.adjoint)
    for layer in (forward, backward, forward.adjoint):
        operator = layer.operator
        x = batch(operator.domain)
        before = x.clone()
        y = layer(x)
        assert torch.equal(x, before)
        for sample, result in zip(x, y, strict=True):
            element = as_element(sample, operator.domain)
            close(as_element(result, operator.range), operator(element))


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_derivatives_of_layers(kind, dtype):
    """Derivatives of first and second order are right."""
    encoding = encoding_of(kind, dtype, 'numpy')
    for operator in (encoding, encoding.adjoint):
        layer = OperatorLayer(operator)
        x = batch(operator.domain, 1, requires_grad=True)
        assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(
            lambda x, layer=layer: layer(x.sin()).square(), x, fast_mode=True
        )


def test_layer_of_an_empty_batch(kind, dtype):
    """No samples give no results, of the right shape."""
    encoding = encoding_of(kind, dtype, 'numpy')
    for operator in (encoding, encoding.adjoint):
        result = OperatorLayer(operator)(batch(operator.domain, 0))
        assert result.shape == batch(operator.range, 0).shape


# --- What is refused --- #


@pytest.mark.parametrize(
    'maps, message',
    [
        (np.ones((4, 5)), 'must have the shape'),
        (np.ones((2, 5, 4)), 'must have the shape'),
        (np.ones((2, 1, 5)), 'must have the shape'),
        (np.ones((0, 4, 5)), 'zero everywhere'),
        (np.zeros((2, 4, 5)), 'zero everywhere'),
        (np.full((2, 4, 5), np.nan), 'got 40 NaN'),
        (np.full((2, 4, 5), np.inf * 1j), 'must be finite'),
        (np.full((2, 4, 5), 1e300), 'must be finite in complex64'),
        (np.full((2, 4, 5), 1e-300), 'zero everywhere.* in complex64'),
    ],
)
def test_wrong_maps(maps, message, backend):
    """Maps that do not fit, are not finite or see nothing are refused."""
    with pytest.raises(ValueError, match=message):
        SensitivityEncoding(discr('complex64', backend), maps)


@pytest.mark.parametrize('kind', ['int64', 'bool', 'U1'])
def test_wrong_dtype(kind):
    """Maps that are no floating point numbers are refused."""
    with pytest.raises(TypeError, match='floating point'):
        SensitivityEncoding(odl.cn(3), np.ones((2, 3)).astype(kind))


@pytest.mark.parametrize('space', ['space', odl.cn(3) ** 2])
def test_wrong_space(space):
    """What is no single space of arrays is refused."""
    with pytest.raises(TypeError, match='expected a `DiscretizedSpace`'):
        SensitivityEncoding(space, np.ones((2, 3)))


def test_space_without_an_inner_product():
    """Without an inner product there is no adjoint, and no operator."""
    with pytest.raises(NotImplementedError, match='exponent 2'):
        SensitivityEncoding(odl.rn(3, exponent=1.0), np.ones((2, 3)))
