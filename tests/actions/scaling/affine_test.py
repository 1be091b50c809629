# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Affine actions in one, two and three dimensions."""

import numpy as np
import odl
import pytest

from odl_equivariant.actions import (
    Affine,
    Dilation,
    GridAction,
    Reflection,
    Rotation,
    Translation,
    group_actions,
)
from odl_equivariant.diagnostics import (
    adjoint_error,
    assert_adjoint,
    equivariance_error,
    invariance_error,
    isometry_error,
)
from odl_equivariant.functionals import (
    InvariantTotalGeneralizedVariation,
    InvariantTotalVariation,
)

MATRICES = {
    1: [[-0.7]],
    2: [[1.0, 0.6], [0.0, 0.8]],
    3: [[1.0, 0.3, 0.0], [0.0, 0.6, 0.2], [-0.1, 0.0, 1.4]],
}
SHAPES = {1: (9,), 2: (8, 7), 3: (5, 4, 6)}


def box(n, dtype='float64', impl='numpy', shape=None):
    """Return a space of functions of n variables."""
    return odl.uniform_discr(
        [-1] * n, [1] * n, shape or SHAPES[n], dtype=dtype, impl=impl
    )


@pytest.mark.parametrize('n', MATRICES)
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'complex128'])
@pytest.mark.parametrize('method', ['linear', 'cubic'])
def test_adjoints_are_exact(n, impl, dtype, method):
    """<T u, v> = <u, T* v>, with means over cells, unitary or periodic."""
    space = box(n, dtype, impl)
    for options in ({}, {'unitary': True}, {'fill': None}, {'smooth': False}):
        assert_adjoint(Affine(space, MATRICES[n], 0.1, method, **options))


@pytest.mark.parametrize('nodes_on_bdry', [False, True])
def test_adjoints_on_half_cells(nodes_on_bdry):
    """The adjoint counts cells that the boundary cuts by their size."""
    space = odl.uniform_discr(
        [-1, -1], [1, 1], (6, 5), nodes_on_bdry=nodes_on_bdry
    )
    assert adjoint_error(Affine(space, 0.6)) < 1e-12


@pytest.mark.parametrize('n', MATRICES)
def test_a_shrunk_image_is_the_mean_of_blocks(n):
    """With the factor 1 / 2 no detail is folded: cells average 2^n others."""
    space = box(n, shape=(8,) * n)
    u = space.element(np.random.default_rng(0).standard_normal((8,) * n))
    half = Affine(space, 0.5)(u).asarray()
    middle = half[(slice(2, 6),) * n]
    blocks = u.asarray()
    for axis in range(n):
        blocks = (
            blocks.take(range(0, 8, 2), axis)
            + blocks.take(range(1, 8, 2), axis)
        ) / 2
    np.testing.assert_allclose(middle, blocks, atol=1e-14)
    assert float(half.sum() * 2**n) == pytest.approx(u.asarray().sum())


def test_fine_details_are_not_folded():
    """A checkerboard that shrinks is grey, and without means it is not."""
    space = box(2, shape=(16, 16))
    board = space.element((np.indices((16, 16)).sum(0) % 2) * 2.0 - 1)
    assert abs(Affine(space, 0.5)(board).asarray()).max() < 1e-14
    folded = Affine(space, 1 / 3, smooth=False)(board).asarray()
    assert abs(folded).max() > 0.5


