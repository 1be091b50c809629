# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the ray transform by a sparse matrix."""

import copy
import gc
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import (
    Parallel2dGeometry,
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from odl.core.util.testutils import simple_fixture

from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators.ray import (
    matrix_building,
    matrix_cache,
    registration,
)
from odl_equivariant.operators.ray.astra_matrix import AstraMatrixImpl
from odl_equivariant.operators.ray.matrices import (
    CACHE_VARIABLE,
    LIMIT_VARIABLE,
    RayMatrixMemoryWarning,
    configure_ray_matrices,
)
from odl_equivariant.operators.ray.symmetry import ray_symmetry

dtype = simple_fixture(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
shape = simple_fixture('shape', [(12, 12), (13, 13), (12, 9)])
beam = simple_fixture('beam', ['parallel', 'fan'])

# back-ends of which ASTRA has the model, with the beam
MODELS = [
    ('parallel', 'astra_matrix_line'),
    ('parallel', 'astra_matrix_strip'),
    ('parallel', 'astra_matrix_linear'),
    ('fan', 'astra_matrix_line'),
    ('fan', 'astra_matrix_strip'),
]


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch):
    """Run each test without a folder and with the limit of 2 GiB."""
    monkeypatch.setattr(matrix_cache, '_TOO_LARGE', {})
    for name in (CACHE_VARIABLE, LIMIT_VARIABLE):
        # set and delete: it is restored whatever the test does
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


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
    # ASTRA rounds other numbers in ODL's unit of length than in cells
    assert relative_error(ours(x), theirs(x)) < 5e-5
    y = random_element(ours.range, rng)
    assert relative_error(ours.adjoint(y), theirs.adjoint(y)) < 5e-5


@pytest.mark.parametrize('size, n_views', [(12, 6), (13, 6), (12, 8)])
def test_symmetric_matrix_equals_astra_cpu(size, n_views, rng):
    """The matrix with exact symmetry agrees with ASTRA."""
    space = centred(size, 'float32')
    geometry = parallel_beam_geometry(space, n_views, 19)
    assert ray_symmetry(geometry, space).order == 8
    ours = RayTransform(space, geometry, impl='astra_matrix')
    theirs = RayTransform(space, geometry, impl='astra_cpu')
    x, y = random_element(space, rng), random_element(ours.range, rng)
    assert relative_error(ours(x), theirs(x)) < 1e-5
    assert relative_error(ours.adjoint(y), theirs.adjoint(y)) < 1e-5


@pytest.mark.parametrize('impl', [impl for _, impl in MODELS[:3]])
@pytest.mark.parametrize('size, n_detectors', [(12, 19), (13, 18), (13, 19)])
def test_quarter_turn_permutes_the_data(size, n_detectors, impl, rng):
    """A turned image has the data of the other half of the views, exactly."""
    space = centred(size)
    geometry = parallel_beam_geometry(space, 6, n_detectors)
    transform = RayTransform(space, geometry, impl=impl)
    x = random_element(space, rng)
    y = transform(x).data
    turned = transform(space.element(np.rot90(x.data))).data
    # seen from the other side, a view runs backwards
    moved = np.concatenate([y[3:, ::-1], y[:3]])
    assert np.abs(turned - moved).max() < 1e-12 * np.abs(y).max()


# --- Adjoint --- #


def test_adjoint_is_exact(beam, dtype, backend):
    """``<A x, y> = <x, A* y>`` to rounding, in single and double precision."""
    space = image_space((12, 9), dtype, backend)
    transform = RayTransform(
        space, geometry_of(beam, space), impl='astra_matrix'
    )
    assert adjoint_error(transform, n_samples=1) < tolerance(dtype)


def test_double_precision_is_that_of_the_matrix(beam, rng):
    """In double precision, the data are linear to rounding."""
    space = image_space(dtype='float64')
    transform = RayTransform(
        space, geometry_of(beam, space), impl='astra_matrix'
    )
    x, y = random_element(space, rng), random_element(space, rng)
    sum_ = transform(x) + 1e-9 * transform(y)
    assert transform.get_impl().matrix.dtype == torch.float64
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
    """The adjoint is right for another weight of the data space."""
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


@pytest.mark.parametrize(
    'known', [('astra_cpu',), ('astra_cpu', 'astra_cuda'), ()]
)
def test_registration_leaves_the_default(monkeypatch, known):
    """Our back-ends are registered, and ODL's default stays."""
    registry = OrderedDict.fromkeys(known)
    monkeypatch.setattr(registration, 'RAY_TRAFO_IMPLS', registry)
    registration.register()
    registration.register()
    models = {impl for _, impl in MODELS}
    ours = {'astra_matrix', 'volume_matrix', *models}
    assert sorted(registry) == sorted({*known, *ours})
    assert tuple(registry)[len(ours) :] == known
    assert registry['astra_matrix'] is AstraMatrixImpl


def test_a_ray_transform_without_a_back_end_is_that_of_odl():
    """Without ``impl``, ODL's own back-end is used."""
    space = image_space()
    transform = RayTransform(space, geometry_of('parallel', space))
    assert not isinstance(transform.get_impl(), AstraMatrixImpl)


@pytest.mark.parametrize(
    'beam, impl', [('parallel', MODELS[2][1]), ('fan', MODELS[3][1])]
)
def test_usual_model_is_that_of_astra_cpu(beam, impl):
    """The default model is the one of ODL's astra_cpu."""
    space = image_space()
    geometry = geometry_of(beam, space)
    usual = RayTransform(space, geometry, impl='astra_matrix')
    named = RayTransform(space, geometry, impl=impl)
    assert usual.get_impl().matrix is named.get_impl().matrix


@pytest.mark.parametrize('adjoint_first', [False, True])
@pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy])
def test_copy_shares_the_matrix(copied, adjoint_first):
    """A copy of a transform shares its matrix."""
    space = image_space()
    transform = RayTransform(
        space, geometry_of('fan', space), impl='astra_matrix'
    )
    y = transform(space.one())
    if adjoint_first:
        transform.adjoint(y)
    other = copied(transform)
    assert other.get_impl().matrix is transform.get_impl().matrix
    assert relative_error(other(other.domain.one()), y) == 0


