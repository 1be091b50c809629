# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Images on finer grids, by an interpolation that is limited in its band."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import scipy.fft
import torch

__all__ = ('zoomed_in', 'zoomed_out')


def zoomed_in(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    r"""Return images on a grid of more cells of the same extent.

    Parameters
    ----------
    x : torch.Tensor
        Images of shape ``(N, C, *cells)``.
    shape : sequence of int
        New numbers of cells, at least as many along each axis.

    Returns
    -------
    y : torch.Tensor
        Images of shape ``(N, C, *shape)``.

    Notes
    -----
    Along each axis, the function through the values is the sum of the cosines
    :math:`\cos(\pi k (2 i + 1) / (2 n))`, :math:`0 \le k < n`, which
    continues an image by its mirror image. Its values at the new cells are
    :math:`Z = (m / n)^{1/2} C_m^T C_n` times the old ones, with the
    orthonormal discrete cosine transforms. So :math:`Z^T Z = (m / n) \,
    \mathrm{id}`, constant images stay as they are, and mirrors and quarter
    turns are kept.

    Examples
    --------
    >>> u = torch.rand(1, 1, 6, 5)
    >>> v = zoomed_out(zoomed_in(u, (9, 8)), (6, 5))
    >>> torch.allclose(u, v, atol=1e-6)
    True
    """
    for axis, m in enumerate(shape, 2):
        n = x.shape[axis]
        if m != n:
            x = _along(x, _matrix(n, m), axis)
    return x


def zoomed_out(y: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return images on the coarser grid, the left inverse of `zoomed_in`.

    Parameters
    ----------
    y : torch.Tensor
        Images of shape ``(N, C, *cells)``.
    shape : sequence of int
        New numbers of cells, at most as many along each axis.

    Returns
    -------
    x : torch.Tensor
        Images of shape ``(N, C, *shape)``: the parts of ``y`` in the band of
        the coarser grid.
    """
    for axis, n in enumerate(shape, 2):
        m = y.shape[axis]
        if m != n:
            y = _along(y, _matrix(n, m).T * (n / m), axis)
    return y


def _along(x, matrix, axis):
    matrix = torch.as_tensor(matrix).to(x)
    return (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


@functools.lru_cache(maxsize=64)
def _matrix(n, m):
    """Return the interpolation from n to m cells.

    It is an array and no tensor: that would belong to the trace, or the mode,
    of its first use.
    """
    return _cosines(m)[:n].T @ _cosines(n) * (m / n) ** 0.5


def _cosines(n):
    """Return the orthonormal discrete cosine transform, (n, n)."""
    return scipy.fft.dct(np.eye(n), axis=0, norm='ortho')