@pytest.mark.parametrize('n', MATRICES)
@pytest.mark.parametrize('method', ['linear', 'cubic'])
def test_errors_fall_with_the_cells(n, method):
    """Of the image, and of the norm of the unitary version."""
    matrix = np.array(MATRICES[n])
    errors = []
    for cells in (12, 24) if n == 3 else (24, 48):
        space = box(n, shape=(cells,) * n)

        def bump(x):
            return np.exp(-sum(t**2 for t in x) / (2 * 0.2**2))

        u = space.element(bump)
        at = np.stack(
            [a.ravel() for a in np.broadcast_arrays(*space.meshgrid)]
        )
        exact = bump(np.linalg.inv(matrix) @ at).reshape(space.shape)
        gap = Affine(space, matrix, method=method)(u) - space.element(exact)
        norm = Affine(space, matrix, unitary=True, method=method)(u).norm()
        errors.append(
            (
                float(gap.norm()) / np.linalg.norm(exact),
                abs(float(norm) / float(u.norm()) - 1),
            )
        )
    assert all(b < a / 2.5 for a, b in zip(*errors, strict=True))


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('method', ['linear', 'cubic'])
def test_far_shrinking_is_the_mean_of_large_blocks(impl, method):
    """By 1 / 16, each cell is the mean of 16 x 16; and it is at once there."""
    space = box(2, impl=impl, shape=(64, 64))
    u = np.random.default_rng(0).standard_normal((64, 64))
    shrunk = Affine(space, 1 / 16, method=method)
    result = np.asarray(shrunk(space.element(u)).asarray())
    # the inner cells, whose kernels do not reach over the boundary
    blocks = u.reshape(4, 16, 4, 16).mean((1, 3))
    gap = result[30:34, 30:34] - blocks
    assert abs(gap).max() < {'linear': 1e-12, 'cubic': 0.02}[method]
    assert_adjoint(shrunk)
    rows, columns, values = shrunk.mover._entries
    # one for each cell of the image and, at most, its neighbours
    assert sum(map(len, values)) < 2 * 64**2


@pytest.mark.parametrize('fill', [0.0, None, 2.0])
@pytest.mark.parametrize('method', ['linear', 'cubic'])
def test_means_are_those_of_points(fill, method):
    """Each value is the mean of k x k interpolated points, far cells too."""
    space = odl.uniform_discr([-1, 0], [1, 3], (9, 8))
    matrix = np.array([[0.4, 0.1], [-0.2, 0.5]])
    action = Affine(space, matrix, [0.2, -0.1], method, fill=fill)
    mover = action.mover
    assert min(mover.n_points) > 1
    u = space.element(np.random.default_rng(0).standard_normal((9, 8)))
    total = 0.0
    for index in np.ndindex(*mover.n_points):
        offset = (np.array(index) + 0.5) / mover.n_points - 0.5
        point = Affine(
            space,
            matrix,
            # the image moves the other way
            [0.2, -0.1] - offset * space.cell_sides,
            method,
            smooth=False,
            fill=fill,
        )
        total = total + point(u).asarray()
    np.testing.assert_allclose(
        action(u).asarray(), total / np.prod(mover.n_points), atol=1e-13
    )


def test_what_is_exact_is_a_permutation():
    """Quarter turns, and mirrors, are those of the grid to the last bit."""
    space = box(2, shape=(6, 6))
    quarter = Affine(space, [[0, -1], [1, 0]], unitary=True)
    assert quarter.is_exact
    u = space.element(np.arange(36.0).reshape(6, 6))
    np.testing.assert_array_equal(
        quarter(u).data, Rotation(space, np.pi / 2)(u).data
    )


def test_where_nothing_shrinks_it_is_a_dilation():
    """Larger images are interpolated at points, as by `Dilation`."""
    space = box(2)
    u = space.element(np.random.default_rng(0).standard_normal((8, 7)))
    np.testing.assert_allclose(
        Affine(space, 1.5)(u).data, Dilation(space, 1.5)(u).data, atol=1e-14
    )


def test_products_interpolate_once():
    """Products and inverses are those of the matrices and shifts."""
    space = box(2, shape=(8, 8))
    shear = Affine(space, [[1, 0.5], [0, 1]], [0.1, 0])
    assert (shear @ shear).matrix.tolist() == [[1, 1], [0, 1]]
    assert (shear @ shear.inverse).is_exact
    assert isinstance(shear.inverse, Affine)
    turned = Rotation(space, np.pi / 2) @ shear
    np.testing.assert_allclose(turned.matrix, [[0, -1], [1, 0.5]], atol=1e-15)
    # they interpolate in different ways, and stay two operators
    assert not hasattr(shear @ Dilation(space, 1.5), 'matrix')
    assert not hasattr(Dilation(space, 1.5) @ shear, 'matrix')
    assert Affine(space, 10.0).inverse.matrix[0, 0] == pytest.approx(0.1)
    assert shear == Affine(space, [[1, 0.5], [0, 1]], [0.1, 0])
    assert shear != Affine(space, [[1, 0.5], [0, 1]], [0.1, 0], smooth=False)


