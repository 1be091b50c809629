# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Denoisers that minimise an energy."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import positive_number, whole_number
from odl_equivariant.nn.blocks.inputs import checked_sigma
from odl_equivariant.nn.energies import _equilibrium
from odl_equivariant.nn.energies.base import Energy

__all__ = ('EnergyDenoiser',)


class EnergyDenoiser(nn.Module):
    gradient = False
    memory = 0
    noise_level = True

    def __init__(
        self,
        energy: Energy,
        tolerance: float = 1e-3,
        maxiter: int = 500,
        training_tolerance: float = 2e-2,
        training_maxiter: int = 50,
    ) -> None:
        super().__init__()
        self.energy = energy
        self.tolerance = positive_number('tolerance', tolerance)
        self.maxiter = whole_number('maxiter', maxiter, 1)
        self.training_tolerance = positive_number(
            'training_tolerance', training_tolerance
        )
        self.training_maxiter = whole_number(
            'training_maxiter', training_maxiter, 1
        )

    @property
    def in_channels(self) -> int:
        return self.energy.in_channels

    @property
    def value_range(self):
        return self.energy.value_range

    @value_range.setter
    def value_range(self, value):
        self.energy.value_range = value

    @property
    def architecture(self) -> dict[str, Any]:
        """Name and arguments of the class, from which it can be rebuilt."""
        return {
            'class': type(self).__name__,
            'arguments': {
                'tolerance': self.tolerance,
                'maxiter': self.maxiter,
                'training_tolerance': self.training_tolerance,
                'training_maxiter': self.training_maxiter,
            },
            'energy': self.energy.architecture,
        }

    def check_space(self, space):
        check = getattr(self.energy, 'check_space', None)
        if check is not None:
            check(space)

    def forward(self, x, sigma=None):
        levels = checked_sigma(sigma, x)
        flat = levels.flatten()
        energy = self.energy
        tolerance, maxiter = self.tolerance, self.maxiter
        if self.training:
            tolerance = self.training_tolerance
            maxiter = self.training_maxiter
        with torch.no_grad():
            start = x.detach()
            bounds = {s: energy.gradient_lipschitz(s) for s in flat.tolist()}
            strong = all(energy.weak_convexity(s) == 0 for s in bounds)
            lipschitz = levels.new_tensor(list(map(bounds.get, flat.tolist())))
            cells = x[0].numel()
            u, residual, self.n_iterations = _equilibrium.minimiser(
                start,
                functools.partial(energy.gradient, sigma=flat),
                lipschitz.view(levels.shape).expand(len(x), 1, 1, 1),
                tolerance * flat * cells**0.5,
                maxiter,
                strong,
            )
            self.residual = residual / (flat * cells**0.5)
        if not torch.is_grad_enabled():
            return u
        rest = x - u - energy.gradient(u, flat)
        if not rest.requires_grad:
            return u

        def solve(right):
            with torch.no_grad():
                hessian = energy.linearised(u, flat)
                return _equilibrium.conjugate_gradient(
                    lambda v: v + hessian(v),
                    right,
                    5 * tolerance,
                    maxiter,
                )

        return _equilibrium.implicit(rest, u, solve)
