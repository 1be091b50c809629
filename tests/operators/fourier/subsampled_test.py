# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of the Fourier transform at some frequencies."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import random_element
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
from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.subsampled import (
    SubsampledFourierTransform,
)
from odl_equivariant.operators.fourier.unitary import UnitaryFourierTransform

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['float32', 'complex128'])
every_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)


def space_of(dtype, backend, shape=(4, 5), **keywords):
    return odl.uniform_discr(
        [0] * len(shape),
        [1] * len(shape),
        shape,
        dtype=dtype,
        impl=backend,
        **keywords,
    )


def _points(shape):
    mask = np.random.default_rng(5).random(shape) < 0.4
    mask.flat[0] = True
    return mask


_CASES = {
    'points': lambda *args: (space_of(*args), _points((4, 5)), None),
    'lines': lambda *args: (
        space_of(*args),
        CartesianMask((4, 5), 2.5, 0.2),
        None,
    ),
    'broadcast': lambda *args: (
        space_of(*args),
        np.array([[1], [0], [0], [1]]),
        None,
    ),
    'torch': lambda *args: (
        space_of(*args),
        torch.from_numpy(_points((4, 5))),
        1,
    ),
    'weighted': lambda *args: (
        space_of(*args, weighting=3.0),
        _points((4, 5)),
        (-2,),
    ),
    'coils': lambda *args: (
        odl.ProductSpace(space_of(*args), 3, weighting=[1.0, 2.0, 3.0]),
        CartesianMask((4, 5), 2.5, 0.2),
        None,
    ),
    '3D': lambda *args: (
        space_of(*args, shape=(2, 3, 4)),
        _points((1, 3, 4)),
        (1, 2),
    ),
}
case = simple_fixture('case', list(_CASES))


def transform_of(case, dtype, backend):
    return SubsampledFourierTransform(*_CASES[case](dtype, backend))


def array(element):
    """Return an element as a complex array of shape ``(P, *shape)``."""
    channels = as_tensor(element).numpy()[0]
    if is_complex(element.space):
        return channels[::2] + 1j * channels[1::2]
    return channels + 0j


def close(ours, theirs):
    """Assert that two elements are equal to rounding."""
    single = tensor_dtype(ours.space) == torch.float32
    np.testing.assert_allclose(
        array(ours), array(theirs), rtol=0, atol=1e-5 if single else 1e-12
    )


# --- Values --- #


@every_dtype
def test_transform_times_mask(case, dtype, backend, rng):
    """The result is the transform where sampled, and zero elsewhere."""
    space, mask, axes = _CASES[case](dtype, backend)
    transform = SubsampledFourierTransform(space, mask, axes)
    x = random_element(space, rng)
    y = transform(x)
    full = UnitaryFourierTransform(space, axes)(x)
    assert y in transform.range and transform.range == full.space
    single = tensor_dtype(space) == torch.float32
    np.testing.assert_allclose(
        array(y),
        np.asarray(mask) * array(full),
        rtol=0,
        atol=1e-5 if single else 1e-12,
    )


@every_dtype
def test_adjoint(case, dtype, backend):
    """The adjoint is that of the weighted inner products, there and back."""
    transform = transform_of(case, dtype, backend)
    real_linear = not is_complex(transform.domain)
    assert_adjoint(transform, real_linear=real_linear)
    assert_adjoint(transform.adjoint, real_linear=real_linear)
    assert transform.adjoint.adjoint is transform


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_there_and_back_is_the_mask(case, dtype, backend, rng):
    """On complex spaces ``A A*`` is the multiplication by the mask."""
    transform = transform_of(case, dtype, backend)
    y = random_element(transform.range, rng)
    ours = transform(transform.adjoint(y))
    np.testing.assert_allclose(
        array(ours),
        transform.mask * array(y),
        rtol=0,
        atol=1e-5 if dtype == 'complex64' else 1e-12,
    )


