# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Units and scales of the values of images."""

import numpy as np

from odl_equivariant._checks import one_of, real_number
from odl_equivariant.data.slices.grids import float_dtype
from odl_equivariant.data.units import convert_attenuation

__all__ = ('AIR_HU', 'LOWEST_HU', 'Values', 'check_air')

UNITS = ('HU', '1/m', 'relative')
SCALES = ('max', 'percentile')
PERCENTILE = 99
AIR_HU = -1000.0
# Outside of its field of view, a scanner writes values far below air.
LOWEST_HU = -1100.0
# A slice has a larger difference between its values. In 1 / m, bone and air
# differ by 50.
LEAST_EXTENT_HU = 100.0


class Values:
    """How a reader converts the values that it has read.

    Parameters
    ----------
    unit : {'HU', '1/m', 'relative'} or None
        Unit of attenuation to which Hounsfield units are converted. Values
        below -1100, which lie outside of the scanner's field of view, become
        air, and attenuation is at least 0.
    scale : float, {'max', 'percentile'} or None
        Factor of the values, or the magnitude that becomes 1: the largest
        one of the volume, or the 99th percentile of its magnitudes.

    Raises
    ------
    ValueError
        If a value is unknown, or both are given.
    """

    def __init__(self, unit, scale):
        self.unit = one_of('unit', unit, UNITS, optional=True)
        if isinstance(scale, str):
            one_of('scale', scale, SCALES)
        elif scale is not None:
            scale = real_number('scale', scale)
            if not scale:
                raise ValueError('`scale` must not be 0: no image is left')
        self.scale = scale
        if unit is not None and scale is not None:
            raise ValueError(
                f'give `unit` or `scale`, got {unit!r} and {scale!r}: a unit '
                'fixes the scale'
            )

    @property
    def needs_volume(self):
        """Whether the factor of an image depends on its volume."""
        return isinstance(self.scale, str)

    def in_unit(self, image):
        """Return an image of Hounsfield units in the unit, if there is one.

        Raises
        ------
        ValueError
            If its values are complex, or all below those of air.
        """
        if self.unit is None:
            return image
        if np.iscomplexobj(image):
            raise ValueError(
                'its values are complex, and no Hounsfield units as '
                f'`unit={self.unit!r}` needs'
            )
        # 20 - 19.98 would lose five digits in single precision
        image = np.asarray(image, np.float64)
        if image.max() < LOWEST_HU:
            raise ValueError(
                f'its largest value is {image.max():g}, and Hounsfield units, '
                f'which `unit={self.unit!r}` needs, are at least {AIR_HU:g} '
                'within the field of view of a scanner'
            )
        image = np.where(image < LOWEST_HU, AIR_HU, image)
        if self.unit == 'HU':
            return image
        return np.maximum(convert_attenuation(image, 'HU', self.unit), 0)

    @property
    def air(self):
        """The value of air in the unit, if there is one."""
        return None if self.unit is None else self.in_unit(AIR_HU).item()

    def factor(self, images):
        """Return the factor of the images of a volume.

        Parameters
        ----------
        images : iterable of numpy.ndarray
            All images of the volume.

        Returns
        -------
        factor : float
            1 for a volume of zeros.
        """
        # in floating point: the magnitude of -32768 is no int16
        magnitudes = (
            np.abs(np.asarray(image, float_dtype(np.asarray(image).dtype)))
            for image in images
        )
        if self.scale == 'max':
            size = max(map(np.max, magnitudes))
        else:
            values = (np.asarray(m, 'float32').ravel() for m in magnitudes)
            size = np.percentile(np.concatenate(list(values)), PERCENTILE)
        if not np.isfinite(size):
            raise ValueError(
                f'has values that are infinite or not a number, so that '
                f'`scale={self.scale!r}` has no meaning'
            )
        return 1 / float(size) if size > 0 else 1.0


def check_air(path, middle, unit):
    """Raise an error unless an image can be in Hounsfield units.

    Parameters
    ----------
    path : path-like
        File, for the message.
    middle : numpy.ndarray
        Middle slice of its volume.
    unit : str
        Unit that was asked for.

    Raises
    ------
    ValueError
        If values are complex, none is negative, as that of air is, or all
        are near zero, as those of other units are.
    """
    if np.iscomplexobj(middle):
        raise ValueError(
            f'{path} has complex values, and no Hounsfield units as '
            f'`unit={unit!r}` needs: leave out `unit`'
        )
    low, high = float(middle.min()), float(middle.max())
    # noise of air in another unit is negative as well, but not by so much
    is_small = high - low < LEAST_EXTENT_HU and low > AIR_HU / 2
    if not low < 0 or is_small:
        raise ValueError(
            f'{path} has values from {low:g} to {high:g} in its middle slice, '
            f'and `unit={unit!r}` takes Hounsfield units, in which air is '
            '-1000 and water is 0: convert the file, or take `scale` instead '
            'of `unit`'
        )
