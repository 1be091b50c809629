# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the ray transform of volumes, and of Feldkamp's reconstruction."""

import pickle

import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_equivariant.data import MeasuredCT
from odl_equivariant.diagnostics import adjoint_error
from odl_equivariant.elements import as_element, as_tensor
from odl_equivariant.nn import EquivariantProximal, LearnedProximalGradient
from odl_equivariant.operators import (
    OperatorLayer,
    configure_ray_matrices,
    filtered_backprojection,
)

TURN = 2 * np.pi


def space(shape=(8, 8, 6), dtype='float64', impl='numpy'):
    """Return a space of cubic voxels with the longest side 2."""
    half = np.array(shape) / max(shape)
    return odl.uniform_discr(-half, half, shape, dtype=dtype, impl=impl)


def cone(shape=(12, 9), n=8, angles=(0, TURN), shift=0.0, **options):
    """Return a cone beam that sees the volume."""
    detector = odl.uniform_partition(
        [shift - 2.6, -2.4], [shift + 2.6, 2.4], shape
    )
    return tomo.ConeBeamGeometry(
        odl.uniform_partition(*angles, n), detector, 5, 3, **options
    )


def parallel(shape=(12, 9), n=8):
    """Return parallel beams in 3D."""
    return tomo.Parallel3dAxisGeometry(
        odl.uniform_partition(0, np.pi, n),
        odl.uniform_partition([-1.6, -1], [1.6, 1], shape),
    )


def rays(domain, geometry):
    """Return the ray transform with the matrix."""
    return tomo.RayTransform(domain, geometry, impl='volume_matrix')


def array(element):
    """Return an element as an array of double precision."""
    return np.asarray(as_tensor(element)[0, 0].cpu(), float)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('geometry', [cone(), parallel()], ids=['cone', 'par'])
def test_adjoint(geometry, impl, dtype):
    """The adjoint is that in the inner products of the spaces."""
    A = rays(space(dtype=dtype, impl=impl), geometry)
    assert adjoint_error(A) < (1e-12 if dtype == 'float64' else 1e-5)


@pytest.mark.parametrize('shape', [(8, 8, 6), (7, 5, 9)])
@pytest.mark.parametrize(
    'geometry',
    [cone((9, 9)), cone((8, 6)), parallel((9, 9)), cone((9, 8), pitch=0.3)],
    ids=['odd', 'even', 'parallel', 'helix'],
)
def test_ones_give_the_lengths_of_rays_in_the_box(geometry, shape):
    """They are exact, also along the planes between voxels."""
    domain = space(shape)
    result = array(rays(domain, geometry)(domain.one()))
    low, high = np.asarray(domain.min_pt), np.asarray(domain.max_pt)
    u, v = geometry.det_partition.coord_vectors
    for i, angle in enumerate(geometry.angles):
        for j in range(len(u)):
            for k in range(len(v)):
                p = geometry.det_point_position(angle, (u[j], v[k]))
                if hasattr(geometry, 'src_position'):
                    d = p - geometry.src_position(angle)
                else:
                    d = geometry.det_to_src(angle, (u[j], v[k]))
                d = d / np.linalg.norm(d)
                # away from the planes, where a ray may touch the box
                p = p + 1e-12
                with np.errstate(divide='ignore'):
                    ends = np.sort([(low - p) / d, (high - p) / d], axis=0)
                expected = max(0.0, ends[1].min() - ends[0].max())
                assert result[i, j, k] == pytest.approx(expected, abs=1e-9)


