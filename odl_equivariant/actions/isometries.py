# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The rotations, reflections and translations that are exact on a grid."""

from math import degrees, isfinite, pi
from numbers import Integral, Real

import numpy as np

from odl_equivariant.actions.action import component_space, describe_space
from odl_equivariant.actions.grid import (
    FLIPS,
    IDENTITY,
    QUARTER_TURNS,
    GridAction,
    maps_grid_to_itself,
)

__all__ = ('Rotation', 'Reflection', 'Translation')

# Far below what moves a grid point by a cell, far above float32 rounding.
_ANGLE_TOLERANCE = 1e-6
_CELL_TOLERANCE = 1e-6


def _unavailable_angle(space, component, angle):
    names = ('0', 'pi / 2', 'pi', '3 * pi / 2')
    available = [
        name
        for name, matrix in zip(names, QUARTER_TURNS, strict=True)
        if maps_grid_to_itself(component, matrix)
    ]
    message = (
        f'a rotation by {angle} radians ({degrees(angle):.6g} degrees) is '
        f'not exact on the grid of {describe_space(space)}; available are '
        f'the angles {", ".join(available)} (plus whole turns)'
    )
    if len(available) < 4:
        message += (
            '; quarter turns take a square grid, got shape '
            f'{component.shape} and cell sides '
            f'{component.cell_sides.tolist()}'
        )
    if angle != 0 and angle % 90 == 0:
        message += f'; for {angle:g} degrees give `numpy.deg2rad({angle:g})`'
    return message


class Rotation(GridAction):
    r"""Counter-clockwise rotation about the centre of the domain.

    Notes
    -----
    With :math:`R_\theta` the rotation by the angle :math:`\theta` and
    :math:`c` the centre of the domain,

    .. math::
        (g \cdot u)(x) = u\big(R_\theta^{-1} (x - c) + c\big).

    For a domain that is not centred at the origin this is the
    roto-translation :math:`(c - R_\theta c, R_\theta)`, see `GridAction`.
    Axis 0 is x and axis 1 is y: on the data of a square grid a quarter turn
    is ``numpy.rot90(data, 1)``.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 2))
    >>> quarter = Rotation(space, np.pi / 2)
    >>> quarter(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    >>> print(quarter @ quarter)
    rotation by 180 degrees
    """

    def __init__(self, space, angle):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 2D space, real or complex, or a product of equal ones.
        angle : float
            Angle in radians: a multiple of pi on any grid, of pi / 2 on a
            square grid (equal numbers of cells and equal cell sides).

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``angle`` is not a real number.
        ValueError
            If the rotation is not exact on the grid.
        """
        component = component_space(space)
        if not isinstance(angle, Real):
            raise TypeError(
                f'expected an angle in radians, got {type(angle).__name__}'
            )
        angle = float(angle)
        turns = round(angle / (pi / 2)) if isfinite(angle) else 0
        is_exact = abs(angle - turns * pi / 2) <= _ANGLE_TOLERANCE
        matrix = QUARTER_TURNS[turns % 4]
        if not is_exact or not maps_grid_to_itself(component, matrix):
            raise ValueError(_unavailable_angle(space, component, angle))
        super().__init__(space, matrix)
        self.__turns = turns % 4

    @property
    def angle(self):
        """Angle in radians, from 0 to 3 pi / 2."""
        return self.__turns * pi / 2

    @property
    def inverse(self):
        """Rotation by the opposite angle."""
        return Rotation(self.domain, -self.angle)

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'Rotation({describe_space(self.domain)}, {self.angle!r})'


class Reflection(GridAction):
    r"""Reflection that changes the sign of one coordinate.

    Notes
    -----
    Coordinates are measured from the centre :math:`c` of the domain: with
    :math:`M = \mathrm{diag}(-1, 1)` for ``axis=0`` and
    :math:`M = \mathrm{diag}(1, -1)` for ``axis=1``,

    .. math::
        (g \cdot u)(x) = u\big(M (x - c) + c\big).

    On the data this is ``numpy.flip(data, axis)``. Reflections in the
    diagonals of a square are products with a `Rotation`.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 2))
    >>> mirror = Reflection(space, axis=0)
    >>> mirror(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    >>> print(mirror)
    reflection in the line at 90 degrees
    """

    def __init__(self, space, axis):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 2D space, real or complex, or a product of equal ones.
        axis : {0, 1}
            Axis whose coordinate changes its sign, 0 for x and 1 for y.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``axis`` is not an integer.
        ValueError
            If ``axis`` is neither 0 nor 1, or the grid is not symmetric.
        """
        component_space(space)
        if not isinstance(axis, Integral):
            raise TypeError(
                f'expected the axis 0 or 1, got {type(axis).__name__}'
            )
        if axis not in (0, 1):
            raise ValueError(
                f'expected the axis 0 (x -> -x) or 1 (y -> -y), got {axis}'
            )
        super().__init__(space, FLIPS[axis])
        self.__axis = int(axis)

    @property
    def axis(self):
        """Axis whose coordinate changes its sign."""
        return self.__axis

    @property
    def inverse(self):
        """The reflection itself."""
        return self

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'Reflection({describe_space(self.domain)}, {self.axis})'


class Translation(GridAction):
    r"""Periodic translation by whole cells.

    Notes
    -----
    What leaves the domain on one side comes back on the other,

    .. math::
        (g \cdot u)(x) = u(x - t),

    with :math:`u` continued periodically. On the data this is
    ``numpy.roll(data, t / cell_sides, axis=(0, 1))``.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 4))
    >>> moved = Translation(space, (0, 0.5))
    >>> moved(space.element([[1, 2, 3, 4]] * 2)).asarray()[0].tolist()
    [4.0, 1.0, 2.0, 3.0]
    >>> print(moved @ moved.inverse)
    identity
    """

    def __init__(self, space, shift):
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 2D space, real or complex, or a product of equal ones,
            with whole cells at the boundary (``nodes_on_bdry=False``).
        shift : sequence of float, shape (2,)
            Shift along x and y in the unit of the domain, whole multiples
            of the cell sides.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``shift`` is not a sequence of numbers.
        ValueError
            If ``shift`` has another length than 2, or is not finite or
            not made from whole cells, or the boundary cells are not whole.
        """
        component = component_space(space)
        try:
            shift = np.asarray(shift, dtype=float)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f'expected a shift of 2 real numbers, got {shift!r}'
            ) from error
        if shift.shape != (2,):
            raise ValueError(
                'expected a shift of 2 numbers, one for each axis, got the '
                f'shape {shift.shape}'
            )
        if not np.isfinite(shift).all():
            raise ValueError(f'expected a finite shift, got {shift.tolist()}')
        sides = component.cell_sides
        cells = shift / sides
        whole = np.rint(cells)
        allowed = _CELL_TOLERANCE * np.maximum(1, np.abs(whole))
        if (np.abs(cells - whole) > allowed).any():
            raise ValueError(
                f'expected a shift by whole cells, with sides '
                f'{sides.tolist()} in {describe_space(space)}, got '
                f'{shift.tolist()}; the nearest one is '
                f'{(whole * sides).tolist()}'
            )
        super().__init__(space, IDENTITY, [int(count) for count in whole])

    @property
    def shift(self):
        """Shift in the unit of the domain, at most half a period."""
        return self.translation

    @property
    def inverse(self):
        """Translation by the opposite shift."""
        return Translation(self.domain, -self.shift)

    def __repr__(self):
        """Return ``repr(self)``."""
        shift = self.shift.tolist()
        return f'Translation({describe_space(self.domain)}, {shift})'
