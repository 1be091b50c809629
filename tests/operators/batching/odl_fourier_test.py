# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of ODL's Fourier transforms as maps of batches."""

import contextlib
import warnings

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from odl.trafos import (
    DiscreteFourierTransform,
    DiscreteFourierTransformInverse,
    FourierTransform,
    FourierTransformInverse,
)
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.elements import is_complex
from odl_equivariant.operators import AdjointOperator, OperatorLayer
from odl_equivariant.operators.batching.layout import Layout
from odl_equivariant.operators.batching.registry import linear_maps

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

impl = simple_fixture('impl', ['numpy', 'pyfftw', 'default'])


def space_of(shape, dtype, backend='numpy'):
    """Return a space the grid of which is neither centred nor square."""
    ndim = len(shape)
    return odl.uniform_discr(
        [-1.0] * ndim,
        [2.0 + axis for axis in range(ndim)],
        shape,
        dtype=dtype,
        impl=backend,
    )


# shape, dtype, options of the transform
_COMPLEX = [
    ((6,), 'complex128', {}),
    ((5,), 'complex128', {'sign': '+'}),
    ((4, 3), 'complex128', {'axes': (1, 0)}),
    ((3, 4), 'complex128', {'axes': (0,), 'sign': '+'}),
    ((2, 3, 4), 'complex64', {'axes': (0, 2)}),
    ((4, 3), 'float64', {'halfcomplex': False}),
    ((3, 4), 'float64', {'halfcomplex': False, 'sign': '+', 'axes': (1,)}),
    ((2, 4), 'float32', {'halfcomplex': False, 'axes': (1,)}),
]
_HALF = [
    ((6,), 'float64', {'halfcomplex': True}),
    ((5,), 'float64', {'halfcomplex': True}),
    ((4, 6), 'float64', {'halfcomplex': True}),
    ((4, 5), 'float64', {'halfcomplex': True}),
    ((4, 5), 'float32', {'halfcomplex': True, 'axes': (1, 0)}),
    ((5, 4), 'float64', {'halfcomplex': True, 'axes': (0,)}),
    ((2, 3, 4), 'float64', {'halfcomplex': True, 'axes': (2, 0)}),
]
_SHIFTS = [
    ((6,), 'complex128', {'shift': False}),
    ((4, 3), 'complex128', {'shift': [True, False]}),
    ((4, 3), 'complex64', {'shift': [False, True], 'sign': '+'}),
    (
        (3, 4),
        'float64',
        {'shift': False, 'halfcomplex': False, 'axes': (1,)},
    ),
]
_OPERATORS = [
    (kind, *case)
    for kind, cases in (
        (DiscreteFourierTransform, _COMPLEX + _HALF),
        (FourierTransform, _COMPLEX + _HALF + _SHIFTS),
    )
    for case in cases
]


def _name(value):
    return value.__name__ if isinstance(value, type) else str(value)


every_operator = pytest.mark.parametrize(
    'kind, shape, dtype, options', _OPERATORS, ids=_name
)
way = simple_fixture('way', ['forward', 'inverse'])


def operator_of(kind, shape, dtype, options, impl, way):
    """Return a transform of ODL, or its inverse."""
    operator = kind(space_of(shape, dtype), impl=impl, **options)
    return operator if way == 'forward' else operator.inverse


def basis(space):
    """Return all unit vectors, real and imaginary ones, as a batch."""
    layout = Layout(space)
    size = int(np.prod(layout.shape))
    unit = torch.eye(size, dtype=layout.dtype).reshape(size, *layout.shape)
    return torch.cat([unit, 1j * unit]) if layout.is_complex else unit


def coordinates(batch):
    """Return each sample in the real coordinates of `basis`."""
    if batch.is_complex():
        batch = torch.cat(
            [batch.real.flatten(1), batch.imag.flatten(1)], dim=1
        )
    return batch.flatten(1).double()