def test_ball():
    """The integral through a ball is the length of the chord."""
    n = 24
    domain = space((n, n, n))
    fine = (np.arange(4 * n) + 0.5) / (2 * n) - 1
    inside = fine[:, None, None] ** 2 + fine[:, None] ** 2 + fine**2 < 0.49
    ball = inside.reshape(n, 4, n, 4, n, 4).mean((1, 3, 5))
    geometry = cone((15, 15), n=3)
    result = array(rays(domain, geometry)(domain.element(ball)))
    u, v = np.meshgrid(*geometry.det_partition.coord_vectors, indexing='ij')
    for angle, view in zip(geometry.angles, result, strict=True):
        s = geometry.src_position(angle)
        p = geometry.det_point_position(angle, (u.ravel(), v.ravel()))
        d = (p - s) / np.linalg.norm(p - s, axis=1, keepdims=True)
        squared = 0.49 - (s @ s - (d @ s) ** 2)
        chord = 2 * np.sqrt(np.maximum(squared, 0)).reshape(u.shape)
        assert np.abs(view - chord).mean() < 0.01
        assert np.abs(view - chord)[chord > 0.7].max() < 0.08


@pytest.mark.parametrize('n_rows', [5, 6])
def test_middle_plane_is_a_fan_beam(n_rows):
    """Volumes that are constant along the axis give ASTRA's fan beam."""
    image = np.random.default_rng(0).random((10, 10)).astype('float32')
    volume = np.repeat(image[..., None], n_rows, axis=2)
    domain = space((10, 10, n_rows), 'float32')
    geometry = cone((14, 9), n=7)
    fan = tomo.FanBeamGeometry(
        geometry.motion_partition, geometry.det_partition.byaxis[0], 5, 3
    )
    slices = space((10, 10), 'float32')
    expected = tomo.RayTransform(slices, fan, impl='astra_cpu')(image)
    result = array(rays(domain, geometry)(domain.element(volume)))[..., 4]
    assert np.allclose(result, array(expected), atol=2e-5 * result.max())


def test_turns_and_reflections_permute_the_data():
    """A quarter turn moves the views by a quarter, exactly up to rounding."""
    x = np.random.default_rng(0).random((8, 8, 6))
    A = rays(space(), cone())
    y = array(A(x))
    turned = array(A(np.rot90(x, axes=(0, 1)).copy()))
    assert np.allclose(turned, np.roll(y, 2, axis=0), atol=1e-12)
    reflected = array(A(x[..., ::-1].copy()))
    assert np.allclose(reflected, y[..., ::-1], atol=1e-12)


def test_matrix_is_shared_and_pickled():
    """Transforms of one geometry share the matrix, and pickle without it."""
    A, B = rays(space(), cone()), rays(space(), cone())
    one, other = (op.get_impl('volume_matrix') for op in (A, B))
    assert one.matrix is other.matrix
    assert rays(space(), cone(n=7)).get_impl(
        'volume_matrix'
    ).matrix is not one.matrix  # fmt: skip
    content = pickle.dumps(A)
    assert len(content) < 20000
    x = space().one()
    assert np.array_equal(array(pickle.loads(content)(x)), array(A(x)))


def test_too_large_a_matrix_is_refused_at_once():
    """The error says how large it would be, and what fits."""
    before = configure_ray_matrices()
    configure_ray_matrices(memory_limit=2**17)
    try:
        with pytest.raises(
            MemoryError,
            match=r'entries, and takes 0\.\d+ GiB .*about \d x \d x \d voxels'
            r'.*memory_limit=',
        ):
            rays(space((12, 12, 12)), cone((16, 16)))(space((12,) * 3).one())
    finally:
        configure_ray_matrices(*before)


def test_wrong_spaces_are_refused():
    """Images, and cells of several sizes, have other back-ends."""
    fan = tomo.FanBeamGeometry(
        odl.uniform_partition(0, TURN, 8),
        odl.uniform_partition(-2, 2, 9),
        5,
        3,
    )
    flat = space((8, 8))
    with pytest.raises(ValueError, match="take 'astra_matrix' in 2D"):
        rays(flat, fan)(flat.one())


@pytest.mark.parametrize('unit', [5.1, 1000])
def test_sources_in_the_volume_are_refused(unit):
    """Lengths in different units are found, and no line counts backwards."""
    domain = odl.uniform_discr([-unit] * 3, [unit] * 3, (6, 6, 6))
    with pytest.raises(ValueError, match='outside of the volume.*same unit'):
        rays(domain, cone())(domain.one())


