# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""All kernels on the grid that are equivariant under its symmetries.

This module needs no escnn, whose bases are of sampled, smooth kernels and
span less. Where each element of a group maps pixels to pixels, the equivariant
kernels are the range of the projection

.. math::
    P k = \frac{1}{|H|} \sum_{R \in H}
    \rho_\text{out}(R)\, k(R^{-1} \cdot)\, \rho_\text{in}(R)^{-1},

which splits over the orbits of the pixels. On an orbit, a kernel is given by
its matrix at one pixel, and this may be any that the stabiliser of the pixel
leaves as it is.
"""

import functools

import torch

from odl_equivariant.nn.steerable.fourier import check_turns
from odl_equivariant.nn.steerable.groups import INFINITE, group_order
from odl_equivariant.nn.steerable.symmetries import (
    array_matrix,
    exact_symmetries,
    matrix_of_fibre,
)

__all__ = (
    'BASES',
    'acts_exactly',
    'checked_basis',
    'equivariant_kernels',
    'grid_basis',
    'split',
)

# 'mixed' begins with escnn's kernels, and goes on with what they lack.
BASES = ('escnn', 'grid', 'mixed', 'fourier')

# What rounding, of escnn in float32 too, leaves of equal numbers.
_TIE = 1e-5


def acts_exactly(group):
    """Return whether each element of a group maps pixels to pixels.

    Examples
    --------
    >>> [g for g in ('C4', 'C8', 'D1', 'D3', 'SO2') if acts_exactly(g)]
    ['C4', 'D1']
    """
    if group in INFINITE:
        return False
    return len(exact_symmetries(group)) == group_order(group)


def checked_basis(basis, group):
    """Return the name of a kind of basis.

    Raises
    ------
    ValueError
        If there is no such kind, the group does not act on the grid exactly,
        as ``'grid'`` and ``'mixed'`` need, or is infinite, for which there is
        ``'escnn'`` alone.
    """
    if not (isinstance(basis, str) and basis in BASES):
        raise ValueError(
            "`basis` must be 'escnn', smooth kernels, 'grid', all equivariant "
            "kernels on the grid, 'mixed', both, or 'fourier', turned Fourier "
            f'series; got {basis!r}'
        )
    if basis == 'fourier':
        check_turns(group)
    elif basis != 'escnn' and not acts_exactly(group):
        raise ValueError(
            f'basis={basis!r} is for the groups that map pixels to pixels, '
            f"C1, C2, C4, D1, D2 and D4: take one of them, or basis='escnn' "
            f'for {group}'
        )
    return basis


@functools.cache
def grid_basis(group, source, target, kernel_size):
    """Return an orthonormal basis of all equivariant kernels on the grid.

    Parameters
    ----------
    group : str
        Name of a group that `acts_exactly`.
    source, target : str
        Representations of the input and of the output field, ``'regular'``
        or one of `irreps_of`.
    kernel_size : int
        Odd side of the kernel in cells.

    Returns
    -------
    basis : torch.Tensor
        Float64 tensor of shape ``(n, size(target), size(source),
        kernel_size, kernel_size)``.

    Examples
    --------
    >>> grid_basis('C4', 'trivial', 'regular', 3).shape
    torch.Size([9, 4, 1, 3, 3])
    """
    elements = [
        (
            array_matrix(symmetry),
            matrix_of_fibre(target, symmetry),
            matrix_of_fibre(source, symmetry),
        )
        for symmetry in exact_symmetries(group)
    ]
    return equivariant_kernels(elements, kernel_size)


def equivariant_kernels(elements, kernel_size):
    r"""Return an orthonormal basis of the equivariant kernels of a group.

    Parameters
    ----------
    elements : sequence of tuple
        For each element of a finite group its matrix, a signed permutation
        of the d axes of an array, and its orthogonal matrices
        :math:`\rho_\text{out}` and :math:`\rho_\text{in}`, in any
        representations.
    kernel_size : int
        Odd side of the kernels.

    Returns
    -------
    basis : torch.Tensor
        Float64 tensor of shape ``(n, rows, columns, kernel_size, ...)`` with
        d sides of the kernel. It is the same on all machines. If all matrices
        are signed permutations, it is as sparse as can be, each kernel is the
        average of one with a single entry, and is equivariant to the last
        bit.

    Raises
    ------
    ValueError
        If the side is even, a matrix no signed permutation, or the matrices
        are not those of the elements of one group.

    Examples
    --------
    The odd kernels of three cells in one dimension:

    >>> one = torch.ones(1, 1)
    >>> mirror = [([[1]], one, one), ([[-1]], -one, one)]
    >>> equivariant_kernels(mirror, 3).flatten(1)
    tensor([[ 0.7071,  0.0000, -0.7071]], dtype=torch.float64)
    """
    with torch.device('cpu'), torch.no_grad():
        matrices, outer, inner = (
            torch.stack([torch.as_tensor(part) for part in parts])
            for parts in zip(*elements, strict=True)
        )
        outer, inner = outer.double(), inner.double()
        _check_permutations(matrices)
        if kernel_size % 2 == 0:
            raise ValueError(
                f'`kernel_size` must be odd, got {kernel_size}: an even '
                'kernel has no cell in its centre'
            )
        images = _moved_points(matrices.long(), kernel_size)
        rows, columns = outer.shape[-1], inner.shape[-1]
        kernels, seen = [], set()
        for point in range(images.shape[1]):
            if point in seen:
                continue
            orbit = images[:, point].tolist()
            fixing = [h for h, image in enumerate(orbit) if image == point]
            average = sum(
                torch.kron(outer[h].contiguous(), inner[h].contiguous())
                for h in fixing
            ) / len(fixing)
            values = _range(average).reshape(-1, rows, columns)
            places = set(orbit)
            part = values.new_zeros(*values.shape, images.shape[1])
            for place in places:
                h = orbit.index(place)
                part[..., place] = outer[h] @ values @ inner[h].T
            kernels.append(part / len(places) ** 0.5)
            seen |= places
        sides = matrices.shape[-1] * (kernel_size,)
        return torch.cat(kernels).unflatten(-1, sides)


def _check_permutations(matrices):
    """Raise a ValueError unless matrices move cells to cells."""
    sizes = matrices.abs()
    one = torch.ones_like(sizes[..., 0])
    if not (
        ((sizes == 0) | (sizes == 1)).all()
        and torch.equal(sizes.sum(1), one)
        and torch.equal(sizes.sum(2), one)
    ):
        raise ValueError(
            'the elements must permute the axes, up to signs, to map cells to '
            f'cells, got the matrices {matrices.tolist()!s:.200}'
        )


def _moved_points(matrices, kernel_size):
    """Return where each matrix moves the cells of a kernel, as numbers."""
    n_axes = matrices.shape[-1]
    along = torch.arange(kernel_size) - kernel_size // 2
    points = torch.cartesian_prod(*n_axes * (along,)).reshape(-1, n_axes)
    moved = torch.einsum('hab,pb->hpa', matrices, points) + kernel_size // 2
    strides = kernel_size ** torch.arange(n_axes - 1, -1, -1)
    return (moved * strides).sum(-1)


def _range(projection):
    """Return an orthonormal basis of the range of an orthogonal projection.

    It is made of projected unit vectors, from the longest to the shortest
    remainder, and of several the first: it depends on the projection alone,
    where singular vectors to one value may be any.
    """
    rank = float(projection.trace())
    if abs(rank - round(rank)) > _TIE:
        raise ValueError(
            'the average over the elements is no projection, of the trace '
            f'{rank:.4g}: they must be all elements of a group, each once, '
            'with orthogonal matrices'
        )
    rest, vectors = projection.clone(), []
    for _ in range(round(rank)):
        lengths = rest.diagonal()
        (longest,) = torch.nonzero(lengths >= (1 - _TIE) * lengths.max())[0]
        vectors.append(rest[longest] / lengths[longest].sqrt())
        rest = rest - torch.outer(vectors[-1], vectors[-1])
    return torch.stack(vectors) if vectors else projection[:0]


def split(basis, kernels):
    """Split a space of kernels into a part that is given and the rest.

    Parameters
    ----------
    basis : torch.Tensor
        Orthonormal kernels.
    kernels : torch.Tensor
        Kernels in their span, of the same shape but for their number.

    Returns
    -------
    kernels : torch.Tensor
        The same kernels, as combinations of ``basis``: as equivariant as
        these are.
    rest : torch.Tensor
        Orthonormal basis of the kernels in the span of ``basis`` that are
        orthogonal to ``kernels``.
    """
    with torch.device('cpu'), torch.no_grad():
        flat = basis.flatten(1)
        coordinates = kernels.flatten(1) @ flat.T
        span = torch.zeros_like(flat[:, :0])
        if len(kernels):
            span, sizes, _ = torch.linalg.svd(coordinates.T, False)
            span = span[:, sizes > _TIE * sizes.max()]
        unit = torch.eye(len(flat), dtype=flat.dtype)
        rest = _range(unit - span @ span.T)
        return tuple(
            (part @ flat).reshape(-1, *basis.shape[1:])
            for part in (coordinates, rest)
        )
