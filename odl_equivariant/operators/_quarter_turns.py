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

__all__ = ('has_quarter_turns', 'with_quarter_turns')


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
    if odd or not np.allclose(angles[half:] - angles[:half], np.pi / 2):
        return False
    sides = space.cell_sides
    tolerance = 1e-6 * float(sides[0])
    return bool(
        space.shape[0] == space.shape[1]
        and abs(float(sides[0] - sides[1])) < 1e-3 * tolerance
        and np.all(np.abs(space.partition.mid_pt) < tolerance)
        and np.all(np.abs(geometry.det_partition.mid_pt) < tolerance)
        and np.all(np.abs(geometry.translation) < tolerance)
    )


def with_quarter_turns(matrix, n_views, size):
    r"""Return a projector's matrix with the symmetry that it has in theory.

    ASTRA computes the weights of each ray in single precision, so that the
    rays of turned views differ in the fifth digit. Here the rows of the
    second half of the views are those of the first half, turned, and each
    view is averaged with itself, seen from the other side.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix
        Matrix of shape ``(n_views * n_detectors, size ** 2)``.
    n_views : int
        Even number of views, see `has_quarter_turns`.
    size : int
        Side of the image in cells.

    Returns
    -------
    matrix : scipy.sparse.csr_matrix
        Matrix :math:`A` of the same shape, with :math:`A T_g = S_g A` to
        rounding, where :math:`T_g` turns the image and :math:`S_g` moves the
        views on by half their number and reverses those that come round.
    """
    from scipy import sparse

    n_detectors = matrix.shape[0] // n_views
    rows = np.arange(matrix.shape[0] // 2).reshape(n_views // 2, n_detectors)
    pixels = np.arange(size**2)
    first = matrix[rows.ravel()]
    opposite = first[rows[:, ::-1].ravel()][:, pixels[::-1]]
    first = 0.5 * (first + opposite)
    # (A u)(phi + pi/2, s) = (A T_g^{-1} u)(phi, s); the column of a pixel is
    # that of the place to which T_g^{-1} takes it
    turned = np.rot90(pixels.reshape(size, size), 1).ravel()
    return sparse.vstack([first, first[:, turned]], format='csr')
