# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Noise that is added to data without noise."""

from __future__ import annotations

import numpy as np
import torch

from odl_equivariant._checks import positive_number, real_number
from odl_equivariant._types import Element, Random
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    is_complex,
    tensor_dtype,
)

__all__ = ('GaussianNoise', 'PoissonNoise', 'noise_function')


class GaussianNoise:
    r"""White Gaussian noise, :math:`y + \sigma \varepsilon`.

    Parameters
    ----------
    sigma : float or array-like
        Standard deviation, of the real and of the imaginary part of a
        complex value. An array, which must broadcast to the data, has one for
        each reading, such as 0 where k-space is not sampled.

    Raises
    ------
    TypeError
        If ``sigma`` is not real.
    ValueError
        If a standard deviation is negative or not finite.

    Examples
    --------
    >>> import odl
    >>> noisy = GaussianNoise(0.1)(odl.rn(2).zero(), rng=0)
    >>> [round(float(value), 3) for value in noisy]
    [0.013, -0.013]
    """

    def __init__(self, sigma: float | np.ndarray) -> None:
        if np.ndim(sigma) == 0:
            self.sigma = real_number('sigma', sigma, least=0)
            return
        array = np.asarray(sigma)
        if array.dtype.kind not in 'fiu':
            raise TypeError(f'`sigma` must be real, got {array.dtype}')
        if not np.isfinite(array).all() or (array < 0).any():
            raise ValueError('`sigma` must be finite and not negative')
        self.sigma = array.astype(np.float64)

    def __call__(self, data: Element, rng: Random = None) -> Element:
        """Return data with noise.

        Parameters
        ----------
        data : element
            Data without noise.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of the same space
            Noisy data.
        """
        # in the tensor layout, real and imaginary parts are channels
        channels = as_tensor(data)[0].cpu().numpy()
        noise = np.random.default_rng(rng).standard_normal(channels.shape)
        return _element(channels + self.sigma * noise, data.space)

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'GaussianNoise({self.sigma!r:.60})'


class PoissonNoise:
    r"""Counts of photons times a gain.

    Parameters
    ----------
    gain : float
        Reading :math:`\gamma` of one photon.

    Notes
    -----
    The data are :math:`\gamma N` with :math:`N \sim \mathrm{Poisson}(y /
    \gamma)`, of the variance :math:`\gamma y`, as in emission tomography. The
    logarithms of counts have the noise of their acquisition, see
    `SparseViewCT`. Values below 0, which operators may return for transformed
    images, are taken for 0.

    Examples
    --------
    >>> import odl
    >>> PoissonNoise(0.5)(odl.rn(2).one(), rng=0).asarray().tolist()
    [1.0, 0.0]
    """

    def __init__(self, gain: float) -> None:
        self.gain = positive_number('gain', gain)

    def __call__(self, data: Element, rng: Random = None) -> Element:
        """Return counts over the gain, see `GaussianNoise.__call__`.

        Raises
        ------
        TypeError
            If the data are complex.
        """
        if is_complex(data.space):
            raise TypeError('counts are real, got complex data')
        mean = as_tensor(data)[0].cpu().double().clamp(min=0) / self.gain
        counts = np.random.default_rng(rng).poisson(mean.numpy())
        return _element(self.gain * counts, data.space)

    def __repr__(self):
        """Return ``repr(self)``."""
        return f'PoissonNoise({self.gain!r})'


def _element(channels, space):
    tensor = torch.from_numpy(channels).to(tensor_dtype(space))
    return as_element(tensor, space, copy=True)


def noise_function(noise):
    """Return what adds noise to an element, given a source of randomness."""
    if noise is None:
        return lambda data, rng: data
    if hasattr(noise, 'add_noise'):
        _check_is_own(noise)
        return noise.add_noise
    if not callable(noise):
        raise TypeError(
            'expected `noise` to be an acquisition, a callable that maps '
            '(data, rng) to noisy data, or None, got '
            f'{type(noise).__name__}; a number is the level of '
            '`GaussianNoise(sigma)`'
        )
    return noise


def _check_is_own(acquisition):
    """Raise an error where a class simulates with noise that is not known."""
    for cls in type(acquisition).__mro__:
        if 'add_noise' in vars(cls):
            return
        if 'simulate' in vars(cls):
            raise TypeError(
                f'{cls.__name__} has its own `simulate`, and the noise of '
                'another class: define `add_noise(data, rng)`, too'
            )
