# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the norm of an operator, and of what does not change it."""

import numpy as np
import odl
import pytest
import torch
from odl.applications.tomo import RayTransform, parallel_beam_geometry

from odl_equivariant.actions import (
    Dilation,
    Reflection,
    Rotation,
    Translation,
    group_actions,
    induced_action,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators import (
    AdjointOperator,
    OperatorLayer,
    SensitivityEncoding,
    SubsampledFourierTransform,
    UnitaryFourierTransform,
    operator_norm,
)
from odl_equivariant.operators.operator_norm import norm_for_steps

each_dtype = pytest.mark.parametrize('dtype', ['float32', 'float64'])
each_impl = pytest.mark.parametrize('impl', ['numpy', 'pytorch'])
TOLERANCES = {'float32': 2e-6, 'float64': 1e-12}


def grid(shape=(8, 8), dtype='float64', impl='numpy', **kwargs):
    """Return a space on a grid of about the unit square."""
    kwargs = {'dtype': dtype, 'impl': impl, **kwargs}
    return odl.uniform_discr(
        [-1] * len(shape), [1] * len(shape), shape, **kwargs
    )


def complex_of(dtype):
    """Return the complex dtype of the same precision."""
    return {'float32': 'complex64', 'float64': 'complex128'}[dtype]


class Matrix(odl.Operator):
    """Unregistered operator that multiplies by a matrix."""

    def __init__(self, space, matrix):
        super().__init__(space, space, linear=True)
        self.matrix = matrix

    def _call(self, x):
        image = x.asarray() if x.impl == 'numpy' else x.data.numpy()
        with np.errstate(invalid='ignore'):
            product = self.matrix @ image.ravel()
        result = product.reshape(image.shape).astype(image.dtype)
        return self.range.element(result)

    @property
    def adjoint(self):
        """The transpose, as the weights are equal."""
        return Matrix(self.domain, self.matrix.conj().T)


def random_matrix(space, seed=0):
    """Return a random matrix on a space."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((space.size, space.size))
    if space.is_complex:
        matrix = matrix + 1j * rng.standard_normal(matrix.shape)
    return Matrix(space, matrix)


def coils(space, n_coils=3, seed=0):
    """Return random coil maps, without symmetry."""
    rng = np.random.default_rng(seed)
    shape = (2, n_coils, *space.shape)
    real, imaginary = rng.standard_normal(shape)
    return real + 1j * imaginary


def sampled(space, maps, mask=None):
    """Return a subsampled Fourier transform after coils."""
    encoding = SensitivityEncoding(space, maps)
    if mask is None:
        return UnitaryFourierTransform(encoding.range) @ encoding
    return SubsampledFourierTransform(encoding.range, mask) @ encoding


def multiplication(space, seed=0):
    """Return multiplication by random real or complex numbers."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(0.5, 1, space.shape)
    if space.is_complex:
        numbers = numbers * np.exp(1j * rng.uniform(0, 6, space.shape))
    return odl.MultiplyOperator(space.element(numbers), space, space)


def by_singular_values(operator):
    """Return the norm from the singular values of the matrix."""
    layer = OperatorLayer(operator)
    shape = inner_product_weights(operator.domain)
    shape = torch.broadcast_shapes(shape.shape, layer._shape)
    unit = torch.eye(int(np.prod(shape)), dtype=layer._dtype)
    images = layer(unit.reshape(-1, *shape)).double()

    def roots(space, like):
        weights = inner_product_weights(space).sqrt()
        return weights.expand(like).flatten().numpy()

    matrix = images.flatten(1).numpy().T
    matrix = matrix * roots(operator.range, images.shape[1:])[:, None]
    return np.linalg.norm(matrix / roots(operator.domain, shape), 2)


def weighted(shape, seed=0, **kwargs):
    """Return a space with another weight at each point."""
    rng = np.random.default_rng(seed)
    return odl.rn(shape, weighting=rng.uniform(0.5, 2, shape), **kwargs)


def operators(dtype, impl):
    """Yield operators of all kinds, with their names."""
    space = grid((6, 5), dtype, impl)
    images = grid((6, 5), complex_of(dtype), impl)
    mask = np.random.default_rng(3).random((6, 5)) < 0.4
    mask[0, 0] = True
    yield 'identity', odl.IdentityOperator(space)
    yield 'number', -2.5 * odl.IdentityOperator(space)
    yield 'multiplication', multiplication(space)
    yield 'complex multiplication', multiplication(images)
    yield 'any matrix', random_matrix(space)
    yield 'any complex matrix', random_matrix(images)
    slope = odl.PartialDerivative(
        space, 1, method='central', pad_mode='symmetric'
    )
    yield 'derivative', slope
    yield 'adjoint', AdjointOperator(slope)
    yield 'second derivative', AdjointOperator(slope) @ slope
    yield 'sum', slope + odl.PartialDerivative(space, 0)
    for pad_mode in ('constant', 'periodic', 'order1'):
        yield pad_mode, odl.Gradient(space, pad_mode=pad_mode)
    yield 'complex gradient', odl.Gradient(images)
    yield 'diagonal', odl.DiagonalOperator(slope, 9 * multiplication(space))
    stacked = odl.BroadcastOperator(slope, 3 * odl.IdentityOperator(space))
    yield 'broadcast', stacked
    yield 'reduction', odl.ReductionOperator(*stacked.operators)
    two = odl.BroadcastOperator(slope, multiplication(space))
    yield 'broadcast of two', two
    yield 'coils', SensitivityEncoding(images, coils(images))
    yield 'coils of real images', SensitivityEncoding(space, coils(space))
    yield 'all samples', sampled(images, coils(images))
    yield 'samples', sampled(images, coils(images), mask)
    yield 'samples of real images', sampled(space, coils(space), mask)
    yield 'real transform', UnitaryFourierTransform(space)
    inverse = UnitaryFourierTransform(space).inverse
    yield 'real inverse after', inverse @ multiplication(inverse.domain)
    adjoint = AdjointOperator(inverse.inverse)
    yield 'real adjoint after', adjoint @ multiplication(inverse.domain)
    # an isometry, but not onto the complex space
    angles = np.random.default_rng(6).uniform(0, 6, (6, 5))
    phases = inverse.domain.element(np.exp(1j * angles))
    real = inverse.domain.real_space
    phased = odl.MultiplyOperator(phases, real, inverse.domain)
    yield 'real numbers before', adjoint @ phased
    yield (
        'multiplication after',
        multiplication(inverse.domain) @ (inverse.inverse),
    )


@each_dtype
@each_impl
def test_norm_is_the_largest_singular_value(dtype, impl):
    """The norm is the largest singular value, in the weights of the spaces."""
    for name, operator in operators(dtype, impl):
        norm = operator_norm(operator)
        expected = by_singular_values(operator)
        assert type(norm) is float
        assert norm == pytest.approx(expected, rel=TOLERANCES[dtype]), name


def test_norm_in_weights_of_each_point():
    """The norm is right if the weights vary from point to point."""
    domain, range_ = weighted((4, 5)), weighted((6, 5), 1)
    matrix = np.random.default_rng(2).standard_normal((6, 4))
    operator = odl.MatrixOperator(matrix, domain, range_, axis=0)
    expected = by_singular_values(operator)
    assert operator_norm(operator) == pytest.approx(expected, rel=1e-12)
    factor = odl.MultiplyOperator(domain.one(), domain, weighted((4, 5), 3))
    expected = by_singular_values(factor)
    assert operator_norm(factor) == pytest.approx(expected, rel=1e-12)


def test_norm_on_half_cells():
    """The norm is right with half cells at the boundary."""
    space = grid((5, 6), nodes_on_bdry=True)
    slope = odl.PartialDerivative(space, 0)
    for operator in (
        slope,
        odl.Gradient(space),
        slope @ multiplication(space),
    ):
        expected = by_singular_values(operator)
        assert operator_norm(operator) == pytest.approx(expected, rel=1e-12)


def test_norm_in_weighted_products():
    """The norm is right for weighted product spaces."""
    space = grid((4, 4))
    for weighting in ([2.0, 5.0], 3.0):
        pair = odl.ProductSpace(space, 2, weighting=weighting)
        gradient = odl.Gradient(space, pair)
        expected = by_singular_values(gradient)
        assert operator_norm(gradient) == pytest.approx(expected, rel=1e-12)
        assert expected > 1.5 * operator_norm(odl.Gradient(space))


def test_norm_between_spaces_of_two_weights():
    """With the weight 4 in the range, the identity has the norm 2."""
    domain, range_ = odl.rn(3), odl.rn(3, weighting=4.0)
    for operator in (
        odl.MatrixOperator(np.eye(3), domain, range_),
        odl.MultiplyOperator(domain.one(), domain, range_),
    ):
        assert operator_norm(operator) == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize('size', [64, 65])
def test_norm_of_a_large_gradient(size):
    """The norm of forward differences is known in closed form."""
    space = grid((size, size))
    gradient = odl.Gradient(space, pad_mode='symmetric')
    width = float(space.cell_sides[0])
    one = 2 / width * np.sin(np.pi * (size - 1) / (2 * size))
    expected = np.sqrt(2) * one
    assert operator_norm(gradient) == pytest.approx(expected, rel=1e-12)


def test_norm_by_lanczos_of_many_unknowns():
    """The norm of a Fourier filter is its largest coefficient."""
    space = grid((32, 32), 'complex128')
    transform = UnitaryFourierTransform(space)
    rng = np.random.default_rng(0)
    factor = transform.range.element(rng.uniform(0, 1, space.shape))
    filter_ = odl.MultiplyOperator(factor, transform.range, transform.range)
    filtered = transform.inverse @ filter_ @ transform
    largest = np.abs(factor.asarray()).max()
    assert operator_norm(filtered) == pytest.approx(largest, rel=1e-12)
    # with nothing to strip or to know
    hidden = 0.5 * filtered + 0.5 * filtered
    assert operator_norm(hidden) == pytest.approx(largest, rel=1e-12)


def test_norm_where_only_what_is_odd_counts():
    """The norm is found if the kernel contains all symmetric images."""
    space = grid((8, 8))
    mirror = Reflection(space, 0)
    odd = odl.IdentityOperator(space) - mirror
    tilted = odd @ multiplication(space) @ odd
    expected = by_singular_values(tilted)
    assert operator_norm(tilted) == pytest.approx(expected, rel=1e-12)
    assert operator_norm(odd) == pytest.approx(2, rel=1e-12)


def test_norm_of_an_operator_between_products_without_a_tensor():
    """Products of different grids have a norm, too."""
    space = grid((6, 6), 'float32')
    ray = RayTransform(
        space, parallel_beam_geometry(space, 4, 9), impl='astra_matrix'
    )
    slope = odl.PartialDerivative(space, 0)
    both = odl.BroadcastOperator(ray, slope)
    gram = AdjointOperator(ray) @ ray + AdjointOperator(slope) @ slope
    expected = by_singular_values(gram) ** 0.5
    assert operator_norm(both) == pytest.approx(expected, rel=1e-5)


# --- What does not change it --- #


def of_each_kind():
    """Return one operator of each kind, on square grids."""
    space, images = grid(), grid(dtype='complex128')
    mask = np.random.default_rng(3).random((8, 8)) < 0.4
    return {
        'coils': SensitivityEncoding(images, coils(images)),
        'coils, all samples': sampled(images, coils(images)),
        'coils, samples': sampled(images, coils(images), mask),
        'samples': SubsampledFourierTransform(images, mask),
        'derivative': odl.PartialDerivative(space, 0),
        'gradient': odl.Gradient(space, method='central'),
        'multiplication': multiplication(space),
        'matrix': random_matrix(space),
        'complex matrix': random_matrix(images),
        'rays': RayTransform(
            space, parallel_beam_geometry(space, 3, 13), impl='astra_matrix'
        ),
    }


KINDS = list(of_each_kind())


@pytest.mark.parametrize('kind', KINDS)
def test_actions_on_the_domain_do_not_change_the_norm(kind):
    """||A T_g|| = ||A|| for all of D4."""
    operator = of_each_kind()[kind]
    for norm in (operator_norm, norm_for_steps):
        expected = norm(operator)
        for action in group_actions(operator.domain, 'D4'):
            assert norm(operator @ action) == pytest.approx(
                expected, rel=1e-12
            )


@pytest.mark.parametrize('kind', KINDS)
def test_compositions_of_actions_do_not_change_the_norm(kind):
    """Compositions, inverses and adjoints of actions keep the norm."""
    operator = of_each_kind()[kind]
    space = operator.domain
    turn, mirror = Rotation(space, np.pi / 2), Reflection(space, 0)
    shift = Translation(space, (0.25, 0.5))
    part = Rotation(space, 0.3, method='fourier')
    expected = operator_norm(operator)
    nested = odl.OperatorComp(turn, odl.OperatorComp(mirror, shift))
    for moved, factor in (
        (operator @ nested, 1),
        (odl.OperatorComp(operator, turn) @ mirror.adjoint, 1),
        ((2 * operator) @ (turn.inverse * -3), 6),
        (odl.OperatorComp(operator @ odl.OperatorComp(part, turn), shift), 1),
        (AdjointOperator(-0.5 * (operator @ nested)), 0.5),
    ):
        assert operator_norm(moved) == pytest.approx(
            factor * expected, rel=1e-12
        )


def test_actions_on_the_range_do_not_change_the_norm():
    """||S_g A|| = ||A||, for coils and for rays."""
    kinds = of_each_kind()
    encoding, rays = kinds['coils'], kinds['rays']
    turn = Rotation(encoding.domain, np.pi / 2)
    each = odl.DiagonalOperator(turn, len(encoding.range))
    expected = encoding.norm()
    assert operator_norm(each @ encoding) == pytest.approx(expected, rel=1e-15)
    upside_down = induced_action(rays, Rotation(rays.domain, np.pi))
    if upside_down.is_isometry:
        assert operator_norm(upside_down @ rays) == operator_norm(rays)
    # also where nothing is known to more than a few digits
    blur = random_matrix(grid((16, 16), 'float32'))
    for action in group_actions(blur.range, 'D4'):
        assert operator_norm(action @ blur @ action) == operator_norm(blur)


def turned(array):
    """Yield an array in all eight positions of the square."""
    for k in range(4):
        yield np.rot90(array, k, (-2, -1))
        yield np.rot90(np.flip(array, -1), k, (-2, -1))


@pytest.mark.parametrize('norm', [operator_norm, norm_for_steps])
def test_operators_that_are_turned_as_arrays_have_the_same_norm(norm):
    """Turning the arrays of an operator keeps its norm."""
    space, images = grid(), grid(dtype='complex128')
    maps = coils(images)
    mask = np.random.default_rng(3).random((9, 9)) < 0.4
    odd = grid((9, 9), 'complex128')
    odd_maps = coils(odd)
    values = np.random.default_rng(4).uniform(0.5, 1, space.shape)
    matrix = random_matrix(space).matrix

    def factor(array):
        return odl.MultiplyOperator(space.element(array), space, space)

    families = [
        [SensitivityEncoding(images, m) for m in turned(maps)],
        [sampled(images, m) for m in turned(maps)],
        [
            sampled(odd, m, where)
            for m, where in zip(turned(odd_maps), turned(mask), strict=True)
        ],
        [factor(array) for array in turned(values)],
        [
            factor(array) @ (factor(array + 1) + factor(array**2))
            for array in turned(values)
        ],
        [
            Matrix(space, np.reshape(m, (64, 64)))
            for m in turned(matrix.reshape(64, 8, 8))
        ],
        [
            odl.PartialDerivative(space, axis, method=method)
            for axis in (0, 1)
            for method in ('forward', 'backward')
        ],
    ]
    for family in families:
        norms = [norm(operator) for operator in family]
        assert max(norms) - min(norms) <= 1e-12 * max(norms)


@pytest.mark.parametrize('kind', ['multiplication', 'matrix', 'derivative'])
def test_descent_does_not_depend_on_constant_weights(kind):
    """A^* / ||A||^2 is the same map of arrays for all weights."""
    results = []
    for image, data in ((1.0, 1.0), (0.01, 1.0), (1.0, 7.0), (3.0, 0.2)):
        domain = grid((6, 6), weighting=image)
        range_ = grid((6, 6), weighting=data)
        # ODL's derivatives keep the weights of their domain
        inclusion = odl.MultiplyOperator(domain.one(), domain, range_)
        if kind == 'derivative':
            first = odl.PartialDerivative(domain, 0)
        elif kind == 'multiplication':
            first = multiplication(domain)
        else:
            first = random_matrix(domain)
        operator = inclusion @ first
        y = torch.linspace(-1, 1, 36, dtype=torch.double).reshape(1, 1, 6, 6)
        adjoint = OperatorLayer(operator).adjoint
        results.append(adjoint(y) / operator_norm(operator) ** 2)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-12, atol=1e-15)


