# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Which spaces and shapes of images fit a ridge energy."""

import odl

from odl_equivariant.elements import (
    describe_space,
    first_part,
    grid_shape,
    n_channels,
)
from odl_equivariant.nn.blocks.inputs import advice_of_dimension, check_cells

__all__ = ('check_shape', 'check_space_of')


def check_space_of(energy, space):
    """Raise a ValueError unless images of a space fit an energy."""
    shape = grid_shape(space)
    if len(shape) != energy.dimension:
        raise ValueError(
            f'{type(energy).__name__} takes images with {energy.dimension} '
            f'axes, got the space {describe_space(space)} with {len(shape)}'
            f'{advice_of_dimension(energy.group, len(shape))}'
        )
    check_shape(shape, energy.kernel_size)
    if n_channels(space) != energy.in_channels:
        raise ValueError(
            f'the space {describe_space(space)} has {n_channels(space)} '
            'channel(s) (two if complex), the energy was made with '
            f'in_channels={energy.in_channels}; make it with in_channels='
            f'{n_channels(space)}'
        )
    space = first_part(space)
    if isinstance(space, odl.DiscretizedSpace):
        if not space.is_uniform:
            raise ValueError(
                'convolutions need a uniform grid, got the space '
                f'{describe_space(space)}'
            )
        if energy.group is not None:
            check_cells(space, energy.group, energy.axis)


def check_shape(shape, kernel_size):
    """Raise a ValueError unless images are as large as the filters."""
    if min(shape) < kernel_size:
        raise ValueError(
            f'images of shape {tuple(shape)} are smaller than the filters '
            f'of side {kernel_size}: take larger images, or an energy with a '
            'smaller kernel_size'
        )
