# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of the unitary Fourier transform."""

import concurrent.futures
import multiprocessing
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from odl.trafos.util import reciprocal_grid
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import inner, norm, random_element
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    grid_shape,
    is_complex,
    n_channels,
    tensor_dtype,
)
from odl_equivariant.operators import OperatorLayer
from odl_equivariant.operators.fourier.fft_torch import centred_fft_torch
from odl_equivariant.operators.fourier.unitary import (
    UnitaryFourierTransform,
    UnitaryFourierTransformInverse,
)

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['float32', 'complex128'])
every_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)


def discr(shape, dtype, backend, **keywords):
    """Return a space of images on a grid that is not centred."""
    ndim = len(shape)
    return odl.uniform_discr(
        [-1.0] * ndim,
        [2.0 + axis for axis in range(ndim)],
        shape,
        dtype=dtype,
        impl=backend,
        **keywords,
    )


def tensors(shape, dtype, backend, **keywords):
    """Return a space of arrays."""
    make = odl.cn if dtype.startswith('complex') else odl.rn
    return make(shape, dtype=dtype, impl=backend, **keywords)


_CASES = {
    'even': lambda *args: (discr((4, 6), *args), None),
    'odd': lambda *args: (discr((5, 3), *args), None),
    'oblong': lambda *args: (discr((2, 7), *args), None),
    'one cell': lambda *args: (discr((1, 4), *args), None),
    '1D': lambda *args: (discr((6,), *args), None),
    '3D': lambda *args: (discr((3, 4, 2), *args), None),
    '3D, some axes': lambda *args: (discr((3, 4, 2), *args), (-1, 0)),
    'one axis': lambda *args: (discr((4, 5), *args), 1),
    'weighted': lambda *args: (discr((4, 5), *args, weighting=3.0), None),
    'tensors': lambda *args: (tensors((4, 5), *args), None),
    'weighted tensors': lambda *args: (
        tensors((4, 5), *args, weighting=0.3),
        (0,),
    ),
    'power': lambda *args: (discr((4, 5), *args) ** 3, None),
    'nested, weighted power': lambda *args: (
        odl.ProductSpace(
            odl.ProductSpace(discr((3, 4), *args), 2, weighting=[2.0, 5.0]),
            2,
            weighting=7.0,
        ),
        (0,),
    ),
}
case = simple_fixture('case', list(_CASES))


def transform_of(case, dtype, backend):
    """Return the transform of a case."""
    return UnitaryFourierTransform(*_CASES[case](dtype, backend))


def complex_array(element):
    """Return an element as an array of shape ``(P, *shape)``."""
    channels = as_tensor(element).double().numpy()[0]
    if is_complex(element.space):
        return channels[::2] + 1j * channels[1::2]
    return channels + 0j


def from_array(array, space):
    """Return a complex array of shape ``(P, *shape)`` as an element."""
    channels = torch.from_numpy(np.array(array))
    if is_complex(space):
        channels = torch.stack([channels.real, channels.imag], 1).flatten(0, 1)
    else:
        channels = channels.real
    return as_element(channels.to(tensor_dtype(space)), space)


def reference(x, axes):
    """Return the sums of the definition."""
    for axis in axes:
        n = x.shape[axis + 1]
        k = np.arange(n) - n // 2
        matrix = np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis + 1)), 0, axis + 1)
    return x


def tolerance(space):
    return 1e-5 if tensor_dtype(space) == torch.float32 else 1e-12


def close(ours, theirs):
    """Assert that two elements are equal to rounding."""
    assert ours.space == theirs.space
    np.testing.assert_allclose(
        complex_array(ours),
        complex_array(theirs),
        rtol=0,
        atol=tolerance(ours.space),
    )


# --- Values --- #


@every_dtype
def test_definition(case, dtype, backend, rng):
    """The transform is the matrix with centred indices."""
    transform = transform_of(case, dtype, backend)
    x = random_element(transform.domain, rng)
    y = transform(x)
    assert y in transform.range
    np.testing.assert_allclose(
        complex_array(y),
        reference(complex_array(x), transform.axes),
        rtol=0,
        atol=tolerance(transform.domain),
    )


@every_dtype
def test_inner_products_are_kept(case, dtype, backend, rng):
    """The transform keeps the weighted inner products too."""
    transform = transform_of(case, dtype, backend)
    x, y = (random_element(transform.domain, rng) for _ in range(2))
    ours = inner(transform.range, transform(x), transform(y))
    scale = norm(transform.domain, x) * norm(transform.domain, y)
    error = abs(ours - inner(transform.domain, x, y))
    assert error < tolerance(transform.domain) * scale


