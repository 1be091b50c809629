# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Resampling, cropping and padding of images to another grid."""

import functools
import math
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch

__all__ = (
    'GridChange',
    'axis_weights',
    'crop_center',
    'fit',
    'float_dtype',
    'grid_change',
)

# A longer side is that of a unit that was mistaken.
LONGEST = 20000
# A new pixel lies in the image if it covers more than this part of one.
COVERED = 1e-6
# Grids are the same if their pixels differ by less, as a part of one: files
# state sizes in single precision, or rounded.
SAME = 2e-2


def float_dtype(dtype):
    """Return float32 for a real dtype, and complex64 for a complex one."""
    dtype = np.dtype(dtype)
    if dtype.kind not in 'bfiuc':
        raise ValueError(
            f'expected real or complex numbers, got dtype {dtype}'
        )
    return np.dtype('complex64' if dtype.kind == 'c' else 'float32')


def crop_center(image, shape):
    """Return the middle of an image, centred at its pixel ``n // 2``.

    Parameters
    ----------
    image : numpy.ndarray
        Image, or images along leading axes.
    shape : tuple of 2 ints
        Shape of the result.

    Returns
    -------
    image : numpy.ndarray
        View of the image.

    Raises
    ------
    ValueError
        If the image is smaller.
    """
    if any(m > n for n, m in zip(image.shape[-2:], shape, strict=True)):
        raise ValueError(
            f'an image of shape {image.shape[-2:]} cannot be cropped to '
            f'{tuple(shape)}'
        )
    window = [
        slice(n // 2 - m // 2, n // 2 - m // 2 + m)
        for n, m in zip(image.shape[-2:], shape, strict=True)
    ]
    return image[..., window[0], window[1]]


def fit(image, shape):
    """Return an image on a grid of another shape.

    The largest central part with the proportions of the new shape is cut out,
    so that pixels stay square. If its sides are the same multiple of the new
    sides, each new pixel is the mean of the pixels that it covers. Otherwise
    `torch.nn.functional.interpolate` interpolates linearly, and avoids
    aliasing if the image becomes smaller.

    Parameters
    ----------
    image : numpy.ndarray
        Image of two dimensions, float32 or complex64.
    shape : tuple of 2 ints
        Shape of the result.

    Returns
    -------
    image : numpy.ndarray
        Image of the given shape, with the same dtype.
    """
    if image.shape == tuple(shape):
        return image
    cut = _cut(image.shape, shape)
    image = crop_center(image, cut)
    factor = cut[0] // shape[0]
    if cut == [factor * m for m in shape]:
        n, m = shape
        blocks = image.reshape(n, factor, m, factor)
        wide = np.result_type(image.dtype, np.float64)
        return blocks.mean(axis=(1, 3), dtype=wide).astype(image.dtype)
    parts = [image]
    if np.iscomplexobj(image):
        parts = [image.real, image.imag]
    tensor = torch.from_numpy(np.stack(parts))[None]
    scaled = torch.nn.functional.interpolate(
        tensor,
        size=tuple(shape),
        mode='bilinear',
        align_corners=False,
        antialias=True,
    )[0].numpy()
    if np.iscomplexobj(image):
        return (scaled[0] + 1j * scaled[1]).astype(image.dtype)
    return scaled[0]


def _cut(old, shape):
    """Return the sides of the largest part with the proportions of a shape."""
    ratio = min(n / m for n, m in zip(old, shape, strict=True))
    return [
        min(n, max(1, round(ratio * m)))
        for n, m in zip(old, shape, strict=True)
    ]


class GridChange(NamedTuple):
    """How the pixels of a new grid lie on an old one.

    Along each axis, the centre of pixel k is at the old index
    ``start + k step``. Steps may differ only if ``resamples``.
    """

    shape: tuple[int, int]
    start: tuple[float, float]
    step: tuple[float, float]
    resamples: bool

    def __call__(self, image, fill):
        """Return an image on the new grid, with a value beside the image.

        Values are interpolated linearly between the old pixels, and a new
        pixel is the mean of this over its area. So no detail is aliased,
        linear functions stay linear, and the sum of an image, times the area
        of a pixel, is kept. A new pixel at the border of the old image is
        the mean over its part inside.
        """
        if not self.resamples:
            return fit(image, self.shape)
        weights, inside = zip(
            *(
                axis_weights(*sizes)
                for sizes in zip(
                    image.shape, self.shape, self.step, strict=True
                )
            ),
            strict=True,
        )
        result = (weights[1] @ (weights[0] @ image).T).T
        if not all(part.all() for part in inside):
            result[~np.logical_and.outer(*inside)] = fill
        return np.ascontiguousarray(result, image.dtype)


def grid_change(old, pixel, shape, spacing):
    """Return how images get to another grid, or None if they stay.

    Parameters
    ----------
    old : tuple of 2 ints
        Shape of the images.
    pixel : tuple of 2 floats or None
        Sides of their pixels in millimetres, if known.
    shape : tuple of 2 ints or None
        New shape.
    spacing : tuple of 2 floats or None
        New sides of pixels in millimetres, for known ``pixel``.

    Returns
    -------
    change : GridChange or None
        Both grids have the same centre. Without ``spacing``, the new grid
        has square pixels, and covers the largest part that it can.

    Raises
    ------
    ValueError
        If one of both images has no two pixels of the other along an axis,
        or the new one has far too many.
    """
    if spacing is not None:
        step = tuple(map(_step, old, pixel, spacing))
        if shape is None:
            shape = tuple(
                max(1, round(n / s)) for n, s in zip(old, step, strict=True)
            )
        _check_size(old, pixel, shape, spacing)
    elif shape is None:
        return None
    elif pixel is None or math.isclose(*pixel, rel_tol=1e-4):
        cut = _cut(old, shape)
        step = tuple(n / m for n, m in zip(cut, shape, strict=True))
        start = tuple(
            n // 2 - c // 2 + (s - 1) / 2
            for n, c, s in zip(old, cut, step, strict=True)
        )
        return GridChange(tuple(shape), start, step, False)
    else:
        side = min(
            n * p / m for n, p, m in zip(old, pixel, shape, strict=True)
        )
        step = tuple(side / p for p in pixel)
    start = tuple(
        (n - 1) / 2 - s * (m - 1) / 2
        for n, m, s in zip(old, shape, step, strict=True)
    )
    return GridChange(tuple(shape), start, step, True)


def _step(n, pixel, side):
    """Return a side in old pixels: 1 if that moves none of them visibly."""
    step = side / pixel
    return 1.0 if abs(step - 1) * n < SAME else step


def _check_size(old, pixel, shape, spacing):
    """Raise a ValueError if a spacing seems to be in another unit."""
    sides, field = (
        [n * p for n, p in zip(*grid, strict=True)]
        for grid in ((old, pixel), (shape, spacing))
    )
    if max(shape) > LONGEST or any(
        n > 1 and (side < 2 * c or whole < 2 * p)
        for n, p, c, side, whole in zip(
            old, pixel, spacing, sides, field, strict=True
        )
    ):
        raise ValueError(
            f'`spacing` {spacing[0]:g} x {spacing[1]:g} mm makes a grid of '
            f'{shape[0]} x {shape[1]} pixels, {field[0]:g} x {field[1]:g} '
            f'mm, and the image has {old[0]} x {old[1]} pixels, '
            f'{sides[0]:g} x {sides[1]:g} mm: `spacing` is the side of a '
            'pixel in millimetres'
        )


@functools.lru_cache(maxsize=64)
def axis_weights(n, m, step):
    """Return the matrix of one axis, and which new pixels lie in the image."""
    centers = (np.arange(m) - (m - 1) / 2) * step + (n - 1) / 2
    if step == 1 and (m - n) % 2 == 0:
        columns = centers.astype(int)[:, None]
        parts = ((columns >= 0) & (columns < n)).astype(float)
    else:
        low, high = (
            np.clip(centers + side * step / 2, -0.5, n - 0.5)
            for side in (-1, 1)
        )
        first = np.floor(low).astype(int)
        columns = first[:, None] + np.arange(math.ceil(step) + 2)
        parts = _below(high[:, None] - columns) - _below(
            low[:, None] - columns
        )
    inside = parts.sum(axis=1) > COVERED
    parts[~inside] = 0
    parts[inside] /= parts[inside].sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(m)[:, None], parts.shape)
    kept = parts > 0
    # beyond the outer centres, values are those of the outer pixels
    columns = np.clip(columns, 0, n - 1)
    matrix = scipy.sparse.csr_array(
        (parts[kept], (rows[kept], columns[kept])), shape=(m, n)
    )
    return matrix, inside


def _below(t):
    """Return the integral of max(1 - abs(t), 0) up to t."""
    t = np.clip(t, -1, 1)
    return 0.5 + t - np.sign(t) * t**2 / 2
