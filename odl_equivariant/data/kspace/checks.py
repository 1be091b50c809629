# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Checks of measured k-space."""

import numpy as np

from odl_equivariant._warnings import warn_user
from odl_equivariant.data._checks import as_array

__all__ = (
    'check_center',
    'checked_kspace',
    'checked_sampling',
    'energy',
    'split_axes',
    'warn_of_image',
)

# Coils are in the last axis if both others are so many times longer.
_LONGER = 4
# Of the energy of an image so much at most, and of that of its transform so
# much at least, is around the middle.
_SPREAD, _CONCENTRATED = 0.5, 0.75
# Of the mean energy of a pixel so much at most is in the strip in the middle
# of an image that is split, and so much at least at its edges. The strip is
# this part of the image.
_EMPTY, _FULL, _STRIP = 0.35, 0.7, 16


def checked_kspace(kspace, name='kspace'):
    """Return k-space as a complex array ``(n_coils, nx, ny)``.

    Parameters
    ----------
    kspace : array-like
        Measured samples.
    name : str, optional
        What the messages call it.

    Raises
    ------
    TypeError
        If it does not contain complex numbers.
    ValueError
        If it has another number of axes, is zero or not finite, or its first
        axis does not seem to count coils.
    """
    array = as_array(kspace)
    if array.dtype.kind != 'c':
        raise TypeError(
            f'{name} must contain complex numbers, got dtype {array.dtype}: '
            'an image is no k-space, and pairs of real numbers are turned '
            'into complex ones by `a[..., 0] + 1j * a[..., 1]`'
        )
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f'{name} must have the shape (n_coils, nx, ny), got '
            f'{array.shape}; for one coil, add an axis by `kspace[None]`'
        )
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise ValueError(
            f'{name} has {bad} values that are infinite or not a number'
        )
    if not array.any():
        raise ValueError(f'{name} is zero everywhere: nothing was measured')
    if min(array.shape[:2]) >= _LONGER * array.shape[2]:
        raise ValueError(
            f'{name} has the shape {array.shape}, whose last axis seems to '
            'count the coils, and the first one must: pass '
            '`np.moveaxis(kspace, -1, 0)`'
        )
    return array


def energy(kspace):
    """Return the sum of the squares of all coils, in double precision.

    The squares of numbers of scanners, such as 1e-25, are zero in single
    precision.
    """
    return np.square(np.abs(kspace), dtype=np.float64).sum(axis=0)


def checked_sampling(kspace, sampled=None):
    """Return where k-space was measured, booleans of shape ``(nx, ny)``."""
    shape = kspace.shape[1:]
    if sampled is None:
        return (kspace != 0).any(axis=0)
    array = np.asarray(sampled)
    if array.ndim != 2 or any(
        m not in (1, n) for m, n in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(
            f'`sampled` must have the shape {shape} of k-space, or length 1 '
            f'along some axes, got {array.shape}'
            + (
                '; of lines along the last axis, pass `mask[None]`'
                if array.shape == shape[-1:]
                else ''
            )
        )
    if array.dtype.kind not in 'buif' or ((array != 0) & (array != 1)).any():
        raise ValueError(
            '`sampled` must consist of booleans, or of zeros and ones, got '
            f'dtype {array.dtype}'
        )
    array = np.broadcast_to(array.astype(bool), shape)
    if not array.any():
        raise ValueError('`sampled` is false everywhere: nothing was measured')
    return array


def check_center(kspace, name):
    """Check that the zero frequency is in the middle of k-space.

    Raises
    ------
    ValueError
        If most of the energy lies at the beginning and the end of an axis,
        or of both, where `numpy.fft.fft2` has the zero frequency.
    """
    power = energy(kspace)
    parts = {
        axes: _around_middle(np.fft.fftshift(power, axes))
        for axes in ((), (0,), (1,), (0, 1))
    }
    axes = max(parts, key=parts.get)
    if parts[axes] > 2 * parts[()]:
        middle = tuple(n // 2 for n in power.shape)
        at = tuple(0 if i in axes else c for i, c in enumerate(middle))
        advice = (
            f'pass `np.fft.fftshift(kspace, {tuple(a + 1 for a in axes)})`'
        )
        if len(axes) == 2:
            advice += ', or `centred=False` to `read_kspace`'
        raise ValueError(
            f'{name} has {parts[axes] / power.sum():.0%} of its energy around '
            f'the index {at}, and the zero frequency must be at {middle}, '
            f'`n // 2`: {advice}'
        )


def warn_of_image(kspace, name):
    """Warn if an array that should be k-space looks like an image.

    Parameters
    ----------
    kspace : numpy.ndarray
        Complex array of shape ``(n_coils, nx, ny)``.
    name : str
        What the message calls it.

    Notes
    -----
    The energy of k-space is around its zero frequency, and that of an image
    is not. Of an image, the Fourier transform is as k-space should be.
    """
    own, transformed = (
        _around_middle(power) / power.sum()
        for power in (
            energy(kspace),
            np.fft.fftshift(energy(np.fft.fft2(kspace, axes=(1, 2)))),
        )
    )
    if own < _SPREAD and transformed > _CONCENTRATED:
        warn_user(
            f'{name} looks like an image: {own:.0%} of its energy are around '
            f'the middle, and {transformed:.0%} of that of its Fourier '
            'transform. If it is one, nothing is left to reconstruct; to '
            'simulate k-space of it, take `CartesianMRI`',
            UserWarning,
        )


def split_axes(kspace):
    """Return the axes along which the image of k-space is split in two.

    Parameters
    ----------
    kspace : numpy.ndarray
        Complex array of shape ``(n_coils, nx, ny)``.

    Returns
    -------
    axes : tuple of int
        Axes along which the object lies at both edges, and the middle is
        empty: the image was not shifted before it was transformed, so that
        its middle was taken for index 0.
    """
    images = np.fft.ifft2(np.fft.ifftshift(kspace, (1, 2)), axes=(1, 2))
    power = np.fft.fftshift(energy(images))
    axes = []
    for axis in (0, 1):
        profile = power.sum(axis=1 - axis)
        profile = profile / profile.mean()
        n = len(profile)
        half = max(1, n // (2 * _STRIP))
        middle = profile[n // 2 - half : n // 2 + half].mean()
        edges = np.concatenate([profile[:half], profile[-half:]]).mean()
        if middle < _EMPTY and edges > _FULL:
            axes.append(axis)
    return tuple(axes)


def _around_middle(power):
    quarter = tuple(
        slice(n // 2 - n // 8, n // 2 + n // 8 + 1) for n in power.shape
    )
    return power[quarter].sum()
