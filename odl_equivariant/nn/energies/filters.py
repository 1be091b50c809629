# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Filters of ridge energies: orbits under a group, and their norm."""

import math

import torch

__all__ = ('centred', 'norm_bound', 'orbits', 'waves')

# Frequencies per axis of the certified bound, for each cell of a filter: the
# bound is then at most 1.01 times the norm in 2D.
_OVERSAMPLING = 20
# Least norm that filters are divided by.
_LEAST = 1e-12


def centred(kernels):
    """Return filters of mean zero."""
    return kernels - kernels.mean((2, 3), keepdim=True)


def norm_bound(kernels):
    r"""Return a bound of the norm of filters together, for every image.

    Parameters
    ----------
    kernels : torch.Tensor
        Filters of shape ``(F, 1, k, k)``.

    Returns
    -------
    bound : torch.Tensor
        Number that is at least :math:`\max_\omega (\sum_i |\hat
        w_i(\omega)|^2)^{1/2}`, over all frequencies.

    Notes
    -----
    The sum is a trigonometric polynomial of the degree k - 1 along each axis.
    Its coefficients are the sum of the autocorrelations of the filters. Its
    maximum is at most :math:`\cos(\pi (k - 1) / N)^{-2}` times that over N x
    N equidistant frequencies (Ehlich and Zeller, see `convolution_norm`).
    """
    side = kernels.shape[-1]
    exact = kernels[:, 0].double()
    length = 2 * side
    spectra = torch.fft.rfft2(exact, s=(length, length))
    power = (spectra.real**2 + spectra.imag**2).sum(0)
    # autocorrelations are shorter than the period
    lags = torch.fft.irfft2(power, s=(length, length))
    n = _OVERSAMPLING * side
    lags = torch.fft.fftshift(lags)
    values = torch.fft.rfft2(lags, s=(n, n)).abs()
    square = values.max() / math.cos(math.pi * (side - 1) / n) ** 2
    return square.clamp(min=_LEAST**2).sqrt()


def orbits(kernels, turns, reflections):
    """Return turned and mirrored filters, the same element side by side.

    Parameters
    ----------
    kernels : torch.Tensor
        Filters of shape ``(F, 1, k, k)``.
    turns : sequence of int
        Numbers of quarter turns.
    reflections : bool
        Whether mirrored filters are in the orbit, too.

    Returns
    -------
    kernels : torch.Tensor
        Filters of shape ``(order * F, 1, k, k)``. Each block of F filters is
        of one element.
    """
    moved = [torch.rot90(kernels, n, (2, 3)) for n in turns]
    if reflections:
        moved += [w.transpose(2, 3) for w in moved]
    return torch.cat(moved)


def waves(n_filters, side, order):
    """Return the filters that a training starts from.

    They are waves of all lengths and directions under a bell. With the phase
    of an eighth of a period, half a turn makes a wave the one that lies
    between its crests.

    Parameters
    ----------
    n_filters : int
        Number F of filters, one of each orbit.
    side : int
        Odd side k.
    order : int
        Number of rotations of the group. Directions are of one sector.

    Returns
    -------
    kernels : torch.Tensor
        Filters of norm one and shape ``(F, 1, k, k)``.
    """
    cells = torch.arange(side, dtype=torch.float64) - side // 2
    j = torch.arange(n_filters, dtype=torch.float64)
    # nearly as many for each area of the plane of frequencies
    frequency = math.pi * ((j + 0.5) / n_filters) ** 0.6
    # the golden section fills the sector evenly, whatever their number is
    angle = 2 * math.pi / order * (j * (math.sqrt(5) - 1) / 2 % 1)
    width = (2.4 / frequency).clamp(1.6, side / 5)
    bell = torch.exp(-((cells / width[:, None]) ** 2) / 2)
    bell = bell[:, :, None] * bell[:, None]
    along = frequency * torch.stack([angle.cos(), angle.sin()])
    phase = along[0][:, None, None] * cells[:, None]
    phase = phase + along[1][:, None, None] * cells + math.pi / 4
    start = centred((bell * phase.cos())[:, None])
    start = start / start.flatten(1).norm(dim=1)[:, None, None, None]
    return start.to(torch.get_default_dtype())
