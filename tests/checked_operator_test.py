# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What is given to an operator is an element, or becomes one."""

import numpy as np
import odl
import pytest
from odl.core.operator import OpDomainError, OpRangeError

from odl_equivariant import actions, functionals, operators
from odl_equivariant.data import CartesianMRI
from odl_equivariant.elements import as_tensor

BACKENDS = ['numpy', 'pytorch']
SHAPE = (4, 8)


def _ray_transform(space):
    geometry = odl.applications.tomo.parallel_beam_geometry(space, 6)
    return odl.applications.tomo.RayTransform(
        space, geometry, impl='astra_matrix'
    )


def _cone_beam_transform(plane):
    space = odl.uniform_discr(
        [-1, -1, -1], [1, 1, 1], (4, 4, 4), dtype='float32', impl=plane.impl
    )
    geometry = odl.applications.tomo.cone_beam_geometry(space, 4, 4, 6)
    return odl.applications.tomo.RayTransform(
        space, geometry, impl='volume_matrix'
    )


def _fit(space):
    return functionals.LeastSquares(odl.IdentityOperator(space), space.one())


MADE = {
    'Rotation': lambda space: actions.Rotation(space, np.pi),
    'Translation': lambda space: actions.Translation(space, [0.25, 0]),
    'Intensity': lambda space: actions.Intensity(space, 2),
    'Dilation': lambda space: actions.Dilation(space, 1.5),
    'Dilation.adjoint': lambda space: actions.Dilation(space, 1.5).adjoint,
    'DomainScaling': lambda space: actions.DomainScaling(space, 2),
    'induced_action': lambda space: actions.induced_action(
        _ray_transform(space), actions.Rotation(space, np.pi)
    ),
    'Masking': lambda space: operators.Masking(space, np.eye(*SHAPE)),
    'Convolution': lambda space: operators.Convolution(space, np.ones((3, 3))),
    'Downsampling': lambda space: operators.Downsampling(space, 2),
    'HadamardTransform': operators.HadamardTransform,
    'RandomMeasurements': lambda space: operators.RandomMeasurements(space, 4),
    'UnitaryFourierTransform': operators.UnitaryFourierTransform,
    'UnitaryFourierTransform.inverse': lambda space: (
        operators.UnitaryFourierTransform(space.complex_space).inverse
    ),
    'SubsampledFourierTransform': lambda space: (
        operators.SubsampledFourierTransform(space, np.eye(*SHAPE))
    ),
    'SensitivityEncoding': lambda space: operators.SensitivityEncoding(
        space, np.ones((2, *SHAPE))
    ),
    'NonUniformFourierTransform': lambda space: (
        operators.NonUniformFourierTransform(
            space, operators.radial_trajectory(space, 3)
        )
    ),
    'gridding': lambda space: operators.gridding(
        MADE['NonUniformFourierTransform'](space), np.ones((3, 16))
    ),
    'CartesianMRI of several coils': lambda space: (
        CartesianMRI(SHAPE, n_coils=2, backend=space.impl).operator
    ),
    'FramewiseOperator': lambda space: operators.FramewiseOperator(
        [odl.IdentityOperator(space)] * 3
    ),
    'SlicewiseOperator': lambda space: operators.SlicewiseOperator(
        odl.IdentityOperator(space), 3
    ),
    'GroupAverage': lambda space: operators.GroupAverage(
        odl.IdentityOperator(space), actions.group_actions(space, 'D2')
    ),
    'OneSidedGradients': functionals.OneSidedGradients,
    'InvariantTotalVariation.proximal': lambda space: (
        functionals.InvariantTotalVariation(space).proximal(0.1)
    ),
    'LeastSquares.gradient': lambda space: _fit(space).gradient,
    'LeastSquares.derivative of the gradient': lambda space: _fit(
        space
    ).gradient.derivative(space.one()),
    'LeastSquares.proximal': lambda space: _fit(space).proximal(0.1),
    'filtered_backprojection of cone beams': lambda space: (
        operators.filtered_backprojection(_cone_beam_transform(space))
    ),
    'filtered_backprojection': lambda space: operators.filtered_backprojection(
        _ray_transform(space)
    ),
    'filtered_backprojection.adjoint': lambda space: (
        operators.filtered_backprojection(_ray_transform(space)).adjoint
    ),
}

