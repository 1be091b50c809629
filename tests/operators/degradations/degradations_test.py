# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Laws of blur, loss of resolution, masks and random measurements."""

import itertools
import pickle

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture
from scipy.linalg import hadamard as sylvester
from scipy.ndimage import convolve
from torch.autograd import gradcheck, gradgradcheck

from odl_equivariant.actions import Translation, group_actions
from odl_equivariant.diagnostics import (
    assert_adjoint,
    assert_equivariant,
    assert_unitary,
)
from odl_equivariant.diagnostics._spaces import norm, random_element
from odl_equivariant.elements import as_tensor, is_complex
from odl_equivariant.operators import (
    Convolution,
    Downsampling,
    HadamardTransform,
    Masking,
    OperatorLayer,
    RandomMeasurements,
)
from odl_equivariant.operators.batching.per_sample import per_sample_operator

# torch warns about its own code when it loads its forward mode.
pytestmark = pytest.mark.filterwarnings(
    'ignore:.torch.jit.script. is deprecated:DeprecationWarning'
)

dtype = simple_fixture('dtype', ['float32', 'complex128'])
every_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
BOUNDARIES = {
    'periodic': 'wrap',
    'zeros': 'constant',
    'replicate': 'nearest',
    'reflect': 'mirror',
}


def plane(shape, dtype='float64', backend='numpy'):
    """Return a space with cells that are not square."""
    return odl.uniform_discr([-1, 0], [2, 5], shape, dtype, impl=backend)


def kernel_of(shape):
    """Return random weights."""
    return np.random.default_rng(5).standard_normal(shape)


def _masking(space):
    return Masking(space, np.indices(space.shape).sum(0) % 3 > 0)


OPERATORS = {
    **{
        f'{boundary} convolution': (
            lambda space, boundary=boundary: Convolution(
                space, kernel_of((3, 4)), boundary
            )
        )
        for boundary in BOUNDARIES
    },
    'downsampling': lambda space: Downsampling(space, 2),
    'downsampling along one axis': lambda space: Downsampling(space, (1, 4)),
    'hadamard': HadamardTransform,
    'masking': _masking,
    **{
        f'{ensemble} measurements': (
            lambda space, ensemble=ensemble: RandomMeasurements(
                space, 11, ensemble
            )
        )
        for ensemble in ('hadamard', 'fourier', 'gaussian')
    },
    'normal measurements': lambda space: RandomMeasurements(
        space, 40, 'gaussian', orthonormal=False
    ),
    'ordered frequencies': lambda space: RandomMeasurements(
        space, 11, 'fourier', scrambled=False
    ),
}
name = simple_fixture('name', list(OPERATORS))


# --- Laws of all --- #


@every_dtype
def test_adjoint(name, dtype, backend):
    """The adjoint is that of the weighted inner products, there and back."""
    operator = OPERATORS[name](plane((4, 8), dtype, backend))
    real_linear = is_complex(operator.range) and not is_complex(
        operator.domain
    )
    assert_adjoint(operator, real_linear=real_linear)
    assert_adjoint(operator.adjoint, real_linear=real_linear)
    assert operator.adjoint.adjoint is operator


def test_batch_is_a_loop(name, dtype):
    """A batch is mapped as its samples are, one by one."""
    operator = OPERATORS[name](plane((4, 8), dtype))
    rng = np.random.default_rng(0)
    samples = [random_element(operator.domain, rng) for _ in range(3)]
    batch = torch.cat([as_tensor(x) for x in samples])
    for batched, single in (
        (OperatorLayer(operator)(batch), operator),
        (OperatorLayer(operator.adjoint * operator)(batch), None),
    ):
        single = single or operator.adjoint * operator
        expected = torch.cat([as_tensor(single(x)) for x in samples])
        gap = (batched - expected).abs().max()
        assert gap <= (1e-5 if dtype == 'float32' else 1e-12)


@pytest.mark.parametrize('dtype', ['float64', 'complex128'])
def test_gradients(name, dtype):
    """Gradients of first and second order are right."""
    operator = OPERATORS[name](plane((4, 8), dtype))
    x = as_tensor(random_element(operator.domain, np.random.default_rng(0)))
    layer = OperatorLayer(operator)
    x = x.clone().requires_grad_()
    assert gradcheck(layer, (x,), fast_mode=True)
    assert gradgradcheck(layer, (x,), fast_mode=True)


