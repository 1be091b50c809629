# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Upright images, and the same images turned, and larger or smaller."""

import math

import numpy as np
import scipy.ndimage
import torch

from odl_equivariant.data import ImageSlices, ellipse_phantom

__all__ = ('Source', 'layers', 'pictures', 'sources')

# of a source, of which an image shows the middle
_SIZE = 180
# how much of a source an image at scale 1 is as long as
_PART = {'layers': 1.0, 'phantoms': 1.0, 'photographs': 0.5}
_SEEDS = {'train': 0, 'validation': 1, 'test': 2}


def layers(rng):
    """Return layers like those of the ground, in a disc.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    image : numpy.ndarray, shape (180, 180)
        Image with values from 0 to 1.
    """
    boundaries = np.sort(rng.uniform(-0.8, 0.8, 12))
    values = rng.uniform(0, 1, 13)
    at = (2 * np.arange(_SIZE) + 1) / _SIZE - 1
    x, y = np.meshgrid(at, at, indexing='ij')
    slope, bend = rng.normal(0, 0.05, 2)
    image = values[np.searchsorted(boundaries, y + slope * x + bend * x**2)]
    return image * (x**2 + y**2 < 0.7)


class Source:
    """Images of one kind, on a finer grid than they are shown on.

    Parameters
    ----------
    kind : str
        What they show.
    images : sequence of numpy.ndarray
        Square images, with values from 0 to 1.
    side : int
        Number of cells along each axis of the images that are shown.
    """

    def __init__(self, kind, images, side):
        self.kind, self.images, self.side = kind, list(images), side

    def __len__(self):
        return len(self.images)

    def shown(self, index, angle=0.0, scale=1.0):
        """Return an image as an array, turned and scaled.

        Parameters
        ----------
        index : int
            Which image.
        angle : float, optional
            Angle in degrees. Quarter turns are exact.
        scale : float, optional
            How much larger what it shows is.
        """
        source = self.images[index]
        n = source.shape[0]
        turns, rest = divmod(angle, 90)
        cell = n * _PART[self.kind] / (self.side * scale)
        # no detail that is finer than the cells
        width = 0.5 * math.sqrt(max(cell**2 - 1, 0))
        mode = 'reflect' if self.kind == 'photographs' else 'constant'
        smooth = scipy.ndimage.gaussian_filter(source, width, mode=mode)
        c, s = math.cos(math.radians(rest)), math.sin(math.radians(rest))
        matrix = cell * np.array([[c, s], [-s, c]])
        centre = np.full(2, (n - 1) / 2)
        offset = centre - matrix @ np.full(2, (self.side - 1) / 2)
        image = scipy.ndimage.affine_transform(
            smooth, matrix, offset, 2 * (self.side,), order=1, mode=mode
        )
        return np.rot90(image, int(turns)).copy()

    def batch(self, angle=0.0, scale=1.0):
        """Return all images as one tensor of shape (N, 1, side, side)."""
        images = [self.shown(i, angle, scale) for i in range(len(self))]
        return torch.from_numpy(np.stack(images)[:, None].astype(np.float32))


def pictures(folder, numbers):
    """Return the parts of the pictures of a folder, as squares.

    Parameters
    ----------
    folder : path-like
        Folder with pictures, including folders below it.
    numbers : dict of str to int
        How many there are to be of each part. If the folder has fewer, all
        parts are smaller.

    Returns
    -------
    parts : dict of str to list of numpy.ndarray
        The parts, which no picture is in twice. Their order is random, and
        the same for the same folder.

    Raises
    ------
    ValueError
        If there are fewer pictures than parts.
    """
    slices = ImageSlices(folder, progress=False)
    if len(slices) < len(numbers):
        raise ValueError(
            f'expected at least {len(numbers)} pictures in {folder}, one for '
            f'each part, got {len(slices)}'
        )
    order = list(np.random.default_rng(0).permutation(len(slices)))
    part = min(1.0, len(slices) / sum(numbers.values()))
    # all that rounding leaves is for the training, which is first
    sizes = {name: max(1, int(part * n)) for name, n in numbers.items()}
    found = {}
    for name in reversed(numbers):
        is_first = name == next(iter(numbers))
        size = min(numbers[name], len(order)) if is_first else sizes[name]
        found[name] = [_square(slices[int(i)]) for i in order[:size]]
        order = order[size:]
    return found


def _square(image):
    """Return the middle of a picture, not much larger than is needed."""
    side = min(image.shape)
    factor = max(1, side // _SIZE)
    side -= side % factor
    corner = [(n - side) // 2 for n in image.shape]
    image = image[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    blocks = image.reshape(side // factor, factor, side // factor, factor)
    return blocks.mean((1, 3)).astype(np.float32)


def sources(kind, numbers, side, photographs=None):
    """Return training, validation and test images of one kind.

    Parameters
    ----------
    kind : {'layers', 'phantoms', 'photographs'}
        What they show.
    numbers : dict of str to int
        How many there are of each part.
    side : int
        Number of cells along each axis.
    photographs : dict of str to list of numpy.ndarray, optional
        What `pictures` returned.

    Returns
    -------
    sources : dict of str to Source
        The parts.
    """
    if kind == 'photographs':
        found = photographs
    else:
        draw = layers
        if kind == 'phantoms':

            def draw(rng):
                return ellipse_phantom((_SIZE, _SIZE), rng)

        found = {
            part: [
                draw(np.random.default_rng([seed, i]))
                for i in range(numbers[part])
            ]
            for part, seed in _SEEDS.items()
        }
    return {part: Source(kind, found[part], side) for part in _SEEDS}
