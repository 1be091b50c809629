# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Simulated magnetic resonance imaging from a few lines of k-space."""

from __future__ import annotations

from typing import Any

import numpy as np
import odl
import torch
from numpy.typing import ArrayLike

from odl_equivariant._checks import (
    array_shape,
    boolean,
    positive_number,
    real_number,
)
from odl_equivariant._types import (
    Backend,
    Element,
    ElementLike,
    Image,
    ImageShape,
    Operator,
    Precision,
    Random,
    Samples,
)
from odl_equivariant.data._checks import (
    as_array,
    image_on,
)
from odl_equivariant.data.acquisitions.base import (
    Acquisition,
    as_pair,
    check_names,
    has_own_simulation,
    short_mask,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.coil_maps import (
    simulated_coil_maps,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.coils import (
    Coils,
    samples,
    start_of_maps,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.masks import (
    Pattern,
    Sampling,
    measured_mask,
)
from odl_equivariant.data.acquisitions.ranges import ScaleCheck, check_noise
from odl_equivariant.elements import element_from_array
from odl_equivariant.functionals.data_fits.least_squares import LeastSquares
from odl_equivariant.operators.fourier.masks import CartesianMask
from odl_equivariant.operators.fourier.poisson_disc import PoissonDiscMask

__all__ = ('CartesianMRI',)


class CartesianMRI(Acquisition):
    r"""Magnetic resonance imaging from some lines of k-space.

    Images are complex, and their values have no unit. The default noise fits
    images with a largest magnitude of about 1. All images get the same noise,
    as the slices of a volume do. So divide all slices of a volume by one
    number, not each slice by its own maximum.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images and of k-space.
    acceleration : float, optional
        Number of all lines over the number of measured lines.
    center_fraction : float, optional
        Fraction of all lines that lie around the zero frequency and are
        always measured.
    pattern : str, optional
        How the other lines are chosen: ``'random'``, ``'equispaced'`` or
        ``'variable_density'``, see `CartesianMask`. With
        ``'poisson_disc'``, single samples are chosen instead of lines, see
        `PoissonDiscMask`, as in a slice across the readout of a 3D scan.
    axis : int, optional
        Axis of phase encoding. All samples with the same index along this
        axis form a line.
    sigma : float, optional
        Standard deviation of the noise, in the real and in the imaginary
        part of each sample. The transform is unitary, so the image of fully
        sampled k-space has noise of the same standard deviation.
    coil_maps : array-like, optional
        Sensitivities of the receive coils, real or complex, of shape
        ``(n_coils, *shape)``. Default: one coil of uniform sensitivity, or
        ``n_coils`` coils.
    side : float, optional
        Length of the image's longer side, in metres.
    dtype : {'float32', 'float64'}, optional
        Precision of the real and imaginary parts.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.
    mask : array-like or CartesianMask, optional
        Samples to measure, see `SubsampledFourierTransform`. Default: a
        mask drawn from ``seed``.
    random_masks : bool, optional
        Whether `pair` draws a mask for each image.
    seed : int, optional
        Seed of the mask of ``operator``.
    n_coils : int, optional
        Number of coils if each image has coil maps of its own, like those of
        a patient. `pair` draws them, see `simulated_coil_maps`, and
        `from_kspace` takes the measured ones. The maps of ``operator`` are
        all constant; `forward_operator` is told the maps of an image.
    partial_fourier : float, optional
        Fraction of the lines that may be measured, see `CartesianMask`.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Complex space of the images, centred at the origin, in metres.
    operator : odl.Operator
        `SubsampledFourierTransform` of ``space``. With coil maps, the
        `SensitivityEncoding`, followed by the `SubsampledFourierTransform`
        of the images of all coils.
    mask : numpy.ndarray
        Booleans, true where ``operator`` samples, with length 1 along each
        axis on which the mask does not depend. The zero frequency is at
        index ``n // 2``.

    Raises
    ------
    ValueError
        If a size or a length is not positive, ``sigma`` is negative, a name
        is unknown, the mask or the coil maps do not fit, or both a mask and
        random masks are asked for.
    TypeError
        If a number is expected and something else is given, or an array does
        not contain numbers.

    Notes
    -----
    With the mask :math:`m`, the unitary Fourier transform :math:`F` and the
    sensitivities :math:`c_j`, the data are

    .. math::
        y_j = m\, (F (c_j u) + \varepsilon_j), \qquad
        \mathrm{Re}\,\varepsilon_j, \mathrm{Im}\,\varepsilon_j
        \sim \mathcal{N}(0, \sigma^2),

    see Pruessmann et al., *SENSE: sensitivity encoding for fast MRI*,
    Magnetic Resonance in Medicine 42 (1999), 952-962. The defaults for the
    coil, the noise and the size are the settings of Celledoni et al.,
    *Equivariant neural networks for inverse problems*, Inverse Problems 37
    (2021), 085006.

    Examples
    --------
    >>> from odl_equivariant.data import CartesianMRI, mr_phantom
    >>> acquisition = CartesianMRI((32, 48), acceleration=4)
    >>> acquisition.mask.shape, int(acquisition.mask.sum())
    ((1, 48), 12)
    >>> data = acquisition.simulate(mr_phantom((32, 48), rng=0), rng=0)
    >>> data in acquisition.operator.range
    True
    >>> acquisition.zero_filled(data) in acquisition.space
    True
    """

    baseline_name = 'zero-filled'

    def __init__(
        self,
        shape: ImageShape = (320, 320),
        acceleration: int | float = 4,
        center_fraction: float = 0.08,
        pattern: Pattern = 'random',
        axis: int = -1,
        sigma: float = 0.03,
        coil_maps: Samples | None = None,
        side: float = 0.22,
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
        mask: Samples | None = None,
        random_masks: bool = False,
        seed: int = 0,
        n_coils: int | None = None,
        partial_fourier: float = 1.0,
    ) -> None:
        shape = array_shape('shape', shape, 2)
        check_names(dtype, backend)
        random_masks = boolean('random_masks', random_masks)
        if mask is not None and random_masks:
            raise ValueError(
                '`mask` fixes the samples, and `random_masks` draws a mask '
                'for each image: pass one of the two'
            )
        self._dtype = dtype
        self.sigma = real_number('sigma', sigma, least=0)
        self.side = positive_number('side', side)
        self.random_masks = random_masks
        self.acceleration, self.center_fraction = acceleration, center_fraction
        self.pattern, self.axis, self.seed = pattern, axis, seed
        self.partial_fourier = partial_fourier
        #: Whether each image has coil maps of its own.
        self.own_coil_maps = n_coils is not None
        coil_maps = start_of_maps(n_coils, coil_maps, shape)

        self.space = _images(shape, self.side, dtype, backend)
        self._scale_check = ScaleCheck()
        self._coils = Coils(self.space, coil_maps)
        # Drawn even if a mask is given, as this checks the settings.
        self._sampling = Sampling(
            shape,
            acceleration,
            center_fraction,
            pattern,
            axis,
            partial_fourier,
        )
        drawn = self._sampling(seed)
        self._mask_is_given = mask is not None
        sampled = self._coils.sampled(mask if self._mask_is_given else drawn)
        self.mask = short_mask(sampled.mask)
        self.mask.flags.writeable = False
        self.operator = self._coils.encoded(sampled)

    @property
    def coil_maps(self) -> np.ndarray | None:
        """Complex array ``(n_coils, *shape)``, or ``None`` for one coil."""
        return self._coils.maps

    def draw_mask(
        self, rng: Random = None, measured: tuple[int, int] | None = None
    ) -> CartesianMask | PoissonDiscMask:
        """Draw a mask with the settings of the acquisition.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness.
        measured : tuple of 2 ints, optional
            First line that may be sampled, and the one after the last, see
            `CartesianMask`. Default: all lines.

        Returns
        -------
        mask : CartesianMask or PoissonDiscMask
            Mask of the shape of k-space.
        """
        seed = int(np.random.default_rng(rng).integers(2**31))
        return self._sampling(seed, measured)

    def forward_operator(
        self,
        mask: Samples | None = None,
        coil_maps: Samples | None = None,
    ) -> Operator:
        """Return the forward operator with a given mask and given coil maps.

        Parameters
        ----------
        mask : array-like or CartesianMask, optional
            Booleans, or zeros and ones, of the shape of k-space or of length
            1 along some axes. Default: the mask of the acquisition.
        coil_maps : array-like, optional
            Sensitivities of the coils, of the same number as the coils of
            the acquisition. Default: the maps of the acquisition.

        Returns
        -------
        operator : odl.Operator
            Linear operator from ``space`` to ``operator.range``.

        Raises
        ------
        ValueError
            If the mask or the maps do not fit.

        Examples
        --------
        >>> acquisition = CartesianMRI((8, 8), n_coils=2)
        >>> operator = acquisition.forward_operator(
        ...     coil_maps=simulated_coil_maps((8, 8), 2, rng=0)
        ... )
        >>> operator.range == acquisition.operator.range
        True
        """
        if mask is None and coil_maps is None:
            return self.operator
        coils = self._coils
        if coil_maps is not None:
            coils = coils.with_maps(coil_maps)
        return coils.encoded(
            coils.sampled(self.mask if mask is None else mask)
        )

    def _coils_of(self, coil_maps):
        """Return the coils of an image, which must have maps of its own."""
        if coil_maps is not None:
            return self._coils.with_maps(coil_maps)
        if self.own_coil_maps:
            raise ValueError(
                'each image of this acquisition has coil maps of its own: '
                'pass `coil_maps`'
            )
        return self._coils

    def simulate(
        self,
        image: Image,
        rng: Random = None,
        mask: Samples | None = None,
        coil_maps: Samples | None = None,
    ) -> Element:
        """Return noisy samples of an image.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Real or complex image of the shape of ``space``. The imaginary
            part of a real image is 0. The image is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like or CartesianMask, optional
            Samples to measure. Default: the mask of the acquisition.
        coil_maps : array-like, optional
            Sensitivities, see `forward_operator`. They are needed if each
            image has its own.

        Returns
        -------
        data : element of ``operator.range``
            k-space, with zeros where it is not sampled.

        Raises
        ------
        ValueError
            If the image has another shape or extent, or values that are
            infinite or not a number, or if the mask does not fit. Also if
            ``sigma`` is more than 100 times the largest magnitude of the
            image: the message says how to scale images. The last error is
            not raised for images of a data set.

        Warns
        -----
        UserWarning
            Once, if ``sigma`` is above the largest magnitude of the image.
            Also once, if the largest magnitude is above 10, and ``sigma`` is
            below a thousandth of it.
        """
        coils = self._coils_of(coil_maps)
        return self._simulated(self.ground_truth(image), rng, mask, coils)

    def _simulated(self, image, rng, mask, coils):
        """Return noisy samples of an element of ``space``."""
        check_noise(self._scale_check, as_array(image), self.sigma)
        sampled = coils.sampled(self.mask if mask is None else mask)
        array = samples(coils.encoded(sampled)(image))
        return self._noisy(array, rng, sampled, coils)

    def _noisy(self, array, rng, sampled, coils):
        """Return an array of k-space with noise where it is sampled."""
        if self.sigma:
            rng = np.random.default_rng(rng)
            noise = rng.standard_normal((2, *array.shape))
            noise = self.sigma * (noise[0] + 1j * noise[1])
            array = array + sampled.mask * noise
        return coils.data(array)

    def add_noise(
        self,
        data: ElementLike,
        rng: Random = None,
        mask: Samples | None = None,
    ) -> Element:
        """Return k-space with noise where it is sampled.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space without noise, with zeros where it is not sampled.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like or CartesianMask, optional
            Samples that were measured. Default: the mask of the acquisition.

        Returns
        -------
        data : element of ``operator.range``
            Noisy data.

        Raises
        ------
        ValueError
            If the data do not fit, or are not zero outside of the mask.
        """
        coils = self._coils
        array = samples(coils.checked_data(data))
        sampled = coils.sampled(self.mask if mask is None else mask)
        if (array * ~np.asarray(sampled.mask, bool)).any():
            raise ValueError(
                '`data` has samples that the mask leaves out; pass the '
                '`mask` with which they were measured'
            )
        return self._noisy(array, rng, sampled, coils)

    def ground_truth(self, image: Image) -> Element:
        """Return an image as an element of ``space``.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.

        Returns
        -------
        image : element of ``space``
            Image with which reconstructions are compared.
        """
        array = image_on(self.space, image, type(self).__name__)
        return element_from_array(array, self.space)

    def data_fit(
        self,
        data: ElementLike,
        weighted: bool = False,
        mask: Samples | None = None,
        coil_maps: Samples | None = None,
        **options: Any,
    ) -> LeastSquares:
        r"""Return the least-squares fit to the samples.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space. What is not sampled does not count, and may have any
            finite value.
        weighted : bool, optional
            Without effect: the noise is the same in all samples.
        mask : array-like or CartesianMask, optional
            Where data are sampled. Default: the mask of the acquisition.
        coil_maps : array-like, optional
            Sensitivities, see `simulate`.
        **options
            ``tol``, ``maxiter`` and ``warm_start`` of `LeastSquares`.

        Returns
        -------
        fit : LeastSquares
            :math:`\tfrac12 \|A u - m y\|^2`. Divided by the variance
            ``sigma**2`` and by the weight of the space, it is the negative
            logarithm of the likelihood.
        """
        boolean('weighted', weighted)
        coils = self._coils_of(coil_maps)
        sampled = coils.sampled(self.mask if mask is None else mask)
        array = sampled.mask * samples(coils.checked_data(data))
        operator = self.operator
        if mask is not None or coils is not self._coils:
            operator = coils.encoded(sampled)
        return LeastSquares(operator, coils.data(array), **options)

    def zero_filled(
        self, data: ElementLike, coil_maps: Samples | None = None
    ) -> Element:
        r"""Return the image of k-space with zeros for the missing samples.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space, sampled with any mask, with zeros where it is not
            sampled.
        coil_maps : array-like, optional
            Sensitivities, see `simulate`.

        Returns
        -------
        image : element of ``space``
            :math:`F^* y`, which is :math:`A^* y`. For several coils it is
            the least-squares combination
            :math:`\sum_j \overline{c_j} F^* y_j / \sum_j |c_j|^2`, and zero
            where all sensitivities are zero.

        Raises
        ------
        ValueError
            If the data have another shape, or values that are infinite or
            not a number.
        """
        coils = self._coils_of(coil_maps)
        return coils.combined(coils.checked_data(data))

    def baseline(
        self, data: ElementLike, coil_maps: Samples | None = None
    ) -> Element:
        """Return the zero-filled image, see `zero_filled`."""
        return self.zero_filled(data, coil_maps)

    def pair(
        self, image: Image, rng: Random = None
    ) -> dict[str, torch.Tensor]:
        """Return the data and ground truth of an image, and a random mask.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise and of the mask, if masks are random.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`. It contains ``'mask'`` if masks are
            random, and ``'coil_maps'`` if each image has its own.

        Examples
        --------
        >>> acquisition = CartesianMRI((32, 48), random_masks=True)
        >>> pair = acquisition.pair(np.ones((32, 48)), rng=0)
        >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
        {'data': (2, 32, 48), 'truth': (2, 32, 48), 'mask': (1, 48)}
        """
        rng = np.random.default_rng(rng)
        mask = self.draw_mask(rng) if self.random_masks else None
        truth = self.ground_truth(image)
        maps = None
        if self.own_coil_maps:
            n_coils, *shape = self._coils.maps.shape
            maps = simulated_coil_maps(shape, n_coils, rng)
        if has_own_simulation(self, CartesianMRI):
            own = {} if maps is None else {'coil_maps': maps}
            data = self.simulate(image, rng, mask, **own)
        else:
            data = self._simulated(truth, rng, mask, self._coils_of(maps))
        return self._pair(data, truth, mask, maps)

    def _pair(self, data, truth, mask, maps):
        """Return a pair with the maps of the image, if it has its own."""
        pair = as_pair(data, truth, mask)
        if self.own_coil_maps:
            maps = Coils(self.space, maps).maps
            pair['coil_maps'] = torch.tensor(maps)
        return pair

    def from_kspace(
        self,
        kspace: ArrayLike | torch.Tensor,
        coil_maps: ArrayLike | torch.Tensor | None = None,
        image: Image | None = None,
        rng: Random = None,
        measured: ArrayLike | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return a pair, like `pair`, from measured data.

        Parameters
        ----------
        kspace : array-like
            Fully sampled k-space with the zero frequency at index ``n // 2``,
            complex, of shape ``(n_coils, *shape)``, or ``shape`` for one
            coil. Scale it so that the largest magnitude of the image is
            about 1. No noise is added to it.
        coil_maps : array-like, optional
            Sensitivities of the coils of ``kspace``. If the acquisition has
            one coil, the coils are combined to one image, and the data are
            the k-space of this image. If the acquisition has coil maps that
            are the same for all images, these may be left out.
        image : array-like or element of a DiscretizedSpace, optional
            Ground truth. Default: the image of all samples, which is the
            least-squares combination of the coils.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the mask, if masks are random.
        measured : array-like, optional
            Booleans, of the shape of the image or of length 1 along some
            axes, false where ``kspace`` was not measured and contains zeros.
            These samples are not taken. A mask that is drawn refers to the
            lines from the first to the last measured one: acceleration and
            centre fraction are relative to their number. A given mask loses
            the samples that were not measured.

        Returns
        -------
        pair : dict of torch.Tensor
            Data and ground truth, and the mask if masks are random or
            ``measured`` is given, and the coil maps if each image has its
            own.

        Raises
        ------
        ValueError
            If shapes or coil maps do not fit, or values are infinite or not
            a number.

        Examples
        --------
        >>> acquisition = CartesianMRI((16, 16), random_masks=True)
        >>> image = np.eye(16) * (1 + 1j)
        >>> kspace = np.fft.fftshift(
        ...     np.fft.fft2(np.fft.ifftshift(image), norm='ortho')
        ... )
        >>> pair = acquisition.from_kspace(kspace, rng=0)
        >>> bool(np.allclose(pair['truth'][0], np.eye(16), atol=1e-6))
        True
        """
        coils = self._coils
        if self.own_coil_maps:
            coils = self._coils_of(coil_maps)
        full = coils.measured(kspace, coil_maps)
        if image is None:
            truth = coils.combined(coils.data(full))
        else:
            truth = self.ground_truth(image)
        if measured is not None:
            mask = self._measured_mask(np.asarray(measured), rng)
            pair = self._pair(coils.data(mask * full), truth, None, coil_maps)
            return {**pair, 'mask': torch.from_numpy(mask)}
        mask = self.draw_mask(rng) if self.random_masks else None
        sampled = self.mask if mask is None else np.asarray(mask)
        return self._pair(coils.data(sampled * full), truth, mask, coil_maps)

    def _measured_mask(self, measured, rng):
        """Return a mask that samples only what was measured."""

        def draw(ends):
            if self.random_masks:
                return self.draw_mask(rng, ends)
            return self._sampling(self.seed, ends)

        given = self.mask if self._mask_is_given else None
        return measured_mask(measured, self._sampling, draw, given)

    def _settings(self):
        added = {}
        # earlier acquisitions keep their fingerprint
        if self.own_coil_maps or self.partial_fourier != 1:
            n_coils = len(self.coil_maps) if self.own_coil_maps else None
            added = {
                'n_coils': n_coils,
                'partial_fourier': self.partial_fourier,
            }
        return {
            'shape': self.shape,
            'acceleration': self.acceleration,
            'center_fraction': self.center_fraction,
            'pattern': self.pattern,
            'axis': self.axis,
            'sigma': self.sigma,
            'coil_maps': None if self.own_coil_maps else self.coil_maps,
            'side': self.side,
            'dtype': self._dtype,
            'backend': self.space.impl,
            'mask': self.mask if self._mask_is_given else None,
            'random_masks': self.random_masks,
            'seed': self.seed,
            **added,
        }


def _images(shape, side, dtype, backend):
    """Return a space of complex images, whose longer side has this length."""
    half = [side / max(shape) * n / 2 for n in shape]
    return odl.uniform_discr(
        [-h for h in half],
        half,
        shape,
        dtype='complex64' if dtype == 'float32' else 'complex128',
        impl=backend,
    )
