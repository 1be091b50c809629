# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Real slices that are scored, and that nothing learns from."""

import pathlib

import numpy as np
import torch

from examples.experiments.images import acquisition_of, real_slices

__all__ = ('slices_of',)


def slices_of(settings):
    """Return real slices on the grid of the images.

    Parameters
    ----------
    settings : dict
        Settings of a problem. Its ``slices`` are names that
        `examples.experiments.images.real_slices` knows, and files ``.npy``.

    Returns
    -------
    slices : dict of numpy.ndarray
        Images by their names; of a file, this is its stem.

    Raises
    ------
    ValueError
        If a file does not hold a real image with finite values.
    """
    names = [name for name in settings['slices'] if not _is_file(name)]
    found = real_slices(names, settings)
    shape = acquisition_of(settings).image_shape
    for name in filter(_is_file, settings['slices']):
        image = np.load(name, allow_pickle=False)
        if image.ndim != 2 or image.dtype.kind not in 'fiu':
            raise ValueError(
                f'{name} must hold a real image with 2 axes, got an array of '
                f'shape {image.shape} and type {image.dtype}'
            )
        if not np.isfinite(image).all():
            raise ValueError(f'{name} has values that are not finite')
        found[pathlib.Path(name).stem] = _resized(image, shape)
    return found


def _is_file(name):
    return name.endswith('.npy')


def _resized(image, shape):
    """Return an image on another grid, padded to a square, not aliased."""
    side = max(image.shape)
    before = [(side - n) // 2 for n in image.shape]
    after = [side - n - b for n, b in zip(image.shape, before, strict=True)]
    square = np.pad(image, list(zip(before, after, strict=True)))
    tensor = torch.from_numpy(np.ascontiguousarray(square, np.float32))
    return torch.nn.functional.interpolate(
        tensor[None, None], size=shape, mode='bilinear', antialias=True
    )[0, 0].numpy()
