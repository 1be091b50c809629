# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The symmetries of a pixel grid, and what they do to kernels.

This module needs no escnn. An equivariant kernel is invariant under the
elements of its group that map pixels to pixels.
"""

import math

import torch

from odl_equivariant.nn.steerable.groups import INFINITE, parse_group
from odl_equivariant.nn.steerable.representations import (
    fibre_matrix,
    field_size,
)

__all__ = (
    'array_matrix',
    'equivariance_gap',
    'exact_symmetries',
    'matrix_of_fibre',
    'moved',
)


def exact_symmetries(group):
    r"""Return the elements of a group that map pixels to pixels.

    Parameters
    ----------
    group : str
        ``'C<N>'``, ``'D<N>'``, ``'SO2'`` or ``'O2'``.

    Returns
    -------
    symmetries : list of tuple
        For each element its matrix, rows of whole numbers in the coordinates
        x to the right and y upwards, and the permutation by which its
        regular representation moves the unit vectors; of the infinite groups
        that of their elements with such a matrix.

    Notes
    -----
    In escnn's order of the elements, first the rotations :math:`r^k` and then
    the reflections :math:`r^k f`, the product with the one on the left is

    .. math::
        r^k f^a \cdot r^l f^b = r^{k + (-1)^a l} f^{a + b} .

    Examples
    --------
    >>> for matrix, permutation in exact_symmetries('C8')[:2]:
    ...     print(matrix, permutation)
    ((1, 0), (0, 1)) [0, 1, 2, 3, 4, 5, 6, 7]
    ((0, -1), (1, 0)) [2, 3, 4, 5, 6, 7, 0, 1]
    """
    if group in INFINITE:
        group = 'C4' if group == 'SO2' else 'D4'
    kind, order = parse_group(group)
    symmetries = []
    for flipped in (0, 1) if kind == 'D' else (0,):
        for k in range(order):
            if 4 * k % order:
                continue
            cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[4 * k // order]
            # f is a reflection of x for even orders and of y for odd ones.
            sign_x, sign_y = (1, 1)
            if flipped:
                sign_x, sign_y = (1, -1) if order % 2 else (-1, 1)
            matrix = (
                (cos * sign_x, -sin * sign_y),
                (sin * sign_x, cos * sign_y),
            )
            permutation = [
                (other ^ flipped) * order
                + (k + (-1) ** flipped * rotation) % order
                for other in ((0, 1) if kind == 'D' else (0,))
                for rotation in range(order)
            ]
            symmetries.append((matrix, permutation))
    return symmetries


def moved(kernels, symmetry, source, target):
    r"""Return kernels as an element of the group moves them.

    Parameters
    ----------
    kernels : torch.Tensor
        Kernels of shape ``(..., rows, columns, k, k)``.
    symmetry : tuple
        One of `exact_symmetries`.
    source, target : str
        Representations of the columns and of the rows, ``'regular'`` or one
        of `irreps_of`.

    Returns
    -------
    moved : torch.Tensor
        The kernels :math:`\rho_\text{out}(R)\, b(R^{-1} x)\,
        \rho_\text{in}(R)^{-1}`.
    """
    matrix, permutation = symmetry
    size, device = kernels.shape[-1], kernels.device
    along = torch.arange(size, device=device) - size // 2
    points = torch.stack(torch.meshgrid(along, -along, indexing='xy'))
    x, y = torch.einsum(
        'ba,bij->aij', torch.tensor(matrix, device=device), points
    )
    result = kernels[..., size // 2 - y, size // 2 + x]
    inverse = torch.tensor(permutation, device=device).argsort()
    if target == 'regular':
        result = result[..., inverse, :, :, :]
    elif target != 'trivial':
        turn = _fibre(target, symmetry).to(kernels)
        result = torch.einsum('ab,...bcij->...acij', turn, result)
    if source == 'regular':
        result = result[..., inverse, :, :]
    elif source != 'trivial':
        turn = _fibre(source, symmetry).to(kernels)
        result = torch.einsum('...abij,cb->...acij', result, turn)
    return result


def array_matrix(symmetry):
    """Return the matrix of a symmetry in the axes of an image.

    Examples
    --------
    >>> array_matrix(exact_symmetries('D1')[1])
    [[-1, 0], [0, 1]]
    """
    (xx, xy), (yx, yy) = symmetry[0]
    # the first axis of an image is -y, the second one x
    return [[yy, -yx], [-xy, xx]]


def matrix_of_fibre(representation, symmetry):
    """Return the matrix of a symmetry in a representation.

    Parameters
    ----------
    representation : str
        ``'regular'`` or one of `irreps_of`.
    symmetry : tuple
        One of `exact_symmetries`.

    Returns
    -------
    matrix : torch.Tensor
        Float64 tensor, a signed permutation.
    """
    _, permutation = symmetry
    if representation == 'regular':
        n = len(permutation)
        unit_vectors = torch.eye(n, dtype=torch.float64, device='cpu')
        return unit_vectors[:, permutation]
    return _fibre(representation, symmetry)


def _fibre(representation, symmetry):
    """Return the matrix in one of the representations of O(2)."""
    (a, b), (c, d) = array_matrix(symmetry)
    angle, flipped = math.atan2(c, a), a * d - b * c < 0
    return fibre_matrix(representation, angle, flipped)


def equivariance_gap(kernels, group, source, target):
    """Return how far kernels are from fixed, relative to the largest.

    Parameters
    ----------
    kernels : torch.Tensor
        Kernels of shape ``(..., rows, columns, k, k)``.
    group : str
        As for `exact_symmetries`.
    source, target : str
        Representations of the columns and of the rows, ``'regular'`` or one
        of `irreps_of`.

    Returns
    -------
    gap : float
        Largest change under any of the `exact_symmetries`: 0 up to rounding
        for kernels of the group, infinite if all are zero or one is not
        finite.

    Raises
    ------
    ValueError
        If the numbers of rows and columns are not those of the fields.
    """
    for name, representation, found in (
        ('rows', target, kernels.shape[-4]),
        ('columns', source, kernels.shape[-3]),
    ):
        expected = field_size(group, representation)
        if found != expected:
            raise ValueError(
                f'a {representation} field of {group} has {expected} '
                f'channels, the kernels have {found} {name}'
            )
    largest = float(kernels.abs().max()) if kernels.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return math.inf
    return max(
        float((moved(kernels, s, source, target) - kernels).abs().max())
        / largest
        for s in exact_symmetries(group)
    )