def test_dilations_change_the_norm():
    """Dilations are no isometries, and change the norm."""
    operator = multiplication(grid())
    larger = Dilation(operator.domain, 1.5, method='linear')
    moved = operator @ larger
    expected = by_singular_values(moved)
    assert operator_norm(moved) == pytest.approx(expected, rel=1e-12)
    assert abs(operator_norm(moved) / operator_norm(operator) - 1) > 1e-3


def test_the_norm_for_steps_bounds_samples_of_coils():
    """The norm for steps is that of the coils, an upper bound."""
    operator = of_each_kind()['coils, samples']
    bound = norm_for_steps(operator)
    assert bound == SensitivityEncoding.norm(operator.right)
    assert operator_norm(operator) < bound


# --- As a function --- #


def test_norm_multiplies_elements():
    """The norm is a Python float, which multiplies elements."""
    space = grid()
    norm = operator_norm(odl.Gradient(space))
    assert norm * space.one() in space


def test_norm_draws_nothing():
    """The random state of torch is unchanged."""
    operator = random_matrix(grid())
    before = torch.get_rng_state()
    norms = {operator_norm(operator) for _ in range(2)}
    assert len(norms) == 1
    torch.testing.assert_close(torch.get_rng_state(), before)


def test_norm_of_what_is_zero():
    """Only zero has the norm zero."""
    space = grid()
    zero = multiplication(space) - multiplication(space)
    for operator in (odl.ZeroOperator(space), zero, 0 * random_matrix(space)):
        assert operator_norm(operator) == 0.0


