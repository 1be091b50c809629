# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What samples of a reconstruction say about its error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

from odl_equivariant._checks import real_number
from odl_equivariant._types import Element, ElementLike
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    is_complex,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights

__all__ = ('Uncertainty', 'checked_level', 'distance', 'pixelwise_size')

# how many numbers to sort at once, for quantiles
_AT_ONCE = 2**22


def checked_level(level):
    """Return a level between 0 and 1, without the rounding of its digits."""
    level = real_number('level', level)
    if not 0 < level < 1:
        raise ValueError(
            f'`level` must lie between 0 and 1, such as 0.9, got {level:g}'
        )
    return Fraction(repr(level))


def distance(x, y):
    """Return the norm of a difference, in the norm of the space."""
    gap = as_tensor(x).double() - as_tensor(y).double()
    return squared_norm(gap[0].cpu(), x.space) ** 0.5


def squared_norm(channels, space):
    """Return the squared norm of a double tensor of shape (C, *shape)."""
    return float((inner_product_weights(space) * channels.square()).sum())


def sum_of_parts(channels, space):
    """Return the sum of the real and the imaginary channel of each part."""
    if not is_complex(space):
        return channels
    return channels.unflatten(0, (len(channels) // 2, 2)).sum(1)


def pixelwise_size(x):
    """Return the magnitudes of an element, as a double tensor."""
    channels = as_tensor(x)[0].cpu().double()
    return sum_of_parts(channels.square(), x.space).sqrt()


def real_element(channels, space):
    """Return a double tensor as an element of the space of magnitudes."""
    real_space = space.real_space if is_complex(space) else space
    return as_element(channels.to(tensor_dtype(space)), real_space, copy=True)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Uncertainty:
    r"""An estimate, and samples that differ from it as it from the truth.

    Made by a `Bootstrap` or an `Ensemble`.

    Attributes
    ----------
    estimate : element
        The reconstruction :math:`\hat x`.
    mean : element
        Mean of the samples :math:`x_1, \dots, x_n`. For a bootstrap,
        ``mean - estimate`` estimates the bias.
    standard_deviation : element of the real space
        Square root of the unbiased variance of the samples, in each pixel.
        The variance of a complex value is that of its real plus that of its
        imaginary part.
    norms : numpy.ndarray of float64, shape (n,)
        Distances :math:`\|x_i - \hat x\|`, in the norm of the space.

    Notes
    -----
    The distribution of :math:`x_i - \hat x` stands for that of the error
    :math:`\hat x - x^*`. So

    .. math::
        \mathrm{MSE} = \frac{1}{n} \sum_i \|x_i - \hat x\|^2, \qquad
        R_\alpha = \{x : \|x - \hat x\| \le q_\alpha\},

    with the :math:`\alpha`-quantile :math:`q_\alpha` of
    :math:`\|x_i - \hat x\|`, are the estimate of the squared error and the
    region of level :math:`\alpha` [TP2023]_. Levels hold as far as the
    samples are right. See `calibrate` for levels with a guarantee.

    References
    ----------
    .. [TP2023] Tachella J and Pereyra M. *Equivariant bootstrapping for
       uncertainty quantification in imaging inverse problems*.
       arXiv:2310.11838 (2023).
    """

    estimate: Element
    mean: Element
    standard_deviation: Element
    norms: np.ndarray
    _kept: torch.Tensor | None

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.norms)

    @property
    def samples(self) -> list[Element]:
        """The samples, as elements that share no memory with the others.

        Raises
        ------
        ValueError
            If the samples were not kept.
        """
        space = self.estimate.space
        return [as_element(x, space, copy=True) for x in self._the_kept()]

    @property
    def mean_squared_error(self) -> float:
        r"""Estimate of :math:`\|\hat x - x^*\|^2`, in the space's norm."""
        return float(np.mean(self.norms**2))

    @property
    def squared_error(self) -> Element:
        """Estimate of the squared error of each pixel, a real element."""
        space, n = self.estimate.space, self.n
        variance = as_tensor(self.standard_deviation)[0].double().square()
        bias = pixelwise_size(self.mean - self.estimate)
        error = variance.cpu() * (n - 1) / n + bias.square()
        return real_element(error, space)

    def radius(self, level: float) -> float:
        r"""Return the radius :math:`q` of the region around the estimate.

        Parameters
        ----------
        level : float
            Share of the samples that the region contains at least, between 0
            and 1.

        Returns
        -------
        radius : float
            The region is :math:`\{x : \|x - \hat x\| \le q\}`.
        """
        rank = math.ceil(checked_level(level) * self.n)
        return float(np.sort(self.norms)[rank - 1])

    def contains(self, x: ElementLike, level: float) -> bool:
        """Return whether an image lies in the region of a level.

        Parameters
        ----------
        x : element of the space, or array-like
            Image.
        level : float
            Level of the region, see `radius`.

        Returns
        -------
        contains : bool
            True at a distance from the estimate of at most the radius.
        """
        x = self.estimate.space.element(x)
        return distance(x, self.estimate) <= self.radius(level)

    def quantiles(self, levels: Sequence[float]) -> list[Element]:
        """Return quantiles of the samples, in each pixel.

        Parameters
        ----------
        levels : sequence of float
            Levels from 0 to 1.

        Returns
        -------
        quantiles : list of element
            One for each level. For complex values, quantiles of the real and
            of the imaginary part.

        Raises
        ------
        ValueError
            If the samples were not kept, or a level is out of its range.
        """
        levels = [real_number('levels', one, 0, 1) for one in levels]
        kept = self._the_kept()
        flat = kept.flatten(1)
        result = np.empty((len(levels), flat.shape[1]))
        width = max(1, _AT_ONCE // self.n)
        for start in range(0, flat.shape[1], width):
            part = slice(start, start + width)
            result[:, part] = np.quantile(flat[:, part], levels, axis=0)
        found = torch.from_numpy(result).to(kept.dtype)
        space = self.estimate.space
        return [
            as_element(one.reshape(kept.shape[1:]), space, copy=True)
            for one in found
        ]

    def interval(self, level: float) -> tuple[Element, Element]:
        r"""Return the ends of an interval for each pixel of the truth.

        Parameters
        ----------
        level : float
            Share of the samples between the ends, between 0 and 1.

        Returns
        -------
        lower, upper : element
            The ends. For complex values, of the real and of the imaginary
            part.

        Raises
        ------
        ValueError
            If the samples were not kept, or the level is out of its range.

        Notes
        -----
        With the quantiles :math:`q` of the samples and
        :math:`\beta = (1 - \alpha) / 2`,

        .. math::
            [2 \hat x - q_{1 - \beta},\; 2 \hat x - q_\beta],

        as :math:`x^* - \hat x` is distributed like :math:`\hat x - x_i`. So
        the interval corrects the bias.
        """
        tail = float((1 - checked_level(level)) / 2)
        low, high = self.quantiles([tail, 1 - tail])
        return 2 * self.estimate - high, 2 * self.estimate - low

    def covered(self, x: ElementLike, level: float) -> float:
        """Return the share of the pixels of an image in their intervals.

        Parameters
        ----------
        x : element of the space, or array-like
            Image.
        level : float
            Level of the intervals, see `interval`.

        Returns
        -------
        share : float
            From 0 to 1. The real and the imaginary part of a complex pixel
            count as two.
        """
        x = as_tensor(self.estimate.space.element(x))
        low, high = map(as_tensor, self.interval(level))
        return float(((low <= x) & (x <= high)).double().mean())

    def _the_kept(self):
        if self._kept is None:
            raise ValueError(
                'the samples were not kept, so there are no quantiles and no '
                'intervals of pixels: pass `keep_samples=True`; mean, '
                'standard deviation and radius need no samples'
            )
        return self._kept

    def __repr__(self):
        """Return the number of samples and the size of their deviations."""
        error = self.mean_squared_error**0.5
        size = float(self.estimate.norm())
        return f'<{self.n} samples, error of {error:.3g} for {size:.3g}>'