# Those whose values are numbers, or whose arguments have parts of parts.
OTHERS = {
    'OneSidedGradients.adjoint': lambda space: (
        functionals.OneSidedGradients(space).adjoint
    ),
    'LiftedGradients': functionals.LiftedGradients,
    'InvariantTotalVariation': functionals.InvariantTotalVariation,
    'InvariantTotalGeneralizedVariation': (
        functionals.InvariantTotalGeneralizedVariation
    ),
    'LeastSquares': _fit,
    'TransmissionLikelihood': lambda space: functionals.TransmissionLikelihood(
        odl.IdentityOperator(space), np.ones(SHAPE), 10.0
    ),
}


def _operator(name, backend='numpy'):
    space = odl.uniform_discr(
        [-0.5, -1], [0.5, 1], SHAPE, dtype='float32', impl=backend
    )
    return (MADE | OTHERS)[name](space)


def _sample(space):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(space.shape)
    if not space.is_real:
        values = values + 1j * rng.standard_normal(space.shape)
    return values.astype(space.dtype_identifier)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', [*MADE, *OTHERS])
def test_none_is_no_argument(name, backend):
    """None is refused: ODL would take whatever lies in memory."""
    with pytest.raises(OpDomainError, match='got None'):
        _operator(name, backend)(None)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', MADE)
def test_order_of_bytes_does_not_matter(name, backend):
    """An array of the other order of bytes has the same values."""
    operator = _operator(name, backend)
    native = _sample(operator.domain)
    foreign = _foreign(native)
    assert not foreign.dtype.isnative
    expected, found = as_tensor(operator(native)), as_tensor(operator(foreign))
    assert (found == expected).all()


@pytest.mark.parametrize('name', MADE)
def test_what_was_given_is_described_without_its_values(name):
    """The error has the shape that was expected and the one that came."""
    operator = _operator(name)
    shape = ', '.join(map(str, operator.domain.shape))
    with pytest.raises(
        OpDomainError,
        match=rf'array of shape \({shape},?\) of .* numbers, got ndarray of',
    ):
        operator(np.ones((3, 2, 5, 7)))


def test_numbers_are_named_with_the_shape():
    """Of a complex array for a real space, the error says what is wrong."""
    operator = _operator('Rotation')
    with pytest.raises(
        OpDomainError, match='of real numbers, got .* and dtype complex128'
    ):
        operator(np.ones(SHAPE, complex))


def _turn_of_pairs(backend):
    space = odl.uniform_discr(
        [-0.5, -1], [0.5, 1], SHAPE, dtype='float32', impl=backend
    )
    return actions.Rotation(space**2, np.pi)


def _foreign(array):
    return array.astype(array.dtype.newbyteorder('S'))


def _backwards(array):
    return array[::-1].copy()[::-1]


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('mirrored', [np.flipud, np.fliplr, np.flip])
def test_steps_backwards_do_not_matter(backend, mirrored):
    """A mirrored array, which is a view, has the values of its copy."""
    turn = _operator('Rotation', backend)
    view = mirrored(np.arange(32.0).reshape(SHAPE))
    assert min(view.strides) < 0
    assert (as_tensor(turn(view)) == as_tensor(turn(view.copy()))).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_booleans_are_zeros_and_ones(backend):
    """A mask is an image, with either back-end."""
    turn, mask = _operator('Rotation', backend), np.eye(*SHAPE, dtype=bool)
    expected = turn(mask.astype('float32'))
    assert (as_tensor(turn(mask)) == as_tensor(expected)).all()


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('given', [_foreign, _backwards, np.ndarray.tolist])
def test_parts_are_read_like_the_whole(backend, given):
    """A list of arrays is the element of the product of their spaces."""
    turn = _turn_of_pairs(backend)
    whole = np.arange(64.0).reshape(2, *SHAPE)
    parts = [given(part) for part in whole]
    assert (as_tensor(turn(parts)) == as_tensor(turn(whole))).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_none_is_no_part(backend):
    """None is refused as a part of an element."""
    turn = _turn_of_pairs(backend)
    with pytest.raises(OpDomainError, match='got list of None, ndarray of'):
        turn([None, np.ones(SHAPE)])


@pytest.mark.parametrize('backend', BACKENDS)
def test_an_array_is_no_output(backend):
    """The error says what `out` must be, without its values."""
    turn = _operator('Rotation', backend)
    with pytest.raises(
        OpRangeError, match=r'out` must be .* got ndarray of shape \(4, 8\)'
    ):
        turn(np.ones(SHAPE), out=np.zeros(SHAPE))
