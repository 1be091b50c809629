# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Resampling, cropping and padding of images to another grid."""

import numpy as np
import torch

__all__ = ('crop_center', 'fit', 'float_dtype')


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
    ratio = min(n / m for n, m in zip(image.shape, shape, strict=True))
    cut = [
        min(n, max(1, round(ratio * m)))
        for n, m in zip(image.shape, shape, strict=True)
    ]
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
