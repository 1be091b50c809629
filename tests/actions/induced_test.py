# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The laws of actions that images induce on tomographic data."""

import numpy as np
import odl
import pytest
from odl.applications import tomo

from odl_equivariant.actions import (
    Dilation,
    Reflection,
    Rotation,
    Translation,
    group_actions,
    induced_action,
)
from odl_equivariant.diagnostics import adjoint_error, equivariance_error


def images(shape=(12, 12), impl='numpy', centre=(0, 0), dtype='float32'):
    """Return functions on a square."""
    low, high = np.array(centre) - 1.0, np.array(centre) + 1.0
    return odl.uniform_discr(low, high, shape, dtype=dtype, impl=impl)


def parallel(space, n_views=8, n_detectors=18, angles=np.pi, half=1.5):
    """Return a ray transform of parallel beams."""
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, angles, n_views),
        odl.uniform_partition(-half, half, n_detectors),
    )
    return tomo.RayTransform(space, geometry, impl='astra_matrix')


def fan(space, n_views=8, n_detectors=19, half=3.0):
    """Return a ray transform of fan beams all around."""
    geometry = tomo.FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, n_views),
        odl.uniform_partition(-half, half, n_detectors),
        src_radius=4,
        det_radius=4,
    )
    return tomo.RayTransform(space, geometry, impl='astra_matrix')


