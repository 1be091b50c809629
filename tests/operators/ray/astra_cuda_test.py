# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of ray transforms of batches on a GPU.

Without one, ASTRA's part is played by the matrix of the same transform, which
shows all but ASTRA itself; the tests that are marked ``cuda`` show that too.
"""

import math
import threading

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import (
    ConeBeamGeometry,
    FanBeamGeometry,
    Parallel2dGeometry,
    Parallel3dAxisGeometry,
    RayTransform,
    cone_beam_geometry,
    parallel_beam_geometry,
)
from odl.applications.tomo.backends.astra_setup import (
    astra_projection_geometry,
    astra_volume_geometry,
)

from odl_equivariant.operators import OperatorLayer
from odl_equivariant.operators.ray.astra_cuda import (
    CudaRays,
    check_cells,
    stacked_geometries,
)

FORWARD_SCALE, BACKWARD_SCALE = 0.5, 0.25


def image_space(shape=(6, 5), dtype='float32', **keywords):
    """Return a space of images with square cells."""
    ends = [0.15 * n for n in shape]
    return odl.uniform_discr(
        [-end for end in ends], ends, shape, dtype=dtype, **keywords
    )


def geometry_of(kind, space):
    """Return a small geometry."""
    if kind == 'parallel':
        return parallel_beam_geometry(space, 4, 7)
    return cone_beam_geometry(space, 4, 3, num_angles=4, det_shape=7)


class PlayedByMatrix:
    """Matrix with the interface of ODL's back-end for CUDA."""

    projector_id = 'one slice'

    def __init__(self, geometry, vol_space, proj_space):
        real = vol_space.astype('float32')
        self.matrix = RayTransform(real, geometry, impl='astra_matrix')
        self.vol_geom = astra_volume_geometry(real, 'cuda')
        self.proj_geom = astra_projection_geometry(geometry, 'cuda')
        self.fp_scaling_factor = FORWARD_SCALE
        self.bp_scaling_factor = (
            BACKWARD_SCALE
            * proj_space.weighting.const
            / vol_space.weighting.const
        )
        self._mutex = threading.Lock()

    def call_forward(self, x, out=None):
        """Never called: `CudaRays` goes past it."""
        raise AssertionError

    call_backward = call_forward


@pytest.fixture
def calls(monkeypatch):
    """Let the matrix project, and note the volumes' shapes."""
    calls = []

    def run(self, forward, volumes, projections):
        assert volumes.is_contiguous() and projections.is_contiguous()
        assert volumes.dtype == projections.dtype == torch.float32
        calls.append(tuple(volumes.shape))
        implementation = self.implementation.matrix.get_impl()
        if forward:
            projections.copy_(implementation.forward(volumes))
        else:
            volumes.copy_(implementation.transpose(projections))

    monkeypatch.setattr(CudaRays, '_run', run)
    return calls


def rays_of(kind, dtype='float32', backend='numpy'):
    """Return a transform computed by a matrix, and the matrix."""
    space = image_space(dtype=dtype, impl=backend)
    operator = RayTransform(
        space, geometry_of(kind, space), impl=PlayedByMatrix
    )
    return CudaRays(operator), operator.get_impl().matrix.get_impl()


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
@pytest.mark.parametrize('n_samples', [0, 1, 3])
def test_batch_is_each_sample(calls, kind, dtype, n_samples):
    """Batches of all kinds are mapped as their samples."""
    rays, matrix = rays_of(kind, dtype)
    for function, reference, shape, result_shape, scale in (
        (rays.apply, matrix.forward, (6, 5), (4, 7), FORWARD_SCALE),
        (rays.transpose, matrix.transpose, (4, 7), (6, 5), BACKWARD_SCALE),
    ):
        x = torch.randn(n_samples, 1, *shape, dtype=getattr(torch, dtype))
        x.requires_grad_()
        with torch.no_grad():
            result = function(x)
        assert result.dtype == x.dtype
        assert result.shape == (n_samples, 1, *result_shape)
        x = x.detach()
        parts = (x.real, x.imag) if x.is_complex() else (x,)
        expected = [reference(part.float()) * scale for part in parts]
        got = (result.real, result.imag) if x.is_complex() else (result,)
        for ours, theirs in zip(got, expected, strict=True):
            torch.testing.assert_close(
                ours.float(), theirs.float(), rtol=1e-5, atol=1e-6
            )


def test_parallel_batch_is_one_projection(calls):
    """Parallel slices are one volume, real and imaginary parts included."""
    rays, _ = rays_of('parallel', 'complex64')
    rays.apply(torch.randn(3, 1, 6, 5, dtype=torch.complex64))
    assert calls[0] == (6, 6, 5)
    first = len(calls)
    rays.apply(torch.randn(4, 1, 6, 5, dtype=torch.complex64))
    assert calls[first:] == [(8, 6, 5)]


def test_fan_batch_is_taken_one_by_one(calls):
    """Fan beams are projected one by one."""
    rays, _ = rays_of('fan')
    rays.apply(torch.randn(3, 1, 6, 5))
    assert calls == [(1, 6, 5)] * 3


