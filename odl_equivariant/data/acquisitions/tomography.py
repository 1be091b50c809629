# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Simulated tomography from few views and few photons."""

from __future__ import annotations

import math

import odl
from odl.applications import tomo
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant._checks import (
    array_shape,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant._types import Backend, ImageShape, Precision
from odl_equivariant.data.acquisitions.base import check_names
from odl_equivariant.data.acquisitions.ranges import (
    ScaleCheck,
    attenuation_of_hounsfield,
    check_attenuation,
)
from odl_equivariant.data.acquisitions.transmission import (
    TransmissionTomography,
)

__all__ = ('SparseViewCT',)


class SparseViewCT(TransmissionTomography):
    """Parallel-beam tomography of a square or rectangular field of view.

    Images contain the linear attenuation relative to ``mu_max``, between 0
    and about 1. So line integrals of an image are in metres. Multiplied by
    ``mu_max`` they are the exponents of Beer's law, which have no unit.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the reconstruction.
    n_views : int, optional
        Number of views, uniform on ``[0, pi)``. If the number is even, the
        acquisition is symmetric under rotation by 90 degrees.
    n_detectors : int, optional
        Number of detector elements. Together they cover the diagonal of the
        square field of view. Default: ``ceil(sqrt(2) * max(shape))``.
    side : float, optional
        Length of the image's longer side, in metres.
    n_photons : float or None, optional
        Mean number of photons per detector element without an object. With
        ``None`` or ``inf``, the data have no noise.
    mu_max : float, optional
        Attenuation that an image value of 1 stands for, in 1 / metre.
    impl : str, optional
        Back-end of the ray transform on the reconstruction grid.
    dtype : {'float32', 'float64'}, optional
        Precision; ``'float64'`` needs the back-end ``'astra_matrix'``.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions, centred at the origin, in metres.
    fine_space : odl.DiscretizedSpace
        The same field of view on a grid twice as fine.
    geometry : odl.applications.tomo.Parallel2dGeometry
        Views and detector.
    operator : odl.applications.tomo.RayTransform
        Ray transform from ``space`` to the data.

    Raises
    ------
    ValueError
        If a size, a number of photons or a length is not positive, or a
        name is unknown.
    TypeError
        If a number is none, or a name no string.

    Notes
    -----
    The settings are those of the experiments in Celledoni et al.,
    *Equivariant neural networks for inverse problems*, Inverse Problems 37
    (2021), 085006, on a smaller grid.

    Examples
    --------
    >>> from odl_equivariant.data import SparseViewCT, ellipse_phantom
    >>> acquisition = SparseViewCT((32, 32), n_views=12)
    >>> acquisition.operator.range.shape
    (12, 46)
    >>> phantom = ellipse_phantom((64, 64), rng=0)
    >>> data = acquisition.simulate(phantom, rng=0)
    >>> data in acquisition.operator.range
    True
    >>> acquisition.fbp(data) in acquisition.space
    True
    """

    def __init__(
        self,
        shape: ImageShape = (256, 256),
        n_views: int = 50,
        n_detectors: int | None = None,
        side: float = 0.36,
        n_photons: float | None = 10000.0,
        mu_max: float = 81.35858,
        impl: str = 'astra_matrix',
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
    ) -> None:
        shape = array_shape('shape', shape, 2)
        if n_detectors is None:
            n_detectors = math.ceil(math.sqrt(2) * max(shape))
        if n_photons is not None:
            n_photons = positive_number('n_photons', n_photons, infinite=True)
            if math.isinf(n_photons):
                n_photons = None
        check_names(dtype, backend)
        one_of('impl', impl, RAY_TRAFO_IMPLS)
        if dtype == 'float64' and impl != 'astra_matrix':
            raise ValueError(
                f'the back-end {impl!r} is limited to float32; '
                "pass dtype='float32' or impl='astra_matrix'"
            )
        self.n_views = whole_number('n_views', n_views, 1)
        self.n_detectors = whole_number('n_detectors', n_detectors, 1)
        self.side = positive_number('side', side)
        self.n_photons = n_photons
        self.mu_max = positive_number('mu_max', mu_max)
        self._mu = self.mu_max
        self._scale_check = ScaleCheck()

        pixel = self.side / max(shape)
        corner = [pixel * n / 2 for n in shape]
        space = odl.uniform_discr(
            [-c for c in corner], corner, shape, dtype=dtype, impl=backend
        )
        half = self.side / math.sqrt(2)
        geometry = tomo.Parallel2dGeometry(
            odl.uniform_partition(0, math.pi, self.n_views),
            odl.uniform_partition(-half, half, self.n_detectors),
        )
        self._set_operators(space, geometry, impl)

    def _check_exponents(self, image, exponents):
        check_attenuation(
            self._scale_check, image, exponents, self.n_photons, self.mu_max
        )

    def _how_to_convert(self):
        return (
            'convert it to fractions of `mu_max` and clip it at 0: '
            + attenuation_of_hounsfield(self.mu_max)
        )

    def _settings(self):
        return {
            'shape': self.shape,
            'n_views': self.n_views,
            'n_detectors': self.n_detectors,
            'side': self.side,
            'n_photons': self.n_photons,
            'mu_max': self.mu_max,
            'impl': self.impl,
            'dtype': str(self.space.dtype_identifier),
            'backend': self.space.impl,
        }
