# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Deblurring: images that were convolved with a kernel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import positive_number, real_number
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    ImageShape,
)
from odl_equivariant.data.acquisitions.degradations.base import (
    Degradation,
    Dtype,
    centred_space,
)
from odl_equivariant.operators.degradations.convolution import (
    Boundary,
    Convolution,
)

__all__ = ('Deblurring', 'gaussian_kernel')

_REACH = 3.0  # standard deviations, where a Gaussian is cut
_MOST = 4096  # weights along an axis


def _reach(width):
    return math.ceil(_REACH * width)


def gaussian_kernel(
    width: float, across: float | None = None, angle: float = 0.0
) -> np.ndarray:
    r"""Return the weights of a Gaussian blur, whose sum is 1.

    Parameters
    ----------
    width : float
        Standard deviation in cells, along axis 0 if the angle is 0.
    across : float, optional
        Standard deviation across it. Default: ``width``, the same in all
        directions.
    angle : float, optional
        Angle of ``width`` to axis 0, counter-clockwise, in radians, at most
        a turn.

    Returns
    -------
    kernel : numpy.ndarray
        Array with odd sides, cut at three standard deviations.

    Raises
    ------
    TypeError
        If a width or the angle is no number.
    ValueError
        If a width is not positive, the angle not finite or more than a turn,
        or the kernel would have more than 4096 weights along an axis.

    Examples
    --------
    >>> kernel = gaussian_kernel(1.0)
    >>> kernel.shape, bool(np.isclose(kernel.sum(), 1))
    ((7, 7), True)
    """
    width = positive_number('width', width)
    across = width if across is None else positive_number('across', across)
    angle = real_number('angle', angle)
    if abs(angle) > 2 * math.pi:
        raise ValueError(
            f'`angle` {angle:g} is in radians, and more than a turn: for '
            f'{angle:g} degrees give `numpy.deg2rad({angle:g})`'
        )
    reach = _reach(max(width, across))
    if 2 * reach + 1 > _MOST:
        raise ValueError(
            f'a Gaussian of the width {max(width, across):g} has a kernel of '
            f'{2 * reach + 1} weights along each axis, and at most {_MOST} '
            'are made: widths are in cells, not in the unit of the domain'
        )
    x, y = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = (np.cos(angle) * x + np.sin(angle) * y) / width
    beside = (np.cos(angle) * y - np.sin(angle) * x) / across
    kernel = np.exp(-(along**2 + beside**2) / 2)
    return kernel / kernel.sum()


class Deblurring(Degradation):
    r"""Images that are blurred, with noise.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images.
    kernel : float or array-like, optional
        Weights of the blur, with two axes, see
        `odl_equivariant.operators.Convolution`; or the standard deviation of
        a Gaussian, in cells.
    boundary : {'periodic', 'zeros', 'replicate', 'reflect'}, optional
        How images go on past their boundary.
    sigma : float, optional
        Standard deviation of the noise, in the unit of the images; 0 for
        none.
    side : float, optional
        Length of the longer side of the images.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}, optional
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL space.

    Raises
    ------
    ValueError
        If the kernel is larger than the image, zero, or not finite, or a
        number is out of range.
    TypeError
        If a number is none.

    Notes
    -----
    The data are :math:`y = k * u + \sigma \varepsilon`. A Gaussian has no null
    space, but what it leaves of fine details is below the noise. With the
    kernel ``[[1.0]]`` the problem is denoising, and has a trivial kernel.

    Examples
    --------
    >>> deblurring = Deblurring((32, 32), kernel=1.5, sigma=0.01)
    >>> deblurring.kernel.shape
    (11, 11)
    >>> deblurring.simulate(np.ones((32, 32)), rng=0) in deblurring.space
    True
    """

    baseline_name = 'blurred'

    def __init__(
        self,
        shape: ImageShape = (64, 64),
        kernel: float | ArrayLike = 1.5,
        boundary: Boundary = 'reflect',
        sigma: float = 0.01,
        side: float = 1.0,
        dtype: Dtype = 'float32',
        backend: Backend = 'numpy',
    ) -> None:
        space = centred_space(shape, side, dtype, backend)
        # of lists, whose rows may have different lengths, there is no `ndim`
        if not isinstance(kernel, list | tuple) and np.ndim(kernel) == 0:
            kernel = positive_number('kernel', kernel)
            weights = 2 * _reach(kernel) + 1
            if weights > min(space.shape):
                raise ValueError(
                    f'`kernel` {kernel:g} is the width of a Gaussian in '
                    f'cells, of {weights} x {weights} weights, which is '
                    f'larger than the images, of the shape '
                    f'{tuple(space.shape)}: take at most '
                    f'{(min(space.shape) - 1) // 2 / _REACH:.3g}'
                )
            kernel = gaussian_kernel(kernel)
        super().__init__(Convolution(space, kernel, boundary), sigma, side)

    @property
    def kernel(self) -> np.ndarray:
        """Weights of the blur, read-only."""
        return self.operator.kernel

    def baseline(self, data: ElementLike) -> Element:
        """Return the blurred image itself, as an element of ``space``.

        Parameters
        ----------
        data : element of ``space`` or array-like
            Data as `simulate` returns them.

        Returns
        -------
        image : element of ``space``
            The data.
        """
        return self.ground_truth(data)

    def _own_settings(self):
        return {
            'kernel': self.kernel,
            'boundary': self.operator.boundary,
        }