@every_dtype
def test_inverse_from_the_left(case, dtype, backend, rng):
    """The inverse undoes the transform, also on real spaces."""
    transform = transform_of(case, dtype, backend)
    x = random_element(transform.domain, rng)
    close(transform.inverse(transform(x)), x)
    close(transform.adjoint(transform(x)), x)


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_inverse_from_the_right(case, dtype, backend, rng):
    """On complex spaces the transform undoes its inverse."""
    transform = transform_of(case, dtype, backend)
    y = random_element(transform.range, rng)
    close(transform(transform.inverse(y)), y)


@every_dtype
def test_adjoint(case, dtype, backend):
    """The adjoint is that of the weighted inner products."""
    transform = transform_of(case, dtype, backend)
    real_linear = not is_complex(transform.domain)
    assert_adjoint(transform, real_linear=real_linear)
    assert_adjoint(transform.adjoint, real_linear=real_linear)


def test_adjoint_of_the_adjoint(case, dtype, backend):
    """The way there and back ends at the transform."""
    transform = transform_of(case, dtype, backend)
    for inverse in (transform.adjoint, transform.inverse):
        assert type(inverse) is UnitaryFourierTransformInverse
        assert inverse.axes == transform.axes
        assert inverse.domain == transform.range
        assert inverse.range == transform.domain
        for back in (inverse.adjoint, inverse.inverse):
            assert type(back) is UnitaryFourierTransform
            assert back.axes == transform.axes
            assert back.domain == transform.domain


