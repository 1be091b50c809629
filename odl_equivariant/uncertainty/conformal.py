# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Regions and intervals whose level is guaranteed by examples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sized

import numpy as np
import torch

from odl_equivariant._checks import boolean
from odl_equivariant._types import Element, ElementLike
from odl_equivariant.elements import as_tensor
from odl_equivariant.uncertainty.progress import progress_bar
from odl_equivariant.uncertainty.result import (
    Uncertainty,
    checked_level,
    distance,
    pixelwise_size,
    real_element,
)

__all__ = ('Calibration', 'calibrate')


@dataclasses.dataclass(frozen=True)
class Calibration:
    r"""Factors that give regions and intervals their level.

    Made by `calibrate`.

    Attributes
    ----------
    level : float
        Level :math:`\alpha`.
    n : int
        Number of examples.
    radius_factor : float
        Radius of the region over the root mean squared error that the method
        estimates. A factor of about 1 says that the estimate is right.
    width_factor : float
        Half the width of the intervals of pixels over the root of the
        estimated squared error of the pixel.
    """

    level: float
    n: int
    radius_factor: float
    width_factor: float

    def radius(self, uncertainty: Uncertainty) -> float:
        """Return the radius of the region around an estimate.

        Parameters
        ----------
        uncertainty : `Uncertainty`
            Result of the method that was calibrated.

        Returns
        -------
        radius : float
            In the norm of the space.
        """
        return self.radius_factor * uncertainty.mean_squared_error**0.5

    def contains(self, uncertainty: Uncertainty, x: ElementLike) -> bool:
        """Return whether an image lies in the region.

        Parameters
        ----------
        uncertainty : `Uncertainty`
            Result of the method that was calibrated.
        x : element of the space, or array-like
            Image.

        Returns
        -------
        contains : bool
            True at a distance from the estimate of at most the radius.
        """
        x = uncertainty.estimate.space.element(x)
        gap = distance(x, uncertainty.estimate)
        return gap <= self.radius(uncertainty)

    def width(self, uncertainty: Uncertainty) -> Element:
        r"""Return half the width of the interval of each pixel.

        Parameters
        ----------
        uncertainty : `Uncertainty`
            Result of the method that was calibrated.

        Returns
        -------
        width : element of the real space
            The intervals are :math:`\{x : |x - \hat x| \le w\}`, for complex
            values a disc.
        """
        size = pixelwise_error(uncertainty)
        return real_element(
            self.width_factor * size, uncertainty.estimate.space
        )

    def covered(self, uncertainty: Uncertainty, x: ElementLike) -> float:
        """Return the share of the pixels of an image in their intervals.

        Parameters
        ----------
        uncertainty : `Uncertainty`
            Result of the method that was calibrated.
        x : element of the space, or array-like
            Image.

        Returns
        -------
        share : float
            From 0 to 1.
        """
        x = uncertainty.estimate.space.element(x)
        ratios = _ratios(uncertainty, x)
        return float((ratios <= self.width_factor).mean())


