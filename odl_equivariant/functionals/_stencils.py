# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Differences by all one-sided stencils at once, on tensors."""

import math
from itertools import product

import numpy as np
import odl
import torch
from torch.nn.functional import pad

from odl_equivariant._checks import one_of, real_number
from odl_equivariant.elements import (
    describe_space,
    first_part,
    is_complex,
    n_parts,
)
from odl_equivariant.inner_products import inner_product_weights

__all__ = ('PAD_MODES', 'Stencils')

PAD_MODES = ('symmetric', 'periodic')


def _leaf(space):
    space = first_part(space, equal=True)
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            'expected a space from `odl.uniform_discr` or a `ProductSpace` '
            f'of equal ones, got {describe_space(space)}'
        )
    if not space.is_uniform:
        raise ValueError(
            'expected a uniform grid, got '
            f'{describe_space(space)}; make one with '
            '`odl.uniform_discr`'
        )
    return space


def _lengths(leaf, axis_weights):
    sides = [float(side) for side in leaf.cell_sides]
    if axis_weights is None:
        return sides
    weights = [
        real_number('a number of `axis_weights`', weight, 0)
        for weight in axis_weights
    ]
    if len(weights) != leaf.ndim or not any(weights):
        raise ValueError(
            f'`axis_weights` must be {leaf.ndim} numbers, one for each axis, '
            f'and not all 0, got {weights}'
        )
    return [
        side / weight if weight else math.inf
        for side, weight in zip(sides, weights, strict=True)
    ]


