# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Factors and shifts of the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import odl
from odl.core.operator.operator import OpNotImplementedError

from odl_equivariant._types import ElementLike, Space
from odl_equivariant.actions._checks import checked_number
from odl_equivariant.actions.action import Action
from odl_equivariant.elements import describe_space

__all__ = ('Intensity',)


class Intensity(Action):
    r"""Scaling and shifting of the values.

    Notes
    -----
    The group of the pairs :math:`(a, b)` with :math:`a \ne 0` acts by

    .. math::
        (g \cdot u)(x) = a\, u(x) + b, \qquad
        (a, b) (a', b') = (a a', b + a b').

    On a product space, :math:`b` may have one value for each component. The
    action is linear for :math:`b = 0`, with the adjoint :math:`\bar a`, and
    exact on every grid. It keeps distances for :math:`|a| = 1`, whatever the
    shift.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (2, 2))
    >>> windowed = Intensity(space, 2.0, 1.0)
    >>> windowed(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[3.0, 5.0], [7.0, 9.0]]
    >>> print(windowed @ windowed)
    u -> 4 u + 3
    >>> print(Intensity(space ** 2, 2.0, [1.0, 0.0]))
    u -> 2 u + (1, 0)
    """

    def __init__(
        self, space: Space, scale: complex = 1.0, shift: complex = 0.0
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Any space of functions, or a product of them.
        scale : float or complex, optional
            Factor a, not 0; complex for complex spaces only.
        shift : float, complex or sequence of them, optional
            Constant b, complex for complex spaces only. On a product space, a
            sequence has one constant for each component, which is a sequence
            again where the component is a product.

        Raises
        ------
        TypeError
            If ``scale`` or ``shift`` is not a number, or ``shift`` is a
            sequence and the space no product.
        ValueError
            If the scale is 0, a number is not finite, one is complex and
            the space real, or ``shift`` has another number of constants than
            the space has components.
        """
        scale = checked_number('scale', scale, space)
        if scale == 0:
            raise ValueError(
                'expected a scale that is not 0: a group element has an '
                'inverse'
            )
        shift = _checked_shift(shift, space)
        super().__init__(space, linear=shift == 0)
        self.__scale, self.__shift = scale, shift

    @property
    def scale(self) -> complex:
        """Factor a."""
        return self.__scale

    @property
    def shift(self) -> complex:
        """Constant b, or a tuple of one for each component."""
        return self.__shift

    @property
    def is_isometry(self) -> bool:
        """``True`` if the scale has modulus 1: shifts keep all distances."""
        return abs(abs(self.scale) - 1) < 1e-15

    @property
    def is_exact(self) -> bool:
        """``True``: values change where they are."""
        return True

    @property
    def inverse(self) -> Intensity:
        """The pair ``(1 / a, -b / a)``."""
        shift = _combined(lambda b: -b / self.scale, self.shift)
        return Intensity(self.domain, 1 / self.scale, shift)

    @property
    def adjoint(self) -> Intensity:
        """Scaling by the conjugate factor, if there is no shift."""
        if not self.is_linear:
            raise OpNotImplementedError(
                f'{self} is not linear and has no adjoint; take that of '
                '`derivative(x)`'
            )
        return Intensity(self.domain, np.conj(self.scale))

    def derivative(self, x: ElementLike) -> Intensity:
        """Return the scaling without the shift.

        Parameters
        ----------
        x : ``domain`` element-like
            Any point.

        Returns
        -------
        derivative : `Intensity`
            The linear part.
        """
        return Intensity(self.domain, self.scale)

    def norm(self, estimate: bool = False, **kwargs: Any) -> float:
        """Return the operator norm ``|a|`` of the linear part.

        Parameters
        ----------
        estimate : bool, optional
            Ignored: the norm is known.
        **kwargs :
            Ignored as well.

        Returns
        -------
        norm : float
            Operator norm in the space's own norm.
        """
        return float(abs(self.scale))

    def _call(self, x):
        result = self.scale * x
        if not self.is_linear:
            result = result + _constant(self.domain, self.shift)
        return result

    def _compose(self, other):
        if not isinstance(other, Intensity) or other.domain != self.domain:
            return NotImplemented
        return Intensity(
            self.domain,
            self.scale * other.scale,
            _combined(
                lambda b, c: b + self.scale * c, self.shift, other.shift
            ),
        )

    def __eq__(self, other):
        """Return whether both are the same pair on the same space."""
        if not isinstance(other, Intensity):
            return NotImplemented
        return (
            self.domain == other.domain
            and bool(np.isclose(self.scale, other.scale, rtol=1e-12, atol=0))
            and _are_close(self.shift, other.shift)
        )

    def __hash__(self):
        """Return a hash; pairs that differ by rounding share it."""
        return hash(Intensity)

    def __str__(self):
        """Return what the action does, in words."""
        return f'u -> {self.scale:.6g} u + {_written(self.shift)}'

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'Intensity({describe_space(self.domain)}, {self.scale!r}, '
            f'{self.shift!r})'
        )


def _checked_shift(shift, space):
    """Return a number or a tuple, a number if all components are equal."""
    if isinstance(shift, str) or not isinstance(shift, (Sequence, np.ndarray)):
        return checked_number('shift', shift, space)
    if not isinstance(space, odl.ProductSpace):
        raise TypeError(
            'expected a number as shift, as the space is no product, got '
            f'{type(shift).__name__} with {describe_space(space)}'
        )
    if len(shift) != len(space):
        raise ValueError(
            f'expected a shift for each of the {len(space)} components of '
            f'{describe_space(space)}, got {len(shift)}'
        )
    shifts = tuple(map(_checked_shift, shift, space))
    if len(set(shifts)) == 1 and not isinstance(shifts[0], tuple):
        return shifts[0]
    return shifts


def _combined(function, *shifts):
    """Apply a function to each constant of one or several shifts."""
    lengths = [len(shift) for shift in shifts if isinstance(shift, tuple)]
    if not lengths:
        return function(*shifts)
    parts = [
        shift if isinstance(shift, tuple) else (shift,) * lengths[0]
        for shift in shifts
    ]
    return tuple(
        _combined(function, *part) for part in zip(*parts, strict=True)
    )


def _are_close(shift, other):
    close = _combined(
        lambda b, c: bool(np.isclose(b, c, rtol=1e-12, atol=1e-12)),
        shift,
        other,
    )
    return all(_flat(close))


def _flat(shift):
    if not isinstance(shift, tuple):
        return [shift]
    return [number for part in shift for number in _flat(part)]


def _constant(space, shift):
    """Return the function of a space whose values are a shift."""
    if not isinstance(shift, tuple):
        return shift * space.one()
    return space.element(list(map(_constant, space, shift)))


def _written(shift):
    if not isinstance(shift, tuple):
        return f'{shift:.6g}'
    return f'({", ".join(map(_written, shift))})'
