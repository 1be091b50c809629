# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Groups of the plane and their representations as objects of escnn."""

import itertools
import math

import numpy as np
import scipy.linalg

from odl_equivariant.nn.steerable.groups import INFINITE, parse_group
from odl_equivariant.nn.steerable.representations import (
    fibre_matrix,
    irreps_of,
    line_of,
)

__all__ = ('gspace', 'escnn_representation')

# Axes of an image in escnn's plane: x is downwards, y to the right.
_AXES = np.array([[0.0, -1.0], [1.0, 0.0]])

_QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
_MIRROR = np.diag([1.0, -1.0])
_CHANGES_OF_BASIS = {
    1: [np.eye(1)],
    2: [np.eye(2), _MIRROR, _QUARTER_TURN, _QUARTER_TURN @ _MIRROR],
}


def gspace(group_name, *representations):
    """Return escnn's description of a group that acts on the plane.

    Parameters
    ----------
    group_name : str
        Name of the group.
    *representations : str
        The representations that kernels are wanted between: of an infinite
        group, escnn must be told how many frequencies there are.
    """
    from odl_equivariant.nn.escnn.library import gspaces

    if group_name in INFINITE:
        frequencies = [k for name in representations for k in irreps_of(name)]
        # in a product of two representations, frequencies add
        largest = 2 * max(frequencies, default=0) + 1
        if group_name == 'SO2':
            return gspaces.rot2dOnR2(-1, maximum_frequency=largest)
        return gspaces.flipRot2dOnR2(-1, maximum_frequency=largest)
    kind, order = parse_group(group_name)
    if kind == 'C':
        return (
            gspaces.trivialOnR2() if order == 1 else gspaces.rot2dOnR2(order)
        )
    # All groups with reflections have that of the first axis of an image, as
    # in `odl_equivariant.actions`. escnn draws this axis downwards.
    if order == 1:
        return gspaces.flip2dOnR2(0.0)
    if order % 2:
        return gspaces.flipRot2dOnR2(order, axis=0.0)
    return gspaces.flipRot2dOnR2(order)


def escnn_representation(space, representation):
    """Return a representation as one of escnn.

    Parameters
    ----------
    space : escnn.gspaces.GSpace2D
        What `gspace` returned.
    representation : str
        ``'regular'``, of a finite group, one of `irreps_of`, restricted
        to the group, or one of `line_of`.

    Returns
    -------
    representation : escnn.group.Representation
        The one with the matrices of `fibre_matrix`.
    """
    from odl_equivariant.nn.escnn import library

    if representation == 'trivial':
        return space.trivial_repr
    if representation == 'regular':
        return space.regular_repr
    if line_of(representation) is not None:
        return _line(space, representation)
    frequencies = irreps_of(representation)
    parts = {k: _decomposed(space, k) for k in set(frequencies)}
    return library.group.directsum(
        [irrep for k in frequencies for irrep in parts[k][0]],
        change_of_basis=scipy.linalg.block_diag(
            *(parts[k][1] for k in frequencies)
        ),
        name=representation,
    )


def _decomposed(space, frequency):
    """Return escnn's irreducible parts for a frequency, and a basis.

    In a finite group two frequencies may coincide, and one frequency may split
    into two parts of dimension one. Bases then differ only in order and sign.
    There are so few of these that all are tried.
    """
    group = space.fibergroup
    name = f'irrep({frequency})' if frequency >= 0 else 'sign'
    if group.continuous:
        elements = list(group.testing_elements())
    else:
        elements = list(group.elements)
    expected = [
        fibre_matrix(name, *_in_our_axes(space.basespace_action(element)))
        for element in elements
    ]
    size = len(expected[0])
    irreps = _irreps(group, frequency)
    candidates = [(irrep,) for irrep in irreps if irrep.size == size]
    if size == 2:
        lines = [irrep for irrep in irreps if irrep.size == 1]
        candidates += itertools.product(lines, repeat=2)
    for parts in candidates:
        blocks = [
            scipy.linalg.block_diag(*(part(element) for part in parts))
            for element in elements
        ]
        for change in _CHANGES_OF_BASIS[size]:
            if all(
                np.allclose(change @ block @ change.T, matrix, atol=1e-9)
                for block, matrix in zip(blocks, expected, strict=True)
            ):
                return list(parts), change
    raise AssertionError(f'{name} has no parts in {group}')


def _line(space, representation):
    """Return escnn's irreducible representation with our numbers."""
    elements = list(space.fibergroup.elements)
    expected = [
        fibre_matrix(
            representation, *_in_our_axes(space.basespace_action(element))
        )
        for element in elements
    ]
    for irrep in space.fibergroup.irreps():
        if irrep.size == 1 and all(
            np.allclose(irrep(element), number, atol=1e-9)
            for element, number in zip(elements, expected, strict=True)
        ):
            return irrep
    raise AssertionError(f'{representation} is none of {space.fibergroup}')


def _in_our_axes(matrix):
    """Return the angle of a map of escnn's plane, and whether it flips."""
    matrix = _AXES @ np.asarray(matrix, dtype=float) @ _AXES.T
    flipped = bool(np.linalg.det(matrix) < 0)
    return math.atan2(matrix[1, 0], matrix[0, 0]), flipped


def _irreps(group, frequency):
    if not group.continuous:
        return group.irreps()
    frequency = max(frequency, 0)
    if group.name == 'SO(2)':
        return [group.irrep(frequency)]
    flips = (0, 1) if frequency == 0 else (1,)
    return [group.irrep(flip, frequency) for flip in flips]
