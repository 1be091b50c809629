# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Profiles of ridge energies: splines of response and noise level."""

import math
from typing import NamedTuple

import torch
from torch import nn

from odl_equivariant._checks import positive_number

__all__ = (
    'JumpingProfiles',
    'Profiles',
    'Splines',
    'checked_first_knot',
    'made_profiles',
)

# Greatest noise level that has a knot of its own; larger ones take its values.
_GREATEST = 0.2
# Where the quotient of response and spline is that at zero.
_TINY = 1e-6
# Least slope of y + psi'(y) in its inverse.
_LEAST_RISE = 1e-2
# How sharply slopes are bent at their lower bound.
_SHARPNESS = 4.0


class Splines(NamedTuple):
    r"""Even functions :math:`\psi`, quadratic splines, of some images.

    Parameters
    ----------
    scales : torch.Tensor
        Factor :math:`\alpha` of the responses, of shape ``(N, F)``.
    slopes : torch.Tensor
        Slopes of :math:`\psi'` between the knots, and the slope 0 behind the
        last one, of shape ``(N, F, M + 1)``.
    step : float
        Distance of the knots of :math:`\alpha t`.
    first : float, optional
        Distance of the first of them from zero, as a share of ``step``.
    """

    scales: torch.Tensor
    slopes: torch.Tensor
    step: float
    first: float = 1.0

    def prepared(self):
        """Return tables for `derivative` and `value`, image by image."""
        zero = torch.zeros_like(self.slopes[..., :1])
        widths = torch.full_like(self.slopes[0, 0].detach(), self.step)
        widths[0] *= self.first
        rises = widths * self.slopes
        values = torch.cat([zero, rises[..., :-1].cumsum(-1)], -1)
        areas = widths * (values + 0.5 * rises)
        areas = torch.cat([zero, areas[..., :-1].cumsum(-1)], -1)
        return _Tables(
            (self.scales / self.step)[:, :, None, None],
            (1 / self.scales)[:, :, None, None],
            rises,
            values,
            areas,
            widths.expand_as(rises),
            self.first,
        )


class _Tables(NamedTuple):
    """What the functions are computed from; `of` takes some images."""

    scales: torch.Tensor
    units: torch.Tensor
    rises: torch.Tensor
    values: torch.Tensor
    areas: torch.Tensor
    widths: torch.Tensor
    first: float

    def of(self, images):
        """Return the tables of some images; they may share one table."""
        if len(self.rises) == 1:
            return self
        return _Tables(*(t[images] for t in self[:6]), self.first)

    def _stretched(self, t):
        """Return places in units of the intervals; it may overwrite them."""
        if self.first == 1:
            return t
        # the first interval is the narrow one
        return torch.minimum(t / self.first, t + (1 - self.first))

    def _places(self, responses):
        """Return interval, index in the tables, and place in the interval."""
        n_knots = self.rises.shape[-1]
        # what has no graph may be overwritten
        t = self._stretched(responses.abs() * self.scales)
        whole = t.detach().clamp(max=n_knots - 1.0).long()
        fraction = t - whole
        return whole + self._first(whole.dtype), fraction

    def _first(self, dtype):
        """Return where the table of each image and filter begins."""
        n_images, n_filters, n_knots = self.rises.shape
        first = torch.arange(
            0,
            self.rises.numel(),
            n_knots,
            dtype=dtype,
            device=self.rises.device,
        )
        return first.view(n_images, n_filters, 1, 1)

    def value(self, responses):
        """Return psi of the responses."""
        index, fraction = self._places(responses)
        rise = _taken(self.rises, index)
        mean = _taken(self.values, index) + 0.5 * fraction * rise
        width = self._width(index)
        value = _taken(self.areas, index) + width * fraction * mean
        return value * self.units**2

    def _width(self, index):
        """Return the widths of intervals, one number if all are equal."""
        if self.first == 1:
            return self.widths[0, 0, -1]
        return _taken(self.widths, index)

    def derivative(self, responses):
        """Return psi' of the responses."""
        index, fraction = self._places(responses)
        value = _taken(self.values, index)
        value = value + fraction * _taken(self.rises, index)
        return value * self.units * responses.sign()

    def slope(self, responses):
        """Return psi'' of the responses."""
        index, _ = self._places(responses)
        return _taken(self.rises / self.widths, index)

    def ratio(self, responses):
        """Return psi' of the responses, divided by them."""
        index, fraction = self._places(responses)
        value = _taken(self.values, index)
        value = value + fraction * _taken(self.rises, index)
        size = responses.abs()
        first = (self.rises / self.widths)[..., :1, None]
        tiny = size * self.scales < _TINY
        safe = torch.where(tiny, 1.0, size)
        return torch.where(tiny, first, value * self.units / safe)

    def residual(self, responses):
        """Return psi' at the proximals of psi at the responses.

        The proximal y of t solves y + psi'(y) = t, so this is t - y.
        """
        n_knots, step = self.rises.shape[-1], self.widths[0, 0, -1]
        values = self.values / step
        slopes = self.rises / self.widths
        # where the knots lie among the t, in units of their distance
        ends = self.widths[0, 0].cumsum(0) / step
        knots = values + torch.nn.functional.pad(ends[:-1], (1, 0))
        t = responses.abs() * self.scales
        interval = torch.searchsorted(
            knots.detach().expand(len(t), -1, -1).contiguous(),
            t.detach().flatten(2).contiguous(),
            right=True,
        )
        interval = (interval - 1).clamp(0, n_knots - 1)

        def at(table):
            table = table.expand(len(t), -1, -1)
            return table.gather(2, interval).view(t.shape)

        slope = at(slopes)
        # with the slope -1, the proximal jumps
        rise = slope / (1 + slope).clamp(min=_LEAST_RISE)
        value = at(values) + rise * (t - at(knots))
        return value * step * self.units * responses.sign()

    def quick_derivative(self, responses):
        """Return psi' without a graph, and overwrite the responses."""
        fraction, index = self._quick_places(responses)
        value = _taken(self.values, index)
        rises = _taken(self.rises, index)
        value.addcmul_(fraction, rises).mul_(self.units)
        return value.mul_(responses.sign_())

    def quick_value(self, responses):
        """Return sums of psi without a graph."""
        return self._quick_sums(responses)[0]

    def quick_value_and_derivative(self, responses):
        """Return sums of psi, and psi', and overwrite the responses."""
        sums, value, rise = self._quick_sums(responses)
        return sums, value.add_(rise).mul_(self.units).mul_(responses.sign_())

    def _quick_sums(self, responses):
        """Return sums of psi, psi' at the last knots, and its rise since."""
        fraction, index = self._quick_places(responses)
        area = _taken(self.areas, index)
        value = _taken(self.values, index)
        rise = _taken(self.rises, index).mul_(fraction)
        mean = torch.add(value, rise, alpha=0.5).mul_(fraction)
        area.addcmul_(mean, self._width(index))
        sums = (area.sum((2, 3)) * self.units[..., 0, 0] ** 2).sum(1)
        return sums, value, rise

    def _quick_places(self, responses):
        t = self._stretched(responses.abs().mul_(self.scales))
        # 32 bits are converted, and looked up, in less time
        whole = t.clamp(max=self.rises.shape[-1] - 1.0).int()
        t.sub_(whole)
        return t, whole.add_(self._first(whole.dtype))


