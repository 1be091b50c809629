# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The largest eigenvalue of a self-adjoint operator."""

import dataclasses
from math import isfinite, nan, sqrt

import numpy as np
from scipy.linalg import eigh_tridiagonal

__all__ = ('Leading', 'lanczos')


@dataclasses.dataclass(frozen=True)
class Leading:
    """The result of the Lanczos method for the largest eigenvalue.

    Parameters
    ----------
    value : float
        Largest eigenvalue on the Krylov space, not above the true one, and
        NaN if a value was not finite.
    residual : float
        Bound of the distance to the next eigenvalue, relative to ``value``.
    n_steps : int
        Number of times that the operator was applied.
    coordinates : numpy.ndarray, shape (n_steps,)
        The approximate eigenvector in the basis of the Krylov space.
    """

    value: float
    residual: float
    n_steps: int
    coordinates: np.ndarray


_ZERO = Leading(0.0, 0.0, 0, np.zeros(0))
_NOT_FINITE = Leading(nan, nan, 0, np.zeros(0))


def lanczos(apply, start, inner, tolerance, n_steps, basis=None):
    r"""Approximate the largest eigenvalue by the method of Lanczos.

    Parameters
    ----------
    apply : callable
        Self-adjoint, positive semi-definite linear map of vectors.
    start : vector
        First vector. Vectors are added, and multiplied by numbers.
    inner : callable
        Real inner product of two vectors, in which ``apply`` is self-adjoint.
    tolerance : float
        Residual, relative to the eigenvalue, at which to end.
    n_steps : int
        Largest number of steps.
    basis : list, optional
        Where to append the basis of the Krylov space, if it is wanted.

    Returns
    -------
    leading : Leading
        The largest eigenvalue that was found.

    Notes
    -----
    The basis is not orthogonalised again, and three vectors are kept: what
    rounding does to the basis makes copies of eigenvalues that were found,
    and does not move the largest one (Paige, Linear Algebra Appl. 34 (1980)
    235-258). After :math:`k` steps on :math:`n` dimensions, the expected
    error from a random start is at most

    .. math::
        0.103 \Big(\frac{\ln(n (k - 1)^4)}{k - 1}\Big)^2

    of the eigenvalue, whatever the operator (Kuczynski and Wozniakowski,
    SIAM J. Matrix Anal. Appl. 13 (1992) 1094-1122), and falls geometrically
    where there is a gap to the next eigenvalue.
    """
    length = sqrt(inner(start, start))
    if length == 0:
        return _ZERO
    if not isfinite(length):
        return _NOT_FINITE
    vector, before = (1 / length) * start, None
    diagonal, beside = [], []
    while True:
        if basis is not None:
            basis.append(vector)
        image = apply(vector)
        if before is not None:
            image = image - beside[-1] * before
        diagonal.append(inner(vector, image))
        if not isfinite(diagonal[-1]):
            return _NOT_FINITE
        image = image - diagonal[-1] * vector
        length = sqrt(max(0.0, inner(image, image)))
        if not isfinite(length):
            return _NOT_FINITE
        value, coordinates = _largest(diagonal, beside)
        gap = length * abs(float(coordinates[-1]))
        residual = gap / value if value > 0 else 0.0
        done = len(diagonal) >= n_steps or residual <= tolerance
        if done or length == 0:
            return Leading(value, residual, len(diagonal), coordinates)
        beside.append(length)
        vector, before = (1 / length) * image, vector


def _largest(diagonal, beside):
    """Return the largest eigenpair of a tridiagonal matrix."""
    last = len(diagonal) - 1
    values, vectors = eigh_tridiagonal(
        diagonal, beside, select='i', select_range=(last, last)
    )
    return float(values[0]), vectors[:, 0]
