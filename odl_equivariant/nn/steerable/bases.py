# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The bases of equivariant kernels in the files of weights.

With them a file can be loaded without escnn, and its meaning does not depend
on the version of escnn.
"""

import re

import torch

from odl_equivariant.nn.steerable.convolutions import SteerableConvolution
from odl_equivariant.nn.steerable.groups import INFINITE
from odl_equivariant.nn.steerable.representations import is_hidden
from odl_equivariant.nn.steerable.symmetries import equivariance_gap

__all__ = ('PREFIX', 'bases_of', 'checked_bases')

PREFIX = 'bases.'

_NAMES = (
    r'trivial|sign|standard|irrep\(\d{1,9}(?:,[+-])?\)|regular|'
    r'regular\((?:SO2|O2),\d{1,9}\)'
)

# As they are stored in float64, their symmetry is exact up to rounding.
_TOLERANCE = 1e-12


def bases_of(network):
    """Return the bases of a network for its file.

    Parameters
    ----------
    network : torch.nn.Module
        Network with or without steerable convolutions.

    Returns
    -------
    tensors : dict
        One float64 tensor for each basis, by names such as
        ``'bases.C4.regular.trivial.3'``, escnn's, or, followed by its kind,
        ``'bases.C4.regular.trivial.3.grid'``.
    """
    return {
        PREFIX + '.'.join(map(str, layer.basis_key)): layer.exact_basis.clone()
        for layer in network.modules()
        if isinstance(layer, SteerableConvolution)
    }


def _of_a_layer(group, source, target):
    """Return whether a proximal can have such a convolution."""
    if is_hidden(source) or is_hidden(target):
        return True
    # the gates of the first layer
    return group in INFINITE and target == 'trivial'


def checked_bases(tensors, of_blocks=True):
    """Return the bases in a file, after checking each against its name.

    Parameters
    ----------
    tensors : dict
        What `bases_of` returned, as read from the file.
    of_blocks : bool, optional
        Whether the file is of blocks of this package, which do not have
        bases between all kinds of fields, nor empty ones.

    Returns
    -------
    bases : dict
        The tensors by the ``basis_key`` of their layers.

    Raises
    ------
    ValueError
        If a name or a shape is not one of a basis, a number is not finite,
        or the kernels are not equivariant under the elements of the group
        that map pixels to pixels.
    """
    bases = {}
    for name, basis in tensors.items():
        match = re.fullmatch(
            rf'bases\.([CD]\d{{1,9}}|SO2|O2)\.({_NAMES})\.({_NAMES})\.'
            r'(\d{1,9})(?:\.(grid|mixed|fourier))?',
            name,
            re.ASCII,
        )
        if match is None or (
            of_blocks and not _of_a_layer(*match.groups()[:3])
        ):
            raise ValueError(f'{name} is not the name of a basis')
        group, source, target, _, kind = match.groups()
        size = int(match[4])
        if basis.ndim != 5 or basis.shape[-2:] != (size, size):
            raise ValueError(
                f'{name} must have the shape (n, rows, columns, {size}, '
                f'{size}), got {tuple(basis.shape)}'
            )
        if basis.dtype != torch.float64:
            raise ValueError(
                f'{name} must be in torch.float64, got {basis.dtype}'
            )
        if not torch.isfinite(basis).all():
            raise ValueError(f'{name} has NaN or infinite values')
        gap = equivariance_gap(basis, group, source, target)
        is_empty = not (of_blocks or len(basis))
        if not gap <= _TOLERANCE and not is_empty:
            raise ValueError(
                f'the kernels of {name} are not equivariant, they miss it by '
                f'{gap:.1e}: the file is damaged'
            )
        key = (group, source, target, size)
        bases[key if kind is None else (*key, kind)] = basis
    return bases