def test_what_lies_outside_is_filled():
    """A constant image stays constant where it is filled with its value."""
    space = box(2)
    filled = Affine(space, 0.5, fill=3.0)
    assert not filled.is_linear
    np.testing.assert_allclose(filled(3 * space.one()).asarray(), 3.0)
    assert_adjoint(filled.derivative(space.one()))


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (([[1, 2], [2, 4]],), 'singular values'),
        ((0,), 'singular values'),
        ((0.1,), 'leaves .* cells.*at least 1.43 times the matrix'),
        (([[1, 1], [1, 1 + 1e-6]],), 'shrinks an image.*points and about'),
        (([[1, 0, 0]],), 'shape'),
        ((np.nan,), 'finite'),
        ((1.5, [4.0, 0.0]), 'out of the domain'),
        ((1.5, [1.0, 0.0, 0.0]), '2 numbers'),
        ((1.5, 0.0, 'spline'), 'method'),
    ],
)
def test_bad_values(arguments, match):
    """Errors name what was expected, with numbers."""
    with pytest.raises(ValueError, match=match):
        Affine(box(2), *arguments)


def test_periodic_matrices_that_are_too_large():
    """The error says how much memory it would take, before it is made."""
    space = box(2, shape=(512, 512))
    with pytest.raises(ValueError, match='GiB.*`fill=0`'):
        Affine(space, 0.02, fill=None)


def test_bad_types():
    """Numbers only; and a unitary action is linear."""
    with pytest.raises(TypeError, match='real numbers'):
        Affine(box(2), 'big')
    with pytest.raises(TypeError, match='real numbers'):
        Affine(box(2), 1.5, 1j)
    with pytest.raises(ValueError, match='linear'):
        Affine(box(2), 1.5, unitary=True, fill=1.0)


@pytest.mark.parametrize('size', [7, 8])
@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
def test_actions_on_a_line(size, impl):
    """The adjoints of all actions of one variable are exact."""
    line = odl.uniform_discr(-1, 1, size, impl=impl)
    h = 2 / size
    isometries = [
        *group_actions(line, 'D1'),
        Reflection(line, 0),
        Translation(line, [h]),
        Translation(line, [0.1], method='fourier'),
        GridAction(line, [[-1]], [2]),
    ]
    others = [Dilation(line, 1.5), Translation(line, [0.1], method='cubic')]
    for action in isometries + others:
        assert_adjoint(action)
    for action in isometries:
        assert isometry_error(action) < 1e-12
    u = line.element(np.arange(size))
    mirrored = isometries[1](u).data
    assert [float(x) for x in mirrored] == list(range(size))[::-1]


@pytest.mark.parametrize(
    'kind', [InvariantTotalVariation, InvariantTotalGeneralizedVariation]
)
def test_variations_on_a_line(kind):
    """They are invariant under the mirror, and proximals equivariant."""
    line = odl.uniform_discr(-1, 1, 9)
    mirror = Reflection(line, 0)
    functional = kind(line, tol=1e-3)
    assert invariance_error(functional, mirror) < 1e-12
    assert equivariance_error(functional.proximal(0.1), mirror) < 1e-12


def test_a_line_has_no_rotations():
    """Rotations and other groups are refused, with what there is."""
    line = odl.uniform_discr(-1, 1, 9)
    with pytest.raises(ValueError, match='no rotations'):
        Rotation(line, np.pi)
    with pytest.raises(ValueError, match="'C1', the identity, and 'D1'"):
        group_actions(line, 'C4')


@pytest.mark.parametrize('factor', [1e4, 1e9, 1e12])
def test_huge_factors(factor):
    """The cells at the centre fill the domain, however large the factor."""
    space = odl.uniform_discr([-1, -1], [1, 1], (5, 5))
    u = space.element(np.arange(25.0).reshape(5, 5))
    np.testing.assert_allclose(Affine(space, factor)(u).asarray(), 12, 1e-3)
