# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Warnings about images that seem to be in a wrong unit."""

import contextlib
import contextvars
import math

import numpy as np

from odl_equivariant._warnings import warn_user
from odl_equivariant.data.units import AIR_ATTENUATION, WATER_ATTENUATION

__all__ = (
    'HIDING_NOISE',
    'IMAGE_SCALE',
    'ScaleCheck',
    'check_attenuation',
    'check_noise',
    'named',
)

# A body of half a metre stays below it. e^-12 leaves one photon of 160 000.
HIGHEST_EXPONENT = 12.0
LARGEST_STARVED_SHARE = 0.5
# Without noise, photons cannot be missing: ten times the mean of a body.
HIGHEST_MEAN_EXPONENT = 50.0
# If all exponents are below this share of the noise, the image is hidden.
LEAST_SIGNAL = 0.5
# The noise relative to the largest magnitude of an image.
LARGEST_NOISE = 1.0
LEAST_NOISE = 1e-3
# Above it, the noise hides the image.
HIDING_NOISE = 100.0
# Up to here, a large image with little noise may be intended.
LARGEST_MAGNITUDE = 10.0

EMPTY = 'If only this image is nearly empty, nothing is wrong.'
IMAGE_SCALE = (
    'Divide images by one number, such that they reach about 1 (readers do '
    'so with `scale`), or choose `sigma` in the unit of the images.'
)
_KSPACE_SCALE = (
    'Divide images by one number, such that the largest magnitude of a '
    'volume is about 1 (raw k-space by `scale` of `FastMRIKspace`), or '
    'choose `sigma` in the unit of the images.'
)

_NAME = contextvars.ContextVar('name of the image', default=None)


@contextlib.contextmanager
def named(name):
    """Context in which warnings call the image by this name.

    Within it, an image that is only noise is no error but a warning: nearly
    empty slices of a data set do not end a training.
    """
    token = _NAME.set(name)
    try:
        yield
    finally:
        _NAME.reset(token)


class ScaleCheck:
    """Warnings of one acquisition, of which each kind is given once.

    An acquisition has one, and hands it to `check_attenuation` or
    `check_noise` for each image.
    """

    def __init__(self):
        self._given = set()

    def warn(self, kind, message):
        """Give a warning, unless one of its kind was given before."""
        if kind not in self._given:
            self._given.add(kind)
            warn_user(f'{message} This is said once.', UserWarning)


def check_attenuation(check, image, exponents, n_photons, mu_max):
    """Compare the attenuation along rays with that of a body.

    Parameters
    ----------
    check : ScaleCheck
        Gives the warnings of the acquisition.
    image : numpy.ndarray
        Image as a fraction of ``mu_max``.
    exponents : numpy.ndarray
        Exponents of Beer's law, one for each ray.
    n_photons : float or None
        Mean number of photons of a ray without an object.
    mu_max : float
        Attenuation of an image value of 1, in 1 / metre.

    Raises
    ------
    ValueError
        If no ray carries a photon, so that the data contain no information.
    """
    meeting = exponents[exponents > 0]
    if not meeting.size:
        return
    mean, highest = float(meeting.mean()), float(meeting.max())
    found = (
        f'{_what()} reaches {image.max():.3g}, and the exponent of the rays '
        f'through it is {mean:.3g} in the mean and {highest:.3g} at most. '
    )
    if n_photons is None:
        if mean > HIGHEST_MEAN_EXPONENT:
            check.warn('large', found + _attenuation_unit(mu_max))
        return
    counts = n_photons * np.exp(-exponents)
    starved = float((counts[exponents > 0] < 1).mean())
    if highest > HIGHEST_EXPONENT and starved > LARGEST_STARVED_SHARE:
        found += (
            f'{100 * starved:.0f} % of these rays carry less than one of '
            f'{n_photons:g} photons. '
        )
        message = found + _attenuation_unit(mu_max)
        if counts.max() < 1:
            raise ValueError(message)
        check.warn('large', message)
    elif highest < LEAST_SIGNAL / math.sqrt(n_photons):
        check.warn(
            'small',
            found + f'The noise of {n_photons:g} photons is '
            f'{1 / math.sqrt(n_photons):.3g}, so that the data are only '
            f'noise. {_attenuation_unit(mu_max)} {EMPTY}',
        )


def _what():
    name = _NAME.get()
    return 'the image' if name is None else f'the image {name}'


def attenuation_of_hounsfield(mu_max):
    """Describe in words how Hounsfield units become fractions of ``mu_max``.

    Parameters
    ----------
    mu_max : float
        Attenuation of an image value of 1, in 1 / metre.
    """
    slope = (WATER_ATTENUATION - AIR_ATTENUATION) / 1000
    return (
        f'Hounsfield units h become max({WATER_ATTENUATION:g} + {slope:g} h, '
        f'0) / {mu_max:g}'
    )


def _attenuation_unit(mu_max):
    return (
        f'Images must be fractions of `mu_max` = {mu_max:g} / m: water is '
        f'{WATER_ATTENUATION / mu_max:.3g}, and the mean exponent of a body '
        f'is about 1 to 8. Divide attenuation in 1 / m by '
        f'{mu_max:g}, in 1 / cm by {mu_max / 100:g}; '
        f'{attenuation_of_hounsfield(mu_max)}.'
    )


def check_noise(check, image, sigma, advice=None, most=LARGEST_NOISE):
    """Compare the noise with the largest magnitude of an image.

    Parameters
    ----------
    check : ScaleCheck
        Gives the warnings of the acquisition.
    image : numpy.ndarray
        Real or complex image. If it is zero, nothing is checked.
    sigma : float
        Standard deviation of the noise, of complex images in both parts; 0
        for none.
    advice : str, optional
        What to do about it. Default: that for k-space, the noise of which has
        the level of the noise of the image, with a unitary transform.
    most : float, optional
        Noise relative to the largest magnitude from which on it is said.

    Raises
    ------
    ValueError
        If the noise hides the image. There is no error for images of a data
        set, so that nearly empty slices of a volume do not end a training.
    """
    largest = float(np.abs(image).max(initial=0))
    if not largest or not sigma:
        return
    noise = sigma / largest
    found = (
        f'the largest magnitude of {_what()} is {largest:.3g}, and the noise '
        f'has the standard deviation `sigma` = {sigma:g}, '
    )
    advice = advice or _KSPACE_SCALE
    if noise > most:
        found += f'{noise:.3g} times as much. {advice}'
        if noise > HIDING_NOISE and _NAME.get() is None:
            raise ValueError(found)
        check.warn('small', f'{found} {EMPTY}')
    elif noise < LEAST_NOISE and largest > LARGEST_MAGNITUDE:
        check.warn('large', f'{found}only {noise:.3g} of it. {advice}')
