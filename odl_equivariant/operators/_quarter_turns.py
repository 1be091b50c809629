# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Parallel-beam matrices that commute exactly with quarter turns."""

import numpy as np
from odl.applications.tomo import Parallel2dGeometry

from odl_equivariant.operators._ray_geometry import (
    detector_offsets,
    full_cells,
)

__all__ = ('has_quarter_turns', 'both_sides', 'turned')


def has_quarter_turns(geometry, space):
    """Return whether a quarter turn of the image permutes the data.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Geometry of the ray transform.
    space : `DiscretizedSpace`
        Space of the images.

    Returns
    -------
    has_quarter_turns : bool
        True for parallel beams, an even number of views of which the second
        half is the first, turned by 90 degrees, a detector that is symmetric
        about the origin, and a square grid centred there.
    """
    if not isinstance(geometry, Parallel2dGeometry):
        return False
    angles = np.atleast_1d(geometry.angles)
    half, odd = divmod(len(angles), 2)
    # An angle of 1e-7 moves the rim of an image by less than the rounding
    # of ASTRA's coordinates.
    if odd or not np.allclose(
        angles[half:] - angles[:half], np.pi / 2, rtol=0, atol=1e-7
    ):
        return False
    low, high = full_cells(space.partition)
    sides = space.cell_sides
    tolerance = 1e-6 * float(sides[0])
    return bool(
        space.shape[0] == space.shape[1]
        and abs(float(sides[0] - sides[1])) < 1e-3 * tolerance
        and np.all(np.abs(low + high) < 2 * tolerance)
        and np.all(np.abs(detector_offsets(geometry)) < 1e-6)
    )


def both_sides(view):
    """Average a view with itself, seen from the other side.

    ASTRA computes the weights of each ray in single precision, so that the
    rays of turned views differ in the fifth digit. A ray that runs along the
    border of two pixels is given to both, half of it each.

    Parameters
    ----------
    view : scipy.sparse.csr_matrix
        Rays of one view with sorted indices; detector and grid as in
        `has_quarter_turns`.

    Returns
    -------
    view : scipy.sparse.csr_matrix
        Rays of the view, which do not change when the order of the rays and
        that of the pixels are reversed.
    """
    from scipy import sparse

    opposite = sparse.csr_matrix(
        (
            view.data[::-1],
            view.shape[1] - 1 - view.indices[::-1],
            view.nnz - view.indptr[::-1],
        ),
        shape=view.shape,
    )
    return (view + opposite) * view.dtype.type(0.5)


def turned(view, size):
    """Return the rays of the view that is 90 degrees further on.

    Parameters
    ----------
    view : scipy.sparse.csr_matrix
        Rays of one view.
    size : int
        Side of the image in cells.

    Returns
    -------
    view : scipy.sparse.csr_matrix
        Matrix of the same shape: with :math:`T_g` the quarter turn of the
        image, :math:`(A u)(phi + pi/2, s) = (A T_g^{-1} u)(phi, s)`.
    """
    from scipy import sparse

    pixels = np.arange(size**2, dtype=np.int32).reshape(size, size)
    # a pixel's column is that of the place to which `T_g^{-1}` takes it,
    # which is the turn in the other direction of the places' numbers
    columns = np.rot90(pixels, -1).ravel()[view.indices]
    result = sparse.csr_matrix(
        (view.data, columns, view.indptr), shape=view.shape, copy=True
    )
    result.sort_indices()
    return result
