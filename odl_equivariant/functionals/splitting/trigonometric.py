# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Linear systems with the Laplacian of a grid, by trigonometric transforms."""

import math

import scipy.fft
import torch

__all__ = ('Laplacian', 'cosine_transform', 'inverse_cosine_transform')


def _order(n, device):
    """Return even places, then odd ones backwards."""
    places = torch.arange(n, device=device)
    return torch.cat([places[::2], places[1::2].flip(0)])


def _turns(n, like):
    angles = torch.arange(n // 2 + 1, device=like.device, dtype=torch.double)
    angles = angles.mul_(-math.pi / (2 * n))
    return torch.polar(torch.ones_like(angles), angles).to(like)


def cosine_transform(x, axes):
    r"""Return the discrete cosine transform, not normalised.

    Along each axis,
    :math:`y_k = \sum_j x_j \cos(\pi k (2 j + 1) / (2 n))`.

    Parameters
    ----------
    x : torch.Tensor
        Real tensor on any device.
    axes : sequence of int
        Axes to transform.
    """
    # from one Fourier transform of the same length: Makhoul, *A fast cosine
    # transform in one and two dimensions*, IEEE Trans. ASSP 28 (1980), 27-34
    for axis in axes:
        x = x.movedim(axis, -1)
        n = x.shape[-1]
        y = torch.fft.rfft(x[..., _order(n, x.device)])
        y = y * _turns(n, y)
        last = y.imag[..., 1 : (n + 1) // 2].flip(-1).neg()
        x = torch.cat([y.real, last], -1).movedim(-1, axis)
    return x


def inverse_cosine_transform(y, axes):
    """Return the inverse of `cosine_transform`, along the same axes.

    Parameters
    ----------
    y : torch.Tensor
        Real coefficients.
    axes : iterable of int
        Axes along which they are transformed.
    """
    for axis in axes:
        y = y.movedim(axis, -1)
        n = y.shape[-1]
        half = n // 2 + 1
        mirrored = torch.cat([torch.zeros_like(y[..., :1]), y.flip(-1)], -1)
        spectrum = torch.complex(y[..., :half], -mirrored[..., :half])
        spectrum = spectrum * _turns(n, spectrum).conj()
        x = torch.empty_like(y)
        x[..., _order(n, y.device)] = torch.fft.irfft(spectrum, n)
        y = x.movedim(-1, axis)
    return y


class Laplacian:
    r"""Solver of :math:`(1 + \rho K^* K) u = f`, with one-sided differences.

    Parameters
    ----------
    stencils : Stencils
        Differences :math:`K` on a grid where all points have the same weight.
    like : torch.Tensor
        Tensor whose precision and device are those of all images.
    """

    def __init__(self, stencils, like):
        self.periodic = stencils.periodic
        self.axes = tuple(range(-stencils.ndim, 0))
        self.shape = stencils.shape
        values = torch.zeros(self.shape, dtype=torch.double)
        for axis, n, side in zip(
            self.axes, self.shape, stencils.sides, strict=True
        ):
            period = n if self.periodic else 2 * n
            own = torch.arange(n, dtype=torch.double)
            own = 2 - 2 * torch.cos(2 * math.pi / period * own)
            own = own / side**2 / len(stencils.signs)
            values += own.reshape(-1, *(1,) * (-1 - axis))
        if self.periodic and not like.is_complex():
            values = values[..., : self.shape[-1] // 2 + 1]
        self.values = values.to(like.device, like.real.dtype)

    def solve(self, right, rho):
        """Return the solution, given one penalty for each image."""
        if right.is_complex() and not self.periodic:
            return torch.complex(
                self.solve(right.real, rho), self.solve(right.imag, rho)
            )
        values = self.values * rho + 1
        if not self.periodic:
            return self._cosines(right, values)
        if right.is_complex():
            spectrum = torch.fft.fftn(right, dim=self.axes)
            return torch.fft.ifftn(spectrum / values, dim=self.axes)
        spectrum = torch.fft.rfftn(right, dim=self.axes)
        return torch.fft.irfftn(spectrum / values, self.shape, self.axes)

    def _cosines(self, right, values):
        if right.device.type != 'cpu':
            y = cosine_transform(right, self.axes)
            return inverse_cosine_transform(y / values, self.axes)
        options = {'axes': self.axes, 'workers': torch.get_num_threads()}
        y = scipy.fft.dctn(right.numpy(), **options)
        y /= values.numpy()
        u = scipy.fft.idctn(y, overwrite_x=True, **options)
        return torch.from_numpy(u)
