# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Actions that permute the points of a grid, and so are exact on it."""

from math import isclose
from operator import index

import numpy as np
import odl

from odl_equivariant.actions.action import (
    Action,
    component_space,
    describe_space,
)

__all__ = ('GridAction', 'maps_grid_to_itself')

IDENTITY = ((1, 0), (0, 1))
QUARTER_TURNS = (
    IDENTITY,
    ((0, -1), (1, 0)),
    ((-1, 0), (0, -1)),
    ((0, 1), (-1, 0)),
)
FLIPS = (((-1, 0), (0, 1)), ((1, 0), (0, -1)))
_MIRROR_LINES = {
    FLIPS[1]: 0,
    ((0, 1), (1, 0)): 45,
    FLIPS[0]: 90,
    ((0, -1), (-1, 0)): 135,
}


def maps_grid_to_itself(space, matrix):
    """Return whether a signed permutation about the centre fits the grid.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform 2D space.
    matrix : tuple of tuple of int
        Orthogonal 2 x 2 matrix with entries -1, 0 and 1.

    Returns
    -------
    fits : bool
        ``True`` if shape, cell sides and boundary cells are all mapped to
        themselves.
    """
    fractions = np.asarray(space.partition.boundary_cell_fractions)
    for axis, row in enumerate(matrix):
        source = 0 if row[0] else 1
        source_fractions = fractions[source][:: row[source]]
        if not (
            space.shape[axis] == space.shape[source]
            and isclose(
                space.cell_sides[axis], space.cell_sides[source], rel_tol=1e-6
            )
            and np.allclose(fractions[axis], source_fractions, rtol=1e-6)
        ):
            return False
    return True


def _multiply(matrix, other):
    return tuple(
        tuple(
            sum(a * b for a, b in zip(row, column, strict=True))
            for column in zip(*other, strict=True)
        )
        for row in matrix
    )


def _apply(matrix, vector):
    return tuple(
        sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix
    )


