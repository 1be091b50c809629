# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Back-projection of filtered fan beams, pixel by pixel."""

import numpy as np
import torch

from odl_equivariant.operators.batching.layout import Constant, layouts
from odl_equivariant.operators.batching.registry import register_batched
from odl_equivariant.operators.ray.ramp_filter import DataOperator, by_parts

__all__ = ('FanBackProjection', 'Resampling')

# Values that are computed at once: what fits into the caches, and what keeps
# a GPU busy.
_CHUNKS = {'cpu': 2**16, 'cuda': 2**24}


class Resampling(DataOperator):
    """Linear interpolation along the rows of data.

    Parameters
    ----------
    space : `DiscretizedSpace`
        Data space; axis 1 is the detector.
    places : numpy.ndarray
        Where to take the values from, in detector elements, of shape
        ``space.shape``.
    """

    def __init__(self, space, places):
        super().__init__(space, space, linear=True)
        self.places = places

    def maps(self):
        """Return the map of batches and its transpose."""
        domain, _ = layouts(self)
        last = max(self.places.shape[1] - 2, 0)
        before = np.clip(np.floor(self.places), 0, last).astype(np.int64)
        index = Constant(torch.from_numpy(before))
        part = Constant(torch.from_numpy(self.places - before))

        def factors(x):
            i = index.like(x).expand(x.shape)
            return i, part.like(x).to(domain.real_dtype)

        def apply(x):
            i, f = factors(x)
            return x.gather(-1, i) * (1 - f) + x.gather(-1, i + 1) * f

        def transpose(y):
            i, f = factors(y)
            result = torch.zeros_like(y).scatter_add_(-1, i, y * (1 - f))
            return result.scatter_add_(-1, i + 1, y * f)

        return by_parts(apply), by_parts(transpose)


class FanBackProjection(DataOperator):
    r"""Sum over the views of the data at the projection of each pixel.

    Parameters
    ----------
    domain : `DiscretizedSpace`
        Data space, of shape ``(n_views, n_detectors)``.
    range : `DiscretizedSpace`
        Space of the images.
    rays : FanRays
        Rays of the data.

    Notes
    -----
    With the source at :math:`s_i` and :math:`R` its mean distance to the
    centre of rotation, a view counts with :math:`R^2 / |x - s_i|^2` for equal
    angles and :math:`R D_i / \langle x - s_i, n_i \rangle^2` for a flat
    detector at the distance :math:`D_i` with the normal :math:`n_i`. Data are
    interpolated linearly, and zero outside of the detector. The transpose is
    exact.
    """

    def __init__(self, domain, range, rays):
        super().__init__(domain, range, linear=True)
        self.rays = rays

    def _tables(self):
        """Return coordinates of pixels as sums over the two axes."""
        rays, scale = self.rays, 1 / self.rays.radii.mean()
        nodes = [np.asarray(c, float) for c in self.range.grid.coord_vectors]
        shifted = [
            (nodes[a][None, :] - rays.sources[:, a, None]) * scale
            for a in (0, 1)
        ]

        def constant(array):
            return Constant(torch.from_numpy(np.ascontiguousarray(array)))

        def along(vectors):
            return [constant(shifted[a] * vectors[:, a, None]) for a in (0, 1)]

        distances = rays.distances
        if distances is None:
            slope, factor = 1 / rays.step, np.ones_like(rays.step)
        else:
            slope, factor = distances / rays.step, distances * scale
        tables = {
            'ahead': along(rays.normals),
            'beside': along(rays.axes),
            'slope': constant(slope),
            'start': constant(rays.first / rays.step),
            'factor': constant(factor),
        }
        nearest = scale * float(np.max(self.range.cell_sides))
        return tables, nearest, distances is not None

    def maps(self):
        """Return the map of batches and its transpose."""
        dtype = layouts(self)[0].real_dtype
        tables, nearest, is_flat = self._tables()
        (n_views, size), shape = self.domain.shape, self.range.shape
        offsets = Constant((size + 2) * torch.arange(n_views)[:, None, None])

        def sums(name, x, views, lines):
            one, other = (t.like(x)[views].to(dtype) for t in tables[name])
            return one[:, lines, None] + other[:, None, :]

        def column(name, x, views):
            return tables[name].like(x)[views, None, None].to(dtype)

        def chunk(x, views, lines):
            """Return places in rows with a zero at both ends, and factors."""
            ahead = sums('ahead', x, views, lines)
            beside = sums('beside', x, views, lines)
            # behind the source, and in the pixel that it is in, nothing
            before = ahead > nearest
            factor = column('factor', x, views) * before
            if is_flat:
                ahead = ahead.clamp_(min=nearest)
                place = beside / ahead
                factor = factor / ahead.square_()
            else:
                place = torch.atan2(beside, ahead)
                factor = factor / (beside.square_() + ahead.square_()).clamp_(
                    min=nearest**2
                )
            place *= column('slope', x, views)
            place -= column('start', x, views) - 1
            place = place.clamp_(0, size + 1)
            index = place.floor().clamp_(max=size)
            place -= index
            index = index.to(torch.int64).add_(offsets.like(x)[views])
            return index.flatten(), place.flatten(), factor.flatten()

        def chunks(x, images):
            """Yield parts of the images with what `chunk` returns."""
            limit = _CHUNKS.get(x.device.type, _CHUNKS['cuda'])
            n_rows = min(shape[0], max(1, limit // shape[1]))
            some = max(1, limit // (n_rows * shape[1]))
            for line in range(0, shape[0], n_rows):
                lines = slice(line, line + n_rows)
                pixels = images[:, lines].flatten(1)
                for view in range(0, n_views, some):
                    yield pixels, *chunk(x, slice(view, view + some), lines)

        def apply(y):
            rows = torch.nn.functional.pad(y, (1, 1))
            rows = rows.reshape(-1, n_views * (size + 2))
            result = rows.new_zeros(len(rows), *shape)
            for pixels, index, part, factor in chunks(y, result):
                # one image after the other is faster than all at once
                for row, image in zip(rows, pixels, strict=True):
                    value = torch.lerp(
                        row.index_select(0, index),
                        row.index_select(0, index + 1),
                        part,
                    ).mul_(factor)
                    image += value.view(-1, len(image)).sum(0)
            return result.reshape(*y.shape[:-2], *shape)

        def transpose(x):
            images = x.reshape(-1, *shape)
            rows = images.new_zeros(len(images), n_views * (size + 2))
            for pixels, index, part, factor in chunks(x, images):
                for image, row in zip(pixels, rows, strict=True):
                    value = (image * factor.view(-1, len(image))).flatten()
                    second = value * part
                    row.index_add_(0, index + 1, second)
                    row.index_add_(0, index, value.sub_(second))
            rows = rows.reshape(*x.shape[:-2], n_views, size + 2)
            return rows[..., 1:-1].contiguous()

        return by_parts(apply), by_parts(transpose)


@register_batched(Resampling, FanBackProjection)
def _maps(operator):
    return operator.maps()
