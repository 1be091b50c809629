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
from typing import Any

import numpy as np
import torch
from odl.applications import tomo

from odl_equivariant._checks import (
    array_shape,
    one_of,
    positive_number,
    real_number,
)
from odl_equivariant._degrees import are_radians
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    FilterType,
    Image,
    ImageShape,
    Precision,
    Samples,
)
from odl_equivariant.data._checks import as_array, as_real_array
from odl_equivariant.data.acquisitions.sinograms.truncation import (
    extrapolated,
)
from odl_equivariant.data.acquisitions.tomography.angles import warn_of_degrees
from odl_equivariant.data.acquisitions.tomography.axis import offset_of_axis
from odl_equivariant.data.acquisitions.tomography.counts import (
    check_fields,
    counts_to_line_integrals,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    ct_geometry,
    describe_geometry,
    normalised_description,
)
from odl_equivariant.data.acquisitions.tomography.image_space import (
    check_back_end,
    space_of,
    warn_of_lengths,
)
from odl_equivariant.data.acquisitions.tomography.transmission import (
    FBP_CUTOFF,
    TransmissionTomography,
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
        the CPU, ``'volume_matrix'`` small geometries in 3D on the CPU, and
        ``'astra_cuda'`` on a GPU in 2D and 3D.
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
        If angles look like degrees, or the lengths of space and geometry
        differ so much that their units must.

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
    >>> counts = np.full((60, 56), 1000.0)
    >>> counts[:, 23:33] = 500.0
    >>> data = acquisition.line_integrals(counts, white=1000.0)
    >>> float(data[0, 28])  # doctest: +ELLIPSIS
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
        if isinstance(geometry, tomo.Geometry):
            warn_of_degrees(geometry)
            self._geometry = describe_geometry(geometry, length_unit)
            self._geometry = self._geometry or geometry
        else:
            self._geometry = normalised_description(geometry, length_unit)
            geometry = ct_geometry(self._geometry)
            are_radians(geometry)
        space = space_of(space, geometry, dtype, backend)
        check_back_end(geometry, space, impl)
        warn_of_lengths(space, geometry, length_unit)
        if length_unit == 'cell' and not np.allclose(
            space.cell_sides, 1, rtol=_SAME
        ):
            raise ValueError(
                "`length_unit='cell'` means that cells of the image have the "
                'side 1, got cells of '
                f'{" x ".join(f"{side:g}" for side in space.cell_sides)}: '
                "pass `{'shape': ..., 'cell': 1}` as the space"
            )
        self.n_photons = _photons(n_photons, geometry)
        check_fields(dark, white, tuple(geometry.partition.shape))
        self.dark, self.white = dark, white
        self._is_unchecked = True
        self._set_operators(space, geometry, impl)

    @property
    def image_unit(self) -> AttenuationUnit:
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

    def fbp(
        self,
        data: ElementLike,
        filter_type: FilterType = 'Hann',
        frequency_scaling: float = FBP_CUTOFF,
    ) -> Element:
        """Return the filtered back-projection of the data.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals, as `line_integrals` returns them.
        filter_type, frequency_scaling : optional
            Window and relative cutoff, see `filtered_backprojection`. The
            default is that of `SparseViewCT`, for few views or photons. With
            1, the image has all that the detector resolves, and its noise;
            take it for a scan with many photons.

        Returns
        -------
        image : element of ``space``
            Attenuation in ``image_unit``, possibly negative.

        Raises
        ------
        ValueError
            If the data have another shape or are not finite, or the geometry
            has parallel beams in 3D. Of cone beams it is the reconstruction
            of Feldkamp.

        Warns
        -----
        UserWarning
            Once, if the object goes on past the ends of the detector, or if
            no object can have the first data in this geometry, see
            `inconsistency`.
        LimitedAngleWarning
            If some lines are not measured.
        """
        if self.space.ndim == 3 and not isinstance(
            self.geometry, tomo.ConeBeamGeometry
        ):
            raise ValueError(
                'filtered back-projection is for geometries in 2D and for '
                'cone beams; for parallel beams in 3D take '
                '`odl.applications.tomo.fbp_op(acquisition.operator)`, or '
                'iterate with `data_fit`'
            )
        return super().fbp(data, filter_type, frequency_scaling)

    def _check_data(self, data):
        found = self.truncation(data)
        doubt = None
        if found or self._is_unchecked:
            doubt = self.inconsistency(data)
            if doubt:
                self._warn_of(doubt)
            if self._is_unchecked:
                # the geometry is the same for all data
                self._is_unchecked = not doubt.errors
        if found and not doubt:
            self._scale_check.warn(
                'truncated',
                f'in {100 * found.views:.0f} % of the views the object goes '
                'on past an end of the detector, where readings are up to '
                f'{100 * found.level:.0f} % of the largest one: filtered '
                'back-projection is too large towards the ends; '
                '`acquisition, data = acquisition.padded(data)` continues '
                'the data first.',
            )
        return bool(doubt)

    def padded(
        self, data: ElementLike, share: float = 0.25
    ) -> tuple[MeasuredCT, Element]:
        """Return data that fall smoothly to zero on a longer detector.

        Where a detector cuts the object, the artefacts of filtered
        back-projection become weaker inside, and data fits have an image
        that explains the data. What lies outside stays unknown: choose a
        space that holds the whole object.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals.
        share : float, optional
            How many elements to add at each end, relative to their number:
            about as many as the object goes on there.

        Returns
        -------
        acquisition : MeasuredCT
            The same acquisition with the longer detector.
        data : element of ``acquisition.operator.range``
            The data, continued from the mean of the outermost readings by
            half a period of a cosine.
        """
        extra = math.ceil(
            positive_number('share', share) * self.geometry.partition.shape[1]
        )
        array = as_array(self._data_element(data))
        settings = self._described('detectors can be made longer')
        geometry = settings['geometry']
        n = geometry['n_detectors']
        settings['geometry'] = {**geometry, 'n_detectors': n + 2 * extra}
        for name in ('dark', 'white', 'n_photons'):
            # those of the elements that were added are unknown
            if np.ndim(settings[name]) > 0:
                settings[name] = None
        longer = type(self)(**settings)
        # data that were continued are those of no object
        longer._is_unchecked = False
        return longer, element_from_array(
            extrapolated(array, extra, extra), longer.operator.range
        )

    def find_axis(
        self,
        data: ElementLike,
        reach: float | None = None,
    ) -> float:
        """Return the offset of the detector that fits the data.

        The axis of rotation is projected to the middle of a detector only
        if somebody has adjusted it. Otherwise, images are blurred or have
        double edges. The data of lines that are seen from both sides are
        compared, such as those of two views half a turn apart. Where there
        are none, the moments of the views decide, see `inconsistency`: the
        middle of mass of the views goes along a sinusoid around the axis.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals; in 3D, the middle row is taken.
        reach : float, optional
            How far to search to both sides of the present offset, in
            ``length_unit``. Default: a quarter of the detector.

        Returns
        -------
        offset : float
            ``detector_offset`` in ``length_unit``, to a fraction of an
            element; see `with_detector_offset`.

        Raises
        ------
        ValueError
            If the geometry cannot be described by plain values, or the
            detector is curved. If too few lines are seen from both sides, and
            the detector cuts the object or the moments leave the offset
            uncertain by more than two elements: they find it to about half
            an element from 90 degrees and to two from 60 degrees, if the
            source is steady to 0.1 %.
        """
        geometry = self._described('an axis can be found')['geometry']
        array = as_array(self._data_element(data)).astype(float)
        if array.ndim == 3:
            array = array[:, :, array.shape[2] // 2]
        if reach is not None:
            reach = positive_number('reach', reach)
        return offset_of_axis(self.geometry, geometry, array, reach)

    def with_detector_offset(self, offset: float) -> MeasuredCT:
        """Return the same acquisition with the detector at another offset.

        Parameters
        ----------
        offset : float
            How far the middle of the detector is from the projection of the
            axis, in ``length_unit``, such as the result of `find_axis`.

        Returns
        -------
        acquisition : MeasuredCT
            Acquisition with the same other settings.
        """
        settings = self._described('a detector can be shifted')
        settings['geometry'] = {
            **settings['geometry'],
            'detector_offset': real_number('offset', offset),
        }
        return type(self)(**settings)

    def _described(self, what):
        """Return the settings, if the geometry is described by them."""
        if not isinstance(self._geometry, dict):
            raise ValueError(
                f'{what} only in geometries that plain values describe, see '
                f'`ct_geometry`; got {self.geometry!r:.200}'
            )
        if 'curvature_radius' in self._geometry and what.startswith('an axis'):
            raise ValueError(
                'the axis is searched for with flat detectors only; shift '
                'the detector by `with_detector_offset`'
            )
        return self.settings()

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

    def _how_to_convert(self):
        return (
            f'convert it to {self.image_unit} by `convert_attenuation` and '
            'clip it at 0'
        )

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
