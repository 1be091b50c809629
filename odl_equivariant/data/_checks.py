# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of arguments."""

import numpy as np
import odl
import torch

from odl_equivariant._checks import array_shape, whole_number
from odl_equivariant.elements import as_tensor, describe_space, merge_complex

__all__ = (
    'as_array',
    'as_real_array',
    'check_extent',
    'grid',
    'image_array',
    'image_on',
    'position',
    'shape_and_space',
)


def position(index, length, what):
    """Check that an index is in range. Return it as an int.

    Parameters
    ----------
    index : int
        Index; negative ones do not count from the end.
    length : int
        Number of items.
    what : str
        What is counted, in the plural, for messages.

    Raises
    ------
    IndexError
        If it is out of range. An iteration over the items ends by this.
    TypeError
        If it is not a whole number.
    """
    number = whole_number(f'an index of {what}', index)
    if not 0 <= number < length:
        raise IndexError(
            f'index {number} is out of range: there are {length} {what}, '
            f'counted from 0 to {length - 1}'
        )
    return number


def grid(shape, name='shape', n_axes=2):
    """Check the shape of an image. Return it as ints, or None."""
    return None if shape is None else array_shape(name, shape, n_axes)


def as_real_array(image):
    """Return an element, a tensor or an array-like as a real array."""
    if hasattr(image, 'space'):
        if not image.space.is_real:
            raise ValueError(
                'expected a real image, got an element of dtype '
                f'{image.space.dtype_identifier!r}'
            )
        return as_tensor(image)[0, 0].cpu().numpy()
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.dtype.kind not in 'fiu':
        raise ValueError(
            f'expected a real image, got an array of dtype {array.dtype}'
        )
    return array


def as_array(image):
    """Return an image as a real or complex array, on the processor.

    Parameters
    ----------
    image : element of a space, torch.Tensor or array-like
        Image; an element of a complex space becomes a complex array.

    Raises
    ------
    ValueError
        If it does not consist of numbers.
    """
    if hasattr(image, 'space'):
        tensor = as_tensor(image)
        if not image.space.is_real:
            tensor = merge_complex(tensor)
        return tensor[0, 0].cpu().numpy()
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().resolve_conj().resolve_neg()
        # which NumPy does not have
        image = image.float() if image.dtype == torch.bfloat16 else image
        image = image.numpy()
    array = np.asarray(image)
    if array.dtype.kind not in 'fiuc':
        raise ValueError(
            'expected a real or complex image, got an array of dtype '
            f'{array.dtype}'
        )
    return array


def check_extent(space, own, name):
    """Check that the space of an image covers the field of view.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Space of the image.
    own : odl.DiscretizedSpace
        Space of the acquisition.
    name : str
        Class of the acquisition, for messages.

    Raises
    ------
    ValueError
        If the extents differ by more than a thousandth: the image would be
        taken for a larger or smaller one.
    """
    if not isinstance(space, odl.DiscretizedSpace) or space.ndim != own.ndim:
        raise ValueError(
            f'`image` must be an element of a {own.ndim}D '
            f'DiscretizedSpace, got one of {describe_space(space)}'
        )
    extent = np.asarray(space.max_pt - space.min_pt, dtype=float)
    field = np.asarray(own.max_pt - own.min_pt, dtype=float)
    if not np.allclose(extent, field, rtol=1e-3):
        raise ValueError(
            f'`image` has the extent {extent} m, and the field of view '
            f'{field} m; pass `side={extent.max():.6g}` to {name}, or the '
            'image as an array if its extent is to be ignored'
        )


def image_on(space, image, name):
    """Return an image as a finite array, see `image_array`.

    If it is an element of another space, that must have the extent of
    ``space``; the message speaks of the acquisition ``name``.
    """
    if getattr(image, 'space', None) is not None:
        check_extent(image.space, space, name)
    return image_array(image, tuple(space.shape))


def image_array(image, shape):
    """Return a real or complex image as a finite array of a shape."""
    array = as_array(image)
    if array.shape != shape:
        raise ValueError(f'`image` must have shape {shape}, got {array.shape}')
    if not np.isfinite(array).all():
        raise ValueError(
            '`image` has values that are infinite or not a number'
        )
    return array


def shape_and_space(shape_or_space, real=True):
    """Check a shape or a space. Return the shape, and the space or None."""
    if isinstance(shape_or_space, odl.DiscretizedSpace):
        space = shape_or_space
        if real and not space.is_real:
            raise ValueError(
                'phantoms are real: `space` must be a real space, got dtype '
                f'{space.dtype_identifier!r}; draw in `space.real_space` and '
                'embed the phantom in the complex space'
            )
        if space.ndim != 2:
            raise ValueError(
                f'`space` must have 2 dimensions, got {space.ndim}'
            )
        shape = tuple(space.shape)
    else:
        space = None
        name = '`shape_or_space`, unless an `odl.DiscretizedSpace`,'
        shape = array_shape(name, shape_or_space, 2)
    if min(shape) < 8:
        raise ValueError(
            'both sides of a phantom must be at least 8 pixels, '
            f'got shape {shape}'
        )
    return shape, space