def test_pickle(name, backend):
    """A copy in another process is the same operator."""
    operator = OPERATORS[name](plane((4, 8), backend=backend))
    again = pickle.loads(pickle.dumps(operator))
    x = random_element(operator.domain, np.random.default_rng(0))
    assert type(again) is type(operator) and again.range == operator.range
    assert (again(x) - operator(x)).norm() == 0


def test_empty_batch(name):
    """A batch without samples has a result without samples."""
    operator = OPERATORS[name](plane((4, 8)))
    layer = OperatorLayer(operator)
    result = layer(torch.zeros((0, 1, 4, 8), dtype=torch.float64))
    assert result.shape[0] == 0 and result.shape[2:] == operator.range.shape


# --- Convolution --- #


@pytest.mark.parametrize('boundary', BOUNDARIES)
@pytest.mark.parametrize('shape', [(1, 1), (3, 5), (5, 3)])
@pytest.mark.parametrize('size', [(6, 7), (7, 6)])
def test_convolution_is_that_of_scipy(boundary, shape, size):
    """Odd kernels, with each boundary, as SciPy has it."""
    kernel = kernel_of(shape)
    image = np.random.default_rng(1).standard_normal(size)
    ours = Convolution(odl.rn(size), kernel, boundary)(image).asarray()
    theirs = convolve(image, kernel, mode=BOUNDARIES[boundary])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_even_kernels_are_centred_at_the_middle():
    """The weight at n // 2 belongs to the cell itself."""
    for n in (1, 2, 3, 4):
        kernel = np.zeros(n)
        kernel[n // 2] = 1
        image = np.arange(5.0)
        same = Convolution(odl.rn(5), kernel, 'zeros')(image).asarray()
        np.testing.assert_allclose(same, image, atol=1e-12)
    shifted = Convolution(odl.rn(5), [0, 0, 1], 'zeros')(np.arange(5.0))
    np.testing.assert_allclose(shifted.asarray(), [0, 0, 1, 2, 3], atol=1e-12)


def test_kernel_may_be_as_large_as_the_image(dtype):
    """A periodic convolution of that size is the product of spectra."""
    space = plane((4, 5), dtype)
    kernel = kernel_of((4, 5))
    x = random_element(space, np.random.default_rng(0))
    ours = as_tensor(Convolution(space, kernel)(x))
    spectrum = np.fft.fft2(np.roll(kernel, (-2, -2), (0, 1)))
    array = np.asarray(x.data)
    theirs = np.fft.ifft2(np.fft.fft2(array) * spectrum)
    theirs = theirs if is_complex(space) else theirs.real
    theirs = as_tensor(space.element(theirs.astype(dtype)))
    assert (ours - theirs).abs().max() <= 1e-5


@pytest.mark.parametrize('boundary', BOUNDARIES)
def test_symmetric_kernels_are_equivariant(boundary):
    """A kernel that D4 keeps gives an operator that commutes with D4."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6))
    kernel = np.exp(-(np.mgrid[-2:3, -2:3] ** 2).sum(0))
    blur = Convolution(space, kernel, boundary)
    for action in group_actions(space, 'D4'):
        assert_equivariant(blur, action)


def test_periodic_convolution_commutes_with_shifts():
    """With a periodic boundary, and not with others."""
    space = odl.uniform_discr([-1, -1], [1, 1], (6, 6))
    shift = Translation(space, 2 * space.cell_sides)
    assert_equivariant(Convolution(space, kernel_of((3, 3))), shift)
    with pytest.raises(AssertionError):
        assert_equivariant(
            Convolution(space, kernel_of((3, 3)), 'zeros'), shift
        )


def test_parts_of_a_product_are_convolved_one_by_one(backend):
    """Each part of a vector field is blurred alike."""
    space = plane((4, 8), backend=backend)
    kernel = kernel_of((3, 3))
    one, both = Convolution(space, kernel), Convolution(space**2, kernel)
    x = random_element(both.domain, np.random.default_rng(0))
    for part, blurred in zip(x, both(x), strict=True):
        assert (one(part) - blurred).norm() <= 1e-12
    assert_adjoint(both)


def test_complex_kernel():
    """Complex images take complex kernels, and real ones do not."""
    kernel = kernel_of((3, 3)) + 1j * kernel_of((3, 3))[::-1]
    assert_adjoint(Convolution(plane((4, 8), 'complex128'), kernel, 'zeros'))
    with pytest.raises(ValueError, match='complex, and the space'):
        Convolution(plane((4, 8)), kernel)


@pytest.mark.parametrize(
    'kernel, error, message',
    [
        (np.ones((5, 9)), ValueError, 'larger than the images'),
        (np.ones(3), ValueError, 'must have 2 axes'),
        (np.zeros((3, 3)), ValueError, 'not zero everywhere'),
        (np.full((3, 3), np.nan), ValueError, 'must be finite'),
        (np.ones((0, 3)), ValueError, 'at least one weight'),
        ([['a']], TypeError, 'consist of numbers'),
    ],
)
def test_wrong_kernels(kernel, error, message):
    """The error says what a kernel must be."""
    with pytest.raises(error, match=message):
        Convolution(plane((4, 8)), kernel)


# --- Downsampling --- #


@pytest.mark.parametrize('factor', [2, (1, 4), (4, 2)])
def test_downsampling_is_a_coisometry(factor, dtype, backend):
    """A A* is the identity, and means over blocks are what is seen."""
    space = plane((4, 8), dtype, backend)
    coarse = Downsampling(space, factor)
    y = random_element(coarse.range, np.random.default_rng(0))
    gap = norm(coarse.range, coarse(coarse.adjoint(y)) - y)
    assert gap <= 1e-6 * norm(coarse.range, y)
    assert coarse.norm() == 1
    n, m = coarse.factors
    x = random_element(space, np.random.default_rng(1))
    array = np.asarray(x.asarray())
    blocks = array.reshape(4 // n, n, 8 // m, m).mean((1, 3))
    np.testing.assert_allclose(
        np.asarray(coarse(x).asarray()), blocks, rtol=0, atol=1e-6
    )


def test_coarse_grid_has_the_same_domain():
    """The range covers what the domain covers, with larger cells."""
    space = plane((4, 8))
    coarse = Downsampling(space, (2, 4)).range
    np.testing.assert_allclose(coarse.min_pt, space.min_pt)
    np.testing.assert_allclose(coarse.max_pt, space.max_pt)
    np.testing.assert_allclose(coarse.cell_sides, space.cell_sides * (2, 4))


@pytest.mark.parametrize(
    'space, factor, error, message',
    [
        (plane((4, 8)), 3, ValueError, 'must divide the shape'),
        (plane((4, 8)), (2,), ValueError, 'must divide the shape'),
        (plane((4, 8)), 0, ValueError, '`factor` must'),
        (plane((4, 8)), 1.5, TypeError, '`factor` must'),
        (odl.rn((4, 8)), 2, TypeError, 'DiscretizedSpace'),
        (
            odl.uniform_discr([0, 0], [1, 1], (4, 4), nodes_on_bdry=True),
            2,
            ValueError,
            'whole cells',
        ),
        (
            odl.uniform_discr([0, 0], [1, 1], (4, 4), weighting=1.0),
            2,
            ValueError,
            'weighted by the volume',
        ),
    ],
)
def test_wrong_downsampling(space, factor, error, message):
    """The error says what must fit."""
    with pytest.raises(error, match=message):
        Downsampling(space, factor)


# --- Hadamard transform --- #


@pytest.mark.parametrize('shape', [(1,), (8,), (4, 2), (2, 4, 2)])
def test_hadamard_is_the_matrix_of_sylvester(shape):
    """Along each axis, it is the orthonormal matrix in Sylvester's order."""
    image = np.random.default_rng(0).standard_normal(shape)
    expected = image
    for axis, n in enumerate(shape):
        matrix = sylvester(n) / np.sqrt(n)
        expected = np.moveaxis(
            np.tensordot(matrix, expected, (1, axis)), 0, axis
        )
    ours = HadamardTransform(odl.rn(shape))(image).asarray()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_hadamard_is_unitary(dtype, backend):
    """It keeps norms, and is its own inverse."""
    transform = HadamardTransform(plane((4, 8), dtype, backend))
    assert_unitary(transform)
    assert transform.inverse is transform.adjoint is transform


@pytest.mark.parametrize('n, nearest', [(7, 8), (5, 4), (100, 128), (90, 64)])
def test_hadamard_needs_powers_of_two(n, nearest):
    """The error names the nearest power."""
    with pytest.raises(ValueError, match=rf'the nearest is \({nearest},\)'):
        HadamardTransform(odl.rn(n))


# --- Masks --- #


def test_masks_of_the_samples_are_applied_at_once():
    """Each sample of a batch has its own mask."""
    space = plane((4, 8))
    rng = np.random.default_rng(0)
    operators = [Masking(space, rng.random((4, 8)) > 0.5) for _ in range(3)]
    at_once = per_sample_operator(operators)
    assert at_once is not None
    x = torch.from_numpy(rng.standard_normal((3, 1, 4, 8)))
    masks = torch.from_numpy(np.stack([a.mask for a in operators]))[:, None]
    assert torch.equal(OperatorLayer(at_once)(x), x * masks)


@pytest.mark.parametrize(
    'mask, message',
    [
        (np.ones((8, 4)), r'must have the shape \(4, 8\)'),
        (np.zeros((4, 8)), 'zero everywhere'),
        (np.full((4, 8), 0.5), 'zeros and ones'),
        (np.full((4, 8), 'x'), 'zeros and ones'),
    ],
)
def test_wrong_masks(mask, message):
    """The error says what a mask must be."""
    with pytest.raises(ValueError, match=message):
        Masking(plane((4, 8)), mask)


# --- Random measurements --- #


@pytest.mark.parametrize('ensemble', ['hadamard', 'fourier', 'gaussian'])
@pytest.mark.parametrize('n', [1, 11, 32])
def test_rows_are_orthonormal(ensemble, n, backend):
    """A A* is the identity, on complex images for frequencies."""
    dtype = 'complex128' if ensemble == 'fourier' else 'float64'
    space = plane((4, 8), dtype, backend)
    sensing = RandomMeasurements(space, n, ensemble)
    y = random_element(sensing.range, np.random.default_rng(0))
    gap = norm(sensing.range, sensing(sensing.adjoint(y)) - y)
    assert gap <= 1e-12 * norm(sensing.range, y)


def test_seed_decides():
    """Equal seeds give equal measurements, others give others."""
    space = plane((4, 8))
    x = random_element(space, np.random.default_rng(0))
    for ensemble in ('hadamard', 'fourier', 'gaussian'):
        one, same, other = (
            RandomMeasurements(space, 9, ensemble, seed)(x)
            for seed in (0, 0, 1)
        )
        assert one == same and (one - other).norm() > 0


def test_signs_spread_the_image():
    """With signs, each measurement of a constant has the same size."""
    space = odl.rn((16, 16))
    for scrambled, most in ((True, 0.1), (False, 1.0)):
        sensing = RandomMeasurements(space, 256, 'hadamard', 0, scrambled)
        energy = sensing(space.one()).asarray() ** 2
        assert energy.max() / energy.sum() <= most
        assert (energy.max() / energy.sum() == 1) is not scrambled


def test_normal_numbers_have_the_variance():
    """Without orthonormal rows, norms are kept in the mean."""
    space = odl.rn((8, 8))
    sensing = RandomMeasurements(space, 400, 'gaussian', orthonormal=False)
    x = random_element(space, np.random.default_rng(0))
    assert abs(sensing(x).norm() / x.norm() - 1) < 0.15


@pytest.mark.parametrize(
    'n, options, error, message',
    [
        (33, {}, ValueError, 'at most 32 orthonormal'),
        (33, {'ensemble': 'gaussian'}, ValueError, 'at most 32 orthonormal'),
        (0, {}, ValueError, '`n_measurements` must'),
        (1.5, {}, TypeError, '`n_measurements` must'),
        (4, {'ensemble': 'cosine'}, ValueError, '`ensemble` must'),
    ],
)
def test_wrong_measurements(n, options, error, message):
    """The error says how many there may be."""
    with pytest.raises(error, match=message):
        RandomMeasurements(plane((4, 8)), n, **options)


def test_large_matrices_are_refused():
    """The error says how large it would be, before it is made."""
    with pytest.raises(ValueError, match=r'takes 8 GiB.*at most 4096'):
        RandomMeasurements(
            odl.rn((256, 256), dtype='float32'), 2**15, 'gaussian'
        )


def test_sides_of_frequencies_are_free():
    """Frequencies and normal numbers take any shape."""
    for shape, ensemble in itertools.product(
        [(5, 7), (6, 6)], ['fourier', 'gaussian']
    ):
        sensing = RandomMeasurements(odl.rn(shape), 7, ensemble)
        assert_adjoint(sensing, real_linear=ensemble == 'fourier')
    with pytest.raises(ValueError, match='powers of two'):
        RandomMeasurements(odl.rn((5, 7)), 7)
