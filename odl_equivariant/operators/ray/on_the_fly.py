# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Batched maps by ASTRA's projectors, without a matrix."""

import math

import numpy as np
import torch

from odl_equivariant.operators.batching.exporting import check_not_exported

__all__ = ('OnTheFlyProjector',)


class OnTheFlyProjector:
    """Project image after image, in single precision, on one core.

    It has the methods of `RayMatrix`, without its memory and its speed.

    Parameters
    ----------
    rays : RayGeometry
        Grid, rays and projector.
    """

    def __init__(self, rays):
        self.rays = rays

    def forward(self, x, shape):
        """Project a batch of images, as `RayMatrix.forward`."""
        return self._batch('FP', x, shape)

    def transpose(self, y, shape):
        """Apply the transposed projector, as `RayMatrix.transpose`."""
        return self._batch('BP', y, shape)

    def _batch(self, algorithm, x, shape):
        if x.is_complex():
            parts = torch.stack([x.real, x.imag])
            return torch.complex(*self._batch(algorithm, parts, shape))
        check_not_exported(
            'the ray transform', 'ASTRA computes it', traced=False
        )
        batch = x.shape[: x.ndim - 2]
        inputs = x.detach().reshape(math.prod(batch), *x.shape[-2:])
        inputs = inputs.resolve_neg().cpu().numpy()
        # a copy in any case, as ASTRA would write into an array
        inputs = inputs.astype(np.float32, order='C')
        results = np.zeros((len(inputs), *shape), dtype=np.float32)
        lengths = self.rays.lengths
        if lengths is not None and algorithm == 'BP':
            inputs *= lengths.astype(np.float32)
        self._run(algorithm, inputs, results)
        if lengths is not None and algorithm == 'FP':
            results *= lengths.astype(np.float32)
        results *= self.rays.unit
        return torch.from_numpy(results).to(x).reshape(*batch, *shape)

    def _run(self, algorithm, inputs, results):
        import astra

        rays = self.rays
        projector = astra.create_projector(
            rays.projector, rays.projection, rays.volume
        )
        try:
            for given, result in zip(inputs, results, strict=True):
                image, data = given, result
                if algorithm == 'BP':
                    image, data = result, given
                # on a curved detector, ASTRA takes each ray for a view
                data = data.reshape(-1, rays.projection['DetectorCount'])
                image_id = astra.data2d.link('-vol', rays.volume, image)
                data_id = astra.data2d.link('-sino', rays.projection, data)
                settings = astra.astra_dict(algorithm)
                settings['ProjectorId'] = projector
                settings['ProjectionDataId'] = data_id
                name = 'Volume' if algorithm == 'FP' else 'Reconstruction'
                settings[f'{name}DataId'] = image_id
                run = astra.algorithm.create(settings)
                astra.algorithm.run(run)
                astra.algorithm.delete(run)
                astra.data2d.delete([image_id, data_id])
        finally:
            astra.projector.delete(projector)
