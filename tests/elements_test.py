# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tests of the layout of ODL elements in torch tensors."""

import numpy as np
import odl
import pytest
import torch
from odl.core.util.testutils import simple_fixture

from odl_equivariant.diagnostics._spaces import inner, random_element
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    descend,
    first_part,
    grid_shape,
    is_complex,
    merge_complex,
    n_channels,
    n_parts,
    split_complex,
    tensor_device,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights

dtype = simple_fixture('dtype', ['float32', 'complex128'])
each_dtype = pytest.mark.parametrize(
    'dtype', ['float32', 'float64', 'complex64', 'complex128']
)
real_dtype = simple_fixture('real_dtype', ['float32', 'float64'])
shape = simple_fixture('shape', [(5,), (4, 6), (2, 3, 4)])


def grid(shape, **kwargs):
    """Return a space on a grid with sides 1 and (mostly) oblong cells."""
    return odl.uniform_discr(
        [0] * len(shape), [1] * len(shape), shape, **kwargs
    )


def values(element):
    """Return a copy of the data of an element as a list of numpy arrays."""
    if isinstance(element.space, odl.ProductSpace):
        return [array for part in element for array in values(part)]
    data = element.data
    if isinstance(data, torch.Tensor):
        data = data.detach().resolve_conj().resolve_neg().numpy()
    return [np.array(data)]


def channels(arrays):
    """Return the channels that the layout prescribes for such arrays."""
    return np.stack(
        [
            part
            for array in arrays
            for part in (
                [array.real, array.imag] if np.iscomplexobj(array) else [array]
            )
        ]
    )


# --- Layout and round trip --- #


@each_dtype
def test_channels_are_real_and_imaginary_parts(backend, dtype, shape, rng):
    """A tensor is ``(1, C, *shape)``, with C = 2 for a complex space."""
    space = grid(shape, impl=backend, dtype=dtype)
    x = random_element(space, rng)
    tensor = as_tensor(x)
    assert tensor.shape == (1, 2 if 'complex' in dtype else 1, *shape)
    assert tensor.dtype == tensor_dtype(space)
    np.testing.assert_array_equal(tensor[0].numpy(), channels(values(x)))


def test_channels_of_a_product_are_those_of_its_parts(backend, dtype, rng):
    """The parts of a nested product space lie one after the other."""
    space = grid((3, 4), impl=backend, dtype=dtype)
    product = odl.ProductSpace(space, odl.ProductSpace(space, 2))
    x = random_element(product, rng)
    tensor = as_tensor(x)
    assert tensor.shape[1] == n_channels(product) == 3 * n_channels(space)
    np.testing.assert_array_equal(tensor[0].numpy(), channels(values(x)))


