# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Proximals that are computed by inner iterations, to a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import odl
import torch

from odl_equivariant._checked_operator import CheckedOperator
from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import Operator, Space
from odl_equivariant._warnings import ConvergenceWarning, warn_user
from odl_equivariant.functionals._tensors import (
    doubled,
    power_of_size,
    to_element,
    to_tensor,
)

__all__ = ('ConvergenceWarning', 'Inner', 'InnerProximal', 'Variation')


class Inner(NamedTuple):
    """A proximal that an inner solver has computed, and its error."""

    #: The proximal, as an element.
    value: Any
    #: Guaranteed bound of the relative error.
    error_bound: float
    n_iter: int
    #: Relative size of what has to be added to the argument to make the
    #: result exact, where it is known.
    residual: float | None = None
    #: What a warning says, if the tolerance is not reached.
    shortfall: str | None = None


class InnerProximal(CheckedOperator):
    """Proximal of a functional that has an inner solver.

    Parameters
    ----------
    functional : odl.functionals.Functional
        Functional with a method ``_solve(x, sigma)`` that returns what the
        inner solver does, an `Inner`.
    sigma : float
        Positive parameter.
    """

    def __init__(self, functional, sigma):
        self.functional, self.sigma = functional, sigma
        #: What the last call has reached: error bound, residual where it is
        #: known, and iterations.
        self.error_bound = self.residual = self.n_iter = None
        super().__init__(functional.domain, functional.domain, linear=False)

    def _call(self, x):
        # by a name of its own, as another thread may use the same operator
        done = self.functional._solve(x, self.sigma)
        self.error_bound, self.n_iter = done.error_bound, done.n_iter
        self.residual = done.residual
        if done.shortfall is not None:
            warn_user(
                f'the proximal of {self.functional} has {done.shortfall}',
                ConvergenceWarning,
            )
        return done.value


def _warn_of_former_name():
    warn_user(
        '`max_iter` is now called `maxiter`, as in ODL; the next release '
        'will no longer know the former name',
        DeprecationWarning,
    )


class Variation(CheckedOperator, odl.functionals.Functional):
    """Functional whose proximal is computed by an inner solver.

    Subclasses have ``operator`` and ``norm_functional``, and the methods
    ``_denoise(noisy, sigma, start)``, which returns what the solvers do, and
    ``_value``, of a tensor in double precision.
    """

    has_value = True
    has_proximal = True

    def __init__(
        self,
        space: Space,
        tol: float,
        maxiter: int,
        warm_start: bool,
        max_iter: int | None = None,
    ) -> None:
        if max_iter is not None:
            _warn_of_former_name()
            maxiter = max_iter
        self.tol = positive_number('tol', tol)
        self.maxiter = whole_number('maxiter', maxiter, 1)
        self.warm_start = bool(warm_start)
        self._state = None
        super().__init__(space, linear=False)

    @property
    def max_iter(self) -> int:
        """Former name of ``maxiter``."""
        _warn_of_former_name()
        return self.maxiter

    def _solve(self, x, sigma):
        tensor = to_tensor(x)
        if not torch.isfinite(tensor).all():
            raise ValueError(
                'the proximal of a total variation needs finite values'
            )
        # the functional is homogeneous: prox_{sigma J}(c f) is that of
        # sigma / c at f, times c
        scale = power_of_size(tensor)
        is_warm = self.warm_start and scale == 1
        u, state, bound, n_iter = self._denoise(
            tensor / scale, sigma / scale, self._state if is_warm else None
        )
        if is_warm:
            self._state = state
        u = to_element((scale * u).to(tensor.dtype), self.domain)
        shortfall = None
        if not bound <= self.tol:
            shortfall = (
                f'an error of up to {bound:.2g} after {n_iter} iterations, '
                f'above the tolerance {self.tol:.2g}; raise `maxiter` or `tol`'
            )
        return Inner(u, bound, n_iter, shortfall=shortfall)

    def _call(self, x):
        tensor = doubled(to_tensor(x))
        if not torch.isfinite(tensor).all():
            return math.nan if torch.isnan(tensor).any() else math.inf
        scale = power_of_size(tensor)
        return scale * self._value(tensor / scale)

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator` on the
            domain. Raises ValueError for any other ``sigma``, or TypeError
            for what is no number.
        """
        return self._proximal

    def _proximal(self, sigma=1.0):
        sigma = positive_number('sigma', sigma)
        return InnerProximal(self, sigma)

    @property
    def gradient(self) -> NoReturn:
        """Not known: a total variation is not differentiable."""
        raise NotImplementedError(
            'a total variation is not differentiable; use a solver that takes '
            'its proximal, or its `operator` and `norm_functional`'
        )
