# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Common symmetries of a grid and rays, imposed on matrices.

ASTRA computes the weights of each ray in single precision, so that the rays of
a turned view differ in the fifth digit. The average over the group of all
turns and reflections that map the grid and the rays to themselves removes this
difference.
"""

import dataclasses
import functools
import itertools

import numpy as np
import odl

from odl_equivariant.actions._rays import Rays, match_rays
from odl_equivariant.actions.grid import (
    QUARTER_TURNS,
    GridMover,
    maps_grid_to_itself,
)

__all__ = ('RaySymmetry', 'ray_symmetry')

# The symmetries of the square, but for the identity.
_MATRICES = [np.array(matrix) for matrix in QUARTER_TURNS[1:]] + [
    np.array(matrix) @ np.diag([-1, 1]) for matrix in QUARTER_TURNS
]

# An angle of 1e-7 moves the rim of an image by less than the rounding of
# ASTRA's coordinates.
_SAME_ANGLE, _SAME_OFFSET = 1e-7, 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class RaySymmetry:
    r"""A finite group that moves pixels, views and detector elements.

    Attributes
    ----------
    movers : tuple of GridMover
        How each element g of the group moves an image, the identity first.
    views : numpy.ndarray of int, shape (order, n_views)
        Where the views of the moved data come from.
    reversed : numpy.ndarray of bool, shape (order, n_views)
        Whether the detector elements change their order.

    Notes
    -----
    A matrix has the symmetry if :math:`A T_g = S_g A` for all elements, with
    :math:`(S_g y)_v = y_{\text{views}[g, v]}`, reversed or not.
    """

    movers: tuple
    views: np.ndarray
    reversed: np.ndarray

    @property
    def order(self):
        """Number of elements of the group."""
        return len(self.movers)

    @functools.cached_property
    def pixels(self):
        """Where the pixels of a moved image come from, for each element."""
        shape = self.movers[0].space.shape
        places = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        return [mover.move(places).ravel() for mover in self.movers]

    @functools.cached_property
    def products(self):
        """Number of the product of each two elements, or -1."""
        matrices = np.stack([mover.matrix for mover in self.movers])
        products = np.einsum('aij,bjk->abik', matrices, matrices)
        equal = (products[:, :, None] == matrices).all(axis=(-2, -1))
        return np.where(equal.any(axis=-1), equal.argmax(axis=-1), -1)

    @property
    def is_group(self):
        """Whether products of elements move the data as they should."""
        for one, other in itertools.product(range(self.order), repeat=2):
            product, views = self.products[one, other], self.views[one]
            backwards = self.reversed[other][views] ^ self.reversed[one]
            if product < 0 or not (
                np.array_equal(self.views[product], self.views[other][views])
                and np.array_equal(self.reversed[product], backwards)
            ):
                return False
        return True

    def stabilizer(self, view):
        """Return the elements that map a view to itself."""
        return np.flatnonzero(self.views[:, view] == view).tolist()

    def orbits(self):
        """Return the views to build, and the views that follow from them.

        Returns
        -------
        representatives : list of int
            One view of each orbit, increasing.
        sources : list of (int, int)
            For each view its representative, and the element of the group
            that takes the representative to it.
        """
        sources = [None] * self.views.shape[1]
        representatives = []
        for view in range(len(sources)):
            if sources[view] is None:
                representatives.append(view)
                for element, image in enumerate(self.views[:, view]):
                    if sources[image] is None:
                        sources[image] = view, element
        return representatives, sources

    def moved(self, rays, element, view):
        """Return the rays of the view to which an element takes a view.

        Parameters
        ----------
        rays : scipy.sparse.csr_matrix
            Rows of the matrix for one view.
        element : int
            Number of the element g.
        view : int
            Number of the view.

        Returns
        -------
        rays : scipy.sparse.csr_matrix
            Rows for the view ``views[element, view]``.
        """
        from scipy import sparse

        columns = self.pixels[element][rays.indices]
        data, ends = rays.data, rays.indptr
        if self.reversed[element, view]:
            # all entries backwards, so that the last row comes first
            data, columns = data[::-1], columns[::-1]
            ends = rays.nnz - ends[::-1]
        result = sparse.csr_matrix(
            (data, columns, ends), shape=rays.shape, copy=True
        )
        result.sort_indices()
        return result

    def averaged(self, rays, view):
        """Average rays over the elements that map their view to itself.

        A ray along the border of two pixels is shared equally between both.

        Parameters
        ----------
        rays : scipy.sparse.csr_matrix
            Rows of the matrix for one view.
        view : int
            Number of the view.

        Returns
        -------
        rays : scipy.sparse.csr_matrix
            The average over the elements that keep the view.
        """
        kept = {0}
        for element in self.stabilizer(view):
            if element in kept:
                continue
            # With commuting elements of order two this is the average over
            # all their products, and the same to the last bit for each.
            half = rays.dtype.type(0.5)
            rays = (rays + self.moved(rays, element, view)) * half
            kept |= {int(self.products[element, other]) for other in kept}
        return rays


def _induced(mover, rays, ends):
    """Return how an element permutes views and detectors, or ``None``."""
    n_views, n_detectors = rays.offsets.shape
    n_ends = ends.offsets.shape[1]
    matrix = mover.matrix.T
    shift = -matrix @ mover.translation
    # few rays tell which view is meant, and all of them whether it fits
    found, is_measured = match_rays(ends.moved(matrix, shift), ends)
    views, places = np.divmod(found.reshape(n_views, n_ends), n_ends)
    views, backwards = views[:, 0], places[:, 0] != 0
    if not is_measured.all() or len(np.unique(views)) < n_views:
        return None
    sources = np.arange(n_detectors)
    sources = np.where(backwards[:, None], sources[::-1], sources)
    angle, gap = rays.moved(matrix, shift).gaps(rays, views[:, None], sources)
    if angle > _SAME_ANGLE or gap > _SAME_OFFSET * rays.width:
        return None
    return views, backwards


def ray_symmetry(geometry, space):
    """Return the group that maps the grid and the rays to themselves.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Parallel or fan beams in the plane.
    space : `DiscretizedSpace`
        Space of the images.

    Returns
    -------
    symmetry : RaySymmetry
        Those of the eight symmetries of the square, about the centre of the
        domain, that permute the points of the grid and the rays; at least
        the identity.
    """
    rays = Rays.of(geometry)
    n_views, n_detectors = rays.offsets.shape
    # the first two and the last two fix the place of an even detector
    ends = {0, 1, n_detectors - 2, n_detectors - 1} & set(range(n_detectors))
    ends = rays.detectors(sorted(ends))
    grid = odl.uniform_discr_frompartition(space.partition)
    views, forwards = np.arange(n_views), np.zeros(n_views, dtype=bool)
    identity = (GridMover(grid, np.eye(2), (0, 0)), views, forwards)
    elements = [identity]
    for matrix in _MATRICES:
        if maps_grid_to_itself(grid, matrix):
            mover = GridMover(grid, matrix, (0, 0))
            induced = _induced(mover, rays, ends)
            if induced is not None:
                elements.append((mover, *induced))
    symmetry = _symmetry(elements)
    # views that are measured twice can be matched in more than one way
    return symmetry if symmetry.is_group else _symmetry([identity])


def _symmetry(elements):
    movers, views, backwards = zip(*elements, strict=True)
    return RaySymmetry(movers, np.stack(views), np.stack(backwards))
