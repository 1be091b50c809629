# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.


"""Tests of the Fourier transform at any frequencies."""

import copy
import multiprocessing
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
from odl_equivariant.operators import (
    NonUniformFourierTransform,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
    operator_norm,
)
from odl_equivariant.operators.fourier.plans import Plans

pytest.importorskip('finufft')

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['complex128', 'complex64', 'float64'])
shape = simple_fixture('shape', [(6, 5), (7,), (8,), (3, 4, 5)])


def space_of(shape, dtype='complex128', backend='numpy', **keywords):
    """Return a space with cells of different sides, off the centre."""
    n = len(shape)
    return odl.uniform_discr(
        [-1, 0, 2][:n],
        [1, 0.3, 5][:n],
        shape,
        dtype=dtype,
        impl=backend,
        **keywords,
    )


def points_of(space, size=(3, 4), seed=0):
    """Return random coordinates over the whole range of a grid."""
    rng = np.random.default_rng(seed)
    sides = np.array(space.cell_sides)
    return rng.uniform(-1, 1, (*size, len(sides))) * np.pi / sides


def transform_of(shape, dtype='complex128', backend='numpy', **keywords):
    space = space_of(shape, dtype, backend)
    return NonUniformFourierTransform(space, points_of(space), **keywords)


def array(element):
    """Return an element as a complex array of shape ``(P, *shape)``."""
    channels = as_tensor(element).numpy()[0]
    if is_complex(element.space):
        return channels[::2] + 1j * channels[1::2]
    return channels + 0j


def close(ours, theirs, space):
    """Assert that two arrays are equal to the precision of a space."""
    single = tensor_dtype(space) == torch.float32
    np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=2e-5 if single else 1e-10
    )


def direct_sum(image, transform):
    """Return the transform by its definition."""
    space = transform.domain
    result = np.zeros(transform.coordinates.shape[:-1], dtype=complex)
    for index in np.ndindex(space.shape):
        centred = np.array(index) - np.array(space.shape) // 2
        phase = transform.coordinates @ (centred * space.cell_sides)
        result += image[index] * np.exp(-1j * phase)
    return result / np.sqrt(space.size)


# --- Values --- #


def test_values_are_direct_sums(shape, dtype, backend, rng):
    """The transform is the sum that defines it."""
    transform = transform_of(shape, dtype, backend)
    x = random_element(transform.domain, rng)
    y = transform(x)
    assert y in transform.range and transform.range.shape == (3, 4)
    expected = direct_sum(array(x)[0], transform)
    close(array(y)[0], expected, transform.domain)


def test_on_the_grid_it_is_unitary(shape, dtype, backend, rng):
    """At the frequencies of the grid it is the unitary transform."""
    space = space_of(shape, dtype, backend)
    unitary = UnitaryFourierTransform(space)
    points = np.asarray(unitary.range.points()).reshape(*shape, -1)
    transform = NonUniformFourierTransform(space, points)
    x = random_element(space, rng)
    close(array(transform(x)), array(unitary(x)), space)
    y = random_element(transform.range, rng)
    z = unitary.range.element(y.data)
    close(array(transform.adjoint(y)), array(unitary.adjoint(z)), space)


def test_some_frequencies_of_the_grid(dtype, rng):
    """At some frequencies of the grid it has what a mask leaves."""
    space = space_of((6, 5), dtype)
    mask = rng.random((6, 5)) < 0.4
    masked = SubsampledFourierTransform(space, mask)
    points = np.asarray(masked.range.points())[mask.ravel()]
    transform = NonUniformFourierTransform(space, points)
    x = random_element(space, rng)
    close(array(transform(x))[0], array(masked(x))[0][mask], space)
    assert operator_norm(transform) == pytest.approx(
        operator_norm(masked), rel=1e-5
    )


def test_tolerance(rng):
    """The error is about what is asked for, and never exactly zero."""
    x = random_element(space_of((20, 30)), rng)
    points = points_of(x.space)
    values = [
        array(NonUniformFourierTransform(x.space, points, tol)(x))
        for tol in (1e-3, 1e-6, 1e-12)
    ]
    errors = [
        np.linalg.norm(value - values[-1]) / np.linalg.norm(values[-1])
        for value in values[:2]
    ]
    assert 1e-6 < errors[0] < 1e-2 and 0 < errors[1] < 1e-5


def test_coordinates_as_tensors(backend, rng):
    """Coordinates may be tensors, and are copied."""
    space = space_of((6, 5), backend=backend)
    points = torch.from_numpy(points_of(space))
    transform = NonUniformFourierTransform(space, points.requires_grad_())
    expected = points.detach().clone().numpy()
    with torch.no_grad():
        points.zero_()
    np.testing.assert_array_equal(transform.coordinates, expected)
    assert not transform.coordinates.flags.writeable


