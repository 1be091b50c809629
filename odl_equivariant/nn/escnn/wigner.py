# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Irreducible representations of SO(3) in the basis that escnn expects."""

from functools import lru_cache

import numpy as np

__all__ = ('wigner_D_matrix',)


def wigner_D_matrix(
    l,  # noqa: E741
    alpha,
    beta,
    gamma,
    field='real',
    normalization='quantum',
    order='centered',
    condon_shortley='cs',
):
    r"""Return the real Wigner D-matrix of a rotation.

    The signature is the one of the function of the same name in
    ``lie_learn``, which escnn imports.

    Parameters
    ----------
    l : int
        Degree of the representation, at least 0.
    alpha, beta, gamma : float or array-like
        Euler angles in radians, of shapes that broadcast to a common
        ``shape``. The rotation is
        :math:`R = R_z(\alpha) R_y(\beta) R_z(\gamma)`.
    field : {'real'}, optional
        Scalars of the representation.
    normalization : {'quantum'}, optional
        Normalization of the spherical harmonics.
    order : {'centered'}, optional
        The basis runs over the orders :math:`m = -l, \ldots, l`.
    condon_shortley : {'cs'}, optional
        Phase of the complex spherical harmonics that the real ones are
        made of.

    Returns
    -------
    matrix : numpy.ndarray
        Orthogonal matrices of dtype ``float64`` and of shape
        ``shape + (2 l + 1, 2 l + 1)``.

    Raises
    ------
    ValueError
        If the degree is negative, or if another basis is asked for.

    Notes
    -----
    With the real spherical harmonics
    :math:`Y_l = (Y_{l,-l}, \ldots, Y_{l,l})`, where
    :math:`Y_{l,m}` is proportional to :math:`\sin(|m| \varphi)` for
    :math:`m < 0` and to :math:`\cos(m \varphi)` for :math:`m \ge 0`, the
    matrix is defined by

    .. math::
        Y_l(R r) = D^l(R)\, Y_l(r), \qquad |r| = 1.

    Degree 1 is thus the rotation matrix in the order :math:`(y, z, x)`. It
    is computed as in [PH2007],

    .. math::
        D^l(R) = X(\alpha) J X(\beta) J X(\gamma),

    :math:`X` being the rotation about the third axis and :math:`J` the half
    turn about :math:`(0, 1, 1)`, which exchanges the second and the third
    axis.

    References
    ----------
    [PH2007] Pinchon, D, and Hoggan, P E. *Rotation matrices for real
    spherical harmonics: general rotations of atomic orbitals in space-fixed
    axes*. Journal of Physics A, 40 (2007), pp 1597--1610.

    Examples
    --------
    A quarter turn about the third axis takes x to y and y to -x:

    >>> matrix = wigner_D_matrix(1, np.pi / 2, 0, 0)
    >>> (matrix.round(12) + 0.0).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]
    """
    basis = (field, normalization, order, condon_shortley)
    if basis != ('real', 'quantum', 'centered', 'cs'):
        raise ValueError(
            'the only basis available is (field, normalization, order, '
            "condon_shortley) = ('real', 'quantum', 'centered', 'cs'), got "
            f'{basis}; install `lie_learn` for the others'
        )
    if int(l) != l or l < 0:
        raise ValueError(f'`l` must be an integer of at least 0, got {l}')
    degree = int(l)
    exchange = _exchange(degree)
    return (
        _rotation_about_z(degree, alpha)
        @ exchange
        @ _rotation_about_z(degree, beta)
        @ exchange
        @ _rotation_about_z(degree, gamma)
    )


def _rotation_about_z(degree, angle):
    """Return the representation of a rotation about the third axis."""
    angle = np.asarray(angle, dtype=float)[..., None]
    size = 2 * degree + 1
    rows = np.arange(size)
    frequencies = degree - rows
    matrix = np.zeros(angle.shape[:-1] + (size, size))
    matrix[..., rows, rows[::-1]] = np.sin(frequencies * angle)
    # After the sines, so that the centre, where both fall, holds cos 0
    matrix[..., rows, rows] = np.cos(frequencies * angle)
    return matrix


@lru_cache(maxsize=64)
def _exchange(degree):
    """Return the representation of the half turn about (0, 1, 1)."""
    orders = np.arange(-degree, degree + 1)
    raising = np.diag(
        np.sqrt(degree * (degree + 1.0) - orders[:-1] * (orders[:-1] + 1.0)),
        k=-1,
    )
    momentum_y = (raising - raising.T) / 2j
    momentum = (momentum_y + np.diag(orders)) / np.sqrt(2)

    # The eigenvalues are the orders, and exact integers are better than
    # the computed ones in the exponential of a half turn.
    _, vectors = np.linalg.eigh(momentum)
    half_turn = (vectors * np.exp(-1j * np.pi * orders)) @ vectors.conj().T

    basis = _complex_from_real(degree)
    matrix = (basis.conj().T @ half_turn.conj() @ basis).real
    matrix.flags.writeable = False
    return matrix


def _complex_from_real(degree):
    """Return the matrix from real to complex spherical harmonics."""
    size = 2 * degree + 1
    basis = np.zeros((size, size), dtype=complex)
    basis[degree, degree] = 1
    for order in range(1, degree + 1):
        sign = (-1) ** order
        minus, plus = degree - order, degree + order
        basis[minus, [minus, plus]] = np.array([-1j, 1]) / np.sqrt(2)
        basis[plus, [minus, plus]] = np.array([1j, 1]) * sign / np.sqrt(2)
    return basis