def test_stack_that_differs_is_given_up(calls, monkeypatch):
    """If ASTRA projects a stack differently, it is not used."""
    rays, matrix = rays_of('parallel')
    run = CudaRays._run

    def wrong_for_stacks(self, forward, volumes, projections):
        run(self, forward, volumes, projections)
        if volumes.shape[0] > 1:
            projections.mul_(2)

    monkeypatch.setattr(CudaRays, '_run', wrong_for_stacks)
    x = torch.randn(3, 1, 6, 5)
    with pytest.warns(RuntimeWarning, match='one after the other'):
        result = rays.apply(x)
    torch.testing.assert_close(result, matrix.forward(x) * FORWARD_SCALE)
    assert not rays.stacks


@pytest.mark.parametrize('size', [1, 2, 5])
def test_rows_of_the_detector_see_their_slices(size):
    """The centre of each detector row lies in the slice of its number."""
    space = image_space()
    geometry = geometry_of('parallel', space)
    single = astra_projection_geometry(geometry, 'cuda')
    vectors = single['Vectors'].copy()
    vol, proj = stacked_geometries(
        astra_volume_geometry(space, 'cuda'), single, size
    )
    assert np.array_equal(single['Vectors'], vectors)
    low, high = vol['option']['WindowMinZ'], vol['option']['WindowMaxZ']
    slices = np.linspace(low, high, size + 1)
    centres = 0.5 * (slices[1:] + slices[:-1])
    for view in proj['Vectors']:
        ray, centre, _, row = np.split(view, 4)
        rows = centre[2] + (np.arange(size) - 0.5 * (size - 1)) * row[2]
        assert np.allclose(rows, centres)
        assert ray[2] == 0
    assert vol['GridSliceCount'] == proj['DetectorRowCount'] == size


def scaled_geometry(kind, space, width):
    """Return a geometry of 40 views, with detector cells in image cells."""
    cell = width * space.cell_sides[0]
    reach = 1.5 * np.linalg.norm(space.max_pt)
    if kind == 'fan':
        # twice as large on the detector
        cell, reach = 2 * cell, 2 * reach
    n_cells = max(3, math.ceil(2 * reach / cell))
    end = 0.5 * n_cells * cell
    detector = odl.uniform_partition(-end, end, n_cells)
    if kind == 'fan':
        angles = odl.uniform_partition(0, 2 * np.pi, 40)
        radius = 5 * reach
        return FanBeamGeometry(angles, detector, radius, radius)
    angles = odl.uniform_partition(0, np.pi, 40)
    return Parallel2dGeometry(angles, detector)


@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('unit', [1e-3, 1, 1e3])
@pytest.mark.parametrize('width', [0.2, 0.5, 0.6, 1, 1.4, 2, 10])
def test_warning_of_an_adjoint_that_is_none(kind, unit, width):
    """Cells of another width, in any unit, are said to spoil gradients."""
    space = odl.uniform_discr([-unit] * 2, [unit] * 2, (8, 8), dtype='float32')
    operator = RayTransform(
        space, scaled_geometry(kind, space, width), impl=PlayedByMatrix
    )
    if 0.55 < width < 1.5:
        CudaRays(operator)
        return
    with pytest.warns(UserWarning, match=f'{width:.3g} times the width'):
        CudaRays(operator)


def detector(columns, rows):
    """Return a detector of four times four cells."""
    return odl.uniform_partition(
        [-2 * columns, -2 * rows], [2 * columns, 2 * rows], (4, 4)
    )


def cone(columns, rows, **named):
    """Return a cone-beam geometry that enlarges twice."""
    angles = odl.uniform_partition(0, 2 * np.pi, 5)
    return ConeBeamGeometry(angles, detector(columns, rows), 8, 8, **named)


@pytest.mark.parametrize('columns, rows', [(6, 2), (2, 6), (6, 6)])
def test_warning_in_space(columns, rows):
    """The rows of a detector are compared with the cells too."""
    check_cells([1, 1, 1], cone(2, 2))
    with pytest.warns(UserWarning, match='3 times the width') as warned:
        check_cells([1, 1, 1], cone(columns, rows))
    assert 'astra_matrix' not in str(warned[0].message)


def test_cells_are_compared_along_their_axes():
    """Thick slices fit high rows, wherever the source is."""
    check_cells([1, 1, 4], cone(2, 8))
    check_cells([1, 4, 1], cone(2, 8, axis=[0, 1, 0]))
    check_cells([1, 1, 1], cone(2, 2, pitch=1e3))
    check_cells([1, 1, 1], cone(2, 2, translation=[300, 0, 50]))
    angles = odl.uniform_partition(0, np.pi, 5)
    check_cells([1, 1, 4], Parallel3dAxisGeometry(angles, detector(1, 4)))
    with pytest.warns(UserWarning, match='4 times the width'):
        check_cells([1, 1, 4], Parallel3dAxisGeometry(angles, detector(4, 4)))
    with pytest.warns(UserWarning, match='times the width'):
        check_cells([1, 1, 4], cone(2, 8, axis=[1, 0, 1]))