def _taken(table, index):
    """Return the numbers of a table at places of its flattened copy.

    The backward pass of `torch.take` adds from several threads at once, in
    an order that differs from call to call. This one does not.
    """
    taken = table.flatten().index_select(0, index.flatten())
    return taken.view(index.shape)


def _of_rising(rises):
    """Return the rises of psi' if it stays at zero instead of below.

    So psi is least at zero, and energies are at least 0: otherwise an energy
    could fall without a bound in directions that the data do not see. No
    rise becomes smaller.
    """
    sums = torch.nn.functional.pad(rises.cumsum(-1), (1, 0))
    values = sums - sums.cummin(-1).values
    return values.diff(dim=-1)


class Profiles(nn.Module):
    r"""Learned profiles of filters, for each noise level.

    Parameters
    ----------
    n_filters : int
        Number of filters.
    convex : bool
        Whether the slopes are at least 0. Otherwise they are at least -1.
    shared : bool
        Whether all filters share one profile, up to its scale.
    n_knots : int
        Number of intervals of the splines in the response.
    reach : float
        Last knot, in units of the noise of a response.
    n_levels : int
        Number of knots in the noise level, from 0 to 0.2.
    usual : float
        Usual norm of a filter.
    largest : float, optional
        Bound of the slopes. Default: none.

    Notes
    -----
    With the slopes :math:`s_k \in [q, \mu_i(\sigma)]`, q = 0 or -1,

    .. math::
        \psi_i(t; \sigma) = \alpha_i(\sigma)^{-2}
        \psi(\alpha_i(\sigma) t), \qquad
        \alpha_i(\sigma) = \frac{e^{a_i(\sigma)}}{c \sigma},

    where c is the usual norm of a filter, so that :math:`c \sigma` is the
    noise of its response. So :math:`J(u; \sigma) \to 0` if :math:`\sigma \to
    0`, and with constant :math:`a_i, \mu_i` images may have any unit,
    :math:`J(c u; c \sigma) = c^2 J(u; \sigma)`.
    """

    # The splines learn at the rate that suits filters.
    _gain = 10.0

    def __init__(
        self,
        n_filters,
        convex,
        shared,
        n_knots,
        reach,
        n_levels,
        usual,
        largest=None,
    ):
        super().__init__()
        self.largest = largest
        self.least = 0.0 if convex else -1.0
        self.step, self.usual, self.first = reach / n_knots, usual, 1.0
        self.scales = nn.Parameter(torch.zeros(n_filters, n_levels))
        self._start(1 if shared else n_filters, n_knots, n_levels)

    def _start(self, n_profiles, n_knots, n_levels):
        """Make the weights that a training starts from."""
        middle = (torch.arange(n_knots) + 0.5) * self.step
        if self.least == 0:
            slopes, start = torch.where(middle < 0.6, 2.0, -3.0), 2.0
        else:
            slopes, start = torch.where(middle < 4, -2.0, -1.4), 3.0
            slopes = torch.where(middle < 0.8, 2.0, slopes)
        self.slopes = nn.Parameter(slopes.repeat(n_profiles, 1) / self._gain)
        start = math.log(start) / self._gain
        self.heights = nn.Parameter(torch.full((n_profiles, n_levels), start))

    def _at(self, knots, sigma):
        """Return exponentials of linear splines in the noise level."""
        n = knots.shape[1] - 1
        place = (sigma / _GREATEST * n).clamp(0, n)
        whole = place.detach().long().clamp(max=n - 1)
        part = place - whole
        value = knots[:, whole] * (1 - part) + knots[:, whole + 1] * part
        return torch.exp(self._gain * value).T

    def _slopes(self, heights):
        """Return the slopes between the knots, before they are bounded."""
        if self.largest is not None:
            heights = heights / (1 + heights / self.largest)
        share = torch.sigmoid(self._gain * self.slopes)
        return self.least + (heights - self.least) * share

    def _widths(self, like):
        """Return the distances of the knots."""
        widths = torch.full_like(like, self.step)
        widths[0] *= self.first
        return widths

    def forward(self, sigma):
        """Return the `Splines` of noise levels of shape ``(N,)``."""
        scales = self._at(self.scales, sigma) / (self.usual * sigma[:, None])
        slopes = self._slopes(self._at(self.heights, sigma)[:, :, None])
        if self.least < 0:
            widths = self._widths(slopes[0, 0].detach())
            slopes = _of_rising(slopes * widths) / widths
            slopes = slopes.clamp(min=self.least)
        slopes = torch.nn.functional.pad(slopes, (0, 1))
        slopes = slopes.expand(-1, scales.shape[1], -1)
        return Splines(scales, slopes, self.step, self.first)


