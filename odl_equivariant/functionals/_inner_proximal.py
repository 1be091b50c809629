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
from typing import NoReturn

import odl
import torch

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant._types import Operator, Space
from odl_equivariant._warnings import warn_user
from odl_equivariant.functionals._tensors import (
    doubled,
    power_of_size,
    to_element,
    to_tensor,
)

__all__ = ('ConvergenceWarning', 'InnerProximal', 'Variation')


class ConvergenceWarning(RuntimeWarning):
    """An inner solver has not reached its tolerance."""


class InnerProximal(odl.Operator):
    """Proximal of a functional that has an inner solver.

    Parameters
    ----------
    functional : odl.functionals.Functional
        Functional with ``tol``, ``maxiter`` and ``warm_start``, and a method
        ``_denoise(noisy, sigma, start)`` that returns what the solvers do.
    sigma : float
        Positive parameter.
    """

    def __init__(self, functional, sigma):
        self.functional, self.sigma = functional, sigma
        #: What the last call has reached: error bound and iterations.
        self.error_bound = self.n_iter = None
        super().__init__(functional.domain, functional.domain, linear=False)

    def _call(self, x):
        functional = self.functional
        tensor = to_tensor(x)
        if not torch.isfinite(tensor).all():
            raise ValueError(
                'the proximal of a total variation needs finite values'
            )
        noisy = doubled(tensor)
        # the functional is homogeneous: prox_{sigma J}(c f) is that of
        # sigma / c at f, times c
        scale = power_of_size(noisy)
        is_warm = functional.warm_start and scale == 1
        # by names of its own, as another thread may use the same operator
        u, state, bound, n_iter = functional._denoise(
            noisy / scale,
            self.sigma / scale,
            functional._state if is_warm else None,
        )
        u = scale * u
        self.error_bound, self.n_iter = bound, n_iter
        if is_warm:
            functional._state = state
        if not bound <= functional.tol:
            warn_user(
                f'the proximal of {functional} has an error of up to '
                f'{bound:.2g} after {n_iter} iterations, '
                f'above the tolerance {functional.tol:.2g}; raise `maxiter` '
                'or `tol`',
                ConvergenceWarning,
            )
        return to_element(u.to(tensor.dtype), self.range)


def _warn_of_former_name():
    warn_user(
        '`max_iter` is now called `maxiter`, as in ODL; the next release '
        'will no longer know the former name',
        DeprecationWarning,
    )


class Variation(odl.functionals.Functional):
    """Functional whose proximal is computed by an inner solver.

    Subclasses have ``operator`` and ``norm_functional``, and the methods
    ``_denoise``, see `InnerProximal`, and ``_value``, of a tensor in double
    precision.
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
