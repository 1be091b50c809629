# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of weights for the density of samples, and of gridding."""

import numpy as np
import odl
import pytest

from odl_equivariant.diagnostics import assert_adjoint
from odl_equivariant.diagnostics._spaces import random_element
from odl_equivariant.operators import (
    NonUniformFourierTransform,
    OperatorLayer,
    UnitaryFourierTransform,
    gridding,
    pipe_menon_weights,
    radial_trajectory,
    radial_weights,
    spiral_trajectory,
)

pytest.importorskip('finufft')


def space_of(n=24, dtype='complex128', backend='numpy'):
    return odl.uniform_discr([0, 0], [2, 2], (n, n), dtype=dtype, impl=backend)


def bump(space):
    """Return a smooth image, that the disc of frequencies resolves."""
    x, y = (np.asarray(axis) - 1 for axis in space.meshgrid)
    values = np.exp(-12 * ((x - 0.2) ** 2 + 1.5 * (y + 0.1) ** 2))
    return space.element(values)


def radial(space, n_spokes=48, **keywords):
    points = radial_trajectory(space, n_spokes, **keywords)
    return NonUniformFourierTransform(space, points)


@pytest.mark.parametrize('shape', [(7,), (8,), (6, 5), (2, 3, 4)])
def test_weights_on_the_grid(shape):
    """On the grid all weights are one."""
    n = len(shape)
    space = odl.uniform_discr([0] * n, [1, 2, 3][:n], shape, dtype='complex64')
    points = np.asarray(UnitaryFourierTransform(space).range.points())
    weights = pipe_menon_weights(NonUniformFourierTransform(space, points), 3)
    np.testing.assert_allclose(weights, 1, atol=1e-5)


def test_weights_of_repeated_samples():
    """Samples that are taken twice count half each."""
    points = np.pi * np.array([-1, -0.5, 0, 0, 0.5])[:, None]
    transform = NonUniformFourierTransform(odl.cn(4), points)
    weights = pipe_menon_weights(transform)
    np.testing.assert_allclose(weights, [1, 1, 0.5, 0.5, 1], atol=1e-5)


@pytest.mark.parametrize('golden_angle', [False, True])
def test_sum_of_weights(golden_angle):
    """The weights sum up to the frequencies of the grid in the disc."""
    space = space_of()
    transform = radial(space, golden_angle=golden_angle)
    disc = np.pi / 4 * space.size
    weights = radial_weights(transform)
    assert weights.min() > 0
    # the circles end half a sample further out, on one side
    assert weights.sum() == pytest.approx(disc, rel=0.05)


def test_weights_are_the_ramp():
    """For equal angles the weights are the modulus of the frequency."""
    space = space_of()
    transform = radial(space, 48)
    radii = np.hypot(*np.moveaxis(transform.coordinates, -1, 0))
    weights = radial_weights(transform)
    away = radii > 1e-9
    ramp = radii * (np.pi / 48) / 2  # half a cell of the grid apart
    unit = np.pi  # of the frequencies of the grid, as the field is 2
    np.testing.assert_allclose(weights[away], (ramp / unit)[away], rtol=1e-9)
    np.testing.assert_allclose(
        weights[~away], np.pi / 4 * (1 / 2) ** 2 / 48, rtol=1e-9
    )


def test_weights_of_unequal_angles():
    """A spoke stands for the angles up to the middle of its neighbours."""
    space = space_of()
    angles = np.deg2rad([90, 0, 210])
    radii = np.arange(-8, 9)[:, None]
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = radii * directions[:, None] * np.pi
    weights = radial_weights(NonUniformFourierTransform(space, points))
    sums = weights.sum(1) / weights.sum() * 180
    np.testing.assert_allclose(sums, [75, 60, 45])


def weights_of(kind, space):
    if kind == 'spiral':
        points = spiral_trajectory(space, 6, n_turns=3)
        transform = NonUniformFourierTransform(space, points)
        return transform, pipe_menon_weights(transform)
    transform = radial(space, golden_angle=kind == 'golden')
    if kind == 'iterated':
        return transform, pipe_menon_weights(transform)
    return transform, radial_weights(transform)


@pytest.mark.parametrize('kind', ['ramp', 'golden', 'iterated', 'spiral'])
def test_gridding_inverts(kind):
    """Gridding gives a resolved image back, in its own unit."""
    space = space_of()
    image = bump(space)
    transform, weights = weights_of(kind, space)
    result = gridding(transform, weights)(transform(image))
    error = float((result - image).norm() / image.norm())
    plain = transform.adjoint(transform(image))
    assert float((plain - image).norm() / image.norm()) > 0.5
    assert error < 0.04


@pytest.mark.parametrize('dtype', ['complex128', 'complex64', 'float32'])
@pytest.mark.parametrize('parts', [0, 3])
def test_gridding_is_linear_and_batched(dtype, backend, parts, rng):
    """Gridding has an adjoint, and maps batches as it maps elements."""
    space = space_of(8, dtype, backend)
    points = radial_trajectory(space, 5)
    space = odl.ProductSpace(space, parts) if parts else space
    transform = NonUniformFourierTransform(space, points)
    weights = radial_weights(transform)
    operator = gridding(transform, weights)
    single = dtype != 'complex128'
    assert_adjoint(operator, tol=1e-4 if single else 1e-11)
    y = random_element(operator.domain, rng)
    from odl_equivariant.elements import as_tensor

    ours = OperatorLayer(operator)(as_tensor(y))
    expected = as_tensor(operator(y))
    assert float((ours - expected).abs().max()) < (1e-4 if single else 1e-11)


@pytest.mark.parametrize(
    'weights, error, message',
    [
        (np.ones(3), ValueError, r'shape \(5, 48\)'),
        (-np.ones((5, 48)), ValueError, 'not negative'),
        (np.full((5, 48), np.nan), ValueError, 'finite'),
        (np.ones((5, 48)) * 1j, TypeError, 'real'),
    ],
)
def test_wrong_weights(weights, error, message):
    """Weights are real, finite, not negative, and one for each sample."""
    with pytest.raises(error, match=message):
        gridding(radial(space_of(), 5), weights)


def test_samples_that_are_no_spokes():
    """Spirals, turned orders and points have no ramp."""
    space = space_of()
    spiral = NonUniformFourierTransform(space, spiral_trajectory(space, 3))
    with pytest.raises(ValueError, match='pipe_menon_weights'):
        radial_weights(spiral)
    points = radial_trajectory(space, 5)
    with pytest.raises(ValueError, match='shape'):
        radial_weights(
            NonUniformFourierTransform(space, points.reshape(-1, 2))
        )
    shuffled = points[:, np.random.default_rng(0).permutation(48)]
    with pytest.raises(ValueError, match='not those of spokes'):
        radial_weights(NonUniformFourierTransform(space, shuffled))
    aside = points + [0.5, 0.3]
    aside = aside[:, 4:-4]
    with pytest.raises(ValueError, match='not those of spokes'):
        radial_weights(NonUniformFourierTransform(space, aside))


def test_other_operators():
    """Only non-uniform transforms have such weights."""
    unitary = UnitaryFourierTransform(space_of())
    for function in (pipe_menon_weights, radial_weights):
        with pytest.raises(TypeError, match='NonUniformFourierTransform'):
            function(unitary)
    with pytest.raises(TypeError, match='NonUniformFourierTransform'):
        gridding(unitary, np.ones((24, 24)))