@contextlib.contextmanager
def quiet():
    """Let ODL assign complex arrays to real ones, for the real part."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', np.exceptions.ComplexWarning)
        yield


def by_odl(operator, batch):
    """Return ODL's results for the samples of a batch."""
    domain, range = Layout(operator.domain), Layout(operator.range)
    with quiet():
        # planning in the memory of its argument spoils ODL's first result
        operator(operator.domain.one())
        results = [
            range.tensor(operator(domain.element(sample))).clone()
            for sample in batch
        ]
    return torch.stack(results)


def random_batch(space, n_samples=2):
    layout = Layout(space)
    return torch.randn(n_samples, *layout.shape, dtype=layout.dtype)


def tolerance(operator):
    single = Layout(operator.domain).real_dtype == torch.float32
    return 2e-5 if single else 1e-12


def _does_not_compute(operator, impl):
    """Return why ODL itself fails, if it does."""
    if is_complex(operator.range):
        return False
    if isinstance(operator, FourierTransformInverse):
        # complex factors are multiplied to a real array
        return impl != 'numpy' and not all(operator.shifts)
    if operator.halfcomplex:
        # the length of the last axis is not handed to numpy
        odd = operator.range.shape[operator.axes[-1]] % 2 == 1
        return impl == 'numpy' and odd
    # real results of all frequencies are not foreseen in pyfftw
    return impl != 'numpy'


# --- Values --- #


@every_operator
def test_batch_equals_odl(kind, shape, dtype, options, impl, way):
    """A batch is mapped as ODL maps its samples."""
    operator = operator_of(kind, shape, dtype, options, impl, way)
    if _does_not_compute(operator, impl):
        with pytest.raises((ValueError, TypeError)), quiet():
            operator(operator.domain.one())
        return
    x = random_batch(operator.domain)
    before = x.clone()
    apply, _ = linear_maps(operator)
    y = apply(x)
    assert torch.equal(x, before)
    expected = by_odl(operator, x)
    assert y.dtype == expected.dtype
    tol = tolerance(operator) * float(expected.abs().max())
    torch.testing.assert_close(y, expected, rtol=0, atol=tol)


@every_operator
def test_inverse_is_a_left_inverse(kind, shape, dtype, options):
    """The inverse after the transform is the identity."""
    operator = operator_of(kind, shape, dtype, options, 'numpy', 'forward')
    x = random_batch(operator.domain)
    forward, _ = linear_maps(operator)
    backward, _ = linear_maps(operator.inverse)
    tol = tolerance(operator)
    torch.testing.assert_close(backward(forward(x)), x, rtol=tol, atol=tol)


@every_operator
def test_transpose_has_the_transposed_matrix(kind, shape, dtype, options, way):
    """In real coordinates, the matrix of the transpose is transposed."""
    operator = operator_of(kind, shape, dtype, options, 'numpy', way)
    apply, transpose = linear_maps(operator)
    columns = coordinates(apply(basis(operator.domain)))
    rows = coordinates(transpose(basis(operator.range)))
    assert (
        transpose(basis(operator.range)).dtype == Layout(operator.domain).dtype
    )
    tol = tolerance(operator) * float(columns.abs().max())
    torch.testing.assert_close(rows, columns.T, rtol=0, atol=tol)


@every_operator
def test_adjoint(kind, shape, dtype, options, way):
    """The layer's adjoint is that of the weighted inner products."""
    operator = operator_of(kind, shape, dtype, options, 'numpy', way)
    if _does_not_compute(operator, 'numpy'):
        pytest.skip('ODL cannot apply it')
    adjoint = OperatorLayer(operator).adjoint.operator
    assert isinstance(adjoint, AdjointOperator)
    real_linear = not (
        is_complex(operator.domain) and is_complex(operator.range)
    )
    with quiet():
        assert_adjoint(adjoint, real_linear=real_linear)


