# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Matrices by which turns act on the components of a product space."""

import numpy as np
import odl
from odl.core.space.weightings.weighting import ArrayWeighting

from odl_equivariant.actions._movers import TOLERANCE, describe_matrix
from odl_equivariant.elements import describe_space

__all__ = ('canonical', 'representation_matrix', 'component_weights')


def canonical(representation):
    """Return a representation under the name by which they are compared."""
    if isinstance(representation, str):
        names = {'trivial': None, 'vector': 'standard'}
        return names.get(representation, representation)
    return representation


def representation_matrix(representation, matrix, space):
    r"""Return the matrix :math:`\pi(R)` on the components of a space.

    Parameters
    ----------
    representation : {'trivial', 'standard'} or escnn ``Representation``
        The representation of a group that contains the turn. `None` is the
        trivial one, ``'vector'`` the standard one.
    matrix : array-like of float, shape (d, d)
        The turn R, orthogonal unless ``representation`` is `None`.
    space : `odl.DiscretizedSpace` or `odl.ProductSpace`
        Space on which the group acts.

    Returns
    -------
    turn : numpy.ndarray of float, shape (n, n), or `None`
        `None` for the trivial representation, n the number of components.

    Raises
    ------
    TypeError
        If ``representation`` is none of the three.
    ValueError
        If the space does not have as many components as the
        representation, or the turn is not in its group.

    Examples
    --------
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4)) ** 2
    >>> representation_matrix('standard', [[0, -1], [1, 0]], space).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    representation = canonical(representation)
    if representation is None:
        return None
    matrix = np.asarray(matrix, dtype=float)
    if isinstance(representation, str) and representation == 'standard':
        size, name = len(matrix), "the representation 'standard'"
        turn = matrix
    elif all(hasattr(representation, key) for key in ('group', 'size')):
        size = representation.size
        name = f'the representation {representation}'
        turn = None
    else:
        raise TypeError(
            "expected the representation 'trivial', 'standard' or an escnn "
            f'`Representation`, got {representation!r}{_hint(representation)}'
        )
    found = len(space) if isinstance(space, odl.ProductSpace) else 1
    is_product = isinstance(space, odl.ProductSpace)
    if found != size or not is_product:
        raise ValueError(
            f'{name} acts on a `ProductSpace` of {size} equal components, '
            f'got {describe_space(space)} with {found}; take `space ** '
            f'{size}` or a representation of size {found}'
        )
    if not np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-6):
        raise ValueError(
            f'expected a turn for {name}, got {describe_matrix(matrix)}, '
            'which is no isometry; use `representation=None`'
        )
    if turn is None:
        element = _element(representation.group, matrix)
        turn = np.asarray(representation(element), dtype=float)
    whole = np.rint(turn)
    # escnn computes permutation matrices through characters
    return np.where(np.abs(turn - whole) < 1e-12, whole, turn)


def _hint(value):
    """Return what to take of something else of escnn."""
    if hasattr(value, 'gspace'):
        return '. A `FieldType` has one as its attribute `representation`'
    if hasattr(value, 'fibergroup'):
        return (
            ". A group has many: take one, or 'standard' for vector fields"
            ', whatever the group'
        )
    return ''


def _element(group, matrix):
    """Return the element of an escnn group that has a given matrix."""
    words = describe_matrix(matrix) or 'identity'
    size = len(_matrix_of(group.identity))
    if size != len(matrix):
        raise ValueError(
            f'expected a representation of a group of {len(matrix)} x '
            f'{len(matrix)} matrices for the {words}, got one of '
            f'{group.name}; {_fitting(matrix)}'
        )
    for element in _candidates(group, matrix):
        if np.allclose(_matrix_of(element), matrix, rtol=0, atol=TOLERANCE):
            return element
    raise ValueError(
        f'the {words} is not in the group {group.name} of the '
        f'representation; {_fitting(matrix)}'
    )


def _mirror(size):
    """Return what the flip of escnn's orthogonal groups stands for."""
    return np.diag([1.0, -1.0]) if size == 2 else -np.eye(3)


def _matrix_of(element):
    """Return the matrix of an element of an escnn group."""
    # that of a product of the inversion and a group of rotations is a pair
    names = ('MAT', '[int | MAT]')
    known = element.group.PARAMETRIZATIONS
    name = next((n for n in names if n in known), 'MAT')
    value = element.to(name)
    if isinstance(value, tuple):
        flipped, turn = value
        return turn @ _mirror(len(turn)) if flipped else np.asarray(turn)
    return np.asarray(value)


def _candidates(group, matrix):
    if not group.continuous:
        return group.elements
    flipped = int(np.linalg.det(matrix) < 0)
    turn = matrix @ _mirror(len(matrix)) if flipped else matrix
    if isinstance(group.identity.to('MAT'), tuple):
        return [group.element((flipped, turn), 'MAT')]
    return [] if flipped else [group.element(turn, 'MAT')]


def _fitting(matrix):
    if len(matrix) == 3:
        return 'representations of SO(3), or O(3) with reflections, fit'
    angle = np.arctan2(matrix[1, 0], matrix[0, 0]) % (2 * np.pi)
    letter, continuous = 'C', 'SO(2)'
    if np.linalg.det(matrix) < 0:
        letter, continuous = 'D', 'O(2)'
    for order in range(1, 65):
        turns = angle * order / (2 * np.pi)
        if abs(turns - round(turns)) < TOLERANCE:
            return (
                f'representations of {letter}{order}, of {letter}N with N a '
                f'multiple of {order}, or of {continuous} fit'
            )
    return f'representations of {continuous} fit'


def component_weights(space):
    """Return the weight of each component of a product space.

    Parameters
    ----------
    space : `odl.ProductSpace`
        Product weighted by a constant or by one number per component.

    Returns
    -------
    weights : numpy.ndarray of float, shape (len(space),)
        The weights.
    """
    weighting = space.weighting
    if isinstance(weighting, ArrayWeighting):
        return np.array([float(weight) for weight in weighting.array])
    return np.full(len(space), float(weighting.const))