def test_mask(case):
    """The mask is a boolean array of the full shape that stays as it is."""
    space, mask, axes = _CASES[case]('float32', 'numpy')
    transform = SubsampledFourierTransform(space, mask, axes)
    given = mask.numpy() if case == 'torch' else np.asarray(mask)
    assert transform.mask.dtype == bool
    assert transform.mask.shape == grid_shape(space)
    assert (transform.mask == given).all()
    assert transform.sampling_fraction == pytest.approx(given.mean())
    with pytest.raises(ValueError, match='read-only'):
        transform.mask[0] = True


def test_mask_is_copied(backend, rng):
    """Later changes of an array do not change the operator."""
    space = space_of('complex64', backend)
    mask = _points((4, 5))
    transform = SubsampledFourierTransform(space, mask)
    x = random_element(space, rng)
    expected = array(transform(x))
    mask[:] = True
    np.testing.assert_array_equal(
        array(SubsampledFourierTransform(space, transform.mask)(x)), expected
    )
    np.testing.assert_array_equal(array(transform(x)), expected)


@every_dtype
@pytest.mark.parametrize('shape', [(4, 5), (5, 4), (1, 6)])
@pytest.mark.parametrize('axes', [None, 0, -1])
def test_norm(shape, axes, dtype, rng):
    """The norm is the largest singular value."""
    space = space_of(dtype, 'numpy', shape)
    n = int(np.prod(shape))
    basis = np.eye(n).reshape(n, *shape)
    masks = [basis[k].astype(bool) for k in range(n)]
    masks += [rng.random(shape) < 0.3 for _ in range(3)]
    masks += [np.ones((1, shape[1]))]
    for mask in masks:
        if not np.any(mask):
            continue
        transform = SubsampledFourierTransform(space, mask, axes)
        rows = np.array([transform(e).data.ravel() for e in basis])
        if not space.is_complex:
            rows = np.hstack([rows.real, rows.imag])
        expected = np.linalg.norm(rows, 2)
        assert transform.norm() == pytest.approx(expected, rel=1e-5)
        assert transform.adjoint.norm() == transform.norm(estimate=True)


# --- How it is called --- #


def test_out_and_arguments(case, dtype, backend, rng):
    """``op(x, out=y)`` gives the value of ``op(x)`` and leaves ``x``."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.adjoint):
        x = random_element(operator.domain, rng)
        before = array(x).copy()
        expected = operator(x)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        close(out, expected)
        np.testing.assert_array_equal(array(x), before)


def test_aliased_out(backend, rng):
    """``op(x, out=x)`` gives the value of ``op(x)``."""
    space = odl.cn((4, 5), dtype='complex64', impl=backend)
    transform = SubsampledFourierTransform(space, _points((4, 5)))
    for operator in (transform, transform.adjoint):
        x = random_element(space, rng)
        expected = operator(x)
        operator(x, out=x)
        close(x, expected)


def test_pickles(case, dtype, backend, rng):
    """Pickled operators do the same, used before or not."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.adjoint):
        before = pickle.loads(pickle.dumps(operator))
        x = random_element(operator.domain, rng)
        expected = operator(x)
        after = pickle.loads(pickle.dumps(operator))
        close(before(x), expected)
        close(after(x), expected)


# --- Layers --- #


def batch(space, n_samples=3, **keywords):
    shape = (n_samples, n_channels(space), *grid_shape(space))
    return torch.randn(shape, dtype=tensor_dtype(space), **keywords)


@every_dtype
def test_layer_equals_its_operator(case, dtype, backend):
    """A batch is mapped to what the operator maps its samples to."""
    transform = transform_of(case, dtype, backend)
    forward = OperatorLayer(transform)
    backward = OperatorLayer(transform.adjoint)
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
@pytest.mark.parametrize('case', ['points', 'weighted', 'coils'])
def test_derivatives_of_layers(case, dtype):
    """Derivatives of first and second order are right."""
    transform = transform_of(case, dtype, 'numpy')
    for operator in (transform, transform.adjoint):
        layer = OperatorLayer(operator)
        x = batch(operator.domain, 1, requires_grad=True)
        assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(
            lambda x, layer=layer: layer(x.sin()).square(), x, fast_mode=True
        )


