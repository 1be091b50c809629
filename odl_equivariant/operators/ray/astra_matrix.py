# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Ray transform by the sparse matrix of ASTRA's own projector."""

import functools

from odl_equivariant._packages import import_package
from odl_equivariant._warnings import warn_user
from odl_equivariant.elements import (
    as_element,
    as_tensor,
    merge_complex,
    split_complex,
    tensor_dtype,
)
from odl_equivariant.inner_products import inner_product_weights
from odl_equivariant.operators.ray.geometry import ray_geometry
from odl_equivariant.operators.ray.matrices import (
    RayMatrixMemoryWarning,
    ray_matrix_settings,
)
from odl_equivariant.operators.ray.matrix_cache import ray_matrix
from odl_equivariant.operators.ray.on_the_fly import OnTheFlyProjector
from odl_equivariant.operators.ray.symmetry import ray_symmetry

__all__ = (
    'AstraMatrixImpl',
    'AstraMatrixLineImpl',
    'AstraMatrixStripImpl',
    'AstraMatrixLinearImpl',
)


def _gibibytes(size):
    return f'{size / 2**30:.3g} GiB'


def _warn_too_large(size):
    limit = ray_matrix_settings().memory_limit
    if size > limit:
        reason = (
            f'more than the limit of {_gibibytes(limit)}. Raise it by '
            '`odl_equivariant.operators.configure_ray_matrices('
            f'memory_limit={size * 1.05:.3g})`, or'
        )
    else:
        reason = 'and has more than 2**31 - 1 entries, too many to index;'
    warn_user(
        'the matrix of the ray transform and its transpose take about '
        f'{_gibibytes(size)}, {reason} take fewer views or a coarser grid. '
        'It is projected on the fly instead, in single precision and several '
        'times more slowly',
        RayMatrixMemoryWarning,
    )


