# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Gradients minus fields and symmetrised derivatives, on tensors."""

from itertools import combinations_with_replacement

import numpy as np
import torch

from odl_equivariant.functionals._stencils import Stencils

__all__ = ('SecondStencils',)


class SecondStencils:
    r"""The two parts of a second-order variation, in units of a cell.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space, or a product of equal ones.
    pad_mode : {'symmetric', 'periodic'}
        What lies beyond the boundary.

    Notes
    -----
    Images ``u`` have the shape ``(N, P, *shape)``, fields ``v`` the shape
    ``(N, S, d, P, *shape)``, symmetric matrices ``(N, S, m, P, *shape)`` with
    :math:`m = d (d + 1) / 2`, the entries off the diagonal times
    :math:`\sqrt 2`, so that the sum of squares is that of all entries.

    A component of a field lives on edges. Where its edge would leave the
    grid, it is zero, and a difference that needs it does not count.
    """

    def __init__(self, space, pad_mode):
        self.first = Stencils(space, pad_mode)
        self.n_stencils = len(self.first.signs)
        #: The unit of length: the smallest side of a cell.
        self.unit = min(self.first.sides)
        self.ratios = [self.unit / side for side in self.first.sides]
        axes = range(self.first.ndim)
        self.pairs = list(combinations_with_replacement(axes, 2))

    def gradients(self, u, out=None):
        """Return the gradients by all stencils over the root of their number.

        They are in units of a cell.
        """
        scale = self.unit * self.n_stencils**0.5
        return self.first.differences(u, out).mul_(scale)

    def gradients_transpose(self, p):
        """Return the transpose of `gradients`, without weights."""
        scale = self.unit * self.n_stencils**0.5
        return self.first.transpose(p).mul_(scale)

    def mask_(self, v):
        """Set components on edges that leave the grid to zero, in place."""
        if self.first.periodic:
            return v
        for i, size in enumerate(self.first.shape):
            for sign, last in ((0, size - 1), (1, 0)):
                edges = self.first.of_sign(v, i, sign, i)
                edges.select(self._axis(i), last).zero_()
        return v

    def _axis(self, i):
        return i - self.first.ndim

    def _edges(self, i, j, sign):
        """Return the target of a difference and its two terms.

        Each is a start on axis ``j``; the number of points is the last.
        """
        size = self.first.shape[j]
        if i == j:
            # the component itself lacks one of the points
            return (1, 0, 1, size - 2) if sign == 0 else (1, 1, 2, size - 2)
        target = 1 if sign == 0 else 0
        return target, 0, 1, size - 1

    def _terms(self):
        """Yield entry, component, axis, sign and factor of each difference."""
        for entry, (i, j) in enumerate(self.pairs):
            if i == j:
                orders, factor = ((i, i),), 1.0
            else:
                orders, factor = ((i, j), (j, i)), 0.5**0.5
            for component, axis in orders:
                for sign in (0, 1):
                    scale = factor * self.ratios[axis]
                    yield entry, component, axis, sign, scale

    def derivatives(self, v, out=None):
        """Return the symmetrised derivatives by the opposite stencils."""
        shape = (*v.shape[:2], len(self.pairs), *v.shape[3:])
        result = v.new_zeros(shape) if out is None else out.zero_()
        for entry, component, j, sign, scale in self._terms():
            axis = self._axis(j)
            source = self.first.of_sign(v, j, sign, component)
            target = self.first.of_sign(result, j, sign, entry)
            if self.first.periodic:
                moved = torch.roll(source, 1 - 2 * sign, axis)
                scale = scale * (1 - 2 * sign)
                target.add_(source, alpha=scale).sub_(moved, alpha=scale)
                continue
            to, low, high, n = self._edges(component, j, sign)
            if n > 0:
                target = target.narrow(axis, to, n)
                target.add_(source.narrow(axis, high, n), alpha=scale)
                target.sub_(source.narrow(axis, low, n), alpha=scale)
        return result

    def derivatives_transpose(self, q, out=None):
        """Return the transpose of `derivatives`, without weights."""
        shape = (*q.shape[:2], self.first.ndim, *q.shape[3:])
        result = q.new_zeros(shape) if out is None else out.zero_()
        for entry, component, j, sign, scale in self._terms():
            axis = self._axis(j)
            source = self.first.of_sign(q, j, sign, entry)
            target = self.first.of_sign(result, j, sign, component)
            if self.first.periodic:
                moved = torch.roll(source, 2 * sign - 1, axis)
                scale = scale * (1 - 2 * sign)
                target.add_(source, alpha=scale).sub_(moved, alpha=scale)
                continue
            to, low, high, n = self._edges(component, j, sign)
            if n > 0:
                source = source.narrow(axis, to, n)
                target.narrow(axis, high, n).add_(source, alpha=scale)
                target.narrow(axis, low, n).sub_(source, alpha=scale)
        return self.mask_(result)

    def gradients_adjoint(self, p):
        """Return the adjoint of `gradients` in the weighted products."""
        scale = self.unit * self.n_stencils**0.5
        return self.first.adjoint(p).mul_(scale)

    def derivatives_adjoint(self, q, out=None):
        """Return the adjoint of `derivatives` in the weighted products."""
        if self.first.uniform:
            return self.derivatives_transpose(q, out)
        points = self.first.points.to(q.device, q.real.dtype)
        return self.derivatives_transpose(points * q, out).div_(points)

    def squared_norm_bound(self):
        r"""Return an upper bound of the squared norm of `derivatives`.

        Notes
        -----
        The symmetric part is not larger than the whole derivative, and
        :math:`|v_k - v_{k-1}|^2 \le 2 |v_k|^2 + 2 |v_{k-1}|^2`. Where the
        difference is taken, there is its weight.
        """
        bound = 0.0
        points = self.first.points
        for i, ratio in enumerate(self.ratios):
            size = self.first.shape[i]
            largest = 2.0
            for lower, upper in ((0, 1), (1, 0)):
                part = points.narrow(i, lower, size - 1)
                neighbour = points.narrow(i, upper, size - 1)
                if size > 1:
                    most = float((1 + neighbour / part).max())
                    largest = max(largest, most)
            bound += 2 * largest * ratio**2
        return bound

    def gradients_squared_norm_bound(self):
        """Return an upper bound of the squared norm of `gradients`."""
        scale = self.unit**2 * self.n_stencils
        return self.first.squared_norm_bound() * scale

    def combined_norm_bound(self):
        """Return an upper bound of the norm of (u, v) -> (A u - v, E v)."""
        norms = [
            [self.gradients_squared_norm_bound() ** 0.5, 1.0],
            [0.0, self.squared_norm_bound() ** 0.5],
        ]
        return float(np.linalg.norm(norms, 2))