def noise(space, seed=0):
    """Return standard normal noise."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(space.shape)
    return space.element(values.astype(str(space.dtype_identifier)))


def array(element):
    """Return the values as a numpy array."""
    return np.asarray(element.data).copy()


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('n_views', [2, 8, 6])
@pytest.mark.parametrize('n_detectors', [18, 19])
def test_turned_images_of_parallel_beams(impl, n_views, n_detectors):
    """A T_g = S_g A for the eight symmetries of the square, on noise."""
    operator = parallel(images(impl=impl), n_views, n_detectors)
    for action in group_actions(operator.domain, 'D4'):
        induced = induced_action(operator, action)
        assert induced.is_isometry and induced.is_exact
        assert equivariance_error(operator, action, induced) < 1e-5


@pytest.mark.parametrize('size', [12, 13])
def test_views_from_both_sides(size):
    """A T_g = S_g A for views on a whole circle, each line twice."""
    operator = parallel(images((size, size)), 12, angles=2 * np.pi)
    for action in group_actions(operator.domain, 'D4'):
        induced = induced_action(operator, action)
        assert equivariance_error(operator, action, induced) < 1e-5
        assert len(np.unique(induced.source)) == induced.domain.size


@pytest.mark.parametrize('n_detectors', [18, 19])
def test_fan_beams(n_detectors):
    """A T_g = S_g A for sources all around."""
    operator = fan(images(), 8, n_detectors)
    for action in group_actions(operator.domain, 'D4'):
        induced = induced_action(operator, action)
        assert induced.is_isometry
        assert equivariance_error(operator, action, induced) < 1e-4


def test_views_are_shifted():
    """(S_g y)(phi, s) = y(phi - alpha, s), or y(phi + pi - alpha, -s)."""
    operator = parallel(images(), 8)
    y = noise(operator.range)
    for steps in (1, 2, -3):
        action = Rotation(operator.domain, steps * np.pi / 8, 'fourier')
        moved = array(induced_action(operator, action)(y))
        for view in range(8):
            turns, source = divmod(view - steps, 8)
            expected = array(y)[source, :: (-1) ** (turns % 2)]
            np.testing.assert_array_equal(moved[view], expected)


def test_reflections_reverse_the_views():
    """A reflection maps the view at angle phi to pi - phi or -phi."""
    operator = parallel(images(), 8)
    y = noise(operator.range)
    moved = array(induced_action(operator, Reflection(operator.domain, 1))(y))
    # the detector of the view phi points along (cos phi, sin phi)
    np.testing.assert_array_equal(moved, array(y)[::-1, ::-1])
    moved = array(induced_action(operator, Reflection(operator.domain, 0))(y))
    np.testing.assert_array_equal(moved, array(y)[::-1])


@pytest.mark.parametrize('method', ['fourier', 'cubic'])
def test_turns_by_one_view(method):
    """A T_g = S_g A up to the discretization for turns by one view."""
    operator = parallel(images((64, 64)), 12, 90)
    space = operator.domain
    x, y = np.meshgrid(*space.grid.coord_vectors, indexing='ij')
    u = space.element(np.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) / 0.05))
    action = Rotation(space, np.pi / 12, method)
    induced = induced_action(operator, action)
    assert induced.is_isometry and not induced.is_exact
    assert equivariance_error(operator, action, induced, x=u) < 5e-3
    other = induced_action(operator, action.inverse)
    assert equivariance_error(operator, action, other, x=u) > 0.1


def test_homomorphism():
    """S_g S_h = S_gh, with the product in the group."""
    operator = parallel(images(), 8)
    actions = group_actions(operator.domain, 'D8', 'fourier')
    y = noise(operator.range)
    for left in actions[1::4]:
        for right in actions[2::5]:
            first = induced_action(operator, left)
            second = induced_action(operator, right)
            product = first @ second
            assert product == induced_action(operator, left @ right)
            np.testing.assert_array_equal(
                array(product(y)), array(first(second(y)))
            )


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_inverse_and_adjoint(impl):
    """S_g^-1 = S_(g^-1) = S_g* for permutations."""
    operator = parallel(images(impl=impl), 8)
    y = noise(operator.range)
    for action in group_actions(operator.domain, 'D4'):
        induced = induced_action(operator, action)
        np.testing.assert_array_equal(
            array(induced.inverse(induced(y))), array(y)
        )
        assert adjoint_error(induced) < 1e-6
        assert induced(y) in operator.range
        assert induced(y).data is not y.data


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_rays_beside_the_domain(impl):
    """If a ray misses the domain and has no source, its data are 0."""
    space = images(impl=impl)
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, np.pi, 8),
        odl.uniform_partition(-2.25, 2.0, 34),
    )
    operator = tomo.RayTransform(space, geometry, impl='astra_matrix')
    for action in group_actions(space, 'C4')[1:]:
        induced = induced_action(operator, action)
        assert not induced.is_isometry
        assert equivariance_error(operator, action, induced) < 1e-5
        assert adjoint_error(induced) < 1e-6
        assert (induced.source == -1).any()
        assert induced.adjoint.adjoint == induced


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('angles', [np.pi, 2 * np.pi])
def test_boundary_views(impl, angles):
    """Views of half the weight change the adjoint, but not A T_g = S_g A.

    The first view is the last one too, and each of half the weight.
    """
    space = images(impl=impl)
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, angles, 9, nodes_on_bdry=True),
        odl.uniform_partition(-1.5, 1.5, 18),
    )
    operator = tomo.RayTransform(space, geometry, impl='astra_matrix')
    assert not operator.range.is_uniformly_weighted
    for action in group_actions(space, 'D4'):
        induced = induced_action(operator, action)
        assert equivariance_error(operator, action, induced) < 1e-5
        assert adjoint_error(induced) < 1e-6
        y = noise(operator.range)
        assert induced(y) in operator.range
        if induced.is_isometry:
            assert float(induced(y).norm()) == pytest.approx(
                float(y.norm()), rel=1e-5
            )
    identity = induced_action(operator, Rotation(space, 0))
    quarter = induced_action(operator, Rotation(space, np.pi / 2))
    assert identity.is_isometry and not quarter.is_isometry


def test_a_domain_beside_the_origin():
    """Rays turn about the centre of the domain, if the geometry allows it."""
    space = images(centre=(0.5, -0.25))
    operator = parallel(space, 8, 36, half=3.0)
    turn = Rotation(space, np.pi)
    with pytest.raises(ValueError, match='detector elements from the near'):
        induced_action(operator, turn)
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, np.pi, 8),
        odl.uniform_partition(-1.5, 1.5, 18),
        translation=[0.5, -0.25],
    )
    operator = tomo.RayTransform(space, geometry, impl='astra_matrix')
    for action in group_actions(space, 'D4'):
        induced = induced_action(operator, action)
        assert equivariance_error(operator, action, induced) < 1e-5


def test_rays_beside_a_domain_beside_the_origin():
    """Which rays miss the domain does not depend on where it lies."""
    space = images(centre=(2.5, -3.25))
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, np.pi, 8),
        odl.uniform_partition(-2.25, 2.0, 34),
        translation=[2.5, -3.25],
    )
    operator = tomo.RayTransform(space, geometry, impl='astra_matrix')
    for action in group_actions(space, 'C4')[1:]:
        induced = induced_action(operator, action)
        assert (induced.source == -1).any()
        assert equivariance_error(operator, action, induced) < 1e-5


def test_views_that_are_not_measured():
    """The error names the view, and the rotations that fit."""
    operator = parallel(images(), 8)
    turn = Rotation(operator.domain, np.deg2rad(30), 'fourier')
    with pytest.raises(ValueError, match='view at 11.25 deg.*0, 22.5, 45, 6'):
        induced_action(operator, turn)
    odd = parallel(images(), 9)
    with pytest.raises(ValueError, match='those by 0, 20, 40, 60'):
        induced_action(odd, Rotation(odd.domain, np.pi / 2))


def test_a_detector_beside_the_centre():
    """The error says how far the rays miss each other."""
    space = images()
    geometry = tomo.Parallel2dGeometry(
        odl.uniform_partition(0, np.pi, 8),
        odl.uniform_partition(-1.55, 1.45, 18),
    )
    operator = tomo.RayTransform(space, geometry, impl='astra_matrix')
    with pytest.raises(ValueError, match='0.4 detector elements from'):
        induced_action(operator, Rotation(space, np.pi))


def test_shifts_are_refused():
    """Neither a periodic nor a filled shift commutes with rays."""
    operator = parallel(images((8, 8)))
    space = operator.domain
    for action in (
        Translation(space, (0.25, 0)),
        Translation(space, (0.1, 0), 'fourier'),
        Translation(space, (0.25, 0), fill=0),
    ):
        with pytest.raises(ValueError, match='keeps the centre'):
            induced_action(operator, action)


def test_other_actions_are_refused():
    """Actions that change lengths, or on other spaces, are refused."""
    operator = parallel(images((8, 8)))
    with pytest.raises(ValueError, match='lengths of the rays'):
        induced_action(operator, Dilation(operator.domain, 1.5))
    with pytest.raises(ValueError, match='action on the images'):
        induced_action(operator, Rotation(images((9, 9)), np.pi))
    with pytest.raises(TypeError, match='rotation or a reflection'):
        induced_action(operator, odl.IdentityOperator(operator.domain))
    with pytest.raises(TypeError, match='ray transform'):
        induced_action(
            odl.IdentityOperator(operator.domain),
            Rotation(operator.domain, np.pi),
        )
