# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Simulated magnetic resonance imaging of volumes."""

from __future__ import annotations

import numpy as np
import odl

from odl_equivariant._checks import (
    array_shape,
    boolean,
    positive_number,
    real_number,
    whole_number,
)
from odl_equivariant._types import (
    Backend,
    Precision,
    Random,
    Samples,
    VolumeShape,
)
from odl_equivariant.data.acquisitions.base import check_names, short_mask
from odl_equivariant.data.acquisitions.magnetic_resonance.cartesian import (
    CartesianMRI,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.coils import (
    Coils,
    start_of_maps,
)
from odl_equivariant.data.acquisitions.magnetic_resonance.masks import (
    check_measured,
)
from odl_equivariant.data.acquisitions.ranges import ScaleCheck
from odl_equivariant.operators.fourier.poisson_disc import PoissonDiscMask

__all__ = ('VolumeMRI',)


class VolumeMRI(CartesianMRI):
    """Magnetic resonance imaging of volumes, with two axes of phase encoding.

    k-space is read along one axis, and along both others a Poisson-disc mask
    leaves out most lines. In everything else it is `CartesianMRI`, with
    volumes for images.

    Parameters
    ----------
    shape : tuple of 3 ints, optional
        Shape of the volumes and of k-space.
    acceleration : float, optional
        Number of all lines over the number of measured lines.
    center_fraction : float, optional
        Side of the block around the zero frequency that is always measured,
        as a fraction of both axes, see `PoissonDiscMask`.
    axis : int, optional
        Axis of readout. The mask does not depend on it.
    sigma : float, optional
        Standard deviation of the noise, in the real and in the imaginary
        part of each sample.
    coil_maps : array-like, optional
        Sensitivities of the receive coils, real or complex, of shape
        ``(n_coils, *shape)``. Default: one coil of uniform sensitivity.
    side : float, optional
        Length of the longest side of a volume of cubic voxels, in metres.
    voxel : tuple of 3 floats, optional
        Sides of a voxel, in metres, instead of ``side``. Networks for the
        groups of the cube need cubes.
    dtype : {'float32', 'float64'}, optional
        Precision of the real and imaginary parts.
    backend : {'numpy', 'pytorch'}, optional
        Array back-end of the ODL spaces.
    mask : array-like, optional
        Samples to measure: booleans of the shape of k-space, or of length 1
        along some axes. Default: a mask drawn from ``seed``.
    random_masks : bool, optional
        Whether `pair` draws a mask for each volume.
    seed : int, optional
        Seed of the mask of ``operator``.
    n_coils : int, optional
        Number of coils, if each volume has maps of its own, as for
        `CartesianMRI`: `pair` draws them, around the volume, and `from_kspace`
        takes them. Default: the maps ``coil_maps``, or one coil.

    Attributes
    ----------
    space : odl.DiscretizedSpace
        Complex space of the volumes, centred at the origin, in metres.
    operator : odl.Operator
        `SubsampledFourierTransform` of ``space``, after a
        `SensitivityEncoding` if there are coil maps.
    mask : numpy.ndarray
        Booleans, true where ``operator`` samples, with length 1 along each
        axis on which the mask does not depend.

    Raises
    ------
    ValueError
        If a size or a length is not positive, ``sigma`` is negative, the
        acceleration leaves fewer lines than the block around the zero
        frequency has, or none, the mask or the coil maps do not fit, or both
        a mask and random masks, or maps and a number of coils, are asked for.
    TypeError
        If a number is expected and something else is given.

    Examples
    --------
    >>> from odl_equivariant.data import ellipsoid_phantom
    >>> acquisition = VolumeMRI((8, 12, 12), acceleration=3, random_masks=True)
    >>> pair = acquisition.pair(ellipsoid_phantom((8, 12, 12), rng=0), rng=0)
    >>> {name: tuple(tensor.shape) for name, tensor in pair.items()}
    {'data': (2, 8, 12, 12), 'truth': (2, 8, 12, 12), 'mask': (1, 12, 12)}
    """

    def __init__(
        self,
        shape: VolumeShape = (64, 64, 64),
        acceleration: int | float = 4,
        center_fraction: float = 0.15,
        axis: int = 0,
        sigma: float = 0.03,
        coil_maps: Samples | None = None,
        side: float = 0.22,
        voxel: tuple[float, float, float] | None = None,
        dtype: Precision = 'float32',
        backend: Backend = 'numpy',
        mask: Samples | None = None,
        random_masks: bool = False,
        seed: int = 0,
        n_coils: int | None = None,
    ) -> None:
        shape = array_shape('shape', shape, 3)
        check_names(dtype, backend)
        self.random_masks = boolean('random_masks', random_masks)
        if mask is not None and random_masks:
            raise ValueError(
                '`mask` fixes the samples, and `random_masks` draws a mask '
                'for each volume: pass one of the two'
            )
        self._dtype = dtype
        self.sigma = real_number('sigma', sigma, least=0)
        self.side = positive_number('side', side)
        self.acceleration, self.center_fraction = acceleration, center_fraction
        self.axis = whole_number('axis', axis, -3, 2) % 3
        self.seed = seed
        self.pattern, self.partial_fourier = 'poisson_disc', 1.0
        self.own_coil_maps = n_coils is not None
        coil_maps = start_of_maps(n_coils, coil_maps, shape)
        self.voxel = voxel
        if voxel is None:
            sides = 3 * [self.side / max(shape)]
        else:
            if np.shape(voxel) != (3,):
                raise ValueError(
                    '`voxel` must be the three sides of a voxel in metres, '
                    f'got {voxel!r}'
                )
            sides = [positive_number('voxel', h) for h in voxel]
            self.voxel = tuple(sides)
        half = [n * h / 2 for n, h in zip(shape, sides, strict=True)]
        self.space = odl.uniform_discr(
            [-h for h in half],
            half,
            shape,
            dtype='complex64' if dtype == 'float32' else 'complex128',
            impl=backend,
        )
        self._scale_check = ScaleCheck()
        self._coils = Coils(self.space, coil_maps)
        # drawn even if a mask is given, as this checks the settings
        drawn = self._drawn(seed)
        self._mask_is_given = mask is not None
        sampled = self._coils.sampled(mask if self._mask_is_given else drawn)
        self.mask = short_mask(sampled.mask)
        self.mask.flags.writeable = False
        self.operator = self._coils.encoded(sampled)

    def _drawn(self, seed):
        """Return the mask of a seed, of length 1 along the readout."""
        shape = list(self.shape)
        del shape[self.axis]
        mask = PoissonDiscMask(
            shape, self.acceleration, self.center_fraction, seed=seed
        )
        return np.expand_dims(mask.array, self.axis)

    def draw_mask(  # type: ignore[override]
        self, rng: Random = None, measured: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Draw a mask with the settings of the acquisition.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None, optional
            Seed or source of randomness.
        measured : None
            Not used: a Poisson-disc mask chooses samples of all of k-space.

        Returns
        -------
        mask : numpy.ndarray
            Booleans, of length 1 along the readout.

        Raises
        ------
        ValueError
            If ``measured`` is given.
        """
        if measured is not None:
            raise ValueError(
                'Poisson-disc masks choose samples of all of k-space: give a '
                '`mask` for a part of it'
            )
        return self._drawn(int(np.random.default_rng(rng).integers(2**31)))

    def _measured_mask(self, measured, rng):
        check_measured(measured, self.shape)
        mask = self.mask
        if self.random_masks and not self._mask_is_given:
            mask = self.draw_mask(rng)
        mask = mask & measured
        if not mask.any():
            raise ValueError(
                'the mask of the acquisition contains no measured sample'
            )
        return mask

    def _settings(self):
        added = {}
        # earlier acquisitions keep their fingerprint
        if self.own_coil_maps:
            added = {'n_coils': len(self.coil_maps)}
        return {
            'shape': self.shape,
            'acceleration': self.acceleration,
            'center_fraction': self.center_fraction,
            'axis': self.axis,
            'sigma': self.sigma,
            'coil_maps': None if self.own_coil_maps else self.coil_maps,
            'side': self.side,
            'voxel': self.voxel,
            'dtype': self._dtype,
            'backend': self.space.impl,
            'mask': self.mask if self._mask_is_given else None,
            'random_masks': self.random_masks,
            'seed': self.seed,
            **added,
        }
