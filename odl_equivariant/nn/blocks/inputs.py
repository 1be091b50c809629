# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of the inputs of blocks."""

import math
import numbers

import numpy as np
import torch

from odl_equivariant._checks import whole_number
from odl_equivariant._types import Space
from odl_equivariant.elements import describe_space, grid_shape
from odl_equivariant.nn.blocks.network import is_exported, is_transformed
from odl_equivariant.nn.steerable.space import (
    dimension_of,
    elements_of,
    group_in_space,
)

__all__ = (
    'advice_of_dimension',
    'check_cells',
    'check_input',
    'checked_symmetry',
    'check_grid',
    'check_square_cells',
    'checked_sigma',
    'has_values',
)


def check_grid(block, space, advice):
    """Raise a ValueError unless a block fits the grid of a space.

    Parameters
    ----------
    block : Proximal
        Block with a ``dimension`` and a ``kernel_size``.
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space of the images.
    advice : callable
        What to add to the message, by the number of axes of the space.
    """
    shape = grid_shape(space)
    if len(shape) != block.dimension:
        raise ValueError(
            f'{type(block).__name__} works on images with {block.dimension} '
            f'axes, got the space {describe_space(space)} with {len(shape)}'
            f'{advice(len(shape))}'
        )
    if min(shape) < block.kernel_size:
        raise ValueError(
            f'the images of shape {shape} are smaller than the kernels '
            f'of side {block.kernel_size}; take larger images or a '
            'smaller kernel_size'
        )


def check_input(name, x, channels, dtype, like=None, dimension=2):
    """Raise an error unless a tensor is an input of a block.

    Parameters
    ----------
    name : str
        Name of the argument.
    x : torch.Tensor
        What was given.
    channels : int
        Number of channels that the block takes.
    dtype : torch.dtype
        Precision of the weights.
    like : torch.Tensor, optional
        Images on whose grid, and as many as which, the tensor must be.
    dimension : {2, 3}, optional
        Number of axes of an image.
    """
    axes = {2: 'n, m', 3: 'n, m, l'}[dimension]
    expected = f'(N, {channels}, {axes})'
    if x is None:
        raise TypeError(
            f'this proximal needs `{name}`, a tensor of shape {expected}'
        )
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f'`{name}` must be a `torch.Tensor`, got {type(x).__name__}'
        )
    if x.ndim != 2 + dimension or x.shape[1] != channels:
        raise ValueError(
            f'`{name}` must have the shape {expected}, got {tuple(x.shape)}'
        )
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f'the weights are in {dtype}, and so must `{name}` be, got '
            f'{x.dtype}; convert one of them, as in `module.double()`'
        )
    if like is None:
        return
    if x.shape[2:] != like.shape[2:]:
        raise ValueError(
            f'`{name}` must lie on the grid {tuple(like.shape[2:])} of '
            f'`x`, got {tuple(x.shape[2:])}'
        )
    if x.shape[0] != like.shape[0]:
        raise ValueError(
            f'`{name}` must have one image for each of the '
            f'{like.shape[0]} of `x`, got {x.shape[0]}'
        )


def checked_sigma(sigma, x):
    """Return noise levels of images as a tensor (N or 1, 1, ..., 1)."""
    if sigma is None:
        raise TypeError(
            'this proximal is conditioned on the noise level: pass '
            '`sigma`, a number or a tensor of shape (N,)'
        )
    if isinstance(sigma, numbers.Real) and not 0 < sigma < math.inf:
        raise ValueError(f'`sigma` must be positive, got {sigma}')
    given = sigma
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if sigma.ndim > 1 or sigma.numel() not in (1, x.shape[0]):
        raise ValueError(
            f'`sigma` must be a number or a tensor of shape '
            f'({x.shape[0]},), got shape {tuple(sigma.shape)}'
        )
    if not isinstance(given, numbers.Real) and has_values(sigma):
        wrong = sigma[~((sigma > 0) & sigma.isfinite())]
        if wrong.numel():
            raise ValueError(
                f'`sigma` must be positive, got {wrong[0].item()} among '
                f'{sigma.numel()} noise levels'
            )
    return sigma.reshape(-1, *(x.ndim - 1) * [1])


