# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched ray transforms on a GPU: ASTRA works on the tensors."""

import copy
import weakref
from collections import OrderedDict

import numpy as np
import torch
from odl.applications.tomo import Parallel2dGeometry

from odl_equivariant._warnings import warn_user
from odl_equivariant.operators.batching.exporting import check_not_exported
from odl_equivariant.operators.batching.layout import layouts

__all__ = ('CudaRays', 'check_cells', 'stacked_geometries')

_MAX_PROJECTORS = 4
_TOLERANCE = 1e-3

# Widths of detector cells in image cells, beyond which the back-projection of
# noise has an error of half its size.
_NARROWEST, _WIDEST = 0.55, 1.5


def stacked_geometries(vol_geom, proj_geom, size):
    """Return the geometries of a stack of slices, projected in one go.

    Parameters
    ----------
    vol_geom, proj_geom : dict
        ASTRA's geometries of one slice as a volume of one layer, with
        parallel beams that stay in their layer.
    size : int
        Number of slices.

    Returns
    -------
    vol_geom, proj_geom : dict
        Geometries of as many layers, as thick as a detector row is high, so
        that each row sees the layer of its own number and no other.
    """
    vol_geom, proj_geom = copy.deepcopy(vol_geom), copy.deepcopy(proj_geom)
    # the step from one detector row to the next, along the stack
    height = abs(float(proj_geom['Vectors'][0, 11]))
    vol_geom['GridSliceCount'] = size
    vol_geom['option']['WindowMinZ'] = -0.5 * size * height
    vol_geom['option']['WindowMaxZ'] = 0.5 * size * height
    proj_geom['DetectorRowCount'] = size
    return vol_geom, proj_geom


def check_cells(sides, geometry):
    """Warn if the back-projection on a GPU is far from the transpose.

    Parameters
    ----------
    sides : sequence of float
        Sides of the image cells, two or three.
    geometry : odl.applications.tomo.Geometry
        Rays, with lengths in the unit of the sides.

    Warns
    -----
    UserWarning
        If a detector cell, scaled to the centre of rotation, has less than
        0.55 or more than 1.5 times the width of an image cell. Columns are
        compared with the sides across the axis of rotation, and rows with
        that along it.
    """
    ratios = [
        width / side
        for width, those in _compared(np.asarray(sides, float), geometry)
        for side in those
    ]
    narrowest, widest = min(ratios), max(ratios)
    slack = 1 + _TOLERANCE
    if narrowest * slack >= _NARROWEST and widest <= _WIDEST * slack:
        return
    ratio = widest if widest > _WIDEST * slack else narrowest
    matrix = "impl='astra_matrix', which has the transpose itself"
    advice = f'{matrix}, or ' if len(sides) == 2 else ''
    warn_user(
        f'a detector cell, at the centre of rotation, has {ratio:.3g} times '
        "the width of an image cell, and the back-projection of 'astra_cuda' "
        'is the transpose of its projection only roughly where this is not '
        'about 1: gradients have errors of half their size and more in what '
        f'changes from cell to cell. Take {advice}cells that are about as '
        'wide',
        UserWarning,
    )


def _compared(sides, geometry):
    """Return widths of a detector's cells, and the image's beside each."""
    widths = np.array(geometry.det_partition.cell_sides, dtype=float)
    radius = getattr(geometry, 'det_curvature_radius', None)
    if radius is not None:
        # of a curved detector, they are angles
        curved = np.atleast_1d(np.asarray(radius, dtype=float))
        widths[: len(curved)] *= curved
    if hasattr(geometry, 'src_radius'):
        source, detector = geometry.src_radius, geometry.det_radius
        widths *= source / (source + detector)
    if len(sides) == 2:
        return [(widths[0], sides)]
    axis = np.abs(getattr(geometry, 'axis', np.zeros(3)))
    if np.max(axis) < 1 - _TOLERANCE:
        # the rays turn about no axis of the grid
        return [(width, sides) for width in widths]
    along = int(np.argmax(axis))
    across = np.delete(sides, along)
    return [
        (width, sides[[along]] if abs(direction[along]) > 0.5 else across)
        for width, direction in zip(
            widths, geometry.det_axes_init, strict=True
        )
    ]


