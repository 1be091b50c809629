# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Actions that permute the points of a grid, and so are exact on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose
from operator import index

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._types import Representation, Space
from odl_equivariant.actions._movers import TOLERANCE, Mover
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction, action_of
from odl_equivariant.elements import describe_space

__all__ = ('GridAction', 'GridMover', 'maps_grid_to_itself')

QUARTER_TURNS = (
    ((1, 0), (0, 1)),
    ((0, -1), (1, 0)),
    ((-1, 0), (0, -1)),
    ((0, 1), (-1, 0)),
)


def maps_grid_to_itself(space, matrix):
    """Return whether a signed permutation about the centre fits the grid.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform space of functions of d variables.
    matrix : array-like of int, shape (d, d)
        Orthogonal matrix with entries -1, 0 and 1.

    Returns
    -------
    fits : bool
        ``True`` if shape, cell sides and boundary cells are all mapped to
        themselves.
    """
    fractions = np.asarray(space.partition.boundary_cell_fractions)
    for axis, row in enumerate(np.asarray(matrix)):
        source = int(np.flatnonzero(row)[0])
        source_fractions = fractions[source][:: int(row[source])]
        if not (
            space.shape[axis] == space.shape[source]
            and isclose(
                space.cell_sides[axis], space.cell_sides[source], rel_tol=1e-6
            )
            and np.allclose(fractions[axis], source_fractions, rtol=1e-6)
        ):
            return False
    return True


def has_whole_cells(space):
    """Return whether no cell of a space is cut by its boundary.

    With nodes on the boundary, the outer cells are half cells: shifts by
    cells then do not map the grid to itself.
    """
    return np.allclose(space.partition.boundary_cell_fractions, 1.0)


class GridMover(Mover):
    """A signed permutation of the axes and a periodic shift by cells.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform space of functions of d variables.
    matrix : array-like of int, shape (d, d)
        Signed permutation that maps the grid to itself.
    cells : sequence of int, shape (d,)
        Shift after the permutation.
    """

    is_isometry = True
    is_exact = True

    def __init__(self, space, matrix, cells):
        self._rows = tuple(
            tuple(int(entry) for entry in row) for row in np.rint(matrix)
        )
        self.cells = tuple(
            int(count) % size
            for count, size in zip(cells, space.shape, strict=True)
        )
        signed = [
            count - size if 2 * count > size else count
            for count, size in zip(self.cells, space.shape, strict=True)
        ]
        super().__init__(space, self._rows, signed * space.cell_sides)

    def move(self, data):
        """Return the moved array, which shares no memory."""
        namespace = self.space.array_namespace
        sources = [row.index(sum(row)) for row in self._rows]
        flipped = tuple(
            axis for axis, row in enumerate(self._rows) if sum(row) < 0
        )
        moved = namespace.permute_dims(data, tuple(sources))
        if flipped:
            moved = namespace.flip(moved, axis=flipped)
        if any(self.cells):
            axes = tuple(range(len(self.cells)))
            moved = namespace.roll(moved, self.cells, axis=axes)
        # ODL wants contiguous data, and some of the above are views of `data`
        result = namespace.empty(
            data.shape, dtype=data.dtype, device=data.device
        )
        result[...] = moved
        return result

    def inverse(self):
        """Return the mover of the inverse element."""
        matrix = np.array(self._rows).T
        return GridMover(self.space, matrix, -(matrix @ self.cells))

    def move_back(self, data):
        """Return the array moved by the inverse, which is the adjoint."""
        return self.inverse().move(data)

    def multiply(self, other):
        """Return the mover of the product, if that is on the grid too."""
        if not isinstance(other, GridMover):
            lifted = other.lift(self)
            return lifted.multiply(other) if lifted else NotImplemented
        matrix = np.array(self._rows)
        return GridMover(
            self.space,
            matrix @ other._rows,
            np.array(self.cells) + matrix @ other.cells,
        )

    def __eq__(self, other):
        """Return whether both are the same permutation."""
        if not isinstance(other, GridMover):
            return NotImplemented
        return (
            self._rows == other._rows
            and self.cells == other.cells
            and self.space == other.space
        )

    def __hash__(self):
        """Return ``hash(self)``."""
        return hash((self._rows, self.cells))


def grid_mover(space, matrix, shift):
    """Return the mover that permutes the grid, or `None`.

    Parameters
    ----------
    space : `odl.DiscretizedSpace`
        Uniform space of functions of d variables.
    matrix : array-like of float, shape (d, d)
        Any matrix.
    shift : array-like of float, shape (d,)
        Shift after it, in the unit of the domain.

    Returns
    -------
    mover : `GridMover` or `None`
        `None` if grid points are not mapped to grid points.
    """
    whole = np.rint(matrix)
    cells = np.asarray(shift) / space.cell_sides
    counts = np.rint(cells)
    allowed = TOLERANCE * np.maximum(1, np.abs(counts))
    if (
        np.abs(matrix - whole).max() > TOLERANCE
        or not _is_signed_permutation(whole)
        or not maps_grid_to_itself(space, whole)
        or (np.abs(cells - counts) > allowed).any()
        or (counts.any() and not has_whole_cells(space))
    ):
        return None
    return GridMover(space, whole, [int(count) for count in counts])