class JumpingProfiles(Profiles):
    r"""Profiles whose derivatives can jump at zero, and fall behind.

    The first knot is near zero. The weights are the values :math:`v_k` of
    the derivative at the knots :math:`t_k`, in place of slopes, so that a
    large jump leaves the slopes behind it as they are. The slope of an
    interval is

    .. math::
        s_k = q + \frac{1}{b} \log\bigl(1 + e^{b (d_k - q)}\bigr), \qquad
        d_k = \frac{v_k - v_{k - 1}}{t_k - t_{k - 1}},

    which is nearly :math:`d_k` above q, and above q whatever the values are.
    Positive slopes are multiplied by a learned factor of filter and noise
    level.

    Parameters
    ----------
    first : float
        First knot, in units of the noise of a response. The others have
        equal distances behind it.
    *arguments
        Those of `Profiles`.
    """

    _gain = 4.0

    def __init__(self, first, *arguments):
        self._first = first
        super().__init__(*arguments)

    def _start(self, n_profiles, n_knots, n_levels):
        self.first = self._first / self.step
        ends = self._widths(torch.empty(n_knots)).cumsum(0)
        if self.least == 0:
            values = 1.2 + 0.02 * ends
        else:
            # so that a response of two noise levels stays
            values = 1.6 - 0.84 * ends
        values = values.repeat(n_profiles, 1)
        self.values = nn.Parameter(values / self._gain)
        self.heights = nn.Parameter(torch.zeros(n_profiles, n_levels))

    def _slopes(self, heights):
        values = torch.nn.functional.pad(self._gain * self.values, (1, 0))
        widths = self._widths(self.values[0].detach())
        above = values.diff(dim=-1) / widths - self.least
        softplus = torch.nn.functional.softplus
        slopes = self.least + softplus(above, beta=_SHARPNESS)
        rising = heights * slopes.clamp(min=0)
        if self.largest is not None:
            rising = rising / (1 + rising / self.largest)
        return rising + slopes.clamp(max=0)


def checked_first_knot(first, step):
    """Return a first knot, if it is at most the distance of the others."""
    first = positive_number('first_knot', first)
    if first > step:
        raise ValueError(
            '`first_knot` must be at most the distance of the other knots, '
            f'{step:g}, got {first:g}'
        )
    return first


def made_profiles(first, *arguments):
    """Return profiles with a first knot, or with evenly spaced knots."""
    if first is None:
        return Profiles(*arguments)
    return JumpingProfiles(first, *arguments)
