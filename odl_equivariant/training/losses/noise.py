# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""The noise of data: given, known by the acquisition, or estimated."""

from __future__ import annotations

import abc
import inspect
import math
from typing import Any, Literal

import torch

from odl_equivariant._checks import one_of, positive_number, real_number
from odl_equivariant.training.losses.problem import Problem

__all__ = (
    'GaussianNoise',
    'Noise',
    'PoissonGaussianNoise',
    'PoissonNoise',
    'estimated_level',
)

_MEDIAN = 0.6745
_OF_DIFFERENCES = 6**0.5
_OUTER = 0.9
_FEWEST = 16


class Noise(abc.ABC):
    r"""Independent noise of data with a variance that may depend on them.

    The variance of reading :math:`i` is
    :math:`v_i = \gamma\, y_i + \sigma_i^2`, with the expected reading
    :math:`y_i`.
    """

    gain: float = 0.0

    def check(self, acquisition: Any) -> None:  # noqa: B027
        """Raise a ValueError if the noise of the data is not known.

        Parameters
        ----------
        acquisition : Acquisition
            Acquisition of the data.
        """

    @abc.abstractmethod
    def variance(self, problem: Problem) -> torch.Tensor:
        r"""Return unbiased estimates of the variances of the readings.

        Parameters
        ----------
        problem : Problem
            Data of a batch.

        Returns
        -------
        variance : torch.Tensor
            Tensor that broadcasts to the data, of each real number.
        """

    def gaussian(self, problem: Problem) -> torch.Tensor:
        r"""Return the part :math:`\sigma_i^2` that does not count photons."""
        return self.variance(problem)

    @abc.abstractmethod
    def add(self, problem: Problem, data: torch.Tensor) -> torch.Tensor:
        """Return exact data with new noise, where data are measured.

        Parameters
        ----------
        problem : Problem
            Data that tell the noise level, and random numbers.
        data : torch.Tensor
            Exact data, of the shape of those of the problem.

        Returns
        -------
        data : torch.Tensor
            Noisy data, zero where none are measured.
        """

    def __repr__(self) -> str:
        """Return the class and the arguments."""
        names = inspect.signature(type(self)).parameters
        given = ', '.join(f'{name}={getattr(self, name)!r}' for name in names)
        return f'{type(self).__name__}({given})'


class GaussianNoise(Noise):
    r"""Gaussian noise that does not depend on the image.

    Parameters
    ----------
    sigma : float, 'estimate' or None, optional
        Standard deviation of each real number, in the unit in which measured
        data were read; a complex one has two. With
        ``'estimate'``, it is estimated from each sample, see
        ``estimated_level``. Default: that of the acquisition.

    Raises
    ------
    ValueError
        If the level is not positive, or the acquisition does not know it.

    Notes
    -----
    For tomography by transmission, the level that the acquisition knows is
    that of the logarithms of counts, :math:`v_i = e^{\mu y_i} / (\mu^2
    N_0)`, with the measured :math:`y_i` in place of the expected ones: exact
    up to :math:`1 / N_i` for :math:`N_i` counted photons.
    """

    def __init__(
        self, sigma: float | Literal['estimate'] | None = None
    ) -> None:
        if isinstance(sigma, str):
            one_of('sigma', sigma, ('estimate',))
        elif sigma is not None:
            sigma = _positive(sigma, 'it was given')
        self.sigma = sigma

    def check(self, acquisition: Any) -> None:
        """Raise a ValueError if the level is zero or not known."""
        if self.sigma is None:
            _known(acquisition)

    def variance(self, problem: Problem) -> torch.Tensor:
        """Return the variances of the readings, see `Noise.variance`."""
        scale = 1.0 if problem.scale is None else _each(problem, problem.scale)
        if isinstance(self.sigma, float):
            return problem.data.new_tensor(self.sigma**2) / scale**2
        if self.sigma == 'estimate':
            return _each(problem, estimated_level(problem)) ** 2
        if problem.sigma is not None:
            return _each(problem, problem.sigma) ** 2
        if problem.noise_level is not None:
            if not bool(problem.noise_level.isfinite().all()):
                raise ValueError(
                    'the files of measured data do not say their noise '
                    'level: give `GaussianNoise` a `sigma`, in the unit of '
                    'the files, or `sigma: estimate`'
                )
            return _each(problem, problem.noise_level) ** 2
        kind, level = _known(problem.acquisition)
        if kind == 'sigma':
            return problem.data.new_tensor(level**2)
        mu = float(getattr(problem.acquisition, 'mu_max', 1.0)) * scale
        photons = torch.as_tensor(level).to(problem.data)
        return (mu * problem.data).exp() / (mu**2 * photons)

    def add(self, problem: Problem, data: torch.Tensor) -> torch.Tensor:
        """Return noisy data, see `Noise.add`."""
        noise = self.variance(problem).sqrt() * problem.normal()
        return problem.measured * (data + noise)


