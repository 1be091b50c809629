# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Sensitivities of receive coils, estimated from k-space."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import real_number, whole_number
from odl_equivariant.data.kspace.checks import (
    checked_kspace,
    checked_sampling,
)

__all__ = ('calibration_block', 'estimate_coil_maps')

# Matrices of this many pixels are decomposed at once.
_PIXELS_AT_ONCE = 2**14


def calibration_block(
    sampled: np.ndarray, width: int
) -> tuple[slice, slice] | None:
    """Return the fully sampled block around the zero frequency.

    Parameters
    ----------
    sampled : numpy.ndarray
        Booleans of shape ``(nx, ny)``, true where k-space was measured. The
        zero frequency is at index ``n // 2``.
    width : int
        Largest length of the block along each axis.

    Returns
    -------
    block : tuple of 2 slices or None
        Largest square block, extended along each axis as far as it stays
        fully sampled. Its lengths are odd, so that it reaches equally far on
        both sides. ``None`` if the zero frequency was not measured.

    Examples
    --------
    >>> sampled = np.zeros((16, 12), dtype=bool)
    >>> sampled[5:12, 3:] = True
    >>> calibration_block(sampled, 24)
    (slice(5, 12, None), slice(3, 10, None))
    """
    center = [n // 2 for n in sampled.shape]
    most = [
        min((width - 1) // 2, c, n - 1 - c)
        for c, n in zip(center, sampled.shape, strict=True)
    ]

    def block(reach):
        return tuple(
            slice(c - r, c + r + 1) for c, r in zip(center, reach, strict=True)
        )

    if not sampled[block((0, 0))].all():
        return None
    reach = [0, 0]
    # both axes together, then each alone: this turns with k-space
    for step in ((1, 1), (1, 0), (0, 1)):
        while True:
            wider = [r + s for r, s in zip(reach, step, strict=True)]
            if any(w > m for w, m in zip(wider, most, strict=True)):
                break
            if not sampled[block(wider)].all():
                break
            reach = wider
    return block(reach)


def estimate_coil_maps(
    kspace: ArrayLike,
    sampled: ArrayLike | None = None,
    calibration: int = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
) -> np.ndarray:
    r"""Estimate the sensitivities of the coils from k-space, by ESPIRiT.

    Parameters
    ----------
    kspace : array-like
        Complex, of shape ``(n_coils, nx, ny)``, with the zero frequency at
        index ``n // 2`` and zeros where it was not measured. Its middle must
        be fully sampled.
    sampled : array-like, optional
        Booleans, true where k-space was measured, of shape ``(nx, ny)`` or
        of length 1 along some axes. Default: where a coil is not zero.
    calibration : int, optional
        Largest number of frequencies along each axis to estimate from. If
        fewer are fully sampled, fewer are used.
    kernel : int, optional
        Number of neighbouring frequencies along each axis that are taken to
        depend on each other. Maps are as smooth as this number is small.
    threshold : float, optional
        Singular values of the calibration matrix below this fraction of the
        largest one count as noise.
    crop : float, optional
        Maps are zero where the eigenvalue is below this number, between 0
        and 1: there is no object there. ``0`` keeps them everywhere.

    Returns
    -------
    coil_maps : numpy.ndarray
        Complex array of the shape and precision of ``kspace``. The squares
        of the absolute values add up to 1, or to 0 where there is no object.

    Raises
    ------
    ValueError
        If k-space has another shape, is zero or not finite, or its middle is
        sampled too little; and if there is no pixel at which all coils agree.
    TypeError
        If k-space does not contain complex numbers.

    Notes
    -----
    Let the rows of a matrix be all windows of ``kernel`` times ``kernel``
    frequencies of all coils in the calibration block, and :math:`P` the
    projection onto the space of its large singular values. The convolution
    of k-space with :math:`P`, averaged over the windows, is at each pixel
    :math:`x` the matrix

    .. math::
        G_{jl}(x) = \frac{1}{k^2} \sum_{a, b} P_{(j, a), (l, b)}\,
        e^{-2 \pi i (b - a) \cdot x},

    which is Hermitian, with eigenvalues between 0 and 1. The sensitivities
    at :math:`x` are its eigenvector to the eigenvalue 1 (Uecker et al.,
    *ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI*,
    Magnetic Resonance in Medicine 71 (2014), 990-1001). One kernel of
    correlations for each pair of coils is enough for :math:`G`.

    The data determine sensitivities only up to a factor of modulus 1 at each
    pixel. Here, the combination of the maps with the weights of the coils'
    strongest common signal is real and not negative. So the image keeps its
    smooth phase, and the maps turn with k-space: if k-space is turned by 90
    degrees about its zero frequency, so are the maps.

    Examples
    --------
    >>> from odl_equivariant.data import mr_phantom
    >>> image = mr_phantom((48, 48), rng=0)
    >>> x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 48)], indexing='ij')
    >>> maps = np.stack([np.exp(x / 2), np.exp(1j * y - x / 2)])
    >>> maps /= np.linalg.norm(maps, axis=0)
    >>> kspace = np.fft.fftshift(
    ...     np.fft.fft2(np.fft.ifftshift(maps * image, (1, 2))), (1, 2)
    ... )
    >>> found = estimate_coil_maps(kspace)
    >>> inside = abs(image) > 0.1
    >>> agreement = abs((found.conj() * maps).sum(0))[inside]
    >>> bool(agreement.mean() > 0.999)
    True
    """
    kspace = checked_kspace(kspace)
    sampled = checked_sampling(kspace, sampled)
    calibration = whole_number('calibration', calibration, 2)
    kernel = whole_number('kernel', kernel, 2)
    threshold = real_number('threshold', threshold, 0, 1)
    crop = real_number('crop', crop, 0, 1)
    block = calibration_block(sampled, calibration) or (slice(0, 0),) * 2
    lengths = [s.stop - s.start for s in block]
    # as many windows as their numbers, or the matrix says nothing
    if min(lengths) < kernel + 2:
        raise ValueError(
            'the middle of k-space is fully sampled on '
            f'{lengths[0]} x {lengths[1]} frequencies, and maps with a '
            f'`kernel` of {kernel} need {kernel + 2} x {kernel + 2}: pass '
            'coil maps from a calibration scan, or a smaller `kernel`'
        )
    data = kspace[:, *block].astype(np.complex128)
    if not data.any():
        raise ValueError(
            'k-space is zero around its zero frequency, at index '
            f'{tuple(n // 2 for n in sampled.shape)}: nothing says there '
            'what the coils see'
        )
    correlations = _correlations(data, kernel, threshold)
    maps, values, others = _eigenvectors(correlations, sampled.shape, kernel)
    maps *= _phase(maps, data)
    seen = values >= crop
    if not seen.any():
        raise ValueError(
            f'the largest eigenvalue of the coils is {values.max():.3g}, '
            f'below `crop` = {crop:g} at each pixel: k-space is only noise, '
            'its coils are in different places, or its frequencies are not '
            'in order'
        )
    if crop and np.median(others[seen]) >= crop:
        raise ValueError(
            'more than one set of coil maps fits the middle of k-space at '
            'most pixels: it is mostly noise there, and a larger `threshold` '
            f'than {threshold:g} leaves it out, or the coils are the same'
        )
    maps = np.where(seen, maps, 0)
    return np.ascontiguousarray(maps.astype(kspace.dtype))


def _correlations(data, kernel, threshold):
    """Return the sums of the projection over equal distances of windows."""
    n_coils = len(data)
    windows = np.lib.stride_tricks.sliding_window_view(
        data, (kernel, kernel), (1, 2)
    )
    rows = windows.transpose(1, 2, 0, 3, 4).reshape(-1, n_coils * kernel**2)
    # eigenvalues of the smaller matrix are squares of singular values
    squares, vectors = np.linalg.eigh(rows.T @ rows.conj())
    vectors = vectors[:, squares > threshold**2 * squares[-1]]
    projection = (vectors @ vectors.conj().T).reshape(
        2 * (n_coils, kernel, kernel)
    )
    reach = kernel - 1
    sums = np.zeros(
        (n_coils, n_coils, 2 * reach + 1, 2 * reach + 1), np.complex128
    )
    for i in range(kernel):
        for j in range(kernel):
            # window position (i, j) of one coil, all positions of the other
            sums[
                :,
                :,
                reach - i : reach - i + kernel,
                reach - j : reach - j + kernel,
            ] += projection[:, i, j]
    return sums / kernel**2


def _eigenvectors(correlations, shape, kernel):
    """Return the first eigenvector, its eigenvalue, and the next one."""
    distances = np.arange(1 - kernel, kernel)
    waves = [
        np.exp(-2j * np.pi * np.outer((np.arange(n) - n // 2) / n, distances))
        for n in shape
    ]
    n_coils = len(correlations)
    maps = np.empty((n_coils, *shape), np.complex128)
    values, others = np.zeros((2, *shape))
    step = max(1, _PIXELS_AT_ONCE // shape[1])
    for first in range(0, shape[0], step):
        rows = slice(first, first + step)
        matrices = np.einsum(
            'xa,jlab,yb->xyjl',
            waves[0][rows],
            correlations,
            waves[1],
            optimize=True,
        )
        own, vectors = np.linalg.eigh(matrices)
        values[rows] = own[..., -1]
        if n_coils > 1:
            others[rows] = own[..., -2]
        maps[:, rows] = np.moveaxis(vectors[..., -1], -1, 0)
    return maps, values, others


def _phase(maps, data):
    """Return the factors that make the common signal real."""
    samples = data.reshape(len(data), -1)
    _, vectors = np.linalg.eigh(samples @ samples.conj().T)
    weights = vectors[:, -1]
    # an eigenvector has any phase: its largest part becomes real
    largest = weights[np.abs(weights).argmax()]
    weights = weights * np.abs(largest) / largest
    common = np.tensordot(weights.conj(), maps, 1)
    size = np.abs(common)
    return np.divide(
        common.conj(), size, out=np.ones_like(common), where=size > 0
    )