# --- Adjoint and norm --- #


@pytest.mark.parametrize('tol', [None, 1e-3])
def test_adjoint(shape, dtype, backend, tol):
    """The adjoint is exact in the inner products, for every tolerance."""
    transform = transform_of(shape, dtype, backend, tol=tol)
    assert_adjoint(transform, tol=1e-5 if dtype == 'complex64' else 1e-12)
    assert transform.adjoint.adjoint is transform


def test_adjoint_with_coils(dtype, backend, rng):
    """The adjoint is exact after coils, and for weighted parts."""
    space = space_of((6, 5), dtype, backend)
    maps = rng.standard_normal((3, 6, 5)) + 1j * rng.standard_normal((3, 6, 5))
    encoding = SensitivityEncoding(space, maps)
    points = points_of(space)
    composed = NonUniformFourierTransform(encoding.range, points) * encoding
    tol = 1e-5 if dtype == 'complex64' else 1e-12
    assert_adjoint(composed, tol=tol)
    power = odl.ProductSpace(space, 2, weighting=[1.0, 2.5])
    assert_adjoint(NonUniformFourierTransform(power, points), tol=tol)


def test_coils_are_transformed_alone(dtype, backend, rng):
    """The data of each coil are the transform of its image."""
    space = space_of((6, 5), dtype, backend) ** 2
    points = points_of(space[0])
    x = random_element(space, rng)
    y = NonUniformFourierTransform(space, points)(x)
    one = NonUniformFourierTransform(space[0], points)
    for part, image in zip(y, x, strict=True):
        close(array(part), array(one(image)), space)


def test_norm(shape, dtype):
    """The norm is the largest singular value of the matrix."""
    transform = transform_of(shape, dtype)
    space = transform.domain
    columns = [
        array(transform(space.element(unit.reshape(shape)))).ravel()
        for unit in np.eye(space.size)
    ]
    matrix = np.array(columns).T
    if space.is_real:
        matrix = np.concatenate([matrix.real, matrix.imag])
    expected = np.linalg.svd(matrix, compute_uv=False)[0]
    assert operator_norm(transform) == pytest.approx(expected, rel=1e-5)


def test_norm_does_not_depend_on_lengths():
    """In millimetres and metres the operator has the same norm."""
    norms = []
    for length in (1.0, 1e3):
        space = odl.uniform_discr(
            [0, 0], [length, length], (6, 6), dtype='complex128'
        )
        points = points_of(space)
        norms.append(operator_norm(NonUniformFourierTransform(space, points)))
    assert norms[0] == pytest.approx(norms[1], rel=1e-10)


# --- Symmetries --- #


@pytest.mark.parametrize('n', [5, 6])
def test_turning_the_image_turns_the_coordinates(n, rng):
    """The data of a turned image are those at coordinates turned back.

    Up to a phase for even sizes, where the centre of the grid is not the
    origin of the transform.
    """
    space = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype='complex128')
    points = points_of(space)
    x = random_element(space, rng)
    turned = space.element(np.rot90(x.asarray()).copy())
    # counter-clockwise by 90 degrees: (x, y) goes to (-y, x)
    matrix = np.array([[0, -1], [1, 0]])
    there = NonUniformFourierTransform(space, points)(turned).asarray()
    back = points @ matrix  # the inverse matrix, of each point
    here = NonUniformFourierTransform(space, back)(x).asarray()
    centre = ((n - 1) / 2 - n // 2) * np.array(space.cell_sides)
    phase = np.exp(-1j * (points @ centre - back @ centre))
    np.testing.assert_allclose(there, phase * here, atol=1e-10)


def test_a_shift_is_a_phase(rng):
    """A shift by whole cells multiplies the data by phases."""
    space = space_of((8, 9))
    transform = NonUniformFourierTransform(space, points_of(space))
    values = np.zeros((8, 9), complex)
    values[2:5, 3:6] = rng.standard_normal((3, 3))
    moved = np.roll(values, (2, -1), (0, 1))
    distance = np.array([2, -1]) * space.cell_sides
    phase = np.exp(-1j * transform.coordinates @ distance)
    np.testing.assert_allclose(
        transform(moved).asarray(),
        phase * transform(values).asarray(),
        atol=1e-10,
    )


# --- How it is called --- #


def test_out_and_arguments(dtype, backend, rng):
    """``op(x, out=y)`` gives the value of ``op(x)`` and leaves ``x``."""
    transform = transform_of((6, 5), dtype, backend)
    for operator in (transform, transform.adjoint):
        x = random_element(operator.domain, rng)
        before = array(x).copy()
        expected = operator(x)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        close(array(out), array(expected), operator.domain)
        out.set_zero()
        close(array(operator(x)), array(expected), operator.domain)
        np.testing.assert_array_equal(array(x), before)


def test_pickles(dtype, backend, rng):
    """Pickled and copied operators do the same, used before or not."""
    transform = transform_of((6, 5), dtype, backend)
    for operator in (transform, transform.adjoint):
        before = pickle.loads(pickle.dumps(operator))
        x = random_element(operator.domain, rng)
        expected = array(operator(x))
        for other in (
            before,
            pickle.loads(pickle.dumps(operator)),
            copy.deepcopy(operator),
        ):
            np.testing.assert_array_equal(array(other(x)), expected)


def test_threads_share_an_operator(rng):
    """Threads that use one operator at the same time are not mixed up."""
    transform = transform_of((20, 30))
    inputs = [random_element(transform.domain, rng) for _ in range(12)]
    expected = [array(transform(x)) for x in inputs]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda x: array(transform(x)), inputs * 4))
    for result, value in zip(results, expected * 4, strict=True):
        np.testing.assert_array_equal(result, value)


