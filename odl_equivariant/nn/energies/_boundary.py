# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

r"""How an image goes on past its boundary, without a gain in norm.

The extension of an image u is the sum of two maps, E (u - S u). Both are
applied along each axis, and commute with turns and reflections.

- S is a smoothing, four means over a window, with symmetric boundary. Its
  eigenvalues lie in [0, 1]. What filters of mean zero see is hardly changed
  by it, but an edge between u - S u and zero is small.
- E folds the boundary. A cell at the distance d of the boundary goes to
  itself with the weight cos(a), and to its mirror image with sin(a), where a
  falls from 1/4 pi at the boundary to 0. So :math:`E^T E = 1`.

Hence the extension has at most the norm 1, for images of every shape.
"""

import functools
import math

import torch

__all__ = ('extend', 'extended_transpose', 'extension')

# Side of the window of a mean in cells.
_WINDOW = 21


def extend(x, matrices):
    """Return extended images; `matrices` is what `extension` returned."""
    folds, rests = zip(*matrices, strict=True)
    return _along_axes(x, folds) - _along_axes(x, rests)


def extended_transpose(y, matrices):
    """Return the transpose of `extend`, applied to extended images."""
    return extend(y, [(fold.T, rest.T) for fold, rest in matrices])


def _along_axes(x, matrices):
    """Apply a matrix along each axis of images, or of volumes."""
    *before, first, last = matrices
    x = first @ x @ last.T
    for matrix in before:
        x = (matrix @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
    return x


def extension(shape, reach, margin, like):
    """Return the matrices E and E S of all axes.

    Parameters
    ----------
    shape : sequence of 2 or 3 ints
        Shape of the images.
    reach : int
        Number of cells from the boundary that the folding reaches, on each
        of its sides.
    margin : int
        Number of zeros beyond these.
    like : torch.Tensor
        Tensor of the dtype and on the device of the matrices.
    """
    return tuple(
        _matrices(n, reach, margin, like.dtype, like.device) for n in shape
    )


@functools.lru_cache(maxsize=16)
def _matrices(n, reach, margin, dtype, device):
    with torch.inference_mode(False), torch.no_grad():
        fold = torch.zeros(n + 2 * reach, n, dtype=torch.float64, device='cpu')
        cells = torch.arange(n)
        fold[cells + reach, cells] = 1.0
        for d in range(reach):
            # at half cells from the boundary, so that the sum is smooth
            angle = math.pi / 4 * (1 - (d + 0.5) / reach)
            for inner, outer, cell in (
                (reach + d, reach - 1 - d, d),
                (reach + n - 1 - d, reach + n + d, n - 1 - d),
            ):
                fold[outer, cell] = math.sin(angle) * fold[inner, cell]
                fold[inner, cell] *= math.cos(angle)
        mean = torch.zeros(n, n, dtype=torch.float64, device='cpu')
        for offset in range(-(_WINDOW // 2), _WINDOW // 2 + 1):
            place = (cells + offset) % (2 * n)
            place = torch.where(place < n, place, 2 * n - 1 - place)
            mean[cells, place] += 1 / _WINDOW
        smooth = torch.linalg.matrix_power(mean, 4)
        rest = fold @ smooth
        padding = (0, 0, margin, margin)
        return tuple(
            torch.nn.functional.pad(m, padding).to(device, dtype)
            for m in (fold, rest)
        )
