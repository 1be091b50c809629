# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Groups of the space whose elements map the cells of a cubic grid to cells.

They are called as by `odl_equivariant.actions.group_actions`, with an axis
for groups about one. In one word, that axis is a letter: ``'C4z'``.
"""

import functools

import numpy as np
import torch

from odl_equivariant._checks import whole_number
from odl_equivariant.actions.space_groups import (
    POLYHEDRAL,
    is_axial,
    space_group,
)
from odl_equivariant.nn.steerable.groups import checked_group, group_order
from odl_equivariant.nn.steerable.representations import field_size

__all__ = (
    'dimension_of',
    'elements_of',
    'fibre_matrices',
    'group_in_space',
    'n_elements',
    'signed_permutation',
    'size_of_field',
)

_EXACT = ('T', 'Td', 'Th', 'O', 'Oh')
_AXES = 'xyz'
_ABOUT = tuple(
    f'{kind}{n}{h}' for h in ('', 'h') for kind in 'CD' for n in (1, 2, 4)
)
_NAMES = {*_EXACT, *(name + axis for name in _ABOUT for axis in _AXES)}


def dimension_of(group):
    """Return the number of axes that a group acts on.

    Examples
    --------
    >>> dimension_of('C4'), dimension_of('C4z'), dimension_of('Oh')
    (2, 3, 3)
    """
    return 3 if group in _NAMES else 2


def group_in_space(group, axis=None):
    """Return the name of a group, with the letter of its axis in space.

    Parameters
    ----------
    group : str
        Name of a group of the plane, or, of the space, ``'T'``, ``'Td'``,
        ``'Th'``, ``'O'`` or ``'Oh'``, or ``'C<N>'``, ``'D<N>'``, ``'C<N>h'``
        or ``'D<N>h'`` with an axis and N = 1, 2 or 4.
    axis : {0, 1, 2}, optional
        Axis of such a group.

    Returns
    -------
    name : str
        The name.

    Raises
    ------
    ValueError
        If there is no such group, it does not map cells to cells, or an axis
        is missing or given in vain.

    Examples
    --------
    >>> group_in_space('O'), group_in_space('D4h', 2), group_in_space('D4')
    ('O', 'D4hz', 'D4')
    """
    if isinstance(group, str) and group[-2:] in ('_h', '_d'):
        # with the index of Schoenflies, 'O_h'
        group = group.replace('_', '')
    if isinstance(group, str) and group in POLYHEDRAL:
        if axis is not None:
            raise ValueError(f'the group {group} has no axis, got {axis!r}')
        if group not in _EXACT:
            raise ValueError(
                f'the group {group} does not map cells to cells, and kernels '
                "in space are all that are equivariant on the grid: take 'O', "
                f'or another one of {", ".join(_EXACT)}'
            )
        return group
    if axis is None:
        if isinstance(group, str) and group[-1:] == 'h' and is_axial(group):
            raise ValueError(
                f'the group {group} acts about an axis in space: give `axis`, '
                '0, 1 or 2'
            )
        return checked_group(group)
    axis = whole_number('axis', axis, 0, 2)
    if not isinstance(group, str) or group not in _ABOUT:
        raise ValueError(
            f'about an axis of the grid there are {", ".join(_ABOUT)}, which '
            f'map cells to cells, got {group!r}'
        )
    return group + _AXES[axis]


@functools.cache
def elements_of(group):
    """Return the elements of a group of the space as signed permutations.

    Parameters
    ----------
    group : str
        Name from `group_in_space`.

    Returns
    -------
    matrices : numpy.ndarray of int, shape (n, 3, 3)
        In the order of the axes of a volume, the identity first.
    """
    if group in _EXACT:
        matrices = space_group(group)
    else:
        matrices = space_group(group[:-1], _AXES.index(group[-1]))
    return np.rint(np.array(matrices)).astype(int)


def n_elements(group):
    """Return the number of elements of a finite group of plane or space.

    Examples
    --------
    >>> n_elements('D4'), n_elements('O'), n_elements('D4hz')
    (8, 24, 16)
    """
    if dimension_of(group) == 2:
        return group_order(group)
    return len(elements_of(group))


def size_of_field(group, representation):
    """Return the number of channels of a field in the plane or in space.

    Examples
    --------
    >>> [size_of_field('O', name) for name in ('regular', 'standard', 'sign')]
    [24, 3, 1]
    """
    if dimension_of(group) == 2:
        return field_size(group, representation)
    if representation == 'regular':
        return n_elements(group)
    return {'trivial': 1, 'sign': 1, 'standard': 3}[representation]


def subgroup_in_space(name, group):
    """Return the name of a subgroup of a group of the space.

    Parameters
    ----------
    name : str
        Name as `group_in_space` returns it, such as ``'T'`` or ``'C4z'``; or,
        if the group has an axis, without the letter of this axis.
    group : str
        Name from `group_in_space`.

    Raises
    ------
    ValueError
        If there is no such group, or it is no subgroup.

    Examples
    --------
    >>> subgroup_in_space('C4z', 'O'), subgroup_in_space('C2', 'D4hz')
    ('C4z', 'C2z')
    """
    own = name
    if isinstance(name, str) and name in _ABOUT and group[-1] in _AXES:
        own = name + group[-1]
    if not isinstance(own, str) or own not in _NAMES:
        raise ValueError(
            f'{name!r} names no group of the space: take one of '
            f'{subgroups_in_space(group)}, where x, y and z are the axes 0, 1 '
            'and 2'
        )
    if not _is_within(own, group):
        raise ValueError(
            f'{name} is no subgroup of {group}, so the network cannot be '
            f'restricted to it; subgroups are {subgroups_in_space(group)}'
        )
    return own


def subgroups_in_space(group):
    """Return the names of the subgroups that map cells to cells."""
    return ', '.join(
        name for name in sorted(_NAMES) if _is_within(name, group)
    )


def _is_within(name, group):
    all_of = {matrix.tobytes() for matrix in elements_of(group)}
    return all(matrix.tobytes() in all_of for matrix in elements_of(name))


@functools.cache
def order_in_cosets(group, subgroup):
    """Return the place of each element in cosets of a subgroup.

    It is what `representations.elements_in_order` is in the plane.

    Examples
    --------
    >>> order_in_cosets('C4z', 'C2z')
    (0, 2, 1, 3)
    """
    elements = elements_of(group)
    place = {matrix.tobytes(): i for i, matrix in enumerate(elements)}
    order = [None] * len(elements)
    n_placed = 0
    for i, element in enumerate(elements):
        if order[i] is not None:
            continue
        for product in elements_of(subgroup) @ element:
            order[place[product.tobytes()]] = n_placed
            n_placed += 1
    return tuple(order)


@functools.cache
def signed_permutation(group, representation):
    r"""Return how the elements of a group move the channels of a field.

    Parameters
    ----------
    group : str
        Name from `group_in_space`.
    representation : {'trivial', 'sign', 'standard', 'regular'}
        ``'sign'`` is that of the determinant, ``'standard'`` the matrix
        itself, of vectors, ``'regular'`` that of functions on the group.

    Returns
    -------
    places, signs : numpy.ndarray of int, shape (n, size)
        The element h maps the unit vector of the channel c to that of
        ``places[h, c]``, times ``signs[h, c]``.

    Examples
    --------
    >>> places, signs = signed_permutation('C2z', 'standard')
    >>> places[1], signs[1]
    (array([0, 1, 2]), array([-1, -1,  1]))
    """
    matrices = elements_of(group)
    n = len(matrices)
    if representation == 'standard':
        places = np.abs(matrices).argmax(1)
        return places, np.take_along_axis(matrices, places[:, None], 1)[:, 0]
    if representation == 'regular':
        number = {matrix.tobytes(): i for i, matrix in enumerate(matrices)}
        products = np.einsum('hab,gbc->hgac', matrices, matrices)
        places = [[number[gh.tobytes()] for gh in row] for row in products]
        return np.array(places), np.ones((n, n), dtype=int)
    signs = np.ones((n, 1), dtype=int)
    if representation == 'sign':
        signs = np.rint(np.linalg.det(matrices)).astype(int)[:, None]
    return np.zeros((n, 1), dtype=int), signs


def fibre_matrices(group, representation):
    """Return the matrices of the elements, float64, of shape (n, c, c)."""
    places, signs = signed_permutation(group, representation)
    n, size = places.shape
    matrices = torch.zeros(n, size, size, dtype=torch.float64, device='cpu')
    rows = torch.from_numpy(places)[:, None]
    return matrices.scatter(1, rows, torch.from_numpy(signs).double()[:, None])