class AstraMatrixImpl:
    r"""Back-end ``'astra_matrix'`` of `odl.applications.tomo.RayTransform`.

    The matrix of the projector that ``'astra_cpu'`` applies on the fly is
    built once and kept, together with its transpose, as a sparse tensor. The
    result is the same up to rounding, the adjoint is exact, and both are
    several times faster, in particular for batches (see `OperatorLayer`).
    Where turns by 90 degrees and reflections map the rays to themselves, they
    permute the data exactly, see `induced_action`. ASTRA's own projectors
    miss this in the fifth digit, in single precision.

    A matrix that is too large (see `configure_ray_matrices`) gives a
    `RayMatrixMemoryWarning`, and images are projected one after the other
    without it, in single precision, the adjoint exact to about 1e-6.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Parallel- or fan-beam geometry in 2D; a fan may have a flat or a
        curved detector.
    vol_space : `DiscretizedSpace`
        Images, real or complex, of dtype float32, float64, complex64 or
        complex128, backed by numpy or by pytorch on the CPU.
    proj_space : `DiscretizedSpace`
        Data.

    Attributes
    ----------
    matrix : RayMatrix or None
        The matrix, shared with all transforms of the same geometry, or
        ``None`` where it is too large.

    Raises
    ------
    ValueError
        If the geometry is not two-dimensional, the spaces are not on the
        CPU, the cells of the images are not equal, or ASTRA has no such model
        for the geometry, the detector and the cells.
    NotImplementedError
        If the weights of a space are neither constant nor an array.
    ImportError
        If the ASTRA Toolbox is not installed.

    Notes
    -----
    How a ray meets a pixel is the choice of the back-end: the length of the
    intersection (``'astra_matrix_line'``), the area of that with a strip as
    wide as a detector element (``'astra_matrix_strip'``), or linear
    interpolation between the two nearest pixels of a row or column
    (``'astra_matrix_linear'``, parallel beams only). ``'astra_matrix'`` is
    the last of these for parallel and the first for fan beams, as in ODL.
    A ray that runs along the border of two pixels is given to one of them by
    ASTRA, and to both, half of it each, where a reflection asks for it.

    With G the turns and reflections that permute the points of the grid as
    well as the rays, and :math:`S_g` the permutation of the data, the matrix
    is the average over the group (Reynolds operator) of that of ASTRA's
    projector P,

    .. math::
        A = |G|^{-1} \sum_{g \in G} S_g^{-1} P T_g, \qquad
        A T_g = S_g A.

    Unlike ``'astra_cpu'``, parallel beams may have a detector at any place
    and in any direction, and nodes on the boundary of a grid are the centres
    of whole cells. The half cells count in the inner products only, where
    the adjoint of the matrix :math:`A` is

    .. math::
        A^* = w_X^{-1} A^T w_Y.
    """

    model: str | None = None

    def __init__(self, geometry, vol_space, proj_space):
        if geometry.ndim != 2:
            raise ValueError(
                "`impl` 'astra_matrix' only works in 2D, got a geometry with "
                f"ndim {geometry.ndim}; in 3D take 'volume_matrix', or "
                "'astra_cuda' on a GPU"
            )
        import_package('astra', "`impl` 'astra_matrix'")
        if str(vol_space.device) != 'cpu':
            raise ValueError(
                "`impl` 'astra_matrix' only works on the CPU, got a space on "
                f"{vol_space.device}; take 'astra_cuda' there"
            )
        dtype = tensor_dtype(vol_space)
        rays = ray_geometry(geometry, vol_space, self.model)
        self.geometry = geometry
        self.vol_space = vol_space
        self.proj_space = proj_space
        self._set_weights(dtype)
        self.matrix, size = ray_matrix(
            rays,
            str(dtype).removeprefix('torch.'),
            functools.partial(ray_symmetry, geometry, vol_space),
        )
        self._projector = self.matrix
        if self.matrix is None:
            _warn_too_large(size)
            self._projector = OnTheFlyProjector(rays)

    def _set_weights(self, dtype):
        # one channel is enough: both parts of a number have the same weight
        before = inner_product_weights(self.proj_space)[0]
        after = 1 / inner_product_weights(self.vol_space)[0]
        if after.numel() == 1:
            # once, where it costs least: there are fewer data, mostly
            before, after = before * after, None
        self._before = before.to(dtype)
        self._after = None if after is None else after.to(dtype)

    def __reduce__(self):
        # The matrix is far larger than what it is made of.
        return type(self), (self.geometry, self.vol_space, self.proj_space)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        # Nothing in here ever changes.
        return self

    @property
    def is_matrix(self):
        """Whether there is a matrix, rather than a projector on the fly."""
        return self.matrix is not None

    def forward(self, x):
        """Project a batch of images.

        Parameters
        ----------
        x : torch.Tensor
            Tensor of shape ``(..., *vol_space.shape)``, real or complex, of
            the precision of the spaces, on any device.

        Returns
        -------
        y : torch.Tensor
            Tensor of shape ``(..., *proj_space.shape)``.
        """
        return self._projector.forward(x, self.proj_space.shape)

    def transpose(self, y):
        """Apply the transposed matrix, without weights, to a batch of data.

        The counterpart of `forward`.
        """
        return self._projector.transpose(y, self.vol_space.shape)

    def call_forward(self, x, out=None, **kwargs):
        """Return the projection of an element of ``vol_space``."""
        return self._call(self.forward, x, self.proj_space, out)

    def call_backward(self, x, out=None, **kwargs):
        """Return the (weighted) adjoint of an element of ``proj_space``."""
        return self._call(self._weighted_transpose, x, self.vol_space, out)

    def _weighted_transpose(self, y):
        result = self.transpose(self._before * y)
        return result if self._after is None else result.mul_(self._after)

    @staticmethod
    def _call(function, x, space, out):
        tensor = as_tensor(x)
        if space.is_complex:
            result = split_complex(function(merge_complex(tensor)))
        else:
            result = function(tensor)
        result = as_element(result, space)
        if out is None:
            return result
        out.assign(result)
        return out


class AstraMatrixLineImpl(AstraMatrixImpl):
    """Back-end ``'astra_matrix_line'``: lengths of rays in pixels."""

    model = 'line'


class AstraMatrixStripImpl(AstraMatrixImpl):
    """Back-end ``'astra_matrix_strip'``: areas of strips in pixels."""

    model = 'strip'


class AstraMatrixLinearImpl(AstraMatrixImpl):
    """Back-end ``'astra_matrix_linear'``: interpolation along rays."""

    model = 'linear'
