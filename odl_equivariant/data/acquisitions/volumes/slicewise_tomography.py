# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Simulated tomography of volumes with parallel beams, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import odl

from odl_equivariant._checks import array_shape, positive_number
from odl_equivariant._types import Backend, Operator, Precision, VolumeShape
from odl_equivariant._warnings import quiet
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.tomography.sparse_view import (
    SparseViewCT,
)
from odl_equivariant.data.acquisitions.tomography.transmission import (
    TransmissionTomography,
)
from odl_equivariant.elements import element_from_array
from odl_equivariant.operators.batching.loop import PerformanceWarning
from odl_equivariant.operators.slicewise import SlicewiseOperator

__all__ = ('SlicewiseCT',)


class SlicewiseCT(TransmissionTomography):
    """Simulated tomography of a volume, with one geometry for all slices.

    Volumes contain the linear attenuation relative to ``mu_max``, as the
    images of `SparseViewCT` do, whose other arguments are taken, too. All
    slices are multiplied by one matrix at once.

    Parameters
    ----------
    shape : tuple of 3 ints, optional
        Shape of the reconstruction. The last axis counts slices.
    n_views, n_detectors, side, n_photons, mu_max, impl, dtype, backend, \
geometry, angles, detector_width, detector_offset, source_radius, \
detector_radius : optional
        Of a slice, see `SparseViewCT`. A fan beam is one of sources that move
        along with the slices.
    thickness : float, optional
        Distance of slices, in metres. Default: the side of a pixel, so that
        voxels are cubes.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions, centred at the origin, in metres.
    fine_space : odl.DiscretizedSpace
        The same field of view, with pixels half as long in the slices.
    geometry : odl.applications.tomo.Geometry
        Views and detector of a slice.
    operator : SlicewiseOperator
        Ray transform of all slices. Data have the shape ``(views, detector
        elements, slices)``.

    Raises
    ------
    ValueError, TypeError
        As `SparseViewCT`, or if the thickness is not positive.

    Examples
    --------
    >>> from odl_equivariant.data import ellipsoid_phantom
    >>> acquisition = SlicewiseCT((16, 16, 6), n_views=12)
    >>> data = acquisition.simulate(ellipsoid_phantom((16, 16, 6), 0), rng=0)
    >>> data.shape, acquisition.fbp(data).shape
    ((12, 23, 6), (16, 16, 6))
    """

    def __init__(
        self,
        shape: VolumeShape = (64, 64, 64),
        n_views: int = 50,
        n_detectors: int | None = None,
        side: float = 0.36,
        n_photons: float | None = 10000.0,
        mu_max: float = 81.35858,
        impl: str = 'astra_matrix',
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
        geometry: Literal['parallel', 'fan'] = 'parallel',
        angles: Sequence[float] | None = None,
        detector_width: float | None = None,
        detector_offset: float = 0.0,
        source_radius: float | None = None,
        detector_radius: float | None = None,
        thickness: float | None = None,
    ) -> None:
        n, m, self._n_slices = array_shape('shape', shape, 3)
        ct = SparseViewCT(
            (n, m),
            n_views,
            n_detectors,
            side,
            n_photons,
            mu_max,
            impl,
            dtype,
            backend,
            geometry,
            angles,
            detector_width,
            detector_offset,
            source_radius,
            detector_radius,
        )
        #: Acquisition of a slice.
        self.of_slice = ct
        self.thickness = float(ct.space.cell_sides[0])
        self._thickness = thickness
        if thickness is not None:
            self.thickness = positive_number('thickness', thickness)
        self.n_photons, self.mu_max = ct.n_photons, ct.mu_max
        self._mu = ct._mu
        self.geometry, self.impl = ct.geometry, ct.impl
        self.operator = self._of_slices(ct.operator)
        self.space = self.operator.domain
        half = self._n_slices * self.thickness / 2
        self.fine_space = odl.uniform_discr(
            [*ct.fine_space.min_pt, -half],
            [*ct.fine_space.max_pt, half],
            (*ct.fine_space.shape, self._n_slices),
            dtype=dtype,
            impl=backend,
        )
        self._fine_operator = None
        self._filters = {}

    def _of_slices(self, operator):
        return SlicewiseOperator(operator, self._n_slices, self.thickness)

    @property
    def fine_operator(self) -> Operator:
        """Ray transform from ``fine_space`` to the same data."""
        if self._fine_operator is None:
            self._fine_operator = self._of_slices(self.of_slice.fine_operator)
        return self._fine_operator

    def _simulated(self, image, rng):
        # each volume is projected once: a matrix is not worth its memory
        with quiet('.*one sample of a', category=PerformanceWarning):
            return super()._simulated(image, rng)

    def _fbp_operator(self, *window):
        if window not in self._filters:
            self._filters[window] = self._of_slices(
                self.of_slice._fbp_operator(*window)
            )
        return self._filters[window]

    def _check_data(self, data):
        # the middle slice counts, as for `inconsistency`
        array = as_array(data)
        return self.of_slice._check_data(array[..., array.shape[-1] // 2])

    def _refined(self, array):
        return array.repeat(2, axis=0).repeat(2, axis=1)

    def _means(self, image):
        n, m, k = self.shape
        fine = image.astype(np.float64)
        coarse = fine.reshape(n, 2, m, 2, k).mean(axis=(1, 3))
        return element_from_array(coarse, self.space)

    def _check_exponents(self, image, exponents):
        self.of_slice._check_exponents(image, exponents)

    def _how_to_convert(self):
        return self.of_slice._how_to_convert()

    def _settings(self):
        return {
            **self.of_slice.settings(),
            'shape': self.shape,
            'thickness': self._thickness,
        }