@pytest.mark.parametrize('kind', [DiscreteFourierTransform, FourierTransform])
@pytest.mark.parametrize(
    'shape, dtype, options',
    [
        ((4, 3), 'complex128', {'axes': (1, 0)}),
        ((3, 4), 'float64', {'halfcomplex': False, 'axes': (1,)}),
        ((4, 5), 'float64', {'halfcomplex': True}),
    ],
)
def test_derivatives(kind, shape, dtype, options, way):
    """Derivatives of layers are right, of first and second order."""
    operator = operator_of(kind, shape, dtype, options, 'numpy', way)
    layer = OperatorLayer(operator, layout='complex')
    x = random_batch(operator.domain, 1).requires_grad_()
    assert gradcheck(layer, x, fast_mode=True)
    assert gradgradcheck(lambda x: layer(x.sin()).square(), x, fast_mode=True)


@every_operator
def test_empty_batch(kind, shape, dtype, options, way):
    """An empty batch has a result of the right shape and dtype."""
    operator = operator_of(kind, shape, dtype, options, 'numpy', way)
    domain, range = Layout(operator.domain), Layout(operator.range)
    apply, transpose = linear_maps(operator)
    y = apply(random_batch(operator.domain, 0))
    x = transpose(random_batch(operator.range, 0))
    assert (y.shape, y.dtype) == ((0, *range.shape), range.dtype)
    assert (x.shape, x.dtype) == ((0, *domain.shape), domain.dtype)


@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_pytorch_spaces(dtype):
    """On pytorch spaces the batch is mapped as on numpy spaces."""
    for kind in (DiscreteFourierTransform, FourierTransform):
        ours, theirs = (
            kind(space_of((4, 5), dtype, backend))
            for backend in ('pytorch', 'numpy')
        )
        x = random_batch(ours.domain)
        y = linear_maps(ours)[0](x)
        torch.testing.assert_close(y, linear_maps(theirs)[0](x))
        torch.testing.assert_close(
            linear_maps(ours)[1](y), linear_maps(theirs)[1](y)
        )


@pytest.mark.parametrize('kind', [DiscreteFourierTransform, FourierTransform])
@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
@pytest.mark.filterwarnings('ignore:.*one sample of a batch after the other')
def test_derived_classes_are_applied_as_they_are(kind, dtype):
    """No map is made of what ODL takes for the adjoint of a derived class."""

    class Derived(kind):
        pass

    operator = Derived(space_of((4, 6), dtype), impl='numpy')
    x = random_batch(operator.domain)
    y = linear_maps(operator)[0](x)
    torch.testing.assert_close(y, by_odl(operator, x))


# --- What is refused --- #


@pytest.mark.parametrize('way', ['forward', 'inverse'])
def test_half_of_complex_arrays(way):
    """With complex arrays, half of the frequencies is refused."""
    operator = FourierTransform(
        space_of((4, 5), 'float64'), halfcomplex=True, shift=[False, True]
    )
    operator = operator if way == 'forward' else operator.inverse
    with pytest.raises(NotImplementedError, match='choose shift=True'):
        OperatorLayer(operator)


def test_half_of_a_complex_space():
    """Half of the frequencies is too few for complex arrays."""
    operator = DiscreteFourierTransform(
        space_of((4, 6), 'complex128'), halfcomplex=True
    )
    with pytest.raises(NotImplementedError, match='for real spaces only'):
        OperatorLayer(operator)


def test_inverse_of_its_own():
    """Inverses that are made directly are mapped, too."""
    space = space_of((4, 5), 'complex128')
    for kind, inverse in (
        (DiscreteFourierTransform, DiscreteFourierTransformInverse),
        (FourierTransform, FourierTransformInverse),
    ):
        x = random_batch(space)
        y = linear_maps(kind(space))[0](x)
        ours = linear_maps(inverse(space, sign='+'))[0](y)
        torch.testing.assert_close(ours, x)