def test_several_angles_of_a_view_are_refused():
    """The error names the geometry."""
    geometry = tomo.Parallel3dEulerGeometry(
        odl.uniform_partition([0, 0], [TURN, 1], (5, 3)),
        odl.uniform_partition([-1, -1], [1, 1], (4, 4)),
    )
    with pytest.raises(ValueError, match='2 in a Parallel3dEulerGeometry'):
        rays(space(), geometry)(space().one())


def test_layer_maps_batches_and_has_gradients():
    """A batch is mapped as one by one, and its gradient is the transpose."""
    domain = space((4, 4, 3))
    A = rays(domain, cone((5, 4), 3))
    layer = OperatorLayer(A)
    x = torch.randn(2, 1, 4, 4, 3, dtype=torch.float64, requires_grad=True)
    for one, y in zip(x.detach(), layer(x), strict=True):
        assert torch.allclose(as_tensor(A(as_element(one, domain)))[0], y)
    assert torch.autograd.gradcheck(layer, x)


# --- Feldkamp --- #


def ball_of(n, radius=0.6):
    """Return a ball with smooth edges."""
    fine = (np.arange(4 * n) + 0.5) / (2 * n) - 1
    inside = fine[:, None, None] ** 2 + fine[:, None] ** 2 + fine**2
    return (inside < radius**2).reshape(n, 4, n, 4, n, 4).mean((1, 3, 5))


@pytest.mark.parametrize(
    ('angles', 'shift'),
    [
        ((0, TURN), 0.0),
        ((0.3, 0.3 + 0.68 * TURN), 0.0),
        ((0, TURN), 0.4),
    ],
    ids=['full', 'short', 'shifted'],
)  # fmt: skip
def test_feldkamp_of_a_ball(angles, shift):
    """Values in the middle, and the sum, are right to a few percent."""
    n = 24
    domain = space((n, n, n), 'float32')
    A = rays(domain, cone((40, 36), 36, angles, shift))
    ball = ball_of(n)
    image = array(
        filtered_backprojection(A, 'Ram-Lak')(A(domain.element(ball)))
    )
    middle = (slice(9, 15),) * 3
    assert image[middle].mean() == pytest.approx(1, abs=0.03)
    assert image.sum() == pytest.approx(ball.sum(), rel=0.02)
    assert np.abs(image - ball).mean() < 0.06


@pytest.mark.parametrize('filter_type', ['Ram-Lak', 'Hann'])
@pytest.mark.parametrize(
    'angles', [(0, TURN), (0.3, 0.3 + 0.7 * TURN)], ids=['full', 'short']
)
@pytest.mark.parametrize('turn', [0, 0.4], ids=['facing', 'turned'])
def test_feldkamp_is_that_of_fans_in_the_middle_plane(
    turn, angles, filter_type
):
    """In the plane of the sources, it is the back-projection of a fan."""
    along = [np.cos(turn), np.sin(turn)]
    geometry = cone(
        (30, 5), 16, angles, det_axes_init=([*along, 0], [0, 0, 1])
    )
    domain = space((10, 10, 3), 'float64')
    data = np.random.default_rng(0).random((16, 30, 5))
    image = filtered_backprojection(rays(domain, geometry), filter_type)(data)
    fan = tomo.FanBeamGeometry(
        geometry.motion_partition,
        geometry.det_partition.byaxis[0],
        5,
        3,
        det_axis_init=along,
    )
    slices = odl.uniform_discr([-1, -1], [1, 1], (10, 10))
    A = tomo.RayTransform(slices, fan, impl='astra_matrix')
    expected = array(filtered_backprojection(A, filter_type)(data[..., 2]))
    # the fan's detector is continued by zeros, beyond which data reach
    assert np.allclose(array(image)[..., 1], expected, rtol=1e-6, atol=1e-7)


