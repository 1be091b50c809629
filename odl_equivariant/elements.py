# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How an element of an ODL space lies in a torch tensor, and back.

This is the only module that knows the layout: a batch of elements of a space
is a tensor of shape ``(N, C, *shape)``. A real space has one channel, a
complex one two (real and imaginary part), and the channels of a product
space are those of its parts, one after the other. In the complex layout,
``(N, P, *shape)``, a complex part is one complex channel instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import odl
import torch
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_equivariant._types import Device, Element, Space

__all__ = (
    'n_channels',
    'n_parts',
    'is_complex',
    'grid_shape',
    'tensor_dtype',
    'tensor_device',
    'as_tensor',
    'as_element',
    'descend',
    'describe_space',
    'element_from_array',
    'first_part',
    'merge_complex',
    'split_complex',
)

_EMPTY = 'an empty `ProductSpace` has no tensor layout'
_REAL_DTYPES = {
    'float32': torch.float32,
    'float64': torch.float64,
    'complex64': torch.float32,
    'complex128': torch.float64,
}


def describe_space(space: odl.Set) -> str:
    """Return ``repr(space)`` on one line, also where ODL cannot make one.

    Parameters
    ----------
    space : `odl.Set`
        Any set; ODL has no representation for array-weighted grids.

    Returns
    -------
    description : str
        Text for an error message.
    """
    try:
        return ' '.join(repr(space).split())
    except AttributeError:
        return f'{type(space).__name__} of shape {space.shape}'


def descend(space: Space, equal: bool = False) -> Iterator[Space]:
    """Yield a space, its first part, the first part of that, and so on.

    Parameters
    ----------
    space : odl space
        Where to begin.
    equal : bool, optional
        Whether each product space on the way must have parts, and only equal
        ones. Otherwise the other parts are not looked at.

    Yields
    ------
    space : odl space
        One space of each level of a nested product space. The last one is no
        product space, or one without parts. If ``space`` is no product space,
        it is the only one.

    Raises
    ------
    ValueError
        If the parts must be equal and are not, or there are none.

    Examples
    --------
    >>> space = odl.rn(4)
    >>> [getattr(part, 'shape', None) for part in descend((space**3) ** 2)]
    [(2, 3, 4), (3, 4), (4,)]
    >>> list(descend(odl.ProductSpace(space, odl.rn(5))))[-1] == space
    True
    >>> len(list(descend(odl.ProductSpace(field=odl.RealNumbers()))))
    1
    """
    while isinstance(space, odl.ProductSpace):
        if equal and (len(space) == 0 or not space.is_power_space):
            raise ValueError(
                'expected a `ProductSpace` of at least one and only equal '
                f'components, got {describe_space(space)}'
            )
        yield space
        if len(space) == 0:
            return
        space = space[0]
    yield space


def first_part(space: Space, equal: bool = False) -> Space:
    """Return the last space of `descend`, which is no product space.

    Parameters
    ----------
    space : odl space
        Where to begin.
    equal : bool, optional
        As for `descend`.

    Returns
    -------
    part : odl space
        Space on the way down through the first parts.

    Raises
    ------
    ValueError
        As for `descend`, and for an empty product space in any case.
    """
    *_, part = descend(space, equal)
    if isinstance(part, odl.ProductSpace):
        raise ValueError(_EMPTY)
    return part


def _parts(space):
    """Return the tensor spaces that a (nested) product space consists of."""
    if isinstance(space, odl.ProductSpace):
        if len(space) == 0:
            raise ValueError(_EMPTY)
        return [leaf for part in space for leaf in _parts(part)]
    if not isinstance(space, (odl.DiscretizedSpace, TensorSpace)):
        raise TypeError(
            'expected a `DiscretizedSpace`, a `TensorSpace` or a '
            f'`ProductSpace` of such, got {describe_space(space)}'
        )
    return [space]


def _real_dtype(space):
    name = str(space.dtype_identifier)
    if name not in _REAL_DTYPES:
        raise TypeError(
            f'spaces of dtype {", ".join(_REAL_DTYPES)} can be laid out as a '
            f'tensor, got {name!r}'
        )
    return _REAL_DTYPES[name]


def _the_one(values, what, space):
    values = set(values)
    if len(values) != 1:
        raise ValueError(
            f'the parts of a product space must have the same {what}, got '
            f'{sorted(map(str, values))} in {describe_space(space)}'
        )
    return values.pop()