class GridAction(Action):
    r"""An isometry of the plane that permutes the points of a grid.

    It turns or mirrors the grid about the centre of the domain, and then
    shifts it periodically by whole cells. `Rotation`, `Reflection` and
    `Translation` are the usual ways to make one, and all their products
    are of this class.

    Notes
    -----
    With :math:`c` the centre of the domain, :math:`M` the matrix,
    :math:`s` the shift in cells and :math:`h` the cell sides,

    .. math::
        (g \cdot u)(x) = u\big(M^{-1} (x - c - h s) + c\big),

    which is the action of :math:`(t, R) = (c - M c + h s, M)`: turning
    about the centre instead of the origin is a conjugate of the same group,
    with the same invariant functionals on the domain, and it is the only
    one that keeps a domain like :math:`[0, 1]^2` in place. The components
    of a product space are moved one by one (:math:`\pi` is trivial).

    A permutation of equally weighted points is unitary: the adjoint is the
    inverse.

    Examples
    --------
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 2))
    >>> mirror = GridAction(space, [[0, 1], [1, 0]])
    >>> mirror(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    >>> print(mirror @ mirror)
    identity
    """

    def __init__(self, space, matrix, cells=(0, 0)):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 2D space, real or complex, or a product of equal ones.
        matrix : array-like of int, shape (2, 2)
            Signed permutation matrix, in the order (x, y) of the axes.
        cells : sequence of int, shape (2,), optional
            Periodic shift after the turn, in cells along each axis.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``cells`` are not integers.
        ValueError
            If ``matrix`` is not a signed permutation, or if it or the
            shift do not map the grid to itself.
        """
        component = component_space(space)
        array = np.asarray(matrix)
        is_permutation = (
            array.shape == (2, 2)
            and np.isin(array, (-1, 0, 1)).all()
            and (np.abs(array).sum(axis=0) == 1).all()
            and (np.abs(array).sum(axis=1) == 1).all()
        )
        if not is_permutation:
            raise ValueError(
                'expected a 2 x 2 matrix with one entry 1 or -1 in each row '
                f'and column, got {array.tolist()}'
            )
        matrix = tuple(tuple(int(entry) for entry in row) for row in array)
        if not maps_grid_to_itself(component, matrix):
            raise ValueError(
                f'the matrix {array.tolist()} does not map the grid of '
                f'{describe_space(space)} to itself: shape '
                f'{component.shape}, cell sides '
                f'{component.cell_sides.tolist()}, fractions of the boundary '
                'cells inside the domain '
                f'{component.partition.boundary_cell_fractions}; turning by '
                '90 degrees takes a square grid, mirroring a symmetric one'
            )
        if len(cells) != 2:
            raise ValueError(f'expected a shift of 2 whole cells, got {cells}')
        cells = tuple(
            index(count) % size
            for count, size in zip(cells, component.shape, strict=True)
        )
        fractions = component.partition.boundary_cell_fractions
        if any(cells) and not np.allclose(fractions, 1.0):
            raise ValueError(
                'a periodic shift needs whole cells at the boundary, got '
                f'the fractions {fractions} in {describe_space(space)}; make '
                'the space with `nodes_on_bdry=False`'
            )
        super().__init__(space)
        self.__matrix = matrix
        self.__cells = cells

    @property
    def matrix(self):
        """Matrix R of the action as an integer array of shape (2, 2)."""
        return np.array(self.__matrix)

    @property
    def cells(self):
        """Shift after the turn, in cells: ints from 0 to ``size - 1``."""
        return self.__cells

    @property
    def translation(self):
        """Vector t of the action, an array of shape (2,) in length units.

        It holds up to whole periods, and is not zero for a turn about a
        centre that is not the origin.
        """
        component = component_space(self.domain)
        centre = component.partition.mid_pt
        shift = np.array(self._signed_cells()) * component.cell_sides
        return centre - self.matrix @ centre + shift

    @property
    def is_isometry(self):
        """``True``: all points that change places have the same weight."""
        return True

    @property
    def is_exact(self):
        """``True``: grid points are mapped to grid points."""
        return True

    @property
    def inverse(self):
        """Inverse in the group, an exact action as well."""
        transpose = tuple(zip(*self.__matrix, strict=True))
        cells = tuple(-count for count in _apply(transpose, self.__cells))
        return GridAction(self.domain, transpose, cells)

    def _compose(self, other):
        if not isinstance(other, GridAction) or other.domain != self.domain:
            return NotImplemented
        moved = _apply(self.__matrix, other.__cells)
        return GridAction(
            self.domain,
            _multiply(self.__matrix, other.__matrix),
            tuple(a + b for a, b in zip(self.__cells, moved, strict=True)),
        )

    def _call(self, x):
        """Return the moved element, which never shares memory with ``x``."""
        return self._move(x)

    def _move(self, x):
        if isinstance(x.space, odl.ProductSpace):
            return x.space.element([self._move(part) for part in x])
        namespace = x.space.array_namespace
        data = x.data
        sources = tuple(0 if row[0] else 1 for row in self.__matrix)
        flipped = tuple(
            axis
            for axis, row in enumerate(self.__matrix)
            if row[sources[axis]] < 0
        )
        moved = namespace.permute_dims(data, sources)
        if flipped:
            moved = namespace.flip(moved, axis=flipped)
        if any(self.__cells):
            moved = namespace.roll(moved, self.__cells, axis=(0, 1))
        # ODL wants contiguous data, and some of the above are views of `x`
        result = namespace.empty(
            data.shape, dtype=data.dtype, device=data.device
        )
        result[...] = moved
        return x.space.element(result)

    def _signed_cells(self):
        shape = component_space(self.domain).shape
        return tuple(
            count - size if 2 * count > size else count
            for count, size in zip(self.__cells, shape, strict=True)
        )

    def __eq__(self, other):
        """Return whether both are the same element of the same group."""
        if not isinstance(other, GridAction):
            return NotImplemented
        return (
            self.__matrix == other.__matrix
            and self.__cells == other.__cells
            and self.domain == other.domain
        )

    def __hash__(self):
        """Return ``hash(self)``."""
        return hash((self.__matrix, self.__cells))

    def __str__(self):
        """Return what the action does, in words."""
        parts = []
        if self.__matrix in _MIRROR_LINES:
            line = _MIRROR_LINES[self.__matrix]
            parts.append(f'reflection in the line at {line} degrees')
        elif self.__matrix != IDENTITY:
            turns = QUARTER_TURNS.index(self.__matrix)
            parts.append(f'rotation by {90 * turns} degrees')
        if any(self.__cells):
            parts.append(f'translation by {self._signed_cells()} cells')
        return ', then '.join(parts) or 'identity'

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'GridAction({describe_space(self.domain)}, '
            f'{self.matrix.tolist()}, cells={self.cells})'
        )
