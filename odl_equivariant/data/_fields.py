# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Random fields in the plane and in space."""

import numpy as np
import scipy.fft

__all__ = ('random_texture', 'smooth_phase')


def random_texture(shape, rng, lowest, highest, decay=0.0):
    """Return a Gaussian random field with a limited band of frequencies.

    Parameters
    ----------
    shape : tuple of 2 ints
        Shape of the field.
    rng : numpy.random.Generator
        Source of randomness.
    lowest, highest : float
        The band, in cycles per shorter side of the image.
    decay : float, optional
        The amplitude falls as ``frequency ** -decay`` in the band.

    Returns
    -------
    field : numpy.ndarray
        float32, of the given shape, mean 0 and standard deviation 1.
    """
    side = min(shape)
    # A fixed number of coefficients, so that the same seed draws the same
    # field at another resolution.
    half = int(np.ceil(highest))
    coefficients = rng.standard_normal(
        (2, 2 * half + 1, half + 1), dtype=np.float32
    )
    freq_0 = np.arange(-half, half + 1, dtype=np.float32)[:, None]
    freq_1 = np.arange(half + 1, dtype=np.float32)[None, :]
    frequency = np.hypot(freq_0, freq_1)
    in_band = (frequency >= lowest) & (frequency <= highest)
    envelope = np.zeros_like(frequency)
    envelope[in_band] = frequency[in_band] ** -np.float32(decay)

    padded = (
        scipy.fft.next_fast_len(side),
        scipy.fft.next_fast_len(side, real=True),
    )
    keep_0 = min(half, (padded[0] - 1) // 2)
    keep_1 = min(half, (padded[1] - 1) // 2)
    spectrum = np.zeros((padded[0], padded[1] // 2 + 1), dtype=np.complex64)
    scaled = (coefficients[0] + 1j * coefficients[1]) * envelope
    scaled = scaled[half - keep_0 : half + keep_0 + 1, : keep_1 + 1]
    spectrum[: keep_0 + 1, : keep_1 + 1] = scaled[keep_0:]
    if keep_0:
        spectrum[-keep_0:, : keep_1 + 1] = scaled[:keep_0]
    field = scipy.fft.irfft2(spectrum, s=padded)
    # The field is periodic: it repeats along the longer side.
    missing = [max(n - m, 0) for n, m in zip(shape, padded, strict=True)]
    field = np.pad(field, [(0, n) for n in missing], mode='wrap')
    field = field[: shape[0], : shape[1]].copy()
    field -= field.mean()
    deviation = float(field.std())
    if deviation > 0:
        field /= np.float32(deviation)
    return field.astype(np.float32, copy=False)


def smooth_phase(shape, rng):
    """Return complex numbers of modulus 1 with a random smooth phase.

    Parameters
    ----------
    shape : tuple of 2 or 3 ints
        Shape of the field.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    field : numpy.ndarray
        complex64, of the given shape.
    """
    texture = random_texture if len(shape) == 2 else _texture_of_volume
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(0, 1) * texture(
        shape, rng, 0.5, 2.5, 1.0
    )
    return np.exp(1j * angle).astype(np.complex64)


def _texture_of_volume(shape, rng, lowest, highest, decay):
    """Return such a field in space, a sum of few waves.

    Parameters and result are those of `random_texture`, for three axes.
    """
    half = int(np.ceil(highest))
    waves = np.indices((2 * half + 1,) * 3).reshape(3, -1) - half
    frequency = np.linalg.norm(waves, axis=0)
    in_band = (frequency >= lowest) & (frequency <= highest)
    waves, frequency = waves[:, in_band], frequency[in_band]
    # a fixed number of waves: the same seed draws the same field on any grid
    real, imaginary = rng.standard_normal((2, frequency.size))
    amplitude = real + 1j * imaginary
    amplitude *= frequency**-decay
    spectrum = np.zeros((2 * half + 1,) * 3, complex)
    spectrum[tuple(waves + half)] = amplitude
    field = spectrum
    for n in shape:
        turns = np.outer(np.arange(-half, half + 1), np.arange(n) / min(shape))
        # the axis in front moves to the end, three times
        field = np.tensordot(field, np.exp(2j * np.pi * turns), (0, 0))
    field = field.real - field.real.mean()
    deviation = field.std()
    if deviation > 0:
        field /= deviation
    return field.astype(np.float32)