@each_dtype
def test_round_trip_of_an_element_is_exact(backend, dtype, shape, rng):
    """Element to tensor to element changes nothing."""
    part = grid(shape, impl=backend, dtype=dtype)
    for space in (part, part**2, odl.ProductSpace(part**2, part)):
        x = random_element(space, rng)
        y = as_element(as_tensor(x), space)
        assert y in space
        for ours, theirs in zip(values(y), values(x), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_round_trip_of_a_tensor_is_exact(backend, dtype):
    """A tensor with or without a batch axis comes back with one."""
    space = grid((3, 4), impl=backend, dtype=dtype) ** 3
    tensor = torch.randn(
        n_channels(space), *grid_shape(space), dtype=tensor_dtype(space)
    )
    for given in (tensor, tensor[None]):
        back = as_tensor(as_element(given, space))
        torch.testing.assert_close(back, tensor[None], rtol=0, atol=0)


def test_description_of_a_space(backend):
    """Channels, grid, precision and device are those of the parts."""
    part = grid((3, 4), impl=backend, dtype='complex64')
    for space, count in ((part, 2), (part**3, 6)):
        assert n_channels(space) == count
        assert grid_shape(space) == (3, 4)
        assert tensor_dtype(space) == torch.float32
        assert tensor_device(space) == torch.device('cpu')


def test_parts_of_a_space(backend, dtype):
    """`n_parts` counts the tensor spaces in a nested product."""
    part = grid((3, 4), impl=backend, dtype=dtype)
    for space, count in (
        (part, 1),
        (part**3, 3),
        (odl.ProductSpace(part, part**2), 3),
        ((part**2) ** 3, 6),
    ):
        assert n_parts(space) == count
        assert is_complex(space) == ('complex' in dtype)
        assert n_channels(space) == (1 + is_complex(space)) * count


# --- Complex channels --- #


def test_complex_channels_are_pairs_of_real_ones(real_dtype, shape):
    """Real and imaginary parts in turn, for each part of a product."""
    pairs = torch.randn(2, 6, *shape, dtype=getattr(torch, real_dtype))
    merged = merge_complex(pairs)
    assert merged.shape == (2, 3, *shape)
    for part in range(3):
        assert torch.equal(merged[:, part].real, pairs[:, 2 * part])
        assert torch.equal(merged[:, part].imag, pairs[:, 2 * part + 1])
    assert torch.equal(split_complex(merged), pairs)


@pytest.mark.parametrize('size', [(0, 2), (0, 4, 3), (2, 4, 0)])
def test_complex_channels_of_nothing(size):
    """Empty batches and grids, and numbers without a grid, work."""
    merged = merge_complex(torch.zeros(size))
    assert merged.shape == (size[0], size[1] // 2, *size[2:])
    assert split_complex(merged).shape == size


_PAIRS = {
    'contiguous': lambda: torch.randn(2, 4, 3),
    'side by side': lambda: torch.randn(2, 3, 4).mT,
    'odd strides': lambda: torch.randn(2, 3, 5).mT[:, :4],
    'odd offset': lambda: torch.randn(25)[1:].view(2, 3, 4).mT,
    'reversed': lambda: torch.randn(2, 4, 3).flip(1),
    'expanded': lambda: torch.randn(1, 4, 1).expand(2, 4, 3),
    'negated': lambda: torch.randn(2, 4, 3, dtype=torch.cfloat).conj().imag,
    'split': lambda: split_complex(torch.randn(2, 1, 3, dtype=torch.cfloat)),
}


@pytest.mark.parametrize('memory', _PAIRS)
def test_complex_channels_of_any_memory(memory):
    """Strides, offsets and lazy bits do not change the values."""
    pairs = _PAIRS[memory]()
    expected = torch.complex(pairs[:, ::2].clone(), pairs[:, 1::2].clone())
    assert torch.equal(merge_complex(pairs), expected)
    assert torch.equal(split_complex(expected.conj().conj()), pairs)
    lazy = split_complex(expected.conj())
    assert torch.equal(lazy[:, ::2], pairs[:, ::2])
    assert torch.equal(lazy[:, 1::2], -pairs[:, 1::2])


@pytest.mark.parametrize('memory', _PAIRS)
@pytest.mark.parametrize('axis', [0, -1])
def test_complex_channels_under_vmap(memory, axis):
    """The axis that a vmap hides may have any stride."""
    pairs = torch.stack([_PAIRS[memory]() for _ in range(3)], axis)
    expected = torch.stack([merge_complex(x) for x in pairs.unbind(axis)])
    assert torch.equal(torch.vmap(merge_complex, axis)(pairs), expected)
    samples = expected.movedim(0, axis)
    back = torch.vmap(split_complex, axis, axis)(samples)
    assert torch.equal(back, pairs)


def test_complex_channels_of_odd_samples_under_vmap():
    """Under vmap, a sample may begin at an odd offset."""
    pairs = torch.randn(4, 7)[:, :6].view(4, 1, 3, 2).mT
    merged = torch.vmap(merge_complex)(pairs)
    assert torch.equal(torch.vmap(split_complex)(merged), pairs)


def test_complex_channels_that_lie_well_are_a_view():
    """If the layout of memory allows it, nothing is copied."""
    x = torch.randn(2, 1, 3, dtype=torch.cfloat)
    assert split_complex(x).data_ptr() == x.data_ptr()
    assert merge_complex(split_complex(x)).data_ptr() == x.data_ptr()


@pytest.mark.parametrize(
    'memory', ['contiguous', 'side by side', 'odd offset']
)
def test_complex_channels_have_gradients(memory):
    """They are an isometry, and its inverse is its adjoint."""
    pairs = _PAIRS[memory]()
    gradient = torch.func.grad(
        lambda x: 0.5 * merge_complex(x).abs().square().sum()
    )
    torch.testing.assert_close(gradient(pairs), pairs)
    gradient = torch.func.grad(lambda x: 0.5 * split_complex(x).square().sum())
    torch.testing.assert_close(
        gradient(merge_complex(pairs)), merge_complex(pairs)
    )


# --- Memory --- #


def test_tensor_shares_the_memory_of_an_element(backend, dtype):
    """Without a copy, what is written to the tensor is in the element."""
    space = grid((3, 4), impl=backend, dtype=dtype)
    x = space.zero()
    as_tensor(x)[0, -1, 1, 2] = 7
    expected = 7j if 'complex' in dtype else 7
    assert values(x)[0][1, 2] == expected
    assert np.count_nonzero(values(x)[0]) == 1


def test_element_shares_the_memory_of_a_tensor(backend, dtype, rng):
    """Without a copy, what is written to the element is in the tensor."""
    space = grid((3, 4), impl=backend, dtype=dtype)
    tensor = as_tensor(random_element(space, rng))
    x = as_element(tensor, space)
    x.data[1, 2] = 7
    assert tensor[0, 0, 1, 2] == 7


def test_parts_share_the_memory_of_a_tensor(backend, real_dtype):
    """The parts of a product of real spaces are views of the channels."""
    space = grid((3, 4), impl=backend, dtype=real_dtype) ** 2
    tensor = torch.zeros(1, 2, 3, 4, dtype=tensor_dtype(space))
    as_element(tensor, space)[1].data[0, 0] = 7
    assert tensor[0, 1, 0, 0] == 7


@pytest.mark.parametrize('parts', [1, 2])
def test_copies_share_nothing(backend, dtype, parts, rng):
    """With ``copy=True``, neither function shares memory."""
    space = grid((3, 4), impl=backend, dtype=dtype) ** parts
    x = random_element(space, rng)
    before = values(x)
    as_tensor(x, copy=True).zero_()
    np.testing.assert_array_equal(values(x), before)
    tensor = as_tensor(x, copy=True)
    y = as_element(tensor, space, copy=True)
    tensor.zero_()
    np.testing.assert_array_equal(values(y), before)
    y = as_element(as_tensor(x), space, copy=True)
    x *= 0
    np.testing.assert_array_equal(values(y), before)


def test_copy_of_a_tensor_is_contiguous(backend, dtype):
    """The copy is dense, also for a complex element."""
    space = grid((3, 4), impl=backend, dtype=dtype)
    assert as_tensor(space.one(), copy=True).is_contiguous()


def test_product_is_always_a_copy(backend, dtype):
    """Writing to the tensor of a product does not change the element."""
    space = grid((3, 4), impl=backend, dtype=dtype) ** 2
    x = space.one()
    as_tensor(x).zero_()
    assert all((array == 1).all() for array in values(x))


def test_read_only_array_is_never_written_to(dtype):
    """The tensor of an element with a read-only array is a copy."""
    space = grid((3, 4), dtype=dtype)
    array = np.ones((3, 4), dtype)
    array.flags.writeable = False
    as_tensor(space.element(array)).zero_()
    assert (array == 1).all()


# --- Strides, lazy bits and graphs --- #

_ARRAYS = {
    'Fortran': lambda noise: np.asfortranarray(noise(4, 6)),
    'transposed': lambda noise: noise(6, 4).T,
    'strided': lambda noise: noise(12, 18)[::3, 1::3],
    'reversed': lambda noise: noise(4, 6)[::-1, ::-1],
    'broadcast': lambda noise: np.broadcast_to(noise(6), (4, 6)),
}


@pytest.mark.parametrize('layout', _ARRAYS)
@pytest.mark.parametrize('writeable', [True, False])
def test_any_numpy_layout_keeps_its_values(layout, writeable, dtype, rng):
    """Arrays of any strides come out right, and read-only ones stay."""

    def noise(*shape):
        real, imaginary = rng.standard_normal((2, *shape))
        if 'complex' in dtype:
            real = real + 1j * imaginary
        return real.astype(dtype)

    array = _ARRAYS[layout](noise)
    writeable = writeable and array.flags.writeable
    array.flags.writeable = writeable
    before = array.copy()
    space = grid((4, 6), dtype=dtype)
    tensor = as_tensor(space.element(array))
    np.testing.assert_array_equal(tensor[0].numpy(), channels([before]))
    tensor.zero_()
    if not writeable:
        np.testing.assert_array_equal(array, before)


_TENSORS = {
    'transposed': lambda: torch.randn(5, 4, 6).permute(0, 2, 1),
    'strided': lambda: torch.randn(5, 12, 12)[:, ::2, ::3],
    'permuted': lambda: torch.randn(4, 6, 5).permute(2, 1, 0),
    'negated': lambda: torch.randn(5, 6, 4, dtype=torch.cfloat).conj().imag,
    'expanded': lambda: torch.randn(5, 1, 4).expand(5, 6, 4),
    'with a graph': lambda: torch.randn(5, 6, 4, requires_grad=True) * 2,
}


@pytest.mark.parametrize('layout', _TENSORS)
@pytest.mark.parametrize('complex_', [False, True])
def test_any_tensor_layout_keeps_its_values(backend, layout, complex_):
    """Tensors of any strides, with a lazy bit or a graph, come out right."""
    tensor = _TENSORS[layout]()
    tensor = tensor[:2] if complex_ else tensor[:1]
    expected = tensor.detach().clone().resolve_neg()
    space = grid(
        tuple(tensor.shape[1:]),
        impl=backend,
        dtype='complex64' if complex_ else 'float32',
    )
    x = as_element(tensor, space)
    np.testing.assert_array_equal(channels(values(x)), expected.numpy())
    assert not as_tensor(x).requires_grad


def test_expanded_tensor_becomes_a_writeable_element(backend):
    """Writing one value of the element changes one value."""
    space = grid((3, 4), impl=backend, dtype='float32')
    x = as_element(torch.zeros(1, 1, 1, 1).expand(1, 1, 3, 4), space)
    x.data[0, 0] = 1
    assert values(x)[0].sum() == 1


def test_lazy_conjugate_is_resolved():
    """An element that holds a lazily conjugated tensor comes out right."""
    space = grid((3, 4), impl='pytorch', dtype='complex64')
    data = torch.randn(3, 4, dtype=torch.cfloat)
    x = space.element(data.conj())
    assert x.data.is_conj()
    torch.testing.assert_close(
        as_tensor(x)[0], torch.stack([data.real, -data.imag]), rtol=0, atol=0
    )


def test_lazy_negation_is_resolved():
    """An element that holds a lazily negated tensor comes out right."""
    space = grid((3, 4), impl='pytorch', dtype='float32')
    data = torch.randn(3, 4, dtype=torch.cfloat)
    x = space.element(data.conj().imag)
    assert x.data.is_neg()
    torch.testing.assert_close(as_tensor(x)[0, 0], -data.imag, rtol=0, atol=0)


def test_tensor_of_an_element_has_no_graph():
    """An element that holds a tensor with a graph is detached."""
    space = grid((3, 4), impl='pytorch', dtype='float32')
    x = space.element(torch.ones(3, 4, requires_grad=True))
    assert not as_tensor(x).requires_grad


def test_device_of_a_tensor_can_be_chosen(backend):
    """``device`` chooses the device of the tensor."""
    x = grid((3, 4), impl=backend).one()
    assert as_tensor(x, device='meta').device.type == 'meta'
    assert as_tensor(x).device.type == 'cpu'


# --- Inner products --- #

_ARRAY = np.arange(1.0, 13.0).reshape(3, 4)
_WEIGHTED = {
    'none': lambda make: make(),
    'constant': lambda make: make(0.25),
    'array': lambda make: make(_ARRAY),
    'product': lambda make: make(0.25) ** 2,
    'product, constant': lambda make: odl.ProductSpace(
        make(0.25), 3, weighting=5.0
    ),
    'product, array': lambda make: odl.ProductSpace(
        make(0.25), 2, weighting=[2.0, 3.0]
    ),
    'product of arrays': lambda make: odl.ProductSpace(
        make(1 / _ARRAY), make(_ARRAY), weighting=5.0
    ),
    'nested': lambda make: odl.ProductSpace(
        odl.ProductSpace(make(0.25), 2, weighting=[2.0, 3.0]),
        make(),
        weighting=5.0,
    ),
}


@pytest.mark.parametrize('weighting', _WEIGHTED)
@pytest.mark.parametrize('make', [odl.rn, odl.cn])
def test_weights_are_those_of_the_inner_product(backend, weighting, make, rng):
    """The weighted sum over channels is the real part of ``inner``."""

    def weighted(weights=None):
        if backend == 'pytorch' and isinstance(weights, np.ndarray):
            weights = torch.from_numpy(weights)
        return make((3, 4), impl=backend, weighting=weights)

    space = _WEIGHTED[weighting](weighted)
    x, y = random_element(space, rng), random_element(space, rng)
    weights = inner_product_weights(space)
    assert weights.dtype == torch.float64 and weights.device.type == 'cpu'
    ours = float((weights * as_tensor(x)[0] * as_tensor(y)[0]).sum())
    assert ours == pytest.approx(inner(space, x, y).real, rel=1e-12)


def test_weight_of_a_grid_is_its_cell_volume(backend, dtype):
    """A uniform discretisation weighs with the area of a cell."""
    weights = inner_product_weights(grid((4, 5), impl=backend, dtype=dtype))
    torch.testing.assert_close(
        weights, torch.full_like(weights, 1 / 20), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(
    'space',
    [
        odl.rn(3, exponent=1.0),
        odl.ProductSpace(odl.rn(3), 2, exponent=1.0),
        odl.ProductSpace(odl.rn(3, exponent=1.0), 2),
        odl.rn(3, inner=lambda x, y: 0.0),
        odl.ProductSpace(odl.rn(3), 2, inner=lambda x, y: 0.0),
    ],
    ids=['exponent', 'product', 'part', 'custom', 'custom product'],
)
def test_other_inner_products_are_refused(space):
    """A space without weights in its inner product is an error."""
    with pytest.raises(NotImplementedError, match='only'):
        inner_product_weights(space)


# --- Bad input --- #


@pytest.mark.parametrize(
    'function', [n_channels, tensor_dtype, as_tensor], ids=lambda f: f.__name__
)
def test_integers_are_refused(function):
    """Only real and complex dtypes have a layout; the error lists them."""
    space = odl.tensor_space((3, 4), dtype='int32')
    given = space.one() if function is as_tensor else space
    with pytest.raises(TypeError, match="float32, .*complex128 .*got 'int32'"):
        function(given)


@pytest.mark.parametrize(
    'function',
    [
        n_channels,
        n_parts,
        is_complex,
        grid_shape,
        tensor_dtype,
        tensor_device,
    ],
)
def test_other_sets_are_refused(function):
    """A set that is no space of arrays is an error that names it."""
    with pytest.raises(TypeError, match='got RealNumbers'):
        function(odl.RealNumbers())
    with pytest.raises(ValueError, match='empty'):
        function(odl.ProductSpace(odl.rn(3), 0))


def test_parts_must_have_the_same_grid_and_precision():
    """Unequal parts cannot be channels of one tensor."""
    with pytest.raises(ValueError, match=r'same shape, got .*\(3,\).*\(4,\)'):
        as_tensor(odl.ProductSpace(odl.rn(3), odl.rn(4)).one())
    product = odl.ProductSpace(odl.rn(3), odl.rn(3, dtype='float32'))
    with pytest.raises(ValueError, match='same precision.*float32.*float64'):
        as_tensor(product.one())


@pytest.mark.parametrize('given', [np.ones((3, 4)), torch.ones(3, 4), None])
def test_only_elements_become_tensors(given):
    """Arrays are an error that says how to make an element."""
    with pytest.raises(TypeError, match=r'got \w+; make one with `space'):
        as_tensor(given)


@pytest.mark.parametrize(
    'given', [(3, 4), (2, 3, 4), (2, 1, 3, 4), (1, 4, 3), (1, 12)]
)
def test_tensor_of_another_shape_is_refused(backend, given):
    """The error names the expected shape, the space and the given shape."""
    space = grid((3, 4), impl=backend, dtype='float32')
    with pytest.raises(ValueError) as error:
        as_element(torch.ones(given), space)
    for text in ('(1, 1, 3, 4)', 'uniform_discr', str(given)):
        assert text in str(error.value)


@pytest.mark.parametrize(
    'given', [torch.float64, torch.int32, torch.bfloat16, torch.complex64]
)
def test_tensor_of_another_dtype_is_refused(backend, given):
    """The error names the expected and the given dtype."""
    space = grid((3, 4), impl=backend, dtype='float32')
    with pytest.raises(TypeError, match=f'(?s)torch.float32 .*got {given}'):
        as_element(torch.ones(1, 1, 3, 4, dtype=given), space)


def test_only_tensors_become_elements():
    """An array is an error that names its type."""
    with pytest.raises(TypeError, match='`torch.Tensor`, got ndarray'):
        as_element(np.ones((1, 1, 3, 4)), grid((3, 4)))


# --- Down a product space --- #


def test_descend_goes_level_by_level():
    """From a nested product space to the first of its innermost parts."""
    space = odl.rn(4)
    assert list(descend(space)) == [space]
    nested = (space**3) ** 2
    assert list(descend(nested)) == [nested, space**3, space]
    assert list(descend(nested, equal=True)) == [nested, space**3, space]
    assert first_part(nested) == first_part(nested, equal=True) == space


def test_descend_takes_the_first_of_unequal_parts():
    """Unless the parts must be equal, on every level."""
    space = odl.ProductSpace(odl.rn(4) ** 2, odl.rn(5))
    assert first_part(space) == odl.rn(4)
    for unequal in (space, space**2, odl.ProductSpace(space)):
        with pytest.raises(ValueError, match='only equal components, got'):
            list(descend(unequal, equal=True))


def test_descend_ends_at_an_empty_space():
    """It has no part; the search for one says so."""
    empty = odl.ProductSpace(field=odl.RealNumbers())
    nested = odl.ProductSpace(empty, odl.rn(4))
    assert list(descend(empty)) == [empty]
    assert list(descend(nested)) == [nested, empty]
    for space in (empty, nested):
        with pytest.raises(ValueError, match='empty `ProductSpace`'):
            first_part(space)
        with pytest.raises(ValueError, match='at least one and only equal'):
            first_part(space, equal=True)


def test_spaces_that_odl_cannot_print_are_described():
    """The error of unequal parts is not one about an error."""
    grid = odl.uniform_discr([0, 0], [1, 1], (2, 3))
    weighted = odl.uniform_discr(
        [0, 0], [1, 1], (2, 3), weighting=np.ones((2, 3))
    )
    with pytest.raises(ValueError, match='equal components, got Product'):
        first_part(odl.ProductSpace(weighted, grid), equal=True)
