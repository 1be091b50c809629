# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Translations, periodic or with a value that comes in from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import one_of
from odl_equivariant._types import Interpolation, Representation, Space
from odl_equivariant.actions._checks import METHODS, checked_number
from odl_equivariant.actions._fourier import fourier_mover
from odl_equivariant.actions._interpolation import interpolating_mover
from odl_equivariant.actions._movers import TOLERANCE
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.actions.grid import check_whole_cells
from odl_equivariant.elements import describe_space

__all__ = ('Translation',)


class Translation(GeometricAction):
    r"""Translation, periodic or with a value that comes in from outside.

    Notes
    -----
    Without ``fill``, what leaves the domain on one side comes back on the
    other,

    .. math::
        (g \cdot u)(x) = u(x - t),

    with :math:`u` continued periodically. Shifts by whole cells are
    ``numpy.roll(data, t / cell_sides, axis=(0, 1))`` and exact. Others take
    a method: 'fourier' moves the trigonometric interpolant and is unitary,
    'linear' and 'cubic' interpolate between the points next to each other
    and lose high frequencies.

    With ``fill``, u is continued by that number. Such a translation forgets
    what leaves the domain, and is no isometry; for another number than 0 it
    is not linear.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (2, 4))
    >>> moved = Translation(space, (0, 0.5))
    >>> moved(space.element([[1, 2, 3, 4]] * 2)).asarray()[0].tolist()
    [4.0, 1.0, 2.0, 3.0]
    >>> print(moved @ moved.inverse)
    identity
    >>> half = Translation(space, (0, 0.25), method='linear', fill=0)
    >>> half(space.element([[1, 2, 3, 4]] * 2)).asarray()[0].tolist()
    [0.5, 1.5, 2.5, 3.5]
    """

    def __init__(
        self,
        space: Space,
        shift: ArrayLike | list[float],
        method: Interpolation | None = None,
        *,
        fill: complex | None = None,
        representation: Representation | None = None,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 1D, 2D or 3D space, real or complex, or a product of equal
            ones. Periodic shifts take whole cells at the boundary
            (``nodes_on_bdry=False``).
        shift : sequence of float, shape (d,)
            Shift along the axes in the unit of the domain. Without a method
            whole multiples of the cell sides.
        method : {'linear', 'cubic', 'fourier'}, optional
            How to move by parts of cells. Whole cells never use it.
        fill : float or complex, optional
            Value outside of the domain. Default: periodic.
        representation : optional
            Representation of the group that the translation is to be
            multiplied with; a translation does not turn values.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``shift`` is not a sequence of numbers.
        ValueError
            If ``shift`` has another length than d, is not finite, or is not
            made from whole cells and there is no method; if the boundary
            cells of a periodic shift are not whole; if nothing stays in the
            domain with ``fill``; or if the method is unknown or does not go
            with ``fill``.
        """
        component = component_space(space)
        one_of('method', method, METHODS, optional=True)
        shift = _checked_shift(shift, component.ndim)
        if fill is not None:
            fill = checked_number('fill', fill, component)
            _check_something_stays(component, shift)
            if method == 'fourier':
                raise ValueError(
                    "the method 'fourier' is periodic and takes no `fill`; "
                    "use 'linear' or 'cubic'"
                )
        else:
            check_whole_cells(component)
        sides = component.cell_sides
        cells = shift / sides
        whole = np.rint(cells)
        allowed = TOLERANCE * np.maximum(1, np.abs(whole))
        is_whole = not (np.abs(cells - whole) > allowed).any()
        if method is None and not is_whole:
            raise ValueError(
                f'expected a shift by whole cells, with sides '
                f'{sides.tolist()} in {describe_space(space)}, got '
                f'{shift.tolist()}; the nearest one is '
                f'{(whole * sides).tolist()}, and parts of cells take '
                "`method='linear'`, 'cubic' or 'fourier'" + _cells_hint(shift)
            )
        if is_whole:
            shift = whole * sides
        identity = np.eye(component.ndim)
        if method == 'fourier':
            mover = fourier_mover(component, identity, shift)
        else:
            mover = interpolating_mover(
                component, identity, shift, method or 'linear', fill
            )
        super().__init__(space, mover, representation)
        self.__arguments: dict[str, Any] = {
            'method': method,
            'fill': fill,
        }

    @property
    def shift(self) -> np.ndarray:
        """Shift in the unit of the domain, at most half a period if so."""
        return self.translation

    @property
    def inverse(self) -> Translation:
        """Translation by the opposite shift."""
        return Translation(
            self.domain,
            -self.shift,
            **self.__arguments,
            representation=self.representation,
        )

    def __repr__(self):
        """Return ``repr(self)``."""
        shift = self.shift.tolist()
        text = f'Translation({describe_space(self.domain)}, {shift}'
        for name, value in self.__arguments.items():
            if value is not None:
                text += f', {name}={value!r}'
        return f'{text}{self._representation_argument()})'


def _cells_hint(shift):
    """Return what to give if the shift is meant in cells."""
    if not (shift == np.rint(shift)).all():
        return ''
    numbers = [int(count) for count in shift]
    return f'; for {numbers} cells give `{numbers} * space.cell_sides`'


def _check_something_stays(space, shift):
    extent = np.asarray(space.partition.extent)
    if (np.abs(shift) >= extent * (1 - TOLERANCE)).any():
        raise ValueError(
            f'the shift {shift.tolist()} moves everything out of the domain '
            f'{describe_space(space)}, whose sides are {extent.tolist()}; '
            'shifts are in the unit of the domain' + _cells_hint(shift)
        )


def _checked_shift(shift, ndim):
    try:
        shift = np.asarray(shift, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f'expected a shift of {ndim} real numbers, got {shift!r}'
        ) from error
    if shift.shape != (ndim,):
        raise ValueError(
            f'expected a shift of {ndim} numbers, one for each axis, got the '
            f'shape {shift.shape}'
        )
    if not np.isfinite(shift).all():
        raise ValueError(f'expected a finite shift, got {shift.tolist()}')
    return shift
