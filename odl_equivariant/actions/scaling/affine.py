# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Affine actions: any invertible matrix, such as shears and scalings."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import boolean, one_of
from odl_equivariant._types import Representation, Space
from odl_equivariant.actions._checks import check_left, checked_number
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction, action_of
from odl_equivariant.actions.scaling.averaging import (
    AveragingMover,
    averaging_mover,
)
from odl_equivariant.elements import describe_space

__all__ = ('Affine',)

# below it, the inverse has lost half of the digits
_SINGULAR = 1e-8


class Affine(GeometricAction):
    r"""Move by any invertible matrix, about the centre of the domain.

    Notes
    -----
    With :math:`c` the centre of the domain, :math:`M` the matrix and
    :math:`s` the shift,

    .. math::
        (g \cdot u)(x) = |\det M|^{-p}\, u\big(M^{-1} (x - c - s) + c\big),

    with :math:`p = 1/2` if ``unitary`` and 0 otherwise. In :math:`L^2` of the
    whole space the former is unitary, and the latter has :math:`\|g \cdot
    u\|^2 = |\det M|\, \|u\|^2`. On a grid both hold up to the interpolation
    and to what leaves the domain. The adjoint is exact, the inverse is not.

    Where images shrink, details that are finer than the grid would be
    folded to coarser ones. Each value is the mean over its cell, which
    removes them: with the factor 1 / 2, the mean of 2 x 2 old cells. Only
    cells that the moved image reaches are computed: a first use on 256 x 256
    cells takes less than a second, however small the image gets.

    The table shows errors relative to the norm for a Gaussian with a standard
    deviation of 0.1 on the square of side 2, on finer and finer grids: a shear
    by 0.5 and a scaling by 2 / 3, of the image and of the norm of the unitary
    version.

    ======== =============== ========== =============== ==========
    cells    shear, linear   its norm   scaling, linear its norm
    ======== =============== ========== =============== ==========
    32       5.7e-2          4.0e-2     7.9e-2          5.5e-2
    64       1.5e-2          1.0e-2     2.1e-2          1.5e-2
    128      3.8e-3          2.7e-3     5.4e-3          3.8e-3
    256      9.5e-4          6.7e-4     1.3e-3          9.5e-4
    ======== =============== ========== =============== ==========

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    >>> half = Affine(space, [[0.5, 0], [0, 0.5]])
    >>> half(space.element([[1, 2, 3, 4]] * 4)).asarray()[1].tolist()
    [0.0, 1.5, 3.5, 0.0]
    >>> print(Affine(space, [[1, 0.5], [0, 1]]))
    the matrix [[1.0, 0.5], [0.0, 1.0]]
    >>> line = odl.uniform_discr(-1, 1, 4)
    >>> wide = Affine(line, 2, unitary=True)
    >>> print(wide)
    scaling by 2
    """

    def __init__(
        self,
        space: Space,
        matrix: ArrayLike,
        shift: ArrayLike = 0.0,
        method: Literal['linear', 'cubic'] = 'linear',
        *,
        smooth: bool = True,
        unitary: bool = False,
        fill: complex | None = 0.0,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform space of functions of one to three variables, real or
            complex, or a product of equal ones.
        matrix : array-like of float, shape (d, d)
            Invertible matrix, in the order of the axes. A number is that
            times the identity.
        shift : array-like of float, shape (d,), optional
            Shift after it, in the unit of the domain. A number is the shift
            along each axis.
        method : {'linear', 'cubic'}, optional
            Kernel of the interpolation.
        smooth : bool, optional
            Whether each value is the mean over its cell.
        unitary : bool, optional
            Whether values are multiplied by ``abs(det(matrix)) ** -0.5``.
        fill : float, complex or None, optional
            Value outside of the domain; ``None`` continues images
            periodically.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or the
            matrix, the shift or ``fill`` are no numbers.
        ValueError
            If the matrix has another shape, is not finite or singular, if it
            leaves less than a cell of the image or moves it out of the
            domain, if it shrinks an image so far that the means over cells
            would take more than 2 GiB, if the method is unknown, or if a
            unitary action is to fill with something else than 0.
        """
        component = component_space(space)
        matrix = _checked_matrix(matrix, component)
        shift = _checked_shift(shift, component)
        one_of('method', method, ('linear', 'cubic'))
        smooth = boolean('smooth', smooth)
        unitary = boolean('unitary', unitary)
        if fill is not None:
            fill = checked_number('fill', fill, component)
            check_left(component, matrix, shift)
        if unitary and fill:
            raise ValueError(
                f'a unitary action is linear: expected `fill=0`, got {fill}'
            )
        mover = averaging_mover(
            component, matrix, shift, method, fill, smooth, unitary
        )
        if isinstance(mover, AveragingMover):
            mover.check_size()
        super().__init__(space, mover)

    def __repr__(self):
        """Return ``repr(self)``."""
        mover = self.mover
        text = (
            f'Affine({describe_space(self.domain)}, {mover.matrix.tolist()}, '
            f'{mover.shift.tolist()}'
        )
        if isinstance(mover, AveragingMover):
            text += f', {mover.method!r}, smooth={mover.smooth}'
            text += f', unitary={mover.unitary}, fill={mover.fill}'
        return f'{text})'


@action_of.register
def _affine_action(
    mover: AveragingMover, space: Space, representation: Representation | None
) -> Affine:
    # inverses and products may leave less of an image than users may ask for
    action = Affine.__new__(Affine)
    GeometricAction.__init__(action, space, mover, representation)
    return action


def _numbers(name, value):
    array = np.asarray(value)
    if array.dtype.kind not in 'fiu':
        raise TypeError(
            f'`{name}` must consist of real numbers, got dtype {array.dtype}'
        )
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise ValueError(f'`{name}` must be finite, got {array.tolist()}')
    return array


def _checked_matrix(matrix, space):
    matrix = _numbers('matrix', matrix)
    if matrix.ndim == 0:
        matrix = matrix * np.eye(space.ndim)
    if matrix.shape != (space.ndim, space.ndim):
        raise ValueError(
            f'`matrix` must have the shape {(space.ndim, space.ndim)} for '
            f'functions of {space.ndim} variables, got {matrix.shape}'
        )
    values = np.linalg.svd(matrix, compute_uv=False)
    if values[-1] <= _SINGULAR * values[0]:
        raise ValueError(
            f'`matrix` must be invertible, got {matrix.tolist()} with the '
            f'singular values {values.tolist()}'
        )
    return matrix


def _checked_shift(shift, space):
    shift = _numbers('shift', shift)
    if shift.ndim == 0:
        shift = np.full(space.ndim, float(shift))
    if shift.shape != (space.ndim,):
        raise ValueError(
            f'`shift` must have {space.ndim} numbers, got the shape '
            f'{shift.shape}'
        )
    return shift