def test_norm_of_functionals():
    """The norm of an inner product is the norm of the element."""
    space = grid((3, 4))
    vector = multiplication(space).multiplicand
    functional = odl.InnerProductOperator(vector)
    for operator in (functional, functional.adjoint):
        assert operator_norm(operator) == pytest.approx(vector.norm())


@pytest.mark.parametrize('wrong', [np.eye(3), 3.0, None, 'A'])
def test_what_is_no_operator(wrong):
    """Only operators of ODL have a norm."""
    with pytest.raises(TypeError, match='expected an `odl.Operator`'):
        operator_norm(wrong)


def test_what_is_not_linear():
    """Operators that are not linear have no norm."""
    with pytest.raises(TypeError, match='expected a linear operator'):
        operator_norm(odl.ConstantOperator(odl.rn(3).one()))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite(value):
    """An operator with NaN is refused."""
    space = grid()
    values = space.element(np.where(np.eye(8), value, 1.0))
    infinite = odl.MultiplyOperator(values, space, space)
    unknown = Matrix(space, np.full((64, 64), value))
    for operator in (infinite, unknown, value * odl.IdentityOperator(space)):
        with pytest.raises(ValueError, match='must be finite'):
            operator_norm(operator)


@pytest.mark.parametrize('backwards', [False, True])
@pytest.mark.parametrize('of_range', [False, True])
def test_multiplication_between_weights_of_two_kinds(backwards, of_range):
    """The norm is right between array and constant weights."""
    weights = np.linspace(1, 4, 12).reshape(3, 4)
    weighted = odl.tensor_space((3, 4), dtype='float64', weighting=weights)
    spaces = [weighted, odl.tensor_space((3, 4), dtype='float64')]
    ratio = 1 / weights.min()
    if backwards:
        spaces, ratio = spaces[::-1], weights.max()
    operator = odl.MultiplyOperator(2 * spaces[of_range].one(), *spaces)
    assert operator_norm(operator) == pytest.approx(2 * ratio**0.5, rel=1e-12)