@pytest.mark.parametrize('adjoint_first', [False, True])
@pytest.mark.parametrize('beam, impl', MODELS)
def test_pickle_has_no_matrix(beam, impl, adjoint_first, backend):
    """The pickle of a transform has a few kilobytes, also after use."""
    space = image_space(backend=backend)
    transform = RayTransform(space, geometry_of(beam, space), impl=impl)
    y = transform(space.one())
    if adjoint_first:
        transform.adjoint(y)
    content = pickle.dumps(transform)
    assert len(content) < transform.get_impl().matrix.nbytes
    implementation = pickle.loads(pickle.dumps(transform.get_impl()))
    assert implementation.matrix is transform.get_impl().matrix
    del transform, implementation
    forget_matrices()
    other = pickle.loads(content)
    assert relative_error(other(space.one()), y) == 0
    assert adjoint_error(other, n_samples=1) < 1e-5


# --- Batches --- #


@pytest.mark.parametrize('batch', [(), (1,), (3,), (2, 1), (0, 1), (2, 0, 3)])
@pytest.mark.parametrize('is_complex', [False, True])
def test_batch_is_each_image_by_itself(batch, is_complex):
    """`forward` and `transpose` apply the matrix to the last two axes."""
    space = image_space((12, 9), 'float64')
    transform = RayTransform(
        space, geometry_of('fan', space), impl='astra_matrix'
    )
    implementation = transform.get_impl()
    matrix = implementation.matrix.matrix.to_dense()
    dtype = torch.complex128 if is_complex else torch.float64
    shape = tuple(transform.range.shape)
    x = torch.randn(*batch, 12, 9, dtype=dtype)
    y = torch.randn(*batch, *shape, dtype=dtype)
    before = x.clone(), y.clone()
    expected = x.flatten(-2) @ matrix.T.to(dtype)
    result = implementation.forward(x)
    torch.testing.assert_close(result, expected.reshape(*batch, *shape))
    expected = y.flatten(-2) @ matrix.to(dtype)
    result = implementation.transpose(y)
    torch.testing.assert_close(result, expected.reshape(*batch, 12, 9))
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


