# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""A scan by magnetic resonance, from k-space to data of an acquisition."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odl_equivariant._types import Element
from odl_equivariant._warnings import warn_user
from odl_equivariant.data.acquisitions.base import short_mask
from odl_equivariant.data.acquisitions.magnetic_resonance.cartesian import (
    CartesianMRI,
)
from odl_equivariant.data.kspace.calibration import estimate_coil_maps
from odl_equivariant.data.kspace.channels import (
    coil_compression_matrix,
    mixed,
    prewhitening_matrix,
)
from odl_equivariant.data.kspace.checks import (
    check_center,
    checked_kspace,
    checked_sampling,
    energy,
    split_axes,
)
from odl_equivariant.data.kspace.coil_check import doubt_of_coil_maps
from odl_equivariant.data.slices.grids import crop_center
from odl_equivariant.data.slices.kspace import to_image
from odl_equivariant.elements import element_from_array
from odl_equivariant.operators.fourier.coils import checked_coil_maps

__all__ = ('KspaceScan',)

# Shares of the energy of the coils' images, where coil maps are zero.
_MUCH_UNSEEN = 0.5
_ALL_UNSEEN = 0.99
# Sides of pixels that differ by more are said not to be square.
_NOT_SQUARE = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class KspaceScan:
    r"""Measured k-space of one slice, with what is known of its coils.

    A scan is not changed: its methods return another one.

    Parameters
    ----------
    kspace : array-like
        Complex, of shape ``(n_coils, nx, ny)``, or ``(nx, ny)`` for one
        coil, with the zero frequency at index ``n // 2`` and zeros where it
        was not measured.
    mask : array-like, optional
        Booleans, true where k-space was measured, of shape ``(nx, ny)`` or
        of length 1 along some axes. Default: where a coil is not zero.
    noise : array-like, optional
        Complex samples of the coils without an object, of shape ``(n_coils,
        n_samples)``, with the noise level of ``kspace``.
    coil_maps : array-like, optional
        Sensitivities of the coils, of the shape of ``kspace``. One coil needs
        none.
    scale : float, optional
        What the measured numbers were divided by. Images times ``scale`` are
        in the unit of the scanner.
    sigma : float, optional
        Standard deviation of the noise in the real and in the imaginary part
        of each sample of ``kspace``, if it is known.
    field_of_view : tuple of 2 floats, optional
        Lengths of both sides of the image, in metres.
    image_shape : tuple of 2 ints, optional
        Shape of the middle of the image that shows the object, if the
        scanner measured a larger field of view than it was asked for.
    source : str, optional
        File of the scan. Messages name it.
    attributes : dict, optional
        What else the file says.

    Raises
    ------
    ValueError
        If shapes do not fit, k-space is zero or not finite, its zero
        frequency is not in the middle, its last axis seems to count coils,
        the mask samples nothing, or coil maps vanish where the object is.
    TypeError
        If k-space does not contain complex numbers.

    Examples
    --------
    >>> from odl_equivariant.data import mr_phantom, simulated_coil_maps
    >>> images = simulated_coil_maps((48, 48), 4, rng=0) * mr_phantom(
    ...     (48, 48), rng=0
    ... )
    >>> kspace = np.fft.fftshift(
    ...     np.fft.fft2(np.fft.ifftshift(images, (1, 2))), (1, 2)
    ... )
    >>> scan = KspaceScan(1e-4 * kspace).with_coil_maps().normalised()
    >>> acquisition = scan.acquisition()
    >>> image = acquisition.zero_filled(scan.data(acquisition))
    >>> bool(abs(image.asarray()).max().round(3) == 1)
    True
    """

    kspace: np.ndarray
    mask: Any = None
    noise: Any = None
    coil_maps: Any = None
    scale: float = 1.0
    sigma: float | None = None
    field_of_view: tuple[float, float] | None = None
    image_shape: tuple[int, int] | None = None
    source: str = ''
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        kspace = np.asarray(self.kspace)
        kspace = kspace[None] if kspace.ndim == 2 else kspace
        kspace = checked_kspace(kspace, self._name('kspace'))
        check_center(kspace, self._name('kspace'))
        sampled = checked_sampling(kspace, self.mask)
        if (kspace[:, ~sampled] != 0).any():
            raise ValueError(
                f'{self._name("kspace")} has samples where `mask` says that '
                'nothing was measured: the mask belongs to another scan, or '
                'its axes are in another order'
            )
        object.__setattr__(self, 'kspace', kspace)
        object.__setattr__(self, 'mask', short_mask(sampled))
        if self.noise is not None:
            noise = np.asarray(self.noise)
            if noise.ndim < 2 or len(noise) != len(kspace):
                raise ValueError(
                    f'{self._name("noise")} must have the shape (n_coils, '
                    f'n_samples) with {len(kspace)} coils, got {noise.shape}'
                )
        if self.coil_maps is not None:
            maps = checked_coil_maps(
                self.coil_maps, kspace.shape[1:], kspace.dtype.name
            )
            if len(maps) != len(kspace):
                raise ValueError(
                    f'`coil_maps` have {len(maps)} coils, and '
                    f'{self._name("kspace")} has {len(kspace)}'
                )
            object.__setattr__(self, 'coil_maps', maps)
            self._check_seen()

    def _name(self, field):
        return f'`{field}` of {self.source}' if self.source else f'`{field}`'

    def _check_seen(self):
        """Check that coil maps do not vanish where the object is."""
        power = energy(to_image(self.kspace))
        unseen = float(power[~self.coil_maps.any(0)].sum() / power.sum())
        if unseen < _MUCH_UNSEEN:
            return
        message = (
            f'the coil maps are zero where {unseen:.0%} of the energy of '
            f'{self._name("kspace")} comes from: they belong to another '
            'slice, their axes are in another order, or an estimate was cut '
            'off by too large a `crop`'
        )
        if unseen > _ALL_UNSEEN:
            raise ValueError(message)
        warn_user(message, UserWarning)

    @property
    def n_coils(self) -> int:
        """Number of coils."""
        return len(self.kspace)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of k-space, without the coils."""
        _, n, m = self.kspace.shape
        return n, m

    @property
    def pixel(self) -> tuple[float, float] | None:
        """Sides of a pixel in metres, if the field of view is known."""
        if self.field_of_view is None:
            return None
        (a, b), (n, m) = self.field_of_view, self.shape
        return a / n, b / m

    @property
    def acceleration(self) -> float:
        """Number of all samples over the number of measured ones."""
        return 1 / float(np.broadcast_to(self.mask, self.shape).mean())

    def _mixed(self, matrix, **changes):
        mix = {
            name: mixed(matrix, value)
            for name, value in (
                ('kspace', self.kspace),
                ('coil_maps', self.coil_maps),
                ('noise', self.noise),
            )
            if value is not None
        }
        return dataclasses.replace(self, **mix, **changes)

    def prewhitened(self, noise: ArrayLike | None = None) -> KspaceScan:
        r"""Return a scan in which the noise of all coils is alike.

        Parameters
        ----------
        noise : array-like, optional
            Samples without an object, see the class. Default: those of the
            file.

        Returns
        -------
        scan : KspaceScan
            Scan with the covariance 1 of its noise, and ``sigma`` =
            :math:`\sqrt{1/2}`, see `prewhitening_matrix`. Coil maps are
            changed like k-space.

        Raises
        ------
        ValueError
            If there is no noise, or it does not determine a covariance.
        """
        noise = self.noise if noise is None else noise
        if noise is None:
            raise ValueError(
                f'{self.source or "the scan"} has no samples of noise: pass '
                '`noise`, of shape (n_coils, n_samples), or go on without '
                'prewhitening'
            )
        scan = dataclasses.replace(self, noise=noise)
        matrix = prewhitening_matrix(noise)
        return scan._mixed(matrix, sigma=0.5**0.5)

    def compressed(
        self, n_coils: int | None = None, energy: float | None = None
    ) -> KspaceScan:
        """Return a scan with fewer, virtual coils.

        Parameters
        ----------
        n_coils, energy : optional
            Their number, or the fraction of the energy that they keep at
            least, see `coil_compression_matrix`.

        Returns
        -------
        scan : KspaceScan
            Scan with the strongest combinations of the coils. Coil maps are
            changed like k-space.
        """
        matrix = coil_compression_matrix(self.kspace, n_coils, energy)
        return self._mixed(matrix)

    def with_coil_maps(
        self, coil_maps: ArrayLike | None = None, **options: Any
    ) -> KspaceScan:
        """Return a scan with coil maps.

        Parameters
        ----------
        coil_maps : array-like, optional
            Sensitivities of the coils. Default: estimated from the middle of
            k-space, a constant for one coil.
        **options
            ``calibration``, ``kernel``, ``threshold`` and ``crop`` of
            `estimate_coil_maps`.

        Returns
        -------
        scan : KspaceScan
            Scan with these maps.
        """
        if coil_maps is None and self.n_coils == 1:
            coil_maps = np.ones_like(self.kspace)
        elif coil_maps is None:
            try:
                coil_maps = estimate_coil_maps(
                    self.kspace, self.mask, **options
                )
            except ValueError as error:
                if self.source:
                    error.add_note(f'(file {self.source})')
                raise
        return dataclasses.replace(self, coil_maps=coil_maps)

    def normalised(self) -> KspaceScan:
        """Return a scan whose zero-filled image has the largest magnitude 1.

        Returns
        -------
        scan : KspaceScan
            Scan with k-space divided by the largest magnitude of the
            zero-filled image, as `MeasuredPairs` divides data for training.
            Its ``scale`` is the product of all such divisors, and undoes
            them: ``scan.scale * image`` is in the unit of the scanner.
        """
        image = self.zero_filled()
        largest = float(np.abs(image).max())
        noise, sigma = self.noise, self.sigma
        return dataclasses.replace(
            self,
            kspace=self.kspace / largest,
            noise=None if noise is None else noise / largest,
            sigma=None if sigma is None else sigma / largest,
            scale=self.scale * largest,
        )

    def zero_filled(self) -> np.ndarray:
        """Return the image of k-space with zeros for missing samples.

        Returns
        -------
        image : numpy.ndarray
            With coil maps, or for one coil, their complex least-squares
            combination, else the root of the sum of the coils' squares.
        """
        if self.coil_maps is None and self.n_coils > 1:
            image = np.sqrt(energy(to_image(self.kspace)))
            return image.astype(self.kspace.real.dtype)
        acquisition = self._acquisition()
        return acquisition.zero_filled(self.data(acquisition)).asarray()

    def acquisition(self, **settings: Any) -> CartesianMRI:
        """Return the acquisition that measures like this scan.

        Parameters
        ----------
        **settings
            Other settings of `CartesianMRI`, such as ``backend``.

        Returns
        -------
        acquisition : CartesianMRI
            Acquisition with the mask, the coil maps, the field of view and,
            if it is known, the noise of the scan.

        Raises
        ------
        ValueError
            If there are several coils, and no coil maps.

        Warns
        -----
        UserWarning
            If the pixels of the scan are not square: those of the
            acquisition are, and networks and total variation take them so.
            If the image is split at its edges: it was transformed without
            `numpy.fft.ifftshift`. If the coil maps do not explain the middle
            of k-space, or explain more of it conjugated, shifted, reversed
            or in another order.
        """
        split = split_axes(self.kspace)
        if split:
            warn_user(
                f'the image of {self.source or "the scan"} is split at its '
                f'edges along {" and ".join(f"axis {a}" for a in split)}, as '
                'if its middle had been at index 0 when it was transformed: '
                'if so, multiply k-space by (-1)**index along these axes, and '
                'along the other one if the image is split there too',
                UserWarning,
            )
        if self.coil_maps is not None:
            sampled = np.broadcast_to(self.mask, self.shape)
            doubt = doubt_of_coil_maps(self.kspace, sampled, self.coil_maps)
            if doubt:
                warn_user(
                    'the coil maps do not fit '
                    f'{self.source or "the scan"}: {doubt}',
                    UserWarning,
                )
        if self.pixel is not None:
            a, b = self.pixel
            if max(a, b) > (1 + _NOT_SQUARE) * min(a, b):
                warn_user(
                    f'the pixels of {self.source or "the scan"} are '
                    f'{1000 * a:.4g} x {1000 * b:.4g} mm, and those of '
                    '`CartesianMRI` are square: networks and total variation '
                    'see the object distorted. Zeros around k-space make the '
                    'longer side of a pixel shorter',
                    UserWarning,
                )
        return self._acquisition(**settings)

    def _acquisition(self, **settings):
        """Return the acquisition, whatever the pixels."""
        if self.coil_maps is None and self.n_coils > 1:
            raise ValueError(
                f'{self._name("kspace")} has {self.n_coils} coils and no coil '
                'maps: estimate them by `scan.with_coil_maps()`, or pass '
                'those of a calibration scan to it'
            )
        own: dict[str, Any] = {
            'mask': self.mask,
            'coil_maps': self.coil_maps,
        }
        if self.sigma is not None:
            own['sigma'] = self.sigma
        if self.field_of_view is not None:
            own['side'] = self.field_of_view[int(np.argmax(self.shape))]
        if self.kspace.dtype == np.complex128:
            own['dtype'] = 'float64'
        # what CartesianMask checks before the mask replaces it
        own |= {'acceleration': 1, 'center_fraction': 0}
        return CartesianMRI(self.shape, **{**own, **settings})

    def data(self, acquisition: CartesianMRI) -> Element:
        """Return k-space as data of an acquisition.

        Parameters
        ----------
        acquisition : CartesianMRI
            Acquisition of this scan, see `acquisition`.

        Returns
        -------
        data : element of ``acquisition.operator.range``
            k-space.

        Raises
        ------
        ValueError
            If the acquisition has another shape or number of coils, or it
            samples where the scan did not.
        """
        if tuple(acquisition.shape) != self.shape:
            raise ValueError(
                f'the images of the acquisition have the shape '
                f'{acquisition.shape}, and {self._name("kspace")} has '
                f'{self.shape} for each coil'
            )
        if (np.asarray(acquisition.mask) & ~self.mask).any():
            raise ValueError(
                'the mask of the acquisition has samples that '
                f'{self._name("kspace")} has not: take `scan.acquisition()`'
            )
        maps, kspace = acquisition.coil_maps, self.kspace
        shape = acquisition.shape if maps is None else maps.shape
        if maps is None and self.n_coils == 1:
            kspace = kspace[0]
        if kspace.shape != shape:
            raise ValueError(
                f'the data of the acquisition have the shape {shape}, and '
                f'{self._name("kspace")} has {kspace.shape}'
            )
        return element_from_array(kspace, acquisition.operator.range)

    def cropped(self, image: ArrayLike) -> np.ndarray:
        """Return the part of an image that shows the object.

        Parameters
        ----------
        image : array-like
            Image of the shape of k-space.

        Returns
        -------
        image : numpy.ndarray
            Its middle, of the shape ``image_shape``, or all of it.
        """
        image = np.asarray(image)
        if self.image_shape is None:
            return image
        return crop_center(image, self.image_shape)