class _Exclusive:
    """A plan that one thread at a time may use."""

    def __init__(self, plan):
        self.plan, self.lock = plan, threading.Lock()

    def execute(self, array, out):
        assert self.lock.acquire(blocking=False)
        time.sleep(0.01)
        self.plan.execute(array, out=out)
        self.lock.release()


def test_threads_do_not_share_plans(rng):
    """No plan is used by two threads at the same time."""
    points = rng.uniform(-np.pi, np.pi, (9, 2))
    plans = Plans(points, (6, 5), 1e-12)
    make = plans._make
    plans._make = lambda *key: _Exclusive(make(*key))
    x = rng.standard_normal((2, 6, 5)) + 0j
    expected = plans.apply(x)
    with ThreadPoolExecutor(6) as pool:
        for result in pool.map(plans.apply, [x] * 24):
            np.testing.assert_array_equal(result, expected)


def test_plans_are_reused_and_few(monkeypatch):
    """A second call makes no plan, and only a few plans are kept."""
    transform = transform_of((6, 5))
    layer = OperatorLayer(transform)
    plans = next(
        cell.cell_contents
        for cell in transform.maps[0].__closure__
        if isinstance(cell.cell_contents, Plans)
    )
    made = []
    make = plans._make
    monkeypatch.setattr(
        plans, '_make', lambda *key: made.append(key) or make(*key)
    )
    for _ in range(3):
        layer.adjoint(layer(batch(transform.domain, 2)))
    assert len(made) == 1
    for n in range(1, 9):
        layer(batch(transform.domain, n))
    assert sum(map(len, plans._idle.values())) == 4


def test_threads_are_those_of_torch(monkeypatch, rng):
    """The library takes as many threads as torch has."""
    import finufft

    numbers = []
    plan = finufft.Plan

    def spy(*args, nthreads, **keywords):
        numbers.append(nthreads)
        return plan(*args, nthreads=nthreads, **keywords)

    monkeypatch.setattr(finufft, 'Plan', spy)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    transform = transform_of((6, 5))
    transform(random_element(transform.domain, rng))
    assert numbers == [3]


def _value(transform, image):
    return array(transform(image))


