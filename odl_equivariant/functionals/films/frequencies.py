# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The size of a film's frequencies in time, of which few are large."""

from __future__ import annotations

from collections.abc import Callable

import odl
import torch

from odl_equivariant._checks import positive_number
from odl_equivariant._types import Operator, Space
from odl_equivariant.elements import describe_space
from odl_equivariant.functionals._tensors import to_element, to_tensor
from odl_equivariant.functionals.films.low_rank import checked_film_space

__all__ = ('TemporalFourierNorm',)


class TemporalFourierNorm(odl.functionals.Functional):
    r"""Integral of the moduli of a film's Fourier transform in time.

    Motion with a period has few frequencies, so that its proximal removes
    noise and artefacts at all others.

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
    With the unitary discrete Fourier transform :math:`F_t` along time and the
    weight :math:`w` of a cell,

    .. math::
        J(u) = w \sum_{x, \omega} |F_t u|(x, \omega), \qquad
        \mathrm{prox}_{\tau J} = F_t^* S_\tau F_t, \qquad
        S_\tau(z) = \max(1 - \tau / |z|, 0)\, z .

    The transform of a real film has pairs of conjugate values, which keep
    their symmetry: the proximal is real. Periodic shifts in time change the
    phases of :math:`F_t u` only, the reversal of time mirrors it, and turns of
    all frames move it: :math:`J` is invariant under all elements of
    `odl_equivariant.actions.space_time_actions`.

    Examples
    --------
    >>> space = odl.uniform_discr([0] * 3, [1] * 3, (2, 2, 4))
    >>> J = TemporalFourierNorm(space)
    >>> still = space.one()
    >>> float(J(still))
    0.5
    >>> J.proximal(1.0)(still).asarray()[0, 0].tolist()
    [0.5, 0.5, 0.5, 0.5]
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

    def _spectrum(self, tensor):
        return torch.fft.fft(tensor, dim=2 + self._axis, norm='ortho')

    def _call(self, x):
        with torch.no_grad():
            moduli = self._spectrum(to_tensor(x)).abs()
        return float(moduli.double().sum()) * self._weight

    @property
    def proximal(self) -> Callable[[float], Operator]:
        """Factory of the proximal operators.

        Returns
        -------
        factory : callable
            Maps ``sigma``, a positive number, to an `odl.Operator`.
        """
        return lambda sigma: _Thresholding(self, sigma)

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}({describe_space(self.domain)}, '
            f'time_axis={self._axis})'
        )


class _Thresholding(odl.Operator):
    """Proximal of a `TemporalFourierNorm`."""

    def __init__(self, functional, sigma):
        self._functional = functional
        self.sigma = positive_number('the parameter of a proximal', sigma)
        super().__init__(functional.domain, functional.domain, linear=False)

    def _call(self, x):
        functional = self._functional
        with torch.no_grad():
            tensor = to_tensor(x)
            spectrum = functional._spectrum(tensor)
            moduli = spectrum.abs()
            tiny = torch.finfo(moduli.dtype).tiny
            factors = 1 - self.sigma / moduli.clamp_min(tiny)
            spectrum = spectrum * factors.clamp_min(0)
            film = torch.fft.ifft(
                spectrum, dim=2 + functional._axis, norm='ortho'
            )
            film = film if tensor.is_complex() else film.real
        return to_element(film.contiguous(), self.range)
