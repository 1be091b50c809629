# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The Poisson likelihood of transmitted photons."""

from __future__ import annotations

import math

import torch

from odl_equivariant._checks import positive_number
from odl_equivariant._types import ElementLike, Operator
from odl_equivariant.elements import as_element, as_tensor, is_complex
from odl_equivariant.functionals.data_fits.base import (
    SmoothFit,
    checked_data,
    checked_weights,
)
from odl_equivariant.operators.operator_norm import operator_norm

__all__ = ('TransmissionLikelihood',)


class TransmissionLikelihood(SmoothFit):
    r"""Poisson likelihood of the counts of transmitted photons.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator :math:`A` between real spaces, such as a ray
        transform.
    counts : element of ``operator.range`` or array-like
        Counts :math:`N \ge 0` of photons, which need not be whole, of which
        a copy is kept.
    n_photons : float or array-like
        Mean counts :math:`N_0 > 0` without an object: one number, or one for
        each reading.
    mu : float, optional
        Attenuation :math:`\mu` of an image value of 1, so that
        :math:`\mu A u` has no unit.
    scale : float, optional
        Factor :math:`c` of the functional. Default: :math:`1 / (\mu^2 N_0)`,
        with the largest :math:`N_0`. So a reading through air counts as much
        as in `LeastSquares` without weights.
    tol, maxiter, warm_start : optional
        As for `LeastSquares`.

    Raises
    ------
    TypeError
        As `LeastSquares`; also if a space is complex.
    ValueError
        As `LeastSquares`; also if a count is negative, or a number not
        positive.

    Notes
    -----
    The counts have the distribution :math:`N \sim \mathrm{Poisson}(m)` with
    :math:`m = N_0 e^{-\mu A u}`. The functional is their Kullback-Leibler
    divergence from :math:`m`, which is the negative logarithm of the
    likelihood, but for a constant: with the weights :math:`\omega` of the
    inner product of the range,

    .. math::
        f(u) &= c \sum_i \omega_i \Big(N_i \log \frac{N_i}{m_i} - N_i
        + m_i\Big) \ge 0, \\
        \nabla f(u) &= c \mu\, A^* (N - m), \qquad
        \nabla^2 f(u) = c \mu^2\, A^* \mathrm{diag}(m) A.

    It is convex, and zero if and only if :math:`m = N`. No logarithm of a
    count is taken, so a reading without any photon keeps its meaning: the
    attenuation is large. See Erdogan and Fessler, *Monotonic algorithms for
    transmission tomography*, IEEE Trans. Med. Imaging 18 (1999), 801-814.

    The proximal is computed by Newton's method with conjugate gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> space = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    >>> counts = 100 * np.exp(-0.5) * np.ones((4, 4))
    >>> f = TransmissionLikelihood(
    ...     odl.IdentityOperator(space), counts, n_photons=100
    ... )
    >>> f(space.zero()) > 0, abs(f(0.5 * space.one())) < 1e-15
    (True, True)
    """

    _affine = False

    def __init__(
        self,
        operator: Operator,
        counts: ElementLike,
        n_photons: float | ElementLike,
        mu: float = 1.0,
        scale: float | None = None,
        tol: float | None = None,
        maxiter: int = 500,
        warm_start: bool = False,
    ) -> None:
        super().__init__(operator, tol, maxiter, warm_start)
        range = operator.range
        if is_complex(range) or is_complex(operator.domain):
            raise TypeError('photons are counted for real spaces only')
        self.counts = checked_data('counts', counts, range)
        self._counts = as_tensor(self.counts)
        if float(self._counts.min()) < 0:
            raise ValueError(
                '`counts` cannot be negative, got '
                f'{float(self._counts.min()):.3g}: they are numbers of '
                'photons, before the logarithm'
            )
        self._photons = checked_weights(n_photons, range)
        most = self._photons
        if isinstance(most, torch.Tensor):
            if float(most.min()) <= 0:
                raise ValueError('`n_photons` must be positive')
            most = float(most.max())
        self._most_photons = most
        self.mu = positive_number('mu', mu)
        if scale is None:
            scale = 1 / (self.mu**2 * most)
        self.scale = positive_number('scale', scale)
        self._lipschitz: float | None = None

    @property
    def grad_lipschitz(self) -> float:
        r"""Bound :math:`c \mu^2 \max N_0\, \|A\|^2` for attenuations.

        It is a Lipschitz constant of the gradient where :math:`A u \ge 0`,
        in particular for images :math:`u \ge 0` and ray transforms. Elsewhere
        there is none: the counts that are expected grow exponentially. So
        solvers need the constraint :math:`u \ge 0`, or a line search.
        """
        if self._lipschitz is None:
            factor = self.scale * self.mu**2 * self._most_photons
            self._lipschitz = factor * operator_norm(self.operator) ** 2
        return self._lipschitz

    def _of(self, operator):
        photons = self._photons
        if isinstance(photons, torch.Tensor):
            photons = as_element(photons, operator.range)
        return TransmissionLikelihood(
            operator,
            self.counts,
            photons,
            self.mu,
            self.scale,
            self.tol,
            self.maxiter,
        )

    def _expected(self, t):
        return self._photons * torch.exp(-self.mu * t)

    def _value(self, t):
        counts, t = self._counts.double(), t.double()
        expected = self._expected(t)
        # t is the logarithm of what is expected, which may underflow
        logarithms = torch.log(counts / self._photons) + self.mu * t
        divergences = torch.where(counts > 0, counts * logarithms, 0.0)
        divergences = divergences - counts + expected
        total = float((self._range_volumes * divergences).sum())
        return self.scale * (total if math.isnan(total) else max(0.0, total))

    def _slopes(self, t):
        return self.scale * self.mu * (self._counts - self._expected(t))

    def _curvatures(self, t):
        return self.scale * self.mu**2 * self._expected(t)

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}({type(self.operator).__name__}(...), '
            f'..., n_photons={self._most_photons:g}, mu={self.mu:g}, '
            f'scale={self.scale:.3g})'
        )
