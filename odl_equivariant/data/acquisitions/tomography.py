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
from typing import Any, Literal

import numpy as np
import odl
import torch
from odl.applications import tomo
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

import odl_equivariant.operators  # noqa: F401  (registers 'astra_matrix')
from odl_equivariant._checks import (
    array_shape,
    boolean,
    one_of,
    positive_number,
    whole_number,
)
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    FilterType,
    Image,
    ImageShape,
    Operator,
    Precision,
    Random,
    RayTransform,
)
from odl_equivariant._warnings import quiet
from odl_equivariant.data._checks import (
    as_real_array,
    check_extent,
)
from odl_equivariant.data.acquisitions.base import (
    Acquisition,
    as_pair,
    check_names,
    has_own_simulation,
)
from odl_equivariant.data.acquisitions.ranges import (
    ScaleCheck,
    attenuation_of_hounsfield,
    check_attenuation,
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

__all__ = ('SparseViewCT',)

# The transmission where no photon is counted, as in the reference.
SMALLEST_TRANSMISSION = 1e-8
# The best PSNR with the Hann window on a head CT at the default settings. On
# phantoms at this dose a cutoff of 0.35 is better, by about 0.8 dB.
FBP_CUTOFF = 0.45
# Standard deviations of air, from which on a reading is behind the object.
_BEHIND = 3.0
_LEAST_COUNT = 0.5


class SparseViewCT(Acquisition):
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

    baseline_name = 'FBP'

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
        self.impl = impl
        self._scale_check = ScaleCheck()

        pixel = self.side / max(shape)
        corner = [pixel * n / 2 for n in shape]
        low = [-c for c in corner]
        self.space = odl.uniform_discr(
            low, corner, shape, dtype=dtype, impl=backend
        )
        self.fine_space = odl.uniform_discr(
            low, corner, tuple(2 * n for n in shape), dtype=dtype, impl=backend
        )
        half = self.side / math.sqrt(2)
        self.geometry = tomo.Parallel2dGeometry(
            odl.uniform_partition(0, math.pi, self.n_views),
            odl.uniform_partition(-half, half, self.n_detectors),
        )
        self.operator = _ray_transform(self.space, self.geometry, impl)
        self._fine_operator = None
        self._filters = {}

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
                impl = 'astra_cpu' if impl == 'astra_matrix' else impl
            self._fine_operator = _ray_transform(
                self.fine_space, self.geometry, impl
            )
        return self._fine_operator

    def simulate(self, image: Image, rng: Random = None) -> Element:
        r"""Return noisy data of an image, projected on the fine grid.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image in units of ``mu_max``, not negative, on the grid twice as
            fine as the reconstruction. If it is on the grid of the
            reconstruction, each pixel is repeated 2 x 2 first. The image is
            not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.

        Returns
        -------
        data : element of ``operator.range``
            Line integrals in metres, of shape ``(n_views, n_detectors)``.

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
            N \sim \mathrm{Poisson}(N_0 e^{-\mu_{\max} A u}), \qquad
            y = -\frac{1}{\mu_{\max}} \log \max(N / N_0, 10^{-8}).
        """
        return self._simulated(self._fine_image(image), rng)

    def _simulated(self, image, rng):
        """Return noisy data of a checked image on the fine grid."""
        fine = element_from_array(image, self.fine_space)
        projection = self.fine_operator(fine)
        lengths = as_tensor(projection)[0, 0].cpu().numpy()
        exponents = self.mu_max * lengths.astype(np.float64)
        check_attenuation(
            self._scale_check,
            image,
            exponents,
            self.n_photons,
            self.mu_max,
        )
        if self.n_photons is not None:
            rng = np.random.default_rng(rng)
            counts = rng.poisson(self.n_photons * np.exp(-exponents))
            transmission = np.maximum(
                counts / self.n_photons, SMALLEST_TRANSMISSION
            )
            lengths = -np.log(transmission) / self.mu_max
        return element_from_array(lengths, self.operator.range)

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
        if has_own_simulation(self, SparseViewCT):
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
            Line integrals in metres.
        filter_type, frequency_scaling : optional
            Window and relative cutoff, see `filtered_backprojection`.

        Returns
        -------
        image : element of ``space``
            Reconstruction, possibly with negative values.
        """
        operator = self._fbp_operator(filter_type, frequency_scaling)
        if data not in self.operator.range:
            array = as_real_array(data)
            if array.shape != self.operator.range.shape:
                raise ValueError(
                    '`data` must have shape '
                    f'{tuple(self.operator.range.shape)} (views, detector '
                    f'elements), got {array.shape}'
                )
            data = element_from_array(array, self.operator.range)
        if not bool(torch.isfinite(as_tensor(data)).all()):
            raise ValueError(
                '`data` has values that are infinite or not a number'
            )
        return operator(data)

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
            Line integrals in metres, as `simulate` returns them.
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
        The counts are :math:`N = N_0 e^{-\mu_{\max} y}`. After the
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
        nothing. The likelihood has the factor :math:`1 / (\mu_{\max}^2
        N_{\mathrm{ref}})`. Then its second derivative at exact data is that
        of the weighted fit. It also knows that attenuation is large where no
        photon is counted.

        Examples
        --------
        >>> from odl_equivariant.data import ellipse_phantom
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
        exponents = self.mu_max * as_tensor(data)[0, 0].double().cpu().numpy()
        counts = self.n_photons * np.exp(-exponents)
        reference = _reference_count(counts, exponents, self.n_photons)
        if noise == 'gaussian':
            weights = volume * counts / reference
            return LeastSquares(self.operator, data, weights, **options)
        return TransmissionLikelihood(
            self.operator,
            counts,
            self.n_photons,
            self.mu_max,
            volume / (self.mu_max**2 * reference),
            **options,
        )

    def _fbp_operator(self, *window):
        """Return the filtered back-projection, made once for each window."""
        if window not in self._filters:
            self._filters[window] = filtered_backprojection(
                self.operator, *window
            )
        return self._filters[window]

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
                f'{array.min()}; convert it to fractions of `mu_max` and clip '
                'it at 0: ' + attenuation_of_hounsfield(self.mu_max)
            )
        if array.shape == self.shape:
            array = array.repeat(2, axis=0).repeat(2, axis=1)
        return array


def _reference_count(counts, exponents, n_photons):
    """Return the geometric mean of the counts behind the object."""
    behind = exponents > _BEHIND / math.sqrt(n_photons)
    if not behind.any():
        return n_photons
    logarithms = np.log(np.maximum(counts[behind], _LEAST_COUNT))
    return float(np.exp(logarithms.mean()))


def _missing_volume(space):
    """Return what the weight of the data's space lacks to be a volume.

    Where a pixel has the side 1, ODL takes the weight 1 for the data, too.
    """
    weight = float(space.weighting.const)
    return float(space.cell_volume) if weight == 1.0 else 1.0


def _ray_transform(space, geometry, impl):
    operator = tomo.RayTransform(space, geometry, impl=impl)
    if impl == 'astra_cpu':
        # On large grids, ODL recommends a GPU, which may be missing.
        with quiet(".*'astra_cpu' backend", category=RuntimeWarning):
            operator.get_impl(impl)
    return operator
