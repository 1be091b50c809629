# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Denoising as an acquisition: the data are an image and noise."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import odl
import torch

from odl_equivariant._checks import one_of, positive_number
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Random,
)
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.base import (
    Acquisition,
    as_pair,
)
from odl_equivariant.data.acquisitions.degradations.base import (
    Dtype,
    centred_space,
    image_element,
)
from odl_equivariant.data.acquisitions.ranges import (
    HIDING_NOISE,
    IMAGE_SCALE,
    ScaleCheck,
    check_noise,
)
from odl_equivariant.elements import element_from_array, tensor_dtype

__all__ = ('Denoising',)

Levels = Literal['logarithmic', 'triangular', 'uniform']


class Denoising(Acquisition):
    r"""Images with white Gaussian noise, at a random level.

    Denoisers for plug-and-play methods are trained with it, see
    `odl_equivariant.functionals.LearnedProximal`. The network is told the
    noise level of each sample.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images. From a larger image, `pair` takes a random patch
        of this shape.
    sigma : float or tuple of 2 floats, optional
        Standard deviation of the noise, in the unit of the images: one
        number, or the least and the greatest one. The noise of a complex
        image has it in the real and in the imaginary part.
    side : float, optional
        Length of the image's longer side. Only ``space`` depends on it.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}, optional
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL space.
    levels : {'logarithmic', 'triangular', 'uniform'}, optional
        Whether the logarithm of the noise level is uniformly distributed, or
        the level itself; or whether the density of the level falls linearly
        from the middle to both ends, so that three quarters of the levels
        lie in the middle half.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the images, centred at the origin.
    operator : odl.IdentityOperator
        The identity on ``space``.
    sigma : tuple of 2 floats
        The least and the greatest noise level.

    Raises
    ------
    ValueError
        If a size, a length or a noise level is not positive, the least level
        is above the greatest, or a name is unknown.
    TypeError
        If a number is none.

    Notes
    -----
    The data are

    .. math::
        y = u + \sigma \varepsilon, \qquad
        \log \sigma \sim \mathcal{U}(\log \sigma_{\min}, \log \sigma_{\max}),
        \quad \varepsilon \sim \mathcal{N}(0, I),

    or :math:`\sigma \sim \mathcal{U}(\sigma_{\min}, \sigma_{\max})`, or
    :math:`\sigma` has the triangular distribution of the same ends, whose
    mode is their mean.

    Examples
    --------
    >>> from odl_equivariant.data import Denoising, ellipse_phantom
    >>> denoising = Denoising((32, 32), sigma=(0.01, 0.1))
    >>> pair = denoising.pair(ellipse_phantom((64, 64), rng=0), rng=0)
    >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
    {'data': (1, 32, 32), 'truth': (1, 32, 32), 'sigma': ()}
    >>> 0.01 <= float(pair['sigma']) <= 0.1
    True
    """

    baseline_name = 'noisy'

    _n_axes = 2

    def __init__(
        self,
        shape: ImageShape = (64, 64),
        sigma: float | tuple[float, float] = (0.003, 0.1),
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
        levels: Levels = 'logarithmic',
    ) -> None:
        self.levels = one_of('levels', levels, get_args(Levels))
        self.space = centred_space(shape, side, dtype, backend, self._n_axes)
        self.sigma = _checked_levels(sigma)
        self.side = positive_number('side', side)
        self.operator = odl.IdentityOperator(self.space)
        self._scale_check = ScaleCheck()

    def draw_sigma(self, rng: Random = None) -> float:
        """Draw a noise level, see ``levels``.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness.

        Returns
        -------
        sigma : float
            Standard deviation of the noise.
        """
        low, high = self.sigma
        if low == high:
            return low
        rng = np.random.default_rng(rng)
        if self.levels == 'uniform':
            return rng.uniform(low, high)
        if self.levels == 'triangular':
            return rng.triangular(low, (low + high) / 2, high)
        drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
        # of rounding, nothing is left
        return min(max(drawn, low), high)

    def simulate(
        self, image: Image, rng: Random = None, sigma: float | None = None
    ) -> Element:
        """Return an image with noise.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image of the shape of ``space``. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise, and of its level.
        sigma : float, optional
            Noise level. Default: a random one, see `draw_sigma`.

        Returns
        -------
        data : element of ``space``
            The noisy image.

        Raises
        ------
        ValueError
            If the image has another shape or extent, is complex where
            ``space`` is real, or has values that are infinite or not a
            number.
        """
        rng = np.random.default_rng(rng)
        if sigma is None:
            sigma = self.draw_sigma(rng)
        sigma = positive_number('sigma', sigma)
        truth = self.ground_truth(image)
        # a dark patch in strong noise is what a denoiser has to know
        check_noise(
            self._scale_check,
            as_array(truth),
            sigma,
            IMAGE_SCALE,
            HIDING_NOISE,
        )
        return self.add_noise(truth, rng, sigma)

    def add_noise(
        self,
        data: ElementLike,
        rng: Random = None,
        sigma: float | None = None,
    ) -> Element:
        """Return an image with noise, see `simulate`.

        Parameters
        ----------
        data : element of ``space`` or array-like
            Image of the shape of ``space``. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise, and of its level.
        sigma : float, optional
            Noise level. Default: a random one, see `draw_sigma`.

        Returns
        -------
        data : element of ``space``
            The noisy image.
        """
        rng = np.random.default_rng(rng)
        if sigma is None:
            sigma = self.draw_sigma(rng)
        array = as_array(self.ground_truth(data))
        noise = rng.standard_normal(array.shape)
        if not self.space.is_real:
            noise = noise + 1j * rng.standard_normal(array.shape)
        noisy = array + positive_number('sigma', sigma) * noise
        return element_from_array(noisy, self.space)

    def ground_truth(self, image: Image) -> Element:
        """Return an image as an element of ``space``.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.

        Returns
        -------
        image : element of ``space``
            What a denoised image is compared with.
        """
        return image_element(self.space, image, type(self).__name__)

    def baseline(self, data: ElementLike) -> Element:
        """Return the noisy image itself, as an element of ``space``."""
        return self.ground_truth(data)

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return noisy and clean image, and the noise level, as tensors.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image of the shape of ``space``, or an array that is larger along
            some axes, of which a random patch is taken.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the patch, the noise and its level.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`; with ``'sigma'``, a tensor of shape
            ``()``.

        Raises
        ------
        ValueError
            As `simulate`.
        """
        rng = np.random.default_rng(rng)
        if getattr(image, 'space', None) is None:
            image = self._patch(as_array(image), rng)
        sigma = self.draw_sigma(rng)
        pair = as_pair(
            self.simulate(image, rng, sigma), self.ground_truth(image)
        )
        dtype = tensor_dtype(self.space)
        return {**pair, 'sigma': torch.tensor(sigma, dtype=dtype)}

    def _patch(self, array, rng):
        if array.ndim != self._n_axes or any(
            n < m for n, m in zip(array.shape, self.shape, strict=True)
        ):
            raise ValueError(
                f'`image` must have at least the shape {self.shape}, got '
                f'{array.shape}'
            )
        corner = [
            int(rng.integers(n - m + 1))
            for n, m in zip(array.shape, self.shape, strict=True)
        ]
        return array[
            tuple(
                slice(i, i + m)
                for i, m in zip(corner, self.shape, strict=True)
            )
        ]

    def _settings(self):
        return {
            'shape': self.shape,
            'sigma': self.sigma,
            'side': self.side,
            'dtype': str(self.space.dtype_identifier),
            'backend': self.space.impl,
            'levels': self.levels,
        }


def _checked_levels(sigma):
    """Return the least and the greatest noise level."""
    if np.ndim(sigma) == 0:
        sigma = (sigma, sigma)
    if np.shape(sigma) != (2,):
        raise ValueError(
            '`sigma` must be a noise level, or the least and the greatest '
            f'one, got {sigma!r}'
        )
    low, high = (positive_number('sigma', level) for level in sigma)
    if low > high:
        raise ValueError(
            'the first of two noise levels in `sigma` must be the least one, '
            f'got {low} and {high}'
        )
    return low, high
