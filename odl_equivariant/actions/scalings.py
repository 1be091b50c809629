# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scalings of the domain, and of the values."""

from __future__ import annotations

from math import isfinite
from numbers import Complex, Real
from typing import Any, Literal

import numpy as np
import odl
from odl.core.operator.operator import OpNotImplementedError

from odl_equivariant._types import ElementLike, Space
from odl_equivariant.actions._checks import check_fill, check_method
from odl_equivariant.actions._interpolation import interpolating_mover
from odl_equivariant.actions.action import (
    Action,
    component_space,
    describe_space,
)
from odl_equivariant.actions.geometric import GeometricAction

__all__ = ('Dilation', 'Intensity')


class Dilation(GeometricAction):
    r"""Scaling of the domain about its centre.

    Notes
    -----
    With :math:`c` the centre of the domain and :math:`a` the factor,

    .. math::
        (g \cdot u)(x) = u\big(a^{-1} (x - c) + c\big):

    images grow for :math:`a > 1`. It is no isometry, as it changes norms by
    :math:`a^{d/2}`. Images are not smoothed before they shrink, so a grid that
    does not resolve the smaller image causes aliasing.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    >>> double = Dilation(space, 2)
    >>> double(space.element([[1, 2, 3, 4]] * 4)).asarray()[0].tolist()
    [1.75, 2.25, 2.75, 3.25]
    >>> print(double @ Dilation(space, 0.5))
    identity
    """

    def __init__(
        self,
        space: Space,
        factor: float,
        method: Literal['linear', 'cubic'] = 'linear',
        *,
        fill: complex = 0.0,
    ) -> None:
        """Initialize a new instance.

        Parameters
        ----------
        space : `odl.DiscretizedSpace` or `odl.ProductSpace`
            Uniform 2D or 3D space, real or complex, or a product of equal
            ones.
        factor : float
            Positive number by which lengths are multiplied.
        method : {'linear', 'cubic'}, optional
            Kernel of the interpolation.
        fill : float or complex, optional
            Value outside of the domain.

        Raises
        ------
        TypeError
            If ``space`` is not made from `odl.uniform_discr` spaces, or
            ``factor`` or ``fill`` is not a number.
        ValueError
            If the factor is not positive and finite, or the method unknown.
        """
        component = component_space(space)
        if not isinstance(factor, Real):
            raise TypeError(
                f'expected a real factor, got {type(factor).__name__}'
            )
        factor = float(factor)
        if not (isfinite(factor) and factor > 0):
            raise ValueError(
                f'expected a positive finite factor, got {factor}; turn with '
                '`Rotation` and mirror with `Reflection`'
            )
        check_method(method, ('linear', 'cubic'), optional=False)
        check_fill(fill, component)
        mover = interpolating_mover(
            component,
            factor * np.eye(component.ndim),
            np.zeros(component.ndim),
            method,
            fill,
        )
        super().__init__(space, mover)
        self.__factor = factor
        self.__arguments = {'method': method, 'fill': fill}

    @property
    def factor(self) -> float:
        """Number by which lengths are multiplied."""
        return self.__factor

    @property
    def inverse(self) -> Dilation:
        """Scaling by the inverse factor, up to the interpolation."""
        return Dilation(self.domain, 1 / self.factor, **self.__arguments)

    def __repr__(self):
        """Return ``repr(self)``."""
        method = self.__arguments['method']
        return (
            f'Dilation({describe_space(self.domain)}, {self.factor!r}, '
            f'{method!r})'
        )


class Intensity(Action):
    r"""Scaling and shifting of the values.

    Notes
    -----
    The group of the pairs :math:`(a, b)` with :math:`a \ne 0` acts by

    .. math::
        (g \cdot u)(x) = a\, u(x) + b, \qquad
        (a, b) (a', b') = (a a', b + a b').

    It is linear for :math:`b = 0`, with the adjoint :math:`\bar a`, and
    exact on every grid.

    Examples
    --------
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (2, 2))
    >>> windowed = Intensity(space, 2.0, 1.0)
    >>> windowed(space.element([[1, 2], [3, 4]])).asarray().tolist()
    [[3.0, 5.0], [7.0, 9.0]]
    >>> print(windowed @ windowed)
    u -> 4 u + 3
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
        shift : float or complex, optional
            Constant b, complex for complex spaces only.

        Raises
        ------
        TypeError
            If ``scale`` or ``shift`` is not a number.
        ValueError
            If the scale is 0, a number is not finite, or one is complex and
            the space real.
        """
        numbers = {'scale': scale, 'shift': shift}
        for name, value in numbers.items():
            if not isinstance(value, Complex):
                raise TypeError(
                    f'expected a number as {name}, got {type(value).__name__}'
                )
            if not np.isfinite(complex(value)):
                raise ValueError(f'expected a finite {name}, got {value}')
            is_real = complex(value).imag == 0
            if space.field != odl.ComplexNumbers() and not is_real:
                raise ValueError(
                    f'expected a real {name} on the real space '
                    f'{describe_space(space)}, got {value}'
                )
            numbers[name] = float(value.real) if is_real else complex(value)
        if numbers['scale'] == 0:
            raise ValueError(
                'expected a scale that is not 0: a group element has an '
                'inverse'
            )
        super().__init__(space, linear=numbers['shift'] == 0)
        self.__scale, self.__shift = numbers['scale'], numbers['shift']

    @property
    def scale(self) -> complex:
        """Factor a."""
        return self.__scale

    @property
    def shift(self) -> complex:
        """Constant b."""
        return self.__shift

    @property
    def is_isometry(self) -> bool:
        """``True`` if the scale has modulus 1 and there is no shift."""
        return abs(abs(self.scale) - 1) < 1e-15 and self.shift == 0

    @property
    def is_exact(self) -> bool:
        """``True``: values change where they are."""
        return True

    @property
    def inverse(self) -> Intensity:
        """The pair ``(1 / a, -b / a)``."""
        return Intensity(self.domain, 1 / self.scale, -self.shift / self.scale)

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
        if self.shift:
            result = result + self.shift * self.domain.one()
        return result

    def _compose(self, other):
        if not isinstance(other, Intensity) or other.domain != self.domain:
            return NotImplemented
        return Intensity(
            self.domain,
            self.scale * other.scale,
            self.shift + self.scale * other.shift,
        )

    def __eq__(self, other):
        """Return whether both are the same pair on the same space."""
        if not isinstance(other, Intensity):
            return NotImplemented
        return (
            np.isclose(self.scale, other.scale, rtol=1e-12, atol=0)
            and np.isclose(self.shift, other.shift, rtol=1e-12, atol=1e-12)
            and self.domain == other.domain
        )

    def __hash__(self):
        """Return a hash; pairs that differ by rounding share it."""
        return hash(Intensity)

    def __str__(self):
        """Return what the action does, in words."""
        return f'u -> {self.scale:.6g} u + {self.shift:.6g}'

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'Intensity({describe_space(self.domain)}, {self.scale!r}, '
            f'{self.shift!r})'
        )
