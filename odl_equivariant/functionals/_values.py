# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Whether images have the values that a module was trained on."""

from __future__ import annotations

import math

import torch

from odl_equivariant._warnings import is_probing, warn_user
from odl_equivariant.elements import as_tensor

__all__ = ('ValueCheck',)

# Parts of the width of a range of values. Images are far outside of it if a
# value leaves it by the first, or their mean by the second, or if all values
# fill less than the third. Beyond the second and the third, of the noise that
# is to be removed the shipped denoisers leave all, or add more.
_MOST_OUTSIDE, _MOST_OF_MEAN, _LEAST_FILLED = 1.0, 0.25, 0.05
# Part of the width of an image by which noise alone never moves its mean.
_LEAST_MOVED = 0.05


class ValueCheck:
    """Warns, but once, of images in another unit than a module knows.

    Parameters
    ----------
    module : torch.nn.Module
        Module with the attribute ``value_range``, or without.
    scale : float
        Value in the images that corresponds to 1 in the training.
    functional : str
        Name of the class of functionals whose documentation explains more.

    Raises
    ------
    ValueError
        If ``value_range`` is no range.
    """

    def __init__(self, module, scale, functional):
        self.module, self.scale = module, scale
        self.functional = functional
        self.is_warned = False
        self.range()

    def range(self):
        """Return the values expected, in the unit of the images, or None."""
        ends = getattr(self.module, 'value_range', None)
        if not isinstance(ends, tuple | list):
            return None
        try:
            low, high = (self.scale * float(end) for end in ends)
        except (TypeError, ValueError):
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                'the `value_range` of a module must be the least and the '
                'greatest value of the images it was trained on, got '
                f'{ends!r:.80}'
            )
        return low, high

    def is_open(self):
        """Return whether there is anything to check."""
        return not self.is_warned and self.range() is not None

    def __call__(self, image):
        """Warn if an image, an element or a tensor, is in another unit."""
        if is_probing() or not self.is_open():
            return
        numbers = self._numbers(image)
        if self._is_alien(*numbers):
            self.is_warned = True
            warn_user(self._message(*numbers), UserWarning)

    def is_far(self, image):
        """Return whether an image is in another unit, without a warning."""
        return self._is_alien(*self._numbers(image))

    def _numbers(self, image):
        """Return range and mean of an image, and the range expected."""
        tensor = image if isinstance(image, torch.Tensor) else as_tensor(image)
        least, most = (float(end) for end in tensor.aminmax())
        return least, most, float(tensor.mean()), *self.range()

    def _message(self, least, most, mean, low, high):
        name = type(self.module).__name__
        if getattr(self.module, 'homogeneous', False) is True:
            return (
                f'the mean of the image is {mean:.4g}, and the weights of '
                f'{name} were trained on images '
                f'with values from {low:.4g} to {high:.4g}: the module '
                'takes images in any unit, but their zero differs, and '
                'the result may be worthless; translate the functional, '
                f'see `{self.functional}`, or take a module that is '
                'equivariant under shifts, such as '
                '`odl_equivariant.nn.Normalised`'
            )
        remark = ''
        if max(most, -least) < _LEAST_FILLED * (high - low):
            remark = (
                '. The first images of a solver that starts from zero are '
                'such, too: if its last one is not, all is well'
            )
        return (
            f'the image has values from {least:.4g} to {most:.4g}, and '
            f'the weights of {name} were trained on '
            f'images with values from {low:.4g} to {high:.4g} (with '
            f'scale={self.scale:g}): the result may be worthless; pass '
            '`scale=`, the value of your images that corresponds to 1 in '
            'the training, and if the zero differs too, translate the '
            f'functional, see `{self.functional}`' + remark
        )

    def _is_alien(self, least, most, mean, low, high):
        """Return whether the module knows no images of such values."""
        any_unit, any_zero = (
            getattr(self.module, name, False) is True
            for name in ('homogeneous', 'shift_equivariant')
        )
        width, extent = high - low, most - least
        if any_unit:
            moved = max(-mean if low >= 0 else 0, mean if high <= 0 else 0)
            return not any_zero and moved > _LEAST_MOVED * extent
        # a constant image, such as zero, has no unit
        if 0 < extent < _LEAST_FILLED * width:
            return True
        if any_zero:
            return extent > (1 + 2 * _MOST_OUTSIDE) * width
        return (
            max(most - high, low - least) > _MOST_OUTSIDE * width
            or max(mean - high, low - mean) > _MOST_OF_MEAN * width
        )