def test_strides_and_conjugation_of_a_batch():
    """Strides and conjugation of a batch do not change the result."""
    space = image_space(dtype='float64')
    implementation = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    ).get_impl()
    x = torch.randn(2, 3, 12, 12, dtype=torch.complex128)
    plain = implementation.forward(x)
    for other, expected in (
        (x.transpose(0, 1), plain.transpose(0, 1)),
        (x.mT.contiguous().mT, plain),
        (x.conj(), plain.conj()),
        (x.conj().imag, -plain.imag),
        (x[:, 1], plain[:, 1]),
    ):
        torch.testing.assert_close(
            implementation.forward(other).resolve_conj(),
            expected.resolve_conj(),
        )


def test_another_precision_is_refused():
    """The error names both dtypes."""
    space = image_space()
    implementation = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    ).get_impl()
    with pytest.raises(TypeError, match='float32 or .*complex64, .*float64'):
        implementation.forward(torch.zeros(12, 12, dtype=torch.float64))


def test_matrix_on_another_device():
    """There is one copy of the matrix on each device."""
    space = image_space()
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    matrix = transform.get_impl().matrix
    assert matrix.to('cpu') is matrix
    there = matrix.to('meta')
    assert matrix.to(torch.device('meta')) is there
    assert there.device.type == 'meta'
    assert there.transposed.shape == matrix.transposed.shape


@pytest.mark.cuda
def test_batch_on_a_gpu():
    """A batch is projected on its device."""
    space = image_space()
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    implementation = transform.get_impl()
    for dtype in (torch.float32, torch.complex64):
        x = torch.randn(3, 12, 12, dtype=dtype)
        y = implementation.forward(x.cuda())
        torch.testing.assert_close(y.cpu(), implementation.forward(x))
        torch.testing.assert_close(
            implementation.transpose(y).cpu(),
            implementation.transpose(y.cpu()),
        )


# --- Without a matrix --- #


def forget_matrices():
    """Make all transforms look up their matrices again."""
    matrix_cache._MATRICES.clear()


def too_large(space, geometry, impl='astra_matrix'):
    """Return a transform whose matrix exceeds the limit."""
    forget_matrices()
    configure_ray_matrices(memory_limit=0)
    transform = RayTransform(space, geometry, impl=impl)
    with pytest.warns(RayMatrixMemoryWarning):
        assert not transform.get_impl().is_matrix
    assert transform.get_impl().matrix is None
    return transform


@pytest.mark.parametrize('beam, impl', MODELS)
def test_projection_on_the_fly_is_that_of_the_matrix(beam, impl, rng):
    """Past the limit, the transform is the same in single precision."""
    space = image_space((12, 9))
    geometry = geometry_of(beam, space)
    transform = too_large(space, geometry, impl)
    configure_ray_matrices(memory_limit=2**30)
    matrix = RayTransform(space, geometry, impl=impl)
    assert matrix.get_impl().is_matrix
    x, y = random_element(space, rng), random_element(matrix.range, rng)
    assert relative_error(transform(x), matrix(x)) < 5e-5
    assert relative_error(transform.adjoint(y), matrix.adjoint(y)) < 5e-5


def test_on_the_fly_in_all_spaces(beam, dtype, backend, rng):
    """Without a matrix, all spaces work, and the adjoint is right."""
    space = image_space((12, 9), dtype, backend)
    transform = too_large(space, geometry_of(beam, space))
    assert adjoint_error(transform, n_samples=1) < 1e-5
    for operator in (transform, transform.adjoint):
        x = random_element(operator.domain, rng)
        before = as_tensor(x, copy=True)
        out = random_element(operator.range, rng)
        assert operator(x, out=out) is out
        assert operator(x) in operator.range
        assert relative_error(operator(x), out) == 0
        assert torch.equal(as_tensor(x), before)


