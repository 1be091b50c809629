# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ridge energies: learned profiles of the responses of learned filters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant.nn.blocks.inputs import checked_sigma
from odl_equivariant.nn.energies import _boundary, _sweeps, filters
from odl_equivariant.nn.energies.base import Energy
from odl_equivariant.nn.energies.profiles import Profiles
from odl_equivariant.nn.steerable.groups import checked_group, parse_group

__all__ = ('RidgeEnergy',)

_N_KNOTS, _REACH, _N_LEVELS = 40, 8.0, 11
_EXACT = (1, 2, 4)


class RidgeEnergy(Energy):
    noise_level = True
    value_range: tuple[float, float] | None = None

    def __init__(
        self,
        group: str | None = 'C4',
        kernel_size: int = 13,
        n_filters: int = 60,
        convex: bool = False,
        in_channels: int = 1,
        shared_profile: bool = False,
    ) -> None:
        super().__init__()
        self.group = None if group is None else checked_group(group)
        self.kernel_size = whole_number('kernel_size', kernel_size, 3)
        self.n_filters = whole_number('n_filters', n_filters, 1)
        self.convex = boolean('convex', convex)
        self.in_channels = whole_number('in_channels', in_channels, 1)
        self.shared_profile = boolean('shared_profile', shared_profile)
        if self.kernel_size % 2 == 0:
            raise ValueError(f'`kernel_size` must be odd, got {kernel_size}')
        kind, n_turns = 'C', 1
        if self.group is not None:
            kind, n_turns = parse_group(self.group)
        if n_turns not in _EXACT:
            raise NotImplementedError
        self._turns = [4 // n_turns * i for i in range(n_turns)]
        self._reflections = kind == 'D'
        order = n_turns * (2 if self._reflections else 1)
        if self.n_filters % order:
            raise ValueError(
                f'`n_filters` must be a multiple of the order {order} of the '
                f'group {self.group}, got {n_filters}'
            )
        self._order = order
        self._build(self.n_filters // order)
        self._cached = None

    def _build(self, n_free):
        start = filters.waves(n_free, self.kernel_size, len(self._turns))
        self.kernels = nn.Parameter(start)
        self.profiles = Profiles(
            n_free,
            self.convex,
            self.shared_profile,
            _N_KNOTS,
            _REACH,
            _N_LEVELS,
            1 / math.sqrt(self.n_filters),
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """Name and arguments of the class, from which it can be rebuilt."""
        names = (
            'group',
            'kernel_size',
            'n_filters',
            'convex',
            'in_channels',
            'shared_profile',
        )
        arguments = {name: getattr(self, name) for name in names}
        return {'class': type(self).__name__, 'arguments': arguments}

    def filters(self) -> torch.Tensor:
        """Return all filters, of norm at most one together."""
        if torch.is_grad_enabled() and self.kernels.requires_grad:
            return self._filters()
        key = (self.kernels.data_ptr(), self.kernels._version)
        key += (self.kernels.dtype, self.kernels.device)
        if self._cached is None or self._cached[0] != key:
            with torch.no_grad():
                self._cached = key, self._filters()
        return self._cached[1]

    def _filters(self):
        orbits = filters.orbits(
            filters.centred(self.kernels), self._turns, self._reflections
        )
        bound = filters.norm_bound(orbits)
        return orbits / bound.to(orbits.dtype)

    def _prepared(self, x, sigma):
        """Return extended images, their tables and the matrices."""
        sigma = checked_sigma(sigma, x).flatten()
        if len(sigma) > 1:
            sigma = sigma.repeat_interleave(x.shape[1])
        splines = self.profiles(sigma)
        # one element of the group after the other, as `orbits`
        scales = splines.scales.repeat(1, self._order)
        slopes = splines.slopes.repeat(1, self._order, 1)
        tables = splines._replace(scales=scales, slopes=slopes).prepared()
        return tables, self._extension(x)

    def _extension(self, x):
        reach = self.kernel_size // 2
        return _boundary.extension(x.shape[2:], reach, 0, x)

    def forward(self, x, sigma=None):
        tables, matrices = self._prepared(x, sigma)
        images = _boundary.extend(x.flatten(0, 1)[:, None], matrices)
        kernels = self.filters()
        values = [
            tables.of(_image(tables, i))
            .value(_sweeps.correlate(images[i : i + 1], kernels))
            .sum()
            for i in range(len(images))
        ]
        return torch.stack(values).view(x.shape[:2]).sum(1)

    def gradient(self, x, sigma=None):
        tables, matrices = self._prepared(x, sigma)
        images = _boundary.extend(x.flatten(0, 1)[:, None], matrices)
        kernels = self.filters()
        if torch.is_grad_enabled() and (
            x.requires_grad or self.kernels.requires_grad
        ):
            parts = []
            for i in range(len(images)):
                responses = _sweeps.correlate(images[i : i + 1], kernels)
                values = tables.of(_image(tables, i)).derivative(responses)
                parts.append(_sweeps.transposed(values, kernels))
            total = torch.cat(parts)
        else:
            total = _sweeps.sweep(
                images,
                kernels,
                lambda _, i, responses: tables.of(
                    _image(tables, i.start)
                ).quick_derivative(responses),
            )
        return _boundary.extended_transpose(total, matrices).view(x.shape)

    @torch.no_grad()
    def linearised(self, x, sigma=None):
        """Return the Hessian at x as a function, which needs no graph."""
        tables, matrices = self._prepared(x, sigma)
        kernels = self.filters()
        slopes = {}

        def keep(key, i, responses):
            slopes[key] = tables.of(_image(tables, i.start)).slope(responses)

        images = _boundary.extend(x.flatten(0, 1)[:, None], matrices)
        _sweeps.sweep(images, kernels, keep)

        @torch.no_grad()
        def hessian(v):
            images = _boundary.extend(v.flatten(0, 1)[:, None], matrices)
            total = _sweeps.sweep(
                images, kernels, lambda key, i, r: r.mul_(slopes[key])
            )
            return _boundary.extended_transpose(total, matrices).view(v.shape)

        return hessian

    def gradient_lipschitz(self, sigma=None):
        least, greatest = self.profiles.bounds(float(sigma))
        return max(-least, greatest)

    def weak_convexity(self, sigma=None):
        return -self.profiles.bounds(float(sigma))[0]


def _image(tables, i):
    """Return where the table of an image is."""
    return slice(i, i + 1) if len(tables.rises) > 1 else slice(0, 1)
