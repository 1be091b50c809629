# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Finite groups of the space, as lists of orthogonal matrices."""

from __future__ import annotations

import functools
import re
from itertools import permutations, product
from math import cos, pi, sin

import numpy as np

__all__ = ('POLYHEDRAL', 'is_axial', 'space_group')

_SPELLINGS = {'O_h': 'Oh', 'T_h': 'Th', 'T_d': 'Td', 'I_h': 'Ih'}
POLYHEDRAL = ('T', 'Td', 'Th', 'O', 'Oh', 'I', 'Ih')

_AXIAL = re.compile(r'([CD])([1-9]\d*)(_?h)?', re.ASCII)


def is_axial(name):
    """Return whether a name is that of a group about an axis.

    Examples
    --------
    >>> [is_axial(name) for name in ('C4', 'D4h', 'O')]
    [True, True, False]
    """
    return _AXIAL.fullmatch(name) is not None


def space_group(name, axis=None):
    """Return the elements of a finite group of orthogonal maps of the space.

    Parameters
    ----------
    name : str
        One of `POLYHEDRAL`, or a group about an axis: ``'C<N>'``,
        ``'D<N>'``, ``'C<N>h'`` or ``'D<N>h'``.
    axis : {0, 1, 2}, optional
        The axis of such a group.

    Returns
    -------
    matrices : list of numpy.ndarray of float, shape (3, 3)
        The identity comes first, and rotations come before reflections.

    Raises
    ------
    ValueError
        If there is no such group.

    Examples
    --------
    >>> [len(space_group(name)) for name in POLYHEDRAL]
    [12, 24, 24, 24, 48, 60, 120]
    >>> len(space_group('D4h', axis=2))
    16
    """
    name = _SPELLINGS.get(name, name)
    if name in POLYHEDRAL:
        return [np.array(rows, dtype=float) for rows in _polyhedral(name)]
    match = _AXIAL.fullmatch(name)
    if match is None:
        raise ValueError(f'unknown group of the space {name!r}')
    return _about_axis(match[1], int(match[2]), match[3] is not None, axis)


def _about_axis(kind, order, is_mirrored, axis):
    plane = [(axis + 1) % 3, (axis + 2) % 3]
    matrices = []
    for k in range(order):
        c, s = _whole(cos(2 * pi * k / order)), _whole(sin(2 * pi * k / order))
        matrix = np.eye(3)
        matrix[np.ix_(plane, plane)] = [[c, -s], [s, c]]
        matrices.append(matrix)
    if kind == 'D':
        mirror = np.eye(3)
        mirror[plane[0], plane[0]] = -1
        matrices += [matrix @ mirror for matrix in matrices]
    if is_mirrored:
        along = np.eye(3)
        along[axis, axis] = -1
        matrices += [matrix @ along for matrix in matrices]
    return sorted(matrices, key=lambda matrix: np.linalg.det(matrix) < 0)


def _whole(number):
    """Return a number without what rounding adds to a whole one."""
    whole = float(round(number))
    return whole if abs(number - whole) < 1e-12 else number


@functools.cache
def _polyhedral(name):
    if name[0] == 'I':
        rotations = _icosahedral()
        is_kept = None
    else:
        rotations = [m for m in _signed_permutations() if _is_proper(m)]
        is_kept = _is_even
    if name in ('T', 'Th'):
        rotations = [m for m in rotations if is_kept(m)]
    matrices = rotations
    if name == 'Td':
        matrices = [m if is_kept(m) else -m for m in rotations]
    elif name[1:] == 'h':
        matrices = [*rotations, *(-m for m in rotations)]
    # the identity first, then by the angle of the rotation
    matrices = sorted(
        matrices,
        key=lambda m: (
            not _is_proper(m),
            -round(float(np.trace(m)) * np.linalg.det(m), 6),
            (-m).tolist(),
        ),
    )
    return tuple(tuple(map(tuple, (m + 0.0).tolist())) for m in matrices)


def _is_proper(matrix):
    return np.linalg.det(matrix) > 0


def _is_even(matrix):
    """Return whether a signed permutation permutes the axes evenly."""
    return np.linalg.det(np.abs(matrix)) > 0


def _signed_permutations():
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            yield matrix


def _icosahedral():
    """Return all rotations of the icosahedron with cyclic coordinates.

    Its vertices are (0, +-1, +-g), with the golden ratio g, and their cyclic
    permutations, as those of escnn's group.
    """
    golden = (1 + 5**0.5) / 2
    values = np.array([0, 0.5, 1, golden / 2, 1 / (2 * golden)])
    values = np.concatenate([values, -values[1:]])
    # a fifth of a turn about a vertex, and a third of one about a face
    vertex = np.array([0, 1, golden]) / np.hypot(1, golden)
    across = np.cross(np.eye(3), -vertex)
    turn = 2 * pi / 5
    fifth = np.eye(3) + sin(turn) * across + (1 - cos(turn)) * across @ across
    generators = fifth, np.eye(3)[[2, 0, 1]]
    found = [np.eye(3)]
    for matrix in found:
        for generator in generators:
            new = generator @ matrix
            # these are all entries there are: rounding does not pile up
            nearest = np.abs(new[..., None] - values).argmin(-1)
            if not any((values[nearest] == old).all() for old in found):
                found.append(values[nearest])
    return found