@pytest.mark.parametrize('batch', [(), (3,), (2, 1), (0, 1)])
def test_batch_on_the_fly(batch):
    """Batches have the same result without a matrix."""
    space = image_space((12, 9), 'complex64')
    geometry = geometry_of('fan', space)
    implementation = too_large(space, geometry).get_impl()
    configure_ray_matrices(memory_limit=2**30)
    other = RayTransform(space, geometry, impl='astra_matrix').get_impl()
    for dtype in (torch.float32, torch.complex64):
        x = torch.randn(*batch, 12, 9, dtype=dtype)
        y = other.forward(x)
        torch.testing.assert_close(
            implementation.forward(x), y, rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            implementation.transpose(y),
            other.transpose(y),
            rtol=1e-4,
            atol=1e-4,
        )


def test_limit_counts_both_matrices():
    """The limit is exact, and the warning says how to raise it."""
    space = image_space((10, 10))
    geometry = geometry_of('parallel', space)

    def make():
        forget_matrices()
        implementation = RayTransform(space, geometry, impl='astra_matrix')
        return implementation.get_impl()

    matrix = make().matrix
    size = matrix.nbytes
    assert size == sum(
        part.numel() * part.itemsize
        for csr in (matrix.matrix, matrix.transposed)
        for part in (csr.values(), csr.col_indices(), csr.crow_indices())
    )
    del matrix
    configure_ray_matrices(memory_limit=size)
    assert make().is_matrix
    configure_ray_matrices(memory_limit=size - 1)
    with pytest.warns(
        RayMatrixMemoryWarning,
        match='GiB, more than the limit.*configure_ray_matrices.*memory_limit',
    ):
        assert not make().is_matrix


def test_matrix_in_use_is_not_limited():
    """A matrix that is in memory can be used below any limit."""
    space = image_space((10, 10))
    geometry = geometry_of('parallel', space)
    first = RayTransform(space, geometry, impl='astra_matrix').get_impl()
    configure_ray_matrices(memory_limit=0)
    second = RayTransform(space, geometry, impl='astra_matrix').get_impl()
    assert second.matrix is first.matrix


@pytest.mark.slow
def test_large_matrix_is_not_built_and_gives_one_warning():
    """A matrix that is too large is not built."""
    space = odl.uniform_discr([-1, -1], [1, 1], (512, 512), dtype='float32')
    geometry = parallel_beam_geometry(space, 4000, 725)
    views = []
    view = matrix_building.MatrixBuilder._view
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            matrix_building.MatrixBuilder,
            '_view',
            lambda self, index: views.append(index) or view(self, index),
        )
        for _ in range(2):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter('always')
                transform = RayTransform(space, geometry, impl='astra_matrix')
                assert not transform.get_impl().is_matrix
            assert [w.category for w in said] == [RayMatrixMemoryWarning]
            assert 'about 28.2 GiB' in str(said[0].message)
    assert len(views) == len(set(views)) == 8


def test_matrix_that_outgrows_its_estimate_is_given_up(monkeypatch):
    """A matrix that exceeds the limit while built is discarded."""
    forget_matrices()
    space = image_space((10, 10))
    geometry = geometry_of('parallel', space)
    configure_ray_matrices(memory_limit=10000)
    with monkeypatch.context() as patch:
        patch.setattr(
            matrix_building.MatrixBuilder, 'estimate', lambda self: 0
        )
        with pytest.warns(RayMatrixMemoryWarning):
            too_large = RayTransform(space, geometry, impl='astra_matrix')
            assert not too_large.get_impl().is_matrix
    monkeypatch.setattr(matrix_cache, 'MatrixBuilder', None)
    with pytest.warns(RayMatrixMemoryWarning):
        RayTransform(space, geometry, impl='astra_matrix').get_impl()


