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
from collections.abc import Sequence
from typing import Literal

import numpy as np
import odl
from odl.applications import tomo
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant._checks import (
    array_shape,
    one_of,
    positive_number,
    real_number,
    whole_number,
)
from odl_equivariant._types import Backend, ImageShape, Precision
from odl_equivariant.data._checks import as_array
from odl_equivariant.data.acquisitions.base import check_names
from odl_equivariant.data.acquisitions.ranges import (
    attenuation_of_hounsfield,
    check_attenuation,
)
from odl_equivariant.data.acquisitions.tomography.angles import (
    checked_angles,
    partition_of_angles,
    seem_degrees,
)
from odl_equivariant.data.acquisitions.tomography.ray_transforms import (
    check_plain,
)
from odl_equivariant.data.acquisitions.tomography.transmission import (
    TransmissionTomography,
)

__all__ = ('SparseViewCT',)

_N_VIEWS = 50
# All but this share of the data count, the rest may be metal. The largest mean
# of an image along a line, and how negative line integrals are by noise.
_SHARE, _LARGEST_MEAN, _NEGATIVE = 0.01, 2.0, 0.25
# distances from the axis, in sides of the field of view
_RADII = {'source': 1.5, 'detector': 1.0}


class SparseViewCT(TransmissionTomography):
    """Simulated tomography of a square or rectangular field of view.

    Images contain the linear attenuation relative to ``mu_max``, between 0
    and about 1. So line integrals of an image are in metres. Multiplied by
    ``mu_max`` they are the exponents of Beer's law, which have no unit. For
    data of a scanner see `MeasuredCT`.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the reconstruction.
    n_views : int, optional
        Number of views, uniform on ``[0, pi)``, for a fan on ``[0, 2 pi)``.
        If parallel beams have an even number, or a fan a multiple of four,
        the acquisition is symmetric under rotation by 90 degrees.
    n_detectors : int, optional
        Number of detector elements. By default, they cover the diagonal of
        the square field of view. Default: ``ceil(sqrt(2) * max(shape))``.
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
    geometry : {'parallel', 'fan'}, optional
        Parallel beams, or a fan beam on a flat detector.
    angles : sequence of float, optional
        Increasing angles of the views, in radians, instead of ``n_views``.
    detector_width : float, optional
        Width of a detector element in metres. Default: such that all cover
        the diagonal of the square field of view.
    detector_offset : float, optional
        How far the detector is shifted along itself, in metres. The axis of
        rotation is projected to its middle if it is 0.
    source_radius, detector_radius : float, optional
        Distances from the axis of rotation to the source and to the detector
        of a fan, in metres. Default: 1.5 and 1 times ``side``.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions, centred at the origin, in metres.
    fine_space : odl.DiscretizedSpace
        The same field of view on a grid twice as fine.
    geometry : odl.applications.tomo.Geometry
        Views and detector, of parallel beams or of a fan beam.
    operator : odl.applications.tomo.RayTransform
        Ray transform from ``space`` to the data.

    Raises
    ------
    ValueError
        If a size, a number of photons or a length is not positive, a name is
        unknown, angles do not increase or look like degrees, or a source
        would be inside of the field of view.
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

    A fan beam, over a full turn:

    >>> fan = SparseViewCT((32, 32), n_views=24, geometry='fan')
    >>> fan.fbp(fan.simulate(phantom, rng=0)) in fan.space
    True
    """

    added_settings = {
        'geometry': 'parallel',
        'angles': None,
        'detector_width': None,
        'detector_offset': 0.0,
        'source_radius': None,
        'detector_radius': None,
    }

    def __init__(
        self,
        shape: ImageShape = (256, 256),
        n_views: int = _N_VIEWS,
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
        one_of('geometry', geometry, ('parallel', 'fan'))
        self.angles = None
        if angles is not None:
            self.angles = _checked_angles(angles, n_views)
            n_views = len(self.angles)
        self.n_views = whole_number('n_views', n_views, 1)
        self.n_detectors = whole_number('n_detectors', n_detectors, 1)
        self.side = positive_number('side', side)
        self.n_photons = n_photons
        self.mu_max = positive_number('mu_max', mu_max)
        self._mu = self.mu_max

        pixel = self.side / max(shape)
        corner = [pixel * n / 2 for n in shape]
        space = odl.uniform_discr(
            [-c for c in corner], corner, shape, dtype=dtype, impl=backend
        )
        self.detector_width = detector_width
        self.detector_offset = real_number('detector_offset', detector_offset)
        self.source_radius = source_radius
        self.detector_radius = detector_radius
        self._kind = geometry
        geometry = self._geometry()
        check_plain(geometry, space, impl)
        self._set_operators(space, geometry, impl)

    def _geometry(self):
        """Return the geometry of ODL."""
        is_fan = self._kind == 'fan'
        half, radii = self.side / math.sqrt(2), ()
        if is_fan:
            radii = (
                positive_number('source_radius', self._radius('source')),
                real_number('detector_radius', self._radius('detector'), 0),
            )
            if radii[0] <= half:
                raise ValueError(
                    '`source_radius` must be above half of the diagonal of '
                    f'the field of view, {half:.4g} m, got {radii[0]:g}'
                )
            half = sum(radii) * math.tan(math.asin(half / radii[0]))
        elif self.source_radius or self.detector_radius:
            raise ValueError(
                '`source_radius` and `detector_radius` are those of a fan: '
                "set geometry='fan', or remove them"
            )
        if self.detector_width is not None:
            width = positive_number('detector_width', self.detector_width)
            half = self.n_detectors * width / 2
        low, high = self.detector_offset - half, self.detector_offset + half
        detector = odl.uniform_partition(low, high, self.n_detectors)
        if self.angles is None:
            turn = 2 * math.pi if is_fan else math.pi
            views = odl.uniform_partition(0, turn, self.n_views)
        else:
            views = partition_of_angles(self.angles)
        kind = tomo.FanBeamGeometry if is_fan else tomo.Parallel2dGeometry
        return kind(views, detector, *radii)

    def _radius(self, name):
        radius = getattr(self, f'{name}_radius')
        if radius is not None:
            return radius
        return _RADII[name] * self.side

    def _check_exponents(self, image, exponents):
        check_attenuation(
            self._scale_check, image, exponents, self.n_photons, self.mu_max
        )

    def _check_data(self, data):
        if super()._check_data(data):
            return True
        low, typical = np.quantile(as_array(data), [_SHARE, 1 - _SHARE])
        length = math.hypot(*self.space.partition.extent)
        # numbers of both signs are a test, and no data
        is_wrong = typical > max(_LARGEST_MEAN * length, -low / _NEGATIVE)
        if is_wrong:
            self._scale_check.warn(
                'data',
                f'line integrals of {typical:.3g} belong to an image whose '
                f'mean is {typical / length:.3g} along a line through all of '
                f'the field of view, {length:.3g} m, and images are fractions '
                f'of `mu_max`: are the data the exponents of '
                "Beer's law? Divide them by `acquisition.mu_max`, or take "
                '`MeasuredCT`.',
            )
        return is_wrong

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
            'geometry': self._kind,
            'angles': self.angles,
            'detector_width': self.detector_width,
            'detector_offset': self.detector_offset,
            'source_radius': self.source_radius,
            'detector_radius': self.detector_radius,
        }


def _checked_angles(angles, n_views):
    """Return angles in radians as a list of floats."""
    angles = checked_angles(angles)
    if seem_degrees(angles):
        raise ValueError(
            f'`angles` reach {np.abs(angles).max():g} radians, in round '
            'numbers: are these degrees? Pass `numpy.deg2rad(angles)`'
        )
    if n_views not in (_N_VIEWS, len(angles)):
        raise ValueError(
            f'there are {len(angles)} `angles`, and `n_views` is {n_views}: '
            'leave it out'
        )
    return angles.tolist()
