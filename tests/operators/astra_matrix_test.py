# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the ray transform by a sparse matrix."""

import gc
from collections import OrderedDict

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import (
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from odl.applications.tomo.operators import ray_trafo
from odl.core.util.testutils import simple_fixture

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import _astra_matrix, _registration
from odl_equivariant.operators._astra_matrix import AstraMatrixImpl

dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
shape = simple_fixture('shape', [(12, 12), (13, 13), (12, 9)])
beam = simple_fixture('beam', ['parallel', 'fan'])


def image_space(shape=(12, 12), dtype='float32', backend='numpy'):
    """Return a space of images with square cells, off the origin."""
    low = np.array([-0.3, -0.2])
    return odl.uniform_discr(
        low, low + 0.05 * np.array(shape), shape, dtype=dtype, impl=backend
    )


def geometry_of(beam, space, n_views=6, n_detectors=17):
    """Return a geometry that sees the whole image."""
    if beam == 'parallel':
        return parallel_beam_geometry(space, n_views, n_detectors)
    return cone_beam_geometry(
        space, 2.0, 3.0, num_angles=n_views, det_shape=n_detectors
    )


def tolerance(dtype):
    """Return the relative error of rounding."""
    return 1e-5 if dtype in ('float32', 'complex64') else 1e-12


def relative_error(x, y):
    """Return the relative difference between two elements."""
    x, y = as_tensor(x).double(), as_tensor(y).double()
    return float((x - y).norm() / y.norm())


def centred(size, dtype='float64'):
    """Return a square space that quarter turns map to itself."""
    side = 0.5 * size
    return odl.uniform_discr(
        [-side, -side], [side, side], (size, size), dtype=dtype
    )


# --- Equality with ODL's own back-end --- #


def test_projection_equals_that_of_astra_cpu(beam, shape, backend):
    """Forward and adjoint are ASTRA's own, to single precision."""
    space = image_space(shape, backend=backend)
    geometry = geometry_of(beam, space, n_views=6 + shape[0] % 2)
    ours = RayTransform(space, geometry, impl='astra_matrix')
    theirs = RayTransform(space, geometry, impl='astra_cpu')
    rng = np.random.default_rng(1)
    x = random_element(space, rng)
    assert ours(x) in theirs.range
    assert relative_error(ours(x), theirs(x)) < 1e-5
    y = random_element(ours.range, rng)
    assert relative_error(ours.adjoint(y), theirs.adjoint(y)) < 1e-5


@pytest.mark.parametrize('size, n_views', [(12, 6), (13, 6), (12, 8)])
def test_symmetric_matrix_equals_astra_cpu(size, n_views, rng):
    """Where the matrix is given its exact symmetry, it is ASTRA's still."""
    space = centred(size, 'float32')
    geometry = parallel_beam_geometry(space, n_views, 19)
    assert _astra_matrix.has_quarter_turns(geometry, space)
    ours = RayTransform(space, geometry, impl='astra_matrix')
    theirs = RayTransform(space, geometry, impl='astra_cpu')
    x, y = random_element(space, rng), random_element(ours.range, rng)
    assert relative_error(ours(x), theirs(x)) < 1e-5
    assert relative_error(ours.adjoint(y), theirs.adjoint(y)) < 1e-5


@pytest.mark.parametrize('size, n_detectors', [(12, 19), (13, 18), (13, 19)])
def test_quarter_turn_permutes_the_data(size, n_detectors, rng):
    """A turned image has the data of the other half of the views, exactly."""
    space = centred(size)
    geometry = parallel_beam_geometry(space, 6, n_detectors)
    transform = RayTransform(space, geometry, impl='astra_matrix')
    x = random_element(space, rng)
    y = transform(x).data
    turned = transform(space.element(np.rot90(x.data))).data
    # seen from the other side, a view runs backwards
    moved = np.concatenate([y[3:, ::-1], y[:3]])
    assert np.abs(turned - moved).max() < 1e-12 * np.abs(y).max()


def test_offset_grid_has_no_quarter_turns():
    """A grid off the origin keeps ASTRA's own matrix."""
    space = image_space()
    geometry = geometry_of('parallel', space)
    assert not _astra_matrix.has_quarter_turns(geometry, space)


# --- Adjoint --- #


def test_adjoint_is_exact(beam, dtype, backend):
    """``<A x, y> = <x, A* y>`` to rounding, in single and double precision."""
    space = image_space((12, 9), dtype, backend)
    transform = RayTransform(
        space, geometry_of(beam, space), impl='astra_matrix'
    )
    assert adjoint_error(transform, n_samples=1) < tolerance(dtype)


def test_double_precision_is_that_of_the_matrix(beam, rng):
    """The data are linear in the image to double precision."""
    space = image_space(dtype='float64')
    transform = RayTransform(
        space, geometry_of(beam, space), impl='astra_matrix'
    )
    x, y = random_element(space, rng), random_element(space, rng)
    sum_ = transform(x) + 1e-9 * transform(y)
    assert relative_error(transform(x + 1e-9 * y), sum_) < 1e-14


def test_complex_images_are_projected_by_their_parts(backend, rng):
    """The real and the imaginary part are two images."""
    space = image_space(dtype='complex128', backend=backend)
    geometry = geometry_of('parallel', space)
    transform = RayTransform(space, geometry, impl='astra_matrix')
    x = random_element(space, rng)
    y = as_tensor(transform(x))
    real = RayTransform(space.real_space, geometry, impl='astra_matrix')
    for part, data in zip((x.real, x.imag), y[0], strict=True):
        torch.testing.assert_close(as_tensor(real(part))[0, 0], data)


@pytest.mark.parametrize('weighting', [2.0, None])
def test_weights_of_the_data_space_count(weighting):
    """A data space of another weight has the adjoint in its inner product."""
    space = image_space(dtype='float64')
    geometry = geometry_of('parallel', space)
    data_space = odl.uniform_discr_frompartition(
        geometry.partition, dtype='float64', weighting=weighting
    )
    transform = RayTransform(
        space, geometry, impl='astra_matrix', proj_space=data_space
    )
    assert adjoint_error(transform, n_samples=1) < 1e-12


# --- As a part of ODL --- #


def test_out_receives_the_result(beam, backend, rng):
    """``A(x, out=y)`` writes to ``y`` what ``A(x)`` returns, both ways."""
    space = image_space(backend=backend)
    transform = RayTransform(
        space, geometry_of(beam, space), impl='astra_matrix'
    )
    for operator in (transform, transform.adjoint):
        x = random_element(operator.domain, rng)
        before = as_tensor(x, copy=True)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        assert relative_error(operator(x), out) == 0
        assert torch.equal(as_tensor(x), before)


def test_result_keeps_its_values(backend, rng):
    """A result is not overwritten by the next evaluation."""
    space = image_space(backend=backend)
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    y = transform(space.one())
    before = as_tensor(y, copy=True)
    transform(random_element(space, rng))
    assert torch.equal(as_tensor(y), before)


def test_back_end_is_the_default_where_there_is_no_gpu(monkeypatch):
    """ODL takes the matrix by default, and CUDA where it exists."""
    assert ray_trafo.RAY_TRAFO_IMPLS['astra_matrix'] is AstraMatrixImpl
    for known, last in (
        (('astra_cpu',), 'astra_matrix'),
        (('astra_cpu', 'astra_cuda'), 'astra_cuda'),
    ):
        registry = OrderedDict.fromkeys(known)
        monkeypatch.setattr(_registration, 'RAY_TRAFO_IMPLS', registry)
        _registration.register()
        _registration.register()
        assert sorted(registry) == sorted({*known, 'astra_matrix'})
        assert next(reversed(registry)) == last


def test_odl_finds_the_back_end_by_default(rng):
    """A ray transform without ``impl`` is the matrix or CUDA."""
    space = image_space()
    transform = RayTransform(space, geometry_of('parallel', space))
    expected = next(reversed(ray_trafo.RAY_TRAFO_IMPLS.values()))
    assert isinstance(transform.get_impl(), expected)


# --- Memory --- #


def matrix_of(shift=0.0, n_views=6, n_detectors=17, dtype='float32', beam=0):
    """Return the matrix for a new space and a new geometry."""
    space = odl.uniform_discr([shift, 0], [shift + 1, 1], (8, 8), dtype=dtype)
    geometry = geometry_of(
        ('parallel', 'fan')[beam], image_space(), n_views, n_detectors
    )
    transform = RayTransform(space, geometry, impl='astra_matrix')
    return transform.get_impl().matrix


def test_matrix_is_shared_between_transforms():
    """Transforms of one geometry, however made, hold one matrix."""
    matrix = matrix_of()
    assert matrix_of() is matrix
    assert matrix_of(dtype='complex64') is matrix


@pytest.mark.parametrize(
    'change',
    [
        {'shift': 0.1},
        {'n_views': 5},
        {'n_detectors': 18},
        {'dtype': 'float64'},
        {'beam': 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_matrix_is_not_shared_with_another_geometry(change):
    """The place of the grid, the geometry and the precision count."""
    matrix = matrix_of()
    assert matrix_of(**change) is not matrix


def test_matrix_is_freed_with_its_last_transform():
    """Nothing keeps the matrix of a transform that is gone."""
    gc.collect()
    before = len(_astra_matrix._MATRICES)
    space = image_space((11, 10))
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    transform.adjoint(transform(space.one()))
    assert len(_astra_matrix._MATRICES) == before + 1
    del transform
    gc.collect()
    assert len(_astra_matrix._MATRICES) == before


# --- Bad input --- #


def implementation(space, geometry):
    """Make the back-end of a transform."""
    return RayTransform(space, geometry, impl='astra_matrix').get_impl()


def test_three_dimensions_are_refused():
    """The error names the dimension and what to take."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4), dtype='float32')
    with pytest.raises(ValueError, match='2D, got .*ndim 3.*astra_cuda'):
        implementation(space, parallel_beam_geometry(space, 4))


def test_oblong_cells_are_refused():
    """The error names the space."""
    space = odl.uniform_discr([0, 0], [1, 2], (4, 4), dtype='float32')
    with pytest.raises(ValueError, match=r'square cells, got .*\(4, 4\)'):
        implementation(space, parallel_beam_geometry(space, 4))


def test_integers_are_refused():
    """The error names the dtypes that are possible."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='int32')
    geometry = parallel_beam_geometry(image_space(), 4)
    with pytest.raises(TypeError, match="float32, .*got 'int32'"):
        implementation(space, geometry)


def test_adjoint_with_array_weights(rng):
    """The adjoint takes weights into account that differ from ray to ray."""
    space = image_space()
    geometry = geometry_of('parallel', space)
    data_space = odl.uniform_discr_frompartition(
        geometry.partition,
        dtype='float32',
        weighting=rng.uniform(1, 2, geometry.partition.shape),
    )
    operator = RayTransform(
        space, geometry, impl='astra_matrix', proj_space=data_space
    )
    x, y = space.element(rng.random(space.shape)), data_space.element(
        rng.random(data_space.shape)
    )
    assert operator(x).inner(y) == pytest.approx(
        x.inner(operator.adjoint(y)), rel=1e-5
    )
