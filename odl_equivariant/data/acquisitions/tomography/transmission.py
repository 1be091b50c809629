# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Tomography by transmitted rays: what simulated and measured scans share."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import odl
import torch

from odl_equivariant._checks import boolean, one_of
from odl_equivariant._types import (
    Element,
    ElementLike,
    FilterType,
    Image,
    ImageShape,
    Operator,
    Random,
    RayTransform,
)
from odl_equivariant.data._checks import (
    as_array,
    as_real_array,
    check_extent,
)
from odl_equivariant.data.acquisitions.base import (
    Acquisition,
    as_pair,
    has_own_simulation,
)
from odl_equivariant.data.acquisitions.ranges import ScaleCheck
from odl_equivariant.data.acquisitions.sinograms.consistency import (
    IMPOSSIBLE,
    Inconsistency,
    find_inconsistency,
    find_wrong_kind,
)
from odl_equivariant.data.acquisitions.sinograms.truncation import (
    Truncation,
    find_truncation,
)
from odl_equivariant.data.acquisitions.tomography.geometries import (
    describe_geometry,
    detector_reach,
)
from odl_equivariant.data.acquisitions.tomography.ray_transforms import (
    is_plain,
    ray_transform,
)
from odl_equivariant.elements import as_tensor, element_from_array
from odl_equivariant.functionals.data_fits.base import checked_data
from odl_equivariant.functionals.data_fits.least_squares import LeastSquares
from odl_equivariant.functionals.data_fits.transmission import (
    TransmissionLikelihood,
)
from odl_equivariant.operators.ray.filtered_backprojection import (
    filtered_backprojection,
)
from odl_equivariant.operators.ray.geometry import has_square_cells

__all__ = (
    'FBP_CUTOFF',
    'TransmissionTomography',
)

# The transmission where no photon is counted, as in the reference.
SMALLEST_TRANSMISSION = 1e-8
# For simulated and measured data alike. The best PSNR with the Hann window on
# a head CT at the default settings of `SparseViewCT`. The best one grows like
# the fourth root of the number of all photons: noise grows like its cube, and
# an edge loses its inverse. From 10^5 photons on, 1 is better by 3 to 6 dB.
FBP_CUTOFF = 0.45
# Standard deviations of air, from which on a reading is behind the object.
_BEHIND = 3.0
_LEAST_COUNT = 0.5