def n_channels(space: Space) -> int:
    """Return the number of tensor channels of an element of a space.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex, or a product of spaces on the same grid.

    Returns
    -------
    n_channels : int
        1 for a real space, 2 for a complex one, the sum over the parts of
        a product space.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 5), dtype='complex64')
    >>> n_channels(space), n_channels(space ** 3)
    (2, 6)
    """
    parts = _parts(space)
    for part in parts:
        _real_dtype(part)
    return sum(1 if part.is_real else 2 for part in parts)


def n_parts(space: Space) -> int:
    """Return the number of channels in the complex layout.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex, or a product of spaces on the same grid.

    Returns
    -------
    n_parts : int
        1, or the sum over the parts of a product space.
    """
    return len(_parts(space))


def is_complex(space: Space) -> bool:
    """Return whether the elements of a space are complex.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space whose parts are all real or all complex.

    Returns
    -------
    is_complex : bool
        True for a complex space.
    """
    fields = (part.field for part in _parts(space))
    return _the_one(fields, 'field', space) == odl.ComplexNumbers()


def grid_shape(space: Space) -> tuple[int, ...]:
    """Return the shape of the grid on which the elements of a space live.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space whose parts all have the same shape.

    Returns
    -------
    shape : tuple of int
        Shape without the channel axis.
    """
    return _the_one((part.shape for part in _parts(space)), 'shape', space)


def tensor_dtype(space: Space) -> torch.dtype:
    """Return the real torch dtype in which elements of a space are laid out.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of dtype float32, float64, complex64 or complex128.

    Returns
    -------
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``.
    """
    return _the_one(map(_real_dtype, _parts(space)), 'precision', space)


def tensor_device(space: Space) -> torch.device:
    """Return the torch device on which the elements of a space live.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space backed by numpy (always the CPU) or by pytorch.

    Returns
    -------
    device : torch.device
        Device of the elements' data.
    """
    return torch.device(
        _the_one((str(part.device) for part in _parts(space)), 'device', space)
    )


def _leaves(element):
    if isinstance(element.space, odl.ProductSpace):
        return [leaf for part in element for leaf in _leaves(part)]
    return [element]


def _channels_of(leaf):
    """Return the data of an element as a ``(C, *shape)`` view."""
    data = leaf.data
    if isinstance(data, np.ndarray):
        if not data.flags.writeable or any(s < 0 for s in data.strides):
            # torch cannot represent such memory without a warning or error
            data = data.copy()
        data = torch.from_numpy(data)
    data = data.detach().resolve_conj().resolve_neg()
    if data.is_complex():
        return torch.view_as_real(data).movedim(-1, 0)
    return data[None]


def as_tensor(
    element: Element, copy: bool = False, device: Device | None = None
) -> torch.Tensor:
    """Return an element of an ODL space as a torch tensor.

    Parameters
    ----------
    element : element of `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Real or complex, backed by numpy or pytorch.
    copy : bool, optional
        If ``False``, the tensor shares the memory of the element whenever
        that is possible (always but for product spaces); if ``True``, never.
    device : torch.device or str, optional
        Device of the result. Default: that of the element.

    Returns
    -------
    tensor : torch.Tensor
        Tensor of shape ``(1, C, *shape)``, float32 or float64, without a
        gradient.

    Raises
    ------
    TypeError
        If ``element`` is not an element of such a space.

    Examples
    --------
    >>> space = odl.rn((2, 2), dtype='float32')
    >>> as_tensor(space.one()).shape
    torch.Size([1, 1, 2, 2])
    """
    if not hasattr(element, 'space'):
        raise TypeError(
            'expected an element of an ODL space, got '
            f'{type(element).__name__}; make one with `space.element(...)`'
        )
    tensor_dtype(element.space)
    grid_shape(element.space)
    views = [_channels_of(leaf) for leaf in _leaves(element)]
    if len(views) > 1:
        tensor = torch.cat(views)[None]
    else:
        tensor = views[0][None]
        if copy:
            tensor = tensor.clone(memory_format=torch.contiguous_format)
    return tensor if device is None else tensor.to(device)


def _leaf_element(channels, space, copy):
    if space.is_real:
        data = channels[0]
        if copy:
            data = data.clone(memory_format=torch.contiguous_format)
    else:
        # a fresh, interleaved array, whatever the strides of the channels
        data = torch.view_as_complex(channels.movedim(0, -1).contiguous())
        if copy:
            data = data.clone()
    if space.impl == 'numpy':
        return space.element(data.cpu().numpy())
    return space.element(data.to(space.device).contiguous())