def test_curved_detectors():
    """Their cells are angles, times the radius of the curve."""
    angles = odl.uniform_partition(0, 2 * np.pi, 5)
    for radius, ratio in ((20, 1), (60, 3)):
        geometry = FanBeamGeometry(
            angles,
            odl.uniform_partition(-0.2, 0.2, 4),
            10,
            10,
            det_curvature_radius=radius,
        )
        if ratio == 1:
            check_cells([1, 1], geometry)
            continue
        with pytest.warns(UserWarning, match=f'{ratio} times the width'):
            check_cells([1, 1], geometry)


# --- On a GPU --- #


def smooth_images(n_samples):
    """Return discs of the size of several cells."""
    noise = torch.rand(n_samples, 1, 64, 64).round()
    return torch.nn.functional.avg_pool2d(noise, 9, 1, 4)


@pytest.mark.cuda
@pytest.mark.parametrize('kind', ['parallel', 'fan'])
@pytest.mark.parametrize('backend', ['numpy', 'pytorch'])
def test_cuda_layer_equals_its_operator(kind, backend):
    """A batch on the GPU is ODL's transform of each sample."""
    device = 'cuda:0' if backend == 'pytorch' else 'cpu'
    space = image_space((64, 64), impl=backend, device=device)
    geometry = scaled_geometry(kind, space, 1)
    operator = RayTransform(space, geometry, impl='astra_cuda')
    layer = OperatorLayer(operator).to('cuda')
    loop = RayTransform(image_space((64, 64)), geometry, impl='astra_matrix')
    reference = OperatorLayer(loop)
    x = smooth_images(5).cuda().requires_grad_()
    result = layer(x)
    assert result.device == x.device
    expected = reference(x.cpu())
    assert (result.cpu() - expected).norm() < 5e-3 * expected.norm()
    scale = loop.domain.weighting.const / loop.range.weighting.const
    # of noise, back-projection and transpose differ, see `CudaRays`
    for y, bound in (
        (expected.detach(), 0.05),
        (torch.randn_like(expected), 0.5),
    ):
        (gradient,) = torch.autograd.grad(
            result, x, y.cuda(), retain_graph=True
        )
        transposed = reference.adjoint(y) * scale
        error = (gradient.cpu() - transposed).norm()
        assert error < bound * transposed.norm()


@pytest.mark.cuda
@pytest.mark.parametrize('kind', ['parallel', 'cone'])
def test_cuda_layer_in_three_dimensions(kind):
    """Volumes are projected one by one; the transpose is right to 1e-3."""
    space = odl.uniform_discr([-1] * 3, [1] * 3, (16, 17, 18), dtype='float32')
    geometry = (
        parallel_beam_geometry(space, 5)
        if kind == 'parallel'
        else cone_beam_geometry(space, 6, 4, num_angles=5)
    )
    operator = RayTransform(space, geometry, impl='astra_cuda')
    layer = OperatorLayer(operator).to('cuda')
    x = torch.randn(2, 1, *space.shape, device='cuda', requires_grad=True)
    result = layer(x)
    for sample, projected in zip(x, result, strict=True):
        element = space.element(sample[0].detach().cpu().numpy())
        expected = torch.from_numpy(operator(element).asarray().copy())
        assert (projected[0].cpu() - expected).norm() < 1e-3 * expected.norm()
    y = torch.randn_like(result)
    (gradient,) = torch.autograd.grad(result, x, y)
    left = float((result.detach() * y).sum())
    right = float((x.detach() * gradient).sum())
    scale = float(result.detach().norm() * y.norm())
    assert abs(left - right) < 1e-2 * scale


@pytest.mark.cuda
def test_cuda_adjoint():
    """The adjoint of smooth data is right to the accuracy of ASTRA."""
    space = image_space((64, 64))
    operator = RayTransform(
        space, scaled_geometry('parallel', space, 1), impl='astra_cuda'
    )
    layer = OperatorLayer(operator).to('cuda')
    x = smooth_images(1).cuda()
    y = layer(x.flip(-1))
    weights = (s.weighting.const for s in (operator.range, operator.domain))
    left, right = (
        weight * float((a * b).sum())
        for weight, a, b in zip(
            weights, (layer(x), x), (y, layer.adjoint(y)), strict=True
        )
    )
    assert abs(left - right) < 1e-2 * abs(left)


@pytest.mark.cuda
def test_cuda_gradients_of_coarse_detectors():
    """Where the layer warns, gradients of noise are indeed far off."""
    space = image_space((64, 64))
    geometry = scaled_geometry('parallel', space, 3)
    with pytest.warns(UserWarning, match='3 times the width'):
        layer = OperatorLayer(
            RayTransform(space, geometry, impl='astra_cuda')
        ).to('cuda')
    exact = OperatorLayer(RayTransform(space, geometry, impl='astra_matrix'))
    y = torch.randn(1, 1, *geometry.partition.shape)
    expected = exact.adjoint(y)
    error = (layer.adjoint(y.cuda()).cpu() - expected).norm()
    assert error > 0.4 * expected.norm()
