# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Simulated acquisitions: magnetic resonance imaging from few lines."""

import numbers

import numpy as np
import odl
import torch

from odl_equivariant.data._acquisition import (
    Acquisition,
    check_names,
    checked_shape,
    element_from_array,
)
from odl_equivariant.data._checks import as_array, check_extent, positive
from odl_equivariant.elements import as_tensor, merge_complex
from odl_equivariant.operators.coils import SensitivityEncoding
from odl_equivariant.operators.fourier import UnitaryFourierTransform
from odl_equivariant.operators.masks import CartesianMask
from odl_equivariant.operators.subsampled_fourier import (
    SubsampledFourierTransform,
)

__all__ = ('CartesianMRI',)


class CartesianMRI(Acquisition):
    r"""Magnetic resonance imaging from some lines of k-space.

    Images are complex. Their values have no unit; with the default noise,
    the largest magnitude is meant to be about 1.

    Parameters
    ----------
    shape : tuple of 2 ints, optional
        Shape of the images and of k-space.
    acceleration : float, optional
        How many times fewer lines than all are measured.
    center_fraction : float, optional
        Fraction of all lines that is fully sampled around the zero
        frequency.
    pattern : {'random', 'equispaced'}, optional
        How the other lines are chosen, see `CartesianMask`.
    axis : int, optional
        Axis of phase encoding: a line is what has one index along it.
    sigma : float, optional
        Standard deviation of the noise, in the real and in the imaginary
        part of each sample. As the transform is unitary, that of a fully
        sampled image is the same.
    coil_maps : array-like, optional
        Sensitivities of the receive coils, real or complex, of shape
        ``(n_coils, *shape)``. Default: one coil that sees all alike.
    side : float, optional
        Length of the image's longer side, in metres.
    dtype : {'float32', 'float64'}, optional
        Precision of the real and imaginary parts.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.
    mask : array-like or CartesianMask, optional
        The samples to take, see `SubsampledFourierTransform`, in place of
        what is drawn from ``seed``.
    random_masks : bool, optional
        Whether `pair` draws a mask for each image.
    seed : int, optional
        Seed of the mask of ``operator``.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Complex space of the images, centred at the origin, in metres.
    operator : odl.Operator
        `SubsampledFourierTransform` of ``space``; with coil maps, that of
        the images of all coils times the `SensitivityEncoding`.
    mask : numpy.ndarray
        Booleans, true where ``operator`` samples, of length 1 along the
        axes on which they do not depend. The zero frequency is at index
        ``n // 2``.

    Raises
    ------
    ValueError
        If a size or a length is not positive, the noise negative, a name
        unknown, the mask or the coil maps do not fit, or a mask is given
        where random ones are asked for.
    TypeError
        If a number is none, or an array has no numbers.

    Notes
    -----
    With the mask :math:`m`, the unitary Fourier transform :math:`F` and the
    sensitivities :math:`c_j`, the data are

    .. math::
        y_j = m\, (F (c_j u) + \varepsilon_j), \qquad
        \mathrm{Re}\,\varepsilon_j, \mathrm{Im}\,\varepsilon_j
        \sim \mathcal{N}(0, \sigma^2),

    which is Pruessmann et al., *SENSE: sensitivity encoding for fast MRI*,
    Magnetic Resonance in Medicine 42 (1999), 952-962. One coil, the noise
    and the size are the settings of Celledoni et al., *Equivariant neural
    networks for inverse problems*, Inverse Problems 37 (2021), 085006.

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
        shape=(320, 320),
        acceleration=4,
        center_fraction=0.08,
        pattern='random',
        axis=-1,
        sigma=0.03,
        coil_maps=None,
        side=0.22,
        dtype='float32',
        backend='numpy',
        mask=None,
        random_masks=False,
        seed=0,
    ):
        shape = checked_shape(shape)
        check_names(dtype, backend)
        if not isinstance(sigma, numbers.Real) or isinstance(sigma, bool):
            raise TypeError(f'`sigma` must be a number, got {sigma!r}')
        if not 0 <= sigma < float('inf'):
            raise ValueError(
                f'`sigma` must be finite and not negative, got {sigma}'
            )
        if not isinstance(random_masks, bool | np.bool_):
            raise TypeError(
                f'`random_masks` must be a bool, got {random_masks!r}'
            )
        if mask is not None and random_masks:
            raise ValueError(
                '`mask` fixes the samples, and `random_masks` draws them for '
                'each image: pass one of the two'
            )
        self.sigma = float(sigma)
        self.side = positive(side, 'side')
        self.random_masks = bool(random_masks)
        self._mask_settings = {
            'acceleration': acceleration,
            'center_fraction': center_fraction,
            'pattern': pattern,
            'axis': axis,
        }
        self._seed = seed

        half = [self.side / max(shape) * n / 2 for n in shape]
        self.space = odl.uniform_discr(
            [-h for h in half],
            half,
            shape,
            dtype='complex64' if dtype == 'float32' else 'complex128',
            impl=backend,
        )
        self._encoding, self._combination = None, None
        if coil_maps is not None:
            self._encoding = SensitivityEncoding(self.space, coil_maps)
            self._combination = _combination(self._encoding)
        # Checks the settings too where a mask is given.
        drawn = CartesianMask(shape, **self._mask_settings, seed=seed)
        self._mask_is_given = mask is not None
        sampled = self._sampled(mask if self._mask_is_given else drawn)
        self.mask = _short_mask(sampled.mask)
        self.operator = self._encoded(sampled)

    @property
    def coil_maps(self):
        """Complex array ``(n_coils, *shape)``, or ``None`` for one coil."""
        return None if self._encoding is None else self._encoding.coil_maps

    def draw_mask(self, rng=None):
        """Draw the samples to take, with the settings of the acquisition.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness.

        Returns
        -------
        mask : CartesianMask
            Mask of the shape of k-space.
        """
        seed = int(np.random.default_rng(rng).integers(2**31))
        return CartesianMask(self.shape, **self._mask_settings, seed=seed)

    def forward_operator(self, mask=None):
        """Return the forward operator of a mask.

        Parameters
        ----------
        mask : array-like or CartesianMask, optional
            Booleans, or zeros and ones, of the shape of k-space or of length
            1 along some axes. Default: that of the acquisition.

        Returns
        -------
        operator : odl.Operator
            Linear operator from ``space`` to ``operator.range``.
        """
        if mask is None:
            return self.operator
        return self._encoded(self._sampled(mask))

    def simulate(self, image, rng=None, mask=None):
        """Return noisy samples of an image.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Real or complex image of the shape of ``space``; a real one has
            the imaginary part 0. It is not changed.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the noise.
        mask : array-like or CartesianMask, optional
            Samples to take. Default: those of the acquisition.

        Returns
        -------
        data : element of ``operator.range``
            k-space, with zeros where it is not sampled.

        Raises
        ------
        ValueError
            If the image has another shape or extent, or values that are
            infinite or not a number, or the mask does not fit.
        """
        image = element_from_array(self._image(image), self.space)
        operator = self.forward_operator(mask)
        samples = self._samples(operator(image))
        if self.sigma:
            rng = np.random.default_rng(rng)
            noise = rng.standard_normal((2, *samples.shape))
            sampled = self.mask if mask is None else np.asarray(mask)
            noise = self.sigma * (noise[0] + 1j * noise[1])
            samples = samples + sampled.astype(bool) * noise
        return self._data(samples)

    def ground_truth(self, image):
        """Return an image as an element of ``space``.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.

        Returns
        -------
        image : element of ``space``
            What a reconstruction is compared with.
        """
        return element_from_array(self._image(image), self.space)

    def zero_filled(self, data):
        r"""Return the image whose other samples are zero.

        Parameters
        ----------
        data : element of ``operator.range`` or array-like
            k-space, with zeros where it is not sampled, by whichever mask.

        Returns
        -------
        image : element of ``space``
            :math:`F^* y`, which is :math:`A^* y`. For several coils it is
            the least-squares combination
            :math:`\sum_j \overline{c_j} F^* y_j / \sum_j |c_j|^2`, and zero
            where no coil sees anything.

        Raises
        ------
        ValueError
            If the data have another shape, or values that are infinite or
            not a number.
        """
        data = self._checked_data(data)
        images = UnitaryFourierTransform(
            self.space if self._encoding is None else self._encoding.range
        ).inverse(data)
        if self._combination is None:
            return images
        return self._combination(images)

    def baseline(self, data):
        """Return the zero-filled image, see `zero_filled`."""
        return self.zero_filled(data)

    def pair(self, image, rng=None):
        """Return data and ground truth of an image, and maybe its mask.

        Parameters
        ----------
        image : array-like or element of a DiscretizedSpace
            Image as in `simulate`.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the mask, if it is random, and the noise.

        Returns
        -------
        pair : dict of torch.Tensor
            See `Acquisition.pair`; with ``'mask'`` if masks are random.

        Examples
        --------
        >>> acquisition = CartesianMRI((32, 48), random_masks=True)
        >>> pair = acquisition.pair(np.ones((32, 48)), rng=0)
        >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
        {'data': (2, 32, 48), 'truth': (2, 32, 48), 'mask': (1, 48)}
        """
        rng = np.random.default_rng(rng)
        mask = self.draw_mask(rng) if self.random_masks else None
        data = self.simulate(image, rng, mask)
        return self._pair(data, self.ground_truth(image), mask)

    def from_kspace(self, kspace, coil_maps=None, image=None, rng=None):
        """Return a pair as of `pair`, from measured instead of simulated data.

        Parameters
        ----------
        kspace : array-like
            Fully sampled k-space with the zero frequency at index ``n // 2``,
            complex, of shape ``(n_coils, *shape)``, or ``shape`` for one
            coil. Scale it so that the largest magnitude of the image is
            about 1. No noise is added to it.
        coil_maps : array-like, optional
            Sensitivities of the coils of ``kspace``. An acquisition with one
            coil takes what such a coil would have measured of their
            combined image; an acquisition with coil maps has its own, and
            these may be left out.
        image : array-like or element of a DiscretizedSpace, optional
            Ground truth. Default: the zero-filled image of all samples, the
            least-squares combination of the coils.
        rng : int, numpy.random.Generator or None, optional
            Seed or source of the mask, if it is random.

        Returns
        -------
        pair : dict of torch.Tensor
            Data and ground truth, and the mask if masks are random.

        Raises
        ------
        ValueError
            If shapes or coil maps do not fit, or values are infinite or not
            a number.
        """
        full = self._full_samples(kspace, coil_maps)
        if image is None:
            truth = self.zero_filled(self._data(full))
        else:
            truth = self.ground_truth(image)
        mask = self.draw_mask(rng) if self.random_masks else None
        sampled = self.mask if mask is None else mask.array
        return self._pair(self._data(sampled * full), truth, mask)

    def _full_samples(self, kspace, coil_maps):
        """Return measured k-space as an array of the acquisition's coils."""
        kspace = as_array(kspace)
        kspace = kspace[None] if kspace.ndim == 2 else kspace
        if kspace.ndim != 3 or kspace.shape[1:] != self.shape:
            raise ValueError(
                f'`kspace` must have the shape {self.shape}, or one axis of '
                f'coils before it, got {kspace.shape}; crop the image, not '
                'k-space, to another field of view'
            )
        if not np.isfinite(kspace).all():
            raise ValueError(
                '`kspace` has values that are infinite or not a number'
            )
        if self._encoding is not None:
            own = self.coil_maps
            if len(kspace) != len(own):
                raise ValueError(
                    f'`kspace` is of {len(kspace)} coils, and the '
                    f'acquisition has {len(own)}'
                )
            if coil_maps is not None:
                maps = as_array(coil_maps)
                if maps.shape != own.shape or not np.allclose(
                    maps, own, rtol=1e-4, atol=1e-6
                ):
                    raise ValueError(
                        '`coil_maps` are not those of the acquisition; make '
                        f'a {type(self).__name__} with these maps, or leave '
                        'them out'
                    )
            return kspace
        if coil_maps is None:
            if len(kspace) > 1:
                raise ValueError(
                    f'`kspace` is of {len(kspace)} coils, and the acquisition '
                    'of one: pass the `coil_maps` to combine them'
                )
            return kspace
        encoding = SensitivityEncoding(self.space, coil_maps)
        if encoding.n_coils != len(kspace):
            raise ValueError(
                f'`kspace` is of {len(kspace)} coils, and `coil_maps` of '
                f'{encoding.n_coils}'
            )
        images = UnitaryFourierTransform(encoding.range).inverse(
            element_from_array(kspace, encoding.range)
        )
        one = UnitaryFourierTransform(self.space)(
            _combination(encoding)(images)
        )
        return self._samples(one)

    def _sampled(self, mask):
        """Return the Fourier transform at the samples of a mask."""
        space = self.space
        if self._encoding is not None:
            space = self._encoding.range
        return SubsampledFourierTransform(space, mask)

    def _encoded(self, sampled):
        if self._encoding is None:
            return sampled
        return sampled * self._encoding

    def _image(self, image):
        """Return an image as an array of the shape of the space, checked."""
        if getattr(image, 'space', None) is not None:
            check_extent(image.space, self.space, type(self).__name__)
        array = as_array(image)
        if array.shape != self.shape:
            raise ValueError(
                f'`image` must have shape {self.shape}, got {array.shape}'
            )
        if not np.isfinite(array).all():
            raise ValueError(
                '`image` has values that are infinite or not a number'
            )
        return array

    def _checked_data(self, data):
        if data not in self.operator.range:
            array = as_array(data)
            maps = self.coil_maps
            expected = self.shape if maps is None else maps.shape
            if array.shape != expected:
                raise ValueError(
                    f'`data` must have shape {expected}, got {array.shape}'
                )
            data = element_from_array(array, self.operator.range)
        if not bool(torch.isfinite(as_tensor(data)).all()):
            raise ValueError(
                '`data` has values that are infinite or not a number'
            )
        return data

    @staticmethod
    def _samples(data):
        """Return data as a complex array, with an axis of coils."""
        return merge_complex(as_tensor(data))[0].cpu().numpy()

    def _data(self, samples):
        if self._encoding is None:
            samples = samples[0]
        return element_from_array(samples, self.operator.range)

    @staticmethod
    def _pair(data, truth, mask):
        pair = {
            'data': as_tensor(data, copy=True)[0],
            'truth': as_tensor(truth, copy=True)[0],
        }
        if mask is not None:
            pair['mask'] = torch.from_numpy(_short_mask(mask.array).copy())
        return pair

    def _settings(self):
        single = str(self.space.dtype_identifier) == 'complex64'
        return {
            'shape': self.shape,
            **self._mask_settings,
            'sigma': self.sigma,
            'coil_maps': self.coil_maps,
            'side': self.side,
            'dtype': 'float32' if single else 'float64',
            'backend': self.space.impl,
            'mask': self.mask if self._mask_is_given else None,
            'random_masks': self.random_masks,
            'seed': self._seed,
        }


def _combination(encoding):
    """Return the least-squares combination of the images of the coils."""
    maps = encoding.coil_maps.astype('complex128')
    squares = (np.abs(maps) ** 2).sum(0)
    maps = np.divide(maps, squares, out=np.zeros_like(maps), where=squares > 0)
    return SensitivityEncoding(encoding.domain, maps).adjoint


def _short_mask(mask):
    """Return a mask with length 1 along the axes it does not depend on."""
    for axis in range(mask.ndim):
        first = mask.take([0], axis)
        if (mask == first).all():
            mask = first
    mask = mask.copy()
    mask.flags.writeable = False
    return mask