def check_square_cells(space: Space) -> None:
    """Raise a ValueError unless turned images have the same cells."""
    if not space.partition.has_isotropic_cells:
        raise ValueError(
            'an equivariant network needs square cells, as a turned '
            'image lies on another grid otherwise; got the cell sides '
            f'{space.cell_sides} of {describe_space(space)}'
        )


def checked_symmetry(
    group: str | None, axis: int | None, dimension: int | None
) -> tuple[str | None, int]:
    """Return the name of a group with its axis, and the number of axes.

    Parameters
    ----------
    group : str or None
        Group of plane or space, None for ordinary convolutions.
    axis : {0, 1, 2} or None
        Axis of a group of the space.
    dimension : {2, 3} or None
        Number of axes of an image. Default: that of the group, 2 without.

    Returns
    -------
    name : str or None
        The name, see `group_in_space`.
    dimension : {2, 3}
        The number.

    Raises
    ------
    ValueError
        If they do not fit each other.
    """
    if dimension is not None:
        dimension = whole_number('dimension', dimension, 2, 3)
    if group is None:
        if axis is not None:
            raise ValueError(
                f'`axis` is that of a group, got axis={axis!r} with '
                'group=None: for ordinary convolutions of volumes take '
                'dimension=3'
            )
        return None, dimension or 2
    name = group_in_space(group, axis)
    found = dimension_of(name)
    if dimension not in (None, found):
        raise ValueError(
            f'`dimension` is that of the group, {found} for group={group!r} '
            f'with axis={axis!r}, got {dimension}'
            f'{advice_of_dimension(group, dimension)}'
        )
    return name, found


def check_cells(space: Space, group: str, axis: int | None) -> None:
    """Raise a ValueError unless turned images or volumes have the same cells.

    Parameters
    ----------
    space : `DiscretizedSpace`
        Uniform space.
    group : str
        Group of the network, as the user named it.
    axis : {0, 1, 2} or None
        Axis of a group of the space.
    """
    name = group_in_space(group, axis)
    if dimension_of(name) == 2:
        check_square_cells(space)
        return
    sides = np.asarray(space.cell_sides, dtype=float)
    if all(
        np.allclose(np.abs(element) @ sides, sides, rtol=1e-5, atol=0)
        for element in elements_of(name)
    ):
        return
    fitting = 'groups about an axis with N <= 2'
    for other in (2, 1, 0):
        others = np.delete(sides, other)
        if np.isclose(*others, rtol=1e-5, atol=0):
            fitting = (
                f"group='C4', or 'D4' or 'D4h' with reflections, with "
                f'axis={other}'
            )
            break
    about = '' if axis is None else f' about axis {axis}'
    raise ValueError(
        f'the group {group}{about} exchanges axes along which the cells '
        'differ, and a turned volume lies on another grid: got the cell sides '
        f'{sides.tolist()} of '
        f'{describe_space(space)}; take {fitting}, or resample the '
        'volumes to cubic cells'
    )


def advice_of_dimension(group: str | None, found: int) -> str:
    """Return what to change for images with another number of axes.

    Parameters
    ----------
    group : str or None
        Group of the network, None for ordinary convolutions.
    found : int
        Number of axes of the images.
    """
    if found not in (2, 3):
        return ''
    if group is None:
        return f'; make it with dimension={found}'
    if found == 3:
        return (
            ": for volumes, take a group of the space, such as group='O', "
            "or group='C4' with axis=2"
        )
    return (
        f': the group {group} acts on volumes, take one of the '
        "plane, such as group='C4' without `axis`"
    )


def has_values(x):
    """Return whether the values of a tensor can be read."""
    return not (x.is_meta or is_transformed() or is_exported())
