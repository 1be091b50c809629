# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random changes of images: turns, reflections and smoothing."""

from __future__ import annotations

import math
import numbers
from typing import Literal

import numpy as np

from odl_equivariant.data._checks import seed_of
from odl_equivariant.data.slices.base import Slices

__all__ = ('Augmentation', 'Augmented')

ROTATIONS = ('none', 'quarter', 'any')
# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x6175676D


class Augmentation:
    """A random change of an image: reflection, turn, then smoothing.

    Parameters
    ----------
    smoothing : float, optional
        Standard deviation of a Gaussian, in pixels, that every image is
        convolved with; beyond its borders the image is continued by its
        border values.
    rotation : {'none', 'quarter', 'any'}, optional
        Turns about the middle of the image: none; by 0, 90, 180 or 270
        degrees, which is exact; or by an angle that is uniform on
        ``[0, 2 pi)``, by linear interpolation, with zeros from outside of the
        image.
    flip : bool, optional
        Whether to reflect every second image, on average, left to right.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> turn = Augmentation(rotation='quarter')
    >>> turned = turn(np.eye(3, 4)[:, :3], np.random.default_rng(0))
    >>> turned.shape, float(turned.sum())
    ((3, 3), 3.0)
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        rotation: Literal['none', 'quarter', 'any'] = 'none',
        flip: bool = False,
    ) -> None:
        if not isinstance(smoothing, numbers.Real) or not (
            0 <= smoothing < math.inf
        ):
            raise ValueError(
                '`smoothing` must be a number of pixels, at least 0, got '
                f'{smoothing!r}'
            )
        if rotation not in ROTATIONS:
            raise ValueError(
                f'`rotation` must be one of {ROTATIONS}, got {rotation!r}'
            )
        self.smoothing = float(smoothing)
        self.rotation = rotation
        self.flip = bool(flip)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return an image as it is changed with some random numbers.

        Parameters
        ----------
        image : numpy.ndarray
            Real or complex, of two dimensions; it is not changed.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : numpy.ndarray
            New array of the same shape and dtype.

        Raises
        ------
        ValueError
            If an image that is not square would be turned by 90 degrees.
        """
        from scipy import ndimage

        if self.flip and rng.integers(2):
            image = image[::-1]
        if self.rotation == 'quarter':
            if image.shape[0] != image.shape[1]:
                raise ValueError(
                    'only square images can be turned by quarters, got shape '
                    f'{image.shape}: give the slices a square `shape`'
                )
            image = np.rot90(image, int(rng.integers(4)))
        elif self.rotation == 'any':
            image = rotated(image, rng.uniform(0, 2 * math.pi))
        if self.smoothing:
            image = ndimage.gaussian_filter(
                image, self.smoothing, mode='nearest'
            )
        return np.array(image)

    def __repr__(self):
        """Return ``repr(self)``."""
        return (
            f'{type(self).__name__}(smoothing={self.smoothing:g}, '
            f'rotation={self.rotation!r}, flip={self.flip})'
        )


def rotated(image, angle):
    """Return an image turned counter-clockwise, linearly interpolated."""
    from scipy import ndimage

    cos, sin = math.cos(angle), math.sin(angle)
    # from a point of the result to where it comes from
    back = np.array([[cos, sin], [-sin, cos]])
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(
        image,
        back,
        offset=middle - back @ middle,
        order=1,
        mode='grid-constant',
        cval=0.0,
        prefilter=False,
    )


class Augmented(Slices):
    """Slices that are smoothed, turned and reflected at random.

    What is drawn depends on the seed, the epoch and the index alone:
    ``a[i, epoch]`` is the same in every process.

    Parameters
    ----------
    slices : Slices
        Images to change.
    smoothing, rotation, flip : optional
        See `Augmentation`.
    seed : int, optional
        Seed of the random numbers.

    Examples
    --------
    >>> from odl_equivariant.data import Phantoms
    >>> slices = Augmented(Phantoms(2, (16, 16)), rotation='any', flip=True)
    >>> bool(np.array_equal(slices[1, 5], slices[1, 5]))
    True
    >>> bool(np.array_equal(slices[1, 5], slices[1, 6]))
    False
    """

    def __init__(
        self,
        slices: Slices,
        smoothing: float = 0.0,
        rotation: Literal['none', 'quarter', 'any'] = 'none',
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        if not isinstance(slices, Slices):
            raise TypeError(f'expected `Slices`, got {slices!r}')
        super().__init__(slices.names, slices.groups)
        self.slices = slices
        self.augmentation = Augmentation(smoothing, rotation, flip)
        self.seed = seed_of(seed)

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, epoch, place, _PURPOSE])
        return self.augmentation(self.slices[place, epoch], rng)
