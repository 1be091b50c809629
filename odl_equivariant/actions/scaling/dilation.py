# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Scaling of the domain by sampling, as a map of a space to itself."""

from __future__ import annotations

from typing import Literal

import numpy as np

from odl_equivariant._checks import one_of, real_number
from odl_equivariant._types import Space
from odl_equivariant.actions._checks import check_left, checked_number
from odl_equivariant.actions._interpolation import interpolating_mover
from odl_equivariant.actions.action import component_space
from odl_equivariant.actions.geometric import GeometricAction
from odl_equivariant.elements import describe_space

__all__ = ('Dilation',)


class Dilation(GeometricAction):
    r"""Scaling of the domain about its centre.

    Notes
    -----
    With :math:`c` the centre of the domain and :math:`a` the factor,

    .. math::
        (g \cdot u)(x) = u\big(a^{-1} (x - c) + c\big):

    images grow for :math:`a > 1`. It is no isometry, as it changes norms by
    :math:`a^{d/2}`. Images are not smoothed before they shrink, so a grid that
    does not resolve the smaller image causes aliasing; `Affine` smooths them.

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
            Uniform 1D, 2D or 3D space, real or complex, or a product of equal
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
            If the factor is not positive and finite, leaves less than a cell
            of the image, or the method is unknown.
        """
        component = component_space(space)
        factor = real_number('factor', factor)
        if factor <= 0:
            raise ValueError(
                f'`factor` must be a positive number, got {factor}; turn with '
                '`Rotation` and mirror with `Reflection`'
            )
        one_of('method', method, ('linear', 'cubic'))
        fill = checked_number('fill', fill, component)
        check_left(component, factor, 0.0, 'factor')
        self._scale(space, factor, method, fill)

    def _scale(self, space, factor, method, fill):
        component = component_space(space)
        mover = interpolating_mover(
            component,
            factor * np.eye(component.ndim),
            np.zeros(component.ndim),
            method,
            fill,
        )
        GeometricAction.__init__(self, space, mover)
        self.__factor = factor
        self.__arguments = {'method': method, 'fill': fill}

    @property
    def factor(self) -> float:
        """Number by which lengths are multiplied."""
        return self.__factor

    @property
    def inverse(self) -> Dilation:
        """Scaling by the inverse factor, up to the interpolation."""
        # which may leave less of an image than users may ask for
        inverse = Dilation.__new__(Dilation)
        inverse._scale(self.domain, 1 / self.factor, **self.__arguments)
        return inverse

    def __repr__(self):
        """Return ``repr(self)``."""
        method = self.__arguments['method']
        return (
            f'Dilation({describe_space(self.domain)}, {self.factor!r}, '
            f'{method!r})'
        )