def test_layer_of_an_empty_batch(case, dtype):
    """No samples give no results, of the right shape."""
    transform = transform_of(case, dtype, 'numpy')
    for operator in (transform, transform.adjoint):
        result = OperatorLayer(operator)(batch(operator.domain, 0))
        assert result.shape == batch(operator.range, 0).shape


# --- Several coils --- #


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_several_coils(dtype, backend, rng):
    """The composition with coil sensitivities has its adjoint and layer."""
    space = space_of(dtype, backend)
    maps = rng.standard_normal((3, 4, 5)) + 1j * rng.standard_normal((3, 4, 5))
    encoding = SensitivityEncoding(space, maps)
    mask = CartesianMask((4, 5), 2.5, 0.2)
    operator = SubsampledFourierTransform(encoding.range, mask) * encoding
    assert_adjoint(operator, real_linear=not is_complex(space))
    x = random_element(space, rng)
    single = UnitaryFourierTransform(encoding.range[0])
    for part, coil in zip(operator(x), maps, strict=True):
        image = encoding.range[0].element(coil * array(x)[0])
        np.testing.assert_allclose(
            array(part), mask.array * array(single(image)), atol=1e-12
        )
    layer = OperatorLayer(operator)
    x = batch(space, 2, requires_grad=True)
    assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
    y = layer.adjoint(layer(x))
    for sample, result in zip(x.detach(), y.detach(), strict=True):
        expected = operator.adjoint(operator(as_element(sample, space)))
        close(as_element(result, space), expected)


# --- What is refused --- #


def _with(value):
    mask = np.ones((4, 5))
    mask[1, 2] = value
    return mask


@pytest.mark.parametrize(
    'mask, message',
    [
        (np.zeros((4, 5), dtype=bool), 'samples nothing'),
        (np.ones((5, 4), dtype=bool), 'must have the shape'),
        (np.ones((2, 5), dtype=bool), 'must have the shape'),
        (np.ones(5, dtype=bool), 'must have the shape'),
        (np.ones((1, 4, 5), dtype=bool), 'must have the shape'),
        (CartesianMask((5, 4)), 'must have the shape'),
        (True, 'must have the shape'),
        (_with(np.nan), 'got nan'),
        (_with(0.5), 'got 0.5'),
        (_with(2).astype(int), 'got 2'),
        (-torch.ones(4, 5), 'got -1'),
    ],
)
def test_wrong_mask(mask, message, backend):
    """Masks that sample nothing, do not fit or are no masks are refused."""
    for space in (space_of('float32', backend), odl.cn((4, 5)) ** 2):
        with pytest.raises(ValueError, match=message):
            SubsampledFourierTransform(space, mask)


@pytest.mark.parametrize(
    'mask', [np.ones((4, 5), dtype=complex), np.full((4, 5), 'x'), None]
)
def test_no_mask(mask):
    """What is no array of numbers is refused."""
    with pytest.raises(TypeError, match='`mask` must be an array'):
        SubsampledFourierTransform(odl.rn((4, 5)), mask)


@pytest.mark.parametrize('shape', [(4, 5), (3, 4, 5)])
def test_advice_on_a_mask_of_lines_is_right(shape):
    """The mask that the error tells to pass is taken."""
    lines = np.arange(5) % 2 == 0
    with pytest.raises(ValueError, match='of lines along the last') as error:
        SubsampledFourierTransform(odl.cn(shape), lines)
    advice = str(error.value).rpartition('`mask')[2].strip('[]`')
    index = (None,) * len(advice.split(', '))
    assert advice == ', '.join(map(str, index))
    SubsampledFourierTransform(odl.cn(shape), lines[index])