class Stencils:
    r"""The :math:`2^d` one-sided difference stencils of a grid.

    Parameters
    ----------
    space : `DiscretizedSpace` or `ProductSpace`
        Uniform grid space, or a product of equal ones.
    pad_mode : {'symmetric', 'periodic'}
        What lies beyond the boundary.
    axis_weights : sequence of float, optional
        Factors of the differences along the axes. Default: 1.

    Notes
    -----
    A tensor ``x`` of shape ``(N, P, *shape)``, real or complex, is mapped to
    ``(N, S, d, P, *shape)``: stencil, axis, part of the space, grid. The
    stencils are divided by their number :math:`S = 2^d`.
    """

    def __init__(self, space, pad_mode, axis_weights=None):
        one_of('pad_mode', pad_mode, PAD_MODES)
        leaf = _leaf(space)
        fractions = np.asarray(leaf.partition.boundary_cell_fractions)
        self.periodic = pad_mode == 'periodic'
        if self.periodic and not np.allclose(fractions, 1.0):
            raise ValueError(
                'periodic differences need whole cells at the boundary, got '
                f'the fractions {fractions.tolist()}; make the space with '
                '`nodes_on_bdry=False`'
            )
        self.ndim = leaf.ndim
        self.shape = leaf.shape
        #: Lengths by which differences are divided; infinite for weight 0.
        self.sides = _lengths(leaf, axis_weights)
        #: The sides that a stencil looks to: 0 forward, 1 backward.
        self.signs = list(product((0, 1), repeat=self.ndim))
        self.n_parts = n_parts(space)
        self._set_weights(space, leaf)

    def _set_weights(self, space, leaf):
        """Factor the weights into one of grid points and one of parts."""
        points = inner_product_weights(leaf)[0]
        weights = inner_product_weights(space)
        if is_complex(space):
            # real and imaginary part have the same weight
            weights = weights[::2]
        ratios = weights / points
        factors = ratios.flatten(1)[:, :1]
        if not torch.allclose(ratios.flatten(1), factors, rtol=1e-6):
            raise ValueError(
                'expected a `ProductSpace` weighted by one number per '
                f'component, got {space.weighting!r}'
            )
        ones = torch.ones(self.shape, dtype=torch.double)
        #: of shape ``shape`` and ``(P, 1, ..., 1)``
        self.points = points * ones
        self.parts = factors.reshape(-1, *(1,) * self.ndim)
        self._factors = factors.flatten().tolist()
        #: Whether all points have the same weight.
        self.uniform = bool((self.points == self.points.flatten()[0]).all())

    def unflatten(self, y):
        """Return ``(N, S n P, *shape)`` as ``(N, S, n, P, *shape)``."""
        return y.unflatten(1, (len(self.signs), -1, self.n_parts))

    def _edges(self, x, axis):
        """Return the differences of neighbours, the last with the first."""
        if self.periodic:
            return torch.roll(x, -1, axis) - x
        edges = x.narrow(axis, 1, x.shape[axis] - 1) - x.narrow(
            axis, 0, x.shape[axis] - 1
        )
        return edges

    def _pad(self, edges, axis, before, after):
        padding = [0, 0] * (-1 - axis) + [before, after]
        return pad(edges, padding)

    def of_sign(self, y, axis, sign, component):
        """Return a view of one component, of the stencils of one sign.

        Its shape is ``(N, 2, ..., 2, P, *shape)`` with one axis less than
        the grid has for the stencils.
        """
        signs = y.unflatten(1, (2,) * self.ndim).select(1 + axis, sign)
        return signs.select(self.ndim, component)

    def differences(self, x, out=None):
        """Return all one-sided differences, divided by their number.

        They are written to ``out`` if it is given.
        """
        n_stencils = len(self.signs)
        if out is None:
            shape = (len(x), n_stencils, self.ndim, *x.shape[1:])
            out = x.new_zeros(shape)
        for i, side in enumerate(self.sides):
            axis = i - self.ndim
            edges = self._edges(x, axis) * (1 / n_stencils / side)
            edges = edges[(slice(None), *(None,) * (self.ndim - 1))]
            for sign in (0, 1):
                target = self.of_sign(out, i, sign, i)
                if self.periodic:
                    target.copy_(torch.roll(edges, sign, axis))
                    continue
                target.select(axis, (sign - 1) % self.shape[i]).zero_()
                size = self.shape[i] - 1
                target.narrow(axis, sign, size).copy_(edges)
        return out

    def add_differences_(self, y, x, factor):
        """Add a multiple of the differences of ``x`` to ``y``, in place."""
        for i, side in enumerate(self.sides):
            axis = i - self.ndim
            edges = self._edges(x, axis) * (factor / len(self.signs) / side)
            edges = edges[(slice(None), *(None,) * (self.ndim - 1))]
            for sign in (0, 1):
                target = self.of_sign(y, i, sign, i)
                if self.periodic:
                    target.add_(torch.roll(edges, sign, axis))
                else:
                    target.narrow(axis, sign, self.shape[i] - 1).add_(edges)
        return y

    def _over_stencils(self, parts):
        """Return the sum over the stencils of one sign, see `of_sign`."""
        parts = parts.flatten(1, self.ndim - 1) if self.ndim > 1 else parts
        if self.ndim == 1:
            return parts
        # faster than the sum over an axis of length two
        total = parts[:, 0] + parts[:, 1]
        for i in range(2, parts.shape[1]):
            total.add_(parts[:, i])
        return total

    def transpose(self, y):
        """Return the transpose of `differences`, without weights."""
        result = y.new_zeros((len(y), *y.shape[3:]))
        for i, side in enumerate(self.sides):
            axis = i - self.ndim
            forward, backward = (
                self._over_stencils(self.of_sign(y, i, sign, i))
                for sign in (0, 1)
            )
            scale = 1 / len(self.signs) / side
            if self.periodic:
                edges = forward + torch.roll(backward, -1, axis)
                result.add_(torch.roll(edges, 1, axis), alpha=scale)
                result.sub_(edges, alpha=scale)
                continue
            size = self.shape[i] - 1
            edges = forward.narrow(axis, 0, size) + backward.narrow(
                axis, 1, size
            )
            result.narrow(axis, 1, size).add_(edges, alpha=scale)
            result.narrow(axis, 0, size).sub_(edges, alpha=scale)
        return result

    def adjoint(self, y):
        """Return the adjoint of `differences` in the weighted products."""
        if self.uniform:
            return self.transpose(y)
        points = self.points.to(y.device, y.real.dtype)
        return self.transpose(points * y) / points

    def products(self, x, y, out=None):
        """Return the inner products of vectors at all points.

        These are sums over the components and parts of ``(N, S, d, P,
        *shape)``, without a temporary array of that size.
        """
        shape = (*y.shape[:2], 1, 1, *y.shape[4:])
        result = y.real.new_zeros(shape) if out is None else out.zero_()
        total = result[:, :, 0, 0]
        for part, factor in enumerate(self._factors):
            for i in range(y.shape[2]):
                a, b = x[:, :, i, part], y[:, :, i, part]
                total.addcmul_(a.real, b.real, value=factor)
                if y.is_complex():
                    total.addcmul_(a.imag, b.imag, value=factor)
        return result

    def moduli(self, y, out=None):
        """Return the norms of ``(N, S, d, P, *shape)`` over ``d, P``."""
        return self.products(y, y, out).sqrt_()

    def shorten_(self, y, radius, out=None):
        """Project onto vectors not longer than ``radius``, in place.

        The lengths are written to ``out`` if it is given.
        """
        return y.div_(self.moduli(y, out).div_(radius).clamp_min_(1))

    def integral(self, values):
        """Return the weighted sum over stencils and points, ``(N,)``."""
        points = self.points.to(values)
        return (points * values).flatten(1).sum(1)

    def squared_norm_bound(self):
        r"""Return an upper bound of the squared norm of `differences`.

        Notes
        -----
        A difference is at most
        :math:`|u_{k+1} - u_k|^2 \le 2 |u_k|^2 + 2 |u_{k+1}|^2`, and the
        difference over an edge has the mean weight of its two ends. With
        equal weights this gives :math:`\sum_i 4 / h_i^2`, over the number of
        stencils.
        """
        bound = 0.0
        for i, side in enumerate(self.sides):
            axis = i - self.ndim
            size = self.shape[i]
            if self.periodic:
                after = torch.roll(self.points, -1, axis)
                edges = (self.points + after) / 2
                at_point = edges + torch.roll(edges, 1, axis)
            else:
                edges = (
                    self.points.narrow(axis, 0, size - 1)
                    + self.points.narrow(axis, 1, size - 1)
                ) / 2
                at_point = self._pad(edges, axis, 1, 0) + self._pad(
                    edges, axis, 0, 1
                )
            bound += 2 * float((at_point / self.points).max()) / side**2
        return bound / len(self.signs)
