# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Channels of receive coils: decorrelated noise, and fewer channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._checks import real_number, whole_number
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.kspace.checks import checked_kspace

__all__ = ('coil_compression_matrix', 'mixed', 'prewhitening_matrix')


def prewhitening_matrix(noise: ArrayLike) -> np.ndarray:
    r"""Return the matrix that makes the noise of all coils alike.

    Parameters
    ----------
    noise : array-like
        Complex samples of the coils without an object, of shape
        ``(n_coils, n_samples)``, or with more axes behind the first.

    Returns
    -------
    matrix : numpy.ndarray
        complex128, of shape ``(n_coils, n_coils)``, lower triangular.

    Raises
    ------
    ValueError
        If there are fewer samples than coils, the noise is not finite, or a
        coil is silent or depends on the others.
    TypeError
        If the samples are not complex.

    Notes
    -----
    With the covariance :math:`\Psi = \frac{1}{n} N N^* = L L^*` of the
    samples :math:`N` in the rows of a matrix, this is :math:`L^{-1}`, so that
    :math:`L^{-1} \Psi L^{-*} = I`: the complex noise of each coil has
    variance 1, its real and its imaginary part have standard deviation
    :math:`\sqrt{1/2}` (Pruessmann et al., *Advances in sensitivity encoding
    with arbitrary k-space trajectories*, Magnetic Resonance in Medicine 46
    (2001), 638-651, appendix B).

    Examples
    --------
    >>> noise = np.array([[2.0, -2.0], [0.0, 1.0j]]) * (1 + 0j)
    >>> matrix = prewhitening_matrix(noise)
    >>> white = matrix @ noise
    >>> bool(np.allclose(white @ white.conj().T / 2, np.eye(2)))
    True
    """
    array = as_array(noise)
    if array.dtype.kind != 'c':
        raise TypeError(
            f'`noise` must contain complex numbers, got dtype {array.dtype}'
        )
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(
            '`noise` must have the shape (n_coils, n_samples), got '
            f'{array.shape}'
        )
    samples = array.reshape(len(array), -1).astype(np.complex128)
    if not np.isfinite(samples).all():
        raise ValueError(
            '`noise` has values that are infinite or not a number'
        )
    n_coils, n = samples.shape
    if n < n_coils:
        raise ValueError(
            f'`noise` has {n} samples of {n_coils} coils, and their '
            f'covariance needs {n_coils} samples or more: the first axis '
            'counts coils'
        )
    covariance = samples @ samples.conj().T / n
    power = np.diag(covariance).real
    if not power.all():
        raise ValueError(
            f'coil {int(np.argmin(power))} has no noise at all: leave out '
            'coils that were not connected'
        )
    # of coils that are brought to the same power
    scales = np.sqrt(power)
    correlation = covariance / np.outer(scales, scales)
    if np.linalg.eigvalsh(correlation)[0] < 1e-10:
        raise ValueError(
            'the noise of a coil is a combination of that of the others: '
            'leave it out, or compress the coils first'
        )
    factor = np.linalg.cholesky(correlation)
    return np.linalg.inv(factor) / scales


def coil_compression_matrix(
    kspace: ArrayLike,
    n_coils: int | None = None,
    energy: float | None = None,
) -> np.ndarray:
    r"""Return the matrix that compresses coils to fewer virtual ones.

    Parameters
    ----------
    kspace : array-like
        Complex, of shape ``(n_coils, nx, ny)``.
    n_coils : int, optional
        Number of virtual coils.
    energy : float, optional
        Fraction of the energy of k-space, between 0 and 1, which the virtual
        coils keep at least. Pass one of the two.

    Returns
    -------
    matrix : numpy.ndarray
        complex128, of shape ``(n_virtual_coils, n_coils)``, with orthonormal
        rows. So white noise stays white.

    Raises
    ------
    ValueError
        If both or none of ``n_coils`` and ``energy`` are given, or one is
        out of its range.

    Notes
    -----
    The rows are the first singular vectors of k-space as a matrix with a row
    for each coil. Among all matrices with as many orthonormal rows, this one
    keeps most of the energy (Buehrer et al., Magnetic Resonance in Medicine
    57 (2007), 1131-1139). Prewhiten first, so that a loud coil does not count
    more than others.

    Examples
    --------
    >>> kspace = np.ones((3, 4, 4)) * np.array([1, 1j, 2])[:, None, None]
    >>> coil_compression_matrix(kspace, energy=0.99).shape
    (1, 3)
    """
    kspace = checked_kspace(kspace)
    if (n_coils is None) == (energy is None):
        raise ValueError(
            'pass either `n_coils` or `energy`, got '
            f'n_coils={n_coils!r} and energy={energy!r}'
        )
    samples = kspace.reshape(len(kspace), -1).astype(np.complex128)
    values, vectors = np.linalg.eigh(samples @ samples.conj().T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    if n_coils is not None:
        n = whole_number('n_coils', n_coils, 1, len(kspace))
    else:
        energy = real_number('energy', energy, 0, 1)
        kept = np.cumsum(values) / values.sum()
        # of all coils it is 1, up to rounding
        n = min(int(np.searchsorted(kept, energy)) + 1, len(kspace))
    return vectors[:, :n].conj().T


def mixed(matrix: np.ndarray, kspace: np.ndarray) -> np.ndarray:
    """Return a matrix times the coils of k-space, in its precision."""
    kspace = np.asarray(kspace)
    return np.tensordot(matrix, kspace, 1).astype(kspace.dtype)
