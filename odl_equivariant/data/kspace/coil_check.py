# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""Whether coil maps are those of a scan.

The middle of k-space gives images :math:`v_j` of low resolution. With the
right maps :math:`c_j` they are nearly :math:`c_j u`, since maps are smooth. So

.. math::
    r(c) = \frac{\sum_x \min_{u(x)} \sum_j |v_j(x) - c_j(x) u(x)|^2}
    {\sum_x \sum_j |v_j(x)|^2}

is small. What it can be at best, with noise, is seen by the vectors
:math:`v(x)` near each pixel: they have nearly one direction (Walsh, Gmitro and
Marcellin, *Adaptive reconstruction of phased array MR imagery*, Magnetic
Resonance in Medicine 43 (2000), 682-690).
"""

from __future__ import annotations

import numpy as np

from odl_equivariant.data.kspace.calibration import calibration_block
from odl_equivariant.data.kspace.checks import energy

__all__ = ('doubt_of_coil_maps',)

# Frequencies along an axis that are used at most, and at least.
_MOST, _FEWEST = 33, 9
# Pixels along an axis that are looked at.
_PIXELS = 48
# Maps are wrong if they leave this part unexplained, and so many times of
# what is left at best, and of the part that is noise.
_WRONG, _TIMES_BEST, _TIMES_NOISE = 0.03, 4.0, 2.0
# They are shifted if a shift of so many pixels, or more, makes the part that
# they leave smaller by this factor and by this number.
_SHIFT, _TIMES_SHIFTED, _GAIN = 2, 1.5, 1e-3
_LONGEST_SHIFT = 16
_TINY = np.finfo(float).tiny


def doubt_of_coil_maps(
    kspace: np.ndarray, sampled: np.ndarray, coil_maps: np.ndarray
) -> str:
    """Return in words why coil maps are not those of a scan, or nothing.

    Parameters
    ----------
    kspace : numpy.ndarray
        Complex, of shape ``(n_coils, nx, ny)``, with the zero frequency at
        index ``n // 2``.
    sampled : numpy.ndarray
        Booleans of shape ``(nx, ny)``, true where it was measured.
    coil_maps : numpy.ndarray
        Complex, of the shape of ``kspace``.

    Returns
    -------
    doubt : str
        What the maps seem to be; empty if they explain the middle of k-space
        as well as any, if there is one coil, or if less than 9 x 9
        frequencies around zero were measured.
    """
    block = calibration_block(sampled, _MOST)
    if len(kspace) == 1 or block is None:
        return ''
    if min(part.stop - part.start for part in block) < _FEWEST:
        return ''
    # of any unit, squares are no zeros
    size = np.abs(kspace[:, *block]).max()
    if size == 0:
        return ''
    kspace = kspace / size
    coil_maps = coil_maps / np.abs(coil_maps).max()
    places = [
        np.unique(np.linspace(0, n - 1, min(n, _PIXELS)).round().astype(int))
        for n in sampled.shape
    ]
    images, noise = _images(kspace, sampled, block, places)

    def there(maps, shift=(0, 0)):
        rows, columns = (
            (place - s) % n
            for place, s, n in zip(places, shift, sampled.shape, strict=True)
        )
        return maps[:, rows[:, None], columns]

    def left(maps, shift=(0, 0)):
        return _unexplained(images, there(maps, shift))

    own = left(coil_maps)
    shift, shifted = _best_shift(lambda by: left(coil_maps, by), own)
    # of parts of an object, one may have less noise than another
    both = [there(coil_maps, by) for by in ((0, 0), shift)]
    seen = (np.abs(both[0]) > 0).any(0) & (np.abs(both[1]) > 0).any(0)
    here, moved = (_unexplained(images, seen * maps) for maps in both)
    # what is best takes long for many coils, so comes last
    if own > max(
        _WRONG, _TIMES_NOISE * noise
    ) and own > _TIMES_BEST * _least_unexplained(images):
        others = {name: left(maps) for name, maps in _others(coil_maps)}
        others[f'they are shifted by {shift} pixels'] = shifted
        name = min(others, key=others.__getitem__)
        if others[name] < own / _TIMES_BEST:
            return _text(own, others[name], name)
        return (
            f'they leave {own:.0%} of the middle of k-space unexplained: they '
            'are of another scan, the coils are in another order, their '
            'phases are missing, or they are noisy'
        )
    if (
        max(map(abs, shift)) >= _SHIFT
        and here > _TIMES_SHIFTED * moved
        and here > moved + _GAIN
    ):
        return _text(here, moved, f'they are shifted by {shift} pixels')
    return ''


def _text(own, other, change):
    """Return in words that a change makes maps explain more."""
    return (
        f'they leave {100 * own:.2g} % of the middle of k-space unexplained, '
        f'and {100 * other:.2g} % if {change}'
    )


def _images(kspace, sampled, block, places):
    """Return the images of the middle of k-space at some pixels.

    And the part of their energy that is noise, at most: most samples of an
    object are small, and no smaller than noise.
    """
    data = kspace[:, *block].astype(np.complex128)
    noise = float(np.median(energy(kspace)[sampled]))
    noise *= data[0].size / energy(data).sum()
    for axis, (part, place, n) in enumerate(
        zip(block, places, kspace.shape[1:], strict=True), 1
    ):
        frequencies = np.arange(part.start, part.stop) - n // 2
        waves = np.exp(2j * np.pi * np.outer(place - n // 2, frequencies) / n)
        # a window whose images have hardly any side lobes
        waves *= np.hanning(len(frequencies) + 2)[1:-1]
        data = np.moveaxis(np.tensordot(waves, data, (1, axis)), 0, axis)
    return data / np.sqrt(energy(data).sum()), noise


def _unexplained(images, maps):
    """Return the part of images that no multiple of the maps has.

    Where maps are zero, they say nothing.
    """
    size = np.sqrt(energy(maps))
    seen = size > 0
    size[~seen] = 1
    common = (maps.conj() / size * images).sum(axis=0)
    whole = energy(images)[seen].sum()
    return float(max(0.0, 1 - energy(common[None]).sum() / max(whole, _TINY)))


def _least_unexplained(images):
    """Return the same for the directions that images have near each pixel."""
    products = images[:, None] * images[None].conj()
    for axis in (2, 3):
        products = sum(np.roll(products, step, axis) for step in (-1, 0, 1))
    _, vectors = np.linalg.eigh(np.moveaxis(products, (0, 1), (2, 3)))
    return _unexplained(images, np.moveaxis(vectors[..., -1], -1, 0))


def _others(maps):
    """Yield what maps may be by mistake, and what makes them right."""
    yield 'they are conjugated', maps.conj()
    yield 'the coils are in reversed order', maps[::-1]
    for axes, name in (((1,), '0'), ((2,), '1'), ((1, 2), '0 and 1')):
        # to a pixel, which does not matter here
        turned = np.flip(maps, axes)
        yield f'axis {name} of an image is reversed', turned
    yield (
        'their middle is put at index n // 2, by `numpy.fft.fftshift` of the '
        'axes of an image',
        np.fft.fftshift(maps, (1, 2)),
    )
    if maps.shape[1] == maps.shape[2]:
        yield 'the axes of an image are swapped', maps.swapaxes(1, 2)


def _best_shift(left, own):
    """Return the shift that leaves least, from coarse to fine, and what."""
    best, least = (0, 0), own
    for step in (8, 4, 2, 1):
        improved = True
        while improved and max(map(abs, best)) <= _LONGEST_SHIFT:
            improved = False
            for by in ((step, 0), (-step, 0), (0, step), (0, -step)):
                shift = (best[0] + by[0], best[1] + by[1])
                value = left(shift)
                if value < least:
                    best, least, improved = shift, value, True
    return best, least