@pytest.mark.slow
@pytest.mark.parametrize('method', ['fork', 'spawn'])
@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_worker_processes(method, rng):
    """Started and forked processes give the same values."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f'no {method} on this system')
    transform = transform_of((6, 5))
    x = random_element(transform.domain, rng)
    expected = _value(transform, x)
    with multiprocessing.get_context(method).Pool(1) as pool:
        result = pool.apply_async(_value, (transform, x)).get(timeout=120)
    np.testing.assert_allclose(result, expected, atol=1e-12)


# --- Layers --- #


def batch(space, n_samples=3, **keywords):
    shape = (n_samples, n_channels(space), *grid_shape(space))
    return torch.randn(shape, dtype=tensor_dtype(space), **keywords)


def test_layer_equals_its_operator(shape, dtype, backend):
    """A batch is mapped to what the operator maps its samples to."""
    transform = transform_of(shape, dtype, backend)
    forward = OperatorLayer(transform)
    for layer in (forward, OperatorLayer(transform.adjoint), forward.adjoint):
        operator = layer.operator
        x = batch(operator.domain)
        before = x.clone()
        y = layer(x)
        assert torch.equal(x, before)
        for sample, result in zip(x, y, strict=True):
            expected = operator(as_element(sample, operator.domain))
            ours = as_element(result, operator.range)
            close(array(ours), array(expected), operator.domain)


def test_layer_of_coils(rng):
    """A batch of images of several coils is one larger batch."""
    space = space_of((6, 5)) ** 3
    transform = NonUniformFourierTransform(space, points_of(space[0]))
    layer = OperatorLayer(transform, layout='complex')
    x = torch.randn(2, 3, 6, 5, dtype=torch.complex128)
    y = layer(x)
    one = NonUniformFourierTransform(space[0], points_of(space[0]))
    for i, j in np.ndindex(2, 3):
        expected = one(space[0].element(x[i, j].numpy())).asarray()
        np.testing.assert_allclose(y[i, j], expected, atol=1e-12)


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_derivatives_of_layers(shape, dtype):
    """Derivatives of first and second order are right."""
    transform = transform_of(shape, dtype)
    for operator in (transform, transform.adjoint):
        layer = OperatorLayer(operator)
        x = batch(operator.domain, 1, requires_grad=True)
        assert gradcheck(layer, x, check_forward_ad=True, fast_mode=True)
        assert gradgradcheck(
            lambda x, layer=layer: layer(x.sin()).square(), x, fast_mode=True
        )


def test_layer_of_an_empty_batch(dtype):
    """No samples give no results, of the right shape."""
    transform = transform_of((6, 5), dtype)
    for operator in (transform, transform.adjoint):
        result = OperatorLayer(operator)(batch(operator.domain, 0))
        assert result.shape == batch(operator.range, 0).shape


def test_layer_of_a_conjugate(rng):
    """A lazily conjugated tensor counts as its values."""
    layer = OperatorLayer(transform_of((6, 5)), layout='complex')
    x = torch.randn(1, 1, 6, 5, dtype=torch.complex128)
    assert torch.equal(layer(x.conj()), layer(x.conj().resolve_conj()))


# --- What is refused --- #


@pytest.mark.parametrize(
    'points, message',
    [
        ([[1.0, 2.0, 3.0]], r'shape \(\.\.\., 2\).*got \(1, 3\)'),
        ([1.0, 2.0], r'shape \(\.\.\., 2\)'),
        (np.ones((2, 7)), 'move the first axis to the end'),
        (np.ones((0, 2)), 'at least one point'),
        ([[1.0, np.nan]], 'finite, got 1 NaN'),
        ([[np.inf, 1.0]], 'finite, got 1 NaN'),
        ([[10.0, 3.0]], r'from -9.4\d* to 9.4\d* along axis 0'),
        ([[0.0, -60.0]], 'along axis 1.*up to 60.*angular_frequencies'),
    ],
)
def test_wrong_coordinates(points, message, backend):
    """Coordinates that do not fit are refused, with what is expected."""
    with pytest.raises(ValueError, match=message):
        NonUniformFourierTransform(space_of((6, 5), backend=backend), points)


@pytest.mark.parametrize('points', [[[1j, 0]], [['1', '2']], [[True, False]]])
def test_wrong_dtype_of_coordinates(points):
    """Coordinates are real numbers."""
    with pytest.raises(TypeError, match='real numbers'):
        NonUniformFourierTransform(space_of((6, 5)), points)


def test_low_coordinates():
    """Coordinates far below those of the grid may be in another unit."""
    space = space_of((6, 5))
    with pytest.warns(UserWarning, match='reach only 0.053') as warned:
        transform = NonUniformFourierTransform(space, [[0.5, 0.5]])
    assert warned[0].filename == __file__
    pickle.loads(pickle.dumps(transform))  # without a second warning


@pytest.mark.parametrize('tol', [0, 1.0, 1e-17, np.nan])
def test_wrong_tolerance(tol):
    """The tolerance is one that finufft can reach."""
    with pytest.raises(ValueError, match='`tol` must be'):
        transform_of((6, 5), tol=tol)


def test_spaces_without_a_uniform_grid():
    """Where cells differ there is no transform."""
    grid = odl.nonuniform_partition([0, 1, 3, 7])
    space = odl.DiscretizedSpace(grid, odl.cn(4))
    with pytest.raises(ValueError, match='uniform|constant'):
        NonUniformFourierTransform(space, [[1.0]])


def test_spaces_with_four_axes():
    """The library transforms along one, two or three axes."""
    with pytest.raises(ValueError, match='one to three axes'):
        NonUniformFourierTransform(odl.cn((2, 2, 2, 2)), np.ones((1, 4)))


def test_spaces_of_other_dtypes():
    """Images are of single or double precision."""
    with pytest.raises(TypeError, match='dtype'):
        NonUniformFourierTransform(odl.tensor_space(4, dtype='int64'), [[1.0]])
