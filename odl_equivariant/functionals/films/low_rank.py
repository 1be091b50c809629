# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The nuclear norm of a film: few images whose weights change in time."""

from __future__ import annotations

from collections.abc import Callable

import odl
import torch
from odl.core.space.weightings.weighting import ConstWeighting

from odl_equivariant._checks import positive_number
from odl_equivariant._time import checked_time_axis
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import describe_space
from odl_equivariant.functionals._tensors import to_element, to_tensor

__all__ = ('CasoratiNuclearNorm', 'checked_film_space')


def checked_film_space(space: Space, time_axis: int) -> tuple[float, int]:
    """Return the weight of a space of films, and the axis of time.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        What was given.
    time_axis : int
        Axis of time.

    Returns
    -------
    weight : float
        Weight of a cell in the inner product.
    time_axis : int
        The axis, not negative.

    Raises
    ------
    TypeError
        If it is no space on a grid.
    ValueError
        If it has one axis only, or its cells have different weights.
    """
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'expected a space of films from `odl.uniform_discr`, got '
            f'{describe_space(space)}'
        )
    if space.ndim < 2:
        raise ValueError(
            'a film has an axis of time beside those of space, got '
            f'{describe_space(space)}'
        )
    if not (
        isinstance(space.weighting, ConstWeighting)
        and space.is_uniform
        and space.is_uniformly_weighted
    ):
        raise ValueError(
            'all cells of a film must have one weight, got '
            f'{describe_space(space)}: make the space by `odl.uniform_discr` '
            'with `nodes_on_bdry=False`'
        )
    axis = checked_time_axis(time_axis, space.ndim)
    return float(space.weighting.const), axis


class CasoratiNuclearNorm(odl.functionals.Functional):
    r"""Sum of the singular values of a film, as a map from time to space.

    Its proximal makes them smaller by a number, and takes away those that are
    smaller: a background, and few images whose weights change, remain.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Uniform space of films, real or complex.
    time_axis : int, optional
        Axis of time.

    Raises
    ------
    TypeError
        If ``space`` is no space on a grid.
    ValueError
        If it has one axis only, or its cells have different weights.

    Notes
    -----
    The Casorati matrix :math:`C` of a film has a column for each frame. With
    the weight :math:`w` of a cell of space-time, the singular values of the
    integral operator with the kernel :math:`u(x, t)`, from :math:`L^2` of
    time to :math:`L^2` of space, are :math:`s_i = \sqrt{w}\, \sigma_i(C)`, and

    .. math::
        J(u) = \sum_i s_i, \qquad
        \mathrm{prox}_{\tau J}(u) = \sum_i \max(s_i - \tau, 0)\,
        a_i(x)\, \overline{b_i(t)}

    with the singular functions :math:`a_i, b_i`. So value and proximal do not
    depend on the grid. They are invariant and equivariant under all isometries
    of space, under all of time, and under those of both, see
    `odl_equivariant.actions.space_time_actions` (Otazo, Candès and Sodickson,
    *Low-rank plus sparse matrix decomposition for accelerated dynamic MRI with
    separation of background and dynamic components*, Magnetic Resonance in
    Medicine 73 (2015), 1125-1136; Cai, Candès and Shen, *A singular value
    thresholding algorithm for matrix completion*, SIAM J. Optim. 20 (2010),
    1956-1982).

    Examples
    --------
    A film that only fades has one singular value, its norm:

    >>> space = odl.uniform_discr([0] * 3, [1] * 3, (4, 4, 5))
    >>> film = space.element(lambda x: (x[0] + x[1] ** 2) * (1 + x[2]))
    >>> J = CasoratiNuclearNorm(space)
    >>> abs(J(film) - film.norm()) < 1e-12
    True
    >>> abs(J.proximal(0.5)(film).norm() - (film.norm() - 0.5)) < 1e-12
    True
    """

    has_value = True
    has_proximal = True

    def __init__(self, space: Space, time_axis: int = -1) -> None:
        self._weight, self._axis = checked_film_space(space, time_axis)
        super().__init__(space, linear=False, grad_lipschitz=float('nan'))

    @property
    def time_axis(self) -> int:
        """Axis of time, not negative."""
        return self._axis

    def _matrix(self, x):
        """Return the Casorati matrix in double precision."""
        tensor = to_tensor(x)[0, 0]
        dtype = torch.complex128 if tensor.is_complex() else torch.double
        return tensor.movedim(self._axis, -1).flatten(0, -2).to(dtype)

    def _call(self, x):
        with torch.no_grad():
            values = torch.linalg.svdvals(self._matrix(x))
        return float(values.sum()) * self._weight**0.5

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator`.
        """
        return lambda sigma: _Shrinking(self, sigma)

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}({describe_space(self.domain)}, '
            f'time_axis={self._axis})'
        )


class _Shrinking(odl.Operator):
    """Proximal of a `CasoratiNuclearNorm`: singular values, made smaller."""

    def __init__(self, functional, sigma):
        self._functional = functional
        self.sigma = positive_number('the parameter of a proximal', sigma)
        super().__init__(functional.domain, functional.domain, linear=False)

    def _call(self, x):
        functional = self._functional
        threshold = self.sigma / functional._weight**0.5
        with torch.no_grad():
            tensor = to_tensor(x)
            matrix = functional._matrix(x)
            left, values, right = torch.linalg.svd(matrix, full_matrices=False)
            values = (values - threshold).clamp_min(0)
            matrix = (left * values) @ right
            shape = tensor[0, 0].movedim(functional._axis, -1).shape
            film = matrix.reshape(shape).movedim(-1, functional._axis)
            film = film.to(tensor.dtype)[None, None].contiguous()
        return to_element(film, self.range)