def as_element(
    tensor: torch.Tensor, space: Space, copy: bool = False
) -> Element:
    """Return a torch tensor as an element of an ODL space.

    Parameters
    ----------
    tensor : torch.Tensor
        Real tensor of shape ``(1, C, *shape)`` or ``(C, *shape)`` in the
        layout of `as_tensor`, of the precision of the space. A gradient is
        detached.
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the result.
    copy : bool, optional
        If ``False``, the element shares the memory of the tensor whenever
        that is possible; if ``True``, never.

    Returns
    -------
    element : element of ``space``
        Element with the values of the tensor.

    Raises
    ------
    ValueError
        If the shape of the tensor does not fit the space.
    TypeError
        If it is not a real tensor of the precision of the space.

    Examples
    --------
    >>> space = odl.cn((2, 2), dtype='complex64')
    >>> complex(as_element(torch.ones(1, 2, 2, 2), space)[0, 0])
    (1+1j)
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(
            f'expected a `torch.Tensor`, got {type(tensor).__name__}'
        )
    expected = (n_channels(space), *grid_shape(space))
    given = tuple(tensor.shape)
    if given not in (expected, (1, *expected)):
        raise ValueError(
            f'expected a tensor of shape {(1, *expected)} for an element of '
            f'{describe_space(space)}, got {given}'
        )
    if tensor.dtype != tensor_dtype(space):
        raise TypeError(
            f'expected a tensor of dtype {tensor_dtype(space)} for an element '
            f'of {describe_space(space)}, got {tensor.dtype}'
        )
    channels = tensor.detach().resolve_neg().reshape(expected)
    if any(
        stride == 0 and size > 1
        for stride, size in zip(channels.stride(), expected, strict=True)
    ):
        # an expanded tensor: several values in one place cannot be written to
        channels = channels.contiguous()
    if not isinstance(space, odl.ProductSpace):
        return _leaf_element(channels, space, copy)
    sizes = [n_channels(part) for part in space]
    return space.element(
        [
            as_element(part, part_space, copy)
            for part, part_space in zip(
                channels.split(sizes), space, strict=True
            )
        ]
    )


def element_from_array(array: ArrayLike, space: Space) -> Element:
    """Return the values of an array as a new element.

    Parameters
    ----------
    array : array-like
        Real or complex array of shape ``grid_shape(space)``, with an axis of
        parts before it for a product space. It is converted to the dtype of
        the space.
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the element, on any array back-end and device.

    Returns
    -------
    element : ``space`` element
        Element that shares no memory with the array.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (1, 2), dtype='complex64')
    >>> element_from_array([[1, 2j]], space).asarray().tolist()
    [[(1+0j), 2j]]
    """
    part = first_part(space)
    array = np.array(array, dtype=str(part.dtype_identifier))
    if part is space:
        array = array[None]
    tensor = torch.from_numpy(array)[None].to(str(part.device))
    if tensor.is_complex():
        tensor = split_complex(tensor)
    return as_element(tensor, space)


def merge_complex(tensor: torch.Tensor) -> torch.Tensor:
    """Return pairs of real channels as complex channels.

    Parameters
    ----------
    tensor : torch.Tensor
        Real tensor of shape ``(N, 2 P, *shape)``, real and imaginary parts
        in turn.

    Returns
    -------
    tensor : torch.Tensor
        Complex tensor of shape ``(N, P, *shape)``; a view where the two
        parts of a number lie side by side, as in the result of
        `split_complex`.

    Examples
    --------
    >>> merge_complex(torch.tensor([[[1.0], [2.0]]]))
    tensor([[[1.+2.j]]])
    """
    pairs = tensor.unflatten(1, (tensor.shape[1] // 2, 2)).movedim(2, -1)
    if pairs.stride(-1) == 1:
        try:
            return torch.view_as_complex(pairs)
        except RuntimeError:
            # of odd strides or offset, also of an axis that a vmap hides
            pass
    return torch.complex(pairs[..., 0], pairs[..., 1])


def split_complex(tensor: torch.Tensor) -> torch.Tensor:
    """Return complex channels as pairs of real channels.

    Parameters
    ----------
    tensor : torch.Tensor
        Complex tensor of shape ``(N, P, *shape)``.

    Returns
    -------
    tensor : torch.Tensor
        Real view of shape ``(N, 2 P, *shape)`` for ``P == 1``, else a copy.

    Examples
    --------
    >>> split_complex(torch.tensor([[[1.0 + 2.0j]]]))
    tensor([[[1.],
             [2.]]])
    """
    pairs = torch.view_as_real(tensor.resolve_conj())
    return pairs.movedim(-1, 2).flatten(1, 2)