class TransmissionTomography(Acquisition):
    r"""Base class of tomography whose data are logarithms of counts.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Space of the reconstructions.
    fine_space : odl.DiscretizedSpace
        The same field of view on a grid twice as fine, in 2D.
    geometry : odl.applications.tomo.Geometry
        Views and detector.
    operator : odl.applications.tomo.RayTransform
        Ray transform from ``space`` to the data.
    n_photons : float or None
        Mean number of photons per detector element without an object.
    impl : str
        Back-end of the ray transform.

    Notes
    -----
    A subclass calls ``_set_operators``. Its attribute ``_mu`` is the factor
    :math:`\mu` that makes exponents of Beer's law of projections :math:`A u`,
    so that the counts are about :math:`N_0 e^{-\mu A u}` and the data
    :math:`y = -\log(N / N_0) / \mu`. Its method ``_check_exponents`` gives
    a warning if an image seems to be in another unit.
    """

    n_photons: Any

    baseline_name = 'FBP'
    _mu = 1.0
    # how messages call what an image contains, and its data
    _unit = 'attenuation'

    def _set_operators(self, space, geometry, impl):
        """Set the space, the finer one, the geometry and the operators."""
        self.space, self.geometry, self.impl = space, geometry, impl
        self._scale_check = ScaleCheck()
        factor = self._refinement
        self.fine_space = odl.uniform_discr(
            space.min_pt,
            space.max_pt,
            tuple(factor * n for n in space.shape),
            dtype=str(space.dtype_identifier),
            impl=space.impl,
        )
        self.operator = ray_transform(space, geometry, impl)
        self._fine_operator = None
        self._filters = {}

    @property
    def _refinement(self):
        """How many times finer the grid is on which images are projected."""
        return 2 if self.space.ndim == 2 else 1

    @property
    def image_shape(self) -> ImageShape:
        """Shape of the grid twice as fine."""
        return tuple(self.fine_space.shape)

    @property
    def fbp_operator(self) -> Operator:
        """Filtered back-projection from the data to ``space``."""
        return self._fbp_operator('Hann', FBP_CUTOFF)

    @property
    def fine_operator(self) -> RayTransform:
        """Ray transform from ``fine_space`` to the same data."""
        if self._fine_operator is None:
            impl = self.impl
            if str(self.space.dtype_identifier) == 'float32':
                # Each image is projected once, and a matrix of this size
                # would take hundreds of megabytes.
                if (
                    impl == 'astra_matrix'
                    and is_plain(self.geometry)
                    and has_square_cells(self.space.partition)
                ):
                    impl = 'astra_cpu'
            self._fine_operator = ray_transform(
                self.fine_space, self.geometry, impl
            )
        return self._fine_operator

    def simulate(self, image: Image, rng: Random = None) -> Element:
        r"""Return noisy data of an image, projected on the fine grid.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image in the unit of the acquisition, not negative, on the grid
            twice as fine as the reconstruction. If it is on the grid of the
            reconstruction, each pixel is repeated 2 x 2 first. The image is
            not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Line integrals of the image, of shape ``(n_views, n_detectors)``.

        Raises
        ------
        ValueError
            If the image has another shape or extent, is complex, or has
            values that are negative, infinite or not a number. Also if no
            ray carries a photon.

        Warns
        -----
        UserWarning
            Once, if the image seems to be in another unit. Its values seem
            too large if more than half of the rays through it carry less
            than one photon and the largest exponent is above 12; without
            noise, if the mean exponent is above 50. They seem too small if
            all exponents are below half the noise of a ray,
            :math:`N_0^{-1/2}`.

        Notes
        -----
        With the projection :math:`A` on the fine grid, counts and data are

        .. math::
            N \sim \mathrm{Poisson}(N_0 e^{-\mu A u}), \qquad
            y = -\frac{1}{\mu} \log \max(N / N_0, 10^{-8}),

        where :math:`\mu` is the ``mu_max`` of `SparseViewCT`, and 1 for
        `MeasuredCT`.
        """
        return self._simulated(self._fine_image(image), rng)

    def _simulated(self, image, rng):
        """Return noisy data of a checked image on the fine grid."""
        fine = element_from_array(image, self.fine_space)
        projection = self.fine_operator(fine)
        lengths = as_tensor(projection)[0, 0].cpu().numpy()
        exponents = self._mu * lengths.astype(np.float64)
        self._check_exponents(image, exponents)
        return self._noisy(lengths, rng)

    def _noisy(self, lengths, rng):
        """Return an array of line integrals with the noise of photons."""
        if self.n_photons is not None:
            rng = np.random.default_rng(rng)
            exponents = self._mu * lengths.astype(np.float64)
            counts = rng.poisson(self.n_photons * np.exp(-exponents))
            transmission = np.maximum(
                counts / self.n_photons, SMALLEST_TRANSMISSION
            )
            lengths = -np.log(transmission) / self._mu
        return element_from_array(lengths, self.operator.range)

    def add_noise(self, data: ElementLike, rng: Random = None) -> Element:
        r"""Return line integrals with the noise of photons.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals without noise, of any sign.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data, by the formula of `simulate`. Without a number of
            photons they are a copy.

        Raises
        ------
        ValueError
            If the data have another shape or are not finite.
        """
        lengths = as_tensor(self._data_element(data))[0, 0].cpu().numpy()
        return self._noisy(lengths, rng)

    def ground_truth(self, image: Image) -> Element:
        """Return an image on the reconstruction grid, by 2 x 2 means.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.

        Returns
        -------
        image : element of ``space``
            Image with which reconstructions are compared.
        """
        return self._means(self._fine_image(image))

    def _means(self, image):
        """Return the 2 x 2 means of a checked image on the fine grid."""
        if self._refinement == 1:
            return element_from_array(image, self.space)
        n, m = self.shape
        fine = image.astype(np.float64)
        coarse = fine.reshape(n, 2, m, 2).mean(axis=(1, 3))
        return element_from_array(coarse, self.space)

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return data and ground truth of an image, as tensors.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`.
        """
        if has_own_simulation(self, TransmissionTomography):
            return super().pair(image, rng)
        # checked and refined once for both
        image = self._fine_image(image)
        return as_pair(self._simulated(image, rng), self._means(image))

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
            Line integrals, as `simulate` returns them.
        filter_type, frequency_scaling : optional
            Window and relative cutoff, see `filtered_backprojection`. The
            default is for about :math:`10^4` photons. The best cutoff grows
            like the fourth root of the number of all photons, up to 1: with
            :math:`10^5` or more, pass 1.

        Returns
        -------
        image : element of ``space``
            Reconstruction, possibly with negative values.

        Raises
        ------
        ValueError
            If the data have another shape or are not finite.

        Warns
        -----
        UserWarning
            Once, if the data are no line integrals of attenuation: negated,
            readings without logarithm, or with swapped axes. Of several
            slices, the middle one counts. Residuals, which may have any sign,
            are for `fbp_operator`, which does not look at data.
        """
        operator = self._fbp_operator(filter_type, frequency_scaling)
        data = self._data_element(data)
        self._check_data(data)
        return operator(data)

    def _check_data(self, data):
        """Warn if no image is right, whatever the geometry.

        Returns whether it is so.
        """
        if self.space.ndim == 3:
            return False
        found = self._wrong_kind(as_array(data))
        is_wrong = found.cause in IMPOSSIBLE
        if is_wrong:
            self._warn_of(found)
        return is_wrong

    def _warn_of(self, found):
        """Give the warning of an inconsistency, and what residuals take."""
        hint = ''
        if found.cause == 'sign':
            hint = (
                ' If they are a residual, such as `operator(u) - y`, nothing '
                'is wrong: take `acquisition.fbp_operator`, of films that of '
                '`acquisition.frames`, which is for any data.'
            )
        self._scale_check.warn(f'doubt {found.cause}', f'{found}.{hint}')

    def _wrong_kind(self, array):
        """Return what data are instead of line integrals, see `kinds`."""
        return find_wrong_kind(
            self._mu * array.astype(float), np.asarray(self.geometry.angles)
        )

    def _data_element(self, data):
        """Return finite data of the right shape as an element."""
        if data not in self.operator.range:
            array = as_real_array(data)
            shape = tuple(self.operator.range.shape)
            if array.shape != shape:
                turned = array.ndim == 2 and array.T.shape == shape
                raise ValueError(
                    f'`data` must have shape {shape} (views, detector '
                    f'elements), got {array.shape}'
                    + ('; pass their transpose, `data.T`' if turned else '')
                )
            data = element_from_array(array, self.operator.range)
        if not bool(torch.isfinite(as_tensor(data)).all()):
            raise ValueError(
                '`data` has values that are infinite or not a number'
            )
        return data

    def truncation(self, data: ElementLike) -> Truncation:
        """Return how much of the object the detector does not see.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals.

        Returns
        -------
        truncation : Truncation
            ``views``, the share of the views in which the object goes on past
            an end of the detector; ``level``, the largest mean reading at an
            end, relative to the largest reading. It is false where nothing is
            truncated. A detector that is shifted to one side may cut the
            object on the other side if the scan is a full turn.
        """
        array = as_array(self._data_element(data)).astype(float)
        closed = np.ptp(self.geometry.angles) > 1.9 * math.pi
        if array.ndim == 3:
            array = array.swapaxes(1, 2).reshape(-1, array.shape[1])
        return find_truncation(array, detector_reach(self.geometry), closed)

    def inconsistency(self, data: ElementLike) -> Inconsistency:
        """Return how far data are from those of any object.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals.

        Returns
        -------
        inconsistency : Inconsistency
            It is true, and says why, if no object has such data in this
            geometry: angles in a wrong unit or range, a shifted axis of
            rotation, views of a fan in reversed order, or a source that
            drifts. The errors are 0.3 % of the sum of a view at least, and
            are noise with a probability below 1e-7. Or if the data are no
            line integrals: negated, counts, transposed, reversed in some of
            the views, or with the noise of decimal logarithms.

        Notes
        -----
        The moments of order 0 to 4 of the views are compared with those that
        an object can have, on any range of angles, see Natterer, *The
        Mathematics of Computerized Tomography*, Wiley 1986, theorem II.4.2.
        Some wrong geometries have images all the same: parallel beams in
        reversed order have the mirrored object, on a reversed detector with
        the axis in its middle the object turned by 180 degrees, and a disc
        around the axis has the same data for all angles. On a short range,
        errors are small: on 90 degrees, a range that is 20 % too small may
        stay unnoticed. Another base of the logarithm is a factor that only
        noise shows, and only if there is enough of it to be measured: compare
        the attenuation of an image with that of its material. The geometry is
        not tested for data in 3D, of which the middle row counts, of
        geometries that plain values do not describe, of fewer than eight
        views, or that are truncated.
        """
        data = self._data_element(data)
        array = as_array(data).astype(float)
        if array.ndim == 3:
            array = array[:, :, array.shape[2] // 2]
        found = self._wrong_kind(array)
        # the unit does not matter
        values = describe_geometry(self.geometry, 'm')
        if (
            found
            or values is None
            or self.space.ndim == 3
            or self.truncation(data)
        ):
            return found
        return find_inconsistency(values, array)

    def baseline(self, data: ElementLike) -> Element:
        """Return the filtered back-projection of the data, see `fbp`."""
        return self.fbp(data)

    def data_fit(
        self,
        data: ElementLike,
        weighted: bool = False,
        noise: Literal['gaussian', 'poisson'] = 'gaussian',
        **options: Any,
    ) -> LeastSquares | TransmissionLikelihood:
        r"""Return the functional that says how well an image fits the data.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            Line integrals, as `simulate` returns them.
        weighted : bool, optional
            Whether readings count by their numbers of photons.
        noise : {'gaussian', 'poisson'}, optional
            Least squares, or the likelihood of the counts, which are weighted
            in any case.
        **options
            ``tol``, ``maxiter`` and ``warm_start`` of the functional.

        Returns
        -------
        fit : LeastSquares or TransmissionLikelihood
            Functional on ``space``, with gradient and proximal.

        Raises
        ------
        ValueError
            If photons are to be counted, and ``n_photons`` is ``None``; if
            the data have another shape or are not finite.

        Notes
        -----
        The counts are :math:`N = N_0 e^{-\mu y}`, see `simulate`. After the
        logarithm, the variance of a reading is :math:`1 / N`, in the unit of
        the exponent. So the weights are

        .. math::
            w = N / N_{\mathrm{ref}}, \quad
            N_{\mathrm{ref}} = \exp(\mathrm{mean} \log
            \max(N, \tfrac12)),

        where the mean is over the readings behind the object: those whose
        exponent is above three standard deviations of air,
        :math:`3 N_0^{-1/2}`. So where these readings get about the same
        light, the fit is about the unweighted one, and the weight of a
        regulariser keeps its meaning. A reading without any photon has a
        weight of at most :math:`10^{-8} N_0 / N_{\mathrm{ref}}`: it tells
        nothing. The likelihood has the factor :math:`1 / (\mu^2
        N_{\mathrm{ref}})`. Then its second derivative at exact data is that
        of the weighted fit. It also knows that attenuation is large where no
        photon is counted.

        Examples
        --------
        >>> from odl_equivariant.data import SparseViewCT, ellipse_phantom
        >>> acquisition = SparseViewCT((32, 32), n_views=12)
        >>> data = acquisition.simulate(ellipse_phantom((64, 64), rng=0), 0)
        >>> fit = acquisition.data_fit(data, weighted=True)
        >>> fit(acquisition.fbp(data)) < fit(acquisition.space.zero())
        True
        """
        weighted = boolean('weighted', weighted)
        one_of('noise', noise, ('gaussian', 'poisson'))
        data = checked_data('data', data, self.operator.range)
        volume = _missing_volume(self.operator.range)
        if noise == 'gaussian' and not weighted:
            return LeastSquares(self.operator, data, volume, **options)
        if self.n_photons is None:
            raise ValueError(
                'the acquisition has no noise, and so no number of photons by '
                'which to weight readings; set `n_photons`, or pass '
                "weighted=False and noise='gaussian'"
            )
        exponents = self._mu * as_tensor(data)[0, 0].double().cpu().numpy()
        counts = self.n_photons * np.exp(-exponents)
        reference = _reference_count(counts, exponents, self.n_photons)
        if noise == 'gaussian':
            weights = volume * counts / reference
            return LeastSquares(self.operator, data, weights, **options)
        return TransmissionLikelihood(
            self.operator,
            counts,
            self.n_photons,
            self._mu,
            volume / (self._mu**2 * reference),
            **options,
        )

    def _fbp_operator(self, *window):
        """Return the filtered back-projection, made once for each window."""
        if window not in self._filters:
            self._filters[window] = filtered_backprojection(
                self.operator, *window
            )
        return self._filters[window]

    def _check_exponents(self, image, exponents):
        """Warn if an image seems to be in another unit."""

    def _how_to_convert(self):
        return 'clip it at 0'

    def _fine_image(self, image):
        """Return the image as an array on the fine grid, checked."""
        space = getattr(image, 'space', None)
        if space is not None:
            check_extent(space, self.space, type(self).__name__)
        array = as_real_array(image)
        fine_shape = tuple(self.fine_space.shape)
        if array.shape not in (self.shape, fine_shape):
            raise ValueError(
                f'`image` must have shape {fine_shape} (the grid twice as '
                f'fine) or {self.shape} (the grid of the reconstruction), got '
                f'{array.shape}'
            )
        if not np.isfinite(array).all():
            raise ValueError(
                '`image` has values that are infinite or not a number'
            )
        if array.size and array.min() < 0:
            raise ValueError(
                'attenuation cannot be negative, got an image with minimum '
                f'{array.min()}; {self._how_to_convert()}'
            )
        if array.shape == self.shape:
            array = self._refined(array)
        return array

    def _refined(self, array):
        """Return an array on the grid of ``space`` on the finer one."""
        for axis in range(array.ndim):
            array = array.repeat(self._refinement, axis=axis)
        return array


def _reference_count(counts, exponents, n_photons):
    """Return the geometric mean of the counts behind the object."""
    behind = exponents > _BEHIND / np.sqrt(n_photons)
    if not behind.any():
        return float(np.mean(n_photons))
    logarithms = np.log(np.maximum(counts[behind], _LEAST_COUNT))
    return float(np.exp(logarithms.mean()))


def _missing_volume(space):
    """Return what the weight of the data's space lacks to be a volume.

    Where a pixel has the side 1, ODL takes the weight 1 for the data, too.
    """
    weight = float(space.weighting.const)
    return float(space.cell_volume) if weight == 1.0 else 1.0
