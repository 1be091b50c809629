# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Which moves of images a forward operator is equivariant under."""

from __future__ import annotations

import functools
import math
from typing import Any

import odl
import torch

from odl_equivariant._checks import positive_number
from odl_equivariant.actions import (
    Action,
    InducedAction,
    Reflection,
    Rotation,
    Translation,
    induced_action,
)
from odl_equivariant.diagnostics._spaces import (
    check_action,
    check_operator,
    name,
)
from odl_equivariant.elements import describe_space, n_channels, tensor_dtype
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.layer import OperatorLayer

__all__ = ('Symmetries', 'commutation_error', 'induced', 'smooth_images')

TOLERANCE = 3e-3
_BAND = 0.15
_ORDERS = (2, 3, 4, 5, 6, 7, 8, 12, 16, 32)
_SHIFTS = (1, 2, 3, 4, 8)
_SHOWN = (4, 8, 12, 16, 32)


def smooth_images(space: odl.DiscretizedSpace, n: int = 2) -> torch.Tensor:
    """Return smooth random images that vanish near the boundary.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Their space.
    n : int, optional
        How many.

    Returns
    -------
    images : torch.Tensor
        Tensor of shape ``(n, C, *shape)``, the same for each call.

    Raises
    ------
    TypeError
        If the space is a product.
    """
    if isinstance(space, odl.ProductSpace):
        raise TypeError(
            'expected a space of functions on one grid, got the product '
            f'{describe_space(space)}'
        )
    # whatever the default device is
    on_cpu: Any = {'dtype': torch.float64, 'device': 'cpu'}
    generator = torch.Generator('cpu').manual_seed(0)
    shape = tuple(space.shape)
    x = torch.randn(
        (n, n_channels(space), *shape),
        generator=generator,
        **on_cpu,
    )
    squares = radius = torch.zeros((), **on_cpu)
    for axis, m in enumerate(shape):
        place = [-1 if i == axis else 1 for i in range(len(shape))]
        frequency = torch.fft.fftfreq(m, **on_cpu)
        squares = squares + frequency.square().reshape(place)
        at = (2 * torch.arange(m, **on_cpu) + 1) / m - 1
        radius = radius + at.square().reshape(place)
    axes = tuple(range(2, 2 + len(shape)))
    low = torch.exp(-squares / _BAND**2)
    x = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * low, dim=axes).real
    x = x * torch.sigmoid((0.7 - radius.sqrt()) * 20)
    return x.to(tensor_dtype(space))


def commutation_error(operator: odl.Operator, action: Action) -> float:
    r"""Return how far the normal operator is from commuting with an action.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A` with an adjoint.
    action : Action
        Linear action :math:`T` on its domain.

    Returns
    -------
    error : float
        :math:`\|A^* A T x - T A^* A x\| / \|A^* A x\|` for smooth random
        images :math:`x`, with the adjoint and the norms in the weighted inner
        products.

    Raises
    ------
    ValueError
        If the action acts on another space, or the operator is not linear.

    Notes
    -----
    If :math:`A T = S A` with a unitary :math:`S` on the data, then :math:`A^*
    A` commutes with a unitary :math:`T`; and so the null space of :math:`A`
    is mapped to itself. Conversely, if :math:`A^* A` commutes with it, the
    polar decomposition of :math:`A` gives such an :math:`S`.

    Examples
    --------
    >>> import numpy as np
    >>> from odl_equivariant.operators import Masking
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    >>> turn = Rotation(space, np.pi / 2)
    >>> commutation_error(odl.IdentityOperator(space), turn)
    0.0
    >>> half = Masking(space, np.arange(8)[:, None] < 4 + np.zeros(8))
    >>> commutation_error(half, turn) > 0.5
    True
    """
    check_operator(operator)
    if not operator.is_linear:
        raise ValueError(f'{name(operator)} is not linear')
    check_action(action, operator.domain, f'the domain of {name(operator)}')
    layer = OperatorLayer(operator)
    adjoint, moved = layer.adjoint, OperatorLayer(action)

    def squared(x):
        weights = inner_product_weights(operator.domain).to(x)
        return float((weights * x.square()).sum())

    gaps = sizes = 0.0
    with torch.no_grad():
        # actions that interpolate know one sample
        for x in smooth_images(operator.domain).split(1):
            plain = adjoint(layer(x))
            gaps += squared(adjoint(layer(moved(x))) - moved(plain))
            sizes += squared(plain)
    return math.sqrt(gaps / sizes) if sizes else 0.0