class PoissonNoise(Noise):
    r"""Numbers of photons times a gain.

    Parameters
    ----------
    gain : float
        Reading of one photon, :math:`\gamma`.

    Notes
    -----
    The data are :math:`y = \gamma k` with counts
    :math:`k \sim \mathrm{Poisson}(A x / \gamma)`. Readings that are linear
    in the image have it, as in emission tomography.
    Logarithms of counts have not: take `GaussianNoise` for them.
    """

    def __init__(self, gain: float) -> None:
        self.gain = _positive(gain, 'it was given', 'gain')

    def check(self, acquisition: Any) -> None:
        """Raise a ValueError for data that are no counts."""
        _check_counts(self, acquisition)

    def variance(self, problem: Problem) -> torch.Tensor:
        """Return the variances of the readings, see `Noise.variance`."""
        return self.gain * problem.data

    def gaussian(self, problem: Problem) -> torch.Tensor:
        """Return zero: all noise is that of photons."""
        return problem.data.new_zeros(())

    def add(self, problem: Problem, data: torch.Tensor) -> torch.Tensor:
        """Return noisy data, see `Noise.add`; without a gradient."""
        return problem.measured * _photons(problem, data, self.gain)


class PoissonGaussianNoise(Noise):
    r"""Counts of photons, and Gaussian noise of the electronics.

    Parameters
    ----------
    gain : float
        Reading of one photon, :math:`\gamma`.
    sigma : float
        Standard deviation of the Gaussian part.
    """

    def __init__(self, gain: float, sigma: float) -> None:
        self.gain = _positive(gain, 'it was given', 'gain')
        self.sigma = _positive(sigma, 'it was given')

    def check(self, acquisition: Any) -> None:
        """Raise a ValueError for data that are no counts."""
        _check_counts(self, acquisition)

    def variance(self, problem: Problem) -> torch.Tensor:
        """Return the variances of the readings, see `Noise.variance`."""
        return self.gain * problem.data + self.sigma**2

    def gaussian(self, problem: Problem) -> torch.Tensor:
        r"""Return :math:`\sigma^2`."""
        return problem.data.new_tensor(self.sigma**2)

    def add(self, problem: Problem, data: torch.Tensor) -> torch.Tensor:
        """Return noisy data, see `Noise.add`; without a gradient."""
        counted = _photons(problem, data, self.gain)
        noisy = counted + self.sigma * problem.normal()
        return problem.measured * noisy


def _each(problem, numbers):
    """Return a number for each sample, with the axes of the data."""
    numbers = numbers.to(problem.data)
    return numbers.reshape(-1, *(problem.data.ndim - 1) * [1])


def _photons(problem, data, gain):
    rate = (data.detach() / gain).clamp_min(0).cpu()
    counts = torch.poisson(rate, generator=problem.generator)
    noise = gain * counts.to(data) - data.detach()
    # so that the gradient is that of the exact data
    return data + noise


def _check_counts(noise, acquisition):
    if hasattr(acquisition, 'n_photons') or not acquisition.space.is_real:
        raise ValueError(
            f'{noise!r} is for readings that count photons. The data of '
            f'{type(acquisition).__name__} are '
            + (
                'logarithms of counts'
                if acquisition.space.is_real
                else 'complex'
            )
            + ': take `GaussianNoise`'
        )


