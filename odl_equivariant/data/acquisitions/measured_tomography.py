# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tomography of a real scanner, in its own geometry and unit of length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import odl
import torch
from odl.applications import tomo
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_equivariant._checks import array_shape, one_of, positive_number
from odl_equivariant._types import (
    Backend,
    Element,
    Image,
    ImageShape,
    Precision,
    Samples,
)
from odl_equivariant.data._checks import as_real_array
from odl_equivariant.data.acquisitions.base import check_names
from odl_equivariant.data.acquisitions.counts import counts_to_line_integrals
from odl_equivariant.data.acquisitions.geometries import (
    ct_geometry,
    describe_geometry,
    detector_reach,
    normalised_description,
    warn_of_degrees,
)
from odl_equivariant.data.acquisitions.ranges import ScaleCheck
from odl_equivariant.data.acquisitions.transmission import (
    TransmissionTomography,
    check_plain,
)
from odl_equivariant.data.units import (
    LENGTH_UNITS,
    AttenuationUnit,
    LengthUnit,
    attenuation_unit,
    convert_attenuation,
    metres,
)
from odl_equivariant.elements import element_from_array

__all__ = ('MeasuredCT',)

# Cells are 1 long in their own unit, up to rounding.
_SAME = 1e-6


class MeasuredCT(TransmissionTomography):
    r"""Tomography in any geometry that has a ray transform.

    Data are exponents of Beer's law, :math:`y = -\log(N / N_0)`: line
    integrals of the attenuation, which have no unit. Images contain linear
    attenuation per unit of length, see ``image_unit``.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry or dict
        Views and detector, with lengths in ``length_unit``, or a description
        by plain values, see `ct_geometry`.
    space : odl.DiscretizedSpace, dict or tuple of int
        Space of the reconstructions, with lengths in ``length_unit``; cells
        may be rectangles. Or a dict with ``shape``, ``cell`` (the side of a
        cell, or one for each axis) and maybe ``centre``. Or a shape: cells
        are then squares such that the image has the circle that all views
        see inside.
    length_unit : {'m', 'cm', 'mm', 'um', 'cell'}, optional
        Unit of all lengths.
    n_photons : float, array-like or None, optional
        Mean number of photons per detector element without an object: one
        number, or one for each element. ``None`` if it is unknown.
    dark, white : array-like, optional
        Readings without rays, and without an object, see `line_integrals`:
        a number, one for each element, or a stack of those.
    impl : str, optional
        Back-end of the ray transform. ``'astra_matrix'`` computes in 2D on
        the CPU, and ``'astra_cuda'`` on a GPU in 2D and 3D.
    dtype : {'float32', 'float64'}, optional
        Precision. Default: that of ``space``, or ``'float32'``.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end. Default: that of ``space``, or ``'numpy'``.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions.
    geometry : odl.applications.tomo.Geometry
        Views and detector.
    operator : odl.applications.tomo.RayTransform
        Ray transform from ``space`` to the data.
    image_unit : str
        Unit of images, ``'1/mm'`` for lengths in ``'mm'``.

    Raises
    ------
    ValueError
        If a value is missing, unknown or out of range, the back-end cannot
        compute this geometry, or lengths in cells belong to cells of another
        side than 1.
    TypeError
        If an argument has another type.

    Warns
    -----
    UserWarning
        If angles look like degrees, or the image reaches beyond what the
        views see.

    Examples
    --------
    >>> import numpy as np
    >>> from odl_equivariant.data import MeasuredCT
    >>> acquisition = MeasuredCT(
    ...     {'kind': 'fan', 'source_radius': 410.66, 'detector_radius': 143.08,
    ...      'n_detectors': 56, 'detector_width': 2.0, 'angle_unit': 'degrees',
    ...      'angles': {'first': 0, 'step': 6, 'n': 60}},
    ...     {'shape': (32, 32), 'cell': 2.0}, length_unit='mm')
    >>> acquisition.operator.range.shape, acquisition.image_unit
    ((60, 56), '1/mm')
    >>> counts = np.full((60, 56), 500.0)
    >>> data = acquisition.line_integrals(counts, white=1000.0)
    >>> float(data[0, 0])  # doctest: +ELLIPSIS
    0.693...
    >>> acquisition.fbp(data) in acquisition.space
    True
    """

    def __init__(
        self,
        geometry: Any,
        space: Any,
        length_unit: LengthUnit = 'm',
        n_photons: float | Samples | None = None,
        dark: Samples | None = None,
        white: Samples | None = None,
        impl: str = 'astra_matrix',
        dtype: Precision | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.length_unit = one_of('length_unit', length_unit, LENGTH_UNITS)
        one_of('impl', impl, RAY_TRAFO_IMPLS)
        if isinstance(geometry, tomo.Geometry):
            warn_of_degrees(geometry.angles)
            self._geometry = describe_geometry(geometry, length_unit)
            self._geometry = self._geometry or geometry
        else:
            self._geometry = normalised_description(geometry, length_unit)
            geometry = ct_geometry(self._geometry)
        space = _space(space, geometry, dtype, backend)
        _check_back_end(geometry, space, impl)
        if length_unit == 'cell' and not np.allclose(
            space.cell_sides, 1, rtol=_SAME
        ):
            raise ValueError(
                "`length_unit='cell'` means that cells of the image have the "
                'side 1, got cells of '
                f'{" x ".join(f"{side:g}" for side in space.cell_sides)}'
            )
        self.n_photons = _photons(n_photons, geometry)
        self.dark, self.white = dark, white
        self._scale_check = ScaleCheck()
        self._set_operators(space, geometry, impl)

    @property
    def image_unit(self) -> str:
        """Unit of the images: one over the unit of length."""
        return attenuation_unit(self.length_unit)

    def line_integrals(
        self,
        counts: Samples,
        dark: Samples | None = None,
        white: Samples | None = None,
    ) -> Element:
        r"""Return the data of the readings of a detector.

        Parameters
        ----------
        counts : array-like
            Readings of shape ``operator.range.shape``, in any unit.
        dark, white : array-like, optional
            Readings without rays, and without an object, in the same unit: a
            number, one for each detector element, or a stack of those, of
            which the mean is taken. Default: those of the acquisition; for
            ``white`` also ``n_photons``.

        Returns
        -------
        data : element of ``operator.range``
            :math:`-\log((N - N_{\mathrm{dark}}) / (N_{\mathrm{white}} -
            N_{\mathrm{dark}}))`.

        Raises
        ------
        ValueError
            If there is no white field, a shape does not fit, values are not
            finite, or most readings are not between the two fields.

        Warns
        -----
        UserWarning
            With numbers, if readings are not above the dark field, clearly
            above the white field, or elements of the detector are dead.
        """
        dark = self.dark if dark is None else dark
        white = self.white if white is None else white
        if white is None:
            white = self.n_photons
        array = counts_to_line_integrals(
            counts, tuple(self.operator.range.shape), dark, white
        )
        return element_from_array(array, self.operator.range)

    def attenuation_in(
        self, image: Image, unit: AttenuationUnit, **options: float
    ) -> np.ndarray | torch.Tensor:
        """Return an image in another unit of attenuation.

        Parameters
        ----------
        image : element of ``space``, array-like or torch.Tensor
            Image in ``image_unit``.
        unit : {'1/m', '1/cm', '1/mm', '1/um', '1/cell', 'relative', 'HU'}
            Unit of the result.
        **options
            ``cell``, ``water``, ``air`` and ``mu_max``, see
            `convert_attenuation`. The side of a cell in metres is known
            unless ``length_unit`` is ``'cell'``.

        Returns
        -------
        image : numpy.ndarray or torch.Tensor
            The values in the other unit.

        Examples
        --------
        >>> acquisition = MeasuredCT(
        ...     {'kind': 'parallel', 'angles': [0.0, 1.0, 2.0],
        ...      'n_detectors': 8, 'detector_width': 1.0}, (6, 6), 'mm')
        >>> acquisition.attenuation_in([0.02], '1/m').tolist()
        [20.0]
        """
        return convert_attenuation(
            image, self.image_unit, unit, **self._cell(options)
        )

    def _cell(self, options):
        """Return options with the side of a cell in metres, if it is known."""
        sides = np.asarray(self.space.cell_sides, dtype=float)
        if (
            self.length_unit == 'cell'
            or 'cell' in options
            or not np.allclose(sides, sides[0], rtol=_SAME)
        ):
            return options
        return {**options, 'cell': float(sides[0]) * metres(self.length_unit)}

    def with_shape(self, shape: ImageShape) -> MeasuredCT:
        """Return the same acquisition for images on another grid.

        Parameters
        ----------
        shape : tuple of int
            Shape of the reconstruction.

        Returns
        -------
        acquisition : MeasuredCT
            Acquisition with the same views. The image keeps its centre, the
            ratio of the sides of a cell, and the length of its longer side.
        """
        shape = array_shape('shape', shape, self.space.ndim)
        sides = np.asarray(self.space.cell_sides, dtype=float)
        lengths = sides * self.shape
        factor = lengths.max() / (sides * shape).max()
        space = {
            'shape': list(shape),
            'cell': (sides * factor).tolist(),
            'centre': self._settings()['space']['centre'],
        }
        return type(self)(**{**self.settings(), 'space': space})

    def _settings(self):
        space = self.space
        low, high = np.asarray(space.min_pt), np.asarray(space.max_pt)
        return {
            'geometry': self._geometry,
            'space': {
                'shape': list(space.shape),
                'cell': ((high - low) / space.shape).tolist(),
                'centre': ((high + low) / 2).tolist(),
            },
            'length_unit': self.length_unit,
            'n_photons': self.n_photons,
            'dark': self.dark,
            'white': self.white,
            'impl': self.impl,
            'dtype': str(space.dtype_identifier),
            'backend': space.impl,
        }


def _space(space, geometry, dtype, backend):
    """Return the space of the images."""
    if isinstance(space, odl.DiscretizedSpace):
        if not space.is_real:
            raise ValueError(
                'attenuation is real, got the space of dtype '
                f'{space.dtype_identifier!r}'
            )
        dtype = dtype or str(space.dtype_identifier)
        backend = backend or space.impl
        check_names(dtype, backend)
        if dtype == str(space.dtype_identifier) and backend == space.impl:
            return space
        return odl.uniform_discr(
            space.min_pt, space.max_pt, space.shape, dtype=dtype, impl=backend
        )
    dtype, backend = dtype or 'float32', backend or 'numpy'
    check_names(dtype, backend)
    ndim = geometry.ndim
    if isinstance(space, Mapping):
        unknown = sorted(set(space) - {'shape', 'cell', 'centre'})
        if unknown or 'shape' not in space:
            raise ValueError(
                'a space has the keys shape, cell and centre, got '
                f'{", ".join(map(str, space))}'
            )
        shape, cell = space['shape'], space.get('cell')
        centre = space.get('centre') or [0.0] * ndim
    else:
        shape, cell, centre = space, None, [0.0] * ndim
    shape = array_shape('space.shape', shape, ndim)
    if cell is None:
        cell = 2 * _seen_radius(geometry) / max(shape)
    cells = np.broadcast_to(np.asarray(cell), (ndim,))
    cells = np.array([positive_number('space.cell', c) for c in cells])
    centre = np.asarray(centre, dtype=float).reshape(ndim)
    half = cells * shape / 2
    return odl.uniform_discr(
        centre - half, centre + half, shape, dtype=dtype, impl=backend
    )


def _seen_radius(geometry):
    """Return the radius of the circle about the axis that views see."""
    edges = detector_reach(geometry)
    full_turn = np.ptp(geometry.angles) > 1.9 * math.pi
    near, far = sorted(abs(edge) for edge in edges)
    both = edges[0] < 0 < edges[1]
    return near if both and near > 0 and not full_turn else far


def _check_back_end(geometry, space, impl):
    """Raise an error if a back-end cannot compute, or would do so wrongly."""
    if geometry.ndim != space.ndim:
        raise ValueError(
            f'the geometry is in {geometry.ndim}D, and the space has '
            f'{space.ndim} axes'
        )
    if geometry.ndim == 3 and impl != 'astra_cuda':
        raise ValueError(
            f'the back-end {impl!r} computes in 2D, on the CPU; in 3D there '
            "is only impl='astra_cuda', on a GPU. On the CPU, reconstruct "
            'row by row with a geometry in 2D: parallel beams have one for '
            'each row, a cone beam for the row opposite the source only'
        )
    if geometry.ndim == 2:
        check_plain(geometry, space, impl)
    if str(space.dtype_identifier) == 'float64' and not impl.startswith(
        'astra_matrix'
    ):
        raise ValueError(
            f'the back-end {impl!r} is limited to float32; pass '
            "dtype='float32' or impl='astra_matrix'"
        )


def _photons(n_photons, geometry):
    """Return the number of photons as a float, an array or None."""
    if n_photons is None:
        return None
    if np.ndim(n_photons) == 0:
        n_photons = positive_number('n_photons', n_photons, infinite=True)
        return None if math.isinf(n_photons) else n_photons
    array = as_real_array(n_photons).astype(float)
    shape = geometry.det_partition.shape
    if array.shape not in (shape, geometry.partition.shape):
        raise ValueError(
            f'`n_photons` must be a number or have the shape {shape} of the '
            f'detector, got {array.shape}'
        )
    if not (np.isfinite(array).all() and array.min() > 0):
        raise ValueError(
            '`n_photons` must be finite and positive, got values from '
            f'{array.min():g} to {array.max():g}'
        )
    return array