def induced(operator: odl.Operator, action: Action) -> InducedAction | None:
    """Return the action on data that one on images induces, if there is one.

    Parameters
    ----------
    operator : odl.Operator
        Forward operator.
    action : Action
        Action on its domain.

    Returns
    -------
    induced : InducedAction or None
        See `induced_action`; ``None`` if there is none, or it loses data.
    """
    try:
        found = induced_action(operator, action)
    except (TypeError, ValueError):
        return None
    return found if found.is_isometry else None


class Symmetries:
    r"""The moves of images that a linear operator is equivariant under.

    Acquisitions have them as ``acquisition.symmetries``.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A` with an adjoint.
    tolerance : float, optional
        Up to which error a measured symmetry counts.

    Raises
    ------
    TypeError
        If the operator is none, or its domain a product space.
    ValueError
        If it is not linear, or the tolerance not positive.

    Notes
    -----
    A move :math:`T` of images is a symmetry if :math:`A T = S A` with a
    unitary :math:`S` on the data. For ray transforms :math:`S` is found as a
    permutation of the rays, see `induced_action`. Otherwise it is measured on
    smooth images that :math:`A^* A` commutes with :math:`T`, see
    `commutation_error`. What is asked for once is kept.

    A symmetry is no use to learn about the null space: moved images have the
    same one. Without noise, and for white noise, it is what makes ordinary
    methods equivariant, :math:`\Phi(S y) = T \Phi(y)`.

    Examples
    --------
    >>> from odl_equivariant.data import SuperResolution
    >>> symmetries = SuperResolution((16, 16), factor=2).symmetries
    >>> print(symmetries)
    D4, shifts by 2 cells along axis 0 and by 2 cells along axis 1
    >>> 'C4' in symmetries, 'C8' in symmetries
    (True, False)
    """

    def __init__(
        self, operator: odl.Operator, tolerance: float = TOLERANCE
    ) -> None:
        check_operator(operator)
        if not operator.is_linear:
            raise ValueError(
                f'{name(operator)} is not linear: only linear operators have '
                'symmetries here'
            )
        if isinstance(operator.domain, odl.ProductSpace):
            raise TypeError(
                'expected an operator on functions on one grid, got the '
                f'product {describe_space(operator.domain)}'
            )
        self.operator = operator
        self.tolerance = positive_number('tolerance', tolerance)
        self._errors: list[tuple[Action, float]] = []

    def error(self, action: Action) -> float:
        """Return by how much a move fails to be a symmetry.

        Parameters
        ----------
        action : Action
            Linear action on the images.

        Returns
        -------
        error : float
            0 if it induces an action on the data, and the
            `commutation_error` otherwise.
        """
        for known, error in self._errors:
            if known is action or known == action:
                return error
        error = 0.0
        if induced(self.operator, action) is None:
            error = commutation_error(self.operator, action)
        self._errors.append((action, error))
        return error

    def __contains__(self, move: Action | str) -> bool:
        """Return whether an action, or all of a named group, is a symmetry.

        A name is that of a group of the plane, such as ``'C4'`` or ``'D8'``.
        """
        if not isinstance(move, str):
            return self.error(move) < self.tolerance
        kind, order = move[:1], move[1:]
        if kind not in ('C', 'D') or not order.isdecimal() or order[0] == '0':
            raise ValueError(
                f"expected an action, or a group 'CN' or 'DN', got {move!r}"
            )
        is_turned = int(order) == 1 or self._turns(int(order))
        return is_turned and (kind == 'C' or self._is_mirrored)

    def _rotation(self, order):
        """Return a rotation, or `None` where there is none."""
        for method in (None, 'fourier'):
            try:
                return Rotation(
                    self.operator.domain, 2 * math.pi / order, method=method
                )
            except (TypeError, ValueError):
                continue
        return None

    def _turns(self, order):
        rotation = self._rotation(order)
        return rotation is not None and rotation in self

    @functools.cached_property
    def _is_mirrored(self):
        try:
            action = Reflection(self.operator.domain, axis=0)
        except (TypeError, ValueError):
            return False
        return action in self

    @functools.cached_property
    def orders(self) -> tuple[int, ...]:
        """Orders of rotations that are symmetries, of those that are tried.

        These are 2 to 8, 12, 16 and 32, and for a ray transform its number
        of views and twice it.
        """
        orders = set(_ORDERS)
        geometry = getattr(self.operator, 'geometry', None)
        if geometry is not None:
            n_views = len(geometry.angles)
            orders |= {n_views, 2 * n_views} - {1}
        return tuple(n for n in sorted(orders) if self._turns(n))

    @functools.cached_property
    def group(self) -> str:
        """Name of the largest group of rotations and reflections found.

        ``'CN'`` or ``'DN'``, and ``'SO(2)'`` or ``'O(2)'`` if all rotations
        that are tried are symmetries. ``'C1'`` has the identity alone.
        For functions of three variables, ask for single actions.
        """
        if self.operator.domain.ndim > 2:
            raise ValueError(
                'groups are found for functions of one or two variables, got '
                f'{describe_space(self.operator.domain)}: ask whether an '
                'action is `in` the symmetries'
            )
        if set(_ORDERS) <= set(self.orders):
            return 'O(2)' if self._is_mirrored else 'SO(2)'
        order = math.lcm(*self.orders) if self.orders else 1
        return f'{"D" if self._is_mirrored else "C"}{order}'

    @functools.cached_property
    def shifts(self) -> tuple[int | None, ...]:
        """The least number of cells of a shift along each axis.

        Of 1, 2, 3, 4 and 8; ``None`` where none of them is a symmetry.
        Images vanish near the boundary, so that it does not count.
        """
        return tuple(
            next((n for n in _SHIFTS if self._shifts(axis, n)), None)
            for axis in range(len(self.operator.domain.shape))
        )

    def _shifts(self, axis, n):
        space = self.operator.domain
        if not isinstance(space, odl.DiscretizedSpace):
            return False
        if n >= space.shape[axis]:
            return False
        shift = [0.0] * space.ndim
        shift[axis] = n * float(space.cell_sides[axis])
        try:
            return Translation(space, shift) in self
        except (TypeError, ValueError):
            return False

    def missing(self) -> list[str]:
        """Return groups that are no symmetries, in words.

        Returns
        -------
        groups : list of str
            Rotations, and shifts, that show the null space of the operator.
        """
        found = []
        for n in _SHOWN:
            rotation = self._rotation(n)
            if rotation is not None and rotation not in self:
                found.append(f'`C{n}` (rotations by {360 / n:g} degrees)')
        space = self.operator.domain
        if not isinstance(space, odl.DiscretizedSpace):
            return found
        try:
            cells = [max(1, n // 8) for n in space.shape]
            shift = [
                k * float(h)
                for k, h in zip(cells, space.cell_sides, strict=True)
            ]
            if Translation(space, shift) not in self:
                found.append(
                    f'shifts, such as by {cells} cells (`Translation`)'
                )
        except (TypeError, ValueError):
            pass
        return found

    def __str__(self):
        """Return group and shifts."""
        text = 'volumes'
        if self.operator.domain.ndim <= 2:
            text = self.group
        if all(n == 1 for n in self.shifts):
            return f'{text}, all shifts'
        moved = [
            f'by {n} cell{"s" * (n > 1)} along axis {axis}'
            for axis, n in enumerate(self.shifts)
            if n is not None
        ]
        return f'{text}, shifts {" and ".join(moved)}' if moved else text

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'<symmetries of {name(self.operator)}: {self}>'
