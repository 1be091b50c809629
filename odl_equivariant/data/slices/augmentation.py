# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random changes of images: turns, sizes, intensities and phases."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from odl_equivariant._checks import (
    boolean,
    one_of,
    positive_number,
    real_number,
    whole_number,
)
from odl_equivariant.data._fields import smooth_phase
from odl_equivariant.data.slices.base import Slices
from odl_equivariant.data.slices.grids import fit, float_dtype

__all__ = ('Augmentation', 'Augmented')

ROTATIONS = ('none', 'quarter', 'any')
# Keeps these random numbers apart from those of other purposes.
_PURPOSE = 0x6175676D


class Augmentation:
    """Random changes of an image, in shape, sharpness, intensity and phase.

    They are applied in the order reflection, rotation, size, smoothing,
    intensity, phase.

    Parameters
    ----------
    smoothing : float, optional
        Standard deviation, in pixels, of the Gaussian with which images are
        convolved. Beyond its border, an image is continued by the nearest
        value.
    rotation : {'none', 'quarter', 'any'}, optional
        Rotation about the centre of the image. ``'quarter'`` is an exact
        rotation by 0, 90, 180 or 270 degrees. ``'any'`` is a rotation by an
        angle that is uniform on ``[0, 2 pi)``, with linear interpolation, and
        zeros outside of the image.
    flip : bool, optional
        Whether to swap left and right, with probability 1/2.
    scaling : tuple of 2 floats, optional
        The least and the greatest factor, at most 1, by which the sides of
        the image shrink: images become smaller, and edges in them sharper.
        The factor is uniform. Only for what cuts patches, such as
        `Denoising`. Default: no scaling.
    intensity : tuple of 2 floats, optional
        The least and the greatest factor of all values of an image. The
        logarithm of the factor is uniform. Default: values are kept.
    phase : float, optional
        Probability that a real image becomes complex, with a random smooth
        phase. Complex images keep theirs.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    TypeError
        If a number is none, or ``rotation`` no string.

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
        scaling: tuple[float, float] | None = None,
        intensity: tuple[float, float] | None = None,
        phase: float = 0.0,
    ) -> None:
        self.smoothing = real_number('smoothing', smoothing, least=0)
        self.rotation = one_of('rotation', rotation, ROTATIONS)
        self.flip = boolean('flip', flip)
        self.scaling = None if scaling is None else _checked_scaling(scaling)
        self.intensity = None
        if intensity is not None:
            self.intensity = _checked_factors('intensity', intensity)
        self.phase = real_number('phase', phase, least=0)
        if self.phase > 1:
            raise ValueError(
                f'`phase` is a probability, at most 1, got {self.phase:g}'
            )

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return a randomly changed image.

        Parameters
        ----------
        image : numpy.ndarray
            Real or complex image of two dimensions. It is not changed.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : numpy.ndarray
            New array, of the same shape unless there is a ``scaling``, and
            of the same dtype unless it gets a phase, or an intensity and is
            of integers, which become float32.

        Raises
        ------
        ValueError
            If the rotation is ``'quarter'`` and the image is not square.
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
        if self.scaling is not None:
            factor = rng.uniform(*self.scaling)
            shape = [max(1, round(factor * n)) for n in image.shape]
            image = fit(np.ascontiguousarray(image), shape)
        if self.smoothing:
            image = ndimage.gaussian_filter(
                image, self.smoothing, mode='nearest'
            )
        if self.intensity is not None:
            low, high = np.log(self.intensity)
            if image.dtype.kind not in 'fc':
                # among integers, a factor below 1 would be 0
                image = image.astype(float_dtype(image.dtype))
            image = image * image.dtype.type(np.exp(rng.uniform(low, high)))
        if self.phase and not np.iscomplexobj(image):
            if rng.uniform() < self.phase:
                image = image * smooth_phase(image.shape, rng)
        return np.array(image)

    def __repr__(self):
        """Return ``repr(self)``."""
        more = '' if self.scaling is None else f', scaling={self.scaling}'
        if self.intensity is not None:
            more += f', intensity={self.intensity}'
        if self.phase:
            more += f', phase={self.phase:g}'
        return (
            f'{type(self).__name__}(smoothing={self.smoothing:g}, '
            f'rotation={self.rotation!r}, flip={self.flip}{more})'
        )


def _checked_factors(name, factors):
    """Return the least and the greatest of positive factors."""
    if np.shape(factors) != (2,):
        raise ValueError(
            f'`{name}` must be the least and the greatest factor, got '
            f'{factors!r}'
        )
    low, high = (positive_number(name, factor) for factor in factors)
    if low > high:
        raise ValueError(
            f'the factors of `{name}` must be in order, got {low:g} and '
            f'{high:g}'
        )
    return low, high


def _checked_scaling(scaling):
    """Return the least and the greatest factor of a scaling."""
    low, high = _checked_factors('scaling', scaling)
    if high > 1:
        raise ValueError(
            'the factors of `scaling` must be at most 1, since a larger image '
            f'has no more details, got {low:g} and {high:g}'
        )
    return low, high


def rotated(image, angle):
    """Rotate an image counter-clockwise, with linear interpolation."""
    from scipy import ndimage

    cos, sin = math.cos(angle), math.sin(angle)
    # maps a point of the result to a point of the image
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
    """Slices that are changed at random, see `Augmentation`.

    The random numbers depend only on the seed, the epoch and the index. So
    ``a[i, epoch]`` is the same in every process.

    Parameters
    ----------
    slices : Slices
        Images to change.
    smoothing, rotation, flip : optional
        See `Augmentation`.
    seed : int, optional
        Seed of the random numbers.
    scaling, intensity, phase : optional
        See `Augmentation`.

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
        scaling: tuple[float, float] | None = None,
        intensity: tuple[float, float] | None = None,
        phase: float = 0.0,
    ) -> None:
        if not isinstance(slices, Slices):
            raise TypeError(f'expected `Slices`, got {slices!r}')
        super().__init__(slices.names, slices.groups, volumes=slices.volumes)
        self.slices = slices
        self.augmentation = Augmentation(
            smoothing, rotation, flip, scaling, intensity, phase
        )
        self.seed = whole_number('seed', seed, 0)

    def _image(self, place, epoch):
        rng = np.random.default_rng([self.seed, epoch, place, _PURPOSE])
        return self.augmentation(self.slices[place, epoch], rng)