def test_feldkamp_of_sources_beside_the_normal_of_the_detector():
    """Values in the middle do not change with the turn of the detector."""
    domain = space((20, 20, 20))

    def beside(angles):
        return np.tile([0.0, 1.2, 0.0], (np.size(angles), 1))

    A = rays(domain, cone((48, 36), 36, src_shift_func=beside))
    image = filtered_backprojection(A)(A(domain.element(ball_of(20))))
    assert array(image)[7:13, 7:13, 7:13].mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex64'])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_feldkamp_adjoint(impl, dtype):
    """The adjoint is that in the inner products of the spaces."""
    A = rays(space((6, 6, 5), dtype, impl), cone((9, 8), 6))
    B = filtered_backprojection(A)
    assert adjoint_error(B) < (1e-12 if dtype == 'float64' else 1e-5)


def test_feldkamp_of_moved_and_turned_volumes():
    """It goes along with the axis of rotation, whatever its direction."""
    domain = space((10, 10, 10))
    image = array(_reconstructed(domain, cone((20, 18), 16)))
    shift = np.array([3.0, -2.0, 1.0])
    moved = odl.uniform_discr(
        domain.min_pt + shift, domain.max_pt + shift, domain.shape
    )
    other = _reconstructed(moved, cone((20, 18), 16, translation=shift))
    assert np.allclose(array(other), image, atol=1e-9)
    turned = _reconstructed(domain, cone((20, 18), 16, axis=[0, -1, 0]))
    assert array(turned)[5, 5, 5] == pytest.approx(image[5, 5, 5], rel=0.02)


def _reconstructed(domain, geometry):
    A = rays(domain, geometry)
    return filtered_backprojection(A)(A(domain.element(ball_of(10))))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pitch': 0.5}, 'sources on one circle'),
        ({'det_curvature_radius': [8, None]}, 'a flat detector'),
    ],
)
def test_feldkamp_of_other_geometries(options, message):
    """Helices and curved detectors are refused, with what to do instead."""
    A = rays(space(), cone(**options))
    with pytest.raises(ValueError, match=message):
        filtered_backprojection(A)


def test_feldkamp_of_sources_in_the_volume():
    """A volume that turns into the sources is refused."""
    domain = odl.uniform_discr([-4] * 3, [4] * 3, (6, 6, 6))
    A = rays(domain, cone(n=4, angles=(-TURN / 8, 7 * TURN / 8)))
    with pytest.raises(ValueError, match='outside of the volume'):
        filtered_backprojection(A)


def test_networks_start_at_feldkamp():
    """``initial='fbp'`` is the reconstruction of Feldkamp."""
    A = rays(space((8, 8, 8), 'float32'), cone((14, 12), 12))
    network = LearnedProximalGradient(
        A, lambda: EquivariantProximal(1, 16, 'D4h', memory=2, axis=2),
        n_iterations=1, initial='fbp',
    )  # fmt: skip
    y = A(A.domain.element(ball_of(8)))
    expected = filtered_backprojection(A, frequency_scaling=0.7)(y)
    start = network._layers.initial(as_tensor(y))
    assert np.allclose(start[0, 0], array(expected), atol=1e-5)
    assert network.as_operator()(y) in A.domain


def test_measured_cone_beam():
    """A scan in plain values is reconstructed, in its unit."""
    description = {
        'kind': 'cone', 'n_detectors': 30, 'detector_width': 5.2 / 30,
        'source_radius': 5.0, 'detector_radius': 3.0, 'n_rows': 28,
        'row_height': 4.8 / 28, 'angle_unit': 'degrees',
        'angles': {'first': 0, 'step': 10, 'n': 36},
    }  # fmt: skip
    with pytest.raises(ValueError, match="impl='volume_matrix'"):
        MeasuredCT(description, {'shape': (16,) * 3, 'cell': 0.125}, 'mm')
    acquisition = MeasuredCT(
        description,
        {'shape': (16,) * 3, 'cell': 0.125},
        'mm',
        impl='volume_matrix',
    )
    ball = np.roll(ball_of(16), (2, 1), axis=(0, 1))
    data = acquisition.simulate(ball)
    image = array(acquisition.fbp(data, 'Ram-Lak', 1.0))
    assert image[8:12, 7:11, 6:10].mean() == pytest.approx(1, abs=0.04)
    fit = acquisition.data_fit(data)
    assert fit(acquisition.baseline(data)) < fit(acquisition.space.zero())