def calibrate(
    method: Callable[[Element], Uncertainty],
    pairs: Iterable[tuple[Element, Element]],
    level: float = 0.9,
    progress: bool = False,
) -> Calibration:
    r"""Return factors that give regions and intervals a guaranteed level.

    Parameters
    ----------
    method : `Bootstrap`, `Ensemble` or callable
        Maps data to an `Uncertainty`.
    pairs : iterable of (data, truth)
        Examples on which nothing was trained: data, and the element of the
        images that they are measured of.
    level : float, optional
        Level :math:`\alpha`, between 0 and 1.
    progress : bool, optional
        Whether to show a progress bar.

    Returns
    -------
    calibration : `Calibration`
        Its methods give region and intervals of an `Uncertainty`.

    Raises
    ------
    TypeError
        If ``level`` is no number, or a pair is none.
    ValueError
        If ``level`` is not between 0 and 1, or there are too few examples
        for it: the message says how many are needed. Also if an example has
        an error and an estimated one of zero.

    Notes
    -----
    **Regions**, by split conformal prediction. The score of an example is its
    error over that which the method estimates,

    .. math::
        s_j = \|x_j^* - \hat x_j\| / \sqrt{\mathrm{MSE}_j},

    and the factor :math:`q` is the k-th smallest of :math:`n` scores, with
    :math:`k = \lceil (n + 1) \alpha \rceil`. If the next example is
    exchangeable with these,

    .. math::
        \alpha \le P\big(\|x^* - \hat x\| \le q \sqrt{\mathrm{MSE}}\big)
        \le \alpha + \frac{1}{n + 1},

    whatever method and distribution are, the upper bound without ties (Lei,
    G'Sell, Rinaldo, Tibshirani and Wasserman, J. Amer. Statist. Assoc. 113,
    2018, 1094-1111). The probability is over the examples, too.

    **Intervals**, by conformal risk control (Angelopoulos, Bates, Fisch, Lei
    and Schuster, ICLR 2024). The pixels of an image are not exchangeable. So
    the share :math:`r_j(\lambda)` of pixels outside of :math:`\lambda` times
    the estimated error is the loss of an example, and

    .. math::
        \lambda = \inf \Big\{\lambda : \frac{1}{n + 1}
        \Big(\sum_j r_j(\lambda) + 1\Big) \le 1 - \alpha \Big\}.

    Then an exchangeable image has, in the mean, at least the share
    :math:`\alpha` of its pixels in their intervals.

    Both need :math:`n \ge \alpha / (1 - \alpha)` examples.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_equivariant.uncertainty import GaussianNoise, bootstrap
    >>> space = odl.uniform_discr([-1, -1], [1, 1], (8, 8))
    >>> identity = odl.IdentityOperator(space)
    >>> noise = GaussianNoise(0.1)
    >>> method = bootstrap(identity, identity, noise, n=20)
    >>> pairs = [(noise(space.one(), rng=j), space.one()) for j in range(19)]
    >>> calibration = calibrate(method, pairs, level=0.9)
    >>> bool(0.9 < calibration.radius_factor < 1.3)
    True
    """
    share = checked_level(level)
    boolean('progress', progress)
    if not isinstance(pairs, Sized):
        pairs = list(pairs)
    n = len(pairs)
    needed = math.ceil(share / (1 - share))
    if n < needed:
        raise ValueError(
            f'a level of {float(share):g} needs at least {needed} examples, '
            f'got {n}; {n} are enough for a level of {n / (n + 1):.3g}'
        )
    scores, largest = [], np.empty(0)
    kept = None
    with progress_bar(progress, n, 'calibration', 'image') as advance:
        for pair in pairs:
            data, truth = _checked_pair(pair)
            uncertainty = method(data)
            truth = uncertainty.estimate.space.element(truth)
            scores.append(_score(uncertainty, truth, len(scores)))
            ratios = _ratios(uncertainty, truth)
            if kept is None:
                # so many ratios may be above the factor
                kept = math.floor(((n + 1) * (1 - share) - 1) * ratios.size)
            # those that the result depends on
            largest = np.concatenate([largest, ratios])
            if len(largest) > kept + 1:
                largest = np.partition(largest, -kept - 1)[-kept - 1 :]
            advance()
    width = float(largest.min())
    if not math.isfinite(width):
        raise ValueError(
            f'more than {float(1 - share):.3g} of the pixels have an error, '
            'and an estimated one of zero: the samples do not vary there; '
            'take noise, or other actions'
        )
    rank = math.ceil((n + 1) * share)
    return Calibration(
        float(share), n, float(np.sort(scores)[rank - 1]), width
    )


def pixelwise_error(uncertainty):
    """Return the root of the estimated squared errors, as a tensor."""
    squared = as_tensor(uncertainty.squared_error)[0]
    return squared.cpu().double().sqrt()


def _checked_pair(pair):
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            'expected pairs (data, truth) of elements, got '
            f'{type(pair).__name__}'
        )
    return pair


def _score(uncertainty, truth, j):
    """Return the error over its estimate."""
    gap = distance(truth, uncertainty.estimate)
    size = uncertainty.mean_squared_error**0.5
    if size == 0:
        raise ValueError(
            f'all samples of example {j} are equal to its estimate, so there '
            'is nothing to scale: take noise, or actions under which '
            'reconstruction and operator are not equivariant'
        )
    return gap / size


def _ratios(uncertainty, truth):
    """Return the error over its estimate in each pixel, as a flat array."""
    gap = pixelwise_size(truth - uncertainty.estimate)
    size = pixelwise_error(uncertainty)
    ratios = torch.where(gap == 0, 0.0, gap / size)
    return ratios.flatten().numpy()