def test_too_many_entries_for_the_indices(monkeypatch):
    """The warning says if 32-bit indices do not suffice."""
    monkeypatch.setattr(matrix_cache, '_MAX_NONZEROS', 100)
    forget_matrices()
    space = image_space((10, 10))
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    with pytest.warns(RayMatrixMemoryWarning, match='too many to index'):
        assert not transform.get_impl().is_matrix


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
    """Transforms with equal geometries share a matrix."""
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
    """Other grids, geometries or precisions have other matrices."""
    matrix = matrix_of()
    assert matrix_of(**change) is not matrix


def test_matrix_is_freed_with_its_last_transform():
    """A matrix is freed with its last transform."""
    gc.collect()
    before = len(matrix_cache._MATRICES)
    space = image_space((11, 10))
    transform = RayTransform(
        space, geometry_of('parallel', space), impl='astra_matrix'
    )
    transform.adjoint(transform(space.one()))
    assert len(matrix_cache._MATRICES) == before + 1
    del transform
    gc.collect()
    assert len(matrix_cache._MATRICES) == before


# --- Bad input --- #


def implementation(space, geometry):
    """Make the back-end of a transform."""
    return RayTransform(space, geometry, impl='astra_matrix').get_impl()


def test_three_dimensions_are_refused():
    """The error says what to use in 3D."""
    space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 4), dtype='float32')
    with pytest.raises(ValueError, match='2D, got .*ndim 3.*astra_cuda'):
        implementation(space, parallel_beam_geometry(space, 4))


def test_unequal_cells_are_refused():
    """The error names the space."""
    partition = odl.nonuniform_partition([0.1, 0.5, 0.6], [0.5, 1.0, 1.5])
    space = odl.DiscretizedSpace(partition, odl.rn((3, 3), dtype='float32'))
    square = odl.uniform_discr([0, 0], [1, 2], (3, 3), dtype='float32')
    with pytest.raises(ValueError, match='equal cells, got'):
        implementation(space, parallel_beam_geometry(square, 4))


def test_model_that_astra_lacks_is_refused():
    """The error names the back-ends that there are for fan beams."""
    space = image_space()
    transform = RayTransform(
        space, geometry_of('fan', space), impl='astra_matrix_linear'
    )
    with pytest.raises(ValueError, match='astra_matrix_line.*_strip'):
        transform.get_impl()


def test_integers_are_refused():
    """The error names the dtypes that are possible."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 4), dtype='int32')
    geometry = parallel_beam_geometry(image_space(), 4)
    with pytest.raises(TypeError, match="float32, .*got 'int32'"):
        implementation(space, geometry)


@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
@pytest.mark.parametrize('weighting', ['constant', 'array', None])
@pytest.mark.parametrize('half_cells', [False, True])
def test_adjoint_in_weighted_spaces(weighting, half_cells, dtype, backend):
    """The adjoint is that of the inner products, whatever the weights."""
    rng = np.random.default_rng(2)

    def space_of(partition):
        weights = {
            'constant': float(rng.uniform(1, 2)),
            'array': rng.uniform(1, 2, partition.shape),
            None: None,
        }
        return odl.uniform_discr_frompartition(
            partition, dtype=dtype, weighting=weights[weighting], impl=backend
        )

    space = space_of(
        odl.uniform_partition(
            [-0.5, -0.4], [0.5, 0.6], (9, 9), nodes_on_bdry=half_cells
        )
    )
    geometry = Parallel2dGeometry(
        odl.uniform_partition(0, 3, 5, nodes_on_bdry=half_cells),
        odl.uniform_partition(-1, 1.2, 11, nodes_on_bdry=half_cells),
    )
    operator = RayTransform(
        space,
        geometry,
        impl='astra_matrix_strip',
        proj_space=space_of(geometry.partition),
    )
    assert adjoint_error(operator, n_samples=1) < tolerance(dtype)


def test_adjoint_with_array_weights(rng):
    """The adjoint is right if weights differ from ray to ray."""
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
    x, y = (
        space.element(rng.random(space.shape)),
        data_space.element(rng.random(data_space.shape)),
    )
    assert operator(x).inner(y) == pytest.approx(
        x.inner(operator.adjoint(y)), rel=1e-5
    )
