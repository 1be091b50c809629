# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Tests of operators that differ from frame to frame."""

import pickle

import numpy as np
import odl
import pytest
import torch

from odl_equivariant.diagnostics import adjoint_error, assert_adjoint
from odl_equivariant.elements import as_tensor
from odl_equivariant.operators import (
    FramewiseOperator,
    OperatorLayer,
    UnitaryFourierTransform,
)


def frames(n=3, dtype='float64', impl='numpy', weight=None):
    """Return multiplications by other images for each frame."""
    space = odl.uniform_discr(
        [0, 0], [2, 1], (4, 3), dtype=dtype, impl=impl, weighting=weight
    )
    rng = np.random.default_rng(0)
    operators = []
    for _ in range(n):
        image = rng.normal(size=space.shape).astype(dtype)
        image = torch.from_numpy(image) if impl == 'pytorch' else image
        operators.append(odl.MultiplyOperator(space.element(image)))
    return operators


@pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
@pytest.mark.parametrize('dtype', ['float32', 'complex128'])
def test_frames_are_mapped_by_their_operators(impl, dtype):
    """The frame of the result is that of the operator of the frame."""
    operators = frames(3, dtype, impl)
    operator = FramewiseOperator(operators, 0.5)
    film = operator.domain.one()
    result = np.asarray(operator(film).data)
    for k, single in enumerate(operators):
        expected = np.asarray(single(single.domain.one()).data)
        np.testing.assert_allclose(result[..., k], expected, rtol=1e-6)


@pytest.mark.parametrize('weight', [None, 3.0])
def test_adjoint_refers_to_the_weights_of_films(weight):
    """The weights are those of a frame times the time of a frame."""
    operator = FramewiseOperator(frames(weight=weight), 0.25)
    frame = frames(weight=weight)[0].domain
    assert operator.domain.weighting.const == pytest.approx(
        0.25 * frame.weighting.const
    )
    assert_adjoint(operator)


def test_adjoint_with_another_space_of_data():
    """A space of data with another weight changes the adjoint alike."""
    operators = frames()
    data = odl.uniform_discr([0, 0], [8, 9], (4, 3))
    operator = FramewiseOperator(operators, data_space=data)
    assert operator.range.weighting.const == pytest.approx(6)
    assert adjoint_error(operator) < 1e-12


def test_from_real_to_complex():
    """Operators may map real frames to complex data."""
    space = odl.uniform_discr([0, 0], [1, 1], (4, 5))
    transform = UnitaryFourierTransform(space)
    operator = FramewiseOperator([transform, 2 * transform])
    assert operator.range.is_complex
    assert adjoint_error(operator) < 1e-12


def test_layer_and_pickle():
    """It maps batches with gradients, and is pickled by its arguments."""
    operator = pickle.loads(pickle.dumps(FramewiseOperator(frames(), 0.5)))
    layer = OperatorLayer(operator)
    films = torch.randn(2, 1, 4, 3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, films)
    film = operator.domain.element(films[1, 0].detach().numpy())
    torch.testing.assert_close(layer(films)[1:], as_tensor(operator(film)))


def wrong_cases():
    """Yield lists of operators that make no film, and what is said."""
    first, second, _ = frames()
    yield [], ValueError, 'at least one frame'
    yield [first, 3], TypeError, 'frame 1'
    other = odl.uniform_discr([0, 0], [1, 1], (4, 3))
    yield [first, odl.IdentityOperator(other)], ValueError, 'one space'
    shorter = UnitaryFourierTransform(first.domain)
    narrow = odl.ResizingOperator(first.domain, ran_shp=(2, 3))
    yield [shorter, narrow], ValueError, 'one shape'
    yield [odl.IdentityOperator(odl.rn(3))], TypeError, 'uniform_discr'
    yield [odl.ConstantOperator(first.domain.one())], TypeError, 'linear'


@pytest.mark.parametrize('operators, error, match', list(wrong_cases()))
def test_operators_that_make_no_film(operators, error, match):
    """Operators between other spaces are refused, with the frame."""
    with pytest.raises(error, match=match):
        FramewiseOperator(operators)