@pytest.mark.parametrize('shape', [(8,), (4, 6), (5, 7), (2, 3, 4)])
@every_dtype
def test_peak_at_the_origin(shape, dtype, backend):
    """A peak at index ``n // 2`` is a constant, and the other way round."""
    transform = UnitaryFourierTransform(discr(shape, dtype, backend))
    peak = np.zeros((1, *shape))
    peak[(0, *(n // 2 for n in shape))] = 1
    constant = np.full((1, *shape), np.prod(shape) ** -0.5)
    domain, range = transform.domain, transform.range
    close(transform(from_array(peak + 0j, domain)), range.element(constant[0]))
    close(
        transform(from_array(constant + 0j, domain)),
        from_array(peak + 0j, range),
    )


@pytest.mark.parametrize('shape', [(8,), (4, 6), (5, 7)])
@pytest.mark.parametrize('shift', [1, -2])
def test_shift_theorem(shape, shift, dtype, backend, rng):
    """A periodic shift is a phase, that of the range's own grid."""
    transform = UnitaryFourierTransform(discr(shape, dtype, backend))
    domain, range = transform.domain, transform.range
    x = complex_array(random_element(domain, rng))
    shifted = np.roll(x, shift, axis=1)
    frequencies = np.asarray(range.grid.coord_vectors[0])
    distance = shift * float(domain.cell_sides[0])
    phase = np.exp(-1j * frequencies * distance)
    phase = phase.reshape(-1, *[1] * (len(shape) - 1))
    expected = phase * complex_array(transform(from_array(x, domain)))
    close(transform(from_array(shifted, domain)), from_array(expected, range))


# --- Range --- #


@pytest.mark.parametrize('shape', [(8,), (5,), (4, 7), (3, 4, 5)])
def test_grid_of_frequencies(shape, dtype, backend):
    """The range has the grid that ODL makes, with zero at ``n // 2``."""
    domain = discr(shape, dtype, backend)
    range = UnitaryFourierTransform(domain).range
    theirs = reciprocal_grid(domain.grid, shift=[n % 2 == 0 for n in shape])
    for n, ours, expected in zip(
        shape, range.grid.coord_vectors, theirs.coord_vectors, strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)
        assert ours[n // 2] == pytest.approx(0, abs=1e-12)


def test_axes_that_are_not_transformed_keep_their_grid():
    """Only the grid along the axes of the transform changes."""
    domain = discr((4, 5), 'float32', 'numpy')
    range = UnitaryFourierTransform(domain, axes=-1).range
    ours, theirs = range.grid.coord_vectors, domain.grid.coord_vectors
    np.testing.assert_allclose(ours[0], theirs[0])
    assert range.min_pt[0] == domain.min_pt[0]
    assert not np.allclose(ours[1], theirs[1])


@every_dtype
def test_range(case, dtype, backend):
    """The range is complex, of the domain's weights, shape and back-end."""
    transform = transform_of(case, dtype, backend)
    domain, range = transform.domain, transform.range
    assert is_complex(range)
    assert tensor_dtype(range) == tensor_dtype(domain)
    assert grid_shape(range) == grid_shape(domain)
    while isinstance(domain, odl.ProductSpace):
        assert len(range) == len(domain)
        domain, range = domain[0], range[0]
    assert range.weighting.const == domain.weighting.const
    assert range.impl == domain.impl
    assert isinstance(range, odl.DiscretizedSpace) == isinstance(
        domain, odl.DiscretizedSpace
    )


@every_dtype
def test_norm(case, dtype, backend):
    """The norm is known, without an estimate and with one."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        assert operator.norm() == operator.norm(estimate=True) == 1.0


# --- How it is called --- #


def test_arguments_are_not_changed(case, dtype, backend, rng):
    """Neither direction writes to its argument."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        x = random_element(operator.domain, rng)
        before = complex_array(x).copy()
        operator(x)
        np.testing.assert_array_equal(complex_array(x), before)


def test_out(case, dtype, backend, rng):
    """``op(x, out=y)`` gives the value of ``op(x)``."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        x = random_element(operator.domain, rng)
        expected = operator(x)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        close(out, expected)


@every_dtype
def test_aliased_out(dtype, backend, rng):
    """``op(x, out=x)`` gives the value of ``op(x)``."""
    dtype = {'float32': 'complex64', 'float64': 'complex128'}.get(dtype, dtype)
    transform = UnitaryFourierTransform(tensors((4, 5), dtype, backend))
    for operator in (transform, transform.inverse):
        x = random_element(operator.domain, rng)
        expected = operator(x)
        operator(x, out=x)
        close(x, expected)


def test_results_have_memory_of_their_own(case, dtype, backend, rng):
    """Writing to a result changes neither the argument nor other results."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        x = random_element(operator.domain, rng)
        before = complex_array(x).copy()
        first, second = operator(x), operator(x)
        expected = complex_array(second).copy()
        first.set_zero()
        np.testing.assert_array_equal(complex_array(x), before)
        np.testing.assert_array_equal(complex_array(second), expected)


def test_gradients_are_not_recorded(rng):
    """Elements with a graph have transforms without one."""
    domain = discr((4, 5), 'float64', 'pytorch')
    transform = UnitaryFourierTransform(domain)
    x = domain.element(torch.randn(4, 5, dtype=torch.double).requires_grad_())
    assert not transform(x).data.requires_grad


def test_pickles(case, dtype, backend, rng):
    """A pickled transform is the same, and holds no plans."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        x = random_element(operator.domain, rng)
        expected = operator(x)
        copy = pickle.loads(pickle.dumps(operator))
        assert copy.domain == operator.domain
        assert copy.range == operator.range
        close(copy(x), expected)


def _in_process(operator, x, connection):
    connection.send(operator(x).data)


@pytest.mark.slow
def test_spawned_process(rng):
    """A transform is of use in a process of its own."""
    transform = UnitaryFourierTransform(discr((4, 5), 'complex64', 'numpy'))
    x = random_element(transform.domain, rng)
    expected = transform(x)
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_process, args=(transform, x, theirs))
    process.start()
    try:
        assert ours.poll(120), 'the process does not answer'
        close(transform.range.element(ours.recv()), expected)
    finally:
        process.kill()
        process.join()


def test_python_threads(dtype, rng):
    """Threads that share an operator get the bits that one thread gets."""
    transform = UnitaryFourierTransform(discr((32, 33), dtype, 'numpy'))
    inputs = [random_element(transform.domain, rng) for _ in range(8)]

    def work(x):
        return [transform.adjoint(transform(x)).data for _ in range(5)]

    expected = [work(x)[0] for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, inputs))
    for ours, theirs in zip(results, expected, strict=True):
        for result in ours:
            np.testing.assert_array_equal(result, theirs)


@pytest.mark.cuda
def test_gpu(dtype, rng):
    """On a GPU, the transform is that on the CPU."""
    on_gpu = UnitaryFourierTransform(
        discr((4, 5), dtype, 'pytorch', device='cuda:0')
    )
    on_cpu = UnitaryFourierTransform(discr((4, 5), dtype, 'pytorch'))
    for ours, theirs in ((on_gpu, on_cpu), (on_gpu.inverse, on_cpu.inverse)):
        x = random_element(theirs.domain, rng)
        y = ours(ours.domain.element(x.data.to('cuda:0')))
        assert y.data.device.type == 'cuda'
        close(theirs.range.element(y.data.cpu()), theirs(x))


# --- Layers --- #


def batch(space, n_samples=3, **keywords):
    shape = (n_samples, n_channels(space), *grid_shape(space))
    return torch.randn(shape, dtype=tensor_dtype(space), **keywords)


@every_dtype
def test_layer_equals_its_operator(case, dtype, backend):
    """A batch is mapped to what the operator maps its samples to."""
    transform = transform_of(case, dtype, backend)
    for operator in (transform, transform.inverse):
        forward = OperatorLayer(operator)
        for layer in (forward, forward.adjoint):
            x = batch(layer.operator.domain)
            before = x.clone()
            y = layer(x)
            assert torch.equal(x, before)
            for sample, result in zip(x, y, strict=True):
                element = as_element(sample, layer.operator.domain)
                close(
                    as_element(result, layer.operator.range),
                    layer.operator(element),
                )


def test_layer_takes_the_batch_at_once(dtype, backend, monkeypatch):
    """A layer makes no elements."""
    transform = UnitaryFourierTransform(discr((4, 5), dtype, backend))
    layer = OperatorLayer(transform)
    monkeypatch.setattr(UnitaryFourierTransform, '_call', None)
    monkeypatch.setattr(UnitaryFourierTransformInverse, '_call', None)
    x = batch(transform.domain, requires_grad=True)
    layer.adjoint(layer(x)).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_layer_of_an_empty_batch(case, dtype):
    """No samples give no results, of the right shape."""
    transform = transform_of(case, dtype, 'numpy')
    for operator in (transform, transform.inverse):
        layer = OperatorLayer(operator)
        y = layer(batch(operator.domain, 0))
        assert y.shape == batch(operator.range, 0).shape
        assert y.dtype == tensor_dtype(operator.range)


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
@pytest.mark.parametrize(
    'case', ['odd', '3D, some axes', 'nested, weighted power']
)
def test_derivatives_of_layers(case, dtype):
    """Derivatives of first and second order are right."""
    transform = transform_of(case, dtype, 'numpy')
    for operator in (transform, transform.inverse):
        layer = OperatorLayer(operator)
        x = batch(operator.domain, 1, requires_grad=True)
        assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(
            lambda x, layer=layer: layer(x.sin()).square(), x, fast_mode=True
        )


def test_complex_layout(backend, rng):
    """In the complex layout a layer is the transform of complex tensors."""
    transform = UnitaryFourierTransform(discr((4, 5), 'complex128', backend))
    x = torch.randn(2, 1, 4, 5, dtype=torch.complex128)
    torch.testing.assert_close(
        OperatorLayer(transform, layout='complex')(x),
        centred_fft_torch(x, (-2, -1)),
    )


# --- What is refused --- #


@pytest.mark.parametrize('axes', [2, -3, (0, 2), (0, 0), (0, -2), ()])
def test_wrong_axes(axes, backend):
    """Axes must be in the space, and different."""
    with pytest.raises(ValueError, match='`axes` must be'):
        UnitaryFourierTransform(discr((4, 5), 'float32', backend), axes)


def test_axes_that_are_no_integers():
    """Half an axis there is not."""
    with pytest.raises(TypeError):
        UnitaryFourierTransform(odl.rn((4, 5)), 0.5)


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: odl.rn(3, weighting=[1.0, 2.0, 3.0]), 'not one constant'),
        (
            lambda: odl.uniform_discr(0, 1, 3, weighting=np.arange(1.0, 4.0)),
            'not one constant',
        ),
        (
            lambda: odl.uniform_discr(0, 1, 4, nodes_on_bdry=True),
            'the boundary cuts cells',
        ),
        (lambda: odl.rn(3, exponent=1.0), 'exponent 1.0'),
        (lambda: odl.uniform_discr(0, 1, 4, exponent=1.0), 'exponent 1.0'),
        (lambda: odl.ProductSpace(odl.rn(3), 2, exponent=1.0), 'exponent 1.0'),
        (lambda: odl.ProductSpace(odl.rn(3), odl.rn(4)), 'equal comp'),
        (lambda: odl.ProductSpace(field=odl.RealNumbers()), 'equal comp'),
        (lambda: odl.rn(0), 'nothing to transform'),
        (lambda: odl.rn(()), 'nothing to transform'),
    ],
)
def test_transform_is_not_unitary(make, message):
    """Spaces in which there is no unitary transform are refused."""
    space = make()
    for kind in (UnitaryFourierTransform, UnitaryFourierTransformInverse):
        with pytest.raises(ValueError, match=message):
            kind(space)


@pytest.mark.parametrize(
    'make',
    [
        lambda: odl.RealNumbers(),
        lambda: 'space',
        lambda: odl.tensor_space(3, dtype='int64'),
    ],
)
def test_no_space_of_arrays(make):
    """What is no space of floating point numbers is refused."""
    with pytest.raises(TypeError):
        UnitaryFourierTransform(make())
