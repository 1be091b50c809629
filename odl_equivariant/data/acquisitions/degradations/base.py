# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What inverse problems of image processing have in common."""

from __future__ import annotations

import abc
from typing import Literal, TypeAlias

import numpy as np
import odl

from odl_equivariant._checks import (
    array_shape,
    one_of,
    positive_number,
    real_number,
)
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Operator,
    Random,
    VolumeShape,
)
from odl_equivariant.data._checks import as_array, image_on
from odl_equivariant.data.acquisitions.base import Acquisition
from odl_equivariant.data.acquisitions.ranges import (
    HIDING_NOISE,
    IMAGE_SCALE,
    ScaleCheck,
    check_noise,
)
from odl_equivariant.elements import (
    element_from_array,
    grid_shape,
    is_complex,
)
from odl_equivariant.functionals.data_fits.base import checked_data

__all__ = ('Dtype', 'Degradation', 'centred_space', 'image_element')

Dtype: TypeAlias = Literal['float32', 'float64', 'complex64', 'complex128']
_DTYPES = ('float32', 'float64', 'complex64', 'complex128')


def centred_space(
    shape: ImageShape | VolumeShape,
    side: float,
    dtype: Dtype,
    backend: Backend,
    n_axes: int = 2,
) -> odl.DiscretizedSpace:
    """Return a space of images with square cells, centred at the origin.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the images.
    side : float
        Length of the longest side.
    dtype : {'float32', 'float64', 'complex64', 'complex128'}
        Precision of the images, and whether they are complex.
    backend : {'numpy', 'pytorch'}
        Array back-end.
    n_axes : int, optional
        Number of axes that the shape must have, 3 for volumes of cubic cells.

    Raises
    ------
    ValueError
        If the shape or the side is not positive, or a name is unknown.
    """
    shape = array_shape('shape', shape, n_axes)
    one_of('dtype', dtype, _DTYPES)
    one_of('backend', backend, ('numpy', 'pytorch'))
    side = positive_number('side', side)
    half = [side / max(shape) * n / 2 for n in shape]
    return odl.uniform_discr(
        [-h for h in half], half, shape, dtype=dtype, impl=backend
    )


def image_element(
    space: odl.DiscretizedSpace, image: Image, name: str
) -> Element:
    """Return an image as an element of a space.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        Space of the images.
    image : array-like or element of a DiscretizedSpace
        Finite image of the shape of ``space``, and of its extent if it has
        one.
    name : str
        Name of the acquisition, for messages.

    Raises
    ------
    ValueError
        If the image has another shape or extent, is complex where ``space``
        is real, or has values that are infinite or not a number.
    """
    array = image_on(space, image, name)
    if space.is_real and np.iscomplexobj(array):
        raise ValueError(
            f"the image is complex: pass dtype='complex64' to {name}, or its "
            'magnitude'
        )
    return element_from_array(array, space)


class Degradation(Acquisition):
    """Data of a linear operator, with white Gaussian noise of one level.

    Subclasses make ``operator`` and keep their settings.

    Parameters
    ----------
    operator : odl.Operator
        Linear operator on images.
    sigma : float
        Standard deviation of the noise of a reading, in the unit of the
        images: of a complex one, in the real and in the imaginary part. 0
        for none.
    side : float
        Length of the longer side of the images.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the images, centred at the origin.
    operator : odl.Operator
        The operator from images to data.
    sigma : float
        The noise level.
    """

    def __init__(self, operator: Operator, sigma: float, side: float) -> None:
        self.space = operator.domain
        self.operator = operator
        self.sigma = real_number('sigma', sigma, 0)
        self.side = positive_number('side', side)
        self._scale_check = ScaleCheck()

    def simulate(self, image: Image, rng: Random = None) -> Element:
        """Return data of an image, with noise.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image of the shape of ``space``. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.

        Raises
        ------
        ValueError
            If the image has another shape or extent, is complex where
            ``space`` is real, or has values that are infinite or not a
            number.
        """
        return self._noisy(self.operator(self._compared(image)), rng)

    def _compared(self, image):
        """Return an image as `ground_truth`, once compared with the noise."""
        truth = self.ground_truth(image)
        check_noise(
            self._scale_check,
            as_array(truth),
            self.sigma,
            IMAGE_SCALE,
            HIDING_NOISE,
        )
        return truth

    def add_noise(self, data: ElementLike, rng: Random = None) -> Element:
        """Return data with noise, as `simulate` adds it.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Data without noise. They are not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.

        Raises
        ------
        ValueError
            If the data have another shape, are complex where they should be
            real, or have values that are infinite or not a number.
        """
        return self._noisy(self._checked(data), rng)

    def _checked(self, data):
        """Return finite data as a new element of the range."""
        return checked_data('data', data, self.operator.range)

    def _noisy(self, data, rng, seen=1.0):
        """Return data with noise; ``seen`` are factors of the noise."""
        if not self.sigma:
            return data
        rng = np.random.default_rng(rng)
        shape = grid_shape(data.space)
        noise = rng.standard_normal(shape)
        if is_complex(data.space):
            noise = noise + 1j * rng.standard_normal(shape)
        noise = self.sigma * (seen * noise)
        return data + element_from_array(noise, data.space)

    def ground_truth(self, image: Image) -> Element:
        """Return an image as an element of ``space``.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.

        Returns
        -------
        image : element of ``space``
            What a reconstruction is compared with.
        """
        return image_element(self.space, image, type(self).__name__)

    @abc.abstractmethod
    def _own_settings(self):
        """Return the arguments between ``shape`` and ``sigma``, in order."""

    def _settings(self):
        return {
            'shape': self.shape,
            **self._own_settings(),
            'sigma': self.sigma,
            'side': self.side,
            'dtype': str(self.space.dtype_identifier),
            'backend': self.space.impl,
        }

    def baseline(self, data: ElementLike) -> Element:
        """Return the adjoint operator applied to the data.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Data as `simulate` returns them.

        Returns
        -------
        image : element of ``space``
            The simplest reconstruction.

        Raises
        ------
        ValueError
            If the data have another shape, are complex where they should be
            real, or have values that are infinite or not a number.
        """
        return self.operator.adjoint(self._checked(data))