class CudaRays:
    """A ray transform with ODL's back-end ``'astra_cuda'``, for batches.

    ASTRA reads and writes the tensors where they are, without a copy, on any
    GPU or on the CPU. A batch of slices in parallel beams is projected as one
    volume; fan beams, and transforms in 3D, are taken one after the other.

    ASTRA's back-projection on the GPU interpolates between detector cells,
    and is not the exact transpose of its projection. For detector cells that
    are as wide as image cells, it differs from the transpose by a few percent
    for smooth readings, and by tens of percent for noise from cell to cell.
    The error grows where the widths differ. The back-end ``'astra_matrix'``
    has the transpose itself.

    Parameters
    ----------
    operator : `odl.applications.tomo.RayTransform`
        Transform with this back-end, between spaces with constant weights. A
        `UserWarning` says if detector cells, scaled to the centre of rotation,
        are much wider or narrower than image cells.
    """

    def __init__(self, operator):
        self.operator = operator
        self.implementation = operator.get_impl(operator.use_cache)
        self.domain, self.range = layouts(operator)
        self.stacks = isinstance(operator.geometry, Parallel2dGeometry)
        check_cells(operator.domain.cell_sides, operator.geometry)
        w_domain, w_range = self.domain.weights(), self.range.weights()
        self._forward_scale = float(self.implementation.fp_scaling_factor)
        # the back-end scales for the weighted adjoint A^* = A^T w_Y / w_X
        self._transpose_scale = (
            float(self.implementation.bp_scaling_factor) * w_domain / w_range
        )
        self._projectors = OrderedDict()
        self._checked = set()
        self._finalizer = weakref.finalize(self, _delete, self._projectors)

    def _projector(self, size):
        if size == 1:
            return self.implementation.projector_id
        if size in self._projectors:
            self._projectors.move_to_end(size)
            return self._projectors[size]
        from odl.applications.tomo.backends.astra_setup import astra_projector

        if len(self._projectors) >= _MAX_PROJECTORS:
            _delete(self._projectors, 1)
        vol_geom, proj_geom = stacked_geometries(
            self.implementation.vol_geom, self.implementation.proj_geom, size
        )
        self._projectors[size] = astra_projector(
            'cuda3d', vol_geom, proj_geom, 3, override_2D=True
        )
        return self._projectors[size]

    def _run(self, forward, volumes, projections):
        """Project, or back-project, between contiguous float32 tensors."""
        import astra
        import astra.experimental

        if volumes.is_cuda:
            astra.set_gpu_index(volumes.device.index)
            torch.cuda.current_stream(volumes.device).synchronize()
        run = (
            astra.experimental.direct_FP3D
            if forward
            else astra.experimental.direct_BP3D
        )
        size = volumes.shape[0] if self.stacks else 1
        with self.implementation._mutex:
            run(self._projector(size), volumes, projections)

    def _map(self, x, forward):
        source, target = (self.domain, self.range)
        if not forward:
            source, target = target, source
        x = x.reshape(-1, *source.shape[1:])
        result = x.new_zeros(
            (x.shape[0], *target.shape[1:]), dtype=torch.float32
        )
        if x.shape[0] == 0:
            return result
        # ASTRA's link refuses a tensor that waits for a gradient
        x = x.detach().to(torch.float32).contiguous()
        ndim = len(self.domain.shape) - 1
        if ndim == 2 and self.stacks and x.shape[0] > 1:
            self._run(forward, *((x, result) if forward else (result, x)))
        else:
            for sample, out in zip(x, result, strict=True):
                self._one(sample, out, forward, ndim)
        scale = self._forward_scale if forward else self._transpose_scale
        return result.mul_(scale)

    def _one(self, sample, out, forward, ndim):
        if ndim == 2:
            pair = (sample[None], out[None])
        elif forward:
            # ASTRA has the rows of the detector before the views
            rows = torch.empty_like(
                out.flatten(0, -3).transpose(0, 1), memory_format=_CONTIGUOUS
            )
            self._run(True, sample, rows)
            out.copy_(rows.transpose(0, 1).reshape(out.shape))
            return
        else:
            pair = (sample.flatten(0, -3).transpose(0, 1).contiguous(), out)
        self._run(forward, *(pair if forward else pair[::-1]))

    def _as_batch(self, x, forward):
        """Apply the map to the parts of a batch in the complex layout."""
        check_not_exported(
            'the ray transform', 'ASTRA computes it', traced=False
        )
        target = self.range if forward else self.domain
        if x.is_complex():
            parts = self._map(torch.stack([x.real, x.imag]), forward)
            parts = parts.to(target.real_dtype).unflatten(0, (2, -1))
            return torch.complex(*parts).reshape(-1, *target.shape)
        result = self._map(x, forward).to(target.real_dtype)
        result = result.reshape(-1, *target.shape)
        if len(x) > 1 and self.stacks and forward not in self._checked:
            self._checked.add(forward)
            self._compare(x, result, forward)
        return result

    def _compare(self, x, result, forward):
        """Compare a stack with its slices, once: versions of ASTRA differ."""
        single = self._as_batch(x[:1], forward)
        error = (single - result[:1]).norm()
        if not error <= _TOLERANCE * single.norm():
            warn_user(
                'ASTRA projects a stack of slices differently from the first '
                f'of them, by {float(error / single.norm()):.1e}; the slices '
                'are taken one after the other',
                RuntimeWarning,
            )
            self.stacks = False
            result.copy_(self._as_batch(x, forward))

    def apply(self, x):
        """Project a batch."""
        return self._as_batch(x, True)

    def transpose(self, y):
        """Apply the transpose to a batch."""
        return self._as_batch(y, False)


_CONTIGUOUS = torch.contiguous_format


def _delete(projectors, count=None):
    import astra

    count = len(projectors) if count is None else count
    for _ in range(count):
        _, projector = projectors.popitem(last=False)
        astra.projector3d.delete(projector)