def _positive(value, why, name='sigma'):
    value = real_number(name, value, 0)
    if value == 0:
        raise ValueError(
            f'the noise level `{name}` is 0, as {why}: an unbiased estimate '
            'of the risk needs noise. For data without noise take '
            '`MeasurementConsistency`, `EquivariantImaging` or '
            '`EquivariantSplitting`; for an unknown level, `sigma: estimate`'
        )
    return positive_number(name, value)


def _known(acquisition):
    """Return the kind and the level of the noise of an acquisition."""
    name = type(acquisition).__name__
    if hasattr(acquisition, 'n_photons'):
        if acquisition.n_photons is None:
            raise ValueError(
                f'the noise level is 0 or unknown, as `n_photons` of {name} '
                'is None: set it, or give `GaussianNoise` a `sigma`, or '
                '`sigma: estimate`'
            )
        return 'n_photons', acquisition.n_photons
    level = getattr(acquisition, 'sigma', None)
    if level is None:
        raise ValueError(
            f'{name} knows no noise level: give `GaussianNoise` a `sigma`, '
            'or `sigma: estimate`'
        )
    if isinstance(level, tuple):
        level = level[0]
    return 'sigma', _positive(level, f'`sigma` of {name} is')


def estimated_level(problem: Problem) -> torch.Tensor:
    r"""Return the standard deviation of white noise in each sample.

    Parameters
    ----------
    problem : Problem
        Data of a batch.

    Returns
    -------
    level : torch.Tensor
        Tensor of shape ``(N,)``, of each real number.

    Raises
    ------
    ValueError
        If there are too few readings, or the estimate is 0.

    Notes
    -----
    Of real data, such as sinograms, it is the median of the absolute second
    differences along the last axis, over :math:`0.6745 \sqrt 6`, as normal
    noise has it; the object enters where it is rough. Of complex data, which
    are k-space, it is the median of the absolute values at the highest
    tenth of the measured frequencies, over 0.6745: an upper bound, as fine
    as the signal is weak there.
    """
    data, shape = problem.data, problem.data.shape
    if problem.acquisition.space.is_real:
        if shape[-1] < _FEWEST:
            raise ValueError(
                f'the noise level is estimated from at least {_FEWEST} '
                f'detector elements, got {shape[-1]}: give `sigma`'
            )
        differences = data.diff(n=2, dim=-1).abs().flatten(1)
        levels = differences.median(1).values / (_MEDIAN * _OF_DIFFERENCES)
    else:
        levels = torch.stack(
            [
                _outer_level(sample, mask)
                for sample, mask in zip(
                    data, problem.measured.expand(shape), strict=True
                )
            ]
        )
    if not bool((levels > 0).all()):
        raise ValueError(
            'the estimated noise level is 0: most data have no noise. Take a '
            'loss for data without noise, or give `sigma`'
        )
    return levels


def _outer_level(sample, mask):
    """Return the level at the highest measured frequencies."""
    sides = sample.shape[1:]
    axes = [
        ((torch.arange(n) - n // 2) / (n / 2)).square().to(sample)
        for n in sides
    ]
    radius = sum(
        axis.reshape([-1 if i == k else 1 for i in range(len(sides))])
        for k, axis in enumerate(axes)
    ).expand(sample.shape)
    mask = mask & (sample != 0)
    if int(mask.sum()) < _FEWEST:
        raise ValueError(
            f'the noise level is estimated from at least {_FEWEST} samples, '
            f'got {int(mask.sum())}: give `sigma`'
        )
    threshold = torch.quantile(radius[mask].float()[:: _stride(mask)], _OUTER)
    outer = sample[mask & (radius >= threshold)].abs()
    return outer.median() / _MEDIAN


def _stride(mask):
    # `torch.quantile` takes at most 16 million numbers
    return max(1, math.ceil(int(mask.sum()) / 2**20))