def _is_signed_permutation(matrix):
    return bool(
        np.isin(matrix, (-1, 0, 1)).all()
        and (np.abs(matrix).sum(axis=0) == 1).all()
        and (np.abs(matrix).sum(axis=1) == 1).all()
    )


class GridAction(GeometricAction):
    r"""An isometry of the plane or the space that permutes a grid.

    It turns or mirrors the grid about the centre of the domain, and then
    shifts it periodically by whole cells. `Rotation`, `Reflection` and
    `Translation` are the usual ways to make one, and all products of those
    that are exact are of this class.

    Notes
    -----
    With :math:`c` the centre of the domain, :math:`M` the matrix,
    :math:`s` the shift in cells and :math:`h` the cell sides,

    .. math::
        (g \cdot u)(x) = u\big(M^{-1} (x - c - h s) + c\big),

    which is the action of :math:`(t, R) = (c - M c + h s, M)`: turning
    about the centre instead of the origin is a conjugate of the same group,
    with the same invariant functionals on the domain, and it is the only
    one that keeps a domain like :math:`[0, 1]^2` in place.

    A permutation of equally weighted points is unitary: the adjoint is the
    inverse.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 2))
    >>> mirror = GridAction(space, [[0, 1], [1, 0]])
    >>> mirror(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    >>> print(mirror @ mirror)
    identity
    """

    def __init__(
        self,
        space: Space,
        matrix: ArrayLike,
        cells: Sequence[int] | np.ndarray | None = None,
        representation: Representation | None = None,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 1D, 2D or 3D space, real or complex, or a product of equal
            ones.
        matrix : array-like of int, shape (d, d)
            Signed permutation matrix, in the order of the axes.
        cells : sequence of int, shape (d,), optional
            Periodic shift after the turn, in cells along each axis.
            Default: none.
        representation : optional
            How the turn acts on the components, see `GeometricAction`.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``cells`` are not integers.
        ValueError
            If ``matrix`` is not a signed permutation, if it or the shift
            do not map the grid to itself, or if the representation does
            not fit.
        """
        component = component_space(space)
        ndim = component.ndim
        array = np.asarray(matrix)
        if array.shape != (ndim, ndim) or not _is_signed_permutation(array):
            raise ValueError(
                f'expected a {ndim} x {ndim} matrix with one entry 1 or -1 '
                f'in each row and column, got {array.tolist()}'
            )
        check_grid_is_kept(component, array)
        if cells is None:
            cells = (0,) * ndim
        if len(cells) != ndim:
            raise ValueError(
                f'expected a shift of {ndim} whole cells, got {cells}'
            )
        mover = GridMover(component, array, [index(c) for c in cells])
        if any(mover.cells):
            check_whole_cells(component)
        super().__init__(space, mover, representation)

    @property
    def cells(self) -> tuple[int, ...]:
        """Shift after the turn, in cells: ints from 0 to ``size - 1``."""
        return self.mover.cells  # type: ignore[attr-defined]

    def __repr__(self):
        """Return ``repr(self)``."""
        matrix = self.matrix.astype(int).tolist()
        return (
            f'GridAction({describe_space(self.domain)}, {matrix}, '
            f'cells={self.cells}{self._representation_argument()})'
        )


@action_of.register
def _grid_action(
    mover: GridMover, space: Space, representation: Representation | None
) -> GridAction:
    matrix = np.rint(mover.matrix).astype(int)
    return GridAction(space, matrix, mover.cells, representation)


def check_grid_is_kept(space, matrix):
    """Raise a `ValueError` if a signed permutation does not fit a grid."""
    if not maps_grid_to_itself(space, matrix):
        raise ValueError(
            f'the matrix {np.asarray(matrix).tolist()} does not map the grid '
            f'of {describe_space(space)} to itself: shape {space.shape}, '
            f'cell sides {space.cell_sides.tolist()}, fractions of the '
            'boundary cells inside the domain '
            f'{space.partition.boundary_cell_fractions}; turning by 90 '
            'degrees takes a square grid, mirroring a symmetric one'
        )


def check_whole_cells(space):
    """Raise a `ValueError` if the boundary cuts cells of the grid."""
    if not has_whole_cells(space):
        raise ValueError(
            'a periodic shift needs whole cells at the boundary, got the '
            f'fractions {space.partition.boundary_cell_fractions} in '
            f'{describe_space(space)}; make the space with '
            '`nodes_on_bdry=False`'
        )
